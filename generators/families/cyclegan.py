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
from generators.draws import Draws
from generators.generator import Fit, FitOptions, Report
from generators.graphs import Graph
from generators.judging.patterns import mean_divergence
from generators.neural import NeuralGenerator
from generators.samplers.cyclegan import CycleGanSampler, CycleGanSettings
from generators.searchable import Real, Whole
from generators.spec import Condition
from generators.training import Asked, Training, adamw, descend
from generators.translation import Translator, allowed_tiles, default_source, tile_table

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
    Sampler, Sampling = CycleGanSampler, CycleGanSampler.Sampling
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
        options = self.sampling_options(**sampling)
        request, sampler = self.request(len(batch), seed, condition), self.sampler()

        def part(some: slice) -> NDArray[np.uint8]:
            asked = request.part(some)
            (logits,) = sampler.networks("translate", batch[some].astype(np.int64), sampler.dense(asked))
            levels: NDArray[np.uint8] = sampler.decoded(logits, None, options, asked.draws())
            return levels

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
        options = self.Sampling(temperature, False)
        options.check()
        seeds = self.request(len(batch), seed).seeds
        self.network.eval()

        def part(some: slice) -> NDArray[np.uint8]:
            shown = torch.from_numpy(batch[some].astype(np.int64)).to(self.device)
            with torch.no_grad():
                logits = self._networks.back(one_hot(shown, len(self.spec.tiles)), shown.new_zeros(len(shown), 0))
            cells = logits.flatten(2).transpose(1, 2).cpu().numpy()
            # The spec is the target's, whose rules are none of the source's: they are not asked for.
            found = decode_logits(cells, self.spec, Draws(seeds[some]), temperature, constrained=False)
            return found.reshape(-1, *self.spec.shape)

        return self._in_parts(len(batch), part)

    def _checked(self, levels: Any, problem: Problem) -> NDArray[np.uint8]:
        batch = problem.check_levels(levels)
        if batch.shape[1:] != self.spec.shape:
            raise UserError(f"The translators are for levels of shape {self.spec.shape}; got {batch.shape[1:]}.")
        return batch

    def _in_parts(self, n: int, part: Callable[[slice], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        return np.concatenate([part(slice(i, min(i + self.chunk, n))) for i in range(0, n, self.chunk)])

    def source_levels(self, n: int, seed: int) -> NDArray[np.uint8]:
        """Returns the levels of the source that `sample` translates for a seed, uint8 (n, *shape)."""
        found: NDArray[np.int64] = self.sampler().sources(self.request(n, seed).draws(), 1)
        return found[:, 0].astype(np.uint8)

    def settings(self) -> CycleGanSettings:
        """Returns what the sampler has to know; see `NeuralGenerator.settings`."""
        return CycleGanSettings(self.source.name, 0 if self.config.source_kind == "constructed" else _KEPT)

    def graphs(self) -> dict[str, Graph]:
        """Returns the translator to the target, and the levels of the source that are kept; see `CycleGanSampler`."""
        network, tiles = self._networks, len(self.source.tiles)

        def translate(levels: Tensor, asked: Tensor) -> Tensor:
            logits: Tensor = network.there(one_hot(levels, tiles), asked)
            return logits.flatten(2).transpose(1, 2)

        found = {"translate": Graph(translate, ("levels", "asked"), ("logits",))}
        if self.config.source_kind != "constructed":
            found["kept"] = Graph(lambda numbers: network.kept.long()[numbers], ("numbers",), ("levels",))
        return found

    def card(self) -> str:
        """Returns the text of the model's card; see `Generator.card`."""
        lines = [f"Levels are translated from {self.source.name}."]
        if self.config.source_kind != "constructed":
            lines.append(f"The model holds {_KEPT} of the source's levels to sample from; their licence goes with it.")
        return super().card() + "\n".join(lines) + "\n"


FAMILY = CycleGan
