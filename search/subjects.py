"""What is searched for, and what a search tries: subjects, and candidates that are trained and measured."""

from __future__ import annotations

import json
import math
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents import training as designer_training
from agents.designer import PolicyDesigner
from agents.evaluation import compare
from agents.interface import Interface
from agents.networks import DesignerNetwork, NetworkConfig
from agents.presets import Preset, preset
from agents.rewards import RewardConfig
from agents.tasks import Task
from agents.training import PPOConfig
from envs import get_problem
from envs.evaluation import Estimate, bootstrap
from generators.corpus import Corpus, CorpusOptions, load_corpus
from generators.generator import Fit, FitOptions, Generator
from generators.judging.judgement import Yardstick, judge
from generators.kept_corpus import load_kept_corpus
from generators.neural import NeuralGenerator
from generators.options import options_of
from generators.suite import get_family, make_generator
from generators.training import CHECKPOINT_FILE, TrainingStoppedError
from search.costs import generator_costs, policy_costs
from search.inheritance import inherit
from search.objectives import Kind, objectives_of
from search.proxies import generator_proxies, policy_proxies
from search.space import Settings, Space

#: Where the folder of a study keeps the corpus.
CORPUS_FILE = "corpus.npz"

#: On how many held-out levels a likelihood is measured.
_SCORED = 300

#: The seconds that the search for one set of levels far apart may take: there is one for each hundred samples.
_CLIQUE_SECONDS = 2.0

#: Figures of generators, and what the evaluator calls them.
_JUDGED = {
    "joint": "all three",
    "playable": "playable",
    "novel": "novel",
    "unique": "unique",
    "diversity": "restricted diversity",
}


class Subject(ABC):
    """What is searched for. It can be pickled, so that any process can make its candidates."""

    #: Whether it is a generator or a designer.
    kind: ClassVar[Kind]

    @abstractmethod
    def space(self) -> Space:
        """Returns what may be chosen."""

    @abstractmethod
    def candidate(self, settings: Settings, seed: int) -> Candidate:
        """Returns an untrained candidate; equal seeds give equal ones.

        Args:
            settings: part, field, value; what is left out has its default.
            seed: of its weights, and of all draws in its training.

        Raises:
            UserError: the settings cannot be used.
        """

    def default(self) -> Settings:
        """Returns the settings that a search begins with."""
        return self.space().default()

    def figures(self) -> tuple[str, ...]:
        """Returns the names of the objectives that its candidates know."""
        return tuple(objectives_of(self.kind))

    @property
    @abstractmethod
    def title(self) -> str:
        """What people call it."""


class Candidate(ABC):
    """One architecture in training.

    Attributes:
        diverged: whether a training came to numbers that are not finite. The candidate then has the weights from before
            it, so that it is measured as bad as it is, and no trial is lost.
        rungs: how many trainings it has had.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.diverged = False
        self.rungs = 0

    def rung_seed(self) -> int:
        """Returns a seed for the draws of the next training."""
        return int(np.random.SeedSequence([self.seed, self.rungs]).generate_state(1)[0] >> 1)

    @abstractmethod
    def train(self, minutes: float, steps: int, levels_share: float, folder: Path | None) -> None:
        """Trains for one rung: goes on from the weights it has, with a learning-rate schedule of its own.

        Args:
            minutes: of a processor; 0 for no limit.
            steps: updates of a generator, environment steps of a designer; equal seeds then give equal results. 0 for
                no limit.
            levels_share: the share of the training levels to learn from, the first ones, above 0 and at most 1.
                Designers learn from no corpus: for them it changes nothing.
            folder: where `rung-N/metrics.csv` goes; None keeps nothing.

        Raises:
            UserError: a budget cannot be used, or a file cannot be written.
        """

    @abstractmethod
    def measure(self, levels: int, seed: int) -> dict[str, float]:
        """Returns all figures that training changes, by the names of `search.objectives`.

        Figures with an interval have its ends by NAME_low and NAME_high (95 %, bootstrap); `diverged` is 1 where a
        training came to numbers that are not finite.

        Args:
            levels: how many levels are sampled, or designed from new start levels.
            seed: of these, and of the intervals.
        """

    @abstractmethod
    def costs(self) -> dict[str, float]:
        """Returns what a level or an action costs with the weights as they are; see `search.costs`."""

    @abstractmethod
    def proxies(self) -> dict[str, float]:
        """Returns what the untrained network tells, NaN where that is nothing; see `search.proxies`."""

    @abstractmethod
    def inherit(self, weights: Mapping[str, NDArray]) -> float:
        """Takes over what fits of another candidate's weights; returns the share of its own numbers that were."""

    @abstractmethod
    def weights(self) -> dict[str, NDArray]:
        """Returns the weights by name."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Saves what was trained, in the format that the whole suite loads."""


def _with_intervals(estimates: Mapping[str, Estimate]) -> dict[str, float]:
    """Returns means by name, and the ends of their intervals by NAME_low and NAME_high."""
    found = {name: estimate.mean for name, estimate in estimates.items()}
    for name, estimate in estimates.items():
        found |= {f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return found


# Generators.


@lru_cache(maxsize=2)
def _loaded(problem: str, options: CorpusOptions, file: Path | None) -> Corpus:
    """Returns a corpus, which a process loads once."""
    return load_corpus(problem, options) if file is None else load_kept_corpus(problem, options, file)


@dataclass(frozen=True)
class GeneratorSubject(Subject):
    """A family of generators that learns the levels of a problem.

    Attributes:
        family: its name.
        problem: the problem's name.
        corpus: which levels.
        conditions: the metrics that levels can be asked for by; None takes all that differ among training levels.
        fit: how to train, where the space says nothing; budgets and seeds are the candidates'.
        sampling: options of the family's sampling, where the space says nothing.
        seconds: the time that the solver may take for a level.
        folder: of the study, which keeps the corpus for all processes; None where each loads it for itself.
    """

    kind: ClassVar[Kind] = "generator"

    family: str
    problem: str
    corpus: CorpusOptions = field(default_factory=CorpusOptions)
    conditions: tuple[str, ...] | None = None
    fit: FitOptions = field(default_factory=FitOptions)
    sampling: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.3
    folder: Path | None = None

    def space(self) -> Space:
        """Returns what the family declares, beginning with the options of this subject."""
        space = Space.of_family(self.family)
        kind = get_family(self.family)
        assert issubclass(kind, NeuralGenerator)
        sampling: Any = options_of(kind.Sampling, self.sampling, f"sampling option of {self.family}")
        return replace(space, defaults={**space.defaults, "fit": kind.resolved(self.fit), "sampling": sampling})

    def levels(self) -> Corpus:
        """Returns the corpus; a process loads it once.

        Raises:
            UserError: it cannot be had.
        """
        return _loaded(self.problem, self.corpus, None if self.folder is None else self.folder / CORPUS_FILE)

    def candidate(self, settings: Settings, seed: int) -> GeneratorCandidate:
        """Returns an untrained candidate; see `Subject.candidate`."""
        return GeneratorCandidate(self, settings, seed)

    def figures(self) -> tuple[str, ...]:
        """Returns the names of the objectives that its candidates know; see `Subject.figures`."""
        tells = get_family(self.family).score is not Generator.score
        return tuple(name for name in super().figures() if name != "nats" or tells)

    @property
    def title(self) -> str:
        """What people call it."""
        return f"{self.family} on {self.problem}"


class GeneratorCandidate(Candidate):
    """A generator in training.

    Args:
        subject: what it is one of.
        settings: its architecture, and how it is trained.
        seed: see `Subject.candidate`.
    """

    def __init__(self, subject: GeneratorSubject, settings: Settings, seed: int) -> None:
        super().__init__(seed)
        self.subject = subject
        self.corpus = subject.levels()
        configs = subject.space().configs(settings)
        self.options: FitOptions = configs["fit"]
        self.sampling = asdict(configs["sampling"])
        generator = make_generator(subject.family, self.corpus, subject.conditions, **asdict(configs["model"]))
        assert isinstance(generator, NeuralGenerator)
        generator.to(self.options.device)
        generator.prepare(self.corpus, self.options)
        generator.network = generator.new_network(seed)
        self.generator = generator
        self.done = Fit()

    def train(self, minutes: float, steps: int, levels_share: float, folder: Path | None) -> None:
        """Trains for one rung; see `Candidate.train`."""
        options = replace(self.options, minutes=minutes, steps=steps, processor_time=True, seed=self.rung_seed())
        self.rungs += 1
        place = None if folder is None else folder / f"rung-{self.rungs}"
        if place is not None:
            place.mkdir(parents=True, exist_ok=True)
        before = self.weights()
        try:
            fit = self.generator.fit(self.corpus.beginning(levels_share), options, place, weights=before)
        except TrainingStoppedError:
            fit = Fit(held_out=math.nan)
        if place is not None:
            # Nobody goes on from within a rung.
            (place / CHECKPOINT_FILE).unlink(missing_ok=True)
        if not math.isfinite(fit.held_out):
            self.diverged = True
            self.generator.begin_with(before)
            self.generator.network.eval()
        done = self.done
        self.done = replace(
            fit, steps=done.steps + fit.steps, seconds=done.seconds + fit.seconds, levels=done.levels + fit.levels
        )

    def measure(self, levels: int, seed: int) -> dict[str, float]:
        """Returns all figures that training changes; see `Candidate.measure`."""
        corpus, subject = self.corpus, self.subject
        samples = self.generator.sample(levels, seed, **self.sampling)
        # Candidates are measured side by side: one thread each. What else the evaluator finds is not looked at.
        yardstick = Yardstick(
            corpus.problem, corpus.train.levels, subject.seconds, seed, workers=1, clique_seconds=_CLIQUE_SECONDS
        )
        judged = judge(yardstick, subject.family, samples, examined=1).figures()
        estimates = {name: judged[theirs] for name, theirs in _JUDGED.items()}
        scores = self.generator.score(corpus.held_out.levels[:_SCORED])
        if scores is not None:
            estimates["nats"] = bootstrap(scores.nats, seed)
        return {**_with_intervals(estimates), "diverged": float(self.diverged)}

    def costs(self) -> dict[str, float]:
        """Returns what a level costs; see `Candidate.costs`."""
        return generator_costs(self.generator, self.sampling)

    def proxies(self) -> dict[str, float]:
        """Returns what the untrained network tells; see `Candidate.proxies`."""
        return generator_proxies(self.generator, self.corpus, self.seed)

    def inherit(self, weights: Mapping[str, NDArray]) -> float:
        """Takes over what fits of another candidate's weights; see `Candidate.inherit`."""
        return inherit(self.generator.network, weights, self.generator.of_corpus)

    def weights(self) -> dict[str, NDArray]:
        """Returns copies of the weights by name."""
        return {name: array.copy() for name, array in self.generator.arrays().items()}

    def save(self, folder: Path) -> None:
        """Saves the generator; `generators.suite.load_generator` reads the folder."""
        self.generator.note(self.corpus, self.done)
        self.generator.save_pretrained(folder)


# Designers.


@dataclass(frozen=True)
class DesignerSubject(Subject):
    """A designer that learns by reinforcement.

    Attributes:
        environment: what `DesignVectorEnv` is given: problem, representation and options; plain data.
        network: the network, where the space says nothing; None takes what was measured to work.
        ppo: how to train, likewise; budgets are the candidates'.
        reward: what the learner is paid.
        device: cpu, or a CUDA device such as cuda:0.
    """

    kind: ClassVar[Kind] = "designer"

    environment: Mapping[str, Any]
    network: NetworkConfig | None = None
    ppo: PPOConfig | None = None
    reward: RewardConfig = field(default_factory=RewardConfig)
    device: str = "cpu"

    @property
    def preset(self) -> Preset:
        """What was measured to work for such designers."""
        axes = len(get_problem(self.environment["problem"]).default_shape)
        looks_ahead = self.environment.get("look_ahead", False)
        return preset(self.environment["representation"], look_ahead=looks_ahead, axes=axes)

    def task(self, network: NetworkConfig | None = None) -> Task:
        """Returns what a designer with a network is trained in."""
        chosen = self.preset
        return Task({**chosen.environment, **self.environment}, network or chosen.network, self.reward)

    @cached_property
    def interface(self) -> Interface:
        """What goes into and comes out of the network."""
        return self.task().interface

    def space(self) -> Space:
        """Returns what networks and trainings of designers declare, beginning with the options of this subject."""
        chosen = self.preset
        return Space.of_designer(self.interface, self.network or chosen.network, self.ppo or chosen.ppo)

    def candidate(self, settings: Settings, seed: int) -> DesignerCandidate:
        """Returns an untrained candidate; see `Subject.candidate`."""
        return DesignerCandidate(self, settings, seed)

    @property
    def title(self) -> str:
        """What people call it."""
        return f"{self.environment['representation']} designer for {self.environment['problem']}"


class DesignerCandidate(Candidate):
    """A designer in training.

    Args:
        subject: what it is one of.
        settings: its network, and how it is trained.
        seed: see `Subject.candidate`.
    """

    def __init__(self, subject: DesignerSubject, settings: Settings, seed: int) -> None:
        super().__init__(seed)
        self.subject = subject
        configs = subject.space().configs(settings)
        self.ppo: PPOConfig = configs["ppo"]
        self.task = subject.task(configs["network"])
        policy = self.task.make_policy(seed).to(subject.device)
        assert isinstance(policy, DesignerNetwork)
        self.policy = policy
        self.steps, self.seconds = 0, 0.0

    def train(self, minutes: float, steps: int, levels_share: float, folder: Path | None) -> None:
        """Trains for one rung by Stable-Baselines3; see `Candidate.train`."""
        from agents.sb3_training import SB3Trainer  # noqa: PLC0415 (slow to import)

        seed = self.rung_seed()
        self.rungs += 1
        ppo = replace(self.ppo, minutes=minutes, steps=steps)
        with TemporaryDirectory() as scratch:
            trainer = SB3Trainer(self.task, ppo, Path(scratch), seed=seed, device=self.subject.device)
            try:
                trainer.clock = time.process_time
                trainer.policy.load_state_dict(self.policy.state_dict())
                done = trainer.learn()
                assert isinstance(trainer.policy, DesignerNetwork)
                self.policy = trainer.policy
                self.steps, self.seconds = self.steps + done.steps, self.seconds + done.seconds
            except designer_training.TrainingStoppedError:
                self.diverged = True
            finally:
                trainer.close()
            if folder is not None:
                place = folder / f"rung-{self.rungs}"
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(Path(scratch) / designer_training.METRICS_FILE, place)

    def measure(self, levels: int, seed: int) -> dict[str, float]:
        """Returns all figures that training changes; see `Candidate.measure`."""
        rows, designs = compare([self._designer()], levels, seed, self.task.environment.get("frozen_share", 0.0))
        estimates = {
            "success": rows[0].success,
            "strict_success": rows[0].strict_success,
            "return": bootstrap(designs[0].returns, seed),
        }
        return {**_with_intervals(estimates), "diverged": float(self.diverged)}

    def costs(self) -> dict[str, float]:
        """Returns what an action costs; see `Candidate.costs`."""
        return policy_costs(self.policy, self._observe, self.subject.device)

    def proxies(self) -> dict[str, float]:
        """Returns what the untrained network tells; see `Candidate.proxies`."""
        network = self.task.make_policy(self.seed)
        assert isinstance(network, DesignerNetwork)
        return policy_proxies(network, self._observe(64, "cpu"))

    def inherit(self, weights: Mapping[str, NDArray]) -> float:
        """Takes over what fits of another candidate's weights; see `Candidate.inherit`."""
        return inherit(self.policy, weights)

    def weights(self) -> dict[str, NDArray]:
        """Returns copies of the weights by name."""
        return {name: tensor.cpu().numpy().copy() for name, tensor in self.policy.state_dict().items()}

    def save(self, folder: Path) -> None:
        """Saves the designer; `PolicyDesigner.from_pretrained` reads the folder."""
        designer = self._designer()
        lines = [
            f"# {self.subject.title}",
            "",
            f"A network found by architecture search: {json.dumps(asdict(self.policy.config))}.",
            f"Trained by PPO for {self.steps:,} steps, {self.seconds:.0f} s of a processor.",
            "",
            "## Limits",
            "",
            "It designs levels of the shape that it was trained on, under the change budget that it was trained under.",
        ]
        designer.save_pretrained(folder, "\n".join(lines) + "\n")

    def _designer(self) -> PolicyDesigner:
        facts = {"training": {"steps": self.steps, "seconds": round(self.seconds, 1)}}
        return PolicyDesigner(self.policy, self.task.environment, facts, device=self.subject.device)

    def _observe(self, lanes: int, device: str | None = None) -> dict[str, Tensor]:
        """Returns what so many lanes see at first."""
        observation, _ = self.task.make_env(lanes).reset(seed=0)
        place = device or self.subject.device
        return {name: torch.as_tensor(part, device=place) for name, part in observation.items()}
