"""Constructive generators: the shipped check over all of them, what it catches, and what ours promise."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys

import numba
import numpy as np
import pytest
from oracles import grid as oracle

import envs
from envs.checks import CheckError, check_construction, constructs
from envs.errors import UserError

BINARY = envs.get_problem("binary")
BUILT = [name for name in envs.all_problems() if constructs(name)]
OURS = ["binary", "maze", "zelda", "dungeon"]


def test_ours_are_among_those_that_are_checked():
    assert set(OURS) <= set(BUILT)


@pytest.mark.parametrize("name", BUILT)
def test_the_contract(name):
    check_construction(name, seed=1, count=3 if numba.config.DISABLE_JIT else 12)


@pytest.mark.parametrize("name", BUILT)
def test_more_levels_begin_with_the_same(name):
    few, more = envs.construct(name, 2, 5), envs.construct(name, 6, 5)
    assert (more[:2] == few).all()
    assert not (envs.construct(name, 6, 6) == more).all()


@pytest.mark.parametrize("name", BUILT)
def test_all_finite_targets_and_the_published_rule_are_met_by_ours(name):
    if name not in OURS:
        pytest.skip("another problem's generator promises playable levels only")
    problem = envs.get_problem(name)
    levels = envs.construct(name, 20 if numba.config.DISABLE_JIT else 300, 3)
    measured = problem.measure(levels)
    for i, metric in enumerate(problem.metrics):
        if metric.finite:
            assert (measured[:, i] >= metric.target[0]).all()
            assert (measured[:, i] <= metric.target[1]).all()
    path = measured[:, problem.index("path-length")]
    if name == "binary":
        assert (path >= 24).all()
        # A start level without floor: what is reached is what is improved.
        assert problem.succeeded(measured, np.zeros_like(measured)).all()
    else:
        assert problem.succeeded(measured, np.zeros_like(measured)).all()
        assert len({tuple(np.argwhere(level == 2)[0]) for level in levels}) > 10
    assert len(np.unique(levels.reshape(len(levels), -1), axis=0)) > 0.98 * len(levels)
    assert len(np.unique(path)) > 10


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("shape", [(5, 5), (5, 9), (9, 5), (6, 6), (5, 40), (33, 7), (64, 64), (20, 100)], ids=str)
def test_any_sensible_shape(name, shape):
    problem = envs.get_problem(name)
    levels = envs.construct(name, 3, 2, shape)
    measured = problem.measure(levels)
    assert problem.playable(measured).all()
    assert (measured[:, problem.index("regions")] == 1).all()
    assert all(oracle.regions(level, set(range(len(problem.tiles))) - {1, 4}) == 1 for level in levels.tolist())
    if name in ("zelda", "dungeon"):
        assert (measured[:, problem.index("path-length")] >= min(16, shape[0] * shape[1] // 4)).all()
        assert (measured[:, problem.index("nearest-enemy")] >= 4).all()


@pytest.mark.parametrize(
    ("name", "shape", "least"),
    [("zelda", (4, 11), "(5, 5)"), ("dungeon", (16, 3), "(5, 5)"), ("maze", (2, 9), "(3, 3)")],
)
def test_too_small_shapes_are_refused_with_the_least(name, shape, least):
    with pytest.raises(UserError) as raised:
        envs.construct(name, 1, 0, shape)
    assert least in str(raised.value)


def test_layouts_of_all_three_kinds_come_up():
    """Mazes have no open 2 x 2 block unless walls were broken; rooms and caves have many."""
    levels = envs.construct("binary", 200, 0, (21, 21)) == 0
    blocks = (levels[:, 1:, 1:] & levels[:, :-1, 1:] & levels[:, 1:, :-1] & levels[:, :-1, :-1]).sum(axis=(1, 2))
    assert 50 < (blocks == 0).sum() < 150
    # Rooms are rectangles: next to none of their blocks of floor have a ragged edge, which caves have.
    corners = levels[:, 1:, 1:].astype(int) + levels[:, :-1, 1:] + levels[:, 1:, :-1] + levels[:, :-1, :-1]
    open_share = levels.mean(axis=(1, 2))
    assert (blocks > 60).sum() > 20
    assert open_share.std() > 0.03
    assert ((corners == 3).sum(axis=(1, 2)) > 15).sum() > 20


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="a second process compiles for long")
def test_the_same_levels_in_a_fresh_process():
    code = (
        "import envs, hashlib; "
        f"print([hashlib.sha256(envs.construct(name, 5, 9).tobytes()).hexdigest() for name in {OURS}])"
    )
    here = [hashlib.sha256(envs.construct(name, 5, 9).tobytes()).hexdigest() for name in OURS]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(here)


def broken(construct):
    """The binary problem with another generator."""
    kind = type("Broken", (type(BINARY),), {"construct": construct})
    return kind(**{field.name: getattr(BINARY, field.name) for field in dataclasses.fields(BINARY) if field.init})


def at_whim(self, seeds, shape):
    return np.random.default_rng().integers(0, 2, (len(seeds), *shape), np.uint8)


def all_alike(self, seeds, shape):
    return np.zeros((len(seeds), *shape), np.uint8)


def by_place(self, seeds, shape):
    levels = np.zeros((len(seeds), *shape), np.uint8)
    for i in range(len(seeds)):
        levels[i].ravel()[i] = 1
    return levels


def by_the_batch(self, seeds, shape):
    levels = np.zeros((len(seeds), *shape), np.uint8)
    for seed, level in zip(seeds, levels, strict=True):
        level.ravel()[: 1 + (int(seed) + len(seeds)) % 150] = 1
    return levels


def all_walls(self, seeds, shape):
    levels = BINARY.construct(seeds, shape)
    levels[0] = 1
    return levels


def past_the_last_tile(self, seeds, shape):
    return BINARY.construct(seeds, shape) + np.uint8(2)


def in_another_type(self, seeds, shape):
    return BINARY.construct(seeds, shape).astype(np.int64)


def and_spoil_the_seeds(self, seeds, shape):
    levels = BINARY.construct(seeds, shape)
    seeds += np.uint64(1)
    return levels


def in_the_default_shape_only(self, seeds, shape):
    if shape != (14, 14):
        raise UserError("Only 14 by 14.")
    return BINARY.construct(seeds, shape)


def never(self, seeds, shape):
    raise UserError("Not today.")


@pytest.mark.parametrize(
    ("construct", "words"),
    [
        (at_whim, "same seeds"),
        (all_alike, "not diverse"),
        (by_place, "order"),
        (by_the_batch, "other levels of the batch"),
        (all_walls, "order"),
        (past_the_last_tile, "the last one is 1"),
        (in_another_type, "int64"),
        (and_spoil_the_seeds, "change the seeds"),
        (in_the_default_shape_only, "1 of the shapes"),
        (never, "default shape: Not today"),
    ],
)
def test_the_check_catches(construct, words):
    with pytest.raises(CheckError) as raised:
        check_construction(broken(construct), count=6)
    assert words in str(raised.value)


def test_the_check_catches_levels_that_cannot_be_won():
    def blocked(self, seeds, shape):
        levels = BINARY.construct(seeds, shape)
        levels[seeds == 0] = 1
        return levels

    with pytest.raises(CheckError, match="by its metrics, this one is not playable"):
        check_construction(broken(blocked))
