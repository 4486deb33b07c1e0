"""Translation between problems: what tiles stand for, what is kept of a layout, and translators that learn it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import UserError, all_problems, construct, get_problem
from generators.corpus import corpus_of_levels
from generators.families.cyclegan import CycleGan, CycleGanConfig
from generators.generator import FitOptions
from generators.spec import LevelSpec
from generators.suite import load_generator
from generators.training import Asked
from generators.translation import Structure, Translator, allowed_tiles, default_source, map_tiles, wall_map

torch.set_num_threads(1)

BINARY, MAZE, ZELDA, DUNGEON, SMB = (get_problem(name) for name in ("binary", "maze", "zelda", "dungeon", "smb"))
SHAPE = (5, 6)


def test_tiles_stand_for_their_like():
    table = allowed_tiles(DUNGEON, ZELDA)
    names = [tile.name for tile in ZELDA.tiles]
    for row, tile in zip(table, DUNGEON.tiles, strict=True):
        allowed = {name for name, may in zip(names, row, strict=True) if may}
        if tile.name == "empty":
            assert allowed == {*names} - {"solid"}
        elif tile.name == "treasure":
            assert allowed == {*names}
        else:
            assert allowed == {tile.name}
    # A game without bricks has other walls; a coin may become anything.
    table = allowed_tiles(SMB, BINARY)
    assert table[SMB.tile_ids["brick"]].tolist() == [False, True]
    assert table[SMB.tile_ids["coin"]].tolist() == [True, True]


def test_the_baseline_maps_tile_by_tile():
    levels = np.array(
        [[[SMB.tile_ids[name] for name in ("empty", "solid", "enemy", "brick", "coin", "tube")]]], np.uint8
    )
    assert map_tiles(levels, SMB, BINARY).tolist() == [[[0, 1, 0, 1, 0, 1]]]
    names = [ZELDA.tiles[i].name for i in map_tiles(np.arange(9, dtype=np.uint8), DUNGEON, ZELDA)]
    assert names == ["empty", "solid", "player", "key", "door", "bat", "scorpion", "spider", "empty"]
    for source in all_problems().values():
        for target in all_problems().values():
            mapped = map_tiles(np.arange(len(source.tiles), dtype=np.uint8), source, target)
            assert mapped.max() < len(target.tiles)
            assert np.array_equal(wall_map(mapped, target), wall_map(np.arange(len(source.tiles)), source))


def test_what_is_kept_of_a_layout_by_hand():
    before = np.array([[[1, 1, 0, 0]], [[1, 1, 1, 1]]], np.uint8)
    after = np.array([[[1, 2, 0, 1]], [[1, 1, 1, 1]]], np.uint8)
    found = Structure.of(before, BINARY, after, ZELDA)
    # First level: one of two walls kept, one of two open cells kept; second: nothing but walls, all kept.
    assert found.walls == pytest.approx((1 / 2 + 1) / 2)
    assert found.open == pytest.approx((1 / 2 + 1) / 2)
    assert found.correlation == pytest.approx((0 + 1) / 2)
    with pytest.raises(UserError, match="same shape"):
        Structure.of(before, BINARY, after[:1], ZELDA)


@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
@settings(max_examples=30, deadline=None)
def test_the_correlation_is_that_of_numpy(seed, cells):
    random = np.random.default_rng(seed)
    before, after = random.integers(0, 2, (2, 1, 1, cells), np.uint8)
    found = Structure.of(before, BINARY, after, BINARY).correlation
    if before.std() and after.std():
        assert found == pytest.approx(np.corrcoef(before.ravel(), after.ravel())[0, 1])
    else:
        assert found == float(np.array_equal(before, after))


def test_every_problem_has_a_source():
    for problem in all_problems().values():
        if len(problem.default_shape) == 2:
            for shape in {problem.default_shape, problem.window or problem.default_shape}:
                # It has constructed a level of the shape, or it would not be taken.
                assert default_source(problem, shape).name != problem.name
    assert default_source(ZELDA, (7, 11)).name == "dungeon"
    with pytest.raises(UserError, match="name a source"):
        default_source(get_problem("voxel"), (5, 5, 5))


def test_each_cell_of_a_translation_sees_every_other():
    network = Translator(2, 3, SHAPE, 4, width=8, blocks=1, mixed=8).eval()
    levels = torch.rand(1, 2, *SHAPE, requires_grad=True)
    logits = network(levels, torch.zeros(1, 4))
    assert logits.shape == (1, 3, *SHAPE)
    (slope,) = torch.autograd.grad(logits[0, 0, 0, 0], levels)
    assert (slope.abs().sum(dim=1) > 0).all()
    assert not torch.allclose(logits, network(levels, torch.ones(1, 4)))
    back = Translator(3, 2, SHAPE, 0, width=8, blocks=1, mixed=8)
    assert back(logits, torch.zeros(1, 0)).shape == levels.shape


@pytest.fixture(scope="module")
def pair():
    source = corpus_of_levels("maze", construct("maze", 200, seed=5, shape=SHAPE), seed=1, repeats=True)
    target = corpus_of_levels("zelda", construct("zelda", 200, seed=6, shape=SHAPE), seed=1, repeats=True)
    return source, target


def made(target, **config):
    small = {"source": "maze", "width": 12, "blocks": 1, "mixed": 16, "critic_channels": 8, "critic_features": 16}
    return CycleGan(LevelSpec.of(target), CycleGanConfig(**{**small, **config}))


STEPS = FitOptions(minutes=0, steps=160, batch=16, warm_up=5, learning_rate=4e-3, symmetries=False)


@pytest.fixture(scope="module")
def trained(pair):
    generator = made(pair[1])
    generator.fit_pair(*pair, STEPS)
    return generator


def test_it_learns_to_keep_the_layout_and_to_come_back(trained, pair):
    source = pair[0].test.levels
    levels = trained.translate(source)
    assert Structure.of(source, MAZE, levels, ZELDA).correlation > 0.8
    assert (trained.translate_back(levels) == source).mean() > 0.85


def test_both_ways_are_learned(trained, pair):
    untrained = made(pair[1])
    untrained.fit_pair(*pair, FitOptions(minutes=0, steps=1, batch=2, learning_rate=1e-9))
    levels = torch.from_numpy(pair[1].test.levels.astype(np.int64))
    asked = Asked.of(trained.spec, *trained.spec.values(None, len(levels)), "cpu")
    with torch.no_grad():
        (_, after), (_, before) = (
            generator.loss(levels, asked, torch.Generator().manual_seed(1)) for generator in (trained, untrained)
        )
    assert float(after["cycle"]) < 0.9 * float(before["cycle"])
    assert float(after["identity"]) < float(before["identity"])


def test_an_untrained_translator_maps_tile_by_tile(pair):
    source = pair[0].test.levels
    levels = made(pair[1]).translate(source, constrained=False)
    assert (levels == map_tiles(source, MAZE, ZELDA)).mean() > 0.97
    assert not (levels == ZELDA.tile_ids["key"]).any()


def test_translations_keep_the_count_rules(trained, pair):
    levels = trained.translate(pair[0].test.levels)
    for name in ("player", "key", "door"):
        assert ((levels == ZELDA.tile_ids[name]).sum(axis=(1, 2)) == 1).all()


def test_translations_are_of_their_sources_alone(trained, pair):
    source = pair[0].test.levels
    assert np.array_equal(trained.translate(source)[3:5], trained.translate(source[3:5]))
    drawn = trained.translate(source, seed=1, temperature=1.0)
    assert np.array_equal(drawn, trained.translate(source, seed=1, temperature=1.0))
    assert not np.array_equal(drawn, trained.translate(source, seed=2, temperature=1.0))


def test_samples_are_translations_of_constructed_levels(trained):
    levels = trained.sample(6, seed=4)
    source = trained.source_levels(6, 4)
    assert np.array_equal(levels, trained.translate(source))
    assert len({level.tobytes() for level in levels}) > 1


def test_fixed_tiles_are_kept_within_the_rules(trained):
    fixed = np.full(SHAPE, -1)
    fixed[2, 2], fixed[0, 0] = ZELDA.tile_ids["player"], ZELDA.tile_ids["bat"]
    levels = trained.sample(5, seed=1, fixed_tiles=fixed)
    assert (levels[:, 2, 2] == fixed[2, 2]).all()
    assert (levels[:, 0, 0] == fixed[0, 0]).all()
    assert ((levels == ZELDA.tile_ids["player"]).sum(axis=(1, 2)) == 1).all()


def test_equal_seeds_give_equal_weights(pair):
    options = FitOptions(minutes=0, steps=5, batch=8, warm_up=1)
    first, second = made(pair[1]), made(pair[1])
    first.fit_pair(*pair, options)
    second.fit_pair(*pair, options)
    for name, weights in first.network.state_dict().items():
        assert torch.equal(weights, second.network.state_dict()[name]), name


def test_levels_on_disk_are_a_source(pair, tmp_path):
    folder = tmp_path / "mazes"
    folder.mkdir()
    characters = [tile.character for tile in MAZE.tiles]
    for i, level in enumerate(pair[0].train.levels[:40]):
        text = "\n".join("".join(characters[tile] for tile in row) for row in level)
        (folder / f"{i}.txt").write_text(text + "\n")
    generator = made(pair[1], source_kind="folder", source_path=str(folder), source_levels=0)
    generator.fit(pair[1], FitOptions(minutes=0, steps=3, batch=8, warm_up=1))
    known = {level.tobytes() for level in pair[0].train.levels[:40]}
    source = generator.source_levels(30, 1)
    assert {level.tobytes() for level in source} <= known
    assert len({level.tobytes() for level in source}) > 5
    generator.save_pretrained(tmp_path / "model")
    # What is sampled from is in the model; the folder is not read again.
    for file in folder.iterdir():
        file.unlink()
    loaded = load_generator(tmp_path / "model")
    assert np.array_equal(loaded.sample(5, seed=2), generator.sample(5, seed=2))
    assert loaded.facts["source"]["kind"] == "folder"
    assert "translated from maze" in loaded.card()
    assert "256 of the source's levels" in loaded.card()


def test_pairs_that_do_not_fit_are_refused(pair, trained):
    target = pair[1]
    with pytest.raises(UserError, match="maze levels of shape"):
        trained.fit_pair(target, target, STEPS)
    with pytest.raises(UserError, match="the problem of the levels themselves"):
        made(target, source="zelda")
    with pytest.raises(UserError, match="axes"):
        made(target, source="voxel")
    with pytest.raises(UserError, match="shape"):
        trained.translate(construct("maze", 2, seed=1, shape=(6, 6)))
    with pytest.raises(UserError, match="shape"):
        trained.translate_back(construct("zelda", 2, seed=1, shape=(6, 6)))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"source": "doom"}, "doom"),
        ({"source_kind": "vglc"}, "path"),
        ({"source_kind": "vglc", "source_path": "x"}, "give a source"),
        ({"width": 0}, "width"),
        ({"cycle": -1.0}, "cycle"),
        ({"temperature": 0.0}, "temperature"),
    ],
)
def test_wrong_forms_are_named(config, words):
    with pytest.raises(UserError, match=words):
        CycleGanConfig(**config).check()
