"""Sokoban: its rules, its solver against plain search, its measurement, and the reference cases."""

from __future__ import annotations

import itertools
import json
import os
import threading
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envs.errors import UserError
from envs.games.sokoban import SokobanRules
from envs.kernels import sokoban as kernels
from envs.kernels.sokoban_rules import CELLS, CRATE_BIT, SOLID_BIT, TARGET_BIT
from envs.problems.sokoban import PROBLEM
from envs.rules import PLAYING, WON
from tests.oracles.sokoban import STEPS, Game, count_regions

RULES = SokobanRules()
COMPILED = not numba.config.DISABLE_JIT
SHARED = Path(__file__).resolve().parents[2] / "shared"
DATA = Path(os.environ.get("TILEWRIGHT_DATA", SHARED / "data"))

few = settings(max_examples=120 if COMPILED else 15, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def column(measured, name):
    return measured[:, PROBLEM.index(name)]


def place(shape, walls, player, crates, targets):
    level = np.zeros(shape[0] * shape[1], np.uint8)
    level[np.flatnonzero(walls)] = 1
    level[player] = 2
    level[list(crates)] = 3
    level[list(targets)] = 4
    return level.reshape(shape)


@st.composite
def playable_levels(draw):
    """Levels of 3x3 to 5x5 with one player and 1 to 3 crates, in any number of regions."""
    shape = draw(st.integers(3, 5)), draw(st.integers(3, 5))
    cells = draw(st.permutations(range(shape[0] * shape[1])))
    crates = draw(st.integers(1, 3))
    # At most 16 cells of floor keep the plain search short.
    floor = draw(st.integers(2 * crates + 1, min(16, len(cells))))
    walls = np.zeros(len(cells), bool)
    walls[cells[floor:]] = True
    return place(shape, walls, cells[0], cells[1 : crates + 1], cells[crates + 1 : 2 * crates + 1])


def random_levels(n, seed, shape=(5, 5), most_crates=3):
    """Structurally valid levels: n random ones of one region, by the plain count."""
    rng = np.random.default_rng(seed)
    found = []
    while len(found) < n:
        size = shape[0] * shape[1]
        crates = rng.integers(1, most_crates + 1)
        cells = rng.permutation(size)
        walls = rng.random(size) < rng.uniform(0.05, 0.5)
        level = place(shape, walls, cells[0], cells[1 : crates + 1], cells[crates + 1 : 2 * crates + 1])
        if count_regions(level) == 1:
            found.append(level)
    return np.array(found)


def replay(state, actions):
    """Plays the actions, each of which must do something; only the last one may win."""
    for i, action in enumerate(actions):
        assert RULES.outcome(state) == PLAYING, f"won after {i} of {len(actions)} actions"
        after = RULES.step(state, int(action))
        assert not np.array_equal(after, state), f"action {i} does nothing"
        state = after
    return state


def assert_agrees(solution, length, state):
    """The solver's word is the plain search's word, and its actions win."""
    if length is None:
        assert solution.status == "unsolvable"
        assert len(solution.actions) == 0
    else:
        assert solution.status == "solved"
        assert len(solution.actions) == length
        assert solution.actions.dtype == np.int64
        assert RULES.outcome(replay(state, solution.actions)) == WON


# The rules.


def state_of(game, shape, position):
    """The rules' state for a plain game's position."""
    player, crates = position
    cells = np.full(shape, SOLID_BIT, np.int32)
    for cell in game.floor:
        cells[cell] = TARGET_BIT * (cell in game.targets) + CRATE_BIT * (cell in crates)
    header = [*shape, player[0] * shape[1] + player[1], len(crates - game.targets)]
    return np.concatenate([header, cells.ravel()]).astype(np.int32)


@few
@given(playable_levels(), st.lists(st.integers(0, 3), max_size=60))
def test_the_compiled_step_is_the_plain_step(level, actions):
    game = Game(level.tolist())
    position, state = game.start, RULES.start(level)
    for action in actions:
        before = state.copy()
        position, after = game.step(position, action), RULES.step(state, action)
        np.testing.assert_array_equal(state, before)
        state = after
        np.testing.assert_array_equal(state, state_of(game, level.shape, position))
        assert (RULES.outcome(state) == WON) == game.won(position)


def test_the_board_shows_what_stands_on_targets():
    state = RULES.start(PROBLEM.parse(["@$.-$.", "------"]))
    state = RULES.step(state, 3)
    assert [RULES.sprites[i] for i in RULES.board(state)[0]] == [
        "floor", "player", "crate-on-target", "floor", "crate", "target",
    ]  # fmt: skip
    for action in (1, 3, 3, 3, 3, 0):
        state = RULES.step(state, action)
    assert RULES.sprites[RULES.board(state)[0, 5]] == "player-on-target"
    assert RULES.sprites[: len(PROBLEM.tiles)] == tuple(tile.sprite for tile in PROBLEM.tiles)


def test_a_game_that_is_won_stays_as_it_is():
    state = RULES.step(RULES.start(PROBLEM.parse(["@$.", "---"])), 3)
    assert RULES.outcome(state) == WON
    for action in range(4):
        np.testing.assert_array_equal(RULES.step(state, action), state)
    assert RULES.solve_state(state).status == "solved"
    assert len(RULES.solve_state(state).actions) == 0


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["-$."], "it has 0 players"),
        (["@@$."], "it has 2 players"),
        (["@--"], "no crate"),
        (["@$$."], "2 crates but 1 targets"),
        (["@$.."], "1 crates but 2 targets"),
    ],
)
def test_levels_that_cannot_be_started_say_why(rows, words):
    level = PROBLEM.parse(rows)
    assert words in RULES.problem_with(level)
    assert RULES.solve(level).status == "unsolvable"
    with pytest.raises(UserError, match=words):
        RULES.start(level)


def test_slips_are_named():
    level = PROBLEM.parse(["@$.", "---"])
    with pytest.raises(UserError, match="Action 4"):
        RULES.step(RULES.start(level), 4)
    with pytest.raises(UserError, match="at least 1 state; got 0"):
        RULES.solve(level, 0)
    with pytest.raises(UserError, match="did you mean 'pushes'"):
        RULES.solve(level, shortest="pushs")


# The solver.


@few
@given(playable_levels())
def test_the_solver_agrees_with_plain_search(level):
    game = Game(level.tolist())
    assert_agrees(RULES.solve(level), game.fewest_moves(), RULES.start(level))


@few
@given(playable_levels())
def test_fewest_pushes_and_then_fewest_moves(level):
    expected = Game(level.tolist()).fewest_pushes()
    solution = RULES.solve(level, shortest="pushes")
    assert_agrees(solution, None if expected is None else expected[1], RULES.start(level))
    if expected is not None:
        state, pushes = RULES.start(level), 0
        for action in solution.actions:
            after = RULES.step(state, int(action))
            pushes += not np.array_equal(after[CELLS:], state[CELLS:])
            state = after
        assert pushes == expected[0]


@few
@given(playable_levels(), st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_solving_goes_on_from_the_middle_of_a_game(level, actions):
    game = Game(level.tolist())
    position, state = game.start, RULES.start(level)
    for action in actions:
        position, state = game.step(position, action), RULES.step(state, action)
    before = state.copy()
    assert_agrees(RULES.solve_state(state), game.fewest_moves(position), state)
    np.testing.assert_array_equal(state, before)


def test_crates_on_targets_at_the_start_may_have_to_move():
    # The crate on the near target blocks the corridor: it has to go on to the far one.
    game = Game([[2, 3, 4, 0, 4], [1, 1, 1, 1, 1]])
    position = (0, 0), frozenset({(0, 2), (0, 1)})
    assert game.fewest_moves(position) is None
    assert RULES.solve_state(state_of(game, (2, 5), position)).status == "unsolvable"
    game = Game([[2, 0, 4, 0, 4], [0, 0, 3, 0, 1]])
    position = (0, 0), frozenset({(0, 2), (1, 2)})
    state = state_of(game, (2, 5), position)
    assert_agrees(RULES.solve_state(state), game.fewest_moves(position), state)


def test_every_3x3_level_with_one_crate():
    checked = 0
    for player, crate, target in itertools.permutations(range(9), 3):
        others = [cell for cell in range(9) if cell not in (player, crate, target)]
        for number, pattern in enumerate(itertools.product([False, True], repeat=6)):
            if not COMPILED and (number + player + crate) % 64:
                continue
            walls = np.zeros(9, bool)
            walls[others] = pattern
            level = place((3, 3), walls, player, [crate], [target])
            length = Game(level.tolist()).fewest_moves()
            solution = RULES.solve(level)
            assert solution.status == ("unsolvable" if length is None else "solved"), level
            assert len(solution.actions) == (length or 0), level
            checked += 1
    assert checked == (9 * 8 * 7 * 64 if COMPILED else 9 * 8 * 7)


def test_thousands_of_3x4_levels_with_two_crates():
    rng = np.random.default_rng(4)
    solved = 0
    for _ in range(3000 if COMPILED else 60):
        cells = rng.permutation(12)
        walls = rng.random(12) < rng.uniform(0, 0.4)
        level = place((3, 4), walls, cells[0], cells[1:3], cells[3:5])
        length = Game(level.tolist()).fewest_moves()
        solution = RULES.solve(level)
        assert solution.status == ("unsolvable" if length is None else "solved"), level
        assert len(solution.actions) == (length or 0), level
        solved += length is not None
    assert solved > (100 if COMPILED else 0)


def test_many_crates():
    # More crates than the bound assigns to targets of their own, and crates in each other's way.
    for rows in (
        ["@-------", "-$$$$$$-", "-......-"],
        ["@--------", "-$$$$$$$-", "-.......-"],
        ["@----", "-$-$-", "-....", "-$-$-", "-----"],
    )[: None if COMPILED else 1]:
        level = PROBLEM.parse(rows)
        solution = RULES.solve(level)
        assert solution.status == "solved"
        assert RULES.outcome(replay(RULES.start(level), solution.actions)) == WON


def pulled_apart(game, rng, steps):
    """Plays a solved game backwards: walks at random and pulls whatever stands behind, so that it can be solved."""
    player, crates = game.start
    for _ in range(steps):
        dy, dx = STEPS[rng.integers(4)]
        to, behind = (player[0] + dy, player[1] + dx), (player[0] - dy, player[1] - dx)
        if to in game.floor and to not in crates:
            if behind in crates and rng.random() < 0.8:
                crates = crates - {behind} | {player}
            player = to
    return player, crates


def test_states_full_of_crates_agree_with_plain_search():
    rng = np.random.default_rng(11)
    for number in range(100 if COMPILED else 10):
        crates = 4 + number % 4
        cells = rng.permutation(20)
        level = place((4, 5), rng.random(20) < 0.1, cells[0], [], cells[1 : crates + 1])
        game = Game(level.tolist())
        game.start = game.start[0], game.targets
        position = pulled_apart(game, rng, 25)
        state = state_of(game, level.shape, position)
        assert_agrees(RULES.solve_state(state), game.fewest_moves(position), state)


def test_levels_full_of_crates_are_proven_unsolvable():
    rng = np.random.default_rng(12)
    for number in range(200 if COMPILED else 10):
        crates = 4 + number % 4
        cells = rng.permutation(16)
        level = place((4, 4), rng.random(16) < 0.1, cells[0], cells[1 : crates + 1], cells[-crates:])
        assert_agrees(RULES.solve(level), Game(level.tolist()).fewest_moves(), RULES.start(level))


def test_the_longest_small_level_that_we_know():
    level = PROBLEM.parse(["-#-@.", "-$-#.", "---#.", "--$$-", "#----"])
    assert PROBLEM.measure(level[None])[0, 5:].tolist() == [0, 100]
    assert Game(level.tolist()).fewest_moves() == 100


def test_levels_wider_than_the_plain_search_can_take():
    level = np.zeros((20, 20), np.uint8)
    level[10, 2], level[10, 3], level[3, 17] = 2, 3, 4
    # Fourteen pushes right, a walk of 2 below the crate, and seven pushes up.
    assert len(RULES.solve(level).actions) == 14 + 2 + 7
    level[2:18, 9] = 1
    solution = RULES.solve(level)
    assert RULES.outcome(replay(RULES.start(level), solution.actions)) == WON


def test_a_small_budget_says_unknown_and_never_anything_false():
    levels = random_levels(60 if COMPILED else 10, seed=5)
    unknown = 0
    for level in levels:
        truth = RULES.solve(level)
        assert truth.status != "unknown"
        for budget in (1, 3, 10):
            hasty = RULES.solve(level, budget)
            assert hasty.nodes <= budget
            if truth.nodes > budget:
                assert hasty.status == "unknown"
                assert len(hasty.actions) == 0
                unknown += 1
            else:
                assert hasty.status == truth.status
    assert unknown > 5


# Measurement.


@pytest.mark.parametrize("example", PROBLEM.examples, ids=lambda example: example.note)
def test_examples(example):
    level = PROBLEM.parse(example.rows)
    measured = PROBLEM.measure(level[None])
    for name, value in example.metrics.items():
        assert column(measured, name)[0] == value, name
    assert RULES.solve(level).status == example.status


def test_measured_values_are_the_plain_ones():
    levels = random_levels(150 if COMPILED else 15, seed=6, shape=(4, 4))
    measured = PROBLEM.measure(levels)
    assert measured.dtype == np.float32
    for level, row in zip(levels, measured, strict=True):
        length = Game(level.tolist()).fewest_moves()
        assert row[6] == (length or 0)
        assert (row[5] == 0) == (length is not None)
        crates, targets = np.argwhere(level == 3), np.argwhere(level == 4)
        at_start = sum(min(abs(crate - target).sum() for target in targets) for crate in crates)
        assert row[5] <= at_start


def test_counts_of_random_levels():
    rng = np.random.default_rng(7)
    for shape in ((2, 2), (5, 5), (3, 9), (20, 20)):
        levels = rng.choice(5, p=PROBLEM.start_probabilities, size=(40, *shape)).astype(np.uint8)
        measured = PROBLEM.measure(levels)
        for level, row in zip(levels, measured, strict=True):
            player, crate, target = ((level == tile).sum() for tile in (2, 3, 4))
            assert row[:5].tolist() == [player, crate, target, count_regions(level), abs(int(crate) - int(target))]
            if player != 1 or crate != target or crate == 0 or row[3] != 1:
                assert row[5:].tolist() == [level.size * sum(shape), 0]
        for metric, values in zip(PROBLEM.metrics, measured.T, strict=True):
            low, high = metric.bounds(shape)
            assert low <= values.min() <= values.max() <= high


def test_measuring_takes_any_batch_and_leaves_it_alone():
    levels = random_levels(8, seed=8)
    whole = PROBLEM.measure(levels)
    frozen = levels.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(PROBLEM.measure(frozen), whole)
    np.testing.assert_array_equal(PROBLEM.measure(levels[::2]), whole[::2])
    np.testing.assert_array_equal(np.concatenate([PROBLEM.measure(level[None]) for level in levels]), whole)
    np.testing.assert_array_equal(levels, frozen)
    assert PROBLEM.measure(levels[:0]).shape == (0, 7)


def test_a_workspace_that_is_too_small_grows(monkeypatch):
    levels = random_levels(60 if COMPILED else 6, seed=9)
    expected, results = kernels.measure(levels, 5000)
    solutions = [RULES.solve(level).actions for level in levels]
    monkeypatch.setattr(kernels.Workspace, "SMALLEST", 1)
    monkeypatch.setattr(kernels.Workspace, "MOST_KEPT", 0)
    monkeypatch.setattr(kernels._of_thread, "workspace", None)
    for level, actions in zip(levels, solutions, strict=True):
        np.testing.assert_array_equal(RULES.solve(level).actions, actions)
    measured, again = kernels.measure(levels, 5000)
    np.testing.assert_array_equal(measured, expected)
    np.testing.assert_array_equal(again, results)
    assert kernels._of_thread.workspace is None


def test_threads_measure_side_by_side():
    levels = random_levels(400 if COMPILED else 8, seed=10)
    whole = PROBLEM.measure(levels)
    parts = [None] * 4

    def measure(i):
        for _ in range(5 if COMPILED else 1):
            parts[i] = PROBLEM.measure(levels[i::4])

    threads = [threading.Thread(target=measure, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(4):
        np.testing.assert_array_equal(parts[i], whole[i::4])


def test_the_published_success_asks_for_18_moves():
    metrics = np.zeros((3, 7), np.float32)
    metrics[:, 6] = 17, 18, 19
    assert PROBLEM.succeeded(metrics, metrics).tolist() == [False, True, True]


# What others measured.


def reward(before, after):
    """The step's reward by the one formula of all problems; what is wanted without end is wanted up to the bounds."""
    low, high = np.array([metric.target for metric in PROBLEM.metrics]).T
    least, most = np.array([metric.bounds((5, 5)) for metric in PROBLEM.metrics]).T
    low, high = np.clip(low, least, most), np.clip(high, least, most)
    weights = np.array([metric.weight for metric in PROBLEM.metrics])
    old, new = (np.maximum(low - row, 0) + np.maximum(row - high, 0) for row in (before, after))
    return float((weights * (old - new)).sum())


def test_the_reference_cases():
    path = SHARED / "reference" / "gym_pcgrl_cases.json"
    for candidate in (path, DATA.parent / "reference" / path.name):
        if candidate.exists():
            path = candidate
    if not path.exists():
        pytest.skip(f"{path.name} is not here; it is looked for beside TILEWRIGHT_DATA and in ../shared/reference")
    reference = json.loads(path.read_text())["sokoban"]
    assert reference["tiles"] == [tile.name for tile in PROBLEM.tiles]
    cases = reference["cases"]
    levels = np.array([[[int(tile) for tile in row] for row in case["level"]] for case in cases], np.uint8)
    edited = levels.copy()
    for level, case in zip(edited, cases, strict=True):
        row, cell, tile = case["edit"]
        level[row, cell] = tile
    before, after = PROBLEM.measure(levels), PROBLEM.measure(edited)
    for measured, stats in ((before, "stats"), (after, "edited_stats")):
        for name in ("player", "crate", "target", "regions"):
            assert column(measured, name).tolist() == [case[stats][name] for case in cases]
        for length, case in zip(column(measured, "sol-length"), cases, strict=True):
            if case[stats]["solution"] > 0:
                assert 0 < length <= case[stats]["solution"]
    for old, new, case in zip(before, after, cases, strict=True):
        assert reward(old, new) == pytest.approx(case["reward"])
    over = PROBLEM.succeeded(after, before)
    assert over.tolist() == [case["episode_over"] for case in cases]


def boxoban_levels(path, most):
    """Reads levels of a Boxoban file: blocks of ten rows under a line that begins with a semicolon."""
    translate = str.maketrans({" ": "-"})
    blocks = [block.splitlines()[1:11] for block in path.read_text().split("; ")[1 : most + 1]]
    return [PROBLEM.parse([row.translate(translate) for row in block]) for block in blocks]


def test_boxoban_levels_are_solved():
    files = sorted((DATA / "boxoban-levels" / "unfiltered").rglob("*.txt"))
    if not files:
        pytest.skip("no boxoban-levels here; they are looked for under TILEWRIGHT_DATA and in ../shared/data")
    if not COMPILED:
        pytest.skip("10x10 levels take minutes without compilation")
    for level in boxoban_levels(files[0], 15):
        by_moves, by_pushes = RULES.solve(level), RULES.solve(level, shortest="pushes")
        assert by_moves.status == by_pushes.status == "solved"
        assert len(by_moves.actions) <= len(by_pushes.actions)
        for solution in (by_moves, by_pushes):
            assert RULES.outcome(replay(RULES.start(level), solution.actions)) == WON
