"""Narrowmulti: narrow, with a whole patch of tiles chosen at once."""

from __future__ import annotations

from dataclasses import dataclass

from gymnasium import spaces

from envs.kernels.edit import edit_narrowmulti
from envs.problem import Shape
from envs.representation import ActionSpace
from envs.representations.narrow import Narrow


@dataclass(frozen=True)
class Narrowmulti(Narrow):
    """Narrow, nine tiles at once, or 27 on levels of three axes.

    The action is MultiDiscrete([number of tiles + 1] * 9), for the 3x3 patch around the cursor row by row: 0 keeps a
    tile, t + 1 makes it tile t. On levels of three axes it has 27 numbers, for the 3x3x3 patch storey by storey.
    """

    name: str = "narrowmulti"

    editor = staticmethod(edit_narrowmulti)

    def action_space(self, shape: Shape, number_of_tiles: int) -> ActionSpace:
        """Returns MultiDiscrete([number_of_tiles + 1] * 3**axes)."""
        return spaces.MultiDiscrete([number_of_tiles + 1] * 3 ** len(shape))


REPRESENTATION = Narrowmulti()
