"""A level under the brush, with its locks and with everything that can be taken back."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

#: How many strokes can be taken back.
MOST_UNDO = 500

Snapshot = tuple[NDArray[np.uint8], NDArray[np.bool_]]


@dataclass
class Drawing:
    """A level that is being painted.

    Attributes:
        level: uint8 (height, width).
        frozen: bool (height, width), the locked tiles.
        past: what the drawing was before each stroke, the latest last.
        future: what was taken back, the latest last.
    """

    level: NDArray[np.uint8]
    frozen: NDArray[np.bool_] = field(init=False)
    past: list[Snapshot] = field(default_factory=list)
    future: list[Snapshot] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begins with nothing locked, on a copy of the level."""
        self.replace(self.level)

    def replace(self, level: NDArray[np.uint8]) -> None:
        """Takes a copy of another level, which may have another shape, with nothing locked."""
        self.level = np.array(level, np.uint8)
        self.frozen = np.zeros(self.level.shape, np.bool_)

    def snapshot(self) -> Snapshot:
        """Returns copies of the level and its locks."""
        return self.level.copy(), self.frozen.copy()

    def keep(self) -> None:
        """Marks the beginning of a stroke, to which one undo goes back."""
        if not self.past or not self._equals(self.past[-1]):
            self.past.append(self.snapshot())
            del self.past[:-MOST_UNDO]
        self.future.clear()

    def undo(self) -> bool:
        """Goes back to before the last stroke that changed something; returns whether there was one."""
        return self._travel(self.past, self.future)

    def redo(self) -> bool:
        """Does again what was taken back last; returns whether there was something."""
        return self._travel(self.future, self.past)

    def _travel(self, source: list[Snapshot], target: list[Snapshot]) -> bool:
        now = self.snapshot()
        while source:
            level, frozen = source.pop()
            if not self._equals((level, frozen)):
                target.append(now)
                self.level, self.frozen = level, frozen
                return True
        return False

    def _equals(self, snapshot: Snapshot) -> bool:
        return np.array_equal(self.level, snapshot[0]) and np.array_equal(self.frozen, snapshot[1])
