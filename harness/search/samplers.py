"""Samplers by name, each seeded from the study's seed and the trial's number, so that a resume repeats no proposal."""

import numpy as np
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

STARTUP = 6
"""Trials drawn uniformly from what fits before the sampler models the results."""

POPULATION = 10
"""Trials of one NSGA-II generation: small, because training is expensive."""

TRIES = {"tpe": 32, "random": 0, "nsga2": 32, "gp": 2}
"""Most draws until one fits the budget and is new. Each draw of the Gaussian process refits its kernel."""

DENSE = ("nsga2", "gp")
"""Samplers that model only axes which every trial has: inactive axes are filled in for them and dropped again."""


def derive_seed(study_seed: int, *what: int | str) -> int:
    """Return a 31-bit seed for ``what`` (a trial's number, a label, a purpose) of a study."""
    words = [number for item in what for number in (item.encode() if isinstance(item, str) else (item,))]
    return int(np.random.SeedSequence([study_seed, *words]).generate_state(1)[0] >> 1)


def make_sampler(name: str, seed: int) -> BaseSampler:
    """Return the sampler called ``name`` (one of ``protocol.SAMPLERS``).

    TPE is Optuna's own default: joint over the axes that every trial has, as what fits a budget is a matter of
    combinations, and independent over conditional ones; trials that are still training count as bad (constant liar),
    so that workers do not crowd.
    """
    if name == "tpe":
        return TPESampler(n_startup_trials=1, seed=seed)
    if name == "nsga2":
        return NSGAIISampler(population_size=POPULATION, seed=seed)
    if name == "gp":
        return GPSampler(n_startup_trials=1, seed=seed, warn_independent_sampling=False)
    return RandomSampler(seed=seed)
