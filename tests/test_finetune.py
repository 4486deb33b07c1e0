"""Pretrained generators trained further: the experiment, with tile LMs and with designers in latents."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from agents.builders import PolicyBuilder
from agents.designer import PolicyDesigner
from envs import UserError
from envs.records import read_metrics
from experiments import evaluate as evaluation
from experiments.evaluate import EVALUATION_SEED, evaluate, judge
from experiments.finetune import Options, prepare, train
from experiments.playroom.library import find_designer
from generators.corpus import CorpusOptions, load_corpus
from generators.generator import FitOptions
from generators.latents import latent_decoder
from generators.packing import PackedGenerator
from generators.suite import load_generator, make_generator
from tests.designers import assert_names
from tests.tracked import assert_as_written

SHORT = FitOptions(minutes=0, steps=20, batch=16, warm_up=5, patience=0)
TILE_LM = {"width": 16, "depth": 1, "heads": 2, "radius": 1}
VAE = {"latents": 4, "width": 16, "depth": 1}


@pytest.fixture(scope="module")
def corpus():
    return load_corpus("zelda", CorpusOptions(levels=60, shape=(5, 6)))


@pytest.fixture(scope="module")
def saved(tmp_path_factory, corpus):
    """The folders of saved generators by their family."""
    folders = {}
    for family, config in {"tile_lm": TILE_LM, "vae": VAE, "ngram": {}}.items():
        generator = make_generator(family, corpus, **config)
        generator.fit(corpus, SHORT)
        folders[family] = tmp_path_factory.mktemp(family) / "generator"
        generator.save_pretrained(folders[family])
    return folders


def options_of(folder, out, **changes):
    small = {"lanes": "8", "batch": "4", "epochs": "1"}
    chosen = {"steps": 600, "samples": 12, "ppo": small, "name": "run", "out": out, **changes}
    return Options(generator=folder, **chosen)


@pytest.mark.parametrize("family", ["tile_lm", "vae"])
def test_a_run_from_the_command_to_its_files(family, saved, tmp_path, capsys):
    train(options_of(saved[family], tmp_path))
    folder = tmp_path / "finetune" / "run"
    shown = capsys.readouterr().out
    for name in ("finetuning.md", "finetuning.json", "before.png", "after.png", "curves.png", "levels.txt"):
        assert (folder / name).stat().st_size > 0
    rows = json.loads((folder / "finetuning.json").read_text())["rows"]
    assert list(rows) == ["before", "after", "random start levels", "test levels of the corpus"]
    assert rows["test levels of the corpus"]["playable"]["mean"] == 1
    assert "| before (12) |" in shown
    metrics = read_metrics(folder / "metrics.csv")
    assert {"playable", "novelty", "return"} <= set(metrics)
    assert ("kl" in metrics) == (family == "tile_lm")
    told = assert_as_written(folder, "evaluation/before/playable/mean", "evaluation/after/playable/mean")
    assert told.drawn == {"before", "after", "curves"}
    record = json.loads((folder / "config.json").read_text())
    assert record["reward"]["goal"] == "playable"
    assert record["generator"] == str(saved[family])


def test_a_tile_lm_trained_further_is_a_generator_like_others(saved, tmp_path):
    train(
        options_of(saved["tile_lm"], tmp_path, steps=2000, ppo={"lanes": "16", "batch": "8", "learning_rate": "0.01"})
    )
    before, after = load_generator(saved["tile_lm"]), load_generator(tmp_path / "finetune" / "run")
    assert after.name == "tile_lm"
    assert after.facts["finetuning"]["steps"] >= 2000
    assert after.facts["corpus"] == before.facts["corpus"]
    assert any((after.arrays()[name] != part).any() for name, part in before.arrays().items())
    np.testing.assert_array_equal(after.sample(4, seed=3), after.sample(4, seed=3))


def test_a_latent_designer_keeps_its_decoder(saved, tmp_path):
    train(options_of(saved["vae"], tmp_path))
    folder = tmp_path / "finetune" / "run" / "designer"
    designer = PolicyDesigner.from_pretrained(folder)
    one, two = (designer.design(count=6, seed=4) for _ in range(2))
    np.testing.assert_array_equal(one.levels, two.levels)
    assert one.levels.shape == (6, 5, 6)
    env, decoder = designer.make_env(6), latent_decoder(saved["vae"])
    observation, _ = env.reset(seed=4)
    np.testing.assert_array_equal(env.levels, one.starts)
    np.testing.assert_array_equal(decoder.decode(observation["latent"]), one.starts)
    frozen = np.zeros((5, 6), bool)
    frozen[1] = True
    kept = designer.design(count=6, seed=4, frozen=frozen)
    np.testing.assert_array_equal(kept.levels[:, 1], kept.starts[:, 1])
    (folder / "generator" / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(UserError, match="damaged"):
        PolicyDesigner.from_pretrained(folder)


def test_runs_are_judged_and_shown_like_others(saved, tmp_path, capsys):
    train(options_of(saved["vae"], tmp_path))
    folder = tmp_path / "finetune" / "run"
    evaluate(evaluation.Options(folder, levels=5))
    shown = capsys.readouterr().out
    rows = json.loads((folder / "evaluation-seed1.json").read_text())["rows"]
    assert [row["designer"] for row in rows] == [
        "latent designer",
        "untrained",
        "hill climber",
        "random",
        "start levels",
    ]
    assert f"experiments.evaluate {folder}" in shown
    designer = PolicyDesigner.from_pretrained(folder / "designer")
    np.testing.assert_array_equal(
        designer.design(count=5, seed=2 * EVALUATION_SEED + 1).levels,
        judge(designer, 5, 2 * EVALUATION_SEED + 1)[1].levels,
    )
    builder = PolicyBuilder(designer, "yours")
    builder.begin(3)
    while not builder.over:
        builder.advance()
    assert builder.steps <= 8
    assert builder.why in ("the goal is reached", "the last step is taken", "the start level meets the goal already")


def test_a_tile_lm_is_no_designer_to_evaluate(saved, tmp_path):
    train(options_of(saved["tile_lm"], tmp_path))
    folder = tmp_path / "finetune" / "run"
    assert_names(lambda: evaluate(evaluation.Options(folder)), [folder, "experiments.evaluate_generator"])
    assert_names(lambda: find_designer(folder), [folder, "--levels"])


@pytest.mark.parametrize("family", ["tile_lm", "vae"])
def test_an_interrupted_run_goes_on(family, saved, tmp_path):
    train(options_of(saved[family], tmp_path))
    folder = tmp_path / "finetune" / "run"
    first = read_metrics(folder / "metrics.csv")["steps"]
    assert_names(lambda: train(options_of(saved[family], tmp_path)), [folder, "--resume", "--overwrite"])
    train(options_of(saved[family], tmp_path, steps=1200, resume=True))
    both = read_metrics(folder / "metrics.csv")["steps"]
    np.testing.assert_array_equal(both[: len(first)], first)
    assert (np.diff(both) > 0).all()
    assert both[-1] >= 1200
    other = options_of(saved[family], tmp_path, steps=1800, resume=True, frozen_share=0.2)
    assert_names(lambda: train(other), [folder, "environment", "--name"])


def test_a_run_goes_on_from_its_own_generator_only(saved, tmp_path):
    here = tmp_path / "generator"
    PackedGenerator.read(saved["vae"]).write(here)
    train(options_of(here, tmp_path))
    other = load_generator(here)
    with torch.no_grad():
        next(other.network.parameters()).add_(1)
    other.save_pretrained(here)
    goes_on = options_of(here, tmp_path, steps=1200, resume=True)
    assert_names(lambda: train(goes_on), [tmp_path / "finetune" / "run", "another generator", "--name"])


@pytest.mark.parametrize("target", ["0", "4"])
def test_a_fixed_price_is_the_one_that_is_asked_for_now(target, saved, tmp_path):
    train(options_of(saved["tile_lm"], tmp_path, reward={"kl": "0.1", "kl_target": target}))
    run = prepare(options_of(saved["tile_lm"], tmp_path, resume=True, reward={"kl": "0.2", "kl_target": target}))
    assert (run.trainer.price.weight == 0.2) == (target == "0")


def test_controls_and_frozen_tiles(saved, tmp_path):
    train(options_of(saved["tile_lm"], tmp_path, controls=("path-length",), frozen_share=0.2))
    train(options_of(saved["vae"], tmp_path, controls=("path-length",), frozen_share=0.2, name="latent"))
    designer = PolicyDesigner.from_pretrained(tmp_path / "finetune" / "latent" / "designer")
    observation, _ = designer.make_env(3).reset(seed=0)
    assert {"targets", "frozen", "latent"} <= set(observation)


@pytest.mark.parametrize(
    ("family", "changes", "words"),
    [
        ("ngram", {}, ["ngram", "vae"]),
        ("vae", {"representation": "sequence"}, ["tile LM", "vae"]),
        ("tile_lm", {"network": {"width": "8"}}, ["--network", "latent"]),
        ("tile_lm", {"samples": 0}, ["--samples", "0"]),
        ("tile_lm", {"reward": {"goal": "fun"}}, ["goal", "fun", "playable"]),
        ("tile_lm", {"reward": {"novelty": "lots"}}, ["novelty", "lots"]),
        ("vae", {"reward": {"kl": "0.1"}}, ["kl", "tile LM", "0.1"]),
        ("tile_lm", {"environment": {"colour": "red"}}, ["colour"]),
        ("tile_lm", {"environment": {"order": "column"}}, ["--environment", "order"]),
        ("tile_lm", {"environment": {"start_levels": "[]"}}, ["--environment", "start_levels"]),
        ("vae", {"environment": {"num_envs": "3"}}, ["--environment", "num_envs"]),
        ("vae", {"environment": {"render_mode": "human"}}, ["--environment", "render_mode"]),
        ("tile_lm", {"ppo": {"rollout": "16"}}, ["rollout", "whole levels"]),
        ("tile_lm", {"corpus": ("folder", "nowhere")}, ["nowhere"]),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(family, changes, words, saved, tmp_path):
    assert_names(lambda: train(options_of(saved[family], tmp_path, **changes)), words)
