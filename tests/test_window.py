"""The window of render_mode="human", on a screen that is not there."""

from __future__ import annotations

import os
import subprocess
import sys

os.environ["SDL_VIDEODRIVER"] = "dummy"
os.environ["SDL_AUDIODRIVER"] = "dummy"

import gymnasium
import numpy as np
import pygame
import pytest

import envs
from envs.window import Window, open_display


@pytest.fixture
def window():
    made = Window("test")
    yield made
    made.close()


def picture(height=20, width=30, colour=(200, 40, 90)):
    return np.full((height, width, 3), colour, np.uint8)


def shown(window):
    return pygame.surfarray.array3d(window._window.get_surface()).swapaxes(0, 1)


def press_close_button(window):
    pygame.event.post(pygame.event.Event(pygame.WINDOWCLOSE, window=window._window))


def test_opens_at_the_first_picture_and_shows_it_enlarged(window):
    assert not window.is_open
    window.show(picture(), 1000)
    assert window.is_open
    assert shown(window).shape == (320, 480, 3)
    assert (shown(window) == (200, 40, 90)).all()


def test_follows_the_size_of_the_picture(window):
    window.show(picture(20, 30), 1000)
    window.show(picture(30, 20), 1000)
    assert shown(window).shape == (480, 320, 3)
    assert (shown(window) == (200, 40, 90)).all()


def test_a_large_picture_is_shown_as_it_is(window):
    window.show(picture(500, 600), 1000)
    assert shown(window).shape == (500, 600, 3)


def test_a_resized_window_keeps_its_size_and_the_picture_its_proportions(window):
    window.show(picture(100, 100), 1000)
    window._window.size = (700, 300)
    window.show(picture(100, 100), 1000)
    image = shown(window)
    assert image.shape == (300, 700, 3)
    assert (image[:, 200:500] == (200, 40, 90)).all()
    assert (image[:, :200] == (30, 29, 42)).all()


def test_the_close_button_closes_for_good(window):
    window.show(picture(), 1000)
    press_close_button(window)
    window.show(picture(), 1000)
    assert not window.is_open
    window.show(picture(), 1000)
    assert not window.is_open
    window.close()
    window.show(picture(), 1000)
    assert window.is_open


def test_two_windows_do_not_disturb_each_other(window):
    other = Window("other")
    window.show(picture(), 1000)
    other.show(picture(), 1000)
    press_close_button(other)
    window.show(picture(), 1000)
    assert window.is_open
    assert not other.is_open
    other.close()


def test_quitting_closes_all(window):
    other = Window("other")
    window.show(picture(), 1000)
    other.show(picture(), 1000)
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    window.show(picture(), 1000)
    assert not window.is_open
    assert not other.is_open


def test_keeps_the_pace(window):
    window.show(picture(), 1000)
    before = pygame.time.get_ticks()
    for _ in range(3):
        window.show(picture(), 20)
    assert pygame.time.get_ticks() - before >= 100


def test_close_twice(window):
    window.close()
    window.show(picture(), 1000)
    window.close()
    window.close()
    assert not window.is_open


def test_follows_the_design_environment():
    env = gymnasium.make("tilewright/binary-narrow-v0", render_mode="human")
    env.reset(seed=1)
    env.step(1)
    window = env.unwrapped.batch._pictures._window
    assert window.is_open
    env.close()
    assert not window.is_open


def test_follows_the_play_environment():
    env = gymnasium.make("tilewright/play-binary-v0", render_mode="human")
    env.reset(seed=1)
    env.step(1)
    window = env.unwrapped._window
    assert window.is_open
    env.close()
    assert not window.is_open


def test_no_pygame(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(envs.UserError, match=r"pip install 'tilewright\[play\]'"):
        Window("test").show(picture())


def test_another_pygame(monkeypatch):
    monkeypatch.delattr(pygame, "Window")
    with pytest.raises(envs.UserError, match=r"pygame-ce 2\.5 or newer"):
        Window("test").show(picture())


def test_no_screen(monkeypatch):
    monkeypatch.delenv("SDL_VIDEODRIVER")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(envs.UserError, match="there is no screen here"):
        Window("test").show(picture())


def test_a_screen_that_cannot_be_used():
    program = "import pygame; from envs.window import open_display; open_display(pygame)"
    environment = {**os.environ, "SDL_VIDEODRIVER": "nonsense"}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert "UserError: No window can be opened: nonsense not available" in result.stderr
    assert callable(open_display)
