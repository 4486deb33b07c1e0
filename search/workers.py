"""Who trains candidates: processes on this machine, or on a Ray cluster. Each has one candidate in hand at a time."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from numpy.typing import NDArray

from envs import UserError

if TYPE_CHECKING:
    from search.space import Settings
    from search.subjects import Candidate, Subject

#: How often a worker looks whether who began it is still there, in seconds.
_WATCH = 1.0

#: The most processes for each processor of this machine.
_PROCESSES = 4


@dataclass(frozen=True)
class Look:
    """An order: make a candidate, and say what is known of it before training.

    Attributes:
        number: the trial.
        settings: its architecture.
        seed: of its weights.
        proxies: whether zero-cost proxies are measured too.
    """

    number: int
    settings: Settings
    seed: int
    proxies: bool = False


@dataclass(frozen=True)
class Train:
    """An order: train a candidate further, and measure it.

    Attributes:
        number: the trial.
        settings: its architecture.
        seed: of its weights and its training.
        first: whether it begins here.
        minutes: how long to train; 0 for no limit.
        steps: how many steps; 0 for no limit.
        levels_share: the share of the corpus to train on.
        samples: how many levels it is measured on.
        samples_seed: of those levels.
        parent: weights to begin with, where they fit.
        keep_weights: whether the weights are sent back, to be inherited by others.
        save: whether the candidate is sent back as a folder to be loaded from.
        costs: whether to tell its costs too.
    """

    number: int
    settings: Settings
    seed: int
    first: bool
    minutes: float
    steps: int
    levels_share: float
    samples: int
    samples_seed: int
    parent: Mapping[str, NDArray] | None = None
    keep_weights: bool = False
    save: bool = False
    costs: bool = False


@dataclass
class Answer:
    """What came of an order.

    Attributes:
        costs: what is known before training.
        proxies: zero-cost proxies.
        figures: what was measured after training.
        seconds: how long it took, by the clock on the wall.
        inherited: the share of its numbers that a candidate took over from its parent.
        weights: its weights by name, where they were asked for.
        files: the folder that it was saved in, as bytes by relative path, where that was asked for.
        error: why it could not be done; "" where it was.
        fault: whose: the candidate's, which no training could mend; the program's; the system's, which the next order
            would meet too; or the worker's, which had lost the candidate.
        worker: the host and the process.
    """

    costs: dict[str, float] = field(default_factory=dict)
    proxies: dict[str, float] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    inherited: float = 0.0
    weights: dict[str, NDArray] | None = None
    files: dict[str, bytes] | None = None
    error: str = ""
    fault: Literal["", "candidate", "program", "system", "worker"] = ""
    worker: str = ""


class _ForgottenError(Exception):
    """A candidate is to be trained further that is not in hand."""


class Bench:
    """What a worker does: it follows orders about one candidate at a time, and answers, whatever goes wrong.

    Args:
        subject: what is searched for.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._made: tuple[tuple[int, int, Settings], Candidate] | None = None

    def __call__(self, order: Look | Train) -> Answer:
        """Follows an order."""
        began = time.perf_counter()
        answer = Answer(worker=f"{socket.gethostname()}:{os.getpid()}")
        try:
            candidate = self._candidate(order)
            if isinstance(order, Look):
                answer.costs = candidate.costs()
                answer.proxies = candidate.proxies() if order.proxies else {}
            else:
                self._train(candidate, order, answer)
        except Exception as error:
            self._made = None
            answer.error = " ".join(str(error).split()) or type(error).__name__
            if isinstance(error, OSError) or isinstance(error.__cause__, OSError):
                answer.fault = "system"
            elif isinstance(error, _ForgottenError):
                answer.fault = "worker"
            elif isinstance(error, (UserError, MemoryError, FloatingPointError)):
                answer.fault = "candidate"
            else:
                answer.fault, answer.error = "program", f"{type(error).__name__}: {answer.error}"
        answer.seconds = time.perf_counter() - began
        return answer

    def _candidate(self, order: Look | Train) -> Candidate:
        """Returns the candidate in hand, or makes the one that the order is about."""
        wanted = (order.number, order.seed, order.settings)
        if self._made is None or self._made[0] != wanted:
            if isinstance(order, Train) and not order.first:
                raise _ForgottenError(f"the worker that had trial {order.number} in hand is gone")
            # Let go of the last one first: two may need more memory than there is.
            self._made = None
            self._made = (wanted, self.subject.candidate(order.settings, order.seed))
        return self._made[1]

    def _train(self, candidate: Candidate, order: Train, answer: Answer) -> None:
        if order.parent is not None:
            answer.inherited = candidate.inherit(order.parent)
        candidate.train(order.minutes, order.steps, order.levels_share, None)
        answer.figures = candidate.measure(order.samples, order.samples_seed)
        if order.costs:
            answer.costs = candidate.costs()
        if order.keep_weights:
            answer.weights = candidate.weights()
        if order.save:
            # Sent back rather than written, so that workers need no disk in common with who began them.
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder)
                candidate.save(place)
                files = (path for path in place.rglob("*") if path.is_file())
                answer.files = {path.relative_to(place).as_posix(): path.read_bytes() for path in files}


class Workers(Protocol):
    """So many workers, each of which follows one order at a time."""

    def idle(self) -> list[int]:
        """Returns the workers that can be given an order."""

    def give(self, worker: int, order: Look | Train) -> None:
        """Gives an idle worker an order, and begins it where it was lost."""

    def answers(self, seconds: float) -> list[tuple[int, Answer | None, str]]:
        """Waits for so many seconds at most; returns worker, answer and "", or worker, None and how it was lost."""

    def close(self) -> None:
        """Ends the workers, whatever they are at."""


class ProcessWorkers:
    """Processes on this machine; see `Workers`.

    They are begun anew (spawned), so that nothing of this process is theirs, with one thread each, and end when who
    began them does.

    Args:
        bench: what each of them does.
        number: how many.

    Raises:
        UserError: there are too many, or fewer than one.
    """

    def __init__(self, bench: Bench, number: int) -> None:
        most = _PROCESSES * (os.cpu_count() or 1)
        if not 1 <= number <= most:
            raise UserError(
                f"--workers must be a number from 1 to {most} on this machine of {os.cpu_count()} processors; "
                f"got {number}."
            )
        self._bench = bench
        self._context = multiprocessing.get_context("spawn")
        self._lines: list[Connection | None] = [None] * number
        self._processes: list[Any] = [None] * number
        self._busy: set[int] = set()

    def idle(self) -> list[int]:
        """See `Workers`."""
        return [worker for worker in range(len(self._lines)) if worker not in self._busy]

    def give(self, worker: int, order: Look | Train) -> None:
        """See `Workers`."""
        line = self._lines[worker]
        if line is None:
            line = self._begin(worker)
        self._busy.add(worker)
        # A worker that died while it had nothing to do has closed the line, as `answers` will find.
        with contextlib.suppress(OSError):
            line.send(order)

    def _begin(self, worker: int) -> Connection:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(self._bench, theirs, os.getpid()), daemon=True)
        # A spawned process has the environment of its beginning; libraries read it when they are loaded.
        before = {name: os.environ.get(name) for name in _ONE_THREAD}
        os.environ.update(_ONE_THREAD)
        try:
            process.start()
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
        theirs.close()
        self._lines[worker], self._processes[worker] = ours, process
        return ours

    def answers(self, seconds: float) -> list[tuple[int, Answer | None, str]]:
        """See `Workers`."""
        lines = {line: worker for worker, line in enumerate(self._lines) if line is not None and worker in self._busy}
        found: list[tuple[int, Answer | None, str]] = []
        for line in wait(list(lines), seconds):
            assert isinstance(line, Connection)
            worker = lines[line]
            self._busy.discard(worker)
            try:
                found.append((worker, line.recv(), ""))
            except (EOFError, OSError):
                found.append((worker, None, self._bury(worker)))
        return found

    def _bury(self, worker: int) -> str:
        """Clears away a process that is gone; returns what it ended by."""
        process, line = self._processes[worker], self._lines[worker]
        process.join()
        if line is not None:
            line.close()
        self._lines[worker] = self._processes[worker] = None
        code = process.exitcode
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            return f"its process was ended by {name}{', perhaps for want of memory' if name == 'SIGKILL' else ''}"
        return f"its process ended with exit code {code}"

    def close(self) -> None:
        """See `Workers`."""
        for worker, process in enumerate(self._processes):
            if process is not None:
                process.kill()
                self._bury(worker)
        self._busy.clear()


_ONE_THREAD = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def _serve(bench: Bench, line: Connection, parent: int) -> None:
    """Follows orders until the line is closed."""
    # Ctrl-C is for who began this.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    while True:
        try:
            order = line.recv()
        except (EOFError, OSError):
            return
        line.send(bench(order))


def _watch(parent: int) -> None:
    """Ends this process once its parent is gone: nobody would hear its answers."""
    while os.getppid() == parent:
        time.sleep(_WATCH)
    os._exit(1)


def begin_workers(
    subject: Subject, number: int, address: str = "", gpus: float = 0.0, send_sources: bool = True
) -> Workers:
    """Begins workers.

    Args:
        subject: what is searched for.
        number: how many.
        address: of a Ray cluster to work on, see `agents.engines.Cluster`; "" means processes on this machine.
        gpus: on a cluster, how many GPUs each worker is given, or a share of one.
        send_sources: whether the project's packages are sent to the cluster's nodes.

    Raises:
        UserError: there cannot be so many, or the cluster cannot be joined.
    """
    bench = Bench(subject)
    if not address:
        if gpus:
            raise UserError("--gpus-per-worker is for workers on a cluster: give --ray-address too, such as local.")
        return ProcessWorkers(bench, number)
    if number < 1:
        raise UserError(f"--workers must be at least 1; got {number}.")
    from agents.engines import Cluster, make_workers  # noqa: PLC0415 (slow to import, which processes can do without)

    return make_workers(bench, number, Cluster(address, num_env_runners=number, send_sources=send_sources), gpus)
