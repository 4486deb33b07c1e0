"""What can be asked of a level-design environment: its options and a reset's, checked and brought into one form.

Every function raises a `UserError` that names what was given and what is allowed.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from envs.errors import UserError, unknown_name
from envs.problem import Problem, Shape
from envs.representation import Representation

#: A controlled metric: its column, and the ends of what its target is drawn from where they are not its bounds.
Control = tuple[int, float | None, float | None]


def with_options(
    representation: Representation, options: Mapping[str, Any], environment: Sequence[str]
) -> Representation:
    """Returns a copy of a representation with other options.

    Args:
        representation: what to copy.
        options: the new values, by name.
        environment: the names of the environment's own options, which the message about a wrong name tells too.

    Raises:
        UserError: the representation has no option of one of the names.
    """
    if not options:
        return representation
    own = [field.name for field in dataclasses.fields(representation) if field.name != "name"]
    kinds = get_type_hints(type(representation))
    for name, value in options.items():
        if name not in own:
            raise unknown_name(f"option of {representation.name}", name, [*own, *environment])
        allowed = get_args(kinds[name]) if get_origin(kinds[name]) is Literal else None
        if allowed is not None and value not in allowed:
            raise unknown_name(f"{name} of {representation.name}", value, [str(one) for one in allowed])
        if kinds[name] is bool and not isinstance(value, (bool, np.bool_)):
            raise UserError(f"{name} of {representation.name} must be True or False; got {value!r}.")
    return dataclasses.replace(representation, **options)


def autoreset_mode(mode: str | AutoresetMode) -> AutoresetMode:
    """Returns the mode that a name such as "NextStep", "same_step" or "DISABLED" stands for."""
    if isinstance(mode, AutoresetMode):
        return mode
    by_name = {one.value.lower(): one for one in AutoresetMode}
    key = str(mode).replace("_", "").lower()
    if key not in by_name:
        raise unknown_name("autoreset_mode", mode, [one.value for one in AutoresetMode])
    return by_name[key]


def at_least(name: str, value: int, least: int) -> int:
    """Returns an option that must be a whole number of at least `least`."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
        raise UserError(f"{name} must be a whole number of at least {least}; got {value!r}.")
    return int(value)


def extents(name: str, value: Any, axes: int) -> tuple[int, ...]:
    """Returns an option that must be a whole number of at least 1 for each of a level's two or three axes."""
    words = "two whole numbers (rows, columns)" if axes == 2 else "three whole numbers (storeys, rows, columns)"
    try:
        sizes = tuple(operator.index(size) for size in value)
    except (TypeError, ValueError):
        sizes = ()
    if len(sizes) != axes:
        raise UserError(f"{name} must be {words}; got {value!r}.")
    if min(sizes) < 1:
        raise UserError(f"{name} must be at least 1 in each direction; got {value!r}.")
    return sizes


def share(name: str, value: Any, *, zero: bool) -> float:
    """Returns an option that must be a share: from 0 up to but not 1 where `zero`, else above 0 and up to 1."""
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not number or not (0 <= value < 1 if zero else 0 < value <= 1):
        allowed = "at least 0 and below 1" if zero else "above 0 and at most 1, or None for no limit"
        raise UserError(f"{name} must be {allowed}; got {value!r}.")
    return float(value)


def weight(name: str, value: Any) -> float:
    """Returns a metric's weight, which must be a finite number."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        raise UserError(f"The weight of {name!r} must be a finite number; got {value!r}.")
    return number


def names(option: str, value: Any) -> tuple[Any, ...]:
    """Returns an option that must be a list; a bare name, which Python would read letter by letter, is refused."""
    if isinstance(value, str):
        raise UserError(f"{option} must be a list of names; got {value!r}: write ({value!r},).")
    return tuple(value)


def level_shape(name: str, value: Sequence[int] | None, problem: Problem, default: Shape) -> Shape:
    """Returns an option that must be a level's shape that the problem allows, or None for the default."""
    if value is None:
        return default
    shape = extents(name, value, len(problem.default_shape))
    if any(size < least for size, least in zip(shape, problem.smallest_shape, strict=True)):
        raise UserError(f"{name} must be at least {problem.smallest_shape} for {problem.name}; got {shape}.")
    return shape


def interval(name: str, target: Any) -> tuple[float, float]:
    """Returns the ends of a target interval, given as a number or (low, high)."""
    try:
        low, high = (target, target) if np.ndim(target) == 0 else target
        ends = float(low), float(high)
    except (TypeError, ValueError):
        raise UserError(f"The target of {name!r} must be a number or (low, high); got {target!r}.") from None
    if not ends[0] <= ends[1]:
        raise UserError(f"The target of {name!r} must have its low end first; got {target!r}.")
    return ends


def control(given: Any, column_of: Callable[[object], int]) -> Control:
    """Returns a control, given as a metric's name or (name, low, high)."""
    if isinstance(given, str):
        return column_of(given), None, None
    try:
        name, low, high = given
        low, high = float(low), float(high)
    except (TypeError, ValueError):
        raise UserError(
            f"A control is a metric's name or (name, low, high) with numbers for its ends; got {given!r}."
        ) from None
    if not low <= high:
        raise UserError(f"The control of {name!r} must have its low end first; got {low} to {high}.")
    return column_of(name), low, high


def reset_mask(mask: Any, lanes: int, begun: bool) -> NDArray[np.bool_] | None:
    """Returns the lanes that a reset names, bool (lanes,), or None for all.

    Args:
        mask: what was given.
        lanes: how many lanes there are.
        begun: whether every lane has begun an episode before.
    """
    if mask is None:
        return None
    mask = np.asarray(mask)
    if mask.shape != (lanes,) or mask.dtype != np.bool_ or not mask.any():
        raise UserError(
            f"reset_mask must be a bool array of shape ({lanes},) with at least one True; "
            f"got {mask.dtype} of shape {mask.shape}."
        )
    if not begun and not mask.all():
        raise UserError("The first reset must begin every lane: leave reset_mask out.")
    return mask


def lane_seeds(seed: int | Sequence[int | None] | None, lanes: int) -> list[int | None]:
    """Returns each lane's seed; None where its stream goes on."""
    if seed is None:
        return [None] * lanes
    try:
        if not isinstance(seed, (Sequence, np.ndarray)):
            seeds: list[int | None] = [operator.index(seed) + lane for lane in range(lanes)]
        else:
            seeds = [None if one is None else operator.index(one) for one in seed]
        usable = len(seeds) == lanes and all(one is None or one >= 0 for one in seeds)
    except (TypeError, ValueError):
        usable = False
    if not usable:
        raise UserError(f"seed must be None, a whole number of at least 0, or {lanes} of these; got {seed!r}.")
    return seeds


def given_levels(levels: Any, problem: Problem, shape: Shape, lanes: int) -> NDArray[np.uint8] | None:
    """Returns the start levels that a reset was given, uint8 (lanes, *shape), or None for none."""
    if levels is None:
        return None
    batch = problem.check_levels(levels)
    if batch.shape[1:] != shape or len(batch) not in (1, lanes):
        raise UserError(f"options['levels'] must have shape {shape} or {(lanes, *shape)}; got {batch.shape}.")
    return np.broadcast_to(batch, (lanes, *shape))


def given_frozen(frozen: Any, shape: Shape, lanes: int) -> NDArray[np.bool_] | None:
    """Returns the frozen cells that a reset was given, bool (lanes, *shape), or None for none."""
    if frozen is None:
        return None
    array = np.asarray(frozen)
    if array.dtype != np.bool_ or array.shape not in (shape, (lanes, *shape)):
        raise UserError(
            f"options['frozen'] must be bool of shape {shape} or {(lanes, *shape)}; "
            f"got {array.dtype} of shape {array.shape}."
        )
    return np.broadcast_to(array, (lanes, *shape))


def given_targets(targets: Any, column_of: Callable[[object], int], lanes: int) -> dict[int, NDArray[np.float64]]:
    """Returns the target intervals that a reset was given, float64 (lanes, 2), by the metric's column."""
    given = {}
    if targets is not None and not isinstance(targets, Mapping):
        raise UserError(f"options['targets'] must be a mapping from metric names to targets; got {targets!r}.")
    for name, target in (targets or {}).items():
        column = column_of(name)
        try:
            array = np.asarray(target, np.float64)
        except (TypeError, ValueError):
            raise UserError(
                f"The target of {name!r} must be a number, (low, high) or an array; got {target!r}."
            ) from None
        if array.shape == (lanes,) and lanes != 2:
            array = array[:, None]
        try:
            intervals = np.broadcast_to(array, (lanes, 2))
        except ValueError:
            raise UserError(
                f"The target of {name!r} must be a number, (low, high), or an array of shape ({lanes},) "
                f"or ({lanes}, 2); got shape {array.shape}."
            ) from None
        if not (intervals[:, 0] <= intervals[:, 1]).all():
            raise UserError(f"The target of {name!r} must have its low end first; got {array.tolist()}.")
        given[column] = intervals
    return given
