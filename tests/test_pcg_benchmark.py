"""The PCG Benchmark's criteria: against the benchmark's own figures, and kernels against their slow twins."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import envs
from envs.criteria import Criteria, all_criteria, get_criteria, judge, trapezoid
from envs.kernels import benchmark_ddave, benchmark_loderunner, benchmark_mdungeon, benchmark_sokoban, benchmark_zelda
from envs.kernels.benchmark import NAME_BITS, dequeue, enqueue, hamming, spread, text_ratios
from envs.level_io import write_levels
from envs.vector_env import DesignVectorEnv
from tests.oracles import pcg_benchmark as oracle
from tests.tracked import read_tensorboard

REFERENCE = json.loads((Path(__file__).parent / "reference" / "pcg_benchmark_cases.json").read_text())
CASES = REFERENCE["games"]


def case_codes(case):
    """The levels of reference cases, in the benchmark's tiles."""
    return np.array([[[int(tile) for tile in row] for row in level.split("/")] for level in case["levels"]], np.uint8)


def case_levels(name):
    """The levels of the reference cases, in our tiles; what the benchmark alone tells apart becomes one."""
    codes = [code for _, code in get_criteria(name).tiles]
    stand_in = {"smb": {2: 1, 8: 7, 9: 7}}.get(name, {})
    ours = [codes.index(stand_in.get(code, code)) for code in range(max([*codes, *stand_in]) + 1)]
    return np.array(ours, np.uint8)[case_codes(CASES[name])]


def study(criteria, codes):
    return {**criteria.study(codes), "content": codes}


def first(facts, count):
    return {name: values[:count] for name, values in facts.items()}


def as_texts(strings):
    room = max([1, *map(len, strings)])
    texts = np.zeros((len(strings), room), np.uint8)
    for i, string in enumerate(strings):
        texts[i, : len(string)] = list(string.encode())
    return texts, np.array([len(string) for string in strings])


# Against the benchmark's own figures.


def test_every_game_has_reference_cases():
    assert set(CASES) == set(all_criteria())


def check_figures(criteria, case):
    facts = study(criteria, case_codes(case))
    for fact, values in case["info"].items():
        np.testing.assert_allclose(facts[fact], values, atol=1e-9, err_msg=fact)
    np.testing.assert_allclose(criteria.quality(facts), case["quality"], atol=1e-9)
    controls = {parameter: np.array(values) for parameter, values in case["controls"].items()}
    np.testing.assert_allclose(criteria.controllability(facts, controls), case["controllability"], atol=1e-9)
    return facts


@pytest.mark.parametrize("name", CASES)
def test_the_figures_are_the_benchmarks_own(name):
    case, criteria = CASES[name], get_criteria(name)
    assert case_codes(case).shape[1:] == criteria.shape
    assert criteria.published == case["published"]
    facts = check_figures(criteria, case)
    similarities = np.array(case["similarities"])
    some = first(facts, len(similarities))
    np.testing.assert_allclose(1 - criteria.differences(some), similarities, atol=1e-9)
    assert (criteria.diversity(some) >= 1).sum() == case["unique"]


@pytest.mark.parametrize("name", REFERENCE["other_sizes"])
def test_the_figures_at_other_sizes_are_the_benchmarks_own(name):
    facts = check_figures(get_criteria(name), REFERENCE["other_sizes"][name])
    if name == "smb":
        # Levels that the searching agent plays to no good end.
        assert ((facts["complete"] > 0) & (facts["complete"] < 1)).sum() >= 3


@pytest.mark.parametrize("name", CASES)
def test_our_tiles_stand_for_the_benchmarks(name):
    criteria = get_criteria(name)
    levels = case_levels(name)
    facts = criteria.info(levels)
    assert (facts["content"] == criteria.codes(levels)).all()
    same = np.flatnonzero((facts["content"] == case_codes(CASES[name])).all(axis=(1, 2)))
    assert len(same) >= 3
    np.testing.assert_allclose(criteria.quality(facts)[same], np.array(CASES[name]["quality"])[same], atol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_controls_are_drawn_from_the_benchmarks_ranges(name):
    criteria = get_criteria(name)
    ranges = criteria.control_ranges(criteria.shape)
    assert {parameter: list(ends) for parameter, ends in ranges.items()} == CASES[name]["control_ranges"]
    drawn = criteria.sample_controls(2000, seed=1)
    for parameter, (low, high) in ranges.items():
        assert (drawn[parameter].min(), drawn[parameter].max()) == (low, high - 1)
    again = criteria.sample_controls(2000, seed=1)
    assert all((drawn[parameter] == again[parameter]).all() for parameter in drawn)


@pytest.mark.parametrize("name", ["binary", "zelda", "sokoban", "ddave", "mdungeon", "smb"])
def test_the_cases_hold_levels_that_pass_and_levels_that_fail(name):
    quality = np.array(CASES[name]["quality"])
    assert (quality >= 1).sum() >= 3
    assert len(set(quality)) >= (3 if name == "smb" else 12)


# Kernels against their twins.


@given(st.lists(st.text("abc,|", max_size=40), min_size=1, max_size=6))
@settings(max_examples=150, deadline=None)
def test_texts_are_as_alike_as_difflib_says(strings):
    ratios = text_ratios(*as_texts(strings))
    assert ratios.tolist() == [[oracle.text_ratio(one, other) for other in strings] for one in strings]


@pytest.mark.parametrize("alphabet", ["ab", "0123456789,|", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" * 3])
def test_long_texts_leave_out_their_commonest_characters(alphabet):
    rng = np.random.default_rng(3)
    strings = ["".join(rng.choice(list(alphabet), length)) for length in (150, 199, 200, 260, 480)]
    strings += [strings[3][:120] + strings[4][100:300], strings[4][:250]]
    expected = [[oracle.text_ratio(one, other) for other in strings] for one in strings]
    assert text_ratios(*as_texts(strings)).tolist() == expected


@pytest.mark.parametrize("seed", range(20))
def test_spread_takes_out_the_most_alike(seed):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 12))
    # Halves and quarters add up without rounding, so that ties are ties.
    similarities = rng.integers(0, 5, (size, size)) / 4 * (rng.random((size, size)) < 0.4)
    np.fill_diagonal(similarities, 1)
    assert spread(similarities).tolist() == oracle.spread(similarities.tolist())


def test_the_queue_is_pythons():
    rng = np.random.default_rng(0)
    heap, size, entries = np.zeros(5000, np.int64), 0, []
    for name in range(3000):
        if entries and rng.random() < 0.4:
            assert dequeue(heap, size) == oracle.heapq.heappop(entries).content
            size -= 1
        else:
            priority = int(rng.integers(-3, 6))
            enqueue(heap, size, priority, name)
            oracle.heapq.heappush(entries, oracle._Entry(priority, name))
            size += 1
    assert [entry.priority for entry in entries] == (heap[:size] >> NAME_BITS).tolist()


def test_hamming_counts_cells():
    levels = np.random.default_rng(0).integers(0, 3, (9, 4, 5)).astype(np.uint8)
    expected = [[int((one != other).sum()) for other in levels] for one in levels]
    assert hamming(levels).tolist() == expected


def playable(rng, shape, tiles, solid, things):
    """A random level with the given number of each thing on free cells."""
    level = np.where(rng.random(shape) < solid, 0, 1).astype(np.uint8)
    places = rng.permutation(level.size)
    for tile, count in zip(tiles, things, strict=True):
        level.flat[places[:count]] = tile
        places = places[count:]
    return level


@pytest.mark.parametrize("power", [40, 400])
def test_sokoban_agents(power):
    rng = np.random.default_rng(power)
    levels = []
    for _ in range(60):
        crates = int(rng.integers(1, 4))
        levels.append(playable(rng, (4, 5), (2, 3, 4), 0.15, (1, crates, crates)))
    facts, _ = benchmark_sokoban.study(np.array(levels), power)
    solved = 0
    for level, row in zip(levels, facts, strict=True):
        gap, way = oracle.sokoban(level, power)
        assert row[benchmark_sokoban.DISTANCE] == gap
        assert row[benchmark_sokoban.LENGTH] == (len(way) - 1 if way else 0)
        solved += way is not None
    assert 5 < solved < 55


@pytest.mark.parametrize("power", [60, 600])
def test_ddave_agents(power):
    rng = np.random.default_rng(power)
    levels = []
    for _ in range(40):
        level = playable(
            rng, (4, 6), (2, 3, 5, 4, 6), 0.25, (1, 1, 1, int(rng.integers(0, 3)), int(rng.integers(0, 3)))
        )
        levels.append(level)
    facts, gaps, visits, kept = benchmark_ddave.study(np.array(levels), power)
    solved = played = 0
    for i, row in enumerate(facts):
        if row[benchmark_ddave.DISTANCE] < 0:
            continue
        played += 1
        gap, jumps, way, diamonds = oracle.ddave(kept[i], power)
        assert (row[benchmark_ddave.DISTANCE], row[benchmark_ddave.JUMPS]) == (gap, jumps)
        assert gaps[i, : len(diamonds)].tolist() == diamonds
        expected = np.zeros(kept[i].shape, int)
        for state in way or ():
            expected[state[0][0] - 1, state[0][1] - 1] += 1
        assert (visits[i] == expected).all()
        solved += way is not None
    assert 5 < solved < played


@pytest.mark.parametrize("power", [60, 600])
def test_mdungeon_agents(power):
    rng = np.random.default_rng(power)
    levels = []
    for _ in range(40):
        things = (1, 1, *(int(rng.integers(0, 4)) for _ in range(4)))
        levels.append(playable(rng, (4, 6), (2, 3, 4, 5, 6, 7), 0.15, things))
    facts, texts = benchmark_mdungeon.study(np.array(levels), power, 8)
    solved = played = 0
    for i, row in enumerate(facts):
        if row[benchmark_mdungeon.COST] < 0:
            continue
        played += 1
        cost, treasures, way = oracle.mdungeon(levels[i], power)
        assert (row[benchmark_mdungeon.COST], row[benchmark_mdungeon.COLLECTED_TREASURES]) == (cost, treasures)
        assert row[benchmark_mdungeon.LENGTH] == len(way or ())
        met = ""
        for before, after in zip(way or (), (way or ())[1:], strict=False):
            for y, x in after[3] - before[3]:
                met += {4: "p", 5: "$", 6: "1", 7: "2"}[int(levels[i][y - 1, x - 1])]
        assert bytes(texts[i, : row[benchmark_mdungeon.TEXT_LENGTH]]).decode() == met
        solved += way is not None
    assert 5 < solved <= played


def test_zelda_ways():
    rng = np.random.default_rng(0)
    levels = rng.choice(6, (80, 5, 6), p=(0.25, 0.45, 0.08, 0.08, 0.08, 0.06)).astype(np.uint8)
    facts, _ = benchmark_zelda.study(levels)
    names = [benchmark_zelda.FACTS.index(name) for name in ("regions", "player_key", "key_door")]
    assert facts[:, names].tolist() == [list(oracle.zelda(level)) for level in levels]


def test_loderunner_exploration():
    rng = np.random.default_rng(0)
    levels = rng.choice(7, (60, 7, 9), p=(0.25, 0.45, 0, 0.03, 0.03, 0.14, 0.1)).astype(np.uint8)
    levels[np.arange(60), rng.integers(0, 7, 60), rng.integers(0, 9, 60)] = 2
    _, explored, _ = benchmark_loderunner.study(levels)
    for level, cells in zip(levels, explored, strict=True):
        assert cells.reshape(8, 9).tolist() == oracle.loderunner(level).tolist()


# What the exact sokoban solver says of the agents.


def test_the_exact_solver_contradicts_the_sokoban_agents_one_way_only():
    levels = case_levels("sokoban")
    facts = get_criteria("sokoban").info(levels)
    statuses = [solution.status for solution in envs.solve("sokoban", levels)]
    missed = 0
    for status, gap, length, level in zip(statuses, facts["heuristic"], facts["solution_length"], levels, strict=True):
        if gap == 0:
            assert status == "solved"
            assert len(envs.solve("sokoban", level)[0].actions) <= length
        elif gap > 0:
            missed += status == "solved"
    assert missed <= len(levels) // 10


# The contract.


@pytest.mark.parametrize("name", CASES)
def test_other_shapes_and_single_levels_are_judged(name):
    criteria = get_criteria(name)
    rng = np.random.default_rng(0)
    for shape in ((9, 7), (7, 10), (15, 16)):
        judged = judge(criteria, rng.integers(0, len(criteria.tiles), (3, *shape)))
        assert ((judged.quality >= 0) & (judged.quality < 1)).all()
        assert ((judged.controllability >= 0) & (judged.controllability <= 1)).all()
    levels = case_levels(name)
    assert criteria.quality(criteria.info(levels[0])) == criteria.quality(criteria.info(levels))[0]
    assert judge(criteria, case_levels(name)[:0]).quality.shape == (0,)


@pytest.mark.parametrize("name", CASES)
def test_the_tiles_are_our_problems(name):
    if name not in envs.suite.all_problems():
        pytest.skip(f"the suite has no problem {name}")
    criteria = get_criteria(name)
    assert [tile for tile, _ in criteria.tiles] == [tile.name for tile in envs.get_problem(name).tiles]


@pytest.mark.parametrize("name", CASES)
def test_designers_can_be_trained_for_it(name):
    criteria = get_criteria(name)
    if name not in envs.suite.all_problems():
        with pytest.raises(envs.UserError, match=name):
            criteria.environment_options()
        return
    options = criteria.environment_options()
    env = DesignVectorEnv(**options, representation="wide", num_envs=2)
    assert env.shape == criteria.shape


def test_unique_feasible_levels_are_unique_among_the_feasible():
    levels = case_levels("sokoban")
    judged = judge(get_criteria("sokoban"), np.concatenate([levels, levels]))
    assert judged.feasible[: len(levels)].tolist() == judged.feasible[len(levels) :].tolist()
    assert judged.unique_feasible.sum() >= 1
    assert not (judged.unique_feasible & ~judged.feasible).any()
    # Of a level and its copy one is left.
    assert not (judged.unique_feasible[: len(levels)] & judged.unique_feasible[len(levels) :]).any()


@pytest.mark.parametrize(
    ("value", "ends", "score"),
    [
        (5, (0, 5), 1),
        (6, (0, 5), 0),
        (2.5, (0, 5), 0.5),
        (7, (0, 5, 9), 1),
        (9.5, (0, 5, 9), 0),
        (7, (0, 5, 6, 8), 0.5),
        (0, (0, 0, 0, 10), 1),
        (4, (0, 0, 0, 10), 0.6),
    ],
)
def test_scores_are_trapezoids(value, ends, score):
    assert trapezoid(value, *ends) == pytest.approx(score, abs=1e-7)


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ([[0, 1], [2, 0]], ["tile ids 0 to 1", "empty, solid"]),
        ([0, 1], ["(height, width)"]),
        ([[0.5, 1], [1, 1]], ["whole numbers"]),
        ([[1]], ["at least 2 by 2"]),
    ],
)
def test_what_cannot_be_judged(levels, words):
    with pytest.raises(envs.UserError) as caught:
        get_criteria("binary").info(levels)
    assert all(word in str(caught.value) for word in words)


def test_there_are_no_criteria_for_other_games():
    with pytest.raises(envs.UserError, match="PCG Benchmark"):
        get_criteria("chess")
    assert all(isinstance(criteria, Criteria) for criteria in all_criteria().values())


# The command line.


def evaluate(*arguments):
    from experiments import evaluate
    from experiments.run import main

    main(evaluate.Options, evaluate.evaluate, [str(argument) for argument in arguments])


def sokoban_file(folder):
    write_levels(folder / "levels.txt", list(case_levels("sokoban")), envs.get_problem("sokoban"))
    return folder / "levels.txt"


@pytest.mark.parametrize("as_folder", [False, True])
def test_a_file_of_levels_is_judged(tmp_path, capsys, as_folder):
    file = sokoban_file(tmp_path)
    source = tmp_path if as_folder else file
    evaluate(
        source,
        "--measure",
        "pcg-benchmark",
        "--problem",
        "sokoban",
        "--levels",
        "30",
        "--out",
        tmp_path / "out",
        "--track",
        "tensorboard",
    )
    written = json.loads((tmp_path / "out" / "pcg-benchmark-seed1.json").read_text())
    mine, random = written["rows"]
    case = np.array(CASES["sokoban"]["quality"])
    assert mine["levels"] == len(case)
    assert mine["feasible"]["mean"] == pytest.approx((case >= 1).mean())
    told = read_tensorboard(tmp_path / "out").figures
    assert told["pcg-benchmark-seed1/feasible/mean"][0][1] == pytest.approx(mine["feasible"]["mean"])
    assert mine["quality"]["mean"] == pytest.approx(case.mean())
    assert mine["feasible"]["low"] < mine["feasible"]["mean"] < mine["feasible"]["high"]
    assert (random["name"], random["levels"], random["feasible"]["mean"]) == ("random", 30, 0)
    table = (tmp_path / "out" / "pcg-benchmark-seed1.md").read_text()
    assert "| ES (Khalifa 2025) | 100 |  | 80 % | 81 % |  | 70 % |" in table
    assert "sokoban-v0" in capsys.readouterr().out


def test_a_designer_is_judged_at_the_benchmarks_size(tmp_path):
    from agents.baselines import RandomDesigner
    from experiments.published import evaluate_published

    options = {**get_criteria("zelda").environment_options(), "representation": "narrow"}
    evaluate_published(tmp_path, RandomDesigner(options), 12, 0, tmp_path)
    (tmp_path / "pcg-benchmark-seed0.json").unlink()
    with pytest.raises(envs.UserError, match=r"9 by 9.*7 by 11.*--benchmark pcg-benchmark"):
        evaluate_published(tmp_path, RandomDesigner({**options, "shape": [9, 9]}), 12, 0, tmp_path)
    assert not (tmp_path / "pcg-benchmark-seed0.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--measure", "pcg-benchmark", "--problem", "chess"], ["chess", "game of the PCG Benchmark"]),
        (["--problem", "sokoban"], ["--measure pcg-benchmark"]),
        (["--measure", "pcg-benchmark"], ["no trained designer", "--problem NAME"]),
        (["--measure", "pcg-benchmark", "--problem", "binary"], ["column 1", "no tile of binary"]),
    ],
)
def test_what_the_command_line_refuses(tmp_path, capsys, arguments, words):
    with pytest.raises(SystemExit) as exited:
        evaluate(sokoban_file(tmp_path), *arguments)
    error = capsys.readouterr().err
    assert exited.value.code == 2
    assert all(word in error for word in words), error


def test_levels_of_several_sizes_are_refused(tmp_path):
    from experiments.published import gather_levels

    problem = envs.get_problem("sokoban")
    write_levels(tmp_path / "levels.txt", [np.zeros((5, 5), np.uint8), np.zeros((5, 6), np.uint8)], problem)
    with pytest.raises(envs.UserError, match="2 sizes"):
        gather_levels(tmp_path / "levels.txt", problem)
    (tmp_path / "empty").mkdir()
    with pytest.raises(envs.UserError, match="no files of levels"):
        gather_levels(tmp_path / "empty", problem)


def test_the_training_option_gives_the_benchmarks_targets():
    from experiments.pcgrl import Options, environment_options

    chosen = environment_options(Options(problem="zelda", representation="turtle", benchmark="pcg-benchmark"))
    assert chosen["shape"] == [7, 11]
    assert chosen["targets"]["path-length"] == [18, np.inf]
    assert json.loads(json.dumps(chosen)) == chosen
    larger = environment_options(
        Options(problem="binary", representation="wide", benchmark="pcg-benchmark", shape=(16, 16))
    )
    assert larger["shape"] == [16, 16]
