"""Ddave by the PCG Benchmark: one player, key and exit, a way out with two jumps or more, diamonds within reach."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from envs.criteria import Baseline, Criteria, Facts, trapezoid
from envs.kernels.benchmark_ddave import EXIT, FACTS, PLAYER, path_differences, study
from envs.problem import Shape

#: How many states each of the benchmark's agents looks at, and how many jumps the way out should take.
_POWER, _JUMPS = 5000, 2


class Ddave(Criteria):
    """The mean of three scores: what stands in the level, the way out with its jumps, the diamonds.

    All is measured on the level after everything outside the player's region was filled with solid, as the benchmark
    does. The way is the one that its agents find, which give up after 5,000 states each and do not tell apart states
    that differ only in how long the player is in the air yet.
    """

    def study(self, codes: NDArray[np.uint8]) -> Facts:
        """Counts, and lets the benchmark's agents play."""
        facts, gaps, visits, kept = study(codes, _POWER)
        return {
            **dict(zip(FACTS, facts.T, strict=True)),
            "diamond_reachable": gaps,
            "visits": visits,
            "repaired_content": kept,
        }

    def quality(self, facts: Facts) -> NDArray[np.float64]:
        """Returns the mean of the three scores."""
        _, height, width = facts["content"].shape
        cells = width * height
        player, exits, key = (trapezoid(facts[name], 0, 1, 1, cells) for name in ("players", "exits", "keys"))
        ends = facts["players"] + facts["exits"]
        grounded = trapezoid(facts["playerOnGround"] + facts["exitOnGround"], 0, ends, cells)
        spikes = trapezoid(facts["spikes"], 0, 0, 2 * max(width, height), cells)
        counts = (player + grounded + exits + key + spikes) / 5
        way = trapezoid(facts["heuristic"], 0, 0, 0, cells)
        way = (way + trapezoid(facts["num_jumps"], 0, _JUMPS, max(width, height))) / 2
        diamonds = facts["diamonds"]
        listed = np.arange(facts["diamond_reachable"].shape[1]) < diamonds[:, None]
        near = np.where(listed, trapezoid(facts["diamond_reachable"], 0, 0, 0, cells), 0.0).sum(axis=1)
        near = np.where(diamonds == 0, 1.0, near / np.maximum(diamonds, 1))
        near = (near + trapezoid(diamonds, 0, 0, min(width, height), cells)) / 2
        whole = (player == 1) & (exits == 1) & (key == 1)
        return (counts + np.where(whole, way, 0.0) + np.where(whole, near, 0.0)) / 3

    def differences(self, facts: Facts) -> NDArray[np.float64]:
        """Scores how often one solution is in a cell and the other is not, the one mirrored where that is nearer."""
        _, height, width = facts["content"].shape
        return trapezoid(path_differences(facts["visits"]), 0, 0.4 * (width + height), width * height)

    def control_ranges(self, shape: Shape) -> dict[str, tuple[int, int]]:
        """Column and row of the player, of the exit, and the number of diamonds."""
        height, width = shape
        return {
            "sx": (0, width),
            "sy": (height // 2 + 2, height),
            "ex": (0, width),
            "ey": (0, height // 2),
            "diamonds": (0, min(width, height)),
        }

    def controllability(self, facts: Facts, controls: Mapping[str, NDArray]) -> NDArray[np.float64]:
        """Returns the mean score of the player's place, the exit's place and the diamonds."""
        level = facts["repaired_content"]
        _, height, width = level.shape
        rows, columns = np.indices((height, width))
        total = trapezoid(abs(controls["diamonds"] - facts["diamonds"]), 0, 0, 0, width * height)
        for tile, x, y in ((PLAYER, "sx", "sy"), (EXIT, "ex", "ey")):
            steps = abs(columns - controls[x][:, None, None]) + abs(rows - controls[y][:, None, None])
            nearest = np.where(level == tile, steps, width * height).min(axis=(1, 2))
            total = total + trapezoid(nearest, 0, 0, 0, width + height)
        return total / 3


CRITERIA = Ddave(
    name="ddave",
    published="ddave-v0",
    shape=(7, 11),
    tiles=(
        ("empty", 1),
        ("solid", 0),
        ("player", 2),
        ("exit", 3),
        ("diamond", 4),
        ("key", 5),
        ("spike", 6),
    ),
    baselines=(Baseline("ES", 0.41, 0.80, 0.00), Baseline("GA", 0.20, 0.30, 0.00)),
    options={
        "targets": {"diamonds": (-np.inf, 7), "spikes": (-np.inf, 22), "num-jumps": (2, 11), "sol-length": (1, np.inf)}
    },
)
