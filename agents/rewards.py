"""What the learner is paid beside the environment's own reward, when an episode ends."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from agents.players.difficulty import DifficultyTerm
from agents.players.solver import SolverPlayer
from envs import UserError
from envs.errors import unknown_name
from envs.problem import Problem
from generators.judging.playability import play_levels

#: What a bonus is paid for.
Goal = Literal["success", "strict_success", "playable"]


class LevelTerm(Protocol):
    """A judgement of finished levels that is paid as a part of the reward."""

    def __call__(self, levels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Returns what each level, uint8 (n, *shape), is worth, float64 (n,), in [0, 1]."""


@dataclass(frozen=True)
class RewardConfig:
    """What the learner is paid.

    Attributes:
        scale: what the environment's rewards are multiplied by before the learner sees them.
        bonus: what is added where an episode ends in success. Without it, success costs the designer all the
            improvement that it could still have made.
        goal: which success that is: the published rule or the strict one, see `DesignVectorEnv`, or that the solver
            completes the level, see `generators.judging.playability.play_levels`.
        novelty: the weight of novelty: 1 for a level at least `reach` away from all that is known, less for one that
            is nearer to a level of the corpus or to one that the designer made lately.
        reach: the share of tiles in which a level must differ to count as entirely new.
        memory: how many of the designer's latest levels count as known, in each process that designs; a training that
            goes on begins with none.
        regret: the weight of difficulty: what the solver wins more often than a player who follows it but errs (regret
            as in Dennis 2020, see `agents.players.difficulty`).
        errors: how often that player makes a random move instead.
        kl: for a pretrained policy, the reward that a nat of divergence from what it was at first costs (Ziegler 2019).
        kl_target: the divergence of a level in nats that this weight is moved towards; 0 leaves the weight as it is.
    """

    scale: float = 0.05
    bonus: float = 2.0
    goal: Goal = "success"
    novelty: float = 0.0
    reach: float = 0.1
    memory: int = 2000
    regret: float = 0.0
    errors: float = 0.3
    kl: float = 0.0
    kl_target: float = 0.0

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        if self.goal not in get_args(Goal):
            raise unknown_name("goal", self.goal, get_args(Goal))
        for name, value in asdict(self).items():
            if isinstance(value, (int, float)) and not (math.isfinite(value) and value >= 0):
                raise UserError(f"{name} must be a finite number of at least 0; got {value}.")
        if self.kl_target and not self.kl:
            raise UserError(f"kl_target moves the weight kl, which must be above 0 at first; got kl={self.kl}.")
        if not 0 < self.errors <= 1:
            raise UserError(f"errors is a share of moves, above 0 and at most 1; got {self.errors}.")
        if not 0 < self.reach <= 1:
            raise UserError(f"reach is a share of tiles, above 0 and at most 1; got {self.reach}.")


class Novelty:
    """How far levels are from all that is known: a corpus, and what was made lately.

    Args:
        reach: the share of tiles in which a level differs from everything known at which it is worth 1.
        known: uint8 (k, *shape), levels that count as known for good, or None.
        memory: how many of the latest levels are remembered besides.
    """

    def __init__(self, reach: float, known: NDArray[np.uint8] | None = None, memory: int = 2000) -> None:
        self._reach = reach
        self._known = None if known is None or not len(known) else known.reshape(len(known), -1)
        self._memory = memory
        self._lately: NDArray[np.uint8] | None = None

    def __call__(self, levels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Returns how new levels are, float64 (n,) in [0, 1], and remembers them."""
        flat = levels.reshape(len(levels), -1)
        nearest = np.full(len(flat), flat.shape[1], np.int64)
        for others in (self._known, self._lately):
            if others is not None and len(others):
                nearest = np.minimum(nearest, _nearest(flat, others))
        # Levels of one batch are known to each other, but not to themselves.
        if len(flat) > 1:
            apart = _differences(flat, flat)
            np.fill_diagonal(apart, flat.shape[1])
            nearest = np.minimum(nearest, apart.min(axis=1))
        if self._memory:
            joined = flat if self._lately is None else np.concatenate([self._lately, flat])
            self._lately = joined[-self._memory :].copy()
        return np.minimum(nearest / (self._reach * flat.shape[1]), 1.0)


def _nearest(levels: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Returns in how many tiles each level differs from the nearest other, int64 (n,)."""
    best = np.full(len(levels), levels.shape[1], np.int64)
    for first in range(0, len(others), 512):
        best = np.minimum(best, _differences(levels, others[first : first + 512]).min(axis=1))
    return best


def _differences(levels: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.int64]:
    return (levels[:, None] != others[None]).sum(axis=2, dtype=np.int64)


class Playable:
    """Whether the solver completes levels, within the time that evaluation gives it.

    Args:
        problem: whose levels.
        seconds: the time of a processor that the solver may take for a level.
    """

    def __init__(self, problem: Problem, seconds: float = 1.0) -> None:
        self._problem = problem
        self._seconds = seconds

    def __call__(self, levels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Returns 1 for levels that can be completed and 0 for others, float64 (n,)."""
        return play_levels(self._problem, levels, self._seconds, workers=1).playable.astype(np.float64)


class LearnersReward:
    """Turns the environment's rewards into the learner's.

    Args:
        config: what is paid.
        problem: whose levels.
        known: uint8 (k, *shape), levels that are not new, or None.
    """

    def __init__(self, config: RewardConfig, problem: Problem, known: NDArray[np.uint8] | None = None) -> None:
        self._config = config
        self._terms: dict[str, tuple[float, LevelTerm]] = {}
        if config.goal == "playable":
            self._terms["playable"] = (config.bonus, Playable(problem))
        if config.novelty:
            self._terms["novelty"] = (config.novelty, Novelty(config.reach, known, config.memory))
        if config.regret:
            weak, strong = SolverPlayer(problem, noise=config.errors), SolverPlayer(problem)
            self._terms["regret"] = (config.regret, DifficultyTerm(weak, strong))

    @property
    def figures(self) -> Sequence[str]:
        """The names of what ended episodes are told to be worth, by term."""
        return tuple(self._terms)

    def __call__(
        self,
        rewards: NDArray[np.float64],
        ended: NDArray[np.bool_],
        outcomes: Mapping[str, NDArray],
        levels: NDArray[np.uint8] | None,
    ) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
        """Returns the learner's rewards of a step.

        Args:
            rewards: float64 (n,), the environment's.
            ended: bool (n,), which lanes' episodes ended in this step.
            outcomes: of the k episodes that ended, by name (k,): "success" and "strict_success" at least.
            levels: uint8 (k, *shape), the levels that they ended with; may be None where there are no terms.

        Returns:
            float64 (n,), and what each term says of the episodes that ended, by name, float64 (k,).
        """
        paid = rewards * self._config.scale
        if not ended.any():
            return paid, {}
        if self._config.goal in outcomes:
            paid[ended] += self._config.bonus * outcomes[self._config.goal]
        worth = {}
        for name, (weight, term) in self._terms.items():
            assert levels is not None
            worth[name] = term(levels)
            paid[ended] += weight * worth[name]
        return paid, worth


class DivergencePrice:
    """What a nat of divergence from the pretrained model costs, moved towards a target (Ziegler 2019, section 2.2).

    Args:
        weight: the price at first.
        target: the divergence that is wanted, in nats a level; 0 leaves the price as it is.
    """

    #: How much the price moves for an update's whole error, and the greatest error that counts.
    rate, most = 0.1, 0.2

    def __init__(self, weight: float, target: float) -> None:
        self.weight = weight
        self._target = target

    def observe(self, divergence: float) -> None:
        """Takes notice of an update's divergence, in nats a level."""
        if self._target and math.isfinite(divergence):
            error = min(max(divergence / self._target - 1, -self.most), self.most)
            self.weight *= 1 + self.rate * error
