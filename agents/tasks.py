"""What a training is about, as data that any process can make the same environment, policy and reward from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agents.interface import Interface
from agents.networks import DesignerNetwork, NetworkConfig
from agents.policy import Policy
from agents.rewards import LearnersReward, RewardConfig
from envs import UserError, get_problem
from envs.vector_env import DesignVectorEnv
from generators.families.tile_lm import TileLM
from generators.generator import Generator
from generators.packing import PackedGenerator


@dataclass(frozen=True)
class Task:
    """A design task for a learner. It can be pickled, and sent to other processes and machines.

    Attributes:
        environment: what `DesignVectorEnv` is given: problem, representation and options; plain data. What a pretrained
            generator says of its levels is not among it, see `make_env`.
        network: the shape of a designer's network.
        reward: what the learner is paid.
        known: uint8 (k, *shape), levels that are not new to anybody; None for none.
        generator: the pretrained generator: the tile LM that writes in the sequence representation, or what decodes in
            the latent one; None where the designer begins with nothing.
    """

    environment: Mapping[str, Any]
    network: NetworkConfig = field(default_factory=NetworkConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    known: NDArray[np.uint8] | None = None
    generator: PackedGenerator | None = None

    @cached_property
    def _unpacked(self) -> Generator | None:
        return None if self.generator is None else self.generator.unpack()

    @property
    def writes(self) -> bool:
        """Whether the policy is a tile LM."""
        return self.generator is not None and self.environment["representation"] == "sequence"

    def __getstate__(self) -> dict[str, Any]:
        """Returns what is sent: the data, not what was made from it."""
        made = ("_unpacked", "interface")
        return {name: value for name, value in self.__dict__.items() if name not in made}

    def make_env(self, num_envs: int = 1, autoreset_mode: str = "NextStep", **changes: Any) -> DesignVectorEnv:
        """Makes the batched environment, with some options that differ from those of the task.

        A tile LM brings its own order of decisions, and levels begin blank, or, where some of their tiles are to be
        frozen, as one of `known`. Other generators decode within the environment.
        """
        options = {**self.environment, **changes}
        generator = self._unpacked
        if generator is not None:
            if options.get("problem") != generator.spec.problem:
                raise UserError(
                    f"The generator is for {generator.spec.problem}, the environment for {options.get('problem')}."
                )
            if self.writes:
                options |= self._sequence_options(generator)
            else:
                from generators.latents import latent_decoder  # noqa: PLC0415

                options["decoder"] = latent_decoder(generator)
                options.setdefault("shape", generator.spec.shape)
        return DesignVectorEnv(num_envs=num_envs, autoreset_mode=autoreset_mode, **options)

    def _sequence_options(self, generator: Generator) -> dict[str, Any]:
        sequence = _tile_lm(generator).network.sequence
        starts = np.zeros((1, *generator.spec.shape), np.uint8)
        if self.environment.get("frozen_share") and self.known is not None:
            starts = self.known
        paths = tuple(
            tuple(int(symbol) for symbol in path[:length])
            for path, length in zip(sequence.path.tolist(), sequence.length.tolist(), strict=True)
        )
        return {
            "shape": generator.spec.shape,
            "order": "row" if sequence.order == "layers" else sequence.order,
            "paths": paths,
            "constant": tuple(sequence.constant.tolist()),
            "start_levels": starts,
        }

    @cached_property
    def interface(self) -> Interface:
        """What goes into and comes out of a designer's network."""
        return Interface.of(self.make_env(1))

    def make_policy(self, seed: int) -> Policy:
        """Makes the policy with its first weights, which follow from the seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if self.writes:
                from agents.sequence import SequencePolicy, TargetReader  # noqa: PLC0415

                assert self.generator is not None
                model = _tile_lm(self.generator.unpack())
                return SequencePolicy(model, TargetReader.of(model, self.make_env(1)))
            return DesignerNetwork(self.interface, self.network)

    def make_reward(self) -> LearnersReward:
        """Makes what pays the learner of one process."""
        return LearnersReward(self.reward, get_problem(self.environment["problem"]), self.known)


def _tile_lm(generator: Generator) -> TileLM:
    """Returns a generator as the tile LM that it must be, or raises UserError."""
    if not isinstance(generator, TileLM):
        raise UserError(
            f"Only a tile LM can be the policy of the sequence representation; this generator is a {generator.name}."
        )
    return generator
