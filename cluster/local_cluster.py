"""A Ray cluster of several nodes on this machine, to try a training on before machines are rented, and for drills.

    python -m cluster.local_cluster --nodes 2 -- python -m experiments.pcgrl --engine rllib --ray-address auto

Every node has an address (127.0.0.2 and on), a raylet and an object store of its own, and a token keeps others out.
Nodes find the project only where it is installed or sent to them, like other machines.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from envs import UserError

#: How many seconds a node may take to begin, and to end when it is asked to.
BEGIN_PATIENCE, END_PATIENCE = 90.0, 10.0

#: What `ray start` says when its node has joined.
_BEGUN = "Ray runtime started"

#: Ray keeps sockets in its folder, whose paths the system limits to about a hundred characters.
_SHORT_FOLDERS = Path("/tmp")


@dataclass(frozen=True)
class Node:
    """A node that runs.

    Attributes:
        name: "head", or "node-1" and on.
        host: its address.
        process: `ray start`, which leads a process group: the node's raylet and workers are all in it.
        log: where it writes what it says.
    """

    name: str
    host: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None


class LocalCluster:
    """A head and further nodes, each a process group of its own; ends with the `with` block.

    Args:
        nodes: how many there are at first, the head among them.
        cpus_per_node: how many processors each says that it has; more than there are in all is allowed.
        store_megabytes: the size of each node's object store.
        folder: where Ray keeps sockets and logs; by default a new one that goes with the cluster, unless a node does
            not begin. Its path must be short.

    Raises:
        UserError: an argument cannot be used, Ray is not installed, or a node does not begin.
    """

    def __init__(
        self,
        nodes: int = 2,
        *,
        cpus_per_node: int = 1,
        store_megabytes: int = 128,
        folder: Path | None = None,
    ) -> None:
        for name, value, least in (
            ("nodes", nodes, 1),
            ("cpus_per_node", cpus_per_node, 1),
            # Ray itself refuses less.
            ("store_megabytes", store_megabytes, 75),
        ):
            if value < least:
                raise UserError(f"{name} must be at least {least}; got {value}.")
        # The command belongs to the Python that runs this.
        self._ray = Path(sys.executable).with_name("ray")
        if not self._ray.exists():
            raise UserError("A local cluster needs Ray: pip install -e '.[rllib]'.")
        #: Whether logs stay when the cluster has ended.
        self._kept = folder is not None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="tw-", dir=_SHORT_FOLDERS))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.nodes: list[Node] = []
        self._begun = 0
        self._settings = [
            "--block",
            "--disable-usage-stats",
            "--log-style=record",
            f"--num-cpus={cpus_per_node}",
            f"--object-store-memory={store_megabytes * 2**20}",
        ]
        token = self.folder / "token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        self.address = f"{self._host(0)}:{_free_port(self._host(0))}"
        #: What a process needs to be let in; RAY_ADDRESS makes `--ray-address auto` mean this cluster and no other.
        self.environment = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_ADDRESS": self.address,
        }
        try:
            for _ in range(nodes):
                self.add_node()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> LocalCluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add_node(self) -> Node:
        """Begins another node, the head being the first, and waits until it has joined.

        Raises:
            UserError: it does not begin.
        """
        number, self._begun = self._begun, self._begun + 1
        host = self._host(number)
        command = [str(self._ray), "start", f"--node-ip-address={host}", *self._settings]
        if number:
            command += [f"--address={self.address}", "--dashboard-agent-listen-port=0"]
        else:
            command += [
                "--head",
                f"--port={self.address.rpartition(':')[2]}",
                f"--temp-dir={self.folder / 'ray'}",
                "--include-dashboard=false",
                # Other clusters on this machine have the usual ports.
                f"--dashboard-port={_free_port(host)}",
                f"--dashboard-agent-listen-port={_free_port(host)}",
                f"--ray-client-server-port={_free_port(host)}",
            ]
        name = f"node-{number}" if number else "head"
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**_without(os.environ, "PYTHONPATH", "RAY_AUTH_TOKEN", "RAY_ADDRESS"), **self._entry()},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Of its own, so that Ctrl-C reaches the command alone and a node can be ended as a whole.
                start_new_session=True,
            )
        node = Node(name, host, process, log)
        self.nodes.append(node)
        self._await(node)
        return node

    def kill_node(self, node: Node | None = None) -> Node:
        """Kills a node at once, as when its machine loses power; by default the one that began last.

        Raises:
            UserError: only the head is left.
        """
        if node is None:
            if len(self.nodes) < 2:
                raise UserError("Only the head is left, and a cluster ends with its head: begin more nodes.")
            node = self.nodes[-1]
        self.nodes.remove(node)
        _signal(node, signal.SIGKILL)
        node.process.wait()
        return node

    def close(self) -> None:
        """Ends all nodes, the head last; nothing else that runs on this machine is touched."""
        for node in reversed(self.nodes):
            if node.alive:
                node.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                node.process.wait(END_PATIENCE)
            # What it has left behind; the group exists as long as anything is in it.
            _signal(node, signal.SIGKILL)
            node.process.wait()
        self.nodes.clear()
        if not self._kept:
            shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def _host(number: int) -> str:
        # All of 127.0.0.0/8 is this machine (on Linux); Ray takes 127.0.0.1 for the machine's address outside.
        return f"127.0.0.{number + 2}"

    def _entry(self) -> dict[str, str]:
        return {name: value for name, value in self.environment.items() if name != "RAY_ADDRESS"}

    def _await(self, node: Node) -> None:
        began = time.monotonic()
        while _BEGUN not in node.log.read_text(errors="replace"):
            if not node.alive or time.monotonic() - began > BEGIN_PATIENCE:
                said = node.log.read_text(errors="replace").strip().splitlines() or ["nothing"]
                self._kept = True
                raise UserError(f"The {node.name} at {node.host} did not begin ({said[-1][-200:]}): read {node.log}.")
            time.sleep(0.1)


def _free_port(host: str) -> int:
    """Returns a port that nobody listens at."""
    with socket.socket() as one:
        try:
            one.bind((host, 0))
        except OSError as error:
            raise UserError(
                f"This machine has no address {host} ({error.strerror}): on macOS give it one by "
                f"`sudo ifconfig lo0 alias {host}`, and one to each further node."
            ) from error
        return one.getsockname()[1]


def _without(variables: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in variables.items() if name not in names}


def _signal(node: Node, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(node.process.pid, number)


@dataclass
class Options:
    """Run a command beside a Ray cluster on this machine.

    The command stands behind `--`. It finds the cluster by its environment, so that `--ray-address auto` joins it.
    Ctrl-C interrupts the command; the nodes end after it.

    Attributes:
        nodes: how many nodes there are, the head among them.
        cpus_per_node: how many processors each says that it has.
        store_megabytes: the size of each node's object store.
        kill_after: kill the youngest node so many seconds after the command began; 0 for never.
        add_after: add a node so many seconds after the command began; 0 for never.
    """

    nodes: int = 2
    cpus_per_node: int = 1
    store_megabytes: int = 128
    kill_after: float = 0.0
    add_after: float = 0.0


def run(options: Options, command: Sequence[str]) -> int:
    """Runs a command beside a cluster.

    Returns:
        The command's exit code.

    Raises:
        UserError: there is no command, an option cannot be used, or a node does not begin.
    """
    if not command:
        raise UserError("The command to run stands behind --: give one, such as -- python -m experiments.pcgrl.")
    if not shutil.which(command[0]):
        raise UserError(f"The command {command[0]} cannot be run: there is none of that name; check it.")
    for name in ("kill_after", "add_after"):
        if not 0 <= getattr(options, name) < threading.TIMEOUT_MAX:
            raise UserError(f"{name} must be a number of seconds of at least 0; got {getattr(options, name)}.")
    if options.kill_after and options.nodes < 2:
        raise UserError(f"Killing a node takes one besides the head; got nodes={options.nodes}.")
    with (
        _interrupted_by(signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
        LocalCluster(
            options.nodes, cpus_per_node=options.cpus_per_node, store_megabytes=options.store_megabytes
        ) as cluster,
    ):
        print(f"A Ray cluster of {options.nodes} nodes is up at {cluster.address}.", flush=True)
        events: list[tuple[float, Callable[[], Node], str]] = []
        if options.kill_after:
            events.append((options.kill_after, cluster.kill_node, "was killed"))
        if options.add_after:
            events.append((options.add_after, cluster.add_node, "was added"))
        return _run_beside(command, {**os.environ, **cluster.environment}, sorted(events, key=lambda event: event[0]))


def _run_beside(
    command: Sequence[str], environment: Mapping[str, str], events: list[tuple[float, Callable[[], Node], str]]
) -> int:
    began = time.monotonic()
    # In a group of its own, so that it is interrupted once, by this process.
    process = subprocess.Popen(command, env=environment, process_group=0)
    try:
        for due, happen, what in events:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(began + due - time.monotonic(), 0))
                break
            node = happen()
            print(f"{time.monotonic() - began:.0f} s: {node.name} ({node.host}) {what}.", flush=True)
        return process.wait()
    except BaseException:
        # An interrupt makes a training write a checkpoint; a second one does not wait for it.
        try:
            process.send_signal(signal.SIGINT)
            process.wait()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        raise


@contextmanager
def _interrupted_by(*signals: signal.Signals) -> Iterator[None]:
    """Makes signals interrupt this process like Ctrl-C, even where they are ignored, so that nothing stays behind."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {one: signal.signal(one, interrupt) for one in signals}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs from the command line; returns the exit code."""
    import tyro  # noqa: PLC0415 (the cluster can be used without the command line)

    given = list(sys.argv[1:] if arguments is None else arguments)
    split = given.index("--") if "--" in given else len(given)
    options = tyro.cli(Options, prog="python -m cluster.local_cluster", args=given[:split])
    try:
        return run(options, given[split + 1 :])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted; the cluster has ended.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
