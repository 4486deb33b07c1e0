"""Loderunner by the PCG Benchmark, in its variant of single tiles: gold to collect all over a well used level."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from envs.criteria import Baseline, Criteria, Facts, trapezoid
from envs.kernels.benchmark_loderunner import FACTS, exploration_differences, study
from envs.problem import Shape

_GOLD, _ENEMIES = 6, 3
_EXPLORED, _USED, _RESEMBLANCE, _ISLANDS, _DIFFERENT = 0.2, 0.75, 0.75, 0.1, 0.4

#: Of the game's own levels, the histograms of `envs.kernels.benchmark_loderunner` as the benchmark counts them.
_MODELS = {
    "walking": "0 2 2 4 7 8 9 11 12 15 13 17 17 22 20 19 19 21 21 18 18 19 16 15 17 12 12 14 12 10 11 10",
    "climbing": "0 0 1 13 21 21 24 24 23 20 22 19 18 17 20 18 15 14 13 9 3 1",
    "hanging": "0 0 2 3 3 4 4 4 4 5 5 6 7 6 7 6 6 5 5 5 4 4 4 4 4 2 1 1 1 1 1 1",
    "falling": "0 21 51 62 61 60 64 65 65 65 66 58 51 49 54 48 50 46 35 32 5 2",
}


def _shares(counts: NDArray) -> NDArray[np.float64]:
    """Returns counts (n, lengths) as shares of their sum, which is taken for 1 where there are none."""
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def _distances(shares: NDArray[np.float64], model: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the Jensen-Shannon distance, by logarithms to the base 2, of each row of shares from a model."""
    middle = (shares + model) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        mine = np.where(shares > 0, shares * np.log2(shares / middle), 0.0).sum(axis=1)
        others = np.where(model > 0, model * np.log2(model / middle), 0.0).sum(axis=1)
    return np.sqrt(np.maximum(mine / 2 + others / 2, 0.0))


class Loderunner(Criteria):
    """The mean of four scores, each counted only once the one before is full: counts, exploring, use, resemblance.

    As in the benchmark's code, "resemblance" scores a weighted sum of distances from the game's own levels, of which
    0.75 to 1 is best; its histograms count cells behind the first of a row or column, not lengths of runs; brick and
    solid are one, and guards stand still. Its control parameters count the ladders and ropes. Its own searches
    put together patterns of two by two tiles.
    """

    def study(self, codes: NDArray[np.uint8]) -> Facts:
        """Counts, and explores."""
        counts, explored, runs = study(codes)
        facts = {**dict(zip(FACTS, counts.T, strict=True)), "exploration": explored}
        for kind, (name, figures) in enumerate(_MODELS.items()):
            # Other sizes than the published one have shorter or longer histograms; what neither counts weighs nothing.
            model = np.zeros(runs.shape[2])
            known = np.array(figures.split(), np.float64)[: len(model)]
            model[: len(known)] = known
            facts[name] = _distances(_shares(runs[:, kind]), _shares(model[None])[0])
        return facts

    def quality(self, facts: Facts) -> NDArray[np.float64]:
        """Returns the mean of the four scores."""
        _, height, width = facts["content"].shape
        cells = width * height
        counts = trapezoid(facts["player"], 0, 1, 1, cells)
        counts = counts + trapezoid(facts["gold"], 0, _GOLD, 2 * _GOLD, cells)
        counts = (counts + trapezoid(facts["enemy"], 0, _ENEMIES, 2 * _ENEMIES, cells)) / 3
        exploring = np.where(counts >= 1, trapezoid(facts["explored"], 0, int(_EXPLORED * cells), cells), 0.0)
        used = trapezoid(facts["used_tiles"] / np.maximum(facts["tiles"], 1), 0, _USED, 1.0)
        use = facts["collected_gold"] / np.maximum(facts["gold"], 1) + np.where(facts["tiles"] > 0, used, 0.0)
        use = np.where(exploring >= 1, use / 2, 0.0)
        distance = 0.9 * (facts["walking"] + facts["hanging"] + facts["climbing"]) + 0.1 * facts["falling"]
        islands = trapezoid(facts["islands"], 0, 0, _ISLANDS * cells, cells / 2)
        resemblance = np.where(use >= 1, (trapezoid(distance, 0, _RESEMBLANCE, 1) + islands) / 2, 0.0)
        return (counts + exploring + use + resemblance) / 4

    def differences(self, facts: Facts) -> NDArray[np.float64]:
        """Scores in how many cells the player moves otherwise."""
        _, height, width = facts["content"].shape
        kinds, falling = np.moveaxis(exploration_differences(facts["exploration"]), 2, 0)
        return trapezoid(0.3 * kinds + 0.1 * falling, 0, _DIFFERENT * width * height, width * height)

    def control_ranges(self, shape: Shape) -> dict[str, tuple[int, int]]:
        """The number of ladder and of rope tiles."""
        most = int(0.2 * shape[0] * shape[1])
        return {"ladder": (0, most), "rope": (0, most)}

    def controllability(self, facts: Facts, controls: Mapping[str, NDArray]) -> NDArray[np.float64]:
        """Returns the mean score of the two."""
        _, height, width = facts["content"].shape
        error, cells = max(int(0.02 * width * height), 1), width * height
        scores = [
            trapezoid(facts[name], 0, controls[name] - error, controls[name] + error, cells)
            for name in ("ladder", "rope")
        ]
        return (scores[0] + scores[1]) / 2


CRITERIA = Loderunner(
    name="loderunner",
    published="loderunnertile-v0",
    shape=(21, 32),
    tiles=(
        ("empty", 1),
        ("brick", 0),
        ("solid", 0),
        ("ladder", 5),
        ("rope", 6),
        ("gold", 3),
        ("guard", 4),
        ("player", 2),
    ),
    baselines=(Baseline("ES on patterns", 0.00, 0.01, 0.10), Baseline("GA on patterns", 0.00, 0.01, 0.17)),
    options={
        "targets": {
            "gold": (6, 12),
            "enemies": (3, 6),
            "explored": (20, 100),
            "used-tiles": (75, 100),
            "missed-gold": (0, 0),
        }
    },
)
