"""The masked tile LM: what it hides, reveals, keeps and scores."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import UserError, construct, get_problem
from envs.counts import CountRule, kept, rule_arrays
from generators.corpus import Corpus, CorpusOptions, Part, corpus_of_levels
from generators.families.masked_lm import FAMILY, Config
from generators.generator import FitOptions
from generators.settling import NEVER, CountSettler
from generators.spec import LevelSpec
from generators.suite import load_generator
from generators.training import Asked
from tests.oracles.settling import settle

NAMES = ("empty", "solid", "player", "crate")
RULES = (
    CountRule({"player": 1}, 1, 1),
    CountRule({"crate": 1, "solid": -1}, 0, 0),
    CountRule({"crate": 1}, 1, math.inf),
)


@given(st.integers(0, 2**32 - 1), st.integers(1, 7))
@settings(max_examples=60, deadline=None)
def test_settling_equals_its_slow_twin(seed, cells):
    random = np.random.default_rng(seed)
    scores = random.normal(size=(3, cells, 4)).astype(np.float32)
    scores[random.random(scores.shape) < 0.15] = 10 * NEVER
    free = random.random((3, cells)) < 0.8
    proposals = random.integers(0, 4, (3, cells))
    expected = [settle(*lane, *rule_arrays(RULES, NAMES)) for lane in zip(proposals, scores, free, strict=True)]
    given_ones = proposals.copy()
    broken = CountSettler(RULES, NAMES)(proposals, scores, free)
    assert proposals.tolist() == [list(map(int, level)) for level, _ in expected]
    assert broken.tolist() == [missed for _, missed in expected]
    assert (proposals == given_ones)[~free].all()


def test_settling_puts_what_is_missing_where_it_is_likeliest():
    scores = np.log(np.array([[[0.9, 0.04, 0.05, 0.01], [0.6, 0.05, 0.3, 0.05], [0.5, 0.3, 0.1, 0.1]]], np.float32))
    proposals = np.zeros((1, 3), np.int64)
    CountSettler([CountRule({"player": 1}, 1, 1)], NAMES)(proposals, scores, np.ones((1, 3), np.bool_))
    # log(0.6 / 0.3) is the least of log(0.9 / 0.05), log(0.6 / 0.3) and log(0.5 / 0.1).
    assert proposals.tolist() == [[0, 2, 0]]
    proposals = np.full((1, 3), 2)
    CountSettler([CountRule({"player": 1}, 1, 1)], NAMES)(proposals, scores, np.ones((1, 3), np.bool_))
    # The second is likeliest to stay one; the others become what is likeliest there.
    assert proposals.tolist() == [[0, 2, 0]]


def small(corpus, **config):
    return FAMILY(LevelSpec.of(corpus), Config(**{**FAMILY.small, **config}))


@pytest.fixture(scope="module")
def sokoban():
    levels = construct("sokoban", 80, seed=1, shape=(7, 7))
    return corpus_of_levels("sokoban", levels, repeats=True)


@pytest.fixture(scope="module")
def fitted(sokoban):
    generator = small(sokoban)
    generator.fit(sokoban, FitOptions(minutes=0, steps=40, batch=16, warm_up=1))
    return generator


def test_things_are_what_the_count_rules_name(sokoban):
    generator = small(sokoban)
    names = np.array(generator.spec.tiles)
    assert set(names[generator.things.numpy()]) == {"player", "crate", "target"}
    assert set(names[generator.group.numpy()]) == {"empty", "player", "crate", "target"}
    assert not small(sokoban, things=False).group.any()
    binary = corpus_of_levels("binary", construct("binary", 20, seed=1, shape=(6, 6)), repeats=True)
    assert not small(binary).group.any()


def test_hiding_shows_the_truth_or_less(sokoban):
    generator = small(sokoban)
    levels = torch.from_numpy(sokoban.train.levels.astype(np.int64)).flatten(1).repeat(20, 1)
    seen, ground, things = generator.hide(levels, torch.Generator().manual_seed(0))
    group = generator.group[levels]
    assert ((seen == levels) | (seen == generator.mask) | ((seen == generator.open) & group)).all()
    # Errors count where something is hidden, and in the first layer only where a mask is.
    assert not (ground[seen != generator.mask] > 0).any()
    assert not (things[seen < generator.open] > 0).any()
    # About half of the levels are at each layer, every one of the first with some cell masked.
    masked = (seen == generator.mask).any(dim=1)
    assert 0.45 < masked.float().mean() < 0.55
    assert (ground[masked].sum(dim=1) - 2).abs().max() < 1e-4
    # All shares of masked cells occur alike.
    shares = (seen[masked] == generator.mask).float().mean(dim=1)
    assert 0.45 < shares.mean() < 0.56
    assert shares.min() < 0.05
    assert shares.max() == 1


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 16])
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("remask", [0.0, 0.3])
def test_everything_is_revealed_in_as_many_passes_as_steps(fitted, monkeypatch, steps, schedule, remask):
    passes = []
    forward = fitted.network.forward

    def counted(cells, asked):
        passes.append((cells >= fitted.open).flatten(1).sum(dim=1))
        return forward(cells, asked)

    monkeypatch.setattr(fitted.network, "forward", counted)
    levels = fitted.sample(6, seed=1, steps=steps, schedule=schedule, remask=remask)
    assert len(passes) == steps
    assert levels.max() < len(fitted.spec.tiles)
    assert (passes[0] == fitted.spec.cells).all()


def test_the_ground_is_laid_out_first_and_stays(fitted, monkeypatch):
    states = []
    forward = fitted.network.forward

    def kept_states(cells, asked):
        states.append(cells.flatten(1).expand(8, -1).clone())  # the first pass does for all levels
        return forward(cells, asked)

    monkeypatch.setattr(fitted.network, "forward", kept_states)
    levels = torch.from_numpy(fitted.sample(8, seed=3, steps=12, thing_steps=0.5).astype(np.int64)).flatten(1)
    for earlier, later in itertools.pairwise([*states, levels]):
        known = earlier < fitted.open
        assert (later == earlier)[known].all()
        assert (later != fitted.mask)[earlier == fitted.open].all()
    assert [bool((state == fitted.mask).any()) for state in states] == [True] * 6 + [False] * 6
    # While the ground is laid out, nothing stands on it yet.
    assert not fitted.group[states[5].clamp(max=fitted.open - 1)][states[5] < fitted.open].any()


@pytest.mark.parametrize("order", ["confidence", "random"])
def test_count_rules_are_kept_by_construction(sokoban, order):
    generator = small(sokoban)  # not even trained
    rules, names = generator.spec.count_rules(), generator.spec.tiles
    for steps in (1, 2, 7):
        levels = generator.sample(40, seed=2, steps=steps, order=order, remask=0.2)
        assert kept(rules, levels, names).all()
    free = generator.sample(40, seed=2, steps=7, constrained=False)
    assert not kept(rules, free, names).all()


def test_fixed_things_count(fitted):
    fixed = np.full(fitted.spec.shape, -1)
    player, crate = fitted.spec.tiles.index("player"), fitted.spec.tiles.index("crate")
    fixed[2, 3], fixed[4, 4] = player, crate
    levels = fitted.sample(30, seed=4, steps=6, fixed_tiles=fixed)
    assert (levels[:, 2, 3] == player).all()
    assert (levels[:, 4, 4] == crate).all()
    assert kept(fitted.spec.count_rules(), levels, fitted.spec.tiles).all()


def test_temperature_zero_and_a_greedy_order_draw_nothing(fitted):
    greedy = {"temperature": 0.0, "choice_temperature": 0.0}
    first, second = (fitted.sample(2, seed=seed, **greedy) for seed in (1, 2))
    assert (first == second).all()
    assert (fitted.sample(4, seed=1) != fitted.sample(4, seed=2)).any()


@pytest.fixture(scope="module")
def tiny():
    """Levels of 2 x 4 whose halves are equal: 16 of 256, all alike."""
    halves = np.array(list(itertools.product((0, 1), repeat=4)), np.uint8).reshape(-1, 2, 2)
    levels = np.concatenate([halves, halves], axis=2)
    part = Part(levels, np.full(16, -1), 16)
    corpus = Corpus(get_problem("binary"), CorpusOptions(), part, part, part)
    generator = FAMILY(LevelSpec.of(corpus, metrics=()), Config(width=32, layers=2, heads=2, embedding=4))
    options = FitOptions(minutes=0, steps=400, learning_rate=5e-3, warm_up=10, ema=0.98, symmetries=False, patience=0)
    generator.fit(corpus, options)
    return generator, levels


def test_the_bound_is_near_the_entropy_and_not_below(tiny):
    generator, levels = tiny
    entropy = math.log(16) / 8
    scores = generator.score(np.tile(levels, (8, 1, 1)))
    assert scores.bound
    assert entropy * 0.97 < scores.nats.mean() < entropy * 1.12
    assert scores.predicted.shape == (128, 2, 4)
    # What is not in the corpus is unlikely.
    strange = levels.copy()
    strange[:, 0, 0] ^= 1
    assert generator.score(strange).nats.min() > 1.5 * entropy
    # One tile masked and seven known is certain; of random halves, fewer than all are.
    assert (scores.predicted == np.tile(levels, (8, 1, 1))).mean() > 0.75


def test_one_tile_at_a_time_it_samples_what_it_learned(tiny):
    generator, _ = tiny
    found = generator.sample(1000, seed=1, steps=8, order="random", temperature=1.0)
    legal = (found[:, :, :2] == found[:, :, 2:]).all(axis=(1, 2))
    assert legal.mean() > 0.93
    kinds, counts = np.unique(found[legal].reshape(legal.sum(), -1), axis=0, return_counts=True)
    assert len(kinds) == 16
    assert counts.max() < 3 * counts.mean()
    # All at once, what belongs together is drawn apart.
    at_once = generator.sample(300, seed=1, steps=1)
    assert (at_once[:, :, :2] == at_once[:, :, 2:]).all(axis=(1, 2)).mean() < 0.3


def test_half_a_level_tells_the_other(tiny):
    generator, levels = tiny
    fixed = np.full((16, 2, 4), -1)
    fixed[:, :, 2:] = levels[:, :, 2:]
    found = generator.sample(16, seed=3, steps=4, fixed_tiles=fixed)
    assert (found == levels).all(axis=(1, 2)).mean() > 0.9


def test_conditions_and_guidance_steer():
    random = np.random.default_rng(0)
    share = random.random((400, 1, 1)) * 0.55  # up to there, more walls make more regions
    corpus = corpus_of_levels("binary", (random.random((400, 6, 6)) < share).astype(np.uint8), seed=1, repeats=True)
    generator = small(corpus, width=32)
    generator.fit(corpus, FitOptions(minutes=0, steps=250, batch=32, warm_up=10, learning_rate=5e-3, ema=0.95))
    measured = get_problem("binary").index("regions")
    regions = corpus.metrics()[:, measured]
    asked = {"regions": np.repeat([np.quantile(regions, 0.05), np.quantile(regions, 0.95)], 40)}
    gaps, walls = [], []
    for guidance in (0.0, 1.0, 2.0):
        levels = generator.sample(80, seed=1, condition=asked, guidance=guidance, steps=8)
        found = get_problem("binary").measure(levels)[:, measured]
        gaps.append(found[40:].mean() - found[:40].mean())
        walls.append(levels[40:].mean() - levels[:40].mean())
    assert abs(gaps[0]) < 1.0
    assert gaps[1] > 2.0
    # More walls make more regions up to a point only; guidance goes on to more walls.
    assert walls[2] > walls[1] > 0.1 > abs(walls[0])


# Blocks.


@pytest.mark.parametrize("blocks", ["attention", "convolution", "cellular"])
def test_all_blocks_learn_keep_fixed_tiles_and_come_back(blocks, sokoban, tmp_path):
    generator = small(sokoban, blocks=blocks, layers=3, dropout=0.1)
    levels = torch.from_numpy(sokoban.held_out.levels.astype(np.int64))
    values, labels = generator.spec.values(None, len(levels))
    asked = Asked.of(generator.spec, values, labels, "cpu")

    def error():
        generator.network.eval()
        with torch.no_grad():
            return float(generator.loss(levels, asked, torch.Generator().manual_seed(0))[0])

    before = error()
    # The average of the weights moves slowly in a few updates.
    generator.fit(sokoban, FitOptions(minutes=0, steps=60, batch=16, warm_up=1, learning_rate=5e-3, ema=0.0))
    assert error() < 0.8 * before
    fixed = np.full(generator.spec.shape, -1)
    fixed[2, 1:4] = generator.spec.tiles.index("solid")
    found = generator.sample(12, seed=1, steps=5, fixed_tiles=fixed)
    assert (found[:, 2, 1:4] == generator.spec.tiles.index("solid")).all()
    assert kept(generator.spec.count_rules(), found, generator.spec.tiles).all()
    generator.save_pretrained(tmp_path)
    again = load_generator(tmp_path)
    assert again.config == generator.config
    assert (again.sample(12, seed=1, steps=5, fixed_tiles=fixed) == found).all()


def test_a_model_saved_before_there_were_other_blocks_is_read(fitted, tmp_path):
    fitted.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    content = json.loads(path.read_text())
    for name in ("blocks", "kernel", "dropout"):
        del content["config"][name]
    path.write_text(json.dumps(content))
    assert (load_generator(tmp_path).sample(4, seed=1) == fitted.sample(4, seed=1)).all()


def test_cellular_blocks_are_one_block(sokoban):
    sizes = [small(sokoban, blocks="cellular", layers=layers).parameters() for layers in (1, 6)]
    assert sizes[0] == sizes[1]
    assert small(sokoban, blocks="convolution", layers=1).parameters() == sizes[0]
    assert small(sokoban, blocks="convolution", layers=6).parameters() > sizes[0]


@pytest.mark.parametrize(("blocks", "layers"), [("convolution", 1), ("convolution", 2), ("cellular", 2)])
@pytest.mark.parametrize("kernel", [3, 5])
def test_a_convolution_carries_as_far_as_its_kernel(sokoban, blocks, layers, kernel):
    """Each block carries what a token knows by half a kernel of patches; counts, which all see, are left out."""
    generator = small(sokoban, blocks=blocks, layers=layers, kernel=kernel, patch=1, reach=0)
    network = generator.network.eval()
    with torch.no_grad():
        for weights in network.parameters():
            weights.normal_(std=0.5)
        network.counts.weight.zero_()
        cells = torch.full((2, 7, 7), generator.mask)
        cells[1, 0, 0] = 0
        asked = torch.zeros(2, generator.spec.condition_size)
        moved = (network(cells, asked).diff(dim=0) != 0)[0].any(dim=-1)
    reach = layers * (kernel // 2)
    expected = torch.zeros(7, 7, dtype=torch.bool)
    expected[: reach + 1, : reach + 1] = True
    assert torch.equal(moved, expected)


def test_wrong_options_are_named(sokoban, fitted):
    with pytest.raises(UserError, match="odd"):
        small(sokoban, kernel=4)
    with pytest.raises(UserError, match="dropout"):
        small(sokoban, dropout=1.0)
    with pytest.raises(UserError, match="multiple of heads"):
        small(sokoban, width=10, heads=4)
    with pytest.raises(UserError, match="reach"):
        small(sokoban, reach=-1)
    for wrong in ({"steps": 0}, {"remask": 1.0}, {"temperature": -1.0}, {"order": "none"}, {"thing_steps": 1.0}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            fitted.sample(1, **wrong)


def test_steps_are_shared_between_the_layers(fitted):
    ground_steps, options = fitted.sampler().ground_steps, fitted.Sampling
    assert [ground_steps(options(steps=steps)) for steps in (1, 2, 5, 16)] == [0, 1, 3, 10]
    assert ground_steps(options(steps=2, thing_steps=0.9)) == 1
