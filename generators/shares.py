"""Probabilities of a few things, from what networks say of each: softmax, what is likely enough, and draws."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: What stands for an impossible thing's log-probability.
NEVER = float("-inf")


def softmax(scores: NDArray[Any], temperature: float = 1.0) -> NDArray[Any]:
    """Returns probabilities along the last axis, of the scores' own precision."""
    # NumPy is many times faster along long rows than along a few tiles.
    shares = np.array(np.moveaxis(scores, -1, 0), order="C")
    shares -= shares.max(axis=0)
    shares /= temperature
    np.exp(shares, out=shares)
    shares /= shares.sum(axis=0)
    return np.ascontiguousarray(np.moveaxis(shares, 0, -1))


def log_softmax(scores: NDArray[Any], temperature: float = 1.0) -> NDArray[Any]:
    """Returns logarithms of probabilities along the last axis, of the scores' own precision."""
    logs = np.array(np.moveaxis(scores, -1, 0), order="C")
    logs -= logs.max(axis=0)
    logs /= temperature
    logs -= np.log(np.exp(logs).sum(axis=0))
    return np.ascontiguousarray(np.moveaxis(logs, 0, -1))


def likely(scores: NDArray[Any], temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> NDArray[np.float64]:
    """Returns log-probabilities, with those that are too unlikely set to minus infinity; see `keep_likely`."""
    return log_softmax(keep_likely(scores, temperature, top_k, top_p))


def keep_likely(
    scores: NDArray[Any], temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> NDArray[np.float64]:
    """Returns log-probabilities up to a constant for each row, with those that are too unlikely set to minus infinity.

    Args:
        scores: floats (n, symbols), up to a constant for each row; minus infinity for what is not allowed.
        temperature: above 0; the scores are divided by it.
        top_k: keep so many of the likeliest symbols; 0 keeps all.
        top_p: keep the likeliest symbols that together have this probability (Holtzman 2020); 1 keeps all.

    Returns:
        float64 (n, symbols), the greatest of each row 0.
    """
    scaled = np.asarray(scores, np.float64)
    scaled = (scaled - scaled.max(axis=1, keepdims=True)) / temperature
    if top_k and top_k < scaled.shape[1]:
        least = np.partition(scaled, -top_k, axis=1)[:, -top_k, None]
        scaled = np.where(scaled < least, NEVER, scaled)
    if top_p < 1:
        order = np.argsort(-scaled, axis=1, kind="stable")
        chances = softmax(np.take_along_axis(scaled, order, axis=1))
        # A symbol stays where those before it do not suffice; the first always does.
        stays = np.empty(scaled.shape, np.bool_)
        np.put_along_axis(stays, order, chances.cumsum(axis=1) - chances < top_p, axis=1)
        scaled = np.where(stays, scaled, NEVER)
    return scaled


def pick(chances: NDArray[np.float64], uniforms: NDArray[np.float64]) -> NDArray[np.int64]:
    """Draws one symbol for each row.

    Args:
        chances: float64 (n, symbols), log-probabilities, minus infinity for never; or these less the greatest of the
            row, see `keep_likely`.
        uniforms: float64 (n,) in [0, 1).

    Returns:
        int64 (n,).
    """
    shares = np.exp(chances)
    sums = np.cumsum(shares, axis=1)
    # Strictly above, so that a symbol of probability 0 is not drawn by a uniform of 0; and none after the last one.
    drawn = (sums <= uniforms[:, None] * sums[:, -1:]).sum(axis=1)
    last = shares.shape[1] - 1 - (shares[:, ::-1] > 0).argmax(axis=1)
    return np.minimum(drawn, last)
