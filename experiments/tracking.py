"""Telling services how a run goes, offline and beside the run's own records: the option `--track` and what it does."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

from envs import UserError
from envs.errors import unknown_name
from envs.files import write_atomically
from envs.records import read_config, read_metrics
from experiments.trackers import TRACKERS, Service, Tracker, flat

#: Where a run folder keeps the ids by which services know the run, so that it goes on there when it is resumed.
TRACKING_FILE = "tracking.json"


@dataclass(kw_only=True)
class TrackOptions:
    """Who is told how a run goes.

    Attributes:
        track: who is told how the run goes: tensorboard, wandb, comet, mlflow, or several; nobody where none is named.
    """

    track: tuple[Service, ...] = ("tensorboard",)


@dataclass(kw_only=True)
class TrackOnRequestOptions(TrackOptions):
    """Who is told what an evaluation came to.

    Attributes:
        track: who is told what came of it: tensorboard, wandb, comet, mlflow, or several; by default nobody. A run that
            was tracked is told of in the same place.
    """

    track: tuple[Service, ...] = ()


def check_installed(services: Sequence[Service]) -> None:
    """Raises UserError where there is no such service, or its packages are not installed."""
    for service in services:
        if service not in TRACKERS:
            raise unknown_name("tracker", service, TRACKERS)
        # A folder of a package's name, as services leave them where they are used, is found too, without an origin.
        found = [importlib.util.find_spec(package) for package in TRACKERS[service].packages]
        if any(spec is None or spec.origin is None for spec in found):
            raise UserError(
                f"--track {service} needs packages that are not installed: "
                f"run pip install 'tilewright[{TRACKERS[service].extra}]', or leave {service} out."
            )


class Tracking:
    """Tells services how a run goes: a context that the run takes place in.

    In the end it tells of the pictures that the run has left. A service that cannot begin is told of at once; one that
    fails later costs a warning, and the run goes on without it.

    Args:
        services: who is told.
        folder: the run folder. What its config.json says is told at once.
        resume: go on in the runs that were tracked there; else what was tracked there is deleted.
        asked: what was asked for besides.

    Raises:
        UserError: a service cannot begin.
    """

    def __init__(
        self, services: Sequence[Service], folder: Path, *, resume: bool, asked: Mapping[str, Any] | None = None
    ) -> None:
        self._folder, self._trackers, self._told = folder, dict[Service, Tracker](), dict[str, int]()
        self._last = -1
        check_installed(services)
        if not resume:
            (folder / TRACKING_FILE).unlink(missing_ok=True)
            for service in TRACKERS:
                shutil.rmtree(folder / service, ignore_errors=True)
        elif services and (folder / "metrics.csv").exists():
            self._last = int(max(read_metrics(folder / "metrics.csv").get("steps", ()), default=-1))
        #: What was told before the run was resumed, though the training may go back some steps.
        self._since = self._last
        self._begin(services)
        self._before = self._pictures()
        record = {**_read(folder / "config.json"), **(asked or {})}
        self._tell(lambda tracker: tracker.options(json.loads(json.dumps(record, default=str))))

    def _begin(self, services: Sequence[Service]) -> None:
        ids = _read(self._folder / TRACKING_FILE)
        for service in dict.fromkeys(services):
            for name, value in TRACKERS[service].variables.items():
                os.environ.setdefault(name, value)
            try:
                self._trackers[service] = TRACKERS[service](self._folder, ids.get(service, ""))
            except Exception as error:
                self._close(done=False)
                reason = _reason(error)
                raise UserError(f"--track {service} cannot begin: {reason}; mend that or leave it out.") from error
        ids |= {service: tracker.id for service, tracker in self._trackers.items() if tracker.id}
        if ids:
            write_atomically(self._folder / TRACKING_FILE, (json.dumps(ids, indent=2) + "\n").encode())

    def __enter__(self) -> Tracking:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        for path, written in self._pictures().items():
            if self._before.get(path) != written:
                self._show(path)
        looks = self._close(done=kind is None)
        if looks and kind is None:
            print("Tracked    " + "\n           ".join(looks))

    def log(self, row: Mapping[str, float], step: int) -> None:
        """Tells figures of a step. Where a figure was told of this step or a later one, it is not told again.

        Args:
            row: figures by name; those that are no finite numbers are left out.
            step: where they stand on the x axis.
        """
        new = {name: value for name, value in row.items() if step > self._told.get(name, self._since)}
        self._told |= dict.fromkeys(new, step)
        self._last = max(self._last, step)
        self._tell_row(new, step)

    def results(self, name: str, figures: Mapping[str, Any], step: int = 0) -> None:
        """Tells what the run came to, at its last step.

        Args:
            name: what stands before the figures' names.
            figures: by name, nested or not; those that are no finite numbers are left out.
            step: the last step, where it may be one that was not told of.
        """
        self._last = max(self._last, step)
        self._tell_row(flat(figures, name), self._last)

    def _tell_row(self, row: Mapping[str, Any], step: int) -> None:
        # The steps themselves are the x axis.
        numbers = {name: float(value) for name, value in row.items() if isinstance(value, Real) and name != "steps"}
        finite = {name: value for name, value in numbers.items() if math.isfinite(value)}
        if finite:
            self._tell(lambda tracker: tracker.log(finite, step))

    def _show(self, path: Path) -> None:
        # Figures may have the names of files, and some services hold both under one name.
        name = f"pictures/{path.relative_to(self._folder).with_suffix('').as_posix()}"
        self._tell(lambda tracker: tracker.picture(name, path, max(self._last, 0)))

    def _pictures(self) -> dict[Path, int]:
        """Returns the pictures in the run folder and its folders, with when they were written, if anybody is told."""
        patterns = ("*.png", "*/*.png") if self._trackers else ()
        found = [path for pattern in patterns for path in sorted(self._folder.glob(pattern))]
        return {path: path.stat().st_mtime_ns for path in found}

    def _tell(self, say: Callable[[Tracker], None]) -> None:
        for service, tracker in list(self._trackers.items()):
            try:
                say(tracker)
            except Exception as error:
                del self._trackers[service]
                print(f"warning: {service} failed ({_reason(error)}): the run goes on without it.", file=sys.stderr)
                with suppress(Exception):
                    tracker.close(done=False)

    def _close(self, done: bool) -> list[str]:
        """Closes all trackers; returns how to look at what those were told that did not fail."""
        self._tell(lambda tracker: tracker.close(done))
        looks = [tracker.look for tracker in self._trackers.values()]
        self._trackers.clear()
        return looks


def _read(path: Path) -> dict[str, Any]:
    return read_config(path) if path.exists() else {}


def _reason(error: BaseException) -> str:
    """Returns what went wrong at first, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160].rstrip(".")
