"""Sokoban levels in whole batches: what stands in them, and whether and how they can be solved.

The memory of the searches is allocated once for each thread and used again.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from envs.kernels import inline, kernel
from envs.kernels.sokoban_any import search_any
from envs.kernels.sokoban_construct import MOST_POSITIONS, TABLE_SIZE, construct_levels
from envs.kernels.sokoban_rules import (
    CELLS,
    CRATE,
    CRATE_BIT,
    CRATES_LEFT,
    HEIGHT,
    PLAYER,
    PLAYER_CELL,
    SOLID,
    SOLID_BIT,
    TARGET,
    TARGET_BIT,
    WIDTH,
    neighbour,
)
from envs.kernels.sokoban_search import (
    BOARD_COLUMNS,
    CRATE_COUNT,
    FLOOR_COUNT,
    GOAL,
    LEAST_GAP,
    LENGTH,
    NODES,
    QUEUE,
    SET_SIZES,
    SOLVED,
    STATUS,
    UNKNOWN,
    UNSOLVABLE,
    search_states,
    trace,
)
from envs.kernels.stop import MOST_MEMORY, NEVER

SEEN_BIT = 8  # only while regions are counted

# The columns that `measure` fills.
METRICS = ("player", "crate", "target", "regions", "ratio", "dist-win", "sol-length")
DIST_WIN = 5


@inline
def _count_regions(states, lane, board):
    """Counts the 4-connected regions of everything but solid; marks their cells with SEEN_BIT."""
    height, width = int(states[lane, HEIGHT]), int(states[lane, WIDTH])
    regions = 0
    for start in range(height * width):
        if states[lane, CELLS + start] & (SOLID_BIT | SEEN_BIT):
            continue
        regions += 1
        states[lane, CELLS + start] |= SEEN_BIT
        board[0, QUEUE] = start
        waiting = 1
        while waiting > 0:
            waiting -= 1
            here = int(board[waiting, QUEUE])
            for direction in range(4):
                near = neighbour(here, direction, height, width)
                if near >= 0 and not states[lane, CELLS + near] & (SOLID_BIT | SEEN_BIT):
                    states[lane, CELLS + near] |= SEEN_BIT
                    board[waiting, QUEUE] = near
                    waiting += 1
    return regions


@kernel
def read_levels(levels, metrics, results, states, board):
    """Counts what stands in levels, and makes states of those that are structurally valid.

    Valid are levels of one player, one region, and as many crates as targets but not none.

    Args:
        levels: uint8 (n, height, width).
        metrics: float32 (n, 7), of which the columns before DIST_WIN are filled.
        results: int64 (n, 7), filled as for levels that are not valid.
        states: int32 (n, 4 + cells), filled; levels that are not valid get a height of 0.
        board: see `Workspace`.

    Returns:
        How many levels are valid.
    """
    n, height, width = levels.shape
    valid = 0
    for lane in range(n):
        states[lane, HEIGHT], states[lane, WIDTH], states[lane, PLAYER_CELL] = height, width, 0
        players, crates, targets = 0, 0, 0
        for cell in range(height * width):
            tile = levels[lane, cell // width, cell % width]
            bits = 0
            if tile == SOLID:
                bits = SOLID_BIT
            elif tile == PLAYER:
                players += 1
                states[lane, PLAYER_CELL] = cell
            elif tile == CRATE:
                crates += 1
                bits = CRATE_BIT
            elif tile == TARGET:
                targets += 1
                bits = TARGET_BIT
            states[lane, CELLS + cell] = bits
        regions = _count_regions(states, lane, board)
        for cell in range(height * width):
            states[lane, CELLS + cell] &= SOLID_BIT | TARGET_BIT | CRATE_BIT
        states[lane, CRATES_LEFT] = crates
        metrics[lane, 0], metrics[lane, 1], metrics[lane, 2] = players, crates, targets
        metrics[lane, 3], metrics[lane, 4] = regions, abs(crates - targets)
        results[lane, STATUS], results[lane, NODES], results[lane, GOAL] = UNSOLVABLE, 0, -1
        results[lane, FLOOR_COUNT], results[lane, CRATE_COUNT] = 0, 0
        results[lane, LEAST_GAP], results[lane, LENGTH] = height * width * (height + width), 0
        if players == 1 and crates >= 1 and crates == targets and regions == 1:
            valid += 1
        else:
            states[lane, HEIGHT] = 0
    return valid


class Workspace:
    """The memory that searches use, allocated once for a thread and grown when a level needs more.

    Attributes:
        size: the most cells of a level.
        room: the most arrangements of crates.
        board: int32 (size or more, BOARD_COLUMNS).
        pools: boxes, walks, arrangements, table, arrivals and heap, in the order that `search_states` takes them.
    """

    SMALLEST = 4096
    #: Beyond this many bytes a workspace is given back once the levels that needed it are done.
    MOST_KEPT = 256 << 20

    def __init__(self, size: int, room: int) -> None:
        """Allocates memory; what no search ever touches costs address space only."""
        self.size = size
        self.room = room
        self.board = np.zeros((max(size, len(SET_SIZES)), BOARD_COLUMNS), np.int32)
        self.pools = (
            np.zeros(room * min(size, 8) + size, np.int16),
            np.zeros(room * size, np.int32),
            np.zeros((room, 3), np.int32),
            np.full(2 * room, -1, np.int32),
            # Arrivals outnumber arrangements several times over.
            np.zeros((4 * room, 5), np.int32),
            np.zeros(4 * room + 1, np.int64),
        )

    @property
    def memory(self) -> int:
        """The bytes held."""
        return self.board.nbytes + sum(pool.nbytes for pool in self.pools)


class _OfThread(threading.local):
    """The workspace of each thread, so that threads may measure slices of one batch side by side."""

    workspace: Workspace | None = None


_of_thread = _OfThread()


def _workspace(size: int, more_than: int = 0) -> Workspace:
    """Returns this thread's workspace, for levels of `size` cells and, unless MOST_MEMORY forbids, more room."""
    held = _of_thread.workspace
    if held is None or held.size < size:
        _of_thread.workspace = held = Workspace(size, Workspace.SMALLEST)
    for factor in (4, 2):
        if held.room <= more_than and factor * held.memory <= MOST_MEMORY:
            _of_thread.workspace = held = Workspace(held.size, factor * held.room)
    return held


def _search(
    states: NDArray[np.int32], push_weight: int, budget: int, stop: NDArray[np.uint8], results: NDArray[np.int64]
) -> Workspace:
    """Searches from every state, in as large a workspace as that takes; returns the workspace."""
    workspace = _workspace(states.shape[1] - CELLS)
    lane = search_states(states, 0, push_weight, budget, stop, results, workspace.board, *workspace.pools)
    while lane < len(states):
        grown = _workspace(workspace.size, more_than=workspace.room)
        if grown is workspace:
            results[lane, STATUS] = UNKNOWN
            lane += 1
        workspace = grown
        lane = search_states(states, lane, push_weight, budget, stop, results, workspace.board, *workspace.pools)
    if workspace.memory > Workspace.MOST_KEPT:
        _of_thread.workspace = None
    return workspace


def measure(levels: NDArray[np.uint8], budget: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Measures a batch of levels.

    Args:
        levels: uint8 (n, height, width) of tile ids.
        budget: the most states to expand for one level.

    Returns:
        The metrics, float32 (n, 7) in the order of METRICS, and the search's results, int64 (n, 7) with the columns
        STATUS to LENGTH; levels that are not structurally valid are UNSOLVABLE.
    """
    # A read-only array is another type to Numba, and everything would be compiled anew for it.
    levels = np.require(levels, np.uint8, ("C", "W"))
    n, height, width = levels.shape
    size = height * width
    metrics, results = np.empty((n, len(METRICS)), np.float32), np.empty((n, 7), np.int64)
    states = np.empty((n, CELLS + size), np.int32)
    if read_levels(levels, metrics, results, states, _workspace(size).board):
        _search(states, 0, budget, NEVER, results)
    # The declared bounds hold for every level: a solution beyond them counts as the bound.
    np.minimum(results[:, LEAST_GAP:], size * (height + width), out=metrics[:, DIST_WIN:], casting="unsafe")
    return metrics, results


def measure_static(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Returns what `measure` counts without a search, float32 (n, 7); the columns from DIST_WIN on are 0."""
    levels = np.require(levels, np.uint8, ("C", "W"))
    n, height, width = levels.shape
    metrics, results = np.zeros((n, len(METRICS)), np.float32), np.empty((n, 7), np.int64)
    states = np.empty((n, CELLS + height * width), np.int32)
    read_levels(levels, metrics, results, states, _workspace(height * width).board)
    return metrics


def solve(
    state: NDArray[np.int32], budget: int, push_weight: int = 0, stop: NDArray[np.uint8] = NEVER
) -> tuple[int, NDArray[np.int64], int]:
    """Solves one state.

    Args:
        state: int32 (4 + cells,).
        budget: the most states to expand.
        push_weight: 0 for the fewest moves, PUSH_WEIGHT for the fewest pushes and among those the fewest moves.
        stop: uint8 (1,); the search gives up soon after 1 is written into it.

    Returns:
        SOLVED, UNSOLVABLE or UNKNOWN; the winning actions, int64 (length,); and how many states were expanded.
    """
    states = np.array(state[None], np.int32, order="C")
    results = np.zeros((1, 7), np.int64)
    workspace = _search(states, push_weight, budget, stop, results)
    actions = np.zeros(results[0, LENGTH], np.int64)
    if results[0, STATUS] == SOLVED:
        goal, floor_count, crate_count = (int(number) for number in results[0, GOAL:LEAST_GAP])
        trace(goal, floor_count, crate_count, actions, workspace.board, workspace.pools[0], workspace.pools[4])
    return int(results[0, STATUS]), actions, int(results[0, NODES])


def solve_any(
    state: NDArray[np.int32], budget: int, stop: NDArray[np.uint8] = NEVER
) -> tuple[int, NDArray[np.int64], int]:
    """Solves one state in any way at all, which is far faster than a shortest solution where there are many crates.

    Args:
        state: int32 (4 + cells,).
        budget: the most positions to expand.
        stop: as in `solve`.

    Returns:
        As `solve`, but the actions need not be few.
    """
    states = np.array(state[None], np.int32, order="C")
    board = np.empty((max(states.shape[1] - CELLS, len(SET_SIZES)), BOARD_COLUMNS), np.int32)
    return search_any(states, budget, stop, MOST_MEMORY, board)


# How many positions the solver may expand to confirm a constructed level.
_CONFIRMING = 200_000
# How often a level that proves too short is made anew, from another stream.
_TRIALS = 6
# In fewer cells than this, levels long enough are rare; asking for them would give the same few again and again.
_ROOMY = 16
_NEXT_STREAM = np.uint64(0xD1B54A32D192ED03)


def construct(seeds: NDArray[np.uint64], shape: tuple[int, ...], enough: int, budget: int) -> NDArray[np.uint8]:
    """Builds levels by playing backwards, and has the solver confirm each of them.

    Args:
        seeds: uint64 (n,), one for each level.
        shape: the (height, width), at least (3, 3).
        enough: the moves that a level should take; of several trials the longest is kept.
        budget: the most states to expand for a shortest solution; where trials end without one, any will do.

    Returns:
        uint8 (n, height, width).
    """
    seeds = np.require(seeds, np.uint64, ("C", "W"))
    cells = shape[0] * shape[1]
    levels, lengths = np.empty((len(seeds), *shape), np.uint8), np.zeros(len(seeds), np.int64)
    room = (
        np.empty((cells, 4), np.int32),
        np.empty(cells, np.int32),
        np.empty((2, cells), np.uint8),
        np.full(TABLE_SIZE, -1, np.int64),
        np.empty(MOST_POSITIONS, np.int64),
        np.empty(MOST_POSITIONS, np.int32),
    )
    if cells < _ROOMY:
        enough = cells // 2
    left, trial = np.arange(len(seeds)), 0
    while len(left):
        made = np.empty((len(left), *shape), np.uint8)
        construct_levels(seeds[left], enough, made, *room)
        trial += 1
        moves = _solution_lengths(made, budget, at_any_length=trial >= _TRIALS)
        better = moves > lengths[left]
        levels[left[better]], lengths[left[better]] = made[better], moves[better]
        left = np.flatnonzero(lengths < (enough if trial < _TRIALS else 1))
        seeds = seeds + _NEXT_STREAM
    return levels


def _solution_lengths(levels: NDArray[np.uint8], budget: int, at_any_length: bool) -> NDArray[np.int64]:
    """Returns the moves of the shortest solutions of valid levels, int64 (n,), 0 for none within the budget.

    With `at_any_length` the levels of which the budget leaves nothing known get the moves of any solution.
    """
    n, cells = len(levels), levels[0].size
    metrics, results = np.empty((n, len(METRICS)), np.float32), np.empty((n, 7), np.int64)
    states = np.empty((n, CELLS + cells), np.int32)
    read_levels(levels, metrics, results, states, _workspace(cells).board)
    _search(states, 0, budget, NEVER, results)
    lengths = results[:, LENGTH].copy()
    if at_any_length:
        for lane in np.flatnonzero(results[:, STATUS] == UNKNOWN):
            lengths[lane] = len(solve_any(states[lane], _CONFIRMING)[1])
    return lengths
