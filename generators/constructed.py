"""Levels of the constructive generators, kept on disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from envs import UserError
from envs.files import write_atomically
from envs.problem import Problem, Shape

#: Levels are built so many at a time, that progress shows.
_CHUNK = 250

#: So many of the kept levels are built again to see whether the generator still makes the same ones.
_CONFIRMED = 3


def cache_folder() -> Path:
    """Returns where constructed levels are kept: TILEWRIGHT_CACHE, or tilewright in the user's cache folder."""
    chosen = os.environ.get("TILEWRIGHT_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tilewright"


def constructed_levels(
    problem: Problem, count: int, seed: int, shape: Shape, progress: Callable[[int, int], None] | None = None
) -> NDArray[np.uint8]:
    """Returns levels of a problem's constructive generator, level i of a seed the same for any count.

    They are kept on disk, and read from there where the generator still makes the same first levels. Where the folder
    cannot be written they are built each time.

    Args:
        problem: the problem.
        count: how many.
        seed: of the levels.
        shape: of a level.
        progress: called as progress(levels done, levels in all).

    Returns:
        uint8 (count, *shape).

    Raises:
        UserError: the problem has no constructive generator for that shape.
    """
    size = "x".join(map(str, shape))
    file = cache_folder() / "constructed" / f"{problem.name}-{size}-seed{seed}.npy"
    seeds = np.random.SeedSequence(seed).generate_state(count, np.uint64).astype(np.uint64, copy=False)
    kept = _read(file, problem, shape)
    if len(kept):
        confirmed = min(_CONFIRMED, count, len(kept))
        if not np.array_equal(problem.construct(seeds[:confirmed], shape), kept[:confirmed]):
            kept = kept[:0]
    if len(kept) >= count:
        return np.array(kept[:count])
    parts = [np.asarray(kept)]
    for first in range(len(kept), count, _CHUNK):
        if progress:
            progress(first, count)
        parts.append(problem.construct(seeds[first : first + _CHUNK], shape))
    levels = np.concatenate(parts)
    if progress:
        progress(count, count)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, lambda opened: np.save(opened, levels, allow_pickle=False))
    except (OSError, UserError):
        # Levels that cannot be kept are built again next time.
        pass
    return levels


def _read(file: Path, problem: Problem, shape: Shape) -> NDArray[np.uint8]:
    """Returns the levels kept in a file; none where it is missing or damaged."""
    none = np.zeros((0, *shape), np.uint8)
    try:
        levels = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError, BadZipFile):
        return none
    sound = (
        isinstance(levels, np.ndarray) and levels.dtype == np.uint8 and levels.shape[1:] == tuple(shape) and levels.size
    )
    return levels if sound and levels.max() < len(problem.tiles) else none
