"""What a run leaves to look at: tables, learning curves, contact sheets and animations."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.designer import PolicyDesigner
from agents.episodes import Designs
from agents.evaluation import Row
from agents.training import Progress
from envs.evaluation import number, percent
from envs.files import write_atomically
from envs.pictures import contact_sheet, render, save_gif, save_png
from envs.problem import Problem
from envs.records import read_metrics
from experiments.run import write_json

HEADINGS = ("designer", "success", "strict success", "quality", "diversity", "tiles changed", "ms/level")


def cells(row: Row) -> list[str]:
    """Returns a row as text, in the order of HEADINGS."""
    return [
        row.designer,
        percent(row.success),
        percent(row.strict_success),
        number(row.quality),
        number(row.diversity),
        percent(row.changed),
        f"{row.milliseconds:.1f}",
    ]


def print_table(rows: Sequence[Row], title: str) -> None:
    """Prints an evaluation table."""
    from rich.console import Console  # noqa: PLC0415 (only where something is printed)
    from rich.table import Table  # noqa: PLC0415

    table = Table(title=title, caption="intervals: 95 % bootstrap over levels", caption_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == "designer" else "right", overflow="fold")
    for row in rows:
        # Means above their intervals, so that the table fits most windows.
        table.add_row(row.designer, *(cell.replace(" (", "\n(") for cell in cells(row)[1:]))
    console = Console()
    # Where no window limits the width (a file, a pipe), nothing need be folded.
    (console if console.is_terminal else Console(width=120)).print(table)


def write_table(rows: Sequence[Row], folder: Path, name: str, **facts: object) -> None:
    """Writes an evaluation table as Markdown and as JSON."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|" + " --- |" * len(HEADINGS)]
    lines += ["| " + " | ".join(cells(row)) + " |" for row in rows]
    note = f"\n{rows[0].levels} levels; intervals are 95 % bootstrap intervals over levels.\n"
    write_atomically(folder / f"{name}.md", ("\n".join(lines) + "\n" + note).encode())
    write_json(folder / f"{name}.json", {**facts, "rows": [dataclasses.asdict(row) for row in rows]})


def draw_curves(metrics_file: Path, picture: Path, problem: Problem) -> None:
    """Draws the learning curves: success, return, each metric against its target, and the learner's own figures."""
    import matplotlib  # noqa: PLC0415 (slow to import)

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    columns = read_metrics(metrics_file)
    if not columns:
        return
    steps = columns["steps"]
    marker = "." if len(steps) < 10 else ""
    panels: list[tuple[str, list[tuple[str, str]]]] = [
        ("success", [("success", "published"), ("strict_success", "strict")]),
        ("return", [("return", "improvement per episode")]),
        ("changes", [("changes", "tiles changed per episode")]),
        *((metric.name, [(metric.name, "at the end of episodes")]) for metric in problem.metrics),
        ("entropy", [("entropy", "of the policy")]),
        ("value loss", [("value_loss", "")]),
    ]
    targets = {metric.name: metric.target for metric in problem.metrics}
    width = 4
    height = -(-len(panels) // width)
    figure, axes = plt.subplots(height, width, figsize=(3.2 * width, 2.4 * height), squeeze=False, layout="constrained")
    for axis, (title, lines) in zip(axes.flat, panels, strict=False):
        for column, label in lines:
            axis.plot(steps, columns[column], label=label, linewidth=1.5, marker=marker)
        low, high = targets.get(title, (-np.inf, np.inf))
        if np.isfinite(low) or np.isfinite(high):
            bottom, top = axis.get_ylim()
            lower = low if np.isfinite(low) else min(bottom, high)
            upper = high if np.isfinite(high) else max(top, low)
            axis.axhspan(lower - 0.02, upper + 0.02, color="tab:green", alpha=0.15, label="target")
        if title == "success":
            axis.set_ylim(0, 1)
        axis.set_title(title, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.ticklabel_format(axis="x", style="sci", scilimits=(0, 0))
        if any(label for _, label in lines):
            axis.legend(fontsize=6)
        axis.grid(alpha=0.2)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    figure.supxlabel("environment steps", fontsize=8)
    write_atomically(picture, lambda file: figure.savefig(file, format="png", dpi=110))
    plt.close(figure)


def draw_contact_sheet(problem: Problem, designs: Designs, picture: Path, count: int = 8) -> None:
    """Draws start levels above what became of them."""
    columns = 4
    number = min(count, len(designs.levels))
    # More than one row of levels only where all are full.
    chosen = range(number if number <= columns else number - number % columns)
    images: list[NDArray[np.uint8]] = []
    captions: list[str] = []
    measured = problem.measure(designs.levels)
    names = [metric.name for metric in problem.metrics]
    shown = [name for name in ("regions", "path-length", "jumps", "nearest-enemy", "sol-length") if name in names]
    size = _tile_size(designs, 8, 24, 320)
    for first in range(0, len(chosen), columns):
        group = chosen[first : first + columns]
        for levels, finished in ((designs.starts, False), (designs.levels, True)):
            for i in group:
                images.append(render(problem, levels[i], size))
                if finished:
                    verdict = (
                        "strict success"
                        if designs.strict_success[i]
                        else "success"
                        if designs.success[i]
                        else "no success"
                    )
                    facts = ", ".join(f"{name} {measured[i, names.index(name)]:g}" for name in shown)
                    captions.append(f"finished: {verdict}, {facts}")
                else:
                    captions.append("start")
    save_png(picture, contact_sheet(images, min(columns, len(chosen)), captions))


def _tile_size(designs: Designs, least: int, most: int, pixels: int) -> int:
    """Returns how large tiles are drawn for pictures about so many pixels wide."""
    shape = designs.levels.shape[1:]
    return max(least, min(most, pixels // (shape[-1] if len(shape) == 2 else shape[-1] + shape[-2])))


def draw_history(problem: Problem, designs: Designs, picture: Path) -> None:
    """Animates how the first level was designed."""
    size = _tile_size(designs, 12, 32, 448)
    save_gif(picture, [render(problem, level, size) for level in designs.history], frames_per_second=6)


def write_card(designer: PolicyDesigner, rows: Sequence[Row], progress: Progress) -> str:
    """Returns the text of a saved designer's card: what it is, how it was trained, its scores and its limits."""
    problem = designer.problem
    representation = designer.env_options["representation"]
    options = {key: value for key, value in designer.env_options.items() if key not in ("problem", "representation")}
    shape = tuple(designer.env_options.get("shape") or problem.default_shape)
    lines = [
        f"# A {representation} designer for {problem.name}",
        "",
        f"It edits levels of {problem.name} ({problem.description}) by the {representation} representation.",
        "",
        f"- Data: none; it was trained by reinforcement learning in `tilewright/{problem.name}-{representation}-v0`.",
        f"- Environment options: {options or 'the defaults'}.",
        f"- Training: {progress.steps:,} steps, {progress.episodes:,} episodes, {progress.seconds:.0f} s.",
        "- Licence: MIT, as Tilewright itself.",
        f"- Limits: levels of shape {shape} and the tiles of this problem only; it draws its actions, so that the same "
        "seed gives the same levels and other seeds give others.",
        "",
        f"Scores on {rows[0].levels} new start levels (95 % bootstrap intervals):",
        "",
        "| " + " | ".join(HEADINGS) + " |",
        "|" + " --- |" * len(HEADINGS),
        *("| " + " | ".join(cells(row)) + " |" for row in rows),
        "",
    ]
    return "\n".join(lines)
