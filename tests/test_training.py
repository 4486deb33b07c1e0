"""Training designers: progress, equal seeds, checkpoints, logs and settings."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import os
import shutil

import numpy as np
import pytest
import torch

import envs
from agents.rewards import RewardConfig
from agents.sb3 import SB3VecEnv
from agents.sb3_training import SB3Trainer
from agents.tasks import Task
from agents.training import (
    CHECKPOINT_FILE,
    METRICS_FILE,
    PPOConfig,
    TrainingStoppedError,
)
from envs.records import read_metrics
from envs.vector_env import DesignVectorEnv
from experiments.evaluate import EVALUATION_SEED
from tests.designers import SMALL, assert_names, full_disk, options_of

PPO_CONFIG = PPOConfig(steps=512, lanes=8, rollout=16, batch=32, epochs=2, checkpoint_seconds=0)


def trainer_of(
    folder, problem="binary", representation="narrow", seed=0, network=SMALL, environment=None, reward=None, **ppo
):
    options = options_of(problem, representation, **{"step_limit": 12, **(environment or {})})
    folder.mkdir(exist_ok=True)
    task = Task(options, network, reward or RewardConfig())
    return SB3Trainer(task, dataclasses.replace(PPO_CONFIG, **ppo), folder, seed=seed)


def test_what_goes_on_draws_anew_and_from_seeds_that_none_is_judged_on(tmp_path):
    trainer = trainer_of(tmp_path, seed=3)
    assert trainer.draws_seed() == 3
    seeds = set()
    for steps in (1, 2048, EVALUATION_SEED - 3):
        trainer.progress.steps = steps
        seeds.add(trainer.draws_seed())
    assert len(seeds) == 3
    assert all(2**31 <= seed < 2**32 for seed in seeds)


def weights_of(trainer):
    return torch.cat([weights.flatten() for weights in trainer.algorithm.policy.parameters()]).detach().clone()


def rows_of(folder):
    with (folder / METRICS_FILE).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("problem", "representation", "environment"),
    [
        ("binary", "narrow", {}),
        ("zelda", "turtle", {"look_ahead": True, "crop": [5, 5]}),
        ("sokoban", "wide", {"look_ahead": True}),
        ("zelda", "wide", {"controls": ["regions"], "frozen_share": 0.2}),
        ("binary", "cellular", {}),
        ("sokoban", "narrowcast", {"look_ahead": True}),
        ("binary", "narrowmulti", {}),
    ],
)
def test_training_runs(tmp_path, problem, representation, environment):
    trainer = trainer_of(tmp_path, problem, representation, environment=environment)
    before = weights_of(trainer)
    reports, told = [], []

    def report(progress, share, figures):
        reports.append((progress.steps, share))
        told.append(figures)

    progress = trainer.learn(report)
    assert (progress.steps, progress.updates) == (512, 4)
    assert reports == [(128, 0.25), (256, 0.5), (384, 0.75), (512, 1.0)]
    assert torch.isfinite(weights_of(trainer)).all()
    assert (weights_of(trainer) != before).any()
    rows = rows_of(tmp_path)
    assert [int(row["steps"]) for row in rows] == [128, 256, 384, 512]
    assert [int(row["updates"]) for row in rows] == [1, 2, 3, 4]
    assert int(rows[-1]["episodes"]) == progress.episodes > 0
    columns = read_metrics(tmp_path / METRICS_FILE)
    names = {"length", "return", "success", "strict_success", "changes", "entropy", "value_loss", "approx_kl"}
    assert names | set(trainer.vec_env.batch.metric_names) <= set(columns)
    assert 1 <= columns["length"][-1] <= 12
    assert np.isfinite(columns["entropy"]).all()
    # What is reported is what was written, and Stable-Baselines3's other figures.
    for name in ("entropy", "value_loss", "approx_kl", "return"):
        np.testing.assert_allclose([figures[name] for figures in told[2:]], columns[name][2:], rtol=1e-5)
    assert all(math.isfinite(figures["train/policy_gradient_loss"]) for figures in told)
    assert sorted(path.name for path in tmp_path.iterdir()) == [CHECKPOINT_FILE, METRICS_FILE]
    designs = trainer.designer().design(count=2, seed=0)
    assert designs.levels.shape == (2, *trainer.vec_env.batch.shape)


def test_the_learning_rate_falls_with_the_share_that_is_done(tmp_path):
    trainer = trainer_of(tmp_path, learning_rate=0.01)
    rates = []
    trainer.learn(lambda *_: rates.append(trainer.algorithm.policy.optimizer.param_groups[0]["lr"]))
    np.testing.assert_allclose(rates, [0.01, 0.0075, 0.005, 0.0025])


def test_a_row_an_update_even_before_the_first_episode_ends(tmp_path):
    environment = {"step_limit": 40, "change_share": None, "end_on_success": False}
    trainer_of(tmp_path, environment=environment).learn()
    rows = rows_of(tmp_path)
    assert [int(row["updates"]) for row in rows] == [1, 2, 3, 4]
    assert rows[0]["return"] == "nan"
    assert float(rows[-1]["length"]) == 40


def test_the_learner_sees_scaled_rewards_and_a_bonus(tmp_path):
    rows = ["@..........", "##########.", "...b...b...", ".##########", ".....k....D", "###########", "###########"]
    finished = envs.get_problem("zelda").parse(rows)
    environment = {"shape": [7, 11], "start_levels": [finished.tolist()]}
    trainer = trainer_of(tmp_path, "zelda", "narrow", environment=environment, reward=RewardConfig(0.5, 3.0))
    plain = SB3VecEnv(DesignVectorEnv(num_envs=8, autoreset_mode="SameStep", **trainer.task.environment))
    for env in (trainer.vec_env, plain):
        env.seed(0)
        env.reset()
    wins = 0
    for step in range(12):
        # Keeping the finished level wins, writing solid tiles over it may lose what it had.
        actions = np.full(8, 0 if step % 3 == 0 else 2)
        (_, theirs, _, infos), (_, ours, _, _) = (env.step(actions) for env in (plain, trainer.vec_env))
        won = np.array([info.get("is_success", False) for info in infos])
        np.testing.assert_allclose(ours, 0.5 * theirs + 3.0 * won, rtol=1e-5)
        wins += won.sum()
        assert (ours == 3).all() or step
    assert 8 <= wins < 96


def test_equal_seeds_train_equal_designers(tmp_path):
    first, second, other = (trainer_of(tmp_path / str(i), seed=seed) for i, seed in enumerate((1, 1, 2)))
    for trainer in (first, second, other):
        trainer.learn()
    assert torch.equal(weights_of(first), weights_of(second))
    assert not torch.equal(weights_of(first), weights_of(other))
    designs = [trainer.designer().design(count=3, seed=5).levels for trainer in (first, second)]
    np.testing.assert_array_equal(*designs)


def test_a_resumed_training_goes_on_where_it_was(tmp_path):
    first = trainer_of(tmp_path, steps=256)
    first.learn()
    assert rows_of(tmp_path)[-1]["steps"] == "256"
    second = trainer_of(tmp_path, steps=512)
    second.resume()
    assert torch.equal(weights_of(first), weights_of(second))
    assert second.progress == first.progress
    assert second.share_done() == 0.5
    rates = []
    progress = second.learn(lambda *_: rates.append(second.algorithm.policy.optimizer.param_groups[0]["lr"]))
    np.testing.assert_allclose(rates, [PPO_CONFIG.learning_rate / 2, PPO_CONFIG.learning_rate / 4])
    assert (progress.steps, progress.updates) == (512, 4)
    assert progress.episodes > first.progress.episodes
    assert progress.seconds > first.progress.seconds
    rows = rows_of(tmp_path)
    assert [int(row["steps"]) for row in rows] == [128, 256, 384, 512]
    seconds = [float(row["seconds"]) for row in rows]
    assert seconds == sorted(seconds)
    third = trainer_of(tmp_path, steps=512)
    third.resume()
    before = weights_of(third)
    assert third.learn().steps == 512
    assert torch.equal(weights_of(third), before)
    assert rows_of(tmp_path) == rows


def test_rows_from_after_the_checkpoint_are_dropped(tmp_path):
    trainer_of(tmp_path, steps=256).learn()
    old = (tmp_path / CHECKPOINT_FILE).read_bytes()
    trainer = trainer_of(tmp_path, steps=512)
    trainer.resume()
    trainer.learn()
    (tmp_path / CHECKPOINT_FILE).write_bytes(old)
    # As a process that was killed while it wrote a line leaves it.
    with (tmp_path / METRICS_FILE).open("a") as file:
        file.write("640,1.2")
    trainer = trainer_of(tmp_path, steps=384)
    trainer.resume()
    trainer.learn()
    assert [int(row["steps"]) for row in rows_of(tmp_path)] == [128, 256, 384]


def test_an_interrupt_leaves_a_checkpoint(tmp_path):
    def interrupt(progress, *_):
        if progress.updates == 2:
            raise KeyboardInterrupt

    trainer = trainer_of(tmp_path, checkpoint_seconds=1000)
    with pytest.raises(KeyboardInterrupt):
        trainer.learn(interrupt)
    again = trainer_of(tmp_path)
    again.resume()
    assert (again.progress.steps, again.progress.updates) == (256, 2)
    again.learn()
    assert [int(row["steps"]) for row in rows_of(tmp_path)] == [128, 256, 384, 512]


def _foreign(folder):
    other = folder.parent / "other"
    trainer_of(other, "zelda", "wide").save_checkpoint()
    return (other / CHECKPOINT_FILE).read_bytes()


class _Trap:
    def __reduce__(self):
        return (open, ("sprung", "w"))


def _trap(_):
    buffer = io.BytesIO()
    torch.save({"policy": _Trap(), "optimizer": {}, "progress": {}}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        lambda folder: b"",
        lambda folder: b"not a checkpoint at all",
        lambda folder: (folder / CHECKPOINT_FILE).read_bytes()[:-2000],
        lambda folder: (folder / CHECKPOINT_FILE).read_bytes()[:1000],
        _foreign,
        _trap,
    ],
    ids=["empty", "text", "truncated", "short", "foreign", "code"],
)
def test_checkpoints_that_cannot_be_used(tmp_path, content, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run"
    trainer_of(folder).save_checkpoint()
    path = folder / CHECKPOINT_FILE
    damaged = content(folder)
    path.write_bytes(damaged)
    assert_names(trainer_of(folder).resume, [path, "damaged or of another network"])
    assert path.read_bytes() == damaged
    assert not (tmp_path / "sprung").exists()


def test_a_checkpoint_that_is_missing(tmp_path):
    assert_names(trainer_of(tmp_path).resume, [tmp_path / CHECKPOINT_FILE, "does not exist"])


def test_a_full_disk_leaves_the_old_checkpoint_whole(tmp_path, monkeypatch):
    trainer = trainer_of(tmp_path, steps=256)
    trainer.learn()
    path = tmp_path / CHECKPOINT_FILE
    before, files = path.read_bytes(), sorted(tmp_path.iterdir())
    monkeypatch.setattr(os, "fsync", full_disk)
    assert_names(trainer.save_checkpoint, [path, "no space left", "free some space"])
    longer = trainer_of(tmp_path, steps=512)
    longer.resume()
    assert_names(longer.learn, ["no space left"])
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == files
    longer.resume()
    assert longer.learn().steps == 512


def test_a_log_that_cannot_be_written(tmp_path):
    def block(progress, *_):
        (tmp_path / METRICS_FILE).unlink()
        (tmp_path / METRICS_FILE).mkdir()

    assert_names(lambda: trainer_of(tmp_path).learn(block), [tmp_path / METRICS_FILE, "directory"])
    shutil.rmtree(tmp_path / METRICS_FILE)
    trainer_of(tmp_path).save_checkpoint()
    (tmp_path / METRICS_FILE).write_text("colour,steps\nred,12\n")
    trainer = trainer_of(tmp_path)
    trainer.resume()
    trainer.progress.steps = 128
    assert_names(trainer.learn, [tmp_path / METRICS_FILE, "damaged", "red"])
    assert (tmp_path / METRICS_FILE).read_text() == "colour,steps\nred,12\n"


@pytest.mark.parametrize("content", ["", "steps,return\n"])
def test_a_log_without_rows_has_no_columns(tmp_path, content):
    (tmp_path / METRICS_FILE).write_text(content)
    assert read_metrics(tmp_path / METRICS_FILE) == {}


def test_a_log_that_is_missing(tmp_path):
    assert_names(lambda: read_metrics(tmp_path / METRICS_FILE), [tmp_path / METRICS_FILE, "cannot be read"])


def test_weights_that_are_no_numbers_stop_the_training(tmp_path):
    trainer = trainer_of(tmp_path)
    learn, updates = trainer.algorithm.train, []

    def spoil():
        learn()
        updates.append(1)
        if len(updates) == 3:
            with torch.no_grad():
                next(iter(trainer.algorithm.policy.parameters()))[0] = torch.nan

    trainer.algorithm.train = spoil
    assert_names(trainer.learn, [tmp_path / CHECKPOINT_FILE, "step 384", "learning rate"], TrainingStoppedError)
    again = trainer_of(tmp_path)
    again.resume()
    assert again.sound()
    assert again.progress.steps == 256


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lanes": 0}, ["lanes", "at least 1", "0"]),
        ({"batch": 1}, ["batch", "at least 2", "1"]),
        ({"lanes": 1, "rollout": 1}, ["lanes times rollout"]),
        ({"epochs": -1}, ["epochs", "-1"]),
        ({"steps": 0}, ["steps=0", "minutes=0"]),
        ({"steps": 0, "minutes": float("nan")}, ["minutes", "nan"]),
        ({"learning_rate": 0.0}, ["learning_rate", "above 0"]),
        ({"learning_rate": float("inf")}, ["learning_rate", "inf"]),
        ({"gamma": 1.5}, ["gamma", "1.5"]),
        ({"gae_lambda": 2.0}, ["gae_lambda", "2.0"]),
        ({"clip": 0.0}, ["clip", "0.0"]),
    ],
)
def test_training_settings_that_cannot_be_used(tmp_path, change, words):
    assert_names(lambda: trainer_of(tmp_path, **change), words)
    assert list(tmp_path.iterdir()) == []
