"""The measure by which finished levels are judged, the comparison of designers, and the tables that come of it."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import envs
from agents.baselines import GreedyDesigner, RandomDesigner
from agents.episodes import Designer, Designs, draw_starts
from agents.evaluation import Row, compare, start_row
from envs.evaluation import Estimate, bootstrap, diversity, mean_distances, number, percent
from experiments import reports

LEVELS = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 7), st.integers(1, 4), st.integers(1, 5)), elements=st.integers(0, 4)
)


@given(LEVELS)
def test_diversity_is_the_mean_over_pairs(levels):
    pairs = [np.mean(one != other) for one, other in itertools.combinations(levels, 2)]
    wanted = np.mean(pairs) if pairs else 0.0
    estimate = diversity(levels, resamples=20)
    assert estimate.mean == pytest.approx(wanted)
    for i, level in enumerate(levels):
        others = [np.mean(level != other) for j, other in enumerate(levels) if i != j]
        assert mean_distances(levels)[i] == pytest.approx(np.mean(others) if others else 0.0)


def test_diversity_has_an_interval_around_it_that_shrinks():
    random = np.random.default_rng(0)
    few, many = (diversity(random.integers(0, 3, (count, 6, 6))) for count in (10, 150))
    for estimate in (few, many):
        assert estimate.low < estimate.mean < estimate.high
    assert many.high - many.low < few.high - few.low
    assert diversity(np.zeros((8, 3, 3), np.uint8)) == Estimate(0, 0, 0)


def test_the_bootstrap_interval_holds_the_mean_and_shrinks():
    random = np.random.default_rng(1)
    sample = random.random(400) < 0.3
    widths = []
    for count in (20, 100, 400):
        estimate = bootstrap(sample[:count])
        assert estimate.mean == pytest.approx(sample[:count].mean())
        assert estimate.low <= estimate.mean <= estimate.high
        widths.append(estimate.high - estimate.low)
    assert widths[0] > widths[1] > widths[2] > 0
    # The normal approximation to the binomial holds at this size.
    assert widths[2] == pytest.approx(2 * 1.96 * np.sqrt(0.21 / 400), rel=0.25)


def test_the_bootstrap_repeats():
    sample = np.random.default_rng(0).random(50)
    assert bootstrap(sample, seed=5) == bootstrap(sample, seed=5)
    assert bootstrap(sample, seed=5) != bootstrap(sample, seed=6)


@pytest.mark.parametrize("values", [[3.0], [2.0, 2.0, 2.0], [True, True]])
def test_samples_without_spread_have_a_point_for_an_interval(values):
    mean = float(np.mean(values))
    assert bootstrap(np.array(values)) == Estimate(mean, mean, mean)


def test_numbers_are_written_with_their_intervals():
    assert percent(Estimate(0.87, 0.795, 0.93)) == "87.0 % (79.5-93.0)"
    assert number(Estimate(0.8124, 0.795, 0.83)) == "0.812 (0.795-0.830)"


class _Painter(Designer):
    """Turns every level into a given one."""

    def __init__(self, problem, level, name="painter"):
        self.problem, self.level, self.name = envs.get_problem(problem), level, name
        self.asked = []

    def finish(self, starts, seed, frozen, record):
        self.asked.append((starts, frozen))
        levels = np.repeat(self.level[None], len(starts), axis=0)
        good = np.ones(len(starts), np.bool_)
        return Designs(starts, levels, good, ~good, np.full(len(starts), 3), 0.5)


def test_a_row_judges_what_was_made():
    level = np.zeros(envs.get_problem("binary").default_shape, np.uint8)
    painter = _Painter("binary", level)
    starts = draw_starts(painter.problem, 4, seed=0)
    row = Row.of(painter, painter.design(starts))
    assert (row.designer, row.levels, row.milliseconds) == ("painter", 4, 125)
    assert (row.success.mean, row.strict_success.mean, row.diversity.mean) == (1, 0, 0)
    assert row.changed.mean == pytest.approx((starts != 0).mean())
    assert row.quality.mean == pytest.approx(envs.quality("binary", level)[0])


def test_compare_gives_all_the_same_start_levels():
    shape = envs.get_problem("zelda").default_shape
    painters = [_Painter("zelda", np.zeros(shape, np.uint8), name) for name in ("one", "two")]
    rows, designs = compare(painters, 6, seed=9)
    assert [row.designer for row in rows] == ["one", "two"]
    assert len(designs) == 2
    wanted = draw_starts(painters[0].problem, 6, 9)
    for painter in painters:
        assert (painter.asked[0][0] == wanted).all()
        assert painter.asked[0][1] is None


def test_compare_gives_all_the_same_frozen_tiles():
    options = {"problem": "binary", "representation": "wide", "shape": [6, 6], "frozen_share": 0.5}
    painter = _Painter("binary", np.zeros((6, 6), np.uint8))
    designers = [RandomDesigner(options), painter, GreedyDesigner("binary", None)]
    _, designs = compare(designers, 5, seed=2, frozen_share=0.5)
    frozen = painter.asked[0][1]
    assert frozen.shape == (5, 6, 6)
    assert 0.3 < frozen.mean() < 0.7
    for made in (designs[0], designs[2]):
        assert (made.levels == made.starts)[frozen].all()
        assert (made.levels != made.starts).any()


def test_the_start_levels_are_judged_as_they_are():
    zelda = envs.get_problem("zelda")
    designer = RandomDesigner({"problem": "zelda", "representation": "narrow"})
    starts = np.concatenate([draw_starts(zelda, 3, seed=0), _finished_zelda()[None]])
    row = start_row(designer, Designs(starts, starts[::-1], *[np.ones(4, np.bool_)] * 2, np.ones(4), 1.0))
    assert row.designer == "start levels"
    assert (row.changed.mean, row.milliseconds) == (0, 0)
    assert row.diversity.mean == pytest.approx(diversity(starts).mean)
    measured = zelda.measure(starts)
    assert row.success.mean == zelda.succeeded(measured, measured).mean()
    assert row.success.mean > 0
    assert row.strict_success.mean == 0.25


def _finished_zelda():
    """A level that meets every finite target: a snake with two bats on the way to the key."""
    rows = ["@..........", "##########.", "...b...b...", ".##########", ".....k....D", "###########", "###########"]
    return envs.get_problem("zelda").parse(rows)


def _rows():
    made = [Estimate(0.5, 0.25, 0.75), Estimate(0.1, 0.0, 0.2), Estimate(0.8124, 0.7, 0.9), Estimate(0.4, 0.3, 0.5)]
    return [Row(name, 20, *made, Estimate(0.2, 0.1, 0.3), 1.26) for name in ("wide designer", "random")]


def test_tables_are_written_as_markdown_and_json(tmp_path):
    reports.write_table(_rows(), tmp_path, "evaluation", seed=7)
    lines = (tmp_path / "evaluation.md").read_text().splitlines()
    assert lines[0] == "| designer | success | strict success | quality | diversity | tiles changed | ms/level |"
    assert lines[2].startswith("| wide designer | 50.0 % (25.0-75.0) | 10.0 % (0.0-20.0) | 0.812 (0.700-0.900) |")
    assert all(line.count("|") == len(reports.HEADINGS) + 1 for line in lines[:4])
    assert lines[-1].startswith("20 levels")
    content = json.loads((tmp_path / "evaluation.json").read_text())
    assert content["seed"] == 7
    assert [row["designer"] for row in content["rows"]] == ["wide designer", "random"]
    assert content["rows"][0]["success"] == {"mean": 0.5, "low": 0.25, "high": 0.75}


def test_tables_are_printed_whole_where_there_is_no_window(capsys):
    reports.print_table(_rows(), "binary-wide")
    text = capsys.readouterr().out
    for words in (
        "binary-wide",
        "wide designer",
        "50.0 %",
        "(25.0-75.0)",
        "(0.700-0.900)",
        "ms/level",
        "strict success",
    ):
        assert words in text
    assert "…" not in text
