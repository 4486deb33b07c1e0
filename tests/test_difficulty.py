"""Difficulty: what weak and strong players make of levels, as a measure, as a reward, and on the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest

import envs
from agents.players import RandomPlayer, SolverPlayer
from agents.players.difficulty import DifficultyTerm, difficulty
from agents.rewards import LevelTerm
from envs.level_io import write_levels
from experiments import difficulty as experiment
from experiments.run import main
from tests.tracked import read_tensorboard

MAZE = envs.get_problem("maze")

#: Won by any step but up and left, by a walk of four steps, by nobody, and not even begun.
LEVELS = np.stack([MAZE.parse(text.split()) for text in ("@D. D## ...", "@#. .#D ...", "@#. ##. ..D", "@#. ##. ...")])
LEVELS[0, 1, 0] = 0
WEAK, STRONG = RandomPlayer("maze"), SolverPlayer("maze")


def test_regret_is_what_the_strong_win_and_the_weak_do_not():
    found = difficulty(LEVELS, WEAK, STRONG, episodes=200, seed=1, max_steps=8)
    assert found.strong.win_rates.tolist() == [1, 1, 0, 0]
    assert (found.regret == found.strong.win_rates - found.weak.win_rates).all()
    assert found.regret[0] < 0.5 < found.regret[1] < 1
    assert found.regret[2:].tolist() == [0, 0]
    assert found.started.tolist() == [True, True, True, False]
    estimates = found.estimates()
    assert estimates["regret"].low <= found.regret.mean() <= estimates["regret"].high
    assert estimates["strong"].mean == 0.5


def test_equal_players_draw_apart():
    """The weak player's luck is not the strong one's, so that chance shows in both directions."""
    found = difficulty(LEVELS, WEAK, RandomPlayer("maze"), episodes=50, seed=1, max_steps=8)
    assert (found.weak.steps != found.strong.steps).any()


def test_what_a_solver_does_not_know_is_told():
    level = envs.construct("sokoban", 1, seed=1)
    assert difficulty(level, RandomPlayer("sokoban"), SolverPlayer("sokoban", budget=1), 1).unknown.tolist() == [True]


@pytest.mark.parametrize(
    ("aim", "ranks"), [("regret", [1, 2, 0, 0]), ("weak-loses", [1, 2, 3, 0]), ("strong-wins", [1, 1, 0, 0])]
)
def test_rewards_rank_levels(aim, ranks):
    term: LevelTerm = DifficultyTerm(WEAK, STRONG, aim, episodes=50, seed=2, max_steps=20)
    paid = term(LEVELS)
    assert paid.dtype == np.float64
    assert (paid >= 0).all()
    assert (paid <= 1).all()
    assert (paid == term(LEVELS)).all()
    assert np.unique(paid, return_inverse=True)[1].tolist() == ranks


def test_what_cannot_be_started_is_not_played(monkeypatch):
    monkeypatch.setattr(RandomPlayer, "act", lambda *_: pytest.fail("it was played"))
    for aim in ("regret", "weak-loses", "strong-wins"):
        assert DifficultyTerm(WEAK, STRONG, aim)(LEVELS[3:]).tolist() == [0]
    assert len(DifficultyTerm(WEAK, STRONG)(LEVELS[:0])) == 0


def test_slips_are_told():
    with pytest.raises(envs.UserError, match="aim"):
        DifficultyTerm(WEAK, STRONG, "regrets")
    for measure in (
        lambda: DifficultyTerm(WEAK, SolverPlayer("zelda")),
        lambda: difficulty(LEVELS, WEAK, SolverPlayer("zelda")),
    ):
        with pytest.raises(envs.UserError, match="same problem"):
            measure()


def run(*arguments):
    main(experiment.Options, experiment.measure, [str(one) for one in arguments])


def test_levels_of_a_file_are_measured(tmp_path, capsys):
    wide = envs.construct("maze", 2, seed=1, shape=(4, 6))
    write_levels(tmp_path / "levels.txt", [*LEVELS[:2], *wide, LEVELS[3]], MAZE)
    run(
        tmp_path / "levels.txt",
        "--problem",
        "maze",
        "--episodes",
        20,
        "--max-steps",
        8,
        "--players",
        "random",
        "solver",
        "--track",
        "tensorboard",
    )
    table = (tmp_path / "difficulty.md").read_text()
    assert "| random |" in table
    assert "5 levels of maze, 4 of which can be started" in table
    assert "Regret of random against solver" in capsys.readouterr().out
    record = json.loads((tmp_path / "difficulty.json").read_text())
    assert record["win_rates"][1][:2] == [1, 1]
    assert record["win_rates"][1][4] == 0
    assert record["started"] == [True, True, True, True, False]
    told = read_tensorboard(tmp_path)
    assert told.figures["difficulty/wins/solver"][0][1] == pytest.approx(np.mean(record["win_rates"][1]))
    assert told.drawn == {"hardest"}
    assert (tmp_path / "hardest.png").read_bytes()[1:4] == b"PNG"


def test_runs_know_their_problem_and_constructed_levels_are_built(tmp_path):
    write_levels(tmp_path / "levels.txt", list(LEVELS[:2]), MAZE)
    (tmp_path / "config.json").write_text(json.dumps({"options": {"problem": "maze"}}))
    run(tmp_path, "--players", "solver:0.5", "solver", "--episodes", 2)
    assert json.loads((tmp_path / "difficulty.json").read_text())["problem"] == "maze"
    # A generator that was trained further tells its problem by its environment.
    (tmp_path / "config.json").write_text(json.dumps({"options": {}, "environment": {"problem": "maze"}}))
    run(tmp_path, "--players", "random", "solver", "--levels", 2)
    out = tmp_path / "built"
    run("constructed", "--problem", "sokoban", "--levels", 3, "--out", out, "--players", "random", "solver")
    assert len(json.loads((out / "difficulty.json").read_text())["regret"]) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["constructed"], "--problem"),
        (["constructed", "--problem", "maze", "--players", "random"], "at least two"),
        (["constructed", "--problem", "maze", "--players", "random", "sage"], "no player 'sage'"),
        (["constructed", "--problem", "maze", "--players", "random", "solver:x"], "solver:x"),
        (["constructed", "--problem", "maze", "--levels", "0"], "--levels"),
        (["missing.txt", "--problem", "maze"], "missing.txt"),
    ],
)
def test_slips_on_the_command_line_are_told(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
