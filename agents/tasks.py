"""What a training is about, as data that any process can make the same environment, policy and reward from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agents.networks import DesignerNetwork, Interface, NetworkConfig
from agents.policy import Policy
from agents.rewards import LearnersReward, LevelTerm, Novelty, RewardConfig
from envs.vector_env import DesignVectorEnv


@dataclass(frozen=True)
class Task:
    """A design task for a learner. It can be pickled, and sent to other processes and machines.

    Attributes:
        environment: what `DesignVectorEnv` is given: problem, representation and options; plain data.
        network: the shape of a designer's network.
        reward: what the learner is paid.
        known: uint8 (k, *shape), levels that are not new to anybody; None for none.
    """

    environment: Mapping[str, Any]
    network: NetworkConfig = field(default_factory=NetworkConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    known: NDArray[np.uint8] | None = None

    def make_env(self, num_envs: int, autoreset_mode: str = "NextStep") -> DesignVectorEnv:
        """Makes the batched environment."""
        return DesignVectorEnv(num_envs=num_envs, autoreset_mode=autoreset_mode, **self.environment)

    @cached_property
    def interface(self) -> Interface:
        """What goes into and comes out of a designer's network."""
        return Interface.of(self.make_env(1))

    def make_policy(self, seed: int) -> Policy:
        """Makes the policy with its first weights, which follow from the seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return DesignerNetwork(self.interface, self.network)

    def make_reward(self) -> LearnersReward:
        """Makes what pays the learner of one process."""
        terms: dict[str, tuple[float, LevelTerm]] = {}
        if self.reward.novelty:
            terms["novelty"] = (self.reward.novelty, Novelty(self.reward.reach, self.known, self.reward.memory))
        return LearnersReward(self.reward, terms)
