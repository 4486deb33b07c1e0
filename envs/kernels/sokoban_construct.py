"""Sokoban levels made by playing backwards, compiled.

A room is carved, targets are put on its floor with a crate on each, and the game is played backwards from there: the
player walks and pulls. Breadth-first, so that positions come in the order of the moves that they are from the win; a
level begins at one of the furthest (reverse play, Taylor and Parberry 2011, Murase 1996).
"""

from __future__ import annotations

import numpy as np

from envs.kernels import inline, kernel
from envs.kernels.draw import draw_next
from envs.kernels.sokoban_rules import CRATE, EMPTY, PLAYER, SOLID, TARGET, neighbour

MOST_CRATES = 3

#: The rooms that are tried for a level that takes enough moves.
ROOMS_TRIED = 40

#: The share of the cells that is floor.
LEAST_FLOOR, MOST_FLOOR = 0.4, 0.85

#: The positions that are looked at in one room, and those of one distance that are played on from; where there are
#: more, chance chooses. On 5x5 there never are more positions, and hardly more of one distance.
MOST_POSITIONS = 1 << 16
MOST_OF_A_DISTANCE = 1024
TABLE_SIZE = 1 << 18


@inline
def _carve(shape, least, state, near, floor, is_floor):
    """Carves a room of connected floor, by a mixture of winding and of spreading.

    Args:
        shape: the (height, width).
        least: the fewest cells.
        state: of the random stream.
        near: int32 (cells, 4), filled with each cell's floor neighbours, -1 for none.
        floor: int32 (cells,), filled with the floor's cells.
        is_floor: uint8 (cells,), filled.

    Returns:
        The random stream's state, and how many cells are floor.
    """
    height, width = shape
    cells = height * width
    for cell in range(cells):
        is_floor[cell] = 0
    state, share = draw_next(state)
    state, winding = draw_next(state)
    wanted = max(least, int((LEAST_FLOOR + share * (MOST_FLOOR - LEAST_FLOOR)) * cells))
    state, uniform = draw_next(state)
    here = int(uniform * cells)
    is_floor[here] = 1
    floor[0] = here
    count = 1
    while count < wanted:
        state, uniform = draw_next(state)
        if uniform >= winding:
            state, uniform = draw_next(state)
            here = int(floor[int(uniform * count)])
        state, uniform = draw_next(state)
        to = neighbour(here, int(4 * uniform), height, width)
        if to >= 0:
            here = to
            if is_floor[to] == 0:
                is_floor[to] = 1
                floor[count] = to
                count += 1
    for i in range(count):
        for direction in range(4):
            to = neighbour(int(floor[i]), direction, height, width)
            near[floor[i], direction] = to if to >= 0 and is_floor[to] == 1 else -1
    return state, count


@inline
def _code(crates, crate_count, player, cells):
    """Returns the one number that stands for a position; the crates are in ascending order."""
    code = player
    for i in range(crate_count):
        code = code * cells + crates[i]
    return code


@inline
def _remember(code, table, positions, slots, used):
    """Adds a position unless it is known; returns how many there are."""
    digest = (code & 0x7FFFFFFF) * 1540483477 + (code >> 31) * 668265263
    slot = (digest ^ (digest >> 19)) & (len(table) - 1)
    while table[slot] >= 0 and table[slot] != code:
        slot = (slot + 1) & (len(table) - 1)
    if table[slot] < 0:
        table[slot] = code
        positions[used] = code
        slots[used] = slot
        used += 1
    return used


@inline
def _play_back(code, crate_count, cells, near, crates, table, positions, slots, used):
    """Adds the positions from which one move leads to this one; returns how many positions there are."""
    rest = code
    for i in range(crate_count - 1, -1, -1):
        crates[i] = rest % cells
        rest //= cells
    player = rest
    for direction in range(4):
        to, ahead = near[player, direction ^ 1], near[player, direction]
        pulled, free = -1, to >= 0
        for i in range(crate_count):
            if crates[i] == to:
                free = False
            elif crates[i] == ahead:
                pulled = i
        if not free:
            continue
        used = _remember(_code(crates, crate_count, to, cells), table, positions, slots, used)
        if pulled >= 0:
            # One cell up, down, left or right may pass other crates in the order; it is put right and then back.
            for i in range(crate_count):
                crates[MOST_CRATES + i] = crates[i]
            crates[MOST_CRATES + pulled] = player
            for i in range(MOST_CRATES + 1, MOST_CRATES + crate_count):
                for j in range(i, MOST_CRATES, -1):
                    if crates[j] < crates[j - 1]:
                        crates[j], crates[j - 1] = crates[j - 1], crates[j]
            used = _remember(_code(crates[MOST_CRATES:], crate_count, to, cells), table, positions, slots, used)
    return used


@inline
def _is_start(code, crate_count, cells, is_target):
    """Tells whether neither the player nor a crate stands on a target, which no tile could show."""
    for _ in range(crate_count):
        if is_target[code % cells]:
            return False
        code //= cells
    return is_target[code] == 0


@inline
def _furthest(targets, crate_count, count, cells, state, near, floor, is_target, table, positions, slots, crates):
    """Plays backwards from the win.

    Returns:
        The random stream's state, the furthest position that a level can begin at (-1 if there is none), and the
        moves that it is from the win.
    """
    used = 0
    for i in range(count):
        if is_target[floor[i]] == 0:
            used = _remember(_code(targets, crate_count, int(floor[i]), cells), table, positions, slots, used)
    begin, distance = 0, 0
    best, best_distance = -1, 0
    while begin < used:
        end = used
        chosen, candidates = -1, 0
        for i in range(begin, end):
            if _is_start(positions[i], crate_count, cells, is_target):
                candidates += 1
                state, uniform = draw_next(state)
                if uniform * candidates < 1:
                    chosen = positions[i]
        if chosen >= 0:
            best, best_distance = chosen, distance
        played = min(end - begin, MOST_OF_A_DISTANCE)
        for i in range(begin, begin + played):
            if end - begin > played:
                state, uniform = draw_next(state)
                other = i + int(uniform * (end - i))
                positions[i], positions[other] = positions[other], positions[i]
            if used + 8 > len(positions):
                break
            used = _play_back(positions[i], crate_count, cells, near, crates, table, positions, slots, used)
        begin, distance = end, distance + 1
    for i in range(used):
        table[slots[i]] = -1
    return state, best, best_distance


@kernel
def construct_levels(seeds, enough, levels, near, floor, marks, table, positions, slots):
    """Builds levels of one to three crates, each of which can be solved.

    Args:
        seeds: uint64 (n,).
        enough: the moves that a level should take; rooms are tried until one does, or ROOMS_TRIED have been tried.
        levels: uint8 (n, height, width), filled.
        near: int32 (cells, 4), to work in, like all that follow.
        floor: int32 (cells,).
        marks: uint8 (2, cells).
        table: int64 (TABLE_SIZE,), all -1 before and after.
        positions: int64 (MOST_POSITIONS,).
        slots: int32 (MOST_POSITIONS,).
    """
    n, height, width = levels.shape
    cells = height * width
    is_floor, is_target = marks[0], marks[1]
    targets, crates = np.empty(MOST_CRATES, np.int64), np.empty(2 * MOST_CRATES, np.int64)
    best_targets = np.empty(MOST_CRATES, np.int64)
    for lane in range(n):
        state, uniform = draw_next(seeds[lane])
        crate_count = 1 + int(uniform * MOST_CRATES)
        best, most_moves, rooms = -1, -1, 0
        while best < 0 or (most_moves < enough and rooms < ROOMS_TRIED):
            rooms += 1
            if best < 0 and rooms > ROOMS_TRIED and crate_count > 1:
                # A level this small has no room for so many crates.
                crate_count -= 1
                rooms = 0
            state, count = _carve((height, width), 2 * crate_count + 1, state, near, floor, is_floor)
            for cell in range(cells):
                is_target[cell] = 0
            chosen = 0
            while chosen < crate_count:
                state, uniform = draw_next(state)
                cell = floor[int(uniform * count)]
                if is_target[cell] == 0:
                    is_target[cell] = 1
                    chosen += 1
            chosen = 0
            for cell in range(cells):
                if is_target[cell]:
                    targets[chosen] = cell
                    chosen += 1
            state, position, moves = _furthest(
                targets, crate_count, count, cells, state, near, floor, is_target, table, positions, slots, crates
            )
            if position >= 0 and moves > most_moves:
                best, most_moves = position, moves
                for cell in range(cells):
                    levels[lane, cell // width, cell % width] = EMPTY if is_floor[cell] else SOLID
                for i in range(crate_count):
                    best_targets[i] = targets[i]
        for i in range(crate_count):
            levels[lane, best_targets[i] // width, best_targets[i] % width] = TARGET
            crate = best % cells
            levels[lane, crate // width, crate % width] = CRATE
            best //= cells
        levels[lane, best // width, best % width] = PLAYER
