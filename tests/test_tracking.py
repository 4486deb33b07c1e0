"""Trackers: what each service was told, how a run goes on there, and what happens when one is missing or fails."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import torch
from PIL import Image

from envs import UserError
from experiments import pcgrl
from experiments.run import main
from experiments.trackers import TRACKERS, Service
from experiments.tracking import TRACKING_FILE, Tracking, TrackOnRequestOptions, TrackOptions, check_installed
from tests.tracked import READERS, assert_as_written, read_tensorboard

torch.set_num_threads(1)

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _own_variables():
    """Leaves the services' own variables as they were, and begins without any."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("WANDB_", "COMET_", "MLFLOW_"))]:
        del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(params=get_args(Service))
def service(request):
    for package in TRACKERS[request.param].packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install 'tilewright[{TRACKERS[request.param].extra}]'")
    return request.param


class Listener:
    """A tracker that keeps what it is told, and fails where it is asked to."""

    packages: tuple[str, ...] = ()
    extra = "none"
    variables: dict[str, str] = {}
    fails: tuple[str, ...] = ()

    def __init__(self, folder, known):
        self.said, self.look, self.id = [], "listen", known or f"id of {folder.name}"
        type(self).made.append(self)
        self._do("begin", known)

    def _do(self, what, *given):
        self.said.append((what, *given))
        if what in self.fails:
            raise RuntimeError("the line is dead.\nA second line.")

    def options(self, record):
        self._do("options", record)

    def log(self, row, step):
        self._do("log", row, step)

    def picture(self, name, path, step):
        self._do("picture", name, step)

    def close(self, done):
        self._do("close", done)

    def heard(self, what):
        return [said[1:] for said in self.said if said[0] == what]


@pytest.fixture
def listen(monkeypatch):
    """A function that puts a listener in a service's place, and returns the list of those that are made."""

    def place(service, *fails):
        made = type("Made", (Listener,), {"fails": fails, "made": []})
        monkeypatch.setitem(TRACKERS, service, made)
        return made.made

    return place


def draw(path):
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (12, 8), "red").save(path)


def write_config(folder, **options):
    folder.mkdir(parents=True, exist_ok=True)
    record = {"options": {"problem": "zelda", "name": "", "shape": [5, 6], **options}, "more": dict.fromkeys("abc", 1)}
    (folder / "config.json").write_text(json.dumps(record))


def test_a_service_knows_the_run_as_it_went_and_as_it_was_resumed(service, tmp_path):
    folder = tmp_path / "pcgrl" / "run"
    write_config(folder, steps=20)
    draw(folder / "old.png")
    with Tracking([service], folder, resume=False) as tracking:
        tracking.log({"steps": 10, "loss": 0.5, "a/b-c": 3, "unknown": math.nan}, 10)
        tracking.log({"steps": 20, "loss": 0.25, "a/b-c": 4}, 20)
        tracking.results("judged", {"one, two": {"mean": 0.75, "name": "text"}, "far": math.inf})
        draw(folder / "levels.png")
        draw(folder / "report" / "front.png")
    told = READERS[service](folder)
    assert told.figures["loss"] == [(10, 0.5), (20, 0.25)]
    assert told.figures["a/b-c"] == [(10, 3.0), (20, 4.0)]
    [judged] = [values for name, values in told.figures.items() if name.startswith("judged/one")]
    assert judged == [(20, 0.75)]
    assert not {"unknown", "steps", "judged/far", "judged/one, two/name"} & set(told.figures)
    assert told.drawn == {"levels", "report/front"}
    stroke = "|" if service == "comet" else "/"
    found = {name.replace(stroke, "/"): value for name, value in told.options.items()}
    assert (found["options/problem"], found["options/steps"]) == ("zelda", "20")
    assert found["options/shape"] == "[5, 6]"

    # The training went on after its last checkpoint and was killed: it goes back to step 30.
    (folder / "metrics.csv").write_text("steps,loss\n10,0.5\n20,0.25\n30,0.2\n40,0.1\n")
    ids = (folder / TRACKING_FILE).read_text() if service != "tensorboard" else ""
    write_config(folder, steps=50)
    with Tracking([service], folder, resume=True) as tracking:
        tracking.log({"loss": 0.3}, 40)
        tracking.log({"loss": 0.125}, 50)
        tracking.log({"loss": 0.125}, 50)
    again = READERS[service](folder)
    assert again.figures["loss"] == [(10, 0.5), (20, 0.25), (50, 0.125)]
    assert again.drawn == told.drawn
    if ids:
        assert (folder / TRACKING_FILE).read_text() == ids
    if service != "mlflow":
        found = {name.replace(stroke, "/"): value for name, value in again.options.items()}
        assert found["options/steps"] == "50"


@pytest.mark.slow
def test_equal_trainings_whoever_is_told(tmp_path):
    installed = []
    for service in get_args(Service):
        with contextlib.suppress(UserError):
            check_installed([service])
            installed.append(service)
    for name, services in (("none", []), ("all", installed)):
        code, _, err = train(tmp_path, "--name", name, "--track", *services)
        assert code == 0, err
        assert err == ""
    one, other = (
        (tmp_path / "pcgrl" / name / "designer" / "model.safetensors").read_bytes() for name in ("none", "all")
    )
    assert one == other
    left = {path.name for path in (tmp_path / "pcgrl" / "none").iterdir()}
    assert not left & {*get_args(Service), TRACKING_FILE}
    assert {path.name for path in (tmp_path / "pcgrl" / "all").iterdir()} - left == {*installed, TRACKING_FILE}


TINY = ["--problem", "binary", "--representation", "narrow", "--evaluation-levels", "3", "--shape", "5", "6"]
TINY += ["--ppo", "lanes", "8", "rollout", "16", "batch", "64", "--network", "channels", "4", "width", "16"]


def train(out, *arguments):
    """Trains a designer; returns the exit code, what it printed, and what it printed on standard error."""
    told, warned = io.StringIO(), io.StringIO()
    code = 0
    steps = [] if "--steps" in arguments else ["--steps", "256"]
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(warned):
        try:
            main(pcgrl.Options, pcgrl.train, [str(word) for word in ("--out", out, *TINY, *steps, *arguments)])
        except SystemExit as left:
            code = left.code or 0
    return code, told.getvalue(), warned.getvalue()


def test_a_run_is_told_as_it_is_written(tmp_path, listen):
    made = listen("comet")
    tracked = ["--track", "tensorboard", "comet", "tensorboard"]
    folder = tmp_path / "pcgrl" / "binary-narrow-seed0"
    code, text, err = train(tmp_path, *tracked)
    assert code == 0, err
    assert text.count(f"tensorboard --logdir {folder / 'tensorboard'}") == 1
    told = assert_as_written(folder, "train/loss", "steps_per_second", "evaluation/quality/mean")
    assert {"curves", "levels"} <= told.drawn
    [first] = made
    assert [step for _, step in first.heard("log")] == [128, 256, 256]
    assert first.heard("options")[0][0] == json.loads((folder / "config.json").read_text())
    assert first.heard("close") == [(True,)]
    # As if it had been killed after another line, before its next checkpoint: that line was told.
    lines = (folder / "metrics.csv").read_text().splitlines()
    (folder / "metrics.csv").write_text("\n".join([*lines, lines[-1].replace("256", "384", 1)]) + "\n")
    assert train(tmp_path, *tracked, "--resume", "--steps", "512")[0] == 0
    steps = [[step for row, step in one.heard("log") if "entropy" in row] for one in made]
    assert steps == [[128, 256], [512]]
    assert made[1].heard("begin") == [("id of binary-narrow-seed0",)]
    assert [step for step, _ in read_tensorboard(folder).figures["entropy"]] == [128, 256, 512]


def test_who_begins_anew_forgets_what_was_tracked(tmp_path, listen):
    made = listen("comet")
    for steps, resume in (((1, 2), False), ((3,), True), ((1,), False)):
        with Tracking(["tensorboard", "comet"], tmp_path, resume=resume) as tracking:
            for step in steps:
                tracking.log({"loss": 1.0}, step)
    name = f"id of {tmp_path.name}"
    assert [one.heard("begin") for one in made] == [[("",)], [(name,)], [("",)]]
    write_config(tmp_path)
    with Tracking(["tensorboard"], tmp_path, resume=True):
        pass
    assert read_tensorboard(tmp_path).figures["loss"] == [(1, 1.0)]
    assert json.loads((tmp_path / TRACKING_FILE).read_text()) == {"comet": name}


def test_what_fails_later_is_left_out_with_a_warning(tmp_path, listen):
    steady, frail = listen("comet"), listen("wandb", "log", "close")
    code, _, err = train(tmp_path, "--track", "wandb", "comet")
    assert code == 0
    assert err.strip() == "warning: wandb failed (the line is dead): the run goes on without it."
    assert [len(made[0].heard("log")) for made in (frail, steady)] == [1, 3]
    assert frail[0].heard("close") == [(False,)]
    assert steady[0].heard("close") == [(True,)]


@pytest.mark.parametrize("what", ["options", "picture", "close"])
def test_a_service_may_fail_in_whatever_it_does(tmp_path, listen, what, capsys):
    made = listen("wandb", what)
    with Tracking(["wandb"], tmp_path, resume=False):
        draw(tmp_path / "levels.png")
    captured = capsys.readouterr()
    assert captured.err.count("warning: wandb failed") == 1
    assert "Tracked" not in captured.out
    assert made[0].heard(what)


def test_what_cannot_begin_is_told_before_the_training(tmp_path, listen):
    begun, refusing = listen("comet"), listen("wandb", "begin")
    code, text, err = train(tmp_path, "--track", "comet", "wandb")
    assert code == 2
    assert err == "error: --track wandb cannot begin: the line is dead; mend that or leave it out.\n"
    assert "steps/s" not in text
    assert begun[0].heard("close") == [(False,)]
    assert not refusing[0].heard("log")


def test_an_interrupted_run_is_not_done(tmp_path, listen, capsys):
    made = listen("wandb")

    def run():
        with Tracking(["wandb"], tmp_path, resume=False):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert made[0].heard("close") == [(False,)]
    assert "Tracked" not in capsys.readouterr().out


@pytest.mark.parametrize("there", [False, True])
def test_a_missing_package_is_told_before_anything_is_made(tmp_path, monkeypatch, there):
    monkeypatch.setattr(TRACKERS["mlflow"], "packages", ("tilewright_no_such_package",))
    monkeypatch.syspath_prepend(str(tmp_path))
    if there:
        # A folder in which the service worked before is no package.
        (tmp_path / "tilewright_no_such_package").mkdir()
    code, _, err = train(tmp_path / "runs", "--track", "tensorboard", "mlflow")
    assert code == 2
    assert err.count("\n") == 1
    assert "--track mlflow" in err
    assert "pip install 'tilewright[mlflow]'" in err
    assert not (tmp_path / "runs").exists()


def test_services_are_named_once():
    assert tuple(TRACKERS) == get_args(Service)
    assert TrackOptions().track == ("tensorboard",)
    assert TrackOnRequestOptions().track == ()
    with pytest.raises(UserError, match="did you mean 'wandb'"):
        check_installed(["wandbb"])


def test_nobody_is_told_and_nothing_is_left(tmp_path):
    write_config(tmp_path)
    with Tracking((), tmp_path, resume=False) as tracking:
        tracking.log({"loss": 1.0}, 1)
        tracking.results("judged", {"mean": 1.0})
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_variables_that_are_set_stay(tmp_path, listen, monkeypatch):
    made = listen("wandb")
    monkeypatch.setattr(TRACKERS["wandb"], "variables", {"WANDB_MODE": "offline", "WANDB_PROJECT": "tilewright"})
    monkeypatch.setenv("WANDB_MODE", "online")
    with Tracking(["wandb"], tmp_path, resume=False):
        assert (os.environ["WANDB_MODE"], os.environ["WANDB_PROJECT"]) == ("online", "tilewright")
    assert made


def test_offline_by_default_and_no_reports_to_the_makers():
    variables = {name: value for tracker in TRACKERS.values() for name, value in tracker.variables.items()}
    assert variables["WANDB_MODE"] == "offline"
    assert variables["COMET_START_ONLINE"] == "false"
    assert "MLFLOW_TRACKING_URI" not in variables
    assert variables["WANDB_ERROR_REPORTING"] == variables["COMET_ERROR_TRACKING_ENABLE"] == "false"
    assert variables["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_experiments_load_no_service():
    code = "import experiments.run, experiments.tracking, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"wandb", "comet_ml", "mlflow", "tensorboard", "torch", "matplotlib"} & set(done.stdout.split())


_FULL_DISK = """
import sys
from pathlib import Path
from experiments.tracking import Tracking
disk = Path(sys.argv[1])
with Tracking(["tensorboard"], disk, resume=False) as tracking:
    for step in range(3000):
        tracking.log({"loss": 1.0}, step)
        if step == 3:
            with (disk / "ballast").open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(4096))
                except OSError:
                    pass
"""


def test_a_full_disk(tmp_path):
    """On a real one."""
    own = ["unshare", "--user", "--map-root-user", "--mount"]
    mount = f"mount -t tmpfs -o size=1m none {tmp_path}"
    if (
        not shutil.which("unshare")
        or subprocess.run([*own, "sh", "-c", mount], capture_output=True, check=False).returncode
    ):
        pytest.skip("this system lets nobody but root mount disks")
    command = [*own, "sh", "-c", f'{mount} && exec "$0" -c "$1" {tmp_path}', sys.executable, _FULL_DISK]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("warning: tensorboard failed") == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
