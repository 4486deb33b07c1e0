"""Presets: settings that a search has found, as files that trainings start from. Reading one needs no Optuna.

kind: preset
family: tile_lm            # or, for a designer's network, designer: turtle
problem: sokoban
settings:
  model: {width: 48, depth: 3}
  fit: {learning_rate: 0.004}
found: {joint: 0.81}       # what was measured of them, for people to read
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from envs import UserError
from envs.errors import unknown_name
from envs.files import write_atomically
from generators.options import options_of

#: What a preset file calls itself, and its name in the folder of a study.
KIND, PRESET_FILE = "preset", "preset.yaml"

#: Where presets have names: the folder of all run folders has a folder of this name.
PRESETS_FOLDER = "presets"

#: The parts of a preset's settings, by what it is for.
PARTS = {"family": ("model", "fit", "sampling"), "designer": ("network", "ppo")}

#: What a name must look like, so that it is the name of a file everywhere.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Preset:
    """Settings that were found to work.

    Attributes:
        subject: whether it is for a family of generators or for a designer.
        of: the family's name, or the designer's representation.
        problem: whose levels the settings were found on.
        settings: by part ("model", "fit", "sampling"; "network", "ppo") the settings by name, plain data.
        found: what was measured of them, plain data.
        source: what messages call the preset: its name, or its file.
    """

    subject: Literal["family", "designer"]
    of: str
    problem: str
    settings: Mapping[str, Mapping[str, Any]]
    found: Mapping[str, Any] = field(default_factory=dict)
    source: str = "the preset"

    def words(self, part: str, kind: type, beside: Mapping[str, Any] | None = None) -> dict[str, str]:
        """Returns the settings of a part as a command line would say them, checked.

        Args:
            part: one of PARTS.
            kind: the dataclass that has these settings.
            beside: others without which they cannot be checked.

        Raises:
            UserError: the dataclass has no such field, or a value cannot be used.
        """
        given = self.settings.get(part, {})
        options_of(kind, {**(beside or {}), **given}, f"{part} setting of {self.source}")
        return {name: _word(value) for name, value in given.items()}

    def check_subject(self, subject: str, of: str) -> None:
        """Raises UserError where the preset is for something else.

        Args:
            subject: family or designer.
            of: the family or the representation that was asked for; "" where none was.
        """
        if subject != self.subject:
            ours, command = (
                ("generators of the family", "train_generator")
                if self.subject == "family"
                else (
                    "designers by the representation",
                    "pcgrl",
                )
            )
            raise UserError(f"{_begin(self.source)} is for {ours} {self.of}: give it to experiments.{command}.")
        if of and of != self.of:
            raise UserError(
                f"{_begin(self.source)} is for the {_TITLES[subject]} {self.of}; {of} was given: leave one out."
            )

    def write(self, path: Path) -> Path:
        """Writes the preset as YAML.

        Raises:
            UserError: the file cannot be written.
        """
        import yaml  # noqa: PLC0415 (only where a preset is read or written)

        content = {
            "kind": KIND,
            self.subject: self.of,
            "problem": self.problem,
            "settings": _plain(self.settings),
            "found": _plain(self.found),
        }
        return write_atomically(path, yaml.safe_dump(content, sort_keys=False).encode())


_TITLES = {"family": "family", "designer": "representation"}


def read_preset(path: Path) -> Preset:
    """Reads a preset file.

    Raises:
        UserError: it cannot be read, or is no preset.
    """
    import yaml  # noqa: PLC0415

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"The preset {path} cannot be read: {error.strerror}; give another.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"The preset {path} is damaged: it is not YAML ({reason}); restore it.") from error
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise UserError(f"{path} is no preset: it does not say `kind: {KIND}`; give a file that a search has left.")
    source = f"the preset {path}"
    subjects = [subject for subject in PARTS if subject in content]
    if len(subjects) != 1:
        raise UserError(f"{_begin(source)} must say either family or designer; it says {subjects or 'neither'}.")
    (subject,) = subjects
    known = {"kind", subject, "problem", "settings", "found"}
    for name in content:
        if name not in known:
            raise unknown_name(f"entry in {source}", name, known)
    for name in (subject, "problem"):
        if not isinstance(content.get(name), str) or not content[name]:
            raise UserError(f"{_begin(source)} must say {name} with a name; it says {content.get(name)!r}.")
    settings, found = content.get("settings") or {}, content.get("found") or {}
    if not isinstance(found, dict) or not isinstance(settings, dict):
        raise UserError(f"{_begin(source)} is damaged: settings and found must hold names and values.")
    for part, entries in settings.items():
        if part not in PARTS[subject]:
            raise unknown_name(f"part of the settings in {source}", part, PARTS[subject])
        if not isinstance(entries, dict) or not all(isinstance(name, str) for name in entries):
            raise UserError(f"{_begin(source)} is damaged: its settings {part} must hold names and values.")
    return Preset(subject, content[subject], content["problem"], settings, found, source)  # type: ignore[arg-type]


def find_preset(name: str, out: Path) -> Preset:
    """Returns a preset by its name, or by the path of its file or of the folder of the study that found it.

    Args:
        name: the name or path.
        out: the folder of all run folders, where presets have names.

    Raises:
        UserError: there is none, or its file cannot be used.
    """
    path = Path(name)
    if path.is_dir() and (path / PRESET_FILE).exists():
        return read_preset(path / PRESET_FILE)
    if path.is_file():
        return read_preset(path)
    named = out / PRESETS_FOLDER / f"{name}.yaml"
    if _NAME.fullmatch(name) and named.is_file():
        return replace(read_preset(named), source=f"the preset {name}")
    known = sorted(file.stem for file in (out / PRESETS_FOLDER).glob("*.yaml"))
    if not known:
        raise UserError(
            f"There is no preset {name!r}: {out / PRESETS_FOLDER} holds none; give the path of a preset file, or let "
            "experiments.nas --use NAME make one."
        )
    raise unknown_name("preset", name, known)


def register_preset(run_folder: Path, name: str, out: Path) -> Path:
    """Gives the preset of a finished study a name that `--preset` takes.

    Args:
        run_folder: the study's folder, which holds the preset.
        name: of letters, digits, dots, dashes and underlines. A preset that has it already is replaced.
        out: the folder of all run folders.

    Returns:
        The file that was written.

    Raises:
        UserError: the name cannot be used, or the study has left no preset.
    """
    check_preset_name(name)
    source = run_folder / PRESET_FILE
    if not source.is_file():
        raise UserError(f"{run_folder} holds no {PRESET_FILE}: let the search come to its end first.")
    preset = read_preset(source)
    folder = out / PRESETS_FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder {folder} cannot be made: {error.strerror}; choose another with --out.") from error
    return preset.write(folder / f"{name}.yaml")


def check_preset_name(name: str) -> None:
    """Raises UserError where a preset cannot be called so."""
    if not _NAME.fullmatch(name) or name.endswith(".yaml"):
        raise UserError(
            f"A preset's name consists of letters, digits, dots, dashes and underlines, without .yaml; got {name!r}."
        )


def _begin(source: str) -> str:
    """Returns what a message calls a preset, to begin a sentence with."""
    return source[0].upper() + source[1:]


def _word(value: Any) -> str:
    """Returns a setting as it would be typed."""
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _plain(value: Any) -> Any:
    """Returns data that YAML has words for."""
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(entry) for entry in value]
    return value.item() if isinstance(value, np.generic) else value
