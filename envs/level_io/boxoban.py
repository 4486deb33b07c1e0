"""The levels of Boxoban (Guez 2018): Sokoban of ten by ten tiles, a thousand to a file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from envs.errors import UserError
from envs.files import write_atomically
from envs.level_io.formats import Collection, Level, LevelFormat, Likelihood, check_shape, level_format
from envs.level_io.rows import Row, check_rows, first_stranger, tiles_of
from envs.level_io.sources import read_lines
from envs.problem import Problem

#: The tiles that a problem must have for Sokoban's formats, with their characters where floor is a blank.
SOKOBAN_TILES = {"empty": " ", "solid": "#", "player": "@", "crate": "$", "target": "."}

#: The line above each level of the published files.
_HEADING = re.compile(r";\s*(\d+)\s*")


def sokoban_ids(path: Path, problem: Problem, format_name: str) -> dict[str, int]:
    """Returns the tile id of every character.

    Raises:
        UserError: the problem lacks a tile of Sokoban.
    """
    missing = [name for name in SOKOBAN_TILES if name not in problem.tile_ids]
    if missing:
        raise UserError(
            f"{path}: the format {format_name} holds Sokoban levels, but {problem.name} has no tile "
            f"{' and no tile '.join(missing)}; choose another problem or another format."
        )
    return {character: problem.tile_ids[name] for name, character in SOKOBAN_TILES.items()}


def check_sokoban(path: Path, levels: Sequence[Level], problem: Problem, ids: set[int], format_name: str) -> None:
    """Raises UserError where a level has a tile that Sokoban does not have."""
    for i, level in enumerate(levels, start=1):
        for tile in sorted({int(tile) for tile in level.flat} - ids):
            raise UserError(
                f"{path}: level {i} has the tile {problem.tiles[tile].name!r}, which the format {format_name} has no "
                "character for; write it as text."
            )


@level_format(".txt")
class BoxobanFormat(LevelFormat):
    """Blanks for floor, '; number' above each level, empty lines between levels. A blank at a row's end is a tile."""

    name = "boxoban"
    description = "Boxoban text: Sokoban with blanks for floor and a line '; number' above each level"

    def recognises(self, path: Path, problem: Problem) -> Likelihood:
        """Whether there are no other characters than Boxoban's; sure where every level has its number."""
        if len(problem.default_shape) != 2 or any(name not in problem.tile_ids for name in SOKOBAN_TILES):
            return "no"
        allowed = set(SOKOBAN_TILES.values())
        numbered = True
        for title, block in self._blocks(read_lines(path)):
            if not all(allowed.issuperset(row) for _, row in block):
                return "no"
            numbered = numbered and bool(title)
        return "surely" if numbered else "maybe"

    def read(self, path: Path, problem: Problem, most: int | None = None) -> Collection:
        """Returns the levels in a file, with their numbers for titles."""
        ids = sokoban_ids(path, problem, self.name)
        collection = Collection(self.name, most)
        for title, block in self._blocks(read_lines(path)):
            stranger = first_stranger(block, set(ids))
            if stranger:
                number, column, character = stranger
                raise UserError(
                    f"{path}, line {number}, column {column}: {character!r} is no tile of Boxoban; the tiles are "
                    + ", ".join(f"{c!r} ({name})" for name, c in SOKOBAN_TILES.items())
                    + "."
                )
            check_rows(block, path)
            place = f"{path}, line {block[0][0]}, column 1"
            collection.add(check_shape(tiles_of(block, ids), problem, place), title)
        if not collection.levels:
            raise UserError(f"{path} holds no level: write each below a line '; 0' with its number.")
        return collection

    def write(
        self, path: Path, levels: Sequence[Level], problem: Problem, tile_size: int, titles: Sequence[str]
    ) -> None:
        """Writes the levels, numbered from 0."""
        ids = sokoban_ids(path, problem, self.name)
        check_sokoban(path, levels, problem, set(ids.values()), self.name)
        characters = {tile: character for character, tile in ids.items()}
        blocks = [
            "\n".join([f"; {i}", *("".join(characters[int(tile)] for tile in row) for row in level)])
            for i, level in enumerate(levels)
        ]
        write_atomically(path, ("\n\n".join(blocks) + "\n").encode())

    @staticmethod
    def _blocks(lines: list[str]) -> Iterator[tuple[str, list[Row]]]:
        """Yields each level's number, or nothing where it has none, and its rows with their lines' numbers."""
        title, block = "", list[Row]()
        for number, line in enumerate([*lines, ""], start=1):
            if line and not line.startswith(";"):
                block.append((number, line))
                continue
            if block:
                yield title, block
            heading = _HEADING.fullmatch(line)
            title, block = heading[1] if heading else "", []
