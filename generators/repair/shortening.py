"""Taking back edits that are not needed: delta debugging (Zeller 2002) between a level and one that meets a goal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from generators.repair.goal import Clock, Goal

#: How many of the nearest donors are shortened.
_NEAREST = 6

#: How many levels are measured together at first; then twice as many each time.
_AT_ONCE = 4


def shortened(
    goal: Goal, level: NDArray[np.uint8], mended: NDArray[np.uint8], clock: Clock, limit: int | None = None
) -> NDArray[np.uint8]:
    """Takes back as many of the edits between two levels as can be, in runs of neighbouring cells and then one by one.

    Args:
        goal: what is met and must stay so.
        level: uint8 (*shape), the level as it was.
        mended: uint8 (*shape), which meets the goal.
        clock: the limits; where they are reached, the best level so far is returned.
        limit: stop where the edits that have been found needed are more than this.

    Returns:
        uint8 (*shape) that meets the goal.
    """
    # Along the longest axis, so that what is taken back together lies together.
    axis = int(np.argmax(level.shape))
    places = np.argwhere(np.moveaxis(level != mended, axis, 0))
    cells = np.ravel_multi_index(tuple(np.moveaxis(_unmoved(places, axis), 1, 0)), level.shape)
    flat, best = level.ravel(), mended.ravel().copy()
    size = len(cells)
    while size >= 1 and len(cells):
        first = 0
        at_once = _AT_ONCE
        needed = 0
        while first < len(cells):
            if clock.spent():
                return best.reshape(level.shape)
            runs = [cells[i : i + size] for i in range(first, min(first + size * at_once, len(cells)), size)]
            tried = np.repeat(best[None], len(runs), axis=0)
            for row, run in zip(tried, runs, strict=True):
                row[run] = flat[run]
            clock.evaluations -= len(runs)
            met = goal.judge(tried.reshape(-1, *level.shape)).met
            winners = np.flatnonzero(met).tolist()
            hit = next((i for i in winners if goal.confirmed(tried[i].reshape(level.shape), clock)), None)
            if hit is None:
                first += sum(len(run) for run in runs)
                at_once *= 2
                needed += len(runs)
            else:
                best = tried[hit]
                gone = first + hit * size
                cells = np.delete(cells, np.arange(gone, min(gone + size, len(cells))))
                first = gone
                needed += hit
                at_once = _AT_ONCE
            if limit is not None and size == 1 and needed > limit:
                return best.reshape(level.shape)
        size = min(size, len(cells) + 1) // 2
    return best.reshape(level.shape)


def _unmoved(places: NDArray[np.int64], axis: int) -> NDArray[np.int64]:
    """Returns coordinates, int64 (k, axes), whose first one is that of `axis`, in the order of the axes."""
    order = [axis, *(i for i in range(places.shape[1]) if i != axis)]
    unmoved = np.empty_like(places)
    unmoved[:, order] = places
    return unmoved


def linked(
    goal: Goal, level: NDArray[np.uint8], free: NDArray[np.bool_], donors: NDArray[np.uint8], clock: Clock
) -> NDArray[np.uint8] | None:
    """Goes from the nearest of some levels that meet a goal as far towards a level as can be.

    Args:
        goal: what is to be met.
        level: uint8 (*shape).
        free: bool (*shape), the cells that may differ from it.
        donors: uint8 (m, *shape), levels that meet the goal.
        clock: the limits.

    Returns:
        uint8 (*shape) that meets the goal, or None.
    """
    if not len(donors):
        return None
    merged = np.where(free, donors, level)
    merged = merged[np.argsort((merged != level).reshape(len(merged), -1).sum(axis=1), kind="stable")]
    best: NDArray[np.uint8] | None = None
    tried = 0
    for number, other in enumerate(merged):
        # A few are looked at even if the time is over, for else there would be nothing at all.
        if (clock.spent() and (tried or number >= _NEAREST)) or tried == _NEAREST:
            break
        clock.evaluations -= 1
        if not goal.judge(other[None]).met[0] or not goal.confirmed(other, clock):
            continue
        tried += 1
        limit = None if best is None else int(np.count_nonzero(best != level))
        short = shortened(goal, level, other, clock, limit)
        if best is None or np.count_nonzero(short != level) < np.count_nonzero(best != level):
            best = short
    return best
