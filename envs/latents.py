"""What decodes latents to levels, as the representation `latent` takes it from a generator."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from envs.problem import Shape


@runtime_checkable
class LatentDecoder(Protocol):
    """Turns points of a latent space, whose prior is standard normal, into levels.

    `generators.latent_decoder` makes one of a fitted generator; anything with these four members is one.

    Attributes:
        problem: the name of the problem that the levels are of.
        shape: their shape.
        latents: how many numbers a point has.
    """

    @property
    def problem(self) -> str:
        """The name of the problem."""

    @property
    def shape(self) -> Shape:
        """The shape of the levels."""

    @property
    def latents(self) -> int:
        """How many numbers a point has."""

    def decode(self, latents: NDArray[np.float32], fixed: NDArray[np.int16] | None = None) -> NDArray[np.uint8]:
        """Returns the levels of points: the same level for the same point, whatever points come with it.

        Args:
            latents: float32 (n, latents).
            fixed: int16 (n, *shape), the tile that a cell is to have, -1 where any may be; None fixes nothing.

        Returns:
            uint8 (n, *shape).
        """
