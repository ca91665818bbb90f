"""Applies early stopping to the trials of a replayed search that ran without it.

So trials with and without stopping are the same ones. A search that stops trials would propose others afterwards; these
are not compared.
"""

from collections.abc import Iterable
from dataclasses import replace

from harness.core.replay import WASTED, Step
from harness.evaluation import stopping
from harness.evaluation.stopping import Training

WINDOW = 1
"""A trial is compared with all trials before it: those of a replayed search follow each other."""


def stopped(steps: Iterable[Step]) -> list[Step]:
    """Return the trials of a search, each with the epoch after which the rule ``dominated`` stops it, if it does.

    The rule decides after every epoch.
    """
    found = list(steps)
    trained = [place for place, step in enumerate(found) if step.outcome != WASTED]
    trainings = [
        Training(found[place].costs, dict(enumerate(found[place].aps, start=1)), found[place].seen) for place in trained
    ]
    epochs = max((found[place].epochs for place in trained), default=0)
    for number, epoch in stopping.replay(trainings, WINDOW, epochs).items():
        found[trained[number]] = replace(found[trained[number]], stops=epoch)
    return found
