"""What constructive generators share: every level is confirmed, by the problem's measure and by its solver."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from envs.errors import UserError
from envs.problem import Problem, Shape

#: How many times a level is built anew before its generator gives up.
ATTEMPTS = 200

#: The most states that the solver may expand for one try; a level that needs more is built anew.
_BUDGET = 50_000

# An odd number with its bits well mixed, by which the streams of a level's attempts differ.
_ATTEMPT = np.uint64(0xD1B54A32D192ED03)

#: Fills in levels, uint8 (n, height, width), from their own splitmix64 streams, uint64 (n,), which it moves on.
Builder = Callable[[NDArray[np.uint64], NDArray[np.uint8]], None]

#: Tells from their metrics, float32 (n, metrics), which levels to keep, bool (n,).
Judge = Callable[[NDArray[np.float32]], NDArray[np.bool_]]


def least_shape(name: str, shape: Shape, least: Shape) -> None:
    """Checks that a shape is large enough for a problem's generator.

    Raises:
        UserError: it is not.
    """
    if any(size < small for size, small in zip(shape, least, strict=True)):
        raise UserError(f"{name} levels can be constructed from {least} (height, width) up; got {tuple(shape)}.")


def confirmed(
    problem: Problem, build: Builder, seeds: NDArray[np.uint64], shape: Shape, wanted: Judge | None = None
) -> NDArray[np.uint8]:
    """Builds levels until each one is what is wanted, meets every finite target, and is solved.

    Args:
        problem: whose levels these are.
        build: the algorithm. A level must depend on its stream and the shape alone.
        seeds: uint64 (n,), one for each level.
        shape: the (height, width) wanted.
        wanted: what is asked of a level's metrics beyond the problem's finite targets; None asks for nothing.

    Returns:
        uint8 (n, height, width).

    Raises:
        UserError: no attempt gave such a level.
    """
    finite = [i for i, metric in enumerate(problem.metrics) if metric.finite]
    low, high = np.array([problem.metrics[i].target for i in finite], np.float32).reshape(-1, 2).T
    levels = np.empty((len(seeds), *shape), np.uint8)
    waiting = np.arange(len(seeds))
    for attempt in range(ATTEMPTS):
        tried = np.empty((len(waiting), *shape), np.uint8)
        # Every attempt has a stream of its own; the first has the seed itself.
        build(seeds[waiting] ^ (np.array([attempt], np.uint64) * _ATTEMPT), tried)
        measured = problem.measure(tried)
        good = np.all((measured[:, finite] >= low) & (measured[:, finite] <= high), axis=1, keepdims=True)[:, 0]
        if wanted is not None:
            good &= wanted(measured)
        if problem.rules is not None:
            for i in np.flatnonzero(good):
                good[i] = problem.rules.solve(tried[i], _BUDGET).solved
        levels[waiting[good]] = tried[good]
        waiting = waiting[~good]
        if not len(waiting):
            return levels
    raise UserError(
        f"No {problem.name} level of shape {tuple(shape)} that keeps its promises was found in {ATTEMPTS} attempts; "
        "try a larger shape."
    )
