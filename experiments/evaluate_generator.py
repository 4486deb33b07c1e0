"""Judge a generator of levels, or levels that anything made, beside trivial baselines and real levels."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from numpy.typing import NDArray

from agents.episodes import draw_starts
from envs import UserError, get_problem
from envs.errors import unknown_name
from envs.level_io import read_folder, read_levels
from envs.problem import Problem
from experiments.generator_measures import (
    POOL,
    Evaluation,
    Mended,
    measured_control,
    measured_likelihood,
    metric_shifts,
    range_axes,
    reweighted,
)
from experiments.generator_report import summary, write_report
from experiments.run import main, make_folder
from experiments.tracking import Tracking, TrackOnRequestOptions
from experiments.train_generator import corpus_options, read_corpus
from generators.corpus import Corpus, open_corpus
from generators.generator import FitOptions, Generator
from generators.judging.control import Control
from generators.judging.fairness import shift_tiles
from generators.judging.judgement import Judgement, Yardstick, judge
from generators.judging.likelihood import Likelihood
from generators.judging.playability import PROCESSOR_TIME, Play, play_levels
from generators.saving import CONFIG_FILE
from generators.suite import all_families, load_generator, make_generator

#: How many corpus levels metrics and tiles are compared with, and how many a model's likelihood is taken of.
_REFERENCE, _SCORED = 2000, 300

#: Of so many levels of other rows than the first are nearest levels and copied patches found.
_EXAMINED = 200


@dataclass
class Options(TrackOnRequestOptions):
    """Judge a generator of levels, or levels that anything made, beside trivial baselines and real levels.

    Attributes:
        source: the folder of a run of experiments.train_generator or of a saved generator; or a file of levels, or a
            folder of such files, of --problem.
        problem: whose levels they are, where SOURCE holds levels.
        corpus: what the levels are compared with: constructed, or vglc PATH, boxoban PATH, folder PATH. By default what
            the generator was trained on.
        corpus_levels: the most training levels, where --corpus is given; 0 takes all.
        corpus_seed: of the corpus and its split, where --corpus is given.
        samples: how many levels are sampled and judged.
        seed: fixes all draws.
        out: where the report goes; by default the source's folder.
        condition: ask for values of metrics, or for a label, as names and values: path-length 40 enemies 2.
        sampling: how to sample, as names and values: temperature 0.9.
        repair: mend what cannot be played, and judge that apart: search, exact (integer programming), auto, or none.
        baselines: families to judge beside it; "all" takes all that are declared to be baselines, "none" none.
        baseline_minutes: the most that each of them is trained.
        compare: another saved generator of the same corpus, such as one trained with --balance.
        balance: the metric whose distribution is mended by reweighted sampling; by default the one that is most off.
        metrics: two metrics for the picture of the expressive range; by default the two that vary most.
        each: how many levels are asked for with each value, in measuring control; 0 leaves that out.
        seconds: the time that the solver may take for a level.
        examined: of how many levels nearest levels and copied patches are found; 0 for all.
    """

    source: Annotated[Path, tyro.conf.Positional]
    problem: str = ""
    corpus: tuple[str, ...] = ()
    corpus_levels: int = 0
    corpus_seed: int = 0
    samples: int = 1000
    seed: int = 0
    out: Path | None = None
    condition: dict[str, str] = field(default_factory=dict)
    sampling: dict[str, str] = field(default_factory=dict)
    repair: Literal["none", "search", "exact", "auto"] = "none"
    baselines: tuple[str, ...] = ("all",)
    baseline_minutes: float = 1.0
    compare: Path | None = None
    balance: str = ""
    metrics: tuple[str, str] | None = None
    each: int = 40
    seconds: float = 1.0
    examined: int = 0

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        for name, least in (("samples", 1), ("each", 0), ("examined", 0), ("corpus_levels", 0), ("corpus_seed", 0)):
            if getattr(self, name) < least:
                raise UserError(f"--{name.replace('_', '-')} must be at least {least}; got {getattr(self, name)}.")
        for name in ("seconds", "baseline_minutes"):
            if not getattr(self, name) > 0:
                raise UserError(f"--{name.replace('_', '-')} must be above 0; got {getattr(self, name)}.")


@dataclass
class Subject:
    """What is judged.

    Attributes:
        name: what tables call it.
        problem: whose levels.
        corpus: what they are compared with.
        generator: what makes them; None where they were read.
        levels: uint8 (n, *shape), those that were read.
    """

    name: str
    problem: Problem
    corpus: Corpus
    generator: Generator | None = None
    levels: NDArray[np.uint8] | None = None


def find_subject(options: Options) -> Subject:
    """Loads what is to be judged, and the corpus to judge it by.

    Raises:
        UserError: neither a generator nor levels are there, or the corpus cannot be had.
    """
    source = options.source
    if source.is_dir() and any((folder / CONFIG_FILE).exists() for folder in (source / "generator", source)):
        if options.problem:
            raise UserError("--problem says whose levels a file holds; a saved generator knows: leave it out.")
        return _generator_subject(source, options)
    if not options.problem:
        raise UserError(
            f"{source} holds no saved generator: give the folder of a run of experiments.train_generator, or --problem "
            "NAME for a file or folder of levels."
        )
    if options.condition or options.sampling or options.compare:
        raise UserError("--condition, --sampling and --compare are for generators; leave them out for levels.")
    problem = get_problem(options.problem)
    named = read_folder(source, problem) if source.is_dir() else [("", level) for level in read_levels(source, problem)]
    corpus = _corpus(problem, options)
    odd = sorted({level.shape for _, level in named} - {corpus.shape})
    if odd:
        raise UserError(
            f"{source} holds levels of shape {odd[0]}, the corpus those of {corpus.shape}: give --corpus one of the "
            "same shape, or levels of that shape."
        )
    levels = np.stack([level for _, level in named])[: options.samples]
    return Subject(source.stem, problem, corpus, levels=levels)


def _generator_subject(source: Path, options: Options) -> Subject:
    generator = load_generator(source)
    problem = generator.spec.task()
    if options.corpus:
        corpus = _corpus(problem, options)
    elif "corpus" in generator.facts:
        corpus = open_corpus(problem, generator.facts["corpus"])
    else:
        raise UserError(f"{source} does not say what it was trained on: give --corpus.")
    generator.check_corpus(corpus)
    return Subject(f"{generator.name} ({source.name})", problem, corpus, generator)


def _corpus(problem: Problem, options: Options) -> Corpus:
    words = options.corpus or ("constructed",)
    chosen = corpus_options(words, levels=options.corpus_levels, seed=options.corpus_seed)
    return read_corpus(problem.name, chosen)


def draw_samples(generator: Generator, count: int, seed: int, options: Options) -> tuple[NDArray[np.uint8], float]:
    """Samples levels, uint8 (count, *shape), and tells the milliseconds that each took, a first draw not counted."""
    condition = {name: _value(value) for name, value in options.condition.items()}
    generator.sample(1, seed, condition, **options.sampling)
    began = time.perf_counter()
    levels = generator.sample(count, seed, condition, **options.sampling)
    return levels, 1000 * (time.perf_counter() - began) / count


def _value(text: str) -> float | str:
    """Returns what a condition asks for: a number, or the name of a label."""
    try:
        return float(text)
    except ValueError:
        return text


def baseline_families(names: tuple[str, ...]) -> list[str]:
    """Returns the families to judge beside: those named, or all that are declared to be baselines.

    Raises:
        UserError: there is no family of a name.
    """
    if names == ("none",):
        return []
    if names == ("all",):
        return [name for name, kind in all_families().items() if kind.baseline]
    for name in names:
        if name in ("all", "none"):
            raise UserError(f"--baselines {name} goes with no other name; got {' '.join(names)}.")
        if name not in all_families():
            raise unknown_name("family of generators", name, [*all_families(), "all", "none"])
    return list(names)


def repaired(
    problem: Problem, levels: NDArray[np.uint8], play: Play, options: Options
) -> tuple[NDArray[np.uint8], float]:
    """Repairs the levels that cannot be played, by the same word by which they are judged.

    Repair is first asked for levels that are playable by their metrics. Where the solver has the last word (an enemy
    bars the way), what it does not win is searched for once more, for a level that it wins.

    Args:
        problem: whose levels they are.
        levels: uint8 (n, *shape).
        play: of these levels; those that are playable stay as they are.
        options: of the command; `repair` is not "none".

    Returns:
        The levels afterwards, uint8 (n, *shape), as they were where no way was found; the milliseconds for each level
        that was not playable.
    """
    from generators.repair import repair  # noqa: PLC0415 (only where something is repaired)

    afterwards = levels.copy()
    broken = left = np.flatnonzero(~play.playable)
    taken = 0.0
    solver_decides = problem.rules is not None and not any(metric.play for metric in problem.metrics)
    stages = [(options.repair, "playable")]
    if solver_decides and options.repair != "exact":
        stages.append(("search", "solved"))
    for method, goal in stages:
        if not len(left):
            break
        done = repair(
            problem,
            levels[left],
            method,
            goal=goal,
            seconds=options.seconds,
            seed=options.seed,
            processor_time=PROCESSOR_TIME,
        )
        taken += float(done.seconds.sum())
        fine = play_levels(problem, done.levels, options.seconds).playable
        afterwards[left[fine]] = done.levels[fine]
        left = left[~fine]
    return afterwards, 1000 * taken / max(1, len(broken))


def check_names(problem: Problem, options: Options) -> None:
    """Raises UserError where --balance or --metrics name no metric."""
    names = [metric.name for metric in problem.metrics]
    for name in (*(options.metrics or ()), *filter(None, [options.balance])):
        if name not in names:
            raise unknown_name(f"metric of {problem.name}", name, names)


def evaluate(options: Options) -> None:
    """Runs the experiment."""
    options.check()
    families = baseline_families(options.baselines)
    subject = find_subject(options)
    problem, corpus = subject.problem, subject.corpus
    check_names(problem, options)
    rival = None if options.compare is None else _compared(options.compare, corpus, options)
    # Before the work begins, so that it is not in vain.
    if subject.generator is not None:
        draw_samples(subject.generator, 1, options.seed, options)
    folder = make_folder(options.out or (options.source if options.source.is_dir() else options.source.parent))
    report = f"generator-evaluation-seed{options.seed}"
    with Tracking(
        options.track, folder, resume=True, asked={"evaluate_generator": dataclasses.asdict(options)}
    ) as tracking:
        first = evaluate_subject(subject, families, rival, options, folder, report)
        tracking.results(report, {name: dataclasses.asdict(figure) for name, figure in first.figures().items()})


def evaluate_subject(
    subject: Subject, families: Sequence[str], rival: Generator | None, options: Options, folder: Path, report: str
) -> Judgement:
    """Judges a subject beside all others, and writes the report; returns what was found out about its raw levels."""
    problem, corpus = subject.problem, subject.corpus
    yardstick = Yardstick(problem, corpus.train.levels, options.seconds, options.seed)
    tell = _Teller()

    tell(f"judging {subject.name}")
    if subject.generator is not None:
        levels, milliseconds = draw_samples(subject.generator, options.samples, options.seed, options)
    else:
        assert subject.levels is not None
        levels, milliseconds = subject.levels, float("nan")
    first = judge(yardstick, subject.name, levels, options.examined or None, milliseconds)
    rows = [first]
    scored: dict[str, Likelihood | None] = {}
    unseen = corpus.test.levels[:_SCORED]
    if subject.generator is not None:
        scored[first.name] = measured_likelihood(subject.generator, unseen, options.seed)
        known = f"{first.name}, on training levels"
        scored[known] = measured_likelihood(subject.generator, corpus.train.levels[:_SCORED], options.seed)
    mended = None
    if options.repair != "none":
        tell("repairing")
        afterwards, taken = repaired(problem, first.levels, first.play, options)
        each = milliseconds + taken * float((~first.play.playable).mean())
        again = judge(yardstick, f"{first.name}, repaired", afterwards, _EXAMINED, each)
        edits = (afterwards != first.levels).reshape(len(afterwards), -1).sum(axis=1)
        mended = Mended(again, edits, taken, options.repair)
        rows.append(again)

    skipped = []
    compared = None
    others: list[tuple[str, Callable[[], Generator], Options]] = []
    if rival is not None and options.compare is not None:
        others.append((f"compared: {options.compare.name}", lambda: rival, options))
    # What is asked of one family's sampler, another may not know.
    plain = dataclasses.replace(options, condition={}, sampling={})
    others += [(name, partial(_fitted, name, corpus, options), plain) for name in families]
    for name, make, chosen in others:
        tell(f"judging {name}")
        try:
            model = make()
            drawn, milliseconds = draw_samples(model, options.samples, options.seed, chosen)
        except UserError as error:
            if chosen is options:
                raise
            skipped.append(f"{name}: {error}")
            continue
        rows.append(judge(yardstick, name, drawn, _EXAMINED, milliseconds))
        scored[name] = measured_likelihood(model, unseen, options.seed)
        if chosen is options:
            compared = rows[-1]

    tell("judging random and real levels")
    rows.append(judge(yardstick, "random start levels", random_levels(corpus, len(levels), options.seed), _EXAMINED))
    rows.append(judge(yardstick, "test levels of the corpus", corpus.test.levels[: len(levels)], _EXAMINED))

    tell("comparing with the corpus")
    picked = np.random.default_rng(options.seed).permutation(len(corpus.train))[:_REFERENCE]
    known_levels = corpus.train.levels[np.sort(picked)]
    reference = play_levels(problem, known_levels, options.seconds)
    shifts = metric_shifts(problem, first.play, reference, options.seed)
    names = [tile.name for tile in problem.tiles]
    other_shifts = None
    controls: list[Control] = []
    generator = subject.generator
    if generator is not None and options.each and not options.condition:
        tell("asking for values of metrics")
        controls = measured_control(generator, corpus, first.play, options.each, options.seed, options.sampling)
    tell("reweighted sampling")
    metrics = first.play.metrics
    if generator is not None:
        # Levels that were read cannot be drawn anew: of these themselves a part is chosen.
        more, _ = draw_samples(generator, (POOL - 1) * len(first.levels), options.seed + 2, options)
        metrics = np.concatenate([metrics, problem.measure(more)])
    mitigations = reweighted(problem, metrics, reference, shifts, options.balance, options.seed)
    if compared is not None:
        other_shifts = metric_shifts(problem, compared.play, reference, options.seed)
    result = Evaluation(
        problem=problem,
        corpus=corpus,
        rows=rows,
        scored={name: found for name, found in scored.items() if found is not None},
        mended=mended,
        controls=controls,
        reference=reference,
        reference_levels=known_levels,
        shifts=shifts,
        tiles=shift_tiles(first.levels, known_levels, names, options.seed),
        compared=None if compared is None or other_shifts is None else (compared.name, other_shifts),
        mitigations=mitigations,
        axes=range_axes(problem, reference, options.metrics),
        threshold=yardstick.threshold,
        skipped=skipped,
        facts=_facts(options, subject),
    )
    tell("writing")
    files = write_report(result, folder, report)
    tell.end()
    print(summary(result))
    print("\nWritten to " + ", ".join(str(file) for file in files))
    return first


def _compared(folder: Path, corpus: Corpus, options: Options) -> Generator:
    """Returns the generator to compare with.

    Raises:
        UserError: it cannot be loaded, learned from another corpus, or does not know what is asked of both.
    """
    other = load_generator(folder)
    other.check_corpus(corpus)
    try:
        draw_samples(other, 1, options.seed, options)
    except UserError as error:
        raise UserError(f"What is asked of the generator is asked of --compare {folder} too: {error}") from error
    return other


def _fitted(name: str, corpus: Corpus, options: Options) -> Generator:
    """Returns a family fitted to the corpus's training levels."""
    generator = make_generator(name, corpus)
    generator.fit(corpus, FitOptions(minutes=options.baseline_minutes, seed=options.seed))
    return generator


def random_levels(corpus: Corpus, count: int, seed: int) -> NDArray[np.uint8]:
    """Returns random start levels of the corpus's shape, uint8 (count, *shape)."""
    return draw_starts(corpus.problem, count, seed, corpus.shape)


def _facts(options: Options, subject: Subject) -> dict[str, Any]:
    """Returns what the report says of how it was made."""
    facts: dict[str, Any] = {"options": dataclasses.asdict(options), "corpus": subject.corpus.record()}
    if subject.generator is not None:
        facts["family"] = subject.generator.name
        facts["parameters"] = subject.generator.parameters()
        facts["fit"] = subject.generator.facts.get("fit")
    return facts


class _Teller:
    """Says what is being done, and how long the last thing took."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.current = ""

    def __call__(self, what: str) -> None:
        """Says what comes next."""
        self.end()
        self.current, self.began = what, time.perf_counter()
        print(f"{what} …", end="", flush=True)

    def end(self) -> None:
        """Says how long it took."""
        if self.current:
            print(f" {time.perf_counter() - self.began:.1f} s", flush=True)
        self.current = ""


if __name__ == "__main__":
    main(Options, evaluate)
