"""The sprites, the pictures made of them, and the files that hold pictures."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import stat
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from envs import art
from envs.art import registry
from envs.errors import UserError
from envs.files import write_atomically
from envs.pictures import contact_sheet, render, render_board, save_gif, save_png
from envs.problem import Problem, Tile


@dataclass(frozen=True)
class Drawn(Problem):
    """A problem that is only looked at."""

    def measure(self, levels):
        return np.zeros((len(levels), 0), np.float32)

    def succeeded(self, metrics, start_metrics):
        return np.zeros(len(metrics), bool)


DUNGEON = Drawn(
    name="dungeon",
    description="A place to draw.",
    tiles=(
        Tile("empty", ".", (200, 190, 170), "floor"),
        Tile("solid", "#", (90, 90, 110), "wall"),
        Tile("bat", "b", (140, 80, 200), "bat"),
        Tile("grass", "g", (80, 170, 70)),
    ),
    default_shape=(5, 6),
    metrics=(),
    start_probabilities=(0.5, 0.3, 0.1, 0.1),
)
LEVEL = DUNGEON.parse(["..#..g", ".b#...", "......", "##..b.", "g....."])


def cell(picture, row, column, size):
    return picture[row * size : (row + 1) * size, column * size : (column + 1) * size]


def changed_cells(before, after, size):
    return {
        (row, column)
        for row in range(before.shape[0] // size)
        for column in range(before.shape[1] // size)
        if not np.array_equal(cell(before, row, column, size), cell(after, row, column, size))
    }


# Sprites


@pytest.mark.parametrize("name", art.sprite_names())
@pytest.mark.parametrize("size", [16, 21, 32])
def test_sprite_has_its_size_and_ground(name, size):
    image = art.sprite(name, size)
    assert image.shape == (size, size, 4)
    assert image.dtype == np.uint8
    alpha = image[..., 3]
    assert alpha.max() > 100
    # A sprite fills its tile or lets the floor show through; nothing in between.
    assert (alpha == 255).all() or (alpha < 80).mean() > 0.05
    with pytest.raises(ValueError, match="read-only"):
        image[0, 0, 0] = 1


def test_the_sprites_that_problems_rely_on_exist():
    needed = (
        "floor wall outside player player-up player-down player-left player-right sword-up sword-down sword-left "
        "sword-right key door door-open bat scorpion spider crate target crate-on-target player-on-target flag path "
        "cursor lock"
    )
    assert set(needed.split()) <= set(art.sprite_names())


@pytest.mark.parametrize("size", [16, 32])
def test_every_sprite_differs_from_every_other(size):
    floor = art.sprite("floor", size)[..., :3].astype(float)
    shown = {}
    for name in art.sprite_names():
        image = art.sprite(name, size).astype(float)
        opacity = image[..., 3:] / 255
        shown[name] = floor * (1 - opacity) + image[..., :3] * opacity
    for first, second in itertools.combinations(shown, 2):
        difference = np.abs(shown[first] - shown[second]).max(axis=-1)
        assert (difference > 30).sum() >= 6, (first, second)


def test_the_monsters_differ_in_outline_and_in_colour():
    images = [art.sprite(name, 16).astype(float) for name in ("bat", "scorpion", "spider")]
    for i, first in enumerate(images):
        for second in images[i + 1 :]:
            assert ((first[..., 3] > 128) != (second[..., 3] > 128)).sum() > 40
            colours = [np.average(image[..., :3], axis=(0, 1), weights=image[..., 3]) for image in (first, second)]
            assert np.abs(colours[0] - colours[1]).max() > 40


def test_floor_and_wall_contrast():
    assert art.sprite("floor", 16)[..., :3].mean() - art.sprite("wall", 16)[..., :3].mean() > 60


def test_sides_are_mirrored_in_shape_but_lit_from_the_same_side():
    left, right = art.sprite("player-left", 32), art.sprite("player-right", 32)
    # The drop shadow falls to one side in both, so only what is nearly opaque is compared.
    assert ((left[..., 3] > 200) == (right[:, ::-1, 3] > 200)).mean() > 0.97
    assert not np.array_equal(left, right[:, ::-1])


def test_sprites_are_the_same_in_a_fresh_process():
    program = (
        "import hashlib, envs.art as art; "
        "print(hashlib.sha256(b''.join(art.sprite(n, 16).tobytes() for n in art.sprite_names())).hexdigest())"
    )
    here = hashlib.sha256(b"".join(art.sprite(name, 16).tobytes() for name in art.sprite_names())).hexdigest()
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


def test_unknown_sprite_is_named_with_its_nearest():
    with pytest.raises(UserError, match=r"Unknown sprite 'scorpio' \(did you mean 'scorpion'\?\): choose one of "):
        art.sprite("scorpio", 16)


@pytest.mark.parametrize("size", [0, 3, 257, 16.5, "16", None])
def test_impossible_sizes_are_refused(size):
    with pytest.raises(UserError, match="from 4 to 256; got"):
        art.sprite("wall", size)
    with pytest.raises(UserError, match="from 4 to 256; got"):
        render(DUNGEON, LEVEL, size)


def test_a_new_drawing_is_one_function(monkeypatch):
    monkeypatch.setattr(registry, "_DRAWINGS", dict(registry._DRAWINGS))

    @art.drawing("test-slime", outline=False, shadow=False)
    def slime(pen):
        pen.paint(pen.box(8, 8, 24, 24), (90, 200, 90), relief=0.0)

    image = art.sprite("test-slime", 16)
    assert tuple(image[8, 8]) == (90, 200, 90, 255)
    assert image[1, 1, 3] == 0
    with pytest.raises(ValueError, match="drawn by"):
        art.drawing("test-slime")(lambda pen: None)


# Levels


@pytest.mark.parametrize("size", [4, 16, 17, 32, 48])
@pytest.mark.parametrize("border", [True, False])
def test_render_has_the_size_of_the_level(size, border):
    picture = render(DUNGEON, LEVEL, size, border=border)
    extra = 2 if border else 0
    assert picture.shape == ((5 + extra) * size, (6 + extra) * size, 3)
    assert picture.dtype == np.uint8


def test_render_shows_each_tile_in_its_place():
    picture = render(DUNGEON, LEVEL, 16, border=False)
    wall = art.sprite("wall", 16)[..., :3]
    assert np.array_equal(cell(picture, 0, 2, 16), wall)
    assert np.array_equal(cell(picture, 3, 0, 16), wall)
    # Two bats, of which neither has a wall above, to the left or between: they look alike, and unlike the floor.
    assert np.array_equal(cell(picture, 1, 1, 16), cell(picture, 3, 4, 16))
    assert not np.array_equal(cell(picture, 1, 1, 16), cell(picture, 2, 4, 16))
    assert np.array_equal(cell(picture, 0, 5, 16), art.plain_tile((80, 170, 70), 16)[..., :3])


def test_walls_throw_their_shadow_to_the_lower_right():
    level = np.zeros((5, 5), np.uint8)
    plain = render(DUNGEON, level, 32, border=False)
    level[2, 2] = 1
    shaded = render(DUNGEON, level, 32, border=False)
    assert changed_cells(plain, shaded, 32) == {(2, 2), (2, 3), (3, 2), (3, 3)}
    assert cell(shaded, 3, 2, 32).mean() < cell(plain, 3, 2, 32).mean() - 3


def test_the_border_is_the_problems_border_tile_or_the_outside():
    wall = art.sprite("wall", 16)[..., :3]
    assert np.array_equal(cell(render(DUNGEON, LEVEL, 16), 0, 3, 16), wall)
    meadow = Drawn(
        "meadow",
        "No walls.",
        (Tile("grass", "g", (80, 170, 70)), Tile("bat", "b", (0, 0, 0), "bat")),
        (2, 2),
        (),
        (0.5, 0.5),
    )
    around = render(meadow, np.zeros((2, 2), np.uint8), 16)
    assert np.array_equal(cell(around, 0, 0, 16), art.sprite("outside", 16)[..., :3])


@settings(max_examples=25, deadline=None)
@given(level=hnp.arrays(np.uint8, st.tuples(st.integers(2, 9), st.integers(2, 9)), elements=st.integers(0, 3)))
def test_render_is_deterministic_fresh_and_leaves_the_level_alone(level):
    kept = level.copy()
    first = render(DUNGEON, level, 8)
    second = render(DUNGEON, level, 8)
    assert np.array_equal(first, second)
    assert np.array_equal(level, kept)
    first[:] = 0
    assert np.array_equal(render(DUNGEON, level, 8), second)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_marks_change_their_own_cells_only(data):
    level = data.draw(hnp.arrays(np.uint8, (4, 5), elements=st.integers(0, 3)))
    places = st.tuples(st.integers(0, 3), st.integers(0, 4))
    plain = render(DUNGEON, level, 16, border=False)
    cursor = data.draw(places)
    assert changed_cells(plain, render(DUNGEON, level, 16, border=False, cursor=cursor), 16) == {cursor}
    frozen = data.draw(hnp.arrays(bool, (4, 5)))
    locked = render(DUNGEON, level, 16, border=False, frozen=frozen)
    assert changed_cells(plain, locked, 16) == {(int(y), int(x)) for y, x in np.argwhere(frozen)}
    path = data.draw(st.lists(places, max_size=8))
    assert changed_cells(plain, render(DUNGEON, level, 16, border=False, path=path), 16) == set(path)


def test_marks_are_placed_within_the_border():
    plain, marked = render(DUNGEON, LEVEL, 16), render(DUNGEON, LEVEL, 16, cursor=(0, 5), path=[(4, 0)])
    assert changed_cells(plain, marked, 16) == {(1, 6), (5, 1)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": [LEVEL, LEVEL]}, r"one dungeon level of \(height, width\) tile ids; got shape \(2, 5, 6\)"),
        ({"level": LEVEL + 2}, "tile ids 0 to 3"),
        ({"level": LEVEL * 0.5}, "whole numbers"),
        ({"level": LEVEL, "cursor": (5, 0)}, r"The cursor must be .* 5 rows and 6 columns; got \(5, 0\)"),
        ({"level": LEVEL, "cursor": 3}, "The cursor must be .*; got 3"),
        ({"level": LEVEL, "path": [(0, 0), (0, -1)]}, r"The path must be .*; got \(0, -1\)"),
        ({"level": LEVEL, "frozen": np.ones((6, 5), bool)}, r"\(5, 6\) of true and false; got shape \(6, 5\)"),
    ],
)
def test_render_refuses_what_it_cannot_draw(arguments, message):
    with pytest.raises(UserError, match=message):
        render(DUNGEON, **arguments)


def test_boards_are_drawn_from_sprite_names_and_colours():
    looks = ("floor", "wall", "player-left", (80, 170, 70))
    board = np.array([[0, 2, 1], [3, 0, 1]])
    picture = render_board(looks, board, 16)
    assert picture.shape == (32, 48, 3)
    assert np.array_equal(cell(picture, 0, 2, 16), art.sprite("wall", 16)[..., :3])
    assert np.array_equal(cell(picture, 0, 0, 16), art.sprite("floor", 16)[..., :3])
    assert np.array_equal(cell(picture, 1, 0, 16), art.plain_tile((80, 170, 70), 16)[..., :3])
    framed = render_board(looks, board, 16, border="outside")
    assert framed.shape == (64, 80, 3)
    assert np.array_equal(framed[16:-16, 16:-16], picture)


def test_a_level_and_its_board_look_alike():
    names = ("floor", "wall", "bat", (80, 170, 70))
    assert np.array_equal(render(DUNGEON, LEVEL, 16), render_board(names, LEVEL, 16, border="wall"))


@pytest.mark.parametrize(
    ("looks", "board", "message"),
    [
        (("floor", "wal"), [[0, 1]], "did you mean 'wall'"),
        (("floor", "wall"), [[0, 2]], "0 to 1, one a sprite; it holds 2"),
        (("floor", "wall"), [[0, -1]], "it holds -1"),
        (("floor",), [0, 0], r"got shape \(2,\)"),
        (("floor",), [[0.5]], "dtype float64"),
    ],
)
def test_render_board_refuses_what_it_cannot_draw(looks, board, message):
    with pytest.raises(UserError, match=message):
        render_board(looks, board, 16)


# Contact sheets


def block(height, width, value):
    return np.full((height, width, 3), value, np.uint8)


def test_contact_sheet_sets_images_in_rows():
    images = [block(10, 20, value) for value in (50, 100, 150)]
    sheet = contact_sheet(images, 2, gap=4, background=(1, 2, 3))
    assert sheet.shape == (4 + 2 * (10 + 4), 4 + 2 * (20 + 4), 3)
    assert (sheet[4:14, 4:24] == 50).all()
    assert (sheet[4:14, 28:48] == 100).all()
    assert (sheet[18:28, 4:24] == 150).all()
    assert (sheet[18:28, 28:48] == (1, 2, 3)).all()
    assert (sheet[:4] == (1, 2, 3)).all()


def test_contact_sheet_centres_smaller_images_and_has_no_empty_columns():
    sheet = contact_sheet([block(10, 20, 50), block(6, 10, 99)], 7, gap=2, background=(0, 0, 0))
    assert sheet.shape == (14, 2 + 2 * 22, 3)
    assert (sheet[4:10, 29:39] == 99).all()
    assert (sheet == 99).all(axis=-1).sum() == 60


def test_captions_stand_beneath_their_pictures():
    images = [block(10, 90, 50), block(10, 90, 60)]
    bare = contact_sheet(images, 2, gap=4)
    sheet = contact_sheet(images, 2, ["one", "a caption that must be wrapped at its words"], gap=4)
    assert sheet.shape[1] == bare.shape[1]
    text = (sheet != np.array((30, 29, 42))).any(axis=-1)
    text[4:14] = False
    columns = np.flatnonzero(text.any(axis=0))
    rows = np.flatnonzero(text.any(axis=1))
    assert rows[0] > 14
    assert columns[0] >= 4
    assert columns[-1] < sheet.shape[1] - 4
    # The long caption takes several lines, the short one stays on the first.
    assert text[:, 98:].any(axis=1).sum() > 2 * text[:, :98].any(axis=1).sum()


def test_captions_are_readable_on_light_ground():
    sheet = contact_sheet([block(10, 60, 250)], 1, ["dark"], background=(250, 250, 250))
    assert sheet.min() < 120


@pytest.mark.parametrize(
    ("images", "columns", "options", "message"),
    [
        ([], 2, {}, "at least one image"),
        ([block(2, 2, 0)], 0, {}, "got 0 columns"),
        ([block(2, 2, 0)], 1, {"gap": -1}, "gap -1"),
        ([block(2, 2, 0)], 1, {"captions": ["a", "b"]}, "its 1 images; got 2"),
        ([np.zeros((2, 2), np.uint8)], 1, {}, r"uint8 \(height, width, 3\); got uint8 with shape \(2, 2\)"),
        ([np.zeros((2, 2, 3))], 1, {}, "got float64"),
    ],
)
def test_contact_sheet_refuses(images, columns, options, message):
    with pytest.raises(UserError, match=message):
        contact_sheet(images, columns, **options)


# Picture files


def test_png_keeps_every_pixel(tmp_path):
    picture = render(DUNGEON, LEVEL, 16)
    assert save_png(tmp_path / "level.png", picture) == tmp_path / "level.png"
    assert np.array_equal(np.asarray(Image.open(tmp_path / "level.png")), picture)
    save_png(tmp_path / "bat.png", art.sprite("bat", 16))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "bat.png")), art.sprite("bat", 16))


def read_gif(path):
    with Image.open(path) as image:
        frames, durations = [], []
        for i in range(image.n_frames):
            image.seek(i)
            frames.append(np.asarray(image.convert("RGB")))
            durations.append(image.info["duration"])
        return frames, durations, image.info.get("loop")


def test_gif_has_its_frames_and_times(tmp_path):
    frames = [render(DUNGEON, LEVEL, 16, cursor=(1, column)) for column in range(6)]
    save_gif(tmp_path / "design.gif", frames, frames_per_second=8, hold_last_seconds=1.5)
    read, durations, loop = read_gif(tmp_path / "design.gif")
    assert len(read) == 6
    assert durations == [120] * 5 + [1620]
    assert loop == 0
    for frame, original in zip(read, frames, strict=True):
        difference = np.abs(frame.astype(int) - original)
        assert difference.mean() < 6
        assert difference.max() < 80


def test_gif_adds_the_times_of_equal_frames(tmp_path):
    frames = [block(8, 8, 0), block(8, 8, 0), block(8, 8, 0), block(8, 8, 200), block(8, 8, 200)]
    save_gif(tmp_path / "pause.gif", frames, frames_per_second=10, hold_last_seconds=0)
    assert read_gif(tmp_path / "pause.gif")[1] == [300, 200]


def test_gif_keeps_few_colours_exactly(tmp_path):
    frame = np.zeros((32, 32, 3), np.uint8)
    frame[5, 7] = (255, 224, 64)
    save_gif(tmp_path / "spot.gif", [frame], 10, 0)
    assert np.array_equal(read_gif(tmp_path / "spot.gif")[0][0], frame)


@pytest.mark.parametrize(
    ("frames", "options", "message"),
    [
        ([], {}, "at least one frame"),
        ([block(2, 2, 0), block(2, 3, 0)], {}, r"frame 1 has \(2, 2\) .* frame 2 has \(2, 3\)"),
        ([block(2, 2, 0)], {"frames_per_second": 0}, "more than 0 frames per second"),
        ([block(2, 2, 0)], {"frames_per_second": float("nan")}, "more than 0 frames per second"),
        ([block(2, 2, 0)], {"hold_last_seconds": -1}, "-1"),
    ],
)
def test_gif_refuses(tmp_path, frames, options, message):
    with pytest.raises(UserError, match=message):
        save_gif(tmp_path / "x.gif", frames, **options)
    assert not list(tmp_path.iterdir())


# Writing files whole or not at all


def test_write_replaces_and_leaves_nothing_beside(tmp_path):
    path = tmp_path / "file.bin"
    assert write_atomically(path, b"one") == path
    write_atomically(str(path), lambda file: file.write(b"two"))
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_write_gives_ordinary_permissions_and_keeps_those_of_the_old_file(tmp_path):
    path, ordinary = tmp_path / "new", tmp_path / "ordinary"
    ordinary.write_bytes(b"")
    write_atomically(path, b"x")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)
    path.chmod(0o640)
    write_atomically(path, b"y")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_write_follows_a_link(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("function", ["replace", "fsync"])
def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch, function):
    path = tmp_path / "levels.txt"
    path.write_bytes(b"precious")

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, function, full)
    with pytest.raises(UserError, match=r"Cannot write .*levels\.txt: no space left on device; free some space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_writer_that_breaks_off_keeps_the_old_file(tmp_path, error):
    path = tmp_path / "levels.txt"
    path.write_bytes(b"precious")

    def breaks(file):
        file.write(b"half")
        raise error

    with pytest.raises(error):
        write_atomically(path, breaks)
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_and_a_folder_are_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere/file\.png: no such file or directory; make its folder first"):
        save_png(tmp_path / "nowhere" / "file.png", block(2, 2, 0))
    with pytest.raises(UserError, match="is a directory; give the name of a file in it"):
        write_atomically(tmp_path, b"x")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="not a directory; make its folder first"):
        write_atomically(tmp_path / "file" / "inside", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_unwritable_folder_is_named(tmp_path, monkeypatch):
    # Simulated, since the superuser, whom containers run as, may write anywhere.
    def refused(*arguments):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(UserError, match=r"Cannot write .*file: permission denied; choose a folder that you may write"):
        write_atomically(tmp_path / "file", b"x")
