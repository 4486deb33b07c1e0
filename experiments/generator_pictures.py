"""Pictures of what a generator makes, beside its corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.pictures import contact_sheet, render
from envs.problem import Problem
from envs.symmetries import images
from generators.judging.control import Control
from generators.judging.fairness import REGIONS, MetricShift, TileShift, cell_frequencies
from generators.judging.judgement import Judgement

#: The colours of samples and of the corpus, apart for the colour-blind too (Okabe 2008).
SAMPLED, CORPUS = "#D55E00", "#0072B2"

_OUTLINE = (255, 64, 160)


def tile_size(shape: Sequence[int], pixels: int = 260, least: int = 6, most: int = 24) -> int:
    """Returns how large tiles are drawn for pictures of levels about so many pixels wide."""
    across = shape[-1] if len(shape) == 2 else shape[-1] + shape[-2]
    return max(least, min(most, pixels // across))


def draw_samples(problem: Problem, judgement: Judgement, count: int = 12) -> NDArray[np.uint8]:
    """Draws the first levels, each with what was found of it."""
    size = tile_size(judgement.levels.shape[1:])
    drawn, captions = [], []
    for i in range(min(count, len(judgement.levels))):
        drawn.append(render(problem, judgement.levels[i], size))
        state = "playable" if judgement.play.playable[i] else "unknown" if judgement.play.unknown[i] else "not playable"
        distance = judgement.neighbours.distances
        near = f", nearest {distance[i]}" if i < len(distance) else ""
        captions.append(f"{state}{'' if judgement.novel_turned[i] else ', not novel'}{near}")
    columns = 4 if drawn[0].shape[1] > 200 else 6
    return contact_sheet(drawn, columns, captions)


def draw_neighbours(
    problem: Problem, judgement: Judgement, corpus: NDArray[np.uint8], count: int = 6
) -> NDArray[np.uint8]:
    """Draws levels, the most copied half of them first, beside their nearest corpus level and their patch's source.

    The copied patch is outlined in the level and in its source; cells that differ from the nearest level are left
    bright there, all others are faded. A level that is nearest under a symmetry is drawn as that image of it.
    """
    near, patches = judgement.neighbours, judgement.patches
    size = tile_size(judgement.levels.shape[1:], 240)
    worst = np.argsort(near.distances, kind="stable")
    typical = worst[len(worst) // 2 :]
    chosen = [*worst[: (count + 1) // 2], *typical[: count // 2]]
    drawn, captions = [], []
    for i in chosen:
        turned = images(problem.symmetries, judgement.levels[i : i + 1])
        level, source = turned[near.images[i], 0], corpus[near.indices[i]]
        drawn += [
            render(problem, level, size, border=False),
            faded(problem, source, level, size),
            outlined(problem, turned[patches.images[i], 0], patches.places[i], patches.sizes[i], size),
            outlined(problem, corpus[patches.sources[i]], patches.source_places[i], patches.sizes[i], size),
        ]
        depth, height, width = patches.sizes[i]
        measures = f"{height} x {width}" if len(problem.default_shape) == 2 else f"{depth} x {height} x {width}"
        captions += [
            f"sample {i}",
            f"nearest corpus level, {near.indices[i]}: {near.distances[i]} edits",
            f"sample {i}: copied patch of {measures}",
            f"its source, {patches.sources[i]}",
        ]
    return contact_sheet(drawn, 4, captions)


def outlined(
    problem: Problem, level: NDArray[np.uint8], place: NDArray[np.int64], extent: NDArray[np.int64], size: int
) -> NDArray[np.uint8]:
    """Draws a level with a patch outlined.

    Args:
        problem: whose level it is.
        level: uint8 (*shape).
        place: the patch's least (storey, row, column).
        extent: its (depth, height, width).
        size: of a tile, in pixels.
    """
    if level.ndim == 3:
        # Blocks hide what lies behind them: the patch's cells are marked instead.
        cells = [tuple(int(a + b) for a, b in zip(place, offset, strict=True)) for offset in np.ndindex(*extent)]
        return render(problem, level, size, path=cells)
    picture = render(problem, level, size, border=False).copy()
    top, left = int(place[1]) * size, int(place[2]) * size
    bottom, right = top + int(extent[1]) * size, left + int(extent[2]) * size
    thick = max(2, size // 6)
    for rows, columns in (
        (slice(top, top + thick), slice(left, right)),
        (slice(bottom - thick, bottom), slice(left, right)),
        (slice(top, bottom), slice(left, left + thick)),
        (slice(top, bottom), slice(right - thick, right)),
    ):
        picture[rows, columns] = _OUTLINE
    return picture


def faded(problem: Problem, level: NDArray[np.uint8], other: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Draws a level with the cells that are the same in another one faded."""
    picture = render(problem, level, size, border=False)
    if level.ndim == 3:
        return picture
    same = np.kron(level == other, np.ones((size, size), np.bool_))
    pale = (picture.astype(np.float32) * 0.3 + 0.7 * 200).astype(np.uint8)
    return np.where(same[..., None], pale, picture)


def _figure(rows: int, columns: int, width: float, height: float) -> tuple[Any, Any]:
    import matplotlib  # noqa: PLC0415 (slow to import)

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    return plt.subplots(rows, columns, figsize=(width, height), squeeze=False, layout="constrained")


def _finish(figure: Any) -> bytes:
    import matplotlib.pyplot as plt  # noqa: PLC0415

    file = BytesIO()
    figure.savefig(file, format="png", dpi=100, facecolor="white")
    plt.close(figure)
    return file.getvalue()


def draw_expressive_range(names: tuple[str, str], batches: Mapping[str, NDArray[np.float64]], reference: str) -> bytes:
    """Draws 2-D histograms of two metrics, one for each batch of levels, on the same axes (Smith 2010).

    Args:
        names: of the two metrics.
        batches: by whose they are, float64 (n, 2).
        reference: which of them decides the axes, with the first one: the corpus.

    Returns:
        A PNG file's bytes.
    """
    from matplotlib.colors import LogNorm  # noqa: PLC0415 (slow to import)

    figure, axes = _figure(1, len(batches), 3.6 * len(batches) + 0.6, 3.5)
    shown = np.concatenate([batches[reference], next(iter(batches.values()))])
    edges: list[NDArray[np.float64]] = []
    for column in shown.T:
        low, high = np.percentile(column, [0.5, 99.5])
        whole = bool((shown[:, len(edges)] == np.round(shown[:, len(edges)])).all())
        # Whole numbers get bins of a whole width, so that no bin holds more of them than another.
        step = max(1, int(np.ceil((high - low + 1) / 24))) if whole else max((high - low) / 24, 1e-9)
        edges.append(np.arange(low - (0.5 if whole else 0), high + 1.5 * step, step))
    least, greatest = [ends[0] for ends in edges], [ends[-1] for ends in edges]
    shares = []
    for values in batches.values():
        # What lies beyond the axes counts at their ends.
        first, second = np.clip(values, least, greatest).T
        shares.append(np.histogram2d(first, second, edges)[0] / len(values))
    top = max(share.max() for share in shares)
    least_share = min(1 / len(values) for values in batches.values())
    picture = None
    for axis, name, share in zip(axes[0], batches, shares, strict=True):
        masked = np.ma.masked_equal(share.T, 0)
        picture = axis.pcolormesh(edges[0], edges[1], masked, cmap="viridis", norm=LogNorm(least_share, top))
        axis.set_title(name, fontsize=9)
        axis.set_xlabel(names[0], fontsize=8)
        axis.set_ylabel(names[1], fontsize=8)
        axis.tick_params(labelsize=7)
    bar = figure.colorbar(picture, ax=axes[0].tolist(), shrink=0.85)
    bar.set_label("share of levels (logarithmic)", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return _finish(figure)


def draw_shifts(shifts: Sequence[MetricShift]) -> bytes:
    """Draws the bucket shares of samples, with their intervals, beside the corpus's; a PNG file's bytes."""
    columns = min(3, len(shifts))
    rows = -(-len(shifts) // columns)
    figure, axes = _figure(rows, columns, 4.2 * columns, 2.5 * rows)
    for axis, shift in zip(axes.flat, shifts, strict=False):
        shown = [i for i in range(len(shift.buckets)) if shift.sampled[i] or shift.corpus[i]]
        places = np.arange(len(shown))
        spans = np.stack([shift.sampled - shift.low, shift.high - shift.sampled]).clip(min=0)[:, shown]
        axis.bar(places - 0.2, shift.sampled[shown], 0.4, color=SAMPLED, label="samples", yerr=spans, ecolor="#444444")
        axis.bar(places + 0.2, shift.corpus[shown], 0.4, color=CORPUS, label="corpus")
        axis.set_xticks(places, [shift.buckets[i].replace(" to ", "-") for i in shown], fontsize=6.5)
        axis.set_title(f"{shift.name}: total variation {shift.variation:.2f}", fontsize=8.5)
        axis.tick_params(axis="y", labelsize=7)
    for axis in axes.flat[len(shifts) :]:
        axis.set_visible(False)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    # Beside the axes, where it hides no bar.
    figure.legend(handles, labels, loc="outside upper right", ncols=2, fontsize=8)
    axes.flat[0].set_ylabel("share of levels", fontsize=8)
    return _finish(figure)


def draw_maps(
    problem: Problem, levels: NDArray[np.uint8], corpus: NDArray[np.uint8], shifts: Sequence[TileShift], most: int = 4
) -> bytes | None:
    """Draws where the rarer tiles lie, in samples and corpus, and the difference; a PNG file's bytes.

    At most `most` tiles are drawn, the rare ones that are commonest; None where no tile is rare.
    """
    rare = sorted((shift for shift in shifts if shift.rare and shift.corpus), key=lambda shift: -shift.corpus)[:most]
    if not rare:
        return None
    height, width = levels.shape[-2:]
    figure, axes = _figure(len(rare), 3, 3 * max(1.6, 2.2 * min(2.0, width / height)), 2.1 * len(rare))
    for row, shift in zip(axes, rare, strict=True):
        tile = problem.tile_ids[shift.tile]
        own, other = cell_frequencies(levels, tile), cell_frequencies(corpus, tile)
        top = max(own.max(), other.max(), 1e-9)
        most_apart = max(float(np.abs(own - other).max()), 1e-9)
        for axis, values, name, colours, least, greatest in (
            (row[0], own, "samples", "viridis", 0, top),
            (row[1], other, "corpus", "viridis", 0, top),
            (row[2], own - other, "difference", "RdBu_r", -most_apart, most_apart),
        ):
            drawn = axis.imshow(values, cmap=colours, vmin=least, vmax=greatest)
            axis.set_title(f"{shift.tile}: {name}", fontsize=8)
            axis.set_xticks([])
            axis.set_yticks([])
            figure.colorbar(drawn, ax=axis, shrink=0.8).ax.tick_params(labelsize=6)
    return _finish(figure)


def draw_control(controls: Sequence[Control]) -> bytes:
    """Draws what was measured against what was asked, for each metric; a PNG file's bytes."""
    columns = min(3, len(controls))
    rows = -(-len(controls) // columns)
    figure, axes = _figure(rows, columns, 3.6 * columns, 3.0 * rows)
    for axis, control in zip(axes.flat, controls, strict=False):
        values = np.unique(control.asked)
        groups = [control.measured[control.asked == value] for value in values]
        width = 0.5 * float(np.diff(values).min()) if len(values) > 1 else 1.0
        axis.boxplot(groups, positions=values, widths=width, manage_ticks=False, flierprops={"markersize": 2})
        axis.plot(values, values, color=CORPUS, linewidth=1, marker="o", markersize=3, label="as asked")
        axis.set_xticks(values, [f"{value:.4g}" for value in values])
        axis.set_title(f"{control.metric}: error {control.error.mean:.2f}", fontsize=9)
        axis.set_xlabel("asked", fontsize=8)
        axis.set_ylabel("measured", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.legend(fontsize=7)
    for axis in axes.flat[len(controls) :]:
        axis.set_visible(False)
    return _finish(figure)


def region_rows(shift: TileShift) -> list[list[str]]:
    """Returns a tile's shares of the nine regions as rows of a table: region, samples, corpus."""
    return [
        [name, f"{100 * own:.1f} %", f"{100 * other:.1f} %"]
        for name, own, other in zip(REGIONS, shift.regions, shift.corpus_regions, strict=True)
    ]
