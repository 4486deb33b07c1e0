"""Trains designers by PPO (Schulman 2017) with Stable-Baselines3, with checkpoints that a later process resumes."""

from __future__ import annotations

import io
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure

from agents.designer import PolicyDesigner
from agents.networks import Interface, NetworkConfig
from agents.sb3 import DesignerPolicy, SB3VecEnv
from envs import UserError
from envs.files import write_atomically
from envs.records import MetricsLog
from envs.vector_env import DesignVectorEnv
from generators.devices import check_device

#: Where a run folder keeps what a resumed training needs.
CHECKPOINT_FILE = "checkpoint.pt"
METRICS_FILE = "metrics.csv"
TENSORBOARD_FOLDER = "tensorboard"

#: The learner's own figures in metrics.csv, by Stable-Baselines3's names.
_LOSSES = {"entropy_loss": "entropy", "value_loss": "value_loss", "approx_kl": "approx_kl"}

#: How many of the latest episodes the figures of a training are means of.
RECENT = 1000


@dataclass(frozen=True)
class PPOConfig:
    """How a designer is trained.

    Attributes:
        minutes: stop after so much training time; the learning rate falls to zero by then. 0 for no limit.
        steps: stop at the first update after so many environment steps; equal seeds then give equal results. 0 for no
            limit.
        lanes: how many levels are designed side by side.
        rollout: steps of each lane between updates.
        batch: samples in a gradient step.
        epochs: how often each sample is used.
        learning_rate: at the start; it falls linearly.
        gamma: discount.
        gae_lambda: the lambda of generalised advantage estimation (Schulman 2016).
        entropy: weight of the entropy bonus.
        clip: how far the policy's ratio may go in one update.
        value_weight: weight of the value loss.
        reward_scale: what rewards are multiplied by before the learner sees them.
        success_bonus: what is added to the learner's reward where an episode ends in success, after scaling. Without
            it, success costs the designer all the improvement that it could still have made.
        checkpoint_seconds: how often a checkpoint is written.
        threads: torch's threads; one is fastest for networks this small.
    """

    minutes: float = 0.0
    steps: int = 0
    lanes: int = 256
    rollout: int = 64
    batch: int = 2048
    epochs: int = 4
    learning_rate: float = 1e-3
    gamma: float = 0.98
    gae_lambda: float = 0.95
    entropy: float = 0.003
    clip: float = 0.2
    value_weight: float = 0.5
    reward_scale: float = 0.05
    success_bonus: float = 2.0
    checkpoint_seconds: float = 30.0
    threads: int = 1

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        for name, value in asdict(self).items():
            if not math.isfinite(value) or value < 0:
                raise UserError(f"{name} must be a finite number of at least 0; got {value}.")
        # Advantages are normalised over a batch, which takes two samples.
        for name, least in (("lanes", 1), ("rollout", 1), ("batch", 2), ("epochs", 1), ("threads", 1)):
            if getattr(self, name) < least:
                raise UserError(f"{name} must be at least {least}; got {getattr(self, name)}.")
        if self.lanes * self.rollout < 2:
            raise UserError("lanes times rollout must be at least 2; got 1 and 1.")
        if self.minutes == 0 and self.steps == 0:
            raise UserError(
                f"Give a training time or a number of steps above 0; got minutes={self.minutes}, steps={self.steps}."
            )
        if not self.learning_rate or not self.clip or not 0 < self.gamma <= 1 or not self.gae_lambda <= 1:
            raise UserError(
                "learning_rate and clip must be above 0, gamma in (0, 1] and gae_lambda in [0, 1]; "
                f"got {self.learning_rate}, {self.clip}, {self.gamma} and {self.gae_lambda}."
            )


@dataclass
class Progress:
    """How far a training is.

    Attributes:
        steps: environment steps taken.
        seconds: training time spent, in all the processes that worked on the run.
        updates: policy updates made.
        episodes: episodes finished.
    """

    steps: int = 0
    seconds: float = 0.0
    updates: int = 0
    episodes: int = 0


class TrainingStoppedError(UserError):
    """A training had to stop before its time; the message names the checkpoint to go on from."""


@dataclass
class _Recent:
    """The latest episodes' outcomes, by name."""

    values: dict[str, deque[float]] = field(default_factory=dict)

    def add(self, ended: Mapping[str, np.ndarray]) -> None:
        for name, outcomes in ended.items():
            self.values.setdefault(name, deque(maxlen=RECENT)).extend(outcomes.tolist())

    def means(self) -> dict[str, float]:
        return {name: float(np.mean(outcomes)) for name, outcomes in self.values.items()}


class Trainer:
    """One designer's training in a run folder.

    Args:
        env_options: what `DesignVectorEnv` is given: problem, representation and options.
        ppo: how to train.
        network: the network's shape.
        folder: the run folder; checkpoints, metrics.csv and TensorBoard files go there.
        seed: fixes weights, start levels and draws.
        device: where the network is trained.
    """

    def __init__(
        self,
        env_options: Mapping[str, Any],
        ppo: PPOConfig,
        network: NetworkConfig,
        folder: Path,
        *,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        ppo.check()
        check_device(device)
        torch.set_num_threads(ppo.threads)
        self.ppo = ppo
        self.folder = folder
        self.seed = seed
        self.env_options = dict(env_options)
        self.progress = Progress()
        env = DesignVectorEnv(num_envs=ppo.lanes, autoreset_mode="SameStep", **self.env_options)
        self.vec_env = _LearnersEnv(env, ppo)
        self.algorithm = PPO(
            DesignerPolicy,
            self.vec_env,
            # Stable-Baselines3's own count of what remains knows nothing of minutes.
            learning_rate=lambda _: ppo.learning_rate * (1 - self.share_done()),
            n_steps=ppo.rollout,
            batch_size=min(ppo.batch, ppo.rollout * ppo.lanes),
            n_epochs=ppo.epochs,
            gamma=ppo.gamma,
            gae_lambda=ppo.gae_lambda,
            ent_coef=ppo.entropy,
            clip_range=ppo.clip,
            vf_coef=ppo.value_weight,
            policy_kwargs={"interface": Interface.of(env), "network_config": network},
            seed=seed,
            device=device,
        )
        self.device = device

    @property
    def checkpoint(self) -> Path:
        """Where the checkpoint is."""
        return self.folder / CHECKPOINT_FILE

    def save_checkpoint(self) -> None:
        """Writes the checkpoint beside the old one and then in its place.

        Raises:
            UserError: it cannot be written; the old one is whole.
        """
        content = {
            "policy": self.algorithm.policy.state_dict(),
            "optimizer": self.algorithm.policy.optimizer.state_dict(),
            "progress": asdict(self.progress),
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_atomically(self.checkpoint, buffer.getvalue())

    def resume(self) -> None:
        """Goes on from the checkpoint: weights, optimiser and progress. Levels in the making begin anew.

        Raises:
            UserError: the checkpoint is missing, damaged, or of another network.
        """
        try:
            # weights_only: tensors and plain numbers are read, no code that a file might carry is run.
            content = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
            self.algorithm.policy.load_state_dict(content["policy"])
            self.algorithm.policy.optimizer.load_state_dict(content["optimizer"])
            self.progress = Progress(**content["progress"])
        except FileNotFoundError:
            raise UserError(f"{self.checkpoint} does not exist: there is nothing to resume.") from None
        except Exception as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise UserError(
                f"{self.checkpoint} is damaged or of another network ({reason[:160]}); "
                "resume with the network that the run began with, or begin another run."
            ) from error
        self.algorithm.num_timesteps = self.progress.steps

    def learn(self, report: Callable[[Progress, float, dict[str, float]], None] | None = None) -> Progress:
        """Trains until the limit, writing checkpoints and metrics.csv on the way.

        An interrupt from the keyboard leaves a checkpoint too.

        Args:
            report: called after every update with the progress, the share of the training that is done, and the means
                over recent episodes.

        Raises:
            TrainingStoppedError: the network's weights are no longer finite numbers.
            UserError: a file cannot be written.
        """
        callback = _Callback(self, report)
        # Whatever was drawn since the trainer was made, equal seeds give equal results; a training that goes on makes
        # new draws, not those of the beginning over again.
        self.algorithm.set_random_seed(self.seed + self.progress.steps)
        if self.share_done() < 1:
            self.algorithm.set_logger(configure(str(self.folder / TENSORBOARD_FOLDER), ["tensorboard"]))
            try:
                self.algorithm.learn(2**62, callback=callback, reset_num_timesteps=False)
            except _Finished:
                pass
            except KeyboardInterrupt:
                if self.sound():
                    self.save_checkpoint()
                raise
        self.save_checkpoint()
        return self.progress

    def sound(self) -> bool:
        """Tells whether the network's weights are finite numbers."""
        return all(bool(torch.isfinite(weights).all()) for weights in self.algorithm.policy.parameters())

    def share_done(self) -> float:
        """Returns how much of the training is done, in [0, 1]."""
        shares = [0.0]
        if self.ppo.steps:
            shares.append(self.progress.steps / self.ppo.steps)
        if self.ppo.minutes:
            shares.append(self.progress.seconds / (60 * self.ppo.minutes))
        return min(max(shares), 1.0)

    def designer(self, facts: Mapping[str, Any] | None = None) -> PolicyDesigner:
        """Returns the designer as trained so far."""
        network = cast("DesignerPolicy", self.algorithm.policy).network
        return PolicyDesigner(network, self.env_options, facts, device=self.device)


class _LearnersEnv(SB3VecEnv):
    """The environment with the learner's own scale of reward and bonus for success."""

    def __init__(self, env: DesignVectorEnv, ppo: PPOConfig) -> None:
        super().__init__(env)
        self._ppo = ppo

    def step_wait(self) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, list[dict[str, Any]]]:
        observations, rewards, done, infos = super().step_wait()
        rewards *= self._ppo.reward_scale
        if self.ended:
            rewards[done] += self._ppo.success_bonus * self.ended["success"]
        return observations, rewards, done, infos


class _Callback(BaseCallback):
    """Keeps the books of a training."""

    def __init__(self, trainer: Trainer, report: Callable[[Progress, float, dict[str, float]], None] | None) -> None:
        super().__init__()
        self._trainer = trainer
        self._report = report
        self._recent = _Recent()
        self._before = trainer.progress.seconds
        self._began = time.perf_counter()
        self._saved = self._began
        # Episodes of a rollout that is cut short are not counted: it is gone through again after a resume.
        self._episodes = 0
        figures = (*trainer.vec_env.batch.metric_names, "success", "strict_success", "changes", "length", "return")
        columns = (*asdict(trainer.progress), *figures, *_LOSSES.values())
        self._log = MetricsLog(trainer.folder / METRICS_FILE, columns, trainer.progress.steps)

    def _on_step(self) -> bool:
        ended = self._trainer.vec_env.ended
        if ended:
            self._recent.add(ended)
            self._episodes += len(ended["return"])
        return True

    def _on_rollout_start(self) -> None:
        """Called between an update and the next rollout: the moment at which the books are straight."""
        trainer = self._trainer
        progress = trainer.progress
        now = time.perf_counter()
        # Stable-Baselines3 calls this before the first update too.
        if self.num_timesteps > progress.steps:
            self._check_weights()
            progress.steps = self.num_timesteps
            progress.updates += 1
            progress.episodes += self._episodes
            self._episodes = 0
            progress.seconds = self._before + now - self._began
            means = self._recent.means()
            self._log.write({**asdict(progress), **means, **self._losses()})
            for name, value in means.items():
                self.logger.record(f"episodes/{name}", value)
            self.logger.record("time/steps_per_second", progress.steps / max(progress.seconds, 1e-9))
            self.logger.dump(self.num_timesteps)
            if now - self._saved > trainer.ppo.checkpoint_seconds:
                trainer.save_checkpoint()
                self._saved = now
            if self._report:
                self._report(progress, trainer.share_done(), means)
        if trainer.share_done() >= 1:
            raise _Finished

    def _check_weights(self) -> None:
        if not self._trainer.sound():
            checkpoint = self._trainer.checkpoint
            known = (
                f"{checkpoint} holds the last good weights" if checkpoint.exists() else "no checkpoint was written yet"
            )
            raise TrainingStoppedError(
                f"Training stopped at step {self.num_timesteps}: the weights are no longer finite numbers; {known}: "
                "resume with a smaller learning rate."
            )

    def _losses(self) -> dict[str, float]:
        values = self.logger.name_to_value
        return {ours: abs(float(values.get(f"train/{theirs}", math.nan))) for theirs, ours in _LOSSES.items()}


class _Finished(Exception):  # noqa: N818 (it is no error)
    """Ends Stable-Baselines3's loop at the limit."""
