"""What caves and dungeons hold: spikes, diamonds, stairs, potions, treasure, goblins, ogres, and who goes there."""

from __future__ import annotations

from envs.art.characters import player as explorer
from envs.art.pen import OUTLINE, Pen
from envs.art.places import GOLD, IRON, WOOD
from envs.art.registry import drawing

ICE = (104, 214, 240)
STONE = (136, 139, 160)
BLOOD = (222, 64, 82)
GOBLIN = (112, 186, 84)
OGRE = (196, 138, 96)
IVORY = (248, 240, 220)


@drawing("spike")
def spike(pen: Pen) -> None:
    """Three iron points on a bar."""
    for left, tip in ((2.6, 7.0), (11.4, 16.0), (20.2, 25.0)):
        high = 6.0 if tip == 16.0 else 10.0
        point = pen.polygon([(left, 28), (tip, high), (left + 9.2, 28)])
        pen.edge(point, width=0.6)
        pen.paint(point, (206, 214, 226), relief=0.6, depth=1.6)
        tinge = pen.polygon([(tip - 1.5, high + 5), (tip, high), (tip + 1.5, high + 5)])
        pen.paint(tinge & point, BLOOD, relief=0.2, depth=0.6)
    pen.paint(pen.box(1.6, 26, 30.4, 30.4, 1.2), IRON, relief=0.5, depth=1.0)


@drawing("diamond")
def diamond(pen: Pen) -> None:
    """A cut stone, light blue."""
    whole = pen.polygon([(9, 6.5), (23, 6.5), (29.5, 13.5), (16, 28.5), (2.5, 13.5)])
    pen.paint(whole, ICE, relief=0.5, depth=1.2)
    for corners, colour in (
        ([(9, 6.5), (12, 13.5), (2.5, 13.5)], (176, 240, 252)),
        ([(9, 6.5), (23, 6.5), (20, 13.5), (12, 13.5)], (216, 250, 255)),
        ([(23, 6.5), (29.5, 13.5), (20, 13.5)], (120, 212, 240)),
        ([(2.5, 13.5), (12, 13.5), (16, 28.5)], (98, 196, 232)),
        ([(20, 13.5), (29.5, 13.5), (16, 28.5)], (58, 146, 204)),
    ):
        pen.paint(pen.polygon(corners) & whole, colour, relief=0.0)
    if pen.size >= 16:
        pen.paint(pen.polygon([(7, 3), (8, 6), (11, 7), (8, 8), (7, 11), (6, 8), (3, 7), (6, 6)]), (255, 255, 255))


@drawing("stairs", outline=False, shadow=False)
def stairs(pen: Pen) -> None:
    """A stairway down, the way out."""
    pen.paint(pen.box(2, 2, 30, 30, 2), STONE, relief=0.5, depth=1.4)
    pen.paint(pen.box(5, 5, 27, 27, 1), OUTLINE, relief=0.0)
    for step in range(4):
        left, tone = 5.4 + 5.4 * step, 1.0 - 0.22 * step
        light = int(196 * tone), int(186 * tone), int(178 * tone)
        pen.paint(pen.box(left, 6 + 2.6 * step, left + 5.0, 26.6, 0.5), light, relief=0.45, depth=0.9)


@drawing("potion")
def potion(pen: Pen) -> None:
    """A round flask of red potion."""
    glass = pen.ellipse(16, 20, 9.2) | pen.box(12.8, 7, 19.2, 14)
    pen.paint(glass, (214, 234, 244), relief=0.5, depth=1.4)
    liquid = pen.ellipse(16, 20, 7.6) & (pen.y > 17.4)
    pen.paint(liquid, BLOOD, relief=0.4, depth=1.6)
    pen.paint(pen.box(12.0, 3.4, 20.0, 8.2, 1.4), WOOD, relief=0.5, depth=1.0)
    pen.paint(pen.ellipse(12.6, 16.2, 1.6, 2.8, 28), (255, 255, 255), relief=0.0, alpha=0.85)
    if pen.size >= 24:
        for x, y, radius in ((18.4, 21.6, 1.2), (14.4, 23.6, 0.9), (19.6, 18.9, 0.8)):
            pen.paint(pen.ellipse(x, y, radius), (255, 150, 160), relief=0.0)


@drawing("treasure")
def treasure(pen: Pen) -> None:
    """A chest that stands open, full of gold."""
    lid = pen.box(4, 4.6, 28, 14.6, 4)
    pen.paint(lid, (132, 80, 44), relief=0.5, depth=1.4)
    for x, y in ((9, 14.4), (14, 12.6), (19, 12.8), (23.4, 14.4), (16.4, 15)):
        coin = pen.ellipse(x, y, 3.4, 2.8)
        pen.edge(coin, (150, 96, 30), 0.6)
        pen.paint(coin, GOLD, relief=0.5, depth=0.9)
    chest = pen.box(3.4, 15.4, 28.6, 29, 1.6)
    pen.edge(chest, width=0.8)
    pen.paint(chest, WOOD, relief=0.5, depth=1.4)
    for x in (6.4, 23.6):
        pen.paint(pen.box(x, 15.4, x + 2.4, 29), IRON, relief=0.4, depth=0.8)
    lock = pen.box(13.4, 17.4, 18.6, 23.4, 1.2)
    pen.edge(lock, width=0.7)
    pen.paint(lock, GOLD, relief=0.5, depth=0.9)
    pen.paint(pen.ellipse(16, 20, 1.1), OUTLINE, relief=0.0)


def _face(pen: Pen, y: float, spread: float, iris: tuple[int, int, int]) -> None:
    """Two angry eyes under slanting brows."""
    for side in (-1, 1):
        pen.paint(pen.ellipse(16 + side * spread, y, 2.0, 1.9), (255, 246, 200), relief=0.0)
        pen.paint(pen.ellipse(16 + side * (spread - 0.4), y + 0.3, 1.0, 1.2), iris, relief=0.0)
        pen.paint(pen.stroke([(16 + side * 1.2, y - 1.4), (16 + side * (spread + 2.4), y - 3.4)], 1.3), OUTLINE)


@drawing("goblin")
def goblin(pen: Pen) -> None:
    """A small green fellow with long ears and a knife."""
    for side in (-1, 1):
        ear = pen.polygon([(16 + side * 5, 9), (16 + side * 15, 6.4), (16 + side * 6.4, 16)])
        pen.paint(ear, GOBLIN, relief=0.5, depth=1.2)
        pen.paint(pen.box(16 + side * 4 - 2.2, 25, 16 + side * 4 + 2.2, 29.6, 1.6), (74, 58, 44), relief=0.4)
    pen.paint(pen.polygon([(24.6, 24), (29.6, 12.8), (27.6, 24.6)]), (226, 232, 240), relief=0.4, depth=0.7)
    pen.paint(pen.stroke([(22, 21), (25.6, 24.4)], 3.4), GOBLIN, relief=0.4, depth=1.0)
    body = pen.box(9.6, 17.6, 22.4, 27, 3.6)
    pen.paint(body, (138, 92, 56), relief=0.5, depth=1.6)
    head = pen.ellipse(16, 12.6, 8.0, 7.4)
    pen.edge(head, width=0.8)
    pen.paint(head, GOBLIN, relief=0.5, depth=2.0)
    _face(pen, 12.2, 3.4, (160, 30, 40))
    pen.paint(pen.arc(16, 14.4, 4.0, 25, 155, 1.3), OUTLINE, relief=0.0)
    for x in (14.2, 17.8):
        pen.paint(pen.polygon([(x - 0.9, 18.2), (x + 0.9, 18.2), (x, 15.8)]), IVORY, relief=0.0)


@drawing("ogre")
def ogre(pen: Pen) -> None:
    """A broad brute with tusks, one horn and a club."""
    club = pen.stroke([(25, 26), (28.2, 9)], 4.4) | pen.ellipse(28, 8, 3.6, 4.6)
    pen.paint(club, WOOD, relief=0.5, depth=1.2)
    for side in (-1, 1):
        pen.paint(pen.box(16 + side * 5 - 3, 24.6, 16 + side * 5 + 3, 30, 1.8), OGRE, relief=0.4, depth=1.2)
        pen.paint(pen.ellipse(16 + side * 10.4, 19.6, 3.6, 5.6, -side * 14), OGRE, relief=0.5, depth=1.4)
    body = pen.ellipse(16, 20.6, 10.2, 8.2)
    pen.edge(body, width=0.8)
    pen.paint(body, OGRE, relief=0.5, depth=2.2)
    pen.paint(pen.box(6.6, 23.4, 25.4, 27.2, 1) & body, (110, 70, 52), relief=0.3, depth=1.0)
    pen.paint(pen.polygon([(14, 5), (16, 0.8), (18, 5)]), IVORY, relief=0.4, depth=0.8)
    head = pen.ellipse(16, 10.6, 7.8, 6.8)
    pen.edge(head, width=0.8)
    pen.paint(head, (208, 150, 106), relief=0.5, depth=2.0)
    _face(pen, 9.4, 3.2, (70, 40, 20))
    pen.paint(pen.box(11.4, 13.2, 20.6, 14.8, 0.8), OUTLINE, relief=0.0)
    for x in (12.6, 19.4):
        pen.paint(pen.polygon([(x - 1.4, 15), (x + 1.4, 15), (x, 10.8)]), IVORY, relief=0.3, depth=0.6)


@drawing("player-rising")
def player_rising(pen: Pen) -> None:
    """The explorer on her way up, arms raised."""
    for x in (5.6, 26.4):
        arm = pen.stroke([(16 + (x - 16) * 0.6, 18), (x, 8.6)], 3.8)
        pen.paint(arm, (40, 84, 160), relief=0.4, depth=1.0)
        pen.paint(pen.ellipse(x, 7.6, 2.1), (250, 206, 164), relief=0.3, depth=0.8)
    explorer(pen)


@drawing("player-hanging")
def player_hanging(pen: Pen) -> None:
    """The explorer at the height of her jump, arms spread."""
    for x in (3.4, 28.6):
        arm = pen.stroke([(16 + (x - 16) * 0.5, 18.4), (x, 17.4)], 3.8)
        pen.paint(arm, (40, 84, 160), relief=0.4, depth=1.0)
        pen.paint(pen.ellipse(x, 17.2, 2.1), (250, 206, 164), relief=0.3, depth=0.8)
    explorer(pen)


def _with_health(pen: Pen, health: int) -> None:
    """The explorer over a row of five pips, of which as many are lit as she has health."""
    explorer(pen)
    bar = pen.box(0.8, 23.4, 31.2, 31.6, 2.2)
    pen.paint(bar, OUTLINE, relief=0.0)
    for pip in range(5):
        left = 2.5 + 5.5 * pip
        colour = BLOOD if pip < health else (92, 84, 100)
        pen.paint(pen.box(left, 24.8, left + 4.8, 30.4, 1.0), colour, relief=0.4 if pip < health else 0.0, depth=0.8)


@drawing("player-health-1")
def player_health_1(pen: Pen) -> None:
    """The explorer with 1 health of 5."""
    _with_health(pen, 1)


@drawing("player-health-2")
def player_health_2(pen: Pen) -> None:
    """The explorer with 2 health of 5."""
    _with_health(pen, 2)


@drawing("player-health-3")
def player_health_3(pen: Pen) -> None:
    """The explorer with 3 health of 5."""
    _with_health(pen, 3)


@drawing("player-health-4")
def player_health_4(pen: Pen) -> None:
    """The explorer with 4 health of 5."""
    _with_health(pen, 4)


@drawing("player-health-5")
def player_health_5(pen: Pen) -> None:
    """The explorer with all of her health."""
    _with_health(pen, 5)
