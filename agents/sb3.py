"""Stable-Baselines3 over the batched environment: an adapter without a loop over lanes, and a policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from agents.interface import ActionCode
from agents.policy import Policy
from envs.errors import UserError
from envs.vector_env import DesignVectorEnv


class SB3VecEnv(VecEnv):
    """A batched level-design environment as Stable-Baselines3's `VecEnv`.

    Actions are those of the policy's choices (`agents.networks.ActionCode`), so that any algorithm of the library sees
    a discrete action space or a list of equal choices.

    Args:
        env: a batched environment in the SAME_STEP autoreset mode.

    Raises:
        UserError: the environment is in another mode.
    """

    def __init__(self, env: DesignVectorEnv) -> None:
        if env.autoreset_mode is not AutoresetMode.SAME_STEP:
            raise UserError(
                "Stable-Baselines3 needs the autoreset_mode 'SameStep'; "
                f"the environment has {env.autoreset_mode.value!r}."
            )
        self.batch = env
        self.code = ActionCode.of(env.single_action_space, len(env.shape))
        self._actions = np.zeros(0, np.int64)
        #: What the episodes that ended in the last step came to, one list a fact; see `step_wait`.
        self.ended: dict[str, np.ndarray] = {}
        self._returns = np.zeros(env.num_envs)
        self.render_mode = env.render_mode
        self._seed: int | None = None
        self._reset_with: dict[str, Any] | None = None
        super().__init__(env.num_envs, env.single_observation_space, self.code.space())

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seeds the next reset; lane i gets seed + i."""
        self._seed = seed
        return [None if seed is None else seed + lane for lane in range(self.num_envs)]

    def set_options(self, options: list[dict[str, Any]] | dict[str, Any] | None = None) -> None:
        """Gives the next reset its options, those of `DesignVectorEnv.reset`, for all lanes together.

        Raises:
            UserError: a list was given, one a lane.
        """
        if isinstance(options, list):
            raise UserError("Options are given for all lanes together: give one dictionary with arrays a lane.")
        self._reset_with = options

    def reset(self) -> dict[str, np.ndarray]:
        """Begins new episodes in all lanes."""
        observations, _ = self.batch.reset(seed=self._seed, options=self._reset_with)
        self._seed, self._reset_with = None, None
        self._returns[:] = 0
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        """Takes the actions of the next step."""
        self._actions = self.code.decode(actions.reshape(self.num_envs, -1))

    def step_wait(self) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Steps all lanes; infos carry what ended episodes came to."""
        observations, rewards, terminations, truncations, infos = self.batch.step(self._actions)
        done = terminations | truncations
        self._returns += rewards
        lane_infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        self.ended = {}
        lanes = np.flatnonzero(done)
        if len(lanes):
            final = infos["final_info"]
            for lane in lanes:
                lane_infos[lane] = {
                    "terminal_observation": infos["final_obs"][lane],
                    "TimeLimit.truncated": bool(truncations[lane]),
                    "episode": {"r": float(self._returns[lane]), "l": int(final["steps"][lane]), "t": 0.0},
                    "is_success": bool(final["success"][lane]),
                }
            self.ended = {key: values[lanes] for key, values in final.items() if key[0] != "_"}
            self.ended["length"] = self.ended.pop("steps")
            self.ended["return"] = self._returns[lanes]
            self._returns[lanes] = 0
        return observations, rewards.astype(np.float32), done, lane_infos

    def close(self) -> None:
        """Closes the environment."""
        self.batch.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Returns an attribute of the batched environment, once for each lane asked for."""
        return [getattr(self.batch, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Sets an attribute of the batched environment, which all lanes share."""
        setattr(self.batch, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Calls a method of the batched environment once, and returns its result for each lane asked for."""
        result = getattr(self.batch, method_name)(*args, **kwargs)
        return [result for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Tells that no lane is wrapped."""
        return [False for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[np.ndarray | None]:
        """Returns a picture of every lane."""
        return list(self.batch.render() or ())


class DesignerPolicy(ActorCriticPolicy):
    """Stable-Baselines3's view of a policy.

    Args:
        network: the policy.
    """

    def __init__(
        self,
        observation_space: Any,
        action_space: Any,
        lr_schedule: Any,
        *,
        network: Policy,
        **kwargs: Any,
    ) -> None:
        # A module takes no parts before it is one itself.
        self._given = (network,)
        super().__init__(observation_space, action_space, lr_schedule, ortho_init=False, **kwargs)

    def _build(self, lr_schedule: Any) -> None:
        self.network = self._given[0]
        optimizer: Any = self.optimizer_class
        weights = [weight for weight in self.network.parameters() if weight.requires_grad]
        self.optimizer = optimizer(weights, lr=lr_schedule(1), **self.optimizer_kwargs)

    def forward(self, obs: Any, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Returns actions, values (n, 1) and log probabilities (n,)."""
        acted = self.network.act(obs, deterministic=deterministic)
        actions = acted.actions.reshape(-1, *(self.action_space.shape or ()))
        return actions, acted.values[:, None], acted.log_prob

    def evaluate_actions(self, obs: Any, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Returns values (n, 1), log probabilities (n,) and entropies (n,)."""
        found = self.network.evaluate({"actions": actions, **{f"observation.{name}": obs[name] for name in obs}})
        return found.values[:, None], found.log_prob, found.entropy

    def predict_values(self, obs: Any) -> Tensor:
        """Returns values (n, 1)."""
        return self.network.act(obs, deterministic=True).values[:, None]

    def _predict(self, observation: Any, deterministic: bool = False) -> Tensor:
        return self.forward(observation, deterministic)[0]
