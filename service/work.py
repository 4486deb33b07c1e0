"""Computing outside the event loop: so many requests at a time, so many waiting, and none that nobody waits for."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request

from envs import Problem, get_rules
from envs.kernels.stop import UNLIMITED
from envs.rules import Rules, Solution
from service.refusals import HungUpError, Refusal

Result = TypeVar("Result")

#: What a request is told to wait before it tries again, in seconds.
_RETRY_AFTER = 1

#: How many game states are looked at for a shortest solution where any will do: in small levels it is found among them.
_BRIEFLY = 2_000


class Work:
    """What is done for one request; once it is stopped, it ends at the next occasion."""

    def __init__(self) -> None:
        self.stopped = False
        self._search: NDArray[np.uint8] | None = None
        self._waiting: Future[Any] | None = None

    def stop(self) -> None:
        """Ends the work: what has not begun never does, and a search ends as at its budget."""
        self.stopped = True
        search, waiting = self._search, self._waiting
        if search is not None:
            search[0] = 1
        if waiting is not None:
            waiting.cancel()

    def check(self) -> None:
        """Raises HungUpError once the work is stopped."""
        if self.stopped:
            raise HungUpError

    def wait_for(self, future: Future[Any]) -> None:
        """Notes what is to be given up where it has not begun when the work is stopped."""
        self._waiting = future
        if self.stopped:
            future.cancel()

    def solve(
        self, problem: Problem, level: NDArray[np.uint8], seconds: float, states: int | None = None, anyhow: bool = True
    ) -> Solution:
        """Searches for moves that win a level.

        Args:
            problem: whose level it is; it has rules of play.
            level: uint8 (*shape).
            seconds: when to give up.
            states: the most game states to look at; None is no limit.
            anyhow: whether any solution will do, where the solver could look for a shortest one and does not find it
                soon.

        Raises:
            HungUpError: the work was stopped.
        """
        rules = get_rules(problem)
        if rules.problem_with(level) is not None:
            return Solution("unsolvable")
        budget = UNLIMITED if states is None else states
        if not (anyhow and _takes_any(rules)):
            return self._searched(rules, level, seconds, budget)
        found = self._searched(rules, level, seconds, min(budget, _BRIEFLY))
        return found if found.status != "unknown" else self._searched(rules, level, seconds, budget, shortest="any")

    def _searched(
        self, rules: Rules, level: NDArray[np.uint8], seconds: float, states: int, **options: Any
    ) -> Solution:
        # What is compiled at the first search must not count as time spent on a level.
        rules.solve(level, 1, None, **options)
        self.check()
        self._search = np.zeros(1, np.uint8)
        clock = threading.Timer(seconds, self._search.fill, (1,))
        clock.daemon = True
        clock.start()
        try:
            found = rules.solve(level, states, self._search, **options)
        finally:
            clock.cancel()
            self._search = None
        self.check()
        return found


@cache
def _takes_any(rules: Rules) -> bool:
    """Tells whether a solver can look for any solution instead of a shortest one."""
    return "shortest" in inspect.signature(rules.solve).parameters


class Desk:
    """Takes requests that are to be computed, and computes so many at a time in threads.

    The kernels, the models and the solvers let other threads run while they compute.

    Args:
        workers: how many are computed side by side.
        queue: how many more are taken; all others are refused at once.

    Attributes:
        taken: the requests that are being computed or wait.
    """

    def __init__(self, workers: int, queue: int) -> None:
        self._workers = workers
        self._threads = self._new_threads()
        self.places = workers + queue
        self.taken: set[Work] = set()

    @asynccontextmanager
    async def take(self, request: Request) -> AsyncIterator[Work]:
        """Takes a request, whose work is stopped when its client hangs up.

        Raises:
            Refusal: too many have been taken.
        """
        if len(self.taken) >= self.places:
            raise Refusal(
                503,
                f"The service is busy with {len(self.taken)} requests, which is all that it takes; try again in a "
                "moment.",
                headers={"Retry-After": str(_RETRY_AFTER)},
            )
        work = Work()
        self.taken.add(work)
        listening = asyncio.create_task(_listen(request, work))
        try:
            yield work
        finally:
            listening.cancel()
            work.stop()
            self.taken.discard(work)

    async def run(self, work: Work, function: Callable[..., Result], *arguments: Any) -> Result:
        """Calls a function in a thread, unless the work is stopped before its turn comes.

        Raises:
            HungUpError: the work was stopped.
        """
        future = self._threads.submit(function, *arguments)
        work.wait_for(future)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if work.stopped:
                raise HungUpError from None
            future.cancel()
            raise

    def close(self) -> None:
        """Stops all work and waits for the threads; new ones start if there is more to do."""
        for work in list(self.taken):
            work.stop()
        self._threads.shutdown(cancel_futures=True)
        self._threads = self._new_threads()

    def _new_threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._workers, thread_name_prefix="work")


async def _listen(request: Request, work: Work) -> None:
    """Waits until the client hangs up, once its request was read."""
    with suppress(RuntimeError):
        while (await request.receive())["type"] != "http.disconnect":
            pass
        work.stop()
