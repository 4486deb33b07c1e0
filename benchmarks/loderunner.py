"""How many of the VGLC's loderunner levels our player wins, and how fast levels are measured and built.

    python benchmarks/loderunner.py
    python benchmarks/loderunner.py --data ../shared/data/TheVGLC --budget 20000 --levels 0

The VGLC (Summerville 2016) is looked for in the folder TheVGLC of TILEWRIGHT_DATA, or else of ../shared/data beside the
checkout. Every win is replayed by the rules. Times are wall clock in one thread, after compilation.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from pathlib import Path

import numba
import numpy as np

import envs
from envs.problems.loderunner import PROBLEM
from envs.rules import WON, Rules

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("TILEWRIGHT_DATA", ROOT.parent / "shared" / "data")) / "TheVGLC"


def read_levels(folder: Path) -> dict[str, np.ndarray]:
    """Reads the levels by name; the characters of the VGLC are those of the problem's tiles."""
    files = sorted((folder / "Lode Runner" / "Processed").glob("*.txt"), key=lambda file: (len(file.stem), file.stem))
    return {file.stem: PROBLEM.parse(file.read_text().split()) for file in files}


def wins(rules: Rules, level: np.ndarray, actions: np.ndarray) -> bool:
    state = rules.start(level)
    for action in actions:
        state = rules.step(state, int(action))
    return rules.outcome(state) == WON


def report_levels(levels: dict[str, np.ndarray], budget: int, verbose: bool) -> None:
    rules = PROBLEM.rules
    assert rules is not None
    rules.solve(PROBLEM.parse(["MEG", "BBB"]), 100)
    times: dict[str, list[float]] = {"solved": [], "unsolvable": [], "unknown": []}
    for name, level in levels.items():
        start = time.perf_counter()
        solution = rules.solve(level, budget)
        seconds = time.perf_counter() - start
        if solution.solved and not wins(rules, level, solution.actions):
            raise SystemExit(f"{name}: the solution does not win.")
        times[solution.status].append(seconds)
        if verbose:
            print(f"{name}: {solution.status}, {len(solution.actions)} ticks, {solution.nodes} states, {seconds:.2f} s")
    every = [seconds for found in times.values() for seconds in found]
    shares = ", ".join(f"{status} {len(found)} ({len(found) / len(levels):.1%})" for status, found in times.items())
    print(f"{len(levels)} VGLC levels, at most {budget:,} states: {shares}")
    for status, found in (("all", every), *times.items()):
        if found:
            print(f"  {status}: median {statistics.median(found):.3f} s, slowest {max(found):.2f} s")


def per_second(function, levels: np.ndarray) -> float:
    function(levels[:1])
    repeats = []
    for _ in range(5):
        start = time.perf_counter()
        function(levels)
        repeats.append(time.perf_counter() - start)
    return len(levels) / statistics.median(repeats)


def report_measuring(count: int) -> None:
    envs.construct("loderunner", 1, 0)
    start = time.perf_counter()
    built = envs.construct("loderunner", count, 1)
    print(f"constructed levels: {count / (time.perf_counter() - start):,.0f} a second")
    uniforms = np.random.default_rng(0).random((count, 1 + int(np.prod(PROBLEM.default_shape))))
    random = PROBLEM.start_levels(uniforms, PROBLEM.default_shape)
    for name, levels in (("random starts", random), ("constructed", built)):
        print(f"measure, {name}: {per_second(PROBLEM.measure, levels):,.0f} levels/s", end="; ")
        print(f"measure_static: {per_second(PROBLEM.measure_static, levels):,.0f} levels/s")


def main() -> None:
    parser = argparse.ArgumentParser(description="Times the loderunner solver, its measurement and its generator.")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of the VGLC")
    parser.add_argument("--budget", type=int, help="states to expand for a VGLC level")
    parser.add_argument("--levels", type=int, default=500, help="levels to measure and to build, 0 for none")
    parser.add_argument("--verbose", action="store_true", help="one line for each VGLC level")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, Numba {numba.__version__}, NumPy {np.__version__}, one thread")
    levels = read_levels(options.data)
    if levels:
        report_levels(levels, options.budget or PROBLEM.rules.default_budget, options.verbose)
    else:
        print(f"no levels under {options.data}")
    if options.levels:
        report_measuring(options.levels)


if __name__ == "__main__":
    main()
