"""What a level is built of: floor, walls, doors and the dark outside."""

from __future__ import annotations

from envs.art.pen import Pen
from envs.art.registry import drawing

FLOOR = (214, 202, 176)
MORTAR = (46, 48, 68)
BRICKS = ((104, 112, 143), (93, 101, 133), (112, 119, 148))
WOOD = (158, 98, 52)
IRON = (92, 98, 116)
GOLD = (255, 200, 62)


@drawing("floor", outline=False, shadow=False)
def floor(pen: Pen) -> None:
    """A sandstone slab with a worn surface; its seams show the grid without shouting."""
    pen.paint(pen.box(-1, -1, 33, 33), (191, 178, 153), relief=0.0)
    pen.paint(pen.box(0.7, 0.7, 31.3, 31.3, 1.6), FLOOR, relief=0.22, depth=0.8)
    if pen.size >= 12:
        for x, y, width, height in ((8, 23, 4.5, 1.6), (22, 9, 5.5, 1.8), (25, 25, 2.4, 1.2), (7, 8, 2.6, 1.2)):
            pen.paint(pen.ellipse(x, y, width, height, -18), (203, 190, 164), relief=0.0, alpha=0.7)
    if pen.size >= 24:
        pen.paint(pen.stroke([(19, 31), (20.5, 27.5), (19.6, 25), (21, 22.6)], 0.55), (178, 163, 138), relief=0.0)
        for x, y in ((12, 14), (26, 17), (5, 17), (16, 4), (12, 28)):
            pen.paint(pen.ellipse(x, y, 0.6), (184, 169, 143), relief=0.0)


@drawing("wall", outline=False, shadow=False, tall=True)
def wall(pen: Pen) -> None:
    """Two courses of bevelled stone; the joints meet those of the next wall."""
    pen.paint(pen.box(-1, -1, 33, 33), MORTAR, relief=0.0)
    stones = ((0, 0, 20, 0), (20, 0, 32, 1), (0, 16, 12, 2), (12, 16, 32, 0))
    for left, top, right, tone in stones:
        block = pen.box(left + 1, top + 1, right - 1, top + 15, 1.5)
        pen.paint(block, BRICKS[tone], relief=0.5, depth=1.1)
    if pen.size >= 24:
        for x, y in ((6, 5), (14, 10), (26, 6), (5, 25), (18, 21), (26, 26), (22, 23)):
            pen.paint(pen.ellipse(x, y, 1.1, 0.7), (82, 88, 118), relief=0.0, alpha=0.7)


@drawing("outside", outline=False, shadow=False)
def outside(pen: Pen) -> None:
    """The quiet dark beyond a level."""
    pen.paint(pen.box(-1, -1, 33, 33), (24, 23, 34), relief=0.0)
    pen.paint(pen.box(1, 1, 31, 31, 2), (30, 29, 42), relief=0.0)
    pen.paint(pen.ellipse(16, 16, 1.2), (38, 37, 52), relief=0.0)


def _archway(pen: Pen) -> None:
    """The stone frame that both doors stand in."""
    arch = pen.box(3, 12, 29, 30) | pen.ellipse(16, 14, 13, 12)
    pen.paint(arch, (136, 139, 160), relief=0.5, depth=1.4)


@drawing("door")
def door(pen: Pen) -> None:
    """A shut oak door with iron bands and a golden lock."""
    _archway(pen)
    leaf = (pen.box(6.5, 13, 25.5, 29.5) | pen.ellipse(16, 14.5, 9.5, 9)) & (pen.y < 29.6)
    pen.edge(leaf, width=0.8)
    pen.paint(leaf, WOOD, relief=0.45, depth=1.4)
    if pen.size >= 12:
        for x in (11.2, 20.8):
            pen.paint(pen.box(x - 0.45, 4, x + 0.45, 30) & leaf, (112, 64, 34), relief=0.0)
    for y in (12.0, 24.5):
        pen.paint(pen.box(6.5, y, 25.5, y + 2.6) & leaf, IRON, relief=0.5, depth=0.8)
    plate = pen.ellipse(16, 18.4, 4.1)
    pen.edge(plate, width=0.9)
    pen.paint(plate, GOLD, relief=0.5, depth=1.2)
    pen.paint(pen.ellipse(16, 17.6, 1.5) | pen.box(15.2, 17.6, 16.8, 20.8), (58, 36, 30), relief=0.0)


@drawing("door-open")
def door_open(pen: Pen) -> None:
    """The same archway with the leaf swung aside and a way through to the light."""
    _archway(pen)
    hole = (pen.box(6.5, 13, 25.5, 30) | pen.ellipse(16, 14.5, 9.5, 9)) & (pen.y < 29.6)
    pen.paint(hole, (36, 28, 48), relief=0.0)
    for step, tone in ((27.0, (150, 128, 98)), (23.4, (112, 94, 80)), (19.8, (78, 66, 66))):
        pen.paint(pen.box(9, step, 25.5, step + 2.7) & hole, tone, relief=0.3, depth=0.7)
    leaf = pen.polygon([(6.5, 9), (11, 12), (11, 32), (6.5, 29.6)]) & hole
    pen.paint(leaf, WOOD, relief=0.4, depth=1.0)
