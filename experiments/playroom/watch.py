"""Watch a designer build: its level as it changes, step by step, and every metric beside it."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import pygame

from agents.builders import Builder
from envs.problem import Problem
from experiments.playroom.board import Board
from experiments.playroom.gauges import Gauge, draw_chip, draw_gauges, goal_words
from experiments.playroom.library import DesignerEntry, Level
from experiments.playroom.look import BLUE, BRIGHT, GOLD, GREEN, MUTED, PLAIN, RED, Brush
from experiments.playroom.scene import SIDE, Action, Command, Scene, command

if TYPE_CHECKING:
    from experiments.playroom.app import App

#: The speeds that can be chosen, in steps a second.
SPEEDS = (1, 2, 4, 8, 15, 30, 60, 120, 300, 1000)

#: How many seconds of each frame a fast designer may take, so that the window stays smooth.
FRAME_SHARE = 0.011


class WatchScene(Scene):
    """Runs a designer in its environment.

    Args:
        app: the application.
        problem: what is designed.
        ready: the builder, its entry in the library, and what went wrong with another, as `prepare_watch` returns.
        level: the level to start from; None draws one.
    """

    side = SIDE + 20

    def __init__(
        self, app: App, problem: Problem, ready: tuple[Builder, DesignerEntry, str], level: Level | None = None
    ) -> None:
        super().__init__(app)
        self.problem = problem
        self.builder, self.entry, trouble = ready
        self.title = f"Watch a designer build  ·  {problem.name}"
        self.running = False
        self.seed = app.library.seed
        self._given = level
        self.speed = min(SPEEDS, key=lambda speed: abs(speed - self.builder.pace))
        self._owed = 0.0
        self._board = Board(app.tile_size)
        if trouble:
            app.say(trouble, RED)
        self.restart()
        self.running = True

    @property
    def lively(self) -> bool:  # type: ignore[override]
        """Whether the designer is at work."""
        return self.running

    # Control.

    def repeats(self, key: str) -> bool:
        """Steps and speeds repeat."""
        return key in ("right", "tab", "up", "down")

    def commands(self) -> list[Command]:
        """Returns the keys of the scene."""
        playable = self.problem.rules is not None
        return [
            command("pause" if self.running else "run", {"space": self.toggle}),
            command("step", {"right": self.step}),
            command("next change", {"tab": self.step_to_change}),
            command("speed", {"down": lambda: self.change_speed(-1), "up": lambda: self.change_speed(1)}),
            command("restart", {"r": self.restart}),
            command("new start", {"n": self.renew}),
            command("designer", {"d": self.next_designer}),
            command("take the brush", {"b": self.paint}),
            *([command("play it", {"p": self.play})] if playable else []),
            command("save", {"s": self.save}),
            command("menu", {"escape": self.app.back}),
        ]

    def toggle(self) -> None:
        """Runs, pauses, or runs again from the start when all is done."""
        if self.builder.over:
            self.restart()
            self.running = True
        else:
            self.running = not self.running

    def step(self) -> None:
        """Pauses and takes one step."""
        self.running = False
        self.builder.advance()

    def step_to_change(self) -> None:
        """Pauses and goes on until a tile has changed."""
        self.running = False
        until = time.perf_counter() + 0.5
        while not self.builder.over and not self.builder.advance() and time.perf_counter() < until:
            pass

    def change_speed(self, by: int) -> None:
        """Makes the designer faster or slower."""
        place = min(max(SPEEDS.index(self.speed) + by, 0), len(SPEEDS) - 1)
        self.speed = SPEEDS[place]

    def restart(self) -> None:
        """Begins again from the same level; the designer will do the same again."""
        self._owed = 0.0
        self.builder.begin(self.seed, self._given)

    def renew(self) -> None:
        """Begins from a new level."""
        self.seed += 1
        self._given = None
        self.restart()
        self.running = True

    def next_designer(self) -> None:
        """Lets another designer have a go at the same level."""
        entries = self.app.library.designers(self.problem)
        if len(entries) == 1:
            self.app.say("There is no other designer for this game; train one with python -m experiments.pcgrl.", RED)
            return
        entry = entries[(entries.index(self.entry) + 1) % len(entries)]
        start = self.builder.start
        self.app.back()
        self.app.open("watch", self.problem, [start], entry)

    def paint(self) -> None:
        """Takes the brush to the level as it stands."""
        self.running = False
        self.app.open("paint", self.problem, [self.builder.level.copy()])

    def play(self) -> None:
        """Plays the level as it stands."""
        self.running = False
        self.app.open("play", self.problem, [self.builder.level.copy()])

    def save(self) -> None:
        """Saves the level as it stands, as text and as a Tiled map."""
        self.app.save_level(self.problem, self.builder.level)

    def update(self, seconds: float) -> None:
        """Takes the steps that the speed asks for, as far as they fit into a frame."""
        if not self.running or self.builder.over:
            self._owed = 0.0
            return
        self._owed = min(self._owed + seconds * self.speed, self.speed)
        until = time.perf_counter() + FRAME_SHARE
        while self._owed >= 1 and not self.builder.over:
            self._owed -= 1
            self.builder.advance()
            if time.perf_counter() > until:
                self._owed = 0.0
        if self.builder.over:
            self.running = False

    # Drawing.

    def draw_content(self, brush: Brush, box: pygame.Rect) -> None:
        """Draws the level, the controls beneath it and the metrics beside it."""
        margin = brush.px(20)
        side = pygame.Rect(0, box.top + margin, brush.px(SIDE), box.height - 2 * margin)
        side.right = box.right - margin
        controls = pygame.Rect(box.left + margin, 0, side.left - box.left - 2 * margin, brush.px(46))
        controls.bottom = box.bottom - margin
        picture = pygame.Rect(
            controls.left, box.top + margin, controls.width, controls.top - box.top - margin - brush.px(14)
        )
        builder = self.builder
        self._board.draw_level(brush, picture, self.problem, builder.level, builder.cursor, builder.frozen)
        self._draw_controls(brush, controls)
        self._draw_side(brush, side)

    def _draw_controls(self, brush: Brush, box: pygame.Rect) -> None:
        gap = brush.px(8)
        slower, faster = partial(self.change_speed, -1), partial(self.change_speed, 1)
        controls: list[tuple[str, str, int, Action | None]] = [
            ("restart", "Restart", 112, self.restart),
            ("pause", "Pause", 100, self.toggle) if self.running else ("run", "Run", 100, self.toggle),
            ("step", "Step", 92, self.step),
            ("skip", "Change", 112, self.step_to_change),
            ("less", "", 40, slower),
            ("", f"{self.speed} / s", 66, None),
            ("more", "", 40, faster),
            ("new", "New start", 128, self.renew),
        ]
        total = sum(brush.px(width) for _, _, width, _ in controls) + gap * (len(controls) - 1)
        left = box.centerx - total // 2
        for icon, label, width, action in controls:
            cell = pygame.Rect(left, box.top, brush.px(width), box.height)
            if action is None:
                brush.text(label, cell.center, 16, BRIGHT, anchor="center")
            else:
                self.button(brush, cell, action, label, icon=icon, chosen=icon == "pause")
            left = cell.right + gap

    def _draw_side(self, brush: Brush, box: pygame.Rect) -> None:
        builder = self.builder
        brush.panel(box)
        inner = box.inflate(-brush.px(40), -brush.px(32))
        y = inner.top
        brush.text(builder.name[0].upper() + builder.name[1:], (inner.left, y), 20, GOLD, bold=True)
        y += brush.px(30)
        state = self._state()
        colour = GREEN if builder.over and builder.success else BRIGHT if not builder.over else PLAIN
        brush.text(brush.shortened(state, inner.width, 15), (inner.left, y), 15, colour)
        y += brush.px(30)
        if not self.app.library.has_trained(self.problem):
            note = "No trained designer is at hand; train one: python -m experiments.pcgrl --problem "
            place = pygame.Rect(inner.left, y - brush.px(6), inner.width, 0)
            y = brush.paragraph(note + self.problem.name, place, 13, BLUE, most_lines=2) + brush.px(6)
        if builder.most_changes is None:
            words, share = f"{builder.changes} changes", 0.0
        else:
            words = f"{builder.changes} of {builder.most_changes} changes"
            share = builder.changes / builder.most_changes
        brush.text(words, (inner.left, y), 15, PLAIN)
        brush.text(f"{builder.steps} steps", (inner.right, y), 15, MUTED, anchor="topright")
        y += brush.px(26)
        brush.bar(pygame.Rect(inner.left, y, inner.width, brush.px(8)), share)
        y += brush.px(22)
        half = (inner.width - brush.px(10)) // 2
        chip = pygame.Rect(inner.left, y, half, brush.px(34))
        draw_chip(brush, chip, "success (published)", builder.success)
        draw_chip(brush, chip.move(half + brush.px(10), 0), "strict success", builder.strict_success)
        y += brush.px(44)
        goal = pygame.Rect(inner.left, y, inner.width, 0)
        y = brush.paragraph(f"Published success: {goal_words(self.problem)}", goal, 13, MUTED, most_lines=3)
        y += brush.px(10)
        gauges = [
            Gauge(metric, builder.targets[metric.name], [float(values[i]) for values in builder.history])
            for i, metric in enumerate(builder.metrics)
        ]
        draw_gauges(brush, pygame.Rect(inner.left, y, inner.width, inner.bottom - y), gauges, builder.most_changes)

    def _state(self) -> str:
        """Returns how things stand, in a few words."""
        if self.builder.over:
            return f"Finished: {self.builder.why}"
        if self.builder.steps == 0 and not self.running:
            return "Ready"
        return "Building …" if self.running else "Paused"
