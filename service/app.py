"""The application: the routes, the page, and what every request passes through."""

from __future__ import annotations

import importlib.metadata
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi
from starlette.responses import HTMLResponse, JSONResponse

from envs import UserError
from service import answers, pages
from service.access import Gate, Marks
from service.documentation import POLICY as DOCUMENTATION_POLICY
from service.documentation import page_of
from service.limits import BodyLimit, Limits
from service.metrics import Meter, Metrics
from service.models import Catalogue
from service.refusals import Faults, install
from service.routes import router
from service.shared import Service
from service.warming import Warming
from service.work import Desk


def make_app(
    catalogue: Catalogue | None = None,
    limits: Limits | None = None,
    token: str = "",
    hosts: Sequence[str] = (),
    warm: bool = False,
) -> FastAPI:
    """Makes the application.

    Args:
        catalogue: what is served; None serves what comes with the project.
        limits: what one request may ask for; None takes the defaults.
        token: what clients must know; empty for nothing.
        hosts: names, besides localhost and addresses, that the service may be called by where there is no token.
        warm: whether to use everything once in the background when the service starts.

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
        warming = Warming(service.catalogue, chosen)
        if warm:
            warming.start()
        yield
        warming.stop()
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
    install(app)

    @app.get("/metrics", include_in_schema=False)
    async def metrics_text() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/openapi.json", include_in_schema=False)
    async def schema() -> Response:
        return JSONResponse(_schema(app))

    @app.get("/docs", include_in_schema=False)
    async def documentation() -> Response:
        return HTMLResponse(page_of(_schema(app)), headers={"Content-Security-Policy": DOCUMENTATION_POLICY})

    for address, file in pages.read_page().items():
        app.add_route(address, partial(pages.answer, file), ["GET"])

    # The last that is added sees a request first.
    app.add_middleware(BodyLimit, most=chosen.body)
    app.add_middleware(Gate, token=token, hosts=tuple(hosts))
    app.add_middleware(Faults)
    app.add_middleware(Marks)
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
