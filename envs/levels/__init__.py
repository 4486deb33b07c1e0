"""The example levels that come with the suite, one text file for each playable problem.

Every one of them is proven winnable by the problem's solver; they go from easy to hard.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from envs.level_io import read_levels
from envs.problem import Problem

#: How many levels are built for a problem that comes without a file of them.
CONSTRUCTED = 12


def bundled_levels(problem: Problem) -> list[NDArray[np.uint8]]:
    """Returns a problem's example levels, uint8 (height, width) each, which may differ in shape.

    A problem without a file of levels has those of its hand-checked examples that can be won, and some that its
    constructive generator builds.
    """
    path = Path(__file__).parent / f"{problem.name}.txt"
    if path.exists():
        return read_levels(path, problem)
    levels = [problem.parse(example.rows) for example in problem.examples if example.status == "solved"]
    if type(problem).construct is not Problem.construct:
        levels += list(problem.construct(np.arange(CONSTRUCTED, dtype=np.uint64), problem.default_shape))
    return levels
