"""What a study knows of a trial, and how it is kept in Optuna's attributes."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from search.objectives import Objective

#: What became of a trial: it waits; it is in training; it was trained whole; it was stopped at a rung; it breaks a
#: constraint by what is known before training; it cannot be trained; its settings were tried before; zero-cost proxies
#: placed it behind; its worker died, and another trial stands in its place.
State = Literal["waiting", "running", "finished", "stopped", "refused", "failed", "copy", "screened", "lost"]

#: The states that a search's number of trials does not count.
UNCOUNTED: tuple[State, ...] = ("copy", "screened", "lost")

#: What trial 0 says of where it came from.
DEFAULT = "default"

_STATES: dict[TrialState, State] = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.FAIL: "lost",
}


@dataclass(frozen=True)
class TrialRecord:
    """A trial, as a study's results tell of it.

    Attributes:
        number: by which people know it: a trial that stands in a lost one's place has its number.
        trial: Optuna's number.
        state: what became of it.
        origin: "default" for trial 0, "preset NAME" and the like for others that were asked for, "" for suggestions.
        params: Optuna's parameters.
        settings: the architecture: part, field, value.
        costs: figures that are known before training.
        proxies: zero-cost proxies at initialisation.
        rungs: of each part of its training: rung, share of the budget so far, figures, seconds.
        excess: by how much each constraint is broken, as a share of its bound; not above 0 where it is kept.
        bracket: the rung that it began at.
        attempts: how many workers it has cost so far.
        inherited: the trial whose weights it began with, and the share of its numbers that they gave; or nothing.
        error: why it could not be trained.
        worker: the host and the process that trained it.
    """

    number: int
    trial: int
    state: State
    origin: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)
    proxies: dict[str, float] = field(default_factory=dict)
    rungs: list[dict[str, Any]] = field(default_factory=list)
    excess: dict[str, float] = field(default_factory=dict)
    bracket: int = 0
    attempts: int = 0
    inherited: dict[str, float] = field(default_factory=dict)
    error: str = ""
    worker: str = ""

    @classmethod
    def of(cls, trial: FrozenTrial) -> TrialRecord:
        """Reads a trial's attributes."""
        known = trial.user_attrs
        names = ("origin", "settings", "costs", "proxies", "rungs", "excess", "bracket", "attempts", "inherited")
        untold: State = "screened" if trial.state == TrialState.PRUNED else "finished"
        state = _STATES.get(trial.state) or known.get("state", untold)
        return cls(
            known.get("number", trial.number),
            trial.number,
            state,
            params=dict(trial.params),
            **{name: known[name] for name in (*names, "error", "worker") if name in known},
        )

    @property
    def figures(self) -> dict[str, float]:
        """What is known of it: costs, and what the last rung measured."""
        return self.costs | (self.rungs[-1]["figures"] if self.rungs else {})

    @property
    def feasible(self) -> bool:
        """Whether it keeps all constraints."""
        return all(value <= 0 for value in self.excess.values())

    @property
    def seconds(self) -> float:
        """How long it was trained and measured."""
        return sum(rung["seconds"] for rung in self.rungs)

    def at(self, rung: int) -> dict[str, float] | None:
        """Returns what was known of it at the end of a rung, or None if it never came so far."""
        found = [one["figures"] for one in self.rungs if one["rung"] == rung]
        return self.costs | found[0] if found else None


def counted(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Returns the records that count as trials of the search: each architecture that was tried, once."""
    return [record for record in records if record.state not in UNCOUNTED]


def losses(figures: Sequence[dict[str, float]], objectives: Sequence[Objective]) -> NDArray[np.float64]:
    """Returns losses, float64 (n, objectives), of n times figures by name; what is not known is infinitely bad."""
    table = np.array([[one.loss(known.get(one.name, math.nan)) for one in objectives] for known in figures], np.float64)
    return np.where(np.isnan(table), np.inf, table).reshape(len(figures), len(objectives))


def finite(figures: dict[str, float]) -> dict[str, float]:
    """Returns the figures that are numbers, as plain ones: what is not known is left out."""
    return {name: float(value) for name, value in figures.items() if math.isfinite(value)}


def distance(first: FrozenTrial, second: FrozenTrial) -> float:
    """Returns how far the parameters of two trials lie apart, in [0, 1].

    The mean over all parameters that either has: of numbers the difference as a share of the range (of its logarithm
    where it is a logarithmic one), of choices whether they differ; what only one of them has is as far as can be.
    """
    names = first.params.keys() | second.params.keys()
    if not names:
        return 0.0
    total = 0.0
    for name in names:
        if name not in first.params or name not in second.params:
            total += 1
            continue
        kind, values = first.distributions[name], (first.params[name], second.params[name])
        if isinstance(kind, CategoricalDistribution):
            total += float(values[0] != values[1])
        elif isinstance(kind, IntDistribution | FloatDistribution) and kind.high > kind.low:
            scale = math.log if kind.log else float
            span = scale(kind.high) - scale(kind.low)
            total += min(1.0, abs(scale(values[0]) - scale(values[1])) / span)
    return total / len(names)


# Who trains it.


def process_began(process: int) -> str | None:
    """Returns when a process of this machine began, in the system's words ("" where unknown), or None if it is gone.

    The number of a process is used again, but not with the same beginning.
    """
    try:
        # What stands in brackets before the other fields may hold anything.
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return ""


def this_process() -> dict[str, Any]:
    """Returns what names this process as the owner of trials."""
    return {"host": socket.gethostname(), "process": os.getpid(), "began": process_began(os.getpid())}


def is_gone(owner: dict[str, Any]) -> bool:
    """Returns whether an owner is known to have ended; of other machines' processes nothing is known."""
    if owner["host"] != socket.gethostname():
        return False
    return process_began(owner["process"]) != owner["began"]
