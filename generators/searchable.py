"""Ranges: what of a configuration a search may change, declared beside the field that it is about.

    width: Annotated[int, Whole(16, 192, log=True, multiple_of="heads")] = 64

A range says what may be chosen and when that matters, and nothing of how a search chooses.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from envs import UserError

#: Other fields of the same dataclass, each with the values where a range matters.
When = Mapping[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Whole:
    """Whole numbers.

    Attributes:
        low: the least.
        high: the greatest, which is itself in the range.
        log: whether to choose as often between 10 and 20 as between 20 and 40.
        step: numbers are this far apart, counted from the least.
        multiple_of: another field; what was chosen is rounded to the nearest multiple of that field's value.
        when: the field is chosen only where other fields have one of these values; elsewhere it keeps its default.
    """

    low: int
    high: int
    log: bool = False
    step: int = 1
    multiple_of: str = ""
    when: When = field(default_factory=dict, hash=False)

    def check_of(self, name: str) -> None:
        """Raises UserError where the range of a field of this name cannot be used."""
        _check_ends(name, self.low, self.high, self.log)
        if self.step < 1 or (self.step > 1 and (self.log or self.multiple_of)):
            raise UserError(f"{name}: step must be at least 1, and 1 with log or multiple_of; got {self.step}.")

    def __contains__(self, value: Any) -> bool:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and self.low <= value <= self.high and (value - self.low) % self.step == 0

    def rounded(self, value: int, divisor: int) -> int | None:
        """Returns the multiple of a divisor in the range that is nearest to a value; None where there is none."""
        least, most = -(-self.low // divisor), self.high // divisor
        return divisor * min(max(round(value / divisor), least), most) if least <= most else None


@dataclass(frozen=True)
class Real:
    """Real numbers.

    Attributes:
        low: the least.
        high: the greatest.
        log: see `Whole`.
        when: see `Whole`.
    """

    low: float
    high: float
    log: bool = False
    when: When = field(default_factory=dict, hash=False)

    def check_of(self, name: str) -> None:
        """Raises UserError where the range of a field of this name cannot be used."""
        _check_ends(name, self.low, self.high, self.log)

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """Some values that have no order.

    Attributes:
        values: what may be chosen; empty stands for all that the field's type lists (a Literal's, False and True).
        when: see `Whole`.
    """

    values: tuple[Any, ...] = ()
    when: When = field(default_factory=dict, hash=False)

    def check_of(self, name: str) -> None:
        """Raises UserError where the range of a field of this name cannot be used."""
        if not self.values or len({(type(value), value) for value in self.values}) < len(self.values):
            raise UserError(f"{name}: give at least one value to choose, and each once; got {list(self.values)}.")

    def __contains__(self, value: Any) -> bool:
        return any(value == known and isinstance(value, bool) == isinstance(known, bool) for known in self.values)


@dataclass(frozen=True)
class Several:
    """A tuple of whole numbers: first how many there are, then each.

    Attributes:
        each: the range of each.
        least: the fewest.
        most: the most.
        when: see `Whole`.
    """

    each: Whole
    least: int
    most: int
    when: When = field(default_factory=dict, hash=False)

    def check_of(self, name: str) -> None:
        """Raises UserError where the range of a field of this name cannot be used."""
        self.each.check_of(f"{name}, each")
        if self.each.when or self.each.multiple_of:
            raise UserError(f"{name}, each: give when for the whole field, and step in place of multiple_of.")
        if not 1 <= self.least <= self.most:
            raise UserError(f"{name}: least must be at least 1 and at most most; got {self.least} and {self.most}.")

    def __contains__(self, value: Any) -> bool:
        return (
            isinstance(value, tuple)
            and self.least <= len(value) <= self.most
            and all(entry in self.each for entry in value)
        )


Range = Whole | Real | Choice | Several


def searchable(kind: type) -> dict[str, Range]:
    """Returns the ranges that the fields of a dataclass declare, by name, in the order of the fields."""
    hints = typing.get_type_hints(kind, include_extras=True)
    found: dict[str, Range] = {}
    for entry in fields(kind):
        hint = hints[entry.name]
        for note in getattr(hint, "__metadata__", ()):
            if isinstance(note, Choice) and not note.values:
                found[entry.name] = replace(note, values=_listed(hint.__origin__))
            elif isinstance(note, Range):
                found[entry.name] = note
    return found


def _listed(hint: Any) -> tuple[Any, ...]:
    """Returns the values that a type lists."""
    return typing.get_args(hint) if typing.get_origin(hint) is Literal else (False, True)


def _check_ends(name: str, low: float, high: float, log: bool) -> None:
    """Raises UserError where there is nothing between two ends, or no logarithm of one."""
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise UserError(f"{name}: low must not be above high; got {low} and {high}.")
    if log and low <= 0:
        raise UserError(f"{name}: low must be above 0 where log is true; got {low}: raise it, or leave out log.")
