"""What is done with levels: measured, solved, repaired, played, drawn, and told as answers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs import Problem, UserError, construct, get_rules
from envs.problem import Shape
from envs.rules import LOST, PLAYING, WON, Solution
from envs.suite import nearness
from generators.judging.playability import PROCESSOR_TIME
from service import answers
from service.limits import Limits, Refusal
from service.work import Work

Level = NDArray[np.uint8]

#: How many game states the solver looks at for a level that nobody waits for in particular: the same level is found
#: playable or not whatever else the machine does, and the time is the safeguard.
STATES, SECONDS = 50_000, 3.0

#: How many edited levels a repair may measure, for the same reason.
_EVALUATIONS = 2_000

#: How many constructed levels repairs of levels of at most so many cells lean on: large ones are dear to build.
_DONORS = ((400, 100), (1000, 24), (np.inf, 4))


def read_level(problem: Problem, given: Any, limits: Limits, field: str = "level") -> Level:
    """Returns a level that a client sent, uint8 (*shape).

    Raises:
        Refusal: it is no level of the problem, or too large.
    """
    try:
        level = problem.check_levels(given)
    except UserError as error:
        raise Refusal(422, str(error), field) from None
    if np.ndim(given) != len(problem.default_shape):
        raise Refusal(422, f"One {problem.name} level is wanted; got {len(level)}.", field)
    if level.size > limits.cells:
        raise Refusal(413, f"A level may have at most {limits.cells} tiles; this one has {level.size}.", field)
    return level[0]


def read_mask(given: Any, shape: Shape, field: str) -> NDArray[np.bool_] | None:
    """Returns which tiles are locked, bool (*shape), or None where none are.

    Raises:
        Refusal: it is of another shape.
    """
    if given is None:
        return None
    return _shaped(given, bool, shape, field)


def read_fixed(problem: Problem, given: Any, shape: Shape) -> NDArray[np.int16] | None:
    """Returns the tiles that must stay, int16 (*shape) with -1 where any may be, or None where none must.

    Raises:
        Refusal: it is of another shape, or has what is no tile.
    """
    if given is None:
        return None
    cells = _shaped(given, object, shape, "fixed")
    fixed = np.array([-1 if cell is None else cell for cell in cells.flat], np.int16).reshape(shape)
    if fixed.max() >= len(problem.tiles):
        raise Refusal(
            422,
            f"{problem.name} has tile ids 0 to {len(problem.tiles) - 1}; the fixed tiles hold {fixed.max()}.",
            "fixed",
        )
    return fixed


def _shaped(given: Any, kind: type, shape: Shape, field: str) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.array(given, kind)
    except ValueError:
        raise Refusal(422, f"All rows of {field} must be equally long.", field) from None
    if array.shape != shape:
        raise Refusal(422, f"{field} must have the shape {list(shape)}; it has {list(array.shape)}.", field)
    return array


def grid(level: Level) -> Any:
    """Returns a level as clients get it."""
    return level.tolist()


def measured(problem: Problem, levels: NDArray[np.uint8]) -> list[answers.Entry]:
    """Returns levels with their metrics and quality, and nothing known of whether they can be won."""
    metrics = problem.measure(levels)
    qualities = nearness(problem, metrics, levels.shape[1:])
    return [
        answers.Entry(
            level=grid(level), metrics=named(problem, row), quality=float(quality), playable=None, solution=None
        )
        for level, row, quality in zip(levels, metrics, qualities, strict=True)
    ]


def named(problem: Problem, metrics: NDArray[np.float32]) -> dict[str, float]:
    """Returns metrics by their names."""
    return {metric.name: round(float(value), 4) for metric, value in zip(problem.metrics, metrics, strict=True)}


def judge(problem: Problem, entry: answers.Entry, work: Work, states: int | None = STATES) -> bool:
    """Lets the solver play a level, and notes in the entry what it found; returns whether the level was won."""
    level = np.array(entry.level, np.uint8)
    note(problem, entry, work.solve(problem, level, SECONDS, states))
    return entry.playable is True


def note(problem: Problem, entry: answers.Entry, found: Solution) -> None:
    """Notes in an entry what a solver found.

    A level counts as playable by the judgement of `generators.judging`: where metrics are found by playing it is what
    the solver wins; else they must agree, for binary's player can walk in a level of several regions too.
    """
    metrics = np.array([[entry.metrics[metric.name] for metric in problem.metrics]], np.float32)
    played = any(metric.play for metric in problem.metrics)
    agreed = played or bool(problem.playable(metrics)[0])
    entry.playable = None if found.status == "unknown" else found.solved and agreed
    entry.solution = moves(problem, found) if entry.playable else None


def moves(problem: Problem, found: Solution) -> list[str] | None:
    """Returns the names of the moves that win, where they are known."""
    names = get_rules(problem).actions
    return [names[action] for action in found.actions.tolist()] if found.solved else None


def mend(
    problem: Problem, level: Level, fixed: NDArray[np.bool_] | None, seed: int, limits: Limits, work: Work
) -> answers.Entry:
    """Changes as few tiles of a level as can be found so that the solver wins it.

    Returns:
        The repaired level, or where that did not succeed the level as it was.
    """
    from generators.repair import repair  # noqa: PLC0415 (scipy is slow to import)

    found = repair(
        problem,
        level,
        "search",
        goal="solved",
        fixed=fixed,
        seconds=limits.repair_seconds,
        evaluations=_EVALUATIONS,
        solver_budget=STATES,
        donors=donors(problem.name, level.shape),
        seed=seed,
        processor_time=PROCESSOR_TIME,
    )
    work.check()
    entry = measured(problem, found.levels)[0]
    entry.edits = int(found.edits[0])
    entry.repaired = entry.edits > 0
    judge(problem, entry, work)
    return entry


@lru_cache(maxsize=64)
def donors(problem: str, shape: Shape) -> NDArray[np.uint8]:
    """Returns constructed levels for repairs to lean on, uint8 (n, *shape); none where none can be constructed."""
    number = next(number for most, number in _DONORS if np.prod(shape) <= most)
    try:
        return construct(problem, number, 0, shape)
    except UserError:
        return np.zeros((0, *shape), np.uint8)


def play(problem: Problem, level: Level, actions: Sequence[str], since: int, last: bool, limits: Limits) -> Any:
    """Replays moves by the rules of play.

    Raises:
        Refusal: the level cannot be started, a move does not exist, or too much is asked for.
    """
    rules = get_rules(problem)
    trouble = rules.problem_with(level)
    if trouble:
        raise Refusal(422, f"This level cannot be played: {trouble}.", "level")
    if len(actions) > limits.steps:
        raise Refusal(422, f"At most {limits.steps} moves are replayed; got {len(actions)}.", "actions")
    numbers = {name: number for number, name in enumerate(rules.actions)}
    for name in actions:
        if name not in numbers:
            raise Refusal(422, f"There is no move {name!r}; the moves are {', '.join(rules.actions)}.", "actions")
    states = [rules.start(level)]
    for name in actions:
        if rules.outcome(states[-1]) != PLAYING:
            break
        states.append(rules.step(states[-1], numbers[name]))
    shown = states[-1:] if last else states[since:]
    if len(shown) * level.size > limits.pixels:
        raise Refusal(422, "That is too much to show at once; ask for the frames since a later move.", "since")
    outcome = rules.outcome(states[-1])
    return answers.PlayAnswer(
        frames=[rules.ground(state).tolist() for state in shown],
        actors=[
            [
                answers.Actor(sprite=one.sprite, row=one.row, column=one.column, mirrored=one.mirrored)
                for one in rules.actors(state)
            ]
            for state in shown
        ],
        won=outcome == WON,
        lost=outcome == LOST,
        moves=len(states) - 1,
    )


def distances(entries: Sequence[answers.Entry], asked: dict[str, tuple[float, float]], problem: Problem) -> Any:
    """Returns how far levels are from what was asked, in parts of the metrics' ranges, float64 (n,)."""
    far = np.zeros(len(entries))
    for metric in problem.metrics:
        if metric.name in asked and entries:
            low, high = asked[metric.name]
            least, most = metric.bounds(np.shape(entries[0].level))
            values = np.array([entry.metrics[metric.name] for entry in entries])
            far += (np.maximum(low - values, 0) + np.maximum(values - high, 0)) / max(most - least, 1e-9)
    return far
