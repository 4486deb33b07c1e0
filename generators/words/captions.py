"""Captions: what is true of a level, in the wordings of the grammar."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from generators.words.features import NONE, Band, Feature, Interval
from generators.words.grammar import ABOUT_SHARE, AMOUNTS, GRADES, JOINTS, OPENINGS, VERY, spelt
from generators.words.lexicon import Lexicon

#: The most features of a caption, where nothing else is said.
MOST_PHRASES = 5

#: The forms of a phrase, each as often as it stands here: the band, the number itself, a comparison with a number.
_FORMS = ("band", "band", "number", "comparison")

#: Of what is counted, larger numbers than this are told by bands and comparisons alone.
_LARGEST_COUNT = 20

#: Numbers up to this are written in words as often as in digits.
_LARGEST_SPELT = 20

#: How often another noun than the first is taken, how often a caption speaks of what all levels have alike, and how
#: often of the outermost tenth as such.
_OTHER_NOUN, _CONSTANT, _VERY = 0.25, 0.15, 0.3

#: Words that say the same as those that nouns declare.
_SAME = {
    "long": ("long", "lengthy"),
    "large": ("large", "big"),
    "small": ("small", "little"),
    "high": ("high", "great"),
}


@dataclass(frozen=True)
class Caption:
    """Some words about a level.

    Attributes:
        text: the words.
        asked: by a feature's name the least and the greatest value that the words are true of.
    """

    text: str
    asked: dict[str, Interval]


def draw_captions(
    lexicon: Lexicon,
    values: NDArray[np.float64],
    random: Random,
    least: int = 1,
    most: int = MOST_PHRASES,
    constants: bool = True,
) -> list[Caption]:
    """Draws a caption for each level, each of some of its features.

    Args:
        lexicon: of the problem.
        values: float64 (n, features), as `Lexicon.values` returns them.
        random: the source of all draws.
        least: the fewest features of a caption, of those in which levels differ.
        most: the most.
        constants: whether now and then something is said that is true of all levels that were learned from.
    """
    alike = [place for place, feature in enumerate(lexicon.features) if not feature.varied and feature.least > 0]
    captions = []
    for row in values.tolist():
        largest = min(most, len(lexicon.varied))
        places = random.sample(lexicon.varied, random.randint(min(least, largest), largest))
        if constants and alike and (not places or random.random() < _CONSTANT):
            places.insert(random.randint(0, len(places)), random.choice(alike))
        captions.append(write_caption(lexicon, {place: row[place] for place in places}, random))
    return captions


def write_caption(lexicon: Lexicon, values: Mapping[int, float], random: Random) -> Caption:
    """Writes a caption of given features.

    Args:
        lexicon: of the problem.
        values: by a feature's place its value, in the order in which they are told; at least one.
        random: the source of all draws.
    """
    asked = {}
    text = f"{random.choice(OPENINGS)} " if random.random() < 0.5 else ""
    for number, (place, value) in enumerate(values.items()):
        feature = lexicon.features[place]
        phrase, asked[feature.name] = _phrase(feature, value, random)
        text += random.choice(JOINTS) + phrase if number else phrase
    return Caption(text, asked)


def random_values(lexicon: Lexicon, count: int, random: Random) -> NDArray[np.float64]:
    """Draws values of features independently of each other: what no level may have together.

    Each band that the corpus has levels in is as likely as every other, and so are the values in it.

    Returns:
        float64 (count, features).
    """
    values = np.empty((count, len(lexicon.features)))
    for place, feature in enumerate(lexicon.features):
        bands = [[value for value in feature.seen if band.low <= value <= band.high] for band in feature.bands]
        usable = [band for band in bands if band]
        values[:, place] = [random.choice(random.choice(usable)) for _ in range(count)]
    return values


def _phrase(feature: Feature, value: float, random: Random) -> tuple[str, Interval]:
    """Returns a phrase that is true of a value, and all values that it is true of."""
    noun = feature.noun
    names = noun.singular, noun.plural
    if noun.others and random.random() < _OTHER_NOUN:
        names = random.choice(tuple(zip(noun.others, noun.other_plurals, strict=True)))
    if value <= 0:
        return _absence(feature, *names, random), NONE
    form = random.choice(_FORMS) if feature.varied else "number"
    if form == "number" and (not feature.whole or (noun.counted and value > _LARGEST_COUNT)):
        form = "comparison"
    if form == "band" and not feature.cuts:
        form = "comparison"
    if form == "comparison":
        return _compared(feature, value, *names, random)
    if form == "number":
        return _numbered(feature, value, *names, random), (value, value)
    return _banded(feature, value, *names, random)


def _with_article(words: str) -> str:
    """Returns words with "a" or "an" before them."""
    vowel = words[0] in "aeio" or words.startswith(("8", "11 ", "11-", "18 ", "18-", "un", "up"))
    return f"{'an' if vowel else 'a'} {words}"


def _written(number: float, random: Random) -> str:
    """Returns a number in digits or in words."""
    if number <= _LARGEST_SPELT and number == int(number) and random.random() < 0.5:
        return spelt(int(number))
    return f"{number:g}"


def _absence(feature: Feature, singular: str, plural: str, random: Random) -> str:
    if not feature.noun.counted:
        return random.choice((f"no {singular}", f"without {_with_article(singular)}", f"without any {singular}"))
    wordings = [f"no {plural}", f"no {plural}", f"without {plural}", f"without any {plural}", f"zero {plural}"]
    wordings += [f"not a single {singular}", f"{plural}: none"]
    if " " not in singular:
        wordings.append(f"{singular}-free")
    return random.choice(wordings)


def _banded(feature: Feature, value: float, singular: str, plural: str, random: Random) -> tuple[str, Interval]:
    band = _band_of(feature, value)
    interval, very = (band.low, band.high), ""
    utmost = feature.band(f"very {band.name}") if band.name != "medium" and random.random() < _VERY else None
    if utmost is not None and utmost[0] <= value <= utmost[1]:
        interval, very = utmost, f"{random.choice(VERY)} "
    if feature.noun.grades is None:
        word = {"low": "few", "high": "many"}[band.name] if very else random.choice(AMOUNTS[band.name])
        amount = f"{very}{word} {plural}"
        return random.choice((amount, amount, f"{plural}: {very}{word}")), interval
    word = random.choice(GRADES["medium"])
    if band.name != "medium":
        declared = feature.noun.grades[band.name == "high"]
        word = random.choice(_SAME.get(declared, (declared,)))
    whole = _with_article(f"{very}{word} {singular}")
    return random.choice((whole, whole, f"{singular}: {very}{word}")), interval


def _band_of(feature: Feature, value: float) -> Band:
    return next(band for band in feature.bands if band.low <= value <= band.high)


def _numbered(feature: Feature, value: float, singular: str, plural: str, random: Random) -> str:
    number = _written(value, random)
    if feature.noun.counted:
        noun = singular if value == 1 else plural
        wordings = [f"{number} {noun}"] * 4
        wordings += [f"exactly {number} {noun}", f"only {number} {noun}", f"{plural}: {number}"]
        if value == 1:
            wordings += [_with_article(singular), f"a single {singular}"]
        return random.choice(wordings)
    unit = feature.unit_of(value)
    wordings = [_with_article(f"{singular} of {number} {unit}".rstrip()), f"{singular}: {number} {unit}".rstrip()]
    if unit:
        wordings.append(_with_article(f"{number}-{feature.noun.unit} {singular}"))
    return random.choice(wordings)


#: Comparisons with one number, by what is asked of values; and with two.
_AT_LEAST = ("at least {}", "no fewer than {}", "{} or more", ">= {}")
_MORE = ("more than {}", "over {}", "> {}")
_AT_MOST = ("at most {}", "no more than {}", "up to {}", "<= {}")
_FEWER = ("fewer than {}", "less than {}", "< {}")
_BETWEEN = ("between {} and {}", "{} to {}", "from {} to {}")
_ABOUT = ("about {}", "around {}")


def _compared(feature: Feature, value: float, singular: str, plural: str, random: Random) -> tuple[str, Interval]:
    # Other numbers are values of the corpus, so that what is said tells its levels apart.
    lower = random.choice([other for other in feature.seen if 0 < other < value] or [value])
    upper = random.choice([other for other in feature.seen if other > value] or [value])
    # The number itself now and then, where it is at the end of what is asked.
    least, most = random.choice((lower, value)), random.choice((upper, value))
    form = random.choice((_AT_LEAST, _MORE, _AT_MOST, _FEWER, _BETWEEN, _ABOUT))
    if form is _AT_LEAST:
        numbers, interval = (least,), (least, math.inf)
    elif form is _MORE and lower < value:
        numbers, interval = (lower,), (feature.after(lower), math.inf)
    elif form is _FEWER and upper > value:
        numbers, interval = (upper,), (-math.inf, feature.before(upper))
    elif form is _BETWEEN and least < most:
        numbers, interval = (least, most), (least, most)  # type: ignore[assignment]
    elif form is _ABOUT:
        width = max(1.0, round(ABOUT_SHARE * value))
        numbers, interval = (value,), (value - width, value + width)
    else:
        form, numbers, interval = _AT_MOST, (most,), (-math.inf, most)
    amount = random.choice(form).format(*(_written(number, random) for number in numbers))
    return _with_noun(feature, amount, numbers[-1], singular, plural, random), feature.between(*interval)


def _with_noun(feature: Feature, amount: str, number: float, singular: str, plural: str, random: Random) -> str:
    """Returns a comparison with what it is said of: at least 2 bats."""
    if feature.noun.counted:
        if amount[0] in "<>":
            return f"{plural} {amount}"
        noun = singular if number == 1 and not amount.endswith("more") else plural
        return random.choice((f"{amount} {noun}", f"{amount} {noun}", f"{plural}: {amount}"))
    unit = feature.unit_of(2)
    if amount[0] in "<>":
        return f"{singular} {amount} {unit}".rstrip()
    whole = _with_article(f"{singular} of {amount} {unit}".rstrip())
    return random.choice((whole, f"{singular}: {amount} {unit}".rstrip()))
