"""Compiled wave function collapse over overlapping patterns (Gumin 2016).

A wave has a place for each position of a pattern in the level, and at each place tells which patterns may still lie
there. Patterns at neighbouring places must agree where they overlap. So what one place asks of its neighbour is a set
of overlaps: `support` counts, for each place, direction and overlap, the patterns that offer it, and where that falls
to nothing, the neighbour's patterns with that overlap go. This is arc consistency by counting (Mohr 1986), counted by
overlap where that counts by pairs of patterns.

Directions are 0 right, 1 left, 2 down and 3 up; direction d ^ 1 leads back.
"""

from __future__ import annotations

import numpy as np

from envs.kernels import inline, kernel
from envs.kernels.draw import draw_next

#: What `collapse` returns.
DONE, CONTRADICTION, IMPOSSIBLE = 0, 1, 2


@inline
def _ban(place, pattern, weights, logs, alive, left, sums, stack, top):
    """Takes a pattern from a place and notes it on the stack; returns the stack's new top."""
    alive[place, pattern] = 0
    left[place] -= 1
    sums[place, 0] -= weights[pattern]
    sums[place, 1] -= logs[pattern]
    stack[top, 0] = place
    stack[top, 1] = pattern
    return top + 1


@inline
def _propagate(overlaps, starts, members, neighbours, weights, logs, alive, left, sums, support, stack, top):
    """Takes all patterns that have lost their support; returns whether every place has one left."""
    while top > 0:
        top -= 1
        place, pattern = stack[top, 0], stack[top, 1]
        if left[place] == 0:
            return False
        for direction in range(4):
            other = neighbours[place, direction]
            if other < 0:
                continue
            overlap = overlaps[direction, pattern]
            support[place, direction, overlap] -= 1
            if support[place, direction, overlap] > 0:
                continue
            for i in range(starts[direction, overlap], starts[direction, overlap + 1]):
                candidate = members[direction, i]
                if alive[other, candidate]:
                    top = _ban(other, candidate, weights, logs, alive, left, sums, stack, top)
    return True


@kernel
def begin(allowed, overlaps, starts, members, neighbours, weights, logs, alive, left, sums, support, stack):
    """Prepares a wave in which only some patterns are allowed.

    Args:
        allowed: uint8 (places, patterns).
        overlaps: int32 (4, patterns), the number of the overlap that a pattern shows to its neighbour in a direction.
        starts: int32 (4, overlaps + 1), where in `members` the patterns of an overlap begin.
        members: int32 (4, patterns), the patterns that a neighbour in a direction may be, ordered by overlap.
        neighbours: int32 (places, 4), the place in each direction, -1 outside the level.
        weights: float64 (patterns,), how often each was seen.
        logs: float64 (patterns,), the weights times their logarithms.
        alive: uint8 (places, patterns), written: which patterns may lie there.
        left: int32 (places,), written: how many these are.
        sums: float64 (places, 2), written: the sums of their weights and logs.
        support: int32 (places, 4, overlaps), written.
        stack: int32 (places * patterns, 2), used.

    Returns:
        Whether every place has a pattern left.
    """
    places, patterns = allowed.shape
    number = starts.shape[1] - 1
    left[:] = patterns
    support[:] = 0
    top = 0
    for place in range(places):
        sums[place, 0] = weights.sum()
        sums[place, 1] = logs.sum()
        for pattern in range(patterns):
            alive[place, pattern] = 1
            for direction in range(4):
                support[place, direction, overlaps[direction, pattern]] += 1
    for place in range(places):
        for pattern in range(patterns):
            if alive[place, pattern] and not allowed[place, pattern]:
                top = _ban(place, pattern, weights, logs, alive, left, sums, stack, top)
        # Overlaps that no pattern at all offers this place's neighbours.
        for direction in range(4):
            other = neighbours[place, direction]
            if other < 0:
                continue
            for overlap in range(number):
                if support[place, direction, overlap] == 0:
                    for i in range(starts[direction, overlap], starts[direction, overlap + 1]):
                        if alive[other, members[direction, i]]:
                            top = _ban(other, members[direction, i], weights, logs, alive, left, sums, stack, top)
    return _propagate(overlaps, starts, members, neighbours, weights, logs, alive, left, sums, support, stack, top)


@kernel
def collapse(stream, banned, overlaps, starts, members, neighbours, weights, logs, alive, left, sums, support, stack):
    """Collapses a wave: the place of least entropy takes one of its patterns, and what follows from it, until all have.

    `stream` is the state of the draws, uint64 (1,), moved on; `banned`, int32 (m, 2), the places and patterns that are
    taken out first. All others are as in `begin`, which has prepared the wave; it is changed.

    Returns:
        DONE; CONTRADICTION where a place has no pattern left, the wave then being as it was found; or IMPOSSIBLE where
        that is so before anything is drawn.
    """
    places, patterns = alive.shape
    top = 0
    for i in range(banned.shape[0]):
        if alive[banned[i, 0], banned[i, 1]]:
            top = _ban(banned[i, 0], banned[i, 1], weights, logs, alive, left, sums, stack, top)
    state = stream[0]
    drawn = False
    while True:
        if not _propagate(overlaps, starts, members, neighbours, weights, logs, alive, left, sums, support, stack, top):
            stream[0] = state
            return CONTRADICTION if drawn else IMPOSSIBLE
        chosen, least = -1, np.inf
        for place in range(places):
            if left[place] > 1:
                state, uniform = draw_next(state)
                entropy = np.log(sums[place, 0]) - sums[place, 1] / sums[place, 0] + 1e-6 * uniform
                if entropy < least:
                    chosen, least = place, entropy
        if chosen < 0:
            stream[0] = state
            return DONE
        total = 0.0
        for pattern in range(patterns):
            if alive[chosen, pattern]:
                total += weights[pattern]
        state, uniform = draw_next(state)
        rest = uniform * total
        taken = -1
        for pattern in range(patterns):
            if alive[chosen, pattern]:
                taken = pattern
                rest -= weights[pattern]
                if rest < 0:
                    break
        drawn = True
        top = 0
        for pattern in range(patterns):
            if alive[chosen, pattern] and pattern != taken:
                top = _ban(chosen, pattern, weights, logs, alive, left, sums, stack, top)
