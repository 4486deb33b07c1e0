"""Dungeon: take the key and the treasure past the monsters and leave by the door (Earle 2024).

Weights and targets are those of pcgrl-jax's dungeon, with the treasure of its dungeon2 as a ninth tile: one treasure,
of the same weight as one key. What it leaves open or leaves rough is settled so:

- There are 2 to 5 enemies to be had, which is what its own measure of a playable level asks; its reward is flat from
  1 to 6. Only the treasure's room that dungeon2 asks for besides is left out.
- Regions and walks are zelda's: enemies and the player do not stand in the way like walls, steps are counted from the
  player's own cell (not from the next), and a path is measured whatever the number of enemies.
- Its border tile, which stands for what is outside a level, is no tile here.
- It has no signal of success: success means that every finite target is met and that there is a path.
- To win a game, both the key and the treasure must be held; then the door opens.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.construction import confirmed, least_shape
from envs.counts import CountRule, exactly
from envs.games.zelda import DungeonRules
from envs.kernels.zelda import measure_dungeon
from envs.kernels.zelda_construct import construct_dungeons, least_walk
from envs.linear import Apart, LinearRules, OneRegion, Touches
from envs.nouns import OPEN_TILE, REGIONS, WALL, Noun
from envs.problem import AS_LARGE_AS_POSSIBLE, Example, Metric, Problem, Shape, Tile, longest_path_bound


def _cells(shape: Shape) -> tuple[float, float]:
    return 0, shape[0] * shape[1]


def _most_regions(shape: Shape) -> tuple[float, float]:
    return 0, (shape[0] * shape[1] + 1) // 2


def _longest_walk(shape: Shape) -> tuple[float, float]:
    return 0, 2 * longest_path_bound(shape)


class Dungeon(Problem):
    """The dungeon problem of pcgrl-jax, with a treasure."""

    def measure(self, levels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the eight metrics, float32 (n, 8); see `envs.kernels.zelda`."""
        return measure_dungeon(levels)

    def succeeded(self, metrics: NDArray[np.float32], start_metrics: NDArray[np.float32]) -> NDArray[np.bool_]:
        """One of each thing and one region, 2 to 5 enemies, the nearest at least 2 steps away, and a path."""
        met = self.playable(metrics)
        for i, metric in enumerate(self.metrics):
            if metric.finite:
                met &= (metrics[:, i] >= metric.target[0]) & (metrics[:, i] <= metric.target[1])
        return met

    def playable(self, metrics: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Tells which levels can be walked through, were there no enemies: seldom does one of these bar the way."""
        return (metrics[:, 7] == 1) & (metrics[:, 6] > 0)

    def construct(self, seeds: NDArray[np.uint64], shape: Shape) -> NDArray[np.uint8]:
        """Builds dungeons with 2 to 5 enemies that meet every target; see `envs.kernels.zelda_construct`.

        The path is at least 16 steps long wherever there is room, and the nearest enemy at least 4 steps away.
        """
        least_shape(self.name, shape, (5, 5))
        path = self.index("path-length")
        least = least_walk(shape)
        return confirmed(self, construct_dungeons, seeds, shape, lambda measured: measured[:, path] >= least)


_ENEMIES = ("bat", "scorpion", "spider")
# What the player walks on before the door opens.
_WALKED = ("empty", "player", "key", "treasure", *_ENEMIES)

PROBLEM = Dungeon(
    name="dungeon",
    description="a dungeon with one player, key, door and treasure, a long way round and a few monsters",
    tiles=(
        Tile("empty", ".", (222, 206, 170), "floor"),
        Tile("solid", "#", (72, 66, 92), "wall"),
        Tile("player", "@", (70, 150, 220), "player"),
        Tile("key", "k", (240, 200, 60), "key"),
        Tile("door", "D", (150, 90, 50), "door"),
        Tile("bat", "b", (130, 80, 170), "bat"),
        Tile("scorpion", "c", (200, 80, 60), "scorpion"),
        Tile("spider", "s", (60, 70, 80), "spider"),
        Tile("treasure", "$", (210, 150, 40), "treasure-chest"),
    ),
    default_shape=(16, 16),
    # dungeon2's: the door gives half of its share to the treasure.
    start_probabilities=(0.58, 0.3, 0.02, 0.02, 0.01, 0.02, 0.02, 0.02, 0.01),
    count_rules=exactly(1, "player", "key", "door", "treasure"),
    linear_rules=LinearRules(
        playable=(OneRegion(_WALKED), Touches("door", _WALKED)),
        targets=(
            CountRule(dict.fromkeys(_ENEMIES, 1), 2, 5),
            Apart("player", _ENEMIES, tuple(tile for tile in _WALKED if tile != "key"), 2),
        ),
    ),
    symmetries=("mirror", "flip", "transpose"),
    nouns={
        "solid": WALL,
        "empty": OPEN_TILE,
        "door": Noun("door", others=("exit",)),
        "treasure": Noun("treasure", others=("treasure chest", "chest")),
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
        Metric("enemies", 3, (2, 5), _cells, "bats, scorpions and spiders together"),
        Metric("regions", 5, (1, 1), _most_regions, "4-connected regions of everything but solid and door"),
        Metric("nearest-enemy", 2, (2, np.inf), _cells, "steps from the player to the nearest enemy"),
        Metric(
            "path-length",
            1,
            AS_LARGE_AS_POSSIBLE,
            _longest_walk,
            "steps from the player to the key and on to the door; 0 where there is no way",
        ),
        Metric("treasure", 3, (1, 1), _cells, "treasure tiles"),
    ),
    rules=DungeonRules(),
    examples=(
        Example(
            ("@...$", "####.", "D...k"),
            {
                "player": 1,
                "key": 1,
                "door": 1,
                "enemies": 0,
                "regions": 1,
                "nearest-enemy": 0,
                "path-length": 10,
                "treasure": 1,
            },
            "solved",
            "the treasure is on the way: six steps to the key, four back to the door",
        ),
        Example(
            ("@...k", "####.", "D...."),
            {"treasure": 0, "regions": 1, "path-length": 4 + 6},
            "unsolvable",
            "a path, but no treasure to take",
        ),
        Example(
            ("@.k#D", "..$##"),
            {"treasure": 1, "regions": 1, "path-length": 0},
            "unsolvable",
            "walls cut the door off: no path, where zelda counts the leg as -1",
        ),
        Example(
            ("@.Dk", "b..$"),
            {"enemies": 1, "nearest-enemy": 1, "path-length": 5 + 1, "treasure": 1, "regions": 1},
            None,
            "the door is a wall on the way to the key",
        ),
        Example(
            (
                "@...............",
                "###############.",
                "................",
                ".###############",
                "............b...",
                "###############.",
                "...............k",
                ".###############",
                "......$.........",
                "###############.",
                "................",
                ".###############",
                "....c...........",
                "###############.",
                "................",
                "D###############",
            ),
            # Eight corridors of 15 steps, two steps between one and the next, and one to the door.
            {
                "player": 1,
                "key": 1,
                "door": 1,
                "enemies": 2,
                "regions": 1,
                "nearest-enemy": 15 + 2 + 15 + 2 + 12,
                "path-length": 8 * 15 + 7 * 2 + 1,
                "treasure": 1,
            },
            "solved",
            "back and forth through the whole level, past a bat and a scorpion",
        ),
    ),
)
