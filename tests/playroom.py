"""Hands on the window of `python -m experiments.play`, on a screen that is not there."""

from __future__ import annotations

import os
import time

os.environ["SDL_VIDEODRIVER"] = "dummy"
os.environ["SDL_AUDIODRIVER"] = "dummy"

import numba
import pygame
import pytest
import torch

import envs
from agents.designer import PolicyDesigner
from agents.interface import Interface
from agents.networks import DesignerNetwork, NetworkConfig
from envs.vector_env import DesignVectorEnv
from experiments.playroom.app import LoadingScene

torch.set_num_threads(1)

RULES = {name: problem.rules for name, problem in envs.all_problems().items() if problem.rules is not None}
PLAYABLE = list(RULES)
LIVE = [name for name, rules in RULES.items() if rules.ticks_per_second]
#: Solving many levels is a matter of seconds for compiled kernels only.
compiled = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="too slow without compiled kernels")
MODIFIERS = {"ctrl": pygame.KMOD_CTRL}


def press(app, *keys):
    """Presses keys one after another."""
    for key in keys:
        modifier, _, name = key.rpartition("+")
        code = pygame.key.key_code(name)
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=code, mod=MODIFIERS.get(modifier, 0)))
        pygame.event.post(pygame.event.Event(pygame.KEYUP, key=code, mod=0))
        app.turn(0)


def click(app, place, button=1):
    """Clicks somewhere in the window."""
    buttons = tuple(int(i + 1 == button) for i in range(3))
    pygame.event.post(pygame.event.Event(pygame.MOUSEMOTION, pos=place, rel=(0, 0), buttons=(0, 0, 0)))
    pygame.event.post(pygame.event.Event(pygame.MOUSEBUTTONDOWN, pos=place, button=button))
    pygame.event.post(pygame.event.Event(pygame.MOUSEBUTTONUP, pos=place, button=button))
    app.turn(0)
    return buttons


def wait(app, seconds=120):
    """Waits until what is being loaded is there; returns the scene."""
    until = time.monotonic() + seconds
    while isinstance(app.scene, LoadingScene):
        app.turn(0.02)
        time.sleep(0.002)
        assert time.monotonic() < until
    app.turn(0)
    return app.scene


def opened(app, name, problem="zelda", **more):
    """Opens a scene and waits for it."""
    app.problem = problem
    app.open(name, **more)
    return wait(app)


def save_designer(folder, problem="zelda", representation="turtle", seed=0, **options):
    """Saves an untrained network as if it had been trained."""
    options = {"problem": problem, "representation": representation, **options}
    torch.manual_seed(seed)
    network = DesignerNetwork(Interface.of(DesignVectorEnv(num_envs=1, **options)), NetworkConfig())
    PolicyDesigner(network, options).save_pretrained(folder, "A designer for tests.\n")
    return folder


def key_for(scene, action):
    """Returns the key of an action."""
    return scene.rules.keys[scene.rules.actions[int(action)]][0]
