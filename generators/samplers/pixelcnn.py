"""Levels written row by row, tile by tile, by a PixelCNN."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from generators.sampler import Sampler
from generators.sampling import Request
from generators.writing import Decoding, Writer


class PixelCnnSampler(Sampler):
    """Computes each row of the vertical stack and each cell of the horizontal one once.

    Fixed tiles are written when their turn comes. Graphs: `begin`, from what is asked to what the layers are told and
    the rows and cells that they have seen; `row`, from the number of a row, the tiles above it, int64 (n, width), what
    the layers are told and the rows seen, to what the horizontal stack is told and the rows seen then; `cell`, from a
    row, a column, the tile to the left, int64 (n,), what the horizontal stack is told of the row and the cells seen, to
    the scores of the cell's tiles, (n, tiles), and the cells seen then.
    """

    name = "pixelcnn"
    Sampling = Decoding

    def draw(self, request: Request, sampling: Decoding) -> NDArray[np.uint8]:
        """Draws levels; see `Sampler.draw`."""
        writer = Writer(self.spec, request, sampling)
        (height, width), n = self.spec.shape, request.n
        outside = len(self.spec.tiles)
        told, rows, cells = self.networks("begin", self.dense(request))
        # A frame around the level, above it and to its left.
        tiles = np.full((n, height + 1, width + 1), outside, np.int64)
        for y in range(height):
            said, rows = self.networks("row", np.int64(y), tiles[:, y, 1:], told, rows)
            for x in range(width):
                scores, cells = self.networks("cell", np.int64(y), np.int64(x), tiles[:, y + 1, x], said, cells)
                tiles[:, y + 1, x + 1] = writer.write(y * width + x, scores)
        return writer.levels.reshape(n, height, width)


SAMPLER = PixelCnnSampler
