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
    5 write the 3x3 patch around it), and the tile to write.
    """

    name: str = "turtlecast"

    editor = staticmethod(edit_turtlecast)

    def action_space(self, shape: Shape, number_of_tiles: int) -> ActionSpace:
        """Returns MultiDiscrete([6, number_of_tiles])."""
        return spaces.MultiDiscrete([6, number_of_tiles])


REPRESENTATION = Turtlecast()
