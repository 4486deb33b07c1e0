"""The engines that train by PPO, by name."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agents.tasks import Task
from agents.training import PPOConfig, Trainer
from envs import UserError

if TYPE_CHECKING:
    from agents.rllib.workers import RayWorkers

#: The engines: Stable-Baselines3 in this process; RLlib, in this process or in many on one machine or more.
Engine = Literal["sb3", "rllib"]

#: How many runners and learners a machine may be given for each of its processors.
PROCESSES = 4


@dataclass(frozen=True)
class Cluster:
    """Where RLlib works, and in how many processes.

    Attributes:
        address: of the Ray cluster to join: "local" begins one on this machine that ends with the training; "auto"
            joins the one on this machine; or HOST:PORT, or ray://HOST:PORT.
        num_env_runners: how many processes the lanes are dealt out to; 0 samples in this process.
        num_learners: how many processes learn; 0 learns in this one.
        num_gpus_per_learner: how many GPUs each learner is given, or a share of one.
        send_sources: send the project's own packages to the nodes of a cluster that was joined; False where all nodes
            have the same installation.
    """

    address: str = "local"
    num_env_runners: int = 0
    num_learners: int = 0
    num_gpus_per_learner: float = 0.0
    send_sources: bool = True

    def check(self, ppo: PPOConfig) -> None:
        """Raises UserError where a value cannot be used."""
        for name, value in asdict(self).items():
            if name.startswith("num_") and not 0 <= value < float("inf"):
                raise UserError(f"{name} must be at least 0; got {value}.")
        if not self.address:
            raise UserError("The address of a Ray cluster is local, auto, HOST:PORT or ray://HOST:PORT; got nothing.")
        processes, room = self.num_env_runners + self.num_learners, PROCESSES * (os.cpu_count() or 1)
        if self.address == "local" and processes > room:
            raise UserError(
                f"{self.num_env_runners} environment runners and {self.num_learners} learners are more than the "
                f"{room} processes that this machine's {os.cpu_count()} processors can do with: "
                "choose fewer, or join a cluster."
            )
        if self.num_env_runners > ppo.lanes:
            raise UserError(
                f"Each of the environment runners needs a lane; got {self.num_env_runners} runners and {ppo.lanes} "
                "lanes: choose fewer runners or more lanes."
            )
        if self.num_gpus_per_learner and not self.num_learners:
            raise UserError(
                f"num_gpus_per_learner is for learners apart, and there are none; got {self.num_gpus_per_learner:g}: "
                "give num_learners too, or learn in this process on a device such as cuda:0."
            )
        rows = min(ppo.batch, ppo.lanes * ppo.rollout)
        if 2 * self.num_learners > rows:
            raise UserError(
                f"Each of the learners needs two rows of a batch; got {self.num_learners} learners and a batch of "
                f"{rows}: choose fewer learners, or a larger batch and more lanes."
            )


def make_trainer(
    engine: Engine,
    task: Task,
    ppo: PPOConfig,
    folder: Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    cluster: Cluster | None = None,
) -> Trainer:
    """Makes a training by an engine's name; see `Trainer`.

    Raises:
        UserError: the engine is not installed, or cannot do what is asked of it.
    """
    # An engine is loaded where it is used.
    if engine == "rllib":
        try:
            from agents.rllib.trainer import RLlibTrainer  # noqa: PLC0415
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "ray":
                raise
            raise UserError(
                "The engine rllib needs Ray: pip install -e '.[rllib]', or choose the engine sb3."
            ) from None
        return RLlibTrainer(task, ppo, folder, seed=seed, device=device, cluster=cluster or Cluster())
    if cluster is not None and cluster != Cluster():
        raise UserError("The engine sb3 works in one process: environment runners and learners need the engine rllib.")
    from agents.sb3_training import SB3Trainer  # noqa: PLC0415

    return SB3Trainer(task, ppo, folder, seed=seed, device=device)


def make_workers(work: Callable[[Any], Any], number: int, cluster: Cluster, gpus: float = 0.0) -> RayWorkers:
    """Makes workers on a Ray cluster, each of which does one order at a time.

    Args:
        work: what a worker does with an order; each has its own copy, which lasts as long as the worker.
        number: how many workers.
        cluster: where Ray runs; its `num_env_runners` are the workers.
        gpus: how many GPUs each of them is given, or a share of one.

    Raises:
        UserError: Ray is not installed, or the cluster cannot be joined or is too small.
    """
    try:
        from agents.rllib.workers import RayWorkers  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "ray":
            raise
        raise UserError(
            "Workers on a cluster need Ray: pip install -e '.[rllib]', or leave --ray-address out."
        ) from None
    return RayWorkers(work, number, cluster, gpus)
