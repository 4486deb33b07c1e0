r"""What each family of generators reaches on a corpus, trained for the same time.

python -m benchmarks.generators --minutes 2
python -m benchmarks.generators --problems sokoban --families tile_lm masked_lm --minutes 40 --samples 1000 \
    --corpus boxoban ../shared/data/boxoban-levels/unfiltered --out runs/benchmark-boxoban
python -m benchmarks.generators --problems smb --families tile_lm markov ngram copy_left commonest --minutes 15 \
    --corpus vglc "../shared/data/TheVGLC/Super Mario Bros" --test 0.2 --model order column --out runs/benchmark-vglc

Every pair of problem and family is trained once, saved below --out and judged on its own samples, raw; the corpus's own
test levels and random start levels are judged beside them. What is there already is not done again, so that the command
can be interrupted, and can run twice side by side for different problems. The table is written to OUT/table.md.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from envs import UserError, get_problem
from envs.errors import unknown_name
from envs.evaluation import Estimate
from envs.files import write_atomically
from experiments.train_generator import corpus_options
from generators.corpus import Corpus, load_corpus
from generators.generator import FitOptions, Generator
from generators.judging.judgement import Judgement, Yardstick, judge
from generators.judging.likelihood import measure_likelihood
from generators.suite import all_families, get_family, load_generator, make_generator

#: What the table shows of a judgement, by the names of `Judgement.figures`, as shares in percent.
SHARES = ("playable", "novel", "unique", "all three", "restricted diversity")


@dataclass
class Options:
    """Train and judge families of generators on problems' corpora.

    Attributes:
        problems: whose levels.
        families: which ones; by default all.
        minutes: of a processor's time for training, for each.
        corpus: constructed, or vglc PATH, boxoban PATH, folder PATH.
        levels: the most training levels; 0 takes all, which are 10,000 constructed ones.
        test: the share of levels that are judged by, where no folder says which those are.
        samples: how many samples are judged.
        seed: of weights, batches and samples.
        model: settings of the models, such as: order column. Families that have no such setting take their own.
        sampling: options of the sampling, likewise.
        out: where models and figures are kept.
    """

    problems: tuple[str, ...] = ("sokoban", "zelda", "binary", "smb")
    families: tuple[str, ...] = ()
    minutes: float = 2.0
    corpus: tuple[str, ...] = ("constructed",)
    levels: int = 0
    test: float = 0.05
    samples: int = 500
    seed: int = 0
    model: dict[str, str] = field(default_factory=dict)
    sampling: dict[str, str] = field(default_factory=dict)
    out: Path = Path("runs/benchmark-generators")


def figures(judgement: Judgement) -> dict[str, Any]:
    """Returns what is kept of a judgement, as plain data."""
    found: dict[str, Any] = {
        name: [estimate.mean, estimate.low, estimate.high] for name, estimate in judgement.figures().items()
    }
    found["divergence"] = [divergence.weighted() for divergence in judgement.divergences]
    return found


def known(settings: type, given: dict[str, str]) -> dict[str, str]:
    """Returns those of the given settings that a dataclass has."""
    names = {entry.name for entry in fields(settings)}
    return {name: value for name, value in given.items() if name in names}


def check_settings(families: tuple[str, ...], options: Options) -> None:
    """Raises UserError where a setting is one that none of the families has."""
    for what, given in (("Config", options.model), ("Sampling", options.sampling)):
        names = {entry.name for family in families for entry in fields(getattr(get_family(family), what))}
        for name in given:
            if name not in names:
                raise unknown_name("setting of these families", name, sorted(names))


def fitted(name: str, corpus: Corpus, options: Options, folder: Path) -> Generator:
    """Returns a family's generator for a corpus: the saved one, or one that is trained now."""
    if (folder / "config.json").exists():
        return load_generator(folder)
    generator = make_generator(name, corpus, **known(get_family(name).Config, options.model))
    # By the processor's time, so that what else the machine does makes no difference.
    fit = FitOptions(minutes=options.minutes, seed=options.seed, processor_time=True)
    working = folder.with_suffix(".training")
    working.mkdir(parents=True, exist_ok=True)
    generator.fit(corpus, fit, working, resume=(working / "checkpoint.pt").exists())
    generator.save_pretrained(folder)
    return generator


def measured(generator: Generator, corpus: Corpus, yardstick: Yardstick, options: Options) -> dict[str, Any]:
    """Samples from a generator and judges what comes."""
    sampling = known(generator.Sampling, options.sampling)
    generator.sample(1, options.seed, None, None, **sampling)
    began = time.perf_counter()
    levels = generator.sample(options.samples, options.seed, None, None, **sampling)
    milliseconds = 1000 * (time.perf_counter() - began) / options.samples
    row = figures(judge(yardstick, generator.name, levels, examined=50))
    row |= {"milliseconds": milliseconds, "parameters": generator.parameters(), "fit": generator.facts["fit"]}
    unseen = corpus.test.levels[:500]
    scores = generator.score(unseen)
    if scores is not None:
        found = measure_likelihood(
            unseen, scores.nats, scores.predicted, generator.spec.commonest, scores.bound, scores.note
        )
        row |= {"nats": found.nats.mean, "bound": found.bound, "note": found.note}
        if found.accuracy is not None and found.rare_accuracy is not None:
            row |= {"accuracy": found.accuracy.mean, "rare accuracy": found.rare_accuracy.mean}
    return row


def table(problem: str, rows: dict[str, dict[str, Any]]) -> str:
    """Returns the figures of a problem as Markdown."""
    lines = [
        f"| {problem} | " + " | ".join(SHARES) + " | tile patterns | nats/tile | tiles right (uncommon) | ms/level "
        "| parameters |",
        "|" + " --- |" * (len(SHARES) + 6),
    ]
    for name, row in rows.items():
        shares = [f"{100 * row[key][0]:.1f} ({100 * row[key][1]:.1f}-{100 * row[key][2]:.1f})" for key in SHARES]
        nats = "" if "nats" not in row else f"{'<= ' if row['bound'] else ''}{row['nats']:.3f}"
        right = f"{100 * row['accuracy']:.1f} ({100 * row['rare accuracy']:.1f})" if "accuracy" in row else ""
        speed = f"{row['milliseconds']:.2f}" if "milliseconds" in row else ""
        size = f"{row['parameters']:,}" if "parameters" in row else ""
        patterns = f"{np.mean(row['divergence']):.2f}"
        lines.append(f"| {name} | " + " | ".join([*shares, patterns, nats, right, speed, size]) + " |")
    return "\n".join(lines)


def run(options: Options) -> None:
    """Trains and judges what is not done yet, and writes the tables."""
    torch.set_num_threads(1)
    names = options.families or tuple(sorted(all_families(), key=lambda name: (all_families()[name].baseline, name)))
    check_settings(names, options)
    for problem in options.problems:
        get_problem(problem)
        corpus = load_corpus(problem, corpus_options(options.corpus, levels=options.levels, test=options.test))
        yardstick = Yardstick(corpus.problem, corpus.train.levels)
        place = options.out / problem
        place.mkdir(parents=True, exist_ok=True)
        rows: dict[str, dict[str, Any]] = {}
        for name in (*names, "test levels", "random levels"):
            file = place / f"{name.replace(' ', '-')}.json"
            if file.exists():
                rows[name] = json.loads(file.read_text())
                continue
            try:
                if name == "test levels":
                    row = figures(judge(yardstick, name, corpus.test.levels[: options.samples], examined=50))
                elif name == "random levels":
                    uniforms = np.random.default_rng(options.seed).random(
                        (options.samples, 1 + int(np.prod(corpus.shape)))
                    )
                    levels = corpus.problem.start_levels(uniforms, corpus.shape)
                    row = figures(judge(yardstick, name, levels, examined=50))
                else:
                    row = measured(fitted(name, corpus, options, place / name), corpus, yardstick, options)
            except UserError as error:
                print(f"{problem} {name}: {error}", flush=True)
                continue
            write_atomically(file, json.dumps(row, indent=1).encode())
            rows[name] = row
            shown = Estimate(*row["all three"])
            print(f"{problem} {name}: playable, novel and unique {100 * shown.mean:.1f} %", flush=True)
        write_atomically(place / "table.md", (table(problem, rows) + "\n").encode())
    tables = [
        (options.out / problem / "table.md").read_text()
        for problem in options.problems
        if (options.out / problem / "table.md").exists()
    ]
    kind = " ".join([options.corpus[0], *(Path(part).name for part in options.corpus[1:])])
    note = (
        f"Trained for {options.minutes:g} minutes of one processor each on {kind} ({options.levels or 'all'} levels), "
        f"seed {options.seed}; {options.samples} raw samples; percent with 95 % bootstrap intervals. Tile patterns: "
        "mean divergence of 2x2 to 4x4 patterns from the training levels (Lucas 2019), the less the nearer.\n"
    )
    write_atomically(options.out / "table.md", ("\n".join(tables) + "\n" + note).encode())
    print("\n".join(tables))
    print(f"Written to {options.out / 'table.md'}")


if __name__ == "__main__":
    try:
        run(tyro.cli(Options, description=__doc__))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
