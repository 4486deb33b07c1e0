"""Levels as pictures in the suite's own tiles, which are read back from the pixels alone."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from envs.errors import UserError
from envs.level_io.formats import Collection, Level, LevelFormat, check_shape, level_format
from envs.level_io.sources import read_bytes
from envs.pictures import Look, render, render_board, save_png
from envs.problem import Problem

#: The most pixels of a picture.
MOST_PIXELS = 1 << 26

#: The sizes of tiles that are looked for, in pixels.
_SIZES = range(4, 257)

#: The note in a file that tells the size of its tiles.
_SIZE_NOTE = "tile size"

#: What tiles that look alike are.
_ALIKE = -1


@level_format(".png")
class PngFormat(LevelFormat):
    """A picture of the levels without border; several lie apart on a transparent ground.

    Tiles are known by their pixels, at any size from 4 to 256, each in all the shadows that walls can throw on it; no
    pixel may differ. A note in the file tells the size that was written; it matters for levels of plain colour only,
    which would fit any. A picture of one pixel a tile, in the tiles' plain colours, is read as well.
    """

    name = "png"
    description = "picture in the problem's own tiles; several levels lie apart on a transparent ground"

    def read(self, path: Path, problem: Problem, most: int | None = None) -> Collection:
        """Returns the levels in a picture, by rows, from left to right."""
        pixels, size = _load(path)
        collection = Collection(self.name, most)
        for top, left, part in _parts(pixels, path):
            place = f"{path}, the level at pixel row {top + 1}, column {left + 1}"
            collection.add(check_shape(_level(part, problem, place, size), problem, place))
        if not collection.levels:
            raise UserError(f"{path} is transparent everywhere; give a picture of {problem.name} levels.")
        return collection

    def write(
        self, path: Path, levels: Sequence[Level], problem: Problem, tile_size: int, titles: Sequence[str]
    ) -> None:
        """Draws the levels, in about as many columns as rows."""
        alike = _look_alikes(problem, tile_size)
        used = sorted(set().union(*(np.unique(level).tolist() for level in levels)) & alike)
        if used:
            raise UserError(
                f"{path} could not be read back: at {tile_size} pixels the tiles "
                f"{', '.join(problem.tiles[tile].name for tile in used)} look like others; choose larger tiles or "
                "another format."
            )
        notes = {_SIZE_NOTE: str(tile_size)}
        columns = math.ceil(math.sqrt(len(levels)))
        shelves = [levels[i : i + columns] for i in range(0, len(levels), columns)]
        gap = tile_size
        heights = [max(level.shape[0] for level in shelf) * tile_size for shelf in shelves]
        widths = [sum(level.shape[1] * tile_size + gap for level in shelf) - gap for shelf in shelves]
        height, width = sum(heights) + gap * (len(shelves) - 1), max(widths)
        if height * width > MOST_PIXELS:
            raise UserError(
                f"{path} would be a picture of {width} x {height} pixels, more than {MOST_PIXELS:,} in all; choose "
                "smaller tiles, or write fewer levels or another format."
            )
        if len(levels) == 1:
            save_png(path, render(problem, levels[0], tile_size, border=False), notes)
            return
        sheet = np.zeros((height, width, 4), np.uint8)
        top = 0
        for shelf, shelf_height in zip(shelves, heights, strict=True):
            left = 0
            for level in shelf:
                picture = render(problem, level, tile_size, border=False)
                part = sheet[top : top + picture.shape[0], left : left + picture.shape[1]]
                part[..., :3], part[..., 3] = picture, 255
                left += picture.shape[1] + gap
            top += shelf_height + gap
        save_png(path, sheet, notes)


def _load(path: Path) -> tuple[NDArray[np.uint8], int]:
    """Returns the pixels of a PNG file, uint8 (height, width, 4), RGBA, and the size of its tiles or 32."""
    from PIL import Image  # noqa: PLC0415 (the library can be used without pictures)

    raw = read_bytes(path)
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures; here they are refused.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(raw), formats=["PNG"]) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise UserError(
                        f"{path} has {image.width} x {image.height} pixels, more than {MOST_PIXELS:,} in all; give a "
                        "smaller picture."
                    )
                noted = image.info.get(_SIZE_NOTE, "")
                size = int(noted) if isinstance(noted, str) and noted in map(str, _SIZES) else 32
                return np.asarray(image.convert("RGBA")), size
    except UserError:
        raise
    except Exception as error:  # Pillow raises many kinds for damaged files.
        reason = "not a PNG picture" if type(error).__name__ == "UnidentifiedImageError" else str(error).rstrip(".")
        raise UserError(f"{path} cannot be read as a picture ({reason}); save it as PNG again.") from error


def _parts(pixels: NDArray[np.uint8], path: Path) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """Yields the opaque rectangles of a picture: top, left, and RGB pixels."""
    opaque = pixels[..., 3] == 255
    mixed = np.argwhere(~opaque & (pixels[..., 3] != 0))
    if len(mixed):
        row, column = mixed[0] + 1
        raise UserError(
            f"{path}, pixel row {row}, column {column}: the picture is half transparent there; what belongs to a level "
            "must be opaque."
        )
    framed = np.pad(opaque, 1)
    corners = np.argwhere(opaque & ~framed[:-2, 1:-1] & ~framed[1:-1, :-2])
    covered = 0
    parts = []
    for top, left in corners:
        height = _run(opaque[top:, left])
        width = _run(opaque[top, left:])
        covered += height * width
        parts.append((int(top), int(left), pixels[top : top + height, left : left + width, :3]))
        if not opaque[top : top + height, left : left + width].all():
            covered = -1
            break
    if covered != opaque.sum():
        raise UserError(f"{path} has levels that are no rectangles, or touch; leave transparent space around each.")
    yield from parts


def _run(line: NDArray[np.bool_]) -> int:
    """Returns how many values at the beginning of a line are true."""
    ends = np.flatnonzero(~line)
    return int(ends[0]) if len(ends) else len(line)


def _level(part: NDArray[np.uint8], problem: Problem, place: str, likely: int) -> Level:
    """Returns the level that a rectangle of pixels, uint8 (height, width, 3), shows, in tiles of a likely size."""
    height, width = part.shape[:2]
    shared = math.gcd(height, width)
    # The likely sizes first: drawing all tiles takes time.
    sizes = sorted((size for size in _SIZES if shared % size == 0), key=lambda size: abs(math.log2(size / likely)))
    best, best_size, best_level = -1, 0, None
    for size in sizes:
        matched, level = _match(part, size, problem)
        if matched > best:
            best, best_size, best_level = matched, size, level
        if matched == level.size:
            return level.astype(np.uint8)
    plain = _plain(part, problem)
    if plain is not None:
        return plain
    if best <= 0 or best_level is None:
        raise UserError(
            f"{place}: these {width} x {height} pixels show no {problem.name} tiles of any size from {_SIZES[0]} to "
            f"{_SIZES[-1]} pixels, nor a plain colour of them a pixel; give a picture that was written by Tilewright, "
            "without border."
        )
    row, column = divmod(best, best_level.shape[1])
    what = "shows no" if best_level[row, column] != _ALIKE else "looks like more than one"
    raise UserError(
        f"{place}, row {row + 1}, column {column + 1} (of tiles of {best_size} pixels): the picture {what} tile of "
        f"{problem.name}."
    )


def _match(part: NDArray[np.uint8], size: int, problem: Problem) -> tuple[int, NDArray[np.int64]]:
    """Compares a picture with the tiles of one size.

    Returns:
        How many tiles are known, by rows, before the first that is not, and int64 (rows, columns) of tile ids. Of the
        first that is not known, it holds _ALIKE where it could be one of several, else the number of tiles.
    """
    rows, columns = part.shape[0] // size, part.shape[1] // size
    cells = part.reshape(rows, size, columns, size, 3).swapaxes(1, 2)
    patterns = _patterns(_looks(problem), size)
    level = np.full((rows, columns), len(problem.tiles), np.int64)
    for i in range(rows * columns):
        row, column = divmod(i, columns)
        tile = patterns.get(cells[row, column].tobytes(), len(problem.tiles))
        level[row, column] = tile
        if tile in (_ALIKE, len(problem.tiles)):
            return i, level
    return rows * columns, level


def _plain(part: NDArray[np.uint8], problem: Problem) -> Level | None:
    """Returns the level of a picture of one pixel a tile, or None if it is none."""
    colours = [tile.colour for tile in problem.tiles]
    if len(set(colours)) != len(colours):
        return None
    level = np.full(part.shape[:2], len(colours), np.int64)
    for tile, colour in enumerate(colours):
        level[(part == np.array(colour, np.uint8)).all(-1)] = tile
    return None if (level == len(colours)).any() else level.astype(np.uint8)


def _looks(problem: Problem) -> tuple[Look, ...]:
    return tuple(tile.sprite or tile.colour for tile in problem.tiles)


@lru_cache(maxsize=32)
def _patterns(looks: tuple[Look, ...], size: int) -> dict[bytes, int]:
    """Returns the tile id, or _ALIKE, of every picture that a tile can give, below all walls that may stand around."""
    palette = (*looks, "floor", "wall")
    floor, wall = len(looks), len(looks) + 1
    found: dict[bytes, int] = {}
    for tile in range(len(looks)):
        for where in range(8):
            above, left, diagonal = (wall if where >> bit & 1 else floor for bit in range(3))
            picture = render_board(palette, [[diagonal, above], [left, tile]], size)
            pattern = np.ascontiguousarray(picture[size:, size:]).tobytes()
            found[pattern] = tile if found.get(pattern, tile) == tile else _ALIKE
    return found


def _look_alikes(problem: Problem, size: int) -> set[int]:
    """Returns the ids of the tiles that cannot be told from others in some shadow."""
    looks = _looks(problem)
    patterns = _patterns(looks, size)
    kept = {tile for tile in patterns.values() if tile != _ALIKE}
    doubtful = set(range(len(looks))) - kept
    if _ALIKE in patterns.values():
        for tile, look in enumerate(looks):
            alone = _patterns((look,), size)
            doubtful |= {tile} if any(patterns[pattern] == _ALIKE for pattern in alone) else set()
    return doubtful
