"""Mazes and dungeons: what they measure, how they are played, and levels of any size."""

from __future__ import annotations

import threading
import time
from collections import deque

import numba
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracles import grid as oracle
from oracles import mazes as twin
from oracles.zelda import Game

import envs
from envs.games.maze import DoorRules, MazeRules
from envs.games.zelda import DungeonRules, ZeldaRules
from envs.kernels import zelda_rules
from envs.kernels.binary import measure_binary
from envs.kernels.zelda import measure_dungeon, measure_zelda
from envs.rules import LOST, PLAYING, WON
from envs.vector_env import DesignVectorEnv

MAZE, DUNGEON = envs.get_problem("maze"), envs.get_problem("dungeon")
DOOR, TREASURE_HUNT = DoorRules(), DungeonRules()
UP, DOWN, LEFT, RIGHT, SWORD, WAIT = range(6)

seeds = st.integers(0, 2**32 - 1)


def few(examples):
    count = max(examples // 8, 5) if numba.config.DISABLE_JIT else examples
    return settings(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def scattered(seed, shape, share_solid, things, count=6):
    """Levels of floor and walls with one of each thing, a few of which are spoilt by a random tile."""
    generator = np.random.default_rng(seed)
    levels = (generator.random((count, *shape)) < share_solid).astype(np.uint8)
    for level in levels:
        cells = generator.permutation(level.size)[: len(things)]
        level.ravel()[cells] = things[: len(cells)]
        if generator.random() < 0.2:
            level.ravel()[generator.integers(level.size)] = generator.integers(max(things) + 1)
    return levels


def mazes(seed, shape):
    return scattered(seed, shape, np.random.default_rng(seed).choice([0, 0.05, 0.2, 0.5]), [2, 3])


def dungeons(seed, shape):
    share = np.random.default_rng(seed).choice([0, 0.05, 0.2, 0.5])
    return scattered(seed, shape, share, [2, 3, 4, 8, 5, 6, 7])


@few(60)
@given(seeds, st.tuples(st.integers(2, 9), st.integers(2, 9)))
def test_a_maze_measures_what_is_published(seed, shape):
    levels = mazes(seed, shape)
    assert MAZE.measure(levels).tolist() == [twin.maze_metrics(level) for level in levels.tolist()]


@few(60)
@given(seeds, st.tuples(st.integers(2, 9), st.integers(2, 9)))
def test_a_dungeon_measures_its_definition(seed, shape):
    levels = dungeons(seed, shape)
    assert DUNGEON.measure(levels).tolist() == [twin.dungeon_metrics(level) for level in levels.tolist()]


@few(40)
@given(seeds, st.tuples(st.integers(2, 9), st.integers(2, 9)))
def test_without_treasure_a_dungeon_measures_as_zelda_where_there_is_a_path(seed, shape):
    levels = dungeons(seed, shape)
    levels[levels == 8] = 0
    dungeon, zelda = measure_dungeon(levels), measure_zelda(levels)
    assert (dungeon[:, 7] == 0).all()
    assert (dungeon[:, :6] == zelda[:, :6]).all()
    walked = dungeon[:, 6] > 0
    assert (dungeon[walked, 6] == zelda[walked, 6]).all()


# On both sides of what fits into machine words, and far beyond.
SHAPES = [(16, 16), (17, 16), (16, 17), (4, 63), (4, 64), (5, 63), (32, 32), (2, 128), (128, 2), (20, 100), (100, 20)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_all_sizes_measure_alike(shape):
    for seed in range(3):
        levels = mazes(seed, shape)
        assert MAZE.measure(levels).tolist() == [twin.maze_metrics(level) for level in levels.tolist()]
        levels = dungeons(seed, shape)
        assert DUNGEON.measure(levels).tolist() == [twin.dungeon_metrics(level) for level in levels.tolist()]
    corridors = envs.construct("binary", 3, 0, shape)
    for level, (regions, path) in zip(corridors.tolist(), measure_binary(corridors), strict=True):
        assert (regions, path) == (oracle.regions(level, {0}), oracle.two_flood_path(level))


@pytest.mark.parametrize("name", ["binary", "maze", "dungeon"])
@pytest.mark.parametrize("representation", ["narrow", "turtle", "wide"])
@pytest.mark.parametrize("shape", [(64, 64), (20, 100)], ids=str)
def test_large_levels_can_be_designed(name, representation, shape):
    env = DesignVectorEnv(name, representation, 4, shape=shape)
    problem = envs.get_problem(name)
    _, infos = env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(20):
        _, rewards, _, _, infos = env.step(env.action_space.sample())
        assert np.isfinite(rewards).all()
    measured = problem.measure(env.levels)
    for i, metric in enumerate(problem.metrics):
        assert infos[metric.name].tolist() == measured[:, i].tolist()
        low, high = metric.bounds(shape)
        assert (low <= measured[:, i]).all()
        assert (measured[:, i] <= high).all()


def test_the_published_figures():
    assert MAZE.default_shape == DUNGEON.default_shape == (16, 16)
    assert list(MAZE.start_probabilities) == [0.48, 0.48, 0.02, 0.02]
    assert {metric.name: (metric.weight, *metric.target) for metric in MAZE.metrics} == {
        "player": (1, 1, 1),
        "door": (1, 1, 1),
        "regions": (1, 1, 1),
        "path-length": (1, np.inf, np.inf),
    }
    assert {metric.name: (metric.weight, *metric.target) for metric in DUNGEON.metrics} == {
        "player": (3, 1, 1),
        "key": (3, 1, 1),
        "door": (3, 1, 1),
        "enemies": (3, 2, 5),
        "regions": (5, 1, 1),
        "nearest-enemy": (2, 2, np.inf),
        "path-length": (1, np.inf, np.inf),
        "treasure": (3, 1, 1),
    }


def test_success_is_every_finite_target_and_a_path():
    mazes = np.array([[1, 1, 1, 5], [1, 1, 2, 0], [0, 1, 1, 0], [1, 2, 1, 0]], np.float32)
    assert MAZE.succeeded(mazes, mazes).tolist() == [True, False, False, False]
    assert MAZE.playable(mazes).tolist() == [True, False, False, False]
    good = [1, 1, 1, 3, 1, 4, 20, 1]
    rows = [good]
    for column, value in ((0, 2), (1, 0), (2, 2), (3, 1), (3, 6), (4, 2), (5, 1), (6, 0), (7, 0), (7, 2)):
        rows.append([*good[:column], value, *good[column + 1 :]])
    dungeons = np.array(rows, np.float32)
    assert DUNGEON.succeeded(dungeons, dungeons).tolist() == [True] + [False] * 10
    assert DUNGEON.playable(dungeons).tolist() == [True] * 8 + [False] * 3


class TestDoor:
    @few(80)
    @given(seeds, st.tuples(st.integers(2, 8), st.integers(2, 8)))
    def test_the_walk_is_a_shortest_one(self, seed, shape):
        for level in mazes(seed, shape):
            solution = DOOR.solve(level)
            players, doors = twin.places(level.tolist(), 2), twin.places(level.tolist(), 3)
            if len(players) != 1 or len(doors) != 1:
                assert solution.status == "unsolvable"
                assert DOOR.problem_with(level) is not None
                continue
            length = twin.steps(level.tolist(), {0, 2, 3}, players[0], doors)
            state = DOOR.start(level)
            board = np.array(DOOR.sprites, object)[DOOR.board(state)]
            assert (board == np.array(("floor", "wall", "player", "door-open"), object)[level]).all()
            if length is None:
                assert solution.status == "unsolvable"
                continue
            assert len(solution.actions) == length
            for action in solution.actions:
                assert DOOR.outcome(state) == PLAYING
                state = DOOR.step(state, int(action))
            assert DOOR.outcome(state) == WON

    def test_a_cut_off_door_is_proven_unsolvable_only_by_exhaustion(self):
        level = np.zeros((9, 9), np.uint8)
        level[:, 4] = 1
        level[0, 0], level[8, 8] = 2, 3
        assert DOOR.solve(level).status == "unsolvable"
        assert DOOR.solve(level, 5).status == "unknown"


class TestTreasureHunt:
    @few(120)
    @given(seeds, st.tuples(st.integers(3, 7), st.integers(3, 7)), st.lists(st.integers(0, 5), max_size=40))
    def test_every_tick_equals_the_slow_twin(self, seed, shape, actions):
        level = scattered(seed, shape, 0.15, [2, 3, 4, 8, 5, 6, 7], 1)[0]
        if TREASURE_HUNT.problem_with(level) is not None:
            return
        state, game = TREASURE_HUNT.start(level), Game(level.tolist())
        names = np.array(TREASURE_HUNT.sprites, object)
        for action in actions:
            game.step(TREASURE_HUNT.actions[action])
            state = TREASURE_HUNT.step(state, action)
            assert TREASURE_HUNT.outcome(state) == {"playing": PLAYING, "won": WON, "lost": LOST}[game.outcome]
            board = names[TREASURE_HUNT.board(state)]
            hidden = {enemy.cell for enemy in game.enemies if enemy.alive} | {game.player}
            if game.outcome == "playing":
                assert board[game.player].startswith("player-")
            for cell, name, taken in (
                (game.key, "key", game.has_key),
                (game.treasure, "treasure-chest", game.has_treasure),
            ):
                if cell not in hidden:
                    assert (board[cell] == name) == (not taken) or board[cell].startswith("sword-")
            if game.door != game.player:
                assert board[game.door] == ("door-open" if game.has_key and game.has_treasure else "door")

    @few(60)
    @given(seeds, st.tuples(st.integers(2, 3), st.integers(3, 4)), st.integers(0, 2))
    def test_exhaustive_search_agrees(self, seed, shape, enemies):
        level = scattered(seed, shape, 0.1, [2, 3, 4, 8, 5, 6][: 4 + enemies], 1)[0]
        if TREASURE_HUNT.problem_with(level) is not None:
            return
        solution = TREASURE_HUNT.solve(level)
        best = fewest_ticks(level)
        assert solution.status == ("unsolvable" if best is None else "solved")
        if best is not None:
            assert len(solution.actions) == best

    @pytest.mark.parametrize(
        ("rows", "ticks"),
        [
            (("@$.kD",), 4),
            (("k@.$D",), 1 + 3 + 1),
            (("$@..kD",), 1 + 4 + 1),
            (("@.k", "D#$"), 2 + 1 + 1 + 2 + 1),
        ],
    )
    def test_key_and_treasure_are_taken_in_the_better_order(self, rows, ticks):
        assert len(TREASURE_HUNT.solve(DUNGEON.parse(rows)).actions) == ticks

    def test_the_door_stays_shut_without_the_treasure(self):
        level = DUNGEON.parse(("$@kD",))
        state = TREASURE_HUNT.start(level)
        for action in (RIGHT, RIGHT):
            state = TREASURE_HUNT.step(state, action)
        assert TREASURE_HUNT.outcome(state) == PLAYING
        assert TREASURE_HUNT.sprites[TREASURE_HUNT.board(state)[0, 3]] == "door"
        for action in (LEFT, LEFT, RIGHT, RIGHT, RIGHT):
            state = TREASURE_HUNT.step(state, action)
        assert TREASURE_HUNT.outcome(state) == WON

    def test_a_treasure_that_walls_cut_off_is_proven_so(self):
        level = DUNGEON.parse(("@k.D#$",))
        assert TREASURE_HUNT.solve(level).status == "unsolvable"
        assert (
            TREASURE_HUNT.problem_with(DUNGEON.parse(("@k.D",))) == "it has 0 treasures; exactly 1 treasure is needed"
        )


def fewest_ticks(level):
    """The least number of actions that win, by trying all of them everywhere; None if none do."""
    start = TREASURE_HUNT.start(level)
    seen, frontier = {start.tobytes()}, deque([(start, 0)])
    while frontier:
        state, length = frontier.popleft()
        if TREASURE_HUNT.outcome(state) == WON:
            return length
        if TREASURE_HUNT.outcome(state) == PLAYING:
            for action in range(6):
                after = TREASURE_HUNT.step(state, action)
                after[zelda_rules.STRUCK] = -1
                if after.tobytes() not in seen:
                    seen.add(after.tobytes())
                    frontier.append((after, length + 1))
    return None


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="large searches need the compiler")
class TestLargeDungeons:
    @pytest.mark.parametrize("shape", [(64, 64), (20, 100), (128, 128)], ids=str)
    @pytest.mark.parametrize("enemies", [60, 500])
    def test_crowds_are_played_and_searched_within_the_budget(self, shape, enemies):
        generator = np.random.default_rng(enemies)
        level = (generator.random(shape) < 0.2).astype(np.uint8)
        cells = generator.permutation(level.size)[: enemies + 4]
        level.ravel()[cells] = [2, 3, 4, 8, *generator.integers(5, 8, enemies)]
        solution = TREASURE_HUNT.solve(level, 5000)
        assert solution.nodes <= 5000
        state = TREASURE_HUNT.start(level)
        for action in solution.actions:
            state = TREASURE_HUNT.step(state, int(action))
        assert not solution.solved or TREASURE_HUNT.outcome(state) == WON
        assert (TREASURE_HUNT.board(TREASURE_HUNT.start(level)) < len(TREASURE_HUNT.sprites)).all()

    def test_a_search_without_room_says_unknown(self):
        # Thousands of bats in an open hall: where they will be takes more than a search has room for.
        level = np.full((100, 128), 5, np.uint8)
        level[:, :4] = 0
        level[0, 0], level[-1, 0], level[64, 0], level[0, 3] = 2, 3, 4, 8
        solution = TREASURE_HUNT.solve(level)
        assert (solution.status, solution.nodes) == ("unknown", 0)

    def test_a_search_among_thousands_meets_no_more_than_it_has_time_for(self):
        level = np.full((96, 96), 5, np.uint8)
        level[:, :4] = 0
        level[0, 0], level[-1, 0], level[64, 0], level[0, 3] = 2, 3, 4, 8
        solution = TREASURE_HUNT.solve(level)
        assert solution.status in ("unknown", "unsolvable")
        assert solution.nodes < TREASURE_HUNT.default_budget // 10

    def test_enemies_that_share_places_keep_their_own_routes(self):
        generator = np.random.default_rng(0)
        tiles = np.ones((12, 12), np.int32)
        tiles[1:-1, 1:-1] = generator.random((10, 10)) < 0.2
        free = np.flatnonzero(tiles.ravel() == 0)
        # Enemies that cannot leave their cells come first: what they leave behind must not mislead the next.
        tiles[3, 3], tiles[2, 3], tiles[4, 3], tiles[3, 2], tiles[3, 4] = 0, 1, 1, 1, 1
        cells = np.concatenate([[39, 39], generator.choice(free, 30)]).astype(np.int32)
        motions = (4 * generator.integers(5, 8, 32) + generator.integers(0, 4, 32)).astype(np.int32)
        together = zelda_rules.enemy_routes(tiles.ravel(), 12, cells, motions, 0)
        for i in range(32):
            routes, _, leads, periods = zelda_rules.enemy_routes(
                tiles.ravel(), 12, cells[i : i + 1], motions[i : i + 1], 0
            )
            assert routes.tolist() == together[0][together[1][i] : together[1][i + 1]].tolist()
            assert (leads[0], periods[0]) == (together[2][i], together[3][i])


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="large searches need the compiler")
@pytest.mark.parametrize(
    ("rules", "problem"), [(MazeRules(), "binary"), (DOOR, "maze"), (ZeldaRules(), "zelda"), (TREASURE_HUNT, "dungeon")]
)
def test_a_search_can_be_stopped_before_it_begins(rules, problem):
    level = envs.construct(problem, 1, 0)[0]
    assert rules.solve(level, stop=np.zeros(1, np.uint8)).solved
    assert rules.solve(level, stop=np.ones(1, np.uint8)).status == "unknown"


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="large searches need the compiler")
def test_a_search_can_be_stopped_from_another_thread():
    # Three hundred bats in an open hall: this search takes seconds, and ends without a verdict.
    generator = np.random.default_rng(7)
    level = np.zeros((40, 40), np.uint8)
    level.ravel()[generator.permutation(level.size)[:303]] = [2, 3, 4, *[5] * 300]
    rules = ZeldaRules()
    rules.solve(level, 10)
    stop = np.zeros(1, np.uint8)
    found = []
    searching = threading.Thread(target=lambda: found.append(rules.solve(level, 10**9, stop)))
    searching.start()
    time.sleep(0.2)
    assert searching.is_alive()
    stop[0] = 1
    searching.join(timeout=60)
    assert found[0].status == "unknown"
    assert found[0].nodes < 150_000
