"""How many requests a second the studio's service answers, how soon, and whether every client gets its own answer.

    python -m benchmarks.service --generator zelda-markov

The service runs in a process of its own. What each client asks for was asked before by one client alone; an answer
that differs is counted as wrong, a request without an answer as lost. At the end more clients than it takes send
requests to a service with a short queue, which must refuse the rest at once, and not grow.
"""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from envs import UserError
from experiments.run import main

#: How many different requests there are; clients take them in turn.
_KINDS = 40


@dataclass
class Options:
    """Load the studio's service.

    Attributes:
        generator: what is sampled from.
        models: folders of models to serve.
        engine: what runs them.
        clients: how many clients there are at once; each sends its next request when it has the answer.
        seconds: how long each measurement takes.
        count: how many levels a request asks for.
        queue: how many requests may wait in the service that is overloaded.
        crowd: how many clients overload it.
    """

    generator: str = "zelda-markov"
    models: tuple[Path, ...] = ()
    engine: str = "onnx"
    clients: tuple[int, ...] = (1, 8, 64)
    seconds: float = 10.0
    count: int = 4
    queue: int = 8
    crowd: int = 64


@dataclass
class Tally:
    """What came of the requests of all clients."""

    seconds: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    wrong: int = 0


@dataclass(frozen=True)
class Kind:
    """Something that clients ask for.

    Attributes:
        name: what the table calls it.
        path: where it is asked for.
        bodies: what is sent; empty to get.
    """

    name: str
    path: str
    bodies: tuple[dict[str, Any], ...] = ()


@contextmanager
def serving(options: Options, *arguments: str) -> Iterator[tuple[int, int]]:
    """Starts the studio; yields its port and its process's number."""
    command = [sys.executable, "-m", "experiments.studio", "--no-open", "--port", "0", "--engine", options.engine]
    if options.models:
        command += ["--models", *map(str, options.models)]
    process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r":(\d+)/", process.stdout.readline())
        if found is None:
            raise UserError("The studio did not start; see what it says above.")
        yield int(found[1]), process.pid
    finally:
        process.terminate()
        process.wait(20)


def send(connection: http.client.HTTPConnection, kind: Kind, number: int) -> tuple[int, Any]:
    """Sends a request; returns the status and the answer without the time that it took."""
    if kind.bodies:
        body = json.dumps(kind.bodies[number % len(kind.bodies)])
        connection.request("POST", kind.path, body, {"Content-Type": "application/json"})
    else:
        connection.request("GET", kind.path)
    response = connection.getresponse()
    answer = json.loads(response.read())
    if isinstance(answer, dict):
        answer.pop("seconds", None)
    return response.status, answer


def load(port: int, kind: Kind, clients: int, seconds: float, expected: list[Any] | None) -> tuple[Tally, float]:
    """Has clients send requests for some time; returns what came of them, and the time."""
    tally, lock = Tally(), threading.Lock()
    end = time.perf_counter() + seconds

    def ask(client: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        number = client
        while time.perf_counter() < end:
            began = time.perf_counter()
            try:
                status, answer = send(connection, kind, number)
            except (OSError, http.client.HTTPException, ValueError) as error:
                with lock:
                    tally.statuses[type(error).__name__] += 1
                connection.close()
                continue
            took = time.perf_counter() - began
            with lock:
                tally.statuses[str(status)] += 1
                (tally.seconds if status == 200 else tally.refused).append(took)
                tally.wrong += expected is not None and status == 200 and answer != expected[number % len(expected)]
            number += 1
            if status == 503:
                # The service asks for a second; clients that do not wait are the harder test.
                time.sleep(0.01)
        connection.close()

    threads = [threading.Thread(target=ask, args=(client,)) for client in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return tally, time.perf_counter() - began


def row(kind: Kind, clients: int, tally: Tally, seconds: float) -> str:
    """Returns a line of the table."""
    lost = sum(count for status, count in tally.statuses.items() if not status.isdigit())
    others = {status: count for status, count in tally.statuses.items() if status not in ("200", "503")}
    times = np.percentile(tally.seconds, [50, 95, 99]) * 1000 if tally.seconds else [np.nan] * 3
    cells = [
        kind.name,
        clients,
        f"{len(tally.seconds) / seconds:,.1f}",
        *(f"{one:,.0f}" for one in times),
        lost,
        tally.wrong,
        ", ".join(f"{count} x {status}" for status, count in others.items()) or "-",
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def memory(pid: int) -> float:
    """Returns a process's memory in MB."""
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", text)
    return int(found[1]) / 1024 if found else float("nan")


def kinds(port: int, options: Options) -> list[Kind]:
    """Returns what clients ask for."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    _, listed = send(connection, Kind("", "/api/generators"), 0)
    known = {one["name"]: one for one in listed}
    if options.generator not in known:
        raise UserError(f"There is no generator {options.generator!r}; there are {', '.join(known)}.")
    generator = known[options.generator]
    path = f"/api/generators/{options.generator}/sample"
    raw = [{"count": options.count, "seed": seed, "solve": False} for seed in range(_KINDS)]
    _, sampled = send(connection, Kind("", path, ({"count": _KINDS, "solve": False},)), 0)
    levels = [entry["level"] for entry in sampled["levels"]]
    # What a page asks for where a lasso was drawn: everything else stays.
    lasso = [
        {"count": 1, "seed": seed, "solve": False, "fixed": lassoed(level, generator["shape"])}
        for seed, level in enumerate(levels)
    ]
    measured = tuple({"level": level} for level in levels)
    return [
        Kind("list generators", "/api/generators"),
        Kind(f"sample {options.count}", path, tuple(raw)),
        Kind("sample in a lasso", path, tuple(lasso)),
        Kind(f"sample {options.count}, playable", path, tuple({**body, "playable": True} for body in raw)),
        Kind("measure and solve", f"/api/problems/{generator['problem']}/measure", measured),
    ]


def lassoed(level: Any, shape: list[int]) -> Any:
    """Returns a level's tiles as fixed ones, but for the middle, which is free."""
    free = np.array(level, dtype=object)
    free[tuple(slice(size // 4, size - size // 4) for size in shape)] = None
    return free.tolist()


def measure(options: Options) -> None:
    """Prints the tables."""
    with serving(options) as (port, pid):
        print("| request | clients | answers/s | p50 ms | p95 ms | p99 ms | lost | wrong | others |")
        print("| --- |" + " --: |" * 8)
        for kind in kinds(port, options):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            expected = [send(connection, kind, number)[1] for number in range(max(1, len(kind.bodies)))]
            for clients in options.clients:
                tally, seconds = load(port, kind, clients, options.seconds, expected)
                print(row(kind, clients, tally, seconds), flush=True)
        print(f"\nMemory of the service at the end: {memory(pid):,.0f} MB.")
    overload(options)


def overload(options: Options) -> None:
    """Sends more than a service with a short queue takes."""
    with serving(options, "--limits.queue", str(options.queue)) as (port, pid):
        kind = kinds(port, options)[1]
        load(port, kind, 1, 1.0, None)
        before = memory(pid)
        tally, seconds = load(port, kind, options.crowd, options.seconds, None)
        after = memory(pid)
    refused = np.percentile(tally.refused, [50, 95, 99]) * 1000 if tally.refused else [np.nan] * 3
    answered = np.percentile(tally.seconds, [50, 95, 99]) * 1000 if tally.seconds else [np.nan] * 3
    print(f"\nOverload: {options.crowd} clients, a queue of {options.queue}.")
    print(f"answered  {len(tally.seconds) / seconds:,.1f}/s in {_times(answered)} ms (p50, p95, p99)")
    print(f"refused   {len(tally.refused) / seconds:,.1f}/s in {_times(refused)} ms, with {dict(tally.statuses)}")
    print(f"memory    {before:,.0f} MB before, {after:,.0f} MB after")


def _times(times: Any) -> str:
    return ", ".join(f"{one:,.0f}" for one in times)


if __name__ == "__main__":
    main(Options, measure)
