"""Rules of play: one set for each playable problem, used alike by its solver, its play environment and the window."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Status = Literal["solved", "unsolvable", "unknown"]

#: What a state can be: the game goes on, is won, or is lost.
PLAYING, WON, LOST = 0, 1, 2


@dataclass(frozen=True)
class Solution:
    """What a solver found out about one level.

    Attributes:
        status: "solved" (the actions win), "unsolvable" (proven: no actions win) or "unknown" (the solver stopped
            at its budget before it knew; never a verdict on the level).
        actions: int64 (length,), play actions that win from the start; empty unless solved.
        nodes: the number of game states that the solver expanded.
        seconds: how long the search took, where that was measured; else 0.
    """

    status: Status
    actions: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    nodes: int = 0
    seconds: float = 0.0

    @property
    def solved(self) -> bool:
        """Whether a winning list of actions is known."""
        return self.status == "solved"


@dataclass(frozen=True)
class Actor:
    """Something that moves over the board and may stand between cells.

    Attributes:
        sprite: which drawing, an index into `Rules.sprites`.
        row: where its drawing's upper edge is, in tiles from the level's upper edge.
        column: where its drawing's left edge is, in tiles from the level's left edge.
        mirrored: whether it looks to the left.
    """

    sprite: int
    row: float
    column: float
    mirrored: bool = False


class Rules(ABC):
    """How one game is played.

    A game state is one flat `int32` vector that the rules alone interpret; for a level of a given shape its length
    is fixed, so that a solver, a play environment and a window can copy, store, compare and undo states freely.
    The game is deterministic: equal states and actions give equal states.
    """

    #: The names of the play actions, in the order of their numbers ("up", "down", ...). In a game that runs by itself
    #: an action says which buttons are held down for one tick: their names joined by "+" ("right+jump"), or "wait".
    actions: tuple[str, ...]

    #: Keyboard keys, as pygame spells them ("up", "space"), by the name of the action, or of the button in a game that
    #: runs by itself; the window reads them.
    keys: dict[str, tuple[str, ...]]

    #: How many ticks a second a game makes that runs by itself; 0 for a game that waits for the player's move.
    ticks_per_second: int = 0

    #: How many numbers `sense` returns; 0 where `board` shows everything that matters.
    senses: int = 0

    #: One or two sentences for the player: what to do, how to win, how to lose.
    description: str

    #: Whether the window offers to take moves back.
    undo: bool = False

    #: Whether the solver's solutions have the fewest actions.
    shortest: bool = True

    #: The solver's default limit on expanded states.
    default_budget: int = 200_000

    @abstractmethod
    def problem_with(self, level: NDArray[np.uint8]) -> str | None:
        """Returns why a level cannot be started at all ("it has 2 players; exactly 1 is needed"), or None."""

    @abstractmethod
    def start(self, level: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Returns the state at the beginning of a level that `problem_with` finds nothing wrong with."""

    @abstractmethod
    def step(self, state: NDArray[np.int32], action: int) -> NDArray[np.int32]:
        """Returns the state after one action, as a new array. A finished game stays as it is."""

    @abstractmethod
    def outcome(self, state: NDArray[np.int32]) -> int:
        """Returns PLAYING, WON or LOST."""

    @abstractmethod
    def board(self, state: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Returns what a player sees: uint8 (height, width), indices into `sprites`."""

    def picture(self, state: NDArray[np.int32], tile_size: int) -> NDArray[np.uint8] | None:
        """Returns a picture of the game, uint8 RGB (pixels, pixels, 3), where the drawings of `board` would not do.

        Levels of three axes have one. Others return None, as here; then `board` is drawn.
        """
        return None

    def actors(self, state: NDArray[np.int32]) -> list[Actor]:
        """Returns what stands between cells, the player first: the window follows it, and draws all over `ground`.

        Games whose things all stand on cells return none, as here; then the window shows `board`.
        """
        return []

    def ground(self, state: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Returns the board without the actors, uint8 (height, width), indices into `sprites`."""
        return self.board(state)

    def sense(self, state: NDArray[np.int32]) -> NDArray[np.float32]:
        """Returns what matters and `board` does not show (speeds, places between cells): float32 (senses,) in [-1, 1].

        The play environment adds it to the observation.
        """
        return np.zeros(self.senses, np.float32)

    #: The names of the drawings (see `envs.art`) that `board` refers to; the problem's tiles come first, in order.
    sprites: tuple[str, ...]

    #: What the names of the player's own drawings begin with.
    hero: str = "player"

    def heroes(self) -> NDArray[np.int64]:
        """Returns which drawings show the player, int64 (k,), indices into `sprites`."""
        return np.array([i for i, name in enumerate(self.sprites) if name.startswith(self.hero)], np.int64)

    # Many games of levels of one shape side by side. Here they are played one by one; games that step compiled, or
    # draw many boards at once, do so.

    def step_all(self, states: NDArray[np.int32], actions: NDArray[np.int64]) -> NDArray[np.int32]:
        """Returns the states of many games after one action each, as a new array; see `step`.

        Args:
            states: int32 (n, length), not changed.
            actions: int64 (n,), each the number of an action; they are not checked.
        """
        after = np.empty_like(states)
        for i, action in enumerate(actions.tolist()):
            after[i] = self.step(states[i], action)
        return after

    def outcomes(self, states: NDArray[np.int32]) -> NDArray[np.int64]:
        """Returns PLAYING, WON or LOST for each of many games, int64 (n,)."""
        return np.array([self.outcome(state) for state in states], np.int64)

    def boards(self, states: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Returns what the players of many games see, uint8 (n, height, width); see `board`. There must be a game."""
        return np.stack([self.board(state) for state in states])

    def senses_of(self, states: NDArray[np.int32]) -> NDArray[np.float32]:
        """Returns what `board` does not show of many games, float32 (n, senses); see `sense`."""
        return np.array([self.sense(state) for state in states], np.float32).reshape(len(states), self.senses)

    def solve(
        self, level: NDArray[np.uint8], budget: int | None = None, stop: NDArray[np.uint8] | None = None
    ) -> Solution:
        """Searches for actions that win a level.

        Args:
            level: uint8 (height, width).
            budget: the most states to expand; None means `default_budget`.
            stop: uint8 (1,); once another thread writes 1 into it, the search ends soon, as at its budget.

        Returns:
            The solution. A level that cannot be started is "unsolvable".
        """
        if self.problem_with(level) is not None:
            return Solution("unsolvable")
        return self.solve_state(self.start(level), budget, stop)

    @abstractmethod
    def solve_state(
        self, state: NDArray[np.int32], budget: int | None = None, stop: NDArray[np.uint8] | None = None
    ) -> Solution:
        """Searches for actions that win from the middle of a game.

        Args:
            state: a state that `start` or `step` returned.
            budget: the most states to expand; None means `default_budget`. It may be `envs.kernels.stop.UNLIMITED`;
                hence the search also gives up before its tables exceed `MOST_MEMORY`.
            stop: as in `solve`.
        """
