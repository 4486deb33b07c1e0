"""Answers requests for samples: sampled with others, looked at, sampled again where that helps, and repaired."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs import Problem
from service.answers import Entry, SampleAnswer
from service.batching import Batcher
from service.levels import distances, judge, measured, mended, read_fixed
from service.limits import Limits
from service.models import Condition, GeneratorRecord
from service.refusals import Refusal
from service.requests import SampleBody
from service.sources import Ask, Learned
from service.wording import Wording, prompt_targets
from service.work import Desk, Work

#: No metric of any level is that far from 0, and with much more one can no longer calculate.
_FARTHEST = 1e9

#: The ends of what is asked of each metric.
Asked = dict[str, tuple[float, float]]


class Sampling:
    """Samples for one request.

    Args:
        record: the generator.
        body: what was asked for.
        limits: how much may be.

    Raises:
        Refusal: it cannot be.
    """

    def __init__(self, record: GeneratorRecord, body: SampleBody, limits: Limits) -> None:
        self.record, self.body, self.limits, self.problem = record, body, limits, record.problem
        check_count(body.count, limits)
        self.asked = read_targets(self.problem, body.targets)
        self.fixed = read_fixed(self.problem, body.fixed, record.shape)
        known = {condition.name: condition for condition in record.conditions}
        self.told = {name: _within(ends, known[name]) for name, ends in self.asked.items() if name in known}
        self.untold = [name for name in self.asked if name not in known]
        self.tried, self.end = 0, 0.0
        self.wording: Wording | None = None
        self.entries: list[Entry] = []
        self.remarks = [
            f"{record.name} has seen {name} from {known[name].low:g} to {known[name].high:g} only."
            for name, (low, high) in self.told.items()
            if high < known[name].low or low > known[name].high
        ]

    async def answer(self, batcher: Batcher, desk: Desk, work: Work) -> SampleAnswer:
        """Samples, looks and chooses.

        Raises:
            UserError: the generator cannot do what is asked of it.
            HungUpError: the work was stopped.
        """
        began = time.perf_counter()
        self.end = began + self.limits.patience
        if self.body.prompt is not None:
            await desk.run(work, self._read, self.body.prompt)
        # What the generator cannot be told is sought among several samples, and so are levels that can be won.
        sought = bool(self.untold or self.wording)
        for number in range(self.limits.tries if self.body.playable or sought else 1):
            levels = await batcher.sample(self._ask(number), work)
            self.tried += len(levels)
            self.entries += await desk.run(work, self._look, levels, work)
            if self._late() or (not sought and len(self._good()) >= self.body.count):
                break
        chosen = self._good()
        if self.wording is not None:
            chosen = self._by_words(chosen, self.wording)
        elif self.asked:
            far = distances(chosen, self.asked, self.problem)
            chosen = [chosen[i] for i in np.argsort(far, kind="stable")] if self.untold else chosen
        chosen = chosen[: self.body.count]
        if self.untold:
            self.remarks.append(
                f"{self.record.name} cannot be told {', '.join(self.untold)}: the nearest of {self.tried} samples were "
                "kept."
            )
        if self.body.playable:
            won = len(self._good())
            self.remarks.append(f"The solver won {won} of {self.tried} samples.")
            chosen += await self._mended(self.body.count - len(chosen), desk, work)
            missing = self.body.count - len(chosen)
            if missing:
                self.remarks.append(f"{missing} of {self.body.count} levels could not be made playable.")
        if self._late():
            self.remarks.append(f"The time of {self.limits.patience:g} seconds was up before all was looked at.")
        return SampleAnswer(
            levels=chosen,
            asked={name: list(interval) for name, interval in self.asked.items()},
            tried=self.tried,
            remarks=self.remarks,
            seconds=round(time.perf_counter() - began, 4),
        )

    def _read(self, text: str) -> None:
        """Reads the prompt; what it asks of metrics is asked for, but for those that have targets of their own."""
        source = self.record.source.get()
        generator = source.generator if isinstance(source, Learned) else None
        self.wording = Wording.of(
            text, self.problem, self.record.shape, generator, self.body.count, self.asked, self.fixed
        )
        self.remarks += self.wording.remarks
        asked = prompt_targets(self.wording.prompt, self.problem, self.record.shape)
        self.asked = {**asked, **self.asked}
        self.told = {name: ends for name, ends in self.told.items() if asked.get(name) != self.asked[name]}
        self.untold = [name for name in self.untold if asked.get(name) != self.asked[name]]

    def _by_words(self, entries: list[Entry], wording: Wording) -> list[Entry]:
        """Returns samples in the order in which they meet the prompt, the best first."""
        if not entries:
            return entries
        asked = prompt_targets(wording.prompt, self.problem, self.record.shape)
        own = {name: ends for name, ends in self.asked.items() if asked.get(name) != ends}
        scores = wording.scores(np.array([entry.level for entry in entries], np.uint8), own)
        return [entries[i] for i in np.argsort(-scores, kind="stable")]

    def _ask(self, number: int) -> Ask:
        """Returns what is asked of the generator the first, second... time; the first time by the seed itself."""
        seed, count = self.body.seed, self.body.count
        if number:
            seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
        uniforms = np.random.default_rng([seed, count])
        condition = {name: low + (high - low) * uniforms.random(count) for name, (low, high) in self.told.items()}
        if self.wording is None:
            return Ask(count, seed, condition, self.fixed)
        return Ask(count, seed, {**self.wording.condition, **condition}, self.fixed, self.wording.counts)

    def _look(self, levels: NDArray[np.uint8], work: Work) -> list[Entry]:
        """Measures samples and, where that is wanted, lets the solver play them."""
        entries = measured(self.problem, levels)
        for entry in entries:
            entry.seed = self.body.seed
            if (self.body.playable or self.body.solve) and not self._late():
                judge(self.problem, entry, work)
        return entries

    def _late(self) -> bool:
        """Tells whether it is time to answer with what there is."""
        return time.perf_counter() > self.end

    def _good(self) -> list[Entry]:
        """Returns what may be answered with."""
        return [entry for entry in self.entries if entry.playable] if self.body.playable else self.entries

    async def _mended(self, wanted: int, desk: Desk, work: Work) -> list[Entry]:
        """Repairs so many of the samples that the solver did not win, the best ones first."""
        found: list[Entry] = []
        rest = sorted((entry for entry in self.entries if not entry.playable), key=lambda entry: -entry.quality)
        mask = None if self.fixed is None else self.fixed >= 0
        for entry in rest[: 2 * wanted]:
            if len(found) == wanted or self._late():
                break
            level = np.array(entry.level, np.uint8)
            other = await desk.run(work, mended, self.problem, level, mask, self.body.seed, self.limits, work)
            if other.playable:
                other.seed = self.body.seed
                found.append(other)
        if found:
            edits = ", ".join(str(entry.edits) for entry in found)
            self.remarks.append(f"{len(found)} levels were repaired, by {edits} tiles.")
        return found


def _within(ends: tuple[float, float], known: Condition) -> tuple[float, float]:
    """Returns the part of an interval that a generator knows; all of it where it knows none."""
    low, high = max(ends[0], known.low), min(ends[1], known.high)
    return (low, high) if low <= high else ends


def check_count(count: int, limits: Limits) -> None:
    """Raises Refusal where too many levels are asked for."""
    if count > limits.count:
        raise Refusal(422, f"At most {limits.count} levels may be asked for at once; got {count}.", "count")


def read_targets(problem: Problem, given: Mapping[str, Any]) -> Asked:
    """Returns targets as intervals.

    Raises:
        Refusal: there is no such metric, or an interval has its ends the wrong way round.
    """
    known = [metric.name for metric in problem.metrics]
    asked: Asked = {}
    for name, target in given.items():
        if name not in known:
            raise Refusal(
                422, f"{problem.name} has no metric {name!r}; its metrics are {', '.join(known)}.", f"targets.{name}"
            )
        low, high = target if isinstance(target, tuple | list) else (target, target)
        if low > high:
            raise Refusal(422, f"The target of {name} is from {low:g} to {high:g}; give the lesser first.", "targets")
        if max(abs(low), abs(high)) > _FARTHEST:
            raise Refusal(
                422,
                f"The target of {name} must lie within {-_FARTHEST:g} and {_FARTHEST:g}; got {low:g} to {high:g}.",
                f"targets.{name}",
            )
        asked[name] = (low, high)
    return asked
