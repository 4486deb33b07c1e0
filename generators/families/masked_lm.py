"""Masked tile LM: a network that sees both ways and fills levels in any order, many tiles at once.

Absorbing-state discrete diffusion (D3PM, Austin 2021), sampled in few steps as MaskGIT does (Chang 2022). Training
hides a random number of tiles and asks for all of them at once; sampling begins with everything hidden and reveals some
tiles at every step, so that fixed tiles are simply tiles that were never hidden.

Two things are added for levels:

- *Layers.* Between a tile and the mask stands an intermediate state, "open": the floor, or any of the things that stand
  on it (the tiles that the count rules name, and those that are as rare). Tiles become open before they become masked,
  so that sampling lays out the ground first and then decides, within the whole layout, where the few things are. It
  is a D3PM with one more absorbing state; problems without count rules have one layer.
- *Count rules by construction.* What a step proposes for all hidden tiles is changed, at the least cost in
  log-probability, until it keeps the rules (`generators.settling`); what is revealed is a part of that.

The network (`generators.patches`) is small, because it runs once a step: a dozen passes at a few tens of thousands of
multiplications a tile are what hundreds of levels a second leave room for.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from envs import UserError
from generators.generator import Scores
from generators.graphs import Graph
from generators.neural import NeuralGenerator
from generators.patches import PatchNetwork
from generators.samplers.masked_lm import Layers, MaskedLmSampler, MaskedLmSettings
from generators.searchable import Choice, Real, Whole
from generators.spec import Condition, LevelSpec
from generators.training import Asked

#: The weight of what the first layer does not yet need to know.
_AHEAD = 0.1

#: The mask rates at which a level's likelihood is estimated, for each layer.
_RATES = 16


@dataclass(frozen=True)
class Config:
    """The network of a masked tile LM.

    Attributes:
        width: numbers to a token; a multiple of heads.
        layers: blocks, one after another.
        heads: of the attention.
        expansion: how many times wider the inner layer of a block is.
        patch: a token is a square of so many tiles a side.
        reach: how many tiles around its patch a token reads.
        embedding: numbers to a tile that is read.
        things: whether things are decided after the ground they stand on, where the problem has count rules.
        blocks: how tokens hear of each other: by attention; by convolutions over the grid of patches, each of which
            carries what is known a little further; or by one convolutional block that is applied `layers` times, a
            neural cellular automaton (Mordvintsev 2020).
        kernel: the side of those convolutions, in patches; an odd number.
        dropout: the share of what a block adds that is left out in training.
    """

    width: Annotated[int, Whole(16, 128, log=True, multiple_of="heads")] = 64
    layers: Annotated[int, Whole(1, 8)] = 4
    heads: Annotated[int, Choice((1, 2, 4, 8), when={"blocks": ("attention",)})] = 4
    expansion: Annotated[int, Whole(1, 4)] = 2
    patch: Annotated[int, Whole(1, 3)] = 2
    reach: Annotated[int, Whole(0, 3)] = 2
    embedding: Annotated[int, Whole(4, 16, log=True)] = 8
    things: bool = True
    blocks: Annotated[Literal["attention", "convolution", "cellular"], Choice()] = "attention"
    kernel: Annotated[int, Choice((3, 5), when={"blocks": ("convolution", "cellular")})] = 3
    dropout: Annotated[float, Real(0.0, 0.3)] = 0.0

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        for name in ("width", "layers", "heads", "expansion", "patch", "embedding"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1; got {getattr(self, name)}.")
        if self.reach < 0:
            raise UserError(f"reach must be at least 0; got {self.reach}.")
        if self.blocks == "attention" and self.width % self.heads:
            raise UserError(f"width must be a multiple of heads; got {self.width} and {self.heads}.")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise UserError(f"kernel must be an odd number of at least 1; got {self.kernel}.")
        if not 0 <= self.dropout < 1:
            raise UserError(f"dropout must be at least 0 and below 1; got {self.dropout}.")


def _ranks(keys: Tensor) -> Tensor:
    """Returns each entry's place among its row's, the greatest first: int64, from 0."""
    return keys.argsort(dim=1, descending=True).argsort(dim=1)


class MaskedTileLM(NeuralGenerator):
    """A masked tile LM; see the module."""

    name = "masked_lm"
    title = "Masked tile LM"
    paper = "Austin 2021, Chang 2022"
    Config = Config
    Sampler, Sampling = MaskedLmSampler, MaskedLmSampler.Sampling
    keeps_fixed_tiles = "construction"
    small = {"width": 16, "layers": 1, "heads": 2, "embedding": 4}
    defaults = {"batch": 64, "learning_rate": 2e-3, "warm_up": 200, "weight_decay": 0.02, "ema": 0.998}

    network: PatchNetwork

    def __init__(self, spec: LevelSpec, config: Any = None) -> None:
        if config is not None:
            config.check()
        self.open, self.mask = len(spec.tiles), len(spec.tiles) + 1
        layers = Layers.of(spec, (config or Config()).things)
        self.things, self.group = torch.from_numpy(layers.things), torch.from_numpy(layers.group)
        super().__init__(spec, config)

    def build(self) -> nn.Module:
        """Returns the network."""
        sizes = {name: size for name, size in asdict(self.config).items() if name != "things"}
        return PatchNetwork(self.spec, **sizes)

    # Training.

    def hide(self, levels: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Hides some tiles of levels, as training does.

        Half of the levels are at the first layer: any number of cells is masked, and the others show the ground alone,
        or, as when tiles are fixed, things as well. The other half shows all the ground, and some of the things.

        Args:
            levels: int64 (n, cells).
            random: the source of draws.

        Returns:
            int64 (n, cells), what the network sees; and the weights of each cell's two errors, float32 (n, cells)
            each: in the ground, and in what stands on it. A level's weighted errors are an estimate of the bound on its
            negative log-likelihood per tile.
        """
        n, cells = levels.shape
        first, second = torch.rand(n, cells, generator=random), torch.rand(n, cells, generator=random)
        chance, share = torch.rand(n, 3, generator=random), torch.rand(n, 1, generator=random)
        layered = bool(self.group.any())
        group, thing = self.group[levels], self.things[levels]
        ground = torch.where(group, self.open, levels)
        number = torch.randint(1, cells + 1, (n, 1), generator=random)
        masked = _ranks(first) < number
        # Of the visible things at the first layer: mostly none, else some, or all.
        seen = (second < share) & (chance[:, :1] < 0.25) | (chance[:, :1] > 0.75)
        at_first = torch.where(masked, self.mask, torch.where(seen, levels, ground))
        ground_weights = masked / number
        if not layered:
            return at_first, ground_weights, torch.zeros(n, cells)
        number_of_things = thing.sum(dim=1, keepdim=True)
        shown = thing & (_ranks(first + thing) < (chance[:, 1:2] * number_of_things).floor())
        # Open ground is revealed last in sampling, but where tiles are fixed some of it may be known.
        shown |= group & ~thing & (second < share) & (chance[:, :1] < 0.33)
        at_second = torch.where(group & ~shown, self.open, levels)
        hidden = at_second == self.open
        left = (thing & hidden).sum(dim=1, keepdim=True).clamp(min=1)
        thing_weights = hidden * number_of_things.clamp(min=1) / left / cells
        laying = chance[:, 2:] < 0.5
        seen_cells = torch.where(laying, at_first, at_second)
        return (
            seen_cells,
            2 * ground_weights * laying,
            2 * thing_weights * ~laying + 2 * _AHEAD * ground_weights * laying,
        )

    def errors(self, cells: Tensor, levels: Tensor, asked: Asked) -> tuple[Tensor, Tensor]:
        """Returns the negative log-probability of each cell's ground, and of its tile given the ground.

        Args:
            cells: int64 (n, cells), what the network sees.
            levels: int64 (n, cells), what is true.
            asked: conditions.

        Returns:
            Two float32 (n, cells); the second is 0 where nothing can stand.
        """
        group = self.group.to(levels.device)
        found = self.network(cells.view(-1, *self.spec.shape), asked.dense).flatten(1, 2).log_softmax(dim=-1)
        tile = found.gather(-1, levels[..., None])[..., 0]
        if not group.any():
            return -tile, torch.zeros_like(tile)
        ground = found[..., group].logsumexp(dim=-1)
        standing = group[levels]
        return -torch.where(standing, ground, tile), torch.where(standing, ground - tile, 0)

    def loss(self, levels: Tensor, asked: Asked, random: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the mean bound per tile, in nats, with a little of what the first layer need not know."""
        flat = levels.flatten(1)
        seen, ground_weights, thing_weights = (part.to(levels.device) for part in self.hide(flat.cpu(), random))
        ground, things = self.errors(seen, flat, asked)
        ground_loss = (ground * ground_weights).sum(dim=1).mean()
        thing_loss = (things * thing_weights).sum(dim=1).mean()
        return ground_loss + thing_loss, {"ground": ground_loss.detach(), "things": thing_loss.detach()}

    # Sampling.

    def settings(self) -> MaskedLmSettings:
        """Returns what the sampler has to know; see `NeuralGenerator.settings`."""
        return MaskedLmSettings(self.config.things)

    def graphs(self) -> dict[str, Graph]:
        """Returns the network; see `MaskedLmSampler`."""
        network = self.network

        def logits(cells: Tensor, asked: Tensor) -> Tensor:
            found: Tensor = network(cells, asked)
            return found.flatten(1, 2)

        return {"logits": Graph(logits, ("cells", "asked"), ("logits",))}

    # Scores.

    def score(self, levels: NDArray[np.uint8], condition: Condition | None = None) -> Scores:
        """Returns an estimate of the bound on each level's negative log-likelihood, and tiles told from the others.

        The bound (Austin 2021; in its any-order form, Hoogeboom 2022) is the mean over mask rates of the mean error
        on masked tiles, for each layer; it is estimated at a fixed number of rates, with draws that are always the
        same. Count rules, which sampling keeps, are not counted in.
        """
        batch = torch.from_numpy(self.check_levels(levels).astype(np.int64)).flatten(1)
        values, labels = self.spec.values(condition, len(batch))
        asked = Asked.of(self.spec, values, labels, self.device)
        random = torch.Generator().manual_seed(1)
        nats, predicted = [], []
        self.network.eval()
        with torch.no_grad():
            for first in range(0, len(batch), self.chunk):
                part = slice(first, first + self.chunk)
                told = Asked(asked.dense[part], asked.buckets[part])
                nats.append(self._bound(batch[part], told, random))
                predicted.append(self._told_from_half(batch[part], told, random))
        return Scores(
            torch.cat(nats).numpy().astype(np.float64),
            torch.cat(predicted).numpy().astype(np.uint8).reshape(levels.shape),
            bound=True,
            note="each tile given a random half of the others",
        )

    def _bound(self, levels: Tensor, asked: Asked, random: torch.Generator) -> Tensor:
        """Returns estimates of the bound, float32 (n,), in nats per tile."""
        n, cells = levels.shape
        group = self.group[levels]
        ground = torch.where(group, self.open, levels)
        size = group.sum(dim=1, keepdim=True)
        total = torch.zeros(n)
        for i in range(_RATES):
            rate = (i + torch.rand(n, 1, generator=random)) / _RATES
            masked = _ranks(torch.rand(n, cells, generator=random)) < (rate * cells).floor() + 1
            error, _ = self.errors(
                torch.where(masked, self.mask, ground).to(self.device), levels.to(self.device), asked
            )
            total += (error.cpu() * masked).sum(dim=1) / masked.sum(dim=1)
            if self.group.any():
                keys = torch.rand(n, cells, generator=random).masked_fill(~group, -1)
                hidden = group & (_ranks(keys) < (rate * size).floor() + 1)
                seen = torch.where(hidden, self.open, levels).to(self.device)
                _, error = self.errors(seen, levels.to(self.device), asked)
                share = size[:, 0] / cells / hidden.sum(dim=1).clamp(min=1)
                total += (error.cpu() * hidden).sum(dim=1) * share
        return total / _RATES

    def _told_from_half(self, levels: Tensor, asked: Asked, random: torch.Generator) -> Tensor:
        """Returns the likeliest tile of each cell, int64 (n, cells), with a random half of the cells masked, it too."""
        n, cells = levels.shape
        half = _ranks(torch.rand(n, cells, generator=random)) < cells // 2
        found = torch.empty_like(levels)
        for masked in (half, ~half):
            seen = torch.where(masked, self.mask, levels).view(n, *self.spec.shape).to(self.device)
            likeliest = self.network(seen, asked.dense).flatten(1, 2).argmax(dim=-1).cpu()
            found = torch.where(masked, likeliest, found)
        return found


FAMILY = MaskedTileLM
