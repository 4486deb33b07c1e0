"""What the mdungeon problem measures: counts, regions, and how our player gets on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernels import inline, kernel
from envs.kernels.grid import count_components, scratch, workspace
from envs.kernels.mdungeon_rules import (
    COLUMNS,
    EMPTY,
    EXIT,
    FULL,
    GOBLIN,
    OGRE,
    PLAYER,
    POTION,
    SOLID,
    SOLVED,
    STANCES,
    TREASURE,
    find_way,
    health_after,
    neighbour,
)
from envs.kernels.stop import NEVER
from envs.kernels.taken import NOTE, clear, copy_state, find, is_gone, room, take, words_for

_PASSABLE = 0xFF ^ (1 << SOLID)

#: The columns that `measure_mdungeon` fills.
METRICS = (
    *("player", "exit", "potions", "treasures", "enemies", "regions"),
    *("col-potions", "col-treasures", "col-enemies", "dist-win", "sol-length"),
)
ENEMIES, COL_POTIONS, COL_TREASURES, COL_ENEMIES, DIST_WIN, SOL_LENGTH = 4, 6, 7, 8, 9, 10


@inline
def _to_go(stride, place, door, health, treasures):
    """Returns how far a player is from winning, as gym-pcgrl reckons."""
    gap = abs(place // stride - door // stride) + abs(place % stride - door % stride)
    return gap + 4 * (FULL - health) - 4 * treasures


@inline
def _wander(cells, stride, things, place, door, budget, memory):
    """Goes breadth-first through states, treasures counted, for the one that comes nearest to winning.

    Args:
        cells: the padded level.
        stride: its width.
        things: int32 (padded cells,), filled with the number of each thing.
        place: where the player begins.
        door: where the exit is.
        budget: the most states to expand.
        memory: the states, known and table, see `envs.kernels.taken`.

    Returns:
        The nearest state's potions, treasures, enemies and distance.
    """
    states, known, table = memory
    number = 0
    for cell in range(cells.size):
        if cells[cell] >= POTION:
            things[cell] = number
            number += 1
    clear(table)
    for i in range(states.shape[1]):
        states[0, i] = 0
    states[0, 0] = place * STANCES + FULL
    known[0, NOTE] = 0
    table[find(table, states, np.int64(0))] = 0
    used = np.int64(1)
    row = np.int64(0)
    best = np.int64(0)
    least = _to_go(stride, place, door, FULL, 0)
    while row < used and row < budget:
        place, health = states[row, 0] // STANCES, states[row, 0] % STANCES
        for action in range(4):
            beside = neighbour(place, stride, action)
            tile = cells[beside]
            if tile == SOLID:
                continue
            copy_state(states, row, used)
            left = health
            treasures = known[row, NOTE]
            if tile >= POTION and not is_gone(states, used, np.int64(things[beside])):
                left = health_after(health, tile)
                if left == 0:
                    continue
                take(states, used, np.int64(things[beside]))
                treasures += tile == TREASURE
            states[used, 0] = beside * STANCES + left
            slot = find(table, states, used)
            if table[slot] >= 0:
                continue
            table[slot] = used
            known[used, NOTE] = treasures
            far = _to_go(stride, beside, door, left, treasures)
            if far < least:
                least = far
                best = used
            used += 1
        row += 1
    potions, enemies = 0, 0
    for cell in range(cells.size):
        if cells[cell] >= POTION and is_gone(states, best, np.int64(things[cell])):
            potions += cells[cell] == POTION
            enemies += cells[cell] >= GOBLIN
    return potions, known[best, NOTE], enemies, least


@kernel
def _measure(levels, play, budget, stop, measured, cells, bits, work, things, known, queue, rows, heard, table, heap):
    height, width = levels.shape[1:]
    stride = width + 2
    padded = (height + 2) * stride
    cells = cells[:padded]
    for cell in range(padded):
        cells[cell] = SOLID
        bits[cell] = 0
    counts = np.zeros(8, np.int64)
    places = np.zeros(8, np.int64)
    for lane in range(levels.shape[0]):
        for tile in range(8):
            counts[tile] = 0
        for y in range(height):
            cell = (y + 1) * stride
            for x in range(width):
                cell += 1
                tile = levels[lane, y, x]
                cells[cell] = tile
                bits[cell] = 1 << tile
                counts[tile] += 1
                places[tile] = cell
        regions = count_components(bits, _PASSABLE, stride, stride + 1, (height + 1) * stride - 1, work)
        measured[lane, 0] = counts[PLAYER]
        measured[lane, 1] = counts[EXIT]
        measured[lane, 2] = counts[POTION]
        measured[lane, 3] = counts[TREASURE]
        measured[lane, ENEMIES] = counts[GOBLIN] + counts[OGRE]
        measured[lane, 5] = regions
        potions, treasures, enemies, far, length = 0, 0, 0, height * width, 0
        if play and counts[PLAYER] == 1 and counts[EXIT] == 1 and regions == 1:
            place = places[PLAYER]
            verdict, actions, _ = find_way(
                cells, stride, place, np.int64(FULL), places[EXIT], budget, stop,
                (bits, work, things), (known, queue), (rows, heard, table, heap),
            )  # fmt: skip
            if verdict == SOLVED:
                far = 0
                length = min(actions.size, 2 * height * width)
                for i in range(actions.size):
                    place = neighbour(place, stride, actions[i])
                    potions += cells[place] == POTION
                    treasures += cells[place] == TREASURE
                    enemies += cells[place] >= GOBLIN
                    cells[place] = EMPTY
            else:
                potions, treasures, enemies, far = _wander(
                    cells, stride, things, place, places[EXIT], budget, (rows, heard, table)
                )
            # The search worked in it: nothing may stand on the border.
            for cell in range(padded):
                bits[cell] = 0
        measured[lane, COL_POTIONS] = potions
        measured[lane, COL_TREASURES] = treasures
        measured[lane, COL_ENEMIES] = enemies
        measured[lane, DIST_WIN] = far
        measured[lane, SOL_LENGTH] = length


def stance_room(padded: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Returns this thread's memory for searches by health on levels of so many padded cells."""
    size = STANCES * padded
    known = scratch("mdungeon stances", size * COLUMNS, np.int32)[: size * COLUMNS].reshape(size, COLUMNS)
    return known, scratch("mdungeon queue", size, np.int32)


def measure_mdungeon(levels: NDArray[np.uint8], budget: int, play: bool = True) -> NDArray[np.float32]:
    """Measures what Khalifa 2020 measures on an mdungeon level.

    Args:
        levels: uint8 (n, height, width) of tile ids.
        budget: the most states to expand for one level.
        play: whether to play; without, every level counts as one that cannot be started.

    Returns:
        float32 (n, 11), the columns METRICS; `envs.problems.mdungeon` says what they are.
    """
    levels = np.require(levels, np.uint8, ("C", "W"))
    _, height, width = levels.shape
    padded = (height + 2) * (width + 2)
    measured = np.empty((len(levels), len(METRICS)), np.float32)
    cells = scratch("mdungeon cells", padded, np.uint8)
    memory = room("mdungeon", budget, words_for(height * width))
    _measure(levels, play, budget, NEVER, measured, cells, *workspace(levels.shape), *stance_room(padded), *memory)
    return measured
