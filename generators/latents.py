"""Trained generators as decoders of latents, for designers that move through latent spaces.

What comes out is a `envs.latents.LatentDecoder`, which the representation `latent` takes:

    env = gymnasium.make("tilewright/sokoban-latent-v0", decoder=generators.latent_decoder("runs/.../generator"))
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from envs import UserError
from envs.problem import Shape
from generators.sampler import LatentSampler
from generators.samplers import all_samplers
from generators.sampling import LevelSource

#: Levels are decoded so many at a time, never fewer: the last digits of a product of matrices depend on how many rows
#: they have, and a level must not depend on how many others are decoded with it.
BATCH = 32


class GeneratorDecoder:
    """The decoder of a generator as it is now; a `envs.latents.LatentDecoder`.

    Attributes:
        generator: the generator, or what was exported of it.

    Raises:
        UserError: the generator has no latents.
    """

    def __init__(self, generator: LevelSource) -> None:
        sampler = generator.latent_sampler()
        if sampler is None:
            supported = [name for name, kind in all_samplers().items() if issubclass(kind, LatentSampler)]
            raise UserError(
                f"{generator.title} ({generator.name}) has no latents that can be decoded; train one of "
                f"{', '.join(supported)}."
            )
        self.generator = generator
        self._sampler = sampler

    def __reduce__(self) -> tuple[type[GeneratorDecoder], tuple[LevelSource]]:
        # What runs the networks cannot be sent to other processes; it is made anew there.
        return GeneratorDecoder, (self.generator,)

    @property
    def latents(self) -> int:
        """How many numbers a point has."""
        return self._sampler.latents

    @property
    def problem(self) -> str:
        """The name of the problem that the levels are of."""
        return str(self.generator.spec.problem)

    @property
    def shape(self) -> Shape:
        """The shape of the levels."""
        return tuple(self.generator.spec.shape)

    def decode(self, latents: NDArray[np.float32], fixed: NDArray[np.int16] | None = None) -> NDArray[np.uint8]:
        """Returns the likeliest level of each point: the same for the same point, whatever points come with it.

        Args:
            latents: floats (n, latents).
            fixed: whole numbers (n, *shape), the tile that a cell is to have, -1 where any may be; None fixes nothing.

        Returns:
            uint8 (n, *shape).

        Raises:
            UserError: the latents or the fixed tiles are of another shape, or no such numbers or tiles.
        """
        given = np.asarray(latents, np.float32)
        if given.ndim != 2 or given.shape[1] != self.latents or not np.isfinite(given).all():
            raise UserError(f"Latents must be finite numbers of shape (levels, {self.latents}); got {given.shape}.")
        if fixed is not None and np.shape(fixed) != (len(given), *self.shape):
            raise UserError(f"fixed must be of shape {(len(given), *self.shape)}; got {np.shape(fixed)}.")
        found = np.empty((len(given), *self.shape), np.uint8)
        for first in range(0, len(given), BATCH):
            count = min(BATCH, len(given) - first)
            points = np.zeros((BATCH, self.latents), np.float32)
            points[:count] = given[first : first + count]
            held = None
            if fixed is not None:
                held = np.full((BATCH, *self.shape), -1, np.int16)
                held[:count] = fixed[first : first + count]
            found[first : first + count] = self._sampler.level_of(points, held)[:count]
        return found


def latent_decoder(source: LevelSource | Path | str) -> GeneratorDecoder:
    """Returns a fitted generator's decoder of latents, whose prior is standard normal. Nothing is asked of the levels.

    A variational autoencoder's latents are its own (vae); those of generators trained against a critic are the normal
    numbers that a level is made from (gan, and stylegan, where it is z, not the style w). A vector-quantised
    autoencoder's (vqvae) are four numbers for each code of the level: its place along the principal axes of the codes
    in use, in standard deviations; the nearest code is taken. Count rules are kept, as in sampling.

    Args:
        source: a generator, what was exported of one, or the folder of a saved one or of its run.

    Raises:
        UserError: the folder cannot be used, or the generator has no latents.
    """
    return GeneratorDecoder(source if isinstance(source, LevelSource) else _loaded(source))


def _loaded(folder: Path | str) -> LevelSource:
    """Returns a saved generator."""
    from generators.suite import load_generator  # noqa: PLC0415 (it brings in torch)

    return load_generator(folder)
