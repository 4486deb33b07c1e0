"""The multi-dimensional Markov chain: each tile from its neighbours that are already there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs import UserError
from envs.orders import Order, cell_order
from generators.backoff import BackoffGenerator


@dataclass(frozen=True)
class Config:
    """Which neighbours are looked at.

    Attributes:
        neighbours: how many: the nearest of those that the order has written before, beside before diagonal before two
            steps away.
        order: in which order a level is written; "column" goes from left to right and in each column from the bottom
            up, "snake" turns round at the end of each column.
        bands: how many horizontal bands of a level have counts of their own (the row splits of Snodgrass 2013).
    """

    neighbours: int = 10
    order: Order = "column"
    bands: int = 1

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        if not 0 <= self.neighbours <= 64:
            raise UserError(f"The number of neighbours must be from 0 to 64; got {self.neighbours}.")
        if self.bands < 1:
            raise UserError(f"There must be at least 1 band; got {self.bands}.")


class Markov(BackoffGenerator):
    """A Markov chain in two dimensions, or three: a tile depends on its neighbours that are already written.

    Where not all of these were seen together, the farthest are left out (the back-off of Snodgrass 2014), here by
    interpolation; see `BackoffGenerator`. What lies outside the level is a tile of its own, so that edges are learned.
    """

    name, title, paper = "markov", "The multi-dimensional Markov chain", "Snodgrass 2013"
    Config = Config
    small = {"neighbours": 3}

    def contexts(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Returns the nearest neighbours written before each cell; see `BackoffGenerator.contexts`."""
        shape, cells = self.spec.shape, self.spec.cells
        order = cell_order(shape, self.config.order)
        rank = np.empty(cells, np.int64)
        rank[order] = np.arange(cells)
        places = np.stack(np.unravel_index(order, shape), axis=1)
        # An offset is looked at where its cell is written before: this depends on the column's direction in a snake.
        reach = 1
        while ((2 * reach + 1) ** len(shape) - 1) // 2 < self.config.neighbours:
            reach += 1
        grid = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * len(shape), indexing="ij"), axis=-1)
        offsets = grid.reshape(-1, len(shape))
        # Nearest first; among equals what was written in an earlier column or row, then by place.
        offsets = offsets[np.lexsort((*offsets.T[::-1], np.square(offsets).sum(axis=1)))][1:]
        sources = np.full((cells, self.config.neighbours), cells, np.int64)
        for place, position in enumerate(places):
            found = 0
            for offset in offsets:
                if found == self.config.neighbours:
                    break
                if not self._before(offset, position):
                    continue
                other = position + offset
                if (other >= 0).all() and (other < shape).all():
                    sources[place, found] = np.ravel_multi_index(tuple(other), shape)
                found += 1
        rows = places[:, -2]
        bands = rows * min(self.config.bands, shape[-2]) // shape[-2]
        return order, sources, bands.astype(np.int64)

    def _before(self, offset: NDArray[np.int64], position: NDArray[np.int64]) -> bool:
        """Tells whether the cell at an offset, were the level endless, is written before the cell at a position."""
        *layers, down, right = (int(step) for step in offset)
        if self.config.order == "row":
            steps = (*layers, down, right)
        else:
            turned = self.config.order == "snake" and position[-1] % 2 == 1
            steps = (*layers, right, down if turned else -down)
        return steps < (0,) * len(steps)


FAMILY = Markov
