"""Diffusion: its noise is diffusers', its steps are exact for any number of them, and it learns."""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import itertools
import sys

import numpy as np
import pytest
import torch

from envs import UserError, construct
from generators.corpus import corpus_of_levels
from generators.draws import Draws, level_seeds
from generators.families import diffusion
from generators.families.diffusion import Denoiser, DiffusionConfig, DiffusionGenerator
from generators.generator import FitOptions
from generators.spec import LevelSpec
from generators.training import Asked

pytest.importorskip("diffusers", reason="diffusers is not installed")

torch.set_num_threads(1)


def stripes(n, seed=0):
    """Levels of binary whose rows are all solid or all empty: one look at a cell tells its row."""
    chosen = np.random.default_rng(seed).permutation(2**9)[:n]
    rows = chosen[:, None] >> np.arange(9) & 1
    return np.repeat(rows[:, :, None], 5, axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def corpus():
    return corpus_of_levels("binary", stripes(300), seed=1, repeats=True)


def made(corpus, **config):
    small = {"channels": (8,), "noise_levels": 100, "patch": 2, **config}
    return DiffusionGenerator(LevelSpec.of(corpus), DiffusionConfig(**small))


@pytest.fixture(scope="module")
def trained(corpus):
    generator = made(corpus, channels=(16,), known=0.5)
    generator.fit(corpus, FitOptions(minutes=0, steps=250, batch=32, warm_up=10, learning_rate=5e-3, symmetries=False))
    return generator


def test_it_learns_rules_of_a_corpus(trained):
    levels = trained.sample(100, seed=2, steps=10)
    whole = (levels == levels[:, :, :1]).all(axis=(1, 2))
    # Of levels with cells drawn at random one in 2**36 would have such rows.
    assert whole.mean() > 0.8
    assert len({level.tobytes() for level in levels}) > 50


def test_ddpm_learns_them_too(trained):
    levels = trained.sample(50, seed=2, steps=25, method="ddpm")
    assert (levels == levels[:, :, :1]).all(axis=(1, 2)).mean() > 0.7


def test_fixed_tiles_are_kept_and_fitted_in(trained):
    fixed = np.full((9, 5), -1)
    fixed[:, 3] = [1, 0, 1, 1, 0, 0, 0, 1, 0]
    levels = trained.sample(40, seed=3, fixed_tiles=fixed, steps=10)
    assert (levels[:, :, 3] == fixed[:, 3]).all()
    # The rest of a row follows its one fixed cell, which nothing but the steps that saw it can bring about.
    assert (levels == fixed[:, 3:4]).mean() > 0.9


def test_what_is_asked_for_is_heeded(trained):
    name = trained.spec.conditions[0].name
    metric = trained.spec.task().index(name)
    few, many = (
        trained.spec.task().measure(trained.sample(60, seed=4, condition={name: value}, steps=10, guidance=2.0))[
            :, metric
        ]
        for value in (trained.spec.conditions[0].low, trained.spec.conditions[0].high)
    )
    assert few.mean() < many.mean()


def test_equal_seeds_give_equal_levels_whatever_the_global_generator(trained):
    for options in ({}, {"eta": 1.0}, {"method": "ddpm"}):
        torch.manual_seed(0)
        first = trained.sample(8, seed=5, steps=5, **options)
        torch.manual_seed(1)
        assert np.array_equal(first, trained.sample(8, seed=5, steps=5, **options))
        assert not np.array_equal(first, trained.sample(8, seed=6, steps=5, **options))


def asked_of(generator, n, value):
    values = np.full((n, len(generator.spec.conditions)), np.nan)
    values[:, 0] = value
    return Asked.of(generator.spec, values, np.full(n, -1), "cpu")


def test_guidance_of_one_is_the_conditional_prediction(trained):
    asked = asked_of(trained, 4, trained.spec.conditions[0].high)
    noisy = torch.randn(4, 2, 9, 5, generator=torch.Generator().manual_seed(0))
    times, sampler = torch.full((4,), 60), trained.sampler()
    with torch.no_grad():
        told = trained.network(noisy, times, asked.dense).numpy()
        untold = trained.network(noisy, times, torch.zeros_like(asked.dense)).numpy()

    def guided(dense, guidance):
        known = np.zeros((4, 1, 9, 5), np.bool_)
        return sampler._guided(noisy.numpy(), 60, dense.numpy(), known, np.zeros((4, 2, 9, 5), np.float32), guidance)

    assert np.array_equal(guided(asked.dense, 1.0), told)
    assert np.allclose(guided(asked.dense, 0.0), untold, atol=1e-6)
    assert np.allclose(guided(asked.dense, 3.0), 3 * told - 2 * untold, atol=1e-5)
    assert not np.allclose(told, untold)
    assert np.array_equal(guided(asked.nothing().dense, 3.0), untold)


@pytest.mark.parametrize("prediction", ["sample", "epsilon", "v_prediction"])
def test_the_estimate_is_what_diffusers_makes_of_a_prediction(corpus, prediction):
    from diffusers import DDIMScheduler

    generator = made(corpus, prediction=prediction)
    scheduler = DDIMScheduler(100, beta_schedule="squaredcos_cap_v2", prediction_type=prediction)
    scheduler.set_timesteps(100)
    random = torch.Generator().manual_seed(0)
    output, noisy = (torch.randn(3, 2, 9, 5, generator=random) for _ in range(2))
    for time in (1, 30, 98):
        expected = scheduler.step(output, time, noisy).pred_original_sample
        found = generator.estimate(output, noisy, generator.kept_signal[time])
        assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("prediction", ["tiles", "sample", "epsilon", "v_prediction"])
def test_a_right_prediction_gives_the_level_back(corpus, prediction):
    """What the network would say if it knew all, through `estimate`, is the clean level; and its odds are for it."""
    generator = made(corpus, prediction=prediction, signal=0.5)
    levels = torch.from_numpy(corpus.train.levels[:6].astype(np.int64))
    clean = generator.clean(levels)
    assert set(clean.unique().tolist()) == {-0.5, 0.5}
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    share = generator.kept_signal[40]
    noisy = share.sqrt() * clean + (1 - share).sqrt() * noise
    output = {
        "tiles": clean * 100,
        "sample": clean,
        "epsilon": noise,
        "v_prediction": share.sqrt() * noise - (1 - share).sqrt() * clean,
    }[prediction]
    found = generator.estimate(output, noisy, share)
    assert torch.allclose(found, clean, atol=1e-5)
    assert torch.equal(generator.odds(output, found).argmax(dim=1), levels)
    # Sampling makes the same of it as training does.
    sampler = generator.sampler()
    assert np.array_equal(sampler.clean(corpus.train.levels[:6]), clean.numpy())
    again = sampler.estimate(output.numpy(), noisy.numpy(), float(share))
    assert np.allclose(again, found.numpy(), atol=1e-5)
    assert np.allclose(sampler.odds(output.numpy(), again), generator.odds(output, found).numpy(), atol=1e-4)


METHODS = [{"method": "ddim"}, {"method": "ddim", "eta": 0.7}, {"method": "ddpm"}]


@pytest.mark.parametrize("steps", [1, 7, 30, 100])
@pytest.mark.parametrize("options", METHODS)
def test_any_number_of_steps_ends_at_the_clean_level(corpus, steps, options):
    """With a denoiser that knows the level, every step lands on that level with as much noise as it should have."""
    generator = made(corpus)
    sampler, sampling = generator.sampler(), generator.Sampling(steps=steps, **options)
    times = sampler.times(steps)
    assert times[-1] == 99
    assert len(set(times)) == steps
    shares = [1.0, *generator.kept_signal[times].tolist()]
    clean = sampler.clean(corpus.train.levels[:64])
    draws = Draws(level_seeds(2, 64))
    noisy = draws.normals(*clean.shape[1:])
    for less_noise, share in reversed(list(itertools.pairwise(shares))):
        noisy = sampler.denoised(noisy, clean, share, less_noise, sampling, draws)
        noise = noisy - np.float32(less_noise**0.5) * clean
        assert noise.std() == pytest.approx((1 - less_noise) ** 0.5, rel=0.1, abs=1e-3)
    assert np.allclose(noisy, clean, atol=1e-4)


@pytest.mark.parametrize("options", METHODS)
def test_steps_are_those_of_diffusers(corpus, options):
    """Where the noise levels asked for divide all there are, so that diffusers takes the same ones."""
    from diffusers import DDIMScheduler, DDPMScheduler

    generator = made(corpus)
    sampling = generator.Sampling(steps=20, **options)
    kind = DDPMScheduler if sampling.method == "ddpm" else DDIMScheduler
    settings = {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "sample", "clip_sample": False}
    scheduler = kind(100, **settings, timestep_spacing="trailing")
    scheduler.set_timesteps(20)
    times = generator.sampler().times(20)
    assert scheduler.timesteps.tolist() == times[::-1]
    random = torch.Generator().manual_seed(0)
    estimate, noisy = (torch.randn(3, 2, 9, 5, generator=random) for _ in range(2))
    for step in (0, 1, 12, 19):
        noise = torch.randn(noisy.shape, generator=torch.Generator().manual_seed(step))
        extra = {} if sampling.method == "ddpm" else {"eta": sampling.eta}
        source = torch.Generator().manual_seed(step)
        expected = scheduler.step(estimate, times[step], noisy, generator=source, **extra).prev_sample

        class Same:
            def normals(self, *shape, noise=noise):
                return noise.numpy()

        share, before = (float(generator.kept_signal[times[i]]) if i >= 0 else 1.0 for i in (step, step - 1))
        found = generator.sampler().denoised(noisy.numpy(), estimate.numpy(), share, before, sampling, Same())
        assert np.allclose(found, expected.numpy(), atol=2e-5)


def test_the_weights_of_noise_levels_are_those_of_hang(corpus):
    """SNR 4 and 0.25 with a bound of 2: weights of the clean level's error 2 and 0.25; divided for other targets."""
    share = torch.tensor([0.8, 0.2])
    expected = {
        "sample": [2, 0.25],
        "tiles": [2, 0.25],
        "epsilon": [0.5, 1],
        "v_prediction": [0.4, 0.2],
    }
    for prediction, weights in expected.items():
        found = made(corpus, prediction=prediction, min_snr=2.0)._weights(share)
        assert found.tolist() == pytest.approx(weights)
    assert made(corpus)._weights(share).tolist() == [1, 1]


@pytest.mark.parametrize(
    "config",
    [
        {"prediction": "epsilon", "cross_entropy": 0.01, "min_snr": 5.0},
        {"prediction": "v_prediction", "schedule": "linear"},
        {"prediction": "sample", "self_conditioning": False, "attention": False, "dropout": 0.1},
    ],
)
def test_every_form_learns(corpus, config):
    generator = made(corpus, **config)
    before = generator.loss(*batch(generator, corpus), torch.Generator().manual_seed(0))[0]
    fit = generator.fit(corpus, FitOptions(minutes=0, steps=25, batch=16, warm_up=2, learning_rate=5e-3))
    after = generator.loss(*batch(generator, corpus), torch.Generator().manual_seed(0))[0]
    assert fit.steps == 25
    assert float(after.detach()) < 0.9 * float(before.detach())


def batch(generator, corpus):
    levels = torch.from_numpy(corpus.held_out.levels.astype(np.int64))
    return levels, asked_of(generator, len(levels), np.nan)


@pytest.mark.parametrize("shape", [(7, 11), (5, 5), (10, 10), (14, 28), (2, 3)])
@pytest.mark.parametrize("patch", [0, 1, 3])
def test_any_shape_goes_in_and_comes_out(shape, patch):
    network = Denoiser(3, shape, 4, DiffusionConfig(channels=(8, 8, 8), patch=patch)).eval()
    noisy = torch.randn(2, 3, *shape)
    with torch.no_grad():
        found = network(noisy, torch.tensor([3, 500]), torch.zeros(2, 4))
        again = network(noisy, torch.tensor([3, 900]), torch.zeros(2, 4))
    assert found.shape == noisy.shape
    assert torch.allclose(found[0], again[0], atol=1e-6)
    assert not torch.allclose(found[1], again[1])


def test_nothing_need_be_asked_for(corpus):
    generator = DiffusionGenerator(LevelSpec.of(corpus, ()), DiffusionConfig(channels=(8,), noise_levels=50))
    assert generator.spec.condition_size == 0
    assert generator.sample(2, seed=1, steps=2, guidance=2.0).shape == (2, 9, 5)


def test_padding_is_marked():
    network = Denoiser(2, (7, 11), 4, DiffusionConfig(channels=(8, 8), patch=2))
    assert network.place.shape == (3, 8, 12)
    assert network.place[0, :7, :11].min() == 1
    assert network.place[0].sum() == 77


def test_count_rules_are_kept():
    corpus = corpus_of_levels("zelda", construct("zelda", 30, seed=3, shape=(5, 6)), repeats=True)
    generator = made(corpus)
    constrained = generator.sample(20, seed=1, steps=2)
    free = generator.sample(20, seed=1, steps=2, constrained=False)
    for tile in (2, 3, 4):
        assert ((constrained == tile).sum(axis=(1, 2)) == 1).all()
        assert not ((free == tile).sum(axis=(1, 2)) == 1).all()
    fixed = np.full((5, 6), -1)
    fixed[1, 1] = 2
    around = generator.sample(5, seed=1, steps=2, fixed_tiles=fixed)
    assert (around[:, 1, 1] == 2).all()
    assert ((around == 2).sum(axis=(1, 2)) == 1).all()


def test_it_tells_no_likelihood(trained, corpus):
    assert trained.score(corpus.test.levels) is None


def test_without_diffusers_one_sentence_says_what_to_do(corpus, monkeypatch):
    real = importlib.import_module

    def fail(name, *arguments):
        if name.partition(".")[0] == "diffusers":
            raise ImportError("No module named 'diffusers'")
        return real(name, *arguments)

    monkeypatch.setattr(diffusion, "import_module", fail)
    with pytest.raises(UserError, match=r"tilewright\[generators\]"):
        made(corpus)


def test_the_family_is_found_without_diffusers(monkeypatch):
    real = builtins.__import__

    def fail(name, *arguments, **more):
        if name.partition(".")[0] == "diffusers":
            raise ImportError("No module named 'diffusers'")
        return real(name, *arguments, **more)

    description = importlib.util.spec_from_file_location("diffusion_alone", diffusion.__file__)
    module = importlib.util.module_from_spec(description)
    monkeypatch.setitem(sys.modules, "diffusion_alone", module)
    monkeypatch.setattr(builtins, "__import__", fail)
    description.loader.exec_module(module)
    assert module.FAMILY.name == "diffusion"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"channels": ()}, "channels"),
        ({"channels": (12,)}, "channels"),
        ({"noise_levels": 1}, "noise_levels"),
        ({"signal": 0.0}, "signal"),
        ({"dropout": 1.0}, "dropout"),
        ({"min_snr": -1.0}, "min_snr"),
    ],
)
def test_wrong_forms_are_named(config, words):
    with pytest.raises(UserError, match=words):
        DiffusionConfig(**config).check()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 0}, "steps"),
        ({"steps": 101}, "at most 100"),
        ({"eta": 2.0}, "eta"),
        ({"eta": 0.5, "method": "ddpm"}, "ddim"),
        ({"guidance": float("nan")}, "guidance"),
        ({"resamplings": 0}, "resamplings"),
    ],
)
def test_wrong_sampling_is_named(trained, options, words):
    with pytest.raises(UserError, match=words):
        trained.sample(1, **options)
