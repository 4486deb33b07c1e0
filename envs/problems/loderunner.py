"""Loderunner: a mine of platforms, ladders and ropes, with gold to take and guards to trap."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from envs.counts import CountRule, exactly
from envs.errors import UserError
from envs.games.loderunner import LoderunnerRules
from envs.kernels import loderunner as kernels
from envs.kernels.loderunner_construct import LEAST_HEIGHT, LEAST_WIDTH, build
from envs.nouns import SOLUTION, Noun
from envs.problem import Example, Metric, Problem, Shape, Tile


def _cells(shape: Shape) -> tuple[float, float]:
    return 0, shape[0] * shape[1]


def _percent(shape: Shape) -> tuple[float, float]:
    return 0, 100


def _longest(shape: Shape) -> tuple[float, float]:
    return 0, shape[0] * shape[1] * (shape[0] + shape[1])


class Loderunner(Problem):
    """A mine to plunder. gym-pcgrl has no such problem; tiles, metrics and targets follow two suites that do.

    Tiles, and the rule of success, are control-pcgrl's (`loderunner_prob.py`, Earle 2021): the level is won, by a way
    of at least 20 steps; our way is that of our player, who keeps the rules of `envs.games.loderunner` with guards and
    digging, and is not the shortest. The size is that of the 150 levels of the VGLC (Summerville 2016). The targets of
    gold (6 to 12), enemies (3 to 6), explored (20 %) and used-tiles (75 %) are pcg_benchmark's (`loderunnertile`,
    Khalifa 2025), whose player neither digs nor meets guards; both metrics are a flood under that simplification.
    """

    solution_length: ClassVar[int] = 20
    #: The most states that the solver expands when a level is measured.
    budget: ClassVar[int] = 3_000
    #: The same for an attempt of `construct`: what `budget` gives to the search's first round, so that what the one
    #: solves the other does.
    attempt_budget: ClassVar[int] = 450
    #: How many attempts `construct` makes at one level.
    attempts: ClassVar[int] = 2_000

    def measure(self, levels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the eight metrics, float32 (n, 8)."""
        return kernels.measure(levels, self.budget)

    def measure_static(self, levels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the metrics without play, float32 (n, 8); in the last two columns the gold, and 0."""
        return kernels.measure_static(levels)

    def succeeded(self, metrics: NDArray[np.float32], start_metrics: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Our player takes all the gold, in at least 20 ticks; nothing else is asked."""
        return metrics[:, kernels.LENGTH] >= self.solution_length

    def playable(self, metrics: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Our player takes all the gold."""
        return metrics[:, kernels.LENGTH] > 0

    def construct(self, seeds: NDArray[np.uint64], shape: Shape) -> NDArray[np.uint8]:
        """Builds floors joined by ladders and ropes, and keeps what our player wins and what meets every target.

        Raises:
            UserError: the shape is too small, or no attempt succeeds.
        """
        if shape[0] < LEAST_HEIGHT or shape[1] < LEAST_WIDTH:
            raise UserError(
                f"Constructed loderunner levels must be at least {(LEAST_HEIGHT, LEAST_WIDTH)} (height, width); "
                f"got {tuple(shape)}."
            )
        seeds = np.ascontiguousarray(seeds, np.uint64)
        levels = np.empty((len(seeds), *shape), np.uint8)
        waiting = np.arange(len(seeds))
        low, high = (np.array([metric.target[end] for metric in self.metrics]) for end in (0, 1))
        for attempt in range(self.attempts):
            if not len(waiting):
                return levels
            tried = np.empty((len(waiting), *shape), np.uint8)
            build(seeds[waiting], attempt, tried)
            static = kernels.measure_static(tried)[:, : kernels.GOLD_MISSED]
            fine = ((static >= low[: kernels.GOLD_MISSED]) & (static <= high[: kernels.GOLD_MISSED])).all(axis=1)
            metrics = kernels.measure(tried[fine], self.attempt_budget)
            kept = np.flatnonzero(fine)[((metrics >= low) & (metrics <= high)).all(axis=1)]
            levels[waiting[kept]] = tried[kept]
            waiting = np.delete(waiting, kept)
        if len(waiting):
            raise UserError(
                f"{len(waiting)} of {len(levels)} loderunner levels of shape {tuple(shape)} could not be built in "
                f"{self.attempts} attempts each; choose a larger shape."
            )
        return levels


PROBLEM = Loderunner(
    name="loderunner",
    description="a mine of platforms, ladders and ropes whose gold can all be taken, past guards",
    tiles=(
        Tile("empty", ".", (34, 33, 52), "cavern"),
        Tile("brick", "b", (196, 100, 70), "redbrick"),
        Tile("solid", "B", (116, 122, 140), "stone"),
        Tile("ladder", "#", (214, 164, 92), "ladder"),
        Tile("rope", "-", (196, 176, 128), "rope"),
        Tile("gold", "G", (255, 202, 64), "gold"),
        Tile("guard", "E", (150, 166, 186), "guard"),
        Tile("player", "M", (46, 176, 156), "miner"),
    ),
    default_shape=(22, 32),
    # The shares of the 150 levels of the VGLC, but for the player: about one level in three begins with exactly one.
    start_probabilities=(0.5614, 0.2374, 0.0345, 0.1008, 0.0321, 0.0277, 0.0046, 0.0015),
    count_rules=(*exactly(1, "player"), CountRule({"gold": 1}, 1, math.inf)),
    nouns={
        "empty": Noun("empty tile", others=("open tile",)),
        "solid": Noun("stone", others=("solid tile",)),
        "gold": Noun("piece of gold", others=("gold", "gold piece", "nugget")),
        "enemies": Noun("guard", others=("enemy", "monster")),
        "explored": Noun("reachable part", grades=("small", "large"), unit="percent"),
        "used-tiles": Noun("used part", grades=("small", "large"), unit="percent"),
        "stranded-gold": Noun("piece of stranded gold"),
        "missed-gold": Noun("piece of missed gold"),
        "sol-length": SOLUTION,
    },
    metrics=(
        Metric("player", 3, (1, 1), _cells, "player tiles"),
        Metric("gold", 1, (6, 12), _cells, "gold tiles"),
        Metric("enemies", 1, (3, 6), _cells, "guard tiles"),
        Metric("explored", 1, (20, 100), _percent, "percent of the cells that are reached without digging or guards"),
        Metric(
            "used-tiles",
            1,
            (75, 100),
            _percent,
            "percent of ladders, ropes and places to stand on that are reached without digging or guards",
        ),
        Metric("stranded-gold", 2, (0, 0), _cells, "gold that no digging leads to, with no guards about"),
        Metric("missed-gold", 2, (0, 0), _cells, "gold that our player does not take in its best game", play=True),
        Metric(
            "sol-length", 0.1, (20, np.inf), _longest, "ticks in which our player takes all gold, 0 if not", play=True
        ),
    ),
    rules=LoderunnerRules(),
    examples=(
        Example(
            ("M..G", "bbbb"),
            {
                "player": 1,
                "gold": 1,
                "enemies": 0,
                "explored": 50,
                "used-tiles": 100,
                "stranded-gold": 0,
                "missed-gold": 0,
                "sol-length": 3,
            },
            "solved",
            "three steps to the right",
        ),
        Example(
            ("M...", "bbbb", "G...", "BBBB"),
            {
                "player": 1,
                "gold": 1,
                "enemies": 0,
                "explored": 25,
                "used-tiles": 50,
                "stranded-gold": 0,
                "missed-gold": 0,
            },
            "solved",
            "the floor must be dug through",
        ),
        Example(
            ("M..", "BBB", "G..", "BBB"),
            {"player": 1, "gold": 1, "stranded-gold": 1, "missed-gold": 1, "sol-length": 0},
            "unsolvable",
            "solid cannot be dug",
        ),
        Example(
            ("#..", "#.G", "Mbb", "BBB"),
            {"player": 1, "gold": 1, "stranded-gold": 1, "missed-gold": 1, "sol-length": 0},
            "unsolvable",
            "nobody jumps: the ladder begins out of reach above the player's head",
        ),
        Example(
            ("MEG", "BBB"),
            {"player": 1, "gold": 1, "enemies": 1, "stranded-gold": 0, "missed-gold": 1, "sol-length": 0},
            "unsolvable",
            "no way past the guard",
        ),
        Example(
            ("......", "M.----", "bb...G", "....bb"),
            {"player": 1, "gold": 1, "enemies": 0, "stranded-gold": 0, "missed-gold": 0, "sol-length": 6},
            "solved",
            "along the rope, and let go above the gold",
        ),
    ),
)
