"""PixelCNN: a convolutional network that sees only the tiles above and to the left, and tells the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from envs import UserError
from generators.generator import Scores
from generators.graphs import Graph
from generators.neural import NeuralGenerator, Predictions
from generators.samplers.pixelcnn import PixelCnnSampler
from generators.searchable import Real, Whole
from generators.spec import Condition
from generators.training import Asked


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

    def cells(self, left: Tensor, said: Tensor) -> Tensor:
        """Computes the horizontal stack.

        Args:
            left: (..., reach + w, width), with the `reach` cells before those that are computed.
            said: (..., w, 2 * width), what it is told by `across` of the vertical stack before its gate, and asked.

        Returns:
            (..., w, width).
        """
        reach, width = self.reach, left.shape[-2] - self.reach
        seen = [left[..., step : step + width, :] for step in range(reach + 1)]
        gated = self.dropout(_gate(self.left(torch.cat(seen, dim=-1)) + said))
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

    def finish(self, cells: Tensor) -> Tensor:
        """Returns scores (..., tiles) for the horizontal stack's last (..., width)."""
        scores: Tensor = self.scores(functional.gelu(self.hidden(functional.gelu(cells))))
        return scores

    def forward(self, levels: Tensor, asked: Tensor, tiles: int) -> Tensor:
        """Returns scores of the tiles of every cell, (b, h, w, tiles), each from the cells before it.

        Args:
            levels: int64 (b, h, w).
            asked: float32 (b, asked).
            tiles: how many tiles there are.
        """
        above, left = self.inputs(levels, tiles)
        rows, cells = self.above(above) + self.place, self.left(left) + self.place
        reach = self.reach
        for layer in self.layers:
            assert isinstance(layer, _Layer)
            first, second = layer.told(asked).chunk(2, dim=-1)
            hidden, said = layer.rows(functional.pad(rows, (0, 0, 0, 0, reach, 0)), first)
            told = layer.across(hidden) + second[:, None, None]
            cells = layer.cells(functional.pad(cells, (0, 0, reach, 0)), told)
            rows = rows + said
        return self.finish(cells)

    # The same row by row and cell by cell. What is known of the layers has them on its second axis.

    def begin(self, asked: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns what the layers are told, (b, layers, 4 * width), and that they have seen no rows and no cells."""
        told = torch.stack([layer.told(asked) for layer in self.layers], dim=1)  # type: ignore[operator]
        width, channels = self.place.shape[1:]
        cells = told.new_zeros(told.shape[0], len(self.layers), self.reach, channels)
        return told, cells[:, :, :, None].expand(-1, -1, -1, width, -1).clone(), cells

    def row(self, y: Tensor, above: Tensor, told: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Computes a row of the vertical stack.

        Args:
            y: the row's number.
            above: int64 (b, w), the tiles above its cells.
            told: as `begin` returns it.
            rows: (b, layers, reach, w, width), the rows that the layers still look at.

        Returns:
            What the horizontal stack is told of its cells, (b, layers, w, 2 * width), and the rows to look at from the
            next one.
        """
        row = (self.above(above) + self.place.index_select(0, y[None]))[:, None]
        hidden, kept = [], []
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, _Layer)
            seen = torch.cat([rows[:, i], row], dim=1)
            first, second = told[:, i].chunk(2, dim=-1)
            before, said = layer.rows(seen, first)
            hidden.append(layer.across(before[:, 0]) + second[:, None])
            kept.append(seen[:, 1:])
            row = row + said
        return torch.stack(hidden, dim=1), torch.stack(kept, dim=1)

    def cell(self, y: Tensor, x: Tensor, left: Tensor, said: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Computes a cell of the horizontal stack.

        Args:
            y: the cell's row.
            x: its column.
            left: int64 (b,), the tile to its left.
            said: what is told of the row's cells, as `row` returns it.
            cells: (b, layers, reach, width), the cells that the layers still look at.

        Returns:
            The scores of its tiles, (b, tiles), and the cells to look at from the next one.
        """
        place = self.place.index_select(0, y[None])[0].index_select(0, x[None])
        cell = (self.left(left) + place)[:, None]
        told = said.index_select(2, x[None])
        # A row begins with nothing to its left.
        cells = cells * (x > 0)
        kept = []
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, _Layer)
            seen = torch.cat([cells[:, i], cell], dim=1)
            kept.append(seen[:, 1:])
            cell = layer.cells(seen, told[:, i])
        return self.finish(cell[:, 0]), torch.stack(kept, dim=1)


class PixelCnn(NeuralGenerator):
    """The gated PixelCNN with two stacks, without blind spot (van den Oord 2016, Conditional PixelCNN Decoders).

    A level is written row by row. What is asked is added in every gate. Its likelihoods are exact: those of all levels
    sum to 1. Sampling computes each row of the vertical stack and each cell of the horizontal one once, so that a level
    costs no more than one pass of the network. Fixed tiles are written when their turn comes.
    """

    name, title, paper = "pixelcnn", "The gated PixelCNN", "van den Oord 2016"
    Config = Config
    Sampler, Sampling = PixelCnnSampler, PixelCnnSampler.Sampling
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

    def graphs(self) -> dict[str, Graph]:
        """Returns the beginning, a row of the vertical stack and a cell of the horizontal; see `PixelCnnSampler`."""
        network = self.network
        assert isinstance(network, _Network)
        return {
            "begin": Graph(network.begin, ("asked",), ("told", "rows", "cells"), kept=("told", "rows", "cells")),
            "row": Graph(network.row, ("y", "above", "told", "rows"), ("said", "rows"), kept=("said", "rows")),
            "cell": Graph(network.cell, ("y", "x", "left", "said", "cells"), ("scores", "cells"), kept=("cells",)),
        }

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
