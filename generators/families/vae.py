"""The variational autoencoder, told what its levels are to be: a space of latents that levels are drawn from.

An encoder says which latents a level may have come from, a decoder which tiles latents may become (Kingma 2014). Both
are told the conditions (Sohn 2015). Tiles are categories, so that a level's reconstruction costs cross-entropy. The
weight of the latents' divergence from their prior rises at first, and so much of it per latent is free (Kingma 2016):
without that, some latents never come to be used. Everything is matrix products over whole levels, which one core does
several times faster than convolutions with few channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from envs import UserError
from generators.generator import Scores
from generators.graphs import Graph, misfit, slope_of
from generators.neural import NeuralGenerator
from generators.samplers.vae import VaeSampler, VaeSettings
from generators.searchable import Real, Whole
from generators.spec import Condition
from generators.training import Asked, Training, descend

#: Logarithms of variances are kept within these.
_LEAST_SPREAD, _MOST_SPREAD = -8.0, 4.0

#: A latent is in use where its mean varies by more than this among levels (Burda 2016).
_ACTIVE = 0.01


@dataclass(frozen=True)
class Config:
    """The network.

    Attributes:
        latents: how many numbers a level is encoded as.
        width: of the hidden layers.
        depth: hidden blocks in the encoder, and in the decoder.
        embedding: numbers by which the encoder knows a tile.
        dropout: the share of hidden numbers left out in training.
        kl_weight: what the divergence from the prior weighs in the end; 1 is the evidence bound, less gives sharper
            levels and a prior that fits the latents less (Higgins 2017).
        kl_warm_up: the share of the training in which that weight rises from 0.
        free_bits: nats of divergence per latent that cost nothing (Kingma 2016).
    """

    latents: Annotated[int, Whole(4, 64, log=True)] = 32
    width: Annotated[int, Whole(64, 1024, log=True)] = 512
    depth: Annotated[int, Whole(1, 4)] = 2
    embedding: Annotated[int, Whole(2, 16, log=True)] = 8
    dropout: Annotated[float, Real(0.0, 0.5)] = 0.0
    kl_weight: Annotated[float, Real(0.1, 2.0, log=True)] = 1.0
    kl_warm_up: Annotated[float, Real(0.0, 0.5)] = 0.25
    free_bits: Annotated[float, Real(0.0, 0.25)] = 0.05

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        for name in ("latents", "width", "depth", "embedding"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1; got {getattr(self, name)}.")
        for name in ("dropout", "kl_warm_up"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 0 and below 1; got {getattr(self, name)}.")
        for name in ("kl_weight", "free_bits"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"{name} must be at least 0; got {getattr(self, name)}.")


class Block(nn.Module):
    """A hidden layer that adds to what it is given (He 2016)."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """Returns (b, width) of (b, width)."""
        return hidden + self.second(self.dropout(functional.silu(self.first(self.norm(hidden)))))


class Network(nn.Module):
    """Encoder and decoder.

    Args:
        tiles: how many kinds of tiles there are.
        cells: how many cells a level has.
        conditions: how long the vector of conditions is.
        config: their sizes.
    """

    def __init__(self, tiles: int, cells: int, conditions: int, config: Config) -> None:
        super().__init__()
        width = config.width
        self.tiles, self.cells = tiles, cells
        self.embedding = nn.Embedding(tiles, config.embedding)
        self.inward = nn.Linear(cells * config.embedding + conditions, width)
        self.encoder = nn.Sequential(*(Block(width, config.dropout) for _ in range(config.depth)), nn.LayerNorm(width))
        self.latents = nn.Linear(width, 2 * config.latents)
        self.outward = nn.Linear(config.latents + conditions, width)
        self.decoder = nn.Sequential(*(Block(width, config.dropout) for _ in range(config.depth)), nn.LayerNorm(width))
        self.logits = nn.Linear(width, cells * tiles)

    def encode(self, levels: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the latents' means and logarithms of variances, (b, latents) each.

        Args:
            levels: int64 (b, *shape).
            dense: float32 (b, conditions).
        """
        hidden = self.inward(torch.cat([self.embedding(levels.flatten(1)).flatten(1), dense], dim=1))
        mean, spread = self.latents(self.encoder(hidden)).chunk(2, dim=1)
        return mean, spread.clamp(_LEAST_SPREAD, _MOST_SPREAD)

    def decode(self, latents: Tensor, dense: Tensor) -> Tensor:
        """Returns logits (b, cells, tiles) of latents (b, latents)."""
        hidden = self.decoder(self.outward(torch.cat([latents, dense], dim=1)))
        logits: Tensor = self.logits(hidden)
        return logits.unflatten(1, (self.cells, self.tiles))


class VariationalAutoencoder(NeuralGenerator):
    """A variational autoencoder of whole levels."""

    network: Network
    name, title, paper = "vae", "Variational autoencoder", "Kingma 2014; conditional: Sohn 2015"
    Config = Config
    Sampler, Sampling = VaeSampler, VaeSampler.Sampling
    keeps_fixed_tiles = "construction"
    axes = (2, 3)
    chunk = 1024
    small: ClassVar = {"latents": 4, "width": 16, "depth": 1}
    defaults: ClassVar = {"batch": 128, "learning_rate": 1e-3, "ema": 0.995, "weight_decay": 0.01}

    def build(self) -> nn.Module:
        """Returns the network."""
        return Network(len(self.spec.tiles), self.spec.cells, self.spec.condition_size, self.config)

    def loss(self, levels: Tensor, asked: Asked, random: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the bound on the nats of a tile, the divergence weighed as it is in the end."""
        rebuilt, divergence, figures = self._parts(levels, asked, random)
        return (rebuilt + self.config.kl_weight * divergence.sum()) / self.spec.cells, figures

    def train_step(self, levels: Tensor, asked: Asked, training: Training) -> dict[str, Tensor]:
        """Makes one update, with the divergence weighed by how far the training is."""
        rebuilt, divergence, figures = self._parts(levels, asked, training.random)
        rise = min(1.0, training.share / self.config.kl_warm_up) if self.config.kl_warm_up else 1.0
        paid = divergence.clamp(min=self.config.free_bits).sum()
        loss = (rebuilt + rise * self.config.kl_weight * paid) / self.spec.cells
        descend(loss, training.optimisers["network"], training.options)
        return {"loss": loss.detach(), **figures}

    def _parts(self, levels: Tensor, asked: Asked, random: torch.Generator) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Returns nats of reconstruction per level, the mean divergence of each latent, and figures."""
        mean, spread = self.network.encode(levels, asked.dense)
        latents = mean + (spread / 2).exp() * _normal(mean.shape, random, mean.device)
        logits = self.network.decode(latents, asked.dense)
        rebuilt = functional.cross_entropy(logits.flatten(0, 1), levels.flatten(), reduction="sum") / len(levels)
        divergence = ((mean.square() + spread.exp() - 1 - spread) / 2).mean(dim=0)
        return rebuilt, divergence, self._figures(levels, logits, mean, rebuilt, divergence)

    def _figures(
        self, levels: Tensor, logits: Tensor, mean: Tensor, rebuilt: Tensor, divergence: Tensor
    ) -> dict[str, Tensor]:
        """Returns what tells whether latents are used: where none is, the posterior has collapsed."""
        with torch.no_grad():
            active = (mean.var(dim=0, correction=0) > _ACTIVE).sum()
            right = (logits.argmax(dim=2) == levels.flatten(1)).float().mean()
        return {
            "reconstruction": rebuilt.detach() / self.spec.cells,
            "divergence": divergence.detach().sum() / self.spec.cells,
            "active_units": active,
            "rebuilt_tiles": right,
        }

    def settings(self) -> VaeSettings:
        """Returns what the sampler has to know; see `NeuralGenerator.settings`."""
        return VaeSettings(self.config.latents)

    def graphs(self) -> dict[str, Graph]:
        """Returns the decoder and its slope; see `VaeSampler`."""
        decode = self.network.decode

        def unlikely(latents: Tensor, dense: Tensor, wanted: Tensor) -> Tensor:
            return misfit(decode(latents, dense), wanted)

        return {
            "decode": Graph(decode, ("latents", "asked"), ("logits",)),
            "misfit_slope": Graph(slope_of(unlikely), ("latents", "asked", "wanted"), ("slope",), slope=True),
        }

    # Latents for people and for searches.

    def encode(
        self, levels: NDArray[np.uint8], condition: Condition | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Returns where levels lie among the latents.

        Args:
            levels: uint8 (n, *shape).
            condition: what they are known to be, as `sample` takes it.

        Returns:
            The latents' means and standard deviations, float32 (n, latents) each; the prior has mean 0, deviation 1.

        Raises:
            UserError: the levels or the condition cannot be used.
        """
        batch = torch.from_numpy(self.check_levels(levels).astype(np.int64)).to(self.device)
        self.network.eval()
        with torch.no_grad():
            mean, spread = self.network.encode(batch, self._asked(condition, len(batch)).dense)
        return mean.cpu().numpy(), (spread / 2).exp().cpu().numpy()

    def decode(
        self,
        latents: NDArray,
        condition: Condition | None = None,
        fixed_tiles: Any = None,
        seed: int = 0,
        **sampling: Any,
    ) -> NDArray[np.uint8]:
        """Returns the levels of latents.

        Args:
            latents: floats (n, latents).
            condition: what the levels are to be, as `sample` takes it.
            fixed_tiles: as `sample` takes it; the latents are not moved towards them.
            seed: of the tiles' draws, where the temperature is above 0.
            **sampling: options of `Sampling`; temperature is 0 where it is not given, so that near latents are near
                levels. Those of the latents' draws do nothing here.

        Returns:
            uint8 (n, *shape).

        Raises:
            UserError: the latents, the condition, a fixed tile or an option cannot be used.
        """
        given = np.asarray(latents, np.float32)
        if given.ndim != 2 or given.shape[1] != self.config.latents or not np.isfinite(given).all():
            raise UserError(
                f"Latents must be finite numbers of shape (levels, {self.config.latents}); got {given.shape}."
            )
        chosen = self.sampling_options(**{"temperature": 0.0, **sampling})
        request = self.request(len(given), seed, condition, fixed_tiles)
        sampler = self.sampler()
        return sampler.decoded(given, sampler.dense(request), request.fixed, chosen, request.draws())

    def interpolate(
        self,
        first: NDArray[np.uint8],
        second: NDArray[np.uint8],
        steps: int,
        condition: Condition | None = None,
        **sampling: Any,
    ) -> NDArray[np.uint8]:
        """Returns levels on the way from one level to another.

        The direction of the latents turns evenly and their length changes evenly, so that levels on the way are as
        far from the prior's mean as its draws are (White 2016).

        Args:
            first: uint8 (*shape).
            second: uint8 (*shape).
            steps: how many levels, at least 2; the first and the last are the reconstructions of the two.
            condition: as `sample` takes it.
            **sampling: as `decode` takes it.

        Returns:
            uint8 (steps, *shape).

        Raises:
            UserError: a level, the number of steps or an option cannot be used.
        """
        if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 2:
            raise UserError(f"steps must be a whole number of at least 2; got {steps!r}.")
        ends = np.stack([np.asarray(first), np.asarray(second)])
        start, end = self.encode(ends, condition)[0].astype(np.float64)
        shares = np.linspace(0, 1, steps)[:, None]
        lengths = np.linalg.norm(start), np.linalg.norm(end)
        cosine = float(start @ end / max(lengths[0] * lengths[1], 1e-12))
        angle = math.acos(min(1.0, max(-1.0, cosine)))
        if math.sin(angle) < 1e-3:
            way = (1 - shares) * start + shares * end
        else:
            turned = np.sin((1 - shares) * angle) * start / lengths[0] + np.sin(shares * angle) * end / lengths[1]
            way = turned / math.sin(angle) * ((1 - shares) * lengths[0] + shares * lengths[1])
        return self.decode(way, condition, **sampling)

    def combine(
        self,
        base: NDArray[np.uint8],
        plus: NDArray[np.uint8],
        minus: NDArray[np.uint8],
        strength: float = 1.0,
        condition: Condition | None = None,
        **sampling: Any,
    ) -> NDArray[np.uint8]:
        """Returns levels with more of what some levels have and others have not (arithmetic on latents).

        Args:
            base: uint8 (n, *shape), what is changed.
            plus: uint8 (m, *shape), levels that have the trait.
            minus: uint8 (k, *shape), levels that have it not.
            strength: how many times the difference of their mean latents is added.
            condition: as `sample` takes it, for the n levels.
            **sampling: as `decode` takes it.

        Returns:
            uint8 (n, *shape).

        Raises:
            UserError: levels or an option cannot be used.
        """
        trait = self.encode(plus)[0].mean(axis=0) - self.encode(minus)[0].mean(axis=0)
        return self.decode(self.encode(base, condition)[0] + strength * trait, condition, **sampling)

    def score(self, levels: NDArray[np.uint8], condition: Condition | None = None, draws: int = 32) -> Scores:
        """Returns the importance-weighted bound (Burda 2016) on each level's nats per tile.

        Args:
            levels: uint8 (n, *shape).
            condition: what the model is told of them, as `sample` takes it.
            draws: how many latents are drawn for each level; the more, the tighter.
        """
        batch = self.check_levels(levels)
        random = torch.Generator().manual_seed(0)
        asked = self._asked(condition, len(batch))
        nats = []
        self.network.eval()
        with torch.no_grad():
            for first in range(0, len(batch), 128):
                part = torch.from_numpy(batch[first : first + 128].astype(np.int64)).to(self.device)
                nats.append(self._bound(part, asked.dense[first : first + 128], draws, random))
        found = torch.cat(nats).double().cpu().numpy() / self.spec.cells
        note = (
            f"a bound by {draws} draws of latents; without the count rules, which make levels that keep them likelier"
        )
        return Scores(found, None, bound=True, note=note)

    def _bound(self, levels: Tensor, dense: Tensor, draws: int, random: torch.Generator) -> Tensor:
        """Returns the bound on the nats of whole levels, (b,)."""
        mean, spread = self.network.encode(levels, dense)
        weights = []
        for _ in range(draws):
            noise = _normal(mean.shape, random, mean.device)
            latents = mean + (spread / 2).exp() * noise
            logits = self.network.decode(latents, dense)
            likely = -functional.cross_entropy(logits.transpose(1, 2), levels.flatten(1), reduction="none").sum(dim=1)
            weights.append(likely + ((noise.square() + spread - latents.square()) / 2).sum(dim=1))
        return math.log(draws) - torch.stack(weights).logsumexp(dim=0)

    def _asked(self, condition: Condition | None, n: int) -> Asked:
        return Asked.of(self.spec, *self.spec.values(condition, n), self.device)


def _normal(shape: tuple[int, ...], random: torch.Generator, device: torch.device | str) -> Tensor:
    return torch.randn(shape, generator=random).to(device)


FAMILY = VariationalAutoencoder
