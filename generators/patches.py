"""A network that reads a level in the making by patches, and says what each cell may hold.

A token is a square patch of tiles, read together with the tiles around it, so that few tokens do for a level and
neighbourhoods need no layers to be seen. What tokens hear of each other comes by attention, which knows relative places
by a learned bias (Raffel 2020), or by convolutions over the grid of patches. ReLU stands where others have GELU: on a
CPU, torch's GELU costs as much as the matrix products around it.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from generators.spec import LevelSpec


class Block(nn.Module):
    """Attention among all tokens, then each by itself; normalised before each (Xiong 2020)."""

    def __init__(self, width: int, heads: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = nn.Dropout(dropout)
        self.before = nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.mixed = nn.Linear(width, width)
        self.between = nn.LayerNorm(width)
        self.inner = nn.Linear(width, expansion * width)
        self.outer = nn.Linear(expansion * width, width)
        # Blocks begin as the identity, which lets small networks learn at high rates.
        for layer in (self.mixed, self.outer):
            nn.init.zeros_(layer.weight)

    def forward(self, tokens: Tensor, bias: Tensor) -> Tensor:
        """Float (n, tokens, width) to the same; `bias` (heads, tokens, tokens) is added to what attention weighs."""
        n, length, width = tokens.shape
        parts = self.queries_keys_values(self.before(tokens)).view(n, length, 3, self.heads, width // self.heads)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4).unbind(0)
        heard = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=bias[None])
        tokens = tokens + self.dropout(self.mixed(heard.transpose(1, 2).reshape(n, length, width)))
        return tokens + self.dropout(self.outer(functional.relu(self.inner(self.between(tokens)))))


class ConvolutionBlock(nn.Module):
    """A convolution of each channel over the grid of tokens, then each token by itself (Liu 2022)."""

    def __init__(self, width: int, kernel: int, expansion: int, grid: tuple[int, int], dropout: float) -> None:
        super().__init__()
        self.grid = grid
        self.before = nn.LayerNorm(width)
        self.around = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width)
        self.inner = nn.Linear(width, expansion * width)
        self.outer = nn.Linear(expansion * width, width)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.outer.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """Float (n, tokens, width) to the same."""
        grid = self.before(tokens).transpose(1, 2).unflatten(2, self.grid)
        heard = self.around(grid).flatten(2).transpose(1, 2)
        return tokens + self.dropout(self.outer(functional.relu(self.inner(heard))))


class PatchNetwork(nn.Module):
    """From levels in the making to a distribution over tiles in every cell.

    Args:
        spec: what the levels are. A cell holds a tile, or open (as many as there are tiles), or mask (one more).
        width: numbers to a token; a multiple of heads where there is attention.
        layers: blocks, one after another.
        heads: of the attention.
        expansion: how many times wider the inner layer of a block is.
        patch: a token is a square of so many tiles a side.
        reach: how many tiles around its patch a token reads.
        embedding: numbers to a tile that is read.
        blocks: attention, convolution, or cellular, which is one convolutional block that is applied `layers` times.
        kernel: the side of convolutions, in patches; an odd number.
        dropout: the share of what a block adds that is left out in training.
    """

    scales: Tensor
    places: Tensor

    def __init__(
        self,
        spec: LevelSpec,
        *,
        width: int,
        layers: int,
        heads: int,
        expansion: int,
        patch: int,
        reach: int,
        embedding: int,
        blocks: Literal["attention", "convolution", "cellular"],
        kernel: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.shape = spec.shape
        self.states = len(spec.tiles) + 2
        self.patch, self.reach = patch, reach
        self.grid = -(-self.shape[0] // patch), -(-self.shape[1] // patch)
        tokens = self.grid[0] * self.grid[1]
        window = patch + 2 * reach
        self.embedding = nn.Embedding(self.states + 1, embedding)
        self.reading = nn.Linear(window * window * embedding, width)
        self.counts = nn.Linear(self.states, width, bias=False)
        self.asked = nn.Linear(spec.condition_size, width, bias=False) if spec.condition_size else None
        self.position = nn.Parameter(torch.randn(tokens, width) * 0.02)
        self.layers, self.attends = layers, blocks == "attention"
        if self.attends:
            self.bias = nn.Parameter(torch.zeros(layers, heads, (2 * self.grid[0] - 1) * (2 * self.grid[1] - 1)))
            self.blocks = nn.ModuleList(Block(width, heads, expansion, dropout) for _ in range(layers))
        else:
            different = 1 if blocks == "cellular" else layers
            self.blocks = nn.ModuleList(
                ConvolutionBlock(width, kernel, expansion, self.grid, dropout) for _ in range(different)
            )
        self.last = nn.LayerNorm(width)
        self.writing = nn.Linear(width, patch**2 * len(spec.tiles))
        nn.init.zeros_(self.writing.weight)
        usual = [1 + share * spec.cells for share in spec.frequencies]
        self.register_buffer("scales", torch.tensor([*usual, spec.cells, spec.cells]).float(), persistent=False)
        rows, columns = np.divmod(np.arange(tokens), self.grid[1])
        places = (rows[:, None] - rows + self.grid[0] - 1) * (2 * self.grid[1] - 1)
        places += columns[:, None] - columns + self.grid[1] - 1
        self.register_buffer("places", torch.from_numpy(places), persistent=False)

    def forward(self, cells: Tensor, asked: Tensor) -> Tensor:
        """Returns logits.

        Args:
            cells: int64 (n, height, width).
            asked: float32 (n, spec.condition_size).

        Returns:
            float32 (n, height, width, tiles).
        """
        (height, width), (rows, columns) = self.shape, self.grid
        n, patch, reach = cells.shape[0], self.patch, self.reach
        margins = (reach, reach + columns * patch - width, reach, reach + rows * patch - height)
        around = functional.pad(cells, margins, value=self.states)
        window = patch + 2 * reach
        read = self.embedding(around).unfold(1, window, patch).unfold(2, window, patch)
        tokens = self.reading(read.reshape(n, rows * columns, -1)) + self.position
        counts = torch.stack([(cells == state).flatten(1).sum(1) for state in range(self.states)], dim=1)
        told = self.counts(counts / self.scales)
        if self.asked is not None:
            told = told + self.asked(asked)
        tokens = tokens + told[:, None]
        for i in range(self.layers):
            block = self.blocks[i % len(self.blocks)]
            tokens = block(tokens, self.bias[i][:, self.places]) if self.attends else block(tokens)
        logits = self.writing(self.last(tokens)).view(n, rows, columns, patch, patch, -1)
        return logits.permute(0, 1, 3, 2, 4, 5).reshape(n, rows * patch, columns * patch, -1)[:, :height, :width]
