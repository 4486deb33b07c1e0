"""What the constructive generators build, how fast, and what the solver says of it.

    python -m benchmarks.construct
    python -m benchmarks.construct smb loderunner --levels 200

Compilation is not part of the time. Levels are confirmed where the solver wins them, with its default budget. Published
success is of the level as it was built; a rule that compares with a start level compares with one that measures 0.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import envs
from benchmarks.environments import machine
from envs.suite import interval_distances


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problems", nargs="*", help="which; none means all of them")
    parser.add_argument("--levels", type=int, default=1000, help="how many of each")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for name in options.problems:
        if name not in envs.all_problems():
            parser.error(f"there is no problem {name!r}; there are {', '.join(envs.all_problems())}")
    if options.levels < 1 or options.seed < 0:
        parser.error("--levels must be at least 1 and --seed at least 0")
    print("; ".join(f"{name} {value}" for name, value in machine().items()))
    print(
        "| problem | levels/s | distinct, % | confirmed, % | published, % | finite targets met, % | solver, ms/level |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name in options.problems or envs.all_problems():
        problem = envs.get_problem(name)
        envs.construct(problem, 4, seed=options.seed + 1)
        start = time.perf_counter()
        levels = envs.construct(problem, options.levels, seed=options.seed)
        built = time.perf_counter() - start
        envs.solve(problem, levels[:1])
        start = time.perf_counter()
        solved = np.mean([solution.solved for solution in envs.solve(problem, levels)])
        searched = time.perf_counter() - start
        measured = problem.measure(levels)
        low, high = np.array([metric.target for metric in problem.metrics], np.float64).T
        finite = np.array([metric.finite for metric in problem.metrics])
        met = (interval_distances(measured, low, high)[:, finite] == 0).all(axis=1)
        published = problem.succeeded(measured, np.zeros_like(measured))
        distinct = len({level.tobytes() for level in levels}) / len(levels)
        shares = " | ".join(f"{100 * share:.1f}" for share in (distinct, solved, published.mean(), met.mean()))
        print(
            f"| {name} | {len(levels) / built:,.0f} | {shares} | {1000 * searched / len(levels):.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
