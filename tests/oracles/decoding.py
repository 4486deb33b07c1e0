"""Levels drawn under count rules, slowly: every level there is, weighed and sorted out."""

from __future__ import annotations

from itertools import product

import numpy as np


def keeps(level, rules, names):
    """Whether a level, a tuple of tile ids, keeps all rules."""
    return all(rule.low <= sum(rule.coefficients.get(names[tile], 0) for tile in level) <= rule.high for rule in rules)


def weighed_levels(logits, rules, names, fixed):
    """Returns all levels that keep the rules and the fixed tiles, and the probability of each given that.

    Args:
        logits: float (cells, tiles).
        rules: CountRules.
        names: of the tiles.
        fixed: for each cell a tile, or -1.
    """
    cells, tiles = logits.shape
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    levels = [
        level
        for level in product(range(tiles), repeat=cells)
        if keeps(level, rules, names) and all(held in (-1, tile) for held, tile in zip(fixed, level, strict=True))
    ]
    weights = np.array(
        [np.prod([shares[cell, tile] for cell, tile in enumerate(level) if fixed[cell] < 0]) for level in levels]
    )
    return levels, weights / weights.sum()
