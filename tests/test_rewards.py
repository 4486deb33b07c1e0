"""What learners are paid: success, what the solver completes, novelty, and the price of divergence."""

from __future__ import annotations

import numpy as np
import pytest

import envs
from agents.rewards import DivergencePrice, LearnersReward, Novelty, RewardConfig
from tests.designers import assert_names

ZELDA = envs.get_problem("zelda")


def levels_of(n, seed=0, shape=(4, 5)):
    return np.random.default_rng(seed).integers(0, 4, (n, *shape), dtype=np.uint8)


def test_novelty_is_the_distance_to_what_is_known():
    known = levels_of(3)
    near = known[0].copy()
    near.flat[:2] = (near.flat[:2] + 1) % 4
    far = (known[1] + 2) % 4
    judge = Novelty(reach=0.4, known=known, memory=0)
    # 8 tiles of 20 make a level entirely new.
    apart = np.array([0, 2, min((other != far).sum() for other in [*known, near])])
    np.testing.assert_allclose(judge(np.stack([known[2], near, far])), np.minimum(apart / 8, 1))


def test_novelty_remembers_what_was_made_lately_and_forgets_the_rest():
    judge = Novelty(reach=1.0, memory=4)
    first, second = levels_of(4, seed=1), levels_of(4, seed=2)
    assert (judge(first) > 0).all()
    assert (judge(first[:1]) == 0).all()
    judge(second)
    assert (judge(second[:1]) == 0).all()
    assert judge(first[:1])[0] > 0


def test_levels_of_one_batch_are_known_to_each_other():
    level = levels_of(1)
    both = np.concatenate([level, level, levels_of(1, seed=5)])
    worth = Novelty(reach=0.1)(both)
    assert worth[0] == worth[1] == 0
    assert worth[2] > 0


def test_the_solver_pays_for_what_it_completes():
    fine = envs.construct("zelda", 1, seed=0)[0]
    walled = np.full_like(fine, ZELDA.tile_ids["solid"])
    config = RewardConfig(scale=0.5, bonus=3.0, goal="playable", novelty=2.0, reach=0.01)
    reward = LearnersReward(config, ZELDA, known=walled[None])
    ended = np.array([True, False, True])
    outcomes = {"success": np.array([False, True]), "strict_success": np.array([False, True])}
    paid, worth = reward(np.array([1.0, 2.0, -1.0]), ended, outcomes, np.stack([fine, walled]))
    np.testing.assert_allclose(paid, [0.5 + 3 + 2, 1.0, -0.5])
    np.testing.assert_allclose(worth["playable"], [1, 0])
    np.testing.assert_allclose(worth["novelty"], [1, 0])
    assert tuple(reward.figures) == ("playable", "novelty")


def test_difficulty_is_what_a_player_who_errs_loses():
    easy = ZELDA.parse(["@kD..", ".....", ".....", "....."])
    guarded = ZELDA.parse(["@.b.k", ".b.b.", "..b..", "b...D"])
    shut = ZELDA.parse(["@##.k", "####.", "..b..", "b...D"])
    reward = LearnersReward(RewardConfig(scale=0.0, bonus=0.0, regret=2.0, errors=0.5), ZELDA)
    outcomes = {"success": np.zeros(3, bool)}
    paid, worth = reward(np.zeros(3), np.ones(3, bool), outcomes, np.stack([easy, guarded, shut]))
    np.testing.assert_allclose(paid, 2 * worth["regret"])
    assert worth["regret"][1] > worth["regret"][0]
    assert worth["regret"][2] == 0


@pytest.mark.parametrize("goal", ["success", "strict_success"])
def test_success_is_what_the_environment_says(goal):
    reward = LearnersReward(RewardConfig(scale=1.0, bonus=4.0, goal=goal), ZELDA)
    outcomes = {"success": np.array([True]), "strict_success": np.array([False])}
    paid, worth = reward(np.array([1.0, 1.0]), np.array([False, True]), outcomes, None)
    np.testing.assert_allclose(paid, [1.0, 1.0 + 4 * (goal == "success")])
    assert worth == {}


def test_the_price_moves_towards_its_target():
    price = DivergencePrice(0.1, target=5.0)
    price.observe(5.5)
    assert price.weight == pytest.approx(0.1 * 1.01)
    # Errors count up to a fifth of the target (Ziegler 2019).
    price.observe(500.0)
    assert price.weight == pytest.approx(0.1 * 1.01 * 1.02)
    price.observe(0.0)
    assert price.weight == pytest.approx(0.1 * 1.01 * 1.02 * 0.98)
    price.observe(float("nan"))
    assert price.weight == pytest.approx(0.1 * 1.01 * 1.02 * 0.98)
    fixed = DivergencePrice(0.1, target=0.0)
    fixed.observe(100.0)
    assert fixed.weight == 0.1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scale": -1.0}, ["scale", "-1.0"]),
        ({"novelty": float("nan")}, ["novelty", "nan"]),
        ({"reach": 0.0}, ["reach", "0.0"]),
        ({"kl_target": 3.0}, ["kl_target", "kl=0.0"]),
        ({"errors": 1.5}, ["errors", "1.5"]),
        ({"goal": "fun"}, ["goal", "fun", "playable"]),
    ],
)
def test_settings_that_cannot_be_used(change, words):
    assert_names(RewardConfig(**change).check, words)
