"""The register of sprites: their names, how they are finished, and the pictures once drawn."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from envs.art.pen import Pen
from envs.errors import UserError, unknown_name

#: The smallest and largest sides in pixels that a sprite can be drawn at.
SMALLEST_SIZE, LARGEST_SIZE = 4, 256

Draw = Callable[[Pen], None]


@dataclass(frozen=True)
class _Drawing:
    """A registered drawing and how it is finished."""

    draw: Draw
    outline: bool
    shadow: bool
    tall: bool


_DRAWINGS: dict[str, _Drawing] = {}


def drawing(name: str, *, outline: bool = True, shadow: bool = True, tall: bool = False) -> Callable[[Draw], Draw]:
    """Registers a function as the drawing of a sprite.

    Args:
        name: the sprite's name, which tiles and play boards refer to.
        outline: whether a dark line goes around everything that the function paints.
        shadow: whether that throws a soft shadow to the lower right, inside the tile.
        tall: whether the sprite fills its tile and stands up like a wall, so that pictures shade the tiles behind it.

    Returns:
        A decorator that returns the function unchanged.

    Raises:
        ValueError: another function has the name already.
    """

    def register(draw: Draw) -> Draw:
        known = _DRAWINGS.get(name)
        if known is not None and (known.draw.__module__, known.draw.__qualname__) != (
            draw.__module__,
            draw.__qualname__,
        ):
            raise ValueError(
                f"The sprite {name!r} is drawn by {known.draw.__module__}.{known.draw.__qualname__} already."
            )
        _DRAWINGS[name] = _Drawing(draw, outline, shadow, tall)
        _draw.cache_clear()
        return draw

    return register


def sprite_names() -> tuple[str, ...]:
    """Returns the names of all sprites, in alphabetical order."""
    return tuple(sorted(_DRAWINGS))


def sprite(name: str, size: int = 32) -> NDArray[np.uint8]:
    """Draws a sprite.

    Args:
        name: one of `sprite_names()`.
        size: the side in pixels, 4 to 256.

    Returns:
        Read-only uint8 (size, size, 4), red, green, blue and opacity (not premultiplied). The same array at every
        call.

    Raises:
        UserError: there is no such sprite, or it cannot be drawn at that size.
    """
    if name not in _DRAWINGS:
        raise unknown_name("sprite", name, _DRAWINGS)
    return _draw(name, check_tile_size(size))


def is_tall(name: str) -> bool:
    """Returns whether a sprite stands up like a wall; False for the empty name of a plain tile."""
    return name in _DRAWINGS and _DRAWINGS[name].tall


def plain_tile(colour: tuple[int, int, int], size: int = 32) -> NDArray[np.uint8]:
    """Draws the bevelled block of one colour that stands for a tile without a sprite.

    Args:
        colour: red, green and blue in 0..255.
        size: the side in pixels, 4 to 256.

    Returns:
        uint8 (size, size, 4), opaque.

    Raises:
        UserError: it cannot be drawn at that size.
    """
    pen = Pen(check_tile_size(size))
    red, green, blue = (int(0.68 * part) for part in colour)
    pen.paint(pen.box(-1, -1, 33, 33), (red, green, blue), relief=0.0)
    pen.paint(pen.box(1, 1, 31, 31, 2), colour, relief=0.55, depth=1.2)
    return pen.finish(outline=False, shadow=False)


def check_tile_size(size: object) -> int:
    """Returns a tile size in pixels as an int.

    Raises:
        UserError: it is not a whole number from 4 to 256.
    """
    try:
        pixels = operator.index(size)  # type: ignore[arg-type]
    except TypeError:
        pixels = -1
    if not SMALLEST_SIZE <= pixels <= LARGEST_SIZE:
        raise UserError(
            f"A tile size must be a whole number of pixels from {SMALLEST_SIZE} to {LARGEST_SIZE}; got {size!r}."
        )
    return pixels


@lru_cache(maxsize=512)
def _draw(name: str, size: int) -> NDArray[np.uint8]:
    """Draws a registered sprite and locks the pixels, since every caller gets the same array."""
    kind = _DRAWINGS[name]
    pen = Pen(size)
    kind.draw(pen)
    image = pen.finish(kind.outline, kind.shadow)
    image.flags.writeable = False
    return image
