"""Compiled inner loops over batches of levels.

Every kernel takes and fills arrays with a leading lane axis, and has a slow, obvious twin in `tests/oracles.py`.
The kernels run without the interpreter lock, so that a batch can be shared out to plain Python threads; none of
them uses `prange`, whose OpenMP threads kill a process that forks.
"""

from __future__ import annotations

import ast
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
def _sources(path: Path) -> tuple[Path, ...]:
    """Returns a source file and the kernel modules that it imports, directly or by way of others."""
    folder, found, waiting = Path(__file__).parent, {path}, [path]
    while waiting:
        for node in ast.walk(ast.parse(waiting.pop().read_bytes())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{__name__}."):
                names = [str(node.module).split(".")[2]]
            elif isinstance(node, ast.ImportFrom) and node.module == __name__:
                names = [alias.name for alias in node.names]
            else:
                continue
            for name in names:
                source = folder / f"{name}.py"
                if source not in found and source.exists():
                    found.add(source)
                    waiting.append(source)
    return tuple(sorted(found))


@cache
def cache_directory(source: str = __file__) -> str:
    """Returns the folder for the compiled kernels of one source file, keyed by a digest of all that they are made of.

    Numba's disk cache watches only the file that a kernel stands in, not the files of the kernels that it calls;
    a folder of its own for each state of these sources makes an edit in any of them count.
    """
    digest = hashlib.sha256()
    for path in (*_sources(Path(source)), Path(__file__)):
        digest.update(path.name.encode() + path.read_bytes())
    base = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    for root in (base, os.path.join(tempfile.gettempdir(), f"tilewright-{os.getuid()}")):
        folder = os.path.join(root, "tilewright", f"{Path(source).stem}-{digest.hexdigest()[:16]}")
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
    folder = cache_directory(function.__code__.co_filename)
    _config.CACHE_DIR = folder
    try:
        compiled: Any = numba.njit(cache=bool(folder), nogil=True)(function)
        return compiled
    finally:
        _config.CACHE_DIR = previous


def inline(function: Function) -> Function:
    """Compiles a small function that only other kernels call; it is cached as a part of its callers."""
    compiled: Any = numba.njit(nogil=True, inline="never")(function)
    return compiled
