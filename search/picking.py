"""What a search found: the front of the trials that were trained whole, and the one that is picked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from envs.evaluation import Estimate
from search.objectives import OBJECTIVES, Constraint, Objective
from search.rungs import domination_ranks
from search.trials import DEFAULT, TrialRecord, losses

#: The rule by which one trial is picked.
RULE = (
    "Of the trials that were trained whole and keep all constraints, those that beat trial 0 beyond the 95 % intervals "
    "of the first objective, at no more cost where a cost is an objective, come first; then those that equal it within "
    "them at half its cost or less; among either, the best come first. Where there is none, trial 0 is picked."
)

#: What counts as cost where no objective is one.
_COST = "milliseconds"

#: What is no more cost: times that are measured twice differ by about as much.
_NO_MORE = 1.05

#: What is much less cost.
_HALF = 0.5


@dataclass(frozen=True)
class Pick:
    """The trial that is picked.

    Attributes:
        number: whose number it is; None where no trial can be picked.
        reason: one sentence.
    """

    number: int | None
    reason: str


def interval(value: float, samples: int) -> Estimate:
    """Returns a share of so many samples with its 95 % interval (Wilson 1927)."""
    from scipy.stats import binomtest  # noqa: PLC0415 (slow to import)

    found = binomtest(round(min(max(value, 0.0), 1.0) * samples), samples).proportion_ci(method="wilson")
    return Estimate(value, float(found.low), float(found.high))


def estimate(record: TrialRecord, quality: Objective, samples: int) -> Estimate:
    """Returns the quality of a trial, the more the better, with its interval.

    Of levels that are counted it is Wilson's, which does not vanish where all samples agree, as a bootstrap's does; of
    other figures the one that was measured with them.
    """
    figures = record.figures
    value = figures[quality.name]
    if quality.counts:
        return interval(value, samples)
    ends = (figures.get(f"{quality.name}_{end}", value) for end in ("low", "high"))
    low, high = sorted(-quality.loss(end) for end in ends)
    return Estimate(-quality.loss(value), low, high)


def cost_of(objectives: Sequence[Objective]) -> Objective:
    """Returns what counts as cost: the first objective that is one, else milliseconds."""
    return next((one for one in objectives if one.cost), OBJECTIVES[_COST])


def candidates(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Returns the trials that were trained whole and keep all constraints."""
    return [record for record in records if record.state == "finished" and record.feasible]


def front(records: Sequence[TrialRecord], objectives: Sequence[Objective]) -> list[TrialRecord]:
    """Returns the trials, trained whole and feasible, that no other such trial dominates."""
    able = candidates(records)
    if not able:
        return []
    table = losses([record.figures for record in able], objectives)
    ranks = domination_ranks(table, np.zeros(len(able)))
    return [record for record, rank in zip(able, ranks, strict=True) if rank == 0]


def contenders(records: Sequence[TrialRecord], objectives: Sequence[Objective], samples: int) -> list[int]:
    """Returns the numbers of the trials that stand `RULE` against the default, the one to be picked first.

    Args:
        records: all trials.
        objectives: what was searched for; the first is the quality that trials are picked by.
        samples: how many levels each trial was measured on.
    """
    able = candidates(records)
    default = next((record for record in able if record.origin == DEFAULT), None)
    quality, cost = objectives[0], cost_of(objectives)
    found = []
    for record in able:
        own, price = estimate(record, quality, samples), record.figures.get(cost.name, math.inf)
        place = 0
        if default is not None:
            other = estimate(default, quality, samples)
            ends, others = (own.low, own.high), (other.low, other.high)
            share = _share(price, default.figures.get(cost.name, math.inf))
            if _beats(ends, others, share, objectives):
                place = 0
            elif _equals(ends, others, share):
                place = 1
            else:
                continue
        found.append((place, -own.mean, price, record.number))
    return [number for *_, number in sorted(found)]


def _share(price: float, default: float) -> float:
    return price / max(default, 1e-12)


def _beats(
    own: tuple[float, float], default: tuple[float, float], share: float, objectives: Sequence[Objective]
) -> bool:
    """Returns whether a quality's interval lies above the default's, at no more than its cost."""
    return own[0] > default[1] and (share <= _NO_MORE or not any(one.cost for one in objectives))


def _equals(own: tuple[float, float], default: tuple[float, float], share: float) -> bool:
    """Returns whether a quality's interval is not below the default's, at half its cost or less."""
    return own[1] >= default[0] and share <= _HALF


def pick(records: Sequence[TrialRecord], objectives: Sequence[Objective], samples: int) -> Pick:
    """Picks one trial by `RULE`; the arguments are those of `contenders`."""
    able = {record.number: record for record in candidates(records)}
    if not able:
        return Pick(None, "No trial was trained whole and keeps all constraints: search longer, or widen a constraint.")
    quality, cost = objectives[0], cost_of(objectives)
    default = next((record for record in able.values() if record.origin == DEFAULT), None)
    found = contenders(records, objectives, samples)
    if not found:
        assert default is not None
        return Pick(
            default.number,
            f"No trial beats the default's {quality.name} beyond the intervals at no more {cost.name}, or equals it at "
            "half or less.",
        )
    chosen = able[found[0]]
    if default is None:
        return Pick(chosen.number, f"Trial {chosen.number}: the best, and the default breaks a constraint.")
    own, other = (estimate(record, quality, samples) for record in (chosen, default))
    price, before = (record.figures.get(cost.name, math.inf) for record in (chosen, default))
    verb, beyond = ("beats", " beyond the intervals") if own.low > other.high else ("equals", "")
    return Pick(
        chosen.number,
        f"Trial {chosen.number} {verb} the default's {quality.name}{beyond}, at {_share(price, before):.0%} of its "
        f"{cost.name}.",
    )


def confirmed(
    pick: dict[str, dict[str, float]],
    default: dict[str, dict[str, float]],
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint] = (),
) -> bool:
    """Returns whether a pick stands `RULE` against the default once both were trained anew.

    Args:
        pick: its figures as `search.results.summarise` returns them.
        default: the default's.
        objectives: what was searched for.
        constraints: what must be kept, by the means over seeds.
    """
    quality, cost = objectives[0], cost_of(objectives)
    means = {name: told["mean"] for name, told in pick.items()}
    if quality.name not in pick or any(one.excess(means) > 0 for one in constraints):
        return False
    if quality.name not in default:
        return True

    def ends(figures: dict[str, dict[str, float]]) -> tuple[float, float]:
        told = figures[quality.name]
        # Of one seed alone nothing tells how far it may be off.
        widest = {"low": -math.inf, "high": math.inf}
        found = (told.get(f"levels_{end}", told.get(end, widest[end])) for end in widest)
        low, high = sorted(-quality.loss(end) for end in found)
        return low, high

    own, other = ends(pick), ends(default)
    share = _share(means[cost.name], default[cost.name]["mean"])
    return _beats(own, other, share, objectives) or _equals(own, other, share)
