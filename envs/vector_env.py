"""The level-design environment: many levels designed side by side, one lane each.

This batched environment is the truth; the single environment (`envs.single_env`) is one lane of it. A step edits,
measures the lanes that changed, pays the improvement, ends episodes, begins new ones and observes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from envs.design_actions import Actions
from envs.design_measures import Measures
from envs.design_options import (
    at_least,
    control,
    extents,
    given_frozen,
    given_levels,
    given_targets,
    interval,
    lane_seeds,
    level_shape,
    names,
    reset_mask,
    share,
    weight,
    with_options,
)
from envs.design_options import autoreset_mode as _autoreset_mode
from envs.design_pictures import LanePictures
from envs.design_starts import Starts
from envs.design_targets import Targets
from envs.errors import UserError, unknown_name
from envs.kernels.edit import crop as crop_kernel
from envs.kernels.episode import (
    CHANGES,
    HIGH,
    INVALID,
    LOW,
    MOST_STEPS,
    NOW,
    NOW_SCALED,
    REMAINING,
    START_SCALED,
    STEPS,
    conclude,
    prepare,
)
from envs.look_ahead import LookAhead
from envs.problem import Metric, Problem
from envs.randomness import Streams
from envs.representation import Canvas, Representation
from envs.suite import get_problem, get_representation, optional_metrics

# NumPy takes a dtype object faster than the class that names it.
_BOOL, _FLOAT32 = np.dtype(np.bool_), np.dtype(np.float32)

#: The keys that `reset(options=...)` knows.
RESET_OPTIONS = ("frozen", "levels", "reset_mask", "targets")

#: The share of tiles that an episode may change, where nothing else is said (Khalifa 2020).
CHANGE_SHARE = 0.2


class DesignVectorEnv(VectorEnv):
    """A batch of level-design episodes (Khalifa 2020), made by `gymnasium.make_vec`.

    **Observation**, a dictionary; every part of it is flat, as Stable-Baselines3 expects of parts that are no images
    (levels of three axes are seen storey by storey):

    - `map`: uint8 (rows * columns), the tile ids in a window around the cursor, row by row; the id after the last
      tile stands for a cell outside the level. The window is wide enough to show the whole level from everywhere
      (2 * height - 1 by 2 * width - 1) unless `crop` says otherwise; representations without a cursor show the level.
      For representations with a cursor, the middle cell is the one that the next action works on.
    - `cursor`: int64 (axes,), its row and column, or its storey, row and column (representations with a cursor only).
    - `metrics`, `start_metrics`: float32 (number of metrics,), what the level and the episode's start level measure,
      scaled by the metrics' bounds to [0, 1].
    - `budget`: float32 (1,), the share of the change budget that is left (representations with a budget only).
    - `targets`: float32 (2 * number of controls,), with `controls` only: the low ends of the controlled metrics'
      target intervals and then the high ends, scaled likewise.
    - `frozen`: int8 (rows * columns), with `frozen_share` only, or where frozen tiles were asked for by
      `observe_frozen`: 1 where the window shows a tile that no action changes.

    - `pass`, `allowed`, and a `map` of its own: see `envs.representations.sequence`.
    - `latent`: see `envs.representations.latent`.
    - `look_ahead`: float32 (options * (number of metrics + 1),), with `look_ahead` only: for every action (see
      `envs.look_ahead.all_actions`) the reward that each metric would bring, and how many tiles would change.

    **Reward**: the sum over metrics of weight * (distance to target before - distance after), so that an episode's
    return is the whole improvement.

    **End**: `terminated` when the problem's published rule of success holds or the change budget is spent; with
    `controls` or `targets`, when every metric with a finite target is inside its interval or the budget is spent. Where
    the representation has a last action (latent, sequence), with that one. `truncated` at the step limit.

    **Info**: every metric by its name, float32; `success` (the published rule) and `strict_success` (the rule that
    ends episodes, every metric with a finite target inside its interval, and the level completed by our player),
    bool; `changes` and `steps`, int64.

    Lane i of `reset(seed=s)` goes through the same episodes as a single environment reset with seed s + i.

    Args:
        problem: a problem or its name.
        representation: a representation or its name.
        num_envs: the number of lanes.
        autoreset_mode: "NextStep" (the step after an end resets), "SameStep" or "Disabled".
        shape: the level's (height, width) or (depth, height, width), or the greatest where `min_shape` is given; None
            is the problem's default.
        min_shape: draw each episode's shape uniformly between this and `shape`; None always takes `shape`.
        change_share: the share of the level's tiles that an episode may change; None does not limit changes; "auto" is
            0.2, or None for representations without a change budget.
        step_limit: the most steps an episode may take; None is the change budget times the number of tiles, and no
            limit for representations whose last action ends the episode.
        crop: (rows, columns) or (storeys, rows, columns) of the window around the cursor; None shows everything;
            "level" shows the level as it stands instead of a window around the cursor.
        frozen_share: the chance of each tile of a start level to be frozen.
        observe_frozen: show frozen tiles in the observation; None means where `frozen_share` is not 0.
        weights: metric weights that replace the problem's, by name.
        targets: target intervals that replace the problem's, by name: a number or (low, high).
        controls: metrics whose target each episode draws, uniform over the whole numbers between the metric's bounds
            or between the ends given as (name, low, high), and shows in the observation (Earle 2021).
        extra_metrics: names of the problem's optional metrics to measure, reward and report as well.
        start_levels: tile ids (k, height, width); each episode starts from one of them, drawn at random. None draws
            random levels from the problem's start distribution.
        play_every: measure the metrics that are found by playing (sokoban's sol-length) every so many steps, and where
            an episode begins and ends; 0 only at these. In between they stand as they were measured last.
        reward_every: pay the improvement every so many steps and at the end of the episode; 0 only at the end.
        end_on_success: whether success ends the episode; it never ends a sequence.
        look_ahead: show what every action would improve; for actions of one to three numbers, and one level shape.
        render_mode: "rgb_array", "human" (a window that shows the first lane) or None.
        tile_size: the side of a drawn tile in pixels.
        **representation_options: the representation's own options (`order`, `wrap`, `paths`, `decoder`).

    Raises:
        UserError: an option cannot be used.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array", "human"], "render_fps": 10}

    #: None until the options are known to be usable.
    _pictures: LanePictures | None = None
    _final_levels: NDArray[np.uint8] | None = None

    def __init__(
        self,
        problem: str | Problem,
        representation: str | Representation,
        num_envs: int = 1,
        *,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        shape: Sequence[int] | None = None,
        min_shape: Sequence[int] | None = None,
        change_share: float | str | None = "auto",
        step_limit: int | None = None,
        crop: Sequence[int] | str | None = None,
        frozen_share: float = 0.0,
        observe_frozen: bool | None = None,
        weights: Mapping[str, float] | None = None,
        targets: Mapping[str, Any] | None = None,
        controls: Sequence[Any] = (),
        extra_metrics: Sequence[str] = (),
        start_levels: ArrayLike | None = None,
        play_every: int = 1,
        reward_every: int = 1,
        end_on_success: bool = True,
        look_ahead: bool = False,
        render_mode: str | None = None,
        tile_size: int = 16,
        **representation_options: Any,
    ) -> None:
        self.problem = get_problem(problem)
        own_options = [name for name in DesignVectorEnv.__init__.__kwdefaults__ or () if name != "render_mode"]
        self.representation = with_options(get_representation(representation), representation_options, own_options)
        self.num_envs = at_least("num_envs", num_envs, 1)
        self.autoreset_mode = _autoreset_mode(autoreset_mode)
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise unknown_name("render_mode", render_mode, self.metadata["render_modes"])
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.render_mode = render_mode
        self.tile_size = at_least("tile_size", tile_size, 4)

        self.shape = level_shape("shape", shape, self.problem, self.problem.default_shape)
        least_shape = level_shape("min_shape", min_shape, self.problem, self.shape)
        if any(least > most for least, most in zip(least_shape, self.shape, strict=True)):
            raise UserError(f"min_shape {least_shape} must not exceed shape {self.shape} in any direction.")
        self.representation.check(self.problem.name, self.shape, least_shape)
        self.change_share = self._share_of_changes(change_share)
        frozen_share = share("frozen_share", frozen_share, zero=True)
        self._step_limit = None if step_limit is None else at_least("step_limit", step_limit, 1)
        self._observe_frozen = frozen_share > 0 if observe_frozen is None else observe_frozen
        self._reward_every = at_least("reward_every", reward_every, 0)
        self._play_every = at_least("play_every", play_every, 0)
        if start_levels is not None:
            start_levels = self.problem.check_levels(start_levels)
            if start_levels.shape[1:] != self.shape or least_shape != self.shape or not len(start_levels):
                raise UserError(
                    f"start_levels must be one or more levels of shape {self.shape}; "
                    f"got an array of shape {start_levels.shape}; give shape= to match and no min_shape."
                )
        self._starts = Starts(self.problem, self.shape, least_shape, start_levels, frozen_share)

        self._extra = optional_metrics(self.problem, names("extra_metrics", extra_metrics))
        self.metrics = (*self.problem.metrics, *self._extra)
        self.metric_names = tuple(metric.name for metric in self.metrics)
        self._weights = np.array([metric.weight for metric in self.metrics], np.float64)
        for name, value in (weights or {}).items():
            self._weights[self._metric(name)] = weight(name, value)
        wanted = np.array([metric.target for metric in self.metrics], np.float64)
        for name, target in (targets or {}).items():
            wanted[self._metric(name)] = interval(name, target)
        self._controls = [control(one, self._metric) for one in names("controls", controls)]
        self._own_targets = bool(self._controls or targets)

        self._make_spaces(crop, look_ahead)
        self._make_state(wanted, end_on_success)
        title = f"Tilewright: {self.problem.name} {self.representation.name}"
        self._pictures = LanePictures(self.problem, self.representation.has_cursor, self.tile_size, title)

    # The static side: names, bounds and spaces.

    def _share_of_changes(self, given: float | str | None) -> float | None:
        if given is None or given == "auto":
            return CHANGE_SHARE if given and self.representation.has_budget else None
        if not self.representation.has_budget:
            raise UserError(
                f"{self.representation.name} writes whole levels, without a change budget; got change_share={given!r}: "
                "leave it out."
            )
        return share("change_share", given, zero=False)

    def _metric(self, name: object) -> int:
        if name not in self.metric_names:
            raise unknown_name(f"metric of {self.problem.name}", name, self.metric_names)
        return self.metric_names.index(str(name))

    def _make_spaces(self, crop: Sequence[int] | str | None, look_ahead: bool) -> None:
        tiles = len(self.problem.tiles)
        if crop is None and self.representation.shows_level:
            crop = "level"
        self._crops = self.representation.has_cursor and crop != "level"
        if not self._crops or crop is None:
            if crop is not None and crop != "level":
                raise UserError(
                    f"{self.representation.name} has no cursor to crop around; got crop={crop!r}: leave it out."
                )
            self.map_shape = tuple(2 * size - 1 for size in self.shape) if self._crops else self.shape
        else:
            self.map_shape = extents("crop", crop, len(self.shape))
        cells = int(np.prod(self.map_shape))
        self.single_action_space = self.representation.action_space(self.shape, tiles)
        self._map_ids = self.representation.map_ids(tiles)
        level_map = spaces.MultiDiscrete(np.full(cells, self._map_ids), np.uint8)
        # Gymnasium keeps the sizes in the dtype of the values; learners that add them up need more than a byte.
        level_map.nvec = level_map.nvec.astype(np.int64)
        parts: dict[str, spaces.Space] = {"map": level_map}
        if self.representation.has_cursor:
            parts["cursor"] = spaces.MultiDiscrete(list(self.shape))
        if self._observe_frozen:
            parts["frozen"] = spaces.MultiBinary(cells)
        metrics = len(self.metrics)
        parts["metrics"] = spaces.Box(0, 1, (metrics,), np.float32)
        parts["start_metrics"] = spaces.Box(0, 1, (metrics,), np.float32)
        if self.representation.has_budget:
            parts["budget"] = spaces.Box(0, 1, (1,), np.float32)
        if self._controls:
            parts["targets"] = spaces.Box(0, 1, (2 * len(self._controls),), np.float32)
        own_parts = self.representation.parts(self.shape, tiles)
        parts |= own_parts
        self._has_own_parts = bool(own_parts)
        self._look_ahead: LookAhead | None = None
        if look_ahead:
            if not self.representation.can_look_ahead:
                raise UserError(
                    f"{self.representation.name} has nothing to show of single actions: leave look_ahead out."
                )
            if not self._starts.same_shape:
                raise UserError("look_ahead needs levels of one shape: leave min_shape or look_ahead out.")
            self._look_ahead = LookAhead(
                self.problem,
                self.representation,
                self.single_action_space,
                self._extra,
                self._weights,
                play=self._play_every == 1,
            )
            bounds = np.array([metric.bounds(self.shape) for metric in self.metrics], np.float64)
            parts["look_ahead"] = self._look_ahead.space(bounds[:, 1] - bounds[:, 0], math.prod(self.shape))
        self.single_observation_space = spaces.Dict(parts)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._actions = Actions(self.single_action_space, self.num_envs)

    def _make_state(self, wanted: NDArray[np.float64], end_on_success: bool) -> None:
        lanes, metrics = self.num_envs, len(self.metrics)
        self._streams = Streams(lanes)
        self._counters = np.zeros((5, lanes), np.int64)
        self._canvas = Canvas(
            levels=np.zeros((lanes, *self.shape), np.uint8),
            frozen=np.zeros((lanes, *self.shape), np.bool_),
            shapes=np.tile(np.array(self.shape, np.int64), (lanes, 1)),
            cursors=np.zeros((lanes, len(self.shape)), np.int64),
            remaining=self._counters[REMAINING],
            free=np.full(lanes, math.prod(self.shape), np.int64),
            number_of_tiles=len(self.problem.tiles),
            notes=self.representation.notes(lanes, self.shape, len(self.problem.tiles)),
        )
        same_shape = self.shape if self._starts.same_shape else None
        self._targets = Targets(self.metrics, wanted, self._controls, lanes, same_shape)
        self._fresh_counters = self._counters_of(math.prod(self.shape))[:, None]
        self._measures = Measures(
            self.problem,
            self._extra,
            self._weights,
            self._targets,
            self._canvas,
            self._starts.same_shape,
            self._play_every,
        )
        if end_on_success and self.representation.heeds_success:
            # The targets where the caller gave or controls them, else the published rule.
            self._measures.goal = self._measures.met if self._own_targets else self._measures.success
        # Views of what is copied into every observation and info.
        self._scaled_metrics = self._measures.metrics[NOW_SCALED : START_SCALED + 1]
        self._metric_columns = self._measures.metrics[NOW].T
        self._counts = self._counters[CHANGES : STEPS + 1]
        # The lanes that begin anew in the next step.
        self._done = np.zeros(lanes, np.bool_)
        self._begun = False

        # Room to work in, so that steps allocate nothing but what they return.
        self._active = np.zeros(lanes, np.bool_)
        self._ended = np.zeros(lanes, np.bool_)
        self._uniforms = np.zeros((lanes, self.representation.draws_per_step))
        self._draws_at_start = self.representation.draws(self.shape)
        self._unchanged = np.zeros(lanes, np.int64)
        if self._look_ahead is not None:
            # What was seen ahead stays true until the lane's level or cursor changes.
            options = len(self._look_ahead.actions) * self._look_ahead.columns
            self._ahead = np.zeros((lanes, options), np.float32)
            self._stale = np.zeros(lanes, np.bool_)
        self._nobody = np.zeros(lanes, np.bool_)
        # Written by the representation as lanes come to their ends.
        finished = self.representation.finished(self._canvas)
        self._finished = self._nobody if finished is None else finished

        every_lane = np.ones(lanes, np.bool_)
        every_lane.flags.writeable = False
        # Picks the rows of an array at a third of the price of a loop over it.
        self._rows = itemgetter(*range(metrics)) if metrics > 1 else tuple
        self._info_names = (*self.metric_names, "success", "strict_success", "changes", "steps")
        # The masks never differ, so that one read-only array serves all infos.
        self._info_masks = {key: every_lane for name in self._info_names for key in (name, "_" + name)}

    # What callers may look at.

    @property
    def levels(self) -> NDArray[np.uint8]:
        """A copy of the levels as they stand, uint8 (num_envs, *shape)."""
        return self._canvas.levels.copy()

    @property
    def most_steps(self) -> int:
        """The most steps that an episode on a level of `shape` may take."""
        return int(self._fresh_counters[MOST_STEPS, 0])

    @property
    def controlled_metrics(self) -> tuple[Metric, ...]:
        """The metrics whose targets are drawn, in the order of the observation's `targets`."""
        return tuple(self.metrics[column] for column, _, _ in self._controls)

    @property
    def final_levels(self) -> NDArray[np.uint8] | None:
        """The levels that episodes ended with in the latest step in which any did, in the order of their lanes.

        In the SAME_STEP mode, uint8 (episodes, *shape); in the others `levels` holds them until the next step, and this
        is None.
        """
        return self._final_levels

    @property
    def frozen(self) -> NDArray[np.bool_]:
        """A copy of where no action may change a tile, bool (num_envs, *shape)."""
        return self._canvas.frozen.copy()

    @property
    def cursors(self) -> NDArray[np.int64]:
        """A copy of the cursors' places, int64 (num_envs, axes)."""
        return self._canvas.cursors.copy()

    @property
    def level_shapes(self) -> NDArray[np.int64]:
        """A copy of each lane's own shape, int64 (num_envs, axes)."""
        return self._canvas.shapes.copy()

    @property
    def measured(self) -> NDArray[np.float32]:
        """A copy of the metrics of the levels as they stand, float32 (num_envs, number of metrics)."""
        return self._measures.metrics[NOW].copy()

    def action_masks(self) -> NDArray[np.bool_]:
        """Returns which actions mean what they say, by the name that maskable learners look for.

        Every action can be taken nevertheless; what one means that does not count is for the representation to say
        (`sequence`). Of the other representations every action counts.

        Returns:
            bool (num_envs, actions), for actions of several numbers (num_envs, sum of their sizes).

        Raises:
            UserError: actions are points in a Box.
        """
        allowed = self.representation.allowed(self._canvas)
        if isinstance(self.single_action_space, spaces.Box):
            raise UserError(f"The actions of {self.representation.name} are points, not choices: there are no masks.")
        return np.ones((self.num_envs, int(self._actions.sizes.sum())), np.bool_) if allowed is None else allowed

    # Episodes.

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, NDArray], dict[str, Any]]:
        """Begins new episodes.

        Args:
            seed: lane i's stream is restarted with seed + i; a list gives each lane's own seed; None goes on.
            options: any of `levels`: tile ids of the level's shape for all lanes, or (num_envs, *shape);
                `frozen`: bool of the same shape, True where no action may change the tile; `targets`: by metric name a
                number, (low, high), or an array (num_envs,) or (num_envs, 2), which reward and observation follow (what
                ends an episode is settled when the environment is made); `reset_mask`: bool (num_envs,), the lanes
                to reset, the others going on undisturbed. It is not changed.

        Returns:
            Observations and infos. With a `reset_mask` the infos are of the lanes that it names.

        Raises:
            UserError: the seed or an option cannot be used; nothing has been reset then.
        """
        options = {} if options is None else options
        if not isinstance(options, Mapping):
            raise UserError(f"options must be a mapping with keys among {', '.join(RESET_OPTIONS)}; got {options!r}.")
        for key in options:
            if key not in RESET_OPTIONS:
                raise unknown_name("reset option", key, RESET_OPTIONS)
        mask = reset_mask(options.get("reset_mask"), self.num_envs, self._begun)
        levels = given_levels(options.get("levels"), self.problem, self.shape, self.num_envs)
        frozen = given_frozen(options.get("frozen"), self.shape, self.num_envs)
        targets = given_targets(options.get("targets"), self._metric, self.num_envs)
        seeds = lane_seeds(seed, self.num_envs)
        begun = np.ones(self.num_envs, np.bool_) if mask is None else mask.copy()
        lanes = begun.nonzero()[0]
        if seed is not None:
            for lane in lanes:
                one = seeds[lane]
                if one is not None:
                    self._streams.seed(int(lane), one)
        self._begin(lanes, levels, frozen, targets)
        self._measure(self._nobody, self._unchanged, begun)
        self._done[lanes] = False
        self._begun = True
        observations, _, _, _, infos, _ = self._conclude(self._nobody, self._unchanged, self._ended)
        return observations, infos if mask is None else _masked(infos, self._info_names, mask)

    def step(
        self, actions: ArrayLike
    ) -> tuple[dict[str, NDArray], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Applies one action in every lane.

        Args:
            actions: integers, or floats for a Box, of the shape of `action_space`.

        Returns:
            Observations, rewards float64 (num_envs,), terminations and truncations bool (num_envs,), and infos; the
            arrays are the caller's to keep. In the NEXT_STEP mode a lane that ended in the step before begins anew
            instead of acting, with reward 0.

        Raises:
            UserError: the actions are of the wrong shape or out of range, or a lane has ended and must be reset.
        """
        checked = self._check_actions(actions)
        changed = self.representation.edit(self._canvas, checked, self._active, self._uniforms)
        same_step = self.autoreset_mode is AutoresetMode.SAME_STEP
        if self._resting:
            self._begin(self._done.nonzero()[0])
        self._measure(self._active, changed, self._done)
        done = self._ended if same_step else self._done
        observations, rewards, terminations, truncations, infos, ended = self._conclude(self._active, changed, done)
        if ended and same_step:
            self._final_levels = self._canvas.levels[done]
            final = self._final(observations, infos, done)
            self._begin(done.nonzero()[0])
            self._measure(self._nobody, self._unchanged, done)
            observations, _, _, _, infos, _ = self._conclude(self._nobody, self._unchanged, done)
            infos = {**final, **infos}
        return observations, rewards, terminations, truncations, infos

    def _begin(
        self,
        lanes: NDArray[np.int64],
        levels: NDArray[np.uint8] | None = None,
        frozen: NDArray[np.bool_] | None = None,
        targets: Mapping[int, NDArray[np.float64]] | None = None,
    ) -> None:
        """Begins new episodes in some lanes; what is not given is drawn, the same numbers whatever is given."""
        canvas = self._canvas
        self._starts.put(canvas, self._streams, lanes, levels, frozen)
        if self._starts.same_shape:
            self._counters[:, lanes] = self._fresh_counters
        else:
            sizes = canvas.shapes[lanes].prod(axis=1)
            self._counters[:, lanes] = np.stack([self._counters_of(int(size)) for size in sizes], axis=1)
        self._targets.set(self._streams, lanes, canvas.shapes, targets or {})
        self.representation.place(canvas, lanes, self._streams.draw(lanes, self._draws_at_start))
        if levels is None and not self._starts.given:
            self.representation.start(canvas, lanes)

    def _counters_of(self, size: int) -> NDArray[np.int64]:
        """Returns the counters at the beginning of an episode on so many cells, in the order of `self._counters`."""
        most = np.iinfo(np.int64).max
        if self.change_share is None:
            changes, steps = most, most if self.representation.ends else size * size
        else:
            changes = max(int(self.change_share * size), 1)
            steps = changes * size
        return np.array([0, 0, changes, self._step_limit or steps, changes], np.int64)

    def _measure(self, active: NDArray[np.bool_], changed: NDArray[np.int64], begun: NDArray[np.bool_]) -> None:
        """Measures what changed or began."""
        if self._look_ahead is not None:
            self._stale |= active | begun if self.representation.has_cursor else (changed > 0) | begun
        self._measures.update(active, changed, begun, self._counters, self._finished)

    # What goes out.

    def _conclude(
        self, active: NDArray[np.bool_], changed: NDArray[np.int64], done: NDArray[np.bool_]
    ) -> tuple[dict[str, NDArray], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any], int]:
        """Ends a step of the active lanes, and tells about all lanes.

        Args:
            active: bool (n,), the lanes that acted.
            changed: int64 (n,), how many tiles changed in each.
            done: bool (n,), written: whether the episode of an active lane is over.

        Returns:
            Observations, rewards, terminations, truncations and infos, in arrays of their own; and how many episodes
            are over.
        """
        canvas, measures, lanes = self._canvas, self._measures, self.num_envs
        rewards = np.empty(lanes)
        flags = np.empty((4, lanes), _BOOL)
        budget = np.empty((lanes, 1), _FLOAT32)
        ended = conclude(
            active,
            changed,
            self._counters,
            measures.goal,
            self._finished,
            self._reward_every,
            measures.losses,
            measures.success,
            measures.met,
            self._own_targets,
            done,
            rewards,
            flags,
            budget,
        )
        observation: dict[str, NDArray] = {"map": self._view(self.representation.picture(canvas), self._map_ids - 1)}
        if self.representation.has_cursor:
            observation["cursor"] = canvas.cursors.copy()
        if self._observe_frozen:
            observation["frozen"] = self._view(canvas.frozen.view(np.uint8), 0).view(np.int8)
        scaled = self._scaled_metrics.copy()
        observation["metrics"] = scaled[0]
        observation["start_metrics"] = scaled[1]
        if self.representation.has_budget:
            observation["budget"] = budget
        if self._controls:
            observation["targets"] = self._targets.scaled.copy()
        if self._has_own_parts:
            observation.update(self.representation.observe(canvas))
        if self._look_ahead is not None:
            observation["look_ahead"] = self._see_ahead(self._look_ahead)
        infos: dict[str, Any] = self._info_masks.copy()
        counts = self._counts.copy()
        values = (*self._rows(self._metric_columns.copy()), flags[2], flags[3], counts[0], counts[1])
        infos.update(zip(self._info_names, values, strict=True))
        return observation, rewards, flags[0], flags[1], infos, ended

    def _see_ahead(self, look_ahead: LookAhead) -> NDArray[np.float32]:
        lanes = self._stale.nonzero()[0]
        if len(lanes):
            intervals = self._targets.intervals
            self._ahead[lanes] = look_ahead.improvements(
                self._canvas, lanes, self._measures.metrics[NOW, lanes], intervals[LOW, lanes], intervals[HIGH, lanes]
            )
            self._stale[:] = False
        return self._ahead.copy()

    def _view(self, cells: NDArray[np.uint8], outside: int) -> NDArray[np.uint8]:
        if not self._crops:
            return cells.reshape(self.num_envs, -1).copy()
        storeys, rows, columns = (1, *self.map_shape)[-3:]
        views = np.empty((self.num_envs, storeys * rows * columns), np.uint8)
        blocks = cells.reshape(self.num_envs, -1, *cells.shape[-2:])
        crop_kernel(blocks, self._canvas.cursors, outside, storeys, rows, columns, views)
        return views

    def _final(self, observation: dict[str, NDArray], infos: dict[str, Any], done: NDArray[np.bool_]) -> dict[str, Any]:
        """Returns the last observations and infos of the lanes that ended, as Gymnasium's vector environments do."""
        final = np.full(self.num_envs, None, object)
        for lane in done.nonzero()[0]:
            final[lane] = {key: part[lane] for key, part in observation.items()}
        return {
            "final_obs": final,
            "_final_obs": done.copy(),
            "final_info": _masked(infos, self._info_names, done),
            "_final_info": done.copy(),
        }

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:  # type: ignore[override]
        """Draws the lanes: RGB arrays in the "rgb_array" mode; in the "human" mode the first lane, in a window."""
        if self.render_mode is None:
            raise UserError(
                "There is nothing to render without a render_mode: make the environment with 'rgb_array' or 'human'."
            )
        assert self._pictures is not None
        if self.render_mode == "human":
            self._pictures.show(self._canvas, self.metadata["render_fps"])
            return None
        return tuple(self._pictures.draw(self._canvas, lane) for lane in range(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:
        """Closes the window, if one is open."""
        if self._pictures is not None:
            self._pictures.close()

    # What comes in.

    def _check_actions(self, actions: ArrayLike) -> NDArray[Any]:
        """Returns valid actions, and readies `_active`, `_uniforms` and `_resting` for their step."""
        if not self._begun:
            raise UserError("Call reset() before the first step().")
        checked = self._actions.check(actions)
        disabled = self.autoreset_mode is AutoresetMode.DISABLED
        self._resting = prepare(
            self._actions.choices(checked),
            self._actions.sizes,
            self._done,
            disabled,
            self._streams.states,
            self._active,
            self._uniforms,
        )
        if self._resting >= 0:
            return checked
        if self._resting == INVALID:
            raise self._actions.refuse(checked)
        ended = self._done.nonzero()[0].tolist()
        raise UserError(
            f"The episodes of lanes {ended[:8]} have ended: "
            "reset them with reset(options={'reset_mask': mask}) before the next step."
        )


def _masked(infos: dict[str, Any], names: Sequence[str], mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Returns infos of the lanes of a mask, the others' values being 0."""
    for name in names:
        infos[name][~mask] = 0
        infos["_" + name] = mask.copy()
    return infos
