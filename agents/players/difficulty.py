"""How difficult levels are: what a weak and a strong player make of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agents.players.player import Player, Plays
from envs import UserError
from envs.errors import unknown_name
from envs.evaluation import Estimate, bootstrap

#: What of a level's difficulty a reward is paid for.
Aim = Literal["regret", "weak-loses", "strong-wins"]


@dataclass(frozen=True)
class Difficulty:
    """What a weak and a strong player made of n levels.

    Attributes:
        weak: the weak player's games.
        strong: the strong player's games.
    """

    weak: Plays
    strong: Plays

    @property
    def started(self) -> NDArray[np.bool_]:
        """The levels that can be started at all, bool (n,)."""
        return self.weak.started

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """The levels on which either player gave up for want of budget, bool (n,); their regret may be too low."""
        return self.weak.unknown | self.strong.unknown

    @property
    def regret(self) -> NDArray[np.float64]:
        """The strong player's win rate less the weak one's, float64 (n,) in [-1, 1] (after Dennis 2020).

        It is great where a level can be won, but not by the weak player; 0 where both win always, or neither ever.
        """
        return self.strong.win_rates - self.weak.win_rates

    def estimates(self, seed: int = 0) -> dict[str, Estimate]:
        """Returns means over levels with their 95 % bootstrap intervals: "weak", "strong" and "regret"."""
        return {
            "weak": bootstrap(self.weak.win_rates, seed),
            "strong": bootstrap(self.strong.win_rates, seed),
            "regret": bootstrap(self.regret, seed),
        }


def difficulty(
    levels: ArrayLike, weak: Player, strong: Player, episodes: int = 4, seed: int = 0, max_steps: int | None = None
) -> Difficulty:
    """Measures levels by two players.

    Args:
        levels: tile ids (n, *shape), or one level. Levels that cannot be started are not played.
        weak: the player that is to find it hard.
        strong: the player that is to find it easy.
        episodes: how often each of them plays each level.
        seed: fixes their draws.
        max_steps: the actions after which a game is cut off; None allows 10 for each cell.

    Raises:
        UserError: the players play different problems, or the levels or an option cannot be used.
    """
    if weak.problem is not strong.problem:
        raise UserError(f"Both players must play the same problem; got {weak.problem.name} and {strong.problem.name}.")
    # The players draw from streams of their own: one that is as good as the other then shows no regret on average.
    return Difficulty(
        weak.play(levels, 2 * seed, episodes, max_steps), strong.play(levels, 2 * seed + 1, episodes, max_steps)
    )


class DifficultyTerm:
    """Difficulty as a part of a designer's reward; an `agents.rewards.LevelTerm`.

    Levels that cannot be started score 0 without being played.

    Args:
        weak: the player that is to find levels hard.
        strong: the player that is to find them easy.
        aim: "regret" pays the strong player's win rate less the weak one's, where that is above 0; "strong-wins" the
            strong player's win rate; "weak-loses" 1 less the weak player's, which pays for levels that nobody can win
            too.
        episodes: how often each player plays each level.
        seed: fixes the players' draws, so that equal batches score equally.
        max_steps: the actions after which a game is cut off; None allows 10 for each cell.

    Raises:
        UserError: an option cannot be used, or the players play different problems.
    """

    def __init__(
        self,
        weak: Player,
        strong: Player,
        aim: Aim = "regret",
        *,
        episodes: int = 4,
        seed: int = 0,
        max_steps: int | None = None,
    ) -> None:
        if aim not in get_args(Aim):
            raise unknown_name("aim", aim, get_args(Aim))
        if weak.problem is not strong.problem:
            raise UserError(
                f"Both players must play the same problem; got {weak.problem.name} and {strong.problem.name}."
            )
        self.weak, self.strong, self.aim = weak, strong, aim
        self.episodes, self.seed, self.max_steps = episodes, seed, max_steps

    def __call__(self, levels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Returns what each level is worth, float64 (n,) in [0, 1].

        Args:
            levels: uint8 (n, *shape).
        """
        if not len(levels):
            return np.zeros(0)
        options = (self.episodes, self.max_steps)
        if self.aim == "regret":
            found = difficulty(levels, self.weak, self.strong, options[0], self.seed, options[1])
            return np.maximum(found.regret, 0.0)
        if self.aim == "strong-wins":
            return self.strong.play(levels, self.seed, *options).win_rates
        plays = self.weak.play(levels, self.seed, *options)
        return np.where(plays.started, 1 - plays.win_rates, 0.0)
