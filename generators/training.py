"""The training that all generators with a network share."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from envs import UserError
from envs.errors import unknown_name
from envs.files import write_atomically
from envs.records import MetricsLog
from envs.symmetries import transform_randomly
from generators.corpus import Corpus, Part
from generators.devices import check_device
from generators.generator import Fit, FitOptions, Report
from generators.spec import LABEL, LevelSpec

if TYPE_CHECKING:
    from generators.neural import NeuralGenerator

#: Where a folder keeps what a resumed training needs.
CHECKPOINT_FILE = "checkpoint.pt"
METRICS_FILE = "metrics.csv"

#: How often the held-out score is looked at in a training, and the most of its time that this may take.
LOOKS = 20
_LOOKING = 0.1

#: The most held-out levels that are looked at.
_LOOKED_AT = 500

#: Seconds between two lines of metrics.csv, and between two checkpoints.
_LINE_SECONDS, _CHECKPOINT_SECONDS = 5.0, 60.0

#: The learning rate falls to this share of its highest.
_LEAST_RATE = 0.02


class TrainingStoppedError(UserError):
    """A training had to stop before its time; the message names the checkpoint to go on from."""


@dataclass(frozen=True)
class Asked:
    """What is asked of a batch of levels, as tensors.

    Attributes:
        dense: float32 (b, spec.condition_size), see `LevelSpec.encode`.
        buckets: int64 (b, columns), see `LevelSpec.buckets`.
    """

    dense: Tensor
    buckets: Tensor

    @classmethod
    def of(cls, spec: LevelSpec, values: NDArray[np.float64], labels: NDArray[np.int64], device: str) -> Asked:
        """Returns conditions as tensors; see `LevelSpec.values` for what goes in."""
        dense = torch.from_numpy(spec.encode(values, labels)).to(device)
        return cls(dense, torch.from_numpy(spec.buckets(values, labels)).to(device))

    def nothing(self) -> Asked:
        """Returns the same batch with nothing asked of it."""
        return Asked(torch.zeros_like(self.dense), torch.zeros_like(self.buckets))

    def __len__(self) -> int:
        return len(self.dense)


@dataclass
class Training:
    """Where a training is, for a family's own `train_step`.

    Attributes:
        options: how to train, with every choice made.
        optimisers: by name; their learning rates are set before each step.
        random: the source of the step's draws.
        share: how much of the training is done, in [0, 1].
        stage: which of the family's stages this is, from 0.
        stage_share: how much of the stage is done, in [0, 1].
        step: the number of the update, from 0.
    """

    options: FitOptions
    optimisers: dict[str, torch.optim.Optimizer]
    random: torch.Generator
    share: float = 0.0
    stage: int = 0
    stage_share: float = 0.0
    step: int = 0


@dataclass
class _Books:
    """What a checkpoint holds beside weights."""

    fit: Fit = field(default_factory=Fit)
    stage: int = 0
    #: The share of the training at which the stage began, which is sooner than planned after an early stop.
    began: float = 0.0
    looks: int = 0
    waited: int = 0


def adamw(network: nn.Module, options: FitOptions, **changes: Any) -> torch.optim.Optimizer:
    """Returns AdamW for a network's weights that learn; only matrices decay (Loshchilov 2019)."""
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [weight for weight in weights if weight.ndim >= 2], "weight_decay": options.weight_decay},
        {"params": [weight for weight in weights if weight.ndim < 2], "weight_decay": 0.0},
    ]
    settings: dict[str, Any] = {"lr": options.learning_rate, "betas": (0.9, 0.98), **changes}
    return torch.optim.AdamW([group for group in groups if group["params"]], **settings)


def descend(loss: Tensor, optimiser: torch.optim.Optimizer, options: FitOptions) -> None:
    """Makes one step down a loss, with the gradient's norm clipped."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    if options.clip:
        weights = [weight for group in optimiser.param_groups for weight in group["params"]]
        nn.utils.clip_grad_norm_(weights, options.clip)
    optimiser.step()


class Fitting:
    """One training, from its beginning or a checkpoint to its end.

    Args:
        generator: what is trained; it gets a new network.
        corpus: what it learns from.
        options: how to train; what is None is the family's own choice.
        folder: where the checkpoint and metrics.csv go; None keeps none.
        report: called now and then.
        weights: what to begin with, as `NeuralGenerator.arrays` returns it; None draws fresh weights.
    """

    def __init__(
        self,
        generator: NeuralGenerator,
        corpus: Corpus,
        options: FitOptions,
        folder: Path | None,
        report: Report | None,
        weights: Mapping[str, NDArray] | None = None,
    ) -> None:
        generator.check_corpus(corpus)
        self.generator = generator
        self.corpus = corpus
        self.options = generator.resolved(options)
        self.folder = folder
        self.report = report
        self.books = _Books()
        check_device(self.options.device)
        torch.set_num_threads(self.options.threads)
        generator.device = self.options.device
        generator.prepare(corpus, self.options)
        generator.network = generator.new_network(self.options.seed)
        if weights is not None:
            generator.begin_with(weights)
        self.training = Training(self.options, generator.optimisers(self.options), torch.Generator())
        self.average = self._weights()
        self.best = self._weights()
        self.rates = {
            name: [group["lr"] for group in optimiser.param_groups]
            for name, optimiser in self.training.optimisers.items()
        }
        self.values, self.labels = self._conditions(corpus.train, "train")
        held_out = corpus.held_out
        values, labels = self._conditions(held_out, "held_out")
        self.looked_at = torch.from_numpy(held_out.levels[:_LOOKED_AT].astype(np.int64)).to(self.options.device)
        self.looked_for = Asked.of(generator.spec, values[:_LOOKED_AT], labels[:_LOOKED_AT], self.options.device)
        self.weights = self._balance()
        self.log: MetricsLog | None = None
        #: The round whose order is known, and that order.
        self.ordered = (-1, np.zeros(0, np.int64))

    @property
    def checkpoint(self) -> Path | None:
        """Where the checkpoint goes; None where nothing is kept."""
        return None if self.folder is None else self.folder / CHECKPOINT_FILE

    def run(self, resume: bool) -> Fit:
        """Trains to the end; where `resume` is set, from the checkpoint on.

        Raises:
            TrainingStoppedError: a loss is no longer a finite number; the checkpoint is named.
        """
        if resume:
            self._resume()
        books, generator = self.books, self.generator
        clock = time.process_time if self.options.processor_time else time.perf_counter
        before, began = books.fit.seconds, clock()
        saved = lined = began
        looking = 0.0
        sums: dict[str, Tensor] = {}
        since = 0
        try:
            while books.stage < len(generator.stages):
                share = self._share()
                self._place(share)
                over = share >= generator.stages[books.stage]
                due = books.looks < int(share * LOOKS)
                if due and not self.options.steps:
                    # Where time is what counts, not much of it is spent on looking.
                    due = looking <= _LOOKING * (books.fit.seconds - before)
                if over or due:
                    looked = clock()
                    stop = self._look()
                    looking += clock() - looked
                    books.looks = int(share * LOOKS)
                    if stop or over:
                        self._next_stage()
                        continue
                figures = self._step()
                for name, figure in figures.items():
                    sums[name] = sums.get(name, torch.zeros(())) + figure.detach().float().cpu()
                since += 1
                now = clock()
                books.fit.seconds = before + now - began
                # What is saved was looked at first, so that a checkpoint never holds weights that are no numbers.
                save = now - saved > _CHECKPOINT_SECONDS
                if save or now - lined > _LINE_SECONDS or since % 200 == 0:
                    self._log(sums, since)
                    sums, since, lined = {}, 0, now
                if save:
                    self._save()
                    saved = now
        except KeyboardInterrupt:
            self._save()
            raise
        books.fit.seconds = before + clock() - began
        if since:
            self._log(sums, since)
        if self.report:
            self.report(books.fit, 1.0)
        generator.network.eval()
        self._save()
        return generator.note(self.corpus, books.fit)

    def _log(self, sums: Mapping[str, Tensor], number: int) -> None:
        """Writes a line of metrics.csv with the means of the last so many updates, and reports them."""
        means = self._means(sums, number)
        fit = self.books.fit
        if self.log is None and self.folder is not None:
            columns = ("steps", "seconds", "levels", "held_out", *means)
            self.log = MetricsLog(self.folder / METRICS_FILE, columns, fit.steps - number)
        if self.log is not None:
            known = {"steps": fit.steps, "seconds": fit.seconds, "levels": fit.levels, "held_out": fit.held_out}
            self.log.write({**known, **means})
        if self.report:
            self.report(fit, self._share())

    def _means(self, sums: Mapping[str, Tensor], number: int) -> dict[str, float]:
        """Returns the means of what was reported, or raises where one is no number."""
        means = {name: float(value) / number for name, value in sums.items()}
        bad = [name for name, value in means.items() if not math.isfinite(value)]
        if bad:
            known = (
                f"{self.checkpoint} holds the last good weights: resume with a smaller learning rate"
                if self.checkpoint is not None and self.checkpoint.exists()
                else "no checkpoint was written yet: begin again with a smaller learning rate"
            )
            raise TrainingStoppedError(
                f"Training stopped at step {self.books.fit.steps}: {bad[0]} is no longer a finite number; {known}."
            )
        self.books.fit.figures = means
        return means

    def _share(self) -> float:
        """Returns how much of the training is done, in [0, 1]."""
        shares = [0.0]
        if self.options.steps:
            shares.append(self.books.fit.steps / self.options.steps)
        if self.options.minutes:
            shares.append(self.books.fit.seconds / (60 * self.options.minutes))
        return min(max(shares), 1.0)

    def _place(self, share: float) -> None:
        """Tells the training where it is, and sets the learning rates."""
        training, books = self.training, self.books
        end = self.generator.stages[books.stage]
        training.share, training.stage, training.step = share, books.stage, books.fit.steps
        training.stage_share = min(1.0, (share - books.began) / max(end - books.began, 1e-9))
        training.random.manual_seed(_mixed(self.options.seed, books.fit.steps, 11))
        rise = min(1.0, (books.fit.steps + 1) / max(1, self.options.warm_up or 0))
        factor = rise * (_LEAST_RATE + (1 - _LEAST_RATE) * (1 + math.cos(math.pi * training.stage_share)) / 2)
        for name, optimiser in training.optimisers.items():
            for group, rate in zip(optimiser.param_groups, self.rates[name], strict=True):
                group["lr"] = rate * factor

    def _step(self) -> dict[str, Tensor]:
        """Makes one update on a batch."""
        books = self.books
        random = np.random.default_rng([self.options.seed, books.fit.steps, 3])
        chosen = self._choose(random)
        levels = self.corpus.train.levels[chosen]
        values, labels = self.values[chosen], self.labels[chosen]
        if self.options.symmetries:
            levels = transform_randomly(self.corpus.problem.symmetries, levels, random)
        # All conditions together, or each by itself: both "nothing asked" and "one thing asked" are learned.
        drop = self.options.condition_dropout
        nothing = random.random(len(chosen)) < drop / 2
        values = np.where((random.random(values.shape) < drop) | nothing[:, None], np.nan, values)
        labels = np.where((random.random(labels.shape) < drop) | nothing, -1, labels)
        device = self.options.device
        asked = Asked.of(self.generator.spec, values, labels, device)
        self.generator.network.train()
        with torch.random.fork_rng(devices=[]):
            # Dropout draws from torch's global generator, and from no other.
            torch.manual_seed(_mixed(self.options.seed, books.fit.steps, 13))
            batch = torch.from_numpy(levels.astype(np.int64)).to(device)
            figures = self.generator.train_step(batch, asked, self.training)
        books.fit.steps += 1
        books.fit.levels += len(chosen)
        self._average()
        return figures

    def _choose(self, random: np.random.Generator) -> NDArray[np.int64]:
        """Returns the numbers of the training levels of the next batch, int64 (batch,)."""
        total, batch = len(self.corpus.train), int(self.options.batch or 1)
        if self.weights is not None:
            return random.choice(total, batch, p=self.weights)
        # In shuffled order, round after round; where a resumed training is follows from what was shown.
        first = self.books.fit.levels
        rounds = {}
        chosen = np.empty(batch, np.int64)
        for i in range(batch):
            number, place = divmod(first + i, total)
            if number not in rounds:
                rounds[number] = self._order(number)
            chosen[i] = rounds[number][place]
        return chosen

    def _order(self, number: int) -> NDArray[np.int64]:
        """Returns the shuffled order of a round."""
        if self.ordered[0] != number:
            order = np.random.default_rng([self.options.seed, number, 5]).permutation(len(self.corpus.train))
            self.ordered = (number, order)
        return self.ordered[1]

    def _average(self) -> None:
        """Moves the average of the weights on."""
        decay = self.options.ema or 0.0
        # At first the average is of few weights.
        decay = min(decay, (1 + self.books.fit.steps) / (10 + self.books.fit.steps))
        with torch.no_grad():
            for name, weights in self.generator.network.state_dict().items():
                if weights.is_floating_point() and decay:
                    self.average[name].lerp_(weights, 1 - decay)
                else:
                    self.average[name].copy_(weights)

    def _look(self) -> bool:
        """Looks at the held-out score; returns whether the stage shall stop early."""
        generator, books = self.generator, self.books
        current = self._weights()
        generator.network.load_state_dict(self.average)
        generator.network.eval()
        try:
            with torch.no_grad():
                score = generator.held_out_score(self.looked_at, self.looked_for, self.training)
        finally:
            # An interrupt here must not leave the average in the checkpoint as the weights themselves.
            generator.network.load_state_dict(current)
        if math.isnan(books.fit.held_out) or score < books.fit.held_out:
            books.fit.held_out, books.fit.best_step = score, books.fit.steps
            self.best = {name: weights.clone() for name, weights in self.average.items()}
            books.waited = 0
            return False
        books.waited += 1
        stop = bool(self.options.patience) and books.waited >= self.options.patience
        books.fit.stopped_early |= stop
        return stop

    def _next_stage(self) -> None:
        """Takes the best weights and goes on to the next stage."""
        books = self.books
        self.generator.network.load_state_dict(self.best)
        self.average = self._weights()
        books.stage += 1
        books.began, books.waited = self._share(), 0
        if books.stage < len(self.generator.stages):
            books.fit.held_out = math.nan
            self.training.stage = books.stage
            levels = torch.from_numpy(self.corpus.train.levels.astype(np.int64)).to(self.options.device)
            self.generator.stage_began(books.stage, levels, self.training)
            self.average = self._weights()
            self.best = self._weights()

    def _weights(self) -> dict[str, Tensor]:
        return {name: weights.detach().clone() for name, weights in self.generator.network.state_dict().items()}

    def _conditions(self, part: Part, split: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Returns the conditions that the levels of a part meet, as `LevelSpec.values` returns them."""
        spec = self.generator.spec
        columns = [self.corpus.problem.index(metric.name) for metric in spec.conditions]
        values = self.corpus.metrics(split)[:, columns].astype(np.float64) if columns else np.zeros((len(part), 0))
        return values, part.labels if spec.labels else np.full(len(part), -1, np.int64)

    def _balance(self) -> NDArray[np.float64] | None:
        """Returns how likely each training level is to be drawn, or None for all alike."""
        wanted, spec = self.options.balance, self.generator.spec
        if not wanted:
            return None
        names = [metric.name for metric in spec.conditions]
        if wanted == LABEL and spec.labels:
            buckets = self.labels
        elif wanted in names:
            i = names.index(wanted)
            buckets = spec.conditions[i].bucket(self.values[:, i])
        else:
            raise unknown_name("condition to balance by", wanted, [*names, *([LABEL] if spec.labels else [])])
        _, inverse, counts = np.unique(buckets, return_inverse=True, return_counts=True)
        weights = 1.0 / counts[inverse]
        return np.asarray(weights / weights.sum(), np.float64)

    def _save(self) -> None:
        """Writes the checkpoint beside the old one and then in its place."""
        if self.checkpoint is None:
            return
        content = {
            "network": self._weights(),
            "average": self.average,
            "best": self.best,
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.training.optimisers.items()},
            "books": asdict(self.books),
            "corpus": self.corpus.digest,
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_atomically(self.checkpoint, buffer.getvalue())

    def _resume(self) -> None:
        """Goes on from the checkpoint.

        Raises:
            UserError: it is missing, damaged, of another network or of another corpus.
        """
        path = self.checkpoint
        if path is None or not path.exists():
            raise UserError(f"{path} does not exist: there is nothing to resume.")
        try:
            # weights_only: tensors and plain numbers are read, no code that a file might carry is run.
            content = torch.load(path, map_location=self.options.device, weights_only=True)
            digest = content["corpus"]
            self.generator.network.load_state_dict(content["network"])
            self.average, self.best = content["average"], content["best"]
            for name, state in content["optimisers"].items():
                self.training.optimisers[name].load_state_dict(state)
            plain = content["books"]
            self.books = _Books(**{**plain, "fit": Fit(**plain["fit"])})
        except Exception as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise UserError(
                f"{path} is damaged or of another network ({reason[:160]}); resume with the network that the run "
                "began with, or begin another run."
            ) from error
        if digest != self.corpus.digest:
            raise UserError(
                f"{path} was trained on another corpus (digest {digest}, not {self.corpus.digest}); resume with the "
                "levels that the run began with, or begin another run."
            )


def _mixed(seed: int, step: int, use: int) -> int:
    """Returns a seed for a step's draws of some use."""
    return int(np.random.SeedSequence([seed, step, use]).generate_state(1, np.uint64)[0] >> np.uint64(1))
