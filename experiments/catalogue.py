"""What there is in the suite: every problem and every representation, as the README shows them.

python -m experiments.catalogue
python -m experiments.catalogue --write README.md
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path

from envs import all_problems, all_representations
from envs.errors import UserError
from envs.files import write_atomically
from envs.problem import Problem
from experiments.run import main

#: What stands around the tables in a file that they are written into.
BEGIN, END = "<!-- catalogue -->", "<!-- /catalogue -->"


@dataclass
class Options:
    """List the problems and the representations of the suite.

    Attributes:
        write: a Markdown file to bring up to date: the tables replace what stands in it between the lines
            "<!-- catalogue -->" and "<!-- /catalogue -->".
    """

    write: Path | None = None


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
    """Returns both tables as Markdown."""
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
        ]
    )


def catalogue(options: Options) -> None:
    """Runs the experiment."""
    if options.write is None:
        print(tables())
        return
    try:
        text = options.write.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{options.write} cannot be read ({error}); give a Markdown file.") from None
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"{options.write} has no place for the tables: write {BEGIN} and {END} on lines of their own.")
    write_atomically(options.write, f"{before}{BEGIN}\n{tables()}\n{END}{after}".encode())
    print(f"The tables in {options.write} are up to date.")


if __name__ == "__main__":
    main(Options, catalogue)
