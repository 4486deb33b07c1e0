"""Repair: few edits, fixed tiles kept, minimal where that is claimed, and rules that say what measures say."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import envs
from envs.counts import CountRule, kept
from envs.linear import Apart, LinearRules, OneRegion, Touches, check_linear_rules
from generators.repair import repair
from generators.repair.exact import Program
from generators.repair.goal import Clock, Goal, necessary_targets
from generators.repair.shortening import linked, shortened

PROBLEMS = sorted(envs.all_problems())
LINEAR = [name for name in PROBLEMS if envs.get_problem(name).linear_rules is not None]
#: Shapes that are quick to build and to play.
SMALL = {
    "binary": (8, 8),
    "ddave": (5, 9),
    "dungeon": (7, 7),
    "loderunner": (8, 14),
    "maze": (7, 7),
    "mdungeon": (7, 6),
    "smb": (10, 20),
    "sokoban": (5, 5),
    "voxel": (7, 7, 7),
    "zelda": (7, 8),
}


def shape_of(name):
    return SMALL.get(name, envs.get_problem(name).default_shape)


def broken(name, count, share=0.08, seed=0):
    """Constructed levels with random tiles in some places."""
    problem = envs.get_problem(name)
    rng = np.random.default_rng(seed)
    whole = envs.construct(problem, count, seed=seed, shape=shape_of(name))
    noise = rng.integers(0, len(problem.tiles), whole.shape)
    return np.where(rng.random(whole.shape) < share, noise, whole).astype(np.uint8)


def playable(problem, levels):
    return problem.playable(problem.measure(levels))


def fewest(problem, level, good, most, free=None):
    """The fewest edits after which `good` holds, by trying all of them; None if that is more than `most`."""
    flat = level.ravel()
    cells = np.arange(level.size) if free is None else np.flatnonzero(free)
    for number in range(most + 1):
        tried = []
        for places in itertools.combinations(cells, number):
            others = [[t for t in range(len(problem.tiles)) if t != flat[c]] for c in places]
            for tiles in itertools.product(*others):
                one = flat.copy()
                one[list(places)] = tiles
                tried.append(one)
        if good(np.array(tried, np.uint8).reshape(-1, *level.shape)).any():
            return number
    return None


@pytest.mark.parametrize("name", PROBLEMS)
def test_playable_levels_keep_the_count_rules(name):
    """On constructed, broken and repaired levels: what is playable by its metrics keeps the rules."""
    problem = envs.get_problem(name)
    rng = np.random.default_rng(1)
    cells = int(np.prod(shape_of(name)))
    levels = np.concatenate(
        [
            envs.construct(problem, 8, seed=3, shape=shape_of(name)),
            broken(name, 12, share=0.03, seed=4),
            problem.start_levels(rng.random((100, 1 + cells)), shape_of(name)),
        ]
    )
    names = [tile.name for tile in problem.tiles]
    won = levels[playable(problem, levels)]
    assert len(won) >= 8
    assert kept(problem.count_rules, won, names).all()


@pytest.mark.parametrize("name", PROBLEMS)
def test_broken_levels_are_repaired_by_few_edits(name):
    problem = envs.get_problem(name)
    slow = name in ("smb", "loderunner")
    levels = broken(name, 3 if slow else 8)
    before = playable(problem, levels)
    repairs = repair(problem, levels, seconds=None, evaluations=60 if slow else 10_000)
    assert repairs.repaired.all()
    assert (repairs.edits == (repairs.levels != levels).reshape(len(levels), -1).sum(axis=1)).all()
    assert (repairs.status[before] == "playable already").all()
    assert (repairs.edits[before] == 0).all()
    for level, edits, status in zip(repairs.levels, repairs.edits, repairs.status, strict=True):
        assert (edits > 0) == (status == "repaired")
        assert playable(problem, level[None])[0] or envs.solve(problem, level)[0].solved
    if not slow:
        # Fewer than there were random tiles: 8 % of the cells were drawn anew.
        assert repairs.edits.mean() <= 0.08 * levels[0].size


@pytest.mark.parametrize("name", ["maze", "sokoban", "zelda"])
def test_the_same_level_is_always_repaired_alike(name):
    levels = broken(name, 6, seed=5)
    one = repair(name, levels, "search", seconds=None, evaluations=5_000, seed=3)
    other = repair(name, levels[::-1], "search", seconds=None, evaluations=5_000, seed=3)
    np.testing.assert_array_equal(one.levels, other.levels[::-1])
    np.testing.assert_array_equal(one.edits, other.edits[::-1])


@pytest.mark.parametrize("method", ["search", "exact", "auto"])
def test_fixed_tiles_stay(method):
    levels = broken("zelda", 10, share=0.15, seed=6)
    fixed = np.random.default_rng(0).random(levels.shape) < 0.4
    repairs = repair("zelda", levels, method, fixed=fixed, seconds=None, evaluations=20_000)
    assert (repairs.levels[fixed] == levels[fixed]).all()
    assert repairs.repaired.any()
    assert (repairs.edits[~repairs.repaired] == 0).all()
    shared = repair("zelda", levels, method, fixed=fixed[0], seconds=None, evaluations=20_000)
    assert (shared.levels[:, fixed[0]] == levels[:, fixed[0]]).all()


@pytest.mark.parametrize("method", ["search", "exact", "auto"])
def test_what_cannot_be_repaired_is_given_up_and_left_as_it_was(method):
    level = envs.get_problem("maze").parse(["@@.", "...", "..D"])
    fixed = level == 2
    repairs = repair("maze", level, method, fixed=fixed, seconds=None, evaluations=3_000)
    assert repairs.status.tolist() == ["given up"]
    assert not repairs.repaired[0]
    assert (repairs.levels[0] == level).all()
    # Free, one of the two players goes.
    free = repair("maze", level, method, seconds=None)
    assert (free.edits.tolist(), free.minimal.tolist()) == ([1], [True])


TINY = {"maze": (3, 3), "zelda": (2, 4), "dungeon": (2, 4), "binary": (3, 4)}


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("goal", ["playable", "targets"])
def test_integer_programming_needs_as_few_edits_as_there_can_be(name, goal):
    """All subsets of up to three edits of tiny levels; what keeps the linear rules meets the goal."""
    problem = envs.get_problem(name)
    if goal == "playable" and not problem.linear_rules.playable:
        return
    low, high = np.array([metric.target for metric in problem.metrics]).T
    finite = np.array([metric.finite for metric in problem.metrics])
    door = problem.tile_ids.get("door", -1)

    def good(levels):
        metrics = problem.measure(levels)
        met = problem.playable(metrics)
        if goal == "targets":
            met &= ((metrics >= low) & (metrics <= high))[:, finite].all(axis=1)
        if name == "zelda":
            # By its metrics a level is playable though the door is walled in; by the rules it is not.
            walked = (levels != 1) & (levels != door)
            beside = np.zeros(levels.shape, bool)
            beside[:, 1:] |= walked[:, :-1]
            beside[:, :-1] |= walked[:, 1:]
            beside[:, :, 1:] |= walked[:, :, :-1]
            beside[:, :, :-1] |= walked[:, :, 1:]
            met &= ~((levels == door) & ~beside).any(axis=(1, 2))
        return met

    shape = TINY[name]
    rng = np.random.default_rng(7)
    known = 0
    for _ in range(12):
        level = rng.integers(0, len(problem.tiles), shape).astype(np.uint8)
        free = rng.random(shape) < 0.9
        solution = Program(problem, goal, level, free).solved()
        most = 2 if len(problem.tiles) > 4 else 3
        if solution.level is not None:
            assert solution.proven
            assert good(solution.level[None])[0]
            assert (solution.level[~free] == level[~free]).all()
        oracle = fewest(problem, level, good, most, free)
        if oracle is not None:
            known += 1
            assert solution.level is not None
            assert np.count_nonzero(solution.level != level) == oracle
        elif solution.level is not None:
            assert np.count_nonzero(solution.level != level) > most
    assert known >= (3 if goal == "playable" or name == "binary" else 0)


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_linear_rules_say_what_the_maze_measures(seed):
    """A level keeps the rules (no edit is needed) exactly where it is playable."""
    problem = envs.get_problem("maze")
    rng = np.random.default_rng(seed)
    level = envs.construct(problem, 1, seed=seed % 1000, shape=(4, 5))[0]
    places = rng.integers(0, level.size, 2)
    level.ravel()[places] = rng.integers(0, 4, 2)
    optimum = Program(problem, "playable", level, np.zeros(level.shape, bool)).solved()
    assert (optimum.level is not None) == playable(problem, level[None])[0]


def test_apart_means_steps_not_distance():
    """Enemies two cells off behind a wall are far enough; in the open they must go or be moved away."""
    problem = envs.get_problem("zelda")
    nobody = np.zeros((3, 6), bool)
    behind = problem.parse(["@#b..b", ".#.##.", ".k..D."])
    metrics = envs.measure("zelda", behind)
    assert metrics["nearest-enemy"][0] >= 4
    assert Program(problem, "targets", behind, nobody).solved().level is not None
    open_ = problem.parse(["@.b..b", ".#.##.", ".k..D."])
    assert envs.measure("zelda", open_)["nearest-enemy"][0] == 2
    assert Program(problem, "targets", open_, nobody).solved().level is None
    repairs = repair("zelda", open_, "exact", goal="targets", seconds=None)
    assert repairs.edits[0] == 1


@pytest.mark.parametrize("name", ["maze", "zelda", "sokoban"])
def test_search_claims_minimal_only_what_is(name):
    problem = envs.get_problem(name)
    levels = broken(name, 30, seed=8)
    levels = levels[~playable(problem, levels)]
    repairs = repair(problem, levels, "search", seconds=None, evaluations=20_000)
    claimed = np.flatnonzero(repairs.minimal & (repairs.edits <= (1 if name == "sokoban" else 2)))
    assert len(claimed) >= 3
    for i in claimed[:4]:
        assert fewest(problem, levels[i], lambda tried: playable(problem, tried), repairs.edits[i] - 1) is None


def test_auto_is_never_worse_than_search():
    levels = broken("dungeon", 6, share=0.2, seed=9)
    search = repair("dungeon", levels, "search", seconds=None, evaluations=3_000)
    auto = repair("dungeon", levels, "auto", seconds=None, evaluations=6_000)
    assert (auto.edits <= search.edits).all()
    assert (auto.method != "none").any()


def test_one_wall_is_taken_away():
    """The wall between the crate and its target."""
    problem = envs.get_problem("sokoban")
    level = problem.parse(["@-$#.", "#####"])
    repairs = repair(problem, level, seconds=None)
    assert problem.text(repairs.levels[0]) == ["@-$-.", "#####"]
    assert repairs.minimal.tolist() == [True]
    assert repairs.method.tolist() == ["search"]


def test_a_level_that_the_measure_refuses_is_left_to_the_solver():
    """A second region, out of reach, keeps the level from being measured, but not from being won."""
    problem = envs.get_problem("sokoban")
    level = problem.parse(["@-$.", "####", "--##"])
    assert not playable(problem, level[None])[0]
    assert repair(problem, level).status.tolist() == ["playable already"]
    # What must be met here are targets, and one of them is a single region.
    strict = repair(problem, level, goal="targets", seconds=None)
    assert strict.status.tolist() == ["repaired"]
    assert strict.edits.tolist() == [1]


def test_solved_asks_the_solver():
    """By their metrics these can be walked through; but an enemy bars the way, or the door is walled in."""
    problem = envs.get_problem("zelda")
    walled = problem.parse(["@.k#D", "...##", ".....", "#...."])
    barred = problem.parse(["@#####", ".b.k.D", "######"])
    for level in (walled, barred):
        assert playable(problem, level[None])[0]
        if envs.solve("zelda", level)[0].solved:
            continue
        assert repair("zelda", level, seconds=None).status[0] == "playable already"
        repairs = repair("zelda", level, goal="solved", seconds=None, evaluations=10_000)
        assert repairs.status[0] == "repaired"
        assert repairs.edits[0] == 1
        assert envs.solve("zelda", repairs.levels[0])[0].solved
    assert not envs.solve("zelda", walled)[0].solved


def test_targets_are_met():
    problem = envs.get_problem("zelda")
    levels = broken("zelda", 5, seed=12)
    repairs = repair(problem, levels, goal="targets", seconds=None, evaluations=5_000)
    assert repairs.repaired.all()
    measured = problem.measure(repairs.levels)
    for i, metric in enumerate(problem.metrics):
        if metric.finite:
            assert ((measured[:, i] >= metric.target[0]) & (measured[:, i] <= metric.target[1])).all()


def test_only_what_is_needed_is_kept_of_a_long_way():
    """Between a maze and one with a single wall of it opened, among many other differences."""
    problem = envs.get_problem("maze")
    goal = Goal(problem, "playable", (4, 6))
    level = problem.parse(["@.#..D", "..#...", "..#...", "..#..."])
    mended = problem.parse(["@.#..D", "#....#", "..#.#.", "......"])
    assert playable(problem, mended[None])[0]
    short = shortened(goal, level, mended, Clock(None, 1_000))
    assert np.count_nonzero(short != level) == 1
    assert playable(problem, short[None])[0]
    assert np.isin(np.flatnonzero(short != level), np.flatnonzero(mended != level)).all()
    found = linked(goal, level, np.ones(level.shape, bool), mended[None], Clock(None, 1_000))
    np.testing.assert_array_equal(found, short)
    assert linked(goal, level, np.zeros(level.shape, bool), mended[None], Clock(None, 1_000)) is None


def test_targets_that_playable_levels_may_miss_are_not_necessary():
    problem = envs.get_problem("zelda")
    found = necessary_targets(problem, (7, 8))
    assert found[[problem.index(name) for name in ("player", "key", "door", "regions")]].all()
    assert not found[problem.index("enemies")]
    assert not found[problem.index("path-length")]


def test_progress_and_single_levels():
    calls = []
    level = broken("maze", 1)[0]
    repairs = repair("maze", level, progress=lambda done, total: calls.append((done, total)))
    assert repairs.levels.shape == (1, *level.shape)
    assert calls == [(1, 1)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "magic"}, "method of repair"),
        ({"goal": "fun"}, "goal of repair"),
        ({"seconds": 0}, "seconds"),
        ({"evaluations": 0}, "evaluations"),
        ({"seed": -1}, "seed"),
        ({"solver_budget": 0}, "solver_budget"),
        ({"fixed": np.zeros((2, 2), bool)}, "fixed must be bool"),
        ({"fixed": np.zeros((7, 8), int)}, "fixed must be bool"),
        ({"donors": np.zeros((1, 3, 3), np.uint8)}, "donors"),
        ({"goal": "solved", "method": "exact"}, "not linear"),
    ],
)
def test_slips_are_told(options, words):
    with pytest.raises(envs.UserError, match=words):
        repair("zelda", np.zeros((1, 7, 8), np.uint8), **options)


@pytest.mark.parametrize("name", sorted(set(PROBLEMS) - set(LINEAR)))
def test_integer_programming_refuses_what_is_not_linear(name):
    with pytest.raises(envs.UserError, match="take the method 'search'"):
        repair(name, envs.construct(name, 1, shape=shape_of(name)), "exact")


def test_wrong_rules_are_told():
    names = ("floor", "wall")
    assert not check_linear_rules(LinearRules((OneRegion(("floor",)),), (Touches("wall", ("floor",)),)), names)
    for rules in (
        LinearRules((OneRegion(("flor",)),)),
        LinearRules(targets=(Touches("wall", ("door",)),)),
        LinearRules((CountRule({"door": 1}, 0, 1),)),
        LinearRules((Apart("floor", ("wall",), ("floor",), 2),)),
        LinearRules((Apart("floor", ("wall",), ("floor", "wall"), 0),)),
    ):
        assert check_linear_rules(rules, names)
