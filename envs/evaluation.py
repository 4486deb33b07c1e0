"""The one measure by which finished levels are judged, whoever made them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval.

    Attributes:
        mean: the mean over the sample.
        low: the lower end of the 95 % bootstrap interval.
        high: its upper end.
    """

    mean: float
    low: float
    high: float


def bootstrap(values: NDArray, seed: int = 0, resamples: int = 2000) -> Estimate:
    """Returns a mean with its 95 % percentile bootstrap interval.

    Args:
        values: numbers (n,), n at least 1, of independent levels.
        seed: fixes the resampling.
        resamples: how many samples are redrawn.
    """
    from scipy import stats  # noqa: PLC0415 (scipy is an extra, and slow to import)

    sample = np.asarray(values, np.float64)
    mean = float(sample.mean())
    if len(sample) < 2 or np.ptp(sample) == 0:
        return Estimate(mean, mean, mean)
    interval = stats.bootstrap(
        (sample,), np.mean, method="percentile", n_resamples=resamples, rng=np.random.default_rng(seed)
    ).confidence_interval
    return Estimate(mean, float(interval.low), float(interval.high))


def mean_distances(levels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Returns each level's mean Hamming distance to all the others, as a share of tiles, float64 (n,).

    Their mean is the batch's mean pairwise Hamming distance, the diversity of Khalifa 2022.

    Args:
        levels: uint8 (n, height, width).
    """
    number = len(levels)
    if number < 2:
        return np.zeros(number)
    flat = levels.reshape(number, -1)
    # The sum over pairs by tile counts: a level differs from all that hold another tile in the same cell.
    distances = np.zeros(number)
    for tile in range(int(flat.max()) + 1):
        holds = flat == tile
        distances += (holds * (number - holds.sum(axis=0))).sum(axis=1)
    return distances / ((number - 1) * flat.shape[1])


def diversity(levels: NDArray[np.uint8], seed: int = 0, resamples: int = 500) -> Estimate:
    """Returns the mean pairwise Hamming distance of levels, with a 95 % bootstrap interval over the levels.

    Args:
        levels: uint8 (n, height, width).
        seed: fixes the resampling.
        resamples: how many samples are redrawn.
    """
    number = len(levels)
    mean = float(mean_distances(levels).mean())
    if number < 3:
        return Estimate(mean, mean, mean)
    flat = levels.reshape(number, -1)
    pairs = np.stack([(flat != level).mean(axis=1) for level in flat])
    random = np.random.default_rng(seed)
    redrawn = []
    for _ in range(resamples):
        # Two draws of the same level are no pair: counting them would pull the interval down.
        members = random.integers(0, number, number)
        block = pairs[np.ix_(members, members)]
        different = members[:, None] != members[None, :]
        redrawn.append(block[different].mean() if different.any() else mean)
    low, high = np.percentile(redrawn, [2.5, 97.5])
    return Estimate(mean, float(low), float(high))


def percent(estimate: Estimate) -> str:
    """Writes a share with its interval: "87.0 % (79.5-93.0)"."""
    return f"{100 * estimate.mean:.1f} % ({100 * estimate.low:.1f}-{100 * estimate.high:.1f})"


def number(estimate: Estimate) -> str:
    """Writes a number with its interval: "0.812 (0.795-0.830)"."""
    return f"{estimate.mean:.3f} ({estimate.low:.3f}-{estimate.high:.3f})"
