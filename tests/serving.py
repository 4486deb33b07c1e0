"""A service for tests: with a small trained generator, sources that do as they are told, and over a real socket."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import httpx
import numpy as np
import uvicorn
from starlette.testclient import TestClient

import envs
from generators.corpus import corpus_of_levels
from generators.generator import FitOptions
from generators.suite import get_family, make_generator
from service.app import make_app
from service.models import Catalogue, Condition, GeneratorRecord, Lazy

#: A level that can be won, and one that cannot.
WINNABLE = [[1, 1, 1, 1, 1], [1, 4, 0, 0, 1], [1, 0, 3, 0, 1], [1, 0, 0, 2, 1], [1, 1, 1, 1, 1]]
HOPELESS = [[1, 1, 1, 1, 1], [1, 3, 0, 0, 1], [1, 0, 0, 0, 1], [1, 0, 4, 2, 1], [1, 1, 1, 1, 1]]

#: What the solver needs many seconds for when it looks for a shortest solution.
HARD = envs.get_problem("sokoban").parse(
    [
        "#########",
        "#.......#",
        "#-------#",
        "#-$-$-$-#",
        "#---@---#",
        "#-$-$-$-#",
        "#---$---#",
        "#-------#",
        "#########",
    ]
)


def save_generator(folder, family="vae", steps=4):
    """Saves a generator that was trained for a moment; returns the folder."""
    corpus = corpus_of_levels("sokoban", envs.construct("sokoban", 60, seed=1))
    generator = make_generator(family, corpus, **get_family(family).small)
    generator.fit(corpus, FitOptions(minutes=0, steps=steps, batch=8))
    generator.save_pretrained(folder)
    return folder


def record(name, source, conditions=()):
    """Returns a generator of sokoban levels that is any source."""
    problem = envs.get_problem("sokoban")
    found = tuple(Condition(*one) for one in conditions)
    return GeneratorRecord(
        name, name, "test", problem, problem.default_shape, found, "numpy", 0, "", Lazy(lambda: source)
    )


class Blocked:
    """A source that waits until it is let go; then every level is full of the seed."""

    def __init__(self):
        self.begun, self.go = threading.Semaphore(0), threading.Event()
        self.calls = []

    def sample_all(self, asks):
        self.calls.append([ask.seed for ask in asks])
        self.begun.release()
        assert self.go.wait(20)
        return [np.full((ask.n, 5, 5), ask.seed % 5, np.uint8) for ask in asks]


@contextlib.contextmanager
def client(catalogue=None, limits=None, **options):
    """Yields a client of a service that needs no socket; its queue ends with it."""
    app = make_app(catalogue or Catalogue(), limits, **options)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as opened:
        yield opened


@contextlib.contextmanager
def server(catalogue=None, limits=None, **options):
    """Yields a client of a service that listens on this machine."""
    app = make_app(catalogue or Catalogue(), limits, **options)
    listening = socket.create_server(("127.0.0.1", 0))
    running = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=running.run, args=([listening],))
    thread.start()
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        with httpx.Client(base_url=address, timeout=60, limits=httpx.Limits(max_connections=100)) as opened:
            wait_for(lambda: running.started)
            yield opened
    finally:
        running.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def wait_for(condition, seconds=20.0):
    """Waits until something is the case."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def events(response):
    """Returns the events of a stream, as pairs of a name and its data."""
    import json

    found = []
    for block in response.text.split("\n\n"):
        if block.strip():
            name, data = block.split("\n")
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found
