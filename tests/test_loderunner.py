"""Loderunner: its rules, its search and its floods against slow play, and what its generator builds."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from oracles.loderunner import ACTIONS, Game, reached, winnable

import envs
from envs.errors import UserError
from envs.games.loderunner import LoderunnerRules
from envs.kernels.loderunner import EXPLORED, STRANDED
from envs.kernels.loderunner_rules import CLIMBED, GUARDS, HEADER, HEIGHT, OUTCOME, PLACE, WIDTH
from envs.problems.loderunner import PROBLEM
from envs.rules import LOST, PLAYING, WON

RULES = LoderunnerRules()
COMPILED = not numba.config.DISABLE_JIT
OUTCOMES = {PLAYING: "playing", WON: "won", LOST: "lost"}


def random_level(seed, shape, most_guards=3, shares=(0.45, 0.33, 0.07, 0.1, 0.05)):
    """A level with one player, one to three pieces of gold and up to some guards, the player mostly on a floor."""
    generator = np.random.default_rng(seed)
    level = generator.choice(5, size=shape, p=shares).astype(np.uint8)
    guards = generator.integers(0, most_guards + 1)
    cells = generator.permutation(level.size)[: 1 + generator.integers(1, 4) + guards]
    level.ravel()[cells] = 5
    level.ravel()[cells[:guards]] = 6
    level.ravel()[cells[guards]] = 7
    return level


def arena(seed):
    """A level of floors of brick, where guards come to the player and fall into what she digs."""
    generator = np.random.default_rng(seed)
    level = np.zeros((6, 8), np.uint8)
    level[[1, 3, 5]] = 1
    for top in (1, 3):
        level[top : top + 2, generator.integers(0, 8)] = 3
    level[0, 4 * generator.integers(0, 2) :][:4] = 4
    for y, tile in ((2, 7), (2, 6), (4, 6), (0, 5), (4, 5)):
        free = np.flatnonzero(level[y] == 0)
        level[y, generator.choice(free)] = tile
    return level


def view(state):
    """A state in the words of the plain game."""
    stride = state[WIDTH] + 2
    padded = (state[HEIGHT] + 2) * stride
    blocks = [state[HEADER + i * padded : HEADER + (i + 1) * padded].tolist() for i in range(4)]
    place = lambda cell: (cell // stride - 1, cell % stride - 1)  # noqa: E731 (two uses in one view)
    guards = [(place(blocks[2][i]), max(blocks[3][i], 0), blocks[3][i] == CLIMBED) for i in range(state[GUARDS])]
    holes = {place(cell): left for cell, left in enumerate(blocks[1]) if left}
    gold = {place(cell) for cell, tile in enumerate(blocks[0]) if tile == 5}
    return place(state[PLACE]), gold, guards, holes, OUTCOMES[int(state[OUTCOME])]


def play_both(level, actions):
    game, state = Game(level.tolist()), RULES.start(level)
    events = set()
    for action in actions:
        before = state.copy()
        game.step(ACTIONS[action])
        after = RULES.step(state, int(action))
        np.testing.assert_array_equal(state, before)
        state = after
        guards = [(guard.cell, guard.trapped, guard.climbed) for guard in game.guards]
        assert view(state) == (game.player, game.gold, guards, game.holes, game.outcome)
        events |= {"hole"} if game.holes else set()
        events |= {"trapped"} if any(trapped for _, trapped, _ in guards) else set()
        events |= {"climbed"} if any(climbed for _, _, climbed in guards) else set()
        if game.outcome != "playing":
            break
    return events | {game.outcome}


def test_the_compiled_step_is_the_plain_step():
    events = set()
    for seed in range(120 if COMPILED else 10):
        generator = np.random.default_rng(seed)
        level = random_level(seed, (generator.integers(3, 8), generator.integers(3, 10)))
        # Sticking to a way for a while leads further than pure chance.
        actions = np.repeat(generator.choice(7, size=80, p=(0.2, 0.2, 0.15, 0.1, 0.1, 0.1, 0.15)), 2)
        events |= play_both(level, actions)
        # A player who digs and waits catches guards.
        events |= play_both(arena(seed), generator.choice(7, size=120, p=(0.1, 0.1, 0.06, 0.06, 0.14, 0.14, 0.4)))
    if COMPILED:
        assert events == {"hole", "trapped", "climbed", "playing", "won", "lost"}


def test_a_guard_is_trapped_and_climbs_out():
    level = PROBLEM.parse(["........", "M......E", "bbbbbbbb", "BBBBBBBG"])
    # One dug brick between player and guard; it falls in, climbs out and then has her.
    assert {"hole", "trapped", "climbed", "lost"} == play_both(level, [5] + [6] * 31) - {"playing"}


def test_a_guard_in_a_hole_that_closes_begins_again():
    level = PROBLEM.parse(["M.............E", "bbbbbbbbbbbbbbb", "BBBBBBBBBBBBBBG"])
    events = play_both(level, [5] + [6] * 31)
    assert "climbed" not in events
    assert "trapped" in events
    state = RULES.start(level)
    for action in [5] + [6] * 31:
        state = RULES.step(state, action)
    assert view(state)[2:4] == ([((0, 14), 0, False)], {})


def test_digging_needs_an_empty_cell_and_a_brick():
    level = PROBLEM.parse([".-M#.", "bbBbb", "bbbbG"])
    state = RULES.start(level)
    for action in (4, 5):
        np.testing.assert_array_equal(RULES.step(state, action)[HEADER:], state[HEADER:])


def test_a_hole_closes_over_the_player():
    level = PROBLEM.parse(["M..", "bbb", "BBB", "G.."])
    game, state = Game(level.tolist()), RULES.start(level)
    for action in [5, 1] + [6] * 40:
        game.step(ACTIONS[action])
        state = RULES.step(state, action)
    assert game.outcome == "lost"
    assert RULES.outcome(state) == LOST


def replay(level, actions):
    state = RULES.start(level)
    for action in actions:
        assert RULES.outcome(state) == PLAYING
        state = RULES.step(state, int(action))
    return RULES.outcome(state)


def test_the_search_agrees_with_trying_everything():
    verdicts = []
    for seed in range(60 if COMPILED else 4):
        level = random_level(seed, [(3, 4), (4, 4), (3, 6), (5, 3)][seed % 4], most_guards=1)
        won = winnable(level.tolist(), most=1_500)
        solution = RULES.solve(level, 30_000)
        verdicts.append((won, solution.status))
        if solution.solved:
            assert won in (True, None)
            assert replay(level, solution.actions) == WON
        if solution.status == "unsolvable":
            assert won in (False, None), level.tolist()
        if won is not None:
            assert solution.status == ("solved" if won else "unsolvable"), level.tolist()
    if COMPILED:
        assert verdicts.count((True, "solved")) > 8
        assert verdicts.count((False, "unsolvable")) > 8


@pytest.mark.parametrize("seed", [105, 131, 135, 145, 163, 235, 263, 293])
def test_a_win_that_takes_a_wait_of_the_right_length_is_not_ruled_out(seed):
    # The search's first rounds wait for several ticks at once; running out of states in them proves nothing.
    level = arena(seed)[: 4 + seed % 3]
    solution = RULES.solve(level, 6_000)
    assert solution.solved
    assert replay(level, solution.actions) == WON


def test_floods_are_the_plain_floods():
    levels = np.array([random_level(seed, (6, 7)) for seed in range(60 if COMPILED else 5)])
    measured = PROBLEM.measure_static(levels)
    for level, values in zip(levels, measured, strict=True):
        gold = {(y, x) for y, x in np.argwhere(level == 5).tolist()}
        assert values[STRANDED] == len(gold - reached(level.tolist(), digging=True))
        assert values[EXPLORED] == 100 * len(reached(level.tolist(), digging=False)) // level.size


def test_what_play_reaches_the_flood_reaches():
    for seed in range(80 if COMPILED else 5):
        level = random_level(seed, (6, 8), most_guards=3)
        cells = reached(level.tolist(), digging=True)
        game = Game(level.tolist())
        for action in np.random.default_rng(seed).choice(7, size=120, p=(0.2, 0.2, 0.12, 0.1, 0.14, 0.14, 0.1)):
            game.step(ACTIONS[action])
            assert game.player in cells


def test_measuring_plays_as_the_rules_do():
    levels = np.array([random_level(seed, (6, 8), most_guards=1) for seed in range(20 if COMPILED else 3)])
    measured, static = PROBLEM.measure(levels), PROBLEM.measure_static(levels)
    played = [metric.play for metric in PROBLEM.metrics]
    np.testing.assert_array_equal(measured[:, ~np.array(played)], static[:, ~np.array(played)])
    for level, values in zip(levels, measured, strict=True):
        solution = RULES.solve(level, PROBLEM.budget)
        assert values[PROBLEM.index("sol-length")] == len(solution.actions)
        assert (values[PROBLEM.index("missed-gold")] == 0) == solution.solved


def test_a_search_can_be_stopped():
    # The second piece cannot be had, which takes many states to prove.
    level = PROBLEM.parse(["G.......", "M......E", "bbbbbbbb", "bbbbbbbb", "BBBBBBBG"])
    assert RULES.solve(level, 100_000, np.ones(1, np.uint8)).nodes < 2_000


@pytest.mark.skipif(not COMPILED, reason="building takes many attempts")
@pytest.mark.parametrize("shape", [(22, 32), (12, 16)])
def test_constructed_levels_meet_every_target_and_differ(shape):
    levels = envs.construct("loderunner", 8, 3, shape)
    measured = PROBLEM.measure(levels)
    for metric, values in zip(PROBLEM.metrics, measured.T, strict=True):
        assert (values >= metric.target[0]).all(), metric.name
        assert (values <= metric.target[1]).all(), metric.name
    assert PROBLEM.playable(measured).all()
    differing = [(a != b).mean() for i, a in enumerate(levels) for b in levels[:i]]
    assert min(differing) > 0.15
    np.testing.assert_array_equal(envs.construct("loderunner", 5, 3, shape), levels[:5])


def test_what_cannot_be_done_is_said():
    with pytest.raises(UserError, match="at least"):
        envs.construct("loderunner", 1, 0, (4, 4))
    with pytest.raises(UserError, match="2 players"):
        RULES.start(PROBLEM.parse(["MM", "GG"]))
    state = RULES.start(PROBLEM.parse(["MG", "BB"]))
    with pytest.raises(UserError, match="Action 7"):
        RULES.step(state, 7)
    with pytest.raises(UserError, match="budget"):
        RULES.solve_state(state, 0)
