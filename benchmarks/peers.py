r"""Steps a second of Tilewright's environments beside gym-pcgrl's (Khalifa 2020), in one run on one machine.

    git clone https://github.com/amidos2006/gym-pcgrl
    python -m venv old && old/bin/pip install "numpy<2" pillow gym==0.26.2
    python -m benchmarks.peers --gym-pcgrl gym-pcgrl --python old/bin/python
    python -m benchmarks.peers --gym-pcgrl gym-pcgrl --python old/bin/python --problems sokoban --valid
    python -m benchmarks.peers --gym-pcgrl gym-pcgrl --python old/bin/python --problems smb \
        --play-every 100 --to-the-end

Both make random actions, resets counted, and give every step's observation, reward and info. The rounds of the three
contestants (gym-pcgrl, our environment with one lane, and with many) take turns, so that a machine that slows down
slows all of them; the figures are medians. gym-pcgrl runs in an interpreter of its own, because it needs old packages,
and without the wrappers that its training puts around it.

With --valid every episode starts from a level of our constructive generator, on which solvers have work to do;
otherwise from the problem's random levels. Levels have the published sizes.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import gymnasium
import numpy as np
from numpy.typing import NDArray

import envs
from benchmarks.environments import machine

PROBLEMS = ("binary", "zelda", "sokoban", "ddave", "mdungeon", "smb")
REPRESENTATIONS = ("narrow", "turtle", "wide")

Step = Callable[[], None]


class Peer:
    """gym-pcgrl's environment in a process of its own.

    Args:
        options: the command line.
        problem: the problem's name.
        representation: the representation's name.
        starts: a .npy file of levels to start from, or None.
    """

    def __init__(self, options: argparse.Namespace, problem: str, representation: str, starts: Path | None) -> None:
        worker = Path(__file__).with_name("peer_worker.py")
        command = [options.python, worker, options.gym_pcgrl, problem, representation, *([starts] if starts else [])]
        # What old packages print about their age is shown only where something goes wrong.
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 (it stays open as long as the process)
        self._process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True
        )

    def rate(self, seconds: float) -> float:
        """Returns the steps a second that it makes for so long."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            self._said.seek(0)
            sys.exit(f"gym-pcgrl stopped: {self._said.read()}")
        return float(answer)

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        self._said.close()


def our_step(
    options: argparse.Namespace, problem: str, representation: str, lanes: int, starts: NDArray[np.uint8] | None
) -> Step:
    """Returns one step of our environment."""
    env = gymnasium.make_vec(
        f"tilewright/{problem}-{representation}-v0",
        num_envs=lanes,
        start_levels=starts,
        play_every=options.play_every,
        end_on_success=not options.to_the_end,
    )
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(64)]
    turn = iter(range(10**9))
    return lambda: env.step(actions[next(turn) % 64]) and None


def rate(step: Step, seconds: float) -> float:
    """Returns the calls of a step a second."""
    calls, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        step()
        calls += 1
    return calls / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gym-pcgrl", type=Path, required=True, help="a checkout of gym-pcgrl")
    parser.add_argument("--python", type=Path, required=True, help="an interpreter with gym 0.26 and numpy below 2")
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=PROBLEMS)
    parser.add_argument("--representations", nargs="+", choices=REPRESENTATIONS, default=REPRESENTATIONS)
    parser.add_argument("--lanes", type=int, default=1024, help="of our batched environment")
    parser.add_argument("--repeats", type=int, default=5, help="rounds, of which medians are taken; at least 5")
    parser.add_argument("--seconds", type=float, default=0.6, help="how long each contestant's turn lasts")
    parser.add_argument("--play-every", type=int, default=1, help="how often our environment plays levels")
    parser.add_argument("--to-the-end", action="store_true", help="success does not end our episodes")
    parser.add_argument("--valid", action="store_true", help="start from levels of our constructive generator")
    options = parser.parse_args()
    if options.repeats < 5 or options.lanes < 1 or options.seconds <= 0:
        parser.error("--repeats must be at least 5, --lanes at least 1 and --seconds above 0")
    print("; ".join(f"{name} {value}" for name, value in machine().items()))
    print(
        f"| environment | gym-pcgrl | one lane | ratio | {options.lanes:,} lanes | ratio |\n|---|--:|--:|--:|--:|--:|"
    )
    for problem in options.problems:
        for representation in options.representations:
            theirs, one, many = compare(options, problem, representation)
            print(
                f"| {problem}-{representation} | {theirs:,.0f} | {one:,.0f} | {one / theirs:,.1f} "
                f"| {many:,.0f} | {many / theirs:,.0f} |",
                flush=True,
            )


def compare(options: argparse.Namespace, problem: str, representation: str) -> list[float]:
    """Returns the median steps a second of gym-pcgrl, of our environment with one lane, and with many."""
    starts = envs.construct(problem, 256) if options.valid else None
    with tempfile.TemporaryDirectory() as folder:
        file = None
        if starts is not None:
            file = Path(folder) / "levels.npy"
            np.save(file, starts)
        peer = Peer(options, problem, representation, file)
        ours = {lanes: our_step(options, problem, representation, lanes, starts) for lanes in (1, options.lanes)}
        peer.rate(0.1)
        for step in ours.values():
            rate(step, 0.1)
        rounds = [
            [peer.rate(options.seconds), *(lanes * rate(step, options.seconds) for lanes, step in ours.items())]
            for _ in range(options.repeats)
        ]
        peer.close()
    return [statistics.median(column) for column in zip(*rounds, strict=True)]


if __name__ == "__main__":
    main()
