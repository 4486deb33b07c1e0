"""Sequence: a level is written from nothing, decision by decision, in a generator's own order."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from envs.errors import UserError
from envs.kernels.sequence import edit_sequence, place_sequence
from envs.orders import Order, cell_order
from envs.problem import Shape
from envs.representation import ActionSpace, Canvas, Representation


@dataclass(frozen=True)
class Sequence(Representation):
    """One decision at a time, each cell in its turn, until the level is written.

    The action is Discrete(number of symbols): the symbol that is decided at the cursor. With no `paths` each tile is
    its own symbol, and the level is written in one pass. With paths there are several: a symbol that ends a tile's path
    writes that tile, one that goes on leaves the cell to the next pass. Cells with frozen tiles are visited like all
    others, in every pass that their tile's path takes part in; only their own symbol is allowed there.

    A symbol that is not allowed (see `action_masks` and `allowed`) is taken as the first one that is. What is not
    decided yet keeps the start level's tile. The episode terminates with the last decision and, success or not, never
    before; there is no change budget.

    Observations differ from those of the other representations: `map` shows of each cell of the whole level the latest
    symbol decided there, the number of symbols standing for none yet (and for cells outside the level); cells that are
    frozen or constant show their tile's last symbol from the start. `cursor` is the cell of the next decision, `pass`,
    int64 (1,), its pass, and `allowed`, int8 (symbols,), is 1 for what may be decided there, and all 1 once the episode
    is over. There is no `budget`.

    Attributes:
        order: "row", "column" or "snake", see `envs.orders.cell_order`; every pass goes through the cells in it.
        paths: for each tile the symbols that decide it, one for each pass that its cell takes part in; () makes each
            tile its own symbol. Symbols are numbered from 0 on, each comes after one other at most, and each that ends
            a path ends one only.
        constant: the tile of cells that are never decided but written at the start, -1 for all others, one number a
            cell in reading order; () has none.
    """

    name: str = "sequence"
    order: Order = "row"
    paths: tuple[tuple[int, ...], ...] = ()
    constant: tuple[int, ...] = ()

    shows_level = True
    has_budget = False
    starts_free = False
    can_look_ahead = False
    ends = True
    heeds_success = False

    def __post_init__(self) -> None:
        """Brings options that were read from a file into tuples."""
        object.__setattr__(self, "paths", tuple(_numbers("paths", path) for path in _listed("paths", self.paths)))
        object.__setattr__(self, "constant", _numbers("constant", self.constant))

    @property
    def writes_start(self) -> bool:
        """Constant cells are written when an episode begins."""
        return bool(self.constant)

    def symbols(self, number_of_tiles: int) -> int:
        """Returns how many symbols there are."""
        return 1 + max(map(max, self.paths)) if self.paths else number_of_tiles

    def action_space(self, shape: Shape, number_of_tiles: int) -> ActionSpace:
        """Returns Discrete(number of symbols).

        Raises:
            UserError: the paths or the constant cells do not fit the levels.
        """
        return spaces.Discrete(len(_tables(self, shape, number_of_tiles).symbol_tile))

    def map_ids(self, number_of_tiles: int) -> int:
        """Returns one more than there are symbols: the last stands for none."""
        return self.symbols(number_of_tiles) + 1

    def parts(self, shape: Shape, number_of_tiles: int) -> dict[str, spaces.Space]:
        """Returns the spaces of `pass` and `allowed`."""
        tables = _tables(self, shape, number_of_tiles)
        return {
            "pass": spaces.MultiDiscrete([tables.path.shape[1]]),
            "allowed": spaces.MultiBinary(len(tables.symbol_tile)),
        }

    def notes(self, lanes: int, shape: Shape, number_of_tiles: int) -> dict[str, NDArray]:
        """Returns room for what has been decided, and where the next decision is."""
        symbols = self.symbols(number_of_tiles)
        return {
            "latest": np.full((lanes, *shape), symbols, np.uint8),
            "turns": np.zeros(lanes, np.int64),
            "places": np.zeros(lanes, np.int64),
            "allowed": np.ones((lanes, symbols), np.int8),
            "finished": np.zeros(lanes, np.bool_),
        }

    def place(self, canvas: Canvas, lanes: NDArray[np.int64], uniforms: NDArray[np.float64]) -> None:
        """Writes constant cells, forgets what was decided, and goes to the first decision."""
        tables = _tables(self, canvas.levels.shape[1:], canvas.number_of_tiles)
        place_sequence(
            *self._state(canvas), canvas.cursors, lanes, tables.sizes, tables.constant, tables[:6], canvas.outside
        )

    def edit(
        self,
        canvas: Canvas,
        actions: NDArray[np.int64],
        active: NDArray[np.bool_],
        uniforms: NDArray[np.float64],
    ) -> NDArray[np.int64]:
        """Makes one decision."""
        tables = _tables(self, canvas.levels.shape[1:], canvas.number_of_tiles)
        changed = np.zeros(len(active), np.int64)
        edit_sequence(
            *self._state(canvas),
            canvas.cursors,
            canvas.remaining,
            actions,
            active,
            tables.sizes,
            tables[:6],
            canvas.outside,
            changed,
        )
        return changed

    @staticmethod
    def _state(canvas: Canvas) -> tuple[NDArray, NDArray, NDArray, NDArray, NDArray, NDArray, NDArray]:
        """Returns the arrays that both kernels work on, cells being flat."""
        notes = canvas.notes
        levels, frozen, latest = (
            part.reshape(len(part), -1) for part in (canvas.levels, canvas.frozen, notes["latest"])
        )
        return levels, frozen, latest, notes["turns"], notes["places"], notes["allowed"], notes["finished"]

    def picture(self, canvas: Canvas) -> NDArray[np.uint8]:
        """Returns the latest symbols."""
        return canvas.notes["latest"]

    def observe(self, canvas: Canvas) -> dict[str, NDArray]:
        """Returns `pass` and `allowed`."""
        return {"pass": canvas.notes["turns"][:, None].copy(), "allowed": canvas.notes["allowed"].copy()}

    def finished(self, canvas: Canvas) -> NDArray[np.bool_]:
        """Returns which levels are written."""
        return canvas.notes["finished"]

    def allowed(self, canvas: Canvas) -> NDArray[np.bool_]:
        """Returns which symbols may be decided next."""
        return canvas.notes["allowed"].astype(np.bool_)


class _Tables(NamedTuple):
    """What the kernels look up; nothing writes to it.

    Attributes:
        cells: int64 (k,), the cells that are decided, in order.
        path: int64 (tiles, passes), each tile's symbols; a path that has ended stays where it is.
        length: int64 (tiles,), the lengths of the paths.
        symbol_tile: int64 (symbols,), the tile that a symbol writes, -1 for those that go on.
        goes_on: bool (symbols + 1,), which leave their cell to the next pass; "none" does not.
        choices: bool (1 + symbols, symbols), what may follow on each symbol, the first row being of the first pass.
        constant: int64 (cells in all,), -1 where a cell is decided.
        sizes: int64 (axes,), the shape.
    """

    cells: NDArray[np.int64]
    path: NDArray[np.int64]
    length: NDArray[np.int64]
    symbol_tile: NDArray[np.int64]
    goes_on: NDArray[np.bool_]
    choices: NDArray[np.bool_]
    constant: NDArray[np.int64]
    sizes: NDArray[np.int64]


@lru_cache(maxsize=64)
def _tables(design: Sequence, shape: Shape, number_of_tiles: int) -> _Tables:
    paths = design.paths or tuple((tile,) for tile in range(number_of_tiles))
    if len(paths) != number_of_tiles or not all(paths):
        raise UserError(
            f"paths must give each of the {number_of_tiles} tiles a path of at least one symbol; got {design.paths}."
        )
    symbols = design.symbols(number_of_tiles)
    if min(map(min, paths)) < 0 or symbols >= np.iinfo(np.uint8).max:
        raise UserError(f"Symbols of paths must be from 0 to {np.iinfo(np.uint8).max - 2}; got {design.paths}.")
    passes = max(map(len, paths))
    symbol_tile = np.full(symbols, -1, np.int64)
    goes_on = np.zeros(symbols + 1, np.bool_)
    choices = np.zeros((1 + symbols, symbols), np.bool_)
    for tile, path in enumerate(paths):
        symbol_tile[path[-1]] = tile
        goes_on[list(path[:-1])] = True
        for before, symbol in zip((-1, *path[:-1]), path, strict=True):
            choices[1 + before, symbol] = True
    if (choices.sum(axis=0) != 1).any() or (goes_on[:-1] == (symbol_tile >= 0)).any() or len(set(paths)) != len(paths):
        raise UserError(
            "paths must number the symbols from 0 on, have each come after one other at most, and end each tile's with "
            f"a symbol of its own, which goes on nowhere; got {design.paths}."
        )
    constant = np.array(design.constant or (-1,) * math.prod(shape), np.int64)
    if len(constant) != math.prod(shape) or constant.min() < -1 or constant.max() >= number_of_tiles:
        raise UserError(
            f"constant must have a tile from 0 to {number_of_tiles - 1}, or -1, for each of the {math.prod(shape)} "
            f"cells of a level of {shape}; got {len(constant)} numbers from {constant.min()} to {constant.max()}."
        )
    visited = cell_order(shape, design.order)
    cells = visited[constant[visited] < 0]
    if not len(cells):
        raise UserError("constant leaves no cell to be decided; leave one of its numbers at -1.")
    return _Tables(
        cells=cells,
        path=np.array([[*path, *path[-1:] * (passes - len(path))] for path in paths], np.int64),
        length=np.array([len(path) for path in paths], np.int64),
        symbol_tile=symbol_tile,
        goes_on=goes_on,
        choices=choices,
        constant=constant,
        sizes=np.array(shape, np.int64),
    )


def _listed(name: str, value: Any) -> tuple[Any, ...]:
    try:
        return () if value is None else tuple(value)
    except TypeError:
        raise UserError(f"{name} of sequence must be a list; got {value!r}.") from None


def _numbers(name: str, value: Any) -> tuple[int, ...]:
    try:
        return tuple(operator.index(number) for number in _listed(name, value))
    except TypeError:
        raise UserError(f"{name} of sequence must hold whole numbers; got {value!r}.") from None


REPRESENTATION = Sequence()
