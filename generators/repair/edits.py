"""Edits of one or two cells that a local search tries, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generators.repair.goal import Goal


@dataclass
class Edits:
    """Ways to change one level.

    Attributes:
        cells: int64 (m, 2), the cells that change, by their place in the flat level; twice the same for one cell.
        tiles: uint8 (m, 2), what they become.
    """

    cells: NDArray[np.int64]
    tiles: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.cells)

    def chosen(self, which: NDArray) -> Edits:
        """Returns some of the edits, by their numbers or by a mask."""
        return Edits(self.cells[which], self.tiles[which])

    def made(self, level: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Returns what a level, uint8 (*shape), becomes by each edit: uint8 (m, *shape)."""
        flat = np.repeat(level.reshape(1, -1), len(self), axis=0)
        rows = np.arange(len(self))
        flat[rows, self.cells[:, 0]] = self.tiles[:, 0]
        flat[rows, self.cells[:, 1]] = self.tiles[:, 1]
        return flat.reshape(len(self), *level.shape)


def background(goal: Goal) -> int:
    """Returns the tile that is left where a thing is taken away: the commonest that no count rule counts."""
    shares = np.asarray(goal.problem.start_probabilities, np.float64)
    counted = _counted(goal)
    return int(np.argmax(shares if counted.all() else np.where(counted, -1, shares)))


def single_edits(goal: Goal, level: NDArray[np.uint8], free: NDArray[np.bool_]) -> Edits:
    """Returns the edits of one cell that bring tile counts nearer to the count rules, or that keep to them.

    Where no single edit brings them nearer, as one crate cannot come without a target, those that leave them as far.

    Args:
        goal: whose count rules hold.
        level: uint8 (*shape).
        free: bool (cells,), what may be changed.
    """
    tiles = len(goal.tile_names)
    flat = level.ravel().astype(np.int64)
    counts = np.bincount(flat, minlength=tiles)
    # By what becomes what: the counts, and how much they break the rules.
    one = np.eye(tiles, dtype=np.int64)
    after = goal.violations(counts - one[:, None] + one[None])
    now = float(goal.violations(counts))
    here = np.isin(np.arange(tiles), flat[free])
    allowed = after < now if now > 0 else after == 0
    if now > 0 and not allowed[here].any():
        counted = _counted(goal)
        allowed = (after <= now) & (counted[:, None] | counted[None])
    np.fill_diagonal(allowed, False)
    cells = np.flatnonzero(free)
    row, tile = np.nonzero(allowed[flat[cells]])
    return Edits(np.repeat(cells[row, None], 2, axis=1), np.repeat(tile[:, None], 2, axis=1).astype(np.uint8))


def double_edits(goal: Goal, level: NDArray[np.uint8], free: NDArray[np.bool_]) -> Edits:
    """Returns edits of two cells that keep counts which single edits would break: a thing moves, or two things go.

    Args:
        goal: whose count rules hold.
        level: uint8 (*shape).
        free: bool (cells,), what may be changed.
    """
    tiles = len(goal.tile_names)
    flat = level.ravel().astype(np.int64)
    counts = np.bincount(flat, minlength=tiles)
    ground = background(goal)
    things = np.flatnonzero(_counted(goal)[flat] & free)
    places = np.flatnonzero(~_counted(goal)[flat] & free)
    source, place = (a.ravel() for a in np.meshgrid(things, places, indexing="ij"))
    cells = [np.stack([source, place], axis=1)]
    become = [np.stack([np.full(len(source), ground), flat[source]], axis=1)]
    first, second = (things[i] for i in np.triu_indices(len(things), 1))
    one = np.eye(tiles, dtype=np.int64)
    gone = goal.violations(counts - one[flat[first]] - one[flat[second]] + 2 * one[ground]) == 0
    cells.append(np.stack([first[gone], second[gone]], axis=1))
    become.append(np.full((int(gone.sum()), 2), ground))
    return Edits(np.concatenate(cells), np.concatenate(become).astype(np.uint8))


def _counted(goal: Goal) -> NDArray[np.bool_]:
    """Tells which tiles some count rule counts, bool (tiles,)."""
    return np.asarray((goal.coefficients != 0).any(axis=0), bool)
