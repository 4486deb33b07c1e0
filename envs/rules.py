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
    """

    status: Status
    actions: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    nodes: int = 0

    @property
    def solved(self) -> bool:
        """Whether a winning list of actions is known."""
        return self.status == "solved"


class Rules(ABC):
    """How one game is played.

    A game state is one flat `int32` vector that the rules alone interpret; for a level of a given shape its length
    is fixed, so that a solver, a play environment and a window can copy, store, compare and undo states freely.
    The game is deterministic: equal states and actions give equal states.
    """

    #: The names of the play actions, in the order of their numbers ("up", "down", ...).
    actions: tuple[str, ...]

    #: Keyboard keys by action name, as pygame spells them ("up", "space"); the window reads them.
    keys: dict[str, tuple[str, ...]]

    #: One or two sentences for the player: what to do, how to win, how to lose.
    description: str

    #: Whether the window offers to take moves back.
    undo: bool = False

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

    #: The names of the drawings (see `envs.art`) that `board` refers to; the problem's tiles come first, in order.
    sprites: tuple[str, ...]

    def solve(self, level: NDArray[np.uint8], budget: int | None = None) -> Solution:
        """Searches for actions that win a level.

        Args:
            level: uint8 (height, width).
            budget: the most states to expand; None means `default_budget`.

        Returns:
            The solution. A level that cannot be started is "unsolvable".
        """
        if self.problem_with(level) is not None:
            return Solution("unsolvable")
        return self.solve_state(self.start(level), budget)

    @abstractmethod
    def solve_state(self, state: NDArray[np.int32], budget: int | None = None) -> Solution:
        """Searches for actions that win from the middle of a game.

        Args:
            state: a state that `start` or `step` returned.
            budget: the most states to expand; None means `default_budget`.
        """
