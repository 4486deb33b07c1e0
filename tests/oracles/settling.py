"""The slow, obvious twin of `generators.settling`."""

from __future__ import annotations

import numpy as np


def settle(proposal, scores, free, coefficients, low, high):
    """One level, in plain Python: the changed proposal, and by how much the rules are still missed."""
    proposal = list(proposal)

    def missed(level):
        values = [sum(row[tile] for tile in level) for row in coefficients]
        return sum(max(a - v, 0) + max(v - b, 0) for v, a, b in zip(values, low, high, strict=True))

    def changes(level):
        return [
            (np.float64(scores[cell, old]) - scores[cell, new], cell, new)
            for cell, old in enumerate(level)
            for new in range(scores.shape[1])
            if free[cell] and new != old and scores[cell, new] > -1e8
        ]

    def changed(level, *moves):
        after = list(level)
        for _, cell, new in moves:
            after[cell] = new
        return after

    while missed(proposal) > 0:
        single = changes(proposal)
        pairs = [(one, two) for one in single for two in single if one[1] < two[1]]
        for moves in ([(move,) for move in single], pairs):
            better = [made for made in moves if missed(changed(proposal, *made)) < missed(proposal)]
            if better:
                proposal = changed(proposal, *min(better, key=lambda made: sum(move[0] for move in made)))
                break
        else:
            break
    return proposal, missed(proposal)
