"""How a search that runs without the interpreter lock is told to give up."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

#: The flag of a search that nobody stops. Nothing may be written into it.
NEVER = np.zeros(1, np.uint8)

#: A budget that no search exhausts before its memory.
UNLIMITED = 1 << 60

#: The most bytes that the tables of one search may take; at that it gives up as unknown.
MOST_MEMORY = 1 << 30


def flag(stop: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """Returns the flag that a kernel polls: the caller's own, or one that is never set."""
    return NEVER if stop is None else stop


def _first_element(typing_context: Any, array: Any) -> Any:
    """Compiles a load of an array's first element that is made anew each time it is reached.

    The compiler may keep a plain load out of a loop that writes nothing which could be the same memory; an atomic one
    it has to make.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.load_atomic(cgutils.gep_inbounds(builder, place.data, 0), "monotonic", 1)

    return types.uint8(array), generate


if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]

    def _load(stop: NDArray[np.uint8]) -> int:
        """Returns the flag, which is not 0 once a search is to give up."""
        return int(stop[0])

    stopped: Any = _load
else:
    stopped = intrinsic(_first_element)
