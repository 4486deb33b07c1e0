"""Mdungeon: reach the exit of a dungeon alive, past monsters that never move."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.errors import UserError
from envs.kernels.grid import workspace
from envs.kernels.mdungeon import stance_room
from envs.kernels.mdungeon_rules import (
    EXIT,
    FULL,
    HEADER,
    HEALTH,
    HEIGHT,
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
from envs.kernels.taken import room, words_for
from envs.rules import LOST, PLAYING, WON, Rules, Solution, Status

_STATUS: dict[int, Status] = {SOLVED: "solved", UNSOLVABLE: "unsolvable", UNKNOWN: "unknown"}
_NO_HEALTH = 7
#: Most levels need no more; a search that does gets memory for all of its budget.
_SMALL = 2_000
#: What the search can tell apart.
_MOST = 1_000_000


class MdungeonRules(Rules):
    """Reach the exit alive; fight what stands in the way.

    The tiles are 0 floor, 1 wall, 2 player, 3 exit, 4 potion, 5 treasure, 6 goblin, 7 ogre. A level needs exactly one
    player and one exit. The player begins with 5 health, and walks one cell up, down, left or right; walls and the
    edge stop the walk. As in the mdungeon engine of gym-pcgrl (Khalifa 2020), what is in the cell that the player
    enters happens at once, and is gone for good:

    - A *potion* gives back 2 health, up to 5; it is used up even by a player in full health.
    - A *treasure* is taken. It is worth nothing but itself.
    - A *goblin* is killed at the price of 1 health, an *ogre* at 2. Monsters never move.

    At no health the game is lost. The game is won by entering the exit, which always stands open.
    """

    actions = ("up", "down", "left", "right")
    keys = {"up": ("up", "w"), "down": ("down", "s"), "left": ("left", "a"), "right": ("right", "d")}
    description = (
        "Reach the stairs alive. A goblin costs 1 of your 5 health and an ogre 2; a potion gives back 2. "
        "Treasure is there for the taking."
    )
    undo = True
    sprites = (
        *("floor", "wall", "player", "stairs", "potion", "treasure", "goblin", "ogre"),
        *(f"player-health-{health}" for health in range(1, FULL + 1)),
    )

    def problem_with(self, level: NDArray[np.uint8]) -> str | None:
        """Returns why a level cannot be started, or None: it needs one player and one exit."""
        for tile, name in ((PLAYER, "player"), (EXIT, "exit")):
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
            raise UserError(f"This mdungeon level cannot be played: {trouble}.")
        padded = np.pad(np.asarray(level), 1, constant_values=SOLID).ravel()
        state = np.zeros(HEADER + padded.size, np.int32)
        state[HEIGHT], state[WIDTH] = level.shape
        state[PLACE] = np.flatnonzero(padded == PLAYER)[0]
        state[HEALTH] = FULL
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
        """Returns WON in the exit, LOST without health, else PLAYING."""
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

        The player's own drawing shows how much health is left. A monster hides the player whom it killed.
        """
        return self.boards(state[None])[0]

    def boards(self, states: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Returns what the players of many games see, uint8 (n, height, width); see `board`."""
        rows, columns = states[0, HEIGHT] + 2, states[0, WIDTH] + 2
        boards = states[:, HEADER:].astype(np.uint8)
        alive = np.flatnonzero(states[:, OUTCOME] != LOST)
        boards[alive, states[alive, PLACE]] = _NO_HEALTH + states[alive, HEALTH]
        return np.ascontiguousarray(boards.reshape(-1, rows, columns)[:, 1:-1, 1:-1])

    def solve_state(
        self, state: NDArray[np.int32], budget: int | None = None, stop: NDArray[np.uint8] | None = None
    ) -> Solution:
        """Finds the fewest moves that win from any state of a game.

        Among ways of equally few moves it takes one that costs the least health, and among those one past the fewest
        monsters. Only a search that is cut short by its budget may return actions that are not the fewest.

        Args:
            state: int32, as `start` and `step` return it. Not changed.
            budget: the most states to expand; None means `default_budget`. What is above a million counts as that.
            stop: uint8 (1,); once another thread writes 1 into it, the search ends soon, as at its budget.

        Raises:
            UserError: the budget is less than 1.
        """
        most = self.default_budget if budget is None else int(budget)
        if most < 1:
            raise UserError(f"The solver's budget must be at least 1 state; got {budget}.")
        if state[OUTCOME] != PLAYING:
            return Solution("solved" if state[OUTCOME] == WON else "unsolvable")
        state = np.require(state, np.int32, ("C", "W"))
        height, width = int(state[HEIGHT]), int(state[WIDTH])
        door = int(np.flatnonzero(state[HEADER:] == EXIT)[0])
        told = flag(stop)
        work = (*workspace((1, height, width)), *stance_room(state.size - HEADER))
        verdict, actions, nodes = UNKNOWN, np.zeros(0, np.int64), 0
        most = min(most, _MOST)
        for limit in sorted({min(most, _SMALL), most}):
            memory = room("mdungeon", limit, words_for(height * width))
            verdict, actions, nodes = search(state, door, limit, told, *work, *memory)
            if nodes < limit or told[0]:
                break
        return Solution(_STATUS[verdict], actions, int(nodes))
