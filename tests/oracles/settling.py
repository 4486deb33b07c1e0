"""The slow, obvious twin of `generators.settling`."""

from __future__ import annotations

import numpy as np


def settle(proposal, scores, free, coefficients, low, high):
    """One level, in plain Python: the changed proposal, and by how much the rules are still missed."""
    proposal = list(proposal)

    def missed(level):
        values = [sum(row[tile] for tile in level) for row in coefficients]
        return sum(max(a - v, 0) + max(v - b, 0) for v, a, b in zip(values, low, high, strict=True))

    while missed(proposal) > 0:
        changes = []
        for cell, old in enumerate(proposal):
            for new in range(scores.shape[1]):
                changed = [*proposal[:cell], new, *proposal[cell + 1 :]]
                if free[cell] and scores[cell, new] > -1e8 and missed(changed) < missed(proposal):
                    changes.append((np.float64(scores[cell, old]) - scores[cell, new], cell, new))
        if not changes:
            break
        _, cell, new = min(changes)
        proposal[cell] = new
    return proposal, missed(proposal)
