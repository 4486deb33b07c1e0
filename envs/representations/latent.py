"""Latent: the designer moves through the latent space of a trained generator, which writes the level."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from envs.errors import UserError
from envs.kernels.draw import draw_normals
from envs.latents import LatentDecoder
from envs.problem import Shape
from envs.representation import ActionSpace, Canvas, Representation

#: No point has a number of greater size: standard normal ones have one once in 16,000 times.
FARTHEST = 4.0

#: How far the points of the mode "point" reach, in each direction.
POINT_BOUND = 3.0

#: How many actions there are for each segment of a level, where nothing else is said.
ACTIONS = {"step": 8, "point": 1}


@dataclass(frozen=True)
class Latent(Representation):
    """Whole levels, or segments of them, by way of a generator's latents (Volz 2018; as actions: Shu 2021).

    The action is Box(k) of float32, k being the decoder's number of latents: a step in [-1, 1] that is added, times
    `step_size`, to the point where the lane stands, or, in the mode "point", the point itself, in [-3, 3]. The level is
    what the decoder makes of that point. Frozen tiles are given to the decoder as fixed, and stay whatever it does.

    Where the decoder's levels are narrower than the environment's, each action writes one segment, from left to right
    and from the left again; the last begins where it ends with the level, and may overlap the one before. Every segment
    has a point of its own. The cursor is the first cell of the next segment.

    An episode begins with points drawn from the prior and the level that they stand for; start levels that are given
    stand until the first action. It terminates at success, or with the last of its `steps` actions; there is no change
    budget. Besides the whole level the observation shows `latent`, float32 (k,), the point of the next segment.

    Attributes:
        decoder: what turns points into levels; `generators.latent_decoder(folder)` makes one. There is no default.
        mode: "step" or "point".
        step_size: how far a step of 1 goes.
        steps: how many actions an episode has; None is 8 for each segment in steps, and 1 in points.
    """

    name: str = "latent"
    decoder: LatentDecoder | None = None
    mode: Literal["step", "point"] = "step"
    step_size: float = 0.5
    steps: int | None = None

    needs = ("decoder",)
    shows_level = True
    has_budget = False
    starts_free = False
    can_look_ahead = False
    ends = True

    def __post_init__(self) -> None:
        """Refuses options that cannot be used."""
        size = self.step_size
        if not isinstance(size, (int, float)) or isinstance(size, bool) or not 0 < size < math.inf:
            raise UserError(f"step_size of latent must be a finite number above 0; got {size!r}.")
        steps = self.steps
        if steps is not None and (not isinstance(steps, (int, np.integer)) or isinstance(steps, bool) or steps < 1):
            raise UserError(f"steps of latent must be a whole number of at least 1, or None; got {steps!r}.")
        decoder = self.decoder
        if decoder is not None and not isinstance(decoder, LatentDecoder):
            raise UserError(
                "decoder of latent must have problem, shape, latents and decode(latents, fixed), as "
                f"generators.latent_decoder makes it; got {decoder!r}."
            )

    @property
    def given(self) -> LatentDecoder:
        """The decoder.

        Raises:
            UserError: there is none.
        """
        if self.decoder is None:
            raise UserError(
                "latent needs a decoder: train a generator and give decoder=generators.latent_decoder(folder)."
            )
        return self.decoder

    def check(self, problem: str, shape: Shape, least_shape: Shape) -> None:
        """Refuses levels that the decoder cannot write.

        Raises:
            UserError: there is no decoder, or it is of another problem or shape, or levels differ in shape.
        """
        decoder = self.given
        if decoder.problem != problem:
            raise UserError(f"The decoder of latent writes levels of {decoder.problem}; got the problem {problem}.")
        own = tuple(decoder.shape)
        if len(own) != len(shape) or own[:-1] != shape[:-1] or own[-1] > shape[-1] or decoder.latents < 1:
            raise UserError(
                f"The decoder of latent writes levels of {own} from {decoder.latents} latents; they must be as high as "
                f"the environment's, {shape}, and no wider: give shape={own}."
            )
        if least_shape != shape:
            raise UserError("latent writes levels of one shape: leave min_shape out.")

    def lefts(self, shape: Shape) -> NDArray[np.int64]:
        """Returns the first column of each segment, int64 (segments,)."""
        width = self.given.shape[-1]
        return np.append(np.arange(0, shape[-1] - width, width), shape[-1] - width)

    def limit(self, shape: Shape) -> int:
        """Returns how many actions an episode has."""
        return int(self.steps or ACTIONS[self.mode] * len(self.lefts(shape)))

    def action_space(self, shape: Shape, number_of_tiles: int) -> ActionSpace:
        """Returns Box(-1, 1) for steps, Box(-3, 3) for points, float32 (k,)."""
        bound = 1.0 if self.mode == "step" else POINT_BOUND
        return spaces.Box(-bound, bound, (self.given.latents,), np.float32)

    def parts(self, shape: Shape, number_of_tiles: int) -> dict[str, spaces.Space]:
        """Returns the space of `latent`."""
        return {"latent": spaces.Box(-FARTHEST, FARTHEST, (self.given.latents,), np.float32)}

    def notes(self, lanes: int, shape: Shape, number_of_tiles: int) -> dict[str, NDArray]:
        """Returns room for the point of every segment, and how many actions were taken."""
        return {
            "points": np.zeros((lanes, len(self.lefts(shape)), self.given.latents), np.float32),
            "taken": np.zeros(lanes, np.int64),
            "finished": np.zeros(lanes, np.bool_),
        }

    def draws(self, shape: Shape) -> int:
        """Returns how many numbers the points of a level are drawn from, which is even."""
        numbers = len(self.lefts(shape)) * self.given.latents
        return numbers + numbers % 2

    def place(self, canvas: Canvas, lanes: NDArray[np.int64], uniforms: NDArray[np.float64]) -> None:
        """Draws points from the prior."""
        normals = np.empty_like(uniforms)
        draw_normals(np.ascontiguousarray(uniforms), FARTHEST, normals)
        points = canvas.notes["points"]
        points[lanes] = normals[:, : points[0].size].reshape(len(lanes), *points.shape[1:])
        canvas.notes["taken"][lanes] = 0
        canvas.notes["finished"][lanes] = False
        canvas.cursors[lanes] = 0

    def start(self, canvas: Canvas, lanes: NDArray[np.int64]) -> None:
        """Writes the levels that the points stand for; nothing is frozen before there is a level."""
        points, shape = canvas.notes["points"][lanes], canvas.levels.shape[1:]
        for segment, left in enumerate(self.lefts(shape)):
            columns = slice(left, left + self.given.shape[-1])
            canvas.levels[lanes, ..., columns] = self._decoded(points[:, segment], None, canvas.number_of_tiles)

    def edit(
        self,
        canvas: Canvas,
        actions: NDArray[np.float32],
        active: NDArray[np.bool_],
        uniforms: NDArray[np.float64],
    ) -> NDArray[np.int64]:
        """Moves the point of a segment, and writes what it then stands for."""
        changed = np.zeros(len(active), np.int64)
        notes, shape = canvas.notes, canvas.levels.shape[1:]
        lanes = (active & ~notes["finished"]).nonzero()[0]
        if not len(lanes):
            return changed
        lefts = self.lefts(shape)
        segments = notes["taken"][lanes] % len(lefts)
        points = actions[lanes]
        if self.mode == "step":
            points = notes["points"][lanes, segments] + np.float32(self.step_size) * points
        points = np.clip(points, -FARTHEST, FARTHEST).astype(np.float32)
        notes["points"][lanes, segments] = points
        # Where each lane's segment lies: columns come first where an index is an array.
        columns = lefts[segments][:, None] + np.arange(self.given.shape[-1])
        rows = lanes[:, None], columns
        levels, frozen = (np.moveaxis(cells, -1, 1)[rows] for cells in (canvas.levels, canvas.frozen))
        fixed = None
        if frozen.any():
            fixed = np.ascontiguousarray(np.moveaxis(np.where(frozen, levels.astype(np.int16), np.int16(-1)), 1, -1))
        made = np.moveaxis(self._decoded(points, fixed, canvas.number_of_tiles), -1, 1)
        written = np.where(frozen, levels, made)
        changed[lanes] = (written != levels).reshape(len(lanes), -1).sum(axis=1)
        np.moveaxis(canvas.levels, -1, 1)[rows] = written
        taken = notes["taken"][lanes] + 1
        notes["taken"][lanes] = taken
        notes["finished"][lanes] = taken >= self.limit(shape)
        canvas.cursors[lanes, -1] = lefts[taken % len(lefts)]
        return changed

    def _decoded(
        self, points: NDArray[np.float32], fixed: NDArray[np.int16] | None, number_of_tiles: int
    ) -> NDArray[np.uint8]:
        """Returns what the decoder makes of points, uint8 (n, *shape).

        Raises:
            UserError: it makes something else.
        """
        decoder = self.given
        levels = np.asarray(decoder.decode(np.ascontiguousarray(points), fixed))
        shape = (len(points), *decoder.shape)
        if levels.shape != shape or levels.dtype != np.uint8 or levels.max() >= number_of_tiles:
            raise UserError(
                f"The decoder of latent must return tiles 0 to {number_of_tiles - 1}, uint8 {shape}; it returned "
                f"{levels.dtype} {levels.shape}, up to {levels.max(initial=0)}."
            )
        return levels

    def observe(self, canvas: Canvas) -> dict[str, NDArray]:
        """Returns `latent`."""
        points = canvas.notes["points"]
        return {"latent": points[np.arange(len(points)), canvas.notes["taken"] % points.shape[1]]}

    def finished(self, canvas: Canvas) -> NDArray[np.bool_]:
        """Returns whether the last action has been taken."""
        return canvas.notes["finished"]


REPRESENTATION = Latent()
