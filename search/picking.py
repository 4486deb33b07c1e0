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
    "of the first objective, or equal it within them at less cost, are candidates; of the best of them, and of all "
    "candidates whose interval overlaps its own, the cheapest is picked. Where there is no candidate, trial 0 is."
)

#: What counts as cost where no objective is one.
_COST = "milliseconds"


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

    Of shares it is Wilson's, which does not vanish where all samples agree, as a bootstrap's does; of other figures
    the one that was measured with them.
    """
    figures = record.figures
    value = figures[quality.name]
    if not quality.unit:
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


def pick(records: Sequence[TrialRecord], objectives: Sequence[Objective], samples: int) -> Pick:
    """Picks one trial by `RULE`.

    Args:
        records: all trials.
        objectives: what was searched for; the first is the quality that trials are picked by.
        samples: how many levels each trial was measured on.
    """
    able = candidates(records)
    quality, cost = objectives[0], cost_of(objectives)
    known = {record.number: estimate(record, quality, samples) for record in able}
    costs = {record.number: record.figures.get(cost.name, float("inf")) for record in able}
    default = next((record for record in able if record.origin == DEFAULT), None)
    if not able:
        return Pick(None, "No trial was trained whole and keeps all constraints: search longer, or widen a constraint.")
    better = list(known)
    if default is not None:
        own, own_cost = known[default.number], costs[default.number]
        better = [
            number
            for number, found in known.items()
            if found.low > own.high or (found.high >= own.low and costs[number] < own_cost)
        ]
        if not better:
            return Pick(
                default.number,
                f"No trial beats the default's {quality.name} beyond the intervals, or equals it at less {cost.name}.",
            )
    best = max(better, key=lambda number: known[number].mean)
    equal = [number for number in better if known[number].high >= known[best].low]
    chosen = min(equal, key=lambda number: (costs[number], -known[number].mean, number))
    if default is None:
        beats = "the default breaks a constraint"
    elif known[chosen].low > known[default.number].high:
        beats = f"beats the default's {quality.name} beyond the intervals"
    else:
        beats = f"equals the default's {quality.name} at {costs[chosen] / max(own_cost, 1e-12):.0%} of its {cost.name}"
    among = f", the cheapest of {len(equal)} whose intervals overlap the best's" if len(equal) > 1 else ""
    return Pick(chosen, f"Trial {chosen}{among}: {beats}.")


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

    (low, high), (own_low, own_high) = ends(pick), ends(default)
    return low > own_high or (high >= own_low and pick[cost.name]["mean"] < default[cost.name]["mean"])
