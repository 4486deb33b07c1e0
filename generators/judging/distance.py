"""Edit distances between levels: how far a sample lies from the corpus, and which samples lie close together.

A level counts as the string of its tiles in row-major order, and the distance is Levenshtein's (Todd 2023): the fewest
insertions, deletions and replacements of a tile that turn one string into the other. It is at most the number of
tiles that differ, and less where a row is merely shifted.

The kernels compute it by bit vectors (Hyyrö 2003) within a band around the diagonal. A path of d edits between
strings of equal length leaves the diagonal by at most d / 2, so that a band of 64 rows is exact for distances up to 63,
one of 128 rows up to 127, and so on; the band is as wide as the best distance known so far asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.errors import UserError
from envs.kernels import inline, kernel
from envs.problem import Shape
from envs.solving import processors
from envs.symmetries import images

_ONE = np.uint64(1)
_NONE = np.uint64(0)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)

#: The least distance of a novel level (Todd 2023), and the share of the tiles that it is on larger levels.
LEAST_DISTANCE, LEAST_SHARE = 5, 0.05


def novelty_threshold(shape: Shape) -> int:
    """Returns the edit distance from which on a level counts as novel: max(5, 5 % of its tiles, rounded up).

    Up to 100 tiles that is Todd 2023's 5.
    """
    return max(LEAST_DISTANCE, -(-int(np.prod(shape)) // round(1 / LEAST_SHARE)))


@dataclass(frozen=True)
class Neighbours:
    """The nearest corpus level of each sample.

    Attributes:
        distances: int64 (n,), its edit distance, in tiles.
        indices: int64 (n,), its place in the corpus; -1 where none is nearer than a limit that was set.
        images: int64 (n,), under which of `envs.symmetries.images` of the sample; 0 is the sample as it is.
    """

    distances: NDArray[np.int64]
    indices: NDArray[np.int64]
    images: NDArray[np.int64]


def nearest(
    levels: NDArray[np.uint8],
    corpus: NDArray[np.uint8],
    symmetries: Sequence[str] = (),
    limit: int | None = None,
    workers: int | None = None,
) -> Neighbours:
    """Finds the corpus level nearest to each sample.

    Args:
        levels: uint8 (n, *shape), the samples.
        corpus: uint8 (m, *shape), m at least 1.
        symmetries: names of `envs.symmetries.SYMMETRIES`; a sample is as far from the corpus as the nearest of its
            images is. None are tried by default.
        limit: corpus levels at so many edits or more are not told apart, which is far quicker where few are nearer:
            such samples get this distance, and -1 for an index. None tells all apart.
        workers: how many threads share the work; None means one for each processor core.

    Returns:
        The neighbours, exact; where several are as near, any of them.

    Raises:
        UserError: the corpus is empty, or of another shape.
    """
    check_corpus(levels, corpus)
    turned = images(symmetries, levels)
    number, cells = len(levels), int(np.prod(levels.shape[1:]))
    queries = np.ascontiguousarray(turned.reshape(len(turned), number, cells))
    texts = np.ascontiguousarray(corpus.reshape(len(corpus), cells))
    tiles = int(max(levels.max(initial=0), corpus.max())) + 1
    query_planes, text_planes = bit_planes(queries, tiles), bit_planes(texts, tiles)
    counts = tile_counts(corpus, tiles).astype(np.int32)
    own_counts = tile_counts(levels, tiles).astype(np.int32)
    found = np.zeros((number, 3), np.int64)
    farthest = cells + 1 if limit is None else min(int(limit), cells + 1)
    team = max(1, min(processors() if workers is None else workers, number))
    with ThreadPoolExecutor(team) as pool:
        # Thin slices, for one sample can take many times as long as another.
        slices = [(first, min(first + 16, number)) for first in range(0, number, 16)]
        arrays = (queries, texts, query_planes, text_planes, own_counts, counts)
        for task in [pool.submit(_nearest, *arrays, *part, farthest, found) for part in slices]:
            task.result()
    return Neighbours(found[:, 0], found[:, 1], found[:, 2])


def close_pairs(levels: NDArray[np.uint8], distance: int, symmetries: Sequence[str] = ()) -> NDArray[np.bool_]:
    """Tells which levels lie closer together than a distance.

    Args:
        levels: uint8 (n, *shape).
        distance: in tiles, at least 1; pairs that lie exactly so far apart are not close.
        symmetries: as in `nearest`: two levels are close where any image of either is close to the other.

    Returns:
        bool (n, n), symmetric, false on the diagonal.
    """
    turned = images(symmetries, levels)
    number, cells = len(levels), int(np.prod(levels.shape[1:]))
    tiles = int(levels.max(initial=0)) + 1
    queries = np.ascontiguousarray(turned.reshape(len(turned), number, cells))
    close = np.zeros((number, number), np.bool_)
    _close(queries, tile_counts(levels, tiles).astype(np.int32), int(distance), close)
    return close


def tile_counts(levels: NDArray[np.uint8], tiles: int) -> NDArray[np.int64]:
    """Returns how many of each tile every level has, int64 (n, tiles)."""
    flat = levels.reshape(len(levels), int(np.prod(levels.shape[1:])))
    return np.stack([(flat == tile).sum(axis=1) for tile in range(tiles)], axis=1).astype(np.int64)


def bit_planes(strings: NDArray[np.uint8], tiles: int) -> NDArray[np.uint64]:
    """Returns strings of tiles, uint8 (..., cells), packed by the bits of their ids: uint64 (..., planes, words)."""
    planes = max(1, (tiles - 1).bit_length())
    padding = -strings.shape[-1] % 64
    padded = np.concatenate([strings, np.zeros((*strings.shape[:-1], padding), np.uint8)], axis=-1)
    bits = np.stack([padded >> plane & 1 for plane in range(planes)], axis=-2)
    return np.ascontiguousarray(np.packbits(bits, axis=-1)).view(np.uint64)


def first_occurrences(levels: NDArray[np.uint8], symmetries: Sequence[str] = ()) -> NDArray[np.bool_]:
    """Tells which levels are not the same, tile for tile, as one before them; bool (n,).

    Args:
        levels: uint8 (n, *shape).
        symmetries: names of symmetries under which levels count as the same; none by default.
    """
    turned = images(symmetries, levels)
    seen: set[bytes] = set()
    fresh = np.zeros(len(levels), np.bool_)
    for i in range(len(levels)):
        # The least image stands for all.
        key = min(image.tobytes() for image in turned[:, i])
        fresh[i] = key not in seen
        seen.add(key)
    return fresh


def check_corpus(levels: NDArray[np.uint8], corpus: NDArray[np.uint8]) -> None:
    """Raises UserError where samples cannot be compared with a corpus."""
    if not len(corpus):
        raise UserError("The corpus has no levels to compare with; give one of at least 1 level.")
    if levels.shape[1:] != corpus.shape[1:]:
        raise UserError(
            f"Levels of shape {levels.shape[1:]} cannot be compared with corpus levels of shape {corpus.shape[1:]}; "
            "give a corpus of the same shape."
        )


@inline
def _fill_masks(pattern, words, masks):
    """Marks each tile's places in a string, moved up by the half width of the band.

    Args:
        pattern: uint8 (cells,).
        words: the words of 64 rows that the band is wide.
        masks: uint64 (tiles, at least (cells + 64 * words) // 64 + 2), written.
    """
    masks[:] = 0
    half = 32 * words - 1
    for i in range(len(pattern)):
        place = i + half
        masks[pattern[i], place >> 6] |= _ONE << np.uint64(place & 63)


@inline
def _narrow_distance(masks, text, limit):
    """Returns the edit distance of two strings in a band of one word, or `limit` as soon as it is no less.

    Bit p of the vectors is the row that lies p - 31 rows below the diagonal. A column's step is Hyyrö's, with the
    vectors moved one row down after it; what lies outside the band counts as too far to matter.
    """
    rises, falls = _ALL << np.uint64(31), _NONE
    score = np.int64(0)
    for column in range(len(text)):
        tile = text[column]
        word, shift = column >> 6, np.uint64(column & 63)
        match = masks[tile, word] >> shift
        if shift:
            match |= masks[tile, word + 1] << (np.uint64(64) - shift)
        level = (((match & rises) + rises) ^ rises) | match | falls
        score += 1 - np.int64(level >> np.uint64(31) & _ONE)
        if score >= limit:
            return limit
        up, down = falls | ~(level | rises), level & rises
        level >>= _ONE
        rises, falls = down | ~(level | up), level & up
    return score


@inline
def _wide_distance(masks, text, limit, words, vectors):
    """Returns the edit distance in a band of several words, or `limit` as soon as it is no less.

    Args:
        masks: as `_fill_masks` fills them for so many words.
        text: uint8 (cells,).
        limit: at most 64 * words.
        words: how many.
        vectors: uint64 (5, words), for scratch.
    """
    half = 32 * words - 1
    rises, falls, levels, ups, downs = vectors[0], vectors[1], vectors[2], vectors[3], vectors[4]
    for w in range(words):
        falls[w] = _NONE
        if 64 * w > half:
            rises[w] = _ALL
        elif 64 * w + 63 < half:
            rises[w] = _NONE
        else:
            rises[w] = _ALL << np.uint64(half - 64 * w)
    score = np.int64(0)
    for column in range(len(text)):
        tile = text[column]
        first, shift = column >> 6, np.uint64(column & 63)
        carry = _NONE
        for w in range(words):
            match = masks[tile, first + w] >> shift
            if shift:
                match |= masks[tile, first + w + 1] << (np.uint64(64) - shift)
            both = match & rises[w]
            partial = both + rises[w]
            total = partial + carry
            carry = _ONE if partial < both or total < partial else _NONE
            level = (total ^ rises[w]) | match | falls[w]
            levels[w] = level
            ups[w] = falls[w] | ~(level | rises[w])
            downs[w] = level & rises[w]
        score += 1 - np.int64(levels[half >> 6] >> np.uint64(half & 63) & _ONE)
        if score >= limit:
            return limit
        for w in range(words):
            level = levels[w] >> _ONE
            if w + 1 < words:
                level |= levels[w + 1] << np.uint64(63)
            rises[w] = downs[w] | ~(level | ups[w])
            falls[w] = level & ups[w]
    return score


@inline
def _least_distance(own, other):
    """Returns how many replacements it takes at least to give one level the other's tile counts."""
    surplus = 0
    for tile in range(len(own)):
        surplus += max(own[tile] - other[tile], 0)
    return surplus


@inline
def _differences(own, other):
    """Returns in how many cells two levels differ, given their bit planes, uint64 (planes, words)."""
    total = np.uint64(0)
    for word in range(own.shape[1]):
        bits = _NONE
        for plane in range(own.shape[0]):
            bits |= own[plane, word] ^ other[plane, word]
        # The bits are added up in pairs, then in fours, then in bytes (Warren 2012).
        bits -= (bits >> _ONE) & np.uint64(0x5555555555555555)
        bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
        bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
        total += (bits * np.uint64(0x0101010101010101)) >> np.uint64(56)
    return np.int64(total)


@kernel
def _nearest(queries, texts, query_planes, text_planes, own_counts, counts, first, last, farthest, found):
    """Finds the nearest text of each query from `first` to `last`.

    Args:
        queries: uint8 (images, n, cells).
        texts: uint8 (m, cells).
        query_planes: uint64 (images, n, planes, words), the queries as `bit_planes`.
        text_planes: uint64 (m, planes, words), the texts.
        own_counts: int32 (n, tiles).
        counts: int32 (m, tiles).
        first: the first query.
        last: the one after the last.
        farthest: distances from here on are not told apart.
        found: int64 (n, 3), written: distance, text and image.
    """
    turns, cells, tiles = len(queries), queries.shape[2], counts.shape[1]
    most = (cells + 63) // 64
    masks = np.zeros((turns, tiles, (cells + 64 * most) // 64 + 2), np.uint64)
    vectors = np.zeros((5, most), np.uint64)
    for i in range(first, last):
        # The tiles that differ are a bound from above, from which the search starts.
        best, text, turn = farthest, -1, 0
        for k in range(turns):
            for j in range(len(texts)):
                different = _differences(query_planes[k, i], text_planes[j])
                if different < best:
                    best, text, turn = different, j, k
        words = 0
        for j in range(len(texts)):
            if best == 0:
                break
            if _least_distance(own_counts[i], counts[j]) >= best:
                continue
            for k in range(turns):
                wanted = (best + 63) // 64
                if wanted != words:
                    words = wanted
                    for other in range(turns):
                        _fill_masks(queries[other, i], words, masks[other])
                if words == 0:
                    break
                if words == 1:
                    distance = _narrow_distance(masks[k], texts[j], best)
                else:
                    distance = _wide_distance(masks[k], texts[j], best, words, vectors)
                if distance < best:
                    best, text, turn = distance, j, k
        found[i, 0], found[i, 1], found[i, 2] = best, text, turn


@kernel
def _close(queries, counts, limit, close):
    """Marks the pairs of levels that lie closer together than a limit; see `close_pairs`."""
    turns, number, cells = queries.shape
    # No distance exceeds the number of cells.
    limit = min(limit, cells + 1)
    words = (limit + 63) // 64
    masks = np.zeros((turns, counts.shape[1], (cells + 64 * words) // 64 + 2), np.uint64)
    vectors = np.zeros((5, words), np.uint64)
    for i in range(number):
        for k in range(turns):
            _fill_masks(queries[k, i], words, masks[k])
        # Moving a row's tiles is not the same string edit in every image, so that either way is tried.
        for j in range(number):
            if i == j or close[i, j] or _least_distance(counts[i], counts[j]) >= limit:
                continue
            for k in range(turns):
                if words == 1:
                    distance = _narrow_distance(masks[k], queries[0, j], limit)
                else:
                    distance = _wide_distance(masks[k], queries[0, j], limit, words, vectors)
                if distance < limit:
                    close[i, j] = close[j, i] = True
                    break
