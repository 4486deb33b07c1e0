"""Floods on levels that are packed into four words, several rows of cells in each.

A word of 64 bits holds as many whole rows as fit. Levels of up to 63 columns and as many cells as four words hold
(16 x 16, 14 x 14, 9 x 20) fit; a flood then moves a whole frontier in some fifty machine instructions. Bits are in
row-major order: the lowest bit of the first word is the level's first cell. Sets of cells are handed on as four
numbers, which the compiler keeps in registers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernels import inline
from envs.kernels.grid import scratch

_WORDS = 4
_BITS = 64
# Of the words' own type: mixed with signed numbers they would become floating-point ones.
_ONE = np.uint64(1)
_NONE = np.uint64(0)


def packing(shape: tuple[int, ...]) -> tuple[int, int]:
    """Tells how levels are packed.

    Args:
        shape: the shape of a batch of levels, (n, height, width).

    Returns:
        The bits of each row, and the rows in each word; (0, 0) for levels that four words cannot hold.
    """
    # A shift by all 64 bits would be undefined.
    rows = _BITS // shape[2] if shape[2] < _BITS else 0
    return (shape[2], rows) if rows * _WORDS >= shape[1] else (0, 0)


def room(sets: int) -> NDArray[np.uint64]:
    """Returns a reusable array for so many sets, uint64 (sets, 4), with arbitrary contents; each thread has its own."""
    return scratch(f"{sets} sets", _WORDS * sets, np.uint64).reshape(sets, _WORDS)


@inline
def layout(stride, rows):
    """Returns what a flood has to know about the packing, in the words' own type.

    Args:
        stride: the bits of each row.
        rows: the rows in each word.

    Returns:
        The bits of each row; the bits from a word's first row to its last; the cells of a word that are not in the
        first column, and those that are not in the last.
    """
    first = _NONE
    for row in range(rows):
        first |= _ONE << np.uint64(row * stride)
    return np.uint64(stride), np.uint64((rows - 1) * stride), ~first, ~(first << np.uint64(stride - 1))


@inline
def pack(level, tiles, stride, rows, words):
    """Marks the cells with some tiles.

    Args:
        level: uint8 (height, width).
        tiles: uint64, the tiles looked for, each as one bit (`1 << tile`).
        stride: the bits of each row.
        rows: the rows in each word.
        words: uint64 (4,), written.
    """
    height, width = level.shape
    for i in range(4):
        bits = _NONE
        for row in range(rows):
            y = i * rows + row
            if y < height:
                for x in range(width):
                    bits |= (tiles >> np.uint64(level[y, x]) & _ONE) << np.uint64(row * stride + x)
        words[i] = bits


@inline
def first_cell(a, b, c, d):
    """Returns the set of the first cell, in row-major order, of a set that is not empty."""
    if a:
        return a & (~a + _ONE), _NONE, _NONE, _NONE
    if b:
        return _NONE, b & (~b + _ONE), _NONE, _NONE
    if c:
        return _NONE, _NONE, c & (~c + _ONE), _NONE
    return _NONE, _NONE, _NONE, d & (~d + _ONE)


@inline
def flood_words(a, b, c, d, free_a, free_b, free_c, free_d, goal_a, goal_b, goal_c, goal_d, packed):
    """Floods breadth-first from the set (a, b, c, d) until a goal is reached or nothing is left to flood.

    `free` is the set of cells that the flood may enter, those where it begins among them; `goal` is the set that it
    looks for, empty to flood everything; `packed` is what `layout` returns.

    Returns:
        Whether a goal was reached; the distance of the last layer; the last layer; the free cells that were left.
    """
    # A word's last row touches the next word's first; what leaves a row at one end enters none at the other.
    row, turn, right, left = packed
    depth = 0
    while True:
        free_a ^= a
        free_b ^= b
        free_c ^= c
        free_d ^= d
        reached = (a & goal_a) | (b & goal_b) | (c & goal_c) | (d & goal_d)
        next_a = ((a << _ONE) & right | (a >> _ONE) & left | a << row | a >> row | b << turn) & free_a
        next_b = ((b << _ONE) & right | (b >> _ONE) & left | b << row | b >> row | a >> turn | c << turn) & free_b
        next_c = ((c << _ONE) & right | (c >> _ONE) & left | c << row | c >> row | b >> turn | d << turn) & free_c
        next_d = ((d << _ONE) & right | (d >> _ONE) & left | d << row | d >> row | c >> turn) & free_d
        if reached or not next_a | next_b | next_c | next_d:
            return reached != _NONE, depth, a, b, c, d, free_a, free_b, free_c, free_d
        a, b, c, d = next_a, next_b, next_c, next_d
        depth += 1
