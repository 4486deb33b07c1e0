"""The batched environment against Gymnasium's SyncVectorEnv of the single one: equal in all that is returned."""

from __future__ import annotations

import functools

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import envs
from envs.checks import difference
from tests.shapes import FREE_FORMS, small

LANES = 3
MODES = [mode.value for mode in AutoresetMode]


def assert_equal_runs(env_id, mode, steps, least_ends, seed=11, **options):
    batch = gymnasium.make_vec(env_id, num_envs=LANES, autoreset_mode=mode, **options)
    single = functools.partial(gymnasium.make, env_id, disable_env_checker=True, **options)
    peers = SyncVectorEnv([single] * LANES, autoreset_mode=mode)
    assert batch.single_observation_space == peers.single_observation_space
    assert batch.observation_space == peers.observation_space
    assert batch.single_action_space == peers.single_action_space
    assert batch.action_space == peers.action_space
    assert batch.metadata["autoreset_mode"] == peers.metadata["autoreset_mode"]
    assert difference(batch.reset(seed=seed), peers.reset(seed=seed), "reset") is None
    batch.action_space.seed(seed)
    ends = 0
    for step in range(steps):
        actions = batch.action_space.sample()
        ours, theirs = batch.step(actions), peers.step(actions)
        assert difference(ours, theirs, f"step {step}") is None
        done = ours[2] | ours[3]
        ends += done.sum()
        if mode == "Disabled" and done.any():
            # SyncVectorEnv takes the mask out of the dictionary that it is given: each gets its own.
            ours, theirs = (env.reset(options={"reset_mask": done.copy()}) for env in (batch, peers))
            assert difference(ours, theirs, f"reset after step {step}") is None
    assert ends >= least_ends
    batch.close()
    peers.close()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("env_id", envs.environment_ids())
def test_small_levels(env_id, mode):
    assert_equal_runs(env_id, mode, 24, 3, shape=small(env_id, 5, 4), step_limit=7)


@pytest.mark.parametrize("env_id", envs.environment_ids())
def test_default_options(env_id):
    assert_equal_runs(env_id, "NextStep", 12, 0)


# Several options at once, which take random numbers of their own at the beginning of each episode.
MANY_OPTIONS = [
    {"shape": (6, 5), "min_shape": (3, 3), "frozen_share": 0.3, "step_limit": 6, "crop": (5, 3)},
    {"shape": (4, 4), "step_limit": 5, "reward_every": 3, "change_share": None, "crop": "level"},
    {"shape": (4, 5), "step_limit": 6, "reward_every": 0, "observe_frozen": True, "end_on_success": False},
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("options", MANY_OPTIONS, ids=["ragged", "level", "late-reward"])
@pytest.mark.parametrize("representation", FREE_FORMS)
def test_options_of_the_environment(representation, options, mode):
    if not envs.get_representation(representation).has_cursor:
        options = {key: value for key, value in options.items() if key != "crop"}
    controls = ["path-length", ("regions", 1, 2)]
    assert_equal_runs(f"tilewright/binary-{representation}-v0", mode, 16, 3, controls=controls, **options)


@pytest.mark.parametrize("mode", MODES)
def test_masked_resets_with_seeds_levels_and_targets(mode):
    env_id, shape = "tilewright/binary-turtle-v0", (5, 4)
    batch = gymnasium.make_vec(env_id, num_envs=LANES, autoreset_mode=mode, shape=shape)
    single = functools.partial(gymnasium.make, env_id, disable_env_checker=True, shape=shape)
    peers = SyncVectorEnv([single] * LANES, autoreset_mode=mode)
    level = np.random.default_rng(0).integers(0, 2, shape)
    options = {"levels": level, "frozen": level == 1, "targets": {"regions": 2}}
    for seed, mask in (
        (None, None),
        (5, None),
        ([3, None, 8], np.array([True, True, False])),
        (9, np.array([False, True, False])),
    ):
        # Streams are only comparable once they are seeded.
        start = seed if seed is not None else 1
        given = [options | ({} if mask is None else {"reset_mask": mask.copy()}) for _ in range(2)]
        assert difference(batch.reset(seed=start, options=given[0]), peers.reset(seed=start, options=given[1])) is None
        batch.action_space.seed(0)
        for _ in range(3):
            actions = batch.action_space.sample()
            assert difference(batch.step(actions), peers.step(actions)) is None
