"""Small shapes for levels of any number of axes."""

from __future__ import annotations

import envs


def small(env_id: str, *flat: int) -> tuple[int, ...]:
    """Returns a (height, width) for flat levels, and with three storeys beneath it for levels of three axes.

    Args:
        env_id: an environment's id, or a problem's name.
        flat: the height and the width.
    """
    problem = env_id.removeprefix("tilewright/").split("-")[0]
    return (3, *flat) if len(envs.get_problem(problem).default_shape) == 3 else flat
