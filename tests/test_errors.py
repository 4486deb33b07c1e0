"""Bad input gets one clear sentence that names what was given and what is allowed."""

from __future__ import annotations

import gc
import sys

import gymnasium
import numpy as np
import pytest

import envs
from envs import UserError
from envs.vector_env import DesignVectorEnv


def make(problem="binary", representation="narrow", lanes=2, **options):
    return DesignVectorEnv(problem, representation, lanes, **options)


# Each option with what the message must name: what was given, and what is allowed.
BAD_OPTIONS = [
    ({"problem": "bynary"}, ["problem 'bynary'", "did you mean 'binary'", "zelda"]),
    ({"representation": "turtel"}, ["representation 'turtel'", "'turtle'", "wide"]),
    ({"lanes": 0}, ["num_envs", "at least 1", "0"]),
    ({"lanes": 2.5}, ["num_envs", "2.5"]),
    ({"autoreset_mode": "Sometimes"}, ["autoreset_mode 'Sometimes'", "NextStep", "SameStep", "Disabled"]),
    ({"render_mode": "ansi"}, ["render_mode 'ansi'", "human", "rgb_array"]),
    ({"shape": (7,)}, ["shape", "two whole numbers", "(7,)"]),
    ({"shape": 7}, ["shape", "two whole numbers", "7"]),
    ({"shape": (0, 5)}, ["shape", "(0, 5)"]),
    ({"shape": (1, 5)}, ["shape", "(2, 2)", "(1, 5)"]),
    ({"shape": (7.5, 5)}, ["shape", "whole numbers", "7.5"]),
    ({"min_shape": (20, 20)}, ["min_shape", "(20, 20)", "(14, 14)"]),
    ({"change_share": 0}, ["change_share", "above 0", "got 0"]),
    ({"change_share": 1.5}, ["change_share", "at most 1", "1.5"]),
    ({"change_share": "half"}, ["change_share", "half"]),
    ({"step_limit": 0}, ["step_limit", "at least 1", "0"]),
    ({"crop": (0, 3)}, ["crop", "at least 1", "(0, 3)"]),
    ({"crop": "small"}, ["crop", "small"]),
    ({"representation": "wide", "crop": (3, 3)}, ["wide", "no cursor", "(3, 3)"]),
    ({"frozen_share": 1}, ["frozen_share", "below 1", "got 1"]),
    ({"frozen_share": -0.1}, ["frozen_share", "at least 0", "-0.1"]),
    ({"frozen_share": "some"}, ["frozen_share", "some"]),
    ({"weights": {"beauty": 1}}, ["metric of binary 'beauty'", "regions", "path-length"]),
    ({"weights": {"regions": "heavy"}}, ["weight", "regions", "heavy"]),
    ({"weights": {"regions": float("nan")}}, ["weight", "regions", "nan"]),
    ({"targets": {"beauty": 1}}, ["metric of binary 'beauty'", "regions"]),
    ({"targets": {"regions": (3, 1)}}, ["target of 'regions'", "low end first", "(3, 1)"]),
    ({"targets": {"regions": "few"}}, ["target of 'regions'", "few"]),
    ({"targets": {"regions": (1, 2, 3)}}, ["target of 'regions'", "(low, high)", "(1, 2, 3)"]),
    ({"controls": ["beauty"]}, ["metric of binary 'beauty'", "regions"]),
    ({"controls": [("regions", 5, 2)]}, ["control of 'regions'", "low end first", "5", "2"]),
    ({"controls": [("regions", 5)]}, ["control", "(name, low, high)", "5"]),
    ({"controls": [("regions", "few", "many")]}, ["control", "regions", "few"]),
    ({"controls": "regions"}, ["controls", "regions"]),
    ({"extra_metrics": ["regions-twice"]}, ["optional metric of binary 'regions-twice'", "longest-path"]),
    ({"extra_metrics": "longest-path"}, ["extra_metrics", "longest-path"]),
    ({"problem": "zelda", "extra_metrics": ["longest-path"]}, ["'zelda'", "'longest-path'"]),
    ({"start_levels": np.zeros((3, 5), int)}, ["start_levels", "(14, 14)", "(1, 3, 5)"]),
    ({"start_levels": np.full((14, 14), 2)}, ["0 to 1", "empty, solid", "2"]),
    ({"start_levels": np.zeros((14, 14))}, ["whole numbers", "float64"]),
    ({"start_levels": [[0, 1], [0]]}, ["levels"]),
    ({"start_levels": np.zeros((0, 14, 14), int)}, ["start_levels", "one or more"]),
    ({"start_levels": np.zeros((14, 14), int), "min_shape": (5, 5)}, ["start_levels", "min_shape"]),
    ({"reward_every": -1}, ["reward_every", "at least 0", "-1"]),
    ({"tile_size": 2}, ["tile_size", "at least 4", "2"]),
    ({"oder": "random"}, ["option of narrow 'oder'", "did you mean 'order'", "change_share"]),
    ({"order": "diagonal"}, ["order", "diagonal", "random", "sequential"]),
    ({"representation": "turtle", "order": "random"}, ["option of turtle 'order'", "wrap"]),
]


def assert_names(call, words):
    with pytest.raises(UserError) as raised:
        call()
    text = str(raised.value)
    for word in words:
        assert word in text, f"{word!r} is not in {text!r}"
    assert text.endswith("."), text
    assert "\n" not in text
    assert len(text) < 500


def names_of(cases):
    """Short names for cases whose last part is what the message must say."""
    return [" ".join(map(str, case[:-1])).replace("\n", "")[:60] for case in cases]


@pytest.mark.parametrize(("options", "words"), BAD_OPTIONS, ids=names_of(BAD_OPTIONS))
def test_bad_options(options, words):
    assert_names(lambda: make(**options), words)


@pytest.mark.parametrize("single", [True, False])
def test_bad_options_through_gymnasium(single):
    call = gymnasium.make if single else gymnasium.make_vec
    assert_names(lambda: call("tilewright/binary-narrow-v0", oder="random"), ["'oder'", "'order'"])
    if single:
        assert_names(lambda: call("tilewright/binary-narrow-v0", num_envs=3), ["num_envs", "make_vec"])
        assert_names(lambda: call("tilewright/binary-narrow-v0", autoreset_mode="SameStep"), ["autoreset_mode"])


@pytest.mark.parametrize("env_id", ["tilewright/binary-turtel-v0", "tilewright/bynary-turtle-v0"])
def test_an_unknown_id_is_gymnasiums_own_error(env_id):
    with pytest.raises(gymnasium.error.NameNotFound):
        gymnasium.make(env_id)


LEVEL = np.zeros((14, 14), np.uint8)

BAD_RESETS = [
    ({"seed": -1}, ["seed", "at least 0", "-1"]),
    ({"seed": [1, 2, 3]}, ["seed", "2 of these", "[1, 2, 3]"]),
    ({"seed": [1, -2]}, ["seed", "[1, -2]"]),
    ({"seed": 1.5}, ["seed", "whole number", "1.5"]),
    ({"seed": "lucky"}, ["seed", "whole number", "lucky"]),
    ({"seed": [1, 2.5]}, ["seed", "whole number", "2.5"]),
    ({"options": {"level": LEVEL}}, ["reset option 'level'", "did you mean 'levels'", "frozen", "targets"]),
    ({"options": {"levels": LEVEL[:5]}}, ["options['levels']", "(14, 14)", "(2, 14, 14)", "(1, 5, 14)"]),
    ({"options": {"levels": np.stack([LEVEL] * 3)}}, ["options['levels']", "(2, 14, 14)", "(3, 14, 14)"]),
    ({"options": {"levels": LEVEL + 2}}, ["0 to 1", "empty, solid", "2"]),
    ({"options": {"levels": LEVEL.astype(int) - 1}}, ["0 to 1", "-1"]),
    ({"options": {"levels": LEVEL + 0.5}}, ["whole numbers", "float64"]),
    ({"options": {"levels": LEVEL[0]}}, ["2 axes", "(14,)"]),
    ({"options": {"levels": [[0, 1], [1]]}}, ["levels"]),
    ({"options": {"levels": "maze"}}, ["levels"]),
    ({"options": {"frozen": LEVEL}}, ["options['frozen']", "bool", "uint8"]),
    ({"options": {"frozen": LEVEL[:3] == 1}}, ["options['frozen']", "(14, 14)", "(3, 14)"]),
    ({"options": {"targets": {"beauty": 3}}}, ["'beauty'", "regions"]),
    ({"options": {"targets": {"regions": [3, 1]}}}, ["'regions'", "low end first"]),
    ({"options": {"targets": {"regions": np.zeros(5)}}}, ["'regions'", "(2,)", "(5,)"]),
    ({"options": {"targets": {"regions": "few"}}}, ["'regions'", "few"]),
    ({"options": {"targets": {"regions": float("nan")}}}, ["'regions'", "nan"]),
    ({"options": {"targets": ["regions"]}}, ["targets"]),
    ({"options": ["levels"]}, ["options"]),
    ({"options": {"reset_mask": np.array([True])}}, ["reset_mask", "(2,)", "(1,)"]),
    ({"options": {"reset_mask": np.array([1, 0])}}, ["reset_mask", "bool", "int64"]),
    ({"options": {"reset_mask": np.array([False, False])}}, ["reset_mask", "at least one True"]),
]


@pytest.mark.parametrize(("arguments", "words"), BAD_RESETS, ids=names_of(BAD_RESETS))
def test_bad_resets(arguments, words):
    env = make()
    env.reset(seed=0)
    before = env.levels
    assert_names(lambda: env.reset(**arguments), words)
    assert (env.levels == before).all()
    env.step(np.array([0, 0]))


def test_the_first_reset_begins_every_lane():
    assert_names(
        lambda: make().reset(options={"reset_mask": np.array([True, False])}),
        ["first reset", "every lane", "reset_mask"],
    )


BAD_ACTIONS = [
    ("narrow", [3, 0], ["lane 0", "3", "Discrete(3)"]),
    ("narrow", [0, -1], ["lane 1", "-1", "Discrete(3)"]),
    ("narrow", [0], ["(2,)", "(1,)"]),
    ("narrow", [[0], [0]], ["(2,)", "(2, 1)"]),
    ("narrow", [0.0, 1.0], ["whole numbers", "float64"]),
    ("narrow", [True, False], ["whole numbers", "bool"]),
    ("narrow", None, ["whole numbers", "(2,)"]),
    ("narrow", "up", ["whole numbers", "(2,)"]),
    ("wide", [[0, 0, 0], [14, 0, 0]], ["lane 1", "[14, 0, 0]", "MultiDiscrete([14 14"]),
    ("wide", [[0, 0, 2], [0, 0, 0]], ["lane 0", "[0, 0, 2]"]),
    ("wide", [0, 0, 0], ["(2, 3)", "(3,)"]),
    ("wide", [[0, 0, 0], [0, 0]], ["whole numbers", "(2, 3)"]),
    ("cellular", np.zeros((2, 14, 14), int), ["(2, 196)", "(2, 14, 14)"]),
]


@pytest.mark.parametrize(("representation", "actions", "words"), BAD_ACTIONS, ids=names_of(BAD_ACTIONS))
def test_bad_actions(representation, actions, words):
    env = make(representation=representation)
    env.reset(seed=0)
    before = env.levels
    assert_names(lambda: env.step(actions), words)
    assert (env.levels == before).all()


@pytest.mark.parametrize("action", [3, -1, 1.5, None, [0, 1], "up"])
def test_bad_actions_of_a_single_environment(action):
    env = gymnasium.make("tilewright/binary-narrow-v0").unwrapped
    env.reset(seed=0)
    assert_names(lambda: env.step(action), [])


def test_a_step_before_the_first_reset():
    assert_names(lambda: make().step([0, 0]), ["reset()", "first step"])
    env = gymnasium.make("tilewright/binary-narrow-v0").unwrapped
    assert_names(lambda: env.step(0), ["reset()"])


def test_a_step_after_the_end_without_autoreset():
    env = make(autoreset_mode="Disabled", step_limit=1)
    env.reset(seed=0)
    env.step([0, 0])
    assert_names(lambda: env.step([0, 0]), ["lanes [0, 1]", "ended", "reset_mask"])
    env.reset(options={"reset_mask": np.array([True, False])})
    assert_names(lambda: env.step([0, 0]), ["lanes [1]"])
    single = gymnasium.make("tilewright/binary-narrow-v0", step_limit=1).unwrapped
    single.reset(seed=0)
    single.step(0)
    assert_names(lambda: single.step(0), ["ended", "reset"])


def test_a_refused_environment_says_nothing_more(monkeypatch):
    """An environment that was never made is still deleted, which must not print a traceback of its own."""
    heard = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: heard.append(str(unraisable.exc_value)))
    for options in ({"tile_size": 2}, {"problem": "bynary"}, {"render_mode": "ansi"}, {"shape": 7}):
        with pytest.raises(UserError):
            make(**options)
        gc.collect()
    assert heard == []


def test_rendering_without_a_mode():
    env = make()
    env.reset(seed=0)
    assert_names(env.render, ["render_mode", "rgb_array", "human"])


BAD_CALLS = [
    (lambda: envs.get_problem("sokobann"), ["'sokobann'", "binary", "zelda"]),
    (lambda: envs.get_problem(3), ["3", "binary"]),
    (lambda: envs.get_problem(["zelda"]), ["zelda"]),
    (lambda: envs.get_representation("narow"), ["'narow'", "'narrow'", "wide"]),
    (lambda: envs.measure("nethack", LEVEL), ["'nethack'", "binary"]),
    (lambda: envs.measure("binary", LEVEL, ["regoins"]), ["'regoins'", "'regions'", "longest-path"]),
    (lambda: envs.measure("zelda", LEVEL + 8), ["0 to 7", "spider", "8"]),
    (lambda: envs.measure("binary", np.zeros((2, 2, 2, 2), int)), ["2 axes", "(2, 2, 2, 2)"]),
    (lambda: envs.measure("binary", np.zeros((1, 1), int)), ["(2, 2)", "(1, 1)"]),
    (lambda: envs.measure("binary", [["."], ["#"]]), ["whole numbers"]),
    (lambda: envs.measure("binary", [[0, 1], [0]]), ["levels"]),
    (lambda: envs.quality("binary", LEVEL + 2), ["0 to 1", "2"]),
    (lambda: envs.solve("binary", LEVEL, budget=0), ["budget", "at least 1", "0"]),
    (lambda: envs.solve("binary", LEVEL, budget="large"), ["budget", "large"]),
    (lambda: envs.solve("nethack", LEVEL), ["'nethack'", "binary"]),
    (lambda: envs.render("binary", np.stack([LEVEL] * 2)), ["one level", "2"]),
    (lambda: envs.render("binary", LEVEL, 0), ["0"]),
    (lambda: envs.get_problem("zelda").parse([]), ["at least one row"]),
    (lambda: envs.get_problem("zelda").parse(["..", "..."]), ["Row 2", "3 tiles", "2"]),
    (lambda: envs.get_problem("zelda").parse(["..", ".x"]), ["Row 2, column 2", "'x'", "'@' (player)"]),
]


@pytest.mark.parametrize(("call", "words"), BAD_CALLS, ids=[" ".join(words)[:50] for _, words in BAD_CALLS])
def test_bad_calls(call, words):
    assert_names(call, words)


def test_a_problem_without_rules_cannot_be_solved():
    import dataclasses

    silent = dataclasses.replace(envs.get_problem("binary"), name="silent", rules=None)
    assert_names(lambda: envs.solve(silent, LEVEL), ["'silent'", "no rules of play", "zelda"])
    assert_names(lambda: envs.get_rules(silent), ["'silent'"])


def test_user_errors_are_value_errors():
    assert issubclass(UserError, ValueError)
