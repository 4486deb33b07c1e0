"""Translation between two problems: tiles for tiles, how much of a layout is kept, and networks that translate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from envs import UserError, all_problems
from envs.problem import Problem, Shape

#: The tiles that walls, floors and platforms are made of, whatever the game.
WALLS = ("solid", "brick", "block", "question", "tube")

#: The tile of cells where there is nothing.
_OPEN = ("empty", "air")

#: How sure an untrained translator is of the tile-by-tile mapping, in log-odds.
_SURE = 4.0


def wall_tiles(problem: Problem) -> NDArray[np.bool_]:
    """Returns which of a problem's tiles are walls, bool (tiles,)."""
    return np.array([tile.name in WALLS for tile in problem.tiles], np.bool_)


def wall_map(levels: NDArray[np.uint8], problem: Problem) -> NDArray[np.bool_]:
    """Returns which cells of levels, uint8 (n, *shape), are walls, bool (n, *shape)."""
    return np.asarray(wall_tiles(problem)[levels], np.bool_)


def allowed_tiles(source: Problem, target: Problem) -> NDArray[np.bool_]:
    """Returns which of one problem's tiles may stand for each of another's where the layout is kept.

    A tile stays the tile of the same name; a wall that the target does not know becomes any wall; where nothing was,
    there may be anything but walls; what is left of the source's tiles may become anything.

    Args:
        source: the problem that levels come from.
        target: the problem that they become levels of.

    Returns:
        bool (tiles of the source, tiles of the target), no row without a True.
    """
    walls, names = wall_tiles(target), [tile.name for tile in target.tiles]
    table = np.zeros((len(source.tiles), len(names)), np.bool_)
    for row, tile in zip(table, source.tiles, strict=True):
        if tile.name in _OPEN:
            row[:] = ~walls
        elif tile.name in names:
            row[names.index(tile.name)] = True
        elif tile.name in WALLS:
            row[:] = walls
        if not row.any():
            row[:] = True
    return table


def map_tiles(levels: NDArray[np.uint8], source: Problem, target: Problem) -> NDArray[np.uint8]:
    """Turns levels of one problem into another's tile by tile, the least that a translator must do better than.

    A tile becomes the one of the same name, a wall the target's first wall, and everything else the target's first
    tile that is no wall.

    Args:
        levels: uint8 (n, *shape) of the source.
        source: the problem that they are levels of.
        target: the problem that they become levels of.

    Returns:
        uint8 (n, *shape) of the target.
    """
    return tile_table(source, target)[levels]


def tile_table(source: Problem, target: Problem) -> NDArray[np.uint8]:
    """Returns what `map_tiles` makes of each of the source's tiles, uint8 (tiles of the source,)."""
    walls, names = wall_tiles(target), [tile.name for tile in target.tiles]
    open_tile = int(np.argmin(walls))
    wall = int(np.argmax(walls)) if walls.any() else open_tile
    table = [
        names.index(tile.name) if tile.name in names else wall if tile.name in WALLS else open_tile
        for tile in source.tiles
    ]
    return np.array(table, np.uint8)


@dataclass(frozen=True)
class Structure:
    """How much of their layout levels keep in translation, means over levels.

    Attributes:
        walls: the share of wall cells that are walls still; 1 for a level without walls.
        open: the share of other cells that are no walls still; 1 for a level all of walls.
        correlation: of the two maps of walls, from -1 to 1 (phi coefficient; Matthews 1975); where a map is all of one
            kind it is 1 if the maps are equal and 0 if not.
    """

    walls: float
    open: float
    correlation: float

    @classmethod
    def of(cls, before: NDArray[np.uint8], source: Problem, after: NDArray[np.uint8], target: Problem) -> Structure:
        """Compares levels, uint8 (n, *shape), with their translations, of the same shape.

        Raises:
            UserError: the shapes differ, or there are no levels.
        """
        if before.shape != after.shape or not len(before):
            raise UserError(
                f"Levels and their translations must have the same shape and be at least one; got {before.shape} and "
                f"{after.shape}."
            )
        first = wall_map(before, source).reshape(len(before), -1)
        second = wall_map(after, target).reshape(len(after), -1)
        both, neither = (first & second).sum(axis=1), (~first & ~second).sum(axis=1)
        one, other = first.sum(axis=1), second.sum(axis=1)
        cells = first.shape[1]
        spread = np.sqrt((one * (cells - one)).astype(np.float64) * other * (cells - other))
        together = cells * both - one.astype(np.float64) * other
        equal = (first == second).all(axis=1).astype(np.float64)
        correlation = np.where(spread > 0, together / np.where(spread > 0, spread, 1), equal)
        return cls(
            float(np.where(one > 0, both / np.maximum(one, 1), 1).mean()),
            float(np.where(one < cells, neither / np.maximum(cells - one, 1), 1).mean()),
            float(correlation.mean()),
        )


def default_source(target: Problem, shape: Shape) -> Problem:
    """Returns the problem whose constructed levels are translated where none is named.

    It is the one that shares the largest part of its and the target's tiles by name, of those whose constructive
    generator makes levels of the shape; of equals the first by name.

    Raises:
        UserError: no other problem's does.
    """
    names = {tile.name for tile in target.tiles}

    def share(problem: Problem) -> float:
        others = {tile.name for tile in problem.tiles}
        return len(names & others) / len(names | others)

    rest = [problem for problem in all_problems().values() if problem.name != target.name]
    for problem in sorted(rest, key=lambda problem: (-share(problem), problem.name)):
        if len(problem.default_shape) != len(shape):
            continue
        try:
            problem.construct(np.zeros(1, np.uint64), shape)
        except UserError:
            continue
        return problem
    raise UserError(f"No other problem than {target.name} has constructed levels of shape {shape}: name a source.")


class _Block(nn.Module):
    """Two convolutions that see a cell's neighbours, then a layer through which each cell sees all."""

    def __init__(self, width: int, cells: int, mixed: int) -> None:
        super().__init__()
        self.near = nn.Sequential(
            nn.GroupNorm(1, width),
            nn.Conv2d(width, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.norm = nn.GroupNorm(1, width)
        self.far = nn.Sequential(nn.Linear(cells, mixed), nn.SiLU(), nn.Linear(mixed, cells))

    def forward(self, maps: Tensor) -> Tensor:
        maps = maps + self.near(maps)
        return maps + self.far(self.norm(maps).flatten(2)).view(maps.shape)


class Translator(nn.Module):
    """From levels of one problem to the logits of another's tiles, of the same shape.

    What its layers say is added to what each tile says by itself, which at first is the tile-by-tile mapping: it learns
    what that gets wrong.

    Args:
        before: how many kinds of tiles the levels have.
        after: how many kinds their translations have.
        shape: (h, w).
        asked: how long the vector of a condition is.
        width: of its layers.
        blocks: how many blocks it has: two convolutions, and a mixing of all cells (Tolstikhin 2021).
        mixed: how many mixtures of all cells a block makes.
        table: uint8 (before,), for each tile the one that it becomes at first (`tile_table`); None begins with no tile
            likelier than another.
    """

    def __init__(
        self,
        before: int,
        after: int,
        shape: Shape,
        asked: int,
        width: int = 32,
        blocks: int = 2,
        mixed: int = 64,
        table: NDArray[np.uint8] | None = None,
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(before, width, 3, padding=1)
        self.asked = nn.Linear(asked, width, bias=False) if asked else None
        self.blocks = nn.Sequential(*(_Block(width, math.prod(shape), mixed) for _ in range(blocks)))
        self.tiles = nn.Conv2d(before, after, 1, bias=False)
        nn.init.zeros_(self.tiles.weight)
        if table is not None:
            for tile, become in enumerate(table.tolist()):
                nn.init.constant_(self.tiles.weight[become, tile], _SURE)
        self.head = nn.Sequential(nn.GroupNorm(1, width), nn.SiLU(), nn.Conv2d(width, after, 1))

    def forward(self, levels: Tensor, asked: Tensor) -> Tensor:
        """Translates levels.

        Args:
            levels: float32 (b, before, h, w), one-hot.
            asked: float32 (b, c), what is asked of the translations.

        Returns:
            float32 (b, after, h, w), logits.
        """
        maps = self.stem(levels)
        if self.asked is not None:
            maps = maps + self.asked(asked)[:, :, None, None]
        logits: Tensor = self.tiles(levels) + self.head(self.blocks(maps))
        return logits
