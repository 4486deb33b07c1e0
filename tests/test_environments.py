"""The environments: the shipped checks and the frameworks' own over all of them, and every option."""

from __future__ import annotations

import copy
import importlib.util
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as check_by_gymnasium

import envs
from envs.checks import CheckError, check_vector_env, difference
from envs.vector_env import DesignVectorEnv
from tests.shapes import FREE_FORMS, small

BINARY = envs.get_problem("binary")
WINDOWS = all(importlib.util.find_spec(name) for name in ("envs.window", "pygame"))


def make(env_id, **options):
    return gymnasium.make(f"tilewright/{env_id}-v0", disable_env_checker=True, **options).unwrapped


def make_vec(env_id, lanes=4, mode="Disabled", **options):
    return gymnasium.make_vec(f"tilewright/{env_id}-v0", num_envs=lanes, autoreset_mode=mode, **options)


@pytest.mark.parametrize("env_id", envs.environment_ids())
def test_the_contract(env_id):
    def make_small(lanes, mode):
        return gymnasium.make_vec(env_id, num_envs=lanes, autoreset_mode=mode, shape=small(env_id, 6, 5), step_limit=8)

    check_vector_env(make_small, steps=20)


RICH_OPTIONS = [
    {"min_shape": (3, 3), "frozen_share": 0.3, "controls": ["regions"], "crop": (3, 5)},
    {"reward_every": 3, "extra_metrics": ["longest-path"], "crop": "level"},
    {"reward_every": 0, "change_share": None, "end_on_success": False},
]


@pytest.mark.parametrize("options", RICH_OPTIONS, ids=["ragged", "extra", "late-reward"])
def test_the_contract_with_options(options):
    def make_rich(lanes, mode):
        return make_vec("binary-turtle", lanes, mode, shape=(6, 5), step_limit=8, **options)

    # Bounds and targets differ from lane to lane in the first: the default loss is not theirs.
    check_vector_env(make_rich, steps=20, telescopes="controls" not in options)


def test_the_contract_with_options_on_three_axes():
    options = {"min_shape": (2, 3, 2), "frozen_share": 0.3, "controls": ["regions"], "crop": (3, 3, 5)}

    def make_rich(lanes, mode):
        return make_vec("voxel-turtle", lanes, mode, shape=(4, 3, 3), step_limit=8, **options)

    check_vector_env(make_rich, steps=20, telescopes=False)


def test_the_contract_with_a_loss_of_ones_own():
    def make_one(lanes, mode):
        return make_vec(
            "binary-narrow", lanes, mode, shape=(6, 5), step_limit=8, weights={"path-length": 0}, targets={"regions": 3}
        )

    check_vector_env(make_one, steps=20, loss=lambda infos: 5.0 * np.abs(infos["regions"] - 3))


def faulty(kind, **options):
    def made(lanes, mode):
        env = kind("binary", "narrow", lanes, autoreset_mode=mode, shape=(4, 4), step_limit=6)
        env.reset()
        return env

    return made


class _Stingy(DesignVectorEnv):
    def step(self, actions):
        observations, rewards, *rest = super().step(actions)
        return observations, rewards - 1, *rest


class _Sharing(DesignVectorEnv):
    def step(self, actions):
        observations, *rest = super().step(actions)
        self._shared = getattr(self, "_shared", observations)
        for key, part in observations.items():
            self._shared[key][...] = part
        return self._shared, *rest


class _Grasping(DesignVectorEnv):
    def reset(self, *, seed=None, options=None):
        result = super().reset(seed=seed, options=options)
        if options:
            options.pop("reset_mask", None)
        return result


class _Overreaching(DesignVectorEnv):
    def reset(self, *, seed=None, options=None):
        options = {key: value for key, value in (options or {}).items() if key != "reset_mask"}
        return super().reset(seed=seed, options=options)


class _Wide(DesignVectorEnv):
    def step(self, actions):
        observations, *rest = super().step(actions)
        return {**observations, "metrics": observations["metrics"] + 1}, *rest


class _Silent(DesignVectorEnv):
    def step(self, actions):
        *rest, infos = super().step(actions)
        return *rest, {key: value for key, value in infos.items() if key != "success"}


class _Entangled(DesignVectorEnv):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=None if seed is None else seed + self.num_envs, options=options)


class _Unseeded(DesignVectorEnv):
    def reset(self, *, seed=None, options=None):
        return super().reset(options=options)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (_Stingy, "sum to"),
        (_Sharing, "changed in later steps"),
        (_Grasping, "caller's options"),
        (_Overreaching, "disturb|expected|mask"),
        (_Wide, "outside its space"),
        (_Silent, "'success'"),
        (_Entangled, "a single lane of seed"),
        (_Unseeded, "two runs"),
    ],
)
def test_the_contract_catches(kind, words):
    with pytest.raises(CheckError, match=words):
        check_vector_env(faulty(kind), steps=14)


@pytest.mark.parametrize("env_id", envs.environment_ids())
def test_gymnasiums_own_check(env_id):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(env_id, render_mode="rgb_array").unwrapped
        check_by_gymnasium(env, skip_render_check=not WINDOWS)
        assert env.render().dtype == np.uint8


@pytest.mark.parametrize("env_id", envs.environment_ids())
def test_stable_baselines_own_check(env_id):
    sb3 = pytest.importorskip("stable_baselines3.common.env_checker", reason="the train extra is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sb3.check_env(gymnasium.make(env_id).unwrapped, warn=True, skip_render_check=not WINDOWS)


# Limits of an episode.


@pytest.mark.parametrize(
    ("problem", "changes", "steps"), [("binary", 39, 7644), ("zelda", 15, 1155), ("sokoban", 5, 125)]
)
def test_published_limits(problem, changes, steps):
    env = make(f"{problem}-wide", end_on_success=False)
    env.reset(seed=0)
    width = env.problem.default_shape[1]
    terminated, made = False, 0
    while not terminated:
        place = made % width, made // width
        _, _, terminated, truncated, info = env.step([*place, 1 - min(env.level[place[1], place[0]], 1)])
        made += 1
        assert info["changes"] == made
        assert not truncated
    assert made == changes
    idle = make(f"{problem}-narrow", end_on_success=False)
    idle.reset(seed=0)
    for step in range(1, steps + 1):
        observation, _, terminated, truncated, info = idle.step(0)
        assert not terminated
        assert truncated == (step == steps) == (info["steps"] == steps)
    assert observation["budget"].tolist() == [1.0]


def test_the_budget_is_a_share_of_the_tiles_and_at_least_one():
    for share, shape, changes in ((0.5, (4, 4), 8), (0.01, (4, 4), 1), (1, (2, 3), 6)):
        env = make("binary-wide", shape=shape, change_share=share, end_on_success=False)
        env.reset(seed=0)
        for made in range(changes):
            row, column = divmod(made, shape[1])
            observation, _, terminated, _, _ = env.step([column, row, 1 - env.level[row, column]])
            assert terminated == (made + 1 == changes)
            assert observation["budget"] == pytest.approx(1 - (made + 1) / changes)


def test_no_budget_and_a_limit_of_ones_own():
    env = make("binary-wide", shape=(3, 3), change_share=None, end_on_success=False)
    env.reset(seed=0)
    ends = [env.step([0, 0, step % 2])[2:4] for step in range(81)]
    assert ends == [(False, False)] * 80 + [(False, True)]
    env = make("binary-narrow", step_limit=3)
    env.reset(seed=0, options={"levels": np.ones((14, 14), np.uint8)})
    assert [env.step(0)[3] for _ in range(3)] == [False, False, True]


def test_success_ends_an_episode_unless_it_should_not():
    snake = np.ones((14, 14), np.uint8)
    snake[::2], snake[1:13:4, -1], snake[3:13:4, 0] = 0, 0, 0
    snake[7, 0] = 1
    for end in (True, False):
        env = make("binary-wide", end_on_success=end)
        _, before = env.reset(options={"levels": snake})
        assert before["success"] is before["strict_success"] is False
        _, reward, terminated, _, info = env.step([0, 7, 0])
        assert info["success"] is info["strict_success"] is True
        assert reward == 5 + info["path-length"] - before["path-length"]
        assert terminated is end


# What is seen.


@pytest.mark.parametrize("env_id", ["binary-narrow", "zelda-narrow", "zelda-narrowcast", "binary-turtle"])
def test_the_observation_is_centred_on_the_cell_that_the_next_action_changes(env_id):
    env = make_vec(env_id, 8, shape=(6, 7), change_share=None, end_on_success=False)
    observation, _ = env.reset(seed=0)
    tiles = len(env.problem.tiles)
    middle = observation["map"].shape[1] // 2
    checked = 0
    for step in range(30):
        levels, cursors = env.levels, env.cursors
        here = levels[np.arange(8), cursors[:, 0], cursors[:, 1]].astype(np.int64)
        assert (observation["map"][:, middle] == here).all()
        assert (observation["cursor"] == cursors).all()
        tile = (here + 1) % tiles
        if "turtle" in env_id:
            actions = tile + 4 if step % 2 else np.full(8, step // 2 % 4)
        else:
            actions = tile + 1 if env_id.endswith("narrow") else np.stack([np.ones_like(tile), tile], axis=1)
        observation, _, terminations, truncations, _ = env.step(actions)
        assert not (terminations | truncations).any()
        for lane, place in enumerate(cursors):
            different = np.argwhere(levels[lane] != env.levels[lane]).tolist()
            assert different in ([], [place.tolist()])
            checked += len(different)
    assert checked >= 100


def test_the_parts_of_an_observation():
    env = make_vec("zelda-turtle", 3, shape=(5, 6), crop=(3, 4), observe_frozen=True, controls=["enemies"])
    observation, infos = env.reset(seed=2)
    assert {key: (part.shape, str(part.dtype)) for key, part in observation.items()} == {
        "map": ((3, 12), "uint8"),
        "cursor": ((3, 2), "int64"),
        "frozen": ((3, 12), "int8"),
        "metrics": ((3, 7), "float32"),
        "start_metrics": ((3, 7), "float32"),
        "budget": ((3, 1), "float32"),
        "targets": ((3, 2), "float32"),
    }
    assert difference(observation["metrics"], observation["start_metrics"]) is None
    low, high = np.array([metric.bounds((5, 6)) for metric in env.metrics]).T
    values = np.stack([infos[name] for name in env.metric_names], axis=1)
    assert observation["metrics"] == pytest.approx((values - low) / (high - low))
    assert observation["map"].max() <= 8


def test_representations_without_a_cursor_and_a_crop_of_the_level_show_the_level():
    for env_id, options in (("zelda-wide", {}), ("zelda-cellular", {}), ("zelda-turtle", {"crop": "level"})):
        env = make_vec(env_id, 3, shape=(4, 5), **options)
        observation, _ = env.reset(seed=0)
        assert ("cursor" in observation) == ("turtle" in env_id)
        assert (observation["map"] == env.levels.reshape(3, -1)).all()


def test_rendering():
    env = make("zelda-turtle", render_mode="rgb_array", tile_size=8)
    env.reset(seed=0)
    picture = env.render()
    assert picture.dtype == np.uint8
    assert picture.shape in {(7 * 8, 11 * 8, 3), (9 * 8, 13 * 8, 3)}
    batch = make_vec("binary-wide", 2, render_mode="rgb_array", shape=(6, 5), min_shape=(3, 3))
    batch.reset(seed=1)
    pictures = batch.render()
    assert len(pictures) == 2
    border = (pictures[0].shape[0] - 16 * batch.level_shapes[0, 0]) // 16
    for picture, shape in zip(pictures, batch.level_shapes, strict=True):
        assert picture.shape == (*(16 * (shape + border)).tolist(), 3)


# Shapes, frozen tiles and start levels.


def test_ragged_lanes():
    env = make_vec("zelda-turtle", 64, shape=(6, 9), min_shape=(3, 4))
    observation, infos = env.reset(seed=3)
    shapes = env.level_shapes
    assert {tuple(shape) for shape in shapes.tolist()} <= {(h, w) for h in range(3, 7) for w in range(4, 10)}
    assert set(shapes[:, 0].tolist()) == {3, 4, 5, 6}
    assert set(shapes[:, 1].tolist()) == {4, 5, 6, 7, 8, 9}
    env.action_space.seed(0)
    for _ in range(30):
        for lane, (height, width) in enumerate(shapes):
            level = env.levels[lane]
            outside = np.ones((6, 9), np.bool_)
            outside[:height, :width] = False
            assert (level[outside] == 8).all()
            assert (level[~outside] < 8).all()
            measured = envs.measure("zelda", level[:height, :width])
            assert {name: values[0] for name, values in measured.items()} == {
                name: infos[name][lane] for name in measured
            }
            assert (env.cursors[lane] < (height, width)).all()
        observation, _, terminations, truncations, infos = env.step(env.action_space.sample())
        if (terminations | truncations).any():
            done = terminations | truncations
            env.reset(options={"reset_mask": done})
            shapes = env.level_shapes
            infos = {name: env.measured[:, i] for i, name in enumerate(env.metric_names)}
    assert env.observation_space.contains(observation)


def test_ragged_budgets_follow_each_lanes_own_size():
    env = make_vec("binary-cellular", 40, shape=(6, 6), min_shape=(2, 2), end_on_success=False)
    env.reset(seed=0)
    sizes = env.level_shapes.prod(axis=1)
    _, _, terminations, _, infos = env.step(1 - np.minimum(env.levels, 1).reshape(40, -1).astype(np.int64))
    assert terminations.all()
    assert infos["changes"].tolist() == np.maximum((0.2 * sizes).astype(int), 1).tolist()


@pytest.mark.parametrize("name", FREE_FORMS)
def test_frozen_tiles_never_change(name):
    given = np.random.default_rng(0).random((4, 5, 6)) < 0.5
    for options, reset in (({"frozen_share": 0.5}, {}), ({"observe_frozen": True}, {"frozen": given})):
        env = make_vec(f"zelda-{name}", 4, shape=(5, 6), change_share=None, end_on_success=False, **options)
        observation, _ = env.reset(seed=0, options=reset)
        frozen, levels = env.frozen, env.levels
        assert 0.2 < frozen.mean() < 0.8
        if reset:
            assert (frozen == given).all()
        env.action_space.seed(0)
        for _ in range(40):
            observation, _, terminations, _, _ = env.step(env.action_space.sample())
            if terminations.any():
                break
        assert (env.levels == levels)[frozen].all()
        assert (env.frozen == frozen).all()
        if not env.representation.has_cursor:
            assert (observation["frozen"] == frozen.reshape(4, -1)).all()
        env.reset(seed=1)
        assert env.frozen.any() == ("frozen_share" in options), "frozen tiles are the episode's own"


@pytest.mark.parametrize("name", ["narrow", "narrowcast", "narrowmulti", "turtle", "turtlecast"])
def test_no_episode_starts_on_a_frozen_tile_while_another_is_free(name):
    env = make_vec(f"binary-{name}", 200, shape=(3, 4))
    frozen = np.ones((200, 3, 4), np.bool_)
    frozen.reshape(200, -1)[np.arange(200), np.arange(200) % 12] = False
    env.reset(seed=0, options={"frozen": frozen})
    assert not env.frozen[np.arange(200), env.cursors[:, 0], env.cursors[:, 1]].any()
    env.reset(seed=0, options={"frozen": np.ones((3, 4), np.bool_)})
    assert (env.step(env.action_space.sample())[-1]["changes"] == 0).all()


def test_start_levels():
    own = np.random.default_rng(0).integers(0, 8, (3, 7, 11))
    env = make_vec("zelda-wide", 50, start_levels=own)
    env.reset(seed=0)
    begun = [int(np.flatnonzero((own == level).all(axis=(1, 2)))[0]) for level in env.levels]
    assert set(begun) == {0, 1, 2}
    given = np.random.default_rng(1).integers(0, 8, (50, 7, 11))
    env.reset(options={"levels": given})
    assert (env.levels == given).all()
    env.reset(options={"levels": given[7]})
    assert (env.levels == given[7]).all()
    own[:] = 0
    env.reset(seed=0)
    assert env.levels.any(), "the environment keeps a copy of its start levels"


# Rewards, weights, targets and controls.


def total_return(**options):
    env = make("zelda-turtle", shape=(5, 5), step_limit=23, change_share=None, end_on_success=False, **options)
    env.reset(seed=4)
    env.action_space.seed(4)
    rewards = []
    done = False
    while not done:
        _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        rewards.append(reward)
        done = terminated or truncated
    return rewards


def test_reward_every():
    each, late, fifth = (total_return(reward_every=every) for every in (1, 0, 5))
    assert len(each) == 23
    assert np.count_nonzero(each) > 3
    assert sum(each) != 0
    assert late == [0] * 22 + [pytest.approx(sum(each))]
    expected = [sum(each[max(0, i - 4) : i + 1]) if i % 5 == 4 else 0 for i in range(22)] + [sum(each[20:])]
    assert fifth == pytest.approx(expected)


@pytest.mark.parametrize(
    ("options", "reward"),
    [
        ({}, 5 + 3),
        ({"weights": {"regions": 0, "path-length": 0}}, 0),
        ({"weights": {"regions": 2}}, 2 + 3),
        ({"targets": {"regions": 4}}, -5 + 3),
        ({"targets": {"regions": (2, 6)}}, 3),
        ({"targets": {"path-length": 1}, "weights": {"path-length": 3}}, 5 - 9),
    ],
)
def test_weights_and_targets(options, reward):
    """Four regions become three, and the longest path grows from one step to four."""
    env = make("binary-wide", shape=(3, 5), **options)
    env.reset(options={"levels": BINARY.parse(["..#..", "#####", "..#.."])})
    assert env.step([0, 1, 0])[1] == reward


def test_controls_are_drawn_per_lane_and_shown():
    env = make_vec("binary-wide", 300, controls=["path-length", ("regions", 2, 4)], shape=(6, 6))
    observation, _ = env.reset(seed=0)
    bounds = [BINARY.metrics[i].bounds((6, 6)) for i in (1, 0)]
    drawn = observation["targets"] * np.array([high - low for low, high in bounds] * 2) + [low for low, _ in bounds] * 2
    assert drawn[:, :2] == pytest.approx(drawn[:, 2:])
    assert drawn == pytest.approx(drawn.round(), abs=1e-4)
    assert set(drawn[:, 1].round().tolist()) == {2, 3, 4}
    paths = drawn[:, 0].round()
    assert paths.min() >= bounds[0][0]
    assert paths.max() <= bounds[0][1]
    assert len(set(paths.tolist())) > 15
    again, _ = env.reset()
    assert (again["targets"] != observation["targets"]).any(), "each episode draws anew"


def test_given_targets_decide_rewards_and_the_end():
    env = make_vec("binary-wide", 3, controls=["regions", "path-length"], shape=(3, 5), change_share=None)
    levels = np.ones((3, 3, 5), np.uint8)
    targets = {"regions": np.array([1, 2, 3]), "path-length": (0, 1)}
    observation, infos = env.reset(options={"levels": levels, "targets": targets})
    longest = BINARY.metrics[1].bounds((3, 5))[1]
    assert observation["targets"] == pytest.approx(np.array([[n / 8, 0, n / 8, 1 / longest] for n in (1, 2, 3)]))
    assert not infos["strict_success"].any()
    rewards, ends = [], []
    for column in (0, 2, 4):
        _, reward, terminations, _, infos = env.step(np.tile([column, 0, 0], (3, 1)))
        rewards.append(reward.tolist())
        ends.append(terminations.tolist())
        if terminations.any():
            env.reset(options={"reset_mask": terminations, "levels": levels, "targets": {"regions": 8}})
    assert ends == [[True, False, False], [False, True, False], [False, False, True]]
    assert rewards[0] == [5, 5, 5]


def test_targets_per_lane_as_intervals():
    env = make_vec("binary-wide", 2, shape=(3, 5))
    env.reset(options={"levels": np.ones((3, 5), np.int64), "targets": {"regions": np.array([[0, 0], [2, 3]])}})
    _, rewards, _, _, _ = env.step(np.array([[0, 0, 0], [0, 0, 0]]))
    assert rewards.tolist() == [-5, 5]


def test_extra_metrics():
    env = make_vec("binary-wide", 5, extra_metrics=["longest-path"], shape=(6, 6))
    observation, infos = env.reset(seed=0)
    assert observation["metrics"].shape == (5, 3)
    expected = envs.measure("binary", env.levels, ["longest-path"])["longest-path"]
    assert difference(infos["longest-path"], expected) is None
    plain = make_vec("binary-wide", 5, shape=(6, 6))
    assert "longest-path" not in plain.reset(seed=0)[1]
    weighed = make_vec("binary-wide", 5, extra_metrics=["longest-path"], weights={"path-length": 0}, shape=(6, 6))
    weighed.reset(options={"levels": np.ones((6, 6), np.uint8)})
    weighed.step(np.tile([0, 0, 0], (5, 1)))
    assert weighed.step(np.tile([1, 0, 0], (5, 1)))[1].tolist() == [1] * 5


# Options and callers' arrays.


def test_options_never_leak_to_another_environment():
    def run(env):
        env.action_space.seed(0)
        return [env.reset(seed=0), *(env.step(env.action_space.sample()) for _ in range(30))]

    plain = make_vec("zelda-narrow", 3, "NextStep")
    before = run(plain)
    problems = copy.deepcopy({name: (p.metrics, p.tiles) for name, p in envs.all_problems().items() if p.rules is None})
    other = make_vec(
        "zelda-narrow", 3, "SameStep", shape=(4, 4), min_shape=(3, 3), order="sequential", weights={"player": 50},
        targets={"enemies": 0}, controls=["key"], reward_every=0, frozen_share=0.5, crop=(3, 3), step_limit=2,
        end_on_success=False, change_share=None,
    )  # fmt: skip
    run(other)
    assert difference(run(make_vec("zelda-narrow", 3, "NextStep")), before) is None
    assert difference(run(plain), before) is None
    assert envs.get_representation("narrow").order == "random"
    assert DesignVectorEnv.metadata == {"render_modes": ["rgb_array", "human"], "render_fps": 10}
    assert problems == {name: (p.metrics, p.tiles) for name, p in envs.all_problems().items() if p.rules is None}


def test_what_callers_look_at_is_their_own():
    env = make_vec("binary-narrow", 2)
    env.reset(seed=0)
    for name in ("levels", "frozen", "cursors", "level_shapes", "measured"):
        getattr(env, name)[:] = 1
    twin = make_vec("binary-narrow", 2)
    twin.reset(seed=0)
    for name in ("levels", "frozen", "cursors", "level_shapes", "measured"):
        assert difference(getattr(env, name), getattr(twin, name)) is None, name


def test_a_refused_reset_loses_nothing():
    env = make_vec("binary-narrow", 2)
    env.reset(seed=0)
    env.step(np.array([1, 2]))
    state = (env.levels, env.cursors, env.measured)
    for options in ({"levels": np.full((14, 14), 5)}, {"targets": {"beauty": 1}}, {"frozen": np.zeros((2, 2), bool)}):
        with pytest.raises(envs.UserError):
            env.reset(seed=1, options={**options, "reset_mask": np.array([True, False])})
    assert difference(state, (env.levels, env.cursors, env.measured)) is None


def test_environments_are_made_by_objects_and_by_names():
    for options in ({"problem": BINARY, "representation": "wide"}, {"problem": "binary", "representation": "wide"}):
        env = DesignVectorEnv(**options, num_envs=2)
        assert env.reset(seed=0)[0]["map"].shape == (2, 196)


@pytest.mark.parametrize("mode", ["NextStep", "next_step", "NEXT_STEP", gymnasium.vector.AutoresetMode.NEXT_STEP])
def test_autoreset_modes_by_any_spelling(mode):
    env = DesignVectorEnv("binary", "wide", autoreset_mode=mode)
    assert env.metadata["autoreset_mode"] is gymnasium.vector.AutoresetMode.NEXT_STEP
