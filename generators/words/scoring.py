"""How well levels meet what was asked for, by what is measured of them.

The score of a level is in [-1, 1], in the spirit of MarioDiffusion's caption score: the mean over all features that a
prompt speaks of. A feature that is as it was asked counts 1. One that was asked for and is not there, or is there and
was asked not to be, counts -1. One that is there but is too little or too much counts from 1 down to 0, the less the
further it is away, as a share of what the corpus's levels differ by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from generators.words.features import Interval
from generators.words.lexicon import Lexicon


def feature_scores(
    lexicon: Lexicon, asked: Sequence[Mapping[str, Interval]], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns how well each feature of each level is as each prompt asks.

    Args:
        lexicon: of the problem.
        asked: what p prompts ask for.
        values: float64 (n, features), of n levels, as `Lexicon.values` returns them.

    Returns:
        float64 (p, n, features) in [-1, 1], NaN where a prompt asks nothing of a feature.
    """
    low, high = (np.stack(ends)[:, None] for ends in zip(*(lexicon.limits(one) for one in asked), strict=True))
    spreads = np.array([feature.spread for feature in lexicon.features])
    distances = np.maximum(low - values, 0) + np.maximum(values - high, 0)
    scores = np.where(distances > 0, np.clip(1 - distances / spreads, 0, None), 1.0)
    there = values > 0
    scores[((high <= 0) & there) | ((low > 0) & ~there)] = -1.0
    scores[np.broadcast_to(np.isinf(low) & np.isinf(high), scores.shape)] = np.nan
    return scores


def caption_scores(
    lexicon: Lexicon, asked: Sequence[Mapping[str, Interval]], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns how well levels meet prompts, float64 (p, n) in [-1, 1]; 1 where a prompt asks nothing.

    Args:
        lexicon: of the problem.
        asked: what p prompts ask for.
        values: float64 (n, features), of n levels.
    """
    scores = feature_scores(lexicon, asked, values)
    counted = ~np.isnan(scores)
    sums = np.where(counted, scores, 0).sum(axis=2)
    return np.where(counted.any(axis=2), sums / np.maximum(counted.sum(axis=2), 1), 1.0)


def score_levels(lexicon: Lexicon, levels: NDArray[np.uint8], asked: Mapping[str, Interval]) -> NDArray[np.float64]:
    """Measures levels and returns how well each meets what is asked, float64 (n,) in [-1, 1].

    Args:
        lexicon: of the problem.
        levels: uint8 (n, *shape).
        asked: as `Prompt.asked`.
    """
    return caption_scores(lexicon, [asked], lexicon.values(levels))[0]


def meets(lexicon: Lexicon, asked: Sequence[Mapping[str, Interval]], values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tells which of n levels meet all that each of p prompts asks, bool (p, n)."""
    low, high = (np.stack(ends)[:, None] for ends in zip(*(lexicon.limits(one) for one in asked), strict=True))
    return np.asarray(((values >= low) & (values <= high)).all(axis=2), np.bool_)
