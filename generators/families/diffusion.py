"""Diffusion: noise is taken from one-hot tiles, step by step, by a U-Net (Ho 2020, Song 2021)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from envs import UserError
from generators.graphs import Graph
from generators.neural import NeuralGenerator
from generators.samplers.diffusion import SHARPNESS, DiffusionSampler, DiffusionSettings, Prediction
from generators.searchable import Choice, Real, Several, Whole
from generators.training import Asked, Training

#: Levels of about so many patches or fewer are denoised well in little time.
_MOST_PATCHES = 64

#: The held-out levels that are looked at.
_LOOKED_AT = 200


def _diffusers() -> Any:
    """Returns the library diffusers, which takes seconds to load and is loaded only here.

    Raises:
        UserError: it is not installed.
    """
    try:
        return import_module("diffusers")
    except ImportError as error:
        raise UserError(
            f"The family diffusion needs the library diffusers, which cannot be imported ({error}); install it with "
            'pip install "tilewright[generators]", or choose another family.'
        ) from error


@dataclass(frozen=True)
class DiffusionConfig:
    """The denoiser and the noise.

    Attributes:
        channels: the width of each resolution of the U-Net, from the finest; each is half the one before it. Multiples
            of 8.
        layers: residual blocks at each resolution.
        attention: whether patches attend to each other at the coarsest resolution.
        patch: so many by so many cells are one place of the U-Net's finest resolution; 0 takes the least with which a
            level has at most about 64 patches.
        prediction: what the network predicts: the odds of each tile, whose expectation is the clean level (tiles;
            Dieleman 2022), the clean level (sample), the noise (epsilon; Ho 2020) or the velocity (v_prediction;
            Salimans 2022).
        cross_entropy: the weight of the cross-entropy of the tiles in the loss, beside the squared error of weight 1.
        min_snr: the squared error of a noise level weighs as its signal-to-noise ratio, at most this (Hang 2023); 0
            weighs the error of what is predicted equally at all levels.
        self_conditioning: whether the network sees its own estimate of the step before (Chen 2022).
        known: the share of the training levels of which some tiles are shown without noise, from hardly any to nearly
            all, so that the network learns to write around fixed tiles.
        noise_levels: how many there are.
        schedule: how noise grows with the level: cosine (Nichol 2021) or linear (Ho 2020).
        signal: a tile is this number in its own channel, and less this number in all others.
        dropout: of the residual blocks.
    """

    channels: Annotated[tuple[int, ...], Several(Whole(16, 96, step=8), 1, 3)] = (64,)
    layers: Annotated[int, Whole(1, 2)] = 1
    attention: Annotated[bool, Choice()] = True
    patch: Annotated[int, Choice((0, 1, 2, 3))] = 0
    prediction: Annotated[Prediction, Choice()] = "tiles"
    cross_entropy: Annotated[float, Real(0.0, 2.0)] = 1.0
    min_snr: float = 0.0
    self_conditioning: Annotated[bool, Choice()] = True
    known: float = 0.3
    noise_levels: int = 1000
    schedule: Annotated[Literal["cosine", "linear"], Choice()] = "cosine"
    signal: float = 1.0
    dropout: Annotated[float, Real(0.0, 0.3)] = 0.0

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        if not self.channels or any(width < 8 or width % 8 for width in self.channels):
            raise UserError(f"channels must be multiples of 8, one for each resolution; got {self.channels}.")
        for name, least in (("layers", 1), ("patch", 0), ("noise_levels", 2), ("cross_entropy", 0), ("min_snr", 0)):
            if not getattr(self, name) >= least:
                raise UserError(f"{name} must be at least {least}; got {getattr(self, name)}.")
        if not (self.signal > 0 and math.isfinite(self.signal)):
            raise UserError(f"signal must be a finite number above 0; got {self.signal}.")
        for name in ("dropout", "known"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 0 and below 1; got {getattr(self, name)}.")


class Denoiser(nn.Module):
    """diffusers' U-Net on levels of any size.

    Levels are padded to sizes that it can halve, and gathered into patches. Beside the tiles it sees which cells are
    without noise, which are part of the level, and where each is.

    Args:
        tiles: how many kinds there are, K.
        shape: of a level, (h, w).
        asked: how long the vector of a condition is.
        config: the network's form.
    """

    def __init__(self, tiles: int, shape: tuple[int, ...], asked: int, config: DiffusionConfig) -> None:
        super().__init__()
        self.shape, self.config = shape, config
        self.patch = config.patch or _fitting_patch(shape)
        depth = len(config.channels)
        multiple = self.patch * 2 ** (depth - 1)
        self.padding = [-size % multiple for size in shape]
        height, width = (size + more for size, more in zip(shape, self.padding, strict=True))
        place = torch.zeros(3, height, width)
        place[0, : shape[0], : shape[1]] = 1
        place[1] = torch.tensor([2 * i / shape[0] - 1 for i in range(height)])[:, None]
        place[2] = torch.tensor([2 * i / shape[1] - 1 for i in range(width)])
        self.place: Tensor
        self.register_buffer("place", place, persistent=False)
        seen = tiles * (2 if config.self_conditioning else 1) + 1 + len(place)
        coarse = ("AttnDownBlock2D", "AttnUpBlock2D") if config.attention else ("DownBlock2D", "UpBlock2D")
        self.unet: Any = _diffusers().UNet2DModel(
            in_channels=seen * self.patch**2,
            out_channels=tiles * self.patch**2,
            block_out_channels=config.channels,
            down_block_types=("DownBlock2D",) * (depth - 1) + coarse[:1],
            up_block_types=coarse[1:] + ("UpBlock2D",) * (depth - 1),
            layers_per_block=config.layers,
            norm_num_groups=8,
            attention_head_dim=32 if config.channels[-1] % 32 == 0 else 8,
            add_attention=config.attention,
            resnet_time_scale_shift="scale_shift",
            dropout=config.dropout,
            class_embed_type="identity" if asked else None,
        )
        embedded = 4 * config.channels[0]
        #: What is asked for is added to the embedding of the noise level.
        self.condition: nn.Module | None = (
            nn.Sequential(nn.Linear(asked, embedded), nn.SiLU(), nn.Linear(embedded, embedded)) if asked else None
        )

    def forward(
        self, noisy: Tensor, times: Tensor, asked: Tensor, known: Tensor | None = None, before: Tensor | None = None
    ) -> Tensor:
        """Predicts.

        Args:
            noisy: float32 (b, K, h, w), levels with noise.
            times: int64 (b,), how much noise: 0 is the least.
            asked: float32 (b, c), see `LevelSpec.encode`.
            known: bool (b, 1, h, w), which cells have no noise; None where all have.
            before: float32 (b, K, h, w), the last estimate of the clean levels; None where there is none.

        Returns:
            float32 (b, K, h, w).
        """
        parts = [noisy, torch.zeros_like(noisy[:, :1]) if known is None else known.float()]
        if self.config.self_conditioning:
            parts.append(torch.zeros_like(noisy) if before is None else before)
        seen = functional.pad(torch.cat(parts, dim=1), (0, self.padding[1], 0, self.padding[0]))
        seen = torch.cat([seen, self.place.expand(seen.shape[0], -1, -1, -1)], dim=1)
        told = None if self.condition is None else self.condition(asked)
        found = self.unet(functional.pixel_unshuffle(seen, self.patch), times, class_labels=told).sample
        return functional.pixel_shuffle(found, self.patch)[..., : self.shape[0], : self.shape[1]]


def _fitting_patch(shape: tuple[int, ...]) -> int:
    """Returns the least size of patches with which a level has few enough of them."""
    patch = 1
    while math.prod(-(-size // patch) for size in shape) > _MOST_PATCHES:
        patch += 1
    return patch


@cache
def _scheduler(noise_levels: int, schedule: str) -> Any:
    kind = {"cosine": "squaredcos_cap_v2", "linear": "linear"}[schedule]
    return _diffusers().DDPMScheduler(noise_levels, beta_schedule=kind)


class DiffusionGenerator(NeuralGenerator):
    """A denoising diffusion model of tiles.

    It has no likelihood that could be compared with the other families', so `score` tells nothing.
    """

    name = "diffusion"
    title = "Diffusion on one-hot tiles"
    paper = "Ho 2020"
    Config = DiffusionConfig
    Sampler, Sampling = DiffusionSampler, DiffusionSampler.Sampling
    keeps_fixed_tiles = "construction"
    small = {"channels": (8, 16), "noise_levels": 50}
    defaults = {"batch": 16, "learning_rate": 2e-3, "warm_up": 100, "ema": 0.995}

    def build(self) -> nn.Module:
        """Returns the denoiser; see `NeuralGenerator.build`."""
        return Denoiser(len(self.spec.tiles), self.spec.shape, self.spec.condition_size, self.config)

    @property
    def scheduler(self) -> Any:
        """The scheduler of all noise levels."""
        return _scheduler(self.config.noise_levels, self.config.schedule)

    @property
    def kept_signal(self) -> Tensor:
        """The share of the variance that is signal at each noise level, falling, float32 (noise_levels,)."""
        shares: Tensor = self.scheduler.alphas_cumprod
        return shares

    def clean(self, levels: Tensor) -> Tensor:
        """Returns levels, int64 (b, h, w), as float32 (b, K, h, w): signal in a tile's channel, -signal elsewhere."""
        hot = functional.one_hot(levels, len(self.spec.tiles)).movedim(-1, 1).float()
        return (2 * hot - 1) * self.config.signal

    def estimate(self, output: Tensor, noisy: Tensor, share: Tensor) -> Tensor:
        """Returns the clean levels that the network takes for the expected ones, float32 (b, K, h, w).

        Args:
            output: what the network predicted.
            noisy: float32 (b, K, h, w), what it saw.
            share: the share of the variance that is signal, (b, 1, 1, 1) or a scalar.
        """
        signal, kind = self.config.signal, self.config.prediction
        if kind == "tiles":
            return (2 * output.softmax(dim=1) - 1) * signal
        if kind == "epsilon":
            output = (noisy - (1 - share).sqrt() * output) / share.sqrt()
        elif kind == "v_prediction":
            output = share.sqrt() * noisy - (1 - share).sqrt() * output
        return output.clamp(-signal, signal)

    def odds(self, output: Tensor, estimate: Tensor) -> Tensor:
        """Returns the logits of the tiles, float32 (b, K, h, w)."""
        return output if self.config.prediction == "tiles" else SHARPNESS / self.config.signal * estimate

    def loss(self, levels: Tensor, asked: Asked, random: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the error of the denoised levels; see `NeuralGenerator.loss`."""
        config, network = self.config, self.network
        scheduler = self.scheduler
        clean = self.clean(levels)
        times = torch.randint(config.noise_levels, (len(levels),), generator=random).to(levels.device)
        noise = torch.randn(clean.shape, generator=random).to(levels.device)
        known = self._some_known(levels, random)
        noisy = torch.where(known, clean, scheduler.add_noise(clean, noise, times))
        share = scheduler.alphas_cumprod.to(levels.device)[times].view(-1, 1, 1, 1)
        before = None
        if config.self_conditioning and float(torch.rand((), generator=random)) < 0.5:
            with torch.no_grad():
                before = self.estimate(network(noisy, times, asked.dense, known), noisy, share)
        output = network(noisy, times, asked.dense, known, before)
        estimate = self.estimate(output, noisy, share)
        if config.prediction == "epsilon":
            predicted, wanted = output, noise
        elif config.prediction == "v_prediction":
            predicted, wanted = output, scheduler.get_velocity(clean, noise, times)
        else:
            predicted, wanted = (estimate if config.prediction == "tiles" else output), clean
        # What is known needs no prediction; each level counts by the cells that do.
        free = (~known[:, 0]).float() / (~known).float().mean().clamp(min=1e-6)
        errors = ((predicted - wanted).square().mean(dim=1) * free).mean(dim=(1, 2))
        squared = (errors * self._weights(share.flatten())).mean()
        crossed = (functional.cross_entropy(self.odds(output, estimate), levels, reduction="none") * free).mean()
        return squared + config.cross_entropy * crossed, {
            "squared_error": squared.detach(),
            "cross_entropy": crossed.detach(),
        }

    def _some_known(self, levels: Tensor, random: torch.Generator) -> Tensor:
        """Draws which cells of levels, (b, h, w), are shown without noise: bool (b, 1, h, w)."""
        shown = torch.rand(len(levels), 1, 1, 1, generator=random) < self.config.known
        share = torch.rand(len(levels), 1, 1, 1, generator=random)
        drawn = torch.rand(len(levels), 1, *levels.shape[1:], generator=random) < share
        return (shown & drawn).to(levels.device)

    def held_out_score(self, levels: Tensor, asked: Asked, training: Training) -> float:
        """Returns the loss on some of the held-out levels, for each of which the network works as in sampling."""
        few = slice(_LOOKED_AT)
        return super().held_out_score(levels[few], Asked(asked.dense[few], asked.buckets[few]), training)

    def _weights(self, share: Tensor) -> Tensor:
        """Returns what the squared errors of levels with so much signal weigh, (b,)."""
        if not self.config.min_snr:
            return torch.ones_like(share)
        ratio = share / (1 - share)
        least = ratio.clamp(max=self.config.min_snr)
        divisor = {"epsilon": ratio, "v_prediction": ratio + 1}.get(self.config.prediction, torch.ones_like(ratio))
        return least / divisor.clamp(min=1e-8)

    def settings(self) -> DiffusionSettings:
        """Returns what the sampler has to know; see `NeuralGenerator.settings`."""
        return DiffusionSettings(self.config.prediction, self.config.signal, tuple(self.kept_signal.tolist()))

    def graphs(self) -> dict[str, Graph]:
        """Returns the denoiser; see `DiffusionSampler`."""
        return {"denoise": Graph(self.network, ("noisy", "times", "asked", "known", "before"), ("predicted",))}


FAMILY = DiffusionGenerator
