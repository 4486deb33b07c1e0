"""Platformer levels by rhythm: beats that ask for a run or a jump each, and the ground that makes them (Smith 2009)."""

from __future__ import annotations

from envs.kernels import inline, kernel
from envs.kernels.draw import draw_next
from envs.kernels.platform_rules import BRICK, COIN, EMPTY, ENEMY, QUESTION, SOLID, TUBE

# What a beat asks of the player.
_FLAT, _ISLANDS, _TUBE_BEAT, _STEP, _PILLAR = range(5)
#: The most columns left free of trouble at both ends.
_MARGIN = 4


@inline
def _whole(state, low, high):
    """Returns the stream's next state and a whole number from low to high."""
    state, uniform = draw_next(state)
    return state, low + int(uniform * (high - low + 1))


@inline
def _ground(level, column, floor):
    """Fills a column with ground from a row down."""
    for row in range(max(floor, 0), level.shape[0]):
        level[row, column] = SOLID


@inline
def _put(level, row, column, tile):
    """Puts a tile on an empty cell inside the level."""
    if 0 < row < level.shape[0] and 0 <= column < level.shape[1] and level[row, column] == EMPTY:
        level[row, column] = tile


@inline
def _flat(level, state, column, length, floor):
    """Level ground with an enemy on it, and at times a row of blocks or coins above; returns the stream's state."""
    for x in range(column, column + length):
        _ground(level, x, floor)
    state, enemies = _whole(state, 0, 3)
    if enemies:
        state, at = _whole(state, column + 1, column + length - 1)
        _put(level, floor - 1, at, ENEMY)
    state, over = _whole(state, 0, 5)
    if over < 2 and length >= 4 and floor >= 6:
        state, question = _whole(state, 0, length - 3)
        for i in range(length - 2):
            _put(level, floor - 4, column + 1 + i, QUESTION if i == question else BRICK)
    elif over == 2:
        for i in range(1, length - 1):
            _put(level, floor - 2, column + i, COIN)
    return state


@inline
def _fill(level, state, lively):
    """Builds one level; `lively` in 0 to 1 is the share of beats that ask for a jump. Returns the stream's state."""
    height, width = level.shape
    for row in range(height):
        for column in range(width):
            level[row, column] = EMPTY
    margin = min(_MARGIN, width // 6)
    lowest = height - 1
    highest = max(height // 2, 3)
    floor = height - 2 if height > 6 else height - 1
    for column in range(margin):
        _ground(level, column, floor)
    column = margin
    while column < width - margin:
        left = width - margin - column
        state, uniform = draw_next(state)
        state, kind = _whole(state, _ISLANDS, _PILLAR)
        if uniform >= lively or left < 7:
            kind = _FLAT
        if kind == _FLAT:
            state, length = _whole(state, 3, 6)
            length = min(length, left)
            state = _flat(level, state, column, length, floor)
            column += length
        elif kind == _ISLANDS:
            state, gap = _whole(state, 2, 4)
            state, length = _whole(state, 2, 3)
            state, rise = _whole(state, -1, 1)
            floor = min(max(floor + rise, highest), lowest)
            state, coins = _whole(state, 0, 2)
            if coins == 0:
                for i in range(gap):
                    _put(level, floor - 3, column + i, COIN)
            for i in range(length):
                _ground(level, column + gap + i, floor)
            state, enemies = _whole(state, 0, 3)
            if enemies < 3 and length == 3:
                _put(level, floor - 1, column + gap + 1, ENEMY)
            column += gap + length
        elif kind == _TUBE_BEAT:
            state, before = _whole(state, 1, 2)
            state, tall = _whole(state, 2, min(3, max(floor - 3, 2)))
            state, after = _whole(state, 2, 3)
            for i in range(before + 1 + after):
                _ground(level, column + i, floor)
            for i in range(tall):
                _put(level, floor - 1 - i, column + before, TUBE)
            state, enemies = _whole(state, 0, 3)
            if enemies:
                _put(level, floor - 1, column + before + after, ENEMY)
            column += before + 1 + after
        elif kind == _STEP:
            state, rise = _whole(state, 2, 3)
            state, down = _whole(state, 0, 1)
            state, length = _whole(state, 3, 5)
            floor = min(max(floor + (rise if down else -rise), highest), lowest)
            state = _flat(level, state, column, length, floor)
            column += length
        else:
            state, tall = _whole(state, 2, min(3, max(floor - 3, 2)))
            state, before = _whole(state, 1, 2)
            state, after = _whole(state, 2, 3)
            for i in range(before + 1 + after):
                _ground(level, column + i, floor)
            _ground(level, column + before, max(floor - tall, 2))
            state, enemies = _whole(state, 0, 2)
            if enemies:
                _put(level, floor - 1, column + before + after, ENEMY)
            column += before + 1 + after
    for column in range(width - margin, width):
        for row in range(height):
            level[row, column] = EMPTY
        _ground(level, column, floor)
    return state


@kernel
def construct_level(state, lively, level):
    """Builds one level, which is yet to be played.

    Args:
        state: uint64, the level's stream of random numbers.
        lively: float64, the share of beats that ask for a jump.
        level: uint8 (height, width), written.

    Returns:
        uint64, the stream's next state.
    """
    return _fill(level, state, lively)
