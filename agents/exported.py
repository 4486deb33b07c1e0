"""Exported designers: they act by onnxruntime, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.episodes import NetworkDesigner
from agents.interface import ActionCode
from envs import UserError
from envs.vector_env import DesignVectorEnv
from generators.exported import CONFIG_FILE, ExportedGenerator, load_exported, read_exported, read_graphs
from generators.latents import latent_decoder
from generators.options import check_threads
from generators.runtime import OnnxNetworks

#: What the configuration of an exported designer calls it, and the folder within its own of what decodes for it.
KIND, GENERATOR_FOLDER = "exported designer", "generator"

_OWN = ("kind", "environment", "parts", "action", "graphs")


class ExportedDesigner(NetworkDesigner):
    """A designer without its training; it designs what the designer that it was exported from designs.

    Args:
        description: what its configuration says.
        networks: what runs its graph.
        generator: what decodes within the environment, where it moves through latents.
        deterministic: see `NetworkDesigner`.

    Attributes:
        facts: what else the configuration says; plain data.
    """

    def __init__(
        self,
        description: Mapping[str, Any],
        networks: OnnxNetworks,
        generator: ExportedGenerator | None = None,
        deterministic: bool = False,
    ) -> None:
        action = description["action"]
        code = ActionCode(
            tuple(map(int, action["sizes"])), int(action["axes"]), int(action["numbers"]), float(action["bound"])
        )
        super().__init__(description["environment"], code, deterministic, generator is not None)
        self._networks = networks
        self._generator = generator
        self._parts = tuple(map(str, description["parts"]))
        self.facts = {key: value for key, value in description.items() if key not in _OWN}

    def make_env(self, num_envs: int = 1, **changes: Any) -> DesignVectorEnv:
        """Makes the environment that the designer knows; see `NetworkDesigner.make_env`."""
        options: dict[str, Any] = {"autoreset_mode": "NextStep", **self.env_options}
        if self._generator is not None:
            options["decoder"] = latent_decoder(self._generator)
            options.setdefault("shape", self._generator.spec.shape)
        return DesignVectorEnv(num_envs=num_envs, **{**options, **changes})

    def outputs(self, observations: Mapping[str, NDArray]) -> tuple[NDArray[np.float32], ...]:
        """Returns what the network makes of observations; see `NetworkDesigner.outputs`."""
        return self._networks("act", *(observations[name] for name in self._parts))


def load_exported_designer(folder: Path | str, deterministic: bool = False, threads: int = 1) -> ExportedDesigner:
    """Loads a designer that `experiments.export` wrote. It needs onnxruntime and no torch; nothing is executed.

    Args:
        folder: the folder.
        deterministic: see `NetworkDesigner`.
        threads: how many of the machine's processors it may use.

    Raises:
        UserError: a file is missing, damaged, or does not fit the others; or onnxruntime is missing.
    """
    place = Path(folder)
    config = read_exported(place, KIND)
    check_threads(threads)
    networks = OnnxNetworks(read_graphs(place, config), threads)
    decodes = place / GENERATOR_FOLDER
    generator = load_exported(decodes, threads) if decodes.exists() else None
    path = place / CONFIG_FILE
    try:
        designer = ExportedDesigner(config, networks, generator, deterministic)
        env = designer.make_env()
        fits = ActionCode.of(env.single_action_space, designer.code.axes) == designer.code
        if not fits or set(designer._parts) != set(env.single_observation_space.spaces):  # type: ignore[attr-defined]
            raise ValueError("its actions or observations are not those of its environment")
        # The sizes of the graph are told by running it.
        designer.act(env.reset(seed=0)[0])
        designer.seed(0)
    except UserError as error:
        raise UserError(f"{path} cannot be used: {str(error).rstrip('.')}; export the model again.") from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise UserError(f"{path} is damaged ({type(error).__name__}: {error}); export the model again.") from error
    return designer
