"""Slow twins of the measures that levels are judged by: what each of them means, word for word."""

from __future__ import annotations

from itertools import combinations

import numpy as np


def edit_distance(first, second):
    """Levenshtein's distance by the table of all prefixes (Wagner 1974)."""
    row = list(range(len(second) + 1))
    for i, left in enumerate(first, start=1):
        following = [i]
        for j, right in enumerate(second, start=1):
            following.append(min(row[j] + 1, following[-1] + 1, row[j - 1] + (left != right)))
        row = following
    return row[-1]


def largest_patch(level, corpus):
    """The most tiles of a box of the level that some corpus level holds anywhere."""
    boxes = level.reshape((1, *level.shape)[-3:])
    others = corpus.reshape(len(corpus), *boxes.shape)

    def patches(cells, size):
        places = [range(whole - part + 1) for whole, part in zip(cells.shape, size, strict=False)]
        return {
            cells[z : z + size[0], y : y + size[1], x : x + size[2]].tobytes()
            for z in places[0]
            for y in places[1]
            for x in places[2]
        }

    best = 0
    for index in np.ndindex(*boxes.shape):
        size = tuple(i + 1 for i in index)
        if np.prod(size) > best:
            own = patches(boxes, size)
            if any(own & patches(other, size) for other in others):
                best = int(np.prod(size))
    return best


def largest_independent_set(edges):
    """The size of the largest set of nodes of which no two are joined, by trying all."""
    nodes = range(len(edges))
    for size in range(len(edges), 0, -1):
        for chosen in combinations(nodes, size):
            if not any(edges[a][b] for a, b in combinations(chosen, 2)):
                return size
    return 0


def pattern_shares(levels, size):
    """The share of each tile pattern among all windows of flat levels, by its bytes."""
    counts = {}
    for level in levels:
        for y in range(level.shape[0] - size + 1):
            for x in range(level.shape[1] - size + 1):
                key = level[y : y + size, x : x + size].tobytes()
                counts[key] = counts.get(key, 0) + 1
    return counts
