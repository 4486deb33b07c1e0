"""The voxel problem: its kernels against their plain twins, its rules of play, its generator and its pictures."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import envs
from envs.kernels import voxel_rules
from envs.level_io import read_levels, write_levels
from envs.pictures import render_storeys, storey_map
from tests.oracles import voxel as oracle

PROBLEM = envs.get_problem("voxel")
RULES = PROBLEM.rules

shapes = st.tuples(st.integers(2, 7), st.integers(2, 5), st.integers(2, 5))


def random_levels(seed, shape, count):
    """Levels of all densities, half of them with long open shafts, so that jumps are common."""
    random = np.random.default_rng(seed)
    levels = (random.random((count, *shape)) < random.random((count, 1, 1, 1))).astype(np.uint8)
    grounds = random.integers(0, shape[0], (count, 1, *shape[1:]))
    hills = (np.arange(shape[0])[:, None, None] < grounds).astype(np.uint8)
    return np.where(np.arange(count)[:, None, None, None] % 2 == 0, levels, hills)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), shape=shapes)
def test_metrics_are_those_of_the_plain_twin(seed, shape):
    levels = random_levels(seed, shape, 4)
    assert PROBLEM.measure(levels).tolist() == [oracle.voxel_metrics(level.tolist()) for level in levels]


def test_metrics_of_constructed_levels_are_those_of_the_plain_twin():
    levels = envs.construct("voxel", 5, 3)
    measured = PROBLEM.measure(levels)
    assert measured.tolist() == [oracle.voxel_metrics(level.tolist()) for level in levels]
    assert (measured[:, 2] == 5).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), shape=shapes)
def test_every_move_is_that_of_the_plain_twin(seed, shape):
    for level in random_levels(seed, shape, 3):
        blocks = oracle.Blocks(level.tolist())
        first, last, _, _ = oracle.longest_walk(level.tolist())
        if first is None:
            assert RULES.problem_with(level) is not None
            continue
        state = RULES.start(level)
        assert RULES.place(state) == first
        assert RULES.place(state, voxel_rules.GOAL) == last
        assert (RULES.level(state) == level).all()
        graph = blocks.graph()
        ways = nx.single_source_shortest_path(graph, first)
        solution = RULES.solve_state(state)
        assert solution.solved
        assert len(solution.actions) == len(ways[last]) - 1
        for action in solution.actions:
            place = RULES.place(state)
            for other in range(4):
                found = blocks.move(place, other)
                assert RULES.place(RULES.step(state, other)) == (found[0] if found else place)
            state = RULES.step(state, int(action))
        assert RULES.outcome(state) == envs.rules.WON


def test_from_where_the_goal_cannot_be_reached_the_solver_says_so():
    # Nobody drops two blocks: the walker is put at the bottom of the pit by hand.
    level = PROBLEM.parse(["..#", "###", "===", ".##", "###", "===", "...", "###", "===", "...", "###"])
    state = RULES.start(level)
    stuck = state.copy()
    graph = oracle.Blocks(level.tolist()).graph()
    goal = RULES.place(state, voxel_rules.GOAL)
    lonely = [place for place in graph if not nx.has_path(graph, place, goal)]
    depth, _, width = level.shape
    for z, y, x in lonely:
        stuck[voxel_rules.WALKER] = ((y + 2) * (width + 2) + x + 2) * (depth + 3) + z + 2
        assert RULES.place(stuck) == (z, y, x)
        assert RULES.solve_state(stuck).status == "unsolvable"
    assert lonely


def test_a_search_that_is_stopped_or_out_of_budget_knows_nothing():
    level = PROBLEM.parse(PROBLEM.examples[-1].rows)
    state = RULES.start(level)
    assert RULES.solve_state(state, budget=3).status == "unknown"
    assert RULES.solve_state(state, stop=np.ones(1, np.uint8)).status == "unknown"
    assert len(RULES.solve_state(state).actions) == 17


def test_text_parts_storeys_and_says_what_is_wrong():
    level = np.arange(12).reshape(2, 2, 3) % 2
    assert PROBLEM.text(level.astype(np.uint8)) == [".#.", "#.#", "===", ".#.", "#.#"]
    assert (PROBLEM.parse([".#.", "#.#", "===", ".#.", "#.#"]) == level).all()
    with pytest.raises(envs.UserError, match=r"Storey 2 .* has 1 rows but storey 1 has 2"):
        PROBLEM.parse(["..", "..", "==", ".."])
    with pytest.raises(envs.UserError, match="Row 3"):
        PROBLEM.parse(["..", "..", "==", "...", ".."])
    with pytest.raises(envs.UserError, match="3 axes"):
        PROBLEM.check_levels(np.zeros((7, 7), np.uint8))
    with pytest.raises(envs.UserError, match="depth, height, width"):
        PROBLEM.check_levels(np.zeros((1, 7, 7), np.uint8))


def test_constructed_levels_meet_every_finite_target_and_differ():
    levels = envs.construct("voxel", 24, 1)
    measured = PROBLEM.measure(levels)
    assert (measured[:, 0] == 1).all()
    assert (measured[:, 1] >= 28).all()
    assert (measured[:, 2] == 5).all()
    assert len(np.unique(levels.reshape(24, -1), axis=0)) == 24
    assert (envs.construct("voxel", 3, 1) == levels[:3]).all()
    assert all(solution.solved for solution in envs.solve("voxel", levels))


@pytest.mark.parametrize("shape", [(2, 2, 2), (3, 5, 4), (8, 4, 9)])
def test_levels_of_other_shapes_can_be_constructed(shape):
    levels = envs.construct("voxel", 4, 0, shape)
    assert levels.shape == (4, *shape)
    assert (PROBLEM.measure(levels)[:, 0] == 1).all()
    assert all(solution.solved and len(solution.actions) for solution in envs.solve("voxel", levels))


def test_pictures_of_blocks():
    level = PROBLEM.parse(PROBLEM.examples[-1].rows)
    plain = envs.render("voxel", level, 16)
    assert plain.dtype == np.uint8
    assert (envs.render("voxel", level, 16) == plain).all()
    everywhere = np.ones(level.shape, np.bool_)
    pictures = [
        envs.render("voxel", level, 16, cursor=(0, 0, 0)),
        envs.render("voxel", level, 16, cursor=(6, 0, 0)),
        envs.render("voxel", level, 16, path=[(0, 0, 2)]),
        envs.render("voxel", level, 16, frozen=everywhere),
        envs.render("voxel", 1 - level, 16),
        RULES.picture(RULES.start(level), 16),
    ]
    assert all(picture.shape == plain.shape for picture in pictures)
    assert len({picture.tobytes() for picture in (plain, *pictures)}) == 7
    with pytest.raises(envs.UserError, match=r"\(storey, row, column\)"):
        envs.render("voxel", level, 16, cursor=(7, 0, 0))
    with pytest.raises(envs.UserError, match="depth, height, width"):
        envs.render("voxel", level, 16, frozen=everywhere[0])


def test_plans_show_every_cell_once():
    places = storey_map((3, 2, 4))
    assert sorted(places[places >= 0].tolist()) == list(range(24))
    level = np.ones((3, 2, 4), np.uint8)
    before = render_storeys(PROBLEM, level, 8)
    level[2, 1, 3] = 0
    row, column = np.argwhere(places == np.ravel_multi_index((2, 1, 3), level.shape))[0]
    changed = np.argwhere((before != render_storeys(PROBLEM, level, 8)).any(axis=2)) // 8 - 1
    assert [row, column] in changed.tolist()
    assert (changed >= (row, column)).all()


def test_levels_of_three_axes_in_files(tmp_path):
    levels = list(envs.construct("voxel", 2, 5))
    write_levels(tmp_path / "levels.txt", levels, PROBLEM)
    assert all(
        (one == other).all() for one, other in zip(read_levels(tmp_path / "levels.txt", PROBLEM), levels, strict=True)
    )
    with pytest.raises(envs.UserError):
        write_levels(tmp_path / "levels.tmj", levels, PROBLEM)
