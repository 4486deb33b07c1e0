"""What there is in the suite, by name, and what can be done with levels of any problem."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

import envs.problems
import envs.representations
from envs.design_options import level_shape
from envs.discovery import discover
from envs.errors import UserError, unknown_name
from envs.problem import Metric, Problem, Shape
from envs.representation import Representation
from envs.rules import Rules, Solution
from envs.solving import solve_many


@cache
def all_problems() -> dict[str, Problem]:
    """Returns every problem by its name."""
    return discover(envs.problems, Problem, "PROBLEM")  # type: ignore[type-abstract]


@cache
def all_representations() -> dict[str, Representation]:
    """Returns every representation by its name."""
    return discover(envs.representations, Representation, "REPRESENTATION")  # type: ignore[type-abstract]


def get_problem(problem: str | Problem) -> Problem:
    """Returns a problem by its name; a problem object is returned as it is.

    Raises:
        UserError: there is no problem of that name.
    """
    if isinstance(problem, Problem):
        return problem
    if not isinstance(problem, str) or problem not in all_problems():
        raise unknown_name("problem", problem, all_problems())
    return all_problems()[problem]


def get_representation(representation: str | Representation) -> Representation:
    """Returns a representation by its name; a representation object is returned as it is.

    Raises:
        UserError: there is no representation of that name.
    """
    if isinstance(representation, Representation):
        return representation
    if not isinstance(representation, str) or representation not in all_representations():
        raise unknown_name("representation", representation, all_representations())
    return all_representations()[representation]


def get_rules(problem: str | Problem) -> Rules:
    """Returns a problem's rules of play.

    Raises:
        UserError: there is no problem of that name, or it cannot be played.
    """
    task = get_problem(problem)
    if task.rules is None:
        playable = ", ".join(name for name, other in all_problems().items() if other.rules is not None)
        raise UserError(f"Problem {task.name!r} has no rules of play; the playable problems are {playable}.")
    return task.rules


def measure_columns(
    problem: Problem, levels: NDArray[np.uint8], optional: Sequence[Metric], play: bool = True
) -> NDArray[np.float32]:
    """Measures the problem's metrics and then some optional ones.

    Args:
        problem: what is measured.
        levels: uint8 (n, height, width).
        optional: optional metrics of the problem.
        play: whether metrics that are found by playing are wanted; otherwise their columns hold anything.

    Returns:
        float32 (n, columns).
    """
    measured = problem.measure(levels) if play else problem.measure_static(levels)
    if not optional:
        return measured
    columns = np.zeros((len(levels), len(optional)), np.float32)
    for i, metric in enumerate(optional):
        if metric.measure is not None and (play or not metric.play):
            columns[:, i] = metric.measure(levels)
    return np.concatenate([measured, columns], axis=1)


def optional_metrics(problem: Problem, names: Sequence[str]) -> tuple[Metric, ...]:
    """Returns the problem's optional metrics of the given names, in that order.

    Raises:
        UserError: the problem has no optional metric of one of the names.
    """
    known = {metric.name: metric for metric in problem.optional_metrics}
    for name in names:
        if name not in known:
            if not known:
                raise UserError(f"Problem {problem.name!r} has no optional metrics; {name!r} was asked for.")
            raise unknown_name(f"optional metric of {problem.name}", name, known)
    return tuple(known[name] for name in names)


def measure(
    problem: str | Problem, levels: Any, metrics: Sequence[str] | None = None
) -> dict[str, NDArray[np.float32]]:
    """Measures levels.

    Args:
        problem: a problem or its name.
        levels: tile ids (n, height, width), or (height, width) for one level, of any shape that the problem allows.
        metrics: the names of the metrics wanted, optional ones among them; None means all but the optional ones.

    Returns:
        float32 (n,) by metric name.

    Raises:
        UserError: the problem, a metric or the levels cannot be used.
    """
    task = get_problem(problem)
    batch = task.check_levels(levels)
    standard = [metric.name for metric in task.metrics]
    names = standard if metrics is None else list(metrics)
    known = [*standard, *(metric.name for metric in task.optional_metrics)]
    for name in names:
        if name not in known:
            raise unknown_name(f"metric of {task.name}", name, known)
    optional = optional_metrics(task, [name for name in dict.fromkeys(names) if name not in standard])
    columns = [*standard, *(metric.name for metric in optional)]
    measured = measure_columns(task, batch, optional)
    return {name: measured[:, columns.index(name)] for name in names}


def quality(problem: str | Problem, levels: Any) -> NDArray[np.float64]:
    """Returns how near each level is to all of a problem's targets, float64 (n,) in [0, 1].

    Each metric's distance to its target interval is divided by the greatest distance that its bounds allow; quality is
    1 less the mean of these, weighted as in the reward.

    Raises:
        UserError: the problem or the levels cannot be used.
    """
    task = get_problem(problem)
    batch = task.check_levels(levels)
    return nearness(task, task.measure(batch), batch.shape[1:])


def nearness(problem: Problem, metrics: NDArray[np.float32], shape: Shape) -> NDArray[np.float64]:
    """Returns the quality of levels that are measured already, float64 (n,) in [0, 1]; see `quality`.

    Args:
        problem: whose levels they are.
        metrics: float32 (n, number of metrics).
        shape: the levels' shape.
    """
    bounds = np.array([metric.bounds(shape) for metric in problem.metrics], np.float64)
    low, high = clipped_targets(problem, shape)
    weights = np.array([metric.weight for metric in problem.metrics], np.float64)
    distances = interval_distances(metrics, low, high)
    worst = np.maximum(np.maximum(low - bounds[:, 0], bounds[:, 1] - high), 1e-12)
    return 1 - np.clip(distances / worst, 0, 1) @ (weights / weights.sum())


def clipped_targets(problem: Problem, shape: Shape) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the ends of a problem's target intervals, float64 (number of metrics,) each, within the bounds."""
    bounds = np.array([metric.bounds(shape) for metric in problem.metrics], np.float64)
    targets = np.array([metric.target for metric in problem.metrics], np.float64)
    low, high = np.clip(targets, bounds[:, :1], bounds[:, 1:]).T
    return low, high


def interval_distances(
    values: NDArray[np.float32], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns how far each value lies outside its interval: max(low - v, 0) + max(v - high, 0)."""
    return np.maximum(low - values, 0) + np.maximum(values - high, 0)


def solve(
    problem: str | Problem,
    levels: Any,
    budget: int | None = None,
    *,
    seconds: float | None = None,
    workers: int | None = 1,
    progress: Callable[[int, int], None] | None = None,
    processor_time: bool = False,
    **options: Any,
) -> list[Solution]:
    """Searches for play actions that win each level.

    Args:
        problem: a playable problem or its name.
        levels: tile ids (n, height, width), or (height, width) for one level, or a list of levels of differing shapes.
        budget: the most game states that the solver may expand for one level; None means the rules' own default, or
            no limit where `seconds` is given.
        seconds: the time that each level may take; what is not known by then is "unknown". One search takes at most
            about 1 GiB of memory, and is "unknown" as well where that does not suffice.
        workers: how many levels are solved side by side, each in a thread of its own; None means one for each
            processor core. What is found does not depend on it, unless `seconds` cuts a search short.
        progress: called as progress(levels done, levels in all), in the caller's thread, while the levels are solved.
        processor_time: whether `seconds` and `Solution.seconds` count what the search has had of a processor, where
            the machine is shared with other work, and not what the clock on the wall tells. Not on every system.
        **options: what the problem's own solver knows besides: sokoban's `shortest`, "moves", "pushes" or "any".

    Returns:
        One `Solution` a level in the order of the levels, with `.status` ("solved", "unsolvable" or "unknown"),
        `.actions`, `.nodes` and `.seconds`.

    Raises:
        UserError: the problem, the levels, a limit or an option cannot be used.
    """
    task = get_problem(problem)
    return solve_many(task, get_rules(task), levels, budget, seconds, workers, progress, processor_time, **options)


def construct(
    problem: str | Problem, count: int, seed: int = 0, shape: Sequence[int] | None = None
) -> NDArray[np.uint8]:
    """Builds playable levels by the problem's constructive generator; level i of a seed is the same for any count.

    Args:
        problem: a problem or its name.
        count: how many levels.
        seed: of the levels, at least 0.
        shape: their (height, width); None is the problem's default.

    Returns:
        uint8 (count, height, width).

    Raises:
        UserError: the problem has no constructive generator, or the count, the seed or the shape cannot be used.
    """
    task = get_problem(problem)
    for name, value, least in (("count", count, 1), ("seed", seed, 0)):
        if not isinstance(value, (int, np.integer)) or value < least:
            raise UserError(f"{name} must be a whole number of at least {least}; got {value!r}.")
    size = level_shape("shape", shape, task, task.default_shape)
    seeds = np.random.SeedSequence(int(seed)).generate_state(int(count), np.uint64)
    return task.construct(seeds.astype(np.uint64, copy=False), size)


def render(problem: str | Problem, level: Any, tile_size: int = 32, **marks: Any) -> NDArray[np.uint8]:
    """Draws one level.

    Args:
        problem: a problem or its name.
        level: tile ids (height, width).
        tile_size: the side of a tile in pixels.
        **marks: what to draw besides; see `envs.pictures.render`.

    Returns:
        uint8 (height in pixels, width in pixels, 3), RGB.

    Raises:
        UserError: the problem or the level cannot be used.
    """
    from envs import pictures  # noqa: PLC0415 (Pillow is loaded only where pictures are made)

    task = get_problem(problem)
    batch = task.check_levels(level)
    if len(batch) != 1:
        raise UserError(f"render draws one level at a time; got a batch of {len(batch)}.")
    return pictures.render(task, batch[0], tile_size, **marks)
