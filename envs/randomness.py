"""One stream of random numbers a lane, so that what a lane draws does not depend on how many lanes there are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernels.draw import draw_uniforms


class Streams:
    """Independent streams of uniform random numbers, one for each lane.

    Attributes:
        states: uint64 (lanes,), where each stream is; kernels that draw by themselves move it on.
    """

    def __init__(self, lanes: int) -> None:
        """Seeds every stream from the operating system's entropy."""
        self.states = np.random.SeedSequence().generate_state(lanes, np.uint64)

    def seed(self, lane: int, seed: int) -> None:
        """Restarts one lane's stream; equal seeds give equal streams, in any lane."""
        self.states[lane] = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]

    def draw(self, lanes: NDArray[np.int64], count: int) -> NDArray[np.float64]:
        """Draws the next numbers of some lanes.

        Args:
            lanes: int64 (k,).
            count: how many numbers each lane draws.

        Returns:
            float64 (k, count) in [0, 1).
        """
        uniforms = np.empty((len(lanes), count))
        draw_uniforms(self.states, lanes, uniforms)
        return uniforms
