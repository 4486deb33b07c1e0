"""Play a problem's levels: a Gymnasium environment whose agent is the player, not the designer."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from numpy.typing import ArrayLike, NDArray

from envs.errors import UserError, unknown_name
from envs.problem import Problem
from envs.rules import LOST, PLAYING, WON
from envs.suite import get_problem, get_rules

if TYPE_CHECKING:
    from envs.window import Window

#: How many steps an episode may take for each cell of the level, unless the caller says otherwise.
STEPS_PER_CELL = 10


#: A board row by row or, for games that need more to be told, a dictionary of the board and what `Rules.sense` says.
Observation = NDArray[np.uint8] | dict[str, NDArray[Any]]


class PlayEnv(gymnasium.Env[Observation, np.int64]):
    """Plays levels by the problem's rules, the same ones that its solver and the window use.

    **Observation:** Box uint8 (number of cells,), row by row (and storey by storey): what the player sees, as indices
    into `rules.sprites`.
    It is flat, so that libraries do not take it for a picture; `reshape(env.shape)` gives the board. The board does
    not show everything: where zelda's enemies are heading, for one, shows only as they move. Games with speeds and
    places between cells give a Dict instead: "board" as above, and "senses", Box float32 (rules.senses,) in [-1, 1].

    **Action:** Discrete, the place of the action in `rules.actions`.

    **Reward:** +1 for winning, -1 for losing, else 0.

    **End:** terminated once the game is won or lost, truncated after `max_steps` steps. A level that is won before
    the first step terminates, and is rewarded, at the first step. A further step needs a reset.

    **Info:** "won" (bool) and "steps" (int, since the reset).

    `reset(options={"level": level})` plays the given level instead of a random one of `levels`.

    Args:
        problem: a playable problem or its name.
        levels: tile ids (k, *shape), or of one level's shape; each episode plays one at random.
            None plays the problem's examples that are known to be winnable: those of the default shape, or where
            there are none, those of the commonest shape among them.
        max_steps: the steps after which an episode is cut off; None allows 10 for each cell.
        render_mode: "rgb_array" (`render` returns a picture), "human" (a window follows the game) or None.
        tile_size: the side of a tile in pixels.

    Raises:
        UserError: the problem cannot be played, a level cannot be started, or an option is out of range.
    """

    metadata: dict[str, Any] = {"render_modes": ["human", "rgb_array"], "render_fps": 10}

    def __init__(
        self,
        problem: Problem | str,
        levels: ArrayLike | None = None,
        max_steps: int | None = None,
        render_mode: str | None = None,
        tile_size: int = 32,
    ) -> None:
        self.problem = get_problem(problem)
        self.rules = get_rules(self.problem)
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise unknown_name("render mode", render_mode, self.metadata["render_modes"])
        if max_steps is not None and max_steps < 1:
            raise UserError(f"max_steps must be at least 1, or None for {STEPS_PER_CELL} a cell; got {max_steps}.")
        self.levels = _winnable_examples(self.problem) if levels is None else self._checked(levels)
        self.shape: tuple[int, ...] = self.levels.shape[1:]
        self.max_steps = STEPS_PER_CELL * int(np.prod(self.shape)) if max_steps is None else int(max_steps)
        self.metadata = {**self.metadata, "render_fps": self.rules.ticks_per_second or self.metadata["render_fps"]}
        self.render_mode = render_mode
        self.tile_size = tile_size
        board = gymnasium.spaces.Box(0, len(self.rules.sprites) - 1, (int(np.prod(self.shape)),), np.uint8)
        self.observation_space: gymnasium.Space[Any] = board
        if self.rules.senses:
            senses = gymnasium.spaces.Box(-1, 1, (self.rules.senses,), np.float32)
            self.observation_space = gymnasium.spaces.Dict({"board": board, "senses": senses})
        self.action_space = gymnasium.spaces.Discrete(len(self.rules.actions))
        self._state: NDArray[np.int32] | None = None
        self._over = False
        self._steps = 0
        self._window: Window | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts a level.

        Args:
            seed: seeds the choice of levels from here on.
            options: {"level": tile ids (height, width)} to play that level.

        Returns:
            The first observation and the info.

        Raises:
            UserError: an option is not known, or the level cannot be started or is not of the levels' shape.
        """
        super().reset(seed=seed)
        options = options or {}
        for name in options:
            if name != "level":
                raise unknown_name("reset option", name, ["level"])
        if options.get("level") is None:
            level = self.levels[self.np_random.integers(len(self.levels))]
        else:
            given = self._checked(options["level"])
            if given.shape != (1, *self.shape):
                raise UserError(
                    f"This environment plays one level of shape {self.shape} at a time; reset was given "
                    f"shape {np.shape(options['level'])}: give such a level, or make another environment."
                )
            level = given[0]
        self._state = self.rules.start(level)
        self._over = False
        self._steps = 0
        if self.render_mode == "human":
            self._show()
        return self._observation(), self._info()

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Plays one action; see the class for what comes back.

        Raises:
            UserError: there is no such action, or no game is going on.
        """
        if self._state is None or self._over:
            raise UserError("No game is going on: call reset() before the first step and after the end of an episode.")
        if not self.action_space.contains(action):
            names = ", ".join(f"{i} {name}" for i, name in enumerate(self.rules.actions))
            raise UserError(f"Action {action!r} is not one of this game's actions: {names}.")
        self._state = self.rules.step(self._state, int(action))
        self._steps += 1
        outcome = self.rules.outcome(self._state)
        terminated = outcome != PLAYING
        truncated = not terminated and self._steps >= self.max_steps
        self._over = terminated or truncated
        if self.render_mode == "human":
            self._show()
        reward = {WON: 1.0, LOST: -1.0}.get(outcome, 0.0)
        return self._observation(), reward, terminated, truncated, self._info()

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]
        """Returns a picture of the game, uint8 RGB (height * tile_size, width * tile_size, 3); of blocks, as they come.

        In human mode the window is brought up to date instead, as every reset and step does.

        Raises:
            UserError: the environment was made without a render mode, or no level has been started.
        """
        if self.render_mode == "rgb_array":
            return self._picture()
        if self.render_mode == "human":
            self._show()
            return None
        raise UserError('This environment was made without render_mode; make it with "rgb_array" or "human" to render.')

    def close(self) -> None:
        """Closes the window, if there is one."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def _checked(self, levels: object) -> NDArray[np.uint8]:
        """Returns levels as uint8 (k, *shape), each of which can be started."""
        batch = self.problem.check_levels(levels)
        if not len(batch):
            raise UserError(f"At least one {self.problem.name} level is needed to play; got none.")
        for i, level in enumerate(batch):
            trouble = self.rules.problem_with(level)
            if trouble:
                which = "This level" if len(batch) == 1 else f"Level {i}"
                raise UserError(f"{which} cannot be played: {trouble}.")
        return batch

    def _current(self) -> NDArray[np.int32]:
        if self._state is None:
            raise UserError("No level has been started yet: call reset() first.")
        return self._state

    def _observation(self) -> Observation:
        state = self._current()
        board = self.rules.board(state).reshape(-1)
        return {"board": board, "senses": self.rules.sense(state)} if self.rules.senses else board

    def _info(self) -> dict[str, Any]:
        return {"won": self.rules.outcome(self._current()) == WON, "steps": self._steps}

    def _picture(self) -> NDArray[np.uint8]:
        from envs.pictures import render_game  # noqa: PLC0415 (Pillow is loaded only where pictures are made)

        return render_game(self.rules, self._current(), self.tile_size)

    def _show(self) -> None:
        if self._window is None:
            from envs.window import Window  # noqa: PLC0415 (pygame is loaded only where a window opens)

            self._window = Window(f"Tilewright: play {self.problem.name}")
        self._window.show(self._picture(), self.metadata["render_fps"])


def _winnable_examples(problem: Problem) -> NDArray[np.uint8]:
    """Returns a problem's examples that the solver solves, uint8 (k, height, width), all of one shape."""
    levels = [problem.parse(example.rows) for example in problem.examples if example.status == "solved"]
    if not levels:
        raise UserError(f"Problem {problem.name!r} has no winnable examples to play: give levels.")
    shapes = Counter(level.shape for level in levels)
    shape = problem.default_shape if problem.default_shape in shapes else shapes.most_common(1)[0][0]
    return np.stack([level for level in levels if level.shape == shape])
