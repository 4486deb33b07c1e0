"""Sokoban: push every crate onto a target."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.errors import UserError, unknown_name
from envs.kernels.sokoban import solve, solve_any
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
    move,
    move_all,
)
from envs.kernels.sokoban_search import PUSH_WEIGHT, SOLVED, UNKNOWN, UNSOLVABLE
from envs.kernels.stop import flag
from envs.rules import PLAYING, WON, Rules, Solution, Status

_STATUS: dict[int, Status] = {
    SOLVED: "solved",
    UNSOLVABLE: "unsolvable",
    UNKNOWN: "unknown",
}
_PUSH_WEIGHTS = {"moves": 0, "pushes": PUSH_WEIGHT}
_CRATE_ON_TARGET, _PLAYER_ON_TARGET = 5, 6


class SokobanRules(Rules):
    """Push every crate onto a target.

    The tiles are 0 floor, 1 wall, 2 player, 3 crate, 4 target. A level needs exactly one player, at least one crate
    and as many targets as crates. The player walks one cell up, down, left or right, and pushes a single crate that
    stands in the way if the cell behind it is free; a wall, the edge or a second crate stops both. The game is won
    when every crate is on a target. It is never lost, only stuck, hence moves can be taken back.

    A state is the int32 vector (height, width, player's cell, crates off target, then a cell a number, row by row);
    the cells' bits are in `envs.kernels.sokoban_rules`.
    """

    actions = ("up", "down", "left", "right")
    keys = {"up": ("up", "w"), "down": ("down", "s"), "left": ("left", "a"), "right": ("right", "d")}
    description = "Push every crate onto a target. You can push one crate at a time and never pull."
    undo = True
    sprites = ("floor", "wall", "player", "crate", "target", "crate-on-target", "player-on-target")

    def problem_with(self, level: NDArray[np.uint8]) -> str | None:
        """Returns why a level cannot be started, or None."""
        players, crates, targets = (int((level == tile).sum()) for tile in (PLAYER, CRATE, TARGET))
        if players != 1:
            return f"it has {players} players; exactly 1 is needed"
        if crates == 0:
            return "it has no crate; at least 1 is needed"
        if crates != targets:
            return f"it has {crates} crates but {targets} targets; as many of each are needed"
        return None

    def start(self, level: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Returns the state at the beginning of a level.

        Raises:
            UserError: the level cannot be started; see `problem_with`.
        """
        trouble = self.problem_with(level)
        if trouble:
            raise UserError(f"This sokoban level cannot be played: {trouble}.")
        tiles = np.asarray(level).ravel()
        state = np.zeros(CELLS + tiles.size, np.int32)
        state[HEIGHT], state[WIDTH] = level.shape
        state[PLAYER_CELL] = np.flatnonzero(tiles == PLAYER)[0]
        state[CRATES_LEFT] = (tiles == CRATE).sum()
        cells = state[CELLS:]
        cells[tiles == SOLID] = SOLID_BIT
        cells[tiles == CRATE] = CRATE_BIT
        cells[tiles == TARGET] = TARGET_BIT
        return state

    def step(self, state: NDArray[np.int32], action: int) -> NDArray[np.int32]:
        """Returns the state after one action, as a new array; a game that is won stays as it is.

        Raises:
            UserError: there is no action of that number.
        """
        if not 0 <= action < len(self.actions):
            raise UserError(f"Action {action} is not one of 0 to 3 ({', '.join(self.actions)}).")
        after = np.array(state, np.int32)
        move(after, int(action))
        return after

    def outcome(self, state: NDArray[np.int32]) -> int:
        """Returns WON once no crate is off target, else PLAYING."""
        return WON if state[CRATES_LEFT] == 0 else PLAYING

    def step_all(self, states: NDArray[np.int32], actions: NDArray[np.int64]) -> NDArray[np.int32]:
        """Returns the states of many games after one action each; see `envs.rules.Rules`."""
        after = states.copy()
        move_all(after, actions)
        return after

    def outcomes(self, states: NDArray[np.int32]) -> NDArray[np.int64]:
        """Returns PLAYING, WON or LOST for each of many games, int64 (n,)."""
        return np.where(states[:, CRATES_LEFT] == 0, WON, PLAYING).astype(np.int64)

    def board(self, state: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Returns what a player sees, uint8 (height, width) of indices into `sprites`."""
        return self.boards(state[None])[0]

    def boards(self, states: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Returns what the players of many games see, uint8 (n, height, width)."""
        cells = states[:, CELLS:]
        seen = np.zeros(cells.shape, np.uint8)
        on_target = (cells & TARGET_BIT) != 0
        crates = (cells & CRATE_BIT) != 0
        seen[(cells & SOLID_BIT) != 0] = SOLID
        seen[on_target] = TARGET
        seen[crates] = CRATE
        seen[crates & on_target] = _CRATE_ON_TARGET
        lanes, players = np.arange(len(states)), states[:, PLAYER_CELL]
        seen[lanes, players] = np.where(on_target[lanes, players], _PLAYER_ON_TARGET, PLAYER)
        return seen.reshape(-1, states[0, HEIGHT], states[0, WIDTH])

    def solve(
        self,
        level: NDArray[np.uint8],
        budget: int | None = None,
        stop: NDArray[np.uint8] | None = None,
        shortest: str = "moves",
    ) -> Solution:
        """Searches for a solution, by default a shortest one.

        Args:
            level: uint8 (height, width).
            budget: the most states to expand; None means `default_budget`.
            stop: uint8 (1,); the search gives up soon after 1 is written into it.
            shortest: "moves" for the fewest moves, "pushes" for the fewest pushes and among those the fewest moves,
                "any" for a solution of any length, which is found far sooner.

        Returns:
            The solution. A level that cannot be started is "unsolvable".

        Raises:
            UserError: the budget is less than 1, or there is no such meaning of shortest.
        """
        if self.problem_with(level):
            return Solution("unsolvable")
        return self.solve_state(self.start(level), budget, stop, shortest)

    def solve_state(
        self,
        state: NDArray[np.int32],
        budget: int | None = None,
        stop: NDArray[np.uint8] | None = None,
        shortest: str = "moves",
    ) -> Solution:
        """Searches for a solution from any state of a game, as a hint needs it.

        Args:
            state: int32, as `start` and `step` return it. Not changed.
            budget: the most states to expand; None means `default_budget`.
            stop: as in `solve`.
            shortest: "moves", "pushes" or "any", as in `solve`.

        Returns:
            The solution. A game that is won already is solved by no actions.

        Raises:
            UserError: the budget is less than 1, or there is no such meaning of shortest.
        """
        if shortest not in (*_PUSH_WEIGHTS, "any"):
            raise unknown_name("meaning of shortest", shortest, (*_PUSH_WEIGHTS, "any"))
        most = self.default_budget if budget is None else int(budget)
        if most < 1:
            raise UserError(f"The solver's budget must be at least 1 state; got {budget}.")
        if shortest == "any":
            status, actions, nodes = solve_any(state, most, flag(stop))
        else:
            status, actions, nodes = solve(state, most, _PUSH_WEIGHTS[shortest], flag(stop))
        return Solution(_STATUS[status], actions, int(nodes))
