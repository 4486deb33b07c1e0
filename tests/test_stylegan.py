"""The generator with styles: modulation, mixing, truncation and noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from envs import UserError, get_problem
from generators.corpus import corpus_of_levels
from generators.draws import Draws, level_seeds
from generators.families.stylegan import StyleBody, StyledLayer, Stylegan, StyleganConfig
from generators.generator import FitOptions
from generators.judging.patterns import mean_divergence
from generators.spec import LevelSpec

torch.set_num_threads(1)

TINY = {"latent_size": 8, "style_size": 16, "channels": 8, "critic_channels": 8, "critic_features": 32}
PLAIN = {"temperature": 0.0, "constrained": False}


@pytest.fixture(scope="module")
def corpus():
    """Levels whose columns are solid or empty throughout."""
    random = np.random.default_rng(0)
    columns = random.random((200, 1, 10)) < 0.5
    return corpus_of_levels(get_problem("binary"), np.repeat(columns, 5, axis=1).astype(np.uint8), seed=1, repeats=True)


@pytest.fixture(scope="module")
def trained(corpus):
    generator = Stylegan(LevelSpec.of(corpus), StyleganConfig(**TINY))
    options = FitOptions(minutes=0, steps=300, batch=32, learning_rate=5e-3, patience=0, symmetries=False, seed=1)
    generator.fit(corpus, options)
    return generator


@pytest.fixture(scope="module")
def lively(corpus):
    """An untrained generator whose noise, styles and tiles all make a difference."""
    generator = Stylegan(LevelSpec.of(corpus), StyleganConfig(**TINY, doublings=2))
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weights in generator.network.generator.named_parameters():
            if name.endswith("strength") or name.startswith("tiles"):
                weights.copy_(torch.randn(weights.shape, generator=random))
        generator.network.generator.mean_style.fill_(0.3)
    return generator


def test_a_style_scales_the_weights():
    torch.manual_seed(0)
    layer = StyledLayer(3, 4, 5, 3)
    maps, style, noise = torch.randn(2, 3, 4, 6), torch.randn(2, 5), torch.randn(2, 1, 4, 6)
    with torch.no_grad():
        layer.strength.normal_()
        layer.bias.normal_()
        found = layer(maps, style, noise)
        for i in range(2):
            # As in Karras 2020: weights scaled, brought back to unit length, then convolved.
            weights = layer.weight * layer.style(style[i])[None, :, None, None] * layer.scale
            weights = weights / weights.square().sum(dim=(1, 2, 3), keepdim=True).sqrt()
            out = functional.conv2d(maps[i : i + 1], weights, padding=1) + noise[i] * layer.strength[:, None, None]
            out = functional.leaky_relu(out + layer.bias[:, None, None], 0.2) * 2**0.5
            assert torch.allclose(found[i], out[0], atol=1e-4)


def test_layers_that_double():
    torch.manual_seed(0)
    layer = StyledLayer(3, 4, 5, 1, doubles=True)
    assert layer(torch.randn(2, 3, 4, 6), torch.randn(2, 5), torch.randn(2, 1, 8, 12)).shape == (2, 4, 8, 12)


@pytest.mark.parametrize("shape", [(2, 3), (5, 5), (7, 11), (10, 10), (14, 14), (14, 28)])
def test_any_shape(shape):
    body = StyleBody(3, shape, 0, StyleganConfig(**TINY, doublings=2))
    styles = body.styles(torch.randn(2, 8), torch.zeros(2, 0))
    noise = body.noise(2, torch.Generator())
    assert body([styles] * len(body.layers), noise).shape == (2, 3, *shape)


def test_mixing_none_or_all_layers_gives_one_seed(lively):
    assert lively.layers == 5
    for sampling in (PLAIN, {"temperature": 1.0}, {"truncation": 0.5}):
        layout, texture = lively.sample(600, 1, **sampling), lively.sample(600, 2, **sampling)
        assert np.array_equal(lively.mix(1, 2, 0, n=600, **sampling), texture)
        assert np.array_equal(lively.mix(1, 2, lively.layers, n=600, **sampling), layout)
        assert not np.array_equal(layout, texture)


def test_mixing_takes_coarse_layers_from_the_layout(lively):
    layout, texture = lively.sample(200, 1, **PLAIN), lively.sample(200, 2, **PLAIN)
    mixed = [lively.mix(1, 2, cut, n=200, **PLAIN) for cut in range(lively.layers + 1)]
    nearer = [float((levels == layout).mean()) for levels in mixed]
    assert nearer[0] == pytest.approx(float((texture == layout).mean()))
    assert nearer[-1] == 1
    assert nearer[2] < nearer[-1]
    assert np.array_equal(lively.mix(1, 2, n=200, **PLAIN), mixed[2])
    for levels in mixed[1:-1]:
        assert not np.array_equal(levels, layout)
        assert not np.array_equal(levels, texture)
    for wrong in (-1, 6, 1.5, True):
        with pytest.raises(UserError, match="crossover"):
            lively.mix(1, 2, wrong)
    with pytest.raises(UserError, match="seed"):
        lively.mix(-1, 2)


def logits_of(generator, n, sampling):
    """What a generator says of n latents, without noise."""
    sampler, dense = generator.sampler(), np.zeros((n, generator.spec.condition_size), np.float32)
    latents = sampler.drawn(Draws(level_seeds(1, n)), 1, sampling)[:, 0]
    return sampler.networks("generate", latents, *sampler.inputs(dense, sampling, None))[0]


def test_truncation_and_noise(lively):
    one = lively.sample(20, 1, truncation=0.0, noise=0.0, **PLAIN)
    assert (one == one[0]).all()
    noisy = lively.sample(20, 1, truncation=0.0, noise=1.0, **PLAIN)
    assert not (noisy == noisy[0]).all()
    spread = [logits_of(lively, 50, lively.Sampling(truncation=share)).std(axis=0).mean() for share in (0.0, 0.5, 1.0)]
    assert spread[0] == pytest.approx(0, abs=1e-5)
    assert spread[0] < spread[1] < spread[2]


def test_the_mean_style_is_learned_and_saved(trained, tmp_path):
    from generators.suite import load_generator

    body = trained.network.generator
    assert body.mean_style.abs().max() > 1e-3
    trained.save_pretrained(tmp_path)
    loaded = load_generator(tmp_path)
    assert torch.equal(loaded.network.generator.mean_style, body.mean_style)
    assert np.array_equal(loaded.sample(9, 1, truncation=0.3), trained.sample(9, 1, truncation=0.3))


def test_it_learns_patterns(trained, corpus):
    untrained = Stylegan(trained.spec, trained.config)
    levels, before = trained.sample(200, 1), untrained.sample(200, 1)
    assert (levels[:, 1:] != levels[:, :-1]).mean() < 0.15
    assert len(np.unique(levels.reshape(200, -1), axis=0)) > 20
    assert mean_divergence(levels, corpus.test.levels) < mean_divergence(before, corpus.test.levels)


def test_from_latents_draws_nothing(trained):
    latents = np.random.default_rng(0).standard_normal((30, 8))
    levels = trained.from_latents(latents)
    assert np.array_equal(levels, trained.from_latents(latents))
    assert len(np.unique(levels.reshape(30, -1), axis=0)) > 5
    # Only a latent's direction counts.
    assert np.array_equal(levels, trained.from_latents(2 * latents))


def test_fixed_tiles(trained, corpus):
    fixed = np.full((5, 10), -1)
    fixed[2] = corpus.test.levels[0][2]
    levels = trained.sample(20, 3, fixed_tiles=fixed)
    assert (levels[:, 2] == fixed[2]).all()


@pytest.mark.parametrize(
    "change", [{"mixing": 0.0}, {"objective": "wasserstein"}, {"mapping_layers": 3}, {"doublings": 2}]
)
def test_options_make_a_difference(corpus, change):
    options = FitOptions(minutes=0, steps=4, batch=8, symmetries=False)
    levels = []
    for config in (StyleganConfig(**TINY), StyleganConfig(**TINY, **change)):
        generator = Stylegan(LevelSpec.of(corpus), config)
        generator.fit(corpus, options)
        levels.append(logits_of(generator, 8, generator.Sampling()))
    assert not np.allclose(*levels)


@pytest.mark.parametrize("wrong", [{"style_size": 0}, {"mapping_layers": 0}, {"doublings": -1}, {"mixing": 1.5}])
def test_wrong_options_are_named(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        StyleganConfig(**wrong).check()
