"""The maze walk: from one end of the longest path to the other, or from the player to the door."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.errors import UserError
from envs.kernels import maze_rules
from envs.kernels.stop import flag
from envs.rules import PLAYING, WON, Rules, Solution, Status

_FLOOR, _WALL, _PLAYER, _FLAG = range(4)
_STATUS: dict[int, Status] = {
    maze_rules.SOLVED: "solved",
    maze_rules.UNSOLVABLE: "unsolvable",
    maze_rules.UNKNOWN: "unknown",
}


def wrong_counts(level: NDArray[np.uint8], things: tuple[tuple[int, str], ...]) -> str | None:
    """Says which things a level does not have exactly one of, or None where it has.

    Args:
        level: uint8 (height, width).
        things: tiles with their names.
    """
    wrong = []
    for tile, name in things:
        count = int((level == tile).sum())
        if count != 1:
            wrong.append((f"{count} {name}{'' if count == 1 else 's'}", f"1 {name}"))
    if not wrong:
        return None
    has, needed = (" and ".join(names) for names in zip(*wrong, strict=True))
    return f"it has {has}; exactly {needed} {'is' if len(wrong) == 1 else 'are'} needed"


class MazeRules(Rules):
    """Walk from one end of a level's longest path to the other.

    Tile 0 is floor, tile 1 is wall. In each 4-connected region of floor, breadth-first search goes from the
    first cell in row-major order to the farthest cell A, and from A to the farthest cell B (the first in
    row-major order among equals, both times). The region with the longest such path, the first one among
    equals, gives the start A and the goal B; this is the path that the binary problem measures (Khalifa
    2020). A path of a single cell is won at the start. A wall stops the walker; nothing loses the game.
    """

    actions = ("up", "down", "left", "right")
    keys = {"up": ("up", "w"), "down": ("down", "s"), "left": ("left", "a"), "right": ("right", "d")}
    description = "Walk through the maze to the flag. You cannot lose, but the way is long."
    sprites = ("floor", "wall", "player", "flag")

    def problem_with(self, level: NDArray[np.uint8]) -> str | None:
        """Returns why a level cannot be started, or None: there must be a floor cell to stand on."""
        return None if (level == 0).any() else "it has no empty cell; at least 1 is needed to stand on"

    def start(self, level: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Returns the state at the beginning of a level.

        Raises:
            UserError: the level cannot be started.
        """
        trouble = self.problem_with(level)
        if trouble:
            raise UserError(f"This level cannot be walked: {trouble}.")
        padded = (level.shape[0] + 2) * (level.shape[1] + 2)
        state = np.zeros(maze_rules.HEADER + padded, np.int32)
        self._begin(np.ascontiguousarray(level, np.uint8), state)
        return state

    def _begin(self, level: NDArray[np.uint8], state: NDArray[np.int32]) -> None:
        """Fills in the state, int32 and all zero, at the beginning of a level."""
        maze_rules.begin(level, state)

    def step(self, state: NDArray[np.int32], action: int) -> NDArray[np.int32]:
        """Returns the state after one action, as a new array.

        Raises:
            UserError: there is no action of that number.
        """
        if not 0 <= action < len(self.actions):
            raise UserError(f"Action {action} is not one of 0 to 3 ({', '.join(self.actions)}).")
        after = np.empty_like(state)
        maze_rules.step(state, action, after)
        return after

    def outcome(self, state: NDArray[np.int32]) -> int:
        """Returns WON at the goal, PLAYING elsewhere."""
        return WON if state[maze_rules.WALKER] == state[maze_rules.GOAL] else PLAYING

    def step_all(self, states: NDArray[np.int32], actions: NDArray[np.int64]) -> NDArray[np.int32]:
        """Returns the states of many games after one action each; see `envs.rules.Rules`."""
        after = np.empty_like(states)
        maze_rules.step_all(states, actions, after)
        return after

    def outcomes(self, states: NDArray[np.int32]) -> NDArray[np.int64]:
        """Returns PLAYING, WON or LOST for each of many games, int64 (n,)."""
        return np.where(states[:, maze_rules.WALKER] == states[:, maze_rules.GOAL], WON, PLAYING).astype(np.int64)

    def board(self, state: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Returns what a player sees: uint8 (height, width), indices into `sprites`."""
        return self.boards(state[None])[0]

    def boards(self, states: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Returns what the players of many games see, uint8 (n, height, width)."""
        height, width = states[0, maze_rules.HEIGHT], states[0, maze_rules.WIDTH]
        boards = np.where(states[:, maze_rules.HEADER :] == 1, _FLOOR, _WALL).astype(np.uint8)
        lanes = np.arange(len(states))
        boards[lanes, states[:, maze_rules.GOAL]] = _FLAG
        boards[lanes, states[:, maze_rules.WALKER]] = _PLAYER
        return np.ascontiguousarray(boards.reshape(-1, height + 2, width + 2)[:, 1:-1, 1:-1])

    def solve_state(
        self, state: NDArray[np.int32], budget: int | None = None, stop: NDArray[np.uint8] | None = None
    ) -> Solution:
        """Finds a shortest walk to the goal from any state of a game, as a hint needs it.

        Args:
            state: int32 (n,), as `start` and `step` return it.
            budget: the most cells to expand; None means `default_budget`.
            stop: uint8 (1,); once another thread writes 1 into it, the search ends soon, as at its budget.

        Raises:
            UserError: the budget is less than 1.
        """
        if budget is not None and budget < 1:
            raise UserError(f"The solver's budget must be at least 1 state; got {budget}.")
        most = self.default_budget if budget is None else budget
        verdict, actions, nodes = maze_rules.shortest(state, most, flag(stop))
        return Solution(_STATUS[verdict], actions, int(nodes))


class DoorRules(MazeRules):
    """Walk from the player to the door.

    Tile 0 is floor, tile 1 is wall, tile 2 is the player and tile 3 is the door, which stands open. A level needs
    exactly one player and one door. A wall stops the walker; nothing loses the game.
    """

    description = "Walk through the maze to the door. You cannot lose, but there are dead ends."
    sprites = ("floor", "wall", "player", "door-open")

    def problem_with(self, level: NDArray[np.uint8]) -> str | None:
        """Returns why a level cannot be started, or None: it needs one player and one door."""
        return wrong_counts(level, ((_PLAYER, "player"), (_FLAG, "door")))

    def _begin(self, level: NDArray[np.uint8], state: NDArray[np.int32]) -> None:
        """Fills in the state, int32 and all zero, at the beginning of a level."""
        maze_rules.begin_at_player(level, state)
