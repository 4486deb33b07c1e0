"""Zelda played slowly: one object for each creature, cells as (row, column), no arrays."""

from __future__ import annotations

from dataclasses import dataclass

UP, DOWN, LEFT, RIGHT = (-1, 0), (1, 0), (0, -1), (0, 1)
MOVES = [UP, DOWN, LEFT, RIGHT]
# Seen from above, rows growing downwards: a quarter turn to the left of each heading.
TO_THE_LEFT = {UP: LEFT, LEFT: DOWN, DOWN: RIGHT, RIGHT: UP}
TO_THE_RIGHT = {left: heading for heading, left in TO_THE_LEFT.items()}


def ahead(cell, heading):
    return cell[0] + heading[0], cell[1] + heading[1]


def back(heading):
    return -heading[0], -heading[1]


@dataclass
class Enemy:
    kind: str
    cell: tuple[int, int]
    heading: tuple[int, int]
    alive: bool = True


class Game:
    """A game of zelda on rows of numbers (0 floor, 1 wall, 2 player, 3 key, 4 door, 5 bat, 6 scorpion, 7 spider,
    8 treasure)."""

    def __init__(self, rows):
        self.floor = set()
        self.enemies = []
        self.treasure = None
        found = []
        for y, row in enumerate(rows):
            for x, tile in enumerate(row):
                if tile not in (1, 4):
                    self.floor.add((y, x))
                if tile == 2:
                    self.player = (y, x)
                elif tile == 3:
                    self.key = (y, x)
                elif tile == 4:
                    self.door = (y, x)
                elif tile == 8:
                    self.treasure = (y, x)
                elif tile >= 5:
                    found.append((("bat", "scorpion", "spider")[tile - 5], (y, x)))
        for kind, cell in found:
            self.enemies.append(Enemy(kind, cell, self.first_heading(kind, cell)))
        self.facing = DOWN
        self.has_key = False
        self.has_treasure = self.treasure is None
        self.ticks = 0
        self.outcome = "playing"

    def first_heading(self, kind, cell):
        if kind == "bat":
            return (1, 1)
        if kind == "scorpion":
            free = [heading for heading in (DOWN, UP, RIGHT, LEFT) if ahead(cell, heading) in self.floor]
            return free[0] if free else DOWN
        for heading in MOVES:
            if ahead(cell, heading) in self.floor and ahead(cell, TO_THE_LEFT[heading]) not in self.floor:
                return heading
        return UP

    def move(self, enemy):
        """Moves an enemy as it would at this tick."""
        if enemy.kind == "bat":
            down, right = enemy.heading
            y, x = enemy.cell
            if (y + down, x) not in self.floor:
                down = -down
            if (y + down, x) in self.floor:
                y += down
            if (y, x + right) not in self.floor:
                right = -right
            if (y, x + right) in self.floor:
                x += right
            enemy.cell, enemy.heading = (y, x), (down, right)
        elif enemy.kind == "scorpion" and self.ticks % 2 == 0:
            if ahead(enemy.cell, enemy.heading) not in self.floor:
                enemy.heading = back(enemy.heading)
            if ahead(enemy.cell, enemy.heading) in self.floor:
                enemy.cell = ahead(enemy.cell, enemy.heading)
        elif enemy.kind == "spider" and self.ticks % 2 == 1:
            left = TO_THE_LEFT[enemy.heading]
            corner = ahead(ahead(enemy.cell, left), back(enemy.heading))
            choices = [enemy.heading, TO_THE_RIGHT[enemy.heading], left, back(enemy.heading)]
            if corner not in self.floor:
                choices.insert(0, left)
            for heading in choices:
                if ahead(enemy.cell, heading) in self.floor:
                    enemy.cell, enemy.heading = ahead(enemy.cell, heading), heading
                    break

    def step(self, action):
        """Plays one tick of an action by name."""
        if self.outcome != "playing":
            return
        before = self.player
        if action == "sword":
            for enemy in self.enemies:
                if enemy.cell == ahead(self.player, self.facing):
                    enemy.alive = False
        elif action != "wait":
            self.facing = MOVES[["up", "down", "left", "right"].index(action)]
            goal = ahead(self.player, self.facing)
            if goal in self.floor or (self.has_key and self.has_treasure and goal == self.door):
                self.player = goal
            self.has_key = self.has_key or self.player == self.key
            self.has_treasure = self.has_treasure or self.player == self.treasure
        for enemy in self.enemies:
            if enemy.alive:
                was = enemy.cell
                self.move(enemy)
                if enemy.cell == self.player or (enemy.cell == before and was == self.player):
                    self.outcome = "lost"
        if self.outcome == "playing" and self.player == self.door:
            self.outcome = "won"
        self.ticks += 1

    def identity(self):
        """Everything that the rest of the game depends on."""
        living = tuple((i, e.cell, e.heading) for i, e in enumerate(self.enemies) if e.alive)
        return self.player, self.facing, self.has_key, self.has_treasure, living, self.ticks % 2, self.outcome
