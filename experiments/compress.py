"""Make a trained generator or designer smaller, and measure what that costs it and what it saves."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from numpy.typing import NDArray

from agents.designer import PolicyDesigner
from agents.evaluation import Row, compare
from envs import UserError
from envs.evaluation import Estimate, number, percent
from envs.files import write_atomically
from experiments import reports
from experiments.evaluate import check_levels, designer_folder, holds_designer
from experiments.generator_measures import measured_likelihood
from experiments.run import main, make_folder, progress_bar, write_json, write_record
from experiments.tracking import Tracking, TrackOptions
from experiments.train_generator import corpus_options, read_corpus
from generators.corpus import Corpus, open_corpus
from generators.generator import Fit, FitOptions, Generator, Report
from generators.judging.judgement import Yardstick, judge
from generators.neural import NeuralGenerator
from generators.options import options_of
from generators.saving import CARD_FILE, WEIGHTS_FILE
from generators.suite import GENERATOR_FOLDER, load_generator
from search.compression import (
    COMPRESSION,
    check_generator,
    distil,
    nonzero,
    prune,
    prune_designer,
    quantise,
    quantise_designer,
    smaller_config,
)
from search.costs import milliseconds
from search.presets import find_preset

Way = Literal["pruned", "int8", "distilled"]

#: The table, and the name of its row of what was there before.
_TABLE, ORIGINAL = "compression", "original"

#: Levels are judged on seeds from here on, which no training draws.
_JUDGED_SEED = 1_000_000

#: Of so many levels the likelihood is taken; so many are sampled at a time where times are taken.
_SCORED, _BATCH = 300, 256

#: Settings of --fit that have an option of their own.
_OWN_OPTIONS = ("minutes", "steps", "seed", "device")

#: Ways that some options are for, and options that only generators have a use for, whatever the way.
_FOR: dict[str, tuple[Way, ...]] = {
    "share": ("pruned",),
    **dict.fromkeys(("student", "preset", "smaller", "teacher_levels", "soft"), ("distilled",)),
    **dict.fromkeys(("minutes", "steps", "fit"), ("pruned", "distilled")),
}
_FOR_GENERATORS = ("corpus", "corpus_levels", "minutes", "steps", "fit")


@dataclass
class Options(TrackOptions):
    """Make a trained generator or designer smaller, and measure what that costs it and what it saves.

    Attributes:
        source: the folder of a run of experiments.train_generator or experiments.pcgrl, or of a saved model.
        to: pruned (without the smallest weights, the others trained on), int8 (weights of eight bits), distilled (a
            smaller model of the family that learns from this one). By default all that the model can be; designers are
            pruned without being trained on, and not distilled.
        corpus: what is trained on and judged by: constructed, or vglc PATH, boxoban PATH, folder PATH. By default what
            the generator was trained on.
        corpus_levels: the most training levels, where --corpus is given; 0 takes all.
        share: of the weights, that pruning takes out.
        student: what the distilled model's settings are, as names and values; the others are the original's.
        preset: settings of the distilled model, by the name that experiments.nas --use gave them, or by their file.
        smaller: where neither says how large the distilled model is: so large a share of the original's weights at
            most, all sizes scaled down alike.
        teacher_levels: how many levels the original samples for the distilled model to learn from.
        soft: what the original's opinion of each tile weighs in distilling, from 0 to 1, in families that have one.
        minutes: of each training; by default 3, or no limit where steps are given.
        steps: updates of each training, for results that a second run repeats exactly. 0 for no limit in steps.
        fit: how to train, as names and values; see experiments.train_generator.
        samples: how many levels each model is judged on.
        seed: fixes all draws.
        name: the run folder's name under OUT/compress; by default the source's.
        out: where run folders go.
        overwrite: begin anew in a run folder that holds a run already.
    """

    source: Annotated[Path, tyro.conf.Positional]
    to: tuple[Way, ...] = ()
    corpus: tuple[str, ...] = ()
    corpus_levels: int = 0
    share: float = 0.5
    student: dict[str, str] = field(default_factory=dict)
    preset: str = ""
    smaller: float = 0.4
    teacher_levels: int = 5000
    soft: float = 0.5
    minutes: float | None = None
    steps: int = 0
    fit: dict[str, str] = field(default_factory=dict)
    samples: int = 1000
    seed: int = 0
    name: str = ""
    out: Path = Path("runs")
    overwrite: bool = False

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        check_levels(self.samples)
        if len(set(self.to)) < len(self.to):
            raise UserError(f"--to takes each way once; got {' '.join(self.to)}.")
        for name in ("share", "smaller"):
            if not 0 < getattr(self, name) < 1:
                raise UserError(f"--{name} must be above 0 and below 1; got {getattr(self, name)}.")

    def check_used(self, ways: Sequence[Way], generator: bool) -> None:
        """Raises UserError where an option was given that would do nothing.

        Args:
            ways: in which the model is made smaller.
            generator: whether it is a generator.
        """
        needs = {name: f"is for --to {' or '.join(own)}" for name, own in _FOR.items() if not set(own) & set(ways)}
        if not generator:
            needs |= dict.fromkeys(_FOR_GENERATORS, "is for generators")
        if not self.corpus:
            needs["corpus_levels"] = "needs --corpus"
        if self.student or self.preset:
            needs["smaller"] = "is for models that neither --student nor --preset describes"
        defaults = Options(self.source)
        for name, need in needs.items():
            if getattr(self, name) != getattr(defaults, name):
                raise UserError(f"--{name.replace('_', '-')} {need}, and would do nothing here: leave it out.")


@dataclass(frozen=True)
class Appraisal:
    """What a generator is worth and what it costs.

    Attributes:
        name: what the table calls it.
        joint: the share of raw samples that are playable, novel and unique.
        playable: the share that are playable.
        diversity: restricted diversity (Todd 2023).
        nats: of a tile of test levels; None where the family cannot tell.
        weights: how many its network has.
        nonzero: how many of them are not 0.
        size: of the saved file, in bytes.
        milliseconds: of a processor's time for a level, sampled in a batch.
        milliseconds_alone: the same for a level by itself.
    """

    name: str
    joint: Estimate
    playable: Estimate
    diversity: Estimate
    nats: Estimate | None
    weights: int
    nonzero: int
    size: int
    milliseconds: float
    milliseconds_alone: float


def appraise(name: str, folder: Path, corpus: Corpus, samples: int, seed: int) -> Appraisal:
    """Measures a saved generator by the one evaluator.

    Args:
        name: what the table calls it.
        folder: where it is saved.
        corpus: what it learned from.
        samples: how many levels it is judged on.
        seed: fixes the draws.
    """
    generator = load_generator(folder)
    batch = min(_BATCH, generator.chunk)
    times = [milliseconds(partial(generator.sample, n, seed)) / n for n in (batch, 1)]
    levels = generator.sample(samples, _JUDGED_SEED + seed)
    judgement = judge(Yardstick(corpus.problem, corpus.train.levels, seed=seed), name, levels, 1)
    likelihood = measured_likelihood(generator, corpus.test.levels[:_SCORED], seed)
    figures = judgement.figures()
    return Appraisal(
        name,
        figures["all three"],
        figures["playable"],
        figures["restricted diversity"],
        None if likelihood is None else likelihood.nats,
        generator.parameters(),
        nonzero(_learned(generator)),
        _saved_size(folder),
        *times,
    )


def _learned(generator: Generator) -> dict[str, NDArray]:
    """Returns the arrays of a generator that are its network's weights."""
    arrays = generator.arrays()
    if not isinstance(generator, NeuralGenerator):
        return arrays
    return {name: arrays[name] for name, _ in generator.network.named_parameters()}


def _saved_size(folder: Path) -> int:
    place = folder / GENERATOR_FOLDER
    return ((place if place.is_dir() else folder) / WEIGHTS_FILE).stat().st_size


def compress(options: Options) -> None:
    """Runs the experiment."""
    options.check()
    source = options.source
    if holds_designer(source):
        _compress_designer(options, designer_folder(source))
        return
    generator = check_generator(load_generator(source))
    ways = options.to or ("pruned", "int8", "distilled")
    options.check_used(ways, generator=True)
    fit = _fit_options(options)
    student = _student(generator, options) if "distilled" in ways else None
    corpus = _corpus(generator, options)
    folder = _begin(options)
    sampled = {"levels": options.teacher_levels, "soft": options.soft}
    makers: dict[str, Callable[[Report], NeuralGenerator]] = {
        "pruned": lambda report: prune(generator, options.share, corpus, fit, report),
        "int8": lambda report: quantise(generator),
        "distilled": lambda report: distil(generator, student, corpus, fit, report=report, **sampled),  # type: ignore[arg-type]
    }
    print(f"Making {generator.title} for {generator.spec.problem} smaller: {folder}")
    places = {ORIGINAL: source}
    with Tracking(options.track, folder, resume=False) as tracking:
        for way in ways:
            with progress_bar(way) as show:
                made = makers[way](partial(_show, way, show, tracking))
            places[way] = folder / way
            make_folder(places[way])
            made.save_pretrained(places[way] / GENERATOR_FOLDER)
            facts = {
                "model": dataclasses.asdict(made.config),
                COMPRESSION: made.facts[COMPRESSION],
                "corpus": corpus.record(),
            }
            write_record(places[way], options, **facts)
        rows = []
        for name, place in places.items():
            print(f"judging {name} …", flush=True)
            rows.append(appraise(name, place, corpus, options.samples, options.seed))
        table = describe(rows)
        for row in rows[1:]:
            _write_card(places[row.name] / GENERATOR_FOLDER, [rows[0], row])
        note = (
            f"{options.samples} raw levels each; intervals are 95 % bootstrap intervals over levels. Milliseconds are "
            f"a processor's, for a level in a batch of {min(_BATCH, generator.chunk)} and alone."
        )
        _leave(folder, table, note, {row.name: dataclasses.asdict(row) for row in rows}, options, tracking)
        print(f"Next       python -m experiments.evaluate_generator {places[ways[0]]}")


def _corpus(generator: Generator, options: Options) -> Corpus:
    """Returns what is trained on and judged by.

    Raises:
        UserError: it cannot be had, or is not the generator's.
    """
    record = generator.facts.get("corpus")
    if options.corpus:
        shape = generator.spec.shape
        corpus = read_corpus(
            generator.spec.problem, corpus_options(options.corpus, levels=options.corpus_levels, shape=shape)
        )
    elif isinstance(record, dict):
        corpus = open_corpus(generator.spec.task(), record)
    else:
        raise UserError(f"{options.source} does not say what it was trained on: give --corpus.")
    generator.check_corpus(corpus)
    return corpus


def _show(way: str, show: Callable[[float, str], None], tracking: Tracking, fit: Fit, share: float) -> None:
    """Tells how far a training is."""
    show(share, f"{way}  {fit.steps:,} updates  held out {fit.held_out:.4g}")
    row = {"seconds": fit.seconds, "levels": fit.levels, "held_out": fit.held_out, **fit.figures}
    tracking.log({f"{way}/{name}": value for name, value in row.items()}, fit.steps)


def _fit_options(options: Options) -> FitOptions:
    """Returns how pruned and distilled models are trained."""
    for name in options.fit:
        if name in _OWN_OPTIONS:
            raise UserError(
                f"--fit {name} is not for this command: give --minutes, --steps or --seed, or leave it out."
            )
    minutes = options.minutes
    if minutes is None:
        minutes = 0.0 if options.steps else 3.0
    chosen: FitOptions = options_of(FitOptions, options.fit, "setting of --fit")
    chosen = dataclasses.replace(chosen, minutes=minutes, steps=options.steps, seed=options.seed)
    chosen.check()
    return chosen


def _student(generator: NeuralGenerator, options: Options) -> Any:
    """Returns the configuration of the distilled model.

    Raises:
        UserError: a setting cannot be used, or it is not smaller than the original.
    """
    if not options.student and not options.preset:
        return smaller_config(generator, options.smaller)
    given: dict[str, Any] = dict(options.student)
    if options.preset:
        preset = find_preset(options.preset, options.out)
        preset.check_subject("family", generator.name)
        given = {**preset.words("model", generator.Config), **given}
    chosen: Any = options_of(
        generator.Config, {**dataclasses.asdict(generator.config), **given}, f"setting of {generator.name}"
    )
    weights = type(generator)(generator.spec, chosen).parameters()
    if weights >= generator.parameters():
        raise UserError(
            f"The distilled model would have {weights:,} weights, the original has {generator.parameters():,}: give "
            "--student or --preset smaller settings."
        )
    return chosen


def _begin(options: Options) -> Path:
    """Makes the run folder with the run's record, and returns it.

    Raises:
        UserError: it holds a run already.
    """
    name = options.name or options.source.resolve().name
    folder = options.out / "compress" / name
    if options.source.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{options.source} lies in {folder}, where the run would be: give another --name.")
    if (folder / f"{_TABLE}.json").exists():
        if not options.overwrite:
            raise UserError(f"{folder} holds a run already: add --overwrite to begin anew, or give another --name.")
        shutil.rmtree(folder)
    write_record(make_folder(folder), options)
    return folder


def describe(rows: Sequence[Appraisal]) -> str:
    """Returns a Markdown table of generators, the first the original."""
    headings = ["model", "playable, novel, unique", "playable", "diversity", "nats/tile", "weights", "not 0"]
    headings += ["KiB", "ms/level", "ms alone"]
    lines = [f"| {' | '.join(headings)} |", f"|{' --- |' * len(headings)}"]
    for row in rows:
        cells = [row.name, percent(row.joint), percent(row.playable), percent(row.diversity)]
        cells += ["" if row.nats is None else number(row.nats), f"{row.weights:,}", f"{row.nonzero:,}"]
        cells += [f"{row.size / 1024:,.0f}", f"{row.milliseconds:.2f}", f"{row.milliseconds_alone:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _write_card(folder: Path, rows: Sequence[Appraisal]) -> None:
    """Adds to a generator's card how it was made smaller, and its figures beside the original's."""
    how = load_generator(folder).facts[COMPRESSION]
    words = ", ".join(f"{name} {value}" for name, value in how.items() if name != "method")
    text = f"\n## Made smaller\n\n{how['method'].capitalize()}: {words}.\n\n{describe(rows)}\n"
    card = (folder / CARD_FILE).read_text(encoding="utf-8")
    write_atomically(folder / CARD_FILE, (card + text).encode())


def _leave(
    folder: Path, table: str, note: str, rows: dict[str, dict[str, Any]], options: Options, tracking: Tracking
) -> None:
    """Prints the table, writes it as Markdown and as JSON, and tells of it."""
    print(f"\n{table}\n")
    write_atomically(folder / f"{_TABLE}.md", f"{table}\n\n{note}\n".encode())
    write_json(
        folder / f"{_TABLE}.json",
        {"source": str(options.source), "samples": options.samples, "rows": list(rows.values())},
    )
    tracking.results("", rows)
    print(f"Look at    {folder / f'{_TABLE}.md'}")


# Designers.


def _compress_designer(options: Options, place: Path) -> None:
    ways = options.to or ("pruned", "int8")
    if "distilled" in ways:
        raise UserError("Designers are pruned or quantised, not distilled: leave distilled out of --to.")
    options.check_used(ways, generator=False)
    designer = PolicyDesigner.from_pretrained(place)
    makers: Mapping[str, Callable[[], PolicyDesigner]] = {
        "pruned": lambda: prune_designer(designer, options.share),
        "int8": lambda: quantise_designer(designer),
    }
    folder = _begin(options)
    print(f"Making a {designer.name} for {designer.problem.name} smaller: {folder}")
    places, designers = {ORIGINAL: place}, {ORIGINAL: designer}
    with Tracking(options.track, folder, resume=False) as tracking:
        for way in ways:
            made = makers[way]()
            places[way] = folder / way / "designer"
            card = f"# A {designer.name} for {designer.problem.name}, {way}\n\nMade from {place}.\n"
            made.save_pretrained(places[way], card)
            designers[way] = PolicyDesigner.from_pretrained(places[way])
            write_record(folder / way, options, **{COMPRESSION: made.facts[COMPRESSION]})
        for name, one in designers.items():
            one.name = name
        frozen = designer.env_options.get("frozen_share", 0.0)
        rows, _ = compare(list(designers.values()), options.samples, _JUDGED_SEED + options.seed, frozen)
        sizes = {name: _designer_size(one, places[name]) for name, one in designers.items()}
        table = _describe_designers(rows, sizes)
        plain = {row.designer: {**dataclasses.asdict(row), **sizes[row.designer]} for row in rows}
        note = f"{options.samples} new start levels; intervals are 95 % bootstrap intervals over levels."
        _leave(folder, table, note, plain, options, tracking)
        print(f"Next       python -m experiments.evaluate {folder / ways[0]}")


def _designer_size(designer: PolicyDesigner, place: Path) -> dict[str, int]:
    arrays = {name: tensor.numpy() for name, tensor in designer.network.state_dict().items()}
    weights = sum(array.size for array in arrays.values())
    return {"weights": weights, "nonzero": nonzero(arrays), "size": (place / WEIGHTS_FILE).stat().st_size}


def _describe_designers(rows: Sequence[Row], sizes: Mapping[str, Mapping[str, int]]) -> str:
    headings = (*reports.HEADINGS, "weights", "not 0", "KiB")
    lines = [f"| {' | '.join(headings)} |", f"|{' --- |' * len(headings)}"]
    for row in rows:
        size = sizes[row.designer]
        cells = [*reports.cells(row), f"{size['weights']:,}", f"{size['nonzero']:,}", f"{size['size'] / 1024:,.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main(Options, compress)
