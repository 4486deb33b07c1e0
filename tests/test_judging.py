"""The measures that levels are judged by, against hand-worked values and slow twins."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import envs
from envs import UserError
from envs.symmetries import images
from generators.judging import (
    Yardstick,
    asked_values,
    close_pairs,
    copied_patches,
    farthest_apart,
    first_occurrences,
    independent_set,
    judge,
    measure_control,
    measure_likelihood,
    nearest,
    novelty_threshold,
    pattern_divergence,
    pattern_divergences,
    play_levels,
    reweigh,
    shift_metric,
    shift_tiles,
)
from generators.judging.control import correlations
from generators.judging.fairness import (
    REGIONS,
    Buckets,
    bucket_findings,
    cell_frequencies,
    region_counts,
    region_findings,
    tile_findings,
)
from generators.judging.likelihood import ratio
from tests.oracles import judging as oracle

ALL = ("mirror", "flip", "transpose")


def random_levels(random, number, shape, tiles=4):
    return random.integers(0, tiles, (number, *shape), dtype=np.uint8)


# Edit distance.


@pytest.mark.parametrize(("shape", "threshold"), [((5, 5), 5), ((10, 10), 5), ((1, 101), 6), ((14, 28), 20)])
def test_the_threshold_is_five_tiles_or_five_percent_rounded_up(shape, threshold):
    assert novelty_threshold(shape) == threshold


def test_a_shifted_row_is_two_edits_away():
    level = np.arange(8, dtype=np.uint8).reshape(1, 2, 4)
    shifted = np.array([[[1, 2, 3, 4], [5, 6, 7, 0]]], np.uint8)
    found = nearest(level, shifted)
    assert found.distances.tolist() == [2]
    assert (level != shifted).sum() == 8


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(2, 2), (3, 7), (8, 8), (7, 11), (10, 13), (2, 3, 4)]),
    st.sampled_from([(), ("mirror",), ALL]),
    st.integers(1, 6),
)
def test_nearest_is_the_least_edit_distance(seed, shape, symmetries, tiles):
    random = np.random.default_rng(seed)
    levels, corpus = random_levels(random, 3, shape, tiles), random_levels(random, 4, shape, tiles)
    # One that is near, by a shift and a few changes.
    corpus[0] = np.roll(levels[0].ravel(), 3).reshape(shape)
    corpus[0].ravel()[random.integers(0, corpus[0].size, 3)] = 0
    found = nearest(levels, corpus, symmetries, workers=2)
    turned = images(symmetries, levels)
    for i in range(len(levels)):
        distances = [[oracle.edit_distance(image[i].ravel(), other.ravel()) for other in corpus] for image in turned]
        assert found.distances[i] == np.min(distances)
        assert distances[found.images[i]][found.indices[i]] == found.distances[i]
    limited = nearest(levels, corpus, symmetries, limit=4)
    assert limited.distances.tolist() == np.minimum(found.distances, 4).tolist()
    assert ((limited.indices == -1) == (found.distances >= 4)).all()


def test_wide_bands_are_exact_too():
    """Strings far apart, whose best alignment strays by more than one word from the diagonal."""
    random = np.random.default_rng(5)
    for moved in (20, 40, 70, 100):
        level = random_levels(random, 1, (12, 25), 6)
        other = np.concatenate([level.ravel()[moved:], random_levels(random, 1, (moved,), 6)[0]]).reshape(1, 12, 25)
        assert nearest(level, other).distances[0] == oracle.edit_distance(level.ravel(), other.ravel())


@given(st.integers(0, 2**32 - 1), st.integers(1, 14), st.sampled_from([(), ("mirror",), ALL]))
def test_close_pairs_are_those_below_the_distance(seed, distance, symmetries):
    random = np.random.default_rng(seed)
    levels = random_levels(random, 5, (3, 3), 3)
    levels[1] = levels[0, :, ::-1]
    close = close_pairs(levels, distance, symmetries)
    turned = images(symmetries, levels)
    for i in range(5):
        assert not close[i, i]
        for j in range(5):
            least = min(
                oracle.edit_distance(image[a].ravel(), levels[b].ravel())
                for image in turned
                for a, b in ((i, j), (j, i))
            )
            assert close[i, j] == (i != j and least < distance)


def test_an_empty_corpus_and_another_shape_are_refused():
    levels = np.zeros((1, 3, 3), np.uint8)
    with pytest.raises(UserError, match="no levels to compare"):
        nearest(levels, levels[:0])
    with pytest.raises(UserError, match=r"\(3, 3\).*\(3, 4\)"):
        copied_patches(levels, np.zeros((1, 3, 4), np.uint8))


def test_first_occurrences():
    levels = np.array([[[0, 1]], [[0, 1]], [[1, 0]], [[1, 1]]], np.uint8)
    assert first_occurrences(levels).tolist() == [True, False, True, True]
    assert first_occurrences(levels, ("mirror",)).tolist() == [True, False, False, True]


# Copied patches.


def test_a_patch_is_found_wherever_it_stands():
    level = np.array([[1, 2, 0], [3, 4, 0], [0, 0, 0]], np.uint8)
    other = np.array([[5, 5, 5], [5, 1, 2], [5, 3, 4]], np.uint8)
    found = copied_patches(level[None], other[None])
    assert found.tiles.tolist() == [4]
    assert found.places.tolist() == [[0, 0, 0]]
    assert found.source_places.tolist() == [[0, 1, 1]]
    assert found.sizes.tolist() == [[1, 2, 2]]


def test_a_patch_must_stand_in_one_level():
    level = np.array([[[1, 2, 3, 4]]], np.uint8)
    halves = np.array([[[1, 2, 0, 0]], [[0, 0, 3, 4]]], np.uint8)
    assert copied_patches(level, halves).tiles.tolist() == [2]


def test_nothing_is_copied_where_no_tile_is_shared():
    found = copied_patches(np.ones((1, 2, 2), np.uint8), np.zeros((3, 2, 2), np.uint8))
    assert found.tiles.tolist() == [0]
    assert found.sources.tolist() == [-1]


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(3, 3), (2, 5), (4, 4), (2, 3, 2)]),
    st.sampled_from([(), ("mirror",), ALL]),
    st.integers(2, 4),
)
def test_copied_patches_are_the_largest(seed, shape, symmetries, tiles):
    random = np.random.default_rng(seed)
    levels, corpus = random_levels(random, 4, shape, tiles), random_levels(random, 5, shape, tiles)
    corpus[2] = images(symmetries, levels)[-1, 1]
    found = copied_patches(levels, corpus, symmetries)
    turned = images(symmetries, levels)
    for i in range(len(levels)):
        assert found.tiles[i] == max(oracle.largest_patch(image[i], corpus) for image in turned)
        own = turned[found.images[i], i].reshape((1, *shape)[-3:])
        source = corpus[found.sources[i]].reshape((1, *shape)[-3:])

        def part(cells, place):
            return cells[tuple(slice(a, a + b) for a, b in zip(place, found.sizes[i], strict=False))]  # noqa: B023

        assert (part(own, found.places[i]) == part(source, found.source_places[i])).all()
    assert found.tiles[1] == np.prod(shape)


# Restricted diversity.


@given(st.integers(0, 2**32 - 1), st.integers(1, 11), st.sampled_from([0.15, 0.4, 0.8]))
def test_the_independent_set_is_the_largest(seed, nodes, share):
    upper = np.triu(np.random.default_rng(seed).random((nodes, nodes)) < share, 1)
    edges = upper | upper.T
    found = independent_set(edges)
    assert not edges[np.ix_(found.members, found.members)].any()
    assert found.exact
    assert found.size == oracle.largest_independent_set(edges)


def test_an_odd_ring_needs_the_integer_program():
    """Of seven nodes in a ring three fit, and the cover by edges allows four."""
    ring = np.zeros((7, 7), np.bool_)
    for i in range(7):
        ring[i, (i + 1) % 7] = ring[(i + 1) % 7, i] = True
    found = independent_set(ring)
    assert (found.size, found.at_most) == (3, 3)


def test_without_time_the_bounds_still_hold():
    random = np.random.default_rng(0)
    upper = np.triu(random.random((40, 40)) < 0.2, 1)
    edges = upper | upper.T
    hasty, exact = independent_set(edges, seconds=0), independent_set(edges)
    assert exact.exact
    assert hasty.size <= exact.size <= hasty.at_most
    assert not edges[np.ix_(hasty.members, hasty.members)].any()


def test_a_collapsed_batch_has_no_diversity():
    levels = np.zeros((20, 5, 5), np.uint8)
    levels[:, 0, 0] = np.arange(20) % 4
    assert farthest_apart(levels, 5).size == 1
    levels[10:] = 1
    assert farthest_apart(levels, 5).size == 2
    allowed = np.arange(20) < 10
    found = farthest_apart(levels, 5, allowed)
    assert found.size == 1
    assert not found.members[10:].any()
    assert farthest_apart(levels, 5, np.zeros(20, np.bool_)).size == 0


# Tile patterns.


def test_the_divergence_of_a_batch_from_itself_is_zero():
    levels = random_levels(np.random.default_rng(0), 5, (6, 6))
    for found in pattern_divergences(levels, levels):
        assert found.forward == pytest.approx(0, abs=1e-12)
        assert found.backward == pytest.approx(0, abs=1e-12)
        assert found.unseen == 0


def test_the_divergence_by_hand():
    """Tiles alone: 3/4 against 1/4 of tile 0."""
    levels = np.array([[[0, 0], [0, 1]]], np.uint8)
    corpus = np.array([[[0, 1], [1, 1]]], np.uint8)
    found = pattern_divergence(levels, corpus, 1)
    expected = 0.75 * math.log(3) + 0.25 * math.log(1 / 3)
    assert found.backward == pytest.approx(expected, rel=1e-5)
    assert found.forward == pytest.approx(expected, rel=1e-5)
    assert found.weighted(0.25) == pytest.approx(expected, rel=1e-5)


@given(st.integers(0, 2**32 - 1), st.integers(2, 3), st.sampled_from([3, 40]))
def test_divergences_equal_the_slow_twin(seed, size, tiles):
    """Also with more tiles than a word has room for, whose windows are told apart by their bytes."""
    random = np.random.default_rng(seed)
    levels, corpus = random_levels(random, 3, (4, 5), tiles), random_levels(random, 4, (5, 4), tiles)
    if tiles == 40:
        size, levels, corpus = 4, levels.repeat(2, axis=1), corpus.repeat(2, axis=2)
    found = pattern_divergence(levels, corpus, size)
    own, other = oracle.pattern_shares(levels, size), oracle.pattern_shares(corpus, size)
    patterns = sorted({*own, *other})
    epsilon = 1e-6
    p = [(other.get(x, 0) + epsilon) / (sum(other.values()) + epsilon * len(patterns)) for x in patterns]
    q = [(own.get(x, 0) + epsilon) / (sum(own.values()) + epsilon * len(patterns)) for x in patterns]
    assert sum(p) == pytest.approx(1)
    assert found.forward == pytest.approx(sum(a * math.log(a / b) for a, b in zip(p, q, strict=False)))
    assert found.backward == pytest.approx(sum(b * math.log(b / a) for a, b in zip(p, q, strict=False)))
    assert found.unseen == pytest.approx(sum(n for x, n in own.items() if x not in other) / sum(own.values()))


def test_windows_that_do_not_fit_are_refused_or_left_out():
    levels = np.zeros((1, 3, 3), np.uint8)
    with pytest.raises(UserError, match="4 tiles do not fit"):
        pattern_divergence(levels, levels, 4)
    assert [found.size for found in pattern_divergences(levels, levels)] == [2, 3]
    with pytest.raises(UserError, match="at least 1 level"):
        pattern_divergence(levels[:0], levels, 2)
    blocks = random_levels(np.random.default_rng(0), 2, (4, 4, 4), 2)
    assert [found.unseen for found in pattern_divergences(blocks, blocks)] == [0, 0, 0]


# Play.


def test_the_solver_has_the_last_word():
    """A level whose shortest solution is beyond the measure's budget is playable all the same."""
    sokoban = envs.get_problem("sokoban")
    rows = ["##########", "#@       #", "#  $  $  #", "#        #", "#  $  $  #", "#        #", "# ..     #"]
    rows += ["# ..     #", "#        #", "##########"]
    level = sokoban.parse([row.replace(" ", "-") for row in rows])
    stuck = level.copy()
    stuck[2, 3], stuck[1, 8] = 0, 3
    found = play_levels(sokoban, np.stack([level, stuck]), workers=1)
    assert found.metrics[0, sokoban.index("sol-length")] == 0
    assert found.playable.tolist() == [True, False]
    assert found.lengths[0] > 0
    assert np.isnan(found.lengths[1])
    assert not found.unknown.any()


def test_where_nothing_is_found_by_playing_the_metrics_must_agree():
    """Binary's player can walk in one of two regions, but not everywhere."""
    binary = envs.get_problem("binary")
    whole = binary.parse(["...", "##.", "..."])
    split = binary.parse(["...", "###", "..."])
    found = play_levels(binary, np.stack([whole, split]))
    assert found.playable.tolist() == [True, False]
    assert found.on_target.tolist() == [True, False]


# Control.


def test_asked_values_occur_in_the_corpus():
    assert asked_values([1, 2, 2, 2, 9]).tolist() == [1, 2, 9]


def test_control_of_a_generator_that_listens_and_of_one_that_does_not():
    binary = envs.get_problem("binary")

    def obedient(values):
        levels = np.ones((len(values), 1, 10), np.uint8)
        for level, value in zip(levels, values, strict=False):
            level[0, : int(value) + 1] = 0
        return levels

    known = np.arange(1, 9)
    listening = measure_control(binary, "path-length", known, np.full(20, 3), obedient, each=4)
    assert listening.error.mean == 0
    assert listening.spearman == pytest.approx(1)
    assert listening.pearson == pytest.approx(1)
    values = asked_values(known)
    assert listening.uncontrolled.mean == pytest.approx(np.abs(3 - values).mean())
    assert len(listening.asked) == 4 * len(values)
    deaf = measure_control(binary, "path-length", known, np.full(20, 3), lambda v: obedient(np.full(len(v), 3)), each=4)
    assert deaf.error.mean == pytest.approx(deaf.uncontrolled.mean)
    assert math.isnan(deaf.spearman)


def test_correlations_by_hand():
    pearson, spearman = correlations(np.array([1.0, 2, 3]), np.array([1.0, 4, 9]))
    assert spearman == pytest.approx(1)
    assert pearson == pytest.approx(np.corrcoef([1, 2, 3], [1, 4, 9])[0, 1])


# Likelihood.


def test_accuracy_counts_the_tiles_that_are_not_the_commonest_by_themselves():
    levels = np.array([[[0, 0, 0, 1]], [[0, 2, 2, 0]]], np.uint8)
    always = np.zeros_like(levels)
    found = measure_likelihood(levels, np.array([0.5, 1.5]), always, commonest=0)
    assert found.nats.mean == 1
    assert found.accuracy.mean == pytest.approx(5 / 8)
    assert found.rare_accuracy.mean == 0
    half = always.copy()
    half[1, 0, 1] = 2
    assert measure_likelihood(levels, np.zeros(2), half, 0).rare_accuracy.mean == pytest.approx(1 / 3)
    unknown = measure_likelihood(levels, np.zeros(2), None, 0, bound=True, note="x")
    assert unknown.accuracy is None
    assert unknown.bound
    assert unknown.note == "x"


def test_a_ratio_lies_in_its_interval():
    random = np.random.default_rng(0)
    below = random.integers(1, 9, 200)
    above = random.binomial(below, 0.3)
    found = ratio(above, below)
    assert found.low < found.mean < found.high
    assert found.mean == pytest.approx(above.sum() / below.sum())
    assert found.high - found.low == pytest.approx(2 * 1.96 * math.sqrt(0.21 / below.sum()), rel=0.25)


# Fairness.


def test_buckets_part_the_corpus_evenly_and_have_room_outside_it():
    buckets = Buckets.of(np.arange(10))
    assert buckets.names() == ["below 0", "0 to 1", "2 to 3", "4 to 5", "6 to 7", "8 to 9", "above 9"]
    assert np.bincount(buckets.numbers(np.arange(10)), minlength=len(buckets)).tolist() == [0, 2, 2, 2, 2, 2, 0]
    assert buckets.numbers([-1, 9, 9.5, 10]).tolist() == [0, 5, 6, 6]
    constant = Buckets.of(np.full(5, 3.0))
    assert constant.names() == ["below 3", "3", "above 3"]
    assert constant.numbers([2, 3, 4]).tolist() == [0, 1, 2]


def test_a_shift_by_hand():
    corpus = np.repeat([0, 1, 2, 3, 4], 20)
    samples = np.repeat([0, 1, 2, 3, 4], [60, 20, 20, 0, 0])
    found = shift_metric("length", samples, corpus)
    assert found.variation == pytest.approx(0.4)
    assert found.kolmogorov == pytest.approx(0.4)
    assert found.wasserstein == pytest.approx(2 - 0.6)
    assert 0 < found.floor < 0.15
    over, under = bucket_findings([found])
    assert [finding.what for finding in over] == ["length 0"]
    assert over[0].clear
    assert {finding.what for finding in under} == {"length 3", "length 4"}
    same = shift_metric("length", corpus, corpus)
    assert same.variation == 0
    assert bucket_findings([same]) == ([], [])


def test_chance_alone_is_marked():
    random = np.random.default_rng(0)
    corpus = random.integers(0, 5, 5000)
    found = shift_metric("length", random.integers(0, 5, 100), corpus)
    over, under = bucket_findings([found])
    assert not all(finding.clear for finding in [*over, *under])
    assert found.variation < 3 * found.floor


def test_regions_are_thirds():
    level = np.zeros((1, 7, 11), np.uint8)
    level[0, 0, 0] = level[0, 3, 5] = level[0, 6, 10] = 1
    counts = region_counts(level, 1)
    assert {name: int(number) for name, number in zip(REGIONS, counts[0], strict=False) if number} == {
        "top left": 1,
        "middle": 1,
        "bottom right": 1,
    }
    assert cell_frequencies(level, 1)[3, 5] == 1
    blocks = np.zeros((2, 2, 3, 3), np.uint8)
    blocks[:, :, 0, 2] = 1
    assert region_counts(blocks, 1)[:, REGIONS.index("top right")].tolist() == [2, 2]


def test_a_corner_that_is_left_out_is_found():
    random = np.random.default_rng(0)
    corpus, samples = np.zeros((2, 400, 6, 6), np.uint8)
    for i in range(400):
        corpus[i, random.integers(6), random.integers(6)] = 1
        samples[i, random.integers(6), random.integers(4)] = 1
    samples[:100, 0, 0] = 2
    tiles = shift_tiles(samples, corpus, ("floor", "gem", "trap"))
    over, under = region_findings(tiles)
    assert all(finding.what.startswith("gem at the") for finding in over)
    assert {finding.what.rpartition(" ")[2] for finding in under} == {"right"}
    assert all(finding.clear and finding.sampled == 0 for finding in under)
    more, fewer = tile_findings(tiles)
    assert more[0].what == "trap"
    assert more[0].times == math.inf
    assert fewer[0].what == "gem"
    assert fewer[0].times < 1


# Reweighted sampling.


def test_reweighting_by_hand():
    buckets = np.array([0] * 80 + [1] * 20)
    found = reweigh(buckets, np.array([0.5, 0.5]), 20)
    assert np.bincount(buckets[found.chosen]).tolist() == [10, 10]
    assert found.before == pytest.approx(0.3)
    assert found.after == 0
    assert found.missing == 0
    assert found.weights[0] == pytest.approx(0.625)
    assert found.weights[-1] == pytest.approx(2.5)
    assert found.effective == pytest.approx(100**2 / (80 * 0.625**2 + 20 * 2.5**2))


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 60))
def test_reweighting_chooses_no_sample_twice_and_as_many_as_asked(seed, kinds, count):
    random = np.random.default_rng(seed)
    buckets = random.integers(0, kinds, 60)
    target = random.dirichlet(np.ones(kinds)) if kinds > 1 else np.ones(1)
    usable = int((target[buckets] > 0).sum())
    found = reweigh(buckets, target, min(count, usable), seed)
    assert len(np.unique(found.chosen)) == min(count, usable)
    assert found.weights.mean() == pytest.approx(1)
    assert 1 <= found.effective <= 60 + 1e-9
    whole = reweigh(buckets, np.bincount(buckets, minlength=kinds) / 60, min(count, 60), seed)
    assert whole.effective == pytest.approx(60)


def test_reweighting_says_what_is_missing():
    found = reweigh(np.zeros(10, np.int64), np.array([0.25, 0.75]), 4)
    assert found.missing == 0.75
    assert found.after == pytest.approx(0.75)
    with pytest.raises(UserError, match="draw more samples"):
        reweigh(np.zeros(10, np.int64), np.array([0.0, 1.0]), 1)
    with pytest.raises(UserError, match="sum to 1"):
        reweigh(np.zeros(10, np.int64), np.array([0.5, 0.4]), 1)


# All at once.


def test_a_judgement_of_copies_and_of_new_levels():
    sokoban = envs.get_problem("sokoban")
    levels = envs.construct("sokoban", 60, seed=3)
    train = levels[:40]
    yardstick = Yardstick(sokoban, train, workers=1)
    copies = np.concatenate([train[:5], train[:5], train[5:10, :, ::-1]])
    found = judge(yardstick, "copies", copies)
    assert found.play.playable.all()
    assert not found.novel[:10].any()
    assert not found.novel_turned.any()
    assert found.unique.tolist() == [True] * 5 + [False] * 5 + [True] * 5
    assert not found.all_three_turned.any()
    assert found.neighbours.distances.tolist() == [0] * 15
    assert (found.patches.tiles == 25).all()
    figures = found.figures()
    assert figures["all three, turned"].mean == 0
    assert figures["restricted diversity"].mean <= found.novel.mean()
    assert figures["copied"].mean == 1
    new = judge(yardstick, "new", levels[40:], examined=7, milliseconds=2.0)
    assert len(new.neighbours.distances) == len(new.patches.tiles) == 7
    assert new.figures()["playable"].mean == 1
    # Close pairs leave at most as many levels as are playable and novel.
    assert new.restricted[0].size <= (new.play.playable & new.novel).sum()
    assert new.milliseconds == 2.0


def test_a_judgement_of_blocks():
    voxel = envs.get_problem("voxel")
    levels = envs.construct("voxel", 8, seed=1)
    found = judge(Yardstick(voxel, levels[:4], workers=1), "blocks", levels[2:])
    assert found.play.playable.all()
    assert found.novel.tolist() == [False, False, True, True, True, True]
    assert found.patches.sizes[0].tolist() == [7, 7, 7]


def test_nothing_to_judge_is_refused():
    sokoban = envs.get_problem("sokoban")
    levels = np.zeros((1, 5, 5), np.uint8)
    with pytest.raises(UserError, match="no levels of me"):
        judge(Yardstick(sokoban, levels), "me", levels[:0])


def test_none_seen_is_not_none_made():
    corpus_values = np.array([0] * 95 + [1] * 5)
    few = shift_metric("x", np.zeros(20), corpus_values)
    many = shift_metric("x", np.zeros(400), corpus_values)
    rare = few.buckets.index("1")
    # 1 - 0.025^(1/20), the exact binomial interval of 0 in 20 (Clopper 1934).
    assert few.high[rare] == pytest.approx(0.16843, abs=1e-5)
    assert few.low[rare] == 0
    over, under = bucket_findings([few])
    assert not any(finding.clear for finding in over + under)
    assert all(finding.clear for finding in bucket_findings([many])[1])


def test_a_tile_that_is_never_made_may_be_chance():
    levels, corpus = np.zeros((10, 3, 3), np.uint8), np.zeros((100, 3, 3), np.uint8)
    corpus[:10, 0, 0] = 1
    tile = shift_tiles(levels, corpus, ["a", "b"])[1]
    assert tile.sampled.high == pytest.approx(0.36889, abs=1e-5)
    levels[:2, 0, 0] = 1
    tile = shift_tiles(levels, corpus, ["a", "b"])[1]
    assert tile.regions[0] == 1
    assert tile.region_low[0] == pytest.approx(0.025**0.5)
    assert tile.region_high[1] == pytest.approx(1 - 0.025**0.5)


def test_levels_beyond_those_examined_are_novel_or_not_alike():
    corpus = envs.construct("zelda", 30, seed=0)
    levels = np.concatenate([corpus[:3], envs.construct("zelda", 5, seed=9), corpus[3:6]])
    yardstick = Yardstick(envs.get_problem("zelda"), corpus)
    whole, part, all_but_none = (judge(yardstick, "x", levels, number) for number in (None, 4, len(levels)))
    assert whole.novel_turned.tolist() == part.novel_turned.tolist() == all_but_none.novel_turned.tolist()
    assert whole.novel_turned.tolist() == [False] * 3 + [True] * 5 + [False] * 3
    assert len(part.neighbours.distances) == 4
