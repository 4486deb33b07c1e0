"""What a level file format is, and which ones there are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from envs.errors import UserError, unknown_name
from envs.problem import Problem

Level = NDArray[np.uint8]

#: How sure a format is that a file is its own.
Likelihood = Literal["no", "maybe", "surely"]


class TooManyLevelsError(UserError):
    """A file holds more levels than it may."""


@dataclass
class Collection:
    """What a level file holds.

    Attributes:
        format: the name of the format that it was read in.
        most: the most levels that it may hold; None for any number.
        levels: the levels, uint8 (height, width) or (depth, height, width) each.
        titles: one for each level; empty where the file gives none.
        changes: what did not come over one to one, in words ("'B' (Cannon top) became solid"), and in how many tiles.
        unsupported: for each level that is well written but has what the problem has no tile for, what and where.
    """

    format: str
    most: int | None = None
    levels: list[Level] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    changes: Counter[str] = field(default_factory=Counter)
    unsupported: list[UserError] = field(default_factory=list)

    def add(self, level: Level, title: str = "") -> None:
        """Adds a level.

        Raises:
            TooManyLevelsError: there are as many as there may be.
        """
        self._check_room()
        self.levels.append(level)
        self.titles.append(title)

    def leave_out(self, error: UserError) -> None:
        """Notes a level that the problem cannot hold.

        Raises:
            TooManyLevelsError: there are as many as there may be.
        """
        self._check_room()
        self.unsupported.append(error)

    def _check_room(self) -> None:
        if self.most is not None and len(self.levels) + len(self.unsupported) >= self.most:
            raise TooManyLevelsError(f"A file may hold at most {self.most} levels; this one holds more.")


class LevelFormat(ABC):
    """A kind of level file."""

    #: One sentence for users.
    description: str
    #: What `read_levels(..., format=...)` calls it; by default its first extension without the dot.
    name: str = ""
    #: The endings of its files, in small letters; `level_format` sets it.
    extensions: tuple[str, ...] = ()
    #: Whether it holds levels of three axes as well.
    storeys: bool = False
    #: Whether it keeps the titles of levels.
    titled: bool = False

    def recognises(self, path: Path, problem: Problem) -> Likelihood:
        """Tells whether a file with one of its extensions, which other formats may have too, is one of its own.

        Raises:
            UserError: the file cannot be read at all.
        """
        return "maybe"

    @abstractmethod
    def read(self, path: Path, problem: Problem, most: int | None = None) -> Collection:
        """Returns what is in a file, or raises UserError saying where it is wrong; it may return no level at all.

        Of a file with more than `most` levels it reads no further, and raises TooManyLevelsError.
        """

    @abstractmethod
    def write(
        self, path: Path, levels: Sequence[Level], problem: Problem, tile_size: int, titles: Sequence[str]
    ) -> None:
        """Writes valid levels, at least one, with one title each, empty for none; or raises UserError."""


_BY_NAME: dict[str, LevelFormat] = {}
_BY_EXTENSION: dict[str, list[LevelFormat]] = {}


def level_format(*extensions: str) -> Callable[[type[LevelFormat]], type[LevelFormat]]:
    """Registers a class as a format of the files with the given extensions (".txt"), in small letters.

    Where several formats share an extension, files are written in the one that was registered first, and read in the
    one that recognises them.
    """

    def register(kind: type[LevelFormat]) -> type[LevelFormat]:
        made = kind()
        made.extensions = extensions
        made.name = kind.name or extensions[0].removeprefix(".")
        _BY_NAME[made.name] = made
        for extension in extensions:
            _BY_EXTENSION.setdefault(extension, []).append(made)
        return kind

    return register


def formats() -> dict[str, str]:
    """Returns the description of every file format by its extension (".txt")."""
    return {extension: kinds[0].description for extension, kinds in _BY_EXTENSION.items()}


def format_names() -> dict[str, str]:
    """Returns the description of every file format by its name ("text"), as the argument `format` takes it."""
    return {name: kind.description for name, kind in _BY_NAME.items()}


def format_named(name: str) -> LevelFormat:
    """Returns the format of a name.

    Raises:
        UserError: there is none.
    """
    if name not in _BY_NAME:
        raise unknown_name("level file format", name, _BY_NAME)
    return _BY_NAME[name]


def formats_of(path: Path) -> list[LevelFormat]:
    """Returns the formats of files with this extension.

    Raises:
        UserError: there are none.
    """
    extension = path.suffix.lower()
    if extension not in _BY_EXTENSION:
        raise UserError(
            f"{path} has {f'the extension {extension!r}' if extension else 'no extension'}; level files end in "
            f"{', '.join(_BY_EXTENSION)}."
        )
    return _BY_EXTENSION[extension]


def check_shape(level: Level, problem: Problem, place: str) -> Level:
    """Returns a level that is large enough for its problem, or raises UserError."""
    if any(size < least for size, least in zip(level.shape, problem.smallest_shape, strict=True)):
        raise UserError(
            f"{place}: the level is {_size(level.shape)}; {problem.name} levels are at "
            f"least {_size(problem.smallest_shape)}."
        )
    return level


def tile_legend(problem: Problem) -> str:
    """Returns the characters of the tiles with their names, for people."""
    return ", ".join(f"{tile.character!r} ({tile.name})" for tile in problem.tiles)


def _size(shape: Sequence[int]) -> str:
    """Returns a shape in words."""
    deep = f"{shape[0]} deep, " if len(shape) == 3 else ""
    return f"{deep}{shape[-2]} high and {shape[-1]} wide"
