"""Train a level designer by reinforcement learning, judge it, and leave what it made.

Trains PPO (by Stable-Baselines3 or RLlib) on the batched level-design environment, then compares the designer with a
random designer and a greedy hill climber on new start levels under the same change budget.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from agents.engines import make_trainer
from agents.evaluation import Row
from agents.networks import NetworkConfig
from agents.presets import preset as measured_preset
from agents.rewards import RewardConfig
from agents.tasks import Task
from agents.training import CHECKPOINT_FILE, METRICS_FILE, PPOConfig, Progress, Trainer
from envs import UserError, get_problem, get_representation
from envs.criteria import get_criteria
from envs.level_io import write_levels
from envs.records import read_config
from envs.vector_env import DesignVectorEnv
from experiments import reports
from experiments.engine_options import EngineOptions
from experiments.evaluate import EVALUATION_SEED, check_levels, judge
from experiments.run import CONFIG_FILE, main, make_folder, progress_bar, write_record
from experiments.tracking import Tracking, TrackOptions
from search.presets import find_preset

#: The default training time.
MINUTES = 3.5

#: What is trained where neither the command line nor a preset says what.
PROBLEM, REPRESENTATION = "binary", "wide"

#: Settings of --ppo that have an option of their own.
_OWN_OPTIONS = ("minutes", "steps")

#: What is said for yes and no.
_SAID = {"true": True, "false": False}

#: The most steps of an episode.
MOST_STEPS = 20_000


@dataclass
class Options(TrackOptions, EngineOptions):
    """Train a level designer by reinforcement learning, judge it, and leave what it made in a run folder.

    Attributes:
        problem: what to design, by default what the preset was found on, or binary; `python -m experiments.catalogue`
            lists the problems.
        representation: how to edit, by default as the preset does, or wide: narrow, turtle, wide, narrowcast,
            turtlecast, narrowmulti, cellular or sequence (latent needs a decoder besides; see
            `generators.latent_decoder`).
        preset: settings to start from, by the name that experiments.nas --use gave them, or by their file. What is
            given beside them wins.
        name: the run folder's name under OUT/pcgrl; by default problem-representation-seedN, the benchmark in
            between.
        seed: fixes weights, start levels and draws.
        out: where run folders go.
        device: cpu, or a CUDA device such as cuda:0.
        minutes: training time; by default 3.5, which comes to about five minutes in all, or no limit where steps are
            given.
        steps: environment steps to train for, in whole updates, for results that a second run repeats exactly. 0 for no
            limit in steps.
        resume: go on from the run folder's checkpoint.
        overwrite: begin anew in a run folder that holds a run already.
        change_share: the share of tiles that an episode may change. Its steps are limited to that many changes times
            the number of tiles, and to 20,000.
        shape: height and width of the levels, or depth, height and width; by default the problem's.
        benchmark: train for the criteria of another benchmark instead of the problem's own targets: pcg-benchmark
            (Khalifa 2025), at its size unless a shape is given.
        controls: metrics whose targets are drawn for each episode and shown to the designer.
        frozen_share: the chance of each tile to be frozen.
        play_every: play the level, for the metrics that need it, every so many steps and at the end of the episode; 0
            only at the end.
        look_ahead: show the designer what each of its actions would improve; by default wherever its actions are few
            enough to be tried one by one.
        evaluation_levels: how many new start levels the designer is judged on.
        ppo: how to train. None of it need be given: each representation has its own measured settings.
        network: the network's shape, likewise.
        reward: what the learner is paid, likewise.
    """

    problem: str = ""
    representation: str = ""
    preset: str = ""
    name: str = ""
    seed: int = 0
    out: Path = Path("runs")
    device: str = "cpu"
    minutes: float | None = None
    steps: int = 0
    resume: bool = False
    overwrite: bool = False
    change_share: float = 0.2
    shape: tuple[int, ...] | None = None
    benchmark: Literal["", "pcg-benchmark"] = ""
    controls: tuple[str, ...] = ()
    frozen_share: float = 0.0
    play_every: int = 1
    look_ahead: bool | None = None
    evaluation_levels: int = 200
    ppo: dict[str, str] = field(default_factory=dict)
    network: dict[str, str] = field(default_factory=dict)
    reward: dict[str, str] = field(default_factory=dict)


def with_preset(options: Options) -> Options:
    """Returns options with what was not given taken from the preset, and from the suite's defaults without one.

    Raises:
        UserError: there is no such preset, or it cannot be used for what was asked.
    """
    if not options.preset:
        problem, representation = options.problem or PROBLEM, options.representation or REPRESENTATION
        return dataclasses.replace(options, problem=problem, representation=representation)
    preset = find_preset(options.preset, options.out)
    preset.check_subject("designer", options.representation)
    for name in preset.settings.get("ppo", {}):
        if name in _OWN_OPTIONS:
            raise UserError(f"{options.preset} sets {name}, which is for the command line to say: take it out.")
    if options.problem and options.problem != preset.problem:
        print(f"The settings of {preset.source} were found on {preset.problem}, not on {options.problem}.")
    return dataclasses.replace(
        options,
        problem=options.problem or preset.problem,
        representation=preset.of,
        ppo={**preset.words("ppo", PPOConfig, {"steps": 1}), **options.ppo},
        network={**preset.words("network", NetworkConfig), **options.network},
    )


def longest_episode(options: Options, shape: Sequence[int] | None) -> int:
    """Returns the limit on an episode's steps, or 0 where the environment's own is no higher.

    The published limit, the change budget times the number of tiles, comes to half a million steps on a platformer: a
    designer that has learnt to leave a level alone would keep everybody waiting.
    """
    cells = math.prod(shape or get_problem(options.problem).default_shape)
    return MOST_STEPS if max(int(options.change_share * cells), 1) * cells > MOST_STEPS else 0


def environment_options(options: Options) -> dict[str, Any]:
    """Returns what `DesignVectorEnv` is given; what stands at its default is left out.

    Raises:
        UserError: looking ahead was asked for and cannot be done.
    """
    chosen: dict[str, Any] = {"problem": options.problem, "representation": options.representation}
    if options.benchmark:
        chosen |= get_criteria(options.problem).environment_options()
    if options.change_share != 0.2:
        chosen["change_share"] = options.change_share
    if options.shape is not None:
        chosen["shape"] = list(options.shape)
    if options.controls:
        chosen["controls"] = list(options.controls)
    if options.frozen_share:
        chosen["frozen_share"] = options.frozen_share
    limit = longest_episode(options, chosen.get("shape"))
    if limit:
        chosen["step_limit"] = limit
    if options.play_every != 1:
        chosen["play_every"] = options.play_every
    if options.look_ahead is not False:
        try:
            DesignVectorEnv(**chosen, look_ahead=True)
            chosen["look_ahead"] = True
        except UserError:
            # There are too many actions to be tried one by one; other faults show when the training begins.
            if options.look_ahead:
                raise
    return chosen


def override(settings: Any, changes: dict[str, str], what: str) -> Any:
    """Returns settings with some fields replaced by what the command line says.

    Raises:
        UserError: there is no such field, or the value is of another type.
    """
    fields = {one.name: type(getattr(settings, one.name)) for one in dataclasses.fields(settings)}
    values: dict[str, Any] = {}
    for name, text in changes.items():
        if name not in fields:
            raise UserError(f"Unknown {what} setting {name!r}: choose among {', '.join(sorted(fields))}.")
        try:
            # bool("false") is True.
            values[name] = _SAID[text.lower()] if fields[name] is bool else fields[name](text)
        except (ValueError, KeyError):
            raise UserError(f"The {what} setting {name} must be {fields[name].__name__}; got {text!r}.") from None
    return dataclasses.replace(settings, **values)


def check_same_environment(folder: Path, environment: dict[str, Any]) -> None:
    """Makes sure that a run goes on with the environment that it began with.

    Raises:
        UserError: it would not, or the record of the run is missing or damaged.
    """
    before = read_config(folder / CONFIG_FILE).get("environment")
    if before != environment:
        raise UserError(
            f"{folder} was trained in the environment {before}, which is not {environment}: "
            "give --resume with the options that the run began with, or another --name."
        )


def prepare(options: Options) -> tuple[Trainer, Path]:
    """Prepares a run: its folder, its record and its trainer, resumed where that was asked for.

    Args:
        options: as `with_preset` returns them.

    Returns:
        The trainer and the run folder.

    Raises:
        UserError: an option cannot be used, or the folder holds a run already; nothing has been written over then.
    """
    problem = get_problem(options.problem)
    get_representation(options.representation)
    check_levels(options.evaluation_levels)
    environment = environment_options(options)
    looks_ahead = environment.get("look_ahead", False)
    defaults = measured_preset(options.representation, look_ahead=looks_ahead, axes=len(problem.default_shape))
    environment |= defaults.environment
    minutes = options.minutes
    if minutes is None:
        minutes = 0.0 if options.steps else MINUTES
    ppo: PPOConfig = dataclasses.replace(defaults.ppo, minutes=minutes, steps=options.steps)
    ppo = override(ppo, options.ppo, "PPO")
    network: NetworkConfig = override(defaults.network, options.network, "network")
    reward: RewardConfig = override(RewardConfig(), options.reward, "reward")
    reward.check()
    kind = f"{options.representation}-{options.benchmark}" if options.benchmark else options.representation
    name = options.name or f"{options.problem}-{kind}-seed{options.seed}"
    folder = make_folder(options.out / "pcgrl" / name)
    begun = (folder / CHECKPOINT_FILE).exists() and not options.resume
    if begun and not options.overwrite:
        raise UserError(
            f"{folder} holds a run already: add --resume to go on with it, --overwrite to begin anew, or give "
            "another --name or --seed."
        )
    task = Task(environment, network, reward)
    trainer = make_trainer(
        options.engine, task, ppo, folder, seed=options.seed, device=options.device, cluster=options.cluster
    )
    try:
        if options.resume:
            if (folder / CHECKPOINT_FILE).exists():
                check_same_environment(folder, environment)
            trainer.resume()
        elif begun:
            # Only now that every option is known to be usable.
            (folder / CHECKPOINT_FILE).unlink()
    except BaseException:
        trainer.close()
        raise
    facts: dict[str, Any] = {"environment": environment}
    facts |= {
        "ppo": dataclasses.asdict(ppo),
        "network": dataclasses.asdict(network),
        "reward": dataclasses.asdict(reward),
    }
    write_record(folder, options, **facts)
    return trainer, folder


def train(options: Options) -> None:
    """Runs the experiment."""
    options = with_preset(options)
    trainer, folder = prepare(options)
    try:
        print(f"Training a {options.representation} designer for {options.problem}: {folder}")
        with Tracking(options.track, folder, resume=options.resume) as tracking:
            progress = learn(trainer, tracking)
            print(
                f"Trained for {progress.steps:,} steps and {progress.episodes:,} episodes in {progress.seconds:.0f} s "
                f"({progress.steps / max(progress.seconds, 1e-9):,.0f} steps/s)."
            )
            row = leave_results(trainer, progress, folder, options)
            tracking.results("evaluation", dataclasses.asdict(row))
    finally:
        trainer.close()


def leave_results(trainer: Trainer, progress: Progress, folder: Path, options: Options) -> Row:
    """Judges the designer, and leaves it and what it made in the run folder; returns its line of the table."""
    designer = trainer.designer({"training": {"steps": progress.steps, "seconds": round(progress.seconds, 1)}})
    problem = designer.problem
    rows, designs = judge(designer, options.evaluation_levels, EVALUATION_SEED + options.seed)
    title = f"{options.problem}-{options.representation}: {options.evaluation_levels} new start levels"
    reports.print_table(rows, title)
    reports.write_table(rows, folder, "evaluation", seed=EVALUATION_SEED + options.seed)
    card = reports.write_card(designer, rows, progress)
    designer.save_pretrained(folder / "designer", card)

    reports.draw_curves(folder / METRICS_FILE, folder / "curves.png", problem)
    reports.draw_contact_sheet(problem, designs, folder / "levels.png")
    reports.draw_history(problem, designs, folder / "design.gif")
    best = np.argsort(~designs.success, kind="stable")
    write_levels(folder / "levels.txt", list(designs.levels[best]), problem)
    level_files = [folder / "levels.txt"]
    if len(problem.default_shape) == 2:
        # Tiled's maps are flat.
        level_files.append(folder / "levels.tmj")
        write_levels(level_files[-1], list(designs.levels[best[:20]]), problem)

    measure = f" --measure {options.benchmark}" if options.benchmark else ""
    print(f"""
Look at    {folder / "curves.png"}   learning curves
           {folder / "levels.png"}   start levels and what became of them
           {folder / "design.gif"}   a level being designed
           {folder / "evaluation.md"}   the table above
Use        {", ".join(map(str, level_files))}   finished levels{" as text and for Tiled" * (len(level_files) > 1)}
           {folder / "designer"}   the designer itself
Next       python -m experiments.play --run {folder}
           python -m experiments.evaluate {folder}{measure}""")
    return rows[0]


def learn(trainer: Trainer, tracking: Tracking) -> Progress:
    """Trains under a progress bar, and tells of every update."""
    with progress_bar("compiling and first update") as show:

        def report(progress: Progress, share: float, figures: dict[str, float]) -> None:
            ended = "success" in figures
            success = f"success {100 * figures['success']:.0f} %  return {figures['return']:.1f}" if ended else ""
            speed = progress.steps / max(progress.seconds, 1e-9)
            show(share, f"{progress.steps:,} steps  {speed:,.0f}/s  {success}")
            row = {**dataclasses.asdict(progress), **figures, "steps_per_second": speed}
            tracking.log(row, progress.steps)

        return trainer.learn(report)


if __name__ == "__main__":
    main(Options, train)
