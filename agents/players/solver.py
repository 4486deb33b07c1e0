"""The solver as a player, with noise that makes it as weak as is wanted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.players.player import GIVE_UP, Player
from envs import Problem, UserError, solve


@dataclass
class _Plans:
    """What a solver player remembers: where each game is in its plan.

    Attributes:
        level_plans: int64 (length,), a plan for each level, or None where there is none.
        unknown: bool (n,), the levels where a search ended at its budget.
        plans: by the number of the game, its own plan once it left that of its level.
        places: by the number of the game, how many actions of its plan it has taken.
    """

    level_plans: list[NDArray[np.int64] | None]
    unknown: NDArray[np.bool_]
    plans: dict[int, NDArray[np.int64] | None] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)


class SolverPlayer(Player):
    """Follows the solver's plan; now and then its hand slips, and it plans anew.

    It gives up a game that the solver does not know how to win: proven lost, or not solved within the budget, which
    `Plays.unknown` reports.

    Args:
        problem: a playable problem or its name.
        budget: the most states that a search may expand; None means the rules' default.
        noise: the chance that an action is drawn at random instead, from 0 (the solver itself) to 1 (a random player
            that gives up what it spoilt). The more noise, the weaker the player.

    Raises:
        UserError: the problem cannot be played, or an option is out of range.
    """

    draws = 2

    def __init__(self, problem: Problem | str, budget: int | None = None, noise: float = 0.0) -> None:
        super().__init__(problem)
        if not 0 <= noise <= 1:
            raise UserError(f"noise must be a chance from 0 to 1; got {noise!r}.")
        if budget is not None and budget < 1:
            raise UserError(f"The solver's budget must be at least 1 state; got {budget!r}.")
        self.budget = budget
        self.noise = float(noise)
        self.alike = noise == 0
        self.name = "solver" if noise == 0 else f"solver with {100 * noise:g} % noise"
        if budget is not None:
            self.name += f", {budget:,} states"

    def begin(self, levels: NDArray[np.uint8], episodes: int) -> _Plans:
        """Plans for every level."""
        solutions = solve(self.problem, levels, self.budget)
        plans = [solution.actions if solution.solved else None for solution in solutions]
        unknown = np.array([solution.status == "unknown" for solution in solutions], np.bool_)
        return _Plans(plans, unknown)

    def act(
        self,
        states: NDArray[np.int32],
        levels: NDArray[np.int64],
        games: NDArray[np.int64],
        uniforms: NDArray[np.float64],
        memory: Any,
    ) -> NDArray[np.int64]:
        """Takes the next action of each game's plan, or one at random."""
        chosen = np.full(len(games), GIVE_UP, np.int64)
        number = len(self.rules.actions)
        for i, (game, level) in enumerate(zip(games.tolist(), levels.tolist(), strict=True)):
            if game not in memory.plans:
                memory.plans[game], memory.places[game] = memory.level_plans[level], 0
            if memory.places[game] < 0:
                self._plan(states[i], game, level, memory)
            plan, place = memory.plans[game], memory.places[game]
            if plan is None:
                continue
            # A level that is won before the first step has an empty plan: any action then ends it.
            chosen[i] = plan[place] if place < len(plan) else 0
            memory.places[game] = place + 1
            if uniforms[i, 0] < self.noise:
                slip = int(uniforms[i, 1] * number)
                if slip != chosen[i]:
                    chosen[i], memory.places[game] = slip, -1
        return chosen

    def _plan(self, state: NDArray[np.int32], game: int, level: int, memory: _Plans) -> None:
        """Plans anew for a game that left its plan."""
        solution = self.rules.solve_state(state, self.budget)
        memory.plans[game] = solution.actions if solution.solved else None
        memory.places[game] = 0
        memory.unknown[level] |= solution.status == "unknown"

    def unknown(self, memory: Any, levels: int) -> NDArray[np.bool_]:
        """Returns on which levels a search ended at its budget, bool (levels,)."""
        return memory.unknown
