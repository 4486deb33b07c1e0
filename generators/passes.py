"""In which passes, and in which symbols, a level is written tile by tile: what needs no network and no torch.

In the orders row, column and snake there is one decision a cell: its tile. In the order "layers" there are several
passes over the level. The first decides of each cell whether it is of the layout (a wall, say) or open; the next, which
sees the whole layout, what is in each open cell: nothing, or one of the things of the game. Where a count rule sets
one thing against another, as crates against targets, it gets a last pass to itself, which sees all the others.

So every tile has a path of *symbols*, one for each pass that the cell takes part in. A symbol that ends a path is a
tile; one that goes on says that a later pass decides.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from envs.orders import cell_order
from envs.problem import Shape
from generators.spec import LevelSpec

Order = Literal["layers", "row", "column", "snake"]

#: Tiles with less than this share of the training corpus's cells are things, in the order "layers".
RARE = 0.05


def paths_of(spec: LevelSpec, order: Order) -> tuple[tuple[int, ...], ...]:
    """Returns the path of each tile: its symbol in the first pass, the second, and so on.

    In the order "layers" things are the first tile, which is the empty one, all rare tiles and all that count rules
    name: those of the levels that were learned from, whatever is asked of samples besides. In the others each tile is a
    symbol.
    """
    tiles = range(len(spec.tiles))
    rules = spec.asking(()).count_rules()
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


class Passes:
    """The tables that decisions on levels are made by.

    Cells that have the same tile in every training level are constant: they are not decided, but known from the start.

    Args:
        shape: the (height, width) of levels.
        paths: see `paths_of`.
        order: row, column and snake as in `envs.orders.cell_order`; layers goes row by row in every pass.
        constant: int64 (height * width,), the tile of constant cells, -1 in all others.
        radius: how far around its cell a decision sees the symbols that are known.

    Attributes:
        cells: int64 (c,), the cells that are decided, in their order.
        path: int64 (tiles, passes), each tile's path; one that has ended stays where it is.
        length: int64 (tiles,), how long it is.
        symbol_tile: int64 (symbols,), the tile that a symbol ends the path of, -1 where it goes on.
        goes_on: bool (symbols,), whether it says that a later pass decides.
        choices: bool (stages, symbols), which symbols can be decided in the first pass, and after each symbol.
        sources: int64 (passes, c, window), where in what is known the window of each decision comes from.
        filling: what stands for the stage of a decision that is only there to fill up: one that has choices.
    """

    def __init__(
        self,
        shape: Shape,
        paths: tuple[tuple[int, ...], ...],
        order: Order,
        constant: NDArray[np.int64],
        radius: int,
    ) -> None:
        self.shape, self.order = shape, order
        self.total = shape[0] * shape[1]
        self.passes = max(map(len, paths))
        self.symbols = 1 + max(symbol for path in paths for symbol in path)
        #: The symbols of the window: all that can be decided, and cells outside the level, and unknown ones.
        self.outside, self.unknown, self.seen = self.symbols, self.symbols + 1, self.symbols + 2
        self.constant = np.asarray(constant, np.int64)
        visited = cell_order(shape, "row" if order == "layers" else order)
        self.cells = visited[self.constant[visited] < 0]
        self.path = np.array([[*path, *path[-1:] * (self.passes - len(path))] for path in paths])
        self.length = np.array([len(path) for path in paths])
        self.symbol_tile = np.full(self.symbols, -1)
        self.goes_on = np.zeros(self.symbols, np.bool_)
        self.choices = np.zeros((1 + self.symbols, self.symbols), np.bool_)
        for tile, path in enumerate(paths):
            self.symbol_tile[path[-1]] = tile
            self.goes_on[list(path[:-1])] = True
            for before, symbol in zip((-1, *path), path, strict=False):
                self.choices[1 + before, symbol] = True
        self.sources = _sources(shape, self.cells, radius, self.passes)
        self.filling = int(np.flatnonzero(self.choices.any(axis=1))[-1])

    @property
    def stages(self) -> int:
        """How many stages there are: 0 is the first pass, others 1 + the symbol that the pass before decided."""
        return self.symbols + 1

    def known(self, paths: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns what windows are taken from: the symbols of all cells in all passes, then outside and unknown.

        Args:
            paths: int64 (n, cells, passes).

        Returns:
            int64 (n, passes * cells + 2).
        """
        ends = np.broadcast_to([self.outside, self.unknown], (len(paths), 2))
        return np.concatenate([paths.transpose(0, 2, 1).reshape(len(paths), -1), ends], axis=1)


def _sources(shape: Shape, cells: NDArray[np.int64], radius: int, passes: int) -> NDArray[np.int64]:
    """Returns where in `Passes.known` each decision's window comes from, int64 (passes, cells, w).

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
