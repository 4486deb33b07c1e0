"""Random numbers for a batch of levels: each level has a stream of its own, whatever is sampled beside it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernels.draw import draw_normals, draw_uniforms


def level_seeds(seed: int, n: int) -> NDArray[np.uint64]:
    """Returns the seeds of the first n levels of a sample, uint64 (n,); a longer sample begins with the same ones."""
    return np.random.SeedSequence(seed).generate_state(n, np.uint64).astype(np.uint64, copy=False)


class Draws:
    """The random numbers of some levels (splitmix64, Steele 2014).

    What is drawn for a level follows from its seed and from how much was drawn for it before.

    Args:
        seeds: uint64 (n,), one for each level.
    """

    def __init__(self, seeds: NDArray[np.uint64]) -> None:
        self._streams = np.array(seeds, np.uint64)

    @classmethod
    def none(cls, n: int) -> Draws:
        """Returns the draws of n levels in which nothing is left to chance."""
        return cls(np.zeros(n, np.uint64))

    def __len__(self) -> int:
        return len(self._streams)

    def uniforms(self, *shape: int) -> NDArray[np.float64]:
        """Returns numbers in [0, 1), float64 (n, *shape)."""
        n, count = len(self), int(np.prod(shape, dtype=np.int64))
        found = np.empty((n, count))
        draw_uniforms(self._streams, np.arange(n), found)
        return found.reshape(n, *shape)

    def normals(self, *shape: int) -> NDArray[np.float32]:
        """Returns standard normal numbers, float32 (n, *shape)."""
        count = int(np.prod(shape, dtype=np.int64))
        uniforms = self.uniforms(count + count % 2)
        found = np.empty_like(uniforms)
        draw_normals(uniforms, np.inf, found)
        return found[:, :count].reshape(len(self), *shape).astype(np.float32)

    def gumbels(self, *shape: int) -> NDArray[np.float32]:
        """Returns numbers whose greatest falls on each as often as its logarithm says, float32 (n, *shape).

        Added to logarithms of probabilities they make the greatest sum a draw (Gumbel 1954).
        """
        # 1 - u is above 0, and below 1 but for one draw in 2 ** 53, whose logarithm is then told from 0.
        waited = -np.log1p(-self.uniforms(*shape))
        return (-np.log(np.maximum(waited, 1e-20))).astype(np.float32)

    def seeds(self, *shape: int) -> NDArray[np.uint64]:
        """Returns seeds for further streams, uint64 (n, *shape)."""
        return (self.uniforms(*shape) * 2.0**53).astype(np.uint64)

    def choose(self, levels: NDArray[np.int64]) -> None:
        """Goes on with some of the levels: each may be taken several times, and then draws the same from there on."""
        self._streams = self._streams[levels]
