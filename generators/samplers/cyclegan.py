"""Levels that are translated from another problem's."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs import UserError, get_problem
from generators.adversarial_sampler import misfit
from generators.decoding import decode_logits
from generators.draws import Draws
from generators.sampler import Sampler
from generators.sampling import Request

#: How many levels are translated for one with fixed tiles, of which the one that fits them best is taken.
_STARTS = 8


@dataclass(frozen=True)
class CycleGanSettings:
    """What is known of the model.

    Attributes:
        source: the problem whose levels are translated.
        kept: how many of its levels the model holds to sample from; 0 where they are constructed.
    """

    source: str
    kept: int


@dataclass(frozen=True)
class CycleGanSampling:
    """How levels are translated.

    Attributes:
        temperature: of the draw of each tile; 0 takes the likeliest.
        constrained: whether tiles are chosen so that levels keep the count rules of the target's corpus.
    """

    temperature: float = 0.0
    constrained: bool = True

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        if not 0 <= self.temperature < math.inf:
            raise UserError(f"temperature must be a finite number of at least 0; got {self.temperature}.")


class CycleGanSampler(Sampler):
    """Translates levels of the source; of several for one with fixed tiles it takes the one that fits them best.

    Graphs: `translate`, from levels of the source, int64 (n, *shape), and what is asked to logits (n, cells, tiles);
    `kept`, where the model holds levels, from their numbers, int64 (n,), to levels of the source, int64 (n, *shape).
    """

    name = "cyclegan"
    Settings, Sampling = CycleGanSettings, CycleGanSampling

    def draw(self, request: Request, sampling: CycleGanSampling) -> NDArray[np.uint8]:
        """Draws levels; see `Sampler.draw`."""
        draws, dense, fixed = request.draws(), self.dense(request), request.fixed
        if fixed is None:
            (logits,) = self.networks("translate", self.sources(draws, 1)[:, 0], dense)
            return self.decoded(logits, None, sampling, draws)
        n = request.n
        sources = self.sources(draws, _STARTS).reshape(n * _STARTS, *self.spec.shape)
        (logits,) = self.networks("translate", sources, dense.repeat(_STARTS, axis=0))
        wanted = fixed.reshape(n, -1).astype(np.int64).repeat(_STARTS, axis=0)
        best = misfit(logits, wanted).reshape(n, _STARTS).argmin(axis=1)
        chosen = logits.reshape(n, _STARTS, *logits.shape[1:])[np.arange(n), best]
        return self.decoded(chosen, fixed, sampling, draws)

    def sources(self, draws: Draws, number: int) -> NDArray[np.int64]:
        """Draws levels of the source for each level, int64 (n, number, *shape): constructed, or of those kept."""
        shape = (len(draws), number, *self.spec.shape)
        if self.settings.kept:
            numbers = (draws.uniforms(number) * self.settings.kept).astype(np.int64)
            (found,) = self.networks("kept", numbers.reshape(-1))
        else:
            found = get_problem(self.settings.source).construct(draws.seeds(number).reshape(-1), self.spec.shape)
        return np.asarray(found, np.int64).reshape(shape)

    def decoded(
        self, logits: NDArray[np.float32], fixed: NDArray[np.int16] | None, sampling: CycleGanSampling, draws: Draws
    ) -> NDArray[np.uint8]:
        """Draws tiles by their logits, uint8 (n, *shape)."""
        levels = decode_logits(logits, self.spec, draws, sampling.temperature, fixed, sampling.constrained)
        return levels.reshape(-1, *self.spec.shape)


SAMPLER = CycleGanSampler
