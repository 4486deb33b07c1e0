"""The batched play environment: each of its lanes is the single one, in all that is returned."""

from __future__ import annotations

import functools

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import envs
from envs.checks import difference
from envs.play_vector_env import PlayVectorEnv

LANES = 3
MODES = [mode.value for mode in AutoresetMode]
IDS = envs.play_environment_ids()
SOKOBAN = "tilewright/play-sokoban-v0"


def problem_of(env_id):
    return envs.get_problem(env_id.removeprefix("tilewright/play-").removesuffix("-v0"))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("env_id", IDS)
def test_lanes_are_single_environments(env_id, mode):
    batch = gymnasium.make_vec(env_id, num_envs=LANES, autoreset_mode=mode, max_steps=9)
    single = functools.partial(gymnasium.make, env_id, disable_env_checker=True, max_steps=9)
    peers = SyncVectorEnv([single] * LANES, autoreset_mode=mode)
    assert isinstance(batch, PlayVectorEnv)
    assert batch.observation_space == peers.observation_space
    assert batch.action_space == peers.action_space
    assert difference(batch.reset(seed=5), peers.reset(seed=5), "reset") is None
    batch.action_space.seed(5)
    ends = 0
    for step in range(40):
        actions = batch.action_space.sample()
        ours, theirs = batch.step(actions), peers.step(actions)
        assert difference(ours, theirs, f"step {step}") is None
        done = ours[2] | ours[3]
        ends += done.sum()
        if mode == "Disabled" and done.any():
            ours, theirs = (env.reset(options={"reset_mask": done.copy()}) for env in (batch, peers))
            assert difference(ours, theirs, f"reset after step {step}") is None
    assert ends >= LANES
    batch.close()
    peers.close()


@pytest.mark.parametrize("name", [name for name, problem in envs.all_problems().items() if problem.rules])
def test_many_games_are_as_one(name):
    """What the rules do to many games at once is what they do to each, through wins and losses, on built levels."""
    rules = envs.get_rules(name)
    levels = envs.construct(name, 4, seed=2)
    plans = envs.solve(name, levels[:2])
    states = np.stack([rules.start(level) for level in levels])
    random = np.random.default_rng(0)
    outcomes = set()
    for step in range(max(len(plan.actions) for plan in plans)):
        # The first games follow their solutions, the others wander.
        actions = random.integers(len(rules.actions), size=len(levels))
        for lane in (0, 1):
            if step < len(plans[lane].actions):
                actions[lane] = plans[lane].actions[step]
        before = states.copy()
        after = rules.step_all(states, actions)
        assert (states == before).all()
        assert (after == np.stack([rules.step(s, int(a)) for s, a in zip(states, actions, strict=True)])).all()
        assert (rules.outcomes(after) == [rules.outcome(s) for s in after]).all()
        boards = rules.boards(after)
        assert (boards == np.stack([rules.board(s) for s in after])).all()
        assert (rules.senses_of(after) == np.stack([rules.sense(s) for s in after])).all()
        states = after
        outcomes |= set(rules.outcomes(after).tolist())
    assert envs.rules.WON in outcomes
    assert (
        np.isin(rules.boards(np.stack([rules.start(level) for level in levels])), rules.heroes()).any(axis=(1, 2)).all()
    )


def test_a_solution_wins_and_ends_the_lane():
    level = envs.construct("zelda", 1, seed=3)[0]
    plan = envs.solve("zelda", level)[0].actions
    env = PlayVectorEnv("zelda", 2, levels=level, autoreset_mode="Disabled")
    env.reset(seed=0)
    for action in plan:
        _, rewards, terminations, _, infos = env.step([action, action])
    assert (rewards[0], terminations[0], infos["won"][0], infos["steps"][0]) == (1.0, True, True, len(plan))
    with pytest.raises(envs.UserError, match="have ended"):
        env.step([0, 0])


def test_levels_can_be_set_and_kept_to_their_lanes():
    levels = envs.construct("maze", 5, seed=1, shape=(5, 5))
    env = PlayVectorEnv("maze", 2, levels=levels[:1], max_steps=3, autoreset_mode="SameStep")
    env.reset(seed=1)
    assert (env.played == levels[0]).all()
    env.set_levels(levels[1:3], one_a_lane=True)
    assert (env.played == levels[0]).all()
    for _ in range(7):
        env.step([0, 0])
    assert (env.played == levels[1:3]).all()
    env.set_levels(levels[3:])
    env.reset()
    assert all((level == levels[3:]).all(axis=(1, 2)).any() for level in env.played)
    env.reset(options={"levels": levels[:2]})
    assert (env.played == levels[:2]).all()


def test_masked_resets_leave_other_lanes_alone():
    env = PlayVectorEnv(
        "sokoban", 2, levels=envs.construct("sokoban", 3, seed=0, shape=(5, 5)), autoreset_mode="Disabled"
    )
    env.reset(seed=0)
    env.step([0, 1])
    _, infos = env.reset(options={"reset_mask": np.array([True, False])})
    assert infos["_steps"].tolist() == [True, False]
    assert env.step([0, 0])[4]["steps"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda env: env.step([0, 9]), "Action 9 is not one of"),
        (lambda env: env.step([0]), "2 whole numbers"),
        (lambda env: env.step([0.5, 0.5]), "whole numbers"),
        (lambda env: env.reset(options={"lavels": 1}), "lavels"),
        (lambda env: env.reset(options={"levels": np.zeros((2, 5, 5), int)}), "cannot be played"),
        (lambda env: env.reset(options={"level": env.levels, "levels": env.levels}), "got both"),
        (lambda env: env.set_levels(env.levels[:1], one_a_lane=True), "needs 2 levels"),
        (lambda env: env.set_levels(envs.construct("sokoban", 1, shape=(6, 6))), "levels of shape"),
        (lambda env: env.render(), "render_mode"),
    ],
)
def test_slips_are_told(action, message):
    env = gymnasium.make_vec(SOKOBAN, num_envs=2, levels=envs.construct("sokoban", 3, seed=0, shape=(5, 5)))
    env.reset(seed=0)
    with pytest.raises(envs.UserError, match=message):
        action(env)


def test_a_game_must_be_begun():
    with pytest.raises(envs.UserError, match="reset"):
        gymnasium.make_vec(SOKOBAN, num_envs=2).step([0, 0])


def test_pictures_of_all_lanes():
    env = gymnasium.make_vec(SOKOBAN, num_envs=2, render_mode="rgb_array", tile_size=8)
    env.reset(seed=0)
    assert [picture.shape for picture in env.render()] == [(8 * env.shape[0], 8 * env.shape[1], 3)] * 2
