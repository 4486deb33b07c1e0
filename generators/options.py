"""Dataclasses of options: made from what a command line or a file says, and explained by their docstrings."""

from __future__ import annotations

import inspect
import math
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, Literal, TypeVar

from envs import UserError
from envs.errors import unknown_name

Options = TypeVar("Options")

#: The most threads that torch is given: it starts as many as it is told, and ten thousand bring a machine to a halt.
MOST_THREADS = 256

#: An attribute's name and explanation in a docstring in Google's style.
_ATTRIBUTE = re.compile(r"^    (\w+): ((?:.+\n?)(?:^ {8,}.+\n?)*)", re.MULTILINE)


@dataclass(frozen=True)
class NoOptions:
    """For what has no options of some kind."""


def explained(options: type) -> dict[str, str]:
    """Returns what docstrings say of the fields of a dataclass, by name, in the order of the fields.

    A docstring explains what its class adds or means otherwise; for other fields the nearest base class's holds. Fields
    that none explains are left out.
    """
    found: dict[str, str] = {}
    for kind in reversed(options.__mro__):
        # Not inspect.getdoc(kind), which takes a base class's where there is none.
        text = inspect.cleandoc(kind.__dict__.get("__doc__") or "")
        found |= {name: " ".join(words.split()) for name, words in _ATTRIBUTE.findall(text)}
    return {entry.name: found[entry.name] for entry in fields(options) if entry.name in found}


def check_threads(threads: int) -> None:
    """Raises UserError where torch cannot well be given so many threads."""
    if not 1 <= threads <= MOST_THREADS:
        raise UserError(
            f"threads must be from 1 to {MOST_THREADS}, best no more than the machine's processors; got {threads}."
        )


def options_of(kind: type[Options], given: Mapping[str, Any], what: str) -> Options:
    """Returns a dataclass of options with some fields set, each of the type that the field declares.

    Text is taken for what it says, so that options can come from a command line.

    Raises:
        UserError: there is no such field, or a value is of the wrong type.
    """
    assert is_dataclass(kind)
    known = {entry.name: entry for entry in fields(kind)}
    hints = typing.get_type_hints(kind)
    values = {}
    for name, value in given.items():
        if name not in known:
            if not known:
                raise UserError(f"There is no {what}; {name!r} was given.")
            raise unknown_name(what, name, known)
        values[name] = typed(value, hints[name], f"The {what} {name!r}")
    missing = [name for name, entry in known.items() if entry.default is MISSING and entry.default_factory is MISSING]
    for name in missing:
        if name not in values:
            raise UserError(f"The {what} {name!r} is missing.")
    made: Options = kind(**values)
    check = getattr(made, "check", None)
    if check is not None:
        check()
    return made


def typed(value: Any, hint: Any, what: str) -> Any:
    """Returns a value as a type that a field can declare; text is taken for what it says.

    Args:
        value: what was given.
        hint: the type.
        what: what the value is, to begin a sentence with ("The sampling option 'steps'").

    Raises:
        UserError: it is not of the type.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None or (isinstance(value, str) and value.lower() == "none"):
            if type(None) in arguments:
                return None
        else:
            return typed(value, next(part for part in arguments if part is not type(None)), what)
    if origin is Literal:
        if value in arguments:
            return value
        raise UserError(f"{what} must be one of {', '.join(map(str, arguments))}; got {value!r}.")
    if origin is tuple:
        entries = value.split(",") if isinstance(value, str) else value
        if isinstance(entries, (list, tuple)):
            if len(arguments) == 2 and arguments[1] is Ellipsis:
                return tuple(typed(entry, arguments[0], what) for entry in entries)
            if len(entries) == len(arguments):
                return tuple(typed(entry, part, what) for entry, part in zip(entries, arguments, strict=True))
    if hint is bool and isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    try:
        if hint is int and not isinstance(value, bool) and int(value) == float(value):
            return int(value)
        if hint is float and not isinstance(value, bool) and math.isfinite(float(value)):
            return float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    if hint in (bool, str) and isinstance(value, hint):
        return value
    name = getattr(hint, "__name__", str(hint))
    shown = repr(value)
    raise UserError(f"{what} must be of type {name}; got {shown if len(shown) <= 60 else shown[:60] + '…'}.")
