"""Rules on tile counts, and the symmetries of levels."""

from __future__ import annotations

import numpy as np
import pytest

import envs
from envs.counts import CountRule, check_rules, count_tiles, exactly, kept, rule_arrays
from envs.symmetries import images, transform_randomly

NAMES = ["floor", "player", "crate", "target"]


def test_rules_are_kept_or_broken():
    rules = (*exactly(1, "player"), CountRule({"crate": 1, "target": -1}, 0, 0), CountRule({"crate": 1}, 1, np.inf))
    levels = np.array(
        [[[1, 2, 3]], [[1, 1, 0]], [[1, 0, 0]], [[1, 2, 2]], [[0, 2, 3]]],
        np.uint8,
    )
    assert kept(rules, levels, NAMES).tolist() == [True, False, False, False, False]
    coefficients, low, high = rule_arrays(rules, NAMES)
    assert coefficients.tolist() == [[0, 1, 0, 0], [0, 0, 1, -1], [0, 0, 1, 0]]
    assert low.tolist() == [1, 0, 1]
    assert high.tolist() == [1, 0, np.inf]
    assert count_tiles(levels, 4)[3].tolist() == [0, 1, 2, 0]


def test_no_rules_are_always_kept():
    assert kept((), np.zeros((3, 2, 2), np.uint8), NAMES).all()


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (CountRule({"ghost": 1}, 0, 1), "ghost"),
        (CountRule({"player": 0}, 0, 1), "player"),
        (CountRule({"player": 1}, 2, 1), "above"),
    ],
)
def test_wrong_rules_are_named(rule, words):
    assert words in check_rules([rule], NAMES)
    assert check_rules(exactly(1, "player"), NAMES) == ""


def test_all_eight_images_of_a_square():
    level = np.arange(4, dtype=np.uint8).reshape(1, 2, 2)
    every = images(("mirror", "flip", "transpose"), level)
    assert every.shape == (8, 1, 2, 2)
    assert (every[0] == level).all()
    assert len({image.tobytes() for image in every}) == 8


def test_a_rectangle_is_not_transposed():
    assert images(("mirror", "flip", "transpose"), np.zeros((5, 2, 3), np.uint8)).shape == (4, 5, 2, 3)
    assert images((), np.zeros((5, 2, 3), np.uint8)).shape == (1, 5, 2, 3)


def test_random_images_are_images():
    level = np.arange(9, dtype=np.uint8).reshape(1, 3, 3)
    every = {image.tobytes() for image in images(("mirror", "flip", "transpose"), level)}
    drawn = transform_randomly(("mirror", "flip", "transpose"), np.repeat(level, 200, axis=0), np.random.default_rng(0))
    assert {image.tobytes() for image in drawn} == every


@pytest.mark.parametrize("name", envs.all_problems())
def test_playable_levels_keep_the_problems_rules(name):
    """Also levels that nobody constructed: whatever our measure takes for playable keeps the rules."""
    problem = envs.get_problem(name)
    levels = envs.construct(name, 24, seed=3)
    random = np.random.default_rng(1)
    changed = levels.copy()
    somewhere = random.random(levels.shape) < 0.02
    changed[somewhere] = random.integers(0, len(problem.tiles), somewhere.sum())
    both = np.concatenate([levels, changed])
    playable = problem.playable(problem.measure(both))
    assert playable.sum() > 24
    assert kept(problem.count_rules, both[playable], [tile.name for tile in problem.tiles]).all()
