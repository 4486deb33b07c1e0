"""Wave function collapse: levels in which every small pattern is one of the training levels'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from envs import UserError
from generators import collapse
from generators.counting import CountingGenerator
from generators.sampling import Request
from generators.spec import LevelSpec

#: Tables for more patterns than these take too much memory and time.
_MOST_PATTERNS = 20_000


@dataclass(frozen=True)
class Config:
    """What is taken from the training levels.

    Attributes:
        size: the height and width of a pattern.
        levels: from how many training levels patterns are taken, drawn at random; 0 takes all. With more patterns more
            can be made, and each level takes longer.
        edges: whether patterns know the edges of levels: ground below, walls around.
    """

    size: int = 3
    levels: int = 100
    edges: bool = True

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        if not 2 <= self.size <= 4:
            raise UserError(f"The size of patterns must be from 2 to 4; got {self.size}.")
        if self.levels < 0:
            raise UserError(f"The number of levels must be at least 0, which takes all; got {self.levels}.")


@dataclass(frozen=True)
class Sampling:
    """What is done where no pattern fits any more.

    Attributes:
        restarts: how often a level is begun again. After that, or at once where fixed tiles fit no patterns, what is
            open in it is filled by the tiles that most of the patterns left have there, and the level counts as failed
            in `facts["collapse"]`.
    """

    restarts: int = 20

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        if self.restarts < 0:
            raise UserError(f"The number of restarts must be at least 0; got {self.restarts}.")


@dataclass(frozen=True)
class _Wave:
    """A wave and the tables it is collapsed by; see `generators.collapse`."""

    tables: tuple[NDArray, ...]
    alive: NDArray[np.uint8]
    left: NDArray[np.int32]
    sums: NDArray[np.float64]
    support: NDArray[np.int32]

    def copy(self) -> _Wave:
        return _Wave(self.tables, self.alive.copy(), self.left.copy(), self.sums.copy(), self.support.copy())


class WaveFunctionCollapse(CountingGenerator):
    """Overlapping wave function collapse (Gumin 2016).

    All patterns of `size` x `size` tiles of the training levels are counted, with a frame around each level as one more
    tile where edges are learned. A level is made by giving the most certain place one of its patterns, drawn by their
    counts, and ruling out what no longer fits, over and over; where nothing fits, from the beginning. It has no
    likelihood. Fixed tiles rule out patterns before the first draw. `facts["collapse"]` counts the levels sampled, the
    restarts, and the levels that failed after all of them.
    """

    name, title, paper = "wfc", "Wave function collapse", "Gumin 2016"
    Config = Config
    Sampling = Sampling
    axes: ClassVar[tuple[int, ...]] = (2,)
    small = {"size": 2, "levels": 10}

    def __init__(self, spec: LevelSpec, config: Any = None) -> None:
        super().__init__(spec, config)
        if min(spec.shape) < self.config.size - 2 * self.config.edges:
            raise UserError(
                f"Levels of shape {spec.shape} are smaller than the patterns of {self.config.size} x "
                f"{self.config.size} tiles; take smaller patterns."
            )

    @property
    def _frame(self) -> int:
        return int(self.config.edges)

    def count(self, levels: NDArray[np.uint8], held_out: NDArray[np.uint8], seed: int) -> None:
        """Counts patterns; see `CountingGenerator.count`."""
        size, tiles = self.config.size, len(self.spec.tiles)
        if self.config.levels and len(levels) > self.config.levels:
            levels = levels[np.random.default_rng(seed).permutation(len(levels))[: self.config.levels]]
        frame = self._frame
        framed = np.pad(levels, ((0, 0), (frame, frame), (frame, frame)), constant_values=tiles)
        found = sliding_window_view(framed, (size, size), axis=(1, 2)).reshape(-1, size * size)
        patterns, counts = np.unique(found, axis=0, return_counts=True)
        if len(patterns) > _MOST_PATTERNS:
            raise UserError(
                f"{len(levels)} levels have {len(patterns)} patterns of {size} x {size} tiles, more than "
                f"{_MOST_PATTERNS}; take fewer levels or smaller patterns."
            )
        self._learn(patterns.reshape(-1, size, size), counts.astype(np.int64))

    def _learn(self, patterns: NDArray[np.uint8], counts: NDArray[np.int64]) -> None:
        self._learned = {"patterns": np.ascontiguousarray(patterns), "counts": counts}
        self.__dict__.pop("_wave", None)

    @cached_property
    def _wave(self) -> _Wave | None:
        """The wave before anything is drawn or fixed; None where no level can be made of the patterns."""
        patterns, weights = self.learned("patterns"), self.learned("counts").astype(np.float64)
        number, size = len(patterns), self.config.size
        height, width = (extent + 2 * self._frame - size + 1 for extent in self.spec.shape)
        sides = (patterns[:, :, 1:], patterns[:, :, :-1], patterns[:, 1:], patterns[:, :-1])
        overlaps = np.empty((4, number), np.int32)
        for first in (0, 2):
            both = np.concatenate([side.reshape(number, -1) for side in sides[first : first + 2]])
            overlaps[first : first + 2] = np.unique(both, axis=0, return_inverse=True)[1].reshape(2, number)
        kinds = int(overlaps.max()) + 1
        starts, members = np.empty((4, kinds + 1), np.int32), np.empty((4, number), np.int32)
        for direction in range(4):
            shown = overlaps[direction ^ 1]
            members[direction] = np.argsort(shown, kind="stable")
            starts[direction] = np.searchsorted(shown[members[direction]], np.arange(kinds + 1))
        places = np.arange(height * width).reshape(height, width)
        neighbours = np.full((height, width, 4), -1, np.int32)
        neighbours[:, :-1, 0], neighbours[:, 1:, 1] = places[:, 1:], places[:, :-1]
        neighbours[:-1, :, 2], neighbours[1:, :, 3] = places[1:], places[:-1]
        logs = weights * np.log(weights)
        count = height * width
        stack = np.empty((count * number, 2), np.int32)
        tables = (overlaps, starts, members, neighbours.reshape(-1, 4), weights, logs)
        wave = _Wave(
            (*tables, stack),
            np.empty((count, number), np.uint8),
            np.empty(count, np.int32),
            np.empty((count, 2)),
            np.empty((count, 4, kinds), np.int32),
        )
        # Frames lie around the level and nowhere else.
        framed = np.pad(np.zeros(self.spec.shape, np.bool_), self._frame, constant_values=True)
        around = sliding_window_view(framed, (size, size)).reshape(count, -1)
        kinds_of = (patterns == len(self.spec.tiles)).reshape(number, -1)
        allowed = (around[:, None] == kinds_of[None]).all(axis=2).astype(np.uint8)
        sound = collapse.begin(allowed, *tables, wave.alive, wave.left, wave.sums, wave.support, stack)
        return wave if sound else None

    def _banned(self, fixed: NDArray[np.int16]) -> NDArray[np.int32]:
        """Returns the places and patterns that fixed tiles (*shape) rule out, int32 (m, 2)."""
        patterns, size = self.learned("patterns"), self.config.size
        height, width = (extent + 2 * self._frame - size + 1 for extent in self.spec.shape)
        found = []
        for y, x in np.argwhere(fixed >= 0):
            for dy, dx in np.ndindex(size, size):
                top, left = y + self._frame - dy, x + self._frame - dx
                if 0 <= top < height and 0 <= left < width:
                    wrong = np.flatnonzero(patterns[:, dy, dx] != fixed[y, x])
                    found.append(np.stack([np.full(len(wrong), top * width + left), wrong], axis=1))
        return np.concatenate(found).astype(np.int32) if found else np.empty((0, 2), np.int32)

    def draw(self, request: Request, sampling: Any) -> NDArray[np.uint8]:
        """Collapses one wave a level; see `Generator.draw`."""
        wave = self._wave
        streams = request.seeds.copy()
        levels = np.empty((request.n, *self.spec.shape), np.uint8)
        restarts = failed = 0
        run: Any = collapse.collapse
        for i in range(request.n):
            fixed = np.full(self.spec.shape, -1, np.int16) if request.fixed is None else request.fixed[i]
            banned = self._banned(fixed)
            trial, result = wave, collapse.IMPOSSIBLE
            for attempt in range(sampling.restarts + 1):
                if wave is None:
                    break
                trial = wave.copy()
                result = run(
                    streams[i : i + 1],
                    banned,
                    *trial.tables[:-1],
                    trial.alive,
                    trial.left,
                    trial.sums,
                    trial.support,
                    trial.tables[-1],
                )
                restarts += attempt > 0
                # Where fixed tiles fit no patterns, another beginning ends no better.
                if result != collapse.CONTRADICTION:
                    break
            failed += result != collapse.DONE
            levels[i] = np.where(fixed >= 0, fixed, self._read(trial))
        known = self.facts.get("collapse", {"levels": 0, "restarts": 0, "failed": 0})
        self.facts["collapse"] = {
            "levels": known["levels"] + request.n,
            "restarts": known["restarts"] + restarts,
            "failed": known["failed"] + failed,
        }
        return levels

    def _read(self, wave: _Wave | None) -> NDArray[np.uint8]:
        """Returns the level that a wave shows, (*shape): in each cell the tile of most weight in the patterns left.

        In a wave that is collapsed this is the only one.
        """
        shape, size, tiles = self.spec.shape, self.config.size, len(self.spec.tiles)
        if wave is None:
            return np.full(shape, self.spec.commonest, np.uint8)
        patterns = self.learned("patterns")
        height, width = (extent + 2 * self._frame - size + 1 for extent in shape)
        weighed = wave.alive * self.learned("counts").astype(np.float64)
        votes = np.zeros((*(extent + 2 * self._frame for extent in shape), tiles + 1))
        excluded = np.zeros_like(votes)
        for dy, dx in np.ndindex(size, size):
            has = (patterns[:, dy, dx, None] == np.arange(tiles + 1)).astype(np.float64)
            share = (weighed @ has).reshape(height, width, tiles + 1)
            votes[dy : dy + height, dx : dx + width] += share
            # A place with no pattern left says nothing.
            says = share.any(axis=2, keepdims=True)
            excluded[dy : dy + height, dx : dx + width] += says & (share == 0)
        inner = slice(self._frame, -self._frame or None)
        votes, excluded = votes[inner, inner, :tiles], excluded[inner, inner, :tiles]
        votes[..., self.spec.commonest] += 1e-9
        # Consistent tiles before others, then by weight.
        return np.where(excluded == 0, votes + 1e12 * (votes > 0), votes).argmax(axis=2).astype(np.uint8)

    def restore(self, arrays: Mapping[str, NDArray]) -> None:
        """Takes over patterns; see `Generator.restore`."""
        patterns, counts = arrays["patterns"], arrays["counts"]
        size = self.config.size
        if (
            patterns.dtype != np.uint8
            or patterns.shape[1:] != (size, size)
            or counts.shape != (len(patterns),)
            or not len(patterns)
            or patterns.max() > len(self.spec.tiles)
            or not (counts >= 1).all()
        ):
            raise ValueError(f"patterns of {size} x {size} tiles and their counts were expected")
        self._learn(np.array(patterns), np.array(counts, np.int64))

    def parameters(self) -> int:
        """Returns how many patterns were learned."""
        return len(self._learned["patterns"]) if self._learned else 0


FAMILY = WaveFunctionCollapse
