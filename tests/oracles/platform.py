"""The platformer, plainly: one object a body, cells looked up one by one, lengths in units of 1/256 tile."""

from __future__ import annotations

BLOCKS = {1, 3, 4, 6, 7}
BUTTONS = ("wait", "left", "right", "jump", "right+jump", "left+jump",
           "right+run", "right+run+jump", "left+run", "left+run+jump")  # fmt: skip


class Body:
    """A box that stands in the level."""

    def __init__(self, x, y, width, height):
        self.x, self.y, self.width, self.height = x, y, width, height

    def cells(self):
        """Every (row, column) that the box is over."""
        rows = range(self.y // 256, (self.y + self.height - 1) // 256 + 1)
        columns = range(self.x // 256, (self.x + self.width - 1) // 256 + 1)
        return [(row, column) for row in rows for column in columns]

    def overlaps(self, other):
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )


class Enemy(Body):
    alive, falling, speed, direction = True, True, 0, -1


class Game:
    """One game; `play` takes the name of an action."""

    def __init__(self, level):
        self.tiles = [list(map(int, row)) for row in level]
        self.height, self.width = len(self.tiles), len(self.tiles[0])
        row, column = self.start_cell()
        self.player = Body(column * 256 + 48, row * 256 + 32, 160, 224)
        self.speed_x = self.speed_y = self.coins = 0
        self.ground, self.held, self.outcome = True, False, "playing"
        self.enemies = []
        for row in range(self.height):
            for column in range(self.width):
                if self.tiles[row][column] == 2:
                    self.tiles[row][column] = 0
                    self.enemies.append(Enemy(column * 256 + 24, row * 256 + 56, 208, 200))

    def start_cell(self):
        for column in range(min(3, self.width - 1)):
            rows = [
                row
                for row in range(self.height - 1)
                if self.tiles[row][column] in (0, 5) and self.tiles[row + 1][column] in BLOCKS
            ]
            if rows:
                return rows[-1], column
        raise ValueError("nowhere to start")

    def solid(self, row, column):
        if not 0 <= column < self.width:
            return True
        return row < self.height and self.tiles[max(row, 0)][column] in BLOCKS

    def stuck(self, body):
        return any(self.solid(*cell) for cell in body.cells())

    def steer(self, buttons):
        direction = ("right" in buttons) - ("left" in buttons)
        run = "run" in buttons
        if not direction:
            if self.ground:
                self.speed_x = max(abs(self.speed_x) - 5, 0) * (1 if self.speed_x > 0 else -1)
            return
        along, top = self.speed_x * direction, 80 if run else 48
        if along < 0:
            along = min(along + (10 if self.ground else 7), 5)
        elif along < top:
            along = min(along + (5 if run else 4), top)
        elif self.ground:
            along = max(along - 5, top)
        self.speed_x = along * direction

    def slide(self, body, dx, dy):
        """Moves a box unit by unit until something is in the way; tells whether something was."""
        for _ in range(abs(dx) + abs(dy)):
            x, y = body.x, body.y
            body.x += (dx > 0) - (dx < 0)
            body.y += (dy > 0) - (dy < 0)
            if self.stuck(body):
                body.x, body.y = x, y
                return True
        return False

    def bumped_cell(self):
        above = self.player.y // 256 - 1
        middle = (self.player.x + 80) // 256
        columns = [middle, self.player.x // 256, (self.player.x + 159) // 256]
        column = next(column for column in columns if self.solid(above, column))
        return (above, column) if above >= 0 and self.tiles[above][column] in (3, 4, 7) else None

    def play(self, action):
        if self.outcome != "playing":
            return
        buttons = action.split("+")
        jump = "jump" in buttons
        self.steer(buttons)
        if jump and self.ground and not self.held:
            self.speed_y = -(164 + abs(self.speed_x) // 4)
        self.speed_y = min(self.speed_y + (12 if jump and self.speed_y < 0 else 30), 144)
        self.held = jump
        if self.slide(self.player, self.speed_x, 0):
            self.speed_x = 0
        feet = self.player.y + 224
        hit = self.slide(self.player, 0, self.speed_y)
        self.ground = hit and self.speed_y > 0
        bumped = self.bumped_cell() if hit and self.speed_y < 0 else None
        came_down = self.player.y + 224 > feet
        if hit:
            self.speed_y = 0
        if bumped and self.tiles[bumped[0]][bumped[1]] == 4:
            self.tiles[bumped[0]][bumped[1]] = 7
            self.coins += 1
        stomped = struck = False
        for enemy in self.enemies:
            if enemy.alive and bumped:
                block = Body(bumped[1] * 256, bumped[0] * 256 - 1, 256, 256)
                if enemy.y + 200 == bumped[0] * 256 and enemy.overlaps(block):
                    enemy.alive = False
            self.walk(enemy)
            if enemy.alive and enemy.overlaps(self.player):
                if came_down and feet <= enemy.y + 100:
                    enemy.alive, stomped = False, True
                else:
                    struck = True
        if stomped:
            self.speed_y, self.ground = -132, False
        for row, column in self.player.cells():
            if 0 <= row < self.height and self.tiles[row][column] == 5:
                self.tiles[row][column] = 0
                self.coins += 1
        if struck or self.player.y >= self.height * 256:
            self.outcome = "lost"
        elif self.player.x + 80 >= (self.width - 1) * 256:
            self.outcome = "won"

    def walk(self, enemy):
        if not enemy.alive:
            return
        if enemy.falling:
            enemy.speed = min(enemy.speed + 30, 144)
            if self.slide(enemy, 0, enemy.speed):
                enemy.falling, enemy.direction = False, -1
            elif enemy.y >= self.height * 256:
                enemy.alive = False
            return
        x = enemy.x
        enemy.x += 14 * enemy.direction
        toe = (enemy.x + 207 if enemy.direction > 0 else enemy.x) // 256
        if self.stuck(enemy) or not self.solid(enemy.y // 256 + 1, toe):
            enemy.x = x
            enemy.direction *= -1
