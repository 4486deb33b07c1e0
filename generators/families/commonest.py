"""The commonest tile everywhere: what any model must beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from generators.counting import CountingGenerator, check_counts, nats_per_tile
from generators.generator import Scores
from generators.sampling import Request
from generators.spec import Condition


@dataclass(frozen=True)
class Config:
    """What the commonest tile is taken of.

    Attributes:
        of: the whole corpus, or each cell of a level by itself.
    """

    of: Literal["corpus", "cell"] = "corpus"


class Commonest(CountingGenerator):
    """Every level is the same: the commonest tile of the training levels in each cell.

    Levels are scored by how frequent their tiles are, each tile counted once more than it was seen.
    """

    name, title, paper = "commonest", "The commonest tile", "the definition"
    Config = Config

    def count(self, levels: NDArray[np.uint8], held_out: NDArray[np.uint8], seed: int) -> None:
        """Counts tiles; see `CountingGenerator.count`."""
        flat = levels.reshape(len(levels), -1)
        counts = np.stack([(flat == tile).sum(axis=0) for tile in range(len(self.spec.tiles))], axis=1)
        self._learned = {"counts": counts if self.config.of == "cell" else counts.sum(axis=0, keepdims=True)}

    def draw(self, request: Request, sampling: Any) -> NDArray[np.uint8]:
        """Returns the level of commonest tiles n times, around what is fixed; see `Generator.draw`."""
        levels = self._levels(request.n)
        return levels if request.fixed is None else np.where(request.fixed >= 0, request.fixed, levels).astype(np.uint8)

    def _levels(self, n: int) -> NDArray[np.uint8]:
        commonest = self.learned("counts").argmax(axis=1).astype(np.uint8)
        return np.broadcast_to(commonest, (n, self.spec.cells)).reshape(n, *self.spec.shape).copy()

    def score(self, levels: NDArray[np.uint8], condition: Condition | None = None) -> Scores:
        """Scores levels by the tiles' frequencies; see `Generator.score`."""
        batch = self.check_levels(levels)
        self.spec.values(condition, len(batch))
        counts = self.learned("counts") + 1
        shares = counts / counts.sum(axis=1, keepdims=True)
        shares = np.broadcast_to(shares, (self.spec.cells, len(self.spec.tiles)))
        flat = batch.reshape(len(batch), -1)
        nats = nats_per_tile(shares[np.arange(self.spec.cells), flat])
        return Scores(nats, self._levels(len(batch)), note="each tile given no other")

    def restore(self, arrays: Mapping[str, NDArray]) -> None:
        """Takes over counts; see `Generator.restore`."""
        rows = self.spec.cells if self.config.of == "cell" else 1
        self._learned = {"counts": check_counts(arrays["counts"], (rows, len(self.spec.tiles)))}


FAMILY = Commonest
