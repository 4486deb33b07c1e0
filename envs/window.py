"""A window that follows an environment picture by picture, for render_mode="human"."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from envs.errors import UserError

if TYPE_CHECKING:
    from types import ModuleType

#: Every open window; the events of all of them come through one queue.
_open_windows: WeakSet[Window] = WeakSet()


class Window:
    """A window for one environment, opened by the first picture that it is shown.

    Small pictures are enlarged by a whole number, so that pixels stay crisp; a window whose size the user changed
    keeps that size and shows the picture as large as fits. Once the user has closed the window it stays closed:
    further pictures are dropped, and the environment runs on undisturbed.

    Args:
        title: what the title bar says.
        smallest: the least length of the longer side of a fresh window, in pixels.
    """

    def __init__(self, title: str, smallest: int = 480) -> None:
        self.title = title
        self.closed_by_user = False
        self._smallest = smallest
        self._window: Any = None
        self._clock: Any = None
        self._picture_size = (0, 0)

    @property
    def is_open(self) -> bool:
        """Whether the window is on the screen."""
        return self._window is not None

    def show(self, rgb: NDArray[np.uint8], frames_per_second: float = 10) -> None:
        """Shows a picture, and waits as long as keeps pictures to the given pace.

        Args:
            rgb: uint8 (height, width, 3).
            frames_per_second: how many pictures a second there are at most.

        Raises:
            UserError: pygame is not installed, or there is no screen to open a window on.
        """
        if self.closed_by_user:
            return
        pygame = import_pygame()
        height, width = rgb.shape[:2]
        if self._window is None:
            self._open(pygame, (width, height))
        elif (width, height) != self._picture_size:
            self._window.size = self._fresh_size((width, height))
        self._picture_size = (width, height)
        self._heed_events(pygame)
        if self._window is None:
            return
        screen = self._window.get_surface()
        picture = pygame.surfarray.make_surface(rgb.swapaxes(0, 1))
        scale = min(screen.get_width() / width, screen.get_height() / height)
        scale = int(scale) if scale >= 1 else scale
        size = max(int(width * scale), 1), max(int(height * scale), 1)
        place = (screen.get_width() - size[0]) // 2, (screen.get_height() - size[1]) // 2
        screen.fill((30, 29, 42))
        screen.blit(pygame.transform.scale(picture, size), place)
        self._window.flip()
        self._clock.tick(frames_per_second)

    def close(self) -> None:
        """Closes the window; the next picture opens it again. A closed window is left alone."""
        self.closed_by_user = False
        self._destroy()

    def _open(self, pygame: ModuleType, picture_size: tuple[int, int]) -> None:
        open_display(pygame)
        self._window = pygame.Window(self.title, self._fresh_size(picture_size), resizable=True)
        self._clock = pygame.time.Clock()
        _open_windows.add(self)

    def _fresh_size(self, picture_size: tuple[int, int]) -> tuple[int, int]:
        scale = max(-(-self._smallest // max(picture_size)), 1)
        return picture_size[0] * scale, picture_size[1] * scale

    def _destroy(self) -> None:
        if self._window is not None:
            self._window.destroy()
            self._window = None
            _open_windows.discard(self)

    @staticmethod
    def _heed_events(pygame: ModuleType) -> None:
        """Closes the windows whose close buttons were pressed, this one or another."""
        for event in pygame.event.get():
            for window in list(_open_windows):
                if event.type == pygame.QUIT or (
                    event.type == pygame.WINDOWCLOSE and getattr(event, "window", None) is window._window
                ):
                    window.closed_by_user = True
                    window._destroy()


def import_pygame() -> ModuleType:
    """Returns the pygame module.

    Raises:
        UserError: it is not installed, or is one without windows of their own.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        import pygame  # noqa: PLC0415 (pygame is an extra)
    except ImportError as error:
        raise UserError(
            "Windows need pygame-ce, which is not installed: run pip install 'tilewright[play]'."
        ) from error
    if not hasattr(pygame, "Window"):
        raise UserError(
            f"Windows need pygame-ce 2.5 or newer, but pygame {pygame.version.ver} is installed: "
            "run pip uninstall pygame, then pip install --force-reinstall pygame-ce."
        )
    return pygame


def open_display(pygame: ModuleType) -> None:
    """Makes the screen ready to open windows on.

    Raises:
        UserError: there is no screen.
    """
    asked_for = os.environ.get("SDL_VIDEODRIVER", "")
    if not asked_for and sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        # SDL would draw where nobody looks, and say nothing.
        raise UserError(
            "No window can be opened because there is no screen here (neither DISPLAY nor WAYLAND_DISPLAY is set); "
            "run this on a machine with a screen."
        )
    try:
        pygame.display.init()
    except pygame.error as error:
        raise UserError(f"No window can be opened: {error}; run this on a machine with a screen.") from error
