"""The engines that train by PPO, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from agents.tasks import Task
from agents.training import PPOConfig, Trainer

#: The engines: Stable-Baselines3 in this process.
Engine = Literal["sb3"]


def make_trainer(
    engine: Engine, task: Task, ppo: PPOConfig, folder: Path, *, seed: int = 0, device: str = "cpu"
) -> Trainer:
    """Makes a training by an engine's name; see `Trainer`."""
    from agents.sb3_training import SB3Trainer  # noqa: PLC0415 (an engine is loaded where it is used)

    return SB3Trainer(task, ppo, folder, seed=seed, device=device)
