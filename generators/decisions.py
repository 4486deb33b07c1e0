"""How a level becomes a row of decisions for a model that writes tile by tile.

In the orders row, column and snake there is one decision a cell: its tile. In the order "layers" there are several
passes over the level. The first decides of each cell whether it is of the layout (a wall, say) or open; the next, which
sees the whole layout, what is in each open cell: nothing, or one of the things of the game. Where a count rule sets
one thing against another, as crates against targets, it gets a last pass to itself, which sees all the others.

So every tile has a path of *symbols*, one for each pass that the cell takes part in. A symbol that ends a path is a
tile; one that goes on says that a later pass decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import one_hot

from envs.orders import cell_order
from envs.problem import Shape
from generators.spec import LevelSpec

Order = Literal["layers", "row", "column", "snake"]

#: Tiles with less than this share of the training corpus's cells are things, in the order "layers".
RARE = 0.05

#: Counts below this are told to the network one by one.
EXACT = 9


def paths_of(spec: LevelSpec, order: Order) -> tuple[tuple[int, ...], ...]:
    """Returns the path of each tile: its symbol in the first pass, the second, and so on.

    In the order "layers" things are the first tile, which is the empty one, all rare tiles and all that count rules
    name. In the others each tile is a symbol.
    """
    tiles = range(len(spec.tiles))
    rules = spec.count_rules()
    counted = {name for rule in rules for name in rule.coefficients}
    things = [tile for tile in tiles if tile == 0 or spec.frequencies[tile] < RARE or spec.tiles[tile] in counted]
    if order != "layers" or len(things) == len(tiles) or len(things) == 1:
        return tuple((tile,) for tile in tiles)
    tied = {
        name for rule in rules if min(rule.coefficients.values()) < 0 for name, k in rule.coefficients.items() if k > 0
    }
    late = [tile for tile in things if spec.tiles[tile] in tied]
    paths: dict[int, tuple[int, ...]] = {}
    fresh = iter(range(len(tiles) + 2))
    opened = next(fresh)
    for tile in tiles:
        if tile not in things:
            paths[tile] = (next(fresh),)
    rest = next(fresh) if late else opened
    for tile in things:
        if late and (tile == 0 or tile in late):
            paths[tile] = (opened, rest, next(fresh))
        else:
            paths[tile] = (opened, next(fresh))
    return tuple(paths[tile] for tile in tiles)


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
    """The tables that turn levels into decisions and back. Nothing in it learns.

    Cells that have the same tile in every training level are constant: they are not decided, but known from the start.

    Args:
        shape: the (height, width) of levels.
        paths: see `paths_of`.
        order: row, column and snake as in `envs.orders.cell_order`; layers goes row by row in every pass.
        constant: int64 (height * width,), the tile of constant cells, -1 in all others.
        radius: how far around its cell a decision sees the symbols that are known.
    """

    cells: Tensor
    constant: Tensor
    path: Tensor
    length: Tensor
    symbol_tile: Tensor
    goes_on: Tensor
    choices: Tensor
    sources: Tensor

    def __init__(
        self,
        shape: Shape,
        paths: tuple[tuple[int, ...], ...],
        order: Order,
        constant: NDArray[np.int64],
        radius: int,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.order = order
        self.total = shape[0] * shape[1]
        self.passes = max(map(len, paths))
        self.symbols = 1 + max(symbol for path in paths for symbol in path)
        #: The symbols of the window: all that can be decided, and cells outside the level, and unknown ones.
        self.outside, self.unknown, self.seen = self.symbols, self.symbols + 1, self.symbols + 2
        symbol_tile = np.full(self.symbols, -1)
        goes_on = np.zeros(self.symbols, np.bool_)
        choices = np.zeros((1 + self.symbols, self.symbols), np.bool_)
        for tile, path in enumerate(paths):
            symbol_tile[path[-1]] = tile
            goes_on[list(path[:-1])] = True
            for before, symbol in zip((-1, *path), path, strict=False):
                choices[1 + before, symbol] = True
        visited = cell_order(shape, "row" if order == "layers" else order)
        cells = visited[constant[visited] < 0]
        tables = {
            "cells": cells,
            "constant": constant,
            # A path that has ended stays where it is.
            "path": [[*path, *path[-1:] * (self.passes - len(path))] for path in paths],
            "length": [len(path) for path in paths],
            "symbol_tile": symbol_tile,
            "goes_on": goes_on,
            "choices": choices,
            "sources": _sources(shape, cells, radius, self.passes),
        }
        for name, table in tables.items():
            # What is learned is saved; tables are made again. Only the corpus knows which cells are constant.
            self.register_buffer(name, torch.as_tensor(np.asarray(table)), persistent=name == "constant")
        #: What stands for the stage of a decision that is only there to fill up: one that has choices.
        self.filling = int(np.flatnonzero(choices.any(axis=1))[-1])

    @property
    def window(self) -> int:
        """How many cells around its own a decision sees."""
        return int(self.sources.shape[2])

    @property
    def stages(self) -> int:
        """How many stages there are."""
        return self.symbols + 1

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

    def features(self, decisions: Decisions) -> Tensor:
        """Returns counts as numbers for a network, float32 (b, t, count_features)."""
        counts = decisions.counts
        exact = one_hot(counts.clamp(max=EXACT - 1), EXACT).float()
        share = counts[..., None].float() / max(1, len(self.cells))
        return torch.cat([exact, share], dim=-1).flatten(-2)

    @property
    def count_features(self) -> int:
        """How many numbers `features` returns for a decision."""
        return (self.symbols + 1) * (EXACT + 1)


def _sources(shape: Shape, cells: NDArray[np.int64], radius: int, passes: int) -> NDArray[np.int64]:
    """Returns where in `TileSequence.known` each decision's window comes from, int64 (passes, cells, w).

    Of a cell that was decided before in the same pass the symbol of this pass is known, of others that of the last one.
    Constant cells always are.
    """
    height, width = shape
    total = height * width
    place = np.full(total, -1, np.int64)
    place[cells] = np.arange(len(cells))
    offsets = np.arange(-radius, radius + 1)
    down, right = (part.reshape(-1) for part in np.meshgrid(offsets, offsets, indexing="ij"))
    rows, columns = cells[:, None] // width + down, cells[:, None] % width + right
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    others = np.where(inside, rows * width + columns, 0)
    constant, before = place[others] < 0, place[others] < np.arange(len(cells))[:, None]
    outside, unknown = passes * total, passes * total + 1
    tables = []
    for turn in range(passes):
        earlier = unknown if turn == 0 else (turn - 1) * total + others
        table = np.where(before, turn * total + others, earlier)
        table = np.where(constant, (passes - 1) * total + others, table)
        tables.append(np.where(inside, table, outside))
    sources = np.stack(tables)
    # Where nothing is ever known there is nothing to learn.
    return np.asarray(sources[..., (sources < outside).any(axis=(0, 1))], np.int64)
