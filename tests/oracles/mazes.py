"""Twins of what mazes and dungeons measure, by networkx and the definitions."""

from __future__ import annotations

import networkx

from oracles.grid import graph, regions

EMPTY, SOLID, PLAYER, DOOR = range(4)


def places(level, tile):
    return [(y, x) for y, row in enumerate(level) for x, other in enumerate(row) if other == tile]


def steps(level, passable, start, goals):
    """The steps from a cell to the nearest of some others over passable cells; None where there is no way."""
    one_graph = graph(level, passable)
    if start not in one_graph:
        return None
    distances = networkx.single_source_shortest_path_length(one_graph, start)
    return min((distances[goal] for goal in goals if goal in distances), default=None)


def maze_metrics(level):
    """Players, doors, regions and the path of a maze (Earle 2024)."""
    players, doors = places(level, PLAYER), places(level, DOOR)
    areas = regions(level, {EMPTY, PLAYER, DOOR})
    path = 0
    if len(players) == len(doors) == areas == 1:
        path = steps(level, {EMPTY, PLAYER, DOOR}, players[0], doors)
    return [len(players), len(doors), areas, path]


def dungeon_metrics(level):
    """The eight metrics of a dungeon; tiles as in `Game`."""
    players, keys, doors, treasures = (places(level, tile) for tile in (2, 3, 4, 8))
    enemies = [place for kind in (5, 6, 7) for place in places(level, kind)]
    floor = {0, 2, 5, 6, 7, 8}
    areas = regions(level, floor | {3})
    nearest = path = 0
    if len(players) == 1 and areas == 1:
        if enemies:
            found = steps(level, floor, players[0], enemies)
            nearest = len(level) * len(level[0]) if found is None else found
        if len(keys) == len(doors) == 1:
            first = steps(level, floor | {3}, players[0], keys)
            second = steps(level, floor | {3, 4}, keys[0], doors)
            path = 0 if first is None or second is None else first + second
    return [len(players), len(keys), len(doors), len(enemies), areas, nearest, path, len(treasures)]
