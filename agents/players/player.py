"""What a player is: it plays batches of levels and leaves who won, and the simplest one, which plays at random."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from envs import Problem, UserError, get_problem, get_rules
from envs.design_options import at_least
from envs.kernels.draw import draw_uniforms
from envs.play_env import STEPS_PER_CELL
from envs.rules import LOST, PLAYING, WON

#: What a player says instead of an action when it gives a game up; the game then counts as not won.
GIVE_UP = -1


@dataclass(frozen=True)
class Plays:
    """What a player made of n levels, each played several times.

    Attributes:
        won: bool (n, episodes), the games that were won.
        lost: bool (n, episodes), the games that were lost; others were given up or cut off.
        steps: int64 (n, episodes), the actions taken.
        started: bool (n,), the levels that can be started at all; the others were not played.
        unknown: bool (n,), the levels where the player gave up because its search ended at its budget: not winning
            them is no verdict on the level.
    """

    won: NDArray[np.bool_]
    lost: NDArray[np.bool_]
    steps: NDArray[np.int64]
    started: NDArray[np.bool_]
    unknown: NDArray[np.bool_]

    @property
    def win_rates(self) -> NDArray[np.float64]:
        """The share of its games that were won on each level, float64 (n,)."""
        return self.won.mean(axis=1)

    @property
    def returns(self) -> NDArray[np.float64]:
        """What the play environment pays for each game, float64 (n, episodes): 1 won, -1 lost, else 0."""
        return self.won.astype(np.float64) - self.lost


class Player(ABC):
    """Plays levels of one problem.

    Args:
        problem: a playable problem or its name.

    Attributes:
        name: what tables call the player.
        problem: the problem that it plays.
        rules: the problem's rules of play.
        draws: how many random numbers it draws before each action.
        alike: whether it plays a level the same way each time, so that one game tells all.

    Raises:
        UserError: the problem cannot be played.
    """

    name: str
    draws: int = 1
    alike: bool = False

    def __init__(self, problem: Problem | str) -> None:
        self.problem = get_problem(problem)
        self.rules = get_rules(self.problem)

    def play(self, levels: ArrayLike, seed: int = 0, episodes: int = 1, max_steps: int | None = None) -> Plays:
        """Plays levels, each several times.

        What is drawn in game e of level i depends on nothing but the seed, i and e.

        Args:
            levels: tile ids (n, *shape), or one level. Levels that cannot be started are not played.
            seed: fixes the player's draws.
            episodes: how often each level is played.
            max_steps: the actions after which a game is cut off; None allows 10 for each cell.

        Raises:
            UserError: the levels or an option cannot be used.
        """
        batch = self.problem.check_levels(levels)
        at_least("episodes", episodes, 1)
        if max_steps is not None:
            at_least("max_steps", max_steps, 1)
        if not isinstance(seed, (int, np.integer)) or seed < 0:
            raise UserError(f"seed must be a whole number of at least 0; got {seed!r}.")
        most = STEPS_PER_CELL * batch[0].size if max_steps is None else int(max_steps)
        started = np.array([self.rules.problem_with(level) is None for level in batch], np.bool_)
        shape = (len(batch), episodes)
        plays = Plays(
            won=np.zeros(shape, np.bool_),
            lost=np.zeros(shape, np.bool_),
            steps=np.zeros(shape, np.int64),
            started=started,
            unknown=np.zeros(len(batch), np.bool_),
        )
        chosen = np.flatnonzero(started)
        if not len(chosen):
            return plays
        streams = np.concatenate(
            [np.random.SeedSequence([int(seed), int(i)]).generate_state(episodes, np.uint64) for i in chosen]
        )
        games = self._games(batch[chosen], episodes, most, streams)
        won, lost, steps, unknown = games
        plays.won[chosen], plays.lost[chosen], plays.steps[chosen] = won, lost, steps
        plays.unknown[chosen] = unknown
        return plays

    def _games(
        self, levels: NDArray[np.uint8], episodes: int, most: int, streams: NDArray[np.uint64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64], NDArray[np.bool_]]:
        """Plays levels that can be started, and returns who won, who lost, the steps taken and what is unknown."""
        memory = self.begin(levels, episodes)
        # A player that does the same each time need not do it again.
        games = 1 if self.alike else episodes
        states = np.repeat(np.stack([self.rules.start(level) for level in levels]), games, axis=0)
        if self.alike:
            streams = streams[::episodes].copy()
        steps = np.zeros(len(states), np.int64)
        # As in the play environment a level that is won before the first step is won at that step.
        going = np.arange(len(states))
        for _ in range(most):
            uniforms = np.empty((len(going), self.draws))
            draw_uniforms(streams, going, uniforms)
            actions = self.act(states[going], going // games, going, uniforms, memory)
            playing = actions != GIVE_UP
            going, actions = going[playing], actions[playing]
            if not len(going):
                break
            states[going] = self.rules.step_all(states[going], actions)
            steps[going] += 1
            going = going[self.rules.outcomes(states[going]) == PLAYING]
            if not len(going):
                break
        outcomes = self.rules.outcomes(states)
        # What was given up before the first step is not won, even where nothing was left to do.
        won, lost = (outcomes == WON) & (steps > 0), outcomes == LOST
        spread = [np.repeat(part.reshape(len(levels), games), episodes // games, axis=1) for part in (won, lost, steps)]
        return spread[0], spread[1], spread[2], self.unknown(memory, len(levels))

    def begin(self, levels: NDArray[np.uint8], episodes: int) -> Any:
        """Looks at levels before they are played, and returns what the player wants to remember; here nothing.

        Args:
            levels: uint8 (n, *shape), all of which can be started.
            episodes: how often each will be played.
        """
        return None

    @abstractmethod
    def act(
        self,
        states: NDArray[np.int32],
        levels: NDArray[np.int64],
        games: NDArray[np.int64],
        uniforms: NDArray[np.float64],
        memory: Any,
    ) -> NDArray[np.int64]:
        """Chooses an action for each game that is going on.

        Args:
            states: int32 (k, length), the games' states.
            levels: int64 (k,), the number of each game's level.
            games: int64 (k,), the number of each game.
            uniforms: float64 (k, draws) in [0, 1), fresh random numbers for each game.
            memory: what `begin` returned.

        Returns:
            int64 (k,): actions, or GIVE_UP.
        """

    def unknown(self, memory: Any, levels: int) -> NDArray[np.bool_]:
        """Returns on which levels the player gave up for want of budget, bool (levels,); here on none."""
        return np.zeros(levels, np.bool_)


class RandomPlayer(Player):
    """Draws every action with equal chances.

    Args:
        problem: a playable problem or its name.
    """

    name = "random"

    def act(
        self,
        states: NDArray[np.int32],
        levels: NDArray[np.int64],
        games: NDArray[np.int64],
        uniforms: NDArray[np.float64],
        memory: Any,
    ) -> NDArray[np.int64]:
        """Draws an action for each game."""
        return (uniforms[:, 0] * len(self.rules.actions)).astype(np.int64)
