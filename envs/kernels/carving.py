"""Layouts of floor and walls by classical algorithms: mazes, rooms with corridors, and caves.

Every layout is one 4-connected region of floor (0) among walls (1). Chance comes from one splitmix64 stream a level.
"""

from __future__ import annotations

import numpy as np

from envs.kernels import inline, kernel
from envs.kernels.draw import draw_next
from envs.kernels.maze_rules import neighbour

EMPTY, SOLID = range(2)

# The algorithms, in the shares in which they are drawn: half mazes, a quarter each rooms and caves.
_SHARES = 4
_ROOMS, _CAVES = 2, 3

# What a padded cell is while regions are joined.
_OUTSIDE, _FLOOR, _WALL, _REACHED = range(4)


@inline
def pick(streams, lane, count):
    """Returns a random whole number from 0 to below `count`, and moves the lane's stream on."""
    state, uniform = draw_next(streams[lane])
    streams[lane] = state
    return int(uniform * count)


@inline
def _fill(level, tile):
    for y in range(level.shape[0]):
        for x in range(level.shape[1]):
            level[y, x] = tile


@inline
def _grow_maze(level, streams, lane, active):
    """Carves a perfect maze by a growing tree (Buck 2011).

    Going on from the newest cell is recursive backtracking, with long winding corridors; going on from a random one
    now and then makes more branches.
    """
    height, width = level.shape
    _fill(level, SOLID)
    # The cells of the maze are every second one; with an odd size the maze may leave a wall all around.
    top = pick(streams, lane, 2) if height > 2 else 0
    left = pick(streams, lane, 2) if width > 2 else 0
    wandering = pick(streams, lane, 4)
    row = top + 2 * pick(streams, lane, (height - top + 1) // 2)
    column = left + 2 * pick(streams, lane, (width - left + 1) // 2)
    level[row, column] = EMPTY
    active[0] = row * width + column
    count = 1
    while count:
        chosen = count - 1
        if wandering and pick(streams, lane, 16) < wandering:
            chosen = pick(streams, lane, count)
        row, column = active[chosen] // width, active[chosen] % width
        ways = 0
        next_row = next_column = 0
        for side in range(4):
            y = row + (side == 1) * 2 - (side == 0) * 2
            x = column + (side == 3) * 2 - (side == 2) * 2
            if 0 <= y < height and 0 <= x < width and level[y, x] == SOLID:
                ways += 1
                # Each of the ways is kept with the same chance.
                if ways == 1 or pick(streams, lane, ways) == 0:
                    next_row, next_column = y, x
        if ways:
            level[(row + next_row) // 2, (column + next_column) // 2] = EMPTY
            level[next_row, next_column] = EMPTY
            active[count] = next_row * width + next_column
            count += 1
        else:
            count -= 1
            active[chosen] = active[count]


@inline
def _break_walls(level, streams, lane):
    """Opens some walls that have floor on two opposite sides, which makes loops."""
    height, width = level.shape
    for _ in range(1 + height * width // 24):
        y, x = pick(streams, lane, height), pick(streams, lane, width)
        if level[y, x] == SOLID:
            down = 0 < y < height - 1 and level[y - 1, x] == EMPTY and level[y + 1, x] == EMPTY
            across = 0 < x < width - 1 and level[y, x - 1] == EMPTY and level[y, x + 1] == EMPTY
            if down or across:
                level[y, x] = EMPTY


@inline
def _dig_corridor(level, row, column, to_row, to_column, across_first):
    """Opens an L-shaped corridor between two cells."""
    bend_row, bend_column = (row, to_column) if across_first else (to_row, column)
    for leg in range(2):
        y, x = (row, column) if leg == 0 else (to_row, to_column)
        for i in range(min(y, bend_row), max(y, bend_row) + 1):
            for j in range(min(x, bend_column), max(x, bend_column) + 1):
                level[i, j] = EMPTY


@inline
def _build_rooms(level, streams, lane, waiting):
    """Splits the level in two again and again, digs a room into each part, and corridors from part to part."""
    height, width = level.shape
    _fill(level, SOLID)
    least = 3 + pick(streams, lane, 2 if min(height, width) < 12 else 4)
    waiting[0], waiting[1], waiting[2], waiting[3] = 0, 0, height, width
    count = 1
    door_row = door_column = -1
    while count:
        count -= 1
        top, left = waiting[4 * count], waiting[4 * count + 1]
        rows, columns = waiting[4 * count + 2], waiting[4 * count + 3]
        if max(rows, columns) >= 2 * least and pick(streams, lane, 12) > 0:
            # The second part waits below the first: parts that are done one after the other are near each other.
            at = 4 * count
            if rows > columns or (rows == columns and pick(streams, lane, 2) == 0):
                cut = least + pick(streams, lane, rows - 2 * least + 1)
                waiting[at], waiting[at + 2] = top + cut, rows - cut
                waiting[at + 6], waiting[at + 7] = cut, columns
            else:
                cut = least + pick(streams, lane, columns - 2 * least + 1)
                waiting[at + 1], waiting[at + 3] = left + cut, columns - cut
                waiting[at + 6], waiting[at + 7] = rows, cut
            waiting[at + 4], waiting[at + 5] = top, left
            count += 2
            continue
        # A room leaves one row and one column of its part as walls, where there are as many.
        room_rows = max(rows - 1 - pick(streams, lane, (rows + 1) // 2), 1)
        room_columns = max(columns - 1 - pick(streams, lane, (columns + 1) // 2), 1)
        first_row = top + pick(streams, lane, rows - room_rows + 1)
        first_column = left + pick(streams, lane, columns - room_columns + 1)
        for y in range(first_row, first_row + room_rows):
            for x in range(first_column, first_column + room_columns):
                level[y, x] = EMPTY
        row = first_row + pick(streams, lane, room_rows)
        column = first_column + pick(streams, lane, room_columns)
        if door_row >= 0:
            _dig_corridor(level, row, column, door_row, door_column, pick(streams, lane, 2) == 0)
        door_row, door_column = row, column


@inline
def _hollow_caves(level, streams, lane, around):
    """Smooths noise by a cellular automaton (Johnson 2010): a cell is rock if most of the nine around it are."""
    height, width = level.shape
    rock = 38 + pick(streams, lane, 10)
    for y in range(height):
        for x in range(width):
            level[y, x] = SOLID if pick(streams, lane, 100) < rock else EMPTY
    for _ in range(2 + pick(streams, lane, 3)):
        for y in range(height):
            for x in range(width):
                rocks = 0
                for i in range(y - 1, y + 2):
                    for j in range(x - 1, x + 2):
                        if not (0 <= i < height and 0 <= j < width) or level[i, j] == SOLID:
                            rocks += 1
                around[y * width + x] = rocks
        for y in range(height):
            for x in range(width):
                level[y, x] = SOLID if around[y * width + x] >= 5 else EMPTY


@inline
def _join_regions(level, cells, queue, origins):
    """Digs the shortest tunnels from the first region of floor to the others until there is one region."""
    height, width = level.shape
    stride = width + 2
    first = 0
    for cell in range(cells.size):
        cells[cell] = _OUTSIDE
    for y in range(height):
        for x in range(width):
            cell = (y + 1) * stride + x + 1
            cells[cell] = _FLOOR if level[y, x] == EMPTY else _WALL
            if level[y, x] == EMPTY and first == 0:
                first = cell
    if first == 0:
        level[height // 2, width // 2] = EMPTY
        return
    tail = 1
    queue[0] = first
    cells[first] = _REACHED
    done = 0
    while True:
        # All floor that hangs together with what was reached stands at the front of the queue.
        while done < tail:
            for side in range(4):
                beside = neighbour(np.int64(queue[done]), stride, side)
                if cells[beside] == _FLOOR:
                    cells[beside] = _REACHED
                    queue[tail] = beside
                    tail += 1
            done += 1
        for cell in range(cells.size):
            origins[cell] = -1
        head, end = 0, tail
        found = np.int64(-1)
        while head < end and found < 0:
            here = np.int64(queue[head])
            head += 1
            for side in range(4):
                beside = neighbour(here, stride, side)
                if cells[beside] == _WALL and origins[beside] < 0:
                    origins[beside] = here
                    queue[end] = beside
                    end += 1
                elif cells[beside] == _FLOOR:
                    found = beside
                    origins[found] = here
                    break
        if found < 0:
            return
        while found >= 0:
            if cells[found] != _REACHED:
                cells[found] = _REACHED
                level[found // stride - 1, found % stride - 1] = EMPTY
                queue[tail] = found
                tail += 1
            found = np.int64(origins[found])


@kernel
def carve(streams, levels):
    """Carves a layout into each level, by an algorithm drawn at random.

    Args:
        streams: uint64 (n,), the levels' splitmix64 streams, moved on.
        levels: uint8 (n, height, width), written: 0 floor, 1 walls; the floor is one region.
    """
    height, width = levels.shape[1:]
    padded = (height + 2) * (width + 2)
    cells = np.empty(padded, np.int32)
    queue = np.empty(4 * padded, np.int32)
    origins = np.empty(padded, np.int32)
    for lane in range(levels.shape[0]):
        level = levels[lane]
        algorithm = pick(streams, lane, _SHARES)
        if algorithm == _ROOMS:
            _build_rooms(level, streams, lane, queue)
        elif algorithm == _CAVES:
            _hollow_caves(level, streams, lane, queue)
        else:
            _grow_maze(level, streams, lane, queue)
        _join_regions(level, cells, queue, origins)
        if pick(streams, lane, 3) == 0:
            _break_walls(level, streams, lane)


@inline
def spread(ground, stride, start, distances, queue):
    """Fills in the steps from a cell over open ground, -1 where there is no way.

    Args:
        ground: for each padded cell, not 0 where it is open.
        stride: the padded width.
        start: where the walk begins; it need not be open.
        distances: int32 (padded cells,), written.
        queue: room for every cell; written: the cells that were reached, nearest first.

    Returns:
        How many cells were reached, the start among them.
    """
    for cell in range(distances.size):
        distances[cell] = -1
    distances[start] = 0
    queue[0] = start
    head = 0
    tail = 1
    while head < tail:
        here = np.int64(queue[head])
        head += 1
        for side in range(4):
            beside = neighbour(here, stride, side)
            if ground[beside] != 0 and distances[beside] < 0:
                distances[beside] = distances[here] + 1
                queue[tail] = beside
                tail += 1
    return tail


@inline
def open_ground(level, ground, floor):
    """Fills in the padded ground of a layout, 1 where there is floor; lists and counts its floor."""
    height, width = level.shape
    for cell in range(ground.size):
        ground[cell] = 0
    count = 0
    for y in range(height):
        for x in range(width):
            if level[y, x] == EMPTY:
                cell = (y + 1) * (width + 2) + x + 1
                ground[cell] = 1
                floor[count] = cell
                count += 1
    return count
