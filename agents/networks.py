"""The networks of designers, written once in torch for every engine that trains them.

A network maps a batch of observations (see `envs.vector_env.DesignVectorEnv`) to the logits of one or more independent
choices, float32 (n, choices, options), and to values, float32 (n,).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Annotated, Any, Literal, cast

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Normal
from torch.nn import functional

from agents.interface import VECTOR_PARTS, Interface
from agents.policy import Acted, Evaluated, Policy, draw
from envs.errors import UserError, unknown_name
from generators.graphs import Graph
from generators.searchable import Choice, Whole

#: The standard deviation of a designer's first draws of real numbers, in the unit of the action space's bound.
_FIRST_SPREAD = 0.5

#: The logit of an option that is not allowed: its probability is 0 in float32, its entropy no NaN.
_NEVER = -1e9


@dataclass(frozen=True)
class NetworkConfig:
    """What decides a network's shape; saved with its weights.

    Attributes:
        kind: "mlp" reads the map as one long vector; "conv" slides over it and, for representations that act on every
            cell, has a head for every cell; "scorer" scores each option by what looking ahead shows of it; "auto" takes
            the scorer where the environment looks ahead, else conv for wide and cellular and mlp for the others.
        width: the hidden width of an mlp, and of value heads.
        depth: the number of hidden layers of an mlp.
        channels: the channels of a conv network, and the hidden width of a scorer.
        blocks: how many 3x3 layers follow a conv network's first layer.
        shared: whether these layers are one and the same, a neural cellular automaton (Mordvintsev 2020).
    """

    kind: Annotated[Literal["auto", "mlp", "conv", "scorer"], Choice()] = "auto"
    width: Annotated[int, Whole(32, 512, log=True)] = 256
    depth: Annotated[int, Whole(1, 4, when={"kind": ("mlp",)})] = 2
    channels: Annotated[int, Whole(8, 64, log=True, when={"kind": ("conv", "scorer")})] = 32
    blocks: Annotated[int, Whole(0, 6, when={"kind": ("conv",)})] = 2
    shared: Annotated[bool, Choice(when={"kind": ("conv",)})] = False

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        least_channels = 0 if self.kind == "scorer" else 1
        for name, least in (("width", 2), ("depth", 1), ("channels", least_channels), ("blocks", 0)):
            if getattr(self, name) < least:
                raise UserError(f"A {self.kind} network needs {name} of at least {least}; got {getattr(self, name)}.")

    def resolved(self, interface: Interface) -> NetworkConfig:
        """Returns the configuration with a kind in place of "auto"."""
        if self.kind != "auto":
            return self
        return replace(self, kind="scorer" if interface.look_ahead else "conv" if interface.per_cell else "mlp")


class DesignerNetwork(Policy):
    """A policy and a value over observations of the level-design environments.

    Calling it returns logits, float32 (n, choices, options), or means (n, numbers, 1), and values.
    """

    one_hot: Tensor

    def __init__(self, interface: Interface, config: NetworkConfig) -> None:
        super().__init__()
        self.interface = interface
        self.config = config
        self.code = interface.code
        planes = interface.tiles + int(interface.frozen)
        self.register_buffer("one_hot", torch.eye(interface.tiles), persistent=False)
        bodies = {"mlp": _Mlp, "conv": _Conv, "scorer": _Scorer}
        resolved = config.resolved(interface)
        kind = resolved.kind
        if kind not in bodies:
            raise unknown_name("network kind", kind, ["auto", *bodies])
        resolved.check()
        if kind == "scorer" and not interface.look_ahead:
            raise UserError("A scorer needs an environment that looks ahead: add look_ahead, or choose mlp or conv.")
        self.body = bodies[kind](planes, interface, interface.extra, config)
        if self.code.numbers:
            self.spread = nn.Parameter(torch.full((self.code.numbers,), math.log(_FIRST_SPREAD)))

    def distribution(self, observation: Mapping[str, Tensor]) -> tuple[Distribution, Tensor]:
        """Returns what actions are drawn from, its choices being (n, choices), and values, float32 (n,)."""
        scores, values = self(observation)
        if self.code.numbers:
            return Normal(scores[:, :, 0], self.spread.exp().expand(len(scores), -1), validate_args=False), values
        return Categorical(logits=scores, validate_args=False), values

    def act(
        self,
        observation: Mapping[str, Tensor],
        random: torch.Generator | None = None,
        deterministic: bool = False,
    ) -> Acted:
        """Acts in a batch of observations; see `Policy.act`."""
        distribution, values = self.distribution(observation)
        actions = draw(distribution, random, deterministic)
        return Acted(actions, distribution.log_prob(actions).sum(dim=1), values)

    def evaluate(self, rows: Mapping[str, Tensor]) -> Evaluated:
        """Judges steps again; see `Policy.evaluate`. Rows have a key `observation.NAME` for each part."""
        observation = {name.partition(".")[2]: part for name, part in rows.items() if name.startswith("observation.")}
        distribution, values = self.distribution(observation)
        actions = rows["actions"].view(len(values), -1)
        if not self.code.numbers:
            actions = actions.long()
        return Evaluated(distribution.log_prob(actions).sum(dim=1), values, distribution.entropy().sum(dim=1))

    def env_actions(self, actions: NDArray) -> NDArray:
        """Returns what the environment is given for actions; see `Policy.env_actions`."""
        return self.code.decode(actions)

    def read(self, observation: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor | None]:
        """Returns what the network's body computes with.

        Returns:
            The map, float32 (n, cells, planes); all else, float32 (n, interface.extra); and what looking ahead shows,
            float32 (n, numbers), or None.
        """
        maps = self.one_hot[observation["map"].long()]
        if self.interface.frozen:
            maps = torch.cat([maps, observation["frozen"].float()[..., None]], dim=2)
        vector = [observation[name].float() for name in VECTOR_PARTS if name in observation]
        if self.interface.cursor:
            cursor = observation["cursor"].long()
            vector += [functional.one_hot(cursor[:, i], size).float() for i, size in enumerate(self.interface.cursor)]
        if self.interface.passes:
            vector.append(functional.one_hot(observation["pass"][:, 0].long(), self.interface.passes).float())
        options = observation["look_ahead"].float() if self.interface.look_ahead else None
        return maps, torch.cat(vector, dim=1), options

    def forward(self, observation: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Returns logits, float32 (n, choices, options), or means (n, numbers, 1), and values, float32 (n,)."""
        logits, values = self.body(*self.read(observation))
        if self.interface.masked:
            logits = logits.masked_fill(observation["allowed"][:, None] == 0, _NEVER)
        return logits, values

    def graph(self, parts: Sequence[str]) -> Graph:
        """Returns the network as designing calls it: from the parts of an observation to what actions are drawn from.

        These are scores, (n, choices, options), or of actions of real numbers means, (n, numbers, 1), and the standard
        deviations, (n, numbers).

        Args:
            parts: the names of the parts, in the order in which they are given.
        """

        def call(*given: Tensor) -> Tensor | tuple[Tensor, Tensor]:
            scores, _ = self(dict(zip(parts, given, strict=True)))
            if not self.code.numbers:
                return torch.as_tensor(scores)
            return scores, self.spread.exp().expand(scores.shape[0], -1)

        return Graph(call, tuple(parts), ("scores", "spread") if self.code.numbers else ("scores",))

    def description(self) -> dict[str, Any]:
        """Returns what is needed to build the same network again, as plain data."""
        return {"interface": asdict(self.interface), "network": asdict(self.config)}


def _linear(inputs: int, outputs: int, gain: float = 2**0.5) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


class _Mlp(nn.Module):
    """Reads the map and the vector as one long vector."""

    def __init__(self, planes: int, interface: Interface, extra: int, config: NetworkConfig) -> None:
        super().__init__()
        code = interface.code
        self.outputs = (code.choices, code.options)
        sizes = [math.prod(interface.map_shape) * planes + extra] + [config.width] * config.depth
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            layers += [_linear(inputs, outputs), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        self.policy = _linear(config.width, code.choices * code.options, 0.01)
        self.value = nn.Sequential(
            _linear(config.width, config.width // 2), nn.ReLU(), _linear(config.width // 2, 1, 1.0)
        )

    def forward(self, maps: Tensor, vector: Tensor, options: Tensor | None) -> tuple[Tensor, Tensor]:
        features = self.trunk(torch.cat([maps.flatten(1), vector], dim=1))
        return self.policy(features).view(-1, *self.outputs), self.value(features)[:, 0]


def _convolution(interface: Interface, inputs: int, outputs: int, side: int) -> nn.Module:
    """Returns a layer that slides a window of so many cells a side over maps of two or three axes."""
    layer = nn.Conv2d if len(interface.map_shape) == 2 else nn.Conv3d
    return layer(inputs, outputs, side, padding=side // 2)


def _planes(maps: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Returns maps, (n, cells, planes), as a convolution reads them: (n, planes, *shape)."""
    return maps.transpose(1, 2).reshape(maps.shape[0], -1, *shape)


def _as_wide_counts(cells: Tensor) -> Tensor:
    """Returns what stands in cells, (n, planes, [storeys,] rows, columns), cell after cell: (n, cells, planes).

    Wide counts columns first, then rows, then storeys.
    """
    order = (4, 3, 2) if cells.dim() == 5 else (3, 2)
    return cells.permute(0, *order, 1).flatten(1, -2)


class _Conv(nn.Module):
    """Slides over the map, with the vector added everywhere; heads stand on every cell or on all of them."""

    def __init__(self, planes: int, interface: Interface, extra: int, config: NetworkConfig) -> None:
        super().__init__()
        self.interface = interface
        code = interface.code
        channels = config.channels
        self.outputs = (code.choices, code.options)
        self.first = _convolution(interface, planes + 1, channels, 5)
        different = min(1, config.blocks) if config.shared else config.blocks
        self.depth = config.blocks
        self.blocks = nn.ModuleList(_convolution(interface, channels, channels, 3) for _ in range(different))
        self.everywhere = _linear(extra, channels)
        summary = 2 * channels + extra
        self.value = nn.Sequential(_linear(summary, config.width), nn.ReLU(), _linear(config.width, 1, 1.0))
        tiles = interface.tiles - 1
        if interface.per_cell:
            self.policy = _convolution(interface, channels, tiles, 1)
            nn.init.orthogonal_(cast("Tensor", self.policy.weight), 0.01)
        else:
            self.policy = nn.Sequential(
                _linear(channels * math.prod(interface.map_shape) + extra, config.width),
                nn.ReLU(),
                _linear(config.width, code.choices * code.options, 0.01),
            )

    def forward(self, maps: Tensor, vector: Tensor, options: Tensor | None) -> tuple[Tensor, Tensor]:
        planes = _planes(maps, self.interface.map_shape)
        # A plane of ones tells the level from the padding around it.
        planes = torch.cat([planes, torch.ones_like(planes[:, :1])], dim=1)
        everywhere = self.everywhere(vector)
        cells = functional.relu(self.first(planes) + everywhere.view(*everywhere.shape, *(1,) * (planes.dim() - 2)))
        for number in range(self.depth):
            cells = cells + functional.relu(self.blocks[number % len(self.blocks)](cells))
        summary = torch.cat([cells.flatten(2).mean(dim=2), cells.flatten(2).amax(dim=2), vector], dim=1)
        values = self.value(summary)[:, 0]
        if not self.interface.per_cell:
            return self.policy(torch.cat([cells.flatten(1), vector], dim=1)).view(-1, *self.outputs), values
        logits = self.policy(cells)
        if self.interface.code.joint:
            return _as_wide_counts(logits).reshape(-1, *self.outputs), values
        return logits.flatten(2).transpose(1, 2).reshape(-1, *self.outputs), values


class _Scorer(nn.Module):
    """Scores each option by what it would improve, by the level as a whole, and by what stands around the cell.

    It begins as a designer that looks one edit ahead and prefers the greater improvement; training changes how much
    what kind of improvement counts, when and where.
    """

    #: How many times as likely, in powers of e, one unit of reward makes an option at first; and what a change costs.
    first_sharpness = 3.0
    first_price = 0.9

    #: Weights of improvements are learned in this unit, for they are greater than the weights of a network usually are.
    unit = 10.0

    #: The score of options that change nothing where any cell could be changed: they only lose time.
    never = -30.0

    def __init__(self, planes: int, interface: Interface, extra: int, config: NetworkConfig) -> None:
        super().__init__()
        self.interface = interface
        width, columns = config.channels, interface.look_ahead
        self.looks_around = width > 0
        options = interface.code.options
        first = torch.full((columns,), self.first_sharpness)
        first[-1] = -self.first_price
        self.register_buffer("first", first, persistent=False)
        self.weigh = nn.Sequential(
            _linear(extra + 2 * columns, config.width), nn.ReLU(), _linear(config.width, columns, 0.01)
        )
        if width:
            self.outcome = _linear(columns, width)
            self.level = _linear(extra + 2 * columns, width)
            if interface.per_cell:
                self.cells: nn.Module = _convolution(interface, planes, width, 5)
                self.names = nn.Parameter(0.1 * torch.randn(interface.tiles - 1, width))
            else:
                self.cells = nn.Sequential(
                    _linear(math.prod(interface.map_shape) * planes + extra, config.width),
                    nn.ReLU(),
                    _linear(config.width, width),
                )
                self.names = nn.Parameter(0.3 * torch.randn(options, width))
            self.score = _linear(width, 1, 0.01)
        self.value = nn.Sequential(
            _linear(extra + 2 * columns + width, config.width),
            nn.ReLU(),
            _linear(config.width, config.width),
            nn.ReLU(),
            _linear(config.width, 1, 1.0),
        )

    def forward(self, maps: Tensor, vector: Tensor, options: Tensor | None) -> tuple[Tensor, Tensor]:
        assert options is not None
        outcomes = options.unflatten(1, (-1, self.interface.look_ahead))
        level = torch.cat([vector, 0.1 * outcomes.amax(dim=1), 0.1 * outcomes.mean(dim=1)], dim=1)
        weights = self.first + self.unit * self.weigh(level)
        logits = torch.einsum("noc,nc->no", outcomes, weights)
        summary = level
        if self.looks_around:
            # Improvements range from 1 to some 50: logarithms keep small ones visible beside large ones.
            hidden = self.outcome(outcomes.sign() * outcomes.abs().log1p()) + self.level(level)[:, None]
            hidden = functional.relu(hidden + self._surroundings(maps, vector))
            logits = logits + self.score(hidden)[:, :, 0]
            summary = torch.cat([level, hidden.mean(dim=1)], dim=1)
        if self.interface.per_cell:
            logits = logits.masked_fill(outcomes[:, :, -1] == 0, self.never)
        return logits[:, None], self.value(summary)[:, 0]

    def _surroundings(self, maps: Tensor, vector: Tensor) -> Tensor:
        """Returns what is known of each option's place and tile, (n, options, width)."""
        if not self.interface.per_cell:
            return self.cells(torch.cat([maps.flatten(1), vector], dim=1))[:, None] + self.names
        cells = self.cells(_planes(maps, self.interface.map_shape))
        return (_as_wide_counts(cells)[:, :, None] + self.names).flatten(1, 2)


@dataclass
class NetworkRecord:
    """A network's description as read back from a file.

    Attributes:
        interface: what goes in and out.
        network: its shape.
    """

    interface: Interface
    network: NetworkConfig = field(default_factory=NetworkConfig)

    @classmethod
    def parse(cls, description: Mapping[str, Any]) -> NetworkRecord:
        """Reads what `DesignerNetwork.description` returned, lists having become of tuples.

        Raises:
            UserError: something is missing or unknown.
        """
        try:
            interface: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value
                for key, value in description["interface"].items()
            }
            found = Interface(**interface)
            sizes = (
                *(found.tiles, *found.map_shape, found.vector, *found.cursor, *found.sizes),
                *(found.look_ahead, found.numbers, found.passes),
            )
            if len(found.map_shape) not in (2, 3) or not all(isinstance(size, int) and size >= 0 for size in sizes):
                raise ValueError(f"sizes must be whole numbers; got {sizes}")
            return cls(found, NetworkConfig(**description["network"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"This is no description of a designer's network: {error}; retrain or restore the file."
            ) from error

    def build(self) -> DesignerNetwork:
        """Makes the network, with fresh weights.

        Raises:
            UserError: the description names no network that there is.
        """
        try:
            return DesignerNetwork(self.interface, self.network)
        except UserError:
            raise
        except (TypeError, ValueError, RuntimeError, IndexError, ZeroDivisionError) as error:
            reason = str(error).splitlines()[0][:160]
            raise UserError(
                f"This is no description of a designer's network: {reason}; retrain or restore the file."
            ) from error
