"""A policy as RLlib's `RLModule`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.distribution.torch.torch_distribution import TorchDeterministic, TorchDistribution
from ray.rllib.core.rl_module.apis import ValueFunctionAPI
from ray.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule
from torch import Tensor
from torch.distributions import Categorical, Distribution, Normal, kl_divergence

from agents.interface import ActionCode
from agents.networks import DesignerNetwork
from agents.policy import Policy
from agents.ppo import loss
from agents.training import PPOConfig


class PolicyModule(TorchRLModule, ValueFunctionAPI):
    """A policy as RLlib's module; its `model_config` holds the `task`, the `ppo` settings and the `seed`.

    In training it is given rows (see `Policy`) and returns their loss, so that the gradients of several learners are
    averaged by torch. Where a row is a step, RLlib's own environment runner and PPO learner can use it too.
    """

    policy: Policy
    ppo: PPOConfig
    model_config: Any

    def setup(self) -> None:
        """Makes the policy."""
        self.ppo = self.model_config["ppo"]
        self.policy = self.model_config["task"].make_policy(self.model_config["seed"])

    def _forward_train(self, batch: Mapping[str, Any], **kwargs: Any) -> dict[str, Any]:
        if Columns.OBS in batch:
            return self._forward(batch)
        total, figures = loss(self.policy, batch, self.ppo)
        return {"loss": total, **figures}

    # For RLlib's own runner and learner.

    @property
    def _network(self) -> DesignerNetwork:
        assert isinstance(self.policy, DesignerNetwork)
        return self.policy

    def _forward(self, batch: Mapping[str, Any], **kwargs: Any) -> dict[str, Any]:
        found, values = self._network.distribution(batch[Columns.OBS])
        inputs = [found.logits] if isinstance(found, Categorical) else [found.mean, found.stddev.log()]
        return {
            Columns.ACTION_DIST_INPUTS: torch.cat([part.flatten(1) for part in inputs], dim=1),
            Columns.VF_PREDS: values,
        }

    def _forward_exploration(self, batch: Mapping[str, Any], **kwargs: Any) -> dict[str, Any]:
        with torch.no_grad():
            found = self._forward(batch)
        distribution = self.get_exploration_action_dist_cls().from_logits(found[Columns.ACTION_DIST_INPUTS])
        actions: Any = distribution.sample()
        return {
            **found,
            Columns.ACTIONS: actions,
            Columns.ACTION_LOGP: distribution.logp(actions),
            # RLlib must not scale or clip actions then: `normalize_actions` and `clip_actions` are False.
            Columns.ACTIONS_FOR_ENV: torch.from_numpy(self.policy.env_actions(actions.numpy())),
        }

    def compute_values(self, batch: Mapping[str, Any], embeddings: Any = None) -> Tensor:
        """Returns the returns that are expected, float32 (n,)."""
        return self._network(batch[Columns.OBS])[1]

    def get_inference_action_dist_cls(self) -> type[TorchDistribution]:
        """Returns what actions are drawn from."""
        return type("Choices", (_Choices,), {"code": self._network.code})


class _Choices(TorchDistribution):
    """What a designer's choices, or real numbers, are drawn from."""

    code: ActionCode

    def _get_torch_distribution(self, logits: Tensor) -> Distribution:
        if self.code.numbers:
            mean, spread = logits.chunk(2, dim=1)
            return Normal(mean, spread.exp(), validate_args=False)
        return Categorical(logits=logits.view(len(logits), self.code.choices, -1), validate_args=False)

    @staticmethod
    def required_input_dim(space: Any, **kwargs: Any) -> int:
        """Returns how many numbers describe the distribution over an action space."""
        code = ActionCode.of(space)
        return 2 * code.numbers or code.choices * code.options

    def logp(self, value: Any, **kwargs: Any) -> Tensor:
        """Returns log-probabilities, float32 (n,)."""
        return self._dist.log_prob(value.view(len(value), -1)).sum(dim=1)

    def entropy(self, **kwargs: Any) -> Tensor:
        """Returns entropies, float32 (n,)."""
        return self._dist.entropy().sum(dim=1)

    def kl(self, other: Any, **kwargs: Any) -> Tensor:
        """Returns how far another distribution is, float32 (n,)."""
        return kl_divergence(self._dist, other._dist).sum(dim=1)

    def to_deterministic(self) -> TorchDeterministic:
        """Returns what always draws the likeliest action."""
        return TorchDeterministic(loc=self._dist.mode)
