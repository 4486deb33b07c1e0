"""What the characters of TheVGLC (Summerville 2016) become in our problems, one table a game.

The tables name problems and tiles; they are looked up when a file is read, so that a table costs nothing where its
problem does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Symbol:
    """One character of a game.

    Attributes:
        meaning: what it stands for; one of the words that the game's legend has for it, where there is a legend.
        tiles: what it becomes: the first of these tiles that the problem has.
    """

    meaning: str
    tiles: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """One game of the corpus.

    Attributes:
        game: its folder's name.
        legend: the JSON file in that folder.
        problems: the problems that its levels can be read for.
        symbols: every character that its levels have. The first that becomes a tile is that tile's own; all others are
            merged with it, and reported.
    """

    game: str
    legend: str
    problems: tuple[str, ...]
    symbols: dict[str, Symbol]


_PLATFORM_SYMBOLS = {
    "-": Symbol("empty", ("empty",)),
    "X": Symbol("ground", ("solid",)),
    "S": Symbol("breakable", ("brick",)),
    "?": Symbol("full question block", ("question",)),
    "Q": Symbol("empty question block", ("question",)),
    "E": Symbol("enemy", ("enemy",)),
    "o": Symbol("coin", ("coin",)),
    "[": Symbol("left pipe", ("tube",)),
    "]": Symbol("right pipe", ("tube",)),
    "<": Symbol("top-left pipe", ("tube",)),
    ">": Symbol("top-right pipe", ("tube",)),
    "B": Symbol("Cannon top", ("solid",)),
    "b": Symbol("Cannon bottom", ("solid",)),
}

TABLES = (
    Table("Super Mario Bros", "smb.json", ("smb",), _PLATFORM_SYMBOLS),
    Table("Super Mario Bros 2 (Japan)", "smb.json", ("smb",), _PLATFORM_SYMBOLS),
    Table(
        "Lode Runner",
        "Loderunner.json",
        ("loderunner",),
        {
            ".": Symbol("empty", ("empty",)),
            "b": Symbol("diggable", ("brick",)),
            "B": Symbol("solid", ("solid",)),
            "#": Symbol("ladder", ("ladder",)),
            "-": Symbol("rope", ("rope",)),
            "G": Symbol("gold", ("gold",)),
            "E": Symbol("enemy", ("guard", "enemy")),
            "M": Symbol("spawn", ("player",)),
        },
    ),
    Table(
        "The Legend of Zelda",
        "zelda.json",
        ("zelda", "dungeon"),
        {
            "F": Symbol("floor", ("empty",)),
            "W": Symbol("wall", ("solid",)),
            "D": Symbol("door", ("door", "empty")),
            "M": Symbol("monster", ("scorpion", "goblin", "enemy")),
            # What cannot be walked on is as good as a wall.
            "B": Symbol("block", ("solid",)),
            "P": Symbol("element: lava or water", ("solid",)),
            "I": Symbol("element and block", ("solid",)),
            "-": Symbol("void", ("solid",)),
            "O": Symbol("element and floor", ("empty",)),
            # A stair leads out of the room as a door does.
            "S": Symbol("stair", ("door", "exit")),
        },
    ),
)


def table_for(problem: str) -> Table | None:
    """Returns the first table for a problem; the tables of one problem have the same symbols."""
    return next((table for table in TABLES if problem in table.problems), None)
