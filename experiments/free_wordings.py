"""Wordings that the grammar does not know, to measure what is made of them.

What stands here must not be put into the grammar: it is what words models are judged by.
"""

from __future__ import annotations

from random import Random

import numpy as np
from numpy.typing import NDArray

from generators.words.captions import Caption
from generators.words.features import NONE, Feature, Interval
from generators.words.lexicon import Lexicon

#: How much there is of what is counted, and of what is measured, by the name of the band.
COUNTED = {
    "none": ("devoid of {}", "bereft of {}", "{} are nowhere to be seen", "{} stay away entirely"),
    "low": ("scarcely any {}", "a handful of {}", "a sprinkling of {}", "the odd {}"),
    "medium": ("a decent quantity of {}", "a reasonable supply of {}", "{} in moderation"),
    "high": ("loads of {}", "heaps of {}", "swarming with {}", "an abundance of {}", "{} galore", "crammed with {}"),
}
MEASURED = {
    "none": ("a missing {}", "the {} does not exist"),
    "low": ("a compact {}", "a swift {}", "a {} that is over quickly"),
    "medium": ("a {} of ordinary extent", "a so-so {}"),
    "high": ("an extensive {}", "a drawn-out {}", "a {} that goes on and on", "an epic {}"),
}

#: What else people may call things, by the problem and the feature's name; in a form that fits all phrases.
NOUNS = {
    "zelda": {
        "enemies": ("baddies", "creatures", "villains", "hostile beasts"),
        "bat": ("winged mammals",),
        "spider": ("arachnids", "eight-legged crawlers"),
        "scorpion": ("stinging critters",),
        "solid": ("brickwork", "masonry", "barriers"),
        "empty": ("free space", "walkable ground"),
        "path-length": ("journey", "trek", "walking distance"),
        "nearest-enemy": ("gap before the first villain",),
    },
    "sokoban": {
        "crate": ("containers", "parcels", "packages"),
        "target": ("destinations", "drop zones"),
        "sol-length": ("playthrough", "answer to the puzzle"),
        "solid": ("brickwork", "barriers"),
        "empty": ("free space", "walkable ground"),
    },
    "smb": {
        "enemies": ("baddies", "creatures", "villains"),
        "coin": ("money", "golden discs"),
        "tube": ("chimneys", "drains"),
        "brick": ("masonry",),
        "question": ("mystery boxes",),
        "jumps": ("leaps", "hops"),
        "solid": ("terrain", "soil"),
        "empty": ("free air",),
        "jumps-dist": ("stroll on flat land",),
        "noise": ("visual clutter",),
    },
}

#: How often a noun is one of these, where there is one.
_FREE_NOUN = 0.5

_OPENINGS = ("", "", "picture ", "could we get something with ", "surprise us with ", "how about ")


def free_captions(
    lexicon: Lexicon, values: NDArray[np.float64], random: Random, least: int = 1, most: int = 3
) -> list[Caption]:
    """Draws a caption for each level in wordings that the grammar does not know.

    Args:
        lexicon: of the problem.
        values: float64 (n, features), as `Lexicon.values` returns them.
        random: the source of all draws.
        least: the fewest features of a caption.
        most: the most.
    """
    captions = []
    for row in values.tolist():
        largest = min(most, len(lexicon.varied))
        places = random.sample(lexicon.varied, random.randint(min(least, largest), largest))
        asked = {}
        phrases = []
        for place in places:
            phrase, asked[lexicon.features[place].name] = _phrase(lexicon, lexicon.features[place], row[place], random)
            phrases.append(phrase)
        captions.append(Caption(random.choice(_OPENINGS) + ", ".join(phrases), asked))
    return captions


def _phrase(lexicon: Lexicon, feature: Feature, value: float, random: Random) -> tuple[str, Interval]:
    noun = feature.noun.plural if feature.noun.counted else feature.noun.singular
    others = NOUNS.get(lexicon.problem, {}).get(feature.name, ())
    if others and random.random() < _FREE_NOUN:
        noun = random.choice(others)
    band = next(band for band in feature.bands if band.low <= value <= band.high)
    frames = (COUNTED if feature.noun.counted else MEASURED)[band.name if feature.cuts else "none"]
    return random.choice(frames).format(noun), (band.low, band.high) if band.name != "none" else NONE
