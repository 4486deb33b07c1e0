"""Pictures of levels and of play: RGB arrays, contact sheets, PNG and GIF files."""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from envs.art import check_tile_size, is_tall, plain_tile, sprite
from envs.errors import UserError
from envs.files import write_atomically
from envs.problem import Problem
from envs.rules import Rules

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

#: What to draw in a cell: a sprite's name, or the colour of a plain tile.
Look = str | tuple[int, int, int]
#: A cell's place: (row, column), or (storey, row, column).
Place = tuple[int, ...]

#: How far, how softly and how darkly walls throw their shadow to the lower right, in thirty-seconds of a tile.
_SHADOW_RIGHT, _SHADOW_DOWN, _SHADOW_BLUR, _SHADOW_STRENGTH = 4.0, 6.5, 3.0, 0.36
_SHADOW_COLOUR = np.array([46, 36, 66], np.float32)

#: How many frames of an animation the common palette is chosen from.
_PALETTE_FRAMES = 48


def render(
    problem: Problem,
    level: ArrayLike,
    tile_size: int = 32,
    *,
    cursor: Place | None = None,
    frozen: ArrayLike | None = None,
    path: Sequence[Place] | None = None,
    border: bool = True,
) -> NDArray[np.uint8]:
    """Draws a level.

    Args:
        problem: the problem whose tiles the level is made of.
        level: tile ids, (height, width) or (depth, height, width); the latter is drawn as blocks (`envs.isometric`).
        tile_size: the side of a tile in pixels, 4 to 256; of a block half the width.
        cursor: the cell to frame.
        frozen: bool, of the level's shape, the cells to mark with a padlock.
        path: the cells to mark with a dot, in any order.
        border: whether to surround a flat level with one ring of the problem's border tile.

    Returns:
        uint8 (rows * tile_size, columns * tile_size, 3), RGB, a fresh array; rows and columns are the level's
        height and width, each two more with a border. Blocks take a picture of a size of their own.

    Raises:
        UserError: the level is not one of this problem's, a marked cell lies outside it, or the tile size cannot
            be drawn.
    """
    size = check_tile_size(tile_size)
    tiles = problem.check_levels(level)
    axes = len(problem.default_shape)
    if len(tiles) != 1 or np.ndim(level) != axes:
        raise UserError(
            f"A picture shows one {problem.name} level of ({'depth, ' * (axes == 3)}height, width) tile ids; "
            f"got shape {np.shape(level)}."
        )
    shape = tiles.shape[1:]
    marked = None if path is None else _marked(path, "path", shape)
    locked = None if frozen is None else _frozen_mask(frozen, shape)
    framed = None if cursor is None else _marked([cursor], "cursor", shape)
    if axes == 3:
        from envs.isometric import draw_blocks  # noqa: PLC0415 (few problems have blocks)

        dots = [] if marked is None else [tuple(place) for place in np.argwhere(marked).tolist()]
        tall = np.array([is_tall(tile.sprite) if tile.sprite else True for tile in problem.tiles])
        return draw_blocks(tall[tiles[0]], size, cursor=cursor, frozen=locked, path=dots)
    cells = _level_cells(problem, tiles[0], size, border)
    _lay_marks(cells[1:-1, 1:-1] if border else cells, size, marked, locked, framed)
    return _flatten(cells)


def render_storeys(
    problem: Problem,
    level: NDArray[np.uint8],
    tile_size: int = 32,
    *,
    cursor: Place | None = None,
    frozen: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Draws the storeys of a level of three axes as plans side by side, the lowest first, as `storey_map` lays them.

    Args:
        problem: the problem whose tiles the level is made of.
        level: tile ids, (depth, height, width).
        tile_size: the side of a tile in pixels, 4 to 256.
        cursor: the (storey, row, column) to frame.
        frozen: bool (depth, height, width), the cells to mark with a padlock.

    Returns:
        uint8 (rows * tile_size, columns * tile_size, 3), RGB, a fresh array, the map with one ring around it.
    """
    size = check_tile_size(tile_size)
    places = storey_map(level.shape)
    looks: list[Look] = [tile.sprite or tile.colour for tile in problem.tiles]
    ids = np.append(level.ravel().astype(np.intp), len(looks))[places]
    cells = _cells((*looks, "outside"), size, ids, len(looks))

    def spread(mask: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        return None if mask is None else np.append(mask.ravel(), False)[places]

    framed = None if cursor is None else _marked([cursor], "cursor", level.shape)
    _lay_marks(cells[1:-1, 1:-1], size, None, spread(frozen), spread(framed))
    return _flatten(cells)


def storey_map(shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Returns where the cells of a level of three axes stand when its storeys are laid out side by side.

    Args:
        shape: the level's (depth, height, width).

    Returns:
        intp (rows, columns): the index of each cell in the flattened level, -1 between and beside the storeys.
    """
    depth, height, width = shape
    columns = int(np.ceil(np.sqrt(depth)))
    rows = -(-depth // columns)
    places = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), -1, np.intp)
    for z in range(depth):
        top, left = z // columns * (height + 1), z % columns * (width + 1)
        places[top : top + height, left : left + width] = np.arange(height * width).reshape(height, width)
        places[top : top + height, left : left + width] += z * height * width
    return places


def _level_cells(problem: Problem, level: NDArray[np.uint8], size: int, border: bool) -> NDArray[np.uint8]:
    """Draws the tiles of a flat level, uint8 (rows, columns, size, size, 3)."""
    looks: list[Look] = [tile.sprite or tile.colour for tile in problem.tiles]
    around = problem.tile_ids.get(problem.border, len(looks)) if border else None
    if around == len(looks):
        looks.append("outside")
    return _cells(tuple(looks), size, level, around)


def _lay_marks(
    cells: NDArray[np.uint8],
    size: int,
    path: NDArray[np.bool_] | None,
    frozen: NDArray[np.bool_] | None,
    cursor: NDArray[np.bool_] | None,
) -> None:
    """Lays marks over the tiles, uint8 (rows, columns, size, size, 3), that masks (rows, columns) choose."""
    for mask, name in ((path, "path"), (frozen, "lock"), (cursor, "cursor")):
        if mask is not None:
            _lay_over(cells, mask, name, size)


def _frozen_mask(frozen: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Returns the frozen cells as a mask of a level's shape, or raises UserError."""
    mask = np.asarray(frozen)
    if mask.shape != shape:
        axes = f"({'depth, ' * (len(shape) == 3)}height, width)"
        raise UserError(
            f"The frozen tiles must be given as {axes} = {shape} of true and false; got shape {mask.shape}."
        )
    return mask.astype(bool)


def render_board(
    sprite_names: Sequence[Look], board: ArrayLike, tile_size: int = 32, *, border: Look | None = None
) -> NDArray[np.uint8]:
    """Draws what a player sees.

    Args:
        sprite_names: what the board's numbers stand for; a colour in the place of a name gives a plain tile.
        board: indices into `sprite_names`, (height, width), as `Rules.board` returns them.
        tile_size: the side of a tile in pixels, 4 to 256.
        border: what to surround the board with, one tile wide; None for nothing.

    Returns:
        uint8 (rows * tile_size, columns * tile_size, 3), RGB, a fresh array.

    Raises:
        UserError: a sprite does not exist, the board is no grid of indices into them, or the tile size cannot be
            drawn.
    """
    size = check_tile_size(tile_size)
    ids = np.asarray(board)
    if ids.ndim != 2 or not ids.size or not np.issubdtype(ids.dtype, np.integer):
        raise UserError(f"A board must be (height, width) whole numbers; got shape {ids.shape} and dtype {ids.dtype}.")
    if ids.min() < 0 or ids.max() >= len(sprite_names):
        worst = ids.max() if ids.max() >= len(sprite_names) else ids.min()
        raise UserError(f"The board's numbers must be 0 to {len(sprite_names) - 1}, one a sprite; it holds {worst}.")
    looks = tuple(sprite_names) if border is None else (*sprite_names, border)
    return _flatten(_cells(looks, size, ids, None if border is None else len(sprite_names)))


def render_game(rules: Rules, state: NDArray[np.int32], tile_size: int = 32) -> NDArray[np.uint8]:
    """Draws a game as it stands: its board or, where things stand between cells, the ground and the actors on it.

    Args:
        rules: the game.
        state: where it stands.
        tile_size: the side of a tile in pixels, 4 to 256.

    Returns:
        uint8 (rows * tile_size, columns * tile_size, 3), RGB, a fresh array; or a picture that the game makes itself.

    Raises:
        UserError: the tile size cannot be drawn.
    """
    own = rules.picture(state, check_tile_size(tile_size))
    if own is not None:
        return own
    actors = rules.actors(state)
    if not actors:
        return render_board(rules.sprites, rules.board(state), tile_size)
    picture = render_board(rules.sprites, rules.ground(state), tile_size)
    height, width = picture.shape[:2]
    # The player, who comes first, is drawn last, so that nothing hides it.
    for actor in reversed(actors):
        look = sprite(rules.sprites[actor.sprite], tile_size)
        look = look[:, ::-1] if actor.mirrored else look
        top, left = round(actor.row * tile_size), round(actor.column * tile_size)
        rows = slice(max(-top, 0), min(height - top, tile_size))
        columns = slice(max(-left, 0), min(width - left, tile_size))
        if rows.start < rows.stop and columns.start < columns.stop:
            place = (slice(top + rows.start, top + rows.stop), slice(left + columns.start, left + columns.stop))
            picture[place] = np.rint(_blend(picture[place], look[rows, columns]))
    return picture


def contact_sheet(
    images: Sequence[NDArray[np.uint8]],
    columns: int,
    captions: Sequence[str] | None = None,
    *,
    gap: int = 12,
    background: tuple[int, int, int] = (30, 29, 42),
) -> NDArray[np.uint8]:
    """Sets pictures side by side.

    Args:
        images: uint8 (height, width, 3) each; smaller ones are centred in cells as large as the largest.
        columns: how many to set in a row.
        captions: one line of text beneath each picture; long ones are wrapped to the picture's width.
        gap: the space around and between the cells, in pixels.
        background: red, green and blue in 0..255.

    Returns:
        uint8 (height, width, 3). With `rows` rows of cells, the width is min(columns, number of images) * (cell
        width + gap) + gap, and the height rows * (cell height + height of the captions + gap) + gap.

    Raises:
        UserError: there are no images, one is no RGB picture, there are fewer than one column, the gap is negative,
            or there is not one caption for each image.
    """
    if not len(images):
        raise UserError("A contact sheet needs at least one image; none was given.")
    if columns < 1 or gap < 0:
        raise UserError(
            f"A contact sheet needs at least 1 column and a gap of at least 0; got {columns} columns and gap {gap}."
        )
    if captions is not None and len(captions) != len(images):
        raise UserError(f"A contact sheet needs one caption for each of its {len(images)} images; got {len(captions)}.")
    pictures = [_check_image(image, channels=(3,)) for image in images]
    height = max(picture.shape[0] for picture in pictures)
    width = max(picture.shape[1] for picture in pictures)
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    labels = [_caption(text, width, background) for text in captions or []]
    label_height = max((label.shape[0] for label in labels), default=0)
    step_y, step_x = height + label_height + gap, width + gap
    sheet = np.empty((rows * step_y + gap, columns * step_x + gap, 3), np.uint8)
    sheet[:] = background
    for i, picture in enumerate(pictures):
        row, column = divmod(i, columns)
        top, left = gap + row * step_y, gap + column * step_x
        y, x = top + (height - picture.shape[0]) // 2, left + (width - picture.shape[1]) // 2
        sheet[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
        if labels:
            y += picture.shape[0]
            sheet[y : y + labels[i].shape[0], left : left + width] = labels[i]
    return sheet


def save_png(path: str | os.PathLike[str], image: NDArray[np.uint8], notes: Mapping[str, str] | None = None) -> Path:
    """Writes a picture as PNG.

    Args:
        path: the file, which is replaced whole or, on failure, left as it was.
        image: uint8 (height, width, 3) RGB or (height, width, 4) RGBA.
        notes: texts to keep in the file, by keyword; they do not show.

    Returns:
        `path` as a Path.

    Raises:
        UserError: the array is no picture, or the file cannot be written.
    """
    from PIL import Image  # noqa: PLC0415
    from PIL.PngImagePlugin import PngInfo  # noqa: PLC0415

    picture = Image.fromarray(_check_image(image, channels=(3, 4)))
    info = PngInfo()
    for keyword, text in (notes or {}).items():
        info.add_text(keyword, text)
    return write_atomically(path, lambda file: picture.save(file, format="PNG", optimize=True, pnginfo=info))


def save_gif(
    path: str | os.PathLike[str],
    frames: Sequence[NDArray[np.uint8]],
    frames_per_second: float = 10.0,
    hold_last_seconds: float = 2.0,
) -> Path:
    """Writes an animation that repeats for ever.

    The format counts hundredths of a second: a frame's time is rounded to them, and is at least two, since viewers
    slow anything faster down. Equal frames in a row are stored once with their times added.

    Args:
        path: the file, which is replaced whole or, on failure, left as it was.
        frames: uint8 (height, width, 3) RGB each, all of one size.
        frames_per_second: the speed.
        hold_last_seconds: how much longer the last frame stays than the others.

    Returns:
        `path` as a Path.

    Raises:
        UserError: there are no frames, they differ in size or are no pictures, the speed is not positive, or the
            file cannot be written.
    """
    if not len(frames):
        raise UserError("An animation needs at least one frame; none was given.")
    if not (frames_per_second > 0 and np.isfinite(frames_per_second)) or not 0 <= hold_last_seconds < 600:
        raise UserError(
            "An animation needs more than 0 frames per second and a last frame held for 0 to 600 seconds; got "
            f"{frames_per_second} and {hold_last_seconds}."
        )
    pictures = [_check_image(frame, channels=(3,)) for frame in frames]
    for i, picture in enumerate(pictures):
        if picture.shape != pictures[0].shape:
            raise UserError(
                f"All frames of an animation must have one size; frame 1 has {pictures[0].shape[:2]} "
                f"(height, width) but frame {i + 1} has {picture.shape[:2]}."
            )
    kept: list[NDArray[np.uint8]] = []
    durations: list[int] = []
    duration = max(20, 10 * round(100 / frames_per_second))
    for picture in pictures:
        if kept and np.array_equal(kept[-1], picture):
            durations[-1] += duration
        else:
            kept.append(picture)
            durations.append(duration)
    durations[-1] += 10 * round(100 * hold_last_seconds)
    images = _with_common_palette(kept)
    return write_atomically(
        path,
        lambda file: images[0].save(
            file,
            format="GIF",
            save_all=True,
            append_images=images[1:],
            duration=durations,
            loop=0,
            disposal=1,
            optimize=False,
        ),
    )


@lru_cache(maxsize=64)
def _atlas(looks: tuple[Look, ...], size: int) -> NDArray[np.uint8]:
    """Draws every tile in each of the eight ways in which walls next to it can throw their shadow on it.

    Args:
        looks: what the tiles look like.
        size: the side of a tile in pixels.

    Returns:
        uint8 (8, tiles, size, size, 3), RGB. The bits of the first index tell where a wall stands: 1 above,
        2 to the left, 4 diagonally above to the left.
    """
    shades = _shadows(size)
    ground = sprite("floor", size)[..., :3]
    atlas = np.empty((8, len(looks), size, size, 3), np.uint8)
    for i, look in enumerate(looks):
        drawn = sprite(look, size) if isinstance(look, str) else plain_tile(look, size)
        tile = _blend(ground, drawn)
        for where, shade in enumerate(shades):
            tall = isinstance(look, str) and is_tall(look)
            shaded = tile if tall else tile + (_SHADOW_COLOUR - tile) * shade[..., None]
            atlas[where, i] = np.rint(shaded)
    atlas.flags.writeable = False
    return atlas


def _shadows(size: int) -> NDArray[np.float32]:
    """Returns the darkness, float32 (8, size, size) in 0..1, that walls at each of the eight settings throw."""
    middles = (np.arange(size) + 0.5) * (32.0 / size)
    beyond_left = np.clip((_SHADOW_RIGHT + _SHADOW_BLUR - middles) / (2 * _SHADOW_BLUR), 0, 1)[None, :]
    beyond_top = np.clip((_SHADOW_DOWN + _SHADOW_BLUR - middles) / (2 * _SHADOW_BLUR), 0, 1)[:, None]
    shares = (beyond_top * (1 - beyond_left), (1 - beyond_top) * beyond_left, beyond_top * beyond_left)
    shadows = [
        sum((share for bit, share in enumerate(shares) if where >> bit & 1), np.zeros((size, size)))
        for where in range(8)
    ]
    return np.asarray(shadows, np.float32) * np.float32(_SHADOW_STRENGTH)


def _cells(looks: tuple[Look, ...], size: int, ids: NDArray[Any], around: int | None) -> NDArray[np.uint8]:
    """Composes a grid of tiles.

    Args:
        looks: what the tiles look like.
        size: the side of a tile in pixels.
        ids: integers (height, width), indices into `looks`.
        around: the index of what goes in a ring around the grid, or None for no ring.

    Returns:
        uint8 (rows, columns, size, size, 3), a fresh array.
    """
    if around is not None:
        ringed = np.full((ids.shape[0] + 2, ids.shape[1] + 2), around, np.intp)
        ringed[1:-1, 1:-1] = ids
        ids = ringed
    tall = np.array([isinstance(look, str) and is_tall(look) for look in looks])
    walls = np.zeros((ids.shape[0] + 1, ids.shape[1] + 1), np.intp)
    walls[1:, 1:] = tall[ids]
    where = walls[:-1, 1:] + 2 * walls[1:, :-1] + 4 * walls[:-1, :-1]
    return _atlas(looks, size)[where, ids]


def _flatten(cells: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Joins tiles, uint8 (rows, columns, size, size, 3), into one picture."""
    rows, columns, size = cells.shape[:3]
    return cells.transpose(0, 2, 1, 3, 4).reshape(rows * size, columns * size, 3)


def _lay_over(cells: NDArray[np.uint8], mask: NDArray[np.bool_], name: str, size: int) -> None:
    """Lays a sprite over the tiles, uint8 (rows, columns, size, size, 3), that a mask (rows, columns) chooses."""
    if mask.any():
        cells[mask] = np.rint(_blend(cells[mask], sprite(name, size)))


def _blend(below: NDArray[np.uint8], above: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Returns RGBA, uint8 (size, size, 4), laid over RGB, uint8 (..., size, size, 3), as float32."""
    opacity = above[..., 3:].astype(np.float32) / 255.0
    ground = below.astype(np.float32)
    return ground + (above[..., :3] - ground) * opacity


def _marked(places: Sequence[Place], what: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Returns bool of a level's shape, true at the given (row, column) or (storey, row, column) places."""
    mask = np.zeros(shape, bool)
    for place in places:
        try:
            cell = tuple(operator.index(part) for part in place)
        except (TypeError, ValueError):
            cell = ()
        if len(cell) != len(shape) or not all(0 <= part < size for part, size in zip(cell, shape, strict=True)):
            *above, height, width = shape
            within = f"the level's {height} rows and {width} columns"
            raise UserError(
                f"The {what} must be (storey, row, column) within {within} on {above[0]} storeys; got {place!r}."
                if above
                else f"The {what} must be (row, column) within {within}; got {place!r}."
            )
        mask[cell] = True
    return mask


def _check_image(image: object, channels: tuple[int, ...]) -> NDArray[np.uint8]:
    """Returns a picture as a contiguous uint8 (height, width, channels) array, or raises UserError."""
    array = np.asarray(image)
    if array.ndim != 3 or array.shape[2] not in channels or array.dtype != np.uint8 or not array.size:
        kinds = " or ".join(str(number) for number in channels)
        raise UserError(
            f"A picture must be uint8 (height, width, {kinds}); got {array.dtype} with shape {array.shape}."
        )
    return np.ascontiguousarray(array)


def _caption(text: str, width: int, background: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Draws a caption, uint8 (height, width, 3), wrapped at words and, where a word is too long, within it."""
    from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415

    font = ImageFont.load_default(13)
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if font.getlength(longer) <= width:
                line = longer
                continue
            if line:
                lines.append(line)
            line = word
            while font.getlength(line) > width and len(line) > 1:
                fits = max((n for n in range(1, len(line)) if font.getlength(line[:n]) <= width), default=1)
                lines.append(line[:fits])
                line = line[fits:]
        lines.append(line)
    line_height = 17
    image = Image.new("RGB", (width, line_height * len(lines) + 6), background)
    draw = ImageDraw.Draw(image)
    bright = 0.3 * background[0] + 0.59 * background[1] + 0.11 * background[2] > 128
    colour = (40, 36, 48) if bright else (232, 228, 218)
    for i, line in enumerate(lines):
        draw.text((width / 2, 6 + i * line_height), line, fill=colour, font=font, anchor="ma")
    return np.asarray(image)


def _with_common_palette(frames: Sequence[NDArray[np.uint8]]) -> list[PillowImage]:
    """Reduces frames, uint8 (height, width, 3) each, to 256 colours that they share, so that nothing flickers.

    The palette is chosen among the different colours, however rare each is: a small bright cursor keeps its yellow.
    """
    from PIL import Image  # noqa: PLC0415

    chosen = np.unique(np.linspace(0, len(frames) - 1, _PALETTE_FRAMES).round().astype(int))
    weights = np.array([1 << 16, 1 << 8, 1], np.uint32)
    colours = np.unique(np.concatenate([np.unique(frames[i].astype(np.uint32) @ weights) for i in chosen]))
    swatches = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=-1).astype(np.uint8)[None]
    palette = Image.fromarray(swatches).quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    return [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
