"""Metric controllability: how near samples come to the value of a metric that they were asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.evaluation import Estimate, bootstrap
from envs.problem import Problem

#: Which quantiles of the corpus are asked for.
QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)


@dataclass(frozen=True)
class Control:
    """How well one metric can be asked for.

    Attributes:
        metric: its name.
        asked: float64 (n,), what was asked of each level.
        measured: float64 (n,), what each level has.
        error: the mean absolute difference of the two, with its interval over levels.
        uncontrolled: the same for levels that nothing was asked of, held against the same values; what a generator
            that does not listen has.
        pearson: the linear correlation of asked and measured; NaN where either does not vary.
        spearman: that of their ranks (Spearman 1904).
    """

    metric: str
    asked: NDArray[np.float64]
    measured: NDArray[np.float64]
    error: Estimate
    uncontrolled: Estimate
    pearson: float
    spearman: float


def asked_values(values: NDArray, quantiles: tuple[float, ...] = QUANTILES) -> NDArray[np.float64]:
    """Returns the values to ask for: those quantiles of the corpus's values that differ, each a value that occurs."""
    return np.unique(np.quantile(np.asarray(values, np.float64), quantiles, method="nearest"))


def measure_control(
    problem: Problem,
    metric: str,
    corpus_values: NDArray,
    unconditional: NDArray,
    sample: Callable[[NDArray[np.float64]], NDArray[np.uint8]],
    each: int = 50,
    seed: int = 0,
) -> Control:
    """Asks a generator for values spread over the corpus's, and measures what it makes.

    Args:
        problem: whose levels they are.
        metric: the name of one of its metrics.
        corpus_values: (m,), that metric of the training levels.
        unconditional: (k,), that metric of samples that nothing was asked of; k at least 1.
        sample: makes one level for each asked value: float64 (n,) to uint8 (n, *shape).
        each: how many levels to ask for with each value.
        seed: of the intervals.
    """
    values = asked_values(corpus_values)
    asked = np.repeat(values, each)
    measured = problem.measure(sample(asked))[:, problem.index(metric)].astype(np.float64)
    # The mean over the asked values of each level's error: what a sample that was asked for nothing would have.
    trivial = np.abs(np.asarray(unconditional, np.float64)[:, None] - values[None, :]).mean(axis=1)
    pearson, spearman = correlations(asked, measured)
    return Control(
        metric, asked, measured, bootstrap(np.abs(measured - asked), seed), bootstrap(trivial, seed), pearson, spearman
    )


def correlations(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[float, float]:
    """Returns Pearson's and Spearman's correlation, NaN where one of the two does not vary."""
    from scipy import stats  # noqa: PLC0415 (slow to import)

    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan, math.nan
    return float(np.corrcoef(first, second)[0, 1]), float(stats.spearmanr(first, second).statistic)
