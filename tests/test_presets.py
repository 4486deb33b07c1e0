"""Presets: what a file may say, how it gets a name, and what trainings make of it."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml

from envs import UserError
from experiments import pcgrl, train_generator
from experiments.run import main
from generators.suite import load_generator
from search.presets import Preset, find_preset, read_preset, register_preset

torch.set_num_threads(1)

MODEL = {"width": 12, "embedding": 3, "cell": "gru"}
GENERATOR = Preset(
    "family", "recurrent", "zelda", {"model": MODEL, "fit": {"batch": 4, "learning_rate": 1e-5}}, {"joint": 0.5}
)
DESIGNER = Preset(
    "designer",
    "narrow",
    "binary",
    {"network": {"channels": 4, "width": 16, "shared": False}, "ppo": {"lanes": 8, "rollout": 16, "batch": 64}},
)
COMMANDS = {
    "train_generator": (train_generator.Options, train_generator.train),
    "pcgrl": (pcgrl.Options, pcgrl.train),
}
BRIEF = {
    "train_generator": ["--levels", "60", "--shape", "5", "6", "--steps", "5"],
    "pcgrl": ["--steps", "128", "--evaluation-levels", "2", "--shape", "5", "6"],
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TILEWRIGHT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def call(command, *arguments):
    """Runs an experiment here; returns its exit code, what it printed, and what it printed on standard error."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(*COMMANDS[command], [str(argument) for argument in (*arguments, *BRIEF[command])])
        except SystemExit as left:
            code = left.code or 0
    return code, out.getvalue(), err.getvalue()


def registered(preset, out, name="found"):
    study = out / "nas" / "study"
    study.mkdir(parents=True, exist_ok=True)
    preset.write(study / "preset.yaml")
    return register_preset(study, name, out)


# Files.


@pytest.mark.parametrize("preset", [GENERATOR, DESIGNER])
def test_a_preset_comes_back_as_it_was_written(tmp_path, preset):
    path = preset.write(tmp_path / "preset.yaml")
    found = read_preset(path)
    assert (found.subject, found.of, found.problem) == (preset.subject, preset.of, preset.problem)
    assert found.settings == preset.settings
    assert found.found == preset.found


def test_a_preset_file_says_what_the_format_says(tmp_path):
    settings = {"model": {"channels": (8, np.int64(16)), "dropout": np.float32(0.5)}}
    content = yaml.safe_load(Preset("family", "diffusion", "zelda", settings).write(tmp_path / "p.yaml").read_text())
    assert content == {
        "kind": "preset",
        "family": "diffusion",
        "problem": "zelda",
        "settings": {"model": {"channels": [8, 16], "dropout": 0.5}},
        "found": {},
    }


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("kind: [", "not YAML"),
        ("- 1", "no preset"),
        ("kind: study", "no preset"),
        ("kind: preset\nproblem: zelda", "either family or designer"),
        ("kind: preset\nfamily: vae\ndesigner: wide\nproblem: zelda", "either family or designer"),
        ("kind: preset\nfamily: vae", "problem"),
        ("kind: preset\nfamily: 3\nproblem: zelda", "family"),
        ("kind: preset\nfamily: vae\nproblem: zelda\nsetings: {}", "did you mean 'settings'"),
        ("kind: preset\nfamily: vae\nproblem: zelda\nsettings: {network: {}}", "choose one of fit, model, sampling"),
        ("kind: preset\nfamily: vae\nproblem: zelda\nsettings: {model: 3}", "damaged"),
        ("kind: preset\nfamily: vae\nproblem: zelda\nsettings: [3]", "damaged"),
    ],
)
def test_files_that_are_no_presets_are_refused(tmp_path, text, word):
    path = tmp_path / "preset.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"\.$") as caught:
        read_preset(path)
    assert word in str(caught.value)
    assert str(path) in str(caught.value)


def test_names(tmp_path):
    with pytest.raises(UserError, match="holds none"):
        find_preset("found", tmp_path)
    path = registered(GENERATOR, tmp_path)
    assert path == tmp_path / "presets" / "found.yaml"
    by_name, by_path = find_preset("found", tmp_path), find_preset(str(path), tmp_path / "elsewhere")
    assert by_name.settings == by_path.settings == GENERATOR.settings
    assert by_name.source == "the preset found"
    assert find_preset(str(tmp_path / "nas" / "study"), tmp_path).settings == GENERATOR.settings
    with pytest.raises(UserError, match="did you mean 'found'"):
        find_preset("fond", tmp_path)
    with pytest.raises(UserError, match=r"holds no preset\.yaml"):
        register_preset(tmp_path, "other", tmp_path)
    for name in ("", "../out", "a b", ".hidden", "found.yaml"):
        with pytest.raises(UserError, match="name consists of"):
            register_preset(tmp_path / "nas" / "study", name, tmp_path)
    registered(DESIGNER, tmp_path)
    assert find_preset("found", tmp_path).subject == "designer"


def test_reading_a_preset_needs_no_optuna():
    code = "import sys, search.presets; sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Trainings.


def test_a_generator_is_trained_by_a_preset(tmp_path):
    registered(GENERATOR, tmp_path)
    code, _, err = call("train_generator", "--preset", "found", "--out", tmp_path, "--name", "run")
    assert code == 0, err
    folder = tmp_path / "train_generator" / "run"
    generator = load_generator(folder)
    assert generator.name == "recurrent"
    assert generator.spec.problem == "zelda"
    assert {name: getattr(generator.config, name) for name in MODEL} == MODEL
    record = json.loads((folder / "config.json").read_text())
    assert record["options"]["preset"] == "found"
    assert record["options"]["family"] == "recurrent"
    assert record["options"]["fit"] == {"batch": "4", "learning_rate": "1e-05"}
    again = call("train_generator", "--preset", "found", "--out", tmp_path, "--name", "run", "--resume")
    assert again[0] == 0, again[2]


def test_the_command_line_wins_over_a_preset(tmp_path):
    path = registered(GENERATOR, tmp_path)
    explicit = ["--problem", "binary", "--model", "width", 20, "--fit", "batch", 8]
    code, text, err = call("train_generator", "--preset", path, "--out", tmp_path, "--name", "run", *explicit)
    assert code == 0, err
    generator = load_generator(tmp_path / "train_generator" / "run")
    assert generator.spec.problem == "binary"
    assert (generator.config.width, generator.config.embedding, generator.config.cell) == (20, 3, "gru")
    record = json.loads((tmp_path / "train_generator" / "run" / "config.json").read_text())
    assert record["options"]["fit"] == {"batch": "8", "learning_rate": "1e-05"}
    assert "found on zelda, not on binary" in text


def test_a_designer_is_trained_by_a_preset(tmp_path):
    registered(DESIGNER, tmp_path)
    code, _, err = call("pcgrl", "--preset", "found", "--out", tmp_path, "--name", "run", "--network", "width", 8)
    assert code == 0, err
    record = json.loads((tmp_path / "pcgrl" / "run" / "config.json").read_text())
    assert record["options"]["preset"] == "found"
    assert (record["environment"]["problem"], record["environment"]["representation"]) == ("binary", "narrow")
    assert (record["network"]["channels"], record["network"]["width"], record["network"]["shared"]) == (4, 8, False)
    assert (record["ppo"]["lanes"], record["ppo"]["batch"]) == (8, 64)


@pytest.mark.parametrize(
    ("command", "preset", "arguments", "word"),
    [
        ("train_generator", DESIGNER, [], "experiments.pcgrl"),
        ("pcgrl", GENERATOR, [], "experiments.train_generator"),
        ("train_generator", GENERATOR, ["--family", "vae"], "for the family recurrent; vae was given"),
        ("pcgrl", DESIGNER, ["--representation", "wide"], "for the representation narrow; wide was given"),
        ("train_generator", Preset("family", "nonsense", "zelda", {}), [], "nonsense"),
        ("train_generator", Preset("family", "vae", "zelda", {"model": {"widht": 3}}), [], "did you mean 'width'"),
        ("train_generator", Preset("family", "vae", "zelda", {"model": {"width": "wide"}}), [], "width"),
        ("train_generator", Preset("family", "vae", "zelda", {"fit": {"minutes": 3}}), [], "minutes"),
        ("pcgrl", Preset("designer", "wide", "zelda", {"ppo": {"lanse": 3}}), [], "did you mean 'lanes'"),
        ("pcgrl", Preset("designer", "wide", "zelda", {"ppo": {"steps": 3}}), [], "steps"),
        ("pcgrl", Preset("designer", "wide", "nonsense", {}), [], "nonsense"),
    ],
)
def test_presets_that_do_not_fit_are_refused(tmp_path, command, preset, arguments, word):
    registered(preset, tmp_path)
    code, _, err = call(command, "--preset", "found", "--out", tmp_path, *arguments)
    assert code == 2, err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert word in err
    assert not (tmp_path / command).exists()
