"""Count rules for models that decide many tiles at once: the cheapest changes after which a level keeps them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from envs.counts import CountRule, rule_arrays
from envs.kernels import inline, kernel

#: A tile with a score below this cannot be chosen.
NEVER = -1e8


@inline
def _miss(value: float, low: float, high: float) -> float:
    return max(low - value, 0.0) + max(value - high, 0.0)


@inline
def _missed(
    values: NDArray[np.float64],
    coefficients: NDArray[np.int64],
    old: int,
    new: int,
    second_old: int,
    second_new: int,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> float:
    """Returns by how much the rules are missed after two tiles changed."""
    missed = 0.0
    for rule in range(len(low)):
        row = coefficients[rule]
        missed += _miss(values[rule] - row[old] + row[new] - row[second_old] + row[second_new], low[rule], high[rule])
    return missed


@kernel
def _settle(
    proposals: NDArray[np.int64],
    scores: NDArray[np.float32],
    free: NDArray[np.bool_],
    coefficients: NDArray[np.int64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    broken: NDArray[np.float64],
) -> None:
    cells, tiles, rules = proposals.shape[1], scores.shape[2], len(low)
    values = np.zeros(rules)
    # The cheapest two cells to change from one tile to another, and what these changes cost.
    cost = np.zeros((tiles, tiles, 2))
    place = np.zeros((tiles, tiles, 2), np.int64)
    for lane in range(len(proposals)):
        values[:] = 0
        for cell in range(cells):
            for rule in range(rules):
                values[rule] += coefficients[rule, proposals[lane, cell]]
        while True:
            missed = _missed(values, coefficients, 0, 0, 0, 0, low, high)
            broken[lane] = missed
            if missed == 0:
                break
            cost[:] = np.inf
            for cell in range(cells):
                if not free[lane, cell]:
                    continue
                old = proposals[lane, cell]
                for new in range(tiles):
                    if new != old and scores[lane, cell, new] > -1e8:
                        regret = np.float64(scores[lane, cell, old]) - scores[lane, cell, new]
                        if regret < cost[old, new, 0]:
                            cost[old, new, 1], place[old, new, 1] = cost[old, new, 0], place[old, new, 0]
                            cost[old, new, 0], place[old, new, 0] = regret, cell
                        elif regret < cost[old, new, 1]:
                            cost[old, new, 1], place[old, new, 1] = regret, cell
            least, first, to, second, second_to = np.inf, -1, -1, -1, -1
            for old in range(tiles):
                for new in range(tiles):
                    if cost[old, new, 0] < least and _missed(values, coefficients, old, new, 0, 0, low, high) < missed:
                        least, first, to = cost[old, new, 0], place[old, new, 0], new
            if first < 0:
                # No change by itself is for the better: a crate too many and a target too many must go together.
                for pair in range(tiles**4):
                    old, new = pair // tiles**3, pair // tiles**2 % tiles
                    other, other_new = pair // tiles % tiles, pair % tiles
                    if cost[old, new, 0] == np.inf or cost[other, other_new, 0] == np.inf:
                        continue
                    if _missed(values, coefficients, old, new, other, other_new, low, high) >= missed:
                        continue
                    for choice in range(3):
                        one, two = int(choice == 1), int(choice == 2)
                        total = cost[old, new, one] + cost[other, other_new, two]
                        if total < least and place[old, new, one] != place[other, other_new, two]:
                            least, first, to = total, place[old, new, one], new
                            second, second_to = place[other, other_new, two], other_new
            if first < 0:
                break
            for rule in range(rules):
                values[rule] += coefficients[rule, to] - coefficients[rule, proposals[lane, first]]
            proposals[lane, first] = to
            if second >= 0:
                for rule in range(rules):
                    values[rule] += coefficients[rule, second_to] - coefficients[rule, proposals[lane, second]]
                proposals[lane, second] = second_to


class CountSettler:
    """Changes proposed tiles, one after the other, until count rules are kept.

    Each change is the one that costs least score among those that bring the rules' values nearer to their bounds, so
    that a missing crate goes where a crate was likeliest, and of two players the likelier stays. Where no single change
    does, the cheapest pair of changes is made. With scores that are
    log-probabilities plus Gumbel noise, as many tiles as a rule asks for are drawn without replacement (the Gumbel
    top-k trick, Kool 2019).

    Args:
        rules: the rules.
        tile_names: the names of the tiles by id.
    """

    def __init__(self, rules: Sequence[CountRule], tile_names: Sequence[str]) -> None:
        self._rules = rule_arrays(rules, tile_names)

    def __call__(
        self, proposals: NDArray[np.int64], scores: NDArray[np.float32], free: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Changes proposals in place.

        Args:
            proposals: int64 (n, cells), a tile for every cell.
            scores: float32 (n, cells, tiles), how good each tile would be; at most NEVER where it cannot be.
            free: bool (n, cells), which cells may be changed.

        Returns:
            float64 (n,): by how much the rules are still missed, together; 0 where all are kept.
        """
        broken = np.zeros(len(proposals))
        if len(self._rules[1]):
            _settle(proposals, scores, free, *self._rules, broken)
        return broken
