"""RLlib's PPO with rollouts and updates of rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError
from ray.rllib.algorithms.ppo import PPO
from ray.rllib.algorithms.ppo import PPOConfig as RLlibConfig
from ray.rllib.core import COMPONENT_LEARNER, COMPONENT_RL_MODULE
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.utils.metrics import WEIGHTS_SEQ_NO

from agents.engines import Cluster
from agents.rllib.learner import Lesson, RowsLearner, split
from agents.rllib.module import PolicyModule
from agents.rllib.runner import LanesRunner, Order
from agents.rollouts import Rollout
from agents.tasks import Task
from agents.training import PPOConfig
from envs.vector_env import DesignVectorEnv

T = TypeVar("T")

#: How many seconds runners may take for a rollout before one was seen (kernels compile then), and at least after that.
FIRST_PATIENCE, LEAST_PATIENCE = 600.0, 60.0

#: How many times as long as the longest rollout so far a rollout may take; what comes later is not waited for.
_PATIENCE = 10.0

#: How many seconds a runner that failed is given to answer when it is asked whether it is back.
_PROBE = 3.0


class LanesPPO(PPO):
    """RLlib's PPO; every `training_step` is one rollout of all healthy runners and one update of all learners.

    What the driver wants of the next step stands in `lesson`, `seed` and `settings`; what came of the last one, in
    `rollout` (None where no runner returned anything), `losses` and `seconds`.
    """

    config: Any
    env_runner_group: Any
    learner_group: Any
    lesson: Lesson
    seed: int
    settings: Mapping[str, float]
    rollout: Rollout | None
    losses: dict[str, float]

    def setup(self, config: Any) -> None:
        """Builds runners and learners."""
        self.seed = 0
        self.settings = {}
        self.rollout = None
        self.losses = {}
        #: Where the time went, by part, in all steps.
        self.seconds = {"sampling": 0.0, "transfer": 0.0, "learning": 0.0, "weights": 0.0}
        self._longest = 0.0
        #: Runners that failed and were asked whether they are back, by place.
        self._asked: dict[int, ray.ObjectRef] = {}
        super().setup(config)
        self.take_weights()

    @property
    def local_runner(self) -> LanesRunner:
        """The runner in this process; it samples where there are no others, and always has the newest weights."""
        return self.env_runner_group.local_env_runner

    def take_weights(self) -> None:
        """Takes the weights from the learners, for the runners of the rollouts to come."""
        state = self.learner_group.get_state(
            components=COMPONENT_LEARNER + "/" + COMPONENT_RL_MODULE, inference_only=True
        )[COMPONENT_LEARNER]
        self._state = {name: state[name] for name in (COMPONENT_RL_MODULE, WEIGHTS_SEQ_NO)}
        self.local_runner.set_state({**self._state, WEIGHTS_SEQ_NO: 0})

    def training_step(self) -> None:
        """Samples and learns once."""
        began = time.perf_counter()
        acting, self.rollout = self._sample()
        sampled = time.perf_counter()
        self.seconds["sampling"] += acting
        self.seconds["transfer"] += sampled - began - acting
        if self.rollout is None:
            return
        shards = split(self.rollout.rows, self.config.num_learners)
        results = self.learner_group.update(batches=shards, lesson=self.lesson)
        self.losses = {name: sum(one[name] for one in results) / len(results) for name in results[0]}
        learned = time.perf_counter()
        self.seconds["learning"] += learned - sampled
        self.take_weights()
        self.seconds["weights"] += time.perf_counter() - learned

    def restore_env_runners(self, env_runner_group: Any) -> list[int]:
        """Takes runners that failed back once they answer; returns their places.

        RLlib's own way waits for an answer before each step: two seconds, in which those that work make many rollouts.
        """
        manager = env_runner_group._worker_manager
        for place, actor in manager.actors().items():
            if not manager.is_actor_healthy(place) and place not in self._asked:
                self._asked[place] = actor.ping.remote()
        asked = {answer: place for place, answer in self._asked.items()}
        answered = ray.wait(list(asked), num_returns=len(asked), timeout=0)[0] if asked else []
        back = False
        for answer in answered:
            del self._asked[asked[answer]]
            with suppress(RayError):
                ray.get(answer)
                back = True
        return super().restore_env_runners(env_runner_group) if back else []

    def _sample(self) -> tuple[float, Rollout | None]:
        """Returns how many seconds the slowest runner acted, and what all of them did together."""
        order = Order(self._state, self.seed, self.settings)
        if not self.config.num_env_runners:
            return self.local_runner.collect(order)
        began = time.perf_counter()
        results = self.env_runner_group.foreach_env_runner(
            "answer",
            kwargs={"order": ray.put(order)},
            local_env_runner=False,
            timeout_seconds=max(_PATIENCE * self._longest, LEAST_PATIENCE) if self._longest else FIRST_PATIENCE,
        )
        if not results:
            return 0.0, None
        self._longest = max(self._longest, time.perf_counter() - began)
        for _, rollout in results:
            if isinstance(rollout, Exception):
                raise rollout
        return max(seconds for seconds, _ in results), Rollout.joined([rollout for _, rollout in results])

    def on_learners(self, function: Callable[..., T], **given: Any) -> list[T]:
        """Calls a function with each learner, and returns what it returned.

        Raises:
            RayError: a learner has died.
        """
        results = list(self.learner_group.foreach_learner(function, **given))
        for result in results:
            if not result.ok:
                raise result.get()
        return [result.get() for result in results]


def make_config(task: Task, ppo: PPOConfig, cluster: Cluster, seed: int, gpu: int | None) -> RLlibConfig:
    """Returns the configuration of a training.

    Args:
        task: environment, policy and reward.
        ppo: how to train.
        cluster: how many runners and learners there are.
        seed: fixes the first weights.
        gpu: which GPU of this process learns, where there are no learners apart.
    """
    env = task.make_env(1)
    config: RLlibConfig = RLlibConfig(algo_class=LanesPPO)
    config.environment(
        DesignVectorEnv,
        env_config={"task": task, "ppo": ppo},
        observation_space=env.single_observation_space,
        action_space=env.single_action_space,
        disable_env_checking=True,
    )
    config.env_runners(
        env_runner_cls=LanesRunner,
        num_env_runners=cluster.num_env_runners,
        num_envs_per_env_runner=1,
        create_env_on_local_worker=cluster.num_env_runners == 0,
        create_local_env_runner=True,
    )
    config.learners(
        learner_class=RowsLearner,
        num_learners=cluster.num_learners,
        num_gpus_per_learner=cluster.num_gpus_per_learner if gpu is None else 1,
        local_gpu_idx=gpu or 0,
    )
    # RLlib's own loops are not used; its settings say the same, for whoever reads them.
    rows = ppo.lanes * ppo.rollout // max(cluster.num_learners, 1)
    config.training(
        train_batch_size_per_learner=rows,
        minibatch_size=min(ppo.batch // max(cluster.num_learners, 1), rows),
        num_epochs=ppo.epochs,
        gamma=ppo.gamma,
        lambda_=ppo.gae_lambda,
    )
    config.rl_module(
        rl_module_spec=RLModuleSpec(module_class=PolicyModule, model_config={"task": task, "ppo": ppo, "seed": seed})
    )
    config.fault_tolerance(
        restart_failed_env_runners=True,
        env_runner_health_probe_timeout_s=_PROBE,
        env_runner_restore_timeout_s=LEAST_PATIENCE,
    )
    config.debugging(seed=seed, log_level="ERROR")
    return config
