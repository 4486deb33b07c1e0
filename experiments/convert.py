"""Convert level files: text, Tiled maps, Sokoban collections, Boxoban, TheVGLC and pictures, from any to any."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from envs import Problem, UserError, get_problem, get_rules, solve
from envs.level_io import Collection, Level, format_names, level_files, read_collection, write_levels
from envs.level_io.formats import format_named, formats_of
from experiments.run import main, make_folder


@dataclass
class Options:
    """Convert level files: text, Tiled maps, Sokoban collections, Boxoban, TheVGLC and pictures, from any to any.

    Attributes:
        paths: the files or folders to read, and at the end what to write: one file for all levels, or, without an
            extension, a folder with one file for each that is read.
        problem: the game that the levels belong to.
        from_: the format to read; by default it is recognised. One of text, tiled, xsb, boxoban, vglc and png.
        to: the format to write; by default the one of the destination's extension.
        tile_size: the side of a tile in pixels, 4 to 256, for pictures and Tiled maps.
        skip: leave levels out that have what the problem has no tile for, instead of giving up.
        solve: also tell how many of the levels the solver wins.
        budget: the most game states that the solver may look at for one level; by default its own.
    """

    paths: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE... DESTINATION")]
    problem: str
    from_: Annotated[str | None, tyro.conf.arg(name="from")] = None
    to: str | None = None
    tile_size: int = 32
    skip: bool = False
    solve: bool = False
    budget: int | None = None


@dataclass
class _Source:
    """A file that was read.

    Attributes:
        path: the file.
        name: its path below the folder that was given, or its name.
        collection: what it holds.
    """

    path: Path
    name: Path
    collection: Collection


@dataclass
class _Tally:
    """What was read so far, for the report."""

    formats: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    levels: list[Level] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    unsupported: list[UserError] = field(default_factory=list)


def convert(options: Options) -> None:
    """Reads, reports and writes.

    Raises:
        UserError: an option cannot be used, a file cannot be read, or none can be written.
    """
    if len(options.paths) < 2:
        raise UserError("Give at least one file or folder to read, and at the end the file or folder to write.")
    problem = get_problem(options.problem)
    if options.solve:
        get_rules(problem)
    if options.budget is not None and (not options.solve or options.budget < 1):
        raise UserError(f"--budget is a number of at least 1 state and goes with --solve; got {options.budget}.")
    *givens, destination = options.paths
    for name in (options.from_, options.to):
        if name is not None:
            format_named(name)
    extension = None if destination.suffix and not destination.is_dir() else _extension(options.to, destination)
    kind = format_named(options.to) if options.to else formats_of(destination)[0]
    sources = _read(givens, problem, options.from_)
    tally = _tally(sources)
    _report(tally, len(sources), options.skip)
    if any(tally.titles) and not kind.titled:
        print(f"dropped the titles of the levels, which {kind.name} has no room for")
    if extension is None:
        write_levels(destination, tally.levels, problem, options.tile_size, options.to, tally.titles)
        print(f"wrote   {destination}: {_count(len(tally.levels), 'level')}")
    else:
        number = _write_each(sources, destination, extension, problem, options)
        print(f"wrote   {destination}: {_count(number, f'{extension} file')}, {_count(len(tally.levels), 'level')}")
    if options.solve:
        _solve(problem, tally.levels, options.budget)


def _extension(to: str | None, destination: Path) -> str:
    """Returns the extension of the files that go into a folder."""
    if to is None:
        raise UserError(
            f"{destination} is a folder, or has no extension; say with --to in which format its files shall be: "
            f"{', '.join(format_names())}."
        )
    return format_named(to).extensions[0]


def _read(givens: Sequence[Path], problem: Problem, format: str | None) -> list[_Source]:
    """Reads all files that are given, and those in the folders that are."""
    files = []
    for given in givens:
        if given.is_dir():
            files += [(file, file.relative_to(given)) for file in level_files(given, format)]
        else:
            files.append((given, Path(given.name)))
    return [_Source(file, name, read_collection(file, problem, format)) for file, name in files]


def _tally(sources: Sequence[_Source]) -> _Tally:
    """Returns what was read, all in one."""
    tally = _Tally()
    for source in sources:
        tally.formats[source.collection.format] += 1
        tally.changes += source.collection.changes
        tally.levels += source.collection.levels
        tally.titles += source.collection.titles
        tally.unsupported += source.collection.unsupported
    return tally


def _report(tally: _Tally, files: int, skip: bool) -> None:
    """Prints what was read.

    Raises:
        UserError: there are levels that the problem cannot hold, and they shall not be left out; or there are no
            others.
    """
    if tally.unsupported and not skip:
        message = str(tally.unsupported[0]).rstrip(".")
        others = f" ({len(tally.unsupported)} such levels in all)" if len(tally.unsupported) > 1 else ""
        raise UserError(f"{message}{others}; --skip leaves them out.")
    kinds = ", ".join(f"{count} {name}" for name, count in sorted(tally.formats.items()))
    print(f"read    {_count(files, 'file')} ({kinds}): {_count(len(tally.levels), 'level')}{_shapes(tally.levels)}")
    for change, count in sorted(tally.changes.items()):
        print(f"merged  {change}: {_count(count, 'tile')}")
    for error in tally.unsupported:
        print(f"skipped {error}")
    if not tally.levels:
        raise UserError("No level is left to write.")


def _shapes(levels: Sequence[Level]) -> str:
    """Returns how large levels are, in words."""
    if not levels:
        return ""
    shapes = np.array([level.shape for level in levels])
    least, greatest = (" x ".join(map(str, sizes)) for sizes in (shapes.min(axis=0), shapes.max(axis=0)))
    return f", {least}" if least == greatest else f", {least} to {greatest}"


def _write_each(
    sources: Sequence[_Source], destination: Path, extension: str, problem: Problem, options: Options
) -> int:
    """Writes one file for each that was read, and returns how many there are."""
    kept = [source for source in sources if source.collection.levels]
    targets = [destination / source.name.with_suffix(extension) for source in kept]
    for target, count in Counter(targets).items():
        if count > 1:
            raise UserError(f"{count} of the files would become {target}; convert them into folders of their own.")
    for source, target in zip(kept, targets, strict=True):
        make_folder(target.parent)
        levels, titles = source.collection.levels, source.collection.titles
        write_levels(target, levels, problem, options.tile_size, options.to, titles)
    return len(kept)


def _solve(problem: Problem, levels: Sequence[Level], budget: int | None) -> None:
    """Prints what the solver says."""
    found: Counter[str] = Counter(solve(problem, level, budget)[0].status for level in levels)
    print(f"solver  {', '.join(f'{found[status]} {status}' for status in ('solved', 'unsolvable', 'unknown'))}")


def _count(number: int, what: str) -> str:
    """Returns a number of things, in words."""
    return f"{number} {what}{'' if number == 1 else 's'}"


if __name__ == "__main__":
    main(Options, convert)
