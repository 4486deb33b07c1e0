"""The routes under /api: each checks what is asked, has it computed, and says what comes back."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Query, Request, Response, UploadFile

from envs import Problem, all_problems
from service import answers, files, levels
from service.designing import DesignStream, Run
from service.listing import designer_answer, generator_answer, problem_answer, prompt_answer
from service.refusals import Refusal, refusals
from service.requests import (
    ConstructBody,
    ConvertBody,
    DesignBody,
    LevelBody,
    PictureBody,
    PlayBody,
    PromptBody,
    RepairBody,
    SampleBody,
    SolveBody,
    TextBody,
    TiledBody,
)
from service.sampling import Sampling, check_count, read_targets
from service.shared import Service


def the_service(request: Request) -> Service:
    """Returns what all routes share."""
    service: Service = request.app.state.service
    return service


def the_problem(problem: str) -> Problem:
    """Returns a problem by its name."""
    return _named(problem, all_problems(), "problem")


Shared = Annotated[Service, Depends(the_service)]
TheProblem = Annotated[Problem, Depends(the_problem)]

router = APIRouter(prefix="/api", responses=refusals(401, 403))
_COMPUTED = refusals(400, 404, 413, 415, 422, 503)


def _named(name: str, known: Mapping[str, Any], what: str, field: str = "") -> Any:
    """Returns what is served under a name."""
    if name not in known:
        some = list(known)[:8]
        raise Refusal(
            404,
            f"There is no {what} of that name; there are {', '.join(some)}{' and others' * (len(known) > len(some))}.",
            field or what,
        )
    return known[name]


# What there is.


@router.get("/health", summary="Whether the service is alive")
async def health(service: Shared) -> answers.HealthAnswer:
    """Answers without the token, too."""
    limits = {name: getattr(service.limits, name) for name in answers.LimitsAnswer.model_fields}
    return answers.HealthAnswer(
        status="ok",
        version=importlib.metadata.version("tilewright"),
        models=service.catalogue.size,
        loaded=service.catalogue.loaded,
        queue=len(service.desk.taken),
        limits=answers.LimitsAnswer(**limits),
    )


@router.get("/problems", summary="List problems")
async def list_problems(service: Shared) -> list[answers.Problem]:
    """Every game as a design task: its tiles, its metrics, how it is played, and its file formats."""
    return [problem_answer(problem, service.limits) for problem in all_problems().values()]


@router.get("/generators", summary="List generators")
async def list_generators(service: Shared) -> list[answers.GeneratorAnswer]:
    """What samples levels; the first of a problem is its default."""
    seen: set[str] = set()
    listed = []
    for record in service.catalogue.generators.values():
        listed.append(generator_answer(record, record.problem.name not in seen))
        seen.add(record.problem.name)
    return listed


@router.get("/designers", summary="List designers")
async def list_designers(service: Shared) -> list[answers.DesignerAnswer]:
    """What makes levels better step by step."""
    return [designer_answer(record, service.limits) for record in service.catalogue.designers.values()]


@router.get(
    "/problems/{problem}/tiles.png",
    summary="Draw the tiles",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}, **refusals(404, 422)},
)
async def draw_tiles(
    problem: TheProblem,
    service: Shared,
    size: Annotated[int, Query(ge=16, le=128, multiple_of=16, description="the side of a tile in pixels")] = 32,
) -> Response:
    """All drawings side by side in one row, on a transparent ground: the tiles, then what games show besides."""
    drawn = await service.sheet(problem, size)
    return Response(drawn, media_type="image/png", headers={"Cache-Control": "max-age=3600"})


# Levels.


@router.post("/prompt", summary="Read a prompt", responses=_COMPUTED)
async def read_words(body: PromptBody, service: Shared, request: Request) -> answers.PromptAnswer:
    """What a prompt asks for, by a grammar; `remarks` says what the problem does not have and was not understood."""
    problem = the_problem(body.problem)
    shape = problem.default_shape
    if body.generator is not None:
        record = _named(body.generator, service.catalogue.generators, "generator")
        if record.problem is not problem:
            raise Refusal(422, f"{record.name} makes levels of {record.problem.name}, not {problem.name}.", "generator")
        shape = record.shape
    return await service.computed(request, lambda work: prompt_answer(body.text, problem, shape))


@router.post("/generators/{name}/sample", summary="Sample levels", responses=_COMPUTED)
async def sample(name: str, body: SampleBody, service: Shared, request: Request) -> answers.SampleAnswer:
    """Samples of a generator, measured and played by the solver.

    Equal requests get equal levels. With `playable` levels are sampled until the solver has won enough of them, or for
    some rounds; the best of the rest are then repaired around the fixed tiles. `remarks` says what was done.
    """
    record = _named(name, service.catalogue.generators, "generator", "name")
    sampling = Sampling(record, body, service.limits)
    async with service.desk.take(request) as work:
        return await sampling.answer(await service.batcher(record, work), service.desk, work)


@router.post("/problems/{problem}/measure", summary="Measure a level", responses=_COMPUTED)
async def measure(problem: TheProblem, body: LevelBody, service: Shared, request: Request) -> answers.Entry:
    """Its metrics, its quality, and whether the solver wins it."""
    level = levels.read_level(problem, body.level, service.limits)
    return await service.computed(request, lambda work: levels.examined(problem, level[None], work)[0])


@router.post("/problems/{problem}/solve", summary="Solve a level", responses=_COMPUTED)
async def solve(problem: TheProblem, body: SolveBody, service: Shared, request: Request) -> answers.SolveAnswer:
    """Searches for moves that win; a shortest solution where the solver finds one in half of the time."""
    level = levels.read_level(problem, body.level, service.limits)
    most = service.limits.seconds
    if body.seconds > most:
        raise Refusal(422, f"The solver takes at most {most:g} seconds; got {body.seconds:g}.", "seconds")
    return await service.computed(request, lambda work: levels.solved(problem, level, body.seconds, work))


@router.post("/problems/{problem}/play", summary="Play a level", responses=_COMPUTED)
async def play(problem: TheProblem, body: PlayBody, service: Shared, request: Request) -> answers.PlayAnswer:
    """Replays all moves so far from the start; nothing is kept between requests."""
    level = levels.read_level(problem, body.level, service.limits)
    return await service.computed(request, lambda work: levels.played(problem, level, body, service.limits, work))


@router.post("/problems/{problem}/repair", summary="Repair a level", responses=_COMPUTED)
async def repair(problem: TheProblem, body: RepairBody, service: Shared, request: Request) -> answers.Entry:
    """Changes as few tiles as can be found so that the solver wins; the level as it is where that does not succeed."""
    level = levels.read_level(problem, body.level, service.limits)
    fixed = levels.read_mask(body.fixed, level.shape, "fixed")
    return await service.computed(
        request, lambda work: levels.mended(problem, level, fixed, body.seed, service.limits, work)
    )


@router.post("/problems/{problem}/construct", summary="Construct levels", responses=_COMPUTED)
async def construct(
    problem: TheProblem, body: ConstructBody, service: Shared, request: Request
) -> answers.ConstructAnswer:
    """Levels by the problem's constructive generator, with nothing learned."""
    check_count(body.count, service.limits)
    return await service.computed(request, lambda work: levels.constructed(problem, body.count, body.seed, work))


# Designers.


@router.post(
    "/designers/{name}/run",
    summary="Watch a designer",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {}}, "description": "The events."}, **_COMPUTED},
)
async def run_designer(name: str, body: DesignBody, service: Shared, request: Request) -> Response:
    """Server-sent events: `step` (see StepEvent) from the start on, then `end` (see EndEvent). Hang up to stop it."""
    record = _named(name, service.catalogue.designers, "designer", "name")
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


# Files.


@router.post("/convert", summary="Convert a level file", responses=_COMPUTED)
async def convert(body: ConvertBody, service: Shared, request: Request) -> answers.ConvertAnswer:
    """Reads levels in one file format and writes them in another. Pictures travel as base64."""
    problem = the_problem(body.problem)
    return await service.computed(
        request,
        lambda work: files.converted(problem, body.content, body.from_, body.to, body.size, service.limits, work),
    )


@router.post("/convert/file", summary="Convert an uploaded file", responses=_COMPUTED)
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
    return await service.computed(
        request, lambda work: files.converted(task, content, from_, to, size, service.limits, work)
    )


def _download(kind: str, words: str) -> dict[str, Any]:
    """Returns what OpenAPI says of a route whose answer is a file."""
    responses: dict[int | str, dict[str, Any]] = {200: {"content": {kind: {}}, "description": words}}
    return {"response_class": Response, "responses": {**responses, **_COMPUTED}}


@router.post("/problems/{problem}/level.png", summary="Draw a level", **_download("image/png", "The picture."))
async def draw_level(problem: TheProblem, body: PictureBody, service: Shared, request: Request) -> Response:
    """A picture of the level in the project's own art."""
    level = levels.read_level(problem, body.level, service.limits)
    drawn = await service.computed(
        request, lambda work: files.picture(problem, level, body.size, body.border, service.limits)
    )
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
    return await service.computed(
        request, lambda work: files.write_file(problem, [level], format, size, service.limits)
    )


def _attached(content: bytes, media_type: str, name: str) -> Response:
    """Returns a file that browsers save by its name."""
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})
