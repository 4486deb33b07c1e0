"""The n-gram: each tile from the tiles before it in reading order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs import UserError
from envs.orders import Order, cell_order
from generators.backoff import BackoffGenerator, longest_context


@dataclass(frozen=True)
class Config:
    """What is read.

    Attributes:
        context: how many tiles before a tile are looked at; None takes two more than a column, or row, is long, so
            that its neighbours in the one before are among them, or as many as can be counted.
        order: in which order a level is read; "column" goes from left to right and in each column from the bottom up,
            "snake" turns round at the end of each column.
    """

    context: int | None = None
    order: Order = "column"

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        if self.context is not None and not 0 <= self.context <= 64:
            raise UserError(f"The context must be from 0 to 64 tiles; got {self.context}.")


class Ngram(BackoffGenerator):
    """A level is a text of tiles, read on from the end of one row or column to the next; see `BackoffGenerator`."""

    name, title, paper = "ngram", "The back-off n-gram", "Dahlskog 2014"
    Config = Config
    small = {"context": 3}

    def contexts(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Returns the tiles before each in the text; see `BackoffGenerator.contexts`."""
        cells, shape = self.spec.cells, self.spec.shape
        length = self.config.context
        if length is None:
            line = shape[-1] if self.config.order == "row" else shape[-2]
            length = min(line + 2, longest_context(len(self.spec.tiles)))
        order = cell_order(shape, self.config.order)
        text = np.concatenate([np.full(length, cells), order])
        places = np.arange(cells)[:, None] + length - 1 - np.arange(length)
        return order, text[places], np.zeros(cells, np.int64)


FAMILY = Ngram
