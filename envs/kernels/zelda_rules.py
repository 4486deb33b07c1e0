"""One tick of zelda or of a dungeon with a treasure, and an exact search for the fewest ticks that win.

A state is one int32 vector: the header below; the padded level (see `envs.kernels.grid`), in which only
walls, key, door and treasure remain; the cells of the enemies, -1 for a dead one; and their motions, `4 * tile +
heading`. The enemies stand in the row-major order of where they began, and both their blocks have room for
one in every padded cell.

Headings are up, down, left, right. A bat flies diagonally; bit 0 of its heading says down rather than up, bit
1 right rather than left.
"""

from __future__ import annotations

import numpy as np

from envs.kernels import inline, kernel
from envs.kernels.maze_rules import neighbour
from envs.kernels.stop import stopped
from envs.rules import LOST, PLAYING, WON

EMPTY, SOLID, PLAYER, KEY, DOOR, BAT, SCORPION, SPIDER, TREASURE = range(9)
UP, DOWN, LEFT, RIGHT, SWORD, WAIT = range(6)
HEIGHT, WIDTH, PLACE, FACING, HELD, STRUCK, OUTCOME, CLOCK = range(8)
KEY_CELL, DOOR_CELL, TREASURE_CELL, ENEMIES, HEADER = range(8, 13)

#: What is held, as bits; the door opens to who holds both. Without a treasure, it counts as held from the start.
HAS_KEY, HAS_TREASURE = 1, 2
_ALL = HAS_KEY | HAS_TREASURE

#: What `search` finds out.
SOLVED, UNSOLVABLE, UNKNOWN = range(3)

# Enemies' joint period stops being worth knowing long before it overflows: no search runs for so many ticks.
_ENDLESS = 1 << 44

# A node of the search is a row of int64: what is known about it, and from _PHASE on what it is; the last
# columns are the mask of the living enemies.
_LEAD, _PERIOD, _TICKS, _PARENT, _ARRIVAL, _CLOSED, _PHASE, _STANCE, _ALIVE = range(9)
_MASK_BITS = 60

# What a search may take up, lest a crowd of enemies make it dear: numbers for its nodes, cells of the enemies' routes,
# and enemies that are met, node by node.
_MOST_WORDS = 1 << 26
_MOST_ROUTES = 1 << 26
_MOST_MET = 1 << 26
# How many nodes are expanded between two looks at whether to stop.
_LOOK_EVERY = 1024


@inline
def turned_left(heading):
    """Returns the heading a quarter turn to the left; `heading ^ 1` is the one behind."""
    return heading + 2 if heading < 2 else 3 - heading


@inline
def is_free(tiles, cell):
    """Tells whether an enemy may stand on a cell."""
    return tiles[cell] != SOLID and tiles[cell] != DOOR


@inline
def first_heading(tiles, stride, kind, cell):
    """Returns the heading that an enemy sets out with."""
    if kind == BAT:
        return 3
    if kind == SCORPION:
        for heading in (DOWN, UP, RIGHT, LEFT):
            if is_free(tiles, neighbour(cell, stride, heading)):
                return heading
        return DOWN
    for heading in (UP, DOWN, LEFT, RIGHT):
        beside = neighbour(cell, stride, turned_left(heading))
        if is_free(tiles, neighbour(cell, stride, heading)) and not is_free(tiles, beside):
            return heading
    return UP


@inline
def _fly(tiles, stride, cell, heading):
    """Moves a bat: half of it up or down, half left or right, turning back from what blocks either half."""
    for half in range(2):
        ahead = neighbour(cell, stride, 2 * half + (heading >> half & 1))
        if not is_free(tiles, ahead):
            heading ^= 1 << half
            ahead = neighbour(cell, stride, 2 * half + (heading >> half & 1))
        if is_free(tiles, ahead):
            cell = ahead
    return cell, heading


@inline
def _patrol(tiles, stride, cell, heading):
    """Moves a scorpion: straight on, or back where the way is blocked."""
    if not is_free(tiles, neighbour(cell, stride, heading)):
        heading ^= 1
    ahead = neighbour(cell, stride, heading)
    return (ahead if is_free(tiles, ahead) else cell), heading


@inline
def _crawl(tiles, stride, cell, heading):
    """Moves a spider: along the wall on its left, straight on where there is none."""
    left = turned_left(heading)
    beside = neighbour(cell, stride, left)
    behind = neighbour(beside, stride, heading ^ 1)
    if is_free(tiles, beside) and not is_free(tiles, behind):
        return beside, left
    for turn in (heading, left ^ 1, left, heading ^ 1):
        ahead = neighbour(cell, stride, turn)
        if is_free(tiles, ahead):
            return ahead, turn
    return cell, heading


@inline
def move_enemy(tiles, stride, cell, motion, clock):
    """Returns the cell and the motion of an enemy one tick later.

    Args:
        tiles: the padded level.
        stride: the padded width.
        cell: where the enemy is.
        motion: its kind and heading, `4 * tile + heading`.
        clock: the number of this tick modulo 2, counted from 0; scorpions walk at 0 and spiders at 1.
    """
    kind, heading = motion // 4, motion % 4
    if kind == BAT:
        cell, heading = _fly(tiles, stride, cell, heading)
    elif kind == SCORPION and clock == 0:
        cell, heading = _patrol(tiles, stride, cell, heading)
    elif kind == SPIDER and clock == 1:
        cell, heading = _crawl(tiles, stride, cell, heading)
    return cell, 4 * kind + heading


@inline
def tick(ground, player, action, cells, next_cells):
    """Plays one tick. This is the only place that knows what a tick does; play and search both call it.

    1. The player acts: turns and walks, strikes, or waits. Entering the key's or the treasure's cell takes it.
    2. A strike kills every enemy in the faced cell.
    3. The other enemies go to their next cells.
    4. The player loses by sharing a cell with a living enemy, or by having changed places with one.
    5. Otherwise the player wins by standing in the door, which only opens to who holds everything.

    Args:
        ground: the padded level, its width, and the cells of the key, the treasure (-1 for none) and the door.
        player: the player's cell, where the player looks (0 to 3), and what is held.
        action: 0 to 5.
        cells: int (k,), the enemies' cells, negative for those out of the game.
        next_cells: int (k,), where each enemy will be after this tick, if it lives.

    Returns:
        The player as above; the cell that was struck, or -1; and the outcome. The caller removes the enemies
        whose cell was struck.
    """
    tiles, stride, key, treasure, door = ground
    place, facing, held = player
    target = place
    struck = -1
    if action == SWORD:
        struck = neighbour(place, stride, facing)
    elif action != WAIT:
        facing = action
        ahead = neighbour(place, stride, action)
        if is_free(tiles, ahead) or (ahead == door and held == _ALL):
            target = ahead
            if target == key:
                held |= HAS_KEY
            if target == treasure:
                held |= HAS_TREASURE
    outcome = WON if target == door else PLAYING
    for i in range(cells.size):
        cell = cells[i]
        if cell >= 0 and cell != struck:
            after = next_cells[i]
            if after == target or (after == place and cell == target):
                outcome = LOST
                break
    return (target, facing, held), struck, outcome


@kernel
def begin(level, state):
    """Writes the state at the start of a level with one player, one key, one door and at most one treasure.

    Args:
        level: uint8 (height, width).
        state: int32 (HEADER + 3 * padded cells,), all zero; filled in.
    """
    height, width = level.shape
    stride = width + 2
    padded = (height + 2) * stride
    tiles = state[HEADER : HEADER + padded]
    cells = state[HEADER + padded : HEADER + 2 * padded]
    motions = state[HEADER + 2 * padded :]
    tiles[:] = SOLID
    cells[:] = -1
    state[HELD] = HAS_TREASURE
    state[TREASURE_CELL] = -1
    count = 0
    for y in range(height):
        for x in range(width):
            cell = (y + 1) * stride + x + 1
            tile = level[y, x]
            tiles[cell] = tile if tile in (SOLID, KEY, DOOR, TREASURE) else EMPTY
            if tile == PLAYER:
                state[PLACE] = cell
            elif tile == KEY:
                state[KEY_CELL] = cell
            elif tile == DOOR:
                state[DOOR_CELL] = cell
            elif tile == TREASURE:
                state[TREASURE_CELL] = cell
                state[HELD] = 0
            elif tile >= BAT:
                cells[count] = cell
                motions[count] = tile
                count += 1
    for i in range(count):
        motions[i] = 4 * motions[i] + first_heading(tiles, stride, np.int64(motions[i]), np.int64(cells[i]))
    state[HEIGHT] = height
    state[WIDTH] = width
    state[FACING] = DOWN
    state[STRUCK] = -1
    state[OUTCOME] = PLAYING
    state[ENEMIES] = count


@kernel
def step(state, action, after):
    """Writes the state after one action; a finished game stays as it is.

    Args:
        state: int32 (n,), not changed.
        action: 0 to 5.
        after: int32 (n,), filled in.
    """
    # A slice assignment would do the same, and take seconds to compile.
    for i in range(state.size):
        after[i] = state[i]
    if state[OUTCOME] != PLAYING:
        return
    stride = np.int64(state[WIDTH]) + 2
    padded = (np.int64(state[HEIGHT]) + 2) * stride
    count = np.int64(state[ENEMIES])
    tiles = state[HEADER : HEADER + padded]
    cells = state[HEADER + padded : HEADER + padded + count]
    next_cells = after[HEADER + padded : HEADER + padded + count]
    motions = after[HEADER + 2 * padded : HEADER + 2 * padded + count]
    for i in range(count):
        if cells[i] >= 0:
            next_cells[i], motions[i] = move_enemy(
                tiles, stride, np.int64(cells[i]), np.int64(motions[i]), np.int64(state[CLOCK])
            )
    ground = (
        tiles,
        stride,
        np.int64(state[KEY_CELL]),
        np.int64(state[TREASURE_CELL]),
        np.int64(state[DOOR_CELL]),
    )
    player = (np.int64(state[PLACE]), np.int64(state[FACING]), np.int64(state[HELD]))
    player, struck, outcome = tick(ground, player, action, cells, next_cells)
    for i in range(count):
        if cells[i] >= 0 and cells[i] == struck:
            next_cells[i] = -1
            motions[i] = 0
    after[PLACE], after[FACING], after[HELD] = player
    after[STRUCK] = struck
    after[OUTCOME] = outcome
    after[CLOCK] = 1 - state[CLOCK]


@kernel
def step_all(states, actions, after):
    """Writes the states of many games after one action each.

    Args:
        states: int32 (n, length), not changed.
        actions: int64 (n,).
        after: int32 (n, length), filled in.
    """
    for i in range(len(states)):
        step(states[i], actions[i], after[i])


@inline
def _grown(array):
    """Returns a copy of an array with twice the room along its first axis."""
    return np.concatenate((array, np.empty_like(array)))


@inline
def _distances_from(tiles, stride, source, distances, queue):
    """Fills in each cell's steps to `source` for one who passes neither walls nor the door; -1 for none."""
    distances[:] = -1
    distances[source] = 0
    queue[0] = source
    head = 0
    tail = 1
    while head < tail:
        cell = queue[head]
        head += 1
        for direction in range(4):
            beside = neighbour(cell, stride, direction)
            if is_free(tiles, beside) and distances[beside] < 0:
                distances[beside] = distances[cell] + 1
                queue[tail] = beside
                tail += 1


@kernel
def enemy_routes(tiles, stride, cells, motions, clock):
    """Foretells where enemies will be at every tick, as long as they live.

    An enemy's motion depends on its place, its heading and the parity of the tick alone, so that it must come
    back to where it has been: its cells are a *lead*, followed by a *period* that repeats for ever.

    Args:
        tiles: the padded level.
        stride: the padded width.
        cells: int (k,), where the enemies are.
        motions: int (k,), `4 * tile + heading`.
        clock: the parity of the tick to come.

    Returns:
        int32 (total,), the enemies' routes one after the other, each lead + period cells long, beginning with
        where they are, or none of them where there are more cells than a search has room for; int64 (k + 1,), where
        each route begins; int64 (k,) the leads; int64 (k,) the periods.
    """
    count = cells.size
    routes = np.empty(1024, np.int32)
    begins = np.zeros(count + 1, np.int64)
    leads = np.zeros(count, np.int64)
    periods = np.ones(count, np.int64)
    # When each place was passed, counted on from one enemy to the next, so that nothing need be cleared.
    seen = np.full(8 * tiles.size, -1, np.int64)
    passed = 0
    for i in range(count):
        cell, motion, now = np.int64(cells[i]), np.int64(motions[i]), clock
        begin_at = begins[i]
        length = 0
        still = True
        while True:
            # The parity is nothing to a bat, and counting it could double its period.
            place = 8 * cell + 2 * (motion % 4) + (0 if motion // 4 == BAT else now)
            if seen[place] >= passed:
                break
            seen[place] = passed + length
            if begin_at + length == routes.size:
                routes = _grown(routes)
            routes[begin_at + length] = cell
            still = still and cell == cells[i]
            length += 1
            cell, motion = move_enemy(tiles, stride, cell, motion, now)
            now = 1 - now
        lead = seen[place] - passed
        passed += length
        if still:
            # An enemy that cannot leave its cell only turns on the spot; it must not stretch the joint
            # period.
            length = 1
        else:
            leads[i] = lead
            periods[i] = length - lead
        begins[i + 1] = begin_at + length
        if begins[i + 1] > _MOST_ROUTES:
            # No search can use them; the caller sees that they are too long.
            return routes[:0], begins, leads, periods
    return routes[: begins[count]], begins, leads, periods


@inline
def _revise(nodes, node, leads, periods):
    """Works out the joint lead and period of the living enemies of a node."""
    lead = 0
    period = 1
    for i in range(leads.size):
        if nodes[node, _ALIVE + i // _MASK_BITS] >> (i % _MASK_BITS) & 1:
            lead = max(lead, leads[i])
            a, b = period, periods[i]
            while b:
                a, b = b, a % b
            period = min(period // a * periods[i], _ENDLESS)
    nodes[node, _LEAD] = lead
    nodes[node, _PERIOD] = period


@inline
def _find(table, nodes, node):
    """Returns the slot of the hash table that holds an equal node, or the free one where this belongs."""
    value = 0
    for i in range(_PHASE, nodes.shape[1]):
        word = nodes[node, i]
        value = ((value ^ (word & 0x3FFFFFFF)) * 0x2545F49 + (word >> 30)) & 0x3FFFFFFF
        value ^= value >> 13
    slot = value & (table.size - 1)
    while table[slot] >= 0:
        other = table[slot]
        equal = True
        for i in range(_PHASE, nodes.shape[1]):
            if nodes[other, i] != nodes[node, i]:
                equal = False
                break
        if equal:
            break
        slot = (slot + 1) & (table.size - 1)
    return slot


@inline
def _push(frontier, tops, total, node):
    """Puts a node on the stack of its estimated total, and returns the frontier and the tops, which may have grown.

    The stacks are linked lists in one array: each row is a node and the row below it; row 0 holds the row count.
    """
    while total >= tops.size:
        tops = np.concatenate((tops, np.full(tops.size, -1, np.int32)))
    row = frontier[0, 0]
    if row == frontier.shape[0]:
        frontier = _grown(frontier)
    frontier[row, 0] = node
    frontier[row, 1] = tops[total]
    frontier[0, 0] = row + 1
    tops[total] = row
    return frontier, tops


@inline
def _meet(nodes, node, foretold, cells, next_cells):
    """Fills in where the enemies of a node are, -1 for the dead, and where the living go next."""
    routes, begins, leads, periods = foretold
    for i in range(leads.size):
        cells[i] = -1
        if nodes[node, _ALIVE + i // _MASK_BITS] >> (i % _MASK_BITS) & 1:
            now = nodes[node, _PHASE]
            later = now + 1
            if later >= leads[i] + periods[i]:
                now = leads[i] + (now - leads[i]) % periods[i] if now >= leads[i] else now
                later = leads[i] + (later - leads[i]) % periods[i]
            cells[i] = routes[begins[i] + now]
            next_cells[i] = routes[begins[i] + later]


@inline
def _follow(nodes, node, child, cells, struck, foretold):
    """Fills in a child's living enemies and phase, and tells whether any enemy still lives."""
    _, _, leads, periods = foretold
    for i in range(nodes.shape[1]):
        nodes[child, i] = nodes[node, i]
    living = killed = 0
    for i in range(cells.size):
        if cells[i] >= 0:
            if cells[i] == struck:
                killed += 1
                nodes[child, _ALIVE + i // _MASK_BITS] ^= 1 << (i % _MASK_BITS)
            else:
                living += 1
    if killed:
        _revise(nodes, child, leads, periods)
    lead = nodes[child, _LEAD]
    phase = nodes[node, _PHASE] + 1
    nodes[child, _PHASE] = phase if phase < lead else lead + (phase - lead) % nodes[child, _PERIOD]
    return living > 0


@inline
def _actions_to(nodes, node, last):
    """Returns the actions that lead from the first node to a node, and the one after it."""
    length = 1
    ancestor = node
    while nodes[ancestor, _PARENT] >= 0:
        length += 1
        ancestor = nodes[ancestor, _PARENT]
    actions = np.empty(length, np.int64)
    actions[length - 1] = last
    for i in range(length - 2, -1, -1):
        actions[i] = nodes[node, _ARRIVAL]
        node = nodes[node, _PARENT]
    return actions


@inline
def _first_nodes(player, foretold):
    """Returns room for nodes, of which the first is the start, with every enemy living."""
    _, _, leads, periods = foretold
    nodes = np.zeros((1024, _ALIVE + (leads.size + _MASK_BITS - 1) // _MASK_BITS), np.int64)
    for i in range(leads.size):
        nodes[0, _ALIVE + i // _MASK_BITS] |= 1 << (i % _MASK_BITS)
    place, facing, held = player
    nodes[0, _STANCE] = (place * 4 + facing) * 4 + held
    nodes[0, _PARENT] = -1
    _revise(nodes, np.int64(0), leads, periods)
    return nodes


@inline
def _ahead(place, held, ground, to_key, to_treasure, to_door):
    """Returns the fewest steps that are still to do, were there no enemies."""
    _, _, key, treasure, _ = ground
    if held == _ALL:
        return to_door[place]
    if held == HAS_TREASURE:
        return to_key[place] + to_door[key]
    if held == HAS_KEY:
        return to_treasure[place] + to_door[treasure]
    between = to_key[treasure]
    return between + min(to_key[place] + to_door[treasure], to_treasure[place] + to_door[key])


@inline
def _explore(ground, player, foretold, maps, budget, stop):
    """Searches as `search` says, where walls cut off nothing that is needed."""
    to_key, to_treasure, to_door = maps
    least = _ahead(player[0], player[2], ground, to_key, to_treasure, to_door)
    nodes = _first_nodes(player, foretold)
    used = np.int64(1)
    table = np.full(4 * nodes.shape[0], -1, np.int32)
    table[_find(table, nodes, used - 1)] = 0
    frontier = np.ones((1024, 2), np.int32)
    tops = np.full(64, -1, np.int32)
    frontier, tops = _push(frontier, tops, used - 1, used - 1)
    lowest = 0
    cells = np.empty(foretold[2].size, np.int32)
    next_cells = np.empty(cells.size, np.int32)
    expanded = 0
    while lowest < tops.size:
        row = tops[lowest]
        if row < 0:
            lowest += 1
            continue
        tops[lowest] = frontier[row, 1]
        node = np.int64(frontier[row, 0])
        # A node that was reached sooner later on stands in two stacks; it is expanded from the lower one.
        if nodes[node, _CLOSED]:
            continue
        told = expanded % _LOOK_EVERY == 0 and stopped(stop) != 0
        if told or expanded >= budget or expanded * cells.size > _MOST_MET or used * nodes.shape[1] > _MOST_WORDS:
            return UNKNOWN, np.empty(0, np.int64), expanded
        nodes[node, _CLOSED] = 1
        expanded += 1
        _meet(nodes, node, foretold, cells, next_cells)
        stance = nodes[node, _STANCE]
        for action in range(6):
            player = (stance // 16, stance // 4 % 4, stance % 4)
            player, struck, outcome = tick(ground, player, action, cells, next_cells)
            if outcome == WON:
                # The estimate of a node beside the open door is exact: no other node can do better.
                return SOLVED, _actions_to(nodes, node, action), expanded
            if outcome == LOST:
                continue
            if used == nodes.shape[0]:
                nodes = _grown(nodes)
                table = np.full(2 * table.size, -1, np.int32)
                for other in range(used):
                    table[_find(table, nodes, other)] = other
            place, facing, held = player
            if not _follow(nodes, node, used, cells, struck, foretold):
                # With nobody left to strike, it does not matter where the player looks.
                facing = 0
            nodes[used, _STANCE] = (place * 4 + facing) * 4 + held
            slot = _find(table, nodes, used)
            child = table[slot]
            ticks = nodes[node, _TICKS] + 1
            if child < 0:
                child = table[slot] = used
                nodes[child, _CLOSED] = 0
                used += 1
            elif nodes[child, _CLOSED] or nodes[child, _TICKS] <= ticks:
                continue
            nodes[child, _TICKS] = ticks
            nodes[child, _PARENT] = node
            nodes[child, _ARRIVAL] = action
            total = ticks + _ahead(place, held, ground, to_key, to_treasure, to_door)
            frontier, tops = _push(frontier, tops, total - least, child)
    return UNSOLVABLE, np.empty(0, np.int64), expanded


@kernel
def search(state, budget, stop):
    """Searches for the fewest ticks that win (A*, Hart 1968).

    A node is the player's cell, facing and what is held, which enemies live, and the tick; the tick is counted modulo
    the joint period of the living enemies once their leads are over, so that there are finitely many nodes.
    Enemies that are shut off from the player are left out. The steps to the key, the treasure and the
    door, with no enemy in the way, never overestimate what is still to do.

    Args:
        state: int32 (n,) of a game that goes on.
        budget: the most nodes to expand.
        stop: uint8 (1,), which is looked at now and then: not 0 gives up.

    Returns:
        SOLVED, UNSOLVABLE (proven) or UNKNOWN (at the budget, stopped, or out of room); int64 (length,) the
        actions; the nodes expanded.
    """
    stride = np.int64(state[WIDTH]) + 2
    padded = (np.int64(state[HEIGHT]) + 2) * stride
    key, door = np.int64(state[KEY_CELL]), np.int64(state[DOOR_CELL])
    treasure, held = np.int64(state[TREASURE_CELL]), np.int64(state[HELD])
    place, facing = np.int64(state[PLACE]), np.int64(state[FACING])
    tiles = state[HEADER : HEADER + padded]
    queue = np.empty(padded, np.int32)
    to_key = np.empty(padded, np.int32)
    to_door = np.empty(padded, np.int32)
    to_treasure = np.empty(padded, np.int32)
    _distances_from(tiles, stride, key, to_key, queue)
    _distances_from(tiles, stride, door, to_door, queue)
    if treasure >= 0:
        _distances_from(tiles, stride, treasure, to_treasure, queue)
    # What is held was taken in the region where the player still is: the tests hold then as well.
    if to_key[place] < 0 or to_door[key] < 0 or (treasure >= 0 and to_key[treasure] < 0):
        return UNSOLVABLE, np.empty(0, np.int64), 0

    count = np.int64(state[ENEMIES])
    cells = state[HEADER + padded : HEADER + padded + count]
    motions = state[HEADER + 2 * padded : HEADER + 2 * padded + count]
    near = np.zeros(count, np.bool_)
    for i in range(count):
        near[i] = cells[i] >= 0 and to_key[cells[i]] >= 0
    foretold = enemy_routes(tiles, stride, cells[near], motions[near], np.int64(state[CLOCK]))
    if count > 0 and near.any() and foretold[0].size == 0:
        return UNKNOWN, np.empty(0, np.int64), 0
    ground, player = (tiles, stride, key, treasure, door), (place, facing, held)
    return _explore(ground, player, foretold, (to_key, to_treasure, to_door), budget, stop)
