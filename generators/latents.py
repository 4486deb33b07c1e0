"""Trained generators as decoders of latents, for designers that move through latent spaces.

What comes out is a `envs.latents.LatentDecoder`, which the representation `latent` takes:

    env = gymnasium.make("tilewright/sokoban-latent-v0", decoder=generators.latent_decoder("runs/.../generator"))
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from envs import UserError
from envs.problem import Shape
from generators.adversarial_generator import AdversarialGenerator
from generators.families.vae import VariationalAutoencoder
from generators.families.vqvae import VectorQuantisedAutoencoder
from generators.generator import Generator
from generators.integers import to_floats
from generators.neural import NeuralGenerator
from generators.suite import all_families, load_generator

#: Levels are decoded so many at a time, never fewer: the last digits of a product of matrices depend on how many rows
#: they have, and a level must not depend on how many others are decoded with it.
BATCH = 32

#: How many numbers place a code among the codes, where a level is a grid of codes.
CODE_AXES = 4


class GeneratorDecoder(ABC):
    """A generator's decoder; a `envs.latents.LatentDecoder`.

    Attributes:
        generator: the generator.
    """

    def __init__(self, generator: Any) -> None:
        self.generator = generator

    @property
    @abstractmethod
    def latents(self) -> int:
        """How many numbers a point has."""

    @abstractmethod
    def decode_batch(self, latents: NDArray[np.float32], fixed: NDArray[np.int16] | None) -> NDArray[np.uint8]:
        """Returns BATCH levels; see `decode`."""

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
            found[first : first + count] = self.decode_batch(points, held)[:count]
        return found


class VaeDecoder(GeneratorDecoder):
    """The decoder of a variational autoencoder."""

    @property
    def latents(self) -> int:
        """How many numbers a level is encoded as."""
        return int(self.generator.config.latents)

    def decode_batch(self, latents: NDArray[np.float32], fixed: NDArray[np.int16] | None) -> NDArray[np.uint8]:
        """Returns levels; see `decode`."""
        levels: NDArray[np.uint8] = self.generator.decode(latents, fixed_tiles=fixed)
        return levels


class AdversarialDecoder(GeneratorDecoder):
    """The generator of an adversarial pair."""

    @property
    def latents(self) -> int:
        """How many normal numbers a level is made from."""
        return int(self.generator.config.latent_size)

    def decode_batch(self, latents: NDArray[np.float32], fixed: NDArray[np.int16] | None) -> NDArray[np.uint8]:
        """Returns levels; see `decode`."""
        levels: NDArray[np.uint8] = self.generator.from_latents(latents, fixed_tiles=fixed)
        return levels


class CodeDecoder(GeneratorDecoder):
    """The decoder of a vector-quantised autoencoder; each code of a level has numbers of its own that choose it."""

    def __init__(self, generator: Any) -> None:
        super().__init__(generator)
        self.axes = min(CODE_AXES, generator.config.code_size)
        codebook = generator.network.autoencoder.codebook
        vectors, uses = (part.cpu().numpy() for part in (codebook.vectors, codebook.uses))
        self._mean, self._directions = principal_axes(vectors, uses, self.axes)

    @property
    def latents(self) -> int:
        """How many numbers choose the codes of a level."""
        return math.prod(self.generator.code_shape) * self.axes

    def decode_batch(self, latents: NDArray[np.float32], fixed: NDArray[np.int16] | None) -> NDArray[np.uint8]:
        """Returns levels; see `decode`."""
        wanted = torch.from_numpy(self._mean + latents.reshape(-1, self.axes) @ self._directions)
        with torch.no_grad():
            codes = self.generator.network.autoencoder.codebook.nearest(wanted.to(self.generator.device))
        grid = codes.cpu().numpy().reshape(-1, *self.generator.code_shape)
        levels: NDArray[np.uint8] = self.generator.decode(grid, fixed_tiles=fixed)
        return levels


def principal_axes(
    vectors: NDArray[np.float32], weights: NDArray[np.float32], count: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns the mean of vectors, and the directions in which they vary most, each one standard deviation long.

    Args:
        vectors: float32 (n, size).
        weights: float32 (n,), how often each of them counts.
        count: how many directions, at most size.

    Returns:
        float32 (size,) and (count, size); the greatest number of each direction is above 0.
    """
    shares = weights.astype(np.float64) / weights.sum(dtype=np.float64)
    mean = shares @ vectors
    variances, columns = np.linalg.eigh((vectors - mean).T @ ((vectors - mean) * shares[:, None]))
    axes = columns[:, ::-1][:, :count].T
    # Of the two directions of an axis the machine's library takes any.
    axes = axes * np.sign(axes[np.arange(count), np.abs(axes).argmax(axis=1)])[:, None]
    lengths = np.sqrt(np.maximum(variances[::-1][:count], 0))
    return mean.astype(np.float32), (axes * lengths[:, None]).astype(np.float32)


#: The decoders of the kinds of generators that have one.
DECODERS: dict[type, type[GeneratorDecoder]] = {
    VariationalAutoencoder: VaeDecoder,
    AdversarialGenerator: AdversarialDecoder,
    VectorQuantisedAutoencoder: CodeDecoder,
}


def latent_decoder(source: Generator | Path | str) -> GeneratorDecoder:
    """Returns a fitted generator's decoder of latents, whose prior is standard normal. Nothing is asked of the levels.

    A variational autoencoder's latents are its own (vae); those of generators trained against a critic are the normal
    numbers that a level is made from (gan, and stylegan, where it is z, not the style w). A vector-quantised
    autoencoder's (vqvae) are four numbers for each code of the level: its place along the principal axes of the codes
    in use, in standard deviations; the nearest code is taken. Count rules are kept, as in sampling.

    Args:
        source: a generator, or the folder of a saved one or of its run.

    Raises:
        UserError: the folder cannot be used, or the generator has no latents.
    """
    generator = source if isinstance(source, Generator) else load_generator(source)
    if isinstance(generator, NeuralGenerator):
        # With products of whole numbers a level would depend on those that are decoded with it.
        to_floats(generator.network)
    for kind, decoder in DECODERS.items():
        if isinstance(generator, kind):
            return decoder(generator)
    supported = [name for name, family in all_families().items() if issubclass(family, tuple(DECODERS))]
    raise UserError(
        f"{generator.title} ({generator.name}) has no latents that can be decoded; train one of {', '.join(supported)}."
    )
