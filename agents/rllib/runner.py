"""RLlib's environment runner over the batched environment: arrays of steps and lanes, no object an episode."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.env import INPUT_ENV_SINGLE_SPACES, INPUT_ENV_SPACES
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner

from agents.policy import Policy
from agents.rollouts import Collector, Rollout, make_collector
from agents.tasks import Task
from agents.training import PPOConfig
from envs import UserError


@dataclass(frozen=True)
class Order:
    """What the driver asks of all runners.

    Attributes:
        state: the weights to act by, as RLlib's `set_state` takes them. They travel with the order, so that no rollout
            is by older ones, whatever happened to the runner.
        seed: fixes the draws of runners that begin now.
        settings: numbers that a training changes on its way; see `Collector.collect`.
    """

    state: Mapping[str, Any]
    seed: int
    settings: Mapping[str, float] = field(default_factory=dict)


def share(whole: int, parts: int, part: int) -> tuple[int, int]:
    """Returns the first one and the number of things that a part gets when they are dealt out evenly."""
    least, over = divmod(whole, parts)
    return part * least + min(part, over), least + (part < over)


class LanesRunner(SingleAgentEnvRunner):
    """Collects rollouts in its share of the lanes by `agents.rollouts`.

    The task and the settings are the `task` and the `ppo` of the environment's configuration.
    """

    module: Any
    _collector: Collector | None

    def __init__(self, *, config: AlgorithmConfig, **kwargs: Any) -> None:
        self._collector = None
        torch.set_num_threads(config.env_config["ppo"].threads)
        super().__init__(config=config, **kwargs)

    @property
    def policy(self) -> Policy:
        """The policy that acts here."""
        return self.module.policy

    def make_env(self) -> None:
        """Makes nothing but what the spaces are read from: a collector makes its own environment when it begins."""
        self._collector = None
        self.env = self.config.env_config["task"].make_env(1)
        self.num_envs = 1

    def get_spaces(self) -> dict[str, Any]:
        """Returns the spaces, whether this runner has an environment or not."""
        env = self.env or self.config.env_config["task"].make_env(1)
        single = (env.single_observation_space, env.single_action_space)
        return {
            INPUT_ENV_SPACES: (env.observation_space, env.action_space),
            INPUT_ENV_SINGLE_SPACES: single,
            DEFAULT_MODULE_ID: single,
        }

    def answer(self, order: Order) -> tuple[float, Rollout | Exception]:
        """Does what `collect` does, in another process than the driver's.

        What is wrong with the task is handed over, lest Ray take it for a failing machine and try again.
        """
        try:
            return self.collect(order)
        except UserError as error:
            return 0.0, error
        except Exception:
            return 0.0, RuntimeError(f"An environment runner failed:\n{traceback.format_exc()}")

    def collect(self, order: Order) -> tuple[float, Rollout]:
        """Takes over the weights, and acts by them.

        Returns:
            How many seconds it took, and the rollout.
        """
        began = time.perf_counter()
        self.set_state(dict(order.state))
        if self._collector is None:
            task: Task = self.config.env_config["task"]
            ppo: PPOConfig = self.config.env_config["ppo"]
            first, lanes = share(ppo.lanes, max(self.num_workers, 1), max((self.worker_index or 0) - 1, 0))
            self._collector = make_collector(task, self.policy, ppo, lanes, order.seed + first)
        rollout = self._collector.collect(**order.settings)
        return time.perf_counter() - began, rollout

    def sample(self, **kwargs: Any) -> Any:
        """Refuses: the driver calls `collect`."""
        raise NotImplementedError("Rollouts are ordered by collect().")

    def get_metrics(self) -> dict[str, Any]:
        """Returns nothing: rollouts carry what their episodes came to."""
        return {}

    def stop(self) -> None:
        """Drops the environment."""
        self._collector = None
        self.env = None
