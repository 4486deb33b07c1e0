"""What captions and prompts call the metrics and tiles of a problem."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

#: The words for little and for much of what is measured.
Grades = tuple[str, str]


@dataclass(frozen=True)
class Noun:
    """What a metric or a kind of tile is called.

    Attributes:
        singular: its name ("enemy", "path").
        plural: of that name; "" makes the regular one.
        others: what else people call it, in the singular ("monster").
        grades: of what is measured and not counted, the words for little and much of it ("short", "long"); None for
            what is counted, of which there are few or many.
        unit: of what is measured, what a number of it counts, in the singular ("step").
        alone: single words that ask for it by themselves, with the least and the greatest value that they ask for:
            "solvable" asks for a solution of at least one move.
    """

    singular: str
    plural: str = ""
    others: tuple[str, ...] = ()
    grades: Grades | None = None
    unit: str = ""
    alone: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Makes the plural."""
        if not self.plural:
            object.__setattr__(self, "plural", plural_of(self.singular))

    @property
    def other_plurals(self) -> tuple[str, ...]:
        """The plurals of `others`."""
        return tuple(map(plural_of, self.others))

    @property
    def counted(self) -> bool:
        """Whether it is counted, and not measured."""
        return self.grades is None


def plural_of(noun: str) -> str:
    """Returns the regular plural of an English noun; of several words that of the one before "of" or "to", or the last.

    >>> plural_of("enemy"), plural_of("box"), plural_of("key"), plural_of("piece of gold")
    ('enemies', 'boxes', 'keys', 'pieces of gold')
    """
    words = noun.split()
    places = [i for i, word in enumerate(words) if word in ("of", "to", "without")]
    head = places[0] - 1 if places else len(words) - 1
    word = words[head]
    if word.endswith(("s", "x", "z", "ch", "sh")):
        word += "es"
    elif word.endswith("y") and word[-2:-1] not in "aeiou":
        word = word[:-1] + "ies"
    else:
        word += "s"
    return " ".join([*words[:head], word, *words[head + 1 :]])


#: What several problems have.
WALL = Noun("wall", others=("wall tile",))
OPEN_TILE = Noun("open tile", others=("open cell", "floor tile"))
SOLUTION = Noun(
    "solution",
    grades=("short", "long"),
    unit="move",
    alone={
        **dict.fromkeys(("solvable", "winnable", "beatable"), (1.0, math.inf)),
        "unsolvable": (-math.inf, 0.0),
    },
)
REGIONS = Noun(
    "region",
    others=("separate region", "separate part"),
    alone={"connected": (1.0, 1.0), **dict.fromkeys(("disconnected", "unconnected"), (2.0, math.inf))},
)
TO_WIN = Noun("distance to winning", grades=("short", "long"), unit="step")
