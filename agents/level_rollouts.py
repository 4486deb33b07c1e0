"""Rollouts of policies that write whole levels: all lanes from the first decision to the last."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from agents.ppo import advantages
from agents.rollouts import Rollout
from agents.sequence import SequencePolicy
from agents.tasks import Task
from agents.training import PPOConfig


class LevelCollector:
    """Has a policy write a batch of levels, and pays it for them.

    Args:
        task: the environment and the reward.
        policy: what writes.
        ppo: the discount of rewards.
        lanes: how many levels are written side by side.
        seed: of the environment and the policy's draws.
    """

    def __init__(self, task: Task, policy: SequencePolicy, ppo: PPOConfig, lanes: int, seed: int) -> None:
        self._policy = policy
        self._ppo = ppo
        self._env = task.make_env(lanes)
        self._reward = task.make_reward()
        self._random = torch.Generator().manual_seed(seed)
        self._seed: int | None = seed
        #: The names of what episodes come to.
        self.figures = (
            *self._env.metric_names,
            *("success", "strict_success", "changes", "length", "return", "kl"),
            *self._reward.figures,
        )

    def seed(self, seed: int) -> None:
        """Fixes all draws from here on."""
        self._seed = seed
        self._random.manual_seed(seed)

    def collect(self, kl_weight: float = 0.0) -> Rollout:
        """Writes a level in every lane.

        Args:
            kl_weight: what a nat of divergence from the pretrained model costs. Each decision is charged what it alone
                adds: log p - log q of the symbol decided (Ziegler 2019).

        Returns:
            Rows of whole levels, the environment's steps, and what the levels came to.
        """
        env, policy, lanes = self._env, self._policy, self._env.num_envs
        policy.eval()
        observation, _ = env.reset(seed=self._seed)
        self._seed = None
        going = np.ones(lanes, np.bool_)
        steps: dict[str, list[np.ndarray]] = {name: [] for name in ("actions", "log_prob", "values", "rewards", "real")}
        outcomes: dict[str, np.ndarray] = {}
        while going.any():
            tensors = {name: torch.as_tensor(part, device=policy.device) for name, part in observation.items()}
            acted = policy.act(tensors, self._random)
            actions = acted.actions.cpu().numpy()
            observation, rewards, terminations, truncations, infos = env.step(policy.env_actions(actions))
            ended = (terminations | truncations) & going
            found = {name: infos[name][ended] for name in infos if name[0] != "_"}
            paid, worth = self._reward(rewards * going, ended, found, env.levels[ended])
            log_prob, values = acted.log_prob.cpu().numpy(), acted.values.cpu().numpy()
            for name, column in zip(steps, (actions[:, 0], log_prob, values, paid, going), strict=True):
                steps[name].append(column.copy())
            for name, column in {**found, **worth}.items():
                outcomes.setdefault(name, np.zeros(lanes))[ended] = column
            going &= ~ended
        stacked = {name: np.stack(columns) for name, columns in steps.items()}
        return self._judge(stacked, outcomes, kl_weight)

    def _judge(self, steps: dict[str, np.ndarray], outcomes: dict[str, np.ndarray], kl_weight: float) -> Rollout:
        """Returns the rollout of steps, (steps, lanes) each."""
        real = steps["real"]
        rows: dict[str, Any] = self._policy.rows()
        rows["actions"] = steps["actions"].T
        tensors = {name: torch.as_tensor(part, device=self._policy.device) for name, part in rows.items()}
        reference = self._policy.reference_log_prob(tensors).cpu().numpy().T
        divergence = np.where(real, steps["log_prob"] - reference, 0.0)
        rewards = np.where(real, steps["rewards"] - kl_weight * divergence, 0.0)
        ended = np.zeros_like(real)
        ended[:-1] = real[:-1] & ~real[1:]
        ended[-1] = real[-1]
        gains = advantages(
            rewards, steps["values"], ended, np.zeros(len(real[0])), self._ppo.gamma, self._ppo.gae_lambda
        )
        rows |= {
            "log_prob": steps["log_prob"].T,
            "advantages": gains.T,
            "returns": (gains + steps["values"]).T.astype(np.float32),
        }
        outcomes["length"] = outcomes.pop("steps")
        outcomes["return"] = rewards.sum(axis=0)
        outcomes["kl"] = divergence.sum(axis=0)
        rows = {name: np.ascontiguousarray(part) for name, part in rows.items()}
        return Rollout(rows, int(real.sum()), outcomes)
