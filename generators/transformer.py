"""Transformer blocks for tokens that are cells of a level: causal, token by token where needed, or bidirectional.

Plain torch: root-mean-square norms before each part (Zhang 2019), `scaled_dot_product_attention` (Vaswani 2017), and a
squared ReLU between the two matrices of the perceptron (So 2021), which costs a fraction of a GELU on processors.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, scaled_dot_product_attention

from envs import UserError


def check_width(width: int, heads: int) -> None:
    """Raises UserError where a width cannot be shared out to heads."""
    if width < 1 or heads < 1 or width % heads:
        raise UserError(f"The width of a transformer must be a multiple of its heads; got {width} and {heads}.")


class Block(nn.Module):
    """Attention and a perceptron, each with a norm before it and a sum after it.

    Args:
        width: of a token.
        heads: of the attention; they share the width evenly.
        hidden: of the perceptron.
        depth: how many blocks the network has; what each adds at first is the less, the more there are.
        causal: whether a token sees only itself and those before it.
        dropout: the share of what each part adds that is left out in training (Srivastava 2014).
    """

    def __init__(
        self, width: int, heads: int, hidden: int, depth: int, causal: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        check_width(width, heads)
        self.heads, self.causal = heads, causal
        self.attention_norm = nn.RMSNorm(width)
        # One matrix each, so that an optimiser that works on whole matrices sees them apart.
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.attended = nn.Linear(width, width, bias=False)
        self.perceptron_norm = nn.RMSNorm(width)
        self.rise = nn.Linear(width, hidden)
        self.fall = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)
        for layer in (self.attended, self.fall):
            nn.init.normal_(layer.weight, std=0.04 / math.sqrt(2 * depth))
        nn.init.zeros_(self.fall.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Returns tokens, float32 (b, t, width), of the same shape."""
        return self.read(tokens)[0]

    def read(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns tokens, as `forward` does, and their keys and values, (b, heads, t, size) each."""
        queries, keys, values = self._heads(tokens)
        attended = scaled_dot_product_attention(queries, keys, values, is_causal=self.causal)
        return self._thought(tokens, attended), keys, values

    def step(self, token: Tensor, before: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the next token, and its keys and values, (b, heads, 1, size) each.

        Args:
            token: float32 (b, 1, width).
            before: bool (room,), which places of the keys and values hold tokens.
            keys: float32 (b, heads, room, size), of the tokens before it.
            values: likewise.
        """
        query, key, value = self._heads(token)
        # torch's fused attention is made for many queries; for one, plain products are a third faster.
        old = (query @ keys.transpose(2, 3)).masked_fill(~before, float("-inf"))
        new = (query * key).sum(dim=3, keepdim=True)
        shares = (torch.cat([new, old], dim=3) * query.shape[3] ** -0.5).softmax(dim=3)
        attended = shares[..., 1:] @ values + shares[..., :1] * value
        return self._thought(token, attended), key, value

    def _heads(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the queries, keys and values of tokens, (b, heads, t, size) each."""
        normal = self.attention_norm(tokens)
        queries, keys, values = (
            layer(normal).unflatten(2, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        return queries, keys, values

    def _thought(self, tokens: Tensor, attended: Tensor) -> Tensor:
        """Returns tokens with what they attended to, (b, heads, t, size), and what the perceptron makes of it."""
        tokens = tokens + self.dropout(self.attended(attended.transpose(1, 2).flatten(2)))
        hidden = relu(self.rise(self.perceptron_norm(tokens)))
        return tokens + self.dropout(self.fall(hidden * hidden))


class Transformer(nn.Module):
    """A row of blocks and a last norm.

    Args:
        width, heads, hidden, depth, causal, dropout: see `Block`.
    """

    def __init__(
        self, width: int, heads: int, hidden: int, depth: int, causal: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if depth < 1:
            raise UserError(f"A transformer needs at least 1 block; got {depth}.")
        self.width, self.heads = width, heads
        self.blocks = nn.ModuleList(Block(width, heads, hidden, depth, causal, dropout) for _ in range(depth))
        self.norm = nn.RMSNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Returns tokens, float32 (b, t, width), of the same shape."""
        for block in self.blocks:
            tokens = block(tokens)
        normal: Tensor = self.norm(tokens)
        return normal

    # Token by token, with the keys and values of what was seen (`generators.memory.Memory`).

    def read(self, tokens: Tensor) -> tuple[Tensor, ...]:
        """Returns tokens, as `forward` does, and the keys and values of each block by turns."""
        memory: list[Tensor] = []
        for block in self.blocks:
            tokens, *seen = block.read(tokens)  # type: ignore[operator]
            memory += seen
        return self.norm(tokens), *memory

    def step(self, token: Tensor, seen: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        """Returns the next token, float32 (b, 1, width), and its keys and values of each block by turns.

        Args:
            token: float32 (b, 1, width).
            seen: how many tokens the memory holds.
            memory: the keys and values of each block by turns, float32 (b, heads, room, size).
        """
        before = torch.arange(memory[0].shape[2], device=token.device) < seen
        new: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            token, *found = block.step(token, before, memory[2 * i], memory[2 * i + 1])  # type: ignore[operator]
            new += found
        return self.norm(token), *new


class Positions(nn.Module):
    """Learned positions of cells: one vector a row and one a column, summed.

    Args:
        shape: the (height, width) of a level.
        width: of a token.
    """

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.rows = nn.Embedding(shape[0], width)
        self.columns = nn.Embedding(shape[1], width)
        for table in (self.rows, self.columns):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, cells: Tensor) -> Tensor:
        """Returns the vectors of cells, whole numbers (...) in reading order, float32 (..., width)."""
        columns = self.columns.num_embeddings
        return self.rows(cells // columns) + self.columns(cells % columns)
