"""How a level becomes a row of decisions for a model that writes tile by tile.

In the orders row, column and snake there is one decision a cell: its tile. In the order "layers" there are two passes
over the level. The first decides of each cell whether it is of the layout (a wall, say) or open; the second, which sees
the whole layout, decides what is in each open cell: nothing, or one of the things of the game. So that the one code
serves all orders, the first pass always decides on *groups* of tiles and the second on the tiles of groups that have
several; in the other orders each tile is a group by itself, and the second pass is empty.

Groups and the tiles of larger groups are numbered together as *symbols*: a symbol is what is decided.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import one_hot

from envs.problem import Shape
from generators.spec import LevelSpec

Order = Literal["layers", "row", "column", "snake"]

#: Tiles with less than this share of the training corpus's cells are things, in the order "layers".
RARE = 0.1

#: Counts below this are told to the network one by one.
EXACT = 9


def visiting_order(order: Order, shape: Shape) -> NDArray[np.int64]:
    """Returns the cells of a level, numbered in reading order, in the order in which they are decided.

    Args:
        order: row by row and column by column from the upper left; snake goes down one column and up the next
            (Summerville 2016); layers goes row by row in both passes.
        shape: the (height, width).

    Returns:
        int64 (height * width,).
    """
    cells = np.arange(shape[0] * shape[1]).reshape(shape)
    if order in ("column", "snake"):
        cells = cells.T.copy()
        if order == "snake":
            cells[1::2] = cells[1::2, ::-1]
    return cells.reshape(-1)


def groups_of(spec: LevelSpec, order: Order) -> tuple[int, ...]:
    """Returns the group of each tile.

    In the order "layers" the first tile, which is the empty one, is in a group with all rare tiles and all that count
    rules name; each other tile is a group by itself.
    """
    tiles = len(spec.tiles)
    if order != "layers":
        return tuple(range(tiles))
    counted = {name for rule in spec.count_rules() for name in rule.coefficients}
    things = [tile == 0 or spec.frequencies[tile] < RARE or spec.tiles[tile] in counted for tile in range(tiles)]
    if all(things):
        return tuple(range(tiles))
    following = iter(range(1, tiles))
    return tuple(0 if thing else next(following) for thing in things)


@dataclass(frozen=True)
class Decisions:
    """Decisions on levels, in the order in which they are made. t of them; those on open cells come last.

    Attributes:
        step: int64 (b, t), the place of the cell in the visiting order of the cells that are decided.
        stage: int64 (b, t), 0 in the first pass, and 1 + the cell's group in the second.
        symbol: int64 (b, t), what is decided.
        real: bool (b, t), false where a level has fewer decisions than others.
        window: int64 (b, t, w), the symbols in the cells around, as far as they are known by then.
        counts: int64 (b, t, symbols + 1), how often each symbol was decided before in this pass, and how many
            decisions of the pass are left, this one among them.
    """

    step: Tensor
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
        groups: the group of each tile, numbered from 0.
        order: see `visiting_order`.
        constant: int64 (height * width,), the tile of constant cells, -1 in all others.
        radius: how far around its cell a decision sees the symbols that are known.
    """

    cells: Tensor
    constant: Tensor
    group: Tensor
    tile_symbol: Tensor
    symbol_tile: Tensor
    several: Tensor
    choices: Tensor
    sources: Tensor

    def __init__(
        self, shape: Shape, groups: tuple[int, ...], order: Order, constant: NDArray[np.int64], radius: int
    ) -> None:
        super().__init__()
        self.shape = shape
        self.groups = max(groups) + 1
        sizes = np.bincount(groups, minlength=self.groups)
        # A tile that is a group by itself is one symbol, whichever pass it is seen in.
        tile_symbol, symbol_tile = [], [-1] * self.groups
        for tile, group in enumerate(groups):
            if sizes[group] == 1:
                tile_symbol.append(group)
                symbol_tile[group] = tile
            else:
                tile_symbol.append(len(symbol_tile))
                symbol_tile.append(tile)
        self.symbols = len(symbol_tile)
        #: The symbols of the window: all that can be decided, and cells outside the level, and unknown ones.
        self.outside, self.unknown, self.seen = self.symbols, self.symbols + 1, self.symbols + 2
        choices = np.zeros((1 + self.groups, self.symbols), np.bool_)
        choices[0, : self.groups] = True
        for tile, group in enumerate(groups):
            if sizes[group] > 1:
                choices[1 + group, tile_symbol[tile]] = True
        visited = visiting_order(order, shape)
        cells = visited[constant[visited] < 0]
        tables = {
            "cells": cells,
            "constant": constant,
            "group": groups,
            "tile_symbol": tile_symbol,
            "symbol_tile": symbol_tile,
            "several": sizes > 1,
            "choices": choices,
            "sources": _sources(shape, cells, radius, bool((sizes > 1).any())),
        }
        for name, table in tables.items():
            # What is learned is saved; tables are made again. Only the corpus knows which cells are constant.
            self.register_buffer(name, torch.as_tensor(np.asarray(table)), persistent=name == "constant")

    @property
    def window(self) -> int:
        """How many cells around its own a decision sees."""
        return int(self.sources.shape[1])

    def decisions(self, levels: Tensor) -> Decisions:
        """Returns the decisions that make levels, int64 (b, height, width)."""
        batch, number = len(levels), len(self.cells)
        flat = levels.flatten(1)
        groups = self.group[flat]
        known = self.known(groups, self.tile_symbol[flat])
        # The second pass is over the open cells of each level, with what is left over at the end.
        group = groups[:, self.cells]
        opens = self.several[group]
        most = int(opens.sum(dim=1).max()) if number else 0
        open_steps = torch.argsort((~opens).to(torch.uint8), dim=1, stable=True)[:, :most]
        real = opens.gather(1, open_steps)
        first = torch.arange(number, device=levels.device).expand(batch, number)
        step = torch.cat([first, open_steps], dim=1)
        stage = torch.cat([torch.zeros_like(first), self.second_stage(group.gather(1, open_steps), real)], dim=1)
        symbols = self.tile_symbol[flat][:, self.cells].gather(1, open_steps)
        symbol = torch.cat([group, symbols], dim=1)
        made = torch.cat([torch.ones_like(opens), real], dim=1)
        decided = one_hot(symbol, self.symbols) * made[..., None]
        before = [part.cumsum(dim=1) - part for part in (decided[:, :number], decided[:, number:])]
        left = [number - first, (real.sum(dim=1, keepdim=True) - torch.arange(most, device=levels.device)).clamp(min=0)]
        counts = torch.cat([torch.cat(before, dim=1), torch.cat(left, dim=1)[..., None]], dim=2)
        return Decisions(step, stage, symbol, made, self.windows(known, step, stage), counts)

    def second_stage(self, group: Tensor, real: Tensor) -> Tensor:
        """Returns the stage of the second pass's decisions; what fills up is of a stage that has choices, too."""
        return 1 + torch.where(real, group, self.several.to(torch.uint8).argmax())

    def known(self, groups: Tensor, symbols: Tensor) -> Tensor:
        """Returns what windows are taken from: groups and symbols of all cells, int64 (b, cells) each."""
        ends = torch.tensor([self.outside, self.unknown], device=groups.device).expand(len(groups), 2)
        return torch.cat([groups, symbols, ends], dim=1)

    def windows(self, known: Tensor, step: Tensor, stage: Tensor) -> Tensor:
        """Returns the symbols around the cells of decisions, int64 (b, t, w).

        Args:
            known: what `known` returned.
            step: int64 (b, t), see `Decisions`.
            stage: int64 (b, t), likewise.
        """
        source = self.sources[step + (stage > 0) * len(self.cells)]
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


def _sources(shape: Shape, cells: NDArray[np.int64], radius: int, two_passes: bool) -> NDArray[np.int64]:
    """Returns where in `TileSequence.known` each decision's window comes from, int64 (decisions, w).

    A row for each cell of the first pass, and then one for each of the second. In the first pass the groups of the
    cells before are known; in the second the groups of all and the tiles of those before. Constant cells always are.
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
    outside, unknown = 2 * total, 2 * total + 1
    first = np.where(constant, total + others, np.where(before, others, unknown))
    second = np.where(constant | before, total + others, others)
    passes = [first, second] if two_passes else [first]
    sources = np.concatenate([np.where(inside, sources, outside) for sources in passes])
    # Where nothing is ever known there is nothing to learn.
    return np.asarray(sources[:, ((sources != outside) & (sources != unknown)).any(axis=0)], np.int64)
