"""The baselines that count: the commonest tile, the left neighbour's, n-gram and Markov chain, beside slow twins."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from oracles.backoff import Backoff, chain_context, reading_order, text_context

import envs
from envs import UserError
from envs.counts import kept
from envs.orders import cell_order
from generators.corpus import CorpusOptions, corpus_of_levels, load_corpus
from generators.draws import level_seeds
from generators.generator import FitOptions
from generators.sampling import Request
from generators.suite import load_generator, make_generator
from generators.writing import Decoding, FreeDecoding, Writer, draw_tiles

SMB = Path(__file__).parent.parent.parent / "shared" / "data" / "TheVGLC" / "Super Mario Bros"
COUNTED = ("commonest", "copy_left", "ngram", "markov")
PLAIN = FitOptions(symmetries=False)


@pytest.fixture(scope="module")
def zelda():
    return corpus_of_levels("zelda", envs.construct("zelda", 120, seed=5), repeats=True)


@pytest.fixture(scope="module")
def tiny():
    """Binary levels of 2 x 3, some much commoner than others: all 64 can be listed."""
    random = np.random.default_rng(3)
    levels = (random.random((150, 2, 3)) < [[0.1, 0.5, 0.8], [0.3, 0.9, 0.5]]).astype(np.uint8)
    levels[:, 1, 2] = levels[:, 0, 0] ^ levels[:, 0, 2]
    # A random split may put all copies of a level on one side, so that the others are never left without any.
    return corpus_of_levels("binary", levels, held_out=0.2, test=0.2, seed=1, repeats=True)


def all_levels():
    return np.array(list(product((0, 1), repeat=6)), np.uint8).reshape(-1, 2, 3)


def fitted(name, corpus, **config):
    generator = make_generator(name, corpus, **config)
    generator.fit(corpus, PLAIN)
    return generator


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("commonest", {}),
        ("commonest", {"of": "cell"}),
        ("copy_left", {}),
        ("ngram", {}),
        ("ngram", {"context": 0}),
        ("ngram", {"order": "snake"}),
        ("markov", {"order": "row"}),
        ("markov", {"bands": 2, "neighbours": 3}),
    ],
)
def test_the_probabilities_of_all_levels_sum_to_one(tiny, name, config):
    generator = fitted(name, tiny, **config)
    total = np.exp(-generator.score(all_levels()).nats * 6).sum()
    assert total == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("name", ["ngram", "markov"])
def test_levels_are_sampled_as_often_as_they_are_likely(tiny, name):
    generator = fitted(name, tiny)
    shares = np.exp(-generator.score(all_levels()).nats * 6)
    drawn = generator.sample(20000, seed=1).reshape(-1, 6)
    counts = np.bincount(drawn @ (1 << np.arange(5, -1, -1)), minlength=64)
    # Each count is binomial: five standard deviations, for 64 of them.
    assert (np.abs(counts - 20000 * shares) < 5 * np.sqrt(20000 * shares) + 3).all()


@pytest.mark.parametrize("order", ["row", "column", "snake"])
@pytest.mark.parametrize("name", ["ngram", "markov"])
def test_backoff_equals_its_twin(zelda, name, order):
    config = {"context": 9} if name == "ngram" else {"neighbours": 7, "bands": 3}
    generator = fitted(name, zelda, order=order, **config)
    height, width = zelda.shape
    cells = reading_order(height, width, order)
    twin = Backoff(len(zelda.problem.tiles), generator.learned("weights").tolist())

    def walk(level):
        for place, (y, x) in enumerate(cells):
            if name == "ngram":
                yield 0, text_context(level, cells, place, 9), (y, x)
            else:
                yield y * 3 // height, chain_context(level, cells, place, 7, order), (y, x)

    for level in zelda.train.levels.tolist():
        for band, context, (y, x) in walk(level):
            twin.learn(band, context, level[y][x])
    scores = generator.score(zelda.test.levels[:4])
    for level, nats, predicted in zip(zelda.test.levels[:4].tolist(), scores.nats, scores.predicted, strict=True):
        expected = 0.0
        for band, context, (y, x) in walk(level):
            expected -= math.log(twin.share(band, context, level[y][x]))
            shares = [twin.share(band, context, tile) for tile in range(twin.tiles)]
            assert shares[predicted[y, x]] == pytest.approx(max(shares))
        assert nats == pytest.approx(expected / len(cells))


def test_weights_are_chosen_by_the_held_out_levels(zelda):
    generator = fitted("ngram", zelda, context=6)
    weights = generator.learned("weights").copy()
    chosen = generator.score(zelda.held_out.levels).nats.mean()
    generator.learned("weights")[:] = 1
    plain = generator.score(zelda.held_out.levels).nats.mean()
    assert chosen < plain
    # The last weight is the best for the others, which a change of it shows.
    for factor in (0.25, 4.0):
        generator.learned("weights")[:] = weights
        generator.learned("weights")[-1] *= factor
        assert generator.score(zelda.held_out.levels).nats.mean() >= chosen


def test_hand_checked_copies(tiny):
    levels = np.array([[[0, 0, 0, 1], [0, 0, 1, 1]], [[1, 1, 1, 1], [0, 0, 0, 0]]], np.uint8)
    corpus = corpus_of_levels("binary", np.random.default_rng(0).integers(0, 2, (40, 2, 4)), repeats=True)
    generator = make_generator("copy_left", corpus)
    generator.count(levels, levels, 0)
    # 10 of 12 neighbours are alike: (10 + 1) / (12 + 2). The first tile is 0 once of two above: (1 + 1) / (2 + 2), and
    # twice below: (2 + 1) / (2 + 2). After 0 nothing but 1 is a change.
    share = 2 / 4 * (11 / 14) ** 2 * 3 / 14 * 3 / 4 * (11 / 14) ** 2 * 3 / 14
    assert generator.score(levels[:1]).nats[0] == pytest.approx(-math.log(share) / 8)
    assert generator.score(levels[:1]).predicted.tolist() == [[[0, 0, 0, 0], [0, 0, 0, 1]]]
    fixed = np.array([[-1, -1, 1, -1], [-1, -1, -1, -1]])
    drawn = generator.sample(20, seed=2, fixed_tiles=fixed)
    assert (drawn[:, 0, 1] == drawn[:, 0, 0]).all()
    assert (drawn[:, 0, 2:] == 1).all()
    assert (drawn[:, 1] == 0).all()
    assert 0 < drawn[:, 0, 0].mean() < 1


def test_hand_checked_commonest(tiny):
    levels = np.array([[[0, 1, 1], [0, 0, 1]], [[0, 0, 1], [0, 0, 1]]], np.uint8)
    whole, cells = make_generator("commonest", tiny), make_generator("commonest", tiny, of="cell")
    whole.count(levels, levels, 0)
    cells.count(levels, levels, 0)
    assert whole.sample(2).tolist() == [[[0, 0, 0], [0, 0, 0]]] * 2
    assert cells.sample(2).tolist() == [[[0, 0, 1], [0, 0, 1]]] * 2
    assert whole.score(levels[:1]).nats[0] == pytest.approx(-math.log((8 / 14 * 6 / 14) ** 3) / 6)
    assert cells.score(levels[:1]).nats[0] == pytest.approx(-math.log((3 / 4) ** 5 * 2 / 4) / 6)


def test_symmetries_are_counted(tiny):
    generator = make_generator("ngram", tiny, context=0)
    assert generator.fit(tiny).levels == 4 * len(tiny.train)
    assert generator.fit(tiny, PLAIN).levels == len(tiny.train)
    markov = make_generator("markov", tiny)
    markov.fit(tiny)
    mirrored = markov.score(all_levels()[:, :, ::-1]).nats
    assert not np.allclose(mirrored, fitted("markov", tiny).score(all_levels()).nats)


@pytest.mark.parametrize("name", ["ngram", "markov"])
def test_rules_are_kept_where_asked(zelda, name):
    generator = fitted(name, zelda)
    rules, tiles = generator.spec.count_rules(), generator.spec.tiles
    fixed = np.full(zelda.shape, -1)
    fixed[3, 4] = tiles.index("player")
    constrained = generator.sample(60, seed=1, fixed_tiles=fixed, constrained=True)
    assert kept(rules, constrained, tiles).all()
    assert not kept(rules, generator.sample(60, seed=1, fixed_tiles=fixed), tiles).all()


def test_cold_sampling_takes_the_likeliest(zelda):
    generator = fitted("markov", zelda)
    cold = generator.sample(3, seed=1, temperature=0)
    assert (cold == cold[0]).all()
    assert (generator.score(cold).predicted == cold).all()
    assert (generator.sample(3, seed=5, top_p=1e-9) == cold).all()


@pytest.mark.parametrize("name", COUNTED)
def test_baselines_cannot_be_asked_for_anything(zelda, name, tmp_path):
    generator = fitted(name, zelda)
    assert generator.spec.conditions == ()
    with pytest.raises(UserError, match="without conditions"):
        generator.sample(1, condition={"path-length": 20})
    with pytest.raises(UserError, match="without conditions"):
        generator.score(zelda.test.levels, {"path-length": 20})
    with pytest.raises(UserError, match="path-length"):
        make_generator(name, zelda, ("path-length",))
    with pytest.raises(UserError, match="balance"):
        generator.fit(zelda, FitOptions(balance="path-length"))
    with pytest.raises(UserError, match="fit it"):
        make_generator(name, zelda).sample(1)
    generator.save_pretrained(tmp_path)
    loaded = load_generator(tmp_path)
    assert np.array_equal(loaded.score(zelda.test.levels).nats, generator.score(zelda.test.levels).nats)


def test_contexts_that_cannot_be_counted_are_refused(zelda):
    # 9 symbols: 9 ** 19 < 2 ** 63 < 9 ** 20.
    make_generator("ngram", zelda, context=19)
    with pytest.raises(UserError, match="at most 19"):
        make_generator("ngram", zelda, context=20)
    with pytest.raises(UserError, match="from 0 to 64"):
        make_generator("markov", zelda, neighbours=-1)
    with pytest.raises(UserError, match="band"):
        make_generator("markov", zelda, bands=0)


def test_orders_visit_each_cell_once():
    assert cell_order((2, 3), "row").tolist() == [0, 1, 2, 3, 4, 5]
    assert cell_order((2, 3), "column").tolist() == [3, 0, 4, 1, 5, 2]
    assert cell_order((2, 3), "snake").tolist() == [3, 0, 1, 4, 5, 2]
    for order in ("row", "column", "snake"):
        assert sorted(cell_order((2, 3, 4), order).tolist()) == list(range(24))


def test_drawing_tiles():
    scores = np.log(np.array([[0.5, 0.3, 0.2]] * 4))
    uniforms = np.array([0.0, 0.49, 0.51, 0.99])
    assert draw_tiles(scores, uniforms).tolist() == [0, 0, 1, 2]
    assert draw_tiles(scores, uniforms, top_p=0.6).tolist() == [0, 0, 0, 1]
    assert draw_tiles(scores, uniforms, top_p=0.4).tolist() == [0] * 4
    assert draw_tiles(scores, uniforms, temperature=0).tolist() == [0] * 4
    # At half the temperature, shares are squared: 25, 9 and 4 of 38.
    assert draw_tiles(scores, np.array([24.9, 25.1, 33.9, 34.1]) / 38, temperature=0.5).tolist() == [0, 1, 1, 2]
    never = np.array([[-np.inf, 0.0, -np.inf]] * 2)
    assert draw_tiles(never, np.array([0.0, 1 - 1e-16])).tolist() == [1, 1]


def test_decoding_options_are_checked(zelda):
    generator = fitted("ngram", zelda)
    for wrong in ({"temperature": -1}, {"top_p": 0}, {"top_p": 1.5}, {"temperature": float("nan")}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            generator.sample(1, **wrong)


def test_fixed_tiles_count_before_they_are_reached(zelda):
    """With a fixed player at the end, none is drawn before it; the tiles to be written suffice for key and door."""
    spec = make_generator("ngram", zelda).spec
    fixed = np.full((1, *zelda.shape), -1, np.int16)
    player = spec.tiles.index("player")
    fixed[0, -1, -1] = player
    values, labels = spec.values(None, 1)
    wanted = np.where(np.arange(len(spec.tiles)) == player, 0.0, -50.0)[None]
    writer = Writer(spec, Request(level_seeds(0, 1), values, labels, fixed), Decoding())
    for cell in range(spec.cells):
        writer.write(cell, wanted)
    assert (writer.levels == player).sum() == 1
    assert kept(spec.count_rules(), writer.levels.reshape(1, *zelda.shape), spec.tiles).all()
    free = Writer(spec, Request(level_seeds(0, 1), values, labels, fixed), FreeDecoding())
    for cell in range(spec.cells):
        free.write(cell, wanted)
    assert (free.levels == player).all()


@pytest.mark.skipif(not SMB.exists(), reason=f"{SMB} is not there")
def test_super_mario_bros():
    """The order of the baselines on real levels that are split by level."""
    options = CorpusOptions("vglc", str(SMB), test=0.2, stride=(1, 4))
    corpus = load_corpus("smb", options)
    test = corpus.test.levels
    accuracy, nats = {}, {}
    for name in COUNTED:
        generator = make_generator(name, corpus, ())
        generator.fit(corpus)
        scores = generator.score(test)
        accuracy[name], nats[name] = (scores.predicted == test).mean(), scores.nats.mean()
    assert accuracy["commonest"] < accuracy["copy_left"] < accuracy["ngram"]
    assert accuracy["ngram"] > 0.93
    assert accuracy["markov"] > 0.93
    assert nats["commonest"] > nats["copy_left"] > nats["ngram"] > nats["markov"]
