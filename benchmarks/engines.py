"""How fast the engines train, where their time goes, and whether they reach the same."""

from __future__ import annotations

from ray.rllib.algorithms.ppo import PPOConfig as RLlibConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.tune.registry import register_env

from agents.rllib.module import PolicyModule
from agents.tasks import Task
from agents.training import PPOConfig


def own_runner_config(task: Task, ppo: PPOConfig, num_env_runners: int) -> RLlibConfig:
    """Returns RLlib's own configuration of the same training: its runner, its connectors, its learner."""
    register_env("tilewright", lambda context: task.make_env(context.get("num_envs", 1)))
    config = RLlibConfig()
    config.environment(
        "tilewright",
        disable_env_checking=True,
        normalize_actions=False,
        clip_actions=False,
    )
    lanes = ppo.lanes // max(num_env_runners, 1)
    config.env_runners(
        num_env_runners=num_env_runners,
        num_envs_per_env_runner=lanes,
        rollout_fragment_length=ppo.rollout,
        gym_env_vectorize_mode="vector_entry_point",
    )
    config.training(
        train_batch_size_per_learner=ppo.lanes * ppo.rollout,
        minibatch_size=min(ppo.batch, ppo.lanes * ppo.rollout),
        num_epochs=ppo.epochs,
        lr=ppo.learning_rate,
        gamma=ppo.gamma,
        lambda_=ppo.gae_lambda,
        entropy_coeff=ppo.entropy,
        clip_param=ppo.clip,
        vf_loss_coeff=ppo.value_weight,
        grad_clip=0.5,
        use_kl_loss=False,
    )
    config.rl_module(
        rl_module_spec=RLModuleSpec(module_class=PolicyModule, model_config={"task": task, "ppo": ppo, "seed": 0})
    )
    config.debugging(log_level="ERROR", seed=0)
    return config
