"""Turtlecast: turtle, with a choice between one tile and a 3x3 patch."""

from __future__ import annotations

from dataclasses import dataclass

from gymnasium import spaces

from envs.kernels.edit import edit_turtlecast
from envs.problem import Shape
from envs.representation import ActionSpace
from envs.representations.turtle import Turtle


@dataclass(frozen=True)
class Turtlecast(Turtle):
    """Turtle in patches.

    The action is MultiDiscrete([6, number of tiles]): what to do (0 left, 1 right, 2 up, 3 down, 4 write the cell,
    5 write the 3x3 patch around it), and the tile to write. On levels of three axes it is MultiDiscrete([8, number of
    tiles]): 4 goes to the storey below, 5 to the one above, 6 writes the cell, 7 the 3x3x3 patch.
    """

    name: str = "turtlecast"

    editor = staticmethod(edit_turtlecast)

    def action_space(self, shape: Shape, number_of_tiles: int) -> ActionSpace:
        """Returns MultiDiscrete([2 * axes + 2, number_of_tiles])."""
        return spaces.MultiDiscrete([2 * len(shape) + 2, number_of_tiles])


REPRESENTATION = Turtlecast()
