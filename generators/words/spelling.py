"""The nearest known word to a misspelt one."""

from __future__ import annotations

from collections.abc import Iterable

#: Words of so many letters may be any known word that differs in one place, and longer ones in two.
_ANY, _LONG = 5, 8


def nearest_word(word: str, known: Iterable[str], names: Iterable[str] = ()) -> str | None:
    """Returns the known word that a word most likely stands for; None where none is near.

    The first letters must be the same. Words of four letters are near too many others, so that only names are meant by
    them; shorter words are mended only where two neighbouring letters changed places, the first ones included.

    Args:
        word: in small letters.
        known: words in small letters; of those that are equally near the first in the alphabet is taken.
        names: those of them that name something.
    """
    reach = 2 if len(word) >= _LONG else 1
    candidates = set(known if len(word) >= _ANY else names if len(word) == _ANY - 1 else ())
    best: tuple[int, int, str] | None = None
    for other in known:
        if not other[0].isalpha() or abs(len(other) - len(word)) > reach:
            continue
        if len(other) > 2 and _swapped(word, other):
            distance = 1
        elif other in candidates and len(other) >= _ANY - 1 and other[0] == word[0]:
            distance = edit_distance(word, other)
        else:
            continue
        if distance <= reach:
            found = (distance, abs(len(other) - len(word)), other)
            best = found if best is None else min(best, found)
    return None if best is None else best[2]


def edit_distance(first: str, second: str) -> int:
    """Returns how many letters must be put in, taken out, changed, or swapped with the next (Damerau 1964)."""
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, letter in enumerate(first, start=1):
        older, before, row = before, row, [i] + [0] * len(second)
        for j, other in enumerate(second, start=1):
            row[j] = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == second[j - 2] and first[i - 2] == other:
                row[j] = min(row[j], older[j - 2] + 1)
    return row[-1]


def _swapped(first: str, second: str) -> bool:
    """Tells whether two words differ by two neighbouring letters that changed places."""
    places = [i for i, (one, other) in enumerate(zip(first, second, strict=False)) if one != other]
    return (
        len(first) == len(second)
        and len(places) == 2
        and places[1] == places[0] + 1
        and first[places[0]] == second[places[1]]
        and first[places[1]] == second[places[0]]
    )
