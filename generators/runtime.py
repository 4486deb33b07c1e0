"""What runs the graphs of exported models: onnxruntime, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs import UserError


class OnnxNetworks:
    """Runs graphs by onnxruntime, on the CPU; see `generators.sampler.Networks`.

    Args:
        models: by the graph's name a model in the ONNX format. They are read from memory, so that they cannot make the
            system open any other file.
        threads: how many of the machine's processors a graph may use.

    Raises:
        UserError: onnxruntime is not installed, or a model is none.
    """

    def __init__(self, models: Mapping[str, bytes], threads: int = 1) -> None:
        library = _onnxruntime()
        options = library.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # What goes wrong is raised, not printed.
        options.log_severity_level = 4
        self._sessions: dict[str, Any] = {}
        for name, model in models.items():
            try:
                session = library.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            # onnxruntime has a dozen exceptions of its own, derived from nothing nearer.
            except Exception as error:
                raise UserError(
                    f"The graph {name} is damaged: {_first_line(error)}; export the model again."
                ) from error
            self._sessions[name] = (session, [entry.name for entry in session.get_inputs()])

    def __call__(self, graph: str, *inputs: Any) -> tuple[Any, ...]:
        """Returns what a graph makes of arrays; see `generators.sampler.Networks`.

        Raises:
            UserError: the graph is missing, or of another model.
        """
        if graph not in self._sessions:
            raise UserError(f"The graph {graph} is missing; export the model again.")
        session, names = self._sessions[graph]
        try:
            arrays = [np.require(given, requirements="C") for given in inputs]
            return tuple(session.run(None, dict(zip(names, arrays, strict=True))))
        except Exception as error:
            raise UserError(
                f"The graph {graph} does not fit the rest of the model ({_first_line(error)}); export the model again."
            ) from error

    def zeros(self, *shape: int) -> NDArray[np.float32]:
        """Returns numbers 0."""
        return np.zeros(shape, np.float32)


def _onnxruntime() -> Any:
    """Returns the library onnxruntime.

    Raises:
        UserError: it is not installed.
    """
    try:
        return import_module("onnxruntime")
    except ImportError as error:
        raise UserError(
            f"Exported models need the library onnxruntime, which cannot be imported ({error}); install it with "
            "pip install onnxruntime."
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).split("\n")
    return lines[0][:200].rstrip(".") if lines[0] else type(error).__name__
