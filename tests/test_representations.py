"""The representations: the shipped checks over all of them, and what their actions mean."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from gymnasium import spaces

import envs
from envs.checks import CheckError, check_representation
from envs.representation import Canvas
from tests.shapes import FREE_FORMS

NARROW = envs.get_representation("narrow")


def with_other_options():
    """Every representation, and it with each option that is a choice or a switch set otherwise."""
    for design in map(envs.get_representation, FREE_FORMS):
        yield design
        kinds = get_type_hints(type(design))
        for field in dataclasses.fields(design):
            others = (not field.default,) if kinds[field.name] is bool else get_args(kinds[field.name])
            for other in others if kinds[field.name] is bool or get_origin(kinds[field.name]) is Literal else ():
                if other != field.default:
                    yield dataclasses.replace(design, **{field.name: other})


@pytest.mark.parametrize("design", list(with_other_options()), ids=str)
def test_the_contract(design):
    check_representation(design)


class _Spendthrift(type(NARROW)):
    def edit(self, canvas, actions, active, uniforms):
        rich = dataclasses.replace(canvas, remaining=canvas.remaining + 1)
        return super().edit(rich, actions, active, uniforms)


class _Thaw(type(NARROW)):
    def edit(self, canvas, actions, active, uniforms):
        thawed = dataclasses.replace(canvas, frozen=canvas.frozen & False)
        return super().edit(thawed, actions, active, uniforms)


class _Miscount(type(NARROW)):
    def edit(self, canvas, actions, active, uniforms):
        return (actions > 0).astype(np.int64) & active


class _Restless(type(NARROW)):
    def edit(self, canvas, actions, active, uniforms):
        return super().edit(canvas, actions, active | True, uniforms)


class _Runaway(type(NARROW)):
    def edit(self, canvas, actions, active, uniforms):
        changed = super().edit(canvas, actions, active, uniforms)
        canvas.cursors[active, 1] += 1
        return changed


class _Neighbourly(type(NARROW)):
    def edit(self, canvas, actions, active, uniforms):
        return super().edit(canvas, np.full_like(actions, actions.max()), active, uniforms)


class _Careless(type(NARROW)):
    def place(self, canvas, lanes, uniforms):
        canvas.cursors[lanes] = 0


class _Everywhere(type(NARROW)):
    def place(self, canvas, lanes, uniforms):
        everyone = np.arange(len(canvas.levels))
        super().place(canvas, everyone, np.resize(uniforms, (len(everyone), 1)))


class _Nested(type(NARROW)):
    def action_space(self, shape, number_of_tiles):
        return spaces.MultiDiscrete([[2, 2], [3, 3]])


class _Late(type(NARROW)):
    def action_space(self, shape, number_of_tiles):
        return spaces.Discrete(number_of_tiles + 1, start=1)


class _Idle(type(NARROW)):
    def edit(self, canvas, actions, active, uniforms):
        return super().edit(canvas, actions * 0, active, uniforms)


class _UnknownTile(type(NARROW)):
    def edit(self, canvas, actions, active, uniforms):
        return super().edit(canvas, actions + 1, active, uniforms)


class _OneTooMany(type(NARROW)):
    def action_space(self, shape, number_of_tiles):
        return spaces.Discrete(number_of_tiles + 2)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (_Spendthrift, "remaining"),
        (_Thaw, "frozen tile changed"),
        (_Miscount, "but edit says"),
        (_Restless, "not active"),
        (_Runaway, "off its level"),
        (_Neighbourly, "alone and among other lanes"),
        (_Careless, "begins on the frozen tile"),
        (_Everywhere, "moved the cursors of others"),
        (_Nested, "must be Discrete"),
        (_Late, "must be Discrete"),
        (_Idle, "no action ever changed"),
        (_UnknownTile, "unknown tile"),
        (_OneTooMany, "unknown tile"),
    ],
)
def test_the_contract_catches(kind, words):
    with pytest.raises(CheckError) as raised:
        check_representation(kind())
    assert words in str(raised.value)


def canvas_of(rows, cursor=(0, 0), remaining=99, frozen=(), design=None):
    levels = np.array([[[int(tile) for tile in row] for row in rows]], np.uint8)
    blocked = np.zeros(levels.shape, np.bool_)
    for place in frozen:
        blocked[0][place] = True
    notes = {} if design is None else design.notes(1, levels.shape[1:], 3)
    return Canvas(
        levels=levels,
        frozen=blocked,
        shapes=np.array([levels.shape[1:]]),
        cursors=np.array([cursor]),
        remaining=np.array([remaining]),
        free=np.array([levels.size - blocked.sum()]),
        number_of_tiles=3,
        notes=notes,
    )


def act(name, canvas, action, uniform=0.0, **options):
    """Applies one action; returns the level as rows, the cursor and the count."""
    design = dataclasses.replace(envs.get_representation(name), **options)
    uniforms = np.full((1, design.draws_per_step), uniform)
    changed = design.edit(canvas, np.array([action]), np.ones(1, np.bool_), uniforms)
    return ["".join(map(str, row)) for row in canvas.levels[0]], tuple(canvas.cursors[0].tolist()), int(changed[0])


BLANK = ["000", "000", "000"]


@pytest.mark.parametrize(
    ("name", "options", "action", "level", "cursor", "changed"),
    [
        ("narrow", {"order": "sequential"}, 0, BLANK, (1, 2), 0),
        ("narrow", {"order": "sequential"}, 1, BLANK, (1, 2), 0),
        ("narrow", {"order": "sequential"}, 3, ["000", "020", "000"], (1, 2), 1),
        ("narrow", {}, 2, ["000", "010", "000"], (0, 0), 1),
        ("narrowcast", {}, [0, 2], BLANK, (0, 0), 0),
        ("narrowcast", {}, [1, 2], ["000", "020", "000"], (0, 0), 1),
        ("narrowcast", {}, [2, 1], ["111", "111", "111"], (0, 0), 9),
        ("narrowmulti", {}, [0, 1, 2, 3, 0, 0, 0, 0, 2], ["001", "200", "001"], (0, 0), 3),
        ("turtle", {}, 0, BLANK, (1, 0), 0),
        ("turtle", {}, 1, BLANK, (1, 2), 0),
        ("turtle", {}, 2, BLANK, (0, 1), 0),
        ("turtle", {}, 3, BLANK, (2, 1), 0),
        ("turtle", {}, 4, BLANK, (1, 1), 0),
        ("turtle", {}, 6, ["000", "020", "000"], (1, 1), 1),
        ("turtlecast", {}, [3, 1], BLANK, (2, 1), 0),
        ("turtlecast", {}, [4, 1], ["000", "010", "000"], (1, 1), 1),
        ("turtlecast", {}, [5, 2], ["222", "222", "222"], (1, 1), 9),
        ("wide", {}, [2, 0, 1], ["001", "000", "000"], (1, 1), 1),
        ("cellular", {}, [0, 1, 2, 0, 0, 0, 2, 1, 0], ["012", "000", "210"], (1, 1), 4),
    ],
)
def test_what_actions_mean(name, options, action, level, cursor, changed):
    assert act(name, canvas_of(BLANK, (1, 1)), action, **options) == (level, cursor, changed)


@pytest.mark.parametrize("name", ["turtle", "turtlecast"])
@pytest.mark.parametrize(
    ("start", "direction", "stays", "wraps"),
    [
        ((0, 0), 0, (0, 0), (0, 2)),
        ((1, 2), 1, (1, 2), (1, 0)),
        ((0, 1), 2, (0, 1), (2, 1)),
        ((2, 2), 3, (2, 2), (0, 2)),
    ],
)
def test_turtles_at_the_edge(name, start, direction, stays, wraps):
    action = direction if name == "turtle" else [direction, 0]
    assert act(name, canvas_of(BLANK, start), action)[1] == stays
    assert act(name, canvas_of(BLANK, start), action, wrap=True)[1] == wraps


def test_patches_stop_at_the_edge_at_frozen_tiles_and_at_the_budget():
    assert act("turtlecast", canvas_of(BLANK, (0, 0)), [5, 1])[0] == ["110", "110", "000"]
    assert act("turtlecast", canvas_of(BLANK, (1, 1), frozen=[(0, 0), (2, 2)]), [5, 1])[0] == ["011", "111", "110"]
    assert act("turtlecast", canvas_of(BLANK, (1, 1), remaining=4), [5, 1])[::2] == (["111", "100", "000"], 4)


def test_a_small_budget_favours_no_corner_of_a_cellular_level():
    changed = np.zeros(9)
    for uniform in (np.arange(9) + 0.5) / 9:
        level, _, count = act("cellular", canvas_of(BLANK, remaining=2), [1] * 9, uniform)
        assert count == 2
        changed += np.array([int(tile) for tile in "".join(level)])
    assert (changed == 2).all()


def test_a_sequence_goes_round_the_free_cells_and_a_random_order_to_all_of_them():
    frozen = [(0, 0), (1, 1), (2, 2)]
    free = [cell for cell in itertools.product(range(3), range(3)) if cell not in frozen]
    canvas = canvas_of(BLANK, frozen=frozen)
    NARROW.place(canvas, np.arange(1), np.zeros((1, 1)))
    visited = [act("narrow", canvas, 0, order="sequential")[1] for _ in range(7)]
    assert visited == [*free[1:], *free[:2]]
    uniforms = (np.arange(60) + 0.5) / 60
    drawn = [act("narrow", canvas, 0, uniform)[1] for uniform in uniforms]
    assert {cell: drawn.count(cell) for cell in free} == dict.fromkeys(free, 10)


@pytest.mark.parametrize("name", FREE_FORMS)
def test_each_tile_can_be_written_to_each_cell(name):
    """Together with the contract: the action space holds all that is needed and nothing that is invalid."""
    design = envs.get_representation(name)
    space = design.action_space((3, 3), 3)
    generator = np.random.default_rng(0)
    sizes = np.array([space.n]) if isinstance(space, spaces.Discrete) else space.nvec
    written = set()
    canvas = canvas_of(BLANK, design=design)
    lanes = np.arange(1)
    design.place(canvas, lanes, generator.random((1, design.draws_at_start)))
    for _ in range(1500):
        if design.ends and design.finished(canvas).all():
            design.place(canvas, lanes, generator.random((1, design.draws_at_start)))
        before = canvas.levels[0].copy()
        action = generator.integers(0, sizes)
        design.edit(
            canvas,
            action if isinstance(space, spaces.Discrete) else action[None],
            np.ones(1, np.bool_),
            generator.random((1, design.draws_per_step)),
        )
        for place in np.argwhere(before != canvas.levels[0]):
            written.add((*place.tolist(), int(canvas.levels[0][tuple(place)])))
        if len(written) == 27:
            break
    assert len(written) == 27


def test_wide_offers_every_cell_and_tile_and_nothing_else():
    space = envs.get_representation("wide").action_space((4, 7), 5)
    assert space.nvec.tolist() == [7, 4, 5]
