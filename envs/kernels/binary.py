"""What the binary problem measures: regions of empty cells and the longest shortest path."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernels import inline, kernel
from envs.kernels.grid import flood, workspace
from envs.kernels.packed import first_cell, flood_words, layout, pack, packing, room


@inline
def _open_cells(level, cells):
    """Writes the padded level: 1 where it is empty (tile 0), 0 elsewhere."""
    height, width = level.shape
    stride = width + 2
    cells[: (height + 2) * stride] = 0
    for y in range(height):
        for x in range(width):
            if level[y, x] == 0:
                cells[(y + 1) * stride + x + 1] = 1


@kernel
def _measure_packed(levels, measured, stride, rows, words):
    none = np.uint64(0)
    packed = layout(stride, rows)
    for lane in range(levels.shape[0]):
        pack(levels[lane], np.uint64(1), stride, rows, words)
        a, b, c, d = words[0], words[1], words[2], words[3]
        regions = 0
        longest = 0
        while a | b | c | d:
            regions += 1
            start_a, start_b, start_c, start_d = first_cell(a, b, c, d)
            _, depth, end_a, end_b, end_c, end_d, rest_a, rest_b, rest_c, rest_d = flood_words(
                start_a, start_b, start_c, start_d, a, b, c, d, none, none, none, none, packed
            )
            # Any two cells of a region can be joined by way of its first: most regions need no second flood.
            if 2 * depth > longest:
                a, b, c, d = a ^ rest_a, b ^ rest_b, c ^ rest_c, d ^ rest_d
                start_a, start_b, start_c, start_d = first_cell(end_a, end_b, end_c, end_d)
                depth = flood_words(start_a, start_b, start_c, start_d, a, b, c, d, none, none, none, none, packed)[1]
                longest = max(longest, depth)
            a, b, c, d = rest_a, rest_b, rest_c, rest_d
        measured[lane, 0] = regions
        measured[lane, 1] = longest


@kernel
def _measure_any_size(levels, measured, cells, queue):
    height, width = levels.shape[1:]
    stride = width + 2
    for lane in range(levels.shape[0]):
        _open_cells(levels[lane], cells)
        regions = 0
        longest = 0
        for y in range(height):
            for x in range(width):
                start = (y + 1) * stride + x + 1
                if cells[start] == 1:
                    regions += 1
                    size, depth, end = flood(cells, stride, start, 1, 2, queue)
                    # Any two cells of a region can be joined by way of its first: most need no second flood.
                    if size - 1 > longest and 2 * depth > longest:
                        _, length, _ = flood(cells, stride, end, 2, 3, queue)
                        longest = max(longest, length)
        measured[lane, 0] = regions
        measured[lane, 1] = longest


def measure_binary(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Counts regions and approximates the longest shortest path, as Khalifa 2020 does.

    Args:
        levels: uint8 (n, height, width); tile 0 is empty.

    Returns:
        float32 (n, 2): the number of 4-connected regions of empty cells; and the steps of the longest path found by
        two floods a region, one from its first cell in row-major order and one from the farthest cell of the first.
    """
    measured = np.empty((len(levels), 2), np.float32)
    stride, rows = packing(levels.shape)
    if rows:
        _measure_packed(levels, measured, stride, rows, room(1)[0])
    else:
        cells, queue, _ = workspace(levels.shape)
        _measure_any_size(levels, measured, cells, queue)
    return measured


@kernel
def _longest_shortest_paths(levels, measured, cells, queue):
    height, width = levels.shape[1:]
    stride = width + 2
    for lane in range(levels.shape[0]):
        _open_cells(levels[lane], cells)
        longest = 0
        colour = 1
        for y in range(height):
            for x in range(width):
                start = (y + 1) * stride + x + 1
                if cells[start] != 0:
                    # Each flood recolours its whole region, so that the next one can tell it from the other regions.
                    old = cells[start]
                    colour = old + 1
                    _, length, _ = flood(cells, stride, start, old, colour, queue)
                    longest = max(longest, length)
        measured[lane] = longest


def longest_shortest_paths(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Returns the exact longest shortest path (the diameter) over the regions of each level.

    It floods once from every empty cell, so it costs some hundred times what `measure_binary` does.

    Args:
        levels: uint8 (n, height, width); tile 0 is empty.

    Returns:
        float32 (n,), in steps; 0 where no two empty cells touch.
    """
    measured = np.empty(len(levels), np.float32)
    cells, queue, _ = workspace(levels.shape)
    _longest_shortest_paths(levels, measured, cells, queue)
    return measured
