"""`python -m experiments.studio`: a fresh process that serves, and what it says where it cannot."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.testclient import TestClient

from experiments import studio
from experiments.studio import cli
from tests.serving import WINNABLE, save_generator

ROOT = Path(__file__).parent.parent


@pytest.fixture
def started(tmp_path):
    """Starts the studio in a process of its own; yields a function that takes its options and returns a client."""
    processes, clients = [], []

    def start(*options):
        command = [sys.executable, "-m", "experiments.studio", "--port", "0", "--no-open", *options]
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
        )
        processes.append(process)
        line = process.stdout.readline()
        found = re.match(r"The studio is at (http://\S+?/)(\?token=\S+)? \(its API at", line)
        assert found, line + process.stderr.read()
        clients.append(httpx.Client(base_url=found[1], timeout=60))
        return process, clients[-1]

    yield start
    for client in clients:
        client.close()
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_a_fresh_process_serves_and_ends_at_an_interrupt(started, tmp_path):
    folder = save_generator(tmp_path / "tiny")
    process, client = started("--models", str(folder))
    assert client.get("/").status_code == 200
    assert client.get("/api/health").json()["loaded"] == 0
    assert client.base_url.host == "127.0.0.1"
    told = client.post("/api/generators/tiny/sample", json={"count": 2}).json()
    assert len(told["levels"]) == 2
    assert client.post("/api/problems/sokoban/measure", json={"level": WINNABLE}).json()["playable"]
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode in (0, 130)
    assert "Traceback" not in errors


def test_it_serves_before_torch_is_loaded():
    """The first page does not wait for what is slow to import."""
    code = (
        "import sys; from starlette.testclient import TestClient; from service.app import make_app\n"
        "with TestClient(make_app(), base_url='http://127.0.0.1') as opened:\n"
        "    print(opened.get('/').status_code, opened.get('/api/generators').status_code)\n"
        "print(*[name for name in ('torch', 'ray', 'pygame', 'optuna', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["200", "200"]


def test_it_answers_to_the_name_that_it_shows(monkeypatch, capsys):
    served = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setattr(studio, "_listen", lambda host, port: listening)
        monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: served.append(self.config.app))
        cli(["--no-open", "--host", "mybox.lan"])
        cli(["--no-open", "--token", "a&b=c"])
    assert TestClient(served[0], base_url="http://mybox.lan").get("/api/problems").status_code == 200
    shown = re.search(r"http://\S+(?= \(its API)", capsys.readouterr().out.splitlines()[-1])[0]
    response = TestClient(served[1]).get(shown, follow_redirects=False)
    assert response.status_code == 303


def test_a_token_and_limits_come_from_the_command_line(started):
    _, client = started("--token", "open-sesame", "--limits.count", "3")
    assert client.get("/api/problems").status_code == 401
    client.headers["Authorization"] = "Bearer open-sesame"
    response = client.post("/api/generators/sokoban-constructive/sample", json={"count": 4})
    assert "At most 3 levels" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--models", "no-such-folder"], "There is no folder no-such-folder"),
        (["--token", "two words"], "printable ASCII"),
        (["--limits.count", "0"], "The limit count must be at least 1"),
        (["--host", "256.0.0.1"], "cannot listen on 256.0.0.1"),
        (["--port", "70000"], "cannot listen on 127.0.0.1:70000"),
    ],
)
def test_slips_are_told_in_one_sentence(capsys, options, words):
    with pytest.raises(SystemExit) as left:
        cli(["--no-open", *(() if "--port" in options else ("--port", "0")), *options])
    assert left.value.code == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert words in told[-1]
    assert told[-1].startswith("error: ")


def test_a_port_that_is_taken_is_told(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit):
        cli(["--no-open", "--port", str(taken.getsockname()[1])])
    assert "cannot listen on 127.0.0.1" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "prometheus_client", "python_multipart"])
def test_a_missing_package_is_told_in_one_sentence(capsys, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SystemExit):
        cli(["--no-open"])
    told = capsys.readouterr().err
    assert "pip install 'tilewright[serve]'" in told
    assert "Traceback" not in told
