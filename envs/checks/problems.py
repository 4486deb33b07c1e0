"""Does a problem keep the contract of `envs.problem.Problem`?"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from envs.art import sprite_names
from envs.checks.compare import ALMOST_ONE, difference, require
from envs.counts import check_rules
from envs.counts import kept as keep_rules
from envs.errors import UserError
from envs.linear import check_linear_rules
from envs.problem import STOREY_MARK, Metric, Problem, Shape
from envs.rules import PLAYING, WON, Rules, Solution
from envs.suite import get_problem
from envs.symmetries import SYMMETRIES, images

#: A cell is a uint8, and the id after the last tile stands for a cell outside the level.
MOST_TILES = 255


def check_problem(problem: str | Problem, *, seed: int = 0, levels_per_shape: int = 16, budget: int = 20_000) -> None:
    """Checks that a problem keeps the contract of `envs.problem.Problem`.

    It holds that names and characters are unique and sprites exist; that several shapes work; that `measure` returns
    finite float32 columns within the declared bounds, on levels from the start distribution and on uniformly random
    ones, each level by itself, in any order, without changing its input; that the hand-checked examples measure and
    solve as they say; that random start levels depend on nothing but their uniforms; that text round-trips; and, for
    playable problems, that the solver's actions, replayed by the rules, win, and that a level that cannot be started
    is "unsolvable". A constructive generator is checked as `check_construction` says.

    Args:
        problem: a problem or its name.
        seed: of the random levels.
        levels_per_shape: how many random levels of each kind to try on each shape.
        budget: the most states that the solver may expand for a random level; examples get the rules' own default.

    Raises:
        CheckError: something does not hold.
    """
    task = get_problem(problem)
    _check_declaration(task)
    generator = np.random.default_rng(seed)
    for shape in _shapes(task):
        batches = _random_levels(task, shape, levels_per_shape, generator)
        for origin, levels in batches.items():
            _check_measuring(task, levels, f"{task.name}, {origin} levels of shape {shape}", generator)
            _check_text(task, levels)
            if task.rules is not None and shape == task.default_shape:
                for level in levels[: max(1, levels_per_shape // 4)]:
                    _check_play(task, task.rules, level, task.rules.solve(level, budget))
    _check_examples(task)
    if constructs(task):
        check_construction(task, seed=seed, count=max(2, levels_per_shape // 2))


def constructs(problem: str | Problem) -> bool:
    """Tells whether a problem has a constructive generator: whether its class overrides `Problem.construct`."""
    return type(get_problem(problem)).construct is not Problem.construct


def check_construction(problem: str | Problem, *, seed: int = 0, count: int = 8) -> None:
    """Checks that a problem's constructive generator keeps the contract of `Problem.construct`.

    It holds, for the default shape and two others, that levels are uint8 of the right shape and valid; that each
    depends on nothing but its own seed and the shape; that seeds are left alone; that most levels differ from one
    another; that `playable` takes them for playable; and, where there are rules of play, that the solver solves every
    one and its actions, replayed, win. A shape other than the default may be refused with a UserError, as long as two
    of those that are tried are not.

    Args:
        problem: a problem that has a constructive generator, or its name.
        seed: of the levels' seeds.
        count: how many levels to build of each shape, at least 2.

    Raises:
        CheckError: something does not hold.
    """
    task = get_problem(problem)
    generator = np.random.default_rng(seed)
    worked = 0
    for shape in _construction_shapes(task):
        seeds = generator.integers(0, np.iinfo(np.uint64).max, count, np.uint64, endpoint=True)
        seeds[0], seeds[-1] = 0, np.iinfo(np.uint64).max
        try:
            levels = task.construct(seeds.copy(), shape)
        except UserError as refusal:
            require(shape != task.default_shape, f"{task.name} cannot be constructed in its default shape: {refusal}")
            continue
        _check_constructed(task, seeds, shape, levels)
        worked += 1
        if worked > 2:
            return
    require(worked > 2, f"{task.name} can be constructed in {worked} of the shapes {_construction_shapes(task)} only.")


def _construction_shapes(task: Problem) -> list[Shape]:
    """Returns the default shape first, and then others that a generator can be expected to build."""
    default = task.default_shape
    turned = tuple(max(size, least) for size, least in zip(reversed(default), task.smallest_shape, strict=True))
    wider, higher = (*default[:-1], default[-1] + 5), (default[0] + 3, *default[1:])
    return list(dict.fromkeys([default, turned, tuple(size + 3 for size in default), wider, higher]))


def _check_constructed(task: Problem, seeds: NDArray[np.uint64], shape: Shape, levels: NDArray[np.uint8]) -> None:
    name = f"{task.name}'s constructed levels of shape {shape}"
    require(
        levels.shape == (len(seeds), *shape) and levels.dtype == np.uint8,
        f"{name} must be uint8 {(len(seeds), *shape)}; they are {levels.dtype} {levels.shape}.",
    )
    require(levels.max() < len(task.tiles), f"{name} hold tile {levels.max()}; the last one is {len(task.tiles) - 1}.")
    kept, given = levels.copy(), seeds.copy()
    again = task.construct(given, shape)
    require(difference(given, seeds) is None, f"{name} change the seeds that they are made from.")
    found = difference(kept, again)
    require(found is None, f"{name} differ between two calls with the same seeds: {found}.")
    found = difference(kept[::-1], task.construct(seeds[::-1].copy(), shape))
    require(found is None, f"{name} depend on their order: {found}.")
    found = difference(kept[-1:], task.construct(seeds[-1:], shape))
    require(found is None, f"{name} depend on the other levels of the batch: {found}.")
    different = len(np.unique(kept.reshape(len(kept), -1), axis=0))
    require(2 * different > len(kept), f"{name} are not diverse: {different} different ones of {len(kept)} were built.")
    names = [tile.name for tile in task.tiles]
    require(bool(keep_rules(task.count_rules, kept, names).all()), f"{name} break the problem's own count rules.")
    playable = task.playable(task.measure(kept))
    for i, level in enumerate(kept):
        require(bool(playable[i]), f"{name}: by its metrics, this one is not playable: {task.text(level)}.")
        if task.rules is not None:
            solution = task.rules.solve(level)
            require(solution.solved, f"{name}: the solver says {solution.status!r} on {task.text(level)}.")
            _check_play(task, task.rules, level, solution)
    for image in images(task.symmetries, kept):
        require(
            bool(task.playable(task.measure(image)).all()),
            f"{name} are no longer playable after some of the symmetries {task.symmetries}.",
        )


def _check_declaration(task: Problem) -> None:
    require(task.name and task.description, "A problem needs a name and a description.")
    require(1 <= len(task.tiles) <= MOST_TILES, f"{task.name} has {len(task.tiles)} tiles; 1 to {MOST_TILES} fit.")
    for what, values in (
        ("tile name", [tile.name for tile in task.tiles]),
        ("tile character", [tile.character for tile in task.tiles]),
        ("metric name", [metric.name for metric in (*task.metrics, *task.optional_metrics)]),
    ):
        twice = sorted({value for value in values if values.count(value) > 1})
        require(not twice, f"{task.name} uses the {what} {twice[0] if twice else ''!r} twice.")
    wrong = check_rules(task.count_rules, [tile.name for tile in task.tiles])
    require(not wrong, f"{task.name}: {wrong}.")
    if task.linear_rules is not None:
        wrong = check_linear_rules(task.linear_rules, [tile.name for tile in task.tiles])
        require(not wrong, f"{task.name}: {wrong}.")
    strangers = [name for name in task.symmetries if name not in SYMMETRIES]
    require(not strangers, f"{task.name} has the symmetries {strangers}; there are {', '.join(SYMMETRIES)}.")
    named = [*task.tile_ids, *(metric.name for metric in task.metrics)]
    strangers = [name for name in task.nouns if name not in named]
    require(not strangers, f"{task.name} declares nouns for {strangers}; its tiles and metrics are {', '.join(named)}.")
    require(
        task.window is None or len(task.window) == len(task.default_shape),
        f"{task.name}'s window {task.window} must have as many axes as its levels.",
    )
    drawn = set(sprite_names())
    for tile in task.tiles:
        require(
            len(tile.character) == 1 and not tile.character.isspace(),
            f"{task.name}'s tile {tile.name!r} must have one visible character; it has {tile.character!r}.",
        )
        require(
            len(tile.colour) == 3 and all(0 <= part <= 255 for part in tile.colour),
            f"{task.name}'s tile {tile.name!r} must have a colour of three numbers 0 to 255; it has {tile.colour}.",
        )
        require(
            not tile.sprite or tile.sprite in drawn,
            f"{task.name}'s tile {tile.name!r} names the sprite {tile.sprite!r}; envs.art draws {sorted(drawn)}.",
        )
    require(task.border in task.tile_ids, f"{task.name}'s border {task.border!r} is none of its tiles.")
    require(
        len(task.default_shape) == len(task.smallest_shape) and len(task.default_shape) in (2, 3),
        f"{task.name}'s shapes must have two or three axes; the default is {task.default_shape}, the smallest "
        f"{task.smallest_shape}.",
    )
    require(
        len(task.default_shape) == 2 or all(tile.character != STOREY_MARK for tile in task.tiles),
        f"{task.name} writes a tile as {STOREY_MARK!r}, which parts the storeys of its levels.",
    )
    shares = np.asarray(task.start_probabilities, np.float64)
    require(
        shares.shape == (len(task.tiles),) and (shares >= 0).all() and abs(shares.sum() - 1) < 1e-9,
        f"{task.name}'s start probabilities must be one share a tile with sum 1; they are {task.start_probabilities}.",
    )
    require(task.metrics, f"{task.name} measures nothing.")
    for metric in (*task.metrics, *task.optional_metrics):
        _check_metric(task, metric)
    require(
        all(metric.measure is not None for metric in task.optional_metrics),
        f"Each optional metric of {task.name} needs a measure function.",
    )


def _check_metric(task: Problem, metric: Metric) -> None:
    name = f"{task.name}'s metric {metric.name!r}"
    require(metric.description, f"{name} needs a description.")
    require(np.isfinite(metric.weight) and metric.weight >= 0, f"{name} has the weight {metric.weight}.")
    require(metric.target[0] <= metric.target[1], f"{name} has its target's low end last: {metric.target}.")
    for shape in _shapes(task):
        low, high = metric.bounds(shape)
        require(
            np.isfinite([low, high]).all() and low <= high,
            f"{name} must have finite bounds, the lower first; for shape {shape} they are {low} and {high}.",
        )


def _shapes(task: Problem) -> list[Shape]:
    """Returns the shapes to try: the default one, the smallest, and some that are longer one way or the other."""
    default, least = task.default_shape, task.smallest_shape
    tried = [
        default,
        least,
        tuple(max(size, small) for size, small in zip(reversed(default), least, strict=True)),
        (default[0] + 1, *default[1:]),
        (least[0], *(size + 5 for size in least[1:])),
        (*(size + 3 for size in least[:-1]), least[-1]),
    ]
    return list(dict.fromkeys(tried))


def _random_levels(
    task: Problem, shape: Shape, count: int, generator: np.random.Generator
) -> dict[str, NDArray[np.uint8]]:
    """Returns levels from the start distribution, uniformly random ones, and ones of a single tile."""
    tiles = len(task.tiles)
    uniforms = generator.random((count, 1 + int(np.prod(shape))))
    uniforms[0], uniforms[-1] = 0.0, ALMOST_ONE
    before = uniforms.copy()
    start = task.start_levels(uniforms, shape)
    name = f"{task.name}'s start levels of shape {shape}"
    require(difference(uniforms, before) is None, f"{name} change the uniforms that they are made from.")
    require(
        start.shape == (count, *shape) and start.dtype == np.uint8,
        f"{name} must be uint8 {(count, *shape)}; they are {start.dtype} {start.shape}.",
    )
    require(start.max() < tiles, f"{name} hold tile {start.max()}; the last one is {tiles - 1}.")
    found = difference(start, task.start_levels(uniforms, shape))
    require(found is None, f"{name} differ between two calls with the same uniforms: {found}.")
    single = task.start_levels(uniforms[1:2], shape)
    found = difference(start[1:2], single)
    require(found is None, f"{name} depend on the other levels of the batch: {found}.")
    shares = task.tile_probabilities(uniforms[:, 0])
    require(
        shares.shape == (count, tiles) and (shares >= 0).all() and np.allclose(shares.sum(axis=1), 1),
        f"{task.name}'s tile probabilities must be shares {(count, tiles)} with sum 1 in each row; "
        f"they are of shape {shares.shape} with the sums {shares.sum(axis=-1).tolist()}.",
    )
    return {
        "start": start,
        "uniformly random": generator.integers(0, tiles, (count, *shape), np.uint8),
        "one-tile": np.repeat(np.arange(tiles, dtype=np.uint8), np.prod(shape)).reshape(tiles, *shape),
    }


def _measures(task: Problem) -> Iterator[tuple[str, Callable[..., NDArray], tuple[Metric, ...]]]:
    yield "measure", task.measure, task.metrics
    for metric in task.optional_metrics:
        if metric.measure is not None:
            yield f"optional {metric.name}", metric.measure, (metric,)


def _check_measuring(task: Problem, levels: NDArray[np.uint8], name: str, generator: np.random.Generator) -> None:
    for what, measure, metrics in _measures(task):
        where = f"{name}, {what}"
        before = levels.copy()
        measured = measure(levels)
        require(difference(levels, before) is None, f"{where}: the levels were changed.")
        shape = (len(levels), len(metrics)) if what == "measure" else (len(levels),)
        require(
            measured.shape == shape and measured.dtype == np.float32,
            f"{where}: must return float32 {shape}; it returns {measured.dtype} {measured.shape}.",
        )
        require(np.isfinite(measured).all(), f"{where}: not every value is finite.")
        kept = measured.copy()
        order = generator.permutation(len(levels))
        shuffled = measure(levels[order])
        require(difference(measured, kept) is None, f"{where}: the values change when other levels are measured.")
        for i, level in enumerate(levels):
            text = f"on {task.text(level)}"
            alone = measure(level[None])[0]
            require(np.array_equal(alone, measured[i]), f"{where}: {alone} alone but {measured[i]} in a batch, {text}.")
            for metric, value in zip(metrics, np.atleast_1d(measured[i]), strict=True):
                low, high = metric.bounds(levels.shape[1:])
                require(low <= value <= high, f"{where}: {metric.name} is {value}, outside {low} to {high}, {text}.")
        require(np.array_equal(shuffled, measured[order]), f"{where}: the values depend on the order of the levels.")
        if what == "measure":
            succeeded = task.succeeded(measured, measured[::-1])
            for judge, verdicts in (("succeeded", succeeded), ("playable", task.playable(measured))):
                require(
                    verdicts.shape == (len(levels),) and verdicts.dtype == np.bool_,
                    f"{name}: {judge} must return bool ({len(levels)},); it returns {verdicts.dtype} {verdicts.shape}.",
                )


def _check_text(task: Problem, levels: NDArray[np.uint8]) -> None:
    for level in levels:
        found = difference(level, task.parse(task.text(level)))
        require(found is None, f"{task.name}: text and parse do not round-trip on {task.text(level)}: {found}.")


def _check_examples(task: Problem) -> None:
    require(task.examples, f"{task.name} has no hand-checked examples.")
    for number, example in enumerate(task.examples):
        name = f"{task.name}'s example {number} ({example.note or 'no note'}), {list(example.rows)}"
        level = task.parse(example.rows)
        values = dict(zip((metric.name for metric in task.metrics), task.measure(level[None])[0], strict=True))
        for metric in task.optional_metrics:
            if metric.measure is not None:
                values[metric.name] = metric.measure(level[None])[0]
        for metric_name, value in example.metrics.items():
            require(metric_name in values, f"{name}: there is no metric {metric_name!r}.")
            require(
                values[metric_name] == value,
                f"{name}: {metric_name} measures {values[metric_name]}, by hand it is {value}.",
            )
        if task.rules is None:
            require(example.status is None, f"{name}: has a status, but {task.name} has no rules of play.")
            continue
        solution = task.rules.solve(level)
        require(
            example.status in (None, solution.status),
            f"{name}: the solver says {solution.status!r}, by hand it is {example.status!r}.",
        )
        _check_play(task, task.rules, level, solution)


def _check_play(task: Problem, rules: Rules, level: NDArray[np.uint8], solution: Solution) -> None:
    name = f"{task.name}'s rules on {task.text(level)}"
    require(solution.status in ("solved", "unsolvable", "unknown"), f"{name}: the status is {solution.status!r}.")
    require(solution.solved or not len(solution.actions), f"{name}: {solution.status}, and yet there are actions.")
    if rules.problem_with(level) is not None:
        require(
            solution.status == "unsolvable",
            f"{name}: cannot be started ({rules.problem_with(level)}), but the solver says {solution.status!r}.",
        )
        return
    missing = sorted(set(rules.sprites) - set(sprite_names()))
    require(not missing, f"{name}: envs.art draws no sprite {missing}.")
    before = level.copy()
    state = rules.start(level)
    require(state.dtype == np.int32 and state.ndim == 1, f"{name}: the state is {state.dtype} {state.shape}.")
    for number, action in enumerate(solution.actions):
        require(0 <= action < len(rules.actions), f"{name}: the solver's action {number} is {action}.")
        require(rules.outcome(state) == PLAYING, f"{name}: the game ends before the solver's action {number}.")
        state = _step(rules, state, int(action), name)
    require(
        not solution.solved or rules.outcome(state) == WON,
        f"{name}: the solver's actions {solution.actions.tolist()} do not win.",
    )
    if rules.outcome(state) != PLAYING:
        for action in range(len(rules.actions)):
            found = difference(state, _step(rules, state, action, name))
            require(found is None, f"{name}: {rules.actions[action]!r} goes on after the end of the game: {found}.")
    require(difference(level, before) is None, f"{name}: playing changes the level.")


def _step(rules: Rules, state: NDArray[np.int32], action: int, name: str) -> NDArray[np.int32]:
    before = state.copy()
    after = rules.step(state, action)
    require(difference(state, before) is None, f"{name}: {rules.actions[action]!r} changes the state that it is given.")
    require(
        after.dtype == np.int32 and after.shape == state.shape,
        f"{name}: a state must stay int32 {state.shape}; after {rules.actions[action]!r} it is "
        f"{after.dtype} {after.shape}.",
    )
    found = difference(after, rules.step(state, action))
    require(found is None, f"{name}: {rules.actions[action]!r} has two outcomes: {found}.")
    board = rules.board(after)
    require(
        board.dtype == np.uint8 and board.ndim == 2 and board.max() < len(rules.sprites),
        f"{name}: the board must be uint8 (height, width) below {len(rules.sprites)}; it is "
        f"{board.dtype} {board.shape} up to {board.max()}.",
    )
    return after
