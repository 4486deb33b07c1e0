"""Repairs batches of levels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.errors import UserError, unknown_name
from envs.problem import Problem, Shape
from envs.suite import construct, get_problem
from generators.repair.exact import Program, check_declared, declared
from generators.repair.goal import GOALS, Clock, Goal
from generators.repair.search import search

#: "search": local search, for every problem. "exact": integer programming, for problems that declare `linear_rules`.
#: "auto": search, and then the integer program where one is declared and fewer edits are still possible.
METHODS = ("auto", "search", "exact")

#: How many constructed levels repairs may lean on; fewer where levels are large.
_DONORS, _FEW_DONORS, _LARGE = 100, 24, 400


@dataclass(frozen=True)
class Repairs:
    """What became of a batch of levels.

    Attributes:
        levels: uint8 (n, *shape): repaired, or as they were where that was not needed or did not succeed.
        repaired: bool (n,), which levels meet the goal afterwards, those that met it before among them.
        edits: int64 (n,), how many tiles were changed (the Hamming distance).
        method: str (n,), "search" or "exact" by what found the level, "none" where nothing was changed.
        status: str (n,), "playable already" (the goal was met before), "repaired" or "given up".
        minimal: bool (n,), where it is known that fewer edits do not do. For integer programming that means: by the
            problem's linear rules, which may ask for slightly more than the goal does.
        seconds: float64 (n,), the time that each level took, constructing levels to lean on not counted.
    """

    levels: NDArray[np.uint8]
    repaired: NDArray[np.bool_]
    edits: NDArray[np.int64]
    method: NDArray[np.str_]
    status: NDArray[np.str_]
    minimal: NDArray[np.bool_]
    seconds: NDArray[np.float64]


def repair(
    problem: str | Problem,
    levels: Any,
    method: str = "auto",
    *,
    goal: str = "playable",
    fixed: Any = None,
    seconds: float | None = 1.0,
    evaluations: int = 100_000,
    solver_budget: int | None = None,
    donors: Any = None,
    seed: int = 0,
    processor_time: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Repairs:
    """Changes as few tiles of each level as can be found so that the level can be played.

    What is done to a level depends on nothing but the level, the options and the seed, unless `seconds` cuts it short.

    Args:
        problem: a problem or its name.
        levels: tile ids (n, *shape), or (*shape) for one level.
        method: one of METHODS.
        goal: "playable", "solved" or "targets"; see `generators.repair.goal.GOALS`.
        fixed: bool (*shape) or (n, *shape), cells that must stay as they are; None fixes none.
        seconds: the time that each level may take, or None for no limit but `evaluations`.
        evaluations: how many edited levels may be measured for each level by search.
        solver_budget: the most states that one call of the solver may expand; None means the rules' default.
        donors: levels that meet the goal, (m, *shape), a corpus say, towards the nearest of which the search goes where
            single edits do not help; None means levels of the problem's constructive generator, if it has one.
        seed: breaks ties among edits, and fixes the constructed levels.
        processor_time: whether `seconds` and `Repairs.seconds` count what was had of a processor, where the machine is
            shared with other work. Integer programs are limited by the clock on the wall all the same.
        progress: called as progress(levels done, levels in all).

    Returns:
        What became of each level.

    Raises:
        UserError: an argument cannot be used, or the method is "exact" and the problem is not linear.
    """
    task = get_problem(problem)
    batch = task.check_levels(levels)
    _check(method, goal, seconds, evaluations, solver_budget, seed)
    if method == "exact":
        check_declared(task, goal)
    shape = batch.shape[1:]
    free = _free(task, batch, fixed)
    judge = Goal(task, goal, shape, solver_budget)
    lent = _Donors(task, judge, donors, shape, seed)
    results = Repairs(
        batch.copy(),
        np.zeros(len(batch), bool),
        np.zeros(len(batch), np.int64),
        np.full(len(batch), "none", dtype="U6"),
        np.full(len(batch), "given up", dtype="U16"),
        np.zeros(len(batch), bool),
        np.zeros(len(batch)),
    )
    met = judge.judge(batch).met
    if method != "exact" and not met.all():
        lent.levels()
    for number, level in enumerate(batch):
        clock = Clock(seconds, evaluations, processor_time)
        if judge.confirmed(level, clock) if met[number] else judge.rescued(level, clock):
            results.status[number] = "playable already"
            results.repaired[number] = results.minimal[number] = True
        else:
            # Of the level, not of its place in the batch: the same level is always repaired alike.
            rng = np.random.default_rng([seed, *level.ravel().tolist()])
            found = _mended(task, judge, level, free[number], method, lent, clock, rng)
            if found is not None:
                mended, how, minimal = found
                results.levels[number] = mended
                results.repaired[number] = True
                results.edits[number] = np.count_nonzero(mended != level)
                results.method[number], results.minimal[number] = how, minimal
                results.status[number] = "repaired"
        results.seconds[number] = clock.gone()
        if progress is not None:
            progress(number + 1, len(batch))
    return results


def _mended(
    task: Problem,
    judge: Goal,
    level: NDArray[np.uint8],
    free: NDArray[np.bool_],
    method: str,
    donors: _Donors,
    clock: Clock,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], str, bool] | None:
    """Returns a level that meets the goal, what found it and whether it is minimal; or None."""
    mended, least = None, 1
    linear = method == "exact" or (method == "auto" and declared(task, judge.name))
    if method != "exact":
        part = clock.part(0.5 if linear else 1)
        before = part.evaluations
        found = search(judge, level, free, donors.levels(), part, rng)
        clock.settle(part, before)
        mended, least = found.level, found.least
        if mended is not None and np.count_nonzero(mended != level) <= least:
            return mended, "search", True
    if linear:
        fewer = None if mended is None else int(np.count_nonzero(mended != level)) - 1
        solution = Program(task, judge.name, level, free).solved(clock.left(), fewer)
        if solution.level is not None and judge.judge(solution.level[None]).met[0]:
            return solution.level, "exact", solution.proven
        if mended is not None:
            return mended, "search", solution.proven
    return None if mended is None else (mended, "search", False)


class _Donors:
    """Levels that meet a goal, made when they are first needed."""

    def __init__(self, task: Problem, judge: Goal, given: Any, shape: Shape, seed: int) -> None:
        self.task, self.judge, self.shape, self.seed = task, judge, shape, seed
        self.given = None if given is None else task.check_levels(given)
        if self.given is not None and self.given.shape[1:] != shape:
            raise UserError(f"donors must have the levels' shape {shape}; got {self.given.shape[1:]}.")
        self.kept: NDArray[np.uint8] | None = None

    def levels(self) -> NDArray[np.uint8]:
        if self.kept is None:
            self.kept = self.given if self.given is not None else self._built()
        return self.kept

    def _built(self) -> NDArray[np.uint8]:
        number = _DONORS if np.prod(self.shape) <= _LARGE else _FEW_DONORS
        try:
            built = construct(self.task, number, self.seed, self.shape)
        except UserError:
            # There is no constructive generator, or none for this shape.
            return np.zeros((0, *self.shape), np.uint8)
        return built[self.judge.judge(built).met]


def _free(task: Problem, batch: NDArray[np.uint8], fixed: Any) -> NDArray[np.bool_]:
    """Returns which cells may change, bool (n, *shape)."""
    if fixed is None:
        return np.ones(batch.shape, bool)
    mask = np.asarray(fixed)
    if mask.dtype != np.bool_ or mask.shape not in (batch.shape, batch.shape[1:]):
        raise UserError(
            f"fixed must be bool of shape {batch.shape[1:]} or {batch.shape}, True where tiles must stay; "
            f"got {mask.dtype} of shape {mask.shape}."
        )
    return np.broadcast_to(~mask, batch.shape)


def _check(method: Any, goal: Any, seconds: Any, evaluations: Any, solver_budget: Any, seed: Any) -> None:
    if method not in METHODS:
        raise unknown_name("method of repair", method, METHODS)
    if goal not in GOALS:
        raise unknown_name("goal of repair", goal, GOALS)
    number = (int, float, np.integer, np.floating)
    if seconds is not None and (not isinstance(seconds, number) or not seconds > 0):
        raise UserError(f"seconds, the time for each level, must be a number above 0, or None; got {seconds!r}.")
    for name, value, least in (("evaluations", evaluations, 1), ("solver_budget", solver_budget, 1), ("seed", seed, 0)):
        if name == "solver_budget" and value is None:
            continue
        if not isinstance(value, (int, np.integer)) or value < least:
            raise UserError(f"{name} must be a whole number of at least {least}; got {value!r}.")
