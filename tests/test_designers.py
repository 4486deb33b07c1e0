"""Designers: budgets, frozen tiles, equal seeds, and saved ones."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
import torch

import envs
from agents.baselines import PLAYED_TILES, GreedyDesigner, RandomDesigner, losses_of, neighbours
from agents.designer import PolicyDesigner
from agents.episodes import draw_starts, run_episodes
from agents.interface import Interface
from agents.networks import DesignerNetwork
from envs.vector_env import DesignVectorEnv
from generators.saving import CONFIG_FILE, WEIGHTS_FILE
from tests.designers import SHAPES, SMALL, assert_names, designer_of, full_disk, make, options_of

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
    monkeypatch.setattr(os, "fsync", full_disk)
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
