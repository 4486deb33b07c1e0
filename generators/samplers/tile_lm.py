"""Levels written decision by decision by a tile LM."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs import UserError
from generators.constraints import CountTable, count_table
from generators.deciding import Beams, Counting
from generators.draws import Draws
from generators.memory import Memory
from generators.passes import Order, Passes, paths_of
from generators.sampler import Networks, Sampler
from generators.sampling import Request
from generators.shares import NEVER, likely, pick
from generators.spec import LevelSpec

#: Where a smaller share of a batch has more to decide, it goes on without the rest.
_ALONE = 0.8


@dataclass(frozen=True)
class TileLMSettings:
    """What is known of the model.

    Attributes:
        order: in which order and passes it writes.
        radius: how far around its cell a decision sees the symbols that are known.
        constant: for each cell the tile that it has in all training levels, -1 where there are several.
        blocks: how many blocks the transformer has.
        heads: of its attention.
        size: of a head.
    """

    order: Order
    radius: int
    constant: tuple[int, ...]
    blocks: int
    heads: int
    size: int

    def passes(self, spec: LevelSpec) -> Passes:
        """Returns the tables that decisions are made by."""
        constant = np.array(self.constant, np.int64)
        return Passes(spec.shape, paths_of(spec, self.order), self.order, constant, self.radius)


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


class TileLmSampler(Sampler):
    """Writes levels to their end.

    Graphs: `begin`, where anything can be asked for, from what is asked, int64 (n, columns), to the transformer's
    memory; `step`, from a decision's cell and stage, int64 (n,), what is known around the cell, int64 (n, window), and
    what has been placed, int64 (n, symbols + 1), and the memory, to the scores of the symbols, (n, symbols), what the
    network knows, (n, width), and what is new in the memory.
    """

    name = "tile_lm"
    Settings, Sampling = TileLMSettings, TileLMSampling

    def draw(self, request: Request, sampling: TileLMSampling) -> NDArray[np.uint8]:
        """Draws levels; see `Sampler.draw`."""
        writing = self.writing(self.spec.buckets(request.values, request.labels), request.fixed, sampling)
        return _Drawing(writing, sampling, request.draws()).levels()

    def writing(
        self,
        buckets: NDArray[np.int64],
        fixed: NDArray[np.int16] | None = None,
        sampling: TileLMSampling | None = None,
    ) -> Writing:
        """Begins a batch of levels that somebody decides of, decision by decision.

        Args:
            buckets: int64 (n, columns), what is asked of each level, see `LevelSpec.buckets`.
            fixed: int16 (n, *shape), the tiles that must stay, -1 where any may; None where nothing is fixed.
            sampling: whether count rules are kept, and how many beams each level has.
        """
        chosen, settings = sampling or TileLMSampling(), self.settings
        table = count_table(self.spec) if chosen.constrained else None
        told = buckets.repeat(chosen.num_beams, axis=0)
        if told.shape[1]:
            memory = Memory(self.networks, self.networks("begin", told))
        else:
            memory = Memory.empty(self.networks, len(told), settings.blocks, settings.heads, settings.size)
        held = None if fixed is None else fixed.repeat(chosen.num_beams, axis=0)
        return Writing(settings.passes(self.spec), self.networks, memory, len(told), held, table)


@dataclass(frozen=True)
class Pending:
    """The next decision on each level of a batch.

    Attributes:
        step: int64 (b,), the place of the cell in the visiting order of the cells that are decided.
        turn: int64 (b,), the pass.
        stage: int64 (b,), 0 in the first pass, and in others 1 + the symbol that the pass before it decided.
        real: bool (b,), whether there is such a decision.
        window: int64 (b, w), the symbols in the cells around, as far as they are known by now.
        counts: int64 (b, symbols + 1), how often each symbol was decided before in this pass, and how many decisions of
            the pass are left, this one among them.
        allowed: bool (b, symbols), what may be decided.
        scores: float32 (b, symbols), the network's logits.
        features: float32 (b, width), what the network knows, as what runs it has for arrays.
    """

    step: NDArray[np.int64]
    turn: NDArray[np.int64]
    stage: NDArray[np.int64]
    real: NDArray[np.bool_]
    window: NDArray[np.int64]
    counts: NDArray[np.int64]
    allowed: NDArray[np.bool_]
    scores: NDArray[np.float32]
    features: Any

    def choose(self, sequences: NDArray[np.int64]) -> Pending:
        """Returns the decisions of some of the sequences."""
        return Pending(*(getattr(self, entry.name)[sequences] for entry in fields(self)))


class Writing:
    """Levels in the making: tells the next decision of each level, and takes what is decided.

    Args:
        passes: the tables that decisions are made by.
        networks: what runs the network.
        memory: what it has seen: what is asked.
        n: how many levels.
        fixed: int16 (n, *shape), or None.
        table: the count rules that are kept, or None.
    """

    def __init__(
        self,
        passes: Passes,
        networks: Networks,
        memory: Memory,
        n: int,
        fixed: NDArray[np.int16] | None,
        table: CountTable | None,
    ) -> None:
        self.passes, self._networks, self.memory = passes, networks, memory
        #: The tile that is certain from the start in each cell, -1 where there is none.
        self.certain = np.repeat(passes.constant[None], n, axis=0)
        if fixed is not None:
            flat = fixed.reshape(n, -1)
            self.certain = np.where(flat >= 0, flat, self.certain).astype(np.int64)
        sure = self.certain >= 0
        #: The symbols of all cells in all passes, of which those that are yet to be decided are never looked at.
        self.known = passes.known(passes.path[np.maximum(self.certain, 0)])
        tiles = len(passes.length)
        here = (self.certain[..., None] == np.arange(tiles)).astype(np.int64)
        self.counting = None
        if table is not None:
            self.counting = Counting(table, (passes.length - 1).tolist(), here.sum(axis=1), (~sure).sum(axis=1))
        #: How many of each tile are fixed among the cells that are decided, and which of these cells are not fixed.
        self.ahead = here[:, passes.cells].sum(axis=1)
        self.open = ~sure[:, passes.cells]
        #: How many of each symbol the pass has; those that are fixed ahead count as placed.
        self.counts = np.zeros((n, passes.symbols), np.int64)
        #: The pass that each level is in, and the cells that are yet to be decided in it.
        self.turn = np.full(n, -1)
        self.undecided = np.zeros((n, len(passes.cells)), np.bool_)
        self._begin_passes()

    @property
    def going(self) -> NDArray[np.bool_]:
        """Which levels have a decision left, bool (b,)."""
        return self.turn < self.passes.passes

    def finished(self) -> NDArray[np.int64]:
        """Returns the tile of each cell, int64 (b, cells); of levels with decisions left it means nothing."""
        return self.passes.symbol_tile[self._symbols(self.passes.passes - 1)]

    def _symbols(self, turn: int) -> NDArray[np.int64]:
        """Returns the symbols of all cells in a pass, int64 (b, cells); what is written to them is known."""
        total = self.passes.total
        return self.known[:, turn * total : (turn + 1) * total]

    def _begin_passes(self) -> None:
        """Takes levels that are through with a pass to the next one that has anything to decide."""
        while True:
            through = ~self.undecided.any(axis=1) & self.going
            if not through.any():
                return
            self.turn = self.turn + through
            for turn in range(self.passes.passes):
                rows = np.flatnonzero(through & (self.turn == turn))
                if len(rows):
                    self._begin(turn, rows)

    def _begin(self, turn: int, rows: NDArray[np.int64]) -> None:
        """Begins a pass on some levels: what has ended stays, and what is fixed in the pass counts as placed."""
        passes = self.passes
        if turn == 0:
            self.undecided[rows] = True
        else:
            before = self._symbols(turn - 1)[rows]
            goes_on = passes.goes_on[before]
            self.undecided[rows] = goes_on[:, passes.cells]
            kept = (self.certain[rows] >= 0) | goes_on
            self._symbols(turn)[rows] = np.where(kept, self._symbols(turn)[rows], before)
        symbol_of = (passes.path[:, turn, None] == np.arange(passes.symbols)) & (passes.length > turn)[:, None]
        self.counts[rows] = self.ahead[rows] @ symbol_of.astype(np.int64)

    def pending(self) -> Pending:
        """Returns the next decision on each level; where there is none it is a filling that is not real."""
        passes, rows = self.passes, np.arange(len(self.turn))
        real = self.going
        turn = np.minimum(self.turn, passes.passes - 1)
        step = self.undecided.argmax(axis=1)
        cell = passes.cells[step]
        before = self.known[rows, np.maximum(turn - 1, 0) * passes.total + cell]
        stage = np.where(real, np.where(turn > 0, 1 + before, 0), passes.filling)
        left = (self.undecided & self.open).sum(axis=1)
        window = self.known[rows[:, None], passes.sources[turn, step]]
        counts = np.concatenate([self.counts, left[:, None]], axis=1)
        scores, features, *new = self._networks("step", cell, stage, window, counts, *self.memory.inputs())
        self.memory.add(new)
        allowed = self._allowed(turn, stage, self.certain[rows, cell], left)
        return Pending(step, turn, stage, real, window, counts, allowed, scores, features)

    def place(self, pending: Pending, symbol: NDArray[np.int64]) -> None:
        """Takes what was decided, int64 (b,), and goes on to the next decision."""
        passes, every = self.passes, np.arange(len(self.turn))
        cell = passes.cells[pending.step]
        self.undecided[every, pending.step] = False
        # What is fixed is known already, and counted.
        decided = pending.real & (self.certain[every, cell] < 0)
        rows = np.flatnonzero(decided)
        self.known[rows, pending.turn[rows] * passes.total + cell[rows]] = symbol[rows]
        self.counts[rows, symbol[rows]] += 1
        if self.counting is not None:
            tile = passes.symbol_tile[symbol]
            self.counting.place(np.maximum(tile, 0), decided & (tile >= 0))
        self._begin_passes()

    def _allowed(
        self, turn: NDArray[np.int64], stage: NDArray[np.int64], certain: NDArray[np.int64], left: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Tells which symbols may be decided, bool (b, symbols)."""
        passes = self.passes
        allowed = passes.choices[stage]
        if self.counting is not None:
            tiles, later = self.counting.allowed(turn, left)
            fine = np.where(passes.goes_on, later[:, None], tiles[:, np.maximum(passes.symbol_tile, 0)]) & allowed
            # Where fixed tiles break the rules for good, the rest is as free as without rules.
            allowed = np.where(fine.any(axis=1, keepdims=True), fine, allowed)
        only = passes.path[np.maximum(certain, 0), turn][:, None] == np.arange(passes.symbols)
        return np.where((certain >= 0)[:, None], only, allowed)

    def choose(self, sequences: NDArray[np.int64]) -> None:
        """Goes on with some of the sequences: each may be taken several times or not at all."""
        self.memory.choose(sequences)
        if self.counting is not None:
            self.counting.choose(sequences)
        for name in ("certain", "open", "known", "counts", "ahead", "turn", "undecided"):
            setattr(self, name, getattr(self, name)[sequences])


class _Drawing:
    """Draws what is written."""

    def __init__(self, writing: Writing, sampling: TileLMSampling, draws: Draws) -> None:
        self.writing, self.sampling, self.draws = writing, sampling, draws
        self.beams = Beams(len(draws), sampling.num_beams) if sampling.num_beams > 1 else None

    def levels(self) -> NDArray[np.uint8]:
        """Writes the levels to their end, uint8 (n, height, width)."""
        writing = self.writing
        rows = np.arange(len(writing.turn))
        done = np.zeros((len(rows), writing.passes.total), np.uint8)
        while True:
            going = writing.going
            if not going.any():
                break
            # Some levels have more to decide than others: where many are done, the others go on alone.
            if self.beams is None and going.sum() < _ALONE * len(rows):
                done[rows[~going]] = writing.finished()[~going]
                rows, still = rows[going], np.flatnonzero(going)
                writing.choose(still)
                self.draws.choose(still)
            self._decide()
        done[rows] = writing.finished()
        if self.beams is not None:
            done = done[self.beams.best()]
        return done.reshape(-1, *writing.passes.shape)

    def _decide(self) -> None:
        """Makes the next decision on each level that has one."""
        pending = self.writing.pending()
        allowed, real = pending.allowed, pending.real
        scores = np.where(allowed, pending.scores, NEVER)
        chances = likely(scores, self.sampling.temperature, self.sampling.top_k, self.sampling.top_p)
        if not real.all():
            # What is decided of a level that is done is not kept, and must not cost it probability.
            first = np.arange(allowed.shape[1]) == allowed.argmax(axis=1)[:, None]
            chances = np.where(real[:, None], chances, np.where(first, 0.0, NEVER))
        if self.beams is None:
            symbol = pick(chances, self.draws.uniforms())
        else:
            parents, symbol = self.beams.extend(chances, self.draws)
            self.writing.choose(parents)
            pending = pending.choose(parents)
        self.writing.place(pending, symbol)


SAMPLER = TileLmSampler
