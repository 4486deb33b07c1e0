"""What the PCG Benchmark finds out about smb levels, by its own game and agents within their limits (Khalifa 2025).

Tiles are the benchmark's: 0 empty, 1 ground, 2 pyramid, 3 brick, 4 question, 5 tube, 6 coin, 7 goomba, 8 koopa, 9 spiky;
three columns are added on either side, with ground in the two lowest rows, the player's start and the exit. The game is
the framework of the Mario AI Benchmark (Karakovskiy 2012) as the benchmark's code has it, in floating-point pixels. The
player is always small: no tile of this set gives anything to grow by, nor shells, nor fire. A first agent runs to the
right and jumps whenever it can; where it does not arrive, a second one searches ahead by A* and plays what it found.
All numbers are computed in the order of the benchmark's code, so that they round alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernels import inline, kernel

EMPTY, GROUND, PYRAMID, BRICK, QUESTION, TUBE, COIN, GOOMBA, KOOPA, SPIKY = range(10)

# How the player's start and the exit read among the tiles of a row.
_START, _EXIT = 10, 11

# What the game knows of a tile.
_AIR, _SOLID, _FRAGILE, _FULL, _LOOSE = range(5)

# The columns of a world: the player, the clock, and counts.
X, Y, XA, YA, JUMP_TIME, ON_GROUND, WAS_ON_GROUND, MAY_JUMP, INVULNERABLE, ALIVE = range(10)
STATUS, TIMER, TICK, COINS, COUNT, JUMPS, KILLS = range(10, 17)
_RUNNING, _WON, _LOST, _TIMED_OUT = range(4)

# The columns of an enemy.
_EX, _EY, _EYA, _FACING, _HEIGHT, _ARMED, _PLACE, _ON, _LIVES = range(9)

# The columns of a search's nodes.
_DEPTH, _PARENT, _ACTION, _OPEN = range(4)

# The bits of an action.
LEFT, RIGHT, SPEED, JUMP = 1, 2, 4, 8
# What the searching agent tries, in its order; the jumps only where a jump can begin or go on.
_TRIES = np.array([8, 12, 6, 14, 2, 10, 1, 9, 5, 13], np.int64)

_SIZE = 16.0
_MARGIN = 3
_REPEATS = 8
_VIEW = 256.0

FACTS = ("tube", "empty", "fenemies", "noise_left", "complete", "enemies", "coins", "jumps")
TUBES, EMPTIES, FLOATING, NOISE, COMPLETE, KILLED, COLLECTED, JUMPED = range(len(FACTS))


@inline
def _tile(tiles, x, y):
    """Returns what stands at a place in pixels; beyond the sides the outermost column goes on."""
    row, column = int(y / _SIZE), int(x / _SIZE)
    if row < 0 or row >= tiles.shape[0]:
        return _AIR
    return tiles[row, min(max(column, 0), tiles.shape[1] - 1)]


@inline
def _blocks(tiles, x, y):
    tile = _tile(tiles, x, y)
    return tile == _SOLID or tile == _FRAGILE or tile == _FULL  # noqa: SIM109 (compiles to less)


@inline
def _bump(world, tiles, enemies, column, row):
    """Hits a block from below: what lies or walks on it goes, a full block gives a coin."""
    tile = tiles[row, column]
    if tile != _FRAGILE and tile != _FULL:
        return
    if row > 0 and tiles[row - 1, column] == _LOOSE:
        world[COINS] += 1
        tiles[row - 1, column] = _AIR
    for i in range(int(world[COUNT])):
        left, right = column * 16, column * 16 + 16
        over = enemies[i, _EX] + 4 > left and enemies[i, _EX] - 4 < right
        if enemies[i, _LIVES] and over and row - 1 == int((enemies[i, _EY] - 1) / _SIZE):
            enemies[i, _LIVES] = 0
    if tile == _FULL:
        tiles[row, column] = _SOLID
        world[COINS] += 1


@inline
def _touch(world, tiles, enemies, x, y, rising):
    """Tells whether the player is blocked at a place; takes a coin that lies there, and hits a block from below."""
    column, row = int(x / _SIZE), int(y / _SIZE)
    if column == int(world[X] / _SIZE) and row == int(world[Y] / _SIZE):
        return False
    column = min(max(column, 0), tiles.shape[1] - 1)
    if row < 0 or row >= tiles.shape[0]:
        return False
    tile = tiles[row, column]
    if tile == _LOOSE:
        world[COINS] += 1
        tiles[row, column] = _AIR
        return False
    if tile == _AIR:
        return False
    if rising:
        _bump(world, tiles, enemies, column, row)
    return True


@inline
def _move(world, tiles, enemies, distance, sideways):
    """Moves the player, 8 pixels at a time, until something is in the way."""
    while distance != 0:
        part = min(max(distance, -8.0), 8.0)
        blocked = False
        for i in range(4):
            # Three places ahead are all looked at; four below and three above until one blocks.
            x, y, rising = world[X], world[Y], False
            if sideways:
                if i == 3:
                    break
                x += part + (4 if part > 0 else -4)
                y -= 12.0 if i == 0 else 6.0 if i == 1 else 0.0
            elif part > 0:
                x += -4 if i % 2 == 0 else 4
                y += part
                y += 1 if i > 1 else 0
            else:
                if i == 3:
                    break
                x += 0 if i == 0 else -4 if i == 1 else 4
                y += part
                y -= 12
                rising = True
            if _touch(world, tiles, enemies, x, y, rising):
                blocked = True
                if not sideways:
                    break
        if not blocked:
            world[X if sideways else Y] += part
            distance -= part
            continue
        if sideways:
            edge = int((world[X] - 4) / _SIZE) * 16 + 4 if part < 0 else int((world[X] + 4) / _SIZE + 1) * 16 - 4 - 1
            world[X], world[XA] = edge, 0
        elif part < 0:
            world[Y] = int((world[Y] - 12) / _SIZE) * 16 + 12
            world[JUMP_TIME], world[YA] = 0, 0
        else:
            world[Y] = int((world[Y] - 1) / _SIZE + 1) * 16 - 1
            world[ON_GROUND] = 1
        return


@inline
def _walk_enemy(enemy, tiles):
    """Lets an enemy walk on, turn at what blocks it, and fall."""
    for axis in range(2):
        sideways = axis == 0
        distance = enemy[_FACING] * 1.75
        if not sideways:
            distance = enemy[_EYA]
            enemy[_ON] = 0
        while distance != 0:
            part = min(max(distance, -8.0), 8.0)
            home_x, home_y = int(enemy[_EX] / _SIZE), int(enemy[_EY] / _SIZE)
            blocked = False
            for i in range(3 if sideways else 4):
                x, y = enemy[_EX], enemy[_EY]
                if sideways:
                    x += part
                    x += 4 if part > 0 else -4
                    y -= enemy[_HEIGHT] if i == 0 else enemy[_HEIGHT] / 2 if i == 1 else 0.0
                else:
                    x += -4 if i % 2 == 0 else 4
                    y += part
                    y += 1 if i > 1 else 0
                if (int(x / _SIZE) != home_x or int(y / _SIZE) != home_y) and _blocks(tiles, x, y):
                    blocked = True
            if not blocked:
                enemy[_EX if sideways else _EY] += part
                distance -= part
                continue
            if not sideways:
                enemy[_EY] = int(enemy[_EY] / _SIZE + 1) * 16 - 1
                enemy[_ON] = 1
            else:
                edge = int((enemy[_EX] - 4) / _SIZE) * 16 + 4
                if part > 0:
                    edge = int((enemy[_EX] + 4) / _SIZE + 1) * 16 - 4 - 1
                enemy[_EX] = edge
                enemy[_FACING] = -enemy[_FACING]
            break
    enemy[_EYA] *= 0.85
    if not enemy[_ON]:
        enemy[_EYA] += 2


@inline
def _act(world, tiles, enemies, action, finish):
    """Moves the player by one tick of an action."""
    if world[INVULNERABLE] > 0:
        world[INVULNERABLE] -= 1
    world[WAS_ON_GROUND] = world[ON_GROUND]
    if action & JUMP:
        if world[ON_GROUND] and world[MAY_JUMP]:
            world[JUMP_TIME] = 7
            world[YA] = world[JUMP_TIME] * -1.9
            world[ON_GROUND] = 0
            free = True
            for i in range(3):
                aside = 0 if i == 0 else -4 if i == 1 else 4
                if free and _touch(world, tiles, enemies, world[X] + aside, world[Y] - 4 - 12, True):
                    free = False
            world[JUMPS] += free
        elif world[JUMP_TIME] > 0:
            world[YA] = world[JUMP_TIME] * -1.9
            world[JUMP_TIME] -= 1
    else:
        world[JUMP_TIME] = 0
    speed = 1.2 if action & SPEED else 0.6
    if action & LEFT:
        world[XA] -= speed
    if action & RIGHT:
        world[XA] += speed
    world[MAY_JUMP] = world[ON_GROUND] and not action & JUMP
    if abs(world[XA]) < 0.5:
        world[XA] = 0
    world[ON_GROUND] = 0
    for axis in range(2):
        _move(world, tiles, enemies, world[XA if axis == 0 else YA], axis == 0)
    if world[X] < 0:
        world[X], world[XA] = 0, 0
    if world[X] > finish:
        world[X], world[XA], world[STATUS] = finish, 0, _WON
    world[YA] *= 0.85
    world[XA] *= 0.89
    if not world[ON_GROUND]:
        world[YA] += 3


@inline
def _meet(world, tiles, enemies, enemy):
    """Lets the player and an enemy collide, where they touch."""
    x, y = world[X] - enemy[_EX], world[Y] - enemy[_EY]
    if not (-12 < x < 12 and -enemy[_HEIGHT] < y < 12):
        return
    in_the_air = not world[ON_GROUND] or not world[WAS_ON_GROUND]
    if not enemy[_ARMED] and world[YA] > 0 and y <= 0 and in_the_air:
        if world[ALIVE]:
            _move(world, tiles, enemies, enemy[_EY] - enemy[_HEIGHT] / 2 - world[Y], False)
            world[JUMP_TIME] = 8
            world[YA] = world[JUMP_TIME] * -1.9
            world[ON_GROUND], world[INVULNERABLE] = 0, 1
        world[KILLS] += 1
        enemy[_LIVES] = 0
    elif world[INVULNERABLE] <= 0 and world[ALIVE]:
        world[STATUS], world[ALIVE] = _LOST, 0


@inline
def _spawn(world, tiles, enemies, spawned, places, camera):
    """Lets enemies appear whose places came into view; returns how many there are then."""
    first, last = int(camera / _SIZE) - 1, int((camera + _VIEW) / _SIZE) + 1
    known = int(world[COUNT])
    total = known
    for i in range(len(places)):
        column, row = places[i, 0], places[i, 1]
        if column < first or column > last:
            continue
        there = False
        for j in range(known):
            if enemies[j, _PLACE] == i:
                there = True
        if not there and spawned[i] != world[TICK] - 1:
            enemies[total, _EX], enemies[total, _EY] = column * 16 + 8, row * 16 + 15
            enemies[total, _EYA], enemies[total, _ON], enemies[total, _LIVES] = 0, 0, 1
            enemies[total, _FACING] = -1 if column * 16 + 8 > world[X] + 16 else 1
            enemies[total, _HEIGHT] = 24 if places[i, 2] == KOOPA else 12
            enemies[total, _ARMED], enemies[total, _PLACE] = places[i, 2] == SPIKY, i
            _walk_enemy(enemies[total], tiles)
            total += 1
        spawned[i] = world[TICK]
    return total


@inline
def _tick(world, tiles, enemies, spawned, places, action):
    """Plays one tick. Jumps and kills of the tick are left in the world, those of the last one at the time's end."""
    if world[STATUS] != _RUNNING:
        return
    world[TIMER] -= 30
    if world[TIMER] <= 0:
        world[STATUS], world[ALIVE] = _TIMED_OUT, 0
        return
    world[TICK] += 1
    world[JUMPS], world[KILLS] = 0, 0
    width, bottom = tiles.shape[1] * 16.0, tiles.shape[0] * 16.0 + 32
    camera = world[X] - _VIEW / 2
    if camera + _VIEW > width:
        camera = width - _VIEW
    camera = max(camera, 0.0)
    if world[X] < camera - 64 or world[X] > camera + _VIEW + 64 or world[Y] > bottom:
        world[STATUS], world[ALIVE] = _LOST, 0
    for i in range(int(world[COUNT])):
        x = enemies[i, _EX]
        if x < camera - 64 or x > camera + _VIEW + 64 or enemies[i, _EY] > bottom:
            enemies[i, _LIVES] = 0
    total = _spawn(world, tiles, enemies, spawned, places, camera)
    if world[ALIVE]:
        _act(world, tiles, enemies, action, (tiles.shape[1] - 2) * 16.0)
    known = int(world[COUNT])
    for i in range(known):
        if enemies[i, _LIVES]:
            _walk_enemy(enemies[i], tiles)
    for i in range(known):
        if enemies[i, _LIVES]:
            _meet(world, tiles, enemies, enemies[i])
    kept = 0
    for i in range(total):
        if enemies[i, _LIVES]:
            if kept < i:
                for column in range(enemies.shape[1]):
                    enemies[kept, column] = enemies[i, column]
            kept += 1
    world[COUNT] = kept


@inline
def _begin(world, tiles, enemies, spawned, places, ground, timer):
    """Sets a world to the beginning of the game, after the first tick, in which nothing is done."""
    for column in range(len(world)):
        world[column] = 0
    world[X], world[Y], world[ALIVE], world[TIMER] = 24, 16 * (tiles.shape[0] - 4) + 15, 1, timer
    for i in range(len(spawned)):
        spawned[i] = -40
    for y in range(tiles.shape[0]):
        for x in range(tiles.shape[1]):
            tiles[y, x] = ground[y, x]
    _tick(world, tiles, enemies, spawned, places, 0)


@inline
def _copy(worlds, tiles, enemies, spawned, source, target):
    """Copies a world. The player's place goes through a corner of its tile and back, as in the benchmark's copies."""
    for column in range(worlds.shape[1]):
        worlds[target, column] = worlds[source, column]
    worlds[target, X] = (worlds[source, X] - 8) + 8
    worlds[target, Y] = (worlds[source, Y] - 15) + 15
    for y in range(tiles.shape[1]):
        for x in range(tiles.shape[2]):
            tiles[target, y, x] = tiles[source, y, x]
    for i in range(int(worlds[source, COUNT])):
        for column in range(enemies.shape[2]):
            enemies[target, i, column] = enemies[source, i, column]
    for i in range(spawned.shape[1]):
        spawned[target, i] = spawned[source, i]


@inline
def _value(worlds, nodes, node, bottom):
    """Returns what the searching agent thinks of a node."""
    distance = worlds[node, X] + 10 * worlds[node, XA] - worlds[1, X]
    damage = 0
    if worlds[node, STATUS] == _LOST:
        damage = 5 if worlds[node, Y] > bottom - 20 else 2
    return distance - damage * 1000000 - 0.9 * (nodes[node, _DEPTH] * _REPEATS)


@inline
def _look_ahead(worlds, tiles, enemies, spawned, places, nodes, values, iterations, plan, tries):
    """Searches ahead of world 0 by A*, and writes the actions found into `plan`; returns how many."""
    # Worlds 1 and on are nodes, 1 the root; the benchmark copies the world twice on the way there.
    _copy(worlds, tiles, enemies, spawned, 0, 2)
    _copy(worlds, tiles, enemies, spawned, 2, 1)
    bottom = tiles.shape[1] * _SIZE
    nodes[1, _DEPTH], nodes[1, _PARENT], nodes[1, _OPEN] = 0, -1, 0
    known, current, best, most = 2, 1, 1, -1e13
    done = 0
    while True:
        if worlds[current, STATUS] == _RUNNING:
            jumps = worlds[current, MAY_JUMP] or worlds[current, JUMP_TIME] > 0
            for i in range(len(tries)):
                if tries[i] & JUMP and not jumps:
                    continue
                _copy(worlds, tiles, enemies, spawned, current, known)
                for _ in range(_REPEATS):
                    _tick(worlds[known], tiles[known], enemies[known], spawned[known], places, tries[i])
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
        if worlds[current, STATUS] == _WON:
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
    _begin(worlds[0], tiles[0], enemies[0], spawned[0], places, ground, timer)
    for y in range(visits.shape[0]):
        for x in range(visits.shape[1]):
            visits[y, x] = 0
    kills, jumps, planned, next_action = 0, 0, 0, 0
    while worlds[0, STATUS] == _RUNNING:
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
        _tick(worlds[0], tiles[0], enemies[0], spawned[0], places, action)
        kills += worlds[0, KILLS]
        jumps += worlds[0, JUMPS]
        # As published: what lies beyond the sixteenth column counts there.
        row, column = int(worlds[0, Y] / _SIZE), int(worlds[0, X] / _SIZE)
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
            ground[y, x] = _AIR
            if tile == GROUND or tile == PYRAMID or tile == TUBE:  # noqa: SIM109 (compiles to less)
                ground[y, x] = _SOLID
            elif tile == BRICK:
                ground[y, x] = _FRAGILE
            elif tile == QUESTION:
                ground[y, x] = _FULL
            elif tile == COIN:
                ground[y, x] = _LOOSE
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
            if tile == GOOMBA or tile == KOOPA or tile == SPIKY:  # noqa: SIM109 (compiles to less)
                places[enemies, 0], places[enemies, 1], places[enemies, 2] = x, y, tile
                enemies += 1
                below = ground[y + 1, x]
                floating += y + 1 == height or below == _AIR or below == _LOOSE
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
        np.zeros((room, most, _LIVES + 1)),
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
