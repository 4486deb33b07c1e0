"""Levels written decision by decision: as a tile LM decides, to the end, with masks, frozen tiles and rewards."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch

import envs
from envs import UserError
from envs.checks import check_vector_env
from envs.vector_env import DesignVectorEnv
from generators.corpus import corpus_of_levels
from generators.decisions import TileSequence
from generators.passes import Passes, paths_of
from generators.spec import LevelSpec

PATHS = ((1, 2, 4), (0,), (1, 3), (1, 2, 5), (1, 2, 6))


def make(lanes=4, mode="Disabled", **options):
    return DesignVectorEnv("sokoban", "sequence", lanes, autoreset_mode=mode, **options)


def walled(shape):
    constant = np.full(shape, -1)
    constant[[0, -1]] = constant[:, [0, -1]] = 1
    return constant


def drive(env, levels, sequence, reset):
    """Writes levels by the decisions that a tile LM would make, and checks every step against them."""
    decisions = sequence.decisions(torch.from_numpy(levels.astype(np.int64)))
    observations, _ = env.reset(seed=0, options=reset)
    lanes = np.arange(len(levels))
    done = np.zeros(len(levels), np.bool_)
    total = int(decisions.real.sum(dim=1).max())
    written = env.levels.copy()
    for step in range(total):
        real = decisions.real[:, step].numpy()
        np.testing.assert_array_equal(real, ~done)
        cells = sequence.cells[decisions.step[:, step]].numpy()
        where = np.stack(np.unravel_index(cells, env.shape), axis=1)
        symbols, stages = decisions.symbol[:, step].numpy(), decisions.stage[:, step].numpy()
        np.testing.assert_array_equal(observations["cursor"][real], where[real])
        np.testing.assert_array_equal(observations["pass"][real, 0], decisions.turn[real, step])
        allowed = sequence.choices[torch.from_numpy(stages)].numpy()
        frozen = env.frozen.reshape(len(levels), -1)[lanes, cells]
        allowed[frozen] = np.arange(sequence.symbols) == symbols[frozen, None]
        np.testing.assert_array_equal(env.action_masks()[real], allowed[real])
        np.testing.assert_array_equal(observations["allowed"][real], allowed[real])
        later = real & ~frozen & (decisions.turn[:, step].numpy() > 0)
        np.testing.assert_array_equal(observations["map"][later, cells[later]], stages[later] - 1)
        observations, _, terminations, truncations, _ = env.step(symbols)
        assert not truncations.any()
        # What lanes do that have begun anew is of no interest.
        fresh = terminations & real
        done |= fresh
        written[fresh] = env.levels[fresh]
    assert done.all()
    return written


def sokoban_sequence(order, constant, shape):
    spec = LevelSpec.of(corpus_of_levels("sokoban", envs.construct("sokoban", 40), repeats=True))
    paths = paths_of(spec, order)
    return TileSequence(Passes(shape, paths, order, constant.reshape(-1), 2)), paths


@pytest.mark.parametrize("order", ["layers", "row", "column", "snake"])
def test_the_decisions_of_a_tile_lm_write_its_levels(order):
    shape = (6, 7)
    sequence, paths = sokoban_sequence(order, walled(shape), shape)
    assert order != "layers" or sequence.passes == 3
    options = {
        "shape": shape,
        "order": "row" if order == "layers" else order,
        "paths": paths,
        "constant": tuple(walled(shape).reshape(-1).tolist()),
    }
    random = np.random.default_rng(0)
    for share in (0, 0.4):
        drawn = random.choice(5, (8, *shape), p=[0.4, 0.3, 0.1, 0.1, 0.1])
        levels = np.where(walled(shape) < 0, drawn, 1).astype(np.uint8)
        frozen = random.random(levels.shape) < share
        starts = np.where(frozen, levels, random.integers(0, 5, levels.shape))
        written = drive(make(8, "NextStep", **options), levels, sequence, {"levels": starts, "frozen": frozen})
        np.testing.assert_array_equal(written, levels)


def test_lanes_of_different_lengths():
    env = make(6, "NextStep", shape=(4, 4), paths=PATHS, end_on_success=True)
    env.reset(seed=3)
    env.action_space.seed(0)
    lengths = []
    for _ in range(160):
        _, _, terminations, truncations, infos = env.step(env.action_space.sample())
        assert not truncations.any()
        lengths += infos["steps"][terminations].tolist()
        assert (infos["steps"] <= 48).all()
    assert len(lengths) > 12
    assert len(set(lengths)) > 3
    assert min(lengths) >= 16


def test_what_is_not_decided_keeps_the_start_levels_tile():
    env = make(1, shape=(3, 3), paths=PATHS)
    start = np.full((3, 3), 3, np.uint8)
    frozen = np.zeros((3, 3), np.bool_)
    frozen[1, 1] = True
    observation, _ = env.reset(options={"levels": start, "frozen": frozen})
    np.testing.assert_array_equal(observation["map"][0], [7, 7, 7, 7, 5, 7, 7, 7, 7])
    assert env.action_masks()[0].nonzero()[0].tolist() == [0, 1]
    for symbol in (1, 0, 1, 0):
        observation = env.step(np.array([symbol]))[0]
    np.testing.assert_array_equal(observation["map"][0], [1, 0, 1, 0, 5, 7, 7, 7, 7])
    np.testing.assert_array_equal(env.levels[0].reshape(-1), [3, 1, 3, 1, 3, 3, 3, 3, 3])
    assert env.action_masks()[0].nonzero()[0].tolist() == [1], "the frozen cell's own symbol in this pass"
    # What is not allowed is taken as the first that is.
    for symbol in (0, 6, 0, 0, 0):
        observation, _, terminations, _, _ = env.step(np.array([symbol]))
    np.testing.assert_array_equal(observation["map"][0], [1, 0, 1, 0, 5, 0, 0, 0, 0])
    assert observation["cursor"].tolist() == [[0, 0]]
    assert observation["pass"].tolist() == [[1]]
    assert env.action_masks()[0].nonzero()[0].tolist() == [2, 3]
    decided = []
    for symbol in (3, 2, 2, 6, 5):
        assert not terminations.any()
        decided.append((*observation["cursor"][0].tolist(), int(observation["pass"][0, 0])))
        observation, _, terminations, _, infos = env.step(np.array([symbol]))
    assert decided == [(0, 0, 1), (0, 2, 1), (1, 1, 1), (0, 2, 2), (1, 1, 2)]
    assert terminations.all()
    assert env.action_masks().all()
    np.testing.assert_array_equal(env.levels[0].reshape(-1), [2, 1, 4, 1, 3, 1, 1, 1, 1])
    assert infos["steps"] == 14
    with pytest.raises(UserError, match="have ended"):
        env.step(np.array([0]))


def test_constant_cells_are_written_at_the_start_unless_they_are_frozen():
    constant = tuple(walled((4, 4)).reshape(-1).tolist())
    env = make(1, shape=(4, 4), constant=constant, paths=PATHS)
    frozen = np.zeros((4, 4), np.bool_)
    frozen[0, 0] = True
    observation, infos = env.reset(options={"levels": np.zeros((4, 4)).astype(int), "frozen": frozen})
    expected = np.where(walled((4, 4)) == 1, 1, 0)
    expected[0, 0] = 0
    np.testing.assert_array_equal(env.levels[0], expected)
    shown = np.where(walled((4, 4)) == 1, 0, 7)
    shown[0, 0] = 4
    np.testing.assert_array_equal(observation["map"][0], shown.reshape(-1))
    assert observation["cursor"].tolist() == [[1, 1]]
    measured = envs.measure("sokoban", env.levels)
    assert {name: infos[name].tolist() for name in measured} == {name: part.tolist() for name, part in measured.items()}


def test_success_does_not_cut_a_level_short():
    level = envs.construct("binary", 1, shape=(8, 8))[0]
    env = DesignVectorEnv(
        "binary", "sequence", 1, autoreset_mode="Disabled", shape=(8, 8), targets={"regions": (0, 99)}
    )
    env.reset(options={"levels": np.ones((8, 8), int)})
    for step, tile in enumerate(level.reshape(-1)):
        _, _, terminations, truncations, _ = env.step(np.array([tile]))
        assert terminations[0] == (step == 63)
        assert not truncations[0]
    np.testing.assert_array_equal(env.levels[0], level)


@pytest.mark.parametrize("rarely", [{"play_every": 0}, {"reward_every": 0}, {"play_every": 5, "reward_every": 7}])
def test_the_return_is_the_whole_improvement(rarely):
    def made(lanes, mode):
        return make(lanes, mode, shape=(3, 4), paths=PATHS, frozen_share=0.2, controls=["crate"], **rarely)

    check_vector_env(made, steps=70, telescopes=False)
    constant = tuple(walled((5, 5)).reshape(-1).tolist())

    def walled_in(lanes, mode):
        return make(lanes, mode, shape=(5, 5), paths=PATHS, constant=constant, order="snake", **rarely)

    env = walled_in(8, "SameStep")
    _, infos = env.reset(seed=1)
    first, returns = loss(env, infos), np.zeros(8)
    env.action_space.seed(1)
    ended = np.zeros(8, np.bool_)
    while not ended.all():
        _, rewards, terminations, _, infos = env.step(env.action_space.sample())
        returns += np.where(ended, 0, rewards)
        fresh = terminations & ~ended
        if fresh.any():
            last = loss(env, infos["final_info"])
            np.testing.assert_allclose(returns[fresh], (first - last)[fresh], atol=1e-4)
            ended |= fresh


def loss(env, infos):
    bounds = np.array([metric.bounds(env.shape) for metric in env.metrics], np.float64)
    low, high = np.clip([metric.target for metric in env.metrics], bounds[:, :1], bounds[:, 1:]).T
    values = np.stack([infos[metric.name] for metric in env.metrics], axis=1)
    weights = np.array([metric.weight for metric in env.metrics])
    return (np.maximum(low - values, 0) + np.maximum(values - high, 0)) @ weights


def test_levels_of_three_axes_are_written_storey_by_storey():
    env = gymnasium.make("tilewright/voxel-sequence-v0", shape=(2, 3, 3)).unwrapped
    observation, _ = env.reset(seed=0)
    level = np.random.default_rng(0).integers(0, 2, (2, 3, 3))
    cells = []
    for tile in level.reshape(-1):
        cells.append(tuple(observation["cursor"].tolist()))
        observation, _, terminated, _, _ = env.step(tile)
    assert terminated
    assert cells == list(np.ndindex(2, 3, 3))
    np.testing.assert_array_equal(env.level, level)
    assert env.action_masks().tolist() == [True, True]


@pytest.mark.parametrize(("representation", "count"), [("narrow", 6), ("wide", 15), ("cellular", 125), ("sequence", 5)])
def test_masks_of_every_representation(representation, count):
    env = DesignVectorEnv("sokoban", representation, 3)
    assert env.action_masks().shape == (3, count)
    assert env.action_masks().all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"change_share": 0.5}, ["without a change budget", "0.5"]),
        ({"look_ahead": True}, ["look_ahead", "sequence"]),
        ({"order": "layers"}, ["column, row, snake", "layers"]),
        ({"paths": ((0,), (1,))}, ["5 tiles"]),
        ({"paths": ((0,), (1,), (2,), (3,), ())}, ["5 tiles"]),
        ({"paths": ((0,), (1,), (2,), (3,), (3,))}, ["a symbol of its own"]),
        ({"paths": ((0,), (1,), (2,), (3,), (5,))}, ["from 0 on"]),
        ({"paths": ((0,), (1,), (2,), (3,), (3, 4))}, ["goes on nowhere"]),
        ({"paths": ((0, 5), (1,), (2,), (3,), (4, 5))}, ["after one other"]),
        ({"paths": ((0,), (1,), (2,), (3,), (-1,))}, ["from 0 to"]),
        ({"paths": ((0,), (1,), (2,), (3,), (0.5,))}, ["whole numbers"]),
        ({"paths": 3}, ["must be a list", "3"]),
        ({"constant": (1, 2)}, ["25 cells", "2 numbers"]),
        ({"constant": (7,) * 25}, ["0 to 4", "7"]),
        ({"constant": (1,) * 25}, ["no cell"]),
    ],
)
def test_what_cannot_be_used_is_refused(options, words):
    with pytest.raises(UserError) as raised:
        make(1, **options)
    for word in words:
        assert word in str(raised.value)


def test_lists_do_as_well_as_tuples():
    paths = [list(path) for path in PATHS]
    assert make(1, paths=paths).representation == make(1, paths=PATHS).representation
    assert make(1, paths=None, constant=None).representation == envs.get_representation("sequence")
