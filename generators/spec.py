"""What a generator knows of the levels it is for: their problem, shape and tiles, and what it can be asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from envs import UserError, get_problem
from envs.counts import CountRule, count_tiles, kept
from envs.errors import unknown_name
from envs.problem import Problem, Shape

if TYPE_CHECKING:
    from generators.corpus import Corpus

#: What a class of levels is asked for by, beside the names of metrics.
LABEL = "label"

#: How many buckets a metric's range is cut into.
BUCKETS = 8

#: Levels that a saved generator is for have at most so many cells.
_MOST_CELLS = 2**20

#: Normalised metric values are cut off here.
_FARTHEST = 5.0

#: Condition values: a number, or a label's name, for all levels; or one for each.
Condition = Mapping[str, Any]


@dataclass(frozen=True)
class MetricCondition:
    """A metric that a generator can be asked for.

    Attributes:
        name: the metric's name.
        mean: over the training levels.
        scale: their standard deviation.
        low: their least value.
        high: their greatest.
        edges: what parts the buckets, rising; bucket i holds the values from edges[i - 1] up to below edges[i].
    """

    name: str
    mean: float
    scale: float
    low: float
    high: float
    edges: tuple[float, ...]

    def bucket(self, values: NDArray) -> NDArray[np.int64]:
        """Returns the bucket of each value, int64, from 0 to len(edges)."""
        # Metrics are measured as float32, and so are the edges; a value that is asked for may be more exact than these.
        edges = np.asarray(self.edges, np.float32)
        return np.searchsorted(edges, np.asarray(values, np.float32), side="right").astype(np.int64)

    def sound(self) -> bool:
        """Tells whether its numbers can be those of a metric."""
        numbers = (self.mean, self.scale, self.low, self.high, *self.edges)
        rising = all(first < second for first, second in pairwise(self.edges))
        return all(map(_is_number, numbers)) and self.scale > 0 and self.low <= self.high and rising

    @classmethod
    def of(cls, name: str, values: NDArray) -> MetricCondition | None:
        """Describes a metric by its values on the training levels; None where hardly any level differs."""
        numbers = np.asarray(values, np.float64)
        kinds, counts = np.unique(numbers, return_counts=True)
        if len(numbers) - counts.max() < max(2, 0.01 * len(numbers)):
            return None
        inner = np.unique(np.quantile(numbers, np.linspace(0, 1, BUCKETS + 1)[1:-1], method="higher"))
        edges = tuple(float(edge) for edge in inner if edge > kinds[0])
        return cls(name, float(numbers.mean()), float(numbers.std()), float(kinds[0]), float(kinds[-1]), edges)


@dataclass(frozen=True)
class LevelSpec:
    """What a generator's levels are.

    Attributes:
        problem: the problem's name.
        shape: the shape of a level.
        tiles: the names of the problem's tiles by id.
        conditions: the metrics that levels can be asked for by.
        labels: the names of the classes that levels can be asked for by; empty where there are none.
        fewest: for each tile, how many of it the training level with the fewest has.
        most: the same of the training level with the most.
        frequencies: for each tile, its share of all cells of the training levels.
        rules_kept: for each of the problem's count rules, whether all training levels keep it.
        asked: what is asked of numbers of tiles while sampling: the names of tiles, and the least and the greatest
            number of them together; see `asking`.
    """

    problem: str
    shape: Shape
    tiles: tuple[str, ...]
    conditions: tuple[MetricCondition, ...] = ()
    labels: tuple[str, ...] = ()
    fewest: tuple[int, ...] = ()
    most: tuple[int, ...] = ()
    frequencies: tuple[float, ...] = ()
    rules_kept: tuple[bool, ...] = ()
    asked: tuple[tuple[tuple[str, ...], float, float], ...] = ()

    @classmethod
    def of(cls, corpus: Corpus, metrics: tuple[str, ...] | None = None) -> LevelSpec:
        """Describes a corpus by its training levels.

        Args:
            corpus: the levels.
            metrics: the metrics that shall be conditions; None takes all that differ among the training levels.

        Raises:
            UserError: the problem has no such metric, or it is the same for all training levels.
        """
        problem, part = corpus.problem, corpus.train
        columns = corpus.metrics("train")
        known = [metric.name for metric in problem.metrics]
        found = []
        for name in known if metrics is None else metrics:
            if name not in known:
                raise unknown_name(f"metric of {problem.name}", name, known)
            condition = MetricCondition.of(name, columns[:, known.index(name)])
            if condition is not None:
                found.append(condition)
            elif metrics is not None:
                raise UserError(f"{name} hardly differs among the training levels; leave it out of the conditions.")
        counts = count_tiles(part.levels, len(problem.tiles))
        names = [tile.name for tile in problem.tiles]
        return cls(
            problem.name,
            tuple(int(size) for size in part.levels.shape[1:]),
            tuple(names),
            tuple(found),
            corpus.labels,
            tuple(int(count) for count in counts.min(axis=0)),
            tuple(int(count) for count in counts.max(axis=0)),
            tuple(float(share) for share in counts.sum(axis=0) / counts.sum()),
            tuple(bool(kept([rule], part.levels, names).all()) for rule in problem.count_rules),
        )

    @property
    def cells(self) -> int:
        """How many tiles a level has."""
        return int(np.prod(self.shape))

    @property
    def commonest(self) -> int:
        """The id of the commonest tile of the training levels."""
        return int(np.argmax(self.frequencies))

    @property
    def condition_size(self) -> int:
        """How long the vector of a condition is."""
        return 2 * len(self.conditions) + len(self.labels)

    def task(self) -> Problem:
        """Returns the problem."""
        return get_problem(self.problem)

    def count_rules(self) -> tuple[CountRule, ...]:
        """Returns the rules that sampled levels must keep.

        These are the problem's own that all training levels keep, that there are as many of each tile named in them as
        in some training level, and what is asked besides.
        """
        rules = [rule for rule, keeps in zip(self.task().count_rules, self.rules_kept, strict=True) if keeps]
        named = dict.fromkeys(name for rule in rules for name in rule.coefficients)
        ranges = []
        for name in named:
            tile = self.tiles.index(name)
            ranges.append(CountRule({name: 1}, self.fewest[tile], self.most[tile]))
        found = _distinct([*rules, *ranges])
        for names, low, high in self.asked:
            coefficients = dict.fromkeys(names, 1)
            place = next((i for i, rule in enumerate(found) if rule.coefficients == coefficients), len(found))
            # Rules on the same tiles are one rule: decoders have room for so many.
            others = found[place : place + 1]
            found[place : place + 1] = [
                CountRule(
                    coefficients,
                    max([low, *(rule.low for rule in others)]),
                    min([high, *(rule.high for rule in others)]),
                )
            ]
        return tuple(found)

    def asking(self, counts: Sequence[CountRule]) -> LevelSpec:
        """Returns the spec with further rules that sampled levels must keep, in which each tile counts 1."""
        return replace(self, asked=tuple((tuple(rule.coefficients), rule.low, rule.high) for rule in counts))

    def values(self, condition: Condition | None, n: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Returns what is asked of each of n levels.

        Args:
            condition: by the name of a metric a number, or (n,) numbers, NaN where nothing is asked; by "label" a
                class's name or number, or n of them.
            n: how many levels.

        Returns:
            float64 (n, conditions), NaN where nothing is asked, and int64 (n,) of labels, -1 where none is.

        Raises:
            UserError: a name, a label or a number of values cannot be used.
        """
        values = np.full((n, len(self.conditions)), np.nan)
        labels = np.full(n, -1, np.int64)
        names = [metric.name for metric in self.conditions]
        for name, asked in (condition or {}).items():
            if name == LABEL and self.labels:
                labels[:] = self._label_numbers(asked, n)
                continue
            if name not in names:
                known = [*names, *([LABEL] if self.labels else [])]
                if not known:
                    raise UserError(f"This generator was trained without conditions; {name!r} was asked for.")
                raise unknown_name("condition", name, known)
            try:
                values[:, names.index(name)] = np.asarray(asked, np.float64)
            except (ValueError, TypeError):
                raise UserError(
                    f"The condition {name} must be a number, or {n} numbers, one for each level; got {asked!r}."
                ) from None
        if np.isinf(values).any():
            raise UserError("The values of conditions must be finite; leave out what nothing is asked of.")
        return values, labels

    def _label_numbers(self, asked: Any, n: int) -> NDArray[np.int64]:
        try:
            given = np.asarray(asked)
            entries = np.broadcast_to(given, (n,)) if given.ndim <= 1 and given.size in (1, n) else None
        except ValueError:
            entries = None
        if entries is None:
            raise UserError(f"label must be one class, or {n}, one for each level; got {asked!r}.")
        numbers = []
        for entry in entries.tolist():
            if entry in self.labels:
                numbers.append(self.labels.index(entry))
            elif isinstance(entry, int) and -1 <= entry < len(self.labels):
                numbers.append(entry)
            else:
                raise unknown_name("label", entry, self.labels)
        return np.array(numbers, np.int64)

    def encode(self, values: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns conditions as vectors for networks.

        Args:
            values: float64 (n, conditions), NaN where nothing is asked.
            labels: int64 (n,), -1 where none is asked.

        Returns:
            float32 (n, condition_size): each metric's value less its mean, over its scale, 0 where nothing is asked;
            for each metric 1 where something is asked, or 0; and the label as one of as many numbers.
        """
        size = len(self.conditions)
        encoded = np.zeros((len(values), self.condition_size), np.float32)
        if size:
            mean = np.array([metric.mean for metric in self.conditions])
            scale = np.array([metric.scale for metric in self.conditions])
            asked = ~np.isnan(values)
            normal = np.clip((values - mean) / scale, -_FARTHEST, _FARTHEST)
            encoded[:, :size] = np.where(asked, normal, 0)
            encoded[:, size : 2 * size] = asked
        given = labels >= 0
        encoded[given, 2 * size + labels[given]] = 1
        return encoded

    def buckets(self, values: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns conditions as buckets, for models that read them as words.

        Returns:
            int64 (n, conditions), and one more column for the label where there are labels: 0 where nothing is asked,
            else the bucket's or label's number and 1.
        """
        columns = [
            np.where(np.isnan(column), 0, metric.bucket(np.nan_to_num(column)) + 1)
            for metric, column in zip(self.conditions, values.T, strict=True)
        ]
        if self.labels:
            columns.append(labels + 1)
        return np.stack(columns, axis=1).astype(np.int64) if columns else np.zeros((len(values), 0), np.int64)

    @property
    def bucket_counts(self) -> tuple[int, ...]:
        """How many values each column of `buckets` can take, "nothing asked" among them."""
        counts = [len(metric.edges) + 2 for metric in self.conditions]
        return (*counts, len(self.labels) + 1) if self.labels else tuple(counts)

    def plain(self) -> dict[str, Any]:
        """Returns the spec as plain data, for config.json."""
        plain = asdict(self)
        del plain["asked"]
        return plain

    @classmethod
    def parse(cls, plain: Any) -> LevelSpec:
        """Returns the spec that `plain` described, checked against the problem as it is now.

        Raises:
            UserError: it is no spec, or the problem's tiles have changed since.
        """
        try:
            conditions = tuple(
                MetricCondition(**{**entry, "edges": tuple(map(float, entry["edges"]))})
                for entry in plain["conditions"]
            )
            rest = {key: value for key, value in plain.items() if key not in ("problem", "conditions")}
            spec = cls(
                problem=str(plain["problem"]),
                conditions=conditions,
                **{key: tuple(value) for key, value in rest.items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise UserError(f"its description of the levels is damaged ({type(error).__name__}: {error})") from error
        problem = spec.task()
        names = tuple(tile.name for tile in problem.tiles)
        if names != spec.tiles:
            raise UserError(
                f"it is for {spec.problem} with the tiles {', '.join(map(str, spec.tiles))}, but {spec.problem} has "
                f"{', '.join(names)}"
            )
        if not spec._fits(problem):
            raise UserError(f"its description of {spec.problem} levels of shape {spec.shape} does not fit the problem")
        return spec

    def _fits(self, problem: Problem) -> bool:
        """Tells whether every value is of its type and can be of levels of the problem."""
        shape = len(self.shape) == len(problem.default_shape) and all(
            type(size) is int and size >= least for size, least in zip(self.shape, problem.smallest_shape, strict=True)
        )
        if not shape or math.prod(self.shape) > _MOST_CELLS:
            return False
        known = [metric.name for metric in problem.metrics]
        asked = [metric.name for metric in self.conditions]
        return (
            not self.asked
            and len(self.fewest) == len(self.most) == len(self.frequencies) == len(self.tiles)
            and all(type(count) is int for count in (*self.fewest, *self.most))
            and all(0 <= few <= many <= self.cells for few, many in zip(self.fewest, self.most, strict=True))
            and all(_is_number(share) and share >= 0 for share in self.frequencies)
            and len(self.rules_kept) == len(problem.count_rules)
            and all(type(keeps) is bool for keeps in self.rules_kept)
            and all(type(label) is str for label in self.labels)
            and len(set(self.labels)) == len(self.labels)
            and all(name in known for name in asked)
            and len(set(asked)) == len(asked)
            and all(metric.sound() for metric in self.conditions)
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _distinct(rules: list[CountRule]) -> list[CountRule]:
    """Returns rules without repetitions, in their order."""
    found: list[CountRule] = []
    for rule in rules:
        if rule not in found:
            found.append(rule)
    return found
