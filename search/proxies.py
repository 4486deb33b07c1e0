"""Zero-cost proxies: what an untrained network tells of how well it will learn (Abdelfattah 2021).

They were published for networks that read pictures. Here networks read whole numbers, so that what counts as the input
are the codes that those become first: one-hot codes and the rows of embeddings. What counts as the output is what the
last layer says before any softmax. Layers that begin at zero, through which nothing passes, are first given weights as
torch gives to such layers, since it is the architecture that is to be ranked.

A proxy is NaN where it is not defined: `jacobian` and `synflow` where the output does not depend on levels (in GANs the
last layer reads what is asked), `synflow` where the network has recurrent layers, whose gates have no linear form.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from agents.networks import DesignerNetwork
from generators.corpus import Corpus
from generators.neural import NeuralGenerator
from generators.training import Asked

#: How many levels are read. A prime, so that no other axis of what a network computes is likely to be as long.
_BATCH = 61

#: What keeps the logarithms of `jacobian_covariance` finite (Mellor 2021).
_LEAST_EIGENVALUE = 1e-5

#: Layers with weights, as functions: the last of them that runs gives the output.
_LAYERS = (
    functional.linear,
    *(getattr(torch, f"conv{transposed}{n}d") for transposed in ("", "_transpose") for n in (1, 2, 3)),
)


class Reading(TorchFunctionMode):
    """Watches a network read levels: notes its output, and its inputs in a form that gradients can be taken of.

    Attributes:
        inputs: what whole numbers became, one-hot codes as a rule, and rows of embeddings, in the order in which they
            were made.
        output: what the last layer with weights returned; None before there is one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.inputs: list[Tensor] = []
        self.output: Tensor | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs a function of torch."""
        result = self.run(func, args, kwargs or {})
        if func in _LAYERS:
            self.output = result
        elif func is functional.embedding:
            self.inputs.append(result)
        elif func is torch.Tensor.float and args[0].dtype is torch.int64:
            self.inputs.append(result.requires_grad_())
        return result

    def run(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Runs a function as it is."""
        return func(*args, **kwargs)


class LinearReading(Reading):
    """Reads ones instead of codes, and takes what is not linear for what it is of small or of open: Tanaka 2020's form.

    Codes are all ones, norms and activations return what they are given, gates are open, and attention looks at all
    that it may see alike, so that its queries and keys carry nothing. The square of a rectified number counts as the
    number. Other products of activations stay.
    """

    _SAME = {
        *(functional.relu, torch.relu, torch.Tensor.relu, functional.gelu, functional.silu, functional.leaky_relu),
        *(torch.tanh, torch.Tensor.tanh, functional.tanh),
        *(functional.rms_norm, functional.layer_norm, functional.group_norm, functional.batch_norm),
        functional.dropout,
    }
    _OPEN = {torch.sigmoid, torch.Tensor.sigmoid, functional.sigmoid}
    _SHARES = {torch.softmax, torch.Tensor.softmax, functional.softmax}

    def run(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Runs a function in its linear form."""
        if func in self._SAME:
            return args[0]
        if func in self._OPEN:
            return torch.ones_like(args[0])
        if func in self._SHARES:
            return torch.ones_like(args[0]) / args[0].shape[kwargs["dim"] if "dim" in kwargs else args[1]]
        if func is functional.scaled_dot_product_attention:
            query, key, value = args[:3]
            sees = torch.ones(query.shape[-2], key.shape[-2], dtype=value.dtype, device=value.device)
            sees = sees.tril() if kwargs.get("is_causal") else sees
            return sees / sees.sum(dim=1, keepdim=True) @ value
        if func in (torch.mul, torch.Tensor.mul, torch.Tensor.__mul__) and args[0] is args[1]:
            return args[0]
        if func is torch.Tensor.float:
            known = args[0].to(torch.get_default_dtype())
            return torch.ones_like(known) if args[0].dtype is torch.int64 else known
        if func is functional.embedding:
            indices, table = args[:2]
            return table.sum(dim=0).expand(*indices.shape, -1)
        return func(*args, **kwargs)


def generator_proxies(generator: NeuralGenerator, corpus: Corpus, seed: int) -> dict[str, float]:
    """Returns the proxies of a generator's architecture by name, equal for equal seeds.

    Args:
        generator: stays as it is; a network with fresh weights is looked at.
        corpus: whose first training levels are read, with nothing asked.
        seed: of the weights, and of what the loss draws.
    """
    twin = copy.copy(generator)
    twin.network = twin.new_network(seed)
    waken(twin.network, seed)
    twin.network.eval()
    shown = torch.from_numpy(corpus.train.levels[:_BATCH].astype(np.int64)).to(twin.device)
    values = np.full((len(shown), len(twin.spec.conditions)), np.nan)
    asked = Asked.of(twin.spec, values, np.full(len(shown), -1), twin.device)

    def loss(levels: Tensor, told: Asked) -> Tensor:
        return twin.loss(levels, told, torch.Generator().manual_seed(seed))[0]

    def read() -> Tensor | None:
        with LinearReading() as reading:
            loss(shown[:1], Asked(asked.dense[:1].double(), asked.buckets[:1]))
        return reading.output

    norm = gradient_norm(twin.network, lambda: loss(shown, asked))
    with Reading() as reading:
        loss(shown, asked)
    jacobian = math.nan
    if reading.output is not None:
        jacobian = jacobian_covariance(reading.inputs, reading.output, len(shown))
    flow = math.nan if math.isnan(jacobian) else synaptic_flow(twin.network, read)
    return {"gradient_norm": norm, "jacobian": jacobian, "synflow": flow}


def policy_proxies(network: DesignerNetwork, observation: Mapping[str, Tensor]) -> dict[str, float]:
    """Returns the proxies of a designer's untrained network by name.

    The loss is what would make the likeliest actions likelier and all values 0; the inputs are the maps, and what else
    is observed; the output are scores and values.

    Args:
        network: changed while it is looked at, and put back.
        observation: of as many lanes as there are inputs.
    """
    batch = len(observation["map"])
    rows = {f"observation.{name}": part for name, part in observation.items()}
    with torch.no_grad():
        rows["actions"] = network.act(observation, deterministic=True).actions

    def loss() -> Tensor:
        judged = network.evaluate(rows)
        return (judged.values.square() - judged.log_prob).mean()

    def linear() -> Tensor:
        with LinearReading():
            return _through(network, [torch.ones_like(part[:1].double()) for part in _seen(network, observation)])

    inputs = [part.requires_grad_() for part in _seen(network, observation)]
    return {
        "gradient_norm": gradient_norm(network, loss),
        "jacobian": jacobian_covariance(inputs, _through(network, inputs), batch),
        "synflow": synaptic_flow(network, linear),
    }


def _seen(network: DesignerNetwork, observation: Mapping[str, Tensor]) -> list[Tensor]:
    """Returns copies of what a network's body computes with."""
    return [part.detach().clone() for part in network.read(observation) if part is not None]


def _through(network: DesignerNetwork, seen: list[Tensor]) -> Tensor:
    """Returns the sum of all scores and values that a network's body computes."""
    maps, vector, options = (*seen, None)[:3]
    scores, values = network.body(maps, vector, options)
    return scores.sum() + values.sum()


def waken(network: nn.Module, seed: int) -> None:
    """Gives layers that begin at zero weights as torch gives to layers of their size; changes the network."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in network.modules():
            if isinstance(layer, (nn.Linear, nn.modules.conv._ConvNd)) and not layer.weight.any():
                layer.reset_parameters()


def gradient_norm(network: nn.Module, loss: Callable[[], Tensor]) -> float:
    """Returns the sum of the norms of a loss's gradients, one for each of the network's tensors of weights.

    Args:
        network: its weights; those that the loss does not depend on count 0.
        loss: runs the network on a batch.
    """
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    slopes = torch.autograd.grad(loss(), weights, allow_unused=True)
    return float(sum(float(slope.norm()) for slope in slopes if slope is not None))


def jacobian_covariance(inputs: list[Tensor], output: Tensor, batch: int) -> float:
    """Returns how differently a network reacts to different inputs (the covariance of Jacobians, Mellor 2021).

    The slope of the output's sum at each input is a row; the eigenvalues v of the rows' correlations, all 1 where the
    rows have nothing in common, give -sum(log(v + k) + 1 / (v + k)). The more, the better.

    Args:
        inputs: floats (batch, ...) each, whose slopes make up a row; those of another length are left out.
        output: what was computed from them.
        batch: how many inputs there are.

    Returns:
        NaN where the output depends on no input.
    """
    own = [part for part in inputs if part.requires_grad and part.ndim > 1 and len(part) == batch]
    if not own or not output.requires_grad:
        return math.nan
    slopes = torch.autograd.grad(output.sum(), own, allow_unused=True)
    rows = [slope.double().flatten(1) for slope in slopes if slope is not None]
    if not rows:
        return math.nan
    table = torch.cat(rows, dim=1)
    table = table - table.mean(dim=1, keepdim=True)
    lengths = table.norm(dim=1)
    if not bool(torch.isfinite(table).all()) or not bool((lengths > 0).all()):
        return math.nan
    table = table / lengths[:, None]
    values = torch.linalg.eigvalsh(table @ table.T) + _LEAST_EIGENVALUE
    return float(-(values.log() + 1 / values).sum())


def synaptic_flow(network: nn.Module, read: Callable[[], Tensor | None]) -> float:
    """Returns the logarithm of the synaptic flow (Tanaka 2020): sum |weight * slope of the output at it|.

    The network is read in its linear form with the absolute values of its weights, in double precision.

    Args:
        network: changed while it is read, and put back.
        read: runs the network on one input and returns its output, a sum of which is taken.

    Returns:
        NaN where there is no output, or where the network has recurrent layers.
    """
    if any(isinstance(layer, nn.RNNBase) for layer in network.modules()):
        return math.nan
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        network.double()
        weights = [weight for weight in network.parameters() if weight.requires_grad and weight.numel()]
        with torch.no_grad():
            for weight in weights:
                weight.abs_()
        output = read()
        if output is None or not output.requires_grad:
            return math.nan
        slopes = torch.autograd.grad(output.sum(), weights, allow_unused=True)
        pairs = zip(weights, slopes, strict=True)
        flow = sum(float((weight * slope).detach().abs().sum()) for weight, slope in pairs if slope is not None)
    finally:
        torch.set_default_dtype(default)
        network.to(default)
        network.load_state_dict(before)
    return math.log(flow) if 0 < flow < math.inf else math.nan
