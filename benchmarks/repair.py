"""How many levels repair mends, by how many edits and how fast, beside taking the nearest constructed level instead.

    python -m benchmarks.repair
    python -m benchmarks.repair zelda maze --levels 500 --methods search exact auto
    python -m benchmarks.repair sokoban --boxoban PATH/boxoban-levels/unfiltered/test

"Random" are random start levels; "broken" are constructed levels of which 5 % of the tiles, at random places, were
drawn anew with the start shares. With --boxoban they are levels of that folder of which two pairs of tiles inside the
walls changed places, and the walls around stay. Shares repaired, edits and times are of the levels that were not
playable. Times are processor time, compilation not counted; levels that are given up count in the times but not in the
edits.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import envs
from benchmarks.environments import machine
from envs.problem import Problem
from generators.repair import GOALS, METHODS, Repairs, repair

#: How many constructed levels the baseline chooses the nearest of.
BASELINE_LEVELS = 100


def random_levels(problem: Problem, count: int, seed: int) -> NDArray[np.uint8]:
    cells = int(np.prod(problem.default_shape))
    return problem.start_levels(np.random.default_rng(seed).random((count, 1 + cells)), problem.default_shape)


def broken_levels(problem: Problem, count: int, seed: int, share: float = 0.05) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    whole = envs.construct(problem, count, seed=seed + 1)
    shares = np.asarray(problem.start_probabilities)
    noise = rng.choice(len(problem.tiles), size=whole.shape, p=shares / shares.sum())
    return np.where(rng.random(whole.shape) < share, noise, whole).astype(np.uint8)


def boxoban_levels(problem: Problem, folder: Path, count: int, seed: int) -> tuple[NDArray, NDArray]:
    """Returns levels of a folder in two parts, uint8 (n, 10, 10): broken ones, and 200 others as they are."""
    rng = np.random.default_rng(seed)
    levels: list[NDArray[np.uint8]] = []
    for path in sorted(folder.glob("*.txt")):
        for part in path.read_text(encoding="utf-8").split(";")[1:]:
            levels.append(problem.parse([row.replace(" ", "-") for row in part.split("\n")[1:11]]))
    whole = np.stack(levels)
    broken = whole[:count].copy()
    places = np.flatnonzero(inner(10, 10))
    for level in broken.reshape(len(broken), -1):
        for _ in range(2):
            one, other = rng.choice(places, 2, replace=False)
            level[[one, other]] = level[[other, one]]
    return broken, whole[count : count + 200]


def inner(height: int, width: int) -> NDArray[np.bool_]:
    mask = np.zeros((height, width), bool)
    mask[1:-1, 1:-1] = True
    return mask


def baseline(levels: NDArray[np.uint8], donors: NDArray[np.uint8]) -> float:
    """Returns the mean number of tiles in which levels differ from the nearest of some others."""
    flat = donors.reshape(len(donors), -1)
    return float(np.mean([(flat != level.ravel()).sum(axis=1).min() for level in levels]))


def row(name: str, kind: str, method: str, repairs: Repairs, nearest: float) -> str:
    todo = repairs.status != "playable already"
    done = todo & repairs.repaired
    edits = repairs.edits[done]
    milliseconds = 1000 * repairs.seconds[todo]
    figures = (
        f"{100 * (1 - todo.mean()):.1f}",
        f"{100 * done.sum() / max(1, todo.sum()):.1f}",
        f"{edits.mean():.2f}" if len(edits) else "-",
        f"{np.median(edits):.0f}" if len(edits) else "-",
        f"{100 * repairs.minimal[done].mean():.0f}" if len(edits) else "-",
        f"{np.median(milliseconds):.1f}" if len(milliseconds) else "-",
        f"{milliseconds.mean():.1f}" if len(milliseconds) else "-",
        f"{nearest:.1f}",
    )
    return f"| {name} | {kind} | {method} | " + " | ".join(figures) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problems", nargs="*", help="which; none means all of them")
    parser.add_argument("--levels", type=int, default=500, help="how many of each kind")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["search", "exact"])
    parser.add_argument("--goal", choices=GOALS, default="playable")
    parser.add_argument("--seconds", type=float, default=1.0, help="processor time for each level at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--boxoban", type=Path, help="a folder of Boxoban's text files, to break levels of")
    options = parser.parse_args()
    for name in options.problems:
        if name not in envs.all_problems():
            parser.error(f"there is no problem {name!r}; there are {', '.join(envs.all_problems())}")
    print("; ".join(f"{name} {value}" for name, value in machine().items()))
    print(
        f"goal {options.goal}, {options.levels} levels of each kind, {options.seconds} s a level, seed {options.seed}"
    )
    print("| problem | levels | method | playable before, % | repaired, % | edits, mean | median | minimal, % ", end="")
    print("| ms, median | mean | nearest constructed, edits |")
    print("|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for name in options.problems or envs.all_problems():
        problem = envs.get_problem(name)
        kinds: dict[str, tuple[NDArray, NDArray | None, NDArray]] = {}
        if options.boxoban is not None:
            broken, others = boxoban_levels(problem, options.boxoban, options.levels, options.seed)
            kinds["boxoban"] = (broken, ~inner(10, 10), others)
        else:
            whole = envs.construct(problem, BASELINE_LEVELS, seed=options.seed + 2)
            kinds["random"] = (random_levels(problem, options.levels, options.seed), None, whole)
            kinds["broken"] = (broken_levels(problem, options.levels, options.seed), None, whole)
        for kind, (levels, fixed, donors) in kinds.items():
            lent = donors if options.boxoban is not None else None
            limits = {"goal": options.goal, "seed": options.seed, "fixed": fixed, "donors": lent}
            for method in options.methods:
                try:
                    repair(problem, levels[:1], method, seconds=0.1, processor_time=True, **limits)
                except envs.UserError:
                    continue  # the problem is not linear
                repairs = repair(problem, levels, method, seconds=options.seconds, processor_time=True, **limits)
                todo = repairs.status != "playable already"
                nearest = baseline(levels[todo], donors) if todo.any() else 0.0
                print(row(name, kind, method, repairs, nearest), flush=True)


if __name__ == "__main__":
    main()
