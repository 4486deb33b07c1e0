"""Binary: carve one connected maze whose longest shortest path is as long as possible (Khalifa 2020)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.construction import confirmed
from envs.games.maze import MazeRules
from envs.kernels.binary import longest_shortest_paths, measure_binary
from envs.kernels.carving import carve
from envs.linear import LinearRules, OneRegion
from envs.nouns import OPEN_TILE, REGIONS, WALL, Noun
from envs.problem import AS_LARGE_AS_POSSIBLE, Example, Metric, Problem, Shape, Tile, longest_path_bound


def _most_regions(shape: Shape) -> tuple[float, float]:
    return 0, (shape[0] * shape[1] + 1) // 2


def _longest_path(shape: Shape) -> tuple[float, float]:
    return 0, longest_path_bound(shape)


class Binary(Problem):
    """The binary problem of gym-pcgrl."""

    #: How many steps longer than the start level's a successful level's path is.
    improvement = 20

    def tile_probabilities(self, uniforms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Draws each level's own probability of empty, uniform in [0, 1)."""
        return np.stack([uniforms, 1 - uniforms], axis=1)

    def measure(self, levels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns regions and path-length, float32 (n, 2)."""
        return measure_binary(levels)

    def succeeded(self, metrics: NDArray[np.float32], start_metrics: NDArray[np.float32]) -> NDArray[np.bool_]:
        """One region, and a path at least 20 steps longer than the start level's."""
        return (metrics[:, 0] == 1) & (metrics[:, 1] - start_metrics[:, 1] >= self.improvement)

    def playable(self, metrics: NDArray[np.float32]) -> NDArray[np.bool_]:
        """One region: whoever stands somewhere gets everywhere."""
        return metrics[:, 0] == 1

    def completed(self, metrics: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Every level: how many regions there shall be is a target, and may be drawn."""
        return np.ones(len(metrics), np.bool_)

    def construct(self, seeds: NDArray[np.uint64], shape: Shape) -> NDArray[np.uint8]:
        """Builds mazes, rooms with corridors, and caves, of one region and a long path; see `envs.kernels.carving`.

        The path is at least as long as the way from one corner to the opposite one is in steps, less 2.
        """
        path = self.index("path-length")
        least = sum(shape) - 4
        return confirmed(self, carve, seeds, shape, lambda measured: measured[:, path] >= least)


PROBLEM = Binary(
    name="binary",
    description="one connected maze with a path as long as possible",
    tiles=(
        Tile("empty", ".", (222, 206, 170), "floor"),
        Tile("solid", "#", (72, 66, 92), "wall"),
    ),
    default_shape=(14, 14),
    start_probabilities=(0.5, 0.5),
    linear_rules=LinearRules(targets=(OneRegion(("empty",)),)),
    symmetries=("mirror", "flip", "transpose"),
    nouns={
        "solid": WALL,
        "empty": OPEN_TILE,
        "regions": REGIONS,
        "path-length": Noun("path", others=("way", "route"), grades=("short", "long"), unit="step"),
    },
    metrics=(
        Metric("regions", 5, (1, 1), _most_regions, "4-connected regions of empty cells"),
        Metric(
            "path-length",
            1,
            AS_LARGE_AS_POSSIBLE,
            _longest_path,
            "steps of the longest shortest path, approximated by two floods a region",
        ),
    ),
    optional_metrics=(
        Metric(
            "longest-path",
            1,
            AS_LARGE_AS_POSSIBLE,
            _longest_path,
            "steps of the longest shortest path, exact",
            longest_shortest_paths,
        ),
    ),
    rules=MazeRules(),
    examples=(
        Example(
            ("...", "##.", "..."),
            {"regions": 1, "path-length": 6, "longest-path": 6},
            "solved",
            "a corridor with two bends",
        ),
        Example(
            (".#.", "###", "..#"),
            {"regions": 3, "path-length": 1, "longest-path": 1},
            "solved",
            "three regions, the longest path joins two cells",
        ),
        Example(
            ("##", "##"),
            {"regions": 0, "path-length": 0, "longest-path": 0},
            "unsolvable",
            "nothing to walk on",
        ),
        Example(
            ("#.#", "...", "#.#"),
            {"regions": 1, "path-length": 2, "longest-path": 2},
            "solved",
            "a cross: any two ends are two steps apart",
        ),
    ),
)
