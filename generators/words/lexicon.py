"""What a problem's levels can be asked for, what it is called, and how much of it few and many are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs import UserError, construct, get_problem
from envs.counts import count_tiles
from envs.nouns import plural_of
from envs.problem import Problem, Shape
from generators.corpus import Corpus
from generators.words.features import ANYTHING, NONE, Feature, Interval, feature_of, learn_features
from generators.words.grammar import Kind, closed_phrases, words_of

#: So many constructed levels say what few and many are, where nothing else does.
_USUAL = 256

#: What a few words of a prompt do, and which of the things that do so they are.
Meaning = tuple[Kind, Any]


@dataclass(frozen=True, eq=False)
class Lexicon:
    """The features of levels of one problem and shape.

    Attributes:
        problem: the problem's name.
        shape: the shape of the levels that few and many were learned from.
        features: the metrics, in their order, and the tiles that no metric counts by itself.
    """

    problem: str
    shape: Shape
    features: tuple[Feature, ...]

    @classmethod
    def of(cls, corpus: Corpus) -> Lexicon:
        """Learns from the training levels of a corpus."""
        return cls.learn(corpus.problem, corpus.train.levels, corpus.metrics("train"))

    @classmethod
    def learn(cls, problem: str | Problem, levels: NDArray[np.uint8], metrics: NDArray | None = None) -> Lexicon:
        """Learns from levels.

        Args:
            problem: a problem or its name.
            levels: uint8 (n, *shape).
            metrics: (n, metrics), what `Problem.measure` returns for them; None measures them.

        Raises:
            UserError: they are no levels of the problem.
        """
        task = get_problem(problem)
        batch = task.check_levels(levels)
        shape = tuple(int(size) for size in batch.shape[1:])
        measured = task.measure(batch) if metrics is None else metrics
        return cls(task.name, shape, learn_features(task, shape, batch, measured))

    def task(self) -> Problem:
        """Returns the problem."""
        return get_problem(self.problem)

    @cached_property
    def places(self) -> dict[str, int]:
        """The place of each feature by its name."""
        return {feature.name: place for place, feature in enumerate(self.features)}

    @cached_property
    def varied(self) -> tuple[int, ...]:
        """The places of the features in which the corpus's levels differ."""
        return tuple(place for place, feature in enumerate(self.features) if feature.varied)

    def values(self, levels: NDArray[np.uint8], metrics: NDArray | None = None) -> NDArray[np.float64]:
        """Measures levels.

        Args:
            levels: uint8 (n, *shape).
            metrics: (n, metrics), where they are known already.

        Returns:
            float64 (n, features).
        """
        task = self.task()
        measured = task.measure(levels) if metrics is None else metrics
        counts = count_tiles(levels, len(task.tiles))
        columns = [
            measured[:, task.index(feature.name)] if feature.metric else counts[:, task.tile_ids[feature.name]]
            for feature in self.features
        ]
        return np.stack(columns, axis=1).astype(np.float64)

    def limits(self, asked: Mapping[str, Interval]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Returns the least and the greatest value that is asked of each feature, float64 (features,) twice."""
        ends = np.array([asked.get(feature.name, ANYTHING) for feature in self.features], np.float64)
        return ends[:, 0].copy(), ends[:, 1].copy()

    @cached_property
    def phrases(self) -> dict[tuple[str, ...], Meaning]:
        """What words, or several words in a row, mean; a feature's name means its place and whether it is a plural."""
        found: dict[tuple[str, ...], Meaning] = dict(closed_phrases())
        named: dict[tuple[str, ...], Meaning] = {}
        for place, feature in enumerate(self.features):
            if feature.noun.unit:
                found |= {(feature.unit_of(number),): ("unit", feature.noun.unit) for number in (1, 2)}
            for word, interval in feature.noun.alone.items():
                named.setdefault((word,), ("alone", (place, interval)))
            names = [(feature.noun.singular, feature.noun.plural)]
            names += [(other, other if other.endswith("s") else plural_of(other)) for other in feature.others]
            for singular, plural in names:
                if feature.noun.counted and " " not in singular:
                    for ending in ("less", "free"):
                        named.setdefault((singular + ending,), ("alone", (place, NONE)))
                for name, many in ((singular, False), (plural, True)):
                    words = words_of(name)
                    for variant in (words, tuple(word for word in words if word not in ("the", "a", "an"))):
                        named.setdefault(variant, ("noun", (place, many)))
        return found | named

    @cached_property
    def longest(self) -> int:
        """How many words the longest phrase has."""
        return max(map(len, self.phrases))

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """All words that are known; numbers in digits are known besides."""
        return frozenset(word for phrase in self.phrases for word in phrase)

    @cached_property
    def names(self) -> frozenset[str]:
        """Those of the words that name features."""
        named = (phrase for phrase, (kind, _) in self.phrases.items() if kind in ("noun", "alone"))
        return frozenset(word for phrase in named for word in phrase)

    def known(self) -> str:
        """Returns the names of all that can be asked for, for people."""
        return ", ".join(
            feature.noun.plural if feature.noun.counted else feature.noun.singular for feature in self.features
        )

    def plain(self) -> dict[str, Any]:
        """Returns the lexicon as plain data, for config.json."""
        return {
            "problem": self.problem,
            "shape": list(self.shape),
            "features": [feature.plain() for feature in self.features],
        }

    @classmethod
    def parse(cls, plain: Any) -> Lexicon:
        """Returns the lexicon that `plain` described, checked against the problem as it is now.

        Raises:
            UserError: it is none, or the problem has changed since.
        """
        try:
            problem = get_problem(plain["problem"])
            shape = tuple(int(size) for size in plain["shape"])
            features = tuple(feature_of(problem, entry) for entry in plain["features"])
            if len(shape) != len(problem.default_shape) or not all(0 < size <= 4096 for size in shape):
                raise ValueError(f"{problem.name} has no levels of shape {shape}")
            expected = {metric.name for metric in problem.metrics}
            if not expected <= {feature.name for feature in features} or len(features) != len(
                {feature.name for feature in features}
            ):
                raise ValueError(f"its features are not those of {problem.name}")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"its lexicon is damaged ({type(error).__name__}: {error})") from error
        return cls(problem.name, shape, features)


def usual_lexicon(problem: str, shape: Shape | None = None) -> Lexicon:
    """Learns the lexicon of a problem's constructed levels, once in a process; of long levels that takes seconds.

    Args:
        problem: the problem's name.
        shape: of the levels; None takes the problem's.

    Raises:
        UserError: there is no such problem or shape, or the problem has no constructive generator.
    """
    return _usual(problem, shape or get_problem(problem).default_shape)


@lru_cache(maxsize=32)
def _usual(problem: str, shape: Shape) -> Lexicon:
    return Lexicon.learn(problem, construct(problem, _USUAL, shape=shape))
