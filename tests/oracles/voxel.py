"""The voxel problem in plain Python and networkx, on nested lists of tile ids: level[storey][row][column], 0 is air."""

from __future__ import annotations

import networkx as nx

DIRECTIONS = ((-1, 0), (1, 0), (0, -1), (0, 1))


class Blocks:
    """A level that can be asked about any cell."""

    def __init__(self, level):
        self.level = level
        self.depth, self.height, self.width = len(level), len(level[0]), len(level[0][0])

    def inside(self, z, y, x):
        return 0 <= z < self.depth and 0 <= y < self.height and 0 <= x < self.width

    def air(self, y, x, *storeys):
        return all(self.inside(z, y, x) and self.level[z][y][x] == 0 for z in storeys)

    def solid(self, z, y, x):
        """Blocks, and the ground beneath them."""
        return z == -1 or (self.inside(z, y, x) and self.level[z][y][x] != 0)

    def cells(self):
        return [(z, y, x) for y in range(self.height) for x in range(self.width) for z in range(self.depth)]

    def stands(self, z, y, x):
        return self.air(y, x, z, z + 1) and self.solid(z - 1, y, x)

    def move(self, place, direction):
        """Returns (place, cells passed, jumps), or None."""
        z, y, x = place
        dy, dx = DIRECTIONS[direction]
        by, bx, fy, fx = y + dy, x + dx, y + 2 * dy, x + 2 * dx
        if self.stands(z, by, bx):
            return (z, by, bx), 1, 0
        if self.stands(z - 1, by, bx) and self.air(by, bx, z + 1):
            return (z - 1, by, bx), 2, 0
        if self.stands(z + 1, by, bx) and self.air(y, x, z + 2):
            return (z + 1, by, bx), 2, 0
        if self.air(y, x, z + 2) and self.air(by, bx, *range(z - 2, z + 3)):
            for rise, passed in ((0, 2), (1, 3), (-1, 3)):
                if self.stands(z + rise, fy, fx) and self.air(fy, fx, z + rise + 2):
                    return (z + rise, fy, fx), passed, 1
        return None

    def graph(self):
        graph = nx.DiGraph()
        places = [cell for cell in self.cells() if self.stands(*cell)]
        graph.add_nodes_from(places)
        for place in places:
            for direction in range(4):
                found = self.move(place, direction)
                if found:
                    # Cells count first; among equally many, fewer jumps.
                    graph.add_edge(place, found[0], weight=found[1] * 10_000 + found[2])
        return graph


def longest_walk(level):
    """Returns both ends of the longest walk (None where nobody can stand), its cells and its jumps."""
    graph = Blocks(level).graph()
    order = {place: i for i, place in enumerate(graph)}
    best, seen = (None, None, 0, 0), set()
    for start in graph:
        if start in seen:
            continue
        ways = nx.single_source_dijkstra_path_length(graph, start)
        seen |= set(ways)
        first = max(ways, key=lambda place: (ways[place] // 10_000, -order[place]))
        ways = nx.single_source_dijkstra_path_length(graph, first)
        last = max(ways, key=lambda place: (ways[place] // 10_000, -order[place]))
        cells, jumps = divmod(ways[last], 10_000)
        if cells + 1 > best[2]:
            best = first, last, cells + 1, jumps
    return best


def voxel_metrics(level):
    """Returns regions, path-length and jumps."""
    air = nx.Graph()
    blocks = Blocks(level)
    for z, y, x in blocks.cells():
        if level[z][y][x] == 0:
            air.add_node((z, y, x))
            for other in ((z + 1, y, x), (z, y + 1, x), (z, y, x + 1)):
                if blocks.inside(*other) and level[other[0]][other[1]][other[2]] == 0:
                    air.add_edge((z, y, x), other)
    _, _, cells, jumps = longest_walk(level)
    return [nx.number_connected_components(air), cells, jumps]
