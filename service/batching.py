"""Requests for samples of one generator, answered together: one call of the model costs little more for many levels."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.refusals import HungUpError
from service.sources import Ask, Source
from service.work import Desk, Work

Levels = NDArray[np.uint8]

#: Told of each call of a model: how many requests it answers, and how many levels.
Report = Callable[[int, int], None]


@dataclass
class _Waiting:
    """A request that waits for its samples."""

    ask: Ask
    work: Work
    levels: asyncio.Future[Levels] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Batcher:
    """Collects requests while the model is busy, or for a moment, and samples for all of them at once.

    Every request has a seed of its own, and gets what it would get alone.

    Args:
        source: what samples.
        desk: where that is computed.
        window: seconds to wait for further requests.
        most: levels in one call.
        report: told of each call.
    """

    def __init__(self, source: Source, desk: Desk, window: float, most: int, report: Report) -> None:
        self._source, self._desk, self._window, self._most, self._report = source, desk, window, most, report
        self._waiting: list[_Waiting] = []
        self._busy: asyncio.Task[None] | None = None

    async def sample(self, ask: Ask, work: Work) -> Levels:
        """Returns the samples that a request asks for, uint8 (n, *shape).

        Raises:
            UserError: it asks for what cannot be had.
            HungUpError: the work was stopped.
        """
        waiting = _Waiting(ask, work)
        self._waiting.append(waiting)
        if self._busy is None:
            self._busy = asyncio.create_task(self._serve())
        levels = await waiting.levels
        work.check()
        return levels

    async def _serve(self) -> None:
        """Answers until nobody waits."""
        try:
            await asyncio.sleep(self._window)
            while self._waiting:
                batch = self._next()
                if batch:
                    await self._answer(batch)
        finally:
            self._busy = None
            for one in self._waiting:
                one.levels.cancel()

    def _next(self) -> list[_Waiting]:
        """Takes as many of those who wait, in their order, as one call may serve; at least one who still waits."""
        batch: list[_Waiting] = []
        levels = 0
        while self._waiting and (not batch or levels + self._waiting[0].ask.n <= self._most):
            one = self._waiting.pop(0)
            if one.work.stopped:
                one.levels.set_exception(HungUpError())
                continue
            batch.append(one)
            levels += one.ask.n
        return batch

    async def _answer(self, batch: list[_Waiting]) -> None:
        try:
            found = await self._desk.run(Work(), self._source.sample_all, [one.ask for one in batch])
        except Exception as error:
            if len(batch) > 1:
                # Only the one who asks for the impossible is to blame.
                for one in batch:
                    await self._answer([one])
            else:
                _finish(batch[0].levels, error)
            return
        self._report(len(batch), sum(one.ask.n for one in batch))
        for one, levels in zip(batch, found, strict=True):
            _finish(one.levels, levels)


def _finish(future: asyncio.Future[Any], outcome: Levels | Exception) -> None:
    """Hands over samples, or what went wrong, unless nobody waits any more."""
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
