"""What baselines share that learn by counting: one pass over the training levels."""

from __future__ import annotations

import time
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from envs import UserError
from envs.problem import Shape
from envs.symmetries import images, transform_randomly, usable
from generators.corpus import Corpus
from generators.generator import Fit, FitOptions, Generator, Report
from generators.spec import LevelSpec

#: Every level is counted under all its symmetries where these are no more cells; else under one drawn for it.
_MOST_CELLS = 2_000_000

#: The most held-out levels that are scored after counting.
_LOOKED_AT = 1000


class CountingGenerator(Generator):
    """A baseline that is fitted by counting, at once, and cannot be asked for anything.

    Of FitOptions only `symmetries` and `seed` make a difference; there is nothing to resume.
    """

    baseline = True
    conditional = False
    keeps_fixed_tiles = "construction"
    axes: ClassVar[tuple[int, ...]] = (2, 3)

    def __init__(self, spec: LevelSpec, config: Any = None) -> None:
        super().__init__(spec, config)
        self._learned: dict[str, NDArray] = {}

    def learned(self, name: str) -> NDArray:
        """Returns something that was learned, or raises UserError where nothing was yet."""
        if not self._learned:
            raise UserError(f"{self.title} has not counted any levels yet; fit it to a corpus first.")
        return self._learned[name]

    def arrays(self) -> dict[str, NDArray]:
        """Returns the counts by name."""
        return dict(self._learned)

    @abstractmethod
    def count(self, levels: NDArray[np.uint8], held_out: NDArray[np.uint8], seed: int) -> None:
        """Learns from levels, uint8 (n, *shape), instead of what was learned before.

        Args:
            levels: uint8 (n, *shape), to be counted.
            held_out: uint8 (m, *shape), to choose by how counts are smoothed.
            seed: of all draws.
        """

    def fit(
        self,
        corpus: Corpus,
        options: FitOptions | None = None,
        folder: Path | None = None,
        report: Report | None = None,
        resume: bool = False,
    ) -> Fit:
        """Counts what is in the training levels; see `Generator.fit`.

        Raises:
            UserError: an option or the corpus cannot be used.
        """
        chosen = options or FitOptions()
        chosen.check()
        if chosen.balance:
            raise UserError(f"{self.title} counts all training levels alike; leave out balance ({chosen.balance!r}).")
        self.check_corpus(corpus)
        began = time.perf_counter()
        levels = corpus.train.levels
        names = usable(corpus.problem.symmetries, self.spec.shape) if chosen.symmetries else ()
        if names and levels.size * 2 ** len(names) <= _MOST_CELLS:
            levels = images(names, levels).reshape(-1, *self.spec.shape)
        elif names:
            levels = transform_randomly(names, levels, np.random.default_rng(chosen.seed))
        held_out = corpus.held_out.levels[:_LOOKED_AT]
        self.count(levels, held_out, chosen.seed)
        scores = self.score(held_out)
        score = float("nan") if scores is None else float(scores.nats.mean())
        fit = Fit(1, time.perf_counter() - began, len(levels), score, 1)
        if report:
            report(fit, 1.0)
        return self.note(corpus, fit)


def check_counts(counts: NDArray, shape: Shape) -> NDArray[np.int64]:
    """Returns counts that were saved, or raises ValueError where they are no counts of that shape."""
    if counts.shape != shape or not np.issubdtype(counts.dtype, np.integer) or (counts < 0).any():
        raise ValueError(f"counts of shape {shape} were expected, not {counts.dtype} of shape {counts.shape}")
    return np.array(counts, np.int64)


def nats_per_tile(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the mean negative logarithm of the tiles' probabilities, float64 (n, cells) to (n,)."""
    return np.asarray(-np.log(probabilities).mean(axis=1), np.float64)
