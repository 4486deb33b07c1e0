"""Levels from the latents of a generator with styles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs import UserError
from generators.adversarial_sampler import AdversarialSampler, AdversarialSampling
from generators.draws import Draws


@dataclass(frozen=True)
class StyleganSettings:
    """What is known of the model.

    Attributes:
        latents: how many normal numbers a style is made from.
        sides: for each layer the height and width of the map that it returns, to which noise is added.
    """

    latents: int
    sides: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class StyleganSampling(AdversarialSampling):
    """How a generator with styles samples.

    Attributes:
        truncation: styles are drawn this share of the way from their mean (Karras 2019): the less, the more alike and
            regular the levels. With 0, and no noise, all levels that are asked to be alike are one.
        noise: how much of the noise that each layer learned is added, from 0.
    """

    truncation: float = 1.0
    noise: float = 1.0

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        super().check()
        for name in ("truncation", "noise"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"{name} must be a finite number of at least 0; got {getattr(self, name)}.")


class StyleganSampler(AdversarialSampler):
    """Draws levels of a generator with styles; see `AdversarialSampler`."""

    name = "stylegan"
    Settings, Sampling = StyleganSettings, StyleganSampling

    def drawn(self, draws: Draws, starts: int, sampling: StyleganSampling) -> NDArray[np.float32]:
        """Draws normal numbers; see `AdversarialSampler.drawn`."""
        return draws.normals(starts, self.latents)

    def inputs(self, dense: NDArray[np.float32], sampling: StyleganSampling, draws: Draws | None) -> tuple[Any, ...]:
        """Returns what is asked, the truncation and each layer's noise; see `AdversarialSampler.inputs`."""
        return (dense, np.float32(sampling.truncation), *self.noise(len(dense), sampling, draws))

    def noise(self, n: int, sampling: StyleganSampling, draws: Draws | None) -> list[NDArray[np.float32]]:
        """Draws the noise of each layer, float32 (n, 1, height, width) each; 0 without a source."""
        if draws is None:
            return [np.zeros((n, 1, *sides), np.float32) for sides in self.settings.sides]
        return [sampling.noise * draws.normals(1, *sides) for sides in self.settings.sides]


SAMPLER = StyleganSampler
