"""Turns the graphs of a network into files that onnxruntime runs, and compares what both make of the same numbers."""

from __future__ import annotations

import logging
import math
import warnings
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from envs import UserError
from generators.graphs import Graph, tensor_of
from generators.sampler import Networks

#: Arrays of weights up to this size, in bytes, are put in order when a model is exported.
_FOLDED = 2**26

#: Of the calls of a graph in a run, those are kept whose number is a power of two, and so many at most.
_KEPT = 12


@dataclass
class Calls:
    """What some graphs were called with in a run, and what they returned: a part of all calls.

    Attributes:
        made: by the graph's name the calls, inputs and outputs as arrays.
        counts: how often each graph was called.
    """

    made: dict[str, list[tuple[tuple[NDArray, ...], tuple[NDArray, ...]]]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


class Recorded:
    """Networks whose calls are written down.

    Args:
        networks: what runs the graphs.

    Attributes:
        calls: what was called.
    """

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self.calls = Calls()

    def __call__(self, graph: str, *inputs: Any) -> tuple[Any, ...]:
        """Returns what the graph returns; see `generators.sampler.Networks`."""
        calls = self.calls
        number = calls.counts[graph] = calls.counts.get(graph, 0) + 1
        made = calls.made.setdefault(graph, [])
        keep = number & (number - 1) == 0 and len(made) < _KEPT
        # Copies: what is handed on may be written to afterwards.
        given = tuple(_array(part).copy() for part in inputs) if keep else ()
        outputs = self._networks(graph, *inputs)
        if keep:
            made.append((given, tuple(_array(part).copy() for part in outputs)))
        return outputs

    def zeros(self, *shape: int) -> Any:
        """Returns numbers 0; see `generators.sampler.Networks`."""
        return self._networks.zeros(*shape)


def _array(part: Any) -> NDArray:
    return part.cpu().numpy() if isinstance(part, Tensor) else np.asarray(part)


def check_exporter() -> None:
    """Raises UserError where a library is missing that exporting needs."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        try:
            import_module(name)
        except ImportError as error:
            raise UserError(
                f"Exporting needs the library {name}, which cannot be imported ({error}); install what is missing with "
                'pip install "tilewright[export]".'
            ) from error


class _Part(nn.Module):
    """A graph as the exporter takes it."""

    def __init__(self, network: nn.Module, graph: Graph) -> None:
        super().__init__()
        self.network, self._graph = network, graph

    def forward(self, *inputs: Tensor) -> Any:
        return self._graph.call(*inputs)


def onnx_model(network: nn.Module, graph: Graph, inputs: tuple[NDArray, ...]) -> bytes:
    """Returns a graph as a model in the ONNX format, for any number of levels.

    Args:
        network: whose graph it is.
        graph: the graph.
        inputs: what it was called with once, for at least 2 levels, with room for at least 2 tokens.
    """
    tensors = tuple(tensor_of(part) for part in inputs)
    levels, room = (torch.export.Dim(name, min=1, max=2**20) for name in ("levels", "room"))
    axes: tuple[Any, ...] = tuple(
        {} if not tensor.dim() else {0: levels, 2: room} if name in graph.rooms else {0: levels}
        for name, tensor in zip(graph.inputs, tensors, strict=True)
    )
    part: nn.Module = _Part(network, graph).eval()
    if graph.slope:
        part = _unrolled(part, tensors)
    # One argument of a `*inputs` is a tuple of all; what was unrolled takes each by itself.
    shapes = axes if graph.slope else (axes,)
    with torch.no_grad(), warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            part,
            tensors,
            dynamo=True,
            verbose=False,
            input_names=list(graph.inputs),
            output_names=[f"next_{name}" if name in graph.inputs else name for name in graph.outputs],
            dynamic_shapes=shapes,
        )
    assert program is not None
    if any(node.op_type == "LSTM" for node in program.model.graph):
        # Its weights are put in another order. That is done now, so that eight bits find them, however large they are;
        # elsewhere weights that are used both ways round would be stored twice.
        optimizer = import_module("onnxscript.optimizer")
        optimizer.optimize(program.model, input_size_limit=_FOLDED, output_size_limit=_FOLDED)
    return _stripped(program.model_proto)


def _unrolled(part: nn.Module, tensors: tuple[Tensor, ...]) -> nn.Module:
    """Returns a module that computes a slope in plain steps forwards."""
    from torch._decomp import core_aten_decompositions  # noqa: PLC0415 (only where something is exported)
    from torch.fx.experimental.proxy_tensor import make_fx  # noqa: PLC0415

    steps: dict[Any, Any] = dict(core_aten_decompositions())
    steps[torch.ops.aten.convolution_backward.default] = _convolution_backward
    trace = make_fx(part, decomposition_table=steps, tracing_mode="symbolic", _allow_non_fake_inputs=True)
    # Only the slope along what goes in is wanted, so that weights must not ask for theirs.
    learning = [weight for weight in part.parameters() if weight.requires_grad]
    try:
        for weight in learning:
            weight.requires_grad_(False)
        return trace(*tensors).eval()
    finally:
        for weight in learning:
            weight.requires_grad_(True)


def _convolution_backward(
    slope: Tensor,
    inputs: Tensor,
    weight: Tensor,
    biases: Any,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
    wanted: list[bool],
) -> tuple[Tensor, None, None]:
    """Returns the slope along what a convolution was given, by the convolution that is its transpose."""
    none = [0] * len(stride)
    found = torch.ops.aten.convolution(slope, weight, None, stride, padding, dilation, not transposed, none, groups)
    if found.shape != inputs.shape:
        raise UserError("A convolution's stride loses the edge of what it is given: its slope cannot be exported.")
    return found, None, None


class _quiet:  # noqa: N801 (a context, as of the standard library)
    """Keeps the exporter from telling what it has not got."""

    def __enter__(self) -> None:
        self._levels = {name: logging.getLogger(name).level for name in ("torch.onnx", "onnxscript", "onnx_ir")}
        for name in self._levels:
            logging.getLogger(name).setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)


def _stripped(model: Any) -> bytes:
    """Returns a model without notes on the machine and the source that it was made on."""
    model.ClearField("metadata_props")
    model.ClearField("doc_string")
    graphs = [model.graph, *model.functions]
    while graphs:
        graph = graphs.pop()
        graph.ClearField("metadata_props")
        graph.ClearField("doc_string")
        for node in graph.node:
            node.ClearField("metadata_props")
            node.ClearField("doc_string")
            graphs += [attribute.g for attribute in node.attribute if attribute.HasField("g")]
        values = (getattr(graph, name, ()) for name in ("input", "output", "value_info", "initializer"))
        for value in (value for part in values for value in part if not isinstance(value, str)):
            value.ClearField("metadata_props")
            value.ClearField("doc_string")
    found: bytes = model.SerializeToString()
    return found


def quantised(model: bytes) -> bytes:
    """Returns a model whose matrices are whole numbers of eight bits, as are those that they are multiplied by.

    What comes in is rounded anew for each call (dynamic quantisation, Jacob 2018), so that levels that are sampled
    together touch each other's last digits. Convolutions and the cells of a GRU stay as they are.
    """
    library, onnx = import_module("onnxruntime.quantization"), import_module("onnx")
    # The shapes of what lies between no longer fit where matrices are turned round; they are found again.
    plain = onnx.load_model_from_string(model)
    plain.graph.ClearField("value_info")
    # Where nothing can be asked, what is asked has no numbers, and the range of none would be nonsense.
    empty = {array.name for array in plain.graph.initializer if 0 in array.dims}
    left_out = [node.name for node in plain.graph.node if empty & set(node.input)]
    with TemporaryDirectory() as folder, warnings.catch_warnings(), _quiet_root():
        warnings.simplefilter("ignore")
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        before.write_bytes(plain.SerializeToString())
        library.quantize_dynamic(
            before,
            after,
            op_types_to_quantize=["MatMul", "Gemm", "LSTM"],
            # A product with a sum is made a product and a sum, of names of their own.
            nodes_to_exclude=[*left_out, *(f"{name}_MatMul" for name in left_out)],
            per_channel=True,
            # Without the newest instructions, sums of products of eight bits may overflow.
            reduce_range=True,
            weight_type=library.QuantType.QInt8,
        )
        return after.read_bytes()


def count_rounded(before: bytes, after: bytes) -> tuple[int, int]:
    """Returns how many numbers of a model `quantised` has turned into whole ones of eight bits, and of how many."""
    onnx = import_module("onnx")
    given, made = (onnx.load_model_from_string(model).graph.initializer for model in (before, after))
    real, whole = onnx.TensorProto.FLOAT, onnx.TensorProto.INT8
    # Lists of whole numbers say what stands for the zero of each column.
    rounded = sum(math.prod(array.dims) for array in made if array.data_type == whole and len(array.dims) > 1)
    return rounded, sum(math.prod(array.dims) for array in given if array.data_type == real)


class _quiet_root(_quiet):  # noqa: N801
    """Keeps the quantiser from advising."""

    def __enter__(self) -> None:
        self._levels = {"": logging.getLogger().level}
        logging.getLogger().setLevel(logging.ERROR)


def differences(networks: Networks, calls: Calls) -> dict[str, float]:
    """Returns by how much networks differ from what was written down, by the graph's name.

    It is the greatest difference of two numbers, measured by the greater of 1 and the number written down.
    """
    found = {}
    for graph, made in calls.made.items():
        worst = 0.0
        for inputs, outputs in made:
            for expected, output in zip(outputs, networks(graph, *inputs), strict=True):
                worst = max(worst, difference(_array(output), expected))
        found[graph] = worst
    return found


def difference(found: NDArray, expected: NDArray) -> float:
    """Returns the greatest difference of two arrays' numbers, measured by the greater of 1 and the second's."""
    if found.shape != expected.shape:
        return float("inf")
    if not found.size:
        return 0.0
    first, second = found.astype(np.float64), expected.astype(np.float64)
    # Infinities that are equal differ by nothing.
    apart = np.where(first == second, 0.0, np.abs(first - second) / np.maximum(1.0, np.abs(second)))
    return float("inf") if np.isnan(apart).any() else float(apart.max())


def most_levels(calls: Calls, graph: str) -> tuple[NDArray, ...]:
    """Returns what a graph was called with for the most levels."""
    return max((inputs for inputs, _ in calls.made[graph]), key=lambda inputs: max(len(x) for x in inputs if x.ndim))
