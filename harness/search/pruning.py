"""Pruning: decides whether a trial continues, compared with trials that had ended before it was proposed.

Optuna's pruners read the current content of the storage, which depends on the timing of the workers. Here each trial is
compared with a fixed list of earlier trials, so that a decision is the same after a resume and with another number of
workers.
"""

from collections.abc import Sequence
from typing import Protocol

import optuna
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.trial import FrozenTrial, TrialState

from harness.core.protocol import StudyConfig
from harness.core.record import TrialRecord
from harness.evaluation.objectives import costs
from harness.evaluation.stopping import Dominance, shown

STARTUP = 10
"""Least number of complete trials for the median rule; a median of fewer is noise."""


def make_pruner(name: str) -> BasePruner:
    """Return Optuna's pruner called ``name``: any of ``protocol.PRUNERS`` but ``dominated``.

    ``median`` stops a trial whose best epoch so far lies below the median of the earlier complete trials at that
    epoch. ``halving`` keeps the better half at epochs 1, 2, 4, … (asynchronous successive halving, Li et al.,
    arXiv 1810.05934).
    """
    if name == "median":
        return MedianPruner(n_startup_trials=STARTUP)
    if name == "halving":
        return SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)
    return NopPruner()


class Rule(Protocol):
    """Decides after every epoch that is evaluated whether one trial continues."""

    def stops(self, epoch: int, value: float) -> bool:
        """Record the AP after an epoch, from 1, and return whether the trial is pruned."""


def rule_for(
    config: StudyConfig, record: TrialRecord, earlier: Sequence[TrialRecord], trials: Sequence[FrozenTrial]
) -> Rule:
    """Return what decides on a candidate.

    Args:
        config: its study.
        record: the candidate's.
        earlier: records of the trials that it is compared with, all ended, in the order of their numbers.
        trials: the same as Optuna's trials.
    """
    if config.pruner == "dominated":
        seen = [shown(one, config.objectives) for one in earlier]
        return Dominance(costs(record, config.objectives), seen)
    return Judge(config.pruner, trials)


class Judge:
    """One of Optuna's pruners, which compare one objective.

    Args:
        pruner: a name that ``make_pruner`` knows.
        earlier: the trials it is compared with, all ended, in the order of their numbers.
    """

    def __init__(self, pruner: str, earlier: Sequence[FrozenTrial]) -> None:
        self._study = optuna.create_study(
            direction="maximize",
            storage=optuna.storages.InMemoryStorage(),
            sampler=optuna.samplers.RandomSampler(seed=0),
            pruner=make_pruner(pruner),
        )
        for ended in earlier if pruner != "none" else ():
            trial = self._study.ask()
            for epoch, reached in sorted(ended.intermediate_values.items()):
                trial.report(reached, epoch)
                if pruner == "halving":
                    trial.should_prune()  # Enters the trial into the rungs that it reached.
            self._study.tell(trial, ended.value if ended.state == TrialState.COMPLETE else None, state=ended.state)
        self._trial = self._study.ask()

    def stops(self, epoch: int, value: float) -> bool:
        """Record the objective after an epoch, from 1, and return whether the trial is pruned."""
        self._trial.report(value, epoch)
        return self._trial.should_prune()
