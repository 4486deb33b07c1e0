"""Does a batched environment keep the contract of `envs.vector_env.DesignVectorEnv`?"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from envs.checks.compare import CheckError, difference, require
from envs.suite import interval_distances
from envs.vector_env import DesignVectorEnv

#: Makes the environment under check with a number of lanes and an autoreset mode ("NextStep").
Make = Callable[[int, str], DesignVectorEnv]

#: From infos, which hold each metric by its name as float32 (n,), each lane's loss, float64 (n,).
Loss = Callable[[Mapping[str, Any]], NDArray[np.float64]]

_LANES = 3


@dataclass
class _Step:
    """What one reset (rewards are None) or step returned, and a copy made at once."""

    returned: tuple[Any, ...]
    kept: tuple[Any, ...]


def check_vector_env(
    make: Make, *, seed: int = 0, steps: int = 300, loss: Loss | None = None, telescopes: bool = True
) -> None:
    """Checks that a batched environment keeps its promises, in every autoreset mode.

    It holds that the spaces contain what is returned, with their dtypes; that returned arrays survive later steps;
    that infos carry every metric with a mask; that lane i of seed s goes through what a single lane of seed s + i
    does, and twice the same; that rewards sum to the improvement of the loss in every episode; that a masked reset
    leaves the other lanes alone; and that the caller's options and actions are not changed.

    Args:
        make: makes the environment from a number of lanes and the name of an autoreset mode, always with the same
            options.
        seed: of the environment and the actions.
        steps: how many steps to take in each run; they should contain the end of an episode.
        loss: the loss that rewards telescope to; None takes the weights, targets and bounds that the problem gives
            for levels of the environment's full shape.
        telescopes: whether to hold the sum of rewards against the loss at all; False for environments whose targets
            or level shapes differ from episode to episode.

    Raises:
        CheckError: something does not hold.
    """
    for mode in AutoresetMode:
        run = _run(make, _LANES, mode, seed, steps)
        again = _run(make, _LANES, mode, seed, steps, look=False)
        for number, (one, other) in enumerate(zip(run, again, strict=True)):
            found = difference(one.kept, other.kept, f"step {number}")
            require(found is None, f"{mode.value}: two runs from seed {seed} with the same actions differ: {found}.")
            found = difference(one.returned, one.kept, f"step {number}")
            require(found is None, f"{mode.value}: what was returned changed in later steps: {found}.")
        for lane in range(_LANES):
            _check_lane(make, mode, seed, lane, run)
        if telescopes:
            _check_telescoping(make, mode, run, loss)
    _check_options(make, seed)


def _actions(env: DesignVectorEnv, lane_seeds: Sequence[int], number: int) -> NDArray[Any]:
    """Returns one random action a lane, which depends on the lane's seed and the step's number alone."""
    space: Any = env.single_action_space
    if isinstance(space, spaces.Box):
        points = [np.random.default_rng((seed, number)).uniform(space.low, space.high) for seed in lane_seeds]
        return np.stack(points).astype(np.float32)
    sizes = np.int64(space.n) if isinstance(space, spaces.Discrete) else space.nvec.astype(np.int64)
    return np.stack([np.random.default_rng((seed, number)).integers(0, sizes) for seed in lane_seeds])


def _run(make: Make, lanes: int, mode: AutoresetMode, seed: int, steps: int, look: bool = True) -> list[_Step]:
    """Resets and steps an environment, and looks at each return by itself."""
    env = make(lanes, mode.value)
    name = f"{mode.value}, {lanes} lanes"
    require(env.num_envs == lanes, f"{name}: the environment says that it has {env.num_envs} lanes.")
    require(
        env.metadata.get("autoreset_mode") is mode,
        f"{name}: metadata['autoreset_mode'] is {env.metadata.get('autoreset_mode')!r}.",
    )
    lane_seeds = range(seed, seed + lanes)
    observations, infos = env.reset(seed=seed)
    results = [_kept((observations, None, None, None, infos))]
    if look:
        _check_return(env, results[0], f"{name}, reset")
    for number in range(steps):
        actions = _actions(env, lane_seeds, number)
        given = actions.copy()
        results.append(_kept(env.step(actions)))
        found = difference(actions, given, "the actions")
        require(found is None, f"{name}, step {number + 1}: {found}.")
        if look:
            _check_return(env, results[-1], f"{name}, step {number + 1}")
        _, _, terminations, truncations, _ = results[-1].returned
        done = terminations | truncations
        if mode is AutoresetMode.DISABLED and done.any():
            observations, infos = env.reset(options={"reset_mask": done})
            results.append(_kept((observations, None, None, None, infos)))
            if look:
                _check_return(env, results[-1], f"{name}, reset after step {number + 1}", done)
    env.close()
    return results


def _kept(returned: tuple[Any, ...]) -> _Step:
    return _Step(returned, copy.deepcopy(returned))


def _check_return(env: DesignVectorEnv, step: _Step, name: str, reset: NDArray[np.bool_] | None = None) -> None:
    observations, rewards, terminations, truncations, infos = step.returned
    _check_observation(env.observation_space, observations, f"{name}: the observations")
    for lane in range(env.num_envs):
        single = {key: part[lane] for key, part in observations.items()}
        _check_observation(env.single_observation_space, single, f"{name}: lane {lane}'s observation")
    if rewards is not None:
        for what, array, dtype in (
            ("rewards", rewards, np.float64),
            ("terminations", terminations, np.bool_),
            ("truncations", truncations, np.bool_),
        ):
            if not (isinstance(array, np.ndarray) and array.dtype == dtype and array.shape == (env.num_envs,)):
                raise CheckError(f"{name}: {what} must be {np.dtype(dtype)} ({env.num_envs},); got {array!r}.")
        require(np.isfinite(rewards).all(), lambda: f"{name}: not every reward is finite: {rewards}.")
    expected = np.ones(env.num_envs, np.bool_) if reset is None else reset
    done = np.zeros(env.num_envs, np.bool_) if rewards is None else terminations | truncations
    final = done.any() and env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    require(("final_obs" in infos) == final, f"{name}: final_obs is {'missing' if final else 'there'}.")
    _check_infos(env, {key: value for key, value in infos.items() if "final_" not in key}, expected, name)
    if final:
        for key in ("_final_obs", "_final_info"):
            found = difference(infos[key], done, f"infos[{key!r}]")
            require(found is None, f"{name}: {found}.")
        _check_infos(env, infos["final_info"], done, f"{name}, final_info")
        for lane, last in enumerate(infos["final_obs"]):
            if (last is not None) != done[lane]:
                raise CheckError(f"{name}: lane {lane}'s final_obs is {last!r}.")
            if last is not None:
                _check_observation(env.single_observation_space, last, f"{name}: lane {lane}'s final_obs")


def _check_observation(space: spaces.Space, observation: Mapping[str, NDArray], name: str) -> None:
    if isinstance(space, spaces.Dict):
        require(
            set(space) == set(observation), f"{name} has the parts {sorted(observation)}, the space {sorted(space)}."
        )
        for key, part in observation.items():
            if not (isinstance(part, np.ndarray) and part.dtype == space[key].dtype):
                raise CheckError(f"{name}: {key!r} must be an array of {space[key].dtype}; got {part!r}.")
            if not space[key].contains(part):
                raise CheckError(f"{name}: {key!r} is outside its space {space[key]}: {part.tolist()}.")
    require(space.contains(observation), lambda: f"{name} is outside its space {space}.")


def _check_infos(env: DesignVectorEnv, infos: Mapping[str, Any], expected: NDArray[np.bool_], name: str) -> None:
    kinds: dict[str, Any] = dict.fromkeys(env.metric_names, np.float32)
    kinds |= {"success": np.bool_, "strict_success": np.bool_, "changes": np.int64, "steps": np.int64}
    keys = {*kinds, *("_" + key for key in kinds)}
    require(set(infos) == keys, f"{name}: the infos have the keys {sorted(infos)}; expected {sorted(keys)}.")
    for key, dtype in kinds.items():
        if found := difference(infos["_" + key], expected, "the mask"):
            raise CheckError(f"{name}, infos['_{key}']: {found}.")
        values = infos[key]
        if values.dtype != dtype or values.shape != expected.shape:
            raise CheckError(
                f"{name}: infos[{key!r}] must be {np.dtype(dtype)} {expected.shape}; "
                f"it is {values.dtype} {values.shape}."
            )


def _lane(value: Any, lane: int) -> Any:
    """Returns one lane of what a batched environment returned, as a batch of one."""
    if isinstance(value, Mapping):
        return {key: _lane(part, lane) for key, part in value.items()}
    if isinstance(value, tuple):
        return tuple(_lane(part, lane) for part in value)
    return None if value is None else value[lane : lane + 1]


def _check_lane(make: Make, mode: AutoresetMode, seed: int, lane: int, run: Sequence[_Step]) -> None:
    """Checks that a lane alone goes through the same as among others."""
    steps = sum(step.kept[1] is not None for step in run)
    alone = iter(_run(make, 1, mode, seed + lane, steps, look=False))
    for number, step in enumerate(run):
        result = _lane(step.kept, lane)
        infos = result[-1]
        if step.kept[1] is None and not infos["_steps"][0]:
            continue  # another lane was reset
        if "_final_obs" in infos and not infos["_final_obs"][0]:
            # Where only other lanes ended, a batch says nothing final about this one.
            infos = {key: value for key, value in infos.items() if "final_" not in key}
        found = difference((*result[:-1], infos), next(alone).kept, f"result {number}")
        require(
            found is None,
            f"{mode.value}: lane {lane} of seed {seed} and a single lane of seed {seed + lane} differ: {found}.",
        )


def _check_telescoping(make: Make, mode: AutoresetMode, run: Sequence[_Step], loss: Loss | None) -> None:
    env = make(_LANES, mode.value)
    lose = loss or _published_loss(env)
    sums = np.zeros(_LANES)
    first = lose(run[0].kept[-1])
    fresh = np.zeros(_LANES, np.bool_)
    ended = 0
    for number, step in enumerate(run[1:], 1):
        _, rewards, terminations, truncations, infos = step.kept
        if rewards is None:
            first = np.where(infos["_steps"], lose(infos), first)
            continue
        if fresh.any():
            require(not rewards[fresh].any(), f"{mode.value}, result {number}: a lane that begins anew is rewarded.")
            first = np.where(fresh, lose(infos), first)
        sums += rewards
        done = terminations | truncations
        same_step = mode is AutoresetMode.SAME_STEP and done.any()
        last = lose(infos["final_info"] if same_step else infos)
        for lane in np.flatnonzero(done):
            require(
                np.isclose(sums[lane], first[lane] - last[lane], atol=1e-3),
                f"{mode.value}, result {number}: the rewards of lane {lane}'s episode sum to {sums[lane]}, "
                f"but its loss fell from {first[lane]} to {last[lane]}.",
            )
        ended += int(done.sum())
        sums[done] = 0
        if same_step:
            first = np.where(done, lose(infos), first)
        fresh = done if mode is AutoresetMode.NEXT_STEP else np.zeros(_LANES, np.bool_)
    require(ended, f"{mode.value}: no episode ended in {len(run) - 1} steps; give more steps or a lower step_limit.")


def _published_loss(env: DesignVectorEnv) -> Loss:
    bounds = np.array([metric.bounds(env.shape) for metric in env.metrics], np.float64)
    targets = np.array([metric.target for metric in env.metrics], np.float64)
    weights = np.array([metric.weight for metric in env.metrics], np.float64)
    low, high = np.clip(targets, bounds[:, :1], bounds[:, 1:]).T

    def lose(infos: Mapping[str, Any]) -> NDArray[np.float64]:
        values = np.stack([infos[metric.name] for metric in env.metrics], axis=1)
        return interval_distances(values, low, high) @ weights

    return lose


def _check_options(make: Make, seed: int) -> None:
    """Checks masked resets, given levels, and that nothing of the caller's is changed."""
    env = make(_LANES, AutoresetMode.DISABLED.value)
    env.reset(seed=seed)
    seeds = range(seed, seed + _LANES)
    terminations, truncations = env.step(_actions(env, seeds, 0))[2:4]
    levels = env.problem.start_levels(
        np.random.default_rng(seed).random((_LANES, 1 + int(np.prod(env.shape)))), env.shape
    )
    mask = terminations | truncations
    mask[1] = True
    options = {"levels": levels, "frozen": levels == levels.flat[0], "reset_mask": mask}
    given = copy.deepcopy(options)
    before = _state(env)
    observations, infos = env.reset(options=options)
    _check_return(env, _kept((observations, None, None, None, infos)), "a masked reset", mask)
    found = None
    for lane in np.flatnonzero(~mask).tolist():
        found = found or difference(_lane(before, lane), _lane(_state(env), lane), f"lane {lane}")
    require(found is None, f"A reset of lanes {np.flatnonzero(mask).tolist()} disturbs others: {found}.")
    for lane in np.flatnonzero(mask).tolist():
        found = difference(env.levels[lane], levels[lane])
        require(found is None, f"Lane {lane} does not begin from the level given in the options: {found}.")
        found = difference(env.frozen[lane], options["frozen"][lane])
        require(found is None, f"Lane {lane} does not freeze what the options say: {found}.")
    for number in range(10):
        terminations, truncations = env.step(_actions(env, seeds, number))[2:4]
        if (terminations | truncations).any():
            env.reset(options={"reset_mask": terminations | truncations})
    require(
        set(options) == set(given), f"reset changed the caller's options: {sorted(given)} became {sorted(options)}."
    )
    found = difference(options, given, "options")
    require(found is None, f"The caller's options were changed: {found}.")
    env.close()


def _state(env: DesignVectorEnv) -> tuple[NDArray, ...]:
    return env.levels, env.frozen, env.cursors, env.level_shapes, env.measured
