"""Samplers by name, seeded from the study's seed and the trial's number: a resumed study makes the same proposals."""

import numpy as np
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

STARTUP = 6
"""Trials drawn uniformly from the configurations that fit, before the sampler models the results."""

POPULATION = 10
"""Trials per NSGA-II generation; few, because training is expensive."""

TRIES = {"tpe": 32, "random": 0, "nsga2": 32, "gp": 2}
"""Most draws per trial until one fits and is new; few for the Gaussian process, which refits its kernel per draw."""

DENSE = ("nsga2", "gp")
"""Samplers that model only axes that every trial has: inactive axes get their first value and are then dropped."""


def derive_seed(study_seed: int, *what: int | str) -> int:
    """Return a 31-bit seed for ``what`` (a trial's number, a label, a purpose) of a study."""
    words = [number for item in what for number in (item.encode() if isinstance(item, str) else (item,))]
    return int(np.random.SeedSequence([study_seed, *words]).generate_state(1)[0] >> 1)


def make_sampler(name: str, seed: int) -> BaseSampler:
    """Return the sampler called ``name`` (one of ``protocol.SAMPLERS``).

    TPE has Optuna's defaults: a joint model of the axes that every trial has, since the budget depends on combinations,
    and independent models of conditional axes. Running trials count as bad (constant liar), so that concurrent
    proposals differ.
    """
    if name == "tpe":
        return TPESampler(n_startup_trials=1, seed=seed)
    if name == "nsga2":
        return NSGAIISampler(population_size=POPULATION, seed=seed)
    if name == "gp":
        return GPSampler(n_startup_trials=1, seed=seed, warn_independent_sampling=False)
    return RandomSampler(seed=seed)
