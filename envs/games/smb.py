"""Super Mario Bros.-like platforming: run and jump to the right end of the level (Khalifa 2020)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.errors import UserError
from envs.kernels import platform_rules
from envs.kernels.platform_rules import (
    BUMP_LEFT,
    BUMPED,
    ENEMIES,
    ENEMY_HEIGHT,
    ENEMY_WIDTH,
    FACING,
    FALL_SPEED,
    GONE,
    GROUND,
    HEADER,
    HEIGHT,
    HELD,
    JUMP_SPEED,
    OUTCOME,
    PLAYER_HEIGHT,
    PLAYER_WIDTH,
    RUN_SPEED,
    SOLID,
    SPEED_X,
    SPEED_Y,
    START_COLUMNS,
    TILE,
    TUBE,
    USED,
    WIDTH,
    X,
    Y,
)
from envs.kernels.platform_search import (
    EXPANDED,
    FURTHEST,
    LAST,
    NODE_FIELDS,
    REPORT,
    SOLVED,
    STATUS,
    UNSOLVABLE,
    count_jumps,
    search,
    trace,
)
from envs.kernels.stop import MOST_MEMORY, flag
from envs.rules import PLAYING, WON, Actor, Rules, Solution, Status

_PLAYER, _STRIDE, _JUMP, _TUBE_TOP, _GRASS, _BEETLE = 8, 9, 10, 11, 12, 13
#: Room for so many nodes for each one that is expanded; a few more are never made.
_NODES_EACH = 9
#: The most states to expand, by what their nodes take of memory, with their share of a hash table at its emptiest.
_MOST_EXPANDED = MOST_MEMORY // (_NODES_EACH * (4 * NODE_FIELDS + 8 + 4 * 12))


def search_room(
    shape: tuple[int, int], budget: int
) -> tuple[
    NDArray[np.int32], NDArray[np.int64], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]
]:
    """Returns the memory of a search; the system gives out most of it only as it is used.

    Args:
        shape: the level's (height, width).
        budget: the most nodes to expand.

    Returns:
        nodes, keys, owners, kills, tops and ways, as `platform_search.search` takes them.
    """
    most = _NODES_EACH * budget + 16
    slots = 1 << (2 * most - 1).bit_length()
    return (
        np.empty((most, NODE_FIELDS), np.int32),
        np.zeros(slots, np.int64),
        np.zeros(slots, np.int32),
        np.empty((most, 2), np.int32),
        np.empty(4096 + 64 * sum(shape), np.int32),
        np.empty((shape[0] + 1) * shape[1], np.int32),
    )


def play_levels(levels: NDArray[np.uint8], budget: int) -> NDArray[np.float32]:
    """Has our player run through each level of a batch.

    Args:
        levels: uint8 (n, height, width).
        budget: the most states to expand for each level.

    Returns:
        float32 (n, 3): the jumps of its run, the longest way without one in columns, and the columns that are left to
        the last one at its furthest point; see `envs.problems.smb`.
    """
    height, width = levels.shape[1:]
    room = search_room((height, width), budget)
    state = np.empty(HEADER + 4 * height * width, np.int32)
    report, stop = np.zeros(REPORT, np.int64), np.zeros(1, np.uint8)
    played = np.empty((len(levels), 3), np.float32)
    for lane, level in enumerate(levels):
        played[lane] = 0, width, width
        if platform_rules.begin(level, state):
            search(state, budget, stop, True, *room, report)
            jumps, longest = count_jumps(room[0], report[LAST], width)
            played[lane] = min(jumps, height * width), longest, width - 1 - report[FURTHEST]
    return played


class PlatformRules(Rules):
    """Run and jump to the last column; what walks there can be jumped on.

    The tiles are 0 empty, 1 solid, 2 enemy, 3 brick, 4 question block, 5 coin, 6 tube. Solid, brick, question block and
    tube stop bodies. The level's sides stop them as well; its top row goes on above it without end, so that what stands
    there cannot be jumped over; below the last row there is nothing.

    **Start.** The player starts in the lowest place to stand of the first column that has one, among the three columns
    on the left; a level without one cannot be started. **Goal.** It wins once its middle is in the last column.

    **Running.** Held left or right, the player gains speed up to a walk, or with "run" up to almost twice that; let
    go, it slows down on the ground and keeps its speed in the air. **Jumping** starts from the ground when "jump" is
    newly pressed, is faster out of a run, and goes the higher the longer the button is held. All is counted in whole
    units of 1/256 tile, 30 ticks a second; `envs.kernels.platform_rules` has the constants.

    **Blocks.** A head bumps the block above: a question block gives a coin, once, and any brick or block throws off
    what walks on it. Bricks do not break, so that where one can stand never changes. Coins are there to take;
    nothing depends on them.

    **Enemies** fall to the ground below where they are placed, then walk left, and turn round at walls and ledges.
    They take no notice of the player or of each other. Coming down on one, with the feet above its middle before,
    squashes it and bounces the player up; any other touch loses, and so does falling out of the level.

    **One tick**, in this order: the player's speeds change, it moves sideways and then up or down and may bump a block;
    enemies move; coins are taken; enemies are touched; the game is lost or won.
    """

    actions = (
        *("wait", "left", "right", "jump", "right+jump", "left+jump"),
        *("right+run", "right+run+jump", "left+run", "left+run+jump"),
    )
    keys = {
        "left": ("left", "a"),
        "right": ("right", "d"),
        "jump": ("space", "up", "w"),
        "run": ("left shift", "right shift", "x"),
    }
    ticks_per_second = 30
    shortest = False
    senses = 7
    description = (
        "Get to the right end. Hold jump to jump higher, hold run to go faster and jump further. "
        "Jump on what walks; its touch is the end, and so is a fall out of the level."
    )
    hero = "runner"
    sprites = (
        *("sky", "earth", "beetle-waiting", "brick", "question", "coin", "tube", "used-block"),
        *("runner", "runner-stride", "runner-jump", "tube-top", "ground", "beetle"),
    )

    def problem_with(self, level: NDArray[np.uint8]) -> str | None:
        """Returns why a level cannot be started, or None: it needs a place to stand on the left."""
        state = self._room(level.shape)
        if platform_rules.begin(np.ascontiguousarray(level, np.uint8), state):
            return None
        return f"it has nowhere to stand in its first {START_COLUMNS} columns; the player starts there"

    def start(self, level: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Returns the state at the beginning of a level.

        Raises:
            UserError: the level has nowhere to stand in its first three columns.
        """
        state = self._room(level.shape)
        if not platform_rules.begin(np.ascontiguousarray(level, np.uint8), state):
            raise UserError(f"This level cannot be played: {self.problem_with(level)}.")
        return state

    def step(self, state: NDArray[np.int32], action: int) -> NDArray[np.int32]:
        """Returns the state one tick later, as a new array; the class says what a tick does.

        Raises:
            UserError: there is no action of that number.
        """
        if not 0 <= action < len(self.actions):
            raise UserError(f"Action {action} is not one of 0 to {len(self.actions) - 1} ({', '.join(self.actions)}).")
        after = np.empty_like(state)
        platform_rules.step(state, action, after)
        return after

    def outcome(self, state: NDArray[np.int32]) -> int:
        """Returns PLAYING, WON or LOST."""
        return int(state[OUTCOME])

    def step_all(self, states: NDArray[np.int32], actions: NDArray[np.int64]) -> NDArray[np.int32]:
        """Returns the states of many games after one action each; see `envs.rules.Rules`."""
        after = np.empty_like(states)
        platform_rules.step_all(states, actions, after)
        return after

    def outcomes(self, states: NDArray[np.int32]) -> NDArray[np.int64]:
        """Returns PLAYING, WON or LOST for each of many games, int64 (n,)."""
        return states[:, OUTCOME].astype(np.int64)

    def board(self, state: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Returns the board with everything put on the cell that its middle is in."""
        return self.boards(state[None])[0]

    def boards(self, states: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Returns what the players of many games see, uint8 (n, height, width); see `board`."""
        height, width = int(states[0, HEIGHT]), int(states[0, WIDTH])
        boards = self._grounds(states)
        lanes = np.arange(len(states))

        def put(lanes: NDArray[np.int64], rows: NDArray, columns: NDArray, sprites: NDArray | int) -> None:
            """Puts things on the cells that are nearest to their places, rows and columns in tiles."""
            row, column = (rows + 0.5).astype(np.int64), (columns + 0.5).astype(np.int64)
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            seen = np.broadcast_to(sprites, lanes.shape)
            boards[lanes[inside], row[inside], column[inside]] = seen[inside]

        most = int(states[:, ENEMIES].max())
        enemies = states[:, HEADER + height * width :].reshape(len(states), -1, 3)[:, :most]
        # Before the enemies stands a block that was bumped, and before all the player.
        alive = (np.arange(enemies.shape[1]) < states[:, ENEMIES, None]) & (enemies[:, :, 2] != GONE)
        there, which = alive.nonzero()
        x, y = enemies[there, which, 0], enemies[there, which, 1]
        put(there, (y + ENEMY_HEIGHT) / TILE - 1, (x + ENEMY_WIDTH / 2) / TILE - 0.5, _BEETLE)
        bumping = np.flatnonzero(states[:, BUMP_LEFT] > 0)
        cell = states[bumping, BUMPED]
        tiles = states[bumping, HEADER + cell]
        put(bumping, cell // width - 0.08 * states[bumping, BUMP_LEFT], cell % width, tiles)
        sprites = np.where((states[:, SPEED_X] != 0) & (states[:, X] // 96 % 2 != 0), _STRIDE, _PLAYER)
        sprites = np.where(states[:, GROUND] == 0, _JUMP, sprites)
        rows = (states[:, Y] + PLAYER_HEIGHT) / TILE - 1
        put(lanes, rows, (states[:, X] + PLAYER_WIDTH / 2) / TILE - 0.5, sprites)
        return boards

    def ground(self, state: NDArray[np.int32], bumps: bool = True) -> NDArray[np.uint8]:
        """Returns the level without what moves: uint8 (height, width), indices into `sprites`.

        Args:
            state: a state of a game.
            bumps: whether a block that was just bumped is left out, as `actors` shows it.
        """
        shown = self._grounds(state[None])[0]
        if bumps and state[BUMP_LEFT] > 0:
            shown.ravel()[state[BUMPED]] = 0
        return shown

    @staticmethod
    def _grounds(states: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Returns the levels of many games without what moves, uint8 (n, height, width)."""
        height, width = int(states[0, HEIGHT]), int(states[0, WIDTH])
        boards = states[:, HEADER : HEADER + height * width].astype(np.uint8).reshape(-1, height, width)
        # Grass grows on ground that is open above, and a tube has a rim.
        shown = boards.copy()
        open_above = np.ones(boards.shape, np.bool_)
        open_above[:, 1:] = boards[:, :-1] != boards[:, 1:]
        shown[open_above & (boards == TUBE)] = _TUBE_TOP
        shown[open_above & (boards == SOLID)] = _GRASS
        return shown

    def actors(self, state: NDArray[np.int32]) -> list[Actor]:
        """Returns the player, the block that it just bumped, and the enemies."""
        height, width = int(state[HEIGHT]), int(state[WIDTH])
        sprite = _PLAYER
        if not state[GROUND]:
            sprite = _JUMP
        elif state[SPEED_X] and int(state[X]) // 96 % 2:
            sprite = _STRIDE
        row = (int(state[Y]) + PLAYER_HEIGHT) / TILE - 1
        column = (int(state[X]) + PLAYER_WIDTH / 2) / TILE - 0.5
        actors = [Actor(sprite, row, column, bool(state[FACING] < 0))]
        if state[BUMP_LEFT] > 0:
            cell = int(state[BUMPED])
            tile = int(state[HEADER + cell])
            actors.append(Actor(tile, cell // width - 0.08 * int(state[BUMP_LEFT]), cell % width))
        enemies = state[HEADER + height * width :].reshape(-1, 3)[: state[ENEMIES]]
        for x, y, motion in enemies.tolist():
            if motion != GONE:
                actors.append(
                    Actor(_BEETLE, (y + ENEMY_HEIGHT) / TILE - 1, (x + ENEMY_WIDTH / 2) / TILE - 0.5, motion == 1)
                )
        return actors

    def sense(self, state: NDArray[np.int32]) -> NDArray[np.float32]:
        """Returns the player's place in the level and between cells, its speeds, ground and jump button.

        Returns:
            float32 (7,) in [-1, 1]: how far right it is, sideways and downward place within its cell, sideways and
            downward speed, whether it stands, whether jump is held.
        """
        x, y = int(state[X]), int(state[Y])
        senses = (
            2 * (x + PLAYER_WIDTH / 2) / (int(state[WIDTH]) * TILE) - 1,
            x % TILE / (TILE / 2) - 1,
            y % TILE / (TILE / 2) - 1,
            int(state[SPEED_X]) / RUN_SPEED,
            int(state[SPEED_Y]) / (JUMP_SPEED + RUN_SPEED // 4),
            2 * int(state[GROUND]) - 1,
            2 * int(state[HELD]) - 1,
        )
        return np.clip(np.array(senses, np.float32), -1, 1)

    def solve_state(
        self, state: NDArray[np.int32], budget: int | None = None, stop: NDArray[np.uint8] | None = None
    ) -> Solution:
        """Finds a quick way to the last column by A* over the game's own physics.

        A level is proven unsolvable where a bound on how far any play gets, `platform_reach.reach`, ends before the
        last column: at a wall higher than every jump, or a pit wider. What the search does not find is "unknown", for
        it takes states that are all but equal for equal.

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
        most = self.default_budget if budget is None else min(int(budget), _MOST_EXPANDED)
        stopped = flag(stop)
        # Memory is asked for as it turns out to be needed: most levels are solved in little.
        tried = min(most, self.default_budget)
        while True:
            room = search_room((int(state[HEIGHT]), int(state[WIDTH])), tried)
            report = np.zeros(REPORT, np.int64)
            search(state, tried, stopped, False, *room, report)
            if report[STATUS] in (SOLVED, UNSOLVABLE) or tried == most or stopped[0] or report[EXPANDED] < tried:
                break
            tried = min(most, 8 * tried)
        if report[STATUS] == SOLVED:
            return Solution("solved", trace(room[0], report[LAST]), int(report[EXPANDED]))
        status: Status = "unsolvable" if report[STATUS] == UNSOLVABLE else "unknown"
        return Solution(status, nodes=int(report[EXPANDED]))

    @staticmethod
    def _room(shape: tuple[int, ...]) -> NDArray[np.int32]:
        return np.zeros(HEADER + 4 * shape[0] * shape[1], np.int32)


assert FALL_SPEED < JUMP_SPEED < TILE
assert USED == 7
