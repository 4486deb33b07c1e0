"""Exported generators: sampled by onnxruntime, without torch.

A folder that `experiments.export` wrote holds `config.json`, a model in the ONNX format for each graph, and `card.md`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from envs import UserError
from envs.counts import CountRule
from envs.errors import unknown_name
from envs.records import read_config
from generators.options import check_threads, options_of
from generators.runtime import OnnxNetworks
from generators.sampler import LatentSampler, Sampler
from generators.samplers import all_samplers
from generators.sampling import LevelSource, Request
from generators.spec import LevelSpec

#: The file of an exported model that describes it, what it calls itself there, and the ending of its graphs.
CONFIG_FILE, KIND, ENDING = "config.json", "exported generator", ".onnx"

#: What an exported generator is made from; all else that its configuration says are facts.
_OWN = ("kind", "family", "title", "spec", "settings", "chunk", "keeps_fixed_tiles", "holds_counts", "graphs")

#: Sizes that a model is described by are at most this.
_MOST = 2**20


class ExportedGenerator(LevelSource):
    """A generator without its training; it samples what the generator that it was exported from samples.

    Args:
        description: what its configuration says.
        networks: what runs its graphs.

    Attributes:
        facts: what else the configuration says: corpus, training, scores; plain data.

    Raises:
        UserError: the description cannot be used.
    """

    def __init__(self, description: Mapping[str, Any], networks: OnnxNetworks) -> None:
        self.name = str(description["family"])
        if self.name not in all_samplers():
            raise unknown_name("family of generators", self.name, all_samplers())
        kind = all_samplers()[self.name]
        self.title = str(description["title"])
        self.Sampling = kind.Sampling
        self.chunk = int(description["chunk"])
        self.keeps_fixed_tiles = description["keeps_fixed_tiles"]
        if self.keeps_fixed_tiles not in ("construction", "resampling") or not 1 <= self.chunk <= _MOST:
            raise ValueError("no way to keep fixed tiles, or no number of levels to sample at a time")
        self.holds_counts = description["holds_counts"]
        if not isinstance(self.holds_counts, bool):
            raise ValueError("holds_counts is neither true nor false")
        self.spec = LevelSpec.parse(description["spec"])
        settings: Any = options_of(kind.Settings, description["settings"], f"setting of {self.name}")
        self._sampler: Sampler = kind(self.spec, settings, networks)
        self.facts = {key: value for key, value in description.items() if key not in _OWN}
        self.sampling_options()

    def keeping(self, counts: Sequence[CountRule]) -> Self:
        """Returns what samples with further count rules; see `LevelSource.keeping`."""
        copied = super().keeping(counts)
        copied._sampler = type(self._sampler)(copied.spec, self._sampler.settings, self._sampler.networks)
        return copied

    def draw(self, request: Request, sampling: Any) -> NDArray[np.uint8]:
        """Samples at most `chunk` levels; see `LevelSource.draw`."""
        return self._sampler.draw(request, sampling)

    def latent_sampler(self) -> LatentSampler | None:
        """Returns what makes levels of latents; see `LevelSource.latent_sampler`."""
        return self._sampler if isinstance(self._sampler, LatentSampler) else None


def load_exported(folder: Path | str, threads: int = 1) -> ExportedGenerator:
    """Loads a generator that `experiments.export` wrote. It needs onnxruntime and no torch; nothing is executed.

    Args:
        folder: the folder.
        threads: how many of the machine's processors it may use.

    Raises:
        UserError: a file is missing, damaged, or does not fit the others or the problem; or onnxruntime is missing.
    """
    place = Path(folder)
    config = read_exported(place, KIND)
    check_threads(threads)
    networks = OnnxNetworks(read_graphs(place, config), threads)
    path = place / CONFIG_FILE
    try:
        check_sizes(config.get("settings"))
        return ExportedGenerator(config, networks)
    except UserError as error:
        raise UserError(f"{path} cannot be used: {str(error).rstrip('.')}; export the model again.") from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise UserError(f"{path} is damaged ({type(error).__name__}: {error}); export the model again.") from error


def read_exported(folder: Path, kind: str) -> dict[str, Any]:
    """Reads the configuration of an exported model.

    Raises:
        UserError: it is missing or damaged, or of another kind.
    """
    config = read_config(folder / CONFIG_FILE)
    if config.get("kind") != kind:
        raise UserError(
            f"{folder / CONFIG_FILE} does not describe an {kind}: give a folder that experiments.export wrote, of "
            f"{'a designer' if kind.endswith('designer') else 'a generator'}."
        )
    return config


def read_graphs(folder: Path, config: Mapping[str, Any]) -> dict[str, bytes]:
    """Reads the graphs of an exported model, by name, each as it was written.

    Raises:
        UserError: one is missing, or another than the configuration says.
    """
    graphs = config.get("graphs")
    if not isinstance(graphs, dict) or not graphs or not all(name.isidentifier() for name in graphs):
        raise UserError(f"{folder / CONFIG_FILE} is damaged: it names no graphs; export the model again.")
    found = {}
    for name, digest in graphs.items():
        path = folder / f"{name}{ENDING}"
        try:
            found[name] = path.read_bytes()
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}; export the model again.") from error
        if digest_of(found[name]) != digest:
            raise UserError(f"{path} is damaged, or of another model than {CONFIG_FILE} says; export the model again.")
    return found


def digest_of(model: bytes) -> str:
    """Returns what tells models apart, as configurations keep it."""
    return hashlib.sha256(model).hexdigest()


def check_sizes(settings: Any) -> None:
    """Raises ValueError where a number of a model's settings can be none of any model."""
    entries = [settings]
    while entries:
        entry = entries.pop()
        if isinstance(entry, dict):
            entries += entry.values()
        elif isinstance(entry, list):
            entries += entry
        elif isinstance(entry, (int, float)) and not -1 <= entry <= _MOST:
            raise ValueError(f"a setting of {entry}")
