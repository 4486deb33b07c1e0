"""What the PCG Benchmark finds out about zelda levels (Khalifa 2025).

Tiles are the benchmark's: 0 solid, 1 empty, 2 player, 3 key, 4 door, 5 enemy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernels import inline, kernel
from envs.kernels.grid import count_regions, workspace

SOLID, EMPTY, PLAYER, KEY, DOOR, ENEMY = range(6)

# The columns of the facts.
FACTS = ("regions", "players", "keys", "doors", "enemies", "player_key", "key_door", "text_length")
REGIONS, PLAYERS, KEYS, DOORS, ENEMIES, PLAYER_KEY, KEY_DOOR, TEXT_LENGTH = range(len(FACTS))

_ZERO, _COMMA, _BAR = ord("0"), ord(","), ord("|")


@inline
def _flood(tiles, start, closed, distances, queue, stride, size):
    """Writes the steps from a cell to all that are reached from it, -1 to the others."""
    for cell in range(size):
        distances[cell] = -1
    distances[start] = 0
    queue[0] = start
    head, tail = 0, 1
    while head < tail:
        cell = queue[head]
        head += 1
        for side in range(4):
            near = cell + (-1 if side == 0 else 1 if side == 1 else -stride if side == 2 else stride)
            if tiles[near] != SOLID and tiles[near] != closed and distances[near] < 0:
                distances[near] = distances[cell] + 1
                queue[tail] = near
                tail += 1


@inline
def _write_number(value, text, length):
    digits, rest = 1, value
    while rest >= 10:
        rest //= 10
        digits += 1
    for i in range(digits):
        text[length + digits - 1 - i] = _ZERO + value % 10
        value //= 10
    return length + digits


@inline
def _write_path(distances, goal, text, queue, height, width):
    """Writes the way to a goal as "x,y|x,y|...", mirrored so that it begins in the upper left quarter.

    Of equally short ways it is the one whose cells, from the goal back, lie to the left, right, above or below of the
    one before, in this order of preference.

    Returns:
        The length of the text.
    """
    stride = width + 2
    steps, cell = distances[goal], goal
    if steps <= 0:
        return 0
    queue[steps] = goal
    for back in range(steps - 1, -1, -1):
        if distances[cell - 1] == back:
            cell -= 1
        elif distances[cell + 1] == back:
            cell += 1
        elif distances[cell - stride] == back:
            cell -= stride
        else:
            cell += stride
        queue[back] = cell
    turn_x = 2 * (queue[0] % stride - 1) > width
    turn_y = 2 * (queue[0] // stride - 1) > height
    length = 0
    for i in range(steps + 1):
        x, y = queue[i] % stride - 1, queue[i] // stride - 1
        length = _write_number(width - x - 1 if turn_x else x, text, length)
        text[length] = _COMMA
        length = _write_number(height - y - 1 if turn_y else y, text, length + 1)
        text[length] = _BAR
        length += 1
    return length


@kernel
def _study(levels, facts, texts, tiles, distances, queue):
    height, width = levels.shape[1:]
    stride = width + 2
    size = (height + 2) * stride
    for cell in range(size):
        tiles[cell] = SOLID
    for lane in range(len(levels)):
        player, key, door = -1, -1, -1
        for y in range(height):
            for x in range(width):
                cell = (y + 1) * stride + x + 1
                tile = levels[lane, y, x]
                tiles[cell] = tile
                if tile == PLAYER:
                    facts[lane, PLAYERS] += 1
                    player = cell if player < 0 else player
                elif tile == KEY:
                    facts[lane, KEYS] += 1
                    key = cell if key < 0 else key
                elif tile == DOOR:
                    facts[lane, DOORS] += 1
                    door = cell if door < 0 else door
                elif tile == ENEMY:
                    facts[lane, ENEMIES] += 1
        facts[lane, PLAYER_KEY], facts[lane, KEY_DOOR] = -1, -1
        if key >= 0 and player >= 0:
            _flood(tiles, player, DOOR, distances, queue, stride, size)
            facts[lane, PLAYER_KEY] = distances[key]
            facts[lane, TEXT_LENGTH] = _write_path(distances, key, texts[lane], queue, height, width)
        if key >= 0 and door >= 0:
            _flood(tiles, key, SOLID, distances, queue, stride, size)
            facts[lane, KEY_DOOR] = distances[door]


def study(levels: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Finds out what the benchmark finds out.

    Args:
        levels: uint8 (n, height, width) of the benchmark's tiles.

    Returns:
        The facts, int64 (n, 8) in the order of FACTS: player_key and key_door are steps between the first of each, -1
        where there is no way. And the ways from the player to the key as texts, uint8 (n, room). The way on to the door
        is not among them: the benchmark looks for it with the door closed, and finds none.
    """
    n, height, width = levels.shape
    facts = np.zeros((n, len(FACTS)), np.int64)
    facts[:, REGIONS] = count_regions(levels, np.arange(6) != SOLID)
    # No shortest way takes more than three cells of a block of four (see `envs.problem.longest_path_bound`).
    cells = 3 * ((height + 1) // 2) * ((width + 1) // 2)
    room = (len(str(width)) + len(str(height)) + 2) * cells
    texts = np.zeros((n, room), np.uint8)
    tiles, distances, queue = workspace(levels.shape)
    _study(np.ascontiguousarray(levels), facts, texts, tiles, distances, queue)
    longest = int(facts[:, TEXT_LENGTH].max()) if n else 0
    return facts, texts[:, : max(longest, 1)].copy()
