"""How fast the engines train, where their time goes, and whether they reach the same.

    python -m benchmarks.engines
    python -m benchmarks.engines --success --steps 200000 --seeds 3

The first trains designers that do not look ahead by Stable-Baselines3, by RLlib with this project's runner and learner,
and by RLlib with its own (`SingleAgentEnvRunner` over the same batched environment, `PPOTorchLearner`), in 0, 1 and 2
environment runners; figures are medians over updates, after two that are not counted. The second trains the same
setting by both engines, and judges the designers on the same new start levels.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, cast, get_args

import numpy as np
import ray
import torch
import tyro
from ray.rllib.algorithms.ppo import PPOConfig as RLlibConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.tune.registry import register_env

from agents.engines import Cluster, Engine, make_trainer
from agents.episodes import draw_starts
from agents.ppo import advantages
from agents.presets import preset
from agents.rllib.connection import connect, hushed
from agents.rllib.module import PolicyModule
from agents.rllib.trainer import RLlibTrainer
from agents.tasks import Task
from agents.training import PPOConfig, Progress
from envs.evaluation import bootstrap, percent
from experiments.run import versions

#: What is trained where speed is measured: problem, representation.
SETTINGS = (("zelda", "turtle"), ("binary", "narrow"))

#: What is noted after each update: the time, the processors' time, the steps, and the seconds spent by part.
Seen = tuple[float, float, int, dict[str, float]]

#: Updates that are not counted: kernels compile, and memory is taken.
WARM_UP = 2

PARTS = ("sampling", "transfer", "learning", "weights")

#: What RLlib calls them.
OWN = {
    "env_runner_sampling_timer": "sampling",
    "learner_update_timer": "learning",
    "synch_weights": "weights",
}


@dataclass
class Options:
    """Measure the engines.

    Attributes:
        repeats: how many updates are measured.
        lanes: how many levels are designed side by side.
        runners: how many environment runners RLlib is given.
        success: compare what designers by both engines reach, instead of speed.
        steps: of each training where success is compared.
        seeds: how many trainings by each engine.
        levels: how many new start levels designers are judged on.
    """

    repeats: int = 7
    lanes: tuple[int, ...] = (256, 64)
    runners: tuple[int, ...] = (0, 1, 2)
    success: bool = False
    steps: int = 200_000
    seeds: int = 2
    levels: int = 200


@dataclass
class Measured:
    """One line of the table: steps per second and per processor's second, and the seconds of an update by part."""

    engine: str
    runners: int | None
    speed: float
    work: float
    parts: dict[str, float]


def own_runner_config(task: Task, ppo: PPOConfig, num_env_runners: int) -> RLlibConfig:
    """Returns RLlib's own configuration of the same training: its runner, its connectors, its learner."""
    register_env("tilewright", lambda context: task.make_env(context.get("num_envs", 1)))
    config = RLlibConfig()
    config.environment("tilewright", disable_env_checking=True, normalize_actions=False, clip_actions=False)
    config.env_runners(
        num_env_runners=num_env_runners,
        num_envs_per_env_runner=ppo.lanes // max(num_env_runners, 1),
        rollout_fragment_length=ppo.rollout,
        gym_env_vectorize_mode="vector_entry_point",
    )
    config.training(
        train_batch_size_per_learner=ppo.lanes * ppo.rollout,
        minibatch_size=min(ppo.batch, ppo.lanes * ppo.rollout),
        num_epochs=ppo.epochs,
        lr=ppo.learning_rate,
        gamma=ppo.gamma,
        lambda_=ppo.gae_lambda,
        entropy_coeff=ppo.entropy,
        clip_param=ppo.clip,
        vf_loss_coeff=ppo.value_weight,
        grad_clip=0.5,
        use_kl_loss=False,
    )
    config.rl_module(
        rl_module_spec=RLModuleSpec(module_class=PolicyModule, model_config={"task": task, "ppo": ppo, "seed": 0})
    )
    config.debugging(log_level="ERROR", seed=0)
    return config


def measure(engine: Engine, task: Task, ppo: PPOConfig, runners: int, repeats: int) -> Measured:
    """Times the updates of one of this project's engines."""
    seen: list[Seen] = []
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(num_env_runners=runners) if engine == "rllib" else None
        trainer = make_trainer(engine, task, replace(ppo, steps=2**62), Path(folder), cluster=cluster)
        spent = _parts(trainer)
        remote = trainer.algorithm if isinstance(trainer, RLlibTrainer) else None

        def report(progress: Progress, share: float, means: dict[str, float]) -> None:
            seen.append((time.perf_counter(), processor_seconds(remote), progress.steps, dict(spent())))
            if len(seen) > WARM_UP + repeats:
                trainer.ppo = replace(ppo, steps=progress.steps)

        trainer.learn(report)
        trainer.close()
    return _line(engine if engine == "sb3" else "rllib, arrays", runners if engine == "rllib" else None, seen)


def _parts(trainer: Any) -> Callable[[], dict[str, float]]:
    """Returns what tells how many seconds a training has spent by part."""
    if isinstance(trainer, RLlibTrainer):
        return lambda: trainer.algorithm.seconds
    learn, seconds = trainer.algorithm.train, {"learning": 0.0}

    def timed() -> None:
        began = time.perf_counter()
        learn()
        seconds["learning"] += time.perf_counter() - began

    trainer.algorithm.train = timed
    return lambda: seconds


def measure_own(task: Task, ppo: PPOConfig, runners: int, repeats: int) -> Measured:
    """Times the iterations of RLlib's own PPO."""
    connect(Cluster(num_env_runners=runners))
    with hushed():
        algorithm = own_runner_config(task, ppo, runners).build_algo()
    seen: list[Seen] = []
    for _ in range(WARM_UP + repeats + 1):
        found = algorithm.train()
        steps = int(found["num_env_steps_sampled_lifetime"])
        seen.append((time.perf_counter(), processor_seconds(algorithm), steps, {}))
    algorithm.stop()
    ray.shutdown()
    line = _line("rllib, its own runner", runners, seen)
    # RLlib's own clocks, which tell means that forget.
    return replace(line, parts=line.parts | {ours: float(found["timers"][theirs]) for theirs, ours in OWN.items()})


def processor_seconds(algorithm: Any = None) -> float:
    """Returns how long processors have worked for this process and for RLlib's environment runners."""
    spent = time.process_time()
    if algorithm is not None:
        runners = algorithm.env_runner_group
        spent += sum(runners.foreach_env_runner(lambda runner: time.process_time(), local_env_runner=False))
    return spent


def _line(engine: str, runners: int | None, seen: list[Seen]) -> Measured:
    pairs = list(pairwise(seen[WARM_UP:]))
    speed = median((then[2] - now[2]) / (then[0] - now[0]) for now, then in pairs)
    work = median((then[2] - now[2]) / (then[1] - now[1]) for now, then in pairs)
    parts = {name: median(then[3][name] - now[3][name] for now, then in pairs) for name in seen[0][3]}
    whole = median(then[0] - now[0] for now, then in pairs)
    if engine == "sb3":
        parts["sampling"] = whole - parts["learning"]
    return Measured(engine, runners, speed, work, {**parts, "update": whole})


def speed_table(options: Options) -> None:
    """Prints how fast the engines train, and where the time goes."""
    columns = ("environment", "lanes", "engine", "runners", "steps/s", "steps per processor second")
    columns += tuple(f"{name} (s)" for name in ("update", *PARTS))
    print("| " + " | ".join(columns) + " |")
    print("| --- " * len(columns) + "|")
    for problem, representation in SETTINGS:
        task = Task({"problem": problem, "representation": representation})
        for lanes in options.lanes:
            ppo = PPOConfig(steps=1, lanes=lanes, batch=min(2048, lanes * 16))
            jobs = [("sb3", 0), *(("rllib", count) for count in options.runners)]
            jobs += [("own", count) for count in options.runners]
            for engine, runners in jobs:
                if engine == "own":
                    line = measure_own(task, ppo, runners, options.repeats)
                else:
                    line = measure(cast("Engine", engine), task, ppo, runners, options.repeats)
                parts = [f"{line.parts[name]:.3f}" if name in line.parts else "" for name in ("update", *PARTS)]
                count = "" if line.runners is None else str(line.runners)
                cells = [
                    f"{problem}-{representation}",
                    str(lanes),
                    line.engine,
                    count,
                    f"{line.speed:,.0f}",
                    f"{line.work:,.0f}",
                    *parts,
                ]
                print("| " + " | ".join(cells) + " |", flush=True)
    rewards = np.random.default_rng(0).random((PPOConfig().rollout, PPOConfig().lanes))
    spent = []
    for _ in range(20):
        began = time.perf_counter()
        advantages(rewards, rewards, rewards > 0.99, rewards[0], 0.98, 0.95)
        spent.append(time.perf_counter() - began)
    print(f"\nOf the sampling, the advantages of {rewards.size:,} steps take {1000 * median(spent):.1f} ms.")


def success_table(options: Options) -> None:
    """Prints what designers by both engines reach."""
    environment: dict[str, Any] = {"problem": "zelda", "representation": "narrow", "look_ahead": True}
    settings = preset("narrow", look_ahead=True)
    task = Task(environment | settings.environment, settings.network)
    print("| engine | seed | steps | seconds | success | strict success |")
    print("| --- | --- | --- | --- | --- | --- |")
    for seed in range(options.seeds):
        for engine in get_args(Engine):
            with tempfile.TemporaryDirectory() as folder:
                trainer = make_trainer(
                    engine, task, replace(settings.ppo, steps=options.steps), Path(folder), seed=seed
                )
                progress = trainer.learn()
                designer = trainer.designer()
                starts = draw_starts(designer.problem, options.levels, 10_000, designer.shape)
                designs = designer.design(starts, seed=seed)
                trainer.close()
            reached = [percent(bootstrap(part, 0)) for part in (designs.success, designs.strict_success)]
            cells = [engine, str(seed), f"{progress.steps:,}", f"{progress.seconds:.0f}", *reached]
            print("| " + " | ".join(cells) + " |", flush=True)


def main(options: Options) -> None:
    """Prints Markdown."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    if options.success:
        success_table(options)
    else:
        speed_table(options)
    print("\n" + ", ".join(f"{name} {version}" for name, version in versions().items()) + ".")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
