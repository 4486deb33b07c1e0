"""Adversarial parts: tiles that gradients pass through, critics, penalties, divergence; and the GAN made of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from envs import UserError, get_problem
from envs.counts import kept
from generators.adversarial import (
    Critic,
    gradient_penalty,
    one_hot,
    real_penalty,
    straight_through,
)
from generators.adversarial_sampler import misfit
from generators.corpus import corpus_of_levels
from generators.draws import Draws, level_seeds
from generators.families.gan import Gan, GanBody, GanConfig
from generators.generator import FitOptions
from generators.judging.patterns import mean_divergence
from generators.spec import LevelSpec
from generators.training import Asked

torch.set_num_threads(1)

TINY = {"latent_size": 8, "channels": 8, "hidden": 32, "critic_channels": 8, "critic_features": 32}


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def striped(count, seed=0):
    """Levels whose columns are solid or empty throughout: no two tiles of a column differ."""
    random = np.random.default_rng(seed)
    columns = random.random((count, 1, 10)) < 0.5
    return np.repeat(columns, 5, axis=1).astype(np.uint8)


@pytest.fixture(scope="module")
def corpus():
    return corpus_of_levels(get_problem("binary"), striped(200), seed=1, repeats=True)


@pytest.fixture(scope="module")
def trained(corpus):
    generator = Gan(LevelSpec.of(corpus), GanConfig(**TINY, doublings=1))
    options = FitOptions(minutes=0, steps=300, batch=32, learning_rate=5e-3, patience=0, symmetries=False, seed=1)
    generator.fit(corpus, options)
    return generator


def breaks(levels):
    """The share of vertical neighbours that differ: 0 in the corpus, near 1/2 by chance."""
    return float((levels[:, 1:] != levels[:, :-1]).mean())


def test_straight_through_draws_from_the_softmax():
    logits = torch.tensor([0.0, 1.0, 2.0]).view(1, 3, 1, 1).expand(40_000, 3, 1, 1)
    for temperature in (0.1, 2.0):
        drawn = straight_through(logits, temperature, source(3))
        assert set(drawn.unique().tolist()) == {0.0, 1.0}
        assert torch.equal(drawn.sum(dim=1), torch.ones(40_000, 1, 1))
        shares = drawn.mean(dim=0).flatten()
        assert torch.allclose(shares, torch.tensor([0.0, 1.0, 2.0]).softmax(dim=0), atol=0.01)


def test_straight_through_has_the_gradient_of_the_softmax():
    logits = torch.randn(1, 3, 1, 1, generator=source(1)).requires_grad_()
    weights = torch.tensor([1.0, -2.0, 0.5]).view(1, 3, 1, 1)
    (found,) = torch.autograd.grad((straight_through(logits, 0.7, source(5)) * weights).sum(), logits)
    noise = -torch.empty(1, 3, 1, 1).exponential_(generator=source(5)).log()
    (expected,) = torch.autograd.grad((((logits + noise) / 0.7).softmax(dim=1) * weights).sum(), logits)
    assert torch.allclose(found, expected, atol=1e-6)
    assert found.abs().max() > 1e-3


def test_the_penalty_of_a_linear_critic():
    # The gradient of weights . x is the weights everywhere, so that the penalty is (|weights| - 1) squared.
    weights = torch.full((2, 3, 3), 0.5)
    penalty = gradient_penalty(
        lambda x: (x * weights).sum(dim=(1, 2, 3)), torch.rand(7, 2, 3, 3), torch.rand(7, 2, 3, 3), source()
    )
    assert penalty.item() == pytest.approx((0.5 * 18**0.5 - 1) ** 2, rel=1e-5)
    flat = gradient_penalty(
        lambda x: (x * 0).sum(dim=(1, 2, 3)), torch.rand(7, 2, 3, 3), torch.rand(7, 2, 3, 3), source()
    )
    assert flat.item() == pytest.approx(1, rel=1e-4)


def test_the_penalties_agree_with_finite_differences():
    torch.manual_seed(0)
    critic = Critic(2, (3, 4), channels=4, features=8, deviation=False).double()
    real, fake = torch.rand(2, 2, 3, 4).double(), torch.rand(2, 2, 3, 4).double()
    places = torch.rand(2, generator=source(9)).double().view(2, 1, 1, 1)

    def norms(levels):
        """Squared norms of the gradients at levels, by central differences."""
        total = torch.zeros(len(levels)).double()
        for place in np.ndindex(2, 3, 4):
            step = torch.zeros(2, 3, 4).double()
            step[place] = 1e-5
            with torch.no_grad():
                total += ((critic(levels + step) - critic(levels - step)) / 2e-5) ** 2
        return total

    expected = ((norms(real + places * (fake - real)).sqrt() - 1) ** 2).mean().item()
    assert gradient_penalty(critic, real, fake, source(9)).item() == pytest.approx(expected, rel=1e-4)
    assert real_penalty(critic, real).item() == pytest.approx(norms(real).mean().item() / 2, rel=1e-4)


def test_the_penalty_teaches_the_critic():
    weights = torch.full((2, 3, 3), 0.5, requires_grad=True)
    gradient_penalty(
        lambda x: (x * weights).sum(dim=(1, 2, 3)), torch.rand(7, 2, 3, 3), torch.rand(7, 2, 3, 3), source()
    ).backward()
    # The slope of (|weights| - 1) squared.
    norm = 0.5 * 18**0.5
    assert torch.allclose(weights.grad, torch.full((2, 3, 3), 2 * (norm - 1) * 0.5 / norm), atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 3), (3, 3), (5, 5), (7, 11), (10, 10), (14, 14), (14, 28)])
def test_every_cell_of_any_shape_counts(shape):
    torch.manual_seed(0)
    critic = Critic(3, shape, channels=4, features=8, deviation=False)
    body = GanBody(3, shape, 6, GanConfig(**{**TINY, "latent_size": 6})).eval()
    assert body(torch.randn(2, 6)).shape == (2, 3, *shape)
    levels = torch.rand(2, 3, *shape, requires_grad=True)
    # By the dense layers alone, for the counts of tiles see every cell anyhow.
    (gradient,) = torch.autograd.grad(critic.body(levels).square().sum(), levels)
    assert (gradient.abs().sum(dim=(0, 1)) > 0).all()
    assert critic(levels).shape == (2,)


def test_the_critic_is_told_what_was_asked():
    torch.manual_seed(0)
    critic = Critic(2, (5, 5), condition_size=3, channels=4, features=8)
    levels = one_hot(torch.randint(0, 2, (4, 5, 5)), 2)
    asked = torch.randn(4, 3)
    assert not torch.allclose(critic(levels, asked), critic(levels, -asked))
    # By projection: linear in the condition.
    middle = critic(levels, torch.zeros(4, 3))
    assert torch.allclose(critic(levels, asked) + critic(levels, -asked), 2 * middle, atol=1e-5)
    assert torch.allclose(critic(levels), middle)


def test_the_critic_sees_whether_levels_differ():
    torch.manual_seed(0)
    critic = Critic(2, (5, 5), channels=4, features=8)
    level = one_hot(torch.randint(0, 2, (1, 5, 5)), 2)
    others = one_hot(torch.randint(0, 2, (3, 5, 5)), 2)
    among_equals, among_others = critic(level.expand(4, -1, -1, -1))[0], critic(torch.cat([level, others]))[0]
    assert not torch.allclose(among_equals, among_others)
    plain = Critic(2, (5, 5), channels=4, features=8, deviation=False)
    assert torch.allclose(plain(level.expand(4, -1, -1, -1))[0], plain(torch.cat([level, others]))[0], atol=1e-6)


def test_mean_divergence_by_hand():
    # Of 2x2 patterns the one has only all-0, the other all-0 and all-1 by halves.
    empty = np.zeros((2, 2, 2), np.uint8)
    mixed = np.stack([np.zeros((2, 2)), np.ones((2, 2))]).astype(np.uint8)
    least = 1e-6
    ours = np.array([1 + least, least]) / (1 + 2 * least)
    theirs = np.array([0.5, 0.5])
    expected = (np.sum(ours * np.log(ours / theirs)) + np.sum(theirs * np.log(theirs / ours))) / 2
    assert mean_divergence(empty, mixed) == pytest.approx(expected, rel=1e-6)
    assert mean_divergence(mixed, empty) == pytest.approx(expected, rel=1e-6)
    assert mean_divergence(mixed, mixed) == 0


def test_mean_divergence_counts_patterns_as_a_slow_count_does():
    random = np.random.default_rng(0)
    first, second = random.integers(0, 3, (5, 4, 6), np.uint8), random.integers(0, 2, (7, 4, 6), np.uint8)

    def count(levels, size):
        found = {}
        for level in levels:
            for row in range(4 - size + 1):
                for column in range(6 - size + 1):
                    key = level[row : row + size, column : column + size].tobytes()
                    found[key] = found.get(key, 0) + 1
        total = sum(found.values())
        return {key: number / total for key, number in found.items()}

    expected = []
    for size in (2, 3):
        ours, theirs = count(first, size), count(second, size)
        keys = sorted(set(ours) | set(theirs))
        p = np.array([ours.get(key, 0) + 1e-6 for key in keys])
        q = np.array([theirs.get(key, 0) + 1e-6 for key in keys])
        p, q = p / p.sum(), q / q.sum()
        expected.append((np.sum(p * np.log(p / q)) + np.sum(q * np.log(q / p))) / 2)
    assert mean_divergence(first, second) == pytest.approx(np.mean(expected), rel=1e-9)


def test_it_learns_patterns(trained, corpus):
    untrained = Gan(trained.spec, trained.config)
    assert breaks(untrained.sample(200, 1, temperature=1.0)) > 0.3
    assert breaks(trained.sample(200, 1)) < 0.15
    levels = trained.sample(200, 1)
    assert len(np.unique(levels.reshape(200, -1), axis=0)) > 20
    assert mean_divergence(levels, corpus.test.levels) < mean_divergence(untrained.sample(200, 1), corpus.test.levels)


def test_the_held_out_score_tells_good_from_bad(trained, corpus):
    levels = torch.from_numpy(corpus.held_out.levels.astype(np.int64))
    asked = Asked.of(
        trained.spec, np.full((len(levels), len(trained.spec.conditions)), np.nan), np.full(len(levels), -1), "cpu"
    )

    def score(generator):
        generator.network.eval()
        with torch.no_grad():
            return generator.held_out_score(levels, asked, None)

    untrained = Gan(trained.spec, trained.config)
    assert score(trained) < score(untrained)
    # One level again and again is as bad as it gets.
    collapsed = Gan(trained.spec, trained.config)
    collapsed.network.load_state_dict(trained.network.state_dict())
    with torch.no_grad():
        collapsed.network.generator.trunk[0].weight.zero_()
        collapsed.network.generator.tiles.weight.mul_(100)
    assert score(collapsed) > score(trained) + 0.5


def test_truncation(trained):
    one = trained.sample(5, 1, truncation=0, temperature=0)
    assert (one == one[0]).all()
    few = len(np.unique(trained.sample(300, 1, truncation=0.3, temperature=0).reshape(300, -1), axis=0))
    many = len(np.unique(trained.sample(300, 1, temperature=0).reshape(300, -1), axis=0))
    assert few < many
    drawn = trained.sampler().drawn(Draws(level_seeds(0, 20_000)), 1, trained.Sampling(truncation=1.0))
    assert np.abs(drawn).max() <= 1
    # The variance of the normal distribution cut off at 1: 1 - 2 * density(1) / share within.
    assert drawn.var() == pytest.approx(1 - 2 * 0.24197 / 0.68269, abs=0.005)
    with pytest.raises(UserError, match="truncation"):
        trained.sample(1, truncation=-1)


def test_from_latents(trained):
    latents = np.random.default_rng(0).standard_normal((600, 8))
    levels = trained.from_latents(latents)
    assert levels.shape == (600, 5, 10)
    assert levels.dtype == np.uint8
    # A level does not depend on those beside it.
    assert np.array_equal(trained.from_latents(latents[550:]), levels[550:])
    name = trained.spec.conditions[0].name
    low, high = trained.spec.conditions[0].low, trained.spec.conditions[0].high
    assert not np.array_equal(trained.from_latents(latents, {name: low}), trained.from_latents(latents, {name: high}))
    for wrong in (np.zeros((3, 7)), np.zeros(8), np.full((1, 8), np.nan)):
        with pytest.raises(UserError, match="Latents"):
            trained.from_latents(wrong)


def test_latents_are_changed_until_levels_agree_with_fixed_tiles(trained, corpus):
    fixed = np.full((5, 10), -1)
    fixed[2] = corpus.test.levels[0][2]
    levels = trained.sample(40, 3, fixed_tiles=fixed)
    assert (levels[:, 2] == fixed[2]).all()
    assert np.array_equal(levels, trained.sample(40, 3, fixed_tiles=fixed))
    batch = np.broadcast_to(fixed, (40, 5, 10)).astype(np.int16)
    dense = np.zeros((40, trained.spec.condition_size), np.float32)
    sampler, unlikely = trained.sampler(), []
    for steps in (0, 20):
        latents = sampler._around(batch, dense, trained.Sampling(fixed_steps=steps), Draws(level_seeds(3, 40)))
        (logits,) = sampler.networks("generate", latents, dense)
        unlikely.append(misfit(logits, batch.reshape(40, -1).astype(np.int64)).mean())
    # Twenty steps agree far better than the best of some latents does.
    assert unlikely[1] < 0.6 * unlikely[0]


def test_count_rules_are_kept():
    problem = get_problem("sokoban")
    random = np.random.default_rng(0)
    levels = np.zeros((30, 5, 5), np.uint8)
    for level in levels:
        places = random.permutation(25)[:3]
        level.reshape(-1)[places] = [2, 3, 4]
    generator = Gan(LevelSpec.of(corpus_of_levels(problem, levels, repeats=True)), GanConfig(**TINY))
    names = [tile.name for tile in problem.tiles]
    assert kept(problem.count_rules, generator.sample(50, 1), names).all()
    assert not kept(problem.count_rules, generator.sample(50, 1, constrained=False, temperature=1.0), names).all()


@pytest.mark.parametrize(
    "change",
    [
        {"objective": "logistic", "penalty": 1.0},
        {"critic_steps": 3},
        {"penalty_every": 4},
        {"critic_rate": 4.0},
        {"deviation": False},
        {"last_temperature": 0.2},
    ],
)
def test_options_make_a_difference(corpus, change):
    options = FitOptions(minutes=0, steps=6, batch=8, symmetries=False)
    weights = []
    for config in (GanConfig(**TINY), GanConfig(**TINY, **change)):
        generator = Gan(LevelSpec.of(corpus), config)
        # So that it is the last weights that are kept, whatever they are worth.
        generator.held_out_score = lambda levels, asked, training: -training.step
        generator.fit(corpus, options)
        weights.append(torch.cat([weight.flatten() for weight in generator.network.generator.parameters()]))
    assert not torch.allclose(*weights)


@pytest.mark.parametrize(
    "wrong",
    [
        {"latent_size": 0},
        {"doublings": 9},
        {"penalty": -1.0},
        {"last_temperature": 0.0},
        {"critic_rate": 0.0},
        {"hidden": 0},
    ],
)
def test_wrong_options_are_named(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        GanConfig(**wrong).check()


def test_the_logistic_loss_falls_where_fakes_pass_for_real(trained):
    generator = Gan(trained.spec, GanConfig(**TINY, objective="logistic"))
    scores = torch.tensor([-1.0, 2.0])
    assert generator._generator_loss(scores).item() == pytest.approx(functional.softplus(-scores).mean().item())
    assert trained._generator_loss(scores).item() == pytest.approx(-0.5)
