"""What the voxel problem measures: regions of air, the longest shortest walk, and the jumps on it (Jiang 2022).

Levels are worked on in a *padded* copy, flat and column by column: cell (z, y, x) of a level of (depth, height, width)
stands at `((y + 2) * (width + 2) + x + 2) * (depth + 3) + z + 2`, and everything around the level is 0, so that no
look around a walker needs a bounds check. A cell is 0 where it is solid, OPEN where it is air, and STAND where a
walker's feet can be: air with air above it for the head, on a block or on the ground beneath the lowest storey.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernels import inline, kernel
from envs.kernels.grid import scratch

OPEN, STAND = 1, 3

#: The columns of what is measured.
REGIONS, PATH_LENGTH, JUMPS = range(3)

#: A move passes at most three cells, so that distances in the queue differ by at most three.
_RINGS = 4


def padded_size(shape: tuple[int, ...]) -> int:
    """Returns how many padded cells a level of (depth, height, width) has."""
    depth, height, width = shape
    return (height + 4) * (width + 2) * (depth + 3) + 1


@inline
def open_level(level, cells):
    """Writes a padded level over one of the same shape, or over zeros.

    Args:
        level: uint8 (depth, height, width); tile 0 is air.
        cells: integers (padded cells,), written where the level is.
    """
    depth, height, width = level.shape
    column = depth + 3
    for y in range(height):
        for x in range(width):
            cell = ((y + 2) * (width + 2) + x + 2) * column + 2
            for z in range(depth):
                cells[cell + z] = OPEN if level[z, y, x] == 0 else 0
            for z in range(depth):
                if cells[cell + z] and cells[cell + z + 1] and not cells[cell + z - 1]:
                    cells[cell + z] = STAND


@inline
def move(cells, cell, step):
    """Makes the one move that there is from a standing place in a direction, or none (Jiang 2022).

    A walker goes on at the same height; else down a stair of one block; else up one; else jumps over a gap that is one
    cell wide and at least two deep, to the same height or one block higher or lower. Stairs and jumps need air above
    the head where the walker is lifted or lowers itself, so that there mostly is a way back.

    Args:
        cells: the padded level.
        cell: where the walker's feet are.
        step: from a padded cell to the next in the direction.

    Returns:
        Where the feet come to be, or -1; how many cells they pass, the last one included; and whether it is a jump.
    """
    beside = cell + step
    if cells[beside] == STAND:
        return beside, 1, 0
    if cells[beside - 1] == STAND and cells[beside + 1]:
        return beside - 1, 2, 0
    if not cells[cell + 2]:
        return -1, 0, 0
    if cells[beside + 1] == STAND:
        return beside + 1, 2, 0
    for height in range(-2, 3):
        if not cells[beside + height]:
            return -1, 0, 0
    far = beside + step
    if cells[far] == STAND and cells[far + 2]:
        return far, 2, 1
    if cells[far + 1] == STAND and cells[far + 3]:
        return far + 1, 3, 1
    if cells[far - 1] == STAND and cells[far + 1]:
        return far - 1, 3, 1
    return -1, 0, 0


@inline
def direction(side, column, row):
    """Returns the step north (0), south (1), west (2) or east (3) from a padded cell to the next."""
    step = row if side < 2 else column
    return step if side & 1 else -step


@inline
def search(cells, start, column, row, distances, jumps, rings, reached):
    """Finds the nearest way to every standing place that can be reached from one.

    Args:
        cells: the padded level.
        start: a standing place.
        column: the padded cells from one column to the next.
        row: the padded cells from one row of columns to the next.
        distances: int32 (padded cells,), -1 everywhere; written: the cells passed on the way.
        jumps: int32 (padded cells,), written: the fewest jumps on a nearest way.
        rings: int32 (4, cells), room for the places at each distance; the last number of each counts them.
        reached: int32 (cells,), written: the places reached, each once.

    Returns:
        How many places were reached, and the farthest: the first in padded order among the equally far.
    """
    count = 1
    reached[0] = start
    distances[start] = 0
    jumps[start] = 0
    size = cells.size - 1
    for ring in range(_RINGS):
        rings[ring, size] = 0
    rings[0, 0] = start
    rings[0, size] = 1
    distance = 0
    farthest = start
    waiting = 1
    while waiting:
        ring = distance % _RINGS
        waiting -= rings[ring, size]
        for i in range(rings[ring, size]):
            cell = rings[ring, i]
            if distances[cell] != distance:
                continue
            if distance > distances[farthest] or cell < farthest:
                farthest = cell
            for side in range(4):
                target, length, jump = move(cells, cell, direction(side, column, row))
                if target < 0:
                    continue
                later = distance + length
                if distances[target] < 0:
                    reached[count] = target
                    count += 1
                elif later > distances[target]:
                    continue
                elif later == distances[target]:
                    jumps[target] = min(jumps[target], jumps[cell] + jump)
                    continue
                distances[target] = later
                jumps[target] = jumps[cell] + jump
                place = later % _RINGS
                rings[place, rings[place, size]] = target
                rings[place, size] += 1
                waiting += 1
        rings[ring, size] = 0
        distance += 1
    return count, farthest


@inline
def longest_walk(cells, column, row, distances, jumps, rings, reached, seen):
    """Finds the longest of the nearest ways, by two searches for each place that no search has come to before.

    Args:
        cells: the padded level.
        column: see `search`.
        row: see `search`.
        distances: see `search`; -1 everywhere, before and after.
        jumps: see `search`.
        rings: see `search`.
        reached: see `search`.
        seen: uint8 (padded cells,), overwritten.

    Returns:
        Where it begins and ends, -1 where nobody can stand; the cells on it, both ends included; and its jumps.
    """
    first, last, longest, jumped = -1, -1, 0, 0
    for cell in range(cells.size):
        seen[cell] = 0
    for start in range(cells.size):
        if cells[start] != STAND or seen[start]:
            continue
        count, far = search(cells, start, column, row, distances, jumps, rings, reached)
        for i in range(count):
            seen[reached[i]] = 1
            distances[reached[i]] = -1
        # No way passes more than three cells for each place that it comes to.
        if 3 * count - 2 <= longest:
            continue
        count, end = search(cells, far, column, row, distances, jumps, rings, reached)
        if distances[end] + 1 > longest:
            first, last, longest, jumped = far, end, distances[end] + 1, jumps[end]
        for i in range(count):
            distances[reached[i]] = -1
    return first, last, longest, jumped


@inline
def _count_regions(cells, column, row, seen, stack):
    """Counts the regions of air that touch by faces."""
    regions = 0
    for cell in range(cells.size):
        seen[cell] = cells[cell] == 0
    for start in range(cells.size):
        if seen[start]:
            continue
        regions += 1
        seen[start] = 1
        stack[0] = start
        size = 1
        while size:
            size -= 1
            cell = stack[size]
            for side in range(6):
                step = direction(side, column, row) if side < 4 else 1 if side == 4 else -1
                if not seen[cell + step]:
                    seen[cell + step] = 1
                    stack[size] = cell + step
                    size += 1
    return regions


@kernel
def _measure(levels, cells, seen, work, measured):
    column = levels.shape[1] + 3
    row = column * (levels.shape[3] + 2)
    distances, jumps, reached, rings = work[0], work[1], work[2], work[3:]
    for cell in range(cells.size):
        cells[cell] = 0
        distances[cell] = -1
    for lane in range(levels.shape[0]):
        open_level(levels[lane], cells)
        measured[lane, REGIONS] = _count_regions(cells, column, row, seen, reached)
        _, _, longest, jumped = longest_walk(cells, column, row, distances, jumps, rings, reached, seen)
        measured[lane, PATH_LENGTH] = longest
        measured[lane, JUMPS] = jumped


def measure_voxel(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Measures regions, the longest shortest walk and its jumps (Jiang 2022).

    Args:
        levels: uint8 (n, depth, height, width); tile 0 is air.

    Returns:
        float32 (n, 3): the regions of air that touch by faces; the cells that a walker's feet pass on the longest of
        the nearest ways, both ends included, approximated by two searches from each place that none has come to before;
        and the fewest jumps that such a way takes.
    """
    measured = np.empty((len(levels), 3), np.float32)
    size = padded_size(levels.shape[1:])
    cells = scratch("voxel cells", size, np.uint8)[:size]
    seen = scratch("voxel seen", size, np.uint8)[:size]
    work = scratch("voxel work", (3 + _RINGS) * size, np.int32)[: (3 + _RINGS) * size].reshape(3 + _RINGS, size)
    _measure(levels, cells, seen, work, measured)
    return measured
