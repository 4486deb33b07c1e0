"""How well a model predicts levels that it has not seen: likelihood and accuracy for each tile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.evaluation import Estimate, bootstrap


@dataclass(frozen=True)
class Likelihood:
    """How well a model predicts some levels.

    Attributes:
        nats: negative log-likelihood of a tile, in nats, the mean over levels with its interval.
        bound: whether that is an upper bound only.
        accuracy: the share of tiles that the model took for likeliest; None where it cannot tell.
        rare_accuracy: the same among tiles that are not the corpus's commonest: always naming that one earns nothing.
        note: what the model was told when it predicted.
    """

    nats: Estimate
    bound: bool
    accuracy: Estimate | None
    rare_accuracy: Estimate | None
    note: str


def measure_likelihood(
    levels: NDArray[np.uint8],
    nats: NDArray[np.float64],
    predicted: NDArray[np.uint8] | None,
    commonest: int,
    bound: bool = False,
    note: str = "",
    seed: int = 0,
) -> Likelihood:
    """Judges what a model said of levels.

    Args:
        levels: uint8 (n, *shape).
        nats: float64 (n,), the mean negative log-likelihood of a tile of each level.
        predicted: uint8 (n, *shape), the likeliest tile in each cell; or None.
        commonest: the corpus's commonest tile.
        bound: whether `nats` are upper bounds.
        note: what the model was told.
        seed: of the intervals, which are over levels.
    """
    if predicted is None:
        return Likelihood(bootstrap(nats, seed), bound, None, None, note)
    flat, guessed = levels.reshape(len(levels), -1), predicted.reshape(len(levels), -1)
    right, rare = flat == guessed, flat != commonest
    return Likelihood(
        bootstrap(nats, seed),
        bound,
        bootstrap(right.mean(axis=1), seed),
        ratio((right & rare).sum(axis=1), rare.sum(axis=1), seed) if rare.any() else None,
        note,
    )


def ratio(numerators: NDArray, denominators: NDArray, seed: int = 0, resamples: int = 2000) -> Estimate:
    """Returns a ratio of two sums over levels, with a 95 % percentile bootstrap interval over the levels.

    Args:
        numerators: (n,).
        denominators: (n,), at least 0, not all of them 0.
        seed: fixes the resampling.
        resamples: how many samples are redrawn.
    """
    above, below = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    mean = float(above.sum() / below.sum())
    draws = np.random.default_rng(seed).multinomial(len(above), np.full(len(above), 1 / len(above)), resamples)
    bottoms = draws @ below
    redrawn = (draws @ above)[bottoms > 0] / bottoms[bottoms > 0]
    low, high = np.percentile(redrawn, [2.5, 97.5])
    return Estimate(mean, float(low), float(high))
