"""Sokoban by the PCG Benchmark: one player, crates and as many targets, a solution of at least 10 moves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from envs.criteria import Baseline, Criteria, Facts, trapezoid
from envs.kernels.benchmark import text_ratios
from envs.kernels.benchmark_sokoban import FACTS, study
from envs.problem import Shape

#: How many states each of the benchmark's agents looks at.
_POWER = 5000


class Sokoban(Criteria):
    """Half of the quality is what stands in the level, half how near to and how long its solution is.

    The solution is the one that the benchmark's agents find, which give up after 5,000 states each. Levels need not be
    connected. They are told apart by their solutions' turns, pushes apart from steps.
    """

    def study(self, codes: NDArray[np.uint8]) -> Facts:
        """Counts, and lets the benchmark's agents play."""
        facts, texts = study(codes, _POWER)
        return {**dict(zip(FACTS, facts.T, strict=True)), "text": texts}

    def quality(self, facts: Facts) -> NDArray[np.float64]:
        """Returns the mean of the scores for counts and solution."""
        _, height, width = facts["content"].shape
        cells = width * height
        player = trapezoid(facts["players"], 0, 1, 1, cells)
        crates = trapezoid(facts["crates"], 0, 1, cells)
        targets = trapezoid(abs(facts["crates"] - facts["targets"]), 0, 0, 0, cells)
        gap = trapezoid(facts["heuristic"], 0, 0, 0, (width + height) * facts["crates"])
        length = trapezoid(facts["solution_length"], 0, width + height, cells**2)
        added = np.where(facts["heuristic"] >= 0, (gap + length) / 2, 0.0)
        return ((player + crates + targets) / 3 + added) / 2

    def differences(self, facts: Facts) -> NDArray[np.float64]:
        """Scores how unlike the solutions are as texts."""
        return trapezoid(1 - text_ratios(facts["text"], facts["text_length"]), 0, 0.5, 1.0)

    def control_ranges(self, shape: Shape) -> dict[str, tuple[int, int]]:
        """The number of crates."""
        return {"crates": (1, max(shape) + 1)}

    def controllability(self, facts: Facts, controls: Mapping[str, NDArray]) -> NDArray[np.float64]:
        """Scores as many crates as asked for, give or take one."""
        _, height, width = facts["content"].shape
        wanted = controls["crates"]
        return trapezoid(facts["crates"], 0, np.maximum(wanted - 1, 1), wanted + 1, width * height)


CRITERIA = Sokoban(
    name="sokoban",
    published="sokoban-v0",
    shape=(5, 5),
    tiles=(("empty", 1), ("solid", 0), ("player", 2), ("crate", 3), ("target", 4)),
    baselines=(Baseline("ES", 0.80, 0.81, 0.70), Baseline("GA", 0.30, 0.31, 0.60)),
    options={"targets": {"crate": (1, 8), "target": (1, 8), "sol-length": (10, np.inf)}},
)
