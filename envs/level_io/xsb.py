"""Collections of Sokoban levels as players exchange them: .xsb and .sok (http://sokobano.de/wiki, "Level format")."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from envs.errors import UserError
from envs.files import write_atomically
from envs.level_io.boxoban import check_sokoban, sokoban_ids
from envs.level_io.formats import Collection, Level, LevelFormat, check_shape, level_format
from envs.level_io.sources import read_lines
from envs.problem import Problem

#: Floor: a blank may also stand for what is outside the walls.
_FLOORS = " -_"
#: What has no tile of its own.
_ON_TARGET = {"*": "a crate on a target", "+": "the player on a target"}

_BOARD = frozenset("# -_.$*@+")
#: Rows in which numbers tell how often the next character stands, and bars end rows.
_COUNTED = re.compile(r"(?:\d{0,3}[# \-_.$*@+]|\|)+")
_COUNT = re.compile(r"(\d*)([# \-_.$*@+|])")
#: A line such as "Author: somebody", and among these the one that gives a title.
_KEY = re.compile(r"\s*([A-Za-z][\w -]{0,30}):(.*)")

#: One row: its line, and each tile's character and column.
_Row = tuple[int, list[tuple[str, int]]]

#: The most tiles of a level, so that a damaged file does not fill the memory.
_MOST_TILES = 1 << 20

_OUTSIDE_CHANGE = "what is outside the walls became solid"


@dataclass
class _Block:
    """One level as it stands in a file."""

    title: str
    rows: list[_Row] = field(default_factory=list)


@level_format(".xsb", ".sok")
class XsbFormat(LevelFormat):
    """Sokoban collections: rows of '#', '@', '$', '.', floor as a blank, '-' or '_'; other lines are remarks.

    Rows may differ in length. Blanks that lead to the outside, and what rows lack, become solid; '-' and '_' are
    always floor. Rows may be shortened ("3#|#@#"). A title is the line "Title: ..." below a level, or else the last
    line above it. A crate or a player on a target ('*', '+') makes a level unsupported: there is no such tile.
    """

    name = "xsb"
    description = "Sokoban collection: '#', '@', '$', '.', floor as a blank, '-' or '_', titles and remarks in between"
    titled = True

    def read(self, path: Path, problem: Problem, most: int | None = None) -> Collection:
        """Returns the levels in a collection."""
        ids = sokoban_ids(path, problem, self.name)
        ids |= {"-": ids[" "], "_": ids[" "]}
        collection = Collection(self.name, most)
        for block in self._blocks(read_lines(path)):
            on_target = next(((n, x, c) for n, row in block.rows for c, x in row if c in _ON_TARGET), None)
            if on_target:
                number, column, character = on_target
                collection.leave_out(
                    UserError(
                        f"{path}, line {number}, column {column}: {character!r} is {_ON_TARGET[character]}, which "
                        f"{problem.name} has no tile for; leave the level out, or move it off the target."
                    )
                )
                continue
            place = f"{path}, line {block.rows[0][0]}, column 1"
            level = self._level(block, ids, collection.changes, place)
            collection.add(check_shape(level, problem, place), block.title)
        if not collection.levels and not collection.unsupported:
            raise UserError(f"{path} holds no level: draw {problem.name} levels with '#', '@', '$', '.' and blanks.")
        return collection

    def write(
        self, path: Path, levels: Sequence[Level], problem: Problem, tile_size: int, titles: Sequence[str]
    ) -> None:
        """Writes the levels with '-' for floor, so that none can be taken for outside, or be lost at a row's end."""
        ids = sokoban_ids(path, problem, self.name)
        check_sokoban(path, levels, problem, set(ids.values()), self.name)
        characters = {tile: character for character, tile in ids.items()} | {ids[" "]: "-"}
        blocks = []
        for level, title in zip(levels, titles, strict=True):
            rows = ["".join(characters[int(tile)] for tile in row) for row in level]
            blocks.append("\n".join([f"; {title}", "", *rows] if title else rows))
        write_atomically(path, ("\n\n".join(blocks) + "\n").encode())

    @classmethod
    def _blocks(cls, lines: list[str]) -> list[_Block]:
        """Returns the levels in order."""
        found: list[_Block] = []
        remark, block = "", _Block("")
        for number, line in enumerate([*lines, ""], start=1):
            rows = cls._rows(number, line)
            if rows:
                block.rows += rows
                continue
            if block.rows and not cls._is_rule(block.rows):
                block.title, remark = remark, ""
                found.append(block)
            block = _Block("")
            key = _KEY.fullmatch(line)
            if key and not line.startswith(";"):
                if key[1].strip().lower() == "title" and found:
                    found[-1].title = " ".join(key[2].split())
            elif line.strip():
                remark = " ".join(line.lstrip("; ").split())
        return found

    @staticmethod
    def _rows(number: int, line: str) -> list[_Row]:
        """Returns the rows on a line: none on an empty one or one of text, more than one where they are shortened."""
        bare = line.rstrip()
        if not bare:
            return []
        if _BOARD.issuperset(bare):
            return [(number, [(character, x) for x, character in enumerate(bare, start=1)])]
        if "#" not in bare or not _COUNTED.fullmatch(bare):
            return []
        rows: list[_Row] = [(number, [])]
        for match in _COUNT.finditer(bare):
            if match[2] == "|":
                rows.append((number, []))
            else:
                rows[-1][1].extend([(match[2], match.start(2) + 1)] * int(match[1] or 1))
            if sum(len(row) for _, row in rows[-1:]) > _MOST_TILES:
                break
        return rows if rows[-1][1] else rows[:-1]

    @staticmethod
    def _is_rule(rows: list[_Row]) -> bool:
        """Whether a block is a line drawn between levels, such as "-----"."""
        return len(rows) == 1 and all(character in " -_." for character, _ in rows[0][1])

    @classmethod
    def _level(cls, block: _Block, ids: dict[str, int], changes: Counter[str], place: str) -> Level:
        """Returns a level, and counts in `changes` the tiles that were filled; or raises UserError."""
        height, width = len(block.rows), max(len(row) for _, row in block.rows)
        if height * width > _MOST_TILES:
            raise UserError(
                f"{place}: the level is {height} high and {width} wide, more than {_MOST_TILES:,} tiles in all; "
                "give a Sokoban collection."
            )
        # What rows lack is marked by a character of its own.
        grid = np.full((height, width), "~", "<U1")
        for y, (_, row) in enumerate(block.rows):
            grid[y, : len(row)] = [character for character, _ in row]
        outside = cls._outside(grid)
        if outside.any():
            changes[_OUTSIDE_CHANGE] += int(outside.sum())
        grid[outside] = "#"
        level = np.empty(grid.shape, np.uint8)
        for character, tile in ids.items():
            level[grid == character] = tile
        return level

    @staticmethod
    def _outside(grid: NDArray[np.str_]) -> NDArray[np.bool_]:
        """Tells, for every cell of a level with '~' where rows are too short, whether it is outside the walls.

        Blanks are, from where the rim can be reached over blanks; but if they lead to anything other than walls, the
        level is open, and every blank is floor.
        """
        lacking = grid == "~"
        free = lacking | (grid == " ")
        height, width = grid.shape
        rim = np.ones(grid.shape, bool)
        rim[1:-1, 1:-1] = False
        reached = lacking | (rim & free)
        waiting = [(int(y), int(x)) for y, x in np.argwhere(reached)]
        while waiting:
            y, x = waiting.pop()
            for below, right in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                row, column = y + below, x + right
                if not (0 <= row < height and 0 <= column < width) or reached[row, column]:
                    continue
                if free[row, column]:
                    reached[row, column] = True
                    waiting.append((row, column))
                elif grid[row, column] != "#":
                    return lacking
        return reached
