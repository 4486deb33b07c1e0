"""Compiled inner loops over batches of levels.

Every kernel takes and fills arrays with a leading lane axis, and has a slow, obvious twin in `tests/oracles.py`.
The kernels run without the interpreter lock, so that a batch can be shared out to plain Python threads; none of
them uses `prange`, whose OpenMP threads kill a process that forks.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba

_config: Any = numba.config

Function = TypeVar("Function", bound=Callable[..., Any])


@cache
def cache_directory() -> str:
    """Returns the folder that holds the compiled kernels, keyed by a digest of their sources.

    Numba's disk cache watches only the file that a kernel stands in, not the files of the kernels that it calls;
    a folder of its own for each state of the sources makes an edit in any of them count.
    """
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + source.read_bytes())
    base = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    for root in (base, os.path.join(tempfile.gettempdir(), f"tilewright-{os.getuid()}")):
        folder = os.path.join(root, "tilewright", f"kernels-{digest.hexdigest()[:16]}")
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    return ""


def kernel(function: Function) -> Function:
    """Compiles a function with Numba at its first call and keeps the result on disk for later processes."""
    previous = _config.CACHE_DIR
    _config.CACHE_DIR = cache_directory()
    try:
        compiled: Any = numba.njit(cache=bool(cache_directory()), nogil=True)(function)
        return compiled
    finally:
        _config.CACHE_DIR = previous


def inline(function: Function) -> Function:
    """Compiles a small function that only other kernels call; it is cached as a part of its callers."""
    compiled: Any = numba.njit(nogil=True, inline="never")(function)
    return compiled
