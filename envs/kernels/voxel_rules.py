"""The walk through a voxel level: where it begins and ends, one move of it, and the shortest way through.

A state is one int32 vector: depth, height, width, the walker's cell, the goal's cell, and then the padded level (see
`envs.kernels.voxel`).
"""

from __future__ import annotations

import numpy as np

from envs.kernels import kernel
from envs.kernels.stop import stopped
from envs.kernels.voxel import direction, longest_walk, move, open_level

DEPTH, HEIGHT, WIDTH, WALKER, GOAL, HEADER = range(6)

#: How many places are expanded between two looks at whether to stop.
_PATIENCE = 1024


@kernel
def begin(level, state):
    """Writes the state at the start of a level: the ends of its longest walk.

    Args:
        level: uint8 (depth, height, width); tile 0 is air.
        state: int32 (HEADER + padded cells,), all zero; filled in. Where nobody can stand, the walker's cell is -1.
    """
    depth, height, width = level.shape
    state[DEPTH], state[HEIGHT], state[WIDTH] = depth, height, width
    cells = state[HEADER:]
    open_level(level, cells)
    column = depth + 3
    work = np.full((3, cells.size), -1, np.int32)
    rings = np.empty((4, cells.size), np.int32)
    seen = np.empty(cells.size, np.uint8)
    first, last, _, _ = longest_walk(cells, column, column * (width + 2), work[0], work[1], rings, work[2], seen)
    state[WALKER], state[GOAL] = first, last


@kernel
def step(state, action, after):
    """Writes the state after one action; where there is no move the walker stays, and the goal keeps it.

    Args:
        state: int32 (n,), not changed.
        action: north (0), south (1), west (2) or east (3).
        after: int32 (n,), filled in.
    """
    for i in range(state.size):
        after[i] = state[i]
    if state[WALKER] != state[GOAL]:
        column = state[DEPTH] + 3
        step = direction(action, column, column * (state[WIDTH] + 2))
        target, _, _ = move(state[HEADER:], state[WALKER], step)
        if target >= 0:
            after[WALKER] = target


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


@kernel
def shortest(state, budget, stop):
    """Finds a way of fewest moves from the walker to the goal.

    Args:
        state: int32 (n,).
        budget: the most places to expand.
        stop: uint8 (1,); the search ends soon once it is not 0.

    Returns:
        1 for solved, 0 for unsolvable, -1 for given up; int64 (length,) the actions; and the places expanded.
    """
    cells = state[HEADER:]
    column = state[DEPTH] + 3
    row = column * (state[WIDTH] + 2)
    start, goal = state[WALKER], state[GOAL]
    came_by = np.full(cells.size, -1, np.int8)
    came_from = np.empty(cells.size, np.int32)
    queue = np.empty(cells.size, np.int32)
    queue[0] = start
    came_by[start] = 4
    head = 0
    tail = 1
    while came_by[goal] < 0:
        if head == tail:
            return 0, np.empty(0, np.int64), head
        if head >= budget or (head % _PATIENCE == 0 and stopped(stop) != 0):
            return -1, np.empty(0, np.int64), head
        cell = queue[head]
        head += 1
        for side in range(4):
            target, _, _ = move(cells, cell, direction(side, column, row))
            if target >= 0 and came_by[target] < 0:
                came_by[target] = side
                came_from[target] = cell
                queue[tail] = target
                tail += 1
    length = 0
    cell = goal
    while cell != start:
        cell = came_from[cell]
        length += 1
    actions = np.empty(length, np.int64)
    cell = goal
    for i in range(length):
        actions[length - 1 - i] = came_by[cell]
        cell = came_from[cell]
    return 1, actions, head
