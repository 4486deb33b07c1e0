"""Levels of TheVGLC, the Video Game Level Corpus (Summerville 2016, https://github.com/TheVGLC/TheVGLC)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from envs.errors import UserError
from envs.level_io.formats import Collection, Level, LevelFormat, Likelihood, check_shape, level_format
from envs.level_io.rows import Row, check_rows, first_stranger, tiles_of
from envs.level_io.sources import read_json, read_lines
from envs.level_io.vglc_tables import TABLES, Table, table_for
from envs.problem import Problem

#: The folder of a game in which the levels lie.
PROCESSED = "Processed"


@dataclass(frozen=True)
class Legend:
    """The legend that lies with a game's levels.

    Attributes:
        path: the file.
        tags: what it says of each character; nothing where it explains no tiles, as Zelda's.
    """

    path: Path
    tags: dict[str, list[str]] = field(default_factory=dict)


def find_legend(path: Path) -> Legend | None:
    """Returns the legend that lies beside a level file, or beside its folder where that is a game's `Processed`.

    Raises:
        UserError: a legend of a game that is known by its name is damaged.
    """
    folders = [path.parent]
    if path.absolute().parent.name == PROCESSED:
        folders.append(path.absolute().parent.parent)
    known = {table.legend for table in TABLES}
    for folder in folders:
        for file in sorted(folder.glob("*.json")):
            try:
                tiles = read_json(file).get("tiles")
            except UserError:
                if file.name in known:
                    raise
                continue
            if isinstance(tiles, dict) and tiles and all(_is_entry(*entry) for entry in tiles.items()):
                return Legend(file, tiles)
            if file.name in known:
                return Legend(file)
    return None


def _is_entry(character: str, tags: object) -> bool:
    return len(character) == 1 and isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)


@level_format(".txt")
class VglcFormat(LevelFormat):
    """One level a file, in the alphabet of its game; what each character becomes is declared in `vglc_tables`.

    A file is taken for one of these where the game's legend (smb.json, Loderunner.json, zelda.json) lies beside it or
    beside its folder `Processed`, or where the caller says so. Not written: several of their characters become one of
    our tiles.
    """

    name = "vglc"
    description = "level of TheVGLC, read only: " + ", ".join(
        f"{table.game} (as {' or '.join(table.problems)})" for table in TABLES
    )

    def recognises(self, path: Path, problem: Problem) -> Likelihood:
        """Whether there is a table for the problem, and a legend with the file."""
        return "maybe" if table_for(problem.name) and find_legend(path) else "no"

    def read(self, path: Path, problem: Problem, most: int | None = None) -> Collection:
        """Returns the one level in a file."""
        table = table_for(problem.name)
        if table is None:
            raise UserError(f"{path}: no game of TheVGLC is known for {problem.name}; {_known()}.")
        lines = read_lines(path)
        legend = find_legend(path)
        ids = _tile_ids(table, problem, path)
        self._check_legend(table, legend, path)
        block: list[Row] = [(number, line.rstrip()) for number, line in enumerate(lines, start=1)]
        while block and not block[-1][1]:
            block.pop()
        if not block:
            raise UserError(f"{path} holds no level; give a file of {table.game}.")
        stranger = first_stranger(block, set(ids))
        if stranger:
            raise UserError(_unknown(stranger, table, legend, path))
        check_rows(block, path)
        collection = Collection(self.name, most)
        collection.add(check_shape(tiles_of(block, ids), problem, f"{path}, line 1, column 1"), path.stem)
        collection.changes = _merges(block, table, ids, problem)
        return collection

    def write(
        self, path: Path, levels: Sequence[Level], problem: Problem, tile_size: int, titles: Sequence[str]
    ) -> None:
        """Refuses: several characters become one tile, so that there is no way back."""
        raise UserError(f"{path} cannot be written as vglc, which is read only; write text, or a Tiled map.")

    @staticmethod
    def _check_legend(table: Table, legend: Legend | None, path: Path) -> None:
        """Raises UserError where the legend is another game's."""
        if legend is None:
            return
        for character, tags in legend.tags.items():
            symbol = table.symbols.get(character)
            if symbol is None or symbol.meaning.lower() not in [tag.lower() for tag in tags]:
                ours = f"is {symbol.meaning!r}" if symbol else "does not occur"
                raise UserError(
                    f"{path}: the legend {legend.path} says that {character!r} is {', '.join(tags)}, but in "
                    f"{table.game} it {ours}; {_known()}."
                )


def _tile_ids(table: Table, problem: Problem, path: Path) -> dict[str, int]:
    """Returns the tile id that each character becomes, or raises UserError."""
    ids = {}
    for character, symbol in table.symbols.items():
        name = next((name for name in symbol.tiles if name in problem.tile_ids), None)
        if name is None:
            raise UserError(
                f"{path}: the table of {table.game} makes {character!r} ({symbol.meaning}) "
                f"{' or '.join(symbol.tiles)}, but {problem.name} has no such tile, only "
                f"{', '.join(problem.tile_ids)}; mend the table."
            )
        ids[character] = problem.tile_ids[name]
    return ids


def _merges(block: list[Row], table: Table, ids: dict[str, int], problem: Problem) -> Counter[str]:
    """Returns what became a tile that is another character's own, in words, and in how many tiles."""
    counts = Counter("".join(row for _, row in block))
    changes: Counter[str] = Counter()
    own: set[int] = set()
    for character, symbol in table.symbols.items():
        tile = ids[character]
        if tile in own and counts[character]:
            changes[f"{character!r} ({symbol.meaning}) became {problem.tiles[tile].name}"] = counts[character]
        own.add(tile)
    return changes


def _unknown(stranger: tuple[int, int, str], table: Table, legend: Legend | None, path: Path) -> str:
    """Returns the message on a character that the table lacks."""
    number, column, character = stranger
    if legend is None or not legend.tags:
        says = "there is no legend to tell what it is"
    elif character in legend.tags:
        says = f"the legend {legend.path.name} calls it {', '.join(legend.tags[character])}"
    else:
        says = f"the legend {legend.path.name} does not name it either"
    symbols = ", ".join(f"{c!r} ({symbol.meaning})" for c, symbol in table.symbols.items())
    return (
        f"{path}, line {number}, column {column}: {character!r} is no character of {table.game}, and {says}; "
        f"the characters are {symbols}."
    )


def _known() -> str:
    """Returns what is known, for people."""
    games = ", ".join(f"{table.game} (for {' or '.join(table.problems)})" for table in TABLES)
    return f"the known games are {games}"
