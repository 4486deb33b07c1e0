"""Levels that are written decision by decision. Argument names are those of `envs.representations.sequence`.

Levels, frozen and latest are flat here, (n, cells).
"""

from __future__ import annotations

from envs.kernels import inline, kernel


@inline
def _seek(levels, frozen, latest, turns, places, allowed, finished, cursors, lane, sizes, tables, outside):
    """Goes on to the next decision, from the cell at `places` on, and says what may be decided there."""
    cells, path, length, _symbol_tile, goes_on, choices = tables
    while turns[lane] < path.shape[1]:
        turn = turns[lane]
        while places[lane] < cells.shape[0]:
            cell = cells[places[lane]]
            tile = levels[lane, cell]
            decided = frozen[lane, cell]
            takes_part = turn == 0
            if turn > 0:
                takes_part = length[tile] > turn if decided and tile != outside else False
                if not decided and tile != outside:
                    takes_part = goes_on[latest[lane, cell]]
            if takes_part and tile != outside:
                stage = 0
                if decided:
                    for symbol in range(allowed.shape[1]):
                        allowed[lane, symbol] = symbol == path[tile, turn]
                else:
                    if turn > 0:
                        stage = 1 + latest[lane, cell]
                    for symbol in range(allowed.shape[1]):
                        allowed[lane, symbol] = choices[stage, symbol]
                rest = cell
                for axis in range(sizes.shape[0] - 1, -1, -1):
                    cursors[lane, axis] = rest % sizes[axis]
                    rest //= sizes[axis]
                return
            places[lane] += 1
        places[lane] = 0
        turns[lane] += 1
    # Whoever looks at an episode that is over may choose as he likes.
    turns[lane] = path.shape[1] - 1
    finished[lane] = True
    for symbol in range(allowed.shape[1]):
        allowed[lane, symbol] = True


@kernel
def place_sequence(
    levels, frozen, latest, turns, places, allowed, finished, cursors, lanes, sizes, constant, tables, outside
):
    """Begins levels: nothing is decided but what is frozen or constant.

    Args:
        levels: uint8 (n, cells), constant cells that are not frozen are written.
        frozen: bool (n, cells).
        latest: uint8 (n, cells), written: the last symbol of frozen and constant cells, "none" elsewhere.
        turns: int64 (n,), written: the pass of the first decision.
        places: int64 (n,), written: the place of its cell in the order of the cells.
        allowed: int8 (n, symbols), written: what may be decided there.
        finished: bool (n,), written: whether there is nothing to decide at all.
        cursors: int64 (n, axes), written: the cell.
        lanes: int64 (k,), the lanes that begin.
        sizes: int64 (axes,), the shape of the levels.
        constant: int64 (cells,), the tile of constant cells, -1 elsewhere.
        tables: (cells, path, length, symbol_tile, goes_on, choices), see `envs.representations.sequence`.
        outside: the id of cells outside a lane's own level.
    """
    path = tables[1]
    last = path.shape[1] - 1
    none = allowed.shape[1]
    for i in range(lanes.shape[0]):
        lane = lanes[i]
        for cell in range(levels.shape[1]):
            latest[lane, cell] = none
            if levels[lane, cell] != outside:
                if constant[cell] >= 0 and not frozen[lane, cell]:
                    levels[lane, cell] = constant[cell]
                if constant[cell] >= 0 or frozen[lane, cell]:
                    latest[lane, cell] = path[levels[lane, cell], last]
        turns[lane] = 0
        places[lane] = 0
        finished[lane] = False
        for axis in range(sizes.shape[0]):
            cursors[lane, axis] = 0
        _seek(levels, frozen, latest, turns, places, allowed, finished, cursors, lane, sizes, tables, outside)


@kernel
def edit_sequence(
    levels,
    frozen,
    latest,
    turns,
    places,
    allowed,
    finished,
    cursors,
    remaining,
    actions,
    active,
    sizes,
    tables,
    outside,
    changed,
):
    """Makes one decision in every active lane: the action's symbol, or the first allowed one where it is not.

    Args:
        levels: see `place_sequence`, as for what is not named here.
        frozen: likewise.
        latest: likewise.
        turns: likewise.
        places: likewise.
        allowed: likewise.
        finished: likewise.
        cursors: likewise.
        remaining: int64 (n,), how many tiles may still change.
        actions: int64 (n,), symbols.
        active: bool (n,).
        sizes: see `place_sequence`.
        tables: likewise.
        outside: likewise.
        changed: int64 (n,), written: how many tiles changed.
    """
    cells, symbol_tile = tables[0], tables[3]
    for lane in range(levels.shape[0]):
        if active[lane] and not finished[lane]:
            symbol = actions[lane]
            if not allowed[lane, symbol]:
                symbol = 0
                while not allowed[lane, symbol]:
                    symbol += 1
            cell = cells[places[lane]]
            if not frozen[lane, cell]:
                latest[lane, cell] = symbol
                tile = symbol_tile[symbol]
                if tile >= 0 and levels[lane, cell] != tile and remaining[lane] > 0:
                    levels[lane, cell] = tile
                    changed[lane] = 1
            places[lane] += 1
            _seek(levels, frozen, latest, turns, places, allowed, finished, cursors, lane, sizes, tables, outside)
