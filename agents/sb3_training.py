"""PPO by Stable-Baselines3."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from agents.level_rollouts import LevelCollector
from agents.policy import Policy
from agents.sb3 import DesignerPolicy, SB3VecEnv
from agents.sb3_levels import LevelPPO
from agents.sequence import SequencePolicy
from agents.tasks import Task
from agents.training import Books, PPOConfig, Trainer

#: The learner's own figures by Stable-Baselines3's names.
_LOSSES = {"entropy_loss": "entropy", "value_loss": "value_loss", "approx_kl": "approx_kl"}


class SB3Trainer(Trainer):
    """A designer's training by Stable-Baselines3; see `Trainer`."""

    def __init__(self, task: Task, ppo: PPOConfig, folder: Path, *, seed: int = 0, device: str = "cpu") -> None:
        super().__init__(task, ppo, folder, seed=seed, device=device)
        policy = task.make_policy(seed).to(device)
        settings: dict[str, Any] = {
            # Stable-Baselines3's own count of what remains knows nothing of minutes.
            "learning_rate": lambda _: self.learning_rate(),
            "n_epochs": ppo.epochs,
            "gamma": ppo.gamma,
            "gae_lambda": ppo.gae_lambda,
            "ent_coef": ppo.entropy,
            "clip_range": ppo.clip,
            "vf_coef": ppo.value_weight,
            "policy_kwargs": {"network": policy},
            "seed": seed,
            "device": device,
        }
        self._ended: list[dict[str, NDArray]] = []
        if isinstance(policy, SequencePolicy):
            collector = LevelCollector(task, policy, ppo, ppo.lanes, seed)
            self._figures = collector.figures
            spaces = SB3VecEnv(task.make_env(1, "SameStep"))
            self.algorithm: PPO = LevelPPO(collector, self.price, self._ended.append, spaces, ppo.batch, settings)
        else:
            self.vec_env = _LearnersEnv(task, ppo, self._ended.append)
            self._figures = self.vec_env.figures
            batch = min(ppo.batch, ppo.rollout * ppo.lanes)
            with warnings.catch_warnings():
                # A search draws batches that do not divide what was gathered; the last one is smaller then.
                warnings.filterwarnings("ignore", message="You have specified a mini-batch size")
                self.algorithm = PPO(DesignerPolicy, self.vec_env, n_steps=ppo.rollout, batch_size=batch, **settings)

    @property
    def policy(self) -> Policy:
        """The policy as trained so far."""
        return cast("DesignerPolicy", self.algorithm.policy).network

    @property
    def figures(self) -> tuple[str, ...]:
        """The names of what episodes come to."""
        return self._figures

    def state(self) -> dict[str, Any]:
        """Returns the weights and the optimiser's state."""
        return {
            "policy": self.policy.state_dict(),
            "optimizer": self.algorithm.policy.optimizer.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state` returned."""
        self.policy.load_state_dict(state["policy"])
        self.algorithm.policy.optimizer.load_state_dict(state["optimizer"])

    def run(self, books: Books) -> None:
        """Trains until the limit."""
        self.algorithm.num_timesteps = self.progress.steps
        # Whatever was drawn since the trainer was made, equal seeds give equal results; a training that goes on makes
        # new draws, not those of the beginning over again.
        self.algorithm.set_random_seed(self.draws_seed())
        # It keeps Stable-Baselines3's figures, which the books are told, and writes nothing.
        self.algorithm.set_logger(Logger(None, []))
        with suppress(_Finished):
            callback = _Callback(self, books, self._ended)
            self.algorithm.learn(2**62, callback=callback, reset_num_timesteps=False)


class _LearnersEnv(SB3VecEnv):
    """The environment with the learner's own reward."""

    def __init__(self, task: Task, ppo: PPOConfig, tell: Callable[[dict[str, NDArray]], None]) -> None:
        super().__init__(task.make_env(ppo.lanes, "SameStep"))
        self._tell = tell
        self._reward = task.make_reward()
        named = ("success", "strict_success", "changes", "length", "return")
        self.figures = (*self.batch.metric_names, *named, *self._reward.figures)

    def step_wait(self) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, list[dict[str, Any]]]:
        observations, rewards, done, infos = super().step_wait()
        paid, worth = self._reward(rewards, done, self.ended, self.batch.final_levels)
        if self.ended:
            self._tell({**self.ended, **worth})
        return observations, paid, done, infos


class _Callback(BaseCallback):
    """Tells the books what happens."""

    def __init__(self, trainer: SB3Trainer, books: Books, ended: list[dict[str, NDArray]]) -> None:
        super().__init__()
        self._trainer = trainer
        self._books = books
        self._ended = ended

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        """Called between an update and the next rollout: the moment at which the books are straight."""
        # Stable-Baselines3 calls this before the first update too.
        if self.num_timesteps > self._trainer.progress.steps:
            for outcomes in self._ended:
                self._books.ended(outcomes)
            self._ended.clear()
            self._books.updated(self.num_timesteps, self._losses())
        if self._trainer.share_done() >= 1:
            raise _Finished

    def _losses(self) -> dict[str, float]:
        """Returns Stable-Baselines3's figures of the update, those of metrics.csv by our names."""
        found = {name: float(value) for name, value in self.logger.name_to_value.items() if name.startswith("train/")}
        ours = {name: abs(found.pop(f"train/{theirs}", math.nan)) for theirs, name in _LOSSES.items()}
        return {**ours, **found}


class _Finished(Exception):  # noqa: N818 (it is no error)
    """Ends Stable-Baselines3's loop at the limit."""
