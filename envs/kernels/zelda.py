"""What the zelda and dungeon problems measure: counts, regions, the nearest enemy, the walk to the key and the door.

A dungeon has one tile more, the treasure, which no zelda level holds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernels import inline, kernel
from envs.kernels.grid import count_components, distance, workspace
from envs.kernels.packed import first_cell, flood_words, layout, pack, packing, room

EMPTY, SOLID, PLAYER, KEY, DOOR, BAT, SCORPION, SPIDER, TREASURE = range(9)

#: How many metrics a zelda level has; a dungeon has one more.
ZELDA_METRICS = 7

_ENEMIES = (1 << BAT) | (1 << SCORPION) | (1 << SPIDER)
_OPEN = (1 << EMPTY) | (1 << PLAYER) | (1 << TREASURE) | _ENEMIES
_WITH_KEY = _OPEN | (1 << KEY)
_WITH_DOOR = _WITH_KEY | (1 << DOOR)

#: The walks that are measured: where they begin, what may be walked on and what is looked for, as bits of
#: tiles.
_WALKS = ((1 << PLAYER, _OPEN, _ENEMIES), (1 << PLAYER, _WITH_KEY, 1 << KEY), (1 << KEY, _WITH_DOOR, 1 << DOOR))


@inline
def _write(measured, lane, counts, regions, nearest, legs):
    """Writes a level's metrics: zelda's seven, or with room for one more those of a dungeon.

    Args:
        measured: float32 (n, 7) or (n, 8), of which one row is written.
        lane: which one.
        counts: players, keys, doors, enemies and treasures.
        regions: of everything but solid and door.
        nearest: steps to the nearest enemy.
        legs: the steps of both legs, -1 for one that cannot be walked; 0 and 0 where they are not measured.
    """
    measured[lane, 0] = counts[0]
    measured[lane, 1] = counts[1]
    measured[lane, 2] = counts[2]
    measured[lane, 3] = counts[3]
    measured[lane, 4] = regions
    measured[lane, 5] = nearest
    measured[lane, 6] = legs[0] + legs[1]
    if measured.shape[1] > ZELDA_METRICS:
        measured[lane, 7] = counts[4]
        if legs[0] < 0 or legs[1] < 0:
            measured[lane, 6] = 0


@kernel
def _measure_packed(levels, measured, stride, rows, words):
    height, width = levels.shape[1:]
    # Of the types that the other calls have, so that what is called is compiled but once.
    none, with_key = np.uint64(0), np.uint64(_WITH_KEY)
    packed = layout(stride, rows)
    for lane in range(levels.shape[0]):
        level = levels[lane]
        players, keys, doors, enemies, treasures = np.int64(0), np.int64(0), np.int64(0), np.int64(0), np.int64(0)
        for y in range(height):
            # Seven bits for each tile: a row holds fewer cells than they can count.
            tally = np.int64(0)
            for x in range(width):
                tally += 1 << (7 * np.int64(level[y, x]))
            players += tally >> (7 * PLAYER) & 127
            keys += tally >> (7 * KEY) & 127
            doors += tally >> (7 * DOOR) & 127
            enemies += (tally >> (7 * BAT) & 127) + (tally >> (7 * SCORPION) & 127) + (tally >> (7 * SPIDER) & 127)
            treasures += tally >> (7 * TREASURE)
        pack(level, with_key, stride, rows, words[0])
        a, b, c, d = words[0, 0], words[0, 1], words[0, 2], words[0, 3]
        regions = 0
        while a | b | c | d:
            regions += 1
            start_a, start_b, start_c, start_d = first_cell(a, b, c, d)
            a, b, c, d = flood_words(start_a, start_b, start_c, start_d, a, b, c, d, none, none, none, none, packed)[6:]
        nearest = first_leg = second_leg = 0
        if players == 1 and regions == 1:
            first = 0 if enemies > 0 else 1
            last = 3 if keys == 1 and doors == 1 else 1
            for walk in range(first, last):
                for i in range(3):
                    pack(level, np.uint64(_WALKS[walk][i]), stride, rows, words[i])
                start, free, goal = words[0], words[1], words[2]
                # fmt: off
                reached, steps = flood_words(
                    start[0], start[1], start[2], start[3],
                    free[0], free[1], free[2], free[3],
                    goal[0], goal[1], goal[2], goal[3],
                    packed,
                )[:2]
                # fmt: on
                if walk == 0:
                    nearest = steps if reached else height * width
                elif walk == 1:
                    first_leg = steps if reached else -1
                else:
                    second_leg = steps if reached else -1
        _write(measured, lane, (players, keys, doors, enemies, treasures), regions, nearest, (first_leg, second_leg))


@kernel
def _measure_any_size(levels, measured, cells, marks, queue):
    height, width = levels.shape[1:]
    stride = width + 2
    cells[:] = 0
    marks[:] = 0
    counts = np.zeros(9, np.int64)
    places = np.zeros(9, np.int64)
    for lane in range(levels.shape[0]):
        counts[:] = 0
        for y in range(height):
            cell = (y + 1) * stride
            for x in range(width):
                cell += 1
                tile = levels[lane, y, x]
                cells[cell] = 1 << np.int64(tile)
                counts[tile] += 1
                places[tile] = cell
        enemies = counts[BAT] + counts[SCORPION] + counts[SPIDER]
        regions = count_components(cells, _WITH_KEY, stride, stride + 1, (height + 1) * stride - 1, queue)
        nearest = first_leg = second_leg = 0
        if counts[PLAYER] == 1 and regions == 1:
            mark = 3 * lane
            if enemies > 0:
                nearest = distance(cells, stride, places[PLAYER], _OPEN, _ENEMIES, marks, mark + 1, queue)
                if nearest < 0:
                    nearest = height * width
            if counts[KEY] == 1 and counts[DOOR] == 1:
                first_leg = distance(cells, stride, places[PLAYER], _WITH_KEY, 1 << KEY, marks, mark + 2, queue)
                second_leg = distance(cells, stride, places[KEY], _WITH_DOOR, 1 << DOOR, marks, mark + 3, queue)
        things = (counts[PLAYER], counts[KEY], counts[DOOR], enemies, counts[TREASURE])
        _write(measured, lane, things, regions, nearest, (first_leg, second_leg))


def _measure(levels: NDArray[np.uint8], columns: int) -> NDArray[np.float32]:
    measured = np.empty((len(levels), columns), np.float32)
    stride, rows = packing(levels.shape)
    if rows:
        _measure_packed(levels, measured, stride, rows, room(3))
    else:
        cells, marks, queue = workspace(levels.shape)
        _measure_any_size(levels, measured, cells, marks, queue)
    return measured


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
    return _measure(levels, ZELDA_METRICS)


def measure_dungeon(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Measures a dungeon: what `measure_zelda` measures, and treasures.

    Args:
        levels: uint8 (n, height, width) of the tile ids above.

    Returns:
        float32 (n, 8): zelda's seven metrics, treasure being floor to all walks, but for a path-length of 0 where
        either leg cannot be walked; and treasures.
    """
    return _measure(levels, ZELDA_METRICS + 1)
