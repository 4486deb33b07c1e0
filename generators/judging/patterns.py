"""Tile patterns: how like the corpus a batch of levels is in its small windows (Lucas 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.errors import UserError

#: What is added to every pattern's count, so that one that was never seen does not make the divergence infinite.
EPSILON = 1e-6


@dataclass(frozen=True)
class Divergence:
    """How far two distributions of patterns lie apart, in nats.

    Attributes:
        size: the windows' side, in tiles.
        forward: KL(corpus || samples), large where samples lack what the corpus has.
        backward: KL(samples || corpus), large where samples hold what the corpus has not.
        unseen: the share of the samples' windows whose pattern does not stand in the corpus.
    """

    size: int
    forward: float
    backward: float
    unseen: float

    def weighted(self, weight: float = 0.5) -> float:
        """Returns weight * forward + (1 - weight) * backward, the w-weighted form of Lucas 2019."""
        return weight * self.forward + (1 - weight) * self.backward


def pattern_divergence(
    levels: NDArray[np.uint8],
    corpus: NDArray[np.uint8],
    size: int,
    epsilon: float = EPSILON,
    *,
    of_shares: bool = False,
) -> Divergence:
    """Compares the distributions of all size x size windows (size^3 in levels of three axes), at stride 1.

    Each pattern x that stands in either batch has the probability (count(x) + epsilon) / (windows + epsilon * patterns
    of both), and KL(P || Q) is the sum of P log(P / Q) over them: the smoothing of Lucas 2019, normalised to sum to 1.

    Args:
        levels: uint8 (n, *shape).
        corpus: uint8 (m, *shape), of the same or another shape.
        size: the side of the windows, at least 1 and no larger than the levels.
        epsilon: the smoothing, above 0.
        of_shares: whether epsilon is added to each pattern's share of the windows and not to its count, so that it
            weighs as much in a batch of few levels as in one of many.

    Raises:
        UserError: a window does not fit, or there are no levels.
    """
    if not len(levels) or not len(corpus):
        raise UserError("Tile patterns can be compared only where there is at least 1 level on either side.")
    for batch in (levels, corpus):
        if not 1 <= size <= min(batch.shape[1:]):
            raise UserError(f"Windows of {size} tiles do not fit into levels of shape {batch.shape[1:]}.")
    tiles = int(max(levels.max(), corpus.max())) + 1
    own = _windows(levels, size, tiles)
    other = _windows(corpus, size, tiles)
    patterns, places = np.unique(np.concatenate([own, other]), return_inverse=True)
    counts = np.bincount(places[: len(own)], minlength=len(patterns)).astype(np.float64)
    corpus_counts = np.bincount(places[len(own) :], minlength=len(patterns)).astype(np.float64)
    share, corpus_share = (
        (found + added) / (found.sum() + added * len(patterns))
        for found, added in (
            (counts, epsilon * len(own) if of_shares else epsilon),
            (corpus_counts, epsilon * len(other) if of_shares else epsilon),
        )
    )
    ratio = np.log(corpus_share / share)
    return Divergence(
        size,
        float((corpus_share * ratio).sum()),
        float(-(share * ratio).sum()),
        float(counts[corpus_counts == 0].sum() / counts.sum()),
    )


def pattern_divergences(
    levels: NDArray[np.uint8], corpus: NDArray[np.uint8], sizes: Sequence[int] = (2, 3, 4)
) -> list[Divergence]:
    """Compares tile patterns of several sizes, those that fit into both batches of levels."""
    side = min(*levels.shape[1:], *corpus.shape[1:])
    return [pattern_divergence(levels, corpus, size) for size in sizes if size <= side]


def mean_divergence(levels: NDArray[np.uint8], reference: NDArray[np.uint8], sizes: Sequence[int] = (2, 3)) -> float:
    """Returns how far the patterns of levels are from those of a reference, as one number to make small.

    Args:
        levels: uint8 (n, *shape).
        reference: uint8 (m, *shape).
        sizes: the sides of the windows; those that do not fit into a level are left out.

    Returns:
        The mean over sizes of half the KL divergence from the one to the other and half the one back, in nats, with
        1e-6 added to shares; 0 where no size fits.
    """
    side = min(*levels.shape[1:], *reference.shape[1:])
    found = [pattern_divergence(levels, reference, size, of_shares=True).weighted() for size in sizes if size <= side]
    return float(np.mean(found)) if found else 0.0


def _windows(levels: NDArray[np.uint8], size: int, tiles: int) -> NDArray:
    """Returns for each window of each level one number, equal where windows are; its bytes where none is enough."""
    axes = tuple(range(1, levels.ndim))
    views = np.lib.stride_tricks.sliding_window_view(levels, (size,) * len(axes), axes)
    cells = size ** len(axes)
    if tiles**cells <= 1 << 64:
        codes = np.zeros(views.shape[: levels.ndim], np.uint64)
        for offset in np.ndindex(*(size,) * len(axes)):
            codes = codes * np.uint64(tiles) + views[(..., *offset)]
        return codes.ravel()
    rows = np.ascontiguousarray(views).reshape(-1, cells)
    return rows.view(np.dtype((np.void, cells))).ravel()
