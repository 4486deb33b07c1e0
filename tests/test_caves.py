"""Ddave and mdungeon: rules and solvers against plain search, measurement, the reference cases, construction."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import caves

import envs
from envs.errors import UserError
from envs.games.ddave import DdaveRules
from envs.games.mdungeon import MdungeonRules
from envs.kernels import ddave_rules, mdungeon_rules
from envs.rules import LOST, PLAYING, WON

COMPILED = not numba.config.DISABLE_JIT
DDAVE, MDUNGEON = envs.get_problem("ddave"), envs.get_problem("mdungeon")
RULES = {"ddave": DdaveRules(), "mdungeon": MdungeonRules()}
GAMES = {"ddave": caves.Ddave, "mdungeon": caves.Mdungeon}
# What a level must hold exactly once, and the other things that may stand in it.
SINGLE = {"ddave": (2, 3, 5), "mdungeon": (2, 3)}
THINGS = {"ddave": (4, 6), "mdungeon": (4, 5, 6, 7)}
BOTH = pytest.mark.parametrize("name", ["ddave", "mdungeon"])


def random_level(name, generator, shape, walls, things):
    """A level with what must be there, so large a share of walls and so many other things."""
    size = shape[0] * shape[1]
    level = (generator.random(size) < walls).astype(np.uint8)
    cells = generator.permutation(size)
    single = SINGLE[name]
    level[cells[: len(single)]] = single
    others = cells[len(single) : len(single) + things]
    level[others] = generator.choice(THINGS[name], len(others))
    return level.reshape(shape)


def small_levels(name, count, seed, most_things=6):
    generator = np.random.default_rng(seed)
    for _ in range(count):
        shape = int(generator.integers(1, 6)), int(generator.integers(3, 7))
        shape = shape if shape[0] * shape[1] >= 6 else (3, 4)
        yield random_level(name, generator, shape, generator.uniform(0, 0.5), int(generator.integers(0, most_things)))


def measured(name, level):
    problem = envs.get_problem(name)
    return dict(zip((metric.name for metric in problem.metrics), problem.measure(level[None])[0].tolist(), strict=True))


def replay(rules, state, actions):
    for action in actions:
        assert rules.outcome(state) == PLAYING
        state = rules.step(state, int(action))
    return state


# The rules.


def identity(name, state, shape):
    """A rules' state as the plain game's position."""
    stride = shape[1] + 2
    if name == "ddave":
        place, header = divmod(int(state[ddave_rules.PLACE]), stride), ddave_rules.HEADER
        own = int(state[ddave_rules.AIR]), bool(state[ddave_rules.HAS_KEY])
    else:
        place, header = divmod(int(state[mdungeon_rules.PLACE]), stride), mdungeon_rules.HEADER
        own = (int(state[mdungeon_rules.HEALTH]),)
    return (place[0] - 1, place[1] - 1), *own, state[header:].reshape(-1, stride)[1:-1, 1:-1]


@BOTH
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 3), max_size=40))
def test_the_compiled_step_is_the_plain_step(name, seed, actions):
    (level,) = small_levels(name, 1, seed)
    rules, game = RULES[name], GAMES[name](level)
    position, state = game.start, rules.start(level)
    for action in actions:
        if rules.outcome(state) != PLAYING:
            np.testing.assert_array_equal(rules.step(state, action), state)
            break
        before = state.copy()
        position = game.play(position, rules.actions[action])
        position = position[0] if name == "ddave" else position
        after = rules.step(state, action)
        np.testing.assert_array_equal(state, before)
        state = after
        *own, cells = identity(name, state, level.shape)
        assert tuple(own) == position[: len(own)]
        lost = game.lost(position) if name == "ddave" else position[1] == 0
        assert rules.outcome(state) == (LOST if lost else WON if game.won(position) else PLAYING)
        if lost:
            break
        gone = position[-1] | ({game.key} if name == "ddave" and position[2] else set())
        expected = np.where(level == 2, 0, level)
        for cell in gone:
            expected[cell] = 0
        np.testing.assert_array_equal(cells, expected)


def play(name, rows, actions):
    rules = RULES[name]
    state = rules.start(envs.get_problem(name).parse(rows))
    for action in actions.split():
        state = rules.step(state, rules.actions.index(action))
    return state, [[rules.sprites[i] for i in row] for row in rules.board(state)]


def test_a_jump_rises_twice_hangs_and_falls():
    rows = ("......k", ".......", ".......", "@.....D")
    heights = []
    for moves in range(7):
        _, board = play("ddave", rows, " ".join(["jump", "wait", "wait", "wait", "wait", "wait"][:moves]))
        (y,) = [y for y, row in enumerate(board) if row[0].startswith("player")]
        heights.append((y, board[y][0]))
    assert heights == [
        *((3, "player"), (2, "player-rising"), (1, "player-hanging"), (1, "player")),
        *((2, "player"), (3, "player"), (3, "player")),
    ]


def test_a_jump_crosses_three_spikes_and_no_more():
    three, four = ("...........", "...........", "@.^^^.kD.."), ("...........", "...........", "@^^^^.kD..")
    three = tuple(row.ljust(11, ".") for row in three)
    four = tuple(row.ljust(11, ".") for row in four)
    assert RULES["ddave"].solve(DDAVE.parse(three)).status == "solved"
    assert RULES["ddave"].solve(DDAVE.parse(four)).status == "unsolvable"
    _, board = play("ddave", three, "right jump right right right right right")
    assert board[2][6] == "player"
    assert board[2][7] == "door-open"


def test_a_jump_needs_ground_and_room():
    _, board = play("ddave", ("#....", "@...k", "....D"), "jump")
    assert board[2][0] == "player"
    _, board = play("ddave", ("#....", "@...k", "#...D"), "jump")
    assert board[1][0] == "player"


def test_spikes_count_where_the_player_ends():
    # Stepping off the ledge falls past the spike beside it.
    state, board = play("ddave", ("@^k", "#..", "#.D"), "right")
    assert RULES["ddave"].outcome(state) == PLAYING
    assert board[1][1] == "player"
    state, board = play("ddave", ("@.k", "#^.", "#.D"), "right")
    assert RULES["ddave"].outcome(state) == LOST
    assert board[1][1] == "spike"


def test_the_exit_opens_to_the_key():
    state, _ = play("ddave", ("@Dk",), "right")
    assert RULES["ddave"].outcome(state) == PLAYING
    _, board = play("ddave", ("@Dk",), "right right")
    assert board == [["floor", "door-open", "player"]]
    state, _ = play("ddave", ("@Dk",), "right right left")
    assert RULES["ddave"].outcome(state) == WON


def test_fights_and_potions():
    state, board = play("mdungeon", ("@ggptD",), "right right")
    assert board[0] == ["floor", "floor", "player-health-3", "potion", "treasure", "stairs"]
    _, board = play("mdungeon", ("@ggptD",), "right right right left left")
    assert board[0][1] == "player-health-5"
    _, board = play("mdungeon", ("@gpptD",), "right right")
    assert board[0][2] == "player-health-5"
    state, board = play("mdungeon", ("@oogD.",), "right right right")
    assert RULES["mdungeon"].outcome(state) == LOST
    assert board[0] == ["floor", "floor", "floor", "goblin", "stairs", "floor"]


@BOTH
def test_levels_that_cannot_be_started_say_why(name):
    problem, rules = envs.get_problem(name), RULES[name]
    for tile in SINGLE[name]:
        level = np.zeros((3, 4), np.uint8)
        level[0, : len(SINGLE[name])] = SINGLE[name]
        level[level == tile] = 0
        words = f"it has 0 {problem.tiles[tile].name}s; exactly 1 is needed"
        assert rules.problem_with(level) == words
        assert rules.solve(level).status == "unsolvable"
        with pytest.raises(UserError, match=words):
            rules.start(level)
        level[1:, 0] = tile
        assert f"it has 2 {problem.tiles[tile].name}s" in rules.problem_with(level)


@BOTH
def test_slips_are_named(name):
    rules, level = RULES[name], next(small_levels(name, 1, 0))
    with pytest.raises(UserError, match=r"Action 4 is not one of 0 to 3"):
        rules.step(rules.start(level), 4)
    with pytest.raises(UserError, match="at least 1 state; got 0"):
        rules.solve(level, 0)


# The solvers and what is measured of play.


@BOTH
def test_the_solver_agrees_with_plain_search(name):
    """Solvability, fewest moves and the order among equals; and what is measured, won or lost."""
    rules, statuses, seen = RULES[name], [], 0
    for level in small_levels(name, 1500 if COMPILED else 40, seed=1, most_things=8):
        game = GAMES[name](level)
        moves, cost, reached = game.solve()
        solution = rules.solve(level)
        statuses.append(solution.status)
        assert solution.status == ("unsolvable" if moves is None else "solved"), level
        values = measured(name, level)
        if moves is not None:
            assert len(solution.actions) == moves, level
            assert rules.outcome(replay(rules, rules.start(level), solution.actions)) == WON
        walls = (1, 6) if name == "ddave" else (1,)
        if values["regions"] != 1:
            assert caves.regions(level.tolist(), walls) != 1
            continue
        assert caves.regions(level.tolist(), walls) == 1
        seen += 1
        assert values["sol-length"] == (moves or 0), level
        if moves is None:
            # The search for the nearest state has a budget; within it, it is exact.
            if len(reached) < 2000:
                assert values["dist-win"] == min(map(game.gap, reached)), level
        else:
            assert values["dist-win"] == 0
            assert (values["num-jumps"] if name == "ddave" else values["col-enemies"]) == cost % 1000, level
            check_collected(name, game, solution.actions, values)
    assert min(statuses.count("solved"), statuses.count("unsolvable"), seen) > (80 if COMPILED else 0)


def check_collected(name, game, actions, values):
    """What is measured of a solved level is what the solver's own actions do."""
    position, jumps = game.start, 0
    for action in actions:
        position = game.play(position, RULES[name].actions[action])
        if name == "ddave":
            position, began = position
            jumps += began
    gone = [game.tile(cell) for cell in position[-1]]
    if name == "ddave":
        assert values["num-jumps"] == jumps
        assert values["col-diamonds"] == len(gone)
    else:
        assert values["col-potions"] == gone.count(4)
        assert values["col-treasures"] == gone.count(5)
        assert values["col-enemies"] == gone.count(6) + gone.count(7)


def test_potions_that_take_a_detour():
    """Levels of many potions and monsters, in which one must remember what is gone."""
    rules, generator, detours = RULES["mdungeon"], np.random.default_rng(5), 0
    for _ in range(600 if COMPILED else 10):
        level = random_level("mdungeon", generator, (3, 7), 0.3, 12)
        level[(level == 5) | (level == 6)] = 7
        game = caves.Mdungeon(level)
        moves, cost, _ = game.solve()
        solution = rules.solve(level)
        assert solution.status == ("unsolvable" if moves is None else "solved"), level
        assert len(solution.actions) == (moves or 0), level
        if moves is not None:
            position, visited = game.start, [game.start[0]]
            for action in solution.actions:
                position = game.play(position, rules.actions[action])
                visited.append(position[0])
            assert game.won(position)
            assert sum(game.tile(cell) >= 6 for cell in position[2]) == cost % 1000
            detours += len(set(visited)) < len(visited)
    assert detours > (10 if COMPILED else -1)


@BOTH
def test_solving_goes_on_from_the_middle_of_a_game(name):
    rules, generator, going = RULES[name], np.random.default_rng(2), 0
    for level in small_levels(name, 300 if COMPILED else 10, seed=3):
        game = GAMES[name](level)
        position, state = game.start, rules.start(level)
        for action in generator.integers(0, 4, 6):
            after = rules.step(state, int(action))
            if rules.outcome(after) != PLAYING:
                break
            state = after
            position = game.play(position, rules.actions[action])
            position = position[0] if name == "ddave" else position
        game.start = position
        before = state.copy()
        solution = rules.solve_state(state)
        np.testing.assert_array_equal(state, before)
        moves = game.solve()[0]
        assert solution.status == ("unsolvable" if moves is None else "solved")
        assert len(solution.actions) == (moves or 0)
        going += moves is not None
    assert going > (30 if COMPILED else 0)


@BOTH
def test_a_game_that_is_over_is_solved_or_lost(name):
    rows = {"ddave": ("@kD^",), "mdungeon": ("@.D",)}[name]
    state, _ = play(name, rows, "right right")
    assert RULES[name].solve_state(state).status == "solved"
    assert len(RULES[name].solve_state(state).actions) == 0
    rows, actions = {"ddave": (("@^kD",), "right"), "mdungeon": (("@oooD",), "right right right")}[name]
    state, _ = play(name, rows, actions)
    assert RULES[name].solve_state(state).status == "unsolvable"


def crowded(side):
    """An mdungeon level full of ways to lose health and to win it back, and no way out."""
    generator = np.random.default_rng(0)
    level = generator.choice(np.array([0, 4, 6], np.uint8), (side, side))
    level[0, 0] = 2
    level[-1, -1] = 3
    level[-1, -4:-1] = level[-4:-1, -1] = 7
    level[-2, -4:-1] = 1
    level[-4:-1, -2] = 1
    return level


@pytest.mark.parametrize("budget", [1, 3, 50])
def test_small_budgets_end_as_unknown(budget):
    solution = RULES["mdungeon"].solve(crowded(12), budget)
    assert solution.status == "unknown"
    assert solution.nodes <= budget
    level = np.zeros((20, 20), np.uint8)
    level[-1, 0], level[0, 0], level[0, 1] = 2, 5, 3
    solution = RULES["ddave"].solve(level, budget)
    assert solution.status == "unknown"
    assert solution.nodes <= budget


@pytest.mark.skipif(not COMPILED, reason="takes minutes without compilation")
def test_a_search_can_be_stopped():
    rules, stop, level = RULES["mdungeon"], np.zeros(1, np.uint8), crowded(14)
    rules.solve(level, 100)
    found = []
    thread = threading.Thread(target=lambda: found.append(rules.solve(level, 1_000_000, stop)))
    thread.start()
    time.sleep(0.05)
    stop[0] = 1
    thread.join(30)
    assert found[0].status == "unknown"
    assert found[0].nodes < 1_000_000


@BOTH
def test_threads_measure_side_by_side(name):
    problem, generator = envs.get_problem(name), np.random.default_rng(4)
    levels = np.array([random_level(name, generator, (5, 6), 0.2, 8) for _ in range(800 if COMPILED else 8)])
    whole, parts = problem.measure(levels), [None] * 4

    def measure(i):
        parts[i] = problem.measure(levels[i::4])

    threads = [threading.Thread(target=measure, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(4):
        np.testing.assert_array_equal(parts[i], whole[i::4])


@BOTH
def test_measuring_without_play_tells_the_rest(name):
    problem, generator = envs.get_problem(name), np.random.default_rng(6)
    levels = np.array([random_level(name, generator, (7, 8), 0.3, 8) for _ in range(50)])
    static = [not metric.play for metric in problem.metrics]
    np.testing.assert_array_equal(problem.measure_static(levels)[:, static], problem.measure(levels)[:, static])


# What others measured.


def reward(problem, before, after):
    """The step's reward by the one formula of all problems; what is wanted without end is wanted up to the bounds."""
    low, high = np.array([metric.target for metric in problem.metrics]).T
    least, most = np.array([metric.bounds(problem.default_shape) for metric in problem.metrics]).T
    low, high = np.clip(low, least, most), np.clip(high, least, most)
    weights = np.array([metric.weight for metric in problem.metrics])
    old, new = (np.maximum(low - row, 0) + np.maximum(row - high, 0) for row in (before, after))
    return float((weights * (old - new)).sum())


@pytest.mark.parametrize(("name", "agreeing"), [("ddave", 108), ("mdungeon", 112)])
def test_the_reference_cases(name, agreeing):
    """Equal to gym-pcgrl wherever nothing is played; where its agents win, ours does, in no more moves."""
    beside = Path(__file__).parent.parent.parent / "shared" / "reference"
    path = Path(os.environ.get("TILEWRIGHT_REFERENCE") or beside)
    path = path / "gym_pcgrl_cases.json" if path.is_dir() else path
    if not path.is_file():
        pytest.skip(f"gym-pcgrl's cases are not at {path}; TILEWRIGHT_REFERENCE may say where they are.")
    reference, problem = json.loads(path.read_text())[name], envs.get_problem(name)
    assert reference["tiles"] == [tile.name for tile in problem.tiles]
    cases = reference["cases"]
    levels = np.array([[[int(tile) for tile in row] for row in case["level"]] for case in cases], np.uint8)
    edited = levels.copy()
    for level, case in zip(edited, cases, strict=True):
        row, cell, tile = case["edit"]
        level[row, cell] = tile
    before, after = problem.measure(levels), problem.measure(edited)
    names = [metric.name for metric in problem.metrics]
    for rows, stats in ((before, "stats"), (after, "edited_stats")):
        for row, case in zip(rows, cases, strict=True):
            ours, theirs = dict(zip(names, row.tolist(), strict=True)), case[stats]
            played = [metric.name for metric in problem.metrics if metric.play]
            assert list(theirs) == names
            valid = all(theirs[single] == 1 for single in ("player", "exit", "key", "regions") if single in theirs)
            for metric in names:
                assert (valid and metric in played) or ours[metric] == theirs[metric], metric
            if theirs["sol-length"] > 0:
                assert ours["dist-win"] == 0
                assert 0 < ours["sol-length"] <= theirs["sol-length"]
    rewards = [reward(problem, old, new) for old, new in zip(before, after, strict=True)]
    same = [ours == pytest.approx(case["reward"], abs=1e-4) for ours, case in zip(rewards, cases, strict=True)]
    # The others hold levels in which gym-pcgrl's agents find no win, a longer one, or not the nearest state.
    assert sum(same) == agreeing
    assert problem.succeeded(after, before).tolist() == [case["episode_over"] for case in cases]


@pytest.mark.parametrize(
    ("name", "shape", "shares", "metrics"),
    [
        (
            "ddave",
            (7, 11),
            [0.5, 0.3, 0.02, 0.02, 0.04, 0.02, 0.1],
            {
                "player": (3, 1, 1),
                "dist-floor": (2, 0, 0),
                "exit": (3, 1, 1),
                "diamonds": (1, -np.inf, 3),
                "key": (3, 1, 1),
                "spikes": (1, 10, np.inf),
                "regions": (5, 1, 1),
                "num-jumps": (3, np.inf, np.inf),
                "col-diamonds": (0, np.inf, np.inf),
                "dist-win": (0.1, -np.inf, -np.inf),
                "sol-length": (1, np.inf, np.inf),
            },
        ),
        (
            "mdungeon",
            (11, 7),
            [0.4, 0.4, 0.02, 0.02, 0.03, 0.03, 0.05, 0.05],
            {
                "player": (3, 1, 1),
                "exit": (3, 1, 1),
                "potions": (1, -np.inf, 2),
                "treasures": (1, -np.inf, 3),
                "enemies": (2, 1, 6),
                "regions": (5, 1, 1),
                "col-potions": (0, np.inf, np.inf),
                "col-treasures": (0, np.inf, np.inf),
                "col-enemies": (2, np.inf, np.inf),
                "dist-win": (0.1, -np.inf, -np.inf),
                "sol-length": (1, np.inf, np.inf),
            },
        ),
    ],
)
def test_the_published_figures(name, shape, shares, metrics):
    problem = envs.get_problem(name)
    assert problem.default_shape == shape
    assert list(problem.start_probabilities) == shares
    assert {metric.name: (metric.weight, *metric.target) for metric in problem.metrics} == metrics


def test_the_published_success():
    columns = [DDAVE.index("sol-length"), DDAVE.index("num-jumps")]
    metrics = np.zeros((3, 11), np.float32)
    metrics[:, columns] = [(20, 3), (19, 9), (50, 2)]
    assert DDAVE.succeeded(metrics, metrics).tolist() == [True, False, False]
    columns = [MDUNGEON.index(metric) for metric in ("sol-length", "col-enemies", "enemies")]
    metrics = np.zeros((5, 11), np.float32)
    metrics[:, columns] = [(20, 1, 1), (20, 2, 3), (19, 1, 1), (30, 2, 4), (30, 0, 0)]
    assert MDUNGEON.succeeded(metrics, metrics).tolist() == [True, True, False, False, False]


@BOTH
def test_playable_means_won(name):
    problem = envs.get_problem(name)
    metrics = np.zeros((3, 11), np.float32)
    metrics[:, problem.index("dist-win")] = 0, -4, 3
    metrics[:, problem.index("sol-length")] = 7, 0, 0
    assert problem.playable(metrics).tolist() == [True, False, False]


# Construction.


@BOTH
@pytest.mark.parametrize("shape", [None, (5, 7), (9, 14)])
def test_constructed_levels_meet_every_finite_target(name, shape):
    problem = envs.get_problem(name)
    levels = envs.construct(name, 300 if COMPILED else 2, 7, shape or problem.default_shape)
    assert levels.shape[1:] == (shape or problem.default_shape)
    metrics = problem.measure(levels)
    assert problem.succeeded(metrics, metrics).all()
    assert problem.playable(metrics).all()
    for metric, values in zip(problem.metrics, metrics.T, strict=True):
        if metric.finite:
            assert ((values >= metric.target[0]) & (values <= metric.target[1])).all(), metric.name
    assert len({level.tobytes() for level in levels}) == len(levels)


@BOTH
def test_constructed_levels_differ_in_all_that_matters(name):
    """Every cell is at times solid and at times free, and lengths, things and places vary."""
    problem = envs.get_problem(name)
    levels = envs.construct(name, 400 if COMPILED else 4, 3, problem.default_shape)
    if not COMPILED:
        return
    solid = (levels == 1).mean(axis=0)
    free = (levels[:, :-1] == 0).mean(axis=0) if name == "ddave" else (levels == 0).mean(axis=0)
    assert solid.max() < 1
    assert free.min() > 0
    lengths = problem.measure(levels)[:, problem.index("sol-length")]
    assert len(set(lengths.tolist())) > 8
    places = {tuple(np.argwhere(level == 2)[0]) for level in levels}
    assert len(places) > 30
    assert (levels[:200] != levels[200:]).mean() > 0.3


@BOTH
def test_a_constructed_level_depends_on_its_seed_alone(name):
    problem = envs.get_problem(name)
    seeds = np.random.default_rng(0).integers(0, 2**63, 8 if COMPILED else 2, np.uint64)
    together = problem.construct(seeds, problem.default_shape)
    for i in reversed(range(len(seeds))):
        np.testing.assert_array_equal(problem.construct(seeds[i : i + 1], problem.default_shape)[0], together[i])


@pytest.mark.skipif(not COMPILED, reason="thousands of attempts")
@BOTH
@pytest.mark.parametrize("shape", [(2, 2), (3, 4)])
def test_shapes_without_room_are_refused(name, shape):
    with pytest.raises(UserError, match=r"hardly room.*take at least \(5, 7\)"):
        envs.construct(name, 1, 0, shape)
