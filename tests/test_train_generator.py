"""Generators from the command line: what a training leaves, how it goes on, and what it refuses."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

import envs
from envs.level_io import read_levels, write_levels
from envs.records import read_metrics
from experiments import train_generator
from experiments.run import main
from generators.neural import NeuralGenerator
from generators.suite import all_families, load_generator
from tests.tracked import assert_as_written

torch.set_num_threads(1)

SMALL = [str(word) for pair in all_families()["recurrent"].small.items() for word in pair]
BRIEF = ["--family", "recurrent", "--problem", "zelda", "--levels", "60", "--shape", "5", "6"]
BRIEF += ["--steps", "210", "--fit", "batch", "4", *(["--model", *SMALL] if SMALL else [])]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TILEWRIGHT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def call(*arguments):
    """Runs the experiment here; returns its exit code, what it printed, and what it printed on standard error."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(train_generator.Options, train_generator.train, [str(argument) for argument in arguments])
        except SystemExit as left:
            code = left.code or 0
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TILEWRIGHT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        out = tmp_path_factory.mktemp("runs")
        code, text, err = call(*BRIEF, "--out", out, "--name", "first")
    assert code == 0, err
    return out / "train_generator" / "first", text


def refused(result, *words):
    code, _, err = result
    # A progress bar wipes itself away before the sentence.
    err = err.rsplit("\r", 1)[-1]
    assert code == 2, err
    # A progress bar may have been there before.
    said = err.replace("\r", "\n").strip().splitlines()[-1].strip()
    assert said.startswith("error: ")
    assert said.endswith(".")
    assert "Traceback" not in err
    for word in words:
        assert str(word) in said


def test_what_a_training_leaves(finished):
    folder, text = finished
    names = {path.name for path in folder.iterdir()}
    expected = {"config.json", "checkpoint.pt", "metrics.csv", "generator", "levels.txt"}
    assert expected | {"samples.png", "corpus.png", "curves.png"} <= names
    assert assert_as_written(folder, "samples/playable").drawn == {"samples", "corpus", "curves"}
    for picture in folder.glob("*.png"):
        with Image.open(picture) as image:
            assert image.size[0] > 100
    assert str(folder) in text
    assert "held-out score" in text
    assert "% playable" in text
    generator = load_generator(folder)
    assert np.array_equal(generator.sample(20, 3), load_generator(folder / "generator").sample(20, 3))
    assert len(read_levels(folder / "levels.txt", envs.get_problem("zelda"))) == train_generator.SAMPLES
    assert read_metrics(folder / "metrics.csv")["steps"].tolist()[-1] >= 50
    record = json.loads((folder / "config.json").read_text())
    assert record["corpus"]["digest"] == generator.facts["corpus"]["digest"]
    assert "constructive generator" in (folder / "generator" / "card.md").read_text()


def test_samples_are_drawn_as_was_chosen_when_it_was_trained(finished, tmp_path):
    code, _, err = call(*BRIEF, "--out", tmp_path, "--sampling", "temperature", "0.5")
    assert code == 0, err
    [folder] = (tmp_path / "train_generator").iterdir()
    ours, plain = load_generator(folder), load_generator(finished[0])
    assert json.loads((folder / "generator" / "config.json").read_text())["sampling"] == {"temperature": 0.5}
    assert (ours.sample(20, seed=1) == plain.sample(20, seed=1, temperature=0.5)).all()
    assert (ours.sample(20, seed=1, temperature=1.0) == plain.sample(20, seed=1)).all()
    assert (ours.sample(20, seed=1) != plain.sample(20, seed=1)).any()
    samples = np.array(read_levels(folder / "levels.txt", envs.get_problem("zelda")))
    assert (samples == ours.sample(len(samples), seed=0)).all()


def test_equal_commands_give_equal_generators(finished, tmp_path):
    folder, _ = finished
    assert call(*BRIEF, "--out", tmp_path)[0] == 0
    again = next((tmp_path / "train_generator").iterdir())
    assert again.name == "zelda-recurrent-constructed-seed0"
    first, second = load_generator(folder).arrays(), load_generator(again).arrays()
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_an_interrupted_training_goes_on(finished, tmp_path, monkeypatch):
    folder, _ = finished
    original, made = NeuralGenerator.train_step, 0

    def interrupt(self, *arguments):
        nonlocal made
        made += 1
        if made == 30:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(NeuralGenerator, "train_step", interrupt)
    code, _, err = call(*BRIEF, "--out", tmp_path, "--name", "run")
    assert code == 130
    assert "--resume" in err
    monkeypatch.undo()
    monkeypatch.setenv("TILEWRIGHT_CACHE", str(tmp_path / "cache"))
    refused(call(*BRIEF, "--out", tmp_path, "--name", "run"), "--resume", "--overwrite")
    other = [word if word != "60" else "70" for word in BRIEF]
    refused(call(*other, "--out", tmp_path, "--name", "run", "--resume"), "another corpus")
    # A run that was begun before the family had this setting goes on as it was.
    record = tmp_path / "train_generator" / "run" / "config.json"
    begun = json.loads(record.read_text())
    del begun["model"]["dropout"]
    record.write_text(json.dumps(begun))
    assert call(*BRIEF, "--out", tmp_path, "--name", "run", "--resume")[0] == 0
    first, second = load_generator(folder).arrays(), load_generator(tmp_path / "train_generator" / "run").arrays()
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_baseline_needs_no_training_time(tmp_path):
    code, text, err = call("--family", "commonest", "--problem", "zelda", "--levels", "40", "--out", tmp_path)
    assert code == 0, err
    assert "0.5 % distinct" in text
    again = ["--family", "commonest", "--problem", "zelda", "--levels", "40", "--out", tmp_path]
    refused(call(*again), "--overwrite")
    assert call(*again, "--overwrite")[0] == 0


def test_a_folder_of_ones_own_levels(tmp_path):
    levels = envs.construct("binary", 40, seed=3, shape=(6, 6))
    (tmp_path / "mine").mkdir()
    write_levels(tmp_path / "mine" / "levels.txt", list(levels), envs.get_problem("binary"))
    words = ["--family", "ngram", "--problem", "binary", "--corpus", "folder", tmp_path / "mine", "--out", tmp_path]
    code, text, err = call(*words)
    assert code == 0, err
    assert "Read from 1 files in mine" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--family", "tile_ml"], ["tile_ml", "tile_lm"]),
        (["--problem", "zleda"], ["zleda", "zelda"]),
        (["--corpus", "boxoban"], ["boxoban", "path"]),
        (["--corpus", "nonsense"], ["nonsense", "vglc"]),
        (["--corpus", "folder", "/nonexistent"], ["/nonexistent"]),
        (["--corpus", "folder", "a", "b"], ["folder a b"]),
        (["--model", "wdith", "8"], ["wdith", "width"]),
        (["--fit", "lerning_rate", "1"], ["lerning_rate", "learning_rate"]),
        (["--fit", "batch", "many"], ["batch", "many"]),
        (["--fit", "minutes", "3"], ["--minutes"]),
        (["--sampling", "temprature", "1"], ["temprature", "temperature"]),
        (["--conditions", "pathlength"], ["pathlength", "path-length"]),
        (["--balance", "nothing"], ["nothing", "path-length"]),
        (["--shape", "5"], ["shape"]),
        (["--minutes", "-1"], ["minutes"]),
        (["--resume", "--name", "none"], ["cannot be read", "none"]),
        (["--device", "cuda:99"], ["cuda:99"]),
        (["--seed", "-1"], ["--seed"]),
    ],
)
def test_slips_are_named(tmp_path, arguments, words):
    given = [*BRIEF, "--out", tmp_path]
    for word in ("--model", "--fit"):
        if word in arguments and word in given:
            start = given.index(word)
            end = next((i for i in range(start + 1, len(given)) if given[i].startswith("--")), len(given))
            del given[start:end]
    refused(call(*given, *arguments), *words)
    assert not list(tmp_path.rglob("model.safetensors"))
