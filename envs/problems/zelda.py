"""Zelda: a dungeon room to escape from: find the key, reach the door, mind the monsters (Khalifa 2020)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.construction import confirmed, least_shape
from envs.counts import CountRule, exactly
from envs.games.zelda import ZeldaRules
from envs.kernels.zelda import measure_zelda
from envs.kernels.zelda_construct import construct_zelda, least_walk
from envs.linear import Apart, LinearRules, OneRegion, Touches
from envs.nouns import OPEN_TILE, REGIONS, WALL, Noun
from envs.problem import AS_LARGE_AS_POSSIBLE, Example, Metric, Problem, Shape, Tile, longest_path_bound


def _cells(shape: Shape) -> tuple[float, float]:
    return 0, shape[0] * shape[1]


def _most_regions(shape: Shape) -> tuple[float, float]:
    return 0, (shape[0] * shape[1] + 1) // 2


def _longest_walk(shape: Shape) -> tuple[float, float]:
    # Two legs; -1 stands for each that cannot be walked.
    return -2, 2 * longest_path_bound(shape)


class Zelda(Problem):
    """The zelda problem of gym-pcgrl."""

    nearest_enemy = 4
    path_length = 16

    def measure(self, levels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the seven metrics, float32 (n, 7); see `envs.kernels.zelda`."""
        return measure_zelda(levels)

    def succeeded(self, metrics: NDArray[np.float32], start_metrics: NDArray[np.float32]) -> NDArray[np.bool_]:
        """The nearest enemy at least 4 steps away and a path of at least 16 steps; nothing else is asked."""
        return (metrics[:, 5] >= self.nearest_enemy) & (metrics[:, 6] >= self.path_length)

    def playable(self, metrics: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Tells which levels can be walked through as far as metrics tell: one player, key and door, and a path.

        An enemy may bar the way all the same, and a door behind walls takes but 1 from the path: the solver knows.
        """
        return (metrics[:, :3] == 1).all(axis=1) & (metrics[:, 6] > 0)

    def construct(self, seeds: NDArray[np.uint64], shape: Shape) -> NDArray[np.uint8]:
        """Builds levels with 2 to 5 enemies that meet every target; see `envs.kernels.zelda_construct`.

        The path is at least 16 steps long wherever there is room, in the default shape always.
        """
        least_shape(self.name, shape, (5, 5))
        path = self.index("path-length")
        least = least_walk(shape)
        return confirmed(self, construct_zelda, seeds, shape, lambda measured: measured[:, path] >= least)


_ENEMIES = ("bat", "scorpion", "spider")
# What the player walks on before the door opens.
_WALKED = ("empty", "player", "key", *_ENEMIES)

PROBLEM = Zelda(
    name="zelda",
    description="a dungeon with one player, key and door, a long way round and monsters at a fair distance",
    tiles=(
        Tile("empty", ".", (222, 206, 170), "floor"),
        Tile("solid", "#", (72, 66, 92), "wall"),
        Tile("player", "@", (70, 150, 220), "player"),
        Tile("key", "k", (240, 200, 60), "key"),
        Tile("door", "D", (150, 90, 50), "door"),
        Tile("bat", "b", (130, 80, 170), "bat"),
        Tile("scorpion", "c", (200, 80, 60), "scorpion"),
        Tile("spider", "s", (60, 70, 80), "spider"),
    ),
    default_shape=(7, 11),
    start_probabilities=(0.58, 0.3, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02),
    count_rules=exactly(1, "player", "key", "door"),
    linear_rules=LinearRules(
        playable=(OneRegion(_WALKED), Touches("door", _WALKED)),
        targets=(
            CountRule(dict.fromkeys(_ENEMIES, 1), 2, 5),
            Apart("player", _ENEMIES, tuple(tile for tile in _WALKED if tile != "key"), 4),
        ),
    ),
    symmetries=("mirror", "flip", "transpose"),
    nouns={
        "solid": WALL,
        "empty": OPEN_TILE,
        "door": Noun("door", others=("exit",)),
        "enemies": Noun("enemy", others=("monster", "foe")),
        "nearest-enemy": Noun(
            "distance to the nearest enemy",
            others=("nearest enemy", "closest enemy", "enemy distance", "distance to the enemies"),
            grades=("short", "long"),
            unit="step",
        ),
        "regions": REGIONS,
        "path-length": Noun("path", others=("way", "route"), grades=("short", "long"), unit="step"),
    },
    metrics=(
        Metric("player", 3, (1, 1), _cells, "player tiles"),
        Metric("key", 3, (1, 1), _cells, "key tiles"),
        Metric("door", 3, (1, 1), _cells, "door tiles"),
        Metric("enemies", 1, (2, 5), _cells, "bats, scorpions and spiders together"),
        Metric("regions", 5, (1, 1), _most_regions, "4-connected regions of everything but solid and door"),
        Metric("nearest-enemy", 2, (4, np.inf), _cells, "steps from the player to the nearest enemy"),
        Metric(
            "path-length",
            1,
            AS_LARGE_AS_POSSIBLE,
            _longest_walk,
            "steps from the player to the key and on to the door",
        ),
    ),
    rules=ZeldaRules(),
    examples=(
        Example(
            ("@....", "####.", "k...."),
            {
                "player": 1,
                "key": 1,
                "door": 0,
                "enemies": 0,
                "regions": 1,
                "nearest-enemy": 0,
                "path-length": 0,
            },
            "unsolvable",
            "no door: the path is not measured",
        ),
        Example(
            ("@....", "####.", "D...k"),
            {
                "player": 1,
                "key": 1,
                "door": 1,
                "enemies": 0,
                "regions": 1,
                "nearest-enemy": 0,
                "path-length": 10,
            },
            "solved",
            "six steps to the key, four back to the door",
        ),
        Example(
            ("@....b", "####.#", "D...k#"),
            {
                "player": 1,
                "key": 1,
                "door": 1,
                "enemies": 1,
                "regions": 1,
                "nearest-enemy": 5,
                "path-length": 10,
            },
            None,
            "the nearest enemy is measured along the floor",
        ),
        Example(
            ("@k#b", "...#", "..D."),
            {
                "player": 1,
                "key": 1,
                "door": 1,
                "enemies": 1,
                "regions": 3,
                "nearest-enemy": 0,
                "path-length": 0,
            },
            "solved",
            "three regions: neither distance is measured, though the door can be reached",
        ),
    ),
)
