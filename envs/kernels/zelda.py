"""What the zelda problem measures: counts, regions, the nearest enemy and the walk to the key and the door."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernels import kernel
from envs.kernels.grid import count_components, distance, workspace
from envs.kernels.packed import first_cell, flood_words, pack, packing, room

EMPTY, SOLID, PLAYER, KEY, DOOR, BAT, SCORPION, SPIDER = range(8)

_ENEMIES = (1 << BAT) | (1 << SCORPION) | (1 << SPIDER)
_OPEN = (1 << EMPTY) | (1 << PLAYER) | _ENEMIES
_WITH_KEY = _OPEN | (1 << KEY)
_WITH_DOOR = _WITH_KEY | (1 << DOOR)

#: The walks that are measured: where they begin, what may be walked on and what is looked for, as bits of
#: tiles.
_WALKS = ((1 << PLAYER, _OPEN, _ENEMIES), (1 << PLAYER, _WITH_KEY, 1 << KEY), (1 << KEY, _WITH_DOOR, 1 << DOOR))


@kernel
def _measure_packed(levels, measured, stride, rows, words):
    height, width = levels.shape[1:]
    # Of the types that the other calls have, so that what is called is compiled but once.
    none, with_key = np.int64(0), np.int64(_WITH_KEY)
    for lane in range(levels.shape[0]):
        level = levels[lane]
        players, keys, doors, enemies = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
        for y in range(height):
            # One byte for each tile: a row holds fewer cells than a byte can count.
            tally = np.int64(0)
            for x in range(width):
                tally += 1 << (np.int64(level[y, x]) << 3)
            players += tally >> (8 * PLAYER) & 255
            keys += tally >> (8 * KEY) & 255
            doors += tally >> (8 * DOOR) & 255
            enemies += (tally >> (8 * BAT) & 255) + (tally >> (8 * SCORPION) & 255) + (tally >> (8 * SPIDER) & 255)
        pack(level, with_key, stride, rows, words[0])
        a, b, c, d = words[0, 0], words[0, 1], words[0, 2], words[0, 3]
        regions = 0
        while a | b | c | d:
            regions += 1
            start_a, start_b, start_c, start_d = first_cell(a, b, c, d)
            a, b, c, d = flood_words(
                start_a, start_b, start_c, start_d, a, b, c, d, none, none, none, none, stride, rows
            )[6:]
        nearest = 0
        path = 0
        if players == 1 and regions == 1:
            first = 0 if enemies > 0 else 1
            last = 3 if keys == 1 and doors == 1 else 1
            for walk in range(first, last):
                for i in range(3):
                    pack(level, _WALKS[walk][i], stride, rows, words[i])
                start, free, goal = words[0], words[1], words[2]
                # fmt: off
                reached, steps = flood_words(
                    start[0], start[1], start[2], start[3],
                    free[0], free[1], free[2], free[3],
                    goal[0], goal[1], goal[2], goal[3],
                    stride, rows,
                )[:2]
                # fmt: on
                if walk == 0:
                    nearest = steps if reached else height * width
                else:
                    path += steps if reached else -1
        measured[lane, 0] = players
        measured[lane, 1] = keys
        measured[lane, 2] = doors
        measured[lane, 3] = enemies
        measured[lane, 4] = regions
        measured[lane, 5] = nearest
        measured[lane, 6] = path


@kernel
def _measure_any_size(levels, measured, cells, marks, queue):
    height, width = levels.shape[1:]
    stride = width + 2
    cells[:] = 0
    marks[:] = 0
    counts = np.zeros(8, np.int32)
    places = np.zeros(8, np.int32)
    for lane in range(levels.shape[0]):
        counts[:] = 0
        for y in range(height):
            cell = (y + 1) * stride
            for x in range(width):
                cell += 1
                tile = levels[lane, y, x]
                cells[cell] = 1 << tile
                counts[tile] += 1
                places[tile] = cell
        enemies = counts[BAT] + counts[SCORPION] + counts[SPIDER]
        regions = count_components(cells, _WITH_KEY, stride, stride + 1, (height + 1) * stride - 1, queue)
        nearest = 0
        path = 0
        if counts[PLAYER] == 1 and regions == 1:
            mark = 3 * lane
            if enemies > 0:
                nearest = distance(cells, stride, places[PLAYER], _OPEN, _ENEMIES, marks, mark + 1, queue)
                if nearest < 0:
                    nearest = height * width
            if counts[KEY] == 1 and counts[DOOR] == 1:
                path = distance(cells, stride, places[PLAYER], _WITH_KEY, 1 << KEY, marks, mark + 2, queue)
                path += distance(cells, stride, places[KEY], _WITH_DOOR, 1 << DOOR, marks, mark + 3, queue)
        measured[lane, 0] = counts[PLAYER]
        measured[lane, 1] = counts[KEY]
        measured[lane, 2] = counts[DOOR]
        measured[lane, 3] = enemies
        measured[lane, 4] = regions
        measured[lane, 5] = nearest
        measured[lane, 6] = path


def measure_zelda(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Measures what Khalifa 2020 measures on a zelda level.

    Args:
        levels: uint8 (n, height, width) of the tile ids above.

    Returns:
        float32 (n, 7): players, keys, doors, enemies, regions (of everything but solid and door), nearest-enemy (the
        steps from the only player to the nearest enemy over everything but solid, key and door; height * width where
        there are enemies out of reach, 0 without enemies) and path-length (steps from player to key over everything
        but solid and door, plus steps from key to door over everything but solid; -1 in place of a leg that cannot
        be walked). The last two are 0 unless there is one player and one region, and for the path one key and one
        door.
    """
    measured = np.empty((len(levels), 7), np.float32)
    stride, rows = packing(levels.shape)
    if rows:
        _measure_packed(levels, measured, stride, rows, room(3))
    else:
        cells, marks, queue = workspace(levels.shape)
        _measure_any_size(levels, measured, cells, marks, queue)
    return measured
