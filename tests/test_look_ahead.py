"""What designers are shown of each action is what stepping that action brings."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from gymnasium import spaces

import envs
from envs import UserError
from envs.kernels.episode import HIGH, LOW, NOW
from envs.look_ahead import MOST_NUMBERS, MOST_OPTIONS, all_actions
from envs.vector_env import DesignVectorEnv

SHAPES = {"binary": (5, 6), "zelda": (4, 5), "sokoban": (4, 4), "voxel": (5, 3, 4)}
MODES = ["NextStep", "SameStep", "Disabled"]


def few_actions(problem, representation):
    try:
        DesignVectorEnv(problem, representation, look_ahead=True)
    except UserError:
        return False
    return True


PAIRS = [
    (problem, representation)
    for problem in envs.all_problems()
    for representation in envs.all_representations()
    if few_actions(problem, representation)
]
REPRESENTATIONS = sorted({representation for _, representation in PAIRS})


def shape_of(problem):
    return SHAPES.get(problem, envs.get_problem(problem).default_shape)


def make(problem, representation, lanes=1, **options):
    return DesignVectorEnv(problem, representation, lanes, **{"shape": shape_of(problem), **options})


def shown(env, observations):
    """What an observation shows, float32 (lanes, options, columns)."""
    options = len(all_actions(env.single_action_space, len(env.shape)))
    return observations["look_ahead"].reshape(env.num_envs, options, len(env.metrics) + 1)


def places(env, actions):
    """Where actions stand among all actions, int64 (lanes,)."""
    if isinstance(env.single_action_space, spaces.Discrete):
        return actions
    return np.ravel_multi_index(actions.T, env.single_action_space.nvec)


def distances(metrics, values, targets):
    """The distances of a level's metrics to their targets, in plain Python."""
    found = []
    for metric, value in zip(metrics, values, strict=True):
        low, high = targets.get(metric.name, metric.target)
        found.append(max(low - value, 0) + max(value - high, 0))
    return np.array(found)


def test_only_the_forms_with_many_actions_are_left_out():
    sensible = {name for name, design in envs.all_representations().items() if design.can_look_ahead}
    assert set(REPRESENTATIONS) <= sensible
    assert sensible - set(REPRESENTATIONS) == {"cellular", "narrowmulti"}


@pytest.mark.parametrize(("problem", "representation"), PAIRS)
@pytest.mark.parametrize("frozen_share", [0.0, 0.4])
def test_what_is_shown_is_what_a_step_brings(problem, representation, frozen_share):
    task, shape = envs.get_problem(problem), shape_of(problem)
    random = np.random.default_rng(7)
    probe = None
    for seed in range(3):
        level = task.start_levels(random.random((1, 1 + int(np.prod(shape)))), shape)[0]
        options = {"levels": level, "frozen": random.random(shape) < frozen_share}
        # A budget of three changes, fewer than a patch would make.
        settings = {"change_share": 3 / level.size + 1e-9}
        env = make(problem, representation, look_ahead=True, **settings)
        seen = shown(env, env.reset(seed=seed, options=options)[0])[0]
        actions = all_actions(env.single_action_space, len(env.shape))
        if probe is None:
            probe = make(problem, representation, len(actions), autoreset_mode="Disabled", **settings)
        probe.reset(seed=[seed] * len(actions), options=options)
        if probe.representation.has_cursor:
            assert (probe.cursors == env.cursors[0]).all()
        before = probe.measured
        _, rewards, _, _, infos = probe.step(actions)
        np.testing.assert_allclose(seen[:, :-1].sum(axis=1), rewards, atol=1e-4)
        np.testing.assert_array_equal(seen[:, -1], infos["changes"])
        np.testing.assert_array_equal(seen[:, -1], (probe.levels != level).reshape(len(actions), -1).sum(axis=1))
        targets = {metric.name: tuple(np.clip(metric.target, *metric.bounds(shape))) for metric in task.metrics}
        weights = np.array([metric.weight for metric in task.metrics])
        for option in range(0, len(actions), max(len(actions) // 40, 1)):
            better = distances(task.metrics, before[option], targets) - distances(
                task.metrics, probe.measured[option], targets
            )
            np.testing.assert_allclose(seen[option, :-1], weights * better, atol=1e-4)


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_weights_targets_and_optional_metrics_count(representation):
    settings = {"weights": {"regions": -2.5}, "extra_metrics": ["longest-path"]}
    options = {
        "levels": np.random.default_rng(3).integers(0, 2, shape_of("binary")),
        "targets": {"regions": (4, 6), "longest-path": 3},
    }
    env = make("binary", representation, look_ahead=True, **settings)
    observations, _ = env.reset(seed=1, options=options)
    assert env.observation_space.contains(observations)
    actions = all_actions(env.single_action_space, len(env.shape))
    probe = make("binary", representation, len(actions), **settings)
    probe.reset(seed=[1] * len(actions), options=options)
    _, rewards, *_ = probe.step(actions)
    seen = shown(env, observations)[0]
    np.testing.assert_allclose(seen[:, :-1].sum(axis=1), rewards, atol=1e-4)
    assert seen[:, -1].any()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_it_stays_right_over_many_steps(representation, mode):
    """What was shown of the action taken is what it brought, and all that is shown is as if worked out anew."""
    env = make(
        "zelda",
        representation,
        4,
        look_ahead=True,
        autoreset_mode=mode,
        frozen_share=0.2,
        controls=["regions"],
        step_limit=9,
    )
    observations, infos = env.reset(seed=5)
    env.action_space.seed(5)
    every_lane = np.arange(env.num_envs)
    resting = np.zeros(env.num_envs, np.bool_)
    ends = 0
    for _ in range(40):
        seen, changes = shown(env, observations), infos["changes"]
        actions = env.action_space.sample()
        observations, rewards, terminations, truncations, infos = env.step(actions)
        done = terminations | truncations
        taken = seen[every_lane, places(env, actions)]
        np.testing.assert_allclose(rewards[~resting], taken[~resting, :-1].sum(axis=1), atol=1e-3)
        going_on = ~(resting | done) if mode == "SameStep" else ~resting
        np.testing.assert_array_equal((infos["changes"] - changes)[going_on], taken[going_on, -1])
        if done.any():
            ends += done.sum()
            if mode == "SameStep":
                for lane in done.nonzero()[0]:
                    assert infos["final_obs"][lane]["look_ahead"].shape == observations["look_ahead"][lane].shape
                changed = infos["final_info"]["changes"] - changes
                np.testing.assert_array_equal(changed[done], taken[done, -1])
            if mode == "Disabled":
                observations, again = env.reset(options={"reset_mask": done})
                infos = {**infos, "changes": np.where(done, again["changes"], infos["changes"])}
        resting = done if mode == "NextStep" else resting
        canvas, intervals = env._canvas, env._targets.intervals
        before = copy.deepcopy(canvas)
        fresh = env._look_ahead.improvements(
            canvas, every_lane, env._measures.metrics[NOW], intervals[LOW], intervals[HIGH]
        )
        np.testing.assert_array_equal(observations["look_ahead"], fresh)
        for part in ("levels", "frozen", "shapes", "cursors", "remaining", "free"):
            np.testing.assert_array_equal(getattr(canvas, part), getattr(before, part))
        assert env.single_observation_space["look_ahead"].contains(observations["look_ahead"][0])
    assert ends >= 8


@pytest.mark.parametrize("representation", ["wide", "turtle"])
def test_the_last_observation_of_an_episode_is_of_the_level_that_it_ended_with(representation):
    settings = {"look_ahead": True, "step_limit": 5, "change_share": None}
    same, disabled = (
        make("binary", representation, 3, autoreset_mode=mode, **settings) for mode in ("SameStep", "Disabled")
    )
    for env in (same, disabled):
        env.reset(seed=2)
    same.action_space.seed(0)
    for _ in range(5):
        actions = same.action_space.sample()
        infos, observations = same.step(actions)[4], disabled.step(actions)[0]
    for lane in range(3):
        np.testing.assert_array_equal(infos["final_obs"][lane]["look_ahead"], observations["look_ahead"][lane])


def test_looking_ahead_changes_nothing_else():
    settings = {"frozen_share": 0.2, "step_limit": 6, "autoreset_mode": "SameStep"}
    seeing, blind = (make("sokoban", "narrowcast", 3, look_ahead=ahead, **settings) for ahead in (True, False))
    results = [env.reset(seed=4) for env in (seeing, blind)]
    seeing.action_space.seed(1)
    for _ in range(20):
        for key, part in results[1][0].items():
            np.testing.assert_array_equal(results[0][0][key], part)
        np.testing.assert_array_equal(seeing.levels, blind.levels)
        np.testing.assert_array_equal(seeing.cursors, blind.cursors)
        actions = seeing.action_space.sample()
        results = [env.step(actions) for env in (seeing, blind)]
        np.testing.assert_array_equal(results[0][1], results[1][1])


@pytest.mark.parametrize("space", [spaces.Discrete(7), spaces.MultiDiscrete([3, 4]), spaces.MultiDiscrete([2, 5, 3])])
def test_all_actions_are_all_of_them_once(space):
    actions = all_actions(space)
    assert all(space.contains(action) for action in actions)
    assert len({tuple(np.atleast_1d(action)) for action in actions}) == len(actions)
    assert len(actions) == (space.n if isinstance(space, spaces.Discrete) else np.prod(space.nvec))


@pytest.mark.parametrize(
    ("representation", "options", "words"),
    [
        ("cellular", {}, [str(MOST_OPTIONS), "look_ahead"]),
        # Few actions, but of numbers that are chosen independently.
        ("cellular", {"shape": (2, 2)}, [str(MOST_NUMBERS), "look_ahead"]),
        ("narrowmulti", {}, [str(MOST_OPTIONS), "look_ahead"]),
        ("wide", {"shape": (64, 64)}, [str(MOST_OPTIONS), "8.19e+03"]),
        ("narrow", {"min_shape": (4, 4)}, ["min_shape", "look_ahead"]),
    ],
)
def test_what_cannot_be_looked_ahead_of(representation, options, words):
    with pytest.raises(UserError) as raised:
        DesignVectorEnv("binary", representation, look_ahead=True, **options)
    assert all(word in str(raised.value) for word in words), raised.value
