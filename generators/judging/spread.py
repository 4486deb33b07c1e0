"""Restricted diversity: how many levels of a batch lie pairwise far enough apart (Todd 2023).

The largest subset of levels that lie pairwise at least some edit distance apart is the largest clique of the graph of
far pairs, or the largest independent set of the graph of close ones. That graph has few edges where levels differ, and
falls into parts that can be solved one by one; each is a small integer program (HiGHS, by way of scipy). Where time
runs out, the best set found so far is a lower bound, and the solver's own bound an upper one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generators.judging.distance import close_pairs


@dataclass(frozen=True)
class Spread:
    """The largest known set of levels that lie pairwise far apart.

    Attributes:
        members: bool (n,), which levels are in it.
        at_most: no such set is larger.
    """

    members: NDArray[np.bool_]
    at_most: int

    @property
    def size(self) -> int:
        """How many levels are in it."""
        return int(self.members.sum())

    @property
    def exact(self) -> bool:
        """Whether no larger set exists."""
        return self.size == self.at_most


def farthest_apart(
    levels: NDArray[np.uint8],
    distance: int,
    allowed: NDArray[np.bool_] | None = None,
    symmetries: Sequence[str] = (),
    seconds: float = 10.0,
) -> Spread:
    """Finds the largest subset of levels that lie pairwise at least `distance` edits apart.

    Args:
        levels: uint8 (n, *shape).
        distance: in tiles, at least 1.
        allowed: bool (n,), which levels may be in the subset; None allows all. Todd 2023's restricted diversity allows
            the playable and novel ones, and divides by n all the same.
        symmetries: under which two levels count as close; see `generators.judging.distance.close_pairs`.
        seconds: the time that the search may take; then the best set so far counts.

    Returns:
        The subset, as a mask of all n levels.
    """
    chosen = np.arange(len(levels)) if allowed is None else np.flatnonzero(allowed)
    members = np.zeros(len(levels), np.bool_)
    at_most = 0
    if len(chosen):
        found = independent_set(close_pairs(levels[chosen], distance, symmetries), seconds)
        members[chosen] = found.members
        at_most = found.at_most
    return Spread(members, at_most)


def independent_set(edges: NDArray[np.bool_], seconds: float = 10.0) -> Spread:
    """Finds the largest set of nodes of a graph of which no two are joined.

    Args:
        edges: bool (n, n), symmetric, false on the diagonal.
        seconds: the time that the search may take.

    Returns:
        The set, exact if there was time.
    """
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415 (scipy is slow to import)

    deadline = time.perf_counter() + seconds
    members = np.zeros(len(edges), np.bool_)
    at_most = 0
    parts, whose = connected_components(edges, directed=False) if len(edges) else (0, members)
    for part in range(parts):
        nodes = np.flatnonzero(whose == part)
        found = _part(edges[np.ix_(nodes, nodes)], deadline)
        members[nodes] = found.members
        at_most += found.at_most
    return Spread(members, at_most)


def _part(edges: NDArray[np.bool_], deadline: float) -> Spread:
    """Solves one connected graph: by hand where that is a proof, else by an integer program."""
    greedy = _greedy(edges)
    cover = _clique_cover(edges)
    if greedy.sum() == len(cover):
        # No set has more than one node of each clique.
        return Spread(greedy, len(cover))
    left = deadline - time.perf_counter()
    if left <= 0:
        return Spread(greedy, len(cover))
    return _solve(edges, greedy, len(cover), left)


def _greedy(edges: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Takes the node with the fewest neighbours left, again and again; bool (n,)."""
    left = np.ones(len(edges), np.bool_)
    taken = np.zeros(len(edges), np.bool_)
    while left.any():
        degrees = np.where(left, (edges & left).sum(axis=1), len(edges))
        node = int(degrees.argmin())
        taken[node] = True
        left &= ~edges[node]
        left[node] = False
    return taken


def _clique_cover(edges: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Shares the nodes out to cliques, one after the other, each as large as it grows by itself."""
    left = np.ones(len(edges), np.bool_)
    cliques = []
    for node in np.argsort(-edges.sum(axis=1), kind="stable"):
        if not left[node]:
            continue
        clique, common = [int(node)], edges[node] & left
        left[node] = False
        while common.any():
            following = int(np.argmax(np.where(common, (edges & common).sum(axis=1), -1)))
            clique.append(following)
            left[following] = False
            common = common & edges[following]
        cliques.append(np.array(clique, np.intp))
    return cliques


def _solve(edges: NDArray[np.bool_], greedy: NDArray[np.bool_], at_most: int, seconds: float) -> Spread:
    """Finds the largest independent set by branch and bound, with a row for every clique of a cover of the edges."""
    from scipy.optimize import Bounds, LinearConstraint, milp  # noqa: PLC0415 (slow to import)
    from scipy.sparse import csr_array  # noqa: PLC0415

    rows = [clique for clique in _edge_cliques(edges) if len(clique) > 1]
    places = np.concatenate(rows)
    starts = np.cumsum([0, *(len(row) for row in rows)])
    matrix = csr_array((np.ones(len(places)), places, starts), shape=(len(rows), len(edges)))
    answer = milp(
        -np.ones(len(edges)),
        integrality=np.ones(len(edges)),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(matrix, -np.inf, 1),
        options={"time_limit": seconds},
    )
    best = greedy
    if answer.x is not None:
        found = np.asarray(answer.x) > 0.5
        # Checked, since the solver works in floating point.
        if found.sum() > best.sum() and not edges[np.ix_(found, found)].any():
            best = found
    bound = at_most
    if answer.mip_dual_bound is not None and np.isfinite(answer.mip_dual_bound):
        bound = min(bound, int(np.floor(-answer.mip_dual_bound + 1e-6)))
    return Spread(best, max(bound, int(best.sum())))


def _edge_cliques(edges: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Returns cliques that hold every edge of a graph at least once."""
    open_edges = np.triu(edges)
    cliques = []
    while open_edges.any():
        first, second = (int(end) for end in np.unravel_index(int(open_edges.argmax()), edges.shape))
        clique, common = [first, second], edges[first] & edges[second]
        while common.any():
            following = int(common.argmax())
            clique.append(following)
            common = common & edges[following]
        clique.sort()
        nodes = np.array(clique, np.intp)
        open_edges[np.ix_(nodes, nodes)] = False
        cliques.append(nodes)
    return cliques
