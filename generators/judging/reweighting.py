"""Reweighted sampling: choosing from many samples so that a metric is distributed as is wanted.

What a generator makes too often is left out more often, by importance weights: target share over sampled share of each
bucket. A mitigation of a skewed generator that needs no training, but more samples than are kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.errors import UserError


@dataclass(frozen=True)
class Reweighted:
    """Samples chosen so that their buckets have shares near a target's.

    Attributes:
        chosen: int64 (k,), which of the samples, each at most once, in their order.
        weights: float64 (n,), the importance weight of each sample, of mean 1; 0 where the target has none of it.
        effective: the effective sample size (sum w)^2 / sum w^2 (Kish 1965): as many samples as these, drawn from the
            target itself, would tell as much.
        missing: the share of the target that lies in buckets without a single sample.
        before: total-variation distance of all samples' buckets from the target, in [0, 1].
        after: the same of the chosen ones.
    """

    chosen: NDArray[np.int64]
    weights: NDArray[np.float64]
    effective: float
    missing: float
    before: float
    after: float


def shares(buckets: NDArray[np.int64], number: int) -> NDArray[np.float64]:
    """Returns the share of each bucket, float64 (number,), of bucket numbers (n,), n at least 1."""
    return np.bincount(buckets, minlength=number)[:number] / len(buckets)


def total_variation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Returns half the sum of absolute differences of two distributions over the same buckets, in [0, 1]."""
    return float(np.abs(first - second).sum() / 2)


def reweigh(buckets: NDArray[np.int64], target: NDArray[np.float64], count: int, seed: int = 0) -> Reweighted:
    """Chooses samples without repetition so that their buckets come near to a target distribution.

    Each bucket gets its share of `count`, rounded by the largest remainder; where it has too few samples, all of them
    are taken, and what is missing is shared out to the others by their target shares.

    Args:
        buckets: int64 (n,), the bucket of each sample, 0 to len(target) - 1.
        target: float64 (buckets,), the shares wanted; they sum to 1.
        count: how many to choose, 1 to n.
        seed: fixes which samples of a bucket are chosen.

    Raises:
        UserError: the target is no distribution, or fewer samples than `count` lie where it has any share.
    """
    wanted = np.asarray(target, np.float64)
    if wanted.ndim != 1 or (wanted < 0).any() or not np.isclose(wanted.sum(), 1):
        raise UserError(f"The target must be shares of at least 0 that sum to 1; they sum to {wanted.sum():g}.")
    numbers = np.asarray(buckets, np.int64)
    if len(numbers) == 0 or numbers.min() < 0 or numbers.max() >= len(wanted):
        raise UserError(f"The buckets of at least 1 sample must be numbers from 0 to {len(wanted) - 1}.")
    counts = np.bincount(numbers, minlength=len(wanted))
    usable = int(counts[wanted > 0].sum())
    if not 1 <= count <= usable:
        raise UserError(
            f"{count} levels cannot be chosen from {usable} samples that the target has any use for; draw more samples."
        )
    sampled = counts / len(numbers)
    ratio = np.divide(wanted, sampled, out=np.zeros_like(wanted), where=sampled > 0)
    weights = ratio[numbers]
    weights /= weights.mean()
    random = np.random.default_rng(seed)
    order = random.permutation(len(numbers))
    chosen = []
    for bucket, quota in enumerate(_quotas(wanted, counts, count)):
        chosen.append(order[numbers[order] == bucket][:quota])
    picked = np.sort(np.concatenate(chosen)).astype(np.int64)
    return Reweighted(
        picked,
        weights,
        float(weights.sum() ** 2 / (weights**2).sum()),
        float(wanted[counts == 0].sum()),
        total_variation(sampled, wanted),
        total_variation(shares(numbers[picked], len(wanted)), wanted),
    )


def _quotas(target: NDArray[np.float64], counts: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """Returns how many samples to take of each bucket: int64, `total` in all, none above its count."""
    quotas = np.zeros(len(target), np.int64)
    while quotas.sum() < total:
        free = np.where(quotas < counts, target, 0.0)
        ideal = free / free.sum() * (total - quotas.sum())
        more = np.minimum(np.floor(ideal).astype(np.int64), counts - quotas)
        if not more.any():
            # Less than one is left for each bucket: the largest remainders get one.
            for bucket in np.argsort(-ideal, kind="stable")[: total - quotas.sum()]:
                more[bucket] = min(1, counts[bucket] - quotas[bucket]) if free[bucket] else 0
        quotas += more
    return quotas
