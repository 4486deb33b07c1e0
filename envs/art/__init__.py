"""Tilewright's own tile art, drawn by code at any size.

A sprite is one function that draws on a `Pen` of 32 by 32 units; the `drawing` decorator gives it its name, its
outline and its drop shadow. A problem that needs a new one may define it in its own file:

    @drawing("slime")
    def slime(pen: Pen) -> None:
        pen.paint(pen.ellipse(16, 20, 10, 8), (90, 200, 90))
"""

import importlib
import pkgutil

from envs.art.pen import Pen
from envs.art.registry import (
    LARGEST_SIZE,
    SMALLEST_SIZE,
    check_tile_size,
    drawing,
    is_tall,
    plain_tile,
    sprite,
    sprite_names,
)

__all__ = [
    "LARGEST_SIZE",
    "SMALLEST_SIZE",
    "Pen",
    "check_tile_size",
    "drawing",
    "is_tall",
    "plain_tile",
    "sprite",
    "sprite_names",
]

# Every module of this package registers its drawings when it is imported.
for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
