"""What the games of the PCG Benchmark share: how alike texts are, who is unique, an agent's queue (Khalifa 2025)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from envs.kernels import inline, kernel

# A queue's entry is priority << NAME_BITS | name; entries are compared by their priority alone.
NAME_BITS = 32
NAME = (1 << NAME_BITS) - 1

# Texts at least so long leave their commonest characters out of the search for what they share.
_LONG_TEXT = 200


@inline
def enqueue(heap, size, priority, name):
    """Adds an entry to a binary heap of `size` entries, behind all of equal priority on its way up."""
    place, priority = size, int(priority)
    while place > 0:
        parent = (place - 1) >> 1
        if priority >= heap[parent] >> NAME_BITS:
            break
        heap[place] = heap[parent]
        place = parent
    heap[place] = priority << NAME_BITS | name


@inline
def dequeue(heap, size):
    """Takes the first entry from a binary heap of `size` entries, and returns its name.

    The last entry sinks along the lesser children (the right one of two equal ones) and rises again from the bottom.
    Which of several equal entries comes first depends on this, and with it what a limited search finds.
    """
    first = heap[0] & NAME
    size -= 1
    if size == 0:
        return first
    entry = heap[size]
    place, child = 0, 1
    while child < size:
        if child + 1 < size and not heap[child] >> NAME_BITS < heap[child + 1] >> NAME_BITS:
            child += 1
        heap[place] = heap[child]
        place = child
        child = 2 * place + 1
    while place > 0:
        parent = (place - 1) >> 1
        if entry >> NAME_BITS >= heap[parent] >> NAME_BITS:
            break
        heap[place] = heap[parent]
        place = parent
    heap[place] = entry
    return first


@inline
def _index_text(text, length, last, before):
    """Links the places of every character of a text, from the last to the first; `last` has room for all bytes."""
    for character in range(256):
        last[character] = -1
    for place in range(length):
        before[place] = last[text[place]]
        last[text[place]] = place
    if length < _LONG_TEXT:
        return
    most = length // 100 + 1
    for character in range(256):
        place, count = last[character], 0
        while place >= 0:
            count += 1
            place = before[place]
        if count > most:
            last[character] = -1


@inline
def _shared(one, one_length, other, other_length, last, before, runs, rows, stack, tick):
    """Counts the characters in the blocks that two texts share, by Ratcliff and Obershelp's method.

    The longest common block (the first in `one`, then in `other`, of the longest) is taken, then those on its left and
    on its right. `runs` holds, for each place in `other`, how many characters match up to there in the row that `rows`
    names.

    Returns:
        The count, and the tick from which on the next call may count its rows.
    """
    total, waiting = 0, 1
    stack[0, 0], stack[0, 1], stack[0, 2], stack[0, 3] = 0, one_length, 0, other_length
    while waiting > 0:
        waiting -= 1
        first, end = stack[waiting, 0], stack[waiting, 1]
        other_first, other_end = stack[waiting, 2], stack[waiting, 3]
        best, best_other, size, best_tick = first, other_first, 0, -1
        tick += 2
        for i in range(first, end):
            tick += 1
            j = last[one[i]]
            while j >= other_first:
                if j < other_end:
                    run = 1
                    if j > other_first and rows[j - 1] == tick - 1:
                        run = runs[j - 1] + 1
                    runs[j], rows[j] = run, tick
                    # Places come from the last to the first: of equals in one row the later seen is the first.
                    if run > size or (run == size and best_tick == tick):
                        best, best_other, size, best_tick = i - run + 1, j - run + 1, run, tick
                j = before[j]
        while best > first and best_other > other_first and one[best - 1] == other[best_other - 1]:
            best, best_other, size = best - 1, best_other - 1, size + 1
        while best + size < end and best_other + size < other_end and one[best + size] == other[best_other + size]:
            size += 1
        if size == 0:
            continue
        total += size
        if first < best and other_first < best_other:
            stack[waiting, 0], stack[waiting, 1] = first, best
            stack[waiting, 2], stack[waiting, 3] = other_first, best_other
            waiting += 1
        if best + size < end and best_other + size < other_end:
            stack[waiting, 0], stack[waiting, 1] = best + size, end
            stack[waiting, 2], stack[waiting, 3] = best_other + size, other_end
            waiting += 1
    return total, tick


@kernel
def _text_ratios(texts, lengths, ratios, last, before, runs, rows, stack):
    tick = 0
    for other in range(len(texts)):
        _index_text(texts[other], lengths[other], last, before)
        for one in range(len(texts)):
            both = lengths[one] + lengths[other]
            if both == 0:
                ratios[one, other] = 1.0
                continue
            total, tick = _shared(
                texts[one], lengths[one], texts[other], lengths[other], last, before, runs, rows, stack, tick
            )
            ratios[one, other] = 2.0 * total / both


def text_ratios(texts: NDArray[np.uint8], lengths: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns how alike texts are, pair by pair: twice the characters in shared blocks by those in both texts.

    This is the ratio of Python's `difflib.SequenceMatcher`, which the benchmark uses; it is not symmetric.

    Args:
        texts: uint8 (n, room), one character a byte.
        lengths: int64 (n,), how many of them count.

    Returns:
        float64 (n, n) in [0, 1]; the row is the first text, the column the second.
    """
    ratios = np.zeros((len(texts), len(texts)))
    room = texts.shape[1] + 1
    # The intervals that wait do not overlap in the first text, and each has at least one character.
    scratch = np.zeros((2, room), np.int64), np.zeros((room + 1, 4), np.int64)
    marks = np.full(room, -9, np.int64)
    _text_ratios(
        np.ascontiguousarray(texts),
        np.asarray(lengths, np.int64),
        ratios,
        np.zeros(256, np.int64),
        scratch[0][0],
        scratch[0][1],
        marks,
        scratch[1],
    )
    return ratios


@kernel
def _hamming(flat, distances):
    for i in range(len(flat)):
        for j in range(i):
            count = 0
            for cell in range(flat.shape[1]):
                if flat[i, cell] != flat[j, cell]:
                    count += 1
            distances[i, j] = distances[j, i] = count


def hamming(levels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Returns in how many cells levels differ, pair by pair.

    Args:
        levels: uint8 (n, height, width).

    Returns:
        int64 (n, n).
    """
    distances = np.zeros((len(levels), len(levels)), np.int64)
    _hamming(np.ascontiguousarray(levels.reshape(len(levels), math.prod(levels.shape[1:]))), distances)
    return distances


@kernel
def _spread(similarities, values, present):
    while True:
        most, worst = -1.0, -1
        for i in range(len(similarities)):
            if not present[i]:
                continue
            total = 0.0
            for j in range(len(similarities)):
                if present[j]:
                    total += similarities[i, j]
            if total > most:
                most, worst = total, i
        if worst < 0 or most <= 1:
            return
        alike = 0
        for j in range(len(similarities)):
            if present[j] and similarities[worst, j] > 0:
                alike += 1
        values[worst] = min(max(1 - (most - 1) / alike, 0.0), 1.0)
        present[worst] = False


def spread(similarities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns each item's diversity among the others: 1 for those that are unique.

    The item that is most like the others is taken out, again and again, until those left are alike to nothing but
    themselves. Each one taken out is given 1 less its mean similarity to those that it was like when it was taken.

    Args:
        similarities: float64 (n, n) in [0, 1], with ones on the diagonal.

    Returns:
        float64 (n,) in [0, 1].
    """
    values = np.ones(len(similarities))
    _spread(np.ascontiguousarray(similarities, np.float64), values, np.ones(len(similarities), np.bool_))
    return values
