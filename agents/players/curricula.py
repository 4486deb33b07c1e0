"""Unsupervised environment design: who proposes the levels that a learning player trains on.

All three play by the same round: a level for each lane is proposed, the learner plays every lane's level over and over
for one rollout, the proposer is told what came of it, and the learner learns.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from agents.interface import Interface
from agents.networks import DesignerNetwork, NetworkConfig
from agents.players.networks import PlayerConfig
from agents.players.ppo import Games, PlayerLearner, PlayerPPOConfig, whole_batch
from agents.players.scatter import scatter, settle
from agents.sb3 import DesignerPolicy, SB3VecEnv
from envs import Problem, UserError, get_rules
from envs.vector_env import DesignVectorEnv

#: Seeds of levels are drawn below this.
_SEEDS = 2**31


class Curriculum(ABC):
    """Proposes levels for a learning player.

    Args:
        problem: the problem.
        shape: the levels' shape.
        lanes: how many levels a round has.
        seed: of all draws; what is drawn in a round depends on nothing but the seed and the round's number.

    Attributes:
        name: what tables call it.
        trains: whether the learner is to learn from the levels that were proposed last.
    """

    name: str
    trains: bool = True

    def __init__(self, problem: Problem, shape: tuple[int, ...], lanes: int, seed: int) -> None:
        self.problem, self.shape, self.lanes, self.seed = problem, shape, lanes, seed

    def random(self, number: int) -> np.random.Generator:
        """Returns the source of a round's draws."""
        return np.random.default_rng([self.seed, number])

    @abstractmethod
    def propose(self, number: int) -> NDArray[np.uint8]:
        """Returns the levels of a round, uint8 (lanes, *shape), all of which can be started."""

    def tell(self, number: int, levels: NDArray[np.uint8], games: Games, learner: PlayerLearner) -> dict[str, float]:
        """Is told what the learner made of a round's levels, before the learner learns from them.

        Args:
            number: the round's.
            levels: uint8 (lanes, *shape), as proposed.
            games: the games that ended.
            learner: who played, its last rollout being the round's.

        Returns:
            Figures for the record.
        """
        return {}

    def state(self) -> dict[str, Any]:
        """Returns what a checkpoint needs: tensors and plain numbers."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:  # noqa: B027 (many have nothing to go on from)
        """Goes on from what `state` returned."""

    def show(self, count: int) -> tuple[NDArray[np.uint8], list[str]]:
        """Returns levels worth looking at, uint8 (k, *shape), with captions; here none."""
        return np.zeros((0, *self.shape), np.uint8), []


class RandomLevels(Curriculum):
    """Domain randomisation: every round has fresh random levels (see `agents.players.scatter`)."""

    name = "random"

    def propose(self, number: int) -> NDArray[np.uint8]:
        """Returns random levels that can be started."""
        random = self.random(number)
        kept = [np.zeros((0, *self.shape), np.uint8)]
        missing = self.lanes
        for _ in range(100):
            drawn = scatter(self.problem, 2 * missing, int(random.integers(_SEEDS)), self.shape)
            kept.append(drawn[startable(self.problem, drawn)][:missing])
            missing -= len(kept[-1])
            if not missing:
                return np.concatenate(kept)
        raise UserError(
            f"Hardly any random {self.problem.name} level of shape {self.shape} can be started; take another shape."
        )


def startable(problem: Problem, levels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tells which levels can be started, bool (n,)."""
    rules = get_rules(problem)
    return np.array([rules.problem_with(level) is None for level in levels], np.bool_)


@dataclass(frozen=True)
class ReplayConfig:
    """How prioritised level replay works (Jiang 2021).

    Attributes:
        score: what estimates regret. "value-loss" is the mean over a level's steps of the positive part of the
            generalised advantage, which is great where the learner does better than it expected; "max-return" is the
            mean positive part of the best return so far in the round less the value of each state (MaxMC, Jiang 2021b),
            which is great where a level can be won, but is long or seldom won.
        capacity: how many levels are kept.
        replay: the chance that a round replays kept levels, once there are enough of them.
        temperature: how little ranks count: level of rank k has the weight (1 / k) ** (1 / temperature).
        staleness: the share of the choice that goes by how long ago a level was played.
        fresh: whether fresh levels are there to "learn" from, or only to "score" them, so that all learning is on
            replayed ones (robust replay, Jiang 2021b).
    """

    score: Literal["value-loss", "max-return"] = "value-loss"
    capacity: int = 1000
    replay: float = 0.5
    temperature: float = 0.3
    staleness: float = 0.3
    fresh: Literal["learn", "score"] = "learn"

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        if self.score not in ("value-loss", "max-return"):
            raise UserError(f"score must be value-loss or max-return; got {self.score!r}.")
        if self.fresh not in ("learn", "score"):
            raise UserError(f"fresh levels are there to learn or to score; got {self.fresh!r}.")
        for name in ("replay", "staleness"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} must be a share from 0 to 1; got {getattr(self, name)}.")
        if self.capacity < 1 or not self.temperature > 0:
            raise UserError(
                f"capacity must be at least 1 and temperature above 0; got {self.capacity} and {self.temperature}."
            )
        if self.fresh == "score" and not self.replay:
            raise UserError("Who learns from replayed levels only must replay: give replay above 0.")


class ReplayedLevels(RandomLevels):
    """Prioritised level replay: random levels, of which those are played again that still teach something (Jiang 2021).

    A level's score is an estimate of the learner's regret on it (see `ReplayConfig.score`). Kept levels are chosen by
    the rank of their scores, and in part by how long they have not been played.

    Args:
        problem: the problem.
        shape: the levels' shape.
        lanes: how many levels a round has.
        seed: of all draws.
        config: how the replay works.
    """

    name = "plr"

    def __init__(
        self, problem: Problem, shape: tuple[int, ...], lanes: int, seed: int, config: ReplayConfig | None = None
    ) -> None:
        super().__init__(problem, shape, lanes, seed)
        self.config = config or ReplayConfig()
        self.config.check()
        self.levels = np.zeros((0, *shape), np.uint8)
        self.scores = np.zeros(0)
        self.played = np.zeros(0, np.int64)
        self._replayed: NDArray[np.int64] | None = None

    def propose(self, number: int) -> NDArray[np.uint8]:
        """Returns kept levels or, where there are too few or chance has it so, fresh ones."""
        self._replayed = None
        random = self.random(number)
        if len(self.levels) >= self.lanes and random.random() < self.config.replay:
            chances = self.chances(number)
            self._replayed = random.choice(len(self.levels), self.lanes, replace=False, p=chances)
            self.trains = True
            return self.levels[self._replayed]
        self.trains = self.config.fresh == "learn"
        return super().propose(number)

    def chances(self, number: int) -> NDArray[np.float64]:
        """Returns the chance of each kept level to be replayed in a round, float64 (k,), which sum to 1."""
        ranks = np.empty(len(self.scores))
        ranks[np.argsort(-self.scores, kind="stable")] = np.arange(1, len(self.scores) + 1)
        # In logarithms, lest low ranks vanish; a little is left to each, so that enough can be drawn.
        weights = np.exp(-np.log(ranks) / self.config.temperature) + 1e-9
        stale = number - self.played + 1e-9
        share = self.config.staleness
        mixed = (1 - share) * weights / weights.sum() + share * stale / stale.sum()
        return mixed / mixed.sum()

    def tell(self, number: int, levels: NDArray[np.uint8], games: Games, learner: PlayerLearner) -> dict[str, float]:
        """Scores the levels; fresh ones are kept if they score more than what they displace."""
        scores = self.judge(games, learner)
        if self._replayed is not None:
            self.scores[self._replayed], self.played[self._replayed] = scores, number
        else:
            self.levels = np.concatenate([self.levels, levels])
            self.scores = np.concatenate([self.scores, scores])
            self.played = np.concatenate([self.played, np.full(len(levels), number)])
            kept = np.sort(np.argsort(-self.scores, kind="stable")[: self.config.capacity])
            self.levels, self.scores, self.played = self.levels[kept], self.scores[kept], self.played[kept]
        return {
            "replayed": float(self._replayed is not None),
            "kept": len(self.levels),
            "score": float(self.scores.mean()),
        }

    def judge(self, games: Games, learner: PlayerLearner) -> NDArray[np.float64]:
        """Returns the score of each lane's level, float64 (lanes,)."""
        if self.config.score == "value-loss":
            return np.maximum(learner.advantages, 0).mean(axis=0).astype(np.float64)
        best = np.zeros(self.lanes)
        np.maximum.at(best, games.lane, games.returns)
        return np.maximum(best - learner.values, 0).mean(axis=0)

    def state(self) -> dict[str, Any]:
        """Returns the kept levels."""
        return {name: torch.as_tensor(getattr(self, name)) for name in ("levels", "scores", "played")}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        self.levels, self.scores, self.played = (state[name].numpy() for name in ("levels", "scores", "played"))

    def show(self, count: int) -> tuple[NDArray[np.uint8], list[str]]:
        """Returns the kept levels of the highest scores."""
        best = np.argsort(-self.scores, kind="stable")[:count]
        return self.levels[best], [f"score {self.scores[i]:.3f}" for i in best]


@dataclass(frozen=True)
class AdversaryConfig:
    """How the adversary of PAIRED is trained.

    Attributes:
        representation: how it edits: narrow or turtle, or another that needs no look ahead.
        passes: how many edits it makes for each cell.
        batch: samples in a gradient step.
        epochs: how often each sample is used.
        learning_rate: at the start; it falls linearly.
        gae_lambda: the lambda of generalised advantage estimation.
        entropy: weight of the entropy bonus.
        width: the width of its network's hidden layers.
    """

    representation: str = "narrow"
    passes: float = 1.0
    batch: int = 512
    epochs: int = 3
    learning_rate: float = 1e-3
    gae_lambda: float = 0.98
    entropy: float = 0.01
    width: int = 128

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        for name, value in dataclasses.asdict(self).items():
            if isinstance(value, float) and not (math.isfinite(value) and value >= 0):
                raise UserError(f"{name} must be a finite number of at least 0; got {value}.")
        # Advantages are normalised over a batch, which takes two samples.
        for name, least in (("batch", 2), ("epochs", 1), ("width", 1)):
            if getattr(self, name) < least:
                raise UserError(f"{name} must be at least {least}; got {getattr(self, name)}.")
        if not self.passes or not self.learning_rate or not self.gae_lambda <= 1:
            raise UserError(
                "passes and learning_rate must be above 0, and gae_lambda at most 1; "
                f"got {self.passes}, {self.learning_rate} and {self.gae_lambda}."
            )


class Adversary:
    """A designer that is paid for regret: the levels that it makes shall be easy for one player and hard for another.

    It edits random levels (see `agents.players.scatter`) in the level-design environment, a fixed number of edits
    each. What it leaves is settled, so that there is one player, one door and so on, and it gets its reward once the
    level has been played.

    Args:
        problem: the problem.
        shape: the levels' shape.
        lanes: how many levels it designs side by side.
        seed: of its weights and draws.
        config: how it is trained.
    """

    def __init__(
        self, problem: Problem, shape: tuple[int, ...], lanes: int, seed: int, config: AdversaryConfig | None = None
    ) -> None:
        self.config = config or AdversaryConfig()
        self.config.check()
        self.problem, self.lanes, self.shape = problem, lanes, shape
        self.edits = max(int(self.config.passes * np.prod(shape)), 1)
        own: dict[str, Any] = {"crop": "level"} if self.config.representation in ("narrow", "turtle") else {}
        env = DesignVectorEnv(
            problem,
            self.config.representation,
            lanes,
            autoreset_mode="SameStep",
            shape=shape,
            change_share=None,
            # Episodes end with the round, not by themselves.
            step_limit=self.edits + 1,
            end_on_success=False,
            play_every=0,
            **own,
        )
        self.vec_env = SB3VecEnv(env)
        self.rate = 1.0
        torch.manual_seed(seed)
        network = DesignerNetwork(Interface.of(env), NetworkConfig(kind="mlp", width=self.config.width))
        self.algorithm = PPO(
            DesignerPolicy,
            self.vec_env,
            learning_rate=lambda _: self.config.learning_rate * self.rate,
            n_steps=self.edits,
            batch_size=whole_batch(self.edits * lanes, self.config.batch),
            n_epochs=self.config.epochs,
            gamma=1.0,
            gae_lambda=self.config.gae_lambda,
            ent_coef=self.config.entropy,
            policy_kwargs={"network": network},
            seed=seed,
            device="cpu",
        )
        self.algorithm.set_logger(Logger(folder=None, output_formats=[]))
        self._callback = _Nothing()
        self.algorithm._setup_learn(2**62, callback=self._callback)

    def design(self, seed: int) -> NDArray[np.uint8]:
        """Designs a level in each lane, uint8 (lanes, *shape); they keep the problem's count rules.

        Args:
            seed: of what it begins from and of all its draws.
        """
        self.algorithm.set_random_seed(seed)
        self.vec_env.set_options({"levels": scatter(self.problem, self.lanes, seed, self.shape)})
        self.algorithm._last_obs = self.vec_env.reset()
        self.algorithm._last_episode_starts = np.ones(self.lanes, np.bool_)
        buffer = self.algorithm.rollout_buffer
        self.algorithm.collect_rollouts(self.vec_env, self._callback, buffer, n_rollout_steps=self.edits)
        return settle(self.problem, self.vec_env.batch.levels, seed)

    def learn(self, rewards: NDArray[np.float64], rate: float) -> None:
        """Learns from what the levels that it designed last were worth.

        Args:
            rewards: float64 (lanes,).
            rate: what its learning rate is multiplied by.
        """
        self.rate = rate
        buffer = self.algorithm.rollout_buffer
        # The environment's own rewards do not count; the only one comes with the last edit, and ends the episode.
        buffer.rewards[:] = 0
        buffer.rewards[-1] = rewards
        buffer.compute_returns_and_advantage(torch.zeros(self.lanes), np.ones(self.lanes, np.bool_))
        self.algorithm.train()


class _Nothing(BaseCallback):
    def _on_step(self) -> bool:
        return True


class PairedLevels(Curriculum):
    """PAIRED: an adversary designs levels for the regret of the learner against a second one (Dennis 2020).

    The regret of a level is the antagonist's best discounted return on it less the learner's (the protagonist's) mean
    one. A level that cannot be won, or that both win alike, earns nothing.

    Args:
        problem: the problem.
        shape: the levels' shape.
        lanes: how many levels a round has.
        seed: of all draws.
        ppo: how the antagonist is trained.
        network: its network's shape.
        max_steps: the steps after which a game is cut off.
        config: how the adversary is trained.
    """

    name = "paired"

    def __init__(
        self,
        problem: Problem,
        shape: tuple[int, ...],
        lanes: int,
        seed: int,
        ppo: PlayerPPOConfig,
        network: PlayerConfig,
        max_steps: int | None = None,
        config: AdversaryConfig | None = None,
    ) -> None:
        super().__init__(problem, shape, lanes, seed)
        self.adversary = Adversary(problem, shape, lanes, seed + 1, config)
        ppo = dataclasses.replace(ppo, lanes=lanes)
        self.antagonist = PlayerLearner(
            problem,
            RandomLevels(problem, shape, lanes, seed).propose(0),
            ppo,
            network,
            max_steps=max_steps,
            seed=seed + 2,
        )
        self._spare = RandomLevels(problem, shape, lanes, seed)
        self._own = np.ones(lanes, np.bool_)
        self._shown = np.zeros((0, *shape), np.uint8)
        self._regrets = np.zeros(0)

    def propose(self, number: int) -> NDArray[np.uint8]:
        """Returns what the adversary designed; levels that cannot be started give way to random ones, unpaid."""
        levels = self.adversary.design(int(self.random(number).integers(_SEEDS)))
        self._own = startable(self.problem, levels)
        if not self._own.all():
            levels[~self._own] = self._spare.propose(number)[~self._own]
        return levels

    def tell(self, number: int, levels: NDArray[np.uint8], games: Games, learner: PlayerLearner) -> dict[str, float]:
        """Lets the antagonist play and learn, and pays the adversary the regret."""
        antagonist = self.antagonist
        antagonist.rate = learner.rate
        antagonist.env.set_levels(levels, one_a_lane=True)
        antagonist.set_seed(int(self.random(number).integers(_SEEDS)) + 1)
        theirs = antagonist.rollout()
        antagonist.update()
        gamma = learner.ppo.gamma
        best = np.full(self.lanes, -np.inf)
        np.maximum.at(best, theirs.lane, theirs.discounted(gamma))
        regrets = np.where(np.isfinite(best), best, 0) - lane_means(games.lane, games.discounted(gamma), self.lanes)
        self.adversary.learn(np.where(self._own, regrets, 0), learner.rate)
        self._shown, self._regrets = levels, regrets
        return {"regret": float(regrets.mean()), "antagonist": float(theirs.won.mean()) if len(theirs.won) else 0.0}

    def state(self) -> dict[str, Any]:
        """Returns weights and optimisers of the antagonist and the adversary."""
        policy = cast("DesignerPolicy", self.adversary.algorithm.policy)
        return {
            "antagonist": self.antagonist.state(),
            "adversary": {"policy": policy.state_dict(), "optimizer": policy.optimizer.state_dict()},
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        self.antagonist.load_state(state["antagonist"])
        policy = self.adversary.algorithm.policy
        policy.load_state_dict(state["adversary"]["policy"])
        policy.optimizer.load_state_dict(state["adversary"]["optimizer"])

    def show(self, count: int) -> tuple[NDArray[np.uint8], list[str]]:
        """Returns the levels of the greatest regret in the last round."""
        best = np.argsort(-self._regrets, kind="stable")[:count]
        return self._shown[best], [f"regret {self._regrets[i]:.2f}" for i in best]


def lane_means(lanes: NDArray[np.int64], values: NDArray[np.float64], number: int) -> NDArray[np.float64]:
    """Returns the mean of each lane's values, float64 (number,); 0 where there are none."""
    sums = np.bincount(lanes, values, minlength=number)
    return sums / np.maximum(np.bincount(lanes, minlength=number), 1)
