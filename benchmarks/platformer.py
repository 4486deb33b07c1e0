"""Whether our platformer's player completes levels that people made, and how fast levels are measured and built.

    python benchmarks/platformer.py --levels "../shared/data/TheVGLC/Super Mario Bros/Processed"
    python benchmarks/platformer.py

Each level of the Video Game Level Corpus is solved as it is, with a full-height wall in its middle, and with a pit of
24 columns there; the last two must not be solved. Seconds are those of the solver alone, in one thread; compilation is
reported apart. Levels measured in a second are the median of five repeats.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from pathlib import Path

import numba
import numpy as np

from envs.problems.smb import PROBLEM
from envs.rules import WON, Rules

#: The corpus's characters as our tiles; a cannon is solid.
TILES = {
    **dict.fromkeys("XBb", 1),
    "-": 0,
    "S": 3,
    **dict.fromkeys("?Q", 4),
    "E": 2,
    "o": 5,
    **dict.fromkeys("<>[]", 6),
}
PIT = 24


def seconds(function, *arguments) -> float:
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def versions(level: np.ndarray) -> dict[str, np.ndarray]:
    """Returns a level as it is, with a wall and with a pit in its middle."""
    middle = level.shape[1] // 2
    walled, pitted = level.copy(), level.copy()
    walled[:, middle] = 1
    pitted[:, middle : middle + PIT] = 0
    return {"original": level, "walled": walled, "pitted": pitted}


def report_corpus(rules: Rules, folder: Path) -> None:
    files = sorted(folder.glob("*.txt"))
    if not files:
        print(f"no levels under {folder}")
        return
    times: dict[str, list[float]] = {}
    solved: dict[str, int] = {}
    for file in files:
        level = np.array([[TILES[tile] for tile in row] for row in file.read_text().split()], np.uint8)
        for name, version in versions(level).items():
            start = time.perf_counter()
            solution = rules.solve(version)
            times.setdefault(name, []).append(time.perf_counter() - start)
            state = rules.start(version)
            for action in solution.actions:
                state = rules.step(state, int(action))
            solved[name] = solved.get(name, 0) + (solution.solved and rules.outcome(state) == WON)
            print(
                f"{file.stem:10} {name:8} {level.shape[1]:4} columns  {solution.status:10} "
                f"{len(solution.actions):5} ticks {solution.nodes:8,} nodes {times[name][-1]:8.4f} s"
            )
    for name, taken in times.items():
        print(
            f"{name}: {solved[name]} of {len(taken)} completed, replayed; "
            f"median {statistics.median(taken) * 1e3:.1f} ms, slowest {max(taken) * 1e3:.1f} ms"
        )


def report_speed(count: int) -> None:
    shape = PROBLEM.default_shape
    uniforms = np.random.default_rng(0).random((count, 1 + int(np.prod(shape))))
    built = seconds(PROBLEM.construct, np.arange(count, dtype=np.uint64), shape)
    print(f"constructed: {count / built:,.0f} levels/s, each confirmed by the player")
    batches = {
        "random start": PROBLEM.start_levels(uniforms, shape),
        "constructed": PROBLEM.construct(np.arange(count, dtype=np.uint64), shape),
    }
    for name, levels in batches.items():
        many = np.tile(levels, (10, 1, 1))
        static = statistics.median(seconds(PROBLEM.measure_static, many) for _ in range(5))
        played = statistics.median(seconds(PROBLEM.measure, levels) for _ in range(5))
        metrics = PROBLEM.measure(levels)
        print(
            f"{name}: {len(many) / static:,.0f} levels/s without play, {count / played:,.0f} levels/s with play; "
            f"{PROBLEM.playable(metrics).mean():.1%} completed within {PROBLEM.budget:,} states"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Plays platformer levels and times it.")
    parser.add_argument("--levels", type=Path, help="a folder of the Video Game Level Corpus's level files")
    parser.add_argument("--count", type=int, default=200, help="random and constructed levels to measure")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, Numba {numba.__version__}, NumPy {np.__version__}, one thread")
    rules = PROBLEM.rules
    assert rules is not None
    level = PROBLEM.construct(np.array([0], np.uint64), (14, 60))
    print(
        f"first run, with compilation or loading from the cache: {seconds(rules.solve, level[0]):.2f} s after building"
    )
    if options.levels:
        report_corpus(rules, options.levels)
    report_speed(options.count)


if __name__ == "__main__":
    main()
