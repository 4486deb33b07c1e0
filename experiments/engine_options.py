"""What engine trains, and where: the options that all trainings by PPO have in common."""

from __future__ import annotations

from dataclasses import dataclass

from agents.engines import Cluster, Engine


@dataclass(kw_only=True)
class EngineOptions:
    """What engine trains, and where.

    Attributes:
        engine: what runs PPO: sb3 (Stable-Baselines3), in this process; or rllib, in this process or in many, on one
            machine or on more.
        ray_address: for rllib, the Ray cluster to join: auto for the one on this machine, HOST:PORT or
            ray://HOST:PORT; local begins one that ends with the training.
        num_env_runners: for rllib, how many processes the lanes are dealt out to; 0 designs in this one.
        num_learners: for rllib, how many processes learn; 0 learns in this one, on the device.
        num_gpus_per_learner: for rllib, how many GPUs each learner is given, or a share of one.
        send_sources: for rllib, send the project's packages to the nodes of the cluster; False where all nodes have the
            same installation.
    """

    engine: Engine = "sb3"
    ray_address: str = "local"
    num_env_runners: int = 0
    num_learners: int = 0
    num_gpus_per_learner: float = 0.0
    send_sources: bool = True

    @property
    def cluster(self) -> Cluster:
        """Where RLlib works."""
        return Cluster(
            self.ray_address, self.num_env_runners, self.num_learners, self.num_gpus_per_learner, self.send_sources
        )
