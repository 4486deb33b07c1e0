"""What all scenes share: commands that keys and mouse alike give, a header, and the help line that names the keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pygame

from experiments.playroom.look import (
    BRIGHT,
    FAINT,
    GOLD,
    GROUND,
    HOVER,
    LINE,
    MUTED,
    PANEL,
    PLAIN,
    RAISED,
    Brush,
    Colour,
)

if TYPE_CHECKING:
    from experiments.playroom.app import App

Action = Callable[[], None]

#: The height of the strip at the top and of one row of the help line, in native pixels.
HEADER, HELP_ROW = 58, 40

#: The width of the panel at the right of the scenes that show a level, in native pixels.
SIDE = 430


@dataclass(frozen=True)
class Command:
    """One entry of the help line: the keys that it names, and what each of them does.

    Attributes:
        label: what the keys do, in a word or two.
        keys: what each key that is shown does, by the key's name in pygame.
        also: further keys, which are not shown.
    """

    label: str
    keys: Mapping[str, Action]
    also: Mapping[str, Action]


def command(label: str, keys: Mapping[str, Action], also: Mapping[str, Action] | None = None) -> Command:
    """Returns a command; see `Command`."""
    return Command(label, keys, also or {})


@dataclass
class Button:
    """A place on the screen that can be pressed."""

    box: pygame.Rect
    action: Action


def key_of(event: pygame.event.Event) -> str:
    """Returns the name of the key of an event, such as "left", "h" or "ctrl+z"."""
    name = pygame.key.name(event.key).lower()
    name = {"enter": "return", "kp_enter": "return"}.get(name, name)
    if getattr(event, "mod", 0) & (pygame.KMOD_CTRL | pygame.KMOD_META):
        return f"ctrl+{name}"
    return name


class Scene:
    """One screen of the playroom.

    The application passes events to `handle`, the time that went by to `update`, and its surface to `draw`. What can
    be pressed with the mouse is registered anew by each `draw`.

    Args:
        app: the application.
    """

    #: What the header says.
    title = ""
    #: How much of the width is a panel at the right, which messages leave free, in native pixels.
    side = 0
    #: Whether it looks different from moment to moment even when nothing comes in.
    lively = False

    def __init__(self, app: App) -> None:
        self.app = app
        self.buttons: list[Button] = []

    # What scenes define.

    def commands(self) -> list[Command]:
        """Returns the entries of the help line, as things stand."""
        return []

    def press(self, key: str) -> bool:
        """Acts on a key that has precedence over the commands; returns whether it meant something."""
        return False

    def point(self, event: pygame.event.Event) -> None:
        """Acts on a mouse event that no button took."""

    def update(self, seconds: float) -> None:
        """Goes on by a stretch of time."""

    def draw_content(self, brush: Brush, box: pygame.Rect) -> None:
        """Draws everything between the header and the help line."""

    def repeats(self, key: str) -> bool:
        """Returns whether a key that is held down counts again and again."""
        return False

    # What the application calls.

    def handle(self, event: pygame.event.Event) -> None:
        """Acts on a key or the mouse."""
        if event.type == pygame.KEYDOWN:
            key = key_of(event)
            if self.press(key):
                return
            for entry in self.commands():
                action = entry.keys.get(key) or entry.also.get(key)
                if action is not None:
                    action()
                    return
        elif event.type == pygame.MOUSEBUTTONDOWN and event.button == 1:
            for button in reversed(self.buttons):
                if button.box.collidepoint(event.pos):
                    button.action()
                    return
            self.point(event)
        elif event.type in (pygame.MOUSEBUTTONDOWN, pygame.MOUSEBUTTONUP, pygame.MOUSEMOTION):
            self.point(event)

    def draw(self, surface: pygame.Surface) -> None:
        """Draws the scene with its header and its help line."""
        brush = Brush(surface)
        self.buttons = []
        surface.fill(GROUND)
        width = surface.get_width()
        help_top = self._draw_help(brush)
        top = self._draw_header(brush)
        self.draw_content(brush, pygame.Rect(0, top, width, help_top - top))
        self.app.draw_message(brush, pygame.Rect(0, top, width - brush.px(self.side), help_top - top))

    # What scenes draw with.

    def button(
        self,
        brush: Brush,
        box: pygame.Rect,
        action: Action,
        label: str = "",
        *,
        icon: str = "",
        key: str = "",
        chosen: bool = False,
        main: bool = False,
        enabled: bool = True,
        size: float = 15,
    ) -> None:
        """Draws something that can be pressed, and registers it.

        Args:
            brush: what to draw with.
            box: where.
            action: what pressing does.
            label: the words on it.
            icon: the mark on it.
            key: the key that does the same, shown on it.
            chosen: whether it is the one that holds.
            main: whether it is what one will mostly press.
            enabled: whether it can be pressed now.
            size: of the type.
        """
        hovered = enabled and box.collidepoint(self.app.mouse)
        ground = (250, 222, 130) if main and hovered else GOLD if main and enabled else HOVER if hovered else RAISED
        brush.panel(box, ground, 8, GOLD if chosen else None)
        colour: Colour = (GROUND if main else GOLD if chosen else BRIGHT) if enabled else FAINT
        if icon:
            middle = (box.left + box.height // 2, box.centery) if label else box.center
            brush.icon(icon, middle, box.height * 0.42, colour)
        if label:
            left = box.left
            if icon:
                left = box.left + round(box.height * 0.92)
            elif key:
                left = brush.key_cap(key, (box.left + brush.px(10), box.centery), brush.px(22)).right + brush.px(8)
            words = brush.shortened(label, box.right - left - brush.px(6), size)
            if left == box.left:
                brush.text(words, box.center, size, colour, anchor="center")
            else:
                brush.text(words, (left, box.centery), size, colour, anchor="midleft")
        if enabled:
            self.buttons.append(Button(box, action))

    def _draw_header(self, brush: Brush) -> int:
        """Draws the strip at the top and returns the y below it."""
        height = brush.px(HEADER)
        strip = pygame.Rect(0, 0, brush.surface.get_width(), height)
        pygame.draw.rect(brush.surface, PANEL, strip)
        pygame.draw.line(brush.surface, GOLD, (0, height - 1), (strip.right, height - 1), max(brush.px(2), 1))
        middle = strip.centery - brush.px(1)
        name = brush.text("Tilewright", (brush.px(24), middle), 22, GOLD, bold=True, anchor="midleft")
        if self.title:
            brush.text(self.title, (name.right + brush.px(18), middle + brush.px(2)), 17, PLAIN, anchor="midleft")
        return height

    def _draw_help(self, brush: Brush) -> int:
        """Draws the help line, in as many rows as it needs, and returns its top."""
        entries = [entry for entry in self.commands() if entry.keys and entry.label]
        width, bottom = brush.surface.get_size()
        cap, gap = brush.px(24), brush.px(20)
        rows: list[list[tuple[Command, int]]] = [[]]
        x = brush.px(24)
        for entry in entries:
            length = self._entry_width(brush, entry, cap)
            if rows[-1] and x + length > width - brush.px(16):
                rows.append([])
                x = brush.px(24)
            rows[-1].append((entry, x))
            x += length + gap
        row_height = brush.px(HELP_ROW)
        top = bottom - row_height * len(rows)
        pygame.draw.rect(brush.surface, PANEL, (0, top, width, bottom - top))
        pygame.draw.line(brush.surface, LINE, (0, top), (width, top))
        for i, row in enumerate(rows):
            y = top + i * row_height + row_height // 2
            for entry, left in row:
                self._draw_entry(brush, entry, left, y, cap)
        return top

    @staticmethod
    def _entry_width(brush: Brush, entry: Command, cap: int) -> int:
        caps = sum(brush.key_width(key, cap) + brush.px(4) for key in entry.keys)
        return caps + brush.px(4) + brush.text_width(entry.label, 14)

    def _draw_entry(self, brush: Brush, entry: Command, left: int, y: int, cap: int) -> None:
        """Draws the keys of one entry and what they do; a click on a key does what the key does."""
        x = left
        boxes = []
        for key, action in entry.keys.items():
            box = brush.key_cap(key, (x, y), cap)
            boxes.append((box, action))
            x = box.right + brush.px(4)
        words = (x + brush.px(4), y)
        hovered = pygame.Rect(left, y - cap // 2, x - left, cap).collidepoint(self.app.mouse)
        label = brush.text(entry.label, words, 14, BRIGHT if hovered else MUTED, anchor="midleft")
        for box, action in boxes:
            self.buttons.append(Button(box, action))
        if len(boxes) == 1:
            self.buttons.append(Button(label.inflate(0, brush.px(8)), boxes[0][1]))
