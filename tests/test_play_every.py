"""Metrics that are found by playing may be measured only now and then, and what is paid and reported stays true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from agents import baselines
from envs.problem import AS_LARGE_AS_POSSIBLE, Metric, Problem, Tile
from envs.vector_env import DesignVectorEnv


def _cells(shape):
    return 0, int(np.prod(shape))


@dataclass(frozen=True)
class Coins(Problem):
    """Counts coins, cheaply as `coins`, and once more as `collected` by a player who is slow but takes them all."""

    goal: int = 10**6

    def measure(self, levels):
        """Returns both metrics."""
        PLAYED.append(len(levels))
        count = levels.reshape(len(levels), -1).sum(axis=1).astype(np.float32)
        return np.stack([count, count], axis=1)

    def measure_static(self, levels):
        """Returns the count, and nonsense for what needs a player."""
        count = levels.reshape(len(levels), -1).sum(axis=1).astype(np.float32)
        return np.stack([count, np.full(len(levels), -7, np.float32)], axis=1)

    def succeeded(self, metrics, start_metrics):
        """As many coins collected as are asked for."""
        return metrics[:, 1] >= self.goal

    def playable(self, metrics):
        """A player who collects at least three coins gets through."""
        return metrics[:, 1] >= 3


PLAYED: list[int] = []


def problem(**options):
    """Returns the problem: half of the tiles are coins."""
    return Coins(
        name="coins",
        description="coins",
        tiles=(Tile("empty", ".", (0, 0, 0)), Tile("coin", "o", (255, 255, 0))),
        default_shape=(4, 5),
        start_probabilities=(0.5, 0.5),
        metrics=(
            Metric("coins", 1, AS_LARGE_AS_POSSIBLE, _cells, "coins"),
            Metric("collected", 10, AS_LARGE_AS_POSSIBLE, _cells, "coins that a player collects", play=True),
        ),
        border="empty",
        **options,
    )


def made(play_every, representation="wide", **options):
    """Returns an environment of six lanes and the number of levels played so far, as a function."""
    settings = {"num_envs": 6, "change_share": 0.5, "step_limit": 37, "autoreset_mode": "Disabled", **options}
    goal = settings.pop("goal", 10**6)
    env = DesignVectorEnv(problem(goal=goal), representation, play_every=play_every, **settings)
    PLAYED.clear()
    return env


@pytest.mark.parametrize("play_every", [0, 1, 5, 1000])
def test_every_episode_is_paid_its_whole_improvement(play_every):
    env = made(play_every)
    _, infos = env.reset(seed=3)
    start = infos["coins"] * 11.0
    total = np.zeros(6)
    over = np.zeros(6, bool)
    while not over.all():
        before = over.copy()
        _, rewards, terminations, truncations, infos = env.step(env.action_space.sample())
        ended = (terminations | truncations) & ~before
        total += np.where(before, 0, rewards)
        over |= terminations | truncations
        np.testing.assert_array_equal(infos["collected"][ended], infos["coins"][ended])
        np.testing.assert_allclose(total[ended], infos["coins"][ended] * 11.0 - start[ended])
        if over.any() and not over.all():
            observations, _ = env.reset(options={"reset_mask": over.copy()})
            assert observations["map"].shape[0] == 6


def test_in_between_the_metric_stands_as_it_was_played_last():
    env = made(4, "narrow", autoreset_mode="NextStep", change_share=None)
    _, infos = env.reset(seed=1)
    last = infos["collected"].copy()
    for _ in range(30):
        _, _, _, _, infos = env.step(np.full(6, 2))
        fresh = infos["steps"] % 4 == 0
        last = np.where(fresh, infos["coins"], last)
        np.testing.assert_array_equal(infos["collected"], last)
    assert (infos["coins"] >= infos["collected"]).all()


def test_levels_are_played_as_seldom_as_was_asked():
    counts = {}
    for play_every in (1, 10, 0):
        env = made(play_every, change_share=None, step_limit=50, autoreset_mode="NextStep")
        env.reset(seed=0)
        env.action_space.seed(0)
        for _ in range(50):
            env.step(env.action_space.sample())
        counts[play_every] = sum(PLAYED)
    assert counts[1] > 100
    assert counts[10] <= 6 * 6
    assert counts[0] <= 2 * 6


def test_a_goal_that_was_not_played_does_not_end_an_episode():
    env = made(1000, "narrow", goal=12, change_share=None, step_limit=500, order="sequential")
    _, infos = env.reset(seed=0, options={"levels": np.zeros((4, 5), np.uint8)})
    for step in range(1, 21):
        _, _, terminations, _, infos = env.step(np.full(6, 2))
        # Twelve coins lie there after twelve steps, but nobody has collected them, nor do they claim it.
        assert not terminations.any()
        assert (infos["coins"] == step).all()
        assert (infos["collected"] == 0).all()


def test_a_goal_that_an_earlier_level_met_must_be_met_by_the_level_as_it_stands():
    env = made(0, "narrow", goal=12, change_share=None, step_limit=500, order="sequential")
    env.reset(seed=0, options={"levels": np.ones((4, 5), np.uint8)})
    # The start level meets the goal, and the first step ends the episode only because the played level still does.
    _, _, terminations, _, infos = env.step(np.full(6, 1))
    assert terminations.all()
    assert (infos["collected"] == 19).all()


def test_strict_success_asks_for_a_level_that_our_player_completes():
    env = made(1, change_share=None, goal=1, end_on_success=False)
    for coins, strict in ((2, False), (3, True)):
        level = np.zeros((4, 5), np.uint8)
        level.flat[:coins] = 1
        _, infos = env.reset(options={"levels": level})
        assert infos["success"].all()
        assert (infos["strict_success"] == strict).all()


def test_looking_ahead_shows_no_improvement_of_what_is_not_played():
    env = made(3, look_ahead=True)
    observations, _ = env.reset(seed=0)
    ahead = observations["look_ahead"].reshape(6, -1, 3)
    assert (ahead[..., 1] == 0).all()
    assert (ahead[..., 0] != 0).any()
    played = made(1, look_ahead=True)
    observations, _ = played.reset(seed=0)
    ahead = observations["look_ahead"].reshape(6, -1, 3)
    np.testing.assert_allclose(ahead[..., 1], 10 * ahead[..., 0])


def test_the_hill_climber_tries_and_plays_a_part_of_the_edits_of_a_large_level(monkeypatch):
    monkeypatch.setattr(baselines, "TRIED_TILES", 20 * 15)
    monkeypatch.setattr(baselines, "PLAYED_TILES", 20 * 4)
    level = np.zeros((4, 5), np.uint8)
    PLAYED.clear()
    edit = baselines.best_edit(problem(), level, np.zeros((4, 5), bool), np.random.default_rng(0))
    assert edit[-1] == 1
    assert sorted(PLAYED) == [1, 1, 4]


def test_the_hill_climber_stops_where_nothing_may_be_changed():
    level = np.zeros((4, 5), np.uint8)
    assert baselines.best_edit(problem(), level, np.ones((4, 5), bool), np.random.default_rng(0)) is None
