"""A saved generator in memory, as it is sent to other processes and machines, or kept within another folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from envs import UserError
from envs.files import write_atomically
from generators.generator import Generator
from generators.saving import CARD_FILE, CONFIG_FILE, WEIGHTS_FILE
from generators.suite import GENERATOR_FOLDER, load_generator

_FILES = (WEIGHTS_FILE, CONFIG_FILE, CARD_FILE)


@dataclass(frozen=True)
class PackedGenerator:
    """The files of a saved generator.

    Attributes:
        files: their contents by name.
    """

    files: dict[str, bytes]

    @property
    def digest(self) -> str:
        """What tells generators apart: a hash of weights and configuration, 16 hexadecimal digits."""
        return hashlib.sha256(self.files[WEIGHTS_FILE] + self.files[CONFIG_FILE]).hexdigest()[:16]

    @classmethod
    def read(cls, folder: Path | str) -> PackedGenerator:
        """Reads a saved generator, or that of a run folder.

        Raises:
            UserError: a file is missing, damaged, or does not fit the others.
        """
        load_generator(folder)
        place = Path(folder)
        if (place / GENERATOR_FOLDER / WEIGHTS_FILE).exists():
            place = place / GENERATOR_FOLDER
        return cls._of(place)

    @classmethod
    def of(cls, generator: Generator) -> PackedGenerator:
        """Packs a generator."""
        with TemporaryDirectory() as folder:
            generator.save_pretrained(folder)
            return cls._of(Path(folder))

    @classmethod
    def _of(cls, place: Path) -> PackedGenerator:
        try:
            return cls({name: (place / name).read_bytes() for name in _FILES})
        except OSError as error:
            raise UserError(f"{error.filename} cannot be read: {error.strerror}; save the generator again.") from error

    def unpack(self) -> Generator:
        """Returns the generator."""
        with TemporaryDirectory() as folder:
            self.write(Path(folder))
            return load_generator(folder)

    def write(self, folder: Path) -> None:
        """Writes the files to a folder, which is made if it does not exist.

        Raises:
            UserError: they cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"The generator cannot be saved in {folder}: {error.strerror}; choose another folder."
            ) from error
        for name in _FILES:
            write_atomically(folder / name, self.files[name])
