"""How fast the sokoban solver is, and how often it knows the answer.

    python benchmarks/sokoban_solver.py
    python benchmarks/sokoban_solver.py --boxoban ../shared/data/boxoban-levels/unfiltered --boxoban-levels 100

Measures valid random 5x5 levels (one player, 1 to 3 crates and as many targets, one region) by `measure`, which solves
each of them; draws that are not valid are left out. Levels solved in a second are the median of five repeats in one
thread; compilation is reported apart. The slowest level is found by measuring one level at a time, each three times
with the least time taken, so that what else the machine does is not counted.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from pathlib import Path

import numba
import numpy as np

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


def boxoban_levels(path: Path, most: int) -> list[np.ndarray]:
    """Reads up to `most` levels from a file or a folder of Boxoban levels."""
    levels: list[np.ndarray] = []
    for file in sorted(path.rglob("*.txt")) if path.is_dir() else [path]:
        for block in file.read_text().split("; ")[1:]:
            rows = [row.replace(" ", "-") for row in block.splitlines()[1:] if row]
            levels.append(PROBLEM.parse(rows))
            if len(levels) == most:
                return levels
    return levels


def report_boxoban(path: Path, most: int) -> None:
    rules = PROBLEM.rules
    assert rules is not None
    levels = boxoban_levels(path, most)
    if not levels:
        print(f"boxoban: no level files under {path}")
        return
    for shortest in ("moves", "pushes"):
        rules.solve(levels[0], shortest=shortest)
        times, statuses, lengths = [], [], []
        for level in levels:
            start = time.perf_counter()
            solution = rules.solve(level, shortest=shortest)
            times.append(time.perf_counter() - start)
            statuses.append(solution.status)
            if solution.solved:
                lengths.append(len(solution.actions))
        shares = ", ".join(f"{status} {statuses.count(status) / len(levels):.1%}" for status in STATUSES.values())
        print(
            f"boxoban {path.name}, {len(levels)} levels, fewest {shortest}: {shares}; median "
            f"{statistics.median(times) * 1e3:.2f} ms, slowest {max(times) * 1e3:.0f} ms, "
            f"median solution {statistics.median(lengths) if lengths else 0:.0f} moves"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Times the sokoban solver.")
    parser.add_argument("--levels", type=int, default=20_000, help="random 5x5 levels of each kind")
    parser.add_argument("--budget", type=int, default=PROBLEM.budget, help="states to expand for a 5x5 level")
    parser.add_argument("--boxoban", type=Path, help="a Boxoban level file, or a folder of them")
    parser.add_argument("--boxoban-levels", type=int, default=100, help="how many Boxoban levels to solve")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, Numba {numba.__version__}, NumPy {np.__version__}, one thread")
    first = seconds(measure, PROBLEM.parse(["@$.", "---"])[None], 100)
    print(f"first measurement, with compilation or loading from the cache: {first:.2f} s")
    report_small_levels(options.levels, options.budget)
    if options.boxoban:
        report_boxoban(options.boxoban, options.boxoban_levels)


if __name__ == "__main__":
    main()
