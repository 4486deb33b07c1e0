"""How far a platformer's player could get at best: a bound that no play beats, worked out cell by cell."""

from __future__ import annotations

import numpy as np

from envs.kernels import inline
from envs.kernels.platform_rules import (
    ENEMY_HEIGHT,
    ENEMY_SPEED,
    ENEMY_WIDTH,
    FALL_SPEED,
    FALLING,
    GRAVITY,
    HELD_GRAVITY,
    JUMP_SPEED,
    PLAYER_HEIGHT,
    PLAYER_WIDTH,
    RUN_SPEED,
    SHIFT,
    TILE,
    blocked,
    cannot_walk,
    middle_column,
)

# What the search knows of an enemy beforehand: where it falls from and since when, when it lands (or is lost) and at
# what height, its leftmost place, how many steps its beat is long, and where on its beat it sets out.
FALL_X, FALL_Y, FALLEN, LANDS, FLOOR_Y, LEFTMOST, STEPS, PHASE = range(8)
ENEMY_FIELDS = 8
#: Half of the player's width: how far it can hang over a ledge.
_OVERHANG = PLAYER_WIDTH // 2


@inline
def fallen(ticks):
    """Returns how far a body has fallen after so many ticks from rest."""
    full = FALL_SPEED // GRAVITY
    if ticks <= full:
        return GRAVITY * ticks * (ticks + 1) // 2
    return GRAVITY * full * (full + 1) // 2 + FALL_SPEED * (ticks - full)


@inline
def foresee(ground_tiles, x, y, motion, route):
    """Works out where a living enemy will be for ever: it falls straight down, then walks to and fro.

    Args:
        ground_tiles: (tiles, height, width).
        x: of its left edge.
        y: of its upper edge.
        motion: as the state has it; not GONE.
        route: int64 (ENEMY_FIELDS,), written.
    """
    tiles, height, width = ground_tiles
    route[FALL_X], route[FALL_Y] = x, y
    route[FALLEN] = route[LANDS] = route[STEPS] = route[PHASE] = 0
    route[LEFTMOST] = x
    route[FLOOR_Y] = y
    direction = motion
    if motion >= FALLING:
        # A speed of fall tells for how many ticks it has lasted.
        route[FALLEN] = -(-(motion - FALLING) // GRAVITY)
        ticks = 0
        column = (x + ENEMY_WIDTH // 2) >> SHIFT
        while True:
            ticks += 1
            now = y + fallen(route[FALLEN] + ticks) - fallen(route[FALLEN])
            row = (now + ENEMY_HEIGHT - 1) >> SHIFT
            if blocked(tiles, height, width, row, column):
                route[FLOOR_Y] = row * TILE - ENEMY_HEIGHT
                break
            if now >= height * TILE:
                route[FLOOR_Y] = now
                route[LANDS] = ticks
                return
        route[LANDS] = ticks
        direction = -1
    floor = route[FLOOR_Y]
    left = right = x
    speed = ENEMY_SPEED
    while not cannot_walk(ground_tiles, left, floor, -1):
        left -= speed
    while not cannot_walk(ground_tiles, right, floor, 1):
        right += speed
    steps = (right - left) // speed
    route[LEFTMOST], route[STEPS] = left, steps
    route[PHASE] = (right - x) // speed if direction < 0 else steps + 1 + (x - left) // speed


@inline
def enemy_place(route, ticks, height):
    """Returns where an enemy is after so many ticks, x and y; it is gone where y is the level's height or more."""
    if ticks < route[LANDS]:
        return route[FALL_X], route[FALL_Y] + fallen(route[FALLEN] + ticks) - fallen(route[FALLEN])
    if route[FLOOR_Y] >= height * TILE:
        return route[FALL_X], route[FLOOR_Y]
    steps = route[STEPS]
    phase = (route[PHASE] + ticks - route[LANDS]) % (2 * steps + 2)
    # The tick on which it turns round it does not walk.
    if phase <= steps:
        return route[LEFTMOST] + (steps - phase) * ENEMY_SPEED, route[FLOOR_Y]
    return route[LEFTMOST] + (phase - steps - 1) * ENEMY_SPEED, route[FLOOR_Y]


@inline
def highest_rises(height):
    """Returns the most that the player can rise, by the fewest ticks since it left the ground.

    No play is higher than a full running jump at any tick of it: whoever rises slower, lets go of the button or bumps
    its head is lower then and falls at least as fast.

    Args:
        height: rows of the level.

    Returns:
        int64 (ticks,): entry t is the greatest rise at tick t or later, negative once the jump is below its start.
    """
    rises = np.zeros(64 + 3 * height, np.int64)
    speed = -(JUMP_SPEED + RUN_SPEED // 4)
    for tick in range(1, rises.size):
        speed = min(speed + (HELD_GRAVITY if speed < 0 else GRAVITY), FALL_SPEED)
        rises[tick] = rises[tick - 1] - speed
    for tick in range(rises.size - 2, -1, -1):
        rises[tick] = max(rises[tick], rises[tick + 1])
    return rises


@inline
def _rise_beyond(rises, distance):
    """Returns the most that the player can have risen that many units to the side of where it left the ground.

    In its last tick it may still be as high as in the one before: it moves sideways first.
    """
    tick = max((distance + RUN_SPEED - 1) // RUN_SPEED - 1, 0)
    return rises[tick] if tick < rises.size else -(1 << 40)


@inline
def _stands(ground_tiles, row, column):
    """Tells whether one can stand in a cell."""
    tiles, height, width = ground_tiles
    return not blocked(tiles, height, width, row, column) and blocked(tiles, height, width, row + 1, column)


@inline
def _launch_from_floor(ground_tiles, row, column, done, launches, count):
    """Adds the floor that a cell is part of to what the player can jump off; returns the new count."""
    left = right = column
    while left > 0 and _stands(ground_tiles, row, left - 1):
        left -= 1
    while right < ground_tiles[2] - 1 and _stands(ground_tiles, row, right + 1):
        right += 1
    for beside in range(left, right + 1):
        done[row * ground_tiles[2] + beside] = 1
    launches[count, 0] = launches[count, 1] = launches[count, 2] = row
    launches[count, 3], launches[count, 4] = left, right
    return count + 1


@inline
def _launch_from_enemy(route, launches, count):
    """Adds the heads of an enemy, wherever it gets to, to what the player can bounce off; returns the new count."""
    launches[count, 0] = (route[FALL_Y] >> SHIFT) - 1
    launches[count, 1] = launches[count, 0]
    launches[count, 2] = (route[FLOOR_Y] + ENEMY_HEIGHT - 1) >> SHIFT
    launches[count, 3] = (min(route[LEFTMOST], route[FALL_X]) - _OVERHANG) >> SHIFT
    rightmost = max(route[LEFTMOST] + route[STEPS] * ENEMY_SPEED, route[FALL_X])
    launches[count, 4] = (rightmost + ENEMY_WIDTH - 1 + _OVERHANG) >> SHIFT
    return count + 1


@inline
def _within(launches, number, row, column):
    return launches[number, 1] <= row <= launches[number, 2] and launches[number, 3] <= column <= launches[number, 4]


@inline
def reach(ground_tiles, x, y, routes, enemies):
    """Returns the furthest column that the player's middle could get to if enemies were harmless.

    From every floor that it can stand on, and every head that it can bounce off, the player is let fly through free
    cells wherever a full running jump in either direction, whatever is in the way, is high enough. Whatever the rules
    allow, this allows as well, so that a column beyond it is proven out of reach.

    Args:
        ground_tiles: (tiles, height, width).
        x: of the player's left edge.
        y: of its upper edge.
        routes: int64 (k, ENEMY_FIELDS), see `foresee`.
        enemies: how many of them there are.
    """
    tiles, height, width = ground_tiles
    rises = highest_rises(height)
    # Row 0 of the arrays is the sky, where the level's top row goes on.
    stamps = np.zeros((height + 1) * width, np.int32)
    done = np.zeros(height * width, np.uint8)
    met = np.zeros(max(enemies, 1), np.uint8)
    queue = np.empty((height + 1) * width, np.int32)
    launches = np.empty((height * width + enemies + 2, 5), np.int64)
    heads = np.empty((max(enemies, 1), 5), np.int64)
    for i in range(enemies):
        _launch_from_enemy(routes[i], heads, i)
    column = middle_column(x)
    furthest = column
    # Where the player is, it may be at the beginning of a jump; its floor is taken to be at its feet or higher.
    middle = y + PLAYER_HEIGHT // 2
    launches[0, 0] = (middle - TILE + PLAYER_HEIGHT // 2) >> SHIFT
    launches[0, 1] = launches[0, 2] = min(middle >> SHIFT, height - 1)
    launches[0, 3] = launches[0, 4] = column
    count = 1
    stamp = 0
    while count > 0:
        # The rightmost first: it mostly leads to the end of the level.
        best = 0
        for i in range(1, count):
            if launches[i, 4] > launches[best, 4]:
                best = i
        count -= 1
        floor, top, bottom, left, right = (
            launches[best, 0],
            launches[best, 1],
            launches[best, 2],
            launches[best, 3],
            launches[best, 4],
        )
        for i in range(5):
            launches[best, i] = launches[count, i]
        stamp += 1
        head = 0
        tail = 0
        for row in range(max(top, -1), min(bottom, height - 1) + 1):
            for column in range(max(left, 0), min(right, width - 1) + 1):
                cell = (row + 1) * width + column
                if stamps[cell] != stamp and not blocked(tiles, height, width, row, column):
                    stamps[cell] = stamp
                    queue[tail] = cell
                    tail += 1
        while head < tail:
            cell = np.int64(queue[head])
            head += 1
            row, column = cell // width - 1, cell % width
            furthest = max(furthest, column)
            if furthest == width - 1:
                return furthest
            if row >= 0:
                for beside in range(column - 1, column + 2):
                    if 0 <= beside < width and not done[row * width + beside] and _stands(ground_tiles, row, beside):
                        away = max(left - beside, beside - right, 0)
                        needed = (floor - row) * TILE
                        if _rise_beyond(rises, (away - 1) * TILE - 2 * _OVERHANG) >= needed:
                            count = _launch_from_floor(ground_tiles, row, beside, done, launches, count)
            for i in range(enemies):
                if not met[i] and _within(heads, i, row, column):
                    met[i] = 1
                    for field in range(5):
                        launches[count, field] = heads[i, field]
                    count += 1
            for direction in range(4):
                next_row = row + (direction == 0) - (direction == 1)
                next_column = column + (direction == 2) - (direction == 3)
                if next_row < -1 or next_row >= height or next_column < 0 or next_column >= width:
                    continue
                beside = (next_row + 1) * width + next_column
                if stamps[beside] == stamp or blocked(tiles, height, width, next_row, next_column):
                    continue
                away = max(left - next_column, next_column - right, 0)
                needed = (floor - next_row) * TILE - PLAYER_HEIGHT // 2 + 1
                if _rise_beyond(rises, (away - 1) * TILE - _OVERHANG) >= needed:
                    stamps[beside] = stamp
                    queue[tail] = beside
                    tail += 1
    return furthest
