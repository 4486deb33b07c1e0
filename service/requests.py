"""What clients send."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat, model_validator

from generators.words.reading import MOST_CHARACTERS

Element = TypeVar("Element")

#: A list of which one bad element is complained of: a complaint about each of a large list takes seconds.
Row = Annotated[list[Element], Field(fail_fast=True)]
#: The number of a tile.
TileId = Annotated[int, Field(strict=True, ge=0, le=255)]
#: A level, row by row; of three axes storey by storey, the lowest first.
Grid = Row[Row[TileId]] | Row[Row[Row[TileId]]]
#: The tiles that must stay, and null where any may be.
FixedGrid = Row[Row[TileId | None]] | Row[Row[Row[TileId | None]]]
#: Which tiles are locked.
Mask = Row[Row[bool]] | Row[Row[Row[bool]]]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**31, description="fixes all draws")]
Name = Annotated[str, Field(max_length=100)]
#: A value, or the least and the greatest.
Target = FiniteFloat | tuple[FiniteFloat, FiniteFloat]
#: How many targets one request may have.
_MOST_TARGETS = 50


def _few(given: Any) -> Any:
    """Refuses too many targets before each is looked at."""
    if isinstance(given, dict) and len(given) > _MOST_TARGETS:
        raise ValueError(f"at most {_MOST_TARGETS} targets")
    return given


Targets = Annotated[
    dict[Name, Target],
    Field(max_length=_MOST_TARGETS, description="by a metric's name the value that is wanted, or [least, greatest]"),
    BeforeValidator(_few),
]
TileSize = Annotated[int, Field(ge=4, le=64, description="the side of a tile in pixels")]

#: A sokoban level for the examples.
SOKOBAN = [[1, 1, 1, 1, 1], [1, 4, 0, 0, 1], [1, 0, 3, 0, 1], [1, 0, 0, 2, 1], [1, 1, 1, 1, 1]]


class Body(BaseModel):
    """The body of a request; what it does not know is refused."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _leave_one_unknown(cls, given: Any) -> Any:
        """Leaves one of the keys that are not known, which is then complained of."""
        if not isinstance(given, dict):
            return given
        known = cls.model_fields.keys() | {field.alias for field in cls.model_fields.values()}
        unknown = [key for key in given if key not in known]
        return {key: value for key, value in given.items() if key in known or key == unknown[0]}


class LevelBody(Body):
    """A level."""

    level: Grid = Field(examples=[SOKOBAN])


class SampleBody(Body):
    """Which levels are wanted of a generator."""

    count: int = Field(default=1, strict=True, ge=1, description="how many levels")
    seed: Seed = 0
    targets: Targets = Field(default={}, examples=[{"crate": 2, "sol-length": [10, 20]}])
    fixed: FixedGrid | None = Field(default=None, description="the tiles that must stay, null where any may be")
    prompt: Annotated[str, Field(max_length=MOST_CHARACTERS)] | None = Field(
        default=None, description="what the levels shall have, in words; `targets` go before it", examples=[None]
    )
    playable: bool = Field(default=False, description="only levels that the solver won: sampled anew, then repaired")
    solve: bool = Field(default=True, description="whether the solver plays levels that need not be playable, too")


class PromptBody(Body):
    """A prompt to be read."""

    problem: Name = Field(examples=["zelda"])
    text: str = Field(
        min_length=1, max_length=MOST_CHARACTERS, examples=["a room with three enemies, no bats and a long path"]
    )
    generator: Name | None = Field(
        default=None,
        description="which generator is to be asked: what many and long are depends on the size of its levels",
        examples=[None],
    )


class SolveBody(LevelBody):
    """A level to be solved."""

    seconds: float = Field(default=2.0, gt=0, allow_inf_nan=False, description="after which the solver gives up")


class PlayBody(LevelBody):
    """A level, and the moves that are made in it."""

    actions: Row[Name] = Field(default=[], examples=[["left", "up"]], description="the names of all moves so far")
    since: int = Field(default=0, strict=True, ge=0, description="the first frame that is wanted; 0 is the level")
    last: bool = Field(default=False, description="whether the last frame will do")


class RepairBody(LevelBody):
    """A level to be made playable."""

    fixed: Mask | None = Field(default=None, description="true where the tile must stay")
    seed: Seed = 0


class ConstructBody(Body):
    """How many levels are wanted of the constructive generator."""

    count: int = Field(default=1, strict=True, ge=1, description="how many levels")
    seed: Seed = 0


class DesignBody(Body):
    """What a designer starts from."""

    level: Grid | None = Field(default=None, description="where it starts; null draws a random level")
    seed: Seed = 0
    targets: Targets = {}
    locked: Mask | None = Field(default=None, description="true where the tile must stay")
    every: int = Field(default=1, strict=True, ge=1, le=1000, description="tell of every so many steps, at most")


class PictureBody(LevelBody):
    """A level to be drawn."""

    size: TileSize = 32
    border: bool = Field(True, description="whether a ring is drawn around it; pictures that are read have none")


class TextBody(LevelBody):
    """A level to be written in some file format."""

    format: Name = Field(default="text", description="one of the formats that the problem lists")


class TiledBody(LevelBody):
    """A level to be written as a Tiled map."""

    size: TileSize = 32


class ConvertBody(Body):
    """A level file."""

    problem: Name = Field(examples=["sokoban"])
    content: str = Field(
        examples=["#####\n#@$.#\n#####\n"], description="the file: its text or, of pictures, its bytes in base64"
    )
    from_: Name = Field(alias="from", examples=["xsb"], description="the format that it is in")
    to: Name = Field(examples=["text"], description="the format that is wanted")
    size: TileSize = 32

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
