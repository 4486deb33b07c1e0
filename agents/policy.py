"""What PPO trains, whichever engine runs it: a policy that acts in batches of lanes and judges its steps again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution


@dataclass(frozen=True)
class Acted:
    """What a policy did in a batch of observations.

    Attributes:
        actions: int64 (n, choices), or float32 (n, numbers); `Policy.env_actions` turns them into the environment's.
        log_prob: float32 (n,), their log-probabilities.
        values: float32 (n,), the returns that are expected.
    """

    actions: Tensor
    log_prob: Tensor
    values: Tensor


@dataclass(frozen=True)
class Evaluated:
    """What a policy makes of steps that were taken, each of shape (rows,), or (rows, steps) where a row is a level.

    Attributes:
        log_prob: float32, the log-probabilities of the actions taken.
        values: float32, the returns that are expected.
        entropy: float32, of what the actions were drawn from.
    """

    log_prob: Tensor
    values: Tensor
    entropy: Tensor


class Policy(nn.Module, ABC):
    """A policy with a value.

    Learners keep what was done as rows: arrays by name with one first axis. `actions`, `log_prob`, `advantages` and
    `returns` are among them, and whatever else the policy's `evaluate` needs.
    """

    #: Whether a row is a whole level, step after step, with `real` telling which steps there are, and not one step.
    whole_levels = False

    @abstractmethod
    def act(
        self,
        observation: Mapping[str, Tensor],
        random: torch.Generator | None = None,
        deterministic: bool = False,
    ) -> Acted:
        """Acts in a batch of observations.

        Args:
            observation: the parts of the observation, (n, ...) each.
            random: the source of the draws, a generator of the CPU; None takes torch's own.
            deterministic: take the likeliest action instead of drawing one.
        """

    @abstractmethod
    def evaluate(self, rows: Mapping[str, Tensor]) -> Evaluated:
        """Judges steps that were taken by the weights as they are now, with gradients."""

    @abstractmethod
    def env_actions(self, actions: NDArray) -> NDArray:
        """Returns the environment's actions, for what `act` returned."""


def draw(distribution: Distribution, random: torch.Generator | None, deterministic: bool) -> Tensor:
    """Draws from a batch of categorical or normal distributions; see `Policy.act`.

    Draws are made by a random source of the CPU, so that they do not depend on the device.
    """
    if deterministic:
        return distribution.mode
    if isinstance(distribution, Categorical):
        chances = distribution.probs.detach()
        flat = chances.flatten(0, -2).float().cpu()
        return torch.multinomial(flat, 1, generator=random).view(chances.shape[:-1]).to(chances.device)
    mean, spread = distribution.mean.detach(), distribution.stddev.detach()
    return mean + spread * torch.randn(mean.shape, generator=random).to(mean.device)
