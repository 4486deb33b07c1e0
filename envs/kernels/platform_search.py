"""The platformer's player: A* (Hart 1968) over the very physics that the game is played by."""

from __future__ import annotations

import numpy as np

from envs.kernels import inline, kernel
from envs.kernels.platform_reach import (
    ENEMY_FIELDS,
    FALL_X,
    LEFTMOST,
    STEPS,
    enemy_place,
    foresee,
    reach,
)
from envs.kernels.platform_rules import (
    BOUNCE_SPEED,
    ENEMIES,
    ENEMY_SPEED,
    ENEMY_WIDTH,
    GONE,
    GROUND,
    HEADER,
    HEIGHT,
    HELD,
    PLAYER_WIDTH,
    RUN_SPEED,
    SHIFT,
    SPEED_X,
    SPEED_Y,
    TILE,
    WIDTH,
    X,
    Y,
    blocked,
    middle_column,
    move_player,
    on_block,
    stomps,
    touches,
)
from envs.kernels.stop import stopped

SOLVED, UNSOLVABLE, UNKNOWN = 0, 1, 2
# What `search_state` reports.
STATUS, LAST, EXPANDED, FURTHEST, BOUND = range(5)
REPORT = 5

# The fields of a node; its parent, and the action that led here for so many ticks; the node below it in its bucket.
_X, _Y, _SPEED_X, _SPEED_Y, _GROUND, _HELD, TICK, _COST, PARENT, ACTION, TICKS, JUMPED, _KILLS, _BELOW, _SLOT = range(
    15
)
NODE_FIELDS = 15

#: How long the player mostly holds an action.
_HOLD = 6
#: A jump costs as much as so many ticks, so that the player jumps for a reason.
_JUMP_COST = 3
#: How much more the way ahead counts than the way behind, in halves.
_GREED = 12
#: The actions tried, the most promising last: wait, left+run, left+run+jump, jump, right, right+jump, right+run+jump,
#: right+run.
_TRIED = np.array([0, 8, 9, 3, 2, 4, 7, 6], np.int64)
#: How often the search looks whether it shall stop, in nodes.
_LOOK = 256


@inline
def _ways(ground_tiles, target, ways, queue):
    """Fills in each cell's steps to the target column through free cells, in eight directions, -1 for none.

    Args:
        ground_tiles: (tiles, height, width).
        target: the column to get to.
        ways: int32 ((height + 1) * width,), written; the first row is the sky above the level.
        queue: int32 of the same size, scratch.
    """
    tiles, height, width = ground_tiles
    for cell in range((height + 1) * width):
        ways[cell] = -1
    tail = 0
    for row in range(-1, height):
        if not blocked(tiles, height, width, row, target):
            ways[(row + 1) * width + target] = 0
            queue[tail] = (row + 1) * width + target
            tail += 1
    head = 0
    while head < tail:
        cell = int(queue[head])
        head += 1
        row, column = cell // width - 1, cell % width
        for next_row in range(max(row - 1, -1), min(row + 1, height - 1) + 1):
            for next_column in range(max(column - 1, 0), min(column + 1, width - 1) + 1):
                beside = (next_row + 1) * width + next_column
                if ways[beside] < 0 and not blocked(tiles, height, width, next_row, next_column):
                    ways[beside] = ways[cell] + 1
                    queue[tail] = beside
                    tail += 1


@inline
def _ticks_ahead(ways, height, width, x, y, target):
    """Returns about how many ticks it takes at least to the target column at top speed."""
    middle = x + PLAYER_WIDTH // 2
    row = min(max((y + 112) >> SHIFT, -1), height - 1)
    steps = np.int64(ways[(row + 1) * width + (middle >> SHIFT)])
    if steps <= 0:
        return max(target * TILE - middle, 0) // RUN_SPEED
    straight = target - (middle >> SHIFT)
    # Steps beyond the straight way are a detour.
    return (max(target * TILE - middle, 0) + max(steps - straight, 0) * TILE) // RUN_SPEED


@inline
def _file_enemies(routes, count, width, firsts, filed):
    """Lists the enemies that each column's player can meet, as slices of `filed` that begin at `firsts`."""
    for column in range(width + 1):
        firsts[column] = 0
    for turn in range(2):
        for i in range(count):
            left = (min(routes[i, LEFTMOST], routes[i, FALL_X]) >> SHIFT) - 2
            right = max(routes[i, LEFTMOST] + routes[i, STEPS] * ENEMY_SPEED, routes[i, FALL_X])
            right = ((right + ENEMY_WIDTH - 1) >> SHIFT) + 2
            for column in range(max(left, 0), min(right, width - 1) + 1):
                if turn == 1:
                    filed[firsts[column]] = i
                firsts[column] += 1
        if turn == 0:
            total = 0
            for column in range(width):
                here = firsts[column]
                firsts[column] = total
                total += here
            if total > filed.size:
                filed = np.empty(total, np.int32)
    # Each first has become the next column's.
    for column in range(width, 0, -1):
        firsts[column] = firsts[column - 1]
    firsts[0] = 0
    return filed


@inline
def _killed(kills, link, enemy):
    """Tells whether an enemy is among those that a chain of kills names."""
    while link > 0:
        if kills[link, 0] == enemy:
            return True
        link = np.int64(kills[link, 1])
    return False


@inline
def _slot(keys, key):
    """Returns the place of a key in the table, or the free one where it belongs; free places hold 0."""
    value = (key & 0x3FFFFFFF) * 0x2545F49 + (key >> 30) * 0x1E3779B
    value ^= value >> 23
    slot = value & (keys.size - 1)
    while keys[slot] != 0 and keys[slot] != key:
        slot = (slot + 1) & (keys.size - 1)
    return slot


@inline
def _live(ground_tiles, nodes, node, action, ticks, enemies, kills, kill_count, target, child):
    """Plays an action for some ticks from a node, and fills in the child but for its place among the others.

    It ends early where the player lands, arrives or dies.

    Returns:
        0 alive, 1 arrived, 2 dead; and the new number of kills.
    """
    _, height, width = ground_tiles
    routes, firsts, filed = enemies
    x, y = np.int64(nodes[node, _X]), np.int64(nodes[node, _Y])
    speed_x, speed_y = np.int64(nodes[node, _SPEED_X]), np.int64(nodes[node, _SPEED_Y])
    ground, held = np.int64(nodes[node, _GROUND]), np.int64(nodes[node, _HELD])
    tick, link = np.int64(nodes[node, TICK]), np.int64(nodes[node, _KILLS])
    nodes[child, JUMPED] = -1
    outcome = 0
    lived = 0
    while lived < ticks:
        before, stood, column = y, ground, middle_column(x)
        x, y, speed_x, speed_y, ground, held, jumped, bumped = move_player(
            ground_tiles, x, y, speed_x, speed_y, ground, held, action
        )
        if jumped:
            nodes[child, JUMPED] = column
        tick += 1
        lived += 1
        column = middle_column(x)
        stomped = False
        fresh = link
        for place in range(firsts[column], firsts[column + 1]):
            i = np.int64(filed[place])
            if bumped >= 0 and not _killed(kills, link, i):
                enemy_x, enemy_y = enemy_place(routes[i], tick - 1, height)
                if enemy_y < height * TILE and on_block(width, bumped, enemy_x, enemy_y):
                    if kill_count == kills.shape[0]:
                        return 2, kill_count
                    kills[kill_count, 0], kills[kill_count, 1] = i, fresh
                    fresh = kill_count
                    kill_count += 1
        link = fresh
        for place in range(firsts[column], firsts[column + 1]):
            i = np.int64(filed[place])
            enemy_x, enemy_y = enemy_place(routes[i], tick, height)
            if enemy_y < height * TILE and touches(x, y, enemy_x, enemy_y) and not _killed(kills, link, i):
                if not stomps(before, y, enemy_y) or kill_count == kills.shape[0]:
                    return 2, kill_count
                stomped = True
                kills[kill_count, 0], kills[kill_count, 1] = i, fresh
                fresh = kill_count
                kill_count += 1
        link = fresh
        if stomped:
            speed_y, ground = np.int64(-BOUNCE_SPEED), np.int64(0)
        if y >= height * TILE:
            return 2, kill_count
        if column >= target:
            outcome = 1
            break
        if (ground and not stood) or stomped:
            break
    nodes[child, _X], nodes[child, _Y], nodes[child, _SPEED_X], nodes[child, _SPEED_Y] = x, y, speed_x, speed_y
    nodes[child, _GROUND], nodes[child, _HELD], nodes[child, TICK], nodes[child, _KILLS] = ground, held, tick, link
    nodes[child, PARENT], nodes[child, ACTION], nodes[child, TICKS] = node, action, lived
    nodes[child, _COST] = nodes[node, _COST] + lived + (_JUMP_COST if nodes[child, JUMPED] >= 0 else 0)
    return outcome, kill_count


@inline
def _key(nodes, node, timed):
    """Returns what a node is known by: its place and speed in steps, and, if enemies shall be waited for, its time."""
    key = np.int64(nodes[node, _X]) >> 6
    key = key << 10 | ((np.int64(nodes[node, _Y]) >> 6) + 256) & 1023
    key = key << 4 | ((np.int64(nodes[node, _SPEED_X]) + 128) >> 5)
    key = key << 4 | ((np.int64(nodes[node, _SPEED_Y]) + 256) >> 6)
    key = key << 2 | np.int64(nodes[node, _GROUND]) << 1 | np.int64(nodes[node, _HELD])
    if timed:
        key = key << 10 | (np.int64(nodes[node, TICK]) >> 4) & 1023
    return key << 1 | 1


@inline
def _explore(ground_tiles, enemies, target, budget, timed, stop, scratch, report):
    """Searches from node 0 for a way to the target column; fills in the report and tells whether there is one."""
    nodes, keys, owners, kills, tops, ways = scratch
    _, height, width = ground_tiles
    for i in range(tops.size):
        tops[i] = -1
    used = np.int64(1)
    kill_count = np.int64(1)
    slot = _slot(keys, _key(nodes, 0, timed))
    keys[slot] = _key(nodes, 0, timed)
    owners[slot] = 0
    nodes[0, _SLOT] = slot
    nodes[0, _BELOW] = -1
    tops[0] = 0
    lowest = 0
    best = np.int64(0)
    furthest = np.int64(middle_column(np.int64(nodes[0, _X])))
    expanded = 0
    arrived = False
    while lowest < tops.size and not arrived:
        node = np.int64(tops[lowest])
        if node < 0:
            lowest += 1
            continue
        tops[lowest] = nodes[node, _BELOW]
        # Another node has been here sooner.
        if owners[nodes[node, _SLOT]] != node:
            continue
        if expanded >= budget or used + _TRIED.size + 1 > nodes.shape[0]:
            break
        if expanded % _LOOK == 0 and stopped(stop) != 0:
            break
        expanded += 1
        for choice in range(_TRIED.size):
            outcome, kill_count = _live(
                ground_tiles, nodes, node, _TRIED[choice], _HOLD, enemies, kills, kill_count, target, used
            )
            if outcome == 2:
                continue
            column = middle_column(np.int64(nodes[used, _X]))
            if outcome == 1 or column > furthest:
                furthest = column
                best = np.int64(used)
            key = _key(nodes, used, timed)
            slot = _slot(keys, key)
            if outcome == 1:
                nodes[used, _SLOT] = slot
                used += 1
                arrived = True
                break
            if keys[slot] == key:
                if nodes[owners[slot], _COST] <= nodes[used, _COST]:
                    if best == used:
                        used += 1
                        nodes[used - 1, _SLOT] = slot
                    continue
            else:
                keys[slot] = key
            owners[slot] = used
            nodes[used, _SLOT] = slot
            ahead = _ticks_ahead(ways, height, width, np.int64(nodes[used, _X]), np.int64(nodes[used, _Y]), target)
            total = min(np.int64(nodes[used, _COST]) + _GREED * ahead // 2, tops.size - 1)
            nodes[used, _BELOW] = tops[total]
            tops[total] = used
            lowest = min(lowest, total)
            used += 1
    for made in range(used):
        keys[nodes[made, _SLOT]] = 0
    report[LAST], report[FURTHEST] = best, furthest
    report[EXPANDED] += expanded
    return arrived


@kernel
def search(state, budget, stop, anyway, nodes, keys, owners, kills, tops, ways, report):
    """Searches for a way from a state of a game to the last column.

    Args:
        state: int32 (n,) of a game that goes on.
        budget: the most nodes to expand.
        stop: uint8 (1,); the search gives up soon after it is no longer 0.
        anyway: whether to look for a way to the furthest column in reach where the last one is proven to be out of it.
        nodes: int32 (most nodes, NODE_FIELDS), written.
        keys: int64 (a power of two,), scratch, all 0 and left so.
        owners: int32 of the same size, scratch.
        kills: int32 (most kills, 2), scratch.
        tops: int32 (buckets,), scratch.
        ways: int32 ((height + 1) * width,), scratch.
        report: int64 (REPORT,), written: SOLVED, UNSOLVABLE (proven) or UNKNOWN; the node that got furthest; the nodes
            expanded; the column that it got to; the column that nothing gets beyond.
    """
    height, width = np.int64(state[HEIGHT]), np.int64(state[WIDTH])
    ground_tiles = (state[HEADER : HEADER + height * width], height, width)
    moving = state[HEADER + height * width :]
    count = 0
    for i in range(state[ENEMIES]):
        count += moving[3 * i + 2] != GONE
    routes = np.empty((count, ENEMY_FIELDS), np.int64)
    count = 0
    for i in range(state[ENEMIES]):
        if moving[3 * i + 2] != GONE:
            x, y, motion = np.int64(moving[3 * i]), np.int64(moving[3 * i + 1]), np.int64(moving[3 * i + 2])
            foresee(ground_tiles, x, y, motion, routes[count])
            count += 1
    x, y = np.int64(state[X]), np.int64(state[Y])
    bound = reach(ground_tiles, x, y, routes, count)
    report[BOUND] = bound
    report[EXPANDED] = report[LAST] = 0
    report[FURTHEST] = middle_column(x)
    nodes[0, _X], nodes[0, _Y] = x, y
    nodes[0, _SPEED_X], nodes[0, _SPEED_Y] = state[SPEED_X], state[SPEED_Y]
    nodes[0, _GROUND], nodes[0, _HELD] = state[GROUND], state[HELD]
    nodes[0, TICK] = nodes[0, _COST] = nodes[0, _KILLS] = nodes[0, TICKS] = 0
    nodes[0, PARENT] = nodes[0, JUMPED] = -1
    report[STATUS] = UNSOLVABLE if bound < width - 1 else UNKNOWN
    if report[STATUS] == UNKNOWN or (anyway and bound > report[FURTHEST]):
        firsts = np.zeros(width + 1, np.int32)
        filed = _file_enemies(routes, count, width, firsts, np.empty(16 * count, np.int32))
        _ways(ground_tiles, bound, ways, np.empty(ways.size, np.int32))
        # The second time, an enemy must perhaps be waited for: then the time counts as well.
        for timed in range(2 if count else 1):
            most = 3 * budget // 4 if timed < min(count, 1) else budget - report[EXPANDED]
            arrived = _explore(
                ground_tiles,
                (routes, firsts, filed),
                bound,
                max(most, 1),
                timed == 1,
                stop,
                (nodes, keys, owners, kills, tops, ways),
                report,
            )
            if arrived or stop[0] != 0 or report[EXPANDED] >= budget:
                break
        if arrived and report[STATUS] == UNKNOWN:
            report[STATUS] = SOLVED


@kernel
def trace(nodes, node):
    """Returns the actions that lead to a node of a search, int64 (ticks,)."""
    node = np.int64(node)
    actions = np.empty(nodes[node, TICK], np.int64)
    at = actions.size
    while node > 0:
        for _ in range(nodes[node, TICKS]):
            at -= 1
            actions[at] = nodes[node, ACTION]
        node = np.int64(nodes[node, PARENT])
    return actions


@kernel
def count_jumps(nodes, node, width):
    """Returns a run's jumps and the longest way without one, in columns.

    Args:
        nodes: int32 (most nodes, NODE_FIELDS) as `search` left it.
        node: the last one of the run.
        width: the level's columns, at which the way after the last jump ends.

    Returns:
        How many jumps began; the greatest difference from the column of one to the column of the next, from column 0
        to the first, and from the last to `width`.
    """
    node = np.int64(node)
    jumps = 0
    longest = 0
    later = width
    while node > 0:
        if nodes[node, JUMPED] >= 0:
            jumps += 1
            longest = max(longest, later - nodes[node, JUMPED])
            later = np.int64(nodes[node, JUMPED])
        node = np.int64(nodes[node, PARENT])
    return jumps, max(longest, later)
