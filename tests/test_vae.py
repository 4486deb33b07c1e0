"""The variational autoencoder: its loss and bound against plain ones, its latents, fixed tiles and conditions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from envs import UserError, get_problem
from envs.counts import kept
from generators.checks import check_family
from generators.corpus import corpus_of_levels
from generators.families.vae import Config, VariationalAutoencoder
from generators.generator import FitOptions
from generators.options import options_of
from generators.spec import LevelSpec
from generators.training import Asked, Training

SMALL = {"latents": 6, "width": 64, "depth": 1, "kl_warm_up": 0.3}


def blocks(n, seed=0):
    """Sokoban levels of 5 x 5 whose walls are a bar, at one of five places and upright or level: ten kinds in all."""
    random = np.random.default_rng(seed)
    levels = np.zeros((n, 5, 5), np.uint8)
    kinds = random.integers(0, 10, n)
    for level, kind in zip(levels, kinds, strict=True):
        level[kind % 5] = 1
        if kind >= 5:
            level[:] = level.T.copy()
        level.reshape(-1)[random.permutation(np.flatnonzero(level.reshape(-1) == 0))[:3]] = (2, 3, 4)
    return levels


@pytest.fixture(scope="module")
def corpus():
    return corpus_of_levels(get_problem("sokoban"), blocks(400), repeats=True)


@pytest.fixture(scope="module")
def trained(corpus):
    generator = VariationalAutoencoder(LevelSpec.of(corpus), Config(**SMALL))
    fit = generator.fit(corpus, FitOptions(minutes=0, steps=500, symmetries=False, patience=0, learning_rate=4e-3))
    assert fit.figures["active_units"] >= 3
    return generator


def made(corpus, **config):
    return VariationalAutoencoder(LevelSpec.of(corpus), Config(**{**SMALL, **config}))


def bars(levels):
    """Whether each level has one whole bar of wall, of five solid tiles, and no other."""
    solid = levels == 1
    whole = solid.all(axis=1).sum(axis=1) + solid.all(axis=2).sum(axis=1)
    return (whole == 1) & (solid.sum(axis=(1, 2)) == 5)


def test_the_contract_is_kept():
    check_family("vae", "sokoban")


def test_levels_of_more_axes_are_learned():
    check_family("vae", "voxel")


def test_it_learns_what_its_levels_have_in_common(trained):
    levels = trained.sample(300, seed=1, latent_temperature=0.8)
    assert bars(levels).mean() > 0.4
    assert kept(trained.spec.count_rules(), levels, trained.spec.tiles).all()
    kinds = {(level == 1).tobytes() for level in levels[bars(levels)]}
    assert len(kinds) >= 8
    # Without the rules, many a level has no player or several.
    free = trained.sample(300, seed=1, temperature=1.0, constrained=False)
    assert kept(trained.spec.count_rules(), free, trained.spec.tiles).mean() < 0.6


def test_the_loss_is_the_evidence_bound(corpus):
    """By plain formulas, with the noise of the same seed."""
    generator = made(corpus, kl_weight=0.7)
    generator.network.eval()
    levels = torch.from_numpy(corpus.train.levels[:9].astype(np.int64))
    asked = Asked.of(generator.spec, *generator.spec.values({"sol-length": 6}, 9), "cpu")
    loss, figures = generator.loss(levels, asked, torch.Generator().manual_seed(4))
    mean, spread = generator.network.encode(levels, asked.dense)
    posterior = torch.distributions.Normal(mean, (spread / 2).exp())
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(4))
    decoded = torch.distributions.Categorical(
        logits=generator.network.decode(mean + posterior.scale * noise, asked.dense)
    )
    likely = decoded.log_prob(levels.flatten(1)).sum(dim=1)
    divergence = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum(dim=1)
    assert loss.item() == pytest.approx((-likely + 0.7 * divergence).mean().item() / 25, rel=1e-5)
    assert figures["divergence"].item() == pytest.approx(divergence.mean().item() / 25, rel=1e-4)


def test_divergence_warms_up_and_some_of_it_is_free(corpus):
    levels = torch.from_numpy(corpus.train.levels[:32].astype(np.int64))
    losses = {}
    for share in (0.0, 0.15, 0.9):
        for free in (0.0, 5.0):
            generator = made(corpus, kl_weight=2.0, free_bits=free)
            asked = Asked.of(generator.spec, *generator.spec.values(None, 32), "cpu")
            optimiser = torch.optim.SGD(generator.network.parameters(), lr=0.0)
            training = Training(FitOptions(), {"network": optimiser}, torch.Generator().manual_seed(0), share)
            figures = generator.train_step(levels, asked, training)
            losses[share, free] = float(figures["loss"])
    rebuilt = losses[0.0, 0.0]
    assert losses[0.0, 5.0] == rebuilt
    # At half of the warm-up, half the weight; all latents still are within what is free, which is paid as it is.
    assert losses[0.15, 5.0] - rebuilt == pytest.approx(0.5 * 2 * 6 * 5 / 25, rel=1e-3)
    assert losses[0.9, 5.0] - rebuilt == pytest.approx(2 * 6 * 5 / 25, rel=1e-3)
    assert losses[0.9, 0.0] > losses[0.15, 0.0] > rebuilt


def test_a_collapsed_posterior_is_reported(corpus):
    generator = made(corpus)
    nn.init.zeros_(generator.network.latents.weight)
    levels = torch.from_numpy(corpus.train.levels[:16].astype(np.int64))
    asked = Asked.of(generator.spec, *generator.spec.values(None, 16), "cpu")
    assert generator.loss(levels, asked, torch.Generator())[1]["active_units"] == 0


def test_the_bound_holds_and_tightens(corpus):
    """One latent, summed by a fine grid, gives what the bound must stay above and come near to."""
    generator = made(corpus, latents=1)
    nn.init.normal_(generator.network.outward.weight, std=2.0, generator=torch.Generator().manual_seed(0))
    levels = corpus.test.levels[:10]
    grid = torch.linspace(-8, 8, 4001)[:, None]
    with torch.no_grad():
        chances = generator.network.decode(grid, torch.zeros(4001, generator.spec.condition_size)).log_softmax(dim=2)
    weights = torch.distributions.Normal(0.0, 1.0).log_prob(grid[:, 0]) + math.log(16 / 4000)
    exact = []
    for level in levels.reshape(10, -1):
        likely = chances[:, torch.arange(25), torch.from_numpy(level.astype(np.int64))].sum(dim=1)
        exact.append(-float((likely + weights).logsumexp(dim=0)) / 25)
    few, many = generator.score(levels, draws=1).nats, generator.score(levels, draws=3000).nats
    assert few.mean() > many.mean()
    assert np.abs(many - exact).max() < 0.01
    assert generator.score(levels).bound


def test_held_out_levels_are_likelier_than_others(trained, corpus):
    strange = np.random.default_rng(0).permuted(corpus.test.levels.reshape(-1, 25), axis=1).reshape(-1, 5, 5)
    assert trained.score(corpus.test.levels).nats.mean() < trained.score(strange).nats.mean() - 0.1


def test_latents_encode_and_decode(trained, corpus):
    levels = corpus.test.levels
    mean, deviation = trained.encode(levels)
    assert mean.shape == deviation.shape == (len(levels), 6)
    assert mean.dtype == np.float32
    assert (deviation > 0).all()
    again = trained.decode(mean)
    assert again.shape == levels.shape
    assert ((again == 1) == (levels == 1)).mean() > 0.9
    fixed = np.full((5, 5), -1)
    fixed[2, 2] = 3
    assert (trained.decode(mean, fixed_tiles=fixed)[:, 2, 2] == 3).all()
    draws = [trained.decode(mean, seed=seed, temperature=1.0) for seed in (1, 1, 2)]
    assert (draws[0] == draws[1]).all()
    assert (draws[0] != draws[2]).any()
    for wrong in (mean[:, :3], mean[0], np.full_like(mean, np.nan)):
        with pytest.raises(UserError, match="Latents"):
            trained.decode(wrong)


def test_there_is_a_way_between_levels(trained, corpus):
    first, second = corpus.test.levels[:2]
    way = trained.interpolate(first, second, 7)
    assert way.shape == (7, 5, 5)
    ends = trained.decode(trained.encode(np.stack([first, second]))[0])
    assert (way[[0, -1]] == ends).all()
    assert len({level.tobytes() for level in trained.interpolate(first, first, 3)}) == 1
    with pytest.raises(UserError, match="steps"):
        trained.interpolate(first, second, 1)


def test_traits_are_added_and_taken_away(trained, corpus):
    """From bars in the first column to bars in the last: more solid tiles on the right afterwards."""
    levels = corpus.train.levels
    left, right = levels[(levels[:, :, 0] == 1).all(axis=1)], levels[(levels[:, :, 4] == 1).all(axis=1)]
    moved = trained.combine(left[:20], plus=right, minus=left)
    assert (moved[:, :, 4] == 1).mean() > 0.6
    assert (moved[:, :, 0] == 1).mean() < 0.4
    same = trained.combine(left[:20], plus=right, minus=left, strength=0.0)
    assert (same == trained.decode(trained.encode(left[:20])[0])).all()


def test_latents_move_towards_fixed_tiles(trained):
    fixed = np.full((5, 5), -1)
    fixed[3, 0], fixed[3, 1] = 1, 1
    near = trained.sample(60, seed=1, fixed_tiles=fixed, fixed_steps=40, latent_temperature=0.8)
    none = trained.sample(60, seed=1, fixed_tiles=fixed, fixed_steps=0, latent_temperature=0.8)
    assert (near[:, 3, :2] == 1).all()
    assert (none[:, 3, :2] == 1).all()
    assert (near[:, 3] == 1).all(axis=1).mean() > (none[:, 3] == 1).all(axis=1).mean() + 0.4


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        (Config, {"latents": 0}, "latents"),
        (Config, {"dropout": 1.0}, "dropout"),
        (Config, {"free_bits": -1}, "free_bits"),
        (VariationalAutoencoder.Sampling, {"temperature": -0.1}, "temperature"),
        (VariationalAutoencoder.Sampling, {"fixed_steps": "many"}, "fixed_steps"),
    ],
)
def test_wrong_options_are_named(kind, given, words):
    with pytest.raises(UserError, match=words):
        options_of(kind, given, "option")
