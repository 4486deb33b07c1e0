"""Small shapes for levels of any problem, and the representations that need nothing else."""

from __future__ import annotations

import envs

#: The representations that environments can be made with by their names alone.
FREE_FORMS = [name for name, design in envs.all_representations().items() if not design.needs]


def small(env_id: str, *flat: int) -> tuple[int, ...]:
    """Returns a (height, width), with three storeys beneath it for levels of three axes, or what the problem allows.

    Args:
        env_id: an environment's id, or a problem's name.
        flat: the height and the width.
    """
    problem = envs.get_problem(env_id.removeprefix("tilewright/").split("-")[0])
    shape = (3, *flat) if len(problem.default_shape) == 3 else flat
    return tuple(max(size, least) for size, least in zip(shape, problem.smallest_shape, strict=True))
