"""The network of a player: from what it sees on the board to its next action, and what the game is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from envs import UserError
from envs.rules import Rules


@dataclass(frozen=True)
class PlayerConfig:
    """What decides a player network's shape; saved with its weights.

    Attributes:
        view: "centred" sees the board with the player in its middle, so that what is learned in one place holds in all;
            "whole" sees the board as it lies.
        window: how many cells a centred view reaches in each direction, so that the player can play levels of any
            shape; 0 for the whole level, wherever the player is. A whole view has none.
        width: the width of the hidden layers.
        depth: how many hidden layers there are.
    """

    view: Literal["centred", "whole"] = "centred"
    window: int = 5
    width: int = 128
    depth: int = 2

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        if self.view not in ("centred", "whole"):
            raise UserError(f"A player's view is centred or whole; got {self.view!r}.")
        for name, least in (("window", 0), ("width", 2), ("depth", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise UserError(f"A player's network needs {name} of at least {least}; got {value!r}.")


@dataclass(frozen=True)
class PlayerInterface:
    """What goes into and comes out of a player's network.

    Attributes:
        shape: the levels' shape.
        sprites: how many drawings a cell of the board can show.
        heroes: which of them show the player.
        senses: how many numbers come beside the board.
        actions: how many actions there are.
    """

    shape: tuple[int, ...]
    sprites: int
    heroes: tuple[int, ...]
    senses: int
    actions: int

    @classmethod
    def of(cls, rules: Rules, shape: tuple[int, ...]) -> PlayerInterface:
        """Reads the sizes off rules of play, for levels of a shape."""
        heroes = tuple(int(hero) for hero in rules.heroes())
        return cls(tuple(shape), len(rules.sprites), heroes, rules.senses, len(rules.actions))


class PlayerNetwork(nn.Module):
    """A policy and a value over what a player sees: a multi-layer perceptron over the board as one-hot planes."""

    is_hero: Tensor
    one_hot: Tensor

    def __init__(self, interface: PlayerInterface, config: PlayerConfig) -> None:
        super().__init__()
        config.check()
        self.interface = interface
        self.config = config
        self._tables: dict[tuple[int, ...], Tensor] = {}
        shape = interface.shape
        if config.view == "centred":
            view = tuple(2 * config.window + 1 for _ in shape) if config.window else tuple(2 * n - 1 for n in shape)
        else:
            view = shape
        self.view_shape = view
        # One more for what is outside the level.
        things = interface.sprites + 1
        is_hero = torch.zeros(interface.sprites, dtype=torch.uint8)
        is_hero[list(interface.heroes)] = 1
        self.register_buffer("is_hero", is_hero, persistent=False)
        self.register_buffer("one_hot", torch.eye(things), persistent=False)
        width = config.width
        layers: list[nn.Module] = [
            _linear(math.prod(view) * things + interface.senses, width, math.sqrt(2)),
            nn.ReLU(),
        ]
        for _ in range(config.depth - 1):
            layers += [_linear(width, width, math.sqrt(2)), nn.ReLU()]
        self.hidden = nn.Sequential(*layers)
        self.policy = _linear(width, interface.actions, 0.01)
        self.value = _linear(width, 1, 1.0)

    def forward(self, observation: Tensor | Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Returns logits, float32 (n, actions), and values, float32 (n,).

        Args:
            observation: the board, (n, cells) drawings, of levels of the interface's shape; or "board" and "senses".
        """
        if isinstance(observation, Tensor):
            return self.look(observation, None, self.interface.shape)
        return self.look(observation["board"], observation.get("senses"), self.interface.shape)

    def look(self, boards: Tensor, senses: Tensor | None, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Returns logits and values for boards of any shape, where the network has a window."""
        boards = boards.long()
        if self.config.view == "centred":
            # The first cell that shows the player; a player who is hidden by what caught it needs no view any more.
            place = self.is_hero[boards].argmax(dim=1)
            padded = functional.pad(boards, (0, 1), value=self.interface.sprites)
            boards = padded.gather(1, self._table(shape)[place])
        seen = self.one_hot[boards].flatten(1)
        if senses is not None:
            seen = torch.cat([seen, senses.float()], dim=1)
        hidden = self.hidden(seen)
        return self.policy(hidden), self.value(hidden)[:, 0]

    def _table(self, shape: tuple[int, ...]) -> Tensor:
        """Returns which cell of the board stands where in the view from each cell, int64 (cells, cells of the view).

        Cells outside the level are the one after the last.
        """
        if shape not in self._tables:
            cells = math.prod(shape)
            centres = np.stack(np.unravel_index(np.arange(cells), shape), axis=1)
            spans = [np.arange(size) - size // 2 for size in self.view_shape]
            offsets = np.stack([axis.ravel() for axis in np.meshgrid(*spans, indexing="ij")], axis=1)
            places = centres[:, None] + offsets
            inside = np.asarray(((places >= 0) & (places < shape)).all(axis=2))
            flat = np.ravel_multi_index(tuple(np.where(inside[..., None], places, 0).transpose(2, 0, 1)), shape)
            self._tables[shape] = torch.as_tensor(np.where(inside, flat, cells), device=self.is_hero.device)
        return self._tables[shape]

    def description(self) -> dict[str, Any]:
        """Returns what is needed to build the same network again, as plain data."""
        return {"interface": asdict(self.interface), "network": asdict(self.config)}


def network_of(description: Mapping[str, Any]) -> PlayerNetwork:
    """Builds the network that `PlayerNetwork.description` described, with fresh weights.

    Raises:
        UserError: something is missing, unknown or of the wrong kind.
    """
    try:
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in description["interface"].items()
        }
        interface = PlayerInterface(**fields)
        sizes = (*interface.shape, interface.sprites, interface.actions, interface.senses, *interface.heroes)
        if not all(isinstance(size, int) and size >= 0 for size in sizes):
            raise ValueError(f"sizes must be whole numbers; got {sizes}")
        return PlayerNetwork(interface, PlayerConfig(**description["network"]))
    except UserError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise UserError(
            f"This is no description of a player's network: {reason}; train again or restore the file."
        ) from error


def _linear(inputs: int, outputs: int, gain: float) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer
