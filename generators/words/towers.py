"""Two towers: one makes a vector of a text, the other of a level, near each other where the text is true of the level.

The form is CLIP's (Radford 2021), with networks made for short texts and small levels, trained from nothing. Each tower
says besides what it took in: the text tower which bands of each feature a text leaves open, and the level tower which
band each feature of a level lies in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from envs import UserError

#: The factor of similarities at the start, and at most (Radford 2021).
_FIRST_SCALE, _MOST_SCALE = 1 / 0.07, 100.0


@dataclass(frozen=True)
class Config:
    """The towers' architecture.

    Attributes:
        width: of the text tower.
        depth: its layers.
        level_width: of the level tower.
        level_depth: its layers.
        size: of the vectors that both towers make.
    """

    width: int = 64
    depth: int = 2
    level_width: int = 32
    level_depth: int = 4
    size: int = 64

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        most = {"width": 1024, "depth": 32, "level_width": 1024, "level_depth": 32, "size": 1024}
        for name, limit in most.items():
            if not 1 <= getattr(self, name) <= limit:
                raise UserError(f"{name} must be from 1 to {limit}; got {getattr(self, name)}.")


class _Layer(nn.Module):
    """A convolution over words, or over cells, added to what goes in.

    What goes into the convolution has a root mean square of 1 in each place by itself (Zhang 2019), so that a place
    does not depend on how many others there are.
    """

    def __init__(self, width: int, kernel: int, axes: int) -> None:
        super().__init__()
        convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
        self.first = convolution(width, width, kernel, padding=kernel // 2)
        self.second = convolution(width, width, 1)
        nn.init.normal_(self.second.weight, std=0.2 / math.sqrt(width))

    def forward(self, inner: Tensor) -> Tensor:
        normal = inner * torch.rsqrt(inner.square().mean(dim=1, keepdim=True) + 1e-6)
        return inner + self.second(relu(self.first(normal)))


class PieceTower(nn.Module):
    """Convolutions over words and the greatest of each number over the text (Kim 2014).

    Args:
        pieces: how many pieces of words there are.
        width: of the layers.
        depth: how many layers.
    """

    def __init__(self, pieces: int, width: int, depth: int) -> None:
        super().__init__()
        self.pieces = nn.Embedding(pieces, width, padding_idx=0)
        self.layers = nn.ModuleList(_Layer(width, 5, 1) for _ in range(depth))

    def forward(self, pieces: Tensor) -> Tensor:
        """Returns float32 (n, width) of int64 (n, words, pieces)."""
        there = (pieces > 0).sum(dim=2, keepdim=True)
        words = self.pieces(pieces).sum(dim=2) / there.clamp(min=1)
        kept = (there > 0).transpose(1, 2).to(words.dtype)
        inner = words.transpose(1, 2)
        for layer in self.layers:
            # Behind the text there is nothing, in all layers.
            inner = layer(inner) * kept
        return (inner - 1e4 * (1 - kept)).amax(dim=2) * kept.amax(dim=2)


class LevelTower(nn.Module):
    """Convolutions over cells, and the mean and the greatest of each number over the level.

    Args:
        axes: of a level, two or three.
        tiles: how many kinds there are.
        width: of the layers.
        depth: how many layers.
    """

    def __init__(self, axes: int, tiles: int, width: int, depth: int) -> None:
        super().__init__()
        self.tiles = nn.Embedding(tiles, width)
        self.layers = nn.ModuleList(_Layer(width, 3, axes) for _ in range(depth))
        self.size = 3 * width

    def forward(self, levels: Tensor) -> Tensor:
        """Returns float32 (n, 3 * width) of int64 (n, *shape)."""
        cells = self.tiles(levels)
        inner = cells.movedim(-1, 1)
        shares = inner.flatten(2).mean(dim=2)
        for layer in self.layers:
            inner = layer(inner)
        flat = inner.flatten(2)
        # How many tiles of each kind there are goes in as it is: convolutions would have to carry it through.
        return torch.cat([flat.mean(dim=2), flat.amax(dim=2), shares], dim=1)


class TextHead(nn.Module):
    """A text tower with what is made of it: a vector, and which bands of each feature the text leaves open.

    Args:
        tower: makes float32 (n, width) of texts.
        width: of that.
        size: of the vector.
        bands: how many bands all features have together.
    """

    def __init__(self, tower: PieceTower, width: int, size: int, bands: int) -> None:
        super().__init__()
        self.tower = tower
        self.vector = nn.Linear(width, size)
        self.open = nn.Linear(width, bands)

    def forward(self, texts: Tensor) -> tuple[Tensor, Tensor]:
        """Returns vectors of length 1, float32 (n, size), and logits of bands being open, float32 (n, bands).

        Args:
            texts: int64 (n, words, pieces).
        """
        inner = self.tower(texts)
        return normalize(self.vector(inner), dim=1), self.open(inner)


class LevelHead(nn.Module):
    """A level tower with what is made of it: a vector, and the band of each feature.

    Args:
        tower: the tower.
        size: of the vector.
        bands: how many bands all features have together.
    """

    def __init__(self, tower: LevelTower, size: int, bands: int) -> None:
        super().__init__()
        self.tower = tower
        self.vector = nn.Linear(tower.size, size)
        self.band = nn.Linear(tower.size, bands)

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Returns vectors of length 1, float32 (n, size), and logits of bands, float32 (n, bands).

        Args:
            levels: int64 (n, *shape).
        """
        inner = self.tower(levels)
        return normalize(self.vector(inner), dim=1), self.band(inner)


class Towers(nn.Module):
    """Both towers, and the factor of their similarities.

    Args:
        config: the architecture.
        axes: of a level, two or three.
        tiles: how many kinds there are.
        pieces: how many pieces of words there are.
        bands: how many bands all features have together.
    """

    def __init__(self, config: Config, axes: int, tiles: int, pieces: int, bands: int) -> None:
        super().__init__()
        text = PieceTower(pieces, config.width, config.depth)
        self.text = TextHead(text, config.width, config.size, bands)
        level = LevelTower(axes, tiles, config.level_width, config.level_depth)
        self.level = LevelHead(level, config.size, bands)
        self.log_scale = nn.Parameter(torch.tensor(math.log(_FIRST_SCALE)))

    @property
    def scale(self) -> Tensor:
        """What similarities are multiplied by."""
        return self.log_scale.exp().clamp(max=_MOST_SCALE)
