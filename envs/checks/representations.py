"""Does a representation keep the contract of `envs.representation.Representation`?"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from envs.checks.compare import ALMOST_ONE, difference, require
from envs.problem import Shape, inside
from envs.representation import ActionSpace, Canvas, Representation
from envs.suite import get_representation

#: What representations are tried on: shapes of levels, and how many tiles there are.
CASES = (((5, 6), 3), ((2, 2), 2), ((4, 3), 8), ((3, 4, 2), 3), ((2, 2, 2), 2))


def check_representation(
    representation: str | Representation,
    *,
    seed: int = 0,
    steps: int = 60,
    cases: Sequence[tuple[Shape, int]] = CASES,
    ragged: bool = True,
) -> None:
    """Checks that a representation keeps the contract of `envs.representation.Representation`.

    It works on lanes of different shapes, budgets and shares of frozen tiles, some of them inactive, and holds that
    the action space is flat and each of its actions valid; that the counts returned are the true ones; that frozen
    tiles and cells outside a lane's shape never change, budgets are never exceeded, inactive lanes are left alone and
    cursors stay on the level; that an episode begins on a tile that is not frozen while there is one (`starts_free`);
    that what it shows is in its spaces; and that a lane does the same alone as among others.

    Args:
        representation: a representation or its name.
        seed: of the random levels and actions.
        steps: how many random actions to try on each batch.
        cases: the shapes of levels and the numbers of tiles to try, for one that cannot do all.
        ragged: whether lanes have shapes of their own, for one that can.

    Raises:
        CheckError: something does not hold.
    """
    design = get_representation(representation)
    require(design.name, "A representation needs a name.")
    generator = np.random.default_rng(seed)
    changes = 0
    for shape, tiles in cases:
        space = design.action_space(shape, tiles)
        _check_flat(space, f"{design.name}'s action space on levels of {shape}")
        canvas = _random_canvas(design, shape, tiles, generator, ragged)
        every = _actions(space, steps, len(canvas.levels), generator)
        for number, actions in enumerate(every):
            if number % 20 == 0:
                _check_place(design, canvas, generator)
                _check_views(design, canvas, space)
                canvas.remaining[:] = np.iinfo(np.int64).max
                if design.has_budget:
                    canvas.remaining[1:] = generator.integers(0, 6, len(canvas.levels) - 1)
            changes += _check_edit(design, canvas, actions, generator)
    require(changes, f"{design.name}: no action ever changed a tile.")


def _check_flat(space: ActionSpace, name: str) -> None:
    flat = (isinstance(space, spaces.Discrete) and space.start == 0) or (
        isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1 and not np.any(space.start)
    )
    if isinstance(space, spaces.Box):
        flat = len(space.shape) == 1 and space.dtype == np.float32 and space.is_bounded()
    require(
        flat,
        f"{name} must be Discrete or a one-dimensional MultiDiscrete, from 0 on, or a bounded one-dimensional Box of "
        f"float32; it is {space}.",
    )


def _random_canvas(
    design: Representation, shape: Shape, tiles: int, generator: np.random.Generator, ragged: bool
) -> Canvas:
    """Returns lanes of all sizes up to a shape, the first unfrozen and at full size, the second wholly frozen."""
    lanes = 8
    shapes = np.stack([generator.integers(1, size + 1, lanes) for size in shape], axis=1).astype(np.int64)
    shapes[: 2 if ragged else lanes] = shape
    own = shapes.reshape(lanes, len(shape), *(1,) * len(shape))
    within: NDArray[np.bool_] = np.all(np.indices(shape) < own, axis=1)
    levels = np.where(within, generator.integers(0, tiles, (lanes, *shape)), tiles).astype(np.uint8)
    frozen = (generator.random((lanes, *shape)) < np.linspace(0, 0.9, lanes).reshape(-1, *(1,) * len(shape))) & within
    frozen[0], frozen[1] = False, within[1]
    free = (within & ~frozen).reshape(lanes, -1).sum(axis=1).astype(np.int64)
    zeros = np.zeros((lanes, len(shape)), np.int64)
    notes = design.notes(lanes, shape, tiles)
    return Canvas(levels, frozen, shapes, zeros, np.zeros(lanes, np.int64), free, tiles, notes)


def _actions(space: ActionSpace, steps: int, lanes: int, generator: np.random.Generator) -> Iterator[NDArray[Any]]:
    """Yields batches of actions: the extremes of the space, then random ones, and all of a space that is small."""
    if isinstance(space, spaces.Box):
        for corner in (space.low, space.high):
            yield np.tile(corner, (lanes, 1))
        for _ in range(steps):
            yield generator.uniform(space.low, space.high, (lanes, *space.shape)).astype(np.float32)
        return
    sizes = np.array([space.n]) if isinstance(space, spaces.Discrete) else space.nvec.astype(np.int64)
    batches = [np.zeros((lanes, len(sizes)), np.int64), np.tile(sizes - 1, (lanes, 1))]
    total = float(np.prod(sizes.astype(np.float64)))
    if total <= 1000:
        whole = np.stack(np.unravel_index(np.arange(int(total)), sizes), axis=1)
        padding = generator.integers(0, sizes, (-len(whole) % lanes, len(sizes)))
        batches.extend(np.concatenate([generator.permutation(whole), padding]).reshape(-1, lanes, len(sizes)))
    for _ in range(steps):
        batches.append(generator.integers(0, sizes, (lanes, len(sizes))))
    for batch in batches:
        yield batch[:, 0].copy() if isinstance(space, spaces.Discrete) else np.ascontiguousarray(batch, np.int64)


def _lanes_of(canvas: Canvas, lanes: Sequence[int] | NDArray[np.int64] | slice) -> Canvas:
    """Returns a canvas that is a copy of some lanes."""
    arrays = {
        field.name: getattr(canvas, field.name)[lanes].copy()
        for field in dataclasses.fields(canvas)
        if field.name not in ("number_of_tiles", "notes")
    }
    notes = {name: part[lanes].copy() for name, part in canvas.notes.items()}
    return Canvas(number_of_tiles=canvas.number_of_tiles, notes=notes, **arrays)


def _uniforms(shape: tuple[int, int], generator: np.random.Generator) -> NDArray[np.float64]:
    uniforms = generator.random(shape)
    uniforms[generator.random(shape) < 0.1] = 0.0
    uniforms[generator.random(shape) < 0.1] = ALMOST_ONE
    return uniforms


def _check_cursors(design: Representation, canvas: Canvas, when: str) -> None:
    if design.has_cursor:
        for lane, (cursor, shape) in enumerate(zip(canvas.cursors, canvas.shapes, strict=True)):
            require(
                (cursor >= 0).all() and (cursor < shape).all(),
                f"{design.name}: {when}, lane {lane}'s cursor is at {cursor.tolist()}, off its level of "
                f"{shape.tolist()} (padded to {canvas.levels.shape[1:]}).",
            )


def _check_place(design: Representation, canvas: Canvas, generator: np.random.Generator) -> None:
    lanes = np.sort(generator.permutation(len(canvas.levels))[:5])
    everyone = np.arange(len(canvas.levels))
    draws = design.draws(canvas.levels.shape[1:])
    uniforms = _uniforms((len(everyone), draws), generator)
    design.place(canvas, everyone, uniforms)
    before = _lanes_of(canvas, slice(None))
    own = _uniforms((len(lanes), draws), generator)
    drawn = own.copy()
    design.place(canvas, lanes, own)
    require(difference(own, drawn) is None, f"{design.name}: place changes the uniforms that it is given.")
    cursors = canvas.cursors.copy()
    owned = {"cursors", "notes", *(["levels"] if design.writes_start else [])}
    kept, now = (
        {name: part for name, part in dataclasses.asdict(one).items() if name not in owned} for one in (before, canvas)
    )
    found = difference(kept, now, "the canvas")
    require(found is None, f"{design.name}: place changes more than the {', '.join(sorted(owned))}: {found}.")
    others = np.setdiff1d(everyone, lanes)
    require(
        np.array_equal(before.cursors[others], cursors[others]),
        f"{design.name}: place was to begin lanes {lanes.tolist()} and moved the cursors of others.",
    )
    spared, left = _lanes_of(before, others), _lanes_of(canvas, others)
    found = difference((spared.levels, spared.notes), (left.levels, left.notes))
    require(found is None, f"{design.name}: place was to begin lanes {lanes.tolist()} and touched others: {found}.")
    different = before.levels != canvas.levels
    require(
        not (different & (canvas.frozen | (before.levels == canvas.outside))).any(),
        f"{design.name}: place writes to cells that are frozen or outside a lane's own level.",
    )
    _check_cursors(design, canvas, "at the start of an episode")
    placed = _lanes_of(canvas, slice(None))
    design.start(canvas, lanes)
    still, touched = (dataclasses.asdict(_lanes_of(one, others)) for one in (placed, canvas))
    found = difference(still, touched, "the canvas")
    require(found is None, f"{design.name}: start was to begin lanes {lanes.tolist()} and touched others: {found}.")
    kept, now = ({**dataclasses.asdict(one), "levels": None} for one in (placed, canvas))
    found = difference(kept, now, "the canvas")
    require(found is None, f"{design.name}: start changes more than the levels: {found}.")
    require(
        ((canvas.levels == canvas.outside) == (placed.levels == canvas.outside)).all()
        and (canvas.levels <= canvas.outside).all(),
        f"{design.name}: start wrote an unknown tile, or outside a lane's own level.",
    )
    if design.has_cursor and design.starts_free:
        for lane in everyone:
            place = tuple(cursors[lane])
            require(
                not canvas.free[lane] or not canvas.frozen[lane][place],
                f"{design.name}: lane {lane} begins on the frozen tile {place} though {canvas.free[lane]} are free.",
            )


def _check_views(design: Representation, canvas: Canvas, space: ActionSpace) -> None:
    """Checks what the representation shows of the canvas."""
    shape, tiles = canvas.levels.shape[1:], canvas.number_of_tiles
    picture = design.picture(canvas)
    require(
        picture.dtype == np.uint8 and picture.shape == canvas.levels.shape and (picture < design.map_ids(tiles)).all(),
        f"{design.name}: the picture must hold ids below {design.map_ids(tiles)}, uint8 {canvas.levels.shape}; it is "
        f"{picture.dtype} {picture.shape} up to {picture.max()}.",
    )
    parts, seen = design.parts(shape, tiles), design.observe(canvas)
    require(set(parts) == set(seen), f"{design.name} declares the parts {sorted(parts)} and shows {sorted(seen)}.")
    for name, part in seen.items():
        for lane, row in enumerate(part):
            require(
                row.dtype == parts[name].dtype and parts[name].contains(row),
                f"{design.name}: lane {lane}'s {name!r}, {row.dtype} {row.tolist()}, is not in {parts[name]}.",
            )
    finished = design.finished(canvas)
    require((finished is not None) == design.ends, f"{design.name}: it must tell what is finished just where it ends.")
    allowed = design.allowed(canvas)
    if allowed is not None:
        actions = getattr(space, "n", 0) or np.sum(getattr(space, "nvec", 0))
        require(
            allowed.shape == (len(canvas.levels), actions) and allowed.dtype == np.bool_ and allowed.any(axis=1).all(),
            f"{design.name}: allowed must be bool {(len(canvas.levels), int(actions))} with a choice in every lane; it "
            f"is {allowed.dtype} {allowed.shape}.",
        )


def _check_edit(design: Representation, canvas: Canvas, actions: NDArray[Any], generator: np.random.Generator) -> int:
    """Checks one edit of every lane and returns how many tiles changed."""
    lanes = len(canvas.levels)
    active = generator.random(lanes) < 0.8
    uniforms = _uniforms((lanes, design.draws_per_step), generator)
    before = _lanes_of(canvas, slice(None))
    given = copy.deepcopy((actions, active, uniforms))
    changed = design.edit(canvas, actions, active, uniforms)
    found = difference(given, (actions, active, uniforms), "(actions, active, uniforms)")
    require(found is None, f"{design.name}: edit changes what it is given: {found}.")
    require(
        changed.shape == (lanes,) and changed.dtype == np.int64,
        f"{design.name}: edit must return int64 ({lanes},); it returns {changed.dtype} {changed.shape}.",
    )
    for name in ("frozen", "shapes", "remaining", "free"):
        found = difference(getattr(before, name), getattr(canvas, name))
        require(found is None, f"{design.name}: edit changes the canvas's {name}: {found}.")
    _check_cursors(design, canvas, f"after the actions {actions.tolist()}")
    different = before.levels != canvas.levels
    for lane in range(lanes):
        name = (
            f"{design.name}: action {actions[lane].tolist()} at {before.cursors[lane].tolist()} on lane {lane} of "
            f"{canvas.shapes[lane].tolist()}, padded to {canvas.levels.shape[1:]}"
        )
        count = int(different[lane].sum())
        own = (lane, *inside(canvas.shapes[lane]))
        require(changed[lane] == count, f"{name}: {count} tiles changed, but edit says {changed[lane]}.")
        require(count <= canvas.remaining[lane], f"{name}: {count} changes with {canvas.remaining[lane]} remaining.")
        require(not (different[lane] & canvas.frozen[lane]).any(), f"{name}: a frozen tile changed.")
        require((canvas.levels[own] < canvas.number_of_tiles).all(), f"{name}: wrote an unknown tile.")
        require(count == different[own].sum(), f"{name}: a cell outside the lane's own level changed.")
        if not active[lane]:
            idle = not count and np.array_equal(before.cursors[lane], canvas.cursors[lane])
            idle = idle and not difference(_lanes_of(before, [lane]).notes, _lanes_of(canvas, [lane]).notes)
            require(idle, f"{name}: the lane was not active.")
        alone = _lanes_of(before, [lane])
        alone_changed = design.edit(alone, actions[[lane]], active[[lane]], uniforms[[lane]])
        found = difference(
            (alone.levels[0], alone.cursors[0], alone_changed[0], alone.notes),
            (canvas.levels[lane], canvas.cursors[lane], changed[lane], _lanes_of(canvas, [lane]).notes),
        )
        require(found is None, f"{name}: it acts differently alone and among other lanes: {found}.")
    return int(changed.sum())
