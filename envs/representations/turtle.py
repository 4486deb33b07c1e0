"""Turtle: the designer walks over the level and writes tiles where it stands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from envs.kernels.edit import edit_turtle, place_cursors
from envs.problem import Shape
from envs.representation import ActionSpace, Canvas, Representation


@dataclass(frozen=True)
class Turtle(Representation):
    """A designer that walks (Khalifa 2020). It walks over frozen tiles too, but cannot change them.

    The action is Discrete(4 + number of tiles): 0 left, 1 right, 2 up, 3 down, t + 4 writes tile t. On levels of three
    axes it is Discrete(6 + number of tiles): 4 goes to the storey below, 5 to the one above, t + 6 writes tile t. It
    starts at a random cell that is not frozen.

    Attributes:
        wrap: whether it leaves at one edge and comes in at the opposite one; otherwise it stays at the edge.
    """

    name: str = "turtle"
    wrap: bool = False

    draws_at_start = 1

    #: The compiled editor; the cast form differs in nothing else.
    editor = staticmethod(edit_turtle)

    def action_space(self, shape: Shape, number_of_tiles: int) -> ActionSpace:
        """Returns Discrete(2 * axes + number_of_tiles)."""
        return spaces.Discrete(2 * len(shape) + number_of_tiles)

    def place(self, canvas: Canvas, lanes: NDArray[np.int64], uniforms: NDArray[np.float64]) -> None:
        """Puts the turtle at a random cell that is not frozen."""
        place_cursors(canvas.storeys[1], canvas.shapes, canvas.free, canvas.cursors, lanes, True, uniforms)

    def edit(
        self,
        canvas: Canvas,
        actions: NDArray[np.int64],
        active: NDArray[np.bool_],
        uniforms: NDArray[np.float64],
    ) -> NDArray[np.int64]:
        """Moves the turtle or writes where it stands."""
        changed = np.zeros(len(active), np.int64)
        self.editor(
            *canvas.storeys,
            canvas.shapes,
            canvas.cursors,
            canvas.remaining,
            actions,
            active,
            self.wrap,
            changed,
        )
        return changed


REPRESENTATION = Turtle()
