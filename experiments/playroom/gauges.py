"""The metrics beside a level: each with its number, its target, a tick when met, and a curve of how it went."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

import pygame

from envs.problem import Metric, Problem
from experiments.playroom.look import BLUE, BRIGHT, GOLD, GREEN, MUTED, PANEL, RED, Brush


@dataclass
class Gauge:
    """One metric to show.

    Attributes:
        metric: the metric.
        target: the interval that is wanted.
        values: how it went, from the start of the episode to now; at least one number.
    """

    metric: Metric
    target: tuple[float, float]
    values: Sequence[float]

    @property
    def met(self) -> bool | None:
        """Whether the value is inside the target interval; None where there is no end to what is wanted."""
        if not any(abs(end) != float("inf") for end in self.target):
            return None
        return self.target[0] <= self.values[-1] <= self.target[1]


def number(value: float) -> str:
    """Returns a number without needless digits."""
    return f"{value:.0f}" if value == round(value) else f"{value:.2f}"


def target_words(target: tuple[float, float]) -> str:
    """Returns what a target interval asks for, in words."""
    low, high = target
    infinite = float("inf")
    if low == infinite:
        return "as much as possible"
    if high == -infinite:
        return "as little as possible"
    if low == -infinite and high == infinite:
        return "anything"
    if low == high:
        return number(low)
    if high == infinite:
        return f"at least {number(low)}"
    if low == -infinite:
        return f"at most {number(high)}"
    return f"{number(low)} to {number(high)}"


def goal_words(problem: Problem) -> str:
    """Returns a problem's published rule of success, as its own documentation puts it."""
    return (inspect.getdoc(problem.succeeded) or "").split("\n\n")[0].replace("\n", " ")


def draw_gauges(brush: Brush, box: pygame.Rect, gauges: Sequence[Gauge], most: int | None, curves: bool = True) -> int:
    """Draws metrics one below the other and returns the y below them.

    Args:
        brush: what to draw with.
        box: where; rows are made lower where they would not fit.
        gauges: the metrics.
        most: how many changes the width of a curve stands for; None fits the curve.
        curves: whether to draw how the metrics went.
    """
    row = min(box.height // max(len(gauges), 1), brush.px(112 if curves else 40))
    for i, gauge in enumerate(gauges):
        cell = pygame.Rect(box.left, box.top + i * row, box.width, row)
        _draw_gauge(brush, cell, gauge, most, curves)
    return box.top + row * len(gauges)


def _draw_gauge(brush: Brush, cell: pygame.Rect, gauge: Gauge, most: int | None, curves: bool) -> None:
    middle = cell.centery if not curves else cell.top + brush.px(19)
    met = gauge.met
    if met is not None:
        brush.tick((cell.left + brush.px(9), middle), 16, met)
    else:
        start, now = gauge.values[0], gauge.values[-1]
        upwards = gauge.target[0] == float("inf")
        direction = "up" if upwards else "down"
        better = now > start if upwards else now < start
        worse = now < start if upwards else now > start
        colour = GREEN if better else RED if worse else MUTED
        brush.arrow((cell.left + brush.px(9), middle), brush.px(15), direction, colour)
    name = brush.text(gauge.metric.name, (cell.left + brush.px(26), middle), 15, BRIGHT, anchor="midleft")
    value = brush.text(
        number(gauge.values[-1]), (cell.right, middle), 20, GREEN if met else BRIGHT, bold=True, anchor="midright"
    )
    change = gauge.values[-1] - gauge.values[0]
    left = value.left - brush.px(10)
    if len(gauge.values) > 1 and change:
        shown = f"{'+' if change > 0 else '-'}{number(abs(change))}"
        left = brush.text(shown, (left, middle), 13, BLUE, anchor="midright").left - brush.px(10)
    wanted = brush.shortened(f"target {target_words(gauge.target)}", left - name.right - brush.px(10), 13)
    if len(wanted) > 2:
        brush.text(wanted, (name.right + brush.px(10), middle + brush.px(1)), 13, MUTED, anchor="midleft")
    height = cell.bottom - middle - brush.px(22)
    if curves and height >= brush.px(8):
        line = pygame.Rect(cell.left, middle + brush.px(14), cell.width, height)
        brush.curve(line, gauge.values, most or 0, gauge.target, GREEN if met else GOLD)


def draw_chip(brush: Brush, box: pygame.Rect, label: str, met: bool) -> None:
    """Draws a plate that says whether something holds."""
    brush.panel(box, PANEL, 8, GREEN if met else None)
    brush.tick((box.left + brush.px(18), box.centery), 17, met)
    words = brush.shortened(label, box.width - brush.px(42), 14)
    brush.text(words, (box.left + brush.px(34), box.centery), 14, BRIGHT if met else MUTED, anchor="midleft")
