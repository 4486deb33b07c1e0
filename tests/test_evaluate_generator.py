"""The evaluator of generators, from the command line to the report."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import envs
import experiments.evaluate_generator as command
import generators.suite
from envs import UserError
from envs.evaluation import Estimate
from envs.level_io import write_levels
from experiments.documents import Document, png_bytes
from experiments.evaluate_generator import Options, evaluate, find_subject
from experiments.generator_measures import range_axes, reweighted
from experiments.generator_pictures import faded, outlined
from generators.corpus import CorpusOptions, load_corpus
from generators.generator import Fit, Generator, Scores
from generators.judging import play_levels, shift_metric
from tests.tracked import read_tensorboard


class Memory(Generator):
    """Draws training levels, those that come nearest to what is asked, and changes a few of their walls."""

    name, title, paper = "memory", "Memory", "nobody"
    chunk = 1000
    changes = 1

    @dataclass(frozen=True)
    class Sampling:
        """How to sample."""

        changes: int = 0

    def fit(self, corpus, options=None, folder=None, report=None, resume=False):
        self.levels = corpus.train.levels
        self.values = np.stack(
            [corpus.metrics("train")[:, corpus.problem.index(c.name)] for c in self.spec.conditions], axis=1
        )
        return self.note(corpus, Fit())

    def draw(self, request, sampling):
        drawn = np.empty((request.n, *self.spec.shape), np.uint8)
        for level, seed, asked in zip(drawn, request.seeds, request.values, strict=True):
            random = np.random.default_rng(seed)
            level[:] = self.levels[random.integers(0, len(self.levels))]
            if not np.isnan(asked).all():
                level[:] = self.levels[np.nansum(np.abs(self.values - asked), axis=1).argmin()]
            flat = level.reshape(-1)
            cells = random.permutation(np.flatnonzero(flat <= 1))[: self.changes + sampling.changes]
            flat[cells] = 1 - flat[cells]
        return drawn

    def arrays(self):
        return {"levels": self.levels, "values": self.values}

    def restore(self, arrays):
        self.levels, self.values = arrays["levels"], arrays["values"]

    def score(self, levels, condition=None):
        predicted = np.full(levels.shape, self.spec.commonest, np.uint8)
        return Scores(np.full(len(levels), math.log(len(self.spec.tiles))), predicted)


class Noise(Memory):
    """Changes so much that nothing is left, and cannot be asked for anything."""

    name, title = "noise", "Noise"
    baseline = True
    changes = 20

    def score(self, levels, condition=None):
        return None


class Volumes(Memory):
    """Cannot do what the corpus has."""

    name, title = "volumes", "Volumes"
    baseline = True
    axes = (3,)


FAMILIES = {"memory": Memory, "noise": Noise, "volumes": Volumes}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache of constructed levels of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TILEWRIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def families(monkeypatch):
    for module in (generators.suite, command):
        monkeypatch.setattr(module, "all_families", lambda: FAMILIES)


@pytest.fixture(scope="module")
def model(tmp_path_factory, cache):
    """A saved generator of zelda levels, and its corpus."""
    folder = tmp_path_factory.mktemp("model") / "mine"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generators.suite, "all_families", lambda: FAMILIES)
        corpus = load_corpus("zelda", CorpusOptions(levels=60, seed=4, test=0.2))
        generator = generators.suite.make_generator("memory", corpus)
        generator.fit(corpus)
        generator.save_pretrained(folder)
    return folder, corpus


@pytest.fixture(scope="module")
def report(model, tmp_path_factory, cache):
    """A whole report, made once."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        for module in (generators.suite, command):
            patch.setattr(module, "all_families", lambda: FAMILIES)
        evaluate(Options(source=model[0], samples=24, out=folder, each=4, compare=model[0], seed=3))
    return folder


def test_the_report_is_one_page_and_one_text_with_pictures(report):
    name = "generator-evaluation-seed3"
    page, text = ((report / f"{name}.{end}").read_text() for end in ("html", "md"))
    assert "<html" in page
    # Nothing is fetched from elsewhere.
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    linked = re.findall(r"\]\(([^)]+)\)", text)
    assert len(linked) >= 5
    assert all((report / file).read_bytes().startswith(b"\x89PNG") for file in linked)
    for heading in ("Playable, novel", "Likeness", "Prediction", "Control", "Expressive range", "Fairness", "Mitig"):
        assert heading in page
        assert heading in text


def test_the_figures_are_those_of_the_levels(report, model):
    facts = json.loads((report / "generator-evaluation-seed3.json").read_text())
    corpus = model[1]
    names = [row["name"] for row in facts["rows"]]
    assert names == [
        "memory (mine)",
        "compared: mine",
        "noise",
        "random start levels",
        "test levels of the corpus",
    ]
    assert facts["skipped"][0].startswith("volumes: Volumes learns levels of 3 axes")
    figures = {row["name"]: row["figures"] for row in facts["rows"]}
    # One wall changed is no novelty, and a test level is.
    assert figures["memory (mine)"]["novel"]["mean"] == 0
    assert figures["memory (mine)"]["nearest"]["mean"] <= 1
    assert figures["test levels of the corpus"]["playable"]["mean"] == 1
    assert figures["test levels of the corpus"]["novel"]["mean"] == 1
    assert figures["random start levels"]["playable"]["mean"] < 0.2
    assert facts["rows"][0]["milliseconds"] > 0
    assert facts["rows"][-1]["milliseconds"] is None
    assert facts["corpus"]["digest"] == corpus.digest
    assert set(facts["prediction"]) == {"memory (mine)", "memory (mine), on training levels", "compared: mine"}
    assert facts["prediction"]["memory (mine)"]["rare_accuracy"]["mean"] == 0
    assert facts["prediction"]["memory (mine)"]["nats"]["mean"] == pytest.approx(math.log(8))
    for control in facts["control"]:
        # It looks up a level that has what is asked; one wall may change it a little.
        assert control["error"]["mean"] < control["uncontrolled"]["mean"]
    assert {control["metric"] for control in facts["control"]} >= {"path-length", "enemies"}
    assert facts["compared"]["metrics"] == facts["metrics"]
    for mitigation in facts["reweighted"]:
        assert mitigation["variation after"] <= mitigation["variation before"]
        assert mitigation["kept"] <= 24
    assert len(facts["nearest"]["edits"]) == 24


def test_the_same_seed_gives_the_same_samples(report, model, tmp_path):
    tracked = {"track": ("tensorboard",)}
    evaluate(Options(source=model[0], samples=24, out=tmp_path, each=0, baselines=("none",), seed=3, **tracked))
    again = json.loads((tmp_path / "generator-evaluation-seed3.json").read_text())
    before = json.loads((report / "generator-evaluation-seed3.json").read_text())
    assert again["rows"][0]["figures"] == before["rows"][0]["figures"]
    assert again["control"] == []
    told = read_tensorboard(tmp_path)
    playable = again["rows"][0]["figures"]["playable"]["mean"]
    assert told.figures["generator-evaluation-seed3/playable/mean"][0][1] == pytest.approx(playable)
    assert all(name.startswith("generator-evaluation-seed3/") for name in told.drawn)
    assert told.drawn


def test_conditions_and_sampling_reach_the_generator(model, tmp_path):
    options = Options(
        source=model[0],
        samples=8,
        out=tmp_path,
        condition={"enemies": "5"},
        sampling={"changes": "9"},
        baselines=("none",),
    )
    evaluate(options)
    facts = json.loads((tmp_path / "generator-evaluation-seed0.json").read_text())
    enemies = next(shift for shift in facts["metrics"] if shift["name"] == "enemies")
    assert enemies["mean"]["mean"] == 5
    assert facts["rows"][0]["figures"]["nearest"]["mean"] > 5
    assert facts["control"] == []


def test_levels_that_anything_made_are_judged_alike(tmp_path, cache):
    levels = envs.construct("zelda", 6, seed=99)
    file = tmp_path / "mine.txt"
    write_levels(file, list(levels), envs.get_problem("zelda"))
    evaluate(Options(source=file, problem="zelda", corpus_levels=60, baselines=("none",)))
    facts = json.loads((tmp_path / "generator-evaluation-seed0.json").read_text())
    assert facts["rows"][0]["name"] == "mine"
    assert facts["rows"][0]["figures"]["playable"]["mean"] == 1
    assert facts["prediction"] == {}
    assert facts["corpus"]["levels"] == 60


def test_repair_is_counted_apart(model, tmp_path):
    pytest.importorskip("generators.repair")
    evaluate(
        Options(source=model[0], samples=6, out=tmp_path, sampling={"changes": "6"}, baselines=("none",), each=0,
                repair="search")
    )  # fmt: skip
    facts = json.loads((tmp_path / "generator-evaluation-seed0.json").read_text())
    raw, repaired = facts["rows"][:2]
    assert repaired["name"] == "memory (mine), repaired"
    assert repaired["figures"]["playable"]["mean"] >= raw["figures"]["playable"]["mean"]
    assert facts["repair"]["broken"] == round(6 * (1 - raw["figures"]["playable"]["mean"]))
    assert "Raw and repaired" in (tmp_path / "generator-evaluation-seed0.md").read_text()
    # One word on what is playable, and what is mended: the judgement's.
    mended = round(6 * (repaired["figures"]["playable"]["mean"] - raw["figures"]["playable"]["mean"]))
    assert facts["repair"]["mended"] == mended
    assert sum(edits > 0 for edits in facts["repair"]["edits"]) == mended


def guarded_level():
    """A zelda level that its metrics call playable and nobody wins: enemies bar the only way to the key."""
    return envs.get_problem("zelda").parse(
        ["###########", "k.c.s#sb@..", ".#.###.###.", ".#.......#.", ".#########.", ".....#.....", "#######D##c"]
    )


def test_repair_goes_by_the_solver_where_it_has_the_last_word():
    zelda = envs.get_problem("zelda")
    fine = envs.construct("zelda", 1, seed=3)[0]
    levels = np.stack([fine, guarded_level()])
    play = play_levels(zelda, levels)
    assert zelda.playable(play.metrics).all()
    assert play.playable.tolist() == [True, False]
    afterwards, milliseconds = command.repaired(zelda, levels, play, Options(source=Path(), repair="search"))
    assert (afterwards[0] == fine).all()
    assert play_levels(zelda, afterwards).playable.all()
    assert (afterwards[1] != levels[1]).any()
    assert milliseconds > 0


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"samples": 0}, "--samples must be at least 1"),
        ({"seconds": 0.0}, "--seconds must be above 0"),
        ({"baselines": ("nosuch",)}, "nosuch"),
        ({"baselines": ("all", "noise")}, "goes with no other name"),
        ({"problem": "zelda"}, "leave it out"),
        ({"compare": "nowhere"}, "nowhere"),
        ({"balance": "nosuch"}, "nosuch"),
        ({"metrics": ("enemies", "nosuch")}, "nosuch"),
        ({"condition": {"nosuch": "1"}}, "nosuch"),
        ({"sampling": {"nosuch": "1"}}, "nosuch"),
    ],
)
def test_slips_are_told_in_one_sentence(model, tmp_path, changed, words):
    if "compare" in changed:
        changed = {"compare": Path(changed["compare"])}
    settings = {"samples": 4, "out": tmp_path, "each": 0, "baselines": ("none",), **changed}
    with pytest.raises(UserError, match=words):
        evaluate(Options(source=model[0], **settings))


def test_what_the_rival_does_not_know_is_told_before_the_work(model, tmp_path, monkeypatch):
    def no_judgement(*given, **named):
        raise AssertionError("the work has begun")

    monkeypatch.setattr(command, "judge", no_judgement)
    loaded = command.load_generator(model[0])
    loaded.Sampling = dataclass(frozen=True)(type("Other", (), {"__doc__": "None."}))
    real = command.load_generator
    monkeypatch.setattr(command, "load_generator", lambda folder: loaded if folder.name == "rival" else real(folder))
    options = Options(source=model[0], compare=Path("rival"), out=tmp_path, sampling={"changes": "2"})
    with pytest.raises(UserError, match=r"of --compare rival too: .*changes"):
        evaluate(options)


def test_one_batch_has_no_interval(report):
    text = (report / "generator-evaluation-seed3.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| test levels of the corpus"))
    assert re.fullmatch(r"100\.0 %", row.split("|")[7].strip())
    assert "baselines: all" in text


def test_a_source_that_is_neither_is_told(tmp_path):
    with pytest.raises(UserError, match="holds no saved generator"):
        find_subject(Options(source=tmp_path))


def test_levels_of_another_shape_are_told(tmp_path, cache):
    file = tmp_path / "small.txt"
    zelda = envs.get_problem("zelda")
    write_levels(file, [np.zeros((4, 4), np.uint8)], zelda)
    with pytest.raises(UserError, match=r"\(4, 4\).*\(7, 11\)"):
        find_subject(Options(source=file, problem="zelda", corpus_levels=60))
    with pytest.raises(UserError, match="are for generators"):
        find_subject(Options(source=file, problem="zelda", sampling={"a": "1"}))


def test_the_benchmark_refuses_settings_that_no_family_has(model):
    from benchmarks.generators import Options as Benchmark
    from benchmarks.generators import check_settings

    check_settings(("memory",), Benchmark(sampling={"changes": "1"}))
    with pytest.raises(UserError, match="chnages"):
        check_settings(("memory", "noise"), Benchmark(sampling={"chnages": "1"}))


# Parts of the report.


def test_a_document_says_the_same_in_both_forms():
    document = Document("One & two")
    document.heading("Part", 2)
    document.text("a `b` < c")
    document.entries(["x", "y"])
    document.table(("what", "how many"), [["a|b", "1"]])
    document.picture("dot", np.zeros((2, 3, 3), np.uint8), "a dot")
    text, page = document.markdown("files"), document.html()
    assert "# One & two" in text
    assert "<h1>One &amp; two</h1>" in page
    assert "a `b` < c" in text
    assert "a <code>b</code> &lt; c" in page
    assert "| a\\|b | 1 |" in text
    assert "<td>a|b</td><td>1</td>" in page
    assert "![a dot](files/dot.png)" in text
    assert 'alt="a dot"' in page
    assert png_bytes(np.zeros((2, 3, 3), np.uint8))[:4] == b"\x89PNG"


def test_the_axes_of_the_expressive_range_vary_most():
    sokoban = envs.get_problem("sokoban")
    play = play_levels(sokoban, envs.construct("sokoban", 20, seed=1), workers=1)
    variances = dict(zip((metric.name for metric in sokoban.metrics), play.metrics.var(axis=0), strict=True))
    axes = range_axes(sokoban, play, None)
    assert axes == tuple(sorted(variances, key=lambda name: -variances[name])[:2])
    assert range_axes(sokoban, play, ("crate", "player")) == ("crate", "player")


def test_reweighting_mends_the_metric_that_it_is_given():
    zelda = envs.get_problem("zelda")
    reference = play_levels(zelda, envs.construct("zelda", 80, seed=1))
    column = zelda.index("enemies")
    few = reference.metrics[np.argsort(reference.metrics[:, column], kind="stable")]
    skewed = np.concatenate([few[:40], few[:40], few])
    shifts = [
        shift_metric(name, skewed[:, zelda.index(name)], reference.metrics[:, zelda.index(name)])
        for name in ("enemies", "path-length")
    ]
    found = reweighted(zelda, skewed, reference, shifts, "enemies", 0)
    assert [mitigation.target for mitigation in found] == ["corpus", "uniform"]
    assert found[0].found.before > 0.2
    assert found[0].found.after < 0.03
    assert found[0].found.effective < len(skewed)
    assert np.abs(found[1].after - found[1].wanted).max() < 0.03


def test_patches_are_outlined_where_they_lie():
    zelda = envs.get_problem("zelda")
    level = envs.construct("zelda", 1, seed=0)[0]
    plain = envs.render(zelda, level, 8, border=False)
    drawn = outlined(zelda, level, np.array([0, 2, 3]), np.array([1, 2, 4]), 8)
    rows, columns = np.where((plain != drawn).any(axis=2))
    assert (rows.min(), rows.max() + 1) == (16, 32)
    assert (columns.min(), columns.max() + 1) == (24, 56)
    other = level.copy()
    other[0, 0] = 1 - min(1, other[0, 0])
    pale = faded(zelda, level, other, 8)
    assert (pale[:8, :8] == plain[:8, :8]).all()
    assert not (pale[8:, 8:] == plain[8:, 8:]).all()
    voxel = envs.get_problem("voxel")
    blocks = envs.construct("voxel", 1, seed=0)[0]
    assert outlined(voxel, blocks, np.zeros(3, np.int64), np.array([1, 2, 2]), 12).ndim == 3


def test_an_interval_is_written_with_its_digits():
    from experiments.generator_measures import short

    assert short(Estimate(1.234, 1.0, 2.0), 1) == "1.2 (1.0-2.0)"
    assert short(Estimate(float("nan"), 0.0, 0.0), 1) == ""
