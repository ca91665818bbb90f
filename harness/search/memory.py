"""The trials as a sampler sees them. They are kept between proposals, so that only new ones are converted."""

from collections.abc import Mapping, Sequence
from operator import is_

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from harness.core.arch import OptionValue
from harness.core.space import SearchSpace
from harness.search.continued import USABLE, Continued
from harness.search.generations import Generations, generation_only


class Memory:
    """The ended trials of one study, each converted once.

    Args:
        space: the space of the trials; ``distributions``: axis → its distribution. Attributes too.
        dense: whether the sampler sees every axis in every trial: inactive ones get their first value.

    Attributes:
        usable: the converted trials in ``USABLE`` states, numbered from 0.
        shared: distributions of the axes that have several values and occur in all of these trials, sorted by name.
        generations: those of NSGA-II.
    """

    def __init__(self, space: SearchSpace, distributions: Mapping[str, BaseDistribution], *, dense: bool) -> None:
        self._first: dict[str, OptionValue] = {axis.name: axis.values[0] for axis in space.axes} if dense else {}
        self.space, self.distributions = space, distributions
        self._forget()

    def _forget(self) -> None:
        self._given: list[FrozenTrial] = []
        self._pending: dict[int, tuple[FrozenTrial, FrozenTrial]] = {}
        self.usable: list[FrozenTrial] = []
        self.shared = {name: kind for name, kind in sorted(self.distributions.items()) if not kind.single()}
        self.generations = Generations()

    def follow(self, ended: Sequence[FrozenTrial]) -> None:
        """Convert the trials that are new, or all of them where ``ended`` does not continue what was given last.

        Trials are compared by identity: a trial that has ended is never changed.
        """
        if len(ended) < len(self._given) or not all(map(is_, self._given, ended)):
            self._forget()
        for trial in ended[len(self._given) :]:
            if trial.state in USABLE:
                self._add(self._converted(trial, trial.state))
            self._given.append(trial)

    def _add(self, trial: FrozenTrial) -> None:
        trial.number = len(self.usable)
        self.usable.append(trial)
        self.shared = {name: kind for name, kind in self.shared.items() if name in trial.params}
        self.generations.add(trial)

    def study(
        self, directions: Sequence[StudyDirection], pending: Sequence[FrozenTrial], sampler: BaseSampler
    ) -> optuna.Study:
        """Return a study of the usable trials followed by those pending, as running ones. Its draws are not kept."""
        storage = Continued(self.usable, self._running(pending))
        return optuna.create_study(directions=list(directions), storage=storage, sampler=sampler)

    def _running(self, pending: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Return the pending trials as running ones; those of the last call are not converted again."""
        before, self._pending = self._pending, {}
        for number, trial in enumerate(pending, start=len(self.usable)):
            known = before.get(id(trial))  # The trial is kept too, so that no other one gets its id.
            converted = self._converted(trial, TrialState.RUNNING) if known is None else known[1]
            converted.number = number
            self._pending[id(trial)] = trial, converted
        return [converted for _, converted in self._pending.values()]

    def _converted(self, trial: FrozenTrial, state: TrialState) -> FrozenTrial:
        params = {**self._first, **trial.params}
        return create_trial(
            state=state,
            values=trial.values if state == TrialState.COMPLETE else None,
            params=params,
            distributions={name: self.distributions[name] for name in params},
            intermediate_values=trial.intermediate_values if state in USABLE else None,
            system_attrs=generation_only(trial.system_attrs),
        )
