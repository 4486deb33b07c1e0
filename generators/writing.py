"""Writing levels tile by tile: the order of the cells, and how the next tile is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs import UserError
from envs.counts import count_tiles
from generators.constraints import count_table
from generators.sampling import Request
from generators.shares import keep_likely, pick
from generators.spec import LevelSpec

#: Below this a temperature means the likeliest tile.
_COLDEST = 1e-6


@dataclass(frozen=True)
class Decoding:
    """How tiles are drawn.

    Attributes:
        temperature: of the tiles' probabilities; below 1 likely tiles become likelier, 0 takes the likeliest.
        top_p: tiles are drawn from the fewest that together have this probability (Holtzman 2020); 1 from all.
        constrained: whether tiles are ruled out that would break the count rules of the training levels ("one player").
    """

    temperature: float = 1.0
    top_p: float = 1.0
    constrained: bool = True

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        if not 0 <= self.temperature <= 100:
            raise UserError(f"temperature must be from 0 to 100; got {self.temperature}.")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p must be above 0 and at most 1; got {self.top_p}.")


@dataclass(frozen=True)
class FreeDecoding(Decoding):
    """How tiles are drawn where the family as published knows no rules."""

    constrained: bool = False


class Writer:
    """Levels that are written cell by cell, each cell once, all levels at the same one.

    Fixed tiles stand in their cells from the beginning; `write` leaves them. Count rules take them into account
    before they are reached.

    Args:
        spec: what the levels are.
        request: how many, the seed, and the fixed tiles.
        decoding: how tiles are drawn.

    Attributes:
        levels: uint8 (n, cells); what is not written yet and not fixed is 0.
        fixed: bool (n, cells).

    Raises:
        UserError: the count rules are too many to be kept while decoding.
    """

    def __init__(self, spec: LevelSpec, request: Request, decoding: Decoding) -> None:
        n, cells, tiles = request.n, spec.cells, len(spec.tiles)
        given = np.full((n, cells), -1, np.int16) if request.fixed is None else request.fixed.reshape(n, cells)
        self.fixed = given >= 0
        self.levels = np.maximum(given, 0).astype(np.uint8)
        self._decoding = decoding
        self._uniforms = request.draws().uniforms(cells)
        self._written = 0
        self._table = count_table(spec) if decoding.constrained else None
        self._free = cells - self.fixed.sum(axis=1)
        counts = count_tiles(self.levels, tiles)
        counts[:, 0] -= self._free
        self._states = self._table.state_of(counts) if self._table is not None else np.zeros(n, np.int64)

    def write(self, cell: int, log_probabilities: NDArray) -> NDArray[np.uint8]:
        """Draws the tiles of a cell and writes them.

        Args:
            cell: the cell's position in the flattened level.
            log_probabilities: (n, tiles), up to a constant for each level.

        Returns:
            uint8 (n,), what now stands there.
        """
        scores = np.asarray(log_probabilities, np.float64)
        fixed = self.fixed[:, cell]
        if self._table is not None:
            scores = np.where(self._table.allowed(self._states, self._free), scores, -np.inf)
        drawn = draw_tiles(scores, self._uniforms[:, self._written], self._decoding.temperature, self._decoding.top_p)
        self._written += 1
        tiles = np.where(fixed, self.levels[:, cell], drawn).astype(np.uint8)
        self.levels[:, cell] = tiles
        if self._table is not None:
            self._states = np.where(fixed, self._states, self._table.successors[self._states, tiles])
        self._free = self._free - ~fixed
        return tiles


def draw_tiles(
    scores: NDArray[np.float64], uniforms: NDArray[np.float64], temperature: float = 1.0, top_p: float = 1.0
) -> NDArray[np.uint8]:
    """Draws one tile for each level.

    Args:
        scores: float64 (n, tiles), logarithms of probabilities up to a constant for each level, -inf for never.
        uniforms: float64 (n,) in [0, 1).
        temperature: see `Decoding`.
        top_p: see `Decoding`.

    Returns:
        uint8 (n,).
    """
    if temperature < _COLDEST:
        return scores.argmax(axis=1).astype(np.uint8)
    return pick(keep_likely(scores, temperature, top_p=top_p), uniforms).astype(np.uint8)
