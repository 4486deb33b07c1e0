"""The tables of problems and representations, and the README that shows them."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest

import envs
from envs.problem import Metric
from experiments import catalogue
from experiments.run import main
from generators.suite import all_families

README = Path(__file__).resolve().parents[1] / "README.md"


def test_every_problem_and_representation_has_a_line():
    text = catalogue.tables()
    for name in (*envs.all_problems(), *envs.all_representations(), *all_families()):
        assert text.count(f"| {name} |") == 1


@pytest.mark.parametrize("problem", envs.all_problems().values(), ids=lambda problem: problem.name)
def test_lines_say_what_success_is(problem):
    assert len(catalogue.problem_row(problem).split("|")[4].strip()) > 15


def test_what_the_readme_says_of_a_problem_is_true():
    shown = README.read_text(encoding="utf-8").partition(catalogue.BEGIN)[2].partition(catalogue.END)[0]
    lines = [line for line in shown.splitlines() if line.startswith("|")]
    assert len(lines) > 10
    assert set(lines) <= set(catalogue.tables().splitlines()), "make readme brings the tables up to date"


def test_a_file_is_brought_up_to_date(tmp_path, capsys):
    file = tmp_path / "page.md"
    file.write_text(f"before\n{catalogue.BEGIN}\nstale words\n{catalogue.END}\nafter\n")
    main(catalogue.Options, catalogue.catalogue, ["--write", str(file)])
    text = file.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "stale words" not in text
    assert "| sokoban |" in text


@pytest.mark.parametrize("text", [None, "no place"])
def test_a_file_that_cannot_be_used(tmp_path, capsys, text):
    file = tmp_path / "page.md"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SystemExit):
        main(catalogue.Options, catalogue.catalogue, ["--write", str(file)])
    assert str(file) in capsys.readouterr().err


@pytest.mark.parametrize("problem", envs.all_problems().values(), ids=lambda problem: problem.name)
def test_what_the_page_of_games_says_is_true(problem):
    page = (README.parent / "docs" / "games.md").read_text(encoding="utf-8")
    if f"## {problem.name}\n" in page:
        assert catalogue.chapter(problem) in page, "make readme brings the page up to date"


@pytest.mark.parametrize("family", all_families().values(), ids=lambda family: family.name)
def test_what_the_page_of_generators_says_is_true(family):
    page = (README.parent / "docs" / "generators.md").read_text(encoding="utf-8")
    assert catalogue.family_chapter(family) in page, "make readme brings the page up to date"


def test_what_the_page_of_words_says_is_true():
    page = (README.parent / "docs" / "words.md").read_text(encoding="utf-8")
    assert catalogue.words() in page, "make readme brings the page up to date"


def test_settings_are_explained():
    for family in all_families().values():
        for options in (family.Config, family.Sampling):
            for line in catalogue.settings(options, "--model").splitlines()[2:]:
                assert len(line.split("|")[3].strip()) > 10, line


def test_targets_in_words():
    ends = {(1, 1): "1", (2, 5): "2 to 5", (-inf, 3): "at most 3", (4, inf): "at least 4"}
    ends |= {(inf, inf): "as large as possible", (-inf, -inf): "as small as possible"}
    for interval, words in ends.items():
        assert catalogue.target(Metric("m", 1, interval, lambda shape: (0, 9), "m")) == words
