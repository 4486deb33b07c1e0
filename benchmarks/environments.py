"""How many steps a second the level-design environments make.

    python -m benchmarks.environments
    python -m benchmarks.environments tilewright/binary-narrow-v0 tilewright/zelda-turtle-v0 --lanes 1 1024
    python -m benchmarks.environments tilewright/maze-wide-v0 --shape 64 64 --lanes 256
    python -m benchmarks.environments --valid
    python -m benchmarks.environments tilewright/smb-narrow-v0 --play-every 100 --to-the-end
    python -m benchmarks.environments --solver
    python -m benchmarks.environments --out speed.md --out speed.json

Random actions, drawn beforehand; automatic resets are counted as steps, and every observation is written. The figure is
the median of the repeats. What comes before them, compilation and the first steps, is reported apart, and so is the
slowest single step. With --single, `gymnasium.make` is measured beside `make_vec`.

With --solver the levels are valid sokoban levels (one player, one region, 1 to 3 crates and as many targets) of which
one tile is changed so that they stay valid: every measured step has to solve its level. Each batch of levels begins by
a reset, which is not part of the time; steps a second are measured with the most lanes, the slowest step with one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numba
import numpy as np
from numpy.typing import NDArray

import envs

#: How many levels the constructive generator builds to start from.
VALID_LEVELS = 256

#: After so many seconds, and four steps, warming up is over.
LONGEST_WARM_UP = 20.0


@dataclass
class Result:
    """One measurement.

    Attributes:
        environment: the environment's id and, in brackets, what is particular.
        lanes: how many levels are designed side by side.
        steps_per_second: lane steps, the median of the repeats.
        worst_step_ms: the slowest call of `step` in milliseconds.
        warm_up_s: seconds from making the environment to the first measured step, with compilation.
    """

    environment: str
    lanes: int
    steps_per_second: float
    worst_step_ms: float
    warm_up_s: float


def measure_steps(step: Callable[[int], Any], lanes: int, repeats: int, seconds: float) -> tuple[float, float]:
    """Calls `step` with 0, 1, 2... and returns lane steps a second and the slowest call in milliseconds."""
    clock = time.perf_counter
    calls = 0
    until = clock() + seconds / 4
    while clock() < until:
        step(calls)
        calls += 1
    done, calls = calls, max(4 * calls // repeats, 3)
    rates, worst = [], 0.0
    for _ in range(repeats):
        start = before = clock()
        for _ in range(calls):
            step(done)
            done += 1
            now = clock()
            worst = max(worst, now - before)
            before = now
        rates.append(lanes * calls / (before - start))
    return statistics.median(rates), 1000 * worst


def options_for(environment_id: str, chosen: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Returns the options of an environment that the command line asks for, and the environment's name with them."""
    options: dict[str, Any] = {}
    if chosen.shape is not None:
        options["shape"] = tuple(chosen.shape)
    if chosen.play_every != 1:
        options["play_every"] = chosen.play_every
    if chosen.to_the_end:
        options["end_on_success"] = False
    told = [" x ".join(map(str, value)) if name == "shape" else f"{name}={value}" for name, value in options.items()]
    if chosen.valid:
        problem = environment_id.removeprefix("tilewright/").partition("-")[0]
        options["start_levels"] = envs.construct(problem, VALID_LEVELS, shape=chosen.shape)
        told.append("from playable levels")
    return options, f"{environment_id} ({', '.join(told)})" if told else environment_id


def random_actions(environment: gymnasium.vector.VectorEnv, lanes: int) -> Callable[[int], NDArray[np.int64]]:
    """Returns the random actions of step 0, 1, 2..., drawn beforehand.

    One round of steps after the other, each lane does what its neighbour did the round before: the same edits again and
    again would soon change nothing, and levels that do not change are not measured.
    """
    environment.action_space.seed(0)
    steps = max(256, 16_384 // lanes)
    drawn = np.stack([environment.action_space.sample() for _ in range(steps)])
    twice = np.concatenate([drawn, drawn], axis=1)

    def actions(step: int) -> NDArray[np.int64]:
        first = step // steps % lanes
        return twice[step % steps, first : first + lanes]

    return actions


def measure_environment(environment_id: str, lanes: int, chosen: argparse.Namespace) -> Result:
    """Measures a batch made by `gymnasium.make_vec`."""
    options, name = options_for(environment_id, chosen)
    start = time.perf_counter()
    environment = gymnasium.make_vec(environment_id, num_envs=lanes, **options)
    actions = random_actions(environment, lanes)
    environment.reset(seed=0)
    # Long enough for every kernel, those of automatic resets among them, to have been called.
    for i in range(400 if lanes == 1 else 40):
        environment.step(actions(i))
        if i >= 3 and time.perf_counter() - start > LONGEST_WARM_UP:
            break
    warm_up = time.perf_counter() - start
    rate, worst = measure_steps(lambda i: environment.step(actions(i)), lanes, chosen.repeats, chosen.seconds)
    environment.close()
    return Result(name, lanes, rate, worst, warm_up)


def measure_single(environment_id: str, chosen: argparse.Namespace) -> Result:
    """Measures a single environment made by `gymnasium.make`, which is reset after each episode."""
    options, name = options_for(environment_id, chosen)
    start = time.perf_counter()
    environment = gymnasium.make(environment_id, **options)
    environment.action_space.seed(0)
    actions = [environment.action_space.sample() for _ in range(256)]
    environment.reset(seed=0)

    def step(i: int) -> None:
        _, _, terminated, truncated, _ = environment.step(actions[i % 256])
        if terminated or truncated:
            environment.reset()

    for i in range(400):
        step(i)
    warm_up = time.perf_counter() - start
    rate, worst = measure_steps(step, 1, chosen.repeats, chosen.seconds)
    environment.close()
    return Result(f"{name}, by gymnasium.make", 1, rate, worst, warm_up)


def valid_levels(levels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tells which sokoban levels, uint8 (n, height, width), the solver has to solve; bool (n,)."""
    tiles = envs.get_problem("sokoban").tile_ids
    players, crates, targets = ((levels == tiles[name]).sum(axis=(1, 2)) for name in ("player", "crate", "target"))
    valid = (players == 1) & (crates == targets) & (crates >= 1) & (crates <= 3)
    valid[valid] = envs.measure("sokoban", levels[valid], ["regions"])["regions"] == 1
    return valid


def solver_cases(count: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draws valid levels, uint8 (count, height, width), and a wide action for each that leaves it valid, (count, 3)."""
    problem = envs.get_problem("sokoban")
    height, width = problem.default_shape
    rng = np.random.default_rng(seed)
    levels = np.empty((0, height, width), np.uint8)
    actions = np.empty((0, 3), np.int64)
    while len(levels) < count:
        drawn = problem.start_levels(rng.random((50_000, 1 + height * width)), (height, width))
        drawn = drawn[valid_levels(drawn)]
        chosen = rng.integers([width, height, len(problem.tiles)], size=(len(drawn), 3))
        edited = drawn.copy()
        edited[np.arange(len(drawn)), chosen[:, 1], chosen[:, 0]] = chosen[:, 2]
        kept = valid_levels(edited) & (edited != drawn).any(axis=(1, 2))
        levels, actions = np.concatenate([levels, drawn[kept]]), np.concatenate([actions, chosen[kept]])
    return levels[:count], actions[:count]


def measure_solver(lanes: int, repeats: int) -> list[Result]:
    """Measures steps that each need the solver: many a call for the rate, one a call for the slowest."""
    levels, actions = solver_cases(max(repeats * lanes, 5000))
    results = []
    for width in (lanes, 1):
        start = time.perf_counter()
        environment = gymnasium.make_vec("tilewright/sokoban-wide-v0", num_envs=width, autoreset_mode="Disabled")
        environment.reset(seed=0, options={"levels": levels[:width]})
        environment.step(actions[:width])
        warm_up = time.perf_counter() - start
        times = []
        for first in range(0, len(levels) - width + 1, width):
            lane = slice(first, first + width)
            environment.reset(options={"levels": levels[lane]})
            before = time.perf_counter()
            environment.step(actions[lane])
            times.append(time.perf_counter() - before)
        environment.close()
        rate = width / statistics.median(times)
        results.append(
            Result("tilewright/sokoban-wide-v0 (solver at every step)", width, rate, 1000 * max(times), warm_up)
        )
    return results


def machine() -> dict[str, str]:
    """Returns what the figures depend on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "machine": f"{platform.processor() or platform.machine()}, {cores} cores, {platform.system()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "gymnasium": gymnasium.__version__,
    }


def table(results: list[Result]) -> str:
    """Returns the results as a Markdown table."""
    rows = ["| environment | lanes | steps/s | slowest step, ms | warm-up, s |", "|---|--:|--:|--:|--:|"]
    rows += [
        f"| {one.environment} | {one.lanes:,} | {one.steps_per_second:,.0f} | {one.worst_step_ms:.2f} "
        f"| {one.warm_up_s:.1f} |"
        for one in results
    ]
    return "\n".join(rows)


def write(path: Path, results: list[Result]) -> None:
    """Writes the results to a .md or .json file."""
    if path.suffix == ".json":
        text = json.dumps({**machine(), "results": [asdict(one) for one in results]}, indent=2)
    else:
        facts = "; ".join(f"{name} {value}" for name, value in machine().items())
        text = f"{facts}\n\n{table(results)}"
    path.write_text(text + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ids", nargs="*", help="environment ids; none means all of them")
    parser.add_argument("--lanes", type=int, nargs="+", default=[1, 64, 1024], help="how many levels side by side")
    parser.add_argument("--shape", type=int, nargs="+", metavar="SIZE", help="of the levels: height and width")
    parser.add_argument("--valid", action="store_true", help="start from levels of the constructive generator")
    parser.add_argument(
        "--play-every", type=int, default=1, help="the option of that name: how often levels are played"
    )
    parser.add_argument("--to-the-end", action="store_true", help="success does not end episodes")
    parser.add_argument("--repeats", type=int, default=5, help="of how many repeats the median is taken; at least 5")
    parser.add_argument("--seconds", type=float, default=2.0, help="about how long the repeats take together")
    parser.add_argument("--single", action="store_true", help="measure gymnasium.make as well")
    parser.add_argument("--solver", action="store_true", help="measure steps that each need the sokoban solver")
    parser.add_argument("--out", type=Path, action="append", default=[], help="a .md or .json file to write")
    options = parser.parse_args()
    known = envs.environment_ids()
    for name in options.ids:
        if name not in known:
            parser.error(f"there is no environment {name!r}; the ids are {', '.join(known)}")
    for path in options.out:
        if path.suffix not in (".md", ".json"):
            parser.error(f"--out writes .md and .json files; got {path}")
    if options.shape is not None and options.solver:
        parser.error("--solver measures levels of the default shape: leave --shape out")
    if options.repeats < 5 or min(options.lanes) < 1 or options.seconds <= 0:
        parser.error("--repeats must be at least 5, --lanes at least 1 and --seconds above 0")

    print("; ".join(f"{name} {value}" for name, value in machine().items()), flush=True)
    results: list[Result] = []
    if options.solver:
        results += measure_solver(max(options.lanes), options.repeats)
    if options.ids or not options.solver:
        for name in options.ids or known:
            for lanes in options.lanes:
                results.append(measure_environment(name, lanes, options))
                print(
                    f"{results[-1].environment}, {lanes} lanes: {results[-1].steps_per_second:,.0f} steps/s", flush=True
                )
            if options.single:
                results.append(measure_single(name, options))
    print(table(results))
    for path in options.out:
        write(path, results)


if __name__ == "__main__":
    main()
