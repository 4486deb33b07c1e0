"""What is asked of whatever samples levels, and what all of it shares: generators, and what was exported of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from envs import UserError
from envs.counts import CountRule
from generators.draws import Draws, level_seeds
from generators.options import options_of
from generators.spec import Condition, LevelSpec

if TYPE_CHECKING:
    from generators.sampler import LatentSampler

#: How many candidates a family that cannot hold tiles fixed draws for each level.
CANDIDATES = 16


@dataclass(frozen=True)
class Request:
    """What is to be sampled, checked.

    Attributes:
        seeds: uint64 (n,), for each level what its draws follow from.
        values: float64 (n, conditions), NaN where nothing is asked.
        labels: int64 (n,), -1 where none is asked.
        fixed: int16 (n, *shape), the tile that must stay in each cell, -1 where any may; None where nothing is fixed.
    """

    seeds: NDArray[np.uint64]
    values: NDArray[np.float64]
    labels: NDArray[np.int64]
    fixed: NDArray[np.int16] | None = None

    @property
    def n(self) -> int:
        """How many levels."""
        return len(self.seeds)

    def draws(self) -> Draws:
        """Returns the levels' random numbers, from their first on."""
        return Draws(self.seeds)

    @property
    def around(self) -> NDArray[np.bool_]:
        """Which levels have fixed tiles, bool (n,)."""
        if self.fixed is None:
            return np.zeros(self.n, np.bool_)
        return np.asarray((self.fixed >= 0).reshape(self.n, -1).any(axis=1))

    def part(self, levels: NDArray[np.int64] | slice) -> Request:
        """Returns what is asked of some of the levels; without fixed tiles where none of them has any."""
        fixed = None if self.fixed is None else self.fixed[levels]
        if fixed is not None and (fixed < 0).all():
            fixed = None
        return Request(self.seeds[levels], self.values[levels], self.labels[levels], fixed)

    def candidates(self, number: int) -> Request:
        """Returns a request for so many candidates for each level, one after another, around no fixed tiles."""
        seeds = self.draws().seeds(number).reshape(-1)
        return Request(seeds, self.values.repeat(number, axis=0), self.labels.repeat(number))

    @classmethod
    def joined(cls, requests: Sequence[Request]) -> Request:
        """Returns one request for the levels of several, which must be of one generator.

        A level is drawn as it is where its own request is answered alone.
        """
        fixed = None
        if any(request.fixed is not None for request in requests):
            shape = next(request.fixed.shape[1:] for request in requests if request.fixed is not None)
            free = [np.full((request.n, *shape), -1, np.int16) for request in requests]
            parts = [given if one.fixed is None else one.fixed for one, given in zip(requests, free, strict=True)]
            fixed = np.concatenate(parts)
        columns = ([getattr(one, name) for one in requests] for name in ("seeds", "values", "labels"))
        seeds, values, labels = (np.concatenate(column) for column in columns)
        return cls(seeds, values, labels, fixed)


class LevelSource(ABC):
    """Samples levels of one spec.

    Attributes:
        spec: what the levels are.
        name: the family's name.
        title: what tables call it.
        Sampling: a frozen dataclass, the options of its sampling.
        keeps_fixed_tiles: whether fixed tiles are held by construction, or by taking the candidate that comes nearest
            and writing them in.
        holds_counts: whether count rules are kept by construction, but where the option `constrained` is False.
        chunk: how many levels are sampled at a time.
        facts: what else is known of it, plain data; `sampling` are options that hold unless others are given.
    """

    spec: LevelSpec
    name: str
    title: str
    Sampling: type
    keeps_fixed_tiles: Literal["construction", "resampling"]
    holds_counts: bool
    chunk: int
    facts: dict[str, Any]

    @abstractmethod
    def draw(self, request: Request, sampling: Any) -> NDArray[np.uint8]:
        """Samples at most `chunk` levels, uint8 (n, *shape).

        A family that holds fixed tiles by construction must return levels that have them; others get none.
        """

    def latent_sampler(self) -> LatentSampler | None:
        """Returns what makes levels of latents; None where the family has none."""
        return None

    def keeps_counts(self, **sampling: Any) -> bool:
        """Tells whether samples keep count rules by construction.

        Args:
            **sampling: options of the family's `Sampling`, which may ask them not to.

        Raises:
            UserError: an option cannot be used.
        """
        return self.holds_counts and bool(self.sampling_options(**sampling).constrained)

    def sampling_options(self, **sampling: Any) -> Any:
        """Returns the options of the family's `Sampling`: those given, then the model's own, then the family's.

        Raises:
            UserError: an option cannot be used.
        """
        own = self.facts.get("sampling", {})
        return options_of(self.Sampling, {**own, **sampling}, f"sampling option of {self.name}")

    def keeping(self, counts: Sequence[CountRule]) -> Self:
        """Returns what samples with further count rules, which are kept if those of the levels are.

        Args:
            counts: rules in which each tile counts 1. What levels cannot keep beside their other rules is not kept.

        Returns:
            A copy that shares all that was learned, to be sampled from and no more.
        """
        copied = copy(self)
        copied.spec = self.spec.asking(counts)
        return copied

    def sample(
        self,
        n: int,
        seed: int = 0,
        condition: Condition | None = None,
        fixed_tiles: Any = None,
        **sampling: Any,
    ) -> NDArray[np.uint8]:
        """Samples levels.

        Args:
            n: how many.
            seed: equal seeds give equal levels. What is drawn for a level follows from the seed and the level's place
                alone, so that the first levels are the same however many are sampled, but for one where the last
                digits of a network's sums, which depend on how many are computed together, decide a draw.
            condition: by a metric's name the value wanted, or (n,) values; by "label" a class.
            fixed_tiles: whole numbers (*shape) or (n, *shape): the tile that must stay in a cell, -1 where any may.
                They stay even where they break the count rules of the levels (two players), which are then not kept.
            **sampling: options of the family's `Sampling`, see `sampling_options`.

        Returns:
            uint8 (n, *shape).

        Raises:
            UserError: a number, a condition, a fixed tile or an option cannot be used.
        """
        return self.answer(self.request(n, seed, condition, fixed_tiles), **sampling)

    def answer(self, request: Request, **sampling: Any) -> NDArray[np.uint8]:
        """Samples what `request` returned, or `Request.joined` made of several; see `sample`."""
        chosen = self.sampling_options(**sampling)
        levels = np.empty((request.n, *self.spec.shape), np.uint8)
        # Apart, so that what is drawn for a level does not depend on whether others have fixed tiles.
        for kind in (~request.around, request.around):
            rows = np.flatnonzero(kind)
            for first in range(0, len(rows), self.chunk):
                some = rows[first : first + self.chunk]
                part = request.part(some)
                resample = part.fixed is not None and self.keeps_fixed_tiles == "resampling"
                levels[some] = (self._draw_around if resample else self.draw)(part, chosen)
        return levels

    def request(self, n: int, seed: int, condition: Condition | None = None, fixed_tiles: Any = None) -> Request:
        """Returns what is to be sampled, checked; see `sample`, which raises what this raises."""
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
            raise UserError(f"The number of levels must be a whole number of at least 1; got {n!r}.")
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
            raise UserError(f"The seed must be a whole number of at least 0; got {seed!r}.")
        values, labels = self.spec.values(condition, int(n))
        return Request(level_seeds(int(seed), int(n)), values, labels, self.fixed_tiles(fixed_tiles, int(n)))

    def fixed_tiles(self, tiles: Any, n: int) -> NDArray[np.int16] | None:
        """Returns fixed tiles for each of n levels, int16 (n, *shape), or None where nothing is fixed.

        Raises:
            UserError: they are of another shape, or no such tiles.
        """
        if tiles is None:
            return None
        shape = self.spec.shape
        try:
            given = np.asarray(tiles)
        except ValueError:
            raise UserError(f"fixed_tiles must be of shape {shape} or {(n, *shape)}; its rows differ.") from None
        if given.shape not in (shape, (n, *shape)) or not np.issubdtype(given.dtype, np.integer):
            raise UserError(
                f"fixed_tiles must be whole numbers of shape {shape} or {(n, *shape)}; got {given.dtype} {given.shape}."
            )
        if given.size and (given.max() >= len(self.spec.tiles) or given.min() < -1):
            raise UserError(
                f"fixed_tiles must be -1 where any tile may be, or tile ids 0 to {len(self.spec.tiles) - 1} "
                f"({', '.join(self.spec.tiles)}); got {int(given.min())} to {int(given.max())}."
            )
        if (given < 0).all():
            return None
        return np.ascontiguousarray(np.broadcast_to(given, (n, *shape)), np.int16)

    def _draw_around(self, request: Request, sampling: Any) -> NDArray[np.uint8]:
        """For each level draws CANDIDATES, takes the one with the most fixed tiles in place, and writes in the rest."""
        fixed = request.fixed
        assert fixed is not None
        each = request.candidates(CANDIDATES)
        drawn = np.concatenate(
            [self.draw(each.part(slice(first, first + self.chunk)), sampling) for first in range(0, each.n, self.chunk)]
        ).reshape(request.n, CANDIDATES, *self.spec.shape)
        agree = ((drawn == fixed[:, None]) & (fixed[:, None] >= 0)).reshape(request.n, CANDIDATES, -1).sum(axis=2)
        levels = drawn[np.arange(request.n), agree.argmax(axis=1)]
        return np.where(fixed >= 0, fixed, levels).astype(np.uint8)
