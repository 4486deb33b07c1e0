"""A constructive generator of mazes: a layout, a door far from somewhere, and a player far from the door."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernels import inline, kernel
from envs.kernels.carving import carve, open_ground, pick, spread
from envs.kernels.maze import DOOR, PLAYER


@inline
def _far_cell(streams, lane, distances, queue, reached):
    """Returns a random one of the cells that are at least three quarters as far as the farthest."""
    least = 3 * distances[queue[reached - 1]] // 4
    first = reached - 1
    while first > 1 and distances[queue[first - 1]] >= least:
        first -= 1
    return np.int64(queue[first + pick(streams, lane, reached - first)])


@kernel
def _place(streams, levels):
    height, width = levels.shape[1:]
    stride = width + 2
    padded = (height + 2) * stride
    ground = np.empty(padded, np.int32)
    distances = np.empty(padded, np.int32)
    queue = np.empty(padded, np.int32)
    for lane in range(levels.shape[0]):
        level = levels[lane]
        count = open_ground(level, ground, queue)
        somewhere = np.int64(queue[pick(streams, lane, count)])
        door = _far_cell(streams, lane, distances, queue, spread(ground, stride, somewhere, distances, queue))
        player = _far_cell(streams, lane, distances, queue, spread(ground, stride, door, distances, queue))
        level[player // stride - 1, player % stride - 1] = PLAYER
        level[door // stride - 1, door % stride - 1] = DOOR


def construct_mazes(streams: NDArray[np.uint64], levels: NDArray[np.uint8]) -> None:
    """Builds mazes of one region; a layout of a single cell has no room for both player and door.

    Args:
        streams: uint64 (n,), the levels' splitmix64 streams, moved on.
        levels: uint8 (n, height, width), written: tiles as in `envs.kernels.maze`.
    """
    carve(streams, levels)
    _place(streams, levels)
