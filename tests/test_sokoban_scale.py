"""Sokoban at scale: the solver that takes any solution, its bounds, and levels made by playing backwards."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import envs
from envs.errors import UserError
from envs.games.sokoban import SokobanRules
from envs.kernels import sokoban as kernels
from envs.kernels.sokoban_any import search_any
from envs.kernels.sokoban_bounds import assign_all, push_distances, reassign, total_cost
from envs.kernels.sokoban_search import BOARD_COLUMNS, FAR, FLOOR, SOLVED, TARGETS, UNKNOWN, lay_out
from envs.kernels.stop import NEVER
from envs.problems.sokoban import PROBLEM
from envs.rules import PLAYING, WON
from tests.oracles.sokoban import Game, count_regions, least_assignment, lone_pushes
from tests.test_sokoban import COMPILED, few, place, playable_levels, pulled_apart, random_levels, state_of

RULES = SokobanRules()


def assert_wins(state, actions):
    """The actions win, not sooner than the last of them, and each does something."""
    for action in actions:
        assert RULES.outcome(state) == PLAYING
        after = RULES.step(state, int(action))
        assert not np.array_equal(after, state)
        state = after
    assert RULES.outcome(state) == WON


def assert_right(solution, length, state):
    assert solution.status == ("unsolvable" if length is None else "solved")
    if solution.solved:
        assert len(solution.actions) >= length
        assert_wins(state, solution.actions)
    else:
        assert len(solution.actions) == 0


# Any solution at all.


@few
@given(playable_levels())
def test_any_solution_is_found_where_plain_search_finds_one(level):
    assert_right(RULES.solve(level, shortest="any"), Game(level.tolist()).fewest_moves(), RULES.start(level))


@pytest.mark.parametrize(("shape", "crates", "walls"), [((3, 5), 1, 0.4), ((4, 4), 2, 0.3), ((4, 5), 3, 0.25)])
def test_thousands_of_small_levels(shape, crates, walls):
    # The exact solver, which is checked against plain search elsewhere, is what makes thousands of them affordable.
    rng = np.random.default_rng(crates)
    size, solved = shape[0] * shape[1], 0
    for _ in range(3000 if COMPILED else 20):
        cells = rng.permutation(size)
        level = place(shape, rng.random(size) < rng.uniform(0, walls), cells[0], cells[1 : crates + 1], cells[-crates:])
        exact = RULES.solve(level)
        length = len(exact.actions) if exact.solved else None
        assert exact.status != "unknown"
        assert_right(RULES.solve(level, shortest="any"), length, RULES.start(level))
        solved += exact.solved
    assert solved > (50 if COMPILED else 0)


def walled_rooms(rng, crates):
    """Levels of two rooms and a doorway, in which crates shut parts of the level off from the player.

    Every second one is played backwards from its solution, so that it can be solved.
    """
    for number in itertools.count():
        walls = np.zeros((5, 7), bool)
        walls[:, 3] = True
        walls[rng.integers(5), 3] = False
        walls |= rng.random((5, 7)) < 0.1
        cells = rng.permutation(np.flatnonzero(~walls.ravel()))
        if len(cells) <= 2 * crates:
            continue
        level = place((5, 7), walls.ravel(), cells[0], cells[1 : crates + 1], cells[-crates:])
        if count_regions(level) != 1:
            continue
        game = Game(level.tolist())
        position = game.start
        if number % 2:
            game.start = game.start[0], game.targets
            position = pulled_apart(game, rng, 60)
        yield state_of(game, level.shape, position)


@pytest.mark.parametrize("crates", [2, 3, 4])
def test_corrals_leave_no_solution_out(crates):
    rng = np.random.default_rng(20 + crates)
    statuses = []
    for state in itertools.islice(walled_rooms(rng, crates), 400 if COMPILED else 4):
        exact = RULES.solve_state(state)
        assert exact.status != "unknown"
        length = len(exact.actions) if exact.solved else None
        assert_right(RULES.solve_state(state, shortest="any"), length, state)
        statuses.append(exact.status)
    assert not COMPILED or min(statuses.count("solved"), statuses.count("unsolvable")) > 50


def test_states_with_crates_on_targets():
    rng = np.random.default_rng(31)
    for number in range(120 if COMPILED else 6):
        crates = 2 + number % 4
        cells = rng.permutation(20)
        level = place((4, 5), rng.random(20) < 0.1, cells[0], [], cells[1 : crates + 1])
        game = Game(level.tolist())
        game.start = game.start[0], game.targets
        position = pulled_apart(game, rng, 25)
        state = state_of(game, level.shape, position)
        before = state.copy()
        assert_right(RULES.solve_state(state, shortest="any"), game.fewest_moves(position), state)
        np.testing.assert_array_equal(state, before)


def test_fewer_crates_than_targets_in_reach():
    # The second target stands filled where the player cannot go.
    game = Game([[2, 3, 0, 4], [1, 1, 1, 1], [4, 0, 0, 0]])
    position = (0, 0), frozenset({(0, 1), (2, 0)})
    state = state_of(game, (3, 4), position)
    assert_right(RULES.solve_state(state, shortest="any"), game.fewest_moves(position), state)
    game = Game([[2, 3, 0, 4], [1, 1, 1, 4], [1, 1, 1, 0]])
    position = (0, 0), frozenset({(0, 1)})
    state = state_of(game, (3, 4), position)
    assert_right(RULES.solve_state(state, shortest="any"), game.fewest_moves(position), state)


@pytest.mark.skipif(not COMPILED, reason="takes minutes without compilation")
def test_many_crates_in_a_large_hall():
    rng = np.random.default_rng(3)
    size = 14
    level = np.ones((size, size), np.uint8)
    level[1:-1, 1:-1] = rng.random((size - 2, size - 2)) < 0.08
    level[2:-2, 1:6] = 0
    level[3:6, 2:5] = 4
    for i in range(9):
        level[8 + i // 3 * 2 - 1, 3 + i % 3 * 3] = 3
    level[6, 3] = 2
    solution = RULES.solve(level, shortest="any")
    assert solution.solved
    assert solution.nodes < 20_000
    assert_wins(RULES.start(level), solution.actions)


def test_budget_and_memory_end_the_search_as_unknown():
    unknown = 0
    for level in random_levels(30 if COMPILED else 5, seed=32, most_crates=3):
        truth = RULES.solve(level, shortest="any")
        for budget in (1, 4):
            hasty = RULES.solve(level, budget, shortest="any")
            assert hasty.nodes <= budget
            assert hasty.status in (truth.status, "unknown")
            unknown += hasty.status == "unknown"
    assert unknown > (3 if COMPILED else 0)
    level = PROBLEM.parse(["@------", "-$-$-$-", "-------", "-$----.", "...----"])
    state = RULES.start(level)[None]
    board = np.empty((35, BOARD_COLUMNS), np.int32)
    assert search_any(state, 10_000, NEVER, 1 << 30, board)[0] == SOLVED
    status, actions, nodes = search_any(state, 10_000, NEVER, 1 << 9, board)
    assert (status, len(actions)) == (UNKNOWN, 0)
    assert 0 < nodes < 5


def test_the_exact_search_gives_up_at_its_memory(monkeypatch):
    level = PROBLEM.parse(["@------", "-$-$-$-", "-------", "-$----.", "...----"])
    monkeypatch.setattr(kernels.Workspace, "SMALLEST", 4)
    monkeypatch.setattr(kernels._of_thread, "workspace", None)
    assert RULES.solve(level).solved
    monkeypatch.setattr(kernels._of_thread, "workspace", None)
    monkeypatch.setattr(kernels, "MOST_MEMORY", 1 << 14)
    solution = RULES.solve(level)
    assert solution.status == "unknown"
    assert solution.nodes > 0


@pytest.mark.skipif(not COMPILED, reason="thousands of positions take minutes without compilation")
@pytest.mark.parametrize(
    ("rows", "status"),
    [
        ("##--##-/-$.----/--#.-#./-@---$-/---$#-./-$-----/---###-", "unsolvable"),
        ("-..----#/-$##--#-/#---#-$-/-------@/-----$-./--.--$-#/-.-#--$-/--##----", "solved"),
    ],
)
def test_tables_grow_in_the_middle_of_a_search(rows, status):
    level = PROBLEM.parse(rows.split("/"))
    solution = RULES.solve(level, shortest="any")
    # The first tables have room for 4,096 positions.
    assert solution.nodes > 4096
    assert solution.status == RULES.solve(level, 10**7, shortest="pushes").status == status
    if solution.solved:
        assert_wins(RULES.start(level), solution.actions)


# Bounds.


@settings(few, max_examples=60 if COMPILED else 8)
@given(playable_levels())
def test_push_distances_are_the_plain_ones(level):
    state = RULES.start(level)
    board = np.zeros((max(level.size, 32), BOARD_COLUMNS), np.int32)
    count, _, target_count, _ = lay_out(state[None], 0, board)
    distances, nearest = push_distances(board, count, target_count)
    cells = [(int(cell) // level.shape[1], int(cell) % level.shape[1]) for cell in board[:count, FLOOR]]
    for target in range(target_count):
        plain = lone_pushes(set(cells), cells[board[target, TARGETS]])
        assert distances[target].tolist() == [plain.get(cell, FAR) for cell in cells]
    if target_count:
        np.testing.assert_array_equal(nearest, distances.min(axis=0))


@settings(few, max_examples=60 if COMPILED else 15)
@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_assignments_are_the_cheapest(n, seed):
    rng = np.random.default_rng(seed)
    costs = rng.integers(0, 12, (n, n)).astype(np.int32)
    prices, work = np.empty((3, n + 1), np.int64), np.empty((3, n + 1), np.int64)
    assert assign_all(costs, prices, *work) == least_assignment(costs.tolist())
    for _ in range(4):
        row = rng.integers(n)
        costs[row] = rng.integers(0, 12, n)
        costs[row, rng.random(n) < 0.2] = FAR
        cost = reassign(costs, int(row), prices, *work)
        assert cost == total_cost(costs, prices) == least_assignment(costs.tolist())
        assert sorted(prices[2, :n]) == list(range(n))


# Levels made by playing backwards.


def seeds_of(n, seed=0):
    return np.random.default_rng(seed).integers(0, 2**63, n, dtype=np.uint64)


def test_constructed_levels_take_many_moves():
    levels = PROBLEM.construct(seeds_of(300 if COMPILED else 3), (5, 5))
    measured = PROBLEM.measure(levels)
    low, high = np.array([metric.target for metric in PROBLEM.metrics[:5]]).T
    assert ((measured[:, :5] >= low) & (measured[:, :5] <= high)).all()
    assert PROBLEM.playable(measured).all()
    assert PROBLEM.succeeded(measured, measured).mean() > 0.95
    for level, row in list(zip(levels, measured, strict=True))[:40]:
        assert count_regions(level) == 1
        assert Game(level.tolist()).fewest_moves() == row[PROBLEM.index("sol-length")]
    if COMPILED:
        assert len(np.unique(levels.reshape(len(levels), -1), axis=0)) > 290
        assert set(measured[:, PROBLEM.index("crate")]) == {1, 2, 3}
        assert (levels == 1).any(axis=0).all()
        assert (levels != 1).any(axis=0).all()
        assert len(np.unique(measured[:, PROBLEM.index("sol-length")])) > 8


@pytest.mark.parametrize("shape", [(3, 3), (3, 4), (4, 4), (3, 12), (7, 9), (10, 10)])
def test_constructed_levels_of_other_shapes(shape):
    levels = PROBLEM.construct(seeds_of(12 if COMPILED and shape != (10, 10) else 2, seed=1), shape)
    assert levels.shape[1:] == shape
    for level in levels:
        assert RULES.problem_with(level) is None
        assert count_regions(level) == 1
        solution = RULES.solve(level, shortest="any")
        assert solution.solved
        assert_wins(RULES.start(level), solution.actions)


def test_a_level_depends_on_its_seed_and_shape_alone():
    seeds = seeds_of(20 if COMPILED else 4, seed=2)
    levels = PROBLEM.construct(seeds, (4, 4))
    np.testing.assert_array_equal(PROBLEM.construct(seeds[::-1], (4, 4)), levels[::-1])
    np.testing.assert_array_equal(PROBLEM.construct(seeds[3:4], (4, 4)), levels[3:4])
    assert not np.array_equal(PROBLEM.construct(seeds[:4] + np.uint64(1), (4, 4)), levels[:4])


def test_shapes_too_small_are_named():
    with pytest.raises(UserError, match=r"at least \(3, 3\); got \(2, 5\)"):
        envs.construct("sokoban", 1, shape=(2, 5))


def test_measuring_without_play():
    levels = random_levels(30 if COMPILED else 3, seed=33)
    whole, counted = PROBLEM.measure(levels), PROBLEM.measure_static(levels)
    static = [i for i, metric in enumerate(PROBLEM.metrics) if not metric.play]
    assert [PROBLEM.metrics[i].name for i in static] == ["player", "crate", "target", "regions", "ratio"]
    np.testing.assert_array_equal(counted[:, static], whole[:, static])
    solved = np.array([RULES.solve(level).solved for level in levels])
    np.testing.assert_array_equal(PROBLEM.playable(whole), solved)
