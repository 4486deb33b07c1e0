"""From what a network says of each cell by itself to whole levels that keep their count rules.

A decoder that draws every tile independently breaks rules such as "exactly one player" nearly always. Here levels are
drawn from the same probabilities *given that the rules hold*: the rules are a finite automaton over the counts of
tiles, and the probability of ending well is carried back through it from the last cell to the first, as in hidden
Markov models (Rabiner 1989); then tiles are drawn forwards. It is exact, so nothing is tilted but what the rules tilt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from envs import UserError
from envs.counts import CountRule, rule_arrays
from envs.kernels import inline, kernel
from generators.draws import Draws
from generators.shares import log_softmax, softmax
from generators.spec import LevelSpec

#: The most states that an automaton of counts may have.
MOST_STATES = 4096

#: Below this, the probability that a level keeps the rules is no longer known well enough to draw by.
_LEAST = 1e-200

#: How often the shares of tiles are fitted.
_FITTINGS = 8

#: Kernels get so many probabilities at a time.
_CHUNK = 4_000_000


@dataclass(frozen=True)
class CountAutomaton:
    """Count rules as a finite automaton that reads a level tile by tile.

    Attributes:
        kinds: int64 (tiles,); tiles of a kind weigh alike in all rules.
        successors: int64 (states, kinds): the state after a tile of some kind was read, -1 where the rules can then no
            longer be kept, however many cells follow. The first state is that of no tiles.
        fulfilled: bool (states,): whether a level that ends there keeps the rules.
    """

    kinds: NDArray[np.int64]
    successors: NDArray[np.int64]
    fulfilled: NDArray[np.bool_]

    @classmethod
    def of(cls, rules: Sequence[CountRule], tile_names: Sequence[str], cells: int) -> CountAutomaton:
        """Builds the automaton of some rules.

        Args:
            rules: the rules.
            tile_names: the names of the tiles by id.
            cells: how many cells a level has.

        Raises:
            UserError: it would have more than MOST_STATES states.
        """
        coefficients, low, high = rule_arrays(rules, tile_names)
        weights, kinds = np.unique(coefficients.T, axis=0, return_inverse=True)
        # What no number of further tiles can bring back is dead; what no number can spoil is all one state.
        can_rise, can_fall = (weights > 0).any(axis=0), (weights < 0).any(axis=0)
        ceiling = np.where(np.isinf(high) & ~can_fall, np.maximum(low, 0), np.inf)
        floor = np.where(np.isinf(low) & ~can_rise, np.minimum(high, 0), -np.inf)
        reach = np.abs(weights).max(axis=0, initial=0) * cells
        start = np.clip(np.zeros(len(rules)), floor, ceiling)
        numbers = {tuple(start): 0}
        states = [start]
        rows: list[list[int]] = []
        while len(rows) < len(states):
            row = []
            for change in weights:
                state = np.clip(states[len(rows)] + change, floor, ceiling)
                dead = ((state > high) & ~can_fall) | ((state < low) & ~can_rise) | (np.abs(state) > reach)
                key = tuple(state)
                if dead.any():
                    row.append(-1)
                    continue
                if key not in numbers:
                    numbers[key] = len(states)
                    states.append(state)
                row.append(numbers[key])
            rows.append(row)
            if len(states) > 16 * MOST_STATES:
                break
        successors = np.array(rows, np.int64).reshape(len(rows), len(weights))
        values = np.array(states[: len(rows)]).reshape(len(rows), len(rules))
        fulfilled: NDArray[np.bool_] = np.asarray(((values >= low) & (values <= high)).all(axis=1), np.bool_)
        successors, fulfilled = _alive(successors, fulfilled)
        if len(rows) < len(states) or len(successors) > MOST_STATES:
            raise UserError(
                f"The count rules of these levels have more than {MOST_STATES} states; sample with constrained=False."
            )
        return cls(kinds.reshape(-1).astype(np.int64), successors, fulfilled)


def _alive(successors: NDArray[np.int64], fulfilled: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Returns an automaton without the states from which none that fulfils the rules can be reached."""
    alive = fulfilled.copy()
    while True:
        wider = alive | (alive[successors] & (successors >= 0)).any(axis=1)
        if (wider == alive).all():
            break
        alive = wider
    # The first state stays the first, alive or not.
    alive[0] = True
    numbers = np.where(alive, np.cumsum(alive) - 1, -1)
    kept = successors[alive]
    return np.where(kept >= 0, numbers[kept], -1), fulfilled[alive]


@lru_cache(maxsize=64)
def count_automaton(spec: LevelSpec) -> CountAutomaton | None:
    """Returns the automaton of the rules that levels of a spec must keep; None where there are no rules.

    Raises:
        UserError: it would have too many states.
    """
    rules = spec.count_rules()
    return CountAutomaton.of(rules, spec.tiles, spec.cells) if rules else None


def decode_logits(
    logits: NDArray,
    spec: LevelSpec,
    draws: Draws,
    temperature: float = 1.0,
    fixed: NDArray | None = None,
    constrained: bool = True,
    balanced: bool = False,
) -> NDArray[np.uint8]:
    """Draws levels from logits of every cell.

    With temperature 0 it is the likeliest level (that keeps the rules). Otherwise cells are drawn independently
    (given that the level keeps the rules). Where the probability that independent draws keep the rules underflows,
    below 1e-200, noise is added to the logits (Gumbel 1954) and the likeliest level of these that keeps the rules is
    taken: independent draws, changed where it costs least.

    Args:
        logits: floats (n, cells, tiles); -inf for a tile that must not be in a cell.
        spec: what the levels are; its rules are `spec.count_rules()`.
        draws: the levels' random numbers.
        temperature: logits are divided by it.
        fixed: whole numbers (n, cells) or (n, *shape), the tile that is already in a cell, -1 where none is. Fixed
            tiles count; those that are more than the rules allow are taken for nothing counted.
        constrained: whether the rules are kept. A level whose fixed tiles, or logits of -inf, leave no way to keep
            them is drawn without.
        balanced: whether low temperatures leave each tile as common in a level as it is at temperature 1, see
            `keep_shares`; temperature 0 does not.

    Returns:
        uint8 (n, cells).

    Raises:
        UserError: the rules are too many to be kept.
    """
    given = np.asarray(logits)
    if balanced and 0 < temperature != 1:
        given, temperature = keep_shares(given, temperature), 1.0
    n, cells, tiles = given.shape
    held = np.full((n, cells), -1, np.int64) if fixed is None else np.asarray(fixed).reshape(n, cells).astype(np.int64)
    automaton = count_automaton(spec) if constrained else None
    uniforms = draws.uniforms(cells) if temperature > 0 else np.zeros((n, cells))
    levels = np.empty((n, cells), np.uint8)
    failed = np.zeros(n, np.bool_)
    step = max(1, _CHUNK // (cells * tiles))
    for first in range(0, n, step):
        part = slice(first, first + step)
        if temperature > 0:
            shares = softmax(given[part].astype(np.float64), temperature)
            if automaton is None:
                _draw_freely(shares, uniforms[part], held[part], levels[part])
            else:
                _draw(shares, uniforms[part], held[part], *_arrays(automaton), levels[part], failed[part])
        elif automaton is None:
            levels[part] = _likeliest(given[part], held[part])
        else:
            chances = log_softmax(given[part].astype(np.float64))
            _find_best(chances, held[part], *_arrays(automaton), levels[part], failed[part])
    rows = np.flatnonzero(failed)
    if automaton is not None and len(rows):
        draws.choose(rows)
        levels[rows] = _decode_failed(given[rows], temperature, draws, uniforms[rows], held[rows], automaton)
    return levels


def keep_shares(logits: NDArray, temperature: float) -> NDArray[np.float32]:
    """Returns logits of a temperature at which every tile is expected as often in a level as at temperature 1.

    Alone, a low temperature takes away whatever is nowhere the likeliest: enemies that may be in many places are in
    none. Here each tile's logits get, in each level, the addend that makes up for it, so that what is likely in a cell
    gets likelier beside other cells and not beside other tiles (iterative proportional fitting, Deming 1940).

    Args:
        logits: floats (n, cells, tiles).
        temperature: above 0.

    Returns:
        float32 (n, cells, tiles); to be drawn from at temperature 1.
    """
    # Tiles come first, for NumPy is many times faster along long rows than along a few tiles.
    scaled = np.array(np.moveaxis(logits, 2, 0), np.float32, order="C")
    wanted = _expected(scaled)
    scaled /= temperature
    for _ in range(_FITTINGS):
        scaled += np.log(wanted / _expected(scaled))
    return np.ascontiguousarray(np.moveaxis(scaled, 0, 2))


def _expected(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the share of cells that each tile is expected in, (tiles, n, 1), by logits (tiles, n, cells)."""
    shares = np.exp(logits - logits.max(axis=0))
    shares /= shares.sum(axis=0)
    return np.maximum(shares.mean(axis=2, keepdims=True), np.float32(1e-12))


def _decode_failed(
    logits: NDArray,
    temperature: float,
    draws: Draws,
    uniforms: NDArray[np.float64],
    fixed: NDArray[np.int64],
    automaton: CountAutomaton,
) -> NDArray[np.uint8]:
    """Returns the levels whose rules are too unlikely to be kept by draws, or cannot be kept."""
    if temperature == 0:
        return _likeliest(logits, fixed)
    chances = log_softmax(logits.astype(np.float64), temperature)
    noise = draws.gumbels(*chances.shape[1:])
    found, free = np.empty(fixed.shape, np.uint8), np.empty(fixed.shape, np.uint8)
    impossible = np.zeros(len(found), np.bool_)
    _find_best(chances + noise, fixed, *_arrays(automaton), found, impossible)
    _draw_freely(softmax(logits.astype(np.float64), temperature), uniforms, fixed, free)
    return np.where(impossible[:, None], free, found)


def _likeliest(logits: NDArray, fixed: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Returns the likeliest tile of each cell that is not fixed."""
    return np.where(fixed >= 0, fixed, logits.argmax(axis=2)).astype(np.uint8)


def _arrays(automaton: CountAutomaton) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    return automaton.kinds, automaton.successors, automaton.fulfilled


@kernel
def _draw_freely(probabilities, uniforms, fixed, levels):
    """Draws each cell by itself.

    Args:
        probabilities: float64 (n, cells, tiles).
        uniforms: float64 (n, cells), in [0, 1).
        fixed: int64 (n, cells), -1 where free.
        levels: uint8 (n, cells), written.
    """
    n, cells, tiles = probabilities.shape
    for lane in range(n):
        for cell in range(cells):
            chosen = fixed[lane, cell]
            if chosen < 0:
                rest = uniforms[lane, cell]
                for tile in range(tiles):
                    share = probabilities[lane, cell, tile]
                    if share > 0:
                        chosen = tile
                        rest -= share
                        if rest < 0:
                            break
            levels[lane, cell] = chosen


@inline
def _write_fixed(fixed, kinds, successors, level, free):
    """Writes a level's fixed tiles and lists its free cells; returns the state after them and how many are free.

    Args:
        fixed: int64 (cells,), -1 where free.
        kinds: of a CountAutomaton, as `successors`.
        successors: likewise.
        level: uint8 (cells,), written where fixed.
        free: int64 (cells,), its beginning is written.
    """
    state, count = 0, 0
    for cell in range(len(fixed)):
        tile = fixed[cell]
        if tile < 0:
            free[count] = cell
            count += 1
            continue
        level[cell] = tile
        after = successors[state, kinds[tile]]
        if after >= 0:
            state = after
    return state, count


@kernel
def _draw(probabilities, uniforms, fixed, kinds, successors, fulfilled, levels, failed):
    """Draws levels given that they keep rules.

    Args:
        probabilities: float64 (n, cells, tiles).
        uniforms: float64 (n, cells), in [0, 1).
        fixed: int64 (n, cells), -1 where free.
        kinds: of a CountAutomaton, as `successors` and `fulfilled`.
        successors: likewise.
        fulfilled: likewise.
        levels: uint8 (n, cells), written.
        failed: bool (n,), set where the rules can be kept too seldom.
    """
    n, cells, tiles = probabilities.shape
    states, weights = successors.shape
    # ending[i, s]: how likely the cells from the i-th free one on lead from state s to one that is fulfilled.
    ending = np.empty((cells + 1, states))
    free = np.empty(cells, np.int64)
    shares = np.empty(weights)
    for lane in range(n):
        state, count = _write_fixed(fixed[lane], kinds, successors, levels[lane], free)
        for s in range(states):
            ending[count, s] = 1.0 if fulfilled[s] else 0.0
        for i in range(count - 1, -1, -1):
            shares[:] = 0.0
            for tile in range(tiles):
                shares[kinds[tile]] += probabilities[lane, free[i], tile]
            for s in range(states):
                total = 0.0
                for kind in range(weights):
                    after = successors[s, kind]
                    if after >= 0:
                        total += shares[kind] * ending[i + 1, after]
                ending[i, s] = total
        failed[lane] = ending[0, state] < _LEAST
        if failed[lane]:
            continue
        for i in range(count):
            cell = free[i]
            rest = uniforms[lane, cell] * ending[i, state]
            chosen, into = 0, state
            for tile in range(tiles):
                after = successors[state, kinds[tile]]
                if after < 0:
                    continue
                share = probabilities[lane, cell, tile] * ending[i + 1, after]
                if share > 0:
                    chosen, into = tile, after
                    rest -= share
                    if rest < 0:
                        break
            levels[lane, cell] = chosen
            state = into


@kernel
def _find_best(chances, fixed, kinds, successors, fulfilled, levels, failed):
    """Finds the likeliest levels that keep rules (Viterbi 1967).

    Args:
        chances: float64 (n, cells, tiles), logarithms; -inf where a tile must not be.
        fixed: int64 (n, cells), -1 where free.
        kinds: of a CountAutomaton, as `successors` and `fulfilled`.
        successors: likewise.
        fulfilled: likewise.
        levels: uint8 (n, cells), written.
        failed: bool (n,), set where the rules cannot be kept.
    """
    n, cells, tiles = chances.shape
    states, weights = successors.shape
    # ending[i, s]: the greatest sum over the cells from the i-th free one on, from state s to one that is fulfilled.
    ending = np.empty((cells + 1, states))
    free = np.empty(cells, np.int64)
    shares = np.empty(weights)
    for lane in range(n):
        state, count = _write_fixed(fixed[lane], kinds, successors, levels[lane], free)
        for s in range(states):
            ending[count, s] = 0.0 if fulfilled[s] else -np.inf
        for i in range(count - 1, -1, -1):
            shares[:] = -np.inf
            for tile in range(tiles):
                shares[kinds[tile]] = max(shares[kinds[tile]], chances[lane, free[i], tile])
            for s in range(states):
                best = -np.inf
                for kind in range(weights):
                    after = successors[s, kind]
                    if after >= 0:
                        best = max(best, shares[kind] + ending[i + 1, after])
                ending[i, s] = best
        failed[lane] = ending[0, state] == -np.inf
        if failed[lane]:
            continue
        for i in range(count):
            cell = free[i]
            best, chosen, into = -np.inf, 0, state
            for tile in range(tiles):
                after = successors[state, kinds[tile]]
                if after >= 0 and chances[lane, cell, tile] + ending[i + 1, after] > best:
                    best = chances[lane, cell, tile] + ending[i + 1, after]
                    chosen, into = tile, after
            levels[lane, cell] = chosen
            state = into
