"""Designers: whatever turns start levels into finished levels under a change budget. No torch is needed here."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from agents.interface import ActionCode
from envs import get_problem
from envs.problem import Problem
from envs.vector_env import DesignVectorEnv
from generators.draws import Draws, level_seeds
from generators.shares import keep_likely, pick


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


class NetworkDesigner(Designer):
    """A designer that acts by a network, whatever runs it.

    Args:
        env_options: what `DesignVectorEnv` was given in training: problem, representation and options; plain data.
        code: what the network's choices are.
        deterministic: take the most probable option instead of drawing one. A turtle or wide designer that never
            draws can come to a standstill.
        decodes: whether a generator decodes within the environment, so that levels begin as what it writes.
    """

    def __init__(
        self, env_options: Mapping[str, Any], code: ActionCode, deterministic: bool = False, decodes: bool = False
    ) -> None:
        self.env_options = dict(env_options)
        self.deterministic = deterministic
        self.problem = get_problem(self.env_options["problem"])
        self.name = f"{self.env_options['representation']} designer"
        self.code = code
        self._decodes = decodes
        self.seed(0)

    @abstractmethod
    def make_env(self, num_envs: int = 1, **changes: Any) -> DesignVectorEnv:
        """Makes the environment that the designer knows, in the NEXT_STEP mode.

        Args:
            num_envs: the number of lanes.
            **changes: options that differ from those of the training.
        """

    @abstractmethod
    def outputs(self, observations: Mapping[str, NDArray]) -> tuple[NDArray[np.float32], ...]:
        """Returns what the network makes of a batch of observations: what `DesignerNetwork.graph` returns."""

    def twin(self) -> Self:
        """Returns a designer with the same network, whose draws are its own: the two may design at the same time."""
        other = copy(self)
        other.seed(0)
        return other

    def seed(self, seed: int) -> None:
        """Fixes the designer's draws from here on: those of each lane follow from the seed and its place alone."""
        self._seed, self._batches = seed, 0
        self._draws = Draws.none(0)

    def act(self, observations: Mapping[str, NDArray]) -> NDArray:
        """Returns the environment's actions for a batch of observations: int64 (n,) or (n, numbers), or float32."""
        scores, *spread = self.outputs(observations)
        n, choices = scores.shape[:2]
        chosen: NDArray[Any]
        if len(self._draws) != n:
            self._draws = Draws(level_seeds(self._seed + (self._batches << 64), n))
            self._batches += 1
        if spread:
            chosen = scores[:, :, 0]
            if not self.deterministic:
                chosen = chosen + spread[0] * self._draws.normals(choices)
        elif self.deterministic:
            chosen = scores.argmax(axis=2)
        else:
            flat = scores.reshape(n * choices, -1)
            chosen = pick(keep_likely(flat), self._draws.uniforms(choices).reshape(-1)).reshape(n, choices)
        return self.code.decode(chosen)

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
        if starts is None and self._decodes:
            self.seed(seed)
            return run_episodes(self.make_env(count), self.act, None, seed=seed, frozen=frozen, record=record)
        return super().design(starts, count=count, seed=seed, frozen=frozen, record=record)

    def finish(self, starts: NDArray[np.uint8], seed: int, frozen: NDArray[np.bool_] | None, record: bool) -> Designs:
        """Runs one episode of the designer's own environment from each start level."""
        self.seed(seed)
        env = self.make_env(len(starts))
        return run_episodes(env, self.act, starts, seed=seed, frozen=frozen, record=record)
