"""A generator with styles: layout and texture of a level come from different layers (StyleGAN; Karras 2019, 2020)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from envs import UserError
from generators.adversarial import SLOPE, straight_through
from generators.adversarial_generator import AdversarialConfig, AdversarialGenerator, coarse_sides
from generators.graphs import Graph
from generators.samplers.stylegan import StyleganSampler, StyleganSettings
from generators.sampling import Request
from generators.searchable import Choice, Real, Whole
from generators.spec import Condition
from generators.training import Asked

#: How fast the mean style follows the styles of training.
_MEAN_RATE = 0.02


@dataclass(frozen=True)
class StyleganConfig(AdversarialConfig):
    """The networks of a generator with styles, and how they are trained.

    Attributes:
        style_size: how many numbers a style is.
        mapping_layers: the dense layers from a latent to its style.
        doublings: how often the coarse map's sides are doubled; what then is beyond the level's shape is cut off.
        mixing: the share of levels in training whose finer layers have another latent's style.
        latent_size: how many normal numbers a style is made from.
    """

    style_size: Annotated[int, Whole(16, 128, log=True)] = 64
    mapping_layers: Annotated[int, Whole(1, 4)] = 2
    doublings: Annotated[int, Whole(0, 2)] = 1
    mixing: Annotated[float, Real(0.0, 0.9)] = 0.5
    objective: Annotated[Literal["wasserstein", "logistic"], Choice()] = "logistic"
    penalty: Annotated[float, Real(0.1, 30.0, log=True)] = 1.0
    penalty_every: Annotated[int, Whole(1, 8, log=True)] = 4

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        super().check()
        for name in ("style_size", "mapping_layers"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1; got {getattr(self, name)}.")
        if not 0 <= self.doublings <= 5:
            raise UserError(f"doublings must be from 0 to 5; got {self.doublings}.")
        if not 0 <= self.mixing <= 1:
            raise UserError(f"mixing must be from 0 to 1; got {self.mixing}.")


class StyledLayer(nn.Module):
    """A convolution whose weights a style scales (weight modulation, Karras 2020).

    Args:
        before: channels of what comes in.
        after: channels of what goes out.
        style_size: how long a style is.
        kernel: the convolution's side.
        doubles: whether the map's sides are doubled, each cell making four (sub-pixel convolution, Shi 2016).
        noise: whether noise is added.
    """

    def __init__(
        self, before: int, after: int, style_size: int, kernel: int, doubles: bool = False, noise: bool = True
    ) -> None:
        super().__init__()
        self.doubles = doubles
        outputs = 4 * after if doubles else after
        self.weight = nn.Parameter(torch.randn(outputs, before, kernel, kernel))
        self.scale = 1 / math.sqrt(before * kernel * kernel)
        self.style = nn.Linear(style_size, before)
        nn.init.ones_(self.style.bias)
        self.bias = nn.Parameter(torch.zeros(after))
        self.strength = nn.Parameter(torch.zeros(after)) if noise else None

    def forward(self, maps: Tensor, style: Tensor, noise: Tensor | None) -> Tensor:
        """Returns maps, float32 (b, after, height, width).

        Args:
            maps: float32 (b, before, height, width).
            style: float32 (b, style_size).
            noise: float32 (b, 1, height, width) of what is returned; None for none.
        """
        scales = self.style(style) * self.scale
        # To scale what comes in is to scale the weights; so one convolution serves styles of a whole batch.
        out = functional.conv2d(maps * scales[:, :, None, None], self.weight, padding=self.weight.shape[-1] // 2)
        size = (scales.square() @ self.weight.square().sum(dim=(2, 3)).T + 1e-8).rsqrt()
        out = out * size[:, :, None, None]
        if self.doubles:
            out = functional.pixel_shuffle(out, 2)
        if self.strength is not None and noise is not None:
            out = out + noise * self.strength[:, None, None]
        return functional.leaky_relu(out + self.bias[:, None, None], SLOPE) * math.sqrt(2)


class StyleBody(nn.Module):
    """The mapping from latents to styles, and the synthesis of tile logits by a style for each layer.

    The coarse map's sides are the level's divided by 2 ** doublings, rounded up; the rest is cut off in the end.
    """

    mean_style: Tensor

    def __init__(self, tiles: int, shape: tuple[int, ...], condition_size: int, config: StyleganConfig) -> None:
        super().__init__()
        self.shape = shape
        coarse, doublings = coarse_sides(shape, config.doublings)
        size = config.style_size
        layers: list[nn.Module] = []
        for i in range(config.mapping_layers):
            layers += [nn.Linear(config.latent_size + condition_size if not i else size, size), nn.LeakyReLU(SLOPE)]
        self.mapping = nn.Sequential(*layers)
        self.register_buffer("mean_style", torch.zeros(size))
        width = config.channels * 2**doublings
        self.constant = nn.Parameter(torch.randn(1, width, *coarse))
        self.layers = nn.ModuleList([StyledLayer(width, width, size, 3)])
        #: The sides of the map that each layer returns.
        self.sides = [(coarse[0], coarse[1])]
        for _ in range(doublings):
            coarse, width = [2 * side for side in coarse], width // 2
            self.layers.append(StyledLayer(2 * width, width, size, 1, doubles=True))
            self.layers.append(StyledLayer(width, width, size, 3))
            self.sides += [(coarse[0], coarse[1])] * 2
        self.tiles = nn.Conv2d(width, tiles, 1)

    def styles(self, latents: Tensor, condition: Tensor) -> Tensor:
        """Returns styles, float32 (b, style_size), of latents and conditions."""
        # Only a latent's direction counts, so that no level is far from all others.
        length = latents.square().mean(dim=1, keepdim=True).add(1e-8).sqrt()
        styles: Tensor = self.mapping(torch.cat([latents / length, condition], dim=1))
        return styles

    def noise(self, n: int, random: torch.Generator) -> list[Tensor]:
        """Draws the noise of each layer, float32 (n, 1, height, width) each."""
        return [torch.randn((n, 1, *sides), generator=random) for sides in self.sides]

    def forward(self, styles: Sequence[Tensor], noise: Sequence[Tensor] | None) -> Tensor:
        """Returns logits, float32 (b, tiles, height, width).

        Args:
            styles: for each layer float32 (b, style_size), from the coarsest on.
            noise: for each layer float32 (b, 1, height, width); None for none.
        """
        maps = self.constant.expand(styles[0].shape[0], -1, -1, -1)
        for i, layer in enumerate(self.layers):
            maps = layer(maps, styles[i], None if noise is None else noise[i].to(maps.device))
        logits: Tensor = self.tiles(maps)
        return logits[:, :, : self.shape[0], : self.shape[1]]


class Stylegan(AdversarialGenerator):
    """A conditional generator with styles and a critic; see the module's docstring."""

    name = "stylegan"
    title = "Style-based generative adversarial network"
    paper = "Karras 2019; Karras 2020; Mescheder 2018; Jang 2017; Miyato 2018"
    Config = StyleganConfig
    Sampler, Sampling = StyleganSampler, StyleganSampler.Sampling
    small = {"channels": 4, "style_size": 8, "latent_size": 8, "critic_channels": 4, "critic_features": 8}

    def build(self) -> nn.Module:
        """Returns the generator and its critic."""
        spec = self.spec
        network = nn.Module()
        body = StyleBody(len(spec.tiles), spec.shape, spec.condition_size, self.config)
        self.start_from_frequencies(body.tiles)
        network.generator = body
        network.critic = self.critic()
        return network

    @property
    def body(self) -> StyleBody:
        """The mapping and the synthesis."""
        return cast(StyleBody, self.network.generator)

    @property
    def layers(self) -> int:
        """How many layers have a style, which is the greatest crossover of `mix`."""
        return len(self.body.layers)

    def settings(self) -> StyleganSettings:
        """Returns what the sampler has to know; see `NeuralGenerator.settings`."""
        return StyleganSettings(self.config.latent_size, tuple(self.body.sides))

    def graphs(self) -> dict[str, Graph]:
        """Returns the mapping with the synthesis, and its slope; see `AdversarialSampler`."""

        def logits(latents: Tensor, condition: Tensor, truncation: Tensor, *noise: Tensor) -> Tensor:
            return self._synthesised([self._style(latents, condition, truncation)] * self.layers, noise)

        noise = (f"noise_{i}" for i in range(self.layers))
        return self.latent_graphs(logits, "asked", "truncation", *noise)

    def fake(self, asked: Asked, temperature: float, random: torch.Generator) -> Tensor:
        """Returns generated levels for training, some of them with the styles of two latents."""
        body, n, device = self.body, len(asked), asked.dense.device
        first, second = (
            body.styles(torch.randn((n, self.config.latent_size), generator=random).to(device), asked.dense)
            for _ in range(2)
        )
        with torch.no_grad():
            body.mean_style.lerp_(first.mean(dim=0), _MEAN_RATE)
        crossovers = torch.randint(1, max(self.layers, 2), (n,), generator=random)
        mixed = torch.rand(n, generator=random) < self.config.mixing
        crossovers = torch.where(mixed, crossovers, self.layers).to(first.device)[:, None]
        styles = [torch.where(crossovers > i, first, second) for i in range(self.layers)]
        return straight_through(self._synthesised(styles, body.noise(n, random)), temperature, random)

    def mix(
        self,
        layout_seed: int,
        texture_seed: int,
        crossover: int | None = None,
        n: int = 1,
        condition: Condition | None = None,
        **sampling: Any,
    ) -> NDArray[np.uint8]:
        """Samples levels with the layout of one seed's and the texture of another's (style mixing, Karras 2019).

        Args:
            layout_seed: the seed whose levels give the coarse layers.
            texture_seed: the seed whose levels give the fine layers.
            crossover: how many layers are the layout's: from 0, where the levels are those of texture_seed, to
                `layers`, where they are those of layout_seed. None is half of them.
            n: how many levels.
            condition: what all of them are asked to be; see `Generator.sample`.
            **sampling: options of `Sampling`.

        Returns:
            uint8 (n, *shape).

        Raises:
            UserError: the crossover, the number or an option cannot be used.
        """
        cut = self.layers // 2 if crossover is None else crossover
        if isinstance(cut, bool) or not isinstance(cut, int) or not 0 <= cut <= self.layers:
            raise UserError(f"crossover must be a whole number from 0 to {self.layers}; got {crossover!r}.")
        options = self.sampling_options(**sampling)
        requests = [self.request(n, seed, condition) for seed in (layout_seed, texture_seed)]
        parts = []
        with torch.no_grad():
            for first in range(0, n, self.chunk):
                both = [request.part(slice(first, first + self.chunk)) for request in requests]
                parts.append(self._mixed(both, cut, options))
        return np.concatenate(parts)

    def _mixed(self, requests: Sequence[Request], cut: int, sampling: Any) -> NDArray[np.uint8]:
        """Returns levels with the first `cut` layers of one request and the others of another."""
        sampler, found = self.sampler(), []
        for request in requests:
            draws = request.draws()
            latents, dense = (
                torch.from_numpy(part).to(self.device)
                for part in (sampler.drawn(draws, 1, sampling)[:, 0], sampler.dense(request))
            )
            style = self._style(latents, dense, torch.tensor(sampling.truncation, device=self.device))
            found.append((style, sampler.noise(request.n, sampling, draws), draws))
        sources = [found[0 if i < cut else 1] for i in range(self.layers)]
        noise = [torch.from_numpy(source[1][i]).to(self.device) for i, source in enumerate(sources)]
        logits = self._synthesised([source[0] for source in sources], noise)
        levels: NDArray[np.uint8] = sampler.decoded(
            logits.flatten(2).transpose(1, 2).cpu().numpy(), None, sampling, sources[-1][2]
        )
        return levels

    def _style(self, latents: Tensor, condition: Tensor, truncation: Tensor) -> Tensor:
        return torch.lerp(self.body.mean_style, self.body.styles(latents, condition), truncation)

    def _synthesised(self, styles: Sequence[Tensor], noise: Sequence[Tensor] | None) -> Tensor:
        logits: Tensor = self.body(styles, noise)
        return logits


FAMILY = Stylegan
