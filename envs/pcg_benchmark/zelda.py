"""Zelda by the PCG Benchmark: one region, one player, key and door, few enemies, a long way to the key and the door."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from envs.criteria import Baseline, Criteria, Facts, trapezoid
from envs.kernels.benchmark import text_ratios
from envs.kernels.benchmark_zelda import FACTS, study
from envs.problem import Shape

#: How many enemies there should be, and how many more or fewer there may be.
_ENEMIES, _SPARE = 3, 1


class Zelda(Criteria):
    """The mean of four scores: regions, counts, whether key and door are reached, and the way's length.

    As in the benchmark's code, levels are told apart by the way from the player to the key alone: it looks for the way
    on to the door with the door closed and finds none.
    """

    def study(self, codes: NDArray[np.uint8]) -> Facts:
        """Counts, and measures the two ways."""
        facts, texts = study(codes)
        return {**dict(zip(FACTS, facts.T, strict=True)), "text": texts}

    def quality(self, facts: Facts) -> NDArray[np.float64]:
        """Returns the mean of the four scores."""
        _, height, width = facts["content"].shape
        cells = width * height
        regions = trapezoid(facts["regions"], 0, 1, 1, cells / 10)
        player, key, door = (trapezoid(facts[name], 0, 1, 1, cells) for name in ("players", "keys", "doors"))
        enemies = trapezoid(facts["enemies"], 0, _ENEMIES - _SPARE, _ENEMIES + _SPARE, cells)
        reached = ((facts["player_key"] > 0).astype(np.float64) + (facts["key_door"] > 0)) / 2
        way = trapezoid(facts["player_key"] + facts["key_door"], 0, width + height, cells)
        whole = (player >= 1) & (key >= 1) & (door >= 1)
        added = np.where(whole, reached + np.where(reached == 1, way, 0.0), 0.0)
        return (regions + (player + key + door + enemies) / 4 + added) / 4

    def differences(self, facts: Facts) -> NDArray[np.float64]:
        """Scores how unlike the ways to the keys are as texts."""
        return trapezoid(1 - text_ratios(facts["text"], facts["text_length"]), 0, 0.3, 1.0)

    def control_ranges(self, shape: Shape) -> dict[str, tuple[int, int]]:
        """The steps from the player to the key, and from the key to the door."""
        ends = int(sum(shape) / 2 + _tolerance(shape)), int(shape[0] * shape[1] / 4)
        return {"player_key": ends, "key_door": ends}

    def controllability(self, facts: Facts, controls: Mapping[str, NDArray]) -> NDArray[np.float64]:
        """Returns the mean score of the two ways."""
        shape = facts["content"].shape[1:]
        error, most = _tolerance(shape), int(shape[0] * shape[1] / 4)
        scores = [
            trapezoid(facts[name], 0, controls[name] - error, controls[name] + error, most)
            for name in ("player_key", "key_door")
        ]
        return (scores[0] + scores[1]) / 2


def _tolerance(shape: Shape) -> int:
    return max(int(sum(shape) / 2 * 0.25), 1)


CRITERIA = Zelda(
    name="zelda",
    published="zelda-v0",
    shape=(7, 11),
    tiles=(
        ("empty", 1),
        ("solid", 0),
        ("player", 2),
        ("key", 3),
        ("door", 4),
        ("bat", 5),
        ("scorpion", 5),
        ("spider", 5),
    ),
    baselines=(Baseline("ES", 0.01, 0.62, 0.01), Baseline("GA", 0.15, 0.53, 0.30)),
    # The benchmark counts the door to a region, our metric does not: a door between two rooms is one region there.
    options={
        "targets": {"enemies": (2, 4), "nearest-enemy": (-np.inf, np.inf), "path-length": (18, np.inf)},
        "weights": {"nearest-enemy": 0},
    },
)
