"""The application: its routes, and what they share."""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, FastAPI, File, Form, Query, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from envs import Problem, UserError, all_problems, construct
from envs.art import is_tall
from service import answers, files, levels, pages
from service.access import Gate
from service.batching import Batcher
from service.designing import DesignStream, Run
from service.documentation import page_of
from service.limits import BodyLimit, Limits, Refusal
from service.metrics import Meter, Metrics
from service.models import Catalogue, DesignerRecord, GeneratorRecord
from service.requests import (
    ConstructBody,
    ConvertBody,
    DesignBody,
    LevelBody,
    PictureBody,
    PlayBody,
    RepairBody,
    SampleBody,
    SolveBody,
    TextBody,
    TiledBody,
)
from service.sampling import Sampling, check_count, read_targets
from service.work import Desk, HungUpError, Work

logger = logging.getLogger(__name__)

#: The status for a client that has hung up, which never gets it; the books of proxies know it by this number.
_HUNG_UP = 499

_WORDS = {
    400: "The body is no JSON.",
    401: "The token is missing or wrong.",
    403: "The request comes from another site's page, or names another host.",
    404: "There is no such problem, generator or designer.",
    405: "The address does not know this method.",
    413: "The body, a level or a picture is too large.",
    415: "The body is of another media type.",
    422: "The request is well formed, but cannot be done; `field` says where.",
    500: "The service is at fault; its log says why.",
    503: "The service is busy; `Retry-After` says when to try again.",
}


#: What is said of a part of a request that does not have the form that it must have.
_FORMS = {
    "level": "level must be a grid of tile ids: rows of whole numbers from 0 to 255.",
    "fixed": "fixed must be a grid: of tile ids and null to sample, of true and false to repair.",
    "locked": "locked must be a grid of true and false.",
    "targets": "targets must give by the name of each metric a number, or [least, greatest].",
}


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns what OpenAPI says of the answers that refuse."""
    return {status: {"model": answers.ErrorAnswer, "description": _WORDS[status]} for status in statuses}


@dataclass
class Service:
    """What all routes share.

    Attributes:
        catalogue: what is served.
        limits: what one request may ask for.
        desk: where requests are computed.
        metrics: what is counted.
        batchers: what answers requests for samples together, by the generator's name.
        loading: held while a generator is loaded, by its name, so that one thread does it and none waits for it.
    """

    catalogue: Catalogue
    limits: Limits
    desk: Desk
    metrics: Metrics
    batchers: dict[str, Batcher] = field(default_factory=dict)
    loading: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def batcher(self, record: GeneratorRecord, work: Work) -> Batcher:
        """Returns what samples of a generator, which is loaded if need be."""
        async with self.loading[record.name]:
            if record.name not in self.batchers:
                source = await self.desk.run(work, record.source.get)
                report = partial(self.metrics.sampled, record.name)
                self.batchers[record.name] = Batcher(source, self.desk, self.limits.window, self.limits.batch, report)
        return self.batchers[record.name]


# What routes depend on.


def the_service(request: Request) -> Service:
    """Returns what all routes share."""
    service: Service = request.app.state.service
    return service


def the_problem(problem: str) -> Problem:
    """Returns a problem by its name."""
    if problem not in all_problems():
        raise Refusal(404, f"There is no problem of that name; there are {', '.join(all_problems())}.", "problem")
    return all_problems()[problem]


Shared = Annotated[Service, Depends(the_service)]
TheProblem = Annotated[Problem, Depends(the_problem)]

router = APIRouter(prefix="/api", responses=_refusals(401, 403))
_COMPUTED = _refusals(400, 404, 413, 415, 422, 503)


@router.get("/health", summary="Whether the service is alive")
async def health(service: Shared) -> answers.HealthAnswer:
    """Answers without the token, too."""
    catalogue = service.catalogue
    return answers.HealthAnswer(
        status="ok",
        version=importlib.metadata.version("tilewright"),
        models=catalogue.size,
        loaded=catalogue.loaded,
        queue=len(service.desk.taken),
        limits=answers.LimitsAnswer(
            **{name: getattr(service.limits, name) for name in answers.LimitsAnswer.model_fields}
        ),
        prompts=[],
    )


@router.get("/problems", summary="List problems")
async def list_problems(service: Shared) -> list[answers.Problem]:
    """Every game as a design task: its tiles, its metrics, how it is played, and its file formats."""
    return [_problem(problem, service.limits) for problem in all_problems().values()]


@router.get("/generators", summary="List generators")
async def list_generators(service: Shared) -> list[answers.GeneratorAnswer]:
    """What samples levels; the first of a problem is its default."""
    seen: set[str] = set()
    listed = []
    for record in service.catalogue.generators.values():
        listed.append(_generator(record, record.problem.name not in seen))
        seen.add(record.problem.name)
    return listed


@router.get("/designers", summary="List designers")
async def list_designers(service: Shared) -> list[answers.DesignerAnswer]:
    """What makes levels better step by step."""
    return [_designer(record, service.limits) for record in service.catalogue.designers.values()]


@router.get(
    "/problems/{problem}/tiles.png",
    summary="Draw the tiles",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}, **_refusals(404, 422, 503)},
)
async def draw_tiles(
    problem: TheProblem,
    service: Shared,
    request: Request,
    size: Annotated[int, Query(ge=8, le=128, description="the side of a tile in pixels")] = 32,
) -> Response:
    """All drawings side by side in one row, on a transparent ground: the tiles, then what games show besides."""
    async with service.desk.take(request) as work:
        drawn = await service.desk.run(work, files.sheet, problem.name, size)
    return Response(drawn, media_type="image/png", headers={"Cache-Control": "max-age=3600"})


@router.post("/generators/{name}/sample", summary="Sample levels", responses=_COMPUTED)
async def sample(name: str, body: SampleBody, service: Shared, request: Request) -> answers.SampleAnswer:
    """Samples of a generator, measured and played by the solver.

    Equal requests get equal levels. With `playable` levels are sampled until the solver has won enough of them, or for
    some rounds; the best of the rest are then repaired around the fixed tiles. `remarks` says what was done.
    """
    record = service.catalogue.generators.get(name)
    if record is None:
        raise Refusal(404, f"There is no generator of that name; {_some(service.catalogue.generators)}.", "name")
    sampling = Sampling(record, body, service.limits)
    async with service.desk.take(request) as work:
        return await sampling.answer(await service.batcher(record, work), service.desk, work)


@router.post("/problems/{problem}/measure", summary="Measure a level", responses=_COMPUTED)
async def measure(problem: TheProblem, body: LevelBody, service: Shared, request: Request) -> answers.Entry:
    """Its metrics, its quality, and whether the solver wins it."""
    level = levels.read_level(problem, body.level, service.limits)
    async with service.desk.take(request) as work:
        return await service.desk.run(work, _measured, problem, level, work)


def _measured(problem: Problem, level: levels.Level, work: Work) -> answers.Entry:
    entry = levels.measured(problem, level[None])[0]
    if problem.rules is not None:
        levels.judge(problem, entry, work)
    return entry


@router.post("/problems/{problem}/solve", summary="Solve a level", responses=_COMPUTED)
async def solve(problem: TheProblem, body: SolveBody, service: Shared, request: Request) -> answers.SolveAnswer:
    """Searches for moves that win; a shortest solution where the solver finds one in half of the time."""
    level = levels.read_level(problem, body.level, service.limits)
    _check_rules(problem)
    if body.seconds > service.limits.seconds:
        raise Refusal(
            422, f"The solver takes at most {service.limits.seconds:g} seconds; got {body.seconds:g}.", "seconds"
        )
    async with service.desk.take(request) as work:
        return await service.desk.run(work, _solved, problem, level, body.seconds, work)


def _solved(problem: Problem, level: levels.Level, seconds: float, work: Work) -> answers.SolveAnswer:
    began = time.perf_counter()
    found = work.solve(problem, level, seconds / 2, anyhow=False)
    if found.status == "unknown":
        found = work.solve(problem, level, seconds / 2)
    entry = levels.measured(problem, level[None])[0]
    levels.note(problem, entry, found)
    moves = levels.moves(problem, found)
    return answers.SolveAnswer(
        playable=entry.playable,
        status=found.status,
        solution=moves,
        moves=None if moves is None else len(moves),
        states=found.nodes,
        seconds=round(time.perf_counter() - began, 4),
    )


@router.post("/problems/{problem}/play", summary="Play a level", responses=_COMPUTED)
async def play(problem: TheProblem, body: PlayBody, service: Shared, request: Request) -> answers.PlayAnswer:
    """Replays all moves so far from the start; nothing is kept between requests."""
    level = levels.read_level(problem, body.level, service.limits)
    _check_rules(problem)
    async with service.desk.take(request) as work:
        return await service.desk.run(
            work, levels.play, problem, level, body.actions, body.since, body.last, service.limits
        )


@router.post("/problems/{problem}/repair", summary="Repair a level", responses=_COMPUTED)
async def repair(problem: TheProblem, body: RepairBody, service: Shared, request: Request) -> answers.Entry:
    """Changes as few tiles as can be found so that the solver wins; the level as it is where that does not succeed."""
    level = levels.read_level(problem, body.level, service.limits)
    fixed = levels.read_mask(body.fixed, level.shape, "fixed")
    _check_rules(problem)
    async with service.desk.take(request) as work:
        return await service.desk.run(work, levels.mend, problem, level, fixed, body.seed, service.limits, work)


@router.post("/problems/{problem}/construct", summary="Construct levels", responses=_COMPUTED)
async def construct_levels(
    problem: TheProblem, body: ConstructBody, service: Shared, request: Request
) -> answers.ConstructAnswer:
    """Levels by the problem's constructive generator, with nothing learned."""
    check_count(body.count, service.limits)
    async with service.desk.take(request) as work:
        return await service.desk.run(work, _constructed, problem, body, work)


def _constructed(problem: Problem, body: ConstructBody, work: Work) -> answers.ConstructAnswer:
    began = time.perf_counter()
    entries = levels.measured(problem, construct(problem, body.count, body.seed))
    for entry in entries:
        entry.seed = body.seed
        if problem.rules is not None:
            levels.judge(problem, entry, work)
    return answers.ConstructAnswer(levels=entries, seconds=round(time.perf_counter() - began, 4))


@router.post(
    "/designers/{name}/run",
    summary="Watch a designer",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {}}, "description": "The events."}, **_COMPUTED},
)
async def run_designer(name: str, body: DesignBody, service: Shared, request: Request) -> Response:
    """Server-sent events: `step` (see StepEvent) from the start on, then `end` (see EndEvent). Hang up to stop it."""
    record = service.catalogue.designers.get(name)
    if record is None:
        raise Refusal(404, f"There is no designer of that name; {_some(service.catalogue.designers)}.", "name")
    problem, limits = record.problem, service.limits
    level = None if body.level is None else levels.read_level(problem, body.level, limits)
    if level is not None and level.shape != record.shape:
        raise Refusal(422, f"{name} knows levels of shape {list(record.shape)}; got {list(level.shape)}.", "level")
    locked = levels.read_mask(body.locked, record.shape, "locked")
    targets = read_targets(problem, body.targets)
    for metric in targets:
        if metric not in record.targets:
            can = ", ".join(record.targets) or "nothing"
            raise Refusal(422, f"{name} cannot be asked for {metric}; it can for {can}.", f"targets.{metric}")
    run = Run(record, targets, body.seed, level, locked, body.every, limits.steps)
    async with AsyncExitStack() as stack:
        work = await stack.enter_async_context(service.desk.take(request))
        await service.desk.run(work, run.begin)
        return DesignStream(run, service.desk, work, stack.pop_all())


@router.post("/convert", summary="Convert a level file", responses=_refusals(400, 404, 413, 415, 422, 503))
async def convert(body: ConvertBody, service: Shared, request: Request) -> answers.ConvertAnswer:
    """Reads levels in one file format and writes them in another. Pictures travel as base64."""
    problem = the_problem(body.problem)
    async with service.desk.take(request) as work:
        return await service.desk.run(
            work, _converted, problem, body.content, body.from_, body.to, body.size, service.limits
        )


@router.post("/convert/file", summary="Convert an uploaded file", responses=_refusals(400, 404, 413, 415, 422, 503))
async def convert_file(
    service: Shared,
    request: Request,
    file: Annotated[UploadFile, File(description="the file; its name does not matter")],
    problem: Annotated[str, Form()],
    from_: Annotated[str, Form(alias="from")],
    to: Annotated[str, Form()],
    size: Annotated[int, Form(ge=4, le=64)] = 32,
) -> answers.ConvertAnswer:
    """As above, for forms with a file in them."""
    content = await file.read()
    task = the_problem(problem)
    async with service.desk.take(request) as work:
        return await service.desk.run(work, _converted, task, content, from_, to, size, service.limits)


def _converted(
    problem: Problem, content: str | bytes, from_: str, to: str, size: int, limits: Limits
) -> answers.ConvertAnswer:
    read = files.read_file(problem, from_, content, limits)
    file = files.write_file(problem, read.levels, to, size, limits, read.titles)[0]
    text, base64 = files.text_of(file)
    return answers.ConvertAnswer(
        content=text,
        base64=base64,
        name=file.name,
        media_type=file.media_type,
        levels=[levels.grid(level) for level in read.levels],
        metrics=[levels.named(problem, problem.measure(level[None])[0]) for level in read.levels],
        remarks=[f"{change}: {number} tiles" for change, number in sorted(read.changes.items())],
    )


def _download(kind: str, words: str) -> dict[str, Any]:
    """Returns what OpenAPI says of a route whose answer is a file."""
    responses: dict[int | str, dict[str, Any]] = {200: {"content": {kind: {}}, "description": words}}
    return {"response_class": Response, "responses": {**responses, **_COMPUTED}}


@router.post("/problems/{problem}/level.png", summary="Draw a level", **_download("image/png", "The picture."))
async def draw_level(problem: TheProblem, body: PictureBody, service: Shared, request: Request) -> Response:
    """A picture of the level in the project's own art."""
    level = levels.read_level(problem, body.level, service.limits)
    async with service.desk.take(request) as work:
        drawn = await service.desk.run(work, files.picture, problem, level, body.size, body.border, service.limits)
    return _attached(drawn, "image/png", f"{problem.name}.png")


@router.post(
    "/problems/{problem}/level.tmj", summary="Download a Tiled map", **_download("application/json", "The map.")
)
async def download_map(problem: TheProblem, body: TiledBody, service: Shared, request: Request) -> Response:
    """The level as a map of the Tiled editor; it looks for the picture of its tiles beside it, see level.zip."""
    written = await _written(problem, body, "tiled", body.size, service, request)
    return _attached(written[0].content, written[0].media_type, f"{problem.name}.tmj")


@router.post(
    "/problems/{problem}/level.zip",
    summary="Download a Tiled map with its tiles",
    **_download("application/zip", "The map and the picture of its tiles."),
)
async def download_map_and_tiles(problem: TheProblem, body: TiledBody, service: Shared, request: Request) -> Response:
    """The level as a map of the Tiled editor with the picture of its tiles, in one archive."""
    written = await _written(problem, body, "tiled", body.size, service, request)
    return _attached(files.packed(written), "application/zip", f"{problem.name}.zip")


@router.post(
    "/problems/{problem}/level.txt",
    summary="Download a level as a file",
    **_download("text/plain", "The file, in the format that was asked for."),
)
async def download_text(problem: TheProblem, body: TextBody, service: Shared, request: Request) -> Response:
    """The level in any text format that the problem lists."""
    if body.format in ("png", "tiled"):
        raise Refusal(422, f"{body.format} is no text; ask for level.png, level.tmj or level.zip.", "format")
    written = await _written(problem, body, body.format, 32, service, request)
    return _attached(written[0].content, written[0].media_type, f"{problem.name}{Path(written[0].name).suffix}")


async def _written(
    problem: Problem, body: LevelBody, format: str, size: int, service: Service, request: Request
) -> list[files.LevelFile]:
    level = levels.read_level(problem, body.level, service.limits)
    async with service.desk.take(request) as work:
        return await service.desk.run(work, files.write_file, problem, [level], format, size, service.limits, [""])


def _attached(content: bytes, media_type: str, name: str) -> Response:
    """Returns a file that browsers save by its name."""
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _check_rules(problem: Problem) -> None:
    if problem.rules is None:
        raise Refusal(422, f"{problem.name} has no rules of play.", "problem")


def _some(names: Sequence[str] | Any) -> str:
    """Returns the first of some names, in words."""
    shown = list(names)[:8]
    return f"there are {', '.join(shown)}{' and others' if len(names) > len(shown) else ''}"


# What lists tell.


def _problem(problem: Problem, limits: Limits) -> answers.Problem:
    rules = problem.rules
    border = problem.tiles[problem.tile_ids[problem.border]].sprite if problem.border in problem.tile_ids else "outside"
    shown = [*(rules.sprites[len(problem.tiles) :] if rules else ()), *files.GROUNDS]
    return answers.Problem(
        name=problem.name,
        title=problem.description,
        tiles=[
            answers.Tile(
                id=i,
                name=tile.name,
                character=tile.character,
                colour="#{:02x}{:02x}{:02x}".format(*tile.colour),
                sprite=tile.sprite,
            )
            for i, tile in enumerate(problem.tiles)
        ],
        sprites=[*(tile.sprite or tile.name for tile in problem.tiles), *shown],
        tall=[is_tall(name) for name in (*(tile.sprite for tile in problem.tiles), *shown)],
        border=border,
        shape=list(problem.default_shape),
        least=list(problem.smallest_shape),
        most=limits.cells,
        metrics=[_metric(metric, problem) for metric in problem.metrics],
        playable=rules is not None,
        rules=rules.description if rules else "",
        actions=list(rules.actions) if rules else [],
        keys={name: list(keys) for name, keys in rules.keys.items()} if rules else {},
        ticks_per_second=rules.ticks_per_second if rules else 0,
        count_rules=[_in_words(rule) for rule in problem.count_rules],
        formats=files.formats(problem),
    )


def _metric(metric: Any, problem: Problem) -> answers.Metric:
    low, high = (float(end) for end in metric.bounds(problem.default_shape))
    least, most = (float(np.clip(end, low, high)) for end in metric.target)
    return answers.Metric(
        name=metric.name,
        words=metric.description,
        low=low,
        high=high,
        target=(least, most),
        whole=low.is_integer() and high.is_integer(),
        play=metric.play,
    )


def _in_words(rule: Any) -> str:
    """Returns a rule on numbers of tiles as people say it: "1 player", "as many crates as targets"."""
    terms = [f"{'' if factor == 1 else f'{factor} x '}{name}" for name, factor in rule.coefficients.items()]
    if rule.low == rule.high == 0 and sorted(rule.coefficients.values()) == [-1, 1]:
        first, second = rule.coefficients
        return f"as many {first} as {second} tiles"
    total = " + ".join(terms)
    if rule.low == rule.high:
        return f"{rule.low:g} {total}"
    if np.isinf(rule.high):
        return f"at least {rule.low:g} {total}"
    if np.isinf(rule.low):
        return f"at most {rule.high:g} {total}"
    return f"{rule.low:g} to {rule.high:g} {total}"


def _generator(record: GeneratorRecord, default: bool) -> answers.GeneratorAnswer:
    return answers.GeneratorAnswer(
        name=record.name,
        title=record.title,
        family=record.family,
        problem=record.problem.name,
        shape=list(record.shape),
        conditions=[answers.ConditionAnswer(name=one.name, low=one.low, high=one.high) for one in record.conditions],
        engine=record.engine,
        parameters=record.parameters,
        card=record.card,
        default=default,
    )


def _designer(record: DesignerRecord, limits: Limits) -> answers.DesignerAnswer:
    return answers.DesignerAnswer(
        name=record.name,
        title=record.title,
        problem=record.problem.name,
        representation=record.representation,
        shape=list(record.shape),
        targets=list(record.targets),
        steps=min(record.steps, limits.steps),
        engine=record.engine,
        card=record.card,
    )


# What goes wrong.


async def _refuse(request: Request, error: Exception) -> Response:
    """Answers with a refusal; what the framework itself refuses gets the same form."""
    if isinstance(error, Refusal):
        return error.response()
    assert isinstance(error, HTTPException)
    if error.status_code == 400 and "body" in str(error.detail):
        return Refusal(400, "The body cannot be read; send it as the documentation says.").response()
    words = {404: "There is nothing at this address; see /docs.", 405: "This address does not know that method."}
    message = words.get(error.status_code, str(error.detail))
    return Refusal(error.status_code, message, headers=error.headers).response()


async def _refuse_invalid(request: Request, error: Exception) -> Response:
    """Answers a request that does not have the form that it must have."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = [str(part) for part in first["loc"] if part not in ("body", "query", "path")]
    where = place[0] if place else ""
    if first["type"] == "json_invalid":
        return Refusal(400, "The body is no JSON.").response()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    form = request.url.path.endswith("/convert/file")
    wanted = "multipart/form-data" if form else "application/json"
    if request.method == "POST" and kind != wanted:
        return Refusal(415, f"The body must be {wanted}; got {kind or 'no media type'}.").response()
    # Of what is wrong in many places, and in several ways, the first will do.
    message = _FORMS.get(where) or f"{where or 'The body'}: {first['msg']}."
    return Refusal(422, message, where).response()


async def _refuse_user(request: Request, error: Exception) -> Response:
    return Refusal(422, str(error)).response()


async def _hung_up(request: Request, error: Exception) -> Response:
    the_service(request).metrics.hung_up.inc()
    return Response(status_code=_HUNG_UP)


class Faults:
    """Logs what goes wrong with its traceback, of which clients are told in one sentence.

    Args:
        app: what answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except Exception:
            logger.exception("%s %s failed", scope.get("method"), scope["path"])
            if not begun:
                refusal = Refusal(500, "Something went wrong here; the log of the service says what.")
                await refusal.response()(scope, receive, send)


def make_app(
    catalogue: Catalogue | None = None,
    limits: Limits | None = None,
    token: str = "",
    hosts: Sequence[str] = (),
) -> FastAPI:
    """Makes the application.

    Args:
        catalogue: what is served; None serves what comes with the project.
        limits: what one request may ask for; None takes the defaults.
        token: what clients must know; empty for nothing.
        hosts: names, besides localhost and addresses, that the service may be called by where there is no token.

    Raises:
        UserError: a limit or the token cannot be used.
    """
    chosen = limits or Limits()
    chosen.check()
    if not (token.isascii() and (token.isprintable() or not token) and " " not in token):
        raise UserError("The token must be of printable ASCII characters without blanks.")
    desk = Desk(chosen.threads, chosen.queue)
    metrics = Metrics(lambda: len(desk.taken))
    service = Service(catalogue or Catalogue.of(), chosen, desk, metrics)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        yield
        desk.close()

    app = FastAPI(
        title="Tilewright",
        version=importlib.metadata.version("tilewright"),
        description="Machines that learn to design game levels, and prove that the levels can be played.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=life,
    )
    app.state.service = service
    app.include_router(router)
    for kind, handler in (
        (HTTPException, _refuse),
        (RequestValidationError, _refuse_invalid),
        (UserError, _refuse_user),
        (HungUpError, _hung_up),
    ):
        app.add_exception_handler(kind, handler)

    @app.get("/metrics", include_in_schema=False)
    async def metrics_text() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/openapi.json", include_in_schema=False)
    async def schema() -> Response:
        return JSONResponse(_schema(app))

    @app.get("/docs", include_in_schema=False)
    async def documentation() -> Response:
        return HTMLResponse(page_of(_schema(app)))

    for address, file in pages.read_page().items():
        app.add_route(address, partial(pages.answer, file), ["GET"])

    # The last that is added sees a request first.
    app.add_middleware(Faults)
    app.add_middleware(BodyLimit, most=chosen.body)
    app.add_middleware(Gate, token=token, hosts=tuple(hosts))
    app.add_middleware(Meter, metrics=metrics)
    return app


def _schema(app: FastAPI) -> dict[str, Any]:
    """Returns the OpenAPI of the application, with the events of designers among its schemas."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        for model in (answers.StepEvent, answers.EndEvent):
            described = model.model_json_schema(ref_template="#/components/schemas/{model}")
            described.pop("$defs", None)
            schema["components"]["schemas"][model.__name__] = described
        app.openapi_schema = schema
    return app.openapi_schema
