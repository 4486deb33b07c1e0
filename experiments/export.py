"""Export a trained generator or designer to run without torch, checked against torch and measured."""

from __future__ import annotations

import copy
import dataclasses
import json
import shutil
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from torch import nn

from agents.designer import PolicyDesigner
from agents.exported import KIND as DESIGNER_KIND
from envs import UserError
from experiments.evaluate import designer_folder, holds_designer
from experiments.run import main, make_folder, versions, write_json
from generators.exported import CONFIG_FILE, ENDING, digest_of
from generators.exported import KIND as GENERATOR_KIND
from generators.exporting import (
    Recorded,
    check_exporter,
    count_rounded,
    differences,
    most_levels,
    onnx_model,
    quantised,
)
from generators.generator import Generator
from generators.graphs import Graph, TorchNetworks
from generators.integers import to_floats
from generators.neural import NeuralGenerator
from generators.runtime import OnnxNetworks
from generators.sampler import LatentSampler, Networks
from generators.saving import CARD_FILE
from generators.storage import STORAGE
from generators.suite import GENERATOR_FOLDER, all_families, load_generator

#: A graph's numbers may differ from torch's by this, measured by the greater of 1 and the number itself.
TOLERANCE = 1e-4

#: Of so many levels one may differ: where a draw falls within the last digits of a number, either tile is right.
_ONE_IN = 32

#: By the format's name what writes a graph in it.
FORMATS = {"onnx": onnx_model}

Engine = TypeVar("Engine")

#: The table that is left, and the share of the cells that are fixed in half of the levels that are compared.
_TABLE, _FIXED_SHARE = "export", 0.3


@dataclass
class Options:
    """Export a trained generator or designer to run without torch, checked against torch and measured.

    Attributes:
        source: the folder of a run of experiments.train_generator, finetune, compress or pcgrl, or of a saved model.
        to: the format: onnx, which onnxruntime runs.
        int8: whether matrices, and what they are multiplied by, are whole numbers of eight bits.
        levels: how many levels are made by torch and by what was exported, compared and timed.
        repeats: how often each time is taken, of which the median counts.
        seed: fixes the levels that are compared.
        name: the folder's name under OUT/export; by default the source's.
        out: where the folder goes.
        overwrite: take the place of a folder that was exported before.
    """

    source: Annotated[Path, tyro.conf.Positional]
    to: Literal["onnx"] = "onnx"
    int8: bool = False
    levels: int = 32
    repeats: int = 5
    seed: int = 0
    name: str = ""
    out: Path = Path("runs")
    overwrite: bool = False

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        for name, least in (("levels", 2), ("repeats", 1)):
            if getattr(self, name) < least:
                raise UserError(f"--{name} must be at least {least}; got {getattr(self, name)}.")


@dataclass(frozen=True)
class Subject:
    """What is exported.

    Attributes:
        title: what messages call it.
        network: whose graphs they are.
        graphs: by name.
        levels: makes the levels that are compared, uint8 (n, *shape), with whatever runs the graphs.
        description: what config.json says beside the graphs.
        card: the text of the model's card.
        inner: what decodes within its environment, by the name of its folder.
    """

    title: str
    network: nn.Module
    graphs: Mapping[str, Graph]
    levels: Callable[[Networks], NDArray[np.uint8]]
    description: Mapping[str, Any]
    card: str
    inner: Mapping[str, Subject] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        graph: its name, or "a level" for all that making a level takes.
        size: of the model, in bytes.
        difference: the greatest from torch, see `generators.exporting.difference`.
        milliseconds: for a level, of one thread, by what runs it: torch, onnx, and int8 where whole numbers of eight
            bits were asked for; of a graph for each time that it is called.
        int8_size: the model's size with these; None where they were not asked for.
        int8_difference: its greatest difference from torch.
        rounded: the share of the model's numbers that take eight bits.
    """

    graph: str
    size: int
    difference: float
    milliseconds: dict[str, float]
    int8_size: int | None = None
    int8_difference: float | None = None
    rounded: float | None = None

    def with_int8(self, size: int, difference: float, counts: Sequence[tuple[int, int]]) -> Row:
        """Returns the line with what eight bits make of it; see `generators.exporting.count_rounded`."""
        whole, numbers = (sum(column) for column in zip(*counts, strict=True))
        return dataclasses.replace(self, int8_size=size, int8_difference=difference, rounded=whole / max(1, numbers))


@dataclass(frozen=True)
class Export:
    """What came of an export.

    Attributes:
        format: what the models are written in, one of FORMATS.
        models: the graphs as models, by name.
        rows: a line for each graph, and a last one for a level.
        levels: how many were compared.
        equal: how many of them are equal to torch's.
        int8_models: the models with whole numbers of eight bits; none where these were not asked for.
        int8_equal: how many levels are equal to torch's with these.
    """

    format: str
    models: Mapping[str, bytes]
    rows: Sequence[Row]
    levels: int
    equal: int
    int8_models: Mapping[str, bytes] = field(default_factory=dict)
    int8_equal: int | None = None

    def facts(self) -> dict[str, Any]:
        """Returns how near it comes to torch, as config.json says it."""
        total = self.rows[-1]
        facts: dict[str, Any] = {
            "levels_compared": self.levels,
            "equal_levels": self.equal,
            "maximum_difference": total.difference,
        }
        if self.int8_models:
            facts |= {"int8_equal_levels": self.int8_equal, "int8_maximum_difference": total.int8_difference}
        return facts


def generator_subject(generator: Generator, levels: int = 32, seed: int = 0, card: str = "") -> Subject:
    """Returns a generator as what is exported.

    Its network computes as float32 from then on; eight-bit weights stay rounded.

    Args:
        generator: the generator.
        levels: how many are compared: the first half free, the others around fixed tiles and with everything asked.
        seed: fixes them.
        card: the text of its card; by default what it knows of itself.

    Raises:
        UserError: it has no network.
    """
    if not isinstance(generator, NeuralGenerator):
        networked = [name for name, kind in all_families().items() if issubclass(kind, NeuralGenerator)]
        raise UserError(
            f"{generator.title} ({generator.name}) has no network to export; export one of {', '.join(networked)}."
        )
    to_floats(generator.network)
    spec = generator.spec
    random = np.random.default_rng(seed)
    number = max(2, levels // 2)
    like = generator.sample(number, seed)
    fixed = np.where(random.random(like.shape) < _FIXED_SHARE, like.astype(np.int64), -1)
    asked: dict[str, Any] = {one.name: random.uniform(one.low, one.high, number) for one in spec.conditions}
    if spec.labels:
        asked["label"] = random.integers(0, len(spec.labels), number)
    held = fixed if generator.keeps_fixed_tiles == "construction" else None
    requests = [generator.request(number, seed), generator.request(number, seed + 1, asked, held)]

    def make(networks: Networks) -> NDArray[np.uint8]:
        sampler = generator.Sampler(spec, generator.settings(), networks)
        found = [sampler.draw(request, generator.sampling_options()) for request in requests]
        if isinstance(sampler, LatentSampler):
            found.append(sampler.level_of(requests[0].draws().normals(sampler.latents), None))
        return np.concatenate(found)

    description = {
        "kind": GENERATOR_KIND,
        "family": generator.name,
        "title": generator.title,
        "spec": spec.plain(),
        "settings": dataclasses.asdict(generator.settings()),
        "chunk": generator.chunk,
        "keeps_fixed_tiles": generator.keeps_fixed_tiles,
        "holds_counts": generator.holds_counts,
        "parameters": generator.parameters(),
        **{name: fact for name, fact in generator.facts.items() if name != STORAGE},
    }
    generator.network.eval()
    title = f"{generator.title} for {spec.problem}"
    return Subject(title, generator.network, generator.graphs(), make, description, card or generator.card())


def designer_subject(designer: PolicyDesigner, levels: int = 32, seed: int = 0, card: str = "") -> Subject:
    """Returns a designer as what is exported; see `generator_subject`."""
    to_floats(designer.network)
    inner = {}
    if designer.generator is not None:
        inner[GENERATOR_FOLDER] = generator_subject(designer.generator.unpack(), levels, seed)

    def make(networks: Networks) -> NDArray[np.uint8]:
        other = copy.copy(designer)
        other.networks = networks
        return other.design(count=levels, seed=seed).levels

    description = {
        "kind": DESIGNER_KIND,
        "environment": designer.env_options,
        "parts": list(designer.parts),
        "action": dataclasses.asdict(designer.code),
        **{name: fact for name, fact in designer.facts.items() if name != STORAGE},
    }
    graphs = {"act": designer.network.graph(designer.parts)}
    return Subject(
        f"the {designer.name} for {designer.problem.name}", designer.network, graphs, make, description, card, inner
    )


def export_subject(
    subject: Subject,
    int8: bool = False,
    repeats: int = 5,
    tell: Callable[[str], None] = lambda _: None,
    to: str = "onnx",
) -> Export:
    """Exports graphs and compares them with torch's, on the numbers that come up where levels are made.

    Args:
        subject: what is exported.
        int8: whether models with whole numbers of eight bits are made too, and compared; they may differ.
        repeats: how often times are taken.
        tell: is told what is done.
        to: the format, one of FORMATS.

    Raises:
        UserError: what was exported disagrees with torch, or a library is missing.
    """
    check_exporter()
    ours = TorchNetworks(subject.network, subject.graphs)
    recorded = Recorded(ours)
    expected = subject.levels(recorded)
    calls = recorded.calls
    models = {}
    for name in calls.made:
        tell(f"exporting {name}")
        models[name] = FORMATS[to](subject.network, subject.graphs[name], most_levels(calls, name))
    tell("comparing with torch")
    theirs = OnnxNetworks(models)
    apart = differences(theirs, calls)
    worst = max(apart, key=lambda name: apart[name])
    equal = _equal(subject.levels(theirs), expected)
    if apart[worst] > TOLERANCE:
        raise UserError(
            f"What was exported of {subject.title} disagrees with torch: its graph {worst} by {apart[worst]:.2g}, "
            f"where {TOLERANCE:g} is allowed; nothing was written."
        )
    if len(expected) - equal > max(1, len(expected) // _ONE_IN):
        raise UserError(
            f"What was exported of {subject.title} disagrees with torch: only {equal} of {len(expected)} levels are "
            "equal at equal seeds; nothing was written."
        )
    engines: dict[str, Networks] = {"torch": ours, "onnx": theirs}
    small: dict[str, bytes] = {}
    small_apart, small_equal = {}, None
    if int8:
        tell("rounding to eight bits")
        small = {name: quantised(model) for name, model in models.items()}
        engines["int8"] = OnnxNetworks(small)
        small_apart, small_equal = (
            differences(engines["int8"], calls),
            _equal(subject.levels(engines["int8"]), expected),
        )
    tell("taking times")
    counts = {name: count_rounded(models[name], model) for name, model in small.items()}
    rows = []
    for name, model in models.items():
        inputs = most_levels(calls, name)
        number = max(len(part) for part in inputs if part.ndim)
        row = Row(name, len(model), apart[name], take_times(engines, partial(_call, name, inputs), number, repeats))
        if int8:
            row = row.with_int8(len(small[name]), small_apart[name], [counts[name]])
        rows.append(row)
    times = take_times(engines, subject.levels, len(expected), repeats)
    total = Row("a level", sum(map(len, models.values())), max(apart.values()), times)
    if int8:
        total = total.with_int8(sum(map(len, small.values())), max(small_apart.values()), list(counts.values()))
    return Export(to, models, [*rows, total], len(expected), equal, small, small_equal)


def _equal(found: NDArray[np.uint8], expected: NDArray[np.uint8]) -> int:
    return int((found == expected).reshape(len(expected), -1).all(axis=1).sum())


def _call(graph: str, inputs: tuple[NDArray, ...], engine: Networks) -> Any:
    return engine(graph, *inputs)


def take_times(
    engines: Mapping[str, Engine], action: Callable[[Engine], Any], number: int, repeats: int
) -> dict[str, float]:
    """Returns how many milliseconds engines take for a level, by their names.

    They take turns, on one thread of torch, after a first time that is not counted.

    Args:
        engines: what is timed, by name.
        action: what each does.
        number: how many levels that makes.
        repeats: how often it is done, of which the median counts.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        taken: dict[str, list[float]] = {name: [] for name in engines}
        for repeat in range(repeats + 1):
            for name, engine in engines.items():
                began = time.perf_counter()
                action(engine)
                if repeat:
                    taken[name].append(1000 * (time.perf_counter() - began) / number)
    finally:
        torch.set_num_threads(before)
    return {name: statistics.median(one) for name, one in taken.items()}


def describe(export: Export) -> str:
    """Returns the table of an export in Markdown."""
    int8 = bool(export.int8_models)
    headings = ["graph", "onnx KiB", "maximum difference", "torch ms", "onnx ms"]
    headings += ["int8 ms", "int8 KiB", "int8 difference", "in eight bits"] if int8 else []
    lines = ["| " + " | ".join(headings) + " |", "| --- |" + " ---: |" * (len(headings) - 1)]
    for row in export.rows:
        cells = [row.graph, f"{row.size / 1024:,.1f}", f"{row.difference:.1e}"]
        cells += [f"{taken:.4g}" for taken in row.milliseconds.values()]
        if row.int8_size is not None and row.rounded is not None:
            cells += [f"{row.int8_size / 1024:,.1f}", f"{row.int8_difference:.1e}", f"{100 * row.rounded:.0f} %"]
        lines.append("| " + " | ".join(cells) + " |")
    notes = [
        f"{export.equal} of {export.levels} levels are equal to torch's at equal seeds. Milliseconds are for a level, "
        "made with others, on one thread: medians; those of a graph are for one call of it, those of a level for all "
        "that making it takes. Differences are measured by the greater of 1 and the number itself."
    ]
    if int8:
        notes.append(
            f"In eight bits {export.int8_equal} of {export.levels} levels are equal. Matrices take eight bits, and so "
            "does what they are multiplied by, rounded anew in each call by its range: a level's last digits then "
            "depend on the levels that are made with it. Convolutions, cells of a GRU, biases and tables of vectors "
            "stay as they are."
        )
    return "\n\n".join(["\n".join(lines), *notes]) + "\n"


def write_export(folder: Path, subject: Subject, exports: Mapping[str, Export], int8: bool = False) -> None:
    """Writes an exported model, and what is within it, to a folder.

    Args:
        folder: it exists.
        subject: what was exported.
        exports: what came of it, under "", and of what is within it by the name of its folder.
        int8: whether the models with whole numbers of eight bits are written.
    """
    export = exports[""]
    models = export.int8_models if int8 else export.models
    for name, model in models.items():
        (folder / f"{name}{ENDING}").write_bytes(model)
    graphs = {name: digest_of(model) for name, model in models.items()}
    made_by = {**versions(), **{library: version(library) for library in ("onnx", "onnxruntime")}}
    made = {"format": export.format, "int8": int8, **export.facts(), "versions": made_by}
    config = {**subject.description, "graphs": graphs, "export": made}
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n")
    table = describe(export)
    card = f"{subject.card.rstrip()}\n\n## Export\n\nRun by onnxruntime, without torch.\n\n{table}"
    (folder / CARD_FILE).write_text(card)
    (folder / f"{_TABLE}.md").write_text(f"# {subject.title[0].upper()}{subject.title[1:]}, exported\n\n{table}")
    write_json(folder / f"{_TABLE}.json", {**export.facts(), "rows": [dataclasses.asdict(row) for row in export.rows]})
    for name, inner in subject.inner.items():
        (folder / name).mkdir()
        write_export(folder / name, inner, {"": exports[name]})


def export(options: Options) -> None:
    """Runs the experiment."""
    options.check()
    check_exporter()
    source = options.source
    if holds_designer(source):
        place = designer_folder(source)
        subject = designer_subject(
            PolicyDesigner.from_pretrained(place), options.levels, options.seed, _card(place) or "# A designer"
        )
    else:
        generator = load_generator(source)
        inside = source / GENERATOR_FOLDER
        card = _card(inside if (inside / CONFIG_FILE).exists() else source)
        subject = generator_subject(generator, options.levels, options.seed, card)
    folder = _target(options)

    def tell(what: str) -> None:
        print(f"{what} …", flush=True)

    print(f"Exporting {subject.title}: {folder}")
    # What decodes for a designer stays as it is: with rounded numbers a level would depend on those beside it.
    exports = {
        name: export_subject(inner, False, options.repeats, tell, options.to) for name, inner in subject.inner.items()
    }
    exports[""] = export_subject(subject, options.int8, options.repeats, tell, options.to)
    _replace(folder, lambda fresh: write_export(fresh, subject, exports, options.int8))
    for name, found in reversed(exports.items()):
        print(f"\n{f'Within it, {name}:' if name else ''}\n{describe(found)}")
    load = "agents.exported.load_exported_designer" if subject.description["kind"] == DESIGNER_KIND else ""
    print(f"Written to {folder}\nUse        {load or 'generators.exported.load_exported'}({str(folder)!r})")


def _card(folder: Path) -> str:
    """Returns the text of a saved model's card, or nothing."""
    try:
        return (folder / CARD_FILE).read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def _target(options: Options) -> Path:
    """Returns where the folder goes.

    Raises:
        UserError: there is one already, or something else.
    """
    source = options.source.resolve()
    name = options.name or (source.parent.name if source.name in (GENERATOR_FOLDER, "designer") else source.name)
    folder = options.out / "export" / name
    if source.is_relative_to(folder.resolve()):
        raise UserError(f"{options.source} lies in {folder}, where the export would be: give another --name.")
    if folder.exists():
        if not (folder / f"{_TABLE}.json").exists():
            raise UserError(f"{folder} is there and holds no export: give another --name.")
        if not options.overwrite:
            raise UserError(f"{folder} holds an export already: add --overwrite, or give another --name.")
    make_folder(folder.parent)
    return folder


def _replace(folder: Path, write: Callable[[Path], None]) -> None:
    """Writes a folder whole or not at all.

    Raises:
        UserError: it cannot be written; one that was there stays.
    """
    try:
        fresh = Path(mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            write(fresh)
            fresh.chmod(0o755)
            with TemporaryDirectory(dir=folder.parent) as aside:
                if folder.exists():
                    folder.rename(Path(aside) / "before")
                fresh.rename(folder)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}; choose another with --out.") from error


if __name__ == "__main__":
    main(Options, export)
