"""The mine: bricks, ladders, ropes, gold bars, robots that guard them, and the miner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from envs.art.pen import OUTLINE, Pen
from envs.art.registry import drawing

CAVERN = (34, 33, 52)
MORTAR = (88, 40, 40)
CLAY = ((196, 100, 70), (182, 90, 64), (206, 112, 78))
GRANITE = ((116, 122, 140), (106, 112, 130))
WOOD = (214, 164, 92)
HEMP = (196, 176, 128)
GOLD = (255, 202, 64)
STEEL = (150, 166, 186)
STEEL_DARK = (96, 108, 130)
ALARM = (255, 84, 72)
SUIT = (46, 176, 156)
SUIT_DARK = (28, 124, 116)
SKIN = (250, 206, 164)
HAIR = (112, 66, 44)
BOOTS = (84, 56, 52)


def _dark(pen: Pen) -> None:
    """The cavern's dark, with a hint of the grid."""
    pen.paint(pen.box(-1, -1, 33, 33), CAVERN, relief=0.0)
    if pen.size >= 12:
        pen.paint(pen.box(0.6, 0.6, 31.4, 31.4, 2), (38, 37, 57), relief=0.0)
    for x, y in ((7, 9), (24, 6), (17, 21), (27, 26), (5, 25)):
        pen.paint(pen.ellipse(x, y, 1.7, 1.3), (76, 72, 104), relief=0.0)


@contextmanager
def _in_the_dark(pen: Pen) -> Iterator[None]:
    """Sets what is painted inside off from the cavern behind it; pictures would put sandstone there."""
    _dark(pen)
    with pen.layer():
        yield


@drawing("cavern", outline=False, shadow=False)
def cavern(pen: Pen) -> None:
    """Air underground."""
    _dark(pen)


@drawing("redbrick", outline=False, shadow=False)
def brick(pen: Pen) -> None:
    """Three courses of clay that a spade can open."""
    pen.paint(pen.box(-1, -1, 33, 33), MORTAR, relief=0.0)
    for row, joints in enumerate(((0, 16, 32), (-8, 8, 24, 40), (0, 16, 32))):
        top = row * 32 / 3
        for number, left in enumerate(joints[:-1]):
            block = pen.box(left + 0.8, top + 0.8, joints[number + 1] - 0.8, top + 9.9, 1.2)
            pen.paint(block, CLAY[(row + number) % 3], relief=0.5, depth=1.0)


@drawing("stone", outline=False, shadow=False)
def stone(pen: Pen) -> None:
    """One block of granite with iron corners: no spade opens it."""
    pen.paint(pen.box(-1, -1, 33, 33), (52, 54, 70), relief=0.0)
    pen.paint(pen.box(0.9, 0.9, 31.1, 31.1, 2), GRANITE[0], relief=0.55, depth=1.6)
    pen.paint(pen.box(5.5, 5.5, 26.5, 26.5, 2), GRANITE[1], relief=-0.35, depth=1.2)
    if pen.size >= 16:
        for x in (4, 28):
            for y in (4, 28):
                pen.paint(pen.ellipse(x, y, 1.3), (196, 202, 214), relief=0.4, depth=0.6)


@drawing("hole", outline=False, shadow=False)
def hole(pen: Pen) -> None:
    """A dug brick: rubble at the edges, which will grow together again."""
    _dark(pen)
    for points in (
        [(0, 0), (6, 0), (3, 8), (5, 15), (2, 22), (0, 32)],
        [(32, 0), (26, 0), (29, 9), (27, 17), (30, 24), (32, 32)],
        [(0, 32), (2, 26), (10, 29), (17, 27), (24, 29.5), (32, 26), (32, 32)],
    ):
        pen.paint(pen.polygon(points), CLAY[1], relief=0.45, depth=1.0)


@drawing("ladder", outline=False, shadow=False)
def ladder(pen: Pen) -> None:
    """Two rails and four rungs; the rails meet those of the next ladder."""
    with _in_the_dark(pen):
        for x in (8, 24):
            pen.paint(pen.box(x - 1.9, -2, x + 1.9, 34), WOOD, relief=0.5, depth=1.0)
        for y in (4, 12, 20, 28):
            pen.paint(pen.box(6, y - 1.5, 26, y + 1.5, 1), WOOD, relief=0.5, depth=0.9)


@drawing("rope", outline=False, shadow=False)
def rope(pen: Pen) -> None:
    """A rope to hang from, high in its cell."""
    with _in_the_dark(pen):
        pen.paint(pen.box(-2, 4.4, 34, 7.6), HEMP, relief=0.5, depth=1.0)
        if pen.size >= 16:
            for x in range(0, 36, 4):
                pen.paint(pen.stroke([(x - 1.2, 7.4), (x + 1.2, 4.6)], 0.9), (140, 116, 76), relief=0.0)


@drawing("gold", outline=False, shadow=False)
def gold(pen: Pen) -> None:
    """Three bars in a pile."""
    with _in_the_dark(pen):
        for left, top in ((3.5, 20.5), (16.5, 20.5), (10, 11.5)):
            bar = pen.polygon([(left + 2.4, top), (left + 9.6, top), (left + 12, top + 9), (left, top + 9)])
            pen.edge(bar, width=0.8)
            pen.paint(bar, GOLD, relief=0.65, depth=1.5)
            if pen.size >= 16:
                shine = pen.box(left + 3.6, top + 1.6, left + 8.4, top + 3)
                pen.paint(shine, (255, 244, 190), relief=0.0, alpha=0.8)


def _robot(pen: Pen, arms_up: bool) -> None:
    """A round-headed machine with one red eye and an aerial."""
    for x in (11.5, 20.5):
        pen.paint(pen.box(x - 2.6, 24, x + 2.6, 30, 1.4), STEEL_DARK, relief=0.5, depth=1.0)
    tip = 4.5 if arms_up else 22.5
    for x, out in ((8, 4.6), (24, 27.4)):
        pen.paint(pen.stroke([(x, 17.5), (out, tip)], 3.0), STEEL_DARK, relief=0.4, depth=0.9)
    pen.paint(pen.box(8, 14.5, 24, 26, 3), STEEL, relief=0.55, depth=1.8)
    pen.paint(pen.box(12.5, 18.5, 19.5, 22.5, 1), (64, 74, 94), relief=-0.3, depth=0.7)
    pen.paint(pen.stroke([(16, 5), (16, 2.2)], 1.4), STEEL_DARK, relief=0.3, depth=0.6)
    head = pen.ellipse(16, 10, 7.6, 6.2)
    pen.edge(head, width=0.8)
    pen.paint(head, STEEL, relief=0.6, depth=1.9)
    pen.paint(pen.box(10.4, 8.2, 21.6, 12, 1.8), OUTLINE, relief=0.0)
    pen.paint(pen.ellipse(18, 10.1, 1.9, 1.6), ALARM, relief=0.0)
    pen.paint(pen.ellipse(16, 2, 1.5), ALARM, relief=0.4, depth=0.7)


@drawing("guard", outline=False, shadow=False)
def guard(pen: Pen) -> None:
    """A robot on its feet."""
    with _in_the_dark(pen):
        _robot(pen, arms_up=False)


def _behind(pen: Pen, name: str) -> None:
    """Puts a ladder or a rope behind a figure."""
    if name == "ladder":
        ladder(pen)
    else:
        rope(pen)


@drawing("guard-ladder", outline=False, shadow=False)
def guard_ladder(pen: Pen) -> None:
    """A robot that climbs."""
    _behind(pen, "ladder")
    with pen.layer():
        _robot(pen, arms_up=True)


@drawing("guard-rope", outline=False, shadow=False)
def guard_rope(pen: Pen) -> None:
    """A robot that swings."""
    _behind(pen, "rope")
    with pen.layer():
        _robot(pen, arms_up=True)


@drawing("guard-trapped", outline=False, shadow=False)
def guard_trapped(pen: Pen) -> None:
    """A robot in a hole, with only its upper half to be seen."""
    hole(pen)
    with pen.layer():
        _robot(pen, arms_up=True)
    pen.paint(pen.polygon([(0, 32), (0, 22), (9, 25), (16, 23), (24, 25.5), (32, 22), (32, 32)]), CLAY[1], relief=0.4)


def _miner(pen: Pen, arms: str) -> None:
    """The miner, seen from the front with her arms up, or on the way to the right."""
    feet = ((11.6, 25.2), (20.4, 25.2)) if arms == "up" else ((10.2, 24.2), (21.6, 25.4))
    for x, y in feet:
        pen.paint(pen.box(x - 2.5, y, x + 2.8, y + 5, 1.6), BOOTS, relief=0.5, depth=1.0)
    if arms == "up":
        for x, out in ((9.5, 6), (22.5, 26)):
            pen.paint(pen.stroke([(x, 18), (out, 6.5)], 3.4), SUIT_DARK, relief=0.4, depth=0.9)
            pen.paint(pen.ellipse(out, 5.6, 2.0), SKIN, relief=0.3, depth=0.7)
    pen.paint(pen.box(9.4, 15.4, 22.6, 26.4, 3.2), SUIT, relief=0.5, depth=1.7)
    pen.paint(pen.box(9.4, 22.2, 22.6, 24), BOOTS, relief=0.2, depth=0.7)
    if arms == "side":
        pen.paint(pen.stroke([(15, 18.4), (21, 21.6)], 3.6), SUIT_DARK, relief=0.4, depth=0.9)
        pen.paint(pen.ellipse(22.2, 22.0, 2.0), SKIN, relief=0.3, depth=0.7)
    face = pen.ellipse(16.4, 10.2, 6.8, 6.4)
    pen.edge(face, width=0.7)
    pen.paint(face, SKIN, relief=0.4, depth=1.6)
    pen.paint(face & (pen.y < 8.2), HAIR, relief=0.4, depth=1.2)
    pen.paint(pen.ellipse(8.6, 10.6, 2.6, 3.8, 24), HAIR, relief=0.4, depth=1.0)
    for x in (13.8, 19.2) if arms == "up" else (17.4, 21.2):
        pen.paint(pen.ellipse(x, 11.2, 1.0, 1.5), OUTLINE, relief=0.0)


@drawing("miner", outline=False, shadow=False)
def miner(pen: Pen) -> None:
    """The miner as levels show her, and on her way to the right."""
    with _in_the_dark(pen):
        _miner(pen, "side")


@drawing("miner-left", outline=False, shadow=False)
def miner_left(pen: Pen) -> None:
    """The miner on her way to the left."""
    with _in_the_dark(pen), pen.mirrored():
        _miner(pen, "side")


@drawing("miner-ladder", outline=False, shadow=False)
def miner_ladder(pen: Pen) -> None:
    """The miner on a ladder."""
    _behind(pen, "ladder")
    with pen.layer():
        _miner(pen, "up")


@drawing("miner-rope", outline=False, shadow=False)
def miner_rope(pen: Pen) -> None:
    """The miner on a rope."""
    _behind(pen, "rope")
    with pen.layer():
        _miner(pen, "up")
