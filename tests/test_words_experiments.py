"""Words from the command line: training, measuring and prompting, what they leave and what they refuse."""

from __future__ import annotations

import contextlib
import io
import json
import math
from dataclasses import dataclass
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image

import envs
from envs import UserError
from envs.level_io import read_levels
from experiments import evaluate_words, prompt, train_generator, train_words
from experiments.free_wordings import NOUNS, free_captions
from experiments.run import main
from generators.corpus import corpus_of_levels
from generators.sampling import LevelSource
from generators.spec import LevelSpec
from generators.suite import make_generator
from generators.words import Lexicon, draw_captions, load_words, read_prompt
from generators.words.evaluation import (
    NearestCaption,
    commonest_requests,
    find_levels,
    measure_finding,
    measure_reading,
    order_by,
    typical_scores,
    unseen_captions,
)
from generators.words.sampling import answer_prompt
from generators.words.scoring import caption_scores, meets

torch.set_num_threads(1)

LEVELS = ["--problem", "zelda", "--levels", "60", "--shape", "5", "6"]
WORDS = [*LEVELS, "--steps", "6", "--prompts", "12", "--fit", "captions", "60", "batch", "8"]
WORDS += ["--model", "width", "8", "depth", "1", "level_width", "8", "level_depth", "1", "size", "8"]
INF = math.inf


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TILEWRIGHT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def call(module, run, *arguments):
    """Runs an experiment here; returns its exit code, what it printed, and what it printed on standard error."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(module.Options, run, [str(argument) for argument in arguments])
        except SystemExit as left:
            code = left.code or 0
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A trained generator and a trained words model of the same levels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TILEWRIGHT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        out = tmp_path_factory.mktemp("runs")
        made = call(train_generator, train_generator.train, "--family", "markov", *LEVELS, "--out", out, "--name", "g")
        assert made[0] == 0, made[2]
        trained = call(train_words, train_words.train, *WORDS, "--out", out, "--name", "w")
        assert trained[0] == 0, trained[2]
    return out / "train_generator" / "g", out / "train_words" / "w", trained[1]


def refused(result, *words):
    code, _, err = result
    err = err.rsplit("\r", 1)[-1]
    assert code == 2, err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err


# Training and measuring.


def test_what_a_training_leaves(runs):
    _, folder, text = runs
    model = load_words(folder)
    assert model.lexicon.problem == "zelda"
    assert {path.name for path in (folder / "words").iterdir()} == {"config.json", "model.safetensors", "card.md"}
    plain = json.loads((folder / "words-evaluation-seed0.json").read_text())
    assert {"held-out captions", "misspelt", "free wording"} <= set(plain["readings"])
    grammar = plain["readings"]["held-out captions"][0]
    assert grammar == {"way": "grammar", "precision": 1.0, "recall": 1.0, "whole": 1.0}
    assert plain["exact"] == 1.0
    assert "| text tower |" in (folder / "words-evaluation-seed0.md").read_text()
    assert "experiments.prompt" in text
    assert list((folder / "tensorboard").iterdir())
    assert json.loads((folder / "config.json").read_text())["corpus"]["digest"] == model.facts["corpus"]["digest"]


def test_a_model_is_not_written_over_unasked(runs, tmp_path):
    _, folder, _ = runs
    out = folder.parent.parent
    refused(call(train_words, train_words.train, *WORDS, "--out", out, "--name", "w"), "--overwrite")
    before = load_words(folder).text_vectors(["few bats"])[0]
    again = call(train_words, train_words.train, *WORDS, "--out", out, "--name", "w", "--overwrite")
    assert again[0] == 0
    assert np.array_equal(load_words(folder).text_vectors(["few bats"])[0], before)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--problem", "lava"], "lava"),
        (["--fit", "seed", "3"], "--seed"),
        (["--fit", "batch", "one"], "batch"),
        (["--model", "width", "0"], "width"),
        (["--model", "voice", "high"], "level_width"),
        (["--minutes", "-1"], "minutes"),
        (["--prompts", "0"], "--prompts"),
        (["--corpus", "folder"], "path"),
    ],
)
def test_a_training_refuses_in_a_sentence(tmp_path, arguments, word):
    refused(call(train_words, train_words.train, *arguments, "--out", tmp_path), word)
    assert not list(tmp_path.iterdir())


def test_levels_made_for_prompts_are_measured(runs, tmp_path):
    generator, words, _ = runs
    result = call(
        evaluate_words,
        evaluate_words.evaluate,
        words,
        "--generator",
        generator,
        *("--prompts", "8", "--made", "4", "--candidates", "3", "--out", tmp_path),
    )
    assert result[0] == 0, result[2]
    plain = json.loads((tmp_path / "words-evaluation-seed0.json").read_text())
    ways = {row["way"]: row for row in plain["makings"]["held-out captions"]}
    assert {"conditioned, the first", "held, by both", "a corpus level, any"} <= set(ways)
    assert all(-1 <= row["score"]["mean"] <= 1 for row in ways.values())
    best, first = (ways[f"not conditioned, {way}"]["score"]["mean"] for way in ("by measured features", "the first"))
    assert best >= first


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(["--made", "0"], "--made"), (["--seconds", "0"], "--seconds"), (["--candidates", "0"], "--candidates")],
)
def test_measuring_refuses_in_a_sentence(runs, arguments, word):
    refused(call(evaluate_words, evaluate_words.evaluate, runs[1], *arguments), word)


def test_words_are_not_measured_by_a_generator_of_other_levels(runs, tmp_path):
    corpus = corpus_of_levels("zelda", envs.construct("zelda", 20))
    generator = make_generator("commonest", corpus)
    generator.fit(corpus)
    generator.save_pretrained(tmp_path)
    refused(call(evaluate_words, evaluate_words.evaluate, runs[1], "--generator", tmp_path), "shape (5, 6)")


def test_a_generator_is_no_words_model(runs):
    refused(call(evaluate_words, evaluate_words.evaluate, runs[0] / "generator"), "words model")


# Prompting.


@pytest.mark.parametrize("with_words", [False, True])
def test_a_prompt_is_answered(runs, tmp_path, with_words):
    generator, words, _ = runs
    more = ["--words", words] if with_words else []
    text = "a room with 2 enmies and a dragon"
    result = call(prompt, prompt.ask, generator, text, *more, "--count", "3", "--candidates", "4", "--out", tmp_path)
    assert result[0] == 0, result[2]
    for words_ in ("'dragon'", "'enmies' was read as 'enemies'", "asked: 2 enemies; got ", "playable: ", "score: "):
        assert words_ in result[1]
    name = "prompt-a-room-with-2-enmies-and-a-dragon"
    assert len(read_levels(tmp_path / f"{name}.txt", envs.get_problem("zelda"))) == 3
    with Image.open(tmp_path / f"{name}.png") as picture:
        assert picture.text["prompt"] == text


@pytest.mark.parametrize(
    ("text", "more", "word"),
    [
        ("lava", [], "Nothing was understood"),
        ("", [], "empty"),
        ("bats", ["--rank", "towers"], "--words"),
        ("bats", ["--count", "0"], "--count"),
        ("bats", ["--seconds", "-1"], "--seconds"),
        ("bats", ["--sampling", "x", "1"], "sampling"),
    ],
)
def test_a_prompt_is_refused_in_a_sentence(runs, tmp_path, text, more, word):
    refused(call(prompt, prompt.ask, runs[0], text, *more, "--out", tmp_path), word)


def test_a_prompt_needs_words_where_the_corpus_is_not_known(tmp_path):
    corpus = corpus_of_levels("zelda", envs.construct("zelda", 20))
    generator = make_generator("commonest", corpus)
    generator.fit(corpus)
    generator.facts.pop("corpus")
    generator.save_pretrained(tmp_path)
    refused(call(prompt, prompt.ask, tmp_path, "bats"), "--words")


class Drawer(LevelSource):
    """Draws constructed levels again and again, whatever it is asked for, and keeps what it was asked for."""

    name, title, chunk = "drawer", "Drawer", 1000
    keeps_fixed_tiles, holds_counts = "construction", False

    @dataclass(frozen=True)
    class Sampling:
        """How to sample."""

    def __init__(self, levels):
        self.levels = levels
        self.spec = LevelSpec.of(corpus_of_levels("zelda", levels))
        self.condition = None
        self.facts = {}

    def request(self, n, seed, condition=None, fixed_tiles=None):
        self.condition = condition
        return super().request(n, seed, condition, fixed_tiles)

    def draw(self, request, sampling):
        return self.levels[request.seeds % np.uint64(len(self.levels))]


@pytest.fixture(scope="module")
def drawer():
    return Drawer(envs.construct("zelda", 120, seed=4))


def test_the_best_candidates_come_first(drawer):
    lexicon = Lexicon.learn("zelda", drawer.levels)
    wanted = read_prompt("five enemies and a long path", lexicon)
    answers = answer_prompt(drawer, lexicon, wanted, 6, candidates=20)
    assert answers.levels.shape == (6, 7, 11)
    assert (np.diff(answers.scores) <= 0).all()
    assert (answers.scores[:3] == 1).all()
    assert np.array_equal(answers.values[:, lexicon.places["enemies"]][:3], [5, 5, 5])
    assert set(drawer.condition) == {"enemies", "path-length"}
    assert len(np.unique(answers.levels.reshape(6, -1), axis=0)) == 6
    assert answers.playable is None


def test_numbers_of_tiles_hold_in_all_candidates():
    corpus = corpus_of_levels("zelda", envs.construct("zelda", 60, seed=4))
    generator = make_generator("masked_lm", corpus, width=16, layers=1, heads=2, embedding=4)
    lexicon = Lexicon.of(corpus)
    wanted = read_prompt("three enemies, two of them bats, no spiders, at least 2 regions", lexicon)
    answers = answer_prompt(generator, lexicon, wanted, 6, candidates=1)
    for name, number in (("enemies", 3), ("bat", 2), ("spider", 0), ("scorpion", 1)):
        assert (answers.values[:, lexicon.places[name]] == number).all()
    assert [note for note in answers.notes if "at least 2 regions" in note and "ranked" in note]
    assert len(answers.notes) == 1
    # Without constraints nothing is held, and that is said.
    free = answer_prompt(generator, lexicon, wanted, 6, candidates=1, constrained="false")
    assert (free.values[:, lexicon.places["enemies"]] != 3).any()
    for words in ("2 bats", "no spiders"):
        assert [note for note in free.notes if words in note and "ranked" in note], free.notes


def test_what_is_won_comes_first_among_equals(drawer):
    lexicon = Lexicon.learn("zelda", drawer.levels)
    wanted = read_prompt("a key", lexicon)
    broken = drawer.levels.copy()
    broken[::2][broken[::2] == 4] = 1
    answers = answer_prompt(Drawer(np.concatenate([broken])), lexicon, wanted, 10, candidates=6, seconds=1.0)
    assert answers.playable[:8].all()


def test_a_ranking_may_be_given(drawer):
    lexicon = Lexicon.learn("zelda", drawer.levels)
    wanted = read_prompt("a key", lexicon)
    answers = answer_prompt(
        drawer, lexicon, wanted, 4, rank=lambda levels: (levels == 1).sum(axis=(1, 2)).astype(float)
    )
    walls = (answers.levels == 1).sum(axis=(1, 2))
    assert (np.diff(walls) <= 0).all()


def test_answers_are_refused_for_another_problem(drawer):
    lexicon = Lexicon.learn("sokoban", envs.construct("sokoban", 8))
    with pytest.raises(UserError, match="sokoban"):
        answer_prompt(drawer, lexicon, read_prompt("two crates", lexicon), 1)
    own = Lexicon.learn("zelda", drawer.levels)
    with pytest.raises(UserError, match="At least 1"):
        answer_prompt(drawer, own, read_prompt("a key", own), 0)


# Measuring.


@pytest.fixture(scope="module")
def zelda():
    levels = envs.construct("zelda", 200, seed=6)
    lexicon = Lexicon.learn("zelda", levels)
    return lexicon, lexicon.values(levels)


def test_readings_are_counted_as_they_are_defined(zelda):
    lexicon, _ = zelda
    truths = [{"bat": (-INF, 0.0), "enemies": (5.0, INF)}, {"spider": (-INF, 0.0)}]
    read = [{"bat": (-INF, 0.0), "enemies": (1.0, 2.0), "key": (-INF, 0.0)}, {"spider": (-INF, 0.0)}]
    found = measure_reading(lexicon, "x", truths, read)
    assert (found.precision, found.recall, found.whole) == pytest.approx((2 / 4, 2 / 3, 1 / 2))
    nothing = measure_reading(lexicon, "x", truths, [{}, {}])
    assert (nothing.precision, nothing.recall, nothing.whole) == (0, 0, 0)


def test_findings_are_counted_as_they_are_defined(zelda):
    lexicon, _ = zelda
    values = np.zeros((2, 2, len(lexicon.features)))
    bat, key = lexicon.places["bat"], lexicon.places["key"]
    values[0, 0, [bat, key]] = (2, 1)
    values[1, 1, bat] = 2
    asked = [{"bat": (-INF, 0.0), "key": (1.0, 1.0)}, {"bat": (2.0, 2.0)}]
    found = measure_finding(lexicon, "x", asked, values, np.array([0, 1]))
    # The first prompt's level has a bat that was not to be, and the key; the second's lacks its bats.
    assert (found.at_1, found.at_10, found.met_1, found.met_10) == (0.5, 1, 0, 0.5)
    assert (found.precision, found.recall) == (0.5, 0.5)
    assert found.score.mean == pytest.approx((0 - 1) / 2)


def test_equal_levels_are_ordered_by_lot():
    scores = np.array([[0.0, 2.0, 0.0, 1.0, 0.0]])
    orders = {tuple(order_by(scores, seed)[0].tolist()) for seed in range(80)}
    assert len(orders) == 6
    assert all(order[:2] == (1, 3) for order in orders)


def test_the_measure_finds_every_level_by_itself(zelda):
    lexicon, values = zelda
    captions = draw_captions(lexicon, values, Random(0))
    scores = np.eye(len(values))
    found = find_levels(lexicon, "x", [one.asked for one in captions], scores, values, np.arange(len(values)))
    assert (found.at_1, found.met_1, found.recall, found.score.mean) == (1, 1, 1, 1)


def test_unseen_captions_are_of_no_known_level(zelda):
    lexicon, values = zelda
    captions = unseen_captions(lexicon, values, 40, seed=1)
    assert len(captions) == 40
    assert captions == unseen_captions(lexicon, values, 40, seed=1)
    assert not meets(lexicon, [one.asked for one in captions], values).any()
    for one in captions:
        read = read_prompt(one.text, lexicon)
        assert dict(read.asked) == one.asked
        assert not read.notes


def test_the_nearest_caption_has_most_words_in_common():
    known = NearestCaption(["few bats", "many walls", "a long path"])
    similar = known.similarities(["bats", "walls and more walls", "unheard of"])
    assert similar[:2].argmax(axis=1).tolist() == [0, 1]
    assert not similar[2].any()


def test_the_most_typical_level_meets_most_captions(zelda):
    lexicon, values = zelda
    captions = draw_captions(lexicon, np.repeat(values, 2, axis=0), Random(0))
    scores = typical_scores(lexicon, captions, values[:7])
    whole = caption_scores(lexicon, [one.asked for one in captions], values[:7]).mean(axis=0)
    assert len(captions) == 400
    assert scores == pytest.approx(whole)


def test_the_commonest_request(zelda):
    from generators.words import Caption

    lexicon, _ = zelda
    captions = [Caption("", {"bat": (-INF, 0.0)})] * 3 + [Caption("", {"key": (-INF, 0.0)})]
    assert commonest_requests(lexicon, captions) == {"bat": (-INF, 0.0)}


@pytest.mark.parametrize("name", NOUNS)
def test_free_wordings_are_none_of_the_grammar(name):
    lexicon = Lexicon.learn(name, envs.construct(name, 40, seed=2, shape=(14, 28) if name == "smb" else None))
    assert set(NOUNS[name]) <= set(lexicon.places)
    values = np.repeat(lexicon.values(envs.construct(name, 10, seed=5, shape=lexicon.shape)), 4, axis=0)
    captions = free_captions(lexicon, values, Random(0), 1, 1)
    assert all(meets(lexicon, [one.asked], row[None]).all() for one, row in zip(captions, values, strict=True))
    read = [dict(read_prompt(one.text, lexicon).asked) for one in captions]
    assert np.mean([one == caption.asked for one, caption in zip(read, captions, strict=True)]) < 0.2
