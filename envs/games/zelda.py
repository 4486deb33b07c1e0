"""Zelda: take the key to the door, past enemies that move by themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.errors import UserError
from envs.games.maze import wrong_counts
from envs.kernels import zelda_rules
from envs.kernels.stop import flag
from envs.kernels.zelda_rules import (
    DOOR,
    DOOR_CELL,
    ENEMIES,
    FACING,
    HAS_KEY,
    HAS_TREASURE,
    HEADER,
    HEIGHT,
    HELD,
    KEY,
    KEY_CELL,
    OUTCOME,
    PLACE,
    PLAYER,
    SOLID,
    STRUCK,
    TREASURE,
    TREASURE_CELL,
    UNKNOWN,
    UNSOLVABLE,
    WIDTH,
)
from envs.rules import PLAYING, WON, Rules, Solution, Status

_TILES = ("floor", "wall", "player", "key", "door", "bat", "scorpion", "spider")
_POSES = (
    *("player-up", "player-down", "player-left", "player-right"),
    *("sword-up", "sword-down", "sword-left", "sword-right"),
    "door-open",
)
# Where the poses of the player, those of the sword and the open door stand among these.
_FACING_POSES, _SWORD_POSES, _OPEN_POSE = 0, 4, 8


class ZeldaRules(Rules):
    """Take the key, open the door; fight or dodge what roams between.

    The tiles are 0 floor, 1 wall, 2 player, 3 key, 4 door, 5 bat, 6 scorpion, 7 spider. A level needs exactly
    one player, one key and one door, and may hold any number of enemies.

    **The player** looks down at first. A move turns the player and then walks one cell, unless a wall, the
    closed door or the edge is in the way. "sword" strikes the cell that the player looks at; "wait" does
    nothing. The door is a wall until the key is held; entering it then wins.

    **Enemies** never enter walls or the door. They pass over the key and over one another, and take no notice
    of the player, so that where they will be is known beforehand and a level can be proven winnable:

    - A *bat* flies diagonally on every tick, at first down and right: one cell up or down, then one cell left
      or right. What blocks one half of the flight turns that half back, as a ball bounces; a half that is
      blocked on both sides is left out, so that a bat in a corridor flies along it.
    - A *scorpion* walks straight on the first, third, fifth... tick and turns back where the way is blocked.
      It sets out down; if that is blocked up, else right, else left.
    - A *spider* crawls on the second, fourth, sixth... tick and keeps the wall on its left: round the corner
      to its left if it just passed one, else straight on, else to the right, to the left, or back. It sets
      out in the first of up, down, left, right that is free with a wall on the left, else up.

    **One tick**, in this order: the player acts, and takes the key by entering its cell; a strike kills every
    enemy in the struck cell; the other enemies move; the game is lost if a living enemy is now in the
    player's cell or has just changed places with the player; otherwise it is won if the player is in the
    door. An enemy that leaves a cell just as the player enters it is not touched.
    """

    actions = ("up", "down", "left", "right", "sword", "wait")
    keys = {
        "up": ("up", "w"),
        "down": ("down", "s"),
        "left": ("left", "a"),
        "right": ("right", "d"),
        "sword": ("space",),
        "wait": (".", "return"),
    }
    description = (
        "Take the key, then walk into the door. "
        "Touching an enemy is the end; your sword kills what is right in front of you."
    )
    sprites: tuple[str, ...] = (*_TILES, *_POSES)

    #: What a level must have exactly one of: tiles with their names.
    needs: tuple[tuple[int, str], ...] = ((PLAYER, "player"), (KEY, "key"), (DOOR, "door"))

    def problem_with(self, level: NDArray[np.uint8]) -> str | None:
        """Returns why a level cannot be started, or None: it needs exactly one of each of `needs`."""
        return wrong_counts(level, self.needs)

    def start(self, level: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Returns the state at the beginning of a level.

        Raises:
            UserError: the level does not have exactly one of each of `needs`.
        """
        trouble = self.problem_with(level)
        if trouble:
            raise UserError(f"This level cannot be played: {trouble}.")
        state = np.zeros(HEADER + 3 * (level.shape[0] + 2) * (level.shape[1] + 2), np.int32)
        zelda_rules.begin(np.ascontiguousarray(level, np.uint8), state)
        return state

    def step(self, state: NDArray[np.int32], action: int) -> NDArray[np.int32]:
        """Returns the state one tick later, as a new array; the class says what a tick does.

        Raises:
            UserError: there is no action of that number.
        """
        if not 0 <= action < len(self.actions):
            raise UserError(f"Action {action} is not one of 0 to 5 ({', '.join(self.actions)}).")
        after = np.empty_like(state)
        zelda_rules.step(state, action, after)
        return after

    def outcome(self, state: NDArray[np.int32]) -> int:
        """Returns PLAYING, WON or LOST."""
        return int(state[OUTCOME])

    def step_all(self, states: NDArray[np.int32], actions: NDArray[np.int64]) -> NDArray[np.int32]:
        """Returns the states of many games after one action each; see `envs.rules.Rules`."""
        after = np.empty_like(states)
        zelda_rules.step_all(states, actions, after)
        return after

    def outcomes(self, states: NDArray[np.int32]) -> NDArray[np.int64]:
        """Returns PLAYING, WON or LOST for each of many games, int64 (n,)."""
        return states[:, OUTCOME].astype(np.int64)

    def board(self, state: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Returns what a player sees: uint8 (height, width), indices into `sprites`.

        Enemies hide what they stand on, also the player whom they caught. A sword that was just swung shows
        on floor and on what lies there. The door stands open once it lets through.
        """
        return self.boards(state[None])[0]

    def boards(self, states: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Returns what the players of many games see, uint8 (n, height, width); see `board`."""
        rows, columns = states[0, HEIGHT] + 2, states[0, WIDTH] + 2
        padded = rows * columns
        poses = len(self.sprites) - len(_POSES)
        open_door = poses + _OPEN_POSE
        boards = states[:, HEADER : HEADER + padded].astype(np.uint8)
        held, facing = states[:, HELD], states[:, FACING]
        keys = np.flatnonzero(held & HAS_KEY)
        boards[keys, states[keys, KEY_CELL]] = 0
        treasures = np.flatnonzero((held & HAS_TREASURE != 0) & (states[:, TREASURE_CELL] >= 0))
        boards[treasures, states[treasures, TREASURE_CELL]] = 0
        opened = np.flatnonzero(held == HAS_KEY | HAS_TREASURE)
        boards[opened, states[opened, DOOR_CELL]] = open_door
        struck = np.flatnonzero(states[:, STRUCK] >= 0)
        under = boards[struck, states[struck, STRUCK]]
        struck = struck[(under != SOLID) & (under != DOOR) & (under != open_door)]
        boards[struck, states[struck, STRUCK]] = poses + _SWORD_POSES + facing[struck]
        lanes = np.arange(len(states))
        boards[lanes, states[:, PLACE]] = poses + _FACING_POSES + facing
        # One enemy of every game after the other, so that of two on a cell the later one shows.
        for enemy in range(int(states[:, ENEMIES].max())):
            cells = states[:, HEADER + padded + enemy]
            there = np.flatnonzero((enemy < states[:, ENEMIES]) & (cells >= 0))
            boards[there, cells[there]] = states[there, HEADER + 2 * padded + enemy] // 4
        return np.ascontiguousarray(boards.reshape(-1, rows, columns)[:, 1:-1, 1:-1])

    def solve_state(
        self, state: NDArray[np.int32], budget: int | None = None, stop: NDArray[np.uint8] | None = None
    ) -> Solution:
        """Finds the fewest ticks that win from any state of a game.

        A level is proven unsolvable by walls that cut off what is needed, or by exhausting the states, of which there
        are finitely many because the enemies' motion repeats.

        Args:
            state: int32 (n,), as `start` and `step` return it.
            budget: the most states to expand; None means `default_budget`.
            stop: uint8 (1,); once another thread writes 1 into it, the search ends soon, as at its budget.

        Raises:
            UserError: the budget is less than 1.
        """
        if budget is not None and budget < 1:
            raise UserError(f"The solver's budget must be at least 1 state; got {budget}.")
        if state[OUTCOME] != PLAYING:
            return Solution("solved" if state[OUTCOME] == WON else "unsolvable")
        most = self.default_budget if budget is None else budget
        verdict, actions, nodes = zelda_rules.search(state, most, flag(stop))
        status: Status = "solved"
        if verdict == UNSOLVABLE:
            status = "unsolvable"
        elif verdict == UNKNOWN:
            status = "unknown"
        return Solution(status, actions, int(nodes))


class DungeonRules(ZeldaRules):
    """Take the key and the treasure, in either order, and leave by the door.

    Everything is as in `ZeldaRules`, which this derives from, with one tile more: 8 treasure. A level needs exactly
    one of it. It is taken by entering its cell, enemies pass over it, and the door stays a wall until both the key
    and the treasure are held.
    """

    description = (
        "Take the key and the treasure, then walk into the door. "
        "Touching an enemy is the end; your sword kills what is right in front of you."
    )
    sprites = (*_TILES, "treasure-chest", *_POSES)
    needs = (*ZeldaRules.needs, (TREASURE, "treasure"))
