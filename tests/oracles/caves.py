"""Ddave and mdungeon played slowly: cells as (row, column), sets for what is gone, breadth-first search over all."""

from __future__ import annotations

from collections import deque

MOST = 200_000


def search(start, options, won):
    """Plain breadth-first search, layer by layer.

    Returns the fewest moves to a won position (None without one), the least cost among positions won in that many
    moves, and every position that was reached. `options` yields (next position, cost of the move); costs add up, and
    only ways of fewest moves count.
    """
    cost, layer, moves = {start: 0}, [start], 0
    seen = {start}
    while layer:
        wins = [position for position in layer if won(position)]
        if wins:
            return moves, min(cost[position] for position in wins), seen
        following = {}
        for position in layer:
            for after, price in options(position):
                if after in seen:
                    continue
                total = cost[position] + price
                following[after] = min(following.get(after, total), total)
        seen.update(following)
        assert len(seen) < MOST, "too large a level for plain search"
        cost.update(following)
        layer, moves = list(following), moves + 1
    return None, None, seen


def regions(level, walls):
    """Counts 4-connected regions of the cells whose tile is not in `walls`."""
    todo = {(y, x) for y, row in enumerate(level) for x, tile in enumerate(row) if tile not in walls}
    count = 0
    while todo:
        count += 1
        waiting = deque([todo.pop()])
        while waiting:
            y, x = waiting.popleft()
            for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if near in todo:
                    todo.discard(near)
                    waiting.append(near)
    return count


def cells_of(level, *tiles):
    return [(y, x) for y, row in enumerate(level) for x, tile in enumerate(row) if tile in tiles]


def apart(one, other):
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


class Ddave:
    """Ddave on rows of numbers; a position is (cell, lift, key in hand, diamonds taken).

    `lift` tells what carries the player: 2 up next, 1 nowhere next, 0 nothing.
    """

    def __init__(self, level):
        self.level = [list(map(int, row)) for row in level]
        self.height, self.width = len(level), len(level[0])
        (player,), (self.exit,), (self.key,) = (cells_of(self.level, tile) for tile in (2, 3, 5))
        self.start = player, 0, False, frozenset()

    def free(self, y, x):
        return 0 <= y < self.height and 0 <= x < self.width and self.level[y][x] != 1

    def tile(self, cell):
        return self.level[cell[0]][cell[1]]

    def play(self, position, action):
        """The position after "wait", "left", "right" or "jump", and whether a jump began."""
        (y, x), lift, key, taken = position
        began = False
        if action in ("left", "right"):
            beside = x + (1 if action == "right" else -1)
            x = beside if self.free(y, beside) else x
        elif action == "jump" and not self.free(y + 1, x) and self.free(y - 1, x):
            lift, began = 3, True
        if lift >= 2:
            lift -= 1
            if self.free(y - 1, x):
                y -= 1
            else:
                lift = 1
        elif lift == 1:
            lift = 0
        elif self.free(y + 1, x):
            y += 1
        cell = y, x
        if self.tile(cell) == 4:
            taken |= {cell}
        return (cell, lift, key or cell == self.key, taken), began

    def won(self, position):
        return position[2] and position[0] == self.exit

    def lost(self, position):
        return self.tile(position[0]) == 6

    def solve(self):
        """The fewest moves to win and the fewest jumps among such ways; None, None and all that can be reached."""

        def options(position):
            for action in ("wait", "left", "right", "jump"):
                after, began = self.play(position, action)
                if not self.lost(after):
                    yield after, began

        return search(self.start, options, self.won)

    def gap(self, position):
        cell, _, key, taken = position
        far = apart(cell, self.exit) if key else apart(cell, self.key) + self.height + self.width + 4
        return far - 5 * len(taken)


class Mdungeon:
    """Mdungeon on rows of numbers; a position is (cell, health, cells whose thing is gone)."""

    def __init__(self, level):
        self.level = [list(map(int, row)) for row in level]
        self.height, self.width = len(level), len(level[0])
        (player,), (self.exit,) = (cells_of(self.level, tile) for tile in (2, 3))
        self.start = player, 5, frozenset()

    def tile(self, cell):
        return self.level[cell[0]][cell[1]]

    def play(self, position, action):
        """The position after "up", "down", "left" or "right"."""
        (y, x), health, gone = position
        dy, dx = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}[action]
        y, x = y + dy, x + dx
        if not (0 <= y < self.height and 0 <= x < self.width) or self.level[y][x] == 1:
            return position
        tile = self.level[y][x]
        if tile >= 4 and (y, x) not in gone:
            gone |= {(y, x)}
            health = {4: min(5, health + 2), 5: health, 6: health - 1, 7: health - 2}[tile]
        return (y, x), max(0, health), gone

    def won(self, position):
        return position[0] == self.exit and position[1] > 0

    def solve(self):
        """The fewest moves, the least 1000 * health lost + enemies among such ways (else None twice), all reached."""

        def options(position):
            for action in ("up", "down", "left", "right"):
                after = self.play(position, action)
                if after[1] > 0:
                    met = after[2] - position[2]
                    enemies = sum(self.tile(cell) >= 6 for cell in met)
                    yield after, enemies * (1000 * (position[1] - after[1]) + 1)

        return search(self.start, options, self.won)

    def gap(self, position):
        cell, health, gone = position
        return apart(cell, self.exit) + 4 * (5 - health) - 4 * sum(self.tile(thing) == 5 for thing in gone)
