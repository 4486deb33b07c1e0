"""Pictures of levels of three axes: blocks seen from above and to the south-east, with the inside laid open.

Blocks that bear a place to stand are drawn whole, coloured by their height; all others are of glass, or a level would
hide behind its own walls.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from envs.art import sprite

#: A cell's place: (storey, row, column).
Cell = tuple[int, ...]

_BACKGROUND = (30, 29, 42)
_GROUND = (56, 92, 118)
_BURIED = (52, 50, 70)
_GROUND_SEAM = (50, 48, 68)
_GOLD = (255, 208, 70)
_PATH = (255, 240, 205)

#: The colour of blocks that bear a walker, from the lowest storey to the highest, and of those that do not.
_LOW, _HIGH = np.array((66, 120, 140), np.float32), np.array((236, 182, 104), np.float32)
_GLASS = np.array((150, 160, 200), np.float32)

#: How opaque the faces and the edges of glass are.
_GLASS_FACES, _GLASS_EDGES = 0.035, 0.16

#: How light the faces are: the top, the one to the south, the one to the east.
_LIGHT = (1.0, 0.62, 0.8)

#: Pictures are drawn so many times as large in each direction, so that edges come out smooth.
_FINER = 4


def draw_blocks(
    solid: NDArray[np.bool_],
    tile_size: int,
    *,
    cursor: Cell | None = None,
    frozen: NDArray[np.bool_] | None = None,
    path: Sequence[Cell] = (),
    figures: Sequence[tuple[str, Cell]] = (),
) -> NDArray[np.uint8]:
    """Draws a level.

    Args:
        solid: bool (depth, height, width), where the blocks are.
        tile_size: half the width of a block in pixels.
        cursor: the cell to frame.
        frozen: bool (depth, height, width), the cells to mark with a padlock.
        path: the cells to mark with a dot.
        figures: drawings that stand in cells, by name (see `envs.art`); they show through what is in front of them.

    Returns:
        uint8 RGB (pixels, pixels, 3), a fresh array; its size depends on the level's shape and the tile size alone.
    """
    bearing = _bearing(solid)
    scene = _Scene(solid.shape, tile_size, bearing[0])
    dots = set(path)
    standing = {place: name for name, place in figures}
    for place in np.ndindex(solid.shape):
        if solid[place]:
            scene.block(place, bool(bearing[1:][place]))
        if place in dots:
            scene.dot(place)
        if place in standing:
            scene.figure(place, standing[place], 1.0)
    for place in dots:
        scene.dot(place, 0.35)
    if frozen is not None:
        for locked in np.argwhere(frozen).tolist():
            scene.lock(tuple(locked))
    for name, place in figures:
        scene.figure(place, name, 0.5)
    if cursor is not None:
        scene.frame(cursor)
    return np.rint(scene.pixels).astype(np.uint8)


def _bearing(solid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns what has two cells of air above it on the level: bool (1 + depth, height, width), the ground first."""
    ground = np.ones_like(solid[:1])
    bearing = np.concatenate([ground, solid])
    bearing[:-1] &= ~solid
    bearing[:-2] &= ~solid[1:]
    bearing[-2:] = False
    return bearing


class _Scene:
    """The picture as far as it is drawn.

    Attributes:
        pixels: float32 (height, width, 3).
    """

    def __init__(self, shape: tuple[int, ...], tile_size: int, ground: NDArray[np.bool_]) -> None:
        depth, height, width = shape
        self._depth = depth
        # A block is twice as wide as `side`, which is even so that half of it is whole.
        self._side = side = max(tile_size - tile_size % 2, 4)
        self._rise = side
        margin = max(side // 2, 4)
        self._left = margin + (height - 1) * side
        self._top = margin + depth * self._rise + self._rise // 2
        rows = self._top + (height + width) * side // 2 + margin
        self.pixels = np.empty((rows, 2 * margin + (height + width) * side, 3), np.float32)
        self.pixels[:] = _BACKGROUND
        for y in range(height):
            for x in range(width):
                diamond = _diamond(side, _GROUND if ground[y, x] else _BURIED, _GROUND_SEAM)
                self._paste(diamond, self._left + (x - y) * side, self._top + (x + y) * side // 2)

    def _corner(self, place: Cell) -> tuple[int, int]:
        """Returns the left and the upper end of the picture of a cell's block."""
        z, y, x = place
        return self._left + (x - y) * self._side, self._top + (x + y) * self._side // 2 - (z + 1) * self._rise

    def _paste(self, stamp: NDArray[np.float32], left: int, top: int, opacity: float = 1.0) -> None:
        """Lays RGBA, float32 (height, width, 4) with opacity in 0..1, over the picture, as far as it fits."""
        up, aside = max(-top, 0), max(-left, 0)
        below = self.pixels[top + up : top + stamp.shape[0], left + aside : left + stamp.shape[1]]
        stamp = stamp[up : up + below.shape[0], aside : aside + below.shape[1]]
        below += (stamp[..., :3] - below) * (stamp[..., 3:] * opacity)

    def block(self, place: Cell, bears: bool) -> None:
        """Draws a block: whole where it bears a walker, else of glass."""
        share = place[0] / max(self._depth - 1, 1)
        colour = tuple((_LOW + (_HIGH - _LOW) * share).tolist()) if bears else None
        self._paste(_block(self._side, self._rise, colour), *self._corner(place))

    def dot(self, place: Cell, opacity: float = 1.0) -> None:
        """Draws a mark on the floor of a cell."""
        left, top = self._corner(place)
        self._paste(_dot(self._side), left, top + self._rise, opacity)

    def figure(self, place: Cell, name: str, opacity: float) -> None:
        """Draws something that stands in a cell, upright."""
        size = min(self._side * 7 // 4, 256)
        drawn = _floats(sprite(name, size))
        left, top = self._corner(place)
        self._paste(drawn, left + self._side - size // 2, top + self._rise + self._side * 3 // 4 - size, opacity)

    def lock(self, place: Cell) -> None:
        """Draws a padlock in the middle of a cell."""
        drawn = _floats(sprite("lock", self._side))
        left, top = self._corner(place)
        self._paste(drawn, left + self._side // 2, top + self._rise // 2)

    def frame(self, place: Cell) -> None:
        """Draws the edges of a cell."""
        self._paste(_frame(self._side, self._rise), *self._corner(place))


def _floats(drawn: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Returns RGBA, uint8 (height, width, 4), as float32 with opacity in 0..1."""
    stamp = drawn.astype(np.float32)
    stamp[..., 3] /= 255.0
    return stamp


def _grid(height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the places of the points that a stamp is drawn from, in pixels: down, and to the right of the middle."""
    down, right = np.mgrid[: height * _FINER, : width * _FINER].astype(np.float64)
    return (down + 0.5) / _FINER, (right + 0.5) / _FINER - width / 2


def _coarser(colours: NDArray[np.float64], opacity: NDArray[np.float64]) -> NDArray[np.float32]:
    """Joins points, colours (h, w, 3) and opacity (h, w) in 0..1, to pixels: float32 (height, width, 4)."""
    height, width = opacity.shape
    blocks = (height // _FINER, _FINER, width // _FINER, _FINER)
    weight = opacity.reshape(blocks).mean(axis=(1, 3))
    summed = (colours * opacity[..., None]).reshape(*blocks, 3).mean(axis=(1, 3))
    return np.dstack([summed / np.maximum(weight, 1e-9)[..., None], weight]).astype(np.float32)


def _edges_of_block(down: NDArray, right: NDArray, side: int, rise: int) -> NDArray[np.float64]:
    """Returns how far points lie from the nearest of the nine edges that one sees of a block, in pixels."""
    half = side / 2
    top = (0.0, 0.0), (half, side), (side, 0.0), (half, -side)
    segments = [(top[i], top[(i + 1) % 4]) for i in range(4)]
    low = [(y + rise, x) for y, x in top]
    segments += [(low[1], low[2]), (low[2], low[3]), *((top[i], low[i]) for i in (1, 2, 3))]
    nearest = np.full(down.shape, np.inf)
    for (y0, x0), (y1, x1) in segments:
        along = ((down - y0) * (y1 - y0) + (right - x0) * (x1 - x0)) / ((y1 - y0) ** 2 + (x1 - x0) ** 2)
        along = np.clip(along, 0, 1)
        nearest = np.minimum(nearest, np.hypot(down - y0 - along * (y1 - y0), right - x0 - along * (x1 - x0)))
    return nearest


@lru_cache(maxsize=256)
def _block(side: int, rise: int, colour: tuple[float, ...] | None) -> NDArray[np.float32]:
    """Draws a block of a colour, or of glass: RGBA, float32 (side + rise, 2 * side, 4)."""
    down, right = _grid(side + rise, 2 * side)
    slope = np.abs(right) / 2
    top = np.abs(down - side / 2) + slope <= side / 2
    inside = (down >= slope) & (down <= side + rise - slope)
    light = np.where(top, _LIGHT[0], np.where(right < 0, _LIGHT[1], _LIGHT[2]))
    edges = _edges_of_block(down, right, side, rise)
    if colour is None:
        colours = np.broadcast_to(_GLASS.astype(np.float64), (*down.shape, 3)) * light[..., None]
        seam = edges < max(side / 24, 0.45)
        return _coarser(colours, np.where(inside, np.where(seam, _GLASS_EDGES, _GLASS_FACES), 0.0))
    colours = np.asarray(colour, np.float64) * light[..., None]
    # The edges of the top catch the light, those below lie in shade.
    width = max(side / 14, 0.5)
    colours = np.where((edges < width)[..., None], colours * np.where(top, 1.14, 0.78)[..., None], colours)
    return _coarser(np.clip(colours, 0, 255), inside.astype(np.float64))


@lru_cache(maxsize=32)
def _diamond(side: int, colour: tuple[int, int, int], seam: tuple[int, int, int]) -> NDArray[np.float32]:
    """Draws a cell of the ground: RGBA, float32 (side, 2 * side, 4)."""
    down, right = _grid(side, 2 * side)
    reach = np.abs(down - side / 2) + np.abs(right) / 2
    colours = np.where((reach > side / 2 - max(side / 20, 0.5))[..., None], seam, colour).astype(np.float64)
    return _coarser(colours, (reach <= side / 2).astype(np.float64))


@lru_cache(maxsize=32)
def _dot(side: int) -> NDArray[np.float32]:
    """Draws a mark that lies on the floor: RGBA, float32 (side, 2 * side, 4)."""
    down, right = _grid(side, 2 * side)
    reach = np.hypot((down - side / 2) * 2, right)
    colours = np.broadcast_to(np.array(_PATH, np.float64), (*down.shape, 3))
    return _coarser(colours, (reach <= side * 0.36).astype(np.float64))


@lru_cache(maxsize=32)
def _frame(side: int, rise: int) -> NDArray[np.float32]:
    """Draws the edges of a cell in gold: RGBA, float32 (side + rise, 2 * side, 4)."""
    down, right = _grid(side + rise, 2 * side)
    edges = _edges_of_block(down, right, side, rise)
    width = max(side / 9, 0.9)
    colours = np.where((edges < width * 0.6)[..., None], _GOLD, (60, 40, 10)).astype(np.float64)
    inside = (down >= np.abs(right) / 2) & (down <= side + rise - np.abs(right) / 2)
    return _coarser(colours, np.where(inside, np.where(edges < width, 1.0, 0.14), 0.0))
