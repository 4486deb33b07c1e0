"""What it costs a training to lose a node, and what it takes to get another: steps lost, time to recover, the curve.

    python -m benchmarks.node_loss
    python -m benchmarks.node_loss --problem binary --representation narrow --seconds 90 --kill 30 --add 50

Trains by RLlib over nodes on this machine (`cluster.local_cluster`), one environment runner a node, and the head's
processors and the driver besides. In mid-training the youngest node is killed, later another begins. Seconds count
from the first update, when kernels are compiled. Writes node_loss.json and node_loss.png beside the run.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from agents.engines import Cluster
from agents.networks import NetworkConfig
from agents.presets import preset
from agents.tasks import Task
from agents.training import METRICS_FILE, Progress
from benchmarks.environments import machine
from cluster.local_cluster import LocalCluster
from envs.files import write_atomically
from envs.records import read_metrics

#: A rollout counts as whole with this share of the steps of whole ones: episodes that end cost lanes a step each.
_WHOLE = 0.9


@dataclass(frozen=True)
class Update:
    """An update of the training.

    Attributes:
        at: when it was made, in seconds.
        steps: environment steps of its rollout.
        total: environment steps of the training so far, as it says itself.
        value: the mean return of recent episodes.
    """

    at: float
    steps: int
    total: int
    value: float


@dataclass
class Drill:
    """What happened; seconds count from the first update.

    Attributes:
        updates: all updates but the first.
        killed: when the node was killed.
        added: when the new node had joined.
        share: how many steps a rollout of the killed runner has.
    """

    updates: list[Update] = field(default_factory=list)
    killed: float = 0.0
    added: float = 0.0
    share: int = 0

    @property
    def whole(self) -> float:
        """Steps of a rollout of all runners."""
        return statistics.median(one.steps for one in self.updates if one.at < self.killed)

    @property
    def interrupted(self) -> Update:
        """The update whose rollout the node was killed in."""
        return next(one for one in self.updates if one.at > self.killed)

    @property
    def lost(self) -> int:
        """Steps that had been ordered of the killed runner and never came: nobody learnt from them or counted them."""
        return max(round(self.whole - self.interrupted.steps), 0)

    @property
    def recovered(self) -> float | None:
        """When the first rollout of all runners was learnt from again."""
        after = (one.at for one in self.updates if one.at > self.added and one.steps >= _WHOLE * self.whole)
        return next(after, None)

    def speed(self, first: float, last: float) -> float:
        """Steps a second between two moments."""
        inside = [one for one in self.updates if first < one.at <= last]
        if not inside:
            return float("nan")
        return sum(one.steps for one in inside) / (last - first)

    def longest(self, first: float, last: float) -> float:
        """The longest time between updates, in seconds, of those made between two moments."""
        times = [one.at for one in self.updates]
        between = (now - before for before, now in pairwise(times) if first < now <= last)
        return max(between, default=float("nan"))

    def counted_once(self) -> bool:
        """Whether every step that was learnt from was counted once."""
        return all(now.total - before.total == now.steps for before, now in pairwise(self.updates))


def drill(
    folder: Path,
    *,
    problem: str,
    representation: str,
    nodes: int,
    lanes: int,
    rollout: int,
    seconds: float,
    kill: float,
    add: float,
) -> Drill:
    """Trains, kills a node and adds one.

    Args:
        folder: the run folder.
        problem: what to design.
        representation: how to edit.
        nodes: nodes, and environment runners.
        lanes: levels that are designed side by side.
        rollout: steps of each lane between updates.
        seconds: when the training ends.
        kill: when the youngest node is killed.
        add: when another begins.
    """
    settings = preset(representation, look_ahead=False)
    task = Task({"problem": problem, "representation": representation, "crop": [9, 9]}, NetworkConfig(width=64))
    ppo = dataclasses.replace(
        settings.ppo, steps=2**62, lanes=lanes, rollout=rollout, batch=512, epochs=1, checkpoint_seconds=10.0
    )
    record = Drill(share=lanes // nodes * rollout)
    with LocalCluster(nodes) as local:
        # Before Ray is imported, which reads them once.
        os.environ |= local.environment
        cluster = Cluster(local.address, num_env_runners=nodes)
        from agents.rllib.trainer import RLlibTrainer  # noqa: PLC0415

        trainer = RLlibTrainer(task, ppo, folder, cluster=cluster)
        began = 0.0
        timers: list[threading.Timer] = []

        def at(due: float, happen: Callable[[], object]) -> None:
            timers.append(threading.Timer(due, happen))
            timers[-1].start()

        def kill_node() -> None:
            record.killed = time.perf_counter() - began
            local.kill_node()

        def add_node() -> None:
            local.add_node()
            record.added = time.perf_counter() - began

        def report(progress: Progress, share: float, means: dict[str, float]) -> None:
            nonlocal began
            if not began:
                began = time.perf_counter()
                at(kill, kill_node)
                at(add, add_node)
                return
            now = time.perf_counter() - began
            rollout = trainer.algorithm.rollout
            assert rollout is not None
            record.updates.append(Update(now, rollout.steps, progress.steps, means.get("return", float("nan"))))
            if now > seconds:
                trainer.ppo = dataclasses.replace(trainer.ppo, steps=progress.steps)

        try:
            trainer.learn(report)
        finally:
            for timer in timers:
                timer.cancel()
            for timer in timers:
                timer.join()
            trainer.close()
    return record


def describe(record: Drill) -> list[tuple[str, str]]:
    """Returns the figures by name."""
    recovered = record.recovered
    end = record.updates[-1].at
    back = recovered if recovered is not None else end
    figures = [
        ("steps/s before", f"{record.speed(0, record.killed):,.0f}"),
        ("steps/s from the kill to recovery", f"{record.speed(record.killed, back):,.0f}"),
        ("steps/s after recovery", f"{record.speed(back, end):,.0f}" if recovered is not None else "none"),
        ("steps lost", f"{record.lost:,} of the {record.share:,} that the killed runner was making"),
        ("longest time between updates before, s", f"{record.longest(0, record.killed):.1f}"),
        ("longest time between updates after the kill, s", f"{record.longest(record.killed, back):.1f}"),
        ("kill to the next update, s", f"{record.interrupted.at - record.killed:.1f}"),
        ("kill to the new node having joined, s", f"{record.added - record.killed:.1f}"),
        (
            "new node joined to a whole rollout, s",
            f"{recovered - record.added:.1f}" if recovered is not None else "not within the run",
        ),
        ("every step counted once", "yes" if record.counted_once() else "NO"),
    ]
    return figures


def draw(record: Drill, path: Path, title: str) -> None:
    """Draws steps and returns over time, with what happened."""
    import matplotlib  # noqa: PLC0415 (slow to import)

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, (upper, middle, lower) = plt.subplots(3, 1, figsize=(9, 8), sharex=True, constrained_layout=True)
    times = [one.at for one in record.updates]
    upper.plot(times, [one.total / 1000 for one in record.updates], marker=".", markersize=3)
    upper.set_ylabel("thousand steps")
    upper.set_title(title)
    middle.plot(times, [one.steps for one in record.updates], ".", markersize=3)
    middle.set_ylabel("steps of an update")
    middle.set_ylim(0)
    lower.plot(times, [one.value for one in record.updates])
    lower.set_ylabel("mean return")
    lower.set_xlabel("seconds since the first update")
    events = [("node killed", record.killed, "tab:red"), ("another joined", record.added, "tab:orange")]
    if record.recovered is not None:
        events.append(("whole again", record.recovered, "tab:green"))
    for axes in (upper, middle, lower):
        for name, at, colour in events:
            axes.axvline(at, color=colour, linestyle="--", linewidth=1, label=f"{name}, {at:.0f} s")
    upper.legend(loc="upper left")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", default="zelda")
    parser.add_argument("--representation", default="turtle")
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--lanes", type=int, default=64)
    parser.add_argument("--rollout", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--kill", type=float, default=40.0)
    parser.add_argument("--add", type=float, default=60.0)
    parser.add_argument("--out", type=Path, default=Path("runs/node_loss"))
    given = parser.parse_args(arguments)
    if not 0 < given.kill < given.add < given.seconds:
        parser.error("--kill, --add and --seconds must follow one another")
    given.out.mkdir(parents=True, exist_ok=True)
    settings = {name: value for name, value in vars(given).items() if name != "out"}
    record = drill(given.out, **settings)
    figures = describe(record)
    print(machine())
    print(f"{given.problem}-{given.representation}, {given.nodes} nodes, {given.lanes} lanes x {given.rollout} steps")
    for name, value in figures:
        print(f"| {name} | {value} |")
    steps = read_metrics(given.out / METRICS_FILE)["steps"]
    print(f"metrics.csv: {len(steps)} updates, {int(steps[-1]):,} steps")
    content = {"settings": settings, **dataclasses.asdict(record), "figures": dict(figures)}
    write_atomically(given.out / "node_loss.json", (json.dumps(content, indent=1) + "\n").encode())
    picture = given.out / "node_loss.png"
    draw(record, picture, f"{given.problem}-{given.representation}: a node of {given.nodes} killed, another added")
    print(f"Look at    {picture}")


if __name__ == "__main__":
    main()
