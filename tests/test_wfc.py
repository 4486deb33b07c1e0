"""Wave function collapse: every pattern is a training level's, propagation equals its twin, failures are counted."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from oracles.collapse import consistent

import envs
from envs import UserError
from envs.symmetries import SYMMETRIES
from generators import collapse
from generators.corpus import corpus_of_levels
from generators.generator import FitOptions
from generators.suite import load_generator, make_generator

PLAIN = FitOptions(symmetries=False)


@pytest.fixture(scope="module")
def binary():
    return corpus_of_levels("binary", envs.construct("binary", 40, seed=1, shape=(7, 8)), repeats=True)


def made(corpus, options=PLAIN, **config):
    generator = make_generator("wfc", corpus, **config)
    generator.fit(corpus, options)
    return generator


def patterns_of(levels, size, edges, tiles=2):
    frame = ((0, 0), (edges, edges), (edges, edges))
    framed = np.pad(levels, frame, constant_values=tiles)
    found = sliding_window_view(framed, (size, size), axis=(1, 2)).reshape(-1, size * size)
    return {row.tobytes() for row in np.ascontiguousarray(found)}


@pytest.mark.parametrize("edges", [True, False])
@pytest.mark.parametrize("size", [2, 3])
def test_every_pattern_is_one_of_the_training_levels(binary, size, edges):
    generator = made(binary, size=size, edges=edges)
    levels = generator.sample(40, seed=1)
    counted = generator.facts["collapse"]
    assert counted["levels"] == 40
    assert counted["failed"] == 0
    assert patterns_of(levels, size, edges) <= patterns_of(binary.train.levels, size, edges)
    assert len({level.tobytes() for level in levels}) > 30
    assert {level.tobytes() for level in levels}.isdisjoint({level.tobytes() for level in binary.train.levels})


def test_propagation_equals_its_twin(binary):
    generator = made(binary, size=3, levels=4)
    patterns = generator.learned("patterns")
    wave = generator._wave
    number = len(patterns)
    height, width = 7, 8
    random = np.random.default_rng(0)
    frames = np.pad(np.zeros((7, 8), bool), 1, constant_values=True)
    sound_cases = 0
    for case in range(6):
        fixed = np.full((7, 8), -1)
        cells = random.permutation(56)[: 2 * case]
        fixed.ravel()[cells] = binary.train.levels[case].ravel()[cells]
        allowed = np.zeros((height * width, number), np.uint8)
        for y in range(height):
            for x in range(width):
                for p, pattern in enumerate(patterns):
                    allowed[y * width + x, p] = all(
                        (pattern[dy, dx] == 2) == frames[y + dy, x + dx]
                        and (frames[y + dy, x + dx] or fixed[y + dy - 1, x + dx - 1] in (-1, pattern[dy, dx]))
                        for dy in range(3)
                        for dx in range(3)
                    )
        expected = consistent(
            patterns.tolist(), height, width, {(i // width, i % width): np.flatnonzero(allowed[i]) for i in range(56)}
        )
        *tables, stack = wave.tables
        trial = wave.copy()
        sound = collapse.begin(allowed, *tables, trial.alive, trial.left, trial.sums, trial.support, stack)
        assert sound == all(expected.values())
        if sound:
            sound_cases += 1
            for i in range(56):
                assert set(np.flatnonzero(trial.alive[i]).tolist()) == expected[i // width, i % width]
            assert (trial.left == trial.alive.sum(axis=1)).all()
            assert np.allclose(trial.sums[:, 0], trial.alive @ generator.learned("counts"))
    assert sound_cases >= 2


def test_a_draw_is_as_frequent_as_its_pattern():
    """One place, whose patterns are whole levels: they are drawn by their counts."""
    levels = np.array([[[0, 0], [0, 1]]] * 6 + [[[1, 1], [1, 0]]] * 2, np.uint8)
    corpus = corpus_of_levels("binary", np.array(list(product((0, 1), repeat=4))).reshape(16, 2, 2), repeats=True)
    generator = make_generator("wfc", corpus, size=2, edges=False, levels=0)
    generator.count(levels, levels, 0)
    drawn = generator.sample(2000, seed=1)
    assert {level.tobytes() for level in drawn} == {level.tobytes() for level in levels}
    assert (drawn[:, 0, 0] == 0).mean() == pytest.approx(0.75, abs=0.05)


@pytest.fixture(scope="module")
def checkered():
    """A generator that knows nothing but checkerboards."""
    corpus = corpus_of_levels("binary", np.random.default_rng(0).integers(0, 2, (40, 4, 5)), repeats=True)
    generator = make_generator("wfc", corpus, size=2)
    boards = np.stack([np.indices((4, 5)).sum(axis=0) % 2, 1 - np.indices((4, 5)).sum(axis=0) % 2]).astype(np.uint8)
    generator.count(boards, boards, 0)
    return generator, boards


def test_checkerboards_follow_from_one_tile(checkered):
    generator, boards = checkered
    for tile in (0, 1):
        fixed = np.full((4, 5), -1)
        fixed[2, 2] = tile
        assert (generator.sample(10, seed=1, fixed_tiles=fixed) == boards[tile]).all()


def test_contradictions_are_counted(checkered):
    generator, _ = checkered
    generator.facts.pop("collapse", None)
    fixed = np.full((4, 5), -1)
    fixed[1, 1:3] = 1
    levels = generator.sample(3, seed=1, fixed_tiles=fixed, restarts=4)
    assert generator.facts["collapse"] == {"levels": 3, "restarts": 0, "failed": 3}
    assert (levels[:, 1, 1:3] == 1).all()
    generator.sample(2, seed=1, restarts=4)
    assert generator.facts["collapse"] == {"levels": 5, "restarts": 0, "failed": 3}


def test_levels_begun_again_are_finished():
    """Patterns of few levels run into contradictions now and then; another beginning finds a level."""
    corpus = corpus_of_levels("zelda", envs.construct("zelda", 60, seed=1), repeats=True)
    generator = made(corpus, FitOptions(), size=3, levels=20)
    generator.sample(60, seed=3, restarts=0)
    once = generator.facts.pop("collapse")
    levels = generator.sample(60, seed=3, restarts=30)
    again = generator.facts["collapse"]
    assert once["failed"] > 0 == once["restarts"]
    assert again["failed"] == 0
    assert again["restarts"] >= once["failed"]
    known = patterns_of(corpus.train.levels, 3, True, 8)
    for names in (("mirror",), ("flip",), ("mirror", "flip")):
        image = corpus.train.levels
        for name in names:
            image = SYMMETRIES[name](image)
        known |= patterns_of(image, 3, True, 8)
    assert patterns_of(levels, 3, True, 8) <= known


def test_edges_are_learned():
    """Levels with walls around them: so are those that are made."""
    random = np.random.default_rng(1)
    levels = np.ones((30, 8, 9), np.uint8)
    levels[:, 1:-1, 1:-1] = random.random((30, 6, 7)) < 0.3
    corpus = corpus_of_levels("binary", levels, repeats=True)
    walls = np.ones((8, 9), bool)
    walls[1:-1, 1:-1] = False
    assert (made(corpus, size=2).sample(30, seed=2)[:, walls] == 1).all()
    assert not (made(corpus, size=2, edges=False).sample(30, seed=2)[:, walls] == 1).all()


def test_options_are_checked(binary, monkeypatch):
    for wrong in ({"size": 1}, {"size": 5}, {"levels": -1}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            make_generator("wfc", binary, **wrong)
    generator = made(binary)
    with pytest.raises(UserError, match="restarts"):
        generator.sample(1, restarts=-1)
    monkeypatch.setattr("generators.families.wfc._MOST_PATTERNS", 10)
    with pytest.raises(UserError, match="fewer levels"):
        made(binary)


def test_it_has_no_likelihood_and_comes_back(binary, tmp_path):
    generator = made(binary, FitOptions(), size=2)
    assert generator.score(binary.test.levels) is None
    assert generator.baseline
    generator.save_pretrained(tmp_path)
    loaded = load_generator(tmp_path)
    assert np.array_equal(loaded.sample(5, seed=4), generator.sample(5, seed=4))
