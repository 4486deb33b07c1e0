"""Fairness of a generator: what it makes too often and too seldom, compared with the corpus that it learned from.

Three views: the distribution of every metric, over buckets that part the corpus evenly; how many of each tile there
are; and in which of nine regions of the map the rarer tiles lie.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.evaluation import Estimate
from generators.judging.distance import tile_counts
from generators.judging.likelihood import ratio
from generators.judging.reweighting import shares, total_variation

#: Into how many buckets the corpus's values are parted, as evenly as they can be.
BUCKETS = 5

#: The regions of the map, by thirds of its height and of its width.
REGIONS = tuple(
    f"{row} {column}".strip().replace("middle centre", "middle")
    for row in ("top", "middle", "bottom")
    for column in ("left", "centre", "right")
)

#: The share of chances that lies beyond one end of a 95 % interval.
_TAIL = 0.025

#: A tile is rare where at most this share of the corpus's cells holds it.
RARE = 0.1


@dataclass(frozen=True)
class Buckets:
    """A metric's range, cut at quantiles of the corpus; two more buckets lie outside the corpus's range.

    Attributes:
        edges: float64 (buckets - 1,), rising: the corpus's least value, what parts its values, and what is next above
            its greatest. Bucket i holds what is at least edges[i - 1] and less than edges[i].
        whole: whether all of the corpus's values are whole numbers.
    """

    edges: NDArray[np.float64]
    whole: bool

    @classmethod
    def of(cls, values: NDArray, count: int = BUCKETS) -> Buckets:
        """Cuts the range of values, (m,) of the corpus, into at most `count` buckets, and one on either side."""
        numbers = np.asarray(values, np.float64)
        inner = np.quantile(numbers, np.linspace(0, 1, count + 1)[1:-1], method="higher")
        above = np.nextafter(numbers.max(), np.inf)
        edges = np.unique(np.concatenate([[numbers.min()], inner, [above]]))
        return cls(edges, bool((numbers == np.round(numbers)).all()))

    def __len__(self) -> int:
        return len(self.edges) + 1

    def numbers(self, values: NDArray) -> NDArray[np.int64]:
        """Returns the bucket of each value, int64 (n,)."""
        return np.searchsorted(self.edges, np.asarray(values, np.float64), side="right").astype(np.int64)

    def names(self) -> list[str]:
        """Returns what each bucket holds, in words."""
        inner = []
        for low, high in zip(self.edges[:-1], self.edges[1:], strict=True):
            if self.whole:
                # The last edge is what follows the greatest value, which is a whole number.
                last = high - 1 if high == np.round(high) else np.floor(high)
                inner.append(f"{low:g}" if last <= low else f"{low:g} to {last:g}")
            else:
                inner.append(f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g} to {high:.3g}")
        return [f"below {self.edges[0]:g}", *inner, f"above {np.nextafter(self.edges[-1], -np.inf):g}"]


@dataclass(frozen=True)
class MetricShift:
    """How a metric's distribution differs from the corpus's.

    Attributes:
        name: the metric's.
        buckets: their names.
        sampled: float64 (buckets,), the shares of the samples.
        corpus: the same of the corpus.
        low: the lower ends of the sampled shares' 95 % bootstrap intervals; of a bucket that holds all levels or none,
            of the exact binomial interval (Clopper 1934).
        high: their upper ends.
        variation: total-variation distance of the two, in [0, 1].
        floor: what it would be for as many levels drawn from the corpus itself, on average.
        wasserstein: the first Wasserstein distance, in the metric's units: how far the average level would have to
            move.
        kolmogorov: the Kolmogorov-Smirnov distance, the greatest difference of the two cumulative distributions.
        mean: the samples' mean, with its interval.
        corpus_mean: the corpus's.
    """

    name: str
    buckets: tuple[str, ...]
    sampled: NDArray[np.float64]
    corpus: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    variation: float
    floor: float
    wasserstein: float
    kolmogorov: float
    mean: Estimate
    corpus_mean: float


@dataclass(frozen=True)
class TileShift:
    """How often a tile occurs, beside the corpus.

    Attributes:
        tile: its name.
        sampled: how many a sample has on average, with its interval; where there is none, of Poisson counts.
        corpus: how many a corpus level has.
        rare: whether it is rare in the corpus.
        regions: float64 (9,), the share of the samples' tiles of this kind in each of REGIONS; NaN where there are
            none.
        corpus_regions: the same of the corpus.
        region_low: the lower ends of the samples' 95 % bootstrap intervals, over levels; of a region that holds all or
            none of the tiles, of the exact binomial interval over the levels that have any.
        region_high: their upper ends.
    """

    tile: str
    sampled: Estimate
    corpus: float
    rare: bool
    regions: NDArray[np.float64]
    corpus_regions: NDArray[np.float64]
    region_low: NDArray[np.float64]
    region_high: NDArray[np.float64]


@dataclass(frozen=True)
class Finding:
    """One thing that is made too often or too seldom.

    Attributes:
        what: in words.
        sampled: its share of the samples, or its mean number in one.
        corpus: the same of the corpus.
        clear: whether the interval of `sampled` does not reach the corpus's.
    """

    what: str
    sampled: float
    corpus: float
    clear: bool

    @property
    def times(self) -> float:
        """How many times as often as in the corpus; infinite where the corpus has none."""
        return self.sampled / self.corpus if self.corpus else float("inf")


def shift_metric(name: str, values: NDArray, corpus_values: NDArray, seed: int = 0) -> MetricShift:
    """Compares a metric's distribution with the corpus's.

    Args:
        name: the metric's.
        values: (n,), of the samples, n at least 1, all of them numbers.
        corpus_values: (m,), of the corpus, m at least 1.
        seed: of the intervals.
    """
    from scipy import stats  # noqa: PLC0415 (slow to import)

    own, other = np.asarray(values, np.float64), np.asarray(corpus_values, np.float64)
    buckets = Buckets.of(other)
    numbers, size = buckets.numbers(own), len(buckets)
    sampled, corpus = shares(numbers, size), shares(buckets.numbers(other), size)
    random = np.random.default_rng(seed)
    redrawn = random.multinomial(len(own), sampled, 2000) / len(own)
    low, high = np.percentile(redrawn, [2.5, 97.5], axis=0)
    # Redrawing what holds none, or nothing else, tells nothing of the chance that there are some.
    edge = _TAIL ** (1 / len(own))
    low, high = np.where(sampled == 1, edge, low), np.where(sampled == 0, 1 - edge, high)
    floor = np.abs(random.multinomial(len(own), corpus, 500) / len(own) - corpus).sum(axis=1).mean() / 2
    return MetricShift(
        name,
        tuple(buckets.names()),
        sampled,
        corpus,
        low,
        high,
        total_variation(sampled, corpus),
        float(floor),
        float(stats.wasserstein_distance(own, other)),
        float(stats.ks_2samp(own, other, method="asymp").statistic),
        ratio(own, np.ones(len(own)), seed),
        float(other.mean()),
    )


def region_counts(levels: NDArray[np.uint8], tile: int) -> NDArray[np.int64]:
    """Returns how many of a tile lie in each of REGIONS, int64 (n, 9); all storeys count together.

    A level is cut into thirds of its height and of its width; a row or column belongs to the third that its middle
    lies in.
    """
    holds = (levels == tile).reshape(len(levels), -1, *levels.shape[-2:]).sum(axis=1)
    height, width = levels.shape[-2:]
    thirds = [np.minimum(((np.arange(size) + 0.5) * 3 / size).astype(int), 2) for size in (height, width)]
    region = 3 * thirds[0][:, None] + thirds[1][None, :]
    return np.stack([holds[:, region == i].sum(axis=1) for i in range(9)], axis=1).astype(np.int64)


def shift_tiles(
    levels: NDArray[np.uint8], corpus: NDArray[np.uint8], names: Sequence[str], seed: int = 0
) -> list[TileShift]:
    """Compares how often each tile occurs, and in which region of the map.

    Args:
        levels: uint8 (n, *shape), the samples.
        corpus: uint8 (m, *shape).
        names: the tiles' names by id.
        seed: of the intervals.
    """
    counts, other = tile_counts(levels, len(names)), tile_counts(corpus, len(names))
    found = []
    for tile, name in enumerate(names):
        regions, others = region_counts(levels, tile), region_counts(corpus, tile)
        if regions.sum():
            edge = _TAIL ** (1 / int(regions.any(axis=1).sum()))
            parts = [_opened(ratio(regions[:, i], regions.sum(axis=1), seed), edge) for i in range(9)]
        else:
            parts = [Estimate(np.nan, np.nan, np.nan)] * 9
        number = ratio(counts[:, tile], np.ones(len(levels)), seed)
        if number.mean == 0:
            number = Estimate(0.0, 0.0, -math.log(_TAIL) / len(levels))
        found.append(
            TileShift(
                name,
                number,
                float(other[:, tile].mean()),
                bool(other[:, tile].sum() <= RARE * other.sum()),
                np.array([part.mean for part in parts]),
                others.sum(axis=0) / others.sum() if others.sum() else np.full(9, np.nan),
                np.array([part.low for part in parts]),
                np.array([part.high for part in parts]),
            )
        )
    return found


def _opened(share: Estimate, edge: float) -> Estimate:
    """Returns a share with an interval of some width where it is 0 or 1."""
    if share.mean == 0:
        return Estimate(0.0, 0.0, 1 - edge)
    return Estimate(1.0, edge, 1.0) if share.mean == 1 else share


def cell_frequencies(levels: NDArray[np.uint8], tile: int) -> NDArray[np.float64]:
    """Returns in what share of levels each cell holds a tile, float64 (height, width), the mean over storeys."""
    frequencies = (levels == tile).mean(axis=0)
    return frequencies.reshape(-1, *levels.shape[-2:]).mean(axis=0)


def bucket_findings(shifts: Sequence[MetricShift], most: int = 3) -> tuple[list[Finding], list[Finding]]:
    """Returns the buckets most over- and most under-produced, by the difference of shares.

    Returns:
        At most `most` of either, the greatest difference first; only what differs at all.
    """
    found = [
        Finding(f"{shift.name} {name}", sampled, corpus, not low <= corpus <= high)
        for shift in shifts
        for name, sampled, corpus, low, high in zip(
            shift.buckets, shift.sampled, shift.corpus, shift.low, shift.high, strict=True
        )
    ]
    return _extremes(found, most)


def region_findings(shifts: Sequence[TileShift], most: int = 3) -> tuple[list[Finding], list[Finding]]:
    """Returns the regions where rare tiles lie most over- and most under-proportionally, as `bucket_findings` does."""
    found = [
        Finding(f"{shift.tile} at the {region}", sampled, corpus, not low <= corpus <= high)
        for shift in shifts
        if shift.rare and np.isfinite(shift.regions).all() and np.isfinite(shift.corpus_regions).all()
        for region, sampled, corpus, low, high in zip(
            REGIONS, shift.regions, shift.corpus_regions, shift.region_low, shift.region_high, strict=True
        )
    ]
    return _extremes(found, most)


def tile_findings(shifts: Sequence[TileShift], most: int = 3) -> tuple[list[Finding], list[Finding]]:
    """Returns the tiles most over- and most under-produced, by the ratio of their mean numbers."""
    found = [
        Finding(
            shift.tile, shift.sampled.mean, shift.corpus, not shift.sampled.low <= shift.corpus <= shift.sampled.high
        )
        for shift in shifts
        if shift.sampled.mean or shift.corpus
    ]
    found.sort(key=lambda finding: -finding.times)
    return (
        [finding for finding in found if finding.times > 1][:most],
        [finding for finding in reversed(found) if finding.times < 1][:most],
    )


def _extremes(found: list[Finding], most: int) -> tuple[list[Finding], list[Finding]]:
    ordered = sorted(found, key=lambda finding: finding.corpus - finding.sampled)
    return (
        [finding for finding in ordered if finding.sampled > finding.corpus][:most],
        [finding for finding in reversed(ordered) if finding.sampled < finding.corpus][:most],
    )
