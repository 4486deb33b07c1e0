"""How well figures that are cheap rank trials by what is dear: Spearman's correlation with an interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from envs.evaluation import Estimate
from search.objectives import Objective
from search.trials import TrialRecord, counted

#: Proxies choose among suggestions once so many trials of a rung are known, and the lower end of the 95 % interval of
#: the correlation is above this.
LEAST_TRIALS, LEAST_CORRELATION = 20, 0.3


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Returns Spearman's rank correlation of n pairs, with a 95 % interval (Bonett 2000).

    It is NaN where either is the same for all, and the interval is -1 to 1 where there are fewer than five pairs.
    """
    from scipy.stats import spearmanr  # noqa: PLC0415 (slow to import)

    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return Estimate(math.nan, -1.0, 1.0)
    found = float(spearmanr(first, second).statistic)
    if len(first) < 5:
        return Estimate(found, -1.0, 1.0)
    inside = min(max(found, -0.999999), 0.999999)
    width = 1.96 * math.sqrt((1 + inside**2 / 2) / (len(first) - 3))
    return Estimate(found, math.tanh(math.atanh(inside) - width), math.tanh(math.atanh(inside) + width))


def proxy_ranks(records: Sequence[TrialRecord], ranked: Sequence[Objective]) -> dict[str, list[dict[str, float]]]:
    """Returns how each zero-cost proxy ranks the trials of each rung.

    Args:
        records: all trials.
        ranked: what proxies should tell of the trials of each rung.

    Returns:
        By proxy, a dictionary for each rung where three trials or more differ: rung, trials, correlation (of what is
        better with what is better), low, high. The last rung's is of the trials that were trained whole.
    """
    known = [record for record in counted(records) if record.proxies]
    found: dict[str, list[dict[str, float]]] = {}
    for name in sorted({name for record in known for name in record.proxies}):
        found[name] = []
        for rung, objective in enumerate(ranked):
            pairs = [
                (record.proxies[name], -objective.loss(figures[objective.name]))
                for record in known
                if (figures := record.at(rung)) and math.isfinite(figures.get(objective.name, math.nan))
                if math.isfinite(record.proxies.get(name, math.nan))
            ]
            told = rank_correlation([pair[0] for pair in pairs], [pair[1] for pair in pairs])
            if math.isfinite(told.mean):
                found[name].append(
                    {"rung": rung, "trials": len(pairs), "correlation": told.mean, "low": told.low, "high": told.high}
                )
    return found


def trusted_proxy(ranks: dict[str, list[dict[str, float]]]) -> str:
    """Returns the proxy that was shown to rank, or "".

    Of each proxy, the highest rung with enough trials counts; of those whose interval lies above the threshold, the one
    with the highest lower end is taken.
    """
    lows = {}
    for name, rungs in ranks.items():
        enough = [rung for rung in rungs if rung["trials"] >= LEAST_TRIALS]
        if enough and enough[-1]["low"] > LEAST_CORRELATION:
            lows[name] = enough[-1]["low"]
    return max(lows, key=lambda name: lows[name]) if lows else ""
