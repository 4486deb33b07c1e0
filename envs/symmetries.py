"""Symmetries of levels: what turns a level of a game into another level that plays the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from envs.problem import Shape

#: What each symmetry does to levels, uint8 (n, *shape). A problem declares those that its rules of play respect.
SYMMETRIES: dict[str, Callable[[NDArray], NDArray]] = {
    "mirror": lambda levels: levels[..., ::-1],
    "flip": lambda levels: levels[..., ::-1, :],
    "transpose": lambda levels: levels.swapaxes(-1, -2),
}


def usable(names: Sequence[str], shape: Shape) -> tuple[str, ...]:
    """Returns the symmetries that keep levels of the given shape in that shape."""
    return tuple(name for name in names if name != "transpose" or shape[-1] == shape[-2])


def images(names: Sequence[str], levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns every level under every combination of symmetries, the levels themselves first.

    Args:
        names: of SYMMETRIES; those that would change the levels' shape are passed over.
        levels: uint8 (n, *shape).

    Returns:
        uint8 (2 ** number of symmetries, n, *shape).
    """
    fitting = usable(names, levels.shape[1:])
    results = []
    for chosen in product((False, True), repeat=len(fitting)):
        image = levels
        for name, applies in zip(fitting, chosen, strict=True):
            image = SYMMETRIES[name](image) if applies else image
        results.append(image)
    return np.stack(results)


def transform_randomly(
    names: Sequence[str], levels: NDArray[np.uint8], random: np.random.Generator
) -> NDArray[np.uint8]:
    """Returns levels, uint8 (n, *shape), each under symmetries of its own, drawn uniformly."""
    result = np.array(levels)
    for name in usable(names, levels.shape[1:]):
        chosen = random.random(len(levels)) < 0.5
        result[chosen] = SYMMETRIES[name](result[chosen])
    return result
