"""A pretrained tile LM as the policy of the sequence representation: its weights, its cache, its order of decisions."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributions import Categorical

from agents.policy import Acted, Evaluated, Policy, draw
from envs import UserError
from envs.problem import Metric
from envs.vector_env import DesignVectorEnv
from generators.decisions import Decisions
from generators.families.tile_lm import TileLM, TileNetwork
from generators.samplers.tile_lm import Pending, Writing
from generators.storage import INT8, STORAGE

#: The logit of a symbol that is not allowed: its probability is 0 in float32, its entropy no NaN.
_NEVER = -1e9

#: The parts of `Decisions` that rows carry; the symbol decided is the action.
_PARTS = tuple(entry.name for entry in fields(Decisions) if entry.name not in ("symbol", "real"))


class SequencePolicy(Policy):
    """Writes levels as a tile LM samples them at temperature 1, count rules kept, and knows what they will be worth.

    All lanes begin their levels together. The value is read from what the network knows, and does not change it.

    Args:
        generator: the pretrained tile LM. Its network is trained further; a copy of it as it is now stays the
            reference that a divergence is taken from.
        asked: how drawn targets are told to the tile LM; see `TargetReader`.
    """

    whole_levels = True

    def __init__(self, generator: TileLM, asked: TargetReader) -> None:
        super().__init__()
        if generator.facts.get(STORAGE) == INT8:
            raise UserError(
                "A tile LM of eight-bit weights cannot be trained further: give the generator that it was made from."
            )
        self.generator = generator
        self.network: TileNetwork = generator.network
        for part in self.network.modules():
            if isinstance(part, nn.Dropout):
                # What is learned from a level must be its probability as it was written.
                part.p = 0.0
        width = generator.config.width
        worth = nn.Linear(width, 1)
        nn.init.zeros_(worth.weight)
        nn.init.zeros_(worth.bias)
        self.value = nn.Sequential(nn.Linear(width, width), nn.ReLU(), worth)
        self._asked = asked
        # Not a part of the module: it is neither trained nor saved.
        reference = copy.deepcopy(generator.network).requires_grad_(False).eval()
        self._reference = (reference,)
        self._writing: Writing | None = None
        self._buckets = np.zeros((0, 0), np.int64)
        self._trace: list[Pending] = []

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.network.head.weight.device

    # Acting.

    def act(
        self,
        observation: Mapping[str, Tensor],
        random: torch.Generator | None = None,
        deterministic: bool = False,
    ) -> Acted:
        """Decides the next symbol of each level; see `Policy.act`.

        Where all levels are at their first decision they begin anew. A level that is finished before others has nothing
        to decide; what is returned for it means nothing.
        """
        with torch.no_grad():
            writing = self._follow(observation)
            pending = writing.pending()
            allowed, real = (torch.from_numpy(part).to(self.device) for part in (pending.allowed, pending.real))
            scores = self._scores(self.network, pending.features, allowed)
            distribution = Categorical(logits=scores, validate_args=False)
            actions = draw(distribution, random, deterministic)
            writing.place(pending, np.where(pending.real, actions.cpu().numpy(), 0))
            self._trace.append(replace(pending, features=None))
            log_prob = torch.where(real, distribution.log_prob(actions), 0.0)
            values = torch.where(real, self.value(pending.features)[:, 0], 0.0)
        return Acted(actions[:, None], log_prob, values)

    def env_actions(self, actions: NDArray) -> NDArray:
        """Returns int64 (n,) for int64 (n, 1)."""
        return actions[:, 0]

    def _follow(self, observation: Mapping[str, Tensor]) -> Writing:
        """Returns the levels in the making, begun anew where the environment begins."""
        sequence = self.network.sequence
        row, column = (int(part) for part in divmod(int(sequence.cells[0]), sequence.shape[1]))
        cursor = observation["cursor"].long().to(self.device)
        first = (cursor[:, 0] == row) & (cursor[:, 1] == column) & (observation["pass"][:, 0].to(self.device) == 0)
        if bool(first.all()):
            self._begin(observation)
        writing = self._writing
        if writing is None or len(writing.turn) != len(first):
            raise UserError("A tile LM writes whole levels: begin all lanes together, with a reset of the environment.")
        return writing

    def _begin(self, observation: Mapping[str, Tensor]) -> None:
        shown = observation["map"].long().cpu().numpy()
        fixed = None
        if "frozen" in observation:
            sequence = self.network.sequence
            tiles = np.append(sequence.symbol_tile.cpu().numpy(), -1)[shown]
            frozen = observation["frozen"].cpu().numpy().astype(np.bool_)
            fixed = np.where(frozen, tiles, -1).astype(np.int16).reshape(-1, *sequence.shape)
            if (fixed < 0).all():
                fixed = None
        self._buckets = self._asked(observation, len(shown))
        self._writing = self.generator.sampler().writing(self._buckets, fixed)
        self._trace = []

    def rows(self) -> dict[str, NDArray]:
        """Returns the decisions made since the levels were begun, as rows for `evaluate`: one a level.

        Returns:
            By name: the parts of `Decisions`, (levels, decisions, ...); `real`, bool; `allowed`, bool (levels,
            decisions, symbols); `asked`, int64 (levels, columns). Sizes are those that need least room.
        """
        names = (*_PARTS, "real", "allowed")
        found = {name: np.stack([getattr(one, name) for one in self._trace], axis=1) for name in names}
        found |= {name: found[name].astype(np.int16) for name in _PARTS}
        return {**found, "asked": self._buckets}

    # Learning.

    def evaluate(self, rows: Mapping[str, Tensor]) -> Evaluated:
        """Judges whole levels again; see `Policy.evaluate`."""
        features, distribution = self._distribution(self.network, rows)
        log_prob = distribution.log_prob(rows["actions"].long())
        values = self.value(features.detach())[:, :, 0]
        return Evaluated(log_prob, values, distribution.entropy())

    def reference_log_prob(self, rows: Mapping[str, Tensor]) -> Tensor:
        """Returns what the tile LM as it was at first thinks of the decisions, float32 (levels, decisions)."""
        reference = self._reference[0].to(self.device)
        with torch.no_grad():
            _, distribution = self._distribution(reference, rows)
            return distribution.log_prob(rows["actions"].long())

    def _distribution(self, network: TileNetwork, rows: Mapping[str, Tensor]) -> tuple[Tensor, Categorical]:
        parts = {name: rows[name].long() for name in _PARTS}
        decisions = Decisions(symbol=rows["actions"].long(), real=rows["real"].bool(), **parts)
        features = network.features(decisions, rows["asked"].long())
        scores = self._scores(network, features, rows["allowed"].bool())
        return features, Categorical(logits=scores, validate_args=False)

    @staticmethod
    def _scores(network: TileNetwork, features: Tensor, allowed: Tensor) -> Tensor:
        scores: Tensor = network.head(features)
        return scores.masked_fill(~allowed, _NEVER)


class TargetReader:
    """Tells a tile LM what drawn targets ask for: the middle of each target interval, as the bucket that it lies in.

    Args:
        generator: the tile LM.
        metrics: the environment's metrics whose targets are drawn, in the order of the observation's `targets`.

    Raises:
        UserError: the tile LM cannot be asked for one of them.
    """

    def __init__(self, generator: TileLM, metrics: Sequence[Metric]) -> None:
        self._spec = generator.spec
        known = [metric.name for metric in generator.spec.conditions]
        for metric in metrics:
            if metric.name not in known:
                raise UserError(
                    f"This tile LM cannot be asked for {metric.name}; it knows "
                    f"{', '.join(known) or 'no metric'}: control those, or train one with --conditions {metric.name}."
                )
        self._names = [metric.name for metric in metrics]
        self._bounds = [metric.bounds(generator.spec.shape) for metric in metrics]

    @classmethod
    def of(cls, generator: TileLM, env: DesignVectorEnv) -> TargetReader:
        """Returns the reader for an environment's own controls."""
        return cls(generator, env.controlled_metrics)

    def __call__(self, observation: Mapping[str, Tensor], lanes: int) -> NDArray[np.int64]:
        """Returns what is asked of each level, int64 (lanes, columns); see `LevelSpec.buckets`."""
        condition: dict[str, Any] = {}
        if self._names:
            ends = observation["targets"].float().cpu().numpy()
            middle = (ends[:, : len(self._names)] + ends[:, len(self._names) :]) / 2
            for i, name in enumerate(self._names):
                low, high = self._bounds[i]
                condition[name] = low + middle[:, i] * (high - low)
        values, labels = self._spec.values(condition, lanes)
        return self._spec.buckets(values, labels)
