"""CycleGAN on tiles: levels of one problem are turned into another's, learned from unpaired levels (Zhu 2017)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from envs import UserError, get_problem
from envs.problem import Problem
from generators.adversarial import Critic, gradient_penalty, one_hot, straight_through
from generators.corpus import Corpus, CorpusOptions, load_corpus
from generators.decoding import decode_logits
from generators.generator import Fit, FitOptions, Report, Request
from generators.judging.patterns import mean_divergence
from generators.neural import NeuralGenerator
from generators.options import options_of
from generators.searchable import Real, Whole
from generators.spec import Condition
from generators.training import Asked, Training, adamw, descend
from generators.translation import Translator, allowed_tiles, default_source, tile_table

#: How many levels are translated for one with fixed tiles, of which the one that fits them best is taken.
_STARTS = 8

#: How many levels of a source that cannot be constructed are kept in a saved model, to sample from.
_KEPT = 256

#: The most held-out levels that are translated to see how good the translators are.
_LOOKED_AT = 200

#: The critics' updates from one penalty to the next (Karras 2020).
_PENALTY_EVERY = 2


@dataclass(frozen=True)
class CycleGanConfig:
    """The source, the networks and what they are trained for.

    Attributes:
        source: the problem whose levels are translated; "" takes the one that has most tiles in common with the
            target, of those whose constructed levels have its shape.
        source_kind: where the source's levels come from: constructed, vglc, boxoban or folder.
        source_path: the folder of all kinds but constructed.
        source_levels: the most of them to train on; 0 takes all there are, or 10,000 constructed ones.
        width: of the translators' layers.
        blocks: how many blocks a translator has: two convolutions, and a mixing of all cells (Tolstikhin 2021).
        mixed: how many mixtures of all cells a block makes.
        critic_channels: of a critic's first convolution; the next has twice as many.
        critic_features: of a critic's dense layers.
        critic_steps: the critics' updates from one of the translators to the next.
        penalty: the weight of the penalty on the critics' slopes (Gulrajani 2017).
        cycle: the weight of the cross-entropy of levels that were translated there and back.
        identity: the weight of keeping tiles that both problems have, walls where walls were, and no walls elsewhere.
        temperature: of the softmax that gradients of drawn tiles are taken of (Jang 2017).
    """

    source: str = ""
    source_kind: Literal["constructed", "vglc", "boxoban", "folder"] = "constructed"
    source_path: str = ""
    source_levels: int = 5000
    width: Annotated[int, Whole(8, 64, log=True)] = 32
    blocks: Annotated[int, Whole(1, 4)] = 2
    mixed: Annotated[int, Whole(8, 128, log=True)] = 64
    critic_channels: Annotated[int, Whole(8, 64, log=True)] = 32
    critic_features: Annotated[int, Whole(32, 256, log=True)] = 128
    critic_steps: Annotated[int, Whole(1, 4)] = 2
    penalty: Annotated[float, Real(0.1, 30.0, log=True)] = 10.0
    cycle: Annotated[float, Real(1.0, 20.0, log=True)] = 5.0
    identity: Annotated[float, Real(0.2, 10.0, log=True)] = 2.0
    temperature: Annotated[float, Real(0.3, 1.5, log=True)] = 0.7

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        if self.source:
            get_problem(self.source)
        self.levels(None, 0).check()
        if self.source_kind != "constructed" and not self.source:
            raise UserError(f"Name the problem whose levels {self.source_path} holds: give a source.")
        for name in ("width", "blocks", "mixed", "critic_channels", "critic_features", "critic_steps"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1; got {getattr(self, name)}.")
        for name in ("penalty", "cycle", "identity"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"{name} must be a finite number of at least 0; got {getattr(self, name)}.")
        if not 0 < self.temperature < math.inf:
            raise UserError(f"temperature must be a finite number above 0; got {self.temperature}.")

    def levels(self, shape: tuple[int, ...] | None, seed: int) -> CorpusOptions:
        """Returns which levels of the source are learned from."""
        return CorpusOptions(self.source_kind, self.source_path, self.source_levels, shape, seed=seed)


@dataclass(frozen=True)
class CycleGanSampling:
    """How levels are translated.

    Attributes:
        temperature: of the draw of each tile; 0 takes the likeliest.
        constrained: whether tiles are chosen so that levels keep the count rules of the target's corpus.
    """

    temperature: float = 0.0
    constrained: bool = True

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        if not 0 <= self.temperature < math.inf:
            raise UserError(f"temperature must be a finite number of at least 0; got {self.temperature}.")


class CycleGan(NeuralGenerator):
    """Two translators between two problems, and a critic for each problem.

    The generator's levels are the target's. To sample, it constructs levels of the source and translates them; a
    source of other kinds is sampled from levels that are saved with the model.

    Fixed tiles are held by construction: of some translated levels the one that makes them likeliest is decoded around
    them.
    """

    name = "cyclegan"
    title = "CycleGAN between two problems"
    paper = "Zhu 2017"
    Config = CycleGanConfig
    Sampling = CycleGanSampling
    keeps_fixed_tiles = "construction"
    small = {"source_levels": 40, "width": 8, "blocks": 1, "mixed": 8, "critic_channels": 4, "critic_features": 8}
    defaults = {
        "batch": 32,
        "learning_rate": 5e-4,
        "warm_up": 50,
        "weight_decay": 0.0,
        "clip": 10.0,
        "ema": 0.995,
    }

    #: The source's levels where a training was given them.
    _given: Corpus | None = None

    def build(self) -> nn.Module:
        """Returns the translators and critics; see `NeuralGenerator.build`."""
        config, spec = self.config, self.spec
        target = spec.task()
        #: The problem whose levels are translated.
        self.source: Problem = get_problem(config.source) if config.source else default_source(target, spec.shape)
        if config.source_kind == "constructed" and self.source.name == target.name:
            raise UserError(
                f"The source {self.source.name} is the problem of the levels themselves; choose another, or give the "
                "kind and the path of a corpus."
            )
        if len(self.source.default_shape) != len(spec.shape):
            raise UserError(
                f"Levels of {self.source.name} have {len(self.source.default_shape)} axes, those of {target.name} "
                f"{len(spec.shape)}: choose another source."
            )
        ours, theirs, shape = len(spec.tiles), len(self.source.tiles), spec.shape
        network = nn.Module()
        form = (config.width, config.blocks, config.mixed)
        network.there = Translator(theirs, ours, shape, spec.condition_size, *form, tile_table(self.source, target))
        network.back = Translator(ours, theirs, shape, 0, *form, tile_table(target, self.source))
        critic = (config.critic_channels, config.critic_features)
        network.target_critic = Critic(ours, shape, spec.condition_size, *critic)
        network.source_critic = Critic(theirs, shape, 0, *critic)
        if config.source_kind != "constructed":
            network.register_buffer("kept", torch.zeros(_KEPT, *shape, dtype=torch.uint8))
        allowed = torch.from_numpy(allowed_tiles(self.source, target))
        network.register_buffer("allowed", allowed, persistent=False)
        return network

    @property
    def _networks(self) -> Any:
        """The network, whose parts `build` names."""
        return self.network

    # Training.

    def prepare(self, corpus: Corpus, options: FitOptions) -> None:
        """Loads or constructs levels of the source, where none are at hand; see `NeuralGenerator.prepare`."""
        if self._given is None:
            self._read(load_corpus(self.source, self.config.levels(self.spec.shape, corpus.options.seed)))
        else:
            self._read(self._given)

    def _read(self, source: Corpus) -> None:
        """Takes the source's levels to learn from."""
        self._source = source
        self._figures: dict[str, Tensor] = {}
        self._sources = torch.from_numpy(source.train.levels.astype(np.int64))
        self._held_out = torch.from_numpy(source.held_out.levels[:_LOOKED_AT].astype(np.int64))

    def fit(
        self,
        corpus: Corpus,
        options: FitOptions | None = None,
        folder: Path | None = None,
        report: Report | None = None,
        resume: bool = False,
        weights: Mapping[str, NDArray] | None = None,
    ) -> Fit:
        """Loads or constructs the source's levels and trains; see `NeuralGenerator.fit`."""
        fit = super().fit(corpus, options, folder, report, resume, weights)
        source = self._source
        if self.config.source_kind != "constructed":
            chosen = np.random.default_rng(0).choice(len(source.train), _KEPT, replace=len(source.train) < _KEPT)
            self._networks.kept.copy_(torch.from_numpy(source.train.levels[chosen]))
        self.facts["source"] = source.record()
        self.facts["corpus_card"] = [*corpus.card(), "", "Translated from:", "", *source.card()]
        return fit

    def fit_pair(
        self,
        source: Corpus,
        target: Corpus,
        options: FitOptions | None = None,
        folder: Path | None = None,
        report: Report | None = None,
        resume: bool = False,
    ) -> Fit:
        """Trains between two corpora at hand.

        Args:
            source: levels of the source, of the target's shape. Where the configuration says that sources are
                constructed, they are so when levels are sampled, whatever these are.
            target: levels of the spec's problem and shape.
            options: see `Generator.fit`, as are the others.
            folder: likewise.
            report: likewise.
            resume: likewise.

        Raises:
            UserError: see `Generator.fit`; or the source is of another problem or shape.
        """
        if source.problem.name != self.source.name or source.shape != self.spec.shape:
            raise UserError(
                f"The source must be {self.source.name} levels of shape {self.spec.shape}; got {source.problem.name} "
                f"levels of shape {source.shape}."
            )
        self._given = source
        try:
            return self.fit(target, options, folder, report, resume)
        finally:
            self._given = None

    def optimisers(self, options: FitOptions) -> dict[str, torch.optim.Optimizer]:
        """Returns the translators' and the critics' optimisers."""
        network = self._networks
        parts = {
            "translators": nn.ModuleList([network.there, network.back]),
            "critics": nn.ModuleList([network.target_critic, network.source_critic]),
        }
        return {name: adamw(part, options, betas=(0.0, 0.99)) for name, part in parts.items()}

    def loss(self, levels: Tensor, asked: Asked, random: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the translators' loss against the critics as they are, on as many levels of the source."""
        config, network = self.config, self._networks
        source = self._draw_sources(len(levels), random).to(levels.device)
        real, theirs = one_hot(levels, len(self.spec.tiles)), one_hot(source, len(self.source.tiles))
        none = asked.dense[:, :0]
        logits = network.there(theirs, asked.dense)
        fake = straight_through(logits, config.temperature, random)
        back = straight_through(network.back(real, none), config.temperature, random)
        fooled = -network.target_critic(fake, asked.dense).mean() - network.source_critic(back).mean()
        cycle = functional.cross_entropy(network.back(fake, none), source)
        cycle = cycle + functional.cross_entropy(network.there(back, asked.dense), levels)
        identity = self._misplaced(logits, source)
        return fooled + config.cycle * cycle + config.identity * identity, {
            "cycle": cycle.detach(),
            "identity": identity.detach(),
        }

    def _misplaced(self, logits: Tensor, source: Tensor) -> Tensor:
        """Returns how unlikely translations are to keep the layout, nats per cell."""
        allowed = self._networks.allowed[source].movedim(-1, 1)
        return -logits.log_softmax(dim=1).masked_fill(~allowed, -math.inf).logsumexp(dim=1).mean()

    def train_step(self, levels: Tensor, asked: Asked, training: Training) -> dict[str, Tensor]:
        """Updates the critics, and at every `critic_steps`th step the translators."""
        config, network, random = self.config, self._networks, training.random
        source = self._draw_sources(len(levels), random).to(levels.device)
        real, theirs = one_hot(levels, len(self.spec.tiles)), one_hot(source, len(self.source.tiles))
        with torch.no_grad():
            fake = straight_through(network.there(theirs, asked.dense), config.temperature, random)
            back = straight_through(network.back(real, asked.dense[:, :0]), config.temperature, random)

        def judge(shown: Tensor) -> Tensor:
            scores: Tensor = network.target_critic(shown, asked.dense)
            return scores

        distance = judge(real).mean() - judge(fake).mean()
        distance_back = network.source_critic(theirs).mean() - network.source_critic(back).mean()
        loss = -distance - distance_back
        if training.step % _PENALTY_EVERY == 0:
            weight = config.penalty * _PENALTY_EVERY
            loss = loss + weight * gradient_penalty(judge, real, fake, random)
            loss = loss + weight * gradient_penalty(network.source_critic, theirs, back, random)
        critics = nn.ModuleList([network.target_critic, network.source_critic])
        descend(loss, training.optimisers["critics"], training.options)
        figures = {"loss": (distance + distance_back).detach()}
        if training.step % config.critic_steps == 0:
            critics.requires_grad_(False)
            translators, found = self.loss(levels, asked, random)
            descend(translators, training.optimisers["translators"], training.options)
            critics.requires_grad_(True)
            self._figures = found
        return {**figures, **self._figures}

    def held_out_score(self, levels: Tensor, asked: Asked, training: Training) -> float:
        """Returns how bad translations of held-out levels of the source are.

        It is their tile-pattern divergence from held-out levels of the target (Lucas 2019), the share of the source's
        cells that do not come back, and the share whose tile does not fit the layout.
        """
        source = self._held_out.to(levels.device)
        told = asked.dense[torch.arange(len(source)) % len(levels)]
        chosen = self._networks.there(one_hot(source, len(self.source.tiles)), told).argmax(dim=1)
        again = self._networks.back(one_hot(chosen, len(self.spec.tiles)), told[:, :0]).argmax(dim=1)
        kept = self._networks.allowed[source, chosen].float().mean()
        divergence = mean_divergence(chosen.cpu().numpy().astype(np.uint8), levels.cpu().numpy().astype(np.uint8))
        return divergence + float((again != source).float().mean()) + 1 - float(kept)

    def _draw_sources(self, n: int, random: torch.Generator) -> Tensor:
        return self._sources[torch.randint(len(self._sources), (n,), generator=random)]

    # Translation.

    def translate(
        self, levels: NDArray[np.uint8], seed: int = 0, condition: Condition | None = None, **sampling: Any
    ) -> NDArray[np.uint8]:
        """Translates levels of the source into the target's.

        Args:
            levels: uint8 (n, *shape) of the source.
            seed: fixes the draws, of which there are none at temperature 0.
            condition: what the translations are asked to be; see `Generator.sample`.
            **sampling: options of `Sampling`.

        Returns:
            uint8 (n, *shape) of the target.

        Raises:
            UserError: the levels, a condition or an option cannot be used.
        """
        batch = self._checked(levels, self.source)
        values, labels = self.spec.values(condition, len(batch))
        options: Any = options_of(self.Sampling, sampling, f"sampling option of {self.name}")
        random = torch.Generator().manual_seed(seed)

        def part(first: int, last: int) -> NDArray[np.uint8]:
            asked = Asked.of(self.spec, values[first:last], labels[first:last], self.device)
            return self._decoded(self._logits(batch[first:last], asked.dense), None, options, random)

        return self._in_parts(len(batch), part)

    def translate_back(self, levels: NDArray[np.uint8], seed: int = 0, temperature: float = 0.0) -> NDArray[np.uint8]:
        """Translates levels of the target into the source's; they are not held to any count rules.

        Args:
            levels: uint8 (n, *shape) of the target.
            seed: fixes the draws, of which there are none at temperature 0.
            temperature: of the draws.

        Returns:
            uint8 (n, *shape) of the source.

        Raises:
            UserError: the levels or the temperature cannot be used.
        """
        batch = self._checked(levels, self.spec.task())
        options = CycleGanSampling(temperature, False)
        options.check()
        random = torch.Generator().manual_seed(seed)

        def part(first: int, last: int) -> NDArray[np.uint8]:
            shown = torch.from_numpy(batch[first:last].astype(np.int64)).to(self.device)
            none = torch.zeros(len(shown), 0, device=self.device)
            return self._decoded(self._networks.back(one_hot(shown, len(self.spec.tiles)), none), None, options, random)

        return self._in_parts(len(batch), part)

    def _checked(self, levels: Any, problem: Problem) -> NDArray[np.uint8]:
        batch = problem.check_levels(levels)
        if batch.shape[1:] != self.spec.shape:
            raise UserError(f"The translators are for levels of shape {self.spec.shape}; got {batch.shape[1:]}.")
        return batch

    def _in_parts(self, n: int, part: Callable[[int, int], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        self.network.eval()
        with torch.no_grad():
            return np.concatenate([part(i, min(i + self.chunk, n)) for i in range(0, n, self.chunk)])

    def _logits(self, source: NDArray[np.uint8], asked: Tensor) -> Tensor:
        shown = torch.from_numpy(source.astype(np.int64)).to(self.device)
        logits: Tensor = self._networks.there(one_hot(shown, len(self.source.tiles)), asked)
        return logits

    def _decoded(
        self, logits: Tensor, fixed: NDArray[np.int16] | None, sampling: CycleGanSampling, random: torch.Generator
    ) -> NDArray[np.uint8]:
        cells = logits.flatten(2).transpose(1, 2)
        levels = decode_logits(cells, self.spec, random, sampling.temperature, fixed, sampling.constrained)
        return levels.reshape(len(logits), *self.spec.shape)

    def source_levels(self, n: int, seed: int) -> NDArray[np.uint8]:
        """Returns levels of the source to translate, uint8 (n, *shape): constructed, or drawn from those kept."""
        if self.config.source_kind == "constructed":
            seeds = np.random.SeedSequence([seed, 77]).generate_state(n, np.uint64).astype(np.uint64, copy=False)
            return self.source.construct(seeds, self.spec.shape)
        kept: NDArray[np.uint8] = self._networks.kept.cpu().numpy()
        return kept[np.random.default_rng([seed, 77]).integers(len(kept), size=n)]

    def generate(
        self, request: Request, asked: Asked, sampling: CycleGanSampling, random: torch.Generator
    ) -> NDArray[np.uint8]:
        """Translates levels of the source; see `NeuralGenerator.generate`."""
        if request.fixed is None:
            source = self.source_levels(request.n, request.seed)
            return self._decoded(self._logits(source, asked.dense), None, sampling, random)
        source = self.source_levels(request.n * _STARTS, request.seed)
        logits = self._logits(source, asked.dense.repeat_interleave(_STARTS, dim=0))
        wanted = torch.from_numpy(request.fixed.astype(np.int64)).to(self.device).repeat_interleave(_STARTS, dim=0)
        misfit = functional.cross_entropy(logits, wanted, ignore_index=-1, reduction="none").flatten(1).sum(dim=1)
        best = misfit.view(request.n, _STARTS).argmin(dim=1)
        chosen = logits.view(request.n, _STARTS, *logits.shape[1:])[torch.arange(request.n), best]
        return self._decoded(chosen, request.fixed, sampling, random)

    def card(self) -> str:
        """Returns the text of the model's card; see `Generator.card`."""
        lines = [f"Levels are translated from {self.source.name}."]
        if self.config.source_kind != "constructed":
            lines.append(f"The model holds {_KEPT} of the source's levels to sample from; their licence goes with it.")
        return super().card() + "\n".join(lines) + "\n"


FAMILY = CycleGan
