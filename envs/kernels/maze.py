"""What the maze problem measures: players, doors, regions and the walk from the one to the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernels import kernel
from envs.kernels.grid import count_components, distance, workspace
from envs.kernels.packed import first_cell, flood_words, layout, pack, packing, room

EMPTY, SOLID, PLAYER, DOOR = range(4)

_OPEN = (1 << EMPTY) | (1 << PLAYER) | (1 << DOOR)


@kernel
def _measure_packed(levels, measured, stride, rows, words):
    none = np.uint64(0)
    packed = layout(stride, rows)
    for lane in range(levels.shape[0]):
        level = levels[lane]
        players = doors = 0
        for y in range(level.shape[0]):
            for x in range(level.shape[1]):
                players += level[y, x] == PLAYER
                doors += level[y, x] == DOOR
        free, start, goal = words[0], words[1], words[2]
        pack(level, np.uint64(_OPEN), stride, rows, free)
        a, b, c, d = free[0], free[1], free[2], free[3]
        regions = 0
        while a | b | c | d:
            regions += 1
            start_a, start_b, start_c, start_d = first_cell(a, b, c, d)
            a, b, c, d = flood_words(start_a, start_b, start_c, start_d, a, b, c, d, none, none, none, none, packed)[6:]
        path = 0
        if players == 1 and doors == 1 and regions == 1:
            pack(level, np.uint64(1 << PLAYER), stride, rows, start)
            pack(level, np.uint64(1 << DOOR), stride, rows, goal)
            # fmt: off
            path = flood_words(
                start[0], start[1], start[2], start[3],
                free[0], free[1], free[2], free[3],
                goal[0], goal[1], goal[2], goal[3],
                packed,
            )[1]
            # fmt: on
        measured[lane, 0] = players
        measured[lane, 1] = doors
        measured[lane, 2] = regions
        measured[lane, 3] = path


@kernel
def _measure_any_size(levels, measured, cells, marks, queue):
    height, width = levels.shape[1:]
    stride = width + 2
    cells[:] = 0
    marks[:] = 0
    for lane in range(levels.shape[0]):
        players = doors = 0
        start = np.int64(0)
        for y in range(height):
            for x in range(width):
                tile = levels[lane, y, x]
                cells[(y + 1) * stride + x + 1] = 1 << np.int64(tile)
                doors += tile == DOOR
                if tile == PLAYER:
                    players += 1
                    start = (y + 1) * stride + x + 1
        regions = count_components(cells, _OPEN, stride, stride + 1, (height + 1) * stride - 1, queue)
        path = 0
        if players == 1 and doors == 1 and regions == 1:
            path = distance(cells, stride, start, _OPEN, 1 << DOOR, marks, lane + 1, queue)
        measured[lane, 0] = players
        measured[lane, 1] = doors
        measured[lane, 2] = regions
        measured[lane, 3] = path


def measure_maze(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Measures what Earle 2024 measures on a maze.

    Args:
        levels: uint8 (n, height, width) of the tile ids above.

    Returns:
        float32 (n, 4): players, doors, 4-connected regions of everything but solid, and the steps from the player to
        the door, 0 unless there is one of each and one region.
    """
    measured = np.empty((len(levels), 4), np.float32)
    stride, rows = packing(levels.shape)
    if rows:
        _measure_packed(levels, measured, stride, rows, room(3))
    else:
        cells, marks, queue = workspace(levels.shape)
        _measure_any_size(levels, measured, cells, marks, queue)
    return measured
