"""What one request may ask for, and how many requests are taken."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from envs import UserError
from envs.solving import processors
from service.refusals import Refusal


@dataclass(frozen=True)
class Limits:
    """What one request may ask for, and how many requests are taken.

    Attributes:
        body: bytes in the body of a request.
        cells: tiles in a level that is sent.
        count: levels that may be asked for at once.
        tries: how often as many levels are sampled as were asked for, until enough of them can be won or are near
            enough to their targets.
        seconds: the time that a solver may be asked to take for a level.
        patience: the seconds after which a request for samples is answered with what there is.
        repair_seconds: the time that the search for the repair of a level may take. Before the first repair of a level
            of some shape levels of that shape are constructed, which takes seconds where they are large.
        steps: moves of a game that are replayed, and steps of a designer.
        pixels: in a picture that is sent or drawn.
        workers: requests that are computed side by side; 0 takes one for each processor core.
        queue: requests that may wait besides.
        window: seconds that a request for samples waits for others to be answered together with.
        batch: levels that are sampled by one call of a model.
    """

    body: int = 1 << 20
    cells: int = 4096
    count: int = 64
    tries: int = 4
    seconds: float = 10.0
    patience: float = 30.0
    repair_seconds: float = 2.0
    steps: int = 20_000
    pixels: int = 1 << 23
    workers: int = 0
    queue: int = 64
    window: float = 0.002
    batch: int = 256

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        for name, value in vars(self).items():
            whole = isinstance(getattr(Limits, name), int)
            least = 0 if name in ("workers", "queue", "window") else 1 if whole else 0.01
            if not value >= least:
                raise UserError(f"The limit {name} must be at least {least}; got {value}.")

    @property
    def threads(self) -> int:
        """How many requests are computed side by side."""
        return self.workers or processors()


class BodyLimit:
    """Refuses requests whose body is larger than allowed before all of it is read.

    Args:
        app: what answers all others.
        most: bytes.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if not told.isdigit() or int(told) > self.most:
            await self._refusal().response()(scope, receive, send)
            return
        size = 0

        async def counted() -> Message:
            # Not every request tells its length.
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self.most:
                raise self._refusal()
            return message

        await self.app(scope, counted, send)

    def _refusal(self) -> Refusal:
        return Refusal(413, f"The body of a request may have at most {self.most} bytes; send fewer or smaller levels.")
