"""What a search leaves: one record as JSON, which reports are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from search.picking import RULE, cost_of, front, interval, pick
from search.ranking import LEAST_CORRELATION, LEAST_TRIALS, proxy_ranks, trusted_proxy
from search.studies import Plan
from search.trials import DEFAULT, TrialRecord, counted

#: The file of the record in a study's folder.
RESULT_FILE = "result.json"


def gather(records: Sequence[TrialRecord], plan: Plan, seconds: float) -> dict[str, Any]:
    """Returns what a search found, as plain data.

    Args:
        records: all trials.
        plan: what was asked of them.
        seconds: how long the search took, by the clock on the wall.

    Returns:
        plan; quality and cost (the names of the objectives that trials are picked by); trials (see `TrialRecord`; those
        that count, by number, and with their figures and whether they are feasible); beside (copies, suggestions that
        proxies put aside, and lost ones, likewise); states (how many trials of each); front (numbers); pick, reason and
        rule; default (its number); proxies (see `proxy_ranks`) and trusted (the proxy that is, or ""); seconds.
    """
    quality, told = plan.objectives[0], counted(records)
    chosen = pick(records, plan.objectives, plan.samples)
    ranks = proxy_ranks(records, quality, plan.ladder.height)
    return {
        "plan": plan.record(),
        "quality": quality.name,
        "cost": cost_of(plan.objectives).name,
        "trials": [_plain(record) for record in sorted(told, key=lambda record: record.number)],
        "beside": [_plain(record) for record in records if record not in told],
        "states": dict(Counter(record.state for record in records)),
        "front": [record.number for record in front(records, plan.objectives)],
        "pick": chosen.number,
        "reason": chosen.reason,
        "rule": RULE,
        "default": next((record.number for record in told if record.origin == DEFAULT), None),
        "proxies": ranks,
        "trusted": {"proxy": trusted_proxy(ranks), "trials": LEAST_TRIALS, "correlation": LEAST_CORRELATION},
        "seconds": seconds,
    }


def _plain(record: TrialRecord) -> dict[str, Any]:
    facts = {"figures": record.figures, "feasible": record.feasible, "seconds": record.seconds}
    return asdict(record) | facts


def summarise(retrained: dict[str, list[dict[str, Any]]], levels: int) -> dict[str, dict[str, dict[str, float]]]:
    """Returns the means of what was measured of candidates that were trained anew, with 95 % intervals.

    Args:
        retrained: by candidate, what `search.retraining.retrain` returned.
        levels: how many levels each of them was judged on.

    Returns:
        By candidate and figure: mean; low and high, of Student's t over the seeds; and for shares levels_low and
        levels_high, of all levels together (Wilson 1927), which does not see how much seeds differ.
    """
    from search.objectives import OBJECTIVES  # noqa: PLC0415

    found: dict[str, dict[str, dict[str, float]]] = {}
    for who, runs in retrained.items():
        found[who] = {}
        for name in OBJECTIVES:
            values = [run["figures"][name] for run in runs if name in run["figures"]]
            if not values:
                continue
            mean = sum(values) / len(values)
            half = _student(values)
            found[who][name] = {"mean": mean, "low": mean - half, "high": mean + half}
            if not OBJECTIVES[name].unit:
                pooled = interval(mean, levels * len(values))
                found[who][name] |= {"levels_low": pooled.low, "levels_high": pooled.high}
    return found


def _student(values: Sequence[float]) -> float:
    """Returns half the width of Student's 95 % interval of a mean; infinite for one value alone."""
    import numpy as np  # noqa: PLC0415
    from scipy.stats import t  # noqa: PLC0415 (slow to import)

    if len(values) < 2:
        return float("inf")
    return float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
