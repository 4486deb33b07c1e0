"""Random levels that can at least be started: the plain distribution that environment design begins from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from envs import Problem, UserError, get_problem
from envs.design_options import at_least, level_shape
from generators.settling import CountSettler


def scatter(problem: Problem | str, count: int, seed: int = 0, shape: Sequence[int] | None = None) -> NDArray[np.uint8]:
    """Draws random levels that keep the problem's count rules; whether they can be won is left to chance.

    Every level is drawn from the problem's start distribution and then cleared of a share of its tiles that is itself
    drawn uniformly from 0 to 1 (domain randomisation draws the number of walls so, Dennis 2020); then tiles are changed
    at random places until there is one player, one door and so on (see `settle`).

    Args:
        problem: a problem or its name; its first tile is the one that clears a cell.
        count: how many levels.
        seed: of the levels, at least 0.
        shape: their (height, width); None is the problem's default.

    Returns:
        uint8 (count, *shape).

    Raises:
        UserError: the problem, the count, the seed or the shape cannot be used.
    """
    task = get_problem(problem)
    at_least("count", count, 1)
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise UserError(f"seed must be a whole number of at least 0; got {seed!r}.")
    size = level_shape("shape", shape, task, task.default_shape)
    random = np.random.default_rng(seed)
    levels = task.start_levels(random.random((count, 1 + int(np.prod(size)))), size)
    cleared = random.random(levels.shape) < random.random((count, *(1 for _ in size)))
    levels[cleared] = 0
    return settle(task, levels, seed)


def settle(problem: Problem, levels: NDArray[np.uint8], seed: int = 0) -> NDArray[np.uint8]:
    """Returns levels with as few tiles changed as make them keep the problem's count rules, at random places.

    Args:
        problem: the problem.
        levels: uint8 (n, *shape), not changed.
        seed: of the places, at least 0; level i's depend on nothing but the seed and i.

    Returns:
        uint8 (n, *shape).
    """
    number, cells = len(levels), int(np.prod(levels.shape[1:]))
    settled = levels.reshape(number, cells).astype(np.int64)
    tiles = [tile.name for tile in problem.tiles]
    settler = CountSettler(problem.count_rules, tiles)
    scores = np.stack(
        [np.random.default_rng([seed, i]).random((cells, len(tiles)), np.float32) for i in range(number)]
    ).reshape(number, cells, len(tiles))
    # What must go becomes empty where it can, and what is missing comes where it is emptiest.
    scores[:, :, 0] += 1
    settler(settled, scores, np.ones((number, cells), np.bool_))
    return settled.reshape(levels.shape).astype(np.uint8)
