"""What all routes share: what is served, where it is computed, and what is kept between requests."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from starlette.requests import Request

from envs import Problem
from service import files
from service.batching import Batcher
from service.limits import Limits
from service.metrics import Metrics
from service.models import Catalogue, GeneratorRecord
from service.work import Desk, Work

Result = TypeVar("Result")


@dataclass
class Service:
    """What all routes share.

    Attributes:
        catalogue: what is served.
        limits: what one request may ask for.
        desk: where requests are computed.
        metrics: what is counted.
        batchers: what answers requests for samples together, by the generator's name.
        sheets: the drawings of each problem and size that were asked for; these are few, and never dropped.
        loading: held while a generator is loaded, by its name, so that one thread does it and none waits for it.
    """

    catalogue: Catalogue
    limits: Limits
    desk: Desk
    metrics: Metrics
    batchers: dict[str, Batcher] = field(default_factory=dict)
    sheets: dict[tuple[str, int], bytes] = field(default_factory=dict)
    loading: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def batcher(self, record: GeneratorRecord, work: Work) -> Batcher:
        """Returns what samples of a generator, which is loaded if need be."""
        async with self.loading[record.name]:
            if record.name not in self.batchers:
                source = await self.desk.run(work, record.source.get)
                report = partial(self.metrics.sampled, record.name)
                self.batchers[record.name] = Batcher(source, self.desk, self.limits.window, self.limits.batch, report)
        return self.batchers[record.name]

    async def sheet(self, problem: Problem, size: int) -> bytes:
        """Returns the drawings of a problem: made once, one sheet after another, waiting for nothing else."""
        key = (problem.name, size)
        if key not in self.sheets:
            async with self.loading["sheets"]:
                if key not in self.sheets:
                    self.sheets[key] = await asyncio.to_thread(files.sheet, problem, size)
        return self.sheets[key]

    async def computed(self, request: Request, function: Callable[[Work], Result]) -> Result:
        """Returns what a function returns, which is called in a thread with the work that it may be stopped by.

        Raises:
            Refusal: too much is waiting.
            HungUpError: the client has hung up.
        """
        async with self.desk.take(request) as work:
            return await self.desk.run(work, function, work)
