"""Reads and writes level files: text, Tiled maps, Sokoban collections, Boxoban, TheVGLC and pictures.

A file format is one file of this package with one subclass of `LevelFormat`, registered by the `level_format`
decorator. `read_levels` and `write_levels` choose it by the file's extension, or by its name.
"""

# The order in which formats are registered is the order in which they are shown, and the first of an extension is the
# one that is written.
from envs.level_io import text, tiled, xsb, boxoban, vglc, png  # isort: skip # noqa: F401
from envs.level_io.formats import Collection, Level, LevelFormat, format_names, formats, level_format
from envs.level_io.reading import level_files, read_collection, read_folder, read_levels
from envs.level_io.writing import write_levels

__all__ = [
    "Collection",
    "Level",
    "LevelFormat",
    "format_names",
    "formats",
    "level_files",
    "level_format",
    "read_collection",
    "read_folder",
    "read_levels",
    "write_levels",
]
