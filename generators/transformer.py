"""Transformer blocks for tokens that are cells of a level: causal with a cache of keys and values, or bidirectional.

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


class KeyValues:
    """The keys and values that one block's attention has seen, for decoding token by token.

    Room for them is made piece by piece: attention over a small part of much room is slow, as its rows lie far apart.

    Args:
        batch: how many sequences.
        heads: of the attention.
        size: of a head.
        device: where they are kept.
    """

    #: How many tokens room is made for at a time.
    piece = 16

    def __init__(self, batch: int, heads: int, size: int, device: torch.device | str = "cpu") -> None:
        self.keys = torch.empty(batch, heads, 0, size, device=device)
        self.values = torch.empty(batch, heads, 0, size, device=device)
        #: How many tokens have been seen.
        self.seen = 0

    def add(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Takes in those of the next tokens, float32 (batch, heads, new, size); returns all that have been seen."""
        last = self.seen + keys.shape[2]
        if last > self.keys.shape[2]:
            self.keys, self.values = self._wider(self.keys, last), self._wider(self.values, last)
        self.keys[:, :, self.seen : last] = keys
        self.values[:, :, self.seen : last] = values
        self.seen = last
        return self.keys[:, :, :last], self.values[:, :, :last]

    def _wider(self, rows: Tensor, last: int) -> Tensor:
        batch, heads, _, size = rows.shape
        room = rows.new_empty(batch, heads, -(-last // self.piece) * self.piece, size)
        room[:, :, : self.seen] = rows[:, :, : self.seen]
        return room

    def choose(self, sequences: Tensor) -> None:
        """Goes on with some of the sequences, int64 (any number,): each may be taken several times or not at all."""
        self.keys, self.values = self.keys[sequences], self.values[sequences]


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

    def forward(self, tokens: Tensor, past: KeyValues | None = None) -> Tensor:
        """Returns tokens, float32 (b, t, width), of the same shape.

        Args:
            tokens: float32 (b, t, width). With a past and more than one token there must be no tokens in it yet.
            past: what causal attention has seen so far; the tokens are added to it.
        """
        batch, length, width = tokens.shape
        normal = self.attention_norm(tokens)
        queries, keys, values = (
            layer(normal).view(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        if past is not None:
            keys, values = past.add(keys, values)
        if length == 1:
            # torch's fused attention is made for many queries; for one, plain products are a third faster.
            attended = (queries @ keys.transpose(2, 3) * queries.shape[3] ** -0.5).softmax(dim=3) @ values
        else:
            attended = scaled_dot_product_attention(queries, keys, values, is_causal=self.causal)
        tokens = tokens + self.dropout(self.attended(attended.transpose(1, 2).reshape(batch, length, width)))
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

    def forward(self, tokens: Tensor, past: list[KeyValues] | None = None) -> Tensor:
        """Returns tokens, float32 (b, t, width), of the same shape; see `Block.forward`."""
        for number, block in enumerate(self.blocks):
            tokens = block(tokens, None if past is None else past[number])
        normal: Tensor = self.norm(tokens)
        return normal

    def past(self, batch: int) -> list[KeyValues]:
        """Returns an empty past for each block, for so many sequences."""
        device = self.norm.weight.device
        size = self.width // self.heads
        return [KeyValues(batch, self.heads, size, device) for _ in self.blocks]


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
