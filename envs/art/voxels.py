"""What a level of blocks is built of, seen from above."""

from __future__ import annotations

from envs.art.pen import Pen
from envs.art.registry import drawing

MOSS = (126, 142, 96)


@drawing("air", outline=False, shadow=False)
def air(pen: Pen) -> None:
    """Open air above pale ground."""
    pen.paint(pen.box(-1, -1, 33, 33), (150, 178, 198), relief=0.0)
    pen.paint(pen.box(0.7, 0.7, 31.3, 31.3, 1.6), (176, 205, 222), relief=0.1, depth=0.8)
    if pen.size >= 12:
        for x, y, width in ((10, 11, 5), (22, 22, 4)):
            pen.paint(pen.ellipse(x, y, width, 1.3), (196, 220, 233), relief=0.0, alpha=0.8)


@drawing("block", outline=False, shadow=False, tall=True)
def block(pen: Pen) -> None:
    """A cube of mossy stone, seen from above."""
    pen.paint(pen.box(-1, -1, 33, 33), (70, 82, 60), relief=0.0)
    pen.paint(pen.box(0.8, 0.8, 31.2, 31.2, 2), MOSS, relief=0.5, depth=1.4)
    if pen.size >= 12:
        for x, y, width, height in ((9, 10, 4, 2), (22, 13, 3, 1.6), (14, 23, 5, 2), (25, 25, 2.4, 1.4)):
            pen.paint(pen.ellipse(x, y, width, height, -12), (112, 130, 82), relief=0.0, alpha=0.8)
