"""One level designed at a time: one lane of the batched environment, so that the two cannot drift apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import ArrayLike, NDArray

from envs.errors import UserError
from envs.problem import Problem, inside
from envs.representation import Representation
from envs.vector_env import DesignVectorEnv


class DesignEnv(gymnasium.Env):
    """One level-design episode at a time, made by `gymnasium.make`.

    Observations, actions, rewards, ends and infos are those of one lane of `envs.vector_env.DesignVectorEnv`, which
    describes them and every option.

    Args:
        problem: a problem or its name.
        representation: a representation or its name.
        render_mode: "rgb_array", "human" or None.
        **options: the options of `DesignVectorEnv` other than `num_envs` and `autoreset_mode`.

    Raises:
        UserError: an option cannot be used.
    """

    metadata: dict[str, Any] = dict(DesignVectorEnv.metadata)

    def __init__(
        self,
        problem: str | Problem,
        representation: str | Representation,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        for name in ("num_envs", "autoreset_mode"):
            if name in options:
                raise UserError(
                    f"{name} is for gymnasium.make_vec; a single environment has one lane and no autoreset."
                )
        self.batch = DesignVectorEnv(
            problem, representation, 1, autoreset_mode="Disabled", render_mode=render_mode, **options
        )
        self.render_mode = render_mode
        self.observation_space = self.batch.single_observation_space
        self.action_space = self.batch.single_action_space
        self._several_numbers = self.action_space.shape != ()

    @property
    def problem(self) -> Problem:
        """The problem that levels are designed for."""
        return self.batch.problem

    @property
    def level(self) -> NDArray[np.uint8]:
        """A copy of the level as it stands, uint8 (height, width) or (depth, height, width)."""
        return self.batch.levels[0][inside(self.batch.level_shapes[0])]

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, NDArray], dict[str, Any]]:
        """Begins a new episode.

        Args:
            seed: restarts the random stream; None goes on.
            options: `levels` and `frozen`, of the level's shape, and `targets`; see `DesignVectorEnv.reset`.

        Returns:
            The observation and the info.

        Raises:
            UserError: the seed or an option cannot be used.
        """
        super().reset(seed=seed)
        observations, infos = self.batch.reset(seed=seed, options=options)
        if self.render_mode == "human":
            self.batch.render()
        return _lane(observations), self._info(infos)

    def step(self, action: ArrayLike) -> tuple[dict[str, NDArray], float, bool, bool, dict[str, Any]]:
        """Applies one action of `action_space`; see `DesignVectorEnv.step`."""
        actions = np.asarray(action)[None] if self._several_numbers else np.asarray(action).reshape(-1)
        observations, rewards, terminations, truncations, infos = self.batch.step(actions)
        if self.render_mode == "human":
            self.batch.render()
        return (
            _lane(observations),
            rewards.item(),
            terminations.item(),
            truncations.item(),
            self._info(infos),
        )

    def action_masks(self) -> NDArray[np.bool_]:
        """Returns which actions mean what they say, bool; see `DesignVectorEnv.action_masks`."""
        return self.batch.action_masks()[0]

    def _info(self, infos: dict[str, Any]) -> dict[str, Any]:
        """Returns the only lane's values: metrics as float32 scalars, flags as bool, counts as int."""
        info = {name: infos[name][0] for name in self.batch.metric_names}
        for name in ("success", "strict_success", "changes", "steps"):
            info[name] = infos[name].item()
        return info

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]
        """Draws the level: an RGB array in the "rgb_array" mode; a window in the "human" mode."""
        frames = self.batch.render()
        return None if frames is None else frames[0]

    def close(self) -> None:
        """Closes the window, if one is open."""
        self.batch.close()


def _lane(observations: dict[str, NDArray]) -> dict[str, NDArray]:
    return {key: part[0] for key, part in observations.items()}
