"""Models that predict a tile from the tiles before it by counting, and back off where they have not seen these."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs import UserError
from generators.counting import CountingGenerator, nats_per_tile
from generators.generator import Scores
from generators.sampling import Request
from generators.spec import Condition, LevelSpec
from generators.writing import FreeDecoding, Writer

#: Contexts are numbered exactly, by whole numbers below this.
_MOST_CONTEXTS = 2**63

#: What the weight of shorter contexts is chosen from.
_WEIGHTS = tuple(2.0**power for power in range(-4, 13))


def longest_context(tiles: int, bands: int = 1) -> int:
    """Returns the most tiles that a context can have, for a game of so many kinds of tiles."""
    length = 0
    while bands * (tiles + 1) ** (length + 1) < _MOST_CONTEXTS:
        length += 1
    return length


class BackoffGenerator(CountingGenerator):
    """Predicts each tile from a context of other tiles, the nearest first; a family says which these are.

    The probability of a tile t after the first k tiles c of its context is interpolated by Witten and Bell's rule
    (Witten 1991, their method C),

        p_k(t | c) = (count(c, t) + w_k kinds(c) p_{k-1}(t | c')) / (count(c) + w_k kinds(c)),

    where kinds(c) is how many different tiles were seen after c, and c' is c without its farthest tile. In theirs w_k
    is 1; here it is chosen for each k by the held-out levels, for windows cut from one level repeat what they have in
    common, and their counts seem surer than they are. What was never seen after anything falls to p_0, the tiles'
    frequencies, interpolated with all tiles alike. So every level has a probability above 0, and those of all levels
    sum to 1.

    Attributes:
        order: int64 (cells,), the cells in the order in which they are written.
        sources: int64 (cells, length), for the cell at each place of the order the cells of its context, the nearest
            first; the number of cells stands for what lies outside the level or is not written yet.
        bands: int64 (cells,), for each place of the order the number of its band; each band has counts of its own.
    """

    Sampling = FreeDecoding
    chunk = 1024

    def __init__(self, spec: LevelSpec, config: Any = None) -> None:
        super().__init__(spec, config)
        self.order, self.sources, self.bands = self.contexts()
        self._symbols = len(spec.tiles) + 1
        self._length = self.sources.shape[1]
        number_of_bands = int(self.bands.max()) + 1
        longest = longest_context(len(spec.tiles), number_of_bands)
        if self._length > longest:
            raise UserError(
                f"A context of {self._length} cells is too long to be counted with the {len(spec.tiles)} tiles of "
                f"{spec.problem}; take at most {longest}."
            )

    @abstractmethod
    def contexts(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Returns `order`, `sources` and `bands`."""

    def _keys(self, around: NDArray, bands: NDArray) -> list[NDArray[np.int64]]:
        """Returns the numbers of contexts of every length.

        Args:
            around: (m, length), tiles, the nearest first; the number of tiles stands for none.
            bands: (m,).

        Returns:
            For each length from 0, int64 (m,).
        """
        keys = [bands.astype(np.int64)]
        for k in range(self._length):
            keys.append(keys[-1] * self._symbols + around[:, k])
        return keys

    def _around(self, levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Returns the contexts of all cells of flat levels, in order, uint8 (n * cells, length)."""
        outside = np.full((len(levels), 1), len(self.spec.tiles), np.uint8)
        return np.concatenate([levels, outside], axis=1)[:, self.sources].reshape(
            len(levels) * self.spec.cells, self._length
        )

    def count(self, levels: NDArray[np.uint8], held_out: NDArray[np.uint8], seed: int) -> None:
        """Counts tiles after contexts of every length; see `CountingGenerator.count`."""
        flat = levels.reshape(len(levels), -1)
        tiles = flat[:, self.order].ravel().astype(np.int64)
        self._learned = {}
        around = self._around(flat)
        for k, keys in enumerate(self._keys(around, np.tile(self.bands, len(levels)))):
            known, places = np.unique(keys, return_inverse=True)
            counts = np.bincount(places * len(self.spec.tiles) + tiles, minlength=len(known) * len(self.spec.tiles))
            self._learned[f"contexts.{k}"] = known
            self._learned[f"counts.{k}"] = counts.reshape(len(known), -1).astype(np.uint32)
        self._learned["weights"] = self._weights(held_out.reshape(len(held_out), -1))

    def _weights(self, levels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Returns for each length of contexts the weight that makes flat levels likeliest, the shorter ones given."""
        tiles = levels[:, self.order].ravel().astype(np.int64)
        shares = np.full(len(tiles), 1 / len(self.spec.tiles))
        weights = []
        seen = np.arange(len(tiles))
        for k, keys in enumerate(self._keys(self._around(levels), np.tile(self.bands, len(levels)))):
            seen, counts = self._found(k, keys, seen)
            wanted = counts[np.arange(len(seen)), tiles[seen]]
            kinds, total = (counts > 0).sum(axis=1), counts.sum(axis=1)
            choices = [(wanted + weight * kinds * shares[seen]) / (total + weight * kinds) for weight in _WEIGHTS]
            best = int(np.argmax([np.log(choice).sum() for choice in choices]))
            shares[seen] = choices[best]
            weights.append(_WEIGHTS[best])
        return np.array(weights)

    def _found(
        self, k: int, keys: NDArray[np.int64], candidates: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Returns those of some places whose context of length k was seen, and their counts, float64 (m, tiles)."""
        known = self.learned(f"contexts.{k}")
        wanted = keys[candidates]
        places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        found = known[places] == wanted
        return candidates[found], self.learned(f"counts.{k}")[places[found]].astype(np.float64)

    def probabilities(self, around: NDArray, bands: NDArray) -> NDArray[np.float64]:
        """Returns the probabilities of tiles after contexts.

        Args:
            around: (m, length), tiles, the nearest first; the number of tiles stands for none.
            bands: (m,).

        Returns:
            float64 (m, tiles), above 0, with sums of 1.
        """
        shares = np.full((len(around), len(self.spec.tiles)), 1 / len(self.spec.tiles))
        # Where a context was not seen, no longer one was.
        seen = np.arange(len(around))
        for k, keys in enumerate(self._keys(around, bands)):
            seen, counts = self._found(k, keys, seen)
            if not len(seen):
                break
            kinds = self.learned("weights")[k] * (counts > 0).sum(axis=1, keepdims=True)
            shares[seen] = (counts + kinds * shares[seen]) / (counts.sum(axis=1, keepdims=True) + kinds)
        return shares

    def draw(self, request: Request, sampling: FreeDecoding) -> NDArray[np.uint8]:
        """Samples tile after tile; see `Generator.draw`."""
        writer = Writer(self.spec, request, sampling)
        tiles = np.full((request.n, self.spec.cells + 1), len(self.spec.tiles), np.uint8)
        for place, cell in enumerate(self.order):
            around = tiles[:, self.sources[place]]
            shares = self.probabilities(around, np.full(request.n, self.bands[place]))
            tiles[:, cell] = writer.write(int(cell), np.log(shares))
        return writer.levels.reshape(request.n, *self.spec.shape)

    def score(self, levels: NDArray[np.uint8], condition: Condition | None = None) -> Scores:
        """Scores levels exactly; see `Generator.score`."""
        batch = self.check_levels(levels)
        self.spec.values(condition, len(batch))
        flat = batch.reshape(len(batch), -1)
        nats, predicted = np.empty(len(batch)), np.empty_like(flat)
        for first in range(0, len(batch), self.chunk):
            part = flat[first : first + self.chunk]
            shares = self.probabilities(self._around(part), np.tile(self.bands, len(part)))
            shares = shares.reshape(*part.shape, -1)
            tiles = part[:, self.order].astype(np.int64)
            nats[first : first + self.chunk] = nats_per_tile(np.take_along_axis(shares, tiles[:, :, None], 2)[:, :, 0])
            predicted[first : first + self.chunk, self.order] = shares.argmax(axis=2)
        return Scores(nats, predicted.reshape(batch.shape))

    def parameters(self) -> int:
        """Returns how many counts above 0 were learned."""
        return sum(int((array > 0).sum()) for name, array in self._learned.items() if name.startswith("counts."))

    def restore(self, arrays: Mapping[str, NDArray]) -> None:
        """Takes over counts; see `Generator.restore`."""
        found = {}
        for k in range(self._length + 1):
            known, counts = arrays[f"contexts.{k}"], arrays[f"counts.{k}"]
            if (
                known.dtype != np.int64
                or counts.dtype != np.uint32
                or known.ndim != 1
                or counts.shape != (len(known), len(self.spec.tiles))
                or not len(known)
                or (np.diff(known) <= 0).any()
            ):
                raise ValueError(f"the counts of contexts of {k} tiles are no counts of this model")
            found[f"contexts.{k}"], found[f"counts.{k}"] = np.array(known), np.array(counts)
        weights = np.array(arrays["weights"], np.float64)
        if weights.shape != (self._length + 1,) or not (np.isfinite(weights) & (weights > 0)).all():
            raise ValueError(f"{self._length + 1} weights above 0 were expected")
        found["weights"] = weights
        if set(arrays) != set(found):
            raise ValueError("there are counts of longer contexts than this model's")
        self._learned = found
