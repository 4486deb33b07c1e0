"""What the PCG Benchmark finds out about sokoban levels, by its own agents within their limits (Khalifa 2025).

Tiles are the benchmark's: 0 solid, 1 empty, 2 player, 3 crate, 4 target. A first agent searches breadth-first; three
more, where it gives up, order what they have seen by the crates' distance to the targets plus 1, 1/2 or 0 times the
moves made. Each looks at a limited number of states, the same one counted as often as it comes up. What they find
within that limit, and in what order, decides what the benchmark reports, so that the order is kept here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernels import inline, kernel
from envs.kernels.benchmark import NAME, NAME_BITS, dequeue, enqueue

SOLID, EMPTY, PLAYER, CRATE, TARGET = range(5)

# The columns of the facts.
PLAYERS, CRATES, TARGETS, DISTANCE, LENGTH, TEXT_LENGTH = range(6)
FACTS = ("players", "crates", "targets", "heuristic", "solution_length", "text_length")

# The columns of a search's nodes.
_CELL, _DEPTH, _PARENT, _MOVE, _GAP, _WORDS = range(6)

# Breadth-first; or by distance and so many halves of the moves made.
_BREADTH_FIRST = -1

# How the moves of a solution are written, by push and by the side moved to: right, left, down, up.
_WALK, _PUSH = np.frombuffer(b"rldu", np.uint8), np.frombuffer(b"eksy", np.uint8)


@inline
def _dead_cells(walls, goals, dead, height, width):
    """Marks the inner cells from which the agents take no crate to reach a target: corners, and walls between them."""
    stride = width + 2
    for cell in range((height + 2) * stride):
        dead[cell] = 0
    for y in range(1, height + 1):
        for x in range(1, width + 1):
            cell = y * stride + x
            upright = walls[cell - stride] or walls[cell + stride]
            sideways = walls[cell - 1] or walls[cell + 1]
            if not walls[cell] and not goals[cell] and upright and sideways:
                dead[cell] = 2
    for y in range(1, height + 1):
        for x in range(1, width + 1):
            corner = y * stride + x
            if dead[corner] != 2:
                continue
            for axis in range(2):
                step, side = (1, stride) if axis == 0 else (stride, 1)
                cell = corner + step
                # Corners further on are reached by way of this run or not at all.
                while not walls[cell] and not goals[cell] and (walls[cell - side] or walls[cell + side]):
                    if dead[cell] == 2:
                        back = corner + step
                        while back != cell:
                            dead[back] = max(dead[back], 1)
                            back += step
                    cell += step


@inline
def _gap(nodes, node, count, targets, taken, stride):
    """Adds up the steps from each crate in turn to the nearest target that no crate before it was given."""
    for i in range(count):
        taken[i] = 0
    total = 0
    for i in range(count):
        cell = nodes[node, _WORDS + i]
        nearest, best = 1 << 30, 0
        for j in range(count):
            if not taken[j]:
                steps = abs(cell // stride - targets[j] // stride) + abs(cell % stride - targets[j] % stride)
                if steps < nearest:
                    nearest, best = steps, j
        taken[best] = 1
        total += nearest
    return total


@inline
def _is_new(nodes, node, count, table, age):
    """Tells whether a state was not seen before, and remembers it."""
    digest = int(nodes[node, _CELL])
    for i in range(count):
        digest = ((digest ^ int(nodes[node, _WORDS + i])) * 1540483477) & 0x7FFFFFFF
        digest ^= digest >> 15
    slot = digest & (len(table) - 1)
    while table[slot] >> NAME_BITS == age:
        other = table[slot] & NAME
        same = nodes[other, _CELL] == nodes[node, _CELL]
        i = 0
        while same and i < count:
            same = nodes[other, _WORDS + i] == nodes[node, _WORDS + i]
            i += 1
        if same:
            return False
        slot = (slot + 1) & (len(table) - 1)
    table[slot] = age << NAME_BITS | node
    return True


@inline
def _search(balance, power, count, walls, dead, targets, taken, nodes, heap, table, clock, stride):
    """Searches from node 0.

    Returns:
        The node that wins, or -1; the least distance of any state looked at; and whether nothing was left to look at.
    """
    # What earlier searches left in the table is told by its age.
    clock[0] += 1
    age = clock[0]
    known, head, waiting = 1, 0, 1
    heap[0] = 0
    least = 1 << 30
    for _ in range(power):
        if balance == _BREADTH_FIRST:
            if head == known:
                return -1, least, True
            node = head
            head += 1
        else:
            if waiting == 0:
                return -1, least, True
            node = dequeue(heap, waiting)
            waiting -= 1
        if nodes[node, _GAP] == 0:
            return node, 0, False
        if not _is_new(nodes, node, count, table, age):
            continue
        least = min(least, nodes[node, _GAP])
        for side in range(4):
            step = -1 if side == 0 else 1 if side == 1 else -stride if side == 2 else stride
            ahead = nodes[node, _CELL] + step
            if walls[ahead]:
                continue
            pushed = -1
            for i in range(count):
                if nodes[node, _WORDS + i] == ahead:
                    pushed = i
            if pushed >= 0:
                free = not walls[ahead + step]
                stuck = dead[ahead + step] > 0
                for i in range(count):
                    crate = nodes[node, _WORDS + i]
                    if crate == ahead + step:
                        free = False
                    if i != pushed and dead[crate] > 0:
                        stuck = True
                if not free or stuck:
                    continue
            for i in range(count):
                nodes[known, _WORDS + i] = nodes[node, _WORDS + i]
            nodes[known, _CELL], nodes[known, _PARENT] = ahead, node
            nodes[known, _DEPTH] = nodes[node, _DEPTH] + 1
            nodes[known, _MOVE], nodes[known, _GAP] = side, nodes[node, _GAP]
            if pushed >= 0:
                nodes[known, _WORDS + pushed] = ahead + step
                nodes[known, _MOVE] = side + 4
                nodes[known, _GAP] = _gap(nodes, known, count, targets, taken, stride)
            if balance != _BREADTH_FIRST:
                enqueue(heap, waiting, 2 * nodes[known, _GAP] + balance * nodes[known, _DEPTH], known)
                waiting += 1
            known += 1
    return -1, least, False


@inline
def _write(nodes, node, text, walk, push):
    """Writes a solution's moves, turned so that it begins to the right and turns down first; repeats count once.

    Returns:
        The length of the text.
    """
    length = nodes[node, _DEPTH]
    # Backwards along the parents; the moves are put in their places, as their numbers.
    place = length
    while nodes[node, _PARENT] >= 0:
        place -= 1
        text[place] = nodes[node, _MOVE]
        node = nodes[node, _PARENT]
    first = text[0] & 3
    # Sides are numbered left, right, up, down.
    turn = first >= 2
    mirror = (first & 1) == 0
    flip, settled = False, False
    for i in range(length):
        side = text[i] & 3
        if (side >= 2) != turn and not settled:
            flip = (side & 1) == 0
            settled = True
    written = 0
    for i in range(length):
        side, pushes = text[i] & 3, text[i] >> 2
        along = (side >= 2) == turn
        negative = ((side & 1) == 0) != (mirror if along else flip)
        number = (0 if along else 2) + (1 if negative else 0)
        letter = push[number] if pushes else walk[number]
        if written == 0 or text[written - 1] != letter:
            text[written] = letter
            written += 1
    return written


@kernel
def _study(levels, power, facts, texts, grid, nodes, heap, table, clock, walk, push):
    height, width = levels.shape[1:]
    stride = width + 2
    walls, goals, dead, targets, taken = grid[0], grid[1], grid[2], grid[3], grid[4]
    for lane in range(len(levels)):
        players, crates, goal_count = 0, 0, 0
        for cell in range((height + 2) * stride):
            walls[cell], goals[cell] = 1, 0
        for y in range(height):
            for x in range(width):
                cell = (y + 1) * stride + x + 1
                tile = levels[lane, y, x]
                walls[cell] = tile == SOLID
                if tile == PLAYER:
                    players += 1
                    nodes[0, _CELL] = cell
                elif tile == CRATE:
                    # More crates than half the cells have no equal number of targets: they are only counted.
                    if _WORDS + crates < nodes.shape[1]:
                        nodes[0, _WORDS + crates] = cell
                    crates += 1
                elif tile == TARGET:
                    goals[cell] = 1
                    targets[goal_count] = cell
                    goal_count += 1
        facts[lane, PLAYERS], facts[lane, CRATES], facts[lane, TARGETS] = players, crates, goal_count
        facts[lane, DISTANCE], facts[lane, LENGTH], facts[lane, TEXT_LENGTH] = -1, 0, 0
        if players != 1 or crates == 0 or crates != goal_count:
            continue
        _dead_cells(walls, goals, dead, height, width)
        nodes[0, _DEPTH], nodes[0, _PARENT], nodes[0, _MOVE] = 0, -1, 0
        nodes[0, _GAP] = _gap(nodes, 0, crates, targets, taken, stride)
        for attempt in range(4):
            balance = _BREADTH_FIRST if attempt == 0 else 3 - attempt
            node, least, exhausted = _search(
                balance, power, crates, walls, dead, targets, taken, nodes, heap, table, clock, stride
            )
            facts[lane, DISTANCE] = least
            if node >= 0:
                facts[lane, LENGTH] = nodes[node, _DEPTH]
                facts[lane, TEXT_LENGTH] = _write(nodes, node, texts[lane], walk, push)
            # Every order looks at the same states where there is time for all.
            if node >= 0 or exhausted:
                break


def study(levels: NDArray[np.uint8], power: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Finds out what the benchmark finds out.

    Args:
        levels: uint8 (n, height, width) of the benchmark's tiles.
        power: how many states each agent looks at.

    Returns:
        The facts, int64 (n, 6) in the order of FACTS: heuristic is -1 where there is no game to play, 0 where it is
        won, and else the least distance between crates and targets that was seen. And the solutions as texts,
        uint8 (n, room): letters for walking and pushing to the right, left, down and up, the level turned so that the
        first move goes right and the first turn down, and letters that repeat written once.
    """
    n, height, width = levels.shape
    cells = (height + 2) * (width + 2)
    most_crates = max(height * width // 2, 1)
    facts = np.zeros((n, len(FACTS)), np.int64)
    grid = np.zeros((5, cells), np.int32)
    nodes = np.zeros((4 * power + 2, _WORDS + most_crates), np.int32)
    heap, table = np.zeros(4 * power + 2, np.int64), np.zeros(1 << (2 * power).bit_length(), np.int64)
    clock = np.zeros(1, np.int64)
    texts, chunk = [], 2048
    for first in range(0, n, chunk):
        part = slice(first, min(first + chunk, n))
        room = np.zeros((part.stop - first, power + 1), np.uint8)
        _study(
            np.ascontiguousarray(levels[part]), power, facts[part], room, grid, nodes, heap, table, clock, _WALK, _PUSH
        )
        texts.append(room[:, : max(int(facts[part, TEXT_LENGTH].max()), 1)].copy())
    return facts, gather(texts)


def gather(texts: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Returns batches of texts as one, uint8 (n, room), as wide as the widest."""
    if not texts:
        return np.zeros((0, 1), np.uint8)
    together = np.zeros((sum(map(len, texts)), max(part.shape[1] for part in texts)), np.uint8)
    first = 0
    for part in texts:
        together[first : first + len(part), : part.shape[1]] = part
        first += len(part)
    return together
