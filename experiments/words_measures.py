"""What is measured of a words model: how it reads, what it finds, and what generators make of its prompts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.documents import Document
from experiments.free_wordings import NOUNS, free_captions
from experiments.run import write_json
from generators.corpus import Corpus
from generators.generator import Generator
from generators.judging.playability import play_levels
from generators.words.asking import condition_of
from generators.words.captions import Caption, draw_captions
from generators.words.evaluation import (
    Asked,
    Finding,
    NearestCaption,
    Reading,
    commonest_requests,
    find_levels,
    measure_finding,
    measure_reading,
    order_by,
    typical_scores,
    unseen_captions,
)
from generators.words.fitting import misspelt
from generators.words.lexicon import Lexicon
from generators.words.model import WordsModel
from generators.words.reading import Prompt, Senses, read_prompt
from generators.words.sampling import prepare
from generators.words.scoring import caption_scores, meets

#: The most captions of training levels that prompts are compared with, and the most levels that are searched.
_KNOWN, _POOL = 3000, 500

#: How often a word is misspelt where that is what is measured.
_MISSPELT = 0.3


@dataclass(frozen=True)
class Sets:
    """The prompts that a words model is judged on.

    Attributes:
        held_out: captions of test levels, one each, in the order of the pool.
        unseen: captions of test levels that no training level meets, with the places of their levels in the pool.
        places: int64 (number of unseen,), those places.
        random: captions of random features that no training level has together.
        misspelt: the captions of `held_out`, with words misspelt.
        free: captions of test levels in wordings that the grammar does not know; empty for a problem that none are
            known of.
        known: captions of training levels, which the baselines know.
        known_values: float64 (n, features), of these levels.
        train: float64 (m, features), of all training levels.
        pool: float64 (p, features), of the test levels that are searched.
        levels: uint8 (p, *shape), these levels.
    """

    held_out: list[Caption]
    unseen: list[Caption]
    places: NDArray[np.int64]
    random: list[Caption]
    misspelt: list[Caption]
    free: list[Caption]
    known: list[Caption]
    known_values: NDArray[np.float64]
    train: NDArray[np.float64]
    pool: NDArray[np.float64]
    levels: NDArray[np.uint8]


@dataclass
class Measured:
    """What was measured of a words model.

    Attributes:
        readings: by the name of a set of prompts how it was read, one way after another.
        findings: by the name of a set how levels were found.
        makings: by the name of a set how levels were made, and the share of them that is playable, by the way.
        exact: the share of held-out captions that the grammar reads to the number.
        facts: what was measured, on what, for people.
    """

    readings: dict[str, list[Reading]]
    findings: dict[str, list[Finding]]
    makings: dict[str, list[tuple[Finding, float]]]
    exact: float
    facts: dict[str, Any]


def draw_sets(model: WordsModel, corpus: Corpus, prompts: int, seed: int) -> Sets:
    """Draws the prompts to judge a model on.

    Args:
        model: the model.
        corpus: that it learned from.
        prompts: the most prompts of each set.
        seed: fixes the draws.
    """
    lexicon = model.lexicon
    train = lexicon.values(corpus.train.levels, corpus.metrics("train"))
    levels = corpus.test.levels[:_POOL]
    pool = lexicon.values(levels, corpus.metrics("test")[:_POOL])
    random = Random(seed)
    held_out = draw_captions(lexicon, pool[:prompts], random)
    # Of the test levels those that differ from all training levels in what is said of them.
    whole = draw_captions(lexicon, pool, random, len(lexicon.varied), len(lexicon.varied), constants=False)
    fresh = np.flatnonzero(~meets(lexicon, [caption.asked for caption in whole], train).any(axis=1))[:prompts]
    chosen = random.sample(range(len(train)), min(_KNOWN, len(train)))
    return Sets(
        held_out,
        [whole[place] for place in fresh],
        fresh,
        unseen_captions(lexicon, train, prompts, seed + 1),
        [Caption(_misspelt(caption.text, random), caption.asked) for caption in held_out],
        free_captions(lexicon, pool[:prompts], random) if lexicon.problem in NOUNS else [],
        draw_captions(lexicon, train[chosen], random),
        train[chosen],
        train,
        pool,
        levels,
    )


def _misspelt(text: str, random: Random) -> str:
    """Returns a caption with one word misspelt at least, if one is long enough."""
    words = text.split(" ")
    long = [place for place, word in enumerate(words) if len(word) > 4 and word.isalpha()]
    for place in {*random.sample(long, min(1, len(long))), *(one for one in long if random.random() < _MISSPELT)}:
        words[place] = misspelt(words[place], random)
    return " ".join(words)


def read_sets(
    model: WordsModel, sets: Sets, seed: int, senses: Senses | None
) -> tuple[dict[str, list[Reading]], float]:
    """Measures how prompts are read: by the grammar, by the text tower, by both, and by the baselines.

    Args:
        model: the words model.
        sets: the prompts.
        seed: fixes all draws.
        senses: finds the meanings of unknown words; None leaves that way out.

    Returns:
        The figures by set, and the share of held-out captions that the grammar reads to the number.
    """
    lexicon = model.lexicon
    nearest = NearestCaption([caption.text for caption in sets.known])
    commonest = commonest_requests(lexicon, sets.known)
    random = Random(seed)
    ways: dict[str, Callable[[list[str]], Sequence[Asked]]] = {
        "grammar": lambda texts: [read_prompt(text, lexicon).asked for text in texts],
        "text tower": model.read_learned,
        "grammar, then tower": lambda texts: [model.read(text).asked for text in texts],
        "nearest caption": lambda texts: [sets.known[int(row.argmax())].asked for row in nearest.similarities(texts)],
        "commonest features": lambda texts: [commonest] * len(texts),
        "another caption": lambda texts: [random.choice(sets.known).asked for _ in texts],
    }
    if senses is not None:
        ways["grammar with senses"] = lambda texts: [read_prompt(text, lexicon, senses).asked for text in texts]
    named = {
        "held-out captions": sets.held_out,
        "random features, never together": sets.random,
        "misspelt": sets.misspelt,
        "free wording": sets.free,
    }
    readings = {
        name: [
            measure_reading(
                lexicon, way, [caption.asked for caption in captions], read([caption.text for caption in captions])
            )
            for way, read in ways.items()
        ]
        for name, captions in named.items()
        if captions
    }
    exact = [dict(read_prompt(caption.text, lexicon).asked) == caption.asked for caption in sets.held_out]
    return readings, float(np.mean(exact))


def find_sets(model: WordsModel, sets: Sets, seed: int) -> dict[str, list[Finding]]:
    """Measures how test levels are found by captions of theirs."""
    return {
        name: _found(model, sets, captions, places, seed)
        for name, captions, places in (
            ("held-out captions", sets.held_out, np.arange(len(sets.held_out))),
            ("held-out levels, combinations never seen", sets.unseen, sets.places),
            ("free wording", sets.free, np.arange(len(sets.free))),
        )
        if captions
    }


def _found(
    model: WordsModel, sets: Sets, captions: list[Caption], places: NDArray[np.int64], seed: int
) -> list[Finding]:
    """Measures how levels of the pool are found by captions of some of them, in all ways."""
    lexicon, pool = model.lexicon, sets.pool
    texts, asked = [caption.text for caption in captions], [caption.asked for caption in captions]
    measured = caption_scores(lexicon, [read_prompt(text, lexicon).asked for text in texts], pool)
    similar = model.similarities(texts, sets.levels)
    # What a search without a model could look through: other captions of the same levels.
    others = NearestCaption([caption.text for caption in draw_captions(lexicon, pool, Random(seed + 5))])
    ways = {
        "grammar and measured features": measured,
        "towers": similar,
        "both": measured + 0.05 * similar,
        "nearest caption": others.similarities(texts),
        "most typical level": np.tile(typical_scores(lexicon, sets.known, pool), (len(texts), 1)),
        "any level": np.zeros((len(texts), len(pool))),
    }
    return [find_levels(lexicon, way, asked, scores, pool, places, seed) for way, scores in ways.items()]


def make_for_sets(
    model: WordsModel, sets: Sets, generator: Generator, prompts: int, candidates: int, seed: int, seconds: float
) -> dict[str, list[tuple[Finding, float]]]:
    """Measures what a generator makes of prompts, ranked in several ways, beside what a search in the corpus gives.

    Args:
        model: the words model.
        sets: the prompts.
        generator: of the same problem.
        prompts: how many of each set.
        candidates: how many levels are drawn for each prompt.
        seed: fixes all draws.
        seconds: the time that the solver may take for a level.

    Returns:
        By the name of a set the figures of each way, with the share of first levels that the solver wins.
    """
    named = {"held-out captions": sets.held_out[:prompts], "random features, never together": sets.random[:prompts]}
    return {
        name: _made(model, sets, generator, captions, candidates, seed, seconds)
        for name, captions in named.items()
        if captions
    }


def _made(
    model: WordsModel,
    sets: Sets,
    generator: Generator,
    captions: list[Caption],
    candidates: int,
    seed: int,
    seconds: float,
) -> list[tuple[Finding, float]]:
    lexicon = model.lexicon
    texts, asked = [caption.text for caption in captions], [caption.asked for caption in captions]
    read = [model.read(text) for text in texts]
    conditions = [condition_of(prompt, lexicon, generator.spec, candidates)[0] for prompt in read]
    shape = (len(texts), candidates, *lexicon.shape)
    merged = _merged(conditions, candidates)
    asked_for = generator.sample(len(texts) * candidates, seed, merged).reshape(shape)
    held = np.stack([_held(lexicon, generator, one, candidates, seed + place) for place, one in enumerate(read)])
    plain = generator.sample(len(texts) * candidates, seed + 1).reshape(shape)
    rows: list[tuple[str, NDArray[np.uint8], NDArray[np.int64]]] = []
    lots = np.zeros(shape[:2])
    for what, levels in (("held", held), ("conditioned", asked_for), ("not conditioned", plain)):
        flat = levels.reshape(-1, *lexicon.shape)
        values = lexicon.values(flat).reshape(*shape[:2], -1)
        measured = np.stack(
            [caption_scores(lexicon, [one.asked], each)[0] for one, each in zip(read, values, strict=True)]
        )
        similar = np.stack([model.similarities([text], each)[0] for text, each in zip(texts, levels, strict=True)])
        ranks = {"the first": lots, "by towers": similar, "by measured features": measured}
        if what == "held":
            ranks["by both"] = measured + 0.05 * similar
        rows += [(f"{what}, {way}", levels, order_by(scores, seed)) for way, scores in ranks.items()]
    found = [
        _judged(lexicon, way, levels[np.arange(len(texts))[:, None], order[:, :10]], asked, seed, seconds)
        for way, levels, order in rows
    ]
    nearest = NearestCaption([caption.text for caption in sets.known]).similarities(texts)
    known = caption_scores(lexicon, [one.asked for one in read], sets.known_values)
    typical = np.tile(typical_scores(lexicon, sets.known, sets.known_values), (len(texts), 1))
    for way, scores in (
        ("a corpus level, by measured features", known),
        ("a corpus level, by the nearest caption", nearest),
        ("a corpus level, the most typical", typical),
        ("a corpus level, any", np.zeros_like(known)),
    ):
        found.append((find_levels(lexicon, way, asked, scores, sets.known_values, None, seed), math.nan))
    return found


def _held(lexicon: Lexicon, generator: Generator, prompt: Prompt, count: int, seed: int) -> NDArray[np.uint8]:
    """Samples levels for a prompt with conditions, and with numbers of tiles held where the family can do that."""
    prepared, condition, _ = prepare(generator, lexicon, prompt, count)
    levels: NDArray[np.uint8] = prepared.sample(count, seed, condition)
    return levels


def _merged(conditions: Sequence[Any], candidates: int) -> dict[str, NDArray[np.float64]]:
    """Returns the conditions of all prompts one after another, NaN where one asks nothing of a metric."""
    names = sorted({name for condition in conditions for name in condition})
    nothing = np.full(candidates, np.nan)
    return {name: np.concatenate([condition.get(name, nothing) for condition in conditions]) for name in names}


def _judged(
    lexicon: Any, way: str, levels: NDArray[np.uint8], asked: Sequence[Asked], seed: int, seconds: float
) -> tuple[Finding, float]:
    """Judges the first levels of each prompt, uint8 (p, k, *shape), and tells the share of first ones that are won."""
    values = lexicon.values(levels.reshape(-1, *lexicon.shape)).reshape(*levels.shape[:2], -1)
    won = play_levels(lexicon.task(), np.ascontiguousarray(levels[:, 0]), seconds).playable
    return measure_finding(lexicon, way, asked, values, None, seed), float(won.mean())


# The report.

_READING = ("read by", "precision", "recall", "prompts all right")
_FINDING = ("found by", "recall at 1", "recall at 10", "met by the 1st", "met in 10", "precision", "recall", "score")
_MAKING = ("made", "met by the 1st", "met in 10", "precision", "recall", "score", "playable")


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f} %"


def write_report(measured: Measured, folder: Path, name: str) -> list[Path]:
    """Writes what was measured as Markdown, HTML and JSON; returns the files."""
    document = Document(f"Words for {measured.facts['problem']}")
    document.entries([f"{key}: {value}" for key, value in measured.facts.items()])
    document.text(
        "Features count as read where the same bands are left open as were asked for. Precision and recall of levels "
        "are of features that prompts speak of. The caption score is in [-1, 1]; its interval is a 95 % bootstrap "
        "interval over prompts."
    )
    document.heading("Prompts read")
    document.text(f"Held-out captions that the grammar reads to the number: {_share(measured.exact)}.")
    for which, readings in measured.readings.items():
        document.heading(which, 3)
        rows = [[one.way, *map(_share, (one.precision, one.recall, one.whole))] for one in readings]
        document.table(_READING, rows)
    document.heading("Levels found among held-out levels")
    for which, findings in measured.findings.items():
        document.heading(which, 3)
        document.table(_FINDING, [_finding_row(one) for one in findings])
    if measured.makings:
        document.heading("Levels made")
        for which, makings in measured.makings.items():
            document.heading(which, 3)
            rows = [[row[0], *row[3:], _share(won)] for one, won in makings for row in [_finding_row(one)]]
            document.table(_MAKING, rows)
    files = document.write(folder, name)
    plain = {
        "facts": measured.facts,
        "exact": measured.exact,
        "readings": {key: [dataclasses.asdict(one) for one in rows] for key, rows in measured.readings.items()},
        "findings": {key: [dataclasses.asdict(one) for one in rows] for key, rows in measured.findings.items()},
        "makings": {
            key: [{**dataclasses.asdict(one), "playable": won} for one, won in rows]
            for key, rows in measured.makings.items()
        },
    }
    write_json(folder / f"{name}.json", plain)
    return [*files, folder / f"{name}.json"]


def _finding_row(one: Finding) -> list[str]:
    shares = (one.at_1, one.at_10, one.met_1, one.met_10, one.precision, one.recall)
    return [one.way, *map(_share, shares), f"{one.score.mean:.2f} ({one.score.low:.2f} to {one.score.high:.2f})"]


def figures(measured: Measured) -> dict[str, float]:
    """Returns the figures of reading and finding by the name of their set, their way and what they are."""
    told: dict[str, float] = {}
    for which, readings in measured.readings.items():
        told |= {f"{which}/{one.way}/precision": one.precision for one in readings}
        told |= {f"{which}/{one.way}/recall": one.recall for one in readings}
    for which, findings in measured.findings.items():
        told |= {f"{which}/{one.way}/recall at 1": one.at_1 for one in findings}
        told |= {f"{which}/{one.way}/recall at 10": one.at_10 for one in findings}
    return told


def summary(measured: Measured) -> str:
    """Returns the most important figures in a few lines."""
    lines = []
    for which, readings in measured.readings.items():
        best = {one.way: one for one in readings}
        told = ", ".join(
            f"{way} {100 * best[way].precision:.0f}/{100 * best[way].recall:.0f}"
            for way in ("grammar", "text tower", "nearest caption")
        )
        lines.append(f"read, {which} (precision/recall, %): {told}")
    for which, findings in measured.findings.items():
        told = ", ".join(f"{one.way} {100 * one.at_1:.0f}/{100 * one.at_10:.0f}" for one in findings)
        lines.append(f"found, {which} (recall at 1/10, %): {told}")
    for which, makings in measured.makings.items():
        told = ", ".join(f"{one.way} {one.score.mean:.2f}" for one, _ in makings)
        lines.append(f"made, {which} (caption score): {told}")
    return "\n".join(lines)
