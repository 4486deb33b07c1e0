"""The actions that a batch of design environments is given."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from envs.errors import UserError
from envs.representation import ActionSpace


class Actions:
    """Checks actions.

    Attributes:
        shape: (lanes,) for one number a lane, else (lanes, numbers).
        sizes: int64 (numbers,); each number of an action is at least 0 and below its size.
    """

    def __init__(self, space: ActionSpace, lanes: int) -> None:
        """Reads the sizes off the action space of one lane."""
        self._space = space
        if isinstance(space, spaces.Discrete):
            self.shape: tuple[int, ...] = (lanes,)
            self.sizes = np.array([space.n], np.int64)
        else:
            self.shape = (lanes, len(space.nvec))
            self.sizes = space.nvec.astype(np.int64)

    def check(self, actions: ArrayLike) -> NDArray[np.int64]:
        """Returns actions as a contiguous array that kernels take; whether they are in range is for `refuse` to say.

        Raises:
            UserError: they are not whole numbers, or of another shape.
        """
        try:
            array = np.asarray(actions)
        except ValueError:
            raise UserError(
                f"Actions must be whole numbers of shape {self.shape}; the actions given differ in length."
            ) from None
        if array.shape != self.shape or array.dtype.kind not in "iu":
            raise UserError(
                f"Actions must be whole numbers of shape {self.shape} in {self._in_words()}; "
                f"got {array.dtype} of shape {array.shape}."
            )
        checked = np.ascontiguousarray(array, np.int64)
        # The kernels would be compiled anew for an array that is read-only.
        return checked if checked.flags.writeable else checked.copy()

    def refuse(self, actions: NDArray[np.int64]) -> UserError:
        """Returns the error that names the first action that is out of range."""
        rows = actions.reshape(self.shape[0], -1)
        lane = int(np.argwhere((rows < 0) | (rows >= self.sizes))[0, 0])
        return UserError(f"The action of lane {lane}, {actions[lane].tolist()}, is not in {self._in_words()}.")

    def _in_words(self) -> str:
        """Returns the actions of a lane in a few words, however many numbers they have."""
        if len(self.sizes) <= 4:
            return str(self._space)
        return f"MultiDiscrete, {len(self.sizes)} numbers below {int(self.sizes.max())}"
