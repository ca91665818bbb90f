"""Time of proposing a candidate against the time of training it."""

from collections.abc import Callable, Iterator

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, create_trial

from benchmarks.steps import v2_training
from benchmarks.timing import Case, Given, Variant
from harness.core.budget import Budget
from harness.core.names import load_space
from harness.counting import SpaceCounts
from harness.search.candidates import Proposer, identity

SPACE, SAMPLER = "v2_light", "tpe"

ROUNDS = 15
"""Timed proposals of a case."""


def cases(given: Given) -> Iterator[Case]:
    """Yield one case per number of ended trials. The finding: time of a proposal over that of the training after it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # Every proposal makes a study in memory, and says so.
    space = load_space(SPACE)
    counts, histories = SpaceCounts(space), (10, 20, 30) if given.quick else (100, 1_000, 10_000)
    training = v2_training(given)
    for history in histories:
        proposer = Proposer(space, counts, Budget(), SAMPLER, [StudyDirection.MAXIMIZE], seed=0)
        proposals = Variant("proposal", consecutive(proposer, history))
        yield Case(f"{history:,} ended trials of {SPACE}, {SAMPLER}", proposals, training, rounds=ROUNDS)


def consecutive(proposer: Proposer, history: int) -> Callable[[], object]:
    """Return a function that proposes a trial whenever it is called, each time after one more ended trial.

    The first call, which is not timed, converts the whole history, as a resumed study does once.
    """
    trials = planted(proposer, history + ROUNDS + 1)
    seen = {identity(trial.params) for trial in trials}
    numbers = iter(range(history, len(trials)))

    def propose() -> object:
        number = next(numbers)
        return proposer.propose(number, trials[:number], [], seen)

    return propose


def planted(proposer: Proposer, trials: int) -> list[FrozenTrial]:
    """Return ended trials drawn uniformly from what fits, with invented results."""
    rng, drawn = np.random.default_rng(0), dict[str, FrozenTrial]()
    while len(drawn) < trials:
        configuration = proposer.counts.sample(proposer.budget, rng)
        drawn[identity(configuration)] = create_trial(
            value=float(rng.uniform(0.3, 0.5)),
            params=configuration,
            distributions=proposer.distributions(configuration),
        )
    return list(drawn.values())
