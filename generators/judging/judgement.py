"""The one judgement of levels, whoever made them: playable, novel, unique, diverse, and like the corpus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.errors import UserError
from envs.evaluation import Estimate, bootstrap, diversity
from envs.problem import Problem
from generators.judging.copying import Patches, copied_patches
from generators.judging.distance import Neighbours, first_occurrences, nearest, novelty_threshold
from generators.judging.patterns import Divergence, pattern_divergences
from generators.judging.playability import Play, play_levels
from generators.judging.spread import Spread, farthest_apart

#: How many levels Todd 2023's restricted diversity is taken over.
BATCH = 100

#: Of how many levels the mean pairwise difference is taken, and how often they are redrawn for its interval.
_COMPARED, _RESAMPLES = 500, 200


@dataclass(frozen=True)
class Yardstick:
    """What levels are judged by.

    Attributes:
        problem: whose levels they are.
        train: uint8 (m, *shape), the levels that were learned from.
        seconds: the time that the solver may take for a level.
        seed: of all intervals and draws.
        workers: threads; None means one for each processor core.
        clique_seconds: the time that the search for one set of levels far apart may take.
    """

    problem: Problem
    train: NDArray[np.uint8]
    seconds: float = 1.0
    seed: int = 0
    workers: int | None = None
    clique_seconds: float = 10.0

    @property
    def threshold(self) -> int:
        """The edit distance from which on a level is novel, and two levels are different."""
        return novelty_threshold(self.train.shape[1:])


@dataclass(frozen=True)
class Judgement:
    """What was found out about a batch of levels.

    Attributes:
        name: whose levels they are.
        levels: uint8 (n, *shape).
        play: what the measure and the solver say.
        novel: bool (n,), as far from every training level as the threshold asks.
        novel_turned: the same where the training levels' symmetries count as copies too, which is stricter.
        unique: bool (n,), not tile for tile the same as an earlier one.
        unique_turned: the same under the symmetries.
        neighbours: the nearest training levels of the first `examined` levels, under the symmetries.
        patches: the largest copied patches of the first `examined` levels, under the symmetries.
        divergences: of 2x2, 3x3 and 4x4 tile patterns.
        restricted: for each whole batch of 100 levels (or of all, if fewer), the largest set of playable, novel levels
            that lie pairwise as far apart as the threshold asks.
        apart: the same, of all levels of the first batch, playable and novel or not.
        hamming: the mean share of tiles in which two levels differ (Khalifa 2022).
        batch: how many levels a batch has.
        milliseconds: what it took to make a level; NaN where that is not known.
        facts: what else is known, by name.
        seed: of the intervals.
    """

    name: str
    levels: NDArray[np.uint8]
    play: Play
    novel: NDArray[np.bool_]
    novel_turned: NDArray[np.bool_]
    unique: NDArray[np.bool_]
    unique_turned: NDArray[np.bool_]
    neighbours: Neighbours
    patches: Patches
    divergences: list[Divergence]
    restricted: list[Spread]
    apart: Spread
    hamming: Estimate
    batch: int
    milliseconds: float = float("nan")
    facts: dict[str, Any] = field(default_factory=dict)
    seed: int = 0

    @property
    def all_three(self) -> NDArray[np.bool_]:
        """Which levels are playable, novel and unique, bool (n,)."""
        return self.play.playable & self.novel & self.unique

    @property
    def all_three_turned(self) -> NDArray[np.bool_]:
        """The same where symmetric images count as copies."""
        return self.play.playable & self.novel_turned & self.unique_turned

    def figures(self) -> dict[str, Estimate]:
        """Returns what a table shows, by name, with 95 % bootstrap intervals over levels (of batches for diversity)."""
        cells = int(np.prod(self.levels.shape[1:]))
        flags: dict[str, NDArray] = {
            "playable": self.play.playable,
            "unknown": self.play.unknown,
            "on target": self.play.on_target,
            "novel": self.novel,
            "novel, turned": self.novel_turned,
            "unique": self.unique,
            "unique, turned": self.unique_turned,
            "all three": self.all_three,
            "all three, turned": self.all_three_turned,
            "restricted diversity": np.array([spread.size / self.batch for spread in self.restricted]),
            "nearest": self.neighbours.distances,
            "copied": self.patches.tiles / cells,
        }
        found = {name: bootstrap(values, self.seed) for name, values in flags.items()}
        share = self.apart.size / self.batch
        found["diversity"] = Estimate(share, share, share)
        found["hamming"] = self.hamming
        return found


def judge(
    yardstick: Yardstick,
    name: str,
    levels: NDArray[np.uint8],
    examined: int | None = None,
    milliseconds: float = float("nan"),
    progress: Callable[[int, int], None] | None = None,
    **facts: Any,
) -> Judgement:
    """Judges levels.

    Args:
        yardstick: what they are judged by.
        name: whose levels they are.
        levels: uint8 (n, *shape), of the corpus's shape, n at least 1.
        examined: of how many levels, the first, the nearest training levels and copied patches are found, which is the
            dearest part; None examines all.
        milliseconds: what it took to make a level, where that is known.
        progress: called as progress(levels done, levels in all) while they are solved.
        **facts: what else is known of them.

    Raises:
        UserError: there are no levels, or they are not the problem's, or of another shape.
    """
    problem, threshold = yardstick.problem, yardstick.threshold
    batch = problem.check_levels(levels)
    if not len(batch):
        raise UserError(f"There are no levels of {name} to judge; give at least 1.")
    train = yardstick.train
    first = batch[:examined]
    close = nearest(batch, train, (), threshold, yardstick.workers)
    neighbours = nearest(first, train, problem.symmetries, None, yardstick.workers)
    rest = nearest(batch[len(first) :], train, problem.symmetries, threshold, yardstick.workers)
    play = play_levels(problem, batch, yardstick.seconds, yardstick.workers, progress)
    novel = close.distances >= threshold
    size = min(BATCH, len(batch))
    restricted = []
    for begin in range(0, len(batch) - size + 1, size):
        part = slice(begin, begin + size)
        wanted = play.playable[part] & novel[part]
        restricted.append(farthest_apart(batch[part], threshold, wanted, (), yardstick.clique_seconds))
    return Judgement(
        name,
        batch,
        play,
        novel,
        np.concatenate([neighbours.distances, rest.distances]) >= threshold,
        first_occurrences(batch),
        first_occurrences(batch, problem.symmetries),
        neighbours,
        copied_patches(first, train, problem.symmetries),
        pattern_divergences(batch, train),
        restricted,
        farthest_apart(batch[:size], threshold, None, (), yardstick.clique_seconds),
        diversity(batch[:_COMPARED], yardstick.seed, _RESAMPLES),
        size,
        milliseconds,
        facts,
        yardstick.seed,
    )
