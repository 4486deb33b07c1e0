"""Local search for few edits that mend a level, guided by its metrics and by the solver.

A beam search (Lowerre 1976) over edits, in order of their number: first all single edits, then what can be made of the
best of them. Where that finds nothing, or what it finds may be long, the way to a playable level is shortened
(`generators.repair.shortening`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.problem import Problem
from generators.repair.edits import Edits, background, double_edits, single_edits
from generators.repair.goal import Clock, Goal
from generators.repair.shortening import linked, shortened

#: How many levels are kept for each number of edits, and how many of those that are large and played.
BEAM, _LARGE_BEAM = 12, 3

#: Levels with more cells than this are large. Where such levels are played, that is dear: for each number of edits only
#: the most promising ones are, fewer while edits still help what needs no play.
_LARGE, _PLAYS, _FEW_PLAYS = 400, 48, 8

#: How many edits the beam search makes at most.
MOST_EDITS = 60

#: Makes the edits of a level, uint8 (*shape), in cells that may change, bool (cells,).
Kind = Callable[[Goal, NDArray[np.uint8], NDArray[np.bool_]], Edits]

#: How many of the best levels of each number of edits are shown to the solver where measures give up early.
_LAST_WORDS = 3

#: The share of the limits that the beam search may use before playable levels are shortened.
_BEAM_SHARE = 0.6

#: Levels are measured so many at a time: all at once, or where they are played, fewer the larger they are.
_MOST_AT_ONCE, _CELLS_SQUARED_AT_ONCE = 8192, 2**19


@dataclass
class Found:
    """What a search found.

    Attributes:
        level: uint8 (*shape) that meets the goal, or None.
        least: no level that meets the goal has fewer edits than this.
    """

    level: NDArray[np.uint8] | None
    least: int


def search(
    goal: Goal,
    level: NDArray[np.uint8],
    free: NDArray[np.bool_],
    donors: NDArray[np.uint8],
    clock: Clock,
    rng: np.random.Generator,
) -> Found:
    """Searches for a level that meets the goal and differs in few cells from one that does not.

    Args:
        goal: what is to be met.
        level: uint8 (*shape), which does not meet it.
        free: bool (*shape), the cells that may change.
        donors: uint8 (m, *shape), levels that meet it.
        clock: the limits.
        rng: breaks ties.
    """
    part = clock.part(_BEAM_SHARE)
    before = part.evaluations
    found = _Beam(goal, level, free, part, rng).run()
    clock.settle(part, before)
    if found.level is not None:
        found.level = shortened(goal, level, found.level, clock)
        if np.count_nonzero(found.level != level) <= found.least:
            return found
    other = linked(goal, level, free, donors, clock)
    if other is not None and (
        found.level is None or np.count_nonzero(other != level) < np.count_nonzero(found.level != level)
    ):
        found.level = other
    return found


class _Beam:
    """One beam search."""

    def __init__(
        self, goal: Goal, level: NDArray[np.uint8], free: NDArray[np.bool_], clock: Clock, rng: np.random.Generator
    ) -> None:
        self.goal, self.start, self.clock, self.rng = goal, level, clock, rng
        self.free = free.ravel()
        self.at_once = _MOST_AT_ONCE
        if goal.played:
            self.at_once = min(_MOST_AT_ONCE, max(8, _CELLS_SQUARED_AT_ONCE // level.size**2))
        self.seen = {level.tobytes()}
        self.dear = goal.played and level.size > _LARGE
        self.beam = _LARGE_BEAM if self.dear else BEAM
        self.blames = type(goal.problem).blamed is not Problem.blamed

    def run(self) -> Found:
        """Looks for a level that meets the goal, by one edit more at a time."""
        beams = [[self.start]]
        least = 1
        for number in range(1, MOST_EDITS + 1):
            groups = [(parent, self._edits(parent, single_edits)) for parent in beams[number - 1]]
            if number >= 2:
                calm = [one for one in beams[number - 2] if not self._violated(one)]
                groups += [(parent, self._edits(parent, double_edits)) for parent in calm]
            level, beam, complete = self._tried(groups)
            if level is not None:
                return Found(level, least)
            if number == 1 and complete and not self.goal.played and self.goal.name != "solved":
                # Every level at one edit was tried, and its metrics are the last word.
                least = 2
            beams.append(beam)
            if self.clock.spent() or not (beam or beams[number - 1]):
                break
        return Found(None, least)

    def _violated(self, level: NDArray[np.uint8]) -> bool:
        counts = np.bincount(level.ravel(), minlength=len(self.goal.tile_names))
        return bool(self.goal.violations(counts) > 0)

    def _edits(self, parent: NDArray[np.uint8], kind: Kind) -> Edits:
        """Returns edits of a level, never of a cell that has been edited before."""
        free = self.free & (parent == self.start).ravel()
        if self.blames:
            free &= self.goal.problem.blamed(parent[None], self.goal.judge(parent[None]).metrics)[0].ravel()
        return kind(self.goal, parent, free)

    def _tried(
        self, groups: list[tuple[NDArray[np.uint8], Edits]]
    ) -> tuple[NDArray[np.uint8] | None, list[NDArray[np.uint8]], bool]:
        """Tries edits.

        Returns:
            A level that meets the goal, or None; the best of the others; and whether all were tried.
        """
        tried: list[NDArray[np.uint8]] = []
        losses: list[NDArray[np.float64]] = []
        complete = True
        for levels in self._batches(groups):
            if self.clock.spent():
                complete = False
                break
            self.clock.evaluations -= len(levels)
            judged = self.goal.judge(levels)
            order = np.argsort(judged.losses, kind="stable")
            for i in order[judged.met[order]]:
                if self.goal.confirmed(levels[i], self.clock):
                    return levels[i], [], False
            keep = order[: 4 * self.beam]
            tried.append(levels[keep])
            losses.append(judged.losses[keep])
        if not tried:
            return None, [], complete
        levels, loss = np.concatenate(tried), np.concatenate(losses)
        beam: list[NDArray[np.uint8]] = []
        for i in np.argsort(loss, kind="stable"):
            name = levels[i].tobytes()
            if name not in self.seen:
                self.seen.add(name)
                beam.append(levels[i])
                if len(beam) == self.beam:
                    break
        for level in beam[: 0 if self.dear else _LAST_WORDS]:
            if not self.clock.spent() and not self._violated(level) and self.goal.rescued(level, self.clock):
                return level, [], False
        return None, beam, complete

    def _batches(self, groups: list[tuple[NDArray[np.uint8], Edits]]) -> Iterator[NDArray[np.uint8]]:
        """Yields levels, uint8 (k, *shape), the most promising ones first where levels are played."""
        if not self.goal.played:
            for parent, edits in groups:
                order = self.rng.permutation(len(edits))
                for first in range(0, len(edits), self.at_once):
                    yield edits.chosen(order[first : first + self.at_once]).made(parent)
            return
        if not groups:
            return
        ranks, owners = [], []
        ground = background(self.goal)
        now = min(float(self.goal.static_losses(parent[None])[0]) for parent, _ in groups)
        groups = [(parent, edits.chosen(self.rng.permutation(len(edits)))) for parent, edits in groups]
        for owner, (parent, edits) in enumerate(groups):
            shares = np.bincount(parent.ravel(), minlength=len(self.goal.tile_names)) / parent.size
            static = np.concatenate(
                [np.empty(0)]
                + [
                    self.goal.static_losses(edits.chosen(np.arange(i, min(i + 2048, len(edits)))).made(parent))
                    for i in range(0, len(edits), 2048)
                ]
            )
            # What is rare is more often at fault than what is common, and is best taken away.
            rare = shares[parent.ravel()[edits.cells[:, 0]]] < _RARE
            ranks.append(static - _SLIGHT * rare - _SLIGHT / 2 * (edits.tiles[:, 0] == ground))
            owners.append(np.stack([np.full(len(edits), owner), np.arange(len(edits))], axis=1))
        order = np.argsort(np.concatenate(ranks), kind="stable")
        owned = np.concatenate(owners)[order]
        if self.dear:
            helps = len(order) > 0 and np.concatenate(ranks)[order[0]] < now - 3 * _SLIGHT
            owned = owned[: _FEW_PLAYS if helps else _PLAYS]
        for first in range(0, len(owned), self.at_once):
            batch = owned[first : first + self.at_once]
            yield np.concatenate(
                [
                    groups[owner][1].chosen(batch[batch[:, 0] == owner, 1]).made(groups[owner][0])
                    for owner in np.unique(batch[:, 0])
                ]
            )


#: A tile of which a level has no more than this share is rare.
_RARE = 0.04

#: By how much edits of what is rare go before others of the same static loss.
_SLIGHT = 1e-3
