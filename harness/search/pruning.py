"""Pruning: decides whether a trial continues, compared with trials that had ended before it was proposed.

Optuna's pruners read the current content of the storage, which depends on the timing of the workers. Here each trial is
compared with a fixed list of earlier trials, so that a decision is the same after a resume and with another number of
workers.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import optuna
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.trial import FrozenTrial, TrialState

from harness.core.protocol import StudyConfig
from harness.core.record import TrialRecord
from harness.evaluation.objectives import costs
from harness.evaluation.stopping import Dominance, Training, shown
from harness.search.continued import Continued

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


class Rules:
    """Makes the rules of a study's candidates. What it keeps from one to the next saves time and changes nothing.

    Args:
        config: the study.
    """

    def __init__(self, config: StudyConfig) -> None:
        self._config = config
        self._judges = Judges(config.pruner)
        self._shown: list[Training] = []

    def rule(self, record: TrialRecord, earlier: Sequence[FrozenTrial], recorded: Callable[[int], TrialRecord]) -> Rule:
        """Return what decides on a candidate.

        Args:
            record: the candidate's.
            earlier: the trials that it is compared with: the study's first ones, all ended.
            recorded: number of one of them → its record.
        """
        if self._config.pruner != "dominated":
            return self._judges.after(earlier)
        objectives = self._config.objectives
        self._shown += [shown(recorded(trial.number), objectives) for trial in earlier[len(self._shown) :]]
        return Dominance(costs(record, objectives), self._shown[: len(earlier)])


class Judges:
    """Optuna's pruners with the trials of one study, each of which is entered once.

    Args:
        pruner: a name that ``make_pruner`` knows.
    """

    def __init__(self, pruner: str) -> None:
        self._name, self._pruner = pruner, make_pruner(pruner)
        self._entered: list[FrozenTrial] = []

    def after(self, earlier: Sequence[FrozenTrial]) -> "Judge":
        """Return a judge that compares with trials: the study's first ones, all ended."""
        if self._name == "none":
            return Judge(self._study([]))
        for trial in earlier[len(self._entered) :]:
            self._entered.append(self._with_rungs(trial))
        return Judge(self._study(self._entered[: len(earlier)]))

    def _study(self, ended: list[FrozenTrial]) -> optuna.Study:
        sampler = optuna.samplers.RandomSampler(seed=0)
        return optuna.create_study(direction="maximize", storage=Continued(ended), sampler=sampler, pruner=self._pruner)

    def _with_rungs(self, ended: FrozenTrial) -> FrozenTrial:
        """Return an ended trial with the rungs that it reached, which follow from the trials before it."""
        study = self._study(self._entered)
        trial = study.ask()
        for epoch, reached in sorted(ended.intermediate_values.items()):
            trial.report(reached, epoch)
            if self._name == "halving":
                trial.should_prune()  # Enters the trial into the rungs that it reached.
        return study.tell(trial, ended.value if ended.state == TrialState.COMPLETE else None, state=ended.state)


class Judge:
    """One of Optuna's pruners for one trial.

    Args:
        study: the trials that it is compared with; its own is added.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._trial = study.ask()

    def stops(self, epoch: int, value: float) -> bool:
        """Record the objective after an epoch, from 1, and return whether the trial is pruned."""
        self._trial.report(value, epoch)
        return self._trial.should_prune()
