"""Samplers by name, seeded from the study's seed and the trial's number: a resumed study makes the same proposals."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from harness.search.evolution import POPULATION, EvolutionSampler
from harness.search.generations import NSGAIISampler
from harness.search.memory import Memory

STARTUP = {"tpe": 6, "random": 0, "nsga2": 6, "evolution": POPULATION, "gp": 6}
"""Trials drawn uniformly from the configurations that fit, before the sampler learns from the results."""

TRIES = {"tpe": 32, "random": 0, "nsga2": 32, "evolution": 32, "gp": 2}
"""Most draws per trial until one fits and is new; few for the Gaussian process, which refits its kernel per draw."""

DENSE = ("nsga2", "gp")
"""Samplers that model only axes that every trial has: inactive axes get their first value and are then dropped."""


def derive_seed(study_seed: int, *what: int | str) -> int:
    """Return a 31-bit seed for ``what`` (a trial's number, a label, a purpose) of a study."""
    words = [number for item in what for number in (item.encode() if isinstance(item, str) else (item,))]
    return int(np.random.SeedSequence([study_seed, *words]).generate_state(1)[0] >> 1)


class Told(BaseSampler):
    """A sampler that is told which axes every trial has; Optuna's own compare all trials to find them.

    Args:
        sampler: chooses the values.
        shared: distributions of these axes, which are modelled jointly.
    """

    def __init__(self, sampler: BaseSampler, shared: Mapping[str, BaseDistribution]) -> None:
        self._sampler = sampler
        self._shared = dict(shared)

    def infer_relative_search_space(
        self,
        study: optuna.Study,  # noqa: ARG002
        trial: FrozenTrial,  # noqa: ARG002
    ) -> dict[str, BaseDistribution]:
        """Return the distributions of the axes that are modelled jointly."""
        return self._shared

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return values of the axes that are modelled jointly."""
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return a value of another axis."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)


def make_sampler(name: str, seed: int, objectives: int, memory: Memory) -> BaseSampler:
    """Return the sampler called ``name`` (one of ``protocol.SAMPLERS``).

    TPE has Optuna's defaults: for one objective a joint model of the axes that every trial has, since the budget
    depends on combinations, and independent models of all other axes. Running trials count as bad (constant liar), so
    that concurrent proposals differ.

    Args:
        name: its name.
        seed: seed of its draws.
        objectives: number of objectives.
        memory: the trials that it learns from.
    """
    if name == "tpe":
        return Told(TPESampler(n_startup_trials=1, seed=seed), memory.shared if objectives == 1 else {})
    if name == "nsga2":
        return Told(NSGAIISampler(seed, memory.generations), memory.shared)
    if name == "evolution":
        return EvolutionSampler(seed, memory)
    if name == "gp":
        return Told(GPSampler(n_startup_trials=1, seed=seed, warn_independent_sampling=False), memory.shared)
    return RandomSampler(seed=seed)
