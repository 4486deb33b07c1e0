"""A decoder-only transformer that writes a level tile by tile, the whole level being one sequence (GPT form).

Three things set it apart from a language model that reads a level as a line of text (Todd 2023). A token knows where
its tile will stand, what is known of the cells around that place, and how many of each tile have been placed. It may
write in two passes, first the layout and then what stands in it, so that no crate has to be placed before the walls
around it are known. And what every level of the corpus has in common, its count rules and the cells that never vary,
is kept while decoding and not left to chance.

The blocks are plain torch (`generators.transformer`) and not transformers' GPT-2 or Llama. On one core, width 128, 4
blocks, 24 sequences of 110 tokens, they train 10,600 tokens a second where GPT2Model trains 7,600 and LlamaModel 7,500,
and decode 18,800 a second with a cache where those decode 13,700 (256 sequences of 60), with 790,144 weights against
809,856 and 1,049,856: a squared ReLU costs less than a GELU or a gated perceptron, and the cache is written in place.

The matrices within the blocks are trained by Muon (Jordan 2024).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from envs import UserError
from envs.symmetries import SYMMETRIES, usable
from generators.corpus import Corpus
from generators.decisions import Decisions, TileSequence
from generators.generator import FitOptions, Scores
from generators.graphs import Graph
from generators.memory import memory_names
from generators.muon import Muon
from generators.neural import NeuralGenerator, Predictions
from generators.passes import Order, Passes
from generators.samplers.tile_lm import TileLmSampler, TileLMSettings
from generators.searchable import Choice, Real, Whole
from generators.shares import NEVER
from generators.spec import Condition, LevelSpec
from generators.training import Asked, Training, adamw
from generators.transformer import Positions, Transformer, check_width


@dataclass(frozen=True)
class TileLMConfig:
    """The architecture of a tile LM.

    Attributes:
        width: of a token.
        depth: how many blocks.
        heads: of the attention.
        expansion: the perceptrons are so many times as wide as a token.
        radius: a token sees what is known of the cells up to so far around the one that it decides.
        order: layers decides the whole layout row by row and then the things that stand in it; row, column (each from
            the bottom up) and snake (up one column and down the next) decide one tile after another.
        dropout: the share of what a block adds that is left out in training.
    """

    width: Annotated[int, Whole(16, 192, log=True, multiple_of="heads")] = 64
    depth: Annotated[int, Whole(1, 8)] = 4
    heads: Annotated[int, Choice((1, 2, 4, 8))] = 4
    expansion: Annotated[int, Whole(1, 4)] = 4
    radius: Annotated[int, Whole(1, 4)] = 3
    order: Annotated[Order, Choice()] = "layers"
    dropout: Annotated[float, Real(0.0, 0.3)] = 0.0

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        check_width(self.width, self.heads)
        for name in ("depth", "expansion", "radius"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1; got {getattr(self, name)}.")
        if not 0 <= self.dropout < 1:
            raise UserError(f"dropout must be at least 0 and below 1; got {self.dropout}.")


class TileNetwork(nn.Module):
    """Scores each decision on a level from those before it.

    A token stands for one decision. It is told its cell, what is known of the cells around, and what has been placed
    so far; attention brings in the rest.

    Args:
        spec: what the levels are.
        config: the architecture.
        passes: the tables that decisions are made by.
    """

    def __init__(self, spec: LevelSpec, config: TileLMConfig, passes: Passes) -> None:
        super().__init__()
        width = config.width
        self.sequence = TileSequence(passes)
        self.window = nn.Linear(self.sequence.window * self.sequence.seen, width)
        self.positions = Positions(spec.shape, width)
        self.stages = nn.Embedding(self.sequence.stages, width)
        self.counts = nn.Linear(self.sequence.count_features, width, bias=False)
        #: A token for each thing that can be asked for, before all others; the first word of each says "anything".
        self.asked = nn.ModuleList(nn.Embedding(words, width) for words in spec.bucket_counts)
        self.transformer = Transformer(
            width, config.heads, config.expansion * width, config.depth, dropout=config.dropout
        )
        self.head = nn.Linear(width, self.sequence.symbols)
        for table in (self.stages, *self.asked):
            nn.init.normal_(table.weight, std=0.1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def prefix(self, buckets: Tensor) -> Tensor:
        """Returns the tokens that say what is asked, float32 (b, columns, width)."""
        tokens = [table(buckets[:, i]) for i, table in enumerate(self.asked)]
        return torch.stack(tokens, dim=1)

    def embed(self, cell: Tensor, stage: Tensor, window: Tensor, counts: Tensor) -> Tensor:
        """Returns the tokens of decisions, float32 (..., width); their own symbols are not looked at.

        Args:
            cell: int64 (...), the cells that they are about.
            stage: likewise, see `Decisions`.
            window: int64 (..., w), likewise.
            counts: int64 (..., symbols + 1), likewise.
        """
        around = one_hot(window, self.sequence.seen).flatten(-2).float()
        tokens = self.window(around) + self.positions(cell)
        tokens = tokens + self.stages(stage) + self.counts(self.sequence.features(counts))
        return torch.as_tensor(tokens)

    def features(self, decisions: Decisions, buckets: Tensor) -> Tensor:
        """Returns what is known of all decisions at once, each by those before it, float32 (b, t, width)."""
        cells = self.sequence.cells[decisions.step]
        tokens = self.embed(cells, decisions.stage, decisions.window, decisions.counts)
        if self.asked:
            tokens = torch.cat([self.prefix(buckets), tokens], dim=1)
        seen: Tensor = self.transformer(tokens)[:, len(self.asked) :]
        return seen

    def forward(self, decisions: Decisions, buckets: Tensor) -> Tensor:
        """Returns the logits of all decisions at once, float32 (b, t, symbols)."""
        scores: Tensor = self.head(self.features(decisions, buckets))
        return scores.masked_fill(~self.sequence.choices[decisions.stage], NEVER)

    # Decision by decision, with the transformer's memory.

    def begin(self, buckets: Tensor) -> tuple[Tensor, ...]:
        """Returns what is in the memory of those who were told what is asked, int64 (b, columns)."""
        return self.transformer.read(self.prefix(buckets))[1:]

    def step(
        self, cell: Tensor, stage: Tensor, window: Tensor, counts: Tensor, seen: Tensor, *memory: Tensor
    ) -> tuple[Tensor, ...]:
        """Returns the logits of a decision on each level, float32 (b, symbols), its features and what is remembered.

        Args:
            cell: int64 (b,), see `embed`, as are the next three.
            stage: likewise.
            window: likewise.
            counts: likewise.
            seen: how many tokens are in the memory.
            memory: see `Transformer.step`.
        """
        token = self.embed(cell, stage, window, counts)[:, None]
        features, *new = self.transformer.step(token, seen, *memory)
        return self.head(features[:, 0]), features[:, 0], *new


class TileLM(NeuralGenerator):
    """The transformer tile LM."""

    name, title, paper = "tile_lm", "Transformer tile LM", "Radford 2019; Todd 2023"
    Config = TileLMConfig
    Sampler, Sampling = TileLmSampler, TileLmSampler.Sampling
    keeps_fixed_tiles = "construction"
    small: ClassVar[Mapping[str, Any]] = {"width": 16, "depth": 1, "heads": 2, "radius": 1}
    of_corpus: ClassVar[frozenset[str]] = frozenset({"sequence.constant", "trained_on"})
    network: TileNetwork
    defaults: ClassVar[Mapping[str, Any]] = {
        "batch": 32,
        "learning_rate": 3e-3,
        "warm_up": 100,
        "weight_decay": 0.05,
        "ema": 0.998,
    }
    #: How much greater the learning rate of the matrices within blocks is, which Muon updates.
    matrix_rate: ClassVar[float] = 3.3

    def __init__(self, spec: LevelSpec, config: TileLMConfig | None = None) -> None:
        self._forget()
        if len(spec.shape) == 2:
            self._constant = np.full(spec.cells, -1, np.int64)
        super().__init__(spec, config)

    def _forget(self) -> None:
        #: The tile of each cell that never varies in training, -1 elsewhere; and how many training levels there were.
        self._constant = np.zeros(0, np.int64)
        self._trained_on = 0

    # Learning.

    def _network(self) -> TileNetwork:
        network = self.new_network(0)
        assert isinstance(network, TileNetwork)
        return network

    def build(self) -> TileNetwork:
        """Returns the network; see `NeuralGenerator.build`."""
        network = TileNetwork(self.spec, self.config, self.settings().passes(self.spec))
        network.register_buffer("trained_on", torch.tensor([self._trained_on]))
        return network

    def prepare(self, corpus: Corpus, options: FitOptions) -> None:
        """Finds the cells that never vary; see `NeuralGenerator.prepare`."""
        self._constant = constant_tiles(corpus, options.symmetries)
        self._trained_on = len(corpus.train)
        if (self._constant >= 0).all():
            raise UserError("All training levels are the same level: there is nothing to learn; give more levels.")

    def optimisers(self, options: FitOptions) -> dict[str, torch.optim.Optimizer]:
        """Muon for the matrices within the blocks, AdamW for all else."""
        matrices = [weight for weight in self.network.transformer.parameters() if weight.ndim == 2]
        inside = {id(weight) for weight in matrices}
        others = nn.ParameterList(weight for weight in self.network.parameters() if id(weight) not in inside)
        rate = self.matrix_rate * float(options.learning_rate or 0)
        return {
            "network": adamw(others, options),
            "matrices": Muon(matrices, rate, float(options.weight_decay or 0)),
        }

    def train_step(self, levels: Tensor, asked: Asked, training: Training) -> dict[str, Tensor]:
        """Makes one update; see `NeuralGenerator.train_step`."""
        loss, figures = self.loss(levels, asked, training.random)
        self.network.zero_grad(set_to_none=True)
        loss.backward()
        if training.options.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), training.options.clip)
        for optimiser in training.optimisers.values():
            optimiser.step()
        return {"loss": loss.detach(), **figures}

    def loss(self, levels: Tensor, asked: Asked, random: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the nats per cell that is decided, and what each pass has of them."""
        nats, _, decisions = self._nats(levels, asked)
        total = nats / (len(levels) * len(self.network.sequence.cells))
        passes = self.network.sequence.passes
        parts = {f"pass_{turn + 1}": total[decisions.turn == turn].sum().detach() for turn in range(passes)}
        return total.sum(), parts if passes > 1 else {}

    def predict(self, levels: Tensor, asked: Asked) -> Predictions:
        """Returns the logits of all decisions; see `NeuralGenerator.predict`."""
        decisions = self.network.sequence.decisions(levels)
        return Predictions(self.network(decisions, asked.buckets), decisions.symbol, decisions.real)

    def _nats(self, levels: Tensor, asked: Asked) -> tuple[Tensor, Tensor, Decisions]:
        """Returns the nats of each decision, float32 (b, t), 0 where it is not real, and all logits."""
        decisions = self.network.sequence.decisions(levels)
        scores = self.network(decisions, asked.buckets)
        nats = cross_entropy(scores.flatten(0, 1), decisions.symbol.flatten(), reduction="none")
        # Where a level has no more decisions the symbol is a filling, which may not even be a choice.
        return torch.where(decisions.real, nats.view(decisions.symbol.shape), 0.0), scores, decisions

    def restore(self, arrays: Mapping[str, NDArray]) -> None:
        """Takes over weights, and which cells never vary; see `Generator.restore`."""
        constant = np.asarray(arrays["sequence.constant"])
        if constant.shape != (self.spec.cells,) or constant.min() < -1 or constant.max() >= len(self.spec.tiles):
            raise ValueError("sequence.constant does not fit the levels")
        self._constant = constant.astype(np.int64)
        self._trained_on = int(arrays["trained_on"][0])
        self.network = self._network()
        super().restore(arrays)

    # Judging.

    def score(self, levels: NDArray[np.uint8], condition: Condition | None = None) -> Scores:
        """Returns the nats per tile of levels, and each tile's likeliest kind given the truth before it.

        In cells that never varied in training the tile has the probability (n + 1) / (n + tiles) of having the same
        tile as in all n training levels, so that all levels have a probability.
        """
        batch = self.check_levels(levels)
        values, labels = self.spec.values(condition, len(batch))
        self.network.eval()
        nats, predicted = [], []
        with torch.no_grad():
            for first in range(0, len(batch), self.chunk):
                part = slice(first, first + self.chunk)
                asked = Asked.of(self.spec, values[part], labels[part], self.device)
                found = self._score(torch.from_numpy(batch[part].astype(np.int64)).to(self.device), asked)
                nats.append(found[0].cpu().numpy())
                predicted.append(found[1].cpu().numpy().astype(np.uint8))
        note = "each tile given those before it"
        if self.network.sequence.passes > 1:
            note = "the layout given what is before it, and what stands in it given all of it and what is placed before"
        return Scores(np.concatenate(nats) / self.spec.cells, np.concatenate(predicted), note=note)

    def _score(self, levels: Tensor, asked: Asked) -> tuple[Tensor, Tensor]:
        sequence = self.network.sequence
        nats, scores, decisions = self._nats(levels, asked)
        flat, fixed = levels.flatten(1), sequence.constant >= 0
        right = flat[:, fixed] == sequence.constant[fixed]
        total = float(self._trained_on + len(self.spec.tiles))
        usual, other = (torch.tensor(total / share, dtype=torch.float64).log() for share in (self._trained_on + 1, 1))
        summed = nats.double().sum(dim=1) + torch.where(right, usual, other).sum(dim=1)
        guess = scores.argmax(dim=2)
        rows = torch.arange(len(levels), device=levels.device)[:, None].expand(guess.shape)
        predicted = sequence.constant.expand(len(levels), -1).clone()
        # What a pass would leave to a later one is empty until that says otherwise; a pass that is only there because
        # the pass before it was right where the model was wrong has no say.
        open_still = torch.ones_like(predicted, dtype=torch.bool)
        for turn in range(sequence.passes):
            cells = sequence.cells[decisions.step]
            now = decisions.real & (decisions.turn == turn) & open_still[rows, cells]
            symbol = guess[now]
            predicted[rows[now], cells[now]] = sequence.symbol_tile[symbol].clamp(min=0)
            open_still[rows[now], cells[now]] = sequence.goes_on[symbol]
        return summed, predicted.view(levels.shape)

    # Writing.

    def settings(self) -> TileLMSettings:
        """Returns what the sampler has to know; see `NeuralGenerator.settings`."""
        config = self.config
        size = config.width // config.heads
        constant = tuple(self._constant.tolist())
        return TileLMSettings(config.order, config.radius, constant, config.depth, config.heads, size)

    def graphs(self) -> dict[str, Graph]:
        """Returns the network's beginning and a step of it; see `TileLmSampler`."""
        blocks = self.config.depth
        memory, new = memory_names(blocks), memory_names(blocks, "new_")
        inputs = ("cell", "stage", "window", "counts", "seen", *memory)
        kept = ("features", *new)
        return {
            "begin": Graph(self.network.begin, ("asked",), memory, kept=memory),
            "step": Graph(self.network.step, inputs, ("scores", *kept), kept=kept, rooms=memory),
        }

    def sample_wide(
        self,
        n: int,
        width: int,
        seed: int = 0,
        condition: Condition | None = None,
        overlap: int | None = None,
        **sampling: Any,
    ) -> NDArray[np.uint8]:
        """Samples levels that are wider than those in training, piece by piece from the left.

        Each piece is a level whose first columns are the last of what has been written. Count rules hold for pieces.

        Args:
            n: how many levels.
            width: of a level, at least the trained one.
            seed: equal seeds give equal levels.
            condition: of every piece; see `sample`.
            overlap: how many columns a piece has in common with what has been written; None for half a piece.
            **sampling: options of `Sampling`.

        Returns:
            uint8 (n, height, width).

        Raises:
            UserError: the model does not write column by column, or a number cannot be used.
        """
        height, trained = self.spec.shape
        shared = trained // 2 if overlap is None else overlap
        if self.config.order not in ("column", "snake"):
            raise UserError(
                f"Only models that write columns can go on to the right; this one's order is {self.config.order}: "
                "train one with the order column or snake."
            )
        if width < trained or not 0 < shared < trained:
            raise UserError(
                f"Wide levels must be at least {trained} wide, with an overlap of 1 to {trained - 1} columns; got "
                f"{width} and {shared}."
            )
        levels = self.sample(n, seed, condition, **sampling)
        while levels.shape[2] < width:
            seed += 1
            fixed = np.full((n, height, trained), -1, np.int64)
            fixed[:, :, :shared] = levels[:, :, levels.shape[2] - shared :]
            piece = self.sample(n, seed, condition, fixed, **sampling)
            levels = np.concatenate([levels, piece[:, :, shared:]], axis=2)
        return np.ascontiguousarray(levels[:, :, :width])


def constant_tiles(corpus: Corpus, symmetries: bool) -> NDArray[np.int64]:
    """Returns the tile of each cell that has the same in all training levels, -1 elsewhere.

    Args:
        corpus: the levels.
        symmetries: whether it must be the same in all their images under the problem's symmetries, too.

    Returns:
        int64 (height * width,).
    """
    levels = corpus.train.levels
    constant = np.where((levels == levels[0]).all(axis=0), levels[0].astype(np.int64), -1)
    names = usable(corpus.problem.symmetries, corpus.shape) if symmetries else ()
    # Each symmetry undoes itself: what stands after all have been applied until nothing changes is closed under them.
    while True:
        closed = constant
        for name in names:
            closed = np.where(closed == SYMMETRIES[name](closed), closed, -1)
        if (closed == constant).all():
            return constant.reshape(-1)
        constant = closed


FAMILY = TileLM
