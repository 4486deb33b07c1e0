"""Finds the one exported object of every module in a package, so that adding a file is all that adding takes."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import TypeVar

Exported = TypeVar("Exported")


def discover(package: ModuleType, kind: type[Exported], variable: str) -> dict[str, Exported]:
    """Imports every module of a package and collects the object that each one exports.

    Args:
        package: the package to look in; modules whose name begins with an underscore are passed over.
        kind: the type that each exported object must be an instance of.
        variable: the name of the module-level variable that holds it ("PROBLEM").

    Returns:
        The exported objects by their `name`, in alphabetical order of the modules.

    Raises:
        ImportError: a module is broken, lacks the variable, or exports a name that another module has taken.
            The message names the file.
    """
    found: dict[str, Exported] = {}
    origins: dict[str, str] = {}
    for module_info in pkgutil.iter_modules(package.__path__):
        if module_info.name.startswith("_"):
            continue
        path = f"{package.__name__}.{module_info.name}"
        try:
            module = importlib.import_module(path)
        except Exception as error:
            raise ImportError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
        exported = getattr(module, variable, None)
        if not isinstance(exported, kind):
            raise ImportError(f"{path} must define {variable}, an instance of {kind.__name__}; it has {exported!r}.")
        name = exported.name  # type: ignore[attr-defined]
        if name in found:
            raise ImportError(f"{path} exports the name {name!r}, which {origins[name]} has taken already.")
        found[name] = exported
        origins[name] = path
    return found
