"""Designers: their networks, the adapter to Stable-Baselines3, training with checkpoints, and what they make."""

from __future__ import annotations

import csv
import dataclasses
import errno
import io
import json
import os
import shutil

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecMonitor

import envs
from agents.baselines import PLAYED_TILES, GreedyDesigner, RandomDesigner, losses_of, neighbours
from agents.designer import CONFIG_FILE, WEIGHTS_FILE, PolicyDesigner, draw_starts, run_episodes
from agents.networks import ActionCode, DesignerNetwork, Interface, NetworkConfig, NetworkRecord
from agents.sb3 import SB3VecEnv
from agents.training import (
    CHECKPOINT_FILE,
    METRICS_FILE,
    PPOConfig,
    Trainer,
    TrainingStoppedError,
)
from envs import UserError
from envs.look_ahead import all_actions
from envs.records import read_metrics
from envs.vector_env import DesignVectorEnv
from generators.devices import check_device
from tests.shapes import FREE_FORMS

torch.set_num_threads(1)

SHAPES = {
    "binary": (5, 6),
    "zelda": (4, 5),
    "sokoban": (4, 4),
    "voxel": (5, 3, 4),
    "smb": (6, 12),
    "loderunner": (5, 6),
}
SMALL = NetworkConfig(width=16, channels=4, blocks=1)
IDS = [(problem, form) for problem in envs.all_problems() for form in FREE_FORMS]


def make(problem, representation, lanes=3, **options):
    shape = SHAPES.get(problem, envs.get_problem(problem).default_shape)
    return DesignVectorEnv(problem, representation, lanes, **{"shape": shape, **options})


def options_of(problem, representation, **options):
    shape = SHAPES.get(problem, envs.get_problem(problem).default_shape)
    return {"problem": problem, "representation": representation, "shape": list(shape), **options}


def tensors(observations):
    return {key: torch.as_tensor(part) for key, part in observations.items()}


def designer_of(problem, representation, *, seed=0, deterministic=False, **options):
    """A designer that has learnt nothing."""
    torch.manual_seed(seed)
    options = options_of(problem, representation, **options)
    network = DesignerNetwork(Interface.of(DesignVectorEnv(**options)), SMALL)
    return PolicyDesigner(network, options, deterministic=deterministic)


def assert_names(call, words, kind=UserError):
    with pytest.raises(kind) as raised:
        call()
    text = str(raised.value)
    for word in words:
        assert str(word) in text, f"{word!r} is not in {text!r}"
    assert text.endswith("."), text
    assert "\n" not in text


# Networks.


@pytest.mark.parametrize("kind", ["auto", "mlp", "conv"])
@pytest.mark.parametrize(("problem", "representation"), IDS)
def test_networks_of_every_environment(problem, representation, kind):
    controls = [envs.get_problem(problem).metrics[0].name]
    for options in ({}, {"look_ahead": True}, {"controls": controls, "frozen_share": 0.3}):
        sensible = envs.get_representation(representation).can_look_ahead
        if options.get("look_ahead") and (representation in ("narrowmulti", "cellular") or not sensible):
            continue
        env = make(problem, representation, **options)
        observations = env.reset(seed=0)[0]
        torch.manual_seed(0)
        network = DesignerNetwork(Interface.of(env), dataclasses.replace(SMALL, kind=kind))
        logits, values = network(tensors(observations))
        code = ActionCode.of(env.single_action_space, len(env.shape))
        assert logits.shape == (3, code.choices, code.options)
        assert values.shape == (3,)
        assert torch.isfinite(logits).all()
        assert torch.isfinite(values).all()
        actions = code.decode(torch.distributions.Categorical(logits=logits).sample().numpy())
        assert env.action_space.contains(actions)
        env.step(actions)


@pytest.mark.parametrize(("problem", "representation"), IDS)
def test_action_codes_reach_every_action_once(problem, representation):
    env = make(problem, representation)
    space = env.single_action_space
    code = ActionCode.of(space, len(env.shape))
    if not code.joint:
        assert isinstance(code.space(), spaces.MultiDiscrete)
        assert code.space() == space
        chosen = np.stack([code.space().sample() for _ in range(5)])
        np.testing.assert_array_equal(code.decode(chosen), chosen)
        return
    assert code.space() == spaces.Discrete(code.options)
    actions = code.decode(np.arange(code.options)[:, None])
    np.testing.assert_array_equal(actions, all_actions(space, len(env.shape)))
    assert all(space.contains(action) for action in actions)
    assert len({tuple(np.atleast_1d(action)) for action in actions}) == code.options == np.prod(code.sizes)


def test_action_codes_know_two_kinds_of_space():
    assert_names(lambda: ActionCode.of(spaces.Box(0, 1, (2,))), ["Discrete", "Box"])


def _cells_that_move(network, observations, place, shape):
    """The options whose logits change with the tile at a place, bool (height, width, tiles)."""
    height, width = shape
    before = network(tensors(observations))[0]
    maps = observations["map"].copy()
    cell = place[0] * width + place[1]
    maps[:, cell] = (maps[:, cell] + 1) % 2
    after = network(tensors({**observations, "map": maps}))[0]
    moved = (before != after)[0]
    if network.code.joint:
        # As an action says it: column, row, tile.
        columns, rows, tiles = network.code.decode(np.arange(network.code.options)[:, None]).T
        found = np.zeros((height, width, tiles.max() + 1), bool)
        found[rows, columns, tiles] = moved[0].numpy()
        return found
    return moved.numpy().reshape(height, width, -1)


@pytest.mark.parametrize(("representation", "look_ahead"), [("wide", False), ("wide", True), ("cellular", False)])
def test_heads_stand_on_their_cells(representation, look_ahead):
    shape, place = (7, 10), (2, 6)
    env = make("binary", representation, 1, shape=shape, look_ahead=look_ahead)
    observations = env.reset(seed=0, options={"levels": np.zeros(shape, np.uint8)})[0]
    torch.manual_seed(1)
    network = DesignerNetwork(Interface.of(env), NetworkConfig(channels=8, blocks=0))
    if look_ahead:
        # Options that change nothing are left out of account: let all change something.
        columns = observations["look_ahead"].reshape(1, -1, network.interface.look_ahead)
        columns[:, :, -1] = 1
    moved = _cells_that_move(network, observations, place, shape)
    rows, columns = np.indices(shape)
    near = (abs(rows - place[0]) <= 2) & (abs(columns - place[1]) <= 2)
    assert moved[place].all()
    assert not moved[~near].any()
    assert moved[near].any(axis=1).mean() > 0.8


@pytest.mark.parametrize(("representation", "look_ahead"), [("wide", False), ("wide", True), ("cellular", False)])
def test_heads_stand_on_their_cells_on_three_axes(representation, look_ahead):
    shape, place = (8, 6, 7), (3, 1, 5)
    env = make("voxel", representation, 1, shape=shape, look_ahead=look_ahead)
    observations = env.reset(seed=0, options={"levels": np.zeros(shape, np.uint8)})[0]
    torch.manual_seed(1)
    network = DesignerNetwork(Interface.of(env), NetworkConfig(channels=8, blocks=0))
    if look_ahead:
        observations["look_ahead"].reshape(1, -1, network.interface.look_ahead)[:, :, -1] = 1
    before = network(tensors(observations))[0]
    maps = observations["map"].copy()
    maps[0, np.ravel_multi_index(place, shape)] = 1
    moved = (before != network(tensors({**observations, "map": maps}))[0])[0].numpy()
    found = np.zeros((*shape, 2), bool)
    if network.code.joint:
        # As an action says it: column, row, storey, tile.
        columns, rows, storeys, tiles = network.code.decode(np.arange(network.code.options)[:, None]).T
        found[storeys, rows, columns, tiles] = moved[0]
    else:
        found = moved.reshape(*shape, -1)
    near = (abs(np.indices(shape) - np.reshape(place, (3, 1, 1, 1))) <= 2).all(axis=0)
    assert found[place].all()
    assert not found[~near].any()
    assert found[near].any(axis=1).mean() > 0.8


@pytest.mark.parametrize("representation", ["wide", "cellular"])
def test_heads_write_their_own_tile(representation):
    env = make("zelda", representation, 2)
    observations = env.reset(seed=0)[0]
    for tile in range(8):
        network = DesignerNetwork(Interface.of(env), SMALL)
        with torch.no_grad():
            network.body.policy.bias[tile] += 100
        actions = network.code.decode(network(tensors(observations))[0].argmax(dim=2).numpy())
        assert (actions[:, 2:] == tile).all() if representation == "wide" else (actions == tile).all()


@pytest.mark.parametrize("representation", ["narrow", "turtle", "wide", "narrowcast", "turtlecast"])
def test_scorers_prefer_what_looking_ahead_shows_to_be_better(representation):
    env = make("zelda", representation, 1, look_ahead=True)
    observations = env.reset(seed=0)[0]
    torch.manual_seed(0)
    network = DesignerNetwork(Interface.of(env), SMALL)
    actions = all_actions(env.single_action_space)
    for option in range(0, len(actions), 7):
        shown = np.zeros((len(actions), network.interface.look_ahead), np.float32)
        shown[:, -1] = 1
        shown[option, 2] = 20
        chosen = network(tensors({**observations, "look_ahead": shown.reshape(1, -1)}))[0].argmax(dim=2)
        np.testing.assert_array_equal(network.code.decode(chosen.numpy())[0], actions[option])


@pytest.mark.parametrize(("representation", "look_ahead"), [("wide", True), ("cellular", False), ("turtle", True)])
def test_descriptions_build_the_same_network_again(representation, look_ahead):
    env = make("sokoban", representation, look_ahead=look_ahead, controls=["crate"])
    network = DesignerNetwork(Interface.of(env), SMALL)
    record = NetworkRecord.parse(json.loads(json.dumps(network.description())))
    assert (record.interface, record.network) == (network.interface, network.config)
    again = record.build()
    again.load_state_dict(network.state_dict())
    observations = tensors(env.reset(seed=0)[0])
    for ours, theirs in zip(network(observations), again(observations), strict=True):
        assert torch.equal(ours, theirs)


def _damage(path, value):
    def damaged(description):
        *way, last = path
        for key in way:
            description = description[key]
        if value is KeyError:
            del description[last]
        else:
            description[last] = value

    return damaged


DAMAGES = [
    _damage(["interface"], KeyError),
    _damage(["network"], KeyError),
    _damage(["interface"], "small"),
    _damage(["network"], None),
    _damage(["network", "kind"], "transformer"),
    _damage(["network", "kind"], "scorer"),
    _damage(["network", "kind"], ["mlp"]),
    _damage(["network", "layers"], 3),
    _damage(["network", "width"], -4),
    _damage(["network", "width"], "wide"),
    _damage(["network", "channels"], 0),
    _damage(["interface", "tiles"], KeyError),
    _damage(["interface", "tiles"], -3),
    _damage(["interface", "map_shape"], 5),
    _damage(["interface", "map_shape"], [4]),
    _damage(["interface", "sizes"], "many"),
    _damage(["interface", "colour"], 1),
]


@pytest.mark.parametrize("damage", range(len(DAMAGES)))
def test_damaged_descriptions(damage):
    env = make("binary", "wide")
    description = json.loads(json.dumps(DesignerNetwork(Interface.of(env), SMALL).description()))
    DAMAGES[damage](description)
    assert_names(lambda: NetworkRecord.parse(description).build(), [])


def test_networks_that_cannot_be():
    interface = Interface.of(make("binary", "narrow"))
    assert_names(lambda: DesignerNetwork(interface, NetworkConfig(kind="mpl")), ["'mpl'", "did you mean 'mlp'", "conv"])
    assert_names(lambda: DesignerNetwork(interface, NetworkConfig(kind="scorer")), ["look_ahead", "conv"])
    assert_names(lambda: DesignerNetwork(interface, NetworkConfig(width=0)), ["width", "at least", "0"])


@pytest.mark.parametrize("name", ["cuda:99", "abacus", ""])
def test_devices_that_are_not_there(name):
    assert check_device("cpu") == "cpu"
    assert_names(lambda: check_device(name), [repr(name), "cpu"])


# Stable-Baselines3.


@pytest.mark.parametrize("representation", ["narrow", "turtlecast", "wide", "cellular"])
def test_the_adapter_is_the_batched_environment(representation):
    settings = {"step_limit": 6, "frozen_share": 0.2, "autoreset_mode": "SameStep"}
    adapter = SB3VecEnv(make("zelda", representation, 4, **settings))
    batch = make("zelda", representation, 4, **settings)
    assert adapter.seed(3) == [3, 4, 5, 6]
    ours, theirs = adapter.reset(), batch.reset(seed=3)[0]
    adapter.action_space.seed(0)
    returns = np.zeros(4)
    ends = cuts = 0
    for _ in range(30):
        for key, part in theirs.items():
            np.testing.assert_array_equal(ours[key], part)
            assert ours[key].dtype == part.dtype
        chosen = np.stack([adapter.action_space.sample() for _ in range(4)])
        ours, rewards, done, infos = adapter.step(chosen)
        theirs, their_rewards, terminations, truncations, their_infos = batch.step(
            adapter.code.decode(chosen.reshape(4, -1))
        )
        np.testing.assert_array_equal(rewards, their_rewards.astype(np.float32))
        assert rewards.dtype == np.float32
        np.testing.assert_array_equal(done, terminations | truncations)
        returns += their_rewards
        assert ("return" in adapter.ended) == done.any()
        for lane in range(4):
            if not done[lane]:
                assert infos[lane] == {}
                continue
            ends, cuts = ends + 1, cuts + truncations[lane]
            final = their_infos["final_info"]
            assert infos[lane]["TimeLimit.truncated"] == truncations[lane]
            assert infos[lane]["is_success"] == final["success"][lane]
            assert infos[lane]["episode"]["r"] == pytest.approx(returns[lane])
            assert infos[lane]["episode"]["l"] == final["steps"][lane]
            last = infos[lane]["terminal_observation"]
            assert adapter.observation_space.contains(last)
            for key, part in their_infos["final_obs"][lane].items():
                np.testing.assert_array_equal(last[key], part)
        if done.any():
            np.testing.assert_allclose(adapter.ended["return"], returns[done])
            np.testing.assert_array_equal(adapter.ended["length"], their_infos["final_info"]["steps"][done])
            np.testing.assert_array_equal(adapter.ended["regions"], their_infos["final_info"]["regions"][done])
        returns[done] = 0
    assert ends > 4
    assert cuts > 0 or representation == "cellular"


def test_the_adapter_answers_what_the_library_asks():
    batch = make("binary", "narrow", 3, autoreset_mode="SameStep", render_mode="rgb_array", tile_size=8)
    adapter = SB3VecEnv(batch)
    level = np.ones((5, 6), np.uint8)
    adapter.set_options({"levels": level})
    adapter.reset()
    assert (batch.levels == level).all()
    adapter.reset()
    assert not (batch.levels == level).all()
    assert_names(lambda: adapter.set_options([{}, {}, {}]), ["one dictionary"])
    assert adapter.get_attr("shape", [0, 2]) == [(5, 6), (5, 6)]
    assert adapter.env_is_wrapped(VecMonitor) == [False] * 3
    assert adapter.env_method("render", indices=[1])[0][2].shape == adapter.get_images()[2].shape
    images = adapter.get_images()
    assert len(images) == 3
    assert images[0].dtype == np.uint8
    adapter.set_attr("note", "kept")
    assert adapter.get_attr("note") == ["kept"] * 3
    adapter.close()


@pytest.mark.parametrize("mode", ["NextStep", "Disabled"])
def test_the_adapter_needs_the_same_step_mode(mode):
    assert_names(lambda: SB3VecEnv(make("binary", "narrow", autoreset_mode=mode)), ["SameStep", mode])


@pytest.mark.parametrize("representation", ["narrow", "wide", "cellular"])
def test_the_librarys_own_policy_trains(representation):
    adapter = VecMonitor(SB3VecEnv(make("binary", representation, 4, step_limit=8, autoreset_mode="SameStep")))
    model = PPO(
        "MultiInputPolicy", adapter, n_steps=8, batch_size=16, n_epochs=1, seed=0, policy_kwargs={"net_arch": [8]}
    )
    before = {name: weights.clone() for name, weights in model.policy.state_dict().items()}
    model.learn(64)
    assert model.num_timesteps == 64
    assert any((before[name] != weights).any() for name, weights in model.policy.state_dict().items())
    mean, _ = evaluate_policy(model, adapter, n_eval_episodes=4)
    assert np.isfinite(mean)


# Training.

PPO_CONFIG = PPOConfig(steps=512, lanes=8, rollout=16, batch=32, epochs=2, checkpoint_seconds=0)


def trainer_of(folder, problem="binary", representation="narrow", seed=0, network=SMALL, environment=None, **ppo):
    options = options_of(problem, representation, **{"step_limit": 12, **(environment or {})})
    folder.mkdir(exist_ok=True)
    return Trainer(options, dataclasses.replace(PPO_CONFIG, **ppo), network, folder, seed=seed)


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
    reports = []
    progress = trainer.learn(lambda progress, share, means: reports.append((progress.steps, share)))
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
    assert list((tmp_path / "tensorboard").iterdir())
    assert (tmp_path / CHECKPOINT_FILE).exists()
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
    trainer = trainer_of(tmp_path, "zelda", "narrow", environment=environment, reward_scale=0.5, success_bonus=3.0)
    plain = SB3VecEnv(DesignVectorEnv(num_envs=8, autoreset_mode="SameStep", **trainer.env_options))
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


def _full_disk(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_the_old_checkpoint_whole(tmp_path, monkeypatch):
    trainer = trainer_of(tmp_path, steps=256)
    trainer.learn()
    path = tmp_path / CHECKPOINT_FILE
    before, files = path.read_bytes(), sorted(tmp_path.iterdir())
    monkeypatch.setattr(os, "fsync", _full_disk)
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


# Designers.

DESIGN_IDS = [
    ("binary", "narrow", {}),
    ("binary", "turtlecast", {"look_ahead": True}),
    ("zelda", "wide", {"look_ahead": True}),
    ("zelda", "narrowmulti", {}),
    ("sokoban", "narrowcast", {"look_ahead": True, "crop": [3, 3]}),
    ("sokoban", "cellular", {}),
    ("voxel", "narrow", {}),
    ("voxel", "turtle", {"look_ahead": True, "crop": [3, 3, 3]}),
    ("voxel", "wide", {"look_ahead": True}),
    ("voxel", "cellular", {}),
]


def all_designers(problem, representation, options):
    yield designer_of(problem, representation, **options)
    yield RandomDesigner(options_of(problem, representation, **options))
    if representation == "narrow":
        yield GreedyDesigner(problem)


@pytest.mark.parametrize(("problem", "representation", "options"), DESIGN_IDS)
def test_designers_keep_to_their_budget_and_to_frozen_tiles(problem, representation, options):
    shape = SHAPES[problem]
    cells = int(np.prod(shape))
    starts = draw_starts(envs.get_problem(problem), 5, 3, shape)
    frozen = np.random.default_rng(0).random((5, *shape)) < 0.4
    for designer in all_designers(problem, representation, {**options, "step_limit": 60}):
        for mask in (None, frozen, frozen[0]):
            designs = designer.design(starts, seed=1, frozen=mask, record=True)
            np.testing.assert_array_equal(designs.starts, starts)
            different = designs.levels != starts
            assert different.any()
            assert different.reshape(5, -1).sum(axis=1).max() <= max(int(0.2 * cells), 1)
            np.testing.assert_allclose(designs.changed, different.reshape(5, -1).mean(axis=1))
            if mask is not None:
                assert not different[np.broadcast_to(mask, different.shape)].any()
            task = designer.problem
            measured = [task.measure(levels) for levels in (designs.levels, starts)]
            np.testing.assert_array_equal(designs.success, task.succeeded(*measured))
            assert not (designs.strict_success & ~designs.success).any()
            assert designs.steps.min() >= 1 or designer.name == "hill climber"
            assert designs.steps.max() <= 60
            assert designs.seconds > 0
            np.testing.assert_array_equal(designs.history[0], starts[0])
            np.testing.assert_array_equal(designs.history[-1], designs.levels[0])
            for before, after in zip(designs.history, designs.history[1:], strict=False):
                assert (before != after).any()


@pytest.mark.parametrize(("problem", "representation", "options"), DESIGN_IDS)
def test_equal_seeds_design_equal_levels(problem, representation, options):
    for designer in all_designers(problem, representation, {**options, "step_limit": 30}):
        first, second, other = (designer.design(count=3, seed=seed) for seed in (4, 4, 5))
        np.testing.assert_array_equal(first.starts, second.starts)
        np.testing.assert_array_equal(first.levels, second.levels)
        assert (first.starts != other.starts).any()
        assert first.history == []


def test_equal_seeds_give_all_designers_the_same_start_levels():
    shape = envs.get_problem("sokoban").default_shape
    options = {"problem": "sokoban", "representation": "wide", "step_limit": 5}
    network = DesignerNetwork(Interface.of(DesignVectorEnv(**options)), SMALL)
    designers = [PolicyDesigner(network, options), RandomDesigner(options), GreedyDesigner("sokoban")]
    starts = [designer.design(count=4, seed=8).starts for designer in designers]
    for one in starts:
        np.testing.assert_array_equal(one, draw_starts(envs.get_problem("sokoban"), 4, 8, shape))


@pytest.mark.parametrize("problem", envs.all_problems())
def test_the_hill_climber_only_climbs_and_stops_at_the_top(problem):
    task = envs.get_problem(problem)
    designer = GreedyDesigner(problem, change_share=None)
    shape = SHAPES.get(problem, task.default_shape)
    starts = draw_starts(task, 4, 2, shape)
    designs = designer.design(starts, seed=0, record=True)
    losses = losses_of(task, np.stack(designs.history))
    assert (np.diff(losses) < 0).all()
    assert len(designs.history) == designs.steps[0] + 1
    for level, success in zip(designs.levels, designs.success, strict=True):
        candidates, _ = neighbours(level, len(task.tiles))
        if candidates.size > PLAYED_TILES:
            # Not all edits were tried: there is no telling whether this is the top.
            continue
        at_the_top = losses_of(task, candidates).min() >= losses_of(task, level[None])[0]
        assert success or at_the_top


def test_the_hill_climbers_loss_is_the_environments():
    env = make("zelda", "wide", 1, change_share=None, end_on_success=False)
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(25):
        before = losses_of(env.problem, env.levels)[0]
        reward = env.step(env.action_space.sample())[1][0]
        assert reward == pytest.approx(before - losses_of(env.problem, env.levels)[0], abs=1e-5)


def test_neighbours_are_all_levels_one_edit_away():
    level = np.random.default_rng(0).integers(0, 3, (2, 4)).astype(np.uint8)
    frozen = np.zeros((2, 4), np.bool_)
    frozen[1, 2] = True
    levels, edits = neighbours(level, 3, frozen)
    assert len(levels) == 7 * 2 == len({one.tobytes() for one in levels})
    for one, (row, column, tile) in zip(levels, edits, strict=True):
        assert (one != level).sum() == 1
        assert one[row, column] == tile != level[row, column]
    assert not (levels[:, 1, 2] != level[1, 2]).any()
    assert len(neighbours(level, 3, np.ones((2, 4), np.bool_))[0]) == 0


@pytest.mark.parametrize("mask", [np.ones((3, 3), np.bool_), np.ones((5, 6), np.uint8)])
def test_frozen_tiles_of_another_shape(mask):
    starts = draw_starts(envs.get_problem("binary"), 2, 0, (5, 6))
    for designer in (GreedyDesigner("binary"), RandomDesigner(options_of("binary", "wide"))):
        assert_names(lambda designer=designer: designer.design(starts, frozen=mask), ["frozen", "(5, 6)"])


def test_everything_frozen_leaves_everything_as_it_is():
    starts = draw_starts(envs.get_problem("binary"), 2, 0, (5, 6))
    for designer in all_designers("binary", "narrow", {"step_limit": 8}):
        designs = designer.design(starts, seed=0, frozen=np.ones((5, 6), np.bool_))
        np.testing.assert_array_equal(designs.levels, starts)


def test_episodes_end_as_the_environment_says():
    """Each lane's level, steps and success are those of its first end, whatever later episodes come to."""
    env = make("binary", "wide", 6, step_limit=9)
    starts = draw_starts(env.problem, 6, 0, env.shape)
    env.action_space.seed(2)
    actions = [env.action_space.sample() for _ in range(40)]
    feed = iter(actions)
    designs = run_episodes(env, lambda _: next(feed), starts, seed=3)
    plain = make("binary", "wide", 6, step_limit=9)
    plain.reset(seed=3, options={"levels": starts})
    over = np.zeros(6, np.bool_)
    for action in actions:
        _, _, terminations, truncations, infos = plain.step(action)
        for lane in ((terminations | truncations) & ~over).nonzero()[0]:
            np.testing.assert_array_equal(designs.levels[lane], plain.levels[lane])
            assert designs.steps[lane] == infos["steps"][lane]
            assert designs.success[lane] == infos["success"][lane]
        over |= terminations | truncations
        if over.all():
            break
    assert over.all()


# Saved designers.


@pytest.fixture
def saved(tmp_path):
    designer = designer_of("zelda", "turtle", look_ahead=True, crop=[3, 3])
    designer.facts = {"training": {"steps": 7}}
    designer.save_pretrained(tmp_path / "designer", "a card")
    return tmp_path / "designer"


@pytest.mark.parametrize("deterministic", [False, True])
def test_a_saved_designer_designs_the_same_levels(saved, deterministic):
    before = designer_of("zelda", "turtle", look_ahead=True, crop=[3, 3], deterministic=deterministic)
    after = PolicyDesigner.from_pretrained(saved, deterministic=deterministic)
    assert after.env_options == before.env_options
    assert after.facts == {"training": {"steps": 7}}
    assert (saved / "card.md").read_text() == "a card"
    first, second = (designer.design(count=4, seed=6, record=True) for designer in (before, after))
    np.testing.assert_array_equal(first.levels, second.levels)
    np.testing.assert_array_equal(first.steps, second.steps)
    assert len(first.history) == len(second.history)


def _edit(**changes):
    def edit(folder):
        config = json.loads((folder / CONFIG_FILE).read_text())
        for name, value in changes.items():
            config[name] = {**config[name], **value} if isinstance(value, dict) else value
        (folder / CONFIG_FILE).write_text(json.dumps(config))

    return edit


def _other_weights(folder):
    designer_of("zelda", "wide").save_pretrained(folder.parent / "other", "")
    shutil.copy(folder.parent / "other" / WEIGHTS_FILE, folder / WEIGHTS_FILE)


@pytest.mark.parametrize(
    ("damage", "file"),
    [
        (lambda folder: (folder / CONFIG_FILE).unlink(), CONFIG_FILE),
        (lambda folder: (folder / CONFIG_FILE).write_text("{"), CONFIG_FILE),
        (lambda folder: (folder / CONFIG_FILE).write_bytes(b"\xff\xfe\x00"), CONFIG_FILE),
        (lambda folder: (folder / CONFIG_FILE).write_text("[1, 2]"), CONFIG_FILE),
        (_edit(kind="generator"), CONFIG_FILE),
        (_edit(environment=None), CONFIG_FILE),
        (_edit(environment={"problem": "nethack"}), CONFIG_FILE),
        (_edit(environment={"shape": [6, 6]}), CONFIG_FILE),
        (_edit(environment={"colour": "red"}), CONFIG_FILE),
        (_edit(environment={"representation": "wide"}), CONFIG_FILE),
        (_edit(network={"kind": "oracle"}), CONFIG_FILE),
        (_edit(network="large"), CONFIG_FILE),
        (_edit(interface=None), CONFIG_FILE),
        (_edit(network={"width": 8}), WEIGHTS_FILE),
        (lambda folder: (folder / WEIGHTS_FILE).unlink(), WEIGHTS_FILE),
        (lambda folder: (folder / WEIGHTS_FILE).write_bytes(b""), WEIGHTS_FILE),
        (lambda folder: (folder / WEIGHTS_FILE).write_bytes(b"x" * 100), WEIGHTS_FILE),
        (lambda folder: (folder / WEIGHTS_FILE).write_bytes((folder / WEIGHTS_FILE).read_bytes()[:-5]), WEIGHTS_FILE),
        (_other_weights, WEIGHTS_FILE),
    ],
)
def test_damaged_designers(saved, damage, file):
    damage(saved)
    assert_names(lambda: PolicyDesigner.from_pretrained(saved), [saved / file])


def test_a_full_disk_leaves_the_old_designer_whole(saved, monkeypatch):
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    monkeypatch.setattr(os, "fsync", _full_disk)
    other = designer_of("zelda", "turtle", seed=9, look_ahead=True, crop=[3, 3])
    assert_names(lambda: other.save_pretrained(saved, "new"), [saved, "no space left"])
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before


def test_a_designer_cannot_be_saved_in_a_file(tmp_path):
    (tmp_path / "file").write_text("here")
    designer = designer_of("binary", "narrow")
    assert_names(lambda: designer.save_pretrained(tmp_path / "file" / "designer", ""), [tmp_path, "another folder"])
    assert (tmp_path / "file").read_text() == "here"


def test_acting_draws_from_the_designers_own_numbers():
    designer = designer_of("binary", "narrow")
    observations = designer.make_env(50).reset(seed=0)[0]
    designer.seed(1)
    first = designer.act(observations)
    torch.rand(3)
    designer.seed(1)
    np.testing.assert_array_equal(designer.act(observations), first)
    assert len(set(first.tolist())) == 3
    certain = designer_of("binary", "narrow", deterministic=True)
    np.testing.assert_array_equal(certain.act(observations), certain.act(observations))
