"""Pictures of a search, drawn of its result (`search.results.gather`); each function returns a PNG file's bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import combinations
from typing import Any

import numpy as np

from search.objectives import OBJECTIVES

#: The colours of the pick, the default, a random search's pick and all others; for the colour-blind too (Okabe 2008).
PICK, DEFAULT, RANDOM, OTHERS = "#D55E00", "#0072B2", "#009E73", "#888888"

#: Settings whose greatest value is so many times the least are drawn by their logarithm.
_WIDE = 8.0

Trial = Mapping[str, Any]


def new_figure(rows: int, columns: int, width: float, height: float) -> tuple[Any, Any]:
    """Returns a matplotlib figure without a window and its axes, (rows, columns)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 (slow to import)
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def finish(figure: Any) -> bytes:
    """Returns a figure as the bytes of a PNG file."""
    file = BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return file.getvalue()


def label(name: str) -> str:
    """Returns what stands beside the axis of a figure."""
    objective = OBJECTIVES[name]
    better = "more is better" if objective.direction == "maximize" else "less is better"
    unit = f", {objective.unit}" if objective.unit else ""
    return f"{name.replace('_', ' ')}{unit} ({better})"


def draw_fronts(result: Mapping[str, Any]) -> bytes:
    """Draws the trials by each pair of objectives, the front as a line, the default and the pick marked."""
    names = list(result["plan"]["objectives"])
    if len(names) == 1:
        names.append(result["cost"])
    pairs = list(combinations(names, 2))
    columns = min(3, len(pairs))
    rows = -(-len(pairs) // columns)
    figure, axes = new_figure(rows, columns, 4.6 * columns, 3.7 * rows + 0.4)
    for axis, (first, second) in zip(axes.flat, pairs, strict=False):
        # Costs go to the right, where people look for them.
        across, up = (first, second) if OBJECTIVES[first].cost else (second, first)
        _draw_front(axis, result, across, up)
    for axis in axes.flat[len(pairs) :]:
        axis.set_visible(False)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=6, fontsize=8)
    return finish(figure)


def _draw_front(axis: Any, result: Mapping[str, Any], across: str, up: str) -> None:
    known = [trial for trial in result["trials"] if {across, up} <= trial["figures"].keys()]
    if result["guide"] != result["quality"]:
        # They were stopped for another figure, and these were measured on few levels.
        known = [trial for trial in known if trial["state"] != "stopped"]

    def points(chosen: Sequence[Trial]) -> tuple[list[float], list[float]]:
        return [one["figures"][across] for one in chosen], [one["figures"][up] for one in chosen]

    stopped = [trial for trial in known if trial["state"] == "stopped"]
    whole = [trial for trial in known if trial["state"] == "finished"]
    broken = [trial for trial in whole if not trial["feasible"]]
    fine = [trial for trial in whole if trial["feasible"]]
    if stopped:
        axis.scatter(*points(stopped), s=9, facecolors="none", edgecolors="#BBBBBB", label="stopped at a rung")
    axis.scatter(*points(fine), s=20, color=OTHERS, label="trained whole")
    if broken:
        axis.scatter(*points(broken), s=22, marker="x", color="#BBBBBB", label="breaks a constraint")
    edge = [trial for trial in fine if trial["number"] in result["front"]]
    edge = sorted(_best_of_two(edge, across, up), key=lambda trial: trial["figures"][across])
    axis.plot(*points(edge), color="black", linewidth=1, alpha=0.6, zorder=1, label="front of these two")
    for number, colour, name, marker in (
        (result["default"], DEFAULT, "default", "s"),
        (result["pick"], PICK, "pick", "*"),
    ):
        found = [trial for trial in known if trial["number"] == number]
        size = 60 if marker == "s" else 150
        axis.scatter(*points(found), s=size, color=colour, marker=marker, edgecolors="white", label=name, zorder=3)
        for trial in found:
            low, high = (trial["figures"].get(f"{up}_{end}") for end in ("low", "high"))
            if low is not None and high is not None:
                axis.plot([trial["figures"][across]] * 2, [low, high], color=colour, linewidth=1.2, zorder=2)
    if OBJECTIVES[across].cost and _wide([trial["figures"][across] for trial in known]):
        _scale_by_logarithm(axis, [trial["figures"][across] for trial in known])
    if axis.get_ylim()[0] < 0 <= min((trial["figures"][up] for trial in known), default=-1):
        axis.set_ylim(bottom=0)
    axis.set_xlabel(label(across), fontsize=8)
    axis.set_ylabel(label(up), fontsize=8)
    axis.tick_params(labelsize=7, which="both")
    axis.grid(alpha=0.2)


def _scale_by_logarithm(axis: Any, values: Sequence[float]) -> None:
    """Lets the lower axis be logarithmic, with ticks that are read like those of others."""
    axis.set_xscale("log")
    decades = range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)
    ticks = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
    ticks = [tick for tick in ticks if 0.8 * min(values) <= tick <= 1.25 * max(values)]
    axis.set_xticks(ticks, [f"{tick:,.0f}" if tick >= 1000 else f"{tick:.3g}" for tick in ticks])
    axis.minorticks_off()


def _best_of_two(trials: Sequence[Trial], *names: str) -> list[Trial]:
    """Returns the trials that no other one is better than in both of two objectives."""
    table = np.array([[OBJECTIVES[name].loss(trial["figures"][name]) for name in names] for trial in trials])
    return [
        trial
        for trial, row in zip(trials, table, strict=True)
        if not ((table <= row).all(axis=1) & (table < row).any(axis=1)).any()
    ]


def _wide(values: Sequence[float]) -> bool:
    """Returns whether values are better seen by their logarithms."""
    return bool(values) and min(values) > 0 and max(values) / min(values) > _WIDE


def draw_curves(result: Mapping[str, Any]) -> bytes:
    """Draws how what trials are compared by changed from rung to rung."""
    guide = result["guide"]
    figure, axes = new_figure(1, 1, 7.4, 4.0)
    axis = axes[0, 0]
    styles = {"stopped": ("#BBBBBB", 0.8, "stopped at a rung"), "finished": ("#555555", 1.0, "trained whole")}
    named = set()
    for trial in sorted(result["trials"], key=lambda trial: trial["number"] in (result["default"], result["pick"])):
        rungs = [rung for rung in trial["rungs"] if guide in rung["figures"]]
        if not rungs:
            continue
        shares = [rung["share"] for rung in rungs]
        values = [rung["figures"][guide] for rung in rungs]
        colour, width, name = styles.get(trial["state"], ("#DDDDDD", 0.8, "others"))
        if trial["number"] == result["default"]:
            colour, width, name = DEFAULT, 2.2, "default"
        if trial["number"] == result["pick"]:
            colour, width, name = PICK, 2.2, "pick"
        marker = "o" if len(rungs) == 1 or width > 2 else ""
        size = 5 if width > 2 else 3
        text = "" if name in named else name
        axis.plot(shares, values, color=colour, linewidth=width, marker=marker, markersize=size, label=text, alpha=0.85)
        named.add(name)
    axis.set_xscale("log")
    shares = sorted({rung["share"] for trial in result["trials"] for rung in trial["rungs"]})
    axis.set_xticks(shares, [f"{100 * share:.0f} %" for share in shares])
    axis.minorticks_off()
    axis.set_xlabel("share of a whole training", fontsize=9)
    axis.set_ylabel(label(guide), fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.2)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=5, fontsize=8)
    return finish(figure)


def draw_importances(importances: Mapping[str, Mapping[str, float]]) -> bytes:
    """Draws how much each setting matters.

    Args:
        importances: by what for, by setting, a share of 1.
    """
    figure, axes = new_figure(1, len(importances), 4.8 * len(importances), 0.8 + 0.26 * _longest(importances))
    for axis, (what, found) in zip(axes.flat, importances.items(), strict=True):
        names = sorted(found, key=lambda name: found[name])
        axis.barh(names, [found[name] for name in names], color=DEFAULT)
        for place, name in enumerate(names):
            axis.text(found[name] + 0.01, place, f"{100 * found[name]:.0f} %", va="center", fontsize=7)
        axis.set_xlim(0, 1.12 * max(found.values()) + 0.02)
        axis.set_title(f"for {what}", fontsize=9)
        axis.tick_params(labelsize=7.5)
        axis.grid(axis="x", alpha=0.2)
    return finish(figure)


def _longest(parts: Mapping[str, Mapping[str, float]]) -> int:
    return max(len(part) for part in parts.values())


def flat_settings(trial: Trial) -> dict[str, Any]:
    """Returns a trial's settings by "part.field"; of several numbers how many they are and their sum."""
    found: dict[str, Any] = {}
    for part, values in trial["settings"].items():
        for name, value in values.items():
            if isinstance(value, (list, tuple)):
                found[f"{part}.{name}, how many"], found[f"{part}.{name}, sum"] = len(value), sum(value)
            else:
                found[f"{part}.{name}"] = value
    return found


def draw_parallel(result: Mapping[str, Any], settings: Sequence[str]) -> bytes:
    """Draws trials as lines through their settings to their objectives, coloured by the quality.

    Args:
        result: the search's.
        settings: which, from left to right.
    """
    from matplotlib import colormaps  # noqa: PLC0415

    quality = result["quality"]
    trials = [trial for trial in result["trials"] if trial["state"] == "finished" and quality in trial["figures"]]
    objectives = list(result["plan"]["objectives"])
    rows = [flat_settings(trial) | {name: trial["figures"].get(name) for name in objectives} for trial in trials]
    names = [*settings, *objectives[1:], quality]
    figure, axes = new_figure(1, 1, max(7.0, 1.15 * len(names)), 4.6)
    axis = axes[0, 0]
    columns = [
        _Axis([row.get(name) for row in rows], name in OBJECTIVES and not OBJECTIVES[name].unit) for name in names
    ]
    places = np.array(
        [[column.place(row.get(name)) for name, column in zip(names, columns, strict=True)] for row in rows]
    )
    values = np.array([row[quality] for row in rows])
    order = np.argsort(values if OBJECTIVES[quality].direction == "maximize" else -values, kind="stable")
    special = {result["default"]: (DEFAULT, "default"), result["pick"]: (PICK, "pick")}
    for shade, i in enumerate(order):
        marked = special.get(trials[i]["number"])
        colour = marked[0] if marked else colormaps["viridis"](shade / max(1, len(order) - 1))
        axis.plot(
            places[i],
            color=colour,
            linewidth=2.6 if marked else 1.0,
            alpha=1.0 if marked else 0.6,
            zorder=3 if marked else 2,
            label=marked[1] if marked else None,
        )
    for place, column in enumerate(columns):
        axis.axvline(place, color="black", linewidth=0.6, zorder=1)
        for height, text in column.ticks():
            axis.text(
                place + 0.03,
                height,
                text,
                fontsize=6.5,
                va="center",
                zorder=4,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.75},
            )
    shown = [name.replace("_", " ").replace(".", "\n", 1).replace(", ", ",\n") for name in names]
    axis.set_xticks(range(len(names)), shown, fontsize=7.5)
    axis.set_yticks([])
    axis.set_xlim(-0.15, len(names) - 0.55)
    for side in ("top", "right", "left", "bottom"):
        axis.spines[side].set_visible(False)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper right", ncols=2, fontsize=8)
    return finish(figure)


class _Axis:
    """One axis of parallel coordinates: where values stand on it, from 0 to 1.

    Args:
        values: that stand on it.
        shares: whether they are shares of 1, whose logarithms nobody reads.
    """

    def __init__(self, values: Sequence[Any], shares: bool) -> None:
        known = [value for value in values if value is not None]
        self.numbers = bool(known) and all(
            isinstance(value, (int, float)) and not isinstance(value, bool) for value in known
        )
        self.kinds = [] if self.numbers else sorted({str(value) for value in known})
        self.low: float = min(known) if self.numbers else 0
        self.high: float = max(known) if self.numbers else max(1, len(self.kinds) - 1)
        self.log = self.numbers and not shares and _wide(known)
        self.whole = self.numbers and all(isinstance(value, int) for value in known)

    def place(self, value: Any) -> float:
        """Returns where a value stands; NaN where there is none."""
        if value is None:
            return math.nan
        number = value if self.numbers else self.kinds.index(str(value))
        if self.high == self.low or (not self.numbers and len(self.kinds) == 1):
            return 0.5
        if self.log:
            return math.log(number / self.low) / math.log(self.high / self.low)
        return (number - self.low) / (self.high - self.low)

    def ticks(self) -> list[tuple[float, str]]:
        """Returns what stands beside the axis, and where."""
        if not self.numbers:
            return [(self.place(kind), kind) for kind in self.kinds]
        if self.high == self.low:
            return [(0.5, _number(self.low, self.whole))]
        middle = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        middle = round(middle) if self.whole else middle
        values = dict.fromkeys([self.low, middle, self.high])
        return [(self.place(value), _number(value, self.whole)) for value in values]


def _number(value: float, whole: bool) -> str:
    return f"{value:,}" if whole else f"{value:.3g}"


def draw_retrained(candidates: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> bytes:
    """Draws what was measured of candidates that were trained anew: each seed, the mean, and its interval over seeds.

    Args:
        candidates: by what each is called: "runs" and "summary" of `search.results.summarise`.
        names: the figures.
    """
    colours = {"default": DEFAULT, "pick": PICK}
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure, axes = new_figure(rows, columns, 3.6 * columns, 0.9 * rows + 0.5 * rows * len(candidates))
    for number, (axis, name) in enumerate(zip(axes.flat, names, strict=False)):
        for place, (who, found) in enumerate(candidates.items()):
            values = [run["figures"][name] for run in found["runs"] if name in run["figures"]]
            told = found["summary"].get(name)
            if not values or told is None:
                continue
            colour = colours.get(who, RANDOM)
            if "low" in told:
                axis.plot([told["low"], told["high"]], [place, place], color=colour, linewidth=2)
            axis.scatter(values, [place + 0.22] * len(values), s=16, color=colour, alpha=0.5)
            axis.scatter([told["mean"]], [place], s=46, color=colour, zorder=3)
        axis.set_yticks(range(len(candidates)), ["" if number % columns else who for who in candidates], fontsize=8)
        axis.set_ylim(len(candidates) - 0.4, -0.6)
        axis.set_xlabel(label(name), fontsize=7.5)
        axis.locator_params(axis="x", nbins=5)
        axis.xaxis.set_major_formatter(lambda tick, _: f"{tick:,.6g}")
        axis.tick_params(axis="x", labelsize=7)
        axis.grid(axis="x", alpha=0.2)
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    return finish(figure)


def draw_proxies(result: Mapping[str, Any]) -> bytes:
    """Draws how well each zero-cost proxy ranks the trials of each rung, with 95 % intervals."""
    proxies = result["proxies"]
    figure, axes = new_figure(1, 1, 6.6, 0.9 + 0.3 * sum(len(ranks) for ranks in proxies.values()))
    axis = axes[0, 0]
    names: list[str] = []
    for proxy, ranks in proxies.items():
        for rank in ranks:
            place = len(names)
            names.append(f"{proxy.replace('_', ' ')}, rung {rank['rung']} ({rank['trials']} trials)")
            if rank["correlation"] is None or math.isnan(rank["correlation"]):
                axis.text(0, place, "not defined", fontsize=7, va="center", ha="center", color=OTHERS)
                continue
            axis.plot([rank["low"], rank["high"]], [place, place], color=DEFAULT, linewidth=1.6)
            axis.scatter([rank["correlation"]], [place], s=26, color=DEFAULT, zorder=3)
    axis.axvline(0, color="black", linewidth=0.8)
    axis.axvline(result["trusted"]["correlation"], color=PICK, linewidth=0.8, linestyle="--")
    axis.set_yticks(range(len(names)), names, fontsize=7.5)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.set_xlim(-1.02, 1.02)
    axis.set_xlabel("rank correlation with the quality", fontsize=8)
    axis.tick_params(axis="x", labelsize=7)
    axis.grid(axis="x", alpha=0.2)
    return finish(figure)
