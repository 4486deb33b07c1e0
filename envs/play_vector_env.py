"""Play many levels side by side: a batched Gymnasium environment whose every lane is one `envs.play_env.PlayEnv`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from envs.design_options import at_least, lane_seeds, reset_mask
from envs.design_options import autoreset_mode as _autoreset_mode
from envs.errors import UserError, unknown_name
from envs.play_env import PlayEnv
from envs.problem import Problem
from envs.rules import LOST, PLAYING, WON

#: The keys that `reset(options=...)` knows.
RESET_OPTIONS = ("level", "levels", "reset_mask")

_INFO_NAMES = ("won", "steps")


class PlayVectorEnv(VectorEnv):
    """A batch of games, made by `gymnasium.make_vec`.

    Observations, actions, rewards, ends and infos of a lane are those of `envs.play_env.PlayEnv`, which describes them;
    lane i of `reset(seed=s)` plays the same episodes as a single environment reset with seed s + i.

    `reset(options=...)` takes any of `level`: tile ids of one level for all lanes; `levels`: tile ids (num_envs,
    *shape), a level for each lane; `reset_mask`: bool (num_envs,), the lanes that begin anew, the others going on
    undisturbed.

    Args:
        problem: a playable problem or its name.
        num_envs: the number of lanes.
        autoreset_mode: "NextStep" (the step after an end resets), "SameStep" or "Disabled".
        levels: tile ids (k, *shape), or of one level's shape; each episode plays one at random. None plays the
            problem's examples that are known to be winnable.
        max_steps: the steps after which an episode is cut off; None allows 10 for each cell.
        render_mode: "rgb_array" (`render` returns a picture of every lane) or None.
        tile_size: the side of a tile in pixels.

    Raises:
        UserError: the problem cannot be played, a level cannot be started, or an option is out of range.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(
        self,
        problem: Problem | str,
        num_envs: int = 1,
        *,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        levels: ArrayLike | None = None,
        max_steps: int | None = None,
        render_mode: str | None = None,
        tile_size: int = 32,
    ) -> None:
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise unknown_name("render mode", render_mode, self.metadata["render_modes"])
        # What a lane is, is said in one place: options, defaults and spaces are the single environment's.
        self._single = PlayEnv(problem, levels, max_steps, tile_size=tile_size)
        self.problem, self.rules = self._single.problem, self._single.rules
        self.shape, self.max_steps = self._single.shape, self._single.max_steps
        self.num_envs = at_least("num_envs", num_envs, 1)
        self.autoreset_mode = _autoreset_mode(autoreset_mode)
        self.metadata = {**self._single.metadata, **self.metadata, "autoreset_mode": self.autoreset_mode}
        self.metadata["render_fps"] = self._single.metadata["render_fps"]
        self.render_mode = render_mode
        self.tile_size = tile_size
        self.single_observation_space = self._single.observation_space
        self.single_action_space = self._single.action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._actions = len(self.rules.actions)
        self._random: list[np.random.Generator | None] = [None] * self.num_envs
        self._one_a_lane = False
        self._take(self._single.levels)
        self._states = np.zeros((self.num_envs, self._starts.shape[1]), np.int32)
        self._played = np.zeros((self.num_envs, *self.shape), np.uint8)
        self._steps = np.zeros(self.num_envs, np.int64)
        # The lanes that begin anew in the next step.
        self._done = np.zeros(self.num_envs, np.bool_)
        self._begun = False

    @property
    def levels(self) -> NDArray[np.uint8]:
        """The levels that episodes choose among, uint8 (k, *shape)."""
        return self._levels

    @property
    def played(self) -> NDArray[np.uint8]:
        """A copy of the level that each lane plays, uint8 (num_envs, *shape)."""
        return self._played.copy()

    def set_levels(self, levels: ArrayLike, *, one_a_lane: bool = False) -> None:
        """Gives the episodes that begin from now on other levels; those under way go on.

        Args:
            levels: tile ids (k, *shape), of the shape that the environment has.
            one_a_lane: lane i plays level i in every episode; there must be as many levels as lanes.

        Raises:
            UserError: a level cannot be started, or their shape or number is another.
        """
        batch = self._checked(levels)
        if one_a_lane and len(batch) != self.num_envs:
            raise UserError(f"one_a_lane needs {self.num_envs} levels, one for each lane; got {len(batch)}.")
        self._one_a_lane = one_a_lane
        self._take(batch)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begins new episodes.

        Args:
            seed: lane i's choice of levels is seeded with seed + i; a list gives each lane's own seed; None goes on.
            options: see the class; not changed.

        Returns:
            Observations and infos. With a `reset_mask` the infos are of the lanes that it names.

        Raises:
            UserError: the seed or an option cannot be used; nothing has been reset then.
        """
        options = {} if options is None else options
        for key in options:
            if key not in RESET_OPTIONS:
                raise unknown_name("reset option", key, RESET_OPTIONS)
        mask = reset_mask(options.get("reset_mask"), self.num_envs, self._begun)
        given = self._given(options.get("level"), options.get("levels"))
        seeds = lane_seeds(seed, self.num_envs)
        lanes = np.arange(self.num_envs) if mask is None else mask.nonzero()[0]
        for lane in lanes:
            if seeds[lane] is not None:
                self._random[lane] = seeding.np_random(seeds[lane])[0]
        self._begin(lanes, None if given is None else given[lanes])
        self._begun = True
        observations, infos = self._observations(), self._infos()
        return observations, infos if mask is None else _masked(infos, mask)

    def step(
        self, actions: ArrayLike
    ) -> tuple[Any, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Plays one action in every lane.

        Args:
            actions: integers (num_envs,).

        Returns:
            Observations, rewards float64 (num_envs,), terminations and truncations bool (num_envs,), and infos; the
            arrays are the caller's to keep. In the NEXT_STEP mode a lane that ended in the step before begins anew
            instead of acting, with reward 0.

        Raises:
            UserError: there is no such action, or a lane has ended and must be reset.
        """
        chosen = self._check_actions(actions)
        resting = self._done
        self._states = self.rules.step_all(self._states, chosen)
        self._steps += 1
        if resting.any():
            self._begin(resting.nonzero()[0])
        outcomes = self.rules.outcomes(self._states)
        active = ~resting
        terminations = active & (outcomes != PLAYING)
        truncations = active & ~terminations & (self._steps >= self.max_steps)
        rewards = np.where(terminations & (outcomes == WON), 1.0, np.where(terminations & (outcomes == LOST), -1.0, 0))
        done = terminations | truncations
        observations, infos = self._observations(), self._infos(outcomes)
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            if done.any():
                final = {
                    "final_obs": self._final(observations, done),
                    "_final_obs": done.copy(),
                    "final_info": _masked(infos, done),
                    "_final_info": done.copy(),
                }
                self._begin(done.nonzero()[0])
                observations, infos = self._observations(), {**final, **self._infos()}
        else:
            self._done = done.copy()
        return observations, rewards, terminations, truncations, infos

    def render(self) -> tuple[NDArray[np.uint8], ...]:  # type: ignore[override]
        """Returns a picture of every lane, uint8 RGB (height * tile_size, width * tile_size, 3).

        Raises:
            UserError: the environment was made without a render mode, or no level has been started.
        """
        from envs.pictures import render_game  # noqa: PLC0415 (Pillow is loaded only where pictures are made)

        if self.render_mode is None:
            raise UserError('This environment was made without render_mode; make it with "rgb_array" to render.')
        if not self._begun:
            raise UserError("No level has been started yet: call reset() first.")
        return tuple(render_game(self.rules, state, self.tile_size) for state in self._states)

    def close_extras(self, **kwargs: Any) -> None:
        """Closes nothing: a batch opens no window."""

    def _take(self, levels: NDArray[np.uint8]) -> None:
        """Keeps checked levels with the states that their games begin in."""
        self._levels = levels
        self._starts = np.stack([self.rules.start(level) for level in levels])

    def _checked(self, levels: object) -> NDArray[np.uint8]:
        batch = self._single._checked(levels)
        if batch.shape[1:] != self.shape:
            raise UserError(
                f"This environment plays levels of shape {self.shape}; got levels of shape {batch.shape[1:]}: "
                "give such levels, or make another environment."
            )
        return batch

    def _given(self, level: Any, levels: Any) -> NDArray[np.uint8] | None:
        """Returns the levels that a reset was given, uint8 (num_envs, *shape), or None for none."""
        if level is not None and levels is not None:
            raise UserError("Give a reset either `level`, for all lanes, or `levels`, one for each; got both.")
        if level is None and levels is None:
            return None
        batch = self._checked(levels if level is None else level)
        if len(batch) not in (1, 1 if levels is None else self.num_envs):
            raise UserError(f"A reset takes one level, or `levels` for all {self.num_envs} lanes; got {len(batch)}.")
        return np.broadcast_to(batch, (self.num_envs, *self.shape))

    def _begin(self, lanes: NDArray[np.int64], given: NDArray[np.uint8] | None = None) -> None:
        """Begins new games in some lanes, of the levels given, uint8 (k, *shape), or of levels chosen."""
        if given is not None:
            self._states[lanes] = [self.rules.start(level) for level in given]
            self._played[lanes] = given
        else:
            chosen = lanes if self._one_a_lane else self._draw(lanes)
            self._states[lanes] = self._starts[chosen]
            self._played[lanes] = self._levels[chosen]
        self._steps[lanes] = 0
        self._done[lanes] = False

    def _draw(self, lanes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Draws a level for each of some lanes, from the lane's own stream."""
        chosen = np.empty(len(lanes), np.int64)
        for i, lane in enumerate(lanes):
            random = self._random[lane]
            if random is None:
                random = self._random[lane] = seeding.np_random()[0]
            chosen[i] = random.integers(len(self._levels))
        return chosen

    def _observations(self) -> Any:
        boards = self.rules.boards(self._states).reshape(self.num_envs, -1)
        return {"board": boards, "senses": self.rules.senses_of(self._states)} if self.rules.senses else boards

    def _infos(self, outcomes: NDArray[np.int64] | None = None) -> dict[str, Any]:
        outcomes = self.rules.outcomes(self._states) if outcomes is None else outcomes
        everyone = np.ones(self.num_envs, np.bool_)
        return {"won": outcomes == WON, "_won": everyone, "steps": self._steps.copy(), "_steps": everyone.copy()}

    def _final(self, observations: Any, done: NDArray[np.bool_]) -> NDArray[np.object_]:
        final = np.full(self.num_envs, None, object)
        for lane in done.nonzero()[0]:
            if isinstance(observations, dict):
                final[lane] = {key: part[lane] for key, part in observations.items()}
            else:
                final[lane] = observations[lane]
        return final

    def _check_actions(self, actions: ArrayLike) -> NDArray[np.int64]:
        if not self._begun:
            raise UserError("Call reset() before the first step().")
        chosen = np.asarray(actions)
        if chosen.shape != (self.num_envs,) or not np.issubdtype(chosen.dtype, np.integer):
            raise UserError(
                f"Actions must be {self.num_envs} whole numbers, one for each lane; "
                f"got {chosen.dtype} of shape {chosen.shape}."
            )
        if chosen.min() < 0 or chosen.max() >= self._actions:
            names = ", ".join(f"{i} {name}" for i, name in enumerate(self.rules.actions))
            worst = chosen.min() if chosen.min() < 0 else chosen.max()
            raise UserError(f"Action {worst} is not one of this game's actions: {names}.")
        if self.autoreset_mode is AutoresetMode.DISABLED and self._done.any():
            raise UserError(
                f"The episodes of lanes {self._done.nonzero()[0].tolist()[:8]} have ended: "
                "reset them with reset(options={'reset_mask': mask}) before the next step."
            )
        return chosen.astype(np.int64)


def _masked(infos: dict[str, Any], mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Returns infos of the lanes of a mask, the others' values being 0."""
    for name in _INFO_NAMES:
        infos[name][~mask] = 0
        infos["_" + name] = mask.copy()
    return infos
