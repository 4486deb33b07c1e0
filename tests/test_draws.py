"""Random numbers with a stream for each level, what is drawn by them, and requests that are answered together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generators.draws import Draws, level_seeds
from generators.sampling import Request
from generators.shares import likely, log_softmax, pick, softmax


def test_a_longer_sample_begins_with_the_same_seeds():
    seeds = level_seeds(7, 100)
    assert (level_seeds(7, 30) == seeds[:30]).all()
    assert len(np.unique(seeds)) == 100
    assert not np.isin(level_seeds(8, 100), seeds).any()


@pytest.mark.parametrize("kind", ["uniforms", "normals", "gumbels", "seeds"])
def test_what_is_drawn_for_a_level_does_not_depend_on_others(kind):
    seeds = level_seeds(3, 6)
    whole = Draws(seeds)
    first, second = (getattr(whole, kind)(5, 3) for _ in range(2))
    assert first.shape == (6, 5, 3)
    assert (first != second).all()
    alone = Draws(seeds[4:5])
    assert (getattr(alone, kind)(5, 3)[0] == first[4]).all()
    alone = Draws(seeds)
    getattr(alone, kind)(5, 3)
    alone.choose(np.array([4, 0]))
    assert (getattr(alone, kind)(5, 3) == second[[4, 0]]).all()


def test_numbers_are_distributed_as_they_should_be():
    draws = Draws(level_seeds(0, 200))
    uniforms, normals, gumbels = draws.uniforms(501), draws.normals(501), draws.gumbels(501)
    assert uniforms.min() >= 0
    assert uniforms.max() < 1
    n = uniforms.size
    assert abs(uniforms.mean() - 0.5) < 5 * np.sqrt(1 / 12 / n)
    assert abs(normals.mean()) < 5 / np.sqrt(n)
    assert abs(normals.var() - 1) < 5 * np.sqrt(2 / n)
    # Of the Gumbel distribution: Euler's constant, and the variance.
    assert abs(gumbels.mean() - 0.5772157) < 5 * np.sqrt(np.pi**2 / 6 / n)
    assert np.isfinite(gumbels).all()
    assert normals.dtype == gumbels.dtype == np.float32


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.3, 1.0, 4.0]))
def test_softmax(seed, temperature):
    scores = np.random.default_rng(seed).normal(0, 3, (4, 7, 5))
    scores[0, 0, 1:] = -np.inf
    expected = np.exp(scores / temperature)
    expected /= expected.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(softmax(scores, temperature), expected, rtol=1e-9)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(log_softmax(scores, temperature), np.log(expected), rtol=1e-9, atol=1e-12)
    assert softmax(scores.astype(np.float32)).dtype == np.float32
    with np.errstate(over="ignore"):
        assert np.isfinite(softmax(scores * 1e300, 1e-300)).all()


def test_what_is_likely():
    scores = np.log([[0.5, 0.3, 0.2, 0.0001]])
    assert np.exp(likely(scores, top_k=2))[0] == pytest.approx([0.625, 0.375, 0, 0])
    assert np.exp(likely(scores, top_p=0.7))[0] == pytest.approx([0.625, 0.375, 0, 0])
    assert np.exp(likely(scores, top_p=1e-9))[0] == pytest.approx([1, 0, 0, 0])
    assert np.exp(likely(scores, temperature=0.5))[0, :2] == pytest.approx([25 / 38, 9 / 38], rel=1e-6)
    assert np.exp(likely(scores)).sum() == pytest.approx(1)


def test_symbols_are_picked_as_often_as_they_are_likely():
    chances = np.log([[0.5, 0.25, 0.25]])
    places = np.array([0.0, 0.49, 0.51, 0.74, 0.76, 1 - 1e-16])
    assert pick(np.repeat(chances, 6, axis=0), places).tolist() == [0, 0, 1, 1, 2, 2]
    with np.errstate(divide="ignore"):
        never = np.log(np.array([[0.0, 1.0, 0.0]] * 2))
    assert pick(never, np.array([0.0, 1 - 1e-16])).tolist() == [1, 1]


def test_requests_are_joined_and_parted():
    values, labels = np.full((2, 1), np.nan), np.full(2, -1)
    fixed = np.full((2, 3, 3), -1, np.int16)
    fixed[1, 0, 0] = 2
    free, around = (Request(level_seeds(seed, 2), values, labels, one) for seed, one in ((1, None), (2, fixed)))
    both = Request.joined([free, around])
    assert both.n == 4
    assert both.around.tolist() == [False, False, False, True]
    assert both.part(slice(0, 3)).fixed is None
    assert (both.part(np.array([3])).fixed == fixed[1:]).all()
    assert both.part(np.array([3])).seeds == around.seeds[1:]
    assert Request.joined([free, free]).fixed is None
    assert len(np.unique(both.candidates(8).seeds)) == 32
