"""The engine rllib: the same training as by sb3, whatever processes it is spread over and whichever of them die."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
import sys
import time

import numpy as np
import pytest
import torch

from agents.designer import PolicyDesigner
from agents.engines import Cluster, make_trainer
from agents.networks import NetworkConfig
from agents.rewards import RewardConfig
from agents.tasks import Task
from agents.training import CHECKPOINT_FILE, METRICS_FILE, PPOConfig, TrainingStoppedError
from envs import UserError
from envs.records import read_metrics
from experiments.run import main
from generators.corpus import CorpusOptions, load_corpus
from generators.generator import FitOptions
from generators.packing import PackedGenerator
from generators.suite import make_generator
from tests.tracked import assert_as_written

torch.set_num_threads(1)
ray = pytest.importorskip("ray")

PPO = PPOConfig(steps=384, lanes=6, rollout=16, batch=32, epochs=2, checkpoint_seconds=0)
SMALL = NetworkConfig(width=16, channels=4, blocks=1)
TWO = Cluster(num_env_runners=2)


@pytest.fixture(scope="module", autouse=True)
def connected():
    """One Ray for all trainings here, with room for two runners and two learners."""
    from agents.rllib.connection import connect

    assert connect(Cluster(num_env_runners=2, num_learners=2))
    yield
    ray.shutdown()


@pytest.fixture
def trainers():
    """Makes trainers, and ends what they keep running."""
    made = []

    def make(
        folder, engine="rllib", *, seed=0, cluster=None, network=SMALL, environment=None, reward=None, task=None, **ppo
    ):
        folder.mkdir(exist_ok=True)
        options = {"problem": "binary", "representation": "narrow", "shape": [4, 5], "step_limit": 12}
        task = task or Task({**options, **(environment or {})}, network, reward or RewardConfig())
        made.append(make_trainer(engine, task, dataclasses.replace(PPO, **ppo), folder, seed=seed, cluster=cluster))
        return made[-1]

    yield make
    for trainer in made:
        trainer.close()


def weights(trainer):
    return torch.cat([part.flatten() for part in trainer.policy.parameters()]).detach().clone()


def moments(trainer):
    state = trainer.state()["optimizer"]["state"]
    return torch.cat([state[place]["exp_avg"].flatten() for place in sorted(state)])


def watch(trainer):
    """Returns a list in which the trainer's rollouts will stand."""
    seen = []
    sample = trainer.algorithm._sample

    def sampled():
        seconds, rollout = sample()
        seen.append(rollout)
        return seconds, rollout

    trainer.algorithm._sample = sampled
    return seen


def assert_by(policy, rollout):
    """The rows' log-probabilities are those of a policy."""
    found = policy.evaluate({name: torch.as_tensor(part) for name, part in rollout.rows.items()})
    np.testing.assert_allclose(found.log_prob.detach(), rollout.rows["log_prob"], atol=1e-5)


def table(folder):
    columns = read_metrics(folder / METRICS_FILE)
    return {name: values for name, values in columns.items() if name != "seconds"}


# Training.


def test_equal_seeds_give_equal_results(trainers, tmp_path):
    first, second, other = (trainers(tmp_path / str(i), seed=seed) for i, seed in enumerate([5, 5, 6]))
    for trainer in (first, second, other):
        trainer.learn()
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(other))
    for name, values in table(tmp_path / "0").items():
        np.testing.assert_array_equal(values, table(tmp_path / "1")[name], err_msg=name)


def test_the_books_are_kept_as_by_the_other_engine(trainers, tmp_path):
    ours, theirs = trainers(tmp_path / "rllib"), trainers(tmp_path / "sb3", "sb3")
    assert torch.equal(weights(ours), weights(theirs))
    seen = watch(ours)
    for trainer in (ours, theirs):
        trainer.learn()
    assert ours.figures == theirs.figures
    assert list(table(tmp_path / "rllib")) == list(table(tmp_path / "sb3"))
    steps = np.cumsum([rollout.steps for rollout in seen])
    np.testing.assert_array_equal(table(tmp_path / "rllib")["steps"], steps)
    assert ours.progress.steps == steps[-1] >= PPO.steps > steps[-2]
    assert ours.progress.episodes == sum(len(rollout.outcomes["return"]) for rollout in seen)


def test_the_learning_rate_falls_to_nothing(trainers, tmp_path):
    trainer = trainers(tmp_path)
    rates = []
    step = trainer.algorithm.training_step

    def stepped():
        rates.append(trainer.algorithm.lesson.learning_rate)
        step()

    trainer.algorithm.training_step = stepped
    trainer.learn()
    steps = [0, *table(tmp_path)["steps"][:-1]]
    np.testing.assert_allclose(rates, [PPO.learning_rate * (1 - step / PPO.steps) for step in steps])


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({"representation": "wide", "look_ahead": True}, "scorer"),
        ({"representation": "cellular"}, "conv"),
        ({"representation": "narrowmulti"}, "mlp"),
    ],
)
def test_every_kind_of_network_learns(trainers, tmp_path, environment, kind):
    network = dataclasses.replace(SMALL, kind=kind)
    trainer = trainers(tmp_path, environment=environment, network=network, reward=RewardConfig(novelty=0.3), steps=90)
    before = weights(trainer)
    trainer.learn()
    assert not torch.equal(before, weights(trainer))
    assert trainer.sound()
    assert "novelty" in table(tmp_path)
    assert len(trainer.designer().design(count=2, seed=0).levels) == 2


@pytest.mark.parametrize("family", ["tile_lm", "vae"])
def test_pretrained_generators_learn(trainers, tmp_path, family):
    """Whole levels by a tile LM, whose price of divergence moves, and real numbers in the latents of a VAE."""
    corpus = load_corpus("zelda", CorpusOptions(levels=40, shape=(5, 6)))
    config = {"tile_lm": {"width": 16, "depth": 1, "heads": 2, "radius": 1}, "vae": {"latents": 4, "width": 16}}
    generator = make_generator(family, corpus, **config[family])
    generator.fit(corpus, FitOptions(minutes=0, steps=10, batch=16, warm_up=2, patience=0))
    writes = family == "tile_lm"
    environment = {"problem": "zelda", "representation": "sequence" if writes else "latent"}
    reward = RewardConfig(scale=0.0, goal="playable", novelty=0.5, kl=0.05 * writes, kl_target=1e-6 * writes)
    task = Task(environment, SMALL, reward, corpus.train.levels, PackedGenerator.of(generator))
    ppo = {"steps": 300, "rollout": 4, "batch": 4}
    trainer = trainers(tmp_path, task=task, **ppo)
    before = weights(trainer)
    trainer.learn()
    assert not torch.equal(before, weights(trainer))
    assert trainer.sound()
    assert ("kl" in table(tmp_path)) == writes
    assert (trainer.price.weight not in (0, 0.05)) == writes
    again = trainers(tmp_path, "sb3", task=task, **ppo)
    again.resume()
    assert torch.equal(weights(again), weights(trainer))
    assert again.price.weight == trainer.price.weight


def test_weights_that_are_no_numbers_stop_the_training(trainers, tmp_path):
    trainer = trainers(tmp_path)
    update, updates = trainer.algorithm.learner_group.update, []

    def spoiled(**given):
        found = update(**given)
        updates.append(1)
        if len(updates) == 3:
            with torch.no_grad():
                next(iter(trainer.algorithm.learner_group._learner.policy.parameters()))[0] = torch.nan
        return found

    trainer.algorithm.learner_group.update = spoiled
    with pytest.raises(TrainingStoppedError, match="last good weights") as stopped:
        trainer.learn()
    assert str(tmp_path / CHECKPOINT_FILE) in str(stopped.value)
    again = trainers(tmp_path)
    again.resume()
    assert again.sound()
    assert again.progress.updates == 2


# Going on.


def test_runs_go_on_by_the_other_engine(trainers, tmp_path):
    """Weights and Adam's moments go from engine to engine, and each goes on learning from them."""
    begun = trainers(tmp_path, "sb3")
    begun.learn()
    for steps, engine in ((600, "rllib"), (900, "sb3"), (1200, "rllib")):
        trainer = trainers(tmp_path, engine, steps=steps, seed=1)
        assert not torch.equal(weights(trainer), weights(begun))
        trainer.resume()
        assert torch.equal(weights(trainer), weights(begun))
        assert torch.equal(moments(trainer), moments(begun))
        trainer.learn()
        assert trainer.progress.steps >= steps
        assert not torch.equal(weights(trainer), weights(begun))
        begun = trainer
    assert (np.diff(table(tmp_path)["steps"]) > 0).all()


def test_the_first_rollouts_after_a_resume_are_by_the_restored_weights(trainers, tmp_path):
    first = trainers(tmp_path, learning_rate=0.05)
    initial = weights(first)
    first.learn()
    fresh = first.task.make_policy(0)
    trainer = trainers(tmp_path, cluster=TWO, steps=768)
    assert torch.equal(weights(trainer), initial)
    seen = watch(trainer)
    trainer.resume()
    restored = trainer.task.make_policy(0)
    restored.load_state_dict(first.policy.state_dict())
    trainer._iterate()
    assert_by(restored, seen[0])
    with pytest.raises(AssertionError):
        assert_by(fresh, seen[0])
    # Both runners are in it.
    assert seen[0].steps > PPO.lanes // 2 * PPO.rollout
    # What is wrong with a task is told at once, and not taken for a failing machine.
    trainer.algorithm.settings = {"colour": 1.0}
    with pytest.raises(RuntimeError, match="colour"):
        trainer._iterate()


def test_a_damaged_checkpoint_is_refused(trainers, tmp_path):
    trainers(tmp_path).learn()
    whole = (tmp_path / CHECKPOINT_FILE).read_bytes()
    for damage, network in ((whole[:100], SMALL), (whole, NetworkConfig(width=8))):
        (tmp_path / CHECKPOINT_FILE).write_bytes(damage)
        trainer = trainers(tmp_path, network=network)
        with pytest.raises(UserError, match="damaged or of another network"):
            trainer.resume()
        assert (tmp_path / CHECKPOINT_FILE).read_bytes() == damage


def test_the_command_line_leaves_the_same_run(tmp_path, capsys):
    from experiments import pcgrl

    arguments = ["--problem", "binary", "--representation", "narrow", "--shape", "4", "5", "--out", str(tmp_path)]
    arguments += ["--ppo", "lanes", "6", "rollout", "16", "batch", "32", "--network", "channels", "4", "width", "16"]
    arguments += ["--evaluation-levels", "3"]
    for engine, steps in (("rllib", 200), ("sb3", 400), ("rllib", 600)):
        onward = [] if steps == 200 else ["--resume"]
        main(pcgrl.Options, pcgrl.train, [*arguments, "--steps", str(steps), "--engine", engine, *onward])
    folder = tmp_path / "pcgrl" / "binary-narrow-seed0"
    record = json.loads((folder / "config.json").read_text())
    assert record["options"]["engine"] == "rllib"
    assert record["versions"]["ray"] == ray.__version__
    left = {path.name for path in folder.iterdir()}
    assert {"designer", "curves.png", "levels.png", "design.gif", "evaluation.md", "levels.txt", "tensorboard"} <= left
    assert table(folder)["steps"][-1] >= 600
    assert_as_written(folder, "steps_per_second", "evaluation/quality/mean")
    assert len(PolicyDesigner.from_pretrained(folder / "designer").design(count=2, seed=0).levels) == 2
    assert "3 new start levels" in capsys.readouterr().out


# Runners and learners.


def test_lanes_are_dealt_out_evenly():
    from agents.rllib.runner import share

    for whole, parts in ((6, 2), (7, 3), (5, 5), (256, 7)):
        dealt = [share(whole, parts, part) for part in range(parts)]
        assert [first for first, _ in dealt] == list(np.cumsum([0, *(count for _, count in dealt)])[:-1])
        assert sum(count for _, count in dealt) == whole
        assert max(count for _, count in dealt) - min(count for _, count in dealt) <= 1


def test_rows_are_dealt_out_evenly():
    from agents.rllib.learner import split

    rows = {"actions": np.arange(11), "other": np.arange(22).reshape(11, 2)}
    parts = split(rows, 3)
    assert [len(part["actions"]) for part in parts] == [3, 3, 3]
    assert sorted(np.concatenate([part["actions"] for part in parts])) == list(range(9))
    for part in parts:
        np.testing.assert_array_equal(part["other"], rows["other"][part["actions"]])
    assert split(rows, 1)[0]["actions"] is rows["actions"]


def test_what_only_fills_up_levels_is_left_out():
    from agents.rllib.learner import pick

    real = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]], dtype=torch.bool)
    rows = {"real": real, "actions": torch.arange(12).view(3, 4), "asked": torch.zeros(3, 4)}
    picked = pick(rows, torch.tensor([2, 1]))
    assert picked["actions"].tolist() == [[8, 9], [4, 5]]
    assert picked["asked"].shape == (2, 4)


@pytest.mark.slow
def test_several_learners_stay_one(trainers, tmp_path):
    cluster = Cluster(num_env_runners=1, num_learners=2)
    trainer = trainers(tmp_path, cluster=cluster)
    before = weights(trainer)
    seen = watch(trainer)
    trainer.learn()

    from agents.rllib.learner import read_state

    states = [state["policy"] for state in trainer.algorithm.on_learners(read_state)]
    assert len(states) == 2
    for name, part in trainer.policy.state_dict().items():
        assert torch.equal(part, states[0][name])
        assert torch.equal(part, states[1][name])
    assert not torch.equal(before, weights(trainer))
    assert trainer.progress.steps == sum(rollout.steps for rollout in seen)
    # And what they learnt is kept.
    learnt, averaged = weights(trainer), moments(trainer)
    trainer.close()
    again = trainers(tmp_path, cluster=cluster, seed=1)
    again.resume()
    assert torch.equal(weights(again), learnt)
    assert torch.equal(moments(again), averaged)


@pytest.mark.slow
def test_a_learner_that_dies_stops_the_training(trainers, tmp_path):
    trainer = trainers(tmp_path, cluster=Cluster(num_learners=2), steps=10**9, minutes=2)

    def report(progress, share, means):
        if progress.updates == 2:
            os.kill(trainer.algorithm.on_learners(process_of)[1], signal.SIGKILL)

    with pytest.raises(TrainingStoppedError, match="RLlib failed") as stopped:
        trainer.learn(report)
    assert str(tmp_path / CHECKPOINT_FILE) in str(stopped.value)
    assert "\n" not in str(stopped.value)
    again = trainers(tmp_path)
    again.resume()
    assert again.progress.updates == 2


def process_of(worker):
    return os.getpid()


def processes(trainer):
    return trainer.algorithm.env_runner_group.foreach_env_runner(process_of, local_env_runner=False)


@pytest.mark.slow
def test_a_runner_that_dies_comes_back(trainers, tmp_path):
    trainer = trainers(tmp_path, cluster=TWO, steps=10**9, minutes=2)
    killed, lanes, seen = [], [], watch(trainer)

    def report(progress, share, means):
        lanes.append(seen[-1].steps)
        if progress.updates == 3:
            killed.extend(processes(trainer))
            os.kill(killed[0], signal.SIGKILL)
        group = trainer.algorithm.env_runner_group
        if progress.updates > 3 and group.num_healthy_remote_workers() == 2 and lanes[-1] > min(lanes[3:]):
            trainer.ppo = dataclasses.replace(trainer.ppo, steps=progress.steps)

    trainer.learn(report)
    assert trainer.ppo.steps == trainer.progress.steps, "the runner did not come back in time"
    now = processes(trainer)
    assert killed[1] in now
    assert killed[0] not in now
    assert len(now) == 2
    # Only what came back was counted, and once.
    assert trainer.progress.steps == sum(rollout.steps for rollout in seen if rollout is not None)
    np.testing.assert_array_equal(np.diff(table(tmp_path)["steps"]), lanes[1:])


@pytest.mark.slow
def test_all_runners_dead_for_good(trainers, tmp_path, monkeypatch):
    from agents.rllib import trainer as module

    monkeypatch.setattr(module, "RETURN_PATIENCE", 3.0)
    trainer = trainers(tmp_path, cluster=TWO, steps=10**9, minutes=2)

    def report(progress, share, means):
        if progress.updates == 2:
            group = trainer.algorithm.env_runner_group
            for place in group.healthy_worker_ids():
                ray.kill(group._worker_manager.actors()[place], no_restart=True)

    began = time.monotonic()
    with pytest.raises(TrainingStoppedError, match="no environment runner") as stopped:
        trainer.learn(report)
    assert str(tmp_path / CHECKPOINT_FILE) in str(stopped.value)
    assert time.monotonic() - began < 100
    # A checkpoint is there, and nothing is booked for the steps that never came back.
    again = trainers(tmp_path)
    again.resume()
    assert again.progress.updates == 2
    assert not any(math.isnan(value) for value in table(tmp_path)["return"])


def test_rllibs_own_runner_and_learner_can_train_the_module(tmp_path):
    """The module is an RLModule like any other, and the environment a Gymnasium one."""
    from benchmarks.engines import own_runner_config

    task = Task({"problem": "zelda", "representation": "wide", "shape": [4, 4], "look_ahead": True}, SMALL)
    algorithm = own_runner_config(task, dataclasses.replace(PPO, lanes=4), num_env_runners=0).build_algo()
    before = {name: part.copy() for name, part in algorithm.get_module().get_state().items()}
    found = algorithm.train()
    after = algorithm.get_module().get_state()
    algorithm.stop()
    assert found["num_env_steps_sampled_lifetime"] >= 4 * PPO.rollout
    assert any((before[name] != after[name]).any() for name in before)


# What cannot be used.


@pytest.mark.parametrize(
    ("engine", "cluster", "ppo", "words"),
    [
        ("sb3", Cluster(num_env_runners=1), {}, ["sb3", "rllib"]),
        ("rllib", Cluster(num_env_runners=-1), {}, ["num_env_runners", "-1"]),
        ("rllib", Cluster(num_gpus_per_learner=float("nan")), {}, ["num_gpus_per_learner", "nan"]),
        ("rllib", Cluster(address=""), {}, ["address", "HOST:PORT"]),
        ("rllib", Cluster(num_env_runners=7), {}, ["7 runners", "6 lanes"]),
        ("rllib", Cluster(num_learners=2), {"batch": 3}, ["2 learners", "batch of 3"]),
        ("rllib", Cluster(num_learners=2), {"lanes": 3, "rollout": 1}, ["2 learners", "batch of 3", "lanes"]),
        ("rllib", Cluster(num_gpus_per_learner=1), {}, ["num_gpus_per_learner", "num_learners", "cuda:0"]),
        ("rllib", Cluster(num_env_runners=9999), {"lanes": 9999}, ["9999 environment runners", "processors"]),
        ("rllib", Cluster("auto", 999), {"lanes": 999}, ["999 environment runners", "processors", "free"]),
        ("rllib", Cluster(num_learners=1, num_gpus_per_learner=9), {}, ["GPUs", "9"]),
    ],
)
def test_what_cannot_be_used_is_told_in_one_sentence(trainers, tmp_path, engine, cluster, ppo, words):
    with pytest.raises(UserError) as raised:
        trainers(tmp_path, engine, cluster=cluster, **ppo)
    for word in words:
        assert word in str(raised.value)
    assert "\n" not in str(raised.value)


def test_without_ray_one_sentence_says_what_to_install(trainers, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("agents.rllib")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[rllib\]'"):
        trainers(tmp_path)
