"""Rows of characters in a text file, with the lines they stand on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from envs.errors import UserError
from envs.level_io.formats import Level

#: One row of a level: the number of its line, counted from 1, and its characters.
Row = tuple[int, str]


def check_rows(block: Sequence[Row], path: Path) -> None:
    """Raises UserError where rows are not equally long."""
    first, width = block[0][0], len(block[0][1])
    for number, row in block:
        if len(row) != width:
            raise UserError(
                f"{path}, line {number}, column {min(len(row), width) + 1}: the row has {len(row)} tiles but the "
                f"level's first row, on line {first}, has {width}; make all rows equally long."
            )


def first_stranger(block: Sequence[Row], allowed: set[str]) -> tuple[int, int, str] | None:
    """Returns the line, the column, both from 1, and the character of the first that is not allowed; None if all are.

    A row that is too long or too short is no reason to look at those below it, which `check_rows` will not reach.
    """
    width = len(block[0][1])
    for number, row in block:
        if not allowed.issuperset(row):
            column, character = next((i, c) for i, c in enumerate(row, start=1) if c not in allowed)
            return number, column, character
        if len(row) != width:
            break
    return None


def tiles_of(block: Sequence[Row], ids: Mapping[str, int]) -> Level:
    """Returns the level that equally long rows of known characters describe, uint8 (rows, width)."""
    table = {ord(character): tile for character, tile in ids.items()}
    # A tile id is below 256, so that each character becomes one byte.
    raw = "".join(row for _, row in block).translate(table).encode("latin-1")
    return np.frombuffer(raw, np.uint8).reshape(len(block), -1).copy()
