"""The actions that a batch of design environments is given."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from envs.errors import UserError
from envs.representation import ActionSpace


class Actions:
    """Checks actions.

    Attributes:
        shape: (lanes,) for one number a lane, else (lanes, numbers).
        sizes: int64 (numbers,); each number of an action is at least 0 and below its size. Empty for points in a Box.
    """

    def __init__(self, space: ActionSpace, lanes: int) -> None:
        """Reads the sizes off the action space of one lane."""
        self._space = space
        self._nothing = np.zeros(0, np.int64)
        if isinstance(space, spaces.Discrete):
            self.shape: tuple[int, ...] = (lanes,)
            self.sizes = np.array([space.n], np.int64)
        elif isinstance(space, spaces.MultiDiscrete):
            self.shape = (lanes, len(space.nvec))
            self.sizes = space.nvec.astype(np.int64)
        else:
            self.shape = (lanes, *space.shape)
            self.sizes = self._nothing

    def check(self, actions: ArrayLike) -> NDArray[Any]:
        """Returns actions as a contiguous array that kernels take: int64, or float32 for points in a Box.

        Whether whole numbers are in range is for `refuse` to say.

        Raises:
            UserError: they are not whole numbers, or of another shape; points are no numbers, or out of range.
        """
        kind = "numbers" if isinstance(self._space, spaces.Box) else "whole numbers"
        try:
            array = np.asarray(actions)
        except ValueError:
            raise UserError(
                f"Actions must be {kind} of shape {self.shape}; the actions given differ in length."
            ) from None
        if array.shape != self.shape or array.dtype.kind not in ("iuf" if kind == "numbers" else "iu"):
            raise UserError(
                f"Actions must be {kind} of shape {self.shape} in {self._in_words()}; "
                f"got {array.dtype} of shape {array.shape}."
            )
        if isinstance(self._space, spaces.Box):
            points = np.ascontiguousarray(array, np.float32)
            # What is not finite is in no range either.
            wrong = ~((points >= self._space.low) & (points <= self._space.high)).all(axis=1)
            if wrong.any():
                lane = int(wrong.argmax())
                raise UserError(
                    f"The action of lane {lane}, numbers from {points[lane].min():g} to {points[lane].max():g}, is not "
                    f"in {self._in_words()}."
                )
            return points
        checked = np.ascontiguousarray(array, np.int64)
        # The kernels would be compiled anew for an array that is read-only.
        return checked if checked.flags.writeable else checked.copy()

    def choices(self, actions: NDArray[Any]) -> NDArray[np.int64]:
        """Returns checked actions as a kernel looks through them for what is out of range: one number after another."""
        return actions.reshape(-1) if len(self.sizes) else self._nothing

    def refuse(self, actions: NDArray[np.int64]) -> UserError:
        """Returns the error that names the first action that is out of range."""
        rows = actions.reshape(self.shape[0], -1)
        lane = int(np.argwhere((rows < 0) | (rows >= self.sizes))[0, 0])
        return UserError(f"The action of lane {lane}, {actions[lane].tolist()}, is not in {self._in_words()}.")

    def _in_words(self) -> str:
        """Returns the actions of a lane in a few words, however many numbers they have."""
        if isinstance(self._space, spaces.Box):
            return f"Box, {self.shape[1]} numbers from {self._space.low.min():g} to {self._space.high.max():g}"
        if len(self.sizes) <= 4:
            return str(self._space)
        return f"MultiDiscrete, {len(self.sizes)} numbers below {int(self.sizes.max())}"
