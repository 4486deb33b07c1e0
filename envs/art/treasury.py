"""What dungeons keep for those who dare."""

from __future__ import annotations

from envs.art.pen import Pen
from envs.art.places import GOLD, IRON
from envs.art.registry import drawing

OAK = (146, 84, 44)


@drawing("treasure-chest")
def treasure_chest(pen: Pen) -> None:
    """An iron-bound chest, its lid ajar over gold."""
    lid = (pen.box(4.6, 5.2, 27.4, 13.2, 1.2) | pen.ellipse(16, 9.6, 11.4, 6.0)) & (pen.y < 13.2)
    pen.paint(lid, OAK, relief=0.5, depth=1.4)
    coins = pen.ellipse(10.6, 15.4, 3.6, 3.0) | pen.ellipse(16, 14.4, 4.0, 3.4) | pen.ellipse(21.4, 15.4, 3.6, 3.0)
    pen.edge(coins, width=0.8)
    pen.paint(coins, GOLD, relief=0.6, depth=1.2)
    chest = pen.box(4.6, 16.4, 27.4, 28.2, 1.4)
    pen.edge(chest, width=0.8)
    pen.paint(chest, OAK, relief=0.5, depth=1.4)
    for x in (6.6, 22.6):
        band = pen.box(x, 16.4, x + 2.8, 28.2) | (pen.box(x, 4, x + 2.8, 13.2) & lid)
        pen.paint(band, IRON, relief=0.5, depth=0.8)
    plate = pen.ellipse(16, 20.6, 3.4)
    pen.edge(plate, width=0.9)
    pen.paint(plate, GOLD, relief=0.5, depth=1.0)
    pen.paint(pen.box(15.2, 19.6, 16.8, 22.4), (58, 36, 30), relief=0.0)
