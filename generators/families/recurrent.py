"""Recurrent networks: a level is a sequence of tiles, and an LSTM or a GRU reads it and tells the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from envs import UserError
from envs.orders import Order, cell_order
from generators.generator import Scores
from generators.graphs import Graph
from generators.neural import NeuralGenerator, Predictions
from generators.samplers.recurrent import RecurrentSampler, RecurrentSettings, seen_cells
from generators.searchable import Choice, Real, Whole
from generators.spec import Condition
from generators.training import Asked


@dataclass(frozen=True)
class Config:
    """The network.

    Attributes:
        cell: the recurrent unit: lstm (Hochreiter 1997) or gru (Cho 2014).
        width: how many units a layer has.
        layers: how many layers there are.
        embedding: how many numbers stand for a tile.
        order: in which order a level is written; "column" goes from left to right and in each column from the bottom
            up, "snake" turns round at the end of each column.
        neighbours: whether the network is also shown the tiles around the next cell that are written already, so that
            it need not remember the whole column or row before.
        dropout: the share of a layer's outputs that is left out in training.
    """

    cell: Annotated[Literal["lstm", "gru"], Choice()] = "lstm"
    width: Annotated[int, Whole(32, 256, log=True)] = 128
    layers: Annotated[int, Whole(1, 3)] = 1
    embedding: Annotated[int, Whole(4, 32, log=True)] = 16
    order: Annotated[Order, Choice()] = "row"
    neighbours: Annotated[bool, Choice()] = True
    dropout: Annotated[float, Real(0.0, 0.5)] = 0.0

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        for name in ("width", "layers", "embedding"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1; got {getattr(self, name)}.")
        if not 0 <= self.dropout < 1:
            raise UserError(f"dropout must be at least 0 and below 1; got {self.dropout}.")


class _Network(nn.Module):
    """Embeddings of what is seen, of the place and of what is asked; recurrent layers; a score for each tile."""

    def __init__(self, config: Config, tiles: int, seen: int, cells: int, asked: int) -> None:
        super().__init__()
        # Each thing seen has an embedding of its own; one more tile stands for what is not there.
        self.tiles = nn.ModuleList([nn.Embedding(tiles + 1, config.embedding) for _ in range(seen)])
        self.place = nn.Embedding(cells, config.embedding)
        kind = nn.LSTM if config.cell == "lstm" else nn.GRU
        self.layers = kind(
            config.embedding * (seen + 1),
            config.width,
            config.layers,
            batch_first=True,
            dropout=config.dropout if config.layers > 1 else 0.0,
        )
        states = 2 if config.cell == "lstm" else 1
        self.start = nn.Linear(asked, config.width * config.layers * states)
        self.told = nn.Linear(asked, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.scores = nn.Linear(config.width, tiles)

    def begin(self, asked: Tensor) -> tuple[Tensor, ...]:
        """Returns the states before the first tile, from what is asked, float32 (b, asked)."""
        parts = torch.tanh(self.start(asked)).unflatten(1, (-1, self.layers.num_layers, self.layers.hidden_size))
        return tuple(part.transpose(0, 1).contiguous() for part in parts.unbind(1))

    def forward(
        self, seen: Tensor, places: Tensor, asked: Tensor, states: Sequence[Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Returns scores of tiles and the states after.

        Args:
            seen: int64 (b, steps, things seen), tiles.
            places: int64 (steps,), the cells that are written next.
            asked: float32 (b, asked).
            states: as `begin` returns them.
        """
        parts = [embedding(seen[:, :, i]) for i, embedding in enumerate(self.tiles)]
        parts.append(self.place(places).expand(seen.shape[0], -1, -1))
        # A GRU has one state, which torch takes and returns by itself.
        given = tuple(states) if len(states) == 2 else states[0]
        hidden, after = self.layers(torch.cat(parts, dim=2), given)
        scores = self.scores(self.dropout(hidden) + self.told(asked)[:, None])
        return scores, after if isinstance(after, tuple) else (after,)


class Recurrent(NeuralGenerator):
    """A recurrent network over the sequence of a level's tiles (Summerville 2016).

    What is asked sets the network's first state and is added to what it says of each tile. Its likelihoods are exact:
    those of all levels sum to 1. Fixed tiles are written when their turn comes.
    """

    name, title, paper = "recurrent", "The recurrent network", "Summerville 2016"
    Config = Config
    Sampler, Sampling = RecurrentSampler, RecurrentSampler.Sampling
    keeps_fixed_tiles = "construction"
    axes: ClassVar[tuple[int, ...]] = (2, 3)
    defaults = {"batch": 64, "learning_rate": 3e-3, "ema": 0.99}
    small = {"width": 16, "embedding": 4}

    def build(self) -> nn.Module:
        """Returns the network; see `NeuralGenerator.build`."""
        self._order = cell_order(self.spec.shape, self.config.order)
        self._sources = seen_cells(self.spec.shape, self._order, self.config.neighbours)
        tiles, cells = len(self.spec.tiles), self.spec.cells
        return _Network(self.config, tiles, self._sources.shape[1], cells, self.spec.condition_size)

    def settings(self) -> RecurrentSettings:
        """Returns what the sampler has to know; see `NeuralGenerator.settings`."""
        return RecurrentSettings(self.config.order, self.config.neighbours)

    def graphs(self) -> dict[str, Graph]:
        """Returns the network's beginning and a step of it; see `RecurrentSampler`."""
        network: Any = self.network
        states = ("hidden", "memory") if self.config.cell == "lstm" else ("hidden",)

        def begin(asked: Tensor) -> tuple[Tensor, ...]:
            # Levels first, as in all that graphs take and return.
            return tuple(state.transpose(0, 1) for state in network.begin(asked))

        def step(seen: Tensor, cell: Tensor, asked: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
            before = [state.transpose(0, 1) for state in given]
            scores, after = network(seen[:, None], cell[None], asked, before)
            return scores[:, 0], *(state.transpose(0, 1) for state in after)

        return {
            "begin": Graph(begin, ("asked",), states, kept=states),
            "step": Graph(step, ("seen", "cell", "asked", *states), ("scores", *states), kept=states),
        }

    def _scores(self, levels: Tensor, asked: Asked) -> Tensor:
        """Returns scores of the tiles at all places of the order, (b, cells, tiles), for levels int64 (b, *shape)."""
        flat = levels.flatten(1)
        outside = torch.full((len(flat), 1), len(self.spec.tiles), dtype=torch.int64, device=flat.device)
        seen = torch.cat([flat, outside], dim=1)[:, torch.from_numpy(self._sources).to(flat.device)]
        places = torch.from_numpy(self._order).to(flat.device)
        network: Any = self.network
        scores: Tensor = network(seen, places, asked.dense, network.begin(asked.dense))[0]
        return scores

    def loss(self, levels: Tensor, asked: Asked, random: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the mean negative log-likelihood of a tile; see `NeuralGenerator.loss`."""
        tiles = levels.flatten(1)[:, torch.from_numpy(self._order).to(levels.device)]
        return functional.cross_entropy(self._scores(levels, asked).flatten(0, 1), tiles.flatten()), {}

    def predict(self, levels: Tensor, asked: Asked) -> Predictions:
        """Returns the scores of all tiles, in the order of writing; see `NeuralGenerator.predict`."""
        tiles = levels.flatten(1)[:, torch.from_numpy(self._order).to(levels.device)]
        return Predictions(self._scores(levels, asked), tiles, torch.ones_like(tiles, dtype=torch.bool))

    def score(self, levels: NDArray[np.uint8], condition: Condition | None = None) -> Scores:
        """Scores levels exactly; see `Generator.score`."""
        batch = self.check_levels(levels)
        values, labels = self.spec.values(condition, len(batch))
        asked = Asked.of(self.spec, values, labels, self.device)
        nats, predicted = np.empty(len(batch)), np.empty((len(batch), self.spec.cells), np.uint8)
        self.network.eval()
        with torch.no_grad():
            for first in range(0, len(batch), self.chunk):
                part = slice(first, first + self.chunk)
                told = Asked(asked.dense[part], asked.buckets[part])
                given = torch.from_numpy(batch[part].astype(np.int64)).to(self.device)
                logs = self._scores(given, told).double().log_softmax(dim=2).cpu().numpy()
                tiles = batch[part].reshape(len(logs), -1)[:, self._order].astype(np.int64)
                nats[part] = -np.take_along_axis(logs, tiles[:, :, None], 2)[:, :, 0].mean(axis=1)
                predicted[part, self._order] = logs.argmax(axis=2)
        return Scores(nats, predicted.reshape(batch.shape))


FAMILY = Recurrent
