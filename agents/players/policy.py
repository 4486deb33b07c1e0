"""A player that acts by a trained network, saved as a folder of plain files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from agents.players.networks import PlayerInterface, PlayerNetwork, network_of
from agents.players.player import Player
from envs import Problem, UserError, get_problem, get_rules
from envs.files import write_atomically
from envs.records import read_config
from generators.devices import check_device

#: The files of a saved player.
CONFIG_FILE, WEIGHTS_FILE, CARD_FILE = "config.json", "model.safetensors", "card.md"

#: How many boards the network looks at in one go.
_AT_ONCE = 4096


class PolicyPlayer(Player):
    """A player that acts by a trained network.

    Args:
        problem: a playable problem or its name.
        network: the network.
        facts: what else the saved configuration says (training, scores), as plain data.
        deterministic: take the most probable action instead of drawing one. A player that never draws can walk in
            circles.
        name: what tables call the player.
    """

    def __init__(
        self,
        problem: Problem | str,
        network: PlayerNetwork,
        facts: Mapping[str, Any] | None = None,
        *,
        deterministic: bool = False,
        name: str = "PPO player",
    ) -> None:
        super().__init__(problem)
        self.network = network.eval()
        self.facts = dict(facts or {})
        self.alike = deterministic
        self.name = name

    def begin(self, levels: NDArray[np.uint8], episodes: int) -> tuple[int, ...]:
        """Remembers the levels' shape.

        Raises:
            UserError: the network has no window, and has learned levels of another shape.
        """
        shape, known = tuple(levels.shape[1:]), self.network.interface.shape
        config = self.network.config
        if shape != known and not (config.view == "centred" and config.window):
            raise UserError(
                f"This player has learned levels of shape {known}; got levels of shape {shape}: "
                "give such levels, or train a player with a window, which plays any shape."
            )
        return shape

    def act(
        self,
        states: NDArray[np.int32],
        levels: NDArray[np.int64],
        games: NDArray[np.int64],
        uniforms: NDArray[np.float64],
        memory: Any,
    ) -> NDArray[np.int64]:
        """Draws each game's action from the network's policy."""
        chosen = np.empty(len(states), np.int64)
        for first in range(0, len(states), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            chosen[part] = self._choose(states[part], uniforms[part, 0], memory)
        return chosen

    def _choose(
        self, states: NDArray[np.int32], uniforms: NDArray[np.float64], shape: tuple[int, ...]
    ) -> NDArray[np.int64]:
        boards = torch.as_tensor(self.rules.boards(states).reshape(len(states), -1))
        senses = torch.as_tensor(self.rules.senses_of(states)) if self.rules.senses else None
        device = self.network.is_hero.device
        with torch.no_grad():
            logits, _ = self.network.look(boards.to(device), None if senses is None else senses.to(device), shape)
        if self.alike:
            return logits.argmax(dim=1).cpu().numpy()
        chances = logits.double().softmax(dim=1).cumsum(dim=1).cpu().numpy()
        # Rounding may leave the last sum a little below 1.
        return np.minimum((chances <= uniforms[:, None]).sum(axis=1), logits.shape[1] - 1)

    def save_pretrained(self, folder: Path, card: str) -> None:
        """Saves the player as a folder: config.json, model.safetensors and card.md.

        Args:
            folder: made if it does not exist.
            card: the text of the card: what it was trained on, how, its scores and its limits.

        Raises:
            UserError: the folder cannot be written; files that were there stay whole.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"The player cannot be saved in {folder}: {error.strerror}; choose another.") from error
        config = {"kind": "player", "problem": self.problem.name, **self.network.description(), **self.facts}
        weights = {name: tensor.contiguous() for name, tensor in self.network.state_dict().items()}
        write_atomically(folder / WEIGHTS_FILE, save_tensors(weights))
        write_atomically(folder / CONFIG_FILE, (json.dumps(config, indent=2) + "\n").encode())
        write_atomically(folder / CARD_FILE, card.encode())

    @classmethod
    def from_pretrained(
        cls, folder: Path | str, *, deterministic: bool = False, device: str = "cpu", name: str = "PPO player"
    ) -> PolicyPlayer:
        """Loads a player that `save_pretrained` saved. Nothing in the folder is executed.

        Raises:
            UserError: a file is missing, damaged, or does not fit the others.
        """
        folder = Path(folder)
        config = read_config(folder / CONFIG_FILE)
        if config.get("kind") != "player" or not isinstance(config.get("problem"), str):
            raise UserError(f"{folder / CONFIG_FILE} does not describe a player; give the folder of a saved player.")
        check_device(device)
        try:
            network = network_of(config)
            shape = network.interface.shape
            problem = get_problem(config["problem"])
            fits = PlayerInterface.of(get_rules(problem), shape) == network.interface
        except UserError as error:
            raise UserError(f"{folder / CONFIG_FILE} cannot be used: {error}") from error
        if not fits or len(shape) != len(problem.default_shape):
            raise UserError(
                f"{folder / CONFIG_FILE} is damaged: its network does not fit its problem; save the player again."
            )
        path = folder / WEIGHTS_FILE
        try:
            network.load_state_dict(load_tensors(path.read_bytes()))
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}; save the player again.") from error
        except (SafetensorError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:160]
            raise UserError(f"{path} is damaged or of another network ({reason}); save the player again.") from error
        facts = {key: value for key, value in config.items() if key not in ("kind", "problem", "interface", "network")}
        return cls(config["problem"], network.to(device), facts, deterministic=deterministic, name=name)
