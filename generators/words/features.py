"""What levels can be asked for in words: metrics and numbers of tiles, with what few and many of them are.

Few, some and many, or short, middling and long, are learned from a corpus: they part the levels that have any of a
feature into thirds, as nearly as its values allow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.counts import CountRule, count_tiles
from envs.nouns import Noun
from envs.problem import Problem, Shape

#: The least and the greatest value that is asked for, both included; infinite where anything will do.
Interval = tuple[float, float]

#: What nothing is asked of.
ANYTHING: Interval = (-math.inf, math.inf)

#: What asks that there be none, or that there be any.
NONE: Interval = (-math.inf, 0.0)

#: So many values, from the least to the greatest of the corpus, say how a feature is spread.
_QUANTILES = 41

#: Where the corpus is parted into little, a middling amount and much.
_THIRDS = (1 / 3, 2 / 3)

#: "Very" asks for the outermost tenth.
_VERY = 0.1

#: A feature is told in captions where at least this share of levels differs from the commonest value.
_LEAST_VARIETY = 0.02

#: On so many random start levels it is found out which tiles a metric counts.
_PROBES = 128


@dataclass(frozen=True)
class Band:
    """A part of a feature's values that has a name.

    Attributes:
        name: "none", "low", "medium" or "high".
        low: its least value.
        high: its greatest.
        share: the share of the corpus's levels that lie in it.
    """

    name: str
    low: float
    high: float
    share: float


@dataclass(frozen=True)
class Feature:
    """A metric, or the number of a kind of tile.

    Attributes:
        name: the metric's name, or the tile's.
        metric: whether it is a metric.
        tiles: the names of the tiles that it counts together; empty where it counts none.
        noun: what it is called.
        others: what else it may be called, in the singular.
        whole: whether its values are whole numbers.
        quantiles: the corpus's values at evenly spread shares, from the least to the greatest.
        cuts: the greatest value of each band of positive values but the last; at most two, rising.
        shares: of the corpus's levels in each band; "none" comes first.
        varied: whether the corpus's levels differ in it.
    """

    name: str
    metric: bool
    tiles: tuple[str, ...]
    noun: Noun
    others: tuple[str, ...]
    whole: bool
    quantiles: tuple[float, ...]
    cuts: tuple[float, ...]
    shares: tuple[float, ...]
    varied: bool

    @property
    def least(self) -> float:
        """The least value of the corpus."""
        return self.quantiles[0]

    @property
    def greatest(self) -> float:
        """The greatest value of the corpus."""
        return self.quantiles[-1]

    @cached_property
    def spread(self) -> float:
        """How far apart the corpus's values lie, but for the outermost fortieths; at least 1."""
        return max(1.0, self.quantiles[-2] - self.quantiles[1])

    @cached_property
    def bands(self) -> tuple[Band, ...]:
        """The parts of its values, from none up: they cover all numbers and do not overlap."""
        names = {0: ("high",), 1: ("low", "high"), 2: ("low", "medium", "high")}[len(self.cuts)]
        lows = [self.after(0.0), *(self.after(cut) for cut in self.cuts)]
        highs = [*self.cuts, math.inf]
        parts = zip(("none", *names), (-math.inf, *lows), (0.0, *highs), self.shares, strict=True)
        return tuple(Band(*part) for part in parts)

    def band(self, name: str) -> Interval | None:
        """Returns what a band's name asks for; "very low" and "very high" too. None where there is no such band."""
        inner = name.removeprefix("very ")
        found = next(((band.low, band.high) for band in self.bands if band.name == inner), None)
        if found is None or (inner != "none" and not self.cuts):
            return None
        if inner != name:
            positive = [value for value in self.quantiles if value > 0]
            if inner == "low":
                return found[0], min(found[1], float(np.quantile(positive, _VERY, method="lower")))
            return max(found[0], float(np.quantile(positive, 1 - _VERY, method="higher"))), found[1]
        return found

    @cached_property
    def seen(self) -> tuple[float, ...]:
        """The different values among the quantiles, rising."""
        return tuple(sorted(set(self.quantiles)))

    @property
    def present(self) -> Interval:
        """What asks for any of it."""
        return self.after(0.0), math.inf

    def told(self, interval: Interval) -> str:
        """Returns what an interval asks for, in words of the grammar: "at least 3 enemies"."""
        low, high = interval
        if high <= 0:
            return f"no {self.noun.plural if self.noun.counted else self.noun.singular}"
        if low == high:
            amount = f"{low:g}"
        elif high == math.inf:
            amount = f"at least {max(low, 0):g}"
        elif low <= (0 if self.noun.counted else self.after(0)):
            amount = f"at most {high:g}"
        else:
            amount = f"{low:g} to {high:g}"
        if self.noun.counted:
            return f"{amount} {self.noun.singular if amount.endswith(' 1') or amount == '1' else self.noun.plural}"
        last = float(amount.rpartition(" ")[2])
        return f"a {self.noun.singular} of {amount} {self.unit_of(last)}".rstrip()

    def unit_of(self, number: float) -> str:
        """Returns the word for so many of a measure's units; "" where it has none."""
        unit = self.noun.unit
        return unit if number == 1 or not unit or unit == "percent" else f"{unit}s"

    def between(self, low: float, high: float) -> Interval:
        """Returns what "at least", "at most" or "between" ask for; what is measured must then be there at all.

        Args:
            low: the least value that is wanted, or -inf.
            high: the greatest, or inf.
        """
        if high <= 0:
            return NONE
        least = low if self.noun.counted else max(low, self.after(0))
        return (least if least > 0 else -math.inf), high

    def after(self, value: float) -> float:
        """Returns the least value above another."""
        return math.floor(value) + 1.0 if self.whole else float(np.nextafter(np.float32(value), np.float32(np.inf)))

    def before(self, value: float) -> float:
        """Returns the greatest value below another."""
        return math.ceil(value) - 1.0 if self.whole else float(np.nextafter(np.float32(value), np.float32(-np.inf)))

    def plain(self) -> dict[str, Any]:
        """Returns what was learned of it, for config.json; its nouns are the problem's."""
        return {
            "name": self.name,
            "tiles": list(self.tiles),
            "whole": self.whole,
            "quantiles": list(self.quantiles),
            "cuts": list(self.cuts),
            "shares": list(self.shares),
            "varied": self.varied,
        }


def learn_features(problem: Problem, shape: Shape, levels: NDArray[np.uint8], metrics: NDArray) -> tuple[Feature, ...]:
    """Returns the features of a problem as a corpus has them: all metrics, then all tiles that none counts by itself.

    Args:
        problem: the problem.
        shape: of the levels.
        levels: uint8 (n, *shape), the corpus.
        metrics: (n, metrics), what `Problem.measure` returns for them.
    """
    counting = counted_tiles(problem, shape)
    counts = count_tiles(levels, len(problem.tiles))
    found = []
    for column, metric in enumerate(problem.metrics):
        found.append(_learned(problem, metric.name, True, counting.get(metric.name, ()), metrics[:, column]))
    alone = {tiles[0] for tiles in counting.values() if len(tiles) == 1}
    for number, tile in enumerate(problem.tiles):
        if tile.name not in alone:
            found.append(_learned(problem, tile.name, False, (tile.name,), counts[:, number]))
    return tuple(found)


def feature_of(problem: Problem, plain: dict[str, Any]) -> Feature:
    """Returns the feature that `Feature.plain` described.

    Raises:
        ValueError, KeyError, TypeError: it is none, or the problem has it no more.
    """
    name = plain["name"]
    metric = name in [metric.name for metric in problem.metrics]
    tiles = tuple(plain["tiles"])
    strangers = [tile for tile in tiles if tile not in problem.tile_ids]
    if strangers or not (metric or tiles == (name,)):
        raise ValueError(f"{problem.name} has no {strangers[0] if strangers else name!r}")
    quantiles, cuts, shares = (tuple(map(float, plain[key])) for key in ("quantiles", "cuts", "shares"))
    rising = all(first <= second for first, second in pairwise(quantiles))
    parted = len(cuts) <= 2 and len(shares) == len(cuts) + 2 and all(cut > 0 for cut in cuts)
    if not (rising and parted and len(quantiles) == _QUANTILES and np.isfinite([*quantiles, *cuts, *shares]).all()):
        raise ValueError(f"what is said of {name} cannot be")
    noun, others = _nouns(problem, name, metric, tiles)
    return Feature(name, metric, tiles, noun, others, bool(plain["whole"]), quantiles, cuts, shares, plain["varied"])


def counted_tiles(problem: Problem, shape: Shape) -> dict[str, tuple[str, ...]]:
    """Finds which metrics are numbers of tiles, of one kind or several together, and of which.

    Metrics say so by what they measure of random start levels.

    Args:
        problem: the problem.
        shape: of the levels.

    Returns:
        By the names of such metrics those of the tiles.
    """
    uniforms = np.random.default_rng(0).random((_PROBES, 1 + int(np.prod(shape))))
    levels = problem.start_levels(uniforms, shape)
    # Start levels may lack a kind of tile nearly always; in these each kind is as likely as every other.
    levels[::2] = np.random.default_rng(1).integers(0, len(problem.tiles), levels[::2].shape)
    counts = count_tiles(levels, len(problem.tiles)).astype(np.float64)
    metrics = problem.measure_static(levels)
    found = {}
    for column, metric in enumerate(problem.metrics):
        if metric.play:
            continue
        weights = np.linalg.lstsq(counts, metrics[:, column].astype(np.float64), rcond=None)[0].round()
        if set(weights) == {0, 1} and np.array_equal(counts @ weights, metrics[:, column]):
            found[metric.name] = tuple(tile.name for tile, weight in zip(problem.tiles, weights, strict=True) if weight)
    return found


def count_rules(features: tuple[Feature, ...], asked: Mapping[str, Interval]) -> tuple[CountRule, ...]:
    """Returns what intervals ask of the numbers of tiles, as the suite's count rules."""
    return tuple(
        CountRule(dict.fromkeys(feature.tiles, 1), max(0.0, asked[feature.name][0]), asked[feature.name][1])
        for feature in features
        if feature.tiles and feature.name in asked
    )


def _learned(problem: Problem, name: str, metric: bool, tiles: tuple[str, ...], values: NDArray) -> Feature:
    numbers = np.sort(np.asarray(values, np.float64))
    _, times = np.unique(numbers, return_counts=True)
    quantiles = np.quantile(numbers, np.linspace(0, 1, _QUANTILES), method="nearest")
    cuts = _cuts(numbers[numbers > 0])
    # Of a histogram's bins the lower ends belong to them, of bands the upper ends.
    edges = [-np.inf, *(np.nextafter(cut, np.inf) for cut in (0.0, *cuts)), np.inf]
    shares = np.histogram(numbers, edges)[0] / len(numbers)
    noun, others = _nouns(problem, name, metric, tiles)
    return Feature(
        name,
        metric,
        tiles,
        noun,
        others,
        bool((numbers == numbers.round()).all()),
        tuple(map(float, quantiles)),
        cuts,
        tuple(map(float, shares)),
        bool(1 - times.max() / len(numbers) >= _LEAST_VARIETY),
    )


def _cuts(positive: NDArray[np.float64]) -> tuple[float, ...]:
    """Returns where sorted positive values are parted: after the values whose shares come nearest to thirds."""
    kinds, times = np.unique(positive, return_counts=True)
    shares = times.cumsum() / max(1, len(positive))
    cuts: list[float] = []
    for third in _THIRDS:
        free = np.flatnonzero((np.arange(len(kinds)) < len(kinds) - 1) & (kinds > (cuts[-1] if cuts else 0)))
        if len(free):
            cuts.append(float(kinds[free[np.abs(shares[free] - third).argmin()]]))
    return tuple(cuts)


def _nouns(problem: Problem, name: str, metric: bool, tiles: tuple[str, ...]) -> tuple[Noun, tuple[str, ...]]:
    """Returns what a feature is called, and all else that it may be called, in the singular."""
    tile = tiles[0] if len(tiles) == 1 else ""
    plain = " ".join(name.split("-"))
    declared = [problem.nouns[key] for key in (name, tile) if key in problem.nouns]
    noun = declared[0] if declared else _derived(plain, tile)
    others = [other for one in declared for other in (one.singular, *one.others)]
    if tile:
        others.append(f"{tile} tile")
    # A tile's name alone may be an adjective, as "empty" and "solid" are: then its noun is declared.
    if not declared or plain != tile:
        others.append(plain)
    return noun, tuple(dict.fromkeys(other for other in others if other != noun.singular))


def _derived(plain: str, tile: str) -> Noun:
    """Makes a noun of a name: "path length" is a path, short or long, and of "jumps" there are few or many."""
    if tile:
        return Noun(tile.replace("-", " "))
    if plain.endswith(" length"):
        return Noun(plain.removesuffix(" length"), grades=("short", "long"), unit="step")
    counted = plain.removeprefix("num ")
    if counted.endswith("s") and not counted.endswith("ss"):
        return Noun(counted[:-1], counted)
    return Noun(plain, grades=("low", "high"))
