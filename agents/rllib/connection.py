"""Ray, begun on this machine or joined elsewhere."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import ray

from agents.engines import Cluster
from envs import UserError

#: The packages that are sent to the nodes of a cluster.
PACKAGES = ("envs", "generators", "agents", "search", "experiments")

#: Rows of a few rollouts are all that the object store holds.
_STORE = 256 * 2**20

#: How many seconds a cluster may take to be found there.
_LISTENING = 10.0

#: How many seconds processors and GPUs in use are waited for.
_RELEASE = 20.0


def connect(cluster: Cluster) -> bool:
    """Connects this process with Ray, unless it is connected already.

    Returns:
        Whether it was this call that connected it.

    Raises:
        UserError: the cluster cannot be joined, or has too few processors or GPUs.
    """
    if ray.is_initialized():
        return False
    # Ray tells of every hiccup of a worker; what matters is told by the trainer.
    logging.getLogger("ray.rllib").setLevel(logging.ERROR)
    if cluster.address == "local":
        processes = cluster.num_env_runners + cluster.num_learners + 1
        ray.init(
            "local",
            # Runners and learners are as many as were asked for, whatever the machine has.
            num_cpus=max(processes, os.cpu_count() or 1),
            object_store_memory=_STORE,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        return True
    environment = {}
    if cluster.send_sources:
        root = Path(__file__).resolve().parents[2]
        environment = {"py_modules": [str(root / name) for name in PACKAGES], "excludes": ["__pycache__"]}
    _check_listened(cluster.address)
    try:
        ray.init(cluster.address, log_to_driver=False, logging_level=logging.ERROR, runtime_env=environment or None)
    except Exception as error:
        reason = (str(error) or type(error).__name__).strip().splitlines()[0]
        raise UserError(
            f"The Ray cluster at {cluster.address} cannot be joined ({reason[:160]}): its token must be known here too "
            "(RAY_AUTH_MODE=token with RAY_AUTH_TOKEN_PATH), and Ray and Python must have its versions."
        ) from error
    return True


def _check_listened(address: str) -> None:
    """Makes sure that somebody listens at an address, where Ray itself would try for minutes."""
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", "auto")
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _LISTENING).close()
    except (OSError, OverflowError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise UserError(
            f"No Ray cluster is at {address} ({reason}): begin one by `ray start --head`, or leave the address out."
        ) from error


@contextmanager
def hushed() -> Iterator[None]:
    """Throws away what is written to standard error, by Ray's compiled parts too; what is raised is raised."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def check_resources(cluster: Cluster) -> None:
    """Makes sure that there are enough processors and GPUs; Ray would wait for them for good, and say nothing.

    Raises:
        UserError: there are too few, or others are using them.
    """
    gpus = cluster.num_learners * cluster.num_gpus_per_learner
    processors = cluster.num_env_runners + (0 if gpus else cluster.num_learners)
    words = f"{cluster.num_env_runners} environment runners and {cluster.num_learners} learners"
    check_free({"CPU": processors, "GPU": gpus}, words)


def check_free(needs: Mapping[str, float], words: str) -> None:
    """Makes sure that a cluster has processors ("CPU") and GPUs ("GPU") to spare.

    Args:
        needs: how many of each.
        words: who needs them.

    Raises:
        UserError: there are too few, or others are using them.
    """
    for resource, needed in needs.items():
        name = {"CPU": "processors", "GPU": "GPUs"}[resource]
        there = ray.cluster_resources().get(resource, 0)
        waited = 0.0
        while needed > (free := ray.available_resources().get(resource, 0)) and needed <= there and waited < _RELEASE:
            # What has just ended may not have been given back yet.
            time.sleep(1)
            waited += 1
        if needed > free:
            raise UserError(
                f"{words} need {needed:g} {name}, and the Ray cluster has {there:g}, {free:g} of them free: "
                "choose fewer, or add nodes."
            )
