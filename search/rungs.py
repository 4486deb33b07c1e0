"""Rungs: trials are trained in parts, and after each part only the best of those that came so far go on.

Successive halving (Jamieson 2016) without waiting for the others (Li 2020), and Hyperband (Li 2018), which lets some of
the trials begin further up, in case that a short training tells little. What is compared has several objectives, so
that trials stand in the order of non-domination (Deb 2002), those that keep the constraints first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from envs import UserError

Halving = Literal["none", "successive", "hyperband"]


@dataclass(frozen=True)
class Part:
    """A part of a trial's training, at the end of which it is measured.

    Attributes:
        rung: which rung it ends at, from 0.
        share: of a whole training's budget, in (0, 1].
        levels: the share of the corpus that it trains on, in (0, 1].
    """

    rung: int
    share: float
    levels: float


@dataclass(frozen=True)
class Ladder:
    """How trainings are cut into parts.

    Attributes:
        halving: none (every trial is trained whole), successive, or hyperband.
        rungs: how many parts a training has.
        reduction: one of so many trials goes on from each rung, and each part is so many times the one before.
        levels: the share of the corpus that each rung trains on; all of it where nothing is given.
    """

    halving: Halving = "successive"
    rungs: int = 3
    reduction: int = 3
    levels: tuple[float, ...] = ()

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        if not 1 <= self.rungs <= 10:
            raise UserError(f"--rungs must be a number from 1 to 10; got {self.rungs}.")
        if not 2 <= self.reduction <= 10:
            raise UserError(f"--reduction must be a number from 2 to 10; got {self.reduction}.")
        if self.levels and len(self.levels) != self.height:
            raise UserError(
                f"--rung-levels takes one share of the corpus for each of the {self.height} rungs; "
                f"got {len(self.levels)}: {' '.join(map(str, self.levels))}."
            )
        if not all(0 < share <= 1 for share in self.levels) or list(self.levels) != sorted(self.levels):
            raise UserError(
                "--rung-levels takes rising shares above 0 and up to 1, such as 0.3 0.6 1; "
                f"got {' '.join(map(str, self.levels))}."
            )

    @property
    def height(self) -> int:
        """How many rungs there are."""
        return 1 if self.halving == "none" else self.rungs

    @property
    def brackets(self) -> tuple[int, ...]:
        """How many trials of a round begin at each rung (Li 2018's algorithm 1)."""
        if self.halving != "hyperband":
            return (1,)
        top = self.height - 1
        return tuple(
            math.ceil((top + 1) / (top - first + 1) * self.reduction ** (top - first)) for first in range(top + 1)
        )

    def bracket(self, number: int) -> int:
        """Returns the rung that a trial begins at, by its number; each bracket comes as evenly as its share allows."""
        numbers = self.brackets
        dealt = [0] * len(numbers)
        bracket = 0
        for place in range(number % sum(numbers) + 1):
            owed = [many * (place + 1) / sum(numbers) - had for many, had in zip(numbers, dealt, strict=True)]
            bracket = owed.index(max(owed))
            dealt[bracket] += 1
        return bracket

    def parts(self, bracket: int = 0) -> tuple[Part, ...]:
        """Returns the parts of a training that begins at a rung; their shares sum to 1."""
        sizes = [self.reduction**rung for rung in range(self.height)]
        levels = self.levels or (1.0,) * self.height
        first = Part(bracket, sum(sizes[: bracket + 1]) / sum(sizes), levels[bracket])
        rest = [Part(rung, sizes[rung] / sum(sizes), levels[rung]) for rung in range(bracket + 1, self.height)]
        return (first, *rest)


def domination_ranks(losses: NDArray[np.float64], violations: NDArray[np.float64]) -> NDArray[np.int64]:
    """Returns ranks of constrained non-domination (Deb 2002).

    Args:
        losses: float64 (n, objectives), each the less the better; infinity is allowed.
        violations: float64 (n,), by how much constraints are broken in all; 0 where they are kept.

    Returns:
        int64 (n,): 0 for what nothing that keeps the constraints dominates, and so on; then those that break them, by
        how much.
    """
    ranks = np.full(len(losses), -1, np.int64)
    left = np.flatnonzero(violations <= 0)
    no_worse = np.all(losses[:, None] <= losses[None, :], axis=-1)
    dominates = np.asarray(no_worse & np.any(losses[:, None] < losses[None, :], axis=-1))
    rank = 0
    while len(left):
        front = left[~dominates[np.ix_(left, left)].any(axis=0)]
        ranks[front] = rank
        left = np.setdiff1d(left, front)
        rank += 1
    broken = violations > 0
    ranks[broken] = rank + np.unique(violations[broken], return_inverse=True)[1]
    return ranks


def places(losses: NDArray[np.float64], violations: NDArray[np.float64]) -> NDArray[np.int64]:
    """Returns the place of each of n trials, int64 (n,), 0 for the best.

    By non-domination, and within a rank by the first objective: costs are known before training, so that quality is
    what further training would tell; without it the cheapest, however bad, would go on as often as the best. Trials
    that are equal in both stand in the order in which they came.
    """
    order = np.lexsort((np.arange(len(losses)), losses[:, 0], domination_ranks(losses, violations)))
    found = np.empty(len(losses), np.int64)
    found[order] = np.arange(len(losses))
    return found


def goes_on(place: int, others: int, reduction: int) -> bool:
    """Returns whether a trial goes on from a rung: whether it is among the best of those that came to it so far.

    Args:
        place: its own, 0 for the best.
        others: how many trials came to the rung so far, itself included.
        reduction: one of so many goes on, and at least one.
    """
    return place < max(1, others // reduction)
