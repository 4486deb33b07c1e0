"""Twins of the kernels that measure, draw, edit and look at grids of tiles."""

from __future__ import annotations

import itertools

import networkx

MASK = (1 << 64) - 1


def graph(level, passable):
    """The 4-connected graph of a level's passable cells; nodes are (row, column), added in row-major order."""
    cells = [(y, x) for y, row in enumerate(level) for x, tile in enumerate(row) if tile in passable]
    made = networkx.Graph()
    made.add_nodes_from(cells)
    made.add_edges_from(
        ((y, x), beside) for y, x in cells for beside in ((y + 1, x), (y, x + 1)) if beside in made.nodes
    )
    return made


def regions(level, passable):
    return networkx.number_connected_components(graph(level, passable))


def _farthest(one_graph, start):
    """The farthest cell from a start and how far it is; the first in row-major order among equals."""
    distances = networkx.single_source_shortest_path_length(one_graph, start)
    length = max(distances.values())
    return min(cell for cell, distance in distances.items() if distance == length), length


def two_flood_path(level):
    """binary's path-length, by its published definition."""
    maze = graph(level, {0})
    longest = 0
    for component in networkx.connected_components(maze):
        far, _ = _farthest(maze, min(component))
        longest = max(longest, _farthest(maze, far)[1])
    return longest


def diameter(level):
    """The exact longest shortest path over all regions."""
    maze = graph(level, {0})
    return max((networkx.diameter(maze.subgraph(part)) for part in networkx.connected_components(maze)), default=0)


def _walk(level, passable, start, goal):
    """The steps from one cell to another over passable cells; -1 where there is no way."""
    try:
        return networkx.shortest_path_length(graph(level, passable), start, goal)
    except (networkx.NetworkXNoPath, networkx.NodeNotFound):
        return -1


def zelda_metrics(level):
    """All seven metrics of zelda, with what may be walked on spelt out leg by leg."""
    empty, _solid, player, key, door, bat, scorpion, spider = range(8)
    enemies_kinds = {bat, scorpion, spider}
    places = {
        tile: [(y, x) for y, row in enumerate(level) for x, t in enumerate(row) if t == tile] for tile in range(8)
    }
    enemies = [place for kind in sorted(enemies_kinds) for place in places[kind]]
    floor = {empty, player, *enemies_kinds}
    areas = regions(level, floor | {key})
    nearest = path = 0
    if len(places[player]) == 1 and areas == 1:
        start = places[player][0]
        if enemies:
            walks = [_walk(level, floor, start, enemy) for enemy in enemies]
            nearest = min((walk for walk in walks if walk >= 0), default=len(level) * len(level[0]))
        if len(places[key]) == 1 and len(places[door]) == 1:
            path = _walk(level, floor | {key}, start, places[key][0])
            path += _walk(level, floor | {key, door}, places[key][0], places[door][0])
    return [len(places[player]), len(places[key]), len(places[door]), len(enemies), areas, nearest, path]


def splitmix64(state, count):
    """The next numbers in [0, 1) of a splitmix64 stream (Steele 2014), and the state after them."""
    uniforms = []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        value = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
        value ^= value >> 31
        uniforms.append((value >> 11) / 2**53)
    return uniforms, state


def window(level, cursor, rows, columns, outside):
    """The cells around a cursor, row by row."""
    height, width = len(level), len(level[0])
    top, left = cursor[0] - rows // 2, cursor[1] - columns // 2
    return [
        level[y][x] if 0 <= y < height and 0 <= x < width else outside
        for y in range(top, top + rows)
        for x in range(left, left + columns)
    ]


class Lane:
    """One lane of a canvas, in plain Python, and what each representation does to it.

    The methods are named after the representations; each takes one action and the step's random number. Cells are kept
    by their places, which are (row, column) or (storey, row, column).
    """

    def __init__(self, level, frozen, shape, cursor, remaining):
        self.tiles, self.frozen = dict(cells_of(level)), dict(cells_of(frozen))
        self.shape = tuple(shape)
        self.cursor = tuple(cursor)
        self.remaining = remaining

    def inside(self, place):
        return all(0 <= part < size for part, size in zip(place, self.shape, strict=True))

    def put(self, place, tile):
        may = self.inside(place) and not self.frozen[place] and self.remaining > 0
        if may and self.tiles[place] != tile:
            self.tiles[place] = tile
            self.remaining -= 1

    def patch(self):
        return list(itertools.product(*((part - 1, part, part + 1) for part in self.cursor)))

    def cells(self):
        return [place for place in self.tiles if self.inside(place)]

    def open_cells(self):
        return [place for place in self.cells() if not self.frozen[place]] or self.cells()

    def go_to_random(self, uniform):
        choices = self.open_cells()
        self.cursor = choices[min(int(uniform * len(choices)), len(choices) - 1)]

    def go_to_next(self):
        cells, choices = self.cells(), set(self.open_cells())
        place = cells.index(self.cursor)
        following = cells[place + 1 :] + cells[: place + 1]
        self.cursor = next(cell for cell in following if cell in choices)

    def advance(self, uniform, order):
        if order == "random":
            self.go_to_random(uniform)
        else:
            self.go_to_next()

    def walk(self, direction, wrap):
        # The last axis comes first, then the one before it, then the storeys.
        axis, forward = len(self.cursor) - 1 - direction // 2, direction % 2
        if direction >= 4:
            axis = 0
        place = list(self.cursor)
        place[axis] += 1 if forward else -1
        if wrap:
            place[axis] %= self.shape[axis]
        if self.inside(place):
            self.cursor = tuple(place)

    def narrow(self, action, uniform, order="random"):
        if action > 0:
            self.put(self.cursor, action - 1)
        self.advance(uniform, order)

    def narrowcast(self, action, uniform, order="random"):
        reach, tile = action
        for place in {0: [], 1: [self.cursor], 2: self.patch()}[reach]:
            self.put(place, tile)
        self.advance(uniform, order)

    def narrowmulti(self, action, uniform, order="random"):
        for place, number in zip(self.patch(), action, strict=True):
            if number > 0:
                self.put(place, number - 1)
        self.advance(uniform, order)

    def turtle(self, action, _uniform, wrap=False):
        moves = 2 * len(self.shape)
        if action < moves:
            self.walk(action, wrap)
        else:
            self.put(self.cursor, action - moves)

    def turtlecast(self, action, _uniform, wrap=False):
        what, tile = action
        moves = 2 * len(self.shape)
        if what < moves:
            self.walk(what, wrap)
        else:
            for place in [self.cursor] if what == moves else self.patch():
                self.put(place, tile)

    def wide(self, action, _uniform):
        *place, tile = action
        self.put(tuple(reversed(place)), tile)

    def cellular(self, action, uniform):
        cells = list(self.tiles)
        first = min(int(uniform * len(cells)), len(cells) - 1)
        for i in [*range(first, len(cells)), *range(first)]:
            self.put(cells[i], action[i])


def cells_of(level, above=()):
    """Yields every cell of nested lists with its place, in order."""
    for i, part in enumerate(level):
        if isinstance(part, list):
            yield from cells_of(part, (*above, i))
        else:
            yield (*above, i), part
