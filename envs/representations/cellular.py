"""Cellular: every cell is written at once, as a neural cellular automaton does."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from envs.kernels.edit import edit_cellular
from envs.problem import Shape
from envs.representation import ActionSpace, Canvas, Representation


@dataclass(frozen=True)
class Cellular(Representation):
    """Every cell at every step (the neural-cellular-automaton form, Earle 2022).

    The action is MultiDiscrete([number of tiles] * cells): the tile that each cell becomes, row by row (and storey by
    storey); a cell that is to stay gets the tile that it has. Where an action changes more tiles than the budget still
    allows, the budget is spent on the cells from a random one on, so that no corner of the level is favoured.
    """

    name: str = "cellular"

    has_cursor = False
    draws_per_step = 1

    def action_space(self, shape: Shape, number_of_tiles: int) -> ActionSpace:
        """Returns MultiDiscrete([number_of_tiles] * cells)."""
        return spaces.MultiDiscrete([number_of_tiles] * math.prod(shape))

    def edit(
        self,
        canvas: Canvas,
        actions: NDArray[np.int64],
        active: NDArray[np.bool_],
        uniforms: NDArray[np.float64],
    ) -> NDArray[np.int64]:
        """Writes every cell."""
        changed = np.zeros(len(active), np.int64)
        edit_cellular(
            *canvas.storeys,
            canvas.shapes,
            canvas.remaining,
            actions,
            active,
            uniforms,
            changed,
        )
        return changed


REPRESENTATION = Cellular()
