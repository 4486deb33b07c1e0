"""What samples levels, whatever it is: a trained generator, an exported one, or a problem's constructive generator."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from envs import Problem, UserError, construct
from envs.counts import CountRule
from generators.sampling import LevelSource, Request

Levels = NDArray[np.uint8]

#: How many levels are constructed for each that is wanted around fixed tiles.
_CANDIDATES = 16


@dataclass(frozen=True)
class Ask:
    """What one request wants sampled.

    Attributes:
        n: how many levels.
        seed: fixes the draws.
        condition: by a metric's name one value for each level, (n,).
        fixed: int16 (*shape), the tile that must stay in each cell, -1 where any may; None fixes nothing.
        counts: numbers of tiles that levels shall have, as far as the family holds any.
    """

    n: int
    seed: int
    condition: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    fixed: NDArray[np.int16] | None = None
    counts: tuple[CountRule, ...] = ()


class Source(Protocol):
    """Samples levels for several requests at once."""

    def sample_all(self, asks: Sequence[Ask]) -> list[Levels]:
        """Returns uint8 (n, *shape) for each request, the same as if it were alone.

        Raises:
            UserError: one of them asks for what cannot be had.
        """
        ...


class Learned:
    """A generator that has learned from levels.

    Args:
        generator: it, loaded.
    """

    def __init__(self, generator: LevelSource) -> None:
        self.generator = generator

    def sample_all(self, asks: Sequence[Ask]) -> list[Levels]:
        """Samples for several requests, together for those that ask for the same numbers of tiles; see `Source`."""
        found: list[Levels] = [np.empty(0, np.uint8)] * len(asks)
        alike = defaultdict(list)
        for number, ask in enumerate(asks):
            alike[str(ask.counts)].append(number)
        for numbers in alike.values():
            counts = asks[numbers[0]].counts
            generator = self.generator.keeping(counts) if counts else self.generator
            requests = [
                generator.request(ask.n, ask.seed, ask.condition or None, ask.fixed)
                for ask in map(asks.__getitem__, numbers)
            ]
            levels = generator.answer(Request.joined(requests))
            ends = np.cumsum([request.n for request in requests])[:-1]
            for number, part in zip(numbers, np.split(levels, ends), strict=True):
                found[number] = part
        return found


class Constructive:
    """A problem's constructive generator. Around fixed tiles it builds some levels, and takes the nearest.

    Args:
        problem: the problem.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def sample_all(self, asks: Sequence[Ask]) -> list[Levels]:
        """Builds levels for several requests; see `Source`."""
        return [self._sample(ask) for ask in asks]

    def _sample(self, ask: Ask) -> Levels:
        if ask.condition:
            raise UserError(f"The constructive generator cannot be asked for {', '.join(ask.condition)}.")
        if ask.fixed is None:
            return construct(self.problem, ask.n, ask.seed)
        built = construct(self.problem, ask.n * _CANDIDATES, ask.seed).reshape(ask.n, _CANDIDATES, *ask.fixed.shape)
        agree = ((built == ask.fixed) & (ask.fixed >= 0)).reshape(ask.n, _CANDIDATES, -1).sum(axis=2)
        nearest = built[np.arange(ask.n), agree.argmax(axis=1)]
        return np.where(ask.fixed >= 0, ask.fixed, nearest).astype(np.uint8)


def fitted(problem: Problem, levels: int) -> Learned:
    """Fits a Markov chain to so many levels of a problem's constructive generator, which takes a moment."""
    from generators.corpus import CorpusOptions, load_corpus  # noqa: PLC0415 (only where nothing trained is served)
    from generators.families.markov import Markov  # noqa: PLC0415
    from generators.spec import LevelSpec  # noqa: PLC0415

    corpus = load_corpus(problem, CorpusOptions(levels=levels))
    generator = Markov(LevelSpec.of(corpus, ()))
    generator.fit(corpus)
    return Learned(generator)
