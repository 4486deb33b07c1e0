"""What all experiments share: the command line, the run folder and its records."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import inspect
import json
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from envs import UserError
from envs.files import write_atomically
from experiments.tracking import check_installed

Options = TypeVar("Options")

#: The file that says what a run was asked to do.
CONFIG_FILE = "config.json"

#: Seeds are below this, so that what is added to them stays within what NumPy's and torch's generators take.
_SEEDS = 2**31

_PACKAGES = ("tilewright", "numpy", "numba", "gymnasium", "torch", "stable-baselines3", "ray")


def main(options: type[Options], experiment: Callable[[Options], None], arguments: list[str] | None = None) -> None:
    """Runs an experiment from the command line.

    What the user got wrong is told in one sentence on standard error, with exit code 2; an interrupt exits with 130.

    Args:
        options: the dataclass of options; its docstring is the help text.
        experiment: what to run.
        arguments: the command line; None takes the process's own.
    """
    import tyro  # noqa: PLC0415 (the library can be used without the command line)

    summary = (options.__doc__ or "").split("\n\n")[0]
    program = f"python -m experiments.{Path(inspect.getfile(experiment)).stem}"
    chosen: Any = tyro.cli(options, prog=program, args=arguments, description=summary)
    try:
        if not 0 <= getattr(chosen, "seed", 0) < _SEEDS:
            raise UserError(f"--seed must be a whole number from 0 to {_SEEDS - 1}; got {chosen.seed}.")
        # Before anything is made.
        check_installed(getattr(chosen, "track", ()))
        experiment(chosen)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        onward = "; the same command with --resume goes on" if hasattr(chosen, "resume") else ""
        print(f"\nInterrupted. What was finished is kept{onward}.", file=sys.stderr)
        sys.exit(130)


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def make_folder(folder: Path) -> Path:
    """Makes a folder that can be written to, and its parents.

    Raises:
        UserError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / ".writable", b"")
        (folder / ".writable").unlink()
    except OSError as error:
        raise UserError(f"The folder {folder} cannot be made: {error.strerror}; choose another with --out.") from error
    return folder


@contextmanager
def progress_bar(note: str) -> Iterator[Callable[[float, str], None]]:
    """Shows a progress bar on the terminal.

    Args:
        note: what stands behind the bar at first.

    Yields:
        A function that takes the share that is done, in [0, 1], and what now stands behind the bar.
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415 (slow to import)

    columns = (
        TextColumn("{task.percentage:3.0f} %"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns) as bar:
        task = bar.add_task("", total=1.0, note=note)
        yield lambda share, note: bar.update(task, completed=share, note=note)


def write_record(folder: Path, options: Any, **facts: Any) -> None:
    """Writes what a run was asked to do, with the versions that it ran on, to config.json."""
    record = {"options": dataclasses.asdict(options), "versions": versions(), **facts}
    write_json(folder / CONFIG_FILE, record)


def write_json(path: Path, content: Any) -> None:
    """Writes JSON beside the old file and then in its place."""
    write_atomically(path, (json.dumps(content, indent=2, default=str) + "\n").encode())
