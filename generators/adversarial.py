"""What adversarial generators share: discrete levels that gradients pass through, critics, and their penalties."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from envs import UserError
from envs.problem import Shape

#: The slope of leaky rectifiers below zero (Radford 2016).
SLOPE = 0.2


def one_hot(levels: Tensor, tiles: int) -> Tensor:
    """Returns levels, int64 (b, *shape), as float32 (b, tiles, *shape) of noughts and ones."""
    return functional.one_hot(levels, tiles).movedim(-1, 1).float()


def straight_through(logits: Tensor, temperature: float, random: torch.Generator) -> Tensor:
    """Draws tiles that gradients pass through: the straight-through Gumbel softmax (Jang 2017).

    Args:
        logits: float32 (b, tiles, *shape).
        temperature: of the softmax that the gradient is taken of, above 0. What is drawn does not depend on it.
        random: the source of the draws, a generator of the CPU.

    Returns:
        float32 (b, tiles, *shape) of noughts and ones, drawn from the softmax of the logits.
    """
    noise = -torch.empty(logits.shape).exponential_(generator=random).clamp_min_(1e-20).log_().to(logits.device)
    soft = ((logits + noise) / temperature).softmax(dim=1)
    hard = one_hot(soft.detach().argmax(dim=1), soft.shape[1])
    return hard + (soft - soft.detach())


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, random: torch.Generator) -> Tensor:
    """Returns how far the slope of a critic is from 1 between real and fake levels (Gulrajani 2017).

    Args:
        critic: from float32 (b, tiles, *shape) to float32 (b,).
        real: float32 (b, tiles, *shape).
        fake: of the same shape.
        random: the source of the draws, a generator of the CPU.

    Returns:
        The mean of (norm of the gradient - 1) squared over levels drawn evenly between each real and its fake one.
    """
    places = torch.rand(len(real), generator=random).to(real).view(-1, *[1] * (real.ndim - 1))
    between = torch.lerp(real.detach(), fake.detach(), places).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    # The least summand keeps the square root's own slope finite where the critic is flat.
    return ((gradient.flatten(1).square().sum(dim=1) + 1e-12).sqrt() - 1).square().mean()


def real_penalty(critic: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """Returns half the mean squared norm of a critic's gradient on real levels (R1 of Mescheder 2018).

    Args:
        critic: from float32 (b, tiles, *shape) to float32 (b,).
        real: float32 (b, tiles, *shape).
    """
    place = real.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(place).sum(), place, create_graph=True)
    return gradient.flatten(1).square().sum(dim=1).mean() / 2


class Critic(nn.Module):
    """Tells real levels from generated ones: convolutions that halve the map, then dense layers (Radford 2016).

    It is shown besides how many of each tile a level has, without which it takes long to notice a second player, and
    how much the levels of a batch differ (minibatch standard deviation, Karras 2018), without which generators give
    a few levels again and again. A condition acts by projection (Miyato 2018). It has no normalisation, for a penalty
    on its gradient asks that each level be judged by itself (Gulrajani 2017).

    Args:
        tiles: how many kinds of tiles there are.
        shape: the shape (height, width) of a level, any sizes of at least 1.
        condition_size: how long the vector of a condition is; 0 where nothing is asked.
        channels: of the first convolution; each further one has twice as many.
        features: of the dense layers.
        halvings: how many convolutions halve the map, at most; after the first they end where a side is less than 4.
        deviation: whether it is shown how much the levels of a batch differ.
    """

    def __init__(
        self,
        tiles: int,
        shape: Shape,
        condition_size: int = 0,
        channels: int = 64,
        features: int = 128,
        halvings: int = 2,
        deviation: bool = True,
    ) -> None:
        super().__init__()
        if len(shape) != 2:
            raise UserError(f"This critic judges levels of two axes; got the shape {shape}.")
        self.deviation = deviation
        layers: list[nn.Module] = []
        before, width, sides = tiles, channels, list(shape)
        for _ in range(halvings):
            if min(sides) < (2 if not layers else 4):
                break
            # Windows of 4 at a stride of 2: each patch of 3x3 tiles lies whole in one of them.
            layers += [nn.Conv2d(before, width, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
            before, width, sides = width, 2 * width, [side // 2 for side in sides]
        if not layers:
            layers, before = [nn.Conv2d(tiles, channels, 3, padding=1), nn.LeakyReLU(SLOPE)], channels
        self.body = nn.Sequential(*layers)
        size = before * sides[0] * sides[1] + tiles + int(deviation)
        self.head = nn.Sequential(
            nn.Linear(size, features), nn.LeakyReLU(SLOPE), nn.Linear(features, features), nn.LeakyReLU(SLOPE)
        )
        self.score = nn.Linear(features, 1)
        self.projection = nn.Linear(condition_size, features, bias=False) if condition_size else None

    def forward(self, levels: Tensor, condition: Tensor | None = None) -> Tensor:
        """Scores levels; the more real, the more.

        Args:
            levels: float32 (b, tiles, height, width), one-hot or between such.
            condition: float32 (b, condition_size); None where nothing can be asked.

        Returns:
            float32 (b,).
        """
        seen = self.body(levels)
        # Scaled so that the slope of a count, over all cells, has the norm 1.
        counts = levels.sum(dim=(2, 3)) / math.sqrt(levels[0, 0].numel())
        parts = [seen.flatten(1), counts]
        if self.deviation:
            spread = (seen.var(dim=0, unbiased=False) + 1e-8).sqrt().mean()
            parts.append(spread.expand(len(levels), 1))
        features = self.head(torch.cat(parts, dim=1))
        scores = self.score(features).squeeze(1)
        if self.projection is not None and condition is not None:
            scores = scores + (self.projection(condition) * features).sum(dim=1)
        return scores
