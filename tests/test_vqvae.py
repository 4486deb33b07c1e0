"""The vector-quantised autoencoder: patches, codebook, stages, the prior's cache, fixed tiles, codes for others."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from envs import UserError, get_problem
from envs.counts import kept
from generators.checks import check_family
from generators.corpus import corpus_of_levels
from generators.families.vqvae import (
    Autoencoder,
    Codebook,
    Config,
    VectorQuantisedAutoencoder,
)
from generators.generator import FitOptions
from generators.options import options_of
from generators.spec import LevelSpec
from generators.training import Asked

SMALL = {"codes": 24, "code_size": 6, "width": 32, "prior_width": 32, "prior_depth": 1}


def stripes(n, seed=0):
    """Binary levels of 5 x 6 with solid columns, of which each comes as often as not but beside another."""
    random = np.random.default_rng(seed)
    solid = np.zeros((n, 6), np.bool_)
    for column in range(6):
        solid[:, column] = random.random(n) < np.where(solid[:, column - 1], 0.0, 0.6)
    return np.repeat(solid[:, None], 5, axis=1).astype(np.uint8)


@pytest.fixture(scope="module")
def corpus():
    levels = stripes(400)
    # A cell of noise, so that no split is all of copies of the others.
    random = np.random.default_rng(1)
    levels[np.arange(400), random.integers(0, 5, 400), random.integers(0, 6, 400)] ^= 1
    return corpus_of_levels(get_problem("binary"), levels, repeats=True)


@pytest.fixture(scope="module")
def trained(corpus):
    generator = VectorQuantisedAutoencoder(LevelSpec.of(corpus), Config(**SMALL))
    fit = generator.fit(corpus, FitOptions(minutes=0, steps=400, symmetries=False, patience=0, learning_rate=4e-3))
    assert fit.figures["code_nats"] < math.log(24)
    return generator


def made(corpus, **config):
    return VectorQuantisedAutoencoder(LevelSpec.of(corpus), Config(**{**SMALL, **config}))


def straight(levels):
    """The share of columns that are all one tile."""
    return ((levels == levels[:, :1]).all(axis=1)).mean()


def test_the_contract_is_kept():
    check_family("vqvae", "sokoban")


@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 3))
def test_patches_are_cut_and_joined(height, width, patch):
    model = Autoencoder(3, (height, width), Config(patch=patch, width=4, heads=1, codes=2, code_size=2))
    levels = torch.arange(2 * height * width).view(2, height, width)
    patches = model.patches(levels, -1)
    assert patches.shape == (2, math.prod(model.grid), patch**2)
    assert (model.joined(patches[..., None])[..., 0] == levels.flatten(1)).all()
    # The second patch of the first row, cell by cell.
    if model.grid[1] > 1:
        for row in range(patch):
            for column in range(patch):
                inside = row < height and patch + column < width
                expected = int(levels[0, row, patch + column]) if inside else -1
                assert int(patches[0, 1, row * patch + column]) == expected


def test_the_nearest_code_is_chosen():
    book = Codebook(7, 3, 0.9)
    wanted = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    plain = torch.cdist(wanted, book.vectors).argmin(dim=1)
    assert (book.nearest(wanted) == plain).all()


def test_codes_follow_what_chose_them():
    """Two clusters: one step of the moving averages by hand, then many, which end in the clusters' means."""
    book = Codebook(2, 2, 0.75)
    book.vectors.copy_(torch.tensor([[0.0, 0.0], [10.0, 10.0]]))
    book.sums.copy_(book.vectors * 4)
    book.uses.fill_(4.0)
    book.begun.fill_(1)
    wanted = torch.tensor([[1.0, 0.0], [1.0, 2.0], [9.0, 9.0], [11.0, 9.0]])
    book.follow(wanted, book.nearest(wanted), torch.Generator())
    # uses: 0.75 * 4 + 0.25 * 2; sums: 0.75 * 4 * code + 0.25 * (sum of two).
    assert book.uses.tolist() == pytest.approx([3.5, 3.5])
    assert book.vectors[0].tolist() == pytest.approx([0.25 * 2 / 3.5, 0.25 * 2 / 3.5])
    assert book.vectors[1].tolist() == pytest.approx([(30 + 5) / 3.5, (30 + 4.5) / 3.5])
    for _ in range(60):
        book.follow(wanted, book.nearest(wanted), torch.Generator())
    assert torch.allclose(book.vectors, torch.tensor([[1.0, 1.0], [10.0, 9.0]]), atol=1e-4)
    assert float(book.perplexity()) == pytest.approx(2)


def test_dead_codes_begin_anew():
    random = torch.Generator().manual_seed(0)
    book = Codebook(4, 2, 0.5)
    near = torch.randn(40, 2, generator=random)
    book.follow(near, book.nearest(near), random)
    far = torch.randn(40, 2, generator=random) + torch.tensor([50.0, 0.0])
    for _ in range(20):
        book.follow(far, book.nearest(far), random)
    assert (book.vectors[:, 0] > 40).all()
    assert float(book.perplexity()) > 2


def test_gradients_pass_straight_through(corpus):
    """What the encoder's vectors get is what the decoder gives its codes, and the pull of the commitment."""
    generator = made(corpus, commitment=0.0)
    generator.network.eval()
    model = generator.network.autoencoder
    levels = torch.from_numpy(corpus.train.levels[:4].astype(np.int64))
    asked = Asked.of(generator.spec, *generator.spec.values(None, 4), "cpu")
    found = {}
    model.wanted.register_forward_hook(lambda module, given, out: found.update(out=out) or out.retain_grad())
    original = model.write

    def write(vectors):
        vectors.retain_grad()
        found["vectors"] = vectors
        return original(vectors)

    model.write = write
    generator.loss(levels, asked, torch.Generator())[0].backward()
    assert found["out"].grad.abs().sum() > 0
    codes = model.codebook.vectors[model.codes(levels)]
    assert torch.allclose(found["vectors"].detach(), codes, atol=1e-6)


def test_it_learns_stripes(trained, corpus):
    codes = trained.encode(corpus.test.levels)
    assert codes.shape == (len(corpus.test), 3, 3)
    assert (trained.decode(codes) == corpus.test.levels).mean() > 0.93
    levels = trained.sample(300, seed=1)
    assert straight(levels) > straight(corpus.train.levels) - 0.15
    beside = (levels[:, 2, 1:] & levels[:, 2, :-1]).mean()
    assert beside < 0.12
    assert len(np.unique(levels.reshape(300, -1), axis=0)) > 20


def test_the_second_stage_leaves_the_autoencoder_alone(corpus):
    generator = made(corpus)
    seen = []
    original = generator.train_step

    def step(levels, asked, training):
        figures = original(levels, asked, training)
        weights = [weight.clone() for weight in generator.network.autoencoder.state_dict().values()]
        seen.append((training.stage, weights))
        return figures

    generator.train_step = step
    generator.fit(corpus, FitOptions(minutes=0, steps=12, batch=8, patience=0))
    second = [weights for stage, weights in seen if stage == 1]
    assert len(second) == 7
    assert all(torch.equal(a, b) for a, b in zip(second[0], second[-1], strict=True))
    first = [weights for stage, weights in seen if stage == 0]
    assert not all(torch.equal(a, b) for a, b in zip(first[0], first[-1], strict=True))


def test_writing_with_a_cache_is_reading(trained):
    """The logits that codes are drawn by, one after another, are those of the whole sequence at once."""
    sampler, seen, written = trained.sampler(), [], []
    networks = sampler.networks

    class Recorded:
        zeros = networks.zeros

        def __call__(self, graph, *inputs):
            found = networks(graph, *inputs)
            (written if graph == "write" else seen).append(inputs[0] if graph == "write" else found[0])
            return found

    sampler.networks = Recorded()
    sampler.draw(trained.request(5, 0), trained.Sampling())
    with torch.no_grad():
        whole = trained.network.prior(torch.from_numpy(written[0]), torch.zeros(5, trained.spec.condition_size))
    np.testing.assert_allclose(np.stack(seen, axis=1), whole.numpy(), atol=1e-4)


def test_the_bound_is_of_codes_and_tiles(trained, corpus):
    levels = corpus.test.levels[:6]
    codes = torch.from_numpy(trained.encode(levels).reshape(6, -1))
    dense = torch.zeros(6, trained.spec.condition_size)
    model = trained.network.autoencoder
    with torch.no_grad():
        orders = trained.network.prior(codes, dense).log_softmax(dim=2)
        tiles = model.write(model.codebook.vectors[codes]).log_softmax(dim=2)
    expected = []
    for i, level in enumerate(levels.reshape(6, -1).tolist()):
        total = sum(float(orders[i, place, code]) for place, code in enumerate(codes[i].tolist()))
        total += sum(float(tiles[i, cell, tile]) for cell, tile in enumerate(level))
        expected.append(-total / 30)
    scores = trained.score(levels)
    assert scores.bound
    assert scores.nats == pytest.approx(expected, rel=1e-4)
    noise = np.random.default_rng(0).integers(0, 2, levels.shape, np.uint8)
    assert trained.score(noise).nats.mean() > scores.nats.mean() + 0.2


def test_fixed_tiles_choose_codes(trained):
    """A solid cell at the top of a column makes the column solid; without hints it would be written in alone."""
    fixed = np.full((5, 6), -1)
    fixed[:2, 2] = 1
    levels = trained.sample(100, seed=1, fixed_tiles=fixed)
    assert (levels[:, :2, 2] == 1).all()
    assert (levels[:, :, 2] == 1).mean() > 0.8
    assert (levels[:, 3:, 1:4] == [0, 1, 0]).all(axis=2).mean() > 0.6


def test_rules_are_kept(corpus):
    problem = get_problem("sokoban")
    levels = np.ones((60, 5, 5), np.uint8)
    random = np.random.default_rng(0)
    for level in levels:
        level.reshape(-1)[random.permutation(25)[:6]] = (0, 0, 0, 2, 3, 4)
    ordered = corpus_of_levels(problem, levels, repeats=True)
    generator = made(ordered)
    drawn = {held: generator.sample(50, seed=1, tile_temperature=1.0, constrained=held) for held in (True, False)}
    shares = {held: kept(generator.spec.count_rules(), found, generator.spec.tiles) for held, found in drawn.items()}
    assert shares[True].all()
    assert not shares[False].all()


def test_sharper_codes_are_more_alike(trained):
    def kinds(**sampling):
        return len(np.unique(trained.sample(200, seed=2, **sampling).reshape(200, -1), axis=0))

    assert kinds(temperature=0.05) < kinds(temperature=1.0)
    assert kinds(top_p=0.1) < kinds()


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        (Config, {"codes": 1}, "codes"),
        (Config, {"patch": 0}, "patch"),
        (Config, {"width": 30, "heads": 4}, "multiple"),
        (VectorQuantisedAutoencoder.Sampling, {"temperature": 0.0}, "temperature"),
        (VectorQuantisedAutoencoder.Sampling, {"top_p": 0.0}, "top_p"),
        (VectorQuantisedAutoencoder.Sampling, {"tile_temperature": -1}, "tile_temperature"),
    ],
)
def test_wrong_options_are_named(kind, options, words):
    with pytest.raises(UserError, match=words):
        options_of(kind, options, "option")


@pytest.mark.parametrize("codes", [np.zeros((2, 3, 2), int), np.full((2, 3, 3), 24), np.zeros((2, 3, 3))])
def test_wrong_codes_are_named(trained, codes):
    with pytest.raises(UserError, match="Codes must be"):
        trained.decode(codes)
