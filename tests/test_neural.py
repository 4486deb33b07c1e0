"""The training that all generators with a network share, seen through the smallest network that learns."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn

from envs import UserError, get_problem
from envs.records import read_metrics
from generators.corpus import corpus_of_levels
from generators.decoding import decode_logits
from generators.generator import FitOptions
from generators.graphs import Graph
from generators.neural import NeuralGenerator
from generators.sampler import Sampler
from generators.spec import LevelSpec
from generators.suite import get_family
from generators.training import CHECKPOINT_FILE, METRICS_FILE, Fitting, TrainingStoppedError


@dataclass(frozen=True)
class Config:
    start: float = 0.0


class CellsSampler(Sampler):
    name = "cells"

    def draw(self, request, sampling):
        (logits,) = self.networks("logits", self.dense(request))
        cells = logits.reshape(request.n, -1, len(self.spec.tiles))
        levels = decode_logits(cells, self.spec, request.draws(), fixed=request.fixed)
        return levels.reshape(request.n, *self.spec.shape)


class Cells(NeuralGenerator):
    """Every cell by itself: the likeliest model that knows nothing of the others, shifted by what is asked."""

    name, title, paper = "cells", "Independent cells", "none"
    Config, Sampler = Config, CellsSampler
    defaults = {"learning_rate": 0.05, "batch": 16, "warm_up": 1, "ema": 0.9}

    def build(self):
        network = nn.Module()
        tiles = len(self.spec.tiles)
        network.logits = nn.Parameter(torch.full((*self.spec.shape, tiles), self.config.start))
        network.shift = nn.Linear(self.spec.condition_size, tiles, bias=False)
        nn.init.zeros_(network.shift.weight)
        return network

    def logits(self, dense):
        return self.network.logits + self.network.shift(dense)[:, None, None]

    def loss(self, levels, asked, random):
        loss = nn.functional.cross_entropy(self.logits(asked.dense).permute(0, 3, 1, 2), levels)
        return loss, {"again": loss.detach()}

    def graphs(self):
        return {"logits": Graph(self.logits, ("asked",), ("logits",))}


@pytest.fixture(scope="module")
def corpus():
    problem = get_problem("binary")
    random = np.random.default_rng(0)
    # The left half is nearly empty, the right half nearly solid; how solid differs from level to level.
    share = random.random((200, 1, 1)) * 0.4
    left = random.random((200, 4, 3)) < share
    right = random.random((200, 4, 3)) < 1 - share
    return corpus_of_levels(problem, np.concatenate([left, right], axis=2).astype(np.uint8), seed=1, repeats=True)


def made(corpus, **config):
    return Cells(LevelSpec.of(corpus), Config(**config))


STEPS = FitOptions(minutes=0, steps=120, symmetries=False, seed=3, patience=0)


def equal(first, second):
    return all(torch.equal(a, b) for a, b in zip(first.values(), second.values(), strict=True))


def test_it_learns_the_frequencies(corpus):
    generator = made(corpus)
    fit = generator.fit(corpus, STEPS)
    assert fit.steps == 120
    assert fit.levels == 120 * 16
    shares = generator.sample(2000, seed=1).mean(axis=0)
    assert np.abs(shares - corpus.train.levels.mean(axis=0)).max() < 0.12
    assert fit.held_out < math.log(2) * 0.85
    assert generator.facts["corpus"]["digest"] == corpus.digest


def test_equal_seeds_give_equal_weights(corpus):
    first, second, third = made(corpus), made(corpus), made(corpus)
    first.fit(corpus, STEPS)
    second.fit(corpus, STEPS)
    third.fit(corpus, FitOptions(**{**STEPS.__dict__, "seed": 4}))
    assert equal(first.network.state_dict(), second.network.state_dict())
    assert not equal(first.network.state_dict(), third.network.state_dict())


def test_a_training_begins_with_the_weights_it_is_given(corpus):
    first = made(corpus)
    first.fit(corpus, STEPS)
    still = replace(STEPS, steps=1, learning_rate=1e-12)
    second, third = made(corpus), made(corpus)
    second.fit(corpus, still, weights=first.arrays())
    third.fit(corpus, still)
    assert np.allclose(second.network.logits.detach(), first.network.logits.detach(), atol=1e-6)
    assert not np.allclose(third.network.logits.detach(), first.network.logits.detach(), atol=1e-2)
    with pytest.raises(RuntimeError, match="logits"):
        made(corpus).fit(corpus, still, weights={"logits": np.zeros(3, np.float32)})


def test_a_resumed_training_ends_as_an_unbroken_one(corpus, tmp_path):
    whole = made(corpus)
    unbroken = tmp_path / "unbroken"
    unbroken.mkdir()
    expected = whole.fit(corpus, STEPS, unbroken)
    broken = made(corpus)
    steps = 0
    original = Cells.train_step

    def interrupt(self, *arguments):
        nonlocal steps
        steps += 1
        if steps == 50:
            raise KeyboardInterrupt
        return original(self, *arguments)

    Cells.train_step = interrupt
    try:
        with pytest.raises(KeyboardInterrupt):
            broken.fit(corpus, STEPS, tmp_path)
    finally:
        Cells.train_step = original
    resumed = made(corpus)
    fit = resumed.fit(corpus, STEPS, tmp_path, resume=True)
    assert fit.steps == expected.steps
    assert fit.held_out == expected.held_out
    assert equal(whole.network.state_dict(), resumed.network.state_dict())
    again = made(corpus)
    assert again.fit(corpus, STEPS, tmp_path, resume=True).steps == 120
    assert equal(again.network.state_dict(), resumed.network.state_dict())


def test_early_stopping_keeps_the_best(corpus):
    generator = made(corpus)
    options = FitOptions(minutes=0, steps=4000, learning_rate=1.0, patience=2, symmetries=False)
    fit = generator.fit(corpus, options)
    assert fit.stopped_early
    assert fit.steps < 4000
    assert fit.best_step < fit.steps


def test_metrics_are_written(corpus, tmp_path):
    reports = []
    options = FitOptions(minutes=0, steps=500, patience=0)
    made(corpus).fit(corpus, options, tmp_path, lambda fit, share: reports.append(share))
    columns = read_metrics(tmp_path / METRICS_FILE)
    assert columns["steps"].tolist() == [200, 400, 500]
    assert np.isfinite(columns["loss"]).all()
    assert reports[-1] == 1.0
    assert reports == sorted(reports)


def test_balance_draws_from_all_buckets_alike(corpus):
    generator = made(corpus)
    name = generator.spec.conditions[0].name
    fitting = Fitting(generator, corpus, FitOptions(balance=name), None, None)
    chosen = np.random.default_rng(0).choice(len(corpus.train), 20000, p=fitting.weights)
    buckets = generator.spec.conditions[0].bucket(fitting.values[chosen, 0])
    shares = np.bincount(buckets)[np.unique(buckets)] / 20000
    assert np.ptp(shares) < 0.03


def test_no_number_stops_the_training(corpus, tmp_path):
    generator = made(corpus, start=float("nan"))
    with pytest.raises(TrainingStoppedError, match="no checkpoint"):
        generator.fit(corpus, FitOptions(minutes=0, steps=300), tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"minutes": 0}, "minutes=0"),
        ({"minutes": -1}, "minutes"),
        ({"batch": 0}, "batch"),
        ({"threads": 9999}, "threads must be from 1 to 256"),
        ({"ema": 1.0}, "ema"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"balance": "nothing"}, "nothing"),
        ({"device": "cuda:99"}, "cuda:99"),
    ],
)
def test_wrong_options_are_named(corpus, options, words):
    with pytest.raises(UserError, match=words):
        made(corpus).fit(corpus, FitOptions(**options))


def test_a_damaged_checkpoint_is_named(corpus, tmp_path):
    with pytest.raises(UserError, match="nothing to resume"):
        made(corpus).fit(corpus, STEPS, tmp_path, resume=True)
    (tmp_path / CHECKPOINT_FILE).write_bytes(b"no checkpoint")
    with pytest.raises(UserError, match="damaged"):
        made(corpus).fit(corpus, STEPS, tmp_path, resume=True)


def test_another_corpus_is_refused(corpus, tmp_path):
    made(corpus).fit(corpus, STEPS, tmp_path)
    other = corpus_of_levels("binary", corpus.train.levels[:100], seed=2, repeats=True)
    with pytest.raises(UserError, match="another corpus"):
        made(corpus).fit(other, STEPS, tmp_path, resume=True)


def test_saved_and_loaded_it_samples_the_same(corpus, tmp_path, monkeypatch):
    from generators import suite

    monkeypatch.setattr(suite, "all_families", lambda: {"cells": Cells})
    generator = made(corpus)
    generator.fit(corpus, STEPS)
    generator.save_pretrained(tmp_path / "model")
    loaded = suite.load_generator(tmp_path / "model")
    asked = {generator.spec.conditions[0].name: 3}
    assert np.array_equal(generator.sample(20, 5, asked), loaded.sample(20, 5, asked))
    assert loaded.facts["corpus"]["digest"] == corpus.digest
    fixed = np.full((4, 6), -1)
    fixed[1, :] = 1
    assert (loaded.sample(7, 1, fixed_tiles=fixed)[:, 1] == 1).all()


def test_a_short_training_is_recorded_too(corpus, tmp_path):
    told = []
    generator = made(corpus)
    fit = generator.fit(corpus, FitOptions(minutes=0, steps=7), tmp_path, lambda fit, share: told.append(share))
    assert read_metrics(tmp_path / METRICS_FILE)["steps"].tolist()[-1] == 7
    assert fit.figures["loss"] > 0
    assert told[-1] == 1.0


def test_a_short_training_that_comes_to_nothing_says_so(corpus):
    with pytest.raises(TrainingStoppedError, match="finite"):
        made(corpus, start=math.nan).fit(corpus, FitOptions(minutes=0, steps=7))


def test_an_interrupt_while_looking_changes_nothing(corpus, tmp_path, monkeypatch):
    whole = made(corpus)
    whole.fit(corpus, STEPS)
    original, made_looks = Cells.held_out_score, 0

    def interrupt(self, *arguments):
        nonlocal made_looks
        made_looks += 1
        if made_looks == 4:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(Cells, "held_out_score", interrupt)
    (tmp_path / "broken").mkdir()
    with pytest.raises(KeyboardInterrupt):
        made(corpus).fit(corpus, STEPS, tmp_path / "broken")
    monkeypatch.undo()
    resumed = made(corpus)
    resumed.fit(corpus, STEPS, tmp_path / "broken", resume=True)
    assert equal(whole.network.state_dict(), resumed.network.state_dict())
    assert whole.facts["fit"]["held_out"] == resumed.facts["fit"]["held_out"]


@pytest.mark.parametrize("name", ["tile_lm", "masked_lm", "vae"])
def test_dropout_follows_the_seed_and_leaves_the_global_generator_alone(name, corpus):
    family = get_family(name)
    fitted = []
    for number, dropout in enumerate((0.3, 0.3, 0.0)):
        torch.manual_seed(number)
        before = torch.get_rng_state()
        generator = family(LevelSpec.of(corpus), family.Config(**{**family.small, "dropout": dropout}))
        generator.fit(corpus, FitOptions(minutes=0, steps=8, batch=8, warm_up=1, seed=3))
        assert torch.equal(before, torch.get_rng_state())
        fitted.append(generator.network.state_dict())
    assert equal(fitted[0], fitted[1])
    assert not equal(fitted[0], fitted[2])
