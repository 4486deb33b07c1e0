"""How many steps a second the play environments make, one by one and in batches.

    python -m benchmarks.play --lanes 1 64 256

Constructed levels, random actions, resets counted (SAME_STEP); the median of five repeats after a warm-up.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import gymnasium
import numpy as np

import envs
from envs.play_vector_env import PlayVectorEnv
from experiments.run import main


@dataclass
class Options:
    """Measure the steps a second of the play environments.

    Attributes:
        problems: which games; by default all that can be played.
        lanes: how many games side by side.
        levels: how many constructed levels the games choose among.
        seconds: how long each repeat takes.
        repeats: how many repeats the median is of.
    """

    problems: tuple[str, ...] = ()
    lanes: tuple[int, ...] = (1, 64, 256)
    levels: int = 50
    seconds: float = 0.5
    repeats: int = 5


def speed(env: PlayVectorEnv, seconds: float) -> float:
    """Returns the steps a second of all lanes together."""
    actions = [env.action_space.sample() for _ in range(50)]
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        env.step(actions[steps % len(actions)])
        steps += 1
    return steps * env.num_envs / (time.perf_counter() - began)


def single_speed(problem: str, levels: np.ndarray, seconds: float) -> float:
    """Returns the steps a second of the single environment."""
    env = gymnasium.make(f"tilewright/play-{problem}-v0", levels=levels, disable_env_checker=True).unwrapped
    env.reset(seed=0)
    actions = [env.action_space.sample() for _ in range(50)]
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        _, _, terminated, truncated, _ = env.step(actions[steps % len(actions)])
        if terminated or truncated:
            env.reset()
        steps += 1
    return steps / (time.perf_counter() - began)


def measure(options: Options) -> None:
    """Prints the table."""
    names = options.problems or tuple(i.removeprefix("tilewright/play-")[:-3] for i in envs.play_environment_ids())
    print("| game | single | " + " | ".join(f"{lanes} lanes" for lanes in options.lanes) + " |")
    print("|" + " --- |" * (2 + len(options.lanes)))
    for name in names:
        levels = envs.construct(name, options.levels, seed=0)
        single_speed(name, levels, 0.1)
        cells = [np.median([single_speed(name, levels, options.seconds) for _ in range(options.repeats)])]
        for lanes in options.lanes:
            env = PlayVectorEnv(name, lanes, levels=levels, autoreset_mode="SameStep")
            env.reset(seed=0)
            speed(env, 0.1)
            cells.append(np.median([speed(env, options.seconds) for _ in range(options.repeats)]))
        print(f"| {name} | " + " | ".join(f"{cell:,.0f}" for cell in cells) + " |", flush=True)


if __name__ == "__main__":
    main(Options, measure)
