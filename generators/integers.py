"""Matrix products of eight-bit whole numbers, in networks whose weights have been rounded to such.

What comes in is rounded too, anew for each batch (dynamic quantisation, Jacob 2018), so that levels of one batch touch
each other's last digits. Only large layers are computed so: on one core with AVX2, products of 256 rows and 256 x 256
weights take two thirds of the time of float32, of 512 x 512 half, of 64 x 64 twice the time. The weights of all others
are rounded and computed with as float32, as all are on processors and devices that have no such products.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from generators.storage import restored, rounded

#: From so many weights on, products of whole numbers are the faster ones.
LEAST = 2**16


class IntegerLinear(nn.Module):
    """A linear layer with weights of eight bits. Its state is that of the `nn.Linear` that it was made of.

    Args:
        layer: whose weights, which are rounded unless they are already.
    """

    packed: Any

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        whole = torch.zeros(layer.weight.shape, dtype=torch.int8)
        self.weight = nn.Parameter(whole, requires_grad=False)
        self.register_buffer("scales", torch.zeros(len(whole)), persistent=False)
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().clone(), requires_grad=False)
        self._take(layer.weight.detach())

    def _take(self, weight: Tensor) -> None:
        whole, scales = rounded(weight.cpu().numpy())
        with torch.no_grad():
            self.weight.copy_(torch.from_numpy(whole))
            self.scales: Tensor
            self.scales.copy_(torch.from_numpy(scales))
        self.packed = None

    def _pack(self) -> Any:
        """Returns the weights in the order in which the processor's library wants them."""
        scales, zeros = self.scales.double(), torch.zeros(self.out_features, dtype=torch.long)
        with warnings.catch_warnings():
            # torch announces that quantised tensors will go; this is the only place that makes one.
            warnings.simplefilter("ignore")
            weight = torch._make_per_channel_quantized_tensor(self.weight.detach(), scales, zeros, 0)
            return torch.ops.quantized.linear_prepack(weight, self.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns float32 (..., out_features) of (..., in_features)."""
        # Whole numbers have no slopes; where fixed tiles are sought along them, all is computed as float32.
        slopes = torch.is_grad_enabled() and inputs.requires_grad
        if slopes or inputs.is_cuda or inputs.numel() == 0:
            weight = self.weight.float() * self.scales[:, None]
            return functional.linear(inputs, weight, self.bias)
        if self.packed is None:
            self.packed = self._pack()
        # In seven bits: without the newest instructions, sums of products of eight may overflow.
        found: Tensor = torch.ops.quantized.linear_dynamic(inputs.contiguous(), self.packed, reduce_range=True)
        return found

    def linear(self) -> nn.Linear:
        """Returns the layer that computes with the same weights as float32."""
        layer = nn.Linear(self.in_features, self.out_features, self.bias is not None)
        layer.load_state_dict(self.state_dict())
        return layer.eval()

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        weight = restored(self.weight.detach().cpu().numpy(), self.scales.cpu().numpy())
        destination[prefix + "weight"] = torch.from_numpy(weight).to(self.weight.device)
        if self.bias is not None:
            destination[prefix + "bias"] = self.bias.detach()

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *others: Any) -> None:
        self._take(state_dict[prefix + "weight"])
        if self.bias is not None:
            with torch.no_grad():
                self.bias.copy_(state_dict[prefix + "bias"])


def to_integers(network: nn.Module, least: int = LEAST) -> int:
    """Lets the large linear layers of a network compute with whole numbers, in place.

    Args:
        network: on the CPU.
        least: how many weights a layer must have.

    Returns:
        How many of the network's weights are computed with so; 0 where torch has no such products here.
    """
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        return 0
    found = 0
    for module in list(network.modules()):
        for name, layer in list(module.named_children()):
            # Exactly nn.Linear: what derives from it may be read in other ways.
            if type(layer) is nn.Linear and layer.weight.numel() >= least:
                setattr(module, name, IntegerLinear(layer))
                found += layer.weight.numel()
    return found


def to_floats(network: nn.Module) -> None:
    """Lets all layers of a network compute with float32 again, in place; their weights stay rounded."""
    for module in list(network.modules()):
        for name, layer in list(module.named_children()):
            if isinstance(layer, IntegerLinear):
                setattr(module, name, layer.linear())
