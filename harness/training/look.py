"""``look``: the AP of a network after a short training of all its weights from its slices of shared weights."""

import shutil
import time
from dataclasses import dataclass

from harness.training.job import Job
from harness.training.loop import train
from harness.training.score import Score, ScoreJob, score


@dataclass(frozen=True)
class LookJob:
    """A short training, as plain data.

    Attributes:
        slices: writes the slices; ``training`` starts from them. The folder of ``training``, which holds the slices
            too, is removed at the end.
    """

    slices: ScoreJob
    training: Job


def look(job: LookJob) -> Score:
    """Return a network's AP on the search split after its short training.

    Raises:
        DataError, OSError: as ``score`` and ``train``.
        NonFiniteLossError: the network diverged.
    """
    started = time.perf_counter()
    score(job.slices)
    result = train(job.training, lambda _: True)
    shutil.rmtree(job.training.folder)
    return Score(result.search_ap, time.perf_counter() - started)
