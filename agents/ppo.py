"""Proximal policy optimisation (Schulman 2017): advantages, and the loss of a batch of rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.policy import Policy
from agents.training import PPOConfig


def advantages(
    rewards: NDArray[np.floating],
    values: NDArray[np.floating],
    ended: NDArray[np.bool_],
    last_values: NDArray[np.floating],
    gamma: float,
    gae_lambda: float,
) -> NDArray[np.float32]:
    """Returns generalised advantage estimates (Schulman 2016).

    Args:
        rewards: (steps, lanes).
        values: (steps, lanes), the returns that were expected before each step.
        ended: bool (steps, lanes), whether the step ended its episode, which is worth nothing from there on.
        last_values: (lanes,), the returns that are expected after the last step.
        gamma: discount.
        gae_lambda: how far an advantage looks past the next step's value.

    Returns:
        float32 (steps, lanes).
    """
    found = np.zeros(rewards.shape, np.float32)
    following = np.asarray(last_values, np.float32)
    so_far = np.zeros(rewards.shape[1], np.float32)
    for step in reversed(range(len(rewards))):
        goes_on = ~ended[step]
        delta = rewards[step] + gamma * following * goes_on - values[step]
        so_far = delta + gamma * gae_lambda * so_far * goes_on
        found[step] = so_far
        following = values[step]
    return found


def loss(policy: Policy, rows: Mapping[str, Tensor], settings: PPOConfig) -> tuple[Tensor, dict[str, Tensor]]:
    """Returns the clipped loss of a batch of rows, and figures of it.

    Args:
        policy: what is trained.
        rows: see `Policy`: what its `evaluate` needs, and `log_prob`, `advantages`, `returns` and, where a row is a
            whole level, `real`.
        settings: how much of a change is clipped, and what the parts of the loss weigh.

    Returns:
        A scalar, and the scalars "entropy", "value_loss" and "approx_kl" (Schulman 2020).
    """
    found = policy.evaluate(rows)
    real = rows["real"].bool() if policy.whole_levels else torch.ones_like(found.log_prob, dtype=torch.bool)
    gain = rows["advantages"][real]
    gain = (gain - gain.mean()) / (gain.std(correction=0) + 1e-8)
    change = (found.log_prob - rows["log_prob"])[real]
    ratio = change.exp()
    clipped = ratio.clamp(1 - settings.clip, 1 + settings.clip)
    policy_loss = -torch.min(gain * ratio, gain * clipped).mean()
    value_loss = (found.values - rows["returns"])[real].square().mean()
    entropy = found.entropy[real].mean()
    total = policy_loss + settings.value_weight * value_loss - settings.entropy * entropy
    with torch.no_grad():
        approx_kl = (ratio - 1 - change).mean()
    return total, {"entropy": entropy.detach(), "value_loss": value_loss.detach(), "approx_kl": approx_kl}
