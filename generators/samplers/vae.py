"""Levels from the latents of a variational autoencoder."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs import UserError
from generators.decoding import decode_logits
from generators.draws import Draws
from generators.sampler import LatentSampler
from generators.sampling import Request

#: How far latents move in one step towards fixed tiles.
_FIXED_RATE = 0.1


@dataclass(frozen=True)
class VaeSettings:
    """What is known of the model.

    Attributes:
        latents: how many numbers a level is encoded as.
    """

    latents: int


@dataclass(frozen=True)
class VaeSampling:
    """How levels are drawn.

    Attributes:
        latent_temperature: the standard deviation of the latents; the prior's is 1. Less gives more usual levels.
        temperature: of the tiles given the latents; 0 takes the likeliest.
        balanced: whether, at a temperature between 0 and 1, tiles stay as common in a level as the latents say, see
            `keep_shares`; otherwise what may be in many places but is in none the likeliest gets rare.
        constrained: whether the count rules of the levels are kept while tiles are drawn, see `decode_logits`; it is
            no repair, for no level is made first and changed then.
        fixed_steps: how many steps of gradient descent latents make towards fixed tiles.
    """

    latent_temperature: float = 1.0
    temperature: float = 0.3
    balanced: bool = True
    constrained: bool = True
    fixed_steps: int = 30

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        for name in ("latent_temperature", "temperature", "fixed_steps"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"{name} must be at least 0; got {getattr(self, name)}.")


class VaeSampler(LatentSampler):
    """Draws latents from the prior, fits them to the fixed tiles, and decodes them.

    Graphs: `decode`, from latents and what is asked to logits (n, cells, tiles); `misfit_slope`, from the same and
    tiles, int64 (n, cells), -1 where any may be, to the slope of how unlikely the tiles are, (n, latents).
    """

    name = "vae"
    Settings, Sampling = VaeSettings, VaeSampling

    def draw(self, request: Request, sampling: VaeSampling) -> NDArray[np.uint8]:
        """Draws levels; see `Sampler.draw`."""
        draws, dense = request.draws(), self.dense(request)
        latents = draws.normals(self.latents) * sampling.latent_temperature
        if request.fixed is not None:
            latents = self._fitted(latents, dense, request.fixed, sampling.fixed_steps)
        return self.decoded(latents, dense, request.fixed, sampling, draws)

    def decoded(
        self,
        latents: NDArray[np.float32],
        dense: NDArray[np.float32],
        fixed: NDArray[np.int16] | None,
        sampling: VaeSampling,
        draws: Draws,
    ) -> NDArray[np.uint8]:
        """Draws the tiles of latents, uint8 (n, *shape)."""
        (logits,) = self.networks("decode", latents, dense)
        drawing = (sampling.temperature, fixed, sampling.constrained, sampling.balanced)
        return decode_logits(logits, self.spec, draws, *drawing).reshape(-1, *self.spec.shape)

    def _fitted(
        self, drawn: NDArray[np.float32], dense: NDArray[np.float32], fixed: NDArray[np.int16], steps: int
    ) -> NDArray[np.float32]:
        """Moves latents to where the fixed tiles are likely, and no farther from where they were drawn than that pays.

        Each ends at the likeliest point of a posterior whose prior lies about its own draw; where the decoder is
        linear, such points are draws from the true posterior (randomised maximum likelihood, Oliver 1996).
        """
        held = fixed.reshape(len(fixed), -1).astype(np.int64)
        latents = drawn
        first, second = np.zeros_like(drawn), np.zeros_like(drawn)
        for step in range(1, steps + 1):
            (slope,) = self.networks("misfit_slope", latents, dense, held)
            slope = slope + latents - drawn
            # Adam (Kingma 2015), on each level's latents by themselves.
            first = 0.9 * first + 0.1 * slope
            second = 0.99 * second + 0.01 * np.square(slope)
            change = (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
            latents = latents - _FIXED_RATE * change
        return latents

    @property
    def latents(self) -> int:
        """How many numbers a level is encoded as."""
        return int(self.settings.latents)

    def level_of(self, latents: NDArray[np.float32], fixed: NDArray[np.int16] | None) -> NDArray[np.uint8]:
        """Returns the likeliest level of each point; see `LatentSampler.level_of`."""
        dense = np.zeros((len(latents), self.spec.condition_size), np.float32)
        return self.decoded(latents, dense, fixed, VaeSampling(temperature=0.0), Draws.none(len(latents)))


SAMPLER = VaeSampler
