"""Ask a generator for levels in words."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from envs import UserError
from envs.level_io import write_levels
from envs.pictures import contact_sheet, render, save_png
from experiments.run import main, make_folder
from generators.corpus import open_corpus
from generators.generator import Generator
from generators.suite import load_generator
from generators.words.lexicon import Lexicon
from generators.words.model import WordsModel, load_words
from generators.words.reading import Prompt, Senses, read_prompt
from generators.words.sampling import Answers, answer_prompt


@dataclass
class Options:
    """Ask a generator for levels in words: "a room with three enemies and a long path".

    Attributes:
        source: the folder of a run of experiments.train_generator, or of a saved generator.
        text: what the levels shall have.
        words: the folder of a run of experiments.train_words, or of a saved words model; without one, prompts are read
            by the grammar alone, and few and many are learned from the generator's corpus.
        count: how many levels to show.
        candidates: how many levels are drawn for each of them, of which the best are taken.
        senses: take unknown words for known ones that mean the same, by a packaged sentence encoder (an extra: words).
        rank: by what: measured features, the words model's towers, or both; by default both where there is a words
            model.
        seconds: the time that the solver may take for a level, for levels that it wins come first among equals; 0
            leaves that out.
        corpus_path: where the generator's corpus is now, if it is a folder that has moved.
        seed: fixes the levels.
        out: where the levels and their picture go; by default the source's folder.
        sampling: how to sample, as names and values: temperature 0.9.
    """

    source: Annotated[Path, tyro.conf.Positional]
    text: Annotated[str, tyro.conf.Positional]
    words: Path | None = None
    count: int = 8
    candidates: int = 16
    senses: bool = False
    rank: Literal["", "measured", "towers", "both"] = ""
    seconds: float = 0.3
    corpus_path: str | None = None
    seed: int = 0
    out: Path | None = None
    sampling: dict[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        for name in ("count", "candidates"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} must be at least 1; got {getattr(self, name)}.")
        if not self.seconds >= 0:
            raise UserError(f"--seconds must be at least 0; got {self.seconds}.")
        if self.rank in ("towers", "both") and self.words is None:
            raise UserError(
                f"--rank {self.rank} needs a words model: train one by experiments.train_words, give --words."
            )


def find_lexicon(generator: Generator, options: Options) -> Lexicon:
    """Returns the lexicon of the corpus that a generator learned from.

    Raises:
        UserError: the generator does not say which that is, or it is no longer there.
    """
    record = generator.facts.get("corpus")
    if not isinstance(record, dict):
        raise UserError(f"{options.source} does not say what it learned from: give --words.")
    return Lexicon.of(open_corpus(generator.spec.problem, record, options.corpus_path))


def senses_of(lexicon: Lexicon) -> Senses:
    """Returns what finds the meanings of unknown words.

    Raises:
        UserError: the sentence encoder is not installed.
    """
    from generators.words.senses import EncodedSenses  # noqa: PLC0415 (only where it is asked for)

    return EncodedSenses(lexicon)


def ask(options: Options) -> None:
    """Runs the experiment."""
    options.check()
    generator = load_generator(options.source)
    model: WordsModel | None = None
    if options.words is not None:
        model = load_words(options.words)
        lexicon = model.lexicon
    else:
        lexicon = find_lexicon(generator, options)
    senses = senses_of(lexicon) if options.senses else None
    prompt = read_prompt(options.text, lexicon, senses) if model is None else model.read(options.text, senses)
    for sentence in (*prompt.missing, *prompt.notes):
        print(sentence)
    if not prompt.asked:
        raise UserError(f"Nothing was understood of {options.text!r}; {lexicon.problem} has {lexicon.known()}.")
    folder = make_folder(options.out or options.source)
    rank = options.rank or ("measured" if model is None else "both")
    answers = answer_prompt(
        generator,
        lexicon,
        prompt,
        options.count,
        candidates=options.candidates,
        seed=options.seed,
        rank=None if model is None else lambda levels: model.rerank(levels, options.text, rank, prompt),
        seconds=options.seconds,
        **options.sampling,
    )
    for sentence in answers.notes:
        print(sentence)
    print("\n".join(asked_against_got(lexicon, prompt, answers)))
    name = "prompt-" + (re.sub(r"[^a-z0-9]+", "-", options.text.lower()).strip("-")[:60] or "levels")
    problem = lexicon.task()
    write_levels(folder / f"{name}.txt", list(answers.levels), problem)
    size = max(6, min(24, 280 // answers.levels.shape[-1]))
    captions = [
        f"{score:.2f}: " + told for score, told in zip(answers.scores, _told(lexicon, prompt, answers), strict=True)
    ]
    images = [render(problem, level, size) for level in answers.levels]
    save_png(folder / f"{name}.png", contact_sheet(images, min(4, len(images)), captions), {"prompt": options.text})
    print(f"\nLook at    {folder / f'{name}.png'}\nUse        {folder / f'{name}.txt'}   the levels as text")


def asked_against_got(lexicon: Lexicon, prompt: Prompt, answers: Answers) -> list[str]:
    """Returns lines that say of each feature that was asked for how many levels have it, and what they have."""
    lines = []
    for name, (low, high) in prompt.asked.items():
        place = lexicon.places[name]
        got = answers.values[:, place]
        met = int(((got >= low) & (got <= high)).sum())
        shown = ", ".join(f"{value:g}" for value in got)
        lines.append(f"asked: {lexicon.features[place].told((low, high))}; got {shown} ({met} of {len(got)} as asked)")
    if answers.playable is not None:
        lines.append(f"playable: {int(answers.playable.sum())} of {len(answers.levels)}")
    lines.append(f"score: {answers.scores.mean():.2f} of at most 1")
    return lines


def _told(lexicon: Lexicon, prompt: Prompt, answers: Answers) -> list[str]:
    """Returns what each level has of what was asked for."""
    places = [lexicon.places[name] for name in prompt.asked]
    return [
        ", ".join(lexicon.features[place].told((row[place], row[place])) for place in places) for row in answers.values
    ]


if __name__ == "__main__":
    main(Options, ask)
