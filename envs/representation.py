"""What a representation is: how a designer's actions change levels (Khalifa 2020)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from envs.problem import Shape

#: Action spaces are flat, as the learners of the field expect.
ActionSpace = spaces.Discrete | spaces.MultiDiscrete | spaces.Box


@dataclass
class Canvas:
    """The batch of levels that a representation works on. Every array has a leading lane axis of length n.

    Attributes:
        levels: uint8 (n, *shape) of tile ids, changed in place; a shape is (height, width) or (depth, height, width).
            Cells outside a lane's own shape hold `outside` and are never changed.
        frozen: bool (n, *shape), True where no action may change the tile.
        shapes: int64 (n, axes), each lane's own shape, at most that of `levels`.
        cursors: int64 (n, axes), the row and column, or storey, row and column, that the designer is at.
        remaining: int64 (n,), how many tiles each lane may still change.
        free: int64 (n,), how many cells of each lane are not frozen.
        number_of_tiles: how many tiles there are; ids are 0 to number_of_tiles - 1.
        notes: what the representation keeps in mind of the lanes besides; see `Representation.notes`.
    """

    levels: NDArray[np.uint8]
    frozen: NDArray[np.bool_]
    shapes: NDArray[np.int64]
    cursors: NDArray[np.int64]
    remaining: NDArray[np.int64]
    free: NDArray[np.int64]
    number_of_tiles: int
    notes: dict[str, NDArray] = field(default_factory=dict)

    @property
    def outside(self) -> int:
        """The id that stands for a cell outside the level."""
        return self.number_of_tiles

    @property
    def storeys(self) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """The levels and frozen cells as the kernels see them, (n, depth, height, width), sharing their memory."""
        shape = (len(self.levels), -1, *self.levels.shape[-2:])
        return self.levels.reshape(shape), self.frozen.reshape(shape)


@dataclass(frozen=True)
class Representation(ABC):
    """How a designer edits levels; knows no problem.

    A file in `envs/representations/` defines one frozen dataclass derived from this and exports one instance,
    REPRESENTATION. Its fields are its options; an environment that is given other values works on a copy.

    Attributes:
        name: the representation's name, as it appears in environment ids.
    """

    name: str

    #: Whether the designer is at one cell at a time, around which the observation is centred.
    has_cursor = True

    #: How many fresh uniform random numbers each lane needs at the start of an episode (see `draws`), and at each step.
    draws_at_start = 0
    draws_per_step = 0

    #: Whether the observation shows the level as it stands, where there is a cursor but no `crop` was asked for.
    shows_level = False

    #: Whether episodes have a change budget.
    has_budget = True

    #: Whether an episode begins with the cursor on a cell that is not frozen, while there is one.
    starts_free = True

    #: Whether it makes sense to show what each action would improve.
    can_look_ahead = True

    #: Whether its own last action ends an episode; see `finished`.
    ends = False

    #: Whether success may end an episode.
    heeds_success = True

    #: The options that have no default, without which no environment can be made.
    needs: ClassVar[tuple[str, ...]] = ()

    @property
    def writes_start(self) -> bool:
        """Whether `place` writes tiles."""
        return False

    def check(self, problem: str, shape: Shape, least_shape: Shape) -> None:
        """Refuses levels that cannot be designed so.

        Args:
            problem: the problem's name.
            shape: the shape of levels, or the greatest.
            least_shape: the smallest.

        Raises:
            UserError: what is wrong with them, or which option is missing.
        """
        return

    @abstractmethod
    def action_space(self, shape: Shape, number_of_tiles: int) -> ActionSpace:
        """Returns the actions of one lane on levels of at most the given shape. Every action in it is valid."""

    def map_ids(self, number_of_tiles: int) -> int:
        """Returns how many ids the map of the observation can show: the tiles, and one for outside."""
        return number_of_tiles + 1

    def parts(self, shape: Shape, number_of_tiles: int) -> dict[str, spaces.Space]:
        """Returns the spaces of what `observe` shows of one lane, by name."""
        return {}

    def notes(self, lanes: int, shape: Shape, number_of_tiles: int) -> dict[str, NDArray]:
        """Returns room for what is kept in mind of so many lanes: arrays with a leading lane axis."""
        return {}

    def draws(self, shape: Shape) -> int:
        """Returns how many fresh uniform random numbers each lane needs at the start of an episode."""
        return self.draws_at_start

    def place(self, canvas: Canvas, lanes: NDArray[np.int64], uniforms: NDArray[np.float64]) -> None:
        """Puts the cursors of the lanes that begin an episode where they belong.

        Args:
            canvas: the batch; `cursors` and `notes` are changed, and `levels` where `writes_start`.
            lanes: int64 (k,), the lanes that begin.
            uniforms: float64 (k, draws) in [0, 1).
        """
        canvas.cursors[lanes] = 0

    def start(self, canvas: Canvas, lanes: NDArray[np.int64]) -> None:
        """Writes start levels of its own, after `place`, to lanes that begin with none that was given.

        Args:
            canvas: the batch; `levels` is changed, frozen or not.
            lanes: int64 (k,), the lanes that begin.
        """
        return

    @abstractmethod
    def edit(
        self,
        canvas: Canvas,
        actions: NDArray[Any],
        active: NDArray[np.bool_],
        uniforms: NDArray[np.float64],
    ) -> NDArray[np.int64]:
        """Applies one action in every active lane.

        Frozen tiles stay as they are, and no more tiles change than `canvas.remaining` allows. When this returns,
        the cursor is where the *next* action will work.

        Args:
            canvas: the batch; `levels`, `cursors` and `notes` are changed.
            actions: int64 (n,) for a discrete action space, (n, k) for k numbers an action; float32 (n, k) for a Box.
            active: bool (n,); lanes that are not active are left alone.
            uniforms: float64 (n, draws_per_step) in [0, 1).

        Returns:
            int64 (n,), how many tiles changed in each lane.
        """

    def picture(self, canvas: Canvas) -> NDArray[np.uint8]:
        """Returns what the map of the observation is taken from, uint8 (n, *shape): the levels."""
        return canvas.levels

    def observe(self, canvas: Canvas) -> dict[str, NDArray]:
        """Returns what the observation shows besides, by the names in `parts`, in arrays of its own."""
        return {}

    def finished(self, canvas: Canvas) -> NDArray[np.bool_] | None:
        """Returns whether each lane's last action has been taken, bool (n,), where `ends`; None otherwise."""
        return None

    def allowed(self, canvas: Canvas) -> NDArray[np.bool_] | None:
        """Returns which actions mean what they say, bool (n, actions); None where all of them do."""
        return None
