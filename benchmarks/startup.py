"""How long the main job takes from its start to its first policy update, with an empty kernel cache and a warm one.

python -m benchmarks.startup
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

#: Runs the main job up to its first update, in a process of its own.
_JOB = """
import sys, tempfile
from pathlib import Path
from experiments.pcgrl import Options, make_trainer

with tempfile.TemporaryDirectory() as folder:
    options = Options(problem=sys.argv[1], representation=sys.argv[2], out=Path(folder))

    def stop(progress, share, means):
        raise SystemExit

    make_trainer(options)[0].learn(stop)
"""


def seconds_to_first_update(problem: str, representation: str, cache: str) -> float:
    """Returns the wall time of a process that imports, compiles, collects a rollout and makes one update."""
    began = time.perf_counter()
    command = [sys.executable, "-c", _JOB, problem, representation]
    subprocess.run(command, check=True, env={**os.environ, "NUMBA_CACHE_DIR": cache})
    return time.perf_counter() - began


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", default="binary")
    parser.add_argument("--representation", default="wide")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    cold, warm = [], []
    for _ in range(arguments.repeats):
        with tempfile.TemporaryDirectory() as cache:
            cold.append(seconds_to_first_update(arguments.problem, arguments.representation, cache))
            warm.append(seconds_to_first_update(arguments.problem, arguments.representation, cache))
    for name, times in (("empty", cold), ("warm", warm)):
        listed = ", ".join(f"{one:.1f}" for one in times)
        print(f"{name} kernel cache: median {statistics.median(times):.1f} s to the first update ({listed})")


if __name__ == "__main__":
    main()
