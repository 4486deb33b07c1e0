"""What sprites are drawn with: lit shapes on a square of 32 by 32 units, whatever the size in pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

#: A colour: red, green and blue in 0..255.
Colour = tuple[int, int, int]
#: A place in units, x to the right and y down, both in 0..32.
Point = tuple[float, float]
#: A shape: bool (n, n), n being the pen's side in fine pixels.
Mask = NDArray[np.bool_]

#: A part of the square of fine pixels: rows and columns.
Window = tuple[slice, slice]
EVERYWHERE: Window = (slice(None), slice(None))

#: The side of every drawing in units.
UNITS = 32.0

OUTLINE: Colour = (38, 30, 46)
SHADOW: Colour = (34, 24, 44)


@lru_cache(maxsize=8)
def _grid(fine: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns the x and y of every fine pixel's middle in units, each float32 (fine, fine)."""
    middles = ((np.arange(fine) + 0.5) * (UNITS / fine)).astype(np.float32)
    x, y = np.meshgrid(middles, middles)
    return x, y


class Pen:
    """Draws one sprite on a transparent square.

    Shapes are made by `ellipse`, `polygon`, `stroke` and `box`, combined by the operators of bool arrays, and painted
    by `paint`, which lights them from the upper left. All of it happens on a grid several times finer than the
    sprite; `finish` adds outline and shadow and scales down.

    Attributes:
        size: the sprite's side in pixels.
        x: float32 (n, n), the x of every fine pixel in units.
        y: float32 (n, n), the y of every fine pixel in units.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._factor = max(2, math.ceil(160 / size))
        self._fine = size * self._factor
        self._scale = self._fine / UNITS
        self.x, self.y = _grid(self._fine)
        self._mirrored = False
        self._colour = np.zeros((self._fine, self._fine, 3), np.float32)
        self._alpha = np.zeros((self._fine, self._fine), np.float32)

    def ellipse(self, x: float, y: float, width: float, height: float | None = None, turn: float = 0.0) -> Mask:
        """Returns an ellipse around (x, y); width and height are radii in units, turn is clockwise in degrees."""
        height = width if height is None else height
        cosine, sine = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        dx, dy = self.x - x, self.y - y
        along, across = dx * cosine + dy * sine, dy * cosine - dx * sine
        return (along / width) ** 2 + (across / height) ** 2 <= 1.0

    def polygon(self, points: Sequence[Point]) -> Mask:
        """Returns the filled polygon through the points."""
        if self._mirrored:
            points = [(UNITS - x, y) for x, y in points]
        image = Image.new("L", (self._fine, self._fine))
        ImageDraw.Draw(image).polygon([(x * self._scale, y * self._scale) for x, y in points], fill=255)
        return np.asarray(image) > 0

    def stroke(self, points: Sequence[Point], width: float) -> Mask:
        """Returns the line through the points, with round ends, `width` units wide."""
        mask = np.zeros_like(self._alpha, bool)
        for (x0, y0), (x1, y1) in pairwise(points):
            dx, dy = x1 - x0, y1 - y0
            share = ((self.x - x0) * dx + (self.y - y0) * dy) / max(dx * dx + dy * dy, 1e-6)
            share = np.clip(share, 0.0, 1.0)
            mask |= np.hypot(self.x - x0 - share * dx, self.y - y0 - share * dy) <= width / 2
        return mask

    def arc(self, x: float, y: float, radius: float, start: float, end: float, width: float) -> Mask:
        """Returns a part of a ring around (x, y), from start to end clockwise in degrees, 0 being to the right."""
        angles = np.radians(np.linspace(start, end, 16))
        return self.stroke([(x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles], width)

    def box(self, left: float, top: float, right: float, bottom: float, rounding: float = 0.0) -> Mask:
        """Returns a rectangle whose corners are rounded by `rounding` units."""
        dx = np.maximum(np.maximum(left + rounding - self.x, self.x - right + rounding), 0.0)
        dy = np.maximum(np.maximum(top + rounding - self.y, self.y - bottom + rounding), 0.0)
        return np.hypot(dx, dy) <= max(rounding, 1e-3)

    def paint(self, mask: Mask, colour: Colour, *, relief: float = 0.5, depth: float = 2.0, alpha: float = 1.0) -> None:
        """Paints a shape over what is there.

        Args:
            mask: bool (n, n), the shape.
            colour: its colour in the middle.
            relief: how strongly its edges catch the light from the upper left; 0 is flat.
            depth: how far the rounding of the edges reaches inwards, in units.
            alpha: the opacity in 0..1.
        """
        where = self._around(mask, 0.0)
        inside = mask[where]
        tone = np.broadcast_to(np.asarray(colour, np.float32), (*inside.shape, 3))
        if relief:
            tone = self._light(tone, self._lightness(mask, where, depth) * relief)
        self._over(where, tone, inside.astype(np.float32) * alpha)

    def glow(self, mask: Mask, colour: Colour, softness: float, alpha: float) -> None:
        """Paints a shape with edges blurred by `softness` units."""
        where = self._around(mask, 3 * softness)
        soft = self._blur(mask[where], softness) * alpha
        self._over(where, np.broadcast_to(np.asarray(colour, np.float32), (*soft.shape, 3)), soft)

    def edge(self, mask: Mask, colour: Colour = OUTLINE, width: float | None = None) -> None:
        """Draws a line around a shape, to set a part off from the parts beneath it; call it before `paint`."""
        self.paint(self.grow(mask, width if width is not None else self.line), colour, relief=0.0)

    @property
    def line(self) -> float:
        """The width of outlines in units: never under about a pixel, and finer in proportion at large sizes."""
        return max(1.15, 0.9 * UNITS / self.size)

    def grow(self, mask: Mask, width: float) -> Mask:
        """Returns a shape grown by `width` units on all sides."""
        grown = mask.copy()
        for radius in (width / 2, width):
            for angle in range(0, 360, 20):
                grown |= self._shift(
                    mask, radius * math.cos(math.radians(angle)), radius * math.sin(math.radians(angle))
                )
        return grown

    @contextmanager
    def mirrored(self) -> Iterator[None]:
        """Swaps left and right for the shapes made inside; the light still comes from the upper left."""
        plain = self.x
        self.x, self._mirrored = UNITS - plain, not self._mirrored
        try:
            yield
        finally:
            self.x, self._mirrored = plain, not self._mirrored

    @contextmanager
    def layer(self) -> Iterator[None]:
        """Gives what is painted inside its own outline and shadow over what was there before."""
        colour, alpha = self._colour, self._alpha
        self._colour, self._alpha = np.zeros_like(colour), np.zeros_like(alpha)
        yield
        self._trim(outline=True, shadow=True)
        upper_colour, upper_alpha = self._colour, self._alpha
        self._colour, self._alpha = colour, alpha
        self._over(EVERYWHERE, upper_colour, upper_alpha)

    def finish(self, outline: bool, shadow: bool) -> NDArray[np.uint8]:
        """Returns the sprite, uint8 (size, size, 4) RGBA, with an outline and a drop shadow where asked."""
        self._trim(outline, shadow)
        return self._reduce()

    def _trim(self, outline: bool, shadow: bool) -> None:
        """Puts an outline and a shadow beneath everything painted so far."""
        colour, alpha = self._colour, self._alpha
        silhouette = alpha > 0.5
        self._colour, self._alpha = np.zeros_like(colour), np.zeros_like(alpha)
        if shadow:
            body = self.grow(silhouette, self.line) if outline else silhouette
            self.glow(self._shift(body, 1.3, 1.6), SHADOW, 0.9, 0.38)
        if outline:
            self.paint(self.grow(silhouette, self.line), OUTLINE, relief=0.0)
        self._over(EVERYWHERE, colour, alpha)

    def _over(self, where: Window, tone: NDArray[np.float32], alpha: NDArray[np.float32]) -> None:
        """Lays colours, float32 (h, w, 3), with opacities, float32 (h, w), over a part of what is drawn."""
        below = self._alpha[where] * (1.0 - alpha)
        total = alpha + below
        share = np.divide(alpha, total, out=np.zeros_like(total), where=total > 0)[..., None]
        self._colour[where] += (tone - self._colour[where]) * share
        self._alpha[where] = total

    def _reduce(self) -> NDArray[np.uint8]:
        """Averages the fine grid down to the sprite's pixels, weighting colours by their opacity."""
        blocks = (self.size, self._factor, self.size, self._factor, -1)
        opacity = self._alpha[..., None]
        alpha = np.asarray(np.mean(opacity.reshape(blocks), axis=(1, 3)))
        weighted = np.asarray(np.mean((self._colour * opacity).reshape(blocks), axis=(1, 3)))
        colour = np.divide(weighted, alpha, out=np.zeros_like(weighted), where=alpha > 1e-4)
        rgba = np.concatenate([colour, alpha * 255.0], axis=2)
        return np.clip(np.rint(rgba), 0, 255).astype(np.uint8)

    def _around(self, mask: Mask, margin: float) -> Window:
        """Returns the smallest part of the square that holds a shape and `margin` units around it."""
        extra = math.ceil(margin * self._scale)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not len(rows):
            return slice(0, 0), slice(0, 0)
        return (
            slice(max(int(rows[0]) - extra, 0), int(rows[-1]) + 1 + extra),
            slice(max(int(columns[0]) - extra, 0), int(columns[-1]) + 1 + extra),
        )

    def _blur(self, mask: Mask, radius: float) -> NDArray[np.float32]:
        """Returns a mask blurred by `radius` units, float32 in 0..1; what is at its edges goes on beyond them."""
        if not mask.size:
            return mask.astype(np.float32)
        image = Image.fromarray(mask.astype(np.uint8) * 255)
        return np.asarray(image.filter(ImageFilter.GaussianBlur(radius * self._scale)), np.float32) / 255.0

    def _lightness(self, mask: Mask, where: Window, depth: float) -> NDArray[np.float32]:
        """Returns how much more light than flat ground a part of the square gets, -1..1, if the shape bulged."""
        around = self._around(mask, 3 * depth)
        height = self._blur(mask[around], depth)
        if min(height.shape) < 2:
            return np.zeros(mask[where].shape, np.float32)
        down, right = np.gradient(height)
        slope = np.asarray((right * 0.6 + down * 0.8) * (self._scale * depth * 3.0)).clip(-1.0, 1.0)
        top, left = where[0].start - around[0].start, where[1].start - around[1].start
        rows, columns = mask[where].shape
        return slope[top : top + rows, left : left + columns]

    @staticmethod
    def _light(tone: NDArray[np.float32], lightness: NDArray[np.float32]) -> NDArray[np.float32]:
        """Brightens towards warm white where lightness is positive, and darkens towards cool where negative."""
        up = np.maximum(lightness, 0.0)[..., None]
        down = np.maximum(-lightness, 0.0)[..., None]
        warm, cool = np.array([255, 250, 228], np.float32), np.array([0.42, 0.36, 0.56], np.float32)
        return (tone + (warm - tone) * up) * (1.0 - down * (1.0 - cool))

    def _shift(self, mask: Mask, dx: float, dy: float) -> Mask:
        """Returns a mask moved by (dx, dy) units; nothing comes in at the edges."""
        columns, rows = round(dx * self._scale), round(dy * self._scale)
        moved = np.zeros_like(mask)
        size = self._fine
        moved[max(rows, 0) : size + min(rows, 0), max(columns, 0) : size + min(columns, 0)] = mask[
            max(-rows, 0) : size + min(-rows, 0), max(-columns, 0) : size + min(-columns, 0)
        ]
        return moved
