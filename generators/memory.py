"""What a transformer has seen, for decoding token by token: the keys and values of each of its blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.sampler import Networks

#: For how many tokens room is made at a time: attention over a small part of much room is slow.
PIECE = 16


class Memory:
    """The keys and values of some sequences, as what runs the networks has for arrays.

    Args:
        networks: what runs them.
        first: the keys and values of each block by turns, (n, heads, tokens, size) each, of the first tokens.
    """

    def __init__(self, networks: Networks, first: Sequence[Any]) -> None:
        self._networks = networks
        self._parts = list(first)
        #: How many tokens have been seen.
        self.seen = int(self._parts[0].shape[2])

    @classmethod
    def empty(cls, networks: Networks, n: int, blocks: int, heads: int, size: int) -> Memory:
        """Returns a memory of no tokens."""
        return cls(networks, [networks.zeros(n, heads, 0, size) for _ in range(2 * blocks)])

    def inputs(self) -> tuple[Any, ...]:
        """Returns what a step of the network takes: how many tokens have been seen, and keys and values with room."""
        room = self._parts[0].shape[2]
        # There is always some room, for there are kernels that cannot do with none.
        if self.seen >= room or not room:
            self._parts = [self._wider(part) for part in self._parts]
        return np.int64(self.seen), *self._parts

    def add(self, new: Sequence[Any]) -> None:
        """Takes in the keys and values of the next token, (n, heads, 1, size) each."""
        for part, piece in zip(self._parts, new, strict=True):
            part[:, :, self.seen] = piece[:, :, 0]
        self.seen += 1

    def choose(self, sequences: NDArray[np.int64]) -> None:
        """Goes on with some of the sequences: each may be taken several times or not at all."""
        self._parts = [part[sequences] for part in self._parts]

    def _wider(self, part: Any) -> Any:
        n, heads, _, size = part.shape
        wider = self._networks.zeros(n, heads, -(-(self.seen + 1) // PIECE) * PIECE, size)
        wider[:, :, : self.seen] = part[:, :, : self.seen]
        return wider


def memory_names(blocks: int, prefix: str = "") -> tuple[str, ...]:
    """Returns the names of a memory's keys and values as inputs, or with a prefix as outputs, of graphs."""
    return tuple(f"{prefix}{kind}_{i}" for i in range(blocks) for kind in ("keys", "values"))
