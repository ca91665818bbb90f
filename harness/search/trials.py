"""``Trials``: a study's trials, proposed one after the other and told in the order of their numbers.

Trial n is proposed from the results of trials 0 … n - window only. The window is part of the study, not of the machine,
so the sequence of trials depends neither on the number of workers and their timing nor on interruptions.
"""

from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState

from harness.search.candidates import Proposer, identity
from harness.search.storage import HISTORY, Ledger


class Trials:
    """The trials of a study, from those in its ledger up to the number wanted.

    Args:
        ledger: keeps them.
        proposer: chooses their configurations.
        wanted: number of trials; an attribute too.
        window: at most so many trials are proposed and not told.

    Attributes:
        all: every trial by number.
        told: number of trials that were told; they are the first ones.
        exhausted: whether all configurations that fit were proposed.
    """

    def __init__(self, ledger: Ledger, proposer: Proposer, wanted: int, window: int) -> None:
        self._ledger, self._proposer = ledger, proposer
        self.wanted, self._window = wanted, window
        self.all = ledger.trials()
        self.told = sum(trial.state.is_finished() for trial in self.all)
        self.exhausted = False
        self._seen = {identity(trial.params) for trial in self.all}

    def __len__(self) -> int:
        return len(self.all)

    @property
    def repeated(self) -> int:
        """Number of trials whose configuration an earlier one has."""
        return len(self.all) - len(self._seen)

    @property
    def study(self) -> optuna.Study:
        """The Optuna study, for reading."""
        return self._ledger.study

    def propose(self) -> FrozenTrial | None:
        """Propose and store the next trial; None if none is wanted, or the results that it waits for are missing."""
        number = len(self.all)
        if number >= self.wanted or number - self.told >= self._window or self.exhausted:
            return None
        history = max(0, number + 1 - self._window)
        proposal = self._proposer.propose(number, self.all[:history], self.all[history:], self._seen)
        if proposal is None:
            self.exhausted = True
            return None
        self._ledger.add(
            proposal.configuration,
            self._proposer.distributions(proposal.configuration),
            {HISTORY: history, "source": proposal.source, "rejected": proposal.rejected},
            proposal.system_attrs,
        )
        self._seen.add(identity(proposal.configuration))
        self.all = self._ledger.trials()
        return self.all[number]

    def before(self, number: int) -> list[FrozenTrial]:
        """Return the trials from whose results a trial was proposed."""
        return self.all[: self.all[number].user_attrs[HISTORY]]

    def report(self, number: int, epoch: int, value: float) -> None:
        """Store the objective of a running trial after an epoch."""
        self._ledger.report(number, epoch, value)

    def tell(self, state: TrialState, values: Sequence[float] | None) -> None:
        """Tell the result of the first trial that was not told."""
        self._ledger.tell(self.told, state, values)
        self.told += 1
        self.all = self._ledger.trials()
