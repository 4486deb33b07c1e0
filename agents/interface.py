"""What goes into and comes out of a designer's network: sizes alone, without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
from gymnasium import spaces

from envs.errors import UserError
from envs.vector_env import DesignVectorEnv

#: Observation parts that describe the whole level in a few numbers, in the order in which networks read them.
VECTOR_PARTS = ("metrics", "start_metrics", "budget", "targets", "latent")

#: Real numbers that a designer draws lie between minus this and this; engines ask for bounds that are finite.
_FAR = 1e6


@dataclass(frozen=True)
class ActionCode:
    """How a designer's action is one or more choices among equally many options.

    A discrete action is one choice. An action of a place and a tile at most (wide, the cast forms) is one choice among
    all combinations of its numbers, so that the policy can weigh them together; an action of more numbers (multi,
    cellular) is as many choices, made independently. An action of real numbers (latent) is drawn from a normal
    distribution about what the network says, and kept within the action space's bounds.

    Attributes:
        sizes: how many values each number of the environment's action has; one number for a discrete action, none for
            an action of real numbers.
        axes: how many axes levels have, which is how many numbers a place has.
        numbers: how many real numbers an action is, or 0.
        bound: real numbers lie between minus this and this.
    """

    sizes: tuple[int, ...]
    axes: int = 2
    numbers: int = 0
    bound: float = 1.0

    @classmethod
    def of(cls, space: spaces.Space, axes: int = 2) -> ActionCode:
        """Returns the code for an action space on levels of so many axes.

        Raises:
            UserError: the space is neither discrete nor a list of numbers with one bound.
        """
        if isinstance(space, spaces.Discrete):
            return cls((int(space.n),), axes)
        if isinstance(space, spaces.MultiDiscrete):
            return cls(tuple(int(size) for size in space.nvec), axes)
        if isinstance(space, spaces.Box) and len(space.shape) == 1:
            bound = float(space.high[0])
            if bound > 0 and (space.high == bound).all() and (space.low == -bound).all():
                return cls((), axes, space.shape[0], bound)
        raise UserError(f"Designers act by Discrete or MultiDiscrete actions, or a Box from -b to b; got {space}.")

    @property
    def joint(self) -> bool:
        """Whether the action is one choice."""
        return not self.numbers and len(self.sizes) <= self.axes + 1

    @property
    def choices(self) -> int:
        """How many choices are made, or how many real numbers an action is."""
        return self.numbers or (1 if self.joint else len(self.sizes))

    @property
    def options(self) -> int:
        """How many options each choice has; 1 stands for a real number's mean."""
        if self.numbers:
            return 1
        return int(np.prod(self.sizes)) if self.joint else max(self.sizes)

    def decode(self, chosen: np.ndarray) -> np.ndarray:
        """Returns the environment's actions for the choices made, int64 (n, choices), or real numbers (n, numbers)."""
        if self.numbers:
            return (chosen * self.bound).clip(-self.bound, self.bound).astype(np.float32)
        if not self.joint:
            return chosen
        if len(self.sizes) == 1:
            return chosen[:, 0]
        return np.stack(np.unravel_index(chosen[:, 0], self.sizes), axis=1)

    def space(self) -> spaces.Space:
        """Returns the action space in which the policy chooses; real numbers in the unit of their bound."""
        if self.numbers:
            # The environment's bounds are kept by `decode`: clipping here would hide from the learner what was drawn.
            return spaces.Box(-_FAR, _FAR, (self.numbers,), np.float32)
        if self.joint:
            return spaces.Discrete(self.options)
        return spaces.MultiDiscrete(np.array(self.sizes))


@dataclass(frozen=True)
class Interface:
    """The sizes of what goes into and comes out of a network.

    Attributes:
        tiles: the number of ids that the map can show, the one for outside included.
        map_shape: (rows, columns) of the map, or (storeys, rows, columns).
        vector: how many numbers describe the level besides.
        cursor: the shape that a cursor moves in, or () without one.
        frozen: whether frozen tiles are shown.
        sizes: the action code's sizes.
        per_cell: whether every cell of the map has its own options (wide and cellular).
        look_ahead: how many numbers looking ahead shows of each option, or 0 without it.
        numbers: how many real numbers an action is, or 0.
        bound: see `ActionCode`.
        passes: how many passes the cells are visited in, where the observation tells the pass, or 0.
        masked: whether the observation tells which options are allowed.
    """

    tiles: int
    map_shape: tuple[int, ...]
    vector: int
    cursor: tuple[int, ...]
    frozen: bool
    sizes: tuple[int, ...]
    per_cell: bool
    look_ahead: int = 0
    numbers: int = 0
    bound: float = 1.0
    passes: int = 0
    masked: bool = False

    @classmethod
    def of(cls, env: DesignVectorEnv) -> Interface:
        """Reads the sizes off an environment."""
        parts = cast("spaces.Dict", env.single_observation_space).spaces
        shapes = {name: part.shape or () for name, part in parts.items()}
        tiles = len(env.problem.tiles)
        code = ActionCode.of(env.single_action_space)
        sizes = code.sizes
        wide = (env.shape[-1], env.shape[-2], *env.shape[:-2], tiles)
        per_cell = not env.representation.has_cursor and sizes in (wide, (tiles,) * math.prod(env.shape))
        return cls(
            tiles=int(cast("spaces.MultiDiscrete", parts["map"]).nvec.max()),
            map_shape=tuple(env.map_shape),
            vector=sum(shapes[name][0] for name in VECTOR_PARTS if name in parts),
            cursor=tuple(env.shape) if "cursor" in parts else (),
            frozen="frozen" in parts,
            sizes=sizes,
            per_cell=per_cell,
            look_ahead=shapes["look_ahead"][0] // int(np.prod(sizes)) if "look_ahead" in parts else 0,
            numbers=code.numbers,
            bound=code.bound,
            passes=int(cast("spaces.MultiDiscrete", parts["pass"]).nvec[0]) if "pass" in parts else 0,
            masked="allowed" in parts,
        )

    @property
    def code(self) -> ActionCode:
        """The action code."""
        return ActionCode(self.sizes, len(self.map_shape), self.numbers, self.bound)

    @property
    def extra(self) -> int:
        """How many numbers a network reads besides the map."""
        return self.vector + sum(self.cursor) + self.passes
