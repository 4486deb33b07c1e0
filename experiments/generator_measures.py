"""What is measured of a generator beyond the judgement of its levels: prediction, control, and its distribution."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.errors import unknown_name
from envs.evaluation import Estimate
from envs.problem import Problem
from generators.corpus import Corpus
from generators.generator import Generator
from generators.judging.control import Control, measure_control
from generators.judging.fairness import Buckets, MetricShift, TileShift, shift_metric
from generators.judging.judgement import Judgement
from generators.judging.likelihood import Likelihood, measure_likelihood
from generators.judging.playability import Play
from generators.judging.reweighting import Reweighted, reweigh, shares

#: The most metrics whose controllability is measured, those that vary most in the corpus first.
CONTROLLED = 6

#: How many times as many samples are drawn as are kept in reweighted sampling.
POOL = 4

#: What the length of the solver's solutions is called among the metrics.
SOLUTION = "solution"


@dataclass(frozen=True)
class Mended:
    """What became of levels that were repaired.

    Attributes:
        judgement: of the levels afterwards.
        edits: int64 (n,), how many tiles were changed.
        milliseconds: what the repair of a level that was not playable took.
        method: how they were repaired.
    """

    judgement: Judgement
    edits: NDArray[np.int64]
    milliseconds: float
    method: str


@dataclass(frozen=True)
class Mitigation:
    """What reweighted sampling did to the distribution of a metric.

    Attributes:
        metric: its name.
        target: what the shares were to be: "corpus" or "uniform".
        found: which samples were chosen, and how well that worked.
        pool: of how many samples.
        buckets: the buckets' names.
        wanted: float64 (buckets,), the shares wanted.
        before: float64 (buckets,), the shares of all samples.
        after: float64 (buckets,), the shares of those chosen.
        others_before: the mean total-variation distance of the other metrics from the corpus's, of all samples.
        others_after: the same of those chosen.
    """

    metric: str
    target: str
    found: Reweighted
    pool: int
    buckets: tuple[str, ...]
    wanted: NDArray[np.float64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    others_before: float
    others_after: float


@dataclass(frozen=True)
class Evaluation:
    """All that was measured of a generator, or of levels.

    Attributes:
        problem: whose levels.
        corpus: what they are compared with.
        rows: the judgements; the first is of what is evaluated, the last two of random and of real levels.
        scored: how well models predict real levels, by the row's name.
        mended: what repair made of the first row's levels, if that was asked for.
        controls: how well metrics can be asked for.
        reference: the play of corpus levels.
        reference_levels: uint8 (m, *shape), those levels.
        shifts: how the metrics' distributions differ from the corpus's.
        tiles: how the tiles' numbers and places do.
        compared: another generator's name and its shifts.
        mitigations: what reweighted sampling did.
        axes: the two metrics of the expressive range; None where fewer than two vary.
        threshold: the edit distance from which on a level is novel.
        skipped: which families were not judged, and why.
        facts: how all this was made, as plain data.
    """

    problem: Problem
    corpus: Corpus
    rows: list[Judgement]
    scored: dict[str, Likelihood]
    mended: Mended | None
    controls: list[Control]
    reference: Play
    reference_levels: NDArray[np.uint8]
    shifts: list[MetricShift]
    tiles: list[TileShift]
    compared: tuple[str, list[MetricShift]] | None
    mitigations: list[Mitigation]
    axes: tuple[str, str] | None
    threshold: int
    skipped: list[str]
    facts: dict[str, Any]

    @property
    def subject(self) -> Judgement:
        """The judgement of what is evaluated."""
        return self.rows[0]


def short(estimate: Estimate, digits: int) -> str:
    """Writes a number with its interval."""
    if math.isnan(estimate.mean):
        return ""
    return f"{estimate.mean:.{digits}f} ({estimate.low:.{digits}f}-{estimate.high:.{digits}f})"


def measured_likelihood(generator: Generator, levels: NDArray[np.uint8], seed: int) -> Likelihood | None:
    """Measures how well a generator predicts levels, uint8 (n, *shape); None where its family cannot tell."""
    scores = generator.score(levels)
    if scores is None:
        return None
    commonest = generator.spec.commonest
    return measure_likelihood(levels, scores.nats, scores.predicted, commonest, scores.bound, scores.note, seed)


def columns_of(problem: Problem, play: Play) -> dict[str, NDArray[np.float64]]:
    """Returns what levels are compared by: the metrics, and the lengths of the solutions that the solver found."""
    found = {metric.name: play.metrics[:, i].astype(np.float64) for i, metric in enumerate(problem.metrics)}
    lengths = play.lengths[~np.isnan(play.lengths)]
    if len(lengths):
        found[SOLUTION] = lengths
    return found


def metric_shifts(problem: Problem, play: Play, reference: Play, seed: int) -> list[MetricShift]:
    """Compares the distributions of metrics with a reference's; those that are one same value everywhere are left out.

    Args:
        problem: whose metrics.
        play: of the samples.
        reference: of corpus levels.
        seed: of the intervals.
    """
    own, other = columns_of(problem, play), columns_of(problem, reference)
    return [
        shift_metric(name, own[name], other[name], seed)
        for name in other
        if name in own and np.ptp(np.concatenate([own[name], other[name]])) > 0
    ]


def range_axes(problem: Problem, reference: Play, wanted: tuple[str, str] | None) -> tuple[str, str] | None:
    """Returns the two metrics of the expressive range: those wanted, or those of greatest variance in the corpus.

    Returns:
        Their names; None where fewer than two vary.

    Raises:
        UserError: there is no metric of a name.
    """
    names = [metric.name for metric in problem.metrics]
    if wanted is not None:
        for name in wanted:
            if name not in names:
                raise unknown_name(f"metric of {problem.name}", name, names)
        return wanted
    variances = reference.metrics.var(axis=0)
    order = [names[i] for i in np.argsort(-variances, kind="stable") if variances[i] > 0]
    return (order[0], order[1]) if len(order) > 1 else None


def measured_control(
    generator: Generator, corpus: Corpus, play: Play, each: int, seed: int, sampling: Mapping[str, Any]
) -> list[Control]:
    """Asks a generator for values of each metric that it can be asked for, the most varied of the corpus first.

    Args:
        generator: the generator.
        corpus: what it was trained on.
        play: of samples that nothing was asked of.
        each: how many levels are asked for with each value.
        seed: of the samples and the intervals.
        sampling: how to sample.
    """
    problem = corpus.problem
    found = []
    for condition in sorted(generator.spec.conditions, key=lambda condition: -condition.scale)[:CONTROLLED]:
        column = problem.index(condition.name)

        def sample(values: NDArray[np.float64], name: str = condition.name) -> NDArray[np.uint8]:
            return generator.sample(len(values), seed + 1, {name: values}, **sampling)

        known, free = corpus.metrics("train")[:, column], play.metrics[:, column]
        found.append(measure_control(problem, condition.name, known, free, sample, each, seed))
    return found


def reweighted(
    problem: Problem, metrics: NDArray[np.float32], reference: Play, shifts: list[MetricShift], metric: str, seed: int
) -> list[Mitigation]:
    """Measures reweighted sampling towards the corpus's distribution of a metric, and towards a uniform one.

    Args:
        problem: whose metrics.
        metrics: float32 (n, metrics), of all samples that there are to choose from; one of POOL is kept.
        reference: of corpus levels.
        shifts: how the metrics' distributions differ.
        metric: which metric is balanced; "" for the one of which most can be mended: that differs most, less what
            chance alone makes, times the share of the corpus in buckets that have samples to choose from.
        seed: of the choice.

    Raises:
        UserError: there is no such metric.
    """
    names = [metric.name for metric in problem.metrics]
    off = {
        shift.name: (shift.variation - shift.floor) * float(shift.corpus[shift.sampled > 0].sum())
        for shift in shifts
        if shift.name in names
    }
    if metric and metric not in names:
        raise unknown_name(f"metric of {problem.name}", metric, names)
    if not off:
        return []
    chosen = metric or max(off, key=lambda name: off[name])
    column = problem.index(chosen)
    buckets = Buckets.of(reference.metrics[:, column])
    numbers = buckets.numbers(metrics[:, column])
    corpus = shares(buckets.numbers(reference.metrics[:, column]), len(buckets))
    inside = corpus > 0
    others = [name for name in off if name != chosen]
    results = []
    for target, wanted in (("corpus", corpus), ("uniform", inside / inside.sum())):
        count = min(max(1, len(metrics) // POOL), int(np.isin(numbers, np.flatnonzero(wanted)).sum()))
        if not count:
            continue
        found = reweigh(numbers, wanted, count, seed)
        results.append(
            Mitigation(
                metric=chosen,
                target=target,
                found=found,
                pool=len(metrics),
                buckets=tuple(buckets.names()),
                wanted=wanted,
                before=shares(numbers, len(buckets)),
                after=shares(numbers[found.chosen], len(buckets)),
                others_before=_mean_variation(problem, others, metrics, reference),
                others_after=_mean_variation(problem, others, metrics[found.chosen], reference),
            )
        )
    return results


def _mean_variation(problem: Problem, names: list[str], metrics: NDArray[np.float32], reference: Play) -> float:
    """Returns the mean total-variation distance of some metrics from the corpus's; NaN where there are none."""
    columns = [problem.index(name) for name in names]
    found = [shift_metric("", metrics[:, column], reference.metrics[:, column]).variation for column in columns]
    return float(np.mean(found)) if found else float("nan")
