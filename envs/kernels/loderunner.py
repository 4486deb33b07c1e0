"""What the loderunner problem measures: counts, what can be walked to, and how far our player comes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernels import kernel
from envs.kernels.loderunner_relaxed import relax
from envs.kernels.loderunner_rules import (
    BRICK,
    GOLD,
    GUARD,
    HEADER,
    LADDER,
    PLACE,
    PLAYER,
    ROPE,
    SOLID,
    begin,
)
from envs.kernels.loderunner_search import SOLVED, search

PLAYERS, PIECES, ENEMIES, EXPLORED, USED, STRANDED, GOLD_MISSED, LENGTH, COLUMNS = range(9)


@kernel
def _measure_static(levels, measured, state, holes, times, opened, queue):
    height, width = levels.shape[1:]
    stride = width + 2
    padded = (height + 2) * stride
    for lane in range(levels.shape[0]):
        players = gold = guards = useful = used = explored = 0
        for y in range(height):
            for x in range(width):
                tile = levels[lane, y, x]
                players += tile == PLAYER
                gold += tile == GOLD
                guards += tile == GUARD
        stranded = gold
        if players == 1:
            for i in range(state.size):
                state[i] = 0
            begin(levels[lane], state)
            tiles = state[HEADER : HEADER + padded]
            start = int(state[PLACE])
            if gold > 0:
                stranded = relax(tiles, holes, stride, start, gold, True, times, opened, queue)[1]
            relax(tiles, holes, stride, start, -1, False, times, opened, queue)
            for y in range(height):
                for x in range(width):
                    cell = (y + 1) * stride + x + 1
                    tile = tiles[cell]
                    explored += times[cell] >= 0
                    if tile in (LADDER, ROPE):
                        useful += 1
                        used += times[cell] >= 0
                    elif tile in (BRICK, SOLID):
                        above = tiles[cell - stride]
                        if y > 0 and above != BRICK and above != SOLID:
                            useful += 1
                            used += times[cell - stride] >= 0
        measured[lane, PLAYERS], measured[lane, PIECES], measured[lane, ENEMIES] = players, gold, guards
        measured[lane, EXPLORED] = 100 * explored // (height * width)
        measured[lane, USED] = 100 * used // max(useful, 1)
        measured[lane, STRANDED] = stranded
        measured[lane, GOLD_MISSED] = gold
        measured[lane, LENGTH] = 0


def measure_static(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Measures levels without playing them.

    Args:
        levels: uint8 (n, height, width) of the tile ids of `envs.kernels.loderunner_rules`.

    Returns:
        float32 (n, 8), in the order of the columns above: players, gold, guards; explored, the whole percentage of
        cells that the only player reaches without digging and with no guards; used, the same of the ladders, the ropes
        and the places to stand on; stranded, the pieces of gold that cannot be reached even with all digging; and in
        the two columns of play the gold, and 0. Without exactly one player nothing is reached.
    """
    measured = np.empty((len(levels), COLUMNS), np.float32)
    padded = (levels.shape[1] + 2) * (levels.shape[2] + 2)
    holes, times, opened = (np.zeros(padded, np.int32) for _ in range(3))
    state = np.zeros(HEADER + 5 * padded, np.int32)
    _measure_static(levels, measured, state, holes, times, opened, np.empty(4 * padded, np.int32))
    return measured


def measure(levels: NDArray[np.uint8], budget: int) -> NDArray[np.float32]:
    """Measures levels and plays those that have one player, some gold and no stranded piece.

    Args:
        levels: uint8 (n, height, width).
        budget: the most states that the player's search expands for one level.

    Returns:
        float32 (n, 8), as `measure_static` returns it, with the pieces of gold that are left in the best state found,
        0 for a win, and the ticks of the win, at most cells * (height + width), 0 without one.
    """
    measured = measure_static(levels)
    height, width = levels.shape[1:]
    stop = np.zeros(1, np.uint8)
    state = np.empty(HEADER + 5 * (height + 2) * (width + 2), np.int32)
    playable = (measured[:, PLAYERS] == 1) & (measured[:, PIECES] > 0) & (measured[:, STRANDED] == 0)
    for lane in np.flatnonzero(playable):
        state[:] = 0
        begin(levels[lane], state)
        status, actions, _, left = search(state, budget, stop)
        measured[lane, GOLD_MISSED] = left
        if status == SOLVED:
            measured[lane, LENGTH] = min(len(actions), height * width * (height + width))
    return measured
