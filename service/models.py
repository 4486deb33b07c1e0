"""What is served: generators and designers by their names, read from folders, and loaded when they are first used."""

from __future__ import annotations

import importlib.util
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import agents
import generators
from agents.builders import Builder, ClimberBuilder, Interval, PolicyBuilder, steered_by
from agents.episodes import NetworkDesigner
from agents.exported import GENERATOR_FOLDER, load_exported_designer
from agents.exported import KIND as EXPORTED_DESIGNER
from envs import Problem, UserError, all_problems, get_problem
from envs.problem import Shape
from envs.records import read_config
from envs.vector_env import DesignVectorEnv
from generators.exported import KIND as EXPORTED_GENERATOR
from generators.exported import load_exported
from generators.spec import LevelSpec
from service.answers import Engine
from service.refusals import Refusal
from service.sources import Constructive, Learned, Source, fitted

logger = logging.getLogger(__name__)

Thing = TypeVar("Thing")

#: Where the trained models that come with the project are, one folder each.
BUNDLED_GENERATORS = Path(generators.__path__[0]) / "pretrained"
BUNDLED_DESIGNERS = Path(agents.__path__[0]) / "pretrained"

#: The problem whose models come first, for the page opens with what comes first.
_SHOWN_FIRST = "zelda"

_CONFIG, _CARD, _WEIGHTS = "config.json", "card.md", "model.safetensors"

#: What the configurations of models call themselves; those of runs say something else.
_KINDS = ("generator", EXPORTED_GENERATOR, "designer", EXPORTED_DESIGNER)

#: The folder within a saved model's that holds the same model exported.
_EXPORTED = "onnx"

#: How many constructed levels a baseline learns from.
_LEARNED_FROM = 200


@dataclass
class Lazy(Generic[Thing]):
    """Something that is loaded when it is first asked for, once."""

    load: Callable[[], Thing]
    _loaded: Thing | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def loaded(self) -> bool:
        """Whether it is in memory."""
        return self._loaded is not None

    def get(self) -> Thing:
        """Returns it; this may take seconds the first time.

        Raises:
            Refusal: it cannot be loaded.
        """
        with self._lock:
            if self._loaded is None:
                try:
                    self._loaded = self.load()
                except UserError as error:
                    # What it says is for who runs the service: where a file lies, what to do about it.
                    logger.error("A model cannot be loaded: %s", error)
                    raise Refusal(500, "This model cannot be loaded; the log of the service says why.") from error
            return self._loaded


@dataclass(frozen=True)
class Condition:
    """A metric that a generator can be asked for, with its least and greatest training value."""

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class GeneratorRecord:
    """A generator, described without being loaded.

    Attributes:
        name: what clients call it.
        title: what people call it.
        family: of generators.
        problem: whose levels it samples.
        shape: of its levels.
        conditions: what it can be asked for.
        engine: what it runs on.
        parameters: how many numbers it has learned.
        card: Markdown.
        source: it, once loaded.
    """

    name: str
    title: str
    family: str
    problem: Problem
    shape: Shape
    conditions: tuple[Condition, ...]
    engine: Engine
    parameters: int
    card: str
    source: Lazy[Source]


#: Makes a designer ready to work by the targets that it is asked for.
MakeBuilder = Callable[[dict[str, Interval]], Builder]


@dataclass(frozen=True)
class DesignerRecord:
    """A designer, described without being loaded.

    Attributes:
        name: what clients call it.
        title: what people call it.
        problem: what it designs for.
        representation: how it edits.
        shape: of the levels that it knows; None for any.
        targets: the metrics that it can be asked for.
        steps: the most steps of an episode; 0 where that is not known before it is loaded.
        engine: what it runs on.
        card: Markdown.
        maker: what makes it ready to work, once loaded.
    """

    name: str
    title: str
    problem: Problem
    representation: str
    shape: Shape
    targets: tuple[str, ...]
    steps: int
    engine: Engine
    card: str
    maker: Lazy[MakeBuilder]


@dataclass
class Catalogue:
    """All that is served, by name.

    Attributes:
        generators: by name; of those of one problem the first is what the page takes.
        designers: likewise.
    """

    generators: dict[str, GeneratorRecord] = field(default_factory=dict)
    designers: dict[str, DesignerRecord] = field(default_factory=dict)

    @classmethod
    def of(cls, folders: Iterable[Path] = (), engine: str = "onnx", bundled: bool = True) -> Catalogue:
        """Describes the models in folders, those that come with the project, and what needs no training.

        Args:
            folders: of runs, and of saved or exported models; they come first.
            engine: what runs a model that can be run by either.
            bundled: whether to serve what comes with the project.

        Raises:
            UserError: a folder holds no model that can be served.
        """
        catalogue = cls()
        for folder in folders:
            catalogue.add(folder, engine)
        if bundled:
            for home in (BUNDLED_GENERATORS, BUNDLED_DESIGNERS):
                folders = home.iterdir() if home.is_dir() else ()
                for folder in sorted(folders, key=lambda one: (not one.name.startswith(_SHOWN_FIRST), one.name)):
                    if (folder / _CONFIG).is_file():
                        catalogue._add_bundled(folder, engine)
        for problem in all_problems().values():
            catalogue._add_generator(_constructive(problem))
            catalogue._add_generator(_baseline(problem))
            catalogue._add_designer(_climber(problem))
        return catalogue

    def add(self, folder: Path, engine: str) -> None:
        """Describes the model in a folder.

        Raises:
            UserError: there is none that can be served.
        """
        place, config = _found(folder, engine)
        name = self._free_name(folder.resolve().name)
        if config["kind"] in ("generator", EXPORTED_GENERATOR):
            self._add_generator(_trained_generator(place, config, name))
        else:
            self._add_designer(_trained_designer(place, config, name))

    def _add_bundled(self, folder: Path, engine: str) -> None:
        """Describes a model that comes with the project, unless nothing can run it here."""
        try:
            self.add(folder, engine)
        except UserError as error:
            logger.warning("%s is not served: %s", folder.name, error)

    def _add_generator(self, record: GeneratorRecord) -> None:
        name = self._free_name(record.name)
        self.generators[name] = replace(record, name=name)

    def _add_designer(self, record: DesignerRecord) -> None:
        name = self._free_name(record.name)
        self.designers[name] = replace(record, name=name)

    def _free_name(self, wanted: str) -> str:
        """Returns a name that is not taken, the wanted one if it can be."""
        number, name = 2, wanted
        while name in self.generators or name in self.designers:
            name, number = f"{wanted}-{number}", number + 1
        return name

    @property
    def size(self) -> int:
        """How many models are served."""
        return len(self.generators) + len(self.designers)

    @property
    def loaded(self) -> int:
        """How many of these are in memory."""
        samplers = sum(record.source.loaded for record in self.generators.values())
        return samplers + sum(record.maker.loaded for record in self.designers.values())


def _found(folder: Path, engine: str) -> tuple[Path, dict[str, Any]]:
    """Returns the folder of the model that a folder, a run's perhaps, holds, and its configuration.

    Where it was exported into a folder within its own, the engine decides which of the two is taken.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}; give the folder of a run, or of a saved or exported model.")
    # The folder itself first: designers that move through latents hold a generator.
    for place in (folder, folder / "designer", folder / GENERATOR_FOLDER):
        if (place / _CONFIG).is_file() and read_config(place / _CONFIG).get("kind") in _KINDS:
            if engine == "onnx" and (place / _EXPORTED / _CONFIG).is_file():
                place = place / _EXPORTED  # noqa: PLW2901
            config = read_config(place / _CONFIG)
            if config.get("kind") in ("generator", "designer") and importlib.util.find_spec("torch") is None:
                raise UserError(
                    f"The model in {place} needs torch, which is not installed: python -m pip install "
                    "'tilewright[train]', or give a folder of the exported model."
                )
            return place, config
    raise UserError(
        f"{folder} holds no model, neither a generator nor a designer ({_CONFIG}); give the folder of a run, or of a "
        "saved or exported model."
    )


def _read_card(folder: Path) -> str:
    try:
        return (folder / _CARD).read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def _trained_generator(folder: Path, config: dict[str, Any], name: str) -> GeneratorRecord:
    """Describes a generator that was saved, which torch runs, or exported, which ONNX Runtime runs."""
    exported = config["kind"] == EXPORTED_GENERATOR
    try:
        spec = LevelSpec.parse(config["spec"])
        parameters = int(config.get("parameters", 0)) if exported else _numbers(folder / _WEIGHTS)
    except (UserError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{folder / _CONFIG} cannot be used: {str(error).rstrip('.')}; train it again.") from error

    def load() -> Source:
        if exported:
            return Learned(load_exported(folder))
        _prepare_torch()
        from generators.suite import load_generator  # noqa: PLC0415 (slow to import)

        return Learned(load_generator(folder))

    return GeneratorRecord(
        name=name,
        title=name,
        family=str(config.get("family", "")),
        problem=spec.task(),
        shape=spec.shape,
        conditions=tuple(Condition(one.name, one.low, one.high) for one in spec.conditions),
        engine="onnx" if exported else "torch",
        parameters=parameters,
        card=_read_card(folder),
        source=Lazy(load),
    )


def _prepare_torch() -> None:
    """Has torch compute in the thread that calls it alone.

    Raises:
        UserError: it cannot be imported.
    """
    try:
        import torch  # noqa: PLC0415 (slow to import)
    except ImportError as error:
        raise UserError(
            f"The model needs torch, which cannot be imported ({error}): python -m pip install 'tilewright[train]'."
        ) from error
    torch.set_num_threads(1)


def _numbers(path: Path) -> int:
    """Returns how many numbers a file of weights holds, by its head."""
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415

    try:
        with safe_open(path, "np") as opened:
            shapes = [opened.get_slice(key).get_shape() for key in opened.keys()]  # noqa: SIM118 (it is no mapping)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read ({error}); save the model again.") from error
    total = 0
    for shape in shapes:
        count = 1
        for size in shape:
            count *= size
        total += count
    return total


def _baseline(problem: Problem) -> GeneratorRecord:
    """Describes a Markov chain of a problem's constructed levels; it learns them when it is first asked."""
    return GeneratorRecord(
        name=f"{problem.name}-markov",
        title="Markov chain (learns in a moment)",
        family="markov",
        problem=problem,
        shape=problem.window or problem.default_shape,
        conditions=(),
        engine="numpy",
        parameters=0,
        card=f"# Markov chain for {problem.name}\n\nCounts which tiles stand beside which in {_LEARNED_FROM} levels of "
        "the constructive generator. A baseline: few of its levels can be won as they are.\n",
        source=Lazy(lambda: fitted(problem, _LEARNED_FROM)),
    )


def _constructive(problem: Problem) -> GeneratorRecord:
    """Describes a problem's constructive generator."""
    return GeneratorRecord(
        name=f"{problem.name}-constructive",
        title="Constructive generator (nothing learned)",
        family="constructive",
        problem=problem,
        shape=problem.default_shape,
        conditions=(),
        engine="numpy",
        parameters=0,
        card=f"# Constructive generator for {problem.name}\n\nA classical algorithm; the solver has won each level.\n",
        source=Lazy(lambda: Constructive(problem)),
    )


def _trained_designer(folder: Path, config: dict[str, Any], name: str) -> DesignerRecord:
    """Describes a designer that was saved, which torch runs, or exported, which ONNX Runtime runs."""
    exported = config["kind"] == EXPORTED_DESIGNER
    options = config.get("environment")
    if not isinstance(options, dict) or "problem" not in options or "representation" not in options:
        raise UserError(f"{folder / _CONFIG} is damaged: it does not say what environment the designer knows.")
    try:
        problem = get_problem(options["problem"])
        env = None if options["representation"] in ("latent", "sequence") else DesignVectorEnv(**options)
        targets = steered_by(options, problem.metrics)
        decoder = folder / GENERATOR_FOLDER / _CONFIG
        decoded = LevelSpec.parse(read_config(decoder)["spec"]).shape if decoder.is_file() else problem.default_shape
    except (UserError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder / _CONFIG} cannot be used: {str(error).rstrip('.')}; train it again.") from error

    def load() -> MakeBuilder:
        designer = load_exported_designer(folder) if exported else _torch_designer(folder)
        return lambda targets: PolicyBuilder(designer.twin(), name, targets=targets)

    return DesignerRecord(
        name=name,
        title=f"{options['representation']} designer (trained)",
        problem=problem,
        representation=options["representation"],
        shape=tuple(options.get("shape") or decoded),
        targets=targets,
        steps=env.most_steps if env is not None else 0,
        engine="onnx" if exported else "torch",
        card=_read_card(folder),
        maker=Lazy(load),
    )


def _torch_designer(folder: Path) -> NetworkDesigner:
    _prepare_torch()
    from agents.designer import PolicyDesigner  # noqa: PLC0415 (slow to import)

    return PolicyDesigner.from_pretrained(folder)


def _climber(problem: Problem) -> DesignerRecord:
    """Describes the hill climber."""
    return DesignerRecord(
        name=f"{problem.name}-hill-climber",
        title="hill climber (nothing learned)",
        problem=problem,
        representation="wide",
        shape=problem.default_shape,
        targets=tuple(metric.name for metric in problem.metrics),
        steps=DesignVectorEnv(problem, "wide").most_steps,
        engine="numpy",
        card="# Hill climber\n\nMakes the change of one tile that improves the level most, until none does.\n",
        maker=Lazy(lambda: lambda targets: ClimberBuilder(problem, targets=targets)),
    )
