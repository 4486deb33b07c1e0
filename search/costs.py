"""What a model costs: numbers, multiply-adds, milliseconds, and bytes of tensors.

Numbers and multiply-adds follow from the architecture, whatever the machine; milliseconds and bytes are the device's. A
model whose work depends on what it draws (the tile LM decides more cells twice, the more things it draws) costs
something else once it is trained.
"""

from __future__ import annotations

import gc
import statistics
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from agents.policy import Policy
from generators.neural import NeuralGenerator

#: How many levels are sampled, or actions taken, at a time: for timings and memory, and for multiply-adds.
BATCH, COUNTED = 64, 8

#: Timings are repeated at least and at most so often, and no more once they have taken so many seconds.
_LEAST, _MOST, _SECONDS = 3, 9, 1.5


def _recurrent_flops(inputs: Any, *weights_and_more: Any, out_shape: Any = None, **others: Any) -> int:
    """Returns the operations of a fused recurrent layer in one direction: two for each weight of its matrices a step.

    Args:
        inputs: the shape (steps, b, inputs) or (b, steps, inputs).
        weights_and_more: the shapes of its two matrices first.
        out_shape: not needed.
        others: not needed.
    """
    from_inputs, from_state = weights_and_more[:2]
    steps = inputs[0] * inputs[1]
    return int(2 * steps * (from_inputs[0] * from_inputs[1] + from_state[0] * from_state[1]))


def _attention_flops(query: Any, key: Any, value: Any, *others: Any, out_shape: Any = None, **more: Any) -> int:
    """Returns the operations of fused attention on a processor, which torch counts on other devices only."""
    return int(sdpa_flop_count(query, key, value))


#: What torch's own table of formulas lacks.
_FORMULAS: dict[Any, Any] = {
    torch.ops.aten.mkldnn_rnn_layer: _recurrent_flops,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
}


def generator_costs(generator: NeuralGenerator, sampling: Mapping[str, Any]) -> dict[str, float]:
    """Returns what a level costs that is sampled without conditions, by the names of `search.objectives`.

    Args:
        generator: its weights stay as they are, whatever they are; its device is what is measured.
        sampling: options of its sampling.
    """

    def sample(levels: int) -> NDArray:
        return generator.sample(levels, 0, **sampling)

    return {"parameters": float(generator.parameters())} | _costs(sample, generator.network, generator.device)


def policy_costs(policy: Policy, observe: Callable[[int], Mapping[str, Tensor]], device: str) -> dict[str, float]:
    """Returns what an action of a designer costs, without the environment; see `generator_costs`.

    Args:
        policy: the policy.
        observe: returns observations of so many lanes, on the device.
        device: where the policy is.
    """
    seen = {lanes: observe(lanes) for lanes in (1, COUNTED, BATCH)}

    def act(lanes: int) -> object:
        with torch.no_grad():
            return policy.act(seen[lanes], torch.Generator().manual_seed(0))

    parameters = sum(weight.numel() for weight in policy.parameters())
    return {"parameters": float(parameters)} | _costs(act, policy, device)


def _costs(run: Callable[[int], object], network: nn.Module, device: str) -> dict[str, float]:
    """Returns what one of many costs, of a function that makes so many."""
    network.eval()
    return {
        "macs": multiply_adds(lambda: run(COUNTED)) / COUNTED,
        "milliseconds": milliseconds(lambda: run(BATCH), device) / BATCH,
        "milliseconds_alone": milliseconds(lambda: run(1), device),
        "memory": float(peak_memory(lambda: run(BATCH), tensors_of(network), device)),
    }


def multiply_adds(run: Callable[[], object]) -> int:
    """Counts the multiply-adds of products of matrices, convolutions, attention and recurrent layers in a run.

    They are half of what torch counts as floating-point operations. Not counted are sums, norms, activations,
    softmaxes, look-ups, and all that is done without torch. Causal attention counts as if it saw every token.

    Args:
        run: what is run once.
    """
    with FlopCounterMode(display=False, custom_mapping=_FORMULAS) as counter:
        run()
    return int(counter.get_total_flops()) // 2


def milliseconds(run: Callable[[], object], device: str = "cpu") -> float:
    """Returns the median time of a run, in milliseconds, with one thread of torch; a first run is not counted.

    On a processor it is the time that the process has had of it, so that other work on the machine does not count; on
    other devices the time by the clock on the wall until the device is done.

    Args:
        run: what is run several times.
        device: where it runs.
    """
    cpu = torch.device(device).type == "cpu"
    clock = time.process_time if cpu else time.perf_counter
    times: list[float] = []
    with _one_thread():
        run()
        _await(device)
        while len(times) < _LEAST or (len(times) < _MOST and sum(times) < _SECONDS):
            began = clock()
            run()
            _await(device)
            times.append(clock() - began)
    return 1000 * statistics.median(times)


def peak_memory(run: Callable[[], object], kept: Iterable[Tensor] = (), device: str = "cpu") -> int:
    """Returns the most bytes of tensors that are alive at one time in a run.

    On a CUDA device it is what torch's allocator says. Elsewhere the storages of what torch's operations take and
    return are followed, which gives equal results for equal runs; arrays of NumPy and what operations need inside is
    not seen.

    Args:
        run: what is run once.
        kept: tensors that are alive all the time, such as the weights.
        device: where it runs.
    """
    if torch.device(device).type == "cuda":
        _await(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        _await(device)
        return int(torch.cuda.max_memory_allocated(device))
    # What is alive in circles of references would be let go at any time.
    gc.collect()
    with _Storages(kept) as storages:
        run()
    return storages.peak


def tensors_of(network: nn.Module) -> list[Tensor]:
    """Returns the weights and buffers of a network."""
    return [*network.parameters(), *network.buffers()]


class _Storages(TorchDispatchMode):
    """Follows which storages are alive.

    Args:
        kept: tensors that are alive from the beginning.
    """

    def __init__(self, kept: Iterable[Tensor]) -> None:
        super().__init__()
        self.peak = self._alive = 0
        self._known: dict[int, weakref.ref] = {}
        for tensor in kept:
            self._see(tensor)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operation and sees what it took and returned."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        for leaf in tree_leaves((args, kwargs, result)):
            if isinstance(leaf, Tensor):
                self._see(leaf)
        return result

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        # The address of the storage itself: of its data it would be that of what was freed before.
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return

        def forget(_: Any) -> None:
            del self._known[key]
            self._alive -= size

        self._known[key] = weakref.ref(storage, forget)
        self._alive += size
        self.peak = max(self.peak, self._alive)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Lets torch work with one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _await(device: str) -> None:
    """Waits until a CUDA device has done its work."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
