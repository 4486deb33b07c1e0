"""Levels from which noise is taken, step by step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from envs import UserError
from generators.decoding import decode_logits
from generators.draws import Draws
from generators.sampler import Sampler
from generators.sampling import Request
from generators.shares import softmax

#: How sure of a tile an estimate at its very place in space counts as, in log-odds on the distance of two tiles.
SHARPNESS = 4.0

#: What a network predicts of a noisy level.
Prediction = Literal["tiles", "sample", "epsilon", "v_prediction"]


@dataclass(frozen=True)
class DiffusionSettings:
    """What is known of the model.

    Attributes:
        prediction: what the network predicts.
        signal: a tile is this number in its own channel, and less this number in all others.
        kept_signal: the share of the variance that is signal at each noise level, falling.
    """

    prediction: Prediction
    signal: float
    kept_signal: tuple[float, ...]


@dataclass(frozen=True)
class DiffusionSampling:
    """How noise is taken away.

    Attributes:
        steps: how often the network is asked, at noise levels equally far apart; at most all levels.
        method: ddim (Song 2021) or ddpm (Ho 2020), which adds noise at every step.
        eta: how much noise ddim adds, from 0, which is none, to 1.
        guidance: how far the prediction goes from what is likely of any level towards, and past, what is likely of one
            as asked for; 1 is the prediction for one as asked for (Ho and Salimans 2022).
        resamplings: where tiles are fixed, how often each step is taken, with noise added again in between, which
            gives the rest of the level more time to fit them (Lugmayr 2022).
        constrained: whether the last step keeps the count rules: the likeliest level that does is taken.
    """

    steps: int = 25
    method: Literal["ddim", "ddpm"] = "ddim"
    eta: float = 0.0
    guidance: float = 1.0
    resamplings: int = 3
    constrained: bool = True

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        for name in ("steps", "resamplings"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1; got {getattr(self, name)}.")
        if not 0 <= self.eta <= 1:
            raise UserError(f"eta must be from 0 to 1; got {self.eta}.")
        if not math.isfinite(self.guidance):
            raise UserError(f"guidance must be a finite number; got {self.guidance}.")
        if self.method == "ddpm" and self.eta:
            raise UserError("eta is an option of the method ddim; leave it out with ddpm.")


class DiffusionSampler(Sampler):
    """Takes noise away, step by step; see `DiffusionSampling`.

    Graph: `denoise`, from noisy levels, float32 (n, tiles, h, w), the noise level of each, int64 (n,), what is asked,
    which cells are without noise, bool (n, 1, h, w), and the last estimate of the clean levels, as the noisy ones, to
    what the network predicts, likewise.
    """

    name = "diffusion"
    Settings, Sampling = DiffusionSettings, DiffusionSampling

    def draw(self, request: Request, sampling: DiffusionSampling) -> NDArray[np.uint8]:
        """Draws levels; see `Sampler.draw`."""
        times = self.times(sampling.steps)
        shares = [self.settings.kept_signal[time] for time in times]
        draws, dense = request.draws(), self.dense(request)
        shape = (len(self.spec.tiles), *self.spec.shape)
        fixed = np.zeros((request.n, 1, *self.spec.shape), np.bool_)
        held: Any = np.zeros((), np.float32)
        if request.fixed is not None:
            fixed, held = (request.fixed >= 0)[:, None], self.clean(np.maximum(request.fixed, 0))
        noisy = draws.normals(*shape)
        before, odds = np.zeros_like(noisy), noisy
        for step in range(sampling.steps - 1, -1, -1):
            share, less_noise = shares[step], shares[step - 1] if step else 1.0
            repeats = sampling.resamplings if request.fixed is not None and step else 1
            for repeat in range(repeats):
                noisy = np.where(fixed, held, noisy)
                output = self._guided(noisy, times[step], dense, fixed, before, sampling.guidance)
                before = self.estimate(output, noisy, share)
                odds = self.odds(output, before)
                noisy = self.denoised(noisy, before, share, less_noise, sampling, draws)
                if repeat + 1 < repeats:
                    kept = share / less_noise
                    noisy = math.sqrt(kept) * noisy + math.sqrt(1 - kept) * draws.normals(*shape)
        logits = np.ascontiguousarray(odds.reshape(request.n, shape[0], -1).transpose(0, 2, 1))
        levels = decode_logits(logits, self.spec, draws, 0.0, request.fixed, sampling.constrained)
        return levels.reshape(request.n, *self.spec.shape)

    def times(self, steps: int) -> list[int]:
        """Returns the noise levels that are sampled at, rising.

        Raises:
            UserError: there are not so many.
        """
        most = len(self.settings.kept_signal)
        if steps > most:
            raise UserError(f"steps must be at most {most}, as many as there are noise levels; got {steps}.")
        return [round((i + 1) * most / steps) - 1 for i in range(steps)]

    def clean(self, levels: NDArray[Any]) -> NDArray[np.float32]:
        """Returns levels as networks see them without noise, float32 (n, tiles, h, w)."""
        hot = np.arange(len(self.spec.tiles))[:, None, None] == levels[:, None]
        return np.where(hot, self._signal, -self._signal)

    @property
    def _signal(self) -> np.float32:
        return np.float32(self.settings.signal)

    def estimate(self, output: NDArray[Any], noisy: NDArray[np.float32], share: float) -> NDArray[np.float32]:
        """Returns the clean levels that the network takes for the expected ones, float32 (n, tiles, h, w).

        Args:
            output: what the network predicted.
            noisy: what it saw.
            share: the share of the variance that is signal.
        """
        signal, kind = self._signal, self.settings.prediction
        if kind == "tiles":
            shares = np.moveaxis(softmax(np.moveaxis(output, 1, -1)), -1, 1)
            return np.ascontiguousarray((2 * shares - 1) * signal)
        if kind == "epsilon":
            output = (noisy - math.sqrt(1 - share) * output) / math.sqrt(share)
        elif kind == "v_prediction":
            output = math.sqrt(share) * noisy - math.sqrt(1 - share) * output
        return np.clip(output, -signal, signal)

    def odds(self, output: NDArray[np.float32], estimate: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the logits of the tiles, float32 (n, tiles, h, w)."""
        return output if self.settings.prediction == "tiles" else SHARPNESS / self.settings.signal * estimate

    def _guided(
        self,
        noisy: NDArray[np.float32],
        time: int,
        dense: NDArray[np.float32],
        known: NDArray[np.bool_],
        before: NDArray[np.float32],
        guidance: float,
    ) -> NDArray[np.float32]:
        """Returns the network's prediction, guided towards what is asked for."""
        times = np.full(len(noisy), time)
        (told,) = self.networks("denoise", noisy, times, dense, known, before)
        if guidance == 1 or not dense.any():
            return np.asarray(told)
        (untold,) = self.networks("denoise", noisy, times, np.zeros_like(dense), known, before)
        return np.asarray(untold + guidance * (told - untold))

    @staticmethod
    def denoised(
        noisy: NDArray[np.float32],
        estimate: NDArray[np.float32],
        share: float,
        less_noise: float,
        sampling: DiffusionSampling,
        draws: Draws,
    ) -> NDArray[np.float32]:
        """Returns levels with less noise.

        Args:
            noisy: float32 (n, tiles, h, w).
            estimate: likewise, the clean levels that are expected.
            share: the share of the variance that is signal in the noisy levels.
            less_noise: the same of what is returned; 1 for none.
            sampling: by which method (Song 2021, equation 12; Ho 2020, equation 7).
            draws: the source of the noise that is added.
        """
        if sampling.method == "ddim":
            noise: NDArray[Any] = (noisy - math.sqrt(share) * estimate) / math.sqrt(1 - share)
            variance = sampling.eta**2 * (1 - less_noise) / (1 - share) * (1 - share / less_noise)
            rest = math.sqrt(max(1 - less_noise - variance, 0.0))
            less: NDArray[Any] = math.sqrt(less_noise) * estimate + rest * noise
        else:
            kept = share / less_noise
            variance = (1 - less_noise) / (1 - share) * (1 - kept)
            less = math.sqrt(less_noise) * (1 - kept) / (1 - share) * estimate
            less = less + math.sqrt(kept) * (1 - less_noise) / (1 - share) * noisy
        if variance > 0:
            less = less + math.sqrt(variance) * draws.normals(*noisy.shape[1:])
        return less


SAMPLER = DiffusionSampler
