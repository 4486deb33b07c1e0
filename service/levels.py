"""What is done with levels: measured, solved, repaired, played, and told as answers."""

from __future__ import annotations

import time
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
from service.limits import Limits
from service.refusals import Refusal
from service.requests import PlayBody
from service.work import Work

Level = NDArray[np.uint8]

#: How many game states the solver looks at for a level that nobody waits for in particular: the same level is found
#: playable or not whatever else the machine does, and the time is the safeguard.
_STATES, _SECONDS = 50_000, 3.0

#: How many edited levels a repair may measure, for the same reason.
_EVALUATIONS = 2_000

#: How many cells the frames of one answer may have.
_MOST_SHOWN = 1 << 20

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


def examined(problem: Problem, levels: NDArray[np.uint8], work: Work) -> list[answers.Entry]:
    """Returns levels with all that is known of them."""
    entries = measured(problem, levels)
    for entry in entries:
        judge(problem, entry, work)
    return entries


def judge(problem: Problem, entry: answers.Entry, work: Work) -> None:
    """Lets the solver play a level, and notes in the entry what it found; without rules of play metrics decide."""
    if problem.rules is None:
        entry.playable = bool(problem.playable(_columns(problem, entry))[0])
        return
    _note(problem, entry, work.solve(problem, np.array(entry.level, np.uint8), _SECONDS, _STATES))


def _note(problem: Problem, entry: answers.Entry, found: Solution) -> None:
    """Notes in an entry what a solver found.

    A level counts as playable by the judgement of `generators.judging`: where metrics are found by playing it is what
    the solver wins; else they must agree, for binary's player can walk in a level of several regions too.
    """
    played = any(metric.play for metric in problem.metrics)
    agreed = played or bool(problem.playable(_columns(problem, entry))[0])
    entry.playable = None if found.status == "unknown" else found.solved and agreed
    entry.solution = _moves(problem, found) if entry.playable else None


def _columns(problem: Problem, entry: answers.Entry) -> NDArray[np.float32]:
    """Returns an entry's metrics as `Problem.measure` does, float32 (1, metrics)."""
    return np.array([[entry.metrics[metric.name] for metric in problem.metrics]], np.float32)


def _moves(problem: Problem, found: Solution) -> list[str] | None:
    """Returns the names of the moves that win, where they are known."""
    names = get_rules(problem).actions
    return [names[action] for action in found.actions.tolist()] if found.solved else None


def solved(problem: Problem, level: Level, seconds: float, work: Work) -> answers.SolveAnswer:
    """Returns what the solver finds out about a level: in half of the time a shortest solution, else any.

    Raises:
        UserError: the problem has no rules of play.
    """
    began = time.perf_counter()
    found = work.solve(problem, level, seconds / 2, anyhow=False)
    if found.status == "unknown":
        found = work.solve(problem, level, seconds / 2)
    entry = measured(problem, level[None])[0]
    _note(problem, entry, found)
    moves = _moves(problem, found)
    return answers.SolveAnswer(
        playable=entry.playable,
        status=found.status,
        solution=moves,
        moves=None if moves is None else len(moves),
        states=found.nodes,
        seconds=round(time.perf_counter() - began, 4),
    )


def constructed(problem: Problem, count: int, seed: int, work: Work) -> answers.ConstructAnswer:
    """Returns levels of a problem's constructive generator."""
    began = time.perf_counter()
    entries = examined(problem, construct(problem, count, seed), work)
    for entry in entries:
        entry.seed = seed
    return answers.ConstructAnswer(levels=entries, seconds=round(time.perf_counter() - began, 4))


def mended(
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
        goal="playable" if problem.rules is None else "solved",
        fixed=fixed,
        seconds=limits.repair_seconds,
        evaluations=_EVALUATIONS,
        solver_budget=_STATES,
        donors=_donors(problem.name, level.shape),
        seed=seed,
        processor_time=PROCESSOR_TIME,
    )
    work.check()
    entry = examined(problem, found.levels, work)[0]
    entry.edits = int(found.edits[0])
    entry.repaired = entry.edits > 0
    return entry


@lru_cache(maxsize=64)
def _donors(problem: str, shape: Shape) -> NDArray[np.uint8]:
    """Returns constructed levels for repairs to lean on, uint8 (n, *shape); none where none can be constructed."""
    number = next(number for most, number in _DONORS if np.prod(shape) <= most)
    try:
        return construct(problem, number, 0, shape)
    except UserError:
        return np.zeros((0, *shape), np.uint8)


def played(problem: Problem, level: Level, body: PlayBody, limits: Limits, work: Work) -> answers.PlayAnswer:
    """Replays moves by the rules of play.

    Raises:
        Refusal: the level cannot be started, a move does not exist, or too much is asked for.
        UserError: the problem has no rules of play.
    """
    rules, actions = get_rules(problem), body.actions
    trouble = rules.problem_with(level)
    if trouble:
        raise Refusal(422, f"This level cannot be played: {trouble}.", "level")
    if len(actions) > limits.steps:
        raise Refusal(422, f"At most {limits.steps} moves are replayed; got {len(actions)}.", "actions")
    numbers = {name: number for number, name in enumerate(rules.actions)}
    for name in actions:
        if name not in numbers:
            raise Refusal(422, f"There is no move {name!r}; the moves are {', '.join(rules.actions)}.", "actions")
    state, made = rules.start(level), 0
    shown = [] if body.since else [state]
    for name in actions:
        work.check()
        if rules.outcome(state) != PLAYING:
            break
        state, made = rules.step(state, numbers[name]), made + 1
        if made >= body.since and not body.last:
            shown.append(state)
        if len(shown) * level.size > _MOST_SHOWN:
            raise Refusal(422, "That is too much to show at once; ask for the frames since a later move.", "since")
    if body.last:
        shown = [state]
    outcome = rules.outcome(state)
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
        moves=made,
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
