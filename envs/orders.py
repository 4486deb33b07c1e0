"""The orders in which a level can be written cell by cell."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from envs.problem import Shape

#: Row by row from the top; column by column from the left, each from the bottom up; and columns that go up and down by
#: turns (Summerville 2016).
Order = Literal["row", "column", "snake"]


def cell_order(shape: Shape, order: Order) -> NDArray[np.int64]:
    """Returns the cells of a level in the order in which they are written.

    Levels of three axes are written layer by layer.

    Returns:
        int64 (cells,), positions in the flattened level, each of them once.
    """
    cells = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(-1, *shape[-2:])
    if order == "row":
        return cells.reshape(-1)
    columns = cells[:, ::-1].swapaxes(1, 2).copy()
    if order == "snake":
        columns[:, 1::2] = columns[:, 1::2, ::-1]
    return columns.reshape(-1)
