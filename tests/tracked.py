"""Reading back what trackers were told, from what they left in a run folder."""

from __future__ import annotations

import json
import struct
import time
import zipfile
from dataclasses import dataclass, field

import numpy as np

from envs.records import read_metrics


@dataclass
class Told:
    """What a service was told: figures as (step, value) by name, the names of pictures, and options."""

    figures: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    pictures: set[str] = field(default_factory=set)
    options: dict[str, str] = field(default_factory=dict)

    @property
    def drawn(self):
        """The pictures by the names of their files."""
        assert all(name.startswith("pictures/") for name in self.pictures)
        return {name.removeprefix("pictures/") for name in self.pictures}

    def add(self, name, step, value):
        self.figures.setdefault(name, []).append((step, value))


def read_tensorboard(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    tags = events.Tags()
    # Files that a process began within one second are read by name, of which the number that tells them apart is text.
    figures = {name: sorted((one.step, one.value) for one in events.Scalars(name)) for name in tags["scalars"]}
    text = events.Tensors("config/text_summary")[-1].tensor_proto.string_val[0].decode()
    options = json.loads(text).get("options", {})
    return Told(figures, set(tags["images"]), {f"options/{name}": str(value) for name, value in options.items()})


def read_wandb(folder):
    """Reads offline runs. What writes them is a process of its own, which may still be at it for a moment."""
    told = Told()
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        deadline = time.monotonic() + 20
        while not any(record.WhichOneof("record_type") == "exit" for record in _records(path)):
            assert time.monotonic() < deadline, f"{path} was not written to its end"
            time.sleep(0.1)
        for record in _records(path):
            _note(told, record)
    return told


def _records(path):
    """Reads protocol buffers in LevelDB's log format, in blocks of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, at, parts = path.read_bytes(), 7, b""
    while len(content) - at >= 7:
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, size, kind = struct.unpack_from("<IHB", content, at)
        if len(content) < at + 7 + size:
            return
        parts += content[at + 7 : at + 7 + size]
        at += 7 + size
        # 1 is a whole record and 4 the end of one.
        if kind in (1, 4):
            yield Record.FromString(parts)
            parts = b""


def _note(told, record):
    for item in record.config.update:
        if item.key == "options":
            told.options = {f"options/{name}": str(value) for name, value in json.loads(item.value_json).items()}
    row = {}
    for item in record.history.item:
        name, *rest = [item.key] if item.key else item.nested_key
        row[name] = None if rest else json.loads(item.value_json)
        if rest:
            told.pictures.add(name)
    for name, value in row.items():
        if isinstance(value, (int, float)) and not name.startswith("_") and name != "steps":
            told.add(name, row["steps"], value)


def read_comet(folder):
    told = Told()
    for path in sorted(folder.glob("comet/*/*.zip")):
        with zipfile.ZipFile(path) as archive:
            lines = archive.read("messages.json").decode().splitlines()
        for message in map(json.loads, lines):
            payload = message["payload"]
            if message["type"] == "metric_msg":
                metric = payload["metric"]
                told.add(metric["metricName"], metric["step"], metric["metricValue"])
            elif message["type"] == "parameter_msg":
                parameter = payload.get("param") or payload["params"]
                told.options[parameter["paramName"]] = str(parameter["paramValue"])
            elif message["type"] == "file_upload" and payload["upload_type"] == "visualization":
                told.pictures.add(payload["additional_params"]["figName"])
    return told


def read_mlflow(folder):
    from mlflow import MlflowClient

    run = json.loads((folder / "tracking.json").read_text())["mlflow"]
    client = MlflowClient(f"sqlite:///{folder / 'mlflow' / 'mlflow.db'}")
    data = client.get_run(run).data
    figures = {name: [(one.step, one.value) for one in client.get_metric_history(run, name)] for name in data.metrics}
    pictures, folders = set(), ["pictures"]
    while folders:
        for found in client.list_artifacts(run, folders.pop()):
            if found.is_dir:
                folders.append(found.path)
            else:
                pictures.add(found.path.removesuffix(".png"))
    return Told(figures, pictures, data.params)


READERS = {"tensorboard": read_tensorboard, "wandb": read_wandb, "comet": read_comet, "mlflow": read_mlflow}


def assert_as_written(folder, *others):
    """TensorBoard was told every line of metrics.csv once, at its step, and of the figures named besides."""
    told, metrics = read_tensorboard(folder), read_metrics(folder / "metrics.csv")
    steps = metrics.pop("steps")
    assert metrics
    for name, column in metrics.items():
        known = np.isfinite(column)
        found = told.figures.get(name, [])
        assert [step for step, _ in found] == steps[known].tolist(), name
        np.testing.assert_allclose([value for _, value in found], column[known], rtol=1e-5, err_msg=name)
    for name in others:
        assert told.figures[name][-1][0] == steps[-1], name
    return told
