"""How a level becomes a row of decisions for a model that writes tile by tile: the passes of `generators.passes`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from generators.passes import Passes

#: Counts below this are told to the network one by one.
EXACT = 9


@dataclass(frozen=True)
class Decisions:
    """Decisions on levels, t of them, in the order in which they are made.

    Attributes:
        step: int64 (b, t), the place of the cell in the visiting order of the cells that are decided.
        turn: int64 (b, t), the pass.
        stage: int64 (b, t), 0 in the first pass, and in others 1 + the symbol that the pass before it decided.
        symbol: int64 (b, t), what is decided.
        real: bool (b, t), false at the end of a level that has fewer decisions than others.
        window: int64 (b, t, w), the symbols in the cells around, as far as they are known by then.
        counts: int64 (b, t, symbols + 1), how often each symbol was decided before in this pass, and how many
            decisions of the pass are left, this one among them.
    """

    step: Tensor
    turn: Tensor
    stage: Tensor
    symbol: Tensor
    real: Tensor
    window: Tensor
    counts: Tensor


class TileSequence(nn.Module):
    """The tables that turn levels into decisions and back, as tensors. Nothing in it learns.

    Args:
        passes: the tables.
    """

    cells: Tensor
    constant: Tensor
    path: Tensor
    length: Tensor
    symbol_tile: Tensor
    goes_on: Tensor
    choices: Tensor
    sources: Tensor

    def __init__(self, passes: Passes) -> None:
        super().__init__()
        self.shape, self.order, self.total = passes.shape, passes.order, passes.total
        self.passes, self.symbols, self.stages = passes.passes, passes.symbols, passes.stages
        self.outside, self.unknown, self.seen = passes.outside, passes.unknown, passes.seen
        self.filling = passes.filling
        for name in ("cells", "constant", "path", "length", "symbol_tile", "goes_on", "choices", "sources"):
            # What is learned is saved; tables are made again. Only the corpus knows which cells are constant.
            self.register_buffer(name, torch.as_tensor(getattr(passes, name)), persistent=name == "constant")

    @property
    def window(self) -> int:
        """How many cells around its own a decision sees."""
        return int(self.sources.shape[2])

    def decisions(self, levels: Tensor) -> Decisions:
        """Returns the decisions that make levels, int64 (b, height, width)."""
        flat = levels.flatten(1)
        known = self.known(self.path[flat])
        path, length = self.path[flat[:, self.cells]], self.length[flat[:, self.cells]]
        parts: list[tuple[Tensor, ...]] = []
        for turn in range(self.passes):
            opens = length > turn
            step = torch.argsort((~opens).to(torch.uint8), dim=1, stable=True)[:, : int(opens.sum(dim=1).max())]
            real = opens.gather(1, step)
            symbol = path[..., turn].gather(1, step)
            stage = torch.zeros_like(step)
            if turn:
                stage = torch.where(real, 1 + path[..., turn - 1].gather(1, step), self.filling)
            decided = one_hot(symbol, self.symbols) * real[..., None]
            left = real.sum(dim=1, keepdim=True) - torch.arange(real.shape[1], device=real.device)
            counts = torch.cat([decided.cumsum(dim=1) - decided, left.clamp(min=0)[..., None]], dim=2)
            turns = torch.full_like(step, turn)
            parts.append((step, turns, stage, symbol, real, self.windows(known, turns, step), counts))
        joined = [torch.cat(pieces, dim=1) for pieces in zip(*parts, strict=True)]
        # What only fills up goes to the end, where no other decision sees it.
        real = joined[4]
        order = torch.argsort((~real).to(torch.uint8), dim=1, stable=True)[:, : int(real.sum(dim=1).max())]
        rows = torch.arange(len(real), device=real.device)[:, None]
        return Decisions(*(piece[rows, order] for piece in joined))

    def known(self, paths: Tensor) -> Tensor:
        """Returns what windows are taken from: the symbols of all cells in all passes, int64 (b, cells, passes)."""
        ends = torch.tensor([self.outside, self.unknown], device=paths.device).expand(len(paths), 2)
        return torch.cat([paths.transpose(1, 2).flatten(1), ends], dim=1)

    def windows(self, known: Tensor, turn: Tensor, step: Tensor) -> Tensor:
        """Returns the symbols around the cells of decisions, int64 (b, t, w).

        Args:
            known: what `known` returned.
            turn: int64 (b, t), see `Decisions`.
            step: int64 (b, t), likewise.
        """
        source = self.sources[turn, step]
        return known.gather(1, source.flatten(1)).view(source.shape)

    def features(self, counts: Tensor) -> Tensor:
        """Returns counts, int64 (..., symbols + 1), as numbers for a network, float32 (..., count_features)."""
        exact = one_hot(counts.clamp(max=EXACT - 1), EXACT).float()
        share = counts[..., None].float() / max(1, len(self.cells))
        return torch.cat([exact, share], dim=-1).flatten(-2)

    @property
    def count_features(self) -> int:
        """How many numbers `features` returns for a decision."""
        return (self.symbols + 1) * (EXACT + 1)
