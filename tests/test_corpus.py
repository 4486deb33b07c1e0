"""Corpora: what is read, how it is split, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import envs
from envs import UserError, get_problem
from envs.level_io import write_levels
from generators import constructed
from generators.corpus import CorpusOptions, corpus_of_levels, load_corpus, open_corpus

DATA = Path(__file__).parents[2] / "shared" / "data"
BOXOBAN = DATA / "boxoban-levels"
PLATFORMER = DATA / "TheVGLC" / "Super Mario Bros"
needs_boxoban = pytest.mark.skipif(not BOXOBAN.is_dir(), reason=f"boxoban-levels is not at {BOXOBAN}")
needs_vglc = pytest.mark.skipif(not PLATFORMER.is_dir(), reason=f"TheVGLC is not at {PLATFORMER.parent}")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TILEWRIGHT_CACHE", str(tmp_path / "cache"))


def keys(levels):
    return {level.tobytes() for level in levels}


def write_folder(root, problem, layout, shape=(4, 5), seed=0):
    """Writes random levels: a file of so many levels at each path."""
    random = np.random.default_rng(seed)
    task = get_problem(problem)
    for name, count in layout.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_levels(path, list(random.integers(0, len(task.tiles), (count, *shape)).astype(np.uint8)), task)
    return str(root)


def test_constructed_levels_are_split_and_kept(tmp_path, monkeypatch):
    options = CorpusOptions(levels=60, held_out=0.1, test=0.2)
    corpus = load_corpus("zelda", options)
    assert (len(corpus.train), len(corpus.held_out), len(corpus.test)) == (60, 6, 12)
    assert np.array_equal(corpus.train.levels, envs.construct("zelda", 60, seed=0))
    assert not keys(corpus.train.levels) & keys(corpus.test.levels)
    files = list((tmp_path / "cache").rglob("*.npy"))
    assert len(files) == 1

    # From here on only the few levels are constructed by which the kept ones are confirmed.
    built = []
    original = type(corpus.problem).construct
    monkeypatch.setattr(
        type(corpus.problem),
        "construct",
        lambda self, seeds, shape: built.append(len(seeds)) or original(self, seeds, shape),
    )
    again = load_corpus("zelda", options)
    assert built == [3]
    assert again.digest == corpus.digest
    np.save(files[0], np.zeros((78, 7, 11), np.uint8))
    assert load_corpus("zelda", options).digest == corpus.digest
    files[0].write_bytes(b"damaged")
    assert load_corpus("zelda", options).digest == corpus.digest


def test_a_cache_that_cannot_be_written_costs_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TILEWRIGHT_CACHE", str(tmp_path / "file"))
    assert len(constructed.constructed_levels(get_problem("zelda"), 4, 0, (7, 11))) == 4


def test_more_levels_begin_with_the_same():
    zelda = get_problem("zelda")
    few = constructed.constructed_levels(zelda, 5, 1, (7, 11))
    many = constructed.constructed_levels(zelda, 9, 1, (7, 11))
    assert np.array_equal(many[:5], few)
    assert np.array_equal(constructed.constructed_levels(zelda, 7, 1, (7, 11)), many[:7])


def test_progress_is_told():
    told = []
    constructed.constructed_levels(get_problem("zelda"), 600, 1, (5, 5), lambda done, total: told.append((done, total)))
    assert told == [(0, 600), (250, 600), (500, 600), (600, 600)]


def test_a_folder_is_split_by_level(tmp_path):
    path = write_folder(tmp_path / "levels", "binary", {"a.txt": 30, "b.txt": 10})
    corpus = load_corpus("binary", CorpusOptions("folder", path, held_out=0.1, test=0.2))
    assert (len(corpus.test), len(corpus.held_out), len(corpus.train)) == (8, 4, 28)
    assert corpus.labels == ()
    assert (corpus.train.labels == -1).all()
    other = load_corpus("binary", CorpusOptions("folder", path, held_out=0.1, test=0.2, seed=1))
    assert keys(other.test.levels) != keys(corpus.test.levels)
    few = load_corpus("binary", CorpusOptions("folder", path, levels=7, held_out=0.1, test=0.2))
    assert len(few.train) == 7
    assert keys(few.test.levels) == keys(corpus.test.levels)


def test_published_parts_and_classes_are_kept(tmp_path):
    layout = {"easy/train/a.txt": 20, "easy/test/b.txt": 5, "hard/train/c.txt": 10, "hard/valid/d.txt": 4}
    path = write_folder(tmp_path / "levels", "binary", layout)
    corpus = load_corpus("binary", CorpusOptions("folder", path))
    assert (len(corpus.train), len(corpus.held_out), len(corpus.test)) == (30, 4, 5)
    assert corpus.labels == ("easy", "hard")
    assert np.bincount(corpus.train.labels).tolist() == [20, 10]
    assert (corpus.held_out.labels == 1).all()
    assert (corpus.test.labels == 0).all()


def test_windows_are_cut_after_the_split(tmp_path):
    """Every window of a test level would be found among those of a training level if windows were split."""
    path = write_folder(tmp_path / "levels", "binary", {f"{i}.txt": 1 for i in range(10)}, shape=(6, 20))
    corpus = load_corpus("binary", CorpusOptions("folder", path, shape=(4, 8), test=0.2, held_out=0.1))
    assert (corpus.train.sources, corpus.held_out.sources, corpus.test.sources) == (7, 1, 2)
    assert len(corpus.train) == 7 * 3 * 13
    # Without overlap: two windows beside each other, at the bottom.
    assert len(corpus.test) == 2 * 2
    assert not keys(corpus.train.levels) & keys(corpus.test.levels)
    strided = load_corpus("binary", CorpusOptions("folder", path, shape=(4, 8), stride=(4, 4), test=0.2, held_out=0.1))
    assert len(strided.train) == 7 * 4
    assert keys(strided.test.levels) == keys(corpus.test.levels)


def test_windows_without_overlap_stand_on_the_ground(tmp_path):
    levels = list(np.random.default_rng(0).integers(0, 2, (6, 6, 8)).astype(np.uint8))
    write_levels(tmp_path / "levels.txt", levels, get_problem("binary"))
    corpus = load_corpus("binary", CorpusOptions("folder", str(tmp_path), shape=(4, 8), test=0.2))
    assert any(np.array_equal(corpus.test.levels[0], level[2:, :8]) for level in levels)


def test_equal_levels_are_not_judged_by(tmp_path):
    levels = np.zeros((30, 4, 4), np.uint8)
    levels[:, 0, 0] = np.arange(30) % 2
    levels[3, 1, 1] = 1
    with pytest.raises(UserError, match="equal training levels"):
        corpus_of_levels("binary", np.zeros((30, 4, 4), np.uint8))
    for seed in range(20):
        try:
            corpus = corpus_of_levels("binary", levels, seed=seed)
        except UserError:
            continue
        assert not keys(corpus.train.levels) & keys(corpus.test.levels)


def test_a_record_makes_the_same_corpus_again(tmp_path):
    path = write_folder(tmp_path / "levels", "binary", {"a.txt": 30})
    corpus = load_corpus("binary", CorpusOptions("folder", path, shape=(3, 4), stride=(1, 1)))
    assert open_corpus("binary", corpus.record()).digest == corpus.digest
    (tmp_path / "levels").rename(tmp_path / "moved")
    assert open_corpus("binary", corpus.record(), str(tmp_path / "moved")).digest == corpus.digest
    write_folder(tmp_path / "moved", "binary", {"b.txt": 1}, seed=5)
    with pytest.raises(UserError, match="is not the one"):
        open_corpus("binary", corpus.record(), str(tmp_path / "moved"))
    with pytest.raises(UserError, match="damaged"):
        open_corpus("binary", {"kind": "folder"})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "nonsense"}, "nonsense"),
        ({"kind": "constructed", "path": "here"}, "takes no path"),
        ({"kind": "folder"}, "needs the path"),
        ({"levels": -1}, "-1"),
        ({"held_out": 0.0}, "held_out"),
        ({"test": 0.7}, "0.7"),
        ({"shape": (3,)}, "shape"),
        ({"kind": "folder", "path": "/nonexistent/levels"}, "/nonexistent/levels"),
    ],
)
def test_wrong_options_are_named(options, words):
    with pytest.raises(UserError, match=words):
        load_corpus("binary", CorpusOptions(**options))


def test_levels_of_many_shapes_need_a_window(tmp_path):
    write_folder(tmp_path, "binary", {"a.txt": 3}, shape=(4, 5))
    write_folder(tmp_path, "binary", {"b.txt": 3}, shape=(4, 6))
    with pytest.raises(UserError, match=r"2 shapes .*\(4, 5\), \(4, 6\)"):
        load_corpus("binary", CorpusOptions("folder", str(tmp_path)))
    with pytest.raises(UserError, match="needs 3"):
        load_corpus("binary", CorpusOptions("folder", str(tmp_path), shape=(9, 9)))
    some = load_corpus("binary", CorpusOptions("folder", str(tmp_path), shape=(4, 6)), None)
    assert any("3 levels are smaller" in note for note in some.notes)


def test_a_stride_must_fit(tmp_path):
    path = write_folder(tmp_path / "levels", "binary", {"a.txt": 9})
    for stride in ((1,), (0, 1)):
        with pytest.raises(UserError, match="stride"):
            load_corpus("binary", CorpusOptions("folder", path, shape=(3, 3), stride=stride))


@needs_boxoban
def test_boxoban():
    corpus = load_corpus("sokoban", CorpusOptions("boxoban", str(BOXOBAN / "unfiltered"), levels=500))
    assert corpus.shape == (10, 10)
    assert len(corpus.train) == 500
    assert len(corpus.test) == 1000
    assert corpus.train.sources + corpus.held_out.sources == 10_000
    assert "Apache" in "".join(corpus.card())
    crates = (corpus.train.levels == corpus.problem.tile_ids["crate"]).sum(axis=(1, 2))
    assert (crates == 4).all()


@needs_boxoban
def test_boxoban_by_difficulty():
    corpus = load_corpus("sokoban", CorpusOptions("boxoban", str(BOXOBAN), levels=1000))
    assert corpus.labels == ("hard", "medium", "unfiltered")


@needs_vglc
def test_the_platformer_is_windowed():
    corpus = load_corpus("smb", CorpusOptions("vglc", str(PLATFORMER), levels=300, test=0.2, held_out=0.1))
    assert corpus.shape == (14, 28)
    assert (corpus.train.sources, corpus.held_out.sources, corpus.test.sources) == (10, 2, 3)
    assert len(corpus.train) == 300
    assert "MIT" in "".join(corpus.card())


def test_images_of_training_levels_are_not_judged_by():
    """Training shows models the symmetric images of its levels; a test level that is one of these has been seen."""
    from envs.symmetries import images

    random = np.random.default_rng(0)
    levels = random.integers(0, 2, (60, 4, 4)).astype(np.uint8)
    doubled = np.concatenate([levels, levels[:20, ::-1], levels[20:40, :, ::-1]])
    for seed in range(5):
        corpus = corpus_of_levels("binary", doubled, seed=seed, held_out=0.2, test=0.2)
        learned = keys(images(corpus.problem.symmetries, corpus.train.levels).reshape(-1, 4, 4))
        stopped = keys(images(corpus.problem.symmetries, corpus.held_out.levels).reshape(-1, 4, 4))
        assert not learned & keys(corpus.held_out.levels)
        assert not (learned | stopped) & keys(corpus.test.levels)
    built = load_corpus("sokoban", CorpusOptions(levels=400, shape=(4, 4), held_out=0.4, test=0.4))
    learned = keys(images(built.problem.symmetries, built.train.levels).reshape(-1, 4, 4))
    assert not learned & keys(built.test.levels)
    assert any("under symmetries" in note for note in built.notes)


def test_no_levels_and_negative_seeds_are_named(tmp_path):
    with pytest.raises(UserError, match="holds no levels"):
        corpus_of_levels("binary", np.zeros((0, 4, 4), np.uint8))
    with pytest.raises(UserError, match="seed"):
        load_corpus("binary", CorpusOptions(seed=-1))


def test_an_archive_in_place_of_kept_levels_is_passed_over(tmp_path):
    zelda = get_problem("zelda")
    levels = constructed.constructed_levels(zelda, 4, 0, (7, 11))
    (file,) = (tmp_path / "cache").rglob("*.npy")
    with file.open("wb") as opened:
        np.savez(opened, levels=levels)
    assert np.array_equal(constructed.constructed_levels(zelda, 4, 0, (7, 11)), levels)
