"""What exported models weigh, how fast they are, and how near they come to torch.

python -m benchmarks.export
python -m benchmarks.export --models runs/train_generator/rooms runs/pcgrl/demo
python -m benchmarks.export --families tile_lm --designers --levels 64

Networks are those of the default configurations, trained for some steps: what a level costs does not depend on what was
learned, but for where a family stops early. All of it runs on one thread. Sizes of torch are those of the saved
weights. A time is the median of some batches by torch, onnx and int8 in turns, after one that is not counted; to be
taken on a machine that does nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import methodcaller
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import tyro
from numpy.typing import NDArray

import envs
from agents.designer import PolicyDesigner
from agents.exported import load_exported_designer
from agents.interface import Interface
from agents.networks import DesignerNetwork, NetworkConfig
from envs import UserError
from envs.files import write_atomically
from envs.vector_env import DesignVectorEnv
from experiments.evaluate import designer_folder, holds_designer
from experiments.export import (
    TOLERANCE,
    Export,
    designer_subject,
    export_subject,
    generator_subject,
    take_times,
    write_export,
)
from generators.corpus import corpus_of_levels
from generators.exported import load_exported
from generators.generator import FitOptions, Generator
from generators.neural import NeuralGenerator
from generators.saving import WEIGHTS_FILE
from generators.suite import all_families, load_generator, make_generator

ENGINES = ("torch", "onnx", "int8")

#: Makes so many levels.
Make = Callable[[int], NDArray[np.uint8]]


@dataclass
class Options:
    """Measure exported models.

    Attributes:
        problem: whose levels.
        shape: of the levels; by default the problem's.
        families: which families of generators; by default all with a network.
        designers: designers of which representations; by default all that need no generator.
        models: folders of trained generators and designers, to be measured instead.
        steps: how long generators are trained.
        levels: how many are made at a time, beside one alone.
        repeats: how often a time is taken.
        out: a file for the table.
    """

    problem: str = "sokoban"
    shape: tuple[int, ...] | None = None
    families: tuple[str, ...] | None = None
    designers: tuple[str, ...] | None = None
    models: tuple[Path, ...] = ()
    steps: int = 100
    levels: int = 64
    repeats: int = 5
    out: Path | None = None


def models_of(options: Options) -> Iterator[tuple[str, Generator | PolicyDesigner]]:
    """Yields what is measured, with its name, each made when its turn comes."""
    for folder in options.models:
        if holds_designer(folder):
            yield folder.name, PolicyDesigner.from_pretrained(designer_folder(folder))
        else:
            yield folder.name, load_generator(folder)
    if options.models:
        return
    neural = [name for name, kind in all_families().items() if issubclass(kind, NeuralGenerator)]
    shape = options.shape or envs.get_problem(options.problem).default_shape
    corpus = corpus_of_levels(options.problem, envs.construct(options.problem, 500, seed=1, shape=shape))
    for name in neural if options.families is None else options.families:
        generator = make_generator(name, corpus)
        generator.fit(corpus, FitOptions(minutes=0, steps=options.steps, batch=32, patience=0))
        yield name, generator
    free = [name for name, form in envs.all_representations().items() if not form.needs]
    for name in free if options.designers is None else options.designers:
        torch.manual_seed(0)
        known: dict[str, Any] = {"problem": options.problem, "representation": name, "shape": list(shape)}
        network = DesignerNetwork(Interface.of(DesignVectorEnv(**known)), NetworkConfig())
        yield f"{name} designer", PolicyDesigner(network, known)


def makers(model: Generator | PolicyDesigner, folder: Path) -> tuple[Export, dict[str, Make]]:
    """Exports a model to a folder; returns what came of it, and what makes its levels by torch, onnx and int8."""
    load: Callable[[Path], Any]
    if isinstance(model, PolicyDesigner):
        subject, load = designer_subject(model), load_exported_designer
    else:
        subject, load = generator_subject(model), load_exported
    inner = {name: export_subject(part, repeats=1) for name, part in subject.inner.items()}
    export = export_subject(subject, int8=True, repeats=1)
    made: dict[str, Make] = {"torch": partial(make, model)}
    for engine in ENGINES[1:]:
        (folder / engine).mkdir()
        write_export(folder / engine, subject, {"": export, **inner}, engine == "int8")
        made[engine] = partial(make, load(folder / engine))
    return export, made


def make(model: Any, n: int) -> NDArray[np.uint8]:
    """Makes so many levels, for equal numbers the same."""
    return model.design(count=n, seed=1).levels if hasattr(model, "design") else model.sample(n, seed=1)


def measure(name: str, model: Generator | PolicyDesigner, options: Options) -> str:
    """Returns a model's line of the table."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        model.save_pretrained(folder / "torch", "")
        export, made = makers(model, folder)
        total = export.rows[-1]
        assert total.int8_size is not None
        sizes = [(folder / "torch" / WEIGHTS_FILE).stat().st_size, total.size, total.int8_size]
        cells = [name, *(f"{size / 1024:,.0f}" for size in sizes)]
        for n in (options.levels, 1):
            times = take_times(made, methodcaller("__call__", n), n, options.repeats)
            cells += [f"{times[engine]:.3g}" for engine in ENGINES]
        levels = {engine: one(options.levels) for engine, one in made.items()}
        cells += [f"{total.difference:.0e}", f"{total.int8_difference:.0e}"]
        for engine in ENGINES[1:]:
            equal = (levels[engine] == levels["torch"]).reshape(options.levels, -1).all(axis=1)
            cells.append(f"{100 * equal.mean():.0f}")
    return "| " + " | ".join(cells) + " |"


def run(options: Options) -> None:
    """Prints a table in Markdown, a line as soon as it is measured."""
    torch.set_num_threads(1)
    heads = ["model", *(f"{engine} KiB" for engine in ENGINES)]
    heads += [f"{engine} ms, {n}" for n in (options.levels, 1) for engine in ENGINES]
    heads += ["difference", "int8 difference", "equal, %", "int8 equal, %"]
    lines = ["| " + " | ".join(heads) + " |", "| --- |" + " --: |" * (len(heads) - 1)]
    print("\n".join(lines), flush=True)
    for name, model in models_of(options):
        lines.append(measure(name, model, options))
        print(lines[-1], flush=True)
    notes = (
        f"\nMilliseconds for a level, on one thread, of {options.levels} made at once and of one alone. Differences "
        f"are the greatest of all graphs, measured by the greater of 1 and the number itself; {TOLERANCE:g} may be. "
        f"Equal: levels that are torch's at equal seeds, of {options.levels}."
    )
    print(notes)
    if options.out is not None:
        write_atomically(options.out, "\n".join([*lines, notes, ""]).encode())


if __name__ == "__main__":
    try:
        run(tyro.cli(Options, description=__doc__))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
