"""Mdungeon by the PCG Benchmark: a dungeon of one region whose way out meets at least eight enemies."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from envs.criteria import Baseline, Criteria, Facts, trapezoid
from envs.kernels.benchmark import hamming, text_ratios
from envs.kernels.benchmark_mdungeon import FACTS, study
from envs.problem import Shape

#: How many states each of the benchmark's agents looks at, and how many enemies it wants.
_POWER, _ENEMIES = 5000, 8


class Mdungeon(Criteria):
    """The mean of three scores: what stands in the level, the solution, the enemies on its way.

    The solution is the one that the benchmark's agents find, which give up after 5,000 states each. Its length counts
    the places on the way, the first and the last among them: one more than its moves.
    """

    def study(self, codes: NDArray[np.uint8]) -> Facts:
        """Counts, and lets the benchmark's agents play."""
        facts, texts = study(codes, _POWER, _ENEMIES)
        return {**dict(zip(FACTS, facts.T, strict=True)), "text": texts}

    def quality(self, facts: Facts) -> NDArray[np.float64]:
        """Returns the mean of the three scores."""
        _, height, width = facts["content"].shape
        cells = width * height
        regions = trapezoid(facts["regions"], 0, 1, 1, cells / 10)
        player, exits = (trapezoid(facts[name], 0, 1, 1, cells) for name in ("players", "exits"))
        enemies = trapezoid(facts["enemies"], 0, _ENEMIES, cells)
        layout = trapezoid(facts["layout"], 0, cells / 2, cells)
        counts = (player + exits + regions + enemies + layout) / 5
        way = trapezoid(facts["heuristic"], 0, 0, 0, cells**2)
        way = (way + trapezoid(facts["solution_length"], 0, _ENEMIES + 2, cells**2)) / 2
        met = trapezoid(facts["enemy_distances"], 0, 0, 0, _ENEMIES * (width + height))
        whole = (player == 1) & (exits == 1) & (regions == 1)
        return (counts + np.where(whole, way, 0.0) + np.where(whole, met, 0.0)) / 3

    def differences(self, facts: Facts) -> NDArray[np.float64]:
        """Scores how unlike what the solutions meet is, and a little how many tiles differ."""
        _, height, width = facts["content"].shape
        unlike = 1 - text_ratios(facts["text"], facts["text_length"])
        return trapezoid(unlike * 0.8 + hamming(facts["content"]) / (width * height) * 0.2, 0, 0.4, 1.0)

    def control_ranges(self, shape: Shape) -> dict[str, tuple[int, int]]:
        """The treasures on the way and the solution's length."""
        return {"col_treasures": (0, sum(shape)), "solution_length": (2 * _ENEMIES, shape[0] * shape[1] // 2)}

    def controllability(self, facts: Facts, controls: Mapping[str, NDArray]) -> NDArray[np.float64]:
        """Returns the mean score of the two."""
        errors = {
            "col_treasures": max(0.2 * sum(facts["content"].shape[1:]), 1),
            "solution_length": max(0.5 * _ENEMIES, 1),
        }
        scores = [
            trapezoid(facts[name], 0, controls[name] - error, controls[name] + error) for name, error in errors.items()
        ]
        return np.where(facts["heuristic"] == -1, 0.0, (scores[0] + scores[1]) / 2)


CRITERIA = Mdungeon(
    name="mdungeon",
    published="mdungeons-v0",
    shape=(12, 8),
    tiles=(
        ("empty", 1),
        ("solid", 0),
        ("player", 2),
        ("exit", 3),
        ("potion", 4),
        ("treasure", 5),
        ("goblin", 6),
        ("ogre", 7),
    ),
    baselines=(Baseline("ES", 1.00, 1.00, 0.21), Baseline("GA", 0.13, 0.30, 0.09)),
    # Eight enemies are not survived without potions, of which the benchmark allows any number.
    options={
        "targets": {
            "potions": (-np.inf, np.inf),
            "treasures": (-np.inf, np.inf),
            "enemies": (8, np.inf),
            "col-enemies": (8, np.inf),
            "sol-length": (9, np.inf),
        }
    },
)
