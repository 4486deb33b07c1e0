"""Maps of the Tiled editor (https://www.mapeditor.org), in its JSON format."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.errors import UserError
from envs.files import write_atomically
from envs.level_io.formats import Collection, Level, LevelFormat, check_shape, level_format
from envs.level_io.sources import read_json
from envs.pictures import render_board, save_png
from envs.problem import Problem

#: The bits of a Tiled tile number that turn or mirror the tile.
_FLAGS = 0xF000_0000
#: The version of the Tiled map format that is written, and the program that it came with.
_FORMAT, _PROGRAM = "1.10", "1.11.0"
#: The most tiles in all layers of a map together.
_MOST_TILES = 1 << 24
#: What the name of a tileset's picture has between the problem's name and the size of its tiles.
TILES_MARK = "-tiles-"


@dataclass(frozen=True)
class _Tileset:
    """The tiles of a map that have the numbers from `first` on, `count` of them, with their names by local number."""

    first: int
    count: int
    names: dict[int, str]


@level_format(".tmj")
class TiledFormat(LevelFormat):
    """A map of the Tiled editor, one layer a level.

    Layers of a map have one size; a smaller level fills the upper left of its layer and the rest has no tile. Tiles
    are known by their class, so that a tileset in another order is read as well.

    Args:
        follow: whether tilesets are read that lie in files of their own, wherever the map says that they lie.
    """

    name = "tiled"
    description = "Tiled map (JSON), one tile layer a level, with a picture of the tileset beside it"
    titled = True

    def __init__(self, follow: bool = True) -> None:
        self.follow = follow

    def read(self, path: Path, problem: Problem, most: int | None = None) -> Collection:
        """Returns the levels in a map, from the lowest layer to the uppermost."""
        source = read_json(path)
        if source.get("type", "map") != "map" or not isinstance(source.get("layers"), list):
            raise UserError(f"{path} is JSON but no Tiled map: it must have a list of layers.")
        if source.get("infinite"):
            raise UserError(
                f"{path} is an infinite map; switch off Infinite in Tiled under Map > Map Properties and save it again."
            )
        tilesets = self._tilesets(source, path)
        collection = Collection(self.name, most)
        for layer in self._layers(source["layers"]):
            name = str(layer.get("name", ""))
            # A name that this format gave for want of a title, or Tiled for want of a name, says nothing.
            title = "" if name == f"level {len(collection.levels) + 1}" or name.startswith("Tile Layer ") else name
            collection.add(self._level(layer, tilesets, path, problem), title)
        if not collection.levels:
            raise UserError(f"{path} has no tile layer; draw the {problem.name} level in a tile layer.")
        return collection

    def write(
        self, path: Path, levels: Sequence[Level], problem: Problem, tile_size: int, titles: Sequence[str]
    ) -> None:
        """Writes the levels as layers, of which the first is visible, and the picture of the tiles beside the map."""
        height = max(level.shape[0] for level in levels)
        width = max(level.shape[1] for level in levels)
        if height * width * len(levels) > _MOST_TILES:
            raise UserError(
                f"{path} would hold {len(levels)} layers of {height} x {width} tiles, since the layers of a Tiled map "
                f"are all of one size, which is more than {_MOST_TILES:,} tiles; write the levels into several maps."
            )
        picture = f"{problem.name}{TILES_MARK}{tile_size}.png"
        layers = [
            self._layer(level, i, title, height, width)
            for i, (level, title) in enumerate(zip(levels, titles, strict=True))
        ]
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
            "tiledversion": _PROGRAM,
            "tileheight": tile_size,
            "tilesets": [{"firstgid": 1, **self._tileset(problem, tile_size, picture)}],
            "tilewidth": tile_size,
            "type": "map",
            "version": _FORMAT,
            "width": width,
        }
        # The picture goes first: a map without its picture would not open, a picture without its map does no harm.
        self._save_tiles(path.parent / picture, problem, tile_size)
        write_atomically(path, (json.dumps(document) + "\n").encode())

    @staticmethod
    def _layer(level: Level, i: int, title: str, height: int, width: int) -> dict[str, Any]:
        """Returns level number i, from 0, as a layer of a map that is `height` high and `width` wide."""
        numbers = np.zeros((height, width), np.int64)
        numbers[: level.shape[0], : level.shape[1]] = level.astype(np.int64) + 1
        return {
            "data": numbers.ravel().tolist(),
            "height": height,
            "id": i + 1,
            "name": title or f"level {i + 1}",
            "opacity": 1,
            "type": "tilelayer",
            "visible": i == 0,
            "width": width,
            "x": 0,
            "y": 0,
        }

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

    def _tilesets(self, source: dict[str, Any], path: Path) -> list[_Tileset]:
        """Returns the tilesets of a map, by their first numbers."""
        found = []
        references = source.get("tilesets")
        if not isinstance(references, list):
            raise UserError(f"{path} has no list of tilesets; save the map in Tiled again.")
        for reference in references:
            tileset, where = reference, path
            try:
                if "source" in reference:
                    if not self.follow:
                        raise UserError(f"{path} refers to a tileset in another file; embed the tileset in Tiled.")
                    where = path.parent / reference["source"]
                    if where.suffix.lower() not in (".tsj", ".json"):
                        raise UserError(
                            f"{path} refers to the tileset {where}, which cannot be read; embed the tileset in Tiled, "
                            "or export it as .tsj."
                        )
                    tileset = read_json(where)
                names = {
                    int(tile["id"]): str(tile.get("type") or tile.get("class") or "")
                    for tile in tileset.get("tiles", [])
                }
                found.append(_Tileset(int(reference["firstgid"]), int(tileset["tilecount"]), names))
            except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
                if isinstance(error, UserError):
                    raise
                raise UserError(
                    f"{where} has a damaged tileset: each needs firstgid, tilecount and tiles with an id and a class "
                    f"({type(error).__name__}: {error})."
                ) from error
        return sorted(found, key=lambda tileset: tileset.first)

    @staticmethod
    def _level(layer: dict[str, Any], tilesets: Sequence[_Tileset], path: Path, problem: Problem) -> Level:
        """Returns the level in a tile layer; the tilesets are sorted by their first numbers."""
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
        firsts = [tileset.first for tileset in tilesets]
        level = np.full((height, width), -1, np.int64)
        for i, number in enumerate(data):
            row, column = divmod(i, width)
            spot = f"{place}, row {row + 1}, column {column + 1}"
            if not isinstance(number, int) or isinstance(number, bool) or number < 0:
                raise UserError(f"{spot}: {number!r} is no tile number; they are whole numbers from 0.")
            if number == 0:
                continue
            if number & _FLAGS:
                raise UserError(
                    f"{spot}: the tile is flipped or turned, which means nothing in a {problem.name} level; "
                    "place it upright."
                )
            # As Tiled has it, a number is of the last tileset that begins at or before it.
            index = bisect_right(firsts, number) - 1
            tileset = tilesets[index] if index >= 0 else _Tileset(0, 0, {})
            if number >= tileset.first + tileset.count:
                raise UserError(
                    f"{spot}: tile number {number} is in none of the map's tilesets, which hold {_numbers(tilesets)}."
                )
            name = tileset.names.get(number - tileset.first, "")
            tile = problem.tile_ids.get(name)
            if tile is None:
                given = f"the class {name!r}, which is no tile of {problem.name}" if name else "no class"
                raise UserError(
                    f"{spot}: tile number {number} has {given}; "
                    f"give it one of the classes {', '.join(problem.tile_ids)}."
                )
            level[row, column] = tile
        return check_shape(_crop(level, place), problem, place)


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


def _numbers(tilesets: Sequence[_Tileset]) -> str:
    """Returns how far the numbers of tiles reach, for people."""
    held = [tileset for tileset in tilesets if tileset.count > 0]
    if not held:
        return "no tiles"
    return f"{held[0].first} to {max(tileset.first + tileset.count - 1 for tileset in held)}"
