"""What the service counts and times of itself, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
#: The methods that are counted by their names; clients may make up others.
_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The counters of one service.

    Args:
        taken: tells how many requests are being computed or wait.
    """

    def __init__(self, taken: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "tilewright_requests",
            "Answers by route and status.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self.seconds = Histogram(
            "tilewright_request_seconds",
            "Time to the end of an answer, by route.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.joined = Histogram(
            "tilewright_batch_requests",
            "Requests answered by one call of a model.",
            ("generator",),
            buckets=_SIZES,
            registry=self._registry,
        )
        self.levels = Counter(
            "tilewright_levels", "Levels sampled, by generator.", ("generator",), registry=self._registry
        )
        queue = Gauge("tilewright_queue", "Requests that are being computed or wait.", registry=self._registry)
        queue.set_function(taken)

    def sampled(self, generator: str, requests: int, levels: int) -> None:
        """Counts one call of a model."""
        self.joined.labels(generator).observe(requests)
        self.levels.labels(generator).inc(levels)

    def text(self) -> bytes:
        """Returns all of it in Prometheus' text format."""
        return generate_latest(self._registry)


class Meter:
    """Counts and times answers by their routes, never by what clients make up.

    Args:
        app: what answers.
        metrics: what is counted in.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope.get("route") and scope["method"] in _METHODS else "other"
            self.metrics.requests.labels(method, route, str(status)).inc()
            self.metrics.seconds.labels(route).observe(time.perf_counter() - began)
