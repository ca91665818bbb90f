"""Replays one search on a table and its surrogate, without training: by Optuna alone, or by this harness's proposals.

Trials are sequential, so that each is proposed from the results of all before it. A search is told the AP of a single
training, as a study would be: the expected one and noise. The noise depends on configuration and seed only, as the
result of a training does in a study: repeating a configuration gives the same AP again, and all samplers with one seed
meet the same trainings. Other objectives have no noise.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from harness.core.budget import Budget
from harness.core.replay import FEASIBLE, NEW, REPEATED, WASTED, Replay, Step
from harness.core.space import Configuration, SearchSpace
from harness.counting import SpaceCounts
from harness.models.costs import value
from harness.search.candidates import Proposer, identity, suggest
from harness.search.costs import Costs
from harness.search.generations import POPULATION
from harness.search.pruning import Judges, make_pruner
from harness.search.samplers import derive_seed
from harness.search.stopped import stopped
from harness.search.surrogate import Surrogate

NO_AP = 0.0
"""AP that Optuna is told for a configuration without one, with the limits of the other objectives. Its samplers compare
such trials by their constraints, and NSGA-II and the Gaussian process read the constraints of trials with a value only.
"""

Stops = Callable[[int, float], bool]
"""Is told an epoch, from 1, and the AP after it, and returns whether the training is pruned."""


@dataclass(frozen=True, eq=False)
class World:
    """What a search is replayed on.

    Attributes:
        space, budget: what is searched.
        surrogate: gives the expected APs and the noise.
        noisy: whether a training's AP has noise.
        costs: the objectives other than AP.
    """

    space: SearchSpace
    budget: Budget
    surrogate: Surrogate
    noisy: bool = True
    costs: Costs = field(default_factory=Costs)

    @property
    def directions(self) -> list[StudyDirection]:
        """The directions of the objectives, AP first."""
        return [StudyDirection.MAXIMIZE, *[StudyDirection.MINIMIZE] * len(self.costs.names)]


@dataclass(frozen=True, eq=False)
class Job:
    """One search to replay. It is plain data, so that it can be sent to another process.

    With several objectives the pruner is ``none``, and early stopping is applied to the search's trials afterwards.
    """

    world: World
    sampler: str
    seed: int
    trials: int
    pruner: str = "none"


@dataclass(frozen=True)
class Result:
    """The end of one training: its state, the AP of its last epoch, and epoch → AP."""

    state: TrialState
    value: float
    reported: dict[int, float]


@dataclass
class Trainer:
    """Trains configurations of one search, on paper, and remembers what each trial brought.

    Attributes:
        world: gives the APs.
        seed: the search's.
        steps: one per trial.
    """

    world: World
    seed: int
    steps: list[Step] = field(default_factory=list)
    _known: set[str] = field(default_factory=set)
    _chosen: tuple[float, float] | None = None

    def waste(self) -> None:
        """Note a trial whose configuration has no AP."""
        self._note(WASTED)

    def train(self, configuration: Configuration, stops: Stops, costs: tuple[float, ...] = ()) -> Result:
        """Return what a training gives, and note its trial.

        Args:
            configuration: can be built and fits the budget.
            stops: told of every epoch; its answer after the last one does not count.
            costs: the configuration's values of the objectives other than AP.
        """
        answer, name = self.world.surrogate.answer(configuration), identity(configuration)
        aps = answer.aps
        if self.world.noisy:
            rng = np.random.default_rng(derive_seed(self.seed, name))
            aps = np.clip(aps + self.world.surrogate.noise.draw(answer.source, rng), 0, 1)
        reported: dict[int, float] = {}
        state = TrialState.COMPLETE
        for epoch, ap in enumerate(aps.tolist(), start=1):
            reported[epoch] = ap
            if stops(epoch, ap) and epoch < len(aps):
                state = TrialState.PRUNED
                break
        seen = reported[len(reported)]
        if state == TrialState.COMPLETE and (self._chosen is None or seen > self._chosen[0]):
            self._chosen = seen, float(answer.aps[-1])
        self._note(REPEATED if name in self._known else NEW, costs, tuple(reported.values()), answer.source)
        self._known.add(name)
        return Result(state, seen, reported)

    def _note(self, outcome: str, costs: tuple[float, ...] = (), aps: tuple[float, ...] = (), source: str = "") -> None:
        best = None if self._chosen is None else self._chosen[1]
        self.steps.append(Step(outcome, costs, aps, best, source))


def replay(job: Job, on_epoch: Callable[[dict[str, Any]], bool] | None = None) -> Replay:  # noqa: ARG001
    """Return a replayed search. Equal jobs give equal results.

    Args:
        job: the search.
        on_epoch: not called; a ``Pool`` gives one to all its work.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    counts, trainer = SpaceCounts(job.world.space), Trainer(job.world, job.seed)
    if job.sampler.startswith(FEASIBLE):
        _propose(job, counts, trainer)
    else:
        _optimize(job, counts, trainer)
    steps = stopped(trainer.steps) if job.world.costs.names else trainer.steps
    return Replay(job.sampler, job.seed, tuple(steps))


def _propose(job: Job, counts: SpaceCounts, trainer: Trainer) -> None:
    """Search with this harness's proposals."""
    world, name = job.world, job.sampler.removeprefix(FEASIBLE)
    proposer = Proposer(world.space, counts, world.budget, name, world.directions, job.seed)
    ended: list[FrozenTrial] = []
    seen: set[str] = set()
    judges = Judges(job.pruner)
    for number in range(job.trials):
        proposal = proposer.propose(number, ended, [], seen)
        if proposal is None:
            return
        seen.add(identity(proposal.configuration))
        costs = world.costs.of(proposal.configuration, counts)
        result = trainer.train(proposal.configuration, judges.after(ended).stops, costs)
        ended.append(
            create_trial(
                state=result.state,
                values=[result.value, *costs] if result.state == TrialState.COMPLETE else None,
                params=proposal.configuration,
                distributions=proposer.distributions(proposal.configuration),
                intermediate_values=result.reported,
                system_attrs=proposal.system_attrs,
            )
        )


def _optimize(job: Job, counts: SpaceCounts, trainer: Trainer) -> None:
    """Search with Optuna alone: it learns of the budget, and of what cannot be built, by constraints."""
    world = job.world
    study = optuna.create_study(
        directions=world.directions, sampler=optuna_sampler(job.sampler, job.seed), pruner=make_pruner(job.pruner)
    )
    for _ in range(job.trials):
        trial = study.ask()
        configuration = _suggested(trial, world.space)
        excess = violations(configuration, counts, world.budget)
        for name, by in excess.items():
            trial.set_constraint(name, by)
        if max(excess.values()) > 0:
            trainer.waste()
            study.tell(trial, [NO_AP, *world.costs.limits])
            continue

        def stops(epoch: int, ap: float, trial: optuna.Trial = trial) -> bool:
            if job.pruner == "none":
                return False  # Optuna takes no reports for several objectives.
            trial.report(ap, epoch)
            return trial.should_prune()

        costs = world.costs.of(configuration, counts)
        result = trainer.train(configuration, stops, costs)
        pruned = result.state == TrialState.PRUNED
        study.tell(trial, None if pruned else [result.value, *costs], state=result.state)


def optuna_sampler(name: str, seed: int) -> BaseSampler:
    """Return Optuna's sampler with its defaults, except that NSGA-II has the population of this harness.

    With its default of 50, it would hardly select parents in a search that is as short as a study's.
    """
    samplers: dict[str, Callable[[], BaseSampler]] = {
        "random": lambda: RandomSampler(seed=seed),
        "tpe": lambda: TPESampler(seed=seed),
        "nsga2": lambda: NSGAIISampler(seed=seed, population_size=POPULATION),
        "gp": lambda: GPSampler(seed=seed, warn_independent_sampling=False),
    }
    return samplers[name]()


def violations(configuration: Configuration, counts: SpaceCounts, budget: Budget) -> dict[str, float]:
    """Return constraint → by how much a configuration breaks it, of a bound as a share of it; up to 0 it is met."""
    cost = counts.cost(configuration, budget.macs_size)
    excess = {
        measure.name: -1.0 if cost is None else value(cost, measure) / limit - 1 for measure, limit in budget.bounds
    }
    return {"built": float(cost is None), **excess}


def _suggested(trial: optuna.Trial, space: SearchSpace) -> Configuration:
    chosen: Configuration = {}
    for axis in space.axes:
        if space.active(axis, chosen):
            chosen[axis.name] = suggest(trial, axis)
    return chosen


def jobs(world: World, searches: dict[str, int], trials: int, pruner: str) -> Iterator[Job]:
    """Yield the jobs of ``searches``: sampler → number of its seeds, from 0."""
    for sampler, seeds in searches.items():
        yield from (Job(world, sampler, seed, trials, pruner) for seed in range(seeds))
