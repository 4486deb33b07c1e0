"""The kernels, reached as users reach them, against slow and obvious twins."""

from __future__ import annotations

import cmath
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from oracles import grid as oracle
from oracles import sequence as writing

import envs
from envs.kernels.binary import longest_shortest_paths, measure_binary
from envs.kernels.draw import draw_normals
from envs.kernels.grid import count_regions, count_tiles
from envs.kernels.zelda import measure_zelda
from envs.randomness import Streams
from envs.representation import Canvas
from envs.vector_env import DesignVectorEnv

WITHOUT_COMPILER = os.environ.get("NUMBA_DISABLE_JIT") == "1"

shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))
seeds = st.integers(0, 2**32 - 1)


def random_levels(seed, shape, share_solid, tiles=2, count=6):
    generator = np.random.default_rng(seed)
    other = generator.integers(0, tiles, (count, *shape), np.uint8)
    return np.where(generator.random((count, *shape)) < share_solid, np.uint8(1), other)


@given(seeds, shapes, st.floats(0, 1))
def test_binary_measures_what_the_published_definition_says(seed, shape, share_solid):
    levels = random_levels(seed, shape, share_solid)
    measured = measure_binary(levels)
    for level, (regions, path) in zip(levels.tolist(), measured, strict=True):
        assert regions == oracle.regions(level, {0})
        assert path == oracle.two_flood_path(level)


@given(seeds, shapes, st.floats(0, 1))
def test_the_longest_path_is_the_diameter(seed, shape, share_solid):
    levels = random_levels(seed, shape, share_solid)
    exact = longest_shortest_paths(levels)
    assert exact.tolist() == [oracle.diameter(level) for level in levels.tolist()]
    assert (measure_binary(levels)[:, 1] <= exact).all()


# Kernels may work differently on levels that fit into machine words: shapes on both sides of such limits.
WORD_SHAPES = [
    *[(14, 14), (15, 14), (16, 16), (17, 16), (12, 20), (13, 20), (9, 20), (8, 30), (9, 30), (4, 61), (4, 62)],
    *[(5, 62), (4, 63), (3, 64), (2, 70), (70, 2), (125, 1), (126, 1), (127, 1), (84, 2), (85, 2), (1, 130), (32, 32)],
]


def mazes(seed, shape):
    """Levels of all densities, and two of long corridors with a few walls broken."""
    levels = np.concatenate([random_levels(seed, shape, share, count=1) for share in (0, 0.1, 0.3, 0.5, 0.8, 1)])
    corridors = np.zeros((2, *shape), np.uint8)
    corridors[0, 1::2] = 1
    corridors[0, 1::4, -1:] = 0
    corridors[0, 3::4, :1] = 0
    corridors[1, :, 1::2] = 1
    corridors[1, -1:, 1::4] = 0
    corridors[1, :1, 3::4] = 0
    return np.concatenate([levels, corridors])


@pytest.mark.parametrize("shape", WORD_SHAPES, ids=str)
def test_binary_at_the_limits_of_machine_words(shape):
    levels = mazes(sum(shape), shape)
    measured = measure_binary(levels)
    for level, (regions, path) in zip(levels.tolist(), measured, strict=True):
        assert regions == oracle.regions(level, {0})
        assert path == oracle.two_flood_path(level)


@pytest.mark.parametrize("shape", WORD_SHAPES, ids=str)
def test_zelda_at_the_limits_of_machine_words(shape):
    levels = zelda_levels(sum(shape), shape, 0.1, 0.02)
    assert measure_zelda(levels).tolist() == [oracle.zelda_metrics(level) for level in levels.tolist()]
    corridors = mazes(0, shape)[-2:]
    for level in corridors:
        free = np.argwhere(level == 0)
        for tile, place in zip((2, 3, 4), (free[0], free[len(free) // 2], free[-1]), strict=True):
            level[tuple(place)] = tile
        level[tuple(free[len(free) // 3])] = 5
    assert measure_zelda(corridors).tolist() == [oracle.zelda_metrics(level) for level in corridors.tolist()]


@pytest.mark.parametrize(
    "rows",
    [
        ("....", "....", "...."),
        ("...", ".#.", "..."),
        ("..#", "#..", "..."),
        (".....", ".###.", ".....", ".#.#.", "....."),
        ("#.#", "...", "#.#"),
    ],
)
def test_ties_go_to_the_first_cell_in_row_major_order(rows):
    level = envs.get_problem("binary").parse(rows)
    assert measure_binary(level[None])[0, 1] == oracle.two_flood_path(level.tolist())


@given(seeds, shapes, st.sets(st.integers(0, 4)))
def test_regions_and_counts_of_any_tiles(seed, shape, passable):
    levels = random_levels(seed, shape, 0.2, tiles=5)
    open_tiles = np.array([tile in passable for tile in range(5)])
    assert count_regions(levels, open_tiles).tolist() == [oracle.regions(level, passable) for level in levels.tolist()]
    assert count_tiles(levels, 5).tolist() == [np.bincount(level.ravel(), minlength=5).tolist() for level in levels]


def zelda_levels(seed, shape, share_solid, share_enemies):
    """Levels of which most have one player, one key and one door, so that every metric is measured."""
    generator = np.random.default_rng(seed)
    levels = (generator.random((8, *shape)) < share_solid).astype(np.uint8)
    enemies = generator.random(levels.shape) < share_enemies
    levels[enemies] = generator.integers(5, 8, enemies.sum())
    for level in levels:
        cells = generator.permutation(level.size)[:3]
        level.ravel()[cells] = [2, 3, 4][: len(cells)]
        if generator.random() < 0.15:
            level.ravel()[generator.integers(level.size)] = generator.integers(8)
    return levels


@given(seeds, st.tuples(st.integers(2, 7), st.integers(2, 11)), st.floats(0, 0.5), st.floats(0, 0.1))
def test_zelda_measures_every_metric(seed, shape, share_solid, share_enemies):
    levels = zelda_levels(seed, shape, share_solid, share_enemies)
    measured = measure_zelda(levels)
    for level, values in zip(levels.tolist(), measured.tolist(), strict=True):
        assert values == oracle.zelda_metrics(level)


@given(seeds, shapes)
def test_zelda_measures_uniformly_random_levels(seed, shape):
    levels = np.random.default_rng(seed).integers(0, 8, (8, *shape), np.uint8)
    assert measure_zelda(levels).tolist() == [oracle.zelda_metrics(level) for level in levels.tolist()]


@pytest.mark.parametrize(
    ("rows", "metric", "value"),
    [
        # The door is a wall to the player on the way to the key, and the key is one to the search for enemies.
        (("@.D.k", "....."), "path-length", 6 + 2),
        (("@k..b", "....."), "nearest-enemy", 6),
        (("@D..b", "....."), "nearest-enemy", 6),
        (("@Db", "###"), "nearest-enemy", 0),
        (("@kb", "###"), "nearest-enemy", 6),
        (("@.bkD",), "path-length", 3 + 1),
        (("@..k#", "####D"), "path-length", 3 - 1),
    ],
)
def test_what_each_leg_of_zelda_may_walk_on(rows, metric, value):
    problem = envs.get_problem("zelda")
    level = problem.parse(rows)
    assert problem.measure(level[None])[0, problem.index(metric)] == value
    assert oracle.zelda_metrics(level.tolist())[problem.index(metric)] == value


@given(st.integers(0, 2**63 - 1), st.integers(0, 40), st.integers(0, 3))
def test_streams_are_splitmix64(seed, count, lane):
    streams = Streams(4)
    state = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])
    streams.seed(lane, seed)
    for _ in range(2):
        with np.errstate(over="ignore"):
            drawn = streams.draw(np.array([lane]), count)
        expected, state = oracle.splitmix64(state, count)
        assert drawn.shape == (1, count)
        assert drawn[0].tolist() == expected


@given(
    seeds,
    st.tuples(st.integers(2, 6), st.integers(2, 6)),
    st.one_of(st.none(), st.tuples(st.integers(1, 9), st.integers(1, 9))),
)
def test_the_window_shows_what_surrounds_the_cursor(seed, shape, crop):
    env = DesignVectorEnv("zelda", "turtle", 3, shape=shape, min_shape=(2, 2), crop=crop, frozen_share=0.3)
    env.reset(seed=seed)
    env.action_space.seed(seed)
    rows, columns = crop or (2 * shape[0] - 1, 2 * shape[1] - 1)
    for _ in range(4):
        observation = env.step(env.action_space.sample())[0]
        for lane in range(3):
            level, frozen = env.levels[lane].tolist(), env.frozen[lane].tolist()
            cursor = tuple(env.cursors[lane])
            assert observation["cursor"][lane].tolist() == list(cursor)
            assert observation["map"][lane].tolist() == oracle.window(level, cursor, rows, columns, 8)
            assert observation["frozen"][lane].tolist() == oracle.window(frozen, cursor, rows, columns, False)


@given(
    seeds,
    st.tuples(st.integers(2, 4), st.integers(2, 4), st.integers(2, 4)),
    st.one_of(st.none(), st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 7))),
)
def test_the_window_shows_what_surrounds_the_cursor_on_three_axes(seed, shape, crop):
    env = DesignVectorEnv("voxel", "turtle", 3, shape=shape, min_shape=(2, 2, 2), crop=crop, frozen_share=0.3)
    env.reset(seed=seed)
    env.action_space.seed(seed)
    sizes = crop or tuple(2 * size - 1 for size in shape)
    for _ in range(4):
        observation = env.step(env.action_space.sample())[0]
        for lane in range(3):
            cursor = env.cursors[lane]
            assert observation["cursor"][lane].tolist() == cursor.tolist()
            for part, cells, outside in (("map", env.levels[lane], 2), ("frozen", env.frozen[lane], False)):
                found = dict(oracle.cells_of(cells.tolist()))
                corner = cursor - np.array(sizes) // 2
                wanted = [found.get(tuple(corner + place), outside) for place in np.ndindex(sizes)]
                assert observation[part][lane].tolist() == wanted


VARIANTS = [
    *((name, {}) for name in envs.all_representations() if hasattr(oracle.Lane, name)),
    *((name, {"order": "sequential"}) for name in ("narrow", "narrowcast", "narrowmulti")),
    *((name, {"wrap": True}) for name in ("turtle", "turtlecast")),
]


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=lambda value: str(value) if value else "default")
@given(seed=seeds, shape=st.lists(st.integers(1, 5), min_size=2, max_size=3).map(tuple), tiles=st.integers(2, 5))
def test_representations_edit_as_their_plain_twins(name, options, seed, shape, tiles):
    import dataclasses

    design = dataclasses.replace(envs.get_representation(name), **options)
    generator = np.random.default_rng(seed)
    lanes = 4
    shapes = np.stack([generator.integers(1, size + 1, lanes) for size in shape], axis=1)
    one_each = (lanes, *(1,) * len(shape))
    inside = (np.indices(shape) < shapes.reshape(lanes, len(shape), *one_each[1:])).all(axis=1)
    frozen = (generator.random((lanes, *shape)) < generator.choice([0, 0.3, 1], one_each)) & inside
    canvas = Canvas(
        levels=np.where(inside, generator.integers(0, tiles, inside.shape), tiles).astype(np.uint8),
        frozen=frozen,
        shapes=shapes,
        cursors=np.zeros((lanes, len(shape)), np.int64),
        remaining=generator.integers(0, 12, lanes),
        free=(inside & ~frozen).reshape(lanes, -1).sum(axis=1),
        number_of_tiles=tiles,
    )
    design.place(canvas, np.arange(lanes), generator.random((lanes, design.draws_at_start)))
    space = design.action_space(shape, tiles)
    sizes = np.array([space.n]) if isinstance(space, spaces.Discrete) else space.nvec
    for _ in range(6):
        actions = generator.integers(0, sizes, (lanes, len(sizes)))
        uniforms = generator.random((lanes, design.draws_per_step))
        twins = [
            oracle.Lane(
                canvas.levels[i].tolist(),
                frozen[i].tolist(),
                shapes[i],
                canvas.cursors[i].tolist(),
                canvas.remaining[i],
            )
            for i in range(lanes)
        ]
        before = canvas.levels.copy()
        flat = actions[:, 0].copy() if isinstance(space, spaces.Discrete) else actions
        changed = design.edit(canvas, flat, np.ones(lanes, np.bool_), uniforms)
        for i, twin in enumerate(twins):
            getattr(twin, name)(flat[i].tolist(), uniforms[i, 0] if design.draws_per_step else None, **options)
            assert canvas.levels[i].ravel().tolist() == list(twin.tiles.values())
            assert tuple(canvas.cursors[i]) == twin.cursor
            assert changed[i] == (before[i] != canvas.levels[i]).sum() == canvas.remaining[i] - twin.remaining
        canvas.remaining -= changed


def random_paths(generator):
    """Paths of symbols, each tile's in a leaf of a random tree."""
    leaves = [[symbol] for symbol in range(int(generator.integers(2, 4)))]
    fresh = len(leaves)
    for _ in range(int(generator.integers(0, 3))):
        before = leaves.pop(int(generator.integers(len(leaves))))
        for _ in range(int(generator.integers(1, 4))):
            leaves.append([*before, fresh])
            fresh += 1
    return tuple(tuple(leaves[i]) for i in generator.permutation(len(leaves)))


@given(
    seed=seeds,
    shape=st.lists(st.integers(1, 4), min_size=2, max_size=3).map(tuple),
    order=st.sampled_from(["row", "column", "snake"]),
)
def test_levels_are_written_as_by_the_plain_twin(seed, shape, order):
    import dataclasses

    generator = np.random.default_rng(seed)
    paths = random_paths(generator)
    tiles, lanes, cells = len(paths), 4, int(np.prod(shape))
    constant = np.where(generator.random(cells) < 0.3, generator.integers(0, tiles, cells), -1)
    constant[generator.integers(cells)] = -1
    design = dataclasses.replace(
        envs.get_representation("sequence"), order=order, paths=paths, constant=tuple(constant.tolist())
    )
    symbols = design.action_space(shape, tiles).n
    shapes = np.stack([generator.integers(1, size + 1, lanes) for size in shape], axis=1)
    shapes[0] = shape
    own = (np.indices(shape) < shapes.reshape(lanes, len(shape), *(1,) * len(shape))).all(axis=1)
    frozen = (generator.random((lanes, *shape)) < generator.choice([0, 0.3, 1], (lanes, *(1,) * len(shape)))) & own
    levels = np.where(own, generator.integers(0, tiles, own.shape), tiles).astype(np.uint8)
    canvas = Canvas(
        levels=levels,
        frozen=frozen,
        shapes=shapes,
        cursors=np.zeros((lanes, len(shape)), np.int64),
        remaining=generator.choice([0, 5, 10**6], lanes),
        free=(own & ~frozen).reshape(lanes, -1).sum(axis=1),
        number_of_tiles=tiles,
        notes=design.notes(lanes, shape, tiles),
    )
    fixed = {place: int(tile) for place, tile in zip(np.ndindex(shape), constant, strict=True) if tile >= 0}
    twins = [
        writing.Writing(
            {place: int(levels[i][place]) for place in np.ndindex(shape) if own[i][place]},
            [place for place in np.ndindex(shape) if frozen[i][place]],
            fixed,
            shape,
            order,
            paths,
        )
        for i in range(lanes)
    ]
    design.place(canvas, np.arange(lanes), np.zeros((lanes, 0)))
    for _ in range(cells * 4 + 1):
        seen = design.observe(canvas)
        for i, twin in enumerate(twins):
            for place in np.ndindex(shape):
                assert canvas.levels[i][place] == twin.tiles.get(place, tiles)
                assert design.picture(canvas)[i][place] == twin.shown.get(place, symbols)
            assert design.finished(canvas)[i] == (twin.place is None)
            if twin.place is not None:
                assert tuple(canvas.cursors[i]) == twin.place
                assert seen["pass"][i] == twin.turn
            options = set(range(symbols)) if twin.place is None else twin.allowed()
            assert set(seen["allowed"][i].nonzero()[0]) == options
        if design.finished(canvas).all():
            break
        actions = generator.integers(0, symbols, lanes)
        active = generator.random(lanes) < 0.9
        changed = design.edit(canvas, actions, active, np.zeros((lanes, 0)))
        for i, twin in enumerate(twins):
            going = active[i] and twin.place is not None
            assert changed[i] == (twin.decide(int(actions[i]), canvas.remaining[i] > 0) if going else 0)
        canvas.remaining -= changed


def test_every_representation_has_a_plain_twin():
    """A method of its name, or, where it remembers what it did, a module."""
    twins = {name for name in envs.all_representations() if hasattr(oracle.Lane, name)}
    # The latent one has no kernel: tests/test_latent.py compares it with a plain loop over lanes.
    assert set(envs.all_representations()) - twins == {"sequence", "latent"}


@given(seeds)
def test_normal_numbers_are_what_the_formula_says(seed):
    uniforms = np.random.default_rng(seed).random((3, 4))
    uniforms[0, 0], uniforms[1, 0] = 0, 1 - 2.0**-53
    normals = np.empty_like(uniforms)
    draw_normals(uniforms, 4.0, normals)
    for row, made in zip(uniforms, normals, strict=True):
        for j in (0, 2):
            wanted = complex(0, 2 * math.pi * row[j + 1])
            number = math.sqrt(-2 * math.log(1 - row[j])) * cmath.exp(wanted)
            assert made[j : j + 2] == pytest.approx(np.clip([number.real, number.imag], -4, 4))


@pytest.mark.skipif(WITHOUT_COMPILER, reason="this is the run without the compiler")
def test_kernels_do_the_same_without_the_compiler():
    """Numba's arithmetic may differ from Python's (overflow, division), and coverage sees only what Python runs."""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "HYPOTHESIS_PROFILE": "few"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(Path(__file__))]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
