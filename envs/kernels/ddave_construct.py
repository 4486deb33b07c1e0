"""Building ddave levels: platforms over spikes, a key as far as can be reached, and an exit as far again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernels import inline, kernel
from envs.kernels.ddave import PASSABLE, stance_room
from envs.kernels.ddave_rules import (
    BEFORE,
    DIAMOND,
    EMPTY,
    EXIT,
    JUMPS,
    KEY,
    MOVES,
    PLAYER,
    SOLID,
    SPIKE,
    STANCES,
    spread,
)
from envs.kernels.draw import draw_next
from envs.kernels.grid import count_components, scratch, workspace
from envs.kernels.stop import NEVER

#: What a finished level has: moves and jumps of its shortest solution at least, spikes at least, diamonds at most.
_MOVES, _JUMPS, _SPIKES, _DIAMONDS = 20, 3, 10, 3
#: The most layouts that are tried for one level.
_ATTEMPTS = 20_000


@inline
def _below(random, count):
    """Returns the stream's next state, and a whole number from 0 to count - 1."""
    random, uniform = draw_next(random)
    return random, min(np.int64(uniform * count), count - 1)


@inline
def _lay_out(cells, stride, height, width, random):
    """Draws a cave: spikes and some footholds at the bottom, platforms and pillars above, some spikes on them."""
    for cell in range(cells.size):
        cells[cell] = SOLID
    random, footholds = draw_next(random)
    random, prickly = draw_next(random)
    for y in range(height):
        for x in range(width):
            cells[(y + 1) * stride + x + 1] = EMPTY
    for x in range(width):
        random, uniform = draw_next(random)
        cells[height * stride + x + 1] = SOLID if uniform < 0.1 + 0.4 * footholds else SPIKE
    random, platforms = _below(random, max(1, height * width // 12))
    for _ in range(platforms + height * width // 16 + 1):
        random, y = _below(random, height - 1)
        random, x = _below(random, width)
        random, length = _below(random, 4)
        random, uniform = draw_next(random)
        for i in range(length + 1):
            if uniform < 0.75 and x + i < width:
                cells[(y + 1) * stride + x + i + 1] = SOLID
            elif uniform >= 0.75 and y + i < height and i < 3:
                cells[(y + i + 1) * stride + x + 1] = SOLID
    for y in range(height - 1):
        for x in range(width):
            cell = (y + 1) * stride + x + 1
            random, uniform = draw_next(random)
            if cells[cell] == EMPTY and cells[cell + stride] == SOLID and uniform < 0.25 * prickly:
                cells[cell] = SPIKE
    return random


@inline
def _regions(cells, stride, height, bits, parents):
    """Counts the regions of everything but solid and spike."""
    for cell in range(cells.size):
        bits[cell] = 1 << cells[cell]
    return count_components(bits, PASSABLE, stride, stride + 1, (height + 1) * stride - 1, parents)


@inline
def _is_ground(cells, stride, height, cell):
    """Tells whether a free cell of the level has solid of the level below it."""
    return cells[cell] == EMPTY and cell < height * stride and cells[cell + stride] == SOLID


@inline
def _place(cells, stride, height, random, known, queue, stop):
    """Puts the key and the exit where the player needs enough moves and jumps, and returns the player's cell or -1."""
    place = np.int64(-1)
    for _ in range(20):
        random, cell = _below(random, cells.size)
        if _is_ground(cells, stride, height, cell):
            place = cell
            break
    if place < 0:
        return random, place
    none = np.int64(0)
    limit = cells.size * STANCES
    found = spread(cells, stride, place, none, none, known, queue, limit, stop)[2]
    # The key comes from the farther half of what is reached; the player's own cell is among the nearest.
    if found < 12:
        return random, np.int64(-1)
    random, i = _below(random, found - found // 2)
    key = np.int64(queue[found // 2 + i] // 6)
    if key == place or cells[key] != EMPTY:
        return random, np.int64(-1)
    cells[key] = KEY
    found = spread(cells, stride, place, none, none, known, queue, limit, stop)[2]
    candidates = 0
    for i in range(found):
        stance = np.int64(queue[i])
        cell = stance // 6
        far = stance % 2 == 1 and known[stance, MOVES] >= _MOVES and known[stance, JUMPS] >= _JUMPS
        if far and cell != place and _is_ground(cells, stride, height, cell):
            # What was found stands behind what is looked at, so that the front of the queue is free.
            queue[candidates] = cell
            candidates += 1
    if candidates == 0:
        return random, np.int64(-1)
    random, i = _below(random, candidates)
    cells[queue[i]] = EXIT
    return random, place


@inline
def _finish(cells, stride, height, place, won, random, known, queue, bits, parents, on_way):
    """Adds spikes off the player's way until there are enough, and diamonds where the player can come."""
    found = 0
    for i in range(cells.size):
        on_way[i] = 0
    while won >= 0:
        on_way[won // 6] = 1
        won = known[won, BEFORE]
    spikes = 0
    for i in range(cells.size):
        spikes += cells[i] == SPIKE
        if cells[i] == EMPTY:
            queue[found] = i
            found += 1
    random, extra = _below(random, 5)
    for tries in range(200):
        if spikes >= _SPIKES + extra or found == 0:
            break
        random, i = _below(random, found)
        cell = np.int64(queue[i])
        # At first spikes are looked for that stand on something.
        if cells[cell] == EMPTY and not on_way[cell] and (tries > 100 or cells[cell + stride] == SOLID):
            cells[cell] = SPIKE
            if _regions(cells, stride, height, bits, parents) == 1:
                spikes += 1
            else:
                cells[cell] = EMPTY
    random, diamonds = _below(random, _DIAMONDS + 1)
    for _ in range(diamonds):
        for _ in range(8):
            random, i = _below(random, max(found, 1))
            cell = np.int64(queue[i])
            reached = False
            for own in range(STANCES):
                reached = reached or known[cell * STANCES + own, MOVES] >= 0
            if found > 0 and reached and cells[cell] == EMPTY and cell != place:
                cells[cell] = DIAMOND
                break
    return random, spikes >= _SPIKES


@kernel
def _construct(seeds, levels, stop, cells, bits, parents, on_way, known, queue):
    height, width = levels.shape[1:]
    stride = width + 2
    padded = (height + 2) * stride
    cells = cells[:padded]
    none = np.int64(0)
    for lane in range(levels.shape[0]):
        random = seeds[lane]
        done = False
        for _ in range(_ATTEMPTS):
            random = _lay_out(cells, stride, height, width, random)
            if _regions(cells, stride, height, bits, parents) != 1:
                continue
            random, place = _place(cells, stride, height, random, known, queue, stop)
            if place < 0:
                continue
            won = spread(cells, stride, place, none, none, known, queue, padded * STANCES, stop)[0]
            if won < 0:
                continue
            random, enough = _finish(
                cells, stride, height, place, np.int64(won), random, known, queue, bits, parents, on_way
            )
            if not enough:
                continue
            won = spread(cells, stride, place, none, none, known, queue, padded * STANCES, stop)[0]
            if won >= 0 and known[won, MOVES] >= _MOVES and known[won, JUMPS] >= _JUMPS:
                cells[place] = PLAYER
                done = _regions(cells, stride, height, bits, parents) == 1
                if done:
                    break
        if not done:
            return lane
        for y in range(height):
            for x in range(width):
                levels[lane, y, x] = cells[(y + 1) * stride + x + 1]
    return levels.shape[0]


def construct_ddave(seeds: NDArray[np.uint64], shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """Builds levels that meet the published success and every finite target of the ddave problem.

    Platforms and pillars are thrown over a bottom of spikes. The player stands somewhere on solid; the key goes to the
    farther half of what the player can reach, the exit to solid ground that takes 20 moves and 3 jumps by way of
    the key. Spikes are added off the shortest way, and diamonds. What the solver does not win in 20 moves and
    3 jumps or more is begun anew.

    Args:
        seeds: uint64 (n,).
        shape: (height, width).

    Returns:
        uint8 (n, height, width), or None where a level could not be built of that shape.
    """
    height, width = shape
    levels = np.zeros((len(seeds), height, width), np.uint8)
    padded = (height + 2) * (width + 2)
    cells = scratch("ddave cells", padded, np.uint8)
    work = (*workspace(levels.shape), *stance_room(padded))
    built = _construct(np.require(seeds, np.uint64, ("C", "W")), levels, NEVER, cells, *work)
    return levels if built == len(levels) else None
