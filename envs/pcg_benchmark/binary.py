"""Binary by the PCG Benchmark: one connected region and a path of at least height + width."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from envs.criteria import Baseline, Criteria, Facts, trapezoid
from envs.kernels.benchmark import hamming
from envs.kernels.binary import measure_binary
from envs.problem import Shape

_SOLID, _EMPTY = 0, 1


class Binary(Criteria):
    """Half of the quality is one region, half a path of at least 28; levels differ in 40 % of their tiles."""

    def study(self, codes: NDArray[np.uint8]) -> Facts:
        """Measures regions and path."""
        # Our kernel takes 0 for the floor.
        regions, path = measure_binary((codes == _SOLID).astype(np.uint8)).T
        return {"regions": regions.astype(np.int64), "path": path.astype(np.int64)}

    def quality(self, facts: Facts) -> NDArray[np.float64]:
        """Returns the mean of the scores for regions and path."""
        _, height, width = facts["content"].shape
        regions = trapezoid(facts["regions"], 0, 1, 1, width * height / 10)
        return (regions + trapezoid(facts["path"], 0, width + height, width * height)) / 2

    def differences(self, facts: Facts) -> NDArray[np.float64]:
        """Scores the Hamming distance."""
        _, height, width = facts["content"].shape
        return trapezoid(hamming(facts["content"]), 0, 0.4 * width * height, width * height)

    def control_ranges(self, shape: Shape) -> dict[str, tuple[int, int]]:
        """The path's length."""
        return {"path": (sum(shape) + _tolerance(shape), shape[0] * shape[1] // 2)}

    def controllability(self, facts: Facts, controls: Mapping[str, NDArray]) -> NDArray[np.float64]:
        """Scores a path of the length asked for, give or take a quarter of the least length."""
        shape = facts["content"].shape[1:]
        error = _tolerance(shape)
        return trapezoid(facts["path"], 0, controls["path"] - error, controls["path"] + error, shape[0] * shape[1])


def _tolerance(shape: Shape) -> int:
    return max(int(sum(shape) * 0.25), 1)


CRITERIA = Binary(
    name="binary",
    published="binary-v0",
    shape=(14, 14),
    tiles=(("empty", _EMPTY), ("solid", _SOLID)),
    baselines=(Baseline("ES", 1.00, 0.19, 0.90), Baseline("GA", 0.31, 0.03, 0.34)),
    options={"targets": {"regions": (1, 1), "path-length": (28, np.inf)}},
)
