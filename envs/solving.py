"""Solves many levels side by side, each within limits of its own."""

from __future__ import annotations

import inspect
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.errors import UserError
from envs.kernels.stop import UNLIMITED
from envs.problem import Problem
from envs.rules import Rules, Solution

#: How long the thread that keeps the time sleeps at most, in seconds.
_POLL = 0.02


def solve_many(
    problem: Problem,
    rules: Rules,
    levels: Any,
    budget: int | None = None,
    seconds: float | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    processor_time: bool = False,
    **options: Any,
) -> list[Solution]:
    """Searches for play actions that win each level; see `envs.solve`, which says what goes in and what comes out."""
    _check_limits(budget, seconds, workers, processor_time)
    _check_options(problem, rules, options)
    batch = _separate_levels(problem, levels)
    if budget is None and seconds is not None:
        budget = UNLIMITED
    count = min(len(batch), processors() if workers is None else int(workers))
    if count <= 1 and seconds is None:
        # Nothing to share out and no time to keep: without a thread a single level is soonest solved.
        solutions = []
        for number, level in enumerate(batch):
            name = number if len(batch) > 1 else None
            solutions.append(_solve_one(rules, level, name, budget, None, options))
            if progress is not None:
                progress(number + 1, len(batch))
        return solutions
    if seconds is not None:
        # What is compiled at first use must not count as time spent on a level.
        for level in batch:
            if rules.problem_with(level) is None:
                rules.solve(level, 1, None, **options)
                break
    return _Team(rules, batch, budget, seconds, count, processor_time, options).run(progress)


def processors() -> int:
    """Returns how many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check_limits(budget: Any, seconds: Any, workers: Any, processor_time: bool) -> None:
    if budget is not None and (not isinstance(budget, (int, np.integer)) or budget < 1):
        raise UserError(f"The solver's budget must be a whole number of at least 1 state; got {budget!r}.")
    if seconds is not None and (not isinstance(seconds, (int, float, np.number)) or not seconds > 0):
        raise UserError(f"seconds, the time for each level, must be a number above 0; got {seconds!r}.")
    if workers is not None and (not isinstance(workers, (int, np.integer)) or workers < 1):
        raise UserError(f"workers must be a whole number of at least 1 thread, or None; got {workers!r}.")
    if processor_time and not hasattr(time, "pthread_getcpuclockid"):
        raise UserError("This system keeps no clock for each thread; leave processor_time off.")


def _check_options(problem: Problem, rules: Rules, options: dict[str, Any]) -> None:
    parameters = inspect.signature(rules.solve).parameters
    known = [name for name in parameters if name not in ("level", "budget", "stop")]
    for name in options:
        if name not in known:
            own = f"its options are {', '.join(known)}" if known else "it has none"
            raise UserError(f"The solver of {problem.name} has no option {name!r}: {own}.")


def _separate_levels(problem: Problem, levels: Any) -> list[NDArray[np.uint8]]:
    """Returns levels of one shape or several as a list of checked levels."""
    shapes: set[tuple[int, ...]] = set()
    if isinstance(levels, (list, tuple)):
        # Rows that differ in length are reported by `check_levels`.
        with suppress(ValueError):
            shapes = {np.shape(level) for level in levels}
    if len(shapes) < 2 or any(len(shape) != len(problem.default_shape) for shape in shapes):
        return list(problem.check_levels(levels))
    batch: list[NDArray[np.uint8]] = []
    for number, level in enumerate(levels):
        try:
            batch.extend(problem.check_levels(level))
        except UserError as error:
            raise UserError(f"Level {number}: {error}") from None
    return batch


def _solve_one(
    rules: Rules,
    level: NDArray[np.uint8],
    number: int | None,
    budget: int | None,
    stop: NDArray[np.uint8] | None,
    options: dict[str, Any],
    clock: Callable[[], float] = time.perf_counter,
) -> Solution:
    """Solves one level, takes its time, and names the level in what goes wrong, if it has a number."""
    start = clock()
    try:
        solution = rules.solve(level, budget, stop, **options)
    except UserError as error:
        raise error if number is None else UserError(f"Level {number}: {error}") from None
    except Exception as error:
        if number is not None:
            error.add_note(f"This happened while level {number} was being solved.")
        raise
    return replace(solution, seconds=clock() - start)


class _Worker(threading.Thread):
    """Takes levels from a team until none is left, or the team gives up.

    Attributes:
        stop: uint8 (1,), the flag that ends the search under way.
        deadline: when that is to happen, by this worker's `clock`; None while no search is under way.
    """

    def __init__(self, team: _Team) -> None:
        super().__init__(daemon=True)
        self.team = team
        self.stop = np.zeros(1, np.uint8)
        self.deadline: float | None = None

    def clock(self) -> float:
        """Returns the time that counts: the clock's, or what this thread has had of a processor."""
        if self.team.processor_time and self.ident is not None:
            return time.clock_gettime(time.pthread_getcpuclockid(self.ident))
        return time.perf_counter()

    def run(self) -> None:
        team = self.team
        while True:
            with team.lock:
                if team.failure is not None or team.following == len(team.levels):
                    return
                number = team.following
                team.following += 1
                self.stop[0] = 0
                self.deadline = None if team.seconds is None else self.clock() + team.seconds
            solution, failure = None, None
            try:
                solution = _solve_one(
                    team.rules, team.levels[number], number, team.budget, self.stop, team.options, self.clock
                )
            except BaseException as error:
                failure = error
            with team.lock:
                self.deadline = None
                team.solutions[number] = solution
                team.done += 1
                team.failure = team.failure or failure
                team.lock.notify_all()


class _Team:
    """Threads that solve levels side by side, and the caller's thread, which keeps the time."""

    def __init__(
        self,
        rules: Rules,
        levels: list[NDArray[np.uint8]],
        budget: int | None,
        seconds: float | None,
        count: int,
        processor_time: bool,
        options: dict[str, Any],
    ) -> None:
        self.rules, self.levels, self.budget, self.seconds = rules, levels, budget, seconds
        self.processor_time, self.options = processor_time, options
        self.lock = threading.Condition()
        self.solutions: list[Solution | None] = [None] * len(levels)
        self.following, self.done = 0, 0
        self.failure: BaseException | None = None
        self.workers = [_Worker(self) for _ in range(count)]

    def run(self, progress: Callable[[int, int], None] | None) -> list[Solution]:
        """Solves all levels; ends all searches soon where one of them, `progress` or the user breaks in."""
        told = 0
        try:
            for worker in self.workers:
                worker.start()
            while told < len(self.levels):
                with self.lock:
                    if self.done == told and self.failure is None:
                        self.lock.wait(self._patience())
                    self._keep_time()
                    done = self.done
                    if self.failure is not None:
                        raise self.failure
                if done > told:
                    told = done
                    if progress is not None:
                        progress(done, len(self.levels))
        except BaseException as error:
            with self.lock:
                self.failure = self.failure or error
                for worker in self.workers:
                    worker.stop[0] = 1
            raise
        finally:
            for worker in self.workers:
                if worker.ident is not None:
                    worker.join()
        return [solution for solution in self.solutions if solution is not None]

    def _patience(self) -> float:
        """Returns how long nothing can be due, at most _POLL, so that an interrupt is soon noticed."""
        due = [worker.deadline - worker.clock() for worker in self.workers if worker.deadline is not None]
        return min(_POLL, max(0.0005, min(due, default=_POLL)))

    def _keep_time(self) -> None:
        for worker in self.workers:
            if worker.deadline is not None and worker.clock() >= worker.deadline:
                worker.stop[0] = 1
