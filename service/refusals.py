"""How requests are refused: with a status, and one sentence for people."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from envs import UserError
from service.answers import ErrorAnswer

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


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns what OpenAPI says of the answers that refuse."""
    return {status: {"model": ErrorAnswer, "description": _WORDS[status]} for status in statuses}


class Refusal(HTTPException):
    """A request that is not answered, with the HTTP status that says why.

    Args:
        status: the HTTP status.
        message: one sentence for people: what was given, what is allowed.
        field: the part of the request that is to blame; empty for the whole of it.
        headers: of the response.
    """

    def __init__(self, status: int, message: str, field: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, message, headers)
        self.field = field

    def response(self) -> JSONResponse:
        """Returns the answer."""
        error = {"message": self.detail, "field": self.field or None}
        return JSONResponse({"error": error}, self.status_code, self.headers)


class HungUpError(Exception):
    """Nobody waits for the answer any more."""


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
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
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


def install(app: FastAPI) -> None:
    """Has an application refuse in this form whatever it refuses."""
    for kind, handler in (
        (HTTPException, _refuse),
        (RequestValidationError, _refuse_invalid),
        (UserError, _refuse_user),
        (HungUpError, _hung_up),
    ):
        app.add_exception_handler(kind, handler)
