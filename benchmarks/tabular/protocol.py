"""What the networks of the table have in common, and which networks these are."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from harness.core.names import load_study
from harness.core.protocol import StudyConfig
from harness.core.space import Configuration
from harness.counting import SpaceCounts
from harness.search.candidates import identity

SPACE = "architectures"
REFERENCE = "v2"
"""Trained like the others. It is the base of the space, and exceeds the budget by 8 parameters."""

DRAWS = 0
"""Seed of the draws."""


def protocol(configurations: int, seeds: int, *, quick: bool) -> StudyConfig:
    """Return the protocol of the study ``scenes``, with an evaluation after every epoch.

    Args:
        configurations: number of networks that are drawn.
        seeds: number of trainings of each network.
        quick: whether to use the toy sizes of the study ``quick``.
    """
    study = load_study("quick" if quick else "scenes")
    return replace(
        study,
        name="tabular",
        description="Networks of a tabular benchmark",
        space=SPACE,
        train=replace(study.train, evaluate_every=1),
        trials=configurations,
        sampler="random",
        pruner="none",
        sharing=None,
        references=(REFERENCE,),
        seeds=seeds,
    )


def drawn(counts: SpaceCounts, study: StudyConfig) -> Iterator[Configuration]:
    """Yield the configurations: uniform draws from all that fit the budget, without repetition.

    More of them continue the same sequence. If fewer fit than are asked for, all are drawn.
    """
    rng = np.random.default_rng(DRAWS)
    seen: set[str] = set()
    while len(seen) < min(study.trials, counts.feasible(study.budget)):
        configuration = counts.sample(study.budget, rng)
        if identity(configuration) not in seen:
            seen.add(identity(configuration))
            yield configuration
