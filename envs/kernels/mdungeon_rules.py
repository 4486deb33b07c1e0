"""One move of mdungeon, and the exact searches for the fewest moves that win.

A state is one int32 vector: the header below and the padded level (see `envs.kernels.grid`), in which what was taken
or beaten is empty; the enemy that won stays.

The searches rank ways by moves, then by the health lost, then by the enemies met. A way that never comes to a cell
twice meets everything on it once; `_by_health` finds the best of these without remembering what is gone. Only a
detour to a potion and back may need that memory, and only then `_by_memory` is asked (A*, Hart 1968).
"""

from __future__ import annotations

import numpy as np

from envs.kernels import inline, kernel
from envs.kernels.stop import stopped
from envs.kernels.taken import ACTION, MOVES, NOTE, PARENT, clear, copy_state, find, is_gone, pop, push, take
from envs.rules import LOST, PLAYING, WON

EMPTY, SOLID, PLAYER, EXIT, POTION, TREASURE, GOBLIN, OGRE = range(8)
UP, DOWN, LEFT, RIGHT = range(4)
HEIGHT, WIDTH, PLACE, HEALTH, OUTCOME, HEADER = range(6)

#: The most health, which every player begins with, and what a potion gives back.
FULL, HEALED = 5, 2
#: A player's place and health in one number: the number of them for each padded cell.
STANCES = FULL + 1

#: What the searches find out.
SOLVED, UNSOLVABLE, UNKNOWN = range(3)

#: What `_by_health` knows about a stance: the moves, the toll (health lost * 65536 + enemies met), the stance before,
#: and the action from there.
STEPS, TOLL, BEFORE, BY, COLUMNS = range(5)

# The kinds of search by health.
_STRAIGHT, _ANY = 0, 1
_FAR = 1 << 29


@inline
def neighbour(place, stride, action):
    """Returns the padded cell that an action leads to from another."""
    distance = stride if action < LEFT else 1
    return place + distance if action & 1 else place - distance


@inline
def health_after(health, tile):
    """Returns a player's health after stepping on a tile; 0 loses."""
    if tile == POTION:
        return min(FULL, health + HEALED)
    if tile == GOBLIN:
        return max(0, health - 1)
    if tile == OGRE:
        return max(0, health - 2)
    return health


@kernel
def step(state, action, after):
    """Writes the state after one action; a finished game stays as it is.

    Args:
        state: int32 (n,), not changed.
        action: 0 to 3.
        after: int32 (n,), filled in.
    """
    for i in range(state.size):
        after[i] = state[i]
    if state[OUTCOME] != PLAYING:
        return
    target = neighbour(state[PLACE], state[WIDTH] + 2, action)
    tile = state[HEADER + target]
    if tile == SOLID:
        return
    after[PLACE] = target
    after[HEALTH] = health_after(state[HEALTH], tile)
    if after[HEALTH] == 0:
        after[OUTCOME] = LOST
    elif tile == EXIT:
        after[OUTCOME] = WON
    else:
        after[HEADER + target] = EMPTY


@kernel
def step_all(states, actions, after):
    """Writes the states of many games after one action each.

    Args:
        states: int32 (n, length), not changed.
        actions: int64 (n,).
        after: int32 (n, length), filled in.
    """
    for i in range(len(states)):
        step(states[i], actions[i], after[i])


@inline
def distances_from(cells, stride, source, distances, queue):
    """Fills in each padded cell's steps to `source`, whatever stands in the way but walls; _FAR for none."""
    for i in range(cells.size):
        distances[i] = _FAR
    distances[source] = 0
    queue[0] = source
    head = 0
    tail = 1
    while head < tail:
        cell = np.int64(queue[head])
        head += 1
        for action in range(4):
            beside = neighbour(cell, stride, action)
            if cells[beside] != SOLID and distances[beside] == _FAR:
                distances[beside] = distances[cell] + 1
                queue[tail] = beside
                tail += 1
    return tail


@inline
def _by_health(cells, stride, place, health, distances, kind, known, queue, budget):
    """Searches for the best way among those that never come to a cell twice.

    Args:
        cells: the padded level.
        stride: its width.
        place: where the player is.
        health: 1 to 5.
        distances: the steps from each padded cell to the exit.
        kind: _STRAIGHT for ways whose every move comes nearer to the exit, potions drunk; _ANY for all ways, potions
            left out.
        known: int32 (STANCES * padded cells, COLUMNS), filled in.
        queue: int32 (STANCES * padded cells,), to work in.
        budget: the most stances to expand.

    Returns:
        The winning stance or -1, the stances expanded, and whether that was all.
    """
    for i in range(cells.size * STANCES):
        known[i, STEPS] = -1
    first = place * STANCES + health
    known[first, STEPS] = 0
    known[first, TOLL] = 0
    known[first, BEFORE] = -1
    queue[0] = first
    head = 0
    tail = 1
    won = -1
    while head < tail:
        stance = np.int64(queue[head])
        steps = known[stance, STEPS]
        if won >= 0 and steps == known[won, STEPS]:
            break
        if head >= budget:
            return won, head, False
        head += 1
        place, health = stance // STANCES, stance % STANCES
        for action in range(4):
            beside = neighbour(place, stride, action)
            tile = cells[beside]
            if tile == SOLID or (kind == _STRAIGHT and distances[beside] >= distances[place]):
                continue
            left = health if kind == _ANY and tile == POTION else health_after(health, tile)
            if left == 0:
                continue
            child = beside * STANCES + left
            toll = known[stance, TOLL]
            if tile >= GOBLIN:
                toll += ((health - left) << 16) + 1
            if known[child, STEPS] < 0:
                queue[tail] = child
                tail += 1
            elif known[child, STEPS] <= steps or known[child, TOLL] <= toll:
                continue
            known[child, STEPS] = steps + 1
            known[child, TOLL] = toll
            known[child, BEFORE] = stance
            known[child, BY] = action
            if tile == EXIT and (won < 0 or toll < known[won, TOLL]):
                won = child
    return won, head, True


@inline
def _rank(moves, toll, row):
    """Returns the heap's number for a state: less of it is better. Rows take 22 bits, tolls 22, moves the rest."""
    lost, met = min(toll >> 16, 2047), min(toll & 65535, 2047)
    return (((np.int64(moves) << 11 | lost) << 11) | met) << 22 | row


@inline
def _by_memory(cells, stride, things, place, health, distances, most, budget, stop, states, known, table, heap):
    """Searches for the best of all ways, remembering what is gone (A*).

    Args:
        cells: the padded level.
        stride: its width.
        things: int32 (padded cells,), the number of each potion and enemy.
        place: where the player is.
        health: 1 to 5.
        distances: the steps from each padded cell to the exit.
        most: the most moves of a way that is worth finding.
        budget: the most states to expand.
        stop: uint8 (1,); anything but 0 ends the search.
        states: int64 (rows, words), see `envs.kernels.taken`.
        known: int32 (rows, KNOWN); NOTE holds the toll, negated less 1 once the state is expanded.
        table: int32 (size,).
        heap: int64 (rows,).

    Returns:
        The winning row or -1, the states expanded, and whether that was all.
    """
    clear(table)
    for i in range(states.shape[1]):
        states[0, i] = 0
    states[0, 0] = place * STANCES + health
    known[0, MOVES] = 0
    known[0, NOTE] = 0
    known[0, PARENT] = -1
    table[find(table, states, np.int64(0))] = 0
    used = np.int64(1)
    waiting = push(heap, 0, _rank(distances[place], 0, np.int64(0)))
    expanded = 0
    while waiting > 0:
        row = heap[0] & 0x3FFFFF
        waiting = pop(heap, waiting)
        if known[row, NOTE] < 0:
            continue
        place, health = states[row, 0] // STANCES, states[row, 0] % STANCES
        if cells[place] == EXIT:
            return row, expanded, True
        if expanded >= budget or (expanded % 1024 == 1023 and stopped(stop) != 0):
            return np.int64(-1), expanded, False
        expanded += 1
        toll = known[row, NOTE]
        known[row, NOTE] = -1 - toll
        for action in range(4):
            beside = neighbour(place, stride, action)
            tile = cells[beside]
            moves = known[row, MOVES] + 1
            if tile == SOLID or moves + distances[beside] > most:
                continue
            copy_state(states, row, used)
            left = health
            now = toll
            if (tile == POTION or tile >= GOBLIN) and not is_gone(states, used, np.int64(things[beside])):
                left = health_after(health, tile)
                if left == 0:
                    continue
                take(states, used, np.int64(things[beside]))
                if tile >= GOBLIN:
                    now += ((health - left) << 16) + 1
            states[used, 0] = beside * STANCES + left
            slot = find(table, states, used)
            child = np.int64(table[slot])
            if child < 0:
                child = used
                table[slot] = child
                used += 1
            elif known[child, NOTE] < 0 or known[child, MOVES] <= moves:
                # What is gone tells the toll: only the moves can be fewer.
                continue
            known[child, MOVES] = moves
            known[child, NOTE] = now
            known[child, PARENT] = row
            known[child, ACTION] = action
            waiting = push(heap, waiting, _rank(moves + distances[beside], now, child))
    return np.int64(-1), expanded, True


@inline
def _trace_stance(known, won):
    """Returns the actions that lead to a stance, int64 (length,)."""
    actions = np.empty(known[won, STEPS], np.int64)
    for i in range(actions.size - 1, -1, -1):
        actions[i] = known[won, BY]
        won = known[won, BEFORE]
    return actions


@inline
def _trace_row(known, row):
    """Returns the actions that lead to a state, int64 (length,)."""
    actions = np.empty(known[row, MOVES], np.int64)
    for i in range(actions.size - 1, -1, -1):
        actions[i] = known[row, ACTION]
        row = known[row, PARENT]
    return actions


@inline
def find_way(cells, stride, place, health, door, budget, stop, board, stances, memory):
    """Searches for the way of the fewest moves, among those of the least health lost, among those of fewest enemies.

    Args:
        cells: the padded level.
        stride: its width.
        place: where the player is.
        health: 1 to 5.
        door: where the exit is.
        budget: the most states to expand.
        stop: uint8 (1,); anything but 0 ends the search.
        board: three int32 (padded cells,), to work in: distances, queue and things.
        stances: the `known` and `queue` of `_by_health`.
        memory: the states, known, table and heap of `_by_memory`, for as many states as it may have to expand.

    Returns:
        SOLVED, UNSOLVABLE (proven) or UNKNOWN; int64 (length,) the actions; and the states expanded. Where the budget
        ends the search by memory, a way without detours to potions is still a solution.
    """
    distances, cell_queue, things = board
    known, queue = stances
    nothing = np.empty(0, np.int64)
    reached = distances_from(cells, stride, door, distances, cell_queue)
    if distances[place] == _FAR:
        return UNSOLVABLE, nothing, 0
    won, expanded, done = _by_health(cells, stride, place, health, distances, _STRAIGHT, known, queue, budget)
    if won >= 0 and done:
        return SOLVED, _trace_stance(known, won), expanded
    won, more, done = _by_health(cells, stride, place, health, distances, _ANY, known, queue, budget - expanded)
    expanded += more
    number = 0
    potions = 0
    for i in range(reached):
        cell = cell_queue[i]
        if cells[cell] == POTION or cells[cell] >= GOBLIN:
            things[cell] = number
            number += 1
            potions += cells[cell] == POTION
    if done and potions > 0:
        most = np.int64(known[won, STEPS]) if won >= 0 else np.int64(_FAR)
        row, more, done = _by_memory(
            cells, stride, things, place, health, distances, most, budget - expanded, stop, *memory
        )
        expanded += more
        if row >= 0:
            return SOLVED, _trace_row(memory[1], row), expanded
    if won >= 0:
        return SOLVED, _trace_stance(known, won), expanded
    return (UNSOLVABLE if done else UNKNOWN), nothing, expanded


@kernel
def search(state, door, budget, stop, distances, cell_queue, things, known, queue, rows, heard, table, heap):
    """Searches for the best way from a state of a game that goes on; see `find_way`.

    Args:
        state: int32 (n,).
        door: the padded cell of the exit.
        budget: the most states to expand.
        stop: uint8 (1,); anything but 0 ends the search.
        distances: this and the arrays after it are to work in, as `find_way` says.
        cell_queue: the second one of the board's.
        things: the third one of the board's.
        known: the first one for stances.
        queue: the second one for stances.
        rows: the states of the memory.
        heard: what is known of them.
        table: their hash table.
        heap: their heap.
    """
    stride = np.int64(state[WIDTH]) + 2
    return find_way(
        state[HEADER:],
        stride,
        np.int64(state[PLACE]),
        np.int64(state[HEALTH]),
        door,
        budget,
        stop,
        (distances, cell_queue, things),
        (known, queue),
        (rows, heard, table, heap),
    )
