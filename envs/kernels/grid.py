"""Floods and counts on grids of tiles.

All floods work on a *padded* copy of a level: a flat array with a one-cell border that nothing can enter, so that
no step needs a bounds check. Cell (y, x) of a level that is `width` wide stands at `(y + 1) * (width + 2) + x + 1`;
flat order is row-major order.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import DTypeLike, NDArray

from envs.kernels import inline, kernel


class _OfThread(threading.local):
    """What a thread's kernels work in, by name or by size."""

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray] = {}
        self.workspaces: dict[int, tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]] = {}


_threads = _OfThread()


def scratch(name: str, size: int, dtype: DTypeLike) -> NDArray:
    """Returns a reusable flat array for a kernel to work in; each thread has its own.

    Args:
        name: tells apart the arrays that are in use at the same time.
        size: the least number of elements needed.
        dtype: the element type.

    Returns:
        An array of at least `size` elements with arbitrary contents.
    """
    array = _threads.arrays.get(name)
    if array is None or array.size < size:
        array = _threads.arrays[name] = np.zeros(size, dtype)
    return array


def workspace(shape: tuple[int, ...]) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Returns three arrays for a kernel to work in, one element for each padded cell of a level; each thread's own.

    Args:
        shape: the shape of the batch of levels, (n, height, width).

    Returns:
        int32 arrays with arbitrary contents.
    """
    cells = (shape[1] + 2) * (shape[2] + 2)
    arrays = _threads.workspaces.get(cells)
    if arrays is None:
        first, second, third = np.zeros((3, cells), np.int32)
        arrays = _threads.workspaces[cells] = first, second, third
    return arrays


@inline
def flood(cells, stride, start, old, new, queue):
    """Floods breadth-first from `start` over the padded cells that hold `old`, and turns them into `new`.

    Returns:
        The number of cells flooded (they stand at the front of `queue`, nearest first), the distance of the farthest
        one, and its place: the first in row-major order among the equally far.
    """
    cells[start] = new
    queue[0] = start
    head = 0
    tail = 1
    depth = -1
    layer = 0
    while head < tail:
        layer = head
        end = tail
        depth += 1
        while head < end:
            cell = queue[head]
            head += 1
            if cells[cell - 1] == old:
                cells[cell - 1] = new
                queue[tail] = cell - 1
                tail += 1
            if cells[cell + 1] == old:
                cells[cell + 1] = new
                queue[tail] = cell + 1
                tail += 1
            if cells[cell - stride] == old:
                cells[cell - stride] = new
                queue[tail] = cell - stride
                tail += 1
            if cells[cell + stride] == old:
                cells[cell + stride] = new
                queue[tail] = cell + stride
                tail += 1
    farthest = queue[layer]
    for i in range(layer + 1, tail):
        farthest = min(farthest, queue[i])
    return tail, depth, farthest


@inline
def count_components(cells, passable, stride, first, last, parents):
    """Counts the 4-connected regions of passable padded cells in one pass, by union-find.

    Args:
        cells: each padded cell's tile as one bit (`1 << tile`), 0 on the border.
        passable: the bits of the tiles that regions consist of.
        stride: the width of the padded level.
        first: the padded place of the level's first cell.
        last: the padded place after its last cell.
        parents: room for every cell.
    """
    regions = 0
    for cell in range(first, last):
        if not cells[cell] & passable:
            continue
        left = cells[cell - 1] & passable
        above = cells[cell - stride] & passable
        if left:
            parents[cell] = parents[cell - 1]
            if above and not cells[cell - stride - 1] & passable:
                # The only case in which two regions may prove to be one.
                one = cell - 1
                while parents[one] != one:
                    parents[one] = parents[parents[one]]
                    one = parents[one]
                other = cell - stride
                while parents[other] != other:
                    parents[other] = parents[parents[other]]
                    other = parents[other]
                if one != other:
                    regions -= 1
                    parents[max(one, other)] = min(one, other)
        elif above:
            parents[cell] = parents[cell - stride]
        else:
            parents[cell] = cell
            regions += 1
    return regions


@inline
def distance(cells, stride, start, passable, goals, marks, mark, queue):
    """Counts the steps of the shortest walk from a cell to the nearest of some other cells.

    Args:
        cells: each padded cell's tile as one bit (`1 << tile`), 0 on the border.
        stride: the width of the padded level.
        start: where the walk begins.
        passable: the bits of the tiles that can be walked on.
        goals: the bits of the tiles that are looked for; only passable ones can be reached.
        marks: one number for each cell, none of them `mark`.
        mark: written to the cells that were reached.
        queue: room for every cell.

    Returns:
        The number of steps, at least 1, or -1 where no goal can be reached.
    """
    if not cells[start] & passable:
        return -1
    marks[start] = mark
    queue[0] = start
    head = 0
    tail = 1
    depth = 0
    while head < tail:
        end = tail
        depth += 1
        while head < end:
            cell = queue[head]
            head += 1
            for side in range(4):
                if side == 0:
                    neighbour = cell - 1
                elif side == 1:
                    neighbour = cell + 1
                elif side == 2:
                    neighbour = cell - stride
                else:
                    neighbour = cell + stride
                if cells[neighbour] & passable and marks[neighbour] != mark:
                    if cells[neighbour] & goals:
                        return depth
                    marks[neighbour] = mark
                    queue[tail] = neighbour
                    tail += 1
    return -1


@kernel
def _count_tiles(levels, counts):
    for lane in range(levels.shape[0]):
        for y in range(levels.shape[1]):
            for x in range(levels.shape[2]):
                counts[lane, levels[lane, y, x]] += 1


def count_tiles(levels: NDArray[np.uint8], number_of_tiles: int) -> NDArray[np.int32]:
    """Returns how often each tile occurs in each level.

    Args:
        levels: uint8 (n, height, width).
        number_of_tiles: one more than the greatest tile id.

    Returns:
        int32 (n, number_of_tiles).
    """
    counts = np.zeros((len(levels), number_of_tiles), np.int32)
    _count_tiles(levels, counts)
    return counts


@kernel
def _count_regions(levels, passable, counts, cells, parents):
    height, width = levels.shape[1:]
    stride = width + 2
    cells[: (height + 2) * stride] = 0
    for lane in range(levels.shape[0]):
        for y in range(height):
            for x in range(width):
                cells[(y + 1) * stride + x + 1] = passable[levels[lane, y, x]]
        counts[lane] = count_components(cells, 1, stride, stride + 1, (height + 1) * stride - 1, parents)


def count_regions(levels: NDArray[np.uint8], passable: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Returns the number of 4-connected regions of passable tiles in each level.

    Args:
        levels: uint8 (n, height, width).
        passable: bool (number of tiles,).

    Returns:
        int32 (n,).
    """
    counts = np.zeros(len(levels), np.int32)
    cells, parents, _ = workspace(levels.shape)
    _count_regions(levels, np.asarray(passable, np.uint8), counts, cells, parents)
    return counts
