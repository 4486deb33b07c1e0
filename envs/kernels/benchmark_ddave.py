"""What the PCG Benchmark finds out about ddave levels, by its own agents within their limits (Khalifa 2025).

Tiles are the benchmark's: 0 solid, 1 empty, 2 player, 3 exit, 4 diamond, 5 key, 6 spike. The player waits, walks a cell
to the left or right, or jumps from the ground where there is no ceiling: up for two ticks, held for one, then falling a
cell a tick; walking goes on in the air. Three agents order what they have seen by the distance to the goal plus 1, 1/2
or 0 times the ticks passed, a fourth searches breadth-first, each within a limit of states looked at. They take states
for the same that differ only in how long the player is in the air yet, so that they can miss solutions; this is kept,
and so is the order in which equal states come up, for both decide what the benchmark reports.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernels import inline, kernel
from envs.kernels.benchmark import NAME, NAME_BITS, dequeue, enqueue

SOLID, EMPTY, PLAYER, EXIT, DIAMOND, KEY, SPIKE = range(7)

# The columns of the facts.
FACTS = (
    "players",
    "exits",
    "diamonds",
    "keys",
    "spikes",
    "playerOnGround",
    "exitOnGround",
    "heuristic",
    "num_jumps",
    "solution_length",
    "diamonds_out_of_reach",
)
(
    PLAYERS,
    EXITS,
    DIAMONDS,
    KEYS,
    SPIKES,
    PLAYERS_ON_GROUND,
    EXITS_ON_GROUND,
    DISTANCE,
    JUMPS,
    LENGTH,
    OUT_OF_REACH,
) = range(len(FACTS))

# The columns of a search's nodes; the rest are bits, one for each diamond that is taken.
_CELL, _DEPTH, _PARENT, _GAP, _AIR, _KEY, _ALIVE, _JUMPS, _WORDS = range(9)

_BREADTH_FIRST = -1
_AIR_TIME, _HANG_TIME = 3, 1
_DIAMONDS_A_WORD = 31


@inline
def _tile_of_item(number):
    return number // _DIAMONDS_A_WORD, np.int32(1) << np.int32(number % _DIAMONDS_A_WORD)


@inline
def _is_new(nodes, node, words, table, age):
    """Tells whether a place, with the same things taken, was not seen before, and remembers it."""
    digest = int(nodes[node, _CELL]) * 2 + int(nodes[node, _KEY])
    for i in range(words):
        digest = ((digest ^ int(nodes[node, _WORDS + i])) * 1540483477) & 0x7FFFFFFF
        digest ^= digest >> 15
    slot = digest & (len(table) - 1)
    while table[slot] >> NAME_BITS == age:
        other = table[slot] & NAME
        same = nodes[other, _CELL] == nodes[node, _CELL] and nodes[other, _KEY] == nodes[node, _KEY]
        i = 0
        while same and i < words:
            same = nodes[other, _WORDS + i] == nodes[node, _WORDS + i]
            i += 1
        if same:
            return False
        slot = (slot + 1) & (len(table) - 1)
    table[slot] = age << NAME_BITS | node
    return True


@inline
def _steps(one, other, stride):
    return abs(one // stride - other // stride) + abs(one % stride - other % stride)


@inline
def _play(nodes, node, known, action, words, tiles, number, stride):
    """Writes what an action (wait, left, right, jump) makes of a node into node `known`."""
    for i in range(words):
        nodes[known, _WORDS + i] = nodes[node, _WORDS + i]
    cell, air = nodes[node, _CELL], nodes[node, _AIR]
    jumps = nodes[node, _JUMPS]
    ground, ceiling = tiles[cell + stride] == SOLID, tiles[cell - stride] == SOLID
    if action == 1 or action == 2:
        aside = cell - 1 if action == 1 else cell + 1
        if tiles[aside] != SOLID:
            cell = aside
    elif action == 3 and ground and not ceiling:
        air = _AIR_TIME
        jumps += 1
    if air > _HANG_TIME:
        air -= 1
        if tiles[cell - stride] != SOLID:
            cell -= stride
        else:
            air = _HANG_TIME
    elif air > 0:
        air -= 1
    elif tiles[cell + stride] != SOLID:
        cell += stride
    key, alive = nodes[node, _KEY], 1
    tile = tiles[cell]
    if tile == DIAMOND:
        word, bit = _tile_of_item(number[cell])
        nodes[known, _WORDS + word] |= bit
    elif tile == SPIKE:
        alive = 0
    elif tile == KEY:
        key = 1
    nodes[known, _CELL], nodes[known, _AIR], nodes[known, _KEY] = cell, air, key
    nodes[known, _ALIVE], nodes[known, _JUMPS] = alive, jumps
    nodes[known, _DEPTH], nodes[known, _PARENT] = nodes[node, _DEPTH] + 1, node


@inline
def _gap(nodes, node, goal, key_cell, exit_cell, key_price, stride):
    """Returns the steps to the goal; without one, to the key and, at a price, from there on, or to the exit."""
    cell = nodes[node, _CELL]
    if goal >= 0:
        return _steps(cell, goal, stride)
    if not nodes[node, _KEY]:
        return _steps(cell, key_cell, stride) + key_price
    return _steps(cell, exit_cell, stride)


@inline
def _search(
    balance, power, goal, key_cell, exit_cell, key_price, words, tiles, number, nodes, heap, table, clock, stride
):
    """Searches from node 0 for a way to a goal, or with a goal of -1 for a way to the exit by way of the key.

    Returns:
        The node that gets there, or -1; and the node that came nearest.
    """
    # What earlier searches left in the table is told by its age.
    clock[0] += 1
    age = clock[0]
    nodes[0, _GAP] = _gap(nodes, 0, goal, key_cell, exit_cell, key_price, stride)
    known, head, waiting, best = 1, 0, 1, 0
    heap[0] = 0
    for _ in range(power):
        if balance == _BREADTH_FIRST:
            if head == known:
                break
            node = head
            head += 1
        else:
            if waiting == 0:
                break
            node = dequeue(heap, waiting)
            waiting -= 1
        if not nodes[node, _ALIVE]:
            continue
        if nodes[node, _GAP] == 0:
            return node, node
        if not _is_new(nodes, node, words, table, age):
            continue
        nearer = nodes[node, _GAP] - nodes[best, _GAP]
        if nearer < 0 or (nearer == 0 and nodes[node, _DEPTH] < nodes[best, _DEPTH]):
            best = node
        for action in range(4):
            _play(nodes, node, known, action, words, tiles, number, stride)
            nodes[known, _GAP] = _gap(nodes, known, goal, key_cell, exit_cell, key_price, stride)
            if balance != _BREADTH_FIRST:
                enqueue(heap, waiting, 2 * nodes[known, _GAP] + balance * nodes[known, _DEPTH], known)
                waiting += 1
            known += 1
    return -1, best


@inline
def _run(power, goal, key_cell, exit_cell, key_price, words, tiles, number, nodes, heap, table, clock, stride):
    """Lets the four agents try in turn; returns the node that gets there or -1, and the last agent's nearest."""
    node, best = -1, 0
    for attempt in range(4):
        balance = _BREADTH_FIRST if attempt == 3 else 2 - attempt
        node, best = _search(
            balance,
            power,
            goal,
            key_cell,
            exit_cell,
            key_price,
            words,
            tiles,
            number,
            nodes,
            heap,
            table,
            clock,
            stride,
        )
        if node >= 0:
            break
    return node, best


@inline
def _flood(tiles, start, mark, marks, queue, stride):
    """Marks everything but solid that is joined to a cell; returns how many cells were not marked before."""
    if marks[start]:
        return 0
    marks[start] = mark
    queue[0] = start
    head, tail = 0, 1
    while head < tail:
        cell = queue[head]
        head += 1
        for side in range(4):
            step = -1 if side == 0 else 1 if side == 1 else -stride if side == 2 else stride
            if tiles[cell + step] != SOLID and not marks[cell + step]:
                marks[cell + step] = mark
                queue[tail] = cell + step
                tail += 1
    return tail


@inline
def _keep_a_region(tiles, players, count, marks, queue, stride):
    """Fills everything with solid but the player's region; of several players, the one in the largest region."""
    for cell in range(len(tiles)):
        marks[cell] = 0
    largest, chosen, regions = 0, 0, 0
    for i in range(count):
        size = _flood(tiles, players[i], i + 1, marks, queue, stride)
        if size > 0:
            # As published: the largest region's place among the regions serves as a place among the players.
            if size > largest:
                largest, chosen = size, regions
            regions += 1
    mark = marks[players[chosen]]
    for cell in range(len(tiles)):
        if marks[cell] != mark:
            tiles[cell] = SOLID


@kernel
def _study(levels, power, facts, gaps, visits, places, kept, grid, nodes, heap, table, clock):
    height, width = levels.shape[1:]
    stride = width + 2
    tiles, number, marks, queue, players = grid[0], grid[1], grid[2], grid[3], grid[4]
    for lane in range(len(levels)):
        for cell in range((height + 2) * stride):
            tiles[cell], number[cell] = SOLID, -1
        count = 0
        for y in range(height):
            for x in range(width):
                cell = (y + 1) * stride + x + 1
                tiles[cell] = levels[lane, y, x]
                if tiles[cell] == PLAYER:
                    players[count] = cell
                    count += 1
        if count > 0:
            _keep_a_region(tiles, players, count, marks, queue, stride)
        facts[lane, DISTANCE] = -1
        player, key_cell, exit_cell = -1, -1, -1
        for y in range(height):
            for x in range(width):
                cell = (y + 1) * stride + x + 1
                tile = tiles[cell]
                kept[lane, y, x] = tile
                grounded = tiles[cell + stride] == SOLID
                if tile == PLAYER:
                    facts[lane, PLAYERS] += 1
                    facts[lane, PLAYERS_ON_GROUND] += grounded
                    player = cell
                elif tile == EXIT:
                    facts[lane, EXITS] += 1
                    facts[lane, EXITS_ON_GROUND] += grounded
                    exit_cell = cell
                elif tile == DIAMOND:
                    number[cell] = facts[lane, DIAMONDS]
                    places[facts[lane, DIAMONDS]] = cell
                    facts[lane, DIAMONDS] += 1
                elif tile == KEY:
                    facts[lane, KEYS] += 1
                    key_cell = cell
                elif tile == SPIKE:
                    facts[lane, SPIKES] += 1
        if facts[lane, PLAYERS] != 1 or facts[lane, EXITS] != 1 or facts[lane, KEYS] != 1:
            continue
        words = int(facts[lane, DIAMONDS]) // _DIAMONDS_A_WORD + 1
        for column in range(_WORDS + words):
            nodes[0, column] = 0
        nodes[0, _CELL], nodes[0, _PARENT], nodes[0, _ALIVE] = player, -1, 1
        key_price = height + 2 + stride
        # The exit first, then each diamond.
        for i in range(-1, facts[lane, DIAMONDS]):
            goal = places[i] if i >= 0 else -1
            node, best = _run(
                power, goal, key_cell, exit_cell, key_price, words, tiles, number, nodes, heap, table, clock, stride
            )
            if i >= 0:
                gaps[lane, i] = nodes[best, _GAP]
                facts[lane, OUT_OF_REACH] += nodes[best, _GAP] > 0
                continue
            facts[lane, JUMPS] = nodes[best, _JUMPS]
            facts[lane, DISTANCE] = nodes[best, _GAP]
            if node >= 0:
                facts[lane, LENGTH] = nodes[node, _DEPTH] + 1
            while node >= 0:
                cell = nodes[node, _CELL]
                visits[lane, cell // stride - 1, cell % stride - 1] += 1
                node = nodes[node, _PARENT]


def study(
    levels: NDArray[np.uint8], power: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32], NDArray[np.uint8]]:
    """Finds out what the benchmark finds out.

    Args:
        levels: uint8 (n, height, width) of the benchmark's tiles.
        power: how many states each agent looks at.

    Returns:
        The facts, int64 (n, 11) in the order of FACTS: heuristic is -1 where there is no game to play, else how near
        the last agent came to the exit, with 0 for a win. How near the agents came to each diamond, int32 (n, cells),
        in row-major order of the diamonds that are left. How often the solution was in each cell,
        int32 (n, height, width). And the level that was judged, in which all but the player's region is solid.
    """
    n, height, width = levels.shape
    cells = (height + 2) * (width + 2)
    words = height * width // _DIAMONDS_A_WORD + 1
    facts = np.zeros((n, len(FACTS)), np.int64)
    gaps = np.zeros((n, height * width), np.int32)
    visits = np.zeros((n, height, width), np.int32)
    kept = np.zeros(levels.shape, np.uint8)
    _study(
        np.ascontiguousarray(levels),
        power,
        facts,
        gaps,
        visits,
        np.zeros(height * width, np.int32),
        kept,
        np.zeros((5, cells), np.int32),
        np.zeros((4 * power + 2, _WORDS + words), np.int32),
        np.zeros(4 * power + 2, np.int64),
        np.zeros(1 << (2 * power).bit_length(), np.int64),
        np.zeros(1, np.int64),
    )
    return facts, gaps, visits, kept


@kernel
def _path_differences(visits, corners, differences):
    n, height, width = visits.shape
    for one in range(n):
        for other in range(n):
            # Both paths move to the upper left corner together.
            top = min(corners[one, 0], corners[other, 0]) % height
            left = min(corners[one, 1], corners[other, 1]) % width
            plain, mirrored = 0, 0
            for y in range(height):
                for x in range(width):
                    there = 0
                    if y + top < height and x + left < width:
                        there = visits[other, y + top, x + left]
                    here, turned = 0, 0
                    if y + top < height:
                        if x + left < width:
                            here = visits[one, y + top, x + left]
                        if width - 1 - x + left < width:
                            turned = visits[one, y + top, width - 1 - x + left]
                    plain += abs(here - there)
                    mirrored += abs(turned - there)
            differences[one, other] = min(plain, mirrored)


def path_differences(visits: NDArray[np.int32]) -> NDArray[np.int64]:
    """Returns how much paths differ, pair by pair: the visits that differ, as they are or one of them mirrored.

    Args:
        visits: int32 (n, height, width), how often each path is in each cell.

    Returns:
        int64 (n, n).
    """
    n, height, width = visits.shape
    # A path that visits nothing lies nowhere: a whole multiple of the size, which the kernel takes for 0.
    corners = np.tile(np.array([[height, width]], np.int64), (n, 1))
    for axis in range(2):
        seen = (visits > 0).sum(axis=2 - axis) > 0
        found = seen.sum(axis=1) > 0
        corners[found, axis] = seen[found].argmax(axis=1)
    differences = np.zeros((n, n), np.int64)
    _path_differences(np.ascontiguousarray(visits), corners, differences)
    return differences
