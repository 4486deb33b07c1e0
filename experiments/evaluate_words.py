"""Measure a words model: how it reads prompts, finds levels, and what a generator makes of its prompts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from envs import UserError
from experiments.prompt import senses_of
from experiments.run import main, make_folder
from experiments.words_measures import Measured, draw_sets, find_sets, make_for_sets, read_sets, summary, write_report
from generators.corpus import Corpus, open_corpus
from generators.generator import Generator
from generators.suite import load_generator
from generators.words.model import WordsModel, load_words
from generators.words.reading import Senses


@dataclass
class Options:
    """Measure a words model: how it reads prompts, finds levels, and what a generator makes of its prompts.

    Attributes:
        source: the folder of a run of experiments.train_words, or of a saved words model.
        generator: the folder of a run of experiments.train_generator, or of a saved generator, whose levels are judged
            too.
        corpus_path: where the corpus is now, if the model learned from a folder that has moved.
        prompts: the most prompts of each kind.
        made: for how many prompts of each kind levels are made.
        candidates: how many levels are made for each prompt, of which the best are taken.
        seconds: the time that the solver may take for a level.
        senses: measure too how prompts are read with unknown words taken for known ones that mean the same, by a
            packaged sentence encoder (an extra: words).
        seed: fixes all draws.
        out: where the report goes; by default the source's folder.
    """

    source: Annotated[Path, tyro.conf.Positional]
    generator: Path | None = None
    corpus_path: str | None = None
    prompts: int = 300
    made: int = 100
    candidates: int = 32
    seconds: float = 0.3
    senses: bool = False
    seed: int = 0
    out: Path | None = None

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        check_prompts(self.prompts)
        for name in ("made", "candidates"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} must be at least 1; got {getattr(self, name)}.")
        if not self.seconds > 0:
            raise UserError(f"--seconds must be above 0; got {self.seconds}.")


def check_prompts(prompts: int) -> None:
    """Raises UserError where nothing can be measured on so many prompts."""
    if prompts < 1:
        raise UserError(f"--prompts must be at least 1; got {prompts}.")


def measure_words(
    model: WordsModel,
    corpus: Corpus,
    generator: Generator | None,
    prompts: int = 300,
    seed: int = 0,
    made: int = 100,
    candidates: int = 32,
    seconds: float = 0.3,
    senses: Senses | None = None,
) -> Measured:
    """Measures a words model on held-out captions, on combinations never seen, on misspelt and on free wordings.

    Args:
        model: the model.
        corpus: that it learned from.
        generator: whose levels are judged too; None leaves that out.
        prompts: the most prompts of each kind.
        seed: fixes all draws.
        made: for how many prompts of each kind levels are made.
        candidates: how many levels are made for each prompt.
        seconds: the time that the solver may take for a level.
        senses: finds the meanings of unknown words; None leaves that way of reading out.
    """
    sets = draw_sets(model, corpus, prompts, seed)
    readings, exact = read_sets(model, sets, seed, senses)
    findings = find_sets(model, sets, seed)
    makings = {}
    facts = {
        "problem": model.lexicon.problem,
        "learned numbers": model.parameters(),
        "seconds of training": round(float(model.facts.get("fit", {}).get("seconds", 0.0))),
        "held-out captions": len(sets.held_out),
        "held-out levels that are searched": len(sets.pool),
        "of these with a combination of features that no training level has": len(sets.unseen),
        "random captions": len(sets.random),
    }
    if generator is not None:
        makings = make_for_sets(model, sets, generator, made, candidates, seed, seconds)
        facts |= {
            "generator": f"{generator.name}, {generator.parameters():,} learned numbers",
            "levels made for each prompt": candidates,
            "prompts of each kind that levels are made for": made,
        }
    return Measured(readings, findings, makings, exact, facts)


def evaluate(options: Options) -> None:
    """Runs the experiment."""
    options.check()
    model = load_words(options.source)
    generator = None if options.generator is None else load_generator(options.generator)
    if generator is not None and (generator.spec.problem, generator.spec.shape) != (
        model.lexicon.problem,
        model.lexicon.shape,
    ):
        raise UserError(
            f"{options.generator} makes {generator.spec.problem} levels of shape {generator.spec.shape}, the words are "
            f"for {model.lexicon.problem} levels of shape {model.lexicon.shape}: give a generator of these."
        )
    record = model.facts.get("corpus")
    if not isinstance(record, dict):
        raise UserError(f"{options.source} does not say what it learned from: train the model again.")
    corpus = open_corpus(model.lexicon.problem, record, options.corpus_path)
    folder = make_folder(options.out or options.source)
    measured = measure_words(
        model,
        corpus,
        generator,
        options.prompts,
        options.seed,
        options.made,
        options.candidates,
        options.seconds,
        senses_of(model.lexicon) if options.senses else None,
    )
    files = write_report(measured, folder, f"words-evaluation-seed{options.seed}")
    print(summary(measured))
    print("\nWritten to " + ", ".join(str(file) for file in files))


if __name__ == "__main__":
    main(Options, evaluate)
