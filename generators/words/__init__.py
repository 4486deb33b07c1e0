"""Words as controls: captions of levels by a grammar, prompts read by it, and two towers that learn both.

Attributes are loaded when they are first asked for, so that reading prompts by the grammar needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from generators.words.asking import condition_of
    from generators.words.captions import Caption, draw_captions
    from generators.words.fitting import WordsFit, fit_words
    from generators.words.lexicon import Lexicon, usual_lexicon
    from generators.words.model import WordsModel, load_words
    from generators.words.reading import Prompt, read_prompt
    from generators.words.sampling import Answers, answer_prompt
    from generators.words.saved import load_lexicon
    from generators.words.scoring import score_levels

_HOMES = {
    "asking": ("condition_of",),
    "captions": ("Caption", "draw_captions"),
    "fitting": ("WordsFit", "fit_words"),
    "lexicon": ("Lexicon", "usual_lexicon"),
    "model": ("WordsModel", "load_words"),
    "reading": ("Prompt", "read_prompt"),
    "sampling": ("Answers", "answer_prompt"),
    "saved": ("load_lexicon",),
    "scoring": ("score_levels",),
}

__all__ = [
    "Answers",
    "Caption",
    "Lexicon",
    "Prompt",
    "WordsFit",
    "WordsModel",
    "answer_prompt",
    "condition_of",
    "draw_captions",
    "fit_words",
    "load_lexicon",
    "load_words",
    "read_prompt",
    "score_levels",
    "usual_lexicon",
]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"generators.words.{home}"), name)
    raise AttributeError(f"module 'generators.words' has no attribute {name!r}")
