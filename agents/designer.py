"""Designers: whatever turns start levels into finished levels under a change budget."""

from __future__ import annotations

import copy
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from agents.networks import DesignerNetwork, NetworkRecord
from agents.tasks import Task
from envs import UserError, get_problem
from envs.files import write_atomically
from envs.problem import Problem
from envs.records import read_config
from envs.vector_env import DesignVectorEnv
from generators.devices import check_device
from generators.integers import to_integers
from generators.packing import PackedGenerator
from generators.storage import INT8, STORAGE, pack, unpack
from generators.suite import GENERATOR_FOLDER

#: The files of a saved designer.
CONFIG_FILE, WEIGHTS_FILE, CARD_FILE = "config.json", "model.safetensors", "card.md"


@dataclass
class Designs:
    """What a designer made of a batch of start levels. Arrays have a leading axis of n levels.

    Attributes:
        starts: uint8 (n, height, width), the start levels.
        levels: uint8 (n, height, width), the finished levels.
        success: bool (n,), the published rule of success.
        strict_success: bool (n,), that rule and every finite target met.
        steps: int64 (n,), how many actions each took.
        seconds: the wall time of the whole batch.
        history: where recording was asked for, the first level after every change, uint8 (height, width) each.
        returns: float64 (n,), what the environment paid for each episode; empty where there was none to pay.
    """

    starts: NDArray[np.uint8]
    levels: NDArray[np.uint8]
    success: NDArray[np.bool_]
    strict_success: NDArray[np.bool_]
    steps: NDArray[np.int64]
    seconds: float
    history: list[NDArray[np.uint8]] = field(default_factory=list)
    returns: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    @property
    def changed(self) -> NDArray[np.float64]:
        """The share of tiles in which each finished level differs from its start level, float64 (n,)."""
        return (self.starts != self.levels).reshape(len(self.starts), -1).mean(axis=1)


class Designer(ABC):
    """Makes levels of one problem from start levels.

    Attributes:
        name: what tables call the designer.
        problem: the problem that it designs for.
    """

    name: str
    problem: Problem

    @property
    def shape(self) -> tuple[int, ...]:
        """The (height, width) of the levels that it designs."""
        return self.problem.default_shape

    def design(
        self,
        starts: NDArray[np.uint8] | None = None,
        *,
        count: int = 1,
        seed: int = 0,
        frozen: NDArray[np.bool_] | None = None,
        record: bool = False,
    ) -> Designs:
        """Designs levels, one episode each.

        Args:
            starts: uint8 (n, height, width), the start levels; None draws `count` of them from the problem's start
                distribution, for equal seeds the same ones whatever the designer.
            count: how many start levels to draw.
            seed: fixes the start levels and the designer's own choices.
            frozen: bool (height, width) or (n, height, width), True where the level must stay as it is.
            record: keep the first level's history.
        """
        if starts is None:
            levels = draw_starts(self.problem, count, seed, self.shape)
        else:
            levels = self.problem.check_levels(starts)
        return self.finish(levels, seed, frozen, record)

    @abstractmethod
    def finish(self, starts: NDArray[np.uint8], seed: int, frozen: NDArray[np.bool_] | None, record: bool) -> Designs:
        """Designs from start levels that `design` has drawn or checked, uint8 (n, height, width)."""


def draw_starts(problem: Problem, count: int, seed: int, shape: tuple[int, ...] | None = None) -> NDArray[np.uint8]:
    """Draws start levels from a problem's start distribution, uint8 (count, height, width); equal for equal seeds."""
    size = shape or problem.default_shape
    uniforms = np.random.default_rng(seed).random((count, 1 + int(np.prod(size))))
    return problem.start_levels(uniforms, size)


def run_episodes(
    env: DesignVectorEnv,
    act: Callable[[dict[str, NDArray]], NDArray],
    starts: NDArray[np.uint8] | None,
    *,
    seed: int,
    frozen: NDArray[np.bool_] | None = None,
    record: bool = False,
) -> Designs:
    """Runs one episode in every lane of a batched environment in the NEXT_STEP mode.

    Args:
        env: as many lanes as there are start levels.
        act: from observations to the environment's actions.
        starts: uint8 (n, height, width); None leaves them to the environment.
        seed: seeds the environment.
        frozen: bool, see `Designer.design`.
        record: keep the first lane's history.
    """
    options: dict[str, Any] = {} if starts is None else {"levels": starts}
    if frozen is not None:
        options["frozen"] = frozen
    began = time.perf_counter()
    observations, infos = env.reset(seed=seed, options=options)
    lanes = env.num_envs
    designs = Designs(
        starts=env.levels,
        levels=env.levels,
        success=np.zeros(lanes, np.bool_),
        strict_success=np.zeros(lanes, np.bool_),
        steps=np.zeros(lanes, np.int64),
        seconds=0.0,
        returns=np.zeros(lanes),
    )
    if record:
        designs.history.append(env.levels[0])
    finished = np.zeros(lanes, np.bool_)
    while not finished.all():
        observations, rewards, terminations, truncations, infos = env.step(act(observations))
        designs.returns[~finished] += rewards[~finished]
        if record and not finished[0] and (env.levels[0] != designs.history[-1]).any():
            designs.history.append(env.levels[0])
        ended = (terminations | truncations) & ~finished
        if ended.any():
            designs.levels[ended] = env.levels[ended]
            designs.success[ended] = infos["success"][ended]
            designs.strict_success[ended] = infos["strict_success"][ended]
            designs.steps[ended] = infos["steps"][ended]
            finished |= ended
    designs.seconds = time.perf_counter() - began
    return designs


class PolicyDesigner(Designer):
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
        self.network = network.to(device).eval()
        self.env_options = dict(env_options)
        self.generator = generator
        self._task = Task(self.env_options, generator=generator)
        self.facts = dict(facts or {})
        self.deterministic = deterministic
        self.device = device
        self.problem = get_problem(self.env_options["problem"])
        self.name = f"{self.env_options['representation']} designer"
        self._generator = torch.Generator().manual_seed(0)

    def make_env(self, num_envs: int = 1, **changes: Any) -> DesignVectorEnv:
        """Makes the environment that the designer knows, in the NEXT_STEP mode.

        Args:
            num_envs: the number of lanes.
            **changes: options that differ from those of the training.
        """
        return self._task.make_env(num_envs, **changes)

    def twin(self) -> PolicyDesigner:
        """Returns a designer with the same network, whose draws are its own: the two may design at the same time."""
        other = copy.copy(self)
        other._generator = torch.Generator().manual_seed(0)
        return other

    def seed(self, seed: int) -> None:
        """Fixes the designer's draws from here on."""
        self._generator.manual_seed(seed)

    def act(self, observations: Mapping[str, NDArray]) -> NDArray:
        """Returns the environment's actions for a batch of observations: int64 (n,) or (n, numbers), or float32."""
        tensors = {key: torch.as_tensor(part, device=self.device) for key, part in observations.items()}
        with torch.no_grad():
            acted = self.network.act(tensors, self._generator, self.deterministic)
        return self.network.env_actions(acted.actions.cpu().numpy())

    @property
    def shape(self) -> tuple[int, ...]:
        """The (height, width) that it was trained on."""
        return self.make_env().shape

    def design(
        self,
        starts: NDArray[np.uint8] | None = None,
        *,
        count: int = 1,
        seed: int = 0,
        frozen: NDArray[np.bool_] | None = None,
        record: bool = False,
    ) -> Designs:
        """Designs levels; see `Designer.design`.

        A designer that moves through latents starts from levels that its generator decodes, where none are given.
        """
        if starts is None and self.generator is not None:
            self.seed(seed)
            return run_episodes(self.make_env(count), self.act, None, seed=seed, frozen=frozen, record=record)
        return super().design(starts, count=count, seed=seed, frozen=frozen, record=record)

    def finish(self, starts: NDArray[np.uint8], seed: int, frozen: NDArray[np.bool_] | None, record: bool) -> Designs:
        """Runs one episode of the designer's own environment from each start level."""
        self.seed(seed)
        env = self.make_env(len(starts))
        return run_episodes(env, self.act, starts, seed=seed, frozen=frozen, record=record)

    def save_pretrained(self, folder: Path, card: str) -> None:
        """Saves the designer as a folder: config.json, model.safetensors, card.md and, with one, its generator.

        Args:
            folder: made if it does not exist.
            card: the text of the card: what it was trained on, how, its scores and its limits.

        Raises:
            UserError: the folder cannot be written; files that were there stay whole.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"The designer cannot be saved in {folder}: {error.strerror}; choose another folder."
            ) from error
        config = {"kind": "designer", "environment": self.env_options, **self.network.description(), **self.facts}
        weights = {name: tensor.cpu().numpy() for name, tensor in self.network.state_dict().items()}
        weights = pack(weights, self.facts.get(STORAGE, ""))
        if self.generator is not None:
            self.generator.write(folder / GENERATOR_FOLDER)
        write_atomically(
            folder / WEIGHTS_FILE, save_arrays({name: np.ascontiguousarray(array) for name, array in weights.items()})
        )
        write_atomically(folder / CONFIG_FILE, (json.dumps(config, indent=2) + "\n").encode())
        write_atomically(folder / CARD_FILE, card.encode())

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
