"""Steps gym-pcgrl's environment in an interpreter of its own, with the old packages that it needs.

`benchmarks.peers` starts this file; it imports nothing of Tilewright. Arguments: a checkout of gym-pcgrl, a problem, a
representation, and perhaps a .npy file of levels to start from. Each line read is a number of seconds; each line
written is how many steps a second were made in them.
"""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

import numpy as np


def main() -> None:
    folder, problem, representation, *levels = sys.argv[1:]
    sys.path.insert(0, folder)
    from gym_pcgrl.envs.pcgrl_env import PcgrlEnv  # noqa: PLC0415
    from gym_pcgrl.envs.probs import problem as problems  # noqa: PLC0415
    from gym_pcgrl.envs.reps import representation as representations  # noqa: PLC0415

    # gym-pcgrl draws from a random state as old versions of Gym returned it.
    old = SimpleNamespace(np_random=lambda seed=None: (np.random.RandomState(seed), seed))
    problems.seeding = representations.seeding = old

    env = PcgrlEnv(problem, representation)
    env.seed(0)
    starts = np.load(levels[0]) if levels else None
    episode = 0

    def reset() -> None:
        nonlocal episode
        if starts is not None:
            env._rep._old_map = starts[episode % len(starts)].astype(int)
            env._rep._random_start = False
        episode += 1
        env.reset()

    reset()
    for line in sys.stdin:
        seconds, calls, start = float(line), 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            if env.step(env.action_space.sample())[2]:
                reset()
            calls += 1
        print(calls / (time.perf_counter() - start), flush=True)


if __name__ == "__main__":
    main()
