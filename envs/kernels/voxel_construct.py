"""A constructive generator for voxel levels: walks carved out of solid ground (Shaker 2016), kept where they stay long.

A walker starts anywhere and makes random moves; each move settles what must be air and what must be solid for it, and
is only made where that contradicts nothing settled before. Side ways go off from places on the walk in the same manner.
What was never settled becomes solid. The finished level is measured as any other, and the walk is carved anew until the
level has the jumps wanted and a way that is long enough.
"""

from __future__ import annotations

import numpy as np

from envs.kernels import inline, kernel
from envs.kernels.draw import draw_next
from envs.kernels.voxel import OPEN, STAND, direction, longest_walk

#: What a padded cell is while a level is carved: settled as solid, as air, or not at all.
SOLID, AIR, FREE = 0, 1, 2

#: How a move ends, as (cells to the side, blocks up): walking, stairs down and up, jumps level, up and down.
_MOVES = np.array(((1, 0), (1, -1), (1, 1), (2, 0), (2, 1), (2, -1)), np.int64)

#: From which of these on a move is a jump.
_UP, _FIRST_JUMP = 2, 3

#: How many rows of numbers, one for each padded cell, the kernel works in.
ROWS_OF_WORK = 8

#: How often a walk is carved anew in search of the wanted one; then the best so far is taken.
_TRIALS = 4000


@inline
def _settle(cells, changes, cell, tile):
    """Settles a cell as air or solid; returns whether it is not the other one already."""
    if cells[cell] == tile:
        return True
    if cells[cell] != FREE:
        return False
    cells[cell] = tile
    changes[0] += 1
    changes[changes[0]] = cell
    return True


@inline
def _carve(cells, changes, cell, step, kind):
    """Carves one move, whole or not at all.

    Args:
        cells: the padded level, SOLID, AIR or FREE.
        changes: int64 (16,), room for what is settled.
        cell: where the walker's feet are.
        step: from a padded cell to the next in the move's direction.
        kind: which of the moves.

    Returns:
        Whether the move contradicts nothing that is settled.
    """
    beside = cell + step
    target = cell + _MOVES[kind, 0] * step + _MOVES[kind, 1]
    changes[0] = 0
    fits = _settle(cells, changes, target - 1, SOLID)
    # Where a walker is lifted or lowers itself there must be air above its head.
    for height in range(2 if kind in (0, _UP) else 3):
        fits = fits and _settle(cells, changes, target + height, AIR)
    if kind >= _UP:
        fits = fits and _settle(cells, changes, cell + 2, AIR)
    if kind >= _FIRST_JUMP:
        for height in range(-2, 3):
            fits = fits and _settle(cells, changes, beside + height, AIR)
    if not fits:
        for i in range(1, changes[0] + 1):
            cells[changes[i]] = FREE
    return fits


@inline
def _walk(cells, changes, visited, walk, made, column, row, jumps, most_moves, state):
    """Carves random moves until there is none left to make.

    Args:
        cells: the padded level, changed.
        changes: room for what one move settles.
        visited: uint8 (padded cells,), where walks have been; marked.
        walk: int32 (padded cells,), the places visited; those of this walk are added, which begins at the last.
        made: how many places there are.
        column: the padded cells from one column to the next.
        row: the padded cells from one row of columns to the next.
        jumps: how many jumps to make.
        most_moves: how many moves to make at the most.
        state: of the random stream.

    Returns:
        The random stream's state, how many places there are, and how many of the jumps were not made.
    """
    # Walks differ in how straight they go and in how far apart their jumps are.
    state, straight = draw_next(state)
    state, eager = draw_next(state)
    cell = walk[made - 1]
    side = 0
    moving = True
    while moving and most_moves > 0:
        state, turn = draw_next(state)
        state, rise = draw_next(state)
        state, whim = draw_next(state)
        first = int(turn * 4) if turn < 1 - 0.8 * straight else side
        moving = False
        # What was wished for first, then anything else.
        for attempt in range(8 * _FIRST_JUMP):
            side = (first + attempt % 4) % 4
            group = attempt // (4 * _FIRST_JUMP)
            kind = (attempt // 4 + int(rise * _FIRST_JUMP)) % _FIRST_JUMP
            if (group == 0) == (jumps > 0 and whim < 0.1 + 0.8 * eager):
                kind += _FIRST_JUMP
            if kind >= _FIRST_JUMP and jumps <= 0:
                continue
            step = direction(side, column, row)
            goal = cell + _MOVES[kind, 0] * step + _MOVES[kind, 1]
            if not visited[goal] and _carve(cells, changes, cell, step, kind):
                jumps -= kind >= _FIRST_JUMP
                visited[goal] = 1
                walk[made] = goal
                made += 1
                cell = goal
                moving = True
                break
        most_moves -= 1
    return state, made, jumps


@inline
def _carve_level(shape, cells, changes, visited, walk, jumps, state):
    """Carves a long walk with jumps, and some side ways that end blindly.

    Returns:
        The random stream's state, and how many of the jumps could not be made; where there are any, the side ways are
        left out.
    """
    depth, height, width = shape
    column = depth + 3
    row = column * (width + 2)
    for cell in range(cells.size):
        cells[cell] = SOLID
        visited[cell] = 0
    for y in range(height):
        for x in range(width):
            for z in range(depth):
                cells[(y + 2) * row + (x + 2) * column + z + 2] = FREE
    state, first = draw_next(state)
    state, second = draw_next(state)
    state, third = draw_next(state)
    start = (int(first * height) + 2) * row + (int(second * width) + 2) * column + int(third * (depth - 1)) + 2
    cells[start - 1] = SOLID
    cells[start] = cells[start + 1] = AIR
    visited[start] = 1
    walk[0] = start
    # The walk goes on from its other end too, where it has got stuck.
    state, made, left = _walk(cells, changes, visited, walk, 1, column, row, jumps, cells.size, state)
    walk[made] = start
    state, made, left = _walk(cells, changes, visited, walk, made + 1, column, row, left, cells.size, state)
    if left:
        return state, left
    state, uniform = draw_next(state)
    for _ in range(int(uniform * height * width / 12)):
        state, uniform = draw_next(state)
        walk[made] = walk[int(uniform * made)]
        state, made, _ = _walk(cells, changes, visited, walk, made + 1, column, row, 0, 4, state)
    return state, left


@kernel
def construct_voxel(seeds, jumps, least, levels, cells, changes, visited, work):
    """Builds levels, each from its seed.

    Args:
        seeds: uint64 (n,).
        jumps: how many jumps the longest walk shall have.
        least: how many cells it shall pass at the least.
        levels: uint8 (n, depth, height, width), written.
        cells: uint8 (padded cells,), room.
        changes: int64 (16,), room.
        visited: uint8 (padded cells,), room.
        work: int32 (8, padded cells), room.
    """
    depth, height, width = levels.shape[1:]
    column = depth + 3
    row = column * (width + 2)
    walk, distances, counts, reached, rings = work[0], work[1], work[2], work[3], work[4:]
    for cell in range(cells.size):
        distances[cell] = -1
    for lane in range(levels.shape[0]):
        state = seeds[lane]
        best = -1.0
        fewest = jumps
        for _ in range(_TRIALS):
            state, left = _carve_level((depth, height, width), cells, changes, visited, walk, jumps, state)
            if left > fewest:
                continue
            fewest = left
            _settle_rest(cells)
            _, _, longest, made = longest_walk(cells, column, row, distances, counts, rings, reached, visited)
            score = longest / (1.0 + 1000.0 * abs(made - jumps))
            if score > best:
                best = score
                _copy(cells, levels, lane)
            if made == jumps and longest >= least:
                break


@inline
def _settle_rest(cells):
    """Makes what was never settled solid, and tells where one can stand, as `envs.kernels.voxel` does."""
    for cell in range(cells.size):
        cells[cell] = OPEN if cells[cell] == AIR else 0
    for cell in range(cells.size - 1):
        if cells[cell] and cells[cell + 1] and not cells[cell - 1]:
            cells[cell] = STAND


@inline
def _copy(cells, levels, lane):
    """Copies a padded level to its place in the batch."""
    depth, height, width = levels.shape[1:]
    for y in range(height):
        for x in range(width):
            cell = ((y + 2) * (width + 2) + x + 2) * (depth + 3) + 2
            for z in range(depth):
                levels[lane, z, y, x] = cells[cell + z] == 0
