"""How many pushes a sokoban position still needs at least: push distances and the cheapest assignment to targets.

Cells go by their floor numbers; `board` is laid out as `envs.kernels.sokoban_search` says.
"""

from __future__ import annotations

import numpy as np

from envs.kernels import inline
from envs.kernels.sokoban_search import FAR, NEAR, QUEUE, TARGETS


@inline
def side_regions(board, count):
    """Finds which sides of a lone crate the player can walk between.

    Returns:
        int8 (count, 4): for a crate on each cell and each side of it, the least side that is connected with this
        side round the crate, -1 where the side is wall.
    """
    regions = np.full((count, 4), -1, np.int8)
    seen = np.full(count, -1, np.int32)
    for crate in range(count):
        for side in range(4):
            start = board[crate, NEAR + side]
            if start < 0 or regions[crate, side] >= 0:
                continue
            stamp = 4 * crate + side
            seen[start] = stamp
            board[0, QUEUE] = start
            done, reached = 0, 1
            while done < reached:
                here = board[done, QUEUE]
                done += 1
                for direction in range(4):
                    near = board[here, NEAR + direction]
                    if near >= 0 and near != crate and seen[near] != stamp:
                        seen[near] = stamp
                        board[reached, QUEUE] = near
                        reached += 1
            for other in range(side, 4):
                beside = board[crate, NEAR + other]
                if beside >= 0 and seen[beside] == stamp:
                    regions[crate, other] = side
    return regions


@inline
def push_distances(board, count, target_count):
    """Counts the pushes that take a lone crate from each cell to each target, with the player walking round it.

    Returns:
        int32 (target_count, count): the fewest over where the player may begin, FAR where there are none; int32
        (count,): the fewest to any target.
    """
    regions = side_regions(board, count)
    distances = np.full((target_count, count), FAR, np.int32)
    nearest = np.full(count, FAR, np.int32)
    queue = np.empty(4 * count, np.int32)
    steps = np.empty(4 * count, np.int32)
    for target in range(target_count):
        for i in range(4 * count):
            steps[i] = FAR
        goal = board[target, TARGETS]
        done, waiting = 0, 0
        distances[target, goal] = nearest[goal] = 0
        for side in range(4):
            if regions[goal, side] == side:
                steps[4 * goal + side] = 0
                queue[waiting] = 4 * goal + side
                waiting += 1
        while done < waiting:
            place = queue[done]
            done += 1
            crate, region = place // 4, place % 4
            for side in range(4):
                if regions[crate, side] != region:
                    continue
                # The last push left the player on this side; it began one cell further that way.
                pulled = board[crate, NEAR + side]
                if board[pulled, NEAR + side] < 0:
                    continue
                before = 4 * pulled + regions[pulled, side]
                if steps[before] == FAR:
                    steps[before] = steps[place] + 1
                    distances[target, pulled] = min(distances[target, pulled], steps[before])
                    nearest[pulled] = min(nearest[pulled], steps[before])
                    queue[waiting] = before
                    waiting += 1
    return distances, nearest


@inline
def assign_row(costs, row, prices, ways, least, taken):
    """Adds a row to a cheapest assignment by the shortest augmenting path (the Hungarian method, Kuhn 1955).

    Args:
        costs: int32 (n, n).
        row: the row to assign; the others that are assigned stay so, perhaps to other columns.
        prices: int64 (3, n + 1): each row's and each column's price, and the row assigned to each column or -1, in
            which the last column stands for the row that is being assigned.
        ways: int64 (n + 1,), to work in, like the rest.
        least: int64 (n + 1,).
        taken: int64 (n + 1,).
    """
    n = costs.shape[0]
    for j in range(n + 1):
        least[j] = 1 << 30
        taken[j] = 0
    prices[2, n] = row
    at = n
    while prices[2, at] >= 0:
        taken[at] = 1
        i = prices[2, at]
        step, following = 1 << 30, 0
        for j in range(n):
            if taken[j]:
                continue
            reduced = costs[i, j] - prices[0, i] - prices[1, j]
            if reduced < least[j]:
                least[j] = reduced
                ways[j] = at
            if least[j] < step:
                step = int(least[j])
                following = j
        for j in range(n + 1):
            if taken[j]:
                prices[0, prices[2, j]] += step
                prices[1, j] -= step
            else:
                least[j] -= step
        at = following
    while at != n:
        before = ways[at]
        prices[2, at] = prices[2, before]
        at = before


@inline
def total_cost(costs, prices):
    """Returns what a complete assignment costs."""
    total = 0
    for j in range(costs.shape[0]):
        total += costs[prices[2, j], j]
    return total


@inline
def assign_all(costs, prices, ways, least, taken):
    """Assigns every row anew, and returns what that costs; see `assign_row`."""
    n = costs.shape[0]
    for j in range(n + 1):
        prices[0, j] = prices[1, j] = 0
        prices[2, j] = -1
    for row in range(n):
        assign_row(costs, row, prices, ways, least, taken)
    return total_cost(costs, prices)


@inline
def reassign(costs, row, prices, ways, least, taken):
    """Assigns a row whose costs have changed, and returns what the assignment then costs; see `assign_row`."""
    n = costs.shape[0]
    for j in range(n):
        if prices[2, j] == row:
            prices[2, j] = -1
            break
    cheapest = 1 << 30
    for j in range(n):
        cheapest = min(cheapest, costs[row, j] - prices[1, j])
    prices[0, row] = cheapest
    prices[1, n] = 0
    assign_row(costs, row, prices, ways, least, taken)
    return total_cost(costs, prices)
