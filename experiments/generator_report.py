"""The report on a generator: tables, findings in words, and pictures, as Markdown, as one HTML page and as JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from envs.evaluation import Estimate, number, percent
from envs.problem import Problem
from experiments import generator_pictures as pictures
from experiments.documents import Document
from experiments.generator_measures import SOLUTION, Mended, Mitigation
from experiments.run import versions, write_json
from generators.corpus import Corpus
from generators.judging import fairness
from generators.judging.control import Control
from generators.judging.fairness import Finding, MetricShift, TileShift
from generators.judging.judgement import Judgement
from generators.judging.likelihood import Likelihood
from generators.judging.playability import Play

#: What the first table shows, by the names of `Judgement.figures`.
_WORTH = ("playable", "novel", "unique", "all three", "restricted diversity")


@dataclass(frozen=True)
class Evaluation:
    """All that was measured of a generator, or of levels.

    Attributes:
        problem: whose levels.
        corpus: what they are compared with.
        rows: the judgements; the first is of what is evaluated, the last two of random and of real levels.
        scored: how well models predict real levels, by the row's name.
        mended: what repair made of the first row's levels, if that was asked for.
        controls: how well metrics can be asked for.
        reference: the play of corpus levels.
        reference_levels: uint8 (m, *shape), those levels.
        shifts: how the metrics' distributions differ from the corpus's.
        tiles: how the tiles' numbers and places do.
        compared: another generator's name and its shifts.
        mitigations: what reweighted sampling did.
        axes: the two metrics of the expressive range; None where fewer than two vary.
        threshold: the edit distance from which on a level is novel.
        skipped: which families were not judged, and why.
        facts: how all this was made, as plain data.
    """

    problem: Problem
    corpus: Corpus
    rows: list[Judgement]
    scored: dict[str, Likelihood]
    mended: Mended | None
    controls: list[Control]
    reference: Play
    reference_levels: np.ndarray
    shifts: list[MetricShift]
    tiles: list[TileShift]
    compared: tuple[str, list[MetricShift]] | None
    mitigations: list[Mitigation]
    axes: tuple[str, str] | None
    threshold: int
    skipped: list[str]
    facts: dict[str, Any]

    @property
    def subject(self) -> Judgement:
        """The judgement of what is evaluated."""
        return self.rows[0]


def summary(found: Evaluation) -> str:
    """Returns the main figures in a few lines."""
    lines = []
    for row in found.rows:
        figures = row.figures()
        shown = ", ".join(f"{name} {percent(figures[name])}" for name in _WORTH)
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
    _add_fairness(report, found)
    _add_mitigations(report, found)
    _add_method(report, found)
    return report


def _add_worth(report: Document, found: Evaluation) -> None:
    report.heading("Playable, novel, unique and diverse")
    rows = []
    for row in found.rows:
        figures = row.figures()
        speed = "" if math.isnan(row.milliseconds) else f"{row.milliseconds:.2f}"
        rows.append([row.name, str(len(row.levels)), *(percent(figures[name]) for name in _WORTH), speed])
    report.table(("levels of", "levels", *_WORTH, "ms/level"), rows)
    given_up = int(found.subject.play.unknown.sum())
    report.text(
        f"Novel: at least {found.threshold} edits from every training level. Unique: not tile for tile the same as an "
        f"earlier one. Restricted diversity: the largest set of playable, novel levels that lie pairwise at least "
        f"{found.threshold} edits apart, as a share of {found.subject.batch} levels (Todd 2023). The solver gave up on "
        f"{given_up} of the {len(found.subject.levels)} levels; these count as not playable."
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
                _short(figures["nearest"], 1),
                percent(figures["copied"]),
                percent(figures["on target"]),
                _short(figures["hamming"], 3),
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
    report.text(
        f"Turned: symmetric images of training levels count as copies too ({turned}). Nearest and copied patch are "
        "taken under these symmetries; the copied patch is the largest rectangle that stands in one training level, as a "
        "share of the level. On target: every metric with a finite target lies inside it. Hamming: mean share of tiles "
        "in which two levels differ. Diversity: as restricted diversity, of all levels. Patterns: tile-pattern "
        "divergence in nats, the mean of both directions (Lucas 2019)."
    )


def _add_repair(report: Document, found: Evaluation) -> None:
    if found.mended is None:
        return
    mended = found.mended
    broken = ~found.subject.play.playable
    report.heading("Raw and repaired")
    edits = mended.edits[broken & mended.repaired]
    mean = (
        f"{edits.mean():.1f} tiles changed on average, {np.median(edits):.0f} in the median" if len(edits) else "none"
    )
    report.text(
        f"{int(broken.sum())} of {len(broken)} levels are not playable as they are; repair by {mended.method} mends "
        f"{int((broken & mended.repaired).sum())} of them ({mean}; {mended.milliseconds:.1f} ms a level). All figures "
        f"of the first line of the tables are raw; the line `{mended.judgement.name}` is the same levels after repair."
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
        "training level that it stands in.",
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
            _short(control.error, 2),
            _short(control.uncontrolled, 2),
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


def _add_fairness(report: Document, found: Evaluation) -> None:
    report.heading("Fairness: what is made too often and too seldom")
    report.text(
        f"The samples are compared with {len(found.reference_levels):,} training levels. `{SOLUTION}` is the number of "
        "actions of the solution that the solver found, among the levels that it won. Differences whose interval "
        "reaches the corpus's share are marked (within chance)."
    )
    for title, (over, under) in (
        ("Levels, by buckets of each metric", fairness.bucket_findings(found.shifts)),
        ("Tiles, by their number in a level", fairness.tile_findings(found.tiles)),
        ("Places, of tiles that are rare in the corpus", fairness.region_findings(found.tiles)),
    ):
        report.heading(title, 3)
        counted = title.startswith("Tiles")
        report.entries(
            [
                *(f"Too often: {_finding(finding, counted)}" for finding in over),
                *(f"Too seldom: {_finding(finding, counted)}" for finding in under),
            ]
            or ["No difference."]
        )
    if found.shifts:
        rows = [
            [
                shift.name,
                _short(shift.mean, 2),
                f"{shift.corpus_mean:.2f}",
                f"{shift.wasserstein:.2f}",
                f"{shift.kolmogorov:.3f}",
                f"{shift.variation:.3f} ({shift.floor:.3f})",
            ]
            for shift in found.shifts
        ]
        headings = (
            "metric",
            "samples' mean",
            "corpus",
            "Wasserstein",
            "Kolmogorov-Smirnov",
            "total variation (chance)",
        )
        report.heading("Distributions of metrics", 3)
        report.table(headings, rows)
        report.text(
            "Wasserstein: in units of the metric. Total variation: over buckets that part the corpus evenly; in "
            "brackets what as many levels drawn from the corpus itself would have on average."
        )
        report.picture("buckets", pictures.draw_shifts(found.shifts), "Shares of the samples and of the corpus.")
    rows = [[tile.tile, _short(tile.sampled, 2), f"{tile.corpus:.2f}"] for tile in found.tiles]
    report.heading("Tiles", 3)
    report.table(("tile", "in a sample", "in a corpus level"), rows)
    drawn = pictures.draw_maps(found.problem, found.subject.levels, found.reference_levels, found.tiles)
    if drawn is not None:
        report.picture("maps", drawn, "Where rare tiles lie: the share of levels that have one in each cell.")


def _add_mitigations(report: Document, found: Evaluation) -> None:
    if not found.mitigations and found.compared is None:
        return
    report.heading("Mitigations")
    if found.compared is not None:
        name, others = found.compared
        report.heading(f"Another training: {name}", 3)
        known = {shift.name: shift for shift in others}
        rows = [
            [
                shift.name,
                f"{shift.variation:.3f}",
                f"{known[shift.name].variation:.3f}",
                _short(shift.mean, 2),
                _short(known[shift.name].mean, 2),
                f"{shift.corpus_mean:.2f}",
            ]
            for shift in found.shifts
            if shift.name in known
        ]
        subject = found.subject.name
        report.table(
            (
                "metric",
                f"total variation, {subject}",
                f"total variation, {name}",
                f"mean, {subject}",
                f"mean, {name}",
                "mean, corpus",
            ),
            rows,
        )
    for mitigation in found.mitigations:
        chosen = mitigation.found
        report.heading(f"Reweighted sampling of {mitigation.metric} towards {mitigation.target}", 3)
        missing = f" {100 * chosen.missing:.1f} % of the target lie where there is no sample." if chosen.missing else ""
        side = ""
        if not math.isnan(mitigation.others_before):
            side = (
                f" The other metrics' mean distance from the corpus goes from {mitigation.others_before:.3f} to "
                f"{mitigation.others_after:.3f}."
            )
        report.text(
            f"{len(chosen.chosen)} of {mitigation.pool} samples are kept, by importance weights. Total variation from "
            f"the target: {chosen.before:.3f} before, {chosen.after:.3f} after. The weights leave an effective sample "
            f"of {chosen.effective:.0f} of {mitigation.pool}.{missing}{side}"
        )
        cells = zip(mitigation.buckets, mitigation.before, mitigation.after, mitigation.wanted, strict=True)
        rows = [
            [name, *(f"{100 * share:.1f} %" for share in shares)]
            for name, *shares in cells
            if max(float(share) for share in shares) > 0
        ]
        report.table((mitigation.metric, "before", "after", "wanted"), rows)


def _add_method(report: Document, found: Evaluation) -> None:
    report.heading("How this was made")
    options = {key: value for key, value in found.facts["options"].items() if value not in (None, "", {}, ())}
    report.entries([f"{key.replace('_', ' ')}: {value}" for key, value in options.items()])
    report.text(", ".join(f"{name} {version}" for name, version in versions().items()) + ".")


def _finding(finding: Finding, counted: bool) -> str:
    """Says what a finding is in words."""
    chance = "" if finding.clear else " (within chance)"
    if counted:
        times = "none in the corpus" if not finding.corpus else f"{finding.times:.2f} times as many"
        numbers = f"{finding.sampled:.2f} in a sample, {finding.corpus:.2f} in a corpus level"
        return f"{finding.what}: {numbers}, {times}{chance}"
    shares = f"{100 * finding.sampled:.1f} % of the samples, {100 * finding.corpus:.1f} % of the corpus"
    return f"{finding.what}: {shares}{chance}"


def _short(estimate: Estimate, digits: int) -> str:
    """Writes a number with its interval."""
    if math.isnan(estimate.mean):
        return ""
    return f"{estimate.mean:.{digits}f} ({estimate.low:.{digits}f}-{estimate.high:.{digits}f})"


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
                "mended": int((~found.subject.play.playable & mended.repaired).sum()),
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
