"""Maze: a player, a door, and the way from the one to the other as long as possible (Earle 2024).

Tiles, weights, targets and start probabilities are those of pcgrl-jax. Its border tile, which stands for what is
outside a level, is no tile here; and it has no signal of success, so that success means that every finite target is
met: one player, one door, one region. Then the door can be reached.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.construction import confirmed, least_shape
from envs.counts import exactly
from envs.games.maze import DoorRules
from envs.kernels.maze import measure_maze
from envs.kernels.maze_construct import construct_mazes
from envs.linear import LinearRules, OneRegion
from envs.nouns import OPEN_TILE, REGIONS, WALL, Noun
from envs.problem import AS_LARGE_AS_POSSIBLE, Example, Metric, Problem, Shape, Tile, longest_path_bound


def _cells(shape: Shape) -> tuple[float, float]:
    return 0, shape[0] * shape[1]


def _most_regions(shape: Shape) -> tuple[float, float]:
    return 0, (shape[0] * shape[1] + 1) // 2


def _longest_path(shape: Shape) -> tuple[float, float]:
    return 0, longest_path_bound(shape)


class Maze(Problem):
    """The maze problem of pcgrl-jax."""

    def measure(self, levels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the four metrics, float32 (n, 4); see `envs.kernels.maze`."""
        return measure_maze(levels)

    def succeeded(self, metrics: NDArray[np.float32], start_metrics: NDArray[np.float32]) -> NDArray[np.bool_]:
        """One player, one door and one region."""
        return (metrics[:, :3] == 1).all(axis=1)

    def playable(self, metrics: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Tells which levels can be walked to their end: those with a path to measure."""
        return metrics[:, 3] > 0

    def construct(self, seeds: NDArray[np.uint64], shape: Shape) -> NDArray[np.uint8]:
        """Builds mazes of one region with the player and the door far apart; see `envs.kernels.maze_construct`."""
        least_shape(self.name, shape, (3, 3))
        return confirmed(self, construct_mazes, seeds, shape)


PROBLEM = Maze(
    name="maze",
    description="one connected maze with one player, one door and a long way between them",
    tiles=(
        Tile("empty", ".", (222, 206, 170), "floor"),
        Tile("solid", "#", (72, 66, 92), "wall"),
        Tile("player", "@", (70, 150, 220), "player"),
        Tile("door", "D", (150, 90, 50), "door-open"),
    ),
    default_shape=(16, 16),
    start_probabilities=(0.48, 0.48, 0.02, 0.02),
    count_rules=exactly(1, "player", "door"),
    linear_rules=LinearRules(playable=(OneRegion(("empty", "player", "door")),)),
    symmetries=("mirror", "flip", "transpose"),
    nouns={
        "solid": WALL,
        "empty": OPEN_TILE,
        "door": Noun("door", others=("exit",)),
        "regions": REGIONS,
        "path-length": Noun("path", others=("way", "route"), grades=("short", "long"), unit="step"),
    },
    metrics=(
        Metric("player", 1, (1, 1), _cells, "player tiles"),
        Metric("door", 1, (1, 1), _cells, "door tiles"),
        Metric("regions", 1, (1, 1), _most_regions, "4-connected regions of everything but solid"),
        Metric("path-length", 1, AS_LARGE_AS_POSSIBLE, _longest_path, "steps from the player to the door"),
    ),
    rules=DoorRules(),
    examples=(
        Example(
            ("@....", "####.", "D...."),
            {"player": 1, "door": 1, "regions": 1, "path-length": 10},
            "solved",
            "there and back along two corridors",
        ),
        Example(
            ("@.#", ".#.", "#.D"),
            {"player": 1, "door": 1, "regions": 2, "path-length": 0},
            "unsolvable",
            "two regions: no path is measured",
        ),
        Example(
            ("@D#", "###", "#.."),
            {"player": 1, "door": 1, "regions": 2, "path-length": 0},
            "solved",
            "the door is beside the player, but there is a second region",
        ),
        Example(
            ("@.D", "..D"),
            {"player": 1, "door": 2, "regions": 1, "path-length": 0},
            "unsolvable",
            "two doors: it is not clear where to go",
        ),
        Example(
            (
                "@...............",
                "###############.",
                "................",
                ".###############",
                "................",
                "###############.",
                "................",
                ".###############",
                "................",
                "###############.",
                "................",
                ".###############",
                "................",
                "###############.",
                "................",
                "D###############",
            ),
            # Eight corridors of 15 steps, two steps between one and the next, and one to the door.
            {"player": 1, "door": 1, "regions": 1, "path-length": 8 * 15 + 7 * 2 + 1},
            "solved",
            "back and forth through the whole level",
        ),
    ),
)
