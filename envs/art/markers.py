"""What pictures lay over tiles: the designer's cursor, the padlock of a frozen tile and the dots of a path."""

from __future__ import annotations

from envs.art.pen import OUTLINE, Pen
from envs.art.registry import drawing


@drawing("path", outline=False, shadow=False)
def path(pen: Pen) -> None:
    """A glassy dot."""
    pen.paint(pen.ellipse(16, 16, 5.6), (20, 60, 92), relief=0.0, alpha=0.55)
    pen.paint(pen.ellipse(16, 16, 4.2), (72, 208, 255), relief=0.0, alpha=0.85)
    pen.paint(pen.ellipse(14.9, 14.7, 1.5), (255, 255, 255), relief=0.0, alpha=0.8)


@drawing("cursor", outline=False, shadow=False)
def cursor(pen: Pen) -> None:
    """A bright frame whose inside is hardly tinted, so that the tile beneath stays readable."""
    width = max(2.2, 32 / pen.size)
    rim = pen.box(0, 0, 32, 32, 3) & ~pen.box(width * 2, width * 2, 32 - width * 2, 32 - width * 2, 1.5)
    frame = pen.box(width * 0.5, width * 0.5, 32 - width * 0.5, 32 - width * 0.5, 2.5) & ~pen.box(
        width * 1.5, width * 1.5, 32 - width * 1.5, 32 - width * 1.5, 1.5
    )
    pen.paint(pen.box(0, 0, 32, 32, 3), (255, 244, 150), relief=0.0, alpha=0.14)
    pen.paint(rim, OUTLINE, relief=0.0, alpha=0.75)
    pen.paint(frame, (255, 224, 64), relief=0.0)


@drawing("lock", outline=False, shadow=False)
def lock(pen: Pen) -> None:
    """A small padlock in the lower right corner, over a faint chill on the whole tile."""
    pen.paint(pen.box(-1, -1, 33, 33), (120, 190, 255), relief=0.0, alpha=0.16)
    shackle = pen.arc(24.4, 21.6, 3.4, 180, 360, 2.2) | pen.box(19.9, 21.4, 22.1, 24) | pen.box(26.7, 21.4, 28.9, 24)
    body = pen.box(18.6, 22.8, 30.2, 30.6, 1.4)
    pen.paint(pen.grow(shackle | body, pen.line * 0.8), OUTLINE, relief=0.0, alpha=0.85)
    pen.paint(shackle, (226, 234, 244), relief=0.0, alpha=0.95)
    pen.paint(body, (136, 196, 246), relief=0.4, depth=0.9, alpha=0.95)
    pen.paint(pen.ellipse(24.4, 26.6, 1.5), OUTLINE, relief=0.0)
