"""Building mdungeon levels: a maze with rooms broken into it, and monsters on the way to the exit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernels import inline, kernel
from envs.kernels.draw import draw_next
from envs.kernels.grid import scratch, workspace
from envs.kernels.mdungeon import stance_room
from envs.kernels.mdungeon_rules import (
    DOWN,
    EMPTY,
    EXIT,
    FULL,
    GOBLIN,
    LEFT,
    PLAYER,
    POTION,
    RIGHT,
    SOLID,
    SOLVED,
    TREASURE,
    UP,
    distances_from,
    find_way,
    neighbour,
)
from envs.kernels.stop import NEVER
from envs.kernels.taken import room, words_for

#: What a finished level has: moves of its shortest solution at least, and things at most.
_MOVES, _ENEMIES, _POTIONS, _TREASURES = 20, 6, 2, 3
#: The most states that the solver may expand for one level, and the most mazes that are tried for one.
_BUDGET, _ATTEMPTS = 500, 4_000


@inline
def _below(random, count):
    """Returns the stream's next state, and a whole number from 0 to count - 1."""
    random, uniform = draw_next(random)
    return random, min(np.int64(uniform * count), count - 1)


@inline
def _dig(cells, stride, height, width, random, stack):
    """Digs a maze of corridors, one cell wide, by a walk that backs up where it is stuck; every cell else is solid.

    The rooms of the maze's lattice stand in every other row and column.
    """
    for i in range(cells.size):
        cells[i] = SOLID
    random, row = _below(random, (height + 1) // 2)
    random, column = _below(random, (width + 1) // 2)
    stack[0] = (2 * row + 1) * stride + 2 * column + 1
    cells[stack[0]] = EMPTY
    depth = np.int64(1)
    while depth > 0:
        cell = np.int64(stack[depth - 1])
        random, turn = _below(random, 4)
        moved = False
        for i in range(4):
            action = (turn + i) & 3
            wall = neighbour(cell, stride, action)
            y, x = wall // stride - 1, wall % stride - 1
            # The border of padded cells is solid as well: what is dug into must stay inside of it.
            if (y < 1 and action == UP) or (y > height - 2 and action == DOWN):
                continue
            if (x < 1 and action == LEFT) or (x > width - 2 and action == RIGHT):
                continue
            beyond = neighbour(wall, stride, action)
            if cells[beyond] == SOLID:
                cells[wall] = EMPTY
                cells[beyond] = EMPTY
                stack[depth] = beyond
                depth += 1
                moved = True
                break
        if not moved:
            depth -= 1
    return random


@inline
def _open(cells, stride, height, width, place, door, random, distances, queue):
    """Breaks walls away, as many as chance will have it, that do not bring the exit too near; makes rooms of a maze."""
    random, share = draw_next(random)
    tries = np.int64(share * height * width * 0.6)
    for _ in range(tries):
        random, y = _below(random, height)
        random, x = _below(random, width)
        cell = (y + 1) * stride + x + 1
        if cells[cell] != SOLID:
            continue
        cells[cell] = EMPTY
        beside = 0
        for action in range(4):
            beside += cells[neighbour(cell, stride, action)] != SOLID
        distances_from(cells, stride, door, distances, queue)
        if beside == 0 or distances[place] < _MOVES:
            cells[cell] = SOLID
    return random


@inline
def _fill_dead_ends(cells, stride, height, width, random):
    """Fills some dead ends, so that not every level covers its whole rectangle."""
    random, share = draw_next(random)
    share *= share
    for _ in range(3):
        for y in range(height):
            for x in range(width):
                cell = (y + 1) * stride + x + 1
                if cells[cell] != EMPTY:
                    continue
                beside = 0
                for action in range(4):
                    beside += cells[neighbour(cell, stride, action)] != SOLID
                random, uniform = draw_next(random)
                if beside == 1 and uniform < share:
                    cells[cell] = SOLID
    return random


@inline
def _scatter(cells, spots, count, number, tile, random):
    """Puts a number of equal things into free cells drawn from the first `count` spots, as far as they are found."""
    for _ in range(number):
        for _ in range(8):
            random, i = _below(random, max(count, 1))
            if count > 0 and cells[spots[i]] == EMPTY:
                cells[spots[i]] = tile
                break
    return random


@inline
def _people(cells, stride, place, random, distances, spots):
    """Puts monsters on a way to the exit and beside it, potions and treasures anywhere; returns the monsters."""
    random, total = _below(random, _ENEMIES)
    total += 1
    random, extra = _below(random, total - total // 2)
    ahead = total // 2 + 1 + extra
    random, ogres = draw_next(random)
    # A shortest way, each step drawn from those that come nearer.
    count = 0
    cell = place
    while distances[cell] > 1:
        random, turn = _below(random, 4)
        for i in range(4):
            beside = neighbour(cell, stride, (turn + i) & 3)
            if cells[beside] != SOLID and distances[beside] < distances[cell]:
                cell = beside
                break
        spots[count] = cell
        count += 1
    for i in range(total):
        if i == ahead:
            count = 0
            for other in range(cells.size):
                if cells[other] == EMPTY:
                    spots[count] = other
                    count += 1
        random, uniform = draw_next(random)
        # An ogre is the higher tile.
        random = _scatter(cells, spots, count, 1, GOBLIN + (uniform < ogres * 0.8), random)
    count = 0
    for other in range(cells.size):
        if cells[other] == EMPTY:
            spots[count] = other
            count += 1
    random, potions = _below(random, _POTIONS + 1)
    random, treasures = _below(random, _TREASURES + 1)
    random = _scatter(cells, spots, count, potions, POTION, random)
    random = _scatter(cells, spots, count, treasures, TREASURE, random)
    return random


@inline
def _is_good(cells, stride, place, door, stop, board, stances, memory):
    """Tells whether a level is won in enough moves, with more than half of the monsters killed on the way."""
    enemies = 0
    for cell in range(cells.size):
        enemies += cells[cell] >= GOBLIN
    verdict, actions, _ = find_way(
        cells, stride, place, np.int64(FULL), door, np.int64(_BUDGET), stop, board, stances, memory
    )
    if verdict != SOLVED or actions.size < _MOVES or enemies == 0:
        return False
    killed = 0
    for action in actions:
        place = neighbour(place, stride, action)
        if cells[place] >= GOBLIN:
            killed += 1
            cells[place] = EMPTY
    return 2 * killed > enemies


@kernel
def _construct(seeds, levels, stop, cells, distances, queue, things, known, stance_queue, rows, heard, table, heap):
    height, width = levels.shape[1:]
    stride = width + 2
    padded = (height + 2) * stride
    cells = cells[:padded]
    spots = np.empty(padded, np.int32)
    for lane in range(levels.shape[0]):
        random = seeds[lane]
        done = False
        for _ in range(_ATTEMPTS):
            random = _dig(cells, stride, height, width, random, queue)
            # The ends of the maze's longest way: the farthest cell from anywhere, and the farthest from there.
            start = 0
            while cells[start] == SOLID:
                start += 1
            reached = distances_from(cells, stride, start, distances, queue)
            door = np.int64(queue[reached - 1])
            reached = distances_from(cells, stride, door, distances, queue)
            place = np.int64(queue[reached - 1])
            if distances[place] < _MOVES:
                continue
            # Not always the very farthest.
            random, back = _below(random, min(reached // 4 + 1, reached))
            if distances[queue[reached - 1 - back]] >= _MOVES:
                place = np.int64(queue[reached - 1 - back])
            cells[place] = PLAYER
            cells[door] = EXIT
            random, uniform = draw_next(random)
            if uniform < 0.75:
                random = _open(cells, stride, height, width, place, door, random, distances, queue)
            if uniform > 0.25:
                random = _fill_dead_ends(cells, stride, height, width, random)
            distances_from(cells, stride, door, distances, queue)
            random = _people(cells, stride, place, random, distances, spots)
            for y in range(height):
                for x in range(width):
                    levels[lane, y, x] = cells[(y + 1) * stride + x + 1]
            if _is_good(
                cells, stride, place, door, stop,
                (distances, queue, things), (known, stance_queue), (rows, heard, table, heap),
            ):  # fmt: skip
                done = True
                break
        if not done:
            return lane
    return levels.shape[0]


def construct_mdungeon(seeds: NDArray[np.uint64], shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """Builds levels that meet the published success and every finite target of the mdungeon problem.

    A maze is dug by a random walk that backs up where it is stuck (Shaker 2016); the player and the exit get the ends
    of a long way through it. Walls are broken away where that brings the two no nearer than 20 moves, and dead ends
    are filled. Monsters are put on the way, the fewer half of them elsewhere, and what the solver does not win in 20
    moves or more, or with no more than half of the monsters killed, is begun anew.

    Args:
        seeds: uint64 (n,).
        shape: (height, width).

    Returns:
        uint8 (n, height, width), or None where a level could not be built of that shape.
    """
    height, width = shape
    levels = np.zeros((len(seeds), height, width), np.uint8)
    padded = (height + 2) * (width + 2)
    built = _construct(
        np.require(seeds, np.uint64, ("C", "W")), levels, NEVER, scratch("mdungeon cells", padded, np.uint8),
        *workspace(levels.shape), *stance_room(padded), *room("mdungeon", _BUDGET, words_for(height * width)),
    )  # fmt: skip
    return levels if built == len(levels) else None
