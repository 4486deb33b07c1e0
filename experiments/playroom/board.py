"""The level in the middle of a scene: drawn as large as fits, and cells found again under the mouse."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pygame
from numpy.typing import NDArray

from envs.art import LARGEST_SIZE, SMALLEST_SIZE, sprite
from envs.pictures import Look, render, render_board, render_storeys, storey_map
from envs.problem import Problem
from envs.rules import Actor
from experiments.playroom.look import LINE, Brush

#: No tile is drawn larger than this unless it is asked for, or small levels would look like posters.
LARGEST_COMFORTABLE = 96


class Board:
    """Draws levels and boards with one ring of border around them.

    Args:
        tile_size: the side of a tile in pixels, or None for as large as fits. What does not fit is made smaller.
    """

    def __init__(self, tile_size: int | None = None) -> None:
        self._wanted = tile_size
        self._key: object = None
        self._picture = pygame.Surface((1, 1))
        self._place = pygame.Rect(0, 0, 1, 1)
        self._shape = (0, 0)
        self._sprites: dict[tuple[str, int, bool], pygame.Surface] = {}
        self._places: NDArray[np.intp] | None = None
        self._level_shape: tuple[int, ...] = ()
        self.tile = 1

    def draw_level(
        self,
        brush: Brush,
        box: pygame.Rect,
        problem: Problem,
        level: NDArray[np.uint8],
        cursor: tuple[int, ...] | None = None,
        frozen: NDArray[np.bool_] | None = None,
        plans: bool = False,
    ) -> None:
        """Draws a level as a designer sees it; one of three axes as blocks, or as the plans of its storeys."""
        locked = frozen if frozen is not None and frozen.any() else None
        marks = (cursor, None if locked is None else locked.tobytes())
        draw = render_storeys if plans and level.ndim == 3 else render
        places = storey_map(level.shape) if level.ndim == 3 else None
        height, width = level.shape if places is None else places.shape if plans else blocks_extent(level.shape)
        self._draw(
            brush,
            box,
            height,
            width,
            (problem.name, level.shape, level.tobytes(), marks, plans),
            lambda size: draw(problem, level, size, cursor=cursor, frozen=locked),
        )
        self._places, self._level_shape = places, level.shape

    def draw_game(
        self, brush: Brush, box: pygame.Rect, sprites: Sequence[Look], board: NDArray[np.uint8], border: Look
    ) -> None:
        """Draws a board as a player sees it."""
        self._draw(
            brush,
            box,
            board.shape[0],
            board.shape[1],
            (tuple(sprites), board.tobytes(), border),
            lambda size: render_board(sprites, board, size, border=border),
        )

    def draw_own(
        self,
        brush: Brush,
        box: pygame.Rect,
        shape: tuple[int, ...],
        contents: object,
        picture: Callable[[int], NDArray[np.uint8]],
    ) -> None:
        """Draws a picture of blocks that a game makes of itself.

        Args:
            brush: what to draw with.
            box: where.
            shape: the level's (depth, height, width).
            contents: what the picture depends on besides its size.
            picture: makes the picture from a tile size.
        """
        self._draw(brush, box, *blocks_extent(shape), ("own", contents), picture)

    def draw_live(
        self,
        brush: Brush,
        box: pygame.Rect,
        sprites: Sequence[str],
        ground: NDArray[np.uint8],
        actors: Sequence[Actor],
        border: Look,
    ) -> None:
        """Draws a game whose things stand between cells; of a level that is too wide, what is around the player."""
        height, width = ground.shape
        self.tile = self._size(brush, box.height // (height + 2))
        self._places = None
        key = (self.tile, height, width, tuple(sprites), ground.tobytes(), border)
        if key != self._key:
            picture = render_board(sprites, ground, self.tile, border=border)
            self._picture = pygame.surfarray.make_surface(picture.swapaxes(0, 1))
            self._key = key
        self._shape = (height, width)
        whole = self._picture.get_rect()
        view = whole.copy()
        view.width = min(whole.width, box.width)
        view.centerx = round((actors[0].column + 1.5) * self.tile)
        view.clamp_ip(whole)
        shown = view.copy()
        shown.center = box.center
        self._place = whole.move(shown.left - view.left, shown.top - view.top)
        pygame.draw.rect(brush.surface, LINE, shown.inflate(brush.px(6), brush.px(6)), border_radius=brush.px(5))
        brush.surface.blit(self._picture, shown, view)
        brush.surface.set_clip(shown)
        for actor in reversed(actors):
            place = (
                self._place.left + round((actor.column + 1) * self.tile),
                self._place.top + round((actor.row + 1) * self.tile),
            )
            brush.surface.blit(self._sprite(sprites[actor.sprite], actor.mirrored), place)
        brush.surface.set_clip(None)
        self._place = shown

    def _sprite(self, name: str, mirrored: bool) -> pygame.Surface:
        key = (name, self.tile, mirrored)
        if key not in self._sprites:
            look = sprite(name, self.tile)
            image = pygame.image.frombuffer(look.tobytes(), look.shape[1::-1], "RGBA")
            self._sprites[key] = pygame.transform.flip(image, mirrored, False)
        return self._sprites[key]

    def _size(self, brush: Brush, fits: int) -> int:
        """Returns the side of a tile in pixels, where that many would fit."""
        comfortable = int(LARGEST_COMFORTABLE * max(brush.scale, 0.5))
        wanted = min(fits, comfortable if self._wanted is None else self._wanted)
        # Only every second size is drawn, so that dragging the window's edge does not draw all tiles at every pixel.
        return min(max(wanted - wanted % 2, SMALLEST_SIZE), LARGEST_SIZE)

    def _draw(
        self,
        brush: Brush,
        box: pygame.Rect,
        height: int,
        width: int,
        contents: tuple[object, ...],
        picture: Callable[[int], NDArray[np.uint8]],
    ) -> None:
        self.tile = self._size(brush, min(box.width // (width + 2), box.height // (height + 2)))
        key = (self.tile, height, width, contents)
        if key != self._key:
            self._picture = pygame.surfarray.make_surface(picture(self.tile).swapaxes(0, 1))
            self._key = key
        self._shape = (height, width)
        self._places = None
        self._place = self._picture.get_rect(center=box.center)
        frame = self._place.inflate(brush.px(6), brush.px(6))
        pygame.draw.rect(brush.surface, LINE, frame, border_radius=brush.px(5))
        brush.surface.blit(self._picture, self._place)

    @property
    def place(self) -> pygame.Rect:
        """Where the picture lies on the surface, its border included."""
        return self._place.copy()

    def cell_at(self, position: tuple[int, int]) -> tuple[int, ...] | None:
        """Returns the (row, column), or (storey, row, column) on a plan, at a place on the surface; None outside."""
        column = (position[0] - self._place.left) // self.tile - 1
        row = (position[1] - self._place.top) // self.tile - 1
        inside = 0 <= row < self._shape[0] and 0 <= column < self._shape[1]
        if not inside or self._places is None:
            return (row, column) if inside else None
        index = self._places[row, column]
        return None if index < 0 else tuple(int(part) for part in np.unravel_index(index, self._level_shape))

    def box_of(self, cell: tuple[int, int]) -> pygame.Rect:
        """Returns where a cell lies on the surface."""
        return pygame.Rect(
            self._place.left + (cell[1] + 1) * self.tile,
            self._place.top + (cell[0] + 1) * self.tile,
            self.tile,
            self.tile,
        )


def blocks_extent(shape: tuple[int, ...]) -> tuple[int, int]:
    """Returns about how many tiles high and wide the picture of a level of (depth, height, width) is, less two."""
    depth, height, width = shape
    return depth + (height + width + 1) // 2, height + width


def border_look(problem: Problem) -> Look:
    """Returns what pictures of a problem's levels show around them."""
    if problem.border not in problem.tile_ids:
        return "outside"
    tile = problem.tiles[problem.tile_ids[problem.border]]
    return tile.sprite or tile.colour
