"""Judges designers and files of levels by the PCG Benchmark's criteria, beside random levels and its own searches."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.episodes import Designer, draw_starts
from envs import UserError, get_problem
from envs.criteria import Criteria, get_criteria, judge
from envs.evaluation import Estimate, bootstrap, number, percent
from envs.files import write_atomically
from envs.level_io import formats, read_levels
from envs.problem import Problem
from experiments.run import write_json

HEADINGS = ("levels of", "levels", "quality", "feasible", "unique", "feasible and unique", "controlled")
NOTE = (
    "Feasible: quality 1. Unique: alike to no other after the most alike were taken out. Feasible and unique: unique "
    "among the feasible. Controlled: meets control parameters drawn at random. Intervals: 95 % bootstrap over levels. "
    "ES and GA: the final populations of the benchmark's own searches, 200 generations of 100, read from the figures "
    "of Khalifa 2025; each of the two was run for quality, and for quality and control."
)


@dataclass(frozen=True)
class Verdict:
    """One line of the table; shares are over its levels.

    Attributes:
        name: whose levels they are.
        levels: how many.
        quality: the mean quality, in [0, 1].
        feasible: the share of quality 1.
        unique: the share that is unique among all.
        unique_feasible: the share that is feasible, and unique among the feasible.
        controlled: the share that meets its control parameters.
    """

    name: str
    levels: int
    quality: Estimate
    feasible: Estimate
    unique: Estimate
    unique_feasible: Estimate
    controlled: Estimate

    @classmethod
    def of(cls, name: str, criteria: Criteria, levels: NDArray[np.uint8], seed: int) -> Verdict:
        """Judges levels, uint8 (n, height, width)."""
        judged = judge(criteria, levels, seed)
        return cls(
            name,
            len(levels),
            *(
                bootstrap(values, seed)
                for values in (
                    judged.quality,
                    judged.feasible,
                    judged.unique,
                    judged.unique_feasible,
                    judged.controlled,
                )
            ),
        )

    def cells(self) -> list[str]:
        """Returns the line as text, in the order of HEADINGS."""
        shares = (self.feasible, self.unique, self.unique_feasible, self.controlled)
        return [self.name, str(self.levels), number(self.quality), *map(percent, shares)]


def reference_cells(criteria: Criteria) -> list[list[str]]:
    """Returns the lines of the benchmark's own searches, as text."""

    def text(share: float | None) -> str:
        return "" if share is None else f"{100 * share:.0f} %"

    return [
        [f"{line.name} (Khalifa 2025)", "100", "", text(line.feasible), text(line.unique), "", text(line.controlled)]
        for line in criteria.baselines
    ]


def level_files(path: Path) -> list[Path]:
    """Returns the files of levels that a path stands for: itself, or those in a folder.

    Raises:
        UserError: there are none.
    """
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in formats())
    if not files:
        raise UserError(f"{path} holds no files of levels; they end in {', '.join(formats())}.")
    return files


def gather_levels(path: Path, problem: Problem) -> NDArray[np.uint8]:
    """Returns the levels in a file or a folder of files, uint8 (n, height, width).

    Raises:
        UserError: they cannot be read, or differ in shape.
    """
    levels = [level for file in level_files(path) for level in read_levels(file, problem)]
    shapes = sorted({level.shape for level in levels})
    if len(shapes) > 1:
        listed = ", ".join(f"{height} by {width}" for height, width in shapes[:4])
        raise UserError(
            f"{path} holds levels of {len(shapes)} sizes ({listed}); the PCG Benchmark compares levels of one size: "
            "give them in files of their own."
        )
    return np.stack(levels)


def design_levels(designer: Designer, criteria: Criteria, count: int, seed: int) -> NDArray[np.uint8]:
    """Lets a designer make levels at the benchmark's size, uint8 (count, height, width).

    Raises:
        UserError: it designs at another size.
    """
    if tuple(designer.shape) != criteria.shape:
        raise UserError(
            f"This designer makes {criteria.name} levels of {designer.shape[0]} by {designer.shape[1]}, the PCG "
            f"Benchmark judges them at {criteria.shape[0]} by {criteria.shape[1]}: train one by "
            f"python -m experiments.pcgrl --problem {criteria.name} --benchmark pcg-benchmark."
        )
    return designer.design(count=count, seed=seed).levels


def print_verdicts(lines: Sequence[Sequence[str]], title: str) -> None:
    """Prints the table."""
    from rich.console import Console  # noqa: PLC0415 (only where something is printed)
    from rich.table import Table  # noqa: PLC0415

    table = Table(title=title, caption=NOTE, caption_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == HEADINGS[0] else "right", overflow="fold")
    for line in lines:
        table.add_row(line[0], *(cell.replace(" (", "\n(") for cell in line[1:]))
    console = Console()
    (console if console.is_terminal else Console(width=120)).print(table)


def evaluate_published(source: Path, made_by: str | Designer, count: int, seed: int, folder: Path) -> Verdict:
    """Judges levels, prints the table and writes it as Markdown and JSON.

    Args:
        source: a file or folder of levels, or a designer's run folder.
        made_by: the problem whose levels the file holds, or the designer.
        count: how many levels the designer makes, and how many random levels stand beside.
        seed: fixes all draws.
        folder: where the table goes.

    Returns:
        The first line of the table.

    Raises:
        UserError: the levels cannot be had or judged.
    """
    criteria = get_criteria(made_by if isinstance(made_by, str) else made_by.problem)
    problem = get_problem(criteria.name)
    if isinstance(made_by, str):
        levels, name = gather_levels(source, problem), source.name
    else:
        levels, name = design_levels(made_by, criteria, count, seed), made_by.name
    began = time.perf_counter()
    verdicts = [
        Verdict.of(name, criteria, levels, seed),
        Verdict.of("random", criteria, draw_starts(problem, count, seed, levels.shape[1:]), seed),
    ]
    lines = [verdict.cells() for verdict in verdicts]
    size = f"{levels.shape[1]} by {levels.shape[2]}"
    title = f"{problem.name} by the PCG Benchmark ({criteria.published}), {size}, seed {seed}"
    if levels.shape[1:] == criteria.shape:
        lines += reference_cells(criteria)
    else:
        title += f"; its own size is {criteria.shape[0]} by {criteria.shape[1]}"
    print_verdicts(lines, title)
    file = folder / f"pcg-benchmark-seed{seed}"
    table = ["| " + " | ".join(HEADINGS) + " |", "|" + " --- |" * len(HEADINGS)]
    table += ["| " + " | ".join(line) + " |" for line in lines]
    write_atomically(file.with_suffix(".md"), ("\n".join([f"{title}.\n", *table, "", NOTE]) + "\n").encode())
    facts = {
        "problem": problem.name,
        "published": criteria.published,
        "shape": levels.shape[1:],
        "seed": seed,
        "seconds": round(time.perf_counter() - began, 3),
        "rows": [dataclasses.asdict(verdict) for verdict in verdicts],
        "baselines": [dataclasses.asdict(line) for line in criteria.baselines],
    }
    write_json(file.with_suffix(".json"), facts)
    print(f"\nWritten to {file}.md and .json")
    return verdicts[0]
