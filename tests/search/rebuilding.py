"""A proposer that keeps nothing: for each proposal it gives Optuna's own samplers a new study of all trials."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from harness.core.space import Configuration
from harness.search.candidates import Proposal, Proposer
from harness.search.samplers import derive_seed

STARTUP, TRIES = 6, {"tpe": 32, "nsga2": 32, "gp": 2}


def own_sampler(name: str, seed: int) -> BaseSampler:
    """Return Optuna's own sampler."""
    if name == "tpe":
        return TPESampler(n_startup_trials=1, seed=seed)
    if name == "nsga2":
        return NSGAIISampler(population_size=10, seed=seed)
    return GPSampler(n_startup_trials=1, seed=seed, warn_independent_sampling=False)


class Rebuilding(Proposer):
    """Proposes like a ``Proposer``; with it, it shares what happens to a drawn configuration."""

    def propose(
        self,
        number: int,
        ended: Sequence[FrozenTrial],
        pending: Sequence[FrozenTrial],
        seen: Collection[str],
    ) -> Proposal | None:
        rng = np.random.default_rng(derive_seed(self.seed, number, "uniform"))
        usable = sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in ended)
        if self.sampler == "random" or usable < STARTUP:
            return self._new(rng, seen, source="uniform", number=number)
        study = self._rebuilt(number, ended, pending)
        rejected: Counter[str] = Counter()
        wanted: Configuration = {}
        attrs: dict[str, Any] = {}
        for _ in range(TRIES[self.sampler]):
            wanted, attrs = self._draw(study)
            reason = self._refusal(wanted, seen)
            if reason is None:
                return Proposal(wanted, "sampler", dict(rejected), attrs)
            rejected[reason] += 1
        near = self._alike(wanted, rng, seen)
        assert near is not None
        return Proposal(near, "alike", dict(rejected), attrs)

    def _rebuilt(self, number: int, ended: Sequence[FrozenTrial], pending: Sequence[FrozenTrial]) -> optuna.Study:
        study = optuna.create_study(
            directions=self.directions,
            storage=optuna.storages.InMemoryStorage(),
            sampler=own_sampler(self.sampler, derive_seed(self.seed, number, "sampler")),
        )
        known = [(trial, False) for trial in ended if trial.state != TrialState.FAIL]
        for trial, waiting in [*known, *((trial, True) for trial in pending)]:
            params = self._every_axis(trial.params) if self.sampler in ("nsga2", "gp") else trial.params
            study.add_trial(
                create_trial(
                    state=TrialState.RUNNING if waiting else trial.state,
                    values=None if waiting or trial.state != TrialState.COMPLETE else trial.values,
                    params=params,
                    distributions={name: self._distributions[name] for name in params},
                    intermediate_values={} if waiting else trial.intermediate_values,
                    system_attrs={k: v for k, v in trial.system_attrs.items() if k == "NSGAIISampler:generation"},
                )
            )
        return study

    def _every_axis(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {axis.name: params.get(axis.name, axis.values[0]) for axis in self.space.axes}
