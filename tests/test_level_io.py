"""Level files: what is written can be read back, and what is wrong is named with its place."""

from __future__ import annotations

import errno
import json
import os
import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from envs.errors import UserError
from envs.level_io import format_names, formats, read_levels, write_levels
from envs.problem import Problem, Tile


@dataclass(frozen=True)
class Written(Problem):
    """A problem that is only written and read."""

    def measure(self, levels):
        return np.zeros((len(levels), 0), np.float32)

    def succeeded(self, metrics, start_metrics):
        return np.zeros(len(metrics), bool)


def make(name, *tiles):
    kinds = tuple(Tile(tile, character, (80, 170, 70), sprite) for tile, character, sprite in tiles)
    return Written(name, "Files.", kinds, (3, 4), (), tuple(1 / len(kinds) for _ in kinds))


MAZE = make("maze", ("empty", ".", "floor"), ("solid", "#", "wall"), ("key", "K", "key"), ("grass", "g", ""))
#: It has the tiles that every format can hold.
WAREHOUSE = make(
    "warehouse",
    ("empty", "-", "floor"),
    ("solid", "#", "wall"),
    ("player", "@", "player"),
    ("crate", "$", "crate"),
    ("target", ".", "target"),
)
#: Characters that a text file could mistake for something else.
AWKWARD = make("awkward", ("empty", " ", "floor"), ("solid", ";", "wall"), ("snow", "❄", ""), ("hash", "#", ""))

levels_of_four_tiles = st.lists(
    hnp.arrays(np.uint8, st.tuples(st.integers(2, 7), st.integers(2, 7)), elements=st.integers(0, 3)),
    min_size=1,
    max_size=4,
)
round_trip = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def same(first, second):
    return len(first) == len(second) and all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


# Round trips


@pytest.mark.parametrize("problem", [MAZE, AWKWARD], ids=lambda problem: problem.name)
@pytest.mark.parametrize("extension", [".txt", ".tmj"])
@round_trip
@given(levels=levels_of_four_tiles)
def test_what_is_written_is_read_back(tmp_path, problem, extension, levels):
    path = tmp_path / f"levels{extension}"
    assert write_levels(path, levels, problem, 8) == path
    read = read_levels(path, problem)
    assert same(read, levels)
    assert all(level.dtype == np.uint8 for level in read)


@pytest.mark.parametrize("extension", formats())
def test_extensions_may_be_in_capitals_and_batches_are_taken(tmp_path, extension):
    batch = np.zeros((3, 4, 5), np.int64)
    batch[1, 2, 3] = 2
    path = tmp_path / f"LEVELS{extension.upper()}"
    write_levels(path, batch, WAREHOUSE)
    assert same(read_levels(path, WAREHOUSE), list(batch))


def test_formats_are_described():
    assert set(formats()) == {".txt", ".tmj", ".xsb", ".sok", ".png"}
    assert set(format_names()) == {"text", "tiled", "xsb", "boxoban", "vglc", "png"}
    assert formats()[".txt"] == format_names()["text"]
    assert all(len(description) > 10 for description in (formats() | format_names()).values())


# Text


def test_text_is_plain(tmp_path):
    path = tmp_path / "levels.txt"
    write_levels(path, [MAZE.parse(["..#", "K.g"]), MAZE.parse(["##", "##"])], MAZE)
    assert path.read_text() == ("; maze: '.' (empty), '#' (solid), 'K' (key), 'g' (grass)\n\n..#\nK.g\n\n##\n##\n")


@pytest.mark.parametrize(
    "raw",
    [
        b"..\n#K\n\n##\n##\n",
        b"..\r\n#K\r\n\r\n##\r\n##",
        b"\xef\xbb\xbf..\n#K\n\n##\n##\n",
        b"\n\n; first\n..  \n; in between\n#K\t\n \t \n\n\n; second\n##\n##\n\n; the end",
    ],
    ids=["plain", "windows", "byte order mark", "comments and blanks"],
)
def test_text_is_read_as_people_write_it(tmp_path, raw):
    path = tmp_path / "levels.txt"
    path.write_bytes(raw)
    assert same(read_levels(path, MAZE), [MAZE.parse(["..", "#K"]), MAZE.parse(["##", "##"])])


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "{path} is empty; give a file with at least one level."),
        (
            b" \n\n",
            "{path} holds no level: write maze levels as rows of '.' (empty), '#' (solid), 'K' (key), 'g' (grass).",
        ),
        (
            b"; nothing\n",
            "{path} holds no level: write maze levels as rows of '.' (empty), '#' (solid), 'K' (key), 'g' (grass).",
        ),
        (
            b"..\n..\n\n...\n.#X\n",
            "{path}, line 5, column 3: 'X' is no tile of maze; "
            "the tiles are '.' (empty), '#' (solid), 'K' (key), 'g' (grass).",
        ),
        (
            b"; c\n...\n....\n",
            "{path}, line 3, column 4: the row has 4 tiles but the level's first row, on line 2, has 3; "
            "make all rows equally long.",
        ),
        (
            b"....\n\n...\n..\n",
            "{path}, line 1, column 1: the level is 1 high and 4 wide; maze levels are at least 2 high and 2 wide.",
        ),
        (
            b"...\n..\n",
            "{path}, line 2, column 3: the row has 2 tiles but the level's first row, on line 1, has 3; "
            "make all rows equally long.",
        ),
        (
            "..\n.é.\xff".encode("latin-1"),
            "{path}, line 2, column 2: byte 0xe9 is not UTF-8 text; save the file as UTF-8.",
        ),
        (
            b"\xef\xbb\xbf" + "é.".encode() + b"\xff",
            "{path}, line 1, column 3: byte 0xff is not UTF-8 text; save the file as UTF-8.",
        ),
    ],
)
def test_wrong_text_is_named_with_its_place(tmp_path, raw, message):
    path = tmp_path / "levels.txt"
    path.write_bytes(raw)
    with pytest.raises(UserError) as error:
        read_levels(path, MAZE)
    assert str(error.value) == message.format(path=path)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=60))
@pytest.mark.parametrize("extension", formats())
def test_any_bytes_give_levels_or_one_clear_error(tmp_path, extension, raw):
    path = tmp_path / f"noise{extension}"
    path.write_bytes(raw)
    message = str(path)
    levels = []
    try:
        levels = read_levels(path, MAZE)
    except UserError as error:
        message = str(error)
    assert message.startswith(str(path))
    assert bool(levels) == (message == str(path))


# Tiled maps


def write_map(tmp_path, rows=(("..#", "K.g"),)):
    path = tmp_path / "level.tmj"
    write_levels(path, [MAZE.parse(level) for level in rows], MAZE, 16)
    return path, json.loads(path.read_text())


def test_tiled_map_has_what_tiled_requires(tmp_path):
    _, document = write_map(tmp_path)
    assert set(document) >= {
        "compressionlevel",
        "height",
        "infinite",
        "layers",
        "nextlayerid",
        "nextobjectid",
        "orientation",
        "renderorder",
        "tiledversion",
        "tileheight",
        "tilesets",
        "tilewidth",
        "type",
        "version",
        "width",
    }
    assert (document["width"], document["height"], document["tilewidth"], document["infinite"]) == (3, 2, 16, False)
    (layer,) = document["layers"]
    assert layer["data"] == [1, 1, 2, 3, 1, 4]
    assert set(layer) >= {"data", "height", "id", "name", "opacity", "type", "visible", "width", "x", "y"}
    assert document["nextlayerid"] > layer["id"]
    (tileset,) = document["tilesets"]
    assert set(tileset) >= {
        "columns",
        "firstgid",
        "image",
        "imageheight",
        "imagewidth",
        "margin",
        "name",
        "spacing",
        "tilecount",
        "tileheight",
        "tiles",
        "tilewidth",
    }
    assert [(tile["id"], tile["type"]) for tile in tileset["tiles"]] == list(enumerate(MAZE.tile_ids))


def test_tiled_picture_lies_beside_the_map(tmp_path):
    _, document = write_map(tmp_path)
    (tileset,) = document["tilesets"]
    with Image.open(tmp_path / tileset["image"]) as picture:
        assert picture.size == (tileset["imagewidth"], tileset["imageheight"]) == (4 * 16, 16)
        tiles = np.asarray(picture).reshape(16, 4, 16, 3).swapaxes(0, 1)
    assert len({tile.tobytes() for tile in tiles}) == 4


def test_tiled_levels_of_several_shapes_are_layers_of_one_map(tmp_path):
    _, document = write_map(tmp_path, (("..#", "K.g"), ("##", "..", "gg")))
    assert [layer["visible"] for layer in document["layers"]] == [True, False]
    assert (document["width"], document["height"]) == (3, 3)
    assert document["layers"][1]["data"] == [2, 2, 0, 1, 1, 0, 4, 4, 0]


def test_tiles_are_known_by_their_class_in_any_order_and_tileset(tmp_path):
    path, document = write_map(tmp_path)
    document["tilesets"] = [
        {"firstgid": 5, "source": "more/walls.tsj"},
        {"firstgid": 1, "tilecount": 3, "tiles": [{"id": 2, "type": "empty"}, {"id": 0, "class": "key"}]},
    ]
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "walls.tsj").write_text(
        json.dumps({"tilecount": 2, "tiles": [{"id": 0, "type": "grass"}, {"id": 1, "type": "solid"}]})
    )
    document["layers"][0]["data"] = [3, 3, 6, 1, 3, 5]
    document["layers"].insert(0, {"type": "objectgroup", "name": "notes", "objects": []})
    document["layers"] = [{"type": "group", "name": "all", "layers": document["layers"]}]
    path.write_text(json.dumps(document))
    assert same(read_levels(path, MAZE), [MAZE.parse(["..#", "K.g"])])


def test_large_tilesets_cost_nothing(tmp_path):
    path, document = write_map(tmp_path)
    document["tilesets"] += [{"firstgid": 10 + 65536 * i, "tilecount": 65536} for i in range(8)]
    path.write_text(json.dumps(document))
    tracemalloc.start()
    assert same(read_levels(path, MAZE), [MAZE.parse(["..#", "K.g"])])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_a_level_may_lie_anywhere_in_its_layer(tmp_path):
    path, document = write_map(tmp_path)
    document["layers"][0].update(width=5, height=4, data=[0] * 6 + [1, 2, 0, 0, 0, 3, 4] + [0] * 7)
    path.write_text(json.dumps(document))
    assert same(read_levels(path, MAZE), [MAZE.parse([".#", "Kg"])])


def changed(**changes):
    def change(document):
        document.update(changes)

    return change


def changed_layer(**changes):
    def change(document):
        document["layers"][0].update(changes)

    return change


LAYER = "{path}, layer 'level 1'"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            changed(infinite=True),
            "{path} is an infinite map; switch off Infinite in Tiled under Map > Map Properties and save it again.",
        ),
        (changed(layers=[]), "{path} has no tile layer; draw the maze level in a tile layer."),
        (changed(layers=None), "{path} is JSON but no Tiled map: it must have a list of layers."),
        (changed(type="tileset"), "{path} is JSON but no Tiled map: it must have a list of layers."),
        (changed(tilesets=3), "{path} has no list of tilesets; save the map in Tiled again."),
        (
            changed(tilesets=[{"tilecount": 4}]),
            "{path} has a damaged tileset: each needs firstgid, tilecount and tiles with an id and a class "
            "(KeyError: 'firstgid').",
        ),
        (
            changed(tilesets=[{"firstgid": 1, "source": "walls.tsx"}]),
            "{path} refers to the tileset {folder}/walls.tsx, which cannot be read; embed the tileset in Tiled, "
            "or export it as .tsj.",
        ),
        (
            changed(tilesets=[{"firstgid": 1, "source": "gone.tsj"}]),
            "{folder}/gone.tsj does not exist; give the path of a level file.",
        ),
        (
            changed_layer(data="eJxjYGRgAAAA"),
            LAYER + ": the tiles are not stored as CSV; choose CSV in Tiled under Map > Map Properties > "
            "Tile Layer Format and save the map again.",
        ),
        (
            changed_layer(data=[1, 1, 1]),
            LAYER + ": it has 3 tiles but its size is 3 wide and 2 high; save the map again.",
        ),
        (
            changed_layer(width=-3, height=-2),
            LAYER + ": it has 6 tiles but its size is -3 wide and -2 high; save the map again.",
        ),
        (
            changed_layer(data=[1, 1, 1, 1, 1, 99]),
            LAYER + ", row 2, column 3: tile number 99 is in none of the map's tilesets, which hold 1 to 4.",
        ),
        (
            changed_layer(data=[1, 0x8000_0002, 1, 1, 1, 1]),
            LAYER + ", row 1, column 2: the tile is flipped or turned, which means nothing in a maze level; "
            "place it upright.",
        ),
        (
            changed_layer(data=[1, 1, 1, 1.5, 1, 1]),
            LAYER + ", row 2, column 1: 1.5 is no tile number; they are whole numbers from 0.",
        ),
        (
            changed_layer(data=[1, 1, 1, 1, 0, 1]),
            LAYER + ", row 2, column 2: there is no tile; fill the whole rectangle of the level.",
        ),
        (changed_layer(data=[0] * 6), LAYER + ": the layer is empty; draw a level in it, or delete it."),
        (
            changed_layer(data=[1, 1, 1, 0, 0, 0]),
            LAYER + ": the level is 1 high and 3 wide; maze levels are at least 2 high and 2 wide.",
        ),
    ],
)
def test_wrong_maps_are_named_with_their_place(tmp_path, change, message):
    path, document = write_map(tmp_path)
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(UserError) as error:
        read_levels(path, MAZE)
    assert str(error.value) == message.format(path=path, folder=tmp_path)


def test_tiles_of_other_problems_are_named(tmp_path):
    path, document = write_map(tmp_path)
    document["tilesets"][0]["tiles"][1]["type"] = "lava"
    del document["tilesets"][0]["tiles"][3]["type"]
    path.write_text(json.dumps(document))
    with pytest.raises(
        UserError, match=r"row 1, column 3: tile number 2 has the class 'lava', which is no tile of maze"
    ):
        read_levels(path, MAZE)
    document["layers"][0]["data"] = [4] * 6
    path.write_text(json.dumps(document))
    with pytest.raises(
        UserError, match="row 1, column 1: tile number 4 has no class; give it one of the classes empty,"
    ):
        read_levels(path, MAZE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"layers": [\n  1,, 2]}', "{path}, line 2, column 5: malformed JSON (Expecting value); save the file again."),
        ("[" * 200_000, "{path} is malformed JSON: it is nested too deeply; save the file again."),
        ("9" * 5_000, "{path} is malformed JSON: it holds a number that is too long; save the file again."),
        ("[1, 2]", "{path} is JSON but no object; such files must be one object in braces."),
        ("", "{path} is empty; give a file with at least one level."),
    ],
)
def test_malformed_json_is_named_with_its_place(tmp_path, text, message):
    path = tmp_path / "level.tmj"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read_levels(path, MAZE)
    assert str(error.value) == message.format(path=path)


# All


@pytest.mark.parametrize("extension", formats())
def test_missing_files_and_folders_are_named(tmp_path, extension):
    path = tmp_path / f"levels{extension}"
    with pytest.raises(UserError, match="does not exist; give the path of a level file"):
        read_levels(path, WAREHOUSE)
    path.mkdir()
    with pytest.raises(UserError, match="is a folder; give the path of a level file in it"):
        read_levels(path, WAREHOUSE)
    with pytest.raises(UserError, match="is a directory; give the name of a file in it"):
        write_levels(path, [WAREHOUSE.parse(["--", "--"])], WAREHOUSE)
    with pytest.raises(UserError, match="no such file or directory; make its folder first"):
        write_levels(tmp_path / "nowhere" / path.name, [WAREHOUSE.parse(["--", "--"])], WAREHOUSE)


@pytest.mark.parametrize(("name", "given"), [("levels.xml", "the extension '.xml'"), ("levels", "no extension")])
def test_unknown_extensions_are_refused(tmp_path, name, given):
    for attempt in (
        lambda: read_levels(tmp_path / name, MAZE),
        lambda: write_levels(tmp_path / name, [MAZE.parse(["..", ".."])], MAZE),
    ):
        with pytest.raises(UserError) as error:
            attempt()
        assert str(error.value) == f"{tmp_path / name} has {given}; level files end in {', '.join(formats())}."


@pytest.mark.parametrize("extension", formats())
@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ([], "needs at least one maze level; none was given"),
        ([[[0, 9], [0, 0]]], "maze has tile ids 0 to 3"),
        ([0, 1], r"a list of maze levels of \(height, width\) each; one has shape \(\)"),
        (np.zeros((3, 3), np.uint8), r"one has shape \(3,\)"),
    ],
)
def test_what_is_no_level_is_not_written(tmp_path, extension, levels, message):
    path = tmp_path / f"levels{extension}"
    with pytest.raises(UserError, match=message):
        write_levels(path, levels, MAZE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("extension", formats())
def test_a_failed_write_keeps_the_old_levels(tmp_path, monkeypatch, extension):
    path = tmp_path / f"levels{extension}"
    old = [WAREHOUSE.parse(["--", "#$"])]
    write_levels(path, old, WAREHOUSE, 8)

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="no space left on device"):
        write_levels(path, [WAREHOUSE.parse(["##", "##"])], WAREHOUSE, 8)
    assert same(read_levels(path, WAREHOUSE), old)
    assert not list(tmp_path.glob(".*"))
