"""PPO by RLlib."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
import torch
from ray.exceptions import RayError

from agents.engines import Cluster
from agents.policy import Policy
from agents.rllib.algorithm import LanesPPO, make_config
from agents.rllib.connection import check_resources, connect, hushed
from agents.rllib.learner import Lesson, read_state, write_state
from agents.rollouts import Rollout, make_collector
from agents.tasks import Task
from agents.training import Books, PPOConfig, Trainer, TrainingStoppedError
from envs import UserError

#: How many seconds runners that are all gone are waited for.
RETURN_PATIENCE = 60.0

_PAUSE = 2.0


class RLlibTrainer(Trainer):
    """A policy's training by RLlib; see `Trainer`.

    Args:
        task: what is trained, and in what environment.
        ppo: how to train. The lanes are dealt out to the environment runners, and each batch to the learners.
        folder: the run folder.
        seed: fixes weights, start levels and draws; equal seeds give equal results with equally many runners and
            learners.
        device: where the network is trained where there are no learners apart: "cpu", or a CUDA device.
        cluster: where Ray runs, and how many runners and learners there are.

    Raises:
        UserError: the cluster cannot be joined or is too small, or a setting cannot be used.
    """

    def __init__(
        self,
        task: Task,
        ppo: PPOConfig,
        folder: Path,
        *,
        seed: int = 0,
        device: str = "cpu",
        cluster: Cluster | None = None,
    ) -> None:
        super().__init__(task, ppo, folder, seed=seed, device=device)
        cluster = cluster or Cluster()
        cluster.check(ppo)
        gpu = None
        if torch.device(device).type == "cuda":
            if cluster.num_learners:
                raise UserError(
                    f"The device {device} is this process's own; give learners GPUs by num_gpus_per_learner instead."
                )
            gpu = torch.device(device).index or 0
        self._closed = False
        self._connected = connect(cluster)
        try:
            check_resources(cluster)
            config = make_config(task, ppo, cluster, seed, gpu)
            with hushed():
                self.algorithm = LanesPPO(config)
        except BaseException:
            self._disconnect()
            raise
        self._figures = make_collector(task, self.policy, ppo, 1, seed).figures

    @property
    def policy(self) -> Policy:
        """The policy as trained so far: a copy of the learners'."""
        return self.algorithm.local_runner.policy

    @property
    def figures(self) -> tuple[str, ...]:
        """The names of what episodes come to."""
        return self._figures

    def state(self) -> dict[str, Any]:
        """Returns the weights and the optimiser's state."""
        return self.algorithm.on_learners(read_state)[0]

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state` returned, in all learners."""
        # What does not fit shows here, before anything has been changed in the learners.
        self.policy.load_state_dict(state["policy"])
        given = {name: state[name] for name in ("policy", "optimizer") if name in state}
        self.algorithm.on_learners(write_state, state=given)
        self.algorithm.take_weights()

    def run(self, books: Books) -> None:
        """Trains until the limit."""
        try:
            while self.share_done() < 1:
                rollout, losses = self._iterate()
                if len(rollout.outcomes["return"]):
                    books.ended(rollout.outcomes)
                if "kl" in rollout.outcomes:
                    self.price.observe(float(rollout.outcomes["kl"].mean()))
                books.updated(self.progress.steps + rollout.steps, losses)
        except RayError as error:
            raise self._stopped(f"RLlib failed ({str(error).strip().splitlines()[-1][:160]})") from error

    def _iterate(self) -> tuple[Rollout, dict[str, float]]:
        """Makes one rollout and one update; waits for runners that are all gone to come back."""
        algorithm, steps = self.algorithm, self.progress.steps
        algorithm.lesson = Lesson(self.learning_rate(), (self.seed, steps))
        # Runners that begin now make new draws, not those of the training's beginning over again.
        algorithm.seed = self.draws_seed()
        if self.policy.whole_levels:
            algorithm.settings = {"kl_weight": self.price.weight}
        began = time.monotonic()
        while True:
            algorithm.train()
            if algorithm.rollout is not None:
                return algorithm.rollout, algorithm.losses
            if time.monotonic() - began > RETURN_PATIENCE:
                raise self._stopped("no environment runner has returned anything")
            time.sleep(_PAUSE)

    def close(self) -> None:
        """Ends runners and learners, and Ray where it was begun for this training."""
        if not self._closed:
            self._closed = True
            self.algorithm.stop()
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connected:
            ray.shutdown()
            self._connected = False

    def _stopped(self, why: str) -> TrainingStoppedError:
        known = f"{self.checkpoint} holds what was reached" if self.checkpoint.exists() else "no checkpoint was written"
        return TrainingStoppedError(f"Training stopped at step {self.progress.steps}: {why}; {known}: resume to go on.")
