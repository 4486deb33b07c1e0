"""Levels from the latents of a generative adversarial network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs import UserError
from generators.adversarial_sampler import AdversarialSampler, AdversarialSampling
from generators.draws import Draws

_NORMAL = NormalDist()


@dataclass(frozen=True)
class GanSettings:
    """What is known of the model.

    Attributes:
        latents: how many normal numbers a level is made from.
    """

    latents: int


@dataclass(frozen=True)
class GanSampling(AdversarialSampling):
    """How a GAN samples.

    Attributes:
        truncation: latents are drawn from the normal distribution within so many standard deviations (Brock 2019):
            the fewer, the more alike and regular the levels; 0 gives one level; none draws from all of it.
    """

    truncation: float | None = None

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        super().check()
        if self.truncation is not None and not 0 <= self.truncation < math.inf:
            raise UserError(f"truncation must be a finite number of at least 0, or none; got {self.truncation}.")


class GanSampler(AdversarialSampler):
    """Draws levels of a GAN; see `AdversarialSampler`."""

    name = "gan"
    Settings, Sampling = GanSettings, GanSampling

    def drawn(self, draws: Draws, starts: int, sampling: GanSampling) -> NDArray[np.float32]:
        """Draws normal numbers within the truncation; see `AdversarialSampler.drawn`."""
        if sampling.truncation is None:
            return draws.normals(starts, self.latents)
        # What lies outside is not thrown away and drawn again, but the distribution inverted within the bounds.
        reach = _NORMAL.cdf(sampling.truncation) - 0.5
        places = 0.5 + reach * (2 * draws.uniforms(starts, self.latents) - 1)
        # Beside 0 and 1 the distribution has no end.
        inner = np.clip(places, 2.0**-53, 1 - 2.0**-53)
        found = np.array([_NORMAL.inv_cdf(place) for place in inner.ravel().tolist()]).reshape(inner.shape)
        return np.clip(found, -sampling.truncation, sampling.truncation).astype(np.float32)

    def inputs(self, dense: NDArray[np.float32], sampling: GanSampling, draws: Draws | None) -> tuple[Any, ...]:
        """Returns what is asked; see `AdversarialSampler.inputs`."""
        return (dense,)


SAMPLER = GanSampler
