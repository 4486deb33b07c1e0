"""A generative adversarial network for levels: DCGAN's form, trained as a Wasserstein GAN (Gulrajani 2017)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Annotated, cast

import torch
from torch import Tensor, nn

from envs import UserError
from generators.adversarial import straight_through
from generators.adversarial_generator import AdversarialConfig, AdversarialGenerator, coarse_sides
from generators.graphs import Graph
from generators.samplers.gan import GanSampler, GanSettings
from generators.searchable import Whole
from generators.training import Asked


@dataclass(frozen=True)
class GanConfig(AdversarialConfig):
    """The networks of a GAN, and how they are trained against each other.

    Attributes:
        hidden: how wide the dense layers before the generator's coarsest map are.
        doublings: how often that map's sides are doubled; what then is beyond the level's shape is cut off.
    """

    hidden: Annotated[int, Whole(32, 512, log=True)] = 256
    doublings: Annotated[int, Whole(0, 2)] = 1

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        super().check()
        if self.hidden < 1:
            raise UserError(f"hidden must be at least 1; got {self.hidden}.")
        if not 0 <= self.doublings <= 5:
            raise UserError(f"doublings must be from 0 to 5; got {self.doublings}.")


class GanBody(nn.Module):
    """From a latent to the logits of tiles: dense layers to a coarse map, then transposed convolutions (Radford 2016).

    The coarse map's sides are the level's divided by 2 ** doublings, rounded up; the rest is cut off in the end.
    """

    def __init__(self, tiles: int, shape: tuple[int, ...], inputs: int, config: GanConfig) -> None:
        super().__init__()
        self.shape = shape
        self.coarse, doublings = coarse_sides(shape, config.doublings)
        widths = [config.channels * 2 ** (doublings - i) for i in range(doublings + 1)]
        size = widths[0] * self.coarse[0] * self.coarse[1]
        self.trunk = nn.Sequential(
            nn.Linear(inputs, config.hidden),
            nn.BatchNorm1d(config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, size),
        )
        layers: list[nn.Module] = [nn.BatchNorm2d(widths[0]), nn.ReLU()]
        for before, after in itertools.pairwise(widths):
            layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.tiles = nn.Conv2d(widths[-1], tiles, 3, padding=1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns logits, float32 (b, tiles, height, width), for latents with conditions, float32 (b, inputs)."""
        coarse = self.trunk(inputs).unflatten(1, (-1, *self.coarse))
        logits: Tensor = self.tiles(self.body(coarse))
        return logits[:, :, : self.shape[0], : self.shape[1]]


class Gan(AdversarialGenerator):
    """A conditional WGAN-GP with tiles by the straight-through Gumbel softmax; see the module's docstring."""

    name = "gan"
    title = "Generative adversarial network (WGAN-GP)"
    paper = "Goodfellow 2014; Radford 2016; Gulrajani 2017; Jang 2017; Miyato 2018"
    Config = GanConfig
    Sampler, Sampling = GanSampler, GanSampler.Sampling
    small = {"channels": 4, "hidden": 8, "latent_size": 8, "critic_channels": 4, "critic_features": 8}

    def build(self) -> nn.Module:
        """Returns the generator and its critic."""
        config, spec = self.config, self.spec
        network = nn.Module()
        body = GanBody(len(spec.tiles), spec.shape, config.latent_size + spec.condition_size, config)
        self.start_from_frequencies(body.tiles)
        network.generator = body
        network.critic = self.critic()
        return network

    def settings(self) -> GanSettings:
        """Returns what the sampler has to know; see `NeuralGenerator.settings`."""
        return GanSettings(self.config.latent_size)

    def graphs(self) -> dict[str, Graph]:
        """Returns the generator and its slope; see `AdversarialSampler`."""
        return self.latent_graphs(self._logits, "asked")

    def fake(self, asked: Asked, temperature: float, random: torch.Generator) -> Tensor:
        """Returns generated levels for training; see `AdversarialGenerator.fake`."""
        latents = torch.randn((len(asked), self.config.latent_size), generator=random).to(asked.dense.device)
        return straight_through(self._logits(latents, asked.dense), temperature, random)

    def _logits(self, latents: Tensor, condition: Tensor) -> Tensor:
        logits: Tensor = cast(GanBody, self.network.generator)(torch.cat([latents, condition], dim=1))
        return logits


FAMILY = Gan
