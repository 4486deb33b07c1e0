"""Mdungeon: a dungeon whose shortest way out leads past monsters (Khalifa 2020)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from envs.counts import exactly
from envs.errors import UserError
from envs.games.mdungeon import MdungeonRules
from envs.kernels.mdungeon import COL_ENEMIES, DIST_WIN, ENEMIES, SOL_LENGTH, measure_mdungeon
from envs.kernels.mdungeon_construct import construct_mdungeon
from envs.nouns import OPEN_TILE, REGIONS, SOLUTION, TO_WIN, WALL, Noun
from envs.problem import AS_LARGE_AS_POSSIBLE, AS_SMALL_AS_POSSIBLE, Example, Metric, Problem, Shape, Tile


def _cells(shape: Shape) -> tuple[float, float]:
    return 0, shape[0] * shape[1]


def _most_regions(shape: Shape) -> tuple[float, float]:
    return 0, (shape[0] * shape[1] + 1) // 2


def _gap(shape: Shape) -> tuple[float, float]:
    # At worst a player in the other corner has 1 health left of 5; at best all that there is are treasures.
    return -4 * shape[0] * shape[1], max(shape[0] * shape[1], shape[0] + shape[1] + 14)


def _longest(shape: Shape) -> tuple[float, float]:
    # Every cell twice; `measure` counts what is longer as the bound.
    return 0, 2 * shape[0] * shape[1]


class Mdungeon(Problem):
    """The mdungeon problem of gym-pcgrl, with an exact solver.

    Play is measured on levels of one player, one exit and one region of everything but solid; on others what is
    collected and sol-length are 0 and dist-win is the number of cells. On a level that can be won, the five describe
    the solver's solution: of the fewest moves, among those of the least health lost, and among those of the fewest
    enemies. On one for which no solution is known, they describe the nearest state among those that the player can
    reach alive, found breadth-first: nearest by the cells to the exit, plus 4 for each health that is missing, less 4
    for each treasure that was taken.
    """

    solution_length: ClassVar[int] = 20
    killed: ClassVar[float] = 0.5
    #: The most states that the solver expands for one level, and the most in search of the nearest one.
    budget: ClassVar[int] = 2_000

    def measure(self, levels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the eleven metrics, float32 (n, 11)."""
        return measure_mdungeon(levels, self.budget)

    def measure_static(self, levels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the metrics without play, float32 (n, 11)."""
        return measure_mdungeon(levels, self.budget, play=False)

    def succeeded(self, metrics: NDArray[np.float32], start_metrics: NDArray[np.float32]) -> NDArray[np.bool_]:
        """A solution of at least 20 moves that kills more than half of the enemies; nothing else is asked."""
        enough = metrics[:, COL_ENEMIES] > self.killed * metrics[:, ENEMIES]
        return (metrics[:, SOL_LENGTH] >= self.solution_length) & enough

    def construct(self, seeds: NDArray[np.uint64], shape: Shape) -> NDArray[np.uint8]:
        """Builds levels that succeed, strictly too; see `envs.kernels.mdungeon_construct`."""
        levels = construct_mdungeon(seeds, shape)
        if levels is None:
            raise UserError(
                f"An mdungeon level of shape {tuple(shape)} (height, width) has hardly room for a way of "
                f"{self.solution_length} moves; take at least (5, 7) or (7, 5)."
            )
        return levels

    def playable(self, metrics: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Levels that the solver wins."""
        return (metrics[:, DIST_WIN] <= 0) & (metrics[:, SOL_LENGTH] > 0)


PROBLEM = Mdungeon(
    name="mdungeon",
    description="a dungeon with a long way from the player to the exit, past one to six monsters",
    tiles=(
        Tile("empty", ".", (222, 206, 170), "floor"),
        Tile("solid", "#", (72, 66, 92), "wall"),
        Tile("player", "@", (70, 150, 220), "player"),
        Tile("exit", "D", (150, 90, 50), "stairs"),
        Tile("potion", "p", (220, 80, 120), "potion"),
        Tile("treasure", "t", (240, 200, 60), "treasure"),
        Tile("goblin", "g", (110, 180, 90), "goblin"),
        Tile("ogre", "o", (180, 120, 90), "ogre"),
    ),
    default_shape=(11, 7),
    start_probabilities=(0.4, 0.4, 0.02, 0.02, 0.03, 0.03, 0.05, 0.05),
    count_rules=exactly(1, "player", "exit"),
    symmetries=("mirror", "flip", "transpose"),
    nouns={
        "solid": WALL,
        "empty": OPEN_TILE,
        "exit": Noun("exit", others=("staircase",)),
        "enemies": Noun("enemy", others=("monster", "foe")),
        "regions": REGIONS,
        "col-potions": Noun("drunk potion", others=("collected potion",)),
        "col-treasures": Noun("taken treasure", others=("collected treasure",)),
        "col-enemies": Noun("killed enemy", others=("killed monster", "kill")),
        "dist-win": TO_WIN,
        "sol-length": SOLUTION,
    },
    metrics=(
        Metric("player", 3, (1, 1), _cells, "player tiles"),
        Metric("exit", 3, (1, 1), _cells, "exit tiles"),
        Metric("potions", 1, (-np.inf, 2), _cells, "potion tiles"),
        Metric("treasures", 1, (-np.inf, 3), _cells, "treasure tiles"),
        Metric("enemies", 2, (1, 6), _cells, "goblins and ogres together"),
        Metric("regions", 5, (1, 1), _most_regions, "4-connected regions of everything but solid"),
        Metric("col-potions", 0, AS_LARGE_AS_POSSIBLE, _cells, "potions that our player drinks", play=True),
        Metric("col-treasures", 0, AS_LARGE_AS_POSSIBLE, _cells, "treasures that our player takes", play=True),
        Metric("col-enemies", 2, AS_LARGE_AS_POSSIBLE, _cells, "enemies that our player kills", play=True),
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
    rules=MdungeonRules(),
    examples=(
        Example(
            ("@.g.D", "#####"),
            {
                **{"player": 1, "exit": 1, "potions": 0, "treasures": 0, "enemies": 1, "regions": 1},
                **{"col-potions": 0, "col-treasures": 0, "col-enemies": 1, "dist-win": 0, "sol-length": 4},
            },
            "solved",
            "a goblin in a corridor",
        ),
        Example(
            ("@oogD", "##p##"),
            {"potions": 1, "enemies": 3, "regions": 1, "col-potions": 1, "col-enemies": 3, "sol-length": 6},
            "solved",
            "down to the potion and back between the ogres, who are gone by then, and the goblin",
        ),
        Example(
            ("@..g...", "######.", "...o...", ".######", "...t..D", *6 * ("#######",)),
            {
                **{"player": 1, "exit": 1, "potions": 0, "treasures": 1, "enemies": 2, "regions": 1},
                **{"col-potions": 0, "col-treasures": 1, "col-enemies": 2, "dist-win": 0, "sol-length": 22},
            },
            "solved",
            "three rows of six steps, and two steps down between them twice",
        ),
        Example(
            ("p@oogD", "######"),
            {"enemies": 3, "regions": 1, "col-potions": 1, "col-enemies": 3, "dist-win": 0, "sol-length": 8},
            "solved",
            "kill an ogre, go back two steps for the potion, which gives nothing in full health, and then five on",
        ),
        Example(
            ("@oogD", "#####"),
            {"enemies": 3, "regions": 1, "col-potions": 0, "col-enemies": 0, "dist-win": 4, "sol-length": 0},
            "unsolvable",
            "5 health are too few; the start is the nearest, for each health lost counts as four cells",
        ),
        Example(
            ("@#", "#D"),
            {"player": 1, "exit": 1, "regions": 2, "col-enemies": 0, "dist-win": 4, "sol-length": 0},
            "unsolvable",
            "two regions: nothing is played",
        ),
    ),
)
