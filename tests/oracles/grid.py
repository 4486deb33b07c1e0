"""Twins of the kernels that measure, draw, edit and look at grids of tiles."""

from __future__ import annotations

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

    The methods are named after the representations; each takes one action and the step's random number.
    """

    def __init__(self, rows, frozen, shape, cursor, remaining):
        self.level = [list(row) for row in rows]
        self.frozen = frozen
        self.height, self.width = shape
        self.cursor = tuple(cursor)
        self.remaining = remaining
        self.padded_height, self.padded_width = len(self.level), len(self.level[0])

    def inside(self, y, x):
        return 0 <= y < self.height and 0 <= x < self.width

    def put(self, y, x, tile):
        may = self.inside(y, x) and not self.frozen[y][x] and self.remaining > 0
        if may and self.level[y][x] != tile:
            self.level[y][x] = tile
            self.remaining -= 1

    def patch(self):
        row, column = self.cursor
        return [(y, x) for y in (row - 1, row, row + 1) for x in (column - 1, column, column + 1)]

    def cells(self):
        return [(y, x) for y in range(self.height) for x in range(self.width)]

    def open_cells(self):
        return [cell for cell in self.cells() if not self.frozen[cell[0]][cell[1]]] or self.cells()

    def go_to_random(self, uniform):
        choices = self.open_cells()
        self.cursor = choices[min(int(uniform * len(choices)), len(choices) - 1)]

    def go_to_next(self):
        cells, choices = self.cells(), set(self.open_cells())
        place = cells.index(self.cursor)
        following = cells[place + 1 :] + cells[: place + 1]
        self.cursor = (
            following[0]
            if all(self.frozen[y][x] for y, x in cells)
            else next(cell for cell in following if cell in choices)
        )

    def advance(self, uniform, order):
        if order == "random":
            self.go_to_random(uniform)
        else:
            self.go_to_next()

    def walk(self, direction, wrap):
        y, x = self.cursor
        y, x = {0: (y, x - 1), 1: (y, x + 1), 2: (y - 1, x), 3: (y + 1, x)}[direction]
        if wrap:
            self.cursor = (y % self.height, x % self.width)
        elif self.inside(y, x):
            self.cursor = (y, x)

    def narrow(self, action, uniform, order="random"):
        if action > 0:
            self.put(*self.cursor, action - 1)
        self.advance(uniform, order)

    def narrowcast(self, action, uniform, order="random"):
        reach, tile = action
        for cell in {0: [], 1: [self.cursor], 2: self.patch()}[reach]:
            self.put(*cell, tile)
        self.advance(uniform, order)

    def narrowmulti(self, action, uniform, order="random"):
        for cell, number in zip(self.patch(), action, strict=True):
            if number > 0:
                self.put(*cell, number - 1)
        self.advance(uniform, order)

    def turtle(self, action, _uniform, wrap=False):
        if action < 4:
            self.walk(action, wrap)
        else:
            self.put(*self.cursor, action - 4)

    def turtlecast(self, action, _uniform, wrap=False):
        what, tile = action
        if what < 4:
            self.walk(what, wrap)
        else:
            for cell in [self.cursor] if what == 4 else self.patch():
                self.put(*cell, tile)

    def wide(self, action, _uniform):
        column, row, tile = action
        self.put(row, column, tile)

    def cellular(self, action, uniform):
        cells = [(y, x) for y in range(self.padded_height) for x in range(self.padded_width)]
        first = min(int(uniform * len(cells)), len(cells) - 1)
        for i in [*range(first, len(cells)), *range(first)]:
            self.put(*cells[i], action[i])
