"""The main job and its evaluation from the command line: what they leave, what they say, and what they refuse."""

from __future__ import annotations

import contextlib
import csv
import errno
import importlib
import io
import json
import os
import pkgutil
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import envs
import experiments
from agents.designer import PolicyDesigner
from agents.training import CHECKPOINT_FILE, PPOConfig, Trainer
from envs import UserError
from envs.level_io import read_levels
from experiments import evaluate, pcgrl
from experiments.run import main, make_folder, versions
from tests.tracked import assert_as_written

torch.set_num_threads(1)

ROOT = Path(__file__).parents[1]
#: Settings with which a training takes a moment.
TINY = ["--steps", "256", "--evaluation-levels", "3", "--shape", "5", "6"]
TINY += ["--ppo", "lanes", "8", "rollout", "16", "batch", "64", "--network", "channels", "4", "width", "16"]
COMMANDS = {"pcgrl": (pcgrl.Options, pcgrl.train), "evaluate": (evaluate.Options, evaluate.evaluate)}


def call(command, *arguments):
    """Runs an experiment here; returns its exit code, what it printed, and what it printed on standard error."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(*COMMANDS[command], [str(argument) for argument in arguments])
        except SystemExit as left:
            code = left.code or 0
    return code, out.getvalue(), err.getvalue()


def train(out, *arguments):
    return call("pcgrl", "--problem", "binary", "--representation", "narrow", "--out", out, *TINY, *arguments)


def snapshot(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def assert_refused(result, *words):
    """Exit code 2 and one sentence on standard error."""
    code, _, err = result
    assert code == 2, err
    assert err.startswith("error: "), err
    assert err.count("\n") == 1, err
    assert err.endswith(".\n")
    assert "Traceback" not in err
    for word in words:
        assert str(word) in err, f"{word!r} is not in {err!r}"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run that tests do not change: its folder, and what it printed."""
    out = tmp_path_factory.mktemp("runs")
    code, text, err = train(out)
    assert code == 0, err
    return out / "pcgrl" / "binary-narrow-seed0", text


@pytest.fixture
def run(finished, tmp_path):
    """A copy of the finished run, to be damaged."""
    shutil.copytree(finished[0].parents[1], tmp_path / "runs")
    return tmp_path / "runs" / "pcgrl" / "binary-narrow-seed0"


# What a run leaves.


def test_the_record_of_a_run(finished):
    record = json.loads((finished[0] / "config.json").read_text())
    assert record["options"]["seed"] == 0
    assert record["options"]["problem"] == "binary"
    assert record["versions"] == versions()
    assert {"python", "numpy", "torch", "stable-baselines3"} <= set(record["versions"])
    assert record["environment"]["shape"] == [5, 6]
    assert record["ppo"]["steps"] == 256
    assert record["ppo"]["minutes"] == 0
    assert record["network"]["channels"] == 4


def test_the_metrics_of_a_run(finished):
    with (finished[0] / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["steps"] for row in rows] == ["128", "256"]
    assert {"success", "return", "length", "regions", "path-length"} <= set(rows[0])


@pytest.mark.parametrize("name", ["curves.png", "levels.png"])
def test_the_pictures_of_a_run(finished, name):
    picture = np.asarray(Image.open(finished[0] / name).convert("RGB"))
    assert picture.shape[0] > 100
    assert picture.shape[1] > 100
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_the_animation_of_a_run(finished):
    animation = Image.open(finished[0] / "design.gif")
    assert animation.n_frames > 1
    assert animation.size[0] > animation.size[1] > 100


def test_the_levels_of_a_run(finished):
    binary = envs.get_problem("binary")
    text, tiled = (read_levels(finished[0] / f"levels.{kind}", binary) for kind in ("txt", "tmj"))
    assert len(text) == len(tiled) == 3
    for one, other in zip(text, tiled, strict=True):
        assert one.shape == (5, 6)
        np.testing.assert_array_equal(one, other)


def test_the_table_of_a_run(finished):
    table = json.loads((finished[0] / "evaluation.json").read_text())
    names = ["narrow designer", "untrained", "hill climber", "random", "start levels"]
    assert [row["designer"] for row in table["rows"]] == names
    for row in table["rows"]:
        assert row["levels"] == 3
        for column in ("success", "strict_success", "quality", "diversity", "changed"):
            estimate = row[column]
            assert 0 <= estimate["low"] <= estimate["mean"] <= estimate["high"] <= 1
        assert row["changed"]["high"] <= 0.2 + 1e-9
    text = (finished[0] / "evaluation.md").read_text()
    assert all(f"| {name} |" in text for name in names)


def test_the_designer_of_a_run(finished):
    designer = PolicyDesigner.from_pretrained(finished[0] / "designer")
    assert designer.facts["training"]["steps"] == 256
    assert designer.design(count=2, seed=0).levels.shape == (2, 5, 6)
    card = (finished[0] / "designer" / "card.md").read_text()
    for words in ("narrow designer for binary", "256 steps", "MIT", "(5, 6)", "hill climber"):
        assert words in card


def test_the_summary_names_what_there_is(finished):
    folder, text = finished
    for name in ("curves.png", "levels.png", "design.gif", "levels.txt", "levels.tmj", "evaluation.md", "designer"):
        assert str(folder / name) in text
        assert (folder / name).exists()
    assert f"python -m experiments.evaluate {folder}" in text
    assert f"python -m experiments.play --run {folder}" in text
    assert "hill climber" in text
    assert "256 steps" in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("problem", "representation", "options"),
    [
        ("zelda", "wide", ["--shape", "4", "5", "--controls", "regions", "--frozen-share", "0.2"]),
        ("sokoban", "turtle", ["--shape", "4", "4", "--look-ahead", "False", "--evaluation-levels", "1"]),
        ("binary", "cellular", ["--change-share", "0.5", "--evaluation-levels", "6"]),
    ],
)
def test_other_problems_forms_and_options(tmp_path, problem, representation, options):
    code, _, err = call(
        "pcgrl", "--problem", problem, "--representation", representation, "--out", tmp_path, *TINY, *options
    )
    assert code == 0, err
    folder = tmp_path / "pcgrl" / f"{problem}-{representation}-seed0"
    assert (folder / "evaluation.md").exists()
    assert (folder / "levels.png").exists()
    environment = json.loads((folder / "config.json").read_text())["environment"]
    assert ("look_ahead" in environment) == (representation == "wide")
    if "--controls" in options:
        assert environment["controls"] == ["regions"]
        assert environment["frozen_share"] == 0.2
    if "--change-share" in options:
        assert environment["change_share"] == 0.5


def test_equal_seeds_leave_equal_runs(finished, tmp_path):
    assert train(tmp_path)[0] == 0
    again = tmp_path / "pcgrl" / "binary-narrow-seed0"
    for name in ("designer/model.safetensors", "levels.txt", "levels.png", "design.gif"):
        assert (again / name).read_bytes() == (finished[0] / name).read_bytes()


# Runs that are there already.


def test_a_run_is_not_written_over(run):
    before = snapshot(run)
    assert_refused(train(run.parents[1]), run, "--resume", "--overwrite")
    assert snapshot(run) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--network", "kind", "oracle"], ["network kind 'oracle'", "mlp"]),
        (["--network", "width", "0"], ["width", "0"]),
        (["--ppo", "gamma", "7"], ["gamma", "7"]),
        (["--device", "abacus"], ["abacus", "cpu"]),
        (["--evaluation-levels", "0"], ["at least 1", "0"]),
        (["--controls", "beauty"], ["beauty", "regions"]),
        (["--shape", "1", "1"], ["shape", "(1, 1)"]),
        (["--change-share", "2"], ["change_share", "2"]),
        (["--frozen-share", "1"], ["frozen_share", "1"]),
        (["--steps", "-1"], ["steps", "-1"]),
        (["--seed", "-1", "--name", "binary-narrow-seed0"], ["seed", "-1"]),
        (["--problem", "bynary", "--name", "binary-narrow-seed0"], ["'bynary'", "did you mean 'binary'"]),
        (["--representation", "narow", "--name", "binary-narrow-seed0"], ["'narow'", "did you mean 'narrow'"]),
    ],
)
def test_what_cannot_be_done_loses_nothing(run, arguments, words):
    before = snapshot(run)
    assert_refused(train(run.parents[1], "--overwrite", *arguments), *words)
    assert snapshot(run) == before


def test_overwriting_begins_anew(run):
    train(run.parents[1], "--resume", "--steps", "512")
    assert len(list((run / "tensorboard").iterdir())) == 2
    code, _, err = train(run.parents[1], "--overwrite")
    assert code == 0, err
    with (run / "metrics.csv").open(newline="") as file:
        assert [row["steps"] for row in csv.DictReader(file)] == ["128", "256"]
    assert len(list((run / "tensorboard").iterdir())) == 1


def test_resuming_goes_on(run):
    code, text, err = train(run.parents[1], "--resume", "--steps", "512")
    assert code == 0, err
    assert "512 steps" in text
    with (run / "metrics.csv").open(newline="") as file:
        assert [row["steps"] for row in csv.DictReader(file)] == ["128", "256", "384", "512"]
    assert json.loads((run / "config.json").read_text())["ppo"]["steps"] == 512
    assert PolicyDesigner.from_pretrained(run / "designer").facts["training"]["steps"] == 512


def test_resuming_a_finished_run_judges_it_again(run):
    before = (run / "designer" / "model.safetensors").read_bytes()
    shutil.rmtree(run / "designer")
    assert train(run.parents[1], "--resume")[0] == 0
    assert (run / "designer" / "model.safetensors").read_bytes() == before


def test_resuming_what_is_not_there(tmp_path):
    assert_refused(train(tmp_path, "--resume"), CHECKPOINT_FILE, "nothing to resume")


def test_resuming_in_another_environment(run):
    before = snapshot(run)
    refused = train(run.parents[1], "--resume", "--steps", "512", "--change-share", "0.4")
    assert_refused(refused, run, "0.4", "--resume")
    assert snapshot(run) == before


def test_resuming_with_another_network(run):
    before = snapshot(run)
    assert_refused(train(run.parents[1], "--resume", "--network", "width", "32"), run / CHECKPOINT_FILE, "network")
    assert snapshot(run) == before


@pytest.mark.parametrize("name", [CHECKPOINT_FILE, "config.json", "metrics.csv"])
def test_resuming_a_damaged_run(run, name):
    (run / name).write_bytes(b"\x00\x01{damaged")
    before = snapshot(run)
    assert_refused(train(run.parents[1], "--resume", "--steps", "512"), run / name)
    assert (run / name).read_bytes() == before[run / name]
    assert (run / CHECKPOINT_FILE).read_bytes() == before[run / CHECKPOINT_FILE]


def test_a_run_without_one_finished_episode_is_finished_too(tmp_path):
    # An episode takes 28 changes, and the only update comes after 16 steps.
    code, text, err = train(tmp_path, "--steps", "128", "--shape", "12", "12")
    assert code == 0, err
    assert (tmp_path / "pcgrl" / "binary-narrow-seed0" / "curves.png").exists()
    assert "Next" in text


# Where runs go.


def test_a_run_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("here")
    assert_refused(train(tmp_path / "file"), tmp_path / "file", "--out")
    assert (tmp_path / "file").read_text() == "here"


def test_a_full_disk_is_told_in_one_sentence(run, monkeypatch):
    before = snapshot(run)

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert_refused(train(run.parents[1], "--resume", "--steps", "512"), "no space left", "free some space")
    monkeypatch.undo()
    assert snapshot(run) == before


def test_make_folder_leaves_nothing_in_it(tmp_path):
    assert make_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--out"):
        make_folder(tmp_path / "file" / "b")


# Settings.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--ppo", "gama", "0.9"], ["PPO setting 'gama'", "gamma", "learning_rate"]),
        (["--ppo", "threads", "9999"], ["threads must be from 1 to 256", "9999"]),
        (["--ppo", "lanes", "many"], ["PPO setting lanes", "int", "'many'"]),
        (["--network", "hight", "3"], ["network setting 'hight'", "width"]),
        (["--look-ahead", "True", "--representation", "cellular"], ["4096", "look_ahead"]),
    ],
)
def test_settings_that_there_are_not(tmp_path, arguments, words):
    assert_refused(train(tmp_path, *arguments), *words)


def test_the_command_line_overrides_presets():
    changed = pcgrl.override(PPOConfig(), {"lanes": "32", "gamma": "0.5"}, "PPO")
    assert (changed.lanes, changed.gamma, changed.rollout) == (32, 0.5, PPOConfig().rollout)
    assert isinstance(changed.lanes, int)


def test_time_and_steps_are_limits_side_by_side(tmp_path, monkeypatch):
    seen = []

    def stop(trainer, tracking):
        seen.append((trainer.ppo.minutes, trainer.ppo.steps))
        raise UserError("Enough.")

    monkeypatch.setattr(pcgrl, "learn", stop)
    # The later of two equal options counts.
    for arguments in (["--steps", "0"], [], ["--minutes", "2"], ["--minutes", "2", "--steps", "0"]):
        train(tmp_path, *arguments)
    assert seen == [(pcgrl.MINUTES, 0), (0, 256), (2, 256), (2, 0)]


def test_an_interrupt_says_how_to_go_on(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "designer", interrupt)
    code, _, err = train(tmp_path)
    assert code == 130
    assert "--resume" in err
    monkeypatch.undo()
    assert train(tmp_path, "--resume")[0] == 0


# Evaluation.


def test_evaluate_redoes_the_table_on_other_levels(run, tmp_path):
    for arguments, name in (
        ([run, "--levels", 4, "--track", "tensorboard"], run / "evaluation-seed1"),
        ([run / "designer", "--levels", 4, "--seed", 3, "--deterministic", "--out", tmp_path / "tables"], None),
    ):
        code, text, err = call("evaluate", *arguments)
        assert code == 0, err
        base = name or tmp_path / "tables" / "evaluation-seed3"
        table = json.loads(base.with_suffix(".json").read_text())
        assert [row["levels"] for row in table["rows"]] == [4] * 5
        assert base.with_suffix(".md").exists()
        assert base.with_suffix(".png").exists()
        assert str(base) in text
    first, second = (
        json.loads(path.read_text())["rows"][4] for path in (run / "evaluation.json", run / "evaluation-seed1.json")
    )
    assert first["quality"] != second["quality"]
    # It is told where the training was told, at its last step; nobody is told who was not asked for.
    told = assert_as_written(run, "tilewright-seed1/quality/mean")
    designer = json.loads((run / "evaluation-seed1.json").read_text())["rows"][0]
    assert told.figures["tilewright-seed1/quality/mean"] == [(256, pytest.approx(designer["quality"]["mean"]))]
    assert told.drawn == {"curves", "levels", "binary-tiles-32", "evaluation-seed1"}
    assert not (tmp_path / "tables" / "tensorboard").exists()


def test_evaluate_repeats_itself(run):
    tables = []
    for _ in range(2):
        assert call("evaluate", run, "--levels", 3)[0] == 0
        table = json.loads((run / "evaluation-seed1.json").read_text())
        tables.append([{**row, "milliseconds": 0} for row in table["rows"]])
    assert tables[0] == tables[1]


def test_judging_leaves_torchs_draws_alone(finished):
    designer = PolicyDesigner.from_pretrained(finished[0] / "designer")
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    evaluate.judge(designer, 2, 0)
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.parametrize(
    ("damage", "arguments", "words"),
    [
        (shutil.rmtree, [], ["no trained designer", "finished run"]),
        (lambda run: shutil.rmtree(run / "designer"), [], ["no trained designer"]),
        (lambda run: (run / "designer" / "config.json").write_text("{"), [], ["config.json", "damaged"]),
        (lambda run: (run / "designer" / "model.safetensors").write_bytes(b"1"), [], ["model.safetensors", "damaged"]),
        (lambda run: None, ["--levels", "0"], ["at least 1", "0"]),
        (lambda run: None, ["--seed", "-1"], ["seed", "-1"]),
        (lambda run: None, ["--device", "cuda:99"], ["cuda:99", "cpu"]),
        (lambda run: None, ["--out", __file__], ["--out"]),
    ],
)
def test_what_cannot_be_evaluated(run, damage, arguments, words):
    damage(run)
    assert_refused(call("evaluate", run, *arguments), *words)


# The command line.

NAMES = [
    module.name
    for module in pkgutil.iter_modules(experiments.__path__)
    if "__main__" in Path(importlib.util.find_spec(f"experiments.{module.name}").origin).read_text()
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:.*found in sys.modules")
def test_every_experiment_explains_itself(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as left:
        runpy.run_module(f"experiments.{name}", run_name="__main__", alter_sys=True)
    assert not left.value.code
    text = capsys.readouterr().out
    assert f"python -m experiments.{name}" in text
    options = ("--seed", "--out", "--device") if name in ("evaluate", "pcgrl", "play") else ()
    for option in options:
        assert re.search(rf"{option}\b", text)
    assert str(ROOT) not in text
    assert "Attributes:" not in text


def test_unknown_options_exit_with_2():
    code, _, err = call("pcgrl", "--colour", "red")
    assert code == 2
    assert "colour" in err


def test_a_process_of_its_own(tmp_path):
    command = [sys.executable, "-m", "experiments.pcgrl", "--problem", "sokoban", "--representation", "wide"]
    command += ["--out", str(tmp_path), "--name", "tiny", *TINY, "--shape", "4", "4"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    first = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr
    folder = tmp_path / "pcgrl" / "tiny"
    assert f"python -m experiments.evaluate {folder}" in first.stdout
    assert (folder / "design.gif").exists()
    command = [sys.executable, "-m", "experiments.evaluate", str(tmp_path / "nowhere")]
    second = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert_refused((second.returncode, second.stdout, second.stderr), tmp_path / "nowhere", "no trained designer")


@pytest.mark.parametrize(
    ("problem", "shape", "limit"), [("binary", None, None), ("smb", None, 20_000), ("maze", (64, 64), 20_000)]
)
def test_episodes_on_large_levels_are_limited(problem, shape, limit):
    from experiments.pcgrl import Options, environment_options

    options = Options(problem=problem, representation="narrow", shape=shape, look_ahead=False)
    assert environment_options(options).get("step_limit") == limit
