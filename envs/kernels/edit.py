"""How each representation changes a batch of levels. Argument names are those of `envs.representation.Canvas`."""

from __future__ import annotations

import numpy as np

from envs.kernels import inline, kernel


@inline
def _put(levels, frozen, lane, y, x, tile, allowed):
    """Writes one tile where it may be written, and returns 1 if that changed the level, else 0."""
    if allowed <= 0 or frozen[lane, y, x] or levels[lane, y, x] == tile:
        return 0
    levels[lane, y, x] = tile
    return 1


@inline
def _patch(levels, frozen, shapes, lane, y, x, tile, allowed):
    """Writes one tile to the 3x3 patch around a cell, as far as it lies on the level; returns the changes."""
    count = 0
    for row in range(max(y - 1, 0), min(y + 2, shapes[lane, 0])):
        for column in range(max(x - 1, 0), min(x + 2, shapes[lane, 1])):
            count += _put(levels, frozen, lane, row, column, tile, allowed - count)
    return count


@inline
def _go(frozen, shapes, free, cursors, lane, random_order, uniform):
    """Moves a cursor to a cell that is not frozen, or, where all are, to any cell.

    Args:
        frozen: bool (n, height, width).
        shapes: int64 (n, 2).
        free: int64 (n,), how many cells are not frozen.
        cursors: int64 (n, 2), one lane's is changed.
        lane: the lane.
        random_order: whether every cell is equally likely; otherwise it is the next one, row by row.
        uniform: in a random order, what decides which, in [0, 1).
    """
    height, width = shapes[lane, 0], shapes[lane, 1]
    choosy = 0 < free[lane] < height * width
    skip = np.int64(0)
    if not random_order:
        y = cursors[lane, 0]
        x = cursors[lane, 1] + 1
    elif choosy:
        y = x = 0
        skip = np.int64(uniform * free[lane])
    else:
        cell = np.int64(uniform * (height * width))
        y = cell // width
        x = cell - y * width
    while True:
        if x >= width:
            x = 0
            y += 1
            if y >= height:
                y = 0
        if not choosy:
            break
        if not frozen[lane, y, x]:
            if skip == 0:
                break
            skip -= 1
        x += 1
    cursors[lane, 0] = y
    cursors[lane, 1] = x


@kernel
def place_cursors(frozen, shapes, free, cursors, lanes, random_order, uniforms):
    """Puts cursors at the start of an episode: at a random cell, or at the first, that is not frozen."""
    for i in range(lanes.shape[0]):
        lane = lanes[i]
        # One cell before the first, from where the next in order is the first.
        cursors[lane, 0] = 0
        cursors[lane, 1] = -1
        _go(frozen, shapes, free, cursors, lane, random_order, uniforms[i, 0])


@kernel
def edit_narrow(levels, frozen, shapes, cursors, remaining, free, actions, active, random_order, uniforms, changed):
    """Action 0 keeps the tile at the cursor, action t + 1 makes it t; then the cursor goes on."""
    for lane in range(levels.shape[0]):
        if active[lane]:
            if actions[lane] > 0:
                y, x = cursors[lane, 0], cursors[lane, 1]
                changed[lane] = _put(levels, frozen, lane, y, x, actions[lane] - 1, remaining[lane])
            _go(frozen, shapes, free, cursors, lane, random_order, uniforms[lane, 0])


@kernel
def edit_narrowcast(levels, frozen, shapes, cursors, remaining, free, actions, active, random_order, uniforms, changed):
    """Action (reach, tile): reach 0 keeps everything, 1 writes the cell, 2 the 3x3 patch around it."""
    for lane in range(levels.shape[0]):
        if active[lane]:
            y, x = cursors[lane, 0], cursors[lane, 1]
            reach, tile = actions[lane, 0], actions[lane, 1]
            if reach == 1:
                changed[lane] = _put(levels, frozen, lane, y, x, tile, remaining[lane])
            elif reach == 2:
                changed[lane] = _patch(levels, frozen, shapes, lane, y, x, tile, remaining[lane])
            _go(frozen, shapes, free, cursors, lane, random_order, uniforms[lane, 0])


@kernel
def edit_narrowmulti(
    levels, frozen, shapes, cursors, remaining, free, actions, active, random_order, uniforms, changed
):
    """Nine numbers, for the 3x3 patch around the cursor row by row: 0 keeps a tile, t + 1 makes it t."""
    for lane in range(levels.shape[0]):
        if active[lane]:
            count = 0
            for i in range(9):
                y = cursors[lane, 0] + i // 3 - 1
                x = cursors[lane, 1] + i % 3 - 1
                if actions[lane, i] > 0 and 0 <= y < shapes[lane, 0] and 0 <= x < shapes[lane, 1]:
                    count += _put(levels, frozen, lane, y, x, actions[lane, i] - 1, remaining[lane] - count)
            changed[lane] = count
            _go(frozen, shapes, free, cursors, lane, random_order, uniforms[lane, 0])


@inline
def _move(shapes, cursors, lane, direction, wrap):
    """Moves a turtle one cell: 0 left, 1 right, 2 up, 3 down; at the edge it stays or comes in at the other side."""
    y, x = cursors[lane, 0], cursors[lane, 1]
    height, width = shapes[lane, 0], shapes[lane, 1]
    if direction == 0:
        x -= 1
    elif direction == 1:
        x += 1
    elif direction == 2:
        y -= 1
    else:
        y += 1
    if wrap:
        y = (y + height) % height
        x = (x + width) % width
    cursors[lane, 0] = min(max(y, 0), height - 1)
    cursors[lane, 1] = min(max(x, 0), width - 1)


@kernel
def edit_turtle(levels, frozen, shapes, cursors, remaining, actions, active, wrap, changed):
    """Actions 0 to 3 move the turtle left, right, up or down; action t + 4 writes tile t where it stands."""
    for lane in range(levels.shape[0]):
        if active[lane]:
            if actions[lane] < 4:
                _move(shapes, cursors, lane, actions[lane], wrap)
            else:
                y, x = cursors[lane, 0], cursors[lane, 1]
                changed[lane] = _put(levels, frozen, lane, y, x, actions[lane] - 4, remaining[lane])


@kernel
def edit_turtlecast(levels, frozen, shapes, cursors, remaining, actions, active, wrap, changed):
    """Action (what, tile): 0 to 3 move; 4 writes the tile to the cell, 5 to the 3x3 patch around it."""
    for lane in range(levels.shape[0]):
        if active[lane]:
            y, x = cursors[lane, 0], cursors[lane, 1]
            what, tile = actions[lane, 0], actions[lane, 1]
            if what < 4:
                _move(shapes, cursors, lane, what, wrap)
            elif what == 4:
                changed[lane] = _put(levels, frozen, lane, y, x, tile, remaining[lane])
            else:
                changed[lane] = _patch(levels, frozen, shapes, lane, y, x, tile, remaining[lane])


@kernel
def edit_wide(levels, frozen, shapes, remaining, actions, active, changed):
    """Action (x, y, tile) writes a tile to any cell; cells outside a lane's own shape do nothing."""
    for lane in range(levels.shape[0]):
        if active[lane]:
            x, y = actions[lane, 0], actions[lane, 1]
            if y < shapes[lane, 0] and x < shapes[lane, 1]:
                changed[lane] = _put(levels, frozen, lane, y, x, actions[lane, 2], remaining[lane])


@kernel
def edit_cellular(levels, frozen, shapes, remaining, actions, active, uniforms, changed):
    """One tile for every cell, row by row; a budget that is too small for all is spent from a random cell on."""
    height, width = levels.shape[1:]
    cells = height * width
    for lane in range(levels.shape[0]):
        if active[lane]:
            first = min(int(uniforms[lane, 0] * cells), cells - 1)
            count = 0
            for i in range(cells):
                cell = (first + i) % cells
                y, x = cell // width, cell % width
                if y < shapes[lane, 0] and x < shapes[lane, 1]:
                    count += _put(levels, frozen, lane, y, x, actions[lane, cell], remaining[lane] - count)
            changed[lane] = count


@kernel
def crop(levels, cursors, outside, rows, columns, views):
    """Copies the window of rows x columns cells around each cursor; cells beyond the level become `outside`."""
    height, width = levels.shape[1:]
    # Unsigned places, so that no check for places counted from the end keeps the loops from being vectorised.
    size = np.uint64(rows * columns)
    for lane in range(levels.shape[0]):
        top = cursors[lane, 0] - rows // 2
        left = cursors[lane, 1] - columns // 2
        for i in range(size):
            views[lane, i] = outside
        first = max(-left, 0)
        begin = np.uint64(left + first)
        count = np.uint64(min(width - left, columns) - first)
        for row in range(max(-top, 0), min(height - top, rows)):
            y = top + row
            put = np.uint64(row * columns + first)
            for i in range(count):
                views[lane, put + i] = levels[lane, y, begin + i]
