"""What the levels of design episodes measure, and what follows: losses, success, whether the goal is met."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.design_starts import by_shape
from envs.design_targets import Targets
from envs.kernels.episode import MOST_STEPS, NOW, REMAINING, STEPS, appraise, select
from envs.problem import Metric, Problem
from envs.representation import Canvas
from envs.suite import measure_columns


class Measures:
    """Measures the levels of a batch of episodes as they change.

    Metrics that are found by playing a level may be measured only now and then (`play_every`); in between they stand
    as they were measured last, so that improvement is paid late but in full. A goal never counts as met by a level that
    has not been played as it stands.

    Attributes:
        metrics: float32 (4, lanes, number of metrics), see `envs.kernels.episode`.
        losses: float64 (2, lanes), likewise.
        success: bool (lanes,), whether the published rule holds.
        met: bool (lanes,), whether every metric with a finite target is inside it and our player completes the level.
        goal: bool (lanes,), whether the level is as good as is asked, which ends the episode.
    """

    def __init__(
        self,
        problem: Problem,
        extra: Sequence[Metric],
        weights: NDArray[np.float64],
        targets: Targets,
        canvas: Canvas,
        same_shape: bool,
        play_every: int,
    ) -> None:
        """Makes room for the measures of episodes that have not begun.

        Args:
            problem: what is measured.
            extra: optional metrics that are measured too.
            weights: float64 (number of metrics,), of the problem's and then the optional ones.
            targets: the lanes' targets.
            canvas: the batch.
            same_shape: whether all levels are of the canvas's shape.
            play_every: measure metrics with `play` every so many steps, and at the beginning and the end of an
                episode; 0 only at these.
        """
        lanes, columns = len(canvas.levels), len(weights)
        self._problem = problem
        self._extra = extra
        self._weights = weights
        self._targets = targets
        self._canvas = canvas
        self._same_shape = same_shape
        self._play_every = play_every
        self._play = np.array([metric.play for metric in (*problem.metrics, *extra)])
        self._rarely = play_every != 1 and bool(self._play.any())
        self.metrics = np.zeros((4, lanes, columns), np.float32)
        self.losses = np.zeros((2, lanes))
        self.success = np.zeros(lanes, np.bool_)
        self.met = np.zeros(lanes, np.bool_)
        self.goal = np.zeros(lanes, np.bool_)

        # Room to work in, so that steps allocate nothing but what they return.
        self._lanes = np.zeros(lanes, np.int64)
        self._chosen = np.zeros_like(canvas.levels)
        self._starts = np.zeros((lanes, columns), np.float32)
        self._nobody = np.zeros(lanes, np.bool_)
        # The lanes whose levels have changed since they were played.
        self._unplayed = np.zeros(lanes, np.bool_)

    def update(
        self,
        active: NDArray[np.bool_],
        changed: NDArray[np.int64],
        begun: NDArray[np.bool_],
        counters: NDArray[np.int64],
        finished: NDArray[np.bool_],
    ) -> None:
        """Measures the lanes that changed or began, and brings up to date all that follows from their metrics.

        Args:
            active: bool (lanes,), the lanes that act in this step.
            changed: int64 (lanes,), how many tiles each of them changed.
            begun: bool (lanes,), the lanes that begin an episode.
            counters: int64 (5, lanes), as they were before this step.
            finished: bool (lanes,), whether there is nothing left to do.
        """
        if not self._rarely:
            self._measure(changed, begun, play=True)
            return
        steps = counters[STEPS] + 1
        due = finished | (counters[REMAINING] <= changed) | (steps >= counters[MOST_STEPS])
        if self._play_every:
            due |= steps % self._play_every == 0
        self._unplayed |= changed > 0
        now = (self._unplayed & due & active) | begun
        self._measure(((changed > 0) & ~now).astype(np.int64), self._nobody, play=False)
        self._play_levels(now, begun)
        # What seems to have reached its goal has to show it.
        self._play_levels(self._unplayed & self.goal & active, self._nobody)

    def _play_levels(self, now: NDArray[np.bool_], begun: NDArray[np.bool_]) -> None:
        self._measure(now.astype(np.int64), begun, play=True)
        self._unplayed &= ~now

    def _measure(self, changed: NDArray[np.int64], begun: NDArray[np.bool_], play: bool) -> None:
        canvas, problem = self._canvas, self._problem
        lanes, levels, starts = self._lanes, self._chosen, self._starts
        flat = canvas.levels.reshape(len(levels), -1), levels.reshape(len(levels), -1)
        count = select(flat[0], changed, begun, lanes, flat[1])
        if not count:
            return
        if count < len(levels):
            lanes, levels, starts = lanes[:count], levels[:count], starts[:count]
        if self._same_shape:
            measured = measure_columns(problem, levels, self._extra, play)
        else:
            measured = np.empty((count, len(self._weights)), np.float32)
            for members, shape in by_shape(canvas.shapes[lanes]):
                window: tuple[Any, ...] = (members, *(slice(size) for size in shape))
                own = np.ascontiguousarray(levels[window])
                measured[members] = measure_columns(problem, own, self._extra, play)
        measured = np.ascontiguousarray(measured, np.float32)
        if not play:
            measured[:, self._play] = self.metrics[NOW, lanes][:, self._play]
        intervals, finite = self._targets.intervals, self._targets.finite
        appraise(lanes, measured, begun, intervals, finite, self._weights, self.metrics, self.losses, self.met, starts)
        if self._extra:
            standard = len(problem.metrics)
            measured, starts = measured[:, :standard], starts[:, :standard]
        self.success[lanes] = problem.succeeded(measured, starts)
        self.met[lanes] &= problem.completed(measured)
