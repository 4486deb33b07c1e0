"""Measure how difficult levels are: the win rates of players from weak to strong, and the regret between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray

from agents.players import Player, Plays, PolicyPlayer, RandomPlayer, SolverPlayer
from agents.players.difficulty import Difficulty
from envs import Problem, UserError, construct, get_problem, get_rules
from envs.evaluation import bootstrap, number, percent
from envs.files import write_atomically
from envs.level_io import read_folder, read_levels
from envs.pictures import contact_sheet, render, save_png
from envs.records import read_config
from experiments.run import CONFIG_FILE, main, make_folder, progress_bar, write_json
from experiments.tracking import Tracking, TrackOnRequestOptions

#: The levels of a run folder.
LEVELS_FILE = "levels.txt"

#: The word that stands for levels of the problem's constructive generator.
CONSTRUCTED = "constructed"

HEADINGS = ("player", "wins", "games lost", "steps to win", "levels unknown")


@dataclass
class Options(TrackOnRequestOptions):
    """Measure how difficult levels are: the win rates of players from weak to strong, and the regret between them.

    Attributes:
        source: a file of levels, a folder of such files, a run folder that holds levels.txt, or the word constructed
            for levels of the problem's constructive generator.
        problem: what they are levels of; a run folder knows.
        players: from weak to strong: random; solver; solver:NOISE, whose hand slips with that chance; or the folder of
            a saved player. Regret is the last one's win rate less the first one's.
        budget: the most states that a solver expands in one search; by default the rules' own.
        episodes: how often each player plays each level.
        max_steps: the actions after which a game is cut off; by default 10 for each cell.
        levels: how many levels are measured at most.
        seed: fixes the players' draws, and constructed levels.
        out: where the table and the picture go; by default the run folder, the folder of levels, or runs/difficulty.
    """

    source: Annotated[Path, tyro.conf.Positional]
    problem: str = ""
    players: tuple[str, ...] = ("random", "solver:0.5", "solver:0.2", "solver")
    budget: int | None = None
    episodes: int = 4
    max_steps: int | None = None
    levels: int = 200
    seed: int = 0
    out: Path | None = None


def find_levels(options: Options) -> tuple[Problem, list[NDArray[np.uint8]], Path]:
    """Returns the problem, the levels, uint8 each, and the folder where results go.

    Raises:
        UserError: there are no levels, or it is not known of what problem.
    """
    source, named = options.source, options.problem
    record = source / CONFIG_FILE
    if (source / LEVELS_FILE).exists() and record.exists() and not named:
        config = read_config(record)
        # What a generator is trained further on, it knows itself.
        named = str(config.get("options", {}).get("problem") or config.get("environment", {}).get("problem", ""))
    if not named:
        raise UserError(f"Whose levels are in {source}? Add --problem NAME.")
    problem = get_problem(named)
    get_rules(problem)
    if str(source) == CONSTRUCTED and not source.exists():
        levels = list(construct(problem, options.levels, options.seed))
        return problem, levels, options.out or Path("runs") / "difficulty"
    if (source / LEVELS_FILE).exists():
        levels = read_levels(source / LEVELS_FILE, problem)
    elif source.is_dir():
        levels = [level for _, level in read_folder(source, problem)]
    else:
        levels = read_levels(source, problem)
    folder = source if source.is_dir() else source.parent
    return problem, levels[: options.levels], options.out or folder


def make_player(text: str, problem: Problem, budget: int | None = None) -> Player:
    """Returns the player that a word of the command line stands for.

    Raises:
        UserError: it stands for none, or for a player of another problem.
    """
    if text == "random":
        return RandomPlayer(problem)
    word, _, noise = text.partition(":")
    if word == "solver":
        try:
            return SolverPlayer(problem, budget, float(noise or 0))
        except ValueError:
            raise UserError(f"solver:NOISE takes a chance from 0 to 1; got {text!r}.") from None
    if not Path(text).is_dir():
        raise UserError(
            f"There is no player {text!r}: give random, solver, solver:0.2 or the folder of a saved player."
        )
    player = PolicyPlayer.from_pretrained(text, name=text)
    if player.problem is not problem:
        raise UserError(f"{text} plays {player.problem.name}, but the levels are of {problem.name}.")
    return player


def play_all(player: Player, levels: Sequence[NDArray[np.uint8]], options: Options, seed: int) -> Plays:
    """Lets a player play levels of one shape or several."""
    shapes = sorted({level.shape for level in levels})
    parts, places = [], []
    for shape in shapes:
        chosen = [i for i, level in enumerate(levels) if level.shape == shape]
        batch = np.stack([levels[i] for i in chosen])
        parts.append(player.play(batch, seed, options.episodes, options.max_steps))
        places += chosen
    order = np.argsort(places)
    joined: dict[str, Any] = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])[order]
        for field in dataclasses.fields(Plays)
    }
    return Plays(**joined)


def cells(player: Player, plays: Plays, seed: int) -> list[str]:
    """Returns a row of the table, in the order of HEADINGS."""
    steps = plays.steps[plays.won]
    return [
        player.name,
        percent(bootstrap(plays.win_rates, seed)),
        f"{100 * plays.lost.mean():.1f} %",
        f"{steps.mean():.1f}" if len(steps) else "",
        str(int(plays.unknown.sum())),
    ]


def measure(options: Options) -> None:
    """Runs the experiment."""
    if len(options.players) < 2:
        raise UserError("Regret is between two players: give --players at least two, from weak to strong.")
    if options.levels < 1:
        raise UserError(f"--levels must be at least 1; got {options.levels}.")
    problem, levels, folder = find_levels(options)
    players = [make_player(text, problem, options.budget) for text in options.players]
    make_folder(folder)
    with Tracking(options.track, folder, resume=True, asked={"difficulty": dataclasses.asdict(options)}) as tracking:
        tracking.results("difficulty", measure_levels(problem, levels, players, options, folder))


def measure_levels(
    problem: Problem, levels: Sequence[NDArray[np.uint8]], players: Sequence[Player], options: Options, folder: Path
) -> dict[str, Any]:
    """Lets the players play the levels, prints and writes what came of it; returns win rates and regret."""
    found: list[Plays] = []
    with progress_bar("compiling") as show:
        for i, player in enumerate(players):
            show(i / len(players), player.name)
            found.append(play_all(player, levels, options, len(players) * options.seed + i))
        show(1.0, "done")
    measured = Difficulty(found[0], found[-1])
    regret = bootstrap(measured.regret, options.seed)
    rows = [cells(player, plays, options.seed) for player, plays in zip(players, found, strict=True)]
    started = int(measured.started.sum())
    note = (
        f"{len(levels)} levels of {problem.name}, {started} of which can be started; {options.episodes} games a level. "
        f"Regret of {players[0].name} against {players[-1].name}: {number(regret)}. "
        "Intervals are 95 % bootstrap intervals over levels."
    )
    lines = ["| " + " | ".join(HEADINGS) + " |", "|" + " --- |" * len(HEADINGS)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    write_atomically(folder / "difficulty.md", ("\n".join(lines) + f"\n\n{note}\n").encode())
    record = {
        "problem": problem.name,
        "players": [player.name for player in players],
        "episodes": options.episodes,
        "seed": options.seed,
        "win_rates": [plays.win_rates.tolist() for plays in found],
        "regret": measured.regret.tolist(),
        "mean_regret": dataclasses.asdict(regret),
        "started": measured.started.tolist(),
        "unknown": measured.unknown.tolist(),
    }
    write_json(folder / "difficulty.json", record)
    order = np.argsort(-measured.regret, kind="stable")[:8]
    size = max(4, min(24, 320 // max(levels[i].shape[-1] for i in order)))
    captions = [f"regret {measured.regret[i]:.2f}" for i in order]
    save_png(folder / "hardest.png", contact_sheet([render(problem, levels[i], size) for i in order], 4, captions))
    show_table(rows)
    print(f"""{note}

Look at    {folder / "difficulty.md"}   the table above; {folder / "difficulty.json"} has every level
           {folder / "hardest.png"}   the levels of the greatest regret""")
    wins = {player.name: float(plays.win_rates.mean()) for player, plays in zip(players, found, strict=True)}
    return {"wins": wins, "regret": dataclasses.asdict(regret)}


def show_table(rows: Sequence[Sequence[str]]) -> None:
    """Prints the table."""
    from rich.console import Console  # noqa: PLC0415 (only where something is printed)
    from rich.table import Table  # noqa: PLC0415

    table = Table()
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == "player" else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console()
    (console if console.is_terminal else Console(width=120)).print(table)


if __name__ == "__main__":
    main(Options, measure)
