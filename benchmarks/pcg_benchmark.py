"""How fast levels are judged by the PCG Benchmark's criteria, and how fast the benchmark itself judges the same levels.

    python benchmarks/pcg_benchmark.py
    python benchmarks/pcg_benchmark.py --peer ../pcg_benchmark

Random levels have each tile equally often, like the benchmark's own samples. Near-feasible levels are the reference
cases of the tests (`tests/reference/pcg_benchmark_cases.json`), some changed in one tile. Figures are levels a second
of `info` and quality, the median of five repeats in one thread; compilation is reported apart. `--peer` takes a
checkout of the benchmark (github.com/amidos2006/pcg_benchmark), which judges some of the same levels in the same run,
for at most `--peer-seconds` each.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from pathlib import Path

import numba
import numpy as np

from envs.criteria import Criteria, all_criteria

CASES = Path(__file__).parent.parent / "tests" / "reference" / "pcg_benchmark_cases.json"


def random_levels(criteria: Criteria, count: int) -> np.ndarray:
    """Draws those of the benchmark's tiles that ours stand for, each equally often; uint8 (count, height, width)."""
    codes = sorted({code for _, code in criteria.tiles})
    return np.random.default_rng(0).choice(codes, (count, *criteria.shape)).astype(np.uint8)


def near_levels(criteria: Criteria, count: int) -> np.ndarray:
    """Repeats the reference cases and changes a tile of every second one; returns uint8 (count, height, width)."""
    cases = json.loads(CASES.read_text())["games"][criteria.name]["levels"]
    levels = np.array([[[int(tile) for tile in row] for row in level.split("/")] for level in cases], np.uint8)
    levels = np.resize(levels, (count, *criteria.shape))
    rng = np.random.default_rng(1)
    rows, columns = rng.integers(0, criteria.shape[0], count), rng.integers(0, criteria.shape[1], count)
    levels[np.arange(1, count, 2), rows[1::2], columns[1::2]] = rng.integers(0, 2, len(rows[1::2]))
    return levels


def qualities(criteria: Criteria, levels: np.ndarray) -> np.ndarray:
    return criteria.quality({**criteria.study(levels), "content": levels})


def our_speed(criteria: Criteria, levels: np.ndarray) -> float:
    def once() -> float:
        start = time.perf_counter()
        qualities(criteria, levels)
        return time.perf_counter() - start

    once()
    return len(levels) / statistics.median(once() for _ in range(5))


def peer_speed(environment, criteria: Criteria, levels: np.ndarray, seconds: float) -> tuple[float, float]:
    """The benchmark's levels a second, and how many of these levels it gives another quality than we do."""
    theirs: list[float] = []
    start = time.perf_counter()
    for level in levels:
        theirs.append(environment.quality(level.astype(int))[1])
        if time.perf_counter() - start > seconds:
            break
    speed = len(theirs) / (time.perf_counter() - start)
    ours = qualities(criteria, levels[: len(theirs)])
    return speed, int((abs(ours - theirs) > 1e-9).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description="Times the PCG Benchmark's criteria.")
    parser.add_argument("--levels", type=int, default=4000, help="levels of each kind")
    parser.add_argument("--games", nargs="*", default=list(all_criteria()), help="which games")
    parser.add_argument("--peer", type=Path, help="a checkout of the PCG Benchmark to time as well")
    parser.add_argument("--peer-seconds", type=float, default=10, help="time for each of its measurements")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, Numba {numba.__version__}, NumPy {np.__version__}, one thread")
    peer = None
    if options.peer:
        sys.path.insert(0, str(options.peer))
        import pcg_benchmark as peer  # noqa: PLC0415 (only where it was asked for)
    for name in options.games:
        criteria = all_criteria()[name]
        start = time.perf_counter()
        qualities(criteria, near_levels(criteria, 1))
        print(f"{name}: first level, with compilation or loading from the cache: {time.perf_counter() - start:.2f} s")
        for kind, levels in (
            ("random", random_levels(criteria, options.levels)),
            ("near-feasible", near_levels(criteria, options.levels)),
        ):
            ours = our_speed(criteria, levels)
            line = f"  {kind:<14} {ours:>10,.0f} levels/s"
            if peer:
                environment = peer.make(criteria.published)
                theirs, others = peer_speed(environment, criteria, levels, options.peer_seconds)
                line += f"; the benchmark {theirs:>8,.1f}; {ours / theirs:,.0f} times; {others} qualities differ"
            print(line, flush=True)


if __name__ == "__main__":
    main()
