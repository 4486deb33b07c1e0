"""The walk through a maze of blocks: play for levels of three axes (Jiang 2022)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.errors import UserError
from envs.kernels import voxel_rules
from envs.kernels.stop import flag
from envs.kernels.voxel import OPEN, padded_size
from envs.rules import PLAYING, WON, Rules, Solution

_AIR, _BLOCK, _PLAYER, _FLAG = range(4)

Cell = tuple[int, int, int]


class VoxelRules(Rules):
    """Walk from one end of a level's longest walk to the other.

    Tile 0 is air, every other one solid; the ground beneath the lowest storey is solid too. The walker is two blocks
    high. A step goes to the next cell at the same height; else down or up a stair of one block; else it jumps over a
    gap that is one cell wide and at least two deep, to the same height or one block higher or lower (Jiang 2022; see
    `envs.kernels.voxel.move`). Where none of these is possible the walker stays. Start and goal are the ends of the
    walk that the voxel problem measures; a walk of a single cell is won at the start. Nothing loses the game.
    """

    actions = ("north", "south", "west", "east")
    keys = {"north": ("up", "w"), "south": ("down", "s"), "west": ("left", "a"), "east": ("right", "d")}
    description = (
        "Walk to the flag. North is to the upper right. You climb single blocks and jump over gaps by yourself, and "
        "need two blocks of air to stand in."
    )
    sprites = ("air", "block", "player", "flag")

    def problem_with(self, level: NDArray[np.uint8]) -> str | None:
        """Returns why a level cannot be started, or None: there must be a place to stand."""
        air = np.asarray(level) == 0
        solid_below = np.concatenate([np.ones_like(air[:1]), ~air[:-1]])
        stand = air[:-1] & air[1:] & solid_below[:-1]
        return None if stand.any() else "nobody can stand anywhere: that takes two cells of air above a block"

    def start(self, level: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Returns the state at the beginning of a level.

        Raises:
            UserError: there is no place to stand.
        """
        trouble = self.problem_with(level)
        if trouble:
            raise UserError(f"This level cannot be walked: {trouble}.")
        state = np.zeros(voxel_rules.HEADER + padded_size(level.shape), np.int32)
        voxel_rules.begin(np.ascontiguousarray(level, np.uint8), state)
        return state

    def step(self, state: NDArray[np.int32], action: int) -> NDArray[np.int32]:
        """Returns the state after one action, as a new array.

        Raises:
            UserError: there is no action of that number.
        """
        if not 0 <= action < len(self.actions):
            raise UserError(f"Action {action} is not one of 0 to 3 ({', '.join(self.actions)}).")
        after = np.empty_like(state)
        voxel_rules.step(state, action, after)
        return after

    def outcome(self, state: NDArray[np.int32]) -> int:
        """Returns WON at the goal, PLAYING elsewhere."""
        return WON if state[voxel_rules.WALKER] == state[voxel_rules.GOAL] else PLAYING

    def level(self, state: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Returns the level that is walked, uint8 (depth, height, width), 0 for air and 1 for blocks."""
        depth, height, width = (int(size) for size in state[: voxel_rules.WALKER])
        columns = (height + 4) * (width + 2)
        padded = state[voxel_rules.HEADER : voxel_rules.HEADER + columns * (depth + 3)]
        padded = padded.reshape(height + 4, width + 2, depth + 3)
        cells = padded[2 : height + 2, 2:, 2 : depth + 2]
        return np.ascontiguousarray((cells < OPEN).transpose(2, 0, 1), np.uint8)

    def place(self, state: NDArray[np.int32], which: int = voxel_rules.WALKER) -> Cell:
        """Returns the (storey, row, column) of the walker's feet, or of the goal for `voxel_rules.GOAL`."""
        depth, width = int(state[voxel_rules.DEPTH]), int(state[voxel_rules.WIDTH])
        column, storey = divmod(int(state[which]), depth + 3)
        row, place = divmod(column, width + 2)
        return storey - 2, row - 2, place - 2

    def step_all(self, states: NDArray[np.int32], actions: NDArray[np.int64]) -> NDArray[np.int32]:
        """Returns the states of many games after one action each; see `envs.rules.Rules`."""
        after = np.empty_like(states)
        voxel_rules.step_all(states, actions, after)
        return after

    def outcomes(self, states: NDArray[np.int32]) -> NDArray[np.int64]:
        """Returns PLAYING, WON or LOST for each of many games, int64 (n,)."""
        return np.where(states[:, voxel_rules.WALKER] == states[:, voxel_rules.GOAL], WON, PLAYING).astype(np.int64)

    def board(self, state: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Returns the storeys one below another, the lowest first: uint8 (depth * height, width)."""
        return self.boards(state[None])[0]

    def boards(self, states: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Returns what the players of many games see, uint8 (n, depth * height, width); see `board`."""
        depth, height, width = (int(size) for size in states[0, : voxel_rules.WALKER])
        columns = (height + 4) * (width + 2)
        padded = states[:, voxel_rules.HEADER : voxel_rules.HEADER + columns * (depth + 3)]
        cells = padded.reshape(-1, height + 4, width + 2, depth + 3)[:, 2 : height + 2, 2:, 2 : depth + 2]
        boards = np.where(cells < OPEN, _BLOCK, _AIR).astype(np.uint8).transpose(0, 3, 1, 2)
        boards = np.ascontiguousarray(boards)
        lanes = np.arange(len(states))
        for which, sprite in ((voxel_rules.GOAL, _FLAG), (voxel_rules.WALKER, _PLAYER)):
            column, storey = np.divmod(states[:, which], depth + 3)
            row, place = np.divmod(column, width + 2)
            boards[lanes, storey - 2, row - 2, place - 2] = sprite
        return boards.reshape(len(states), -1, width)

    def picture(self, state: NDArray[np.int32], tile_size: int) -> NDArray[np.uint8]:
        """Returns the blocks with the walker and the flag among them, uint8 RGB."""
        from envs.isometric import draw_blocks  # noqa: PLC0415 (only where pictures are made)

        figures = [("flag", self.place(state, voxel_rules.GOAL)), ("player", self.place(state))]
        return draw_blocks(self.level(state) != 0, tile_size, figures=figures)

    def solve_state(
        self, state: NDArray[np.int32], budget: int | None = None, stop: NDArray[np.uint8] | None = None
    ) -> Solution:
        """Finds a walk of fewest moves to the goal from any state of a game, as a hint needs it.

        Args:
            state: int32 (n,), as `start` and `step` return it.
            budget: the most places to expand; None means `default_budget`.
            stop: uint8 (1,), or None; the search ends soon once it is not 0.

        Raises:
            UserError: the budget is less than 1.
        """
        if budget is not None and budget < 1:
            raise UserError(f"The solver's budget must be at least 1 state; got {budget}.")
        most = self.default_budget if budget is None else budget
        known, actions, nodes = voxel_rules.shortest(state, most, flag(stop))
        statuses = {1: "solved", 0: "unsolvable", -1: "unknown"}
        return Solution(statuses[known], actions, int(nodes))  # type: ignore[arg-type]
