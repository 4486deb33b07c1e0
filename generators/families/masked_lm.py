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

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from envs import UserError
from envs.counts import CountRule
from generators.generator import Request, Scores
from generators.neural import NeuralGenerator
from generators.patches import PatchNetwork
from generators.searchable import Choice, Real, Whole
from generators.settling import NEVER, CountSettler
from generators.spec import Condition, LevelSpec
from generators.training import Asked

#: Tiles that are at most so many times as frequent as the commonest tile that a count rule names are things, too.
_AS_RARE = 2.0

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


@dataclass(frozen=True)
class Revealing:
    """How a masked tile LM fills levels.

    Attributes:
        steps: passes of the network; each reveals a part of the level.
        thing_steps: the share of the steps that decide things; the others lay out the ground.
        temperature: of the distributions that tiles are drawn from; 0 takes the likeliest.
        order: what is revealed first: the tiles that the network is surest of (MaskGIT), or random ones (D3PM).
        choice_temperature: noise in what counts as surest; it falls to 0 over the steps. 0 is greedy.
        schedule: how much is revealed when: as much at each step, or more later on (cosine, Chang 2022).
        guidance: how far beyond the unconditional model conditions push (Ho 2022); 1 is the conditional model itself.
        remask: at each step, the share of the tiles revealed so far that are hidden again and decided anew, the least
            sure first (Wang 2025).
        constrained: whether count rules are kept.
    """

    steps: int = 12
    thing_steps: float = 0.4
    temperature: float = 1.0
    order: Literal["confidence", "random"] = "confidence"
    choice_temperature: float = 0.1
    schedule: Literal["linear", "cosine"] = "linear"
    guidance: float = 1.0
    remask: float = 0.0
    constrained: bool = True

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        if self.steps < 1:
            raise UserError(f"steps must be at least 1; got {self.steps}.")
        for name in ("temperature", "choice_temperature", "guidance"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise UserError(f"{name} must be a finite number of at least 0; got {getattr(self, name)}.")
        for name in ("thing_steps", "remask"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 0 and below 1; got {getattr(self, name)}.")


def _ranks(keys: Tensor) -> Tensor:
    """Returns each entry's place among its row's, the greatest first: int64, from 0."""
    return keys.argsort(dim=1, descending=True).argsort(dim=1)


def _gumbel(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    return -torch.empty(shape).exponential_(generator=random).clamp_(min=1e-20).log_()


class MaskedTileLM(NeuralGenerator):
    """A masked tile LM; see the module."""

    name = "masked_lm"
    title = "Masked tile LM"
    paper = "Austin 2021, Chang 2022"
    Config = Config
    Sampling = Revealing
    keeps_fixed_tiles = "construction"
    small = {"width": 16, "layers": 1, "heads": 2, "embedding": 4}
    defaults = {"batch": 64, "learning_rate": 2e-3, "warm_up": 200, "weight_decay": 0.02, "ema": 0.998}

    network: PatchNetwork

    def __init__(self, spec: LevelSpec, config: Any = None) -> None:
        if config is not None:
            config.check()
        self.open, self.mask = len(spec.tiles), len(spec.tiles) + 1
        named = {name for rule in spec.count_rules() for name in rule.coefficients}
        things = [name in named for name in spec.tiles]
        if named:
            rare = _AS_RARE * max(spec.frequencies[spec.tiles.index(name)] for name in named)
            things = [thing or share <= rare for thing, share in zip(things, spec.frequencies, strict=True)]
        # Things stand on open ground, which is every problem's first tile.
        things[0] = False
        layered = any(things) and (config or Config()).things
        self.things = torch.tensor(things if layered else [False] * len(things))
        #: The tiles that "open" may stand for.
        self.group = self.things.clone()
        self.group[0] = layered
        super().__init__(spec, config)
        self.settler = CountSettler(spec.count_rules(), spec.tiles)

    def keeping(self, counts: Sequence[CountRule]) -> Self:
        """See `Generator.keeping`."""
        copied = super().keeping(counts)
        copied.settler = CountSettler(copied.spec.count_rules(), copied.spec.tiles)
        return copied

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

    def generate(self, request: Request, asked: Asked, sampling: Revealing, random: torch.Generator) -> Tensor:
        """Reveals levels step by step; see `Revealing`."""
        n, cells = request.n, self.spec.cells
        state = torch.full((n, cells), self.mask)
        if request.fixed is not None:
            given = torch.from_numpy(request.fixed.astype(np.int64)).view(n, cells)
            state = torch.where(given >= 0, given, state)
        fixed = state < self.open
        total = (~fixed).sum(dim=1, keepdim=True)
        sureness = torch.zeros(n, cells)
        kept: tuple[Tensor, NDArray[np.float64]] | None = None
        ground_steps = self.ground_steps(sampling)
        for step in range(sampling.steps - 1):
            laying = step < ground_steps
            if laying:
                remaining = 1 - (step + 1) / ground_steps
            else:
                remaining = 1 - (step + 1 - ground_steps) / (sampling.steps - ground_steps)
            if sampling.remask and step not in (0, ground_steps):
                state = self._hidden_again(state, fixed, sureness, laying, sampling.remask)
            scores, found = self._distributions(state, asked, sampling, random)
            proposal, kept = self._proposal(state, scores, kept, sampling)
            seen = torch.where(self.group[proposal], self.open, proposal) if laying else proposal
            sure = self._sureness(found, proposal, laying)
            if sampling.order == "random":
                keys = torch.rand(n, cells, generator=random)
            else:
                keys = sure + sampling.choice_temperature * remaining * _gumbel((n, cells), random)
            if laying:
                candidates = state == self.mask
                left = remaining if sampling.schedule == "linear" else math.cos((1 - remaining) * math.pi / 2)
                number = candidates.sum(dim=1, keepdim=True) - (total * left).round()
            else:
                # Things come before the open ground between them: where one stands tells most about the others.
                candidates = (state == self.open) & self.things[proposal]
                number = (candidates.sum(dim=1, keepdim=True) / (sampling.steps - step)).ceil()
            chosen = candidates & (_ranks(keys.masked_fill(~candidates, -math.inf)) < number)
            state = torch.where(chosen, seen, state)
            sureness = torch.where(chosen, sure, sureness)
        scores, _ = self._distributions(state, asked, sampling, random)
        proposal, _ = self._proposal(state, scores, kept, sampling)
        return proposal.view(n, *self.spec.shape)

    def ground_steps(self, sampling: Revealing) -> int:
        """Returns how many of the steps reveal the first layer."""
        if not self.group.any():
            return sampling.steps
        return sampling.steps - min(max(1, round(sampling.steps * sampling.thing_steps)), max(1, sampling.steps - 1))

    def _distributions(
        self, state: Tensor, asked: Asked, sampling: Revealing, random: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Returns float32 (n, cells, tiles), twice: log-probabilities with the noise of a draw, and without."""
        alike = bool((state == state[:1]).all() and (asked.dense == asked.dense[:1]).all())
        number = 1 if alike else len(state)  # at the first step, all levels are often one and the same
        cells, told = state[:number].view(-1, *self.spec.shape).to(self.device), asked.dense[:number]
        logits = self.network(cells, told)
        if sampling.guidance != 1 and self.spec.condition_size:
            free = self.network(cells, torch.zeros_like(told))
            logits = free + sampling.guidance * (logits - free)
        found = (logits.flatten(1, 2).cpu() / (sampling.temperature or 1)).log_softmax(dim=-1)
        found = found.expand(len(state), -1, -1)
        found = found.masked_fill((state == self.open)[..., None] & ~self.group, 10 * NEVER)
        return (found + _gumbel(tuple(found.shape), random) if sampling.temperature else found), found

    def _proposal(
        self, state: Tensor, scores: Tensor, kept: tuple[Tensor, NDArray[np.float64]] | None, sampling: Revealing
    ) -> tuple[Tensor, tuple[Tensor, NDArray[np.float64]]]:
        """Returns a tile for every cell, int64 (n, cells), and that with how far from its count rules each level is."""
        hidden = state >= self.open
        proposal = torch.where(hidden, scores.argmax(dim=-1), state)
        if not sampling.constrained:
            return proposal, (proposal, np.zeros(len(proposal)))
        broken = self.settler(proposal.numpy(), scores.numpy(), hidden.numpy())
        if kept is not None:
            # What the last step proposed is still a way to go on from here.
            worse = torch.from_numpy(broken > kept[1])
            proposal[worse] = kept[0][worse]
            broken = np.minimum(broken, kept[1])
        return proposal, (proposal, broken)

    def _sureness(self, found: Tensor, proposal: Tensor, laying: bool) -> Tensor:
        """Returns the log-probability of what was proposed, or of its ground, float32 (n, cells)."""
        tile = found.gather(-1, proposal[..., None])[..., 0]
        if not laying or not self.group.any():
            return tile
        return torch.where(self.group[proposal], found[..., self.group].logsumexp(dim=-1), tile)

    def _hidden_again(self, state: Tensor, fixed: Tensor, sureness: Tensor, laying: bool, share: float) -> Tensor:
        """Returns states with some of what this layer has revealed hidden again, the least sure first."""
        if laying:
            shown = ~fixed & (state != self.mask)
        else:
            shown = ~fixed & (state < self.open) & self.things[state.clamp(max=self.open - 1)]
        number = (shown.sum(dim=1, keepdim=True) * share).round()
        again = shown & (_ranks((-sureness).masked_fill(~shown, -math.inf)) < number)
        return torch.where(again, self.mask if laying else self.open, state)

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
