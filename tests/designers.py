"""Small environments and designers, and what tests ask of both."""

from __future__ import annotations

import errno
import os

import pytest
import torch

import envs
from agents.designer import PolicyDesigner
from agents.interface import Interface
from agents.networks import DesignerNetwork, NetworkConfig
from envs import UserError
from envs.vector_env import DesignVectorEnv

torch.set_num_threads(1)

SHAPES = {
    "binary": (5, 6),
    "zelda": (4, 5),
    "sokoban": (4, 4),
    "voxel": (5, 3, 4),
    "smb": (6, 12),
    "loderunner": (5, 6),
}
SMALL = NetworkConfig(width=16, channels=4, blocks=1)


def make(problem, representation, lanes=3, **options):
    """Returns a small environment."""
    shape = SHAPES.get(problem, envs.get_problem(problem).default_shape)
    return DesignVectorEnv(problem, representation, lanes, **{"shape": shape, **options})


def options_of(problem, representation, **options):
    """Returns the options of a small environment."""
    shape = SHAPES.get(problem, envs.get_problem(problem).default_shape)
    return {"problem": problem, "representation": representation, "shape": list(shape), **options}


def tensors(observations):
    """Returns observations as a network takes them."""
    return {key: torch.as_tensor(part) for key, part in observations.items()}


def designer_of(problem, representation, *, seed=0, deterministic=False, **options):
    """Returns a designer that has learnt nothing."""
    torch.manual_seed(seed)
    options = options_of(problem, representation, **options)
    network = DesignerNetwork(Interface.of(DesignVectorEnv(**options)), SMALL)
    return PolicyDesigner(network, options, deterministic=deterministic)


def assert_names(call, words, kind=UserError):
    """Asserts that a call raises an error of one sentence that holds all the words."""
    with pytest.raises(kind) as raised:
        call()
    text = str(raised.value)
    for word in words:
        assert str(word) in text, f"{word!r} is not in {text!r}"
    assert text.endswith("."), text
    assert "\n" not in text


def full_disk(*_):
    """Stands in for a call that writes."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
