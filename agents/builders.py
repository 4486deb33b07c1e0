"""Designers at work, one step at a time: a trained policy in its environment, or the hill climber in its place."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agents.baselines import best_edit
from envs.problem import Metric, Problem, inside
from envs.vector_env import DesignVectorEnv

if TYPE_CHECKING:
    from agents.episodes import NetworkDesigner

Interval = tuple[float, float]


class Builder(ABC):
    """One episode of level design, advanced step by step.

    Attributes:
        name: what the window calls the designer.
        problem: the problem that it designs for.
        metrics: what is measured.
        targets: the interval that each metric shall come into, by name.
        start: uint8, of a level's shape, the level that the episode started from.
        level: uint8, of the same shape, as it stands.
        frozen: bool, of the same shape, what may not be changed.
        cursor: the cell that the next step works on or, for a designer without one, that the last step changed.
        history: float32 (number of metrics,) at the start and after each change.
        changes: how many tiles changed so far.
        most_changes: how many tiles may change, or None for no limit.
        steps: how many steps were taken so far.
        paid: what the environment paid so far, the improvement.
        success: whether the published rule of success holds.
        strict_success: whether every metric with a finite target is inside it as well.
        over: whether the episode has ended.
        why: why it has, in a few words.
    """

    #: How many steps a second show the work well.
    pace = 30.0

    def __init__(self, name: str, env: DesignVectorEnv, most_changes: int | None, until_strict: bool) -> None:
        self.name = name
        self.problem: Problem = env.problem
        self.env = env
        self.metrics: tuple[Metric, ...] = env.metrics
        self.targets: dict[str, Interval] = {metric.name: metric.target for metric in env.metrics}
        self.most_changes = most_changes
        self._until_strict = until_strict
        self._observations: dict[str, NDArray] = {}
        self.why = ""
        self.over = True
        self.steps = self.changes = 0
        self.paid = 0.0
        self.success = self.strict_success = False
        self.history: list[NDArray[np.float32]] = []
        self.cursor: tuple[int, ...] | None = None
        self.start = self.level = np.zeros(env.shape, np.uint8)
        self.frozen = np.zeros(env.shape, np.bool_)

    def begin(self, seed: int, level: NDArray[np.uint8] | None = None, frozen: NDArray[np.bool_] | None = None) -> None:
        """Begins an episode; equal arguments make for equal episodes.

        Args:
            seed: fixes the start level, where none is given, and the designer's draws.
            level: uint8 (height, width), the level to start from.
            frozen: bool (height, width), what may not be changed.
        """
        options: dict[str, Any] = {}
        if level is not None:
            options["levels"] = level
        if frozen is not None:
            options["frozen"] = frozen
        targets = self._draw_targets(seed)
        if targets:
            options["targets"] = targets
            self.targets.update(targets)
        observations, infos = self.env.reset(seed=seed, options=options)
        self.over, self.why = False, ""
        self.cursor = None
        self.paid = 0.0
        self.start = self.level = self._inside(self.env.levels)
        self.frozen = self._inside(self.env.frozen)
        self.history = [self.env.measured[0]]
        self._observations = observations
        self._begun(seed)
        self._take(infos)
        if frozen is not None and frozen.all():
            self._end("every tile is locked")
        elif self._reached():
            self._end("the start level meets the goal already")

    def advance(self) -> bool:
        """Takes one step, and returns whether a tile changed. Does nothing once the episode is over."""
        if self.over:
            return False
        action = self._choose()
        if action is None:
            self._end("no single change makes the level better")
            return False
        self._observations, rewards, terminations, truncations, infos = self.env.step(action)
        self.paid += float(rewards[0])
        before, self.level = self.level, self._inside(self.env.levels)
        altered = np.argwhere(before != self.level)
        if not self.env.representation.has_cursor:
            self.cursor = tuple(altered[0].tolist()) if len(altered) == 1 else None
        self._take(infos)
        if len(altered):
            self.history.append(self.env.measured[0])
        if self._reached():
            self._end("the goal is reached")
        elif terminations[0]:
            self._end("the last step is taken" if self.most_changes is None else "the budget of changes is spent")
        elif truncations[0]:
            self._end("the limit on steps is reached")
        return bool(len(altered))

    @abstractmethod
    def _choose(self) -> NDArray[np.int64] | None:
        """Returns the environment's next actions, or None when the designer has nothing more to do."""

    @abstractmethod
    def _begun(self, seed: int) -> None:
        """Is called at the start of an episode."""

    def _inside(self, cells: NDArray) -> NDArray:
        """Returns the only lane's cells without the padding of levels that are smaller than the largest."""
        return cells[0][inside(self.env.level_shapes[0])]

    def _draw_targets(self, seed: int) -> dict[str, Interval]:
        """Returns the targets of the next episode that differ from the problem's own."""
        return {}

    def _reached(self) -> bool:
        return self.strict_success if self._until_strict else self.success

    def _end(self, why: str) -> None:
        self.over, self.why = True, why

    def _take(self, infos: dict[str, Any]) -> None:
        self.changes, self.steps = int(infos["changes"][0]), int(infos["steps"][0])
        self.strict_success = bool(infos["strict_success"][0])
        self.success = bool(infos["success"][0])
        if self.env.representation.has_cursor:
            self.cursor = tuple(self.env.cursors[0].tolist())


class PolicyBuilder(Builder):
    """A trained designer in the environment that it was trained in.

    Args:
        designer: the designer.
        name: what it is called.
        until_strict: go on until every finite target is met, rather than until the published success.
        targets: the intervals that metrics shall come into, besides those of the training; see `steered_by`.
    """

    def __init__(
        self,
        designer: NetworkDesigner,
        name: str,
        until_strict: bool = False,
        targets: Mapping[str, Interval] | None = None,
    ) -> None:
        options = designer.env_options
        wanted = {**(options.get("targets") or {}), **(targets or {})}
        changes: dict[str, Any] = {"autoreset_mode": "Disabled", "render_mode": None}
        if wanted:
            changes["targets"] = wanted
        if until_strict:
            changes["end_on_success"] = False
        env = designer.make_env(1, **changes)
        self._own_targets = bool(wanted or options.get("controls"))
        super().__init__(name, env, _most_changes(env), until_strict)
        self.designer = designer
        self._given = dict(targets or {})
        for metric, target in wanted.items():
            self.targets[metric] = (target, target) if np.ndim(target) == 0 else tuple(target)
        self._controls = list(options.get("controls") or ())
        if env.representation.name in ("wide", "cellular", "latent"):
            self.pace = 6.0

    def _choose(self) -> NDArray[np.int64]:
        return self.designer.act(self._observations)

    def _begun(self, seed: int) -> None:
        self.designer.seed(seed)

    def _reached(self) -> bool:
        # With targets of its own the environment asks for these, not for the published rule.
        return self.strict_success if self._until_strict or self._own_targets else self.success

    def _draw_targets(self, seed: int) -> dict[str, Interval]:
        """Draws what the environment would draw, so that it is known here too; what was given is not drawn."""
        random = np.random.default_rng(seed)
        drawn = {}
        for control in self._controls:
            name, *ends = (control,) if isinstance(control, str) else control
            if name in self._given:
                drawn[name] = self._given[name]
                continue
            metric = next(metric for metric in self.metrics if metric.name == name)
            low, high = metric.bounds(self.env.shape)
            if ends:
                low, high = max(low, ends[0]), min(high, ends[1])
            value = float(random.integers(int(np.ceil(low)), int(high) + 1))
            drawn[name] = (value, value)
        return drawn


class ClimberBuilder(Builder):
    """The hill climber: makes the change of one tile that improves the level most, until none does.

    Args:
        problem: the problem.
        shape: the (height, width) of its levels; None is the problem's default.
        until_strict: go on until every finite target is met, rather than until the published success.
        targets: the intervals that metrics shall come into, where they differ from the problem's.
    """

    pace = 4.0

    def __init__(
        self,
        problem: Problem,
        shape: tuple[int, ...] | None = None,
        until_strict: bool = False,
        targets: Mapping[str, Interval] | None = None,
    ) -> None:
        wanted = targets or {}
        if wanted:
            metrics = tuple(
                dataclasses.replace(metric, target=wanted.get(metric.name, metric.target)) for metric in problem.metrics
            )
            problem = dataclasses.replace(problem, metrics=metrics)
        env = DesignVectorEnv(
            problem, "wide", 1, shape=shape, targets=wanted, autoreset_mode="Disabled", end_on_success=not until_strict
        )
        self._own_targets = bool(wanted)
        super().__init__("hill climber (untrained)", env, _most_changes(env), until_strict)
        self._random = np.random.default_rng(0)

    def _begun(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def _choose(self) -> NDArray[np.int64] | None:
        edit = best_edit(self.problem, self.level, self.frozen, self._random)
        return None if edit is None else edit[None]

    def _reached(self) -> bool:
        return self.strict_success if self._until_strict or self._own_targets else self.success


def steered_by(env_options: Mapping[str, Any], metrics: tuple[Metric, ...]) -> tuple[str, ...]:
    """Returns the metrics whose targets a trained designer heeds.

    It was trained to heed those that it controls; and one that looks ahead sees what each action improves by whatever
    targets there are.
    """
    if env_options.get("look_ahead"):
        return tuple(metric.name for metric in metrics)
    return tuple(control if isinstance(control, str) else control[0] for control in env_options.get("controls") or ())


def _most_changes(env: DesignVectorEnv) -> int | None:
    """Returns how many tiles an episode may change, as the environment reckons it."""
    return None if env.change_share is None else max(int(env.change_share * np.prod(env.shape)), 1)
