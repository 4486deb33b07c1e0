"""The longest copied patch: the largest rectangle of a level that stands in one level of the corpus.

A patch is a rectangle of cells (a box in levels of three axes). It counts as copied where a single corpus level holds
the same tiles in a rectangle of the same size, wherever in that level; the sample is taken as it is, and under the
symmetries that are asked for. The measure is the number of its tiles. Plain sky and solid rock count as copied too, so
that the figure says something only beside that of held-out levels, which nobody copied.

All rectangles of one size, of all samples, are looked up at once: those of the samples go by a hash into a table, and
those of the corpus are streamed past it. Sizes grow row by row; a rectangle is looked for only where both smaller ones
that make it up were found, and where it would be larger than what is known of that sample. Hashes are sums of random
numbers of 64 bits; what they find is compared tile by tile in the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.kernels import inline, kernel
from envs.problem import Shape
from envs.symmetries import images
from generators.judging.distance import check_corpus

_ONE = np.uint64(1)
_EMPTY = np.int64(-1)

#: An odd number that spreads hashes over the table (Knuth 1998).
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Patches:
    """The largest copied patch of each level.

    Attributes:
        tiles: int64 (n,), its number of tiles.
        sizes: int64 (n, 3), its (depth, height, width); flat levels have a depth of 1.
        places: int64 (n, 3), its least (storey, row, column) in the level's image.
        images: int64 (n,), under which of `envs.symmetries.images` the level was taken; 0 is as it is.
        sources: int64 (n,), which corpus level holds it; -1 where no tile of the level stands in the corpus.
        source_places: int64 (n, 3), its least (storey, row, column) there.
    """

    tiles: NDArray[np.int64]
    sizes: NDArray[np.int64]
    places: NDArray[np.int64]
    images: NDArray[np.int64]
    sources: NDArray[np.int64]
    source_places: NDArray[np.int64]


def copied_patches(levels: NDArray[np.uint8], corpus: NDArray[np.uint8], symmetries: Sequence[str] = ()) -> Patches:
    """Finds the largest patch of each level that one corpus level holds.

    Args:
        levels: uint8 (n, *shape).
        corpus: uint8 (m, *shape), m at least 1.
        symmetries: names of `envs.symmetries.SYMMETRIES`; a level has as much copied as the image that has most.

    Returns:
        The patches; of several of a size, any.

    Raises:
        UserError: the corpus is empty, or of another shape.
    """
    check_corpus(levels, corpus)
    turned = images(symmetries, levels)
    turns, number = turned.shape[:2]
    flat = (1, *levels.shape[1:])[-3:]
    queries = np.ascontiguousarray(turned.reshape(turns * number, *flat))
    texts = np.ascontiguousarray(corpus.reshape(len(corpus), *flat))
    sums, bases = _prepare(queries, texts)
    own_sums, corpus_sums = sums
    best = _Best(turns, number)
    found: dict[Shape, NDArray[np.bool_]] = {}
    for size in np.ndindex(*flat):
        depth, height, width = (extent + 1 for extent in size)
        candidates = _candidates(found, (depth, height, width), turns * number, flat)
        area = depth * height * width
        if area > best.tiles.min() and candidates.any():
            hashes = _hashes(own_sums, bases, depth, height, width)
            wanted = candidates & (area > best.tiles[np.arange(turns * number) % number])[:, None, None, None]
            rows = np.flatnonzero(wanted)
            keys, owners, at = _table(hashes.ravel()[rows])
            hits = np.full((len(keys), 4), -1, np.int64)
            _stream(corpus_sums, bases, depth, height, width, keys, owners, hits)
            matched = hits[at, 0] >= 0
            best.take(rows[matched], hits[at[matched]], hashes.shape, (depth, height, width), queries, texts)
            # What was not looked for, because it is too small to matter, may be found in a larger size.
            candidates = candidates.copy()
            candidates.ravel()[rows[~matched]] = False
        found[(depth, height, width)] = candidates
    return best.patches()


class _Best:
    """The largest patch known of each sample."""

    def __init__(self, turns: int, number: int) -> None:
        self.number = number
        self.tiles = np.zeros(number, np.int64)
        self.sizes = np.zeros((number, 3), np.int64)
        self.places = np.zeros((number, 3), np.int64)
        self.images = np.zeros(number, np.int64)
        self.sources = np.full(number, -1, np.int64)
        self.source_places = np.zeros((number, 3), np.int64)

    def take(
        self,
        rows: NDArray[np.intp],
        hits: NDArray[np.int64],
        shape: tuple[int, ...],
        size: tuple[int, int, int],
        queries: NDArray[np.uint8],
        texts: NDArray[np.uint8],
    ) -> None:
        """Notes what was found of one size, the first place of each sample, if it really is the same.

        Args:
            rows: the flat indices of the patches among all of that size.
            hits: int64 (patches, 4), where the corpus holds them.
            shape: the shape that `rows` are indices of: (images * n, storeys, rows, columns).
            size: the patches' (depth, height, width).
            queries: uint8 (images * n, depth, height, width).
            texts: uint8 (m, depth, height, width).
        """
        area = int(np.prod(size))
        whose, *place = np.unravel_index(rows, shape)
        places = np.stack(place, axis=1)
        for i in np.unique(whose % self.number, return_index=True)[1]:
            image, sample = divmod(int(whose[i]), self.number)
            own = queries[whose[i]][_box(places[i], size)]
            if area > self.tiles[sample] and np.array_equal(own, texts[hits[i, 0]][_box(hits[i, 1:], size)]):
                self.tiles[sample], self.sizes[sample], self.places[sample] = area, size, places[i]
                self.images[sample], self.sources[sample], self.source_places[sample] = image, hits[i, 0], hits[i, 1:]

    def patches(self) -> Patches:
        """Returns what is known."""
        return Patches(self.tiles, self.sizes, self.places, self.images, self.sources, self.source_places)


def _box(place: NDArray[np.int64], size: tuple[int, int, int]) -> tuple[slice, ...]:
    return tuple(slice(int(least), int(least) + extent) for least, extent in zip(place, size, strict=True))


def _candidates(
    found: dict[Shape, NDArray[np.bool_]], size: tuple[int, int, int], number: int, shape: Shape
) -> NDArray[np.bool_]:
    """Returns where a patch of a size can be copied: where the smaller ones that make it up are.

    Returns:
        bool (number, storeys, rows, columns) over the places of such a patch.
    """
    places = tuple(whole - extent + 1 for whole, extent in zip(shape, size, strict=True))
    result = np.ones((number, *places), np.bool_)
    for axis in range(3):
        if size[axis] > 1:
            smaller = found[(*size[:axis], size[axis] - 1, *size[axis + 1 :])]
            first = smaller.take(np.arange(places[axis]), axis=axis + 1)
            second = smaller.take(np.arange(1, places[axis] + 1), axis=axis + 1)
            result &= first & second
    return result


def _prepare(
    queries: NDArray[np.uint8], texts: NDArray[np.uint8]
) -> tuple[tuple[NDArray[np.uint64], NDArray[np.uint64]], NDArray[np.uint64]]:
    """Returns sums from which the hash of any patch follows, and the numbers that it takes.

    Returns:
        The sums of the queries and of the texts, uint64 (n, depth + 1, height + 1, width + 1), and uint64 (3, longest
        side + 1): powers by which a patch's sum is moved to the far end of the level, for each axis.
    """
    random = np.random.default_rng(20190713)
    tiles = int(max(queries.max(initial=0), texts.max())) + 1
    values = random.integers(0, 1 << 64, tiles, np.uint64, endpoint=False)
    steps = random.integers(0, 1 << 63, 3, np.uint64) * np.uint64(2) + _ONE
    powers = np.ones((3, max(queries.shape[1:]) + 1), np.uint64)
    for i in range(1, powers.shape[1]):
        powers[:, i] = powers[:, i - 1] * steps
    weights = np.ones(queries.shape[1:], np.uint64)
    for axis in range(3):
        shape = [1, 1, 1]
        shape[axis] = queries.shape[axis + 1]
        weights = weights * powers[axis, : queries.shape[axis + 1]].reshape(shape)

    def summed(levels: NDArray[np.uint8]) -> NDArray[np.uint64]:
        total = values[levels] * weights
        for axis in (1, 2, 3):
            total = np.cumsum(total, axis=axis, dtype=np.uint64)
        return np.ascontiguousarray(np.pad(total, ((0, 0), (1, 0), (1, 0), (1, 0))))

    return (summed(queries), summed(texts)), powers


@inline
def _hash(sums, powers, z, y, x, depth, height, width):
    """Returns the hash of one patch: its sum of random numbers, moved so that it does not tell its place."""
    far_z, far_y, far_x = z + depth, y + height, x + width
    total = sums[far_z, far_y, far_x] - sums[z, far_y, far_x] - sums[far_z, y, far_x] - sums[far_z, far_y, x]
    total += sums[z, y, far_x] + sums[z, far_y, x] + sums[far_z, y, x] - sums[z, y, x]
    total *= powers[0, sums.shape[0] - 1 - z] * powers[1, sums.shape[1] - 1 - y] * powers[2, sums.shape[2] - 1 - x]
    return total


@kernel
def _hashes(sums, powers, depth, height, width):
    """Returns the hashes of all patches of a size, uint64 (n, storeys, rows, columns)."""
    shape = (sums.shape[1] - depth, sums.shape[2] - height, sums.shape[3] - width)
    result = np.empty((len(sums), shape[0], shape[1], shape[2]), np.uint64)
    for i in range(len(sums)):
        for z in range(shape[0]):
            for y in range(shape[1]):
                for x in range(shape[2]):
                    result[i, z, y, x] = _hash(sums[i], powers, z, y, x, depth, height, width)
    return result


@inline
def _slot(keys, owners, shift, key):
    """Returns where in the table a key stands, or the empty slot where it would."""
    mask = len(keys) - 1
    slot = np.int64((key * _SPREAD) >> shift)
    while owners[slot] != _EMPTY and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@kernel
def _table(hashes):
    """Returns a table of hashes, uint64 (n,).

    Returns:
        The keys, uint64 (slots,); what takes each slot, int64 (slots,), -1 for nothing; the slot of each hash,
        int64 (n,).
    """
    bits = 4
    while (1 << bits) < 2 * len(hashes):
        bits += 1
    keys = np.zeros(1 << bits, np.uint64)
    owners = np.full(1 << bits, _EMPTY)
    slots = np.empty(len(hashes), np.int64)
    for i in range(len(hashes)):
        slot = _slot(keys, owners, np.uint64(64 - bits), hashes[i])
        keys[slot], owners[slot], slots[i] = hashes[i], i, slot
    return keys, owners, slots


@kernel
def _stream(sums, powers, depth, height, width, keys, owners, hits):
    """Notes for each key in a table the first patch of the corpus that has it.

    Args:
        sums: uint64 (m, depth + 1, height + 1, width + 1), the corpus.
        powers: as `_prepare` returns them.
        depth: of the patches.
        height: of the patches.
        width: of the patches.
        keys: uint64 (slots,).
        owners: int64 (slots,).
        hits: int64 (slots, 4), level, storey, row and column; written where they are -1.
    """
    bits = 0
    while (1 << bits) < len(keys):
        bits += 1
    shift = np.uint64(64 - bits)
    for i in range(len(sums)):
        for z in range(sums.shape[1] - depth):
            for y in range(sums.shape[2] - height):
                for x in range(sums.shape[3] - width):
                    slot = _slot(keys, owners, shift, _hash(sums[i], powers, z, y, x, depth, height, width))
                    if owners[slot] != _EMPTY and hits[slot, 0] < 0:
                        hits[slot, 0], hits[slot, 1], hits[slot, 2], hits[slot, 3] = i, z, y, x
