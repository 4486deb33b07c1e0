"""Deciding one symbol after another: which are allowed, which are likely enough, and beams of several levels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from generators.constraints import CountTable

#: What stands for an impossible symbol's log-probability.
NEVER = float("-inf")


def likely(scores: Tensor, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """Returns log-probabilities, with those that are too unlikely set to minus infinity.

    Args:
        scores: float32 (..., symbols), logits, minus infinity where a symbol is not allowed.
        temperature: the scores are divided by it.
        top_k: keep so many of the likeliest symbols; 0 keeps all.
        top_p: keep the likeliest symbols that together have this probability (Holtzman 2020); 1 keeps all.
    """
    scores = scores / temperature
    if top_k and top_k < scores.shape[-1]:
        least = scores.topk(top_k, dim=-1).values[..., -1:]
        scores = scores.masked_fill(scores < least, NEVER)
    if top_p < 1:
        ordered, places = scores.sort(dim=-1, descending=True)
        chances = ordered.softmax(dim=-1)
        # A symbol stays where those before it do not reach the share yet, so that the first always does.
        dropped = chances.cumsum(dim=-1) - chances >= top_p
        scores = scores.masked_fill(torch.zeros_like(dropped).scatter(-1, places, dropped), NEVER)
    return scores.log_softmax(dim=-1)


def pick(chances: Tensor, random: torch.Generator) -> Tensor:
    """Draws one symbol for each row of log-probabilities, float32 (b, symbols); int64 (b,)."""
    # Drawn by the random source of the processor, so that levels do not depend on the device.
    drawn = torch.multinomial(chances.float().cpu().exp(), 1, generator=random)[:, 0]
    return drawn.to(chances.device)


class Beams:
    """Several unlike levels for each one wanted, drawn without replacement by their probability (Kool 2019).

    Args:
        levels: how many levels are wanted.
        beams: how many are drawn for each.
        device: where.
    """

    def __init__(self, levels: int, beams: int, device: torch.device | str = "cpu") -> None:
        self.levels, self.beams = levels, beams
        #: The log-probability of each level so far, and the same with Gumbel noise; all beams begin as one.
        self.scores = torch.full((levels, beams), NEVER, device=device, dtype=torch.float64)
        self.scores[:, 0] = 0.0
        self.perturbed = self.scores.clone()

    def extend(self, chances: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draws the next symbols.

        Args:
            chances: float32 (levels * beams, symbols), the log-probabilities of the symbols.
            random: the source of the draws.

        Returns:
            int64 (levels * beams,) twice: which of the sequences goes on in each place, and with which symbol.
        """
        symbols = chances.shape[1]
        scores = self.scores[..., None] + chances.double().view(self.levels, self.beams, symbols)
        uniform = torch.rand(scores.shape, generator=random, dtype=torch.float64).clamp(1e-300, 1 - 1e-16)
        noisy = scores - torch.log(-torch.log(uniform.to(scores.device)))
        # The greatest of a sequence's children must have the sequence's own noise: Kool 2019, appendix B.3.
        greatest = noisy.max(dim=2, keepdim=True).values
        alive = torch.isfinite(self.perturbed)[..., None] & torch.isfinite(scores)
        own = self.perturbed[..., None]
        inner = own - noisy + torch.log1p(-torch.exp(noisy - greatest))
        shifted = own - inner.clamp(min=0) - torch.log1p(torch.exp(-inner.abs()))
        shifted = torch.where(noisy == greatest, own, shifted)
        best = torch.where(alive, shifted, NEVER).flatten(1).topk(self.beams, dim=1)
        self.perturbed = best.values
        self.scores = torch.where(torch.isfinite(best.values), scores.flatten(1).gather(1, best.indices), NEVER)
        first = torch.arange(self.levels, device=chances.device)[:, None] * self.beams
        parents = first + torch.div(best.indices, symbols, rounding_mode="floor")
        # A place with no level left goes on with the best one's, so that it stays a level; it is never chosen.
        dead = ~torch.isfinite(best.values)
        parents = torch.where(dead, parents[:, :1], parents)
        chosen = torch.where(dead, (best.indices % symbols)[:, :1], best.indices % symbols)
        return parents.flatten(), chosen.flatten()

    def best(self) -> Tensor:
        """Returns the number of the likeliest sequence of each level, int64 (levels,)."""
        first = torch.arange(self.levels, device=self.scores.device) * self.beams
        return first + self.scores.argmax(dim=1)


class Counting:
    """Keeps to count rules while tiles are decided one by one, whatever tiles are known from the start.

    Args:
        table: what the rules ask of the cells that remain.
        turns: the pass in which each tile is decided; a pass may leave a cell to a later one.
        known: int64 (b, tiles), how many of each tile every level has from the start: fixed ones, ahead or not.
        free: int64 (b,), how many cells are to be decided.
    """

    def __init__(self, table: CountTable, turns: Sequence[int], known: Tensor, free: Tensor) -> None:
        device = known.device
        needed = [_cells_of_pass(table, np.asarray(turns), turn) for turn in range(max(turns) + 1)]
        #: For each pass, how many cells of its own it takes to fulfil the rules from a state; and of any.
        self.needed_now = torch.from_numpy(np.stack(needed)).to(device)
        self.needed = torch.from_numpy(table.cells_needed).to(device)
        self.successors = torch.from_numpy(table.successors).to(device)
        self.free = free.clone()
        self.state = torch.from_numpy(table.state_of(known.cpu().numpy())).to(device)

    def allowed(self, turn: Tensor, left: Tensor) -> tuple[Tensor, Tensor]:
        """Tells what may be decided of the next cell.

        Args:
            turn: int64 (b,), the pass that each level is in.
            left: int64 (b,), how many cells are left in it, this one among them.

        Returns:
            bool (b, tiles), the tiles that may be placed, and bool (b,), whether the cell may be left to a later pass.
            Both may be false of a level that can keep the rules no more.
        """
        after = self.successors[self.state]
        room = self.needed[after] <= self.free[:, None] - 1
        tiles = room & (self.needed_now[turn[:, None], after] <= left[:, None] - 1)
        return tiles, self.needed_now[turn, self.state] <= left - 1

    def place(self, tiles: Tensor, cells: Tensor) -> None:
        """Notes tiles, int64 (b,), that were placed in some of the levels, bool (b,)."""
        self.state = torch.where(cells, self.successors[self.state, tiles], self.state)
        self.free = self.free - cells.long()

    def choose(self, sequences: Tensor) -> None:
        """Goes on with some of the levels; see `KeyValues.choose`."""
        self.free, self.state = self.free[sequences], self.state[sequences]


def _cells_of_pass(table: CountTable, turns: NDArray[np.int64], turn: int) -> NDArray[np.int64]:
    """Returns how many tiles of a pass are needed at least from each state, if later passes do what they can."""
    never = np.iinfo(np.int32).max
    cost = np.where(turns > turn, 0, np.where(turns == turn, 1, never))
    needed = np.where(table.cells_needed == 0, 0, never).astype(np.int64)
    while True:
        nearer = np.minimum(needed, (needed[table.successors] + cost).min(axis=1))
        if (nearer == needed).all():
            return np.minimum(needed, never)
        needed = nearer
