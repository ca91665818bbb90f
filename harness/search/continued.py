"""A study in memory that continues trials which it does not store, so that many studies can share them."""

import copy
from collections.abc import Container, Sequence

from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

USABLE = (TrialState.COMPLETE, TrialState.PRUNED)
"""States of the ended trials that samplers learn from. A failed trial has no AP."""


class Continued(InMemoryStorage):
    """Optuna's storage in memory for one study, whose trials come after ended ones.

    Args:
        ended: trials in ``USABLE`` states, numbered from 0; failed ones too, if nobody asks for ``USABLE`` ones. They
            are not copied.
        running: running trials, numbered after those; not copied either.
    """

    def __init__(self, ended: Sequence[FrozenTrial], running: Sequence[FrozenTrial] = ()) -> None:
        super().__init__()
        self._ended, self._running = ended, running

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Create a trial, whose number continues those of the given ones, and return its identifier."""
        identifier = super().create_new_trial(study_id, template_trial)
        self.get_trial(identifier).number += len(self._ended) + len(self._running)
        return identifier

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return the given trials and then the study's own, of these states or of all."""
        ended, wanted = list(self._ended), [state for state in USABLE if states is None or state in states]
        if len(wanted) < len(USABLE):  # Otherwise no trial has to be looked at.
            ended = [trial for trial in ended if trial.state in wanted] if wanted else []
        running = list(self._running) if states is None or TrialState.RUNNING in states else []
        trials = ended + running + super().get_all_trials(study_id, deepcopy=False, states=states)
        return copy.deepcopy(trials) if deepcopy else trials
