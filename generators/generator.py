"""What every generator of levels can do: be fitted to a corpus, sample, score, be saved and loaded."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays

from envs import UserError
from generators.corpus import Corpus
from generators.options import NoOptions, check_threads
from generators.sampling import LevelSource
from generators.saving import save_model
from generators.searchable import Real, Whole
from generators.spec import Condition, LevelSpec
from generators.storage import STORAGE, pack

#: What config.json calls the folder of a saved generator.
KIND = "generator"


@dataclass(frozen=True)
class FitOptions:
    """How a generator is trained. What is None is the family's own choice.

    Attributes:
        minutes: stop after so much training time; the learning rate falls to zero by then. 0 for no limit.
        steps: stop after so many updates; equal seeds then give equal results. 0 for no limit.
        batch: levels in an update.
        learning_rate: at its highest.
        warm_up: the updates during which the learning rate rises, for a tenth of the training at most.
        weight_decay: of AdamW (Loshchilov 2019).
        clip: gradients are scaled down to this norm.
        ema: the decay of the moving average of the weights that levels are sampled by; 0 takes the weights themselves.
        condition_dropout: how often each condition is left out of what the network is told, so that it can do without.
        symmetries: whether the problem's symmetries give more levels.
        balance: "" draws training levels alike; a metric's name, or "label", draws as often from each of its buckets.
        patience: stop when the held-out score was not better for so many looks at it, of which there are 20 in a
            training; 0 never stops early.
        seed: fixes weights, batches and draws.
        processor_time: whether `minutes` count what the training has had of a processor, where the machine is shared
            with other work, and not what the clock on the wall tells.
        threads: torch's threads; one is fastest for networks this small.
        device: cpu, or a CUDA device such as cuda:0.
    """

    minutes: float = 5.0
    steps: int = 0
    batch: Annotated[int | None, Whole(8, 256, log=True)] = None
    learning_rate: Annotated[float | None, Real(1e-4, 1e-2, log=True)] = None
    warm_up: int | None = None
    weight_decay: Annotated[float | None, Real(0.0, 0.2)] = None
    clip: float | None = None
    ema: Annotated[float | None, Real(0.95, 0.9995)] = None
    condition_dropout: float = 0.3
    symmetries: bool = True
    balance: str = ""
    patience: int = 8
    seed: int = 0
    processor_time: bool = False
    threads: int = 1
    device: str = "cpu"

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        for name, value in asdict(self).items():
            if isinstance(value, (int, float)) and not (math.isfinite(value) and value >= 0):
                raise UserError(f"{name} must be a finite number of at least 0; got {value}.")
        if not self.minutes and not self.steps:
            raise UserError("Give a training time or a number of steps above 0; got minutes=0 and steps=0.")
        if self.batch is not None and self.batch < 1:
            raise UserError(f"batch must be at least 1; got {self.batch}.")
        check_threads(self.threads)
        for name in ("ema", "condition_dropout"):
            given = getattr(self, name)
            if given is not None and given >= 1:
                raise UserError(f"{name} must be below 1; got {given}.")
        if self.learning_rate == 0:
            raise UserError("learning_rate must be above 0.")


@dataclass
class Fit:
    """How far a training is.

    Attributes:
        steps: updates made.
        seconds: training time spent, in all the processes that worked on it; see `FitOptions.processor_time`.
        levels: training levels shown, each as often as it was.
        held_out: the best held-out score, the less the better; NaN before the first look.
        best_step: the update at which it was.
        stopped_early: whether the held-out score ended the training.
        figures: the latest means of what the family reports.
    """

    steps: int = 0
    seconds: float = 0.0
    levels: int = 0
    held_out: float = math.nan
    best_step: int = 0
    stopped_early: bool = False
    figures: dict[str, float] = field(default_factory=dict)


#: Called now and then in a training with how far it is, and the share of it that is done.
Report = Callable[[Fit, float], None]


@dataclass(frozen=True)
class Scores:
    """What a generator thinks of levels.

    Attributes:
        nats: float64 (n,), the mean negative log-likelihood of a tile, in nats.
        predicted: uint8 (n, *shape), the tile that it takes for the likeliest in each cell, given what it knows of the
            others by its own order; or None.
        bound: whether `nats` is an upper bound on the negative log-likelihood and not its value.
        note: what the model was told when it predicted, in one sentence.
    """

    nats: NDArray[np.float64]
    predicted: NDArray[np.uint8] | None
    bound: bool = False
    note: str = "each tile given those before it"


class Generator(LevelSource):
    """A model fitted to levels that samples levels. One file in `generators/families/` defines one subclass.

    Args:
        spec: what the levels are.
        config: the family's own configuration; None takes its defaults.
    """

    #: The family's name on command lines, and what tables call it.
    name: str
    title: str
    #: Where it was published ("Kingma 2014").
    paper: ClassVar[str]
    #: Whether it is one of those that the others must be compared with.
    baseline: ClassVar[bool] = False
    #: Frozen dataclasses: the model's configuration, and the options of its sampling.
    Config: ClassVar[type] = NoOptions
    Sampling: type = NoOptions
    #: Whether fixed tiles are held by construction, or by taking the candidate that comes nearest and writing them in.
    keeps_fixed_tiles: Literal["construction", "resampling"] = "resampling"
    #: Whether count rules are kept by construction, but where the sampling option `constrained` is False.
    holds_counts: bool = False
    #: How many levels are sampled at a time.
    chunk: int = 256
    #: Fields of Config, as small as the family can be, for checks that train it in a moment.
    small: ClassVar[Mapping[str, Any]] = {}
    #: Whether levels can be asked for by their metrics and classes.
    conditional: ClassVar[bool] = True
    #: How many axes of levels the family can do.
    axes: ClassVar[tuple[int, ...]] = (2,)

    def __init__(self, spec: LevelSpec, config: Any = None) -> None:
        if len(spec.shape) not in self.axes:
            raise UserError(
                f"{self.title} learns levels of {' or '.join(map(str, self.axes))} axes; those of {spec.problem} have "
                f"{len(spec.shape)}: choose another family."
            )
        self.spec = spec
        self.config = self.Config() if config is None else config
        if not isinstance(self.config, self.Config):
            raise TypeError(f"{self.name} takes a {self.Config.__qualname__}; got {type(config).__name__}.")
        #: What else the saved configuration says: corpus, training, scores; plain data.
        self.facts: dict[str, Any] = {}

    # What a family defines.

    @abstractmethod
    def fit(
        self,
        corpus: Corpus,
        options: FitOptions | None = None,
        folder: Path | None = None,
        report: Report | None = None,
        resume: bool = False,
    ) -> Fit:
        """Fits the model to a corpus.

        Args:
            corpus: levels of the spec's problem and shape.
            options: how to train.
            folder: where checkpoints and metrics.csv go; None keeps none.
            report: called now and then.
            resume: go on from the checkpoint in the folder.

        Raises:
            UserError: an option or the corpus cannot be used, or a file cannot be written.
        """

    @abstractmethod
    def arrays(self) -> dict[str, NDArray]:
        """Returns all that was learned, by name."""

    @abstractmethod
    def restore(self, arrays: Mapping[str, NDArray]) -> None:
        """Takes over what `arrays` returned.

        Raises:
            ValueError, KeyError, RuntimeError: it is another model's.
        """

    def score(self, levels: NDArray[np.uint8], condition: Condition | None = None) -> Scores | None:
        """Returns what the model thinks of levels, uint8 (n, *shape); None where the family cannot tell."""
        return None

    @classmethod
    def check_size(cls, spec: LevelSpec, config: Any, numbers: int) -> None:
        """Raises ValueError where a model would have far more than so many numbers; it does not make the model."""

    # What all families share.

    def check_corpus(self, corpus: Corpus) -> None:
        """Raises UserError where a corpus is not of the spec's problem and shape."""
        if corpus.problem.name != self.spec.problem or corpus.shape != self.spec.shape:
            raise UserError(
                f"The generator is for {self.spec.problem} levels of shape {self.spec.shape}; the corpus has "
                f"{corpus.problem.name} levels of shape {corpus.shape}."
            )

    def check_levels(self, levels: Any) -> NDArray[np.uint8]:
        """Returns levels as uint8 (n, *shape), or raises UserError where they are not of the spec's shape."""
        batch = self.spec.task().check_levels(levels)
        if batch.shape[1:] != self.spec.shape:
            raise UserError(
                f"The generator is for {self.spec.problem} levels of shape {self.spec.shape}; got {batch.shape[1:]}."
            )
        return batch

    def note(self, corpus: Corpus, fit: Fit) -> Fit:
        """Keeps in `facts` what the generator was fitted to, and how; returns the fit."""
        self.facts["corpus"] = corpus.record()
        self.facts["corpus_card"] = corpus.card()
        self.facts["fit"] = asdict(fit)
        return fit

    def parameters(self) -> int:
        """Returns how many numbers the model has learned."""
        return int(sum(array.size for array in self.arrays().values()))

    def save_pretrained(self, folder: Path | str, card: str = "") -> None:
        """Saves the generator as a folder: config.json, model.safetensors and card.md.

        Args:
            folder: made if it does not exist.
            card: the text of the card; by default what the generator knows of itself.

        Raises:
            UserError: the folder cannot be written; files that were there stay whole.
        """
        config = {
            "kind": KIND,
            "family": self.name,
            "spec": self.spec.plain(),
            "config": asdict(self.config),
            **self.facts,
        }
        save_model(folder, "generator", config, pack(self.arrays(), self.facts.get(STORAGE, "")), card or self.card())

    def card(self) -> str:
        """Returns the text of the model's card: what it is, what it learned from, what it is asked by."""
        spec = self.spec
        asked = ", ".join(f"{metric.name} ({metric.low:g} to {metric.high:g})" for metric in spec.conditions)
        lines = [
            f"# {self.title} for {spec.problem}",
            "",
            f"Family `{self.name}` ({self.paper}); levels of shape {spec.shape}.",
            f"Tiles: {', '.join(spec.tiles)}.",
            f"{self.parameters():,} learned numbers. Fixed tiles are held by {self.keeps_fixed_tiles}.",
            f"It can be asked for: {asked or 'nothing'}{'; label: ' + ', '.join(spec.labels) if spec.labels else ''}.",
            "",
            "## Data",
            "",
            *self.facts.get("corpus_card", ["Not recorded."]),
            "",
            "## Limits",
            "",
            "Sampled levels are not proved playable: solve them, or repair them, before people play them. The model",
            "knows its corpus's kind of level and no other.",
        ]
        return "\n".join(lines) + "\n"


def load_arrays_of(path: Path) -> dict[str, NDArray]:
    """Reads a file of learned numbers.

    Raises:
        UserError: it is missing or damaged, or holds what is no finite number.
    """
    try:
        arrays: dict[str, NDArray] = load_arrays(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; save the generator again.") from error
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}); save the generator again.") from error
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise UserError(f"{path} is damaged ({name} is of {array.dtype}); save the generator again.")
        if not np.isfinite(array).all():
            raise UserError(f"{path} is damaged ({name} holds what is no finite number); train the generator again.")
    return arrays
