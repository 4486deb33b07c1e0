"""Writes level files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from envs.art import check_tile_size
from envs.errors import UserError
from envs.level_io.formats import format_named, formats_of
from envs.level_io.reading import check_axes
from envs.problem import Problem


def write_levels(
    path: str | os.PathLike[str],
    levels: Sequence[ArrayLike] | NDArray[Any],
    problem: Problem,
    tile_size: int = 32,
    format: str | None = None,
    titles: Sequence[str] | None = None,
) -> Path:
    """Writes levels to a file, which is replaced whole or, on failure, left as it was.

    Args:
        path: the file; its extension tells its format, see `formats`.
        levels: tile ids, (height, width) or (depth, height, width) each; they may differ in shape.
        problem: the problem whose levels they are.
        tile_size: the side of a tile in pixels, 4 to 256, in formats that come with pictures.
        format: the format's name, see `format_names`, where the extension has several.
        titles: one for each level, empty for none; kept by formats that have room for them.

    Returns:
        `path` as a Path.

    Raises:
        UserError: the extension or the format is unknown, or they do not belong together, there are no levels, one is
            not of this problem or of a kind that the format cannot hold, the tile size cannot be drawn, or the file
            cannot be written.
    """
    file = Path(path)
    kind = format_named(format) if format is not None else formats_of(file)[0]
    if file.suffix.lower() not in kind.extensions:
        raise UserError(f"{file} cannot be written as {kind.name}, whose files end in {' or '.join(kind.extensions)}.")
    check_axes(kind, file, problem)
    if not len(levels):
        raise UserError(f"{file} needs at least one {problem.name} level; none was given.")
    axes = len(problem.default_shape)
    checked = []
    for level in levels:
        if np.ndim(level) != axes:
            axis_names = "(height, width)" if axes == 2 else "(depth, height, width)"
            raise UserError(
                f"{file} takes a list of {problem.name} levels of {axis_names} each; one has shape {np.shape(level)}."
            )
        checked.append(problem.check_levels(level)[0])
    if titles is not None and len(titles) != len(checked):
        raise UserError(f"{file} takes one title for each of its {len(checked)} levels; got {len(titles)}.")
    # A title is one line.
    named = [" ".join(title.split()) for title in titles or [""] * len(checked)]
    kind.write(file, checked, problem, check_tile_size(tile_size), named)
    return file
