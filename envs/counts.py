"""Linear rules on how many tiles of each kind a level has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class CountRule:
    """One linear rule on tile counts: low <= sum of coefficient * count <= high.

    "Exactly one player" is CountRule({"player": 1}, 1, 1); "as many targets as crates" is
    CountRule({"crate": 1, "target": -1}, 0, 0).

    Attributes:
        coefficients: whole numbers by tile name; tiles that are not named do not count.
        low: the least value, or -inf.
        high: the greatest value, or inf.
    """

    coefficients: Mapping[str, int]
    low: float
    high: float


def exactly(number: int, *tiles: str) -> tuple[CountRule, ...]:
    """Returns the rules that there are exactly `number` of each of some tiles."""
    return tuple(CountRule({tile: 1}, number, number) for tile in tiles)


def rule_arrays(
    rules: Sequence[CountRule], tile_names: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Returns rules as arrays.

    Args:
        rules: the rules, r of them.
        tile_names: the names of the tiles in the order of their ids.

    Returns:
        The coefficients, int64 (r, tiles), and the least and greatest values, float64 (r,) each.
    """
    coefficients = np.zeros((len(rules), len(tile_names)), np.int64)
    for row, rule in zip(coefficients, rules, strict=True):
        for name, coefficient in rule.coefficients.items():
            row[tile_names.index(name)] = coefficient
    low = np.array([rule.low for rule in rules], np.float64)
    high = np.array([rule.high for rule in rules], np.float64)
    return coefficients, low, high


def count_tiles(levels: NDArray[np.uint8], tiles: int) -> NDArray[np.int64]:
    """Returns how many of each tile every level has, int64 (n, tiles)."""
    flat = levels.reshape(len(levels), -1)
    return np.stack([(flat == tile).sum(axis=1) for tile in range(tiles)], axis=1).astype(np.int64)


def kept(rules: Sequence[CountRule], levels: NDArray[np.uint8], tile_names: Sequence[str]) -> NDArray[np.bool_]:
    """Tells which levels keep all of some rules.

    Args:
        rules: the rules.
        levels: uint8 (n, *shape).
        tile_names: the names of the tiles in the order of their ids.

    Returns:
        bool (n,).
    """
    coefficients, low, high = rule_arrays(rules, tile_names)
    values = count_tiles(levels, len(tile_names)) @ coefficients.T
    return np.asarray(((values >= low) & (values <= high)).all(axis=1), np.bool_)


def check_rules(rules: Iterable[CountRule], tile_names: Sequence[str]) -> str:
    """Returns what is wrong with rules for a problem of such tiles, or nothing."""
    for rule in rules:
        for name, coefficient in rule.coefficients.items():
            if name not in tile_names:
                return f"a count rule names the tile {name!r}; the tiles are {', '.join(tile_names)}"
            if coefficient != int(coefficient) or coefficient == 0:
                return f"a count rule gives {name!r} the coefficient {coefficient}; it must be a whole number but 0"
        if not rule.low <= rule.high:
            return f"a count rule's least value {rule.low} is above its greatest {rule.high}"
    return ""
