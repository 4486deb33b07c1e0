"""The vector-quantised autoencoder: a level as a short sequence of codes, and a transformer that writes such sequences.

In the first stage an encoder turns every patch of a level, which it sees with all others, into one code of a codebook,
and a decoder turns the codes back into tiles (van den Oord 2017). Gradients pass the choice of a code straight through;
codes follow the mean of what chose them; codes that hardly anything chooses begin anew at what some patch wants.
In the second stage the autoencoder rests, and a causal transformer learns the sequences of codes, told the conditions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from envs import UserError
from generators.generator import FitOptions, Scores
from generators.graphs import Graph
from generators.memory import memory_names
from generators.neural import NeuralGenerator
from generators.samplers.vqvae import VqvaeSampler, VqvaeSettings
from generators.searchable import Choice, Real, Whole
from generators.spec import Condition
from generators.training import Asked, Training, adamw, descend
from generators.transformer import Positions, Transformer, check_width

#: How many numbers place a code among the codes, where a level is a point of latents.
CODE_AXES = 4

#: A code that is chosen less often than this share of an even share begins anew.
_DEAD = 0.02

#: The autoencoder sees so many levels at a time where it only reads or writes them.
_PART = 512

#: What a tile that was never seen in a patch of a code is taken to be seen.
_UNSEEN = 0.01


@dataclass(frozen=True)
class Config:
    """The network.

    Attributes:
        patch: a code stands for patch by patch tiles.
        codes: how many there are in the codebook.
        code_size: numbers that a code is looked up by.
        width: of a patch inside the autoencoder.
        depth: transformer blocks in the encoder, and in the decoder.
        heads: of their attention.
        commitment: what the distance of the encoder's vectors from their codes weighs in the loss.
        code_decay: of the moving averages that codes follow.
        prior_width: of a code inside the transformer that writes sequences.
        prior_depth: its blocks.
        prior_heads: the heads of its attention.
        dropout: the share of codes that it is told wrongly while it learns, so that it can go on from its own slips.
    """

    patch: Annotated[int, Whole(1, 3)] = 2
    codes: Annotated[int, Whole(32, 512, log=True)] = 256
    code_size: Annotated[int, Whole(4, 32, log=True)] = 16
    width: Annotated[int, Whole(16, 192, log=True, multiple_of="heads")] = 96
    depth: Annotated[int, Whole(1, 3)] = 1
    heads: Annotated[int, Choice((1, 2, 4, 8))] = 4
    commitment: Annotated[float, Real(0.05, 1.0, log=True)] = 0.25
    code_decay: Annotated[float, Real(0.9, 0.995)] = 0.98
    prior_width: Annotated[int, Whole(32, 256, log=True, multiple_of="prior_heads")] = 128
    prior_depth: Annotated[int, Whole(1, 6)] = 3
    prior_heads: Annotated[int, Choice((1, 2, 4, 8))] = 4
    dropout: Annotated[float, Real(0.0, 0.3)] = 0.0

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        for name in ("patch", "code_size", "width", "depth", "heads", "prior_width", "prior_depth", "prior_heads"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1; got {getattr(self, name)}.")
        if self.codes < 2:
            raise UserError(f"codes must be at least 2; got {self.codes}.")
        for name in ("code_decay", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 0 and below 1; got {getattr(self, name)}.")
        if not 0 <= self.commitment < math.inf:
            raise UserError(f"commitment must be at least 0; got {self.commitment}.")
        check_width(self.width, self.heads)
        check_width(self.prior_width, self.prior_heads)


class Codebook(nn.Module):
    """Vectors that follow the means of what is nearest to them (van den Oord 2017, appendix A).

    Args:
        codes: how many vectors.
        size: of each.
        decay: of the moving averages.
    """

    vectors: Tensor
    sums: Tensor
    uses: Tensor
    begun: Tensor

    def __init__(self, codes: int, size: int, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("vectors", torch.randn(codes, size))
        self.register_buffer("sums", self.vectors.clone())
        self.register_buffer("uses", torch.ones(codes))
        self.register_buffer("begun", torch.zeros((), dtype=torch.int64))

    def nearest(self, wanted: Tensor) -> Tensor:
        """Returns the number of the nearest code of each vector, int64 (...) of float32 (..., size)."""
        return (wanted @ self.vectors.T - self.vectors.square().sum(dim=1) / 2).argmax(dim=-1)

    @torch.no_grad()
    def follow(self, wanted: Tensor, chosen: Tensor, random: torch.Generator) -> None:
        """Moves the codes towards what chose them, and begins those anew that hardly anything chooses.

        Args:
            wanted: float32 (m, size).
            chosen: int64 (m,), the nearest code of each.
            random: which of `wanted` codes begin anew at.
        """
        codes = len(self.vectors)
        if not self.begun:
            # The first codes are what the encoder's first vectors are.
            self.vectors.copy_(_some(wanted, codes, random))
            self.sums.copy_(self.vectors)
            self.uses.fill_(len(wanted) / codes)
            self.begun.fill_(1)
            chosen = self.nearest(wanted)
        counts = torch.bincount(chosen, minlength=codes).to(wanted.dtype)
        self.uses.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(torch.zeros_like(self.sums).index_add_(0, chosen, wanted), 1 - self.decay)
        even = len(wanted) / codes
        dead = self.uses < _DEAD * even
        if dead.any():
            self.sums[dead] = _some(wanted, int(dead.sum()), random) * even
            self.uses[dead] = even
        self.vectors.copy_(self.sums / self.uses.clamp(min=1e-6)[:, None])

    def perplexity(self) -> Tensor:
        """Returns how many codes are in use: as many as there were if all in use were used alike."""
        shares = self.uses / self.uses.sum()
        return (-(shares * shares.clamp(min=1e-12).log()).sum()).exp()


class Autoencoder(nn.Module):
    """Levels to codes, and codes to levels.

    Args:
        tiles: how many kinds of tiles there are.
        shape: of a level.
        config: the sizes.
    """

    def __init__(self, tiles: int, shape: tuple[int, ...], config: Config) -> None:
        super().__init__()
        self.tiles, self.shape, self.patch = tiles, shape, config.patch
        self.grid = tuple(-(-size // config.patch) for size in shape)
        inside = config.patch**2
        # One tile more, for what is outside the level.
        self.inward = nn.Linear(inside * (tiles + 1), config.width)
        self.seen = Positions(self.grid, config.width)
        self.encoder = Transformer(config.width, config.heads, 2 * config.width, config.depth, causal=False)
        self.wanted = nn.Linear(config.width, config.code_size)
        self.codebook = Codebook(config.codes, config.code_size, config.code_decay)
        self.outward = nn.Linear(config.code_size, config.width)
        self.placed = Positions(self.grid, config.width)
        self.decoder = Transformer(config.width, config.heads, 2 * config.width, config.depth, causal=False)
        self.logits = nn.Linear(config.width, inside * tiles)
        self.register_buffer("places", torch.arange(int(np.prod(self.grid))))

    def patches(self, levels: Tensor, outside: int) -> Tensor:
        """Cuts levels, whole numbers (b, *shape), into patches (b, patches, patch * patch)."""
        height, width = (size * self.patch for size in self.grid)
        padding = (0, width - self.shape[1], 0, height - self.shape[0])
        cells = functional.pad(levels, padding, value=outside)
        cut = cells.unflatten(2, (-1, self.patch)).unflatten(1, (-1, self.patch))
        return cut.transpose(2, 3).flatten(3).flatten(1, 2)

    def joined(self, patches: Tensor) -> Tensor:
        """Joins what is told of the cells of patches, (b, patches, patch * patch, k), to (b, cells, k)."""
        rows, columns = self.grid
        cells = patches.unflatten(1, (rows, columns)).unflatten(3, (self.patch, self.patch))
        whole = cells.transpose(2, 3).flatten(3, 4).flatten(1, 2)
        return whole[:, : self.shape[0], : self.shape[1]].flatten(1, 2)

    def want(self, levels: Tensor) -> Tensor:
        """Returns the vectors that patches want codes near to, float32 (b, patches, code_size)."""
        cells = functional.one_hot(self.patches(levels, self.tiles), self.tiles + 1).flatten(2).float()
        hidden = self.encoder(self.inward(cells) + self.seen(self.places))
        # Vectors of one length on average: codes and what wants them cannot run away from each other.
        return functional.layer_norm(self.wanted(hidden), (self.wanted.out_features,))

    def codes(self, levels: Tensor) -> Tensor:
        """Returns the codes of levels, int64 (b, patches)."""
        wanted = self.want(levels)
        return self.codebook.nearest(wanted.flatten(0, 1)).view(wanted.shape[:2])

    def write(self, vectors: Tensor) -> Tensor:
        """Returns logits (b, cells, tiles) of codes' vectors, float32 (b, patches, code_size)."""
        hidden = self.decoder(self.outward(vectors) + self.placed(self.places))
        return self.joined(self.logits(hidden).unflatten(2, (self.patch**2, self.tiles)))


class Prior(nn.Module):
    """A causal transformer over the codes of a level, row by row; the first token is what is asked.

    Args:
        codes: how many there are.
        grid: the rows and columns of patches.
        conditions: how long the vector of conditions is.
        config: the sizes.
    """

    def __init__(self, codes: int, grid: tuple[int, ...], conditions: int, config: Config) -> None:
        super().__init__()
        self.codes, self.length = codes, int(np.prod(grid))
        width = config.prior_width
        self.asked = nn.Linear(conditions, width) if conditions else None
        self.start = nn.Parameter(torch.zeros(width))
        self.embedding = nn.Embedding(codes, width)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.positions = Positions(grid, width)
        self.transformer = Transformer(width, config.prior_heads, 4 * width, config.prior_depth)
        self.logits = nn.Linear(width, codes)
        self.places: Tensor
        self.register_buffer("places", torch.arange(self.length), persistent=False)

    def first(self, dense: Tensor) -> Tensor:
        """Returns the first token, float32 (b, 1, width)."""
        told = self.start.expand(dense.shape[0], -1)
        return (told + self.asked(dense) if self.asked is not None else told)[:, None]

    def forward(self, codes: Tensor, dense: Tensor) -> Tensor:
        """Returns logits of every code, (b, patches, codes), each given those before it in `codes` (b, patches)."""
        tokens = torch.cat([self.first(dense), self.embedding(codes[:, :-1])], dim=1)
        # A token knows the place of the code that is to be written next.
        return self.logits(self.transformer(tokens + self.positions(self.places)))

    # Code by code, with the transformer's memory.

    def begin(self, dense: Tensor) -> tuple[Tensor, ...]:
        """Returns the logits of the first code, (b, codes), and what is in the memory then."""
        token, *memory = self.transformer.read(self.first(dense) + self.positions(self.places[:1]))
        return self.logits(token[:, 0]), *memory

    def step(self, codes: Tensor, seen: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        """Returns the logits of the next codes, (b, codes), and what is new in the memory.

        Args:
            codes: int64 (b,), the last ones.
            seen: how many tokens are in the memory.
            memory: see `Transformer.step`.
        """
        place = self.positions(self.places.index_select(0, seen[None]))
        token, *new = self.transformer.step(self.embedding(codes)[:, None] + place, seen, *memory)
        return self.logits(token[:, 0]), *new


class Network(nn.Module):
    """The autoencoder, the prior over its codes, and what tiles stand in the patches of each code."""

    usual: Tensor

    def __init__(self, tiles: int, shape: tuple[int, ...], conditions: int, config: Config) -> None:
        super().__init__()
        self.autoencoder = Autoencoder(tiles, shape, config)
        self.prior = Prior(config.codes, self.autoencoder.grid, conditions, config)
        # Logarithms of shares (codes, patch * patch, tiles).
        even = torch.full((config.codes, config.patch**2, tiles), -math.log(tiles))
        self.register_buffer("usual", even)


class VectorQuantisedAutoencoder(NeuralGenerator):
    """A vector-quantised autoencoder of levels, and a transformer over its codes."""

    network: Network

    name, title, paper = "vqvae", "Vector-quantised autoencoder", "van den Oord 2017"
    Config = Config
    Sampler, Sampling = VqvaeSampler, VqvaeSampler.Sampling
    keeps_fixed_tiles = "construction"
    chunk = 512
    stages = (0.35, 1.0)
    small: ClassVar = {"codes": 16, "width": 16, "code_size": 4, "prior_width": 16, "prior_depth": 1}
    defaults: ClassVar = {"batch": 64, "learning_rate": 2e-3, "ema": 0.99, "weight_decay": 0.01}

    def build(self) -> nn.Module:
        """Returns the network."""
        return Network(len(self.spec.tiles), self.spec.shape, self.spec.condition_size, self.config)

    def optimisers(self, options: FitOptions) -> dict[str, torch.optim.Optimizer]:
        """Returns an optimiser for each stage."""
        return {
            "autoencoder": adamw(self.network.autoencoder, options),
            "prior": adamw(self.network.prior, options),
        }

    def train_step(self, levels: Tensor, asked: Asked, training: Training) -> dict[str, Tensor]:
        """Makes one update of the autoencoder in the first stage, of the prior in the second."""
        if training.stage == 0:
            loss, figures = self.loss(levels, asked, training.random)
            descend(loss, training.optimisers["autoencoder"], training.options)
        else:
            loss, figures = self._prior_loss(levels, asked, training.random)
            descend(loss, training.optimisers["prior"], training.options)
        return {"loss": loss.detach(), **self._figures(), **figures}

    def held_out_score(self, levels: Tensor, asked: Asked, training: Training) -> float:
        """Returns the stage's own loss: nats of a tile given the codes, or of the codes per tile."""
        random = torch.Generator().manual_seed(1)
        total = 0.0
        for first in range(0, len(levels), _PART):
            part = levels[first : first + _PART]
            told = Asked(asked.dense[first : first + _PART], asked.buckets[first : first + _PART])
            loss = self.loss if training.stage == 0 else self._prior_loss
            total += float(loss(part, told, random)[0]) * len(part)
        return total / len(levels)

    def stage_began(self, stage: int, levels: Tensor, training: Training) -> None:
        """Counts which tiles stand in the patches of each code."""
        model, tiles = self.network.autoencoder, len(self.spec.tiles)
        counts = torch.full((*self.network.usual.shape[:2], tiles + 1), _UNSEEN, device=levels.device)
        with torch.no_grad():
            for first in range(0, len(levels), _PART):
                part = levels[first : first + _PART]
                cells = functional.one_hot(model.patches(part, tiles), tiles + 1).float()
                counts.index_add_(0, model.codes(part).flatten(), cells.flatten(0, 1))
            shares = counts[:, :, :tiles]
            self.network.usual.copy_((shares / shares.sum(dim=2, keepdim=True)).log())

    def loss(self, levels: Tensor, asked: Asked, random: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the autoencoder's loss per tile."""
        model = self.network.autoencoder
        wanted = model.want(levels)
        flat = wanted.flatten(0, 1)
        book = model.codebook
        chosen = book.nearest(flat.detach())
        if self.network.training:
            book.follow(flat.detach(), chosen, random)
            chosen = book.nearest(flat.detach())
        vectors = book.vectors[chosen].view(wanted.shape)
        logits = model.write(wanted + (vectors - wanted).detach())
        rebuilt = functional.cross_entropy(logits.flatten(0, 1), levels.flatten())
        commitment = (wanted - vectors).square().mean()
        right = (logits.detach().argmax(dim=2) == levels.flatten(1)).float().mean()
        figures = {"reconstruction": rebuilt.detach(), "commitment": commitment.detach(), "rebuilt_tiles": right}
        return rebuilt + self.config.commitment * commitment, figures

    def _prior_loss(self, levels: Tensor, asked: Asked, random: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the nats of the codes per tile."""
        with torch.no_grad():
            codes = self.network.autoencoder.codes(levels)
        told = codes
        if self.network.training and self.config.dropout:
            wrong = torch.rand(codes.shape, generator=random).to(codes.device) < self.config.dropout
            other = torch.randint(self.config.codes, codes.shape, generator=random).to(codes.device)
            told = torch.where(wrong, other, codes)
        nats = functional.cross_entropy(self.network.prior(told, asked.dense).flatten(0, 1), codes.flatten())
        loss = nats * codes.shape[1] / self.spec.cells
        return loss, {"code_nats": nats.detach()}

    def _figures(self) -> dict[str, Tensor]:
        return {"code_perplexity": self.network.autoencoder.codebook.perplexity()}

    def settings(self) -> VqvaeSettings:
        """Returns what the sampler has to know; see `NeuralGenerator.settings`."""
        return VqvaeSettings(math.prod(self.code_shape), self._axes)

    @property
    def _axes(self) -> int:
        """How many numbers place a code among the codes."""
        return min(CODE_AXES, self.config.code_size)

    def graphs(self) -> dict[str, Graph]:
        """Returns the prior's beginning and a step of it, the decoder, and what leads to codes; see `VqvaeSampler`."""
        model, prior = self.network.autoencoder, self.network.prior
        book = model.codebook

        @cache
        def axes() -> tuple[Tensor, ...]:
            # Few samples are made of latents, and this takes longer than some of their draws.
            vectors, uses = book.vectors.cpu().numpy(), book.uses.cpu().numpy()
            return tuple(map(torch.from_numpy, principal_axes(vectors, uses, self._axes)))

        def place(latents: Tensor) -> Tensor:
            mean, directions = (part.to(latents.device) for part in axes())
            wanted = mean + latents.unflatten(1, (-1, len(directions))) @ directions
            return book.nearest(wanted)

        blocks = self.config.prior_depth
        memory, new = memory_names(blocks), memory_names(blocks, "new_")
        return {
            "begin": Graph(prior.begin, ("asked",), ("logits", *memory), kept=memory),
            "step": Graph(prior.step, ("codes", "seen", *memory), ("logits", *new), kept=new, rooms=memory),
            "hints": Graph(self._hints, ("fixed",), ("hints",)),
            "write": Graph(lambda codes: model.write(book.vectors[codes]), ("codes",), ("logits",)),
            "place": Graph(place, ("latents",), ("codes",)),
        }

    def _hints(self, fixed: Tensor) -> Tensor:
        """Returns how likely the fixed tiles of each patch are given each code: logarithms (n, patches, codes)."""
        held = self.network.autoencoder.patches(fixed, -1)
        usual = self.network.usual.permute(1, 2, 0)
        parts = [
            torch.where((held[:, :, cell] >= 0)[..., None], usual[cell][held[:, :, cell].clamp(min=0)], 0.0)
            for cell in range(held.shape[2])
        ]
        return torch.stack(parts).sum(dim=0)

    # Codes for other models and for searches.

    @property
    def code_shape(self) -> tuple[int, ...]:
        """The rows and columns of codes that a level has."""
        return self.network.autoencoder.grid

    def encode(self, levels: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Returns the codes of levels.

        Args:
            levels: uint8 (n, *shape).

        Returns:
            int64 (n, *code_shape), from 0 to config.codes - 1.

        Raises:
            UserError: the levels are not of the spec's shape or problem.
        """
        batch = torch.from_numpy(self.check_levels(levels).astype(np.int64))
        self.network.eval()
        with torch.no_grad():
            codes = [self.network.autoencoder.codes(part.to(self.device)).cpu() for part in batch.split(_PART)]
        return torch.cat(codes).view(-1, *self.code_shape).numpy()

    def decode(self, codes: NDArray, fixed_tiles: Any = None, seed: int = 0, **sampling: Any) -> NDArray[np.uint8]:
        """Returns the levels of codes.

        Args:
            codes: whole numbers (n, *code_shape).
            fixed_tiles: as `sample` takes it.
            seed: of the tiles' draws, where tile_temperature is above 0.
            **sampling: options of `Sampling`; those of the codes' draws do nothing here.

        Returns:
            uint8 (n, *shape).

        Raises:
            UserError: the codes, a fixed tile or an option cannot be used.
        """
        given = np.asarray(codes)
        sound = given.ndim == 3 and given.shape[1:] == self.code_shape and np.issubdtype(given.dtype, np.integer)
        if not sound or (given.size and not 0 <= given.min() <= given.max() < self.config.codes):
            raise UserError(
                f"Codes must be whole numbers from 0 to {self.config.codes - 1} of shape (levels, "
                f"{', '.join(map(str, self.code_shape))}); got {given.dtype} {given.shape}."
            )
        chosen = self.sampling_options(**sampling)
        request = self.request(len(given), seed, fixed_tiles=fixed_tiles)
        told = given.reshape(len(given), -1).astype(np.int64)
        levels: NDArray[np.uint8] = self.sampler().decoded(told, request.fixed, chosen, request.draws())
        return levels

    def score(self, levels: NDArray[np.uint8], condition: Condition | None = None) -> Scores:
        """Returns a bound on each level's nats per tile: those of its own codes, and of its tiles given them.

        The level could come from other codes too, which would make it likelier.

        Args:
            levels: uint8 (n, *shape).
            condition: what the model is told of them, as `sample` takes it.
        """
        batch = self.check_levels(levels)
        values, labels = self.spec.values(condition, len(batch))
        dense = Asked.of(self.spec, values, labels, self.device).dense
        nats = []
        self.network.eval()
        with torch.no_grad():
            for first in range(0, len(batch), _PART):
                part = torch.from_numpy(batch[first : first + _PART].astype(np.int64)).to(self.device)
                nats.append(self._bound(part, dense[first : first + _PART]))
        found = torch.cat(nats).double().cpu().numpy() / self.spec.cells
        return Scores(found, None, bound=True, note="a bound by the codes that the encoder chooses")

    def _bound(self, levels: Tensor, dense: Tensor) -> Tensor:
        """Returns the bound on the nats of whole levels, (b,)."""
        model = self.network.autoencoder
        codes = model.codes(levels)
        wrong = functional.cross_entropy(self.network.prior(codes, dense).transpose(1, 2), codes, reduction="none")
        logits = model.write(model.codebook.vectors[codes])
        missed = functional.cross_entropy(logits.transpose(1, 2), levels.flatten(1), reduction="none")
        return wrong.sum(dim=1) + missed.sum(dim=1)


def _some(vectors: Tensor, count: int, random: torch.Generator) -> Tensor:
    """Returns `count` of some vectors, drawn at random, each but slightly moved: no two alike."""
    chosen = torch.randint(len(vectors), (count,), generator=random).to(vectors.device)
    noise = torch.randn((count, vectors.shape[1]), generator=random).to(vectors.device)
    return vectors[chosen] + 0.01 * noise


def principal_axes(
    vectors: NDArray[np.float32], weights: NDArray[np.float32], count: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns the mean of vectors, and the directions in which they vary most, each one standard deviation long.

    Args:
        vectors: float32 (n, size).
        weights: float32 (n,), how often each of them counts.
        count: how many directions, at most size.

    Returns:
        float32 (size,) and (count, size); the greatest number of each direction is above 0.
    """
    shares = weights.astype(np.float64) / weights.sum(dtype=np.float64)
    mean = shares @ vectors
    variances, columns = np.linalg.eigh((vectors - mean).T @ ((vectors - mean) * shares[:, None]))
    axes = columns[:, ::-1][:, :count].T
    # Of the two directions of an axis the machine's library takes any.
    axes = axes * np.sign(axes[np.arange(count), np.abs(axes).argmax(axis=1)])[:, None]
    lengths = np.sqrt(np.maximum(variances[::-1][:count], 0))
    return mean.astype(np.float32), (axes * lengths[:, None]).astype(np.float32)


FAMILY = VectorQuantisedAutoencoder
