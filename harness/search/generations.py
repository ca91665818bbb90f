"""NSGA-II's generations, kept between proposals: the parents of a generation are selected once."""

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

POPULATION = 10
"""Trials per NSGA-II generation; few, because training is expensive."""

GENERATION = "NSGAIISampler:generation"
"""System attribute in which Optuna's NSGA-II stores a trial's generation."""


def generation_only(system_attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes that a later proposal reads."""
    return {key: value for key, value in system_attrs.items() if key == GENERATION}


class Generations:
    """Complete trials by generation, and the parents selected from them.

    Attributes:
        populations: generation → its complete trials, in the order in which they were added.
        parents: for each generation the trials that its trials descend from, in the order of selection; generation 0
            has none. Later generations are missing until they are asked for.
    """

    def __init__(self) -> None:
        self.populations: dict[int, list[FrozenTrial]] = {}
        self.parents: list[list[FrozenTrial]] = [[]]

    def add(self, trial: FrozenTrial) -> None:
        """Add an ended trial. The parents of all later generations may change, so they are forgotten."""
        generation = trial.system_attrs.get(GENERATION)
        if generation is not None and trial.state == TrialState.COMPLETE:
            self.populations.setdefault(generation, []).append(trial)
            del self.parents[generation + 1 :]


class NSGAIISampler(optuna.samplers.NSGAIISampler):
    """Optuna's NSGA-II for one proposal, which selects only the parents that are missing.

    Optuna's own would select those of every generation, in a recursion that exceeds Python's limit after some 490
    generations. What it proposes is the same. So is the class's name, because Optuna takes ``GENERATION`` from it.

    Args:
        seed: seed of the draws.
        generations: those of the trials before this proposal; missing parents are added.
    """

    def __init__(self, seed: int, generations: Generations) -> None:
        super().__init__(population_size=POPULATION, seed=seed)
        self._generations = generations
        self._returned: set[int] = set()

    def get_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:  # noqa: ARG002
        """Return the complete trials of a generation."""
        return self._generations.populations.get(generation, [])

    def get_parent_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        """Return the parents of a generation: at first in the order of selection, afterwards in order of their numbers.

        Crossover picks parents by position, and this is the order in which Optuna has them.
        """
        known = self._generations.parents
        while len(known) <= generation:
            known.append(self.select_parent(study, len(known)))
        if generation in self._returned:
            return sorted(known[generation])
        self._returned.add(generation)
        return known[generation]
