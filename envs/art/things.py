"""What lies about in a level: keys, crates, targets, flags and a swung sword."""

from __future__ import annotations

import numpy as np

from envs.art.pen import OUTLINE, Mask, Pen, Point
from envs.art.places import GOLD
from envs.art.registry import drawing

CRATE = (196, 134, 70)
CRATE_DARK = (138, 86, 44)
RUBY = (226, 62, 74)
LEAF = (88, 178, 82)
STEEL = (218, 226, 236)


@drawing("key")
def key(pen: Pen) -> None:
    """A golden key, bow up and bit down to the right."""
    bow = pen.ellipse(10, 10, 7.0) & ~pen.ellipse(10, 10, 2.9)
    shaft = pen.stroke([(14.2, 14.2), (25.4, 25.4)], 4.2)
    teeth = pen.stroke([(24.6, 24.6), (27.8, 21.4)], 3.6) | pen.stroke([(19.6, 19.6), (22.8, 16.4)], 3.6)
    pen.paint(teeth | shaft, GOLD, relief=0.55, depth=1.2)
    pen.paint(bow, GOLD, relief=0.6, depth=1.3)


def _crate(pen: Pen, light: tuple[int, int, int], dark: tuple[int, int, int]) -> None:
    """A wooden box with a frame and a brace."""
    pen.paint(pen.box(3.2, 3.2, 28.8, 28.8, 1.8), light, relief=0.5, depth=1.2)
    inner = pen.box(7.6, 7.6, 24.4, 24.4)
    pen.paint(pen.grow(inner, 0.7), OUTLINE, relief=0.0, alpha=0.8)
    pen.paint(inner, dark, relief=-0.25, depth=1.6)
    if pen.size >= 24:
        for y in (13.2, 18.8):
            pen.paint(pen.box(7.6, y - 0.4, 24.4, y + 0.4), OUTLINE, relief=0.0, alpha=0.4)
    brace = pen.stroke([(6, 26), (26, 6)], 4.6) & pen.box(7.0, 7.0, 25.0, 25.0)
    pen.paint(pen.grow(brace, 0.6) & inner, OUTLINE, relief=0.0, alpha=0.6)
    pen.paint(brace, light, relief=0.45, depth=1.0)
    if pen.size >= 24:
        for x, y in ((5.4, 5.4), (26.6, 5.4), (5.4, 26.6), (26.6, 26.6)):
            pen.paint(pen.ellipse(x, y, 0.9), (92, 66, 50), relief=0.0)


@drawing("crate")
def crate(pen: Pen) -> None:
    """A crate to push."""
    _crate(pen, CRATE, CRATE_DARK)


@drawing("crate-on-target")
def crate_on_target(pen: Pen) -> None:
    """A crate at home: green wood and a golden badge."""
    _crate(pen, (124, 186, 96), (70, 128, 70))
    badge = pen.polygon(_star(16, 16.4, 7.4, 3.4))
    pen.edge(badge, width=1.1)
    pen.paint(badge, GOLD, relief=0.5, depth=1.0)


def _star(x: float, y: float, outer: float, inner: float) -> list[Point]:
    """Returns the corners of a five-pointed star around (x, y)."""
    angles = np.radians(np.arange(10) * 36 - 90)
    return [
        (float(x + radius * np.cos(angle)), float(y + radius * np.sin(angle)))
        for angle, radius in zip(angles, [outer, inner] * 5, strict=True)
    ]


def draw_target(pen: Pen, radius: float = 12.4) -> None:
    """Paints the target, which is also the ground under a player who stands on one, so many units wide."""
    share = radius / 12.4
    pen.glow(pen.ellipse(16, 16.4, radius + 0.6), (60, 30, 40), 0.7, 0.5)
    pen.paint(pen.ellipse(16, 16, radius), (150, 36, 52), relief=0.35, depth=1.0)
    pen.paint(pen.ellipse(16, 16, 10.6 * share), RUBY, relief=-0.3, depth=1.2)
    pen.paint(pen.ellipse(16, 16, 7.4 * share), (255, 240, 220), relief=-0.2, depth=0.8)
    pen.paint(pen.ellipse(16, 16, 4.2 * share), RUBY, relief=0.45, depth=1.4)


@drawing("target", outline=False, shadow=False)
def target(pen: Pen) -> None:
    """A ring inlaid in the floor, where a crate shall stand."""
    draw_target(pen)


@drawing("flag")
def flag(pen: Pen) -> None:
    """A pennant on a pole: the goal."""
    pen.paint(pen.ellipse(10, 28, 5.4, 2.2), (120, 108, 100), relief=0.4, depth=1.0)
    pen.paint(pen.stroke([(10, 4.4), (10, 27.6)], 2.6), (236, 222, 196), relief=0.5, depth=0.8)
    cloth = pen.polygon([(11.4, 5), (19, 6.2), (28.5, 4.6), (24.8, 10.6), (28.5, 16.8), (19, 17.6), (11.4, 16.6)])
    pen.edge(cloth, width=0.8)
    pen.paint(cloth, LEAF, relief=0.55, depth=1.8)
    pen.paint(pen.ellipse(10, 4, 2.0), GOLD, relief=0.5, depth=0.8)


def _sword(pen: Pen, quarter_turns: int) -> None:
    """Paints a sword that thrusts to the right, turned clockwise by quarters, its hilt at the edge of the tile."""

    def turned(points: list[Point]) -> list[Point]:
        for _ in range(quarter_turns):
            points = [(32 - y, x) for x, y in points]
        return points

    def line(start: Point, end: Point, width: float) -> Mask:
        return pen.stroke(turned([start, end]), width)

    trail = pen.polygon(turned([(4, 3.5), (13, 5), (22, 9), (28, 14.5), (17, 13), (8, 12.6)]))
    pen.glow(trail, (255, 255, 255), 0.8, 0.62)
    blade = pen.polygon(turned([(8, 13.4), (23.5, 13.4), (29.4, 16), (23.5, 18.6), (8, 18.6)]))
    guard = line((7.6, 10.6), (7.6, 21.4), 3.4)
    grip = line((1.6, 16), (6, 16), 3.2)
    with pen.layer():
        pen.paint(blade, STEEL, relief=0.5, depth=1.0)
        pen.paint(line((9, 16), (24.5, 16), 1.0), (150, 164, 188), relief=0.0)
        pen.paint(grip, (122, 66, 44), relief=0.4, depth=0.8)
        pen.paint(guard, GOLD, relief=0.5, depth=0.9)


@drawing("sword-right", outline=False, shadow=False)
def sword_right(pen: Pen) -> None:
    """A thrust to the right, to be laid over the tile that it reaches."""
    _sword(pen, 0)


@drawing("sword-down", outline=False, shadow=False)
def sword_down(pen: Pen) -> None:
    """A thrust downwards."""
    _sword(pen, 1)


@drawing("sword-left", outline=False, shadow=False)
def sword_left(pen: Pen) -> None:
    """A thrust to the left."""
    _sword(pen, 2)


@drawing("sword-up", outline=False, shadow=False)
def sword_up(pen: Pen) -> None:
    """A thrust upwards."""
    _sword(pen, 3)
