"""Reads level files, in the format that is asked for or else recognised, and folders of them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import numpy as np

from envs.errors import UserError
from envs.level_io.formats import Collection, Level, LevelFormat, format_named, formats, formats_of
from envs.level_io.sources import read_bytes
from envs.level_io.tiled import TILES_MARK
from envs.level_io.vglc import PROCESSED
from envs.problem import Problem

#: How files begin that lie with levels but hold none.
_NO_LEVELS = ("readme", "license", "licence", "changelog", "copying")


def read_levels(path: str | os.PathLike[str], problem: Problem, format: str | None = None) -> list[Level]:
    """Reads the levels in a file.

    Args:
        path: the file; its extension tells its format, see `formats`.
        problem: the problem whose levels they are.
        format: the format's name, see `format_names`, where the extension does not tell it.

    Returns:
        At least one level, uint8 (height, width) or (depth, height, width) of tile ids; they may differ in shape.

    Raises:
        UserError: the extension or the format is unknown, the file cannot be read, it fits several formats in
            different ways, or its contents are no levels of this problem. The message says where in the file.
    """
    collection = read_collection(path, problem, format)
    if collection.unsupported:
        raise collection.unsupported[0]
    return collection.levels


def read_collection(path: str | os.PathLike[str], problem: Problem, format: str | None = None) -> Collection:
    """Reads a file with all that is known of its levels: titles, what was merged, and what the problem cannot hold.

    Args:
        path: the file.
        problem: the problem whose levels they are.
        format: the format's name, as in `read_levels`.

    Returns:
        At least one level, or one error in `unsupported`: a level that is well written, but of which the problem lacks
        a tile, is left out and said there.

    Raises:
        UserError: as in `read_levels`.
    """
    file = Path(path)
    kinds = [format_named(format)] if format is not None else formats_of(file)
    if len(kinds) > 1:
        return _recognised(kinds, file, problem)
    check_axes(kinds[0], file, problem)
    return kinds[0].read(file, problem)


def read_folder(folder: str | os.PathLike[str], problem: Problem, format: str | None = None) -> list[tuple[str, Level]]:
    """Reads all level files in a folder and the folders in it.

    Args:
        folder: the folder; see `level_files` for what counts as a level file.
        problem: the problem whose levels they are.
        format: the format's name, as in `read_levels`.

    Returns:
        (name, level) for each level, in the order of the files' paths. The name is the file's path in the folder, with
        "#2" for its second level where it holds several.

    Raises:
        UserError: it is no folder, holds no level files, or one of them cannot be read.
    """
    named: list[tuple[str, Level]] = []
    for file in level_files(folder, format):
        levels = read_levels(file, problem, format)
        name = file.relative_to(folder).as_posix()
        named += [(f"{name}#{i}" if len(levels) > 1 else name, level) for i, level in enumerate(levels, start=1)]
    return named


def level_files(folder: str | os.PathLike[str], format: str | None = None) -> list[Path]:
    """Returns the level files in a folder and the folders in it, sorted by their paths.

    These are the files with an extension of the format, or of any format. Hidden files and folders, files that are
    called README, LICENSE or CHANGELOG, and the pictures of Tiled's tilesets are passed over; in a folder with a
    folder `Processed`, as each game has in TheVGLC, that alone is looked into.

    Raises:
        UserError: it is no folder, a folder cannot be looked into, or there are no level files.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UserError(f"{root} is no folder; give the path of a folder of level files.")
    endings = format_named(format).extensions if format is not None else tuple(formats())
    found = []
    for place, folders, files in os.walk(root, onerror=_refuse):
        if PROCESSED in folders:
            folders[:] = [PROCESSED]
            files = []  # noqa: PLW2901 (what lies beside it are no levels)
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place) / name for name in files if name.lower().endswith(endings) and _may_hold_levels(name)]
    if not found:
        raise UserError(f"{root} holds no level files; they end in {', '.join(endings)}.")
    return sorted(found)


def check_axes(kind: LevelFormat, path: Path, problem: Problem) -> None:
    """Raises UserError where a format has no room for levels of as many axes."""
    if len(problem.default_shape) != 2 and not kind.storeys:
        raise UserError(
            f"{path}: the format {kind.name} holds flat levels of (height, width) only, but {problem.name} levels have "
            f"{len(problem.default_shape)} axes; use text (.txt)."
        )


def _refuse(error: OSError) -> None:
    """Raises the UserError for a folder that cannot be looked into."""
    reason = (error.strerror or str(error)).lower()
    raise UserError(
        f"The folder {error.filename} cannot be read: {reason}; give a folder that you may read."
    ) from error


def _may_hold_levels(name: str) -> bool:
    """Whether a file of this name, whose ending is right, may hold levels."""
    lower = name.lower()
    return not (lower.startswith((".", *_NO_LEVELS)) or (TILES_MARK in lower and lower.endswith(".png")))


def _recognised(kinds: list[LevelFormat], path: Path, problem: Problem) -> Collection:
    """Reads a file in the one of several formats that it is in, or raises UserError."""
    read_bytes(path)
    flat = len(problem.default_shape) == 2
    likely = {kind.name: kind.recognises(path, problem) for kind in kinds if flat or kind.storeys}
    sure = [name for name, how in likely.items() if how == "surely"]
    possible = sure or [name for name, how in likely.items() if how == "maybe"]
    found: list[Collection] = []
    failure: UserError | None = None
    for name in possible:
        try:
            found.append(format_named(name).read(path, problem))
        except UserError as error:
            # The last format is the most particular one, so that its complaint says most.
            failure = error
    if not found and failure is not None:
        raise _with_hint(failure, [kind for kind in kinds if likely.get(kind.name) == "no"], path, problem)
    for other in found[1:]:
        if not _same(found[0].levels, other.levels):
            raise UserError(
                f"{path} can be read as {found[0].format} and as {other.format}, with different levels; say which "
                "format it has."
            )
    return found[0]


def _with_hint(failure: UserError, others: list[LevelFormat], path: Path, problem: Problem) -> UserError:
    """Returns the error with the formats added that a file did not show signs of, but that would fit it."""
    fitting = []
    for kind in others:
        with suppress(UserError):
            kind.read(path, problem)
            fitting.append(kind.name)
    if not fitting:
        return failure
    return UserError(f"{str(failure).rstrip('.')}; if it is a {' or '.join(fitting)} file, name that format.")


def _same(first: list[Level], second: list[Level]) -> bool:
    """Whether two lists of levels are equal."""
    return len(first) == len(second) and all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
