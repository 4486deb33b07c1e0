"""What the PCG Benchmark finds out about loderunner levels (Khalifa 2025).

Tiles are the benchmark's: 0 brick, 1 empty, 2 player, 3 gold, 4 enemy, 5 ladder, 6 rope; one more row of brick is added
below. The player walks, climbs ladders, hangs on ropes and falls, and does not dig; enemies do not move.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernels import inline, kernel

BRICK, EMPTY, PLAYER, GOLD, ENEMY, LADDER, ROPE = range(7)

#: How a cell is passed through.
WALKING, CLIMBING, HANGING, FALLING = range(1, 5)

# The columns of the facts.
FACTS = (
    "empty",
    "player",
    "gold",
    "enemy",
    "ladder",
    "rope",
    "islands",
    "explored",
    "collected_gold",
    "used_tiles",
    "tiles",
)
ISLANDS, EXPLORED, COLLECTED, USED, TILES = range(6, 11)


@inline
def _falls(tiles, cell, width, size):
    """Tells whether the player falls from a cell: from empty ones that neither brick nor a ladder bears."""
    below = cell + width
    return below < size and tiles[cell] == EMPTY and tiles[below] != BRICK and tiles[below] != LADDER


@inline
def _visit(explored, queue, waiting, cell, tiles, width, size):
    """Adds a cell to those explored, unless it was there before; returns how many wait."""
    if explored[cell]:
        return waiting
    way = WALKING
    if _falls(tiles, cell, width, size):
        way = FALLING
    elif tiles[cell] == ROPE:
        way = HANGING
    elif tiles[cell] == LADDER:
        way = CLIMBING
    explored[cell] = way
    queue[waiting] = cell
    return waiting + 1


@inline
def _explore(tiles, start, explored, queue, width, size):
    """Marks all cells that the player gets to with how they are passed through; returns how many these are."""
    total = waiting = _visit(explored, queue, 0, start, tiles, width, size)
    while waiting > 0:
        waiting -= 1
        cell = queue[waiting]
        before = waiting
        if explored[cell] == FALLING:
            waiting = _visit(explored, queue, waiting, cell + width, tiles, width, size)
        else:
            x = cell % width
            if x > 0 and tiles[cell - 1] != BRICK:
                waiting = _visit(explored, queue, waiting, cell - 1, tiles, width, size)
            if x < width - 1 and tiles[cell + 1] != BRICK:
                waiting = _visit(explored, queue, waiting, cell + 1, tiles, width, size)
            if cell >= width and tiles[cell] == LADDER and tiles[cell - width] != BRICK:
                waiting = _visit(explored, queue, waiting, cell - width, tiles, width, size)
            climbs = tiles[cell] == LADDER or tiles[cell] == ROPE
            if cell + width < size and climbs and tiles[cell + width] != BRICK:
                waiting = _visit(explored, queue, waiting, cell + width, tiles, width, size)
        total += waiting - before
    return total


@inline
def _count_runs(explored, height, width, runs):
    """Counts, for each kind of passing, how far cells lie behind the first such cell of their row or column.

    Cells that are passed in the same way do not count. Meant were the lengths of runs; what is counted is kept as it
    was published, for the histograms that it is compared with were counted likewise.
    """
    for kind in range(WALKING, FALLING + 1):
        in_rows = kind in (WALKING, HANGING)
        lines, length = (height, width) if in_rows else (width, height)
        for line in range(lines):
            first = -1
            for place in range(length):
                cell = line * width + place if in_rows else place * width + line
                if explored[cell] == kind:
                    if first < 0:
                        first = place
                elif first >= 0:
                    runs[kind - 1, place - first] += 1


@inline
def _islands(tiles, height, width):
    """Counts the runs of brick and of rope in rows, and of ladder in columns."""
    count = 0
    for y in range(height):
        for x in range(width):
            tile = tiles[y * width + x]
            if (tile in (BRICK, ROPE)) and (x == 0 or tiles[y * width + x - 1] != tile):
                count += 1
            if tile == LADDER and (y == 0 or tiles[(y - 1) * width + x] != tile):
                count += 1
    return count


@kernel
def _study(levels, facts, explored, runs, tiles, queue):
    height, width = levels.shape[1:]
    size = (height + 1) * width
    for lane in range(len(levels)):
        start = -1
        for cell in range(size):
            tiles[cell] = BRICK
            if cell < height * width:
                tile = levels[lane, cell // width, cell % width]
                tiles[cell] = tile
                if tile > BRICK:
                    facts[lane, tile - 1] += 1
                if tile == PLAYER:
                    start = cell
        facts[lane, ISLANDS] = _islands(tiles, height + 1, width)
        if facts[lane, PLAYER - 1] != 1:
            continue
        for cell in range(height * width):
            if tiles[cell] == PLAYER or tiles[cell] == GOLD or tiles[cell] == ENEMY:
                tiles[cell] = EMPTY
        facts[lane, EXPLORED] = _explore(tiles, start, explored[lane], queue, width, size)
        _count_runs(explored[lane], height + 1, width, runs[lane])
        for cell in range(height * width):
            tile = levels[lane, cell // width, cell % width]
            if tile == GOLD:
                facts[lane, COLLECTED] += explored[lane, cell] > 0
            elif tile in (LADDER, ROPE):
                facts[lane, TILES] += 1
                facts[lane, USED] += explored[lane, cell] > 0
            elif tile == BRICK and cell >= width and tiles[cell - width] != BRICK:
                facts[lane, TILES] += 1
                facts[lane, USED] += explored[lane, cell - width] > 0


def study(levels: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]:
    """Finds out what the benchmark finds out.

    Args:
        levels: uint8 (n, height, width) of the benchmark's tiles.

    Returns:
        The facts, int64 (n, 11) in the order of FACTS. How each cell is passed through, uint8 (n, cells with those of
        the added row), 0 where the player does not get. And the histograms of `_count_runs` for walking, climbing,
        hanging and falling, int64 (n, 4, the greater size + 1); walking and hanging in rows, the others in columns.
    """
    n, height, width = levels.shape
    facts = np.zeros((n, len(FACTS)), np.int64)
    explored = np.zeros((n, (height + 1) * width), np.uint8)
    runs = np.zeros((n, 4, max(height, width) + 1), np.int64)
    cells = np.zeros((height + 1) * width, np.uint8)
    _study(np.ascontiguousarray(levels), facts, explored, runs, cells, np.zeros(len(cells), np.int64))
    return facts, explored, runs


@kernel
def _exploration_differences(explored, differences):
    for one in range(len(explored)):
        for other in range(one):
            kinds, falling = 0, 0
            for cell in range(explored.shape[1]):
                here, there = explored[one, cell], explored[other, cell]
                if here != there:
                    kinds += (0 < here < FALLING) + (0 < there < FALLING)
                    falling += (here == FALLING) + (there == FALLING)
            differences[one, other, 0] = differences[other, one, 0] = kinds
            differences[one, other, 1] = differences[other, one, 1] = falling


def exploration_differences(explored: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Returns how many cells are passed through otherwise, pair by pair.

    Args:
        explored: uint8 (n, cells), as `study` returns it.

    Returns:
        int64 (n, n, 2): cells that only one of the two walks, climbs or hangs in, each way counted by itself; and cells
        that only one of them falls through.
    """
    differences = np.zeros((len(explored), len(explored), 2), np.int64)
    _exploration_differences(explored, differences)
    return differences
