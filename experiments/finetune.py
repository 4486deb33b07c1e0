"""Train a pretrained generator further by reinforcement learning, in the level-design environments.

A tile LM writes levels decision by decision (the sequence representation) and is held near what it was by a price on
the divergence (Ziegler 2019). A designer moves through the latents of a VAE, VQ-VAE, GAN or StyleGAN form (the latent
representation), which stays as it is. Both are paid for levels that the solver completes and that are new.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from numpy.typing import NDArray

from agents.designer import PolicyDesigner
from agents.engines import make_trainer
from agents.networks import DesignerNetwork, NetworkConfig
from agents.presets import finetuning_preset
from agents.rewards import RewardConfig
from agents.sequence import SequencePolicy
from agents.tasks import Task
from agents.training import CHECKPOINT_FILE, METRICS_FILE, PPOConfig, Progress, Trainer
from envs import UserError
from envs.evaluation import bootstrap, percent
from envs.files import write_atomically
from envs.level_io import write_levels
from envs.records import read_config, read_metrics
from experiments.engine_options import EngineOptions
from experiments.evaluate_generator import random_levels
from experiments.pcgrl import learn, override
from experiments.run import CONFIG_FILE, main, make_folder, write_json, write_record
from experiments.tracking import Tracking, TrackOptions
from experiments.train_generator import corpus_options, draw_curves, draw_levels, read_corpus
from generators.corpus import Corpus, open_corpus
from generators.generator import Generator
from generators.judging.judgement import Judgement, Yardstick, judge
from generators.packing import PackedGenerator
from generators.suite import GENERATOR_FOLDER

#: The default training time.
MINUTES = 10.0

#: Of levels of several segments so many are compared with.
WIDE_LEVELS = 1000

#: Levels are judged on seeds from here on, which no training draws.
_JUDGED_SEED = 1_000_000

#: Of so many levels the nearest levels and copied patches are found.
_EXAMINED = 200

#: Options of the environment that follow from the generator, from others of the command line, or from the training.
_SET = (
    *("problem", "representation", "shape", "num_envs", "autoreset_mode", "render_mode"),
    *("decoder", "order", "paths", "constant"),
)

#: What a run says of itself in config.json, and its table.
_TABLE = "finetuning"

#: The columns of the table, by the names of `Judgement.figures`.
_COLUMNS = ("playable", "novel", "unique", "all three", "restricted diversity", "hamming")


@dataclass
class Options(TrackOptions, EngineOptions):
    """Train a pretrained generator further by reinforcement learning, and leave it and what it makes in a run folder.

    Attributes:
        generator: the folder of a run of experiments.train_generator, or of a saved generator.
        representation: sequence, for a tile LM, which is trained itself; latent, for a VAE, VQ-VAE, GAN or StyleGAN, in
            whose latents a designer is trained; auto takes what the generator can do.
        name: the run folder's name under OUT/finetune; by default problem-family-seedN.
        seed: fixes weights and draws.
        out: where run folders go.
        device: cpu, or a CUDA device such as cuda:0.
        minutes: training time; by default 10, or no limit where steps are given.
        steps: environment steps to train for, in whole updates, for results that a second run repeats exactly. 0 for no
            limit in steps.
        resume: go on from the run folder's checkpoint.
        overwrite: begin anew in a run folder that holds a run already.
        controls: metrics whose targets are drawn for each level and told to what designs it.
        frozen_share: the chance of each tile to be frozen: for a tile LM as levels of the corpus have it, in latents as
            the level that an episode begins with has it.
        shape: for the latent representation, the shape of levels that are written segment by segment, as high as the
            generator's and wider; by default the generator's.
        corpus: what counts as known, and what levels are compared with: constructed, or vglc PATH, boxoban PATH, folder
            PATH; by default what the generator was trained on.
        samples: how many levels are judged, before and after.
        ppo: how to train, as names and values. None of it need be given.
        reward: what is paid, likewise: goal, bonus, novelty, reach, memory, regret, errors, kl, kl_target, scale.
        network: the shape of a latent designer's network, likewise.
        environment: further options of the environment, likewise: steps and step_size of the latent representation.
    """

    generator: Annotated[Path, tyro.conf.Positional]
    representation: Literal["auto", "sequence", "latent"] = "auto"
    name: str = ""
    seed: int = 0
    out: Path = Path("runs")
    device: str = "cpu"
    minutes: float | None = None
    steps: int = 0
    resume: bool = False
    overwrite: bool = False
    controls: tuple[str, ...] = ()
    frozen_share: float = 0.0
    shape: tuple[int, ...] | None = None
    corpus: tuple[str, ...] = ()
    samples: int = 1000
    ppo: dict[str, str] = field(default_factory=dict)
    reward: dict[str, str] = field(default_factory=dict)
    network: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


@dataclass
class Run:
    """A run that is ready to begin.

    Attributes:
        trainer: what trains.
        folder: the run folder.
        generator: the pretrained generator, as it stays.
        corpus: what counts as known.
    """

    trainer: Trainer
    folder: Path
    generator: Generator
    corpus: Corpus


def environment_options(options: Options, generator: Generator, kind: str) -> dict[str, Any]:
    """Returns what `DesignVectorEnv` is given; what stands at its default is left out."""
    # The solver says at the end what a level is worth; what it costs to play it in between is saved.
    chosen: dict[str, Any] = {"problem": generator.spec.problem, "representation": kind}
    if kind == "sequence":
        chosen |= {"play_every": 0, "reward_every": 0}
    if options.controls:
        chosen["controls"] = list(options.controls)
    if options.frozen_share:
        chosen["frozen_share"] = options.frozen_share
    if options.shape is not None:
        if kind == "sequence":
            raise UserError("--shape is for levels of several segments, in the latent representation: leave it out.")
        chosen["shape"] = list(options.shape)
    for name, text in options.environment.items():
        if name in _SET or (kind == "sequence" and name == "start_levels"):
            raise UserError(f"--environment cannot set {name}, which is settled otherwise: leave it out.")
        try:
            chosen[name] = json.loads(text)
        except ValueError:
            chosen[name] = text
    return chosen


def find_corpus(options: Options, generator: Generator) -> Corpus:
    """Returns the levels that count as known.

    Raises:
        UserError: they cannot be had.
    """
    problem = generator.spec.task()
    record = generator.facts.get("corpus")
    if options.corpus:
        size = {} if options.shape is None else {"levels": WIDE_LEVELS, "shape": options.shape}
        corpus = read_corpus(problem.name, corpus_options(options.corpus, **size))
    elif not isinstance(record, dict):
        raise UserError(f"{options.generator} does not say what it was trained on: give --corpus.")
    elif options.shape is None:
        corpus = open_corpus(problem, record)
    else:
        words = tuple(str(record[key]) for key in ("kind", "path") if record.get(key))
        corpus = read_corpus(problem.name, corpus_options(words, levels=WIDE_LEVELS, shape=options.shape))
    wanted = options.shape or generator.spec.shape
    if corpus.shape != tuple(wanted):
        raise UserError(f"The corpus has levels of {corpus.shape}; those that are made are of {tuple(wanted)}.")
    return corpus


def prepare(options: Options) -> Run:
    """Prepares a run: its folder, its record and its trainer, resumed where that was asked for.

    Raises:
        UserError: an option cannot be used, or the folder holds a run already; nothing has been written over then.
    """
    if options.samples < 1:
        raise UserError(f"--samples must be at least 1; got {options.samples}.")
    packed = PackedGenerator.read(options.generator)
    generator = packed.unpack()
    kind = options.representation
    if kind == "auto":
        kind = "sequence" if generator.name == "tile_lm" else "latent"
    corpus = find_corpus(options, generator)
    environment = environment_options(options, generator, kind)
    defaults = finetuning_preset(kind)
    minutes = options.minutes
    if minutes is None:
        minutes = 0.0 if options.steps else MINUTES
    if kind == "sequence" and "rollout" in options.ppo:
        raise UserError("--ppo rollout is for steps; a tile LM learns from whole levels, one a lane: leave it out.")
    ppo: PPOConfig = dataclasses.replace(defaults.ppo, minutes=minutes, steps=options.steps)
    ppo = override(ppo, options.ppo, "PPO")
    reward: RewardConfig = override(defaults.reward, options.reward, "reward")
    reward.check()
    if kind == "sequence" and options.network:
        raise UserError("--network shapes a latent designer's network; a tile LM has its own: leave it out.")
    network: NetworkConfig = override(defaults.network, options.network, "network")
    name = options.name or f"{generator.spec.problem}-{generator.name}-seed{options.seed}"
    folder = make_folder(options.out / "finetune" / name)
    begun = (folder / CHECKPOINT_FILE).exists() and not options.resume
    if begun and not options.overwrite:
        raise UserError(
            f"{folder} holds a run already: add --resume to go on with it, --overwrite to begin anew, or give "
            "another --name or --seed."
        )
    task = Task(environment, network, reward, corpus.train.levels, packed)
    origin = {"generator": str(options.generator), "generator_digest": packed.digest, "corpus": corpus.record()}
    if options.resume and (folder / CHECKPOINT_FILE).exists():
        _check_same(folder, environment, origin)
    trainer = make_trainer(
        options.engine, task, ppo, folder, seed=options.seed, device=options.device, cluster=options.cluster
    )
    try:
        if options.resume:
            trainer.resume()
        elif begun:
            # Only now that every option is known to be usable.
            (folder / CHECKPOINT_FILE).unlink()
        settings: dict[str, Any] = {"ppo": ppo, "reward": reward, "network": network}
        facts = {name: dataclasses.asdict(setting) for name, setting in settings.items()}
        write_record(folder, options, environment=environment, **origin, **facts)
    except BaseException:
        trainer.close()
        raise
    return Run(trainer, folder, generator, corpus)


def _check_same(folder: Path, environment: dict[str, Any], origin: dict[str, Any]) -> None:
    before = read_config(folder / CONFIG_FILE)
    # Runs of before the digest was noted have none.
    if before.get("generator_digest", origin["generator_digest"]) != origin["generator_digest"]:
        raise UserError(
            f"{folder} was begun with another generator than {origin['generator']} is now: give --resume with "
            f"the one of then, {before.get('generator')} as it was, or another --name."
        )
    for what, ours in (("environment", environment), ("corpus", json.loads(json.dumps(origin["corpus"])))):
        if before.get(what) != ours:
            raise UserError(
                f"{folder} was begun with the {what} {before.get(what)}, which is not {ours}: give --resume with the "
                "options that the run began with, or another --name."
            )


def train(options: Options) -> None:
    """Runs the experiment."""
    run = prepare(options)
    print(f"Training {run.generator.title} further on {run.generator.spec.problem}: {run.folder}")
    try:
        with Tracking(options.track, run.folder, resume=options.resume) as tracking:
            progress = learn(run.trainer, tracking)
            print(
                f"Trained for {progress.steps:,} steps and {progress.episodes:,} levels in {progress.seconds:.0f} s "
                f"({progress.steps / max(progress.seconds, 1e-9):,.0f} steps/s)."
            )
            tracking.results("evaluation", leave_results(run, progress, options))
    finally:
        run.trainer.close()


def leave_results(run: Run, progress: Progress, options: Options) -> dict[str, Any]:
    """Judges what was there before and what is there now, and leaves what was trained; returns both judgements."""
    folder, corpus = run.folder, run.corpus
    problem = corpus.problem
    facts = {"steps": progress.steps, "episodes": progress.episodes, "seconds": round(progress.seconds, 1)}
    seed = _JUDGED_SEED + options.seed
    before, after = _levels(run, facts, options.samples, seed)
    yardstick = Yardstick(problem, corpus.train.levels, seed=options.seed)
    named = {
        "before": before,
        "after": after,
        "random start levels": random_levels(corpus, len(after), seed),
        "test levels of the corpus": corpus.test.levels[: len(after)],
    }
    rows = [judge(yardstick, name, levels, _EXAMINED) for name, levels in named.items()]
    table = describe(rows)
    print(table)
    plain = _plain(rows, facts, seed)
    write_json(folder / f"{_TABLE}.json", plain)
    pictures = []
    for row in rows[:2]:
        pictures.append(folder / f"{row.name}.png")
        draw_levels(problem, row.levels[:12], row.play.playable[:12], pictures[-1])
    if draw_curves(folder / METRICS_FILE, folder / "curves.png", "environment steps"):
        pictures.append(folder / "curves.png")
    write_levels(folder / "levels.txt", list(after), problem)
    write_atomically(folder / f"{_TABLE}.md", compose(run, table, pictures, facts).encode())
    evaluation = "evaluate_generator" if run.trainer.task.writes else "evaluate"
    print(f"""
Look at    {", ".join(map(str, pictures))}
Use        {folder / "levels.txt"}   levels as text
           {folder / (GENERATOR_FOLDER if run.trainer.task.writes else "designer")}   what was trained
Next       python -m experiments.play --levels {folder / "levels.txt"} --problem {problem.name}
           python -m experiments.{evaluation} {folder}""")
    return {row.name: plain["rows"][row.name] for row in rows[:2]}


def _levels(run: Run, facts: dict[str, Any], count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Saves what was trained; returns levels as they were before and as they are now, uint8 (count, *shape) each."""
    policy = run.trainer.policy
    if isinstance(policy, SequencePolicy):
        trained = policy.generator
        trained.network.cpu()
        trained.device = "cpu"
        trained.facts = {**run.generator.facts, "finetuning": facts}
        trained.save_pretrained(run.folder / GENERATOR_FOLDER, trained.card() + _card(facts))
        return run.generator.sample(count, seed), trained.sample(count, seed)
    assert isinstance(policy, DesignerNetwork)
    designer: PolicyDesigner = run.trainer.designer({"training": facts})
    designs = designer.design(count=count, seed=seed)
    designer.save_pretrained(
        run.folder / "designer",
        f"# A designer in the latents of a {run.generator.title} for {run.generator.spec.problem}\n" + _card(facts),
    )
    return designs.starts, designs.levels


def _card(facts: dict[str, Any]) -> str:
    return (
        "\n## Trained further\n\n"
        f"By PPO (Schulman 2017) against the solver: {facts['steps']:,} steps, {facts['episodes']:,} levels, "
        f"{facts['seconds']:.0f} s. Figures stand in {_TABLE}.md of the run.\n"
    )


def describe(rows: list[Judgement]) -> str:
    """Returns a Markdown table of what levels are worth."""
    head = ["levels", *_COLUMNS, "solution length"]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for row in rows:
        figures = row.figures()
        cells = [percent(figures[name]) for name in _COLUMNS]
        lengths = row.play.lengths[~np.isnan(row.play.lengths)]
        cells.append(f"{bootstrap(lengths).mean:.1f}" if len(lengths) else "")
        lines.append(f"| {row.name} ({len(row.levels)}) | {' | '.join(cells)} |")
    return "\n".join(lines)


def compose(run: Run, table: str, pictures: list[Path], facts: dict[str, Any]) -> str:
    """Returns the report of a run in Markdown."""
    reward = run.trainer.task.reward
    paid = f"{reward.bonus:g} for a level that is {reward.goal.replace('_', ' ')}"
    if reward.novelty:
        paid += f", up to {reward.novelty:g} for novelty"
    if reward.regret:
        paid += f", up to {reward.regret:g} for difficulty"
    if reward.scale:
        paid += f", {reward.scale:g} times the environment's own reward"
    if run.trainer.task.writes and reward.kl:
        metrics = read_metrics(run.folder / METRICS_FILE)
        paid += f", less {reward.kl:g} for each nat of divergence from the pretrained model"
        if reward.kl_target:
            paid += f" at first, moved towards {reward.kl_target:g} nats a level"
        paid += f" (which was {metrics['kl'][-1]:.2f} nats a level in the end, {max(metrics['kl']):.2f} at most)"
    lines = [
        f"# {run.generator.title} trained further on {run.generator.spec.problem}",
        "",
        f"{facts['steps']:,} steps, {facts['episodes']:,} levels, {facts['seconds']:,.0f} s; seed {run.trainer.seed}.",
        f"Paid: {paid}.",
        "",
        table,
        "",
        "Shares with 95 % bootstrap intervals over levels. A level is novel that lies as far from every training level",
        "as the evaluator's threshold asks; restricted diversity is the share of the largest set of playable, novel",
        "levels that lie as far apart; hamming is the mean share of tiles in which two levels differ.",
        "",
        *(f"![{picture.stem}]({picture.name})" for picture in pictures),
    ]
    return "\n".join(lines) + "\n"


def _plain(rows: list[Judgement], facts: dict[str, Any], seed: int) -> dict[str, Any]:
    return {
        "seed": seed,
        "training": facts,
        "rows": {
            row.name: {
                "levels": len(row.levels),
                **{name: dataclasses.asdict(figure) for name, figure in row.figures().items()},
            }
            for row in rows
        },
    }


if __name__ == "__main__":
    main(Options, train)
