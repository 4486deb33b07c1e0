"""A subject of search that is trained in no time: its quality follows from its settings and its training alone."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from envs import UserError
from generators.searchable import Choice, Real, Whole, searchable
from search.objectives import OBJECTIVES, Constraint
from search.workers import Bench


@dataclass(frozen=True)
class Config:
    """What may be chosen."""

    width: Annotated[int, Whole(4, 64, log=True)] = 16
    rate: Annotated[float, Real(0.0, 1.0)] = 0.25
    kind: Annotated[Literal["plain", "gated"], Choice()] = "plain"


@dataclass(frozen=True)
class FakeSubject:
    """A subject.

    Attributes:
        deadly: from what width on a candidate kills its worker.
        broken: from what width on a candidate cannot be made.
        seconds: how long a part of a training takes.
        log: where each part of a training is noted.
        order: whether proxies rank.
        chance: whether the worse a candidate is, the better are the levels of one that has learned little.
    """

    deadly: int = 1000
    broken: int = 1000
    seconds: float = 0.0
    log: str = ""
    order: bool = True
    chance: bool = False

    def space(self):
        # Slow to import, and not needed by workers.
        from search.space import Space

        return Space("fake", {"model": searchable(Config)}, {"model": Config()})

    def default(self):
        return self.space().default()

    def candidate(self, settings, seed):
        if settings["model"].get("width", 0) >= self.broken:
            raise UserError("It is too wide.")
        return FakeCandidate(self, {**asdict(Config()), **settings["model"]}, seed)


class FakeCandidate:
    def __init__(self, subject, model, seed):
        self.subject, self.model, self.seed = subject, model, seed
        self.trained = 0.0

    def costs(self):
        return {"parameters": self.model["width"] ** 2, "milliseconds": self.model["width"] / 10}

    def quality(self):
        """Between 0 and 1; wide and fast ones are good, gated ones better."""
        whole = 0.5 + 0.1 * np.log2(self.model["width"] / 16) - abs(self.model["rate"] - 0.6)
        return float(np.clip(whole + 0.1 * (self.model["kind"] == "gated"), 0.01, 0.99))

    def proxies(self):
        return {"told": self.quality() if self.subject.order else -self.quality(), "silent": float("nan")}

    def train(self, minutes, steps, levels_share, folder):
        if self.subject.log:
            with open(self.subject.log, "a") as log:
                log.write(f"{os.getpid()} {self.model['width']} {steps} {levels_share}\n")
        if self.model["width"] >= self.subject.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.subject.seconds)
        self.trained += minutes + steps

    def measure(self, levels, seed):
        lucky = self.subject.chance and self.trained < 100
        quality = 1 - self.quality() if lucky else self.quality()
        share = round(levels * quality * (1 - np.exp(-self.trained / 50))) / levels
        return {"joint": share, "diversity": share / 2, "nats": 1 - self.quality()}

    def weights(self):
        return {"width": np.full(3, self.model["width"], np.float32)}

    def inherit(self, weights):
        self.parent = float(weights["width"][0])
        return 0.5

    def save(self, folder: Path):
        (folder / "inner").mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        (folder / "inner" / "weights").write_bytes(bytes(3))


@dataclass
class HereWorkers:
    """Workers that are this process: an answer is there when it is asked for."""

    subject: FakeSubject
    number: int = 1
    orders: list = field(default_factory=list)
    waiting: dict = field(default_factory=dict)

    def __post_init__(self):
        self.benches = [Bench(self.subject) for _ in range(self.number)]

    def idle(self):
        return [worker for worker in range(self.number) if worker not in self.waiting]

    def give(self, worker, order):
        self.orders.append(order)
        self.waiting[worker] = order

    def answers(self, seconds):
        # One at a time, so that what a worker does next is decided before another is heard.
        worker = min(self.waiting)
        return [(worker, self.benches[worker](self.waiting.pop(worker)), "")]

    def close(self):
        self.waiting.clear()


def objectives(*names):
    return tuple(OBJECTIVES[name] for name in names or ("joint", "diversity", "milliseconds"))


def constraints(*texts):
    return tuple(Constraint.parse(text, tuple(OBJECTIVES), "fakes") for text in texts)


def make_plan(**options):
    from search.studies import Plan

    options = {"objectives": objectives(), "minutes": 0.0, "steps": 130, "samples": 400, **options}
    return Plan(**options)


def make_search(folder, subject=None, workers=None, trials=12, plan=None, limits=None, **options):
    """A search for fakes, in this process unless workers are given."""
    from search.studies import Limits, Search

    folder.mkdir(exist_ok=True, parents=True)
    subject = subject or FakeSubject()
    limits = limits or Limits(trials=trials, minutes=0)
    return Search(subject.space(), plan or make_plan(), limits, workers or HereWorkers(subject), folder, **options)
