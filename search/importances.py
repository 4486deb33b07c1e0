"""How much each setting matters for an objective: functional analysis of variance (Hutter 2014), by Optuna."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from search.pictures import flat_settings

#: Fewer trials tell nothing.
LEAST_TRIALS = 10

#: Numbers whose greatest is so many times the least are taken by their logarithm.
_WIDE = 8.0


def importances(result: Mapping[str, Any], name: str, seed: int = 0) -> tuple[dict[str, float], int, int]:
    """Returns which share of the variance of a figure each setting alone and with others explains.

    Trials are compared at the rung that tells most: of all rungs that at least LEAST_TRIALS trials came to, the lowest,
    where nearly all are; figures that are known before training are compared among all trials.

    Args:
        result: the search's, see `search.results.gather`.
        name: the figure.
        seed: fixes the forest of trees.

    Returns:
        Shares by setting, the greatest first (none where too few trials are known, or where all are alike); of how many
        trials; and the rung.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    rows, values, rung = _measured(result, name)
    if len(rows) < LEAST_TRIALS or min(values) == max(values):
        return {}, len(rows), rung
    kinds = {setting: _distribution([row[setting] for row in rows]) for setting in rows[0]}
    varied = {setting: kind for setting, kind in kinds.items() if kind is not None}
    trials = [
        optuna.trial.create_trial(
            state=TrialState.COMPLETE,
            value=value,
            params={setting: row[setting] for setting in varied},
            distributions=dict(varied),
        )
        for row, value in zip(rows, values, strict=True)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            study = optuna.create_study()
            study.add_trials(trials)
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
            found = optuna.importance.get_param_importances(study, evaluator=evaluator)
        finally:
            optuna.logging.set_verbosity(before)
    return {setting: float(share) for setting, share in found.items()}, len(rows), rung


def _measured(result: Mapping[str, Any], name: str) -> tuple[list[dict[str, Any]], list[float], int]:
    """Returns settings and values of trials that can be compared, and the rung."""
    known = [trial for trial in result["trials"] if trial["settings"]]
    first = min((rung["rung"] for trial in known for rung in trial["rungs"]), default=0)
    rows, values = [], []
    for trial in known:
        value = trial["costs"].get(name)
        if value is None:
            value = next((rung["figures"].get(name) for rung in trial["rungs"] if rung["rung"] == first), None)
        if value is not None and math.isfinite(value):
            rows.append(flat_settings(trial))
            values.append(float(value))
    return rows, values, first


def _distribution(values: Sequence[Any]) -> BaseDistribution | None:
    """Returns what values may have been drawn from; None where all are the same."""
    if len({str(value) for value in values}) < 2:
        return None
    if any(isinstance(value, (bool, str)) or value is None for value in values):
        return CategoricalDistribution(sorted(set(values), key=str))
    low, high = min(values), max(values)
    log = low > 0 and high / low > _WIDE
    if all(isinstance(value, int) for value in values):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(float(low), float(high), log=log)
