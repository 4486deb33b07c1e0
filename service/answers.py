"""What clients get."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from service.requests import SOKOBAN, Grid, TileId

#: What a model runs on.
Engine = Literal["onnx", "torch", "numpy"]
#: The least and the greatest, together a list of two: what a tuple is in OpenAPI not all of its readers know.
Range = Annotated[list[float], Field(min_length=2, max_length=2)]


class ErrorDetail(BaseModel):
    """What was wrong."""

    message: str = Field(description="one sentence: what was given, what is allowed, what to do")
    field: str | None = Field(description="the part of the request that is to blame")


class ErrorAnswer(BaseModel):
    """A request that was not answered."""

    error: ErrorDetail


class Tile(BaseModel):
    """A kind of tile."""

    id: int
    name: str
    character: str = Field(description="what stands for it in text")
    colour: str = Field(description="#rrggbb")
    sprite: str = Field(description="the name of its drawing; empty for a plain tile")


class Metric(BaseModel):
    """A number that is measured on levels."""

    name: str
    words: str = Field(description="what it counts")
    low: float = Field(description="the least that it can be on a level of the default shape")
    high: float = Field(description="the greatest")
    target: Range = Field(description="what is wanted, within these; equal ends ask for one value")
    whole: bool = Field(description="whether it takes whole numbers only")
    play: bool = Field(description="whether it is found by playing the level")


class Format(BaseModel):
    """A file format of levels."""

    name: str
    words: str
    extension: str
    read: bool
    write: bool
    text: bool = Field(description="whether its files are text; others travel as base64")


class Problem(BaseModel):
    """A game as a design task."""

    name: str
    title: str = Field(description="what a good level is, in one line")
    tiles: list[Tile]
    sprites: list[str] = Field(description="the drawings of tiles.png in their order: the tiles, then what games show")
    tall: list[bool] = Field(description="which drawings stand up and throw a shadow on what is behind them")
    border: str = Field(description="the drawing around a level")
    shape: list[int] = Field(description="height and width; depth before them for levels of three axes")
    least: list[int] = Field(description="the least shape")
    most: int = Field(description="the most tiles that a level may have here")
    metrics: list[Metric]
    playable: bool = Field(description="whether it has rules of play")
    rules: str = Field(description="how it is played")
    actions: list[str] = Field(description="the names of its moves")
    keys: dict[str, list[str]] = Field(description="keyboard keys by the name of the move, or of the button")
    ticks_per_second: int = Field(description="of a game that runs by itself; 0 where the game waits for a move")
    count_rules: list[str] = Field(description="what is true of the numbers of tiles in every level that can be won")
    formats: list[Format]


class ConditionAnswer(BaseModel):
    """A metric that a generator can be asked for."""

    name: str
    low: float
    high: float


class GeneratorAnswer(BaseModel):
    """What samples levels."""

    name: str
    title: str
    family: str
    problem: str
    shape: list[int]
    conditions: list[ConditionAnswer]
    engine: Engine
    parameters: int = Field(description="how many numbers it has learned")
    card: str = Field(description="what it learned from, how, and its limits; Markdown")
    default: bool = Field(description="whether the page takes it first")


class DesignerAnswer(BaseModel):
    """What turns levels into better ones, step by step."""

    name: str
    title: str
    problem: str
    representation: str
    shape: list[int]
    targets: list[str] = Field(description="the metrics that it can be asked for")
    steps: int = Field(description="the most steps of an episode; 0 where that is not known")
    engine: Engine
    card: str


class Entry(BaseModel):
    """A level, and what is known of it."""

    level: Grid = Field(examples=[SOKOBAN])
    metrics: dict[str, float]
    quality: float = Field(ge=0, le=1, description="nearness to all targets of the problem")
    playable: bool | None = Field(description="whether the solver wins it; null where that is not known")
    solution: list[str] | None = Field(description="moves that win, where they are known")
    repaired: bool = Field(default=False, description="whether it was sampled otherwise and made playable")
    edits: int = Field(default=0, description="how many tiles were changed for that")
    seed: int | None = Field(default=None, description="what it was sampled by")


class SampleAnswer(BaseModel):
    """Sampled levels."""

    levels: list[Entry]
    asked: dict[str, Range] = Field(description="the targets, as least and greatest")
    tried: int = Field(description="how many raw samples were looked at")
    remarks: list[str] = Field(description="what was done besides sampling, and what could not be done")
    seconds: float


class SolveAnswer(BaseModel):
    """What the solver found out."""

    playable: bool | None
    status: Literal["solved", "unsolvable", "unknown"]
    solution: list[str] | None
    moves: int | None = Field(description="how many moves that is")
    states: int = Field(description="how many game states were looked at")
    seconds: float


class Actor(BaseModel):
    """Something that stands between cells; the first of a frame is the player."""

    sprite: int = Field(description="the place of its drawing in tiles.png")
    row: float
    column: float
    mirrored: bool


class PlayAnswer(BaseModel):
    """A game."""

    frames: list[list[list[TileId]]] = Field(
        description="grids of places in tiles.png; of levels of three axes the storeys stand one below another"
    )
    actors: list[list[Actor]] = Field(description="for each frame, what is drawn over it")
    won: bool
    lost: bool
    moves: int = Field(description="how many were made before the game was over")


class ConstructAnswer(BaseModel):
    """Constructed levels."""

    levels: list[Entry]
    seconds: float


class ConvertAnswer(BaseModel):
    """A level file in another format, and the levels in it."""

    content: str = Field(description="the file: its text or, of pictures, its bytes in base64")
    base64: bool
    name: str = Field(description="what to call the file")
    media_type: str
    levels: list[Annotated[Grid, Field(description="a level")]]
    metrics: list[dict[str, float]] = Field(description="of each level")
    remarks: list[str] = Field(description="what did not come over one to one")


class PromptAnswer(BaseModel):
    """What a prompt asks for."""

    targets: dict[str, Range] = Field(
        description="by the name of a metric what it asks for; ends that it leaves open are those of the metric"
    )
    understood: list[str] = Field(description="each request, of metrics and of numbers of tiles, in other words")
    remarks: list[str] = Field(description="what the problem does not have, and what was not understood")


class LimitsAnswer(BaseModel):
    """What one request may ask for."""

    count: int = Field(description="levels")
    cells: int = Field(description="tiles in a level")
    seconds: float = Field(description="the time of a solver")


class HealthAnswer(BaseModel):
    """Whether the service is alive."""

    status: Literal["ok"]
    version: str
    models: int = Field(description="how many generators and designers are served")
    loaded: int = Field(description="how many of these are in memory")
    queue: int = Field(description="how many requests are being computed or wait")
    limits: LimitsAnswer


class StepEvent(BaseModel):
    """What a designer has done."""

    step: int
    level: Grid
    changed: list[list[int]] = Field(description="the places of the tiles that changed since the event before")
    cursor: list[int] | None = Field(description="where it works")
    metrics: dict[str, float]
    reward: float = Field(description="since the event before")


class EndEvent(BaseModel):
    """What a designer has made."""

    entry: Entry
    steps: int
    changes: int = Field(description="how many tiles it changed, each change counted")
    why: str = Field(description="why it ended")
