"""What early stopping would have saved and lost in a study that trained every student to its end."""

from dataclasses import dataclass

from harness.evaluation.stopping import replay, shown
from harness.reporting.study.data import StudyData
from harness.reporting.study.fronts import comparable, front, volume


@dataclass(frozen=True)
class Replayed:
    """The rule ``dominated``, replayed on the trainings of a study.

    Attributes:
        stopped: number of students it would have stopped, of ``students`` that were trained.
        saved: number of epochs that would not have run, of ``epochs`` that ran.
        lost: share of the front's hypervolume that the stopped students have.
    """

    stopped: int
    students: int
    saved: int
    epochs: int
    lost: float


def replayed(data: StudyData) -> Replayed | None:
    """Return what the rule would have done with the same trials; None where it cannot be said.

    It cannot for a study that has one objective, that stopped trials itself, or that lacks records.
    """
    config, candidates, found = data.study.config, data.candidates(), front(data)
    whole = [record.number for record in candidates] == list(range(len(candidates)))
    if found is None or config.pruner != "none" or not whole:
        return None
    if "latency" in config.objectives and any(record.latency is None for record in candidates):
        return None
    trainings = [shown(record, config.objectives) for record in candidates]
    ends = replay(trainings, config.window, config.train.epochs)
    kept = [record for record in comparable(data) if record.number not in ends]
    saved = sum(len(candidates[number].epochs) - epoch for number, epoch in ends.items())
    ran = sum(len(record.epochs) for record in candidates)
    lost = 1 - volume(kept, data) / found.volume if found.volume else 0.0
    return Replayed(len(ends), len(candidates), saved, ran, lost)
