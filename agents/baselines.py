"""Designers that learn nothing: what every trained designer is compared with."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.episodes import Designer, Designs, run_episodes
from envs import get_problem
from envs.design_options import given_frozen
from envs.problem import Problem
from envs.suite import clipped_targets, interval_distances, measure_columns
from envs.vector_env import DesignVectorEnv

#: How many tiles' worth of edited levels the hill climber measures before an edit, and how many it plays.
TRIED_TILES, PLAYED_TILES = 400_000, 25_600


class RandomDesigner(Designer):
    """Takes random actions in the same environment as the designer it is compared with.

    Args:
        env_options: what `DesignVectorEnv` is given: problem, representation and options.
    """

    def __init__(self, env_options: Mapping[str, Any]) -> None:
        # It does not look at what it is shown, so that there is no need to look ahead.
        self.env_options = {key: value for key, value in env_options.items() if key != "look_ahead"}
        self.problem = get_problem(self.env_options["problem"])
        self.name = "random"

    @property
    def shape(self) -> tuple[int, ...]:
        """The (height, width) that the environment has."""
        return tuple(self.env_options.get("shape") or self.problem.default_shape)

    def finish(self, starts: NDArray[np.uint8], seed: int, frozen: NDArray[np.bool_] | None, record: bool) -> Designs:
        """Runs one episode of random actions from each start level."""
        env = DesignVectorEnv(num_envs=len(starts), **self.env_options)
        env.action_space.seed(seed)
        return run_episodes(env, lambda _: env.action_space.sample(), starts, seed=seed, frozen=frozen, record=record)


class GreedyDesigner(Designer):
    """Climbs the hill of reward: makes the one-tile edit that improves the level most, until none does.

    It tries every tile in every cell before each edit (see `best_edit` for large levels), and draws among the equally
    good. It stops at the published success, at a local optimum, or when the change budget is spent.

    Args:
        problem: a problem or its name.
        change_share: the share of tiles that may be changed; None for no limit.
    """

    def __init__(self, problem: Any, change_share: float | None = 0.2) -> None:
        self.problem = get_problem(problem)
        self.change_share = change_share
        self.name = "hill climber"

    def finish(self, starts: NDArray[np.uint8], seed: int, frozen: NDArray[np.bool_] | None, record: bool) -> Designs:
        """Climbs from each start level."""
        began = time.perf_counter()
        # The environment keeps count of losses, budgets and ends; the climber only looks ahead.
        env = DesignVectorEnv(self.problem, "wide", shape=starts.shape[1:], change_share=self.change_share)
        given = given_frozen(frozen, starts.shape[1:], len(starts))
        locked = np.zeros(starts.shape, np.bool_) if given is None else given
        random = np.random.default_rng(seed)
        finished = [
            self._climb(env, level, lock, random, record and i == 0)
            for i, (level, lock) in enumerate(zip(starts, locked, strict=True))
        ]
        return Designs(
            starts=starts,
            levels=np.stack([level for level, _, _ in finished]),
            success=np.array([bool(infos["success"][0]) for _, infos, _ in finished]),
            strict_success=np.array([bool(infos["strict_success"][0]) for _, infos, _ in finished]),
            steps=np.array([int(infos["steps"][0]) for _, infos, _ in finished]),
            seconds=time.perf_counter() - began,
            history=finished[0][2] if record else [],
        )

    def _climb(
        self,
        env: DesignVectorEnv,
        start: NDArray[np.uint8],
        frozen: NDArray[np.bool_],
        random: np.random.Generator,
        record: bool,
    ) -> tuple[NDArray[np.uint8], dict[str, Any], list[NDArray[np.uint8]]]:
        """Returns the finished level, its infos and its history."""
        _, infos = env.reset(options={"levels": start, "frozen": frozen})
        history = [start] if record else []
        ended = bool(infos["success"][0])
        while not ended:
            edit = best_edit(self.problem, env.levels[0], frozen, random)
            if edit is None:
                break
            _, _, terminations, truncations, infos = env.step(edit[None])
            ended = bool(terminations[0] or truncations[0])
            if record:
                history.append(env.levels[0])
        return env.levels[0], infos, history


def losses_of(
    problem: Problem, levels: NDArray[np.uint8], played: NDArray[np.float32] | None = None
) -> NDArray[np.float64]:
    """Returns the weighted sum of each level's distances to the problem's targets, float64 (n,).

    Args:
        problem: what they are levels of.
        levels: uint8 (n, height, width).
        played: float32 (number of metrics,), values that stand for metrics found by playing; None plays the levels.
    """
    weights = np.array([metric.weight for metric in problem.metrics], np.float64)
    low, high = clipped_targets(problem, levels.shape[1:])
    measured = measure_columns(problem, levels, (), play=played is None)
    if played is not None:
        play = np.array([metric.play for metric in problem.metrics])
        measured = np.where(play, played, measured)
    return interval_distances(measured, low, high) @ weights


def best_edit(
    problem: Problem, level: NDArray[np.uint8], frozen: NDArray[np.bool_], random: np.random.Generator
) -> NDArray[np.int64] | None:
    """Returns the edit of one tile that improves a level most, drawn among the equally good.

    Of a large level not all edits are tried, but as many, drawn at random, as come to TRIED_TILES tiles; and only the
    best of them are played, as many as come to PLAYED_TILES.

    Args:
        problem: what it is a level of.
        level: uint8 (height, width).
        frozen: bool (height, width), True where the level must stay.
        random: what is drawn from.

    Returns:
        int64 (3,): column, row and new tile, an action of the wide representation; None where no edit that was tried
        improves the level.
    """
    levels, edits = neighbours(level, len(problem.tiles), frozen, random, max(TRIED_TILES // level.size, 1))
    if not len(levels):
        return None
    now = problem.measure(level[None])
    most = max(PLAYED_TILES // level.size, 1)
    if len(levels) > most and any(metric.play for metric in problem.metrics):
        promise = losses_of(problem, levels, now[0])
        chosen = np.lexsort((random.random(len(levels)), promise))[:most]
        levels, edits = levels[chosen], edits[chosen]
    losses = losses_of(problem, levels)
    best = losses.min()
    if best >= losses_of(problem, level[None])[0]:
        return None
    *place, tile = edits[random.choice(np.flatnonzero(losses == best))]
    return np.array([*reversed(place), tile], np.int64)


def neighbours(
    level: NDArray[np.uint8],
    number_of_tiles: int,
    frozen: NDArray[np.bool_] | None = None,
    random: np.random.Generator | None = None,
    most: int | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Returns levels that differ from a level in one tile.

    Args:
        level: uint8 (height, width) or (depth, height, width).
        number_of_tiles: how many tiles there are.
        frozen: bool of the same shape, True where the level must stay.
        random: what is drawn from, where there are more than `most`.
        most: how many are returned at most; None for all.

    Returns:
        The levels, uint8 (k, *shape), and their edits, int64 (k, axes + 1): (storey,) row, column and new tile.
    """
    wanted = np.arange(number_of_tiles) != level[..., None]
    if frozen is not None:
        wanted &= ~frozen[..., None]
    edits = np.argwhere(wanted)
    if most is not None and random is not None and len(edits) > most:
        edits = edits[np.sort(random.choice(len(edits), most, replace=False))]
    levels = np.repeat(level[None], len(edits), axis=0)
    levels[(np.arange(len(edits)), *edits[:, :-1].T)] = edits[:, -1]
    return levels, edits
