"""Levels for a prompt: a generator is asked for what the prompt says, and of its levels the best are taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs import UserError
from generators.judging.playability import play_levels
from generators.sampling import LevelSource
from generators.spec import Condition
from generators.words.asking import condition_of, counts_to_hold
from generators.words.features import count_rules
from generators.words.lexicon import Lexicon
from generators.words.reading import Prompt
from generators.words.scoring import caption_scores


@dataclass(frozen=True)
class Answers:
    """Levels that answer a prompt, the best first.

    Attributes:
        levels: uint8 (n, *shape).
        values: float64 (n, features), as `Lexicon.values` returns them.
        scores: float64 (n,) in [-1, 1], how well each meets the prompt by what is measured of it.
        playable: bool (n,), whether the solver wins them; None where it was not asked.
        notes: sentences about what the generator could not be asked for.
    """

    levels: NDArray[np.uint8]
    values: NDArray[np.float64]
    scores: NDArray[np.float64]
    playable: NDArray[np.bool_] | None
    notes: tuple[str, ...]


def prepare(
    generator: LevelSource, lexicon: Lexicon, prompt: Prompt, count: int, fixed_tiles: Any = None, **sampling: Any
) -> tuple[LevelSource, Condition, tuple[str, ...]]:
    """Returns what to sample from, and by what condition, so that levels meet a prompt.

    Metrics are asked for by conditions. Numbers of tiles are held while sampling, by families that keep count rules.

    Args:
        generator: what will sample.
        lexicon: that the prompt was read by.
        prompt: what is asked for.
        count: how many levels will be sampled.
        fixed_tiles: see `LevelSource.sample`; numbers that they exclude are not held.
        **sampling: how; with `constrained=False` no numbers of tiles are held.

    Returns:
        The generator, or a copy that holds numbers of tiles; the condition; and sentences about what it can neither be
        asked for nor hold.

    Raises:
        UserError: the fixed tiles are of another shape, or no such tiles.
    """
    fixed = generator.fixed_tiles(fixed_tiles, count)
    held, crowded = counts_to_hold(prompt, lexicon, generator, fixed, **sampling)
    condition, notes = condition_of(prompt, lexicon, generator.spec, count, held)
    keeping = generator.keeping(count_rules(lexicon.features, held)) if held else generator
    return keeping, condition, (*crowded, *notes)


def answer_prompt(
    generator: LevelSource,
    lexicon: Lexicon,
    prompt: Prompt,
    count: int,
    *,
    candidates: int = 8,
    seed: int = 0,
    fixed_tiles: Any = None,
    rank: Callable[[NDArray[np.uint8]], NDArray[np.float64]] | None = None,
    seconds: float = 0.0,
    **sampling: Any,
) -> Answers:
    """Samples levels for a prompt and takes the best of them.

    Args:
        generator: of the lexicon's problem.
        lexicon: that the prompt was read by.
        prompt: what is asked for.
        count: how many levels are wanted.
        candidates: how many are drawn for each.
        seed: equal seeds give equal levels.
        fixed_tiles: see `LevelSource.sample`.
        rank: scores levels, the greater the better; None takes their scores by what is measured of them.
        seconds: the time that the solver may take for a level; levels that it wins then come before all others. 0 does
            not solve any.
        **sampling: see `LevelSource.sample`.

    Raises:
        UserError: the generator is of another problem, or a number cannot be used.
    """
    if generator.spec.problem != lexicon.problem:
        raise UserError(
            f"The generator is for {generator.spec.problem}, the words are for {lexicon.problem}: give words of "
            f"{generator.spec.problem}."
        )
    if count < 1 or candidates < 1:
        raise UserError(
            f"At least 1 level is sampled, of at least 1 candidate each; got {count} levels of {candidates} candidates."
        )
    total = count * candidates
    prepared, condition, notes = prepare(generator, lexicon, prompt, total, fixed_tiles, **sampling)
    levels = prepared.sample(total, seed, condition, fixed_tiles, **sampling)
    # Copies would all be ranked alike.
    _, first = np.unique(levels.reshape(total, -1), axis=0, return_index=True)
    order = [*np.sort(first), *np.setdiff1d(np.arange(total), first)]
    distinct = np.arange(total) < len(first)
    levels = levels[order]
    playable = None
    if seconds > 0:
        play = play_levels(lexicon.task(), levels, seconds)
        playable, metrics = play.playable, play.metrics
    else:
        metrics = lexicon.task().measure(levels)
    values = lexicon.values(levels, metrics)
    scores = caption_scores(lexicon, [prompt.asked], values)[0]
    ranks = scores if rank is None else rank(levels)
    keys = [-ranks, ~distinct] if playable is None else [-ranks, ~playable, ~distinct]
    best = np.lexsort(keys)[:count]
    return Answers(levels[best], values[best], scores[best], None if playable is None else playable[best], notes)
