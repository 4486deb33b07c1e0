"""Unsupervised environment design: levels are proposed for a learning player, who is judged on levels never trained on.

Compares `random` levels (domain randomisation), `plr` (prioritised level replay, Jiang 2021) and `paired` (an adversary
that designs for regret, Dennis 2020) by the curves of the same learning player.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from agents.players.curricula import (
    AdversaryConfig,
    Curriculum,
    PairedLevels,
    RandomLevels,
    ReplayConfig,
    ReplayedLevels,
)
from agents.players.networks import PlayerConfig
from agents.players.player import RandomPlayer
from agents.players.policy import PolicyPlayer
from agents.players.ppo import (
    CHECKPOINT_FILE,
    METRICS_FILE,
    PlayerLearner,
    PlayerPPOConfig,
    read_checkpoint,
    write_checkpoint,
)
from agents.players.scatter import scatter
from envs import Problem, UserError, construct, get_problem, get_rules, solve
from envs.evaluation import Estimate, bootstrap, percent
from envs.files import write_atomically
from envs.level_io import write_levels
from envs.pictures import contact_sheet, render, save_png
from envs.records import MetricsLog, read_config, read_metrics
from experiments.pcgrl import override
from experiments.run import CONFIG_FILE, main, make_folder, progress_bar, write_json, write_record
from experiments.tracking import Tracking, TrackOptions

Method = Literal["random", "plr", "paired"]

#: Seeds of the held-out levels; training seeds are below.
HELD_OUT_SEED = 2**31 + 1

#: The most states that the solver expands to tell whether a proposed level can be won.
_BUDGET = 5_000

_PROPOSED = ("solvable", "solution", "walls")


@dataclass
class Options(TrackOptions):
    """Train a player on levels that are proposed for it, and judge it on levels that it never trains on.

    Attributes:
        method: who proposes: random (domain randomisation), plr (prioritised level replay) or paired (an adversary).
        problem: what is played; `python -m experiments.catalogue` lists the problems.
        name: the run folder's name under OUT/ued; by default problem-method-seedN.
        seed: fixes weights, levels and draws.
        out: where run folders go.
        steps: environment steps that the learner plays, in whole rounds.
        resume: go on from the run folder's checkpoint.
        overwrite: begin anew in a run folder that holds a run already.
        shape: height and width of the levels; by default 9 9 for maze, else the problem's.
        lanes: how many levels a round has.
        max_steps: the steps after which a game is cut off, and the length of a round.
        judge_every: steps between two judgements.
        judge_levels: how many held-out levels of each kind the player is judged on.
        ppo: how players are trained.
        network: the shape of the players' networks.
        plr: how levels are replayed: score, capacity, replay, temperature, staleness, fresh.
        paired: how the adversary is trained: representation, passes, batch, epochs, learning_rate, gae_lambda,
            entropy, width.
    """

    method: Method = "plr"
    problem: str = "maze"
    name: str = ""
    seed: int = 0
    out: Path = Path("runs")
    steps: int = 1_000_000
    resume: bool = False
    overwrite: bool = False
    shape: tuple[int, ...] | None = None
    lanes: int = 128
    max_steps: int = 64
    judge_every: int = 50_000
    judge_levels: int = 100
    ppo: dict[str, str] = field(default_factory=dict)
    network: dict[str, str] = field(default_factory=dict)
    plr: dict[str, str] = field(default_factory=dict)
    paired: dict[str, str] = field(default_factory=dict)


class HeldOut:
    """The levels that a player is judged on, by their kind.

    Args:
        problem: the problem.
        shape: the levels' shape.
        count: how many of each kind.
    """

    def __init__(self, problem: Problem, shape: tuple[int, ...], count: int) -> None:
        self.levels: dict[str, NDArray[np.uint8]] = {}
        examples = [problem.parse(example.rows) for example in problem.examples if example.status == "solved"]
        examples = [level for level in examples if level.shape == shape]
        # Some problems or shapes have no constructive generator; random levels remain.
        with contextlib.suppress(UserError):
            self.levels["constructed"] = construct(problem, count, HELD_OUT_SEED, shape)
        drawn = scatter(problem, 4 * count, HELD_OUT_SEED, shape)
        won = [solution.solved and len(solution.actions) > 0 for solution in solve(problem, drawn, _BUDGET)]
        if any(won):
            self.levels["random"] = drawn[won][:count]
        if examples:
            self.levels["examples"] = np.stack(examples)
        if not self.levels:
            raise UserError(
                f"There are no {problem.name} levels of shape {shape} to judge a player on; take another shape."
            )

    def win_rates(self, play: Callable[[NDArray[np.uint8]], NDArray[np.float64]]) -> dict[str, Estimate]:
        """Returns the mean win rate on each kind of level, with intervals over levels."""
        return {kind: bootstrap(play(levels)) for kind, levels in self.levels.items()}


@dataclass
class Progress:
    """How far a run is.

    Attributes:
        steps: environment steps that the learner has played.
        rounds: rounds played.
        updates: rounds that it learned from.
        seconds: wall time, in all the processes that worked on the run.
        judged: the step of the last judgement.
    """

    steps: int = 0
    rounds: int = 0
    updates: int = 0
    seconds: float = 0.0
    judged: int = -1


class Run:
    """One learner with its curriculum in a run folder."""

    def __init__(self, options: Options, folder: Path) -> None:
        self.options, self.folder = options, folder
        self.problem = get_problem(options.problem)
        self.shape = shape_of(options)
        ppo = PlayerPPOConfig(lanes=options.lanes, rollout=options.max_steps)
        self.ppo: PlayerPPOConfig = override(ppo, options.ppo, "PPO")
        self.network: PlayerConfig = override(PlayerConfig(), options.network, "network")
        self.curriculum = self._curriculum()
        self.learner = PlayerLearner(
            self.problem,
            RandomLevels(self.problem, self.shape, 1, options.seed).propose(0),
            self.ppo,
            self.network,
            max_steps=options.max_steps,
            seed=options.seed,
        )
        self.held_out = HeldOut(self.problem, self.shape, options.judge_levels)
        self.progress = Progress()
        kinds = [f"{kind}{end}" for kind in self.held_out.levels for end in ("", "_low", "_high")]
        self._columns = (
            *("steps", "seconds", "rounds", "updates", *kinds, "won", *_PROPOSED),
            *("replayed", "kept", "score", "regret", "antagonist", "entropy", "value_loss"),
        )

    def _curriculum(self) -> Curriculum:
        common = (self.problem, self.shape, self.ppo.lanes, self.options.seed)
        if self.options.method == "plr":
            return ReplayedLevels(*common, config=override(ReplayConfig(), self.options.plr, "plr"))
        if self.options.method == "paired":
            adversary = override(AdversaryConfig(), self.options.paired, "paired")
            return PairedLevels(
                *common, ppo=self.ppo, network=self.network, max_steps=self.options.max_steps, config=adversary
            )
        return RandomLevels(*common)

    @property
    def checkpoint(self) -> Path:
        """Where the checkpoint is."""
        return self.folder / CHECKPOINT_FILE

    def save(self) -> None:
        """Writes the checkpoint."""
        state = {"learner": self.learner.state(), "curriculum": self.curriculum.state()}
        write_checkpoint(self.checkpoint, {**state, "progress": asdict(self.progress)})

    def resume(self) -> None:
        """Goes on from the checkpoint."""

        def load(content: dict[str, Any]) -> None:
            self.learner.load_state(content["learner"])
            self.curriculum.load_state(content["curriculum"])
            self.progress = Progress(**content["progress"])

        read_checkpoint(self.checkpoint, load)

    def player(self) -> PolicyPlayer:
        """Returns the player as trained so far."""
        facts = {"training": {"method": self.options.method, "steps": self.progress.steps}}
        return self.learner.player(facts, name=f"player trained by {self.options.method}")

    def judge(self) -> dict[str, Estimate]:
        """Lets the player play the held-out levels."""
        player, most = self.player(), self.options.max_steps
        return self.held_out.win_rates(lambda levels: player.play(levels, 0, 2, most).win_rates)

    def train(self, report: Callable[[Progress, float, Mapping[str, float]], None]) -> None:
        """Plays rounds until the steps are done.

        Every judgement leaves a checkpoint. Rounds after the last one are played again by a run that is resumed, with
        the same draws.
        """
        log = MetricsLog(self.folder / METRICS_FILE, self._columns, max(self.progress.judged, 0))
        before, began = self.progress.seconds, time.perf_counter()
        row: dict[str, float] = {}
        while self.progress.steps < self.options.steps:
            row |= self._round()
            if not self.learner.sound():
                raise UserError(
                    f"Training stopped after {self.progress.steps} steps: the weights are no longer finite; "
                    "begin anew with a smaller learning_rate."
                )
            self.progress.seconds = before + time.perf_counter() - began
            last = self.progress.steps >= self.options.steps
            if last or self.progress.steps // self.options.judge_every > self.progress.judged // (
                self.options.judge_every
            ):
                for kind, rate in self.judge().items():
                    row |= {kind: rate.mean, f"{kind}_low": rate.low, f"{kind}_high": rate.high}
                row |= describe(self.problem, self._levels)
                self.progress.judged = self.progress.steps
                log.write({**asdict(self.progress), **row})
                self.save()
            report(self.progress, self.progress.steps / self.options.steps, row)

    def _round(self) -> dict[str, float]:
        """Plays a round, and returns its figures."""
        number, learner = self.progress.rounds, self.learner
        learner.rate = 1 - self.progress.steps / self.options.steps
        levels = self.curriculum.propose(number)
        self._levels = levels
        learner.env.set_levels(levels, one_a_lane=True)
        # Each round draws by its own number, so that a resumed run goes on as an unbroken one would.
        learner.set_seed(int(np.random.default_rng([self.options.seed, number, 1]).integers(2**31)))
        games = learner.rollout()
        figures = self.curriculum.tell(number, levels, games, learner)
        if self.curriculum.trains:
            figures |= learner.update()
            self.progress.updates += 1
        self.progress.steps += learner.ppo.lanes * learner.ppo.rollout
        self.progress.rounds += 1
        return {**figures, "won": float(games.won.mean()) if len(games.won) else 0.0}


def shape_of(options: Options) -> tuple[int, ...]:
    """Returns the shape of the levels."""
    problem = get_problem(options.problem)
    if options.shape is not None:
        return tuple(options.shape)
    return (9, 9) if problem.name == "maze" else problem.default_shape


def describe(problem: Problem, levels: NDArray[np.uint8]) -> dict[str, float]:
    """Returns how complex proposed levels are: the share that can be won, the mean solution, and the share of walls."""
    solutions = solve(problem, levels, _BUDGET)
    lengths = [len(solution.actions) for solution in solutions if solution.solved]
    walls = problem.tile_ids.get("solid")
    return {
        "solvable": len(lengths) / len(levels),
        "solution": float(np.mean(lengths)) if lengths else 0.0,
        "walls": float((levels == walls).mean()) if walls is not None else float("nan"),
    }


def make_run(options: Options) -> Run:
    """Prepares a run: its folder, its record and its learner, resumed where that was asked for.

    Raises:
        UserError: an option cannot be used, or the folder holds a run already; nothing has been written over then.
    """
    problem = get_problem(options.problem)
    get_rules(problem)
    for name, least in (("steps", 1), ("lanes", 2), ("max_steps", 1), ("judge_every", 1), ("judge_levels", 1)):
        if getattr(options, name) < least:
            raise UserError(f"--{name.replace('_', '-')} must be at least {least}; got {getattr(options, name)}.")
    for method in ("plr", "paired"):
        if getattr(options, method) and options.method != method:
            raise UserError(f"--{method} is for --method {method}; got the method {options.method}: leave it out.")
    folder = make_folder(options.out / "ued" / (options.name or f"{problem.name}-{options.method}-seed{options.seed}"))
    begun = (folder / CHECKPOINT_FILE).exists() and not options.resume
    if begun and not options.overwrite:
        raise UserError(
            f"{folder} holds a run already: add --resume to go on with it, --overwrite to begin anew, or give "
            "another --name or --seed."
        )
    run = Run(options, folder)
    facts = {
        "method": options.method,
        "shape": list(run.shape),
        "players": {"ppo": asdict(run.ppo), "network": asdict(run.network)},
    }
    if options.resume:
        if (folder / CONFIG_FILE).exists():
            before = read_config(folder / CONFIG_FILE)
            changed = [name for name, value in facts.items() if before.get(name) != value]
            if changed:
                raise UserError(
                    f"{folder} was trained with another {' and '.join(changed)}: give --resume with the options that "
                    "the run began with, or another --name."
                )
        run.resume()
    elif begun:
        # Only now that every option is known to be usable.
        (folder / CHECKPOINT_FILE).unlink()
    write_record(folder, options, **facts)
    return run


def train(options: Options) -> None:
    """Runs the experiment."""
    run = make_run(options)
    print(f"Training a player of {options.problem} on {options.method} levels: {run.folder}")
    with Tracking(options.track, run.folder, resume=options.resume) as tracking:
        learn(run, tracking)
        tracking.results("evaluation", leave_results(run))


def learn(run: Run, tracking: Tracking) -> None:
    """Trains under a progress bar, and tells of every judgement."""
    with progress_bar("compiling and first round") as show:

        def report(progress: Progress, share: float, row: Mapping[str, float]) -> None:
            speed = progress.steps / max(progress.seconds, 1e-9)
            rates = "  ".join(f"{kind} {100 * row[kind]:.0f} %" for kind in run.held_out.levels if kind in row)
            show(share, f"{progress.steps:,} steps  {speed:,.0f}/s  {rates}")
            if progress.judged == progress.steps:
                tracking.log({**asdict(progress), **row}, progress.steps)

        run.train(report)


def leave_results(run: Run) -> dict[str, Any]:
    """Judges the player once more, and leaves it, the curves and the levels in the run folder; returns win rates."""
    folder, problem = run.folder, run.problem
    rates = run.judge()
    random = RandomPlayer(problem)
    chance = run.held_out.win_rates(lambda levels: random.play(levels, 0, 2, run.options.max_steps).win_rates)
    lines = ["| held-out levels | how many | the player | a random player |", "| --- | --- | --- | --- |"]
    for kind, levels in run.held_out.levels.items():
        lines.append(f"| {kind} | {len(levels)} | {percent(rates[kind])} | {percent(chance[kind])} |")
    table = "\n".join(lines) + "\n"
    note = "Win rates, two games a level; intervals are 95 % bootstrap intervals over levels.\n"
    write_atomically(folder / "evaluation.md", f"{table}\n{note}".encode())
    judged = {
        "player": {kind: dataclasses.asdict(rate) for kind, rate in rates.items()},
        "random": {kind: dataclasses.asdict(rate) for kind, rate in chance.items()},
    }
    record = {"method": run.options.method, "progress": asdict(run.progress), **judged}
    write_json(folder / "evaluation.json", record)
    run.player().save_pretrained(folder / "player", card_of(run, table))
    draw_curves({run.options.method: [folder / METRICS_FILE]}, folder / "curves.png")
    levels, captions = run.curriculum.show(12)
    if not len(levels):
        levels = run.curriculum.propose(run.progress.rounds)[:12]
        captions = ["" for _ in levels]
    solutions = solve(problem, levels, _BUDGET)
    size = max(8, min(24, 240 // levels.shape[-1]))
    told = [
        ", ".join(filter(None, [caption, f"{len(solution.actions)} moves" if solution.solved else solution.status]))
        for caption, solution in zip(captions, solutions, strict=True)
    ]
    save_png(folder / "levels.png", contact_sheet([render(problem, level, size) for level in levels], 4, told))
    write_levels(folder / "levels.txt", list(levels), problem)
    print(table)
    print(
        f"{run.progress.steps:,} steps in {run.progress.seconds:.0f} s; {run.progress.updates} of "
        f"{run.progress.rounds} rounds learned from. {note}"
    )
    measure = f"{folder / 'levels.txt'} --problem {problem.name} --players random {folder / 'player'} solver"
    print(f"""Look at    {folder / "curves.png"}   win rates on held-out levels, and what was proposed
           {folder / "levels.png"}   levels as they were proposed last
Use        {folder / "player"}   the player itself
Next       python -m experiments.difficulty {measure}
           python -m benchmarks.ued   all methods compared""")
    return judged


def card_of(run: Run, table: str) -> str:
    """Returns the text of the player's card."""
    return "\n".join(
        [
            f"# A player of {run.problem.name}",
            "",
            f"- Data: none; it learned by playing levels of shape {run.shape} that were proposed by the method "
            f"{run.options.method} (unsupervised environment design).",
            f"- Training: PPO, {run.progress.steps:,} steps, {run.progress.seconds:.0f} s, seed {run.options.seed}.",
            "- Licence: MIT, as Tilewright itself.",
            f"- Limits: games of at most {run.options.max_steps} steps; it draws its actions.",
            "",
            "Win rates on levels that it never trained on:",
            "",
            table,
        ]
    )


def draw_curves(files: Mapping[str, list[Path]], picture: Path) -> None:
    """Draws the curves of one method or several, a line a run; win rates with their intervals.

    Args:
        files: metrics.csv files by the method's name.
        picture: where to.
    """
    import matplotlib  # noqa: PLC0415 (slow to import)

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    titles = {
        "constructed": "win rate, constructed levels",
        "random": "win rate, random levels",
        "examples": "win rate, the problem's examples",
        "won": "win rate, levels as proposed",
        "solution": "moves to win proposed levels",
        "solvable": "share of proposed levels that can be won",
        "walls": "share of walls in proposed levels",
        "score": "mean score of kept levels",
        "regret": "regret of proposed levels",
    }
    runs = [(method, read_metrics(file)) for method, paths in files.items() for file in paths]
    runs = [(method, metrics) for method, metrics in runs if metrics]
    if not runs:
        return
    shown = [
        name for name in titles if any(name in metrics and np.isfinite(metrics[name]).any() for _, metrics in runs)
    ]
    width = min(4, len(shown))
    height = -(-len(shown) // width)
    figure, axes = plt.subplots(height, width, figsize=(3.4 * width, 2.6 * height), squeeze=False, layout="constrained")
    colours = {method: f"C{i}" for i, method in enumerate(files)}
    for axis, name in zip(axes.flat, shown, strict=False):
        labelled: set[str] = set()
        for method, metrics in runs:
            if name not in metrics or not np.isfinite(metrics[name]).any():
                continue
            label = None if method in labelled else method
            labelled.add(method)
            axis.plot(metrics["steps"], metrics[name], color=colours[method], label=label, linewidth=1.4)
            if f"{name}_low" in metrics:
                axis.fill_between(
                    metrics["steps"],
                    metrics[f"{name}_low"],
                    metrics[f"{name}_high"],
                    color=colours[method],
                    alpha=0.12,
                    linewidth=0,
                )
        if titles[name].startswith(("win rate", "share")):
            axis.set_ylim(0, 1)
        axis.set_title(titles[name], fontsize=9)
        axis.tick_params(labelsize=7)
        axis.ticklabel_format(axis="x", style="sci", scilimits=(0, 0))
        axis.grid(alpha=0.2)
        if len(files) > 1:
            axis.legend(fontsize=6)
    for axis in axes.flat[len(shown) :]:
        axis.set_visible(False)
    figure.supxlabel("environment steps of the learner", fontsize=8)
    write_atomically(picture, lambda file: figure.savefig(file, format="png", dpi=110))
    plt.close(figure)


if __name__ == "__main__":
    main(Options, train)
