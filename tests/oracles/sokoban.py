"""Sokoban played and solved slowly: sets of (row, column), breadth-first search, nothing pruned."""

from __future__ import annotations

import heapq
import itertools
from collections import deque

STEPS = [(-1, 0), (1, 0), (0, -1), (0, 1)]


class Game:
    """A level, from rows of numbers (0 floor, 1 wall, 2 player, 3 crate, 4 target); a state is (player, crates)."""

    def __init__(self, rows):
        cells = {(y, x): tile for y, row in enumerate(rows) for x, tile in enumerate(row)}
        self.floor = {cell for cell, tile in cells.items() if tile != 1}
        self.targets = frozenset(cell for cell, tile in cells.items() if tile == 4)
        players = [cell for cell, tile in cells.items() if tile == 2]
        self.start = (players[0], frozenset(cell for cell, tile in cells.items() if tile == 3))

    def won(self, state):
        return state[1] <= self.targets

    def step(self, state, action):
        (y, x), crates = state
        dy, dx = STEPS[action]
        ahead, beyond = (y + dy, x + dx), (y + 2 * dy, x + 2 * dx)
        if self.won(state) or ahead not in self.floor:
            return state
        if ahead not in crates:
            return ahead, crates
        if beyond not in self.floor or beyond in crates:
            return state
        return ahead, crates - {ahead} | {beyond}

    def fewest_moves(self, start=None):
        """Returns the length of the shortest solution, or None if every reachable state was seen without a win."""
        start = self.start if start is None else start
        distances = {start: 0}
        queue = deque([start])
        while queue:
            state = queue.popleft()
            if self.won(state):
                return distances[state]
            for action in range(4):
                after = self.step(state, action)
                if after not in distances:
                    distances[after] = distances[state] + 1
                    queue.append(after)
        return None

    def fewest_pushes(self):
        """Returns (pushes, moves), the least pushes of a solution and the least moves with as few pushes, or None."""
        costs = {self.start: (0, 0)}
        queue = [(0, 0, 0, self.start)]
        met = 0
        while queue:
            pushes, moves, _, state = heapq.heappop(queue)
            if (pushes, moves) > costs[state]:
                continue
            if self.won(state):
                return pushes, moves
            for action in range(4):
                after = self.step(state, action)
                cost = (pushes + (after[1] != state[1]), moves + 1)
                if after not in costs or cost < costs[after]:
                    costs[after] = cost
                    met += 1
                    heapq.heappush(queue, (*cost, met, after))
        return None


def count_regions(rows):
    """Counts the 4-connected regions of everything but wall."""
    left = {(y, x) for y, row in enumerate(rows) for x, tile in enumerate(row) if tile != 1}
    regions = 0
    while left:
        regions += 1
        todo = [left.pop()]
        while todo:
            y, x = todo.pop()
            near = {(y + dy, x + dx) for dy, dx in STEPS} & left
            left -= near
            todo.extend(near)
    return regions


def lone_pushes(floor, target):
    """Returns the fewest pushes from each cell to a target for a lone crate, by plain search over (player, crate)."""
    pushes = {}
    for crate in floor:
        starts = [(player, crate) for player in floor if player != crate]
        costs = dict.fromkeys(starts, 0)
        queue = deque(starts)
        while queue:
            (y, x), box = state = queue.popleft()
            if box == target:
                pushes[crate] = costs[state]
                break
            for dy, dx in STEPS:
                ahead, beyond = (y + dy, x + dx), (y + 2 * dy, x + 2 * dx)
                if ahead not in floor or (ahead == box and beyond not in floor):
                    continue
                after, cost = (ahead, beyond if ahead == box else box), costs[state] + (ahead == box)
                if after not in costs or cost < costs[after]:
                    costs[after] = cost
                    # Walking is free: what costs nothing comes first.
                    (queue.append if ahead == box else queue.appendleft)(after)
    if target in floor:
        pushes[target] = 0
    return pushes


def least_assignment(costs):
    """Returns the least sum of a square table's entries, one of each row and column, by trying all."""
    n = len(costs)
    return min(sum(costs[i][chosen[i]] for i in range(n)) for chosen in itertools.permutations(range(n)))
