"""The menu: which game, and what to do with it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pygame
from numpy.typing import NDArray

from envs.art import sprite
from envs.pictures import render, render_board
from envs.problem import Problem
from experiments.playroom.board import blocks_extent, border_look
from experiments.playroom.look import BRIGHT, GOLD, HOVER, MUTED, PANEL, PLAIN, RAISED, Brush
from experiments.playroom.scene import Button, Command, Scene, command

if TYPE_CHECKING:
    from experiments.playroom.app import App

#: What there is to do: the scene's name, its heading, and what it is about.
_CARDS = (
    ("watch", "Watch a designer build", "See a designer turn noise into a level, with every metric as it changes."),
    ("paint", "Paint with a designer", "Take the brush, lock the tiles you like, and let the designer do the rest."),
    ("play", "Play a level", "Walk, push and fight through levels that the solver has proven winnable."),
)


class MenuScene(Scene):
    """The first scene.

    Args:
        app: the application.
    """

    title = "Machines that design levels, and prove that they can be played"

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self.card = 0
        self._pictures: dict[tuple[str, str, int], pygame.Surface] = {}

    @property
    def _names(self) -> list[str]:
        return list(self.app.library.problems)

    @property
    def _problem(self) -> Problem:
        return self.app.library.problems[self.app.problem]

    def commands(self) -> list[Command]:
        """Returns the keys of the menu."""
        openers = {str(i + 1): partial(self._open, i) for i in range(len(_CARDS))}
        return [
            command("choose", {"left": lambda: self._move(-1), "right": lambda: self._move(1)}),
            command("open", {"return": lambda: self._open(self.card)}, {"space": lambda: self._open(self.card)}),
            command("open at once", openers),
            command(
                "another game",
                {"up": lambda: self._change_game(-1), "down": lambda: self._change_game(1)},
                {"tab": lambda: self._change_game(1)},
            ),
            command("save a screenshot", {"f12": lambda: self.app.attempt(self.app.save_screenshot)}),
            command("quit", {"escape": self.app.back}, {"q": self.app.back}),
        ]

    def _move(self, by: int) -> None:
        self.card = (self.card + by) % len(_CARDS)

    def _change_game(self, by: int) -> None:
        names = self._names
        self.app.problem = names[(names.index(self.app.problem) + by) % len(names)]

    def _choose_game(self, name: str) -> None:
        self.app.problem = name

    def _open(self, card: int) -> None:
        self.card = card
        self.app.open(_CARDS[card][0])

    def draw_content(self, brush: Brush, box: pygame.Rect) -> None:
        """Draws the games and the cards."""
        top = box.top + brush.px(26)
        self._draw_games(brush, pygame.Rect(box.left, top, box.width, brush.px(58)))
        y = top + brush.px(74)
        words = self._problem.description
        sentence = f"The goal: {words}."
        brush.text(sentence, (box.centerx, y), 17, PLAIN, anchor="midtop")
        gap, margin = brush.px(28), brush.px(48)
        width = min((box.width - 2 * margin - 2 * gap) // 3, brush.px(430))
        left = box.centerx - (3 * width + 2 * gap) // 2
        y += brush.px(46)
        height = box.bottom - y - brush.px(64)
        for i in range(len(_CARDS)):
            self._draw_card(brush, pygame.Rect(left + i * (width + gap), y, width, height), i)
        brush.text(self._stock(), (box.centerx, box.bottom - brush.px(32)), 14, MUTED, anchor="center")

    def _stock(self) -> str:
        """Returns what there is for the chosen game, in words."""
        library, problem = self.app.library, self._problem
        levels = len(library.levels(problem))
        whose = "of your own" if problem.name in library.own_levels else "bundled"
        designers = ", ".join(entry.name for entry in library.designers(problem))
        return f"{levels} {whose} level{'' if levels == 1 else 's'}   ·   designers: {designers}"

    def _draw_games(self, brush: Brush, box: pygame.Rect) -> None:
        """Draws one tab for each problem."""
        height, gap = box.height, brush.px(14)
        widths = [brush.text_width(name, 19, bold=True) + height + brush.px(26) for name in self._names]
        left = box.centerx - (sum(widths) + gap * (len(widths) - 1)) // 2
        for name, width in zip(self._names, widths, strict=True):
            tab = pygame.Rect(left, box.top, width, height)
            chosen = name == self.app.problem
            hovered = tab.collidepoint(self.app.mouse)
            brush.panel(tab, RAISED if chosen else HOVER if hovered else PANEL, 14, GOLD if chosen else None)
            image = self._emblem(self.app.library.problems[name], height - brush.px(22))
            brush.surface.blit(image, image.get_rect(midleft=(tab.left + brush.px(14), tab.centery)))
            words = tab.left + height + brush.px(6), tab.centery
            brush.text(name, words, 19, BRIGHT if chosen else PLAIN, bold=chosen, anchor="midleft")
            self.buttons.append(Button(tab, partial(self._choose_game, name)))
            left += width + gap

    def _emblem(self, problem: Problem, size: int) -> pygame.Surface:
        """Returns the picture of the tile that a game is known by: its last one that is not ground or wall."""
        key = (problem.name, "emblem", size)
        if key not in self._pictures:
            # Binary has ground and wall only; its wall stands for it.
            tile = problem.tiles[min(3, len(problem.tiles) - 1)]
            look = tile.sprite or tile.colour
            if isinstance(look, str):
                pixels = sprite(look, size)
                image = pygame.image.frombuffer(pixels.tobytes(), (size, size), "RGBA")
            else:
                image = pygame.surfarray.make_surface(render_board([look], [[0]], size).swapaxes(0, 1))
            self._pictures[key] = image
        return self._pictures[key]

    def _draw_card(self, brush: Brush, box: pygame.Rect, index: int) -> None:
        name, heading, words = _CARDS[index]
        chosen = index == self.card
        hovered = box.collidepoint(self.app.mouse)
        brush.panel(box, RAISED if chosen else HOVER if hovered else PANEL, 16, GOLD if chosen else None)
        inner = box.inflate(-brush.px(40), -brush.px(40))
        text_height = brush.px(118)
        frame = pygame.Rect(inner.left, inner.top, inner.width, inner.height - text_height)
        image = self._picture(name, frame.size)
        if image is not None:
            brush.picture(image, frame)
        y = frame.bottom + brush.px(20)
        cap = brush.key_cap(str(index + 1), (inner.left, y + brush.px(13)), brush.px(26))
        brush.text(heading, (cap.right + brush.px(12), y), 21, GOLD if chosen else BRIGHT, bold=True)
        brush.paragraph(
            words, pygame.Rect(inner.left, y + brush.px(38), inner.width, brush.px(60)), 15, PLAIN, most_lines=3
        )
        self.buttons.append(Button(box, lambda: self._open(index)))

    def _picture(self, name: str, size: tuple[int, int]) -> pygame.Surface | None:
        """Returns an illustration of a card: a level of the chosen game, marked as the scene marks it."""
        problem = self._problem
        levels = self.app.library.levels(problem)
        if not levels:
            return None
        level = levels[{"watch": 2, "paint": 1, "play": 0}[name] % len(levels)]
        height, width = level.shape if level.ndim == 2 else blocks_extent(level.shape)
        tile = min(size[0] // (width + 2), size[1] // (height + 2))
        tile = max(tile - tile % 2, 4)
        key = (problem.name, name, tile)
        if key not in self._pictures:
            if level.ndim == 3:
                pixels = self._blocks(name, level, tile)
            elif name == "watch":
                random = np.random.default_rng(3)
                noise = problem.start_levels(random.random((1, 1 + level.size)), level.shape)[0]
                # The right part is still noise: the designer is on its way.
                shown = np.where(np.arange(width) < round(0.6 * width), level, noise)
                pixels = render(problem, shown, tile, cursor=(height // 2, round(0.6 * width)))
            elif name == "paint":
                locked = np.zeros(level.shape, np.bool_)
                locked[: (height + 1) // 2, : (width + 1) // 2] = True
                pixels = render(problem, level, tile, frozen=locked)
            elif problem.rules is not None and problem.rules.problem_with(level) is None:
                pixels = render_board(problem.rules.sprites, level, tile, border=border_look(problem))
            else:
                pixels = render(problem, level, tile)
            self._pictures[key] = pygame.surfarray.make_surface(pixels.swapaxes(0, 1))
        return self._pictures[key]

    def _blocks(self, name: str, level: NDArray[np.uint8], tile: int) -> NDArray[np.uint8]:
        """Returns an illustration of a card by a level of three axes."""
        problem = self._problem
        if name == "play" and problem.rules is not None and problem.rules.problem_with(level) is None:
            picture = problem.rules.picture(problem.rules.start(level), tile)
            if picture is not None:
                return picture
        cursor = tuple(size // 2 for size in level.shape) if name == "watch" else None
        locked = None
        if name == "paint":
            locked = np.zeros(level.shape, np.bool_)
            locked[: (level.shape[0] + 1) // 2, 0] = True
        return render(problem, level, tile, cursor=cursor, frozen=locked)
