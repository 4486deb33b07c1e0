"""Train a generator of levels on a corpus."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs import UserError
from envs.files import write_atomically
from envs.level_io import write_levels
from envs.pictures import contact_sheet, render, save_png
from envs.problem import Problem
from envs.records import read_config, read_metrics
from experiments.run import CONFIG_FILE, main, make_folder, progress_bar, write_record
from experiments.tracking import Tracking, TrackOptions
from generators.corpus import KINDS, Corpus, CorpusOptions, load_corpus
from generators.generator import Fit, FitOptions, Generator
from generators.judging.playability import play_levels
from generators.options import options_of
from generators.suite import GENERATOR_FOLDER, get_family, make_generator
from generators.training import CHECKPOINT_FILE, METRICS_FILE
from search.presets import find_preset

#: How many samples the first look at a trained generator takes.
SAMPLES = 200

#: The seconds that the solver may take for each of them.
SOLVER_SECONDS = 0.3

#: What is trained where neither the command line nor a preset says what.
FAMILY, PROBLEM = "tile_lm", "sokoban"

#: Settings of --fit that have an option of their own.
_OWN_OPTIONS = ("minutes", "steps", "seed", "device", "balance")


@dataclass
class Options(TrackOptions):
    """Train a generator of levels on a corpus, and leave it and samples of it in a run folder.

    Attributes:
        family: which kind of model, by default the preset's, or tile_lm; docs/generators.md describes them and their
            settings.
        problem: whose levels; by default those that the preset was found on, or sokoban's.
        preset: settings to start from, by the name that experiments.nas --use gave them, or by their file. What is
            given beside them wins.
        corpus: constructed (by the problem's constructive generator), or vglc PATH, boxoban PATH, folder PATH.
        levels: the most levels, or windows of levels, to train on; 0 takes all, which are 10,000 constructed ones.
        shape: the shape of what is learned; longer levels are cut into windows of it. By default the problem's.
        stride: how far apart training windows are along each axis; by default one tile.
        conditions: the metrics that levels can be asked for by; by default all that differ among training levels.
        name: the run folder's name under OUT/train_generator; by default problem-family-corpus-seedN.
        seed: fixes weights, batches and samples.
        corpus_seed: fixes constructed levels and the split.
        out: where run folders go.
        device: cpu, or a CUDA device such as cuda:0.
        minutes: training time; by default 5, or no limit where steps are given.
        steps: updates to train for, for results that a second run repeats exactly. 0 for no limit in steps.
        resume: go on from the run folder's checkpoint.
        overwrite: begin anew in a run folder that holds a run already.
        balance: draw training levels as often from each bucket of this metric, or from each "label".
        model: the model's settings as names and values, such as: layers 4 width 128.
        fit: how to train, likewise: batch, learning_rate, warm_up, weight_decay, clip, ema, condition_dropout,
            symmetries, patience, threads.
        sampling: how to sample, likewise; the saved generator is sampled so unless it is told otherwise.
    """

    family: str = ""
    problem: str = ""
    preset: str = ""
    corpus: tuple[str, ...] = ("constructed",)
    levels: int = 0
    shape: tuple[int, ...] | None = None
    stride: tuple[int, ...] | None = None
    conditions: tuple[str, ...] | None = None
    name: str = ""
    seed: int = 0
    corpus_seed: int = 0
    out: Path = Path("runs")
    device: str = "cpu"
    minutes: float | None = None
    steps: int = 0
    resume: bool = False
    overwrite: bool = False
    balance: str = ""
    model: dict[str, str] = field(default_factory=dict)
    fit: dict[str, str] = field(default_factory=dict)
    sampling: dict[str, str] = field(default_factory=dict)


def corpus_options(words: tuple[str, ...], **others: Any) -> CorpusOptions:
    """Returns what `--corpus KIND [PATH]` says.

    Raises:
        UserError: there are too many or too few words, or no corpus of that kind.
    """
    if not 1 <= len(words) <= 2:
        kinds = ", ".join(kind if kind == "constructed" else f"{kind} PATH" for kind in KINDS)
        raise UserError(f"--corpus takes one of {kinds}; got {' '.join(words) or 'nothing'}.")
    options = CorpusOptions(kind=words[0], path=words[1] if len(words) == 2 else "", **others)
    options.check()
    return options


def read_corpus(problem: str, options: CorpusOptions) -> Corpus:
    """Loads a corpus under a progress bar."""
    from tqdm import tqdm  # noqa: PLC0415 (only where something is printed)

    bar: Any = None

    def progress(done: int, total: int) -> None:
        nonlocal bar
        bar = bar or tqdm(total=total, desc=f"constructing {problem} levels", leave=False)
        bar.update(done - bar.n)

    try:
        return load_corpus(problem, options, progress)
    finally:
        if bar is not None:
            bar.close()


def fit_options(options: Options) -> FitOptions:
    """Returns how to train."""
    minutes = options.minutes
    if minutes is None:
        minutes = 0.0 if options.steps else FitOptions.minutes
    for name in options.fit:
        if name in _OWN_OPTIONS:
            raise UserError(f"--fit {name} has an option of its own: give --{name}.")
    chosen: FitOptions = options_of(FitOptions, options.fit, "setting of --fit")
    return replace(
        chosen,
        minutes=minutes,
        steps=options.steps,
        seed=options.seed,
        device=options.device,
        balance=options.balance,
    )


def with_preset(options: Options) -> Options:
    """Returns options with what was not given taken from the preset, and from the suite's defaults without one.

    Raises:
        UserError: there is no such preset, or it cannot be used for what was asked.
    """
    if not options.preset:
        return replace(options, family=options.family or FAMILY, problem=options.problem or PROBLEM)
    preset = find_preset(options.preset, options.out)
    preset.check_subject("family", options.family)
    family = get_family(preset.of)
    for name in preset.settings.get("fit", {}):
        if name in _OWN_OPTIONS:
            raise UserError(f"{options.preset} sets {name}, which is for the command line to say: take it out.")
    if options.problem and options.problem != preset.problem:
        print(f"The settings of {preset.source} were found on {preset.problem}, not on {options.problem}.")
    return replace(
        options,
        family=preset.of,
        problem=options.problem or preset.problem,
        model={**preset.words("model", family.Config), **options.model},
        fit={**preset.words("fit", FitOptions), **options.fit},
        sampling={**preset.words("sampling", family.Sampling), **options.sampling},
    )


def prepare(options: Options) -> tuple[Generator, Corpus, FitOptions, Path]:
    """Prepares a run: its corpus, its generator, its folder and its record.

    Args:
        options: as `with_preset` returns them.

    Raises:
        UserError: an option cannot be used, or the folder holds a run already; nothing has been written over then.
    """
    family = get_family(options.family)
    fit = fit_options(options)
    fit.check()
    sampling: Any = options_of(family.Sampling, options.sampling, f"sampling option of {family.name}")
    chosen = corpus_options(
        options.corpus,
        levels=options.levels,
        shape=options.shape,
        stride=options.stride,
        seed=options.corpus_seed,
    )
    name = options.name or f"{options.problem}-{options.family}-{chosen.kind}-seed{options.seed}"
    folder = options.out / "train_generator" / name
    begun = (folder / CHECKPOINT_FILE).exists() or (folder / GENERATOR_FOLDER).exists()
    if begun and not options.resume and not options.overwrite:
        raise UserError(
            f"{folder} holds a run already: add --resume to go on with it, --overwrite to begin anew, or give "
            "another --name or --seed."
        )
    corpus = read_corpus(options.problem, chosen)
    generator = make_generator(options.family, corpus, options.conditions, **options.model)
    make_folder(folder)
    model = asdict(generator.config)
    if options.resume:
        begun_with = read_config(folder / CONFIG_FILE)
        digest = corpus.record()["digest"]
        known = begun_with.get("corpus")
        if not isinstance(known, dict) or known.get("digest") != digest:
            raise UserError(
                f"{folder} was begun with another corpus than this ({digest}): give --resume with the levels that the "
                "run began with, or another --name."
            )
        before = begun_with.get("model")
        # What the record does not know came with a later version, whose defaults change nothing.
        if not isinstance(before, dict) or {**_plain(asdict(type(generator.config)())), **before} != _plain(model):
            raise UserError(
                f"{folder} was begun with the model {before}, not {_plain(model)}: give --resume with the settings "
                "that the run began with, or another --name."
            )
    elif begun:
        # Only now that every option is known to be usable.
        (folder / CHECKPOINT_FILE).unlink(missing_ok=True)
        (folder / METRICS_FILE).unlink(missing_ok=True)
        shutil.rmtree(folder / GENERATOR_FOLDER, ignore_errors=True)
    write_record(folder, options, model=model, sampling=asdict(sampling), corpus=corpus.record())
    return generator, corpus, fit, folder


def _plain(model: dict[str, Any]) -> dict[str, Any]:
    """Returns settings as they come back from JSON."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in model.items()}


def train(options: Options) -> None:
    """Runs the experiment."""
    options = with_preset(options)
    generator, corpus, fit, folder = prepare(options)
    print(f"Training {generator.title} on {options.problem}: {folder}")
    for line in corpus.card():
        print(f"  {line}")
    with Tracking(options.track, folder, resume=options.resume) as tracking:
        done = learn(generator, corpus, fit, folder, options.resume, tracking)
        early = ", stopped early" if done.stopped_early else ""
        print(
            f"{generator.parameters():,} learned numbers; {done.steps:,} updates on {done.levels:,} levels in "
            f"{done.seconds:.0f} s{early}; held-out score {done.held_out:.4g} at update {done.best_step:,}."
        )
        tracking.results("samples", leave_results(generator, corpus, folder, options))


def learn(
    generator: Generator, corpus: Corpus, options: FitOptions, folder: Path, resume: bool, tracking: Tracking
) -> Fit:
    """Trains under a progress bar, and tells of every line of metrics.csv."""
    with progress_bar("first updates") as show:

        def report(fit: Fit, share: float) -> None:
            figures = "  ".join(f"{name} {value:.3g}" for name, value in list(fit.figures.items())[:3])
            show(share, f"{fit.steps:,} updates  held out {fit.held_out:.4g}  {figures}")
            row = {"seconds": fit.seconds, "levels": fit.levels, "held_out": fit.held_out, **fit.figures}
            tracking.log(row, fit.steps)

        return generator.fit(corpus, options, folder, report, resume)


def leave_results(generator: Generator, corpus: Corpus, folder: Path, options: Options) -> dict[str, float]:
    """Saves the generator, samples of it, pictures and learning curves; returns what the samples are worth."""
    problem = corpus.problem
    if options.sampling:
        chosen = asdict(generator.sampling_options(**options.sampling))
        generator.facts["sampling"] = {name: chosen[name] for name in options.sampling}
    generator.save_pretrained(folder / GENERATOR_FOLDER)
    samples = generator.sample(SAMPLES, options.seed)
    playable = play_levels(problem, samples, SOLVER_SECONDS).playable
    held_out = play_levels(problem, corpus.held_out.levels[:SAMPLES], SOLVER_SECONDS).playable
    distinct = len(np.unique(samples.reshape(len(samples), -1), axis=0))
    print(
        f"{SAMPLES} samples: {100 * playable.mean():.1f} % playable (held-out levels: {100 * held_out.mean():.1f} %), "
        f"{100 * distinct / SAMPLES:.1f} % distinct."
    )
    write_levels(folder / "levels.txt", list(samples), problem)
    draw_levels(problem, samples[:12], playable[:12], folder / "samples.png")
    draw_levels(problem, corpus.train.levels[:12], None, folder / "corpus.png")
    pictures = f"{folder / 'samples.png'}, {folder / 'corpus.png'}"
    if (folder / METRICS_FILE).exists() and draw_curves(folder / METRICS_FILE, folder / "curves.png"):
        pictures += f", {folder / 'curves.png'}"
    print(f"""
Look at    {pictures}
Use        {folder / "levels.txt"}   samples as text
           {folder / GENERATOR_FOLDER}   the generator itself
Next       python -m experiments.evaluate_generator {folder}
           python -m experiments.play --levels {folder / "levels.txt"} --problem {problem.name}""")
    return {"playable": float(playable.mean()), "distinct": distinct / SAMPLES}


def draw_levels(problem: Problem, levels: NDArray[np.uint8], playable: NDArray[np.bool_] | None, picture: Path) -> None:
    """Draws levels as a sheet, with whether each is playable beneath."""
    width = levels.shape[-1] + (levels.shape[-2] if levels.ndim == 4 else 0)
    size = max(6, min(24, 280 // width))
    captions = None if playable is None else ["playable" if fine else "not playable" for fine in playable]
    images = [render(problem, level, size) for level in levels]
    save_png(picture, contact_sheet(images, min(4, len(images)), captions))


def draw_curves(metrics_file: Path, picture: Path, steps: str = "updates") -> bool:
    """Draws what a training reported against its steps; returns whether there was anything.

    Args:
        metrics_file: a metrics.csv.
        picture: the PNG to write.
        steps: what the file's steps are.
    """
    import matplotlib  # noqa: PLC0415 (slow to import)

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    columns = read_metrics(metrics_file)
    names = [name for name in columns if name not in ("steps", "seconds", "levels", "updates", "episodes")]
    if not names or not len(columns["steps"]):
        return False
    across = min(4, len(names))
    down = -(-len(names) // across)
    figure, axes = plt.subplots(down, across, figsize=(3.2 * across, 2.4 * down), squeeze=False, layout="constrained")
    for axis, name in zip(axes.flat, names, strict=False):
        axis.plot(columns["steps"], columns[name], linewidth=1.2, marker="." if len(columns["steps"]) < 10 else "")
        axis.set_title(name.replace("_", " "), fontsize=9)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.2)
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    figure.supxlabel(steps, fontsize=8)
    write_atomically(picture, lambda file: figure.savefig(file, format="png", dpi=110))
    plt.close(figure)
    return True


if __name__ == "__main__":
    main(Options, train)
