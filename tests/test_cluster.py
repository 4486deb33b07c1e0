"""Clusters: the files that launch them, the one on this machine, and trainings that outlive what happens to them."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.engines import Cluster
from agents.rewards import RewardConfig
from agents.sb3_training import SB3Trainer
from agents.tasks import Task
from agents.training import CHECKPOINT_FILE, METRICS_FILE, PPOConfig
from envs.records import read_metrics
from experiments import pcgrl
from tests.designers import SMALL, assert_names, options_of

ray = pytest.importorskip("ray")
yaml = pytest.importorskip("yaml")

from agents.rllib.connection import connect  # noqa: E402
from cluster.local_cluster import LocalCluster, Options, _run_beside, main, run  # noqa: E402

# Elsewhere the addresses of a cluster's nodes must be made first, and processes are not found under /proc.
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="of the cluster on one machine as Linux has it")

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "cluster"

# What a process on this machine needs to find the project, wherever it begins.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


# The files.


def pinned(package):
    return re.search(rf"^{package}==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE).group(1)


@pytest.mark.parametrize("name", ["on_premise", "aws"])
def test_launcher_files_are_what_ray_asks_for(name):
    from ray.autoscaler._private.util import prepare_config, validate_config

    given = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    config = prepare_config(given)
    validate_config(config)
    assert sum(kind["min_workers"] for kind in config["available_node_types"].values()) >= 2
    commands = "\n".join(config["setup_commands"])
    assert "-c constraints.txt" in commands
    assert "[rllib]" in commands
    # The token goes to every machine, and every `ray start` asks for it.
    assert "~/.ray/auth_token" in config["file_mounts"].values()
    starts = [
        line for side in ("head", "worker") for line in config[f"{side}_start_ray_commands"] if "ray start" in line
    ]
    assert len(starts) == 2
    everywhere = "-e RAY_AUTH_MODE=token" in config["docker"].get("run_options", [])
    assert everywhere or all("RAY_AUTH_MODE=token" in line for line in starts)
    assert "--head" in starts[0]
    assert "--address=$RAY_HEAD_IP:6379" in starts[1]
    # What lies at the places that are copied from.
    for source in config["file_mounts"].values():
        assert source.startswith("~") or (ROOT / source / "constraints.txt").exists()
    # A misspelt name would be refused.
    with pytest.raises(Exception, match="worker_setup_command"):
        validate_config({**config, "worker_setup_command": []})


def test_images_have_the_versions_that_are_pinned():
    version = pinned("ray")
    least = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    image = f"rayproject/ray:{version}-py{least.replace('.', '')}-cpu"
    assert yaml.safe_load((FOLDER / "aws.yaml").read_text())["docker"]["image"] == image
    assert f"FROM {image}\n" in (FOLDER / "Dockerfile").read_text()
    job = list(yaml.safe_load_all((FOLDER / "rayjob.yaml").read_text()))[-1]
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == version


def test_the_job_on_kubernetes_is_of_one_piece():
    settings, claim, job = yaml.safe_load_all((FOLDER / "rayjob.yaml").read_text())
    assert [one["kind"] for one in (settings, claim, job)] == ["ConfigMap", "PersistentVolumeClaim", "RayJob"]
    assert job["apiVersion"] == "ray.io/v1"
    spec = job["spec"]
    cluster = spec["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token", "secretName": "tilewright-token"}
    head, (workers,) = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    # What is mounted is there, and the driver's run folder is on it.
    pod = head["template"]["spec"]
    (container,) = pod["containers"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["runs"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert volumes["training"]["configMap"]["name"] == settings["metadata"]["name"]
    places = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(places) == set(volumes)
    (script,) = settings["data"]
    assert spec["entrypoint"] == f"bash {places['training']}/{script}"
    # All pods run one image.
    (other,) = workers["template"]["spec"]["containers"]
    assert container["image"] == other["image"]
    # The script trains by options that exist, on processors that are there, and goes on from its own checkpoint.
    text = settings["data"][script]
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    command = shlex.split(re.search(r"exec python -m experiments\.pcgrl (.*)", text.replace("\\\n", " ")).group(1))
    assert command[-1] == "$resume"
    import tyro

    for extra in ([], ["--resume"]):
        options = tyro.cli(pcgrl.Options, args=command[:-1] + extra)
        assert options.resume == bool(extra)
    assert options.engine == "rllib"
    assert options.out == Path(places["runs"])
    assert f"{options.out}/pcgrl/{options.name}/{CHECKPOINT_FILE}" in text
    assert head["rayStartParams"]["num-cpus"] == "0"
    processors = workers["replicas"] * int(other["resources"]["requests"]["cpu"])
    assert options.num_env_runners == processors


# The cluster on this machine.

_JOIN = """
import json, os, ray
from agents.engines import Cluster
from agents.rllib.connection import connect
connect(Cluster("auto"))

@ray.remote(num_cpus=1, scheduling_strategy="SPREAD")
def look(wait):
    import time, envs, agents, generators, experiments
    time.sleep(wait)
    return ray.util.get_node_ip_address(), envs.__file__

print(json.dumps(ray.get([look.remote(2.0), look.remote(2.0)])))
"""


def processes_of(group):
    """The processes of a group that still run."""
    states = [path / "stat" for path in Path("/proc").iterdir() if path.name.isdigit()]
    found = []
    for path in states:
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def gone(groups, patience=20.0):
    began = time.monotonic()
    while any(processes_of(group) for group in groups):
        if time.monotonic() - began > patience:
            return False
        time.sleep(0.1)
    return True


def test_a_cluster_on_this_machine(tmp_path):
    """Two nodes that find the project because it is sent to them; strangers stay out; nothing is left behind."""
    with LocalCluster(2, cpus_per_node=1) as cluster:
        groups = [node.process.pid for node in cluster.nodes]
        assert [node.name for node in cluster.nodes] == ["head", "node-1"]
        assert cluster.folder.stat().st_mode & 0o077 == 0
        assert all(processes_of(group) for group in groups)
        joined = subprocess.run(
            [sys.executable, "-c", _JOIN],
            env={**ENVIRONMENT, **cluster.environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        places = json.loads(joined.stdout.strip().splitlines()[-1])
        assert {host for host, _ in places} == {node.host for node in cluster.nodes}
        assert all("runtime_resources" in path for _, path in places)
        stranger = {**ENVIRONMENT, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "guess"}
        code = f"import ray; ray.init('{cluster.address}')"
        refused = subprocess.run(
            [sys.executable, "-c", code], env=stranger, capture_output=True, text=True, check=False
        )
        assert refused.returncode
        assert "InvalidAuthToken" in refused.stderr
        killed = cluster.kill_node()
        assert killed.name == "node-1"
        assert gone(groups[1:])
        assert processes_of(groups[0])
        assert_names(cluster.kill_node, ["Only the head is left"])
        folder = cluster.folder
    assert gone(groups)
    assert not folder.exists()


def test_a_command_beside_a_cluster(tmp_path, capfd):
    """Its exit code is ours, it sees the address, and an interrupt reaches it before the nodes end."""
    code = (
        "import os, time\n"
        "print('at', os.environ['RAY_ADDRESS'], flush=True)\n"
        "try: time.sleep(60)\n"
        "except KeyboardInterrupt: print('saved', flush=True); raise SystemExit(0)\n"
    )
    command = [sys.executable, "-m", "cluster.local_cluster", "--nodes", "1", "--", sys.executable, "-c", code]
    launcher = subprocess.Popen(
        command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    said = [launcher.stdout.readline() for _ in range(2)]
    assert "is up at" in said[0]
    assert said[1].split() == ["at", said[0].split()[-1].rstrip(".")]
    children = [pid for pid in _children(launcher.pid) if b"ray" in _command(pid)]
    assert children
    launcher.send_signal(signal.SIGTERM)
    out, error = launcher.communicate(timeout=60)
    assert out == "saved\n"
    assert error.strip() == "Interrupted; the cluster has ended."
    assert launcher.returncode == 130
    assert gone(children)
    assert _run_beside([sys.executable, "-c", "raise SystemExit(7)"], os.environ, []) == 7
    assert main(["--nodes", "1", "--", "no-such-command"]) == 2
    assert "no-such-command cannot be run" in capfd.readouterr().err


def _children(pid):
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _command(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.parametrize(
    ("options", "command", "words"),
    [
        ({}, [], ["behind --"]),
        ({"nodes": 0}, ["true"], ["nodes", "at least 1", "0"]),
        ({"cpus_per_node": 0}, ["true"], ["cpus_per_node", "0"]),
        ({"store_megabytes": 10}, ["true"], ["store_megabytes", "75", "10"]),
        ({"kill_after": -1.0}, ["true"], ["kill_after", "-1"]),
        ({"add_after": float("nan")}, ["true"], ["add_after", "nan"]),
        ({"nodes": 1, "kill_after": 5.0}, ["true"], ["besides the head", "nodes=1"]),
    ],
)
def test_clusters_that_cannot_be(options, command, words):
    assert_names(lambda: run(Options(**options), command), words)


@pytest.mark.parametrize("address", ["127.0.0.1:{}", "auto", "ray://127.0.0.1:{}", "127.0.0.1:99999"])
def test_an_address_where_nobody_is(monkeypatch, address):
    """Such as one that a head that was killed has left behind: told at once."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{nobody.getsockname()[1]}")
        given = address.format(nobody.getsockname()[1])
        began = time.monotonic()
        assert_names(lambda: connect(Cluster(given)), ["No Ray cluster is at", "127.0.0.1:", "ray start --head"])
        assert time.monotonic() - began < 5


# What happens to trainings.


@pytest.mark.slow
def test_a_node_killed_in_training_and_another_added(tmp_path):
    """The training goes on meanwhile, loses at most what the node was making, and is whole again afterwards."""
    command = "-m benchmarks.node_loss --problem binary --representation narrow --lanes 16 --rollout 32"
    command += f" --seconds 150 --kill 5 --add 8 --out {tmp_path}"
    subprocess.run([sys.executable, *command.split()], cwd=ROOT, env=ENVIRONMENT, check=True, timeout=500)
    found = json.loads((tmp_path / "node_loss.json").read_text())
    updates, killed = found["updates"], found["killed"]
    before = [one["steps"] for one in updates if one["at"] < killed]
    after = [one["steps"] for one in updates if one["at"] > killed]
    whole = np.median(before)
    # Nobody waited for the dead, and half of the lanes went on.
    assert len(after) > 20
    np.testing.assert_allclose(after[:20], whole / 2, rtol=0.1)
    np.testing.assert_allclose(after[-5:], whole, rtol=0.1)
    # What was learnt from is counted, once.
    totals = [one["total"] for one in updates]
    assert np.diff(totals).tolist() == [one["steps"] for one in updates[1:]]
    metrics = read_metrics(tmp_path / METRICS_FILE)
    assert metrics["steps"][1:].tolist() == totals
    assert np.isfinite(metrics["return"][-1])
    assert (tmp_path / "node_loss.png").stat().st_size > 10_000


SETTINGS = "--problem binary --representation narrow --shape 5 6 --look-ahead False --evaluation-levels 2 --name it"
PPO = "--ppo lanes 8 rollout 16 batch 32 epochs 1 checkpoint_seconds 0.2"


def train(folder, *options):
    command = [sys.executable, "-m", "experiments.pcgrl", *f"{SETTINGS} {PPO} --out {folder}".split(), *options]
    return subprocess.Popen(
        command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def descendants(pid):
    found = []
    for child in _children(pid):
        found += [child, *descendants(child)]
    return found


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    "engine",
    [
        ["--engine", "sb3"],
        pytest.param(["--engine", "rllib", "--num-env-runners", "2"], marks=pytest.mark.slow),
    ],
    ids=lambda engine: engine[1],
)
def test_a_driver_killed_and_resumed(tmp_path, engine):
    """No step is counted twice, and the curve goes on where the checkpoint was."""
    run_folder = tmp_path / "pcgrl" / "it"
    driver = train(tmp_path, "--steps", "1000000000", *engine)
    began = time.monotonic()
    while not (run_folder / CHECKPOINT_FILE).exists() or len(_lines(run_folder)) < 8:
        assert driver.poll() is None, driver.stdout.read()
        assert time.monotonic() - began < 200
        time.sleep(0.05)
    begun = descendants(driver.pid)
    driver.kill()
    driver.wait()
    assert bool(begun) == ("rllib" in engine)
    # Ray's processes end with the driver that began them.
    while any(running(pid) for pid in begun):
        assert time.monotonic() - began < 240
        time.sleep(0.1)
    checkpoint = torch.load(run_folder / CHECKPOINT_FILE, weights_only=True)["progress"]
    left = read_metrics(run_folder / METRICS_FILE)
    assert checkpoint["steps"] in left["steps"]

    # A tenth update after the checkpoint ends it.
    resumed = train(tmp_path, "--steps", str(checkpoint["steps"] + 9 * 100), "--resume", *engine)
    said, _ = resumed.communicate(timeout=200)
    assert resumed.returncode == 0, said
    metrics = read_metrics(run_folder / METRICS_FILE)
    kept = int((metrics["steps"] <= checkpoint["steps"]).sum())
    # What was there before the checkpoint stands as it was; what came after it was made anew, and stands once.
    for name in ("steps", "updates", "episodes", "return"):
        np.testing.assert_array_equal(metrics[name][:kept], left[name][:kept], err_msg=name)
    assert metrics["updates"].tolist() == list(range(1, len(metrics["updates"]) + 1))
    added = np.diff(metrics["steps"])
    assert (added > 0).all()
    assert (added <= 8 * 16).all()
    assert len(added) >= kept + 6
    assert metrics["steps"][kept - 1] == checkpoint["steps"]
    for name in ("seconds", "episodes"):
        assert (np.diff(metrics[name]) >= 0).all()
    end = torch.load(run_folder / CHECKPOINT_FILE, weights_only=True)["progress"]
    assert end["steps"] == metrics["steps"][-1]
    assert end["updates"] == len(metrics["steps"])


def _lines(folder):
    path = folder / METRICS_FILE
    return path.read_text().splitlines() if path.exists() else []


PPO_CONFIG = PPOConfig(steps=256, lanes=8, rollout=16, batch=32, epochs=1, checkpoint_seconds=0)


def trainer_of(folder, **ppo):
    task = Task(options_of("binary", "narrow", step_limit=12), SMALL, RewardConfig())
    return SB3Trainer(task, dataclasses.replace(PPO_CONFIG, **ppo), folder)


def test_a_checkpoint_that_the_system_cuts_short(tmp_path):
    """The system stops writing in the middle of the file, as a full disk does: the old one stays whole."""
    trainer = trainer_of(tmp_path)
    trainer.learn()
    path = tmp_path / CHECKPOINT_FILE
    before, files = path.read_bytes(), sorted(tmp_path.iterdir())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        assert_names(trainer.save_checkpoint, [path, "file too large", "ulimit -f"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == files
    again = trainer_of(tmp_path, steps=512)
    again.resume()
    assert again.learn().steps == 512


# Runs with a disk of its own, of two megabytes, that is full after some updates.
_FULL_DISK = """
import os, sys
from pathlib import Path
from envs import UserError
from agents.training import CHECKPOINT_FILE
from tests.test_cluster import trainer_of
disk = Path(sys.argv[1])
trainer = trainer_of(disk, steps=384)
trainer.learn()
before = (disk / CHECKPOINT_FILE).read_bytes()
ballast = disk / "ballast"

def fill(progress, share, means):
    if progress.updates == 5:
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

longer = trainer_of(disk, steps=10**6, checkpoint_seconds=1e9)
longer.resume()
try:
    longer.learn(fill)
except UserError as error:
    print("told:", error)
assert (disk / CHECKPOINT_FILE).read_bytes() == before
try:
    longer.save_checkpoint()
except UserError as error:
    print("told:", error)
assert (disk / CHECKPOINT_FILE).read_bytes() == before
assert not list(disk.glob(".*part"))
ballast.unlink()
again = trainer_of(disk, steps=768)
again.resume()
assert again.progress.steps == 384
print("reached", again.learn().steps)
"""


def test_a_full_disk(tmp_path):
    """On a real one: what could not be written is told in a sentence, and the run goes on once there is room."""
    own = ["unshare", "--user", "--map-root-user", "--mount"]
    mount = f"mount -t tmpfs -o size=2m none {tmp_path}"
    if (
        not shutil.which("unshare")
        or subprocess.run([*own, "sh", "-c", mount], capture_output=True, check=False).returncode
    ):
        pytest.skip("this system lets nobody but root mount disks")
    shell = f'{mount} && exec "$0" -c "$1" {tmp_path}'
    command = [*own, "sh", "-c", shell, sys.executable, _FULL_DISK]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    log, checkpoint, reached = done.stdout.strip().splitlines()
    assert str(tmp_path) in log
    assert "no space left" in log
    assert "make room" in log
    assert str(tmp_path / CHECKPOINT_FILE) in checkpoint
    assert "free some space" in checkpoint
    assert reached == "reached 768"
