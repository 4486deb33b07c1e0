"""What the PCG Benchmark finds out about smb levels, by its own game and agents within their limits (Khalifa 2025).

Tiles are the benchmark's: 0 empty, 1 ground, 2 pyramid, 3 brick, 4 question, 5 tube, 6 coin, 7 goomba, 8 koopa and
9 spiky; three columns are added on either side, with ground in the two lowest rows, the player's start and the exit. A
first agent runs to the right and jumps whenever it can; where it does not arrive, a second one searches ahead by A* and
plays what it found. The order of what they do is kept, for it decides what the benchmark reports.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernels import inline, kernel
from envs.kernels.benchmark_smb_game import (
    AIR,
    BRICK,
    COIN,
    COINS,
    EMPTY,
    FRAGILE,
    FULL,
    GOOMBA,
    GROUND,
    JUMP,
    JUMP_TIME,
    JUMPS,
    KILLS,
    KOOPA,
    LIVES,
    LOOSE,
    LOST,
    MAY_JUMP,
    ON_GROUND,
    PYRAMID,
    QUESTION,
    RIGHT,
    RUNNING,
    SIZE,
    SOLID,
    SPEED,
    SPIKY,
    STATUS,
    TUBE,
    WON,
    XA,
    X,
    Y,
    begin,
    copy_world,
    play_tick,
)

# How the player's start and the exit read among the tiles of a row.
_START, _EXIT = 10, 11

# What the searching agent tries, in its order; the jumps only where a jump can begin or go on.
_TRIES = np.array([8, 12, 6, 14, 2, 10, 1, 9, 5, 13], np.int64)

# The columns of a search's nodes; closed ones were looked at.
_DEPTH, _PARENT, _ACTION, _OPEN = range(4)

_MARGIN = 3
_REPEATS = 8

FACTS = ("tube", "empty", "fenemies", "noise_left", "complete", "enemies", "coins", "jumps")
TUBES, EMPTIES, FLOATING, NOISE, COMPLETE, KILLED, COLLECTED, JUMPED = range(len(FACTS))


@inline
def _value(worlds, nodes, node, bottom):
    """Returns what the searching agent thinks of a node."""
    distance = worlds[node, X] + 10 * worlds[node, XA] - worlds[1, X]
    damage = 0
    if worlds[node, STATUS] == LOST:
        damage = 5 if worlds[node, Y] > bottom - 20 else 2
    return distance - damage * 1000000 - 0.9 * (nodes[node, _DEPTH] * _REPEATS)


@inline
def _look_ahead(worlds, tiles, enemies, spawned, places, nodes, values, iterations, plan, tries):
    """Searches ahead of world 0 by A*, and writes the actions found into `plan`; returns how many."""
    # Worlds 1 and on are nodes, 1 the root; the benchmark copies the world twice on the way there.
    copy_world(worlds, tiles, enemies, spawned, 0, 2)
    copy_world(worlds, tiles, enemies, spawned, 2, 1)
    bottom = tiles.shape[1] * SIZE
    nodes[1, _DEPTH], nodes[1, _PARENT], nodes[1, _OPEN] = 0, -1, 0
    known, current, best, most = 2, 1, 1, -1e13
    done = 0
    while True:
        if worlds[current, STATUS] == RUNNING:
            jumps = worlds[current, MAY_JUMP] or worlds[current, JUMP_TIME] > 0
            for i in range(len(tries)):
                if tries[i] & JUMP and not jumps:
                    continue
                copy_world(worlds, tiles, enemies, spawned, current, known)
                for _ in range(_REPEATS):
                    play_tick(worlds[known], tiles[known], enemies[known], spawned[known], places, tries[i])
                nodes[known, _DEPTH], nodes[known, _PARENT] = nodes[current, _DEPTH] + 1, current
                nodes[known, _ACTION], nodes[known, _OPEN] = tries[i], 1
                values[known] = _value(worlds, nodes, known, bottom)
                known += 1
        # The best one that is open and unlike all that were looked at.
        while done < iterations:
            current = -1
            for i in range(2, known):
                if nodes[i, _OPEN] == 1 and (current < 0 or values[i] > values[current]):
                    current = i
            if current < 0:
                break
            nodes[current, _OPEN] = 0
            fresh = True
            for i in range(2, known):
                if nodes[i, _OPEN] == 2 and nodes[i, _DEPTH] == nodes[current, _DEPTH]:
                    x = int(worlds[i, X]) - int(worlds[current, X])
                    y = int(worlds[i, Y]) - int(worlds[current, Y])
                    if abs(x) < 2 and abs(y) < 2:
                        fresh = False
            if fresh:
                break
        if done >= iterations or current < 0:
            break
        nodes[current, _OPEN] = 2
        done += 1
        if worlds[current, STATUS] == WON:
            best = current
            break
        if values[current] > most and (worlds[current, ON_GROUND] or best == 1):
            best, most = current, values[current]
    length = nodes[best, _DEPTH] * _REPEATS
    place, node = length, best
    while node > 1:
        for _ in range(_REPEATS):
            place -= 1
            plan[place] = nodes[node, _ACTION]
        node = nodes[node, _PARENT]
    return length


@inline
def _play(
    agent, worlds, tiles, enemies, spawned, places, ground, timer, iterations, nodes, values, plan, tries, visits
):
    """Plays a whole game in world 0; returns the share of the way, kills, coins and jumps."""
    begin(worlds[0], tiles[0], enemies[0], spawned[0], places, ground, timer)
    for y in range(visits.shape[0]):
        for x in range(visits.shape[1]):
            visits[y, x] = 0
    kills, jumps, planned, next_action = 0, 0, 0, 0
    while worlds[0, STATUS] == RUNNING:
        if agent == 0:
            action = RIGHT
            if worlds[0, MAY_JUMP] or not worlds[0, ON_GROUND]:
                action = RIGHT | SPEED | JUMP
        else:
            if next_action == planned:
                planned = _look_ahead(worlds, tiles, enemies, spawned, places, nodes, values, iterations, plan, tries)
                next_action = 0
            action = plan[next_action]
            next_action += 1
        play_tick(worlds[0], tiles[0], enemies[0], spawned[0], places, action)
        kills += worlds[0, KILLS]
        jumps += worlds[0, JUMPS]
        # As published: what lies beyond the sixteenth column counts there.
        row, column = int(worlds[0, Y] / SIZE), int(worlds[0, X] / SIZE)
        visits[min(max(row, 0), visits.shape[0] - 1), min(max(column, 0), visits.shape[1] - 1)] += 1
    return worlds[0, X] / ((tiles.shape[2] - 2) * 16), kills, worlds[0, COINS], jumps


@inline
def _read(level, row_tiles, ground, places, models, facts):
    """Measures what stands in a level, and lays it out for the game; returns how many enemies it has."""
    height, width = level.shape
    full = width + 2 * _MARGIN
    for y in range(height + 1):
        for x in range(full):
            tile = EMPTY
            if y < height and _MARGIN <= x < full - _MARGIN:
                tile = level[y, x - _MARGIN]
            elif height - 3 < y < height:
                tile = GROUND
            elif y == height - 3 and x == 1:
                tile = _START
            elif y == height - 3 and x == full - 2:
                tile = _EXIT
            row_tiles[y, x] = tile
            ground[y, x] = AIR
            if tile in (GROUND, PYRAMID, TUBE):
                ground[y, x] = SOLID
            elif tile == BRICK:
                ground[y, x] = FRAGILE
            elif tile == QUESTION:
                ground[y, x] = FULL
            elif tile == COIN:
                ground[y, x] = LOOSE
    empty, tubes = 0, 0
    for y in range(height):
        changes, run = 0, 0
        for x in range(full):
            tile = row_tiles[y, x]
            changes += x > 0 and tile != row_tiles[y, max(x - 1, 0)]
            if _MARGIN <= x < full - _MARGIN:
                empty += tile == EMPTY
            if tile == TUBE:
                run += 1
            else:
                tubes += run % 2
                run = 0
        noise = max(changes / (full - 1) - models[y], 0.0)
        facts[NOISE] += noise
        facts[len(FACTS) + y] = noise
    enemies, floating = 0, 0
    # Column by column, as enemies come into view.
    for x in range(full):
        for y in range(height):
            tile = row_tiles[y, x]
            if tile in (GOOMBA, KOOPA, SPIKY):
                places[enemies, 0], places[enemies, 1], places[enemies, 2] = x, y, tile
                enemies += 1
                below = ground[y + 1, x]
                floating += y + 1 == height or below in (AIR, LOOSE)
    facts[TUBES], facts[EMPTIES] = tubes, empty / (width * height)
    facts[FLOATING] = floating / max(enemies, 1)
    return enemies


@kernel
def _study(
    levels,
    models,
    most_floating,
    timer,
    iterations,
    facts,
    visits,
    worlds,
    tiles,
    enemies,
    spawned,
    places,
    nodes,
    values,
    plan,
    row_tiles,
    ground,
    tries,
):
    for lane in range(len(levels)):
        count = _read(levels[lane], row_tiles, ground, places, models, facts[lane])
        if facts[lane, EMPTIES] <= 0.5 or facts[lane, TUBES] > 0 or facts[lane, NOISE] > 0:
            continue
        if facts[lane, FLOATING] >= most_floating:
            continue
        for agent in range(2):
            share, kills, coins, jumps = _play(
                agent,
                worlds,
                tiles,
                enemies[:, :count],
                spawned[:, :count],
                places[:count],
                ground,
                timer,
                iterations,
                nodes,
                values,
                plan,
                tries,
                visits[lane],
            )
            facts[lane, COMPLETE], facts[lane, KILLED] = share, kills
            facts[lane, COLLECTED], facts[lane, JUMPED] = coins, jumps
            if share >= 1:
                break


def study(
    levels: NDArray[np.uint8], models: NDArray[np.float64], most_floating: float, timer: float, iterations: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Finds out what the benchmark finds out.

    Args:
        levels: uint8 (n, height, width) of the benchmark's tiles.
        models: float64 (height,), how many changes from tile to tile, by tiles, a row may have.
        most_floating: the share of enemies without ground from which on the level is not played.
        timer: the game's time in milliseconds, 30 a tick.
        iterations: how many states the searching agent looks at before it acts.

    Returns:
        The facts, float64 (n, 8) in the order of FACTS; by how much each row exceeds the changes it may have,
        float64 (n, height); and how often the player was in each cell of the upper left corner,
        int64 (n, up to 16, up to 16). Levels are played where more than half is empty, tubes are two wide, no row
        exceeds its changes and few enemies float.
    """
    n, height, width = levels.shape
    size = (height + 1, width + 2 * _MARGIN)
    facts = np.zeros((n, len(FACTS) + height))
    visits = np.zeros((n, min(height, 16), min(width, 16)), np.int64)
    most = int((levels >= GOOMBA).sum(axis=(1, 2)).max()) if n else 0
    room = len(_TRIES) * (iterations + 1) + 3
    # What no game touches costs address space only.
    _study(
        np.ascontiguousarray(levels),
        models,
        most_floating,
        timer,
        iterations,
        facts,
        visits,
        np.zeros((room, KILLS + 1)),
        np.zeros((room, *size), np.uint8),
        np.zeros((room, most, LIVES + 1)),
        np.zeros((room, most), np.int64),
        np.zeros((most, 3), np.int64),
        np.zeros((room, 4), np.int64),
        np.zeros(room),
        np.zeros(_REPEATS * (iterations + 2), np.int64),
        np.zeros(size, np.uint8),
        np.zeros(size, np.uint8),
        _TRIES,
    )
    return facts[:, : len(FACTS)], facts[:, len(FACTS) :], visits


@kernel
def _visit_differences(visits, differences):
    for one in range(len(visits)):
        for other in range(len(visits)):
            for y in range(visits.shape[1]):
                for x in range(visits.shape[2]):
                    differences[one, other] += abs(visits[one, y, x] - visits[other, y, x])


def visit_differences(visits: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns how many visits differ, pair by pair, int64 (n, n)."""
    differences = np.zeros((len(visits), len(visits)), np.int64)
    _visit_differences(np.ascontiguousarray(visits), differences)
    return differences
