"""The maze walk: where it begins and ends, one step of it, and the shortest way through.

A state is one int32 vector: height, width, the walker's cell, the goal's cell, and then the padded level (see
`envs.kernels.grid`), 1 where a cell is empty and 0 elsewhere.
"""

from __future__ import annotations

import numpy as np

from envs.kernels import inline, kernel
from envs.kernels.grid import flood
from envs.kernels.stop import stopped

HEIGHT, WIDTH, WALKER, GOAL, HEADER = range(5)
LEFT = 2

#: What `shortest` finds out.
SOLVED, UNSOLVABLE, UNKNOWN = range(3)

# How many cells are expanded between two looks at whether to stop.
_LOOK_EVERY = 1024


@inline
def neighbour(cell, stride, direction):
    """Returns the padded cell next to another, in the direction up (0), down (1), left (2) or right (3)."""
    distance = stride if direction < LEFT else 1
    return cell + distance if direction & 1 else cell - distance


@kernel
def begin(level, state):
    """Writes the state at the start of a maze: the ends of its longest path, by two floods a region.

    Args:
        level: uint8 (height, width) with at least one empty cell (tile 0).
        state: int32 (4 + padded cells,), all zero; filled in.
    """
    height, width = level.shape
    stride = width + 2
    padded = (height + 2) * stride
    cells = np.zeros(padded, np.uint8)
    queue = np.empty(padded, np.int32)
    state[HEIGHT] = height
    state[WIDTH] = width
    for y in range(height):
        for x in range(width):
            if level[y, x] == 0:
                cells[(y + 1) * stride + x + 1] = 1
                state[HEADER + (y + 1) * stride + x + 1] = 1
    longest = -1
    for cell in range(stride, (height + 1) * stride):
        if cells[cell] == 1:
            size, _, first = flood(cells, stride, cell, 1, 2, queue)
            if size - 1 > longest:
                _, length, second = flood(cells, stride, first, 2, 3, queue)
                if length > longest:
                    longest = length
                    state[WALKER] = first
                    state[GOAL] = second


@kernel
def begin_at_player(level, state):
    """Writes the state at the start of a maze that says where to begin and where to end.

    Args:
        level: uint8 (height, width) with one player (tile 2) and one door (tile 3); tile 1 is solid.
        state: int32 (4 + padded cells,), all zero; filled in.
    """
    height, width = level.shape
    state[HEIGHT] = height
    state[WIDTH] = width
    for y in range(height):
        for x in range(width):
            cell = (y + 1) * (width + 2) + x + 1
            state[HEADER + cell] = level[y, x] != 1
            if level[y, x] == 2:
                state[WALKER] = cell
            elif level[y, x] == 3:
                state[GOAL] = cell


@kernel
def step(state, action, after):
    """Writes the state after one action; a wall stops the walker, and the goal keeps it.

    Args:
        state: int32 (n,), not changed.
        action: up (0), down (1), left (2) or right (3).
        after: int32 (n,), filled in.
    """
    for i in range(state.size):
        after[i] = state[i]
    if state[WALKER] != state[GOAL]:
        target = neighbour(state[WALKER], state[WIDTH] + 2, action)
        if state[HEADER + target] == 1:
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
    """Finds a shortest way from the walker to the goal.

    Args:
        state: int32 (n,).
        budget: the most cells to expand.
        stop: uint8 (1,), which is looked at now and then: not 0 gives up.

    Returns:
        SOLVED, UNSOLVABLE (there is no way) or UNKNOWN (at the budget, or stopped); int64 (length,) the actions; and
        the cells expanded.
    """
    stride = state[WIDTH] + 2
    padded = (state[HEIGHT] + 2) * stride
    start, goal = state[WALKER], state[GOAL]
    distances = np.full(padded, -1, np.int32)
    queue = np.empty(padded, np.int32)
    distances[goal] = 0
    queue[0] = goal
    head = 0
    tail = 1
    while distances[start] < 0:
        if head == tail:
            return UNSOLVABLE, np.empty(0, np.int64), head
        if head >= budget or (head % _LOOK_EVERY == 0 and stopped(stop) != 0):
            return UNKNOWN, np.empty(0, np.int64), head
        cell = queue[head]
        head += 1
        for direction in range(4):
            beside = neighbour(cell, stride, direction)
            if state[HEADER + beside] == 1 and distances[beside] < 0:
                distances[beside] = distances[cell] + 1
                queue[tail] = beside
                tail += 1
    actions = np.empty(distances[start], np.int64)
    cell = start
    for i in range(actions.size):
        for direction in range(4):
            beside = neighbour(cell, stride, direction)
            if distances[beside] == actions.size - i - 1:
                actions[i] = direction
                cell = beside
                break
    return SOLVED, actions, head
