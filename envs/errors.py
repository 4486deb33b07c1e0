"""The error that a user's slip raises: one sentence that names what was given, what is allowed and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Something that the user gave cannot be used.

    The message is one complete sentence, fit to be shown alone. Command lines print it without a traceback.
    """


def unknown_name(kind: str, given: object, allowed: Iterable[str]) -> UserError:
    """Returns the error for a name that is not among the allowed ones, with the nearest spelling if one is close.

    Args:
        kind: what the name stands for, in the singular ("problem").
        given: the name that was given.
        allowed: every name that would have been accepted.
    """
    names = sorted(allowed)
    near = difflib.get_close_matches(str(given), names, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return UserError(f"Unknown {kind} {given!r}{hint}: choose one of {', '.join(names)}.")
