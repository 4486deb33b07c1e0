"""How the levels of each family are drawn: one file a family, which needs no torch."""

from __future__ import annotations

import sys
from functools import cache

from envs.discovery import discover
from generators.sampler import Sampler


@cache
def all_samplers() -> dict[str, type[Sampler]]:
    """Returns every family's sampler by the family's name."""
    return discover(sys.modules[__name__], type, "SAMPLER")
