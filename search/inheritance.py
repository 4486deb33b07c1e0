"""Weights that a network takes over from one of another size."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn


def inherit(network: nn.Module, weights: Mapping[str, NDArray], own: Collection[str] = ()) -> float:
    """Takes over what fits of another network's weights; all else stays as it was.

    An array of the same name and shape is taken whole. Where only the shapes differ, the first entries along every axis
    are taken, as many as both have. That is no net-to-net morphism (Chen 2016): the wider network computes something
    else at first, and where an axis is made of several (the gates of an LSTM, the cells of a window) what is taken does
    not stand where it stood.

    Args:
        network: what takes over; changed in place.
        weights: the other network's arrays, by the names of `network.state_dict`.
        own: names of arrays that are never taken.

    Returns:
        The share of the network's floating-point numbers that were taken, in [0, 1].
    """
    taken = total = 0
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name in own:
                continue
            learned = tensor.is_floating_point()
            total += tensor.numel() if learned else 0
            given = weights.get(name)
            if given is None or given.ndim != tensor.ndim or (given.dtype.kind == "f") != learned:
                continue
            if not learned and given.shape != tuple(tensor.shape):
                # Counters and indices mean nothing in part.
                continue
            both = tuple(slice(min(sizes)) for sizes in zip(given.shape, tensor.shape, strict=True))
            tensor[both] = torch.from_numpy(np.array(given[both])).to(tensor)
            taken += tensor[both].numel() if learned else 0
    return taken / total if total else 0.0
