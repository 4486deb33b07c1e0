"""The parts of a network that sampling calls, from tensors to tensors, and how torch runs them for a sampler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Graph:
    """A part of a network as sampling calls it.

    Attributes:
        call: from tensors to a tensor or some. All are (n, ...), but for inputs that are single numbers.
        inputs: the names of what goes in.
        outputs: the names of what comes out.
        kept: those of the outputs that are only handed on to the next call, and stay where the network is.
        rooms: those of the inputs whose third axis may have any length.
        slope: whether it is a slope, whose network must be run backwards.
    """

    call: Callable[..., Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    kept: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()
    slope: bool = False


class TorchNetworks:
    """Runs graphs by torch, where their network is; see `generators.sampler.Networks`.

    Args:
        network: whose graphs they are.
        graphs: by name.
    """

    def __init__(self, network: nn.Module, graphs: Mapping[str, Graph]) -> None:
        self._graphs = graphs
        # A search through a network's parameters takes longer than many a step of it.
        self._first = next(network.parameters())

    @property
    def _device(self) -> torch.device:
        return self._first.device

    def __call__(self, graph: str, *inputs: Any) -> tuple[Any, ...]:
        """Returns what a graph makes of arrays and of what is handed on."""
        part, device = self._graphs[graph], self._device
        with torch.no_grad():
            found = part.call(*(tensor_of(given).to(device) for given in inputs))
        outputs = found if isinstance(found, tuple) else (found,)
        return tuple(
            output if name in part.kept else output.cpu().numpy()
            for name, output in zip(part.outputs, outputs, strict=True)
        )

    def zeros(self, *shape: int) -> Tensor:
        """Returns numbers 0 where the network is."""
        return torch.zeros(shape, device=self._device)


def tensor_of(given: Any) -> Tensor:
    """Returns an array as a tensor that may share its memory; tensors as they are."""
    return given if isinstance(given, Tensor) else torch.from_numpy(np.require(given, requirements=("C", "W")))


def misfit(logits: Tensor, wanted: Tensor) -> Tensor:
    """Returns how unlikely wanted tiles are, in nats for each level, (n,).

    Args:
        logits: float32 (n, cells, tiles).
        wanted: int64 (n, cells), -1 where any tile will do.
    """
    logs = functional.log_softmax(logits, dim=2).gather(2, wanted.clamp(min=0)[..., None])[..., 0]
    return -torch.where(wanted >= 0, logs, 0.0).sum(dim=1)


def slope_of(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Returns a function from what a loss takes to its slope along the first of these, the losses of levels summed."""

    def slope(point: Tensor, *others: Tensor) -> Tensor:
        with torch.enable_grad():
            moved = point.detach().requires_grad_()
            (found,) = torch.autograd.grad(loss(moved, *others).sum(), moved)
        return found

    return slope
