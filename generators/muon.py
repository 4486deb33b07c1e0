"""Muon: momentum made orthogonal, an optimiser for the matrices inside a network (Jordan 2024)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

#: The coefficients of the Newton-Schulz step, from Jordan 2024: singular values end within about 0.7 to 1.2.
_QUINTIC = (3.4445, -4.7750, 2.0315)
_STEPS = 5


class Muon(torch.optim.Optimizer):
    """Each update is the momentum with all its singular values brought near 1.

    torch has a Muon of its own, which computes in bfloat16: on processors without such arithmetic that takes many
    times as long as the rest of a training step.

    Args:
        matrices: weights of two axes.
        lr: the root mean square of an update's numbers is about 0.2 times this, as large as AdamW's (Liu 2025).
        weight_decay: decoupled, as AdamW's.
        momentum: of Nesterov's kind.
    """

    def __init__(
        self, matrices: Iterable[Tensor], lr: float, weight_decay: float = 0.01, momentum: float = 0.95
    ) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        for group in self.param_groups:
            if any(matrix.ndim != 2 for matrix in group["params"]):
                raise ValueError("Muon updates matrices only.")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Makes one update; see `torch.optim.Optimizer.step`."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            rate, momentum = group["lr"], group["momentum"]
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(matrix)
                state["momentum"].lerp_(matrix.grad, 1 - momentum)
                update = orthogonal(matrix.grad.lerp(state["momentum"], momentum))
                matrix.mul_(1 - rate * group["weight_decay"])
                matrix.add_(update, alpha=-0.2 * rate * max(matrix.shape) ** 0.5)
        return loss


def orthogonal(matrix: Tensor) -> Tensor:
    """Returns the nearest matrix to one, (m, n), whose singular values are all near 1."""
    tall = matrix.shape[0] > matrix.shape[1]
    current = matrix.T if tall else matrix
    # With the Frobenius norm 1 no singular value is above 1.
    current = current / (current.norm() + 1e-7)
    first, third, fifth = _QUINTIC
    for _ in range(_STEPS):
        square = current @ current.T
        current = torch.addmm(
            current, torch.addmm(square, square, square, beta=third, alpha=fifth), current, beta=first
        )
    return current.T if tall else current
