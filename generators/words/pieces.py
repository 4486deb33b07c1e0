"""Words as pieces: the word itself, where it is known, and its runs of three letters (Bojanowski 2017).

A misspelt word, or one that was never seen, has most of its runs in common with the words that it looks like.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from generators.words.grammar import spelt
from generators.words.reading import words_of_text

#: How many words of a text, and pieces of a word, are looked at.
WORDS, PIECES = 40, 10

#: Whole numbers below this are words of their own.
_NUMBERS = 100

#: Numbers in words are read as digits.
_DIGITS = {spelt(number): str(number) for number in range(_NUMBERS) if "-" not in spelt(number)}


class PieceTable:
    """The pieces of a closed vocabulary, by number; 0 stands for nothing.

    Args:
        vocabulary: all words that have a number of their own, in any order.
    """

    def __init__(self, vocabulary: Iterable[str]) -> None:
        self.vocabulary = tuple(sorted(vocabulary))

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each piece, from 1."""
        words = [*self.vocabulary, *(str(number) for number in range(_NUMBERS))]
        runs = {run for word in words for run in _runs(word)}
        return {piece: number for number, piece in enumerate(dict.fromkeys([*words, *sorted(runs)]), start=1)}

    @property
    def size(self) -> int:
        """How many numbers there are, 0 among them."""
        return len(self.numbers) + 1

    def encode(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Returns texts as pieces, int64 (n, WORDS, PIECES): of each word its pieces and then zeros.

        Longer texts and words are cut off.
        """
        found = np.zeros((len(texts), WORDS, PIECES), np.int64)
        known: dict[str, list[int]] = {}
        for row, text in zip(found, texts, strict=True):
            for place, word in enumerate(words_of_text(text)[:WORDS]):
                if word not in known:
                    known[word] = self._pieces(_DIGITS.get(word, word))
                row[place, : len(known[word])] = known[word]
        return found

    def _pieces(self, word: str) -> list[int]:
        numbers = (self.numbers.get(piece, 0) for piece in (word, *_runs(word)))
        return [number for number in numbers if number][:PIECES]


def _runs(word: str) -> list[str]:
    """Returns the runs of three letters of a word with a mark at each end."""
    marked = f"<{word}>"
    return [marked[first : first + 3] for first in range(len(marked) - 2)]
