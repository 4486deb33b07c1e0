"""Play a level by the problem's rules, with the solver at hand."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pygame
from numpy.typing import NDArray

from envs.pictures import render_board, render_game
from envs.problem import Problem
from envs.rules import LOST, PLAYING, WON
from envs.suite import get_rules
from experiments.playroom.board import Board, border_look
from experiments.playroom.library import Level, hint, verdict
from experiments.playroom.look import BLUE, BRIGHT, GOLD, GREEN, GROUND, MUTED, PLAIN, RED, Brush
from experiments.playroom.scene import SIDE, Button, Command, Scene, command

if TYPE_CHECKING:
    from experiments.playroom.app import App

_DIRECTIONS = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}


class GameScene(Scene):
    """A game.

    Args:
        app: the application.
        problem: the game.
        levels: the levels to play, at least one; they may differ in shape.
        own: whether they come straight from the brush or a designer, rather than from the library.
    """

    side = SIDE + 20
    #: What the counter counts, and what the button says that asks the solver.
    unit, ask = "moves", "Ask the solver for the next move"

    def __init__(self, app: App, problem: Problem, levels: Sequence[Level], own: bool = False) -> None:
        super().__init__(app)
        self.problem = problem
        self.rules = get_rules(problem)
        self.levels = list(levels)
        self.own = own
        self.title = f"Play a level  ·  {problem.name}"
        self.index = 0
        self.solved: set[int] = set()
        self._board = Board(app.tile_size)
        self._legend: dict[int, pygame.Surface] = {}
        self._action_of = {key: i for i, name in enumerate(self.rules.actions) for key in self.rules.keys.get(name, ())}
        self.start_level(0)

    # The game.

    def start_level(self, index: int) -> None:
        """Begins a level."""
        self.index = index % len(self.levels)
        self.solution, self.verdict = verdict(self.rules, self.level)
        self.playable = self.solution is not None
        self.past: list[NDArray[np.int32]] = []
        self.restart()

    @property
    def level(self) -> Level:
        """The level that is played, as it was at the start."""
        return self.levels[self.index]

    def restart(self) -> None:
        """Begins the level again; where moves can be taken back, so can this."""
        self.hint: tuple[int | None, str] | None = None
        self.moves = 0
        if not self.playable:
            return
        self.start = self.rules.start(self.level)
        self.state = self.start.copy()
        self.past = []

    @property
    def outcome(self) -> int:
        """PLAYING, WON or LOST."""
        return self.rules.outcome(self.state) if self.playable else PLAYING

    def act(self, action: int) -> None:
        """Plays one action, unless the game is over."""
        if not self.playable or self.outcome != PLAYING:
            return
        after = self.rules.step(self.state, action)
        self.hint = None
        if self.rules.undo and np.array_equal(after, self.state):
            # Against a wall: where nothing else moves either, nothing happened.
            return
        self.past.append(self.state)
        self.state = after
        self.moves += 1
        if self.outcome == WON:
            self.solved.add(self.index)

    def counted(self, moves: int) -> str:
        """Returns a number of moves as the counter shows it."""
        return str(moves)

    def told(self, moves: int) -> str:
        """Returns a number of moves in words."""
        return f"{moves} move{'' if moves == 1 else 's'}"

    def undo(self) -> None:
        """Takes the last move back."""
        if not self.past:
            self.app.say("There is nothing to take back.", RED)
            return
        self.state = self.past.pop()
        self.moves -= 1
        self.hint = None

    def show_hint(self) -> None:
        """Asks the solver for the next move."""
        if self.playable:
            self.hint = hint(self.rules, self.state)

    def edit(self) -> None:
        """Takes the brush to the level."""
        self.app.open("paint", self.problem, [self.level.copy()])

    # Keys and mouse.

    def repeats(self, key: str) -> bool:
        """Moves repeat while the game goes on, and taking them back does always."""
        return key in ("u", "z", "backspace") or (key in self._action_of and self.outcome == PLAYING)

    @property
    def keys_shown(self) -> dict[str, str]:
        """The first key of each action, by the action's name."""
        return {name: keys[0] for name, keys in self.rules.keys.items()}

    def press(self, key: str) -> bool:
        """Plays the action of a key, while the game goes on."""
        if key in self._action_of and self.playable and self.outcome == PLAYING:
            self.act(self._action_of[key])
            return True
        return False

    def commands(self) -> list[Command]:
        """Returns the keys of the scene: the game's own, then the rest."""
        directions = {
            self.rules.keys[name][0]: partial(self.act, i)
            for i, name in enumerate(self.rules.actions)
            if name in _DIRECTIONS and name in self.rules.keys
        }
        entries = []
        over = self.outcome != PLAYING
        if not over:
            if directions:
                entries.append(command("move", directions))
            entries += [
                command(name, {self.rules.keys[name][0]: partial(self.act, i)})
                for i, name in enumerate(self.rules.actions)
                if name not in _DIRECTIONS and name in self.rules.keys
            ]
            entries.append(command("hint", {"h": self.show_hint}))
        if self.rules.undo:
            entries.append(command("take back", {"u": self.undo}, {"z": self.undo, "backspace": self.undo}))
        entries.append(command("restart", {"r": self.restart}))
        if len(self.levels) > 1:
            entries.append(
                command("other level", {"b": lambda: self.start_level(self.index - 1), "n": self.next_level})
            )
        if over:
            last = len(self.levels) == 1 or self.outcome == LOST
            follow = self.restart if last else self.next_level
            entries.append(command("again" if last else "next level", {"return": follow}, {"space": follow}))
        entries.append(command("edit it", {"e": self.edit}))
        entries.append(command("back", {"escape": self.app.back}))
        return entries

    def next_level(self) -> None:
        """Goes on to the next level."""
        self.start_level(self.index + 1)

    # Drawing.

    def draw_content(self, brush: Brush, box: pygame.Rect) -> None:
        """Draws the board, and beside it what there is to know about the game."""
        margin = brush.px(20)
        side = pygame.Rect(0, box.top + margin, brush.px(SIDE), box.height - 2 * margin)
        side.right = box.right - margin
        picture = pygame.Rect(
            box.left + margin, box.top + margin, side.left - box.left - 2 * margin, box.height - 2 * margin
        )
        if self.playable:
            self._draw_game(brush, picture)
            if self.outcome != PLAYING:
                self._draw_outcome(brush, self._board.place)
        else:
            self._board.draw_level(brush, picture, self.problem, self.level)
        self._draw_side(brush, side)

    def _draw_game(self, brush: Brush, picture: pygame.Rect) -> None:
        """Draws the game as it stands."""
        if self.level.ndim == 3:
            rules, state = self.rules, self.state
            self._board.draw_own(
                brush, picture, self.level.shape, state.tobytes(), lambda size: render_game(rules, state, size)
            )
            return
        board = self.rules.board(self.state)
        self._board.draw_game(brush, picture, self.rules.sprites, board, border_look(self.problem))
        self._draw_hint(brush, board)

    def _draw_hint(self, brush: Brush, board: NDArray[np.uint8]) -> None:
        """Draws the solver's next move on the board: an arrow, or a ring round the player for anything else."""
        if self.hint is None or self.hint[0] is None:
            return
        players = [i for i, name in enumerate(self.rules.sprites) if name.startswith("player")]
        places = np.argwhere(np.isin(board, players))
        if not len(places):
            return
        row, column = (int(part) for part in places[0])
        name = self.rules.actions[self.hint[0]]
        tile = self._board.tile
        if name in _DIRECTIONS:
            by = _DIRECTIONS[name]
            centre = self._board.box_of((row + by[0], column + by[1])).center
            pygame.draw.circle(brush.surface, GROUND, centre, tile * 0.34)
            pygame.draw.circle(brush.surface, GOLD, centre, tile * 0.34, max(tile // 16, 2))
            brush.arrow(centre, tile * 0.42, name, GOLD)
        else:
            centre = self._board.box_of((row, column)).center
            pygame.draw.circle(brush.surface, GOLD, centre, tile * 0.6, max(tile // 12, 2))
            label = name.upper()
            plate = pygame.Rect(0, 0, brush.text_width(label, 14, bold=True) + brush.px(16), brush.px(26))
            plate.midbottom = (centre[0], round(centre[1] - tile * 0.62))
            brush.panel(plate, GROUND, 6, GOLD)
            brush.text(label, plate.center, 14, GOLD, bold=True, anchor="center")

    def _draw_outcome(self, brush: Brush, picture: pygame.Rect) -> None:
        """Lays the end of the game over the board."""
        won = self.outcome == WON
        brush.veil(picture, GROUND, 120, radius=4)
        heading = "You won!" if won else "You lost"
        words = self._praise() if won else self._comfort()
        follow = "next level" if won and len(self.levels) > 1 else "again"
        width = max(brush.text_width(words, 17) + brush.px(60), brush.px(330))
        box = pygame.Rect(0, 0, width, brush.px(150))
        box.center = picture.center
        brush.panel(box, (20, 19, 28), 14, GREEN if won else RED)
        brush.text(heading, (box.centerx, box.top + brush.px(20)), 30, GREEN if won else RED, True, "midtop")
        brush.text(words, (box.centerx, box.top + brush.px(66)), 17, PLAIN, anchor="midtop")
        button = pygame.Rect(0, 0, brush.px(190), brush.px(38))
        button.midbottom = (box.centerx, box.bottom - brush.px(14))
        action = self.next_level if follow == "next level" else self.restart
        self.button(brush, button, action, follow.capitalize(), key="return")

    def _praise(self) -> str:
        taken = self.told(self.moves)
        if self.solution is None or not self.solution.solved:
            return f"In {taken}."
        best = len(self.solution.actions)
        if self.moves <= best:
            praise = "nobody can do better" if self.rules.shortest else "our player needs no less"
            return f"In {taken}: {praise}."
        return f"In {taken}; {self.told(best)} would have been enough."

    def _comfort(self) -> str:
        if self.solution is not None and self.solution.solved:
            return f"It can be won, in {self.told(len(self.solution.actions))}: try again."
        if self.solution is not None and self.solution.status == "unsolvable":
            return "Nobody can win this level: that is proven."
        return "Try again."

    def _draw_side(self, brush: Brush, box: pygame.Rect) -> None:
        brush.panel(box)
        inner = box.inflate(-brush.px(40), -brush.px(32))
        y = inner.top
        many = len(self.levels) > 1
        heading = f"Level {self.index + 1} of {len(self.levels)}" if many else "Your level" if self.own else "Level 1"
        brush.text(heading, (inner.left, y), 22, GOLD, bold=True)
        extent = " x ".join(str(size) for size in reversed(self.level.shape))
        brush.text(f"{extent} tiles", (inner.right, y + brush.px(6)), 14, MUTED, anchor="topright")
        y += brush.px(34)
        if many:
            y = self._draw_level_dots(brush, pygame.Rect(inner.left, y, inner.width, 0))
        solved = self.solution is not None and self.solution.solved
        line = y + brush.px(12)
        brush.tick((inner.left + brush.px(9), line), 17, solved)
        words = f"{self.verdict[0].upper()}{self.verdict[1:]}"
        text = pygame.Rect(inner.left + brush.px(28), y + brush.px(2), inner.width - brush.px(28), 0)
        y = brush.paragraph(words, text, 16, GREEN if solved else BRIGHT, most_lines=3)
        y += brush.px(16)
        unit = brush.text(self.unit.capitalize(), (inner.left, y + brush.px(18)), 16, MUTED, anchor="midleft")
        counter = brush.text(
            self.counted(self.moves), (unit.right + brush.px(14), y + brush.px(18)), 30, BRIGHT, True, "midleft"
        )
        if solved and self.solution is not None:
            best = (
                f"of {self.counted(len(self.solution.actions))} {'at best' if self.rules.shortest else 'by our player'}"
            )
            brush.text(best, (counter.right + brush.px(10), y + brush.px(20)), 15, MUTED, anchor="midleft")
        y += brush.px(52)
        y = brush.paragraph(self.rules.description, pygame.Rect(inner.left, y, inner.width, 0), 15, PLAIN)
        y += brush.px(18)
        y = self._draw_pad(brush, pygame.Rect(inner.left, y, inner.width, 0))
        hint_box = pygame.Rect(inner.left, y + brush.px(8), inner.width, brush.px(44))
        can_ask = self.playable and self.outcome == PLAYING
        self.button(brush, hint_box, self.show_hint, self.ask, key="h", enabled=can_ask, size=16)
        if self.hint is not None:
            words = self.hint[1]
            if self.hint[0] is None and self.outcome == PLAYING:
                words += " Take moves back or restart." if self.rules.undo and self.past else " Restart, perhaps."
            below = pygame.Rect(inner.left, hint_box.bottom + brush.px(12), inner.width, 0)
            brush.paragraph(words, below, 16, GOLD if self.hint[0] is not None else RED)
        self._draw_legend(brush, inner)

    def _draw_legend(self, brush: Brush, box: pygame.Rect) -> None:
        """Draws what everything on the board is called, in two columns at the bottom of a box."""
        row, size = brush.px(36), brush.px(28)
        # Looks such as "player-up" and "crate-on-target" are the same thing as what they begin with.
        looks: dict[str, str] = {}
        for look in self.rules.sprites:
            looks.setdefault(look.partition("-")[0], look)
        rows = -(-len(looks) // 2)
        top = box.bottom - rows * row
        for i, name in enumerate(looks):
            x, y = box.left + (i // rows) * (box.width // 2), top + (i % rows) * row + row // 2
            if size not in self._legend:
                strip = render_board(list(looks.values()), [list(range(len(looks)))], size)
                self._legend[size] = pygame.surfarray.make_surface(strip.swapaxes(0, 1))
            place = (x, y - size // 2)
            brush.surface.blit(self._legend[size], place, pygame.Rect(i * size, 0, size, size))
            brush.text(name, (x + size + brush.px(10), y), 14, MUTED, anchor="midleft")

    def _draw_level_dots(self, brush: Brush, box: pygame.Rect) -> int:
        """Draws a dot for each level: the one that is played, those that were won, and the rest."""
        size = brush.px(16)
        most = max(box.width // (size + brush.px(4)), 1)
        shown = range(min(len(self.levels), most))
        for i in shown:
            cell = pygame.Rect(box.left + i * (size + brush.px(4)), box.top, size, size)
            won, now = i in self.solved, i == self.index
            colour = GREEN if won else BLUE if now else (74, 70, 98)
            pygame.draw.circle(brush.surface, colour, cell.center, size * 0.3)
            if now:
                pygame.draw.circle(brush.surface, GOLD, cell.center, size * 0.48, max(brush.px(2), 1))
            self.buttons.append(Button(cell, partial(self.start_level, i)))
        return box.top + size + brush.px(14)

    def _draw_pad(self, brush: Brush, box: pygame.Rect) -> int:
        """Draws a button for every action: directions as a cross, everything else beside it."""
        size, gap = brush.px(44), brush.px(6)
        enabled = self.playable and self.outcome == PLAYING
        left = box.left
        crosses = {"up": (0, 1), "left": (1, 0), "down": (1, 1), "right": (1, 2)}
        if any(name in crosses for name in self.rules.actions):
            for i, name in enumerate(self.rules.actions):
                if name in crosses:
                    row, column = crosses[name]
                    cell = pygame.Rect(left + column * (size + gap), box.top + row * (size + gap), size, size)
                    self.button(brush, cell, partial(self.act, i), icon=name, enabled=enabled)
            left += 3 * (size + gap) + brush.px(14)
        others = [(i, name) for i, name in enumerate(self.rules.actions) if name not in crosses]
        if self.rules.undo:
            others.append((-1, "take back"))
        for row, (i, name) in enumerate(others):
            cell = pygame.Rect(left, box.top + row * (size + gap), min(box.right - left, brush.px(190)), size)
            if i < 0:
                self.button(brush, cell, self.undo, "Take back", key="u", enabled=bool(self.past))
            else:
                key = next(iter(self.rules.keys.get(name, ())), "")
                self.button(brush, cell, partial(self.act, i), name.capitalize(), key=key, enabled=enabled)
        return box.top + max(2, len(others)) * (size + gap) + brush.px(6)
