"""Twins of the n-gram and the Markov chain: dictionaries of contexts, one tile at a time, by the definitions."""

from __future__ import annotations

from collections import Counter, defaultdict

OUTSIDE = None


def reading_order(height, width, order):
    """The cells (y, x) in the order in which they are written."""
    if order == "row":
        return [(y, x) for y in range(height) for x in range(width)]
    cells = []
    for x in range(width):
        rising = order == "column" or x % 2 == 0
        cells += [(y, x) for y in (range(height - 1, -1, -1) if rising else range(height))]
    return cells


def text_context(level, cells, place, length):
    """The tiles before a place in the text, the nearest first."""
    found = []
    for back in range(1, length + 1):
        found.append(level[cells[place - back][0]][cells[place - back][1]] if place >= back else OUTSIDE)
    return tuple(found)


def chain_context(level, cells, place, length, order):
    """The nearest cells written before, were the level endless, the nearest first."""
    height, width = len(level), len(level[0])
    y, x = cells[place]

    def before(down, right):
        if order == "row":
            return down < 0 or (down == 0 and right < 0)
        rising = order == "column" or x % 2 == 0
        return right < 0 or (right == 0 and (down > 0 if rising else down < 0))

    offsets = [(d, r) for d in range(-3, 4) for r in range(-3, 4) if (d or r) and before(d, r)]
    offsets.sort(key=lambda offset: (offset[0] ** 2 + offset[1] ** 2, offset[0], offset[1]))
    found = []
    for down, right in offsets[:length]:
        inside = 0 <= y + down < height and 0 <= x + right < width
        found.append(level[y + down][x + right] if inside else OUTSIDE)
    return tuple(found)


class Backoff:
    """Counts after contexts, and Witten and Bell's interpolation with a weight for each length."""

    def __init__(self, tiles, weights):
        self.tiles, self.weights = tiles, weights
        self.counts = defaultdict(Counter)

    def learn(self, band, context, tile):
        for k in range(len(context) + 1):
            self.counts[band, context[:k]][tile] += 1

    def share(self, band, context, tile):
        shorter = self.share(band, context[:-1], tile) if context else 1 / self.tiles
        seen = self.counts.get((band, context))
        if seen is None:
            return shorter
        kinds = self.weights[len(context)] * len(seen)
        return (seen[tile] + kinds * shorter) / (sum(seen.values()) + kinds)
