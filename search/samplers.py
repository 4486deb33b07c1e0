"""Who suggests what to try next: NSGA-II, NSGA-III, multi-objective TPE, or chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, NSGAIIISampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

#: NSGA-II (Deb 2002), NSGA-III (Deb 2014), TPE for several objectives (Ozaki 2022), random search.
SamplerName = Literal["nsga2", "nsga3", "tpe", "random"]

#: A generation of the genetic samplers is a fifth of the trials, in these bounds.
_POPULATION = (4, 50)


class NumberedSampler(BaseSampler):
    """A sampler whose draws for a trial follow from the seed, the trial's number and what was told before.

    A search that was broken off and resumed so goes on as it would have gone, and drivers that share a study draw
    differently, however many trials each has drawn before.

    Args:
        make: makes the sampler that draws, from a seed.
        seed: of all draws.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._make, self._seed = make, seed
        self._inner = make(seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Takes the trial's own sampler."""
        self._inner = self._make(int(np.random.SeedSequence([self._seed, trial.number]).generate_state(1)[0]))
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """See `BaseSampler`."""
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """See `BaseSampler`."""
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """See `BaseSampler`."""
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """See `BaseSampler`."""
        self._inner.after_trial(study, trial, state, values)


def make_sampler(name: SamplerName, trials: int, seed: int) -> NumberedSampler:
    """Makes a sampler by its name.

    Args:
        name: one of `SamplerName`.
        trials: how many trials the search has, which a generation's size is taken from.
        seed: of all draws.
    """
    population = int(np.clip(trials // 5, *_POPULATION))
    makers: dict[str, Callable[[int], BaseSampler]] = {
        "nsga2": lambda seed: NSGAIISampler(population_size=population, seed=seed),
        "nsga3": lambda seed: NSGAIIISampler(population_size=population, seed=seed),
        "tpe": lambda seed: TPESampler(seed=seed),
        "random": lambda seed: RandomSampler(seed=seed),
    }
    return NumberedSampler(makers[name], seed)
