"""States of a player among things that can be taken or beaten once: rows of numbers, and a hash table over them.

A state is a row of int64: what is known of the player in one number, and then the set of the things that are gone as
words of 62 bits. What a search knows about a state stands beside it in a row of int32.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernels import inline
from envs.kernels.grid import scratch

#: The bits of a set that one word holds.
WORD_BITS = 62

#: What a search knows about a state: the moves that lead to it, the state before, the action from there, and a number
#: that is the search's own.
MOVES, PARENT, ACTION, NOTE, KNOWN = range(5)

#: Every state that is expanded has at most so many others behind it.
CHILDREN = 4


def words_for(things: int) -> int:
    """Returns how many words a set of so many things takes, at least one."""
    return max(1, -(-things // WORD_BITS))


def room(
    name: str, budget: int, words: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """Returns this thread's memory for a search that expands at most `budget` states.

    Args:
        name: tells apart searches that are in use at the same time.
        budget: the most states expanded.
        words: the words of each set.

    Returns:
        With arbitrary contents: the states, int64 (rows, 1 + words); what is known of them, int32 (rows, KNOWN); the
        hash table, int32 (a power of two, at least twice the rows); and a heap or queue, int64 (rows + 1,).
    """
    rows = CHILDREN * budget + 2
    size = 1 << (2 * rows - 1).bit_length()
    states = scratch(f"{name} states", rows * (1 + words), np.int64)[: rows * (1 + words)].reshape(rows, 1 + words)
    known = scratch(f"{name} known", rows * KNOWN, np.int32)[: rows * KNOWN].reshape(rows, KNOWN)
    return states, known, scratch(f"{name} table", size, np.int32)[:size], scratch(f"{name} heap", rows + 1, np.int64)


@inline
def clear(table):
    """Empties a hash table."""
    for slot in range(table.size):
        table[slot] = -1


@inline
def find(table, states, row):
    """Returns the slot of the table that holds an equal state, or the free one where the state in `row` belongs."""
    value = np.int64(0)
    for i in range(states.shape[1]):
        word = states[row, i]
        value = ((value ^ (word & 0x3FFFFFFF)) * 0x2545F49 + (word >> 30) * 0x9E5) & 0x3FFFFFFF
        value ^= value >> 13
    slot = value & (table.size - 1)
    while table[slot] >= 0:
        other = table[slot]
        equal = True
        for i in range(states.shape[1]):
            if states[other, i] != states[row, i]:
                equal = False
                break
        if equal:
            break
        slot = (slot + 1) & (table.size - 1)
    return slot


@inline
def is_gone(states, row, thing):
    """Tells whether a thing is in a state's set of what is gone."""
    return (states[row, 1 + thing // WORD_BITS] >> (thing % WORD_BITS)) & 1 == 1


@inline
def copy_state(states, row, other):
    """Copies the state in `row` to the row `other`."""
    for i in range(states.shape[1]):
        states[other, i] = states[row, i]


@inline
def take(states, row, thing):
    """Puts a thing into a state's set of what is gone."""
    states[row, 1 + thing // WORD_BITS] |= np.int64(1) << (thing % WORD_BITS)


@inline
def push(heap, count, number):
    """Adds a number to the heap of the first `count` elements, the least in front; returns the new count."""
    at = count
    while at > 0 and heap[(at - 1) >> 1] > number:
        heap[at] = heap[(at - 1) >> 1]
        at = (at - 1) >> 1
    heap[at] = number
    return count + 1


@inline
def pop(heap, count):
    """Removes the least number from the heap of the first `count` elements, at least one; returns the new count."""
    count -= 1
    number = heap[count]
    at = 0
    while 2 * at + 1 < count:
        child = 2 * at + 1
        if child + 1 < count and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= number:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = number
    return count
