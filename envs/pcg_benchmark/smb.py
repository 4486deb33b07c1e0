"""Smb by the PCG Benchmark, in its variant of single tiles: a quiet level that its agents run through."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from envs.criteria import Baseline, Criteria, Facts, trapezoid
from envs.kernels.benchmark_smb import FACTS, study, visit_differences
from envs.problem import Shape

_EMPTY, _FLOATING, _DIFFERENT = 0.5, 0.1, 0.4

#: How many changes from tile to tile, by tiles, the rows of the game's own levels have, from the uppermost on.
_NOISE = (0, 0, 0, 0, 0.04, 0.08, 0.16, 0.08, 0.08, 0.16, 0.32, 0.16, 0.16, 0.32, 0.16, 0.16)


class Smb(Criteria):
    """Half of the quality is how far the agents get, half what stands in the level.

    The benchmark's code fails on levels without enemies; here none of them floats. Our ground is its ground, our enemy
    its goomba. As in its code, levels are told apart by where the player is in the first sixteen columns, the last of
    which stands for all that follow, and a jump or kill of the last tick before the time runs out counts twice. At
    other heights than the published one enemies appear whatever their row. The benchmark's own searches put together
    slices of the game's levels.
    """

    def study(self, codes: NDArray[np.uint8]) -> Facts:
        """Counts, and lets the benchmark's agents play where it does."""
        height, width = codes.shape[1:]
        # Lower or higher levels than the published ones are aligned at the ground.
        models = np.array(((0.0,) * height + _NOISE)[-height:])
        timer, iterations = 1000.0 * math.ceil(width / 10), 50 if width < 30 else 100
        facts, noise, visits = study(codes, models, _FLOATING, timer, iterations)
        return {**dict(zip(FACTS, facts.T, strict=True)), "noise": noise, "visits": visits}

    def quality(self, facts: Facts) -> NDArray[np.float64]:
        """Returns the mean of the eight scores."""
        tube = trapezoid(facts["tube"], 0, 0, 0, 10)
        empty = trapezoid(facts["empty"], 0, _EMPTY, 1)
        floating = trapezoid(facts["fenemies"], 0, 0, _FLOATING, 1)
        quiet = trapezoid(facts["noise"], 0, 0, 0, 1).sum(axis=1) / facts["noise"].shape[1]
        quiet = np.where((empty >= 1) & (tube >= 1), quiet, 0.0)
        return (tube + empty + quiet + floating + 4 * facts["complete"]) / 8

    def differences(self, facts: Facts) -> NDArray[np.float64]:
        """Scores the share of visits that differ; two levels without any are alike."""
        visits = facts["visits"]
        totals = visits.sum(axis=(1, 2))
        total = totals[:, None] + totals
        share = visit_differences(visits) / np.maximum(total, 1)
        return np.where(total == 0, 0.0, trapezoid(share, 0, _DIFFERENT, 1.0))

    def control_ranges(self, shape: Shape) -> dict[str, tuple[int, int]]:
        """The enemies killed, the jumps and the coins taken."""
        width = shape[1]
        return {"enemies": (0, max(2, width // 7)), "jumps": (0, max(2, width // 5)), "coins": (0, max(2, width // 10))}

    def controllability(self, facts: Facts, controls: Mapping[str, NDArray]) -> NDArray[np.float64]:
        """Returns the mean score of the three."""
        total = np.zeros(len(facts["content"]))
        for name, (_, most) in self.control_ranges(facts["content"].shape[1:]).items():
            error = int(0.1 * most)
            total += trapezoid(facts[name], 0, np.maximum(controls[name] - error, 0), controls[name] + error, 100)
        return total / 3


CRITERIA = Smb(
    name="smb",
    published="smbtile-v0",
    shape=(16, 150),
    tiles=(
        ("empty", 0),
        ("solid", 1),
        ("enemy", 7),
        ("brick", 3),
        ("question", 4),
        ("coin", 6),
        ("tube", 5),
    ),
    baselines=(Baseline("ES on slices", 0.00, 0.01, 0.00), Baseline("GA on slices", 0.00, 0.01, 0.00)),
    # Two tubes side by side are no fault here, nor is any number of enemies.
    options={
        "targets": {
            "empty": (1200, np.inf),
            "dist-floor": (0, 0),
            "enemies": (-np.inf, np.inf),
            "jumps": (-np.inf, np.inf),
            "dist-win": (0, 0),
        },
        "weights": {"disjoint-tubes": 0},
    },
)
