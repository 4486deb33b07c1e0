"""One move of ddave, and the exact search for the fewest moves that win.

A state is one int32 vector: the header below and the padded level (see `envs.kernels.grid`), in which what was taken
is empty. `AIR` is 2 while the player rises, 1 when the player will hang for one move, 0 on the ground and in a fall.
"""

from __future__ import annotations

import numpy as np

from envs.kernels import inline, kernel
from envs.kernels.stop import stopped
from envs.rules import LOST, PLAYING, WON

EMPTY, SOLID, PLAYER, EXIT, DIAMOND, KEY, SPIKE = range(7)
WAIT, LEFT, RIGHT, JUMP = range(4)
HEIGHT, WIDTH, PLACE, AIR, HAS_KEY, OUTCOME, HEADER = range(7)

#: What `search` finds out.
SOLVED, UNSOLVABLE, UNKNOWN = range(3)

# A jump lasts three moves: two up and one in which the player hangs.
_JUMP = 3

#: A player's place, air and key in one number: the number of them for each padded cell.
STANCES = 6

#: What the search knows about a stance: moves and jumps that lead to it, the stance before, and the action from there.
MOVES, JUMPS, BEFORE, ACTION, COLUMNS = range(5)


@inline
def move(cells, stride, place, air, action):
    """Moves a player who takes nothing on the way. The only place that knows how players move.

    First the player goes sideways, or jumps off ground with room overhead; then rises, hangs or falls by one cell.

    Returns:
        The place, the air, and whether this was a jump.
    """
    jumped = 0
    if action == LEFT:
        if cells[place - 1] != SOLID:
            place -= 1
    elif action == RIGHT:
        if cells[place + 1] != SOLID:
            place += 1
    elif action == JUMP and cells[place + stride] == SOLID and cells[place - stride] != SOLID:
        air = _JUMP
        jumped = 1
    if air > 1:
        air -= 1
        if cells[place - stride] != SOLID:
            place -= stride
        else:
            air = 1
    elif air == 1:
        air = 0
    elif cells[place + stride] != SOLID:
        place += stride
    return place, air, jumped


@kernel
def step(state, action, after):
    """Writes the state after one action; a finished game stays as it is.

    Args:
        state: int32 (n,), not changed.
        action: 0 to 3.
        after: int32 (n,), filled in.
    """
    for i in range(state.size):
        after[i] = state[i]
    if state[OUTCOME] != PLAYING:
        return
    stride = np.int64(state[WIDTH]) + 2
    place, air, _ = move(state[HEADER:], stride, np.int64(state[PLACE]), np.int64(state[AIR]), action)
    after[PLACE] = place
    after[AIR] = air
    tile = state[HEADER + place]
    if tile == SPIKE:
        after[OUTCOME] = LOST
    elif tile == KEY:
        after[HAS_KEY] = 1
        after[HEADER + place] = EMPTY
    elif tile == DIAMOND:
        after[HEADER + place] = EMPTY
    elif tile == EXIT and state[HAS_KEY] == 1:
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


@inline
def spread(cells, stride, place, air, has_key, known, queue, budget, stop):
    """Goes breadth-first through all that the player can do, up to the first win.

    Diamonds change nothing about where a player can go, so that place, air and key are all there is to know. Among
    ways of as few moves, the one with the fewest jumps is kept.

    Args:
        cells: the padded level.
        stride: its width.
        place: where the player is.
        air: 0 to 2.
        has_key: 0 or 1.
        known: int32 (STANCES * padded cells, COLUMNS), filled in; MOVES is -1 where the search did not come.
        queue: int32 (STANCES * padded cells,), the stances in the order in which they were found.
        budget: the most stances to expand.
        stop: uint8 (1,); anything but 0 ends the search.

    Returns:
        The winning stance or -1, how many stances were expanded, how many were found, and whether that was all.
    """
    for i in range(cells.size * STANCES):
        known[i, MOVES] = -1
    first = (place * 3 + air) * 2 + has_key
    known[first, MOVES] = 0
    known[first, JUMPS] = 0
    known[first, BEFORE] = -1
    queue[0] = first
    head = 0
    tail = 1
    won = -1
    while head < tail:
        stance = np.int64(queue[head])
        # Wins are of one layer: another may need fewer jumps until the layer before it is done.
        if won >= 0 and known[stance, MOVES] == known[won, MOVES]:
            break
        if head >= budget or (head % 1024 == 1023 and stopped(stop) != 0):
            return won, head, tail, False
        head += 1
        for action in range(4):
            place, air, jumped = move(cells, stride, stance // 6, stance // 2 % 3, action)
            tile = cells[place]
            if tile == SPIKE:
                continue
            has_key = 1 if tile == KEY else stance % 2
            child = (place * 3 + air) * 2 + has_key
            moves = known[stance, MOVES] + 1
            jumps = known[stance, JUMPS] + jumped
            if known[child, MOVES] < 0:
                queue[tail] = child
                tail += 1
            elif known[child, MOVES] < moves or known[child, JUMPS] <= jumps:
                continue
            known[child, MOVES] = moves
            known[child, JUMPS] = jumps
            known[child, BEFORE] = stance
            known[child, ACTION] = action
            if tile == EXIT and has_key == 1 and (won < 0 or jumps < known[won, JUMPS]):
                won = child
    return won, head, tail, True


@kernel
def search(state, budget, stop, known, queue):
    """Searches for the fewest moves that win, and among those for the fewest jumps.

    Args:
        state: int32 (n,) of a game that goes on.
        budget: the most stances to expand.
        stop: uint8 (1,); anything but 0 ends the search.
        known: int32 (STANCES * padded cells, COLUMNS), to work in.
        queue: int32 (STANCES * padded cells,), to work in.

    Returns:
        SOLVED, UNSOLVABLE (proven) or UNKNOWN; int64 (length,) the actions; and the stances expanded.
    """
    stride = np.int64(state[WIDTH]) + 2
    place, air, has_key = np.int64(state[PLACE]), np.int64(state[AIR]), np.int64(state[HAS_KEY])
    won, expanded, _, all_done = spread(state[HEADER:], stride, place, air, has_key, known, queue, budget, stop)
    if won < 0:
        return (UNSOLVABLE if all_done else UNKNOWN), np.empty(0, np.int64), expanded
    actions = np.empty(known[won, MOVES], np.int64)
    for i in range(actions.size - 1, -1, -1):
        actions[i] = known[won, ACTION]
        won = known[won, BEFORE]
    return SOLVED, actions, expanded
