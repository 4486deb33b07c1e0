"""The records of a run: configurations as JSON, and the figures of a training as CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from envs.errors import UserError
from envs.files import write_atomically


def read_config(path: Path) -> dict[str, Any]:
    """Reads a JSON file that holds one object.

    Raises:
        UserError: the file is missing, unreadable, or no JSON object.
    """
    try:
        config = json.loads(path.read_text())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; give the folder that holds it.") from error
    except ValueError as error:
        raise UserError(f"{path} is damaged: it is not JSON ({error}); restore it or train again.") from error
    if not isinstance(config, dict):
        raise UserError(
            f"{path} is damaged: it holds {type(config).__name__}, not an object; restore it or train again."
        )
    return config


class MetricsLog:
    """A CSV file of a training: a line an update. Lines after the step that a run resumes from are dropped.

    Args:
        path: the file.
        columns: the names of its columns, "steps" among them.
        steps: the step that the training goes on from; 0 begins anew.
    """

    def __init__(self, path: Path, columns: Sequence[str], steps: int) -> None:
        self._path = path
        self._columns = list(columns)
        kept = []
        if steps and path.exists():
            metrics = read_metrics(path)
            kept = [
                {name: metrics[name][i] if name in metrics else math.nan for name in columns}
                for i in range(len(metrics.get("steps", ())))
            ]
        content = io.StringIO()
        writer = csv.DictWriter(content, self._columns)
        writer.writeheader()
        writer.writerows(_written(row) for row in kept if row["steps"] <= steps)
        write_atomically(path, content.getvalue().encode())

    def write(self, values: Mapping[str, float]) -> None:
        """Adds a line; columns without a value are not known, and values without a column are left out.

        Raises:
            UserError: it cannot be written.
        """
        row = {**dict.fromkeys(self._columns, math.nan), **values}
        try:
            with self._path.open("a", newline="") as file:
                csv.DictWriter(file, self._columns, extrasaction="ignore").writerow(_written(row))
        except OSError as error:
            raise UserError(
                f"Cannot write {self._path}: {(error.strerror or str(error)).lower()}; make room and --resume."
            ) from error


def _written(row: Mapping[str, float]) -> dict[str, str]:
    """Returns the numbers of a row as text: counts in full, others to six digits."""
    return {name: f"{value:.0f}" if float(value).is_integer() else f"{value:.6g}" for name, value in row.items()}


def read_metrics(path: Path) -> dict[str, np.ndarray]:
    """Reads a metrics.csv as float64 columns by name. A last line that was cut short is left out.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            names = reader.fieldnames or ["steps"]
            rows = list(reader)
        if "steps" not in names:
            raise ValueError("it has no column of steps")
        if rows and None in rows[-1].values():
            rows.pop()
        return {name: np.array([float(row[name]) for row in rows]) for name in (rows[0] if rows else {})}
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; give the folder of a run.") from error
    except (ValueError, TypeError, csv.Error) as error:
        raise UserError(f"{path} is damaged ({error}): move it away, and the run can go on.") from error
