"""Loderunner: take all the gold, climb, swing and dig, and let no guard touch you."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.errors import UserError
from envs.kernels import loderunner_rules
from envs.kernels.loderunner_rules import (
    FACING,
    GOLD,
    GUARD,
    GUARDS,
    HEADER,
    HEIGHT,
    LADDER,
    LEFT,
    OUTCOME,
    PLACE,
    PLAYER,
    ROPE,
    WIDTH,
)
from envs.kernels.loderunner_search import SOLVED, UNKNOWN, UNSOLVABLE, search
from envs.kernels.stop import flag
from envs.rules import PLAYING, WON, Rules, Solution, Status

_STATUS: dict[int, Status] = {SOLVED: "solved", UNSOLVABLE: "unsolvable", UNKNOWN: "unknown"}
_PLAYER_LEFT, _PLAYER_LADDER, _PLAYER_ROPE, _HOLE, _TRAPPED, _GUARD_LADDER, _GUARD_ROPE = range(8, 15)


class LoderunnerRules(Rules):
    """Take all the gold and let no guard touch you.

    The tiles are 0 empty, 1 brick, 2 solid, 3 ladder, 4 rope, 5 gold, 6 guard, 7 player. A level needs exactly one
    player and at least one piece of gold, and may hold any number of guards. Beyond the edge all is solid.

    **The player** acts on every tick. She stands on brick, solid and ladders and on guards who sit in holes, and
    holds on to ladders and ropes; elsewhere she falls one cell a tick, whatever she does. "left" and "right" walk or
    swing into a cell that is not solid or brick; "up" climbs from a ladder's cell; "down" climbs, or lets go of a
    rope. "dig-left" and "dig-right" open the brick that is diagonally below, if the cell beside her is empty: no
    ladder, rope, gold or guard. A hole is open for 32 ticks, that of the digging included, and then is brick again.
    Solid cannot be dug.

    **Guards** move on the second, fourth, sixth... tick and pass through one another. A guard falls, climbs and
    swings as the player does, and goes the shortest way to her cell, as if all holes but one that she is in were whole
    brick; among equally short ways it prefers up, down, left, right. With no way it stays. A guard who falls into a
    hole sits there for six of its moves, climbs out if it can, and does not fall back at its next move. A guard in a
    hole that closes begins again where it stood at first. Guards carry no gold.

    **One tick**, in this order: the player moves, digs or falls, and takes the gold in her cell; the game is lost if
    she is in a guard's cell; the guards move; it is lost if one is in her cell; holes age, and one that closes over
    the player loses; it is won if no gold is left. The original then opens a way out; here the last gold wins.
    """

    default_budget = 150_000
    actions = ("left", "right", "up", "down", "dig-left", "dig-right", "wait")
    keys = {
        "left": ("left", "a"),
        "right": ("right", "d"),
        "up": ("up", "w"),
        "down": ("down", "s"),
        "dig-left": ("z", "q"),
        "dig-right": ("x", "e"),
        "wait": (".", "return"),
    }
    shortest = False
    description = (
        "Take all the gold. Climb ladders, swing along ropes, dig holes into bricks to fall through or to trap guards; "
        "their touch is the end, and so is a hole that closes over you."
    )
    hero = "miner"
    sprites = (
        *("cavern", "redbrick", "stone", "ladder", "rope", "gold", "guard", "miner"),
        *("miner-left", "miner-ladder", "miner-rope", "hole", "guard-trapped"),
        *("guard-ladder", "guard-rope"),
    )

    def problem_with(self, level: NDArray[np.uint8]) -> str | None:
        """Returns why a level cannot be started, or None: it needs one player and some gold."""
        players, gold = int((level == PLAYER).sum()), int((level == GOLD).sum())
        if players != 1:
            return f"it has {players} players; exactly 1 is needed"
        if gold == 0:
            return "it has no gold; at least 1 piece is needed"
        return None

    def start(self, level: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Returns the state at the beginning of a level.

        Raises:
            UserError: the level does not have exactly one player and some gold.
        """
        trouble = self.problem_with(level)
        if trouble:
            raise UserError(f"This loderunner level cannot be played: {trouble}.")
        state = np.zeros(HEADER + 5 * (level.shape[0] + 2) * (level.shape[1] + 2), np.int32)
        loderunner_rules.begin(np.ascontiguousarray(level, np.uint8), state)
        return state

    def step(self, state: NDArray[np.int32], action: int) -> NDArray[np.int32]:
        """Returns the state one tick later, as a new array; the class says what a tick does.

        Raises:
            UserError: there is no action of that number.
        """
        if not 0 <= action < len(self.actions):
            raise UserError(f"Action {action} is not one of 0 to 6 ({', '.join(self.actions)}).")
        after = np.empty_like(state)
        loderunner_rules.step(state, int(action), after)
        return after

    def outcome(self, state: NDArray[np.int32]) -> int:
        """Returns PLAYING, WON or LOST."""
        return int(state[OUTCOME])

    def step_all(self, states: NDArray[np.int32], actions: NDArray[np.int64]) -> NDArray[np.int32]:
        """Returns the states of many games after one action each; see `envs.rules.Rules`."""
        after = np.empty_like(states)
        loderunner_rules.step_all(states, actions, after)
        return after

    def outcomes(self, states: NDArray[np.int32]) -> NDArray[np.int64]:
        """Returns PLAYING, WON or LOST for each of many games, int64 (n,)."""
        return states[:, OUTCOME].astype(np.int64)

    def board(self, state: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Returns what a player sees: uint8 (height, width), indices into `sprites`; guards hide who is behind them."""
        return self.boards(state[None])[0]

    def boards(self, states: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Returns what the players of many games see, uint8 (n, height, width); see `board`."""
        rows, columns = states[0, HEIGHT] + 2, states[0, WIDTH] + 2
        padded = rows * columns
        tiles, holes, cells, traps = (states[:, HEADER + i * padded : HEADER + (i + 1) * padded] for i in range(4))
        boards = tiles.astype(np.uint8)
        boards[holes > 0] = _HOLE
        lanes, places = np.arange(len(states)), states[:, PLACE]
        on = tiles[lanes, places]
        looks = np.where(states[:, FACING] == LEFT, _PLAYER_LEFT, PLAYER)
        boards[lanes, places] = np.where(on == LADDER, _PLAYER_LADDER, np.where(on == ROPE, _PLAYER_ROPE, looks))
        most = int(states[:, GUARDS].max())
        if most:
            there, guards = (np.arange(most) < states[:, GUARDS, None]).nonzero()
            places = cells[there, guards]
            on = tiles[there, places]
            seen = np.where(on == LADDER, _GUARD_LADDER, np.where(on == ROPE, _GUARD_ROPE, GUARD))
            # Of two on a cell the later one shows: what is written last stays.
            boards[there, places] = np.where(traps[there, guards] > 0, _TRAPPED, seen)
        return np.ascontiguousarray(boards.reshape(-1, rows, columns)[:, 1:-1, 1:-1])

    def solve_state(
        self, state: NDArray[np.int32], budget: int | None = None, stop: NDArray[np.uint8] | None = None
    ) -> Solution:
        """Searches for a win from any state of a game; the solution is not the shortest.

        "unsolvable" is proven, either by a piece of gold that cannot be reached even if every hole stayed open and
        there were no guards, or by exhausting the states.

        Args:
            state: int32 (n,), as `start` and `step` return it.
            budget: the most states to expand; None means `default_budget`.
            stop: uint8 (1,); once another thread writes 1 into it, the search ends soon.

        Raises:
            UserError: the budget is less than 1.
        """
        if budget is not None and budget < 1:
            raise UserError(f"The solver's budget must be at least 1 state; got {budget}.")
        if state[OUTCOME] != PLAYING:
            return Solution("solved" if state[OUTCOME] == WON else "unsolvable")
        most = self.default_budget if budget is None else int(budget)
        status, actions, nodes, _ = search(state, most, flag(stop))
        return Solution(_STATUS[status], actions, int(nodes))
