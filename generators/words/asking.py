"""From a prompt to the conditions of a generator."""

from __future__ import annotations

import numpy as np

from generators.spec import Condition, LevelSpec, MetricCondition
from generators.words.features import Feature, Interval
from generators.words.lexicon import Lexicon
from generators.words.reading import Prompt


def condition_of(prompt: Prompt, lexicon: Lexicon, spec: LevelSpec, count: int) -> tuple[Condition, tuple[str, ...]]:
    """Returns what a generator is to be asked for, so that its levels meet a prompt.

    Where a prompt leaves a range, the levels are asked for values all over it, each as often as the corpus has it.

    Args:
        prompt: what is asked for.
        lexicon: that it was read by.
        spec: of the generator.
        count: how many levels will be sampled.

    Returns:
        By the names of metrics float64 (count,), for `Generator.sample`; and sentences about what the generator cannot
        be asked for, or only for something near it.
    """
    known = {metric.name: metric for metric in spec.conditions}
    condition = {}
    notes = []
    for name, interval in prompt.asked.items():
        feature = lexicon.features[lexicon.places[name]]
        if name not in known:
            notes.append(
                f"The generator cannot be asked for {feature.told(interval)}: its levels are only ranked by that."
            )
            continue
        metric = known[name]
        condition[name] = _values(feature, metric, interval, count)
        if interval[0] > metric.high or interval[1] < metric.low:
            notes.append(
                f"The generator learned from levels with {metric.low:g} to {metric.high:g} for {name}: it is asked for "
                f"{condition[name][0]:g} instead of {feature.told(interval)}."
            )
    return condition, tuple(notes)


def _values(feature: Feature, metric: MetricCondition, interval: Interval, count: int) -> np.ndarray:
    """Returns values within an interval and within what the generator knows, float64 (count,)."""
    low, high = max(interval[0], metric.low), min(interval[1], metric.high)
    if low > high:
        nearest = metric.high if interval[0] > metric.high else metric.low
        return np.full(count, nearest)
    seen = [value for value in feature.quantiles if low <= value <= high] or [(low + high) / 2]
    places = np.floor((np.arange(count) + 0.5) / count * len(seen)).astype(int)
    values = np.array(seen, np.float64)[places]
    return np.round(values) if feature.whole else values
