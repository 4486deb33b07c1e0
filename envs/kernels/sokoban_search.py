"""An exact solver for sokoban, compiled.

The solver is A* over *arrivals*: an arrangement of the crates together with the player's cell right after a push.
One flood of the player's walk leads from an arrival to every push that can follow. All arrivals of an arrangement
share one row of walking costs, so that a later arrival walks only where it is earlier than the ones before it were.
The bound is the cheapest assignment of crates to targets by push distance, as if there were no other crates and the
player could be anywhere; it never overrates, and no push lowers it by more than the push costs, hence the first win
taken from the queue is a shortest one.

A push is dropped only where nothing can be won after it: onto a dead square (from which no pushes lead to any target,
even on an otherwise empty board), into an arrangement whose crates cannot be assigned to different targets, or into
one where crates that hold each other fast are not all on targets. Hence an exhausted search is a proof.
"""

from __future__ import annotations

import numpy as np

from envs.kernels import inline, kernel
from envs.kernels.sokoban_rules import CELLS, CRATE_BIT, HEIGHT, PLAYER_CELL, SOLID_BIT, TARGET_BIT, WIDTH, neighbour
from envs.kernels.stop import stopped

SOLVED, UNSOLVABLE, UNKNOWN, NO_ROOM = range(4)

# Assignments are found by dynamic programming over sets of targets, which doubles with each crate; with more crates
# than this the bound lets crates share a target.
MOST_ASSIGNED = 5
SET_SIZES = np.array([bin(chosen).count("1") for chosen in range(1 << MOST_ASSIGNED)], np.int32)

FAR = 1 << 20  # a push distance that stands for "never"
LATE = (1 << 31) - 1  # a cost that stands for "not reached"
ARRIVAL_BITS = 28  # the low bits of a queue key, which name the arrival

# In pushes mode one cost holds both counts, pushes * PUSH_WEIGHT + moves, so that equals in pushes go by moves.
PUSH_WEIGHT = 1 << 16
MOST_WALKED = 60_000  # beyond this many moves the two counts would run into each other
MOST_COST = 1 << 30

# The columns of a search's `board`. The first five are by floor number: the neighbours' numbers (four columns, -1 for
# none) and the cell. Then the inverse, by cell; the flood's queue; what holds for each floor number (a crate's place
# in the list and 1, or 0; whether a crate there is stuck; a target or not; the Manhattan distance and the least pushes
# to any target); lists of floor numbers (crates that stand, crates after a push, targets); the table of assignments.
NEAR = 0
FLOOR, NUMBER, QUEUE, OCCUPIED, STUCK, IS_TARGET, GAPS, NEAREST, CRATES, AFTER, TARGETS, BEST, PUSHES = range(4, 17)
BOARD_COLUMNS = PUSHES + MOST_ASSIGNED

# The columns of the other arrays that a search uses.
SLOT, BOUND, GAP = range(3)
ARRANGEMENT, CELL, COST, PARENT, PUSH = range(5)

# The columns of a search's results.
STATUS, NODES, GOAL, FLOOR_COUNT, CRATE_COUNT, LEAST_GAP, LENGTH = range(7)


@inline
def _add_distances(board, count, target, width):
    """Fills one target's column of pushes, by pulling a lone crate away from it, and lowers GAPS and NEAREST."""
    column = PUSHES + min(target, MOST_ASSIGNED - 1)
    goal = board[target, TARGETS]
    for i in range(count):
        board[i, column] = FAR
    board[goal, column] = 0
    board[0, QUEUE] = goal
    done, waiting = 0, 1
    while done < waiting:
        here = board[done, QUEUE]
        done += 1
        for direction in range(4):
            pulled = board[here, NEAR + direction]
            # The player who pulls steps back one cell further, which is where a pusher has to stand.
            if pulled >= 0 and board[pulled, column] == FAR and board[pulled, NEAR + direction] >= 0:
                board[pulled, column] = board[here, column] + 1
                board[waiting, QUEUE] = pulled
                waiting += 1
    for i in range(count):
        rows = abs(board[i, FLOOR] // width - board[goal, FLOOR] // width)
        columns = abs(board[i, FLOOR] % width - board[goal, FLOOR] % width)
        board[i, GAPS] = min(board[i, GAPS], rows + columns)
        board[i, NEAREST] = min(board[i, NEAREST], board[i, column])


@inline
def lay_out(states, lane, board):
    """Fills the board for a state, from the player's cell outwards.

    Returns:
        How many floor cells the player could walk to if there were no crates, how many crates and how many targets
        are there, and whether the crates cannot all get to targets: too many here, or one off target elsewhere.
    """
    height, width = int(states[lane, HEIGHT]), int(states[lane, WIDTH])
    for cell in range(height * width):
        board[cell, NUMBER] = -1
    board[states[lane, PLAYER_CELL], NUMBER] = 0
    board[0, FLOOR] = states[lane, PLAYER_CELL]
    count, here, crate_count, target_count = 1, 0, 0, 0
    while here < count:
        for direction in range(4):
            near = neighbour(int(board[here, FLOOR]), direction, height, width)
            board[here, NEAR + direction] = -1
            if near >= 0 and not states[lane, CELLS + near] & SOLID_BIT:
                if board[near, NUMBER] < 0:
                    board[near, NUMBER] = count
                    board[count, FLOOR] = near
                    count += 1
                board[here, NEAR + direction] = board[near, NUMBER]
        bits = states[lane, CELLS + board[here, FLOOR]]
        board[here, OCCUPIED] = board[here, STUCK] = board[here, IS_TARGET] = 0
        board[here, GAPS] = board[here, NEAREST] = FAR
        if bits & CRATE_BIT:
            board[crate_count, AFTER] = here
            crate_count += 1
        if bits & TARGET_BIT:
            board[here, IS_TARGET] = 1
            board[target_count, TARGETS] = here
            target_count += 1
        here += 1
    lost = crate_count > target_count
    for cell in range(height * width):
        if board[cell, NUMBER] < 0 and (states[lane, CELLS + cell] & (CRATE_BIT | TARGET_BIT)) == CRATE_BIT:
            lost = True
    return count, crate_count, target_count, lost


@inline
def frozen(board, crate_count):
    """Tells whether some of the crates AFTER can never move again and are not all on targets.

    Assumes all crates stuck and frees those that can move until nothing changes. What stays is stuck for good: the
    first of them to move would need a cell that a wall or another of them still holds, or would end on a dead square.
    """
    for i in range(crate_count):
        board[board[i, AFTER], STUCK] = 1
    changed = True
    while changed:
        changed = False
        for i in range(crate_count):
            crate = board[i, AFTER]
            if not board[crate, STUCK]:
                continue
            for axis in range(2):
                before, behind = board[crate, NEAR + 2 * axis], board[crate, NEAR + 2 * axis + 1]
                if before < 0 or behind < 0 or board[before, STUCK] or board[behind, STUCK]:
                    continue
                if board[before, NEAREST] < FAR or board[behind, NEAREST] < FAR:
                    board[crate, STUCK] = 0
                    changed = True
    lost = False
    for i in range(crate_count):
        crate = board[i, AFTER]
        if board[crate, STUCK] and not board[crate, IS_TARGET]:
            lost = True
        board[crate, STUCK] = 0
    return lost


@inline
def _least_pushes(board, crate_count, target_count):
    """Returns the least pushes that assign the crates AFTER to targets, or FAR or more if no assignment can."""
    least = 0
    if crate_count == 1 or target_count > MOST_ASSIGNED:
        for i in range(crate_count):
            least += board[board[i, AFTER], NEAREST]
        return least
    for chosen in range(1, 1 << target_count):
        board[chosen, BEST] = FAR * crate_count
    board[0, BEST] = 0
    least = FAR
    for chosen in range(1 << target_count):
        placed = SET_SIZES[chosen]
        if placed == crate_count:
            least = min(least, board[chosen, BEST])
        if placed >= crate_count:
            continue
        crate = board[placed, AFTER]
        for target in range(target_count):
            if not chosen & (1 << target):
                together = board[chosen, BEST] + board[crate, PUSHES + target]
                with_target = chosen | (1 << target)
                board[with_target, BEST] = min(board[with_target, BEST], together)
    return least


@inline
def _slot(board, crate_count, table, boxes):
    """Returns the hash table's slot that holds the crates AFTER, or the empty one where they belong."""
    digest = crate_count
    for i in range(crate_count):
        digest = ((digest ^ int(board[i, AFTER])) * 1540483477) & 0x7FFFFFFF
        digest ^= digest >> 15
    slot = digest & (len(table) - 1)
    while table[slot] >= 0:
        first = table[slot] * crate_count
        same = 0
        while same < crate_count and boxes[first + same] == board[same, AFTER]:
            same += 1
        if same == crate_count:
            break
        slot = (slot + 1) & (len(table) - 1)
    return slot


@inline
def push_into(board, crate_count, place, beyond):
    """Lists AFTER, the crates with the one at a place moved; in ascending order, so that equals are equal lists."""
    for i in range(crate_count):
        board[i, AFTER] = board[i, CRATES]
    while place > 0 and board[place - 1, AFTER] > beyond:
        board[place, AFTER] = board[place - 1, AFTER]
        place -= 1
    while place < crate_count - 1 and board[place + 1, AFTER] < beyond:
        board[place, AFTER] = board[place + 1, AFTER]
        place += 1
    board[place, AFTER] = beyond


@inline
def _enqueue(heap, key):
    """Adds a key to a binary heap, whose size stands in front of its keys."""
    heap[0] += 1
    place = heap[0]
    while place > 1 and heap[place // 2] > key:
        heap[place] = heap[place // 2]
        place //= 2
    heap[place] = key


@inline
def _take_least(heap):
    """Removes and returns the least key of a binary heap."""
    least, key = heap[1], heap[heap[0]]
    heap[0] -= 1
    place, below = 1, 2
    while below <= heap[0]:
        if below < heap[0] and heap[below + 1] < heap[below]:
            below += 1
        if heap[below] >= key:
            break
        heap[place] = heap[below]
        place, below = below, 2 * below
    heap[place] = key
    return least


@kernel
def search_states(
    states, first, push_weight, budget, stop, results, board, boxes, walks, arrangements, table, arrivals, heap
):
    """Searches for the cheapest wins of a batch of states, from one of them on.

    Args:
        states: int32 (n, 4 + cells). One whose height is 0 is passed over, and its row of results left alone.
        first: the state to begin with.
        push_weight: what a push costs beside its move: 0 for the fewest moves, PUSH_WEIGHT for the fewest pushes
            and then the fewest moves.
        budget: the most arrivals to expand for one state.
        stop: uint8 (1,); searches give up once it holds 1.
        results: int64 (n, 7), filled with the columns STATUS; NODES, the arrivals expanded; GOAL, the winning arrival;
            FLOOR_COUNT and CRATE_COUNT, the cells and the crates within the player's reach; LEAST_GAP, the least sum
            over crates of the Manhattan distance to the nearest target, over the start and all arrangements kept, 0
            if solved; and LENGTH in moves, 0 if not solved.
        board: int32 (cells and more, BOARD_COLUMNS); this and what follows make a `Workspace`.
        boxes: int16, the crates' floor numbers of each arrangement, ascending.
        walks: int32, the least cost so far at each floor number of each arrangement.
        arrangements: int32 (room, 3), the columns SLOT, BOUND and GAP.
        table: int32, arrangements by their hash; a power of two long, all -1 before and after.
        arrivals: int32 (room, 5), the columns ARRANGEMENT, CELL, COST, PARENT and PUSH.
        heap: int64, keys made of the bound on the whole cost and the arrival, the latest first among equals.

    Returns:
        The state that the workspace had no room for, or n. A larger workspace can go on from there.
    """
    push_cost, bound_weight = push_weight + 1, max(push_weight, 1)
    last_name = (1 << ARRIVAL_BITS) - 1
    for lane in range(first, len(states)):
        if states[lane, HEIGHT] == 0:
            continue
        count, crate_count, target_count, lost = lay_out(states, lane, board)
        for i in range(target_count):
            _add_distances(board, count, i, states[lane, WIDTH])
        gap = 0
        for i in range(crate_count):
            gap += board[board[i, AFTER], GAPS]
        results[lane, STATUS], results[lane, NODES], results[lane, GOAL] = UNSOLVABLE, 0, -1
        results[lane, FLOOR_COUNT], results[lane, CRATE_COUNT] = count, crate_count
        results[lane, LEAST_GAP], results[lane, LENGTH] = gap, 0
        bound = FAR
        if not lost and not frozen(board, crate_count):
            bound = _least_pushes(board, crate_count, target_count)
        if bound >= FAR:
            continue

        room = min(len(arrangements), len(walks) // count, len(boxes) // max(crate_count, 1))
        slot = _slot(board, crate_count, table, boxes)
        table[slot] = 0
        for i in range(crate_count):
            boxes[i] = board[i, AFTER]
        for i in range(count):
            walks[i] = LATE
        walks[0] = 0
        arrangements[0, SLOT], arrangements[0, BOUND], arrangements[0, GAP] = slot, bound, gap
        arrivals[0, ARRANGEMENT], arrivals[0, CELL], arrivals[0, COST] = 0, 0, 0
        arrivals[0, PARENT], arrivals[0, PUSH] = -1, -1
        heap[0], heap[1] = 1, last_name
        known, arrived, nodes = 1, 1, 0
        status, cut_short = UNSOLVABLE, False

        while heap[0] > 0 and status == UNSOLVABLE:
            arrival = last_name - (_take_least(heap) & last_name)
            arrangement = int(arrivals[arrival, ARRANGEMENT])
            if walks[arrangement * count + arrivals[arrival, CELL]] < arrivals[arrival, COST]:
                continue
            if arrangements[arrangement, BOUND] == 0:
                status = SOLVED
                results[lane, GOAL], results[lane, LEAST_GAP] = arrival, 0
                results[lane, LENGTH] = arrivals[arrival, COST]
                if push_weight > 0:
                    results[lane, LENGTH] %= push_weight
                break
            if nodes >= budget or stopped(stop):
                status = UNKNOWN
                break
            nodes += 1
            for i in range(crate_count):
                board[i, CRATES] = boxes[arrangement * crate_count + i]
                board[board[i, CRATES], OCCUPIED] = i + 1
            board[0, QUEUE] = arrivals[arrival, CELL]
            done, reached = 0, 1
            while done < reached and status == UNSOLVABLE:
                here = int(board[done, QUEUE])
                done += 1
                cost = int(walks[arrangement * count + here])
                for direction in range(4):
                    ahead = board[here, NEAR + direction]
                    if ahead < 0:
                        continue
                    if board[ahead, OCCUPIED] == 0:
                        if walks[arrangement * count + ahead] > cost + 1:
                            walks[arrangement * count + ahead] = cost + 1
                            board[reached, QUEUE] = ahead
                            reached += 1
                        continue
                    beyond = board[ahead, NEAR + direction]
                    if beyond < 0 or board[beyond, OCCUPIED] or board[beyond, NEAREST] >= FAR:
                        continue
                    if cost > MOST_COST or (push_weight > 0 and cost % push_weight > MOST_WALKED):
                        cut_short = True
                        continue
                    push_into(board, crate_count, board[ahead, OCCUPIED] - 1, beyond)
                    slot = _slot(board, crate_count, table, boxes)
                    after = int(table[slot])
                    if after < 0:
                        if known == room:
                            status = NO_ROOM
                            break
                        after = known
                        known += 1
                        table[slot] = after
                        for i in range(crate_count):
                            boxes[after * crate_count + i] = board[i, AFTER]
                        bound = FAR
                        if not frozen(board, crate_count):
                            bound = _least_pushes(board, crate_count, target_count)
                        arrangements[after, SLOT], arrangements[after, BOUND] = slot, bound
                        if bound < FAR:
                            gap = arrangements[arrangement, GAP] - board[ahead, GAPS] + board[beyond, GAPS]
                            arrangements[after, GAP] = gap
                            results[lane, LEAST_GAP] = min(results[lane, LEAST_GAP], gap)
                            for i in range(count):
                                walks[after * count + i] = LATE
                    if arrangements[after, BOUND] >= FAR or walks[after * count + ahead] <= cost + push_cost:
                        continue
                    if arrived == len(arrivals):
                        status = NO_ROOM
                        break
                    walks[after * count + ahead] = cost + push_cost
                    arrivals[arrived, ARRANGEMENT], arrivals[arrived, CELL] = after, ahead
                    arrivals[arrived, COST] = cost + push_cost
                    arrivals[arrived, PARENT], arrivals[arrived, PUSH] = arrival, 4 * here + direction
                    whole_cost = cost + push_cost + int(arrangements[after, BOUND]) * bound_weight
                    _enqueue(heap, (whole_cost << ARRIVAL_BITS) + last_name - arrived)
                    arrived += 1
            for i in range(crate_count):
                board[board[i, CRATES], OCCUPIED] = 0

        for i in range(known):
            table[arrangements[i, SLOT]] = -1
        results[lane, NODES] = nodes
        if status == NO_ROOM:
            return lane
        if status == UNSOLVABLE and cut_short:
            status = UNKNOWN
        results[lane, STATUS] = status
    return len(states)


@kernel
def trace(goal, floor_count, crate_count, actions, board, boxes, arrivals):
    """Writes the actions that lead to an arrival of the search that was made last, from the end to the beginning.

    Args:
        goal: the arrival.
        floor_count: how many floor cells the search had.
        crate_count: how many crates it moved.
        actions: int64 (length,), filled.
        board: as the search left it, like all that follow.
        boxes: see `search_states`.
        arrivals: see `search_states`.
    """
    arrival, place = int(goal), len(actions)
    while arrivals[arrival, PARENT] >= 0:
        here, direction = arrivals[arrival, PUSH] // 4, arrivals[arrival, PUSH] % 4
        place -= 1
        actions[place] = direction
        arrival = int(arrivals[arrival, PARENT])
        # A flood from where the player stood gives the steps, in GAPS, to where the push was made from.
        for i in range(floor_count):
            board[i, OCCUPIED], board[i, GAPS] = 0, FAR
        for i in range(crate_count):
            board[boxes[arrivals[arrival, ARRANGEMENT] * crate_count + i], OCCUPIED] = 1
        board[0, QUEUE] = arrivals[arrival, CELL]
        board[board[0, QUEUE], GAPS] = 0
        done, reached = 0, 1
        while done < reached:
            near = board[done, QUEUE]
            done += 1
            for way in range(4):
                ahead = board[near, NEAR + way]
                if ahead >= 0 and board[ahead, OCCUPIED] == 0 and board[ahead, GAPS] == FAR:
                    board[ahead, GAPS] = board[near, GAPS] + 1
                    board[reached, QUEUE] = ahead
                    reached += 1
        while board[here, GAPS] > 0:
            way = 0
            # The player came here from the cell that lies the other way.
            while board[here, NEAR + (way ^ 1)] < 0 or (
                board[board[here, NEAR + (way ^ 1)], GAPS] != board[here, GAPS] - 1
            ):
                way += 1
            place -= 1
            actions[place] = way
            here = board[here, NEAR + (way ^ 1)]
