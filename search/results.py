"""What a search leaves: one record as JSON, which reports are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from envs import UserError
from envs.records import read_config
from search.objectives import OBJECTIVES
from search.picking import RULE, contenders, cost_of, front, interval, pick
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
        plan; quality and cost (the names of the objectives that trials are picked by) and guide (what they are compared
        by before the last rung); trials (see `TrialRecord`; those that count, by number, and with their figures and
        whether they are feasible); beside (copies, suggestions that proxies put aside, and lost ones, likewise);
        states (how many trials of each); front (numbers); contenders (those that stand the rule, the pick first),
        pick, reason and rule; default (its number); proxies (see `proxy_ranks`) and trusted (the proxy that is, or "");
        seconds.
    """
    quality, told = plan.objectives[0], counted(records)
    chosen = pick(records, plan.objectives, plan.samples)
    ranks = proxy_ranks(records, plan.ranked)
    return {
        "plan": plan.record(),
        "quality": quality.name,
        "guide": plan.compared[0].name,
        "cost": cost_of(plan.objectives).name,
        "trials": [_plain(record) for record in sorted(told, key=lambda record: record.number)],
        "beside": [_plain(record) for record in records if record not in told],
        "states": dict(Counter(record.state for record in records)),
        "front": [record.number for record in front(records, plan.objectives)],
        "contenders": contenders(records, plan.objectives, plan.samples),
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


#: What records and their trials must hold, and as what.
_NEEDED: dict[str, Any] = {
    "plan": dict,
    "trials": list,
    "states": dict,
    "front": list,
    "pick": int | None,
    "default": int | None,
    "quality": str,
    "guide": str,
    "cost": str,
    "seconds": float | int,
    "proxies": dict,
    "trusted": dict,
}
_NEEDED_OF_TRIALS: dict[str, Any] = {
    "number": int,
    "state": str,
    "settings": dict,
    "figures": dict,
    "costs": dict,
    "rungs": list,
    "feasible": bool,
}


def read_result(folder: Path) -> dict[str, Any]:
    """Reads what a search has left.

    Args:
        folder: the study's.

    Raises:
        UserError: there is nothing, or it is damaged.
    """
    path = folder / RESULT_FILE
    if not path.exists():
        raise UserError(f"{folder} holds no finished search: give the folder of a run of experiments.nas.")
    result = read_config(path)
    wrong = [name for name, kind in _NEEDED.items() if name not in result or not isinstance(result[name], kind)]
    if not wrong:
        trials = result["trials"]
        wrong = [
            f"{name} of each trial"
            for name, kind in _NEEDED_OF_TRIALS.items()
            if not all(isinstance(trial, dict) and isinstance(trial.get(name), kind) for trial in trials)
        ]
    if not wrong:
        numbers = {trial["number"] for trial in trials}
        wrong = [name for name in ("pick", "default") if result[name] is not None and result[name] not in numbers]
        wrong += [] if numbers.issuperset(result["front"]) else ["front"]
    if wrong:
        raise UserError(f"{path} is damaged: it does not say {', '.join(wrong)}; the search with --resume mends it.")
    return result


def summarise(retrained: dict[str, list[dict[str, Any]]], levels: int) -> dict[str, dict[str, dict[str, float]]]:
    """Returns the means of what was measured of candidates that were trained anew, with 95 % intervals.

    Args:
        retrained: by candidate, what `search.retraining.retrain` returned.
        levels: how many levels each of them was judged on.

    Returns:
        By candidate and figure, where each seed has it: mean; low and high, of Student's t over two seeds or more; and
        for shares of counted levels levels_low and levels_high, of all levels together (Wilson 1927), which does not
        see how much seeds differ.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for who, runs in retrained.items():
        found[who] = {}
        for name in OBJECTIVES:
            values = [run["figures"][name] for run in runs if name in run["figures"]]
            if not values or len(values) < len(runs):
                continue
            mean = sum(values) / len(values)
            found[who][name] = {"mean": mean}
            if len(values) > 1:
                half = _student(values)
                found[who][name] |= {"low": mean - half, "high": mean + half}
            if OBJECTIVES[name].counts:
                pooled = interval(mean, levels * len(values))
                found[who][name] |= {"levels_low": pooled.low, "levels_high": pooled.high}
    return found


def _student(values: Sequence[float]) -> float:
    """Returns half the width of Student's 95 % interval of the mean of two values or more."""
    import numpy as np  # noqa: PLC0415
    from scipy.stats import t  # noqa: PLC0415 (slow to import)

    return float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
