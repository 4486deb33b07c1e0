"""Spaces: which architectures and trainings a search may choose from, made of the ranges that configurations declare.

A space has parts ("model" and "fit" of a family of generators, "network" and "ppo" of a designer), each with ranges of
some fields of one dataclass. What was chosen is called settings: part → field → value. A field that a space leaves out
keeps its default; one that is fixed has a `Choice` of one value.
"""

from __future__ import annotations

import random
import re
import textwrap
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Protocol

import yaml

from agents.interface import Interface
from agents.networks import NetworkConfig
from agents.training import PPOConfig
from envs import UserError
from envs.errors import unknown_name
from envs.files import write_atomically
from generators.generator import FitOptions, Generator
from generators.neural import NeuralGenerator
from generators.options import explained, options_of, typed
from generators.searchable import Choice, Range, Real, Several, When, Whole, searchable
from generators.suite import all_families, get_family

#: Part → field → value.
Settings = dict[str, dict[str, Any]]

#: What files call the space of a designer.
DESIGNER = "designer"

#: What files call the kinds of ranges, and the types that a field of each has.
_KINDS: dict[str, type[Range]] = {"whole": Whole, "real": Real, "choice": Choice, "several": Several}
_TYPES = {"whole": int, "real": float, "several": tuple}

#: How many settings are drawn to see whether all of a space can be used.
_DRAWS = 300


class Trial(Protocol):
    """What a space asks; `optuna.Trial` answers."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Returns a whole number."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Returns a real number."""

    def suggest_categorical(self, name: str, choices: typing.Sequence[Any]) -> Any:
        """Returns one of some values."""


@dataclass(frozen=True)
class Space:
    """What a search may choose from.

    Attributes:
        subject: the name of a family of generators, or "designer".
        parts: the ranges of fields, by part.
        defaults: by part, the dataclass that holds what is chosen where nothing is searched.

    Raises:
        UserError: a range cannot be used, does not fit its field, or does not hold the field's default.
    """

    subject: str
    parts: dict[str, dict[str, Range]]
    defaults: dict[str, Any]
    #: By part, the fields in an order in which each comes after those that it depends on.
    _orders: dict[str, list[str]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for part, ranges in self.parts.items():
            for name, kind in ranges.items():
                _check_range(f"{part}.{name}", kind, self.defaults[part])
            self._orders[part] = _ordered(part, ranges)
            for name, kind in ranges.items():
                if isinstance(kind, Whole) and kind.multiple_of:
                    _check_multiples(f"{part}.{name}", kind, self._values(part, kind.multiple_of))
                if getattr(self.defaults[part], name) not in kind:
                    raise UserError(
                        f"{part}.{name}: the default {getattr(self.defaults[part], name)} is outside of the range, but "
                        "a search begins with it: widen the range, or fix the field by giving a plain value."
                    )
        self.params(self.default())

    @classmethod
    def of_family(cls, family: str | type[Generator]) -> Space:
        """Returns the space that a family of generators declares.

        Raises:
            UserError: there is no such family, or it learns nothing that could be searched.
        """
        kind = get_family(family) if isinstance(family, str) else family
        ranges = searchable(kind.Config)
        if not issubclass(kind, NeuralGenerator) or not ranges:
            known = [name for name, one in all_families().items() if searchable(one.Config)]
            raise UserError(f"{kind.name} declares nothing to search: choose one of {', '.join(sorted(known))}.")
        defaults = {"model": kind.Config(), "fit": kind.resolved(FitOptions()), "sampling": kind.Sampling()}
        return cls(kind.name, {"model": ranges, "fit": searchable(FitOptions)}, defaults)

    @classmethod
    def of_designer(
        cls, interface: Interface, network: NetworkConfig | None = None, ppo: PPOConfig | None = None
    ) -> Space:
        """Returns the space of designers.

        Args:
            interface: what their networks see and decide.
            network: the default network; None is the configuration's own.
            ppo: the default training, likewise. How long it takes is no part of the space.
        """
        base = (network or NetworkConfig()).resolved(interface)
        kinds = ("mlp", "conv", "scorer") if interface.look_ahead else ("mlp", "conv")
        # A training without an end is no valid one.
        training = replace(ppo or PPOConfig(), minutes=1.0, steps=0)
        parts = {
            "network": {**searchable(NetworkConfig), "kind": Choice(kinds)},
            "ppo": searchable(PPOConfig),
        }
        return cls(DESIGNER, parts, {"network": base, "ppo": training})

    # Settings.

    def default(self) -> Settings:
        """Returns the settings that a search begins with."""
        return {
            part: {name: getattr(self.defaults[part], name) for name in ranges} for part, ranges in self.parts.items()
        }

    def configs(self, settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Returns the dataclasses that settings describe, by part, with the defaults of what they leave out.

        Raises:
            UserError: they name what there is not, or a value cannot be used.
        """
        for part in settings:
            if part not in self.defaults:
                raise unknown_name(f"part of the settings of {self.subject}", part, self.defaults)
        return {
            part: options_of(type(default), {**asdict(default), **settings.get(part, {})}, f"field of {part}")
            for part, default in self.defaults.items()
        }

    def suggest(self, trial: Trial) -> Settings:
        """Asks a trial for settings; whatever it answers, they are valid."""
        return {part: self._suggest(trial, part) for part in self.parts}

    def _suggest(self, trial: Trial, part: str) -> dict[str, Any]:
        ranges, default = self.parts[part], self.defaults[part]
        values = {name: getattr(default, name) for name in ranges}
        matters: set[str] = set()
        for name in self._orders[part]:
            kind = ranges[name]
            if not self._asked(part, kind, values, matters):
                continue
            matters.add(name)
            values[name] = _asked_for(trial, f"{part}.{name}", kind)
            if isinstance(kind, Whole) and kind.multiple_of:
                other = kind.multiple_of
                values[name] = kind.rounded(values[name], values.get(other, getattr(default, other)))
        return values

    def _asked(self, part: str, kind: Range, values: Mapping[str, Any], matters: set[str]) -> bool:
        """Tells whether a field is asked for, by the fields before it: their values, and whether they matter."""
        for other, wanted in kind.when.items():
            known = values.get(other, getattr(self.defaults[part], other))
            if known not in wanted or (other in self.parts[part] and other not in matters):
                return False
        return True

    def params(self, settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Returns the parameters that a trial must answer with so that `suggest` returns these settings.

        Args:
            settings: fields that are left out have their defaults.

        Raises:
            UserError: the settings are not in the space.
        """
        whole = self._whole(settings)
        given = _Given(whole)
        if self.suggest(given) != whole:
            changed = [
                f"{part}.{name} {value}"
                for part, values in self.suggest(given).items()
                for name, value in values.items()
                if value != whole[part][name]
            ]
            raise UserError(
                f"These settings are not in the space, where they would become {', '.join(changed)}: give those, or "
                "widen the space."
            )
        return given.asked

    def _whole(self, settings: Mapping[str, Mapping[str, Any]]) -> Settings:
        """Returns settings with the defaults of what is left out, each value in its field's type."""
        whole = self.default()
        for part, values in settings.items():
            if part not in self.parts:
                raise unknown_name("part of a space", part, self.parts)
            hints = typing.get_type_hints(type(self.defaults[part]))
            for name, value in values.items():
                if name not in whole[part]:
                    raise unknown_name(f"searched field of {part}", name, whole[part])
                whole[part][name] = typed(value, hints[name], f"{part}.{name}")
                if whole[part][name] not in self.parts[part][name]:
                    raise UserError(f"{part}.{name} {value} is outside of the space: give another, or widen its range.")
        return whole

    def _values(self, part: str, name: str) -> Iterator[int]:
        """Returns the whole numbers that a field may be."""
        kind = self.parts[part].get(name)
        if isinstance(kind, Whole):
            return iter(range(kind.low, kind.high + 1, kind.step))
        return iter(kind.values if isinstance(kind, Choice) else (getattr(self.defaults[part], name),))

    def check(self) -> None:
        """Draws some hundred settings and asks the configurations whether they can be used.

        Raises:
            UserError: one cannot; it names what does not go together.
        """
        drawn = _Drawn(0)
        for _ in range(_DRAWS):
            settings = self.suggest(drawn)
            for part, values in settings.items():
                if self._refusal(part, values):
                    raise UserError(self._advice(part, values))

    def _refusal(self, part: str, values: Mapping[str, Any]) -> str:
        """Returns what a configuration has against some values, "" where they can be used."""
        try:
            getattr(replace(self.defaults[part], **values), "check", lambda: None)()
        except UserError as error:
            return str(error)
        return ""

    def _advice(self, part: str, values: dict[str, Any]) -> str:
        """Returns a sentence that says which of the values cannot be used, and how to exclude them."""
        reason = self._refusal(part, values).rstrip(".")
        named = [name for name in values if re.search(rf"\b{name}\b", reason)] or list(values)
        shown = " with ".join(f"{name} {values[name]}" for name in named)
        return (
            f"The space allows in {part} {shown}, which cannot be used ({reason}): exclude that by narrower ranges, by "
            "plain values that fix a field, or, where fields must go together, by multiple_of and when."
        )

    # Files.

    def write(self, path: Path | str) -> Path:
        """Writes the space as YAML, with what each field means.

        Raises:
            UserError: it cannot be written.
        """
        lines = ["# What a search may choose from; docs/search.md describes the format.", "kind: space"]
        lines.append(f"subject: {self.subject}")
        for part, ranges in self.parts.items():
            words = explained(type(self.defaults[part]))
            lines += ["", f"{part}:" if ranges else f"{part}: {{}}"]
            for name, kind in ranges.items():
                comment = textwrap.wrap(words.get(name, ""), 110, initial_indent="  # ", subsequent_indent="  # ")
                entry = yaml.safe_dump({name: _entry(kind)}, default_flow_style=True, sort_keys=False, width=1000)
                lines += [*comment, "  " + entry.strip()[1:-1]]
        return write_atomically(path, ("\n".join(lines) + "\n").encode())

    @classmethod
    def read(cls, path: Path | str, base: Space | None = None) -> Space:
        """Reads a space from YAML. Nothing in the file is executed.

        Args:
            path: the file.
            base: whose defaults and fields the file is about; None takes the family of generators that it names.

        Raises:
            UserError: the file cannot be read, or says what cannot be; or settings in the space cannot be used.
        """
        content = _read_yaml(Path(path))
        try:
            if content.pop("kind", None) != "space":
                raise UserError('it describes no space: it must say "kind: space"')
            subject = content.pop("subject", None)
            if base is None:
                if subject == DESIGNER:
                    raise UserError("it is the space of a designer, which cannot be used here")
                base = cls.of_family(str(subject))
            if subject != base.subject:
                raise UserError(f'its subject is {subject!r}, but "subject: {base.subject}" is needed here')
            parts, fixed = _read_parts(content, base.defaults)
            defaults = {part: replace(default, **fixed.get(part, {})) for part, default in base.defaults.items()}
            space = cls(base.subject, parts, defaults)
            space.check()
        except UserError as error:
            raise UserError(f"{path} cannot be used: {str(error).rstrip('.')}.") from error
        return space


# Asking.


def _asked_for(trial: Trial, name: str, kind: Range) -> Any:
    """Returns what a trial answers for a field."""
    if isinstance(kind, Whole):
        return trial.suggest_int(name, kind.low, kind.high, step=kind.step, log=kind.log)
    if isinstance(kind, Real):
        return trial.suggest_float(name, kind.low, kind.high, log=kind.log)
    if isinstance(kind, Choice):
        return kind.values[0] if len(kind.values) == 1 else trial.suggest_categorical(name, kind.values)
    length = kind.least
    if kind.most > kind.least:
        length = trial.suggest_int(f"{name}.length", kind.least, kind.most)
    return tuple(_asked_for(trial, f"{name}.{i}", kind.each) for i in range(length))


class _Given:
    """A trial that answers with settings, and notes what it was asked for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.asked: dict[str, Any] = {}

    def _answer(self, name: str) -> Any:
        part, field_name, *rest = name.split(".")
        value = self.settings[part][field_name]
        if rest:
            value = len(value) if rest[0] == "length" else value[int(rest[0])]
        self.asked[name] = value
        return value

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._answer(name))

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return float(self._answer(name))

    def suggest_categorical(self, name: str, choices: typing.Sequence[Any]) -> Any:
        return self._answer(name)


class _Drawn:
    """A trial that answers by chance, at the ends of ranges as often as between them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def _number(self, low: float, high: float, between: Callable[[], float]) -> Any:
        return self.random.choice([lambda: low, lambda: high, between, between])()

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        last = high - (high - low) % step
        return int(self._number(low, last, lambda: self.random.randrange(low, last + 1, step)))

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return float(self._number(low, high, lambda: self.random.uniform(low, high)))

    def suggest_categorical(self, name: str, choices: typing.Sequence[Any]) -> Any:
        return self.random.choice(choices)


# Checking.


def _check_range(name: str, kind: Range, default: Any) -> None:
    """Raises UserError where a range cannot be used, or not for its field."""
    kind.check_of(name)
    hints = typing.get_type_hints(type(default))
    hint = _plain_type(hints[name.partition(".")[2]])
    for word, wanted in _TYPES.items():
        if isinstance(kind, _KINDS[word]) and hint is not wanted:
            allowed = [other for other, one in _TYPES.items() if one is hint]
            raise UserError(f"{name}: its range must be of type {' or '.join([*allowed, 'choice'])}; got {word}.")
    if isinstance(kind, Choice) and hint is tuple and len(kind.values) > 1:
        raise UserError(f"{name}: its range must be of type several, or one value; got a choice of {len(kind.values)}.")
    others = [*kind.when, *([kind.multiple_of] if isinstance(kind, Whole) and kind.multiple_of else [])]
    for other in others:
        if other not in hints:
            raise unknown_name(f"field in the range of {name}", other, hints)
    if isinstance(kind, Whole) and kind.multiple_of and _plain_type(hints[kind.multiple_of]) is not int:
        raise UserError(f"{name}: multiple_of must name a field of whole numbers; got {kind.multiple_of}.")


def _check_multiples(name: str, kind: Whole, divisors: Iterator[int]) -> None:
    """Raises UserError where a range holds no multiple of what it must be a multiple of."""
    for divisor in divisors:
        if divisor < 1 or kind.rounded(kind.low, divisor) is None:
            raise UserError(
                f"{name}: there is no multiple of {kind.multiple_of} from {kind.low} to {kind.high} where "
                f"{kind.multiple_of} is {divisor}: widen the range, or leave that value out of the other."
            )


def _ordered(part: str, ranges: Mapping[str, Range]) -> list[str]:
    """Returns fields in an order in which each comes after those that it depends on."""
    graph = {}
    for name, kind in ranges.items():
        others = {*kind.when, kind.multiple_of} if isinstance(kind, Whole) else {*kind.when}
        graph[name] = [other for other in ranges if other in others]
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = ", ".join(f"{part}.{name}" for name in error.args[1])
        raise UserError(
            f"The ranges of {circle} each wait for the next: take one out of when or multiple_of."
        ) from error


def _plain_type(hint: Any) -> Any:
    """Returns the type of values other than None, tuple for tuples."""
    plain = [part for part in typing.get_args(hint) if part is not type(None)]
    if type(None) in typing.get_args(hint):
        return _plain_type(plain[0])
    return tuple if typing.get_origin(hint) is tuple else hint


# Reading and writing.


def _entry(kind: Range) -> Any:
    """Returns a range as plain data, or the one value that it holds."""
    if isinstance(kind, Choice) and len(kind.values) == 1 and not kind.when:
        return _yaml_value(kind.values[0])
    word = next(word for word, one in _KINDS.items() if isinstance(kind, one))
    return {"type": word, **_told(kind)}


def _told(kind: Range) -> dict[str, Any]:
    """Returns the attributes of a range that are not as they are by default."""
    found: dict[str, Any] = {}
    for entry in fields(kind):
        value = getattr(kind, entry.name)
        if entry.name == "each":
            found["each"] = _told(value)
        elif entry.name == "when":
            found |= {"when": {other: list(values) for other, values in value.items()}} if value else {}
        elif entry.default is MISSING or value != entry.default:
            found[entry.name] = _yaml_value(value)
    return found


def _yaml_value(value: Any) -> Any:
    return [_yaml_value(entry) for entry in value] if isinstance(value, tuple) else value


def _read_yaml(path: Path) -> dict[str, Any]:
    """Returns what a YAML file says.

    Raises:
        UserError: it cannot be read, or holds no mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; give a YAML file that is there.") from error
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} is no YAML that can be read ({reason}): mend it there.") from error
    if not isinstance(content, dict):
        raise UserError(f'{path} must be a YAML mapping that begins with "kind: space"; it is none.')
    return content


def _read_parts(
    content: Mapping[str, Any], defaults: Mapping[str, Any]
) -> tuple[dict[str, dict[str, Range]], Settings]:
    """Returns the ranges that a file gives, and the values that it fixes."""
    parts: dict[str, dict[str, Range]] = {}
    fixed: Settings = {}
    for part, entries in content.items():
        if part not in defaults:
            raise unknown_name("part of a space", part, defaults)
        if not isinstance(entries, dict):
            raise UserError(f"{part} must be a mapping of fields to ranges; got {entries!r}.")
        hints = typing.get_type_hints(type(defaults[part]))
        parts[part], fixed[part] = {}, {}
        for name, entry in entries.items():
            if name not in hints:
                raise unknown_name(f"field of {part}", name, hints)
            if isinstance(entry, dict):
                parts[part][name] = _read_range(f"{part}.{name}", entry, name, hints)
            else:
                fixed[part][name] = typed(entry, hints[name], f"{part}.{name}")
                parts[part][name] = Choice((fixed[part][name],))
    return parts, fixed


def _read_range(what: str, entry: dict[str, Any], name: str, hints: Mapping[str, Any]) -> Range:
    """Returns a range that a file describes.

    Raises:
        UserError: it describes none.
    """
    given = dict(entry)
    word = given.pop("type", None)
    if word not in _KINDS:
        raise unknown_name(f"type of the range of {what}", word, _KINDS)
    kind = _KINDS[word]
    when = given.pop("when", {})
    if not isinstance(when, dict):
        raise UserError(f"{what}: when must be a mapping of fields to lists of values; got {when!r}.")
    conditions: When = {
        other: _read_values(f"{what}: when {other}", values, hints.get(other, Any)) for other, values in when.items()
    }
    words = f"word in the range of {what}"
    if kind is Choice:
        values = _read_values(f"{what}: values", given.pop("values", None), hints[name])
        if given:
            raise unknown_name(words, next(iter(given)), ("type", "values", "when"))
        return Choice(values, conditions)
    if kind is Several:
        each = given.pop("each", None)
        if not isinstance(each, dict):
            raise UserError(f"{what}: each must be a mapping with low and high; got {each!r}.")
        length = options_of(_Length, given, words)
        return Several(options_of(Whole, each, f"{words}, each"), length.least, length.most, conditions)
    found: Range = replace(options_of(kind, given, words), when=conditions)
    return found


@dataclass(frozen=True)
class _Length:
    """How many numbers a tuple has."""

    least: int
    most: int


def _read_values(what: str, given: Any, hint: Any) -> tuple[Any, ...]:
    """Returns values of a type; of whichever type they are where it is Any."""
    if not isinstance(given, list):
        raise UserError(f"{what} must be a list; got {given!r}.")
    return tuple(value if hint is Any else typed(value, hint, what) for value in given)
