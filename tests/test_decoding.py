"""Levels drawn from logits under count rules, against all levels there are."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import decoding as oracle

from envs import UserError, get_problem
from envs.counts import CountRule, count_tiles, kept
from generators import decoding
from generators.decoding import CountAutomaton, count_automaton, decode_logits
from generators.draws import Draws, level_seeds
from generators.spec import LevelSpec


def spec_of(name, shape, fewest=0, most=3):
    problem = get_problem(name)
    tiles = tuple(tile.name for tile in problem.tiles)
    size = len(tiles)
    shares = (1 / size,) * size
    return LevelSpec(
        name, shape, tiles, (), (), (fewest,) * size, (most,) * size, shares, (True,) * len(problem.count_rules)
    )


SOKOBAN = spec_of("sokoban", (1, 4), 0, 1)
TALL = spec_of("sokoban", (5, 5), 1, 3)


def decoded(logits, spec, seed, *options, **others):
    """Levels of logits, with the draws that follow from a seed."""
    return decode_logits(logits, spec, Draws(level_seeds(seed, len(logits))), *options, **others)


def rules_hold(levels, spec):
    return kept(spec.count_rules(), levels, spec.tiles)


@pytest.mark.parametrize("fixed", [(-1, -1, -1, -1), (-1, 3, -1, -1), (2, -1, -1, 0)])
def test_levels_are_drawn_in_proportion(fixed):
    logits = np.random.default_rng(3).normal(0, 1, (4, 5))
    temperature = 0.8
    expected, shares = oracle.weighed_levels(logits / temperature, SOKOBAN.count_rules(), SOKOBAN.tiles, fixed)
    n = 20_000
    batch, held = np.broadcast_to(logits, (n, 4, 5)), np.broadcast_to(fixed, (n, 4))
    drawn = decoded(batch, SOKOBAN, 0, temperature, held)
    counts = Counter(map(tuple, drawn.tolist()))
    assert set(counts) <= set(expected)
    for level, share in zip(expected, shares, strict=True):
        # Five standard deviations of a count of n draws.
        assert abs(counts[level] - n * share) <= 5 * np.sqrt(n * share * (1 - share)) + 1


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(-1, 4), min_size=4, max_size=4))
def test_the_likeliest_level_is_found(seed, fixed):
    logits = np.random.default_rng(seed).normal(0, 3, (4, 5))
    rules = SOKOBAN.count_rules()
    possible, shares = [], np.zeros(0)
    if any(
        oracle.keeps(level, rules, SOKOBAN.tiles)
        for level in np.ndindex(5, 5, 5, 5)
        if all(a in (-1, b) for a, b in zip(fixed, level, strict=True))
    ):
        possible, shares = oracle.weighed_levels(logits, rules, SOKOBAN.tiles, fixed)
    found = decoded(logits[None], SOKOBAN, 0, 0.0, np.array([fixed]))[0]
    assert all(held in (-1, tile) for held, tile in zip(fixed, found.tolist(), strict=True))
    if possible:
        assert tuple(found.tolist()) == possible[int(np.argmax(shares))]


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.5, 1.0, 3.0]), st.sampled_from([1.0, 30.0, 3000.0]))
def test_the_rules_hold_however_sharp_the_logits(seed, temperature, scale):
    random = np.random.default_rng(seed)
    logits = random.normal(0, scale, (8, 25, 5))
    fixed = np.where(random.random((8, 25)) < 0.3, random.integers(0, 2, (8, 25)), -1)
    fixed[:, 7] = 2
    levels = decoded(logits, TALL, seed, temperature, fixed)
    assert rules_hold(levels, TALL).all()
    assert (levels == fixed)[fixed >= 0].all()


def test_a_level_that_keeps_the_rules_stays_as_it_is():
    level = np.array([2, 3, 4, 0, *[1] * 21])
    logits = np.eye(5)[level][None]
    assert (decoded(logits, TALL, 0, 0.0)[0] == level).all()


def test_the_cheapest_cells_are_changed():
    """Two players, one surer than the other; no crate, and one cell where a crate costs least; no target."""
    logits = np.full((1, 25, 5), -9.0)
    logits[0, :, 0] = 0
    logits[0, 3, 2], logits[0, 8, 2] = 5, 6
    logits[0, 11, 3], logits[0, 12, 3] = -1, -2
    logits[0, 20, 4], logits[0, 21, 4] = -3, -1
    level = decoded(logits, TALL, 0, 0.0)[0]
    assert {int(cell): int(level[cell]) for cell in np.flatnonzero(level)} == {8: 2, 11: 3, 21: 4}


def test_without_rules_cells_are_drawn_by_themselves():
    logits = np.log(np.array([[0.7, 0.2, 0.1, 1e-9, 1e-9]])).repeat(3, 0)[None].repeat(30_000, 0)
    levels = decoded(logits, SOKOBAN, 1, constrained=False)
    assert np.abs(count_tiles(levels, 5).sum(axis=0) / levels.size - [0.7, 0.2, 0.1, 0, 0]).max() < 0.01
    assert (decoded(logits[:5], SOKOBAN, 1, 0.0, constrained=False) == 0).all()
    binary = spec_of("binary", (3, 3))
    assert count_automaton(binary) is None
    likeliest = decoded(np.eye(2)[None, [0, 1, 1, 0, 1, 0, 0, 1, 1]] * 99, binary, 1)
    assert likeliest.tolist() == [[0, 1, 1, 0, 1, 0, 0, 1, 1]]


def test_fixed_tiles_stay_where_no_level_can_keep_the_rules():
    full = np.array([[2, 2, 3, 3]])
    for temperature in (0.0, 1.0):
        levels = decoded(np.zeros((1, 4, 5)), SOKOBAN, 0, temperature, full)
        assert (levels == full).all()
    # A second fixed player is let be; the rest keeps the rules, and has no third.
    fixed = np.full((50, 25), -1)
    fixed[:, 3:5] = 2
    counts = count_tiles(decoded(np.zeros((50, 25, 5)), TALL, 0, 1.0, fixed), 5)
    assert (counts[:, 2] == 2).all()
    assert (counts[:, 3] == counts[:, 4]).all()
    assert (counts[:, 3] >= 1).all()


def test_minus_infinity_forbids():
    logits = np.zeros((40, 25, 5))
    logits[:, :20, 2:] = -np.inf
    for temperature in (0.0, 1.0):
        levels = decoded(logits, TALL, 0, temperature)
        assert (levels[:, :20] < 2).all()
        assert rules_hold(levels, TALL).all()
    # Where the rules cannot be kept at all, what is forbidden stays so.
    logits[:, :, 2] = -np.inf
    for temperature in (0.0, 1.0):
        levels = decoded(logits, TALL, 0, temperature)
        assert (levels[:, :20] < 2).all()
        assert (levels != 2).all()


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_tiles_stay_as_common_as_they_were(temperature):
    """An enemy that may be in many cells, and is in none the likeliest, comes at the same rate, in likelier cells."""
    logits = np.random.default_rng(0).normal(0, 0.5, (3, 40, 3))
    logits[:, :, 2] -= np.linspace(2, 4, 40)
    before = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    kept_logits = decoding.keep_shares(logits, temperature).astype(np.float64)
    after = np.exp(kept_logits - kept_logits.max(axis=2, keepdims=True))
    after /= after.sum(axis=2, keepdims=True)
    assert np.abs(after.mean(axis=1) - before.mean(axis=1)).max() < 0.03
    plain = np.exp(logits / temperature)
    plain /= plain.sum(axis=2, keepdims=True)
    assert (after.max(axis=2).mean() > before.max(axis=2).mean()) == (temperature < 1)
    if temperature < 1:
        assert plain[..., 2].mean() < 0.5 * before[..., 2].mean()
        # Likelier than before where it was likely.
        assert after[:, :10, 2].mean() > before[:, :10, 2].mean()


def test_balance_changes_draws_below_temperature_one():
    logits = np.random.default_rng(0).normal(0, 1, (50, 25, 5))
    logits[:, :, 0] += 3
    binary = spec_of("sokoban", (5, 5), 0, 25)
    shares = {
        (temperature, balanced): (
            decoded(logits, binary, 1, temperature, constrained=False, balanced=balanced) == 0
        ).mean()
        for temperature in (0.2, 1.0)
        for balanced in (False, True)
    }
    assert shares[1.0, False] == shares[1.0, True]
    assert abs(shares[0.2, True] - shares[1.0, True]) < 0.05 < abs(shares[0.2, False] - shares[1.0, True])


def test_draws_follow_from_seeds_and_not_from_other_levels():
    logits = np.random.default_rng(0).normal(0, 1, (6, 25, 5)).astype(np.float32)
    # The last cannot keep the rules by independent draws, so that it is drawn in another way.
    logits[5, :, 2] = -5000.0
    first, again, other = (decoded(logits, TALL, seed) for seed in (1, 1, 2))
    assert first.dtype == np.uint8
    assert first.shape == (6, 25)
    assert (first == again).all()
    assert (first != other).any(axis=1).all()
    for i, seed in enumerate(level_seeds(1, 6)):
        alone = decode_logits(logits[i : i + 1], TALL, Draws(np.array([seed])))
        assert (alone[0] == first[i]).all()


def test_parts_of_a_large_batch_are_drawn_alike(monkeypatch):
    logits = np.random.default_rng(0).normal(0, 1, (9, 25, 5))
    whole = decoded(logits, TALL, 5)
    monkeypatch.setattr(decoding, "_CHUNK", 2 * 125)
    assert (decoded(logits, TALL, 5) == whole).all()


def test_open_ended_rules_take_few_states():
    names = ("empty", "gold", "player")
    automaton = CountAutomaton.of([CountRule({"gold": 1}, 1, np.inf), CountRule({"player": 1}, 1, 1)], names, 50)
    assert len(automaton.successors) == 4
    assert automaton.fulfilled.sum() == 1
    # At most two more gold than players, but no bound on either: values up to the number of cells.
    wide = CountAutomaton.of([CountRule({"gold": 1, "player": -1}, -2, 2)], names, 6)
    assert len(wide.successors) == 13
    with pytest.raises(UserError, match="constrained=False"):
        CountAutomaton.of([CountRule({"gold": 1}, 90, 90), CountRule({"player": 1}, 90, 90)], names, 200)


@pytest.mark.parametrize("name", ["zelda", "dungeon", "maze", "ddave", "mdungeon", "loderunner", "sokoban"])
def test_every_problem_with_rules_is_served(name):
    problem = get_problem(name)
    shape = problem.default_shape
    spec = spec_of(name, shape, 1, 4)
    logits = np.random.default_rng(1).normal(0, 2, (20, spec.cells, len(spec.tiles)))
    assert rules_hold(decoded(logits, spec, 0), spec).all()
