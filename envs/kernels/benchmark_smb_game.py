"""The game of smb as the PCG Benchmark has it: one tick of it, and how a game begins (Khalifa 2025, Karakovskiy 2012).

It is the framework of the Mario AI Benchmark in floating-point pixels. The player is always small: no tile of this set
gives anything to grow by, nor shells, nor fire. All numbers are computed in the order of the benchmark's code, so that
they round alike.
"""

from __future__ import annotations

from envs.kernels import inline

EMPTY, GROUND, PYRAMID, BRICK, QUESTION, TUBE, COIN, GOOMBA, KOOPA, SPIKY = range(10)

# What the game knows of a tile.
AIR, SOLID, FRAGILE, FULL, LOOSE = range(5)

# The columns of a world: the player, the clock, and counts.
X, Y, XA, YA, JUMP_TIME, ON_GROUND, WAS_ON_GROUND, MAY_JUMP, INVULNERABLE, ALIVE = range(10)
STATUS, TIMER, TICK, COINS, COUNT, JUMPS, KILLS = range(10, 17)
RUNNING, WON, LOST, TIMED_OUT = range(4)

# The columns of an enemy.
_EX, _EY, _EYA, _FACING, _HEIGHT, _ARMED, _PLACE, _ON, LIVES = range(9)

# The bits of an action.
LEFT, RIGHT, SPEED, JUMP = 1, 2, 4, 8

# The side of a tile, and how much of the level is in view, in pixels.
SIZE = 16.0
_VIEW = 256.0


@inline
def _tile(tiles, x, y):
    """Returns what stands at a place in pixels; beyond the sides the outermost column goes on."""
    row, column = int(y / SIZE), int(x / SIZE)
    if row < 0 or row >= tiles.shape[0]:
        return AIR
    return tiles[row, min(max(column, 0), tiles.shape[1] - 1)]


@inline
def _blocks(tiles, x, y):
    tile = _tile(tiles, x, y)
    return tile in (SOLID, FRAGILE, FULL)


@inline
def _bump(world, tiles, enemies, column, row):
    """Hits a block from below: what lies or walks on it goes, a full block gives a coin."""
    tile = tiles[row, column]
    if tile != FRAGILE and tile != FULL:
        return
    if row > 0 and tiles[row - 1, column] == LOOSE:
        world[COINS] += 1
        tiles[row - 1, column] = AIR
    for i in range(int(world[COUNT])):
        left, right = column * 16, column * 16 + 16
        over = enemies[i, _EX] + 4 > left and enemies[i, _EX] - 4 < right
        if enemies[i, LIVES] and over and row - 1 == int((enemies[i, _EY] - 1) / SIZE):
            enemies[i, LIVES] = 0
    if tile == FULL:
        tiles[row, column] = SOLID
        world[COINS] += 1


@inline
def _touch(world, tiles, enemies, x, y, rising):
    """Tells whether the player is blocked at a place; takes a coin that lies there, and hits a block from below."""
    column, row = int(x / SIZE), int(y / SIZE)
    if column == int(world[X] / SIZE) and row == int(world[Y] / SIZE):
        return False
    column = min(max(column, 0), tiles.shape[1] - 1)
    if row < 0 or row >= tiles.shape[0]:
        return False
    tile = tiles[row, column]
    if tile == LOOSE:
        world[COINS] += 1
        tiles[row, column] = AIR
        return False
    if tile == AIR:
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
            edge = int((world[X] - 4) / SIZE) * 16 + 4 if part < 0 else int((world[X] + 4) / SIZE + 1) * 16 - 4 - 1
            world[X], world[XA] = edge, 0
        elif part < 0:
            world[Y] = int((world[Y] - 12) / SIZE) * 16 + 12
            world[JUMP_TIME], world[YA] = 0, 0
        else:
            world[Y] = int((world[Y] - 1) / SIZE + 1) * 16 - 1
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
            home_x, home_y = int(enemy[_EX] / SIZE), int(enemy[_EY] / SIZE)
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
                if (int(x / SIZE) != home_x or int(y / SIZE) != home_y) and _blocks(tiles, x, y):
                    blocked = True
            if not blocked:
                enemy[_EX if sideways else _EY] += part
                distance -= part
                continue
            if not sideways:
                enemy[_EY] = int(enemy[_EY] / SIZE + 1) * 16 - 1
                enemy[_ON] = 1
            else:
                edge = int((enemy[_EX] - 4) / SIZE) * 16 + 4
                if part > 0:
                    edge = int((enemy[_EX] + 4) / SIZE + 1) * 16 - 4 - 1
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
        world[X], world[XA], world[STATUS] = finish, 0, WON
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
        enemy[LIVES] = 0
    elif world[INVULNERABLE] <= 0 and world[ALIVE]:
        world[STATUS], world[ALIVE] = LOST, 0


@inline
def _spawn(world, tiles, enemies, spawned, places, camera):
    """Lets enemies appear whose places came into view; returns how many there are then."""
    first, last = int(camera / SIZE) - 1, int((camera + _VIEW) / SIZE) + 1
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
            enemies[total, _EYA], enemies[total, _ON], enemies[total, LIVES] = 0, 0, 1
            enemies[total, _FACING] = -1 if column * 16 + 8 > world[X] + 16 else 1
            enemies[total, _HEIGHT] = 24 if places[i, 2] == KOOPA else 12
            enemies[total, _ARMED], enemies[total, _PLACE] = places[i, 2] == SPIKY, i
            _walk_enemy(enemies[total], tiles)
            total += 1
        spawned[i] = world[TICK]
    return total


@inline
def play_tick(world, tiles, enemies, spawned, places, action):
    """Plays one tick. Jumps and kills of the tick are left in the world, those of the last one at the time's end."""
    if world[STATUS] != RUNNING:
        return
    world[TIMER] -= 30
    if world[TIMER] <= 0:
        world[STATUS], world[ALIVE] = TIMED_OUT, 0
        return
    world[TICK] += 1
    world[JUMPS], world[KILLS] = 0, 0
    width, bottom = tiles.shape[1] * 16.0, tiles.shape[0] * 16.0 + 32
    camera = world[X] - _VIEW / 2
    if camera + _VIEW > width:
        camera = width - _VIEW
    camera = max(camera, 0.0)
    if world[X] < camera - 64 or world[X] > camera + _VIEW + 64 or world[Y] > bottom:
        world[STATUS], world[ALIVE] = LOST, 0
    for i in range(int(world[COUNT])):
        x = enemies[i, _EX]
        if x < camera - 64 or x > camera + _VIEW + 64 or enemies[i, _EY] > bottom:
            enemies[i, LIVES] = 0
    total = _spawn(world, tiles, enemies, spawned, places, camera)
    if world[ALIVE]:
        _act(world, tiles, enemies, action, (tiles.shape[1] - 2) * 16.0)
    known = int(world[COUNT])
    for i in range(known):
        if enemies[i, LIVES]:
            _walk_enemy(enemies[i], tiles)
    for i in range(known):
        if enemies[i, LIVES]:
            _meet(world, tiles, enemies, enemies[i])
    kept = 0
    for i in range(total):
        if enemies[i, LIVES]:
            if kept < i:
                for column in range(enemies.shape[1]):
                    enemies[kept, column] = enemies[i, column]
            kept += 1
    world[COUNT] = kept


@inline
def begin(world, tiles, enemies, spawned, places, ground, timer):
    """Sets a world to the beginning of the game, after the first tick, in which nothing is done."""
    for column in range(len(world)):
        world[column] = 0
    world[X], world[Y], world[ALIVE], world[TIMER] = 24, 16 * (tiles.shape[0] - 4) + 15, 1, timer
    for i in range(len(spawned)):
        spawned[i] = -40
    for y in range(tiles.shape[0]):
        for x in range(tiles.shape[1]):
            tiles[y, x] = ground[y, x]
    play_tick(world, tiles, enemies, spawned, places, 0)


@inline
def copy_world(worlds, tiles, enemies, spawned, source, target):
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
