"""The twin of wave function collapse's propagation: sets of patterns, pairs of them, until nothing changes."""

from __future__ import annotations


def agrees(first, second, direction):
    """Whether a pattern may have another as its neighbour; directions are right, left, down, up."""
    size = len(first)
    if direction == 0:
        return all(first[y][x + 1] == second[y][x] for y in range(size) for x in range(size - 1))
    if direction == 1:
        return agrees(second, first, 0)
    if direction == 2:
        return all(first[y + 1][x] == second[y][x] for y in range(size - 1) for x in range(size))
    return agrees(second, first, 2)


def consistent(patterns, height, width, allowed):
    """The patterns that remain at each place (y, x) of those allowed there, when all neighbours agree."""
    fits = [
        [{j for j, other in enumerate(patterns) if agrees(pattern, other, direction)} for pattern in patterns]
        for direction in range(4)
    ]
    wave = {place: set(numbers) for place, numbers in allowed.items()}
    steps = ((0, 1), (0, -1), (1, 0), (-1, 0))
    changed = True
    while changed:
        changed = False
        for y in range(height):
            for x in range(width):
                for direction, (down, right) in enumerate(steps):
                    other = wave.get((y + down, x + right))
                    if other is None:
                        continue
                    kept = {i for i in wave[y, x] if fits[direction][i] & other}
                    if kept != wave[y, x]:
                        wave[y, x], changed = kept, True
    return wave
