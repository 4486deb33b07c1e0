"""What the PCG Benchmark asks of levels: quality, diversity and controllability (Khalifa 2025).

Each game's criteria are one file in `envs/pcg_benchmark/`, found by itself. They are computed as the benchmark's own
code computes them, at any size, from levels in our problems' tiles; where it does something else
than it set out to do, its doing is kept, so that figures can be compared, and the game's file says so.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

import envs.pcg_benchmark
from envs.discovery import discover
from envs.errors import UserError, unknown_name
from envs.kernels.benchmark import spread
from envs.problem import Problem, Shape
from envs.suite import all_problems

#: What the criteria read from a batch of levels: arrays by name, each with a leading axis of n levels.
Facts = dict[str, NDArray]


@dataclass(frozen=True)
class Baseline:
    """What the benchmark's own search reached, read from the figures of Khalifa 2025.

    Attributes:
        name: the search.
        feasible: the share of the last population whose quality is 1.
        unique: the share that is unique.
        controlled: the share that meets its controls, of a search for quality and control together.
    """

    name: str
    feasible: float
    unique: float | None = None
    controlled: float | None = None


@dataclass(frozen=True)
class Criteria(ABC):
    """What the benchmark asks of one game.

    Attributes:
        name: the name of our problem.
        published: the name of the benchmark's own, whose parameters are the defaults.
        shape: its (height, width).
        tiles: for each tile of our problem, in order, its name and the benchmark's tile that it stands for.
        baselines: what the benchmark's own searches reached.
        options: what a level-design environment that trains for these criteria is given besides the problem and the
            shape: `targets` of the problem's metrics, and where need be `weights`.
    """

    name: str
    published: str
    shape: Shape
    tiles: tuple[tuple[str, int], ...]
    baselines: tuple[Baseline, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def check_levels(self, levels: ArrayLike) -> NDArray[np.uint8]:
        """Returns one level or a batch as uint8 (n, height, width), or raises UserError."""
        batch = np.asarray(levels)
        if batch.ndim == 2:
            batch = batch[None]
        if batch.ndim != 3 or not np.issubdtype(batch.dtype, np.integer) or min(batch.shape[1:], default=0) < 2:
            raise UserError(
                f"{self.name} levels are whole numbers of shape (height, width) or (n, height, width), at least 2 by "
                f"2; got {batch.dtype} of shape {batch.shape}."
            )
        if batch.size and (batch.min() < 0 or batch.max() >= len(self.tiles)):
            names = ", ".join(name for name, _ in self.tiles)
            raise UserError(f"{self.name} has tile ids 0 to {len(self.tiles) - 1} ({names}); got others.")
        return np.ascontiguousarray(batch, np.uint8)

    def codes(self, levels: ArrayLike) -> NDArray[np.uint8]:
        """Returns levels in the benchmark's tiles, uint8 (n, height, width)."""
        return np.array([code for _, code in self.tiles], np.uint8)[self.check_levels(levels)]

    def info(self, levels: ArrayLike) -> Facts:
        """Measures levels, once for all criteria.

        Args:
            levels: tile ids of our problem, (n, height, width) or (height, width).

        Returns:
            The facts by name, each with a leading axis of n levels. Those that the benchmark reports have its names.

        Raises:
            UserError: the levels cannot be used.
        """
        codes = self.codes(levels)
        facts = self.study(codes)
        facts["content"] = codes
        return facts

    @abstractmethod
    def study(self, codes: NDArray[np.uint8]) -> Facts:
        """Measures levels in the benchmark's tiles, uint8 (n, height, width)."""

    @abstractmethod
    def quality(self, facts: Facts) -> NDArray[np.float64]:
        """Returns how good each level is, float64 (n,); levels of 1 or more are feasible."""

    @abstractmethod
    def differences(self, facts: Facts) -> NDArray[np.float64]:
        """Returns how different levels are, pair by pair, float64 (n, n) in [0, 1]; 1 is different enough."""

    @abstractmethod
    def controllability(self, facts: Facts, controls: Mapping[str, NDArray]) -> NDArray[np.float64]:
        """Returns how well each level meets its control parameters, float64 (n,); 1 is met.

        Args:
            facts: of `info`.
            controls: int64 (n,) by the parameter's name.
        """

    @abstractmethod
    def control_ranges(self, shape: Shape) -> dict[str, tuple[int, int]]:
        """Returns, for levels of a shape, the least value of each control parameter and one more than the greatest."""

    def sample_controls(self, count: int, seed: int = 0, shape: Shape | None = None) -> dict[str, NDArray[np.int64]]:
        """Draws control parameters, uniform over their ranges: int64 (count,) by name.

        Raises:
            UserError: levels of that shape are too small for the benchmark's ranges.
        """
        random = np.random.default_rng(seed)
        size = shape or self.shape
        ranges = self.control_ranges(size)
        for name, (low, high) in ranges.items():
            if low >= high:
                raise UserError(
                    f"{self.name} levels of {size[0]} by {size[1]} are too small for the PCG Benchmark, which has no "
                    f"values of the control {name!r} for them; its own size is {self.shape[0]} by {self.shape[1]}."
                )
        return {name: random.integers(low, high, count) for name, (low, high) in ranges.items()}

    def diversity(self, facts: Facts) -> NDArray[np.float64]:
        """Returns each level's diversity among the others, float64 (n,); those of 1 are unique."""
        return spread(1.0 - self.differences(facts))

    def environment_options(self) -> dict[str, Any]:
        """Returns what `DesignVectorEnv` is given, besides the representation, to train for these criteria.

        Raises:
            UserError: the suite has no such problem, or there is nothing to train for.
        """
        if self.name not in all_problems():
            raise unknown_name("problem", self.name, all_problems())
        if not self.options:
            raise UserError(f"The metrics of {self.name} do not express the benchmark's criteria; train without it.")
        # Lists, as they come back from a run's record.
        options = dict(self.options)
        options["targets"] = {name: [float(end) for end in ends] for name, ends in options["targets"].items()}
        return {"problem": self.name, "shape": list(self.shape), **options}


@dataclass(frozen=True)
class Judgement:
    """What the benchmark says about a batch of levels. Arrays are (n,).

    Attributes:
        quality: float64, at least 1 where the level is feasible.
        diversity: float64, 1 where the level is unique among all.
        controllability: float64, 1 where the level meets its controls.
        feasible: bool.
        unique: bool.
        unique_feasible: bool, feasible, and unique among those that are.
        controlled: bool.
        facts: what was measured.
    """

    quality: NDArray[np.float64]
    diversity: NDArray[np.float64]
    controllability: NDArray[np.float64]
    feasible: NDArray[np.bool_]
    unique: NDArray[np.bool_]
    unique_feasible: NDArray[np.bool_]
    controlled: NDArray[np.bool_]
    facts: Facts


@cache
def all_criteria() -> dict[str, Criteria]:
    """Returns the criteria of every game by the name of our problem."""
    return discover(envs.pcg_benchmark, Criteria, "CRITERIA")  # type: ignore[type-abstract]


def get_criteria(problem: str | Problem) -> Criteria:
    """Returns the criteria of a problem.

    Raises:
        UserError: the benchmark has none for it.
    """
    name = problem.name if isinstance(problem, Problem) else problem
    if name not in all_criteria():
        raise unknown_name("game of the PCG Benchmark", name, all_criteria())
    return all_criteria()[name]


def judge(criteria: Criteria, levels: ArrayLike, seed: int = 0) -> Judgement:
    """Judges levels of one shape together.

    Args:
        criteria: the game's.
        levels: tile ids (n, height, width).
        seed: fixes the control parameters, one set for each level.

    Raises:
        UserError: the levels cannot be used.
    """
    facts = criteria.info(levels)
    shape = facts["content"].shape
    controls = criteria.sample_controls(shape[0], seed, shape[1:])
    quality, controllability = criteria.quality(facts), criteria.controllability(facts, controls)
    feasible = quality >= 1
    differences = criteria.differences(facts)
    diversity = spread(1.0 - differences)
    among = np.flatnonzero(feasible)
    unique_feasible = np.zeros(shape[0], np.bool_)
    unique_feasible[among] = spread(1.0 - differences[np.ix_(among, among)]) >= 1
    return Judgement(
        quality, diversity, controllability, feasible, diversity >= 1, unique_feasible, controllability >= 1, facts
    )


def trapezoid(values: ArrayLike, least: Any, low: Any, high: Any = None, most: Any = None) -> NDArray[np.float64]:
    """Returns the benchmark's score of values: 1 from `low` to `high`, falling to 0 at `least` and at `most`.

    Args:
        values: numbers of any shape; the others are numbers or arrays of that shape.
        least: where the score rises from 0.
        low: from where it is 1.
        high: up to where it is 1; where left out, only `low` itself is.
        most: where it is 0 again; where left out, right above `high`.
    """
    value = np.asarray(values, np.float64)
    if high is None:
        high = most = low
    elif most is None:
        most = high
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        rising = np.clip((value - least) / (low - least + 1e-8), 0.0, 1.0)
        falling = np.clip((most - value) / (most - high + 1e-8), 0.0, 1.0)
    outside = np.where((value <= least) | (value >= most), 0.0, np.where(value < low, rising, falling))
    return np.where((value >= low) & (value <= high), 1.0, outside)
