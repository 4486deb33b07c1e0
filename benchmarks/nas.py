"""What architecture searches find, beside chance and beside no search, with equal budgets.

    python -m benchmarks.nas
    python -m benchmarks.nas --problems zelda --families tile_lm --trials 20 --minutes 0.2
    python -m benchmarks.nas --designer turtle --problems zelda --families
    python -m benchmarks.nas --speedup

The first searches for a generator of each family on each problem, by each sampler, and trains the picks and the default
from scratch on seeds that no search used. A search that is there already is not made again. The second searches for a
designer's network. The third measures how long one and two workers take to the same number of trials.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from envs.records import read_config
from experiments import nas
from experiments.run import versions
from search.results import RESULT_FILE
from search.samplers import SamplerName


@dataclass
class Options:
    """Measure architecture searches.

    Attributes:
        problems: whose levels.
        families: which generators.
        designer: search for a designer's network too, which edits by this representation.
        samplers: who suggests.
        trials: of each search.
        minutes: the training of a trial that is never stopped, in minutes of a processor.
        workers: how many trials are trained side by side.
        corpus_levels: how many levels generators learn from.
        samples: how many levels a trial is measured on.
        retrain_seeds: on how many seeds picks and defaults are trained from scratch.
        designer_minutes: how long designers are trained then, in minutes of a processor; 0: as long as in the search.
        levels: on how many levels these are judged.
        speedup: measure what a second worker saves, instead of what is found.
        seed: of the searches.
        out: where run folders go.
    """

    problems: tuple[str, ...] = ("zelda", "sokoban")
    families: tuple[str, ...] = ("tile_lm", "pixelcnn")
    designer: str = ""
    samplers: tuple[SamplerName, ...] = ("nsga2", "random")
    trials: int = 60
    minutes: float = 0.75
    workers: int = 2
    corpus_levels: int = 4000
    samples: int = 200
    retrain_seeds: int = 3
    designer_minutes: float = 10.0
    levels: int = 1000
    speedup: bool = False
    seed: int = 0
    out: Path = Path("runs/benchmarks")


def searches(options: Options) -> Iterator[nas.Options]:
    """Returns the options of every search."""
    for problem in options.problems:
        for family in [*options.families, *([""] if options.designer else [])]:
            for sampler in options.samplers:
                for workers in (1, 2) if options.speedup else (options.workers,):
                    what = family or options.designer
                    yield nas.Options(
                        family=family or "tile_lm",
                        designer="" if family else options.designer,
                        problem=problem,
                        name=f"{problem}-{what}-{sampler}-{workers}",
                        sampler=sampler,
                        trials=options.trials,
                        minutes=options.minutes,
                        workers=workers,
                        corpus_levels=options.corpus_levels if family else 0,
                        samples=options.samples,
                        retrain_seeds=0 if options.speedup else options.retrain_seeds,
                        retrain_minutes=0.0 if family else options.designer_minutes,
                        levels=options.levels,
                        seed=options.seed,
                        out=options.out,
                    )


def searched(options: nas.Options) -> dict[str, Any]:
    """Makes a search, or goes on with it where it was broken off; returns its record."""
    folder = options.out / "nas" / options.name
    if not (folder / nas.PRESET_FILE).exists():
        options.resume = (folder / nas.CONFIG_FILE).exists()
        nas.search(options)
    return read_config(folder / RESULT_FILE)


def written(figures: dict[str, Any], name: str) -> str:
    """Writes a share trained from scratch, in percent, with Student's interval over seeds."""
    told = figures[name]
    return f"{100 * told['mean']:.1f} ({100 * max(told['low'], 0):.1f}-{100 * min(told['high'], 1):.1f})"


def found(options: Options) -> None:
    """Searches, and prints what was found."""
    heads = ("search", "sampler", "whole, stopped, failed, lost", "minutes", "pick", "quality, %", "default's, %")
    heads += ("ms a level", "default's", "parameters", "default's")
    table = [heads, ("---",) * len(heads)]
    for one in searches(options):
        result = searched(one)
        states, quality = result["states"], result["quality"]
        both = [result["retrained"]["summary"][who] for who in ("pick", "default")]
        table.append(
            (
                f"{one.designer or one.family} on {one.problem}",
                one.sampler,
                ", ".join(str(states.get(state, 0)) for state in ("finished", "stopped", "failed", "lost")),
                f"{result['seconds'] / 60:.1f}",
                str(result["pick"]),
                *(written(figures, quality) for figures in both),
                *(f"{figures['milliseconds']['mean']:.3g}" for figures in both),
                *(f"{figures['parameters']['mean']:,.0f}" for figures in both),
            )
        )
        show(table)


def speed_up(options: Options) -> None:
    """Searches with one and with two workers, and prints how long both took."""
    table = [("search", "workers", "trials", "minutes"), ("---",) * 4]
    for one in searches(options):
        result = searched(one)
        what = f"{one.designer or one.family} on {one.problem}, {one.sampler}"
        table.append((what, str(one.workers), str(len(result["trials"])), f"{result['seconds'] / 60:.1f}"))
    show(table)


def show(table: list[tuple[str, ...]]) -> None:
    """Prints a table in Markdown, and what it was made with."""
    print("\n" + "\n".join(f"| {' | '.join(row)} |" for row in table))
    print("\n" + ", ".join(f"{package} {version}" for package, version in versions().items()), flush=True)


if __name__ == "__main__":
    given = tyro.cli(Options)
    if given.speedup:
        speed_up(given)
    else:
        found(given)
