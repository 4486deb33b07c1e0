"""What draws a family's levels, once its networks are functions of arrays: no torch is needed here.

A sampler runs in the same way on torch and on what was exported of it, so that the two cannot drift apart.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from generators.options import NoOptions
from generators.sampling import Request
from generators.spec import LevelSpec


class Networks(Protocol):
    """The graphs of a generator (`generators.graphs.Graph`), whatever runs them."""

    def __call__(self, graph: str, *inputs: Any) -> tuple[Any, ...]:
        """Returns what a graph makes of arrays.

        Args:
            graph: its name.
            inputs: arrays, or what a graph returned to be handed on.

        Returns:
            Arrays; those that are only handed on may stay with what runs the graphs, as what it has for arrays: they
            can be indexed and written to.
        """

    def zeros(self, *shape: int) -> Any:
        """Returns float32 numbers 0, as what is only handed on."""


class Sampler(ABC):
    """Draws levels. One file in `generators/samplers/` defines one subclass, for the family of the same name.

    Args:
        spec: what the levels are.
        settings: what else it has to know of the model.
        networks: the family's graphs.
    """

    #: The family's name.
    name: ClassVar[str]
    #: Frozen dataclasses: what is known of a model, as plain data, and the options of sampling.
    Settings: ClassVar[type] = NoOptions
    Sampling: ClassVar[type] = NoOptions

    def __init__(self, spec: LevelSpec, settings: Any, networks: Networks) -> None:
        self.spec = spec
        self.settings = settings
        self.networks = networks

    @abstractmethod
    def draw(self, request: Request, sampling: Any) -> NDArray[np.uint8]:
        """Draws levels around the fixed tiles, uint8 (n, *shape)."""

    def dense(self, request: Request) -> NDArray[np.float32]:
        """Returns what is asked of each level, float32 (n, spec.condition_size)."""
        return self.spec.encode(request.values, request.labels)


class LatentSampler(Sampler):
    """A sampler whose levels are made from points of a space whose prior is standard normal."""

    @property
    @abstractmethod
    def latents(self) -> int:
        """How many numbers a point has."""

    @abstractmethod
    def level_of(self, latents: NDArray[np.float32], fixed: NDArray[np.int16] | None) -> NDArray[np.uint8]:
        """Returns the likeliest level of each point, with nothing asked of it, uint8 (n, *shape).

        Args:
            latents: float32 (n, latents).
            fixed: int16 (n, *shape), the tile that a cell is to have, -1 where any may; None fixes nothing.
        """
