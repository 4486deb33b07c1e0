"""Stable-Baselines3's PPO for policies that write whole levels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import DictRolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import DictRolloutBufferSamples
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from agents.level_rollouts import LevelCollector
from agents.rewards import DivergencePrice
from agents.sb3 import DesignerPolicy, SB3VecEnv


class LevelPolicy(DesignerPolicy):
    """Stable-Baselines3's view of a policy that judges whole levels."""

    def evaluate_actions(self, obs: Any, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Returns values, log probabilities and entropies of all decisions of a batch of levels, one after another."""
        found = self.network.evaluate(obs)
        real = obs["real"].bool()
        return found.values[real], found.log_prob[real], found.entropy[real]


class LevelBuffer(DictRolloutBuffer):
    """Levels that were written between two updates; a batch is so many levels, never a part of one."""

    rows: Mapping[str, NDArray]
    random: np.random.Generator

    def get(self, batch_size: int | None = None) -> Iterator[DictRolloutBufferSamples]:  # type: ignore[override]
        """Yields the levels in batches of so many, in random order."""
        count = len(self.rows["real"])
        order = self.random.permutation(count)
        for first in range(0, count, batch_size or count):
            chosen = order[first : first + (batch_size or count)]
            rows = {name: torch.as_tensor(part[chosen], device=self.device) for name, part in self.rows.items()}
            # What only fills up the batch's longest level is left out.
            longest = int(rows["real"].sum(dim=1).max())
            rows = {name: part if name == "asked" else part[:, :longest] for name, part in rows.items()}
            real = rows["real"].bool()
            picked = {name: rows[name][real] for name in ("actions", "log_prob", "advantages", "returns")}
            yield DictRolloutBufferSamples(
                observations=rows,
                actions=picked["actions"],
                old_values=picked["returns"] - picked["advantages"],
                old_log_prob=picked["log_prob"],
                advantages=picked["advantages"],
                returns=picked["returns"],
            )


class LevelPPO(PPO):
    """PPO on whole levels.

    Args:
        collector: what has the policy write levels.
        price: what divergence from the pretrained model costs; it is told the divergence of every update.
        ended: called with what the levels of each rollout came to.
        env: an environment of one lane, for its spaces.
        batch: levels in a gradient step.
        settings: PPO's own.
    """

    rollout_buffer: LevelBuffer

    def __init__(
        self,
        collector: LevelCollector,
        price: DivergencePrice,
        ended: Callable[[dict[str, NDArray]], None],
        env: SB3VecEnv,
        batch: int,
        settings: Mapping[str, Any],
    ) -> None:
        self._collector = collector
        self._price = price
        self._ended = ended
        # One lane's two steps are the least that Stable-Baselines3 accepts; levels are as long as they are.
        super().__init__(LevelPolicy, env, n_steps=2, batch_size=2, rollout_buffer_class=LevelBuffer, **settings)
        self.batch_size = batch
        self.rollout_buffer.random = np.random.default_rng(self.seed)

    def set_random_seed(self, seed: int | None = None) -> None:
        """Fixes all draws from here on."""
        super().set_random_seed(seed)
        if seed is not None:
            self._collector.seed(seed)

    def collect_rollouts(self, env: VecEnv, callback: BaseCallback, rollout_buffer: Any, n_rollout_steps: int) -> bool:
        """Has a level written in every lane of the collector."""
        callback.on_rollout_start()
        rollout = self._collector.collect(kl_weight=self._price.weight)
        self._price.observe(float(rollout.outcomes["kl"].mean()))
        self._ended(rollout.outcomes)
        self.num_timesteps += rollout.steps
        # Callbacks count the steps that they are told of.
        callback.on_step()
        rollout_buffer.rows = rollout.rows
        # Stable-Baselines3 reports how much of the returns the values explain.
        real = rollout.rows["real"]
        rollout_buffer.returns = rollout.rows["returns"][real]
        rollout_buffer.values = rollout_buffer.returns - rollout.rows["advantages"][real]
        callback.on_rollout_end()
        return True
