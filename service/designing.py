"""Designers at work, told step by step as server-sent events."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from agents.builders import Builder, Interval
from service.answers import EndEvent, StepEvent
from service.levels import examined, grid, named
from service.models import DesignerRecord
from service.refusals import HungUpError
from service.work import Desk, Work

logger = logging.getLogger(__name__)

#: How long a designer may hold a thread from event to event, in seconds.
_TURN = 1.0


class Run:
    """One episode of a designer.

    Args:
        record: the designer.
        targets: what is asked of it.
        seed: fixes the start level, where none is given, and the designer's draws.
        level: uint8 (*shape), where it starts; None draws one.
        locked: bool (*shape), what must stay.
        every: how many steps there are from event to event.
        most: the most steps.
    """

    def __init__(
        self,
        record: DesignerRecord,
        targets: dict[str, Interval],
        seed: int,
        level: NDArray[np.uint8] | None,
        locked: NDArray[np.bool_] | None,
        every: int,
        most: int,
    ) -> None:
        self.record, self.targets, self.seed = record, targets, seed
        self.level, self.locked, self.every, self.most = level, locked, every, most
        self._shown: NDArray[np.uint8] | None = None
        self._paid = 0.0

    def begin(self) -> Builder:
        """Returns the designer at its start.

        Raises:
            UserError: it cannot start there.
        """
        self.builder = self.record.maker.get()(self.targets)
        self.builder.begin(self.seed, self.level, self.locked)
        self._shown = self.builder.level
        return self.builder

    def told(self) -> StepEvent:
        """Returns how far the designer is."""
        builder = self.builder
        changed = np.argwhere(builder.level != self._shown).tolist()
        event = StepEvent(
            step=builder.steps,
            level=grid(builder.level),
            changed=changed,
            cursor=None if builder.cursor is None else list(builder.cursor),
            metrics=named(builder.problem, builder.env.measured[0][: len(builder.problem.metrics)]),
            reward=round(builder.paid - self._paid, 6),
        )
        self._shown, self._paid = builder.level, builder.paid
        return event

    def advance(self, work: Work) -> StepEvent | None:
        """Takes some steps, and returns how far the designer is then; None where it could take none.

        Slow designers take fewer at once, so that others who wait have their turn in between.
        """
        before = self.builder.steps
        end = time.perf_counter() + _TURN
        for _ in range(self.every):
            work.check()
            late = self.builder.steps > before and time.perf_counter() > end
            if late or self.builder.over or self.builder.steps >= self.most:
                break
            self.builder.advance()
        return self.told() if self.builder.steps > before else None

    def end(self, work: Work) -> EndEvent:
        """Returns what the designer has made."""
        entry = examined(self.record.problem, self.builder.level[None], work)[0]
        entry.seed = self.seed
        why = self.builder.why or "the limit on steps is reached"
        return EndEvent(entry=entry, steps=self.builder.steps, changes=self.builder.changes, why=why)


class DesignStream(StreamingResponse):
    """The events of a run; what was taken for it is given back when it ends, however it ends.

    Args:
        run: the episode, begun.
        desk: where it goes on.
        work: what stops it.
        taken: what is to be given back.
    """

    def __init__(self, run: Run, desk: Desk, work: Work, taken: AsyncExitStack) -> None:
        super().__init__(
            _events(run, desk, work), media_type="text/event-stream", headers={"Cache-Control": "no-cache"}
        )
        self._taken = taken

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the events."""
        async with self._taken:
            await super().__call__(scope, receive, send)


async def _events(run: Run, desk: Desk, work: Work) -> AsyncIterator[str]:
    try:
        yield _event("step", run.told())
        while (event := await desk.run(work, run.advance, work)) is not None:
            yield _event("step", event)
        yield _event("end", await desk.run(work, run.end, work))
    except HungUpError:
        return
    except Exception:
        # The answer has begun, so that its status can no longer say so.
        logger.exception("A designer failed in the middle of its work")
        yield 'event: error\ndata: {"error": {"message": "The designer failed; the log of the service says why."}}\n\n'


def _event(name: str, data: BaseModel) -> str:
    return f"event: {name}\ndata: {data.model_dump_json()}\n\n"
