"""Pictures of the lanes of a level-design environment, and the window that shows one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.problem import Problem, inside
from envs.representation import Canvas


class LanePictures:
    """Draws lanes as they stand.

    Args:
        problem: what the tiles look like.
        has_cursor: whether to draw the cursor.
        tile_size: the side of a drawn tile in pixels.
        title: the title of the window.
    """

    def __init__(self, problem: Problem, has_cursor: bool, tile_size: int, title: str) -> None:
        self._problem = problem
        self._has_cursor = has_cursor
        self._tile_size = tile_size
        self._title = title
        self._window: Any = None

    def draw(self, canvas: Canvas, lane: int) -> NDArray[np.uint8]:
        """Returns a lane's level, with its cursor and frozen tiles, as uint8 RGB (pixels, pixels, 3)."""
        from envs.pictures import render  # noqa: PLC0415 (Pillow is loaded only where pictures are made)

        own = (lane, *inside(canvas.shapes[lane]))
        frozen = canvas.frozen[own]
        return render(
            self._problem,
            canvas.levels[own],
            self._tile_size,
            cursor=tuple(canvas.cursors[lane]) if self._has_cursor else None,
            frozen=frozen if frozen.any() else None,
        )

    def show(self, canvas: Canvas, frames_per_second: float) -> None:
        """Shows the first lane in a window, which opens at the first call."""
        from envs.window import Window  # noqa: PLC0415 (pygame is an extra)

        if self._window is None:
            self._window = Window(self._title)
        self._window.show(self.draw(canvas, 0), frames_per_second)

    def close(self) -> None:
        """Closes the window, if one is open."""
        if self._window is not None:
            self._window.close()
            self._window = None
