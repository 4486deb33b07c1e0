"""Plain text levels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from envs.errors import UserError
from envs.files import write_atomically
from envs.level_io.formats import Collection, Level, LevelFormat, check_shape, level_format, tile_legend
from envs.level_io.rows import Row, check_rows, first_stranger
from envs.level_io.sources import read_lines
from envs.problem import STOREY_MARK, Problem

#: What begins a line of a text file that is not part of a level.
COMMENT = ";"


@dataclass
class _Block:
    """The rows of one level, and the comment right above them."""

    title: str = ""
    rows: list[Row] = field(default_factory=list)


@level_format(".txt")
class TextFormat(LevelFormat):
    """The tiles' characters, a line a row; blank lines between levels; lines that begin with ';' are comments.

    A comment right above a level is its title. A level of three axes is written storey by storey, the lowest first,
    with a row of '=' between each two.
    """

    name = "text"
    description = (
        "plain text: one character a tile, one line a row, blank lines between levels, "
        f"lines that begin with '{COMMENT}' are comments"
    )
    storeys = True
    titled = True

    def read(self, path: Path, problem: Problem, most: int | None = None) -> Collection:
        """Returns the levels in a text file."""
        collection = Collection(self.name, most)
        for block in self._blocks(read_lines(path), {tile.character for tile in problem.tiles}):
            collection.add(self._level(block.rows, path, problem), block.title)
        if not collection.levels:
            raise UserError(f"{path} holds no level: write {problem.name} levels as rows of {tile_legend(problem)}.")
        return collection

    def write(
        self, path: Path, levels: Sequence[Level], problem: Problem, tile_size: int, titles: Sequence[str]
    ) -> None:
        """Writes the levels as text, below a comment that explains the characters."""
        # A problem may use ';' for a tile; then there is no way to write a comment.
        comments = all(tile.character != COMMENT for tile in problem.tiles)
        blocks = [f"{COMMENT} {problem.name}: {tile_legend(problem)}"] if comments else []
        for level, title in zip(levels, titles, strict=True):
            heading = [f"{COMMENT} {title}"] if comments and title else []
            blocks.append("\n".join([*heading, *problem.text(level)]))
        write_atomically(path, ("\n\n".join(blocks) + "\n").encode())

    @staticmethod
    def _blocks(lines: list[str], characters: set[str]) -> Iterator[_Block]:
        """Yields each level as its rows, with the number of the line that each stands on."""
        block = _Block()
        for number, line in enumerate(lines, start=1):
            if COMMENT not in characters and line.startswith(COMMENT):
                if not block.rows:
                    block.title = " ".join(line.removeprefix(COMMENT).split())
                continue
            # Trailing blanks come from editors, unless this problem writes a tile as a blank.
            row = line if " " in characters else line.rstrip()
            if row:
                block.rows.append((number, row))
                continue
            if block.rows:
                yield block
            block = _Block()
        if block.rows:
            yield block

    @staticmethod
    def _level(block: list[Row], path: Path, problem: Problem) -> Level:
        """Returns the level that numbered rows describe."""
        axes = len(problem.default_shape)
        plan = [(number, row) for number, row in block if axes == 2 or row.strip(STOREY_MARK)]
        place = f"{path}, line {block[0][0]}, column 1"
        stranger = first_stranger(plan, {tile.character for tile in problem.tiles}) if plan else None
        if stranger:
            number, column, character = stranger
            raise UserError(
                f"{path}, line {number}, column {column}: {character!r} is no tile of {problem.name}; "
                f"the tiles are {tile_legend(problem)}."
            )
        if plan:
            check_rows(plan, path)
        try:
            level = problem.parse([row for _, row in block])
        except UserError as error:
            raise UserError(f"{place}: {error}") from error
        return check_shape(level, problem, place)
