"""RLlib's learner with the project's own loss and loop over minibatches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.core.learner.training_data import TrainingData
from torch import Tensor

from agents.policy import Policy
from agents.training import LOSSES, PPOConfig

#: Gradients of a greater norm are shortened, and this is added in Adam's quotient, as Stable-Baselines3 does both.
GRADIENT_NORM, ADAM_EPSILON = 0.5, 1e-5


@dataclass(frozen=True)
class Lesson:
    """How an update is made.

    Attributes:
        learning_rate: of this update.
        seed: fixes the order of the rows.
    """

    learning_rate: float
    seed: tuple[int, ...]


class RowsLearner(TorchLearner):
    """Learns from rows (see `Policy`) by `agents.ppo.loss`, in shuffled minibatches.

    Several learners get equally many rows each and take their steps together, by the mean of their gradients.
    """

    _module: Any

    @property
    def policy(self) -> Policy:
        """The policy that is trained here."""
        return self._module[DEFAULT_MODULE_ID].unwrapped().policy

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """What takes the gradient steps."""
        return self.get_optimizer()

    def build(self) -> None:
        """Builds the learner."""
        torch.set_num_threads(self._ppo.threads)
        super().build()

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """Makes the optimiser."""
        parameters = [weight for weight in self._module[module_id].parameters() if weight.requires_grad]
        optimizer = torch.optim.Adam(parameters, lr=self._ppo.learning_rate, eps=ADAM_EPSILON)
        self.register_optimizer(module_id=module_id, optimizer=optimizer, params=parameters)

    def update(  # type: ignore[override]
        self, *, training_data: TrainingData, lesson: Lesson, **kwargs: Any
    ) -> dict[str, float]:
        """Makes one update.

        Args:
            training_data: its batch, or the only one of its batches, is the rows: arrays by name.
            lesson: how to learn.
            kwargs: what RLlib says besides; of no use here.

        Returns:
            Those of `LOSSES`, means over gradient steps.
        """
        rows: Any = training_data.batches[0] if training_data.batches else training_data.batch
        for group in self.optimizer.param_groups:
            group["lr"] = lesson.learning_rate
        self._weights_seq_no += 1
        # What comes from other processes must not be written to; a copy is cheap.
        tensors = {name: torch.tensor(part, device=self.device) for name, part in rows.items()}
        return self._learn(tensors, np.random.default_rng([*lesson.seed, self._learner_index]))

    def compute_loss_for_module(self, *, fwd_out: Mapping[str, Tensor], **kwargs: Any) -> Tensor:  # type: ignore[override]
        """Returns the loss that the module has found."""
        return fwd_out["loss"]

    @property
    def _ppo(self) -> PPOConfig:
        return self.config.env_config["ppo"]

    def _learn(self, rows: Mapping[str, Tensor], random: np.random.Generator) -> dict[str, float]:
        count = len(rows["actions"])
        size = max(self._ppo.batch // max(self.config.num_learners, 1), 1)
        parameters = list(self.policy.parameters())
        figures = []
        for _ in range(self._ppo.epochs):
            order = torch.from_numpy(random.permutation(count)).to(self.device)
            for first in range(0, count, size):
                chosen = order[first : first + size]
                found = self.module[DEFAULT_MODULE_ID].forward_train(
                    {name: part[chosen] for name, part in rows.items()}
                )
                self.optimizer.zero_grad(set_to_none=True)
                self.compute_loss_for_module(fwd_out=found).backward()
                torch.nn.utils.clip_grad_norm_(parameters, GRADIENT_NORM)
                self.optimizer.step()
                figures.append(torch.stack([found[name].detach() for name in LOSSES]))
        return dict(zip(LOSSES, torch.stack(figures).mean(dim=0).tolist(), strict=True))


def pick(rows: Mapping[str, Tensor], chosen: Tensor) -> dict[str, Tensor]:
    """Returns some of the rows; where rows are levels, without what only fills up the longest of all."""
    picked = {name: part[chosen] for name, part in rows.items()}
    if "real" not in picked:
        return picked
    longest = int(picked["real"].sum(dim=1).max())
    return {name: part if name == "asked" else part[:, :longest] for name, part in picked.items()}


def split(rows: Mapping[str, NDArray], parts: int) -> list[dict[str, NDArray]]:
    """Deals rows out to learners, equally many to each; up to `parts` - 1 rows are left over."""
    if parts <= 1:
        return [dict(rows)]
    each = len(rows["actions"]) // parts
    return [{name: part[first::parts][:each] for name, part in rows.items()} for first in range(parts)]


def read_state(learner: RowsLearner) -> dict[str, Any]:
    """Returns the state of a learner's policy and of its optimiser, in tensors of the CPU."""
    return {"policy": _on_cpu(learner.policy.state_dict()), "optimizer": _on_cpu(learner.optimizer.state_dict())}


def write_state(learner: RowsLearner, state: Mapping[str, Any]) -> None:
    """Gives a learner's policy and, where it is told, its optimiser a state."""
    learner.policy.load_state_dict(state["policy"])
    if "optimizer" in state:
        learner.optimizer.load_state_dict(state["optimizer"])


def _on_cpu(content: Any) -> Any:
    if isinstance(content, Tensor):
        return content.detach().cpu()
    if isinstance(content, Mapping):
        return {name: _on_cpu(part) for name, part in content.items()}
    if isinstance(content, (list, tuple)):
        return type(content)(_on_cpu(part) for part in content)
    return content
