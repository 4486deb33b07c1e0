"""Models that learn levels from levels, and the one evaluator that judges all of them.

Attributes are loaded when they are first asked for, so that importing a part brings in no more than it needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from generators.corpus import Corpus, CorpusOptions, corpus_of_levels, load_corpus, open_corpus
    from generators.generator import Fit, FitOptions, Generator, Scores
    from generators.latents import latent_decoder
    from generators.spec import LevelSpec
    from generators.suite import all_families, get_family, load_generator, make_generator

_HOMES = {
    "corpus": ("Corpus", "CorpusOptions", "corpus_of_levels", "load_corpus", "open_corpus"),
    "generator": ("Fit", "FitOptions", "Generator", "Scores"),
    "latents": ("latent_decoder",),
    "spec": ("LevelSpec",),
    "suite": ("all_families", "get_family", "load_generator", "make_generator"),
}

__all__ = [
    "Corpus",
    "CorpusOptions",
    "Fit",
    "FitOptions",
    "Generator",
    "LevelSpec",
    "Scores",
    "all_families",
    "corpus_of_levels",
    "get_family",
    "latent_decoder",
    "load_corpus",
    "load_generator",
    "make_generator",
    "open_corpus",
]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"generators.{home}"), name)
    raise AttributeError(f"module 'generators' has no attribute {name!r}")
