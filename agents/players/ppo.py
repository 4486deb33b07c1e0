"""Trains players by PPO (Schulman 2017) with Stable-Baselines3 in the batched play environment."""

from __future__ import annotations

import io
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor
from torch.distributions import Categorical

from agents.players.networks import PlayerConfig, PlayerInterface, PlayerNetwork
from agents.players.policy import PolicyPlayer
from envs import Problem, UserError
from envs.files import write_atomically
from envs.play_vector_env import PlayVectorEnv
from envs.records import MetricsLog
from generators.devices import check_device
from generators.options import check_threads

#: Where a run folder keeps what a resumed training needs, and its figures.
CHECKPOINT_FILE = "checkpoint.pt"
METRICS_FILE = "metrics.csv"

#: How many of the latest games the figures of a training are means of.
RECENT = 1000

_LOSSES = {"entropy_loss": "entropy", "value_loss": "value_loss", "approx_kl": "approx_kl"}


@dataclass(frozen=True)
class PlayerPPOConfig:
    """How a player is trained.

    Attributes:
        lanes: how many games are played side by side.
        rollout: steps of each lane between updates.
        batch: samples in a gradient step.
        epochs: how often each sample is used.
        learning_rate: at the start; it falls linearly.
        gamma: discount.
        gae_lambda: the lambda of generalised advantage estimation (Schulman 2016).
        entropy: weight of the entropy bonus.
        clip: how far the policy's ratio may go in one update.
        value_weight: weight of the value loss.
        threads: torch's threads; one is fastest for networks this small.
    """

    lanes: int = 64
    rollout: int = 64
    batch: int = 256
    epochs: int = 3
    learning_rate: float = 2e-3
    gamma: float = 0.97
    gae_lambda: float = 0.95
    entropy: float = 0.01
    clip: float = 0.2
    value_weight: float = 0.5
    threads: int = 1

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        for name, value in asdict(self).items():
            if not math.isfinite(value) or value < 0:
                raise UserError(f"{name} must be a finite number of at least 0; got {value}.")
        # Advantages are normalised over a batch, which takes two samples.
        for name, least in (("lanes", 1), ("rollout", 1), ("batch", 2), ("epochs", 1)):
            if getattr(self, name) < least:
                raise UserError(f"{name} must be at least {least}; got {getattr(self, name)}.")
        check_threads(self.threads)
        if self.lanes * self.rollout < 2:
            raise UserError("lanes times rollout must be at least 2; got 1 and 1.")
        if not self.learning_rate or not self.clip or not 0 < self.gamma <= 1 or not self.gae_lambda <= 1:
            raise UserError(
                "learning_rate and clip must be above 0, gamma in (0, 1] and gae_lambda in [0, 1]; "
                f"got {self.learning_rate}, {self.clip}, {self.gamma} and {self.gae_lambda}."
            )


class PlayVecEnv(VecEnv):
    """A batched play environment as Stable-Baselines3's `VecEnv`, without a loop over lanes that go on.

    Args:
        env: a batched play environment in the SAME_STEP autoreset mode.

    Attributes:
        batch: the environment.
        ended: what the games that ended in the last step came to, an array a fact: "lane", "won", "lost", "length".

    Raises:
        UserError: the environment is in another mode.
    """

    def __init__(self, env: PlayVectorEnv) -> None:
        if env.autoreset_mode.value != "SameStep":
            raise UserError(
                f"Stable-Baselines3 needs the autoreset_mode 'SameStep'; it is {env.autoreset_mode.value!r}."
            )
        self.batch = env
        self.ended: dict[str, NDArray[Any]] = {}
        self.render_mode = env.render_mode
        self._seed: int | None = None
        self._actions = np.zeros(0, np.int64)
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seeds the next reset; lane i gets seed + i."""
        self._seed = seed
        return [None if seed is None else seed + lane for lane in range(self.num_envs)]

    def reset(self) -> Any:
        """Begins new games in all lanes."""
        observations, _ = self.batch.reset(seed=self._seed)
        self._seed = None
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        """Takes the actions of the next step."""
        self._actions = actions.reshape(self.num_envs)

    def step_wait(self) -> tuple[Any, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Steps all lanes; `ended` says what games that ended came to."""
        observations, rewards, terminations, truncations, infos = self.batch.step(self._actions)
        done = terminations | truncations
        lane_infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        self.ended = {}
        lanes = np.flatnonzero(done)
        if len(lanes):
            for lane in lanes:
                lane_infos[lane] = {
                    "terminal_observation": infos["final_obs"][lane],
                    "TimeLimit.truncated": bool(truncations[lane]),
                }
            final = infos["final_info"]
            self.ended = {
                "lane": lanes,
                "won": final["won"][lanes],
                "lost": rewards[lanes] < 0,
                "length": final["steps"][lanes],
            }
        return observations, rewards.astype(np.float32), done, lane_infos

    def close(self) -> None:
        """Closes the environment."""
        self.batch.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Returns an attribute of the batched environment, once for each lane asked for."""
        return [getattr(self.batch, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Sets an attribute of the batched environment, which all lanes share."""
        setattr(self.batch, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Calls a method of the batched environment once, and returns its result for each lane asked for."""
        result = getattr(self.batch, method_name)(*args, **kwargs)
        return [result for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Tells that no lane is wrapped."""
        return [False for _ in self._get_indices(indices)]


class PlayerPolicy(ActorCriticPolicy):
    """Stable-Baselines3's view of a `PlayerNetwork`.

    Args:
        interface: what goes into and comes out of the network.
        network_config: the network's shape.
    """

    def __init__(
        self,
        observation_space: Any,
        action_space: Any,
        lr_schedule: Any,
        *,
        interface: PlayerInterface,
        network_config: PlayerConfig,
        **kwargs: Any,
    ) -> None:
        self._interface = interface
        self._network_config = network_config
        super().__init__(observation_space, action_space, lr_schedule, ortho_init=False, **kwargs)

    def _build(self, lr_schedule: Any) -> None:
        self.network = PlayerNetwork(self._interface, self._network_config)
        optimizer: Any = self.optimizer_class
        self.optimizer = optimizer(self.network.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)

    def _choices(self, observation: Any) -> tuple[Categorical, Tensor]:
        logits, values = self.network(observation)
        return Categorical(logits=logits, validate_args=False), values

    def forward(self, obs: Any, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Returns actions (n,), values (n, 1) and log probabilities (n,)."""
        choices, values = self._choices(obs)
        actions = choices.logits.argmax(dim=1) if deterministic else choices.sample()
        return actions, values[:, None], choices.log_prob(actions)

    def evaluate_actions(self, obs: Any, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Returns values (n, 1), log probabilities (n,) and entropies (n,)."""
        choices, values = self._choices(obs)
        return values[:, None], choices.log_prob(actions.long().flatten()), choices.entropy()

    def predict_values(self, obs: Any) -> Tensor:
        """Returns values (n, 1)."""
        return self.network(obs)[1][:, None]

    def _predict(self, observation: Any, deterministic: bool = False) -> Tensor:
        return self.forward(observation, deterministic)[0]


@dataclass
class Games:
    """The games that ended in one rollout, an entry a game.

    Attributes:
        lane: int64 (k,), where each was played.
        won: bool (k,).
        lost: bool (k,).
        length: int64 (k,), its steps.
    """

    lane: NDArray[np.int64]
    won: NDArray[np.bool_]
    lost: NDArray[np.bool_]
    length: NDArray[np.int64]

    @property
    def returns(self) -> NDArray[np.float64]:
        """1 won, -1 lost, else 0, float64 (k,)."""
        return self.won.astype(np.float64) - self.lost

    def discounted(self, gamma: float) -> NDArray[np.float64]:
        """Returns what each game was worth at its start, float64 (k,): less where it took long to win."""
        return self.returns * gamma ** (self.length - 1)


class PlayerLearner:
    """A player that learns, one rollout and one update at a time; whoever calls says on which levels.

    Args:
        problem: a playable problem or its name.
        levels: tile ids (k, *shape), the first levels to play.
        ppo: how to train.
        network: the network's shape.
        max_steps: the steps after which a game is cut off; None allows 10 for each cell.
        seed: fixes weights, levels and draws.
        device: where the network is trained.
    """

    def __init__(
        self,
        problem: Problem | str,
        levels: ArrayLike | None,
        ppo: PlayerPPOConfig,
        network: PlayerConfig,
        *,
        max_steps: int | None = None,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        ppo.check()
        network.check()
        check_device(device)
        torch.set_num_threads(ppo.threads)
        self.ppo = ppo
        self.env = PlayVectorEnv(problem, ppo.lanes, autoreset_mode="SameStep", levels=levels, max_steps=max_steps)
        self.vec_env = PlayVecEnv(self.env)
        #: What the learning rate is multiplied by.
        self.rate = 1.0
        self.algorithm = PPO(
            PlayerPolicy,
            self.vec_env,
            learning_rate=lambda _: ppo.learning_rate * self.rate,
            n_steps=ppo.rollout,
            batch_size=whole_batch(ppo.rollout * ppo.lanes, ppo.batch),
            n_epochs=ppo.epochs,
            gamma=ppo.gamma,
            gae_lambda=ppo.gae_lambda,
            ent_coef=ppo.entropy,
            clip_range=ppo.clip,
            vf_coef=ppo.value_weight,
            policy_kwargs={"interface": PlayerInterface.of(self.env.rules, self.env.shape), "network_config": network},
            seed=seed,
            device=device,
        )
        self.algorithm.set_logger(Logger(folder=None, output_formats=[]))
        self._collector = _Collector()
        self.algorithm._setup_learn(2**62, callback=self._collector)

    @property
    def network(self) -> PlayerNetwork:
        """The network that is trained."""
        return cast("PlayerPolicy", self.algorithm.policy).network

    def set_seed(self, seed: int) -> None:
        """Fixes the draws from here on, and begins new games."""
        self.algorithm.set_random_seed(seed)
        self.begin()

    def begin(self) -> None:
        """Breaks off all games, and begins new ones."""
        self.algorithm._last_obs = self.vec_env.reset()
        self.algorithm._last_episode_starts = np.ones(self.env.num_envs, np.bool_)

    def rollout(self) -> Games:
        """Plays `ppo.rollout` steps in every lane, and returns the games that ended."""
        self._collector.games = []
        buffer = self.algorithm.rollout_buffer
        self.algorithm.collect_rollouts(self.vec_env, self._collector, buffer, n_rollout_steps=self.ppo.rollout)
        games = self._collector.games
        empty = {"lane": np.int64, "won": np.bool_, "lost": np.bool_, "length": np.int64}
        return Games(
            **{name: np.concatenate([np.zeros(0, kind), *(one[name] for one in games)]) for name, kind in empty.items()}
        )

    @property
    def advantages(self) -> NDArray[np.float32]:
        """The advantages in the last rollout, float32 (steps, lanes), until it is learned from."""
        return self.algorithm.rollout_buffer.advantages.reshape(self.ppo.rollout, self.ppo.lanes)

    @property
    def values(self) -> NDArray[np.float32]:
        """What the learner took each state of the last rollout to be worth, float32 (steps, lanes)."""
        return self.algorithm.rollout_buffer.values.reshape(self.ppo.rollout, self.ppo.lanes)

    def update(self) -> dict[str, float]:
        """Learns from the last rollout, and returns the learner's own figures."""
        self.network.train()
        self.algorithm.train()
        values = self.algorithm.logger.name_to_value
        return {ours: abs(float(values.get(f"train/{theirs}", math.nan))) for theirs, ours in _LOSSES.items()}

    def sound(self) -> bool:
        """Tells whether the network's weights are finite numbers."""
        return all(bool(torch.isfinite(weights).all()) for weights in self.network.parameters())

    def player(self, facts: Mapping[str, Any] | None = None, name: str = "PPO player") -> PolicyPlayer:
        """Returns the player as trained so far; it goes on learning with the learner."""
        return PolicyPlayer(self.env.problem, self.network, facts, name=name)

    def state(self) -> dict[str, Any]:
        """Returns what a checkpoint needs: weights and optimiser."""
        policy = self.algorithm.policy
        return {"policy": policy.state_dict(), "optimizer": policy.optimizer.state_dict()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        self.algorithm.policy.load_state_dict(state["policy"])
        self.algorithm.policy.optimizer.load_state_dict(state["optimizer"])


class _Collector(BaseCallback):
    """Gathers the games that end."""

    def __init__(self) -> None:
        super().__init__()
        self.games: list[dict[str, NDArray[Any]]] = []

    def _on_step(self) -> bool:
        ended = cast("PlayVecEnv", self.training_env).ended
        if ended:
            self.games.append(ended)
        return True


@dataclass
class PlayerProgress:
    """How far a training is.

    Attributes:
        steps: environment steps taken.
        seconds: training time spent, in all the processes that worked on the run.
        updates: policy updates made.
        games: games finished.
    """

    steps: int = 0
    seconds: float = 0.0
    updates: int = 0
    games: int = 0


class PlayerTrainer:
    """One player's training on given levels, in a run folder.

    Args:
        problem: a playable problem or its name.
        levels: tile ids (k, *shape); each game plays one of them at random.
        folder: the run folder; the checkpoint and metrics.csv go there.
        steps: stop at the first update after so many steps; equal seeds then give equal results. 0 for no limit.
        minutes: stop after so much training time. 0 for no limit.
        ppo: how to train.
        network: the network's shape.
        max_steps: the steps after which a game is cut off; None allows 10 for each cell.
        seed: fixes weights, levels and draws.
        device: where the network is trained.
        checkpoint_seconds: how often a checkpoint is written.

    Raises:
        UserError: an option cannot be used.
    """

    def __init__(
        self,
        problem: Problem | str,
        levels: ArrayLike,
        folder: Path,
        *,
        steps: int = 0,
        minutes: float = 0.0,
        ppo: PlayerPPOConfig | None = None,
        network: PlayerConfig | None = None,
        max_steps: int | None = None,
        seed: int = 0,
        device: str = "cpu",
        checkpoint_seconds: float = 30.0,
    ) -> None:
        if steps < 0 or not math.isfinite(minutes) or minutes < 0 or not steps + minutes:
            raise UserError(f"Give a training time or a number of steps above 0; got minutes={minutes}, steps={steps}.")
        self.learner = PlayerLearner(
            problem,
            levels,
            ppo or PlayerPPOConfig(),
            network or PlayerConfig(),
            max_steps=max_steps,
            seed=seed,
            device=device,
        )
        self.folder, self.steps, self.minutes, self.seed = folder, steps, minutes, seed
        self.progress = PlayerProgress()
        self._device = device
        self._checkpoint_seconds = checkpoint_seconds

    @property
    def checkpoint(self) -> Path:
        """Where the checkpoint is."""
        return self.folder / CHECKPOINT_FILE

    def share_done(self) -> float:
        """Returns how much of the training is done, in [0, 1]."""
        shares = [0.0]
        if self.steps:
            shares.append(self.progress.steps / self.steps)
        if self.minutes:
            shares.append(self.progress.seconds / (60 * self.minutes))
        return min(max(shares), 1.0)

    def save_checkpoint(self) -> None:
        """Writes the checkpoint beside the old one and then in its place.

        Raises:
            UserError: it cannot be written; the old one is whole.
        """
        write_checkpoint(self.checkpoint, {**self.learner.state(), "progress": asdict(self.progress)})

    def resume(self) -> None:
        """Goes on from the checkpoint; games under way begin anew.

        Raises:
            UserError: the checkpoint is missing, damaged, or of another network.
        """

        def load(content: dict[str, Any]) -> None:
            self.learner.load_state(content)
            self.progress = PlayerProgress(**content["progress"])

        read_checkpoint(self.checkpoint, load, self._device)

    def learn(self, report: Callable[[PlayerProgress, float, dict[str, float]], None] | None = None) -> PlayerProgress:
        """Trains until the limit, writing the checkpoint and metrics.csv on the way.

        An interrupt from the keyboard leaves a checkpoint too.

        Args:
            report: called after every update with the progress, the share of the training that is done, and the means
                over recent games ("won", "length").

        Raises:
            UserError: the weights are no longer finite numbers, or a file cannot be written.
        """
        columns = (*asdict(self.progress), "won", "lost", "length", *_LOSSES.values())
        log = MetricsLog(self.folder / METRICS_FILE, columns, self.progress.steps)
        recent: dict[str, deque[float]] = {name: deque(maxlen=RECENT) for name in ("won", "lost", "length")}
        before, began = self.progress.seconds, time.perf_counter()
        saved = began
        # Whatever was drawn before, equal seeds give equal results; a training that goes on makes new draws.
        self.learner.set_seed(self.seed + self.progress.steps)
        try:
            while self.share_done() < 1:
                self.learner.rate = 1 - self.share_done()
                games = self.learner.rollout()
                figures = self.learner.update()
                if not self.learner.sound():
                    known = "it holds the last good weights" if self.checkpoint.exists() else "none was written yet"
                    raise UserError(
                        f"Training stopped after {self.progress.steps} steps: the weights are no longer finite "
                        f"numbers; checkpoint {self.checkpoint}: {known}; resume with a smaller learning rate."
                    )
                now = time.perf_counter()
                progress = self.progress
                progress.steps += self.learner.ppo.lanes * self.learner.ppo.rollout
                progress.updates += 1
                progress.games += len(games.won)
                progress.seconds = before + now - began
                for name, values in recent.items():
                    values.extend(getattr(games, name).astype(float).tolist())
                means = {name: float(np.mean(values)) for name, values in recent.items() if values}
                log.write({**asdict(progress), **means, **figures})
                if now - saved > self._checkpoint_seconds:
                    self.save_checkpoint()
                    saved = now
                if report:
                    report(progress, self.share_done(), means)
        except KeyboardInterrupt:
            if self.learner.sound():
                self.save_checkpoint()
            raise
        self.save_checkpoint()
        return self.progress

    def player(self, facts: Mapping[str, Any] | None = None) -> PolicyPlayer:
        """Returns the player as trained so far."""
        return self.learner.player(facts)


def whole_batch(samples: int, most: int) -> int:
    """Returns the greatest size of at most `most` that cuts so many samples into equal batches."""
    return next(size for size in range(min(most, samples), 0, -1) if samples % size == 0)


def write_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a checkpoint beside the old one and then in its place.

    Raises:
        UserError: it cannot be written; the old one is whole.
    """
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    write_atomically(path, buffer.getvalue())


def read_checkpoint(path: Path, load: Callable[[dict[str, Any]], None], device: str = "cpu") -> None:
    """Reads a checkpoint and hands it to `load`.

    Raises:
        UserError: the checkpoint is missing, damaged, or `load` could not use it.
    """
    try:
        # weights_only: tensors and plain numbers are read, no code that a file might carry is run.
        load(torch.load(path, map_location=device, weights_only=True))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: there is nothing to resume.") from None
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{path} is damaged or of another network ({reason[:160]}); resume with the options that the run began "
            "with, or begin another run."
        ) from error
