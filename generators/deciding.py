"""Deciding one symbol after another: what count rules allow, and beams of several levels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from generators.constraints import CountTable
from generators.draws import Draws
from generators.shares import NEVER


class Beams:
    """Several unlike levels for each one wanted, drawn without replacement by their probability (Kool 2019).

    Args:
        levels: how many levels are wanted.
        beams: how many are drawn for each.
    """

    def __init__(self, levels: int, beams: int) -> None:
        self.levels, self.beams = levels, beams
        #: The log-probability of each level so far, and the same with Gumbel noise; all beams begin as one.
        self.scores = np.full((levels, beams), NEVER)
        self.scores[:, 0] = 0.0
        self.perturbed = self.scores.copy()

    def extend(self, chances: NDArray[np.float64], draws: Draws) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draws the next symbols.

        Args:
            chances: float64 (levels * beams, symbols), the log-probabilities of the symbols.
            draws: the random numbers of the levels wanted.

        Returns:
            int64 (levels * beams,) twice: which of the sequences goes on in each place, and with which symbol.
        """
        symbols = chances.shape[1]
        scores = self.scores[..., None] + chances.reshape(self.levels, self.beams, symbols)
        uniforms = np.clip(draws.uniforms(self.beams, symbols), 1e-300, 1 - 1e-16)
        noisy = scores - np.log(-np.log(uniforms))
        # The greatest of a sequence's children must have the sequence's own noise: Kool 2019, appendix B.3.
        greatest = noisy.max(axis=2, keepdims=True)
        alive = np.isfinite(self.perturbed)[..., None] & np.isfinite(scores)
        own = self.perturbed[..., None]
        with np.errstate(invalid="ignore", divide="ignore"):
            inner = own - noisy + np.log1p(-np.exp(noisy - greatest))
            shifted = own - np.maximum(inner, 0) - np.log1p(np.exp(-np.abs(inner)))
        shifted = np.where(noisy == greatest, own, shifted)
        ranked = np.where(alive, shifted, NEVER).reshape(self.levels, -1)
        best = np.argsort(-ranked, axis=1, kind="stable")[:, : self.beams]
        self.perturbed = np.take_along_axis(ranked, best, axis=1)
        dead = ~np.isfinite(self.perturbed)
        flat = scores.reshape(self.levels, -1)
        self.scores = np.where(dead, NEVER, np.take_along_axis(flat, best, axis=1))
        parents = np.arange(self.levels)[:, None] * self.beams + best // symbols
        chosen = best % symbols
        # A place with no level left goes on with the best one's, so that it stays a level; it is never chosen.
        parents, chosen = np.where(dead, parents[:, :1], parents), np.where(dead, chosen[:, :1], chosen)
        return parents.reshape(-1), chosen.reshape(-1)

    def best(self) -> NDArray[np.int64]:
        """Returns the number of the likeliest sequence of each level, int64 (levels,)."""
        return np.arange(self.levels) * self.beams + self.scores.argmax(axis=1)


class Counting:
    """Keeps to count rules while tiles are decided one by one, whatever tiles are known from the start.

    Args:
        table: what the rules ask of the cells that remain.
        turns: the pass in which each tile is decided; a pass may leave a cell to a later one.
        known: int64 (b, tiles), how many of each tile every level has from the start: fixed ones, ahead or not.
        free: int64 (b,), how many cells are to be decided.
    """

    def __init__(
        self, table: CountTable, turns: Sequence[int], known: NDArray[np.int64], free: NDArray[np.int64]
    ) -> None:
        #: For each pass, how many cells of its own it takes to fulfil the rules from a state; and of any.
        self.needed_now = np.stack([_cells_of_pass(table, np.asarray(turns), turn) for turn in range(max(turns) + 1)])
        self.needed, self.successors = table.cells_needed, table.successors
        self.free = free.copy()
        self.state = table.state_of(known)

    def allowed(self, turn: NDArray[np.int64], left: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Tells what may be decided of the next cell.

        Args:
            turn: int64 (b,), the pass that each level is in.
            left: int64 (b,), how many cells are left in it, this one among them.

        Returns:
            bool (b, tiles), the tiles that may be placed, and bool (b,), whether the cell may be left to a later pass.
            Both may be false of a level that can keep the rules no more.
        """
        after = self.successors[self.state]
        room = self.needed[after] <= self.free[:, None] - 1
        tiles = room & (self.needed_now[turn[:, None], after] <= left[:, None] - 1)
        return tiles, self.needed_now[turn, self.state] <= left - 1

    def place(self, tiles: NDArray[np.int64], cells: NDArray[np.bool_]) -> None:
        """Notes tiles, int64 (b,), that were placed in some of the levels, bool (b,)."""
        self.state = np.where(cells, self.successors[self.state, tiles], self.state)
        self.free = self.free - cells

    def choose(self, sequences: NDArray[np.int64]) -> None:
        """Goes on with some of the levels: each may be taken several times or not at all."""
        self.free, self.state = self.free[sequences], self.state[sequences]


def _cells_of_pass(table: CountTable, turns: NDArray[np.int64], turn: int) -> NDArray[np.int64]:
    """Returns how many tiles of a pass are needed at least from each state, if later passes do what they can."""
    never = np.iinfo(np.int32).max
    cost = np.where(turns > turn, 0, np.where(turns == turn, 1, never))
    needed = np.where(table.cells_needed == 0, 0, never).astype(np.int64)
    while True:
        nearer = np.minimum(needed, (needed[table.successors] + cost).min(axis=1))
        if (nearer == needed).all():
            return np.minimum(needed, never)
        needed = nearer
