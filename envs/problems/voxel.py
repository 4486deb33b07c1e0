"""Voxel: build one maze of blocks in three dimensions whose longest walk is long and full of jumps (Jiang 2022)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from envs.games.voxel import VoxelRules
from envs.kernels.grid import scratch
from envs.kernels.voxel import measure_voxel, padded_size
from envs.kernels.voxel_construct import ROWS_OF_WORK, construct_voxel
from envs.nouns import REGIONS, Noun
from envs.problem import AS_LARGE_AS_POSSIBLE, Example, Metric, Problem, Shape, Tile


def _places(shape: Shape) -> int:
    """Returns how many places to stand a level can have: in each column a block and two cells of air for each."""
    depth, height, width = shape
    return height * width * ((depth + 1) // 3)


def _most_regions(shape: Shape) -> tuple[float, float]:
    return 0, (math.prod(shape) + 1) // 2


def _longest_path(shape: Shape) -> tuple[float, float]:
    return 0, 3 * _places(shape) - 2


def _most_jumps(shape: Shape) -> tuple[float, float]:
    return 0, _places(shape) - 1


class Voxel(Problem):
    """The three-dimensional maze of control-pcgrl, cut down to 7 x 7 x 7.

    Jiang 2022 fills every start level with air unless `random_probs` is set, as is the rule here: then each level draws
    its own share of air. Since such levels have more than one region, regions count in the reward (there, by 0). The
    other weights are in the published ratio, which is per metric's range. The ground beneath the lowest storey bears
    walkers from the start on (there, only those that come down to it).
    """

    #: How many cells longer than the start level's a successful level's walk is.
    improvement = 10

    #: How many jumps are wanted.
    jumps = 5

    def tile_probabilities(self, uniforms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Draws each level's own probability of air, uniform in [0, 1)."""
        return np.stack([uniforms, 1 - uniforms], axis=1)

    def measure(self, levels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns regions, path-length and jumps, float32 (n, 3)."""
        return measure_voxel(levels)

    def succeeded(self, metrics: NDArray[np.float32], start_metrics: NDArray[np.float32]) -> NDArray[np.bool_]:
        """One region, and a walk at least 10 cells longer than the start level's.

        This is the rule that control-pcgrl writes down for the problem; its own episodes never end early.
        """
        return (metrics[:, 0] == 1) & (metrics[:, 1] - start_metrics[:, 1] >= self.improvement)

    def playable(self, metrics: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Tells which levels have a place to stand; the ends of the longest walk are joined by that walk."""
        return metrics[:, 1] >= 1

    def construct(self, seeds: NDArray[np.uint64], shape: Shape) -> NDArray[np.uint8]:
        """Carves walks out of solid ground, until a level's longest way has the jumps wanted and goes round the level.

        Levels of less than (7, 7, 7) may have no room for all jumps; then they have as many as were found.
        """
        levels = np.empty((len(seeds), *shape), np.uint8)
        size = padded_size(shape)
        marks = scratch("voxel marks", 2 * size, np.uint8)[: 2 * size].reshape(2, size)
        work = scratch("voxel carving", ROWS_OF_WORK * size, np.int32)[: ROWS_OF_WORK * size].reshape(-1, size)
        changes = scratch("voxel changes", 16, np.int64)
        least = 2 * (shape[1] + shape[2])
        construct_voxel(seeds, self.jumps, least, levels, marks[0], changes, marks[1], work)
        return levels


PROBLEM = Voxel(
    name="voxel",
    description="one maze of blocks in three dimensions with a walk as long as possible that takes five jumps",
    tiles=(
        Tile("air", ".", (176, 205, 222), "air"),
        Tile("block", "#", (126, 142, 96), "block"),
    ),
    default_shape=(7, 7, 7),
    smallest_shape=(2, 2, 2),
    start_probabilities=(0.5, 0.5),
    border="block",
    symmetries=("mirror", "flip", "transpose"),
    nouns={
        "block": Noun("block", others=("wall",)),
        "air": Noun("air block", others=("open cell",)),
        "regions": REGIONS,
        "path-length": Noun("walk", others=("path", "way", "route"), grades=("short", "long"), unit="cell"),
    },
    metrics=(
        Metric("regions", 1, (1, 1), _most_regions, "regions of air that touch by faces"),
        Metric(
            "path-length",
            1,
            AS_LARGE_AS_POSSIBLE,
            _longest_path,
            "cells that a walker passes on the longest shortest walk, approximated by two searches a region",
        ),
        Metric("jumps", 2, (5, 5), _most_jumps, "jumps over gaps on that walk"),
    ),
    rules=VoxelRules(),
    examples=(
        Example(
            ("..", "..", "==", "..", ".."),
            {"regions": 1, "path-length": 3, "jumps": 0},
            "solved",
            "an empty room: from corner to corner",
        ),
        Example(
            (".##", "###", "===", "..#", "###", "===", "...", "###", "===", "...", "###"),
            {"regions": 1, "path-length": 5, "jumps": 0},
            "solved",
            "two stairs, each of which passes the cell above the lower step",
        ),
        Example(
            ("#.#", "###", "===", "#.#", "###", "===", "...", "###", "===", "...", "###", "===", "...", "###"),
            {"regions": 1, "path-length": 3, "jumps": 1},
            "solved",
            "a gap two deep, jumped over",
        ),
        Example(
            ("##", "##", "==", "..", "##"),
            {"regions": 1, "path-length": 0, "jumps": 0},
            "unsolvable",
            "no head room: nobody can stand",
        ),
        Example(
            (
                ".......",
                "#######",
                "#######",
                "#######",
                "#######",
                "#######",
                "#######",
                "=======",
                ".......",
                "######.",
                "#######",
                "#######",
                "#######",
                "#######",
                "#######",
                "=======",
                "######.",
                "######.",
                "######.",
                "#######",
                "#######",
                "#######",
                "####.##",
                "=======",
                "#######",
                "######.",
                "######.",
                "######.",
                "#######",
                "#######",
                "####.##",
                "=======",
                "#######",
                "#######",
                "######.",
                "######.",
                "######.",
                "######.",
                ".......",
                "=======",
                "#######",
                "#######",
                "#######",
                "######.",
                "######.",
                "######.",
                ".......",
                "=======",
                "#######",
                "#######",
                "#######",
                "#######",
                "#######",
                "#######",
                "###...#",
            ),
            {"regions": 1, "path-length": 23, "jumps": 1},
            "solved",
            "along a wall, up four stairs in the corner, and back along the opposite wall over a gap",
        ),
    ),
)
