"""The services that can be told how a run goes: TensorBoard, Weights & Biases, Comet and MLflow, by one interface.

What a service writes lies in the run folder, in a folder of its name. Nothing leaves the machine unless the service's
own variables say so (`WANDB_MODE=online`, `COMET_START_ONLINE=true`, `MLFLOW_TRACKING_URI=...`): a tracker names what
its variables are by default, and those that are set stay. Services are imported where they are asked for, no sooner.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import threading
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

Service = Literal["tensorboard", "wandb", "comet", "mlflow"]

#: What services call all runs together.
_PROJECT = "tilewright"


class Tracker(Protocol):
    """A service that is told how one run goes; made of the run folder, and of the run's id where it has one already."""

    #: The packages that it needs, and the extra that brings them.
    packages: tuple[str, ...]
    extra: str
    #: What the service's own variables are where nobody has set them.
    variables: dict[str, str]
    #: The run's id, "" where the service has none; and the command or the address to look at the run.
    id: str
    look: str

    def __init__(self, folder: Path, known: str) -> None: ...

    def options(self, record: Mapping[str, Any]) -> None:
        """Takes what the run was asked to do, as plain data."""

    def log(self, row: Mapping[str, float], step: int) -> None:
        """Takes figures, finite numbers by name."""

    def picture(self, name: str, path: Path, step: int) -> None:
        """Takes a PNG file."""

    def close(self, done: bool) -> None:
        """Writes what is left; `done` says whether the run came to its end."""


class _TensorBoard:
    packages: tuple[str, ...] = ("tensorboard",)
    extra = "train"
    variables: dict[str, str] = {}

    def __init__(self, folder: Path, known: str) -> None:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415

        place = str(folder / "tensorboard")
        self.id, self.look = known, f"tensorboard --logdir {place}"
        # What its thread cannot write it would print by itself; it is raised in `log` besides.
        self._tell, threading.excepthook = threading.excepthook, self._pass_over
        self._writer = SummaryWriter(place)

    def _pass_over(self, given: Any) -> None:
        if not isinstance(given.exc_value, OSError):
            self._tell(given)

    def options(self, record: Mapping[str, Any]) -> None:
        # Indented text is shown as it stands.
        self._writer.add_text("config", "    " + json.dumps(record, indent=2).replace("\n", "\n    "))

    def log(self, row: Mapping[str, float], step: int) -> None:
        for name, value in row.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def picture(self, name: str, path: Path, step: int) -> None:
        import numpy as np  # noqa: PLC0415
        from PIL import Image  # noqa: PLC0415

        with Image.open(path) as image:
            self._writer.add_image(name, np.asarray(image.convert("RGB")), step, dataformats="HWC")

    def close(self, done: bool) -> None:
        try:
            self._writer.close()
        finally:
            threading.excepthook = self._tell


class _WandB:
    packages: tuple[str, ...] = ("wandb",)
    extra = "track"
    variables: dict[str, str] = {
        "WANDB_MODE": "offline",
        "WANDB_PROJECT": _PROJECT,
        # The command line may hold a password, and nobody asked for code and output.
        **dict.fromkeys(("WANDB_SILENT", "WANDB_DISABLE_GIT", "WANDB_DISABLE_CODE", "WANDB_X_DISABLE_META"), "true"),
        **{"WANDB_CONSOLE": "off", "WANDB_ERROR_REPORTING": "false"},
    }

    def __init__(self, folder: Path, known: str) -> None:
        import wandb  # noqa: PLC0415

        self.id, self._image = known or secrets.token_hex(16), wandb.Image
        self._run = wandb.init(dir=folder, id=self.id, name=_title(folder), resume="allow", reinit="create_new")
        # Not the number of calls but the training's own steps are the x axis.
        self._run.define_metric("steps")
        self._run.define_metric("*", step_metric="steps")
        self.look = f"wandb sync {folder / 'wandb'}" if self._run.offline else str(self._run.url)

    def options(self, record: Mapping[str, Any]) -> None:
        self._run.config.update(dict(record), allow_val_change=True)

    def log(self, row: Mapping[str, float], step: int) -> None:
        self._run.log({**row, "steps": step})

    def picture(self, name: str, path: Path, step: int) -> None:
        self._run.log({name: self._image(str(path)), "steps": step})

    def close(self, done: bool) -> None:
        self._run.finish(exit_code=0 if done else 1)


class _Comet:
    packages: tuple[str, ...] = ("comet_ml",)
    extra = "track"
    variables: dict[str, str] = {
        "COMET_START_ONLINE": "false",
        "COMET_PROJECT_NAME": _PROJECT,
        # What fails is told of in one sentence; this would be a traceback beside it.
        "COMET_LOGGING_CONSOLE": "CRITICAL",
        "COMET_DISABLE_AUTO_LOGGING": "1",
        **dict.fromkeys(("COMET_ERROR_TRACKING_ENABLE", "COMET_INTERNAL_REPORTING"), "false"),
    }
    #: What it would take down unasked: the command line, code and machine, and what it is told anyway.
    _unasked = (
        *("log_code", "log_graph", "log_git_metadata", "log_git_patch", "log_env_details", "parse_args"),
        *("auto_output_logging", "auto_param_logging", "auto_metric_logging", "auto_log_co2"),
    )

    def __init__(self, folder: Path, known: str) -> None:
        import comet_ml  # noqa: PLC0415

        self.id = known or secrets.token_hex(16)
        settings: dict[str, Any] = dict.fromkeys(self._unasked, False)
        # Archives are named by chance, which the training's seed fixes: a resumed run needs a folder of its own.
        self._place = folder / "comet" / time.strftime("%Y%m%d-%H%M%S")
        self._place.mkdir(parents=True, exist_ok=True)
        settings |= {"offline_directory": str(self._place), "name": _title(folder), "display_summary_level": 0}
        config = comet_ml.ExperimentConfig(**settings)
        self._run = comet_ml.start(experiment_key=self.id, mode="get_or_create", experiment_config=config)
        self._offline = isinstance(self._run, comet_ml.OfflineExperiment)
        self.look = f"comet upload {folder / 'comet' / '*' / '*.zip'}" if self._offline else str(self._run.url)

    def options(self, record: Mapping[str, Any]) -> None:
        self._run.log_parameters(flat(record))

    def log(self, row: Mapping[str, float], step: int) -> None:
        self._run.log_metrics(dict(row), step=step)

    def picture(self, name: str, path: Path, step: int) -> None:
        self._run.log_image(str(path), name=name, step=step)

    def close(self, done: bool) -> None:
        self._run.end()
        if self._offline and not any(map(zipfile.is_zipfile, self._place.glob("*.zip"))):
            raise OSError(f"its archive could not be written in {self._place}")


class _MLflow:
    packages: tuple[str, ...] = ("mlflow", "sqlalchemy", "alembic")
    extra = "mlflow"
    variables: dict[str, str] = {
        "MLFLOW_EXPERIMENT_NAME": _PROJECT,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "CRITICAL",
        # A server that is gone shall not hold a training up for long.
        **{"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"},
    }

    def __init__(self, folder: Path, known: str) -> None:
        from mlflow import MlflowClient, entities  # noqa: PLC0415

        place, store, artifacts = (folder / "mlflow").resolve(), os.environ.get("MLFLOW_TRACKING_URI", ""), None
        self.id, self._entities = known, entities
        # An address may hold a password.
        self.look = "the server that MLFLOW_TRACKING_URI names"
        if not store:
            place.mkdir(exist_ok=True)
            store, artifacts = f"sqlite:///{(place / 'mlflow.db').as_posix()}", (place / "artifacts").as_uri()
            self.look = f"mlflow ui --backend-store-uri {store}"
        self._client = MlflowClient(tracking_uri=store)
        if known:
            self._client.update_run(known, status="RUNNING")
            return
        experiment = self._client.get_experiment_by_name(name := os.environ["MLFLOW_EXPERIMENT_NAME"])
        number = experiment.experiment_id if experiment else self._client.create_experiment(name, artifacts)
        self.id = self._client.create_run(number, run_name=_title(folder)).info.run_id

    def options(self, record: Mapping[str, Any]) -> None:
        self._client.log_dict(self.id, dict(record), "config.json")
        # A parameter stays what it was at first, and at most so many go at a time.
        known = self._client.get_run(self.id).data.params
        texts = {_named(name): str(value)[:6000] for name, value in flat(record).items()}
        new = [self._entities.Param(name, text) for name, text in texts.items() if name not in known]
        for first in range(0, len(new), 100):
            self._client.log_batch(self.id, params=new[first : first + 100])

    def log(self, row: Mapping[str, float], step: int) -> None:
        now = round(1000 * time.time())
        metrics = [self._entities.Metric(_named(name), value, now, step) for name, value in row.items()]
        self._client.log_batch(self.id, metrics=metrics)

    def picture(self, name: str, path: Path, step: int) -> None:
        self._client.log_artifact(self.id, str(path), name.rpartition("/")[0])

    def close(self, done: bool) -> None:
        self._client.set_terminated(self.id, "FINISHED" if done else "FAILED")


TRACKERS: dict[Service, type[Tracker]] = {
    "tensorboard": _TensorBoard,
    "wandb": _WandB,
    "comet": _Comet,
    "mlflow": _MLflow,
}


def flat(record: Any, name: str = "") -> dict[str, Any]:
    """Returns what nested records hold, by the names that lead to it, with strokes between them."""
    if not isinstance(record, Mapping):
        return {name: record}
    parts = [flat(value, f"{name}/{key}" if name else str(key)) for key, value in record.items()]
    return {path: value for part in parts for path, value in part.items()}


def _title(folder: Path) -> str:
    """Returns what services call a run: pcgrl/NAME."""
    return f"{folder.parent.name}/{folder.name}"


def _named(name: str) -> str:
    """Returns a name without what MLflow does not take in one."""
    return re.sub(r"[^\w\-. :/]", "", name)
