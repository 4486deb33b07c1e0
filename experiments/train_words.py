"""Train a words model for a problem: prompts are read by it, and levels found and ranked."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from envs import UserError
from experiments.evaluate_words import check_prompts, measure_words
from experiments.run import main, make_folder, progress_bar, write_record
from experiments.tracking import Tracking, TrackOptions
from experiments.train_generator import corpus_options, read_corpus
from experiments.words_measures import figures, summary, write_report
from generators.corpus import Corpus
from generators.generator import Fit
from generators.options import options_of
from generators.words.fitting import WordsFit, fit_words
from generators.words.lexicon import Lexicon
from generators.words.model import WordsModel
from generators.words.saved import WORDS_FOLDER
from generators.words.towers import Config

#: Settings of --fit that have an option of their own.
_OWN_OPTIONS = ("minutes", "steps", "seed", "device")


@dataclass
class Options(TrackOptions):
    """Train a words model for a problem: a lexicon learned from a corpus, and two towers of texts and levels.

    Attributes:
        problem: whose levels.
        corpus: constructed (by the problem's constructive generator), or vglc PATH, boxoban PATH, folder PATH.
        levels: the most levels, or windows of levels, to train on; 0 takes all, which are 10,000 constructed ones.
        shape: the shape of what is learned; longer levels are cut into windows of it. By default the problem's.
        stride: how far apart training windows are along each axis; by default one tile.
        name: the run folder's name under OUT/train_words; by default problem-corpus-seedN.
        seed: fixes weights, captions and batches.
        corpus_seed: fixes constructed levels and the split.
        out: where run folders go.
        device: cpu, or a CUDA device such as cuda:0.
        minutes: training time; by default 2, or no limit where steps are given.
        steps: updates to train for, for results that a second run repeats exactly. 0 for no limit in steps.
        overwrite: begin anew in a run folder that holds a model already.
        prompts: the most prompts of each kind to measure on.
        model: the towers' settings as names and values, such as: width 128 text minilm.
        fit: how to train, likewise: batch, captions, learning_rate, weight_decay, clip, symmetries, patience, threads,
            processor_time.
    """

    problem: str = "zelda"
    corpus: tuple[str, ...] = ("constructed",)
    levels: int = 0
    shape: tuple[int, ...] | None = None
    stride: tuple[int, ...] | None = None
    name: str = ""
    seed: int = 0
    corpus_seed: int = 0
    out: Path = Path("runs")
    device: str = "cpu"
    minutes: float | None = None
    steps: int = 0
    overwrite: bool = False
    prompts: int = 300
    model: dict[str, str] = field(default_factory=dict)
    fit: dict[str, str] = field(default_factory=dict)


def fit_options(options: Options) -> WordsFit:
    """Returns how to train.

    Raises:
        UserError: a setting is unknown or cannot be used.
    """
    for name in options.fit:
        if name in _OWN_OPTIONS:
            raise UserError(f"--fit {name} has an option of its own: give --{name}.")
    minutes = options.minutes
    if minutes is None:
        minutes = 0.0 if options.steps else WordsFit.minutes
    chosen = replace(
        options_of(WordsFit, options.fit, "setting of --fit"),
        minutes=minutes,
        steps=options.steps,
        seed=options.seed,
        device=options.device,
    )
    chosen.check()
    return chosen


def train(options: Options) -> None:
    """Runs the experiment."""
    fit = fit_options(options)
    check_prompts(options.prompts)
    config = options_of(Config, options.model, "setting of --model")
    chosen = corpus_options(
        options.corpus,
        levels=options.levels,
        shape=options.shape,
        stride=options.stride,
        seed=options.corpus_seed,
    )
    name = options.name or f"{options.problem}-{chosen.kind}-seed{options.seed}"
    folder = options.out / "train_words" / name
    if (folder / WORDS_FOLDER).exists() and not options.overwrite:
        raise UserError(
            f"{folder} holds a model already: add --overwrite to begin anew, or give another --name or --seed."
        )
    corpus = read_corpus(options.problem, chosen)
    model = WordsModel(Lexicon.of(corpus), config)
    make_folder(folder)
    shutil.rmtree(folder / WORDS_FOLDER, ignore_errors=True)
    write_record(folder, options, model=asdict(config), corpus=corpus.record())
    print(f"Training words for {options.problem}: {folder}")
    for line in corpus.card():
        print(f"  {line}")
    with Tracking(options.track, folder, resume=False) as tracking:
        done = learn(model, corpus, fit, tracking)
        early = ", stopped early" if done.stopped_early else ""
        print(
            f"{model.parameters():,} learned numbers; {done.steps:,} updates in {done.seconds:.0f} s{early}; held-out "
            f"score {done.held_out:.4g} at update {done.best_step:,}."
        )
        model.save_pretrained(folder / WORDS_FOLDER)
        measured = measure_words(model, corpus, None, options.prompts, options.seed)
        files = write_report(measured, folder, f"words-evaluation-seed{options.seed}")
        tracking.results("words", figures(measured))
    print(summary(measured))
    print(f"""
Look at    {", ".join(str(file) for file in files)}
Use        {folder / WORDS_FOLDER}   the model itself
Next       python -m experiments.train_generator --problem {options.problem} --name rooms
           python -m experiments.prompt runs/train_generator/rooms "..." --words {folder}
           python -m experiments.evaluate_words {folder} --generator runs/train_generator/rooms""")


def learn(model: WordsModel, corpus: Corpus, options: WordsFit, tracking: Tracking) -> Fit:
    """Trains under a progress bar, and tells how it goes."""
    with progress_bar("captions") as show:

        def report(done: Fit, share: float) -> None:
            told = "  ".join(f"{name} {value:.3g}" for name, value in done.figures.items())
            show(share, f"{done.steps:,} updates  held out {done.held_out:.4g}  {told}")
            tracking.log({"seconds": done.seconds, "held_out": done.held_out, **done.figures}, done.steps)

        return fit_words(model, corpus, options, report)


if __name__ == "__main__":
    main(Options, train)
