"""Measuring words: how well prompts are read, levels found by them, and levels made for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from envs.evaluation import Estimate, bootstrap
from generators.words.bands import BandTable
from generators.words.captions import Caption, draw_captions, random_values
from generators.words.features import Interval
from generators.words.lexicon import Lexicon
from generators.words.reading import read_prompt, words_of_text
from generators.words.scoring import caption_scores, meets

#: What a prompt asks for, by the names of features.
Asked = Mapping[str, Interval]

#: Captions of random features are drawn so often before it is given up to find enough.
_ATTEMPTS = 200

#: So many captions are compared with all levels at a time.
_PART = 100

#: A caption of random features speaks of at least so many, and of at most so many.
_LEAST_FEATURES, _MOST_FEATURES = 2, 6


@dataclass(frozen=True)
class Reading:
    """How well prompts were read.

    Attributes:
        way: by whom.
        precision: of the features that were read, the share that was asked for, and so.
        recall: of the features that were asked for, the share that was read, and so.
        whole: the share of prompts of which all is right.
    """

    way: str
    precision: float
    recall: float
    whole: float


@dataclass(frozen=True)
class Finding:
    """How well levels answer prompts; of each prompt the first level counts, where nothing else is said.

    Attributes:
        way: by whom they were found or made.
        at_1: the share of prompts whose own level comes first; NaN where there is none.
        at_10: the share whose own level is among the first ten.
        met_1: the share whose first level meets all that is asked.
        met_10: the share of which one of the first ten does.
        precision: of the features that a prompt speaks of and its level has, the share that is as asked.
        recall: of the features that are asked for, the share that is as asked.
        score: the caption score, in [-1, 1].
    """

    way: str
    at_1: float
    at_10: float
    met_1: float
    met_10: float
    precision: float
    recall: float
    score: Estimate


def unseen_captions(lexicon: Lexicon, known: NDArray[np.float64], count: int, seed: int) -> list[Caption]:
    """Draws captions of random features that no known level has together.

    Captions that contradict themselves, as far as numbers of tiles tell, are left out; whether a level can have all
    that the others ask for is not known.

    Args:
        lexicon: of the problem.
        known: float64 (n, features), of the training levels.
        count: how many; fewer come back where the levels know nearly everything together.
        seed: fixes the draws.
    """
    random = Random(seed)
    found: list[Caption] = []
    for _ in range(_ATTEMPTS):
        if len(found) >= count:
            break
        values = random_values(lexicon, count, random)
        drawn = draw_captions(lexicon, values, random, _LEAST_FEATURES, _MOST_FEATURES, constants=False)
        met = meets(lexicon, [caption.asked for caption in drawn], known)
        found += [
            caption
            for caption, by in zip(drawn, met, strict=True)
            if not by.any() and not read_prompt(caption.text, lexicon).notes
        ]
    return found[:count]


def measure_reading(lexicon: Lexicon, way: str, truths: Sequence[Asked], read: Sequence[Asked]) -> Reading:
    """Compares what was read of prompts with what they ask for, by the bands that both leave open.

    Args:
        lexicon: of the problem.
        way: by whom they were read.
        truths: what each prompt asks for.
        read: what was read of it.
    """
    table = BandTable(lexicon)
    wanted, found = table.open_bands(truths), table.open_bands(read)
    asked = np.stack([~wanted[:, places].all(axis=1) for places in table.places], axis=1)
    told = np.stack([~found[:, places].all(axis=1) for places in table.places], axis=1)
    same = np.stack([(wanted[:, places] == found[:, places]).all(axis=1) for places in table.places], axis=1)
    right = asked & told & same
    return Reading(
        way,
        float(right.sum() / max(1, told.sum())),
        float(right.sum() / max(1, asked.sum())),
        float(same.all(axis=1).mean()),
    )


def measure_finding(
    lexicon: Lexicon,
    way: str,
    asked: Sequence[Asked],
    values: NDArray[np.float64],
    sources: NDArray[np.int64] | None = None,
    seed: int = 0,
) -> Finding:
    """Judges the first levels that came back for each prompt.

    Args:
        lexicon: of the problem.
        way: by whom they were found or made.
        asked: what p prompts ask for.
        values: float64 (p, k, features), of the first k levels of each prompt, the best first.
        sources: int64 (p,), the place among them of the level that a prompt was written of, k or more where it is not
            there; None where there is none.
        seed: of the score's interval.
    """
    low, high = (np.stack(ends) for ends in zip(*(lexicon.limits(one) for one in asked), strict=True))
    inside: NDArray[np.bool_] = np.asarray((values >= low[:, None]) & (values <= high[:, None]), np.bool_)
    met: NDArray[np.bool_] = np.asarray(inside.all(axis=2), np.bool_)
    first, there = inside[:, 0], values[:, 0] > 0
    named = ~(np.isinf(low) & np.isinf(high))
    wanted = named & (high > 0)
    scores = np.array([caption_scores(lexicon, [one], rows[:1])[0, 0] for one, rows in zip(asked, values, strict=True)])
    return Finding(
        way,
        float("nan") if sources is None else float((sources < 1).mean()),
        float("nan") if sources is None else float((sources < 10).mean()),
        float(met[:, 0].mean()),
        float(met[:, :10].any(axis=1).mean()),
        float((first & there & named).sum() / max(1, (there & named).sum())),
        float((first & wanted).sum() / max(1, wanted.sum())),
        bootstrap(scores, seed),
    )


def order_by(scores: NDArray[np.float64], seed: int) -> NDArray[np.int64]:
    """Returns the places of levels from the best down, int64 (p, n), those that are equal in an order drawn by lot.

    Args:
        scores: float64 (p, n), the greater the better.
        seed: of the lots.
    """
    lots = np.random.default_rng(seed).random(scores.shape)
    return np.lexsort((lots, -scores), axis=1)


def find_levels(
    lexicon: Lexicon,
    way: str,
    asked: Sequence[Asked],
    scores: NDArray[np.float64],
    pool: NDArray[np.float64],
    own: NDArray[np.int64] | None = None,
    seed: int = 0,
) -> Finding:
    """Judges a way to find levels in a pool.

    Args:
        lexicon: of the problem.
        way: what it is called.
        asked: what p prompts ask for.
        scores: float64 (p, n), how it scores the pool's levels.
        pool: float64 (n, features), of the pool's levels.
        own: int64 (p,), the place in the pool of the level that each prompt was written of; None where there is none.
        seed: of lots and intervals.
    """
    order = order_by(scores, seed)
    sources = None if own is None else (order == own[:, None]).argmax(axis=1)
    return measure_finding(lexicon, way, asked, pool[order[:, :10]], sources, seed)


class NearestCaption:
    """The nearest of known captions by the words that they have in common, rare ones above others (Sparck Jones 1972).

    Args:
        texts: the known captions.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        counts = [set(words_of_text(text)) for text in texts]
        self.places = {word: place for place, word in enumerate(sorted(set().union(*counts)))}
        self.rarity = np.ones(len(self.places))
        rows = self._rows(texts)
        self.rarity = np.log((1 + len(texts)) / (1 + (rows > 0).sum(axis=0))) + 1
        self.known = self._rows(texts)

    def _rows(self, texts: Sequence[str]) -> NDArray[np.float64]:
        rows = np.zeros((len(texts), len(self.places)))
        for row, text in zip(rows, texts, strict=True):
            for word in words_of_text(text):
                if word in self.places:
                    row[self.places[word]] += 1
        rows *= self.rarity
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)

    def similarities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Returns the cosines of texts and the known captions, float64 (texts, captions)."""
        return self._rows(texts) @ self.known.T


def commonest_requests(lexicon: Lexicon, captions: Sequence[Caption]) -> dict[str, Interval]:
    """Returns what captions ask for most: as many features as a caption has, each in its commonest way."""
    table = BandTable(lexicon)
    is_open = table.open_bands([caption.asked for caption in captions])
    found = []
    for places in table.places:
        kinds, times = np.unique(is_open[:, places], axis=0, return_counts=True)
        asked = ~kinds.all(axis=1)
        if asked.any():
            best = np.flatnonzero(asked)[times[asked].argmax()]
            row = np.ones(table.size, np.bool_)
            row[places] = kinds[best]
            found.append((int(times[asked].sum()), row))
    usual = round(float(np.mean([len(caption.asked) for caption in captions])))
    rows = [row for _, row in sorted(found, key=lambda one: -one[0])[:usual]]
    [asked_for] = table.intervals(np.logical_and.reduce(rows)[None])
    return asked_for


def typical_scores(lexicon: Lexicon, captions: Sequence[Caption], pool: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns how well each level of a pool meets captions of other levels in the mean, float64 (n,)."""
    asked = [caption.asked for caption in captions]
    # A few at a time: every caption with every level and feature would take gigabytes.
    parts = [
        caption_scores(lexicon, asked[first : first + _PART], pool).sum(axis=0) for first in range(0, len(asked), _PART)
    ]
    return np.sum(parts, axis=0) / len(asked)
