"""Training anew, from scratch and on other seeds, what a search picked and what it began with, and judging both."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envs import UserError
from envs.files import write_atomically
from envs.records import read_config
from search.studies import CANDIDATE_FOLDER, Plan
from search.trials import finite
from search.workers import Train, Workers

if TYPE_CHECKING:
    from search.space import Settings

#: The folder of what was trained anew, and the file in each of its folders.
RETRAINED_FOLDER, FIGURES_FILE = "retrained", "figures.json"

#: How long answers are waited for at a time, in seconds; and how many workers a training may cost.
_TICK, _ATTEMPTS = 1.0, 3


def retrain(
    workers: Workers,
    plan: Plan,
    contenders: Mapping[str, Settings],
    seeds: int,
    levels: int,
    folder: Path,
    report: Callable[[int, int], None] | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """Trains candidates from scratch with the whole budget, on seeds that the search did not use, and judges them.

    Each leaves a folder FOLDER/retrained/NAME-SEED with its figures and itself; what is there already is not trained
    again.

    Args:
        workers: who trains.
        plan: the search's, of which the budget is taken.
        contenders: their settings, by name.
        seeds: on how many seeds each is trained.
        levels: how many levels it is judged on.
        folder: the study's folder.
        report: called as report(trainings done, trainings in all).

    Returns:
        By name, for each seed: seed, figures (costs included) and folder.

    Raises:
        UserError: a training failed.
    """
    wanted = {
        (name, plan.seed + 1 + i): {
            "settings": json.loads(json.dumps(settings)),
            "minutes": plan.minutes,
            "steps": plan.steps,
            "levels": levels,
        }
        for name, settings in contenders.items()
        for i in range(seeds)
    }
    done: dict[tuple[str, int], dict[str, float]] = {}
    for key, task in wanted.items():
        path = _folder(folder, key) / FIGURES_FILE
        if path.exists() and (before := read_config(path)).get("task") == task:
            done[key] = before["figures"]
    left = [key for key in wanted if key not in done]
    lost = dict.fromkeys(left, 0)
    busy: dict[int, tuple[str, int]] = {}
    while len(done) < len(wanted):
        for worker in workers.idle():
            if left:
                busy[worker] = left.pop(0)
                workers.give(worker, _order(plan, busy[worker], wanted[busy[worker]]))
        for worker, answer, reason in workers.answers(_TICK):
            key = busy.pop(worker)
            if answer is None:
                lost[key] += 1
                if lost[key] == _ATTEMPTS:
                    raise UserError(f"Training the {key[0]} anew cost {_ATTEMPTS} workers: {reason}; give more memory.")
                left.append(key)
                continue
            if answer.error:
                raise UserError(f"The {key[0]} could not be trained anew: {answer.error.rstrip('.')}; see --resume.")
            done[key] = finite(answer.costs | answer.figures)
            place = _folder(folder, key)
            for path_there, content in (answer.files or {}).items():
                target = place / CANDIDATE_FOLDER / path_there
                target.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(target, content)
            record = {"task": wanted[key], "figures": done[key], "seconds": answer.seconds}
            place.mkdir(parents=True, exist_ok=True)
            write_atomically(place / FIGURES_FILE, (json.dumps(record, indent=2) + "\n").encode())
        if report:
            report(len(done), len(wanted))
    return {
        name: [
            {"seed": seed, "figures": done[name, seed], "folder": str(_folder(Path(), (name, seed)))}
            for other, seed in wanted
            if other == name
        ]
        for name in contenders
    }


def _folder(folder: Path, key: tuple[str, int]) -> Path:
    return folder / RETRAINED_FOLDER / f"{key[0]}-{key[1]}"


def _order(plan: Plan, key: tuple[str, int], task: dict[str, Any]) -> Train:
    # A number below 0 is no trial's.
    return Train(
        -1,
        task["settings"],
        key[1],
        True,
        plan.minutes,
        plan.steps,
        1.0,
        task["levels"],
        key[1],
        save=True,
        costs=True,
    )
