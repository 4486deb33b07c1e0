"""The formats of other people's levels: Sokoban collections, Boxoban, TheVGLC, pictures; folders; levels of storeys."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

import envs
from envs.errors import UserError
from envs.level_io import (
    format_names,
    formats,
    level_files,
    read_collection,
    read_folder,
    read_levels,
    write_levels,
)
from envs.problem import Problem, Tile

SOKOBAN = envs.get_problem("sokoban")
ZELDA = envs.get_problem("zelda")
round_trip = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass(frozen=True)
class Written(Problem):
    """A problem that is only written and read."""

    def measure(self, levels):
        return np.zeros((len(levels), 0), np.float32)

    def succeeded(self, metrics, start_metrics):
        return np.zeros(len(metrics), bool)


def make(name, tiles, kind=Written, **options):
    """A problem of tiles given as "name:character", in colours of their own."""
    kinds = tuple(Tile(part[:-2], part[-1], (40 + 20 * i, 200 - 20 * i, 90)) for i, part in enumerate(tiles.split(" ")))
    shape = options.pop("default_shape", (3, 4))
    return kind(name, "Files.", kinds, shape, (), tuple(1 / len(kinds) for _ in kinds), **options)


PLATFORMS = make("smb", "empty:. solid:# enemy:e brick:b question:? coin:c tube:t")
RUNNER = make("loderunner", "empty:. brick:b solid:B ladder:H rope:- gold:G guard:E player:P")


def same(first, second):
    return len(first) == len(second) and all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def refused(call, *arguments, **options):
    """The message of the UserError that a call raises."""
    with pytest.raises(UserError) as error:
        call(*arguments, **options)
    message = str(error.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


@st.composite
def levels_of(draw, problem, most=4):
    sides = [st.integers(least, least + 6) for least in problem.smallest_shape]
    tiles = st.integers(0, len(problem.tiles) - 1)
    return draw(st.lists(hnp.arrays(np.uint8, st.tuples(*sides), elements=tiles), min_size=1, max_size=most))


# Every problem in every format


def written_as(problem):
    """The formats that can hold all levels of a problem, with an extension of theirs."""
    ways = {"text": ".txt"}
    if len(problem.default_shape) == 2:
        ways |= {"tiled": ".tmj", "png": ".png"}
        if {"empty", "solid", "player", "crate", "target"} == set(problem.tile_ids):
            ways |= {"xsb": ".sok", "boxoban": ".txt"}
    return ways


@pytest.mark.parametrize(
    ("name", "format", "extension"),
    [(name, *way) for name, problem in envs.all_problems().items() for way in written_as(problem).items()],
)
@round_trip
@given(data=st.data())
def test_levels_of_every_problem_are_read_back(tmp_path, name, format, extension, data):
    problem = envs.get_problem(name)
    levels = data.draw(levels_of(problem))
    path = tmp_path / f"levels{extension}"
    write_levels(path, levels, problem, data.draw(st.sampled_from([8, 16, 21])), format)
    collection = read_collection(path, problem)
    assert same(collection.levels, levels)
    assert collection.format == format or same(read_levels(path, problem, format), levels)
    assert not collection.changes
    assert not collection.unsupported


@pytest.mark.parametrize("format", ["text", "tiled", "xsb"])
def test_titles_are_kept_by_formats_with_room_for_them(tmp_path, format):
    path = tmp_path / f"levels{ {'text': '.txt', 'tiled': '.tmj', 'xsb': '.xsb'}[format] }"
    levels = [SOKOBAN.parse(["#-", "@$"])] * 4
    write_levels(path, levels, SOKOBAN, titles=["one\n  way", "", "Key: value", "##"])
    assert read_collection(path, SOKOBAN).titles == ["one way", "", "Key: value", "##"]
    assert "one title for each of its 4 levels; got 1" in refused(write_levels, path, levels, SOKOBAN, titles=["one"])


def test_formats_are_named_or_refused(tmp_path):
    level = SOKOBAN.parse(["#-", "@$"])
    assert "Unknown level file format 'xbs' (did you mean 'xsb'?)" in refused(
        read_levels, tmp_path / "a.txt", SOKOBAN, "xbs"
    )
    assert "cannot be written as xsb, whose files end in .xsb or .sok" in refused(
        write_levels, tmp_path / "a.txt", [level], SOKOBAN, format="xsb"
    )
    assert not list(tmp_path.iterdir())
    write_levels(tmp_path / "a.sok", [level], SOKOBAN)
    (tmp_path / "a.sok").rename(tmp_path / "a.levels")
    assert same(read_levels(tmp_path / "a.levels", SOKOBAN, "xsb"), [level])


@pytest.mark.parametrize("format", format_names())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.one_of(st.binary(max_size=60), st.text("# -_.$*@+;:|39\n\rTitleFWDM", max_size=60).map(str.encode)))
def test_any_bytes_give_levels_or_one_clear_error(tmp_path, format, raw):
    path = tmp_path / "noise"
    path.write_bytes(raw)
    message, collection = str(path), None
    try:
        collection = read_collection(path, ZELDA if format == "vglc" else SOKOBAN, format)
    except UserError as error:
        message = str(error)
    assert message.startswith(str(path))
    assert (message == str(path)) == bool(collection and (collection.levels or collection.unsupported))


@pytest.mark.parametrize("extension", formats())
def test_huge_files_are_refused_unread(tmp_path, extension):
    path = tmp_path / f"levels{extension}"
    with open(path, "wb") as file:
        file.truncate(300 << 20)
    assert refused(read_levels, path, SOKOBAN) == f"{path} is larger than 256 MiB; split it into several level files."


# Sokoban collections

COLLECTION = """\ufeff; A collection of levels by nobody
Author: Nobody
Date: today

; First steps

   ####
####  #
# $ . #
#@ $. #
#######

Title: Round the corner
Author: Nobody

-------------------

A remark between levels
#####
#@$.#
#####
Comment: end
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_collections_are_read_as_players_write_them(tmp_path, end):
    path = tmp_path / "levels.xsb"
    path.write_bytes(COLLECTION.replace("\n", end).encode())
    collection = read_collection(path, SOKOBAN)
    assert [SOKOBAN.text(level) for level in collection.levels] == [
        ["#######", "####--#", "#-$-.-#", "#@-$.-#", "#######"],
        ["#####", "#@$.#", "#####"],
    ]
    assert collection.titles == ["Round the corner", "A remark between levels"]
    assert collection.changes == {"what is outside the walls became solid": 3}


@pytest.mark.parametrize(
    ("rows", "expected", "filled"),
    [
        # The lower yard is shut in, so that its two cells stay floor.
        (
            ["  ###", " ##@##", " #$ . #", " ######", " #  #", " ####"],
            ["#######", "###@###", "##$-.-#", "#######", "##--###", "#######"],
            14,
        ),
        # Explicit floor stays, wherever it is.
        (["-###-", "##@##", "-###-"], ["-###-", "##@##", "-###-"], 0),
        # An open level has no outside, but what rows lack is filled.
        (["@ $", " $", "  ."], ["@-$", "-$#", "--."], 1),
        # Several rows on a line, and counts.
        (["5#|#@$.#", "5#"], ["#####", "#@$.#", "#####"], 0),
        (["2#2-#|#@$.#|", "5#"], ["##--#", "#@$.#", "#####"], 0),
        (["#####", "#_@_#", "#####"], ["#####", "#-@-#", "#####"], 0),
    ],
)
def test_what_is_outside_is_filled(tmp_path, rows, expected, filled):
    path = tmp_path / "levels.xsb"
    path.write_text("\n".join(rows))
    collection = read_collection(path, SOKOBAN)
    assert SOKOBAN.text(collection.levels[0]) == expected
    assert sum(collection.changes.values()) == filled


def test_what_sokoban_has_no_tile_for_is_named(tmp_path):
    path = tmp_path / "levels.xsb"
    path.write_text("; one\n####\n#@*#\n####\n\n####\n#@$#\n####\n\n####\n#+$#\n####\n")
    assert refused(read_levels, path, SOKOBAN) == (
        f"{path}, line 3, column 3: '*' is a crate on a target, which sokoban has no tile for; leave the level out, or "
        "move it off the target."
    )
    collection = read_collection(path, SOKOBAN)
    assert len(collection.levels) == 1
    assert [str(error).split(": ")[1][:16] for error in collection.unsupported] == [
        "'*' is a crate o",
        "'+' is the playe",
    ]
    assert ", line 11, column 2: " in str(collection.unsupported[1])


def test_collections_that_hold_nothing_or_too_much_are_named(tmp_path):
    path = tmp_path / "levels.xsb"
    path.write_text("only words\n---------\n")
    assert "holds no level: draw sokoban levels" in refused(read_levels, path, SOKOBAN)
    path.write_text("words\n##\n")
    assert ", line 2, column 1: the level is 1 high and 2 wide; sokoban levels are at least 2 high" in refused(
        read_levels, path, SOKOBAN
    )
    path.write_text("999#" * 2000 + "\n##\n")
    assert "line 1, column 1: the level is 2 high and" in refused(read_levels, path, SOKOBAN)
    assert "no tile crate and no tile target; choose another problem" in refused(read_levels, path, ZELDA)
    assert "no tile crate" in refused(write_levels, path, [ZELDA.parse(["..", ".."])], ZELDA)


def test_tiles_beyond_sokoban_are_not_dropped(tmp_path):
    lava = make("lava", "empty:- solid:# player:@ crate:$ target:. lava:x")
    for format, extension in (("xsb", ".xsb"), ("boxoban", ".txt")):
        path = tmp_path / f"levels{extension}"
        message = refused(write_levels, path, [lava.parse(["--", "--"]), lava.parse(["-x", "--"])], lava, format=format)
        assert message.startswith(
            f"{path}: level 2 has the tile 'lava', which the format {format} has no character for"
        )
        assert not path.exists()


# Boxoban

BOXOBAN = "; 0\n#####\n#  .#\n# $@#\n#####\n\n; 1\n####  \n#@$.##\n######\n"


def test_boxoban_is_recognised_and_its_blanks_are_floor(tmp_path):
    path = tmp_path / "000.txt"
    path.write_bytes(BOXOBAN.replace("\n", "\r\n").encode())
    collection = read_collection(path, SOKOBAN)
    assert collection.format == "boxoban"
    assert [SOKOBAN.text(level) for level in collection.levels] == [
        ["#####", "#--.#", "#-$@#", "#####"],
        ["####--", "#@$.##", "######"],
    ]
    assert collection.titles == ["0", "1"]
    write_levels(tmp_path / "again.txt", collection.levels, SOKOBAN, format="boxoban")
    assert (tmp_path / "again.txt").read_text() == BOXOBAN


def test_blanks_at_the_ends_of_rows_are_not_guessed_at(tmp_path):
    path = tmp_path / "level.txt"
    path.write_text("@$  \n.#  \n")
    assert refused(read_levels, path, SOKOBAN) == (
        f"{path} can be read as text and as boxoban, with different levels; say which format it has."
    )
    assert same(read_levels(path, SOKOBAN, "text"), [SOKOBAN.parse(["@$", ".#"])])
    assert same(read_levels(path, SOKOBAN, "boxoban"), [SOKOBAN.parse(["@$--", ".#--"])])
    path.write_text("@ $\n. #\n")
    assert read_collection(path, SOKOBAN).format == "boxoban"
    path.write_text("; 0\n@-$\n.-#  \n")
    assert read_collection(path, SOKOBAN).format == "text"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("; 0\n####\n# @ #\n", "line 3, column 5: the row has 5 tiles but the level's first row, on line 2, has 4"),
        ("; 0\n####\n#@*#\n", "line 3, column 3: '*' is no tile of Boxoban; the tiles are ' ' (empty), '#' (solid)"),
        ("; 0\n\n; 1\n", "holds no level"),
        ("; 0\n# @#\n", "line 2, column 1: the level is 1 high and 4 wide"),
    ],
)
def test_wrong_boxoban_is_named_with_its_place(tmp_path, text, message):
    path = tmp_path / "000.txt"
    path.write_text(text)
    assert message in refused(read_levels, path, SOKOBAN, "boxoban")


# TheVGLC


def corpus(tmp_path, legend="smb.json", tags=None, game="Game", **levels):
    """A folder as TheVGLC has them."""
    folder = tmp_path / game / "Processed"
    folder.mkdir(parents=True)
    meanings = {"X": ["solid", "ground"], "-": ["passable", "empty"], "B": ["Cannon top", "cannon"], "E": ["enemy"]}
    (tmp_path / game / legend).write_text(json.dumps({"tiles": tags or meanings} if tags != {} else {"nodes": {}}))
    for name, text in levels.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def test_vglc_is_known_by_its_legend_and_merges_are_told(tmp_path):
    folder = corpus(tmp_path, one="-----\n-?QoE\n-<>SB\nX[]Xb\nXXXXX\n")
    collection = read_collection(folder / "one.txt", PLATFORMS)
    assert collection.format == "vglc"
    assert collection.titles == ["one"]
    assert PLATFORMS.text(collection.levels[0]) == [".....", ".??ce", ".ttb#", "#tt##", "#####"]
    assert collection.changes == {
        "'Q' (empty question block) became question": 1,
        "']' (right pipe) became tube": 1,
        "'<' (top-left pipe) became tube": 1,
        "'>' (top-right pipe) became tube": 1,
        "'B' (Cannon top) became solid": 1,
        "'b' (Cannon bottom) became solid": 1,
    }


def test_vglc_of_other_games(tmp_path):
    tags = {"B": ["solid"], "b": ["solid", "diggable"], "#": ["ladder"], "-": ["rope"], ".": ["empty"], "M": ["spawn"]}
    folder = corpus(tmp_path, "Loderunner.json", tags, "Runner", level="....\n.--#\nEMG#\nbbBB\n")
    (level,) = read_levels(folder / "level.txt", RUNNER, "vglc")
    assert RUNNER.text(level) == ["....", ".--H", "EPGH", "bbBB"]
    folder = corpus(tmp_path, "zelda.json", {}, "Dungeons", level="WWWW-\nWFMD-\nWSOIP\nBBBB-\n")
    collection = read_collection(folder / "level.txt", ZELDA)
    assert ZELDA.text(collection.levels[0]) == ["#####", "#.cD#", "#D.##", "#####"]
    assert collection.changes["'-' (void) became solid"] == 3
    assert collection.changes["'S' (stair) became door"] == 1


def test_vglc_that_could_be_text_is_not_guessed_at(tmp_path):
    tags = {"#": ["ladder"], "-": ["rope"], ".": ["empty"], "b": ["diggable"]}
    folder = corpus(tmp_path, "Loderunner.json", tags, "Runner", plain="..\nbb\n", other="..\nB-\n")
    other = make("loderunner", "empty:. brick:b solid:- ladder:H rope:B gold:G guard:E player:P")
    assert same(read_levels(folder / "plain.txt", other), [other.parse(["..", "bb"])])
    assert "can be read as text and as vglc" in refused(read_levels, folder / "other.txt", other)
    assert same(read_levels(folder / "other.txt", other, "vglc"), [other.parse(["..", "-B"])])


def test_wrong_vglc_is_named_with_its_place(tmp_path):
    folder = corpus(tmp_path, odd="----\n--Z-\n", ragged="--\n-\n", blank="\n\n")
    path = folder / "odd.txt"
    assert refused(read_levels, path, PLATFORMS).startswith(
        f"{path}, line 2, column 3: 'Z' is no character of Super Mario Bros, and the legend smb.json does not name it "
        "either; the characters are '-' (empty), 'X' (ground), "
    )
    assert "line 2, column 2: the row has 1 tiles" in refused(read_levels, folder / "ragged.txt", PLATFORMS)
    assert "holds no level" in refused(read_levels, folder / "blank.txt", PLATFORMS)
    assert "no game of TheVGLC is known for sokoban; the known games are" in refused(read_levels, path, SOKOBAN, "vglc")
    alone = tmp_path / "odd.txt"
    alone.write_text("----\n--Z-\n")
    assert "and there is no legend to tell" in refused(read_levels, alone, PLATFORMS, "vglc")
    alone.write_text("----\n--X-\n")
    assert refused(read_levels, alone, PLATFORMS).endswith("; if it is a vglc file, name that format.")
    assert "read only" in refused(write_levels, alone, [PLATFORMS.parse(["..", ".."])], PLATFORMS, format="vglc")
    bare = make("smb", "empty:. solid:#")
    assert "makes 'S' (breakable) brick, but smb has no such tile, only empty, solid; mend the table" in refused(
        read_levels, alone, bare, "vglc"
    )


def test_the_legend_of_an_unknown_game_is_refused(tmp_path):
    tags = {"#": ["solid"], "-": ["passable", "empty"], "T": ["platform"]}
    folder = corpus(tmp_path, "KidIcarus.json", tags, level="--\n--\n")
    message = refused(read_levels, folder / "level.txt", PLATFORMS)
    assert (
        "KidIcarus.json says that '#' is solid, but in Super Mario Bros it does not occur; the known games" in message
    )
    (tmp_path / "Game" / "smb.json").write_text("{")
    (tmp_path / "Game" / "KidIcarus.json").unlink()
    assert "smb.json, line 1, column 2: malformed JSON" in refused(read_levels, folder / "level.txt", PLATFORMS)


# Pictures


def test_a_single_level_is_the_picture_that_render_makes(tmp_path):
    level = ZELDA.parse(["###", "@.k", "D.c"])
    path = write_levels(tmp_path / "level.png", [level], ZELDA, 16)
    with Image.open(path) as picture:
        assert np.array_equal(np.asarray(picture), envs.render(ZELDA, level, 16, border=False))
        picture.convert("RGBA").save(path)
    assert same(read_levels(path, ZELDA), [level])


def test_a_part_of_a_picture_with_shadows_on_its_rim_is_read(tmp_path):
    level = np.random.default_rng(1).integers(0, 8, (9, 9)).astype(np.uint8)
    picture = envs.render(ZELDA, level, 32, border=False)
    Image.fromarray(picture[64:-32, 96:-64]).save(tmp_path / "part.png")
    assert same(read_levels(tmp_path / "part.png", ZELDA), [level[2:-1, 3:-2]])


def test_one_pixel_a_tile_is_read(tmp_path):
    level = np.random.default_rng(1).integers(0, 8, (7, 12)).astype(np.uint8)
    colours = np.array([tile.colour for tile in ZELDA.tiles], np.uint8)
    Image.fromarray(colours[level]).save(tmp_path / "level.png")
    assert same(read_levels(tmp_path / "level.png", ZELDA), [level])


def save(path, change):
    level = ZELDA.parse(["###", "@.k", "D.c"])
    pixels = envs.render(ZELDA, level, 16, border=False)
    pixels = np.concatenate([pixels, np.full((*pixels.shape[:2], 1), 255, np.uint8)], axis=-1)
    Image.fromarray(change(pixels)).save(path)


def painted(pixels):
    pixels[20, 37, 0] ^= 64
    return pixels


def holed(pixels):
    pixels[20, 37, 3] = 0
    return pixels


def misty(pixels):
    pixels[20, 37, 3] = 99
    return pixels


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (painted, "row 2, column 3 (of tiles of 16 pixels): the picture shows no tile of zelda."),
        (holed, "has levels that are no rectangles, or touch"),
        (misty, "pixel row 21, column 38: the picture is half transparent there"),
        (lambda pixels: pixels[:-1], "these 48 x 47 pixels show no zelda tiles of any size from 4 to 256"),
        (lambda pixels: pixels[:16], "the level is 1 high and 3 wide"),
        (lambda pixels: pixels * np.uint8([1, 1, 1, 0]), "is transparent everywhere"),
    ],
)
def test_wrong_pictures_are_named_with_their_place(tmp_path, change, message):
    path = tmp_path / "level.png"
    save(path, change)
    assert message in refused(read_levels, path, ZELDA)


def test_damaged_pictures_are_named(tmp_path):
    path = tmp_path / "level.png"
    save(path, lambda pixels: pixels)
    whole = path.read_bytes()
    for length in (1, 8, 40, len(whole) // 2, len(whole) - 60):
        path.write_bytes(whole[:length])
        assert "cannot be read as a picture (" in refused(read_levels, path, ZELDA)
    Image.new("1", (9000, 9000)).save(path)
    assert "has 9000 x 9000 pixels, more than 67,108,864 in all" in refused(read_levels, path, ZELDA)


def test_pictures_that_could_not_be_read_back_are_not_written(tmp_path):
    twins = make("twins", "empty:. solid:# other:o")
    object.__setattr__(twins.tiles[2], "colour", twins.tiles[0].colour)
    path = tmp_path / "level.png"
    assert "at 32 pixels the tiles empty, other look like others" in refused(
        write_levels, path, [twins.parse(["..", "o."])], twins
    )
    write_levels(path, [twins.parse(["##", "##"])], twins)
    levels = np.zeros((40, 100, 100), np.uint8)
    assert "would be a picture of" in refused(write_levels, path, levels, SOKOBAN)
    Image.fromarray(envs.render(twins, twins.parse(["##", "o."]), 8, border=False)).save(path)
    assert "row 2, column 1 (of tiles of 8 pixels): the picture looks like more than one tile" in refused(
        read_levels, path, twins
    )


# Folders


def test_folders_are_read_in_order(tmp_path):
    first, second, third = (SOKOBAN.parse(rows) for rows in (["#-", "@$"], ["##", "@$"], ["--", "@$"]))
    (tmp_path / "deep").mkdir()
    write_levels(tmp_path / "b.txt", [second], SOKOBAN)
    write_levels(tmp_path / "a.tmj", [first], SOKOBAN, 8)
    write_levels(tmp_path / "deep" / "many.xsb", [third, first], SOKOBAN)
    for name in ("README.txt", "LICENSE.txt", ".hidden.txt", "notes.md"):
        (tmp_path / name).write_text("no level")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.txt").write_text("no level")
    found = read_folder(tmp_path, SOKOBAN)
    assert [name for name, _ in found] == ["a.tmj", "b.txt", "deep/many.xsb#1", "deep/many.xsb#2"]
    assert same([level for _, level in found], [first, second, third, first])
    assert level_files(tmp_path, "xsb") == [tmp_path / "deep" / "many.xsb"]


def test_in_a_game_of_the_corpus_only_its_levels_are_read(tmp_path):
    folder = corpus(tmp_path, one="--\nXX\n", two="XX\nXX\n")
    (folder.parent / "Paths").mkdir()
    (folder.parent / "Paths" / "one.txt").write_text("-x\nXX\n")
    assert [name for name, _ in read_folder(folder.parent, PLATFORMS)] == ["Processed/one.txt", "Processed/two.txt"]


def refuse_to_look(folder):
    raise PermissionError(errno.EACCES, "Permission denied", str(folder))


def test_folders_without_levels_are_named(tmp_path, monkeypatch):
    assert "holds no level files; they end in .txt" in refused(read_folder, tmp_path, SOKOBAN)
    assert "is no folder" in refused(read_folder, tmp_path / "gone", SOKOBAN)
    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", refuse_to_look)
        assert refused(read_folder, tmp_path, SOKOBAN) == (
            f"The folder {tmp_path} cannot be read: permission denied; give a folder that you may read."
        )
    (tmp_path / "a.txt").write_text("#x\n##\n")
    assert refused(read_folder, tmp_path, SOKOBAN).startswith(f"{tmp_path / 'a.txt'}, line 1, column 2: 'x'")


# Levels of three axes


TOWER = make("tower", "air:. stone:#", default_shape=(3, 3, 3), smallest_shape=(2, 2, 2))


@round_trip
@given(data=st.data())
def test_levels_of_storeys_are_text(tmp_path, data):
    levels = data.draw(levels_of(TOWER))
    path = write_levels(tmp_path / "towers.txt", levels, TOWER)
    assert same(read_levels(path, TOWER), levels)


def test_wrong_storeys_are_named_with_their_place(tmp_path):
    path = tmp_path / "tower.txt"
    for text, message in [
        ("..\n..\n==\n..\n.x\n", "line 5, column 2: 'x' is no tile of tower"),
        ("..\n..\n==\n..\n.\n", "line 5, column 2: the row has 1 tiles"),
        ("..\n..\n==\n..\n", "line 1, column 1: Storey 2 of the tower level has 1 rows"),
        ("..\n..\n", "line 1, column 1: the level is 1 deep, 2 high and 2 wide; tower levels are at least 2 deep"),
        ("==\n", "line 1, column 1: "),
    ]:
        path.write_text(text)
        assert message in refused(read_levels, path, TOWER)


@pytest.mark.parametrize("extension", sorted(set(formats()) - {".txt"}))
def test_other_formats_are_flat(tmp_path, extension):
    path = tmp_path / f"tower{extension}"
    for call in (lambda: write_levels(path, np.zeros((1, 2, 2, 2), int), TOWER), lambda: read_levels(path, TOWER)):
        assert "holds flat levels of (height, width) only, but tower levels have 3 axes; use text" in refused(call)
    assert os.listdir(tmp_path) == []
    assert "levels of (depth, height, width) each; one has shape (2, 2)" in refused(
        write_levels, tmp_path / "tower.txt", np.zeros((1, 2, 2), int), TOWER
    )
