"""How each representation changes a batch of levels. Argument names are those of `envs.representation.Canvas`.

The kernels see every level with three axes, `levels` and `frozen` being (n, depth, height, width): a flat level is one
storey. Shapes and cursors have as many columns as the level has axes.
"""

from __future__ import annotations

import numpy as np

from envs.kernels import inline, kernel

#: How many axes a level has that is more than one storey high.
_SOLID = 3


@inline
def _triple(places, lane, flat):
    """Returns a lane's cursor or shape along three axes; a flat level has `flat` along the first."""
    last = places.shape[1] - 1
    return places[lane, 0] if last == _SOLID - 1 else flat, places[lane, last - 1], places[lane, last]


@inline
def _put_cursor(cursors, lane, z, y, x):
    """Puts a cursor at a cell."""
    last = cursors.shape[1] - 1
    cursors[lane, 0] = z
    cursors[lane, last - 1] = y
    cursors[lane, last] = x


@inline
def _put(levels, frozen, lane, z, y, x, tile, allowed):
    """Writes one tile where it may be written, and returns 1 if that changed the level, else 0."""
    if allowed <= 0 or frozen[lane, z, y, x] or levels[lane, z, y, x] == tile:
        return 0
    levels[lane, z, y, x] = tile
    return 1


@inline
def _patch(levels, frozen, shapes, lane, z, y, x, tile, allowed):
    """Writes one tile to the cell and all that touch it, as far as they lie on the level; returns the changes."""
    depth, height, width = _triple(shapes, lane, 1)
    count = 0
    for storey in range(max(z - 1, 0), min(z + 2, depth)):
        for row in range(max(y - 1, 0), min(y + 2, height)):
            for column in range(max(x - 1, 0), min(x + 2, width)):
                count += _put(levels, frozen, lane, storey, row, column, tile, allowed - count)
    return count


@inline
def _go(frozen, shapes, free, cursors, lane, random_order, uniform):
    """Moves a cursor to a cell that is not frozen, or, where all are, to any cell.

    Args:
        frozen: bool (n, depth, height, width).
        shapes: int64 (n, axes).
        free: int64 (n,), how many cells are not frozen.
        cursors: int64 (n, axes), one lane's is changed.
        lane: the lane.
        random_order: whether every cell is equally likely; otherwise it is the next one, row by row.
        uniform: in a random order, what decides which, in [0, 1).
    """
    depth, height, width = _triple(shapes, lane, 1)
    choosy = 0 < free[lane] < depth * height * width
    skip = np.int64(0)
    if not random_order:
        z, y, x = _triple(cursors, lane, 0)
        x += 1
    elif choosy:
        z = y = x = 0
        skip = np.int64(uniform * free[lane])
    else:
        cell = np.int64(uniform * (depth * height * width))
        row = cell // width
        x = cell - row * width
        # The division is dear, and flat levels need none.
        z = row // height if depth > 1 else 0
        y = row - z * height
    while True:
        if x >= width:
            x = 0
            y += 1
            if y >= height:
                y = 0
                z += 1
                if z >= depth:
                    z = 0
        if not choosy:
            break
        if not frozen[lane, z, y, x]:
            if skip == 0:
                break
            skip -= 1
        x += 1
    _put_cursor(cursors, lane, z, y, x)


@kernel
def place_cursors(frozen, shapes, free, cursors, lanes, random_order, uniforms):
    """Puts cursors at the start of an episode: at a random cell, or at the first, that is not frozen."""
    for i in range(lanes.shape[0]):
        lane = lanes[i]
        # One cell before the first, from where the next in order is the first.
        _put_cursor(cursors, lane, 0, 0, -1)
        _go(frozen, shapes, free, cursors, lane, random_order, uniforms[i, 0])


@kernel
def edit_narrow(levels, frozen, shapes, cursors, remaining, free, actions, active, random_order, uniforms, changed):
    """Action 0 keeps the tile at the cursor, action t + 1 makes it t; then the cursor goes on."""
    for lane in range(levels.shape[0]):
        if active[lane]:
            if actions[lane] > 0:
                z, y, x = _triple(cursors, lane, 0)
                changed[lane] = _put(levels, frozen, lane, z, y, x, actions[lane] - 1, remaining[lane])
            _go(frozen, shapes, free, cursors, lane, random_order, uniforms[lane, 0])


@kernel
def edit_narrowcast(levels, frozen, shapes, cursors, remaining, free, actions, active, random_order, uniforms, changed):
    """Action (reach, tile): reach 0 keeps everything, 1 writes the cell, 2 also all that touch it."""
    for lane in range(levels.shape[0]):
        if active[lane]:
            z, y, x = _triple(cursors, lane, 0)
            reach, tile = actions[lane, 0], actions[lane, 1]
            if reach == 1:
                changed[lane] = _put(levels, frozen, lane, z, y, x, tile, remaining[lane])
            elif reach == 2:
                changed[lane] = _patch(levels, frozen, shapes, lane, z, y, x, tile, remaining[lane])
            _go(frozen, shapes, free, cursors, lane, random_order, uniforms[lane, 0])


@kernel
def edit_narrowmulti(
    levels, frozen, shapes, cursors, remaining, free, actions, active, random_order, uniforms, changed
):
    """A number for each cell of the patch around the cursor, row by row: 0 keeps a tile, t + 1 makes it t."""
    for lane in range(levels.shape[0]):
        if active[lane]:
            depth, height, width = _triple(shapes, lane, 1)
            count = 0
            for i in range(actions.shape[1]):
                z, y, x = _triple(cursors, lane, 0)
                # Of a flat level's patch there is only the middle storey.
                z += i // 9 - actions.shape[1] // 18
                y += i % 9 // 3 - 1
                x += i % 3 - 1
                if actions[lane, i] > 0 and 0 <= z < depth and 0 <= y < height and 0 <= x < width:
                    count += _put(levels, frozen, lane, z, y, x, actions[lane, i] - 1, remaining[lane] - count)
            changed[lane] = count
            _go(frozen, shapes, free, cursors, lane, random_order, uniforms[lane, 0])


@inline
def _move(shapes, cursors, lane, direction, wrap):
    """Moves a turtle one cell: 0 left, 1 right, 2 up, 3 down on its storey, 4 and 5 to the storey below and above.

    At the edge it stays or comes in at the other side.
    """
    z, y, x = _triple(cursors, lane, 0)
    depth, height, width = _triple(shapes, lane, 1)
    if direction == 0:
        x -= 1
    elif direction == 1:
        x += 1
    elif direction == 2:
        y -= 1
    elif direction == 3:
        y += 1
    elif direction == 4:
        z -= 1
    else:
        z += 1
    if wrap:
        z = (z + depth) % depth
        y = (y + height) % height
        x = (x + width) % width
    _put_cursor(cursors, lane, min(max(z, 0), depth - 1), min(max(y, 0), height - 1), min(max(x, 0), width - 1))


@kernel
def edit_turtle(levels, frozen, shapes, cursors, remaining, actions, active, wrap, changed):
    """The first actions move the turtle, two for each axis (see `_move`); those after write where it stands."""
    moves = 2 * cursors.shape[1]
    for lane in range(levels.shape[0]):
        if active[lane]:
            if actions[lane] < moves:
                _move(shapes, cursors, lane, actions[lane], wrap)
            else:
                z, y, x = _triple(cursors, lane, 0)
                changed[lane] = _put(levels, frozen, lane, z, y, x, actions[lane] - moves, remaining[lane])


@kernel
def edit_turtlecast(levels, frozen, shapes, cursors, remaining, actions, active, wrap, changed):
    """Action (what, tile): what comes after the moves writes the tile to the cell, or also to all that touch it."""
    moves = 2 * cursors.shape[1]
    for lane in range(levels.shape[0]):
        if active[lane]:
            z, y, x = _triple(cursors, lane, 0)
            what, tile = actions[lane, 0], actions[lane, 1]
            if what < moves:
                _move(shapes, cursors, lane, what, wrap)
            elif what == moves:
                changed[lane] = _put(levels, frozen, lane, z, y, x, tile, remaining[lane])
            else:
                changed[lane] = _patch(levels, frozen, shapes, lane, z, y, x, tile, remaining[lane])


@kernel
def edit_wide(levels, frozen, shapes, remaining, actions, active, changed):
    """Action (x, y, tile) or (x, y, z, tile) writes to any cell; those outside a lane's own shape do nothing."""
    last = actions.shape[1] - 1
    for lane in range(levels.shape[0]):
        if active[lane]:
            depth, height, width = _triple(shapes, lane, 1)
            x, y, z = actions[lane, 0], actions[lane, 1], actions[lane, 2] if last == _SOLID else 0
            if z < depth and y < height and x < width:
                changed[lane] = _put(levels, frozen, lane, z, y, x, actions[lane, last], remaining[lane])


@kernel
def edit_cellular(levels, frozen, shapes, remaining, actions, active, uniforms, changed):
    """One tile for every cell, row by row; a budget that is too small for all is spent from a random cell on."""
    most_depth, most_height, most_width = levels.shape[1:]
    cells = most_depth * most_height * most_width
    for lane in range(levels.shape[0]):
        if active[lane]:
            depth, height, width = _triple(shapes, lane, 1)
            first = min(int(uniforms[lane, 0] * cells), cells - 1)
            count = 0
            for i in range(cells):
                cell = (first + i) % cells
                row, x = cell // most_width, cell % most_width
                z, y = row // most_height, row % most_height
                if z < depth and y < height and x < width:
                    count += _put(levels, frozen, lane, z, y, x, actions[lane, cell], remaining[lane] - count)
            changed[lane] = count


@kernel
def crop(levels, cursors, outside, storeys, rows, columns, views):
    """Copies the window of storeys x rows x columns around each cursor; cells beyond the level become `outside`."""
    depth, height, width = levels.shape[1:]
    # Unsigned places, so that no check for places counted from the end keeps the loops from being vectorised.
    size = np.uint64(storeys * rows * columns)
    for lane in range(levels.shape[0]):
        z, y, x = _triple(cursors, lane, 0)
        bottom, top, left = z - storeys // 2, y - rows // 2, x - columns // 2
        for i in range(size):
            views[lane, i] = outside
        first = max(-left, 0)
        begin = np.uint64(left + first)
        count = np.uint64(min(width - left, columns) - first)
        for storey in range(max(-bottom, 0), min(depth - bottom, storeys)):
            z = bottom + storey
            for row in range(max(-top, 0), min(height - top, rows)):
                y = top + row
                put = np.uint64((storey * rows + row) * columns + first)
                for i in range(count):
                    views[lane, put + i] = levels[lane, z, y, begin + i]
