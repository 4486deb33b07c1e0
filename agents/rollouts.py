"""Rollouts: what policies do in the batched environment, collected as rows of arrays that PPO learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from agents.policy import Policy
from agents.ppo import advantages
from agents.tasks import Task
from agents.training import PPOConfig

#: What rows call the parts of an observation.
OBSERVATION = "observation."

#: What ended episodes come to, beside the problem's metrics.
_OUTCOMES = ("success", "strict_success", "changes")


@dataclass(frozen=True)
class Rollout:
    """What a policy did between two updates.

    Attributes:
        rows: arrays by name with one first axis; see `agents.policy.Policy`.
        steps: how many steps of the environment they took.
        outcomes: what the episodes that ended came to, by name, one number an episode; "return" and "length" are among
            them.
    """

    rows: dict[str, NDArray]
    steps: int
    outcomes: dict[str, NDArray]

    @classmethod
    def joined(cls, rollouts: Sequence[Rollout]) -> Rollout:
        """Puts one rollout or more one behind another; where rows are of different length, they end in zeros."""
        if len(rollouts) == 1:
            return rollouts[0]
        return cls(
            {name: _joined([one.rows[name] for one in rollouts]) for name in rollouts[0].rows},
            sum(one.steps for one in rollouts),
            {name: np.concatenate([one.outcomes[name] for one in rollouts]) for name in rollouts[0].outcomes},
        )


def _joined(parts: Sequence[NDArray]) -> NDArray:
    shape = tuple(max(sizes) for sizes in zip(*(part.shape[1:] for part in parts), strict=True))
    joined = np.zeros((sum(map(len, parts)), *shape), parts[0].dtype)
    first = 0
    for part in parts:
        joined[(slice(first, first + len(part)), *map(slice, part.shape[1:]))] = part
        first += len(part)
    return joined


class Collector(Protocol):
    """Lets a policy act, and collects what comes of it."""

    #: The names of what episodes come to.
    figures: tuple[str, ...]

    def collect(self, *args: Any, **settings: Any) -> Rollout:
        """Acts by the policy's weights as they are now; settings are numbers that a training changes on its way."""


def make_collector(task: Task, policy: Policy, ppo: PPOConfig, lanes: int, seed: int) -> Collector:
    """Makes what collects rollouts for a kind of policy.

    Args:
        task: environment and reward.
        policy: what acts.
        ppo: how many steps make a rollout, and how rewards are shared out among them.
        lanes: how many levels are designed side by side.
        seed: fixes start levels and draws.
    """
    if policy.whole_levels:
        from agents.level_rollouts import LevelCollector  # noqa: PLC0415 (it imports this module)
        from agents.sequence import SequencePolicy  # noqa: PLC0415

        assert isinstance(policy, SequencePolicy)
        return LevelCollector(task, policy, ppo, lanes, seed)
    return StepCollector(task, policy, ppo, lanes, seed)


class StepCollector:
    """Collects rollouts step by step, all lanes of the environment at once.

    Episodes go on from one rollout to the next. The step in which a lane begins anew is nobody's, and not in the rows.
    Episodes that the limit on steps cut off are worth what the policy expected of going on.

    Args:
        task: environment and reward.
        policy: what acts.
        ppo: how many steps make a rollout, and how rewards are shared out among them.
        lanes: how many levels are designed side by side.
        seed: lane i begins with the stream of seed + i; actions are drawn from a generator of this seed.
    """

    def __init__(self, task: Task, policy: Policy, ppo: PPOConfig, lanes: int, seed: int) -> None:
        self._policy = policy
        self._ppo = ppo
        self._env = task.make_env(lanes)
        self._reward = task.make_reward()
        self._random = torch.Generator().manual_seed(seed)
        self._observation, _ = self._env.reset(seed=seed)
        self._resting = np.zeros(lanes, np.bool_)
        self._returns = np.zeros(lanes)
        #: The names of what episodes come to.
        self.figures = (*self._env.metric_names, *_OUTCOMES, "length", "return", *self._reward.figures)

    @torch.no_grad()
    def collect(self, **settings: float) -> Rollout:
        """Acts for as many steps as a rollout has.

        Returns:
            Rows of steps: `observation.NAME`, `actions`, `log_prob`, `advantages` and `returns`, the steps of all lanes
            one after another.

        Raises:
            TypeError: a setting was given; acting step by step knows none.
        """
        if settings:
            raise TypeError(f"Acting step by step has no settings; got {', '.join(settings)}.")
        steps, lanes = self._ppo.rollout, self._env.num_envs
        parts: dict[str, NDArray] = {}
        acted = np.empty((steps, lanes), np.bool_)
        ended, cut = np.empty((2, steps, lanes), np.bool_)
        rewards = np.empty((steps, lanes))
        outcomes: list[dict[str, NDArray]] = []
        for step in range(steps):
            observation = self._observation
            found = self._policy.act(_tensors(observation), self._random)
            chosen = found.actions.numpy()
            content = {OBSERVATION + name: part for name, part in observation.items()}
            content |= {"actions": chosen, "log_prob": found.log_prob.numpy(), "values": found.values.numpy()}
            for name, part in content.items():
                if name not in parts:
                    parts[name] = np.empty((steps, *part.shape), part.dtype)
                parts[name][step] = part
            acted[step] = ~self._resting
            self._observation, paid, terminations, truncations, infos = self._env.step(self._policy.env_actions(chosen))
            ended[step] = terminations | truncations
            cut[step] = truncations & ~terminations
            self._returns += paid
            rewards[step] = self._pay(paid, ended[step], infos, outcomes)
            self._resting = ended[step]
        return self._rows(parts, rewards, acted, ended, cut, outcomes)

    def _pay(
        self, paid: NDArray[np.float64], ended: NDArray[np.bool_], infos: Mapping[str, NDArray], outcomes: list[dict]
    ) -> NDArray[np.float64]:
        """Returns the learner's rewards of a step, and notes what the episodes that ended came to."""
        lanes = ended.nonzero()[0]
        if not len(lanes):
            return self._reward(paid, ended, {}, None)[0]
        come_to = {name: infos[name][lanes] for name in (*self._env.metric_names, *_OUTCOMES)}
        # Until the next step the environment holds the levels that episodes ended with.
        levels = self._env.levels[lanes] if self._reward.figures else None
        rewards, worth = self._reward(paid, ended, come_to, levels)
        outcomes.append(come_to | {"length": infos["steps"][lanes], "return": self._returns[lanes], **worth})
        self._returns[lanes] = 0
        return rewards

    def _rows(
        self,
        parts: dict[str, NDArray],
        rewards: NDArray[np.float64],
        acted: NDArray[np.bool_],
        ended: NDArray[np.bool_],
        cut: NDArray[np.bool_],
        outcomes: list[dict[str, NDArray]],
    ) -> Rollout:
        values = parts.pop("values")
        last_values = self._policy.act(_tensors(self._observation), deterministic=True).values.numpy()
        # What is observed after an end is the level that the episode ended with.
        following = np.concatenate([values[1:], last_values[None]])
        rewards += self._ppo.gamma * following * cut
        gains = advantages(rewards, values, ended, last_values, self._ppo.gamma, self._ppo.gae_lambda)
        parts["advantages"] = gains
        parts["returns"] = gains + values
        rows = {name: part[acted] for name, part in parts.items()}
        come_to = {name: np.concatenate([np.zeros(0), *(one[name] for one in outcomes)]) for name in self.figures}
        return Rollout(rows, int(acted.sum()), come_to)


def _tensors(observation: Mapping[str, NDArray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(part) for name, part in observation.items()}
