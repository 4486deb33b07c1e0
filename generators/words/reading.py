"""Reading prompts: the grammar turned round, with a word for all of which nothing was made.

The text is parted into the wordings of the grammar, the longest first; then noun after noun is taken with what is said
of it before it ("few bats", "at least three crates") or after it ("a path of 20 steps", "enemies: none").
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from envs import UserError
from envs.counts import CountRule
from generators.words.features import ANYTHING, NONE, Feature, Interval, count_rules
from generators.words.grammar import ABOUT_SHARE, SCALES, Kind, words_of
from generators.words.lexicon import Lexicon, usual_lexicon
from generators.words.spelling import nearest_word

#: Finds a known wording that means what an unknown one does; None where none is near.
Senses = Callable[[str], str | None]

#: The most characters of a prompt.
MOST_CHARACTERS = 1000

#: Numbers above this are taken for it.
MOST = 1e9

#: What a prompt consists of: numbers within words (7x11, 1e3), numbers, words, signs.
_PARTS = re.compile(
    r"\d+(?:\.\d+)?(?:(?!(?:to|or)\d)[^\W\d_]+\d+)+|\d{1,3}(?:,\d{3})+(?!\d)|\d+(?:\.\d+)?"
    r"|[^\W\d_]+(?:'[^\W\d_]+)*|>=|<=|=>|=<|[^\w\s]"
)

#: A hyphen before a number, and behind none.
_MINUS = re.compile(r"(?:^|(?<=[^\w\s])|(?<=[^\W\d]\s))\s*-(?=\d)")

#: What compares one thing with another: as many bats as spiders.
_COMPARERS = ("as", "than", "equal to", "equals", "=")

#: What parts phrases, and says nothing by itself.
_JOINTS = ("and", "or", "link", "filler", "level", "the", "possible")


@dataclass(frozen=True)
class Prompt:
    """What a prompt asks for.

    Attributes:
        text: the prompt.
        asked: by a feature's name the least and the greatest value, both included, that is asked for.
        targets: the same of those features that are metrics.
        counts: the same of those that are numbers of tiles, of one kind or of several together, as count rules.
        missing: sentences about what was asked for and does not exist in the problem.
        notes: sentences about how it was understood, and about what no level can have or none had that was learned
            from.
        unread: the words of which nothing was made.
        told: by a feature's name what is asked of it, in words of the grammar: "at least 3 enemies".
    """

    text: str
    asked: Mapping[str, Interval]
    targets: Mapping[str, Interval]
    counts: tuple[CountRule, ...]
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    told: Mapping[str, str] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Returns it as plain data, such as JSON holds; the ends of intervals are None where they are open."""
        counts = [
            {"tiles": list(rule.coefficients), "least": _finite(rule.low), "most": _finite(rule.high)}
            for rule in self.counts
        ]
        return {
            "text": self.text,
            "asked": {name: [_finite(low), _finite(high)] for name, (low, high) in self.asked.items()},
            "targets": {name: [_finite(low), _finite(high)] for name, (low, high) in self.targets.items()},
            "counts": counts,
            "told": dict(self.told),
            "missing": list(self.missing),
            "notes": list(self.notes),
            "unread": list(self.unread),
        }


def _finite(end: float) -> float | None:
    return float(end) if math.isfinite(end) else None


@dataclass(frozen=True)
class _Token:
    """Some words of a prompt.

    Attributes:
        kind: what they do.
        value: which of the words that do so they are.
        text: the words.
    """

    kind: Kind
    value: Any
    text: str


@dataclass(frozen=True)
class _Amount:
    """How much is asked for, of whatever it may be.

    Attributes:
        kind: number, band, comparative, most, none, present, article or any.
        value: for numbers the interval, with infinite ends where there are none; for bands and the like their name.
        text: the words.
        graded: whether the word says how long or large something is, and not how many there are.
        negated: whether it is what is not wanted.
        unit: whether a unit was named.
        measure: which unit, where some feature is measured in it or it is percent.
        exclusive: for numbers, whether the ends themselves are left out.
    """

    kind: str
    value: Any
    text: str
    graded: bool = False
    negated: bool = False
    unit: bool = False
    measure: str = ""
    exclusive: bool = False


@dataclass
class _Reading:
    """What was made of a prompt so far."""

    asked: dict[int, Interval] = field(default_factory=dict)
    strangers: list[str] = field(default_factory=list)
    taken: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_prompt(text: str, problem: str | Lexicon, senses: Senses | None = None) -> Prompt:
    """Reads a prompt. Nothing that it needs imports torch.

    Args:
        text: what is asked for, in English: "three enemies, no spiders and a long path".
        problem: the lexicon of the levels that a generator learned from (`Lexicon.of`, `load_lexicon`); or the name of
            a problem, of which the few and the many are then those of constructed levels (`usual_lexicon`).
        senses: finds known wordings that mean what unknown words do (`generators.words.senses`), which are then taken
            for these.

    Returns:
        What was understood, and sentences about all that was not.

    Raises:
        UserError: the text is empty or too long, or there is no such problem.

    >>> prompt = read_prompt("three enemies, no bats and a dragon", "zelda")
    >>> prompt.targets, [rule.coefficients for rule in prompt.counts], prompt.unread
    ({'enemies': (3.0, 3.0)}, [{'bat': 1, 'scorpion': 1, 'spider': 1}, {'bat': 1}], ('dragon',))
    """
    if not isinstance(text, str) or not text.strip():
        raise UserError("The prompt is empty: say what the level shall have, such as 'three enemies and a long path'.")
    if len(text) > MOST_CHARACTERS:
        raise UserError(f"The prompt has {len(text)} characters; {MOST_CHARACTERS} are the most: shorten it.")
    lexicon = problem if isinstance(problem, Lexicon) else usual_lexicon(problem)
    reading = _Reading()
    tokens = _tokens(lexicon, text, reading)
    if senses is not None:
        tokens = _with_senses(lexicon, tokens, reading, senses)
    _Parser(lexicon, tokens, reading).run()
    asked = {lexicon.features[place].name: interval for place, interval in reading.asked.items()}
    return make_prompt(lexicon, text, asked, reading.strangers, reading.taken, reading.notes)


def make_prompt(
    lexicon: Lexicon,
    text: str,
    asked: Mapping[str, Interval],
    strangers: Sequence[str] = (),
    taken: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
) -> Prompt:
    """Returns a prompt of what was read, with sentences about what cannot be.

    Args:
        lexicon: of the problem.
        text: the prompt.
        asked: by features' names what is asked of them.
        strangers: words that name nothing that the problem has.
        taken: other such words, with those that they were taken for.
        notes: sentences about how it was understood.
    """
    missing = [
        f"{stranger!r} is no known word; it was taken for {known!r}." for stranger, known in (taken or {}).items()
    ]
    if strangers:
        named = " or ".join(repr(stranger) for stranger in dict.fromkeys(strangers))
        missing.append(f"{lexicon.problem} knows nothing of {named}; it has {lexicon.known()}.")
    features = {name: lexicon.features[lexicon.places[name]] for name in asked}
    told = {name: features[name].told(interval) for name, interval in asked.items()}
    targets = {name: interval for name, interval in asked.items() if features[name].metric}
    counts = count_rules(lexicon.features, asked)
    remarks = tuple(dict.fromkeys((*notes, *_doubts(lexicon, asked, counts))))
    unread = tuple(dict.fromkeys(strangers))
    return Prompt(text, dict(asked), targets, counts, tuple(missing), remarks, unread, told)


def words_of_text(text: str) -> list[str]:
    """Returns the words, numbers and signs of a text, in small letters."""
    plain = unicodedata.normalize("NFKC", text).lower().replace("\u2019", "'").replace("_", " ").replace("\u00d7", "x")
    # A line may end within a phrase, unless it ends with a sign.
    plain = re.sub(r"(?<=[^\w\s])[^\S\n]*\n", " , ", plain)
    plain = re.sub(r"(?<=\d)\s*\.{2,}\s*(?=\d)", "-", plain)
    plain = _MINUS.sub(" minus ", re.sub("[\u2010-\u2015\u2212]", "-", plain))
    parts = _PARTS.findall(plain)
    kept = []
    for place, part in enumerate(parts):
        neighbours = parts[place - 1 : place] + parts[place + 1 : place + 2]
        # Between numbers a hyphen is "to"; elsewhere it joins words.
        if part != "-" or (len(neighbours) == 2 and all(one[0].isdigit() for one in neighbours)):
            kept.append(part)
    return kept


def _tokens(lexicon: Lexicon, text: str, reading: _Reading) -> list[_Token]:
    """Parts a text into wordings of the grammar, the longest first, with misspelt words corrected."""
    given = words_of_text(text)
    words = []
    for word in given:
        meant = word
        if word not in lexicon.vocabulary and word[0].isalpha():
            meant = nearest_word(word, lexicon.vocabulary, lexicon.names) or word
            if meant != word:
                reading.notes.append(f"{word!r} was read as {meant!r}.")
        words.append(meant)
    tokens: list[_Token] = []
    first = 0
    while first < len(words):
        for size in range(min(lexicon.longest, len(words) - first), 0, -1):
            meaning = lexicon.phrases.get(tuple(words[first : first + size]))
            if meaning is not None:
                tokens.append(_Token(*meaning, " ".join(words[first : first + size])))
                break
        else:
            size = 1
            if words[first][0].isdigit() and any(map(str.isalpha, words[first])):
                tokens.append(_Token("unknown", words[first], given[first]))
            elif words[first][0].isdigit():
                number = float(words[first].replace(",", ""))
                tokens.append(_Token("number", min(number, MOST), words[first]))
            # Pictures are no punctuation.
            elif words[first][0].isalpha() or unicodedata.category(words[first][0]) == "So":
                tokens.append(_Token("unknown", words[first], given[first]))
        first += size
    tokens = _with_scales(tokens)
    for place, token in enumerate(tokens):
        earlier = [i for i in range(place) if tokens[i].kind in ("amount", "grade") and tokens[i].value != "medium"]
        if token.kind == "possible" and earlier:
            # "As many as possible" asks for the most.
            tokens[earlier[-1]] = replace(tokens[earlier[-1]], kind="most")
        if token.text == "as" and earlier and place + 1 < len(tokens) and tokens[place + 1].kind == "noun":
            tokens[place] = replace(token, kind="unknown")
        behind = [later.kind for later in tokens[place + 1 :] if later.kind not in ("the", "filler")][:1]
        if token.text in _COMPARERS and place and tokens[place - 1].kind == "noun" and behind == ["noun"]:
            tokens[place] = replace(token, kind="unknown")
    return tokens


def _with_scales(tokens: list[_Token]) -> list[_Token]:
    """Returns the tokens with numbers of several words put together: two dozen, three hundred and five."""
    found: list[_Token] = []
    for token in tokens:
        before = found[-1] if found else None
        scale = SCALES.get(token.text)
        if before is None or {before.kind, token.kind} != {"number"}:
            found.append(token)
        elif scale is not None and before.value < scale:
            found[-1] = replace(before, value=before.value * scale, text=f"{before.text} {token.text}")
        elif _is_scaled(before) and token.value < 100:
            found[-1] = replace(before, value=before.value + token.value, text=f"{before.text} {token.text}")
        else:
            found.append(token)
    for place in range(len(found) - 3, -1, -1):
        first, joint, last = found[place : place + 3]
        parted = place > 0 and found[place - 1].kind == "between"
        whole = (first.kind, joint.text, last.kind) == ("number", "and", "number") and _is_scaled(first)
        if whole and not parted and last.value < 100:
            text = f"{first.text} and {last.text}"
            found[place : place + 3] = [replace(first, value=first.value + last.value, text=text)]
    return found


def _is_scaled(token: _Token) -> bool:
    """Tells whether smaller numbers may follow: three hundred."""
    return token.text.endswith(("hundred", "thousand"))


def _with_senses(lexicon: Lexicon, tokens: list[_Token], reading: _Reading, senses: Senses) -> list[_Token]:
    """Returns the tokens with unknown words, or several of them in a row, taken for what means the same.

    "Of" or "with" behind them may belong to them ("devoid of"); words that mean nothing known together may do so one by
    one.
    """
    found: list[_Token] = []
    place = 0
    while place < len(tokens):
        end = place
        while end < len(tokens) and tokens[end].kind == "unknown":
            end += 1
        with_link = end + (end < len(tokens) and tokens[end].text in ("of", "with"))
        ends = dict.fromkeys((with_link, end, place + 1)) if end > place else {}
        for stop in ends:
            text = " ".join(token.text for token in tokens[place:stop])
            known = senses(text)
            if known is not None:
                kind, value = lexicon.phrases[words_of(known)]
                found.append(_Token(kind, value, known))
                reading.taken[text] = known
                place = stop
                break
        else:
            found.append(tokens[place])
            place += 1
    return found


class _Parser:
    """Takes noun after noun with what is said of it.

    Args:
        lexicon: of the problem.
        tokens: of the prompt.
        reading: where what is understood goes.
    """

    def __init__(self, lexicon: Lexicon, tokens: list[_Token], reading: _Reading) -> None:
        self.lexicon, self.tokens, self.reading = lexicon, tokens, reading
        #: What was said of the last noun and holds for further ones in a list: "no bats, spiders or scorpions".
        self.inherited: _Amount | None = None
        #: The last noun, of which more may be said: "at least two bats, but not more than four".
        self.last: int | None = None
        #: What was refused but for what is named next: "no enemies except bats".
        self.refused: int | None = None
        #: The end that was last said of a noun: "at most 3 bats and spiders".
        self.limit: _Amount | None = None

    def run(self) -> None:
        """Reads all tokens."""
        place = 0
        while place < len(self.tokens):
            kind = self._kind(place)
            if kind == "except":
                # "No enemies except bats" asks for bats, "enemies except bats" for none.
                self.refused = self.last if self._refusing() else None
                self.inherited = None if self._refusing() else _Amount("none", "none", self._text(place))
                place += 1
            elif kind in _JOINTS:
                if kind in ("link", "level"):
                    self.inherited = None
                elif (
                    self._text(place) == "or"
                    and self.last is not None
                    # "Without bats or with spiders" refuses bats alone.
                    and (not self._refusing() or self._text(place + 1) in ("with", "has", "have", "having"))
                ):
                    self.reading.notes.append("'or' was read as 'and': all that is named is asked for.")
                place += 1
            else:
                place = self._clause(place)

    def _kind(self, place: int) -> Kind | None:
        return self.tokens[place].kind if place < len(self.tokens) else None

    def _text(self, place: int) -> str:
        return self.tokens[place].text if place < len(self.tokens) else ""

    def _refusing(self) -> bool:
        """Tells whether what was last said was that there be none."""
        return self.inherited is not None and self.inherited.kind == "none"

    def _skip(self, place: int, *kinds: str) -> int:
        while self._kind(place) in kinds:
            place += 1
        return place

    def _clause(self, place: int) -> int:
        """Reads one noun with what is said of it; returns the place behind."""
        amounts: list[_Amount] = []
        strangers: list[str] = []
        while True:
            amount, after = self._amount(place)
            if amount is not None and not strangers:
                amounts.append(amount)
                place = after
            elif self._kind(place) == "unknown":
                strangers.append(self.tokens[place].text)
                place += 1
            elif amounts and not strangers and self._goes_on(place, amounts[-1]):
                place += 1
            else:
                break
        kind = self._kind(place)
        if strangers and strangers[-1] in _COMPARERS:
            self.reading.notes.append(
                f"Nothing was made of {strangers.pop()!r}: one thing cannot be compared with another."
            )
            self.inherited = None
            if not strangers and not amounts and kind not in ("noun", "alone"):
                return place
        if strangers:
            numbers = [amount.text for amount in amounts if amount.kind == "number" and kind not in ("noun", "alone")]
            self.reading.strangers.append(" ".join([*numbers, *strangers]))
            if kind not in ("noun", "alone"):
                self.last = None
                # "No lava or bats" asks for no bats all the same.
                self.inherited = amounts[-1] if amounts and amounts[-1].kind == "none" else None
                return place
        if kind == "noun":
            return self._noun(place, amounts)
        if kind == "alone":
            feature, interval = self.tokens[place].value
            if any(amount.kind == "none" or amount.negated for amount in amounts):
                interval = _complement(self.lexicon.features[feature], interval)
            self._ask(feature, interval, self.tokens[place].text)
            return place + 1
        if amounts and all(amount.kind == "number" and amount.measure for amount in amounts):
            measured = [i for i, own in enumerate(self.lexicon.features) if own.noun.unit == amounts[0].measure]
            if len(measured) == 1:
                # "At least 30 moves" can only be said of the solution.
                for amount in amounts:
                    self._ask_amount(measured[0], amount, "")
                return place
        if amounts and self.last is not None and all(_is_end(amount) for amount in amounts):
            for amount in amounts:
                self._ask_amount(self.last, replace(amount, unit=True), "")
            return place
        lost = [amount.text for amount in amounts if amount.kind not in ("article", "any")]
        if not amounts and (kind in ("not", "very", "compare", "limit", "free") or self._text(place) == "only"):
            lost = [self._text(place)]
        if lost:
            whole = " of a level as a whole" if kind == "level" else ""
            self.reading.notes.append(
                f"Nothing was made of {' '.join(lost)!r}{whole}: it belongs to nothing that can be asked for."
            )
        return place if amounts else place + 1

    def _goes_on(self, place: int, amount: _Amount) -> bool:
        """Tells whether a word stands between how much is asked for and what is asked for, or more of the former."""
        if self._kind(place) in ("the", "filler") or self._text(place) in ("of", "are"):
            return True
        # "More than two and at most five".
        return _is_end(amount) and self._is_end_at(place)

    def _is_end_at(self, place: int) -> bool:
        """Tells whether a word joins what comes before to a number that is an end: and at most five."""
        joined = self._kind(place) == "and" or self._text(place) == "but"
        amount, _ = self._amount(place + 1) if joined else (None, place)
        return amount is not None and _is_end(amount)

    def _limit(self, place: int) -> str | None:
        """Returns which end a number is by what stands behind it: 3 or more, 3 at most."""
        kind = self._kind(place)
        if kind == "limit" or (
            kind == "compare"
            and self.tokens[place].value in (">=", "<=")
            and self._kind(place + 1) in (None, "and", "or", "link", "unit")
        ):
            return str(self.tokens[place].value)
        return None

    def _noun(self, place: int, amounts: list[_Amount]) -> int:
        """Reads what is said after a noun too, and asks for it."""
        feature, _ = self.tokens[place].value
        own = self.lexicon.features[feature]
        if self.refused is not None:
            self._except(feature, self.refused)
        after = place + 1
        limit = self._limit(after)
        if limit is not None and amounts and amounts[-1].kind in ("number", "article"):
            # "Three enemies or more".
            amounts[-1] = _limited(amounts[-1], limit)
            after += 1
        if self._kind(after) == "free":
            amounts = [_Amount("none", "none", "free")]
            after += 1
        behind, end = self._amount(self._skip(after, "link", "the", "filler"))
        if behind is not None and behind.kind != "article" and not self._leads_to_noun(end):
            amounts = [amount for amount in amounts if amount.kind != "article"] + [replace(behind, unit=True)]
            after = self._skip(end, "grade") if behind.kind == "number" else end
            if _is_end(behind) and self._is_end_at(after):
                behind, end = self._amount(after + 1)
                if behind is not None and not self._leads_to_noun(end):
                    amounts.append(replace(behind, unit=True))
                    after = self._skip(end, "grade")
        elif not amounts and self.inherited is not None and own.noun.counted:
            amounts = [self.inherited]
        if not amounts:
            if self.limit is not None and self._kind(place - 1) == "and" and self._kind(place - 2) == "noun":
                self.reading.notes.append(
                    f"{self.limit.text!r} was read of {self._text(place - 2)} alone, and not of {self._text(place)}."
                )
            self._ask(feature, own.present, self.tokens[place].text)
        for amount in amounts:
            self._ask_amount(feature, amount, self.tokens[place].text)
        self.last = feature
        last = amounts[-1] if amounts else None
        self.limit = last if last is not None and _is_end(last) else None
        self.inherited = last if last is not None and last.kind in ("none", "band") and not last.graded else None
        return after

    def _except(self, place: int, refused: int) -> None:
        """Refuses, instead of all that a feature counts, all of it but another one's: no enemies except bats."""
        features, asked = self.lexicon.features, self.reading.asked
        own, whole = set(features[place].tiles), set(features[refused].tiles)
        if not own or not own < whole:
            return
        if asked.get(refused) == NONE:
            del asked[refused]
            for other, feature in enumerate(features):
                if len(feature.tiles) == 1 and set(feature.tiles) <= whole - own:
                    self._ask(other, NONE, feature.name)
        elif asked.get(place) == NONE:
            # A further exception.
            del asked[place]

    def _leads_to_noun(self, place: int) -> bool:
        """Tells whether what was just read is said of a noun that follows."""
        return self._kind(self._skip(place, "unknown", "the", "article", "filler")) in ("noun", "alone")

    def _amount(self, place: int) -> tuple[_Amount | None, int]:
        """Reads how much of something is asked for; None where there is nothing of the kind."""
        start = place
        kind = self._kind(place)

        def done(kind: str, value: Any, end: int, **others: Any) -> tuple[_Amount, int]:
            return _Amount(kind, value, " ".join(token.text for token in self.tokens[start:end]), **others), end

        if kind == "not" and self._kind(place + 1) == "none":
            return done("present", "present", place + 2)
        if kind in ("none", "not"):
            inner, end = self._inner(self._skip(place + 1, "article", "the", "exactly", "filler", "link"))
            if inner is not None and inner.kind in ("band", "number", "comparative", "most"):
                return done(
                    inner.kind,
                    inner.value,
                    end,
                    graded=inner.graded,
                    negated=True,
                    unit=inner.unit,
                    exclusive=inner.exclusive,
                    measure=inner.measure,
                )
            end = self._skip(place + 1, "any", "article", "the", "filler", "link")
            if kind == "none" or self._kind(end) in ("noun", "alone"):
                return done("none", "none", end)
            return None, start
        if kind == "any":
            return done("any", "any", place + 1)
        if kind == "article":
            inner, end = self._inner(place + 1)
            if inner is not None and inner.kind in ("band", "comparative", "most", "number"):
                return inner, end
            return done("article", "article", place + 1)
        if kind in ("exactly", "the"):
            inner, end = self._inner(place + 1)
            return (inner, end) if inner is not None and inner.kind in ("number", "band", "most") else (None, start)
        if kind == "very":
            after = self._skip(place, "very")
            if self._kind(after) in ("grade", "amount") and self.tokens[after].value != "medium":
                return done("band", f"very {self.tokens[after].value}", after + 1, graded=self._kind(after) == "grade")
            return None, start
        if kind in ("amount", "grade"):
            return done("band", self.tokens[place].value, place + 1, graded=kind == "grade")
        if kind in ("comparative", "most"):
            return done(kind, self.tokens[place].value, place + 1)
        return self._number(start, done)

    def _inner(self, place: int) -> tuple[_Amount | None, int]:
        """Reads how much is asked for behind a word that says so too, unless there are two of these in a row."""
        alike = ("none", "not", "article", "exactly", "the")
        if self._kind(place) in alike and self._kind(place - 1) in alike and self._kind(place + 1) in alike:
            return None, place
        return self._amount(place)

    def _number(self, start: int, done: Any) -> tuple[_Amount | None, int]:
        """Reads a number, or several that are the ends of an interval."""
        place, kind = start, self._kind(start)
        sign = None
        if kind in ("compare", "about", "between"):
            sign = self.tokens[place].value if kind == "compare" else kind
            place = self._skip(place + 1, "link", "the", "exactly")
        if self._kind(place) != "number":
            return None, start
        first = last = self.tokens[place].value
        place += 1
        joints = ("to", "and", "or") if sign == "between" else ("to", "or")
        if self._kind(place) in joints and self._kind(place + 1) == "number":
            last = self.tokens[place + 1].value
            place += 2
        low, high = min(first, last), max(first, last)
        exclusive = sign in (">", "<")
        if sign == "about":
            width = max(1.0, round(ABOUT_SHARE * high))
            low, high = low - width, high + width
        elif sign in (">", ">="):
            high = math.inf
        elif sign in ("<", "<="):
            low = -math.inf
        amount, end = done("number", (low, high), place, exclusive=exclusive)
        for _ in range(2):
            # A unit may stand before or behind "or more".
            limit = self._limit(end) if sign is None else None
            if limit is not None:
                amount, end, sign = _limited(amount, limit), end + 1, limit
            if self._kind(end) == "unit" and not amount.unit:
                unit = self.tokens[end]
                measure = "percent" if unit.text in ("percent", "%") else unit.value if unit.value != "unit" else ""
                amount = replace(amount, unit=True, measure=measure, text=f"{amount.text} {unit.text}")
                end += 1
        return amount, end

    def _ask_amount(self, place: int, amount: _Amount, called: str) -> None:
        """Asks for so much of a feature, or says why that cannot be."""
        feature = self.lexicon.features[place]
        noun, notes = feature.noun, self.reading.notes
        counted = noun.counted
        if amount.kind == "any":
            return
        if amount.measure not in ("", noun.unit) and (counted or amount.measure == "percent"):
            notes.append(f"Nothing was made of {amount.text!r}: {noun.plural} are not measured so.")
            return
        if amount.kind == "band" and amount.graded == counted:
            said = (
                f"are counted and not measured: say few, some, many or a number of {noun.plural}"
                if counted
                else f"is measured and not counted: say {noun.grades[0]} or {noun.grades[1]}"  # type: ignore[index]
            )
            notes.append(
                f"Nothing was made of {amount.text!r}, for {noun.plural if counted else noun.singular} {said}."
            )
            if not amount.negated:
                self._ask(place, feature.present, called)
            return
        if amount.kind == "number" and not counted and not amount.unit and called != " ".join(feature.name.split("-")):
            unit = feature.unit_of(2)
            notes.append(
                f"Nothing was made of {amount.text!r}, for {noun.singular} is measured: say "
                f"'a {noun.singular} of {amount.text} {unit}'.".replace(" '.", "'.")
            )
            return
        if amount.kind == "number" and amount.exclusive and amount.value[1] <= 0:
            notes.append(f"Nothing is {amount.text!r}: none is asked for.")
        interval = _interval(feature, amount)
        if interval is None:
            notes.append(
                f"{amount.text!r} says nothing of {noun.plural if counted else noun.singular}: all levels that were "
                f"learned from have {feature.least:g}."
            )
            interval = feature.present
        self._ask(place, _complement(feature, interval) if amount.negated else interval, f"{amount.text} {called}")

    def _ask(self, place: int, interval: Interval | None, text: str) -> None:
        """Asks for an interval of a feature, and of what was asked of it before."""
        feature = self.lexicon.features[place]
        if interval is None:
            self.reading.notes.append(f"Nothing was made of {text!r}: all but that cannot be asked for.")
            return
        if interval == ANYTHING:
            return
        before = self.reading.asked.get(place)
        if before is not None:
            both = max(before[0], interval[0]), min(before[1], interval[1])
            if both[0] > both[1]:
                self.reading.notes.append(
                    f"{feature.told(before)} and {feature.told(interval)} exclude each other; the last is taken."
                )
            else:
                interval = both
        self.reading.asked[place] = interval


def _limited(amount: _Amount, sign: str) -> _Amount:
    """Returns a number, or an article, as an end: 3 or more."""
    low, high = (1.0, 1.0) if amount.kind == "article" else amount.value
    return replace(amount, kind="number", value=(low, math.inf) if sign == ">=" else (-math.inf, high))


def _is_end(amount: _Amount) -> bool:
    """Tells whether an amount is a number that is one end of an interval: at least 3."""
    return amount.kind == "number" and math.inf in map(abs, amount.value)


def _interval(feature: Feature, amount: _Amount) -> Interval | None:
    """Returns what an amount asks of a feature; None where the corpus knows no such band."""
    if amount.kind == "none":
        return NONE
    if amount.kind == "present":
        return feature.present
    if amount.kind == "article":
        return (1.0, 1.0) if feature.noun.counted else feature.present
    if amount.kind in ("band", "comparative"):
        return feature.band(amount.value)
    if amount.kind == "most":
        if amount.value == "high":
            return feature.quantiles[-2], math.inf
        return (feature.after(0), feature.least) if feature.least > 0 else NONE
    low, high = amount.value
    if amount.exclusive:
        low = low if low == -math.inf else feature.after(low)
        high = high if high == math.inf else feature.before(high)
    return feature.between(low, high)


def _complement(feature: Feature, interval: Interval) -> Interval | None:
    """Returns what is left of a feature without an interval; None where that is in two parts."""
    low, high = interval
    if high == math.inf:
        below = feature.before(low)
        if below <= 0:
            return NONE
        return (-math.inf if feature.noun.counted else feature.after(0)), below
    if low <= feature.after(0):
        return feature.after(high), math.inf
    return None


def _doubts(lexicon: Lexicon, asked: Mapping[str, Interval], counts: tuple[CountRule, ...]) -> list[str]:
    """Returns sentences about what no level can have, or none had that was learned from."""
    doubts = []
    cells = int(np.prod(lexicon.shape))
    task = lexicon.task()
    bounds = {metric.name: metric.bounds(lexicon.shape) for metric in task.metrics}
    for name, (low, high) in asked.items():
        feature = lexicon.features[lexicon.places[name]]
        least, greatest = bounds.get(name, (0, cells))
        # There is no part of a thing that is counted.
        broken = feature.noun.counted and low == high and low != round(low)
        if low > greatest or high < least or broken:
            size = " x ".join(map(str, lexicon.shape))
            doubts.append(f"No {lexicon.problem} level of {size} can have {feature.told((low, high))}.")
        elif low > feature.greatest or high < feature.least:
            seen = (
                f"{feature.least:g}"
                if feature.least == feature.greatest
                else (f"{feature.least:g} to {feature.greatest:g}")
            )
            doubts.append(f"No level that was learned from has {feature.told((low, high))}; they have {seen}.")
    if (
        counts
        and not any(" can have " in doubt for doubt in doubts)
        and not may_be_kept(task.tile_ids, [*task.count_rules, *counts], cells)
    ):
        doubts.append(
            f"All that together is more than a {lexicon.problem} level can keep to: its numbers of tiles exclude each "
            "other."
        )
    return doubts


def may_be_kept(tile_ids: Mapping[str, int], rules: Sequence[CountRule], cells: int) -> bool:
    """Tells whether numbers of tiles may keep rules, as far as each rule by itself can tell of the ends of the others.

    Args:
        tile_ids: the problem's tiles.
        rules: on their numbers.
        cells: how many tiles there are in all.
    """
    low, high = np.zeros(len(tile_ids)), np.full(len(tile_ids), float(cells))
    if any(rule.low > rule.high for rule in rules):
        return False
    everything = CountRule(dict.fromkeys(tile_ids, 1), cells, cells)
    for _ in range(2 * len(tile_ids)):
        before = low.sum(), high.sum()
        for rule in (everything, *rules):
            tiles = [tile_ids[name] for name in rule.coefficients]
            weights = np.array(list(rule.coefficients.values()), np.float64)
            ends = np.sort(np.stack([weights * low[tiles], weights * high[tiles]]), axis=0)
            # What the others leave for each tile's share in the rule.
            most = rule.high - (ends[0].sum() - ends[0])
            least = rule.low - (ends[1].sum() - ends[1])
            shares = np.sort(np.stack([least / weights, most / weights]), axis=0)
            low[tiles] = np.maximum(low[tiles], np.ceil(shares[0]))
            high[tiles] = np.minimum(high[tiles], np.floor(shares[1]))
        if (low > high).any():
            return False
        if before == (low.sum(), high.sum()):
            break
    return True
