"""What a loderunner level's player could reach if nothing stood against her: floods that search and metrics share."""

from __future__ import annotations

from envs.kernels import inline
from envs.kernels.loderunner_rules import BRICK, DOWN, EMPTY, GOLD, LADDER, LEFT, RIGHT, SOLID, UP, is_firm, shift


@inline
def _is_clear(tiles, opened, cell):
    """Tells whether digging below a cell may become possible: it is empty, will be, or is a brick that was opened."""
    return tiles[cell] == EMPTY or tiles[cell] == GOLD or (tiles[cell] == BRICK and opened[cell] > 0)


@inline
def relax(tiles, holes, stride, start, gold, digging, times, opened, queue):
    """Floods the cells that the player may reach, with no guards, where every hole stays open and still carries.

    That leaves out what hinders her and nothing that helps: bricks hold her up whether they are dug or not, as do
    guards who sit in holes, and a brick once dug stays open. So what the flood does not reach can never be reached, and
    the ticks are never too many.

    Args:
        tiles: int32 (padded cells,), gold where it is still to take.
        holes: int32 (padded cells,), positive where a brick is open already.
        stride: the padded width.
        start: the player's cell.
        gold: how many pieces there are; the flood ends when it has reached them all. Negative: it goes on to the end.
        digging: whether bricks can be dug.
        times: int32 (padded cells,), filled with the least ticks to each cell, -1 for cells that were not reached.
        opened: int32 (padded cells,), filled with 1 for bricks that could be dug.
        queue: int32 (4 * padded cells,), overwritten.

    Returns:
        The ticks to the nearest gold, -1 for none; and how many pieces were not reached.
    """
    padded = tiles.size
    for cell in range(padded):
        times[cell] = -1
        opened[cell] = 1 if holes[cell] > 0 else 0
    # Cells to visit, and from `padded` on bricks that come open; the second half holds when.
    late = 2 * padded
    times[start] = 0
    queue[0], queue[late] = start, 0
    head, tail = 0, 1
    nearest = -1
    while head < tail and gold != 0:
        event, now = int(queue[head]), int(queue[late + head])
        head += 1
        if event < padded:
            if tiles[event] == GOLD:
                gold -= 1
                if nearest < 0:
                    nearest = now
            firm = is_firm(tiles, stride, event)
            for direction in range(4):
                if (direction == UP and tiles[event] != LADDER) or (direction <= RIGHT and not firm):
                    continue
                ahead = event + shift(stride, direction)
                if times[ahead] >= 0 or tiles[ahead] == SOLID or (tiles[ahead] == BRICK and opened[ahead] == 0):
                    continue
                times[ahead] = now + 1
                queue[tail], queue[late + tail] = ahead, now + 1
                tail += 1
            if not (firm and digging):
                continue
            for beside in (event - 1, event + 1):
                brick = beside + stride
                if brick < padded and tiles[brick] == BRICK and opened[brick] == 0 and _is_clear(tiles, opened, beside):
                    opened[brick] = 1
                    queue[tail], queue[late + tail] = padded + brick, now + 1
                    tail += 1
            continue
        brick = event - padded
        for direction in range(4):
            before = brick - shift(stride, direction)
            if times[before] < 0 or times[brick] >= 0:
                continue
            climbs = direction == UP and tiles[before] == LADDER
            if direction == DOWN or climbs or (direction <= RIGHT and is_firm(tiles, stride, before)):
                times[brick] = now + 1
        if times[brick] >= 0:
            queue[tail], queue[late + tail] = brick, now + 1
            tail += 1
        deeper = brick + stride
        if tiles[deeper] == BRICK and opened[deeper] == 0:
            for side in (LEFT, RIGHT):
                before = brick + shift(stride, side)
                if opened[deeper] == 0 and times[before] >= 0 and is_firm(tiles, stride, before):
                    opened[deeper] = 1
                    queue[tail], queue[late + tail] = padded + deeper, now + 1
                    tail += 1
    return nearest, gold
