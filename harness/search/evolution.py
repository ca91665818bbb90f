"""Regularised evolution: a candidate is the child of the best of a few recent trials."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from harness.core.arch import OptionValue
from harness.core.space import Configuration, SearchSpace
from harness.search.memory import Memory

POPULATION, SAMPLE = 32, 8
"""Sizes of the population and of the sample whose best is a parent. In the paper 100 and 25, for 20,000 trials."""


class EvolutionSampler(BaseSampler):
    """Real et al., "Regularized Evolution for Image Classifier Architecture Search", arXiv 1802.01548, algorithm 1.

    The population are the ``POPULATION`` complete trials with the highest numbers: old trials leave it, however good
    they are. ``SAMPLE`` of them are drawn, and the best one is the parent; with several objectives, the first drawn
    that no other one dominates. The child has another value on one of the parent's axes. Axes that this switches on get
    random values.

    Args:
        seed: seed of the draws.
        memory: the trials.
    """

    def __init__(self, seed: int, memory: Memory) -> None:
        self._rng = np.random.default_rng(seed)
        self._memory = memory
        self._child: Configuration = {}

    def infer_relative_search_space(
        self,
        study: optuna.Study,
        trial: FrozenTrial,  # noqa: ARG002
    ) -> dict[str, BaseDistribution]:
        """Choose the child, and return the distributions of its axes."""
        population = [one for one in self._memory.usable if one.state == TrialState.COMPLETE][-POPULATION:]
        drawn = self._rng.permutation(len(population))[:SAMPLE]
        parent = _best([population[place] for place in drawn], study)
        self._child = mutated(self._memory.space, parent.params, self._rng)
        return {name: self._memory.distributions[name] for name in self._child}

    def sample_relative(
        self,
        study: optuna.Study,  # noqa: ARG002
        trial: FrozenTrial,  # noqa: ARG002
        search_space: dict[str, BaseDistribution],  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return the child's values."""
        return dict(self._child)

    def sample_independent(
        self,
        study: optuna.Study,  # noqa: ARG002
        trial: FrozenTrial,  # noqa: ARG002
        param_name: str,
        param_distribution: BaseDistribution,  # noqa: ARG002
    ) -> Any:
        """Refuse: the child has a value for every axis."""
        raise KeyError(param_name)


def mutated(space: SearchSpace, parent: Configuration, rng: np.random.Generator) -> Configuration:
    """Return a configuration that differs from ``parent`` in one axis, and in the axes that this switches on or off."""
    varying = [axis for axis in space.axes if axis.name in parent and len(axis.values) > 1]
    changed = varying[rng.integers(len(varying))]
    others = [value for value in changed.values if value != parent[changed.name]]
    child: Configuration = {}
    for axis in space.axes:
        if space.active(axis, child):
            kept = axis is not changed and axis.name in parent
            child[axis.name] = parent[axis.name] if kept else _any(others if axis is changed else axis.values, rng)
    return child


def _any(values: Sequence[OptionValue], rng: np.random.Generator) -> OptionValue:
    return values[int(rng.integers(len(values)))]


def _best(trials: Sequence[FrozenTrial], study: optuna.Study) -> FrozenTrial:
    """Return the first trial that no other one dominates."""
    best = trials[0]
    for trial in trials[1:]:
        if _dominates(trial, best, study):
            best = trial
    return best


def _dominates(one: FrozenTrial, other: FrozenTrial, study: optuna.Study) -> bool:
    """Return whether a trial is as good in every objective, and better in one."""
    signs = [-1.0 if direction == optuna.study.StudyDirection.MINIMIZE else 1.0 for direction in study.directions]
    ahead: list[float] = [sign * (a - b) for sign, a, b in zip(signs, one.values, other.values, strict=True)]
    return min(ahead) >= 0 and max(ahead) > 0
