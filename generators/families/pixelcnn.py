"""PixelCNN: a convolutional network that sees only the tiles above and to the left, and tells the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from envs import UserError
from generators.generator import Request, Scores
from generators.neural import NeuralGenerator, Predictions
from generators.searchable import Real, Whole
from generators.spec import Condition
from generators.training import Asked
from generators.writing import Decoding, Writer


@dataclass(frozen=True)
class Config:
    """The network.

    Attributes:
        width: how many channels a layer has.
        layers: how many gated layers there are.
        reach: how far a layer looks: so many rows up, and so many cells to each side. A tile depends on those at most
            layers * reach rows up, and about as many cells aside.
        dropout: the share of a layer's outputs that is left out in training.
    """

    width: Annotated[int, Whole(8, 64, log=True)] = 32
    layers: Annotated[int, Whole(2, 8)] = 5
    reach: Annotated[int, Whole(1, 3)] = 2
    dropout: Annotated[float, Real(0.0, 0.5)] = 0.0

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        for name in ("width", "layers", "reach"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1; got {getattr(self, name)}.")
        if not 0 <= self.dropout < 1:
            raise UserError(f"dropout must be at least 0 and below 1; got {self.dropout}.")


def _gate(hidden: Tensor) -> Tensor:
    """Returns half as many channels: what the other half lets through (van den Oord 2016)."""
    value, gate = hidden.chunk(2, dim=-1)
    return torch.tanh(value) * torch.sigmoid(gate)


class _Layer(nn.Module):
    """A gated layer of two stacks: what lies in the rows above, and what lies to the left with that.

    Convolutions are matrix products over the cells that they look at, channels last: on a processor these are faster,
    and one row or one cell can be computed by itself.
    """

    def __init__(self, width: int, reach: int, asked: int, dropout: float) -> None:
        super().__init__()
        self.reach = reach
        self.above = nn.Linear((reach + 1) * (2 * reach + 1) * width, 2 * width)
        self.left = nn.Linear((reach + 1) * width, 2 * width)
        self.across = nn.Linear(2 * width, 2 * width, bias=False)
        self.told = nn.Linear(asked, 4 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def rows(self, above: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the vertical stack.

        Args:
            above: (b, reach + h, w, width), with the `reach` rows before those that are computed.
            told: (b, 2 * width), what is asked.

        Returns:
            What the stack says before its gate, (b, h, w, 2 * width), and after, (b, h, w, width).
        """
        reach, height, width = self.reach, above.shape[1] - self.reach, above.shape[2]
        framed = functional.pad(above, (0, 0, reach, reach))
        seen = [
            framed[:, down : down + height, right : right + width]
            for down in range(reach + 1)
            for right in range(2 * reach + 1)
        ]
        hidden = self.above(torch.cat(seen, dim=-1)) + told[:, None, None]
        return hidden, self.dropout(_gate(hidden))

    def cells(self, left: Tensor, hidden: Tensor, told: Tensor) -> Tensor:
        """Computes the horizontal stack.

        Args:
            left: (..., reach + w, width), with the `reach` cells before those that are computed.
            hidden: (..., w, 2 * width), the vertical stack's, before its gate.
            told: (..., 1, 2 * width), what is asked.

        Returns:
            (..., w, width).
        """
        reach, width = self.reach, left.shape[-2] - self.reach
        seen = [left[..., step : step + width, :] for step in range(reach + 1)]
        gated = self.dropout(_gate(self.left(torch.cat(seen, dim=-1)) + self.across(hidden) + told))
        return left[..., reach:, :] + self.out(gated)


class _Network(nn.Module):
    """Embeddings of tiles and places, gated layers, and a score for each tile."""

    def __init__(self, config: Config, tiles: int, shape: tuple[int, ...], asked: int) -> None:
        super().__init__()
        self.reach = config.reach
        # One more tile stands for what lies outside.
        self.above = nn.Embedding(tiles + 1, config.width)
        self.left = nn.Embedding(tiles + 1, config.width)
        self.place = nn.Parameter(0.1 * torch.randn(*shape, config.width))
        self.layers = nn.ModuleList(
            [_Layer(config.width, config.reach, asked, config.dropout) for _ in range(config.layers)]
        )
        self.hidden = nn.Linear(config.width, 2 * config.width)
        self.scores = nn.Linear(2 * config.width, tiles)

    def inputs(self, levels: Tensor, tiles: int) -> tuple[Tensor, Tensor]:
        """Returns the tiles above each cell and those to its left, `tiles` outside, for levels (b, h, w)."""
        above = functional.pad(levels[:, :-1], (0, 0, 1, 0), value=tiles)
        return above, functional.pad(levels[:, :, :-1], (1, 0), value=tiles)

    def begin_rows(self, above: Tensor, rows: slice) -> Tensor:
        """Returns what the vertical stack begins with, for the tiles above the cells of some rows."""
        embedded: Tensor = self.above(above) + self.place[rows]
        return embedded

    def finish(self, cells: Tensor) -> Tensor:
        """Returns scores (..., tiles) for the horizontal stack's last (..., width)."""
        scores: Tensor = self.scores(functional.gelu(self.hidden(functional.gelu(cells))))
        return scores

    def told(self, asked: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Returns for each layer what it is told for its two stacks, (b, 2 * width) each."""
        found = []
        for layer in self.layers:
            first, second = layer.told(asked).chunk(2, dim=-1)  # type: ignore[operator]
            found.append((first, second))
        return found

    def forward(self, levels: Tensor, asked: Tensor, tiles: int) -> Tensor:
        """Returns scores of the tiles of every cell, (b, h, w, tiles), each from the cells before it.

        Args:
            levels: int64 (b, h, w).
            asked: float32 (b, asked).
            tiles: how many tiles there are.
        """
        above, left = self.inputs(levels, tiles)
        rows = self.begin_rows(above, slice(None))
        cells = self.left(left) + self.place
        reach = self.reach
        for layer, (first, second) in zip(self.layers, self.told(asked), strict=True):
            assert isinstance(layer, _Layer)
            hidden, said = layer.rows(functional.pad(rows, (0, 0, 0, 0, reach, 0)), first)
            cells = layer.cells(functional.pad(cells, (0, 0, reach, 0)), hidden, second[:, None, None])
            rows = rows + said
        return self.finish(cells)


class PixelCnn(NeuralGenerator):
    """The gated PixelCNN with two stacks, without blind spot (van den Oord 2016, Conditional PixelCNN Decoders).

    A level is written row by row. What is asked is added in every gate. Its likelihoods are exact: those of all levels
    sum to 1. Sampling computes each row of the vertical stack and each cell of the horizontal one once, so that a level
    costs no more than one pass of the network. Fixed tiles are written when their turn comes.
    """

    name, title, paper = "pixelcnn", "The gated PixelCNN", "van den Oord 2016"
    Config = Config
    Sampling = Decoding
    keeps_fixed_tiles = "construction"
    defaults = {"batch": 32, "learning_rate": 2e-3, "ema": 0.99}
    small = {"width": 8, "layers": 2, "reach": 1}

    def build(self) -> nn.Module:
        """Returns the network; see `NeuralGenerator.build`."""
        return _Network(self.config, len(self.spec.tiles), self.spec.shape, self.spec.condition_size)

    def _scores(self, levels: Tensor, asked: Asked) -> Tensor:
        scores: Tensor = self.network(levels, asked.dense, len(self.spec.tiles))
        return scores

    def loss(self, levels: Tensor, asked: Asked, random: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the mean negative log-likelihood of a tile; see `NeuralGenerator.loss`."""
        return functional.cross_entropy(self._scores(levels, asked).flatten(0, 2), levels.flatten()), {}

    def predict(self, levels: Tensor, asked: Asked) -> Predictions:
        """Returns the scores of all tiles; see `NeuralGenerator.predict`."""
        tiles = levels.flatten(1)
        return Predictions(self._scores(levels, asked).flatten(1, 2), tiles, torch.ones_like(tiles, dtype=torch.bool))

    def generate(self, request: Request, asked: Asked, sampling: Any, random: torch.Generator) -> NDArray:
        """Samples tile after tile; see `NeuralGenerator.generate`."""
        network = self.network
        assert isinstance(network, _Network)
        writer = Writer(self.spec, request, sampling)
        height, width = self.spec.shape
        n, reach, channels, tiles = request.n, self.config.reach, self.config.width, len(self.spec.tiles)
        layers = [layer for layer in network.layers if isinstance(layer, _Layer)]
        told = network.told(asked.dense)
        # For each layer the rows that it still looks at: the `reach` above, and the present one.
        kept = [torch.zeros(n, reach, width, channels, device=self.device) for _ in layers]
        above = torch.full((n, width), tiles, device=self.device)
        for y in range(height):
            rows = network.begin_rows(above[:, None], slice(y, y + 1))
            hidden = []
            for i, layer in enumerate(layers):
                seen = torch.cat([kept[i], rows], dim=1)
                before, said = layer.rows(seen, told[i][0])
                kept[i] = seen[:, 1:]
                hidden.append(before[:, 0])
                rows = rows + said
            lefts = [torch.zeros(n, reach, channels, device=self.device) for _ in layers]
            last = torch.full((n,), tiles, device=self.device)
            row = []
            for x in range(width):
                cells = (network.left(last) + network.place[y, x])[:, None]
                for i, layer in enumerate(layers):
                    seen = torch.cat([lefts[i], cells], dim=1)
                    lefts[i] = seen[:, 1:]
                    cells = layer.cells(seen, hidden[i][:, x : x + 1], told[i][1][:, None])
                drawn = writer.write(y * width + x, network.finish(cells[:, 0]).cpu().numpy())
                last = torch.from_numpy(drawn.astype(np.int64)).to(self.device)
                row.append(last)
            above = torch.stack(row, dim=1)
        return writer.levels.reshape(n, height, width)

    def score(self, levels: NDArray[np.uint8], condition: Condition | None = None) -> Scores:
        """Scores levels exactly; see `Generator.score`."""
        batch = self.check_levels(levels)
        values, labels = self.spec.values(condition, len(batch))
        asked = Asked.of(self.spec, values, labels, self.device)
        nats, predicted = np.empty(len(batch)), np.empty(batch.shape, np.uint8)
        self.network.eval()
        with torch.no_grad():
            for first in range(0, len(batch), self.chunk):
                part = slice(first, first + self.chunk)
                told = Asked(asked.dense[part], asked.buckets[part])
                given = torch.from_numpy(batch[part].astype(np.int64)).to(self.device)
                logs = self._scores(given, told).double().log_softmax(dim=-1).cpu()
                nats[part] = -logs.gather(3, given.cpu()[..., None]).flatten(1).mean(dim=1).numpy()
                predicted[part] = logs.argmax(dim=3).numpy()
        return Scores(nats, predicted)


FAMILY = PixelCnn
