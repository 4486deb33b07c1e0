"""Ddave: jump over spikes for the key, and take it to the door."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.errors import UserError
from envs.kernels.ddave import stance_room
from envs.kernels.ddave_rules import (
    AIR,
    EXIT,
    HAS_KEY,
    HEADER,
    HEIGHT,
    KEY,
    OUTCOME,
    PLACE,
    PLAYER,
    SOLID,
    SOLVED,
    UNKNOWN,
    UNSOLVABLE,
    WIDTH,
    search,
    step,
    step_all,
)
from envs.kernels.stop import flag
from envs.rules import LOST, PLAYING, WON, Rules, Solution, Status

_OPEN_DOOR, _HANGING, _RISING = 7, 8, 9
_STATUS: dict[int, Status] = {SOLVED: "solved", UNSOLVABLE: "unsolvable", UNKNOWN: "unknown"}


class DdaveRules(Rules):
    """Jump over spikes for the key, and take it to the door; a game of moves, with gravity in each of them.

    The tiles are 0 air, 1 wall, 2 player, 3 exit, 4 diamond, 5 key, 6 spike. A level needs exactly one player, one
    exit and one key, and may hold any number of diamonds and spikes. Beyond its edges is wall. The player moves as in
    the ddave engine of gym-pcgrl (Khalifa 2020). **One move**, in this order:

    1. "left" and "right" take the player one cell sideways, unless wall is in the way, also in the air. "jump" begins
       a jump where there is wall right below and none right above; elsewhere it is as good as "wait".
    2. A jump is three moves of being carried: the move in which it begins and the next lift the player by one cell
       each, the third one leaves the height as it is. Wall overhead in the second one cuts it short: the player
       stays, and hangs for one move more. Without a jump under way the player falls by one cell, unless there is
       wall right below. Hence a jump reaches two cells up, and three to the side at that height.
    3. What is in the cell where the player is now counts: a diamond or the key is taken, a spike loses the game, and
       the exit wins it if the key is held. A cell that was merely passed on the way down or up does not count, so
       that one can step off a ledge past the corner of a spike.

    Jumping again before a jump is over is possible as soon as there is wall right below. Diamonds need not be taken.
    """

    actions = ("wait", "left", "right", "jump")
    keys = {
        "wait": (".", "return", "down", "s"),
        "left": ("left", "a"),
        "right": ("right", "d"),
        "jump": ("up", "w", "space"),
    }
    description = (
        "Jump for the key and take it to the door. You fall one cell a move; spikes are the end. "
        "Diamonds are there for those who like them."
    )
    undo = True
    sprites = (
        *("floor", "wall", "player", "door", "diamond", "key", "spike"),
        *("door-open", "player-hanging", "player-rising"),
    )

    def problem_with(self, level: NDArray[np.uint8]) -> str | None:
        """Returns why a level cannot be started, or None: it needs one player, one exit and one key."""
        for tile, name in ((PLAYER, "player"), (EXIT, "exit"), (KEY, "key")):
            count = int((level == tile).sum())
            if count != 1:
                return f"it has {count} {name}{'' if count == 1 else 's'}; exactly 1 is needed"
        return None

    def start(self, level: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Returns the state at the beginning of a level.

        Raises:
            UserError: the level cannot be started; see `problem_with`.
        """
        trouble = self.problem_with(level)
        if trouble:
            raise UserError(f"This ddave level cannot be played: {trouble}.")
        padded = np.pad(np.asarray(level), 1, constant_values=SOLID).ravel()
        state = np.zeros(HEADER + padded.size, np.int32)
        state[HEIGHT], state[WIDTH] = level.shape
        state[PLACE] = np.flatnonzero(padded == PLAYER)[0]
        state[HEADER:] = np.where(padded == PLAYER, 0, padded)
        return state

    def step(self, state: NDArray[np.int32], action: int) -> NDArray[np.int32]:
        """Returns the state after one move, as a new array; the class says what a move does.

        Raises:
            UserError: there is no action of that number.
        """
        if not 0 <= action < len(self.actions):
            raise UserError(f"Action {action} is not one of 0 to 3 ({', '.join(self.actions)}).")
        after = np.empty_like(state)
        step(state, int(action), after)
        return after

    def outcome(self, state: NDArray[np.int32]) -> int:
        """Returns WON in the exit with the key, LOST on a spike, else PLAYING."""
        return int(state[OUTCOME])

    def step_all(self, states: NDArray[np.int32], actions: NDArray[np.int64]) -> NDArray[np.int32]:
        """Returns the states of many games after one action each; see `envs.rules.Rules`."""
        after = np.empty_like(states)
        step_all(states, actions, after)
        return after

    def outcomes(self, states: NDArray[np.int32]) -> NDArray[np.int64]:
        """Returns PLAYING, WON or LOST for each of many games, int64 (n,)."""
        return states[:, OUTCOME].astype(np.int64)

    def board(self, state: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Returns what a player sees, uint8 (height, width) of indices into `sprites`.

        The player's own drawing tells whether the next move lifts her, leaves her hanging, or neither. A spike hides
        the player whom it caught.
        """
        return self.boards(state[None])[0]

    def boards(self, states: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Returns what the players of many games see, uint8 (n, height, width); see `board`."""
        rows, columns = states[0, HEIGHT] + 2, states[0, WIDTH] + 2
        boards = states[:, HEADER:].astype(np.uint8)
        boards[(boards == EXIT) & (states[:, HAS_KEY] != 0)[:, None]] = _OPEN_DOOR
        alive = np.flatnonzero(states[:, OUTCOME] != LOST)
        poses = np.array((PLAYER, _HANGING, _RISING), np.uint8)
        boards[alive, states[alive, PLACE]] = poses[states[alive, AIR]]
        return np.ascontiguousarray(boards.reshape(-1, rows, columns)[:, 1:-1, 1:-1])

    def solve_state(
        self, state: NDArray[np.int32], budget: int | None = None, stop: NDArray[np.uint8] | None = None
    ) -> Solution:
        """Finds the fewest moves that win from any state of a game, and among those the fewest jumps.

        There are at most six states for each cell (diamonds change nothing), so that the search is exhaustive.

        Args:
            state: int32, as `start` and `step` return it. Not changed.
            budget: the most states to expand; None means `default_budget`.
            stop: uint8 (1,); once another thread writes 1 into it, the search ends soon, as at its budget.

        Raises:
            UserError: the budget is less than 1.
        """
        most = self.default_budget if budget is None else int(budget)
        if most < 1:
            raise UserError(f"The solver's budget must be at least 1 state; got {budget}.")
        if state[OUTCOME] != PLAYING:
            return Solution("solved" if state[OUTCOME] == WON else "unsolvable")
        room = stance_room(state.size - HEADER)
        verdict, actions, nodes = search(np.require(state, np.int32, ("C", "W")), most, flag(stop), *room)
        return Solution(_STATUS[verdict], actions, int(nodes))
