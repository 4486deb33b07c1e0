"""The one step of sokoban, compiled: how the player moves and pushes.

A state is one int32 vector: height, width, the player's cell, how many crates stand off target, and then a cell a
number, row by row, made of the bits SOLID_BIT, TARGET_BIT and CRATE_BIT.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernels import inline, kernel

EMPTY, SOLID, PLAYER, CRATE, TARGET = range(5)
SOLID_BIT, TARGET_BIT, CRATE_BIT = 1, 2, 4

# Where things stand in a state.
HEIGHT, WIDTH, PLAYER_CELL, CRATES_LEFT, CELLS = range(5)

# Up, down, left, right; a direction and its opposite differ in the last bit alone.
ROW_STEP = (-1, 1, 0, 0)
COLUMN_STEP = (0, 0, -1, 1)


@inline
def neighbour(cell, direction, height, width):
    """Returns the cell one step away, or -1 outside the level."""
    row = cell // width + ROW_STEP[direction]
    column = cell % width + COLUMN_STEP[direction]
    if row < 0 or row >= height or column < 0 or column >= width:
        return -1
    return row * width + column


@kernel
def move(state: NDArray[np.int32], action: int) -> None:
    """Plays one action in place: the player walks, or pushes a single crate, or is blocked and stays.

    Args:
        state: int32 (4 + cells,), changed in place. A game that is won stays as it is.
        action: 0 up, 1 down, 2 left, 3 right.
    """
    if state[CRATES_LEFT] == 0:
        return
    height, width = int(state[HEIGHT]), int(state[WIDTH])
    ahead = neighbour(int(state[PLAYER_CELL]), int(action), height, width)
    if ahead < 0 or state[CELLS + ahead] & SOLID_BIT:
        return
    if state[CELLS + ahead] & CRATE_BIT:
        beyond = neighbour(ahead, int(action), height, width)
        if beyond < 0 or state[CELLS + beyond] & (SOLID_BIT | CRATE_BIT):
            return
        state[CELLS + ahead] ^= CRATE_BIT
        state[CELLS + beyond] ^= CRATE_BIT
        if state[CELLS + ahead] & TARGET_BIT:
            state[CRATES_LEFT] += 1
        if state[CELLS + beyond] & TARGET_BIT:
            state[CRATES_LEFT] -= 1
    state[PLAYER_CELL] = ahead


@kernel
def move_all(states: NDArray[np.int32], actions: NDArray[np.int64]) -> None:
    """Plays one action in each of many games, in place.

    Args:
        states: int32 (n, 4 + cells), changed in place.
        actions: int64 (n,).
    """
    for i in range(len(states)):
        move(states[i], actions[i])
