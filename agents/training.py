"""What trainings by PPO (Schulman 2017) share, whichever engine runs them: settings, checkpoints, books."""

from __future__ import annotations

import io
import math
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch

from agents.designer import PolicyDesigner
from agents.networks import DesignerNetwork
from agents.policy import Policy
from agents.rewards import DivergencePrice
from agents.tasks import Task
from envs import UserError
from envs.files import write_atomically
from envs.records import MetricsLog
from generators.devices import check_device
from generators.options import check_threads
from generators.searchable import Real, Whole

#: Where a run folder keeps what a resumed training needs.
CHECKPOINT_FILE = "checkpoint.pt"
METRICS_FILE = "metrics.csv"

#: The learner's own figures in metrics.csv.
LOSSES = ("entropy", "value_loss", "approx_kl")

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
        checkpoint_seconds: how often a checkpoint is written.
        threads: torch's threads; one is fastest for networks this small.
    """

    minutes: float = 0.0
    steps: int = 0
    lanes: int = 256
    rollout: Annotated[int, Whole(16, 128, log=True)] = 64
    batch: Annotated[int, Whole(256, 4096, log=True)] = 2048
    epochs: Annotated[int, Whole(1, 8)] = 4
    learning_rate: Annotated[float, Real(1e-4, 1e-2, log=True)] = 1e-3
    gamma: Annotated[float, Real(0.9, 0.999)] = 0.98
    gae_lambda: Annotated[float, Real(0.8, 1.0)] = 0.95
    entropy: Annotated[float, Real(0.0, 0.02)] = 0.003
    clip: Annotated[float, Real(0.1, 0.4)] = 0.2
    value_weight: float = 0.5
    checkpoint_seconds: float = 30.0
    threads: int = 1

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        for name, value in asdict(self).items():
            if not math.isfinite(value) or value < 0:
                raise UserError(f"{name} must be a finite number of at least 0; got {value}.")
        # Advantages are normalised over a batch, which takes two samples.
        for name, least in (("lanes", 1), ("rollout", 1), ("batch", 2), ("epochs", 1)):
            if getattr(self, name) < least:
                raise UserError(f"{name} must be at least {least}; got {getattr(self, name)}.")
        check_threads(self.threads)
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


#: Called after every update with the progress, the share of the training that is done, and all figures by name: means
#: over recent episodes, and the learner's own. What has a column in metrics.csv has its name, and has been written.
Report = Callable[[Progress, float, dict[str, float]], None]


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


class Trainer(ABC):
    """One training in a run folder. An engine derives from it; `agents.engines.make_trainer` makes one by its name.

    Args:
        task: what is trained, and in what environment.
        ppo: how to train.
        folder: the run folder; checkpoints and metrics.csv go there.
        seed: fixes weights, start levels and draws.
        device: where the network is trained.
    """

    #: What tells the training time, in seconds: the clock on the wall, or `time.process_time` where one process trains
    #: and shares its machine with other work.
    clock: Callable[[], float] = staticmethod(time.perf_counter)

    def __init__(
        self,
        task: Task,
        ppo: PPOConfig,
        folder: Path,
        *,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        ppo.check()
        check_device(device)
        if task.reward.kl and not task.writes:
            raise UserError(
                "kl prices how far a pretrained tile LM goes from what it was, and this is none: leave it out; "
                f"got {task.reward.kl}."
            )
        torch.set_num_threads(ppo.threads)
        self.ppo = ppo
        self.folder = folder
        self.seed = seed
        self.device = device
        self.task = task
        #: What divergence from a pretrained policy costs.
        self.price = DivergencePrice(task.reward.kl, task.reward.kl_target)
        self.progress = Progress()

    # What an engine defines.

    @property
    @abstractmethod
    def policy(self) -> Policy:
        """The policy as trained so far; where an engine keeps it elsewhere, a copy of it."""

    @property
    @abstractmethod
    def figures(self) -> tuple[str, ...]:
        """The names of what episodes come to, "success", "length" and "return" among them."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Returns what a checkpoint holds besides the progress: tensors and plain data by name.

        Whatever the engine, "policy" is the policy's state and "optimizer" that of torch's Adam over the policy's
        parameters in their order, so that one engine goes on where another stopped.
        """

    @abstractmethod
    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state` returned; any error means that it does not fit."""

    @abstractmethod
    def run(self, books: Books) -> None:
        """Trains until `share_done` is 1, calling `books.updated` between an update and the next rollout."""

    # What all engines share.

    @property
    def checkpoint(self) -> Path:
        """Where the checkpoint is."""
        return self.folder / CHECKPOINT_FILE

    def save_checkpoint(self) -> None:
        """Writes the checkpoint beside the old one and then in its place.

        Raises:
            UserError: it cannot be written; the old one is whole.
        """
        buffer = io.BytesIO()
        torch.save({**self.state(), "progress": asdict(self.progress), "price": self.price.weight}, buffer)
        write_atomically(self.checkpoint, buffer.getvalue())

    def resume(self) -> None:
        """Goes on from the checkpoint: weights, optimiser and progress. Levels in the making begin anew.

        Raises:
            UserError: the checkpoint is missing, damaged, or of another network.
        """
        try:
            # weights_only: tensors and plain numbers are read, no code that a file might carry is run.
            content = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
            progress = Progress(**content["progress"])
            price = float(content.get("price", self.price.weight))
            self.restore(content)
            self.progress = progress
            if self.task.reward.kl_target:
                # A price that moves goes on from where it was; one that is fixed is what is asked for now.
                self.price.weight = price
        except FileNotFoundError:
            raise UserError(f"{self.checkpoint} does not exist: there is nothing to resume.") from None
        except Exception as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise UserError(
                f"{self.checkpoint} is damaged or of another network ({reason[:160]}); "
                "resume with the network that the run began with, or begin another run."
            ) from error

    def learn(self, report: Report | None = None) -> Progress:
        """Trains until the limit, writing checkpoints and metrics.csv on the way.

        An interrupt from the keyboard leaves a checkpoint too.

        Args:
            report: called after every update; see `Report`.

        Raises:
            TrainingStoppedError: the network's weights are no longer finite numbers.
            UserError: a file cannot be written.
        """
        if self.share_done() < 1:
            try:
                self.run(Books(self, report))
            except KeyboardInterrupt:
                if self.sound():
                    self.save_checkpoint()
                raise
        self.save_checkpoint()
        return self.progress

    def close(self) -> None:  # noqa: B027 (most keep nothing running)
        """Ends what the engine keeps running."""

    def sound(self) -> bool:
        """Tells whether the network's weights are finite numbers."""
        return all(bool(torch.isfinite(weights).all()) for weights in self.policy.parameters())

    def share_done(self) -> float:
        """Returns how much of the training is done, in [0, 1]."""
        shares = [0.0]
        if self.ppo.steps:
            shares.append(self.progress.steps / self.ppo.steps)
        if self.ppo.minutes:
            shares.append(self.progress.seconds / (60 * self.ppo.minutes))
        return min(max(shares), 1.0)

    def draws_seed(self) -> int:
        """Returns the seed of draws that begin now: at first the training's own, then another one after each update.

        Those are above 2**31, where no levels are judged, and below 2**32, as numpy's old generator wants it.
        """
        steps = self.progress.steps
        if not steps:
            return self.seed
        return 2**31 + int(np.random.SeedSequence([self.seed, steps]).generate_state(1)[0]) % 2**30

    def learning_rate(self) -> float:
        """Returns the learning rate of the next update: it falls linearly to 0."""
        return self.ppo.learning_rate * (1 - self.share_done())

    def designer(self, facts: Mapping[str, Any] | None = None) -> PolicyDesigner:
        """Returns the designer as trained so far."""
        policy = self.policy
        if not isinstance(policy, DesignerNetwork):
            raise TypeError(f"A {type(policy).__name__} is no designer.")
        environment, generator = self.task.environment, self.task.generator
        return PolicyDesigner(policy, environment, facts, device=self.device, generator=generator)


class Books:
    """Keeps the books of one training: the progress, metrics.csv, checkpoints and reports."""

    def __init__(self, trainer: Trainer, report: Report | None) -> None:
        self._trainer = trainer
        self._report = report
        self._recent = _Recent()
        self._before = trainer.progress.seconds
        self._began = trainer.clock()
        self._saved = self._began
        columns = (*asdict(trainer.progress), *trainer.figures, *LOSSES)
        self._log = MetricsLog(trainer.folder / METRICS_FILE, columns, trainer.progress.steps)
        # Episodes of a rollout that is cut short are not counted: it is gone through again after a resume.
        self._episodes = 0

    def ended(self, outcomes: Mapping[str, np.ndarray]) -> None:
        """Notes what episodes came to: by name, one number an episode; "return" and "length" are among them."""
        self._recent.add(outcomes)
        self._episodes += len(outcomes["return"])

    def updated(self, steps: int, losses: Mapping[str, float]) -> None:
        """Notes that the policy was updated; writes a line of metrics.csv, and now and then a checkpoint.

        Args:
            steps: environment steps taken since the training began, by whichever process.
            losses: the learner's own figures by name, those of LOSSES among them.

        Raises:
            TrainingStoppedError: the network's weights are no longer finite numbers.
            UserError: a file cannot be written.
        """
        trainer, progress = self._trainer, self._trainer.progress
        self._check_weights(steps)
        now = trainer.clock()
        progress.steps = steps
        progress.updates += 1
        progress.episodes += self._episodes
        self._episodes = 0
        progress.seconds = self._before + now - self._began
        means = self._recent.means()
        self._log.write({**asdict(progress), **means, **losses})
        if now - self._saved > trainer.ppo.checkpoint_seconds:
            trainer.save_checkpoint()
            self._saved = now
        if self._report:
            self._report(progress, trainer.share_done(), {**means, **losses})

    def _check_weights(self, steps: int) -> None:
        if not self._trainer.sound():
            checkpoint = self._trainer.checkpoint
            known = (
                f"{checkpoint} holds the last good weights" if checkpoint.exists() else "no checkpoint was written yet"
            )
            raise TrainingStoppedError(
                f"Training stopped at step {steps}: the weights are no longer finite numbers; {known}: "
                "resume with a smaller learning rate."
            )
