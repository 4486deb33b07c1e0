"""How fast the sokoban solver is, and how often it knows the answer.

    python benchmarks/sokoban_solver.py
    python benchmarks/sokoban_solver.py --boxoban ../shared/data/boxoban-levels --levels 1000 --seconds 1 10

Measures valid random 5x5 levels (one player, 1 to 3 crates and as many targets, one region) by `measure`, which solves
each of them; draws that are not valid are left out. Levels solved in a second are the median of five repeats in one
thread; compilation is reported apart. The slowest level is found by measuring one level at a time, each three times
with the least time taken, so that what else the machine does is not counted.

With `--boxoban` the levels of Boxoban (Guez 2018) are solved instead: those under `unfiltered/test` and those under
`hard` of the given folder, or else all that are under it; if there are more than `--levels`, as many spread evenly over
them. For any solution, for the fewest pushes and for the fewest moves it reports the shares solved within each time
limit. Where the system can tell, the time is what the search has had of a processor, whatever else the machine does.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from pathlib import Path

import numba
import numpy as np

import envs
from envs.kernels.sokoban import measure
from envs.kernels.sokoban_rules import CRATE, PLAYER, TARGET
from envs.kernels.sokoban_search import NODES, SOLVED, STATUS, UNKNOWN, UNSOLVABLE
from envs.problems.sokoban import PROBLEM

# Shares of empty, solid, player, crate and target.
MIXTURES = {
    "start distribution": PROBLEM.start_probabilities,
    "more crates": (0.45, 0.3, 0.05, 0.1, 0.1),
    "open, more crates": (0.6, 0.1, 0.04, 0.13, 0.13),
}
STATUSES = {SOLVED: "solved", UNSOLVABLE: "unsolvable", UNKNOWN: "unknown"}


def valid_levels(n: int, probabilities: tuple[float, ...], seed: int) -> np.ndarray:
    """Draws tiles until n levels are valid; returns uint8 (n, 5, 5)."""
    rng = np.random.default_rng(seed)
    found, have = [], 0
    while have < n:
        levels = rng.choice(5, size=(50_000, 5, 5), p=probabilities).astype(np.uint8)
        counts = [(levels == tile).sum(axis=(1, 2)) for tile in (PLAYER, CRATE, TARGET)]
        levels = levels[(counts[0] == 1) & (counts[1] == counts[2]) & (counts[1] >= 1) & (counts[1] <= 3)]
        levels = levels[PROBLEM.measure(levels)[:, PROBLEM.index("regions")] == 1]
        found.append(levels)
        have += len(levels)
    return np.concatenate(found)[:n]


def seconds(function, *arguments) -> float:
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def report_small_levels(n: int, budget: int) -> None:
    for number, (name, probabilities) in enumerate(MIXTURES.items()):
        levels = valid_levels(n, probabilities, seed=number)
        measure(levels, budget)
        repeats = [seconds(measure, levels, budget) for _ in range(5)]
        _, results = measure(levels, budget)
        shares = ", ".join(f"{status} {(results[:, STATUS] == code).mean():.2%}" for code, status in STATUSES.items())
        hardest = np.argsort(results[:, NODES])[-200:]
        worst = max(min(seconds(measure, levels[i : i + 1], budget) for _ in range(3)) for i in hardest)
        print(f"{name}: {n / statistics.median(repeats):,.0f} solves/s; {shares}")
        print(f"  slowest single solve {worst * 1e3:.2f} ms, most states {results[:, NODES].max():,}")


def boxoban_levels(folder: Path, most: int) -> list[np.ndarray]:
    """Reads the levels under a folder of Boxoban levels: `most` of them, spread evenly, if there are more."""
    levels: list[np.ndarray] = []
    for file in sorted(folder.rglob("*.txt")):
        for block in file.read_text().split("; ")[1:]:
            rows = [row.replace(" ", "-") for row in block.splitlines()[1:] if row]
            levels.append(PROBLEM.parse(rows))
    if len(levels) <= most:
        return levels
    return [levels[i] for i in np.linspace(0, len(levels) - 1, most).astype(int)]


def report_boxoban(name: str, levels: list[np.ndarray], limits: list[float], workers: int) -> None:
    by_processor = hasattr(time, "pthread_getcpuclockid")
    print(f"boxoban {name}: {len(levels)} levels, {'processor' if by_processor else 'wall clock'} time")
    for shortest in ("any", "pushes", "moves"):
        envs.solve("sokoban", levels[0], shortest=shortest)  # compiles
        solutions = envs.solve(
            "sokoban", levels, seconds=max(limits), workers=workers, processor_time=by_processor, shortest=shortest
        )
        times = np.array([solution.seconds for solution in solutions])
        statuses = np.array([solution.status for solution in solutions])
        lengths = [len(solution.actions) for solution in solutions if solution.solved]
        print(
            f"  {shortest}: median {np.median(times) * 1e3:.2f} ms, slowest {times.max() * 1e3:.0f} ms, "
            f"most states {max(solution.nodes for solution in solutions):,}, "
            f"median solution {statistics.median(lengths) if lengths else 0:.0f} moves"
        )
        for limit in limits:
            known = times <= limit
            solved, unsolvable = (float((known & (statuses == word)).mean()) for word in ("solved", "unsolvable"))
            print(
                f"    within {limit:g} s: solved {solved:.2%}, proven unsolvable {unsolvable:.2%}, "
                f"unknown {max(0.0, 1 - solved - unsolvable):.2%}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description="Times the sokoban solver.")
    parser.add_argument("--levels", type=int, help="levels of each kind: 20,000 random 5x5 ones, or 1,000 of Boxoban")
    parser.add_argument("--budget", type=int, default=PROBLEM.budget, help="states to expand for a 5x5 level")
    parser.add_argument("--boxoban", type=Path, help="the folder of Boxoban levels to solve instead")
    parser.add_argument("--seconds", type=float, nargs="+", default=[1.0, 10.0], help="time limits for a Boxoban level")
    parser.add_argument("--workers", type=int, default=1, help="Boxoban levels to solve side by side")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, Numba {numba.__version__}, NumPy {np.__version__}")
    first = seconds(measure, PROBLEM.parse(["@$.", "---"])[None], 100)
    print(f"first measurement, with compilation or loading from the cache: {first:.2f} s")
    if options.boxoban is None:
        report_small_levels(options.levels or 20_000, options.budget)
        return
    folders = [options.boxoban / name for name in ("unfiltered/test", "hard")]
    if not all(folder.is_dir() for folder in folders):
        folders = [options.boxoban]
    for folder in folders:
        levels = boxoban_levels(folder, options.levels or 1_000)
        if not levels:
            raise SystemExit(f"There are no Boxoban level files (*.txt) under {folder}.")
        name = "/".join(folder.parts[len(options.boxoban.parts) :]) or folder.name
        report_boxoban(name, levels, options.seconds, options.workers)


if __name__ == "__main__":
    main()
