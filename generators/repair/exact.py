"""The fewest edits that make a level keep linear rules, by integer programming (HiGHS; Huangfu 2018).

One binary variable says for each cell and kind of tile whether it stands there. Tiles that no rule tells apart are one
kind. That some tiles are one region is a flow: one unit goes from a source to every cell of it over cells of the region
(single-commodity flow; Gavish 1978).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.counts import CountRule, rule_arrays
from envs.errors import UserError
from envs.linear import Apart, LinearRule, OneRegion, Touches
from envs.problem import Problem

#: The most nodes of one search by branch and bound; on small levels it is seldom more than some hundreds.
MOST_NODES = 20_000


@dataclass
class Optimum:
    """What integer programming found.

    Attributes:
        level: uint8 (*shape) that keeps the rules, or None.
        proven: whether it is proven that there is nothing better: no level that keeps them has fewer edits, or where
            `level` is None, none has as few as were asked for.
    """

    level: NDArray[np.uint8] | None
    proven: bool


def declared(problem: Problem, goal: str) -> bool:
    """Returns whether a problem's linear rules cover a goal."""
    if problem.linear_rules is None:
        return False
    return (goal == "playable" and bool(problem.linear_rules.playable)) or (
        goal == "targets" and bool(problem.linear_rules.targets or problem.linear_rules.playable)
    )


def check_declared(problem: Problem, goal: str) -> None:
    """Checks that a problem's linear rules cover a goal.

    Raises:
        UserError: they do not.
    """
    if not declared(problem, goal):
        raise UserError(
            f"Whether a {problem.name} level meets the goal {goal!r} is not linear, so that integer programming cannot "
            "repair it; take the method 'search'."
        )


class Program:
    """The integer program of one level."""

    def __init__(self, problem: Problem, goal: str, level: NDArray[np.uint8], free: NDArray[np.bool_]) -> None:
        """Writes down the program.

        Args:
            problem: whose rules hold.
            goal: "playable" or "targets".
            level: uint8 (*shape).
            free: bool (*shape), the cells that may change.

        Raises:
            UserError: the problem has no linear rules for that goal.
        """
        check_declared(problem, goal)
        assert problem.linear_rules is not None
        self.level = level
        self.names = [tile.name for tile in problem.tiles]
        rules: list[LinearRule] = [*problem.count_rules, *problem.linear_rules.playable]
        if goal == "targets":
            rules += problem.linear_rules.targets
        self.kinds, self.samples = _kinds(problem, rules, self.names)
        self.cells, self.most = level.size, int(self.kinds.max()) + 1
        self.present = self.kinds[level.ravel()]
        self.costs: list[float] = []
        self.upper: list[float] = []
        self.whole: list[int] = []
        self.entries: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
        self.least: list[NDArray[np.float64]] = []
        self.greatest: list[NDArray[np.float64]] = []
        self.rows = 0
        # stands[v, k]: the column of "kind k stands in cell v".
        self.stands = self._columns(self.cells * self.most).reshape(self.cells, self.most)
        costs = np.ones((self.cells, self.most))
        costs[np.arange(self.cells), self.present] = 0
        self.costs[: self.stands.size] = costs.ravel().tolist()
        allowed = free.ravel()[:, None] | (costs == 0)
        self.upper[: self.stands.size] = allowed.astype(float).ravel().tolist()
        self.arcs = _arcs(level.shape)
        self._at_once(self.stands, np.ones(self.stands.shape), 1, 1)
        for rule in rules:
            if isinstance(rule, CountRule):
                self._count(rule)
            elif isinstance(rule, OneRegion):
                self._connect(rule, rules)
            elif isinstance(rule, Touches):
                self._touch(rule)
            else:
                self._keep_apart(rule)

    def solved(self, seconds: float | None = None, most_edits: int | None = None) -> Optimum:
        """Solves the program.

        Args:
            seconds: the time that it may take; None means no limit.
            most_edits: levels with more edits are not wanted.
        """
        from scipy.optimize import Bounds, LinearConstraint, milp  # noqa: PLC0415 (scipy is slow to import)
        from scipy.sparse import coo_array  # noqa: PLC0415

        if seconds == 0 or (most_edits is not None and most_edits < 0):
            return Optimum(None, most_edits is not None and most_edits < 0)
        rows, columns, values = (np.concatenate([entry[i] for entry in self.entries]) for i in range(3))
        least, greatest = np.concatenate(self.least), np.concatenate(self.greatest)
        costs = np.array(self.costs)
        if most_edits is not None:
            priced = np.flatnonzero(costs)
            rows = np.concatenate([rows, np.full(len(priced), self.rows)])
            columns, values = np.concatenate([columns, priced]), np.concatenate([values, costs[priced]])
            least, greatest = np.append(least, -np.inf), np.append(greatest, most_edits)
        matrix = coo_array((values, (rows, columns)), shape=(len(least), len(costs))).tocsc()
        options: dict[str, float] = {"node_limit": MOST_NODES}
        if seconds is not None:
            options["time_limit"] = seconds
        result = milp(
            costs,
            integrality=np.array(self.whole),
            bounds=Bounds(0, np.array(self.upper)),
            constraints=LinearConstraint(matrix, least, greatest),
            options=options,
        )
        if result.x is None:
            # Status 2: proven that there is none.
            return Optimum(None, result.status == 2)
        kinds = result.x[: self.stands.size].reshape(self.stands.shape).argmax(axis=1)
        flat = np.where(kinds == self.present, self.level.ravel(), self.samples[kinds]).astype(np.uint8)
        return Optimum(flat.reshape(self.level.shape), result.status == 0)

    def _columns(self, number: int, whole: bool = True, upper: float = 1) -> NDArray[np.int64]:
        """Returns the numbers of new variables, which cost nothing."""
        first = len(self.costs)
        self.costs += [0.0] * number
        self.upper += [upper] * number
        self.whole += [int(whole)] * number
        return np.arange(first, first + number)

    def _at_once(self, columns: NDArray[np.int64], values: NDArray[np.float64], least: float, greatest: float) -> None:
        """Adds rows: for each row of columns, (rows, k), least <= sum of values * variables <= greatest."""
        number = len(columns)
        rows = np.repeat(np.arange(self.rows, self.rows + number), columns.shape[1])
        self._add(rows, columns.ravel(), np.broadcast_to(values, columns.shape).ravel(), number, least, greatest)

    def _add(
        self,
        rows: NDArray[np.int64],
        columns: NDArray[np.int64],
        values: NDArray[np.float64],
        number: int,
        least: float,
        greatest: float,
    ) -> None:
        self.entries.append((rows, columns, np.asarray(values, np.float64)))
        self.least.append(np.full(number, float(least)))
        self.greatest.append(np.full(number, float(greatest)))
        self.rows += number

    def _kinds_of(self, names: tuple[str, ...]) -> NDArray[np.int64]:
        return np.unique(self.kinds[[self.names.index(name) for name in names]])

    def _count(self, rule: CountRule) -> None:
        coefficients = rule_arrays([rule], self.names)[0][0]
        values = np.zeros(self.most)
        values[self.kinds] = coefficients
        used = np.flatnonzero(values)
        columns = self.stands[:, used]
        self._at_once(columns.reshape(1, -1), np.tile(values[used], self.cells)[None], rule.low, rule.high)

    def _connect(self, rule: OneRegion, rules: list[LinearRule]) -> None:
        """One unit flows from the source to each node of the region, along arcs between nodes of the region.

        A node is a cell. Where it is without loss, the cells of each region that the level has now are one node: they
        stay together or go together.
        """
        kinds = self._kinds_of(rule.tiles)
        inside = self.stands[:, kinds]
        source = self._source(rule, rules)
        if source is None:
            source = self._columns(self.cells)
            self._at_once(source[None], np.ones((1, self.cells)), 1, 1)
            both = np.concatenate([inside, source[:, None]], axis=1)
            self._at_once(both, np.append(np.ones(len(kinds)), -1.0), 0, np.inf)
        regions = self._regions(kinds)
        nodes = np.arange(self.cells)
        if self._go_together(kinds, rules):
            nodes = np.unique(np.where(regions < 0, self.cells + nodes, regions), return_inverse=True)[1]
        first = np.unique(nodes, return_index=True)[1]
        number = len(first)
        others = np.setdiff1d(np.arange(self.cells), first)
        alike = np.concatenate([inside[others], inside[first[nodes[others]]]], axis=1)
        self._at_once(alike, np.repeat([1.0, -1.0], len(kinds)), 0, 0)
        arcs = nodes[self.arcs]
        arcs = np.unique(arcs[arcs[:, 0] != arcs[:, 1]], axis=0)
        tails, heads = arcs.T
        flows = self._columns(len(arcs), whole=False, upper=number)
        each = np.arange(number)
        within = np.repeat(each, len(kinds))
        # What comes in less what goes out is at least 1 inside, but not at the source.
        rows = np.concatenate([heads, tails, within, nodes]) + self.rows
        columns = np.concatenate([flows, flows, inside[first].ravel(), source])
        signs = [np.ones(len(arcs)), -np.ones(len(arcs)), -np.ones(len(within)), np.full(self.cells, number)]
        self._add(rows, columns, np.concatenate(signs), number, 0, np.inf)
        for ends in (heads, tails):
            rows = np.concatenate([ends, within]) + self.rows
            columns = np.concatenate([flows, inside[first].ravel()])
            values = np.concatenate([np.ones(len(arcs)), np.full(len(within), 1.0 - number)])
            self._add(rows, columns, values, number, -np.inf, 0)
        self._cut(regions, nodes, kinds, source)

    def _regions(self, kinds: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns which region of some kinds each cell is in now, int64 (cells,), the largest first; -1 for none."""
        from scipy.sparse import coo_array  # noqa: PLC0415
        from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

        member = np.isin(self.present, kinds)
        joined = self.arcs[member[self.arcs].all(axis=1)]
        graph = coo_array((np.ones(len(joined)), joined.T), shape=(self.cells, self.cells))
        labels = connected_components(graph, directed=False)[1]
        sizes = np.bincount(labels[member], minlength=labels.max() + 1)
        ranks = np.empty(len(sizes), np.int64)
        ranks[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
        return np.where(member, ranks[labels], -1)

    def _go_together(self, kinds: NDArray[np.int64], rules: list[LinearRule]) -> bool:
        """Returns whether the cells of a region may be bound to stay in it together or leave it together.

        It is without loss where nothing but the region and counts of its own kinds matters, for a cell that left the
        region could as well have stayed: as it was, or as a kind that nothing counts.
        """
        counted = np.zeros(self.most, bool)
        for rule in rules:
            if isinstance(rule, (Apart, Touches)):
                return False
            if isinstance(rule, CountRule):
                counted[self.kinds[[self.names.index(name) for name in rule.coefficients]]] = True
        outside = np.setdiff1d(np.arange(self.most), kinds)
        regions = sum(isinstance(rule, OneRegion) for rule in rules)
        return regions == 1 and not counted[outside].any() and not counted[kinds].all()

    def _cut(
        self,
        regions: NDArray[np.int64],
        nodes: NDArray[np.int64],
        kinds: NDArray[np.int64],
        source: NDArray[np.int64],
    ) -> None:
        """Adds what follows anyway, to bound the search: a region that stays has the source or a way out.

        The largest region is left out, for its rows would be long and there are mostly ways out.
        """
        tails, heads = self.arcs.T
        for region in range(1, int(regions.max()) + 1):
            cells = np.flatnonzero(regions == region)
            beside = np.unique(heads[(regions[tails] == region) & (regions[heads] != region)])
            ways = np.concatenate([self.stands[beside][:, kinds].ravel(), source[cells]])
            for node in np.unique(nodes[cells], return_index=True)[1]:
                own = self.stands[cells[node], kinds]
                columns = np.concatenate([own, ways])
                values = np.concatenate([-np.ones(len(own)), np.ones(len(ways))])
                # A column may come twice (the source's kind in its own cell); the matrix adds what meets.
                self._add(np.full(len(columns), self.rows), columns, values, 1, 0, np.inf)

    def _source(self, rule: OneRegion, rules: list[LinearRule]) -> NDArray[np.int64] | None:
        """Returns the columns of a tile of the region that there is exactly one of; None if there is none such."""
        for name in rule.tiles:
            for other in rules:
                if (
                    isinstance(other, CountRule)
                    and dict(other.coefficients) == {name: 1}
                    and other.low == other.high == 1
                ):
                    return self.stands[:, self.kinds[self.names.index(name)]]
        return None

    def _touch(self, rule: Touches) -> None:
        kinds = self._kinds_of(rule.tiles)
        tails, heads = self.arcs.T
        own = self.stands[:, self.kinds[self.names.index(rule.tile)]]
        rows = np.concatenate([np.repeat(tails, len(kinds)), np.arange(self.cells)]) + self.rows
        columns = np.concatenate([self.stands[heads][:, kinds].ravel(), own])
        values = np.concatenate([np.ones(len(heads) * len(kinds)), -np.ones(self.cells)])
        self._add(rows, columns, values, self.cells, 0, np.inf)

    def _keep_apart(self, rule: Apart) -> None:
        """Each cell has a height: 0 at the one tile, `steps` at the others, and one step climbs by 1 at most."""
        heights = self._columns(self.cells, whole=False, upper=rule.steps)
        origin = self.stands[:, self._kinds_of((rule.tile,))]
        self._at_once(
            np.column_stack([heights, origin]), np.append(1.0, [rule.steps] * origin.shape[1]), -np.inf, rule.steps
        )
        others = self.stands[:, self._kinds_of(rule.tiles)]
        self._at_once(np.column_stack([heights, others]), np.append(1.0, [-rule.steps] * others.shape[1]), 0, np.inf)
        over = self.stands[:, self._kinds_of(rule.over)]
        tails, heads = self.arcs.T
        columns = np.column_stack([heights[heads], heights[tails], over[tails], over[heads]])
        slack = float(rule.steps - 1)
        values = np.concatenate([[1.0, -1.0], np.full(2 * over.shape[1], slack)])
        self._at_once(columns, values, -np.inf, 1 + 2 * slack)


def _kinds(problem: Problem, rules: list[LinearRule], names: list[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Groups the tiles that no rule tells apart.

    Returns:
        The kind of each tile, int64 (tiles,), and a kind's commonest tile, int64 (kinds,).
    """
    traits: list[tuple[object, ...]] = [() for _ in names]
    for rule in rules:
        for i, name in enumerate(names):
            if isinstance(rule, CountRule):
                traits[i] += (rule.coefficients.get(name, 0),)
            elif isinstance(rule, OneRegion):
                traits[i] += (name in rule.tiles,)
            elif isinstance(rule, Touches):
                traits[i] += (name == rule.tile, name in rule.tiles)
            else:
                traits[i] += (name == rule.tile, name in rule.tiles, name in rule.over)
    different = list(dict.fromkeys(traits))
    kinds = np.array([different.index(trait) for trait in traits], np.int64)
    shares = np.asarray(problem.start_probabilities, np.float64)
    samples = [int(np.argmax(np.where(kinds == kind, shares, -1))) for kind in range(len(different))]
    return kinds, np.array(samples, np.int64)


def _arcs(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Returns the pairs of cells that are neighbours by a face, both ways: int64 (arcs, 2)."""
    places = np.arange(math.prod(shape)).reshape(shape)
    pairs = []
    for axis in range(len(shape)):
        one = np.delete(places, -1, axis).ravel()
        other = np.delete(places, 0, axis).ravel()
        pairs += [np.stack([one, other], axis=1), np.stack([other, one], axis=1)]
    return np.concatenate(pairs)
