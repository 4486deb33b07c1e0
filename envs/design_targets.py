"""What design episodes are to reach: the target interval of each metric in each lane, fixed, given or drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from envs.design_options import Control
from envs.kernels.episode import HIGH, LOW, LOWER, SPAN
from envs.problem import Metric, Shape
from envs.randomness import Streams


class Targets:
    """The targets of a batch of episodes.

    Attributes:
        intervals: float64 (4, lanes, number of metrics), see `envs.kernels.episode`.
        finite: bool (lanes, number of metrics), whether a target can be met rather than only come nearer to.
        scaled: float32 (lanes, 2 * number of controls), the controlled metrics' low ends and then their high ends,
            scaled by the metrics' bounds to [0, 1].
    """

    def __init__(
        self,
        metrics: Sequence[Metric],
        wanted: NDArray[np.float64],
        controls: Sequence[Control],
        lanes: int,
        shape: Shape | None,
    ) -> None:
        """Makes the targets of episodes that have not begun.

        Args:
            metrics: the metrics that are measured.
            wanted: float64 (number of metrics, 2), the targets of metrics that are neither controlled nor given.
            controls: the metrics whose targets are drawn.
            lanes: how many lanes there are.
            shape: the shape of every level, or None where levels differ.
        """
        self._metrics = metrics
        self._wanted = wanted
        self._controls = controls
        self._shape = shape
        self._bounds_by_shape: dict[Shape, NDArray[np.float64]] = {}
        self.intervals = np.ones((4, lanes, len(metrics)))
        self.finite = np.zeros((lanes, len(metrics)), np.bool_)
        self.scaled = np.zeros((lanes, 2 * len(controls)), np.float32)
        # Where nothing tells lanes or episodes apart, what is set once stands for good.
        self._constant = shape is not None and not controls
        if self._constant:
            self._set(np.arange(lanes), np.tile([shape], (lanes, 1)), np.zeros((lanes, 0)), {})

    def set(
        self,
        streams: Streams,
        lanes: NDArray[np.int64],
        shapes: NDArray[np.int64],
        given: Mapping[int, NDArray[np.float64]],
    ) -> None:
        """Sets the targets of the lanes that begin an episode.

        Args:
            streams: the lanes' random numbers.
            lanes: int64 (k,), the lanes that begin.
            shapes: int64 (n, axes), all lanes' own shapes.
            given: float64 (n, 2), the intervals that the caller gave for all lanes, by the metric's column.
        """
        if given:
            self._constant = False
        if not self._constant:
            draws = streams.draw(lanes, len(self._controls)) if self._controls else np.zeros((len(lanes), 0))
            self._set(lanes, shapes[lanes], draws, given)

    def _bounds(self, shape: Shape) -> NDArray[np.float64]:
        """Returns the metrics' bounds for levels of a shape, float64 (number of metrics, 2)."""
        if shape not in self._bounds_by_shape:
            self._bounds_by_shape[shape] = np.array([metric.bounds(shape) for metric in self._metrics], np.float64)
        return self._bounds_by_shape[shape]

    def _set(
        self,
        lanes: NDArray[np.int64],
        shapes: NDArray[np.int64],
        draws: NDArray[np.float64],
        given: Mapping[int, NDArray[np.float64]],
    ) -> None:
        if self._shape is not None:
            bounds = np.broadcast_to(self._bounds(self._shape), (len(lanes), len(self._metrics), 2))
        else:
            bounds = np.stack([self._bounds(tuple(shape.tolist())) for shape in shapes])
        lower, upper = bounds[..., 0], bounds[..., 1]
        wanted = np.repeat(self._wanted[None], len(lanes), axis=0)
        for i, (column, low, high) in enumerate(self._controls):
            least = np.maximum(lower[:, column], -np.inf if low is None else low)
            most = np.minimum(upper[:, column], np.inf if high is None else high)
            drawn = least + np.floor(draws[:, i] * (most - least + 1))
            wanted[:, column] = np.minimum(drawn, most)[:, None]
        for column, ends in given.items():
            wanted[:, column] = ends[lanes]
        low_ends, high_ends = wanted[..., 0], wanted[..., 1]
        self.finite[lanes] = np.isfinite(low_ends) | np.isfinite(high_ends)
        intervals = self.intervals
        intervals[LOWER, lanes] = lower
        intervals[SPAN, lanes] = np.maximum(upper - lower, 1e-9)
        intervals[LOW, lanes] = np.clip(low_ends, lower, upper)
        intervals[HIGH, lanes] = np.clip(high_ends, lower, upper)
        if self._controls:
            columns = [column for column, _, _ in self._controls]
            offset, span, low, high = intervals[:, lanes][:, :, columns]
            self.scaled[lanes] = np.concatenate([(low - offset) / span, (high - offset) / span], axis=1)
