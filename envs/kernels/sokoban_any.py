"""A solver for sokoban that looks for any solution at all, compiled.

It is a best-first search over positions: where the crates are and in which region the player is, which goes by the
least floor number in it. A position's merit weighs the pushes made against the least pushes still to make (the cheapest
assignment of crates to targets by push distance, see `envs.kernels.sokoban_bounds`). Each position is kept once, by
the way it was found first.

What is left out is left out for good reason, so that an exhausted search is a proof:

- pushes after which nothing can be won: onto a dead square, into crates that hold each other fast off target, or into
  an arrangement whose crates cannot get to different targets;
- pushes that can wait, while a *corral* calls for one: a part of the level that the player cannot get into, with a
  crate off target in it or at its edge, where every push that opens it leads into it. Whatever solves the level has to
  make one of these pushes at some time, and nothing speaks against making it first (Damgaard's PI-corrals).
"""

from __future__ import annotations

import numpy as np

from envs.kernels import inline, kernel
from envs.kernels.sokoban_bounds import assign_all, push_distances, reassign
from envs.kernels.sokoban_search import (
    AFTER,
    BEST,
    CRATES,
    FAR,
    GAPS,
    IS_TARGET,
    NEAR,
    NEAREST,
    OCCUPIED,
    QUEUE,
    SOLVED,
    UNKNOWN,
    UNSOLVABLE,
    frozen,
    lay_out,
    push_into,
)
from envs.kernels.stop import stopped

# The columns of the positions: the player's region, the position before, the push that led here (four times the cell
# that the player pushed from, and the direction), the pushes made, and the next position of the same merit.
REGION, PARENT, PUSH, DEPTH, NEXT = range(5)

# How much a push still to make weighs, where one made weighs 1.
AHEAD_WEIGHT = 3

# The columns of the board that only `search_states` uses otherwise: what the player reaches carries the number of the
# flood, and what is out of reach that of its part of the level.
REACHED, PART = GAPS, BEST


@inline
def _grown(array):
    """Returns a copy of an array with twice the room along its first axis."""
    return np.concatenate((array, np.empty_like(array)))


@inline
def _flood(board, start, mark):
    """Marks what the player reaches without pushing; returns the least floor number and how many cells these are."""
    board[0, QUEUE] = start
    board[start, REACHED] = mark
    least = start
    done, reached = 0, 1
    while done < reached:
        here = board[done, QUEUE]
        done += 1
        for direction in range(4):
            near = board[here, NEAR + direction]
            if near >= 0 and board[near, REACHED] != mark and board[near, OCCUPIED] == 0:
                board[near, REACHED] = mark
                least = min(least, near)
                board[reached, QUEUE] = near
                reached += 1
    return least, reached


@inline
def _mark_part(board, start, mark, part):
    """Marks everything that hangs together with a crate and that the player, whose flood is `mark`, does not reach."""
    board[0, QUEUE] = start
    board[start, PART] = part
    done, reached = 0, 1
    while done < reached:
        here = board[done, QUEUE]
        done += 1
        for direction in range(4):
            near = board[here, NEAR + direction]
            if near >= 0 and board[near, REACHED] != mark and board[near, PART] != part:
                board[near, PART] = part
                board[reached, QUEUE] = near
                reached += 1
    return reached


@inline
def _corral(board, count, crate_count, mark):
    """Returns the number of the part of the level whose pushes have to come first, or -1 if all pushes count.

    The parts are marked; their numbers are their first crates' cells. Of several parts the one with the fewest pushes
    is chosen.
    """
    for i in range(count):
        board[i, PART] = -1
    chosen, fewest = -1, 1 << 30
    for first in range(crate_count):
        part = board[first, CRATES]
        if board[part, PART] >= 0:
            continue
        _mark_part(board, part, mark, part)
        pushes, unsolved, closed = 0, False, True
        for i in range(first, crate_count):
            crate = board[i, CRATES]
            if board[crate, PART] != part:
                continue
            unsolved = unsolved or board[crate, IS_TARGET] == 0
            for direction in range(4):
                behind, beyond = board[crate, NEAR + (direction ^ 1)], board[crate, NEAR + direction]
                if behind < 0 or beyond < 0 or board[behind, REACHED] != mark or board[beyond, OCCUPIED]:
                    continue
                if board[beyond, NEAREST] >= FAR:
                    continue
                pushes += 1
                closed = closed and board[beyond, REACHED] != mark
        if closed and unsolved and pushes < fewest:
            chosen, fewest = part, pushes
    return chosen


@inline
def _list_pushes(board, crate_count, mark, only, choices):
    """Lists the pushes (four times the crate's cell, and the direction) of one part of the level, or of all for -1."""
    pushes = 0
    for i in range(crate_count):
        crate = board[i, CRATES]
        if only >= 0 and board[crate, PART] != only:
            continue
        for direction in range(4):
            behind, beyond = board[crate, NEAR + (direction ^ 1)], board[crate, NEAR + direction]
            if behind < 0 or beyond < 0 or board[behind, REACHED] != mark or board[beyond, OCCUPIED]:
                continue
            if board[beyond, NEAREST] < FAR:
                choices[pushes] = 4 * crate + direction
                pushes += 1
    return pushes


@inline
def _slot(board, crate_count, region, table, boxes, positions):
    """Returns the hash table's slot that holds the crates AFTER and the player's region, or where they belong."""
    digest = int(region) + 1
    for i in range(crate_count):
        digest = ((digest ^ int(board[i, AFTER])) * 1540483477) & 0x7FFFFFFF
        digest ^= digest >> 15
    slot = digest & (len(table) - 1)
    while table[slot] >= 0:
        found = table[slot]
        if positions[found, REGION] == region:
            same = 0
            while same < crate_count and boxes[found, same] == board[same, AFTER]:
                same += 1
            if same == crate_count:
                break
        slot = (slot + 1) & (len(table) - 1)
    return slot


@inline
def _rehash(board, crate_count, used, table, boxes, positions):
    """Returns a table of twice the room that holds all positions. Overwrites AFTER."""
    larger = np.full(2 * len(table), -1, np.int32)
    for position in range(used):
        for i in range(crate_count):
            board[i, AFTER] = boxes[position, i]
        larger[_slot(board, crate_count, positions[position, REGION], larger, boxes, positions)] = position
    return larger


@inline
def _may_be_stuck(board, crate):
    """Tells whether a crate cannot at once be moved along either axis; where it can, it holds no other fast."""
    for axis in range(2):
        before, behind = board[crate, NEAR + 2 * axis], board[crate, NEAR + 2 * axis + 1]
        if before < 0 or behind < 0 or board[before, OCCUPIED] or board[behind, OCCUPIED]:
            continue
        if board[before, NEAREST] < FAR or board[behind, NEAREST] < FAR:
            return False
    return True


@inline
def _actions(board, count, crate_count, position, boxes, positions, start):
    """Returns the actions that lead to a position: between the pushes the player walks as short as can be."""
    length, place = 0, position
    while positions[place, PARENT] >= 0:
        length += 1
        place = positions[place, PARENT]
    chain = np.empty(length + 1, np.int64)
    for i in range(length, -1, -1):
        chain[i] = position
        position = positions[position, PARENT]
    actions = np.empty(length * count, np.int64)
    played, player = 0, start
    for number in range(length):
        push = int(positions[chain[number + 1], PUSH])
        for i in range(count):
            board[i, OCCUPIED], board[i, REACHED] = 0, -1
        for i in range(crate_count):
            board[boxes[chain[number], i], OCCUPIED] = 1
        # A flood from where the push is made tells at each cell which way leads there.
        board[0, QUEUE] = push // 4
        board[push // 4, REACHED] = 4
        done, reached = 0, 1
        while board[player, REACHED] < 0:
            here = board[done, QUEUE]
            done += 1
            for direction in range(4):
                near = board[here, NEAR + direction]
                if near >= 0 and board[near, REACHED] < 0 and board[near, OCCUPIED] == 0:
                    board[near, REACHED] = direction ^ 1
                    board[reached, QUEUE] = near
                    reached += 1
        while player != push // 4:
            actions[played] = board[player, REACHED]
            played += 1
            player = board[player, NEAR + actions[played - 1]]
        actions[played] = push % 4
        played += 1
        player = board[player, NEAR + push % 4]
    return actions[:played].copy()


@inline
def _fill_costs(board, crate_count, distances, costs):
    """Fills the costs of assigning CRATES to targets; targets that are left over cost nothing."""
    for i in range(costs.shape[0]):
        for target in range(costs.shape[0]):
            costs[i, target] = distances[target, board[i, CRATES]] if i < crate_count else 0


@inline
def _enqueue(positions, tops, position, merit):
    """Puts a position on top of those of its merit; returns the tops, which may have grown."""
    while merit >= len(tops):
        tops = np.concatenate((tops, np.full(len(tops), -1, np.int32)))
    positions[position, NEXT] = tops[merit]
    tops[merit] = position
    return tops


@kernel
def search_any(states, budget, stop, most_memory, board):
    """Searches for any solution of a state.

    Args:
        states: int32 (1, 4 + cells).
        budget: the most positions to expand.
        stop: uint8 (1,); the search gives up once it holds 1.
        most_memory: the most bytes that positions may take.
        board: int32 (cells, BOARD_COLUMNS), to work in.

    Returns:
        SOLVED, UNSOLVABLE or UNKNOWN; the actions, int64 (length,); the positions expanded.
    """
    nothing = np.empty(0, np.int64)
    count, crate_count, target_count, lost = lay_out(states, 0, board)
    if lost:
        return UNSOLVABLE, nothing, 0
    distances, nearest = push_distances(board, count, target_count)
    for i in range(count):
        board[i, NEAREST] = nearest[i]
        board[i, REACHED] = -1
    for i in range(crate_count):
        board[i, CRATES] = board[i, AFTER]
        board[board[i, CRATES], OCCUPIED] = i + 1
    costs = np.empty((target_count, target_count), np.int32)
    prices, trial = np.empty((2, 3, target_count + 1), np.int64)
    ways, least, taken = np.empty((3, target_count + 1), np.int64)
    choices = np.empty(4 * crate_count, np.int64)
    _fill_costs(board, crate_count, distances, costs)
    bound = assign_all(costs, prices, ways, least, taken)
    if bound == 0:
        return SOLVED, nothing, 0
    if bound >= FAR or frozen(board, crate_count):
        return UNSOLVABLE, nothing, 0

    room = 1 << 12
    # Both arrays and the table are there twice while they grow.
    most = most_memory // (2 * (2 * crate_count + 4 * 5) + 3 * 16)
    boxes, positions = np.empty((room, crate_count), np.int16), np.empty((room, 5), np.int32)
    table = np.full(2 * room, -1, np.int32)
    tops = np.full(1024, -1, np.int32)
    mark = 0
    region, _ = _flood(board, 0, mark)
    positions[0, REGION], positions[0, PARENT], positions[0, PUSH], positions[0, DEPTH] = region, -1, -1, 0
    for i in range(crate_count):
        boxes[0, i] = board[i, CRATES]
        board[board[i, CRATES], OCCUPIED] = 0
    table[_slot(board, crate_count, region, table, boxes, positions)] = 0
    merit, used, nodes = AHEAD_WEIGHT * bound, 1, 0
    tops = _enqueue(positions, tops, 0, merit)

    while merit < len(tops):
        position = int(tops[merit])
        if position < 0:
            merit += 1
            continue
        tops[merit] = positions[position, NEXT]
        if nodes >= budget or stopped(stop) or used >= most:
            return UNKNOWN, nothing, nodes
        nodes += 1
        for i in range(crate_count):
            board[i, CRATES] = boxes[position, i]
            board[board[i, CRATES], OCCUPIED] = i + 1
        mark += 1
        reach = mark
        _, reached = _flood(board, positions[position, REGION], reach)
        only = -1
        if reached + crate_count < count:
            only = _corral(board, count, crate_count, reach)
        _fill_costs(board, crate_count, distances, costs)
        assign_all(costs, prices, ways, least, taken)
        # The floods below write other marks, so all pushes are listed first.
        pushes = _list_pushes(board, crate_count, reach, only, choices)
        for number in range(pushes):
            crate, direction = choices[number] // 4, choices[number] % 4
            beyond = board[crate, NEAR + direction]
            place = board[crate, OCCUPIED] - 1
            push_into(board, crate_count, place, beyond)
            board[crate, OCCUPIED], board[beyond, OCCUPIED] = 0, place + 1
            if not (_may_be_stuck(board, beyond) and frozen(board, crate_count)):
                mark += 1
                region, _ = _flood(board, crate, mark)
                slot = _slot(board, crate_count, region, table, boxes, positions)
                if table[slot] < 0:
                    for i in range(3):
                        for j in range(target_count + 1):
                            trial[i, j] = prices[i, j]
                    for target in range(target_count):
                        costs[place, target] = distances[target, beyond]
                    bound = reassign(costs, place, trial, ways, least, taken)
                    for target in range(target_count):
                        costs[place, target] = distances[target, crate]
                    if bound < FAR:
                        if used == len(positions):
                            boxes, positions = _grown(boxes), _grown(positions)
                        depth = positions[position, DEPTH] + 1
                        positions[used, REGION], positions[used, PARENT] = region, position
                        positions[used, PUSH] = 4 * board[crate, NEAR + (direction ^ 1)] + direction
                        positions[used, DEPTH] = depth
                        for i in range(crate_count):
                            boxes[used, i] = board[i, AFTER]
                        table[slot] = used
                        used += 1
                        if bound == 0:
                            actions = _actions(board, count, crate_count, used - 1, boxes, positions, 0)
                            return SOLVED, actions, nodes
                        worth = depth + AHEAD_WEIGHT * bound
                        tops = _enqueue(positions, tops, used - 1, worth)
                        merit = min(merit, worth)
                        if 2 * used > len(table):
                            table = _rehash(board, crate_count, used, table, boxes, positions)
            board[crate, OCCUPIED], board[beyond, OCCUPIED] = place + 1, 0
        for i in range(crate_count):
            board[board[i, CRATES], OCCUPIED] = 0
    return UNSOLVABLE, nothing, nodes
