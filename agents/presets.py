"""Training settings that were measured to work, where the command line starts from (docs/training.md says how)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agents.networks import NetworkConfig
from agents.training import PPOConfig


@dataclass(frozen=True)
class Preset:
    """Settings that were measured to work together.

    Attributes:
        ppo: how to train.
        network: the network's shape.
        environment: environment options that suit them.
    """

    ppo: PPOConfig = field(default_factory=PPOConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    environment: dict[str, Any] = field(default_factory=dict)


def preset(representation: str, *, look_ahead: bool, axes: int = 2) -> Preset:
    """Returns the settings for a kind of designer.

    Args:
        representation: the representation's name.
        look_ahead: whether the designer sees what each action would improve.
        axes: how many axes the levels have.
    """
    if not look_ahead:
        return Preset()
    if representation == "wide":
        # Hundreds of options are looked at before each step: few lanes, and gradient steps on few samples.
        return Preset(
            PPOConfig(lanes=64, rollout=32, batch=512, epochs=3, learning_rate=3e-3, gamma=0.95),
            NetworkConfig(channels=8, width=128),
        )
    return Preset(network=NetworkConfig(channels=32, width=128), environment={"crop": [9] * axes})
