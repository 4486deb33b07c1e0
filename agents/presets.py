"""Training settings that were measured to work, where the command line starts from (docs/training.md says how)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agents.networks import NetworkConfig
from agents.rewards import RewardConfig
from agents.training import PPOConfig


@dataclass(frozen=True)
class Preset:
    """Settings that were measured to work together.

    Attributes:
        ppo: how to train.
        network: the network's shape.
        environment: environment options that suit them.
        reward: what the learner is paid.
    """

    ppo: PPOConfig = field(default_factory=PPOConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    environment: dict[str, Any] = field(default_factory=dict)
    reward: RewardConfig = field(default_factory=RewardConfig)


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


def finetuning_preset(representation: str) -> Preset:
    """Returns the settings for training a pretrained generator further.

    Args:
        representation: sequence or latent.
    """
    if representation == "sequence":
        # A lane writes a whole level, and a gradient step is on so many levels. What a level is worth is known at its
        # end, and its length is bounded: nothing is discounted.
        return Preset(
            PPOConfig(
                lanes=128, batch=32, epochs=2, learning_rate=5e-4, gamma=1.0, gae_lambda=0.98, entropy=0.0, rollout=1
            ),
            reward=RewardConfig(scale=0.0, bonus=1.0, goal="playable", novelty=1.0, reach=0.3, kl=0.05),
        )
    return Preset(
        PPOConfig(lanes=128, rollout=16, batch=512, epochs=4, learning_rate=1e-3, gamma=0.98, entropy=0.0),
        NetworkConfig(kind="mlp", width=256),
        reward=RewardConfig(scale=0.05, bonus=1.0, goal="playable", novelty=0.5),
    )
