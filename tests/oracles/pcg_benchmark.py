"""Slow, obvious twins of the kernels behind `envs.criteria`. Levels are in the PCG Benchmark's tiles."""

from __future__ import annotations

import difflib
import heapq

import networkx
import numpy as np

SIDES = ((0, -1), (0, 1), (-1, 0), (1, 0))


def text_ratio(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()


def spread(similarities):
    """The diversity of each item: takes out the one most like the others until nobody is like anybody."""
    present, values = list(range(len(similarities))), [1.0] * len(similarities)
    while present:
        totals = {i: sum(similarities[i][j] for j in present) for i in present}
        worst = max(present, key=lambda i: (totals[i], -i))
        if totals[worst] <= 1:
            break
        alike = sum(similarities[worst][j] > 0 for j in present)
        values[worst] = min(max(1 - (totals[worst] - 1) / alike, 0), 1)
        present.remove(worst)
    return values


class _Entry:
    """What a queue holds: compared by its priority alone."""

    def __init__(self, priority, content):
        self.priority, self.content = priority, content

    def __lt__(self, other):
        return self.priority < other.priority


def search(start, children, cost, won, lost, key, power, balance):
    """One agent: breadth-first where balance is None. Returns the way that wins or None, and the cheapest way seen.

    A way is the list of the states on it.
    """
    queue, seen, best = [_Entry(0, [start])], set(), None
    for _ in range(power):
        if not queue:
            break
        way = (queue.pop(0) if balance is None else heapq.heappop(queue)).content
        state = way[-1]
        if lost(state):
            continue
        if won(state):
            return way, way
        if key(state) in seen:
            continue
        seen.add(key(state))
        if best is None or (cost(state), len(way)) < (cost(best[-1]), len(best)):
            best = way
        for child in children(state):
            if balance is None:
                queue.append(_Entry(0, [*way, child]))
            else:
                heapq.heappush(queue, _Entry(cost(child) + balance * len(way), [*way, child]))
    return None, best


def play(balances, *arguments):
    """Agents in turn until one wins; returns the winning way or None, and the last agent's best way."""
    for balance in balances:
        way, best = search(*arguments, balance)
        if way is not None:
            break
    return way, best


def _cells(level, tile):
    return [tuple(int(i) for i in cell) for cell in np.argwhere(level == tile)]


def _steps(one, other):
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def sokoban(level, power):
    """The distance left and the winning list of (player, crates), for a level that can be played."""
    walls = np.pad(level, 1) == 0
    padded = np.pad(level, 1)
    targets, (player,) = _cells(padded, 4), _cells(padded, 2)

    def corner(y, x):
        upright, sideways = walls[y - 1, x] or walls[y + 1, x], walls[y, x - 1] or walls[y, x + 1]
        return not walls[y, x] and (y, x) not in targets and upright and sideways

    inner = [(y, x) for y in range(1, walls.shape[0] - 1) for x in range(1, walls.shape[1] - 1)]
    corners = {cell for cell in inner if corner(*cell)}
    dead = set(corners)
    for y, x in corners:
        for z in range(x + 1, walls.shape[1]):
            if (y, z) in corners:
                run = [(y, i) for i in range(x + 1, z)]
                if all(
                    not walls[c] and c not in targets and (walls[c[0] - 1, c[1]] or walls[c[0] + 1, c[1]]) for c in run
                ):
                    dead.update(run)
        for z in range(y + 1, walls.shape[0]):
            if (z, x) in corners:
                run = [(i, x) for i in range(y + 1, z)]
                if all(
                    not walls[c] and c not in targets and (walls[c[0], c[1] - 1] or walls[c[0], c[1] + 1]) for c in run
                ):
                    dead.update(run)

    def children(state):
        (y, x), crates = state
        for dy, dx in SIDES:
            ahead, beyond = (y + dy, x + dx), (y + 2 * dy, x + 2 * dx)
            if walls[ahead]:
                continue
            if ahead not in crates:
                yield ahead, crates
            elif not walls[beyond] and beyond not in crates:
                pushed = tuple(beyond if crate == ahead else crate for crate in crates)
                if not dead & set(pushed):
                    yield ahead, pushed

    def cost(state):
        left, total = list(targets), 0
        for crate in state[1]:
            nearest = min(left, key=lambda target: _steps(crate, target))
            total += _steps(crate, nearest)
            left.remove(nearest)
        return total

    def won(state):
        return cost(state) == 0

    start = player, tuple(_cells(padded, 3))
    way, best = play((None, 1, 0.5, 0), start, children, cost, won, lambda _: False, lambda state: state, power)
    return (0, way) if way else (cost(best[-1]), None)


def ddave(level, power):
    """How near the agents came to the exit, jumps, the winning way, how near to each diamond; for playable levels."""
    padded = np.pad(level, 1)
    (player,), (exit_cell,), (key_cell,) = (_cells(padded, tile) for tile in (2, 3, 5))
    diamonds, size = _cells(padded, 4), sum(padded.shape)

    def children(state):
        (y, x), air, key, alive, jumps, taken = state
        for action in range(4):
            ny, nx, nair, njumps = y, x, air, jumps
            if action in (1, 2):
                nx = x + (1 if action == 2 else -1)
                nx = x if padded[y, nx] == 0 else nx
            elif action == 3 and padded[y + 1, x] == 0 and padded[y - 1, x] != 0:
                nair, njumps = 3, jumps + 1
            if nair > 1:
                nair -= 1
                if padded[ny - 1, nx]:
                    ny -= 1
                else:
                    nair = 1
            elif nair:
                nair -= 1
            elif padded[ny + 1, nx]:
                ny += 1
            tile = padded[ny, nx]
            yield (
                (ny, nx),
                nair,
                key or tile == 5,
                alive and tile != 6,
                njumps,
                taken | ({(ny, nx)} if tile == 4 else frozenset()),
            )

    def run(goal):
        def cost(state):
            if goal:
                return _steps(state[0], goal)
            return _steps(state[0], exit_cell) if state[2] else _steps(state[0], key_cell) + size

        def won(state):
            return cost(state) == 0

        start = player, 0, False, True, 0, frozenset()
        way, best = play(
            (1, 0.5, 0, None), start, children, cost, won, lambda s: not s[3], lambda s: (s[0], s[2], s[5]), power
        )
        return cost(best[-1]), best[-1][4], way

    gap, jumps, way = run(None)
    return gap, jumps, way, [run(diamond)[0] for diamond in diamonds]


def mdungeon(level, power):
    """What the last agent's best state costs (0 for a win), its treasures, and the winning way; for playable levels."""
    padded = np.pad(level, 1)
    (player,), (exit_cell,) = _cells(padded, 2), _cells(padded, 3)

    def children(state):
        (y, x), health, treasures, gone = state
        for dy, dx in SIDES:
            there = (y + dy, x + dx)
            if padded[there] == 0:
                yield state
                continue
            tile = padded[there] if there not in gone else 1
            harm = {4: -2, 6: 1, 7: 2}.get(int(tile), 0)
            yield (
                there,
                min(max(health - harm, 0), 5),
                treasures + (tile == 5),
                gone | {there} if tile >= 4 else gone,
            )

    def cost(state):
        return _steps(state[0], exit_cell) + 4 * (5 - state[1]) - 2 * state[2] + padded.size

    start = player, 5, 0, frozenset()
    way, best = play(
        (1, 0.5, 0, None),
        start,
        children,
        cost,
        lambda s: s[0] == exit_cell,
        lambda s: s[1] == 0,
        lambda s: (s[0], s[1], s[3]),
        power,
    )
    return 0 if way else int(cost(best[-1])), int(best[-1][2]), way


def zelda(level):
    """Regions, and the steps from player to key and from key to door, each the first of its kind; -1 for no way."""
    graph = networkx.grid_2d_graph(*level.shape)
    graph.remove_nodes_from(_cells(level, 0))

    def steps(one, other, closed):
        firsts = [_cells(level, tile)[:1] for tile in (one, other)]
        if not all(firsts):
            return -1
        open_graph = graph.subgraph([cell for cell in graph if level[cell] not in closed])
        try:
            return networkx.shortest_path_length(open_graph, firsts[0][0], firsts[1][0])
        except networkx.NetworkXNoPath:
            return -1

    return networkx.number_connected_components(graph), steps(2, 3, {4}), steps(3, 4, set())


def loderunner(level):
    """How each cell is passed through, for a level with one player."""
    padded = np.pad(level, ((0, 1), (0, 0)))
    (start,) = _cells(padded, 2)
    padded[(padded == 2) | (padded == 3) | (padded == 4)] = 1
    height, width = padded.shape

    def way(y, x):
        if y < height - 1 and padded[y, x] == 1 and padded[y + 1, x] not in (0, 5):
            return 4
        return {6: 3, 5: 2}.get(int(padded[y, x]), 1)

    passed, waiting = np.zeros(padded.shape, int), [start]
    while waiting:
        y, x = waiting.pop()
        if passed[y, x]:
            continue
        passed[y, x] = way(y, x)
        if passed[y, x] == 4:
            waiting.append((y + 1, x))
            continue
        near = [(y, x - 1), (y, x + 1)]
        if padded[y, x] == 5:
            near.append((y - 1, x))
        if padded[y, x] in (5, 6):
            near.append((y + 1, x))
        waiting += [(a, b) for a, b in near if 0 <= a < height and 0 <= b < width and padded[a, b]]
    return passed
