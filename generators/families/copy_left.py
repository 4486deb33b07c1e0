"""Each tile is its left neighbour's: hard to beat where levels are made of long rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.counting import CountingGenerator, check_counts, nats_per_tile
from generators.generator import Scores
from generators.sampling import Request
from generators.spec import Condition


class CopyLeft(CountingGenerator):
    """Every tile is copied from the cell to its left; the first column is drawn from the training levels' frequencies.

    Levels are scored by how often the training levels' tiles equal their left neighbours'. What does not equal it has
    the frequency of the tile among those that do not, and the first column its own frequencies, by row; all with
    every case counted once more than it was seen.
    """

    name, title, paper = "copy_left", "The left neighbour's tile", "the definition"

    def count(self, levels: NDArray[np.uint8], held_out: NDArray[np.uint8], seed: int) -> None:
        """Counts copies; see `CountingGenerator.count`."""
        tiles = len(self.spec.tiles)
        left, right = levels[..., :-1], levels[..., 1:]
        changed = left != right
        self._learned = {
            "first": np.stack([(levels[..., 0] == tile).sum(axis=0).ravel() for tile in range(tiles)], axis=1),
            "copies": np.array([(~changed).sum(), changed.sum()], np.int64),
            "others": np.bincount(right[changed], minlength=tiles).astype(np.int64),
        }

    def draw(self, request: Request, sampling: Any) -> NDArray[np.uint8]:
        """Draws the first column and copies it to the right, fixed tiles too; see `Generator.draw`."""
        n, shape, first = request.n, self.spec.shape, self.learned("first")
        uniforms = request.draws().uniforms(len(first), 1)
        # Not smoothed: what was never seen in the first column is not drawn.
        sums = np.cumsum(first, axis=1) / first.sum(axis=1, keepdims=True)
        column = (uniforms >= sums).sum(axis=2).reshape(n, *shape[:-1])
        levels = np.repeat(column[..., None], shape[-1], axis=-1).astype(np.int16)
        if request.fixed is not None:
            for x in range(shape[-1]):
                before = levels[..., x - 1] if x else levels[..., 0]
                levels[..., x] = np.where(request.fixed[..., x] >= 0, request.fixed[..., x], before)
        return levels.astype(np.uint8)

    def score(self, levels: NDArray[np.uint8], condition: Condition | None = None) -> Scores:
        """Scores levels by how likely copies are; see `Generator.score`."""
        batch = self.check_levels(levels)
        self.spec.values(condition, len(batch))
        seen, copies, changes = self.learned("first"), self.learned("copies"), self.learned("others") + 1
        shares = (seen + 1) / (seen + 1).sum(axis=1, keepdims=True)
        copied = (copies[0] + 1) / (copies.sum() + 2)
        others = changes / changes.sum()
        left, right = batch[..., :-1], batch[..., 1:]
        changed = (1 - copied) * others[right] / (1 - others[left])
        first = batch[..., 0].reshape(len(batch), -1)
        probabilities = np.concatenate(
            [
                shares[np.arange(len(shares)), first],
                np.where(left == right, copied, changed).reshape(len(batch), -1),
            ],
            axis=1,
        )
        predicted = np.concatenate([np.zeros_like(batch[..., :1]), left], axis=-1)
        predicted[..., 0] = seen.argmax(axis=1).reshape(self.spec.shape[:-1])
        return Scores(nats_per_tile(probabilities), predicted, note="each tile given its left neighbour's")

    def restore(self, arrays: Mapping[str, NDArray]) -> None:
        """Takes over counts; see `Generator.restore`."""
        tiles = len(self.spec.tiles)
        rows = self.spec.cells // self.spec.shape[-1]
        shapes = {"first": (rows, tiles), "copies": (2,), "others": (tiles,)}
        self._learned = {name: check_counts(arrays[name], shape) for name, shape in shapes.items()}


FAMILY = CopyLeft
