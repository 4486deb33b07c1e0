"""A corpus in one file, so that several processes, and other machines, need not read or construct and measure it again.

The file is NumPy's, without pickles.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from envs import get_problem
from envs.files import write_atomically
from generators.corpus import SPLITS, Corpus, CorpusOptions, Part, load_corpus

#: The parts whose metrics are kept too: those that a training asks for.
_MEASURED = SPLITS[:2]


def load_kept_corpus(
    problem: str, options: CorpusOptions, file: Path, progress: Callable[[int, int], None] | None = None
) -> Corpus:
    """Loads a corpus from a file where it is kept there, and else as `load_corpus` does, and keeps it there.

    Args:
        problem: a problem's name.
        options: which levels; a file of others, or a damaged one, is written anew.
        file: where it is kept; its folder must exist.
        progress: see `load_corpus`.

    Raises:
        UserError: see `load_corpus`; or the file cannot be written.
    """
    kept = _read(problem, options, file)
    if kept is not None:
        return kept
    corpus = load_corpus(problem, options, progress)
    about = {
        "problem": problem,
        "options": asdict(options),
        "labels": corpus.labels,
        "notes": corpus.notes,
        "sources": [corpus.part(split).sources for split in SPLITS],
        "digest": corpus.digest,
    }
    arrays: dict[str, Any] = {f"levels.{split}": corpus.part(split).levels for split in SPLITS}
    arrays |= {f"labels.{split}": corpus.part(split).labels for split in SPLITS}
    arrays |= {f"metrics.{split}": corpus.metrics(split) for split in _MEASURED}
    write_atomically(file, lambda opened: np.savez(opened, about=np.array(json.dumps(about)), **arrays))
    return corpus


def _read(problem: str, options: CorpusOptions, file: Path) -> Corpus | None:
    """Returns the corpus that a file holds; None where it holds none, or another."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            about = json.loads(str(arrays["about"]))
            if about["problem"] != problem or about["options"] != json.loads(json.dumps(asdict(options))):
                return None
            parts = {
                split: Part(arrays[f"levels.{split}"], arrays[f"labels.{split}"], int(sources))
                for split, sources in zip(SPLITS, about["sources"], strict=True)
            }
            measured = {split: arrays[f"metrics.{split}"] for split in _MEASURED}
            labels, notes = tuple(about["labels"]), tuple(about["notes"])
            corpus = Corpus(get_problem(problem), options, **parts, labels=labels, notes=notes, _measured=measured)
            return corpus if corpus.digest == about["digest"] else None
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile):
        return None
