"""The problems: the shipped checks over all of them, the published figures, and the peer's own cases."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import envs
from envs.checks import CheckError, check_problem, difference
from envs.problem import Example, Tile

BINARY = envs.get_problem("binary")


@pytest.mark.parametrize("name", envs.all_problems())
def test_the_contract(name):
    check_problem(name, levels_per_shape=6)


@pytest.mark.parametrize("name", envs.all_problems())
def test_a_large_batch_equals_small_ones(name):
    """Batches above some size may be shared out to threads."""
    problem = envs.get_problem(name)
    uniforms = np.random.default_rng(0).random((1500, 1 + int(np.prod(problem.default_shape))))
    levels = problem.start_levels(uniforms, problem.default_shape)
    pieces = [problem.measure(levels[first : first + 7]) for first in range(0, len(levels), 7)]
    assert difference(problem.measure(levels), np.concatenate(pieces)) is None


def broken(method=None, **changes):
    """The binary problem with a fault."""
    kind = type(BINARY) if method is None else type("Broken", (type(BINARY),), {method.__name__: method})
    fields = {field.name: getattr(BINARY, field.name) for field in dataclasses.fields(BINARY) if field.init}
    return kind(**{**fields, **changes})


def measure_and_spoil(self, levels):
    measured = BINARY.measure(levels)
    levels[0, 0, 0] ^= 1
    return measured


def measure_together(self, levels):
    return BINARY.measure(levels) * 0 + np.float32(levels[0].sum() % 3)


def measure_in_double(self, levels):
    return BINARY.measure(levels).astype(np.float64)


def measure_without_end(self, levels):
    return BINARY.measure(levels) / np.float32(0)


def measure_too_much(self, levels):
    return BINARY.measure(levels) + np.float32(1000)


def measure_one_column(self, levels):
    return BINARY.measure(levels)[:, :1]


def measure_the_default_shape_only(self, levels):
    return BINARY.measure(np.ascontiguousarray(levels.reshape(-1, 14, 14)))


def start_at_whim(self, uniforms, shape):
    return np.random.default_rng().integers(0, 2, (len(uniforms), *shape), np.uint8)


start_at_whim.__name__ = "start_levels"


def start_past_the_last_tile(self, uniforms, shape):
    return np.full((len(uniforms), *shape), 2, np.uint8)


start_past_the_last_tile.__name__ = "start_levels"


def succeed_in_numbers(self, metrics, start_metrics):
    return metrics[:, 0]


succeed_in_numbers.__name__ = "succeeded"

for spoiled in (
    measure_and_spoil,
    measure_together,
    measure_in_double,
    measure_without_end,
    measure_too_much,
    measure_one_column,
    measure_the_default_shape_only,
):
    spoiled.__name__ = "measure"


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (broken(measure_and_spoil), "levels were changed"),
        (broken(measure_together), "in a batch"),
        (broken(measure_in_double), "float64"),
        (broken(measure_without_end), "finite"),
        (broken(measure_too_much), "outside 0"),
        (broken(measure_one_column), "must return float32"),
        (broken(start_at_whim), "same uniforms"),
        (broken(start_past_the_last_tile), "hold tile 2"),
        (broken(succeed_in_numbers), "must return bool"),
        (broken(tiles=(BINARY.tiles[0], Tile("solid", ".", (1, 2, 3)))), "tile character '.' twice"),
        (broken(tiles=(BINARY.tiles[0], Tile("empty", "#", (1, 2, 3)))), "tile name 'empty' twice"),
        (broken(tiles=(BINARY.tiles[0], Tile("solid", "#", (1, 2, 3), "no-such"))), "no-such"),
        (broken(tiles=tuple(Tile(f"t{i}", chr(300 + i), (0, 0, 0)) for i in range(256))), "256 tiles"),
        (broken(start_probabilities=(0.5, 0.6)), "sum 1"),
        (broken(border="lava"), "lava"),
        (broken(metrics=BINARY.metrics[:1] * 2), "metric name 'regions' twice"),
        (broken(examples=(Example(("..", ".."), {"regions": 2}),)), "by hand it is 2"),
        (broken(examples=(Example(("..", ".."), {"beauty": 2}),)), "no metric 'beauty'"),
        (broken(examples=(Example(("..", ".."), {}, "unsolvable"),)), "solver says 'solved'"),
        (broken(examples=()), "no hand-checked examples"),
    ],
)
def test_the_contract_catches(problem, words):
    with pytest.raises(CheckError) as raised:
        check_problem(problem, levels_per_shape=3)
    assert words in str(raised.value)


def test_the_contract_names_a_shape_that_fails():
    with pytest.raises(ValueError, match="reshape"):
        check_problem(broken(measure_the_default_shape_only), levels_per_shape=3)


@pytest.mark.parametrize(
    ("name", "shape", "shares", "metrics"),
    [
        ("binary", (14, 14), [0.5, 0.5], {"regions": (5, 1, 1), "path-length": (1, np.inf, np.inf)}),
        (
            "zelda",
            (7, 11),
            [0.58, 0.3, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02],
            {
                "player": (3, 1, 1),
                "key": (3, 1, 1),
                "door": (3, 1, 1),
                "enemies": (1, 2, 5),
                "regions": (5, 1, 1),
                "nearest-enemy": (2, 4, np.inf),
                "path-length": (1, np.inf, np.inf),
            },
        ),
        (
            "sokoban",
            (5, 5),
            [0.45, 0.4, 0.05, 0.05, 0.05],
            {
                "player": (3, 1, 1),
                "crate": (2, 1, 3),
                "target": (2, 1, 3),
                "regions": (5, 1, 1),
                "ratio": (2, 0, 0),
                "dist-win": (0, -np.inf, -np.inf),
                "sol-length": (1, np.inf, np.inf),
            },
        ),
    ],
)
def test_the_published_figures(name, shape, shares, metrics):
    problem = envs.get_problem(name)
    assert problem.default_shape == shape
    assert list(problem.start_probabilities) == shares
    assert {metric.name: (metric.weight, *metric.target) for metric in problem.metrics} == metrics


def test_binary_levels_draw_their_own_share_of_empty():
    uniforms = np.random.default_rng(0).random((400, 1 + 196))
    shares = (BINARY.start_levels(uniforms, (14, 14)) == 0).mean(axis=(1, 2))
    assert np.abs(shares - uniforms[:, 0]).max() < 0.2
    assert shares.min() < 0.05
    assert shares.max() > 0.95


def reference_cases(game):
    beside = Path(__file__).parent.parent.parent / "shared" / "reference"
    path = Path(os.environ.get("TILEWRIGHT_REFERENCE") or beside)
    path = path / "gym_pcgrl_cases.json" if path.is_dir() else path
    if not path.is_file():
        pytest.skip(f"gym-pcgrl's cases are not at {path}; TILEWRIGHT_REFERENCE may say where they are.")
    return json.loads(path.read_text())[game]


@pytest.mark.parametrize("game", ["binary", "zelda"])
def test_the_peers_cases(game):
    """Metrics, rewards and ends equal gym-pcgrl's, the wide environment making each case's edit."""
    data = reference_cases(game)
    problem = envs.get_problem(game)
    assert [tile.name for tile in problem.tiles] == data["tiles"]
    cases = data["cases"]
    levels = np.array([[[int(tile) for tile in row] for row in case["level"]] for case in cases])
    actions = np.array([[case["edit"][1], case["edit"][0], case["edit"][2]] for case in cases])
    env = gymnasium.make_vec(f"tilewright/{game}-wide-v0", num_envs=len(cases), autoreset_mode="Disabled")
    _, infos = env.reset(options={"levels": levels})
    _, rewards, terminations, truncations, later = env.step(actions)
    edited = levels.copy()
    edited[np.arange(len(cases)), actions[:, 1], actions[:, 0]] = actions[:, 2]
    assert (env.levels == edited).all()
    for name in (metric.name for metric in problem.metrics):
        assert infos[name].tolist() == [case["stats"][name] for case in cases], name
        assert later[name].tolist() == [case["edited_stats"][name] for case in cases], name
    assert rewards.tolist() == [case["reward"] for case in cases]
    assert (terminations | truncations).tolist() == [case["episode_over"] for case in cases]


TWENTY_ONE_BATS = (
    "@.........k",
    "...........",
    "...........",
    "...........",
    "bbbbbbbbbb.",
    "bbbbbbbbbbb",
    "..........D",
)


THREE_BATS = (*TWENTY_ONE_BATS[:4], "bbb........", "...........", "..........D")


@pytest.mark.parametrize("rows", [TWENTY_ONE_BATS, THREE_BATS])
def test_published_and_strict_success(rows):
    level = envs.get_problem("zelda").parse(rows)
    env = gymnasium.make("tilewright/zelda-narrow-v0").unwrapped
    _, info = env.reset(options={"levels": level})
    assert info["path-length"] == 16
    assert info["nearest-enemy"] == 4
    assert info["success"] is True
    assert info["strict_success"] is bool(info["enemies"] <= 5)
    _, _, terminated, _, _ = env.step(0)
    assert terminated


def test_binary_succeeds_by_what_it_improves():
    metrics = np.array([[1, 30], [1, 30], [2, 60], [1, 20]], np.float32)
    start = np.array([[9, 10], [9, 11], [9, 1], [0, 0]], np.float32)
    assert BINARY.succeeded(metrics, start).tolist() == [True, False, False, True]


@pytest.mark.parametrize("name", envs.all_problems())
def test_what_can_be_done_with_levels_by_name(name):
    problem = envs.get_problem(name)
    uniforms = np.random.default_rng(0).random((5, 1 + int(np.prod(problem.default_shape))))
    levels = problem.start_levels(uniforms, problem.default_shape)
    every = [metric.name for metric in (*problem.metrics, *problem.optional_metrics)]
    measured = envs.measure(name, levels, every)
    assert list(measured) == every
    assert all(values.shape == (5,) and values.dtype == np.float32 for values in measured.values())
    assert list(envs.measure(name, levels)) == [metric.name for metric in problem.metrics]
    one = envs.measure(name, levels[2].astype(np.int64))
    assert all(one[metric][0] == measured[metric][2] for metric in one)
    quality = envs.quality(problem, levels)
    assert quality.shape == (5,)
    assert ((quality >= 0) & (quality <= 1)).all()
    picture = envs.render(name, levels[0], 8)
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    if problem.rules is not None:
        assert {solution.status for solution in envs.solve(name, levels, 1000)} <= {"solved", "unsolvable", "unknown"}


def test_quality_grows_as_targets_come_nearer():
    rows = [("#####", "#####", "#####"), (".#.#.", "#####", ".#.#."), (".....", "####.", ".....")]
    qualities = [envs.quality("binary", BINARY.parse(level))[0] for level in rows]
    assert qualities[1] < qualities[0] < qualities[2] <= 1
