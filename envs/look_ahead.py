"""Looking one edit ahead: what each option of an action would improve, tried out on copies of the levels.

Measuring a level costs less than one pass of a designer's network, so that a designer can be shown the outcome of all
its options instead of having to learn to foresee it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from envs.errors import UserError
from envs.problem import Metric, Problem
from envs.representation import ActionSpace, Canvas, Representation
from envs.suite import interval_distances, measure_columns

#: A choice with more options is not tried option by option.
MOST_OPTIONS = 4096

#: Actions of more numbers than this, a flat level's column, row and tile, are as many choices made independently, no
#: one of which has an outcome by itself. A third axis allows one number more.
MOST_NUMBERS = 3


def all_actions(space: ActionSpace, axes: int = 2) -> NDArray[np.int64]:
    """Returns every action of a space, int64 (options,) for a discrete one, else (options, numbers).

    Several numbers count as one number whose last digit is the last of them, as `numpy.unravel_index` counts.

    Args:
        space: the action space of one lane.
        axes: how many axes the levels have.

    Raises:
        UserError: the space has more than MOST_OPTIONS actions, or actions of more numbers than a place and a tile,
            or its actions are no choices.
    """
    if isinstance(space, spaces.Box):
        raise UserError(
            "Looking ahead tries every action, and points in a Box cannot be counted: leave look_ahead out."
        )
    most_numbers = MOST_NUMBERS + axes - 2
    sizes = (int(space.n),) if isinstance(space, spaces.Discrete) else tuple(int(size) for size in space.nvec)
    options = float(np.prod(sizes, dtype=np.float64))
    if options > MOST_OPTIONS or len(sizes) > most_numbers:
        raise UserError(
            f"Looking ahead tries every action, at most {MOST_OPTIONS} of at most {most_numbers} numbers; this "
            f"representation has {options:.3g}, of {len(sizes)}: leave look_ahead out."
        )
    if len(sizes) == 1:
        return np.arange(sizes[0])
    return np.stack(np.unravel_index(np.arange(int(options)), sizes), axis=1).astype(np.int64)


class LookAhead:
    """Tries out every action of a representation.

    Args:
        problem: what is measured.
        representation: what edits.
        action_space: the actions of one lane.
        optional: optional metrics that are measured too.
        weights: float64 (m,), the metrics' weights in the reward.
        play: whether every outcome is played; otherwise metrics that are found by playing are shown as unchanged.
    """

    def __init__(
        self,
        problem: Problem,
        representation: Representation,
        action_space: ActionSpace,
        optional: Sequence[Metric],
        weights: NDArray[np.float64],
        play: bool,
    ) -> None:
        self._problem = problem
        self._representation = representation
        self._optional = tuple(optional)
        self._weights = weights
        self._play = play
        self._played = np.array([metric.play for metric in (*problem.metrics, *optional)])
        self.actions = all_actions(action_space, len(problem.default_shape))

    @property
    def columns(self) -> int:
        """How many numbers describe one option: an improvement for each metric, and the number of tiles changed."""
        return len(self._weights) + 1

    def space(self, spans: NDArray[np.float64], cells: int) -> spaces.Box:
        """Returns the space of what one lane is shown.

        Args:
            spans: float64 (m,), the metrics' ranges.
            cells: how many tiles an action can change at the most.
        """
        most = np.append(np.abs(self._weights) * spans, cells).astype(np.float32)
        high = np.tile(most, len(self.actions))
        low = np.tile(np.append(-most[:-1], 0).astype(np.float32), len(self.actions))
        return spaces.Box(low, high, dtype=np.float32)

    def improvements(
        self,
        canvas: Canvas,
        lanes: NDArray[np.int64],
        measured: NDArray[np.float32],
        low: NDArray[np.float64],
        high: NDArray[np.float64],
    ) -> NDArray[np.float32]:
        """Tries every action in some lanes, on copies.

        Args:
            canvas: the batch; left as it is.
            lanes: int64 (k,).
            measured: float32 (k, m), what the lanes' levels measure now.
            low: float64 (k, m), the low ends of the target intervals.
            high: float64 (k, m), the high ends.

        Returns:
            float32 (k, options * columns): for each option, how much reward each metric would bring, and how many tiles
            would change.
        """
        options = len(self.actions)
        origins = np.repeat(lanes, options)
        copies = Canvas(
            levels=canvas.levels[origins],
            frozen=canvas.frozen[origins],
            shapes=canvas.shapes[origins],
            cursors=canvas.cursors[origins],
            remaining=canvas.remaining[origins],
            free=canvas.free[origins],
            number_of_tiles=canvas.number_of_tiles,
            notes={name: part[origins] for name, part in canvas.notes.items()},
        )
        number = len(origins)
        draws = np.zeros((number, self._representation.draws_per_step))
        actions = np.tile(self.actions, (len(lanes), *(1,) * (self.actions.ndim - 1)))
        changed = self._representation.edit(copies, actions, np.ones(number, np.bool_), draws)
        shown = np.zeros((number, self.columns), np.float32)
        shown[:, -1] = changed
        tried = changed.nonzero()[0]
        if len(tried):
            parents = tried // options
            outcomes = measure_columns(self._problem, copies.levels[tried], self._optional, self._play)
            if not self._play:
                outcomes[:, self._played] = measured[parents][:, self._played]
            before = interval_distances(measured, low, high)
            after = interval_distances(outcomes, low[parents], high[parents])
            shown[tried, :-1] = (before[parents] - after) * self._weights
        return shown.reshape(len(lanes), -1)
