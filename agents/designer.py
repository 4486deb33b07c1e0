"""Designers that act by trained networks, saved and loaded."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays

from agents.episodes import NetworkDesigner
from agents.networks import DesignerNetwork, NetworkRecord
from agents.tasks import Task
from envs import UserError
from envs.records import read_config
from envs.vector_env import DesignVectorEnv
from generators.devices import check_device
from generators.graphs import TorchNetworks
from generators.integers import to_integers
from generators.packing import PackedGenerator
from generators.sampler import Networks
from generators.saving import CONFIG_FILE, WEIGHTS_FILE, save_model
from generators.storage import INT8, STORAGE, pack, unpack
from generators.suite import GENERATOR_FOLDER


class PolicyDesigner(NetworkDesigner):
    """A designer that acts by a trained network.

    Args:
        network: the network.
        env_options: what `DesignVectorEnv` was given in training: problem, representation and options; plain data.
        facts: what else the saved configuration says (scores, training), as plain data.
        deterministic: take the most probable option instead of drawing one. A turtle or wide designer that never
            draws can come to a standstill.
        device: where the network runs.
        generator: what decodes within the environment, where the designer moves through its latents.
    """

    def __init__(
        self,
        network: DesignerNetwork,
        env_options: Mapping[str, Any],
        facts: Mapping[str, Any] | None = None,
        *,
        deterministic: bool = False,
        device: str = "cpu",
        generator: PackedGenerator | None = None,
    ) -> None:
        super().__init__(env_options, network.code, deterministic, generator is not None)
        self.network = network.to(device).eval()
        self.generator = generator
        self._task = Task(self.env_options, generator=generator)
        self.facts = dict(facts or {})
        self.device = device

    def make_env(self, num_envs: int = 1, **changes: Any) -> DesignVectorEnv:
        """Makes the environment that the designer knows; see `NetworkDesigner.make_env`."""
        return self._task.make_env(num_envs, **changes)

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """The names of the parts of an observation, in the order in which the network's graph takes them."""
        return tuple(cast("spaces.Dict", self.make_env().single_observation_space).spaces)

    @cached_property
    def networks(self) -> Networks:
        """What runs the network."""
        return TorchNetworks(self.network, {"act": self.network.graph(self.parts)})

    def outputs(self, observations: Mapping[str, NDArray]) -> tuple[NDArray[np.float32], ...]:
        """Returns what the network makes of observations; see `NetworkDesigner.outputs`."""
        return self.networks("act", *(observations[name] for name in self.parts))

    def save_pretrained(self, folder: Path, card: str) -> None:
        """Saves the designer as a folder: config.json, model.safetensors, card.md and, with one, its generator.

        Args:
            folder: made if it does not exist.
            card: the text of the card: what it was trained on, how, its scores and its limits.

        Raises:
            UserError: the folder cannot be written; files that were there stay whole.
        """
        config = {"kind": "designer", "environment": self.env_options, **self.network.description(), **self.facts}
        weights = {name: tensor.cpu().numpy() for name, tensor in self.network.state_dict().items()}
        if self.generator is not None:
            self.generator.write(folder / GENERATOR_FOLDER)
        save_model(folder, "designer", config, pack(weights, self.facts.get(STORAGE, "")), card)

    @classmethod
    def from_pretrained(cls, folder: Path | str, *, deterministic: bool = False, device: str = "cpu") -> PolicyDesigner:
        """Loads a designer that `save_pretrained` saved. Nothing in the folder is executed.

        Raises:
            UserError: a file is missing, damaged, or does not fit the others.
        """
        folder = Path(folder)
        config = read_config(folder / CONFIG_FILE)
        if config.get("kind") != "designer":
            raise UserError(
                f"{folder / CONFIG_FILE} does not describe a designer; give the folder of a saved designer."
            )
        check_device(device)
        decodes = (folder / GENERATOR_FOLDER).exists()
        generator = PackedGenerator.read(folder / GENERATOR_FOLDER) if decodes else None
        try:
            network = NetworkRecord.parse(config).build()
            environment = config["environment"]
            fits = Task(environment, generator=generator).interface == network.interface
        except UserError as error:
            raise UserError(f"{folder / CONFIG_FILE} cannot be used: {error}") from error
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{folder / CONFIG_FILE} is damaged: it does not say what environment the designer knows ({error}); "
                "save the designer again."
            ) from error
        if not fits:
            raise UserError(
                f"{folder / CONFIG_FILE} is damaged: its network does not fit its environment; save the designer again."
            )
        path = folder / WEIGHTS_FILE
        try:
            arrays = unpack(load_arrays(path.read_bytes()))
            network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}; save the designer again.") from error
        except (SafetensorError, RuntimeError, ValueError, TypeError, KeyError) as error:
            reason = " ".join(str(error).split())[:160]
            raise UserError(f"{path} is damaged or of another network ({reason}); save the designer again.") from error
        facts = {
            key: value for key, value in config.items() if key not in ("kind", "environment", "interface", "network")
        }
        if facts.get(STORAGE) == INT8:
            to_integers(network)
        return cls(network, environment, facts, deterministic=deterministic, device=device, generator=generator)
