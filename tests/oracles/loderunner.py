"""Loderunner played slowly: sets of cells as (row, column), guards as small objects, plain breadth-first searches."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

EMPTY, BRICK, SOLID, LADDER, ROPE, GOLD, GUARD, PLAYER = range(8)
STEPS = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}
ACTIONS = ("left", "right", "up", "down", "dig-left", "dig-right", "wait")
HOLE_TICKS, TRAP_MOVES = 32, 6


def beside(cell, way):
    dy, dx = STEPS[way]
    return cell[0] + dy, cell[1] + dx


@dataclass
class Guard:
    cell: tuple[int, int]
    first: tuple[int, int]
    trapped: int = 0
    climbed: bool = False


class Game:
    """A game on rows of tile numbers."""

    def __init__(self, rows):
        self.tile = {(y, x): tile for y, row in enumerate(rows) for x, tile in enumerate(row)}
        self.shape = len(rows), len(rows[0])
        self.player = next(cell for cell, tile in self.tile.items() if tile == PLAYER)
        self.gold = {cell for cell, tile in self.tile.items() if tile == GOLD}
        self.guards = [Guard(cell, cell) for cell, tile in self.tile.items() if tile == GUARD]
        self.holes = {}
        self.ticks = 0
        self.outcome = "playing"

    def at(self, cell):
        """The tile of the ground: bodies and gold stand in empty cells, and beyond the edge all is solid."""
        tile = self.tile.get(cell, SOLID)
        return EMPTY if tile >= GOLD else tile

    def blocks(self, cell, holes=None):
        holes = self.holes if holes is None else holes
        return self.at(cell) == SOLID or (self.at(cell) == BRICK and cell not in holes)

    def trapped_in(self, cell):
        return any(guard.cell == cell and guard.trapped for guard in self.guards)

    def stands(self, cell, holes=None, heads=True):
        if self.at(cell) in (LADDER, ROPE):
            return True
        below = beside(cell, "down")
        return self.blocks(below, holes) or self.at(below) == LADDER or (heads and self.trapped_in(below))

    def moves(self, cell, holes=None, heads=True):
        """The cells that a body can go to next, by way."""
        if not self.stands(cell, holes, heads):
            return {"down": beside(cell, "down")}
        ways = [way for way in STEPS if way != "up" or self.at(cell) == LADDER]
        return {way: beside(cell, way) for way in ways if not self.blocks(beside(cell, way), holes)}

    def move_player(self, action):
        if not self.stands(self.player):
            self.player = beside(self.player, "down")
        elif action in STEPS:
            goal = self.moves(self.player).get(action, self.player)
            if action != "down" or not self.trapped_in(goal):
                self.player = goal
        elif action.startswith("dig"):
            side = beside(self.player, action[4:])
            brick = beside(side, "down")
            free = (self.at(side) == EMPTY and side not in self.gold) or (self.at(side) == BRICK and side in self.holes)
            free = free and all(guard.cell != side for guard in self.guards)
            if free and self.at(brick) == BRICK and brick not in self.holes:
                self.holes[brick] = HOLE_TICKS

    def ways_to_player(self):
        """The moves from every cell to the player's for a guard who sees no hole but the one that she is in."""
        holes = {self.player} & set(self.holes)
        before = {}
        for cell in self.tile:
            if not self.blocks(cell, holes):
                for goal in self.moves(cell, holes, heads=False).values():
                    before.setdefault(goal, []).append(cell)
        away, queue = {self.player: 0}, deque([self.player])
        while queue:
            cell = queue.popleft()
            for other in before.get(cell, []):
                if other not in away:
                    away[other] = away[cell] + 1
                    queue.append(other)
        return away

    def move_guard(self, guard, away):
        if guard.trapped:
            if guard.trapped > 1:
                guard.trapped -= 1
            elif not self.blocks(beside(guard.cell, "up")):
                guard.cell, guard.trapped, guard.climbed = beside(guard.cell, "up"), 0, True
            return
        climbed, guard.climbed = guard.climbed, False
        if not climbed and not self.stands(guard.cell):
            guard.cell = beside(guard.cell, "down")
            guard.trapped = TRAP_MOVES if guard.cell in self.holes else 0
            return
        if away.get(guard.cell, 0) == 0:
            return
        # Holes look whole to a guard.
        moves = self.moves(guard.cell, set(), heads=False)
        for way in ("up", "down", "left", "right"):
            goal = beside(guard.cell, way)
            if away.get(goal) == away[guard.cell] - 1 and (way in moves or (goal == self.player and way == "down")):
                guard.cell = goal
                return
            if (
                way in ("left", "right")
                and goal == self.player
                and away[guard.cell] == 1
                and self.stands(guard.cell, set(), heads=False)
            ):
                guard.cell = goal
                return

    def touched(self):
        return any(guard.cell == self.player for guard in self.guards)

    def step(self, action):
        """Plays one tick of an action by name."""
        if self.outcome != "playing":
            return
        self.move_player(action)
        self.gold.discard(self.player)
        lost = self.touched()
        if self.ticks % 2 == 1 and not lost:
            away = self.ways_to_player()
            for guard in self.guards:
                self.move_guard(guard, away)
            lost = self.touched()
        self.holes = {cell: left - 1 for cell, left in self.holes.items()}
        for cell in [cell for cell, left in self.holes.items() if left == 0]:
            del self.holes[cell]
            lost = lost or cell == self.player
            for guard in self.guards:
                if guard.cell == cell:
                    guard.cell, guard.trapped, guard.climbed = guard.first, 0, False
        self.ticks += 1
        if lost or self.touched():
            self.outcome = "lost"
        elif not self.gold:
            self.outcome = "won"

    def identity(self):
        """Everything that the rest of the game depends on."""
        guards = tuple((guard.cell, guard.trapped, guard.climbed) for guard in self.guards)
        holes = tuple(sorted(self.holes.items()))
        return self.player, frozenset(self.gold), guards, holes, self.ticks % 2, self.outcome

    def restore(self, identity):
        """Puts the game into a position that `identity` returned."""
        self.player, gold, guards, holes, self.ticks, self.outcome = identity
        self.gold, self.holes = set(gold), dict(holes)
        for guard, (cell, trapped, climbed) in zip(self.guards, guards, strict=True):
            guard.cell, guard.trapped, guard.climbed = cell, trapped, climbed


def winnable(rows, most=60_000):
    """Whether any actions win, by trying all; None if there are more positions than `most`."""
    game = Game(rows)
    seen, waiting = {game.identity()}, [game.identity()]
    while waiting:
        here = waiting.pop()
        for action in ACTIONS:
            game.restore(here)
            game.step(action)
            if game.outcome == "won":
                return True
            after = game.identity()
            if game.outcome == "playing" and after not in seen:
                if len(seen) == most:
                    return None
                seen.add(after)
                waiting.append(after)
    return False


def reached(rows, digging):
    """The cells that a player could reach with no guards, if bricks carried and let through at once when dug."""
    game = Game(rows)
    opened, cells = set(), {game.player}
    changed = True
    while changed:
        changed = False
        for cell in list(cells):
            firm = game.stands(cell, set(), heads=False)
            goals = [beside(cell, "down")]
            if firm:
                goals += [beside(cell, "left"), beside(cell, "right")]
            if game.at(cell) == LADDER:
                goals.append(beside(cell, "up"))
            for goal in goals:
                if not game.blocks(goal, opened) and goal not in cells:
                    cells.add(goal)
                    changed = True
            for side in ("left", "right"):
                clear = beside(cell, side)
                brick = beside(clear, "down")
                free = firm and (game.at(clear) == EMPTY or clear in opened)
                if digging and free and game.at(brick) == BRICK and brick not in opened:
                    opened.add(brick)
                    changed = True
    return cells
