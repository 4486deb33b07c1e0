"""Levels in which everything is hidden at first, and some tiles are revealed at every step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from envs import UserError
from generators.draws import Draws
from generators.sampler import Sampler
from generators.sampling import Request
from generators.settling import NEVER, CountSettler
from generators.shares import log_softmax
from generators.spec import LevelSpec

#: Tiles that are at most so many times as frequent as the commonest tile that a count rule names are things, too.
_AS_RARE = 2.0


@dataclass(frozen=True)
class MaskedLmSettings:
    """What is known of the model.

    Attributes:
        things: whether things are decided after the ground they stand on, where the problem has count rules.
    """

    things: bool


@dataclass(frozen=True)
class Revealing:
    """How a masked tile LM fills levels.

    Attributes:
        steps: passes of the network; each reveals a part of the level.
        thing_steps: the share of the steps that decide things; the others lay out the ground.
        temperature: of the distributions that tiles are drawn from; 0 takes the likeliest.
        order: what is revealed first: the tiles that the network is surest of (MaskGIT), or random ones (D3PM).
        choice_temperature: noise in what counts as surest; it falls to 0 over the steps. 0 is greedy.
        schedule: how much is revealed when: as much at each step, or more later on (cosine, Chang 2022).
        guidance: how far beyond the unconditional model conditions push (Ho 2022); 1 is the conditional model itself.
        remask: at each step, the share of the tiles revealed so far that are hidden again and decided anew, the least
            sure first (Wang 2025).
        constrained: whether count rules are kept.
    """

    steps: int = 12
    thing_steps: float = 0.4
    temperature: float = 1.0
    order: Literal["confidence", "random"] = "confidence"
    choice_temperature: float = 0.1
    schedule: Literal["linear", "cosine"] = "linear"
    guidance: float = 1.0
    remask: float = 0.0
    constrained: bool = True

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        if self.steps < 1:
            raise UserError(f"steps must be at least 1; got {self.steps}.")
        for name in ("temperature", "choice_temperature", "guidance"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise UserError(f"{name} must be a finite number of at least 0; got {getattr(self, name)}.")
        for name in ("thing_steps", "remask"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 0 and below 1; got {getattr(self, name)}.")


@dataclass(frozen=True)
class Layers:
    """Which tiles are decided when.

    Attributes:
        things: bool (tiles,), the tiles that are decided after the ground they stand on.
        group: bool (tiles,), the tiles that "open" may stand for: the things, and the floor; none without things.
    """

    things: NDArray[np.bool_]
    group: NDArray[np.bool_]

    @classmethod
    def of(cls, spec: LevelSpec, things: bool) -> Layers:
        """Returns the layers of levels.

        Args:
            spec: what the levels are.
            things: whether things are decided apart, where there are any.
        """
        # The rules of the levels that were learned from, whatever is asked of samples besides.
        named = {name for rule in spec.asking(()).count_rules() for name in rule.coefficients}
        found = np.array([name in named for name in spec.tiles])
        if named:
            rare = _AS_RARE * max(spec.frequencies[spec.tiles.index(name)] for name in named)
            found |= np.array(spec.frequencies) <= rare
        # Things stand on open ground, which is every problem's first tile.
        found[0] = False
        found &= things
        group = found.copy()
        group[0] = found.any()
        return cls(found, group)


class MaskedLmSampler(Sampler):
    """Reveals levels step by step; see `Revealing`.

    Graph: `logits`, from cells, int64 (n, height, width), each a tile, open or mask, and what is asked to logits
    (n, cells, tiles).
    """

    name = "masked_lm"
    Settings, Sampling = MaskedLmSettings, Revealing

    def __init__(self, spec: LevelSpec, settings: MaskedLmSettings, networks: Any) -> None:
        super().__init__(spec, settings, networks)
        self.open, self.mask = len(spec.tiles), len(spec.tiles) + 1
        layers = Layers.of(spec, settings.things)
        self.things, self.group = layers.things, layers.group
        self.settler = CountSettler(spec.count_rules(), spec.tiles)

    def draw(self, request: Request, sampling: Revealing) -> NDArray[np.uint8]:
        """Draws levels; see `Sampler.draw`."""
        n, cells = request.n, self.spec.cells
        draws, dense = request.draws(), self.dense(request)
        state = np.full((n, cells), self.mask)
        if request.fixed is not None:
            given = request.fixed.reshape(n, cells)
            state = np.where(given >= 0, given, state)
        fixed = state < self.open
        total = (~fixed).sum(axis=1, keepdims=True)
        sureness = np.zeros((n, cells), np.float32)
        kept: tuple[NDArray[np.int64], NDArray[np.float64]] | None = None
        ground_steps = self.ground_steps(sampling)
        for step in range(sampling.steps - 1):
            laying = step < ground_steps
            if laying:
                remaining = 1 - (step + 1) / ground_steps
            else:
                remaining = 1 - (step + 1 - ground_steps) / (sampling.steps - ground_steps)
            if sampling.remask and step not in (0, ground_steps):
                state = self._hidden_again(state, fixed, sureness, laying, sampling.remask)
            scores, found = self._distributions(state, dense, sampling, draws)
            proposal, kept = self._proposal(state, scores, kept, sampling)
            seen = np.where(self.group[proposal], self.open, proposal) if laying else proposal
            sure = self._sureness(found, proposal, laying)
            if sampling.order == "random":
                keys = draws.uniforms(cells).astype(np.float32)
            elif sampling.choice_temperature:
                keys = sure + sampling.choice_temperature * remaining * draws.gumbels(cells)
            else:
                keys = sure
            if laying:
                candidates = state == self.mask
                left = remaining if sampling.schedule == "linear" else math.cos((1 - remaining) * math.pi / 2)
                number = candidates.sum(axis=1, keepdims=True) - np.rint(total * left)
            else:
                # Things come before the open ground between them: where one stands tells most about the others.
                candidates = (state == self.open) & self.things[proposal]
                number = np.ceil(candidates.sum(axis=1, keepdims=True) / (sampling.steps - step))
            chosen = candidates & (ranks(np.where(candidates, keys, -np.inf)) < number)
            state = np.where(chosen, seen, state)
            sureness = np.where(chosen, sure, sureness)
        scores, _ = self._distributions(state, dense, sampling, draws)
        proposal, _ = self._proposal(state, scores, kept, sampling)
        return proposal.astype(np.uint8).reshape(n, *self.spec.shape)

    def ground_steps(self, sampling: Revealing) -> int:
        """Returns how many of the steps reveal the first layer."""
        if not self.group.any():
            return sampling.steps
        return sampling.steps - min(max(1, round(sampling.steps * sampling.thing_steps)), max(1, sampling.steps - 1))

    def _distributions(
        self, state: NDArray[np.int64], dense: NDArray[np.float32], sampling: Revealing, draws: Draws
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Returns float32 (n, cells, tiles), twice: log-probabilities with the noise of a draw, and without."""
        alike = (state == state[:1]).all() and (dense == dense[:1]).all()
        number = 1 if alike else len(state)  # at the first step, all levels are often one and the same
        cells, told = state[:number].reshape(-1, *self.spec.shape), dense[:number]
        (logits,) = self.networks("logits", cells, told)
        if sampling.guidance != 1 and self.spec.condition_size:
            (free,) = self.networks("logits", cells, np.zeros_like(told))
            logits = free + sampling.guidance * (logits - free)
        found = np.repeat(log_softmax(logits, sampling.temperature or 1.0), len(state) // number, axis=0)
        found[(state == self.open)[..., None] & ~self.group] = 10 * NEVER
        return (found + draws.gumbels(*found.shape[1:]) if sampling.temperature else found), found

    def _proposal(
        self,
        state: NDArray[np.int64],
        scores: NDArray[np.float32],
        kept: tuple[NDArray[np.int64], NDArray[np.float64]] | None,
        sampling: Revealing,
    ) -> tuple[NDArray[np.int64], tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Returns a tile for every cell, int64 (n, cells), and that with how far from its count rules each level is."""
        hidden = state >= self.open
        proposal = np.where(hidden, scores.argmax(axis=-1), state)
        if not sampling.constrained:
            return proposal, (proposal, np.zeros(len(proposal)))
        broken = self.settler(proposal, scores, hidden)
        if kept is not None:
            # What the last step proposed is still a way to go on from here.
            worse = broken > kept[1]
            proposal[worse] = kept[0][worse]
            broken = np.minimum(broken, kept[1])
        return proposal, (proposal, broken)

    def _sureness(self, found: NDArray[np.float32], proposal: NDArray[np.int64], laying: bool) -> NDArray[np.float32]:
        """Returns the log-probability of what was proposed, or of its ground, float32 (n, cells)."""
        tile = np.take_along_axis(found, proposal[..., None], axis=-1)[..., 0]
        if not laying or not self.group.any():
            return tile
        ground = np.logaddexp.reduce(np.moveaxis(found[..., self.group], -1, 0), axis=0)
        return np.where(self.group[proposal], ground, tile)

    def _hidden_again(
        self,
        state: NDArray[np.int64],
        fixed: NDArray[np.bool_],
        sureness: NDArray[np.float32],
        laying: bool,
        share: float,
    ) -> NDArray[np.int64]:
        """Returns states with some of what this layer has revealed hidden again, the least sure first."""
        if laying:
            shown = ~fixed & (state != self.mask)
        else:
            shown = ~fixed & (state < self.open) & self.things[np.minimum(state, self.open - 1)]
        number = np.rint(shown.sum(axis=1, keepdims=True) * share)
        again = shown & (ranks(np.where(shown, -sureness, -np.inf)) < number)
        return np.where(again, self.mask if laying else self.open, state)


def ranks(keys: NDArray[Any]) -> NDArray[np.int64]:
    """Returns each entry's place among its row's, the greatest first: int64, from 0."""
    order = np.argsort(-keys, axis=1, kind="stable")
    found = np.empty_like(order)
    np.put_along_axis(found, order, np.arange(keys.shape[1])[None], axis=1)
    return found


SAMPLER = MaskedLmSampler
