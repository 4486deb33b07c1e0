"""Super Mario Bros.-like platforming: a long level to run and jump through (Khalifa 2020)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from envs.errors import UserError
from envs.games.smb import PlatformRules, play_levels
from envs.kernels.platform import measure_levels
from envs.kernels.platform_construct import construct_level
from envs.nouns import Noun
from envs.problem import AS_SMALL_AS_POSSIBLE, Example, Metric, Problem, Shape, Tile


def _cells(shape: Shape) -> tuple[float, float]:
    return 0, shape[0] * shape[1]


def _columns(shape: Shape) -> tuple[float, float]:
    return 0, shape[1]


def _falls(shape: Shape) -> tuple[float, float]:
    return 0, shape[0] * shape[1] * (shape[0] - 1)


def _changes(shape: Shape) -> tuple[float, float]:
    return 0, shape[0] * (shape[1] - 1) + (shape[0] - 1) * shape[1]


class Platformer(Problem):
    """The smb problem of gym-pcgrl, played by our own rules.

    jumps, jumps-dist and dist-win are measured on our player's run: the one that wins, or where the player finds none
    within `budget` states, the one that got furthest to the right. Where a bound on how far any play gets ends before
    the last column, the player makes for the furthest column within it. A level that cannot be started has no jumps,
    and jumps-dist and dist-win are its width.
    """

    #: The most states that the player expands for one level; it gets through most random start levels.
    budget: ClassVar[int] = 5_000
    #: How often `construct` draws a level anew before it takes one that misses a target.
    most_drafts: ClassVar[int] = 25

    def measure(self, levels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the eight metrics, float32 (n, 8)."""
        measured = self.measure_static(levels)
        measured[:, 5:] = play_levels(levels, self.budget)
        return measured

    def measure_static(self, levels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the eight metrics, float32 (n, 8), of which the last three are 0 instead of played for."""
        measured = np.zeros((len(levels), 8), np.float32)
        measure_levels(levels, measured)
        return measured

    def succeeded(self, metrics: NDArray[np.float32], start_metrics: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Our player gets to the right end; nothing else is asked."""
        return metrics[:, 7] <= 0

    def playable(self, metrics: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Our player gets to the right end."""
        return metrics[:, 7] <= 0

    def blamed(self, levels: NDArray[np.uint8], metrics: NDArray[np.float32]) -> NDArray[np.bool_]:
        """The columns about the furthest point of our player's run."""
        width = levels.shape[2]
        ahead = np.arange(width) - (width - 1 - metrics[:, 7, None])
        return np.broadcast_to(((ahead >= -3) & (ahead <= 6))[:, None], levels.shape)

    def construct(self, seeds: NDArray[np.uint64], shape: Shape) -> NDArray[np.uint8]:
        """Builds levels beat by beat: runs, pits with islands, tubes, pillars and steps (Smith 2009).

        Each level is drawn again until our player gets through it and, at the default shape, until it also meets the
        targets for enemies, empty cells and jumps; the more often that fails, the more beats ask for a jump. Should
        `most_drafts` not be enough, the draft that meets the most targets is taken.

        Args:
            seeds: uint64 (n,), one for each level.
            shape: the (height, width) wanted.

        Returns:
            uint8 (n, height, width).

        Raises:
            UserError: the shape is less than the problem's smallest, or no draft was playable.
        """
        if len(shape) != 2 or any(size < least for size, least in zip(shape, self.smallest_shape, strict=True)):
            raise UserError(f"smb levels must be at least {self.smallest_shape} (height, width); got {shape}.")
        levels = np.empty((len(seeds), *shape), np.uint8)
        draft = np.empty((1, *shape), np.uint8)
        for lane, seed in enumerate(seeds):
            state, most = np.uint64(seed), -1
            for number in range(self.most_drafts):
                state = np.uint64(construct_level(state, min(0.85 + 0.02 * number, 1.0), draft[0]))
                metrics = self.measure(draft)
                if not self.playable(metrics)[0]:
                    continue
                met = self._targets_met(metrics[0])
                if met > most:
                    most = met
                    levels[lane] = draft[0]
                if tuple(shape) != self.default_shape or met == sum(metric.finite for metric in self.metrics):
                    break
            if most < 0:
                raise UserError(f"No playable smb level of {shape} was found for seed {int(seed)}; try another seed.")
        return levels

    def _targets_met(self, metrics: NDArray[np.float32]) -> int:
        """Returns how many of the finite targets a level's metrics meet."""
        return sum(
            bool(metric.target[0] <= value <= metric.target[1])
            for metric, value in zip(self.metrics, metrics, strict=True)
            if metric.finite
        )


PROBLEM = Platformer(
    name="smb",
    description="a side-scrolling course with enemies, tubes and much to jump over, that can be run to its end",
    tiles=(
        Tile("empty", "-", (146, 202, 238), "sky"),
        Tile("solid", "X", (150, 102, 62), "earth"),
        Tile("enemy", "E", (142, 76, 132), "beetle-waiting"),
        Tile("brick", "S", (204, 108, 74), "brick"),
        Tile("question", "?", (244, 186, 62), "question"),
        Tile("coin", "o", (250, 220, 90), "coin"),
        Tile("tube", "T", (70, 168, 96), "tube"),
    ),
    default_shape=(14, 114),
    border="empty",
    # The published shares are 0.75, 0.1, 0.01, 0.04, 0.01, 0.02 and 0.02, which are divided by their sum.
    start_probabilities=tuple(share / 95 for share in (75, 10, 1, 4, 1, 2, 2)),
    smallest_shape=(6, 12),
    window=(14, 28),
    nouns={
        "empty": Noun("empty tile", others=("sky tile",)),
        "solid": Noun("solid tile", others=("ground tile", "earth tile")),
        "question": Noun("question block"),
        "brick": Noun("brick", others=("brick block",)),
        "tube": Noun("tube tile", others=("tube", "pipe")),
        "enemies": Noun("enemy", others=("monster", "foe")),
        "dist-floor": Noun("drop of enemies", grades=("short", "long"), unit="cell"),
        "disjoint-tubes": Noun("broken tube", others=("broken pipe",)),
        "noise": Noun("noise", grades=("low", "high"), unit="change"),
        "jumps": Noun("jump"),
        "jumps-dist": Noun(
            "stretch without jumps", others=("run without jumps",), grades=("short", "long"), unit="column"
        ),
        "dist-win": Noun("distance to winning", grades=("short", "long"), unit="column"),
    },
    metrics=(
        Metric("dist-floor", 2, (0, 0), _falls, "cells between enemies and the floor below them, together"),
        Metric("disjoint-tubes", 1, (0, 0), _cells, "tube tiles with exactly one tube tile beside them"),
        Metric("enemies", 1, (10, 30), _cells, "enemy tiles"),
        Metric("empty", 1, (900, np.inf), _cells, "empty tiles"),
        # The published target is 0, which only a level of one tile meets.
        Metric("noise", 4, AS_SMALL_AS_POSSIBLE, _changes, "neighbouring tiles that differ"),
        Metric("jumps", 2, (20, np.inf), _cells, "jumps in our player's run", play=True),
        # The published target is 0, which no level meets.
        Metric(
            "jumps-dist",
            2,
            AS_SMALL_AS_POSSIBLE,
            _columns,
            "columns between two jumps in our player's run, or before the first or after the last, at most",
            play=True,
        ),
        Metric(
            "dist-win",
            5,
            (0, 0),
            _columns,
            "columns between the furthest point of our player's run and the right end",
            play=True,
        ),
    ),
    rules=PlatformRules(),
    examples=(
        Example(
            ("-" * 114,) * 12 + (("X" * 8 + "---" + "X" * 8) * 6,) * 2,
            {"dist-floor": 0, "disjoint-tubes": 0, "enemies": 0, "empty": 1404, "noise": 120, "dist-win": 0},
            "solved",
            "six pits of three columns",
        ),
        Example(
            ("------------", "------------", "------------", "------------", "------------", "XXXXXXXXXXXX"),
            {
                "dist-floor": 0,
                "disjoint-tubes": 0,
                "enemies": 0,
                "empty": 60,
                "noise": 12,
                "dist-win": 0,
            },
            "solved",
            "a flat run",
        ),
        Example(
            ("------------", "------------", "-------E----", "------X-----", "-----TXTT--E", "XXXXXXXXX---"),
            {"dist-floor": 7, "disjoint-tubes": 2, "enemies": 2, "empty": 56, "noise": 26, "dist-win": 0},
            "solved",
            "a step of two, and enemies that fall past a tube, which is no floor to the metric, and out of the level",
        ),
        Example(
            ("-----X------", "-----X------", "-----X------", "-----X------", "-----X------", "XXXXXXXXXXXX"),
            {"noise": 21, "dist-win": 7},
            "unsolvable",
            "what reaches the top row cannot be jumped over",
        ),
        Example(
            ("-" * 20, "-" * 20, "-" * 20, "-" * 20, "-" * 20, "XXX" + "-" * 15 + "XX"),
            {"empty": 115, "noise": 7},
            "unsolvable",
            "a pit of fifteen columns is wider than the longest jump",
        ),
        Example(
            ("------------", "------------", "------------", "------------", "------------", "---XXXXXXXXX"),
            {"jumps": 0, "jumps-dist": 12, "dist-win": 12},
            "unsolvable",
            "nowhere to start: there is no place to stand in the first three columns",
        ),
    ),
)
