"""What all tests share: hypothesis profiles, and windows that no screen is needed for."""

from __future__ import annotations

import os

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import pytest
from hypothesis import HealthCheck, settings

# Kernels compile at their first call, so that the first example may take seconds: no deadline.
_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("default", max_examples=25, **_COMMON)
settings.register_profile("ci", max_examples=25, derandomize=True, **_COMMON)
settings.register_profile("few", max_examples=3, derandomize=True, **_COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default"))


@pytest.fixture
def app(tmp_path):
    """The window of `python -m experiments.play` at its menu."""
    from experiments.playroom.app import App
    from experiments.playroom.library import Library

    made = App(Library(designers_folder=tmp_path / "none"), "zelda", tmp_path / "out")
    made.open("menu")
    made.turn(0)
    yield made
    made.close()
