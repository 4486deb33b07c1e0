"""What a policy did in a batch of lanes, as the rows that learners learn from."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import NDArray


@dataclass(frozen=True)
class Rollout:
    """What a policy did between two updates.

    Attributes:
        rows: arrays by name with one first axis; see `agents.policy.Policy`.
        steps: how many steps of the environment they took.
        outcomes: what the episodes that ended came to, by name, one number an episode; "return" and "length" are among
            them.
    """

    rows: dict[str, NDArray]
    steps: int
    outcomes: dict[str, NDArray]
