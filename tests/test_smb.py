"""The platformer: its physics against a plain twin, its player, the bound on its play, and the published levels."""

from __future__ import annotations

import heapq
import itertools
import json
import os
import threading
from pathlib import Path

import numba
import numpy as np
import pytest

import envs
from envs.errors import UserError
from envs.games.smb import PlatformRules, search_room
from envs.kernels import platform_rules as physics
from envs.kernels.platform_reach import ENEMY_FIELDS, enemy_place, foresee
from envs.kernels.platform_search import BOUND, FURTHEST, REPORT, STATUS, UNSOLVABLE, search
from envs.rules import LOST, PLAYING, WON
from tests.oracles.platform import BUTTONS, Game

PROBLEM = envs.get_problem("smb")
RULES = PlatformRules()
COMPILED = not numba.config.DISABLE_JIT
SHARED = Path(__file__).resolve().parents[2] / "shared"
DATA = Path(os.environ.get("TILEWRIGHT_DATA") or SHARED / "data")
REFERENCE = Path(os.environ.get("TILEWRIGHT_REFERENCE") or SHARED / "reference")
RIGHT, JUMP, RUN, RUN_JUMP = 2, 3, 6, 7
OUTCOMES = {"playing": PLAYING, "won": WON, "lost": LOST}
LETTERS = {
    **dict.fromkeys("XBb", 1),
    "-": 0,
    "S": 3,
    **dict.fromkeys("?Q", 4),
    "E": 2,
    "o": 5,
    **dict.fromkeys("<>[]", 6),
}


def some(count):
    return count if COMPILED else max(count // 20, 2)


def random_levels(count, seed, shape, density=0.25):
    """Levels of anything on some ground, with a place to start."""
    rng = np.random.default_rng(seed)
    shares = np.array([0, 0.35, 0.15, 0.15, 0.1, 0.1, 0.15]) * density
    shares[0] = 1 - shares.sum()
    levels = rng.choice(7, size=(count, *shape), p=shares).astype(np.uint8)
    levels[:, -1] = np.where(rng.random((count, shape[1])) < 0.75, 1, levels[:, -1])
    levels[:, -1, 0] = 1
    levels[:, -3:-1, 0] = 0
    return levels


def replay(level, actions):
    state = RULES.start(level)
    for action in actions:
        assert RULES.outcome(state) == PLAYING
        state = RULES.step(state, int(action))
    return state


def flat(width=20, height=8):
    level = np.zeros((height, width), np.uint8)
    level[-1] = 1
    return level


def held(level, *presses):
    """Yields the states of pressing each (action, ticks) in turn."""
    state = RULES.start(level)
    for action, ticks in presses:
        for _ in range(ticks):
            state = RULES.step(state, action)
            yield state


# Physics.


def test_every_tick_equals_the_plain_twin():
    rng = np.random.default_rng(0)
    ends = set()
    for number, level in enumerate(random_levels(some(90), 1, (8, 16), 0.3)):
        game, state = Game(level), RULES.start(level)
        action = 0
        for _ in range(150):
            if rng.random() < 0.25:
                action = int(rng.choice(10, p=[0.02, 0.03, 0.1, 0.05, 0.2, 0.05, 0.15, 0.3, 0.05, 0.05]))
            game.play(BUTTONS[action])
            state = RULES.step(state, action)
            assert (game.player.x, game.player.y) == (state[physics.X], state[physics.Y]), number
            assert (game.speed_x, game.speed_y) == (state[physics.SPEED_X], state[physics.SPEED_Y])
            assert (game.ground, game.held) == (state[physics.GROUND], state[physics.HELD])
            assert game.coins == state[physics.COINS]
            assert OUTCOMES[game.outcome] == RULES.outcome(state)
            cells = level.size
            assert np.array(game.tiles).ravel().tolist() == state[physics.HEADER : physics.HEADER + cells].tolist()
            enemies = state[physics.HEADER + cells :].reshape(-1, 3)
            for enemy, (x, y, motion) in zip(game.enemies, enemies.tolist(), strict=False):
                assert enemy.alive == (motion != physics.GONE)
                assert not enemy.alive or (enemy.x, enemy.y) == (x, y)
        ends.add(game.outcome)
    assert len(ends) >= 2


def test_nothing_passes_through_blocks():
    rng = np.random.default_rng(2)
    for level in random_levels(some(60), 3, (9, 20), 0.5):
        state = RULES.start(level)
        for _ in range(80):
            action = int(rng.integers(10))
            for _ in range(int(rng.integers(1, 8))):
                state = RULES.step(state, action)
                x, y = int(state[physics.X]), int(state[physics.Y])
                for row in range(y >> 8, ((y + physics.PLAYER_HEIGHT - 1) >> 8) + 1):
                    for column in range(x >> 8, ((x + physics.PLAYER_WIDTH - 1) >> 8) + 1):
                        assert 0 <= column < 20
                        assert row >= 9 or level[max(row, 0), column] in (0, 2, 5)


def test_holding_jump_longer_jumps_higher_and_running_jumps_highest():
    level = flat(40, 10)

    def peak(*presses):
        return min(int(state[physics.Y]) for state in held(level, *presses))

    heights = [peak((JUMP, ticks), (0, 40)) for ticks in (1, 4, 8, 16)]
    assert heights == sorted(heights, reverse=True)
    assert len(set(heights)) == 4
    ground = 9 * 256 - physics.PLAYER_HEIGHT
    assert 4 <= (ground - heights[-1]) / 256 < 5
    assert 5 <= (ground - peak((RUN, 25), (RUN_JUMP, 20))) / 256 < 6
    # Holding on does not jump again; pressing anew does.
    took_off = [int(state[physics.Y]) < ground for state in held(level, (JUMP, 60))]
    assert sum(a and not b for a, b in itertools.pairwise(took_off)) == 1


def test_a_stomp_squashes_and_bounces_and_a_touch_loses():
    level = flat(12, 8)
    level[6, 6] = 2
    assert RULES.outcome(replay_until_over(level, RIGHT)) == LOST
    bounces = 0
    for wait in range(0, 40, 2):
        before = RULES.start(level)
        for state in held(level, (0, wait), (4, 14), (RIGHT, 20)):
            if state[physics.SPEED_Y] == -physics.BOUNCE_SPEED and RULES.outcome(state) == PLAYING:
                bounces += 1
                assert before[physics.Y] + physics.PLAYER_HEIGHT <= before[physics.HEADER + level.size + 1] + 100
                assert state[physics.HEADER + level.size + 2] == physics.GONE
            before = state
    assert bounces > 0


def replay_until_over(level, action, most=400):
    state = RULES.start(level)
    for _ in range(most):
        state = RULES.step(state, action)
        if RULES.outcome(state) != PLAYING:
            break
    return state


def test_pits_lose_and_the_last_column_wins():
    level = flat()
    assert RULES.outcome(replay_until_over(level, RIGHT)) == WON
    level[-1, 8:12] = 0
    assert RULES.outcome(replay_until_over(level, RIGHT)) == LOST
    assert RULES.solve(level).solved


def test_question_blocks_give_one_coin_and_bumps_throw_enemies_off():
    level = flat(12, 8)
    level[3, 0] = 4
    states = list(held(level, (JUMP, 16), (0, 30), (JUMP, 16), (0, 30)))
    assert states[-1][physics.COINS] == 1
    assert RULES.ground(states[-1])[3, 0] == 7
    level[3, 0:2] = 3
    level[2, 0] = 2
    states = list(held(level, (JUMP, 16), (0, 5)))
    assert states[0][physics.HEADER + level.size + 2] != physics.GONE
    assert states[-1][physics.HEADER + level.size + 2] == physics.GONE


def test_foretold_enemies_are_where_the_rules_move_them():
    for level in random_levels(some(20), 5, (8, 14), 0.4):
        state = RULES.start(level)
        tiles = state[physics.HEADER : physics.HEADER + level.size]
        ground = (tiles, *level.shape)
        moving = state[physics.HEADER + level.size :].reshape(-1, 3).astype(np.int64)
        for x, y, motion in moving[: state[physics.ENEMIES]].tolist():
            for setting_out in (0, 1, 7, 40):
                now = x, y, motion
                for _ in range(setting_out):
                    now = physics.move_enemy(ground, *now)
                if now[2] == physics.GONE:
                    continue
                route = np.zeros(ENEMY_FIELDS, np.int64)
                foresee(ground, *now, route)
                for tick in range(150):
                    place = enemy_place(route, tick, level.shape[0])
                    assert (now[2] == physics.GONE) == (place[1] >= 256 * level.shape[0])
                    assert now[2] == physics.GONE or tuple(place) == now[:2]
                    now = physics.move_enemy(ground, *now)


# The player.


def explore(level, budget, anyway=True):
    room = search_room(level.shape, budget)
    report = np.zeros(REPORT, np.int64)
    search(RULES.start(level), budget, np.zeros(1, np.uint8), anyway, *room, report)
    return report


def test_solutions_win_and_no_play_beats_the_bound():
    rng = np.random.default_rng(6)
    counts = dict.fromkeys(("solved", "unsolvable", "unknown"), 0)
    for level in random_levels(some(250), 7, (7, 24), 0.3):
        solution = RULES.solve(level, 3000)
        counts[solution.status] += 1
        if solution.solved:
            assert RULES.outcome(replay(level, solution.actions)) == WON
        report = explore(level, 1500)
        assert report[FURTHEST] <= report[BOUND]
        assert (report[STATUS] == UNSOLVABLE) == (report[BOUND] < 23)
        state, furthest, action = RULES.start(level), 0, RUN
        for _ in range(200):
            if rng.random() < 0.2:
                action = int(rng.choice([RUN, RUN_JUMP, RUN_JUMP, JUMP, 9, 4]))
            state = RULES.step(state, action)
            furthest = max(furthest, physics.middle_column(int(state[physics.X])))
        assert furthest <= report[BOUND]
    if COMPILED:
        assert counts["solved"] > 20
        assert counts["unsolvable"] > 20


def wins_by_plain_search(level, most):
    """Tells whether trying every action in every state, the furthest first, wins before `most` states were seen."""
    start = RULES.start(level)
    seen, frontier = {start.tobytes()}, [(0, 0, start)]
    while frontier and len(seen) < most:
        _, _, state = heapq.heappop(frontier)
        for action in (0, 2, 3, 6, 7, 8, 9):
            after = state
            for _ in range(5):
                after = RULES.step(after, action)
            if RULES.outcome(after) == WON:
                return True
            if RULES.outcome(after) == PLAYING and after.tobytes() not in seen:
                seen.add(after.tobytes())
                heapq.heappush(frontier, (-int(after[physics.X]), len(seen), after))
    return False


def test_what_plain_search_wins_is_never_called_unsolvable():
    won = 0
    for level in random_levels(some(40), 8, (6, 12), 0.25):
        if wins_by_plain_search(level, some(600)):
            won += 1
            assert RULES.solve(level).status == "solved"
    assert won > (5 if COMPILED else 0)


@pytest.mark.parametrize("gap", range(1, 16))
def test_pits_are_jumped_as_far_as_the_bound_says(gap):
    level = flat(36, 10)
    level[-1, 14 : 14 + gap] = 0
    assert RULES.solve(level).status == (
        "solved" if gap <= 8 else "unsolvable" if gap >= 10 else RULES.solve(level).status
    )


@pytest.mark.parametrize("height", range(1, 9))
def test_walls_are_jumped_as_high_as_the_bound_says(height):
    level = flat(36, 12)
    level[11 - height : 11, 20] = 1
    assert RULES.solve(level).status == ("solved" if height <= 5 else "unsolvable")


def test_stop_and_budget_end_the_search_without_a_verdict():
    level = PROBLEM.construct(np.array([1], np.uint64), (14, 114))[0]
    stopped = RULES.solve(level, stop=np.ones(1, np.uint8))
    assert stopped.status == "unknown"
    assert stopped.nodes == 0
    assert RULES.solve(level, 3).status == "unknown"
    with pytest.raises(UserError, match="at least 1 state"):
        RULES.solve(level, 0)
    stop = np.zeros(1, np.uint8)
    hard = PROBLEM.start_levels(np.random.default_rng(1).random((1, 1 + 14 * 114)), (14, 114))[0]
    hard[:, -1] = 0
    hard[:, -3] = np.where(np.arange(14) == 0, 0, 1)
    timer = threading.Timer(0.2, lambda: stop.__setitem__(0, 1))
    timer.start()
    assert RULES.solve(hard, 3_000_000 if COMPILED else 50, stop=stop).status in ("unknown", "unsolvable", "solved")
    timer.cancel()


def test_slips_are_named():
    with pytest.raises(UserError, match="nowhere to stand"):
        RULES.start(np.zeros((8, 12), np.uint8))
    with pytest.raises(UserError, match="Action 10"):
        RULES.step(RULES.start(flat()), 10)
    with pytest.raises(UserError, match="at least"):
        PROBLEM.construct(np.array([1], np.uint64), (5, 114))


def test_what_is_seen_and_sensed():
    level = flat(20, 8)
    level[6, 15] = 2
    level[5:7, 8] = 6
    for state in held(level, (RUN, 20), (RUN_JUMP, 12)):
        senses = RULES.sense(state)
        assert senses.shape == (RULES.senses,)
        assert senses.dtype == np.float32
        assert np.abs(senses).max() <= 1
        actors = RULES.actors(state)
        assert [RULES.sprites[actor.sprite] for actor in actors[1:]] == ["beetle"]
        assert RULES.sprites[actors[0].sprite].startswith("runner")
        assert [RULES.sprites[tile] for tile in RULES.ground(state)[5:, 8]] == ["tube-top", "tube", "ground"]


# Published levels and figures.


def reference_cases():
    path = REFERENCE / "gym_pcgrl_cases.json" if REFERENCE.is_dir() else REFERENCE
    if not path.is_file():
        pytest.skip(f"gym-pcgrl's cases are not at {path}; TILEWRIGHT_REFERENCE may say where they are.")
    return json.loads(path.read_text())["smb"]


def test_counts_equal_gym_pcgrls():
    data = reference_cases()
    assert [tile.name for tile in PROBLEM.tiles] == data["tiles"]
    levels = np.array([[[int(tile) for tile in row] for row in case["level"]] for case in data["cases"]], np.uint8)
    edited = levels.copy()
    for level, case in zip(edited, data["cases"], strict=True):
        row, column, tile = case["edit"]
        level[row, column] = tile
    for batch, key in ((levels, "stats"), (edited, "edited_stats")):
        measured = PROBLEM.measure_static(batch)
        for column, metric in enumerate(PROBLEM.metrics[:5]):
            assert measured[:, column].tolist() == [case[key][metric.name] for case in data["cases"]], metric.name


def vglc_levels():
    folder = DATA / "TheVGLC" / "Super Mario Bros" / "Processed"
    if not folder.is_dir():
        pytest.skip(f"The Video Game Level Corpus is not at {folder}; TILEWRIGHT_DATA may say where the data are.")
    return {
        path.stem: np.array([[LETTERS[tile] for tile in row] for row in path.read_text().split()], np.uint8)
        for path in sorted(folder.glob("*.txt"))
    }


@pytest.mark.skipif(not COMPILED, reason="too slow without compilation")
def test_the_corpus_is_completed_and_its_walled_and_pitted_twins_are_not():
    levels = vglc_levels()
    assert len(levels) == 15
    for name, level in levels.items():
        solution = RULES.solve(level)
        assert solution.solved, name
        assert RULES.outcome(replay(level, solution.actions)) == WON
        middle = level.shape[1] // 2
        walled, pitted = level.copy(), level.copy()
        walled[:, middle] = 1
        pitted[:, middle : middle + 24] = 0
        assert [RULES.solve(twin).status for twin in (walled, pitted)] == ["unsolvable"] * 2, name


# Constructive levels.


@pytest.mark.parametrize("shape", [(6, 12), (14, 114), (9, 40), (16, 60)])
def test_constructed_levels_are_playable_diverse_and_their_own(shape):
    seeds = np.arange(some(12), dtype=np.uint64)
    levels = PROBLEM.construct(seeds, shape)
    measured = PROBLEM.measure(levels)
    assert PROBLEM.playable(measured).all()
    assert (PROBLEM.construct(seeds[::-1].copy(), shape)[::-1] == levels).all()
    assert len({level.tobytes() for level in levels}) > len(levels) // 2
    if shape == PROBLEM.default_shape:
        for metric, values in zip(PROBLEM.metrics, measured.T, strict=True):
            if metric.finite and metric.name != "jumps":
                assert ((metric.target[0] <= values) & (values <= metric.target[1])).mean() > 0.9, metric.name
