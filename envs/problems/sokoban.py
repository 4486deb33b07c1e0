"""Sokoban: a warehouse whose crates can all be pushed onto targets, in as many moves as possible (Khalifa 2020)."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from envs.counts import CountRule, exactly
from envs.errors import UserError
from envs.games.sokoban import SokobanRules
from envs.kernels.sokoban import construct, measure, measure_static
from envs.nouns import OPEN_TILE, REGIONS, SOLUTION, TO_WIN, WALL, Noun
from envs.problem import AS_LARGE_AS_POSSIBLE, AS_SMALL_AS_POSSIBLE, Example, Metric, Problem, Shape, Tile


def _cells(shape: Shape) -> tuple[float, float]:
    return 0, shape[0] * shape[1]


def _most_regions(shape: Shape) -> tuple[float, float]:
    return 0, (shape[0] * shape[1] + 1) // 2


def _longest(shape: Shape) -> tuple[float, float]:
    # The level's height and width, walked once for every cell: 250 on 5x5, where random levels with three crates take
    # up to about 50 moves and the longest that we know takes 100. `measure` counts what is longer as the bound.
    return 0, shape[0] * shape[1] * (shape[0] + shape[1])


class Sokoban(Problem):
    """The sokoban problem of gym-pcgrl, with an exact solver.

    dist-win and sol-length need a level of one player, one region, and as many crates as targets but not none; on
    others they are cells * (height + width) and 0. A solved level has a dist-win of 0, and the moves of its shortest
    solution as its sol-length. Where no solution was found, dist-win is the least, over the start and the states that
    the search did not drop as hopeless, of the sum over crates of the Manhattan distance to the nearest target.
    """

    solution_length: ClassVar[int] = 18
    #: The most states that the solver expands for one level. On 5x5 it proved every level of up to three crates that
    #: we tried, also those that were bred to be hard for it; with more crates some are given up as unknown.
    budget: ClassVar[int] = 2_000
    #: The least height and width of constructed levels.
    least_side: ClassVar[int] = 3

    def measure(self, levels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the seven metrics, float32 (n, 7)."""
        return measure(levels, self.budget)[0]

    def measure_static(self, levels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns what can be counted, float32 (n, 7); dist-win and sol-length are 0."""
        return measure_static(levels)

    def playable(self, metrics: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Every crate can be brought to a target, as the solver has found."""
        return metrics[:, self.index("sol-length")] > 0

    def construct(self, seeds: NDArray[np.uint64], shape: Shape) -> NDArray[np.uint8]:
        """Builds levels by playing backwards from a solved room (Taylor and Parberry 2011).

        A room of connected floor is carved, one to three targets get their crates, and from there the player walks and
        pulls; the level begins as many moves from the win as was found. Rooms are tried until that is
        `solution_length` moves, or some dozens have been tried. The solver has confirmed every level.

        Args:
            seeds: uint64 (n,).
            shape: the (height, width), at least (3, 3).

        Returns:
            uint8 (n, height, width), each level with one player, one region, and one to three crates and targets.

        Raises:
            UserError: the shape is less than (3, 3).
        """
        if min(shape) < self.least_side:
            raise UserError(
                f"The constructive generator of sokoban builds levels of at least ({self.least_side}, "
                f"{self.least_side}); got {tuple(shape)}."
            )
        return construct(seeds, shape, self.solution_length, self.budget)

    def succeeded(self, metrics: NDArray[np.float32], start_metrics: NDArray[np.float32]) -> NDArray[np.bool_]:
        """A shortest solution of at least 18 moves; nothing else is asked."""
        return metrics[:, 6] >= self.solution_length


PROBLEM = Sokoban(
    name="sokoban",
    description="a warehouse of one to three crates that takes many moves to solve",
    tiles=(
        Tile("empty", "-", (222, 206, 170), "floor"),
        Tile("solid", "#", (72, 66, 92), "wall"),
        Tile("player", "@", (70, 150, 220), "player"),
        Tile("crate", "$", (176, 122, 66), "crate"),
        Tile("target", ".", (214, 84, 84), "target"),
    ),
    default_shape=(5, 5),
    start_probabilities=(0.45, 0.4, 0.05, 0.05, 0.05),
    count_rules=(
        *exactly(1, "player"),
        CountRule({"crate": 1}, 1, math.inf),
        CountRule({"crate": 1, "target": -1}, 0, 0),
    ),
    symmetries=("mirror", "flip", "transpose"),
    nouns={
        "solid": WALL,
        "empty": OPEN_TILE,
        "crate": Noun("crate", others=("box",)),
        "target": Noun("target", others=("goal", "storage place")),
        "regions": REGIONS,
        "ratio": Noun("mismatch", others=("crate without target", "target without crate")),
        "dist-win": TO_WIN,
        "sol-length": SOLUTION,
    },
    metrics=(
        Metric("player", 3, (1, 1), _cells, "player tiles"),
        Metric("crate", 2, (1, 3), _cells, "crate tiles"),
        Metric("target", 2, (1, 3), _cells, "target tiles"),
        Metric("regions", 5, (1, 1), _most_regions, "4-connected regions of everything but solid"),
        Metric("ratio", 2, (0, 0), _cells, "how many more crates than targets there are, or targets than crates"),
        Metric(
            "dist-win",
            0,
            AS_SMALL_AS_POSSIBLE,
            _longest,
            "cells between the crates and their nearest targets in the best state that the solver found",
            play=True,
        ),
        Metric(
            "sol-length", 1, AS_LARGE_AS_POSSIBLE, _longest, "moves of the shortest solution, 0 without one", play=True
        ),
    ),
    rules=SokobanRules(),
    examples=(
        Example(
            ("@$--.", "#####"),
            {"player": 1, "crate": 1, "target": 1, "regions": 1, "ratio": 0, "dist-win": 0, "sol-length": 3},
            "solved",
            "a straight corridor: three pushes",
        ),
        Example(
            ("@----", "#-$-#", "#---#", "#.###"),
            {"player": 1, "crate": 1, "target": 1, "regions": 1, "ratio": 0, "dist-win": 0, "sol-length": 9},
            "solved",
            "left and then down twice, or down, left and down: nine moves either way",
        ),
        Example(
            ("$--", "-@-", "--."),
            {"player": 1, "crate": 1, "target": 1, "regions": 1, "ratio": 0, "dist-win": 4, "sol-length": 0},
            "unsolvable",
            "a crate in a corner never moves",
        ),
        Example(
            ("-----", "-$$--", "-$$--", "--@--", "....-"),
            {"player": 1, "crate": 4, "target": 4, "regions": 1, "ratio": 0, "sol-length": 0},
            "unsolvable",
            "four crates in a square hold each other fast",
        ),
        Example(
            ("@$-", "###", "-.-"),
            {"player": 1, "crate": 1, "target": 1, "regions": 2, "ratio": 0, "dist-win": 54, "sol-length": 0},
            "unsolvable",
            "two regions: the solution is not measured, and there is none",
        ),
        Example(
            ("@$-", "-$-", "--."),
            {"player": 1, "crate": 2, "target": 1, "regions": 1, "ratio": 1, "dist-win": 54, "sol-length": 0},
            "unsolvable",
            "more crates than targets: not a level that can be started",
        ),
    ),
)
