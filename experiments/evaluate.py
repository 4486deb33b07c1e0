"""Judge a trained designer again, on new start levels, beside the baselines."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from agents.baselines import GreedyDesigner, RandomDesigner
from agents.designer import PolicyDesigner
from agents.episodes import Designs
from agents.evaluation import Row, compare, start_row
from agents.networks import DesignerNetwork
from envs import UserError
from envs.records import read_config
from experiments import reports
from experiments.published import Verdict, evaluate_published
from experiments.run import main, make_folder
from experiments.tracking import Tracking, TrackOnRequestOptions
from generators.latents import latent_decoder
from generators.saving import CONFIG_FILE
from generators.suite import GENERATOR_FOLDER

#: Start levels for judging are drawn from seeds far from those of training.
EVALUATION_SEED = 1_000_000


@dataclass
class Options(TrackOnRequestOptions):
    """Judge a trained designer again, on new start levels, beside the baselines.

    Attributes:
        run: the folder of a run of experiments.pcgrl, or of a saved designer; with --measure pcg-benchmark also a file
            of levels, or a folder of such files.
        measure: tilewright judges by the problem's own success, quality and diversity; pcg-benchmark by the quality,
            diversity and controllability of Khalifa 2025.
        problem: whose levels they are, where RUN is a file of levels.
        levels: how many start levels, or how many random levels beside a file of levels.
        seed: fixes the start levels and all draws; other than in training, whatever it is.
        out: where the table goes; by default the run's folder.
        device: cpu, or a CUDA device such as cuda:0.
        deterministic: let the designer take its most probable action instead of drawing one.
    """

    run: Annotated[Path, tyro.conf.Positional]
    measure: Literal["tilewright", "pcg-benchmark"] = "tilewright"
    problem: str = ""
    levels: int = 100
    seed: int = 1
    out: Path | None = None
    device: str = "cpu"
    deterministic: bool = False


def designer_folder(run: Path) -> Path:
    """Returns the folder of the saved designer in a run folder, or the folder itself where it is one.

    Raises:
        UserError: there is no designer.
    """
    for folder in (run / "designer", run):
        if (folder / "model.safetensors").exists() and (folder / CONFIG_FILE).exists():
            return folder
    if (run / GENERATOR_FOLDER).is_dir():
        raise UserError(f"{run} holds a generator, no designer: judge it by experiments.evaluate_generator {run}.")
    raise UserError(
        f"{run} holds no trained designer: give the folder of a finished run of experiments.pcgrl, or a file of levels "
        "with --measure pcg-benchmark --problem NAME."
    )


def holds_designer(source: Path) -> bool:
    """Tells whether a folder is that of a saved designer, or of a run that left one."""
    places = (folder / CONFIG_FILE for folder in (source / "designer", source))
    return any(place.exists() and read_config(place).get("kind") == "designer" for place in places)


def check_levels(levels: int) -> None:
    """Raises UserError where a number of levels cannot be judged on."""
    if levels < 1:
        raise UserError(f"A designer is judged on at least 1 level; got {levels}.")


def judge(designer: PolicyDesigner, levels: int, seed: int) -> tuple[list[Row], Designs]:
    """Compares a designer with the baselines on the same start levels.

    Returns:
        The rows of the table, the designer's first, and what the designer made.

    Raises:
        UserError: there are no levels to judge it on.
    """
    check_levels(levels)
    # The same network before it learnt anything shows what training added to what the designer is shown.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = DesignerNetwork(designer.network.interface, designer.network.config)
    untrained = PolicyDesigner(network, designer.env_options, device=designer.device, generator=designer.generator)
    untrained.name = "untrained"
    greedy = GreedyDesigner(designer.problem, designer.env_options.get("change_share", 0.2))
    options = dict(designer.env_options)
    starts = None
    if designer.generator is not None:
        generator = designer.generator.unpack()
        options |= {"decoder": latent_decoder(generator), "shape": options.get("shape") or generator.spec.shape}
        # What its generator writes of itself is where such a designer begins.
        env = designer.make_env(levels)
        env.reset(seed=seed)
        starts = env.levels
    others = [untrained, greedy, RandomDesigner(options)]
    rows, designs = compare([designer, *others], levels, seed, options.get("frozen_share", 0.0), starts)
    rows.append(start_row(designer, designs[0], seed))
    return rows, designs[0]


def evaluate(options: Options) -> None:
    """Runs the experiment."""
    check_levels(options.levels)
    made_by: str | PolicyDesigner = options.problem
    if not options.problem:
        made_by = PolicyDesigner.from_pretrained(
            designer_folder(options.run), deterministic=options.deterministic, device=options.device
        )
    elif options.measure != "pcg-benchmark":
        raise UserError(
            "--problem says whose levels a file holds, which are judged by --measure pcg-benchmark; leave it out."
        )
    # Before the work begins, so that it is not in vain.
    folder = make_folder(options.out or (options.run if options.run.is_dir() else options.run.parent))
    with Tracking(options.track, folder, resume=True, asked={"evaluate": asdict(options)}) as tracking:
        row: Row | Verdict
        if isinstance(made_by, PolicyDesigner) and options.measure == "tilewright":
            row = evaluate_designer(made_by, options, folder)
        else:
            row = evaluate_published(options.run, made_by, options.levels, options.seed, folder)
        tracking.results(f"{options.measure}-seed{options.seed}", asdict(row))


def evaluate_designer(designer: PolicyDesigner, options: Options, folder: Path) -> Row:
    """Judges a designer beside the baselines, prints and writes the table; returns the designer's line."""
    seed = EVALUATION_SEED * 2 + options.seed
    rows, designs = judge(designer, options.levels, seed)
    problem, representation = designer.problem.name, designer.env_options["representation"]
    reports.print_table(rows, f"{problem}-{representation}: {options.levels} new start levels, seed {options.seed}")
    name = f"evaluation-seed{options.seed}"
    reports.write_table(rows, folder, name, seed=seed)
    reports.draw_contact_sheet(designer.problem, designs, folder / f"{name}.png")
    print(f"\nWritten to {folder / name}.md, .json and .png")
    return rows[0]


if __name__ == "__main__":
    main(Options, evaluate)
