"""What the PCG Benchmark finds out about mdungeon levels, by its own agents within their limits (Khalifa 2025).

Tiles are the benchmark's: 0 solid, 1 empty, 2 player, 3 exit, 4 potion, 5 treasure, 6 goblin, 7 ogre. The player walks
a cell at a time with 5 points of health; a goblin takes 1 and an ogre 2 and both are gone then, a potion gives 2 up to
5, and at 0 the game is lost. Three agents order what they have seen by distance to the exit, wounds and treasures plus
1, 1/2 or 0 times the moves made, a fourth searches breadth-first, each within a limit of states looked at; the order in
which equal states come up decides what the benchmark reports and is kept.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernels import inline, kernel
from envs.kernels.benchmark import NAME, NAME_BITS, dequeue, enqueue
from envs.kernels.benchmark_sokoban import gather
from envs.kernels.grid import count_regions

SOLID, EMPTY, PLAYER, EXIT, POTION, TREASURE, GOBLIN, OGRE = range(8)

# The columns of the facts.
FACTS = (
    "regions",
    "players",
    "exits",
    "layout",
    "potions",
    "treasures",
    "enemies",
    "heuristic",
    "solution_length",
    "enemy_distances",
    "health",
    "col_potions",
    "col_treasures",
    "col_enemies",
    "text_length",
)
(
    REGIONS,
    PLAYERS,
    EXITS,
    LAYOUT,
    POTIONS,
    TREASURES,
    ENEMIES,
    COST,
    LENGTH,
    ENEMY_DISTANCES,
    HEALTH,
    COLLECTED_POTIONS,
    COLLECTED_TREASURES,
    COLLECTED_ENEMIES,
    TEXT_LENGTH,
) = range(len(FACTS))

# The columns of a search's nodes; the rest are bits, one for each thing that is gone.
_CELL, _DEPTH, _PARENT, _COST, _HEALTH, _POTIONS, _TREASURES, _ENEMIES, _EVENT, _WORDS = range(10)

_BREADTH_FIRST = -1
_FULL_HEALTH = 5
_THINGS_A_WORD = 31

#: What stands in a solution's text for a potion, a treasure, a goblin and an ogre.
_LETTERS = np.frombuffer(b"p$12", np.uint8)


@inline
def _is_new(nodes, node, words, table, age):
    """Tells whether a state was not seen before, and remembers it."""
    digest = int(nodes[node, _CELL]) * 8 + int(nodes[node, _HEALTH])
    for i in range(words):
        digest = ((digest ^ int(nodes[node, _WORDS + i])) * 1540483477) & 0x7FFFFFFF
        digest ^= digest >> 15
    slot = digest & (len(table) - 1)
    while table[slot] >> NAME_BITS == age:
        other = table[slot] & NAME
        same = nodes[other, _CELL] == nodes[node, _CELL] and nodes[other, _HEALTH] == nodes[node, _HEALTH]
        i = 0
        while same and i < words:
            same = nodes[other, _WORDS + i] == nodes[node, _WORDS + i]
            i += 1
        if same:
            return False
        slot = (slot + 1) & (len(table) - 1)
    table[slot] = age << NAME_BITS | node
    return True


@inline
def _move(nodes, node, known, step, words, tiles, number):
    """Writes what a step makes of a node into node `known`; a step against a wall leaves all as it was."""
    for column in range(_HEALTH, _WORDS + words):
        nodes[known, column] = nodes[node, column]
    nodes[known, _DEPTH], nodes[known, _PARENT] = nodes[node, _DEPTH] + 1, node
    nodes[known, _EVENT] = 0
    cell = nodes[node, _CELL]
    if tiles[cell + step] != SOLID:
        cell += step
    nodes[known, _CELL] = cell
    if number[cell] < 0 or cell == nodes[node, _CELL]:
        return
    word, bit = _WORDS + number[cell] // _THINGS_A_WORD, np.int32(1) << np.int32(number[cell] % _THINGS_A_WORD)
    if nodes[node, word] & bit:
        return
    nodes[known, word] |= bit
    tile = tiles[cell]
    nodes[known, _EVENT] = tile
    if tile == POTION:
        nodes[known, _POTIONS] += 1
        nodes[known, _HEALTH] = min(nodes[known, _HEALTH] + 2, _FULL_HEALTH)
    elif tile == TREASURE:
        nodes[known, _TREASURES] += 1
    else:
        nodes[known, _ENEMIES] += 1
        nodes[known, _HEALTH] = max(nodes[known, _HEALTH] - (1 if tile == GOBLIN else 2), 0)


@inline
def _price(nodes, node, exit_cell, offset, stride):
    """Returns what an agent takes a state to cost: steps to the exit, wounds, treasures missed."""
    cell = nodes[node, _CELL]
    steps = abs(cell // stride - exit_cell // stride) + abs(cell % stride - exit_cell % stride)
    return steps + 4 * (_FULL_HEALTH - nodes[node, _HEALTH]) - 2 * nodes[node, _TREASURES] + offset


@inline
def _search(balance, power, exit_cell, offset, words, tiles, number, nodes, heap, table, clock, stride):
    """Searches from node 0.

    Returns:
        The node that wins, or -1; the cheapest node looked at; and whether nothing was left to look at.
    """
    # What earlier searches left in the table is told by its age.
    clock[0] += 1
    age = clock[0]
    known, head, waiting, best = 1, 0, 1, 0
    heap[0] = 0
    for _ in range(power):
        if balance == _BREADTH_FIRST:
            if head == known:
                return -1, best, True
            node = head
            head += 1
        else:
            if waiting == 0:
                return -1, best, True
            node = dequeue(heap, waiting)
            waiting -= 1
        if nodes[node, _HEALTH] == 0:
            continue
        if nodes[node, _CELL] == exit_cell:
            return node, node, False
        if not _is_new(nodes, node, words, table, age):
            continue
        cheaper = nodes[node, _COST] - nodes[best, _COST]
        if cheaper < 0 or (cheaper == 0 and nodes[node, _DEPTH] < nodes[best, _DEPTH]):
            best = node
        for side in range(4):
            step = -1 if side == 0 else 1 if side == 1 else -stride if side == 2 else stride
            _move(nodes, node, known, step, words, tiles, number)
            nodes[known, _COST] = _price(nodes, known, exit_cell, offset, stride)
            if balance != _BREADTH_FIRST:
                enqueue(heap, waiting, 2 * nodes[known, _COST] + balance * nodes[known, _DEPTH], known)
                waiting += 1
            known += 1
    return -1, best, False


@inline
def _enemy_distances(nodes, node, tiles, wanted, nearest, height, width):
    """Adds up how far the nearest `wanted` enemies stand from a solution, or from none where the node is -1."""
    stride = width + 2
    count = 0
    for cell in range(stride, (height + 1) * stride):
        if tiles[cell] != GOBLIN and tiles[cell] != OGRE:
            continue
        least = height + width
        here = node
        if node >= 0:
            least = 1 << 30
        while here >= 0:
            there = nodes[here, _CELL]
            least = min(least, abs(cell // stride - there // stride) + abs(cell % stride - there % stride))
            here = nodes[here, _PARENT]
        # Kept in order, nearest first.
        place = count
        while place > 0 and nearest[place - 1] > least:
            nearest[place] = nearest[place - 1]
            place -= 1
        nearest[place] = least
        count += 1
    total = 0
    for i in range(min(count, wanted)):
        total += nearest[i]
    return total


@inline
def _write(nodes, node, text, letters):
    """Writes what a solution meets, in order; returns how much that is."""
    length, here = 0, node
    while here >= 0:
        length += nodes[here, _EVENT] > 0
        here = nodes[here, _PARENT]
    place, here = length, node
    while here >= 0:
        if nodes[here, _EVENT]:
            place -= 1
            text[place] = letters[nodes[here, _EVENT] - POTION]
        here = nodes[here, _PARENT]
    return length


@kernel
def _study(levels, power, wanted, facts, texts, grid, nodes, heap, table, clock, letters):
    height, width = levels.shape[1:]
    stride = width + 2
    tiles, number, nearest = grid[0], grid[1], grid[2]
    for lane in range(len(levels)):
        player, exit_cell, things = -1, -1, 0
        for cell in range((height + 2) * stride):
            tiles[cell], number[cell] = SOLID, -1
        for y in range(height):
            for x in range(width):
                cell = (y + 1) * stride + x + 1
                tile = levels[lane, y, x]
                tiles[cell] = tile
                if tile in (SOLID, EMPTY):
                    facts[lane, LAYOUT] += 1
                elif tile == PLAYER:
                    facts[lane, PLAYERS] += 1
                    player = cell
                elif tile == EXIT:
                    facts[lane, EXITS] += 1
                    exit_cell = cell
                else:
                    number[cell] = things
                    things += 1
                    column = POTIONS if tile == POTION else TREASURES if tile == TREASURE else ENEMIES
                    facts[lane, column] += 1
        facts[lane, COST] = -1
        if facts[lane, REGIONS] != 1 or facts[lane, PLAYERS] != 1 or facts[lane, EXITS] != 1:
            continue
        words = things // _THINGS_A_WORD + 1
        for column in range(_WORDS + words):
            nodes[0, column] = 0
        offset = (height + 2) * stride
        nodes[0, _CELL], nodes[0, _PARENT], nodes[0, _HEALTH] = player, -1, _FULL_HEALTH
        nodes[0, _COST] = _price(nodes, 0, exit_cell, offset, stride)
        node, best, exhausted = -1, 0, False
        for attempt in range(4):
            # Every order looks at the same states where there is time for all; the last agent reports.
            if exhausted and attempt < 3:
                continue
            balance = _BREADTH_FIRST if attempt == 3 else 2 - attempt
            node, best, exhausted = _search(
                balance, power, exit_cell, offset, words, tiles, number, nodes, heap, table, clock, stride
            )
            if node >= 0:
                break
        facts[lane, HEALTH], facts[lane, COLLECTED_POTIONS] = nodes[best, _HEALTH], nodes[best, _POTIONS]
        facts[lane, COLLECTED_TREASURES] = nodes[best, _TREASURES]
        facts[lane, COLLECTED_ENEMIES] = nodes[best, _ENEMIES]
        facts[lane, COST] = nodes[best, _COST]
        if node >= 0:
            facts[lane, COST] = 0
            facts[lane, LENGTH] = nodes[node, _DEPTH] + 1
            facts[lane, TEXT_LENGTH] = _write(nodes, node, texts[lane], letters)
        facts[lane, ENEMY_DISTANCES] = _enemy_distances(nodes, node, tiles, wanted, nearest, height, width)


def study(levels: NDArray[np.uint8], power: int, wanted: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Finds out what the benchmark finds out.

    Args:
        levels: uint8 (n, height, width) of the benchmark's tiles.
        power: how many states each agent looks at.
        wanted: how many of the enemies nearest to the solution count.

    Returns:
        The facts, int64 (n, 15) in the order of FACTS: heuristic is -1 where there is no game to play, 0 where it is
        won, and else what the cheapest state costs that the last agent saw; solution_length counts the places on the
        way, the first and the last among them. And what the solutions meet as texts, uint8 (n, room), a character each.
    """
    n, height, width = levels.shape
    words = height * width // _THINGS_A_WORD + 1
    facts = np.zeros((n, len(FACTS)), np.int64)
    facts[:, REGIONS] = count_regions(levels, np.arange(8) != SOLID)
    grid = np.zeros((3, (height + 2) * (width + 2)), np.int32)
    nodes = np.zeros((4 * power + 2, _WORDS + words), np.int32)
    heap, table = np.zeros(4 * power + 2, np.int64), np.zeros(1 << (2 * power).bit_length(), np.int64)
    clock = np.zeros(1, np.int64)
    texts, chunk = [], 8192
    for first in range(0, n, chunk):
        part = slice(first, min(first + chunk, n))
        room = np.zeros((part.stop - first, height * width), np.uint8)
        _study(
            np.ascontiguousarray(levels[part]),
            power,
            wanted,
            facts[part],
            room,
            grid,
            nodes,
            heap,
            table,
            clock,
            _LETTERS,
        )
        texts.append(room[:, : max(int(facts[part, TEXT_LENGTH].max()), 1)].copy())
    return facts, gather(texts)
