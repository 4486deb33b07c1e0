"""Players: whoever plays levels, so that difficulty can be measured as what weak and strong players make of a level.

`RandomPlayer`, `SolverPlayer` and `PolicyPlayer` play; `agents.players.ppo` trains policies, and
`agents.players.difficulty` measures levels.
"""

from agents.players.player import Player, Plays, RandomPlayer
from agents.players.policy import PolicyPlayer
from agents.players.solver import SolverPlayer

__all__ = ["Player", "Plays", "PolicyPlayer", "RandomPlayer", "SolverPlayer"]
