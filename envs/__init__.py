"""Level-design environments: problems that measure levels, representations that edit them, and Gymnasium around both.

Importing this package registers `tilewright/<problem>-<representation>-v0` and `tilewright/play-<problem>-v0` with
Gymnasium.
"""

import gymnasium as _gymnasium

from envs.errors import UserError
from envs.latents import LatentDecoder
from envs.problem import Example, Metric, Problem, Tile
from envs.representation import Canvas, Representation
from envs.rules import Actor, Rules, Solution
from envs.suite import (
    all_problems,
    all_representations,
    construct,
    get_problem,
    get_representation,
    get_rules,
    measure,
    quality,
    render,
    solve,
)

__all__ = [
    "Actor",
    "Canvas",
    "Example",
    "LatentDecoder",
    "Metric",
    "Problem",
    "Representation",
    "Rules",
    "Solution",
    "Tile",
    "UserError",
    "all_problems",
    "all_representations",
    "construct",
    "environment_ids",
    "get_problem",
    "get_representation",
    "get_rules",
    "measure",
    "play_environment_ids",
    "quality",
    "render",
    "solve",
]


def environment_ids(*, needy: bool = False) -> list[str]:
    """Returns the id of every level-design environment that can be made without options.

    Args:
        needy: also those whose representation needs an option that has no default (`Representation.needs`).
    """
    return [
        f"tilewright/{problem}-{representation}-v0"
        for problem in all_problems()
        for representation, design in all_representations().items()
        if needy or not design.needs
    ]


def play_environment_ids() -> list[str]:
    """Returns the id of every play environment."""
    return [f"tilewright/play-{name}-v0" for name, problem in all_problems().items() if problem.rules is not None]


def _register() -> None:
    for problem in all_problems():
        for representation in all_representations():
            _gymnasium.register(
                id=f"tilewright/{problem}-{representation}-v0",
                entry_point="envs.single_env:DesignEnv",
                vector_entry_point="envs.vector_env:DesignVectorEnv",
                kwargs={"problem": problem, "representation": representation},
            )
    for play_id in play_environment_ids():
        name = play_id.removeprefix("tilewright/play-").removesuffix("-v0")
        _gymnasium.register(
            id=play_id,
            entry_point="envs.play_env:PlayEnv",
            vector_entry_point="envs.play_vector_env:PlayVectorEnv",
            kwargs={"problem": name},
        )


_register()
