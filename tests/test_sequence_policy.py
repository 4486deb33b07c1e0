"""Tile LMs as policies of whole levels: what they do in the environment is what they are as generators."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
import torch

import envs
from agents import ppo
from agents.level_rollouts import LevelCollector
from agents.rewards import RewardConfig
from agents.sb3_training import SB3Trainer
from agents.tasks import Task
from agents.training import PPOConfig
from envs import UserError
from generators.corpus import corpus_of_levels
from generators.families.tile_lm import TileLM, TileLMConfig
from generators.generator import FitOptions
from generators.packing import PackedGenerator
from generators.spec import LevelSpec
from tests.designers import assert_names

ORDERS = ("layers", "row", "snake")
PPO = PPOConfig(
    steps=600, lanes=6, batch=3, epochs=2, rollout=1, learning_rate=1e-3, gamma=1.0, entropy=0.0, checkpoint_seconds=0
)
REWARD = RewardConfig(scale=0.0, bonus=1.0, goal="playable", novelty=0.5, kl=0.05)


@pytest.fixture(scope="module")
def corpus():
    return corpus_of_levels("sokoban", envs.construct("sokoban", 120, seed=3), repeats=True)


def packed_of(corpus, order="layers", metrics=("sol-length",), dropout=0.0):
    config = TileLMConfig(width=16, depth=2, heads=2, radius=1, order=order, dropout=dropout)
    generator = TileLM(LevelSpec.of(corpus, metrics), config)
    generator.fit(corpus, FitOptions(minutes=0, steps=25, batch=16, warm_up=5, patience=0))
    return PackedGenerator.of(generator)


@pytest.fixture(scope="module", params=ORDERS)
def packed(request, corpus):
    return packed_of(corpus, request.param)


@pytest.fixture(scope="module")
def layered(corpus):
    return packed_of(corpus)


def task_of(packed, corpus=None, reward=REWARD, **environment):
    options = {"problem": "sokoban", "representation": "sequence", "play_every": 0, "reward_every": 0, **environment}
    return Task(options, reward=reward, generator=packed, known=None if corpus is None else corpus.train.levels)


def collector_of(task, lanes=6, seed=0):
    return LevelCollector(task, task.make_policy(0), PPO, lanes, seed)


def tensors(rollout):
    return {name: torch.as_tensor(part) for name, part in rollout.rows.items()}


def played(task, seed=0, lanes=6):
    """Lets the policy write levels in the environment; returns the environment's levels at the end."""
    policy, env = task.make_policy(0), task.make_env(lanes)
    random = torch.Generator().manual_seed(seed)
    observation, _ = env.reset(seed=seed)
    levels = np.zeros((lanes, *env.shape), np.uint8)
    going = np.ones(lanes, bool)
    while going.any():
        acted = policy.act({name: torch.as_tensor(part) for name, part in observation.items()}, random)
        observation, _, done, _, _ = env.step(policy.env_actions(acted.actions.numpy()))
        levels[done & going] = env.levels[done & going]
        going &= ~done
    return policy, env, levels


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_judging_a_rollout_again_says_what_acting_said(packed, corpus, share):
    collector = collector_of(task_of(packed, corpus, frozen_share=share))
    rollout = collector.collect(kl_weight=0.1)
    rows = tensors(rollout)
    found = collector._policy.evaluate(rows)
    real = rows["real"]
    assert rollout.steps == int(real.sum())
    assert torch.allclose(found.log_prob[real], rows["log_prob"][real], atol=1e-4)
    # At first the policy is the reference.
    assert np.abs(rollout.outcomes["kl"]).max() < 1e-3
    assert torch.isfinite(found.entropy[real]).all()


def test_the_environment_writes_what_the_tile_lm_decides(packed):
    policy, _, levels = played(task_of(packed))
    written = policy._writing.finished()
    np.testing.assert_array_equal(levels.reshape(6, -1), written)


def test_frozen_tiles_stay_and_count_rules_hold(packed, corpus):
    task = task_of(packed, corpus, frozen_share=0.3)
    policy, env = task.make_policy(0), task.make_env(16)
    observation, _ = env.reset(seed=4)
    starts, frozen = env.levels, env.frozen
    assert 0 < frozen.sum() < frozen.size
    done = np.zeros(16, bool)
    random = torch.Generator().manual_seed(0)
    while not done.all():
        acted = policy.act({name: torch.as_tensor(part) for name, part in observation.items()}, random)
        observation, _, ended, _, infos = env.step(policy.env_actions(acted.actions.numpy()))
        fresh = ended & ~done
        assert (env.levels == starts)[fresh][frozen[fresh]].all()
        assert (infos["player"][fresh] == 1).all()
        assert (infos["crate"] == infos["target"])[fresh].all()
        done |= ended


def test_the_share_of_levels_is_that_of_sampling(layered, corpus):
    # In both ways levels are drawn from one distribution: the numbers of solid tiles agree.
    sampled = layered.unpack().sample(400, seed=1)
    _, _, written = played(task_of(layered), lanes=400)
    solid = [(levels == 1).reshape(400, -1).sum(axis=1) for levels in (sampled, written)]
    error = np.sqrt(sum(counts.var() / 400 for counts in solid))
    assert abs(solid[0].mean() - solid[1].mean()) < 4 * error


def test_targets_are_told_to_the_tile_lm(layered, corpus):
    task = task_of(layered, controls=[["sol-length", 0, 40]])
    policy, env = task.make_policy(0), task.make_env(8)
    observation, _ = env.reset(seed=0, options={"targets": {"sol-length": np.arange(8) * 5.0}})
    policy.act({name: torch.as_tensor(part) for name, part in observation.items()})
    spec = policy.generator.spec
    asked = spec.buckets(*spec.values({"sol-length": np.arange(8) * 5.0}, 8))
    np.testing.assert_array_equal(policy._buckets, asked)
    assert len(np.unique(asked)) > 1
    unknown = task_of(layered, controls=["crate"])
    assert_names(lambda: unknown.make_policy(0), ["cannot be asked for crate", "sol-length"])


def test_levels_must_begin_together(layered):
    policy, env, _ = played(task_of(layered))
    observation, _ = task_of(layered).make_env(3).reset(seed=0)
    part = {name: torch.as_tensor(part).clone() for name, part in observation.items()}
    part["cursor"][0] = torch.as_tensor(env.shape) - 1
    with pytest.raises(UserError, match="whole levels"):
        policy.act(part)


def test_a_tile_lm_pretrained_with_dropout_is_trained_further_without(corpus):
    collector = collector_of(task_of(packed_of(corpus, dropout=0.5), corpus))
    rows = tensors(collector.collect())
    policy = collector._policy.train()
    with torch.no_grad():
        assert torch.equal(policy.evaluate(rows).log_prob, policy.evaluate(rows).log_prob)


def test_divergence_is_charged_decision_by_decision(layered, corpus):
    task = task_of(layered, corpus, RewardConfig(scale=0.0, bonus=0.0, goal="playable"))
    collector = collector_of(task)
    with torch.no_grad():
        collector._policy.network.head.bias.add_(torch.linspace(-1, 1, len(collector._policy.network.head.bias)))
    rollout = collector.collect(kl_weight=2.0)
    rows = tensors(rollout)
    policy = collector._policy
    gap = torch.where(
        rows["real"], policy.evaluate(rows).log_prob - policy.reference_log_prob(rows), torch.zeros(())
    ).detach()
    np.testing.assert_allclose(rollout.outcomes["kl"], gap.sum(dim=1).numpy(), atol=1e-3)
    np.testing.assert_allclose(rollout.outcomes["return"], -2 * gap.sum(dim=1).numpy(), atol=1e-3)
    assert rollout.outcomes["kl"].mean() > 0.05


def test_a_task_can_be_sent_elsewhere(layered, corpus):
    task = task_of(layered, corpus)
    collector_of(task).collect()
    again = pickle.loads(pickle.dumps(task))
    ours, theirs = (collector_of(one).collect() for one in (task, again))
    for name, part in ours.rows.items():
        np.testing.assert_array_equal(part, theirs.rows[name])


def trainer_of(folder, task, seed=0, **changes):
    folder.mkdir(exist_ok=True)
    return SB3Trainer(task, dataclasses.replace(PPO, **changes), folder, seed=seed)


def test_training_repeats_and_resumes(tmp_path, layered, corpus):
    task = task_of(layered, corpus)
    one, two = (trainer_of(tmp_path / name, task) for name in "ab")
    progress = [trainer.learn() for trainer in (one, two)]
    assert progress[0].steps == progress[1].steps >= 600
    assert progress[0].episodes == progress[0].updates * 6
    for ours, theirs in zip(one.policy.parameters(), two.policy.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    again = trainer_of(tmp_path / "a", task, steps=1200)
    again.resume()
    assert again.progress.steps == progress[0].steps
    weights = [weight.clone() for weight in again.policy.parameters()]
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(weights, one.policy.parameters(), strict=True))
    assert again.learn().steps >= 1200
    rows = (tmp_path / "a" / "metrics.csv").read_text().splitlines()
    steps = [float(row.split(",")[0]) for row in rows[1:]]
    assert steps == sorted(set(steps))
    assert len(steps) == again.progress.updates


def test_training_teaches_what_is_paid(tmp_path, layered, corpus):
    # Walls are worth something here: levels get more of them, and no more than the price of divergence allows.
    class Walls:
        def __call__(self, levels):
            return (levels == 1).reshape(len(levels), -1).mean(axis=1)

    found = {}
    for price in (0.0, 0.1):
        reward = RewardConfig(scale=0.0, bonus=0.0, goal="playable", kl=price)
        task = task_of(layered, reward=reward)
        trainer = trainer_of(tmp_path / str(price), task, steps=12_000, lanes=32, batch=16, learning_rate=3e-3)
        trainer.algorithm._collector._reward._terms["walls"] = (5.0, Walls())
        trainer.learn()
        trained = trainer.policy.generator
        found[price] = (trained.sample(200, seed=0) == 1).mean()
    before = (layered.unpack().sample(200, seed=0) == 1).mean()
    assert found[0.0] > before + 0.1
    assert before + 0.02 < found[0.1] < found[0.0] - 0.02


def test_advantages_are_those_of_a_plain_loop():
    rng = np.random.default_rng(0)
    rewards, values, last = rng.normal(size=(7, 3)), rng.normal(size=(7, 3)), rng.normal(size=3)
    ended = rng.random((7, 3)) < 0.3
    gamma, share = 0.9, 0.8
    expected = np.zeros((7, 3))
    for lane in range(3):
        for step in range(7):
            factor = 1.0
            for later in range(step, 7):
                following = values[later + 1, lane] if later < 6 else last[lane]
                worth = 0.0 if ended[later, lane] else gamma * following
                expected[step, lane] += factor * (rewards[later, lane] + worth - values[later, lane])
                if ended[later, lane]:
                    break
                factor *= gamma * share
    found = ppo.advantages(rewards, values, ended, last, gamma, share)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
