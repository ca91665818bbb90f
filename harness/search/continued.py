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
        ended: trials in ``USABLE`` states, numbered from 0. They are not copied.
    """

    def __init__(self, ended: Sequence[FrozenTrial]) -> None:
        super().__init__()
        self._ended = ended

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Create a trial, whose number continues those of the ended ones, and return its identifier."""
        identifier = super().create_new_trial(study_id, template_trial)
        self.get_trial(identifier).number += len(self._ended)
        return identifier

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return the ended trials and then the study's own, of the given states or of all."""
        ended, wanted = list(self._ended), [state for state in USABLE if states is None or state in states]
        if len(wanted) < len(USABLE):  # Otherwise no trial has to be looked at.
            ended = [trial for trial in ended if trial.state in wanted] if wanted else []
        trials = ended + super().get_all_trials(study_id, deepcopy=False, states=states)
        return copy.deepcopy(trials) if deepcopy else trials
