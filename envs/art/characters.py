"""Who lives in a level: the explorer and the three monsters."""

from __future__ import annotations

from envs.art.pen import OUTLINE, Pen
from envs.art.registry import drawing
from envs.art.things import draw_target

SKIN = (250, 206, 164)
HAT = (178, 112, 50)
BAND = (222, 64, 62)
COAT = (58, 122, 214)
COAT_DARK = (40, 84, 160)
BOOTS = (92, 58, 44)
PACK = (206, 152, 78)
BAT = (142, 84, 208)
SCORPION = (238, 118, 40)
SPIDER = (52, 70, 72)


def _eye(pen: Pen, x: float, y: float) -> None:
    """An explorer's eye: dark, with a glint where there are pixels for one."""
    pen.paint(pen.ellipse(x, y, 1.25, 1.8), OUTLINE, relief=0.0)
    if pen.size >= 32:
        pen.paint(pen.ellipse(x - 0.35, y - 0.7, 0.5), (255, 255, 255), relief=0.0)


def _legs(pen: Pen, left: float, right: float) -> None:
    """Two boots."""
    for x in (left, right):
        pen.paint(pen.box(x - 2.5, 24, x + 2.5, 29.4, 1.8), BOOTS, relief=0.5, depth=1.0)


def _hat(pen: Pen, x: float, brim: float) -> None:
    """The wide-brimmed hat with its red band, around x."""
    crown = (pen.ellipse(x, 7.6, 7.0, 5.4) | pen.box(x - 7, 7.4, x + 7, 10.4)) & (pen.y < 10.4)
    edge = pen.ellipse(x, 10.6, brim, 2.5)
    pen.edge(edge, width=0.7)
    pen.paint(crown, HAT, relief=0.55, depth=1.8)
    pen.paint(pen.box(x - 7, 7.6, x + 7, 9.8) & crown, BAND, relief=0.3, depth=0.8)
    pen.paint(edge & ~(crown & (pen.y < 9.6)), HAT, relief=0.5, depth=1.0)


def _explorer_front(pen: Pen) -> None:
    """The explorer walking towards us."""
    _legs(pen, 12.4, 19.6)
    pen.paint(pen.ellipse(8.0, 21.4, 2.6, 3.8, 18), COAT_DARK, relief=0.4, depth=1.0)
    pen.paint(pen.ellipse(24.0, 21.4, 2.6, 3.8, -18), COAT_DARK, relief=0.4, depth=1.0)
    pen.paint(pen.box(8.8, 16, 23.2, 26.6, 3.4), COAT, relief=0.5, depth=1.8)
    pen.paint(pen.box(8.8, 22.8, 23.2, 24.8), BOOTS, relief=0.2, depth=0.8)
    pen.paint(pen.box(14.4, 22.3, 17.6, 25.3, 0.5), (255, 206, 80), relief=0.3, depth=0.8)
    face = pen.ellipse(16, 14.0, 7.4, 5.8)
    pen.edge(face, width=0.7)
    pen.paint(face, SKIN, relief=0.4, depth=1.8)
    pen.paint(pen.ellipse(11.4, 16.6, 1.4, 0.9) | pen.ellipse(20.6, 16.6, 1.4, 0.9), (244, 160, 130), relief=0.0)
    _eye(pen, 13.2, 14.8)
    _eye(pen, 18.8, 14.8)
    _hat(pen, 16, 11.4)
    pen.paint(pen.polygon([(11.6, 18.4), (20.4, 18.4), (17.6, 21.8), (14.4, 21.8)]), BAND, relief=0.3, depth=0.9)


def _explorer_side(pen: Pen) -> None:
    """The explorer walking to the right."""
    _legs(pen, 12.6, 19.0)
    pack = pen.box(5.2, 15.8, 11.4, 25.2, 2.2)
    pen.paint(pack, PACK, relief=0.5, depth=1.4)
    body = pen.box(9.8, 16, 21.6, 26.6, 3.4)
    pen.edge(body, width=0.7)
    pen.paint(body, COAT, relief=0.5, depth=1.8)
    pen.paint(pen.box(9.8, 22.8, 21.6, 24.8), BOOTS, relief=0.2, depth=0.8)
    arm = pen.stroke([(15, 18.6), (17.4, 22.4)], 3.8)
    pen.paint(arm, COAT_DARK, relief=0.4, depth=1.0)
    pen.paint(pen.ellipse(18.2, 23.4, 1.9), SKIN, relief=0.3, depth=0.8)
    face = pen.ellipse(17, 14.0, 6.8, 5.8) | pen.ellipse(23.8, 15.2, 1.5, 1.3)
    pen.edge(face, width=0.7)
    pen.paint(face, SKIN, relief=0.4, depth=1.8)
    _eye(pen, 20.6, 14.6)
    _hat(pen, 16.6, 11.4)
    pen.paint(pen.polygon([(9.6, 18.0), (20.8, 18.6), (19.8, 21.0), (11, 20.6)]), BAND, relief=0.3, depth=0.9)


@drawing("player")
def player(pen: Pen) -> None:
    """The explorer as levels show her."""
    _explorer_front(pen)


@drawing("player-down")
def player_down(pen: Pen) -> None:
    """The explorer walking towards us, one foot ahead."""
    _explorer_front(pen)
    boot, hand = pen.box(9.7, 24.8, 15.1, 30.4, 1.8), pen.ellipse(24.6, 24.8, 1.8)
    pen.edge(boot | hand, width=0.7)
    pen.paint(boot, BOOTS, relief=0.6, depth=1.0)
    pen.paint(hand, SKIN, relief=0.3, depth=0.8)


@drawing("player-up")
def player_up(pen: Pen) -> None:
    """The explorer walking away, with her backpack."""
    _legs(pen, 12.4, 19.6)
    pen.paint(pen.ellipse(8.0, 21.4, 2.6, 3.8, 18), COAT_DARK, relief=0.4, depth=1.0)
    pen.paint(pen.ellipse(24.0, 21.4, 2.6, 3.8, -18), COAT_DARK, relief=0.4, depth=1.0)
    pen.paint(pen.box(8.8, 15, 23.2, 26.6, 3.4), COAT, relief=0.5, depth=1.8)
    hair = pen.ellipse(16, 13.2, 7.4, 5.6)
    pen.edge(hair, width=0.7)
    pen.paint(hair, (104, 64, 44), relief=0.4, depth=1.8)
    _hat(pen, 16, 11.4)
    pack = pen.box(10.2, 16.6, 21.8, 26.0, 2.6)
    pen.edge(pack, width=0.9)
    pen.paint(pack, PACK, relief=0.5, depth=1.6)
    pen.paint(pen.box(10.2, 19.6, 21.8, 20.8) & pack, (130, 84, 44), relief=0.0)
    pen.paint(pen.box(14.6, 19.2, 17.4, 22.6, 0.6), BOOTS, relief=0.3, depth=0.6)


@drawing("player-right")
def player_right(pen: Pen) -> None:
    """The explorer walking to the right."""
    _explorer_side(pen)


@drawing("player-left")
def player_left(pen: Pen) -> None:
    """The explorer walking to the left."""
    with pen.mirrored():
        _explorer_side(pen)


@drawing("player-on-target", outline=False, shadow=False)
def player_on_target(pen: Pen) -> None:
    """The explorer standing on a target."""
    draw_target(pen, 15.2)
    with pen.layer():
        _explorer_front(pen)


@drawing("bat")
def bat(pen: Pen) -> None:
    """A purple bat with its wings spread."""
    for side in (-1, 1):
        wing = pen.polygon(
            [(16 + side * x, y) for x, y in ((3, 12), (7.4, 9.4), (11.6, 3.4), (14.4, 8.6), (14.2, 18.6))]
            + [(16 + side * x, y) for x, y in ((10.6, 14.8), (7.4, 22.6), (4.4, 18.4), (2, 20))]
        )
        pen.paint(wing, BAT, relief=0.5, depth=1.6)
        if pen.size >= 24:
            for tip in ((13.4, 16.4), (7.6, 21)):
                rib = pen.stroke([(16 + side * 11, 5.6), (16 + side * tip[0], tip[1])], 0.7)
                pen.paint(rib & wing, (92, 46, 150), relief=0.0)
    ears = pen.polygon([(11.2, 13), (11.4, 6.2), (15.2, 10)]) | pen.polygon([(20.8, 13), (20.6, 6.2), (16.8, 10)])
    body = pen.ellipse(16, 16, 5.6, 7.0) | ears
    pen.edge(body, width=0.9)
    pen.paint(body, (108, 58, 172), relief=0.5, depth=1.8)
    for x in (13.6, 18.4):
        pen.paint(pen.ellipse(x, 14.2, 1.8, 2.0), (255, 226, 92), relief=0.0)
        pen.paint(pen.ellipse(x, 14.6, 0.8, 1.1), OUTLINE, relief=0.0)
    for x in (14.4, 17.6):
        pen.paint(pen.polygon([(x - 1.1, 18.4), (x + 1.1, 18.4), (x, 21)]), (255, 255, 255), relief=0.0)


@drawing("scorpion")
def scorpion(pen: Pen) -> None:
    """An orange scorpion seen from above: pincers ahead, the tail curled over with its sting."""
    for side in (-1, 1):
        for y, reach, drop in ((15.4, 9.4, -1.4), (18.4, 10, 1.4), (21.2, 9, 4.0)):
            leg = pen.stroke(
                [(16, y), (16 + side * reach * 0.6, y - 1.2 + drop * 0.3), (16 + side * reach, y + drop)], 1.7
            )
            pen.paint(leg, (178, 74, 28), relief=0.2, depth=0.7)
        pen.paint(pen.stroke([(16, 14), (16 + side * 7.4, 12.2), (16 + side * 9.2, 8)], 2.6), SCORPION, relief=0.4)
        claw = pen.ellipse(16 + side * 9.6, 6.4, 4.0, 4.2) & ~pen.polygon(
            [(16 + side * 8.6, 7), (16 + side * 6.8, 0), (16 + side * 11.2, 0)]
        )
        pen.paint(claw, SCORPION, relief=0.55, depth=1.3)
    body = pen.ellipse(16, 17, 5.2, 6.4)
    pen.paint(body, SCORPION, relief=0.55, depth=1.8)
    for y in (17.2, 20.2):
        pen.paint(pen.arc(16, y - 4, 5, 50, 130, 0.8) & body, (168, 66, 24), relief=0.0)
    for x, y, radius in ((16.0, 23.6, 2.9), (18.2, 26.8, 2.6), (22, 27.8, 2.5), (25.4, 25.8, 2.4), (26.6, 22.4, 2.3)):
        bead = pen.ellipse(x, y, radius)
        pen.edge(bead, (150, 58, 24), 0.6)
        pen.paint(bead, SCORPION, relief=0.5, depth=1.0)
    pen.paint(pen.polygon([(28.4, 21.8), (24.4, 21.4), (24.8, 16.6)]), (94, 28, 36), relief=0.2, depth=0.8)
    for x in (14.0, 18.0):
        pen.paint(pen.ellipse(x, 13.6, 1.5), (255, 255, 255), relief=0.0)
        pen.paint(pen.ellipse(x, 13.3, 0.8), OUTLINE, relief=0.0)


@drawing("spider")
def spider(pen: Pen) -> None:
    """A dark round spider on eight long legs."""
    for side in (-1, 1):
        for knee, foot in (
            ((8.6, 6.6), (11.6, 2.8)),
            ((10.6, 12.0), (14.0, 11.4)),
            ((10.6, 19.2), (14.0, 21.6)),
            ((8.4, 23.6), (10.8, 29.2)),
        ):
            leg = pen.stroke([(16, 16), (16 + side * knee[0], knee[1]), (16 + side * foot[0], foot[1])], 1.9)
            pen.paint(leg, (44, 56, 60), relief=0.3, depth=0.7)
    abdomen = pen.ellipse(16, 19.4, 7.4, 7.8)
    pen.paint(abdomen, SPIDER, relief=0.6, depth=2.4)
    mark = pen.polygon([(12.9, 17.4), (19.1, 17.4), (16.6, 20.4), (19.1, 23.6), (12.9, 23.6), (15.4, 20.4)])
    pen.paint(mark, (118, 222, 96), relief=0.0)
    head = pen.ellipse(16, 10.4, 5.2, 4.6)
    pen.edge(head, width=0.8)
    pen.paint(head, (66, 88, 88), relief=0.5, depth=1.6)
    for x, y, radius in ((14, 9.6, 1.5), (18, 9.6, 1.5), (11.9, 11.2, 0.9), (20.1, 11.2, 0.9)):
        pen.paint(pen.ellipse(x, y, radius), (255, 82, 82), relief=0.0)
