"""Rules of play, their solvers, and the play environment."""

from __future__ import annotations

import subprocess
import sys
import types
import warnings
from collections import deque

import gymnasium
import networkx
import numba
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracles.zelda import Game

import envs
from envs.errors import UserError
from envs.games.maze import MazeRules
from envs.games.zelda import ZeldaRules
from envs.kernels import zelda_rules
from envs.play_env import PlayEnv
from envs.rules import LOST, PLAYING, WON

ZELDA, MAZE = ZeldaRules(), MazeRules()
CHARACTERS = ".#@kDbcs"
UP, DOWN, LEFT, RIGHT, SWORD, WAIT = range(6)
PLAYABLE = [name for name, problem in envs.all_problems().items() if problem.rules is not None]


def few(examples):
    """Fewer examples where nothing is compiled; the first one may compile, so that there is no deadline."""
    count = max(examples // 8, 5) if numba.config.DISABLE_JIT else examples
    return settings(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def zelda(*rows):
    return np.array([[CHARACTERS.index(character) for character in row] for row in rows], np.uint8)


@st.composite
def zelda_levels(draw, heights, widths, most_enemies):
    height, width = draw(st.integers(*heights)), draw(st.integers(*widths))
    walls = draw(st.lists(st.sampled_from([0, 0, 0, 1]), min_size=height * width, max_size=height * width))
    level = np.array(walls, np.uint8)
    enemies = draw(st.lists(st.sampled_from([5, 6, 7]), max_size=most_enemies))
    cells = draw(st.permutations(range(height * width)))
    things = [2, 3, 4, *enemies][: height * width]
    level[list(cells[: len(things)])] = things
    return level.reshape(height, width)


def play(rules, level, actions):
    state = rules.start(level)
    for action in actions:
        state = rules.step(state, int(action))
    return state


def exhaust(rules, level):
    """Finds the least number of actions that win by trying all of them everywhere; None if none do."""
    start = rules.start(level)
    seen, frontier = {start.tobytes()}, deque([(start, 0)])
    while frontier:
        state, length = frontier.popleft()
        if rules.outcome(state) == WON:
            return length
        if rules.outcome(state) == PLAYING:
            for action in range(len(rules.actions)):
                after = rules.step(state, action)
                # Where the sword was swung last is for the eye alone.
                if rules is ZELDA:
                    after[zelda_rules.STRUCK] = -1
                if after.tobytes() not in seen:
                    seen.add(after.tobytes())
                    frontier.append((after, length + 1))
    return None


def twin_board(game, level, struck):
    """Draws a twin's game as sprite names."""
    board = np.array(ZELDA.sprites, object)[np.where((level == 1) | (level == 3) | (level == 4), level, 0)]
    if game.has_key:
        board[game.key] = "floor"
        board[game.door] = "door-open"
    facing = {(-1, 0): "up", (1, 0): "down", (0, -1): "left", (0, 1): "right"}[game.facing]
    if struck in game.floor:
        board[struck] = f"sword-{facing}"
    board[game.player] = f"player-{facing}"
    for enemy in game.enemies:
        if enemy.alive:
            board[enemy.cell] = enemy.kind
    return board


class TestZelda:
    @few(150)
    @given(zelda_levels((2, 8), (2, 9), 6), st.lists(st.integers(0, 5), max_size=40))
    def test_every_tick_equals_the_slow_twin(self, level, actions):
        state, game = ZELDA.start(level), Game(level.tolist())
        names = np.array(ZELDA.sprites, object)
        assert (names[ZELDA.board(state)] == twin_board(game, level, None)).all()
        struck = None
        for action in actions:
            if game.outcome == "playing":
                swung = ZELDA.actions[action] == "sword"
                struck = (game.player[0] + game.facing[0], game.player[1] + game.facing[1]) if swung else None
            game.step(ZELDA.actions[action])
            state = ZELDA.step(state, action)
            assert ZELDA.outcome(state) == {"playing": PLAYING, "won": WON, "lost": LOST}[game.outcome]
            assert (names[ZELDA.board(state)] == twin_board(game, level, struck)).all()

    @few(200)
    @given(zelda_levels((3, 4), (3, 5), 3))
    def test_the_solver_agrees_with_exhaustive_search(self, level):
        solution = ZELDA.solve(level)
        shortest = exhaust(ZELDA, level)
        assert solution.status == ("unsolvable" if shortest is None else "solved")
        if shortest is not None:
            assert len(solution.actions) == shortest
            assert ZELDA.outcome(play(ZELDA, level, solution.actions)) == WON
        for budget in (1, 3):
            limited = ZELDA.solve(level, budget)
            assert limited.status in ("unknown", solution.status)
            assert limited.nodes <= budget

    @few(60)
    @given(zelda_levels((3, 4), (3, 5), 3), st.lists(st.integers(0, 5), max_size=6))
    def test_the_solver_goes_on_from_the_middle_of_a_game(self, level, actions):
        state = play(ZELDA, level, actions)
        solution = ZELDA.solve_state(state)
        for action in solution.actions:
            state = ZELDA.step(state, int(action))
        assert solution.solved == (ZELDA.outcome(state) == WON)
        if not solution.solved:
            assert solution.status == "unsolvable"
        whole = ZELDA.solve(level)
        if solution.solved:
            assert whole.solved
            assert len(whole.actions) <= len(actions) + len(solution.actions)

    @few(40)
    @given(zelda_levels((3, 8), (3, 9), 5))
    def test_enemies_come_round_for_ever(self, level):
        state, game = ZELDA.start(level), Game(level.tolist())
        padded = (level.shape[0] + 2) * (level.shape[1] + 2)
        count, at = len(game.enemies), zelda_rules.HEADER
        routes, begins, leads, periods = zelda_rules.enemy_routes(
            state[at : at + padded],
            level.shape[1] + 2,
            state[at + padded : at + padded + count],
            state[at + 2 * padded : at + 2 * padded + count],
            0,
        )
        for tick in range(200):
            for i, enemy in enumerate(game.enemies):
                turn = tick if tick < leads[i] else leads[i] + (tick - leads[i]) % periods[i]
                y, x = enemy.cell
                assert routes[begins[i] + turn] == (y + 1) * (level.shape[1] + 2) + x + 1
                game.move(enemy)
            game.ticks += 1

    def test_the_sword_kills_before_enemies_move(self):
        level = zelda("@####", "c..kD")
        state = play(ZELDA, level, [SWORD])
        assert ZELDA.outcome(state) == PLAYING
        assert ZELDA.sprites[ZELDA.board(state)[1, 0]] == "sword-down"
        state = play(ZELDA, level, [SWORD, DOWN, RIGHT, RIGHT, RIGHT, RIGHT])
        assert ZELDA.outcome(state) == WON
        assert ZELDA.outcome(play(ZELDA, level, [DOWN, RIGHT])) == LOST

    def test_one_strike_kills_all_that_share_the_cell(self):
        # Two bats meet below the player on the first tick, and fly up from there on the second.
        level = zelda("#@#k", "b.b#", "#.#D")
        assert (ZELDA.board(play(ZELDA, level, [WAIT])) == 5).sum() == 1
        assert ZELDA.outcome(play(ZELDA, level, [WAIT, WAIT])) == LOST
        state = play(ZELDA, level, [WAIT, SWORD])
        assert ZELDA.outcome(state) == PLAYING
        assert not (ZELDA.board(state) == 5).any()

    def test_changing_places_loses_and_following_does_not(self):
        # The scorpion cannot go down or up, so that it sets out to the right, on the first tick.
        assert ZELDA.outcome(play(ZELDA, zelda("c@..", "####", "k..D"), [LEFT])) == LOST
        assert ZELDA.outcome(play(ZELDA, zelda("@c..", "####", "k..D"), [RIGHT])) == PLAYING
        assert ZELDA.outcome(play(ZELDA, zelda("c@..", "####", "k..D"), [WAIT])) == LOST

    def test_walls_and_the_closed_door_turn_the_player_without_letting_through(self):
        level = zelda("D@k")
        state = play(ZELDA, level, [LEFT, UP])
        assert [ZELDA.sprites[tile] for tile in ZELDA.board(state)[0]] == ["door", "player-up", "key"]
        state = play(ZELDA, level, [RIGHT])
        assert [ZELDA.sprites[tile] for tile in ZELDA.board(state)[0]] == ["door-open", "floor", "player-right"]
        assert ZELDA.outcome(play(ZELDA, level, [RIGHT, LEFT, LEFT])) == WON
        assert ZELDA.solve(level).actions.tolist() == [RIGHT, LEFT, LEFT]

    def test_a_finished_game_stays_and_steps_leave_their_state_alone(self):
        state = play(ZELDA, zelda("D@k"), [RIGHT, LEFT])
        before = state.copy()
        won = ZELDA.step(state, LEFT)
        assert (state == before).all()
        assert (ZELDA.step(state, LEFT) == won).all()
        assert (ZELDA.step(won, RIGHT) == won).all()

    @pytest.mark.parametrize(
        ("rows", "needs_search"),
        [
            (("@#k", ".#.", ".#D"), False),
            (("@.k", "###", "..D"), False),
            (("@kb", "#b.", ".cD"), True),
            (("bkD", "sb@", ".#."), True),
        ],
    )
    def test_hopeless_levels_are_proven_so(self, rows, needs_search):
        level = zelda(*rows)
        solution = ZELDA.solve(level)
        assert exhaust(ZELDA, level) is None
        assert solution.status == "unsolvable"
        assert (solution.nodes > 0) == needs_search

    def test_the_solver_says_unknown_at_its_budget(self):
        level = zelda("@.......", "b......k", "D.......")
        assert ZELDA.solve(level).solved
        assert ZELDA.solve(level, 1).status == "unknown"

    def test_more_enemies_than_a_word_has_bits(self):
        corridor = zelda("##########.", "##########.", "Dk...c.@..#")
        crowd = np.full((7, 12), 6, np.uint8)
        level = np.block([[np.ones((5, 11), np.uint8), crowd[:5]], [corridor, np.zeros((3, 12), np.uint8)]])
        level[4:6, 11:13] = 6
        assert (level >= 5).sum() > 60
        lonely = np.where((level >= 5) & (np.arange(level.shape[1]) > 10), 0, level).astype(np.uint8)
        solution, alone = ZELDA.solve(level), ZELDA.solve(lonely)
        assert SWORD in alone.actions
        assert len(solution.actions) == len(alone.actions)
        assert ZELDA.outcome(play(ZELDA, level, solution.actions)) == WON

    def test_a_large_dungeon(self):
        level = np.zeros((64, 64), np.uint8)
        level[1:-1:2, :] = 1
        level[1:-1:4, -1] = 0
        level[3:-1:4, 0] = 0
        level[0, 0], level[-2, 30], level[-1, -1] = 2, 3, 4
        level[8, ::9] = 6
        solution = ZELDA.solve(level)
        # 31 rows of 63 steps, 2 steps between one and the next, 33 to the key, 34 to the door; and the scorpions.
        assert len(solution.actions) > 31 * 63 + 31 * 2 + 33 + 34
        assert len(solution.actions) - (31 * 63 + 31 * 2 + 33 + 34) < 30
        assert ZELDA.outcome(play(ZELDA, level, solution.actions)) == WON

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            (("@@k", "D.."), "it has 2 players; exactly 1 player is needed"),
            (("@..", "DD."), "it has 0 keys and 2 doors; exactly 1 key and 1 door are needed"),
        ],
    )
    def test_levels_that_cannot_be_started(self, rows, message):
        level = zelda(*rows)
        assert ZELDA.problem_with(level) == message
        assert ZELDA.solve(level).status == "unsolvable"
        with pytest.raises(UserError, match=message):
            ZELDA.start(level)


def double_sweep(level):
    """Returns the ends and the length of the maze's path, by networkx."""
    graph = networkx.grid_2d_graph(*level.shape)
    graph.remove_nodes_from([cell for cell in list(graph) if level[cell] != 0])
    best = None
    for region in sorted(networkx.connected_components(graph), key=min):
        ends = [min(region)]
        for _ in range(2):
            distances = networkx.single_source_shortest_path_length(graph, ends[-1])
            ends.append(min(distances, key=lambda cell: (-distances[cell], cell)))
        if best is None or distances[ends[2]] > best[2]:
            best = ends[1], ends[2], distances[ends[2]]
    return best


class TestMaze:
    @few(120)
    @given(st.integers(1, 9), st.integers(1, 9), st.data())
    def test_ends_and_walk(self, height, width, data):
        tiles = data.draw(st.lists(st.sampled_from([0, 0, 1]), min_size=height * width, max_size=height * width))
        level = np.array(tiles, np.uint8).reshape(height, width)
        solution = MAZE.solve(level)
        if level.all():
            assert solution.status == "unsolvable"
            with pytest.raises(UserError, match="no empty cell"):
                MAZE.start(level)
            return
        start, goal, length = double_sweep(level)
        state = MAZE.start(level)
        board = MAZE.board(state)
        assert MAZE.sprites[board[start]] == "player"
        assert start == goal or MAZE.sprites[board[goal]] == "flag"
        assert np.isin(board, (2, 3)).sum() == len({start, goal})
        assert ((board == 1) == (level == 1)).all()
        assert solution.solved
        assert len(solution.actions) == length
        for action in solution.actions:
            assert MAZE.outcome(state) == PLAYING
            state = MAZE.step(state, int(action))
        assert MAZE.outcome(state) == WON
        assert MAZE.sprites[MAZE.board(state)[goal]] == "player"
        assert all((MAZE.step(state, action) == state).all() for action in range(4))
        if level.size > 1 and min(level.shape) > 1:
            assert envs.measure("binary", level)["path-length"][0] == length

    @few(60)
    @given(st.lists(st.integers(0, 3), max_size=30))
    def test_walls_stop_the_walker(self, actions):
        level = np.array([[0, 0, 1, 0], [1, 0, 0, 0], [1, 0, 1, 0]], np.uint8)
        state = MAZE.start(level)
        (y, x), goal, _ = double_sweep(level)
        for action in actions:
            if (y, x) != goal:
                step_y, step_x = ((-1, 0), (1, 0), (0, -1), (0, 1))[action]
                if 0 <= y + step_y < 3 and 0 <= x + step_x < 4 and level[y + step_y, x + step_x] == 0:
                    y, x = y + step_y, x + step_x
            state = MAZE.step(state, action)
            assert np.argwhere(MAZE.board(state) == 2).tolist() == [[y, x]]

    def test_the_first_of_two_equally_long_regions_is_walked(self):
        # The second has more cells, but no longer path.
        level = np.array([[0, 0, 0], [1, 1, 1], [0, 0, 1], [0, 0, 1]], np.uint8)
        assert MAZE.board(MAZE.start(level))[0].tolist() == [3, 0, 2]

    def test_unknown_at_a_tiny_budget(self):
        level = np.zeros((6, 6), np.uint8)
        assert MAZE.solve(level, 3).status == "unknown"
        assert MAZE.solve(level).nodes <= level.size


@pytest.mark.parametrize("rules", [ZELDA, MAZE], ids=["zelda", "maze"])
def test_bad_arguments_get_one_clear_sentence(rules):
    level = zelda("D@k") if rules is ZELDA else np.zeros((2, 2), np.uint8)
    with pytest.raises(UserError, match=r"Action 9 is not one of 0 to \d \(up, down"):
        rules.step(rules.start(level), 9)
    with pytest.raises(UserError, match="budget must be at least 1 state; got 0"):
        rules.solve(level, 0)


@pytest.mark.parametrize("rules", [ZELDA, MAZE], ids=["zelda", "maze"])
def test_every_action_has_a_key_of_its_own(rules):
    assert set(rules.keys) == set(rules.actions)
    keys = [key for names in rules.keys.values() for key in names]
    assert len(keys) == len(set(keys))


@pytest.fixture
def windows(monkeypatch):
    """Replaces the window by one that keeps what it is shown."""
    opened = []

    class Window:
        def __init__(self, title):
            self.title, self.shown, self.open = title, [], True
            opened.append(self)

        def show(self, rgb, frames_per_second):
            self.shown.append(rgb)

        def close(self):
            self.open = False

    monkeypatch.setitem(sys.modules, "envs.window", types.SimpleNamespace(Window=Window))
    return opened


@pytest.mark.parametrize("name", PLAYABLE)
class TestPlayEnvOfEveryProblem:
    def test_gymnasium_checks(self, name, windows):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_env(gymnasium.make(f"tilewright/play-{name}-v0").unwrapped)
        assert windows
        assert not any(window.open for window in windows)

    def test_stable_baselines3_checks(self, name):
        from stable_baselines3.common.env_checker import check_env as check

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check(PlayEnv(name))

    def test_solutions_win(self, name):
        env = PlayEnv(name)
        for level in env.levels:
            solution = env.rules.solve(level)
            assert solution.solved
            observation, info = env.reset(options={"level": level})
            board = observation["board"] if env.rules.senses else observation
            assert (board == env.rules.board(env.rules.start(level)).ravel()).all()
            total = 0.0
            for i, action in enumerate(solution.actions):
                assert not info["won"]
                observation, reward, terminated, truncated, info = env.step(action)
                assert observation in env.observation_space
                assert info["steps"] == i + 1
                assert terminated == (i == len(solution.actions) - 1)
                assert not truncated
                total += reward
            assert info["won"]
            assert total == 1

    def test_same_seed_same_game(self, name):
        def flat(observation):
            parts = observation.values() if isinstance(observation, dict) else [observation]
            return b"".join(part.tobytes() for part in parts)

        def record(seed):
            env = PlayEnv(name)
            env.action_space.seed(seed)
            seen = [flat(env.reset(seed=seed)[0])]
            for _ in range(30):
                observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
                seen.append((flat(observation), reward, terminated, truncated, info))
                if terminated or truncated:
                    seen.append(flat(env.reset()[0]))
            return seen

        assert record(7) == record(7)


class TestPlayEnv:
    level = zelda("@.k", "b..", "..D")

    def test_a_loss_costs_one_and_ends(self):
        env = PlayEnv("zelda", zelda("@.", "c.", "kD"))
        env.reset()
        _, reward, terminated, truncated, info = env.step(DOWN)
        # The scorpion leaves for the key's cell just as the player comes; it turns back two ticks later.
        assert (reward, terminated, truncated, info["won"]) == (0, False, False, False)
        env.step(WAIT)
        _, reward, terminated, _, info = env.step(WAIT)
        assert (reward, terminated, info["won"]) == (-1, True, False)
        with pytest.raises(UserError, match="call reset"):
            env.step(WAIT)

    def test_truncates_at_max_steps(self):
        env = PlayEnv("binary", np.zeros((4, 4), np.uint8), max_steps=3)
        env.reset()
        ends = [env.step(UP)[2:4] for _ in range(3)]
        assert ends == [(False, False), (False, False), (False, True)]
        with pytest.raises(UserError, match="call reset"):
            env.step(UP)

    def test_a_level_that_is_won_at_the_start_ends_at_the_first_step(self):
        env = PlayEnv("binary", np.array([[0, 1], [1, 1]]))
        _, info = env.reset()
        assert info == {"won": True, "steps": 0}
        _, reward, terminated, truncated, info = env.step(UP)
        assert (reward, terminated, truncated, info) == (1, True, False, {"won": True, "steps": 1})

    def test_episodes_draw_from_all_the_levels(self):
        levels = np.stack([self.level, self.level[::-1], self.level[:, ::-1]])
        env = PlayEnv("zelda", levels)
        seen = {env.reset(seed=0 if i == 0 else None)[0].tobytes() for i in range(40)}
        assert seen == {ZELDA.board(ZELDA.start(level)).tobytes() for level in levels}

    def test_pictures(self):
        env = PlayEnv("zelda", self.level, render_mode="rgb_array", tile_size=16)
        env.reset()
        before = env.render()
        assert (before.shape, before.dtype) == ((48, 48, 3), np.uint8)
        env.step(RIGHT)
        assert (env.render() != before).any()

    def test_a_window_follows_the_game(self, windows):
        env = PlayEnv("zelda", self.level, render_mode="human")
        env.reset()
        env.step(RIGHT)
        assert env.render() is None
        assert len(windows) == 1
        assert [picture.shape for picture in windows[0].shown] == [(96, 96, 3)] * 3
        env.close()
        env.close()
        assert not windows[0].open

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"problem": "zelad"}, "did you mean 'zelda'"),
            ({"levels": np.full((3, 3), 9)}, "zelda has tile ids 0 to 7"),
            ({"levels": np.zeros((3, 3), np.uint8)}, "This level cannot be played: it has 0 players"),
            ({"levels": [zelda("@kD", "..."), zelda("@k.", "...")]}, "Level 1 cannot be played: it has 0 doors"),
            ({"levels": [np.zeros((2, 3)), np.zeros((3, 3))]}, "must be of one shape"),
            ({"levels": np.zeros((0, 3, 3), np.uint8)}, "At least one zelda level is needed"),
            ({"levels": np.zeros((3, 3))}, "must be whole numbers"),
            ({"max_steps": 0}, "max_steps must be at least 1"),
            ({"render_mode": "ansi"}, "Unknown render mode 'ansi'"),
        ],
    )
    def test_bad_options(self, options, message):
        with pytest.raises(UserError, match=message):
            PlayEnv(**{"problem": "zelda", **options})

    def test_bad_calls(self):
        env = PlayEnv("zelda", self.level)
        with pytest.raises(UserError, match="call reset"):
            env.step(0)
        with pytest.raises(UserError, match="Unknown reset option 'levels'"):
            env.reset(options={"levels": self.level})
        with pytest.raises(UserError, match="shape \\(2, 3\\)"):
            env.reset(options={"level": zelda("@kD", "...")})
        with pytest.raises(UserError, match="it has 0 players"):
            env.reset(options={"level": np.zeros((3, 3), np.uint8)})
        env.reset()
        with pytest.raises(UserError, match="Action 6 is not one of this game's actions: 0 up"):
            env.step(6)
        with pytest.raises(UserError, match="without render_mode"):
            env.render()


def test_playing_needs_neither_torch_nor_a_window():
    code = (
        "import sys, envs, envs.play_env; env = envs.play_env.PlayEnv('zelda'); env.reset(); env.step(0);"
        "assert not {'torch', 'ray', 'pygame'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
