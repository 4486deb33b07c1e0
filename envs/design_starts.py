"""Where design episodes start: the shapes, levels and frozen tiles of the lanes that begin."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from envs.problem import Problem, Shape, inside
from envs.randomness import Streams
from envs.representation import Canvas


class Starts:
    """Puts start levels on a canvas.

    Attributes:
        same_shape: whether every level has the canvas's full shape.
        given: whether episodes begin from levels that were given.
    """

    def __init__(
        self,
        problem: Problem,
        shape: Shape,
        min_shape: Shape,
        levels: NDArray[np.uint8] | None,
        frozen_share: float,
    ) -> None:
        """Takes the options of `envs.vector_env.DesignVectorEnv` of the same meaning, checked."""
        self._problem = problem
        self._shape = shape
        self._cells = math.prod(shape)
        self._min_shape = min_shape
        self._levels = levels
        self.given = levels is not None
        self._frozen_share = frozen_share
        self._ever_frozen = False
        self.same_shape = min_shape == shape

    def put(
        self,
        canvas: Canvas,
        streams: Streams,
        lanes: NDArray[np.int64],
        levels: NDArray[np.uint8] | None = None,
        frozen: NDArray[np.bool_] | None = None,
    ) -> None:
        """Begins some lanes. What is not given is drawn; the streams move on alike whatever is given.

        Args:
            canvas: the batch; `shapes`, `levels`, `frozen` and `free` are changed.
            streams: the lanes' random numbers.
            lanes: int64 (k,), the lanes that begin.
            levels: uint8 (n, *shape), the start levels of all lanes, or None to draw them.
            frozen: bool (n, *shape), the frozen cells of all lanes, or None to draw them.
        """
        if not self.same_shape:
            draws = streams.draw(lanes, len(self._shape))
            canvas.shapes[lanes] = self._shape
            if levels is None:
                least = np.array(self._min_shape)
                canvas.shapes[lanes] = least + (draws * (np.array(self._shape) - least + 1)).astype(np.int64)
        draws = streams.draw(lanes, 1 + self._cells if self._levels is None else 1)
        canvas.levels[lanes] = self._drawn(canvas, lanes, draws) if levels is None else levels[lanes]
        if self._frozen_share:
            draws = streams.draw(lanes, self._cells)
            if frozen is None:
                canvas.frozen[lanes] = (draws < self._frozen_share).reshape(-1, *self._shape)
        if frozen is not None:
            canvas.frozen[lanes] = frozen[lanes]
        elif not self._frozen_share and self._ever_frozen:
            canvas.frozen[lanes] = False
        self._ever_frozen = self._ever_frozen or frozen is not None or self._frozen_share > 0
        if self._ever_frozen or not self.same_shape:
            inside = canvas.levels[lanes] != canvas.outside
            canvas.frozen[lanes] &= inside
            canvas.free[lanes] = (inside & ~canvas.frozen[lanes]).reshape(len(lanes), -1).sum(axis=1)

    def _drawn(self, canvas: Canvas, lanes: NDArray[np.int64], draws: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Returns random start levels, uint8 (k, *shape), of the shapes that the lanes have."""
        if self._levels is not None:
            return self._levels[(draws[:, 0] * len(self._levels)).astype(np.int64)]
        if self.same_shape:
            return self._problem.start_levels(draws, self._shape)
        drawn = np.full((len(lanes), *self._shape), canvas.outside, np.uint8)
        for members, shape in by_shape(canvas.shapes[lanes]):
            own = draws[members, : 1 + math.prod(shape)]
            drawn[(members, *inside(shape))] = self._problem.start_levels(own, shape)
        return drawn


def by_shape(shapes: NDArray[np.int64]) -> list[tuple[NDArray[np.int64], Shape]]:
    """Groups shapes, int64 (k, axes): which rows have it, and the shape, for each that occurs."""
    different, groups = np.unique(shapes, axis=0, return_inverse=True)
    return [(np.flatnonzero(groups == i), tuple(shape.tolist())) for i, shape in enumerate(different)]
