"""What the ddave problem measures: counts, floor, regions, and how our player gets on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernels import inline, kernel
from envs.kernels.ddave_rules import (
    BEFORE,
    COLUMNS,
    DIAMOND,
    EMPTY,
    EXIT,
    JUMPS,
    KEY,
    MOVES,
    PLAYER,
    SOLID,
    SPIKE,
    STANCES,
    move,
    spread,
)
from envs.kernels.grid import count_components, scratch, workspace
from envs.kernels.stop import NEVER
from envs.kernels.taken import MOVES as STATE_MOVES
from envs.kernels.taken import NOTE, clear, copy_state, find, is_gone, room, take, words_for

#: The tiles that regions consist of, as bits.
PASSABLE = (1 << EMPTY) | (1 << PLAYER) | (1 << EXIT) | (1 << DIAMOND) | (1 << KEY)

#: The columns that `measure_ddave` fills.
METRICS = (
    *("player", "dist-floor", "exit", "diamonds", "key", "spikes", "regions"),
    *("num-jumps", "col-diamonds", "dist-win", "sol-length"),
)
NUM_JUMPS, COL_DIAMONDS, DIST_WIN, SOL_LENGTH = 7, 8, 9, 10


@inline
def _gap(stride, one, other):
    """Returns the Manhattan distance of two padded cells."""
    return abs(one // stride - other // stride) + abs(one % stride - other % stride)


@inline
def _to_go(stride, padded, place, has_key, key, door):
    """Returns how far a player is from winning, without what diamonds take off."""
    if has_key:
        return _gap(stride, place, door)
    # A key that is still to be had counts as much as the padded level's height and width.
    return _gap(stride, place, key) + stride + padded // stride


@inline
def _wander(cells, stride, things, places, budget, states, known, table):
    """Goes breadth-first through states, diamonds counted, for the one that comes nearest to winning.

    Args:
        cells: the padded level, of one player, one key and one exit.
        stride: its width.
        things: int32 (padded cells,), the number of each diamond.
        places: the padded cells of player, key and exit.
        budget: the most states to expand.
        states: int64 (rows, words), see `envs.kernels.taken`.
        known: int32 (rows, KNOWN); NOTE holds jumps * 65536 + diamonds.
        table: int32 (size,).

    Returns:
        The nearest state's jumps, diamonds and distance, of which 5 are taken off for each diamond.
    """
    player, key, door = places
    clear(table)
    for i in range(states.shape[1]):
        states[0, i] = 0
    states[0, 0] = player * 6
    known[0, STATE_MOVES] = 0
    known[0, NOTE] = 0
    table[find(table, states, np.int64(0))] = 0
    used = np.int64(1)
    row = np.int64(0)
    best = np.int64(0)
    least = _to_go(stride, cells.size, player, 0, key, door)
    while row < used and row < budget:
        stance = states[row, 0]
        for action in range(4):
            place, air, jumped = move(cells, stride, stance // 6, stance // 2 % 3, action)
            tile = cells[place]
            if tile == SPIKE:
                continue
            copy_state(states, row, used)
            note = known[row, NOTE] + (jumped << 16)
            if tile == DIAMOND and not is_gone(states, used, np.int64(things[place])):
                take(states, used, np.int64(things[place]))
                note += 1
            has_key = 1 if tile == KEY else stance % 2
            states[used, 0] = (place * 3 + air) * 2 + has_key
            slot = find(table, states, used)
            if table[slot] >= 0:
                continue
            table[slot] = used
            known[used, STATE_MOVES] = known[row, STATE_MOVES] + 1
            known[used, NOTE] = note
            far = _to_go(stride, cells.size, place, has_key, key, door) - 5 * (note & 65535)
            if far < least:
                least = far
                best = used
            used += 1
        row += 1
    return known[best, NOTE] >> 16, known[best, NOTE] & 65535, least


@inline
def _reap(cells, won, known, marks, mark):
    """Counts the diamonds on the way to a winning stance."""
    count = 0
    while won >= 0:
        place = won // 6
        if cells[place] == DIAMOND and marks[place] != mark:
            marks[place] = mark
            count += 1
        won = known[won, BEFORE]
    return count


@kernel
def _measure(levels, play, budget, stop, measured, cells, bits, work, known, queue, states, heard, table):
    height, width = levels.shape[1:]
    stride = width + 2
    padded = (height + 2) * stride
    cells = cells[:padded]
    things = bits
    for cell in range(padded):
        cells[cell] = SOLID
        bits[cell] = 0
    counts = np.zeros(7, np.int64)
    places = np.zeros(7, np.int64)
    for lane in range(levels.shape[0]):
        for tile in range(7):
            counts[tile] = 0
        dist_floor = 0
        for y in range(height):
            cell = (y + 1) * stride
            for x in range(width):
                cell += 1
                tile = levels[lane, y, x]
                cells[cell] = tile
                bits[cell] = 1 << tile
                counts[tile] += 1
                places[tile] = cell
                if tile == PLAYER:
                    # Over the last row there is no floor, and none there counts as a level's height less one.
                    drop = height - 1
                    for below in range(y + 1, height):
                        if levels[lane, below, x] == SOLID:
                            drop = below - y - 1
                            break
                    dist_floor += drop
        regions = count_components(bits, PASSABLE, stride, stride + 1, (height + 1) * stride - 1, work)
        measured[lane, 0] = counts[PLAYER]
        measured[lane, 1] = dist_floor
        measured[lane, 2] = counts[EXIT]
        measured[lane, 3] = counts[DIAMOND]
        measured[lane, 4] = counts[KEY]
        measured[lane, 5] = counts[SPIKE]
        measured[lane, 6] = regions
        measured[lane, NUM_JUMPS] = 0
        measured[lane, COL_DIAMONDS] = 0
        measured[lane, DIST_WIN] = height * width
        measured[lane, SOL_LENGTH] = 0
        if not (play and counts[PLAYER] == 1 and counts[EXIT] == 1 and counts[KEY] == 1 and regions == 1):
            continue
        start = places[PLAYER]
        won = spread(cells, stride, start, np.int64(0), np.int64(0), known, queue, padded * STANCES, stop)[0]
        if won >= 0:
            for cell in range(padded):
                work[cell] = -1
            measured[lane, NUM_JUMPS] = min(known[won, JUMPS], height * width)
            measured[lane, COL_DIAMONDS] = _reap(cells, np.int64(won), known, work, np.int32(0))
            measured[lane, DIST_WIN] = 0
            measured[lane, SOL_LENGTH] = min(known[won, MOVES], 2 * height * width)
            continue
        number = 0
        for cell in range(padded):
            if cells[cell] == DIAMOND:
                things[cell] = number
                number += 1
        jumps, diamonds, far = _wander(
            cells, stride, things, (start, places[KEY], places[EXIT]), budget, states, heard, table
        )
        measured[lane, NUM_JUMPS] = min(jumps, height * width)
        measured[lane, COL_DIAMONDS] = diamonds
        measured[lane, DIST_WIN] = far


def measure_ddave(levels: NDArray[np.uint8], budget: int, play: bool = True) -> NDArray[np.float32]:
    """Measures what Khalifa 2020 measures on a ddave level.

    Args:
        levels: uint8 (n, height, width) of tile ids.
        budget: the most states to expand for a level that cannot be won, in search of the nearest one.
        play: whether to play; without, every level counts as one that cannot be started.

    Returns:
        float32 (n, 11), the columns METRICS; `envs.problems.ddave` says what they are.
    """
    levels = np.require(levels, np.uint8, ("C", "W"))
    _, height, width = levels.shape
    padded = (height + 2) * (width + 2)
    measured = np.empty((len(levels), len(METRICS)), np.float32)
    bits, work, _ = workspace(levels.shape)
    cells = scratch("ddave cells", padded, np.uint8)
    known, queue = stance_room(padded)
    states, heard, table, _ = room("ddave", budget, words_for(height * width))
    _measure(levels, play, budget, NEVER, measured, cells, bits, work, known, queue, states, heard, table)
    return measured


def stance_room(padded: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Returns this thread's `known` and `queue` for `spread` on levels of so many padded cells."""
    size = STANCES * padded
    known = scratch("ddave stances", size * COLUMNS, np.int32)[: size * COLUMNS].reshape(size, COLUMNS)
    return known, scratch("ddave queue", size, np.int32)
