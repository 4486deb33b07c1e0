"""A constructive generator of zelda levels and dungeons: a layout, and then its things at a fair distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernels import inline, kernel
from envs.kernels.carving import SOLID, carve, open_ground, pick, spread
from envs.kernels.maze_rules import neighbour
from envs.kernels.zelda import BAT, DOOR, KEY, PLAYER, TREASURE

#: The steps that the constructed levels keep between the player and the nearest enemy.
NEAREST_ENEMY = 4

_LEAST_ENEMIES, _MOST_ENEMIES = 2, 5
_TRIES = 12


@inline
def _put(level, cell, tile):
    stride = level.shape[1] + 2
    level[cell // stride - 1, cell % stride - 1] = tile


@inline
def _find_door(level, ground, stride, streams, lane, queue):
    """Returns a random wall cell beside floor, or -1 where there is none; such a door splits no region."""
    height, width = level.shape
    count = 0
    for y in range(height):
        for x in range(width):
            cell = (y + 1) * stride + x + 1
            if level[y, x] == SOLID:
                for side in range(4):
                    if ground[neighbour(cell, stride, side)] != 0:
                        queue[count] = cell
                        count += 1
                        break
    return np.int64(queue[pick(streams, lane, count)]) if count else np.int64(-1)


@inline
def _find_walk(ground, stride, floor, count, least, streams, lane, to_door, from_key, queue):
    """Returns cells for the key and the player whose walk, with the way to the door, is long enough if that can be."""
    best, best_key, best_player = -1, np.int64(-1), np.int64(-1)
    for _ in range(_TRIES):
        key = np.int64(floor[pick(streams, lane, count)])
        spread(ground, stride, key, from_key, queue)
        for _ in range(4):
            player = np.int64(floor[pick(streams, lane, count)])
            walk = from_key[player] + to_door[key]
            if player != key and walk > best:
                best, best_key, best_player = walk, key, player
        if best >= least:
            break
    return best_key, best_player


@kernel
def _place(streams, levels, least, treasures):
    height, width = levels.shape[1:]
    stride = width + 2
    padded = (height + 2) * stride
    ground = np.empty(padded, np.int32)
    floor = np.empty(padded, np.int32)
    queue = np.empty(padded, np.int32)
    to_door = np.empty(padded, np.int32)
    distances = np.empty(padded, np.int32)
    for lane in range(levels.shape[0]):
        level = levels[lane]
        count = open_ground(level, ground, floor)
        door = _find_door(level, ground, stride, streams, lane, queue)
        if door < 0 or count < 2:
            continue
        spread(ground, stride, door, to_door, queue)
        key, player = _find_walk(ground, stride, floor, count, least, streams, lane, to_door, distances, queue)
        if key < 0:
            continue
        _put(level, door, DOOR)
        _put(level, key, KEY)
        _put(level, player, PLAYER)
        spread(ground, stride, player, distances, queue)
        # Cells that are taken are struck off the list of floor.
        for i in range(count - 1, -1, -1):
            if floor[i] in (key, player):
                count -= 1
                floor[i] = floor[count]
        for _ in range(treasures):
            if count:
                i = pick(streams, lane, count)
                _put(level, np.int64(floor[i]), TREASURE)
                count -= 1
                floor[i] = floor[count]
        for i in range(count - 1, -1, -1):
            if distances[floor[i]] < NEAREST_ENEMY:
                count -= 1
                floor[i] = floor[count]
        for _ in range(_LEAST_ENEMIES + pick(streams, lane, _MOST_ENEMIES - _LEAST_ENEMIES + 1)):
            if count:
                i = pick(streams, lane, count)
                _put(level, np.int64(floor[i]), BAT + pick(streams, lane, 3))
                count -= 1
                floor[i] = floor[count]


def least_walk(shape: tuple[int, ...]) -> int:
    """Returns how long the walk to the key and the door is at least: 16 steps, or what a small level has room for."""
    return min(16, shape[0] * shape[1] // 4)


def construct_zelda(streams: NDArray[np.uint64], levels: NDArray[np.uint8]) -> None:
    """Builds zelda levels: one player, key and door, a long walk, and 2 to 5 enemies at a distance.

    Where a layout has too little room, something is missing; the caller measures the levels.

    Args:
        streams: uint64 (n,), the levels' splitmix64 streams, moved on.
        levels: uint8 (n, height, width), written: tiles as in `envs.kernels.zelda`.
    """
    carve(streams, levels)
    _place(streams, levels, least_walk(levels.shape[1:]), 0)


def construct_dungeons(streams: NDArray[np.uint64], levels: NDArray[np.uint8]) -> None:
    """Builds dungeons: zelda levels with a treasure; see `construct_zelda`."""
    carve(streams, levels)
    _place(streams, levels, least_walk(levels.shape[1:]), 1)
