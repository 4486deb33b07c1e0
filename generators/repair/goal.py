"""What a repaired level must be, and how far a level is from it."""

from __future__ import annotations

import inspect
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.counts import count_tiles, rule_arrays
from envs.errors import UserError
from envs.problem import Problem, Shape
from envs.suite import construct, interval_distances, solve

#: "playable": `Problem.playable` says so of the level's metrics. Where playing is part of the metrics, whose searches
#: have small budgets of their own, a level that the solver wins is playable too. "solved": the solver wins the level.
#: "targets": the level is playable and meets every finite target.
GOALS = ("playable", "solved", "targets")

#: What a tile too many or too few weighs beside all else that is wrong with a level.
_COUNT = 1e3

#: Metrics that only guide (how far the best state is from winning) weigh less than what must be met.
_GUIDE = 1e-2

#: How many constructed levels tell which targets playable levels always meet, and shares of their cells to break.
_EXAMPLES, _SHARES = 48, (0.02, 0.05, 0.1, 0.2)

#: Levels with more cells than this are dear to build and to play; then there are fewer of them.
_LARGE = 400

#: The most states that a solver which takes any solution expands for an edited level.
_QUICK_BUDGET = 5_000


class Clock:
    """The limits of one level's repair.

    Attributes:
        evaluations: how many levels may still be measured.
    """

    def __init__(self, seconds: float | None, evaluations: int, processor_time: bool = False) -> None:
        """Starts the clock.

        Args:
            seconds: until the time is over; None means never.
            evaluations: how many levels may be measured.
            processor_time: whether seconds are what this thread, and the solver for it, has had of a processor.
        """
        self.evaluations, self.processor_time = evaluations, processor_time
        self._elsewhere = 0.0
        self._start = self._now()
        self._seconds = seconds

    def _now(self) -> float:
        return time.thread_time() if self.processor_time else time.perf_counter()

    def gone(self) -> float:
        """Returns the seconds since the start."""
        return self._now() - self._start + (self._elsewhere if self.processor_time else 0)

    def charge(self, seconds: float) -> None:
        """Counts processor time that another thread has used for this one."""
        self._elsewhere += seconds

    def left(self) -> float | None:
        """Returns the seconds that are left, at least 0; None where there is no limit."""
        return None if self._seconds is None else max(0.0, self._seconds - self.gone())

    def spent(self) -> bool:
        """Returns whether either limit is reached."""
        return self.evaluations <= 0 or self.left() == 0

    def part(self, share: float) -> Clock:
        """Returns a clock with a share of what is left of both limits; `settle` charges what it used to this one."""
        left = self.left()
        evaluations = max(1, int(share * self.evaluations))
        return Clock(None if left is None else share * left, evaluations, self.processor_time)

    def settle(self, part: Clock, evaluations: int) -> None:
        """Takes over what a part has used.

        Args:
            part: a clock from `part`, which is not used any more.
            evaluations: how many it had at first.
        """
        self.evaluations -= evaluations - part.evaluations
        self._elsewhere += part._elsewhere


@dataclass
class Judgement:
    """What was found out about some levels.

    Attributes:
        met: bool (n,), whether the goal is met as far as metrics tell.
        losses: float64 (n,), how far each is from it; 0 does not mean that it is met.
        metrics: float32 (n, metrics).
    """

    met: NDArray[np.bool_]
    losses: NDArray[np.float64]
    metrics: NDArray[np.float32]


class Goal:
    """Judges levels of one problem and shape.

    Attributes:
        problem: whose levels these are.
        played: whether some metrics are found by playing.
    """

    def __init__(self, problem: Problem, name: str, shape: Shape, solver_budget: int | None = None) -> None:
        """Prepares the judge.

        Args:
            problem: whose levels these are.
            name: one of GOALS.
            shape: the levels' shape.
            solver_budget: the most states of one call of the solver; None means the rules' default.

        Raises:
            UserError: the problem cannot be played, and the goal is that the solver wins.
        """
        if name == "solved" and problem.rules is None:
            raise UserError(f"Problem {problem.name!r} has no rules of play; take the goal 'playable' or 'targets'.")
        self.problem, self.name, self._budget = problem, name, solver_budget
        self.tile_names = [tile.name for tile in problem.tiles]
        self.coefficients, self.low, self.high = rule_arrays(problem.count_rules, self.tile_names)
        self.played = any(metric.play for metric in problem.metrics)
        self._finite = np.array([metric.finite for metric in problem.metrics], bool)
        targets = np.array([metric.target for metric in problem.metrics], np.float64)
        self._low, self._high = targets.T
        bounds = np.array([metric.bounds(shape) for metric in problem.metrics], np.float64)
        weights = np.array([max(metric.weight, 0.0) for metric in problem.metrics], np.float64)
        asked = self._finite if name == "targets" else self._finite & necessary_targets(problem, shape)
        self._weights = np.where(asked, np.where(weights > 0, weights, 1), 0)
        # Of metrics without a finite target only what is to be small and is found by playing says how near a win is.
        near = [m.play and m.target[1] == -np.inf for m in problem.metrics]
        self._guides = np.array(near) * _GUIDE / np.maximum(bounds[:, 1] - bounds[:, 0], 1)
        self._least = bounds[:, 0]
        # A solver that need not look for the shortest solution says soon whether there is any.
        self._quick: dict[str, Any] = {}
        if problem.rules is not None and "shortest" in inspect.signature(problem.rules.solve).parameters:
            self._quick = {"shortest": "any"}
        self._static = np.array([not metric.play for metric in problem.metrics])

    def violations(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Returns by how much tile counts, int64 (..., tiles), break the count rules, float64 (...)."""
        values = counts @ self.coefficients.T
        return (np.maximum(self.low - values, 0) + np.maximum(values - self.high, 0)).sum(axis=-1)

    def judge(self, levels: NDArray[np.uint8]) -> Judgement:
        """Measures levels, uint8 (n, *shape)."""
        metrics = self.problem.measure(levels)
        distances = interval_distances(metrics, self._low, self._high)
        met = np.array(self.problem.playable(metrics), np.bool_)
        if self.name == "targets":
            met &= (distances[:, self._finite] == 0).all(axis=1)
        counted = self._counted(levels)
        if self.name != "targets" and self._quick:
            for i in np.flatnonzero(~met & (counted == 0)):
                met[i] = solve(self.problem, levels[i], budget=_QUICK_BUDGET, **self._quick)[0].solved
        losses = counted + self._summed(distances, self._weights)
        losses += self._summed(metrics - self._least, self._guides)
        return Judgement(met, losses, metrics)

    def static_losses(self, levels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Returns how far levels are from the goal as far as can be told without playing, float64 (n,)."""
        distances = interval_distances(self.problem.measure_static(levels), self._low, self._high)
        return self._counted(levels) + self._summed(distances, np.where(self._static, self._weights, 0))

    def _counted(self, levels: NDArray[np.uint8]) -> NDArray[np.float64]:
        if not len(self.coefficients):
            return np.zeros(len(levels))
        return _COUNT * self.violations(count_tiles(levels, len(self.tile_names)))

    @staticmethod
    def _summed(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        used = weights > 0
        return values[:, used].astype(np.float64) @ weights[used]

    def confirmed(self, level: NDArray[np.uint8], clock: Clock) -> bool:
        """Tells whether a level, uint8 (*shape), that meets the goal as far as metrics tell does meet it."""
        return self.name != "solved" or self._solved(level, clock)

    def rescued(self, level: NDArray[np.uint8], clock: Clock) -> bool:
        """Tells whether a level, uint8 (*shape), meets the goal though its metrics do not say so: the solver wins it.

        Measures search with budgets of their own, and refuse levels that a solver takes.
        """
        if self.name == "targets" or (self.name == "playable" and not self.played) or self.problem.rules is None:
            return False
        return self._solved(level, clock)

    def _solved(self, level: NDArray[np.uint8], clock: Clock) -> bool:
        left = clock.left()
        if left == 0:
            return False
        budget = self._budget
        if budget is None and self.problem.rules is not None:
            budget = self.problem.rules.default_budget
        clock.evaluations -= 1
        timed = left is not None and clock.processor_time
        solution = solve(self.problem, level, budget=budget, seconds=left, processor_time=timed, **self._quick)[0]
        if timed:
            clock.charge(solution.seconds)
        return solution.solved


#: What `necessary_targets` found, by the problem's identity and the shape; the problem is kept so that it stays itself.
_FOUND: dict[tuple[int, Shape], tuple[Problem, NDArray[np.bool_]]] = {}


def necessary_targets(problem: Problem, shape: Shape) -> NDArray[np.bool_]:
    """Tells which finite targets levels must meet to be playable, as far as examples tell.

    Constructed levels are broken at random cells; a target that some playable one among them misses is not necessary.
    Where no levels can be constructed, every finite target counts as necessary.

    Args:
        problem: whose levels these are.
        shape: of the levels.

    Returns:
        bool (number of metrics,).
    """
    key = (id(problem), tuple(shape))
    if key not in _FOUND:
        finite = np.array([metric.finite for metric in problem.metrics], bool)
        _FOUND[key] = (problem, finite & _always_met(problem, shape))
    return _FOUND[key][1]


def _always_met(problem: Problem, shape: Shape) -> NDArray[np.bool_]:
    cells = int(np.prod(shape))
    number = _EXAMPLES if cells <= _LARGE else _EXAMPLES // 4
    try:
        whole = construct(problem, number, seed=0, shape=shape)
    except UserError:
        return np.ones(len(problem.metrics), bool)
    rng = np.random.default_rng(0)
    broken = [whole]
    for share in _SHARES:
        broken.append(np.where(rng.random(whole.shape) < share, _noise(problem, rng, whole.shape), whole))
    metrics = problem.measure(np.concatenate(broken).astype(np.uint8))
    metrics = metrics[np.asarray(problem.playable(metrics), bool)]
    low, high = np.array([metric.target for metric in problem.metrics], np.float64).T
    return np.asarray((interval_distances(metrics, low, high) == 0).all(axis=0), bool)


def _noise(problem: Problem, rng: np.random.Generator, shape: Shape) -> NDArray[np.int64]:
    """Returns random tiles; half of them of any kind alike, so that what is rare is broken as well."""
    shares = np.asarray(problem.start_probabilities, np.float64)
    shares = 0.5 * shares / shares.sum() + 0.5 / len(shares)
    return rng.choice(len(shares), size=shape, p=shares)
