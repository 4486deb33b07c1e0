"""What makes a level playable, where integer programming can say it: rules that are linear in which tile stands where.

A problem whose playability needs a search of moves (pushing crates, jumping) has no such rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from envs.counts import CountRule, check_rules


@dataclass(frozen=True)
class OneRegion:
    """All cells of some tiles are one region: each can be reached from each over them, by faces, and there is one.

    Attributes:
        tiles: the names of the tiles.
    """

    tiles: tuple[str, ...]


@dataclass(frozen=True)
class Touches:
    """Every cell of one tile has a neighbour, by a face, of some others.

    Attributes:
        tile: the tile's name.
        tiles: the names of the others.
    """

    tile: str
    tiles: tuple[str, ...]


@dataclass(frozen=True)
class Apart:
    """No cell of some tiles is nearer than a number of steps to a cell of one tile.

    Attributes:
        tile: the name of the tile that steps are counted from.
        tiles: the names of the tiles that keep away from it.
        over: the names of the tiles that steps lead over; `tile` and `tiles` must be among them.
        steps: the least number of steps between.
    """

    tile: str
    tiles: tuple[str, ...]
    over: tuple[str, ...]
    steps: int


LinearRule = CountRule | OneRegion | Touches | Apart


@dataclass(frozen=True)
class LinearRules:
    """The rules of one problem. What they ask is besides the problem's `count_rules`.

    Attributes:
        playable: a level that keeps these, and the count rules, is playable.
        targets: a level that keeps these, and `playable`, and the count rules, meets every finite target.
    """

    playable: tuple[LinearRule, ...] = ()
    targets: tuple[LinearRule, ...] = ()


def check_linear_rules(rules: LinearRules, tile_names: Sequence[str]) -> str:
    """Returns what is wrong with linear rules for a problem of such tiles, or nothing."""
    for rule in (*rules.playable, *rules.targets):
        if isinstance(rule, CountRule):
            wrong = check_rules([rule], tile_names)
            if wrong:
                return wrong
            continue
        for name in _named(rule):
            if name not in tile_names:
                return f"a linear rule names the tile {name!r}; the tiles are {', '.join(tile_names)}"
        if isinstance(rule, Apart) and not {rule.tile, *rule.tiles} <= set(rule.over):
            return f"the steps from {rule.tile!r} must lead over it and over {', '.join(rule.tiles)}"
        if isinstance(rule, Apart) and rule.steps < 1:
            return f"{rule.steps} steps between tiles ask for nothing; there must be at least 1"
    return ""


def _named(rule: OneRegion | Touches | Apart) -> Iterable[str]:
    """Returns every tile that a rule names."""
    if isinstance(rule, OneRegion):
        return rule.tiles
    if isinstance(rule, Touches):
        return (rule.tile, *rule.tiles)
    return (rule.tile, *rule.tiles, *rule.over)
