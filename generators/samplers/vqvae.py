"""Levels from codes that a transformer writes one after another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs import UserError
from generators.decoding import decode_logits
from generators.draws import Draws
from generators.memory import Memory
from generators.sampler import LatentSampler
from generators.sampling import Request
from generators.shares import keep_likely, pick


@dataclass(frozen=True)
class VqvaeSettings:
    """What is known of the model.

    Attributes:
        codes: how many codes a level has.
        axes: how many numbers place a code among the codes, where a level is a point of latents.
    """

    codes: int
    axes: int


@dataclass(frozen=True)
class VqvaeSampling:
    """How levels are drawn.

    Attributes:
        temperature: of the codes.
        top_p: codes are drawn from the likeliest that together have this probability (Holtzman 2020); 1 keeps all.
        tile_temperature: of the tiles given all codes; 0 takes the likeliest.
        constrained: whether the count rules of the levels are kept while tiles are drawn, see `decode_logits`; it is
            no repair, for no level is made first and changed then.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    tile_temperature: float = 0.0
    constrained: bool = True

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        if not 0 < self.temperature < math.inf:
            raise UserError(f"temperature must be above 0; got {self.temperature}.")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p must be above 0 and at most 1; got {self.top_p}.")
        if not 0 <= self.tile_temperature < math.inf:
            raise UserError(f"tile_temperature must be at least 0; got {self.tile_temperature}.")


class VqvaeSampler(LatentSampler):
    """Writes codes, with those preferred in whose patches the fixed tiles usually stand, and decodes them.

    Graphs: `begin`, from what is asked to the logits of the first code, (n, kinds of codes), and the transformer's
    memory; `step`, from codes, int64 (n,), and the memory to those of the next, and what is new in the memory; `hints`,
    from fixed tiles, int64 (n, *shape), -1 where any may be, to what is added to the logits of all codes, (n, codes,
    kinds of codes); `write`, from codes, int64 (n, codes), to logits (n, cells, tiles); `place`, from latents to codes.
    """

    name = "vqvae"
    Settings, Sampling = VqvaeSettings, VqvaeSampling

    def draw(self, request: Request, sampling: VqvaeSampling) -> NDArray[np.uint8]:
        """Draws levels; see `Sampler.draw`."""
        draws, hints = request.draws(), None
        if request.fixed is not None:
            (hints,) = self.networks("hints", request.fixed.astype(np.int64))
        uniforms = draws.uniforms(self.settings.codes)
        codes = np.empty((request.n, self.settings.codes), np.int64)
        logits, *first = self.networks("begin", self.dense(request))
        memory = Memory(self.networks, first)
        for place in range(self.settings.codes):
            scores: Any = logits
            if hints is not None:
                # What fixes tiles is sure, however surprising the codes may be.
                scores = logits + sampling.temperature * hints[:, place]
            chances = keep_likely(scores, sampling.temperature, top_p=sampling.top_p)
            codes[:, place] = pick(chances, uniforms[:, place])
            if place + 1 < self.settings.codes:
                logits, *new = self.networks("step", codes[:, place], *memory.inputs())
                memory.add(new)
        return self.decoded(codes, request.fixed, sampling, draws)

    def decoded(
        self, codes: NDArray[np.int64], fixed: NDArray[np.int16] | None, sampling: VqvaeSampling, draws: Draws
    ) -> NDArray[np.uint8]:
        """Draws the tiles of codes, int64 (n, codes); uint8 (n, *shape)."""
        (logits,) = self.networks("write", codes)
        levels = decode_logits(logits, self.spec, draws, sampling.tile_temperature, fixed, sampling.constrained)
        return levels.reshape(-1, *self.spec.shape)

    @property
    def latents(self) -> int:
        """How many numbers choose the codes of a level."""
        return int(self.settings.codes * self.settings.axes)

    def level_of(self, latents: NDArray[np.float32], fixed: NDArray[np.int16] | None) -> NDArray[np.uint8]:
        """Returns the likeliest level of each point; see `LatentSampler.level_of`."""
        (codes,) = self.networks("place", latents)
        return self.decoded(codes, fixed, VqvaeSampling(), Draws.none(len(latents)))


SAMPLER = VqvaeSampler
