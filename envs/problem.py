"""What a problem is: a game as a design task, with its tiles, its metrics and its rules of play (Khalifa 2020)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.counts import CountRule
from envs.errors import UserError
from envs.kernels.draw import draw_tiles
from envs.linear import LinearRules
from envs.nouns import Noun
from envs.rules import Rules

#: The size of a level along each axis: (height, width), or (depth, height, width) for levels of three axes, whose
#: storeys are counted from the lowest up.
Shape = tuple[int, ...]

#: A target interval that asks for as much, or as little, of a metric as can be had.
AS_LARGE_AS_POSSIBLE = (np.inf, np.inf)
AS_SMALL_AS_POSSIBLE = (-np.inf, -np.inf)


#: What the row between two storeys of a level written as text consists of; no tile of such a problem is written so.
STOREY_MARK = "="


@dataclass(frozen=True)
class Tile:
    """One kind of cell.

    Attributes:
        name: what the tile is called ("scorpion").
        character: the one character that stands for it in text levels.
        colour: red, green and blue in 0..255, for plots and for tiles without a drawing.
        sprite: the name of its drawing in `envs.art`; empty for a plain tile of that colour.
    """

    name: str
    character: str
    colour: tuple[int, int, int]
    sprite: str = ""


@dataclass(frozen=True)
class Metric:
    """A named number measured on a level.

    Attributes:
        name: the metric's name ("path-length").
        weight: how much one unit nearer to the target is worth in reward.
        target: the interval (low, high) that is wanted; infinite ends ask for as much as possible.
        bounds: from a level's shape, the least and the greatest value that the metric can take.
        description: what is measured, in one sentence, with its unit.
        measure: for an optional metric, its own function from levels, uint8 (n, h, w), to float32 (n,). Optional
            metrics are dear; they are measured only where they are asked for by name.
        play: whether it is found by playing the level, which is dear; see `Problem.measure_static`.
    """

    name: str
    weight: float
    target: tuple[float, float]
    bounds: Callable[[Shape], tuple[float, float]]
    description: str
    measure: Callable[[NDArray[np.uint8]], NDArray[np.float32]] | None = None
    play: bool = False

    @property
    def finite(self) -> bool:
        """Whether the target can be met or missed, rather than only come nearer to."""
        return bool(np.isfinite(self.target[0]) or np.isfinite(self.target[1]))


def inside(shape: Iterable[int]) -> tuple[Any, ...]:
    """Returns the index of the part of a padded level that is a level of the given shape."""
    return tuple(slice(int(size)) for size in shape)


def longest_path_bound(shape: Shape) -> int:
    """Returns a number of steps that no shortest path on a grid of the given (height, width) exceeds.

    Four cells of a 2x2 block never lie on one shortest path, for two of them would be a shortcut past the others; so
    the path has at most three cells in each block.
    """
    height, width = shape
    return min(3 * ((height + 1) // 2) * ((width + 1) // 2), height * width) - 1


@dataclass(frozen=True)
class Example:
    """A hand-checked level.

    Attributes:
        rows: the level as text, one string a row, in the tiles' characters.
        metrics: every metric that was worked out by hand, by name.
        status: what the solver must say, or None for a problem without rules of play.
        note: what the example shows.
    """

    rows: tuple[str, ...]
    metrics: Mapping[str, float]
    status: str | None = None
    note: str = ""


@dataclass(frozen=True)
class Problem(ABC):
    """A game as a design task. One file in `envs/problems/` defines one subclass and exports one instance, PROBLEM.

    Attributes:
        name: the problem's name, as it appears in environment ids.
        description: one sentence on what a good level of this game is.
        tiles: the kinds of cell; a tile's id is its place in this tuple.
        default_shape: the published (height, width) or (depth, height, width); levels have as many axes.
        metrics: what `measure` measures, in the order of its columns.
        optional_metrics: dear metrics that are measured only when named.
        start_probabilities: the share of each tile in a random start level.
        border: the name of the tile that pictures and crops show outside the level.
        rules: the rules of play, or None for a game that cannot be played.
        examples: hand-checked levels.
        smallest_shape: the least shape that makes sense.
        count_rules: linear rules on tile counts that every level which can be won keeps; what decodes levels tile by
            tile, and what repairs them, holds to these.
        symmetries: of "mirror" (left and right change places), "flip" (top and bottom do) and "transpose" (rows and
            columns do), those after which a level plays the same. Learners use them to have more levels.
        linear_rules: what makes a level playable, where that is linear; integer programming repairs levels by it.
        window: the shape of the pieces that long levels are cut into for learning; None leaves levels whole.
        nouns: by the name of a metric or tile, what captions and prompts call it, where the name alone reads badly.
    """

    name: str
    description: str
    tiles: tuple[Tile, ...]
    default_shape: Shape
    metrics: tuple[Metric, ...]
    start_probabilities: tuple[float, ...]
    border: str = "solid"
    optional_metrics: tuple[Metric, ...] = ()
    rules: Rules | None = None
    examples: tuple[Example, ...] = ()
    smallest_shape: Shape = (2, 2)
    count_rules: tuple[CountRule, ...] = ()
    symmetries: tuple[str, ...] = ()
    window: Shape | None = None
    linear_rules: LinearRules | None = None
    nouns: Mapping[str, Noun] = field(default_factory=dict)
    tile_ids: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Builds the index of tile names."""
        object.__setattr__(self, "tile_ids", {tile.name: i for i, tile in enumerate(self.tiles)})

    @abstractmethod
    def measure(self, levels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Measures a batch of levels.

        Args:
            levels: uint8 (n, *shape) of tile ids, of any shape that the problem allows. Not changed.

        Returns:
            float32 (n, number of metrics), one column for each of `metrics`.
        """

    @abstractmethod
    def succeeded(self, metrics: NDArray[np.float32], start_metrics: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Tells which levels meet the published rule of success.

        Args:
            metrics: float32 (n, number of metrics) of the levels as they are.
            start_metrics: the same of the levels that their episodes started from.

        Returns:
            bool (n,).
        """

    def measure_static(self, levels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Measures a batch of levels without playing them.

        Environments that play levels only now and then (`play_every`) call this in between. A problem whose metrics
        need no play, or all come at once, leaves it as it is.

        Args:
            levels: as in `measure`.

        Returns:
            float32 (n, number of metrics), as `measure` returns it, but for the columns of metrics with `play`, which
            are not read.
        """
        return self.measure(levels)

    def playable(self, metrics: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Tells which levels our player completes, as far as their metrics tell; strict success asks for it.

        Args:
            metrics: float32 (n, number of metrics).

        Returns:
            bool (n,). Here every level counts as playable.
        """
        return np.ones(len(metrics), np.bool_)

    def completed(self, metrics: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Tells which levels strict success takes for playable, bool (n,); targets that are drawn may ask for others.

        Args:
            metrics: float32 (n, number of metrics).
        """
        return self.playable(metrics)

    def blamed(self, levels: NDArray[np.uint8], metrics: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Tells where levels that are not playable fail, as far as metrics tell; repair looks there first.

        Args:
            levels: uint8 (n, *shape).
            metrics: float32 (n, number of metrics), what `measure` returns for them.

        Returns:
            bool (n, *shape). Here every cell is as likely as every other.
        """
        return np.ones(levels.shape, np.bool_)

    def construct(self, seeds: NDArray[np.uint64], shape: Shape) -> NDArray[np.uint8]:
        """Builds playable levels by a classical, constructive algorithm, with nothing learned (Shaker 2016).

        Args:
            seeds: uint64 (n,), one for each level; a level depends on nothing but its seed and the shape.
            shape: the shape wanted.

        Returns:
            uint8 (n, *shape).

        Raises:
            UserError: the problem has no constructive generator, or none for that shape.
        """
        raise UserError(f"Problem {self.name!r} has no constructive generator.")

    def tile_probabilities(self, uniforms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the tile distribution of each random start level.

        Args:
            uniforms: float64 (n,) in [0, 1), one fresh random number for each level.

        Returns:
            float64 (n, number of tiles); each row sums to 1. Here every level has `start_probabilities`.
        """
        probabilities = np.asarray(self.start_probabilities, np.float64)
        return np.broadcast_to(probabilities, (len(uniforms), len(self.tiles)))

    def start_levels(self, uniforms: NDArray[np.float64], shape: Shape) -> NDArray[np.uint8]:
        """Makes random start levels.

        Args:
            uniforms: float64 (n, 1 + cells) in [0, 1): for each level one number for the level as a whole, which
                `tile_probabilities` gets, and one for each cell.
            shape: the shape wanted.

        Returns:
            uint8 (n, *shape).
        """
        thresholds = np.cumsum(self.tile_probabilities(uniforms[:, 0]), axis=1)
        levels = np.empty((len(uniforms), *shape), np.uint8)
        draw_tiles(
            np.ascontiguousarray(uniforms),
            np.ascontiguousarray(thresholds),
            levels.reshape(len(levels), uniforms.shape[1] - 1),
        )
        return levels

    def index(self, metric: str) -> int:
        """Returns the column of a metric in what `measure` returns."""
        return [m.name for m in self.metrics].index(metric)

    def parse(self, rows: Sequence[str]) -> NDArray[np.uint8]:
        """Returns the level that rows of tile characters describe.

        A level of three axes is written storey by storey, the lowest first, with a row of STOREY_MARK between each two.

        Returns:
            uint8 (height, width) or (depth, height, width).

        Raises:
            UserError: there are no rows, rows or storeys differ in length, or a character is no tile's.
        """
        if len(self.default_shape) == 3:
            return self._parse_storeys(rows)
        return self._parse_rows(rows)

    def _parse_rows(self, rows: Sequence[str]) -> NDArray[np.uint8]:
        """Returns what stands in rows, uint8 (number of rows, width)."""
        if not rows or not rows[0]:
            raise UserError(f"A {self.name} level needs at least one row of tiles; nothing was given.")
        characters = {tile.character: i for i, tile in enumerate(self.tiles)}
        level = np.zeros((len(rows), len(rows[0])), np.uint8)
        for y, row in enumerate(rows):
            if len(row) != len(rows[0]):
                raise UserError(
                    f"Row {y + 1} of the {self.name} level has {len(row)} tiles but row 1 has {len(rows[0])}; "
                    "make all rows equally long."
                )
            for x, character in enumerate(row):
                if character not in characters:
                    allowed = " ".join(f"{tile.character!r} ({tile.name})" for tile in self.tiles)
                    raise UserError(
                        f"Row {y + 1}, column {x + 1} of the {self.name} level has {character!r}; "
                        f"the tiles are {allowed}."
                    )
                level[y, x] = characters[character]
        return level

    def _parse_storeys(self, rows: Sequence[str]) -> NDArray[np.uint8]:
        """Returns a level of three axes, uint8 (depth, height, width)."""
        storeys: list[list[str]] = [[]]
        for row in rows:
            if row and not row.strip(STOREY_MARK):
                storeys.append([])
            else:
                storeys[-1].append(row)
        plan = [row for storey in storeys for row in storey]
        height = len(storeys[0])
        for number, storey in enumerate(storeys, start=1):
            if len(storey) != height:
                raise UserError(
                    f"Storey {number} of the {self.name} level has {len(storey)} rows but storey 1 has {height}; "
                    f"make all storeys equally large, with a row of {STOREY_MARK!r} between each two."
                )
        flat = self._parse_rows(plan)
        return flat.reshape(len(storeys), height, -1)

    def text(self, level: NDArray[np.uint8]) -> list[str]:
        """Returns a level as rows of tile characters; the inverse of `parse`."""
        if level.ndim == 3:
            mark = STOREY_MARK * level.shape[2]
            return [row for storey in level for row in (mark, *self.text(storey))][1:]
        return ["".join(self.tiles[tile].character for tile in row) for row in level]

    def check_levels(self, levels: object) -> NDArray[np.uint8]:
        """Returns a batch of levels as a contiguous uint8 (n, height, width) array of valid tile ids.

        Args:
            levels: one level, (height, width) or (depth, height, width), or a batch of them, of any integer type.

        Raises:
            UserError: the array has another number of axes, is empty, is smaller than the problem allows, is not
                of whole numbers, or holds an id that is no tile's.
        """
        try:
            array = np.asarray(levels)
        except ValueError:
            raise UserError(
                f"{self.name} levels must be of one shape; the rows or levels given differ in length."
            ) from None
        axes = len(self.default_shape)
        if array.ndim == axes:
            array = array[None]
        if array.ndim != axes + 1:
            raise UserError(
                f"{self.name} levels must have {axes} axes, or {axes + 1} for a batch; got shape {array.shape}."
            )
        if not (np.issubdtype(array.dtype, np.integer) or array.dtype == np.bool_):
            raise UserError(f"{self.name} levels must be whole numbers (tile ids); got dtype {array.dtype}.")
        if any(size < least for size, least in zip(array.shape[1:], self.smallest_shape, strict=True)):
            raise UserError(
                f"{self.name} levels must be at least {self.smallest_shape} "
                f"({'depth, ' * (axes == 3)}height, width); got {array.shape[1:]}."
            )
        if array.size and (array.min() < 0 or array.max() >= len(self.tiles)):
            worst = array.max() if array.max() >= len(self.tiles) else array.min()
            raise UserError(
                f"{self.name} has tile ids 0 to {len(self.tiles) - 1} "
                f"({', '.join(tile.name for tile in self.tiles)}); the levels hold {int(worst)}."
            )
        return np.ascontiguousarray(array, np.uint8)
