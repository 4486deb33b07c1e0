"""Tables that compare designers on the same start levels."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.episodes import Designer, Designs, draw_starts
from envs import quality
from envs.evaluation import Estimate, bootstrap, diversity
from envs.suite import interval_distances


@dataclass(frozen=True)
class Row:
    """One designer's line in an evaluation table.

    Attributes:
        designer: its name.
        levels: how many levels it finished.
        success: the share that meets the published rule.
        strict_success: the share that meets it and every finite target.
        quality: nearness to all targets, in [0, 1].
        diversity: mean pairwise Hamming distance of the finished levels, as a share of tiles.
        changed: the share of tiles that differ from the start level.
        milliseconds: wall time per level, all levels being designed side by side.
    """

    designer: str
    levels: int
    success: Estimate
    strict_success: Estimate
    quality: Estimate
    diversity: Estimate
    changed: Estimate
    milliseconds: float

    @classmethod
    def of(cls, designer: Designer, designs: Designs, seed: int = 0) -> Row:
        """Judges what a designer made."""
        return cls(
            designer=designer.name,
            levels=len(designs.levels),
            success=bootstrap(designs.success, seed),
            strict_success=bootstrap(designs.strict_success, seed),
            quality=bootstrap(quality(designer.problem, designs.levels), seed),
            diversity=diversity(designs.levels, seed),
            changed=bootstrap(designs.changed, seed),
            milliseconds=1000 * designs.seconds / len(designs.levels),
        )


def compare(
    designers: Sequence[Designer],
    count: int,
    seed: int,
    frozen_share: float = 0.0,
    starts: NDArray[np.uint8] | None = None,
) -> tuple[list[Row], list[Designs]]:
    """Lets designers of one problem work on the same start levels, and judges them.

    Args:
        designers: at least one; all of the same problem. The first one's shape decides.
        count: the number of start levels.
        seed: fixes the start levels and the designers' draws.
        frozen_share: the chance of each tile of a start level to be frozen, the same tiles for all.
        starts: uint8 (count, *shape), the start levels; None draws them from the problem's start distribution.
    """
    if starts is None:
        starts = draw_starts(designers[0].problem, count, seed, designers[0].shape)
    frozen = None
    if frozen_share:
        # Drawn here, so that all work around the same tiles, those too that know no such option.
        frozen = np.random.default_rng([seed, 1]).random(starts.shape) < frozen_share
    designs = [designer.design(starts, seed=seed, frozen=frozen, record=True) for designer in designers]
    return [Row.of(designer, made, seed) for designer, made in zip(designers, designs, strict=True)], designs


def start_row(designer: Designer, designs: Designs, seed: int = 0) -> Row:
    """Judges the start levels themselves, as if a designer had left them as they are."""
    problem = designer.problem
    measured = problem.measure(designs.starts)
    success = problem.succeeded(measured, measured)
    low, high = np.array([metric.target for metric in problem.metrics], np.float64).T
    finite = np.isfinite(low) | np.isfinite(high)
    met = (interval_distances(measured, low, high)[:, finite] == 0).all(axis=1)
    untouched = Designs(
        starts=designs.starts,
        levels=designs.starts,
        success=success,
        strict_success=success & met & problem.completed(measured),
        steps=np.zeros(len(designs.starts), np.int64),
        seconds=0.0,
    )
    return dataclasses.replace(Row.of(designer, untouched, seed), designer="start levels")
