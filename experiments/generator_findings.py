"""The part of the report on a generator that says what it makes too often and too seldom, and what helps."""

from __future__ import annotations

import math

from experiments import generator_pictures as pictures
from experiments.documents import Document
from experiments.generator_measures import SOLUTION, Evaluation, short
from generators.judging import fairness
from generators.judging.fairness import Finding


def add_fairness(report: Document, found: Evaluation) -> None:
    """Adds the section that compares the samples' distribution with the corpus's."""
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
                *(f"Too often: {_worded(finding, counted)}" for finding in over),
                *(f"Too seldom: {_worded(finding, counted)}" for finding in under),
            ]
            or ["No difference."]
        )
    if found.shifts:
        rows = [
            [
                shift.name,
                short(shift.mean, 2),
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
    rows = [[tile.tile, short(tile.sampled, 2), f"{tile.corpus:.2f}"] for tile in found.tiles]
    report.heading("Tiles", 3)
    report.table(("tile", "in a sample", "in a corpus level"), rows)
    drawn = pictures.draw_maps(found.problem, found.subject.levels, found.reference_levels, found.tiles)
    if drawn is not None:
        report.picture("maps", drawn, "Where rare tiles lie: the share of levels that have one in each cell.")


def add_mitigations(report: Document, found: Evaluation) -> None:
    """Adds what another training and reweighted sampling change about it."""
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
                short(shift.mean, 2),
                short(known[shift.name].mean, 2),
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


def _worded(finding: Finding, counted: bool) -> str:
    """Says what a finding is in words."""
    chance = "" if finding.clear else " (within chance)"
    if counted:
        times = "none in the corpus" if not finding.corpus else f"{finding.times:.2f} times as many"
        numbers = f"{finding.sampled:.2f} in a sample, {finding.corpus:.2f} in a corpus level"
        return f"{finding.what}: {numbers}, {times}{chance}"
    shares = f"{100 * finding.sampled:.1f} % of the samples, {100 * finding.corpus:.1f} % of the corpus"
    return f"{finding.what}: {shares}{chance}"
