"""Proposes the next configuration to train: it fits the budget, can be built and was not proposed before.

Samplers do not know the budget. A proposal that is refused is redrawn a bounded number of times; then the most similar
of many configurations that fit is taken. So every trial fits, and sampling always ends.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from harness.core.arch import OptionValue
from harness.core.budget import LATENCY, Budget
from harness.core.space import Axis, Configuration, IntRange, SearchSpace
from harness.counting import SpaceCounts
from harness.errors import BudgetError, InputError
from harness.models.costs import check_budget
from harness.search.generations import GENERATION, generation_only
from harness.search.memory import Memory
from harness.search.samplers import DENSE, STARTUP, TRIES, derive_seed, make_sampler

ALIKE = 256
"""Number of uniform draws, of which the one most similar to a refused proposal is taken."""


@dataclass(frozen=True)
class Proposal:
    """A configuration to train.

    Attributes:
        configuration: the active axes' values, in the space's order.
        source: ``enqueued`` (given by the study), ``uniform`` (drawn from all that fits), ``sampler``, or ``alike``
            (the fitting one most similar to the sampler's proposal).
        rejected: reason (``over_budget``, ``unbuildable``, ``repeated``) → proposals rejected before this one.
        system_attrs: data that the sampler later reads from this trial (NSGA-II's generation).
    """

    configuration: Configuration
    source: str
    rejected: dict[str, int] = field(default_factory=dict)
    system_attrs: dict[str, Any] = field(default_factory=dict)


def identity(configuration: Mapping[str, OptionValue]) -> str:
    """Return a string that identifies a configuration, independent of the order of its axes."""
    return json.dumps(dict(configuration), sort_keys=True)


def distribution(axis: Axis) -> BaseDistribution:
    """Return the Optuna distribution of an axis."""
    if isinstance(axis, IntRange):
        return IntDistribution(axis.low, axis.high, step=axis.step)
    return CategoricalDistribution(axis.values)


def suggest(trial: optuna.Trial, axis: Axis) -> OptionValue:
    """Return the value that a study's sampler suggests for an axis of its trial."""
    if isinstance(axis, IntRange):
        return trial.suggest_int(axis.name, axis.low, axis.high, step=axis.step)
    return cast(OptionValue, trial.suggest_categorical(axis.name, axis.values))


def apart(space: SearchSpace, one: Configuration, other: Configuration) -> float:
    """Return how different two configurations are: the sum over the axes that one of them has.

    Two values of an ``IntRange`` are apart by their distance as a share of the range, two of a ``Choice`` by 1, and so
    are an active and an inactive axis.
    """
    found = 0.0
    for axis in space.axes:
        if axis.name in one and axis.name in other and isinstance(axis, IntRange):
            found += abs(int(one[axis.name]) - int(other[axis.name])) / max(axis.high - axis.low, 1)
        else:
            found += one.get(axis.name) != other.get(axis.name)
    return found


class Proposer:
    """Proposes the configurations of one study.

    A proposal depends on the study's seed, the trial's number and the given trials only. What a proposer keeps from one
    proposal to the next saves time and changes nothing.

    Args:
        space: space of the configurations.
        counts: the space's exact counts.
        budget: bounds that every configuration must meet.
        sampler: a name of ``protocol.SAMPLERS``.
        directions: one per objective.
        seed: the study's seed.
        enqueued: configurations that are proposed first.

    Raises:
        BudgetError: no configuration of the space fits, or an enqueued one does not.
        InputError: an enqueued configuration is not in the space, cannot be built or occurs twice.
    """

    def __init__(
        self,
        space: SearchSpace,
        counts: SpaceCounts,
        budget: Budget,
        sampler: str,
        directions: Sequence[StudyDirection],
        seed: int,
        enqueued: Sequence[Configuration] = (),
    ) -> None:
        self.space = space
        self.counts = counts
        self.budget = budget
        self.sampler = sampler
        self.directions = list(directions)
        self.seed = seed
        self.feasible = counts.feasible(budget)
        self._distributions = {axis.name: distribution(axis) for axis in space.axes}
        self._memory = Memory(space, self._distributions, dense=sampler in DENSE)
        self._unsampled = {GENERATION: 0} if sampler == "nsga2" else {}
        self._uniform(np.random.default_rng(0))
        self._enqueued = [self._checked(configuration) for configuration in enqueued]
        if len({identity(configuration) for configuration in enqueued}) < len(enqueued):
            raise InputError(f"two of the {len(enqueued)} enqueued configurations are the same")

    def distributions(self, configuration: Configuration) -> dict[str, BaseDistribution]:
        """Return the distributions of a configuration's axes."""
        return {name: self._distributions[name] for name in configuration}

    def propose(
        self,
        number: int,
        ended: Sequence[FrozenTrial],
        pending: Sequence[FrozenTrial],
        seen: Collection[str],
    ) -> Proposal | None:
        """Return trial ``number``'s configuration, or None when every configuration that fits was proposed.

        Args:
            number: the trial's number, from 0.
            ended: the trials whose results may be used, in order of their numbers. It takes least time if these are the
                objects of the last call and a few more.
            pending: the trials after those; their configurations are used, their results are not.
            seen: ``identity`` of every configuration proposed so far.
        """
        if len(seen) >= self.feasible:
            return None
        if number < len(self._enqueued):
            return Proposal(self._enqueued[number], "enqueued", system_attrs=self._unsampled)
        rng = np.random.default_rng(derive_seed(self.seed, number, "uniform"))
        if not self._can_model(ended):
            return self._new(rng, seen, source="uniform", number=number)
        rejected: Counter[str] = Counter()
        study = self._study(number, pending)
        wanted: Configuration = {}
        attrs: dict[str, Any] = {}
        for _ in range(TRIES[self.sampler]):
            wanted, attrs = self._draw(study)
            reason = self._refusal(wanted, seen)
            if reason is None:
                return Proposal(wanted, "sampler", dict(rejected), attrs)
            rejected[reason] += 1
        near = self._alike(wanted, rng, seen)
        if near is not None:
            return Proposal(near, "alike", dict(rejected), attrs)
        return self._new(rng, seen, source="uniform", number=number, rejected=rejected, attrs=attrs)

    def _checked(self, configuration: Configuration) -> Configuration:
        """Return an enqueued configuration in the space's order."""
        self.space.check(configuration)
        arch = self.space.arch(configuration)
        check_budget(arch, self.budget)
        cost = self.counts.cost(configuration)
        if cost is not None and not self.counts.is_feasible(configuration, self.budget):
            raise BudgetError(
                f"{arch} is predicted to take {LATENCY.text(cost.latency)}, over the budget of {self.budget}"
            )
        return {axis.name: configuration[axis.name] for axis in self.space.axes if axis.name in configuration}

    def _refusal(self, configuration: Configuration, seen: Collection[str]) -> str | None:
        if self.counts.total(configuration) is None:
            return "unbuildable"
        if not self.counts.is_feasible(configuration, self.budget):
            return "over_budget"
        return "repeated" if identity(configuration) in seen else None

    def _uniform(self, rng: np.random.Generator) -> Configuration:
        drawn = self.counts.sample(self.budget, rng)
        return {axis.name: drawn[axis.name] for axis in self.space.axes if axis.name in drawn}

    def _new(
        self,
        rng: np.random.Generator,
        seen: Collection[str],
        source: str,
        number: int,
        rejected: Counter[str] | None = None,
        attrs: dict[str, Any] | None = None,
    ) -> Proposal | None:
        """Draw uniformly until a configuration is new, which takes feasible / unseen draws on average."""
        rejected = Counter() if rejected is None else rejected
        attrs = self._unsampled if attrs is None else attrs
        for _ in range(ALIKE + 20 * self.feasible // (self.feasible - len(seen))):
            configuration = self._uniform(rng)
            if identity(configuration) not in seen:
                return Proposal(configuration, source, dict(rejected), attrs)
            rejected["repeated"] += 1
        raise RuntimeError(f"trial {number}: {self.feasible - len(seen)} of {self.feasible} unseen, none drawn")

    def _alike(self, wanted: Configuration, rng: np.random.Generator, seen: Collection[str]) -> Configuration | None:
        drawn = [configuration for _ in range(ALIKE) if identity(configuration := self._uniform(rng)) not in seen]
        return min(drawn, key=lambda configuration: apart(self.space, wanted, configuration), default=None)

    def _can_model(self, ended: Sequence[FrozenTrial]) -> bool:
        """Learn from the ended trials, and return whether they are enough for the sampler."""
        if self.sampler == "random":
            return False
        self._memory.follow(ended)
        return len(self._memory.usable) >= STARTUP[self.sampler]

    def _study(self, number: int, pending: Sequence[FrozenTrial]) -> optuna.Study:
        seed = derive_seed(self.seed, number, "sampler")
        sampler = make_sampler(self.sampler, seed, len(self.directions), self._memory)
        return self._memory.study(self.directions, pending, sampler)

    def _draw(self, study: optuna.Study) -> tuple[Configuration, dict[str, Any]]:
        """Ask the sampler once; later draws do not learn from this one."""
        trial = study.ask()
        chosen: Configuration = {}
        for axis in self.space.axes:
            active = self.space.active(axis, chosen)
            if not active and self.sampler not in DENSE:
                continue
            value = suggest(trial, axis)
            if active:
                chosen[axis.name] = value
        drawn = study.get_trials(deepcopy=False)[trial.number]
        study.tell(trial, state=TrialState.FAIL)
        return chosen, generation_only(drawn.system_attrs)
