"""How the playroom looks: colours, type, and the drawing of panels, keys, marks and curves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import pygame

Colour = tuple[int, int, int]

#: The ground of every scene, what lies on it, and what is raised or pressed.
GROUND: Colour = (24, 23, 34)
PANEL: Colour = (36, 34, 50)
RAISED: Colour = (52, 49, 71)
HOVER: Colour = (68, 64, 92)
LINE: Colour = (74, 70, 98)
FAINT: Colour = (112, 106, 138)
#: Type, from the most to the least important.
BRIGHT: Colour = (242, 236, 222)
PLAIN: Colour = (208, 202, 212)
MUTED: Colour = (150, 145, 170)
#: What is chosen, met, missed or pointed out.
GOLD: Colour = (250, 207, 76)
GREEN: Colour = (126, 206, 122)
RED: Colour = (238, 112, 98)
BLUE: Colour = (92, 190, 245)

#: The size that all lengths are given for; they grow and shrink with the window.
NATIVE_SIZE = (1280, 800)

#: Typefaces in the order of preference; pygame brings its own in case none of them is installed.
_TYPEFACES = ("inter", "segoeui", "helveticaneue", "notosans", "dejavusans", "arial", "liberationsans")


def scale_of(size: tuple[int, int]) -> float:
    """Returns how much larger than native a window of a size in pixels draws everything."""
    return min(max(min(size[0] / NATIVE_SIZE[0], size[1] / NATIVE_SIZE[1]), 0.55), 3.0)


@lru_cache(maxsize=64)
def _font(size: int, bold: bool) -> pygame.font.Font:
    path = pygame.font.match_font(_TYPEFACES, bold=bold)
    return pygame.font.Font(path, size)


@lru_cache(maxsize=1024)
def _typeset(text: str, size: int, colour: Colour, bold: bool) -> pygame.Surface:
    return _font(size, bold).render(text, True, colour)


def forget_type() -> None:
    """Drops all fonts, which do not outlive pygame's own shutdown."""
    _font.cache_clear()
    _typeset.cache_clear()


class Brush:
    """Draws on one surface at the scale of its size; lengths are pixels of a window of the native size."""

    def __init__(self, surface: pygame.Surface) -> None:
        self.surface = surface
        self.scale = scale_of(surface.get_size())

    def px(self, length: float) -> int:
        """Returns a native length in pixels of this surface."""
        return round(length * self.scale)

    # Type.

    def text_width(self, text: str, size: float, bold: bool = False) -> int:
        """Returns how wide a line of type is, in pixels."""
        return _font(max(self.px(size), 6), bold).size(text)[0]

    def line_height(self, size: float) -> int:
        """Returns the distance between lines of type, in pixels."""
        return _font(max(self.px(size), 6), False).get_linesize()

    def text(
        self,
        text: str,
        place: tuple[float, float],
        size: float = 15,
        colour: Colour = PLAIN,
        bold: bool = False,
        anchor: str = "topleft",
    ) -> pygame.Rect:
        """Sets one line of type with the named point of its box at a place, and returns the box."""
        drawn = _typeset(text, max(self.px(size), 6), colour, bold)
        box = drawn.get_rect(**{anchor: (round(place[0]), round(place[1]))})
        self.surface.blit(drawn, box)
        return box

    def wrap(self, text: str, width: int, size: float, bold: bool = False) -> list[str]:
        """Breaks a text into lines that fit a width in pixels, between words."""
        lines: list[str] = []
        for word in text.split():
            if lines and self.text_width(f"{lines[-1]} {word}", size, bold) <= width:
                lines[-1] += f" {word}"
            else:
                lines.append(word)
        return lines

    def shortened(self, text: str, width: int, size: float, bold: bool = False) -> str:
        """Returns a line that fits a width in pixels, its end cut away where it must be."""
        if self.text_width(text, size, bold) <= width:
            return text
        while text and self.text_width(text + "…", size, bold) > width:
            text = text[:-1]
        return text.rstrip() + "…"

    def paragraph(
        self,
        text: str,
        box: pygame.Rect,
        size: float = 15,
        colour: Colour = PLAIN,
        *,
        centred: bool = False,
        most_lines: int | None = None,
        bold: bool = False,
    ) -> int:
        """Sets a text in a box from its top, and returns the y below the last line."""
        lines = self.wrap(text, box.width, size, bold)
        if most_lines is not None and len(lines) > most_lines:
            lines = [*lines[: most_lines - 1], self.shortened(" ".join(lines[most_lines - 1 :]), box.width, size, bold)]
        y = box.top
        for line in lines:
            place = (box.centerx, y) if centred else (box.left, y)
            self.text(line, place, size, colour, bold, anchor="midtop" if centred else "topleft")
            y += self.line_height(size)
        return y

    # Shapes.

    def panel(self, box: pygame.Rect, colour: Colour = PANEL, radius: float = 12, rim: Colour | None = None) -> None:
        """Draws a plate with round corners."""
        pygame.draw.rect(self.surface, colour, box, border_radius=self.px(radius))
        if rim is not None:
            pygame.draw.rect(self.surface, rim, box, max(self.px(2), 1), border_radius=self.px(radius))

    def veil(self, box: pygame.Rect, colour: Colour, opacity: int, radius: float = 0) -> None:
        """Lays a translucent plate over what is there."""
        plate = pygame.Surface(box.size, pygame.SRCALPHA)
        pygame.draw.rect(plate, (*colour, opacity), plate.get_rect(), border_radius=self.px(radius))
        self.surface.blit(plate, box)

    def picture(self, image: pygame.Surface, box: pygame.Rect) -> pygame.Rect:
        """Puts a picture in the middle of a box, made smaller where it must be, and returns where it came to lie."""
        scale = min(box.width / image.get_width(), box.height / image.get_height(), 1.0)
        if scale < 1:
            size = max(int(image.get_width() * scale), 1), max(int(image.get_height() * scale), 1)
            image = pygame.transform.smoothscale(image, size)
        place = image.get_rect(center=box.center)
        self.surface.blit(image, place)
        return place

    def tick(self, centre: tuple[float, float], size: float = 16, met: bool = True) -> None:
        """Draws a green tick, or a small hollow ring for what is not met yet."""
        x, y = centre
        reach = self.scale * size / 2
        if met:
            pygame.draw.circle(self.surface, GREEN, (x, y), reach)
            points = [(x - reach * 0.5, y), (x - reach * 0.12, y + reach * 0.4), (x + reach * 0.52, y - reach * 0.38)]
            pygame.draw.lines(self.surface, GROUND, False, points, max(self.px(size / 7), 2))
        else:
            pygame.draw.circle(self.surface, LINE, (x, y), reach, max(self.px(1.6), 1))

    def bar(self, box: pygame.Rect, share: float, colour: Colour = GOLD) -> None:
        """Draws how much of something is used, 0 to 1."""
        pygame.draw.rect(self.surface, RAISED, box, border_radius=box.height // 2)
        filled = pygame.Rect(box.left, box.top, round(box.width * min(max(share, 0), 1)), box.height)
        if filled.width >= box.height:
            pygame.draw.rect(self.surface, colour, filled, border_radius=box.height // 2)

    def curve(
        self,
        box: pygame.Rect,
        values: Sequence[float],
        most: int,
        target: tuple[float, float],
        colour: Colour,
    ) -> None:
        """Draws how a number went, with the interval that is wanted as a band behind it.

        Args:
            box: where.
            values: one number a step, from the start.
            most: how many steps the whole width stands for, at least.
            target: the wanted interval; ends may be infinite.
            colour: of the line.
        """
        pygame.draw.rect(self.surface, GROUND, box, border_radius=self.px(4))
        ends = [end for end in target if abs(end) != float("inf")]
        low, high = min([*values, *ends]), max([*values, *ends])
        margin = max((high - low) * 0.16, 0.5)
        low, high = low - margin, high + margin

        def y_of(value: float) -> float:
            share = (min(max(value, low), high) - low) / (high - low)
            return box.bottom - 1 - share * (box.height - 2)

        if ends:
            half = 0.12 * (high - low) if target[0] == target[1] else 0.0
            top, bottom = y_of(target[1] + half), y_of(target[0] - half)
            band = pygame.Rect(box.left, round(top), box.width, max(round(bottom - top), 2))
            self.veil(band, GREEN, 56, radius=2)
        across = max(most, len(values) - 1, 1)
        step = max(len(values) // max(box.width, 1), 1)
        kept = [*range(0, len(values), step)]
        if kept[-1] != len(values) - 1:
            kept.append(len(values) - 1)
        inset = self.px(3)
        points = [(box.left + inset + i / across * (box.width - 2 * inset), y_of(values[i])) for i in kept]
        if len(points) > 1:
            pygame.draw.lines(self.surface, colour, False, points, max(self.px(2), 1))
        pygame.draw.circle(self.surface, colour, points[-1], max(self.px(3), 2))

    def arrow(self, centre: tuple[float, float], size: float, direction: str, colour: Colour) -> None:
        """Draws a triangle that points "up", "down", "left" or "right"; `size` is in pixels of this surface."""
        x, y = centre
        long, wide = size * 0.42, size * 0.46
        corners = {
            "up": [(x, y - long), (x + wide, y + long), (x - wide, y + long)],
            "down": [(x, y + long), (x + wide, y - long), (x - wide, y - long)],
            "left": [(x - long, y), (x + long, y - wide), (x + long, y + wide)],
            "right": [(x + long, y), (x - long, y - wide), (x - long, y + wide)],
        }[direction]
        pygame.draw.polygon(self.surface, colour, corners)

    def icon(self, name: str, centre: tuple[float, float], size: float, colour: Colour) -> None:
        """Draws the mark of a control.

        Args:
            name: "run", "pause", "step", "skip", "restart", "new", "more", "less" or a direction.
            centre: where.
            size: of its box, in pixels of this surface.
            colour: of the mark.
        """
        x, y = centre
        reach = size * 0.42
        thin = max(round(size * 0.16), 2)
        if name == "run":
            self.arrow(centre, size, "right", colour)
        elif name == "pause":
            for left in (x - reach * 0.8, x + reach * 0.25):
                pygame.draw.rect(self.surface, colour, (left, y - reach, reach * 0.55, reach * 2))
        elif name in ("step", "skip"):
            shift = -reach * 0.25
            if name == "skip":
                self.arrow((x - reach * 0.75, y), size * 0.7, "right", colour)
                shift = reach * 0.05
            self.arrow((x + shift, y), size * (0.7 if name == "skip" else 0.85), "right", colour)
            pygame.draw.rect(self.surface, colour, (x + reach * 0.75, y - reach * 0.85, thin, reach * 1.7))
        elif name == "restart":
            box = pygame.Rect(0, 0, round(reach * 2), round(reach * 2))
            box.center = round(x), round(y)
            pygame.draw.arc(self.surface, colour, box, -0.9, 4.1, thin)
            self.arrow((x + reach * 0.72, y + reach * 0.5), size * 0.5, "down", colour)
        elif name in ("new", "more", "less"):
            pygame.draw.rect(self.surface, colour, (x - reach, y - thin / 2, reach * 2, thin))
            if name != "less":
                pygame.draw.rect(self.surface, colour, (x - thin / 2, y - reach, thin, reach * 2))
        else:
            self.arrow(centre, size, name, colour)

    def key_width(self, name: str, height: int) -> int:
        """Returns how wide a key of a height is, both in pixels of this surface."""
        label = _key_label(name)
        short = name in _POINTING or len(label) == 1
        return height if short else self.text_width(label, 12, bold=True) + self.px(12)

    def key_cap(self, name: str, place: tuple[int, int], height: int) -> pygame.Rect:
        """Draws a key with its left middle at a place, and returns its box."""
        box = pygame.Rect(0, 0, self.key_width(name, height), height)
        box.midleft = place
        pygame.draw.rect(self.surface, LINE, box.move(0, self.px(2)), border_radius=self.px(5))
        pygame.draw.rect(self.surface, RAISED, box, border_radius=self.px(5))
        pygame.draw.rect(self.surface, LINE, box, 1, border_radius=self.px(5))
        if name in _POINTING:
            self.arrow(box.center, height * 0.42, name, BRIGHT)
        else:
            self.text(_key_label(name), box.center, 12, BRIGHT, bold=True, anchor="center")
        return box


#: What keys are called on their caps, where it is not their own name.
_KEY_LABELS = {"escape": "Esc", "return": "Enter", "backspace": "Back", "delete": "Del", "space": "Space", "tab": "Tab"}

_POINTING = ("up", "down", "left", "right")


def _key_label(name: str) -> str:
    return _KEY_LABELS.get(name, name.upper() if len(name) == 1 else name.capitalize())
