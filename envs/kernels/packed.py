"""Floods on levels that are packed into four words, several rows of cells in each.

A word of 63 bits holds as many rows as fit, each with one empty bit behind its last cell, so that a shift by one
never carries a cell into the next row. Levels of up to 62 columns and as many cells as four words hold (14 x 14,
9 x 20) fit; a flood then moves a whole frontier in some forty machine instructions. Bits are in row-major order: the
lowest bit of the first word is the level's first cell. Sets of cells are handed on as four numbers, which the compiler
keeps in registers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernels import inline
from envs.kernels.grid import scratch

_WORDS = 4
_BITS = 63


def packing(shape: tuple[int, ...]) -> tuple[int, int]:
    """Tells how levels are packed.

    Args:
        shape: the shape of a batch of levels, (n, height, width).

    Returns:
        The bits of each row, and the rows in each word; (0, 0) for levels that four words cannot hold.
    """
    stride = shape[2] + 1
    rows = _BITS // stride
    return (stride, rows) if rows * _WORDS >= shape[1] else (0, 0)


def room(sets: int) -> NDArray[np.int64]:
    """Returns a reusable array for so many sets, int64 (sets, 4), with arbitrary contents; each thread has its own."""
    return scratch(f"{sets} sets", _WORDS * sets, np.int64).reshape(sets, _WORDS)


@inline
def pack(level, tiles, stride, rows, words):
    """Marks the cells with some tiles.

    Args:
        level: uint8 (height, width).
        tiles: the tiles looked for, each as one bit (`1 << tile`).
        stride: the bits of each row.
        rows: the rows in each word.
        words: int64 (4,), written.
    """
    height, width = level.shape
    for i in range(4):
        bits = 0
        for row in range(rows):
            y = i * rows + row
            if y < height:
                for x in range(width):
                    bits |= (tiles >> np.int64(level[y, x]) & 1) << (row * stride + x)
        words[i] = bits


@inline
def first_cell(a, b, c, d):
    """Returns the set of the first cell, in row-major order, of a set that is not empty."""
    if a:
        return a & -a, 0, 0, 0
    if b:
        return 0, b & -b, 0, 0
    if c:
        return 0, 0, c & -c, 0
    return 0, 0, 0, d & -d


@inline
def flood_words(a, b, c, d, free_a, free_b, free_c, free_d, goal_a, goal_b, goal_c, goal_d, stride, rows):
    """Floods breadth-first from the set (a, b, c, d) until a goal is reached or nothing is left to flood.

    `free` is the set of cells that the flood may enter, those where it begins among them; `goal` is the set that it
    looks for, empty to flood everything; `stride` and `rows` are those of `packing`.

    Returns:
        Whether a goal was reached; the distance of the last layer; the last layer; the free cells that were left.
    """
    # A word's last row touches the next word's first.
    turn = (rows - 1) * stride
    depth = 0
    while True:
        free_a ^= a
        free_b ^= b
        free_c ^= c
        free_d ^= d
        reached = (a & goal_a) | (b & goal_b) | (c & goal_c) | (d & goal_d)
        next_a = (a << 1 | a >> 1 | a << stride | a >> stride | b << turn) & free_a
        next_b = (b << 1 | b >> 1 | b << stride | b >> stride | a >> turn | c << turn) & free_b
        next_c = (c << 1 | c >> 1 | c << stride | c >> stride | b >> turn | d << turn) & free_c
        next_d = (d << 1 | d >> 1 | d << stride | d >> stride | c >> turn) & free_d
        if reached or not next_a | next_b | next_c | next_d:
            return reached, depth, a, b, c, d, free_a, free_b, free_c, free_d
        a, b, c, d = next_a, next_b, next_c, next_d
        depth += 1
