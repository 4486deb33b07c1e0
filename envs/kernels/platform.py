"""Platformer levels in whole batches: what stands in them, as far as that takes no play."""

from __future__ import annotations

from envs.kernels import kernel
from envs.kernels.platform_rules import BRICK, EMPTY, ENEMY, QUESTION, SOLID, TUBE

# What an enemy is measured above; the published rule leaves tubes out.
_FLOOR = 1 << SOLID | 1 << BRICK | 1 << QUESTION


@kernel
def measure_levels(levels, measured):
    """Measures floating enemies, half tubes, enemies, empty cells and changes of tile, as gym-pcgrl does.

    Args:
        levels: uint8 (n, height, width).
        measured: float32 (n, at least 5), written: the sum of the cells between each enemy and the first solid, brick
            or question block below it, height - 1 for one above none; tubes with exactly one tube beside them; enemies;
            empty cells; neighbours, side by side or one above the other, that differ.
    """
    count, height, width = levels.shape
    for lane in range(count):
        gaps, halves, enemies, empty, changes = 0, 0, 0, 0, 0
        for row in range(height):
            for column in range(width):
                tile = levels[lane, row, column]
                if column > 0:
                    changes += tile != levels[lane, row, column - 1]
                if row > 0:
                    changes += tile != levels[lane, row - 1, column]
                if tile == EMPTY:
                    empty += 1
                elif tile == TUBE:
                    beside = 0
                    if column > 0:
                        beside += levels[lane, row, column - 1] == TUBE
                    if column < width - 1:
                        beside += levels[lane, row, column + 1] == TUBE
                    halves += beside == 1
                elif tile == ENEMY:
                    enemies += 1
                    gap = height - 1
                    for below in range(row + 1, height):
                        if (_FLOOR >> levels[lane, below, column]) & 1:
                            gap = below - row - 1
                            break
                    gaps += gap
        measured[lane, 0] = gaps
        measured[lane, 1] = halves
        measured[lane, 2] = enemies
        measured[lane, 3] = empty
        measured[lane, 4] = changes
