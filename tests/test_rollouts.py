"""Rollouts: collected arrays against a loop that keeps a list an episode."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.networks import NetworkConfig
from agents.rewards import RewardConfig
from agents.rollouts import Rollout, make_collector
from agents.tasks import Task
from agents.training import PPOConfig

torch.set_num_threads(1)

SMALL = NetworkConfig(width=16, channels=4, blocks=1)
PPO = PPOConfig(steps=1, lanes=3, rollout=25, gamma=0.9, gae_lambda=0.8)

TASKS = {
    # Episodes end by the limit on steps, by the budget, and by success.
    "limited": Task({"problem": "binary", "representation": "narrow", "shape": [4, 5], "step_limit": 7}, SMALL),
    "short": Task({"problem": "binary", "representation": "turtle", "shape": [3, 4], "change_share": 0.1}, SMALL),
    "novel": Task(
        {"problem": "zelda", "representation": "wide", "shape": [4, 4], "look_ahead": True, "step_limit": 9},
        SMALL,
        RewardConfig(novelty=0.7, memory=5),
    ),
    "many": Task({"problem": "binary", "representation": "cellular", "shape": [4, 4]}, SMALL),
}


def plain_rollouts(task, policy, lanes, seed, count):
    """Rows and outcomes of so many rollouts, by one list a lane and the definitions of return and advantage."""
    env, reward = task.make_env(lanes), task.make_reward()
    random = torch.Generator().manual_seed(seed)
    observation, _ = env.reset(seed=seed)
    over = [False] * lanes
    total = [0.0] * lanes
    for _ in range(count):
        steps = [[] for _ in range(lanes)]
        ended_with = []
        for _ in range(PPO.rollout):
            found = policy.act({name: torch.as_tensor(part) for name, part in observation.items()}, random)
            before = observation
            observation, paid, terminations, truncations, infos = env.step(policy.env_actions(found.actions.numpy()))
            done = terminations | truncations
            outcomes = {name: infos[name][done] for name in infos if name[0] != "_"}
            learners, worth = reward(paid, done, outcomes, env.levels[done])
            worths = {name: iter(values) for name, values in worth.items()}
            for lane in range(lanes):
                step = {f"observation.{name}": part[lane] for name, part in before.items()}
                step |= {"actions": found.actions[lane].numpy(), "log_prob": found.log_prob[lane].item()}
                step |= {"value": found.values[lane].item(), "reward": learners[lane], "begins": over[lane]}
                step |= {"terminated": terminations[lane], "truncated": truncations[lane]}
                steps[lane].append(step)
                total[lane] += paid[lane]
                over[lane] = bool(done[lane])
                if done[lane]:
                    names = (*env.metric_names, "success", "strict_success", "changes")
                    come_to = {name: infos[name][lane] for name in names}
                    come_to |= {"length": infos["steps"][lane], "return": total[lane]}
                    ended_with.append(come_to | {name: next(values) for name, values in worths.items()})
                    total[lane] = 0.0
        last = policy.act(
            {name: torch.as_tensor(part) for name, part in observation.items()}, deterministic=True
        ).values
        rows = {}
        for lane in range(lanes):
            for at, step in enumerate(steps[lane]):
                if step["begins"]:
                    continue
                gain, weight = 0.0, 1.0
                for then in range(at, PPO.rollout):
                    now = steps[lane][then]
                    following = steps[lane][then + 1]["value"] if then + 1 < PPO.rollout else last[lane].item()
                    worth_of_going_on = 0.0 if now["terminated"] else following
                    gain += weight * (now["reward"] + PPO.gamma * worth_of_going_on - now["value"])
                    weight *= PPO.gamma * PPO.gae_lambda
                    if now["terminated"] or now["truncated"]:
                        break
                rows[at, lane] = {**step, "advantages": gain, "returns": gain + step["value"]}
        yield [rows[key] for key in sorted(rows)], ended_with


@pytest.mark.parametrize("name", TASKS)
def test_rollouts_are_those_of_a_plain_loop(name):
    task = TASKS[name]
    policy = task.make_policy(3)
    collector = make_collector(task, policy, PPO, 3, 11)
    ends = 0
    with torch.no_grad():
        for rows, outcomes in plain_rollouts(task, task.make_policy(3), 3, 11, 3):
            rollout = collector.collect()
            assert rollout.steps == len(rows)
            for key, part in rollout.rows.items():
                assert len(part) == len(rows)
                expected = np.array([row[key] for row in rows])
                np.testing.assert_allclose(part, expected, rtol=1e-5, atol=1e-5, err_msg=key)
            assert tuple(rollout.outcomes) == collector.figures
            for key, values in rollout.outcomes.items():
                np.testing.assert_allclose(values, [one[key] for one in outcomes], rtol=1e-6, err_msg=key)
            ends += len(outcomes)
    assert ends > 0


def test_both_kinds_of_ends_occur():
    """The plain loop has what it is there for: ends by the limit, ends by the rules, and steps between episodes."""
    task = TASKS["limited"]
    policy = task.make_policy(3)
    rows = [row for part, _ in plain_rollouts(task, policy, 3, 11, 3) for row in part]
    assert any(row["truncated"] and not row["terminated"] for row in rows)
    assert any(row["terminated"] for row in rows)
    assert len(rows) < 3 * 3 * PPO.rollout


def test_rows_are_what_the_policy_thinks_of_them():
    task = TASKS["novel"]
    policy = task.make_policy(0)
    rows = make_collector(task, policy, PPO, 4, 0).collect().rows
    found = policy.evaluate({name: torch.as_tensor(part) for name, part in rows.items()})
    np.testing.assert_allclose(found.log_prob.detach(), rows["log_prob"], atol=1e-5)
    np.testing.assert_allclose(found.values.detach(), rows["returns"] - rows["advantages"], atol=1e-5)


def test_acting_step_by_step_has_no_settings():
    task = TASKS["short"]
    with pytest.raises(TypeError, match="kl_weight"):
        make_collector(task, task.make_policy(0), PPO, 2, 0).collect(kl_weight=0.1)


def test_lanes_dealt_out_begin_with_the_same_levels():
    """Two collectors of two and one lanes begin where one of three does."""
    task = TASKS["limited"]
    policy = task.make_policy(0)
    whole = make_collector(task, policy, PPO, 3, 20).collect()
    parts = [make_collector(task, policy, PPO, lanes, seed).collect() for lanes, seed in ((2, 20), (1, 22))]
    first = [part.rows["observation.map"][:lanes] for part, lanes in zip(parts, (2, 1), strict=True)]
    np.testing.assert_array_equal(np.concatenate(first), whole.rows["observation.map"][:3])


def test_rollouts_are_joined():
    first = Rollout({"a": np.ones((2, 3)), "b": np.arange(2)}, 5, {"return": np.array([1.0])})
    second = Rollout({"a": np.full((1, 5), 2.0), "b": np.arange(1)}, 4, {"return": np.array([2.0, 3.0])})
    joined = Rollout.joined([first, second])
    np.testing.assert_array_equal(joined.rows["a"], [[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [2, 2, 2, 2, 2]])
    np.testing.assert_array_equal(joined.rows["b"], [0, 1, 0])
    assert joined.steps == 9
    np.testing.assert_array_equal(joined.outcomes["return"], [1, 2, 3])
    assert Rollout.joined([first]) is first
