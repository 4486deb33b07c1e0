"""What all checks use: their error, and where two observations or infos differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

#: The largest float64 below 1: the greatest number that a random stream can draw.
ALMOST_ONE = 1 - 2.0**-53


class CheckError(AssertionError):
    """A contract that does not hold. The message says which, and on what input."""


def require(holds: object, message: str | Callable[[], str]) -> None:
    """Raises a `CheckError` unless something holds.

    Args:
        holds: whether it does.
        message: what to say where it does not, or, where that is dear to put together, a function that returns it.

    Raises:
        CheckError: it does not hold.
    """
    if not holds:
        raise CheckError(message if isinstance(message, str) else message())


def difference(one: Any, other: Any, path: str = "") -> str | None:
    """Says where two observations, infos or other nestings of dictionaries, sequences and arrays differ first.

    Values, keys, shapes and dtypes all count; a Python number and a NumPy scalar of the same type do not differ.

    Returns:
        One sentence that names the place, or None where nothing differs.
    """
    place = path or "the value"
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        if set(one) != set(other):
            return f"{place} has the keys {sorted(one)} in one and {sorted(other)} in the other"
        pairs: Iterator[tuple[Any, Any, str]] = ((one[key], other[key], f"{path}[{key!r}]") for key in one)
    elif isinstance(one, (tuple, list)) and isinstance(other, (tuple, list)):
        if len(one) != len(other):
            return f"{place} has length {len(one)} in one and {len(other)} in the other"
        pairs = ((a, b, f"{path}[{i}]") for i, (a, b) in enumerate(zip(one, other, strict=True)))
    else:
        return _leaf_difference(one, other, place)
    for a, b, where in pairs:
        found = difference(a, b, where)
        if found:
            return found
    return None


def _leaf_difference(one: Any, other: Any, place: str) -> str | None:
    if one is None and other is None:
        return None
    first, second = np.asarray(one), np.asarray(other)
    if first.dtype != second.dtype:
        return f"{place} is {first.dtype} in one and {second.dtype} in the other"
    if first.shape != second.shape:
        return f"{place} has shape {first.shape} in one and {second.shape} in the other"
    if first.dtype == object and first.ndim:
        return difference(list(first), list(second), place)
    # Bytes are compared first because that is quick; they differ for 0.0 and -0.0, which are equal.
    if first.tobytes() != second.tobytes() and not np.array_equal(first, second, equal_nan=first.dtype.kind == "f"):
        return f"{place} is {first.tolist()} in one and {second.tolist()} in the other"
    return None
