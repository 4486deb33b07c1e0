"""What architectures are judged by: figures with a direction, and bounds that they must keep."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from envs import UserError
from envs.errors import unknown_name

#: What a subject of search is.
Kind = Literal["generator", "designer"]

#: "parameters <= 1e6".
_CONSTRAINT = re.compile(r"\s*(?P<figure>\w+)\s*(?P<sign><=|>=)\s*(?P<bound>\S+)\s*")


@dataclass(frozen=True)
class Objective:
    """A figure that a search can make great or small.

    Attributes:
        name: the figure's name.
        direction: which is better, in Optuna's words.
        unit: what it is counted in; "" for a share of 1.
        explanation: one sentence for people.
        kinds: what it is known of.
        cost: whether it is what a model costs, which is known before it is trained.
    """

    name: str
    direction: Literal["maximize", "minimize"]
    unit: str
    explanation: str
    kinds: tuple[Kind, ...] = ("generator",)
    cost: bool = False

    def loss(self, value: float) -> float:
        """Returns a number that is the less, the better the value."""
        return value if self.direction == "minimize" else -value


def _cost(name: str, unit: str, explanation: str) -> Objective:
    return Objective(name, "minimize", unit, explanation, ("generator", "designer"), cost=True)


_ALL = (
    Objective("joint", "maximize", "", "The share of raw samples that are playable, novel and unique."),
    Objective("playable", "maximize", "", "The share of raw samples that our player completes."),
    Objective("novel", "maximize", "", "The share of raw samples as far from every training level as novelty asks."),
    Objective("unique", "maximize", "", "The share of raw samples that equal no earlier one tile for tile."),
    Objective(
        "diversity",
        "maximize",
        "",
        "Restricted diversity (Todd 2023): how large a share of a batch of samples is playable, novel and pairwise far "
        "apart.",
    ),
    Objective(
        "nats",
        "minimize",
        "nats a tile",
        "The negative log-likelihood of held-out levels, or a bound on it; of families that can tell.",
    ),
    Objective(
        "success", "maximize", "", "The share of start levels that come to meet the published rule.", ("designer",)
    ),
    Objective(
        "strict_success",
        "maximize",
        "",
        "The share of start levels that come to meet the published rule and every finite target.",
        ("designer",),
    ),
    Objective("return", "maximize", "reward", "What the environment pays for an episode, on average.", ("designer",)),
    _cost("parameters", "numbers", "How many numbers the network learns."),
    _cost("macs", "multiply-adds", "The multiply-adds of a level that is sampled, or of a designer's action."),
    _cost("milliseconds", "ms", "The time of a level, sampled in batches, or of a designer's action."),
    _cost("milliseconds_alone", "ms", "The time of a level, or of a designer's action, in a batch of one."),
    _cost("memory", "bytes", "The most bytes of tensors that are alive while a batch is sampled, or acted in."),
)

#: Every objective by its name.
OBJECTIVES: dict[str, Objective] = {objective.name: objective for objective in _ALL}


def shown(name: str, value: float | None) -> str:
    """Writes a figure for people, "" where it is not known."""
    if value is None or not math.isfinite(value):
        return ""
    unit = OBJECTIVES[name].unit
    if not unit:
        return f"{100 * value:.1f} %"
    if unit == "bytes":
        return f"{value / 2**20:.1f} MiB"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def objectives_of(kind: Kind) -> dict[str, Objective]:
    """Returns the objectives that are known of generators, or of designers, by name."""
    return {name: objective for name, objective in OBJECTIVES.items() if kind in objective.kinds}


def choose_objectives(names: Sequence[str], known: Sequence[str], what: str) -> tuple[Objective, ...]:
    """Returns objectives by their names.

    Args:
        names: what was asked for.
        known: the figures that can be had, see `search.subjects.Subject.figures`.
        what: whose figures they are, for the error.

    Raises:
        UserError: none is named, one is named twice, or one is not known.
    """
    if not names or len(set(names)) < len(names):
        raise UserError(f"Name one or several different objectives; got {' '.join(names) or 'none'}.")
    for name in names:
        _check_known(name, known, "objective", what)
    return tuple(OBJECTIVES[name] for name in names)


@dataclass(frozen=True)
class Constraint:
    """A bound that a figure must keep.

    Attributes:
        figure: the figure's name.
        sign: "<=" or ">=".
        bound: what it must not pass.
    """

    figure: str
    sign: Literal["<=", ">="]
    bound: float

    @classmethod
    def parse(cls, text: str, known: Sequence[str], what: str) -> Constraint:
        """Reads a constraint such as "parameters <= 1e6".

        Args:
            text: the constraint.
            known: the figures that can be had.
            what: whose figures they are, for the error.

        Raises:
            UserError: it cannot be read, or is of a figure that is not known.
        """
        found = _CONSTRAINT.fullmatch(text)
        if found is None:
            raise UserError(f'A constraint is a figure, <= or >=, and a number ("parameters <= 1e6"); got {text!r}.')
        _check_known(found["figure"], known, "figure", what)
        try:
            bound = float(found["bound"])
        except ValueError:
            bound = math.nan
        if not math.isfinite(bound):
            raise UserError(f"The bound of the constraint {text!r} must be a finite number; got {found['bound']!r}.")
        return cls(found["figure"], "<=" if found["sign"] == "<=" else ">=", bound)

    def excess(self, figures: Mapping[str, float]) -> float:
        """Returns by how much figures break the constraint, as Optuna's `constraints_func` tells it.

        It is a share of the bound, so that several constraints can be added up: at most 0 where the constraint is
        kept, and infinite where the figure is not known.
        """
        value = figures.get(self.figure, math.nan)
        if math.isnan(value):
            return math.inf
        over = value - self.bound if self.sign == "<=" else self.bound - value
        return over / abs(self.bound) if self.bound else over

    def __str__(self) -> str:
        return f"{self.figure} {self.sign} {self.bound:g}"


def excesses(constraints: Sequence[Constraint], figures: Mapping[str, float]) -> tuple[float, ...]:
    """Returns what Optuna's `constraints_func` is to return for a trial with these figures: 0 or less is kept."""
    return tuple(constraint.excess(figures) for constraint in constraints)


def _check_known(name: str, known: Sequence[str], kind: str, what: str) -> None:
    """Raises UserError where a figure is not known of what is searched for."""
    if name in OBJECTIVES and name not in known:
        raise UserError(f"The {kind} {name} is not known of {what}: choose among {', '.join(sorted(known))}.")
    if name not in known:
        raise unknown_name(kind, name, known)
