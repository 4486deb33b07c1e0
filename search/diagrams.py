"""Architectures drawn: the modules of a network, with what each gives and how many numbers it learns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

#: How deep modules are opened, and how many children are named before the others are counted.
_DEPTH, _SHOWN = 3, 14

#: The colours of boxes, by depth, and by what layers are; apart for the colour-blind too (Okabe 2008).
_NESTED = ("#F7F7F7", "#ECECEC", "#E0E0E0")
_COLOURS = {
    "Linear": "#9BC9E8",
    "Conv": "#F5C98B",
    "Embedding": "#A6DCC8",
    "LSTM": "#E3B3D0",
    "GRU": "#E3B3D0",
    "Norm": "#FFFFFF",
}


@dataclass
class Box:
    """A module as it is drawn.

    Attributes:
        title: its name, what it is, and the sizes of its weights.
        kind: the name of its class.
        numbers: how many it learns, all that is in it included.
        shape: of what it gives for one level, such as "30 x 64"; "" where it was not called.
        times: how many such modules stand one after another.
        children: what it is made of, in the order in which it is called.
    """

    title: str
    kind: str
    numbers: int
    shape: str = ""
    times: int = 1
    children: list[Box] = field(default_factory=list)

    @property
    def lines(self) -> float:
        """How many lines it takes: its title, its children, and a margin below them."""
        return 1 + sum(child.lines for child in self.children) + 0.25 * bool(self.children)


def network_box(name: str, network: nn.Module, run: Callable[[], object], depth: int = _DEPTH) -> Box:
    """Returns a network as it is drawn.

    Args:
        name: what it is called.
        network: the network.
        run: uses it once on one level, so that shapes are known.
        depth: how deep modules are opened.
    """
    shapes: dict[nn.Module, str] = {}
    order: dict[nn.Module, int] = {}

    def note(module: nn.Module, _: Any, outputs: Any) -> None:
        if module not in shapes:
            first = next((leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)), None)
            # The first axis is the level.
            shapes[module] = "" if first is None or first.ndim < 2 else " x ".join(map(str, first.shape[1:]))

    def begin(module: nn.Module, _: Any) -> None:
        order.setdefault(module, len(order))

    handles = [module.register_forward_hook(note) for module in network.modules()]
    handles += [module.register_forward_pre_hook(begin) for module in network.modules()]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return _box(name, network, shapes, order, depth)


def _box(name: str, module: nn.Module, shapes: dict[nn.Module, str], order: dict[nn.Module, int], depth: int) -> Box:
    box = Box(_title(name, module), type(module).__name__, _numbers(module), shapes.get(module, ""))
    if depth:
        inside = [(label, child) for label, child in module.named_children() if _numbers(child)]
        # A list of modules is not called itself; it comes where the first of its modules does.
        inside.sort(
            key=lambda one: min((order[part] for part in one[1].modules() if part in order), default=len(order))
        )
        # A list of modules says little by itself, and is no level.
        left = depth if isinstance(module, nn.ModuleList) else depth - 1
        parts = [_box(label, child, shapes, order, left) for label, child in inside]
        # What a module learns beside its layers: tables of places, constants, biases of attention.
        own = [_own_numbers(label, weight) for label, weight in module.named_parameters(recurse=False)] if parts else []
        box.children = _folded([*own, *parts])
    return box


def _own_numbers(name: str, weight: Tensor) -> Box:
    return Box(f"{name}: {' x '.join(map(str, weight.shape))}", "", weight.numel())


def _folded(boxes: list[Box]) -> list[Box]:
    """Returns boxes with neighbours that are alike but for their numbers as one, and what is too many as a number."""
    found: list[Box] = []
    for box in boxes:
        if found and _inside(found[-1]) == _inside(box):
            found[-1].times += 1
        else:
            found.append(box)
    if len(found) > _SHOWN:
        rest = found[_SHOWN - 1 :]
        kinds = ", ".join(f"{number} {kind}" for kind, number in Counter(box.kind for box in rest).items())
        numbers = sum(box.numbers * box.times for box in rest)
        found = [*found[: _SHOWN - 1], Box(f"and {kinds}", "", numbers)]
    return found


def _inside(box: Box) -> Any:
    """Returns what makes a box like another."""
    name, _, named = box.title.partition(": ")
    return name.isdigit() or name, named, box.numbers, box.shape, [(child.title, child.times) for child in box.children]


def _numbers(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def _title(name: str, module: nn.Module) -> str:
    """Returns a module's name, what it is, and the sizes of its own weights."""
    kind = type(module).__name__.lstrip("_")
    sizes = ""
    if isinstance(module, nn.Linear):
        sizes = f" {module.in_features} to {module.out_features}"
    elif isinstance(module, nn.Embedding):
        sizes = f" {module.num_embeddings} of {module.embedding_dim}"
    elif isinstance(module, nn.RNNBase):
        sizes = f" {module.input_size} to {module.hidden_size}, {module.num_layers} deep"
    elif hasattr(module, "kernel_size"):
        kernel = "x".join(map(str, module.kernel_size))  # type: ignore[arg-type]
        sizes = f" {module.in_channels} to {module.out_channels}, {kernel}"
    return f"{name}: {kind}{sizes}"


def draw_networks(named: dict[str, Box]) -> bytes:
    """Draws networks side by side; a PNG file's bytes.

    Args:
        named: by what stands above each.
    """
    from search.pictures import finish, new_figure  # noqa: PLC0415 (matplotlib is slow to import)

    height = max(box.lines for box in named.values())
    figure, axes = new_figure(1, len(named), 6.4 * len(named), 0.24 * height + 0.6)
    for axis, (title, box) in zip(axes.flat, named.items(), strict=True):
        _draw(axis, box, 0.0, 1.0, 0.0, 0)
        axis.set_title(f"{title}: {box.numbers:,} learned numbers", fontsize=10)
        axis.set_xlim(-0.01, 1.01)
        axis.set_ylim(height + 0.2, -0.2)
        axis.axis("off")
    return finish(figure)


def _draw(axis: Any, box: Box, left: float, right: float, top: float, depth: int) -> float:
    """Draws a box and what is in it; returns where the next one begins."""
    from matplotlib.patches import FancyBboxPatch  # noqa: PLC0415

    margin = 0.12
    bottom = top + box.lines
    colour = next((found for word, found in _COLOURS.items() if word in box.kind), None)
    colour = _NESTED[min(depth, len(_NESTED) - 1)] if box.children or colour is None else colour
    style = "round,pad=0,rounding_size=0.008"
    place, size = (left, top + margin / 2), (right - left, bottom - top - margin)
    axis.add_patch(
        FancyBboxPatch(place, *size, boxstyle=style, mutation_aspect=25, facecolor=colour, edgecolor="#777777", lw=0.7)
    )
    times = f"  ({box.times} of these)" if box.times > 1 else ""
    axis.text(left + 0.012, top + 0.5, box.title + times, fontsize=7.5, va="center", color="black", clip_on=True)
    told = f"{box.shape}   {box.numbers:,}" if box.shape else f"{box.numbers:,}"
    axis.text(right - 0.012, top + 0.5, told, fontsize=7, va="center", ha="right", color="#333333")
    below = top + 1
    for child in box.children:
        below = _draw(axis, child, left + 0.025, right - 0.012, below, depth + 1)
    return bottom
