"""Reads and writes level files: plain text and Tiled maps.

A file format is one subclass of `LevelFormat`, registered by the `level_format` decorator; `read_levels` and
`write_levels` choose it by the file's extension.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from envs.art import check_tile_size
from envs.errors import UserError
from envs.files import write_atomically
from envs.pictures import render_board, save_png
from envs.problem import Problem

Level = NDArray[np.uint8]

#: What begins a line of a text file that is not part of a level.
COMMENT = ";"

#: The bits of a Tiled tile number that turn or mirror the tile.
_TILED_FLAGS = 0xF000_0000
#: The version of the Tiled map format that is written, and the program that it came with.
_TILED_FORMAT, _TILED_PROGRAM = "1.10", "1.11.0"


class LevelFormat(ABC):
    """A kind of level file."""

    #: One sentence for users.
    description: str

    @abstractmethod
    def read(self, path: Path, problem: Problem) -> list[Level]:
        """Returns the levels in a file, uint8 (height, width) each, or raises UserError saying where it is wrong."""

    @abstractmethod
    def write(self, path: Path, levels: Sequence[Level], problem: Problem, tile_size: int) -> None:
        """Writes valid levels, uint8 (height, width) each and at least one, or raises UserError."""


_FORMATS: dict[str, LevelFormat] = {}


def level_format(*extensions: str) -> Callable[[type[LevelFormat]], type[LevelFormat]]:
    """Registers a class as the format of the files with the given extensions (".txt"), in small letters."""

    def register(kind: type[LevelFormat]) -> type[LevelFormat]:
        for extension in extensions:
            _FORMATS[extension] = kind()
        return kind

    return register


def formats() -> dict[str, str]:
    """Returns the description of every file format by its extension (".txt")."""
    return {extension: kind.description for extension, kind in _FORMATS.items()}


def read_levels(path: str | os.PathLike[str], problem: Problem) -> list[Level]:
    """Reads the levels in a file.

    Args:
        path: the file; its extension tells its format, see `formats`.
        problem: the problem whose levels they are.

    Returns:
        At least one level, uint8 (height, width) of tile ids; they may differ in shape.

    Raises:
        UserError: the extension is unknown, the file cannot be read, or its contents are no levels of this problem.
            The message says where in the file.
    """
    return _format_of(path).read(Path(path), problem)


def write_levels(
    path: str | os.PathLike[str], levels: Sequence[ArrayLike] | NDArray[Any], problem: Problem, tile_size: int = 32
) -> Path:
    """Writes levels to a file, which is replaced whole or, on failure, left as it was.

    Args:
        path: the file; its extension tells its format, see `formats`.
        levels: tile ids, (height, width) each; they may differ in shape.
        problem: the problem whose levels they are.
        tile_size: the side of a tile in pixels, 4 to 256, in formats that come with pictures.

    Returns:
        `path` as a Path.

    Raises:
        UserError: the extension is unknown, there are no levels, one is not of this problem, the tile size cannot
            be drawn, or the file cannot be written.
    """
    kind = _format_of(path)
    if not len(levels):
        raise UserError(f"{Path(path)} needs at least one {problem.name} level; none was given.")
    checked = []
    for level in levels:
        if np.ndim(level) != len(problem.default_shape):
            axes = "(height, width)" if len(problem.default_shape) == 2 else "(depth, height, width)"
            raise UserError(
                f"{Path(path)} takes a list of {problem.name} levels of {axes} each; one has shape {np.shape(level)}."
            )
        checked.append(problem.check_levels(level)[0])
    kind.write(Path(path), checked, problem, check_tile_size(tile_size))
    return Path(path)


@level_format(".txt")
class TextFormat(LevelFormat):
    """The tiles' characters, a line a row; blank lines between levels; lines that begin with ';' are comments."""

    description = (
        "plain text: one character a tile, one line a row, blank lines between levels, "
        f"lines that begin with '{COMMENT}' are comments"
    )

    def read(self, path: Path, problem: Problem) -> list[Level]:
        """Returns the levels in a text file."""
        levels = [
            self._level(block, path, problem)
            for block in self._blocks(_read_text(path), {t.character for t in problem.tiles})
        ]
        if not levels:
            raise UserError(f"{path} holds no level: write {problem.name} levels as rows of {_legend(problem)}.")
        return levels

    def write(self, path: Path, levels: Sequence[Level], problem: Problem, tile_size: int) -> None:
        """Writes the levels as text, below a comment that explains the characters."""
        blocks = ["\n".join(problem.text(level)) for level in levels]
        # A problem may use ';' for a tile; then there is no way to write a comment.
        if all(tile.character != COMMENT for tile in problem.tiles):
            blocks.insert(0, f"{COMMENT} {problem.name}: {_legend(problem)}")
        write_atomically(path, ("\n\n".join(blocks) + "\n").encode())

    @staticmethod
    def _blocks(text: str, characters: set[str]) -> Iterator[list[tuple[int, str]]]:
        """Yields each level as its rows, with the number of the line that each stands on."""
        block: list[tuple[int, str]] = []
        for number, line in enumerate(text.split("\n"), start=1):
            if COMMENT not in characters and line.startswith(COMMENT):
                continue
            # Trailing blanks come from editors, unless this problem writes a tile as a blank.
            row = line.removesuffix("\r")
            row = row if " " in characters else row.rstrip()
            if row:
                block.append((number, row))
            elif block:
                yield block
                block = []
        if block:
            yield block

    @staticmethod
    def _level(block: list[tuple[int, str]], path: Path, problem: Problem) -> Level:
        """Returns the level that numbered rows describe."""
        if len(problem.default_shape) == 3:
            try:
                return problem.parse([row for _, row in block])
            except UserError as error:
                raise UserError(f"{path}, line {block[0][0]}: {error}") from error
        ids = {tile.character: i for i, tile in enumerate(problem.tiles)}
        first, width = block[0][0], len(block[0][1])
        for number, row in block:
            for column, character in enumerate(row, start=1):
                if character not in ids:
                    raise UserError(
                        f"{path}, line {number}, column {column}: {character!r} is no tile of {problem.name}; "
                        f"the tiles are {_legend(problem)}."
                    )
            if len(row) != width:
                raise UserError(
                    f"{path}, line {number}, column {min(len(row), width) + 1}: the row has {len(row)} tiles but the "
                    f"level's first row, on line {first}, has {width}; make all rows equally long."
                )
        level = np.array([[ids[character] for character in row] for _, row in block], np.uint8)
        return _check_shape(level, problem, f"{path}, line {first}, column 1")


@level_format(".tmj")
class TiledFormat(LevelFormat):
    """A map of the Tiled editor, one layer a level.

    Layers of a map have one size; a smaller level fills the upper left of its layer and the rest has no tile. Tiles
    are known by their class, so that a tileset in another order is read as well.
    """

    description = "Tiled map (JSON), one tile layer a level, with a picture of the tileset beside it"

    def read(self, path: Path, problem: Problem) -> list[Level]:
        """Returns the levels in a map, from the lowest layer to the uppermost."""
        source = _read_json(path)
        if source.get("type", "map") != "map" or not isinstance(source.get("layers"), list):
            raise UserError(f"{path} is JSON but no Tiled map: it must have a list of layers.")
        if source.get("infinite"):
            raise UserError(
                f"{path} is an infinite map; switch off Infinite in Tiled under Map > Map Properties and save it again."
            )
        tiles = self._tiles_by_number(source, path, problem)
        levels = [self._level(layer, tiles, path, problem) for layer in self._layers(source["layers"])]
        if not levels:
            raise UserError(f"{path} has no tile layer; draw the {problem.name} level in a tile layer.")
        return levels

    def write(self, path: Path, levels: Sequence[Level], problem: Problem, tile_size: int) -> None:
        """Writes the levels as layers, of which the first is visible, and the picture of the tiles beside the map."""
        if len(problem.default_shape) == 3:
            raise UserError(f"{path} cannot hold {problem.name} levels, which have three axes; use text (.txt).")
        height = max(level.shape[0] for level in levels)
        width = max(level.shape[1] for level in levels)
        picture = f"{problem.name}-tiles-{tile_size}.png"
        layers = []
        for i, level in enumerate(levels):
            numbers = np.zeros((height, width), np.int64)
            numbers[: level.shape[0], : level.shape[1]] = level.astype(np.int64) + 1
            layers.append(
                {
                    "data": numbers.ravel().tolist(),
                    "height": height,
                    "id": i + 1,
                    "name": f"level {i + 1}",
                    "opacity": 1,
                    "type": "tilelayer",
                    "visible": i == 0,
                    "width": width,
                    "x": 0,
                    "y": 0,
                }
            )
        document = {
            "compressionlevel": -1,
            "height": height,
            "infinite": False,
            "layers": layers,
            "nextlayerid": len(layers) + 1,
            "nextobjectid": 1,
            "orientation": "orthogonal",
            "properties": [{"name": "problem", "type": "string", "value": problem.name}],
            "renderorder": "right-down",
            "tiledversion": _TILED_PROGRAM,
            "tileheight": tile_size,
            "tilesets": [{"firstgid": 1, **self._tileset(problem, tile_size, picture)}],
            "tilewidth": tile_size,
            "type": "map",
            "version": _TILED_FORMAT,
            "width": width,
        }
        # The picture goes first: a map without its picture would not open, a picture without its map does no harm.
        self._save_tiles(path.parent / picture, problem, tile_size)
        write_atomically(path, (json.dumps(document) + "\n").encode())

    @staticmethod
    def _tileset(problem: Problem, tile_size: int, picture: str) -> dict[str, Any]:
        """Returns the tileset as Tiled writes it into a map; the tiles stand side by side in the picture."""
        return {
            "columns": len(problem.tiles),
            "image": picture,
            "imageheight": tile_size,
            "imagewidth": tile_size * len(problem.tiles),
            "margin": 0,
            "name": problem.name,
            "spacing": 0,
            "tilecount": len(problem.tiles),
            "tileheight": tile_size,
            "tiles": [
                {
                    "id": i,
                    "properties": [{"name": "character", "type": "string", "value": tile.character}],
                    "type": tile.name,
                }
                for i, tile in enumerate(problem.tiles)
            ],
            "tilewidth": tile_size,
        }

    @staticmethod
    def _save_tiles(path: Path, problem: Problem, tile_size: int) -> None:
        """Writes the picture of the tileset: every tile on the floor, side by side."""
        looks = [tile.sprite or tile.colour for tile in problem.tiles]
        tiles = [render_board(looks, [[i]], tile_size) for i in range(len(looks))]
        save_png(path, np.concatenate(tiles, axis=1))

    @classmethod
    def _layers(cls, layers: Sequence[Any]) -> Iterator[dict[str, Any]]:
        """Yields the tile layers, also those within groups; layers of objects and pictures are passed over."""
        for layer in layers:
            kind = layer.get("type") if isinstance(layer, dict) else None
            if kind == "group" and isinstance(layer.get("layers"), list):
                yield from cls._layers(layer["layers"])
            elif kind == "tilelayer":
                yield layer

    @staticmethod
    def _tiles_by_number(source: dict[str, Any], path: Path, problem: Problem) -> dict[int, tuple[str, int | None]]:
        """Returns, for every tile number that the map may use, how it is called and which tile of the problem it is."""
        found: dict[int, tuple[str, int | None]] = {}
        references = source.get("tilesets")
        if not isinstance(references, list):
            raise UserError(f"{path} has no list of tilesets; save the map in Tiled again.")
        for reference in references:
            tileset, where = reference, path
            try:
                if "source" in reference:
                    where = path.parent / reference["source"]
                    if where.suffix.lower() not in (".tsj", ".json"):
                        raise UserError(
                            f"{path} refers to the tileset {where}, which cannot be read; embed the tileset in Tiled, "
                            "or export it as .tsj."
                        )
                    tileset = _read_json(where)
                first = int(reference["firstgid"])
                count = int(tileset["tilecount"])
                names = {
                    int(tile["id"]): str(tile.get("type") or tile.get("class") or "")
                    for tile in tileset.get("tiles", [])
                }
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                if isinstance(error, UserError):
                    raise
                raise UserError(
                    f"{where} has a damaged tileset: each needs firstgid, tilecount and tiles with an id and a class "
                    f"({type(error).__name__}: {error})."
                ) from error
            for local in range(min(count, 1 << 16)):
                name = names.get(local, "")
                found[first + local] = (name, problem.tile_ids.get(name))
        return found

    @staticmethod
    def _level(layer: dict[str, Any], tiles: dict[int, tuple[str, int | None]], path: Path, problem: Problem) -> Level:
        """Returns the level in a tile layer."""
        place = f"{path}, layer {str(layer.get('name', ''))!r}"
        data: Any = layer.get("data")
        height: Any = layer.get("height")
        width: Any = layer.get("width")
        if not isinstance(data, list):
            raise UserError(
                f"{place}: the tiles are not stored as CSV; choose CSV in Tiled under Map > Map Properties > "
                "Tile Layer Format and save the map again."
            )
        sized = isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0
        if not sized or len(data) != height * width:
            raise UserError(
                f"{place}: it has {len(data)} tiles but its size is {width} wide and {height} high; save the map again."
            )
        level = np.full((height, width), -1, np.int64)
        for i, number in enumerate(data):
            row, column = divmod(i, width)
            spot = f"{place}, row {row + 1}, column {column + 1}"
            if not isinstance(number, int) or isinstance(number, bool) or number < 0:
                raise UserError(f"{spot}: {number!r} is no tile number; they are whole numbers from 0.")
            if number == 0:
                continue
            if number & _TILED_FLAGS:
                raise UserError(
                    f"{spot}: the tile is flipped or turned, which means nothing in a {problem.name} level; "
                    "place it upright."
                )
            if number not in tiles:
                raise UserError(
                    f"{spot}: tile number {number} is in none of the map's tilesets, which hold "
                    f"{_numbers(sorted(tiles))}."
                )
            name, tile = tiles[number]
            if tile is None:
                given = f"the class {name!r}, which is no tile of {problem.name}" if name else "no class"
                raise UserError(
                    f"{spot}: tile number {number} has {given}; "
                    f"give it one of the classes {', '.join(problem.tile_ids)}."
                )
            level[row, column] = tile
        return _check_shape(_crop(level, place), problem, place)


def _crop(level: NDArray[np.int64], place: str) -> Level:
    """Cuts away the empty margin of a layer, where tiles are -1; there may be none left inside."""
    rows, columns = np.flatnonzero((level >= 0).any(1)), np.flatnonzero((level >= 0).any(0))
    if not len(rows):
        raise UserError(f"{place}: the layer is empty; draw a level in it, or delete it.")
    inner = level[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    holes = np.argwhere(inner < 0)
    if len(holes):
        row, column = holes[0] + (rows[0] + 1, columns[0] + 1)
        raise UserError(
            f"{place}, row {row}, column {column}: there is no tile; fill the whole rectangle of the level."
        )
    return inner.astype(np.uint8)


def _check_shape(level: Level, problem: Problem, place: str) -> Level:
    """Returns a level that is large enough for its problem, or raises UserError."""
    if any(size < least for size, least in zip(level.shape, problem.smallest_shape, strict=True)):
        raise UserError(
            f"{place}: the level is {level.shape[0]} high and {level.shape[1]} wide; {problem.name} levels are at "
            f"least {problem.smallest_shape[0]} high and {problem.smallest_shape[1]} wide."
        )
    return level


def _format_of(path: str | os.PathLike[str]) -> LevelFormat:
    """Returns the format of a file by its extension."""
    extension = Path(path).suffix.lower()
    if extension not in _FORMATS:
        raise UserError(
            f"{Path(path)} has {f'the extension {extension!r}' if extension else 'no extension'}; level files end in "
            f"{', '.join(_FORMATS)}."
        )
    return _FORMATS[extension]


def _read_text(path: Path) -> str:
    """Returns the text of a UTF-8 file, or raises UserError."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; give the path of a level file.") from error
    except IsADirectoryError as error:
        raise UserError(f"{path} is a folder; give the path of a level file in it.") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"{path} cannot be read: {reason}; give the path of a level file.") from error
    if not raw:
        raise UserError(f"{path} is empty; give a file with at least one level.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # Codecs count the bytes of the text they were given, which lacks the byte order mark.
        before = error.object[: error.start]
        line = before.count(b"\n") + 1
        column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
        raise UserError(
            f"{path}, line {line}, column {column}: byte 0x{error.object[error.start]:02x} is not UTF-8 text; "
            "save the file as UTF-8."
        ) from error


def _read_json(path: Path) -> dict[str, Any]:
    """Returns the object in a JSON file, or raises UserError."""
    text = _read_text(path)
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}, line {error.lineno}, column {error.colno}: malformed JSON ({error.msg}); save the file again."
        ) from error
    except RecursionError as error:
        raise UserError(f"{path} is malformed JSON: it is nested too deeply; save the file again.") from error
    except ValueError as error:
        raise UserError(
            f"{path} is malformed JSON: it holds a number that is too long; save the file again."
        ) from error
    if not isinstance(document, dict):
        raise UserError(f"{path} is JSON but no Tiled file: it must be one object in braces.")
    return document


def _legend(problem: Problem) -> str:
    """Returns the characters of the tiles with their names, for people."""
    return ", ".join(f"{tile.character!r} ({tile.name})" for tile in problem.tiles)


def _numbers(numbers: list[int]) -> str:
    """Returns how far sorted tile numbers reach, for people."""
    return f"{numbers[0]} to {numbers[-1]}" if numbers else "no tiles"
