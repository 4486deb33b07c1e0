"""Which families of generators there are, and how a saved one is loaded."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import generators.families
from envs import UserError
from envs.discovery import discover
from envs.errors import unknown_name
from envs.records import read_config
from generators.corpus import Corpus
from generators.generator import KIND, Generator, load_arrays_of
from generators.integers import to_integers
from generators.neural import NeuralGenerator
from generators.options import options_of
from generators.saving import CONFIG_FILE, WEIGHTS_FILE
from generators.spec import LevelSpec
from generators.storage import INT8, STORAGE, unpack

#: Where the folder of a run keeps the generator.
GENERATOR_FOLDER = "generator"


@cache
def all_families() -> dict[str, type[Generator]]:
    """Returns every family's class by its name."""
    return discover(generators.families, type, "FAMILY")


def get_family(name: str) -> type[Generator]:
    """Returns a family's class by its name.

    Raises:
        UserError: there is no family of that name.
    """
    if name not in all_families():
        raise unknown_name("family of generators", name, all_families())
    return all_families()[name]


def make_generator(family: str, corpus: Corpus, metrics: tuple[str, ...] | None = None, **config: Any) -> Generator:
    """Makes an untrained generator for the levels of a corpus.

    Args:
        family: its name.
        corpus: what it will be fitted to.
        metrics: the metrics that it can be asked for by; None takes all that differ among the training levels.
        **config: fields of the family's `Config`.

    Raises:
        UserError: there is no such family, metric or field, or a value cannot be used.
    """
    kind = get_family(family)
    spec = LevelSpec.of(corpus, metrics if kind.conditional else ())
    if not kind.conditional:
        if metrics:
            raise UserError(
                f"{kind.title} cannot be asked for levels by their metrics; {', '.join(metrics)} was given."
            )
        spec = replace(spec, labels=())
    return kind(spec, options_of(kind.Config, config, f"option of {family}"))


def load_generator(folder: Path | str) -> Generator:
    """Loads a generator that `Generator.save_pretrained` saved. Nothing in the folder is executed.

    Raises:
        UserError: a file is missing, damaged, or does not fit the others or the problem.
    """
    place = Path(folder)
    if (place / GENERATOR_FOLDER / WEIGHTS_FILE).exists():
        # The folder of a run, which holds the generator.
        place = place / GENERATOR_FOLDER
    path = place / CONFIG_FILE
    config = read_config(path)
    if config.get("kind") != KIND:
        raise UserError(f"{path} does not describe a generator; give the folder of a saved generator.")
    try:
        kind = get_family(config["family"])
        spec = LevelSpec.parse(config["spec"])
        options: Any = options_of(kind.Config, config["config"], f"option of {kind.name}")
    except UserError as error:
        raise UserError(f"{path} cannot be used: {str(error).rstrip('.')}; train the generator again.") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged ({type(error).__name__}: {error}); train the generator again.") from error
    weights = place / WEIGHTS_FILE
    arrays = load_arrays_of(weights)
    try:
        arrays = unpack(arrays)
        kind.check_size(spec, options, sum(array.size for array in arrays.values()))
        generator = kind(spec, options)
        generator.restore(arrays)
        if config.get(STORAGE) == INT8 and isinstance(generator, NeuralGenerator):
            to_integers(generator.network)
    except UserError as error:
        raise UserError(f"{path} cannot be used: {str(error).rstrip('.')}; train the generator again.") from error
    except (RuntimeError, KeyError, ValueError, IndexError, TypeError, MemoryError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{weights} is damaged or of another model than config.json says ({reason}); save the generator again."
        ) from error
    generator.facts = {key: value for key, value in config.items() if key not in ("kind", "family", "spec", "config")}
    try:
        generator.sampling_options()
    except UserError as error:
        raise UserError(f"{path} cannot be used: {str(error).rstrip('.')}; train the generator again.") from error
    except TypeError as error:
        raise UserError(f"{path} is damaged ({error}); train the generator again.") from error
    return generator
