"""Pruning: decides whether a trial continues, compared with trials that had ended before it was proposed.

Optuna's pruners read the current content of the storage, which depends on the timing of the workers. Here each trial is
compared with a fixed list of earlier trials, so that a decision is the same after a resume and with another number of
workers.
"""

from collections.abc import Sequence

import optuna
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.trial import FrozenTrial, TrialState

STARTUP = 10
"""Least number of complete trials for the median rule; a median of fewer is noise."""


def make_pruner(name: str) -> BasePruner:
    """Return the pruner called ``name`` (one of ``protocol.PRUNERS``).

    ``median`` stops a trial whose best epoch so far lies below the median of the earlier complete trials at that
    epoch. ``halving`` keeps the better half at epochs 1, 2, 4, … (asynchronous successive halving, Li et al.,
    arXiv 1810.05934).
    """
    if name == "median":
        return MedianPruner(n_startup_trials=STARTUP)
    if name == "halving":
        return SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)
    return NopPruner()


class Judge:
    """Decides after every epoch that is evaluated whether one trial continues.

    Args:
        pruner: a name of ``protocol.PRUNERS``.
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
