"""The report on a generator: tables, findings in words, and pictures, as Markdown, as one HTML page and as JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from envs.evaluation import Estimate, number, percent
from experiments import generator_pictures as pictures
from experiments.documents import Document
from experiments.generator_findings import add_fairness, add_mitigations
from experiments.generator_measures import Evaluation, short
from experiments.run import versions, write_json
from generators.judging.judgement import Judgement

#: What the first table shows, by the names of `Judgement.figures`.
_WORTH = ("playable", "novel", "unique", "all three", "restricted diversity")


def summary(found: Evaluation) -> str:
    """Returns the main figures in a few lines."""
    lines = []
    for row in found.rows:
        figures = row.figures()
        shown = ", ".join(f"{name} {_share(row, figures, name)}" for name in _WORTH)
        lines.append(f"{row.name}: {shown}")
    return "\n".join(lines)


def write_report(found: Evaluation, folder: Path, name: str) -> list[Path]:
    """Writes name.md with its pictures, name.html and name.json.

    Raises:
        UserError: a file cannot be written.
    """
    files = compose(found).write(folder, name)
    path = folder / f"{name}.json"
    write_json(path, _plain_facts(found))
    return [*files, path]


def compose(found: Evaluation) -> Document:
    """Writes the report."""
    report = Document(f"{found.subject.name} on {found.problem.name}")
    report.text(
        f"{len(found.subject.levels):,} levels of shape {found.corpus.shape}, judged beside trivial baselines and real "
        "levels. Intervals are 95 % bootstrap intervals over levels."
    )
    report.entries(found.corpus.card())
    _add_worth(report, found)
    _add_repair(report, found)
    _add_samples(report, found)
    _add_likelihood(report, found)
    _add_control(report, found)
    _add_range(report, found)
    add_fairness(report, found)
    add_mitigations(report, found)
    _add_method(report, found)
    return report


def _add_worth(report: Document, found: Evaluation) -> None:
    report.heading("Playable, novel, unique and diverse")
    rows = []
    for row in found.rows:
        figures = row.figures()
        speed = "" if math.isnan(row.milliseconds) else f"{row.milliseconds:.2f}"
        rows.append([row.name, str(len(row.levels)), *(_share(row, figures, name) for name in _WORTH), speed])
    report.table(("levels of", "levels", *_WORTH, "ms/level"), rows)
    given_up = int(found.subject.play.unknown.sum())
    report.text(
        f"Novel: at least {found.threshold} edits from every training level. Unique: not tile for tile the same as an "
        f"earlier one. Restricted diversity: the largest set of playable, novel levels that lie pairwise at least "
        f"{found.threshold} edits apart, as a share of {_batches(found)} (Todd 2023), the mean over such batches; one "
        f"batch has no interval. The solver gave up on {given_up} of the {len(found.subject.levels)} levels; these "
        "count as not playable."
    )
    for line in found.skipped:
        report.text(f"Not judged: {line}")
    report.heading("Likeness to the corpus", 3)
    rows = []
    for row in found.rows:
        figures = row.figures()
        patterns = [f"{divergence.weighted():.3f}" for divergence in row.divergences]
        unseen = [f"{100 * divergence.unseen:.1f} %" for divergence in row.divergences]
        rows.append(
            [
                row.name,
                percent(figures["novel, turned"]),
                percent(figures["all three, turned"]),
                short(figures["nearest"], 1),
                percent(figures["copied"]),
                percent(figures["on target"]),
                short(figures["hamming"], 3),
                f"{figures['diversity'].mean:.2f}{'' if row.apart.exact else ' at least'}",
                *patterns,
                unseen[-1] if unseen else "",
            ]
        )
    sizes = [f"{divergence.size}x{divergence.size}" for divergence in found.subject.divergences]
    last = f"{sizes[-1]} never seen" if sizes else "never seen"
    report.table(
        (
            "levels of",
            "novel, turned",
            "all three, turned",
            "nearest, edits",
            "copied patch",
            "on target",
            "Hamming",
            "diversity",
            *(f"patterns {size}" for size in sizes),
            last,
        ),
        rows,
    )
    turned = ", ".join(found.problem.symmetries) or "none"
    fewer = min(len(row.neighbours.distances) for row in found.rows)
    whole = fewer >= len(found.subject.neighbours.distances)
    examined = "" if whole else f" (below the first line of no more than {fewer} levels)"
    report.text(
        f"Turned: symmetric images of training levels count as copies too ({turned}). Nearest and copied patch are "
        "taken under these symmetries; the copied patch is the largest rectangle that stands in one training level, as "
        f"a share of the level{examined}. On target: every metric with a finite target lies inside it. Hamming: the "
        "mean share of tiles in which two levels differ. Diversity: as restricted diversity, of all levels. Patterns: "
        "tile-pattern divergence in nats, the mean of both directions (Lucas 2019); the fewer the levels, the larger."
    )


def _share(row: Judgement, figures: dict[str, Estimate], name: str) -> str:
    """Writes one of _WORTH; an interval over batches takes two of them."""
    if name != "restricted diversity":
        return percent(figures[name])
    least = "" if all(spread.exact for spread in row.restricted) else "at least "
    shown = percent(figures[name]) if len(row.restricted) > 1 else f"{100 * figures[name].mean:.1f} %"
    return least + shown


def _batches(found: Evaluation) -> str:
    """Says how many levels restricted diversity is a share of."""
    own = found.subject.batch
    others = [f"{row.batch} for {row.name}" for row in found.rows if row.batch != own]
    return f"{own} levels{f' ({chr(44).join(others)})' if others else ''}"


def _add_repair(report: Document, found: Evaluation) -> None:
    if found.mended is None:
        return
    mended = found.mended
    broken = ~found.subject.play.playable
    report.heading("Raw and repaired")
    fine = broken & mended.judgement.play.playable
    edits = mended.edits[fine]
    changed = (
        f", with {edits.mean():.1f} tiles changed on average, {np.median(edits):g} in the median" if len(edits) else ""
    )
    report.text(
        f"{int(broken.sum())} of {len(broken)} levels are not playable as they are; repair by {mended.method} mends "
        f"{int(fine.sum())} of these{changed}; it took {mended.milliseconds:.1f} ms for each. The others stay as they "
        f"are. All figures of the first line of the tables are raw; the line `{mended.judgement.name}` is the same "
        "levels after repair, its time sampling and repair together."
    )


def _add_samples(report: Document, found: Evaluation) -> None:
    report.heading("Samples")
    drawn = pictures.draw_samples(found.problem, found.subject)
    report.picture("samples", drawn, "The first samples; below each the solver's verdict and its edits to the corpus.")
    report.heading("Nearest corpus levels and copied patches", 3)
    drawn = pictures.draw_neighbours(found.problem, found.subject, found.corpus.train.levels)
    report.picture(
        "neighbours",
        drawn,
        "Three samples that lie nearest to the corpus, and three typical ones. From the left: the sample; the nearest "
        "training level, with the cells that are the same faded; the sample's largest copied patch, outlined; the "
        "training level that it stands in. Samples are turned as they match best.",
    )


def _add_likelihood(report: Document, found: Evaluation) -> None:
    if not found.scored:
        return
    report.heading("Prediction of levels that were not learned from")
    rows = []
    for name, scores in found.scored.items():
        accuracy = "" if scores.accuracy is None else percent(scores.accuracy)
        rare = "" if scores.rare_accuracy is None else percent(scores.rare_accuracy)
        rows.append([name, ("at most " if scores.bound else "") + number(scores.nats), accuracy, rare, scores.note])
    report.table(("model", "nats per tile", "tiles right", "of those not the commonest", "each tile"), rows)


def _add_control(report: Document, found: Evaluation) -> None:
    if not found.controls:
        return
    report.heading("Control")
    rows = [
        [
            control.metric,
            ", ".join(f"{value:g}" for value in np.unique(control.asked)),
            short(control.error, 2),
            short(control.uncontrolled, 2),
            _correlation(control.spearman),
            _correlation(control.pearson),
        ]
        for control in found.controls
    ]
    headings = ("metric", "asked", "mean error", "error unasked", "Spearman", "Pearson")
    report.table(headings, rows)
    report.text(
        "Each metric was asked for by itself, at quantiles of the corpus. The error unasked is that of levels that "
        "nothing was asked of, held against the same values."
    )
    report.picture("control", pictures.draw_control(found.controls), "What was measured, for each value asked.")


def _add_range(report: Document, found: Evaluation) -> None:
    if found.axes is None:
        return
    report.heading("Expressive range")
    columns = [found.problem.index(name) for name in found.axes]
    batches = {found.subject.name: found.subject.play.metrics[:, columns].astype(np.float64)}
    batches["corpus"] = found.reference.metrics[:, columns].astype(np.float64)
    if found.compared is not None:
        other = next(row for row in found.rows if row.name == found.compared[0])
        batches[other.name] = other.play.metrics[:, columns].astype(np.float64)
    drawn = pictures.draw_expressive_range(found.axes, batches, "corpus")
    names = " and ".join(found.axes)
    report.picture("range", drawn, f"How levels are spread over {names} (Smith 2010).")


def _add_method(report: Document, found: Evaluation) -> None:
    report.heading("How this was made")
    options = {key: value for key, value in found.facts["options"].items() if value not in (None, "", {}, ())}
    report.entries([f"{key.replace('_', ' ')}: {_plainly(value)}" for key, value in options.items()])
    report.text(", ".join(f"{name} {version}" for name, version in versions().items()) + ".")


def _plainly(value: Any) -> str:
    """Writes an option's value as it would be typed."""
    if isinstance(value, dict):
        return " ".join(f"{key} {entry}" for key, entry in value.items())
    return " ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _correlation(value: float) -> str:
    return "none" if math.isnan(value) else f"{value:.2f}"


def _plain_facts(found: Evaluation) -> dict[str, Any]:
    """Returns all figures as plain data."""
    rows = []
    for row in found.rows:
        rows.append(
            {
                "name": row.name,
                "levels": len(row.levels),
                "milliseconds": row.milliseconds,
                "figures": {name: dataclasses.asdict(value) for name, value in row.figures().items()},
                "patterns": [dataclasses.asdict(divergence) for divergence in row.divergences],
                "diversity is exact": row.apart.exact and all(spread.exact for spread in row.restricted),
            }
        )
    mended = found.mended
    return _plain(
        {
            "problem": found.problem.name,
            "threshold": found.threshold,
            "versions": versions(),
            **found.facts,
            "rows": rows,
            "prediction": {name: dataclasses.asdict(scores) for name, scores in found.scored.items()},
            "repair": None
            if mended is None
            else {
                "method": mended.method,
                "broken": int((~found.subject.play.playable).sum()),
                "mended": int((~found.subject.play.playable & mended.judgement.play.playable).sum()),
                "edits": mended.edits,
                "milliseconds": mended.milliseconds,
            },
            "control": [dataclasses.asdict(control) for control in found.controls],
            "metrics": [dataclasses.asdict(shift) for shift in found.shifts],
            "tiles": [dataclasses.asdict(tile) for tile in found.tiles],
            "compared": None
            if found.compared is None
            else {"name": found.compared[0], "metrics": [dataclasses.asdict(shift) for shift in found.compared[1]]},
            "reweighted": [
                {
                    **{key: value for key, value in vars(mitigation).items() if key != "found"},
                    "kept": len(mitigation.found.chosen),
                    "effective": mitigation.found.effective,
                    "missing": mitigation.found.missing,
                    "variation before": mitigation.found.before,
                    "variation after": mitigation.found.after,
                }
                for mitigation in found.mitigations
            ],
            "nearest": {
                "edits": found.subject.neighbours.distances,
                "training level": found.subject.neighbours.indices,
                "copied tiles": found.subject.patches.tiles,
                "copied from": found.subject.patches.sources,
            },
            "skipped": found.skipped,
        }
    )


def _plain(value: Any) -> Any:
    """Returns arrays as lists, and what is no number as null."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
