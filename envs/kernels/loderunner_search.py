"""A search for a win of loderunner: best-first on true states, led by a flood that forgets what hinders the player."""

from __future__ import annotations

import numpy as np

from envs.kernels import inline, kernel
from envs.kernels.loderunner_relaxed import relax
from envs.kernels.loderunner_rules import (
    CLOCK,
    EMPTY,
    GOLD,
    GOLD_LEFT,
    GUARDS,
    HEADER,
    HEIGHT,
    HOLE_TICKS,
    PLACE,
    WAIT,
    WIDTH,
    bury,
    guards_ways,
    is_supported,
    is_touched,
    move_guard,
    move_player,
)
from envs.kernels.stop import stopped

#: What `search` finds out.
SOLVED, UNSOLVABLE, UNKNOWN = range(3)

#: The columns of a node's record: what the search knows about it, beside the state.
PARENT, ACTION, TICKS, AHEAD, LEFT_OVER, RECORD = range(6)

#: The most holes that a state of the search may have; a state with more is left out, and then nothing is proven.
MOST_HOLES = 16
# A state packs, one int32 each: the player and the clock; how many holes there are; each guard's cell and trap; each
# hole's cell and ticks, the oldest first; and 30 pieces of gold that are left.
_PLAYER, _HOLES, _BODIES = range(3)
_GOLD_BITS = 30
_CELL, _TRAP_ZERO = 64, 8

# Each round of the search: how many states of one place, gold and holes it goes into; its share of the budget in
# percent; and what weighs in a node's key, in sixteenths of a tick: a piece of gold that is left, a tick that is over,
# an open hole.
ALL = 1 << 30
_ROUNDS = (
    (1, 15, (3200, 0, 64)),
    (3, 20, (1600, 8, 64)),
    (10, 25, (3200, 4, 64)),
    (40, 30, (4800, 2, 32)),
    (ALL, 100, (1600, 8, 64)),
)
#: How long a state without holes waits in one go.
IDLE_TICKS = 6
_ROOM_FOR_WAYS = 1 << 22


@inline
def _grown(array, rows):
    """Returns a copy of a table with twice as many rows, of which `rows` are in use."""
    larger = np.empty((2 * array.shape[0], array.shape[1]), array.dtype)
    for i in range(rows):
        for j in range(array.shape[1]):
            larger[i, j] = array[i, j]
    return larger


@inline
def _digest(row, bodies, guards, timed):
    """Returns a hash of a packed state; untimed, of nothing but place, holes' cells and gold."""
    # Multiplied at once, or a place and a hole's cell could make up for one another.
    value = np.int64(row[_PLAYER] if timed else row[_PLAYER] >> 1) * np.int64(0x2545F4914F6CDD1D)
    begin = 1 if timed else bodies
    for i in range(begin, row.size):
        word = np.int64(row[i])
        if not timed and i < bodies + MOST_HOLES:
            word //= _CELL
        value = (value ^ word) * np.int64(0x5851F42D4C957F2D) + np.int64(0x14057B7EF767814F)
        value ^= (value >> 29) & np.int64(0x7FFFFFFFF)
    return value & np.int64(0x7FFFFFFFFFFFFFFF)


@inline
def _pack(row, player, guard_cells, traps, hole_cells, holes, hole_count, golds, tiles):
    """Writes the working state into a row."""
    place, clock = player
    row[_PLAYER] = 2 * place + clock
    row[_HOLES] = hole_count
    at = _BODIES
    for i in range(guard_cells.size):
        row[at] = guard_cells[i] * _CELL + traps[i] + _TRAP_ZERO
        at += 1
    for i in range(MOST_HOLES):
        row[at] = hole_cells[i] * _CELL + holes[hole_cells[i]] if i < hole_count else 0
        at += 1
    for i in range(at, row.size):
        row[i] = 0
    for i in range(golds.size):
        if tiles[golds[i]] == GOLD:
            row[at + i // _GOLD_BITS] |= 1 << (i % _GOLD_BITS)


@inline
def _unpack(row, guard_cells, traps, hole_cells, holes, golds, tiles):
    """Writes a row into the working state, whose holes were all closed; returns the player, the clock and the holes."""
    at = _BODIES
    for i in range(guard_cells.size):
        guard_cells[i], traps[i] = row[at] // _CELL, row[at] % _CELL - _TRAP_ZERO
        at += 1
    for i in range(row[_HOLES]):
        hole_cells[i] = row[at + i] // _CELL
        holes[hole_cells[i]] = row[at + i] % _CELL
    at += MOST_HOLES
    for i in range(golds.size):
        left = row[at + i // _GOLD_BITS] >> (i % _GOLD_BITS) & 1
        tiles[golds[i]] = GOLD if left else EMPTY
    return row[_PLAYER] >> 1, row[_PLAYER] & 1, row[_HOLES]


@inline
def _ways_to(tiles, stride, target, slots, owners, ways, queue):
    """Returns the row of `ways` with the guards' ways to a target; they depend on nothing that play changes."""
    slot = slots[target]
    if slot < 0:
        slot = owners[ways.shape[0]]
        owners[ways.shape[0]] = (slot + 1) % ways.shape[0]
        if owners[slot] >= 0:
            slots[owners[slot]] = -1
        owners[slot], slots[target] = target, slot
        guards_ways(tiles, stride, target, ways[slot], queue)
    return slot


@inline
def _close_holes(place, guard_cells, traps, firsts, hole_cells, holes, hole_count):
    """Ages the holes, drops those that close, and returns how many are left and whether one buried the player."""
    kept, buried = 0, False
    for i in range(hole_count):
        cell = hole_cells[i]
        holes[cell] -= 1
        if holes[cell] == 0:
            bury(guard_cells, traps, firsts, cell)
            buried = buried or cell == place
        else:
            hole_cells[kept] = cell
            kept += 1
    return kept, buried


@inline
def _estimate(tiles, holes, stride, place, hole_count, left, golds, scratch, known):
    """Returns the ticks to the nearest gold that is left, or -1 where some of it can never be reached.

    Floods with no hole open are kept: `known` holds for each cell the ticks to every piece, -2 where not yet known.
    """
    times, opened, queue = scratch
    if hole_count > 0 or golds.size * tiles.size > known.size:
        nearest, missed = relax(tiles, holes, stride, place, left, True, times, opened, queue)
        return nearest if missed == 0 else -1
    row = place * golds.size
    if known[row] == -2:
        relax(tiles, holes, stride, place, -1, True, times, opened, queue)
        for i in range(golds.size):
            known[row + i] = times[golds[i]]
    nearest = -1
    for i in range(golds.size):
        if tiles[golds[i]] == GOLD:
            if known[row + i] < 0:
                return -1
            if nearest < 0 or known[row + i] < nearest:
                nearest = known[row + i]
    return nearest


@inline
def _find_state(table, states, node, digest):
    """Returns the slot of the hash table that holds an equal state, or the free one where this belongs."""
    slot = digest & (table.size - 1)
    while table[slot] >= 0:
        other = table[slot]
        equal = True
        for i in range(states.shape[1]):
            if states[other, i] != states[node, i]:
                equal = False
                break
        if equal:
            break
        slot = (slot + 1) & (table.size - 1)
    return slot


@inline
def _count_visit(visits, digest):
    """Counts a visit of an untimed state in a table of digests and counts, and returns how many there were before."""
    slot = digest & (visits.shape[0] - 1)
    while visits[slot, 1] > 0 and visits[slot, 0] != digest:
        slot = (slot + 1) & (visits.shape[0] - 1)
    visits[slot, 0] = digest
    visits[slot, 1] += 1
    return visits[slot, 1] - 1


@inline
def _rehash(visits):
    """Returns a table of visits with twice the room."""
    larger = np.zeros((2 * visits.shape[0], 2), np.int64)
    for i in range(visits.shape[0]):
        if visits[i, 1] > 0:
            slot = visits[i, 0] & (larger.shape[0] - 1)
            while larger[slot, 1] > 0:
                slot = (slot + 1) & (larger.shape[0] - 1)
            larger[slot, 0], larger[slot, 1] = visits[i, 0], visits[i, 1]
    return larger


@inline
def _push(frontier, tops, key, node):
    """Puts a node on the stack of its key; see `envs.kernels.zelda_rules`."""
    while key >= tops.size:
        wider = np.empty(2 * tops.size, tops.dtype)
        for i in range(wider.size):
            wider[i] = tops[i] if i < tops.size else -1
        tops = wider
    row = frontier[0, 0]
    if row == frontier.shape[0]:
        frontier = _grown(frontier, row)
    frontier[row, 0] = node
    frontier[row, 1] = tops[key]
    frontier[0, 0] = row + 1
    tops[key] = row
    return frontier, tops


@inline
def _round(first, ground, board, caches, variants, weights, budget, stop):
    """Searches once.

    Args:
        first: int32 (words,), the packed start.
        ground: the padded width, the guards' first cells and the cells with gold.
        board: working room for one state: tiles, holes, guards' cells, traps, and the cells of the holes.
        caches: the guards' ways (slots, owners, ways, queue), the flood's scratch (times, opened, queue), known floods.
        variants: how many states of one place, gold and holes are gone into.
        weights: of gold, ticks and holes in a node's key.
        budget: the most nodes to expand.
        stop: uint8 (1,), polled.

    Returns:
        The status, the node that wins or came nearest to it, the nodes, the records, and the nodes expanded.
    """
    stride, firsts, golds = ground
    tiles, holes, guard_cells, traps, hole_cells = board
    (slots, owners, ways, way_queue), scratch, known = caches
    bodies = _BODIES + guard_cells.size
    words = first.size
    states = np.empty((1024, words), np.int32)
    records = np.empty((1024, RECORD), np.int32)
    table = np.full(4096, -1, np.int32)
    visits = np.zeros((4096, 2), np.int64)
    frontier = np.ones((1024, 2), np.int32)
    tops = np.full(256, -1, np.int32)
    for i in range(words):
        states[0, i] = first[i]
    place, clock, hole_count = _unpack(states[0], guard_cells, traps, hole_cells, holes, golds, tiles)
    left = 0
    for i in range(golds.size):
        if tiles[golds[i]] == GOLD:
            left += 1
    ahead = _estimate(tiles, holes, stride, place, hole_count, left, golds, scratch, known)
    for i in range(hole_count):
        holes[hole_cells[i]] = 0
    best, expanded, seen = 0, 0, 0
    records[0, PARENT], records[0, ACTION], records[0, TICKS] = -1, -1, 0
    records[0, AHEAD], records[0, LEFT_OVER] = ahead, left
    if ahead < 0:
        return UNSOLVABLE, best, states, records, expanded
    used, cut_short = 1, False
    table[_find_state(table, states, 0, _digest(states[0], bodies, guard_cells.size, True))] = 0
    key = (left * weights[0] + ahead * 16) >> 4
    frontier, tops = _push(frontier, tops, key, 0)
    lowest = key
    while lowest < tops.size:
        top = tops[lowest]
        if top < 0:
            lowest += 1
            continue
        tops[lowest] = frontier[top, 1]
        node = frontier[top, 0]
        if expanded >= budget or (expanded & 255 == 255 and stopped(stop) != 0):
            return UNKNOWN, best, states, records, expanded
        expanded += 1
        falls = False
        for turn in range(7):
            # The last child is looked into first: waiting comes last.
            action = WAIT - turn
            place, clock, hole_count = _unpack(states[node], guard_cells, traps, hole_cells, holes, golds, tiles)
            if turn == 0:
                falls = not is_supported(tiles, holes, stride, guard_cells, traps, place)
            elif falls:
                for i in range(hole_count):
                    holes[hole_cells[i]] = 0
                break
            target, dug = move_player(tiles, holes, stride, guard_cells, traps, place, action)
            idle = target == place and dug < 0 and action != WAIT
            lost = idle or is_touched(guard_cells, target)
            took = tiles[target] == GOLD
            left = records[node, LEFT_OVER]
            ticks = records[node, TICKS]
            if not lost:
                if dug >= 0:
                    if hole_count == MOST_HOLES:
                        cut_short = lost = True
                    else:
                        holes[dug] = HOLE_TICKS
                        hole_cells[hole_count] = dug
                        hole_count += 1
                if took:
                    tiles[target] = EMPTY
                    left -= 1
            before = hole_count
            patience = 1
            if action == WAIT and variants < ALL and not falls:
                patience = HOLE_TICKS if before > 0 else IDLE_TICKS
                # The states on the way are left out; without guards and holes they are all the same.
                cut_short = cut_short or before > 0 or guard_cells.size > 0
            while patience > 0 and not lost and hole_count == before:
                if clock == 1 and guard_cells.size > 0:
                    slot = _ways_to(tiles, stride, target, slots, owners, ways, way_queue)
                    for i in range(guard_cells.size):
                        move_guard(tiles, holes, stride, guard_cells, traps, ways[slot], i)
                    lost = is_touched(guard_cells, target)
                if not lost:
                    hole_count, lost = _close_holes(target, guard_cells, traps, firsts, hole_cells, holes, hole_count)
                    lost = lost or is_touched(guard_cells, target)
                clock = 1 - clock
                ticks += 1
                patience -= 1
            if not lost:
                if used == states.shape[0]:
                    states, records = _grown(states, used), _grown(records, used)
                    table = np.full(2 * table.size, -1, np.int32)
                    for other in range(used):
                        slot = _find_state(table, states, other, _digest(states[other], bodies, guard_cells.size, True))
                        table[slot] = other
                child = states[used]
                _pack(child, (target, clock), guard_cells, traps, hole_cells, holes, hole_count, golds, tiles)
                records[used, PARENT], records[used, ACTION] = node, action
                records[used, TICKS] = ticks
                records[used, LEFT_OVER] = left
                if left == 0:
                    for i in range(hole_count):
                        holes[hole_cells[i]] = 0
                    return SOLVED, used, states, records, expanded
                slot = _find_state(table, states, used, _digest(child, bodies, guard_cells.size, True))
                if table[slot] < 0:
                    fresh = True
                    if variants < ALL:
                        if 2 * seen > visits.shape[0]:
                            visits = _rehash(visits)
                        so_far = _count_visit(visits, _digest(child, bodies, guard_cells.size, False))
                        if so_far == 0:
                            seen += 1
                        if so_far >= variants:
                            cut_short, fresh = True, False
                    if fresh:
                        if target == place and dug < 0 and before == hole_count:
                            ahead = records[node, AHEAD]
                        else:
                            ahead = _estimate(tiles, holes, stride, target, hole_count, left, golds, scratch, known)
                        if ahead >= 0:
                            table[slot] = used
                            records[used, AHEAD] = ahead
                            if left < records[best, LEFT_OVER]:
                                best = used
                            key = (left * weights[0] + ahead * 16 + ticks * weights[1] + hole_count * weights[2]) >> 4
                            frontier, tops = _push(frontier, tops, key, used)
                            lowest = min(lowest, key)
                            used += 1
            for i in range(hole_count):
                holes[hole_cells[i]] = 0
    return (UNKNOWN if cut_short else UNSOLVABLE), best, states, records, expanded


@inline
def _path(node, records):
    """Returns the actions that lead to a node."""
    actions = np.empty(int(records[node, TICKS]), np.int64)
    for i in range(actions.size):
        actions[i] = WAIT
    while records[node, PARENT] >= 0:
        parent = records[node, PARENT]
        actions[records[parent, TICKS]] = records[node, ACTION]
        node = parent
    return actions


@kernel
def search(state, budget, stop):
    """Searches for actions that win.

    A node is a whole state. The next one is that with the least key: the ticks to its nearest gold, by `relax`, and
    what the round says for gold that is left, ticks that are over and open holes. A state from which `relax` does not
    reach all that is left is dropped, for it cannot be won. Rounds but the last wait until a hole closes. They begin
    anew: the first goes into a single state of each place, gold and holes, whatever the guards do; later ones into
    more, the last into all. A round that runs out of states and left none out is a proof.

    Args:
        state: int32 (n,) of a game that goes on.
        budget: the most nodes to expand, over all rounds.
        stop: uint8 (1,); the search gives up soon after it becomes 1.

    Returns:
        SOLVED, UNSOLVABLE (proven) or UNKNOWN; int64 (length,) the actions that win, empty if there are none; the
        nodes expanded; and the least gold left in any state seen.
    """
    stride = int(state[WIDTH]) + 2
    padded = (int(state[HEIGHT]) + 2) * stride
    count = int(state[GUARDS])
    tiles = state[HEADER : HEADER + padded].copy()
    holes = np.zeros(padded, np.int32)
    guard_cells = state[HEADER + 2 * padded : HEADER + 2 * padded + count].copy()
    traps = state[HEADER + 3 * padded : HEADER + 3 * padded + count].copy()
    firsts = state[HEADER + 4 * padded : HEADER + 4 * padded + count].copy()
    hole_cells = np.zeros(MOST_HOLES + 1, np.int32)
    golds = np.empty(int(state[GOLD_LEFT]), np.int32)
    found = hole_count = 0
    given = state[HEADER + padded : HEADER + 2 * padded]
    for cell in range(padded):
        if tiles[cell] == GOLD:
            golds[found] = cell
            found += 1
    # The oldest hole comes first.
    for age in range(1, HOLE_TICKS):
        for cell in range(padded):
            if given[cell] == age:
                if hole_count == MOST_HOLES:
                    return UNKNOWN, np.empty(0, np.int64), 0, found
                hole_cells[hole_count], holes[cell] = cell, age
                hole_count += 1
    words = _BODIES + count + MOST_HOLES + (found + _GOLD_BITS - 1) // _GOLD_BITS
    first = np.empty(words, np.int32)
    player = (int(state[PLACE]), int(state[CLOCK]))
    _pack(first, player, guard_cells, traps, hole_cells, holes, hole_count, golds, tiles)
    for i in range(hole_count):
        holes[hole_cells[i]] = 0
    rows = max(1, min(padded, _ROOM_FOR_WAYS // padded))
    slots = np.full(padded, -1, np.int32)
    owners = np.full(rows + 1, -1, np.int32)
    owners[rows] = 0
    ways = np.empty((rows if count > 0 else 1, padded), np.int32)
    queue = np.empty(padded, np.int32)
    scratch = (np.empty(padded, np.int32), np.empty(padded, np.int32), np.empty(4 * padded, np.int32))
    known = np.full(padded * found if padded * found <= _ROOM_FOR_WAYS else 0, -2, np.int32)
    caches = ((slots, owners, ways, queue), scratch, known)
    board = (tiles, holes, guard_cells, traps, hole_cells)
    ground = (stride, firsts, golds)
    total, least = 0, found
    for turn in range(len(_ROUNDS)):
        variants, share, weights = _ROUNDS[turn]
        rest = min(budget - total, max(budget * share // 100, 400))
        status, node, _, records, expanded = _round(first, ground, board, caches, variants, weights, rest, stop)
        total += expanded
        least = min(least, int(records[node, LEFT_OVER]))
        if status == SOLVED:
            return SOLVED, _path(node, records), total, 0
        if status == UNSOLVABLE:
            return UNSOLVABLE, np.empty(0, np.int64), total, least
        if total >= budget or stop[0] != 0:
            break
    return UNKNOWN, np.empty(0, np.int64), total, least
