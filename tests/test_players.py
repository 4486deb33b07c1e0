"""Players: who wins what, the same each time, saved and loaded, trained and resumed."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import envs
from agents.players import Player, PolicyPlayer, RandomPlayer, SolverPlayer
from agents.players.networks import PlayerConfig, PlayerInterface, PlayerNetwork
from agents.players.ppo import PlayerLearner, PlayerPPOConfig, PlayerTrainer, PlayVecEnv, whole_batch
from agents.players.scatter import scatter
from envs.play_env import PlayEnv
from envs.play_vector_env import PlayVectorEnv

MAZE = envs.get_problem("maze")
PLAYABLE = [name for name, problem in envs.all_problems().items() if problem.rules]
TINY = PlayerPPOConfig(lanes=8, rollout=16, batch=64, epochs=2)
SMALL = PlayerConfig(window=2, width=16)


def mazes(*texts):
    return np.stack([MAZE.parse(text.split()) for text in texts])


#: Won by one step, by walking round, by nobody, and not even begun.
LEVELS = mazes("@D. ### ...", "@#. .#D ...", "@#. ##. ..D", "@#. ##. ...")


def network(problem="maze", shape=(3, 3), config=SMALL, seed=0):
    torch.manual_seed(seed)
    return PlayerNetwork(PlayerInterface.of(envs.get_rules(problem), shape), config)


def players():
    return [RandomPlayer(MAZE), SolverPlayer(MAZE), SolverPlayer(MAZE, noise=0.3), PolicyPlayer(MAZE, network())]


def test_the_solver_wins_what_can_be_won():
    plays = SolverPlayer("maze").play(LEVELS, episodes=3)
    assert plays.won.tolist() == [[True] * 3, [True] * 3, [False] * 3, [False] * 3]
    assert plays.steps[:, 0].tolist() == [1, 5, 0, 0]
    assert plays.started.tolist() == [True, True, True, False]
    assert not plays.unknown.any()
    assert plays.win_rates.tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("name", PLAYABLE)
def test_solvers_win_constructed_levels_in_as_many_steps_as_they_planned(name):
    levels = envs.construct(name, 2, seed=4)
    plays = SolverPlayer(name).play(levels)
    assert plays.won.all()
    assert plays.steps[:, 0].tolist() == [max(len(found.actions), 1) for found in envs.solve(name, levels)]


@pytest.mark.parametrize("name", PLAYABLE)
def test_networks_play_every_game(name):
    """What the network sees fits every game's board, those with senses and of three axes too."""
    levels = envs.construct(name, 2, seed=4)
    player = PolicyPlayer(name, network(name, levels.shape[1:], PlayerConfig(window=1, width=4)))
    plays = player.play(levels, seed=1, max_steps=5)
    assert (plays.steps <= 5).all()
    assert plays.steps.any()


def test_what_is_not_known_is_told():
    level = envs.construct("sokoban", 1, seed=1)
    plays = SolverPlayer("sokoban", budget=1).play(level)
    assert (plays.won.any(), plays.unknown.tolist()) == (False, [True])


def test_noise_weakens():
    levels = envs.construct("zelda", 30, seed=5)
    rates = [SolverPlayer("zelda", noise=noise).play(levels, seed=1).won.mean() for noise in (0, 0.2, 0.5)]
    rates.append(RandomPlayer("zelda").play(levels, seed=1).won.mean())
    assert rates[0] == 1
    assert rates == sorted(rates, reverse=True)
    assert rates[0] - rates[1] > 0.1
    assert rates[1] - rates[2] > 0.1


@pytest.mark.parametrize("player", players(), ids=lambda player: player.name)
def test_equal_seeds_play_equally_whatever_else_is_played(player: Player):
    levels = envs.construct("maze", 6, seed=3, shape=(5, 5))
    some, all_ = player.play(levels[:2], seed=7, episodes=2), player.play(levels, seed=7, episodes=3)
    assert (some.steps == all_.steps[:2, :2]).all()
    assert (some.won == all_.won[:2, :2]).all()
    other = player.play(levels, seed=8, episodes=3)
    assert player.alike == (other.steps == all_.steps).all()


def test_a_policys_games_are_the_play_environments():
    """The player, asked step by step in the single environment, takes as many steps as `play` says."""
    level = envs.construct("maze", 1, seed=3, shape=(5, 5))
    player = PolicyPlayer("maze", network(), deterministic=True)
    plays = player.play(level, max_steps=30)
    env = PlayEnv("maze", level, max_steps=30)
    seen, _ = env.reset(seed=0)
    steps, over = 0, False
    while not over:
        with torch.no_grad():
            logits, _ = player.network.look(torch.as_tensor(seen)[None], None, (5, 5))
        seen, _, terminated, truncated, info = env.step(int(logits.argmax()))
        steps, over = steps + 1, terminated or truncated
    assert (plays.steps[0, 0], plays.won[0, 0]) == (steps, info["won"])


@pytest.mark.parametrize("name", ["maze", "voxel"])
@pytest.mark.parametrize("window", [0, 2])
def test_a_centred_view_is_the_board_around_the_player(name, window):
    levels = scatter("maze", 5, 1, (4, 6)) if name == "maze" else envs.construct(name, 3, seed=1)
    rules, shape = envs.get_rules(name), levels.shape[1:]
    net = network(name, shape, PlayerConfig(window=window, width=4))
    boards = rules.boards(np.stack([rules.start(level) for level in levels])).reshape(-1, *shape)
    padded = torch.nn.functional.pad(
        torch.as_tensor(boards.reshape(len(boards), -1)).long(), (0, 1), value=len(rules.sprites)
    )
    for i, board in enumerate(boards):
        place = np.argwhere(np.isin(board, rules.heroes()))[0]
        flat = int(np.ravel_multi_index(place, shape))
        seen = padded[i][net._table(shape)[flat]].reshape(net.view_shape).numpy()
        reach = window or max(shape)
        wide = np.pad(board, reach, constant_values=len(rules.sprites))
        around = tuple(
            slice(p + reach - size // 2, p + reach + size // 2 + 1)
            for p, size in zip(place, net.view_shape, strict=True)
        )
        assert (seen == wide[around]).all()


def test_saved_players_play_on(tmp_path):
    player = PolicyPlayer("maze", network(), {"training": {"steps": 3}})
    player.save_pretrained(tmp_path / "player", "# A player\n")
    loaded = PolicyPlayer.from_pretrained(tmp_path / "player")
    levels = envs.construct("maze", 4, seed=3, shape=(6, 5))
    assert (loaded.play(levels, seed=1).steps == player.play(levels, seed=1).steps).all()
    assert loaded.facts == player.facts
    assert {file.name for file in (tmp_path / "player").iterdir()} == {"config.json", "model.safetensors", "card.md"}


def test_saved_players_load_without_stable_baselines3(tmp_path):
    PolicyPlayer("maze", network()).save_pretrained(tmp_path, "")
    code = (
        "import sys; from agents.players import PolicyPlayer, SolverPlayer; "
        f"PolicyPlayer.from_pretrained({str(tmp_path)!r}); "
        "assert not {'stable_baselines3', 'ray', 'pygame'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("config.json", lambda text: text.replace('"player"', '"designer"'), "does not describe a player"),
        ("config.json", lambda text: text.replace('"maze"', '"zelda"'), "does not fit its problem"),
        ("config.json", lambda text: text.replace('"maze"', '"mace"'), "mace"),
        ("config.json", lambda text: text.replace('"width": 16', '"width": "x"'), "width"),
        ("config.json", lambda text: text.replace('"width": 16', '"width": 17'), "another network"),
        ("config.json", lambda text: text.replace('"sprites"', '"sprite"'), "no description"),
        ("config.json", lambda text: text[:40], "not JSON"),
        ("model.safetensors", lambda text: text[:40], "damaged"),
        ("model.safetensors", None, "cannot be read"),
    ],
)
def test_damaged_players_are_refused(tmp_path, file, change, message):
    PolicyPlayer("maze", network()).save_pretrained(tmp_path, "")
    path = tmp_path / file
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes().decode("latin-1")).encode("latin-1"))
    with pytest.raises(envs.UserError, match=message):
        PolicyPlayer.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("slip", "message"),
    [
        (lambda: SolverPlayer("maze", noise=1.5), "noise"),
        (lambda: SolverPlayer("maze", budget=0), "budget"),
        (lambda: RandomPlayer("maze").play(LEVELS, episodes=0), "episodes"),
        (lambda: RandomPlayer("maze").play(LEVELS, max_steps=0), "max_steps"),
        (lambda: RandomPlayer("maze").play(LEVELS, seed=-1), "seed"),
        (lambda: PolicyPlayer("maze", network(config=PlayerConfig(window=0))).play(LEVELS[:, :2]), "shape"),
        (lambda: network(config=PlayerConfig(view="round")), "view"),
        (lambda: network(config=PlayerConfig(width=1)), "width"),
        (lambda: PlayVecEnv(PlayVectorEnv("maze", 2)), "SameStep"),
        (lambda: PlayerPPOConfig(lanes=1, rollout=1).check(), "lanes times rollout"),
        (lambda: PlayerPPOConfig(learning_rate=float("nan")).check(), "finite"),
        (lambda: PlayerPPOConfig(gamma=1.5).check(), "gamma"),
        (lambda: PlayerPPOConfig(threads=0).check(), "threads must be from 1 to 256"),
    ],
)
def test_slips_are_told(slip, message):
    with pytest.raises(envs.UserError, match=message):
        slip()


def test_batches_are_whole():
    assert [whole_batch(*sizes) for sizes in ((128, 64), (100, 64), (7, 5), (10, 99))] == [64, 50, 1, 10]


def trainer(folder, steps=512, seed=3, **options):
    levels = envs.construct("maze", 4, seed=3, shape=(4, 4))
    return PlayerTrainer(
        "maze", levels, folder, steps=steps, ppo=TINY, network=SMALL, max_steps=16, seed=seed, **options
    )


def test_equal_seeds_train_equal_players(tmp_path):
    weights = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        (tmp_path / name).mkdir()
        torch.manual_seed(len(weights))
        training = trainer(tmp_path / name, seed=seed)
        assert training.learn().steps == 512
        weights.append(torch.cat([part.flatten() for part in training.player().network.state_dict().values()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_trainings_go_on_from_their_checkpoint(tmp_path):
    first = trainer(tmp_path, steps=256)
    first.learn()
    second = trainer(tmp_path, steps=512)
    second.resume()
    for ours, theirs in zip(second.learner.network.parameters(), first.learner.network.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    shares = []
    progress = second.learn(lambda _, share, __: shares.append(share))
    assert (progress.steps, progress.updates, shares[0]) == (512, 4, 0.75)
    rows = (tmp_path / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["steps", "128", "256", "384", "512"]


def test_an_interrupted_training_leaves_a_checkpoint(tmp_path):
    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path).learn(interrupt)
    resumed = trainer(tmp_path)
    resumed.resume()
    assert resumed.progress.steps == 128


def test_weights_that_are_no_numbers_stop_a_training(tmp_path, monkeypatch):
    training = trainer(tmp_path)
    training.save_checkpoint()
    before = training.checkpoint.read_bytes()

    def spoil():
        with torch.no_grad():
            next(training.learner.network.parameters())[0] = float("nan")
        return {}

    monkeypatch.setattr(training.learner, "update", spoil)
    with pytest.raises(envs.UserError, match="last good weights"):
        training.learn()
    assert training.checkpoint.read_bytes() == before


def test_checkpoints_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(envs.UserError, match="nothing to resume"):
        trainer(tmp_path).resume()
    trainer(tmp_path).checkpoint.write_bytes(b"no checkpoint")
    with pytest.raises(envs.UserError, match="damaged"):
        trainer(tmp_path).resume()
    with pytest.raises(envs.UserError, match="training time"):
        trainer(tmp_path, steps=0)


def test_players_learn():
    """On open little mazes a player learns to walk to the door in seconds."""
    levels = scatter("maze", 100, 1, (4, 4))
    levels = levels[[found.solved for found in envs.solve("maze", levels)]]
    learner = PlayerLearner("maze", levels, PlayerPPOConfig(lanes=32, rollout=32), SMALL, max_steps=16, seed=1)
    learner.set_seed(1)
    for _ in range(25):
        learner.rollout()
        learner.update()
    trained = learner.player().play(levels, max_steps=16).won.mean()
    assert trained > RandomPlayer("maze").play(levels, max_steps=16).won.mean() + 0.25


def test_saved_configurations_are_plain(tmp_path):
    PolicyPlayer("zelda", network("zelda", (7, 11))).save_pretrained(tmp_path, "")
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["kind"], config["problem"], config["interface"]["shape"]) == ("player", "zelda", [7, 11])
