"""Ddave: platforms over spikes, with a key and an exit that take jumps to reach (Khalifa 2020)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from envs.counts import exactly
from envs.errors import UserError
from envs.games.ddave import DdaveRules
from envs.kernels.ddave import DIST_WIN, NUM_JUMPS, SOL_LENGTH, measure_ddave
from envs.kernels.ddave_construct import construct_ddave
from envs.nouns import OPEN_TILE, REGIONS, SOLUTION, TO_WIN, WALL, Noun
from envs.problem import AS_LARGE_AS_POSSIBLE, AS_SMALL_AS_POSSIBLE, Example, Metric, Problem, Shape, Tile


def _cells(shape: Shape) -> tuple[float, float]:
    return 0, shape[0] * shape[1]


def _most_regions(shape: Shape) -> tuple[float, float]:
    return 0, (shape[0] * shape[1] + 1) // 2


def _deepest(shape: Shape) -> tuple[float, float]:
    return 0, shape[0] * shape[1] * (shape[0] - 1)


def _gap(shape: Shape) -> tuple[float, float]:
    # At worst the key is in the other corner; at best all that there is are diamonds, at 5 each.
    return -5 * shape[0] * shape[1], max(shape[0] * shape[1], 2 * (shape[0] + shape[1]) + 2)


def _longest(shape: Shape) -> tuple[float, float]:
    # Every cell twice; `measure` counts what is longer as the bound. Random 7x11 levels take up to about 50 moves.
    return 0, 2 * shape[0] * shape[1]


class Ddave(Problem):
    """The ddave problem of gym-pcgrl, with an exact solver.

    Play is measured on levels of one player, one exit, one key and one region of everything but solid and spike; on
    others num-jumps, col-diamonds and sol-length are 0 and dist-win is the number of cells. On a level that can be
    won, the four describe the solver's solution: of the fewest moves, and among those of the fewest jumps. On one that
    cannot be won, they describe the nearest state among those that the player can reach, found breadth-first: nearest
    by the cells to the exit if the key is held, else by the cells to the key and the level's height, width and 4
    more; 5 are taken off for each diamond that was taken.
    """

    solution_length: ClassVar[int] = 20
    jumps: ClassVar[int] = 3
    #: The most states that are searched for the nearest one, on levels that cannot be won. Whether a level can be won
    #: is always found out, for that takes no more than six states a cell.
    budget: ClassVar[int] = 2_000

    def measure(self, levels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the eleven metrics, float32 (n, 11)."""
        return measure_ddave(levels, self.budget)

    def measure_static(self, levels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the metrics without play, float32 (n, 11)."""
        return measure_ddave(levels, self.budget, play=False)

    def succeeded(self, metrics: NDArray[np.float32], start_metrics: NDArray[np.float32]) -> NDArray[np.bool_]:
        """A solution of at least 20 moves with more than 2 jumps; nothing else is asked."""
        return (metrics[:, SOL_LENGTH] >= self.solution_length) & (metrics[:, NUM_JUMPS] >= self.jumps)

    def construct(self, seeds: NDArray[np.uint64], shape: Shape) -> NDArray[np.uint8]:
        """Builds levels that succeed, strictly too; see `envs.kernels.ddave_construct`."""
        levels = construct_ddave(seeds, shape)
        if levels is None:
            raise UserError(
                f"A ddave level of shape {tuple(shape)} (height, width) has hardly room for a way of "
                f"{self.solution_length} moves over 10 spikes; take at least (5, 7)."
            )
        return levels

    def playable(self, metrics: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Levels that the solver wins."""
        return (metrics[:, DIST_WIN] <= 0) & (metrics[:, SOL_LENGTH] > 0)


PROBLEM = Ddave(
    name="ddave",
    description="a cave of platforms over spikes, with a key and an exit that take many moves and jumps to reach",
    tiles=(
        Tile("empty", ".", (222, 206, 170), "floor"),
        Tile("solid", "#", (72, 66, 92), "wall"),
        Tile("player", "@", (70, 150, 220), "player"),
        Tile("exit", "D", (150, 90, 50), "door"),
        Tile("diamond", "$", (110, 220, 240), "diamond"),
        Tile("key", "k", (240, 200, 60), "key"),
        Tile("spike", "^", (190, 60, 70), "spike"),
    ),
    default_shape=(7, 11),
    start_probabilities=(0.5, 0.3, 0.02, 0.02, 0.04, 0.02, 0.1),
    count_rules=exactly(1, "player", "exit", "key"),
    symmetries=("mirror",),
    nouns={
        "solid": WALL,
        "empty": OPEN_TILE,
        "exit": Noun("exit", others=("door",)),
        "diamonds": Noun("diamond", others=("gem",)),
        "dist-floor": Noun("drop of the player", grades=("short", "long"), unit="cell"),
        "regions": REGIONS,
        "num-jumps": Noun("jump"),
        "col-diamonds": Noun("taken diamond", others=("collected diamond",)),
        "dist-win": TO_WIN,
        "sol-length": SOLUTION,
    },
    metrics=(
        Metric("player", 3, (1, 1), _cells, "player tiles"),
        Metric(
            "dist-floor",
            2,
            (0, 0),
            _deepest,
            "cells between the players and the solid below them; the height less 1 where there is none",
        ),
        Metric("exit", 3, (1, 1), _cells, "exit tiles"),
        Metric("diamonds", 1, (-np.inf, 3), _cells, "diamond tiles"),
        Metric("key", 3, (1, 1), _cells, "key tiles"),
        Metric("spikes", 1, (10, np.inf), _cells, "spike tiles"),
        Metric("regions", 5, (1, 1), _most_regions, "4-connected regions of everything but solid and spike"),
        Metric("num-jumps", 3, AS_LARGE_AS_POSSIBLE, _cells, "jumps of our player", play=True),
        Metric("col-diamonds", 0, AS_LARGE_AS_POSSIBLE, _cells, "diamonds that our player takes", play=True),
        Metric(
            "dist-win", 0.1, AS_SMALL_AS_POSSIBLE, _gap, "how far our player's best state is from winning", play=True
        ),
        Metric(
            "sol-length",
            1,
            AS_LARGE_AS_POSSIBLE,
            _longest,
            "moves of the shortest solution, 0 without one",
            play=True,
        ),
    ),
    rules=DdaveRules(),
    examples=(
        Example(
            ("@.k.D", "#####"),
            {
                **{"player": 1, "dist-floor": 0, "exit": 1, "diamonds": 0, "key": 1, "spikes": 0, "regions": 1},
                **{"num-jumps": 0, "col-diamonds": 0, "dist-win": 0, "sol-length": 4},
            },
            "solved",
            "a straight walk through the key",
        ),
        Example(
            ("...k.", ".....", "@...D"),
            {"player": 1, "dist-floor": 2, "regions": 1, "num-jumps": 1, "dist-win": 0, "sol-length": 6},
            "solved",
            "right, jump, right, right to hang at the key, right and down; no solid is below the player",
        ),
        Example(
            ("^^^^^^^^...", *4 * ("...........",), "D@.^...^..k", "###########"),
            {
                **{"player": 1, "dist-floor": 0, "exit": 1, "diamonds": 0, "key": 1, "spikes": 10, "regions": 1},
                **{"num-jumps": 4, "col-diamonds": 0, "dist-win": 0, "sol-length": 23},
            },
            "solved",
            "nineteen cells there and back, and a jump over each of two spikes both times",
        ),
        Example(
            ("...........", "...........", "@^^^^.kD..."),
            {"spikes": 4, "regions": 1, "num-jumps": 1, "col-diamonds": 0, "dist-win": 22, "sol-length": 0},
            "unsolvable",
            "a jump crosses three spikes at most: it comes within 4 cells of the key, and 3 + 11 + 4 are added",
        ),
        Example(
            ("@#k", "##D"),
            {"player": 1, "dist-floor": 0, "regions": 2, "num-jumps": 0, "dist-win": 6, "sol-length": 0},
            "unsolvable",
            "two regions: nothing is played",
        ),
    ),
)
