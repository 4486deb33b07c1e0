"""Loderunner levels built by rule: floors one above another, ladders and ropes between them, and what is on them."""

from __future__ import annotations

from envs.kernels import inline, kernel
from envs.kernels.draw import draw_next
from envs.kernels.loderunner_rules import BRICK, EMPTY, GOLD, GUARD, LADDER, PLAYER, ROPE, SOLID

#: The least height and width that has room for two floors and what stands on them.
LEAST_HEIGHT, LEAST_WIDTH = 6, 8


@inline
def _between(stream, low, high):
    """Returns the stream's next state and a whole number from low to high."""
    stream, uniform = draw_next(stream)
    return stream, low + int(uniform * (high - low + 1))


@inline
def _lay_floor(level, y, stream):
    """Lays a floor of bricks with gaps, ropes over some of them, and a few solid blocks."""
    width = level.shape[1]
    stream, x = _between(stream, 0, width // 5)
    while x < width:
        stream, length = _between(stream, min(4, width // 2), max(4, width // 2))
        stream, kind = draw_next(stream)
        for i in range(x, min(x + length, width)):
            stream, hard = draw_next(stream)
            level[y, i] = SOLID if hard < (0.7 if kind < 0.1 else 0.03) else BRICK
        x += length
        stream, gap = _between(stream, 2, max(2, width // 5))
        stream, swings = draw_next(stream)
        # A rope is held from the floor beside it: it hangs in the row above the floor.
        if swings < 0.6 and x + gap < width - 1 and y >= 2:
            for i in range(x, x + gap):
                level[y - 1, i] = ROPE
        x += gap
    return stream


@inline
def _raise_ladder(level, top, bottom, stream):
    """Puts a ladder through a floor's bricks, down to what the next floor carries; returns whether one fitted."""
    width = level.shape[1]
    for _ in range(24):
        stream, x = _between(stream, 0, width - 1)
        fits = level[top, x] == BRICK and (level[bottom, x] == BRICK or level[bottom, x] == SOLID)
        for y in range(top + 1, bottom):
            fits = fits and level[y, x] == EMPTY
        for side in (x - 1, x + 1):
            if 0 <= side < width and level[top, side] == LADDER:
                fits = False
        if fits:
            for y in range(top, bottom):
                level[y, x] = LADDER
            return stream, True
    return stream, False


@inline
def _place(level, tile, stream):
    """Puts a thing onto a floor, where there is still room."""
    height, width = level.shape
    for _ in range(200):
        stream, y = _between(stream, 0, height - 2)
        stream, x = _between(stream, 0, width - 1)
        if level[y, x] == EMPTY and (level[y + 1, x] == BRICK or level[y + 1, x] == SOLID):
            level[y, x] = tile
            return stream
    return stream


@kernel
def build(seeds, attempt, levels):
    """Draws one attempt at each level.

    Floors lie two to four rows apart, the lowest whole. Each pair of neighbours is joined by one to three ladders; a
    rope may lead over a gap. Then come player, gold and guards, all on floors.

    Args:
        seeds: uint64 (n,), one for each level.
        attempt: how many attempts came before; each has numbers of its own.
        levels: uint8 (n, height, width), filled.
    """
    count, height, width = levels.shape
    for lane in range(count):
        level = levels[lane]
        stream = seeds[lane]
        for _ in range(3 * attempt + 1):
            stream, _ = draw_next(stream)
        # The streams of two attempts must not overlap: the state is scattered, not moved on.
        stream, low = draw_next(stream)
        stream, high = draw_next(stream)
        stream = (
            seeds[lane]
            ^ (seeds.dtype.type(int(low * 4294967296.0)) << seeds.dtype.type(32))
            ^ seeds.dtype.type(int(high * 4294967296.0))
        )
        for y in range(height):
            for x in range(width):
                level[y, x] = EMPTY
        stream, stony = draw_next(stream)
        for x in range(width):
            level[height - 1, x] = SOLID if stony < 0.3 else BRICK
        bottom = height - 1
        while bottom >= 3:
            stream, rise = _between(stream, 3, 5 if height >= 12 else 3)
            top = bottom - rise
            if top < 1:
                break
            stream = _lay_floor(level, top, stream)
            stream, ladders = _between(stream, 1, 1 + width // 12)
            for _ in range(ladders):
                stream, _ = _raise_ladder(level, top, bottom, stream)
            bottom = top
        stream = _place(level, PLAYER, stream)
        stream, pieces = _between(stream, 6, 12)
        for _ in range(pieces):
            stream = _place(level, GOLD, stream)
        stream, guards = _between(stream, 3, 6)
        for _ in range(guards):
            stream = _place(level, GUARD, stream)
