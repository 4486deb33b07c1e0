"""What all generators with a network share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

from generators.corpus import Corpus
from generators.devices import check_device
from generators.generator import Fit, FitOptions, Generator, Report
from generators.graphs import Graph, TorchNetworks
from generators.integers import to_floats
from generators.options import NoOptions
from generators.sampler import LatentSampler, Sampler
from generators.sampling import Request
from generators.spec import LevelSpec
from generators.storage import STORAGE
from generators.training import Asked, Fitting, Training, adamw, descend

#: How many held-out levels are looked at at a time: small batches stay in the processor's cache.
_LOOKED_AT_ONCE = 64

#: What FitOptions leave to the family, where the family says nothing.
_DEFAULTS = {"batch": 128, "learning_rate": 1e-3, "warm_up": 100, "weight_decay": 0.01, "clip": 1.0, "ema": 0.995}


@dataclass(frozen=True)
class Predictions:
    """What a network takes for likely in each decision on levels, told what is true of all decisions before it.

    Attributes:
        logits: float32 (b, decisions, symbols), up to a constant for each decision.
        symbols: int64 (b, decisions), what is true.
        real: bool (b, decisions), whether there is such a decision on a level.
    """

    logits: Tensor
    symbols: Tensor
    real: Tensor


class NeuralGenerator(Generator):
    """A generator with a network.

    A family defines `build`, `loss` and `graphs`, and names its `Sampler`, which is in `generators/samplers/`; one that
    is not trained by a single loss overrides `train_step`, `optimisers` and `held_out_score`.
    """

    #: What draws its levels, from its graphs.
    Sampler: ClassVar[type[Sampler]]
    holds_counts = True
    #: What FitOptions leave to the family.
    defaults: ClassVar[Mapping[str, Any]] = {}
    #: The shares of the training at which its stages end. Each has its own early stopping, learning rate and best
    #: weights.
    stages: ClassVar[tuple[float, ...]] = (1.0,)
    #: The names of those arrays that follow from the corpus and are not learned.
    of_corpus: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, spec: LevelSpec, config: Any = None) -> None:
        super().__init__(spec, config)
        self.device = "cpu"
        self.network = self.new_network(0)

    # What a family defines.

    @abstractmethod
    def build(self) -> nn.Module:
        """Returns the network, with its first weights drawn by torch's global generator."""

    @abstractmethod
    def loss(self, levels: Tensor, asked: Asked, random: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns what is to be made small.

        Args:
            levels: int64 (b, *shape).
            asked: what the levels were asked to be, as they are, with some conditions left out.
            random: the source of all draws (a generator of the CPU).

        Returns:
            A scalar, and scalars to report by name.
        """

    @abstractmethod
    def graphs(self) -> dict[str, Graph]:
        """Returns the parts of the network that its sampler calls, by name."""

    def settings(self) -> Any:
        """Returns what the sampler has to know besides, its `Settings`."""
        return NoOptions()

    def predict(self, levels: Tensor, asked: Asked) -> Predictions | None:
        """Returns what the network takes for likely in levels, with gradients; None where the family cannot tell.

        Args:
            levels: int64 (b, *shape).
            asked: what the levels were asked to be.
        """
        return None

    def optimisers(self, options: FitOptions) -> dict[str, torch.optim.Optimizer]:
        """Returns the optimisers by name, each with the highest learning rate of its groups."""
        return {"network": adamw(self.network, options)}

    def train_step(self, levels: Tensor, asked: Asked, training: Training) -> dict[str, Tensor]:
        """Makes one update; returns scalars to report by name."""
        loss, figures = self.loss(levels, asked, training.random)
        descend(loss, training.optimisers["network"], training.options)
        return {"loss": loss.detach(), **figures}

    def held_out_score(self, levels: Tensor, asked: Asked, training: Training) -> float:
        """Returns how bad the network is on held-out levels, int64 (n, *shape): here its mean loss."""
        random = torch.Generator().manual_seed(1)
        total = 0.0
        size = _LOOKED_AT_ONCE
        for first in range(0, len(levels), size):
            part = levels[first : first + size]
            told = Asked(asked.dense[first : first + size], asked.buckets[first : first + size])
            total += float(self.loss(part, told, random)[0]) * len(part)
        return total / len(levels)

    def prepare(self, corpus: Corpus, options: FitOptions) -> None:
        """Called before a network is made for a corpus: takes over what follows from it and is not learned.

        Raises:
            UserError: there is nothing to learn from it.
        """

    def stage_began(self, stage: int, levels: Tensor, training: Training) -> None:
        """Called before the first update of each stage but the first, with the training levels."""

    # What all families share.

    def to(self, device: str) -> NeuralGenerator:
        """Moves the network to a device; returns the generator."""
        self.device = check_device(device)
        self.network.to(device)
        return self

    def draw(self, request: Request, sampling: Any) -> NDArray[np.uint8]:
        """Samples at most `chunk` levels; see `Generator.draw`."""
        return self.sampler().draw(request, sampling)

    def sampler(self) -> Any:
        """Returns what draws levels, by torch, from the network as it is; the network is then in evaluation mode."""
        self.network.eval()
        return self.Sampler(self.spec, self.settings(), TorchNetworks(self.network, self.graphs()))

    def latent_sampler(self) -> LatentSampler | None:
        """Returns what makes levels of latents; see `LevelSource.latent_sampler`."""
        if not issubclass(self.Sampler, LatentSampler):
            return None
        # With products of whole numbers a level would depend on those that are decoded with it.
        to_floats(self.network)
        found: LatentSampler = self.sampler()
        return found

    def arrays(self) -> dict[str, NDArray]:
        """Returns the network's weights by name."""
        return {name: tensor.detach().cpu().numpy() for name, tensor in self.network.state_dict().items()}

    def restore(self, arrays: Mapping[str, NDArray]) -> None:
        """Takes over weights; see `Generator.restore`."""
        # Copies, for a file's arrays cannot be written to.
        self.network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})

    def parameters(self) -> int:
        """Returns how many weights the network has."""
        return sum(weights.numel() for weights in self.network.parameters())

    def fit(
        self,
        corpus: Corpus,
        options: FitOptions | None = None,
        folder: Path | None = None,
        report: Report | None = None,
        resume: bool = False,
        weights: Mapping[str, NDArray] | None = None,
    ) -> Fit:
        """Trains the network; see `Generator.fit`.

        In the end it has the weights that did best on the held-out levels.

        Args:
            corpus: see `Generator.fit`, as are the others.
            options: likewise.
            folder: likewise.
            report: likewise.
            resume: likewise.
            weights: what to begin with, as `arrays` returns it; None draws fresh weights.

        Raises:
            TrainingStoppedError: a loss is no longer a finite number; the checkpoint is named.
        """
        # Whole numbers cannot be trained: what comes of it is kept as it is.
        self.facts.pop(STORAGE, None)
        return Fitting(self, corpus, options or FitOptions(), folder, report, weights).run(resume)

    @classmethod
    def resolved(cls, options: FitOptions) -> FitOptions:
        """Returns options with the family's own choices for what is None."""
        options.check()
        chosen = {**_DEFAULTS, **cls.defaults}
        return replace(options, **{name: value for name, value in chosen.items() if getattr(options, name) is None})

    def begin_with(self, arrays: Mapping[str, NDArray]) -> None:
        """Takes over what another network of the same form has learned, and keeps what follows from the corpus.

        Args:
            arrays: as `arrays` returns them.

        Raises:
            RuntimeError: they are those of another network.
        """
        own = self.network.state_dict()
        taken = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
        self.network.load_state_dict({**taken, **{name: own[name] for name in self.of_corpus}})

    def new_network(self, seed: int) -> nn.Module:
        """Returns the network with first weights that follow from a seed, on the generator's device."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = self.build()
            return network if torch.get_default_device().type == "meta" else network.to(self.device)

    @classmethod
    def check_size(cls, spec: LevelSpec, config: Any, numbers: int) -> None:
        """Raises ValueError where the network would have far more than so many weights; no memory is taken for them.

        The network of a damaged configuration may be larger than any machine, or take hours to be put together.
        """
        found = 0

        def count(module: nn.Module, name: str, tensor: Tensor | None) -> None:
            nonlocal found
            found += 0 if tensor is None else tensor.numel()
            # What is tied or made anew at each start is counted and not saved.
            if found > 8 * numbers + 1_000_000:
                raise ValueError(f"config.json describes far more than the {numbers} numbers that were saved")

        hooks = [register_module_parameter_registration_hook(count), register_module_buffer_registration_hook(count)]
        try:
            with torch.device("meta"):
                cls(spec, config)
        finally:
            for hook in hooks:
                hook.remove()
