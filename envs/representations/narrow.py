"""Narrow: the environment picks the cell, the designer picks its tile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from envs.kernels.edit import edit_narrow, place_cursors
from envs.problem import Shape
from envs.representation import ActionSpace, Canvas, Representation


@dataclass(frozen=True)
class Narrow(Representation):
    """One cell at a time, in an order that the designer does not choose (Khalifa 2020).

    The action is Discrete(number of tiles + 1): 0 keeps the tile at the cursor, t + 1 makes it tile t.

    Attributes:
        order: "random" draws each next cell anew, all cells that are not frozen being equally likely;
            "sequential" goes through them row by row, over and over.
    """

    name: str = "narrow"
    order: Literal["random", "sequential"] = "random"

    draws_at_start = 1
    draws_per_step = 1

    def action_space(self, shape: Shape, number_of_tiles: int) -> ActionSpace:
        """Returns Discrete(number_of_tiles + 1)."""
        return spaces.Discrete(number_of_tiles + 1)

    def place(self, canvas: Canvas, lanes: NDArray[np.int64], uniforms: NDArray[np.float64]) -> None:
        """Puts the cursor at a random cell or, in sequence, at the first."""
        place_cursors(
            canvas.storeys[1], canvas.shapes, canvas.free, canvas.cursors, lanes, self.order == "random", uniforms
        )

    #: The compiled editor; the cast and multi forms differ in nothing else.
    editor = staticmethod(edit_narrow)

    def edit(
        self,
        canvas: Canvas,
        actions: NDArray[np.int64],
        active: NDArray[np.bool_],
        uniforms: NDArray[np.float64],
    ) -> NDArray[np.int64]:
        """Changes the tile at the cursor and moves the cursor on."""
        changed = np.zeros(len(active), np.int64)
        self.editor(
            *canvas.storeys,
            canvas.shapes,
            canvas.cursors,
            canvas.remaining,
            canvas.free,
            actions,
            active,
            self.order == "random",
            uniforms,
            changed,
        )
        return changed


REPRESENTATION = Narrow()
