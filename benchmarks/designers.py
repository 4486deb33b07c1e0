"""What designers reach in a given training time: every problem by narrow, turtle and wide, side by side.

    python -m benchmarks.designers --minutes 30

Each designer is trained by `experiments.pcgrl` with its default settings in a process of its own, on one core, and
judged on the same new start levels as the baselines. A finished run is not trained again, so that an interrupted
benchmark goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from envs import all_problems
from envs.evaluation import Estimate, percent
from envs.files import write_atomically
from experiments.run import versions

REPRESENTATIONS = ("narrow", "turtle", "wide")
COLUMNS = ("success", "strict_success", "diversity", "changed")


def train(problem: str, representation: str, arguments: argparse.Namespace) -> Path:
    """Trains and judges one designer, and returns its run folder."""
    name = f"{problem}-{representation}"
    folder = arguments.out / "pcgrl" / name
    if not (folder / "evaluation.json").exists():
        command = [sys.executable, "-m", "experiments.pcgrl", "--problem", problem, "--representation", representation]
        command += ["--minutes", str(arguments.minutes), "--seed", str(arguments.seed), "--out", str(arguments.out)]
        command += ["--name", name, "--overwrite", "--evaluation-levels", str(arguments.levels)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        complaint = (done.stderr.strip() or "it failed").splitlines()[-1]
        print(f"{name}: {complaint if done.returncode else 'trained'}", flush=True)
    return folder


def table(folders: list[Path], arguments: argparse.Namespace) -> str:
    """Returns the results as Markdown."""
    lines = [
        f"Training time {arguments.minutes:g} minutes a designer, {arguments.jobs} at a time, seed {arguments.seed}; "
        f"{arguments.levels} new start levels; 95 % bootstrap intervals over levels. "
        + ", ".join(f"{name} {version}" for name, version in versions().items())
        + ".",
        "",
        "| environment | designer | success | strict success | diversity | tiles changed | training steps |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for folder in folders:
        path = folder / "evaluation.json"
        if not path.exists():
            lines.append(f"| {folder.name} | not finished | | | | | |")
            continue
        steps = json.loads((folder / "designer" / "config.json").read_text())["training"]["steps"]
        for i, row in enumerate(json.loads(path.read_text())["rows"][:4]):
            cells = [percent(Estimate(**row[column])) for column in COLUMNS]
            name, count = (folder.name, f"{steps:,}") if i == 0 else ("", "")
            lines.append(f"| {name} | {row['designer']} | {' | '.join(cells)} | {count} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="training time of each designer")
    parser.add_argument("--levels", type=int, default=100, help="start levels to judge on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="designers trained at the same time")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark"))
    arguments = parser.parse_args()
    pairs = [(problem, representation) for problem in all_problems() for representation in REPRESENTATIONS]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        folders = list(pool.map(lambda pair: train(*pair, arguments), pairs))
    text = table(folders, arguments)
    print(text)
    write_atomically(arguments.out / "designers.md", text.encode())


if __name__ == "__main__":
    main()
