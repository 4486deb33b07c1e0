"""Wide: the designer picks any cell and its tile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from envs.kernels.edit import edit_wide
from envs.problem import Shape
from envs.representation import ActionSpace, Canvas, Representation


@dataclass(frozen=True)
class Wide(Representation):
    """Any cell at any time (Khalifa 2020).

    The action is MultiDiscrete([width, height, number of tiles]): column, row and tile; on levels of three axes
    it is MultiDiscrete([width, height, depth, number of tiles]). Where lanes have shapes of their own, a cell outside
    the lane's level changes nothing.
    """

    name: str = "wide"

    has_cursor = False

    def action_space(self, shape: Shape, number_of_tiles: int) -> ActionSpace:
        """Returns MultiDiscrete([width, height, number_of_tiles]), a third axis' depth coming before the tiles."""
        return spaces.MultiDiscrete([shape[-1], shape[-2], *shape[:-2], number_of_tiles])

    def edit(
        self,
        canvas: Canvas,
        actions: NDArray[np.int64],
        active: NDArray[np.bool_],
        uniforms: NDArray[np.float64],
    ) -> NDArray[np.int64]:
        """Writes one tile."""
        changed = np.zeros(len(active), np.int64)
        edit_wide(*canvas.storeys, canvas.shapes, canvas.remaining, actions, active, changed)
        return changed


REPRESENTATION = Wide()
