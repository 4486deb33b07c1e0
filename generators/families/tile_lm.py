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
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from envs import UserError
from envs.symmetries import SYMMETRIES, usable
from generators.constraints import CountTable
from generators.corpus import Corpus
from generators.deciding import NEVER, Beams, Counting, likely, pick
from generators.decisions import Decisions, TileSequence, paths_of
from generators.generator import FitOptions, Request, Scores
from generators.muon import Muon
from generators.neural import NeuralGenerator, Predictions
from generators.searchable import Choice, Real, Whole
from generators.spec import Condition, LevelSpec
from generators.training import Asked, Training, adamw
from generators.transformer import Positions, Transformer, check_width

#: Where a smaller share of a batch has more to decide, it goes on without the rest.
_ALONE = 0.8


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
    order: Annotated[Literal["layers", "row", "column", "snake"], Choice()] = "layers"
    dropout: Annotated[float, Real(0.0, 0.3)] = 0.0

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        check_width(self.width, self.heads)
        for name in ("depth", "expansion", "radius"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1; got {getattr(self, name)}.")
        if not 0 <= self.dropout < 1:
            raise UserError(f"dropout must be at least 0 and below 1; got {self.dropout}.")


@dataclass(frozen=True)
class TileLMSampling:
    """How levels are drawn.

    Attributes:
        temperature: above 1 for more surprising levels, below 1 for likelier ones.
        top_k: choose among so many of the likeliest; 0 for all.
        top_p: choose among the likeliest that together have this probability.
        num_beams: draw so many unlike levels for each one and return the likeliest of them (Kool 2019).
        constrained: keep the count rules that all training levels keep, such as one player and as many targets as
            crates, and the tiles of cells that never vary.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    num_beams: int = 1
    constrained: bool = True

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        if not self.temperature > 0:
            raise UserError(f"temperature must be above 0; got {self.temperature}.")
        if self.top_k < 0:
            raise UserError(f"top_k must be at least 0, which keeps all tiles; got {self.top_k}.")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p must be above 0 and at most 1; got {self.top_p}.")
        if self.num_beams < 1:
            raise UserError(f"num_beams must be at least 1; got {self.num_beams}.")


class TileNetwork(nn.Module):
    """Scores each decision on a level from those before it.

    A token stands for one decision. It is told its cell, what is known of the cells around, and what has been placed
    so far; attention brings in the rest.

    Args:
        spec: what the levels are.
        config: the architecture.
        constant: int64 (height * width,), see `TileSequence`.
    """

    def __init__(self, spec: LevelSpec, config: TileLMConfig, constant: NDArray[np.int64]) -> None:
        super().__init__()
        width = config.width
        paths = paths_of(spec, config.order)
        self.sequence = TileSequence(spec.shape, paths, config.order, constant, config.radius)
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

    def embed(self, decisions: Decisions) -> Tensor:
        """Returns the tokens of decisions, float32 (b, t, width); their own symbols are not looked at."""
        sequence = self.sequence
        around = one_hot(decisions.window, sequence.seen).flatten(-2).float()
        tokens = self.window(around) + self.positions(sequence.cells[decisions.step])
        tokens = tokens + self.stages(decisions.stage) + self.counts(sequence.features(decisions))
        return torch.as_tensor(tokens)

    def features(self, decisions: Decisions, buckets: Tensor) -> Tensor:
        """Returns what is known of all decisions at once, each by those before it, float32 (b, t, width)."""
        tokens = self.embed(decisions)
        if self.asked:
            tokens = torch.cat([self.prefix(buckets), tokens], dim=1)
        seen: Tensor = self.transformer(tokens)[:, len(self.asked) :]
        return seen

    def forward(self, decisions: Decisions, buckets: Tensor) -> Tensor:
        """Returns the logits of all decisions at once, float32 (b, t, symbols)."""
        scores: Tensor = self.head(self.features(decisions, buckets))
        return scores.masked_fill(~self.sequence.choices[decisions.stage], NEVER)


class TileLM(NeuralGenerator):
    """The transformer tile LM."""

    name, title, paper = "tile_lm", "Transformer tile LM", "Radford 2019; Todd 2023"
    Config, Sampling = TileLMConfig, TileLMSampling
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
        network = TileNetwork(self.spec, self.config, self._constant)
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

    def generate(self, request: Request, asked: Asked, sampling: Any, random: torch.Generator) -> Tensor:
        """Samples levels; see `NeuralGenerator.generate`."""
        fixed = None if request.fixed is None else torch.from_numpy(request.fixed.astype(np.int64)).to(self.device)
        return _Sampling(self.writing(asked.buckets, fixed, sampling), sampling, random).levels()

    def writing(self, buckets: Tensor, fixed: Tensor | None = None, sampling: TileLMSampling | None = None) -> Writing:
        """Begins a batch of levels that somebody else decides of, decision by decision.

        Args:
            buckets: int64 (n, columns), what is asked of each level, see `LevelSpec.buckets`.
            fixed: int64 (n, *shape), the tiles that must stay, -1 where any may; None where nothing is fixed.
            sampling: whether count rules are kept, and how many beams each level has.
        """
        chosen = sampling or TileLMSampling()
        table = None
        if chosen.constrained and self.spec.count_rules():
            table = CountTable(self.spec.count_rules(), self.spec.tiles)
        return Writing(self.network, buckets, fixed, table, chosen.num_beams)

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


@dataclass(frozen=True)
class Pending:
    """The next decision on each level of a batch.

    Attributes:
        decision: the decision, (b, 1, ...) each; `symbol` is a filling.
        allowed: bool (b, symbols), what may be decided.
        features: float32 (b, width), what the network knows.
    """

    decision: Decisions
    allowed: Tensor
    features: Tensor

    def choose(self, sequences: Tensor) -> Pending:
        """Returns the decisions of some of the sequences."""
        parts = (getattr(self.decision, entry.name)[sequences] for entry in fields(self.decision))
        return Pending(Decisions(*parts), self.allowed[sequences], self.features[sequences])


class Writing:
    """Levels in the making: tells the next decision of each level, and takes what is decided.

    Args:
        network: what writes.
        buckets: int64 (n, columns), what is asked.
        fixed: int64 (n, *shape), or None.
        table: the count rules that are kept, or None.
        beams: how many sequences there are for each level.
    """

    def __init__(
        self, network: TileNetwork, buckets: Tensor, fixed: Tensor | None, table: CountTable | None, beams: int = 1
    ) -> None:
        self.network, self.sequence = network, network.sequence
        sequence, device = self.sequence, buckets.device
        buckets = buckets.repeat_interleave(beams, dim=0)
        batch = len(buckets)
        #: The tile that is certain from the start in each cell, -1 where there is none.
        self.certain = sequence.constant.expand(batch, -1).clone()
        if fixed is not None:
            flat = fixed.flatten(1).repeat_interleave(beams, dim=0)
            self.certain = torch.where(flat >= 0, flat, self.certain)
        tiles = len(sequence.length)
        sure = self.certain >= 0
        #: The symbols of all cells in all passes, of which those that are yet to be decided are never looked at.
        self.known = sequence.known(sequence.path[self.certain.clamp(min=0)])
        here = one_hot(self.certain.clamp(min=0), tiles) * sure[..., None]
        self.counting = None
        if table is not None:
            turns = (sequence.length - 1).tolist()
            self.counting = Counting(table, turns, here.sum(dim=1), (~sure).sum(dim=1))
        #: How many of each tile are fixed among the cells that are decided.
        self.ahead = here[:, sequence.cells].sum(dim=1)
        #: How many of each symbol the pass has; those that are fixed ahead count as placed.
        self.counts = torch.zeros(batch, sequence.symbols, dtype=torch.long, device=device)
        #: The pass that each level is in, and the cells that are yet to be decided in it.
        self.turn = torch.full((batch,), -1, device=device)
        self.undecided = torch.zeros(batch, len(sequence.cells), dtype=torch.bool, device=device)
        self.ranks = torch.arange(len(sequence.cells), device=device)
        self.past = network.transformer.past(batch)
        if network.asked:
            network.transformer(network.prefix(buckets), self.past)
        self._begin_passes()

    @property
    def going(self) -> Tensor:
        """Which levels have a decision left, bool (b,)."""
        return self.turn < self.sequence.passes

    def finished(self) -> Tensor:
        """Returns the last symbol of each cell, int64 (b, cells); of levels with decisions left it means nothing."""
        return self._symbols(self.sequence.passes - 1)

    def _symbols(self, turn: int) -> Tensor:
        """Returns the symbols of all cells in a pass, int64 (b, cells); what is written to them is known."""
        total = self.sequence.total
        return self.known[:, turn * total : (turn + 1) * total]

    def _begin_passes(self) -> None:
        """Takes levels that are through with a pass to the next one that has anything to decide."""
        sequence = self.sequence
        while True:
            through = ~self.undecided.any(dim=1) & (self.turn < sequence.passes)
            if not through.any():
                return
            self.turn = self.turn + through.long()
            for turn in range(sequence.passes):
                rows = torch.nonzero(through & (self.turn == turn))[:, 0]
                if len(rows):
                    self._begin(turn, rows)

    def _begin(self, turn: int, rows: Tensor) -> None:
        """Begins a pass on some levels: what has ended stays, and what is fixed in the pass counts as placed."""
        sequence = self.sequence
        if turn == 0:
            self.undecided[rows] = True
        else:
            before = self._symbols(turn - 1)[rows]
            goes_on = sequence.goes_on[before]
            self.undecided[rows] = goes_on[:, sequence.cells]
            kept = (self.certain[rows] >= 0) | goes_on
            self._symbols(turn)[rows] = torch.where(kept, self._symbols(turn)[rows], before)
        taking_part = self.ahead[rows] * (sequence.length > turn)
        fresh = torch.zeros(len(rows), sequence.symbols, dtype=torch.long, device=rows.device)
        self.counts[rows] = fresh.index_add_(1, sequence.path[:, turn], taking_part)

    def pending(self) -> Pending:
        """Returns the next decision on each level; where there is none it is a filling that is not real."""
        sequence = self.sequence
        real = self.going
        turn = self.turn.clamp(max=sequence.passes - 1)
        step = torch.where(self.undecided, self.ranks, len(self.ranks)).amin(dim=1) * real
        cell = sequence.cells[step]
        certain = self.certain.gather(1, cell[:, None])[:, 0]
        before = (turn - 1).clamp(min=0) * sequence.total + cell
        stage = torch.where(turn > 0, 1 + self.known.gather(1, before[:, None])[:, 0], 0)
        stage = torch.where(real, stage, sequence.filling)
        left = (self.undecided & (self.certain[:, sequence.cells] < 0)).sum(dim=1)
        window = sequence.windows(self.known, turn[:, None], step[:, None])
        counts = torch.cat([self.counts, left[:, None]], dim=1)[:, None]
        place = step[:, None]
        decision = Decisions(place, turn[:, None], stage[:, None], place, real[:, None], window, counts)
        seen = self.network.transformer(self.network.embed(decision), self.past)
        return Pending(decision, self._allowed(turn, stage, certain, left), seen[:, 0])

    def place(self, pending: Pending, symbol: Tensor) -> None:
        """Takes what was decided, int64 (b,), and goes on to the next decision."""
        sequence, decision = self.sequence, pending.decision
        step, turn, real = decision.step[:, 0], decision.turn[:, 0], decision.real[:, 0]
        cell = sequence.cells[step]
        self.undecided[torch.arange(len(step), device=step.device), step] = False
        # What is fixed is known already, and counted.
        decided = real & (self.certain.gather(1, cell[:, None])[:, 0] < 0)
        rows = torch.nonzero(decided)[:, 0]
        self.known[rows, turn[rows] * sequence.total + cell[rows]] = symbol[rows]
        self.counts[rows, symbol[rows]] += 1
        if self.counting is not None:
            tile = sequence.symbol_tile[symbol]
            self.counting.place(tile.clamp(min=0), decided & (tile >= 0))
        self._begin_passes()

    def _allowed(self, turn: Tensor, stage: Tensor, certain: Tensor, left: Tensor) -> Tensor:
        """Tells which symbols may be decided, bool (b, symbols)."""
        sequence = self.sequence
        allowed = sequence.choices[stage]
        if self.counting is not None:
            tiles, later = self.counting.allowed(turn, left)
            fine = torch.where(sequence.goes_on, later[:, None], tiles[:, sequence.symbol_tile.clamp(min=0)])
            # Where fixed tiles break the rules for good, the rest is as free as without rules.
            fine = allowed & fine
            allowed = torch.where(fine.any(dim=1, keepdim=True), fine, allowed)
        only = one_hot(sequence.path[certain.clamp(min=0), turn], sequence.symbols).bool()
        return torch.where((certain >= 0)[:, None], only, allowed)

    def choose(self, sequences: Tensor) -> None:
        """Goes on with some of the sequences; see `KeyValues.choose`."""
        for part in self.past:
            part.choose(sequences)
        if self.counting is not None:
            self.counting.choose(sequences)
        for name in ("certain", "known", "counts", "ahead", "turn", "undecided"):
            setattr(self, name, getattr(self, name)[sequences])


class _Sampling:
    """Draws levels from a network."""

    def __init__(self, writing: Writing, sampling: TileLMSampling, random: torch.Generator) -> None:
        self.writing, self.sampling, self.random = writing, sampling, random
        levels = len(writing.turn) // sampling.num_beams
        device = writing.turn.device
        self.beams = Beams(levels, sampling.num_beams, device) if sampling.num_beams > 1 else None

    def levels(self) -> Tensor:
        """Writes the levels to their end, int64 (n, height, width)."""
        writing, sequence = self.writing, self.writing.sequence
        rows = torch.arange(len(writing.turn), device=writing.turn.device)
        done = torch.zeros(len(rows), sequence.total, dtype=torch.long, device=rows.device)
        while True:
            going = writing.going
            if not going.any():
                break
            # Some levels have more to decide than others: where many are done, the others go on alone.
            if self.beams is None and int(going.sum()) < _ALONE * len(rows):
                done[rows[~going]] = writing.finished()[~going]
                rows = rows[going]
                writing.choose(torch.nonzero(going)[:, 0])
            self._decide()
        done[rows] = writing.finished()
        if self.beams is not None:
            done = done[self.beams.best()]
        return sequence.symbol_tile[done].view(-1, *sequence.shape)

    def _decide(self) -> None:
        """Makes the next decision on each level that has one."""
        pending = self.writing.pending()
        allowed, real = pending.allowed, pending.decision.real[:, 0]
        scores = self.writing.network.head(pending.features).masked_fill(~allowed, NEVER)
        chances = likely(scores, self.sampling.temperature, self.sampling.top_k, self.sampling.top_p)
        if not real.all():
            # What is decided of a level that is done is not kept, and must not cost it probability.
            first = allowed & (allowed.cumsum(dim=1) == 1)
            chances = torch.where(real[:, None], chances, torch.where(first, 0.0, NEVER))
        if self.beams is None:
            symbol = pick(chances, self.random)
        else:
            parents, symbol = self.beams.extend(chances, self.random)
            self.writing.choose(parents)
            pending = pending.choose(parents)
        self.writing.place(pending, symbol)


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
