"""From a prompt to the conditions of a generator, and to the numbers of tiles that it holds while it samples."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.counts import CountRule, count_tiles
from generators.sampling import LevelSource
from generators.spec import Condition, LevelSpec, MetricCondition
from generators.words.features import Feature, Interval, count_rules
from generators.words.lexicon import Lexicon
from generators.words.reading import Prompt, may_be_kept

#: Numbers of tiles that are held while sampling have at most so many states together, for decoders have room for so
#: many beside those of the problem's own rules.
_MOST_HELD = 64


def counts_to_hold(
    prompt: Prompt, lexicon: Lexicon, generator: LevelSource, fixed: NDArray[np.int16] | None = None, **sampling: Any
) -> tuple[dict[str, Interval], tuple[str, ...]]:
    """Returns which numbers of tiles a generator holds for a prompt, and what fixed tiles leave no room for.

    Args:
        prompt: what is asked for.
        lexicon: that it was read by.
        generator: what will sample.
        fixed: int16 (*shape) or (n, *shape), the tiles that must stay, -1 where any may; None fixes nothing.
        **sampling: how; with `constrained=False` none are held.

    Returns:
        By the names of features what is asked of them, and sentences.
    """
    if not generator.keeps_counts(**sampling):
        return {}, ()
    held = held_counts(prompt, lexicon, generator.spec, fixed)
    free = held if fixed is None else held_counts(prompt, lexicon, generator.spec)
    return held, tuple(
        f"The fixed tiles leave no room for {prompt.told[name]}: levels are only ranked by that."
        for name in free
        if name not in held
    )


def held_counts(
    prompt: Prompt, lexicon: Lexicon, spec: LevelSpec, fixed: NDArray[np.int16] | None = None
) -> dict[str, Interval]:
    """Returns which of the numbers of tiles that a prompt asks for a generator can hold while it samples.

    Small numbers come first: a decoder has no room for many large ones. What levels cannot have beside the rules that
    they keep anyhow, or beside fixed tiles, is left out, and so is what would leave no tile uncounted.

    Args:
        prompt: what is asked for.
        lexicon: that it was read by.
        spec: of the generator, which keeps count rules.
        fixed: int16 (*shape) or (n, *shape), the tiles that must stay, -1 where any may; None fixes nothing.

    Returns:
        By the names of features what is asked of them.
    """
    held: dict[str, Interval] = {}
    states = 1.0
    room = () if fixed is None else _room(spec, fixed)
    counting = [feature for feature in lexicon.features if feature.tiles and feature.name in prompt.asked]
    for feature in sorted(counting, key=lambda feature: _states(prompt.asked[feature.name])):
        wider = {**held, feature.name: prompt.asked[feature.name]}
        rules = spec.asking(count_rules(lexicon.features, wider)).count_rules()
        more = states * _states(prompt.asked[feature.name])
        counted = {name for rule in rules for name in rule.coefficients}
        fits = more <= _MOST_HELD and len(counted) < len(spec.tiles)
        if fits and may_be_kept({name: tile for tile, name in enumerate(spec.tiles)}, [*rules, *room], spec.cells):
            held, states = wider, more
    return held


def _room(spec: LevelSpec, fixed: NDArray[np.int16]) -> tuple[CountRule, ...]:
    """Returns how few and how many of each tile all levels can have around fixed tiles, as rules."""
    cells = fixed.reshape(-1, spec.cells)
    here = count_tiles(np.where(cells < 0, len(spec.tiles), cells).astype(np.uint8), len(spec.tiles))
    most = here + (cells < 0).sum(axis=1, keepdims=True)
    return tuple(
        CountRule({name: 1}, int(few), int(many))
        for name, few, many in zip(spec.tiles, here.max(axis=0), most.min(axis=0), strict=True)
    )


def _states(interval: Interval) -> float:
    """Returns how many numbers must be told apart to hold a number of tiles."""
    low, high = interval
    return (high if high < math.inf else max(low, 0)) + 2


def condition_of(
    prompt: Prompt, lexicon: Lexicon, spec: LevelSpec, count: int, held: Collection[str] = ()
) -> tuple[Condition, tuple[str, ...]]:
    """Returns what a generator is to be asked for, so that its levels meet a prompt.

    Where a prompt leaves a range, the levels are asked for values all over it, each as often as the corpus has it.

    Args:
        prompt: what is asked for.
        lexicon: that it was read by.
        spec: of the generator.
        count: how many levels will be sampled.
        held: the names of features whose numbers of tiles are held while sampling, see `held_counts`.

    Returns:
        By the names of metrics float64 (count,), for `Generator.sample`; and sentences about what the generator cannot
        be asked for, or only for something near it.
    """
    known = {metric.name: metric for metric in spec.conditions}
    condition = {}
    notes = []
    for name, interval in prompt.asked.items():
        feature = lexicon.features[lexicon.places[name]]
        if name not in known and name in held:
            continue
        if name not in known:
            notes.append(not_asked(feature.told(interval)))
            continue
        metric = known[name]
        condition[name] = _values(feature, metric, interval, count)
        if interval[0] > metric.high or interval[1] < metric.low:
            notes.append(
                f"The generator learned from levels with {metric.low:g} to {metric.high:g} for {name}: it is asked for "
                f"{condition[name][0]:g} instead of {feature.told(interval)}."
            )
    return condition, tuple(notes)


def not_asked(told: str) -> str:
    """Returns the sentence that a generator cannot be asked for something, which is given in words."""
    return f"The generator cannot be asked for {told}: its levels are only ranked by that."


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
