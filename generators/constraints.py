"""Which tiles may still be placed so that a level can keep its count rules, for models that write tile by tile."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from envs import UserError
from envs.counts import CountRule, rule_arrays
from generators.spec import LevelSpec

#: What a rule's value may pass its bounds by while a level is being written, where it can still come back.
_EXCURSION = 12

#: The most combinations of values that are tabulated.
_MOST_STATES = 2_000_000


class CountTable:
    """For count rules, how many more cells it takes to fulfil them from any state of the counts.

    The state of a level in the making is the value of each rule, cut off where more of it makes no difference. A tile
    may be placed where the cells that remain after it suffice for what is then still missing; a tile that no rule
    counts fills the others. With it a model never writes itself into a corner.

    Args:
        rules: the rules.
        tile_names: the names of the tiles by id. At least one must not occur in the rules.

    Raises:
        UserError: the rules are too many or too wide to be tabulated, or all tiles occur in them.
    """

    def __init__(self, rules: Sequence[CountRule], tile_names: Sequence[str]) -> None:
        coefficients, low, high = rule_arrays(rules, tile_names)
        if rules and (coefficients != 0).any(axis=0).all():
            raise UserError("Count rules can be kept while decoding only where some tile is not counted by any rule.")
        # Values below `least` or above `greatest` are as good as these ends.
        least, greatest = [], []
        for row, bottom, top in zip(coefficients, low, high, strict=True):
            if (row >= 0).all():
                least.append(0)
                greatest.append(int(top) + 1 if np.isfinite(top) else int(max(bottom, 0)))
            else:
                # One more at each end stands for all beyond it, from where there is no way back.
                reach = _EXCURSION + 1
                least.append(int(bottom if np.isfinite(bottom) else min(top, 0)) - reach)
                greatest.append(int(top if np.isfinite(top) else max(bottom, 0)) + reach)
        self._coefficients = coefficients
        self._least = np.array(least, np.int64)
        self._greatest = np.array(greatest, np.int64)
        sizes = self._greatest - self._least + 1
        if np.prod(sizes.astype(np.float64)) > _MOST_STATES:
            raise UserError(
                f"The count rules of these levels have {np.prod(sizes.astype(np.float64)):.0f} states, more than "
                f"{_MOST_STATES}; sample without constraints."
            )
        states = np.array(list(product(*(range(size) for size in sizes))), np.int64)
        states = states.reshape(int(np.prod(sizes)), len(rules))
        self._strides = np.array([int(np.prod(sizes[i + 1 :])) for i in range(len(sizes))], np.int64)
        values = states + self._least
        # successors[s, t]: the state after tile t was placed in state s.
        self.successors = np.stack([self._state(values + change) for change in coefficients.T], axis=1)
        # Tiles that are placed while a value is cut off would be counted wrongly: such states are left for good.
        mixed = (coefficients < 0).any(axis=1) & (coefficients > 0).any(axis=1)
        beyond = (((values == self._least) | (values == self._greatest)) & mixed).any(axis=1)
        self.successors[beyond] = np.flatnonzero(beyond)[:, None]
        self.start = int(self._state(np.zeros((1, len(rules)), np.int64))[0])
        self.cells_needed = self._distances(np.all((values >= low) & (values <= high), axis=1) & ~beyond)

    def _state(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        cut = np.clip(values, self._least, self._greatest) - self._least
        return np.asarray(cut @ self._strides, np.int64)

    def _distances(self, fulfilled: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Returns how many tiles lead from each state to one that fulfils the rules; a great number where none do."""
        never = np.iinfo(np.int32).max
        distances = np.where(fulfilled, 0, never).astype(np.int64)
        while True:
            nearer = np.minimum(distances, distances[self.successors].min(axis=1) + 1)
            if (nearer == distances).all():
                return distances
            distances = np.minimum(nearer, never)

    def state_of(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the state after tiles were placed.

        Args:
            counts: int64 (n, tiles), how many of each.

        Returns:
            int64 (n,).
        """
        return self._state(np.asarray(counts, np.int64) @ self._coefficients.T)

    def allowed(self, states: NDArray[np.int64], remaining: NDArray[np.int64] | int) -> NDArray[np.bool_]:
        """Tells which tiles may be placed next.

        Args:
            states: int64 (n,), as `state_of` returns and `successors` leads to.
            remaining: how many cells are to be filled yet, the next one among them.

        Returns:
            bool (n, tiles). All of a row where no tile is right any more, so that something can be placed.
        """
        left = np.asarray(remaining, np.int64).reshape(-1, 1)
        fine = self.cells_needed[self.successors[states]] <= left - 1
        fine[~fine.any(axis=1)] = True
        return np.asarray(fine, np.bool_)


@lru_cache(maxsize=8)
def count_table(spec: LevelSpec) -> CountTable | None:
    """Returns the table of the rules that levels of a spec must keep; None where there are no rules.

    Raises:
        UserError: see `CountTable`.
    """
    rules = spec.count_rules()
    return CountTable(rules, spec.tiles) if rules else None
