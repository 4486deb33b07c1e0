"""Level files that travel over the wire: conversions and downloads.

File formats read and write files. Here these lie in a folder that is made for one conversion and gone after it, and
are called by the service alone: nothing that a client sends becomes part of a path.
"""

from __future__ import annotations

import base64
import binascii
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from envs import Problem, UserError
from envs.art import plain_tile, sprite
from envs.level_io import Collection, format_names, write_levels
from envs.level_io.boxoban import SOKOBAN_TILES
from envs.level_io.formats import LevelFormat, TooManyLevelsError, format_named
from envs.level_io.tiled import TiledFormat
from envs.level_io.vglc_tables import table_for
from envs.pictures import render, save_png
from service.answers import ConvertAnswer, Format
from service.levels import grid, named
from service.limits import Limits
from service.refusals import Refusal
from service.work import Work

Result = TypeVar("Result")

#: What pictures show beneath the tiles, and around a level whose border is no tile; the last of a sheet of drawings.
GROUNDS = ("floor", "outside")

#: What all files are called, before their extension.
_NAME = "level"

#: The formats that hold levels of Sokoban alone.
_SOKOBAN = ("boxoban", "xsb")

#: A map that a client sends names no files of this machine.
_TILED = TiledFormat(follow=False)

#: How a format's files are told to browsers; all others are text.
_MEDIA_TYPES = {".png": "image/png", ".tmj": "application/json"}


@dataclass(frozen=True)
class LevelFile:
    """A file.

    Attributes:
        name: what to call it.
        media_type: what it is.
        content: its bytes.
    """

    name: str
    media_type: str
    content: bytes


def formats(problem: Problem) -> list[Format]:
    """Returns the file formats that levels of a problem can be read from or written to."""
    found = []
    for name, words in format_names().items():
        kind = format_named(name)
        if name in _SOKOBAN and not SOKOBAN_TILES.keys() <= problem.tile_ids.keys():
            continue
        if name == "vglc" and table_for(problem.name) is None:
            continue
        if len(problem.default_shape) == 2 or kind.storeys:
            extension = kind.extensions[0]
            text, write = not _is_picture(kind), "read only" not in words
            found.append(Format(name=name, words=words, extension=extension, read=True, write=write, text=text))
    return found


def read_file(problem: Problem, format: str, content: str | bytes, limits: Limits) -> Collection:
    """Returns the levels in a file.

    Args:
        problem: whose levels they are.
        format: the name of its format.
        content: its bytes, or its text, which of pictures is base64.
        limits: how large levels and pictures may be.

    Raises:
        Refusal: it cannot be read, or is too large.
    """
    kind = _format(format, problem, "from")
    raw = content if isinstance(content, bytes) else _bytes(content, kind)
    if _is_picture(kind):
        _check_pixels(raw, limits)
    with TemporaryDirectory(prefix="tilewright-") as folder:
        path = Path(folder) / f"{_NAME}{kind.extensions[0]}"
        path.write_bytes(raw)
        reader = _TILED if kind.name == _TILED.name else kind
        collection = _tried(lambda: reader.read(path, problem, limits.count), path, "content")
    if collection.unsupported and not collection.levels:
        raise Refusal(422, _told(collection.unsupported[0], path), "content")
    for level in collection.levels:
        if level.size > limits.cells:
            raise Refusal(413, f"A level may have at most {limits.cells} tiles; one has {level.size}.", "content")
    return collection


def write_file(
    problem: Problem,
    levels: list[NDArray[np.uint8]],
    format: str,
    size: int,
    limits: Limits,
    titles: list[str] | None = None,
) -> list[LevelFile]:
    """Returns levels as a file of some format, and after it what belongs to it (the picture of a map's tiles).

    Raises:
        Refusal: the format cannot hold them, or the picture would be too large.
    """
    kind = _format(format, problem, "to")
    if _is_picture(kind) and sum(level.size for level in levels) * size * size > limits.pixels:
        raise Refusal(422, f"That picture would have more than {limits.pixels} pixels; choose smaller tiles.", "size")
    with TemporaryDirectory(prefix="tilewright-") as folder:
        path = Path(folder) / f"{_NAME}{kind.extensions[0]}"
        _tried(lambda: write_levels(path, levels, problem, size, format, titles), path, "to")
        others = sorted(other for other in Path(folder).iterdir() if other != path)
        return [
            LevelFile(file.name, _MEDIA_TYPES.get(file.suffix, "text/plain; charset=utf-8"), file.read_bytes())
            for file in (path, *others)
        ]


def converted(
    problem: Problem, content: str | bytes, source: str, target: str, size: int, limits: Limits, work: Work
) -> ConvertAnswer:
    """Returns a file in another format, with the levels in it."""
    read = read_file(problem, source, content, limits)
    file = write_file(problem, read.levels, target, size, limits, read.titles)[0]
    picture = file.media_type == "image/png"
    metrics = []
    for level in read.levels:
        work.check()
        metrics.append(named(problem, problem.measure(level[None])[0]))
    return ConvertAnswer(
        content=base64.b64encode(file.content).decode() if picture else file.content.decode(),
        base64=picture,
        name=file.name,
        media_type=file.media_type,
        levels=[grid(level) for level in read.levels],
        metrics=metrics,
        remarks=[f"{change}: {number} tiles" for change, number in sorted(read.changes.items())],
    )


def packed(files: list[LevelFile]) -> bytes:
    """Returns files as one zip archive."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for file in files:
            opened.writestr(file.name, file.content)
    return archive.getvalue()


def picture(problem: Problem, level: NDArray[np.uint8], size: int, border: bool, limits: Limits) -> bytes:
    """Returns a level as it is shown, in PNG.

    Raises:
        Refusal: it would be too large.
    """
    if level.size * size * size > limits.pixels:
        raise Refusal(422, f"That picture would have more than {limits.pixels} pixels; choose smaller tiles.", "size")
    return _png(render(problem, level, size, border=border))


def sheet(problem: Problem, size: int) -> bytes:
    """Returns all drawings that levels and games of a problem are shown by, side by side, in PNG."""
    tiles = [sprite(tile.sprite, size) if tile.sprite else plain_tile(tile.colour, size) for tile in problem.tiles]
    others = [] if problem.rules is None else [sprite(name, size) for name in problem.rules.sprites[len(tiles) :]]
    grounds = [sprite(name, size) for name in GROUNDS]
    return _png(np.concatenate([*tiles, *others, *grounds], axis=1))


def _png(image: NDArray[np.uint8]) -> bytes:
    with TemporaryDirectory(prefix="tilewright-") as folder:
        return save_png(Path(folder) / f"{_NAME}.png", image).read_bytes()


def _format(name: str, problem: Problem, field: str) -> LevelFormat:
    known = {kind.name: kind for kind in formats(problem)}
    if name not in known or (field == "to" and not known[name].write):
        allowed = [kind.name for kind in known.values() if kind.write or field == "from"]
        raise Refusal(422, f"There is no format {name!r} here; choose one of {', '.join(allowed)}.", field)
    return format_named(name)


def _is_picture(kind: LevelFormat) -> bool:
    return kind.extensions[0] == ".png"


def _bytes(content: str, kind: LevelFormat) -> bytes:
    if not _is_picture(kind):
        try:
            return content.encode()
        except UnicodeEncodeError:
            raise Refusal(422, "The text of the file is not Unicode; send it as UTF-8.", "content") from None
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(422, "A picture is sent as base64; this is none.", "content") from None


def _check_pixels(raw: bytes, limits: Limits) -> None:
    """Refuses a picture by its header, before all its pixels are unpacked."""
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415

    try:
        with Image.open(io.BytesIO(raw), formats=["PNG"]) as image:
            width, height = image.size
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise Refusal(422, "The content is no PNG picture.", "content") from None
    if width * height > limits.pixels:
        raise Refusal(
            413, f"A picture may have at most {limits.pixels} pixels; this one is {width} x {height}.", "content"
        )


def _tried(call: Callable[[], Result], path: Path, field: str) -> Result:
    """Calls what reads or writes a file, and refuses with what it complains of."""
    try:
        return call()
    except UserError as error:
        status = 413 if isinstance(error, TooManyLevelsError) else 422
        raise Refusal(status, _told(error, path), field) from None


def _told(error: UserError, path: Path) -> str:
    """Returns a complaint about a file without saying where it lay."""
    message = str(error).replace(str(path), "the file").replace(str(path.parent), "")
    return message[:1].upper() + message[1:]
