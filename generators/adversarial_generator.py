"""The training and sampling that generators with a critic share."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from envs import UserError
from envs.counts import kept
from envs.problem import Shape
from generators.adversarial import Critic, gradient_penalty, one_hot, real_penalty
from generators.draws import Draws, level_seeds
from generators.generator import FitOptions
from generators.graphs import Graph, misfit, slope_of
from generators.judging.patterns import mean_divergence
from generators.neural import NeuralGenerator
from generators.searchable import Choice, Real, Whole
from generators.spec import Condition
from generators.training import Asked, adamw, descend

#: How many sampled levels the held-out score looks at.
_SCORED = 500


@dataclass(frozen=True)
class AdversarialConfig:
    """What adversarial families have in common.

    Attributes:
        latent_size: how many normal numbers a level is made from.
        channels: of the generator's finest map; each coarser one has twice as many.
        critic_channels: of the critic's first convolution; each further one has twice as many.
        critic_features: of the critic's dense layers.
        deviation: whether the critic is shown how much the levels of a batch differ (Karras 2018).
        objective: wasserstein, with a penalty on slopes that are not 1 (Gulrajani 2017), or logistic, with one on
            slopes at real levels (Mescheder 2018).
        penalty: the weight of that penalty.
        penalty_every: the critic's updates from one penalty to the next (Karras 2020).
        critic_steps: the critic's updates from one of the generator to the next.
        critic_rate: the critic's learning rate in multiples of the generator's (Heusel 2017).
        first_temperature: of the softmax that gradients are taken of, at the beginning of a training.
        last_temperature: the same from four fifths of it on.
    """

    latent_size: Annotated[int, Whole(8, 128, log=True)] = 64
    channels: Annotated[int, Whole(8, 64, log=True)] = 32
    critic_channels: Annotated[int, Whole(16, 128, log=True)] = 64
    critic_features: Annotated[int, Whole(32, 256, log=True)] = 128
    deviation: Annotated[bool, Choice()] = True
    objective: Annotated[Literal["wasserstein", "logistic"], Choice()] = "wasserstein"
    penalty: Annotated[float, Real(0.1, 30.0, log=True)] = 10.0
    penalty_every: Annotated[int, Whole(1, 8, log=True)] = 2
    critic_steps: Annotated[int, Whole(1, 4)] = 1
    critic_rate: Annotated[float, Real(0.25, 4.0, log=True)] = 1.0
    first_temperature: float = 1.0
    last_temperature: Annotated[float, Real(0.2, 1.0)] = 0.5

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        for name in ("latent_size", "channels", "critic_channels", "critic_features", "penalty_every", "critic_steps"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1; got {getattr(self, name)}.")
        for name in ("critic_rate", "first_temperature", "last_temperature"):
            if not 0 < getattr(self, name) < math.inf:
                raise UserError(f"{name} must be a finite number above 0; got {getattr(self, name)}.")
        if not 0 <= self.penalty < math.inf:
            raise UserError(f"penalty must be a finite number of at least 0; got {self.penalty}.")


def coarse_sides(shape: Shape, doublings: int) -> tuple[list[int], int]:
    """Returns the sides of the map that grows into a level, and by how many doublings.

    The map's sides are the level's divided by 2 ** doublings, rounded up; what grows beyond the level is cut off. Where
    the shorter side would be less than 2 there are fewer doublings.
    """
    number = 0
    while number < doublings and math.ceil(min(shape) / 2 ** (number + 1)) >= 2:
        number += 1
    return [math.ceil(side / 2**number) for side in shape], number


class AdversarialGenerator(NeuralGenerator):
    """A generator trained against a critic.

    `build` returns a module with the parts `generator` and `critic`. Config and Sampler derive from `AdversarialConfig`
    and `AdversarialSampler`.

    Fixed tiles are held by construction: of some latents the one whose level agrees best with them is taken and
    changed along the gradient of their likelihood, and the level is decoded around them.
    """

    keeps_fixed_tiles = "construction"
    chunk = 512
    defaults = {
        "batch": 32,
        "learning_rate": 1e-3,
        "warm_up": 50,
        "weight_decay": 0.0,
        "clip": 10.0,
        "ema": 0.995,
    }

    # What a family defines.

    @abstractmethod
    def fake(self, asked: Asked, temperature: float, random: torch.Generator) -> Tensor:
        """Returns generated levels for training, float32 (b, tiles, *shape), that gradients pass through."""

    # Building.

    def start_from_frequencies(self, layer: nn.Conv2d) -> None:
        """Lets a layer that returns logits begin with the corpus's frequencies of tiles."""
        assert layer.bias is not None
        with torch.no_grad():
            layer.bias.copy_(torch.tensor(self.spec.frequencies).clamp_min(1e-4).log())

    def critic(self) -> Critic:
        """Returns an untrained critic."""
        config, spec = self.config, self.spec
        sizes = (config.critic_channels, config.critic_features)
        return Critic(len(spec.tiles), spec.shape, spec.condition_size, *sizes, deviation=config.deviation)

    # Training.

    def optimisers(self, options: FitOptions) -> dict[str, torch.optim.Optimizer]:
        """Returns two optimisers; the critic's rate is its own (two time-scale update rule, Heusel 2017)."""
        rates = {"generator": 1.0, "critic": self.config.critic_rate}
        return {
            name: adamw(
                getattr(self.network, name), options, lr=rate * float(options.learning_rate or 0), betas=(0.0, 0.99)
            )
            for name, rate in rates.items()
        }

    def loss(self, levels: Tensor, asked: Asked, random: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the generator's loss against the critic as it is, at the last temperature."""
        fake = self.fake(asked, self.config.last_temperature, random)
        return self._generator_loss(self._critic(fake, asked)), {}

    def train_step(self, levels: Tensor, asked: Asked, training: Any) -> dict[str, Tensor]:
        """Updates the critic, and at every `critic_steps`th step the generator."""
        critic = cast("Critic", self.network.critic)
        turn = training.step % self.config.critic_steps == 0
        with torch.set_grad_enabled(turn):
            fake = self.fake(asked, self._temperature(training.stage_share), training.random)
        figures = self._critic_step(one_hot(levels, len(self.spec.tiles)), fake.detach(), asked, training)
        if turn:
            # The same levels, before the critic as it is now.
            critic.requires_grad_(False)
            loss = self._generator_loss(self._critic(fake, asked))
            descend(loss, training.optimisers["generator"], training.options)
            critic.requires_grad_(True)
        return figures

    def _critic_step(self, real: Tensor, fake: Tensor, asked: Asked, training: Any) -> dict[str, Tensor]:
        """Updates the critic; real and fake are float32 (b, tiles, *shape)."""
        config = self.config
        wasserstein = config.objective == "wasserstein"
        scores, faked = self._critic(real, asked), self._critic(fake, asked)
        if wasserstein:
            loss = faked.mean() - scores.mean()
        else:
            loss = functional.softplus(faked).mean() + functional.softplus(-scores).mean()
        whole = loss
        if training.step % config.penalty_every == 0:

            def judge(shown: Tensor) -> Tensor:
                return self._critic(shown, asked)

            penalty = gradient_penalty(judge, real, fake, training.random) if wasserstein else real_penalty(judge, real)
            # Where it is taken now and then it weighs the more (lazy regularisation, Karras 2020).
            whole = loss + config.penalty * config.penalty_every * penalty
        descend(whole, training.optimisers["critic"], training.options)
        return {"loss": loss.detach(), "real": scores.mean().detach(), "fake": faked.mean().detach()}

    def held_out_score(self, levels: Tensor, asked: Asked, training: Any) -> float:
        """Returns how bad levels are that are asked to be as held-out ones, and sampled without constraints.

        It is the tile-pattern divergence from them (Lucas 2019), and the share that break a count rule, and the share
        that repeat another one: losses of a generator and a critic do not tell how good either is.
        """
        count = min(len(levels), _SCORED)
        sampler, sampling, seeds = self.sampler(), self.Sampling(constrained=False), level_seeds(1, count)
        found = []
        for first in range(0, count, self.chunk):
            part = slice(first, min(first + self.chunk, count))
            found.append(sampler.made(asked.dense[part].cpu().numpy(), None, sampling, Draws(seeds[part])))
        made = np.concatenate(found)
        reference = levels.cpu().numpy().astype(np.uint8)
        broken = 1 - kept(self.spec.count_rules(), made, self.spec.tiles).mean()
        repeated = 1 - len(np.unique(made.reshape(count, -1), axis=0)) / count
        return mean_divergence(made, reference) + float(broken) + float(repeated)

    def _temperature(self, share: float) -> float:
        """Returns the temperature of gradients, which falls geometrically in the first four fifths of training."""
        first, last = self.config.first_temperature, self.config.last_temperature
        return float(first * (last / first) ** min(1.0, share / 0.8))

    def _critic(self, shown: Tensor, asked: Asked) -> Tensor:
        scores: Tensor = cast("Critic", self.network.critic)(shown, asked.dense)
        return scores

    def _generator_loss(self, scores: Tensor) -> Tensor:
        return -scores.mean() if self.config.objective == "wasserstein" else functional.softplus(-scores).mean()

    # Sampling.

    def latent_graphs(self, logits: Callable[..., Tensor], *inputs: str) -> dict[str, Graph]:
        """Returns the graphs of `AdversarialSampler`.

        Args:
            logits: from latents and the inputs to float32 (b, tiles, *shape).
            inputs: the names of what it takes beside latents.
        """

        def generate(latents: Tensor, *others: Tensor) -> Tensor:
            return logits(latents, *others).flatten(2).transpose(1, 2)

        def unlikely(latents: Tensor, *others: Tensor) -> Tensor:
            return misfit(generate(latents, *others[:-1]), others[-1])

        names = ("latents", *inputs)
        return {
            "generate": Graph(generate, names, ("logits",)),
            "misfit_slope": Graph(slope_of(unlikely), (*names, "wanted"), ("slope",), slope=True),
        }

    def from_latents(
        self, latents: Any, condition: Condition | None = None, fixed_tiles: Any = None, **sampling: Any
    ) -> NDArray[np.uint8]:
        """Returns the levels that latents stand for: equal ones for equal latents.

        Args:
            latents: numbers (n, latent_size), of which normal ones give levels like the corpus's.
            condition: what the levels are asked to be; see `Generator.sample`.
            fixed_tiles: as `sample` takes it; the latents are not moved towards them.
            **sampling: options of `Sampling`. Levels are not drawn but the likeliest, whatever the temperature.

        Returns:
            uint8 (n, *shape).

        Raises:
            UserError: the latents, the condition, a fixed tile or an option cannot be used.
        """
        given = np.asarray(latents, np.float32)
        size = self.config.latent_size
        if given.ndim != 2 or given.shape[1] != size or not len(given) or not np.isfinite(given).all():
            raise UserError(f"Latents must be finite numbers of shape (n, {size}), n at least 1; got {given.shape}.")
        options = self.sampling_options(**sampling)
        request = self.request(len(given), 0, condition, fixed_tiles)
        sampler, parts = self.sampler(), []
        for first in range(0, len(given), self.chunk):
            part = slice(first, first + self.chunk)
            asked = request.part(part)
            parts.append(sampler.likeliest(given[part], sampler.dense(asked), asked.fixed, options))
        return np.concatenate(parts)
