"""How learned numbers are kept in files: as they are, as eight-bit whole numbers, or without their zeros.

A file says by itself how each array is kept, so that whoever loads one need not know:

    name, name.scale              int8, and float32 (rows,): a number is its whole number times its row's scale
    name, name.places, name.shape the numbers that are not 0, a bit for each place (1 where one stands), and the shape

Scales have sixteen significant bits at most. So a number times its scale is exact in float32, and what has been rounded
once is kept from then on without any loss.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

#: How a configuration calls the two ways of keeping matrices that are not "as they are".
INT8, SPARSE = "int8", "sparse"

#: The key of that in a saved configuration.
STORAGE = "storage"

#: Arrays of fewer numbers are kept as they are.
_LEAST = 64

#: Bits of a float32 that a scale leaves 0.
_FREE_BITS = 8

_SCALE, _PLACES, _SHAPE = ".scale", ".places", ".shape"


def rounded(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Rounds the numbers of an array to eight bits, each row by itself.

    Args:
        matrix: float32 (rows, ...).

    Returns:
        int8 (rows, ...) from -127 to 127, and float32 (rows,), the scales: multiplied they are the rounded array.
    """
    flat = matrix.reshape(len(matrix), -1)
    least = np.ascontiguousarray(np.abs(flat).max(axis=1) / np.float32(127), np.float32)
    # Up to the next number with free bits, so that the greatest number still is 127 times it or less.
    bits = least.view(np.uint32)
    free = np.uint32(2**_FREE_BITS - 1)
    scales = ((bits + free) & ~free).view(np.float32)
    scales = np.where(scales > 0, scales, np.float32(1))
    whole = np.rint(flat / scales[:, None])
    return whole.reshape(matrix.shape).astype(np.int8), scales


def restored(whole: NDArray[np.int8], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the array that `rounded` made into whole numbers and scales."""
    return whole.astype(np.float32) * scales.reshape(-1, *(1,) * (whole.ndim - 1))


def pack(arrays: Mapping[str, NDArray], storage: str) -> dict[str, NDArray]:
    """Returns arrays as they are to be written.

    Args:
        arrays: by name.
        storage: INT8 rounds matrices, SPARSE leaves zeros out where that takes less room; "" changes nothing.
    """
    if not storage:
        return dict(arrays)
    found: dict[str, NDArray] = {}
    for name, array in arrays.items():
        if array.dtype != np.float32 or array.ndim < 2 or array.size < _LEAST:
            found[name] = array
        elif storage == INT8:
            found[name], found[name + _SCALE] = rounded(array)
        elif np.count_nonzero(array) * 4 + array.size / 8 < array.size * 4:
            there = array.reshape(-1) != 0
            found[name] = array.reshape(-1)[there]
            found[name + _PLACES] = np.packbits(there)
            found[name + _SHAPE] = np.array(array.shape, np.int64)
        else:
            found[name] = array
    return found


def unpack(arrays: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """Returns arrays as they were before `pack`; rounded ones as they are rounded.

    Raises:
        ValueError: they do not fit each other.
    """
    found: dict[str, NDArray] = {}
    for name, array in arrays.items():
        if any(name.endswith(end) and name.removesuffix(end) in arrays for end in (_SCALE, _PLACES, _SHAPE)):
            continue
        if name + _SCALE in arrays:
            scales = arrays[name + _SCALE]
            if array.dtype != np.int8 or not array.ndim or scales.shape != array.shape[:1]:
                raise ValueError(f"{name} does not fit its scales")
            found[name] = restored(array, scales.astype(np.float32))
        elif name + _PLACES in arrays:
            found[name] = _spread(name, array, arrays[name + _PLACES], arrays.get(name + _SHAPE, np.zeros(0)))
        else:
            found[name] = array
    return found


def _spread(name: str, values: NDArray, places: NDArray, shape: NDArray) -> NDArray[np.float32]:
    """Returns an array with values in their places and 0 elsewhere."""
    sides = [int(side) for side in shape.reshape(-1)]
    size = math.prod(sides)
    if places.dtype != np.uint8 or min(sides, default=0) < 1 or -(-size // 8) != places.size:
        raise ValueError(f"{name} does not fit its shape")
    there = np.unpackbits(places.reshape(-1), count=size).astype(np.bool_)
    if values.ndim != 1 or int(there.sum()) != len(values):
        raise ValueError(f"{name} does not fit its places")
    whole = np.zeros(size, np.float32)
    whole[there] = values
    return whole.reshape(sides)
