"""A platformer's world: sky, grass, bricks, tubes, coins, a beetle that walks and the runner who jumps on it."""

from __future__ import annotations

from envs.art.pen import OUTLINE, Colour, Pen
from envs.art.places import GOLD
from envs.art.registry import drawing

SKY = (158, 212, 240)
EARTH, EARTH_DARK = (156, 108, 66), (120, 80, 50)
GRASS = (104, 184, 78)
CLAY, CLAY_DARK = (206, 112, 76), (150, 74, 54)
PIPE, PIPE_LIGHT = (72, 164, 108), (140, 214, 150)
SHELL = (146, 78, 150)
SKIN, SHIRT, TROUSERS = (244, 204, 164), (60, 140, 196), (70, 66, 110)


@drawing("sky", outline=False, shadow=False)
def sky(pen: Pen) -> None:
    """Open air."""
    pen.paint(pen.box(-1, -1, 33, 33), SKY, relief=0.0)


def _earth(pen: Pen) -> None:
    """Packed earth with a few stones."""
    pen.paint(pen.box(-1, -1, 33, 33), EARTH, relief=0.0)
    for x, y, width, height in ((8, 17, 4.2, 2.6), (23, 14, 3.4, 2.2), (17, 26, 4.6, 2.6), (29, 25, 2.4, 1.8)):
        pen.paint(pen.ellipse(x, y, width, height), EARTH_DARK, relief=-0.3, depth=1.0)
    pen.paint(pen.box(-1, 31, 33, 33), EARTH_DARK, relief=0.0, alpha=0.4)


@drawing("earth", outline=False, shadow=False)
def earth(pen: Pen) -> None:
    """Ground below other ground."""
    _earth(pen)
    pen.paint(pen.ellipse(7, 5, 3.4, 2.2), EARTH_DARK, relief=-0.3, depth=1.0)


@drawing("ground", outline=False, shadow=False)
def ground(pen: Pen) -> None:
    """Ground with grass on top."""
    _earth(pen)
    blades = pen.box(-1, -1, 33, 7)
    for x in range(1, 34, 6):
        blades |= pen.ellipse(x, 7, 3.6, 3.4)
    pen.paint(blades, (74, 142, 62), relief=0.0)
    pen.paint(pen.box(-1, -1, 33, 5.4), GRASS, relief=0.3, depth=1.6)


@drawing("brick", outline=False, shadow=False)
def brick(pen: Pen) -> None:
    """Three courses of bricks."""
    pen.paint(pen.box(-1, -1, 33, 33), CLAY_DARK, relief=0.0)
    for course, start in enumerate((-8, -16, -8)):
        top = 1 + course * 10.4
        for left in range(start, 33, 16):
            pen.paint(pen.box(left + 1, top, left + 15, top + 9, 1.2), CLAY, relief=0.5, depth=0.9)


def _block(pen: Pen, colour: Colour) -> None:
    pen.paint(pen.box(-1, -1, 33, 33), SKY, relief=0.0)
    pen.paint(pen.box(0.6, 0.6, 31.4, 31.4, 3), OUTLINE, relief=0.0)
    pen.paint(pen.box(1.8, 1.8, 30.2, 30.2, 2.4), colour, relief=0.5, depth=1.4)
    for x, y in ((5.4, 5.4), (26.6, 5.4), (5.4, 26.6), (26.6, 26.6)):
        pen.paint(pen.ellipse(x, y, 1.3), (120, 82, 44), relief=0.0)


@drawing("question", outline=False, shadow=False)
def question(pen: Pen) -> None:
    """A block with a question on it, and a coin in it."""
    _block(pen, (246, 190, 70))
    mark = pen.arc(16, 12.4, 4.8, -170, 80, 3.6) | pen.stroke([(16.6, 17), (16, 20)], 3.4) | pen.ellipse(16, 25, 2.1)
    pen.paint(pen.grow(mark, 0.9), (134, 84, 36), relief=0.0)
    pen.paint(mark, (255, 246, 220), relief=0.2)


@drawing("used-block", outline=False, shadow=False)
def used_block(pen: Pen) -> None:
    """The block once its coin is gone."""
    _block(pen, (158, 126, 96))


@drawing("coin", outline=False, shadow=False)
def coin(pen: Pen) -> None:
    """A coin in the air."""
    pen.paint(pen.box(-1, -1, 33, 33), SKY, relief=0.0)
    pen.paint(pen.ellipse(16, 16, 8.4, 11.4), OUTLINE, relief=0.0)
    pen.paint(pen.ellipse(16, 16, 7.4, 10.4), GOLD, relief=0.6, depth=1.6)
    pen.paint(pen.ellipse(16, 16, 4.4, 7.2), (255, 236, 140), relief=-0.3, depth=0.9)
    pen.paint(pen.box(14.8, 11.4, 17.2, 20.6, 1.0), (214, 152, 50), relief=0.0)


def _pipe(pen: Pen, left: float, right: float, top: float, bottom: float) -> None:
    pen.paint(pen.box(left, top, right, bottom), OUTLINE, relief=0.0)
    pen.paint(pen.box(left + 1.2, top, right - 1.2, bottom), PIPE, relief=0.0)
    pen.paint(pen.box(left + 4, top, left + 8.4, bottom), PIPE_LIGHT, relief=0.0, alpha=0.9)
    pen.paint(pen.box(right - 7, top, right - 1.2, bottom), (44, 116, 84), relief=0.0, alpha=0.8)


@drawing("tube", outline=False, shadow=False)
def tube(pen: Pen) -> None:
    """A piece of a tube."""
    pen.paint(pen.box(-1, -1, 33, 33), SKY, relief=0.0)
    _pipe(pen, 3, 29, -1, 33)


@drawing("tube-top", outline=False, shadow=False)
def tube_top(pen: Pen) -> None:
    """The upper end of a tube, with its rim."""
    pen.paint(pen.box(-1, -1, 33, 33), SKY, relief=0.0)
    _pipe(pen, 3, 29, 11, 33)
    pen.paint(pen.box(0.4, 0.6, 31.6, 12.8, 1.6), OUTLINE, relief=0.0)
    with pen.layer():
        _pipe(pen, 0.8, 31.2, 1.8, 11.6)


@drawing("beetle-waiting", outline=False, shadow=False)
def beetle_waiting(pen: Pen) -> None:
    """A beetle where a level places it, with the sky behind."""
    pen.paint(pen.box(-1, -1, 33, 33), SKY, relief=0.0)
    beetle(pen)


@drawing("beetle")
def beetle(pen: Pen) -> None:
    """A stout beetle that walks to the left."""
    for x in (9.0, 16.0, 23.0):
        pen.paint(pen.stroke([(x, 25), (x - 2, 30)], 2.6), (66, 44, 74), relief=0.3)
    pen.paint(pen.ellipse(17.6, 19.4, 12, 9.6) & pen.box(0, 0, 32, 27), SHELL, relief=0.6, depth=2.6)
    pen.paint(pen.stroke([(19, 10.4), (20.4, 26.4)], 1.2), (96, 46, 104), relief=0.0)
    for x, y in ((14.2, 15), (25.4, 17.4), (15.6, 22.4)):
        pen.paint(pen.ellipse(x, y, 1.9), (228, 176, 96), relief=0.3)
    pen.paint(pen.ellipse(7.4, 20.6, 5.4, 5.8), (84, 56, 94), relief=0.5)
    pen.paint(pen.ellipse(5.6, 19.2, 2.2), (255, 255, 255), relief=0.0)
    pen.paint(pen.ellipse(5.0, 19.4, 1.1), (30, 24, 40), relief=0.0)
    for dx in (-2.4, 1.6):
        pen.paint(pen.stroke([(7, 15.6), (7 + dx, 10.8)], 1.3), (66, 44, 74), relief=0.0)


def _runner(pen: Pen, feet: tuple[tuple[float, float], tuple[float, float]], hands: tuple[float, float]) -> None:
    """A small runner with a scarf, looking to the right; the feet's ends and how high each hand is."""
    for foot, x in zip(feet, (13.6, 18.4), strict=True):
        pen.paint(pen.stroke([(x, 22), foot], 4.4), TROUSERS, relief=0.4)
        pen.paint(pen.ellipse(foot[0] + 1.2, foot[1] + 0.6, 3.2, 2.0), (120, 64, 46), relief=0.4)
    pen.paint(pen.stroke([(20, 17.4), (25.4, hands[1])], 3.2), SHIRT, relief=0.4)
    pen.paint(pen.ellipse(16, 18.8, 5.8, 6.0), SHIRT, relief=0.5)
    pen.paint(pen.stroke([(12.4, 17.4), (7.2, hands[0])], 3.2), SHIRT, relief=0.4)
    pen.paint(pen.ellipse(16.6, 8.6, 6.8, 6.6), SKIN, relief=0.5)
    pen.paint(pen.ellipse(15.4, 5.8, 7.0, 4.4) & pen.box(0, 0, 32, 7.6), (92, 62, 44), relief=0.4)
    pen.paint(pen.stroke([(20.6, 14.6), (12, 14.8), (5, 12.8)], 2.8), (240, 120, 66), relief=0.4)
    pen.paint(pen.ellipse(19.6, 9.2, 1.2, 1.7), (36, 28, 40), relief=0.0)


@drawing("runner")
def runner(pen: Pen) -> None:
    """The runner stands."""
    _runner(pen, ((13, 28.6), (18.6, 28.6)), (22, 22))


@drawing("runner-stride")
def runner_stride(pen: Pen) -> None:
    """The runner runs."""
    _runner(pen, ((8.4, 27.4), (22.8, 28.2)), (20, 16))


@drawing("runner-jump")
def runner_jump(pen: Pen) -> None:
    """The runner is in the air."""
    _runner(pen, ((9.4, 26), (21.4, 25.4)), (12.6, 11.6))
