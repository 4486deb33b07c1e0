"""What there is in the suite: problems, representations and families of generators, as the README shows them.

python -m experiments.catalogue
python -m experiments.catalogue --write README.md --games docs/games.md --generators docs/generators.md \
    --words docs/words.md
"""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import dataclass
from math import inf
from pathlib import Path

import numpy as np

from envs import all_problems, all_representations
from envs.errors import UserError
from envs.files import write_atomically
from envs.problem import AS_LARGE_AS_POSSIBLE, AS_SMALL_AS_POSSIBLE, Metric, Problem
from experiments.run import main
from generators.generator import Generator
from generators.options import explained
from generators.suite import all_families
from generators.words import grammar
from generators.words.lexicon import Lexicon

#: What stands around the tables in a file that they are written into.
BEGIN, END = "<!-- catalogue -->", "<!-- /catalogue -->"


@dataclass
class Options:
    """List the problems, the representations and the families of generators of the suite.

    Attributes:
        write: a Markdown file to bring up to date: the tables replace what stands in it between the lines
            "<!-- catalogue -->" and "<!-- /catalogue -->".
        games: a Markdown file to write, which describes every problem: tiles, metrics, success and rules of play.
        generators: a Markdown file to bring up to date likewise: descriptions of every family of generators, with its
            settings, stand between the same lines.
        words: a Markdown file to bring up to date likewise: the grammar of captions and prompts, and what the metrics
            and tiles of each problem are called.
    """

    write: Path | None = None
    games: Path | None = None
    generators: Path | None = None
    words: Path | None = None


def first_sentence(documented: object) -> str:
    """Returns the first line of a docstring, without its full stop."""
    return (inspect.getdoc(documented) or "").partition("\n")[0].strip().removesuffix(".")


def problem_row(problem: Problem) -> str:
    """Returns a problem's line in the table."""
    size = " x ".join(str(length) for length in problem.default_shape)
    tiles = ", ".join(tile.name for tile in problem.tiles)
    goal = first_sentence(type(problem).succeeded)
    return f"| {problem.name} | {size} | {tiles} | {goal[:1].lower()}{goal[1:]} |"


def tables() -> str:
    """Returns the tables as Markdown."""
    problems = [problem_row(problem) for problem in all_problems().values()]
    representations = [
        f"| {name} | {first_sentence(inspect.getmodule(type(one))).partition(': ')[2]} |"
        for name, one in all_representations().items()
    ]
    return "\n".join(
        [
            "| problem | default size | tiles | success (published) |",
            "| --- | --- | --- | --- |",
            *problems,
            "",
            "| representation | how a designer edits |",
            "| --- | --- |",
            *representations,
            "",
            "| family of generators | what it is | published |",
            "| --- | --- | --- |",
            *(f"| {name} | {one.title} | {one.paper} |" for name, one in all_families().items()),
        ]
    )


def target(metric: Metric) -> str:
    """Returns a target interval in words."""
    low, high = metric.target
    if metric.target == AS_LARGE_AS_POSSIBLE:
        return "as large as possible"
    if metric.target == AS_SMALL_AS_POSSIBLE:
        return "as small as possible"
    if low == high:
        return f"{low:g}"
    return f"at most {high:g}" if low == -inf else f"at least {low:g}" if high == inf else f"{low:g} to {high:g}"


def chapter(problem: Problem) -> str:
    """Returns what there is to know about a problem, as Markdown."""
    size = " x ".join(str(length) for length in problem.default_shape)
    shares = dict(zip((tile.name for tile in problem.tiles), problem.start_probabilities, strict=True))
    metrics = [
        f"| {metric.name} | {metric.description}{' (played)' if metric.play else ''} | {target(metric)} "
        f"| {metric.weight:g} |"
        for metric in problem.metrics
    ]
    goal = inspect.getdoc(type(problem).succeeded) or ""
    parts = [
        f"## {problem.name}",
        f"{problem.description[:1].upper()}{problem.description[1:]}. {size} tiles by default.",
        inspect.getdoc(type(problem)) or "",
        f"Success (published): {goal}",
        "| tile | character | share at the start |\n| --- | --- | --- |\n"
        + "\n".join(f"| {tile.name} | `{tile.character}` | {shares[tile.name]:g} |" for tile in problem.tiles),
        "| metric | what is measured | target | weight |\n| --- | --- | --- | --- |\n" + "\n".join(metrics),
    ]
    if problem.rules is not None:
        parts.append(f"### How {problem.name} is played\n\n{inspect.getdoc(type(problem.rules))}")
    return "\n\n".join(part for part in parts if part)


def games() -> str:
    """Returns a page about every problem, as Markdown."""
    heading = (
        "# The games\n\nWritten by `make readme` from what the problems say of themselves. *Played* metrics are found "
        "by our player; the others are counted.\n"
    )
    return "\n\n".join([heading.rstrip(), *(chapter(problem) for problem in all_problems().values())]) + "\n"


def settings(options: type, option: str) -> str:
    """Returns the settings of a dataclass of options as a table in Markdown; nothing where it has none."""
    words = explained(options)
    rows = [f"| `{one.name}` | {default(one)} | {words.get(one.name, '')} |" for one in dataclasses.fields(options)]
    return "\n".join([f"| `{option}` | default | |", "| --- | --- | --- |", *rows]) if rows else ""


def default(setting: dataclasses.Field) -> str:
    """Returns a setting's default for people."""
    if setting.default is not dataclasses.MISSING:
        return f"{setting.default}" if setting.default != "" else "none"
    return "required" if setting.default_factory is dataclasses.MISSING else f"{setting.default_factory()}"


def family_chapter(family: type[Generator]) -> str:
    """Returns what there is to know about a family of generators, as Markdown."""
    conditions = (
        "Fixed tiles are held by construction."
        if family.keeps_fixed_tiles == "construction"
        else (
            "Fixed tiles are held by resampling: of several candidates the one that agrees with most of them is taken, "
            "and the rest is written in."
        )
    )
    parts = [
        f"### {family.name}",
        f"**{family.title}** ({family.paper}){'; a baseline' if family.baseline else ''}.",
        inspect.getdoc(family) or "",
        conditions,
        settings(family.Config, "--model"),
        settings(family.Sampling, "--sampling"),
    ]
    return "\n\n".join(part for part in parts if part)


def families() -> str:
    """Returns the descriptions of all families of generators, as Markdown."""
    return "\n\n".join(family_chapter(family) for family in all_families().values())


def wordings() -> str:
    """Returns the grammar of captions and prompts as a table in Markdown."""
    rows: list[tuple[str, tuple[str, ...], str]] = [
        ("few", grammar.AMOUNTS["low"], "the lowest third of the levels that have any"),
        ("some", grammar.AMOUNTS["medium"], "the middle third"),
        ("many", grammar.AMOUNTS["high"], "the highest third, and more"),
        ("short", grammar.GRADES["low"], "the lowest third; of what is measured and not counted"),
        ("middling", grammar.GRADES["medium"], "the middle third"),
        ("long", grammar.GRADES["high"], "the highest third, and more"),
        ("very", grammar.VERY, "before few, many, short and long: the outermost tenth"),
        ("the utmost", grammar.MOST["low"] + grammar.MOST["high"], "the outermost fortieth, or none at all"),
        ("more, less", grammar.COMPARATIVES["low"] + grammar.COMPARATIVES["high"], "the lowest or highest third"),
        ("none", (*grammar.NONE, "enemy-free", "keyless"), "0"),
        (
            "a number",
            ("3", "three", "twenty-five", "a dozen", "a pair of", "two hundred and five", "1,000"),
            "the number",
        ),
        ("an article", ("a bat", "the bats", "bats"), "1; any; any"),
        ("at least", grammar.COMPARISONS[">="] + grammar.LIMITS[">="], "the number or more"),
        ("more than", grammar.COMPARISONS[">"], "more than the number"),
        ("at most", grammar.COMPARISONS["<="] + grammar.LIMITS["<="], "the number or less"),
        ("less than", grammar.COMPARISONS["<"], "less than the number"),
        ("between", ("between 2 and 4", "from 2 to 4", "2-4", "2..4", "2 or 3"), "both numbers and those between"),
        ("about", grammar.ABOUT, f"within {100 * grammar.ABOUT_SHARE:g} % of the number, and 1 at least"),
        ("not", grammar.NOT, "all but that, where it is in one part: `not many bats`; and none: `don't add bats`"),
        ("except", grammar.EXCEPT, "`no enemies except bats`: bats and no others; `enemies except bats`: none"),
        ("anything", ("any number of bats",), "nothing"),
    ]
    lines = ["| what is said | wordings | what is asked for |", "| --- | --- | --- |"]
    return "\n".join([*lines, *(f"| {name} | {_code(said)} | {asks} |" for name, said, asks in rows)])


def _code(wordings: tuple[str, ...]) -> str:
    return ", ".join(f"`{wording}`" for wording in wordings)


def names(problem: Problem) -> str:
    """Returns what the metrics and tiles of a problem are called, as a line of a table in Markdown."""
    shape = problem.smallest_shape if problem.window is None else problem.window
    levels = problem.start_levels(np.random.default_rng(0).random((8, 1 + int(np.prod(shape)))), shape)
    told = []
    for feature in Lexicon.learn(problem, levels).features:
        noun = feature.noun
        measured = "" if noun.grades is None else f" ({', '.join(filter(None, (*noun.grades, feature.unit_of(2))))})"
        told.append(" / ".join((noun.singular, *noun.others, *noun.alone)) + measured)
    return f"| {problem.name} | {'; '.join(told)} |"


def words() -> str:
    """Returns the grammar of captions and prompts, and the names of each problem, as Markdown."""
    named = ["| problem | what can be asked for |", "| --- | --- |", *(names(one) for one in all_problems().values())]
    return "\n\n".join([wordings(), "\n".join(named)])


def bring_up_to_date(path: Path, content: str) -> None:
    """Writes tables or chapters into a file.

    Raises:
        UserError: it cannot be read or written, or has no place for them.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}); give a Markdown file.") from None
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"{path} has no place for the tables: write {BEGIN} and {END} on lines of their own.")
    write_atomically(path, f"{before}{BEGIN}\n{content}\n{END}{after}".encode())
    print(f"What {path} says of the suite is up to date.")


def catalogue(options: Options) -> None:
    """Runs the experiment."""
    if options.write is not None:
        bring_up_to_date(options.write, tables())
    if options.generators is not None:
        bring_up_to_date(options.generators, families())
    if options.words is not None:
        bring_up_to_date(options.words, words())
    if options.games is not None:
        write_atomically(options.games, games().encode())
        print(f"Written to {options.games}")
    if all(path is None for path in (options.write, options.games, options.generators, options.words)):
        print(tables())


if __name__ == "__main__":
    main(Options, catalogue)
