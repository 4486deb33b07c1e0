"""The grammar of captions and prompts: which wordings there are, and what each of them means.

A caption is a list of phrases, each of which says something of one feature. This module holds the words that are the
same for all problems; what features are called is the lexicon's. Captions are drawn from these wordings
(`generators.words.captions`), and prompts are read by them (`generators.words.reading`), so that what is written is
what is read.
"""

from __future__ import annotations

from typing import Literal

#: What a word or a few words do in a prompt.
Kind = Literal[
    "noun",  # names a feature
    "alone",  # asks for something by itself: solvable
    "number",
    "amount",  # few, some, many
    "grade",  # short, middling, long
    "comparative",  # more, longer, with nothing to compare with
    "most",  # as many or as few as can be had
    "very",
    "none",  # no, without
    "free",  # after a noun: enemy-free
    "not",
    "any",  # nothing is asked
    "compare",  # before a number: at least
    "limit",  # after a number: or more
    "between",
    "to",
    "about",
    "exactly",
    "article",
    "the",
    "unit",
    "link",  # between a noun and what is said of it: is, of
    "except",  # turns round what was said of the noun before: no enemies except bats
    "and",
    "or",
    "level",  # what is asked for as a whole: room
    "possible",  # as possible, after as many
    "filler",  # says nothing
    "unknown",
]


def _list(wordings: str) -> tuple[str, ...]:
    return tuple(wording.strip() for wording in wordings.split("|"))


#: How much there is of what is counted, by the name of the band.
AMOUNTS = {
    "low": _list("few | a few | hardly any | a small number of"),
    "medium": _list("some | several | a number of | a fair number of"),
    "high": _list("many | lots of | a lot of | plenty of | a large number of | numerous"),
}

#: How much there is of what is measured, by the name of the band; captions take the words that the noun declares.
GRADES = {
    "low": _list("short | small | low | little | brief | near | close"),
    "medium": _list("medium | middling | moderate | average"),
    "high": _list("long | large | high | big | great | lengthy | far | distant"),
}

VERY = _list("very | extremely | really")

#: The utmost of the corpus.
MOST = {
    "low": _list("shortest | fewest | smallest | lowest | least | minimal | closest | nearest"),
    "high": _list("longest | most | largest | highest | greatest | biggest | maximal | farthest | furthest"),
}

#: With a number they compare, without one they are taken for the band.
COMPARATIVES = {
    "low": _list("fewer | less | shorter | smaller | lower | closer | nearer"),
    "high": _list("more | longer | larger | higher | greater | bigger | farther | further"),
}

#: Before a number.
COMPARISONS = {
    ">=": (
        *_list("at least | a minimum of | minimum of | minimum | min | >= | => | ≥"),
        *(f"{word} {less} than" for word in ("no", "not") for less in COMPARATIVES["low"]),
    ),
    ">": (
        *_list("over | above | exceeding | exceed | exceeds | beyond | >"),
        *(f"{word} than" for word in COMPARATIVES["high"]),
    ),
    "<=": (
        *_list("at most | up to | a maximum of | maximum of | maximum | max | <= | =< | ≤"),
        *(f"{word} {more} than" for word in ("no", "not") for more in COMPARATIVES["high"]),
    ),
    "<": (*_list("under | below | <"), *(f"{word} than" for word in COMPARATIVES["low"])),
}

#: After a number; "at least" and "at most" may stand there too.
LIMITS = {
    ">=": (*_list("+ | or above | or over"), *(f"or {word}" for word in COMPARATIVES["high"])),
    "<=": (*_list("or below | or under"), *(f"or {word}" for word in COMPARATIVES["low"])),
}

NONE = _list(
    "no | without | without any | lacking | free of | not any | not a single | not one | not even a | not even one "
    "| none of | none | neither | avoid | exclude | excluding | remove | get rid of | forbid | absent | forbidden "
    "| not allowed | not wanted | anything but | everything but"
)

#: Turns round what was said of the noun before.
EXCEPT = _list("except | except for | other than | apart from | besides")

#: Turns round what is said behind it.
NOT = _list(
    "not | isn't | aren't | don't | doesn't | do not | does not | shouldn't | mustn't | can't | cannot | won't | never "
    "| not too | not very | not so"
)

ABOUT = _list("about | around | roughly | approximately | approx | circa | ~ | ≈")

#: How far the ends of "about" lie from its number, as a share of it; at least 1.
ABOUT_SHARE = 0.15

EXACTLY = _list("exactly | precisely | just | only")

#: What levels are called, of whatever problem.
LEVELS = _list(
    "level | room | map | dungeon | maze | labyrinth | stage | course | warehouse | cave | cavern | board | puzzle "
    "| world | layout | design | screen | scene | game | mine | castle"
)

#: How captions begin, if they do not begin with the first phrase.
OPENINGS = _list(
    "a level with | a level that has | a room with | a map that has | I want a level with | make me a room with "
    "| please build a level that has | generate a map with | level:"
)

#: What stands between the phrases of captions.
JOINTS = (", ", ", ", " and ", ", with ", "; ", ". ")

#: Wordings that mean no more than what they do.
_PLAIN: dict[Kind, tuple[str, ...]] = {
    "very": VERY,
    "none": NONE,
    "free": ("free",),
    "not": NOT,
    "any": _list("any | any number of | whatever"),
    "between": _list("between | from"),
    "to": _list("to | -"),
    "about": ABOUT,
    "exactly": EXACTLY,
    "article": _list("a | an"),
    "the": _list("the | its | their | this | that | them | those | these"),
    "unit": _list("tile | tiles | cell | cells | square | squares | percent | %"),
    "link": _list(
        "of | is | are | being | with | which | has | have | having | should | must | shall | that is | that has | = "
        "| : | equals | equal to | containing | contains | ( | ) | in length | but"
    ),
    "except": EXCEPT,
    "and": _list("and | , | ; | . | & | / | also | plus | as well as | together with | then | ! | ?"),
    "or": _list("or | nor"),
    "possible": _list("as possible | as can be"),
    "level": tuple(word for level in LEVELS for word in (level, f"{level}s")),
    "filler": _list(
        "i | i'd | i'll | we | we'd | you | me | us | my | our | it | it's | want | would | like | need | please "
        "| make | build | generate | create | give | show | draw | there | there's | in | on | for | where | can "
        "| could | let | let's | will | be | so | as | possible | at | at all | too | quite | rather | fairly | new "
        "| here | away | apart | what | how | thanks | do | put | add | include | including | either | number of "
        "| amount of | count | length"
    ),
    # What is told to be unknown, and not taken for a misspelt word.
    "unknown": ("minus", "than"),
}

_SMALL = _list(
    "zero | one | two | three | four | five | six | seven | eight | nine | ten | eleven | twelve | thirteen | fourteen "
    "| fifteen | sixteen | seventeen | eighteen | nineteen"
)
_TENS = _list("twenty | thirty | forty | fifty | sixty | seventy | eighty | ninety")
_OTHER_NUMBERS = {
    "a single": 1,
    "single": 1,
    "a pair of": 2,
    "pair of": 2,
    "a couple of": 2,
    "couple of": 2,
    "a couple": 2,
    "couple": 2,
    "half a dozen": 6,
    "a dozen": 12,
    "dozen": 12,
    "a hundred": 100,
    "hundred": 100,
    "a thousand": 1000,
    "thousand": 1000,
}

#: What the number before is multiplied by: two hundred.
SCALES = {"dozen": 12, "hundred": 100, "thousand": 1000}


def spelt(number: int) -> str:
    """Returns a whole number from 0 to 99 in words; others in digits.

    >>> spelt(3), spelt(40), spelt(42), spelt(120)
    ('three', 'forty', 'forty-two', '120')
    """
    if 0 <= number < len(_SMALL):
        return _SMALL[number]
    if 20 <= number < 100:
        ten, one = divmod(number, 10)
        return _TENS[ten - 2] if not one else f"{_TENS[ten - 2]}-{_SMALL[one]}"
    return str(number)


def words_of(wording: str) -> tuple[str, ...]:
    """Returns the words of a wording, as they are looked up: in small letters, parted at spaces and hyphens."""
    return tuple(wording.lower().replace("-", " ").split()) or (wording,)


def closed_phrases() -> dict[tuple[str, ...], tuple[Kind, str | float]]:
    """Returns all wordings of the grammar but features' names: by their words what they do, and which of these it is.

    A wording that does several things does what stands last in this function.
    """
    found: dict[tuple[str, ...], tuple[Kind, str | float]] = {}
    for kind, wordings in _PLAIN.items():
        found |= {words_of(wording): (kind, kind) for wording in wordings}
    numbers = {spelt(number): number for number in range(100)} | _OTHER_NUMBERS
    found |= {words_of(wording): ("number", float(number)) for wording, number in numbers.items()}
    tables: list[tuple[Kind, dict[str, tuple[str, ...]]]] = [
        ("most", MOST),
        ("comparative", COMPARATIVES),
        ("grade", GRADES),
        ("amount", AMOUNTS),
        ("compare", COMPARISONS),
        ("limit", LIMITS),
    ]
    for kind, table in tables:
        for value, wordings in table.items():
            found |= {words_of(wording): (kind, value) for wording in wordings}
    return found
