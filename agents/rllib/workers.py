"""Workers on a Ray cluster: processes on any node that do what they are told, one order at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import RayError

from agents.engines import Cluster
from agents.rllib.connection import check_free, connect


class _Worker:
    """What runs on a node."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self.work = work

    def obey(self, order: Any) -> Any:
        """Does what is ordered."""
        return self.work(order)


class RayWorkers:
    """So many Ray actors that do one order each at a time; see `agents.engines.make_workers`."""

    def __init__(self, work: Callable[[Any], Any], number: int, cluster: Cluster, gpus: float) -> None:
        self._actors: list[Any] = [None] * number
        self._orders: dict[Any, int] = {}
        self._ours = connect(cluster)
        self._needs = {"CPU": 1.0, **({"GPU": gpus} if gpus else {})}
        try:
            words = f"{number} worker{'s' * (number > 1)}"
            check_free({name: number * share for name, share in self._needs.items()}, words)
            self._work = ray.put(work)
        except BaseException:
            self.close()
            raise
        # Actors are not begun again by themselves: what they were at is to be counted as lost first.
        self._kind = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0)(_Worker)

    def idle(self) -> list[int]:
        """Returns the workers that can be given an order; one that was lost needs a free place on some node."""
        busy = set(self._orders.values())
        free = ray.available_resources()
        room = all(free.get(name, 0) >= share for name, share in self._needs.items())
        return [i for i, actor in enumerate(self._actors) if i not in busy and (actor is not None or room)]

    def give(self, worker: int, order: Any) -> None:
        """Gives an idle worker an order, and begins it where it was lost."""
        if self._actors[worker] is None:
            self._actors[worker] = self._kind.remote(self._work)
        self._orders[self._actors[worker].obey.remote(order)] = worker

    def answers(self, seconds: float) -> list[tuple[int, Any, str]]:
        """Waits for answers for so many seconds at most.

        Returns:
            Worker, answer and "" of each order that is done; or worker, None and what became of the worker.
        """
        done, _ = ray.wait(list(self._orders), timeout=seconds) if self._orders else ([], [])
        found: list[tuple[int, Any, str]] = []
        for order in done:
            worker = self._orders.pop(order)
            try:
                found.append((worker, ray.get(order), ""))
            except RayError as error:
                self._actors[worker] = None
                found.append((worker, None, (str(error).strip() or type(error).__name__).splitlines()[0]))
        return found

    def close(self) -> None:
        """Ends the workers, and Ray where it was begun for them."""
        for actor in self._actors:
            if actor is not None:
                ray.kill(actor)
        if self._ours:
            ray.shutdown()
            self._ours = False
