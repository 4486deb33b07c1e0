"""The transformer tile LM: a proper distribution over levels, decoded as it is scored."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import envs
from envs import UserError
from envs.counts import CountRule, kept
from generators.constraints import CountTable
from generators.corpus import Corpus, CorpusOptions, Part, corpus_of_levels
from generators.deciding import Beams, Counting
from generators.decisions import TileSequence
from generators.draws import Draws, level_seeds
from generators.families.tile_lm import TileLM, TileLMConfig, constant_tiles
from generators.generator import FitOptions
from generators.graphs import Graph, TorchNetworks
from generators.memory import Memory, memory_names
from generators.muon import Muon, orthogonal
from generators.passes import Passes, paths_of
from generators.samplers import tile_lm as sampling
from generators.spec import LevelSpec
from generators.training import Asked
from generators.transformer import Transformer

torch.set_num_threads(1)

ORDERS = ("layers", "row", "column", "snake")
SMALL = {"width": 16, "depth": 2, "heads": 2, "radius": 1}
SHORT = FitOptions(minutes=0, steps=30, batch=16, warm_up=5, patience=0, seed=1)


@pytest.fixture(scope="module")
def corpus():
    return corpus_of_levels("sokoban", envs.construct("sokoban", 150, seed=3), repeats=True)


def corpus_of(problem, levels):
    """Learns from, stops by and is judged on the same levels, so that few different ones will do."""
    part = Part(levels, np.full(len(levels), -1, np.int64), len(levels))
    return Corpus(envs.get_problem(problem), CorpusOptions(), part, part, part)


def made(corpus, metrics=(), **config):
    return TileLM(LevelSpec.of(corpus, metrics), TileLMConfig(**{**SMALL, **config}))


@pytest.fixture(scope="module", params=ORDERS)
def fitted(request, corpus):
    generator = made(corpus, metrics=("sol-length",), order=request.param)
    generator.fit(corpus, SHORT)
    return generator


# Sequences.


def test_things_are_what_rules_count_and_what_is_rare(corpus):
    spec = LevelSpec.of(corpus, ())
    assert spec.tiles == ("empty", "solid", "player", "crate", "target")
    # Open is 0, solid 1, and what is not placed before the crates is 2.
    assert paths_of(spec, "layers") == ((0, 2, 3), (1,), (0, 4), (0, 2, 5), (0, 6))
    assert paths_of(spec, "row") == ((0,), (1,), (2,), (3,), (4,))
    binary = LevelSpec.of(corpus_of_levels("binary", envs.construct("binary", 20, seed=1), repeats=True), ())
    assert paths_of(binary, "layers") == ((0,), (1,))
    zelda = LevelSpec.of(corpus_of_levels("zelda", envs.construct("zelda", 20, seed=1), repeats=True), ())
    assert paths_of(zelda, "layers") == ((0, 2), (1,), (0, 3), (0, 4), (0, 5), (0, 6), (0, 7), (0, 8))


@pytest.mark.parametrize(
    ("problem", "shape", "tile", "number"), [("zelda", (7, 7), "solid", 9), ("loderunner", (8, 10), "ladder", 6)]
)
def test_numbers_of_tiles_of_the_layout_are_held_in_samples(problem, shape, tile, number):
    generator = made(corpus_of(problem, envs.construct(problem, 20, seed=1, shape=shape)), order="layers")
    spec = generator.spec
    paths = paths_of(spec, "layers")
    # It is decided in the first pass, and stays there.
    assert len(paths[spec.tiles.index(tile)]) == 1 < max(map(len, paths))
    held = generator.keeping([CountRule({tile: 1}, number, number)])
    assert paths_of(held.spec, "layers") == paths
    levels = held.sample(8, seed=2)
    assert kept(held.spec.count_rules(), levels, spec.tiles).all()
    assert (levels == spec.tiles.index(tile)).sum(axis=(1, 2)).tolist() == [number] * 8


#: Empty, solid, and two things, of which the latter has a pass to itself.
LAYERS = ((0, 2, 3), (1,), (0, 4), (0, 2, 5))


def sequence(order="layers", shape=(3, 4), constant=None, radius=1):
    known = np.full(shape[0] * shape[1], -1, np.int64) if constant is None else constant
    paths = LAYERS if order == "layers" else ((0,), (1,), (2,), (3,))
    return TileSequence(Passes(shape, paths, order, known, radius))


@pytest.mark.parametrize("order", ORDERS)
def test_decisions_say_all_of_a_level(order):
    constant = np.full(12, -1, np.int64)
    constant[[0, 7]] = [1, 2]
    tables = sequence(order, constant=constant)
    levels = torch.from_numpy(np.random.default_rng(0).integers(0, 4, (20, 3, 4)))
    levels[:, 0, 0], levels[:, 1, 3] = 1, 2
    decisions = tables.decisions(levels)
    assert tables.choices[decisions.stage].gather(2, decisions.symbol[..., None])[decisions.real].all()
    for i, level in enumerate(levels):
        again = tables.constant.clone()
        for j in torch.nonzero(decisions.real[i])[:, 0]:
            tile = int(tables.symbol_tile[decisions.symbol[i, j]])
            cell = tables.cells[decisions.step[i, j]]
            assert (tile < 0) == bool(tables.goes_on[decisions.symbol[i, j]])
            again[cell] = tile
        assert torch.equal(again.view(3, 4), level)


@pytest.mark.parametrize("order", ORDERS)
def test_windows_show_what_is_known_and_no_more(order):
    # Slowly: the symbols of the cells that a plain loop has decided by then.
    tables = sequence(order, shape=(3, 3), radius=2)
    level = torch.tensor([[[0, 1, 2], [3, 0, 1], [1, 3, 0]]])
    decisions = tables.decisions(level)
    flat = level.flatten()
    board = [tables.unknown] * 9
    steps = torch.nonzero(decisions.real[0])[:, 0].tolist()
    for j in steps:
        cell = int(tables.cells[decisions.step[0, j]])
        around = []
        for down, right in product(range(-2, 3), repeat=2):
            row, column = cell // 3 + down, cell % 3 + right
            inside = 0 <= row < 3 and 0 <= column < 3
            around.append(board[row * 3 + column] if inside else tables.outside)
        seen = [symbol for symbol in around if symbol not in (tables.unknown, tables.outside)]
        shown = decisions.window[0, j].tolist()
        assert [symbol for symbol in shown if symbol not in (tables.unknown, tables.outside)] == seen
        board[cell] = int(decisions.symbol[0, j])
    assert board == tables.path[flat, -1].tolist()


def test_counts_by_hand():
    tables = sequence(shape=(1, 4))
    decisions = tables.decisions(torch.tensor([[[0, 1, 2, 3]]]))
    # Which of the four is open; what is in the open ones or comes later; and what comes later.
    assert decisions.symbol.tolist() == [[0, 1, 0, 0, 2, 4, 2, 3, 5]]
    assert decisions.turn.tolist() == [[0, 0, 0, 0, 1, 1, 1, 2, 2]]
    assert decisions.stage.tolist() == [[0, 0, 0, 0, 1, 1, 1, 3, 3]]
    assert decisions.step.tolist() == [[0, 1, 2, 3, 0, 2, 3, 0, 3]]
    # Symbols 0 to 5, then how many decisions are left in the pass.
    assert decisions.counts[0].tolist() == [
        [0, 0, 0, 0, 0, 0, 4],
        [1, 0, 0, 0, 0, 0, 3],
        [1, 1, 0, 0, 0, 0, 2],
        [2, 1, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 3],
        [0, 0, 1, 0, 0, 0, 2],
        [0, 0, 1, 0, 1, 0, 1],
        [0, 0, 0, 0, 0, 0, 2],
        [0, 0, 0, 1, 0, 0, 1],
    ]


# The distribution.


@pytest.mark.parametrize("order", ORDERS)
def test_the_probabilities_of_all_levels_sum_to_one(order):
    random = np.random.default_rng(2)
    # Two by two cells of maze, of which one never varies; some levels have no open cell at all.
    levels = random.choice(4, size=(60, 2, 2), p=[0.3, 0.5, 0.1, 0.1]).astype(np.uint8)
    levels[0], levels[1, 0] = 1, 0
    levels[:, 1, 0] = 1
    corpus = corpus_of("maze", levels)
    generator = made(corpus, order=order)
    generator.fit(corpus, FitOptions(minutes=0, steps=25, batch=16, warm_up=5, patience=0, symmetries=False))
    assert (generator.network.sequence.constant >= 0).tolist() == [False, False, True, False]
    everything = np.array(list(product(range(4), repeat=4)), np.uint8).reshape(-1, 2, 2)
    chances = np.exp(-generator.score(everything).nats * 4)
    assert chances.sum() == pytest.approx(1, abs=1e-4)
    # Samples come as often as they are likely, among those with the constant cell's usual tile.
    usual = everything[:, 1, 0] == 1
    expected = np.where(usual, chances, 0) / chances[usual].sum()
    drawn = generator.sample(2000, seed=1, constrained=False)
    found = np.bincount((drawn.reshape(-1, 4) * 4 ** np.arange(3, -1, -1)).sum(axis=1), minlength=256) / 2000
    assert found[~usual].sum() == 0
    assert np.abs(found - expected)[expected.argsort()[-10:]].max() < 0.025
    for remainder in range(7):
        assert np.abs(found - expected)[remainder::7].sum() < 0.1
        assert abs((found - expected)[remainder::7].sum()) < 0.04


def test_scores_do_not_depend_on_the_batch(fitted, corpus):
    levels = corpus.test.levels[:6]
    whole = fitted.score(levels)
    single = np.concatenate([fitted.score(level[None]).nats for level in levels])
    assert whole.nats == pytest.approx(single, rel=1e-5)
    assert whole.predicted.shape == levels.shape


def test_a_token_does_not_see_what_comes_after(fitted, corpus):
    sequence = fitted.network.sequence
    levels = torch.from_numpy(corpus.test.levels[:1].astype(np.int64))
    nothing = torch.zeros(1, len(fitted.spec.bucket_counts), dtype=torch.long)
    with torch.no_grad():
        before = fitted.network(sequence.decisions(levels), nothing)
        last = int(sequence.cells[-1])
        changed = levels.clone()
        # The same group, so that in two passes only the very last decision is another.
        changed.view(-1)[last] = 1 if fitted.config.order != "layers" else changed.view(-1)[last]
        after = fitted.network(sequence.decisions(changed), nothing)
    number = len(sequence.cells)
    assert torch.allclose(before[:, : number - 1], after[:, : number - 1], atol=1e-5)


def test_decoding_with_a_cache_equals_the_whole_at_once(fitted, monkeypatch):
    # The log-probabilities while writing, summed, are what scoring says of the level that was written.
    summed, places, real = {}, [], []
    pending, choose, pick = sampling.Writing.pending, sampling.Writing.choose, sampling.pick

    def asked_for(writing):
        found = pending(writing)
        if not places:
            places.append(np.arange(len(found.real)))
        real[:] = [found.real]
        return found

    def chosen(writing, sequences):
        places[:] = [places[0][sequences]]
        choose(writing, sequences)

    def drawn(chances, uniforms):
        symbols = pick(chances, uniforms)
        scores = chances[np.arange(len(symbols)), symbols]
        for place, score in zip(places[0][real[0]].tolist(), scores[real[0]].tolist(), strict=True):
            summed[place] = summed.get(place, 0.0) + score
        return symbols

    asked = {"sol-length": np.linspace(5, 25, 8)}
    monkeypatch.setattr(sampling.Writing, "pending", asked_for)
    monkeypatch.setattr(sampling.Writing, "choose", chosen)
    monkeypatch.setattr(sampling, "pick", drawn)
    levels = fitted.sample(8, seed=2, condition=asked, constrained=False)
    monkeypatch.undo()
    written = [-summed[place] for place in range(8)]
    assert fitted.score(levels, asked).nats * 25 == pytest.approx(written, abs=1e-3)


@pytest.mark.parametrize("first", [0, 3])
def test_a_transformer_with_a_memory(first):
    torch.manual_seed(0)
    network = Transformer(16, 2, 32, 3)
    tokens = torch.randn(2, 40, 16)
    names = memory_names(3, "new_")
    networks = TorchNetworks(network, {"step": Graph(network.step, (), ("token", *names), kept=("token", *names))})
    with torch.no_grad():
        whole, (begun, *parts) = network(tokens), network.read(tokens[:, :first])
    memory = Memory(networks, parts) if first else Memory.empty(networks, 2, 3, 2, 8)
    pieces = [begun]
    # More tokens than room is made for at a time.
    for i in range(first, 40):
        if i == 20:
            # From here on the sequences have changed places, and one goes on twice.
            memory.choose(np.array([1, 0, 1]))
        token = tokens[:, i : i + 1] if i < 20 else tokens[[1, 0, 1], i : i + 1]
        seen, *new = networks("step", token, *memory.inputs())
        memory.add(new)
        pieces.append(seen if i < 20 else seen[[1, 0]])
        assert i < 20 or torch.equal(seen[0], seen[2])
    assert memory.seen == 40
    assert torch.allclose(torch.cat(pieces, dim=1), whole, atol=1e-5)
    both = Transformer(16, 2, 32, 1, causal=False)
    assert not torch.allclose(both(tokens)[:, 0], both(tokens[:, :1])[:, 0])


# What is asked.


def test_count_rules_hold_from_the_first_step_of_training(corpus):
    for order in ORDERS:
        generator = made(corpus, order=order)
        levels = generator.sample(60, seed=1, temperature=3.0)
        assert kept(generator.spec.count_rules(), levels, generator.spec.tiles).all()
        loose = generator.sample(60, seed=1, temperature=3.0, constrained=False)
        assert not kept(generator.spec.count_rules(), loose, generator.spec.tiles).all()


@given(st.integers(0, 10_000))
def test_fixed_tiles_stay_and_count(seed):
    corpus = _CORPUS
    generator = _UNTRAINED[seed % len(_UNTRAINED)]
    random = np.random.default_rng(seed)
    model = corpus.train.levels[random.integers(0, 20, 6)].astype(np.int64)
    fixed = np.where(random.random(model.shape) < random.random(), model, -1)
    levels = generator.sample(6, seed=seed, fixed_tiles=fixed, temperature=2.0)
    assert (levels == fixed)[fixed >= 0].all()
    assert kept(generator.spec.count_rules(), levels, generator.spec.tiles).all()


_CORPUS = corpus_of_levels("sokoban", envs.construct("sokoban", 40, seed=3), repeats=True)
_UNTRAINED = [made(_CORPUS, order=order) for order in ORDERS]


def test_a_locked_player_ahead_is_the_only_one(fitted):
    fixed = np.full((5, 5), -1)
    fixed[4, 4] = 2
    levels = fitted.sample(40, seed=1, fixed_tiles=fixed)
    assert ((levels == 2).sum(axis=(1, 2)) == 1).all()


def test_fixed_tiles_that_break_the_rules_are_kept_all_the_same(fitted):
    fixed = np.full((5, 5), -1)
    fixed[0, :2] = 2
    levels = fitted.sample(8, seed=1, fixed_tiles=fixed)
    assert (levels[:, 0, :2] == 2).all()
    # Two players are past mending, and are no reason for a level without walls.
    assert (levels == 1).any()


def test_conditions_are_read():
    # What is asked for is how solid a level is; a model that does not read it cannot know.
    random = np.random.default_rng(0)
    levels = (random.random((300, 4, 4)) < np.where(np.arange(300) % 2, 0.9, 0.1)[:, None, None]).astype(np.uint8)
    corpus = corpus_of_levels("binary", levels, repeats=True)
    generator = made(corpus, metrics=("path-length",))
    generator.fit(corpus, FitOptions(minutes=0, steps=150, batch=32, warm_up=10, patience=0, condition_dropout=0.1))
    short = generator.sample(60, seed=1, condition={"path-length": 0}).mean()
    long = generator.sample(60, seed=1, condition={"path-length": 9}).mean()
    assert short - long > 0.4


@pytest.mark.parametrize("options", [{"top_k": 1}, {"top_p": 1e-6}, {"temperature": 1e-4}])
def test_only_the_likeliest(corpus, fitted, options):
    levels = fitted.sample(3, seed=1, **options)
    assert (levels == fitted.sample(3, seed=9, **options)).all()
    assert (levels == levels[0]).all()


@pytest.mark.parametrize(
    "options", [{"temperature": 0}, {"top_p": 0.0}, {"top_p": 1.5}, {"top_k": -1}, {"num_beams": 0}]
)
def test_wrong_sampling_options_are_named(fitted, options):
    with pytest.raises(UserError, match=next(iter(options))):
        fitted.sample(1, **options)


@pytest.mark.parametrize("options", [{"heads": 3}, {"depth": 0}, {"radius": 0}, {"order": "spiral"}])
def test_wrong_configurations_are_named(corpus, options):
    from generators.suite import make_generator

    with pytest.raises(UserError, match=next(iter(options))):
        make_generator("tile_lm", corpus, **options)


# Decoding.


def test_beams_draw_without_replacement():
    # Two decisions of three symbols each: nine sequences. Nine beams must hold all of them, once.
    table = np.log([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.6, 0.2, 0.2], [0.3, 0.3, 0.4]])
    firsts = np.zeros(9)
    for i in range(300):
        beams, draws = Beams(1, 9), Draws(level_seeds(i, 1))
        parents, first = beams.extend(np.repeat(table[:1], 9, axis=0), draws)
        assert np.isfinite(beams.scores[0]).sum() == 3
        parents, second = beams.extend(table[1 + first], draws)
        first = first[parents]
        found = {(int(a), int(b)) for a, b in zip(first, second, strict=True)}
        assert len(found) == 9
        expected = table[0][first] + table[1 + first, second]
        assert np.allclose(beams.scores[0], expected)
        # The first of them is a sample of the distribution itself.
        firsts[int(first[0]) * 3 + int(second[0])] += 1
        assert int(beams.best()[0]) == int(expected.argmax())
    chances = (np.exp(table[0])[:, None] * np.exp(table[1:])).flatten()
    assert np.abs(firsts / 300 - chances).max() < 0.1


def test_more_beams_find_likelier_levels(fitted):
    single = fitted.score(fitted.sample(24, seed=1)).nats.mean()
    several = fitted.score(fitted.sample(24, seed=1, num_beams=6)).nats.mean()
    assert several < single
    fixed = np.full((5, 5), -1)
    fixed[2, 2] = 2
    levels = fitted.sample(4, seed=1, num_beams=3, fixed_tiles=fixed)
    assert (levels[:, 2, 2] == 2).all()
    assert kept(fitted.spec.count_rules(), levels, fitted.spec.tiles).all()


def test_counting_keeps_room():
    rules = envs.get_problem("sokoban").count_rules
    tiles = ("empty", "solid", "player", "crate", "target")
    # The layout first, then all but crates, and crates last.
    turns = (2, 0, 1, 2, 1)
    start = np.zeros((1, 5), np.int64)
    counting = Counting(CountTable(rules, tiles), turns, start, np.array([4]))
    yes = np.array([True])
    fine, later = counting.allowed(np.array([0]), np.array([4]))
    assert fine[0, 1]
    assert later[0]
    counting.place(np.array([1]), yes)
    # Three cells are left for a player, a crate and a target.
    fine, later = counting.allowed(np.array([0]), np.array([3]))
    assert not fine[0, 1]
    assert later[0]
    # One of them must be left to the crate, but not before there are two others.
    fine, later = counting.allowed(np.array([1]), np.array([3]))
    assert fine[0, 2]
    assert fine[0, 4]
    assert later[0]
    fine, later = counting.allowed(np.array([1]), np.array([2]))
    assert fine[0, 2]
    assert fine[0, 4]
    assert not later[0]
    counting.place(np.array([4]), yes)
    counting.place(np.array([2]), yes)
    fine, later = counting.allowed(np.array([2]), np.array([1]))
    assert fine[0, 3]
    assert not fine[0, 0]


# Learning.


def test_muon_makes_matrices_orthogonal():
    torch.manual_seed(0)
    for shape in ((6, 6), (4, 9), (9, 4)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape) @ torch.diag(torch.logspace(0, -1, shape[1]))))
        assert values.min() > 0.3
        assert values.max() < 1.3


def test_muon_descends():
    torch.manual_seed(0)
    target = torch.randn(6, 4)
    matrix = torch.nn.Parameter(torch.zeros(6, 4))
    optimiser = Muon([matrix], 0.05, weight_decay=0.0)
    for _ in range(200):
        optimiser.zero_grad()
        (matrix - target).square().sum().backward()
        optimiser.step()
    assert (matrix - target).abs().max() < 0.2
    with pytest.raises(ValueError, match="matrices"):
        Muon([torch.zeros(3)], 0.1)


def test_constant_cells_are_constant_under_symmetries():
    levels = np.zeros((30, 3, 3), np.uint8)
    levels[:, 1, 1] = np.arange(30) % 2
    levels[:, 0, 0] = 1
    corpus = corpus_of("binary", levels)
    # The corner differs from the other corners, into which the symmetries take it.
    assert constant_tiles(corpus, symmetries=True).reshape(3, 3).tolist() == [[-1, 0, -1], [0, -1, 0], [-1, 0, -1]]
    assert constant_tiles(corpus, symmetries=False).reshape(3, 3).tolist() == [[1, 0, 0], [0, -1, 0], [0, 0, 0]]


def test_levels_that_are_all_the_same_are_refused():
    corpus = corpus_of("binary", np.zeros((30, 3, 3), np.uint8))
    with pytest.raises(UserError, match="same level"):
        made(corpus).fit(corpus, SHORT)


def test_it_learns_more_than_frequencies():
    # Columns are of one tile: after the first row, every tile is certain.
    random = np.random.default_rng(0)
    levels = np.repeat(random.integers(0, 2, (400, 1, 5)), 4, axis=1).astype(np.uint8)
    corpus = corpus_of("binary", levels)
    generator = made(corpus, order="row")
    generator.fit(corpus, FitOptions(minutes=0, steps=150, batch=32, warm_up=10, patience=0, symmetries=False))
    scores = generator.score(levels[:50])
    assert scores.nats.mean() < 1.2 * np.log(2) / 4
    assert (scores.predicted == levels[:50])[:, 1:].mean() > 0.99


def test_levels_wider_than_in_training():
    # Stripes of two columns: a piece that does not look at what is left of it breaks them.
    stripes = ((np.arange(60) // 2) % 2).astype(np.uint8)
    levels = np.stack([np.broadcast_to(stripes[i % 4 : i % 4 + 8], (3, 8)) for i in range(120)])
    corpus = corpus_of("binary", levels)
    generator = made(corpus, order="column", radius=2)
    generator.fit(corpus, FitOptions(minutes=0, steps=120, batch=32, warm_up=10, patience=0, symmetries=False))
    wide = generator.sample_wide(6, 21, seed=1)
    assert wide.shape == (6, 3, 21)
    assert (wide[:, :, 2:] != wide[:, :, :-2]).mean() > 0.95
    assert (wide == generator.sample_wide(6, 21, seed=1)).all()
    with pytest.raises(UserError, match="wide"):
        generator.sample_wide(1, 5)
    with pytest.raises(UserError, match="column"):
        made(corpus, order="row").sample_wide(1, 21)


def test_saved_and_loaded_it_scores_the_same(fitted, corpus, tmp_path):
    from generators.suite import load_generator

    fitted.save_pretrained(tmp_path)
    loaded = load_generator(tmp_path)
    levels = corpus.test.levels[:5]
    assert (loaded.score(levels).nats == fitted.score(levels).nats).all()
    assert (loaded.sample(4, seed=3) == fitted.sample(4, seed=3)).all()


def test_asked_buckets_have_words_of_their_own(fitted):
    values, labels = fitted.spec.values({"sol-length": [5, 30]}, 2)
    asked = Asked.of(fitted.spec, values, labels, "cpu")
    with torch.no_grad():
        tokens = fitted.network.prefix(asked.buckets)
        other = fitted.network.prefix(asked.nothing().buckets)
    assert tokens.shape == (2, 1, 16)
    assert not torch.allclose(tokens[0], tokens[1])
    assert not torch.allclose(tokens[0], other[0])
