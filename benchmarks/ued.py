"""Compares the methods of unsupervised environment design: one learner, the same steps, several seeds.

    python -m benchmarks.ued --problem maze --steps 300000 --seeds 0 1

Runs that are finished in the folder are not run again, and those that were interrupted go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.players.ppo import CHECKPOINT_FILE, METRICS_FILE
from envs.files import write_atomically
from envs.records import read_config, read_metrics
from experiments import ued
from experiments.run import main, make_folder, versions, write_json


@dataclass
class Options:
    """Compare the methods of unsupervised environment design.

    Attributes:
        problem: what is played.
        shape: height and width of the levels; by default as in experiments.ued.
        methods: which methods.
        seeds: a run for each method and seed.
        steps: environment steps of the learner in each run.
        out: where run folders and the table go.
    """

    problem: str = "maze"
    shape: tuple[int, ...] | None = None
    methods: tuple[ued.Method, ...] = ("random", "plr", "paired")
    seeds: tuple[int, ...] = (0, 1)
    steps: int = 300_000
    out: Path = Path("runs") / "ued-benchmark"


def compare(options: Options) -> None:
    """Runs what is missing, and writes the table and the curves."""
    folder = make_folder(options.out)
    runs: dict[str, list[Path]] = {}
    # Seed by seed, so that an unfinished comparison is still a fair one.
    for seed in options.seeds:
        for method in options.methods:
            chosen = ued.Options(
                method=method,
                problem=options.problem,
                shape=options.shape,
                seed=seed,
                steps=options.steps,
                out=options.out,
            )
            run_folder = options.out / "ued" / f"{options.problem}-{method}-seed{seed}"
            runs.setdefault(method, []).append(run_folder)
            if (run_folder / "evaluation.json").exists():
                continue
            chosen.resume = (run_folder / CHECKPOINT_FILE).exists()
            ued.train(chosen)
            write_table(folder, runs, options)
    print(write_table(folder, runs, options))


def write_table(folder: Path, runs: dict[str, list[Path]], options: Options) -> str:
    """Writes the comparison of finished runs as Markdown, JSON and curves, and returns the table."""
    finished = {method: [run for run in paths if (run / "evaluation.json").exists()] for method, paths in runs.items()}
    finished = {method: paths for method, paths in finished.items() if paths}
    records = {method: [read_config(run / "evaluation.json") for run in paths] for method, paths in finished.items()}
    kinds = list(next(iter(records.values()))[0]["player"])
    heads = [f"win rate, {kind} levels" for kind in kinds]
    heads += ["moves to win proposed levels", "of them winnable", "rounds learned from", "seconds"]
    lines = [f"| method | seeds | {' | '.join(heads)} |", "|" + " --- |" * (len(heads) + 2)]
    for method, found in records.items():
        rates = [[100 * record["player"][kind]["mean"] for record in found] for kind in kinds]
        last = [read_metrics(run / METRICS_FILE) for run in finished[method]]
        cells = [f"{np.mean(rate):.1f} % ({', '.join(f'{one:.1f}' for one in rate)})" for rate in rates]
        cells.append(f"{np.mean([metrics['solution'][-1] for metrics in last]):.1f}")
        cells.append(f"{100 * np.mean([metrics['solvable'][-1] for metrics in last]):.0f} %")
        cells.append(f"{np.mean([record['progress']['updates'] for record in found]):.0f}")
        cells.append(f"{np.mean([record['progress']['seconds'] for record in found]):.0f}")
        lines.append(f"| {method} | {len(found)} | {' | '.join(cells)} |")
    chance = next(iter(records.values()))[0]["random"]
    cells = [f"{100 * chance[kind]['mean']:.1f} %" for kind in kinds]
    lines.append(f"| a random player | | {' | '.join(cells)} | | | | |")
    table = "\n".join(lines) + "\n"
    write_atomically(folder / "ued.md", table.encode())
    write_json(folder / "ued.json", {"options": options.__dict__, "versions": versions(), "runs": records})
    ued.draw_curves(
        {method: [run / METRICS_FILE for run in paths] for method, paths in finished.items()}, folder / "curves.png"
    )
    return table


if __name__ == "__main__":
    main(Options, compare)
