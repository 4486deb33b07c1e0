"""One tick of loderunner.

A state is one int32 vector: the header below; the padded level (see `envs.kernels.grid`), in which only empty, brick,
solid, ladder, rope and the gold still to take remain; for each padded cell the ticks that its hole stays open, 0 where
there is none; and for the guards, in the row-major order of where they began, their cells, their traps and their first
cells. Each of the three blocks of the guards has room for one in every padded cell.

A guard's trap is how many of its moves it still sits in a hole, 0 for a free guard, and `CLIMBED` for one that has just
climbed out and does not fall back at its next move.
"""

from __future__ import annotations

from envs.kernels import inline, kernel
from envs.rules import LOST, PLAYING, WON

EMPTY, BRICK, SOLID, LADDER, ROPE, GOLD, GUARD, PLAYER = range(8)
LEFT, RIGHT, UP, DOWN, DIG_LEFT, DIG_RIGHT, WAIT = range(7)
HEIGHT, WIDTH, PLACE, FACING, OUTCOME, GOLD_LEFT, CLOCK, GUARDS, HEADER = range(9)

#: How many ticks a hole is open, the tick of the digging included.
HOLE_TICKS = 32
#: How many of its moves a guard sits in a hole; it moves on every second tick.
TRAP_MOVES = 6
CLIMBED = -1


@inline
def shift(stride, direction):
    """Returns how far the neighbour of a padded cell is in a direction, LEFT to DOWN."""
    if direction == LEFT:
        return -1
    if direction == RIGHT:
        return 1
    return -stride if direction == UP else stride


@inline
def is_open(tiles, holes, cell):
    """Tells whether a body may be in a cell: all but solid and whole bricks."""
    tile = tiles[cell]
    return tile != SOLID and (tile != BRICK or holes[cell] > 0)


@inline
def holds_guard(cells, traps, cell):
    """Tells whether a guard sits trapped in a cell."""
    for i in range(cells.size):  # noqa: SIM110 (Numba compiles no generator in `any`)
        if cells[i] == cell and traps[i] > 0:
            return True
    return False


@inline
def is_firm(tiles, stride, cell):
    """Tells whether a body in a cell would not fall if all bricks were whole."""
    if tiles[cell] == LADDER or tiles[cell] == ROPE:
        return True
    below = tiles[cell + stride]
    return below in (BRICK, SOLID, LADDER)


@inline
def is_supported(tiles, holes, stride, cells, traps, cell):
    """Tells whether a body in a cell does not fall: bricks hold it, and guards who sit in holes."""
    if not is_firm(tiles, stride, cell):
        return False
    if tiles[cell] == LADDER or tiles[cell] == ROPE or holes[cell + stride] == 0:
        return True
    return holds_guard(cells, traps, cell + stride)


@inline
def move_player(tiles, holes, stride, cells, traps, place, action):
    """Moves the player, or lets her fall, whatever the action.

    Returns:
        The player's cell, and the brick that she dug, or -1. The caller opens the hole and takes the gold.
    """
    if not is_supported(tiles, holes, stride, cells, traps, place):
        return place + stride, -1
    if action in (DIG_LEFT, DIG_RIGHT):
        beside = place - 1 if action == DIG_LEFT else place + 1
        brick = beside + stride
        if tiles[brick] != BRICK or holes[brick] > 0:
            return place, -1
        if tiles[beside] != EMPTY and not (tiles[beside] == BRICK and holes[beside] > 0):
            return place, -1
        for i in range(cells.size):
            if cells[i] == beside:
                return place, -1
        return place, brick
    if action == WAIT or (action == UP and tiles[place] != LADDER):
        return place, -1
    ahead = place + shift(stride, action)
    if not is_open(tiles, holes, ahead):
        return place, -1
    if action == DOWN and holes[ahead] > 0 and holds_guard(cells, traps, ahead):
        return place, -1
    return ahead, -1


@inline
def guards_ways(tiles, stride, target, ways, queue):
    """Fills in the moves that every cell is from the player's for a guard to whom all holes look like whole bricks.

    The player's own cell is open to it, also if it is a hole.

    Args:
        tiles: int32 (padded cells,); left as it is.
        stride: the padded width.
        target: the player's cell.
        ways: int32 (padded cells,), filled; -1 for cells from which there is no way.
        queue: int32 (padded cells,), overwritten.
    """
    for cell in range(ways.size):
        ways[cell] = -1
    tile = tiles[target]
    if tile == BRICK:
        tiles[target] = EMPTY
    ways[target] = 0
    queue[0] = target
    head, tail = 0, 1
    while head < tail:
        cell = queue[head]
        head += 1
        for direction in range(4):
            # From where a move in this direction leads here.
            before = cell - shift(stride, direction)
            if ways[before] >= 0 or tiles[before] == SOLID or tiles[before] == BRICK:
                continue
            if direction == UP and tiles[before] != LADDER:
                continue
            if direction <= RIGHT and not is_firm(tiles, stride, before):
                continue
            ways[before] = ways[cell] + 1
            queue[tail] = before
            tail += 1
    tiles[target] = tile


@inline
def move_guard(tiles, holes, stride, cells, traps, ways, i):
    """Moves guard i: it sits in its hole, climbs out, falls, or goes on a shortest way to the player."""
    cell = cells[i]
    if traps[i] > 0:
        if traps[i] > 1:
            traps[i] -= 1
        elif is_open(tiles, holes, cell - stride):
            cells[i], traps[i] = cell - stride, CLIMBED
        return
    if traps[i] == 0 and not is_supported(tiles, holes, stride, cells, traps, cell):
        cells[i] = cell + stride
        if holes[cell + stride] > 0:
            traps[i] = TRAP_MOVES
        return
    traps[i] = 0
    if ways[cell] <= 0:
        return
    for direction in (UP, DOWN, LEFT, RIGHT):
        ahead = cell + shift(stride, direction)
        if ways[ahead] != ways[cell] - 1:
            continue
        if (direction == UP and tiles[cell] != LADDER) or (direction <= RIGHT and not is_firm(tiles, stride, cell)):
            continue
        cells[i] = ahead
        return


@inline
def is_touched(cells, place):
    """Tells whether a guard is in the player's cell."""
    for i in range(cells.size):  # noqa: SIM110 (Numba compiles no generator in `any`)
        if cells[i] == place:
            return True
    return False


@inline
def bury(cells, traps, firsts, cell):
    """Sends the guards in a hole that closes back to where they began."""
    for i in range(cells.size):
        if cells[i] == cell:
            cells[i], traps[i] = firsts[i], 0


@kernel
def begin(level, state):
    """Writes the state at the start of a level with one player and some gold.

    Args:
        level: uint8 (height, width).
        state: int32 (9 + 5 * padded cells,), all zero; filled in.
    """
    height, width = level.shape
    stride = width + 2
    padded = (height + 2) * stride
    tiles = state[HEADER : HEADER + padded]
    cells = state[HEADER + 2 * padded : HEADER + 3 * padded]
    firsts = state[HEADER + 4 * padded : HEADER + 5 * padded]
    for cell in range(padded):
        tiles[cell] = SOLID
    guards = gold = 0
    for y in range(height):
        for x in range(width):
            cell = (y + 1) * stride + x + 1
            tile = level[y, x]
            tiles[cell] = tile if tile <= GOLD else EMPTY
            if tile == PLAYER:
                state[PLACE] = cell
            elif tile == GUARD:
                cells[guards] = firsts[guards] = cell
                guards += 1
            elif tile == GOLD:
                gold += 1
    state[HEIGHT], state[WIDTH] = height, width
    state[FACING] = RIGHT
    state[OUTCOME] = PLAYING
    state[GOLD_LEFT] = gold
    state[GUARDS] = guards


@kernel
def step(state, action, after):
    """Writes the state after one action; a finished game stays as it is.

    Args:
        state: int32 (n,), not changed.
        action: 0 to 6.
        after: int32 (n,), filled in.
    """
    for i in range(state.size):
        after[i] = state[i]
    if state[OUTCOME] != PLAYING:
        return
    stride = int(state[WIDTH]) + 2
    padded = (int(state[HEIGHT]) + 2) * stride
    count = int(state[GUARDS])
    tiles = after[HEADER : HEADER + padded]
    holes = after[HEADER + padded : HEADER + 2 * padded]
    cells = after[HEADER + 2 * padded : HEADER + 2 * padded + count]
    traps = after[HEADER + 3 * padded : HEADER + 3 * padded + count]
    firsts = after[HEADER + 4 * padded : HEADER + 4 * padded + count]
    place, dug = move_player(tiles, holes, stride, cells, traps, int(state[PLACE]), int(action))
    after[PLACE] = place
    if action in (LEFT, DIG_LEFT):
        after[FACING] = LEFT
    elif action in (RIGHT, DIG_RIGHT):
        after[FACING] = RIGHT
    if dug >= 0:
        holes[dug] = HOLE_TICKS
    if tiles[place] == GOLD:
        tiles[place] = EMPTY
        after[GOLD_LEFT] -= 1
    lost = is_touched(cells, place)
    if state[CLOCK] == 1 and not lost:
        scratch = after[HEADER + 2 * padded :].copy()
        ways, queue = scratch[:padded], scratch[padded : 2 * padded]
        guards_ways(tiles, stride, place, ways, queue)
        for i in range(count):
            move_guard(tiles, holes, stride, cells, traps, ways, i)
        lost = is_touched(cells, place)
    for cell in range(padded):
        if holes[cell] > 0:
            holes[cell] -= 1
            if holes[cell] == 0:
                bury(cells, traps, firsts, cell)
                lost = lost or cell == place
    lost = lost or is_touched(cells, place)
    after[CLOCK] = 1 - state[CLOCK]
    if lost:
        after[OUTCOME] = LOST
    elif after[GOLD_LEFT] == 0:
        after[OUTCOME] = WON


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
