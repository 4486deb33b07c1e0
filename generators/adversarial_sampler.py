"""The sampling that generators with a critic share."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs import UserError
from generators.decoding import decode_logits
from generators.draws import Draws
from generators.sampler import LatentSampler
from generators.sampling import Request
from generators.shares import log_softmax

#: How many latents a level with fixed tiles begins from, and how far a step of their optimisation goes.
_STARTS, _STEP = 8, 0.1


@dataclass(frozen=True)
class AdversarialSampling:
    """What sampling from adversarial families has in common.

    Attributes:
        temperature: of the draw of each tile; 0 takes the likeliest.
        constrained: whether tiles are chosen so that levels keep the count rules of the corpus.
        fixed_steps: the steps by which latents are changed until their levels agree with fixed tiles.
    """

    temperature: float = 0.25
    constrained: bool = True
    fixed_steps: int = 20

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        if not 0 <= self.temperature < math.inf:
            raise UserError(f"temperature must be a finite number of at least 0; got {self.temperature}.")
        if self.fixed_steps < 0:
            raise UserError(f"fixed_steps must be at least 0; got {self.fixed_steps}.")


class AdversarialSampler(LatentSampler):
    """Draws latents, moves them towards the fixed tiles, and decodes what the generator makes of them.

    `settings.latents` says how many numbers a latent has. Graphs: `generate`, from latents and whatever `inputs`
    returns to logits (n, cells, tiles); `misfit_slope`, from the same and tiles, int64 (n, cells), -1 where any may be,
    to the slope of how unlikely the tiles are, (n, latents).
    """

    @abstractmethod
    def drawn(self, draws: Draws, starts: int, sampling: Any) -> NDArray[np.float32]:
        """Draws latents, float32 (n, starts, latents)."""

    @abstractmethod
    def inputs(self, dense: NDArray[np.float32], sampling: Any, draws: Draws | None) -> tuple[Any, ...]:
        """Returns what `generate` takes beside latents.

        Args:
            dense: float32 (n, spec.condition_size).
            sampling: how to sample.
            draws: the source of further chance; None for none, where equal latents must give equal levels.
        """

    def draw(self, request: Request, sampling: Any) -> NDArray[np.uint8]:
        """Draws levels; see `Sampler.draw`."""
        return self.made(self.dense(request), request.fixed, sampling, request.draws())

    def made(
        self, dense: NDArray[np.float32], fixed: NDArray[np.int16] | None, sampling: Any, draws: Draws
    ) -> NDArray[np.uint8]:
        """Draws levels, told what is asked as networks are, float32 (n, spec.condition_size); uint8 (n, *shape)."""
        latents = self.drawn(draws, 1, sampling)[:, 0] if fixed is None else self._around(fixed, dense, sampling, draws)
        (logits,) = self.networks("generate", latents, *self.inputs(dense, sampling, draws))
        return self.decoded(logits, fixed, sampling, draws)

    def decoded(
        self, logits: NDArray[np.float32], fixed: NDArray[np.int16] | None, sampling: Any, draws: Draws
    ) -> NDArray[np.uint8]:
        """Draws tiles by their logits, uint8 (n, *shape)."""
        levels = decode_logits(logits, self.spec, draws, sampling.temperature, fixed, sampling.constrained)
        return levels.reshape(-1, *self.spec.shape)

    def _around(
        self, fixed: NDArray[np.int16], dense: NDArray[np.float32], sampling: Any, draws: Draws
    ) -> NDArray[np.float32]:
        """Returns latents whose levels agree with fixed tiles, int16 (n, *shape), as well as may be."""
        n = len(fixed)
        wanted = fixed.reshape(n, -1).astype(np.int64)
        starts = self.drawn(draws, _STARTS, sampling)
        told = dense.repeat(_STARTS, axis=0)
        (logits,) = self.networks("generate", starts.reshape(n * _STARTS, -1), *self.inputs(told, sampling, None))
        unlikely = misfit(logits, wanted.repeat(_STARTS, axis=0)).reshape(n, _STARTS)
        latents = starts[np.arange(n), unlikely.argmin(axis=1)]
        # They keep their length, for nearly all normal vectors of many numbers are about as long.
        length = np.linalg.norm(latents, axis=1, keepdims=True)
        first, second = np.zeros_like(latents), np.zeros_like(latents)
        inputs = self.inputs(dense, sampling, None)
        for step in range(1, sampling.fixed_steps + 1):
            (slope,) = self.networks("misfit_slope", latents, *inputs, wanted)
            # Adam (Kingma 2015), on each level's latents by themselves.
            first = 0.9 * first + 0.1 * slope
            second = 0.999 * second + 0.001 * np.square(slope)
            latents = latents - _STEP * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
            latents *= length / np.maximum(np.linalg.norm(latents, axis=1, keepdims=True), 1e-6)
        return latents

    @property
    def latents(self) -> int:
        """How many normal numbers a level is made from."""
        return int(self.settings.latents)

    def level_of(self, latents: NDArray[np.float32], fixed: NDArray[np.int16] | None) -> NDArray[np.uint8]:
        """Returns the likeliest level of each point; see `LatentSampler.level_of`."""
        dense = np.zeros((len(latents), self.spec.condition_size), np.float32)
        return self.likeliest(latents, dense, fixed, self.Sampling())

    def likeliest(
        self,
        latents: NDArray[np.float32],
        dense: NDArray[np.float32],
        fixed: NDArray[np.int16] | None,
        sampling: Any,
    ) -> NDArray[np.uint8]:
        """Returns the likeliest level of each latent, whatever the temperature, uint8 (n, *shape)."""
        (logits,) = self.networks("generate", latents, *self.inputs(dense, sampling, None))
        return self.decoded(logits, fixed, replace(sampling, temperature=0.0), Draws.none(len(latents)))


def misfit(logits: NDArray[np.float32], wanted: NDArray[np.int64]) -> NDArray[np.float32]:
    """Returns how unlikely wanted tiles are, in nats for each level, (n,).

    Args:
        logits: float32 (n, cells, tiles).
        wanted: int64 (n, cells), -1 where any tile will do.
    """
    logs = np.take_along_axis(log_softmax(logits), np.maximum(wanted, 0)[..., None], axis=2)[..., 0]
    return np.asarray(-np.where(wanted >= 0, logs, 0.0).sum(axis=1), np.float32)
