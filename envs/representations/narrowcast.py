"""Narrowcast: narrow, with a choice between one tile and a 3x3 patch."""

from __future__ import annotations

from dataclasses import dataclass

from gymnasium import spaces

from envs.kernels.edit import edit_narrowcast
from envs.problem import Shape
from envs.representation import ActionSpace
from envs.representations.narrow import Narrow


@dataclass(frozen=True)
class Narrowcast(Narrow):
    """Narrow in patches.

    The action is MultiDiscrete([3, number of tiles]): the reach (0 keeps everything, 1 writes the cell at the cursor,
    2 the 3x3 patch around it, 3x3x3 on levels of three axes), and the tile to write.
    """

    name: str = "narrowcast"

    editor = staticmethod(edit_narrowcast)

    def action_space(self, shape: Shape, number_of_tiles: int) -> ActionSpace:
        """Returns MultiDiscrete([3, number_of_tiles])."""
        return spaces.MultiDiscrete([3, number_of_tiles])


REPRESENTATION = Narrowcast()
