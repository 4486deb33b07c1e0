"""The gated PixelCNN: causal, exact, sampled row by row as one pass computes it, conditional."""

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
def columns():
    """Binary levels of 5 x 6 whose rows are the first one, or its opposite: 10 free tiles of 30."""
    random = np.random.default_rng(0)
    rows, turned = random.integers(0, 2, (400, 1, 6)), random.integers(0, 2, (400, 5, 1))
    return corpus_of_levels("binary", (rows ^ turned).astype(np.uint8), held_out=0.2, test=0.2, repeats=True)


def every_level():
    return np.array(list(product((0, 1), repeat=6)), np.uint8).reshape(-1, 2, 3)


def trained(corpus, steps, **config):
    generator = make_generator("pixelcnn", corpus, **{"width": 16, "layers": 2, **config})
    options = FitOptions(minutes=0, steps=steps, warm_up=1, learning_rate=0.01, ema=0.9, patience=0, symmetries=False)
    generator.fit(corpus, options)
    return generator


@pytest.mark.parametrize("config", [{}, {"reach": 1, "layers": 3, "dropout": 0.2}])
def test_the_probabilities_of_all_levels_sum_to_one(tiny, config):
    generator = trained(tiny, 20, **config)
    for condition in (None, {generator.spec.conditions[0].name: 2}):
        scores = generator.score(every_level(), condition)
        assert np.exp(-scores.nats * 6).sum() == pytest.approx(1, abs=1e-6)


def test_levels_are_sampled_as_often_as_they_are_likely(tiny):
    generator = trained(tiny, 60)
    shares = np.exp(-generator.score(every_level()).nats * 6)
    assert shares.max() > 3 / 64
    drawn = generator.sample(8000, seed=1, constrained=False).reshape(-1, 6)
    counts = np.bincount(drawn @ (1 << np.arange(5, -1, -1)), minlength=64)
    assert (np.abs(counts - 8000 * shares) < 5 * np.sqrt(8000 * shares) + 3).all()


def test_a_tile_depends_on_all_before_it_in_reach_and_no_other(columns):
    generator = trained(columns, 3, layers=3, reach=2)
    levels = torch.from_numpy(columns.test.levels[:1].astype(np.int64))
    asked = torch.zeros(1, generator.spec.condition_size)
    generator.network.double().eval()

    def scores(given):
        with torch.no_grad():
            return generator.network(given, asked.double(), 2)[0]

    before = scores(levels)
    for cell in range(30):
        changed = levels.clone()
        changed.view(-1)[cell] ^= 1
        moved = (scores(changed) - before).abs().sum(dim=-1).view(-1) > 0
        assert not moved[: cell + 1].any()
        # Three layers of reach 2 see all of a level this small: there is no blind spot.
        assert moved[cell + 1 :].all()


@pytest.mark.parametrize(("layers", "reach"), [(1, 1), (3, 2)])
def test_sampling_goes_by_the_scores_of_one_pass(columns, layers, reach, monkeypatch):
    """At each cell the writer is given what one pass over the finished level says there."""
    from generators.writing import Writer

    generator = trained(columns, 5, layers=layers, reach=reach)
    given = {}
    original = Writer.write

    def write(self, cell, scores):
        given[cell] = np.array(scores)
        return original(self, cell, scores)

    monkeypatch.setattr(Writer, "write", write)
    levels = generator.sample(4, seed=2, condition={"regions": 3})
    from generators.training import Asked

    asked = Asked.of(generator.spec, *generator.spec.values({"regions": 3}, 4), "cpu")
    with torch.no_grad():
        whole = generator._scores(torch.from_numpy(levels.astype(np.int64)), asked).flatten(1, 2).numpy()
    for cell in range(30):
        assert np.allclose(given[cell], whole[:, cell], atol=1e-5)


def test_it_learns_what_follows_from_the_rows_above(columns):
    generator = trained(columns, 150)
    ideal = np.log(2) * 10 / 30
    assert generator.score(columns.test.levels).nats.mean() < 1.3 * ideal
    samples = generator.sample(100, seed=1).astype(int)
    turned = samples ^ samples[:, :, :1]
    assert (turned == turned[:, :1]).mean() > 0.95


def test_conditions_are_followed():
    random = np.random.default_rng(0)
    levels = (random.random((500, 4, 5)) < random.random((500, 1, 1))).astype(np.uint8)
    corpus = corpus_of_levels("binary", levels, repeats=True)
    generator = trained(corpus, 150)
    few, many = (generator.sample(200, seed=1, condition={"regions": value}) for value in (1, 6))
    column = corpus.problem.index("regions")
    measured = [corpus.problem.measure(drawn)[:, column].mean() for drawn in (few, many)]
    assert measured[0] + 1 < measured[1]


def test_rules_and_fixed_tiles_are_kept():
    corpus = corpus_of_levels("zelda", envs.construct("zelda", 60, seed=5), repeats=True)
    generator = trained(corpus, 3)
    rules, tiles = generator.spec.count_rules(), generator.spec.tiles
    fixed = np.full(corpus.shape, -1)
    fixed[6, 10] = tiles.index("player")
    fixed[3, :4] = tiles.index("solid")
    levels = generator.sample(30, seed=1, fixed_tiles=fixed)
    assert kept(rules, levels, tiles).all()
    assert (levels == fixed)[np.broadcast_to(fixed >= 0, levels.shape)].all()
    assert not kept(rules, generator.sample(30, seed=1, constrained=False), tiles).all()


@pytest.mark.parametrize("wrong", [{"width": 0}, {"layers": 0}, {"reach": 0}, {"dropout": 1.0}])
def test_options_are_checked(tiny, wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        make_generator("pixelcnn", tiny, **wrong)
