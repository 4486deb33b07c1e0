"""The command that converts level files."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import envs
from envs.level_io import read_collection, read_levels, write_levels
from experiments.convert import Options, convert
from experiments.run import main

SOKOBAN = envs.get_problem("sokoban")
ZELDA = envs.get_problem("zelda")
EASY = SOKOBAN.parse(["#####", "#@$.#", "#####"])
HOPELESS = SOKOBAN.parse(["####", "#@.#", "#-$#", "####"])


def run(*arguments):
    main(Options, convert, [str(argument) for argument in arguments])


def refused(capsys, *arguments):
    """What the command line says on standard error when it gives up."""
    with pytest.raises(SystemExit) as error:
        run(*arguments)
    assert error.value.code == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    return message


@pytest.fixture
def collection(tmp_path):
    return write_levels(tmp_path / "two.xsb", [EASY, HOPELESS], SOKOBAN, titles=["easy", "hopeless"])


@pytest.mark.parametrize("target", ["out.txt", "out.tmj", "out.sok", "out.png"])
def test_one_file_becomes_another(tmp_path, capsys, collection, target):
    run(collection, tmp_path / target, "--problem", "sokoban", "--tile-size", "8")
    levels = read_levels(tmp_path / target, SOKOBAN)
    assert [level.tolist() for level in levels] == [EASY.tolist(), HOPELESS.tolist()]
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "read    1 file (1 xsb): 2 levels, 3 x 4 to 4 x 5"
    assert said[-1] == f"wrote   {tmp_path / target}: 2 levels"
    assert ("dropped the titles of the levels, which png has no room for" in said) == target.endswith("png")
    if not target.endswith("png"):
        assert read_collection(tmp_path / target, SOKOBAN).titles == ["easy", "hopeless"]


def test_formats_can_be_named_and_the_solver_asked(tmp_path, capsys, collection):
    run(collection, tmp_path / "a.txt", "--problem", "sokoban", "--to", "boxoban", "--solve")
    assert (tmp_path / "a.txt").read_text().startswith("; 0\n#####\n#@$.#\n")
    assert capsys.readouterr().out.splitlines()[-1] == "solver  1 solved, 1 unsolvable, 0 unknown"
    run(tmp_path / "a.txt", tmp_path / "b.tmj", "--problem", "sokoban", "--from", "boxoban")
    assert np.array_equal(read_levels(tmp_path / "b.tmj", SOKOBAN)[1], HOPELESS)


def test_several_sources_become_one_collection_or_a_folder_of_files(tmp_path, capsys, collection):
    folder = tmp_path / "levels"
    (folder / "deep").mkdir(parents=True)
    write_levels(folder / "deep" / "one.txt", [EASY], SOKOBAN)
    write_levels(folder / "two.png", [HOPELESS], SOKOBAN, 8)
    run(folder, collection, tmp_path / "all.txt", "--problem", "sokoban")
    assert len(read_levels(tmp_path / "all.txt", SOKOBAN)) == 4
    assert capsys.readouterr().out.startswith("read    3 files (1 png, 1 text, 1 xsb): 4 levels")
    run(folder, tmp_path / "maps", "--problem", "sokoban", "--to", "tiled")
    assert np.array_equal(read_levels(tmp_path / "maps" / "deep" / "one.tmj", SOKOBAN)[0], EASY)
    assert np.array_equal(read_levels(tmp_path / "maps" / "two.tmj", SOKOBAN)[0], HOPELESS)
    assert f"wrote   {tmp_path / 'maps'}: 2 .tmj files, 2 levels" in capsys.readouterr().out


def test_what_was_merged_is_said(tmp_path, capsys):
    folder = tmp_path / "Dungeons" / "Processed"
    folder.mkdir(parents=True)
    (tmp_path / "Dungeons" / "zelda.json").write_text(json.dumps({"nodes": {}}))
    (folder / "a.txt").write_text("WWW-\nWFBO\n")
    (folder / "b.txt").write_text("WD-\nWFB\n")
    (folder / "README.txt").write_text("F = FLOOR\n")
    run(folder.parent, tmp_path / "out.txt", "--problem", "zelda")
    assert capsys.readouterr().out.splitlines()[:4] == [
        "read    2 files (2 vglc): 2 levels, 2 x 3 to 2 x 4",
        "merged  '-' (void) became solid: 2 tiles",
        "merged  'B' (block) became solid: 2 tiles",
        "merged  'O' (element and floor) became empty: 1 tile",
    ]
    assert [ZELDA.text(level) for level in read_levels(tmp_path / "out.txt", ZELDA)] == [
        ["####", "#.#."],
        ["#D#", "#.#"],
    ]


def test_levels_that_the_problem_cannot_hold_are_skipped_only_if_asked(tmp_path, capsys):
    source = tmp_path / "a.xsb"
    source.write_text("; fits\n####\n#@$#\n####\n\n; does not\n####\n#@*#\n####\n\n####\n#+$#\n####\n")
    message = refused(capsys, source, tmp_path / "b.txt", "--problem", "sokoban")
    assert message.startswith(f"error: {source}, line 8, column 3: '*' is a crate on a target")
    assert message.endswith("(2 such levels in all); --skip leaves them out.\n")
    assert not (tmp_path / "b.txt").exists()
    run(source, tmp_path / "b.txt", "--problem", "sokoban", "--skip")
    assert read_collection(tmp_path / "b.txt", SOKOBAN).titles == ["fits"]
    assert capsys.readouterr().out.count("skipped ") == 2
    source.write_text("####\n#@*#\n####\n")
    assert "No level is left to write" in refused(capsys, source, tmp_path / "c.txt", "--problem", "sokoban", "--skip")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["two.xsb"], "Give at least one file or folder to read"),
        (["two.xsb", "out"], "say with --to in which format its files shall be: text, tiled, "),
        (["two.xsb", "out.doc"], "has the extension '.doc'; level files end in"),
        (["two.xsb", "out.txt", "--to", "tiled"], "cannot be written as tiled, whose files end in .tmj"),
        (["two.xsb", "out.txt", "--to", "vglc"], "is read only"),
        (["two.xsb", "out.txt", "--from", "xbs"], "did you mean 'xsb'?"),
        (["gone.xsb", "out.txt"], "gone.xsb does not exist"),
        (["two.xsb", "two.sok", "out", "--to", "text"], "2 of the files would become"),
        (["two.xsb", "out.txt", "--budget", "0", "--solve"], "--budget is a number of at least 1 state"),
        (["two.xsb", "out.txt", "--budget", "9"], "goes with --solve; got 9"),
        (["two.xsb", "out.png", "--tile-size", "3"], "from 4 to 256; got 3"),
    ],
)
def test_wrong_command_lines_are_one_sentence(tmp_path, capsys, monkeypatch, collection, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.sok").write_bytes(collection.read_bytes())
    assert message in refused(capsys, *arguments, "--problem", "sokoban")
    assert {path.name for path in tmp_path.iterdir()} == {"two.xsb", "two.sok"}


def test_problems_without_rules_have_nothing_to_solve(tmp_path, capsys, monkeypatch, collection):
    monkeypatch.setattr("experiments.convert.get_problem", lambda name: replace(SOKOBAN, rules=None))
    message = refused(capsys, collection, tmp_path / "b.txt", "--problem", "sokoban", "--solve")
    assert "sokoban" in message
    assert not (tmp_path / "b.txt").exists()
