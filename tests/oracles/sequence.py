"""Twin of the kernels that write levels decision by decision: the whole list of decisions is worked out at once."""

from __future__ import annotations


def visits(shape, order):
    """The places of a level of two or three axes in the order in which they are visited."""
    depth, height, width = (1, *shape)[-3:]
    places = []
    for z in range(depth):
        if order == "row":
            places += [(z, y, x) for y in range(height) for x in range(width)]
        else:
            for x in range(width):
                upwards = [(z, y, x) for y in reversed(range(height))]
                places += upwards[::-1] if order == "snake" and x % 2 else upwards
    return [place[-len(shape) :] for place in places]


class Writing:
    """One level being written.

    Args:
        tiles: the start level, a dictionary from places to tiles, with the places of the level's own shape alone.
        frozen: the places that no decision changes.
        constant: a dictionary from places to the tiles that are never decided.
        shape: the shape that the order is of; the level may be smaller.
        order: row, column or snake.
        paths: each tile's list of symbols.
    """

    def __init__(self, tiles, frozen, constant, shape, order, paths):
        self.tiles, self.frozen, self.paths = dict(tiles), set(frozen), [list(path) for path in paths]
        for place, tile in constant.items():
            if place in self.tiles and place not in self.frozen:
                self.tiles[place] = tile
        self.order = [place for place in visits(shape, order) if place in self.tiles and place not in constant]
        #: What has been decided of each place, pass by pass.
        self.decided = {place: [] for place in self.order}
        self.shown = {
            place: self.paths[tile][-1]
            for place, tile in self.tiles.items()
            if place in self.frozen or place in constant
        }
        self.passes = max(map(len, paths))
        self.queue = list(self.order)
        self.turn = 0
        self.skip()

    @property
    def place(self):
        """Where the next decision is, None after the last one."""
        return self.queue[0] if self.queue else None

    def skip(self):
        """Begins the passes that are next while there is nothing in the one before."""
        while not self.queue and self.turn + 1 < self.passes:
            self.turn += 1
            self.queue = [place for place in self.order if self.goes_on(place)]

    def goes_on(self, place):
        done = self.decided[place]
        return len(done) == self.turn and any(
            path[: len(done)] == done and len(path) > len(done) for path in self.paths
        )

    def stage(self):
        """0 in the first pass, 1 + the symbol decided before in others."""
        return 1 + self.decided[self.place][-1] if self.turn else 0

    def allowed(self):
        done = self.decided[self.place]
        if self.place in self.frozen:
            return {self.paths[self.tiles[self.place]][self.turn]}
        return {path[self.turn] for path in self.paths if path[: self.turn] == done and len(path) > self.turn}

    def decide(self, symbol, may_change):
        """Takes an action; returns how many tiles changed."""
        place, options = self.place, self.allowed()
        if symbol not in options:
            symbol = min(options)
        self.decided[place].append(symbol)
        changed = 0
        if place not in self.frozen:
            self.shown[place] = symbol
            ending = [tile for tile, path in enumerate(self.paths) if path == self.decided[place]]
            if ending and self.tiles[place] != ending[0] and may_change:
                self.tiles[place] = ending[0]
                changed = 1
        self.queue.pop(0)
        self.skip()
        return changed
