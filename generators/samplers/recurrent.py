"""Levels written tile by tile by a recurrent network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.orders import Order, cell_order
from envs.problem import Shape
from generators.sampler import Sampler
from generators.sampling import Request
from generators.writing import Decoding, Writer


@dataclass(frozen=True)
class RecurrentSettings:
    """What is known of the model.

    Attributes:
        order: in which order a level is written.
        neighbours: whether the network is shown the tiles around the next cell that are written already.
    """

    order: Order
    neighbours: bool


class RecurrentSampler(Sampler):
    """Writes the cells in their order; fixed tiles are written when their turn comes.

    Graphs: `begin`, from what is asked to the network's states; `step`, from the tiles that are seen, int64 (n, seen),
    the number of the cell that is written next, what is asked and the states to the scores of its tiles, (n, tiles),
    and the next states.
    """

    name = "recurrent"
    Settings, Sampling = RecurrentSettings, Decoding

    def draw(self, request: Request, sampling: Decoding) -> NDArray[np.uint8]:
        """Draws levels; see `Sampler.draw`."""
        writer, dense = Writer(self.spec, request, sampling), self.dense(request)
        cells = self.spec.cells
        order = cell_order(self.spec.shape, self.settings.order)
        sources = seen_cells(self.spec.shape, order, self.settings.neighbours)
        tiles = np.full((request.n, cells + 1), len(self.spec.tiles), np.int64)
        states: Sequence[Any] = self.networks("begin", dense)
        for place, cell in enumerate(order):
            scores, *states = self.networks("step", tiles[:, sources[place]], np.int64(cell), dense, *states)
            tiles[:, cell] = writer.write(int(cell), scores)
        return writer.levels.reshape(request.n, *self.spec.shape)


def seen_cells(shape: Shape, order: NDArray[np.int64], neighbours: bool) -> NDArray[np.int64]:
    """Returns the cells whose tiles are seen at each place of an order, int64 (cells, things seen).

    First the cell written before it; then, where asked for, all those around it, two in each axis. The number of
    cells stands for what is outside or not yet written.
    """
    cells = len(order)
    before = np.concatenate([[cells], order[:-1]])[:, None]
    if not neighbours:
        return before
    rank = np.empty(cells + 1, np.int64)
    rank[order] = np.arange(cells)
    rank[cells] = cells
    framed = np.pad(np.arange(cells).reshape(shape), 1, constant_values=cells)
    places = np.stack(np.unravel_index(order, shape), axis=1) + 1
    steps = [step for step in np.ndindex(*(3,) * len(shape)) if step != (1,) * len(shape)]
    around = np.stack([framed[tuple((places + np.array(step) - 1).T)] for step in steps], axis=1)
    around = np.where(rank[around] < np.arange(cells)[:, None], around, cells)
    # A neighbour that is never written before is not worth an input.
    return np.concatenate([before, around[:, (around < cells).any(axis=0)]], axis=1)


SAMPLER = RecurrentSampler
