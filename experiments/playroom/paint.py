"""Paint with a designer: draw tiles, lock what shall stay, and let the designer go on around it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pygame

from agents.builders import Builder
from envs.errors import UserError
from envs.pictures import render_board
from envs.problem import Problem
from experiments.playroom.board import Board
from experiments.playroom.drawing import Drawing
from experiments.playroom.gauges import Gauge, draw_gauges
from experiments.playroom.library import Level, verdict
from experiments.playroom.look import BRIGHT, GOLD, GREEN, HOVER, MUTED, PLAIN, RAISED, RED, Brush
from experiments.playroom.scene import SIDE, Button, Command, Scene, command
from experiments.playroom.watch import FRAME_SHARE

if TYPE_CHECKING:
    from experiments.playroom.app import App

#: How many positions the solver may look at after each change of the drawing.
QUICK_BUDGET = 20_000

_TOOLS = (("brush", "b"), ("eraser", "e"), ("lock", "l"))


class PaintScene(Scene):
    """The brush in one hand, a designer in the other.

    Args:
        app: the application.
        problem: what is designed.
        level: the level to go on with; None goes on where the brush was laid down.
        shape: the (height, width) of a fresh level; None is the problem's default.
    """

    side = SIDE + 20

    def __init__(
        self, app: App, problem: Problem, level: Level | None = None, shape: tuple[int, ...] | None = None
    ) -> None:
        super().__init__(app)
        self.problem = problem
        self.title = f"Paint with a designer  ·  {problem.name}"
        self.tool = "brush"
        self.tile = min(1, len(problem.tiles) - 1)
        self.cell: tuple[int, ...] = (0,) * len(problem.default_shape)
        self.builder: Builder | None = None
        self.entry = app.library.designers(problem)[0]
        self.runs = 0
        self._opened = 0
        self._stroke: str = ""
        self._locking = True
        self._owed = 0.0
        self._board = Board(app.tile_size)
        self._swatches: dict[tuple[int, int], pygame.Surface] = {}
        self._judged: tuple[bytes, dict[str, float], str, bool] = (b"", {}, "", False)
        kept = app.canvases.get(problem.name)
        if level is not None:
            self.drawing = Drawing(level)
            if kept is not None:
                # What was drawn before can be had back by undoing.
                self.drawing.past = [*kept.past, kept.snapshot()]
        else:
            own = app.library.own_levels.get(problem.name)
            self.drawing = kept or Drawing(own[0] if own else self._random_level(shape or problem.default_shape))
        app.canvases[problem.name] = self.drawing

    @property
    def lively(self) -> bool:  # type: ignore[override]
        """Whether the designer is at work."""
        return self.working

    # Commands.

    def repeats(self, key: str) -> bool:
        """Moving, painting, and going back and forth in time repeat."""
        return key in ("up", "down", "left", "right", "page up", "page down", "space", "z", "y", "ctrl+z", "ctrl+y")

    def commands(self) -> list[Command]:
        """Returns the keys of the scene."""
        moves = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}
        storeys = {"page up": (1, 0, 0), "page down": (-1, 0, 0)} if self.drawing.level.ndim == 3 else {}
        numbers = {str(i + 1): partial(self.choose_tile, i) for i in range(min(len(self.problem.tiles), 9))}
        playable = self.problem.rules is not None
        return [
            command("move", {key: partial(self.move, by) for key, by in moves.items()}),
            *([command("storey", {key: partial(self.move, by) for key, by in storeys.items()})] if storeys else []),
            command("apply", {"space": self.apply}),
            command("tiles", {key: numbers[key] for key in (min(numbers), max(numbers))}, numbers),
            command("brush, eraser, lock", {key: partial(self.choose_tool, tool) for tool, key in _TOOLS}),
            command("unlock all", {"k": self.unlock_all}),
            command("stop" if self.working else "designer, go on", {"g": self.toggle_designer}),
            command("other designer", {"d": self.next_designer}),
            command("undo, redo", {"z": self.undo, "y": self.redo}, {"ctrl+z": self.undo, "ctrl+y": self.redo}),
            command("new", {"n": self.renew}),
            command("open next", {"o": self.open_next}),
            command("save", {"s": self.save}, {"ctrl+s": self.save}),
            *([command("play", {"p": self.play})] if playable else []),
            command("menu", {"escape": self.leave}),
        ]

    @property
    def working(self) -> bool:
        """Whether the designer is at work."""
        return self.builder is not None and not self.builder.over

    def choose_tile(self, tile: int) -> None:
        """Takes a tile from the palette."""
        self.tile, self.tool = tile, "brush"

    def choose_tool(self, tool: str) -> None:
        """Takes the brush, the eraser or the lock."""
        self.tool = tool

    def move(self, by: tuple[int, ...]) -> None:
        """Moves the cell that is pointed at: by rows and columns, or by storeys, rows and columns."""
        shape = self.drawing.level.shape
        steps = (0,) * (len(shape) - len(by)) + by
        self.cell = tuple(
            min(max(place + step, 0), size - 1) for place, step, size in zip(self.cell, steps, shape, strict=True)
        )

    def apply(self) -> None:
        """Uses the tool on the cell that is pointed at, as a stroke of its own."""
        self._begin_stroke(self.tool)
        self._touch(self.cell)
        self._stroke = ""

    def unlock_all(self) -> None:
        """Takes all locks away."""
        self.stop()
        self.drawing.keep()
        self.drawing.frozen[:] = False

    def undo(self) -> None:
        """Takes back the last stroke, or all that the designer did at once."""
        self.stop()
        if not self.drawing.undo():
            self.app.say("There is nothing to take back.", RED)

    def redo(self) -> None:
        """Does again what was taken back."""
        self.stop()
        if not self.drawing.redo():
            self.app.say("There is nothing to do again.", RED)

    def renew(self) -> None:
        """Replaces what is not locked by a new random start level."""
        self.stop()
        self.drawing.keep()
        self.runs += 1
        fresh = self._random_level(self.drawing.level.shape)
        self.drawing.level = np.where(self.drawing.frozen, self.drawing.level, fresh)

    def open_next(self) -> None:
        """Puts the next of the library's levels under the brush, with no locks."""
        levels = self.app.library.levels(self.problem)
        if not levels:
            self.app.say("There are no levels to open; give some with --levels.", RED)
            return
        self.stop()
        self.drawing.keep()
        self.drawing.replace(levels[self._opened % len(levels)])
        self._opened += 1
        self.move((0, 0))

    def save(self) -> None:
        """Saves the level as text and as a Tiled map."""
        self.app.save_level(self.problem, self.drawing.level)

    def play(self) -> None:
        """Plays the level as it is drawn."""
        self.stop()
        self.app.open("play", self.problem, [self.drawing.level.copy()])

    def leave(self) -> None:
        """Lays the brush down; the drawing is kept for the next time."""
        self.stop()
        self.app.back()

    def _random_level(self, shape: tuple[int, ...]) -> Level:
        random = np.random.default_rng((self.app.library.seed, self.runs))
        return self.problem.start_levels(random.random((1, 1 + int(np.prod(shape)))), shape)[0]

    # The designer.

    def toggle_designer(self) -> None:
        """Lets the designer go on around the locked tiles, or stops it."""
        if self.working:
            self.stop()
            return
        library, shape = self.app.library, self.drawing.level.shape
        try:
            self.builder = library.builder(self.problem, self.entry, shape, until_strict=True)
        except UserError as error:
            climber = library.designers(self.problem)[-1]
            self.app.say(f"{error} The hill climber goes on instead.", RED)
            self.builder = library.builder(self.problem, climber, shape, until_strict=True)
        self.drawing.keep()
        self.runs += 1
        self._owed = 0.0
        self.builder.begin(library.seed + self.runs, self.drawing.level, self.drawing.frozen)

    def next_designer(self) -> None:
        """Chooses another designer."""
        self.stop()
        entries = self.app.library.designers(self.problem)
        self.entry = entries[(entries.index(self.entry) + 1) % len(entries)]
        if len(entries) == 1:
            self.app.say("There is no other designer for this game; train one with python -m experiments.pcgrl.", RED)

    def stop(self) -> None:
        """Stops the designer; what it did stays."""
        self.builder = None

    def update(self, seconds: float) -> None:
        """Lets the designer take its steps."""
        if not self.working or self.builder is None:
            return
        self._owed = min(self._owed + seconds * self.builder.pace * 2, self.builder.pace)
        until = pygame.time.get_ticks() + 1000 * FRAME_SHARE
        while self._owed >= 1 and not self.builder.over:
            self._owed -= 1
            self.builder.advance()
            if pygame.time.get_ticks() > until:
                self._owed = 0.0
        self.drawing.level = self.builder.level.copy()
        if self.builder.over:
            self.app.say(f"The designer stopped: {self.builder.why}.", GREEN if self.builder.strict_success else GOLD)

    # The mouse.

    def point(self, event: pygame.event.Event) -> None:
        """Paints with the left button, erases with the right one, and locks with the middle one."""
        if event.type == pygame.MOUSEBUTTONUP:
            self._stroke = ""
            return
        cell = self._board.cell_at(event.pos)
        if cell is None:
            return
        self.cell = cell
        if event.type == pygame.MOUSEBUTTONDOWN and event.button in (1, 2, 3):
            self._begin_stroke({1: self.tool, 2: "lock", 3: "eraser"}[event.button])
        if self._stroke and (event.type == pygame.MOUSEBUTTONDOWN or any(event.buttons)):
            self._touch(cell)

    def _begin_stroke(self, tool: str) -> None:
        self.stop()
        self.drawing.keep()
        self._stroke = tool
        # A stroke of the lock does everywhere what it does to its first cell.
        self._locking = not self.drawing.frozen[self.cell]

    def _touch(self, cell: tuple[int, ...]) -> None:
        if self._stroke == "lock":
            self.drawing.frozen[cell] = self._locking
        elif self.drawing.frozen[cell]:
            self.app.say("That tile is locked: unlock it first, with the lock.", GOLD)
        else:
            self.drawing.level[cell] = self.tile if self._stroke == "brush" else 0

    # Drawing.

    def draw_content(self, brush: Brush, box: pygame.Rect) -> None:
        """Draws the level, and the palette, the designer and the metrics beside it."""
        margin = brush.px(20)
        side = pygame.Rect(0, box.top + margin, brush.px(SIDE), box.height - 2 * margin)
        side.right = box.right - margin
        picture = pygame.Rect(
            box.left + margin, box.top + margin, side.left - box.left - 2 * margin, box.height - 2 * margin
        )
        cursor = self.builder.cursor if self.working and self.builder is not None else self.cell
        level, frozen = self.drawing.level, self.drawing.frozen
        self._board.draw_level(brush, picture, self.problem, level, cursor, frozen, plans=True)
        brush.panel(side)
        inner = side.inflate(-brush.px(40), -brush.px(32))
        y = self._draw_palette(brush, inner)
        y = self._draw_tools(brush, pygame.Rect(inner.left, y + brush.px(10), inner.width, brush.px(36)))
        y = self._draw_designer(brush, pygame.Rect(inner.left, y + brush.px(16), inner.width, 0))
        y = self._draw_verdict(brush, pygame.Rect(inner.left, y + brush.px(14), inner.width, 0))
        self._draw_gauges(brush, pygame.Rect(inner.left, y + brush.px(4), inner.width, inner.bottom - y - brush.px(50)))
        self._draw_actions(brush, pygame.Rect(inner.left, inner.bottom - brush.px(36), inner.width, brush.px(36)))

    def _draw_palette(self, brush: Brush, box: pygame.Rect) -> int:
        columns = 4
        gap = brush.px(8)
        width, height = (box.width - gap * (columns - 1)) // columns, brush.px(64)
        for i, tile in enumerate(self.problem.tiles):
            row, column = divmod(i, columns)
            cell = pygame.Rect(box.left + column * (width + gap), box.top + row * (height + gap), width, height)
            chosen = self.tool == "brush" and i == self.tile
            hovered = cell.collidepoint(self.app.mouse)
            brush.panel(cell, HOVER if hovered else RAISED, 8, GOLD if chosen else None)
            image = self._swatch(i, brush.px(36))
            brush.surface.blit(image, image.get_rect(midtop=(cell.centerx, cell.top + brush.px(6))))
            name = brush.shortened(tile.name, width - brush.px(6), 12)
            place = (cell.centerx, cell.bottom - brush.px(4))
            brush.text(name, place, 12, GOLD if chosen else PLAIN, anchor="midbottom")
            if i < 9:
                brush.text(str(i + 1), (cell.left + brush.px(7), cell.top + brush.px(4)), 12, MUTED, bold=True)
            self.buttons.append(Button(cell, partial(self.choose_tile, i)))
        rows = -(-len(self.problem.tiles) // columns)
        return box.top + rows * (height + gap) - gap

    def _swatch(self, tile: int, size: int) -> pygame.Surface:
        if (tile, size) not in self._swatches:
            kind = self.problem.tiles[tile]
            pixels = render_board([kind.sprite or kind.colour], [[0]], size)
            self._swatches[tile, size] = pygame.surfarray.make_surface(pixels.swapaxes(0, 1))
        return self._swatches[tile, size]

    def _draw_tools(self, brush: Brush, box: pygame.Rect) -> int:
        gap = brush.px(8)
        width = (box.width - 2 * gap) // 3
        locked = int(self.drawing.frozen.sum())
        for i, (tool, key) in enumerate(_TOOLS):
            cell = pygame.Rect(box.left + i * (width + gap), box.top, width, box.height)
            label = f"Lock ({locked})" if tool == "lock" and locked else tool.capitalize()
            self.button(brush, cell, partial(self.choose_tool, tool), label, key=key, chosen=tool == self.tool)
        return box.bottom

    def _draw_designer(self, brush: Brush, box: pygame.Rect) -> int:
        builder = self.builder
        button = pygame.Rect(box.left, box.top, box.width, brush.px(44))
        label = "Stop the designer" if self.working else "Let the designer go on"
        self.button(
            brush, button, self.toggle_designer, label, key="g", chosen=self.working, main=not self.working, size=16
        )
        y = button.bottom + brush.px(10)
        name = builder.name if builder is not None else self.entry.name
        words = brush.text(brush.shortened(name, box.width * 3 // 5, 14), (box.left, y), 14, PLAIN)
        self.buttons.append(Button(words, self.next_designer))
        if builder is not None and builder.most_changes is not None:
            spent = f"{builder.changes} of {builder.most_changes} changes"
            brush.text(spent, (box.right, y), 14, MUTED, anchor="topright")
            bar = pygame.Rect(box.left, y + brush.px(22), box.width, brush.px(6))
            brush.bar(bar, builder.changes / builder.most_changes)
            return bar.bottom
        note = "locked tiles stay" if self.app.library.has_trained(self.problem) else "no trained one is at hand"
        brush.text(note, (box.right, y), 14, MUTED, anchor="topright")
        return y + brush.px(28)

    def _judge(self) -> tuple[dict[str, float], str, bool]:
        """Returns the drawing's metrics, what the solver says, and whether it can be won."""
        key = self.drawing.level.tobytes() + bytes([self.working])
        if key != self._judged[0]:
            level = self.drawing.level
            measured = self.problem.measure(np.ascontiguousarray(level[None]))[0]
            values = {metric.name: float(value) for metric, value in zip(self.problem.metrics, measured, strict=True)}
            words, good = "", False
            if self.problem.rules is not None:
                if self.working:
                    words = "the solver waits for the designer"
                else:
                    solution, words = verdict(self.problem.rules, level, QUICK_BUDGET)
                    good = solution is not None and solution.solved
            self._judged = (key, values, words, good)
        return self._judged[1:]

    def _draw_verdict(self, brush: Brush, box: pygame.Rect) -> int:
        _, words, good = self._judge()
        if not words:
            return box.top
        brush.tick((box.left + brush.px(9), box.top + brush.px(10)), 16, good)
        text = pygame.Rect(box.left + brush.px(26), box.top, box.width - brush.px(26), 0)
        shown = words[0].upper() + words[1:]
        return brush.paragraph(shown, text, 15, GREEN if good else BRIGHT, most_lines=2) + brush.px(4)

    def _draw_gauges(self, brush: Brush, box: pygame.Rect) -> None:
        values, _, _ = self._judge()
        builder = self.builder
        gauges = []
        for i, metric in enumerate(self.problem.metrics):
            history = [values[metric.name]]
            target = metric.target
            if builder is not None:
                history = [float(entry[i]) for entry in builder.history]
                target = builder.targets[metric.name]
            gauges.append(Gauge(metric, target, history))
        most = builder.most_changes if builder is not None else None
        draw_gauges(brush, box, gauges, most, curves=builder is not None)

    def _draw_actions(self, brush: Brush, box: pygame.Rect) -> None:
        actions = [
            ("Undo", "z", self.undo, bool(self.drawing.past)),
            ("Redo", "y", self.redo, bool(self.drawing.future)),
            ("Save", "s", self.save, True),
        ]
        if self.problem.rules is not None:
            actions.append(("Play", "p", self.play, self._judge()[1].startswith("cannot") is False))
        gap = brush.px(8)
        width = (box.width - gap * (len(actions) - 1)) // len(actions)
        for i, (label, key, action, enabled) in enumerate(actions):
            cell = pygame.Rect(box.left + i * (width + gap), box.top, width, box.height)
            self.button(brush, cell, action, label, key=key, enabled=enabled)
