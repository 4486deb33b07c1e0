"""Which levels can be won, by the problem's own solver."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs import solve
from envs.problem import Problem
from envs.suite import clipped_targets, interval_distances

#: Whether solvers' time is a processor's, for on a busy machine the clock on the wall would make levels unknown that
#: another run solves; not every system keeps it.
PROCESSOR_TIME = hasattr(time, "pthread_getcpuclockid")


@dataclass(frozen=True)
class Play:
    """What play and measurement found out about levels.

    Attributes:
        metrics: float32 (n, metrics), by `Problem.measure`.
        playable: bool (n,), that our player completes the level; see `play_levels`.
        unknown: bool (n,): the solver gave up. Such levels count as not playable.
        on_target: bool (n,): every metric with a finite target lies inside it.
        lengths: float64 (n,), the actions of the solution found, NaN where there is none. It is a shortest solution
            only where the solver finds such by itself.
    """

    metrics: NDArray[np.float32]
    playable: NDArray[np.bool_]
    unknown: NDArray[np.bool_]
    on_target: NDArray[np.bool_]
    lengths: NDArray[np.float64]


def play_levels(
    problem: Problem,
    levels: NDArray[np.uint8],
    seconds: float = 1.0,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Play:
    """Measures levels and lets the solver play them.

    Where a problem has metrics that are found by playing, a level is playable that they or the solver have won: they
    give up large levels soon, the solver has the time. In all other problems the solver must win and
    `Problem.playable` must agree: binary's player can walk in a level of several regions too, and zelda's metrics do
    not see that an enemy bars the way. Without rules of play the metrics alone decide. A solver that can look for any
    solution instead of a shortest one (sokoban's) does so.

    Args:
        problem: whose levels they are.
        levels: uint8 (n, *shape).
        seconds: the time of a processor that the solver may take for a level, or by the clock on the wall where the
            system keeps no such time.
        workers: how many levels are solved side by side; None means one for each processor core.
        progress: called as progress(levels done, levels in all).

    Returns:
        What was found, of n levels.
    """
    metrics = problem.measure(levels)
    low, high = clipped_targets(problem, levels.shape[1:])
    finite = [i for i, metric in enumerate(problem.metrics) if metric.finite]
    on_target = (interval_distances(metrics, low, high)[:, finite] == 0).all(axis=1)
    if problem.rules is None:
        playable = problem.playable(metrics)
        return Play(metrics, playable, np.zeros(len(levels), np.bool_), on_target, np.full(len(levels), np.nan))
    anyhow: dict[str, Any] = (
        {"shortest": "any"} if "shortest" in inspect.signature(problem.rules.solve).parameters else {}
    )
    solutions = solve(
        problem, levels, seconds=seconds, workers=workers, progress=progress, processor_time=PROCESSOR_TIME, **anyhow
    )
    solved = np.array([solution.solved for solution in solutions], np.bool_)
    told = problem.playable(metrics)
    played = any(metric.play for metric in problem.metrics)
    playable = solved | told if played else solved & told
    unknown = np.array([solution.status == "unknown" for solution in solutions], np.bool_)
    return Play(
        metrics,
        playable,
        unknown & ~playable,
        on_target,
        np.array([len(solution.actions) if solution.solved else np.nan for solution in solutions], np.float64),
    )
