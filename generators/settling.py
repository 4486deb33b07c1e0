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
    better = np.zeros((tiles, tiles), np.bool_)
    for lane in range(len(proposals)):
        values[:] = 0
        for cell in range(cells):
            for rule in range(rules):
                values[rule] += coefficients[rule, proposals[lane, cell]]
        while True:
            missed = 0.0
            for rule in range(rules):
                missed += _miss(values[rule], low[rule], high[rule])
            broken[lane] = missed
            if missed == 0:
                break
            for old in range(tiles):
                for new in range(tiles):
                    after = 0.0
                    for rule in range(rules):
                        value = values[rule] - coefficients[rule, old] + coefficients[rule, new]
                        after += _miss(value, low[rule], high[rule])
                    better[old, new] = after < missed
            least, at, to = np.inf, -1, -1
            for cell in range(cells):
                if not free[lane, cell]:
                    continue
                old = proposals[lane, cell]
                for new in range(tiles):
                    if better[old, new] and scores[lane, cell, new] > -1e8:
                        regret = np.float64(scores[lane, cell, old]) - scores[lane, cell, new]
                        if regret < least:
                            least, at, to = regret, cell, new
            if at < 0:
                break
            for rule in range(rules):
                values[rule] += coefficients[rule, to] - coefficients[rule, proposals[lane, at]]
            proposals[lane, at] = to


class CountSettler:
    """Changes proposed tiles, one after the other, until count rules are kept.

    Each change is the one that costs least score among those that bring the rules' values nearer to their bounds, so
    that a missing crate goes where a crate was likeliest, and of two players the likelier stays. With scores that are
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
