"""Training the two towers on captions and levels of a corpus."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from envs import UserError
from envs.symmetries import transform_randomly
from generators.corpus import Corpus
from generators.devices import check_device
from generators.generator import Fit, Report
from generators.options import check_threads
from generators.training import TrainingStoppedError
from generators.words.captions import draw_captions
from generators.words.features import Interval
from generators.words.model import WordsModel
from generators.words.towers import Towers

#: How often held-out captions are looked at in a training.
_LOOKS = 20

#: The most held-out levels that are looked at.
_LOOKED_AT = 500

#: What reading a text, and telling the bands of a level, count beside the contrast.
_READING, _TELLING = 10.0, 0.3

#: The learning rate rises for this share of a training and falls to this share of its highest.
_RISE, _LEAST_RATE = 0.05, 0.02

#: How often a word of a training caption is misspelt, and how often a caption speaks of what no problem has besides.
_MISSPELT, _STRANGE = 0.03, 0.2

_VOWELS, _CONSONANTS = "aeiou", "bcdfghklmnprstvw"

#: What stands around a word that means nothing.
_STRANGE_FRAMES = ("with {}", "a {}", "no {}s", "many {}s", "few {}s", "{} and {}", "3 {}s", "in the {}", "a long {}")


@dataclass(frozen=True)
class WordsFit:
    """How the towers are trained.

    Attributes:
        minutes: stop after so much training time; 0 for no limit.
        steps: stop after so many updates; equal seeds then give equal results. 0 for no limit.
        batch: pairs of a caption and a level in an update.
        captions: how many captions are written, each of a level drawn at random; the batches are drawn from these.
        learning_rate: at its highest.
        weight_decay: of AdamW (Loshchilov 2019).
        clip: gradients are scaled down to this norm.
        symmetries: whether the problem's symmetries give more levels.
        patience: stop when the held-out score was not better for so many looks at it, of which there are 20 in a
            training; 0 never stops early.
        seed: fixes weights, captions and batches.
        processor_time: whether `minutes` count what the training has had of a processor, where the machine is shared
            with other work, and not what the clock on the wall tells.
        threads: torch's threads.
        device: cpu, or a CUDA device such as cuda:0.
    """

    minutes: float = 2.0
    steps: int = 0
    batch: int = 64
    captions: int = 30_000
    learning_rate: float = 1e-2
    weight_decay: float = 0.01
    clip: float = 1.0
    symmetries: bool = True
    patience: int = 8
    seed: int = 0
    processor_time: bool = False
    threads: int = 1
    device: str = "cpu"

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        for name, value in asdict(self).items():
            if isinstance(value, (int, float)) and not (math.isfinite(value) and value >= 0):
                raise UserError(f"{name} must be a finite number of at least 0; got {value}.")
        if not self.minutes and not self.steps:
            raise UserError("Give a training time or a number of steps above 0; got minutes=0 and steps=0.")
        for name, least in (("batch", 2), ("captions", 2)):
            if getattr(self, name) < least:
                raise UserError(f"{name} must be at least {least}; got {getattr(self, name)}.")
        if not self.learning_rate:
            raise UserError("learning_rate must be above 0.")
        check_threads(self.threads)


@dataclass(frozen=True)
class _Pairs:
    """Captions with the levels that they were written of.

    Attributes:
        texts: int16 (n, WORDS, PIECES), their pieces.
        places: int64 (n,), the number of each caption's level.
        low: float64 (n, features), the least value that each caption is true of.
        high: the greatest.
        is_open: bool (n, bands), which bands each caption leaves open.
        levels: uint8 (m, *shape).
        values: float64 (m, features), of the levels.
        bands: int64 (m, features), of the levels.
    """

    texts: NDArray[np.int16]
    places: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    is_open: NDArray[np.bool_]
    levels: NDArray[np.uint8]
    values: NDArray[np.float64]
    bands: NDArray[np.int64]


def fit_words(model: WordsModel, corpus: Corpus, options: WordsFit | None = None, report: Report | None = None) -> Fit:
    """Trains the towers of a model; in the end they have the weights that did best on held-out captions and levels.

    What is pulled together are a caption and all levels of the batch that it is true of, and pushed apart all others:
    the contrast has several right answers (Khosla 2020), for several captions may mean the same.

    Args:
        model: whose towers are trained anew.
        corpus: of the lexicon's problem and shape.
        options: how to train.
        report: called now and then.

    Raises:
        UserError: an option or the corpus cannot be used.
        TrainingStoppedError: a loss is no longer a finite number.
    """
    chosen = options or WordsFit()
    chosen.check()
    if corpus.problem.name != model.lexicon.problem or corpus.shape != model.lexicon.shape:
        raise UserError(
            f"The model is for {model.lexicon.problem} levels of shape {model.lexicon.shape}; the corpus has "
            f"{corpus.problem.name} levels of shape {corpus.shape}."
        )
    check_device(chosen.device)
    torch.set_num_threads(chosen.threads)
    model.device = chosen.device
    model.towers = model.new_towers(chosen.seed)
    fit = _train(model, corpus, chosen, report)
    model.facts["corpus"] = corpus.record()
    model.facts["corpus_card"] = corpus.card()
    model.facts["fit"] = asdict(fit)
    return fit


def _train(model: WordsModel, corpus: Corpus, options: WordsFit, report: Report | None) -> Fit:
    clock = time.process_time if options.processor_time else time.perf_counter
    began = clock()
    pairs = _pairs(model, corpus, "train", options.captions, Random(options.seed), strange=True)
    held_out = _pairs(model, corpus, "held_out", _LOOKED_AT, Random(1), strange=False)
    towers = model.towers
    weights = list(towers.parameters())
    optimiser = torch.optim.AdamW(
        [
            {"params": [weight for weight in weights if weight.ndim >= 2], "weight_decay": options.weight_decay},
            {"params": [weight for weight in weights if weight.ndim < 2], "weight_decay": 0.0},
        ],
        lr=options.learning_rate,
        betas=(0.9, 0.98),
    )
    fit = Fit()
    best = _copy(towers)
    looks = waited = 0
    while True:
        share = min(1.0, max(_shares(options, fit.steps, clock() - began)))
        if looks < int(share * _LOOKS):
            looks = int(share * _LOOKS)
            score = _held_out_score(model, held_out, options)
            waited += 1
            if math.isnan(fit.held_out) or score < fit.held_out:
                fit.held_out, fit.best_step, waited = score, fit.steps, 0
                best = _copy(towers)
            if report:
                fit.seconds = clock() - began
                report(fit, share)
        fit.stopped_early = bool(options.patience) and waited >= options.patience
        if share >= 1 or fit.stopped_early:
            break
        rate = min(1.0, share / _RISE + 0.01) * (_LEAST_RATE + (1 - _LEAST_RATE) * (1 + math.cos(math.pi * share)) / 2)
        for group in optimiser.param_groups:
            group["lr"] = options.learning_rate * rate
        random = np.random.default_rng([options.seed, fit.steps, 3])
        chosen = random.integers(0, len(pairs.places), options.batch)
        towers.train()
        loss, figures = _loss(model, pairs, chosen, random if options.symmetries else None)
        if not math.isfinite(float(loss.detach())):
            raise TrainingStoppedError(
                f"Training stopped at step {fit.steps}: the loss is no longer a finite number; train with a smaller "
                "learning rate."
            )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if options.clip:
            nn.utils.clip_grad_norm_(weights, options.clip)
        optimiser.step()
        fit.steps += 1
        fit.levels += options.batch
        fit.figures = figures
    towers.load_state_dict(best)
    towers.eval()
    fit.seconds = clock() - began
    return fit


def _shares(options: WordsFit, steps: int, seconds: float) -> list[float]:
    """Returns how much of the training is done, by each of its limits."""
    limits = [(steps, options.steps), (seconds, 60 * options.minutes)]
    return [done / limit for done, limit in limits if limit]


def _copy(towers: Towers) -> dict[str, Tensor]:
    return {name: weights.detach().clone() for name, weights in towers.state_dict().items()}


def _pairs(model: WordsModel, corpus: Corpus, split: str, count: int, random: Random, strange: bool) -> _Pairs:
    """Writes captions of levels drawn at random.

    Args:
        model: that will take them in.
        corpus: the levels.
        split: which of its parts.
        count: how many captions; of held-out levels each has one.
        random: the source of all draws.
        strange: whether to misspell some words and put in some that mean nothing.
    """
    part = corpus.part(split)
    values = model.lexicon.values(part.levels, corpus.metrics(split))
    every = list(range(len(part)))
    places = np.array(random.choices(every, k=count) if strange else every[:count], np.int64)
    captions = draw_captions(model.lexicon, values[places], random)
    texts = [disturbed(caption.text, random) if strange else caption.text for caption in captions]
    asked: list[Mapping[str, Interval]] = [caption.asked for caption in captions]
    ends = [model.lexicon.limits(one) for one in asked]
    return _Pairs(
        # The pieces' numbers are small: kept so, they take a quarter of the room.
        model.pieces.encode(texts).astype(np.int16),
        places,
        np.stack([low for low, _ in ends]),
        np.stack([high for _, high in ends]),
        model.bands.open_bands(asked),
        part.levels,
        values,
        model.bands.of_levels(values),
    )


def disturbed(text: str, random: Random) -> str:
    """Returns a caption with some words misspelt, and sometimes with words that mean nothing before or behind it."""
    words = [misspelt(word, random) if random.random() < _MISSPELT else word for word in text.split(" ")]
    text = " ".join(words)
    if random.random() < _STRANGE:
        frame = random.choice(_STRANGE_FRAMES)
        strange = frame.format(*(_invented(random) for _ in range(frame.count("{}"))))
        text = f"{strange}, {text}" if random.random() < 0.5 else f"{text} and {strange}"
    return text


def misspelt(word: str, random: Random) -> str:
    """Returns a word with a letter behind the first left out, doubled, changed or swapped; short ones as they are."""
    if len(word) < 5 or not word.isalpha():
        return word
    place = random.randrange(1, len(word) - 1)
    letter = random.choice(_VOWELS + _CONSONANTS)
    return random.choice(
        (
            word[:place] + word[place + 1 :],
            word[:place] + 2 * word[place] + word[place + 1 :],
            word[:place] + letter + word[place + 1 :],
            word[:place] + word[place + 1] + word[place] + word[place + 2 :],
        )
    )


def _invented(random: Random) -> str:
    """Returns a word that means nothing."""
    syllables = (random.choice(_CONSONANTS) + random.choice(_VOWELS) for _ in range(random.randint(1, 3)))
    return "".join(syllables) + random.choice(_CONSONANTS)


def _loss(
    model: WordsModel, pairs: _Pairs, chosen: NDArray[np.int64], random: np.random.Generator | None
) -> tuple[Tensor, dict[str, float]]:
    """Returns the loss on some pairs, and its parts by name.

    Args:
        model: whose towers see them.
        pairs: all captions and levels.
        chosen: int64 (b,), which captions.
        random: turns levels by the problem's symmetries; None leaves them as they are.
    """
    places = pairs.places[chosen]
    levels = pairs.levels[places]
    if random is not None:
        levels = transform_randomly(model.lexicon.task().symmetries, levels, random)
    device = model.device
    taken = torch.from_numpy(pairs.texts[chosen].astype(np.int64)).to(device)
    text_vectors, open_logits = model.towers.text(taken)
    level_vectors, band_logits = model.towers.level(torch.from_numpy(levels.astype(np.int64)).to(device))
    values = pairs.values[places]
    low, high = pairs.low[chosen][:, None], pairs.high[chosen][:, None]
    true = torch.from_numpy(((values >= low) & (values <= high)).all(axis=2)).to(device, torch.float32)
    similar = model.towers.scale * text_vectors @ level_vectors.T
    contrast = (_several(similar, true) + _several(similar.T, true.T)) / 2
    is_open = torch.from_numpy(pairs.is_open[chosen]).to(device, torch.float32)
    reading = binary_cross_entropy_with_logits(open_logits, is_open)
    bands = torch.from_numpy(pairs.bands[places]).to(device)
    telling = torch.stack(
        [cross_entropy(band_logits[:, model.bands.places[place]], bands[:, place]) for place in model.lexicon.varied]
        or [contrast * 0]
    ).mean()
    loss = contrast + _READING * reading + _TELLING * telling
    parts = {"loss": loss, "contrast": contrast, "reading": reading, "telling": telling}
    return loss, {name: float(part.detach()) for name, part in parts.items()}


def _several(similar: Tensor, true: Tensor) -> Tensor:
    """Returns the mean cross-entropy of rows of which several entries are right, all alike.

    Args:
        similar: float32 (b, b), logits.
        true: float32 (b, b), 1 where an entry is right; at least one in each row is.
    """
    right = true / true.sum(dim=1, keepdim=True)
    return -(right * similar.log_softmax(dim=1)).sum(dim=1).mean()


def _held_out_score(model: WordsModel, pairs: _Pairs, options: WordsFit) -> float:
    """Returns the mean loss on held-out pairs."""
    model.towers.eval()
    losses, sizes = [], []
    with torch.no_grad():
        for first in range(0, len(pairs.places), options.batch):
            chosen = np.arange(first, min(first + options.batch, len(pairs.places)))
            losses.append(float(_loss(model, pairs, chosen, None)[0]))
            sizes.append(len(chosen))
    return float(np.average(losses, weights=sizes))
