"""Unsupervised environment design: random levels, replay, the adversary, and runs from the command line."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import envs
from agents.players.curricula import Adversary, PairedLevels, RandomLevels, ReplayConfig, ReplayedLevels, lane_means
from agents.players.networks import PlayerConfig
from agents.players.policy import PolicyPlayer
from agents.players.ppo import Games, PlayerPPOConfig
from agents.players.scatter import scatter, settle
from envs.counts import kept
from envs.records import read_metrics
from experiments import ued
from experiments.run import main
from tests.tracked import assert_as_written

MAZE = envs.get_problem("maze")
SHAPE = (4, 4)
COUNTED = [name for name, problem in envs.all_problems().items() if problem.rules and problem.count_rules]


def games(lanes, won, length=3):
    lane, won = np.array(lanes), np.array(won, bool)
    return Games(lane, won, np.zeros(len(lane), bool), np.full(len(lane), length))


def learner(advantages, values=None):
    advantages = np.array(advantages, np.float32)
    return SimpleNamespace(advantages=advantages, values=values, rate=1.0, ppo=SimpleNamespace(gamma=0.5))


@pytest.mark.parametrize("name", COUNTED)
def test_random_levels_keep_the_count_rules(name):
    problem = envs.get_problem(name)
    levels = scatter(name, 20, seed=3)
    assert levels.shape == (20, *problem.default_shape)
    assert kept(problem.count_rules, levels, [tile.name for tile in problem.tiles]).all()
    assert (scatter(name, 20, seed=3) == levels).all()
    assert (scatter(name, 20, seed=4) != levels).any()
    # What keeps the rules stays as it is.
    assert (settle(problem, levels) == levels).all()


def test_random_levels_are_open_and_walled():
    walls = (scatter("maze", 200, 1, (8, 8)) == 1).mean(axis=(1, 2))
    assert walls.min() < 0.1
    assert walls.max() > 0.3


def test_every_round_draws_anew():
    levels = RandomLevels(MAZE, SHAPE, 6, 1)
    assert (levels.propose(2) == RandomLevels(MAZE, SHAPE, 6, 1).propose(2)).all()
    assert (levels.propose(2) != levels.propose(3)).any()


def test_lane_means():
    assert lane_means(np.array([0, 2, 2]), np.array([1.0, 0.0, 1.0]), 4).tolist() == [1, 0, 0.5, 0]


def test_levels_are_scored_by_positive_value_loss():
    plr = ReplayedLevels(MAZE, SHAPE, 2, 1)
    plr.tell(0, plr.propose(0), games([], []), learner([[1, -1], [0, -2], [-4, 3], [1, -1]]))
    assert plr.scores.tolist() == [0.5, 0.75]


def test_levels_are_scored_by_the_best_return():
    plr = ReplayedLevels(MAZE, SHAPE, 2, 1, ReplayConfig(score="max-return"))
    values = np.array([[0.5, 0.2], [0.25, -0.1]])
    plr.tell(0, plr.propose(0), games([0, 0, 1], [True, False, False]), learner([[0, 0]], values))
    assert plr.scores == pytest.approx([(0.5 + 0.75) / 2, 0.1 / 2])


def test_the_best_levels_are_kept():
    plr = ReplayedLevels(MAZE, SHAPE, 4, 1, ReplayConfig(capacity=5, replay=0.0))
    first, second = plr.propose(0), plr.propose(1)
    plr.tell(0, first, games([], []), learner([[4, 1, 3, 2]]))
    plr.tell(1, second, games([], []), learner([[0, 6, 0, 5]]))
    assert sorted(plr.scores.tolist()) == [2, 3, 4, 5, 6]
    expected = {levels.tobytes() for levels in (first[0], first[2], first[3], second[1], second[3])}
    assert {level.tobytes() for level in plr.levels} == expected
    shown, captions = plr.show(2)
    assert (shown[0] == second[1]).all()
    assert captions == ["score 6.000", "score 5.000"]


def test_chances_go_by_rank_and_staleness():
    plr = ReplayedLevels(MAZE, SHAPE, 2, 1, ReplayConfig(temperature=0.5, staleness=0.25))
    plr.levels, plr.scores, plr.played = np.zeros((3, *SHAPE), np.uint8), np.array([1.0, 9.0, 4.0]), np.array([2, 8, 4])
    ranks = np.array([1 / 9, 1, 1 / 4])
    stale = np.array([8, 2, 6])
    assert plr.chances(10) == pytest.approx(0.75 * ranks / ranks.sum() + 0.25 * stale / stale.sum())


def test_replayed_levels_are_scored_anew():
    plr = ReplayedLevels(MAZE, SHAPE, 2, 1, ReplayConfig(replay=1.0))
    plr.tell(0, plr.propose(0), games([], []), learner([[5, 1]]))
    again = plr.propose(1)
    assert plr.trains
    assert {level.tobytes() for level in again} == {level.tobytes() for level in plr.levels}
    assert plr.tell(1, again, games([], []), learner([[2, 2]]))["replayed"] == 1
    assert plr.scores.tolist() == [2, 2]
    assert plr.played.tolist() == [1, 1]


def test_robust_replay_learns_from_replayed_levels_only():
    plr = ReplayedLevels(MAZE, SHAPE, 2, 1, ReplayConfig(replay=1.0, fresh="score"))
    levels = plr.propose(0)
    assert not plr.trains
    plr.tell(0, levels, games([], []), learner([[5, 1]]))
    plr.propose(1)
    assert plr.trains


@pytest.mark.parametrize(
    "config",
    [
        {"replay": 2},
        {"staleness": -1},
        {"capacity": 0},
        {"temperature": 0},
        {"score": "value"},
        {"fresh": "no"},
        {"fresh": "score", "replay": 0},
    ],
)
def test_slips_in_replay_are_told(config):
    with pytest.raises(envs.UserError):
        ReplayedLevels(MAZE, SHAPE, 2, 1, ReplayConfig(**config))


def test_an_adversary_learns_what_is_paid():
    """Paid for walls, it builds walls."""
    adversary = Adversary(MAZE, SHAPE, 32, 1)
    first = adversary.design(0)
    assert kept(MAZE.count_rules, first, [tile.name for tile in MAZE.tiles]).all()
    for number in range(12):
        walls = (adversary.design(number) == 1).mean(axis=(1, 2))
        adversary.learn(walls, 1.0)
    last = adversary.design(0)
    assert (last == 1).mean() > (first == 1).mean() + 0.15


def test_the_adversary_is_paid_the_regret(monkeypatch):
    """The antagonist's best discounted return less the learner's mean one, lane by lane."""
    ppo = PlayerPPOConfig(lanes=3, rollout=8, batch=8)
    paired = PairedLevels(MAZE, SHAPE, 3, 1, ppo, PlayerConfig(window=1, width=4), 8)
    levels = paired.propose(0)
    paid = []
    monkeypatch.setattr(paired.antagonist, "rollout", lambda: games([0, 0, 1, 2], [True, False, True, False], 2))
    monkeypatch.setattr(paired.antagonist, "update", dict)
    monkeypatch.setattr(paired.adversary, "learn", lambda rewards, rate: paid.append(rewards))
    theirs = games([0, 1, 1, 2], [False, True, False, True], 1)
    figures = paired.tell(0, levels, theirs, learner([[0, 0, 0]]))
    assert paid[0].tolist() == [0.5, 0.5 - 0.5, 0 - 1]
    assert figures["regret"] == pytest.approx(-0.5 / 3)
    assert paired.show(1)[1] == ["regret 0.50"]


def options(tmp_path, method, **changes):
    settings = {"steps": 256, "lanes": 8, "max_steps": 8, "judge_every": 64, "judge_levels": 5, "shape": SHAPE}
    small = {"ppo": {"batch": "32"}, "network": {"width": "8", "window": "1"}}
    own = {"plr": {"plr": {"replay": "0.7"}}, "paired": {"paired": {"width": "8"}}}
    settings |= small | own.get(method, {})
    return ued.Options(method=method, out=tmp_path, **{**settings, **changes})


@pytest.mark.parametrize("method", ["random", "plr", "paired"])
def test_runs_leave_what_they_found(tmp_path, method, capsys):
    ued.train(options(tmp_path, method))
    folder = tmp_path / "ued" / f"maze-{method}-seed0"
    for name in (
        "config.json",
        "metrics.csv",
        "checkpoint.pt",
        "curves.png",
        "levels.png",
        "levels.txt",
        "evaluation.md",
    ):
        assert (folder / name).stat().st_size, name
    metrics = read_metrics(folder / "metrics.csv")
    assert metrics["steps"].tolist() == [64, 128, 192, 256]
    assert assert_as_written(folder, "evaluation/player/random/mean").drawn == {"curves", "levels"}
    for kind in ("constructed", "random"):
        assert (metrics[f"{kind}_low"] <= metrics[kind]).all()
        assert (metrics[kind] <= metrics[f"{kind}_high"]).all()
    assert np.isfinite(metrics["solvable"]).all()
    assert np.isfinite(metrics["regret"]).all() == (method == "paired")
    assert np.isfinite(metrics["score"]).all() == (method == "plr")
    assert "win rate" in capsys.readouterr().out.lower()
    player = PolicyPlayer.from_pretrained(folder / "player")
    assert player.play(envs.construct("maze", 2, shape=SHAPE), max_steps=8).steps.any()
    record = json.loads((folder / "evaluation.json").read_text())
    assert record["progress"]["steps"] == 256
    with pytest.raises(envs.UserError, match="--resume"):
        ued.train(options(tmp_path, method))


@pytest.mark.parametrize("method", ["plr", "paired"])
def test_resumed_runs_go_on_as_unbroken_ones(tmp_path, method, monkeypatch):
    unbroken = ued.make_run(options(tmp_path / "unbroken", method))
    unbroken.train(lambda *_: None)
    broken = ued.make_run(options(tmp_path / "broken", method))

    def stop(progress, *_):
        # After the second judgement.
        if progress.steps >= 128:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken.train(stop)
    resumed = ued.make_run(options(tmp_path / "broken", method, resume=True))
    assert resumed.progress.steps == 128
    resumed.train(lambda *_: None)
    theirs = unbroken.learner.network.state_dict()
    for name, weights in resumed.learner.network.state_dict().items():
        assert torch.equal(weights, theirs[name]), name
    ours, other = (read_metrics(run.folder / "metrics.csv") for run in (resumed, unbroken))
    for name in set(ours) - {"seconds"}:
        np.testing.assert_array_equal(ours[name], other[name], name)


def test_a_run_goes_on_with_its_own_method_only(tmp_path):
    ued.make_run(options(tmp_path, "random", name="run")).train(lambda *_: None)
    with pytest.raises(envs.UserError, match="another method"):
        ued.make_run(options(tmp_path, "plr", name="run", resume=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--problem", "mace"], "mace"),
        (["--lanes", "1"], "--lanes"),
        (["--plr", "replays", "1"], "replays"),
        (["--method", "random", "--plr", "replay", "1"], "--plr"),
        (["--method", "plr", "--paired", "passes", "2"], "--paired"),
        (["--method", "paired", "--paired", "batch", "0"], "batch"),
        (["--method", "paired", "--paired", "learning_rate", "nan"], "learning_rate"),
        (["--method", "paired", "--paired", "gae_lambda", "2"], "gae_lambda"),
        (["--shape", "1", "1"], "at least"),
    ],
)
def test_slips_on_the_command_line_are_told(tmp_path, arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(ued.Options, ued.train, ["--out", str(tmp_path), "--steps", "64", *arguments])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
