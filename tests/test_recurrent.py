"""LSTM and GRU: exact likelihoods, sampling that agrees with them, conditions that are followed."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

import envs
from envs import UserError
from envs.counts import kept
from generators.corpus import corpus_of_levels
from generators.generator import FitOptions
from generators.suite import make_generator

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def tiny():
    random = np.random.default_rng(3)
    levels = (random.random((150, 2, 3)) < [[0.1, 0.5, 0.8], [0.3, 0.9, 0.5]]).astype(np.uint8)
    levels[:, 1, 2] = levels[:, 0, 0] ^ levels[:, 0, 2]
    return corpus_of_levels("binary", levels, held_out=0.2, test=0.2, seed=1, repeats=True)


@pytest.fixture(scope="module")
def stripes():
    """Binary levels of 4 x 5 whose rows are all alike, and all start and end alike."""
    rows = np.random.default_rng(0).integers(0, 2, (400, 1, 5))
    rows[:, :, 4] = rows[:, :, 0]
    columns = np.random.default_rng(1).integers(0, 2, (400, 4, 1))
    return corpus_of_levels("binary", (rows ^ columns).astype(np.uint8), held_out=0.2, test=0.2, repeats=True)


def every_level():
    return np.array(list(product((0, 1), repeat=6)), np.uint8).reshape(-1, 2, 3)


def trained(corpus, steps, **config):
    generator = make_generator("recurrent", corpus, **{"width": 32, "embedding": 8, **config})
    options = FitOptions(minutes=0, steps=steps, warm_up=1, learning_rate=0.01, ema=0.9, patience=0, symmetries=False)
    generator.fit(corpus, options)
    return generator


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"cell": "gru", "order": "column"},
        {"order": "snake", "layers": 2, "dropout": 0.2},
        {"neighbours": False, "order": "column"},
    ],
)
def test_the_probabilities_of_all_levels_sum_to_one(tiny, config):
    generator = trained(tiny, 20, **config)
    for condition in (None, {generator.spec.conditions[0].name: 2}):
        scores = generator.score(every_level(), condition)
        assert np.exp(-scores.nats * 6).sum() == pytest.approx(1, abs=1e-6)
    # The first tile is predicted from nothing; so it is the same for all.
    first = generator._order[0]
    assert len(np.unique(scores.predicted.reshape(-1, 6)[:, first])) == 1


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_levels_are_sampled_as_often_as_they_are_likely(tiny, cell):
    generator = trained(tiny, 60, cell=cell, order="snake")
    shares = np.exp(-generator.score(every_level()).nats * 6)
    assert shares.max() > 3 / 64
    drawn = generator.sample(8000, seed=1, constrained=False).reshape(-1, 6)
    counts = np.bincount(drawn @ (1 << np.arange(5, -1, -1)), minlength=64)
    assert (np.abs(counts - 8000 * shares) < 5 * np.sqrt(8000 * shares) + 3).all()


def test_no_place_sees_itself_or_later_ones(stripes):
    for order in ("row", "column", "snake"):
        generator = trained(stripes, 2, order=order)
        levels = stripes.test.levels[:1]
        asked_of = generator.score
        for place in (0, 7, 13):
            changed = levels.copy().reshape(1, -1)
            changed[:, generator._order[place:]] ^= 1
            before = asked_of(levels).predicted.reshape(-1)
            after = asked_of(changed.reshape(levels.shape)).predicted.reshape(-1)
            assert (before == after)[generator._order[: place + 1]].all()


def test_it_learns_what_must_be_remembered(stripes):
    """The end of a row follows from its beginning, and later rows from the first: 8 free tiles of 20."""
    generator = trained(stripes, 250)
    ideal = np.log(2) * 7 / 20
    assert generator.score(stripes.test.levels).nats.mean() < 1.3 * ideal
    samples = generator.sample(100, seed=1)
    assert (samples[:, :, 0] == samples[:, :, 4]).mean() > 0.95
    assert not make_generator("recurrent", stripes, width=32).score(stripes.test.levels).nats.mean() < 1.5 * ideal


def test_conditions_are_followed():
    random = np.random.default_rng(0)
    levels = (random.random((500, 4, 5)) < random.random((500, 1, 1))).astype(np.uint8)
    corpus = corpus_of_levels("binary", levels, repeats=True)
    generator = trained(corpus, 150)
    name = "regions"
    few, many = (generator.sample(200, seed=1, condition={name: value}) for value in (1, 6))
    column = corpus.problem.index(name)
    measured = [corpus.problem.measure(drawn)[:, column].mean() for drawn in (few, many)]
    assert measured[0] + 1 < measured[1]


def test_rules_and_fixed_tiles_are_kept():
    corpus = corpus_of_levels("zelda", envs.construct("zelda", 60, seed=5), repeats=True)
    generator = trained(corpus, 3)
    rules, tiles = generator.spec.count_rules(), generator.spec.tiles
    fixed = np.full(corpus.shape, -1)
    fixed[3, 4] = tiles.index("player")
    fixed[:2] = corpus.train.levels[0, :2]
    fixed[fixed == tiles.index("player")] = -1
    fixed[6, 10] = tiles.index("player")
    levels = generator.sample(30, seed=1, fixed_tiles=fixed)
    assert kept(rules, levels, tiles).all()
    assert (levels == fixed)[np.broadcast_to(fixed >= 0, levels.shape)].all()
    free = generator.sample(30, seed=1, constrained=False)
    assert not kept(rules, free, tiles).all()


@pytest.mark.parametrize("wrong", [{"width": 0}, {"layers": 0}, {"dropout": 1.0}, {"cell": "rnn"}])
def test_options_are_checked(tiny, wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        make_generator("recurrent", tiny, **wrong)
