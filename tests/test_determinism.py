"""The same seed gives the same run: twice in a process, in a fresh process, and from a state that is restored."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import envs
from envs.checks import difference


def options_of(env_id):
    # This file runs as a script too, where the folder of tests is no package.
    problem = envs.get_problem(env_id.removeprefix("tilewright/").split("-")[0])
    shape = (3, 6, 5)[-len(problem.default_shape) :]
    return {"shape": tuple(map(max, shape, problem.smallest_shape)), "step_limit": 12}


def run(env, seed, steps, options=None):
    """Everything that a reset and some random steps return."""
    env.action_space.seed(seed)
    results = [env.reset(seed=seed, options=options)]
    results.extend(env.step(env.action_space.sample()) for _ in range(steps))
    return results


def digest(env_id):
    """A hash of all the bytes that a run returns."""
    env = gymnasium.make_vec(env_id, num_envs=4, **options_of(env_id))
    found = hashlib.sha256()
    for result in run(env, 5, 30):
        for part in result:
            arrays = sorted(part.items()) if isinstance(part, dict) else [("", part)]
            for key, array in arrays:
                found.update(f"{key} {array.dtype} {array.shape}".encode() + array.tobytes())
    return found.hexdigest()


@pytest.mark.parametrize("env_id", envs.environment_ids())
def test_the_same_seed_twice_in_a_process(env_id):
    env = gymnasium.make_vec(env_id, num_envs=3, **options_of(env_id))
    first = run(env, 3, 25)
    other = gymnasium.make_vec(env_id, num_envs=3, **options_of(env_id))
    other.reset(seed=99)
    np.random.seed(1)  # noqa: NPY002 (the point is that the global generator does not matter)
    assert difference(first, run(other, 3, 25)) is None, "another environment"
    assert difference(first, run(env, 3, 25)) is None, "the same environment"
    assert difference(first, run(env, 4, 25)) is not None, "another seed gives another run"


def test_a_fresh_process():
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    done = subprocess.run(
        [sys.executable, str(Path(__file__))],
        env=environment,
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {env_id: digest(env_id) for env_id in envs.environment_ids()}


@pytest.mark.parametrize("env_id", envs.environment_ids())
def test_a_restored_state(env_id):
    env = gymnasium.make_vec(env_id, num_envs=3, **options_of(env_id))
    run(env, 3, 9)
    levels, measured = env.levels, env.measured
    env.step(env.action_space.sample())
    mid_run = run(env, 8, 15, {"levels": levels})
    fresh = gymnasium.make_vec(env_id, num_envs=3, **options_of(env_id))
    assert difference(mid_run, run(fresh, 8, 15, {"levels": levels})) is None
    env.reset(options={"levels": levels})
    assert difference(env.levels, levels) is None
    assert difference(env.measured, measured) is None


@pytest.mark.parametrize("env_id", envs.environment_ids())
def test_a_lane_does_not_depend_on_how_many_lanes_there_are(env_id):
    runs = {}
    actions = None
    for lanes in (7, 2, 1):
        env = gymnasium.make_vec(env_id, num_envs=lanes, **options_of(env_id))
        env.action_space.seed(0)
        if actions is None:
            actions = [env.action_space.sample() for _ in range(20)]
        states = [env.reset(seed=20)[0]]
        states.extend(env.step(action[:lanes])[0] for action in actions)
        runs[lanes] = [{key: part[0] for key, part in state.items()} for state in states]
    assert difference(runs[7], runs[2]) is None
    assert difference(runs[7], runs[1]) is None


def test_unseeded_environments_differ():
    levels = [gymnasium.make("tilewright/binary-narrow-v0").unwrapped for _ in range(2)]
    for env in levels:
        env.reset()
    assert (levels[0].level != levels[1].level).any()


def test_an_episode_goes_on_from_the_stream_and_does_not_repeat():
    env = gymnasium.make("tilewright/binary-narrow-v0").unwrapped
    env.reset(seed=1)
    first = env.level
    env.reset()
    assert (env.level != first).any()


if __name__ == "__main__":
    print(json.dumps({env_id: digest(env_id) for env_id in envs.environment_ids()}))
