"""Time of proposing a candidate against the time of training it."""

from collections.abc import Iterator

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, create_trial

from benchmarks.steps import v2_training
from benchmarks.timing import Case, Given, Variant
from harness.core.names import load_space
from harness.core.protocol import Budget
from harness.counting import SpaceCounts
from harness.search.candidates import Proposer, identity

SPACE, SAMPLER = "v2_light", "tpe"


def cases(given: Given) -> Iterator[Case]:
    """Yield one case. The finding: time of a proposal over that of the training that follows it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # Every proposal makes a study in memory, and says so.
    space, trials = load_space(SPACE), 10 if given.quick else 100
    proposer = Proposer(space, SpaceCounts(space), Budget(), SAMPLER, [StudyDirection.MAXIMIZE], seed=0)
    ended = planted(proposer, trials)
    seen = {identity(trial.params) for trial in ended}
    yield Case(
        f"{trials} ended trials of {SPACE}, {SAMPLER}",
        Variant("proposal", lambda: proposer.propose(trials, ended, [], seen)),
        v2_training(given),
    )


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
